"""Replay the template's year month by month, with and without retraining, and draw it: `python docs/flights_year.py`.

January to June are learnt from and July is held out, as in the template; from August on each month is a batch. Writes
docs/images/flights-year.svg, and prints the months as a Markdown table for docs/retrain.md. What was trained is kept in
build/flights-year, so that a second run is short.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from ruamel.yaml import YAML  # noqa: E402 - the package is found only now

from modelship.core.records import BacktestBatch, BacktestRecord, BacktestStep, BacktestWay, read_record  # noqa: E402
from modelship.reporting.backtest import picture  # noqa: E402
from modelship.reporting.time_chart import standalone  # noqa: E402

TEMPLATE = ROOT / "template-repo"
IMAGE = ROOT / "docs" / "images" / "flights-year.svg"
KEPT = ROOT / "build" / "flights-year"
METRIC = "roc_auc"
RELEASED = "2013-08-01"

MONITORED: dict[str, Any] = {
    "monitor": {"batch": "month", "metrics": {"roc_auc": {"max-loss": 0.02}, "log_loss": {"max-loss": 0.02}}},
    "backtest": {
        "history": "data/flights.parquet",
        "time": "scheduled_at",
        "run": "python -m flight_delay.train",
    },
}
"""What the template's modelship.yaml gets for it."""


def main() -> int:
    """Replay, draw, print. Returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        record = replay(Path(folder) / "flights")
    IMAGE.write_text(standalone(picture(record, METRIC)), encoding="utf-8")
    print("\n".join(table(record)))
    print(f"\n{record.summary[:1].upper()}{record.summary[1:]}.")
    return 0


def replay(folder: Path, run: Callable[[Path], BacktestRecord] | None = None) -> BacktestRecord:
    """The year in a copy of the template, whose history is fetched and committed; `run` says by what, the command without it."""
    shutil.copytree(TEMPLATE, folder)
    yaml = YAML(typ="safe", pure=True)
    config = yaml.load((folder / "modelship.yaml").read_text(encoding="utf-8"))
    config["drift"]["columns"] = {"month": "ignore"}  # The months are what is gone through.
    (folder / "modelship.yaml").write_text(json.dumps({**config, **MONITORED}), encoding="utf-8")
    digest = yaml.load((folder / "data/flights.parquet.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    shutil.copyfile(folder / "dvc-storage" / "files" / "md5" / digest[:2] / digest[2:], folder / "data/flights.parquet")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "The template"]):
        subprocess.run(["git", "-c", "user.name=docs", "-c", "user.email=docs@example.com", *words], cwd=folder, check=True)
    return (run or by_command)(folder)


def by_command(folder: Path) -> BacktestRecord:
    """The year as `modelship backtest` walks through it."""
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
    command = [sys.executable, "-I", str(ROOT / "scripts" / "modelship"), "backtest", "--since", RELEASED, "--cache", str(KEPT)]
    subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr, check=True)
    record = read_record(folder / ".modelship" / "backtest.json", "backtest")
    assert isinstance(record, BacktestRecord)
    return record


def table(record: BacktestRecord) -> Iterator[str]:
    """Each month: what was decided when it was over, and how good each way was in it."""
    ways = {way.way: way for way in record.ways}
    decisions = {step.at: step for step in ways["rules"].steps}
    yield "| month | trained once | retrained when asked | decided at its end |"
    yield "|---|--:|--:|---|"
    for number, batch in enumerate(ways["once"].batches):
        values = [_value(way, number) for way in (ways["once"], ways["rules"])]
        yield f"| {batch.start:%B} | {' | '.join(values)} | {_decided(batch, decisions.get(batch.end))} |"


def _value(way: BacktestWay, number: int) -> str:
    (found,) = (value for value in way.batches[number].measured if value.metric == METRIC)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _decided(batch: BacktestBatch, step: BacktestStep | None) -> str:
    if step is None:
        return f"the data ends with {batch.start:%B}"
    return f"{'**train again**' if step.retrain else 'stay'}: {step.told}"


if __name__ == "__main__":
    sys.exit(main())
