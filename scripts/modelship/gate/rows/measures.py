"""Metrics under scikit-learn's names, each with the influence of every row on it.

The influence of a row is the derivative of the metric with respect to the row's weight (Hampel 1974, "The influence curve and its
role in robust estimation", J. Am. Stat. Assoc. 69). Influences have mean zero, and their variance divided by n is the variance of the
metric; the difference of two models' influences, row by row, gives that of a paired difference (`intervals.compare`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelship.core.words import general
from modelship.gate.directions import Direction
from modelship.gate.rows.paired import Model, Task, Ties

Rows = NDArray[np.float64]
"""Shape (n,)."""

Needs = Literal["prediction", "score"]


LARGEST = 1e60
"""Beyond it an interval, which takes fourth powers of influences, could be infinite or NaN, and would tell nothing apart."""

FEW = 20
"""Fewer rows than these say too little about their own spread."""


class Influence(NamedTuple):
    """A metric's value, and what each row does to it."""

    value: float
    rows: Rows
    """(n,) influences, with mean zero."""
    support: float
    """How many rows the value rests on: those of the rarest class that it divides by, each class counted by its weight; else n."""
    least: float = 0.0
    """What one more row could do that these n do not show, where they are too few or too coarse to show it."""


class UndefinedError(Exception):
    """A metric has no value on these rows. The message says why, in a few words."""


