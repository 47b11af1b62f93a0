"""Smoke tests: whether a version that has just been deployed answers as it did when it was registered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelship.core import workflow
from modelship.core.config import Smoke, seconds_of, share_of
from modelship.core.errors import Problem
from modelship.core.examples import MAX_EXAMPLES_BYTES, Examples, read_examples
from modelship.core.records import SmokeCheck
from modelship.core.words import brief, clip, counted, general
from modelship.deployment.asking import Heard, Reply, ask_folder, ask_server
from modelship.deployment.targets.target import Serving

_CALLS = 100
"""Requests of one row that are timed; more where there are more rows."""

_SHOWN = 60


@dataclass(frozen=True)
class SmokeResult:
    """What was found."""

    checks: tuple[SmokeCheck, ...]
    asked: int = 0
    """How many requests were sent."""
    latency_p50: float | None = None
    """Seconds for one row."""
    latency_p99: float | None = None
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all checks hold, and there was something to check."""
        return bool(self.checks) and all(check.holds for check in self.checks)


def smoke(serving: Serving, examples: Path | None, limits: Smoke, python: str, directory: Path) -> SmokeResult:
    """Ask the version that serves what `examples` hold, with the team's interpreter where nothing answers over HTTP.

    Raises BadInput for examples that cannot be read, and where the team's interpreter is not there.
    """
    known = None
    if examples is not None:
        with examples.open("rb") as file:
            known = read_examples(file.read(MAX_EXAMPLES_BYTES + 1), examples.name)
    if serving.url:
        heard = ask_server(serving.url, known, _CALLS)
    elif serving.folder:
        heard = ask_folder(serving.folder, known, examples, _CALLS, python, directory)
    else:
        heard = Heard(silence="the target names neither an address nor a folder")
    result = judge(heard, known, limits)
    for notice in result.notices:
        workflow.annotate("warning", Problem(notice), "modelship smoke test")
    for check in result.checks:
        workflow.say(f"{'✓' if check.holds else '✗'} {check.check} · {check.told}")
    return result


def judge(heard: Heard, known: Examples | None, limits: Smoke) -> SmokeResult:
    """What was heard, against what is known of the model and what it must hold."""
    checks = [SmokeCheck(check="answers", holds=not heard.silence, told=clip(heard.silence, 600) or heard.greeting)]
    if heard.silence:
        return SmokeResult(tuple(checks))
    if known is None:
        notice = "The version has no examples: the smoke test has only seen that it answers, not what."
        return SmokeResult(tuple(checks), notices=(notice,))
    asked = len(heard.single) + (heard.whole is not None) + (heard.malformed is not None)
    p50, p99 = _quantiles([reply.seconds for reply in heard.single if reply.predictions is not None])
    checks += [
        _schema(heard, known),
        _predictions(heard, known, limits.tolerance),
        _errors(heard, share_of(limits.max_error_rate)),
        _latency(p50, p99, limits),
    ]
    return SmokeResult(tuple(checks), asked, p50, p99)


def _schema(heard: Heard, known: Examples) -> SmokeCheck:
    """One prediction for each row, and what is no table is refused by a server that lives on."""
    rows = len(known.dataframe_split.data)
    whole = heard.whole
    if whole is None or whole.predictions is None:
        return _check("schema", False, f"{counted(rows, 'row')} at once: {_why(whole)}")
    if len(whole.predictions) != rows:
        return _check("schema", False, f"{counted(rows, 'row')} are answered with {counted(len(whole.predictions), 'prediction')}")
    if heard.malformed is not None and not 400 <= heard.malformed.status < 500:
        return _check(
            "schema", False, f"what is no table is answered with {_status(heard.malformed)}, not with a status of 400 to 499"
        )
    if heard.malformed is not None and (heard.after is None or heard.after.predictions is None):
        return _check("schema", False, f"after a request that is no table: {_why(heard.after)}")
    refused = ", and what is no table is refused" if heard.malformed is not None else ""
    return _check("schema", True, f"one prediction for each of {counted(rows, 'row')}{refused}")


