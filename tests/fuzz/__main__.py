"""`make fuzz`: every parser over 100,000 broken documents, and a table of what came of it. Exit 1 where there is a finding."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz import harness
from tests.fuzz.parsers import NAMES


def main() -> int:
    """Run, print, and say where each kind of finding can be seen."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("parser", nargs="*", help="which parsers; all without any")
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--first", type=int, default=0, help="the number of the first case")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "modelship-fuzz", help="where findings are kept")
    given = options.parse_args()
    print("| parser | cases | valid after all | slowest case | memory | findings |\n| -- | --: | --: | --: | --: | --: |")
    clean = True

    def run(name: str) -> tuple[str, harness.Outcome, float]:
        started = time.monotonic()
        found = harness.run(name, given.cases, given.folder / name, seed=given.seed, first=given.first)
        return name, found, time.monotonic() - started

    # Each is a process of its own; which ends when does not matter to any of them.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found, seconds in pool.map(run, given.parser or NAMES):
            clean = clean and not found.findings
            memory = f"{found.peak / 1024**2:.0f} MiB"
            row = f"| {name} | {found.cases:,} | {found.taken:,} | {found.slowest:.2f} s | {memory} | {len(found.findings)} |"
            print(row, flush=True)
            print(f"{name}: {seconds:.0f} s", file=sys.stderr)
            kinds = Counter(found.findings.values())
            for kind, count in kinds.most_common(20):
                first = next(case for case, finding in found.findings.items() if finding == kind)
                print(f"  {count} × {kind}: {given.folder / name / f'finding-{first}'}", file=sys.stderr)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
