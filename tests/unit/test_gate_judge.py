"""The verdict on each metric: every state, and laws that hold for all numbers."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from modelship.core.config import Limit
from modelship.core.documents import Document
from modelship.core.metrics import LARGEST, Metrics, read_metrics, why_not_a_metric
from modelship.core.records import EvaluateRecord, FunctionMetric, MetricVerdict
from modelship.gate.comparison import Comparison
from modelship.gate.directions import Direction
from modelship.gate.judge import Judgement, judge, judge_paired, margin, worst_first
from modelship.gate.own_metrics import own_metrics

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

numbers = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)
margins = st.floats(min_value=0, max_value=1e3, allow_nan=False) | st.integers(0, 200).map(lambda percent: f"{percent}%")
directions = st.sampled_from(["higher", "lower"])


def metrics(**values: float) -> Metrics:
    return Metrics(values, {})


def one(limit: Limit, candidate: float, baseline: float | None, name: str = "") -> MetricVerdict:
    """The verdict on a metric of unknown direction where the limit says which is better, else on one that is known."""
    name = name or ("uplift" if limit.better else "roc_auc")
    before = None if baseline is None else Metrics({name: baseline}, {})
    judgement = judge({name: limit}, Metrics({name: candidate}, {}), before)
    assert not judgement.problems
    return judgement.verdicts[0]


@pytest.mark.parametrize(
    ("limit", "candidate", "baseline", "state", "reason"),
    [
        (Limit(max_regression=0.005), 0.750, 0.744, "pass", "better"),
        (Limit(max_regression=0.005), 0.744, 0.744, "pass", "same"),
        (Limit(max_regression=0.005), 0.740, 0.744, "pass", "within the margin"),
        (Limit(max_regression=0.005), 0.7389, 0.744, "fail", "worse"),
        (Limit(min=0.7), 0.7, 0.9, "pass", "within the limits"),
        (Limit(min=0.7), 0.6999, 0.5, "fail", "below 0.7"),
        (Limit(max=0.8), 0.81, 0.7, "fail", "above 0.8"),
        (Limit(min=0.7, max_regression=0.1), 0.69, 0.7, "fail", "below 0.7"),
        (Limit(min=0.7), 0.71, None, "pass", "within the limits"),
        (Limit(min=0.7, max_regression=0.1), 0.71, None, "no-baseline", "no baseline"),
        (Limit(min=0.7, max_regression=0.1), 0.69, None, "fail", "below 0.7"),
    ],
)
def test_states(limit: Limit, candidate: float, baseline: float | None, state: str, reason: str) -> None:
    verdict = one(limit, candidate, baseline)
    assert (verdict.state, verdict.reason) == (state, reason)


@pytest.mark.parametrize(
    ("candidate", "state"), [(0.30, "pass"), (0.31, "pass"), (0.3201, "fail")], ids=["better", "in the margin", "worse"]
)
def test_a_loss_is_better_when_it_falls(candidate: float, state: str) -> None:
    verdict = one(Limit(max_regression=0.01), candidate, 0.31, name="log_loss")
    assert (verdict.better, verdict.state) == ("lower", state)
    assert verdict.change == pytest.approx(0.31 - candidate)


def test_a_metric_that_the_baseline_lacks_has_no_baseline() -> None:
    judgement = judge({"roc_auc": Limit(max_regression=0.1)}, metrics(roc_auc=0.7), metrics(f1=0.7))
    assert [verdict.state for verdict in judgement.verdicts] == ["no-baseline"]
    assert judgement.without_baseline == list(judgement.verdicts)


def test_without_comparison_only_absolute_limits_count() -> None:
    limits = {"roc_auc": Limit(min=0.7, max_regression=0.001)}
    judgement = judge(limits, metrics(roc_auc=0.71), metrics(roc_auc=0.99), compare=False)
    assert [verdict.state for verdict in judgement.verdicts] == ["pass"]


def test_without_comparison_there_must_be_an_absolute_limit() -> None:
    relative = {"roc_auc": Limit(max_regression=0.001)}
    assert "nothing else is held" in judge(relative, metrics(roc_auc=0.1), None, compare=False).problems[0].message
    both = judge({**relative, "f1": Limit(min=0.5)}, metrics(roc_auc=0.1, f1=0.6), None, compare=False)
    assert both.problems == ()
    assert {verdict.metric: verdict.reason for verdict in both.verdicts} == {"roc_auc": "not compared", "f1": "within the limits"}


def test_a_missing_metric_is_a_problem_that_names_the_nearest() -> None:
    judgement = judge({"roc_auc": Limit(min=0.7)}, metrics(roc_acu=0.9), None)
    assert [verdict.state for verdict in judgement.verdicts] == ["missing"]
    assert "Did you mean `roc_acu`?" in judgement.problems[0].remedy


def test_an_unknown_direction_is_a_problem_until_it_is_said() -> None:
    unknown = judge({"uplift": Limit(min=0.1)}, metrics(uplift=0.2), None)
    assert unknown.verdicts == ()
    assert "better: higher" in unknown.problems[0].remedy
    assert not judge({"uplift": Limit(min=0.1, better="higher")}, metrics(uplift=0.2), None).problems


@pytest.mark.parametrize(
    ("name", "better", "is_refused"),
    [
        ("roc_auc", "lower", True),
        ("roc_auc", "higher", False),
        ("log_loss", "higher", True),
        ("neg_log_loss", "lower", True),
        ("val_f1_macro", "lower", True),
        ("holdout.roc_auc", "lower", True),
        ("std.roc_auc", "lower", False),
        ("uplift", "lower", False),
    ],
)
def test_a_metric_is_not_turned_around(name: str, better: Direction, is_refused: bool) -> None:
    judgement = judge({name: Limit(min=0.1, better=better)}, Metrics({name: 0.2}, {}), None)
    assert [f"`gate.metrics.{name}`: `better: {better}` turns it around" in one.message for one in judgement.problems] == [
        True
    ] * is_refused
    assert len(judgement.verdicts) == (not is_refused)


def test_without_a_comparison_only_what_is_held_is_said_to_be_allowed() -> None:
    limits = {"roc_auc": Limit(min=-0.7, max_regression="1%"), "f1": Limit(max_regression=0.01)}
    found = judge(limits, metrics(roc_auc=0.71, f1=0.5), None, compare=False)
    assert {verdict.metric: verdict.allowed for verdict in found.verdicts} == {"roc_auc": "≥ −0.7", "f1": ""}
    first = judge(limits, metrics(roc_auc=0.71, f1=0.5), None)
    assert {verdict.metric: verdict.allowed for verdict in first.verdicts} == {"roc_auc": "−1%, ≥ −0.7", "f1": "−0.01"}


def test_an_invalid_baseline_is_never_a_pass() -> None:
    baseline = Metrics({}, {"roc_auc": "it is NaN"})
    judgement = judge({"roc_auc": Limit(max_regression=0.1)}, metrics(roc_auc=0.9), baseline)
    assert [verdict.state for verdict in judgement.verdicts] == ["invalid"]
    assert "the baseline's metrics" in judgement.problems[0].message


def test_every_problem_is_told_at_once() -> None:
    limits = {"roc_auc": Limit(min=0.7), "f1": Limit(min=0.7), "odd": Limit(min=0.7)}
    assert len(judge(limits, metrics(accuracy=0.9), None).problems) == 3


# What is no number never passes --------------------------------------------------------------------------------------------------


class _Unnumbered:
    pass


not_numbers = (
    st.sampled_from(
        [math.nan, math.inf, -math.inf, 1.797e308, -1.797e308, True, False, None, "", "0.9", "nan", _Unnumbered(), 10**400]
    )
    | st.text()
    | st.booleans()
)


@given(value=not_numbers, limit=st.builds(Limit, min=st.just(-1e9)) | st.builds(Limit, max=st.just(1e9), max_regression=margins))
def test_what_is_no_finite_number_never_passes(value: Any, limit: Limit) -> None:
    bad = read_metrics(Document("metrics.json", {"roc_auc": value}))
    for candidate, baseline in ((bad, None), (bad, metrics(roc_auc=0.5)), (metrics(roc_auc=0.5), bad)):
        judgement = judge({"roc_auc": limit}, candidate, baseline)
        assert [verdict.state for verdict in judgement.verdicts] == ["invalid"]
        assert judgement.problems


@given(value=st.floats(-LARGEST, LARGEST) | st.integers(-(10**300), 10**300))
def test_every_finite_number_is_a_metric(value: float) -> None:
    assert why_not_a_metric(value) == ""


# Laws ----------------------------------------------------------------------------------------------------------------------------


@given(candidate=numbers, baseline=numbers, allowed=margins)
@example(candidate=0.739, baseline=0.744, allowed=0.005)
def test_negating_metric_and_direction_gives_the_same_verdict(candidate: float, baseline: float, allowed: float | str) -> None:
    higher = one(Limit(max_regression=allowed, better="higher"), candidate, baseline)
    lower = one(Limit(max_regression=allowed, better="lower"), -candidate, -baseline)
    assert (higher.state, higher.reason, higher.change, higher.margin) == (lower.state, lower.reason, lower.change, lower.margin)


@given(candidate=numbers, gain=st.floats(0, 1e6), baseline=numbers, allowed=margins, better=directions, floor=numbers)
def test_a_better_candidate_never_turns_a_pass_into_a_fail(
    candidate: float, gain: float, baseline: float, allowed: float | str, better: Any, floor: float
) -> None:
    limit = (
        Limit(max_regression=allowed, better=better, min=floor)
        if better == "higher"
        else Limit(max_regression=allowed, better=better, max=floor)
    )
    improved = candidate + gain if better == "higher" else candidate - gain
    if one(limit, candidate, baseline).state == "pass":
        assert one(limit, improved, baseline).state == "pass"


@given(candidate=numbers, baseline=numbers, tight=margins, better=directions, more=st.floats(0, 1e3))
def test_a_wider_margin_never_turns_a_pass_into_a_fail(
    candidate: float, baseline: float, tight: float | str, better: Any, more: float
) -> None:
    assume(isinstance(tight, float))
    assert isinstance(tight, float)
    if one(Limit(max_regression=tight, better=better), candidate, baseline).state == "pass":
        assert one(Limit(max_regression=tight + more, better=better), candidate, baseline).state == "pass"


@given(
    candidate=st.integers(-1000, 1000),
    baseline=st.integers(-1000, 1000),
    allowed=st.integers(0, 50) | st.sampled_from(["0%", "1%", "50%"]),
    better=directions,
    power=st.integers(-60, 60),
)
@example(candidate=2, baseline=1, allowed="1%", better="lower", power=-43)
def test_another_unit_gives_the_same_verdict(candidate: int, baseline: int, allowed: int | str, better: Any, power: int) -> None:
    """Seconds or nanoseconds: powers of two scale without rounding, so nothing but the unit differs."""
    unit = 2.0**power
    scaled = allowed if isinstance(allowed, str) else allowed * unit
    plain = one(Limit(max_regression=allowed if isinstance(allowed, str) else float(allowed), better=better), candidate, baseline)
    other = one(Limit(max_regression=scaled, better=better), candidate * unit, baseline * unit)
    assert (plain.state, plain.reason) == (other.state, other.reason)


@given(value=numbers, allowed=margins, better=directions)
def test_an_unchanged_metric_passes_any_margin(value: float, allowed: float | str, better: Any) -> None:
    verdict = one(Limit(max_regression=allowed, better=better), value, value)
    assert (verdict.state, verdict.reason, verdict.change) == ("pass", "same", 0)


@given(baseline=numbers, percent=st.integers(0, 1000))
def test_a_relative_margin_is_a_share_of_the_absolute_baseline(baseline: float, percent: int) -> None:
    allowed = margin(Limit(max_regression=f"{percent}%"), baseline)
    assert allowed is not None
    assert allowed >= 0
    assert allowed == pytest.approx(percent / 100 * abs(baseline))


@pytest.mark.parametrize(("candidate", "state"), [(-101.0, "pass"), (-101.1, "fail")])
def test_a_relative_margin_works_for_negative_baselines(candidate: float, state: str) -> None:
    assert one(Limit(max_regression="1%", better="higher"), candidate, -100.0).state == state


@given(
    baseline=st.integers(0, 10_000), drop=st.integers(0, 5_000), more=st.integers(-2, 2), digits=st.integers(1, 6), better=directions
)
def test_decimal_fractions_are_judged_as_they_are_written(baseline: int, drop: int, more: int, digits: int, better: Any) -> None:
    """0.744 - 0.739 is not 0.005 in binary: the verdict is that of the decimals."""
    unit = 10**digits
    worse = baseline - drop - more if better == "higher" else baseline + drop + more
    verdict = one(Limit(max_regression=drop / unit, better=better), worse / unit, baseline / unit)
    assert verdict.state == ("fail" if more > 0 else "pass")


@given(
    limits=st.dictionaries(
        st.sampled_from(["roc_auc", "f1", "log_loss", "mystery", "rmse"]), st.builds(Limit, min=st.just(0.0), max_regression=margins)
    ),
    candidate=st.dictionaries(st.sampled_from(["roc_auc", "f1", "log_loss", "rmse"]), numbers),
    baseline=st.none() | st.dictionaries(st.sampled_from(["roc_auc", "f1", "log_loss"]), numbers),
)
def test_every_limit_ends_in_a_verdict_or_a_problem(
    limits: dict[str, Limit], candidate: dict[str, float], baseline: dict[str, float] | None
) -> None:
    judgement = judge(limits, Metrics(candidate, {}), None if baseline is None else Metrics(baseline, {}))
    told = {verdict.metric for verdict in judgement.verdicts} | {problem.message.split("`")[1] for problem in judgement.problems}
    assert {name for name in limits if name not in told and f"gate.metrics.{name}" not in told} == set()
    for verdict in judgement.verdicts:
        if verdict.state in ("missing", "invalid"):
            assert any(f"`{verdict.metric}`" in problem.message for problem in judgement.problems)
        if verdict.state == "pass":
            assert verdict.metric in candidate


def test_worst_first() -> None:
    limits = {name: Limit(max_regression=0.1) for name in ("roc_auc", "f1", "accuracy", "recall")}
    judgement: Judgement = judge(
        limits, metrics(roc_auc=0.9, f1=0.1, accuracy=0.45), metrics(roc_auc=0.5, f1=0.5, accuracy=0.5, recall=0.5)
    )
    assert [verdict.metric for verdict in worst_first(judgement.verdicts)] == ["recall", "f1", "accuracy", "roc_auc"]


# With intervals ------------------------------------------------------------------------------------------------------------------


def comparison(low: float, high: float, *, better: str = "higher", baseline: float = 0.744) -> Comparison:
    """A comparison whose change has the 95 % interval [low, high]."""
    change = (low + high) / 2
    return Comparison(
        metric="roc_auc",
        baseline=baseline,
        candidate=baseline + (change if better == "higher" else -change),
        change=change,
        standard_error=(high - low) / 2 / 1.959963984540054,
        effective_rows=1e15,
        support=1e15,
        least_error=0.0,
        rows=5000,
        method="DeLong",
    )


def paired(limit: Limit, low: float, high: float, *, better: Direction = "higher") -> MetricVerdict:
    return judge_paired("roc_auc", limit, better, comparison(low, high, better=better), 0.95)


@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize(
    ("low", "high", "state", "reason", "proven"),
    [
        (-0.020, -0.0051, "fail", "worse", True),
        (-0.020, -0.0049, "inconclusive", "cannot tell", False),
        (-0.008, -0.0024, "inconclusive", "cannot tell", False),
        (-0.008, -0.0019, "pass", "within the margin", False),
        (-0.004, -0.0010, "pass", "no worse", True),
        (-0.004, 0.0100, "pass", "no worse", True),
        (-0.006, 0.0200, "pass", "within the margin", False),
        (0.001, 0.0200, "pass", "better", True),
        (0.0, 0.0, "pass", "same", True),
    ],
)
def test_states_with_an_interval(better: Direction, low: float, high: float, state: str, reason: str, proven: bool) -> None:
    verdict = paired(Limit(max_regression=0.005), low, high, better=better)
    assert (verdict.state, verdict.reason, verdict.proven) == (state, reason, proven)
    assert verdict.interval == pytest.approx((low, high))
    assert verdict.recomputed
    assert (verdict.rows_to_decide is not None) == (state == "inconclusive")


def test_without_a_margin_an_interval_blocks_nothing() -> None:
    verdict = paired(Limit(min=0.5), -0.2, -0.1)
    assert (verdict.state, verdict.reason, verdict.proven) == ("pass", "within the limits", False)
    assert paired(Limit(min=0.5), 0.1, 0.2).reason == "better"


def test_an_absolute_limit_is_broken_however_wide_the_interval() -> None:
    verdict = paired(Limit(min=0.75, max_regression=0.005), -0.004, 0.010)
    assert (verdict.state, verdict.reason, verdict.proven) == ("fail", "below 0.75", False)
    assert verdict.rows_to_decide is None


def test_a_relative_margin_is_of_the_baseline() -> None:
    verdict = paired(Limit(max_regression="1%"), -0.009, -0.0075)
    assert verdict.margin == pytest.approx(0.00744)
    assert verdict.state == "fail"


def test_numbers_from_predictions_stand_in_place_of_reported_ones() -> None:
    limits = {"roc_auc": Limit(max_regression=0.005), "log_loss": Limit(max_regression=0.005)}
    judgement = judge(
        limits,
        metrics(roc_auc=0.9, log_loss=0.5),
        metrics(roc_auc=0.1, log_loss=0.5),
        comparisons={"roc_auc": comparison(-0.02, -0.01)},
    )
    auc, loss = judgement.verdicts
    assert (auc.state, auc.baseline, auc.recomputed) == ("fail", 0.744, True)
    assert (loss.state, loss.interval, loss.recomputed) == ("pass", None, False)
    assert judgement.fails == [auc]
    assert judgement.inconclusive == []


@given(numbers, st.floats(1e-6, 1e3), margins, st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_the_interval_tells_the_state(change: float, error: float, margin_: float | str, confidence: float) -> None:
    compared = Comparison(
        metric="x",
        baseline=100.0,
        candidate=100.0 + change,
        change=change,
        standard_error=error,
        effective_rows=50,
        support=50,
        least_error=0,
        rows=50,
        method="",
    )
    verdict = judge_paired("x", Limit(max_regression=margin_), "higher", compared, confidence)
    assert verdict.interval
    assert verdict.margin is not None
    low, high = verdict.interval
    edge = -verdict.margin - 1e-12 * max(100.0, abs(100.0 + change))
    expected = "fail" if high < edge else "inconclusive" if change < edge else "pass"
    assert verdict.state == expected
    assert verdict.proven == (high < edge or low >= edge or low > 0)


def test_a_metric_of_the_teams_own_rests_on_its_groups() -> None:
    """One that counted every row as if it stood for itself would prove more than is known."""
    limits = {"cost": Limit(better="lower", max_regression=0.1, function="a:b")}
    alone = FunctionMetric(function="a:b", candidate=1.2, baseline=1.0, standard_error=0.05, effective_rows=30.0, method="mean")

    def compared(metric: FunctionMetric) -> Comparison:
        record = EvaluateRecord(status="pass", summary="", rows=400, functions={"cost": metric})
        return own_metrics(limits, record, must_be_there=True).comparisons["cost"]

    by_row, by_group = compared(alone), compared(msgspec.structs.replace(alone, groups=50))
    assert (by_row.support, by_row.freedom) == (400, 399)
    assert (by_group.support, by_group.freedom, by_group.rows) == (50, 49, 400)
    assert by_group.change == by_row.change == pytest.approx(-0.2)
    assert by_group.interval(0.95)[0] < by_row.interval(0.95)[0] < by_row.interval(0.95)[1] < by_group.interval(0.95)[1]


@pytest.mark.parametrize(("rows", "groups"), [(None, None), (0, None), (1, None), (400, 1)])
def test_a_metric_of_the_teams_own_that_rests_on_one_row_has_no_interval(rows: int | None, groups: int | None) -> None:
    limits = {"cost": Limit(better="lower", max_regression=0.1, function="a:b")}
    metric = FunctionMetric(function="a:b", candidate=1.2, baseline=1.0, standard_error=0.05, method="mean", groups=groups)
    record = EvaluateRecord(status="pass", summary="", rows=rows, functions={"cost": metric})
    found = own_metrics(limits, record, must_be_there=True)
    assert (found.candidate, found.baseline, found.comparisons) == ({"cost": 1.2}, {"cost": 1.0}, {})
