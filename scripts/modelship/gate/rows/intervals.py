"""The difference of two models on the same rows, with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from modelship.gate.comparison import Comparison, satterthwaite
from modelship.gate.rows.measures import Measure, Rows, UndefinedError
from modelship.gate.rows.paired import Paired

__all__ = ["Comparison", "compare", "compare_apart", "estimate"]

ROUNDING = 1e-12
"""Differences of influences that are no larger, beside the influences and the metric themselves, are none."""


def compare(measure: Measure, paired: Paired) -> Comparison:
    """`measure` of both models on their common rows, and the standard error of the difference.

    With groups, influences are added within each group first (Liang & Zeger 1986, Biometrika 73; for ROC curves Obuchowski 1997,
    Biometrics 53). Raises UndefinedError where the metric has no value, or where there is only one group.
    """
    comparison = _compare(measure, paired)
    rows = _tamed(measure, paired)
    tamed = _compare(measure, rows) if rows else None
    # Without any spread it is the baseline, of which there is nothing to say.
    return msgspec.structs.replace(comparison, tamed=tamed) if tamed and tamed.standard_error else comparison


@dataclass(frozen=True)
class Estimate:
    """A metric of one model on some rows."""

    value: float
    standard_error: float
    effective_rows: float
    """How many rows, or groups, the standard error really comes from."""
    support: float
    """How many rows, or groups, the value rests on."""
    least_error: float
    units: int
    """How many independent rows or groups there are."""
    rows: int


def estimate(measure: Measure, paired: Paired) -> Estimate:
    """`measure` of the candidate alone. Raises UndefinedError as `compare` does."""
    found = measure.finite(paired.models[0])
    rows = found.rows
    if paired.groups is not None:
        rows = np.bincount(paired.groups, weights=rows).astype(np.float64)
    units, n = len(rows), len(paired)
    if units < 2:
        raise UndefinedError("all rows belong to one group" if n > 1 else "there is a single row")
    length, effective = _spread(rows)
    if length <= ROUNDING * math.sqrt(n) * abs(found.value):
        length = effective = 0.0
    return Estimate(
        value=found.value,
        standard_error=length * math.sqrt(units / (units - 1)) / n,
        effective_rows=effective,
        support=found.support * units / n,
        least_error=found.least / n,
        units=units,
        rows=n,
    )


def compare_apart(measure: Measure, now: Estimate, before: Estimate) -> Comparison:
    """The difference of two estimates on rows that have nothing in common: `now` as the candidate, `before` as the baseline.

    Variances add. Effective rows and degrees of freedom are those of the sum.
    """
    sides = (_no_surer(now, before), _no_surer(before, now))
    return Comparison(
        metric=measure.name,
        baseline=before.value,
        candidate=now.value,
        change=now.value - before.value if measure.better == "higher" else before.value - now.value,
        standard_error=math.hypot(*(side.standard_error for side in sides)),
        effective_rows=satterthwaite((side.standard_error, side.effective_rows) for side in sides),
        support=1 / sum(1 / side.support for side in sides),
        least_error=math.hypot(*(side.least_error for side in sides)),
        rows=now.rows,
        method=f"{_ALONE.get(measure.method, measure.method)}, variances added",
        freedom=satterthwaite((side.standard_error, side.units - 1) for side in sides),
    )


def _no_surer(side: Estimate, other: Estimate) -> Estimate:
    """Where nothing varies, as where no row is wrong, rows vary as on the other side: a few right ones do not say that all are."""
    if side.standard_error:
        return side
    ratio = side.units / other.units
    return replace(side, standard_error=other.standard_error / math.sqrt(ratio), effective_rows=other.effective_rows * ratio)


_ALONE = {"mean of paired differences": "mean"}


def _compare(measure: Measure, paired: Paired) -> Comparison:
    candidate, baseline = (measure.finite(model) for model in paired.models)
    new, old = candidate.value, baseline.value
    difference: Rows = candidate.rows - baseline.rows
    if measure.root_of is not None and new + old:
        # Roots of a and b differ by (a - b) / (root of a + root of b), and are as sure to differ as a and b: a few rows that raise a
        # root would else hide some of what they spread.
        under = [measure.root_of(model).rows for model in paired.models]
        difference = (under[0] - under[1]) / (new + old)
    if paired.groups is not None:
        difference = np.bincount(paired.groups, weights=difference).astype(np.float64)
    units, n = len(difference), len(paired)
    if units < 2:
        raise UndefinedError("all rows belong to one group")
    length, effective = _spread(difference)
    # Rounding alone must not make two equal models differ, and small units must not make two models equal.
    if length <= ROUNDING * max(_spread(baseline.rows)[0], math.sqrt(n) * max(abs(new), abs(old))):
        length = effective = 0.0
    return Comparison(
        metric=measure.name,
        baseline=old,
        candidate=new,
        change=new - old if measure.better == "higher" else old - new,
        standard_error=length * math.sqrt(units / (units - 1)) / n,
        effective_rows=effective,
        support=min(candidate.support, baseline.support) * units / n,
        least_error=max(candidate.least, baseline.least) / n,
        rows=n,
        method=measure.method if paired.groups is None else f"{measure.method}, by group",
        freedom=units - 1,
    )


def _spread(influences: Rows) -> tuple[float, float]:
    """The root of the sum of (n,) squares, and how many of them it really comes from, whatever their unit.

    Kish 1965, Survey Sampling, section 11.7, with squared influences as weights.
    """
    largest = float(np.abs(influences).max())
    if not largest:
        return 0.0, 0.0
    squares = (influences / largest) ** 2
    total = float(squares.sum())
    return largest * math.sqrt(total), total**2 / float(squares @ squares)


def _tamed(measure: Measure, paired: Paired) -> Paired | None:
    """The rows with a candidate that is nowhere further off than the baseline's furthest row, for metrics without a bound; else None.

    What bounds the candidate depends on the baseline alone, so that making the candidate worse does not move it.
    """
    if measure.task == "regression":
        return _with_errors_cut(paired)
    return _with_doubt_cut(paired) if measure.name.removeprefix("neg_") in ("log_loss", "logloss") else None


def _with_errors_cut(paired: Paired) -> Paired | None:
    assert paired.candidate.prediction is not None
    assert paired.baseline.prediction is not None
    errors = paired.candidate.prediction - paired.truth
    furthest = np.abs(paired.baseline.prediction - paired.truth).max()
    if np.abs(errors).max() <= furthest:
        return None
    cut = paired.truth + np.clip(errors, -furthest, furthest)
    return replace(paired, candidate=replace(paired.candidate, prediction=cut))


def _with_doubt_cut(paired: Paired) -> Paired | None:
    ours, theirs = paired.candidate.score, paired.baseline.score
    assert ours is not None
    assert theirs is not None
    if ours.ndim == 2:
        places = (np.arange(len(ours)), paired.truth)
        least = theirs[places].min()
        if ours[places].min() >= least:
            return None
        score = ours.copy()
        score[places] = np.maximum(ours[places], least)
        return replace(paired, candidate=replace(paired.candidate, score=score))
    is_positive = paired.truth == paired.positive
    least = np.where(is_positive, theirs, 1 - theirs).min()
    if np.where(is_positive, ours, 1 - ours).min() >= least:
        return None
    score = np.where(is_positive, np.maximum(ours, least), np.minimum(ours, 1 - least))
    return replace(paired, candidate=replace(paired.candidate, score=score))
