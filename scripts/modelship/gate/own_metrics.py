"""Metrics of the team's own, `gate.metrics.<name>.function`: `evaluate` has computed them in the team's interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from modelship.core.config import Limit
from modelship.core.errors import Problem
from modelship.core.records import EvaluateRecord, FunctionMetric
from modelship.gate.directions import direction

if TYPE_CHECKING:
    from modelship.gate.comparison import Comparison


class OwnMetrics(msgspec.Struct, frozen=True):
    """What `evaluate` found, by name."""

    candidate: dict[str, float]
    baseline: dict[str, float]
    """Where it was scored, too."""
    comparisons: dict[str, Comparison]
    problems: tuple[Problem, ...] = ()


def own_metrics(limits: Mapping[str, Limit], evaluation: EvaluateRecord | None, *, must_be_there: bool) -> OwnMetrics:
    """What `evaluation` says of the metrics whose limits name a function, and name the same one.

    With `must_be_there` one of which it says nothing is a problem: what training reports under that name is another number.
    """
    wanted = {name: limit.function for name, limit in limits.items() if limit.function}
    functions = evaluation.functions if evaluation else {}
    found = {name: functions[name] for name, function in wanted.items() if name in functions and functions[name].function == function}
    rows = (evaluation.rows if evaluation else None) or 0
    compared = {name: _comparison(name, limits[name], metric, rows) for name, metric in found.items()}
    return OwnMetrics(
        candidate={name: metric.candidate for name, metric in found.items()},
        baseline={name: metric.baseline for name, metric in found.items() if metric.baseline is not None},
        comparisons={name: comparison for name, comparison in compared.items() if comparison},
        problems=tuple(_not_computed(name, str(wanted[name])) for name in wanted if must_be_there and name not in found),
    )


def _not_computed(name: str, function: str) -> Problem:
    message = f"`{name}` is what `{function}` gives, and `evaluate` has not computed it."
    return Problem(message, "Run `modelship evaluate` before the gate; in the workflow: `evaluate: true`.")


def _comparison(name: str, limit: Limit, metric: FunctionMetric, rows: int) -> Comparison | None:
    better = limit.better or direction(name)
    units = metric.groups or rows
    if metric.baseline is None or metric.standard_error is None or better is None or units < 2:
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
        support=float(units),
        least_error=0.0,
        rows=rows,
        method=metric.method,
        freedom=units - 1,
    )
