"""Simulated comparisons whose truth is known: two models with a common part and errors of their own, on rows of many shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from numpy.typing import NDArray

from modelship.gate import comparison
from modelship.gate.comparison import Comparison
from modelship.gate.rows.intervals import compare
from modelship.gate.rows.measures import Measure, UndefinedError, find_measure
from modelship.gate.rows.paired import Answers, Paired

BINARY = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "matthews_corrcoef"),
    *("roc_auc", "average_precision", "log_loss", "brier_score_loss"),
)
MULTICLASS = (
    *("accuracy", "balanced_accuracy", "precision_macro", "recall_weighted", "f1_macro", "f1_weighted", "matthews_corrcoef"),
    *("roc_auc_ovr", "roc_auc_ovr_weighted", "roc_auc_ovo", "roc_auc_ovo_weighted"),
    *("average_precision", "log_loss", "brier_score_loss"),
)
NUMBERS = (
    *("r2", "root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error"),
    "median_absolute_error",
)

Draw = Callable[[np.random.Generator, int, float], Paired]
"""Random source, rows, and how much worse the candidate is (0: each model could as well be the other), to two models' answers."""


@dataclass(frozen=True)
class Shape:
    """A kind of holdout."""

    family: str
    name: str
    rows: int
    measures: tuple[str, ...]
    draw: Draw
    gap: float
    """How much worse the candidate is where it is worse."""

    def equal(self, rng: np.random.Generator) -> Paired:
        """Two models of which neither is better in truth."""
        return self.draw(rng, self.rows, 0.0)

    def worse(self, rng: np.random.Generator, rows: int | None = None) -> Paired:
        """A candidate that is worse in truth, on as many rows as are asked for."""
        return self.draw(rng, rows or self.rows, self.gap)


def measure_named(name: str) -> Measure:
    """The built-in metric of that name. Raises LookupError."""
    found = find_measure(name)
    if found is None:
        raise LookupError(name)
    return found


def two_classes(rng: np.random.Generator, n: int, gap: float, *, prevalence: float, noise: float) -> Paired:
    """Rows that both models see with the same error, and each with one more of its own. Positives are called at `prevalence`."""
    truth = (rng.random(n) < prevalence).astype(np.intp)
    shared = 1.2 * (truth - 0.5) + rng.normal(0, 1, n) + np.log(prevalence / (1 - prevalence))

    def answers(gap: float) -> Answers:
        score = _logistic(shared + np.hypot(noise, gap) * rng.normal(0, 1, n))
        return Answers((score > prevalence).astype(np.intp), score)

    return Paired("classification", "id", None, truth, (0, 1), 1, answers(gap), answers(0.0))


def three_classes(rng: np.random.Generator, n: int, gap: float, *, noise: float, shares: tuple[float, ...]) -> Paired:
    """As `two_classes`, with a probability for each class."""
    truth = rng.choice(len(shares), n, p=shares).astype(np.intp)
    shared = rng.normal(0, 1, (n, len(shares)))
    shared[np.arange(n), truth] += 1

    def answers(gap: float) -> Answers:
        raised = np.exp(shared + np.hypot(noise, gap) * rng.normal(0, 1, shared.shape))
        score = raised / raised.sum(axis=1, keepdims=True)
        return Answers(score.argmax(axis=1), score)

    classes = tuple(range(len(shares)))
    return Paired("classification", "id", None, truth, classes, None, answers(gap), answers(0.0))


def skewed_numbers(rng: np.random.Generator, n: int, gap: float, *, noise: float) -> Paired:
    """Skewed numbers with heavy-tailed errors (Student's t with 4 degrees of freedom) that both models share, and own normal ones."""
    truth = rng.gamma(2, 3, n) + 1
    shared = truth + 2 * rng.standard_t(4, n)

    def answers(gap: float) -> Answers:
        return Answers(shared + np.hypot(noise, gap) * rng.normal(0, 1, n))

    return Paired("regression", "id", None, truth, (), None, answers(gap), answers(0.0))


