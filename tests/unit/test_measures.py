"""Every metric: the value against scikit-learn's, and the influence of each row against the metric's own derivative."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from modelship.gate.rows.intervals import compare
from modelship.gate.rows.measures import Measure, UndefinedError, find_measure, look_alike, measure_names
from modelship.gate.rows.paired import Answers, Class, Model, Paired

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

BY_CLASS = {"precision": reference.precision_score, "recall": reference.recall_score, "f1": reference.f1_score}
FOR_TWO_CLASSES = ["precision", "recall", "f1", "roc_auc"]
FOR_MORE_CLASSES = ["roc_auc_ovr", "roc_auc_ovr_weighted", "roc_auc_ovo", "roc_auc_ovo_weighted"]
FOR_ANY_CLASSES = [
    "accuracy",
    "balanced_accuracy",
    "matthews_corrcoef",
    *(f"{name}_{average}" for name in BY_CLASS for average in ("micro", "macro", "weighted")),
    "average_precision",
    "log_loss",
    "brier_score_loss",
]
OF_NUMBERS = {
    "r2": reference.r2_score,
    "root_mean_squared_error": reference.root_mean_squared_error,
    "mean_squared_error": reference.mean_squared_error,
    "mean_absolute_error": reference.mean_absolute_error,
    "mean_absolute_percentage_error": reference.mean_absolute_percentage_error,
    "median_absolute_error": reference.median_absolute_error,
}
SMOOTH = [*FOR_TWO_CLASSES, *FOR_MORE_CLASSES, *FOR_ANY_CLASSES, *(name for name in OF_NUMBERS if name != "median_absolute_error")]
CLASS_NAMES: list[tuple[Class, ...]] = [(0, 1), (False, True), ("no", "yes"), (-1, 1), (2, 5, 9), ("a", "b", "c"), (0, 1, 2, 3)]


def measure(name: str) -> Measure:
    found = find_measure(name)
    assert found is not None
    return found


def value(name: str, model: Model) -> float:
    return measure(name).value(model)


def influence(name: str, model: Model) -> NDArray[np.float64]:
    return measure(name).influence(model).rows


def of_scikit_learn(name: str, model: Model, weight: NDArray[np.float64] | None = None) -> float:
    """The metric as scikit-learn has it, with `weight` (n,) of the rows. NaN where it has no value there."""
    labels = list(model.classes)
    names = np.array(labels, dtype=object if isinstance(labels[0], str) else None) if labels else np.empty(0)
    truth = names[model.truth].tolist() if labels else model.truth
    predicted = model.answers.prediction
    assert predicted is not None
    prediction = names[predicted].tolist() if labels else predicted
    score: Any = model.answers.score
    two = len(labels) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in OF_NUMBERS:
            return float(OF_NUMBERS[name](truth, prediction, sample_weight=weight))
        if name in BY_CLASS:
            positive = labels[model.positive or 0]
            return float(BY_CLASS[name](truth, prediction, pos_label=positive, sample_weight=weight, zero_division=np.nan))
        family, _, average = name.rpartition("_")
        if family in BY_CLASS:
            return float(BY_CLASS[family](truth, prediction, average=average, sample_weight=weight, zero_division=0))
        if name in ("accuracy", "balanced_accuracy", "matthews_corrcoef"):
            function = {"accuracy": reference.accuracy_score, "balanced_accuracy": reference.balanced_accuracy_score}
            return float(function.get(name, reference.matthews_corrcoef)(truth, prediction, sample_weight=weight))
        if name == "log_loss":
            both = np.stack([1 - score, score] if model.positive else [score, 1 - score], axis=1) if two else score
            return float(reference.log_loss(truth, both, labels=labels, sample_weight=weight))
        if name == "brier_score_loss":
            if two:
                return float(reference.brier_score_loss(model.truth == model.positive, score, sample_weight=weight))
            return float(reference.brier_score_loss(truth, score, labels=labels, sample_weight=weight))
        if name == "roc_auc":
            return float(reference.roc_auc_score(model.truth == model.positive, score, sample_weight=weight))
        if name == "average_precision":
            codes = model.truth == model.positive if two else np.eye(len(labels))[model.truth]
            return float(reference.average_precision_score(codes, score, sample_weight=weight))
        averaging = "weighted" if name.endswith("_weighted") else "macro"
        if "ovo" in name and weight is not None:
            return _weighted_one_versus_one(model, weight, by_prevalence=averaging == "weighted")
        kind = "ovo" if "ovo" in name else "ovr"
        return float(reference.roc_auc_score(truth, score, multi_class=kind, average=averaging, labels=labels, sample_weight=weight))


def _weighted_one_versus_one(model: Model, weight: NDArray[np.float64], *, by_prevalence: bool) -> float:
    """Hand & Till 2001; scikit-learn takes no weights here."""
    score = model.answers.score
    assert score is not None
    values, shares = [], []
    for first in range(len(model.classes)):
        for second in range(first + 1, len(model.classes)):
            among = (model.truth == first) | (model.truth == second)
            both = [
                reference.roc_auc_score(model.truth[among] == code, score[among, code], sample_weight=weight[among])
                for code in (first, second)
            ]
            values.append(np.mean(both))
            shares.append(weight[among].sum())
    return float(np.average(values, weights=shares if by_prevalence else None))


def fits(name: str, model: Model) -> bool:
    """Whether a metric is for this kind of rows at all."""
    if not model.classes:
        return name in OF_NUMBERS
    return name in FOR_ANY_CLASSES or name in (FOR_TWO_CLASSES if len(model.classes) == 2 else FOR_MORE_CLASSES)


def is_defined(name: str, model: Model) -> bool:
    """Whether the rows allow a value. Said here once more, from the metrics' definitions."""
    seen = set(np.unique(model.truth).tolist())
    predicted = model.answers.prediction
    assert predicted is not None
    if name == "r2":
        return len(seen) > 1
    if name == "mean_absolute_percentage_error":
        return 0 not in seen
    if name == "matthews_corrcoef":
        return len(seen) > 1 and len(np.unique(predicted)) > 1
    if name == "precision":
        return model.positive in predicted
    if name == "recall":
        return model.positive in seen
    if name == "f1":
        return model.positive in seen or model.positive in predicted
    if name == "average_precision" and len(model.classes) == 2:
        return model.positive in seen
    if name.startswith("roc_auc") or name == "average_precision":
        return len(seen) == len(model.classes)
    return True


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def classified(seed: int, n: int, classes: Sequence[Class], *, positive: int = 1, decimals: int = 1) -> Paired:
    """Two models of n rows. With few decimals many scores are equal, some of them 0 and 1."""
    rng = np.random.default_rng(seed)
    k = len(classes)
    truth = rng.integers(0, k, n)
    shared = rng.normal(0, 1.5, (n, k)) + 1.5 * np.eye(k)[truth]

    def answers() -> Answers:
        each = probabilities(shared + rng.normal(0, 1, (n, k)))
        if k == 2:
            score = each[:, positive].round(decimals)
            return Answers(np.where(score >= 0.5, positive, 1 - positive), score)
        each = each.round(decimals)
        each[:, -1] = np.clip(1 - each[:, :-1].sum(axis=1), 0, 1)
        # Rounding may have left more than one in all; then the rows are scaled back.
        each /= each.sum(axis=1, keepdims=True)
        return Answers(each.argmax(axis=1), each)

    return Paired("classification", "id", None, truth, tuple(classes), positive if k == 2 else None, answers(), answers())


