"""The pictures of docs/history.md, from a made-up past: `python docs/history_pictures.py` writes `docs/images/{history,badge}.svg`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from tests.histories import past, report  # noqa: E402

from modelship.history.health import Health  # noqa: E402 - the packages are found only now
from modelship.reporting.badge import badge  # noqa: E402
from modelship.reporting.blocks import Plot  # noqa: E402
from modelship.reporting.time_chart import LineChart, standalone  # noqa: E402


def pictures() -> dict[str, str]:
    """The files by name."""
    plots = [block.drawn for section in report(past()).sections for block in section.blocks if isinstance(block, Plot)]
    metric = next(drawn for drawn in plots if isinstance(drawn, LineChart))
    return {"history.svg": standalone(metric), "badge.svg": badge("flight-delay", Health("healthy", "", 7, "production"))}


if __name__ == "__main__":
    for name, content in pictures().items():
        (ROOT / "docs" / "images" / name).write_text(content, encoding="utf-8")
