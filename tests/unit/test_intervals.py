"""The interval of a difference: against published formulas, and against drawing rows again."""

from __future__ import annotations

import math
from dataclasses import asdict
from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modelship.gate.comparison import MOST_ROWS, POWER, Comparison, satterthwaite
from modelship.gate.rows.intervals import Estimate, compare, compare_apart, estimate
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


def many_of_which_turned(lost: int, won: int) -> Comparison:
    """So many rows that `lost` and `won` of them alone count, each as one."""
    return by_hand(won - lost, math.sqrt(lost + won), effective_rows=lost + won)


@pytest.mark.parametrize(("lost", "won"), [(1, 0), (4, 0), (5, 0), (7, 1), (20, 11), (6, 9)])
def test_rows_count_as_turned_or_not(lost: int, won: int) -> None:
    n = 1_000_000
    low, high = compare(measure("accuracy"), right_or_wrong(n, lost, won)).interval(0.95)
    assert (low * n, high * n) == pytest.approx(many_of_which_turned(lost, won).interval(0.95), rel=1e-4)


@pytest.mark.parametrize("differ", [*range(1, 61), 100])
def test_a_loss_of_accuracy_is_proven_where_the_mid_p_test_of_mcnemar_says_so(differ: int) -> None:
    """Fagerland, Lydersen & Laake 2013: half of the chance of what was seen, and all of that of what is rarer still."""
    for lost in range(differ + 1):
        chance = stats.binom.sf(lost, differ, 0.5) + stats.binom.pmf(lost, differ, 0.5) / 2
        assert (many_of_which_turned(lost, differ - lost).interval(0.95)[1] < 0) == (chance < 0.025), lost


@pytest.mark.parametrize("expected", [1, 2, 3, 4, 5, 7, 10, 15, 30, 60, 100])
@pytest.mark.parametrize(("confidence", "most"), [(0.9, 0.0502), (0.95, 0.0249), (0.99, 0.0050), (0.999, 0.0005)])
def test_equal_models_are_blocked_no_more_often_than_confidence_says(expected: float, confidence: float, most: float) -> None:
    """Over all numbers of rows on which two models may differ, where so many are expected (Poisson), each in favour of either."""

    def blocked(differ: int) -> float:
        lost = [lost for lost in range(differ + 1) if many_of_which_turned(lost, differ - lost).interval(confidence)[1] < 0]
        return float(stats.binom.pmf(lost, differ, 0.5).sum())

    assert sum(stats.poisson.pmf(differ, expected) * blocked(differ) for differ in range(1, 2 * int(expected) + 30)) <= most


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8, 12, 20, 40])
def test_of_few_rows_no_loss_is_proven_sooner_than_by_the_mid_p_test(n: int, confidence: float) -> None:
    for lost in range(n + 1):
        for won in range(n + 1 - lost):
            if compare(measure("accuracy"), right_or_wrong(n, lost, won)).interval(confidence)[1] < 0:
                chance = stats.binom.sf(lost, lost + won, 0.5) + stats.binom.pmf(lost, lost + won, 0.5) / 2
                assert chance < (1 - confidence) / 2, (lost, won)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 10, 60])
def test_few_rows_that_all_turn_have_a_spread_all_the_same(n: int) -> None:
    """n rows newly wrong and none newly right: no row differs from their mean, and yet six of six are no proof."""
    compared = compare(measure("accuracy"), right_or_wrong(n, n, 0))
    low, high = compared.interval(0.95)
    half = stats.t.ppf(0.975, n - 1) * math.sqrt((n + 0.5) / n**2)
    assert low + high == pytest.approx(-2)
    assert high - low == pytest.approx(2 * half, rel={2: 0.12, 3: 0.008}.get(n, 0.005))
    assert (high < 0) == (n >= 7)