@dataclass(frozen=True)
class Measure:
    """A metric. `influence` maps a model to the value and to what each row does to it; it may raise UndefinedError."""

    name: str
    task: Task
    needs: Needs
    better: Direction
    method: str
    """How the variance of a difference is found."""
    influence: Callable[[Model], Influence]
    root_of: Callable[[Model], Influence] | None = None
    """The mean whose root the metric is, or whose root with a minus."""

    def value(self, model: Model) -> float:
        """The metric's value. Raises UndefinedError."""
        return self.finite(model).value

    def finite(self, model: Model) -> Influence:
        """The influence of every row, with a value that can be compared. Raises UndefinedError."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.influence(model)
        if not abs(found.value) <= LARGEST:
            raise UndefinedError("it is too large to compare, or infinite")
        return found


def find_measure(name: str) -> Measure | None:
    """The metric of that name: scikit-learn's scorer or function name, with or without `_score`, or a common short form.

    A name that begins with `neg_` is the negated loss, as among scikit-learn's scorers.
    """
    if name.startswith("neg_"):
        found = _MEASURES.get(_canonical(name.removeprefix("neg_")))
        return _negated(name, found) if found and found.better == "lower" else None
    return _MEASURES.get(_canonical(name))


def _canonical(name: str) -> str:
    name = name.removesuffix("_score")
    return _ALIASES.get(name, name)


def _negated(name: str, loss: Measure) -> Measure:
    def influence(model: Model) -> Influence:
        found = loss.influence(model)
        return found._replace(value=-found.value, rows=-found.rows)

    return Measure(name, loss.task, loss.needs, "higher", loss.method, influence, loss.root_of)


# Classes: everything follows from the shares of the k x k cells (truth, prediction). A row's influence depends on its cell alone, and
# is looked up in a (k, k) table. Delta method on multinomial proportions: Agresti 2013, Categorical Data Analysis, section 16.1.


def _from_cells(table_of: Callable[[Model], tuple[float, NDArray[np.float64]]]) -> Callable[[Model], Influence]:
    def influence(model: Model) -> Influence:
        value, table = table_of(model)
        n, k = len(model.truth), len(model.classes)
        assert model.answers.prediction is not None
        in_truth = model.cells.sum(axis=1) > 0
        # What a row does whose prediction turns: 1 for accuracy, n / m for the recall of a class with m rows.
        turn = float(np.ptp(table[in_truth], axis=1).max())
        return _resting_on(n / turn if turn else n, n, value, table.ravel()[model.truth * k + model.answers.prediction])

    return influence


def _accuracy(model: Model) -> tuple[float, NDArray[np.float64]]:
    value = float(np.trace(model.cells))
    return value, np.eye(len(model.classes)) - value


def _balanced_accuracy(model: Model) -> tuple[float, NDArray[np.float64]]:
    truth = model.cells.sum(axis=1)
    weights = (truth > 0) / np.count_nonzero(truth)
    return _averaged_recall(model.cells, weights)


def _matthews_corrcoef(model: Model) -> tuple[float, NDArray[np.float64]]:
    """The k-category correlation of Gorodkin 2004, Comput. Biol. Chem. 28, as scikit-learn defines it."""
    cells = model.cells
    truth, predicted = cells.sum(axis=1), cells.sum(axis=0)
    agreement, chance = float(np.trace(cells)), float(truth @ predicted)
    for shares, what in ((truth, "truth"), (predicted, "every prediction")):
        if np.count_nonzero(shares) < 2:
            raise UndefinedError(f"{what} is one single class")
    spread_truth, spread_predicted = 1 - float(truth @ truth), 1 - float(predicted @ predicted)
    scale = float(np.sqrt(spread_truth * spread_predicted))
    value = (agreement - chance) / scale
    d_agreement = np.eye(len(truth)) - agreement
    d_chance = predicted[:, None] + truth[None, :] - 2 * chance
    d_truth = -2 * (truth - truth @ truth)[:, None]
    d_predicted = -2 * (predicted - predicted @ predicted)[None, :]
    table = (d_agreement - d_chance) / scale - value / 2 * (d_truth / spread_truth + d_predicted / spread_predicted)
    return value, table


def _averaged_recall(cells: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    truth = cells.sum(axis=1)
    recall = _divided(np.diag(cells), truth)
    table = (weights * _divided(np.ones_like(truth), truth))[:, None] * (np.eye(len(truth)) - recall[:, None])
    return float(weights @ recall), table


def _averaged_precision(cells: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    value, table = _averaged_recall(cells.T, weights)
    return value, table.T


def _averaged_f1(cells: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    both = cells.sum(axis=1) + cells.sum(axis=0)
    f1 = _divided(2 * np.diag(cells), both)
    scaled = weights * _divided(np.ones_like(both), both)
    table = np.diag(2 * scaled) - (scaled * f1)[:, None] - (scaled * f1)[None, :]
    return float(weights @ f1), table


_BY_CLASS = {"precision": _averaged_precision, "recall": _averaged_recall, "f1": _averaged_f1}


def _of_positive(name: str) -> Callable[[Model], tuple[float, NDArray[np.float64]]]:
    by_class = _BY_CLASS[name]

    def table_of(model: Model) -> tuple[float, NDArray[np.float64]]:
        positive = _positive(model, name)
        truth, predicted = model.cells[positive].sum(), model.cells[:, positive].sum()
        if name == "precision" and not predicted:
            raise UndefinedError(f"no row is predicted as {_shown(model, positive)}")
        if name == "recall" and not truth:
            raise UndefinedError(f"no row is {_shown(model, positive)} in truth")
        if not truth and not predicted:
            raise UndefinedError(f"no row is or is predicted as {_shown(model, positive)}")
        weights = np.zeros(len(model.classes))
        weights[positive] = 1
        return by_class(model.cells, weights)

    return table_of


def _macro(name: str) -> Callable[[Model], tuple[float, NDArray[np.float64]]]:
    def table_of(model: Model) -> tuple[float, NDArray[np.float64]]:
        present = model.cells.sum(axis=1) + model.cells.sum(axis=0) > 0
        return _BY_CLASS[name](model.cells, present / np.count_nonzero(present))

    return table_of


def _weighted(name: str) -> Callable[[Model], tuple[float, NDArray[np.float64]]]:
    def table_of(model: Model) -> tuple[float, NDArray[np.float64]]:
        k = len(model.classes)
        truth = model.cells.sum(axis=1)
        value, table = _BY_CLASS[name](model.cells, truth)
        # The weights are estimated, too: a row adds to the weight of its own class.
        each = np.array([_BY_CLASS[name](model.cells, np.eye(k)[code])[0] for code in range(k)])
        return value, table + (each - value)[:, None]

    return table_of


# Scores.


def _roc_auc(model: Model) -> Influence:
    positive = _positive(model, "roc_auc", hint="roc_auc_ovr or roc_auc_ovo")
    return _auc(model.truth == positive, model.ties)


def _auc(is_positive: NDArray[np.bool_], ties: Ties) -> Influence:
    """DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44, in the O(n log n) form of Sun & Xu 2014, IEEE Signal Process. Lett. 21."""
    n = len(is_positive)
    positives = float(np.count_nonzero(is_positive))
    negatives = n - positives
    if not positives or not negatives:
        raise UndefinedError("all rows are of one class in truth")
    in_run = ties.totals(is_positive.astype(np.float64))
    all_in_run = np.diff(np.append(ties.starts, n))
    negatives_in_run = all_in_run - in_run
    # For a positive the share of negatives below it, for a negative the share of positives above it; ties count half.
    below = (np.cumsum(negatives_in_run) - negatives_in_run / 2) / negatives
    above = 1 - (np.cumsum(in_run) - in_run / 2) / positives
    value = float(in_run @ below / positives)
    rows = np.where(is_positive, (ties.spread(below) - value) * (n / positives), (ties.spread(above) - value) * (n / negatives))
    return _resting_on(min(positives, negatives), n, value, rows)


def _one_versus_rest(*, weighted: bool) -> Callable[[Model], Influence]:
    def influence(model: Model) -> Influence:
        score = _class_scores(model, "roc_auc_ovr")
        return _over_classes(model, lambda code: _auc(model.truth == code, Ties.of(score[:, code])), weighted=weighted)

    return influence


def _one_versus_one(*, weighted: bool) -> Callable[[Model], Influence]:
    """Hand & Till 2001, Machine Learning 45: the mean over pairs of classes, each taken both ways."""

    def influence(model: Model) -> Influence:
        score = _class_scores(model, "roc_auc_ovo")
        n, k = score.shape
        share = np.bincount(model.truth, minlength=k) / n
        value, total, rows, heaviest = 0.0, 0.0, np.zeros(n), 0.0
        for first in range(k):
            for second in range(first + 1, k):
                among = np.flatnonzero((model.truth == first) | (model.truth == second))
                prevalence = len(among) / n
                weight = prevalence if weighted else 1.0
                both = [_auc(model.truth[among] == code, Ties.of(score[among, code])) for code in (first, second)]
                pair, pair_rows = (both[0].value + both[1].value) / 2, (both[0].rows + both[1].rows) / 2
                heaviest = max(heaviest, weight / both[0].support)
                rows[among] += weight * pair_rows / prevalence
                if weighted:
                    rows += pair * -(share[first] + share[second])
                    rows[among] += pair
                value, total = value + weight * pair, total + weight
        # The sum of weights over all pairs is constant: k - 1 when weighted by prevalence.
        return _resting_on(total / heaviest, n, value / total, rows / total)

    return influence


def _average_precision(model: Model) -> Influence:
    if len(model.classes) == 2:
        return _precision_area(model.truth == model.positive, model.ties)
    score = _class_scores(model, "average_precision")
    return _over_classes(model, lambda code: _precision_area(model.truth == code, Ties.of(score[:, code])), weighted=False)


def _precision_area(is_positive: NDArray[np.bool_], ties: Ties) -> Influence:
    """Average precision is the mean over positives of the precision at their score.

    A row acts on it as one of these positives, and as part of the precision at every score that is not above its own; the second
    part is a cumulative sum in the order of scores. Derived here from the definition of the influence curve.
    """
    n = len(is_positive)
    positives = float(np.count_nonzero(is_positive))
    if not positives:
        raise UndefinedError("no row is positive in truth")
    in_run = ties.totals(is_positive.astype(np.float64))
    at_least = n - ties.starts
    found = np.cumsum(in_run[::-1])[::-1]
    precision = found / at_least
    value = float(in_run @ precision / positives)
    share = in_run / positives * (n / at_least)
    as_member = np.cumsum(share)
    diluted = ties.spread(np.cumsum(share * precision))
    own = ties.spread((precision - value) * (n / positives) + as_member)
    return _resting_on(positives, n, value, np.where(is_positive, own, 0.0) - diluted)


def _log_loss(model: Model) -> Influence:
    chosen = _probability_of_truth(model, "log_loss")
    resolution = model.answers.score_resolution
    return _mean(-np.log(np.clip(chosen, resolution, 1 - resolution)))


def _brier(model: Model) -> Influence:
    """Brier 1950, Mon. Weather Rev. 78; with two classes half of it, as usual and as in scikit-learn."""
    chosen = _probability_of_truth(model, "brier_score_loss")
    if len(model.classes) == 2:
        return _mean((1 - chosen) ** 2)
    score = model.answers.score
    assert score is not None
    return _mean((score**2).sum(axis=1) - chosen**2 + (1 - chosen) ** 2)


def _probability_of_truth(model: Model, name: str) -> Rows:
    """(n,) the probability that each row's true class was given. Raises UndefinedError for scores that are no probabilities."""
    score = model.answers.score
    assert score is not None
    if score.size and (score.min() < 0 or score.max() > 1):
        outside = score.min() if score.min() < 0 else score.max()
        raise UndefinedError(f"scores must be probabilities for it, and one is {general(outside)}")
    if score.ndim == 2:
        chosen: Rows = score[np.arange(len(score)), model.truth]
        return chosen
    positive = _positive(model, name)
    return np.where(model.truth == positive, score, 1 - score)