def numbers(seed: int, n: int) -> Paired:
    """Two models of n rows with skewed truths, a quarter of them negative, and heavy-tailed errors."""
    rng = np.random.default_rng(seed)
    truth = (rng.gamma(2, 3, n) + 0.5) * rng.choice([1, 1, 1, -1], n)
    shared = truth + rng.standard_t(4, n)
    return Paired(
        "regression", "id", None, truth, (), None, Answers(shared + rng.normal(0, 1, n)), Answers(shared + rng.normal(0, 1, n))
    )


def tables(n: int) -> list[Paired]:
    binary = [classified(seed, n, CLASS_NAMES[seed % 4], positive=seed % 2) for seed in range(4)]
    return [*binary, *(classified(9 + seed, n, classes) for seed, classes in enumerate(CLASS_NAMES[4:])), numbers(0, n)]


@st.composite
def small_tables(draw: st.DrawFn) -> Model:
    """Any little table: few rows, absent classes, models that never predict one, equal scores, exact 0 and 1."""
    n = draw(st.integers(1, 12))
    if draw(st.booleans()):
        tenths = st.integers(-30, 30).map(lambda tenth: tenth / 10)
        truth, prediction = (np.array(draw(st.lists(tenths, min_size=n, max_size=n))) for _ in range(2))
        return Model(truth, (), None, Answers(prediction))
    classes = draw(st.sampled_from(CLASS_NAMES))
    k = len(classes)
    codes = st.lists(st.integers(0, k - 1), min_size=n, max_size=n)
    truth, prediction = (np.array(draw(codes), dtype=np.intp) for _ in range(2))
    parts = np.array(draw(st.lists(st.lists(st.integers(0, 3), min_size=k, max_size=k).filter(any), min_size=n, max_size=n)))
    score = parts / parts.sum(axis=1, keepdims=True)
    positive = draw(st.integers(0, 1)) if k == 2 else None
    return Model(truth, classes, positive, Answers(prediction, score if positive is None else score[:, positive]))


