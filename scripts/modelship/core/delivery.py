"""Send a request to a service outside: again where that helps, and never to another address than the one that was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult
from urllib.request import HTTPRedirectHandler, Request, build_opener

_PAUSES = (1.0, 4.0)
"""Seconds before the second and the third attempt, where the answer does not say how long to wait."""
_LONGEST_PAUSE = 30.0
_TIMEOUT = 10
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def is_private(address: SplitResult) -> bool:
    """Whether nobody on the way can read what is sent there: it is encrypted, or stays on this machine."""
    return address.scheme == "https" or (address.scheme == "http" and address.hostname in _LOOPBACK)


def deliver(request: Request, sleep: Callable[[float], None] = time.sleep) -> str:
    """Send `request`, at most three times: it must be harmless twice. Returns what went wrong, as `answered 404`, or nothing."""
    opener = build_opener(_NoRedirect)
    told = ""
    for pause in (*_PAUSES, None):
        try:
            with opener.open(request, timeout=_TIMEOUT):
                return ""
        except HTTPError as error:
            told, wait = f"answered {error.code}", _asked_for(error)
            if error.code != 429 and error.code < 500:
                pause = None
        except (URLError, HTTPException, OSError, ValueError) as error:
            told, wait = f"did not answer ({type(error).__name__})", None
        if pause is None:
            break
        sleep(min(wait or pause, _LONGEST_PAUSE))
    return told


def _asked_for(error: HTTPError) -> float | None:
    try:
        return max(0.0, float(error.headers.get("Retry-After") or ""))
    except ValueError:
        return None
