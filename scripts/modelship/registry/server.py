"""An MLflow server that may fail: its errors as ours, and asking again."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from modelship.core import workflow
from modelship.core.errors import ModelshipError, infrastructure

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds, at most, before the second to the sixth attempt."""

T = TypeVar("T")

_ANSWERS = frozenset(
    {
        "CUSTOMER_UNAUTHORIZED",
        "ENDPOINT_NOT_FOUND",
        "INVALID_PARAMETER_VALUE",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
"""MLflow's error codes that asking again does not change. After any other the server may have done what it was asked, or not."""

_NOT_LET_IN = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"})


def connect(tracking_uri: str) -> MlflowClient:
    """A client that asks once: MLflow repeats a create by itself after a lost answer, `patiently` looks first."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


class answering:  # noqa: N801 - reads as a phrase after `with`
    """Turns MLflow's errors into ours; with `absent_is_none`, swallows "does not exist"."""

    def __init__(self, uri: str, *, absent_is_none: bool = False) -> None:
        self.uri = uri
        self.absent_is_none = absent_is_none

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if error is None or isinstance(error, ModelshipError):
            return False
        from mlflow.exceptions import MlflowException

        host = urlsplit(self.uri).hostname or self.uri
        if isinstance(error, ImportError):
            # Artifacts that a client reads from a cloud itself need that cloud's library.
            remedy = "Let the server pass artifacts on: `mlflow server --serve-artifacts`."
            raise infrastructure(f"artifacts of the MLflow server at {host} cannot be read: {reason(error)}.", remedy) from None
        if _status(error) in (401, 403) or getattr(error, "error_code", "") in _NOT_LET_IN:
            remedy = "Is the token, or the user and the password, that MLflow's variables hold still valid, and may it do this?"
            raise infrastructure(f"the MLflow server at {host} refuses the credentials: {reason(error)}.", remedy) from None
        if isinstance(error, OSError):
            raise infrastructure(f"artifacts of the MLflow server at {host} could not be moved: {reason(error)}.") from None
        if not isinstance(error, MlflowException):
            return False
        absent = error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
        if absent and self.absent_is_none:
            return True
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise infrastructure(f"the MLflow server at {host} refused: {reason(error)}.") from None
        raise infrastructure(f"the MLflow server at {host} did not answer: {reason(error)}.", "Is the tracking URI right?") from None


def _status(error: BaseException) -> int | None:
    """The status of the answer that `requests` raised for; artifacts are moved without MLflow's own errors."""
    return getattr(getattr(error, "response", None), "status_code", None)


def is_final(error: Exception) -> bool:
    """Whether asking again would get the same answer. After any other error the server may have done what it was asked, or not."""
    status = _status(error)
    return getattr(error, "error_code", None) in _ANSWERS or (status is not None and 400 <= status < 500 and status not in (408, 429))


def page(tracking_uri: str, path: str) -> str:
    """A page of the server's for a person, without credentials; empty for a store that is no server."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in ("http", "https"):
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path or "/", "", path))


def reason(error: BaseException) -> str:
    """What MLflow says, without a password in the address, and without the chain of exceptions behind it."""
    said = str(error).partition(" with exception ")[0]
    return re.sub(r"//[^\s/]*@", "//", said)[:300].rstrip(".")


def patiently(action: Callable[[], T], uri: str, sleep: Callable[[float], None] = time.sleep) -> T:
    """What `action` returns, after at most six attempts. Raises InfrastructureError when the server at `uri` did not answer.

    `action` is repeated as a whole, so it must end in the same state however often it is done: a create inside of it comes
    after a search. MLflow's own repetitions, which know nothing of that, are to be off.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    with answering(uri):
        for pause in PAUSES:
            try:
                return action()
            except (MlflowException, RequestException) as error:
                if is_final(error):
                    raise
                # Many that failed together do not come back together.
                wait = pause * random.uniform(0.5, 1)
                workflow.say(f"MLflow: {reason(error)}; asking again in {wait:.1f} s")
                sleep(wait)
        return action()
    raise AssertionError("`answering` passes every error on")