# Numbers: means, and smooth functions of means.


def _mean(rows: Rows) -> Influence:
    value = float(rows.mean())
    return Influence(value, rows - value, len(rows))


def _errors(model: Model) -> Rows:
    assert model.answers.prediction is not None
    errors: Rows = np.subtract(model.answers.prediction, model.truth, dtype=np.float64)
    return errors


def _mean_absolute_error(model: Model) -> Influence:
    return _mean(np.abs(_errors(model)))


def _mean_squared_error(model: Model) -> Influence:
    return _mean(_errors(model) ** 2)


def _root_mean_squared_error(model: Model) -> Influence:
    squared = _mean_squared_error(model)
    value = float(np.sqrt(squared.value))
    return squared._replace(value=value, rows=squared.rows / (2 * value) if value else squared.rows)


def _mean_absolute_percentage_error(model: Model) -> Influence:
    zeros = np.count_nonzero(model.truth == 0)
    if zeros:
        raise UndefinedError(f"truth is zero in {zeros:,} rows, and it divides by truth")
    return _mean(np.abs(_errors(model) / model.truth))


def _r2(model: Model) -> Influence:
    residual = _mean_squared_error(model)
    total = _mean((model.truth - model.truth.mean()) ** 2)
    # The rounded mean of equal numbers may differ from them, and the square of a tiny difference is zero.
    if model.truth.min() == model.truth.max() or not total.value:
        raise UndefinedError("truth is the same in all rows")
    rows = -residual.rows / total.value + residual.value / total.value**2 * total.rows
    return Influence(1 - residual.value / total.value, rows, len(rows))