def test_numbers_by_hand() -> None:
    """Errors 1, 2, 3, 6 after 1, 1, 1, 1: the loss rises by 0, 1, 2, 5."""
    comparison = absolute_errors([1, 2, 3, 6], [1, 1, 1, 1])
    assert (comparison.metric, comparison.baseline, comparison.candidate, comparison.rows) == ("mean_absolute_error", 1, 3, 4)
    assert comparison.change == -2
    assert comparison.method == "mean of paired differences"
    assert comparison.standard_error == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4))
    assert comparison.effective_rows == pytest.approx(14**2 / (16 + 1 + 0 + 81))
    assert (comparison.support, comparison.least_error, comparison.freedom) == (4, 0, 3)
    # 14/12 for the spread, a quarter of it for half a row beside effective 2, and 2^2 over 4 for the change.
    widened = math.sqrt(14 / 12 + 14 / 12 / 4 + 1)
    assert comparison.widened_error == pytest.approx(widened)
    quantile = stats.t.ppf(0.975, 3)
    assert comparison.interval(0.95) == pytest.approx((-2 - quantile * widened, -2 + quantile * widened), rel=0.003)
    # 4 rows times (1.96 and 0.84, times the widened error, over a distance of 1.5) squared: 34.3, which have 25.7 degrees of freedom.
    fewest = 4 * ((1.959963984540054 + 0.8416212335729143) * widened / 1.5) ** 2
    quantile = stats.t.ppf(0.975, 3 * fewest / 4)
    assert comparison.rows_to_decide(0.5, 0.95) == math.ceil(4 * ((quantile + 0.8416212335729143) * widened / 1.5) ** 2) == 37


def test_groups_by_hand() -> None:
    """The rises of 0, 1, 2, 5 less their mean are -2, -1, 0, 3; in groups (first and third, second and fourth) -2 and 2."""
    comparison = absolute_errors([1, 2, 3, 6], [1, 1, 1, 1], groups=[0, 1, 0, 1])
    assert (comparison.change, comparison.rows) == (-2, 4)
    assert comparison.standard_error == pytest.approx(math.sqrt((4 + 4) * 2 / 1) / 4)
    assert (comparison.effective_rows, comparison.support, comparison.freedom) == (2, 2, 1)
    assert comparison.widened_error == pytest.approx(math.sqrt(1 + 0.5 / 2 + 2))
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
    half = stats.t.ppf(0.975, 3) * comparison.widened_error
    assert comparison.interval(0.95) == pytest.approx((-2 - half, tamed.interval(0.95)[1]), rel=0.002)
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


@pytest.mark.parametrize("freedom", [3, 5, 20, 500, math.inf])
@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("error", [0.2, 0.5, 2.0])
def test_the_rows_that_would_decide_have_degrees_of_freedom_of_their_own(freedom: float, confidence: float, error: float) -> None:
    power = 0.8416212335729143
    fewest = (error * (stats.norm.ppf((1 + confidence) / 2) + power)) ** 2
    half = stats.t.ppf((1 + confidence) / 2, freedom * max(fewest, 1)) if freedom < math.inf else stats.norm.ppf((1 + confidence) / 2)
    asked = by_hand(1.0, error, freedom=freedom, rows=10_000).rows_to_decide(0, confidence)
    assert asked == pytest.approx(10_000 * (error * (half + power)) ** 2, rel=0.02 if freedom * max(fewest, 1) <= 5 else 1e-3)


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


