"""A small before and after of one column: shares of its rows by bin or category."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelship.data.drift.values import Categories, Numbers, Values

BINS = 10
MOST_LABELS = 12
LONGEST_LABEL = 60

_MINUTE, _DAY = 60.0, 86_400.0
_TAIL = 1.0
"""Percent of the values on each side that the outer bins take in, however far out they lie."""


@dataclass(frozen=True)
class Picture:
    """What each share is of, and the shares, which add up to 1 on each side: reference first, current second."""

    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], tuple[float, ...]]


def picture(values: Values, *, are_times: bool = False) -> Picture:
    """At most 12 bins or categories. Bins are labelled by their lower ends, and the outer ones are open; rare categories are one.

    `are_times`: the numbers are seconds from 1970 on, and labelled as times in UTC.
    """
    return _of_categories(values) if isinstance(values, Categories) else _of_numbers(values, _times if are_times else _numbers)


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


def _of_numbers(values: Numbers, labels: Callable[[NDArray[np.float64]], Iterable[str]]) -> Picture:
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
    return Picture(tuple(labels(lower)), (_listed(shares[0]), _listed(shares[1])))


def cut(text: str) -> str:
    """The text, or as much of it as a label holds."""
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _numbers(lower: NDArray[np.float64]) -> Iterator[str]:
    return (_number(float(value)) for value in lower)


def _number(value: float) -> str:
    """In at most 12 characters: half a number is another one."""
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e8 else f"{value:.5g}"


def _times(lower: NDArray[np.float64]) -> Iterator[str]:
    """Days where each bin has another one, else days of the year with minutes, else times of the day; all in at most 12 characters."""
    step = float(np.diff(lower).min()) if len(lower) > 1 else 0.0
    times = np.datetime_as_string(np.floor(lower).astype("datetime64[s]"))
    start, end = (0, 10) if step >= _DAY else (5, 16) if step >= _MINUTE else (11, 19)
    return (str(time)[start:end].replace("T", " ") for time in times)


def _listed(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, ...]:
    return tuple(round(float(share), 6) for share in shares)
