"""Kill a process at every moment at which it writes: one fork for each call into the operating system that changes something."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

WRITING = frozenset(
    {
        *("open", "write", "flush", "fsync", "close"),
        *("mkdir", "rmdir", "rename", "replace", "symlink", "unlink", "remove", "utime", "flock"),
        *("fork_exec", "killpg", "connect", "sendall"),
    }
)
"""The names of Python's own functions before and after which a process may be killed."""


KILLS_APART = int(os.environ.get("MODELSHIP_TEST_KILLS_APART", "3"))
"""Every so manyeth moment is tried; `make chaos` tries them all."""


def killed_after(moment: int, action: Callable[[], object], at: frozenset[str] = WRITING) -> bool:
    """Do `action` in a fork that is killed (signal 9) at the `moment`-th of its calls and returns of functions named in `at`.

    Returns whether it was killed, rather than had ended before.
    """
    child = os.fork()
    if child == 0:
        left = moment

        def count(_: FrameType, event: str, function: Any) -> None:
            nonlocal left
            if event in ("c_call", "c_return") and function.__name__ in at:
                left -= 1
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.setprofile(count)
            action()
            status = 0
        finally:
            sys.setprofile(None)
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(ended)
    assert code in (0, -signal.SIGKILL), "the action failed"
    return code != 0


def every_moment(step: int = 1) -> Iterator[int]:
    """1, 2, 3 … until the consumer stops, which it does when the action ended unkilled."""
    moment = 1
    while True:
        yield moment
        moment += step
