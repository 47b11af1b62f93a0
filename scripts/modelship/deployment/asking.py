"""Ask a version that serves: over HTTP, or loaded in a process of the team's interpreter."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelship.core import workflow
from modelship.core.credentials import without_secrets
from modelship.core.errors import Problem, bad_input
from modelship.core.examples import Examples, Split
from modelship.core.words import brief, clean
from modelship.training.scorer import Scorer, crash, model_environment, read_answer

_ANSWER_SECONDS = 30.0
"""What one request may take before it has failed."""
_PATIENCE_SECONDS = 20.0
"""For all timed requests beyond one for each row."""
_LOADING_SECONDS = 600.0
_MOST_ANSWER_BYTES = 16 * 1024 * 1024
_GREETINGS = 10
_MALFORMED = b'{"modelship": "this is no table"}'


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came back of one request."""

    seconds: float = 0.0
    predictions: tuple[Any, ...] | None = None
    """One for each row; None where there are none."""
    error: str = ""
    """Why there are none."""
    status: int = 0
    """Of the HTTP answer; 0 without one."""


class Heard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a version answered."""

    whole: Reply | None = None
    """To all rows of the examples at once."""
    single: tuple[Reply, ...] = ()
    """To one row each: to the first, the second, and so on, and again from the first."""
    malformed: Reply | None = None
    """To what is no table; None where nothing was asked over HTTP."""
    after: Reply | None = None
    """To all rows again, after that."""
    greeting: str = ""
    """How it showed that it is there."""
    silence: str = ""
    """Why it gave no answer at all; empty where it did."""


class _Answer(Heard, frozen=True, forbid_unknown_fields=True):
    """What a process of the team's interpreter says."""

    problem: Problem | None = None


# Over HTTP -----------------------------------------------------------------------------------------------------------------------


def ask_server(url: str, examples: Examples | None, calls: int) -> Heard:
    """Ask the server at `url`: whether it is there, all rows, single rows (at least `calls`), what is no table, all rows again."""
    server = _Server(url)
    try:
        silence = server.greet()
        if silence or examples is None:
            return Heard(silence=silence, greeting="GET /ping is answered")
        request = examples.request()
        whole = server.ask(request)
        single = server.ask_each(_singles(examples.dataframe_split), calls)
        malformed = server.ask(_MALFORMED)
        return Heard(whole, single, malformed, server.ask(request), greeting="GET /ping is answered")
    finally:
        server.close()


def _singles(split: Split) -> list[bytes]:
    return [msgspec.json.encode({"dataframe_split": {"columns": split.columns, "data": [row]}}) for row in split.data]


class _Server:
    """A connection to a server, kept open from one request to the next as its users' are."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
        self._path = parts.path.rstrip("/")

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def greet(self) -> str:
        """Whether it is ready: why not, empty where it is. A server behind a balancer may need a moment."""
        said = ""
        for attempt in range(_GREETINGS):
            if attempt:
                time.sleep(1)
            status, _, error = self._exchange("GET", "/ping", None)
            if status == 200:
                return ""
            said = f"GET /ping: {error or f'status {status}'}"
        return said

    def ask_each(self, requests: list[bytes], calls: int) -> tuple[Reply, ...]:
        """Ask one after the other, over and over."""
        self.ask(requests[0])  # A first request may open the connection.
        replies: list[Reply] = []
        began = time.monotonic()
        for call in range(max(calls, len(requests))):
            if call >= len(requests) and time.monotonic() - began > _PATIENCE_SECONDS:
                break
            replies.append(self.ask(requests[call % len(requests)]))
        return tuple(replies)

    def ask(self, request: bytes) -> Reply:
        """One request for predictions."""
        began = time.perf_counter()
        status, body, error = self._exchange("POST", "/invocations", request)
        seconds = time.perf_counter() - began
        if error:
            return Reply(seconds, error=error)
        if status != 200:
            return Reply(seconds, error=f"status {status}: {brief(body.decode(errors='replace'), 200)}", status=status)
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            return Reply(seconds, error="the answer is no JSON", status=status)
        predictions = found.get("predictions") if isinstance(found, dict) else None
        if not isinstance(predictions, list):
            return Reply(seconds, error="the answer holds no `predictions`", status=status)
        return Reply(seconds, tuple(predictions), status=status)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes, str]:
        """Status and body of an answer, or why there is none."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self._connection.request(method, self._path + path, body, headers)
            answer = self._connection.getresponse()
            content = answer.read(_MOST_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # The next request opens it again.
            return 0, b"", clean(str(error) or type(error).__name__, 200)
        if len(content) > _MOST_ANSWER_BYTES:
            self._connection.close()
            return 0, b"", "the answer is too large"
        return answer.status, content, ""


# In the team's interpreter -------------------------------------------------------------------------------------------------------


def ask_folder(folder: Path, examples: Examples | None, file: Path | None, calls: int, python: str, directory: Path) -> Heard:
    """Load the model in `folder` with the interpreter `python`, and ask it what `file` holds.

    Raises BadInput where there is no such interpreter.
    """
    if not (shutil.which(python) or (directory / python).is_file()):
        raise bad_input(f"there is no interpreter `{python}`, which would load the model.", "Set `train.python`.")
    with tempfile.TemporaryDirectory(prefix="modelship-") as scratch:
        scorer = Scorer(python, directory, model_environment(without_secrets(os.environ)), Path(scratch))
        task = {
            "task": "answer",
            "model": str(folder.resolve()),
            "examples": str(file.resolve()) if file else None,
            "calls": calls,
            "patience": _PATIENCE_SECONDS,
        }
        with workflow.commands_stopped():
            finished = scorer.run(task, _LOADING_SECONDS)
        if finished.timed_out:
            return Heard(silence=f"it gave no answer within {_LOADING_SECONDS / 60:.0f} minutes")
        try:
            raw = read_answer(scorer.result, finished, _MOST_ANSWER_BYTES)
            if raw is None:
                return Heard(silence=crash("the model", finished.exit_status).message)
            answer = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.DecodeError, ValueError) as error:
            return Heard(silence=f"what its process says cannot be read: {clean(str(error), 200)}")
    if answer.problem:
        return Heard(silence=answer.problem.message)
    return Heard(answer.whole, answer.single, greeting="the model loads")
