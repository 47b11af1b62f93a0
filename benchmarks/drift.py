"""What drift costs and finds: `modelship drift-report` beside Evidently's own preset on the full tables, and on ten times the rows.

`python benchmarks/drift.py` writes tables into a temporary folder, runs both programs in processes of their own, and prints time and
peak memory with their ratios, and whether both say the same of every column. `--rows` says how many rows (1,000,000), `--part` does
one of `preset` and `scale`, `--json` prints the figures for a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parent.parent
MODELSHIP = ROOT / "scripts" / "modelship"
BATCH = 100_000
NUMBERS = 24
CATEGORIES = 9
TRUTHS = 2
CONFIG = "model: bench\ndata: {reference: reference.parquet, current: current.parquet}\n"
PRESET = """
import json, sys
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
reference, current = (pd.read_parquet(f"{sys.argv[1]}/{name}.parquet") for name in ("reference", "current"))
result = Report([DataDriftPreset()]).run(current, reference).dict()
columns = {m["config"]["column"]: float(m["value"]) >= m["config"]["threshold"] for m in result["metrics"] if "column" in m["config"]}
print(json.dumps(columns))
"""


@dataclass(frozen=True)
class Run:
    """One program on one pair of tables."""

    seconds: float
    megabytes: float
    """Peak memory."""
    drifted: dict[str, bool]
    """By column."""


@dataclass(frozen=True)
class Figures:
    """The same pair of tables by both programs, with drift planted and without; and more rows by ours alone."""

    rows: int
    planted: tuple[str, ...]
    ours: list[Run]
    preset: list[Run]
    larger: Run | None


def main() -> int:
    """Measure and print. Returns the exit code: 1 where the two disagree on a column."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of each table (default: 1,000,000)")
    parser.add_argument("--part", choices=["preset", "scale"], help="only one of the two comparisons")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelship-bench-") as folder:
        figures = measure(Path(folder), arguments.rows, arguments.part)
    print(json.dumps(asdict(figures)) if arguments.json else show(figures))
    return int(disagreements(figures) != [])


def measure(folder: Path, rows: int, part: str | None) -> Figures:
    """Write the tables and run the programs, one at a time."""
    ours, preset = [], []
    for planted in (True, False):
        work = folder / f"planted-{planted}"
        write_pair(work, rows, planted)
        ours.append(run_ours(work))
        if part != "scale":
            preset.append(run_preset(work))
    larger = None
    if part != "preset":
        write_pair(folder / "larger", 10 * rows, planted=True)
        larger = run_ours(folder / "larger")
    return Figures(rows, tuple(sorted(PLANTED)), ours, preset, larger)


def run_ours(work: Path) -> Run:
    """The command, with its environment at hand, from start to record and page."""
    seconds, megabytes, _ = _call([sys.executable, "-I", MODELSHIP, "drift-report"], work)
    record = json.loads((work / ".modelship" / "drift-report.json").read_text())
    return Run(seconds, megabytes, {column["column"]: column["drifted"] for column in record["columns"]})


def run_preset(work: Path) -> Run:
    """Evidently's preset on whole tables, without writing its page."""
    seconds, megabytes, printed = _call([sys.executable, "-I", "-W", "ignore", "-c", PRESET, work], work)
    return Run(seconds, megabytes, json.loads(printed.splitlines()[-1]))


