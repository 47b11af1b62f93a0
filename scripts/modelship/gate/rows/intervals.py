"""The difference of two models on the same rows, with its standard error."""

from __future__ import annotations

import math

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
    )
