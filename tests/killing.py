"""Kill a process at every moment at which it writes: one fork for each call into the operating system that changes something."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
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


class Deaths:
    """Counts the moments before and after each write, and kills this process at one of them."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.moments = 0

    def surround(self, where: Any, names: Iterable[str]) -> None:
        """Let the functions of these names, of a module or a class, be writes."""
        for name in names:
            setattr(where, name, self._around(getattr(where, name)))

    def _around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any, **named: Any) -> Any:
            self._moment()
            found = write(*arguments, **named)
            self._moment()
            return found

        return written

    def _moment(self) -> None:
        if self.at == self.moments:
            os.kill(os.getpid(), signal.SIGKILL)
        self.moments += 1


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