def grouped_classes(rng: np.random.Generator, n: int, gap: float) -> Paired:
    """Two classes in groups of one to nine rows with one truth, which each model finds hard or easy together."""
    groups = _groups(rng, n)
    truth = (rng.random(groups[-1] + 1) < 0.4).astype(np.intp)[groups]
    shared = 1.2 * truth - 0.7 + rng.normal(0, 0.8, n) + _by_group(rng, groups, 0.6)

    def answers(gap: float) -> Answers:
        noise = float(np.hypot(0.4, gap))
        score = _logistic(shared + rng.normal(0, noise, n) + _by_group(rng, groups, noise))
        return Answers((score > 0.5).astype(np.intp), score)

    return Paired("classification", "id", None, truth, (0, 1), 1, answers(gap), answers(0.0), groups)


def grouped_numbers(rng: np.random.Generator, n: int, gap: float) -> Paired:
    """Numbers in groups of one to nine rows that each model finds hard or easy together."""
    groups = _groups(rng, n)
    truth = rng.gamma(2, 3, n) + 1
    shared = truth + rng.normal(0, 1.5, n) + _by_group(rng, groups, 1.0)

    def answers(gap: float) -> Answers:
        noise = float(np.hypot(0.5, gap))
        return Answers(shared + rng.normal(0, noise, n) + _by_group(rng, groups, noise))

    return Paired("regression", "id", None, truth, (), None, answers(gap), answers(0.0), groups)


def _logistic(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float64)


def _groups(rng: np.random.Generator, n: int) -> NDArray[np.intp]:
    """(n,) codes from 0 of groups of one to nine rows; the last one may be cut short."""
    return np.repeat(np.arange(n), rng.integers(1, 10, n))[:n]


def _by_group(rng: np.random.Generator, groups: NDArray[np.intp], spread: float) -> NDArray[np.float64]:
    """(n,) one normal number for each group, given to its rows."""
    return np.asarray(rng.normal(0, spread, groups[-1] + 1)[groups], dtype=np.float64)


SHAPES = (
    Shape("2 classes", "n = 100, half positive", 100, BINARY, partial(two_classes, prevalence=0.5, noise=0.3), 1.0),
    Shape("2 classes", "n = 300, 10 % positive", 300, BINARY, partial(two_classes, prevalence=0.1, noise=0.5), 1.2),
    Shape("2 classes", "n = 1,000, models much alike", 1_000, BINARY, partial(two_classes, prevalence=0.5, noise=0.05), 0.8),
    Shape("2 classes", "n = 1,000, 20 % positive", 1_000, BINARY, partial(two_classes, prevalence=0.2, noise=0.5), 1.2),
    Shape("2 classes", "n = 5,000, 3 % positive", 5_000, BINARY, partial(two_classes, prevalence=0.03, noise=0.3), 1.2),
    Shape("2 classes", "n = 1,000 in 200 groups", 1_000, BINARY, grouped_classes, 1.0),
    Shape("3 classes", "n = 200", 200, MULTICLASS, partial(three_classes, noise=0.5, shares=(0.4, 0.3, 0.3)), 1.0),
    Shape(
        "3 classes", "n = 1,000, the rarest 10 %", 1_000, MULTICLASS, partial(three_classes, noise=0.2, shares=(0.6, 0.3, 0.1)), 0.8
    ),
    Shape("numbers", "n = 100", 100, NUMBERS, partial(skewed_numbers, noise=0.5), 1.2),
    Shape("numbers", "n = 100, models much alike", 100, NUMBERS, partial(skewed_numbers, noise=0.1), 0.8),
    Shape("numbers", "n = 1,000, models much alike", 1_000, NUMBERS, partial(skewed_numbers, noise=0.1), 0.8),
    Shape("numbers", "n = 1,000, models little alike", 1_000, NUMBERS, partial(skewed_numbers, noise=1.0), 1.2),
    Shape("numbers", "n = 1,000 in 200 groups", 1_000, NUMBERS, grouped_numbers, 0.6),
)


