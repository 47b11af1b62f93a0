"""A log of what a service predicted: JSON lines. One file, without dependencies, to import or to copy.

    log = PredictionLog("predictions", model="flight-delay", version=7, key="flight_id")
    log.write(rows, predictions, scores)

What `write` has returned from survives the death of the process; with `fsync` that of the machine, too. Every process, whichever way
it came to be, writes files of its own: `<first row's time>-<host>-<process>-<random>.jsonl.open`, renamed to `.jsonl` when it is full
or closed. A process that died leaves its file open; the next one on the same machine closes it, without the line that was being
written.

`mlflow_app` is MLflow's scoring server with this log, for uvicorn. Written for Python 3.9 and newer on Linux
and macOS.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import fcntl
import io
import json
import math
import os
import re
import secrets
import socket
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

UTC = timezone.utc  # noqa: UP017 - `datetime.UTC` came with Python 3.11.

TIME, MODEL, VERSION, PREDICTION, SCORE = "predicted-at", "model", "version", "prediction", "score"
"""Columns of the log's own, beside the key, `score_<class>` and the features."""

OPEN, CLOSED = ".jsonl.open", ".jsonl"
"""How the names of files end while somebody writes them, and afterwards."""

Row = Mapping[str, Any]


class PredictionLog:
    """Appends predictions to files in `folder`, which is made where it is missing. Threads and forked processes may share one.

    `model` and `version` are those of the registry, as `flight-delay` and `7`. `key` is the column of `rows` that names a row: truth
    is joined by it. A file is closed when it has `max_bytes` or is `max_seconds` old. `fsync` waits for the disk at every write.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        model: str,
        version: int | str,
        key: str,
        max_bytes: int = 64 * 1024 * 1024,
        max_seconds: float = 3600,
        fsync: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.key = key
        self._of_all = {MODEL: model, VERSION: int(version)}
        self._max_bytes, self._max_seconds, self._fsync = max_bytes, max_seconds, fsync
        self._lock = threading.Lock()
        self._file: _File | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        close_orphans(self.folder)
        myself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _after_fork(myself()))

    def write(self, rows: Any, predictions: Any = None, scores: Any = None) -> None:
        """Append one line for each of `rows`: a list of dictionaries or a pandas DataFrame, with the key and the features.

        `predictions` is a sequence or an array of what the model says of each row; `scores` has a probability of the positive class
        for each, or a dictionary of class to probability. Returns when all lines are in the file. Raises ValueError for lengths that
        differ, and OSError when the file cannot be written: then none of the lines is in it.
        """
        found = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
        for answers, name in ((predictions, "predictions"), (scores, "scores")):
            if answers is not None and len(answers) != len(found):
                raise ValueError(f"{len(found)} rows, and {len(answers)} {name}")
        if predictions is None and scores is None:
            raise ValueError("neither predictions nor scores")
        answers = [
            _answer(
                None if predictions is None else predictions[place],
                None if scores is None else scores[place],
            )
            for place in range(len(found))
        ]
        self.append(found, answers)

    def append(self, rows: Sequence[Row], answers: Sequence[Row]) -> None:
        """Append rows with answers that are dictionaries of `prediction`, `score` and `score_<class>`. Raises OSError as `write`."""
        if not rows:
            return
        now = datetime.now(UTC)
        of_all = {TIME: now.isoformat(timespec="microseconds").replace("+00:00", "Z"), **self._of_all}
        lines = [
            _line({**of_all, self.key: row.get(self.key), **answer, **self._features(row)})
            for row, answer in zip(rows, answers)  # noqa: B905 - `strict` came with Python 3.10.
        ]
        with self._lock:
            file = self._current(now)
            try:
                file.append("".join(lines).encode(), fsync=self._fsync)
            except OSError:
                if file.is_broken:
                    self._file = None
                raise

    def close(self) -> None:
        """Close the file that is open. The next write opens another."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file = None

    def __enter__(self) -> PredictionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _current(self, now: datetime) -> _File:
        file = self._file
        if file is not None and (file.size >= self._max_bytes or time.monotonic() - file.began >= self._max_seconds):
            file.close()
            file = None
        if file is None:
            file = self._file = _File(self.folder, now)
        return file

    def _features(self, row: Row) -> dict[str, Any]:
        """The features; one that is called as a column of the log's own is, is called `feature_…`."""
        return {f"feature_{name}" if _is_own(str(name)) else str(name): value for name, value in row.items() if name != self.key}

    def forked(self) -> None:
        """Leave the file to the parent process, and whatever lock its other threads held."""
        self._lock, self._file = threading.Lock(), None


def _after_fork(log: PredictionLog | None) -> None:
    if log is not None:
        log.forked()


