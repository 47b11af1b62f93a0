"""Two models' answers to the same rows. Everything that needs more than two numbers to compare starts from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "regression"]
Class = str | int | float | bool


@dataclass(frozen=True)
class Answers:
    """What one model says of n rows."""

    prediction: NDArray[Any] | None
    """(n,) class codes (intp) in classification, numbers (float64) in regression; None where the file has no such column."""
    score: NDArray[np.float64] | None = None
    """Probabilities: (n,) of the positive class with two classes, (n, k) in the order of `Paired.classes` with more."""
    score_resolution: float = float(np.finfo(np.float64).eps)
    """Machine epsilon of the type that scores were stored with; logarithmic loss is clipped there, as scikit-learn does."""

    def take(self, rows: NDArray[Any]) -> Answers:
        """The answers to some rows: indices or a mask of shape (n,)."""
        return replace(
            self,
            prediction=None if self.prediction is None else self.prediction[rows],
            score=None if self.score is None else self.score[rows],
        )


@dataclass(frozen=True)
class Ties:
    """Scores in ascending order, in runs of equal ones."""

    order: NDArray[np.intp]
    """(n,) the rows by ascending score."""
    starts: NDArray[np.intp]
    """(g,) where each run of equal scores begins in `order`."""
    run: NDArray[np.intp]
    """(n,) the run of each place in `order`."""

    @classmethod
    def of(cls, score: NDArray[np.float64]) -> Ties:
        """The runs of `score`, shape (n,)."""
        order = np.argsort(score)
        ascending = score[order]
        is_start = np.empty(len(score), dtype=bool)
        is_start[:1] = True
        np.not_equal(ascending[1:], ascending[:-1], out=is_start[1:])
        return cls(order, np.flatnonzero(is_start), np.cumsum(is_start) - 1)

    def totals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of `values`, shape (n,), over each run: shape (g,)."""
        return np.add.reduceat(values[self.order], self.starts)

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`values` of the runs, shape (g,), for each row: shape (n,)."""
        spread = np.empty(len(self.order))
        spread[self.order] = values[self.run]
        return spread


@dataclass(frozen=True)
class Model:
    """One model's answers beside the truth: what a metric is computed from."""

    truth: NDArray[Any]
    classes: tuple[Class, ...]
    positive: int | None
    answers: Answers

    @cached_property
    def ties(self) -> Ties:
        """The scores of the positive class in order, sorted once for all metrics that need it."""
        assert self.answers.score is not None
        return Ties.of(self.answers.score)

    @cached_property
    def cells(self) -> NDArray[np.float64]:
        """(k, k) the share of rows with truth i and prediction j."""
        k = len(self.classes)
        counts = np.bincount(self.truth * k + self.answers.prediction, minlength=k * k)
        return counts.reshape(k, k) / len(self.truth)


@dataclass(frozen=True)
class Paired:
    """n rows with their truth and both models' answers, in one order."""

    task: Task
    key: str
    """The name of the column that paired the rows."""
    keys: Any
    """(n,) pyarrow.Array, each value once."""
    truth: NDArray[Any]
    """(n,) class codes (intp) in classification, numbers (float64) in regression."""
    classes: tuple[Class, ...]
    """The k classes that codes stand for, ascending; empty in regression."""
    positive: int | None
    """The code of the positive class where there are two classes."""
    candidate: Answers
    baseline: Answers
    groups: NDArray[np.intp] | None = None
    """(n,) codes 0 … g-1 of rows that belong together; None where every row stands for itself."""
    columns: Mapping[str, Any] | None = None
    """Further columns by name, (n,) pyarrow.Array each, of the file that the pull request's author cannot have changed."""

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def models(self) -> tuple[Model, Model]:
        """The candidate and the baseline, each beside the truth."""
        candidate, baseline = (Model(self.truth, self.classes, self.positive, answers) for answers in (self.candidate, self.baseline))
        return candidate, baseline

    def take(self, rows: NDArray[Any]) -> Paired:
        """Some of the rows: indices or a mask of shape (n,). Groups are numbered anew; further columns and keys stay behind."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1].astype(np.intp)
        return replace(
            self,
            keys=None,
            truth=self.truth[rows],
            candidate=self.candidate.take(rows),
            baseline=self.baseline.take(rows),
            groups=groups,
            columns=None,
        )
