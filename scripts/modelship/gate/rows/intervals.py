"""The difference of two models on the same rows, with its standard error."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np

from modelship.gate.comparison import Comparison
from modelship.gate.rows.measures import Measure, Rows, UndefinedError
from modelship.gate.rows.paired import Paired

__all__ = ["Comparison", "compare"]

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


def _compare(measure: Measure, paired: Paired) -> Comparison:
    candidate, baseline = (measure.finite(model) for model in paired.models)
    new, old = candidate.value, baseline.value
    difference: Rows = candidate.rows - baseline.rows
    if paired.groups is not None:
        difference = np.bincount(paired.groups, weights=difference).astype(np.float64)
    units, n = len(difference), len(paired)
    if units < 2:
        raise UndefinedError("all rows belong to one group")
    squares = difference * difference
    total = float(squares.sum())
    # Rounding alone must not make two equal models differ, and small units must not make two models equal.
    size = max(float(candidate.rows @ candidate.rows), float(baseline.rows @ baseline.rows), n * max(new * new, old * old))
    if total <= ROUNDING**2 * size:
        total = 0.0
    return Comparison(
        metric=measure.name,
        baseline=old,
        candidate=new,
        change=new - old if measure.better == "higher" else old - new,
        standard_error=math.sqrt(total * units / (units - 1)) / n,
        # Kish 1965, Survey Sampling, section 11.7, with squared influences as weights.
        effective_rows=total**2 / float(squares @ squares) if total else 0.0,
        support=min(candidate.support, baseline.support) * units / n,
        least_error=max(candidate.least, baseline.least) / n,
        rows=n,
        method=measure.method if paired.groups is None else f"{measure.method}, by group",
        freedom=math.inf if paired.groups is None else units - 1,
    )


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