def test_rounding_is_no_difference_of_a_metric_that_is_nothing() -> None:
    """What half of the rows explain, the others take away: R2 is 0, and its influences are not."""
    truth = np.tile([1.0, -1.0], 30)
    answer = np.where(np.arange(60) < 30, truth, truth * (1 + math.sqrt(2)))
    candidate, baseline = (Answers(answer + noise) for noise in np.random.default_rng(2).normal(0, 1e-15, (2, 60)))
    comparison = compare(measure("r2"), Paired("regression", "id", None, truth, (), None, candidate, baseline))
    assert abs(comparison.candidate) < 1e-14
    assert comparison.standard_error == 0


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
    assert widened(0.3, 0.0, 0.0, 9.0, 0.2) == pytest.approx(math.sqrt(0.01 + 0.04 / 2))
    assert widened(0.0, 0.2, 8.0, 9.0, 0.0) == pytest.approx(math.sqrt(0.04 + 0.04 / 8 / 2))
    assert widened(0.0, 0.2, 8.0, 9.0, 0.1) == pytest.approx(math.sqrt(0.04 + 0.01 / 2))
    assert widened(-0.3, 0.2, 8.0, 9.0, 0.05) == pytest.approx(math.sqrt(0.04 + 0.04 / 8 / 2 + 0.01))


# A root, and what it is the root of.


def squared_errors(candidate: NDArray[np.float64], baseline: NDArray[np.float64], groups: NDArray[np.intp] | None) -> Paired:
    return Paired("regression", "id", None, np.zeros(len(candidate)), (), None, Answers(candidate), Answers(baseline), groups)


@pytest.mark.parametrize("unit", [1e-75, 1e-45, 1.0, 1e25])
@pytest.mark.parametrize("is_grouped", [False, True])
@given(errors=st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=5, max_size=30))
def test_a_root_is_as_sure_to_differ_as_what_it_is_the_root_of(
    unit: float, is_grouped: bool, errors: list[tuple[float, float]]
) -> None:
    candidate, baseline = (unit * np.round(column, 3) for column in np.array(errors).T)
    paired = squared_errors(candidate, baseline, np.arange(len(errors)) // 2 if is_grouped else None)
    root, square = (compare(measure(name), paired) for name in ("rmse", "mse"))
    if not square.standard_error:
        return
    assert root.change / root.widened_error == pytest.approx(square.change / square.widened_error, rel=1e-6, abs=1e-6)
    negated = compare(measure("neg_root_mean_squared_error"), paired)
    assert (negated.change, negated.interval(0.95)) == (root.change, root.interval(0.95))


def test_equal_roots_are_as_sure_to_be_equal_as_what_they_are_the_roots_of() -> None:
    """Errors 1, 2, 7 after 7, 1, 2: a third of the mean square of 18 is 3 root mean squares."""
    paired = squared_errors(np.array([1.0, 2.0, 7.0]), np.array([7.0, 1.0, 2.0]), None)
    root, square = (compare(measure(name), paired) for name in ("rmse", "mse"))
    assert root.change == square.change == 0
    assert root.standard_error == pytest.approx(square.standard_error / (2 * math.sqrt(18)))


def test_a_root_can_be_as_large_as_it_could_ever_be() -> None:
    rng = np.random.default_rng(5)
    low, high = compare(measure("rmse"), squared_errors(1e59 * rng.normal(0, 2, 50), 1e59 * rng.normal(0, 1, 50), None)).interval(0.95)
    assert low < high < 0


# Rows that have nothing in common.


def alone(name: str, paired: Paired) -> Estimate:
    return estimate(measure(name), paired)


def mean_error(errors: list[float], groups: list[int] | None = None) -> Estimate:
    """The mean absolute error of one model with the given errors."""
    both = np.array(errors)
    return alone("mae", squared_errors(both, both, None if groups is None else np.array(groups, dtype=np.intp)))


def test_a_sample_by_hand() -> None:
    """Errors 1, 2, 3, 6 are 2, 1 and 0 below their mean, and 3 above it."""
    assert asdict(mean_error([1, 2, 3, 6])) == {
        "value": 3,
        "standard_error": pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3 / 4)),
        "effective_rows": pytest.approx(14**2 / (16 + 1 + 0 + 81)),
        "support": 4,
        "least_error": 0,
        "units": 4,
        "rows": 4,
    }


