"""A small before and after of one column: shares of its rows by bin or category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelship.data.drift.values import Categories, Numbers, Values

BINS = 10
MOST_LABELS = 12
LONGEST_LABEL = 60

_TAIL = 1.0
"""Percent of the values on each side that the outer bins take in, however far out they lie."""


@dataclass(frozen=True)
class Picture:
    """What each share is of, and the shares, which add up to 1 on each side: reference first, current second."""

    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], tuple[float, ...]]


def picture(values: Values) -> Picture:
    """At most 12 bins or categories. Bins are labelled by their lower ends, and the outer ones are open; rare categories are one."""
    return _of_categories(values) if isinstance(values, Categories) else _of_numbers(values)


def _of_categories(values: Categories) -> Picture:
    shares = np.stack([counts / counts.sum() for counts in values.counts()])
    order = np.argsort(-shares.max(axis=0), kind="stable")
    labels = [cut(values.labels[place]) for place in order]
    if len(order) > MOST_LABELS:
        rest = order[MOST_LABELS - 1 :]
        shares = np.column_stack([shares[:, order[: MOST_LABELS - 1]], shares[:, rest].sum(axis=1)])
        labels = [*labels[: MOST_LABELS - 1], f"{len(rest):,} others"]
    else:
        shares = shares[:, order]
    return Picture(tuple(labels), (_listed(shares[0]), _listed(shares[1])))


def _of_numbers(values: Numbers) -> Picture:
    together = np.concatenate(values.sides())
    different = np.unique(together)
    if len(different) <= MOST_LABELS:
        lower = different
    else:
        low, high = np.percentile(together, [_TAIL, 100 - _TAIL])
        if low == high:
            low, high = different[0], different[-1]
        lower = np.linspace(low, high, BINS + 1)[:-1]
    counts = [
        np.bincount(np.clip(np.searchsorted(lower, side, side="right") - 1, 0, None), minlength=len(lower)) for side in values.sides()
    ]
    shares = [count / count.sum() for count in counts]
    return Picture(tuple(_number(value) for value in lower), (_listed(shares[0]), _listed(shares[1])))


def cut(text: str) -> str:
    """The text, or as much of it as a label holds."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 or abs(value) >= 1e15 else f"{value:,.0f}"


def _listed(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, ...]:
    return tuple(round(float(share), 6) for share in shares)
