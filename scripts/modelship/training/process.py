"""Run the team's command: streamed, timed, bounded, without our secrets."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelship.core.credentials import masked

_TAIL_LINES = 40
_LINE_LIMIT = 500
_MOST_OF_A_LINE = 65_536
_GRACE_SECONDS = 10.0

# Training runs code that nobody has reviewed yet. It gets no token, and none of the files with which a step sets outputs,
# variables or paths for later steps.
_WITHHELD = {
    "GITHUB_TOKEN", "GH_TOKEN", "GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY",
}  # fmt: skip
_WITHHELD_PREFIXES = ("MODELSHIP_", "ACTIONS_")


@dataclass(frozen=True)
class Finished:
    """How a command ended: exit status (negative: the signal), seconds, bytes of its largest process, last lines.

    The lines are for records and comments, where nothing masks what a log would: secrets of the command's environment are not in them.
    """

    exit_status: int
    timed_out: bool
    seconds: float
    peak_memory_bytes: int
    log_tail: tuple[str, ...]


def training_environment(environ: Mapping[str, str], extra: Mapping[str, str], tools: Path | None) -> dict[str, str]:
    """The team's own variables less what training must not see; `tools` is searched after everything on PATH."""
    environment = {name: value for name, value in environ.items() if name not in _WITHHELD and not name.startswith(_WITHHELD_PREFIXES)}
    if tools:
        environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), str(tools)])
    return {**environment, **extra}


def run_command(
    command: str, directory: Path, environment: Mapping[str, str], timeout: float, most_output: float = float("inf")
) -> Finished:
    """Run `command` with bash, passing its output on as it comes; stop it and all its children after `timeout` seconds.

    After `most_output` bytes the log says so and shows no more; the last lines are kept all the same.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
    try:
        timed_out = not _stream(process, tail, started + timeout, most_output)
        if timed_out:
            _stop(process)
        exit_status = process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        # What the command left running in the background must not outlive it into later steps.
        _signal(process, signal.SIGKILL)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    peak = usage if sys.platform == "darwin" else usage * 1024
    return Finished(exit_status, timed_out, time.monotonic() - started, peak, tuple(_readable(line, environment) for line in tail))


def _stream(process: subprocess.Popen[bytes], tail: deque[bytes], deadline: float, most_output: float) -> bool:
    """Copy output until the command ends; False when the deadline came first."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    is_inside_line = False
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if not selector.select(min(left, 0.5)):
                if process.poll() is not None:
                    break  # A background child still holds the pipe.
                continue
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            if most_output > 0:
                most_output -= len(chunk)
                shown = chunk if most_output > 0 else b"\n(more output is not shown)\n"
                sys.stdout.buffer.write(shown)
                sys.stdout.buffer.flush()
                is_inside_line = not shown.endswith(b"\n")
            *lines, rest = (rest + chunk)[-1_000_000:].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            tail.extend(line[:_MOST_OF_A_LINE] for line in lines if line.strip())
    if rest.strip():
        tail.append(rest[:_MOST_OF_A_LINE])
    if is_inside_line:
        # A progress bar, say. The runner obeys only what begins a line, and it is told next to obey again.
        sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    while process.poll() is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _readable(line: bytes, environment: Mapping[str, str]) -> str:
    # Cut afterwards: half a secret is not known as one.
    text = masked(line.decode("utf-8", errors="replace"), environment)[:_LINE_LIMIT]
    return "".join(character if character.isprintable() or character == "\t" else "·" for character in text)


def _stop(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
