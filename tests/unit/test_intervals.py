"""The interval of a difference: against published formulas, and against drawing rows again."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modelship.gate.comparison import MOST_ROWS, POWER, Comparison
from modelship.gate.rows.intervals import compare
from modelship.gate.rows.measures import Measure, UndefinedError, find_measure
from modelship.gate.rows.paired import Answers, Paired

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

BINARY = [
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "matthews_corrcoef"),
    *("roc_auc", "average_precision", "log_loss", "brier_score_loss"),
]
MULTICLASS = [
    *("accuracy", "balanced_accuracy", "precision_macro", "recall_weighted", "f1_macro", "f1_weighted", "matthews_corrcoef"),
    *(
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "average_precision",
        "log_loss",
        "brier_score_loss",
    ),
]
NUMBERS = [
    *("r2", "root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error"),
    "median_absolute_error",
]


def measure(name: str) -> Measure:
    found = find_measure(name)
    assert found is not None
    return found


def two_classes(rng: np.random.Generator, n: int, *, noise: float = 0.5, groups: NDArray[np.intp] | None = None) -> Paired:
    """Two models of n rows, the candidate a little worse. A group has one truth, and is hard or easy for each model by itself."""
    codes = np.arange(n) if groups is None else groups
    truth = (rng.random(codes.max() + 1) < 0.4).astype(np.intp)[codes]
    shared = 1.2 * truth - 0.7 + rng.normal(0, 0.8, n) + rng.normal(0, 0.6, codes.max() + 1)[codes]

    def answers(noise: float) -> Answers:
        own = rng.normal(0, noise, n) + rng.normal(0, noise, codes.max() + 1)[codes]
        score = 1 / (1 + np.exp(-(shared + own)))
        return Answers((score > 0.5).astype(np.intp), score)

    return Paired("classification", "id", None, truth, (0, 1), 1, answers(1.5 * noise), answers(noise), groups)


def three_classes(rng: np.random.Generator, n: int) -> Paired:
    truth = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    shared = rng.normal(0, 1, (n, 3)) + 1.2 * np.eye(3)[truth]

    def answers(noise: float) -> Answers:
        raised = np.exp(shared + rng.normal(0, noise, (n, 3)))
        score = raised / raised.sum(axis=1, keepdims=True)
        return Answers(score.argmax(axis=1), score)

    return Paired("classification", "id", None, truth, ("a", "b", "c"), None, answers(0.9), answers(0.6))


def numbers(rng: np.random.Generator, n: int, *, groups: NDArray[np.intp] | None = None) -> Paired:
    truth = rng.gamma(2, 3, n) + 1
    codes = np.arange(n) if groups is None else groups
    shared = truth + rng.normal(0, 1.5, n) + rng.normal(0, 1.0, codes.max() + 1)[codes]

    def answers(noise: float) -> Answers:
        return Answers(shared + rng.normal(0, noise, n) + rng.normal(0, noise, codes.max() + 1)[codes])

    return Paired("regression", "id", None, truth, (), None, answers(1.0), answers(0.7), groups)


def right_or_wrong(n: int, newly_wrong: int, newly_right: int) -> Paired:
    """n rows of which the candidate has lost some and won others."""
    truth = np.zeros(n, dtype=np.intp)
    candidate, baseline = truth.copy(), truth.copy()
    candidate[:newly_wrong] = 1
    baseline[newly_wrong : newly_wrong + newly_right] = 1
    return Paired("classification", "id", None, truth, (0, 1), 1, Answers(candidate), Answers(baseline))


def absolute_errors(candidate: list[float], baseline: list[float], groups: list[int] | None = None) -> Comparison:
    """The mean absolute error of two models with the given errors."""
    truth = np.zeros(len(candidate))
    codes = None if groups is None else np.array(groups, dtype=np.intp)
    paired = Paired("regression", "id", None, truth, (), None, Answers(np.array(candidate)), Answers(np.array(baseline)), codes)
    return compare(measure("mean_absolute_error"), paired)


def by_hand(
    change: float,
    error: float,
    *,
    effective_rows: float = math.inf,
    support: float = math.inf,
    least_error: float = 0.0,
    rows: int = 100,
    freedom: float = math.inf,
    tamed: Comparison | None = None,
) -> Comparison:
    """A comparison of which only what is given matters."""
    return Comparison(
        metric="m",
        baseline=0.5,
        candidate=0.5 + change,
        change=change,
        standard_error=error,
        effective_rows=effective_rows,
        support=support,
        least_error=least_error,
        rows=rows,
        method="by hand",
        freedom=freedom,
        tamed=tamed,
    )


# Formulas.


def bonett_price(n: int, newly_wrong: int, newly_right: int, confidence: float) -> tuple[float, float]:
    """The adjusted Wald interval of Bonett & Price 2012, equation (6), for the change of a share of right rows."""
    lost, won = (newly_wrong + 1) / (n + 2), (newly_right + 1) / (n + 2)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt((lost + won - (lost - won) ** 2) / (n + 2))
    return won - lost - half, won - lost + half


@pytest.mark.parametrize("n", [200, 1000, 100_000])
@pytest.mark.parametrize(("wrong", "right"), [(1, 0), (0, 1), (2, 1), (5, 5), (10, 0), (20, 10), (50, 50), (100, 40)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_accuracy_has_the_interval_of_bonett_and_price(n: int, wrong: int, right: int, confidence: float) -> None:
    low, high = compare(measure("accuracy"), right_or_wrong(n, wrong, right)).interval(confidence)
    theirs = bonett_price(n, wrong, right, confidence)
    # They divide by n + 2 where this divides by n, and take squares around the change where this takes them around none.
    around_none = math.sqrt(1 + (wrong - right) ** 2 / (n * (wrong + right)))
    assert (low, high) == pytest.approx(theirs, abs=(5 / n + around_none - 1) * (theirs[1] - theirs[0]))
    assert high - low == pytest.approx((theirs[1] - theirs[0]) * around_none, rel=10 / n)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 10, 60])
def test_few_rows_that_all_turn_fail_no_sooner_than_mcnemar_would(n: int) -> None:
    """n rows newly wrong and none newly right have no spread, and yet five of them are no proof."""
    low, high = compare(measure("accuracy"), right_or_wrong(n, n, 0)).interval(0.95)
    # McNemar 1947, with one row more on either side: the change is beyond chance where b^2 / (b + 2) is above 1.96^2.
    assert (high < 0) == (n**2 / (n + 2) > 1.959963984540054**2) == (n >= 6)
    assert low == -1 - (high + 1)


def test_numbers_by_hand() -> None:
    """Errors 1, 2, 3, 6 after 1, 1, 1, 1: the loss rises by 0, 1, 2, 5."""
    comparison = absolute_errors([1, 2, 3, 6], [1, 1, 1, 1])
    assert (comparison.metric, comparison.baseline, comparison.candidate, comparison.rows) == ("mean_absolute_error", 1, 3, 4)
    assert comparison.change == -2
    assert comparison.method == "mean of paired differences"
    assert comparison.standard_error == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))
    assert comparison.effective_rows == pytest.approx(14**2 / (16 + 1 + 0 + 81))
    assert (comparison.support, comparison.least_error, comparison.freedom) == (4, 0, math.inf)
    # 14/12 for the spread, as much again for two more rows beside effective 2, and 2^2 over 4 for the change.
    widened = math.sqrt(14 / 12 + 14 / 12 + 1)
    assert comparison.widened_error == pytest.approx(widened)
    assert comparison.interval(0.95) == pytest.approx((-2 - 1.959963984540054 * widened, -2 + 1.959963984540054 * widened))
    # 4 rows times ((1.96 + 0.84) times the widened error, over a distance of 1.5) squared.
    expected = 4 * ((1.959963984540054 + 0.8416212335729143) * widened / 1.5) ** 2
    assert comparison.rows_to_decide(0.5, 0.95) == math.ceil(expected) == 47


def test_groups_by_hand() -> None:
    """The rises of 0, 1, 2, 5 less their mean are -2, -1, 0, 3; in groups (first and third, second and fourth) -2 and 2."""
    comparison = absolute_errors([1, 2, 3, 6], [1, 1, 1, 1], groups=[0, 1, 0, 1])
    assert (comparison.change, comparison.rows) == (-2, 4)
    assert comparison.standard_error == pytest.approx(math.sqrt((4 + 4) * 2 / 1) / 4)
    assert (comparison.effective_rows, comparison.support, comparison.freedom) == (2, 2, 1)
    assert comparison.widened_error == pytest.approx(math.sqrt(1 + 1 + 2))
    assert comparison.method == "mean of paired differences, by group"


# The tamed candidate: no row further off than the baseline's furthest.


def test_far_rows_are_cut_for_the_upper_end() -> None:
    """Errors 1, -2, 3, -9 after 1, 1, -1, 4: the fourth is cut to 4, and the loss then rises by 0, 1, 2, 0."""
    comparison = absolute_errors([1, -2, 3, -9], [1, 1, -1, 4])
    tamed = comparison.tamed
    assert tamed is not None
    assert (tamed.baseline, tamed.candidate, tamed.change) == (1.75, 2.5, -0.75)
    assert tamed.standard_error == pytest.approx(math.sqrt(2.75 / 3 / 4))
    assert tamed.tamed is None
    assert (comparison.baseline, comparison.candidate, comparison.change) == (1.75, 3.75, -2)
    half = 1.959963984540054 * comparison.widened_error
    assert comparison.interval(0.95) == pytest.approx((-2 - half, tamed.interval(0.95)[1]))
    assert tamed.interval(0.95)[1] < -2 + half


def test_errors_are_cut_around_the_truth() -> None:
    truth = np.array([10.0, 20.0, 30.0])
    candidate, baseline = truth + np.array([-7.0, 1.0, 6.0]), truth + np.array([2.0, -5.0, 1.0])
    comparison = compare(
        measure("mean_absolute_error"), Paired("regression", "id", None, truth, (), None, Answers(candidate), Answers(baseline))
    )
    assert comparison.tamed is not None
    assert comparison.tamed.candidate == pytest.approx((5 + 1 + 5) / 3)


def test_the_upper_end_is_the_lower_of_both() -> None:
    def upper_end(tamed_change: float) -> float:
        return by_hand(-1.0, 0.1, tamed=by_hand(tamed_change, 0.1)).interval(0.95)[1]

    assert upper_end(-1.5) == pytest.approx(-1.5 + 0.1959963984540054)
    assert upper_end(-0.5) == pytest.approx(-1.0 + 0.1959963984540054)


@pytest.mark.parametrize("furthest", [6.0, 7.0, -6.0])
def test_rows_that_are_no_further_off_than_the_baselines_stay(furthest: float) -> None:
    assert absolute_errors([1, 2, 3, 6], [1, 1, 1, furthest]).tamed is None


def test_a_tamed_candidate_that_is_the_baseline_says_nothing() -> None:
    assert absolute_errors([1, 2, 3, 6], [1, 1, 1, 1]).tamed is None


@pytest.mark.parametrize("name", ["log_loss", "logloss", "neg_log_loss", "neg_logloss"])
@pytest.mark.parametrize("positive", [0, 1])
def test_doubt_is_cut_in_two_classes(name: str, positive: int) -> None:
    """The candidate gives the truth 0.01, 0.02, 0.9, 0.6, the baseline 0.1 at least: the candidate then gives 0.1, 0.1, 0.9, 0.6."""
    truth = np.array([1, 0, 1, 0])
    of_truth, known = np.array([0.01, 0.02, 0.9, 0.6]), np.array([0.5, 0.6, 0.1, 0.7])
    answers = [Answers(truth, np.where(truth == positive, share, 1 - share)) for share in (of_truth, known)]
    comparison = compare(measure(name), Paired("classification", "id", None, truth, (0, 1), positive, answers[0], answers[1]))
    assert comparison.tamed is not None
    assert abs(comparison.tamed.candidate) == pytest.approx(-np.log([0.1, 0.1, 0.9, 0.6]).mean())
    assert abs(comparison.candidate) == pytest.approx(-np.log(of_truth).mean())
    assert comparison.tamed.baseline == comparison.baseline


@pytest.mark.parametrize("doubted", [0, 1])
def test_doubt_is_cut_whichever_class_it_is_of(doubted: int) -> None:
    truth = np.array([0, 1, 0, 1])
    of_truth, known = np.array([0.8, 0.7, 0.6, 0.9]), np.array([0.5, 0.6, 0.2, 0.7])
    of_truth[doubted] = 0.05
    ours, theirs = (Answers(truth, np.where(truth == 1, share, 1 - share)) for share in (of_truth, known))
    comparison = compare(measure("log_loss"), Paired("classification", "id", None, truth, (0, 1), 1, ours, theirs))
    assert comparison.tamed is not None
    assert comparison.tamed.candidate == pytest.approx(-np.log(np.maximum(of_truth, 0.2)).mean())


def test_doubt_is_cut_in_three_classes() -> None:
    truth = np.array([0, 1, 2, 1])
    ours = np.array([[0.01, 0.98, 0.01], [0.2, 0.6, 0.2], [0.5, 0.45, 0.05], [0.1, 0.8, 0.1]])
    theirs = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.4, 0.2, 0.4]])
    untouched = ours.copy()
    paired = Paired("classification", "id", None, truth, ("a", "b", "c"), None, Answers(truth, ours), Answers(truth, theirs))
    comparison = compare(measure("log_loss"), paired)
    assert comparison.tamed is not None
    assert comparison.tamed.candidate == pytest.approx(-np.log([0.2, 0.6, 0.2, 0.8]).mean())
    assert np.array_equal(ours, untouched)


@pytest.mark.parametrize("least", [0.1, 0.2])
@pytest.mark.parametrize("classes", [2, 3])
def test_doubt_no_greater_than_the_baselines_stays(least: float, classes: int) -> None:
    truth = np.array([0, 1, 0, 1])

    def answers(of_truth: list[float]) -> Answers:
        score = np.full((4, classes), 0.0)
        score[np.arange(4), truth] = of_truth
        score[np.arange(4), 1 - truth] = 1 - np.array(of_truth)
        return Answers(truth, score if classes > 2 else score[:, 1])

    candidate, baseline = answers([0.25, least, 0.5, 0.75]), answers([0.5, 0.5, 0.75, 0.1])
    if classes == 2:
        # 1 - 0.9 is not quite 0.1; the same rounding on both sides.
        candidate, baseline = answers([0.25, 0.5, 0.5, max(least, 0.1)]), answers([0.5, 0.5, 0.75, 0.1])
    names = tuple(range(classes))
    paired = Paired("classification", "id", None, truth, names, 1 if classes == 2 else None, candidate, baseline)
    assert compare(measure("log_loss"), paired).tamed is None


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "brier_score_loss", "accuracy"])
def test_metrics_with_bounds_are_not_tamed(name: str) -> None:
    truth = np.array([0, 1, 0, 1, 1, 0])
    candidate = Answers(np.array([0, 1, 1, 0, 1, 0]), np.array([0.4, 0.6, 0.999, 0.001, 0.7, 0.2]))
    baseline = Answers(np.array([0, 1, 0, 0, 1, 0]), np.array([0.3, 0.7, 0.4, 0.4, 0.6, 0.1]))
    assert compare(measure(name), Paired("classification", "id", None, truth, (0, 1), 1, candidate, baseline)).tamed is None


@pytest.mark.parametrize("freedom", [3, 5, 20, 500, math.inf])
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
def test_few_groups_need_the_quantile_of_student(freedom: float, confidence: float) -> None:
    half = by_hand(0.0, 1.0, freedom=freedom).interval(confidence)[1]
    theirs = stats.norm.ppf((1 + confidence) / 2) if freedom == math.inf else stats.t.ppf((1 + confidence) / 2, freedom)
    assert half == pytest.approx(theirs, rel=0.01 if freedom == 3 else 0.001)
    power = 0.8416212335729143
    assert by_hand(1.0, 0.5, freedom=freedom, rows=10_000).rows_to_decide(0, confidence) == pytest.approx(
        2500 * (half + power) ** 2, rel=1e-3
    )


@pytest.mark.parametrize(("confidence", "error"), [(0.2, 5e-11), (0.5, 2e-10), (0.8, 3e-10), (0.9, 9e-10), (0.95, 3e-9), (0.99, 4e-8)])
def test_the_quantile_of_student_is_as_exact_as_its_series(confidence: float, error: float) -> None:
    """The first term that the series leaves out, at 50 degrees of freedom."""
    half = by_hand(0.0, 1.0, freedom=50).interval(confidence)[1]
    assert half == pytest.approx(stats.t.ppf((1 + confidence) / 2, 50), abs=error)


def test_a_loss_that_falls_is_a_change_for_the_better() -> None:
    assert absolute_errors([1, 2], [2, 4]).change == 1.5


@pytest.mark.parametrize(("wrong", "right"), [(1, 1), (7, 7), (40, 40)])
def test_effective_rows_are_those_on_which_the_models_differ(wrong: int, right: int) -> None:
    comparison = compare(measure("accuracy"), right_or_wrong(500, wrong, right))
    assert comparison.effective_rows == pytest.approx(wrong + right)


@pytest.mark.parametrize("name", [*BINARY, *MULTICLASS, *NUMBERS])
def test_identical_models_do_not_differ(name: str) -> None:
    rng = np.random.default_rng(2)
    paired = numbers(rng, 80) if name in NUMBERS else two_classes(rng, 80) if name in BINARY else three_classes(rng, 80)
    same = Paired(paired.task, "id", None, paired.truth, paired.classes, paired.positive, paired.candidate, paired.candidate)
    comparison = compare(measure(name), same)
    assert (comparison.change, comparison.standard_error, comparison.effective_rows) == (0, 0, 0)
    assert comparison.interval(0.95) == (0, 0)
    assert comparison.rows_to_decide(0.01, 0.95) is None


def test_rounding_is_no_difference() -> None:
    errors = np.random.default_rng(1).gamma(2, 1, 60)
    last_bits = np.nextafter(errors, np.inf)
    comparison = absolute_errors(last_bits.tolist(), errors.tolist())
    assert comparison.standard_error == 0


def test_rounding_of_errors_that_are_all_alike_is_no_difference() -> None:
    noise = np.random.default_rng(1).normal(0, 1e-14, (2, 60))
    assert absolute_errors((1 + noise[0]).tolist(), (1 + noise[1]).tolist()).standard_error == 0


def test_a_difference_in_the_ninth_digit_is_one() -> None:
    rng = np.random.default_rng(1)
    errors = rng.gamma(2, 1, 60)
    comparison = absolute_errors((errors * (1 + rng.normal(0, 1e-8, 60))).tolist(), errors.tolist())
    assert 0 < comparison.standard_error < 1e-7


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("power", [-60, -30, 40])
def test_units_do_not_matter(name: str, power: int) -> None:
    """Metres or nanometres: the same verdict. Powers of two scale floating-point numbers without rounding."""
    paired, scale = numbers(np.random.default_rng(4), 90), 2.0**power
    candidate, baseline = (Answers(np.asarray(model.prediction) * scale) for model in (paired.candidate, paired.baseline))
    scaled = compare(measure(name), Paired("regression", "id", None, paired.truth * scale, (), None, candidate, baseline))
    comparison = compare(measure(name), paired)
    assert comparison.standard_error > 0
    assert scaled.effective_rows == comparison.effective_rows
    assert scaled.change / scaled.standard_error == comparison.change / comparison.standard_error
    assert scaled.change / scaled.widened_error == comparison.change / comparison.widened_error


def test_one_group_has_no_spread() -> None:
    with pytest.raises(UndefinedError, match=r"^all rows belong to one group$"):
        absolute_errors([1, 2, 3], [1, 1, 1], groups=[0, 0, 0])


def test_two_groups_are_enough() -> None:
    assert absolute_errors([1, 2, 3], [1, 1, 1], groups=[0, 0, 1]).standard_error > 0


def test_an_undefined_metric_has_no_comparison() -> None:
    with pytest.raises(UndefinedError, match="one single class"):
        compare(measure("matthews_corrcoef"), right_or_wrong(10, 2, 1))


# Laws of the interval and of the number of rows.


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    return by_hand(
        draw(st.floats(-1, 1)),
        draw(st.floats(1e-6, 1)),
        effective_rows=draw(st.floats(1, 1e6)),
        support=draw(st.floats(1, 1e6)),
        least_error=draw(st.just(0.0) | st.floats(1e-6, 0.1)),
        rows=draw(st.integers(2, 1_000_000)),
    )


@given(comparisons(), st.floats(0.5, 0.99), st.floats(0.001, 0.009))
def test_more_confidence_is_a_longer_interval(comparison: Comparison, confidence: float, more: float) -> None:
    low, high = comparison.interval(confidence)
    lower, higher = comparison.interval(confidence + more)
    assert lower < low < comparison.change < high < higher
    assert low + high == pytest.approx(2 * comparison.change, abs=1e-12)


@given(comparisons(), st.floats(0, 1))
def test_rows_to_decide_are_those_at_which_the_interval_would_just_do(comparison: Comparison, margin: float) -> None:
    """With that many rows the distance is the sum of both quantiles times the error that is then left; with one less it is not."""
    rows = comparison.rows_to_decide(margin, 0.95)
    distance = abs(comparison.change + margin)
    needed = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)

    def error(rows: int) -> float:
        return comparison.widened_error * math.sqrt(comparison.rows / rows)

    if rows is None:
        assert distance < needed * error(MOST_ROWS) * (1 + 1e-9)
        return
    assert 1 <= rows <= MOST_ROWS
    assert distance >= needed * error(rows) * (1 - 1e-9)
    if rows > 1:
        assert distance <= needed * error(rows - 1) * (1 + 1e-9)


def test_how_many_rows_are_too_many_to_ask_for() -> None:
    assert POWER == 0.8
    assert MOST_ROWS == 1_000_000_000
    needed = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    just = 1_000 * (needed * 0.01) ** 2 / 1_000_000_000
    assert by_hand(-math.sqrt(just) * 1.0000001, 0.01, rows=1_000).rows_to_decide(0, 0.95) in range(999_999_000, 1_000_000_001)
    assert by_hand(-math.sqrt(just) * 0.9999999, 0.01, rows=1_000).rows_to_decide(0, 0.95) is None


def test_just_so_many_rows_may_be_asked_for() -> None:
    needed = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
    assert by_hand(-needed, 1.0, rows=MOST_ROWS).rows_to_decide(0, 0.95) == MOST_ROWS
    assert by_hand(-needed, 1.0, rows=MOST_ROWS + 1).rows_to_decide(0, 0.95) is None


def test_no_number_of_rows_tells_a_change_from_itself() -> None:
    assert by_hand(-0.25, 0.1).rows_to_decide(0.25, 0.95) is None
    assert by_hand(-0.5, 0.0).rows_to_decide(0.25, 0.95) is None
    assert by_hand(-0.5, 0.0).interval(0.95) == (-0.5, -0.5)


def test_every_part_of_the_widened_error() -> None:
    def widened(change: float, error: float, effective: float, support: float, least: float) -> float:
        return by_hand(change, error, effective_rows=effective, support=support, least_error=least).widened_error

    assert widened(0.0, 0.0, 0.0, 50.0, 0.1) == 0  # nothing differs
    assert widened(0.3, 0.0, 0.0, 9.0, 0.0) == pytest.approx(0.1)
    assert widened(0.3, 0.0, 0.0, 9.0, 0.2) == pytest.approx(math.sqrt(0.01 + 2 * 0.04))
    assert widened(0.0, 0.2, 8.0, 9.0, 0.0) == pytest.approx(math.sqrt(0.04 + 2 * 0.04 / 8))
    assert widened(0.0, 0.2, 8.0, 9.0, 0.1) == pytest.approx(math.sqrt(0.04 + 2 * 0.01))
    assert widened(-0.3, 0.2, 8.0, 9.0, 0.05) == pytest.approx(math.sqrt(0.04 + 2 * 0.04 / 8 + 0.01))


# Drawing rows again.


def standard_errors_by_bootstrap(names: list[str], paired: Paired, draws: int, seed: int) -> dict[str, float]:
    """Efron & Tibshirani 1993: the spread of the difference when rows, or whole groups, are drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = len(paired)
    members = None if paired.groups is None else [np.flatnonzero(paired.groups == code) for code in range(paired.groups.max() + 1)]
    changes: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(draws):
        rows = (
            rng.integers(0, n, n)
            if members is None
            else np.concatenate([members[code] for code in rng.integers(0, len(members), len(members))])
        )
        new, old = paired.take(rows).models
        for name in names:
            changes[name].append(measure(name).value(new) - measure(name).value(old))
    return {name: float(np.std(values, ddof=1)) for name, values in changes.items()}


