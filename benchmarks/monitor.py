"""What a look at production costs: `modelship monitor` on a million logged predictions, and on five.

`python benchmarks/monitor.py` writes a training table, a release and logs with their truth into a temporary folder, runs the command
on each, and prints time and peak memory with their ratios. `--rows` says how many rows the smaller log has (1,000,000), `--lines`
writes logs as JSON lines, as a service does, `--json` prints the figures for a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
MODELSHIP = ROOT / "scripts" / "modelship"
FEATURES = 16
CATEGORIES = 4
TRAINING_ROWS = 200_000
CHUNK = 100_000
LARGER = 5
WEEK = 7 * 86_400 * 1_000_000
START = 1_793_577_600_000_000
"""2026-11-02 in microseconds since 1970."""
CONFIG: dict[str, Any] = {
    "model": "bench",
    "data": {"reference": "train.parquet", "target": "y", "key": "id", "expectations": "expectations.yaml"},
    "gate": {"slices": ["category_0", "category_1"]},
    "monitor": {
        "predictions": "log.parquet",
        "truth": "truth.parquet",
        "metrics": {"roc_auc": {"max-loss": 0.02}, "log_loss": {"max-loss": 0.02}, "accuracy": {"max-loss": 0.02}},
    },
}
EXPECTATIONS = [{"expect_column_values_to_not_be_null": {"column": f"number_{number}"}} for number in range(FEATURES)]


@dataclass(frozen=True)
class Run:
    """One look at one batch."""

    rows: int
    seconds: float
    megabytes: float
    """Peak of all processes together."""
    sampling: str


def main() -> int:
    """Measure and print. Returns the exit code: 1 where the larger log takes more than twice the time or 1 GB."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the smaller log (default: 1,000,000)")
    parser.add_argument("--lines", action="store_true", help="logs as JSON lines instead of Parquet")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelship-bench-") as folder:
        runs = [look(Path(folder) / str(rows), rows, lines=arguments.lines) for rows in (arguments.rows, LARGER * arguments.rows)]
    print(json.dumps([asdict(run) for run in runs]) if arguments.json else show(runs))
    smaller, larger = runs
    return int(larger.seconds > 2 * smaller.seconds or larger.megabytes > 1000)


def show(runs: list[Run]) -> str:
    """The figures as text."""
    smaller, larger = runs
    lines = [f"{run.rows:>9,} predictions  {run.seconds:6.1f} s  {run.megabytes:6,.0f} MB   {run.sampling}" for run in runs]
    ratios = f"time {larger.seconds / smaller.seconds:.2f}, memory {larger.megabytes / smaller.megabytes:.2f}"
    return "\n".join([*lines, f"{larger.rows / smaller.rows:g} times the rows: {ratios}"])


def look(folder: Path, rows: int, *, lines: bool) -> Run:
    """Write a world with so many predictions, and look at it."""
    write(folder, rows, lines=lines)
    arguments = ["monitor", "--since", "2026-11-02", "--now", "2026-12-01", "--version", "7", "--baseline", "release"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_"))}
    with (folder / "printed").open("w+") as printed:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-I", MODELSHIP, *arguments],
            cwd=folder,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - started
        printed.seek(0)
        if process.returncode:
            raise SystemExit(f"modelship monitor ended with {process.returncode}:\n{printed.read()}")
    record = json.loads((folder / ".modelship" / "monitor.json").read_text())
    return Run(rows, seconds, peak / 1e6, record["sampling"])


def _resident(session: int) -> int:
    """Resident bytes of all processes of a session (Linux)."""
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def write(folder: Path, rows: int, *, lines: bool) -> None:
    """What the version learned from, what it promised, what it was asked, what became true."""
    (folder / "release").mkdir(parents=True)
    config = {**CONFIG, "monitor": {**CONFIG["monitor"], **({"predictions": "log"} if lines else {})}}
    (folder / "modelship.yaml").write_text(json.dumps(config))
    (folder / "expectations.yaml").write_text(json.dumps(EXPECTATIONS))
    draw = np.random.default_rng(0)
    features, truth, _ = people(draw, 0, TRAINING_ROWS)
    pq.write_table(pa.table({**features, "y": truth}), folder / "train.parquet")
    features, truth, score = people(draw, TRAINING_ROWS, 100_000)
    holdout = {"id": features["id"], "truth": truth, "prediction": (score > 0.5).astype(np.int64), "score": score}
    pq.write_table(
        pa.table({**holdout, **{f"category_{number}": features[f"category_{number}"] for number in range(2)}}),
        folder / "release" / "predictions.parquet",
    )
    log: Any = None
    truths: Any = None
    if lines:
        (folder / "log").mkdir()
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        features, truth, score = people(draw, 10_000_000 + start, count)
        at = pa.array(START + (np.arange(start, start + count) * (WEEK / rows)).astype(np.int64), pa.timestamp("us", "UTC"))
        table = pa.table(
            {
                "predicted-at": at,
                "model": pa.array(["bench"]).take(pa.array(np.zeros(count, np.int64))),
                "version": np.full(count, 7),
                "prediction": (score > 0.5).astype(np.int64),
                "score": score,
                **features,
            }
        )
        known = pa.table({"id": features["id"], "y": truth, "known-at": at})
        if lines:
            table.to_pandas().to_json(folder / "log" / f"{start:010d}.jsonl", orient="records", lines=True, date_format="iso")
        else:
            log = log or pq.ParquetWriter(folder / "log.parquet", table.schema)
            log.write_table(table)
        truths = truths or pq.ParquetWriter(folder / "truth.parquet", known.schema)
        truths.write_table(known)
    for writer in (log, truths):
        if writer:
            writer.close()


def people(draw: np.random.Generator, first: int, rows: int) -> tuple[dict[str, Any], Any, Any]:
    """Keys and features, what is true, and what a model makes of it."""
    numbers = {f"number_{number}": draw.normal(size=rows) for number in range(FEATURES)}
    categories = {
        f"category_{number}": pa.array([f"value {code}" for code in range(8)]).take(pa.array(draw.integers(0, 8, rows)))
        for number in range(CATEGORIES)
    }
    risk = numbers["number_0"] + 0.5 * numbers["number_1"]
    truth = (risk + draw.logistic(size=rows) > 0).astype(np.int64)
    return {"id": np.arange(first, first + rows), **numbers, **categories}, truth, 1 / (1 + np.exp(-risk))


if __name__ == "__main__":
    sys.exit(main())