class _File:
    """A file that this process alone writes. It is locked as long as the process lives: so others see that it is no orphan."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.began = time.monotonic()
        self.size = 0
        self.is_broken = False
        while True:
            self.path, self._handle = _created(folder, now)
            _lock(self._handle, wait=True)
            if self.path.exists():
                break
            os.close(self._handle)  # Between the two, another process took it for an orphan.

    def append(self, raw: bytes, *, fsync: bool) -> None:
        """Write all of `raw` at once, or raise OSError and leave nothing of it."""
        left = memoryview(raw)
        try:
            while left:  # One call writes everything, unless the disk is full.
                left = left[os.write(self._handle, left) :]
            if fsync:
                os.fsync(self._handle)
        except OSError:
            try:
                os.ftruncate(self._handle, self.size)
            except OSError:
                self.is_broken = True  # Half a line may be its last. What comes next goes into another file.
            raise
        self.size += len(raw)

    def close(self) -> None:
        """Give the file its final name, in one step."""
        os.fsync(self._handle)
        _finish(self.path)
        os.close(self._handle)


def _created(folder: Path, now: datetime) -> tuple[Path, int]:
    """A new file and its handle. It is not inherited by other programs, which would keep its lock."""
    host = re.sub(r"[^A-Za-z0-9.-]", "", socket.gethostname())[:40] or "host"
    path = folder / f"{now:%Y%m%dT%H%M%SZ}-{host}-{os.getpid()}-{secrets.token_hex(4)}{OPEN}"
    return path, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)


def close_orphans(folder: Path) -> None:
    """Give the files of processes that died their final names, without a line that was being written. What cannot be closed stays."""
    for path in folder.glob(f"*{OPEN}"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDWR)
            try:
                if not _lock(handle, wait=False) or not path.exists():
                    continue
                size = _whole_lines(handle)
                if size:
                    os.ftruncate(handle, size)
                    os.fsync(handle)
                    _finish(path)
                else:
                    path.unlink()
            finally:
                os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # Somebody else has it, or the file system knows no locks.
        return False
    return True


def _whole_lines(handle: int) -> int:
    """How many bytes of a file are whole lines."""
    end = os.fstat(handle).st_size
    while end:
        start = max(end - 65536, 0)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _finish(path: Path) -> None:
    path.rename(path.with_name(path.name[: -len(OPEN)] + CLOSED))
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_own(name: str) -> bool:
    return name in (TIME, MODEL, VERSION, PREDICTION, SCORE) or name.startswith(f"{SCORE}_")


def _answer(prediction: Any, score: Any) -> dict[str, Any]:
    found = {} if prediction is None else {PREDICTION: prediction}
    if isinstance(score, Mapping):
        return {**found, **{f"{SCORE}_{name}": value for name, value in score.items()}}
    return found if score is None else {**found, SCORE: score}


def _line(row: Row) -> str:
    written = json.dumps(_plain(row), separators=(",", ":"))
    # JSON has no word for infinity, but any reader takes such a number for it.
    return (_TEXT_OR_INFINITY.sub(_written, written) if "Infinity" in written else written) + "\n"


_TEXT_OR_INFINITY = re.compile(r'"(?:[^"\\]|\\.)*"|Infinity')


def _written(found: re.Match[str]) -> str:
    return "1e999" if found[0] == "Infinity" else found[0]


def _plain(value: Any) -> Any:
    """A value that JSON can hold; nothing for NaN and what pandas calls missing."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (date, datetime)):
        return None if value != value else value.isoformat()
    if hasattr(value, "tolist"):  # What NumPy holds.
        plain = value.tolist()
        return _plain(plain) if plain is not value else str(value)
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)


# MLflow's scoring server, and any other ASGI application that answers as it does.

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def mlflow_app() -> Application:
    """MLflow's scoring server of the model at MLFLOW_MODEL_URI, with a log: `uvicorn --factory prediction_log:mlflow_app`.

    PREDICTION_LOG is the folder, PREDICTION_LOG_MODEL, PREDICTION_LOG_VERSION and PREDICTION_LOG_KEY what `PredictionLog` takes,
    PREDICTION_LOG_ANSWER the column for answers that are one value for each row (`prediction` without it), and PREDICTION_LOG_FSYNC
    `true` to wait for the disk. Raises KeyError for a variable that is not set.
    """
    from mlflow.pyfunc import scoring_server

    given = os.environ
    log = PredictionLog(
        given["PREDICTION_LOG"],
        model=given["PREDICTION_LOG_MODEL"],
        version=given["PREDICTION_LOG_VERSION"],
        key=given["PREDICTION_LOG_KEY"],
        fsync=given.get("PREDICTION_LOG_FSYNC", "").lower() == "true",
    )
    app: Application = scoring_server.init(scoring_server.load_model_with_mlflow_config(given["MLFLOW_MODEL_URI"]))
    return Logged(app, log, answer=given.get("PREDICTION_LOG_ANSWER", PREDICTION))


