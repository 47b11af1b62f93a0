"""Whether the tests would notice: mutants of the code that verdicts come from, and how many of them a test kills.

`python benchmarks/mutation.py` copies the code and its tests to a scratch folder, has mutmut write every small change that it knows
into the copy, and runs the tests against one change at a time. It prints the share of killed mutants, and with `--survivors` the
names of those that no test noticed. mutmut leaves decorated functions alone.

The tests are run here and not by mutmut: measures are put together while their module is imported, so that each mutant needs a process
that has imported nothing of ours yet. A process is forked that has only imported what others have written.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS_OF = {
    "judge": ("test_gate_judge_record", "test_gate_judge"),
    "comparison": ("test_intervals", "test_gate_judge"),
    "rows.intervals": ("test_intervals", "test_measures"),
    "rows.measures": ("test_measures", "test_intervals"),
}
"""Modules of the gate, and their tests in the order in which they are run."""
LEAST = 0.9
SECONDS = 90
"""A mutant that keeps a processor busy for so long has been noticed: the tests take a third of it."""
OF_OTHERS = ("hypothesis", "msgspec", "numpy", "pyarrow", "pytest", "scipy.stats", "sklearn.metrics")


@dataclass(frozen=True)
class Mutant:
    """One change."""

    module: str
    name: str
    """As mutmut calls it."""


def main() -> int:
    """Mutate and print. Returns the exit code: 1 where fewer mutants are killed than must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--survivors", action="store_true", help="name the mutants that no test noticed")
    parser.add_argument("--module", choices=TESTS_OF, help="mutants of this module only")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen at random with a fixed seed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelship-mutation-") as name:
        mutants = _prepared(Path(name), [arguments.module] if arguments.module else list(TESTS_OF))
        if arguments.sample:
            mutants = random.Random(0).sample(mutants, min(arguments.sample, len(mutants)))
        killed = _killed(mutants)
    print(show(mutants, killed))
    if arguments.survivors:
        print("\n".join(mutant.name for mutant in mutants if mutant not in killed))
    return 0 if len(killed) >= LEAST * len(mutants) else 1


def _prepared(folder: Path, modules: Sequence[str]) -> list[Mutant]:
    """Make `folder` the working directory, with a copy of the code that holds all mutants, asleep, and with the tests."""
    shutil.copytree(ROOT / "scripts" / "modelship", folder / "src" / "modelship", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for test in {test for tests in TESTS_OF.values() for test in tests}:
        shutil.copy(ROOT / "tests" / "unit" / f"{test}.py", folder / "tests")
    (folder / "pyproject.toml").write_text('[tool.mutmut]\nsource_paths = ["src"]\n[tool.pytest.ini_options]\npythonpath = ["src"]\n')
    os.chdir(folder)
    sys.dont_write_bytecode = True
    # It reads its configuration from the working directory when it is imported.
    from mutmut.mutation.file_mutation import mutate_file_contents

    mutants = []
    for module in modules:
        path = folder / "src" / "modelship" / "gate" / f"{module.replace('.', '/')}.py"
        mutated = mutate_file_contents(str(path), path.read_text())
        path.write_text(mutated.code)
        mutants += [Mutant(module, f"modelship.gate.{module}.{name}") for name in mutated.mutant_names]
    return mutants


def _killed(mutants: Sequence[Mutant]) -> set[Mutant]:
    """The mutants that a test noticed. Ends the program where tests fail without any."""
    for library in OF_OTHERS:
        importlib.import_module(library)
    if _noticed([Mutant(module, "") for module in {mutant.module for mutant in mutants}]):
        raise SystemExit("The tests fail on the code as it is.")
    return _noticed(mutants)


def _noticed(mutants: Sequence[Mutant]) -> set[Mutant]:
    """Those with which a test fails, or does not end. Each has a process of its own."""
    found: set[Mutant] = set()
    running: dict[int, Mutant] = {}
    started = done = 0
    while done < len(mutants):
        while started < len(mutants) and len(running) < (os.cpu_count() or 1):
            running[_start(mutants[started])] = mutants[started]
            started += 1
        process, status = os.wait()
        mutant = running.pop(process)
        done += 1
        if status:
            found.add(mutant)
        if done % 100 == 0:
            print(f"{done:,} of {len(mutants):,}, {len(found):,} killed", file=sys.stderr, flush=True)
    return found


def _start(mutant: Mutant) -> int:
    """Fork a process that runs the tests with `mutant` awake, and ends with pytest's status. Returns its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        status = _run_tests(mutant)
    finally:
        os._exit(status)


def _run_tests(mutant: Mutant) -> int:
    import hypothesis
    import pytest

    # Profiles of tests build on it: an example that fails need not be made small first.
    hypothesis.settings.register_profile("mutation", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], database=None)
    hypothesis.settings.load_profile("mutation")
    os.environ["MUTANT_UNDER_TEST"] = mutant.name
    # Nothing in Python sees this signal, which ends the process: a loop may be anywhere.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    tests = [f"tests/{test}.py" for test in TESTS_OF[mutant.module]]
    return int(pytest.main(["-q", "-x", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]))


def show(mutants: Sequence[Mutant], killed: set[Mutant]) -> str:
    """A small table, by module."""
    lines = [f"{'module':<26}{'mutants':>9}{'killed':>9}{'score':>9}"]
    for module in TESTS_OF:
        of_module = [mutant for mutant in mutants if mutant.module == module]
        if of_module:
            lines.append(_line(f"gate/{module.replace('.', '/')}.py", of_module, killed))
    return "\n".join([*lines, _line("all", mutants, killed)])


def _line(name: str, mutants: Sequence[Mutant], killed: set[Mutant]) -> str:
    count = sum(mutant in killed for mutant in mutants)
    return f"{name:<26}{len(mutants):>9,}{count:>9,}{count / len(mutants):>9.1%}"


if __name__ == "__main__":
    sys.exit(main())
