"""What `evaluate` makes of units, budgets, and of what a foreign process says."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelship.core.config import parse_config
from modelship.core.errors import BadInput
from modelship.core.records import EvaluateRecord, LatencyMeasured, ModelCheck, encode, read_record
from modelship.core.run_directory import RunDirectory
from modelship.training import evaluate as subject
from modelship.training.interpreter import Interpreter
from modelship.training.process import Finished

CONFIG = "model: m\ndata: {current: holdout.csv, key: id, target: late}\ntrain: {model: model}\n"


def plan(folder: Path, evaluate: str = "{}") -> subject._Plan:
    loaded = parse_config(f"{CONFIG}evaluate: {evaluate}\n".encode(), "modelship.yaml", folder)
    (folder / "holdout.csv").write_text("id,late\n1,0\n")
    table = subject._data_file(folder / "holdout.csv", "holdout.csv")
    return subject._Plan(loaded, RunDirectory(folder / ".modelship"), {}, Interpreter("3.12"), table, folder / "model", None)


@pytest.mark.parametrize(
    ("evaluate", "says"),
    [
        ("{latency: {single-row-p99: fast}}", "Allowed: milliseconds or seconds"),
        ("{max-model-size: 50}", "`evaluate.max-model-size`"),
        ("{predict: team.predict}", "Allowed: a module and a function in it"),
        ("{invariance: [{column: a, allow: 200%}]}", "`evaluate.invariance[0].allow` is `200%`. Allowed: a share: `0.01` or `1%`."),
        ("{directional: [{column: a, change: 1, expect: rise}]}", "`evaluate.directional[0].expect` is `rise`. Allowed: `decrease`"),
        (
            "{directional: [{column: a, change: 1, expct: increase}]}",
            "unknown key `evaluate.directional[0].expct`. Did you mean `expect`?",
        ),
        ("{directional: [{column: a, change: 1}]}", "the key `evaluate.directional[0].expect` is missing."),
        ("{latancy: {}}", "Did you mean `latency`?"),
    ],
)
def test_a_wrong_setting_is_explained_in_one_line(evaluate: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        plan(tmp_path, evaluate)
    (problem,) = raised.value.problems
    assert says in str(problem)
    assert "\n" not in str(problem)
    assert problem.line == 4


def test_only_named_budgets_are_judged(tmp_path: Path) -> None:
    measured = {
        "single-row": LatencyMeasured(rows=1, calls=200, p50=1.0, p99=51.0),
        "batch": LatencyMeasured(rows=1000, calls=20, p50=5.0, p99=9.0),
    }
    found = list(subject._latency_checks(plan(tmp_path, "{latency: {single-row-p99: 50ms, batch-p50: 5ms}}"), measured))
    assert [(check.name, check.holds, check.limit) for check in found] == [
        ("single-row p99", False, "at most 50ms"),
        ("batch p50", True, "at most 5ms"),
    ]
    assert found[0].observed == "51.0 ms over 200 calls of 1 row"


def test_a_size_without_a_limit_is_for_information(tmp_path: Path) -> None:
    assert subject._size_check(plan(tmp_path), 18_300_000) == ModelCheck(
        name="model size", holds=True, severity="info", observed="18.3 MB"
    )
    assert not subject._size_check(plan(tmp_path, "{max-model-size: 1MB}"), 1_000_001).holds
    assert subject._size_check(plan(tmp_path, "{max-model-size: 1MB}"), 1_000_000).holds


@pytest.mark.parametrize(
    ("severities", "status"), [([], "pass"), (["info"], "pass"), (["warning"], "warn"), (["warning", "critical"], "fail")]
)
def test_only_what_is_critical_blocks(severities: list[Any], status: str) -> None:
    held = ModelCheck(name="held", holds=True)
    assert subject._status([held, *(ModelCheck(name="broken", holds=False, severity=one) for one in severities)]) == status


FINISHED = Finished(0, False, 1.0, 1000, ("last line",))


def answered(folder: Path, content: bytes, finished: Finished = FINISHED) -> subject._Answer:
    scorer = subject._Scorer(plan(folder), folder, time.monotonic())
    (folder / "result.json").write_bytes(content)
    return scorer._answer(folder / "result.json", "the candidate", finished)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'{"verdict": "pass"}', "unknown field"),
        (b'{"file": "../train.json"}', "Invalid enum value"),
        (b'{"checks": [{"name": "n", "holds": "yes"}]}', "Expected `bool`"),
        (b'{"seconds": NaN}', "cannot be read"),
        (json.dumps({"checks": [{"name": "n" * 5000, "holds": True}]}).encode(), "Expected `str`"),
        (b'{"rows": 1' + b" " * 1024 * 1024 + b"}", "too large"),
        (b'{"problem": {"message": "no column `x`.", "remedy": "Add it."}}', "the candidate: no column `x`. Add it."),
    ],
)
def test_what_a_process_says_is_read_strictly(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(subject._ScoringFailed) as raised:
        answered(tmp_path, content)
    assert says in str(raised.value.problem)
    assert raised.value.log_tail == ("last line",)


@pytest.mark.parametrize(
    ("finished", "says"),
    [
        (Finished(-9, False, 1, 1, ()), "was ended by signal 9. Most likely there was not enough memory."),
        (Finished(137, False, 1, 1, ()), "Most likely there was not enough memory."),
        (Finished(1, False, 1, 1, ()), "ended with exit status 1."),
        (Finished(0, True, 1, 1, ()), "stopped after 10m"),
    ],
)
def test_a_process_that_did_not_finish_has_said_nothing(finished: Finished, says: str, tmp_path: Path) -> None:
    with pytest.raises(subject._ScoringFailed) as raised:
        answered(tmp_path, b"{}", finished)
    assert says in str(raised.value.problem)


def test_an_answer_behind_a_link_is_none(tmp_path: Path) -> None:
    scorer = subject._Scorer(plan(tmp_path), tmp_path, time.monotonic())
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "result.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(subject._ScoringFailed):
        scorer._answer(tmp_path / "result.json", "the candidate", FINISHED)


@pytest.mark.parametrize(
    ("packages", "evaluate", "says"),
    [
        ({}, "{}", "has no pandas"),
        ({"pandas": "3"}, "{}", "has no MLflow"),
    ],
)
def test_what_the_interpreter_lacks_is_said_before_anything_runs(
    packages: dict[str, str], evaluate: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says):
        subject._check_packages(plan(tmp_path, evaluate).loaded, Interpreter("3.12", packages))


def test_either_mlflow_or_a_function_of_the_teams_loads_the_model(tmp_path: Path) -> None:
    subject._check_packages(plan(tmp_path).loaded, Interpreter("3.12", {"pandas": "3", "mlflow_skinny": "3"}))
    subject._check_packages(plan(tmp_path, "{predict: 'a:b'}").loaded, Interpreter("3.12", {"Pandas": "3"}))


def test_the_record_reads_back(tmp_path: Path) -> None:
    record = EvaluateRecord(
        status="fail",
        summary="x",
        checks=(ModelCheck(name="finite", holds=False),),
        latency={"batch": LatencyMeasured(rows=1000, calls=20, p50=1, p99=2)},
    )
    (tmp_path / "evaluate.json").write_bytes(encode(record))
    assert read_record(tmp_path / "evaluate.json", "evaluate") == record
    assert msgspec.json.decode(encode(record))["record"] == "evaluate/1"