# Values.


@pytest.mark.parametrize("name", [*FOR_TWO_CLASSES, *FOR_MORE_CLASSES, *FOR_ANY_CLASSES, *OF_NUMBERS])
def test_values_are_scikit_learns(name: str) -> None:
    fitting = [model for paired in (*tables(300), *tables(61)) for model in paired.models if fits(name, model)]
    assert fitting
    for model in fitting:
        assert value(name, model) == pytest.approx(of_scikit_learn(name, model), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("stored_as", [np.float32, np.float64])
def test_log_loss_clips_where_scikit_learn_does(stored_as: type[np.floating[Any]]) -> None:
    stored = np.array([0, 1, 0.25, 1, 0, 0.5], dtype=stored_as)
    truth = np.array([0, 1, 1, 0, 1, 0])
    answers = Answers((stored >= 0.5).astype(np.intp), stored.astype(np.float64), float(np.finfo(stored_as).eps))
    mine = value("log_loss", Model(truth, (0, 1), 1, answers))
    # Single precision is what scikit-learn then calculates in, too.
    assert mine == pytest.approx(reference.log_loss(truth, stored), rel=1e-6 if stored_as is np.float32 else 1e-12)
    exact = [2 * -math.log1p(-np.finfo(stored_as).eps), -math.log(0.25), 2 * -math.log(np.finfo(stored_as).eps), -math.log(0.5)]
    assert mine == pytest.approx(math.fsum(exact) / 6, rel=1e-12)


def test_log_loss_of_more_classes_clips_at_single_precision() -> None:
    score = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.25, 0.25]])
    model = Model(np.array([0, 2, 1]), (0, 1, 2), None, Answers(np.array([0, 1, 0]), score, float(np.finfo(np.float32).eps)))
    assert value("log_loss", model) == pytest.approx(reference.log_loss(model.truth, score.astype(np.float32)), rel=1e-6)


