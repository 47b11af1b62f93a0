"""Runs as they happen: what each of them is called, why, and what a reader sees first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelship.core.errors import Problem
from modelship.core.records import (
    Baseline,
    Changes,
    DataFile,
    DriftReportRecord,
    DvcPullRecord,
    EvaluateRecord,
    Expectation,
    MetricGateRecord,
    MetricVerdict,
    TableValidation,
    TrainRecord,
    ValidateRecord,
    ValueChange,
)
from modelship.gate.judge import worst_first
from modelship.reporting.checks import Distrusted, Found
from modelship.reporting.inline import plain
from modelship.reporting.markdown import render_comment
from modelship.reporting.report import Facts, Report, build_report

HEAD = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"
FACTS = Facts(
    head=HEAD,
    head_url=f"https://github.com/acme/flights/commit/{HEAD}",
    run="run 42",
    run_url="https://github.com/acme/flights/actions/runs/4242",
    report_url="https://github.com/acme/flights/actions/runs/4242/artifacts/7",
    in_pull_request=True,
    sites=frozenset({"https://github.com", "https://mlflow.example.com"}),
    version="0.1.0",
)
Records = dict[str, Found]


def pulled(**changes: Any) -> DvcPullRecord:
    facts: dict[str, Any] = {
        "status": "pass",
        "summary": "2 files and folders, 1.9 MB, verified",
        "remotes": ("storage (s3)",),
        "outputs": (
            DataFile(path="data/train.parquet", hash="md5:0a1b2c3d4e5f60718293a4b5c6d7e8f9", bytes=1_443_210),
            DataFile(path="data/holdout.parquet", hash="md5:ffeeddccbbaa99887766554433221100", bytes=481_002),
        ),
        "commit": HEAD,
        "seconds": 3.2,
    }
    return DvcPullRecord(**facts | changes)


def expectation(name: str, column: str | None = None, **changes: Any) -> Expectation:
    return Expectation(**{"expectation": name, "column": column, "holds": True} | changes)


def validated(*extra: Expectation, **changes: Any) -> ValidateRecord:
    expectations = (
        expectation("has_rows", observed="30,000 rows"),
        expectation("expect_column_values_to_be_unique", "flight_id"),
        expectation("expect_column_values_to_not_be_null", "late"),
        expectation("expect_column_values_to_be_between", "distance", arguments={"min_value": "0", "max_value": "6000"}),
    )
    tables = (
        TableValidation(role="reference", path="data/train.parquet", rows=30_000, columns=16, expectations=expectations),
        TableValidation(role="current", path="data/holdout.parquet", rows=5_000, columns=16, expectations=(*extra, *expectations)),
    )
    facts: dict[str, Any] = {"status": "pass", "summary": "8 of 8 expectations hold", "tables": tables, "commit": HEAD}
    return ValidateRecord(**facts | changes)


def trained(**changes: Any) -> TrainRecord:
    facts: dict[str, Any] = {
        "status": "pass",
        "summary": "trained in 41 s, 6 metrics",
        "command": "dvc repro",
        "exit_status": 0,
        "training_seconds": 41.3,
        "peak_memory_bytes": 812_000_000,
        "metrics_path": "metrics.json",
        "metrics": {"roc_auc": 0.7226, "log_loss": 0.5377},
        "params": {"learning_rate": 0.1, "max_iter": 200, "features": "hour"},
        "data": (DataFile(path="data/train.parquet", hash="md5:0a1b2c3d4e5f60718293a4b5c6d7e8f9", bytes=1_443_210),),
        "packages": {"scikit-learn": "1.9.1", "pandas": "3.0.6", "numpy": "2.4.1"},
        "python": "3.11.7",
        "mlflow_run": "9f8e7d6c5b4a39281706f5e4d3c2b1a0",
        "mlflow_url": "https://mlflow.example.com/#/experiments/1/runs/9f8e7d6c5b4a39281706f5e4d3c2b1a0",
        "commit": HEAD,
    }
    return TrainRecord(**facts | changes)


def metric(name: str, baseline: float | None, candidate: float | None, margin: float | None, **changes: Any) -> MetricVerdict:
    better = changes.get("better", "higher")
    change = None
    if baseline is not None and candidate is not None:
        change = candidate - baseline if better == "higher" else baseline - candidate
    worse = change is not None and margin is not None and change < -margin
    better_words = "better" if change is not None and change > 0 else "within the margin"
    facts: dict[str, Any] = {
        "metric": name,
        "state": "fail" if worse else "pass",
        "reason": "worse" if worse else better_words,
        "better": better,
        "baseline": baseline,
        "candidate": candidate,
        "change": change,
        "margin": margin,
        "allowed": "" if margin is None else f"−{margin:.4f}",
    }
    return MetricVerdict(**facts | changes)


LOG_LOSS = metric("log_loss", 0.5391, 0.5377, 0.0054, better="lower")
BRIER = metric("brier_score", 0.1512, 0.1519, 0.0020, better="lower")
GOOD = (metric("roc_auc", 0.7437, 0.7449, 0.005, allowed="−0.0050, ≥ 0.7"), LOG_LOSS, BRIER)
BAD = (metric("roc_auc", 0.7437, 0.7226, 0.005, allowed="−0.0050, ≥ 0.7"), LOG_LOSS, BRIER)
BASE = Baseline(kind="base", label="base 3f2a91c", source="metrics.json at 3f2a91c", commit="3f2a91c" + "0" * 33, date="2026-11-18")


def judged(metrics: tuple[MetricVerdict, ...] = GOOD, **changes: Any) -> MetricGateRecord:
    facts: dict[str, Any] = {
        "status": "fail" if any(one.state == "fail" for one in metrics) else "pass",
        "summary": "3 metrics hold against base 3f2a91c",
        "baseline": BASE,
        "metrics": tuple(worst_first(metrics)),
        "other_metrics": (
            ValueChange(name="train.roc_auc", before="0.801234", after="0.7987"),
            ValueChange(name="rows", before="5000", after="5000"),
        ),
        "policy": "modelship.yaml at base 3f2a91c",
        "changes": Changes(
            params=(
                ValueChange(name="features.3", before="carrier", after=None),
                ValueChange(name="max_iter", before="150", after="200"),
            ),
            data=(ValueChange(name="data/train.parquet", before="0a1b2c3d4e5f", after="9988776655aa"),),
            files=(ValueChange(name="src/train.py", before="", after=""), ValueChange(name="src/features.py", before=None, after="")),
        ),
        "commit": HEAD,
    }
    return MetricGateRecord(**facts | changes)


LOG_TAIL = (
    "Running stage 'train':",
    "> python src/train.py",
    "\x1b[31mTraceback (most recent call last):\x1b[0m",
    '  File "src/train.py", line 41, in <module>',
    "    model.fit(table[features], table[target])",
    "KeyError: \"['carrier'] not in index\"",
    "ERROR: failed to reproduce 'train': failed to run: python src/train.py, exited with 1",
)

NEGATIVE = expectation(
    "expect_column_values_to_be_between",
    "distance",
    holds=False,
    arguments={"min_value": "0", "max_value": "6000"},
    observed="212 of 5,000 (4.24%) do not: -999",
    failed_rows=212,
    sample_keys=("F0001282", "F0004410", "F0019923"),
)
UNKNOWN = expectation(
    "expect_column_values_to_be_in_set", "carrier", holds=False, observed="31 of 5,000 (0.62%) do not: ZZ", failed_rows=31
)

BROKEN_SUMMARY = "2 of 6 expectations fail on holdout.parquet: distance, carrier"


def good() -> Records:
    return {"dvc-pull": pulled(), "validate": validated(), "train": trained(), "metric-gate": judged()}


def bad() -> Records:
    return good() | {"metric-gate": judged(BAD, summary="roc_auc is worse: 0.7437 → 0.7226 (allowed −0.005, ≥ 0.7)")}


def failed_training() -> Records:
    problem = Problem("`dvc repro` ended with exit status 1 after 12 s.", "Its last lines are below.")
    failed = trained(status="error", summary=str(problem), problems=(problem,), exit_status=1, metrics={}, log_tail=LOG_TAIL)
    nothing = Problem("there is nothing to judge: training failed.")
    gate = MetricGateRecord(status="error", summary=str(nothing), problems=(nothing,), commit=HEAD)
    return good() | {"train": failed, "metric-gate": gate}


def broken_data() -> Records:
    broken = validated(
        NEGATIVE,
        UNKNOWN,
        status="fail",
        summary=BROKEN_SUMMARY,
    )
    return {"dvc-pull": pulled(), "validate": broken}


def first_run() -> Records:
    metrics = (metric("roc_auc", None, 0.7437, None, state="no-baseline", reason="no baseline", allowed="−0.005, ≥ 0.7"),)
    gate = judged(
        metrics,
        status="warn",
        summary="1 metric holds against base",
        baseline=Baseline(kind="base", label="base 3f2a91c", source="metrics.json at 3f2a91c"),
        notices=("No baseline for `roc_auc` (metrics.json at 3f2a91c): only absolute limits were checked.",),
        other_metrics=(),
    )
    return good() | {"metric-gate": gate}


SCENARIOS = {"good": good, "bad": bad, "failed-training": failed_training, "broken-data": broken_data, "first-run": first_run}


def report_on(records: Records) -> Report:
    return build_report("flight-delay", records, FACTS)


@pytest.mark.parametrize(
    ("name", "icon", "title", "cause", "lights"),
    [
        (
            "good",
            "🟢",
            "flight-delay: every metric is within its margin of base 3f2a91c",
            "All 4 checks pass.",
            "pass pass pass pass",
        ),
        (
            "bad",
            "🔴",
            "flight-delay: roc_auc fell 0.021 below base 3f2a91c",
            "Blocked by 1 of 4 checks. roc_auc may fall by 0.0050 at most, and went from 0.7437 to 0.7226. 2 of 3 metrics pass.",
            "pass pass pass fail",
        ),
        (
            "failed-training",
            "🔴",
            "flight-delay: training failed",
            "Blocked by 1 of 4 checks. dvc repro ended with exit status 1 after 12 s. Its last lines are below.",
            "pass pass fail none",
        ),
        (
            "broken-data",
            "🔴",
            "flight-delay: data breaks 2 expectations",
            f"Blocked by 1 of 4 checks. {BROKEN_SUMMARY}.",
            "pass fail none none",
        ),
        (
            "first-run",
            "🟡",
            "flight-delay: there is no baseline to compare with yet",
            "Passes, with 1 warning. roc_auc could only be held against absolute limits.",
            "pass pass pass warn",
        ),
    ],
)
def test_what_a_reader_sees_first(name: str, icon: str, title: str, cause: str, lights: str) -> None:
    report = report_on(SCENARIOS[name]())
    assert (report.icon, report.title, plain(report.cause)) == (icon, title, cause)
    assert [check.light for check in report.checks] == lights.split()
    assert report.conclusion == ("failure" if icon == "🔴" else "success")


def test_the_comment_opens_with_verdict_cause_and_metrics() -> None:
    opening = render_comment(report_on(bad())).split("\n\n<sub>")[0]
    assert opening == (
        "## 🔴 flight-delay: roc_auc fell 0.021 below base <code>3f2a91c</code>\n\n"
        "<b>Blocked by 1 of 4 checks.</b> roc_auc may fall by 0.0050 at most, and went from 0.7437 to 0.7226. 2 of 3 metrics pass.\n\n"
        "🟢&nbsp;dvc-pull · 🟢&nbsp;validate · 🟢&nbsp;train · 🔴&nbsp;**metric-gate**\n\n"
        "|  | metric | base <code>3f2a91c</code> | this PR | change | allowed | verdict |\n"
        "| -- | -- | --: | --: | --: | --: | -- |\n"
        "| 🔴 | roc_auc | 0.7437 | 0.7226 | −0.0211 | −0.0050,&nbsp;≥&nbsp;0.7 | worse |\n"
        "| 🟢 | brier_score | 0.1512 | 0.1519 | −0.0007 | −0.0020 | within&nbsp;the&nbsp;margin |\n"
        "| 🟢 | log_loss | 0.5391 | 0.5377 | +0.0014 | −0.0054 | better |"
    )


def without(records: Records, *names: str) -> Records:
    return {name: record for name, record in records.items() if name not in names}


@pytest.mark.parametrize("names", [("metric-gate",), ("train", "metric-gate"), ("validate", "train", "metric-gate")])
def test_a_model_that_nobody_judged_is_no_pass(names: tuple[str, ...]) -> None:
    report = report_on(without(good(), *names))
    assert report.conclusion == "failure"
    first = next(check for check in report.checks if check.blocks)
    assert first.ending == "missing"
    assert "left no record" in plain(report.cause)


def test_checks_that_a_team_does_not_use_are_not_asked_for() -> None:
    report = report_on(without(good(), "dvc-pull", "validate", "train"))
    assert report.conclusion == "success"
    assert plain(report.cause) == "The check passes: metric-gate."


@pytest.mark.parametrize("name", ["dvc-pull", "validate", "train", "metric-gate"])
def test_a_record_that_cannot_be_trusted_is_a_failure(name: str) -> None:
    report = report_on(good() | {name: Distrusted("`x` is not a record.")})
    assert report.title == f"flight-delay: the record of {name} cannot be trusted"
    assert report.conclusion == "failure"


@pytest.mark.parametrize("status", ["fail", "error"])
@pytest.mark.parametrize("name", ["dvc-pull", "validate", "train", "metric-gate"])
def test_no_check_fails_unseen(name: str, status: str) -> None:
    record = good()[name]
    assert isinstance(record, DvcPullRecord | ValidateRecord | TrainRecord | MetricGateRecord)
    report = report_on(good() | {name: msgspec.structs.replace(record, status=status, summary="It broke.")})
    assert report.conclusion == "failure"
    assert next(check for check in report.checks if check.blocks).name == name


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [
        (
            (metric("roc_auc", 0.74, 0.75, 0.005), metric("log_loss", 0.5, 0.5, 0.01, better="lower")),
            "no metric is worse than base 3f2a91c",
        ),
        ((metric("log_loss", 0.5391, 0.5711, 0.0054, better="lower"),), "log_loss rose 0.032 above base 3f2a91c"),
        ((metric("roc_auc", 0.69, 0.684, 0.01, state="fail", reason="below 0.7"),), "roc_auc is 0.6840, below 0.7"),
        ((metric("roc_auc", 0.74, None, None, state="missing", reason="missing"),), "roc_auc is missing"),
        ((metric("roc_auc", 0.74, None, None, state="invalid", reason="it is NaN"),), "roc_auc is not a number"),
        ((metric("a", 0.74, 0.72, 0.005), metric("b", 0.5, 0.4, 0.005)), "b fell 0.10 below base 3f2a91c, and 1 more metric fails"),
        (
            (metric("a", 0.74, 0.72, 0.005), metric("b", 0.5, 0.4, 0.005), metric("c", 0.5, 0.49, 0.005)),
            "b fell 0.10 below base 3f2a91c, and 2 more metrics fail",
        ),
        (
            (metric("roc_auc", 0.74, 0.73, 0.005, state="inconclusive", reason="the data cannot tell"),),
            "cannot tell whether roc_auc got worse",
        ),
        ((metric("rmse", 41.2, 44.1, 0.5, better="lower"),), "rmse rose 2.9 above base 3f2a91c"),
    ],
)
def test_headlines_of_the_gate(metrics: tuple[MetricVerdict, ...], headline: str) -> None:
    status = "error" if metrics[0].state in ("missing", "invalid") else "fail" if any(m.state == "fail" for m in metrics) else "pass"
    assert report_on(good() | {"metric-gate": judged(metrics, status=status)}).headline == headline


def test_a_gate_that_fails_for_no_single_metric_has_judged_all_the_same() -> None:
    report = report_on(good() | {"metric-gate": judged(status="fail", summary="Worse for carrier EV.")})
    assert report.headline == "the model does not pass the gate"
    assert plain(report.cause) == "Blocked by 1 of 4 checks. Worse for carrier EV."


def test_a_failure_by_a_hair_can_be_seen_in_the_numbers() -> None:
    close = metric("log_loss", 0.5493, 0.5493 + 0.005499, 0.005493, better="lower", allowed="−0.005493")
    row = report_on(good() | {"metric-gate": judged((close, LOG_LOSS))}).metrics
    assert row
    assert (row.rows[0].difference, row.rows[0].allowed) == ("−0.00550", "−0.00549")
    assert (row.rows[1].difference, row.rows[1].allowed) == ("+0.0014", "−0.0054")


def test_worst_comes_first_and_unchanged_last() -> None:
    metrics = (
        metric("same", 0.5, 0.5, 0.01),
        metric("better", 0.5, 0.6, 0.01),
        metric("tight", 0.5, 0.491, 0.01),
        metric("failed", 0.5, 0.4, 0.01),
        metric("absent", 0.5, None, None, state="missing", reason="missing"),
        metric("unsure", 0.5, 0.48, 0.01, state="inconclusive"),
    )
    report = report_on(good() | {"metric-gate": judged(metrics)})
    assert report.metrics
    assert [row.metric for row in report.metrics.rows] == ["absent", "failed", "unsure", "tight", "better", "same"]


def test_a_problem_starts_its_sentence_with_a_capital_and_a_name_stays_as_it_is() -> None:
    for message, says in (("training failed.", "Training failed."), ("`x` is missing.", "x is missing.")):
        records = good() | {"metric-gate": judged((), status="error", problems=(Problem(message),), summary=message)}
        assert plain(report_on(records).cause) == f"Blocked by 1 of 4 checks. {says}"


@pytest.mark.parametrize(
    ("summary", "says"),
    [("candidate scored on 500 rows, 1 of 8 checks does not hold.", "Candidate scored"), ("2 of 6 do not.", "2 of 6")],
)
def test_a_sentence_after_the_count_begins_with_a_capital(summary: str, says: str) -> None:
    evaluated = EvaluateRecord(status="fail", summary=summary, commit=HEAD)
    assert f"Blocked by 1 of 5 checks. {says}" in plain(report_on(good() | {"evaluate": evaluated}).cause)
    warned = msgspec.structs.replace(evaluated, status="warn")
    assert f"Passes, with 1 warning. {says}" in plain(report_on(good() | {"evaluate": warned}).cause)


def test_rows_of_unknown_number_begin_a_sentence_like_any_other() -> None:
    unsure = metric("roc_auc", 0.74, 0.73, 0.005, state="inconclusive", reason="cannot tell", interval=(-0.03, 0.01))
    records = good() | {"metric-gate": judged((unsure,), status="fail", paired=True, confidence=0.95)}
    assert "Blocked by 1 of 4 checks. These rows show a change of" in plain(report_on(records).cause)


def test_several_problems_are_all_shown() -> None:
    problems = (Problem("first.", "Do this.", "modelship.yaml", 3), Problem("second."))
    report = report_on(good() | {"metric-gate": judged((), status="error", problems=problems, summary="first.")})
    assert report.headline == "the model was not judged"
    assert plain(report.cause).endswith("modelship.yaml:3: first. Do this. And 1 more problem.")
    comment = render_comment(report)
    assert "<details open><summary>2 problems</summary>" in comment
    assert "second." in comment


def test_a_later_check_without_a_verdict_says_why() -> None:
    problem = Problem("lacks 1 column of train.parquet: `region`.", "Add it.", "holdout.parquet")
    drifted = DriftReportRecord(status="error", summary=str(problem), problems=(problem,), commit=HEAD)
    evaluated = Distrusted("it is no JSON")
    records = good() | {"validate": validated(status="fail"), "drift-report": drifted, "evaluate": evaluated}
    report = report_on(records)
    assert "Blocked by 3 of 6 checks." in plain(report.cause)
    comment = render_comment(report)
    assert "<details open><summary>2 problems</summary>" in comment
    assert "lacks 1 column of train.parquet" in comment
    assert "it is no JSON" in comment


def test_notices_come_before_the_cause_and_once() -> None:
    told = "`metrics.json` in the commit is not what training wrote."
    records = good() | {"train": trained(notices=(told,), dirty=True), "metric-gate": judged(notices=("The rules change.", told))}
    notices = [plain(notice.content) for notice in report_on(records).notices]
    assert notices[:2] == ["The rules change.", "metrics.json in the commit is not what training wrote."]
    assert notices[2].startswith("Tracked files differed")
    comment = render_comment(report_on(records))
    assert comment.index("The rules change.") < comment.index("All 4 checks pass")


def test_a_signal_and_missing_numbers_are_named() -> None:
    killed = trained(status="error", exit_status=-9, summary="`dvc repro` was ended by signal 9.")
    assert report_on(good() | {"train": killed}).headline == "training was ended by signal 9"
