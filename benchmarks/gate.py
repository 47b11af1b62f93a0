"""What the gate costs: its wall time beside `dvc metrics diff`, and the size of a cold install.

`python benchmarks/gate.py` makes the environments that the actions use in an empty cache, judges the same two JSON files with both
programs in turn, and prints a table. `--runs` says how often (10 or more), `--json` prints the figures for a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "scripts" / "run"
NEEDED_BY_GATE_AND_COMMENT = ("core", "github")


@dataclass(frozen=True)
class Figures:
    """Medians in seconds, their ratio (gate by DVC), a cold install of gate and comment, and uv where it had to come first."""

    runs: int
    gate_seconds: float
    dvc_seconds: float
    ratio: float
    install_megabytes: float
    installer_megabytes: float
    install_seconds: float


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=10, help="how often each program runs (default: 10)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelship-bench-") as folder:
        figures = measure(Path(folder), max(arguments.runs, 10))
    print(json.dumps(asdict(figures)) if arguments.json else show(figures))
    return 0


def measure(folder: Path, runs: int) -> Figures:
    """Install into an empty cache, then time both programs alternately, so that a busy machine slows both alike."""
    cache = folder / "cache"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_", "DVC_"))},
        "MODELSHIP_CACHE": str(cache),
        "UV_CACHE_DIR": str(folder / "downloads"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
    }
    started = time.monotonic()
    for capability in NEEDED_BY_GATE_AND_COMMENT:
        _call([RUN, "--prepare", capability], folder, environment)
    install_seconds = time.monotonic() - started
    megabytes = _size(cache / "environments") / 1e6
    installer = sum(_size(path) for path in cache.glob("uv-*")) / 1e6
    dvc = _call([RUN, "--prepare", "dvc"], folder, environment).strip()

    work = _project(folder / "work", environment)
    commands: dict[str, Sequence[str | Path]] = {
        "gate": [RUN, "metric-gate", "--candidate", "metrics.json"],
        "dvc": [dvc, "-I", "-m", "dvc", "metrics", "diff", "HEAD~1"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            began = time.monotonic()
            _call(command, work, environment)
            if turn:  # The first round warms the file cache.
                seconds[name].append(time.monotonic() - began)
    gate, other = statistics.median(seconds["gate"]), statistics.median(seconds["dvc"])
    return Figures(runs, gate, other, gate / other, megabytes, installer, install_seconds)


def _project(work: Path, environment: Mapping[str, str]) -> Path:
    """A git repository with a DVC metrics file in two commits."""
    work.mkdir()
    metrics = {f"metric_{number}": number / 100 for number in range(20)} | {"roc_auc": 0.74}
    (work / ".dvc").mkdir()
    (work / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (work / "dvc.yaml").write_text("metrics:\n  - metrics.json\n")
    (work / "modelship.yaml").write_text(
        "model: bench\ntrain: {metrics: metrics.json}\ngate: {baseline: 'git:HEAD~1', metrics: {roc_auc: {max-regression: 0.01}}}\n"
    )
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false"]
    _call([*git, "init", "--quiet"], work, environment)
    for value in (0.74, 0.75):
        (work / "metrics.json").write_text(json.dumps({**metrics, "roc_auc": value}))
        _call([*git, "add", "--all"], work, environment)
        _call([*git, "commit", "--quiet", "--message", "x"], work, environment)
    return work


def _call(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> str:
    result = subprocess.run(command, cwd=cwd, env=dict(environment), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def _size(folder: Path) -> int:
    """Bytes on disk, as `du` counts them: a file with two names once."""
    du = shutil.which("du")
    if du:
        return int(subprocess.run([du, "-sk", folder], capture_output=True, text=True, check=True).stdout.split()[0]) * 1024
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def show(figures: Figures) -> str:
    """The figures as a small table."""
    rows = [
        ("modelship metric-gate, JSON files", f"{figures.gate_seconds:.2f} s", f"median of {figures.runs}"),
        ("dvc metrics diff, same files", f"{figures.dvc_seconds:.2f} s", f"median of {figures.runs}"),
        ("ratio", f"{figures.ratio:.2f}", "below 1 is faster than DVC"),
        ("install of gate and comment", f"{figures.install_megabytes:.0f} MB", f"{figures.install_seconds:.1f} s from an empty cache"),
        ("uv, where the runner has none", f"{figures.installer_megabytes:.0f} MB", "0 when uv was on PATH"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {value:>{widths[1]}}  {note}" for name, value, note in rows)


if __name__ == "__main__":
    sys.exit(main())