@pytest.mark.parametrize("positive", [0, 1])
def test_the_positive_class_is_the_one_that_is_named(positive: int) -> None:
    truth = np.array([0, 0, 0, 1, 1])
    answers = Answers(np.array([0, 1, 0, 1, 1]), np.array([0.9, 0.4, 0.8, 0.3, 0.1]))
    precision = {0: 1.0, 1: 2 / 3}
    assert value("precision", Model(truth, ("no", "yes"), positive, answers)) == pytest.approx(precision[positive])
    # The scores are those of "no": it is ranked perfectly, and "yes" the wrong way round.
    assert value("roc_auc", Model(truth, ("no", "yes"), positive, answers)) == pytest.approx([1.0, 0.0][positive])


# Influences on a median.


def test_influence_on_a_median_uses_the_density_there() -> None:
    """Of exponential errors the median is log 2 and the density there one half: a row moves the median by plus or minus one."""
    rng = np.random.default_rng(3)
    n = 400_000
    model = Model(np.zeros(n), (), None, Answers(rng.exponential(1.0, n) * rng.choice([-1, 1], n)))
    middle, rows, *_ = measure("median_absolute_error").influence(model)[:2]
    assert middle == pytest.approx(math.log(2), abs=0.01)
    assert np.unique(np.sign(rows)).tolist() == [-1, 1]
    assert np.abs(rows).max() == pytest.approx(1, rel=0.03)
    assert np.abs(rows).min() == pytest.approx(1, rel=0.03)


def test_influence_on_a_median_widens_its_window_over_equal_errors() -> None:
    errors = np.repeat([1.0, 2.0, 3.0], [200, 600, 200])
    model = Model(np.zeros(1000), (), None, Answers(errors))
    middle, rows, *_ = measure("median_absolute_error").influence(model)[:2]
    assert middle == 2
    # The window first reaches the outer values at 0.388 each way: 3 - 1 over 0.776.
    assert np.unique(rows.round(12)).tolist() == pytest.approx([-1 / 0.776, 0, 1 / 0.776])


def test_equal_errors_have_no_influence_on_their_median() -> None:
    model = Model(np.zeros(9), (), None, Answers(np.full(9, 2.0)))
    middle, rows, *_ = measure("median_absolute_error").influence(model)[:2]
    assert middle == 2
    assert not rows.any()


# DeLong, against the definition.