def test_a_sample_of_groups_by_hand() -> None:
    """In groups (the first two, the third, the fourth) they are 3 below, 0 and 3 above."""
    assert asdict(mean_error([1, 2, 3, 6], groups=[0, 0, 1, 2])) == {
        "value": 3,
        "standard_error": pytest.approx(math.sqrt((9 + 0 + 9) * 3 / 2) / 4),
        "effective_rows": pytest.approx(2),
        "support": 3,
        "least_error": 0,
        "units": 3,
        "rows": 4,
    }


def evenly(n: int) -> Paired:
    """A model with errors of 1, 2 ... n: a step of its median is 1."""
    errors = np.arange(1.0, n + 1)
    return squared_errors(errors, errors, None)


def test_a_sample_is_as_coarse_as_a_step_of_its_median() -> None:
    assert alone("median_absolute_error", evenly(41)).least_error == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    ("errors", "groups", "reason"),
    [
        ([1.0], None, "there is a single row"),
        ([1.0], [0], "there is a single row"),
        ([1.0, 2.0], [0, 0], "all rows belong to one group"),
        ([1.0, 2.0, 3.0], [0, 0, 0], "all rows belong to one group"),
    ],
)
def test_one_unit_is_no_sample(errors: list[float], groups: list[int] | None, reason: str) -> None:
    with pytest.raises(UndefinedError, match=f"^{reason}$"):
        mean_error(errors, groups)


@pytest.mark.parametrize("groups", [None, [0, 1]])
def test_two_units_are_a_sample(groups: list[int] | None) -> None:
    assert mean_error([1, 3], groups).standard_error == pytest.approx(1)


def test_rounding_is_no_spread_of_a_sample() -> None:
    """A hundred errors of 1000: a spread of 1e-8 is a 1e-12th of all of them together."""
    signs = np.tile([1.0, -1.0], 50)
    found = mean_error((1000 + 5e-10 * signs).tolist())
    assert (found.standard_error, found.effective_rows) == (0, 0)
    found = mean_error((1000 + 2e-9 * signs).tolist())
    assert found.standard_error == pytest.approx(2e-9 / math.sqrt(99), rel=1e-3)
    assert found.effective_rows == pytest.approx(100)


def test_two_samples_by_hand() -> None:
    """Errors 1, 2, 3, 6 now, and 1, 1, 3, 3, 2 before, which is 4/5 around their mean, and from all five of them but one."""
    now, before = mean_error([1, 2, 3, 6]), mean_error([1, 1, 3, 3, 2])
    variances = 14 / 12, 4 / 20
    assert msgspec.structs.asdict(compare_apart(measure("mae"), now, before)) == {
        "metric": "mean_absolute_error",
        "baseline": 2,
        "candidate": 3,
        "change": -1,
        "standard_error": pytest.approx(math.sqrt(sum(variances))),
        "effective_rows": pytest.approx(sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 4)),
        "support": pytest.approx(1 / (1 / 4 + 1 / 5)),
        "least_error": 0,
        "rows": 4,
        "method": "mean, variances added",
        "tamed": None,
        "freedom": pytest.approx(sum(variances) ** 2 / (variances[0] ** 2 / 3 + variances[1] ** 2 / 4)),
    }


def test_two_samples_are_compared_by_the_method_of_their_metric() -> None:
    rng = np.random.default_rng(8)
    now, before = (alone("roc_auc", two_classes(rng, n)) for n in (80, 60))
    found = compare_apart(measure("roc_auc"), now, before)
    assert found.method == f"{measure('roc_auc').method}, variances added"
    assert found.change == now.value - before.value


def test_two_samples_are_as_coarse_as_both_of_them() -> None:
    now, before = (alone("median_absolute_error", evenly(n)) for n in (41, 81))
    found = compare_apart(measure("median_absolute_error"), now, before)
    assert found.least_error == pytest.approx(math.hypot(now.least_error, before.least_error))


