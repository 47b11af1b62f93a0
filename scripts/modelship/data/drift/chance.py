"""How likely chance alone makes two columns as different as they are. Every function gives a p-value from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Name = TypeVar("Name", bound=Hashable)

FEWEST_EXPECTED = 5.0
"""The least count that the chi-square distribution is trusted with (Cochran 1954, Some methods for strengthening the common chi-square
tests, Biometrics 10)."""

_FEW_PAIRS = 10_000
"""Pairs of numbers up to which all orders are counted: the approximation takes three against three for certain."""


def largest_gap(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """The largest difference, 0 to 1, of the two columns' distribution functions; both are finite and not empty."""
    reference, current = np.sort(reference), np.sort(current)
    everywhere = np.concatenate([reference, current])
    below = np.searchsorted(reference, everywhere, side="right") / len(reference)
    return float(np.abs(below - np.searchsorted(current, everywhere, side="right") / len(current)).max())


def same_numbers(gap: float, reference: int, current: int) -> float:
    """The two-sample Kolmogorov-Smirnov test for columns of so many numbers whose `largest_gap` is `gap`.

    Of small columns exactly; of others the distribution of the one-sample statistic at the effective size nm / (n + m), as
    `scipy.stats.ks_2samp` has both (Hodges 1958, The significance probability of the Smirnov two-sample test, Arkiv för Matematik 3).
    Equal values make it err on the safe side.
    """
    if reference * current <= _FEW_PAIRS:
        return _within(_exactly_same_numbers(gap, reference, current))
    from scipy.stats import kstwo

    return _within(float(kstwo.sf(gap, max(round(reference * current / (reference + current)), 1))))


def _exactly_same_numbers(gap: float, rows: int, columns: int) -> float:
    """The share of all orders of so many and so many numbers in which the gap is as large, or larger.

    An order is a path through a grid, of which a share stays where the gap is smaller; each node's is made of those before it.
    """
    limit = round(gap * rows * columns)
    inside = np.zeros(columns + 1)
    for row in range(rows + 1):
        for column in range(columns + 1):
            if abs(row * columns - column * rows) >= limit:
                inside[column] = 0.0
            elif row or column:
                from_left = inside[column - 1] * column if column else 0.0
                inside[column] = (inside[column] * row + from_left) / (row + column)
            else:
                inside[0] = 1.0
    return 1.0 - float(inside[columns])


def same_categories(reference: NDArray[np.intp], current: NDArray[np.intp]) -> float:
    """Pearson's chi-square test of homogeneity on counts by category, both of the same length.

    Rare categories are pooled, the rarest first, until chance expects `FEWEST_EXPECTED` rows in each cell. Where that leaves a
    single category, nothing can be told: 1.
    """
    from scipy.stats import chi2

    totals = reference + current
    order = np.lexsort((-reference, -totals))
    observed = np.stack([reference[order], current[order]]).astype(np.float64)
    shares = observed.sum(axis=1) / observed.sum()
    rare = totals[order] * shares.min() < FEWEST_EXPECTED
    kept, pool = observed[:, ~rare], observed[:, rare].sum(axis=1, keepdims=True)
    while kept.shape[1] and 0 < pool.sum() * shares.min() < FEWEST_EXPECTED:
        kept, pool = kept[:, :-1], pool + kept[:, -1:]
    observed = np.concatenate([kept, pool], axis=1) if pool.sum() else kept
    if observed.shape[1] < 2:
        return 1.0
    expected = observed.sum(axis=0) * shares[:, None]
    return _within(float(chi2.sf(((observed - expected) ** 2 / expected).sum(), observed.shape[1] - 1)))


def same_share(reference: tuple[int, int], current: tuple[int, int]) -> float:
    """The two-proportion z-test on (count, rows) of two tables, with Yates' correction (Fleiss 1981, Statistical methods for rates and
    proportions, sec. 2.2)."""
    (count, rows), (other_count, other_rows) = reference, current
    pooled = (count + other_count) / (rows + other_rows)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / rows + 1 / other_rows))
    if spread == 0:
        return 1.0
    apart = abs(count / rows - other_count / other_rows) - (1 / rows + 1 / other_rows) / 2
    return _within(math.erfc(max(apart, 0.0) / spread / math.sqrt(2)))


def corrected(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """P-values such that all of them together are wrong no more often than one alone (Holm 1979, A simple sequentially rejective
    multiple test procedure, Scandinavian Journal of Statistics 6)."""
    adjusted: dict[Name, float] = {}
    least = 0.0
    for place, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        least = max(least, min((len(p_values) - place) * p_value, 1.0))
        adjusted[name] = least
    return adjusted


def _within(p_value: float) -> float:
    return min(max(p_value, 0.0), 1.0)