def _call(command: Sequence[str | Path], cwd: Path) -> tuple[float, float, str]:
    """Wall time in seconds, peak memory in MB, and what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_"))}
    with (cwd / "printed").open("w+") as printed:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=printed, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        printed.seek(0)
        text = printed.read()
    if status:
        raise SystemExit(f"{' '.join(map(str, command))[:200]} ended with {status}:\n{text}")
    return seconds, usage.ru_maxrss / 1000, text


# Tables

PLANTED = {
    "number_0": "mean moved by half a standard deviation",
    "number_1": "twice the standard deviation",
    "number_2": "a fifth of the rows far off",
    "number_3": "another unit",
    "number_4": "skewed",
    "category_0": "one category twice as frequent",
    "category_1": "a new category",
    "category_2": "a category gone",
    "truth_0": "0.5 became 0.7",
}
"""What is planted into the current table, by column."""


def write_pair(folder: Path, rows: int, planted: bool) -> None:
    """A reference and a current table of 35 columns, and the configuration; some numbers are missing."""
    folder.mkdir()
    (folder / "modelship.yaml").write_text(CONFIG)
    for seed, name in enumerate(("reference", "current")):
        draw = np.random.default_rng(seed)
        writer: pq.ParquetWriter | None = None
        for start in range(0, rows, BATCH):
            table = pa.table(_columns(draw, min(BATCH, rows - start), drift=planted and name == "current"))
            writer = writer or pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()


def _columns(draw: np.random.Generator, rows: int, *, drift: bool) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for number in range(NUMBERS):
        values = draw.normal(size=rows) if number % 3 else draw.lognormal(size=rows)
        columns[f"number_{number}"] = _drifted_number(number, values, draw) if drift else values
        if number % 4 == 0:
            columns[f"number_{number}"] = pa.array(columns[f"number_{number}"], mask=draw.random(rows) < 0.1)
    for number in range(CATEGORIES):
        weights = 1.0 / np.arange(1, 9 + 6 * number)
        if drift:
            weights = _drifted_weights(number, weights)
        columns[f"category_{number}"] = pa.array(
            draw.choice(len(weights), rows, p=weights / weights.sum()).astype(str), type=pa.string()
        )
    for number in range(TRUTHS):
        columns[f"truth_{number}"] = draw.random(rows) < (0.7 if drift and number == 0 else 0.5)
    return columns


def _drifted_number(number: int, values: Any, draw: np.random.Generator) -> Any:
    if number == 0:
        return values + 0.5 * np.std(values)
    if number == 1:
        return 2 * values
    if number == 2:
        return np.where(draw.random(len(values)) < 0.2, values + 3, values)
    if number == 3:
        return values * 1.8 + 32
    return values + np.maximum(values, 0) if number == 4 else values


def _drifted_weights(number: int, weights: Any) -> Any:
    if number == 0:
        return weights * np.where(np.arange(len(weights)) == 0, 2, 1)
    if number == 1:
        return np.append(weights, 0.3)
    return weights * np.where(np.arange(len(weights)) == 1, 0, 1) if number == 2 else weights


# Words


def disagreements(figures: Figures) -> list[str]:
    """Columns of which the programs, or more rows, say another thing, or of which ours is wrong."""
    found = []
    for case, (ours, truth) in enumerate(zip(figures.ours, (set(figures.planted), set[str]()), strict=True)):
        others = [figures.preset[case]] if figures.preset else []
        others += [figures.larger] if figures.larger and not case else []
        for column, drifted in ours.drifted.items():
            if drifted != (column in truth) or any(other.drifted[column] != drifted for other in others):
                found.append(column)
    return found


def show(figures: Figures) -> str:
    """The figures as a small table."""
    rows = [("what", "seconds", "MB", "ratio")]
    for case, ours in zip(("drift planted", "no drift"), figures.ours, strict=True):
        rows.append((f"drift-report, {figures.rows:,} x 35, {case}", f"{ours.seconds:.1f}", f"{ours.megabytes:.0f}", ""))
    for case, preset, ours in zip(("drift planted", "no drift"), figures.preset, figures.ours, strict=False):
        ratio = f"time 1 / {preset.seconds / ours.seconds:.1f}, memory 1 / {preset.megabytes / ours.megabytes:.1f}"
        rows.append((f"Evidently's preset, same tables, {case}", f"{preset.seconds:.1f}", f"{preset.megabytes:.0f}", ratio))
    if figures.larger:
        first, larger = figures.ours[0], figures.larger
        ratio = f"time {larger.seconds / first.seconds:.2f}, memory {larger.megabytes / first.megabytes:.2f}"
        rows.append(
            (f"drift-report, {10 * figures.rows:,} x 35, drift planted", f"{larger.seconds:.1f}", f"{larger.megabytes:.0f}", ratio)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{name:<{widths[0]}}  {a:>{widths[1]}}  {b:>{widths[2]}}  {ratio}" for name, a, b, ratio in rows]
    wrong = disagreements(figures)
    lines.append(f"columns of which they disagree: {', '.join(wrong) if wrong else 'none'}, of {len(figures.ours[0].drifted)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