def test_two_samples_have_the_degrees_of_freedom_of_welch() -> None:
    rng = np.random.default_rng(6)
    now, before = rng.normal(0, 3, 20), rng.normal(0, 1, 70)
    found = compare_apart(measure("mae"), *(alone("mae", squared_errors(errors, errors, None)) for errors in (now, before)))
    theirs = stats.ttest_ind(np.abs(before), np.abs(now), equal_var=False)
    assert found.freedom == pytest.approx(theirs.df)
    assert found.change / found.standard_error == pytest.approx(theirs.statistic)


def test_a_sample_in_which_nothing_varies_is_no_surer_than_the_other() -> None:
    """Fifty right rows and none wrong do not say that the model is never wrong."""
    now, before = alone("accuracy", right_or_wrong(5000, 50, 0)), alone("accuracy", right_or_wrong(50, 0, 0))
    assert before.standard_error == 0
    found = compare_apart(measure("accuracy"), now, before)
    assert found.change == pytest.approx(-0.01)
    # Of 5,000 rows it comes from 50; of the 50, as dense, from half a one; and most of the variance is of these.
    assert found.effective_rows == pytest.approx(0.5, rel=0.05)
    assert found.standard_error == pytest.approx(now.standard_error * math.sqrt(1 + 100), rel=1e-3)
    assert found.freedom == pytest.approx(50, rel=0.05)
    assert found.interval(0.95)[1] > 0
    backwards = compare_apart(measure("accuracy"), before, now)
    assert (backwards.standard_error, backwards.effective_rows) == (found.standard_error, found.effective_rows)


@pytest.mark.parametrize(("now", "before", "wrong"), [(1000, 100, 0.01), (2000, 50, 0.02), (500, 50, 0.05), (300, 300, 0.02)])
def test_a_model_that_stayed_as_it_was_is_seldom_said_to_be_worse(now: int, before: int, wrong: float) -> None:
    """Over all numbers of wrong rows in two samples of one error rate."""
    counts = [range(int(stats.binom.isf(1e-6, n, wrong)) + 1) for n in (now, before)]
    sides = [[alone("accuracy", right_or_wrong(n, k, 0)) for k in each] for n, each in zip((now, before), counts, strict=True)]
    failed = [
        stats.binom.pmf(ours, now, wrong) * stats.binom.pmf(theirs, before, wrong)
        for ours in counts[0]
        for theirs in counts[1]
        if compare_apart(measure("accuracy"), sides[0][ours], sides[1][theirs]).interval(0.95)[1] < 0
    ]
    assert sum(failed) <= 0.025


def test_two_samples_in_which_nothing_varies_do_not_differ() -> None:
    found = compare_apart(measure("accuracy"), *(alone("accuracy", right_or_wrong(n, 0, 0)) for n in (40, 60)))
    assert (found.change, found.interval(0.95), found.freedom) == (0, (0, 0), math.inf)


def test_a_sum_of_tiny_errors_has_degrees_of_freedom() -> None:
    assert satterthwaite([(1e-120, 10), (1e-120, 10), (0.0, 1)]) == pytest.approx(20)
    assert satterthwaite([]) == satterthwaite([(0.0, 3)]) == math.inf


# A median.


@pytest.mark.parametrize("n", [50, 100])
def test_a_median_that_no_row_crossed_may_yet_be_crossed(n: int) -> None:
    """Half a row that goes from one side to the other, each as far as the errors beside the median are apart."""
    rng = np.random.default_rng(7)
    errors = np.sort(rng.uniform(1, 2, n))
    far = errors > np.median(errors)
    found = compare(measure("median_absolute_error"), squared_errors(errors + np.where(far, 1e-3, -1e-3), errors, None))
    spacing = 1 / n  # of n errors evenly over a range of 1
    assert found.standard_error < 0.1 * spacing
    assert found.least_error == pytest.approx(spacing, rel=0.2)


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
