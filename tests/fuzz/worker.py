"""One process that parses case after case: `python -m tests.fuzz.worker <parser> <seed> <first> <end> <folder> <seconds>`.

The file `at` says which case it is at, so that whoever started it knows what killed it; of each finding it prints one line of JSON,
and at the end one of figures.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import time
import traceback
from itertools import islice
from pathlib import Path

from modelship.core.errors import BadInput
from tests.fuzz.harness import MEMORY
from tests.fuzz.parsers import parsers, self_test


class _HungError(BaseException):
    """Not an Exception, so that no parser takes it for a broken file."""


def main(name: str, seed: int, first: int, end: int, folder: Path, seconds: float) -> None:
    parser = self_test() if name == "self-test" else parsers(folder)[name]
    parser.warm_up()
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGVTALRM, _hang)
    taken, slowest = 0, 0.0
    for number, raw in enumerate(islice(parser.cases(seed), first, end), first):
        (folder / "at").write_text(str(number))
        started = time.process_time()
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        finding = ""
        try:
            parser.parse(raw, number)
            taken += 1
        except BadInput:
            pass
        except _HungError:
            finding = f"took more than {seconds:g} s"
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            finding = f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        slowest = max(slowest, time.process_time() - started)
        if finding:
            (folder / f"finding-{number}").write_bytes(raw)
            print(json.dumps({"case": number, "finding": finding}), flush=True)
    peak = _memory()
    print(json.dumps({"taken": taken, "slowest": slowest, "peak": peak}), flush=True)


def _hang(*_: object) -> None:
    raise _HungError


def _memory() -> int:
    """The most that this program had; `ru_maxrss` would be at least what the process had that started it."""
    with Path("/proc/self/status").open() as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    name, seed, first, end, folder, seconds = sys.argv[1:]
    main(name, int(seed), int(first), int(end), Path(folder), float(seconds))