CONFIDENCE = 0.95
WIDTHS = (0.0, comparison.PSEUDO_ROWS, 1.0, 2.0)
"""By how many rows intervals are widened: the gate's own number, and others."""
HUGE = 2_000_000
"""Rows of the sample that stands for the truth where that has no formula."""


@dataclass
class Tally:
    """What became of comparisons with a known truth."""

    runs: int = 0
    covered: int = 0
    """The interval held the truth."""
    failed: int = 0
    """The whole interval lay below -margin."""
    undefined: int = 0
    """The rows gave the metric no value; these are not among `runs`."""
    effective_rows: float = 0.0
    """Added up over runs."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def add(self, compared: Comparison, truth: float, margin: float) -> None:
        """Count one more comparison."""
        low, high = compared.interval(CONFIDENCE)
        self.runs += 1
        self.covered += low <= truth <= high
        self.failed += high < -margin
        self.effective_rows += compared.effective_rows


Tallies = dict[str, Tally]
"""By metric."""


def equal_models(shape: Shape, runs: int, seed: Sequence[int]) -> Tallies:
    """Comparisons of two models of which neither is better in truth, at margin 0."""
    rng = np.random.default_rng(seed)
    return _tallied(shape, (shape.equal(rng) for _ in range(runs)), dict.fromkeys(shape.measures, 0.0))


def equal_models_by_width(shape: Shape, runs: int, seed: Sequence[int]) -> dict[tuple[str, float], Tally]:
    """`equal_models` by metric and width, on the same rows for each width."""
    rng, gates = np.random.default_rng(seed), comparison.PSEUDO_ROWS
    tallies = {(name, width): Tally() for name in shape.measures for width in WIDTHS}
    for paired in (shape.equal(rng) for _ in range(runs)):
        for name in shape.measures:
            try:
                compared = compare(measure_named(name), paired)
            except UndefinedError:
                continue
            for width in WIDTHS:
                comparison.PSEUDO_ROWS = width
                tallies[name, width].add(compared, truth=0.0, margin=0.0)
            comparison.PSEUDO_ROWS = gates
    return tallies


def worse_candidates(shape: Shape, truth: Mapping[str, float], runs: int, seed: Sequence[int]) -> Tallies:
    """Comparisons of a candidate whose change is `truth`, by metric."""
    rng = np.random.default_rng(seed)
    return _tallied(shape, (shape.worse(rng) for _ in range(runs)), truth)


def _tallied(shape: Shape, draws: Iterable[Paired], truth: Mapping[str, float]) -> Tallies:
    tallies = {name: Tally() for name in shape.measures}
    for paired in draws:
        for name, tally in tallies.items():
            try:
                tally.add(compare(measure_named(name), paired), truth[name], margin=0.0)
            except UndefinedError:
                tally.undefined += 1
    return tallies


def true_comparisons(shape: Shape, seed: Sequence[int], rows: int = HUGE) -> dict[str, Comparison]:
    """Each metric of the worse candidate on so many rows that chance does not count."""
    paired = shape.worse(np.random.default_rng(seed), rows)
    return {name: compare(measure_named(name), paired) for name in shape.measures}


def adequate_rows(true: Comparison, margin: float) -> int | None:
    """Twice the rows that the gate itself asks for, where it asks for any: those have 80 % power, and twice as many have 97 %."""
    rows = true.rows_to_decide(margin, CONFIDENCE)
    return None if rows is None else 2 * rows


def drops_caught(shape: Shape, name: str, margin: float, rows: int, runs: int, seed: Sequence[int]) -> Tallies:
    """Comparisons, at `margin`, of a candidate that is worse by twice as much, on that many rows."""
    rng = np.random.default_rng(seed)
    tally = Tally()
    for _ in range(runs):
        tally.add(compare(measure_named(name), shape.worse(rng, rows)), -2 * margin, margin)
    return {name: tally}
