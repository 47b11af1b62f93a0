"""Post JSON to an incoming webhook. Its address is a secret: nothing here says more of it than its host."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

import msgspec

from modelship.core.delivery import deliver, is_private
from modelship.core.errors import bad_input, infrastructure


def post(url: str, body: Any, sleep: Callable[[float], None] = time.sleep) -> None:
    """Post `body`, at most three times. Raises BadInput for an address that is none, InfrastructureError when it takes nothing."""
    parts = urlsplit(url.strip())
    if not is_private(parts):
        raise bad_input("the webhook is no address that starts with `https://`.")
    told = deliver(Request(url.strip(), msgspec.json.encode(body), {"Content-Type": "application/json"}, method="POST"), sleep)
    if told:
        raise infrastructure(
            f"the webhook at {parts.hostname} {told}: nobody was told.", "Is it still there, and does it take messages?"
        )