def structural_components(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """V10 and V01 of DeLong et al. 1988, equations (4) and (5): every positive against every negative."""
    wins = (positives[:, None] > negatives[None, :]) + 0.5 * (positives[:, None] == negatives[None, :])
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize("seed", range(5))
def test_roc_auc_is_that_of_delong(seed: int, decimals: int) -> None:
    paired = classified(seed, 150, (0, 1), decimals=decimals)
    is_positive = paired.truth == 1
    m, n = np.count_nonzero(is_positive), np.count_nonzero(~is_positive)
    components = []
    for answers in (paired.candidate, paired.baseline):
        assert answers.score is not None
        components.append(structural_components(answers.score[is_positive], answers.score[~is_positive]))
    (new_10, new_01), (old_10, old_01) = components
    textbook = np.cov(new_10, old_10) / m + np.cov(new_01, old_01) / n
    variance = np.array([1, -1]) @ textbook @ np.array([1, -1])

    comparison = compare(measure("roc_auc"), paired)
    assert comparison.candidate == pytest.approx(new_10.mean(), abs=1e-12)
    assert comparison.baseline == pytest.approx(old_01.mean(), abs=1e-12)
    # DeLong divides each class's sum of squares by its own number of rows less one, we divide all by n, and once by n - 1.
    mine = (comparison.standard_error**2) * (m + n - 1) / (m + n)
    by_n = np.var(new_10 - old_10) / m + np.var(new_01 - old_01) / n
    assert mine == pytest.approx(by_n, rel=1e-10)
    assert comparison.standard_error**2 == pytest.approx(variance, rel=0.03)


# Laws.


@pytest.mark.parametrize("paired", tables(120), ids=lambda paired: f"{paired.task}-{len(paired.classes)}-{paired.positive}")
def test_laws_of_comparisons(paired: Paired) -> None:
    n = len(paired)
    shuffled = paired.take(np.random.default_rng(0).permutation(n))
    swapped = Paired(paired.task, paired.key, None, paired.truth, paired.classes, paired.positive, paired.baseline, paired.candidate)
    alone = with_groups(paired, np.random.default_rng(1).permutation(n))
    doubled = with_groups(paired.take(np.repeat(np.arange(n), 2)), np.repeat(np.arange(n), 2))
    names = [name for name in [*SMOOTH, "median_absolute_error"] if fits(name, paired.models[0])]
    for name in names:
        comparison = compare(measure(name), paired)
        assert comparison.standard_error > 0
        assert same(compare(measure(name), shuffled), comparison), name

        other_way = compare(measure(name), swapped)
        assert other_way.change == -comparison.change
        assert other_way.standard_error == comparison.standard_error
        assert (other_way.candidate, other_way.baseline) == (comparison.baseline, comparison.candidate)

        each_alone = compare(measure(name), alone)
        assert same(each_alone, comparison), name
        assert each_alone.method == f"{comparison.method}, by group"

        if name != "median_absolute_error":  # its estimate of a density knows the number of rows
            twice = compare(measure(name), doubled)
            assert same(twice, comparison), name
            assert twice.rows == 2 * n


def with_groups(paired: Paired, groups: NDArray[np.intp]) -> Paired:
    return Paired(
        paired.task, paired.key, None, paired.truth, paired.classes, paired.positive, paired.candidate, paired.baseline, groups
    )


def same(one: Any, other: Any) -> bool:
    fields = ("candidate", "baseline", "change", "standard_error", "effective_rows", "support")
    return all(math.isclose(getattr(one, field), getattr(other, field), rel_tol=1e-9, abs_tol=1e-12) for field in fields)


def test_scores_that_rank_alike_have_one_roc_auc() -> None:
    paired = classified(1, 200, (0, 1), decimals=3)
    score = paired.candidate.score
    assert score is not None
    bent = Answers(paired.candidate.prediction, score**3)
    for name in ("roc_auc", "average_precision"):
        assert value(name, Model(paired.truth, (0, 1), 1, bent)) == value(name, paired.models[0])
        assert np.array_equal(influence(name, Model(paired.truth, (0, 1), 1, bent)), influence(name, paired.models[0]))


# No value.


def model_of(truth: Sequence[float], prediction: Sequence[float], score: Any = None, classes: Sequence[Class] = (0, 1)) -> Model:
    number = np.float64 if not classes else np.intp
    return Model(
        np.array(truth, dtype=number),
        tuple(classes),
        1 if len(classes) == 2 else None,
        Answers(np.array(prediction, dtype=number), None if score is None else np.array(score, dtype=np.float64)),
    )


THREE = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]


