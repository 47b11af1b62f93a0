"""Runs a parser over many cases in a process of its own, which may die, hang or eat memory without taking anybody along."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 2.0
"""Of the processor, that one case may take."""

MEMORY = 512 * 1024**2
"""Bytes, that the whole process may have in memory at any time."""


@dataclass
class Outcome:
    """What came of the cases of one parser."""

    cases: int = 0
    taken: int = 0
    """How many of them were valid after all; the others were refused with an error of ours."""
    slowest: float = 0.0
    """Seconds of the processor."""
    peak: int = 0
    """Bytes, the interpreter and its libraries among them."""
    findings: dict[int, str] = field(default_factory=dict)
    """By the number of the case, what else happened; the case itself is `finding-<number>` in the folder."""


def run(parser: str, cases: int, folder: Path, *, seed: int = 0, first: int = 0, seconds: float = SECONDS) -> Outcome:
    """Take the cases from `first` on. A case that kills the process is a finding; those after it are taken all the same."""
    folder.mkdir(parents=True, exist_ok=True)
    found = Outcome(cases)
    end = first + cases
    while first < end:
        command = [sys.executable, "-m", "tests.fuzz.worker", parser, str(seed), str(first), str(end), str(folder), str(seconds)]
        worker = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
        for told in map(json.loads, worker.stdout.splitlines()):
            if "case" in told:
                found.findings[told["case"]] = told["finding"]
            else:
                found.taken += told["taken"]
                found.slowest, found.peak = max(found.slowest, told["slowest"]), max(found.peak, told["peak"])
        if worker.returncode == 0:
            break
        at = int((folder / "at").read_text()) if (folder / "at").exists() else -1
        if worker.returncode > 0 or at < first:
            raise RuntimeError(f"the cases of {parser} could not be made:\n{worker.stderr}")
        found.findings[at] = f"the process ended with {worker.returncode}: {worker.stderr[-300:].strip()}"
        first = at + 1
    if found.peak > MEMORY:
        found.findings[-1] = f"{found.peak / 1024**2:.0f} MiB of memory"
    return found


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "PYTHONHASHSEED": "0"}
