"""What the judge hands on: every field of a verdict, every word of a problem, the exact edges, and the order of verdicts."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from modelship.core.config import Limit
from modelship.core.errors import Problem
from modelship.core.metrics import Metrics
from modelship.core.records import MetricVerdict, State
from modelship.gate.comparison import Comparison
from modelship.gate.judge import Judgement, judge, judge_paired, worst_first

LIMIT = Limit(min=0.5, max=0.95, max_regression=0.005)
ALL_LIMITS = "−0.005, ≥ 0.5, ≤ 0.95"


def reported(candidate: Metrics, baseline: Metrics | None, limit: Limit = LIMIT, name: str = "roc_auc") -> Judgement:
    return judge({name: limit}, candidate, baseline)


def metrics(**values: float) -> Metrics:
    return Metrics(values, {})


def compared(change: float, error: float, *, baseline: float = 0.0, candidate: float = 0.0) -> Comparison:
    """A comparison whose interval is `error` times the normal quantile wide each way."""
    return Comparison(
        metric="roc_auc",
        baseline=baseline,
        candidate=candidate,
        change=change,
        standard_error=error,
        effective_rows=math.inf,
        support=math.inf,
        least_error=0.0,
        rows=1000,
        method="DeLong",
    )


# Whole verdicts.


def test_a_verdict_on_two_numbers() -> None:
    judgement = reported(metrics(roc_auc=0.75), metrics(roc_auc=0.5))
    assert judgement.problems == ()
    assert judgement.verdicts == (
        MetricVerdict(
            metric="roc_auc",
            state="pass",
            reason="better",
            better="higher",
            baseline=0.5,
            candidate=0.75,
            change=0.25,
            margin=0.005,
            allowed=ALL_LIMITS,
        ),
    )


def test_a_verdict_on_a_loss() -> None:
    judgement = reported(metrics(log_loss=0.75), metrics(log_loss=0.5), Limit(max_regression="10%"), "log_loss")
    assert judgement.verdicts == (
        MetricVerdict(
            metric="log_loss",
            state="fail",
            reason="worse",
            better="lower",
            baseline=0.5,
            candidate=0.75,
            change=-0.25,
            margin=0.05,
            allowed="−0.05",
        ),
    )


def test_a_verdict_on_predictions() -> None:
    limits = {"roc_auc": Limit(max_regression=0.125, min=0.5)}
    comparison = compared(-0.25, 0.25, baseline=0.875, candidate=0.625)
    judgement = judge(limits, metrics(), None, comparisons={"roc_auc": comparison}, confidence=0.9)
    assert judgement.problems == ()
    assert judgement.verdicts == (
        MetricVerdict(
            metric="roc_auc",
            state="inconclusive",
            reason="cannot tell",
            better="higher",
            baseline=0.875,
            candidate=0.625,
            change=-0.25,
            margin=0.125,
            allowed="−0.125, ≥ 0.5",
            interval=comparison.interval(0.9),
            rows_to_decide=comparison.rows_to_decide(0.125, 0.9),
            method="DeLong",
            recomputed=True,
        ),
    )
    assert judgement.verdicts[0].rows_to_decide is not None
    assert judgement.inconclusive == [*judgement.verdicts]
    assert judgement.fails == []


def test_which_way_is_better_may_be_said_for_predictions_too() -> None:
    judgement = judge(
        {"log_loss": Limit(max_regression=0.125)}, metrics(), None, comparisons={"log_loss": compared(0.5, 0.0625)}, confidence=0.95
    )
    assert (judgement.verdicts[0].metric, judgement.verdicts[0].better) == ("log_loss", "lower")


def test_no_margin_asks_for_rows_at_margin_zero() -> None:
    comparison = compared(-0.25, 0.25)
    verdict = judge_paired("roc_auc", Limit(max_regression=0.0), "higher", comparison, 0.95)
    assert verdict.state == "inconclusive"
    assert verdict.rows_to_decide == comparison.rows_to_decide(0.0, 0.95) != comparison.rows_to_decide(1.0, 0.95)


def test_a_first_run() -> None:
    first = MetricVerdict(
        metric="roc_auc", state="no-baseline", reason="no baseline", better="higher", allowed=ALL_LIMITS, candidate=0.75
    )
    assert reported(metrics(roc_auc=0.75), None).verdicts == (first,)
    assert reported(metrics(roc_auc=0.75), metrics(f1=0.5)).verdicts == (first,)
    assert reported(metrics(roc_auc=0.75), None).without_baseline == [first]


def test_a_relative_margin_is_shown_as_written_while_there_is_no_baseline() -> None:
    judgement = reported(metrics(roc_auc=0.75), None, Limit(max_regression="1%"))
    assert judgement.verdicts[0].allowed == "−1%"


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        (Limit(max_regression=0.00123456), "−0.001235"),
        (Limit(max_regression="10%"), "−0.05"),
        (Limit(min=0.25), "≥ 0.25"),
        (Limit(max=0.75), "≤ 0.75"),
        (Limit(min=0.25, max=0.75), "≥ 0.25, ≤ 0.75"),
    ],
)
def test_limits_as_a_reader_would_write_them(limit: Limit, allowed: str) -> None:
    assert reported(metrics(roc_auc=0.5), metrics(roc_auc=0.5), limit).verdicts[0].allowed == allowed


# Problems.


def test_an_absent_metric() -> None:
    judgement = reported(metrics(roc_acu=0.75), metrics(roc_auc=0.5))
    assert judgement.problems == (Problem("`roc_auc` is not in the candidate's metrics.", "Did you mean `roc_acu`?"),)
    assert judgement.verdicts == (
        MetricVerdict(metric="roc_auc", state="missing", reason="missing", better="higher", allowed=ALL_LIMITS),
    )


def test_an_absent_metric_may_be_like_an_invalid_one() -> None:
    judgement = reported(Metrics({}, {"roc_acu": "is text"}), None)
    assert judgement.problems == (Problem("`roc_auc` is not in the candidate's metrics.", "Did you mean `roc_acu`?"),)


def test_an_invalid_metric() -> None:
    judgement = reported(Metrics({"f1": 0.5}, {"roc_auc": "is text"}), metrics(roc_auc=0.5))
    message = "`roc_auc` in the candidate's metrics is no number: is text."
    assert judgement.problems == (Problem(message, "Training must write a finite one."),)
    assert judgement.verdicts == (
        MetricVerdict(metric="roc_auc", state="invalid", reason="is text", better="higher", allowed=ALL_LIMITS),
    )


def test_an_invalid_baseline() -> None:
    judgement = reported(metrics(roc_auc=0.75), Metrics({}, {"roc_auc": "is NaN"}))
    message = "`roc_auc` in the baseline's metrics is no number: is NaN."
    assert judgement.problems == (Problem(message, "Training must write a finite one."),)
    assert judgement.verdicts == (
        MetricVerdict(metric="roc_auc", state="invalid", reason="is NaN", better="higher", allowed=ALL_LIMITS, candidate=0.75),
    )


UNKNOWN_DIRECTION = Problem(
    "`gate.metrics.profit`: it is not known whether higher or lower is better.", "Add `better: higher` or `better: lower`."
)


@pytest.mark.parametrize("candidate", [metrics(profit=0.5), Metrics({}, {"profit": "is text"})], ids=["a number", "no number"])
def test_an_unknown_direction(candidate: Metrics) -> None:
    assert reported(candidate, None, Limit(min=0.5), "profit") == Judgement((), (UNKNOWN_DIRECTION,))


def test_an_unknown_name_that_is_not_there_either() -> None:
    problem = Problem("`profit` is not in the candidate's metrics.", "Did you mean `profits`?")
    assert reported(metrics(profits=0.5), None, Limit(min=0.5), "profit") == Judgement((), (problem,))


# Edges.


@pytest.mark.parametrize(("limit", "state"), [(Limit(min=0.5), "pass"), (Limit(max=0.5), "pass"), (Limit(min=0.5, max=0.5), "pass")])
def test_an_absolute_limit_may_just_be_met(limit: Limit, state: State) -> None:
    assert reported(metrics(roc_auc=0.5), metrics(roc_auc=0.5), limit).verdicts[0].state == state


QUANTILE = NormalDist().inv_cdf(0.975)


@pytest.mark.parametrize(
    ("change", "error", "edge_of_interval", "reason"),
    [
        (QUANTILE, 1.0, (0.0, None), "no worse"),  # zero is not above zero
        (QUANTILE - 5, 1.0, (-5.0, None), "no worse"),  # the lower end just at the margin
        (-QUANTILE - 5, 1.0, (None, -5.0), "cannot tell"),  # the upper end just at the margin
        (-5.0, 1.0, (None, None), "within the margin"),  # the change just at the margin
        (-5.0, 0.0, (-5.0, -5.0), "no worse"),
        (-5.0 - 1e-9, 0.0, (None, None), "worse"),
    ],
)
def test_exact_edges(change: float, error: float, edge_of_interval: tuple[float | None, float | None], reason: str) -> None:
    verdict = judge_paired("roc_auc", Limit(max_regression=5.0), "higher", compared(change, error), 0.95)
    assert verdict.interval is not None
    for end, expected in zip(verdict.interval, edge_of_interval, strict=True):
        assert expected is None or end == expected
    assert verdict.reason == reason


# The order.


def verdict(metric: str, state: State, change: float | None = None, margin: float | None = None) -> MetricVerdict:
    return MetricVerdict(metric=metric, state=state, reason="", better="higher", change=change, margin=margin)


def test_no_verdict_comes_first_then_failures_then_what_cannot_be_told() -> None:
    states: list[State] = ["missing", "invalid", "fail", "inconclusive", "no-baseline", "pass"]
    # Changes in the reverse order, so that only states can put them right; the first two count alike.
    verdicts = [verdict(state, state, change=float(-number), margin=1.0) for number, state in enumerate(states, 1)]
    assert [each.state for each in worst_first(verdicts)] == ["invalid", "missing", "fail", "inconclusive", "no-baseline", "pass"]
    assert worst_first(verdicts[::-1]) == worst_first(verdicts)


def test_within_a_state_the_furthest_in_margins_comes_first_and_what_did_not_move_last() -> None:
    verdicts = [
        verdict("unmoved", "pass", 0.0, 0.5),
        verdict("without a margin", "pass", -0.9),
        verdict("one margin", "pass", -0.5, 0.5),
        verdict("four margins", "pass", -0.04, 0.01),
        verdict("below a margin of zero", "pass", -1e-9, 0.0),
        verdict("above a margin of zero", "pass", 1e-9, 0.0),
        verdict("better", "pass", 0.5, 0.5),
        verdict("no change known", "pass"),
    ]
    assert [each.metric for each in worst_first(verdicts)] == [
        "below a margin of zero",
        "four margins",
        "one margin",
        "better",
        "without a margin",
        "unmoved",
        "above a margin of zero",
        "no change known",
    ]