@pytest.mark.parametrize(
    ("name", "model", "reason"),
    [
        ("precision", model_of([0, 1], [0, 0]), "no row is predicted as `1`"),
        ("recall", model_of([0, 0], [0, 1]), "no row is `1` in truth"),
        ("f1", model_of([0, 0], [0, 0]), "no row is or is predicted as `1`"),
        ("matthews_corrcoef", model_of([1, 1], [0, 1]), "truth is one single class"),
        ("matthews_corrcoef", model_of([0, 1], [1, 1]), "every prediction is one single class"),
        ("matthews_corrcoef", model_of([0, 1, 2] * 8, [0] * 24, classes=(0, 1, 2, 3)), "every prediction is one single class"),
        ("matthews_corrcoef", model_of([0] * 24, [0, 1, 2] * 8, classes=(0, 1, 2, 3)), "truth is one single class"),
        ("roc_auc", model_of([1, 1], [0, 1], [0.1, 0.9]), "all rows are of one class in truth"),
        ("roc_auc", model_of([0, 0], [0, 1], [0.1, 0.9]), "all rows are of one class in truth"),
        ("average_precision", model_of([0, 0], [0, 1], [0.1, 0.9]), "no row is positive in truth"),
        ("average_precision", model_of([0, 1], [0, 1], THREE, "abc"), "no row is `c` in truth"),
        ("roc_auc_ovr", model_of([0, 2], [0, 1], THREE, "abc"), "no row is `b` in truth"),
        ("roc_auc_ovo", model_of([1, 1], [0, 1], THREE, "abc"), "no row is `a` in truth"),
        ("roc_auc", model_of([0, 1], [0, 1], THREE, "abc"), "it is for two classes, and there are 3; gate roc_auc_ovr or roc_auc_ovo"),
        ("precision", model_of([0, 1], [0, 1], THREE, "abc"), "it is for two classes, and there are 3; gate precision_macro"),
        ("roc_auc_ovr", model_of([0, 1], [0, 1], [0.1, 0.9]), "it is for more than two classes; gate roc_auc"),
        ("roc_auc_ovo_weighted", model_of([0, 1], [0, 1], [0.1, 0.9]), "it is for more than two classes; gate roc_auc"),
        ("log_loss", model_of([0, 1], [0, 1], [-0.5, 0.9]), "scores must be probabilities for it, and one is −0.5"),
        ("brier_score_loss", model_of([0, 1], [0, 1], [0.5, 1.5]), "scores must be probabilities for it, and one is 1.5"),
        (
            "log_loss",
            model_of([0, 1], [0, 1], [[1.5, -0.5, 0], [1, 0, 0]], "abc"),
            "scores must be probabilities for it, and one is −0.5",
        ),
        ("r2", model_of([2, 2], [1, 3], classes=()), "truth is the same in all rows"),
        ("r2", model_of([0.1, 0.1, 0.1], [1, 3, 2], classes=()), "truth is the same in all rows"),
        ("r2", model_of([0, 1e-200], [1, 3], classes=()), "truth is the same in all rows"),
        (
            "mean_absolute_percentage_error",
            model_of([0, 2, 0], [1, 3, 4], classes=()),
            "truth is zero in 2 rows, and it divides by truth",
        ),
    ],
)
def test_no_value_has_a_reason(name: str, model: Model, reason: str) -> None:
    with pytest.raises(UndefinedError) as raised:
        measure(name).value(model)
    assert str(raised.value) == reason


@pytest.mark.parametrize("error", [1.5e30, 1e151, 1e300])
@pytest.mark.parametrize("name", ["mean_squared_error", "neg_mean_squared_error"])
def test_a_value_without_end_is_none(name: str, error: float) -> None:
    with pytest.raises(UndefinedError, match=r"^it is too large to compare, or infinite$"):
        measure(name).value(model_of([0, 1], [error, 1], classes=()))


def test_a_large_value_is_one() -> None:
    assert value("mean_absolute_error", model_of([0, 0], [1e60, 1e60], classes=())) == 1e60


def test_a_long_class_name_is_cut_in_a_reason() -> None:
    with pytest.raises(UndefinedError) as raised:
        value("recall", model_of([0, 0], [0, 1], classes=("a", "b" * 500)))
    assert len(str(raised.value)) < 100


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_margins_need_not_be_probabilities_to_be_ranked(name: str) -> None:
    model = model_of([0, 1, 1], [0, 1, 1], [-3.0, -4.0, 7.5])
    assert value(name, model) == pytest.approx(of_scikit_learn(name, model))


