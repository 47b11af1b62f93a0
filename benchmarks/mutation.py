"""Whether the tests would notice: mutants of the code that verdicts come from, and how many of them a test kills.

`python benchmarks/mutation.py` copies the code and its tests to a scratch folder, has mutmut write every small change that it knows
into the copy, and runs the tests against one change at a time: those that come through the changed function, the quickest first.
It prints the share of killed mutants, and with `--survivors` the names of those that no test noticed. mutmut leaves decorated
functions alone.

The tests are run here and not by mutmut: measures are put together while their module is imported, so that a function which this calls
is changed in a process that has imported nothing of ours yet. Others have a process forked from one that has all tests ready.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("judge", "comparison", "rows.intervals", "rows.measures")
"""Of the gate."""
TESTS = ("test_measures", "test_intervals", "test_gate_judge", "test_gate_judge_record")
LEAST = 0.9
PATIENCE = 5
"""A mutant is noticed when the tests keep a processor busy for so many times what they take without it."""
OF_OTHERS = ("hypothesis", "msgspec", "numpy", "pyarrow", "pytest", "scipy.stats", "sklearn.metrics")


@dataclass(frozen=True)
class Mutant:
    """One change."""

    module: str
    name: str
    """As mutmut calls it."""

    @property
    def function(self) -> str:
        """What is changed, as mutmut calls it."""
        return self.name.rpartition("__mutmut_")[0]


@dataclass(frozen=True)
class Reach:
    """What the tests come through, and how long they take, on the code as it is."""

    at_import: set[str]
    """Functions that are called before any test is."""
    of_test: dict[str, set[str]]
    """Functions that are called in each test, by its name."""
    seconds: dict[str, float]
    """Of the processor, by test."""

    def tests(self, function: str) -> list[str]:
        """Those that may notice a change of `function`, the quickest first."""
        module = function.rpartition(".")[0] + "."
        found = [
            test
            for test, functions in self.of_test.items()
            # What is called at import makes what other functions of its module work with.
            if function in functions or (function in self.at_import and any(one.startswith(module) for one in functions))
        ]
        return sorted(found, key=self.seconds.__getitem__)


def main() -> int:
    """Mutate and print. Returns the exit code: 1 where fewer mutants are killed than must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--survivors", action="store_true", help="name the mutants that no test noticed")
    parser.add_argument("--module", choices=MODULES, help="mutants of this module only")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen at random with a fixed seed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="modelship-mutation-") as name:
        mutants = _prepared(Path(name), [arguments.module] if arguments.module else MODULES)
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
    for test in TESTS:
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
    # Thousands of functions take a while to compile.
    compileall.compile_dir(folder, quiet=1)
    return mutants


def _killed(mutants: Sequence[Mutant]) -> set[Mutant]:
    """The mutants that a test noticed. Ends the program where tests fail without any."""
    for library in OF_OTHERS:
        importlib.import_module(library)
    reach = _reach()
    found = _noticed(
        [mutant for mutant in mutants if mutant.function in reach.at_import],
        lambda mutant: _fork(lambda: _with_tests(lambda tests: _notices(tests, reach, mutant)), awake=mutant),
    )
    later = [mutant for mutant in mutants if mutant.function not in reach.at_import]

    def all_others(tests: Sequence[pytest.Item]) -> bool:
        found.update(_noticed(later, lambda mutant: _fork(lambda: _notices(tests, reach, mutant), awake=mutant)))
        return False

    # At the end: this process has imported our modules then.
    _with_tests(all_others)
    return found


def _reach() -> Reach:
    """Run all tests on the code as it is, in a process of their own."""
    path = Path("reach.json")
    _, status = os.waitpid(_fork(lambda: _with_tests(lambda tests: _write_reach(tests, path))), 0)
    if status:
        raise SystemExit("The tests fail on the code as it is.")
    found = json.loads(path.read_text())
    return Reach(set(found["at_import"]), {test: set(functions) for test, functions in found["of_test"].items()}, found["seconds"])


