"""Post JSON to an incoming webhook. Its address is a secret: nothing here says more of it than its host."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from modelship.core.errors import bad_input, infrastructure

_PAUSES = (1.0, 4.0)
"""Seconds before the second and the third attempt, where the answer does not say how long to wait."""
_LONGEST_PAUSE = 30.0
_TIMEOUT = 10
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(url: str, body: Any, sleep: Callable[[float], None] = time.sleep) -> None:
    """Post `body`, at most three times. Raises BadInput for an address that is none, InfrastructureError when it takes nothing."""
    parts = urlsplit(url.strip())
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise bad_input("the webhook is no address that starts with `https://`.")
    request = Request(url.strip(), msgspec.json.encode(body), {"Content-Type": "application/json"}, method="POST")
    opener = build_opener(_NoRedirect)
    for pause in (*_PAUSES, None):
        try:
            with opener.open(request, timeout=_TIMEOUT):
                return
        except HTTPError as error:
            told, wait = f"answered {error.code}", _asked_for(error)
            if error.code != 429 and error.code < 500:
                pause = None
        except (URLError, HTTPException, OSError, ValueError) as error:
            told, wait = f"did not answer ({type(error).__name__})", None
        if pause is None:
            break
        sleep(min(wait or pause, _LONGEST_PAUSE))
    raise infrastructure(f"the webhook at {parts.hostname} {told}: nobody was told.", "Is it still there, and does it take messages?")


def _asked_for(error: HTTPError) -> float | None:
    try:
        return max(0.0, float(error.headers.get("Retry-After") or ""))
    except ValueError:
        return None