@pytest.mark.parametrize("name", ["root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "median_absolute_error"])
def test_a_perfect_model_has_no_error_and_no_influence(name: str) -> None:
    middle, rows, *_ = measure(name).influence(model_of([1, 2, 3], [1, 2, 3], classes=()))
    assert middle == 0
    assert rows.tolist() == [0, 0, 0]


# Names.


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("auc", "roc_auc"),
        ("roc_auc_score", "roc_auc"),
        ("mcc", "matthews_corrcoef"),
        ("logloss", "log_loss"),
        ("brier", "brier_score_loss"),
        ("brier_loss", "brier_score_loss"),
        ("rmse", "root_mean_squared_error"),
        ("mse", "mean_squared_error"),
        ("mae", "mean_absolute_error"),
        ("mape", "mean_absolute_percentage_error"),
        ("r2_score", "r2"),
        ("accuracy_score", "accuracy"),
        ("balanced_accuracy_score", "balanced_accuracy"),
        ("average_precision_score", "average_precision"),
        ("f1_binary", "f1"),
        ("precision_binary", "precision"),
        ("recall_binary", "recall"),
        ("f1_score", "f1"),
    ],
)
def test_other_names(alias: str, name: str) -> None:
    assert find_measure(alias) is find_measure(name)
    assert measure(alias).name == name


@pytest.mark.parametrize("name", ["profit", "", "score", "neg_", "neg_roc_auc", "neg_r2", "neg_profit", "ROC_AUC", "neg_neg_log_loss"])
def test_names_of_no_measure(name: str) -> None:
    assert find_measure(name) is None


@pytest.mark.parametrize("name", ["log_loss", "brier_score_loss", "mean_squared_error", "root_mean_squared_error", "rmse"])
def test_neg_is_the_loss_negated(name: str) -> None:
    paired = numbers(0, 50) if name not in ("log_loss", "brier_score_loss") else classified(0, 50, (0, 1))
    loss, negated = measure(name), measure(f"neg_{name}")
    assert (negated.name, negated.task, negated.needs, negated.method) == (f"neg_{name}", loss.task, loss.needs, loss.method)
    assert (loss.better, negated.better) == ("lower", "higher")
    assert negated.value(paired.models[0]) == -loss.value(paired.models[0])
    one, other = compare(loss, paired), compare(negated, paired)
    assert (other.change, other.standard_error, other.effective_rows) == (one.change, one.standard_error, one.effective_rows)
    assert (other.candidate, other.baseline) == (-one.candidate, -one.baseline)


@pytest.mark.parametrize("name", ["neg_log_loss", "neg_brier_score", "neg_mean_absolute_error", "neg_root_mean_squared_error"])
def test_scikit_learns_scorers_are_known(name: str) -> None:
    assert measure(name).better == "higher"


def test_which_way_is_better_and_what_is_needed() -> None:
    scored = ["roc_auc", *FOR_MORE_CLASSES, "average_precision", "log_loss", "brier_score_loss"]
    for name in SMOOTH:
        found = measure(name)
        assert found.name == name
        assert found.task == ("regression" if name in OF_NUMBERS else "classification")
        assert found.needs == ("score" if name in scored else "prediction")
        assert found.better == ("lower" if name.endswith(("loss", "error")) else "higher")


def test_each_measure_says_its_method() -> None:
    methods = {
        "DeLong": ["roc_auc", *FOR_MORE_CLASSES],
        "influence, delta method": ["average_precision", "r2", "root_mean_squared_error"],
        "influence, quantile density": ["median_absolute_error"],
        "cell counts, delta method": ["accuracy", "f1", "recall_macro", "matthews_corrcoef"],
        "mean of paired differences": ["log_loss", "brier_score_loss", "mean_squared_error", "mean_absolute_percentage_error"],
    }
    for method, names in methods.items():
        assert {measure(name).method for name in names} == {method}


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("holdout.roc_auc", "roc_auc"),
        ("val_f1", "f1"),
        ("eval/test_rmse", "root_mean_squared_error"),
        ("validation_holdout_auc", "roc_auc"),
        ("a.b.neg_log_loss", "neg_log_loss"),
        ("accuracy", "accuracy"),
    ],
)
def test_names_that_look_like_a_measure(own: str, name: str) -> None:
    found = look_alike(own)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("own", ["profit", "roc_auc_of_test", "train_f1", "accuracy.share", "my_val_f1"])