def _median_absolute_error(model: Model) -> Influence:
    """Of a median the influence is sign(x - median) / (2 f), f the density there, estimated from the distance of two quantiles.

    How far apart: the bandwidth of Hall & Sheather 1988, J. R. Stat. Soc. B 50, at the median and 95 %, 0.97 n^(-1/3) each way.
    Where errors are so coarse that both quantiles are one value, it is widened until they are not.
    """
    errors = np.sort(np.abs(_errors(model)))
    value = float(np.median(errors))
    bandwidth = min(0.97 * len(errors) ** (-1 / 3), 0.49)
    while True:
        low, high = np.quantile(errors, [0.5 - bandwidth, 0.5 + bandwidth])
        if high > low or bandwidth >= 0.49:
            break
        bandwidth = min(2 * bandwidth, 0.49)
    step = (high - low) / (2 * bandwidth) / 2
    side = np.sign(np.abs(_errors(model)) - value)
    # Only rows on either side count, by their number: a row that crosses, from one side to the other, could always have been there.
    return Influence(value, (side - side.mean()) * step, len(errors), least=2 * step)


# What several of them need.


def _positive(model: Model, name: str, hint: str = "") -> int:
    if model.positive is None:
        alternative = hint or f"{name}_macro"
        raise UndefinedError(f"it is for two classes, and there are {len(model.classes)}; gate {alternative}")
    return model.positive


def _shown(model: Model, code: int) -> str:
    return f"`{str(model.classes[code])[:60]}`"


def _class_scores(model: Model, name: str) -> NDArray[np.float64]:
    score = model.answers.score
    assert score is not None
    if score.ndim != 2:
        raise UndefinedError(f"it is for more than two classes; gate {name.removesuffix('_ovr').removesuffix('_ovo')}")
    rows_of_class = np.bincount(model.truth, minlength=len(model.classes))
    if not rows_of_class.all():
        raise UndefinedError(f"no row is {_shown(model, int(rows_of_class.argmin()))} in truth")
    return score


def _resting_on(support: float, n: int, value: float, rows: Rows) -> Influence:
    """An influence whose value rests on `support` of n rows. Of too few, a whole turn of one is not ruled out by what they show."""
    return Influence(value, rows, support, n / support if support < FEW else 0.0)


