"""Smoke tests: what is judged of what was heard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.core.config import Smoke
from modelship.core.errors import BadInput
from modelship.core.examples import Examples, Split
from modelship.deployment.asking import Heard, Reply
from modelship.deployment.smoke import SmokeResult, is_close, judge, smoke
from modelship.deployment.targets.target import Serving

DEFAULT = Smoke()
KNOWN = Examples(Split(("a",), ((1,), (2,), (3,))), (0.25, 0.5, 1))


def heard(**changes: Any) -> Heard:
    """A server that answers as registered, each row three times by itself, in 1 to 9 ms."""
    whole = Reply(0.002, (0.25, 0.5, 1), status=200)
    single = tuple(Reply((call + 1) / 1000, (KNOWN.predictions[call % 3],), status=200) for call in range(9))
    told = Heard(whole, single, Reply(0.001, error="status 400: no", status=400), whole, greeting="it is there")
    return msgspec.structs.replace(told, **changes)


def judged(limits: Smoke = DEFAULT, **changes: Any) -> SmokeResult:
    return judge(heard(**changes), KNOWN, limits)


def broken(result: SmokeResult) -> dict[str, str]:
    return {check.check: check.told for check in result.checks if not check.holds}


def test_a_version_that_answers_as_registered_passes() -> None:
    result = judged()
    assert result.passed
    assert [check.check for check in result.checks] == ["answers", "schema", "predictions", "errors", "latency"]
    assert (result.asked, result.latency_p50, result.latency_p99, result.notices) == (11, 0.005, 0.009, ())


def test_nothing_checked_is_nothing_passed() -> None:
    assert not SmokeResult(()).passed


@pytest.mark.parametrize(
    ("changes", "check", "says"),
    [
        ({"silence": "GET /ping: refused"}, "answers", "GET /ping: refused"),
        ({"whole": None}, "schema", "3 rows at once: there is no answer"),
        ({"whole": Reply(0.1, error="status 500: oh", status=500)}, "schema", "3 rows at once: status 500: oh"),
        ({"whole": Reply(0.1, (0.25, 0.5), status=200)}, "schema", "3 rows are answered with 2 predictions"),
        ({"whole": Reply(0.1, (0.25, 0.5, 1, 1), status=200)}, "schema", "3 rows are answered with 4 predictions"),
        ({"malformed": Reply(0.1, (1,), status=200)}, "schema", "what is no table is answered with status 200"),
        ({"malformed": Reply(0.1, error="x", status=500)}, "schema", "what is no table is answered with status 500"),
        ({"malformed": Reply(0.1, error="reset")}, "schema", "what is no table is answered with no answer"),
        ({"after": Reply(0.1, error="refused")}, "schema", "after a request that is no table: refused"),
        (
            {"whole": Reply(0.1, (0.25, 0.5001, 1), status=200)},
            "predictions",
            "1 of 3 answers differ, as for row 2: 0.5001 instead of 0.5",
        ),
        ({"whole": Reply(0.1, (0.25, None, 1), status=200)}, "predictions", "row 2: None instead of 0.5"),
        ({"whole": Reply(0.1, ("0.25", 0.5, 1), status=200)}, "predictions", "row 1: 0.25 instead of 0.25"),
        ({"whole": Reply(0.1, (0.25, 0.5, True), status=200)}, "predictions", "row 3: True instead of 1"),
        ({"single": (Reply(0.1, (9,), status=200),)}, "predictions", "row 1: 9 instead of 0.25"),
        ({"single": ()}, "errors", "0 of 0 requests failed"),
        (
            {"single": (Reply(0.1, error="status 503: busy", status=503),)},
            "errors",
            "1 of 1 request failed, the first: status 503: busy",
        ),
        ({"single": (Reply(0.1, (0.25, 0.25), status=200),)}, "errors", "the first: 2 predictions"),
    ],
)
def test_what_does_not_hold_is_told(changes: dict[str, Any], check: str, says: str) -> None:
    result = judged(**changes)
    assert not result.passed
    assert says in broken(result)[check]


def test_silence_ends_the_questions() -> None:
    assert [check.check for check in judged(silence="it is gone", whole=None).checks] == ["answers"]


def test_a_share_of_failing_requests_may_be_allowed() -> None:
    single = (*heard().single[:8], Reply(0.1, error="status 503", status=503))
    assert broken(judged(single=single)) == {"errors": "1 of 9 requests failed, the first: status 503"}
    assert judged(Smoke(max_error_rate=0.12), single=single).passed
    assert judged(Smoke(max_error_rate="12%"), single=single).passed
    assert not judged(Smoke(max_error_rate=0.11), single=single).passed


@pytest.mark.parametrize(("limit", "holds"), [("9ms", True), ("8.9ms", False), ("0.009s", True)])
def test_the_slowest_answers_are_held_against_the_budget(limit: str, holds: bool) -> None:
    result = judged(Smoke(latency_p99=limit))
    assert result.passed is holds
    assert (broken(result) == {}) is holds


def test_latency_without_an_answer_breaks_a_budget_only() -> None:
    single = (Reply(0.1, error="x"),)
    limits = Smoke(max_error_rate=1.0)
    assert judged(limits, single=single).passed
    assert "latency" in broken(judged(Smoke(max_error_rate=1.0, latency_p99="1s"), single=single))


def test_without_examples_it_says_so() -> None:
    blind = judge(heard(), None, Smoke())
    assert blind.passed
    assert "has no examples" in blind.notices[0]
    assert not judge(heard(silence="refused"), None, Smoke()).passed


def test_nothing_to_ask_is_no_pass(tmp_path: Path) -> None:
    assert broken(smoke(Serving(), None, Smoke(), "python", tmp_path)) == {
        "answers": "the target names neither an address nor a folder"
    }


# One answer and another ----------------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_an_answer_is_itself_through_json(value: Any) -> None:
    assert is_close(json.loads(json.dumps(value)), value, 0.0)


@given(VALUES, VALUES)
def test_no_tolerance_means_equal(one: Any, other: Any) -> None:
    assert is_close(one, other, 0.0) == is_close(other, one, 0.0)
    if is_close(one, other, 0.0):
        assert one == other


@given(st.floats(-1e12, 1e12), st.floats(-1e3, 1e3), st.floats(1e-9, 1.0))
def test_numbers_may_be_a_tolerance_apart(expected: float, moved: float, tolerance: float) -> None:
    allowed = tolerance * max(1.0, abs(expected))
    if not math.isclose(abs(moved), allowed, rel_tol=1e-3):
        found = expected + moved
        assert is_close(found, expected, tolerance) == (abs(found - expected) <= allowed)


@pytest.mark.parametrize("other", [float("nan"), float("inf"), 10**400, None, "1", True, [1], {"a": 1}])
def test_what_is_no_such_number_is_far(other: Any) -> None:
    assert not is_close(other, 1, 1e6)
    assert not is_close([other], [1], 1e6)
    assert not is_close({"a": other}, {"a": 1}, 1e6)


# Examples ------------------------------------------------------------------------------------------------------------------------


def test_examples_that_cannot_be_read_are_no_reason_to_pass(tmp_path: Path) -> None:
    (tmp_path / "examples.json").write_text('{"dataframe_split": {}}')
    with pytest.raises(BadInput, match="holds no examples"):
        smoke(Serving(folder=tmp_path), tmp_path / "examples.json", Smoke(), "python", tmp_path)


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no interpreter `\.venv/bin/python`"):
        smoke(Serving(folder=tmp_path), None, Smoke(), ".venv/bin/python", tmp_path)


def test_the_process_that_loads_a_model_has_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ("AWS_ACCESS_KEY_ID", "MLFLOW_TRACKING_PASSWORD", "DEPLOY_TOKEN", "DB_PASSWORD", "API_KEY", "SLACK_WEBHOOK", "GOOGLE_X")
    for name in secret:
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("KEYBOARD", "plain")
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment.txt\n")
    interpreter.chmod(0o755)
    result = smoke(Serving(folder=tmp_path), None, Smoke(), str(interpreter), tmp_path)
    assert broken(result) == {"answers": "the model: its process ended without answers."}
    seen = (tmp_path / "environment.txt").read_text()
    assert "s3cret" not in seen
    assert "KEYBOARD=plain" in seen
