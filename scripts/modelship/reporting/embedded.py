"""Pages of other programs that the report page holds: Evidently's on drift, Great Expectations' Data Docs.

They come from the job that ran the pull request's code, so that they may be anything. Each stands in a frame that is a site of its own
(`sandbox` without `allow-same-origin`): it reaches neither the report around it nor a form, a window or a download, and the
report's own policy, which such a frame inherits, lets it load nothing from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelship.core.records import DriftReportRecord, ValidateRecord
from modelship.core.scripts import scripts_of
from modelship.reporting.checks import Found
from modelship.reporting.monitoring import with_parts

MAX_BYTES = 8_000_000
"""Of one page. GitHub shows an artifact of one file in the browser, which has to load it."""

_MAX_SCRIPTS = 8
_NAME = re.compile(r"(files/)?[a-z][a-z-]{0,60}\.html")


@dataclass(frozen=True)
class EmbeddedPage:
    """A whole HTML page inside of ours."""

    title: str
    content: str
    runs_scripts: bool = False

    @property
    def script_digests(self) -> tuple[str, ...]:
        """The scripts that may run in it, as a Content-Security-Policy names them."""
        return scripts_of(self.content).digests[:_MAX_SCRIPTS] if self.runs_scripts else ()


def read_pages(folder: Path, records: Mapping[str, Found]) -> tuple[EmbeddedPage, ...]:
    """The pages that records name, out of the run directory; one that is not there, or too large to be shown, is left out."""
    records = with_parts(records)
    drift, validated = records.get("drift-report"), records.get("validate")
    named = (
        ("Evidently's page on drift", drift.page if isinstance(drift, DriftReportRecord) else "", True),
        ("Data Docs of Great Expectations", validated.data_docs if isinstance(validated, ValidateRecord) else "", False),
    )
    found = ((title, _read(folder, name), runs_scripts) for title, name, runs_scripts in named)
    return tuple(EmbeddedPage(title, content, runs_scripts) for title, content, runs_scripts in found if content)


def _read(folder: Path, name: str) -> str:
    """The page `name`, or empty. A record may name anything: only a plain file of the run directory is one of its pages."""
    path = folder / name
    if not _NAME.fullmatch(name) or path.is_symlink() or path.parent.is_symlink():
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return ""
    return content.decode(errors="replace") if len(content) <= MAX_BYTES else ""
