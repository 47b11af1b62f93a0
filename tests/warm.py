"""Starts commands quickly: a Python that has imported the libraries once forks for each of them.

A command is a process of its own all the same, with its own folder, variables, streams and exit status. Only the start of the
interpreter and the imports, most of a short command's time, are paid once.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any


class WarmPython:
    """A Python that has imported modules, and runs a program (a file, or a folder with a `__main__.py`) as often as it is asked to.

    A module must start no thread that it needs: a fork has only the thread that called it.
    """

    def __init__(self, program: Path, modules: Sequence[str], path: Path | None) -> None:
        self._command = [sys.executable, "-I", __file__, str(program), str(path or ""), *modules]
        self._child = 0
        self._is_known = threading.Event()
        self._process = self._start()
        atexit.register(self._end)

    def run(self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path, timeout: float = 300) -> int:
        """Run the program; returns its exit status (negative: the signal). What it prints goes to `log`."""
        if self._process.poll() is not None:
            self._process = self._start()  # One that took too long fails alone.
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"arguments": list(arguments), "directory": str(directory), "environment": dict(environment), "log": str(log)}
        self._is_known.clear()
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._child = int(self._process.stdout.readline())
        self._is_known.set()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                self._end()
                raise TimeoutError(f"{arguments} took more than {timeout:.0f} s:\n{log.read_text(errors='replace')}")
        return int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill the program that runs now, from another thread. It may have come far before it is known which process it is."""
        self._is_known.wait()
        os.kill(self._child, signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        # Unbuffered, so that nothing is held back from what waits for it.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0)

    def _end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@cache
def warm_python(program: Path, *modules: str, path: Path | None = None) -> WarmPython:
    """The one of this process; `path` is where modules are searched first."""
    return WarmPython(program, modules, path)


def _serve(program: str, path: str, *modules: str) -> None:
    before = list(sys.path)
    if path:
        sys.path.insert(0, path)
    for name in modules:
        importlib.import_module(name)
    sys.path[:] = before
    # What is frozen is never looked at again, so its pages stay shared with every fork.
    gc.collect()
    gc.freeze()
    for line in sys.stdin.buffer:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_become(program, job))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(program: str, job: dict[str, Any]) -> int:
    """Go on as a process that was started for the job alone; returns its exit status."""
    sys.stdin = Path(os.devnull).open()  # noqa: SIM115
    os.dup2(sys.stdin.fileno(), 0)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(job["directory"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv[:] = [program, *job["arguments"]]
    status = 1
    try:
        runpy.run_path(program, run_name="__main__")
        status = 0
    except SystemExit as left:
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    # As an interpreter ends, save that it does not take its modules apart, which would take longer than most commands.
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    _serve(*sys.argv[1:])