def _predictions(heard: Heard, known: Examples, tolerance: float) -> SmokeCheck:
    """The registered answers, from the batch and from single rows."""
    rows = len(known.predictions)
    wrong: dict[int, Any] = {}
    for number, found in _answered(heard, rows):
        if not is_close(found, known.predictions[number], tolerance):
            wrong.setdefault(number, found)
    answered = {number for number, _ in _answered(heard, rows)}
    if not answered:
        return _check("predictions", False, "there are none to compare")
    if not wrong:
        return _check("predictions", True, f"{counted(len(answered), 'row')} of {rows:,} answered as when the version was registered")
    first = min(wrong)
    example = f"{brief(wrong[first], _SHOWN)} instead of {brief(known.predictions[first], _SHOWN)}"
    return _check("predictions", False, f"{len(wrong)} of {rows:,} answers differ, as for row {first + 1}: {example}")


def _answered(heard: Heard, rows: int) -> Iterator[tuple[int, Any]]:
    """Number of a row, and an answer to it."""
    if heard.whole and heard.whole.predictions is not None:
        yield from enumerate(heard.whole.predictions[:rows])
    for call, reply in enumerate(heard.single):
        if reply.predictions:
            yield call % rows, reply.predictions[0]


def is_close(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether two answers are one: numbers are when they are `tolerance` apart, times their size where that is above one."""
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, (int, float)) and isinstance(expected, (int, float)):
        try:
            return abs(found - expected) <= tolerance * max(1.0, abs(expected))
        except OverflowError:  # An integer that no float can hold.
            return found == expected
    if isinstance(found, Sequence) and isinstance(expected, Sequence) and not isinstance(found, str) and not isinstance(expected, str):
        return len(found) == len(expected) and all(map(is_close, found, expected, [tolerance] * len(found)))
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(is_close(found[key], expected[key], tolerance) for key in found)
    return type(found) is type(expected) and bool(found == expected)


def _errors(heard: Heard, allowed: float) -> SmokeCheck:
    failed = [reply for reply in heard.single if reply.predictions is None or len(reply.predictions) != 1]
    share = len(failed) / len(heard.single) if heard.single else 1.0
    told = f"{len(failed):,} of {counted(len(heard.single), 'request')} failed"
    if failed:
        told += f", the first: {_why(failed[0])}"
    return _check("errors", share <= allowed, told)


def _latency(p50: float | None, p99: float | None, limits: Smoke) -> SmokeCheck:
    if p50 is None or p99 is None:
        return _check("latency", limits.latency_p99 is None, "no request was answered")
    told = f"p50 {_milliseconds(p50)}, p99 {_milliseconds(p99)} for one row"
    if limits.latency_p99 is None:
        return _check("latency", True, told)
    return _check("latency", p99 <= seconds_of(limits.latency_p99), f"{told}; allowed are {limits.latency_p99}")


def _quantiles(seconds: list[float]) -> tuple[float | None, float | None]:
    """The 50th and 99th percentile, each a value that was measured (nearest rank); None of nothing."""
    if not seconds:
        return None, None
    ordered = sorted(seconds)
    return ordered[math.ceil(0.5 * len(ordered)) - 1], ordered[math.ceil(0.99 * len(ordered)) - 1]


def _milliseconds(seconds: float) -> str:
    return f"{general(1000 * seconds, 3)} ms"


def _why(reply: Reply | None) -> str:
    if reply is None:
        return "there is no answer"
    if reply.error:
        return brief(reply.error, 300)
    return _status(reply) if reply.predictions is None else counted(len(reply.predictions), "prediction")


def _status(reply: Reply) -> str:
    return f"status {reply.status}" if reply.status else "no answer"


def _check(name: str, holds: bool, told: str) -> SmokeCheck:
    return SmokeCheck(check=name, holds=holds, told=clip(told, 600))