class Logged:
    """An ASGI application that answers `POST /invocations` as MLflow's scoring server does, and logs before it answers.

    A request is answered once its rows are in the log. Where they cannot be written the answer is 503: a prediction that nobody can
    look up later is not given. `answer` is the column for answers that are one value for each row: `prediction` or `score`.
    """

    def __init__(self, app: Application, log: PredictionLog, *, answer: str = PREDICTION) -> None:
        self._app, self._log, self._answer = app, log, answer

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""
        if scope["type"] == "lifespan":
            try:
                await self._app(scope, receive, send)
            finally:
                self._log.close()
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"].rstrip("/") == "/invocations":
            await self._invoke(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _invoke(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        parts: list[bytes] = []
        held: list[Message] = []

        async def heard() -> Message:
            message = await receive()
            parts.append(message.get("body", b""))
            return message

        async def hold(message: Message) -> None:
            held.append(message)

        await self._app(scope, heard, hold)
        if held and held[0].get("status") == 200:
            media = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")
            said = b"".join(message.get("body", b"") for message in held)
            try:
                await asyncio.get_running_loop().run_in_executor(None, self._write, media, b"".join(parts), said)
            except OSError as error:
                print(f"prediction log: {error}", file=sys.stderr, flush=True)
                held = _refusal()
        for message in held:
            await send(message)

    def _write(self, media: str, request: bytes, answer: bytes) -> None:
        answers = answers_in(answer, self._answer)
        rows = rows_in(media, request)
        # Rows that cannot be told apart are logged without features: what was predicted counts all the same.
        self._log.append(rows if len(rows) == len(answers) else [{}] * len(answers), answers)


def _refusal() -> list[Message]:
    return [
        {"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"application/json")]},
        {"type": "http.response.body", "body": b'{"error": "the prediction could not be logged"}'},
    ]


def answers_in(raw: bytes, column: str = PREDICTION) -> list[dict[str, Any]]:
    """The answers in what MLflow's scoring server says: a dictionary of columns for each row.

    One value for a row is `column`. Of several, named ones have the names that begin as a column of the log does; those without
    names are `score_0`, `score_1` and so on.
    """
    found = json.loads(raw)
    predictions = found.get("predictions", []) if isinstance(found, dict) else found
    if isinstance(predictions, dict):
        predictions = _transposed(predictions)
    return [_named(one, column) for one in (predictions if isinstance(predictions, list) else [predictions])]


def _named(answer: Any, column: str) -> dict[str, Any]:
    if isinstance(answer, dict):
        own = {name: value for name, value in answer.items() if name in (PREDICTION, SCORE) or name.startswith(f"{SCORE}_")}
        return own or ({column: next(iter(answer.values()))} if len(answer) == 1 else {PREDICTION: json.dumps(answer)})
    if isinstance(answer, list):
        if len(answer) == 1:
            return _named(answer[0], column)
        if all(isinstance(value, (int, float)) for value in answer):
            return {f"{SCORE}_{place}": value for place, value in enumerate(answer)}
        return {PREDICTION: json.dumps(answer)}
    return {column: answer}


def rows_in(media: str, raw: bytes) -> list[dict[str, Any]]:
    """The rows of a request to MLflow's scoring server, with their columns; none where it has no names for them."""
    if media.partition(";")[0].strip().lower() == "text/csv":
        return list(csv.DictReader(io.StringIO(raw.decode("utf-8", "replace"))))
    try:
        asked = json.loads(raw)
    except ValueError:
        return []
    if not isinstance(asked, dict):
        return []
    split = asked.get("dataframe_split")
    if isinstance(split, dict) and isinstance(split.get("columns"), list):
        names = [str(name) for name in split["columns"]]
        return [dict(zip(names, row)) for row in split.get("data", [])]  # noqa: B905 - `strict` came with Python 3.10.
    for name in ("dataframe_records", "instances", "inputs"):
        rows = asked.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        if isinstance(rows, dict) and name != "dataframe_records":
            return _transposed(rows)
    return []


def _transposed(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns of equal length as rows; none where they differ."""
    lists = {name: values if isinstance(values, list) else [values] for name, values in columns.items()}
    lengths: Iterable[int] = {len(values) for values in lists.values()}
    if len(set(lengths)) != 1:
        return []
    return [dict(zip(lists, row)) for row in zip(*lists.values())]  # noqa: B905 - `strict` came with Python 3.10.
