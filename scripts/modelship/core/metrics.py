"""Metrics files: what in them is a metric, and why the rest is none."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from modelship.core.documents import Document, flatten
from modelship.core.errors import bad_input

LARGEST = 1e300
"""MLflow's SQL stores write infinity as 1.797e308; no metric comes near."""

MAX_METRICS = 2000

ROUNDING = 1e-12
"""The share of a value by which decimal fractions miss it (0.744 - 0.739 is not quite 0.005): not a change of the model."""


class Metrics(msgspec.Struct, frozen=True):
    """Finite numbers by flattened name, and for every other leaf the reason why it is no metric."""

    values: dict[str, float]
    invalid: dict[str, str]


def read_metrics(document: Document) -> Metrics:
    """The metrics in a parsed file: nested keys are joined by dots. Raises BadInput when it holds no metric at all."""
    if not isinstance(document.data, dict):
        raise bad_input("is not a mapping of metric names to numbers.", path=document.name)
    leaves = flatten(document.data)
    if len(leaves) > MAX_METRICS:
        raise bad_input(f"holds {len(leaves)} values; at most {MAX_METRICS} are read.", path=document.name)
    reasons = {name: why_not_a_metric(value) for name, value in leaves.items()}
    metrics = Metrics(
        values={name: float(leaves[name]) for name, reason in reasons.items() if not reason},
        invalid={name: reason for name, reason in reasons.items() if reason},
    )
    if not metrics.values and not metrics.invalid:
        raise bad_input("holds no metrics.", path=document.name)
    return metrics


def why_not_a_metric(value: Any) -> str:
    """The reason in a few words, or nothing when `value` is a finite number."""
    if isinstance(value, bool):
        return f"it is the boolean `{str(value).lower()}`"
    if isinstance(value, str):
        return f"it is the text `{value[:40]}`"
    if not isinstance(value, int | float):
        return "it is empty" if value is None else f"it is a {type(value).__name__}"
    try:
        number = float(value)
    except OverflowError:
        return "it is too large"
    if math.isnan(number):
        return "it is NaN"
    return "it is infinite" if abs(number) > LARGEST else ""
