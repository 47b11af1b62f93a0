"""Ask GitHub again when it did not answer: a few times, with growing pauses, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from modelship.core import workflow
from modelship.github.client import UnansweredError

PAUSES = (2.0, 6.0, 18.0)
"""Seconds before the second, third and fourth attempt."""

MAX_PAUSE = 60.0
"""A longer wait that GitHub asks for is not granted: somebody is paying for the runner."""

T = TypeVar("T")


def patiently(action: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `action` returns, after at most four attempts. Raises what it raises, and UnansweredError when none was answered.

    `action` is repeated as a whole, so it must end in the same state however often it is done: a create inside of it comes
    after a search.
    """
    for pause in PAUSES:
        try:
            return action()
        except UnansweredError as error:
            wanted = error.retry_after or pause
            if wanted > MAX_PAUSE:
                raise
            workflow.say(f"GitHub: {error}; asking again in {wanted:.0f} s")
            sleep(wanted)
    return action()