def test_names_that_look_like_no_measure(own: str) -> None:
    assert look_alike(own) is None


# Influences. After what is quick, which is what most mistakes break.


@pytest.mark.parametrize("name", SMOOTH)
def test_influences_are_the_derivative(name: str) -> None:
    """n times the derivative of scikit-learn's value with respect to the weight of a row, by a central difference."""
    step = 1e-4
    fitting = [paired.models[0] for paired in tables(41) if fits(name, paired.models[0])]
    for model in fitting:
        n = len(model.truth)
        rows = influence(name, model)
        assert abs(rows.mean()) < 1e-12 * max(1.0, float(np.abs(rows).max()))
        for row in range(0, n, 3):
            shifted = []
            for sign in (1, -1):
                weight = np.ones(n)
                weight[row] += sign * step
                shifted.append(of_scikit_learn(name, model, weight))
            derivative = n * (shifted[0] - shifted[1]) / (2 * step)
            assert rows[row] == pytest.approx(derivative, rel=1e-5, abs=1e-6), (model.classes, row)


# All of it, on anything. Last, because a failure here takes longest to be made small.


@settings(max_examples=200)
@given(small_tables())
def test_any_small_table_has_scikit_learns_values_or_none(model: Model) -> None:
    for name in [*FOR_TWO_CLASSES, *FOR_MORE_CLASSES, *FOR_ANY_CLASSES, *OF_NUMBERS]:
        if not fits(name, model):
            continue
        if not is_defined(name, model):
            with pytest.raises(UndefinedError):
                measure(name).value(model)
            continue
        assert value(name, model) == pytest.approx(of_scikit_learn(name, model), rel=1e-9, abs=1e-9), name
        rows = influence(name, model)
        assert rows.shape == (len(model.truth),)
        assert abs(rows.mean()) <= 1e-9 * max(1.0, float(np.abs(rows).max())), name


def of_sizes(*rows: int, wrong: int = 2) -> Model:
    """So many rows of each class, of which a few are taken for the next class."""
    truth = np.repeat(np.arange(len(rows)), rows)
    prediction = truth.copy()
    for code in range(len(rows)):
        prediction[np.flatnonzero(truth == code)[:wrong]] = (code + 1) % len(rows)
    names: tuple[Class, ...] = (0, 1) if len(rows) == 2 else tuple("abcd"[: len(rows)])
    return Model(truth, names, 1 if len(rows) == 2 else None, Answers(prediction))


@pytest.mark.parametrize(("positive", "least"), [(19, 100 / 19), (20, 0), (40, 0)])
def test_of_few_rows_a_whole_turn_of_one_is_not_ruled_out(positive: int, least: float) -> None:
    found = measure("recall").influence(of_sizes(100 - positive, positive))
    assert found.support == positive
    assert found.least == pytest.approx(least)


@pytest.mark.parametrize("name", ["balanced_accuracy", "recall_macro"])
def test_a_mean_over_classes_rests_on_the_rarest_that_there_is(name: str) -> None:
    """A row of 10 turns a recall by a tenth, and the mean of three by a thirtieth."""
    assert measure(name).influence(of_sizes(10, 30, 60)).support == pytest.approx(30)


def test_a_class_without_rows_does_not_count_in_the_mean_over_classes() -> None:
    truth = np.repeat([0, 1], [10, 30])
    model = Model(truth, ("a", "b", "c"), None, Answers(np.where(np.arange(40) % 5 == 0, 2, truth)))
    assert value("balanced_accuracy", model) == pytest.approx(of_scikit_learn("balanced_accuracy", model)) == pytest.approx(0.8)


def test_all_names_are_those_of_both_tasks() -> None:
    assert set(measure_names("regression")) == {*OF_NUMBERS}
    assert set(measure_names()) == {*measure_names("classification"), *OF_NUMBERS}
    assert not {*measure_names("classification")} & {*OF_NUMBERS}
