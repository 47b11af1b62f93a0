"""Metrics of the team's own, `gate.metrics.<name>.function`: `evaluate` has computed them in the team's interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from modelship.core.config import Limit
from modelship.core.records import EvaluateRecord, FunctionMetric
from modelship.gate.directions import direction

if TYPE_CHECKING:
    from modelship.gate.comparison import Comparison


class OwnMetrics(msgspec.Struct, frozen=True):
    """By name: the candidate's values, and comparisons where the baseline was scored, too."""

    values: dict[str, float]
    comparisons: dict[str, Comparison]


def own_metrics(limits: Mapping[str, Limit], evaluation: EvaluateRecord | None) -> OwnMetrics:
    """What `evaluation` says of the metrics whose limits name a function, and name the same one."""
    found = {
        name: evaluation.functions[name]
        for name, limit in limits.items()
        if limit.function and evaluation and name in evaluation.functions and evaluation.functions[name].function == limit.function
    }
    rows = (evaluation.rows if evaluation else None) or 0
    compared = {name: _comparison(name, limits[name], metric, rows) for name, metric in found.items()}
    return OwnMetrics(
        values={name: metric.candidate for name, metric in found.items()},
        comparisons={name: comparison for name, comparison in compared.items() if comparison},
    )


def _comparison(name: str, limit: Limit, metric: FunctionMetric, rows: int) -> Comparison | None:
    better = limit.better or direction(name)
    if metric.baseline is None or metric.standard_error is None or better is None:
        return None
    from modelship.gate.comparison import Comparison

    difference = metric.candidate - metric.baseline
    return Comparison(
        metric=name,
        baseline=metric.baseline,
        candidate=metric.candidate,
        change=difference if better == "higher" else -difference,
        standard_error=metric.standard_error,
        effective_rows=metric.effective_rows or float(rows),
        support=float(rows),
        least_error=0.0,
        rows=rows,
        method=metric.method,
    )