DRAWS = 1000
MONTE_CARLO = 1 / math.sqrt(2 * DRAWS)
"""The relative standard error of a standard deviation of that many draws."""


@pytest.mark.parametrize(
    ("names", "paired"),
    [
        (BINARY, two_classes(np.random.default_rng(11), 500)),
        (MULTICLASS, three_classes(np.random.default_rng(12), 300)),
        (NUMBERS, numbers(np.random.default_rng(13), 500)),
    ],
    ids=["two classes", "three classes", "numbers"],
)
def test_standard_errors_are_those_of_a_paired_bootstrap(names: list[str], paired: Paired) -> None:
    by_bootstrap = standard_errors_by_bootstrap(names, paired, DRAWS, seed=1)
    for name in names:
        # A median's bootstrap has a spread of its own that falls with the fourth root of n only (Hall & Martin 1988).
        allowed = 4 * MONTE_CARLO + (0.15 if name == "median_absolute_error" else 0.04)
        assert compare(measure(name), paired).standard_error == pytest.approx(by_bootstrap[name], rel=allowed), name


def sized_groups(rng: np.random.Generator, groups: int) -> NDArray[np.intp]:
    return np.repeat(np.arange(groups), rng.integers(1, 9, groups))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_standard_errors_of_groups_are_those_of_a_bootstrap_of_groups(task: str) -> None:
    rng = np.random.default_rng(21)
    groups = sized_groups(rng, 200)
    n = len(groups)
    paired = two_classes(rng, n, noise=1, groups=groups) if task == "classification" else numbers(rng, n, groups=groups)
    names = BINARY if task == "classification" else [name for name in NUMBERS if name != "median_absolute_error"]
    by_bootstrap = standard_errors_by_bootstrap(names, paired, DRAWS // 2, seed=2)
    alone = Paired(paired.task, "id", None, paired.truth, paired.classes, paired.positive, paired.candidate, paired.baseline)
    for name in names:
        error = compare(measure(name), paired).standard_error
        assert error == pytest.approx(by_bootstrap[name], rel=4 * math.sqrt(2) * MONTE_CARLO + 0.06), name
    # Rows taken one by one would seem to know more than they do.
    mean = measure("log_loss" if task == "classification" else "mean_absolute_error")
    assert compare(mean, alone).standard_error < 0.8 * compare(mean, paired).standard_error


@pytest.mark.parametrize(
    ("name", "margin_in_errors"), [("accuracy", 1.0), ("roc_auc", -0.5), ("log_loss", 1.5), ("mean_absolute_error", 1.0)]
)
def test_that_many_rows_decide_four_times_in_five(name: str, margin_in_errors: float) -> None:
    """The rows at hand stand for the truth. From them as many are drawn as were asked for, again and again."""
    rng = np.random.default_rng(31)
    paired = numbers(rng, 500) if name in NUMBERS else two_classes(rng, 500)
    found = compare(measure(name), paired)
    margin = -found.change + margin_in_errors * found.standard_error
    rows = found.rows_to_decide(margin, 0.95)
    assert rows is not None
    draws = 600
    decided = 0
    for _ in range(draws):
        low, high = compare(measure(name), paired.take(rng.integers(0, len(paired), rows))).interval(0.95)
        decided += not low <= -margin <= high
    # 80 %, give or take 2 % for the metric's not being a mean, and what the binomial distribution allows once in a thousand.
    assert stats.binom.ppf(0.0005, draws, 0.78) <= decided <= stats.binom.ppf(0.9995, draws, 0.82)
