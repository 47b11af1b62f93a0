"""Ask GitHub again when it did not answer: a few times, with growing pauses, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from modelship.core import workflow
from modelship.github.client import UnansweredError

PAUSES = (2.0, 6.0, 18.0)
"""Seconds before the second, third and fourth attempt where GitHub was out of order."""

LIMIT_PAUSE = 60.0
"""Seconds after GitHub was asked too much and does not say when to come back; twice as many after each further time.

Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
"""

PATIENCE = 300.0
"""Seconds that are waited in all for one thing. More than that is not granted to GitHub: somebody is paying for the runner."""

T = TypeVar("T")


def patiently(action: Callable[[], T], sleep: Callable[[float], None] = time.sleep) -> T:
    """What `action` returns. Raises what it raises, and UnansweredError when it was not answered within PATIENCE.

    `action` is repeated as a whole, so it must end in the same state however often it is done: a create inside of it comes
    after a search.
    """
    outages, limits, waited = 0, 0, 0.0
    while True:
        try:
            return action()
        except UnansweredError as error:
            if error.is_limit:
                pause = LIMIT_PAUSE * 2**limits if error.retry_after is None else error.retry_after
                limits += 1
            elif outages < len(PAUSES):
                pause = error.retry_after or PAUSES[outages]
                outages += 1
            else:
                raise
            waited += max(pause, 1.0)
            if waited > PATIENCE:
                raise
            workflow.say(f"GitHub: {error}; asking again in {pause:.0f} s")
            sleep(pause)