def _write_reach(tests: Sequence[pytest.Item], path: Path) -> bool:
    """Returns whether a test failed."""
    from mutmut.state import state

    hits = state()._stats
    at_import, of_test, seconds = sorted(hits), {}, {}
    for test in tests:
        hits.clear()
        started = time.process_time()
        if _fails(test):
            return True
        of_test[test.nodeid], seconds[test.nodeid] = sorted(hits), time.process_time() - started
    path.write_text(json.dumps({"at_import": at_import, "of_test": of_test, "seconds": seconds}))
    return False


def _notices(tests: Sequence[pytest.Item], reach: Reach, mutant: Mutant) -> bool:
    """Whether one of `tests` fails while `mutant` is awake. Ends the process where they do not end."""
    by_name = {test.nodeid: test for test in tests}
    names = reach.tests(mutant.function)
    # Nothing in Python sees this signal, which ends the process: a loop may be anywhere.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, 10 + PATIENCE * sum(reach.seconds[name] for name in names))
    return any(_fails(by_name[name]) for name in names)


def _fails(test: pytest.Item) -> bool:
    from _pytest.runner import runtestprotocol

    # Without a next test, all that it has set up is taken down again.
    return any(report.failed for report in runtestprotocol(test, log=False, nextitem=None))


def _noticed(mutants: Sequence[Mutant], start: Callable[[Mutant], int]) -> set[Mutant]:
    """Those with which a test fails, or does not end. `start` returns the number of a process that tells."""
    found: set[Mutant] = set()
    running: dict[int, Mutant] = {}
    started = done = 0
    while done < len(mutants):
        while started < len(mutants) and len(running) < (os.cpu_count() or 1):
            running[start(mutants[started])] = mutants[started]
            started += 1
        process, status = os.wait()
        mutant = running.pop(process)
        done += 1
        if status:
            found.add(mutant)
        if done % 20 == 0:
            print(f"{done:,} of {len(mutants):,}, {len(found):,} killed", file=sys.stderr, flush=True)
    return found


def _fork(ask: Callable[[], bool], *, awake: Mutant | None = None) -> int:
    """Start a process that ends with 0 where the answer is no, and with 1 where it is yes or there is none. Returns its number."""
    process = os.fork()
    if process:
        return process
    answer = True
    try:
        # Without any, mutmut records what is called.
        os.environ["MUTANT_UNDER_TEST"] = awake.name if awake else "stats"
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        answer = ask()
    finally:
        os._exit(answer)


def _with_tests(ask: Callable[[Sequence[pytest.Item]], bool]) -> bool:
    """Put `ask` in the place of pytest's own loop over the tests. True, too, where they cannot be collected."""
    import hypothesis
    import pytest

    answers: list[bool] = []

    class Loop:
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            if not session.testsfailed:
                answers.append(ask(session.items))
            return True

    # Profiles of tests build on it: an example that fails need not be made small first.
    hypothesis.settings.register_profile("mutation", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate], database=None)
    hypothesis.settings.load_profile("mutation")
    options = ["-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no", "--assert=plain", "--hypothesis-seed=0"]
    pytest.main([*options, *(f"tests/{test}.py" for test in TESTS)], plugins=[Loop()])
    return answers != [False]


def show(mutants: Sequence[Mutant], killed: set[Mutant]) -> str:
    """A small table, by module."""
    lines = [f"{'module':<26}{'mutants':>9}{'killed':>9}{'score':>9}"]
    for module in MODULES:
        of_module = [mutant for mutant in mutants if mutant.module == module]
        if of_module:
            lines.append(_line(f"gate/{module.replace('.', '/')}.py", of_module, killed))
    return "\n".join([*lines, _line("all", mutants, killed)])


def _line(name: str, mutants: Sequence[Mutant], killed: set[Mutant]) -> str:
    count = sum(mutant in killed for mutant in mutants)
    return f"{name:<26}{len(mutants):>9,}{count:>9,}{count / len(mutants):>9.1%}"


if __name__ == "__main__":
    sys.exit(main())