def _over_classes(model: Model, of_class: Callable[[int], Influence], *, weighted: bool) -> Influence:
    """The mean over classes, plain or weighted by how frequent each is in truth."""
    n, k = len(model.truth), len(model.classes)
    share = np.bincount(model.truth, minlength=k) / n
    value, rows, heaviest = 0.0, np.zeros(n), 0.0
    for code in range(k):
        one = of_class(code)
        weight = share[code] if weighted else 1 / k
        value += weight * one.value
        rows += weight * one.rows
        heaviest = max(heaviest, weight / one.support)
        if weighted:
            rows += one.value * ((model.truth == code) - share[code])
    return _resting_on(1 / heaviest, n, value, rows)


def _divided(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, zero where the denominator is: scikit-learn's `zero_division` of averages."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator, dtype=np.float64), where=denominator > 0)


def _classification(name: str, table_of: Callable[[Model], tuple[float, NDArray[np.float64]]]) -> Measure:
    return Measure(name, "classification", "prediction", "higher", "cell counts, delta method", _from_cells(table_of))


def _scored(name: str, better: Direction, method: str, influence: Callable[[Model], Influence]) -> Measure:
    return Measure(name, "classification", "score", better, method, influence)


def _regression(
    name: str,
    better: Direction,
    method: str,
    influence: Callable[[Model], Influence],
    root_of: Callable[[Model], Influence] | None = None,
) -> Measure:
    return Measure(name, "regression", "prediction", better, method, influence, root_of)


_DELONG = "DeLong"
_MEAN = "mean of paired differences"
_DELTA = "influence, delta method"

_MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        _classification("accuracy", _accuracy),
        _classification("balanced_accuracy", _balanced_accuracy),
        _classification("matthews_corrcoef", _matthews_corrcoef),
        *(_classification(name, _of_positive(name)) for name in _BY_CLASS),
        *(_classification(f"{name}_micro", _accuracy) for name in _BY_CLASS),
        *(_classification(f"{name}_macro", _macro(name)) for name in _BY_CLASS),
        *(_classification(f"{name}_weighted", _weighted(name)) for name in _BY_CLASS),
        _scored("roc_auc", "higher", _DELONG, _roc_auc),
        _scored("roc_auc_ovr", "higher", _DELONG, _one_versus_rest(weighted=False)),
        _scored("roc_auc_ovr_weighted", "higher", _DELONG, _one_versus_rest(weighted=True)),
        _scored("roc_auc_ovo", "higher", _DELONG, _one_versus_one(weighted=False)),
        _scored("roc_auc_ovo_weighted", "higher", _DELONG, _one_versus_one(weighted=True)),
        _scored("average_precision", "higher", _DELTA, _average_precision),
        _scored("log_loss", "lower", _MEAN, _log_loss),
        _scored("brier_score_loss", "lower", _MEAN, _brier),
        _regression("r2", "higher", _DELTA, _r2),
        _regression("root_mean_squared_error", "lower", _DELTA, _root_mean_squared_error, _mean_squared_error),
        _regression("mean_squared_error", "lower", _MEAN, _mean_squared_error),
        _regression("mean_absolute_error", "lower", _MEAN, _mean_absolute_error),
        _regression("mean_absolute_percentage_error", "lower", _MEAN, _mean_absolute_percentage_error),
        _regression("median_absolute_error", "lower", "influence, quantile density", _median_absolute_error),
    )
}

_ALIASES = {
    "auc": "roc_auc",
    "mcc": "matthews_corrcoef",
    "logloss": "log_loss",
    "brier": "brier_score_loss",
    "brier_loss": "brier_score_loss",
    "rmse": "root_mean_squared_error",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    **{f"{name}_binary": name for name in _BY_CLASS},
}

_PREFIX = re.compile(r"^((test|val|valid|validation|eval|holdout)_)+")


def measure_names(task: Task | None = None) -> tuple[str, ...]:
    """The names of all metrics, or of those of one task; short forms aside."""
    return tuple(name for name, measure in _MEASURES.items() if task in (None, measure.task))


def look_alike(name: str) -> Measure | None:
    """The metric that a name of the team's own seems to speak of, as `holdout.roc_auc` or `val_f1`."""
    return find_measure(_PREFIX.sub("", re.split(r"[./]", name)[-1]))
