"""Calibration, on fewer simulated runs than `make calibration` takes: a rate that is right breaks a bound once in a thousand times."""

from __future__ import annotations

from functools import cache

import pytest
from benchmarks.simulated import (
    SHAPES,
    Shape,
    Tally,
    adequate_rows,
    drops_caught,
    equal_models,
    true_comparisons,
    worse_candidates,
)
from scipy import stats

RUNS = 600
FEW = 30
"""With fewer effective rows there are so few possible outcomes that intervals cover more often than they say."""

by_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.family}, {shape.name}")


def exceeds(count: int, runs: int, share: float) -> bool:
    """Whether that many in `runs` would be seen less than once in a thousand times if `share` were the most that they may be."""
    return bool(stats.binomtest(count, runs, share, alternative="greater").pvalue < 0.001)


def covers_badly(tally: Tally) -> bool:
    too_much = tally.effective_rows / tally.runs >= FEW and exceeds(tally.covered, tally.runs, 0.97)
    return too_much or exceeds(tally.runs - tally.covered, tally.runs, 0.07)


@cache
def truth(shape: Shape) -> dict[str, float]:
    return {name: one.change for name, one in true_comparisons(shape, (1,), rows=400_000).items()}


@by_shape
def test_equal_models_seldom_fail_and_are_covered(shape: Shape) -> None:
    for name, tally in equal_models(shape, RUNS, (2,)).items():
        assert tally.runs == RUNS
        assert not exceeds(tally.failed, tally.runs, 0.025), (name, tally)
        assert not covers_badly(tally), (name, tally)


@by_shape
def test_a_true_drop_is_covered(shape: Shape) -> None:
    for name, tally in worse_candidates(shape, truth(shape), RUNS // 2, (3,)).items():
        assert truth(shape)[name] < 0
        assert not covers_badly(tally), (name, tally)


@pytest.mark.parametrize(
    ("position", "name"),
    [
        (0, "accuracy"),
        (0, "f1"),
        (2, "roc_auc"),
        (2, "log_loss"),
        (3, "average_precision"),
        (5, "brier_score_loss"),
        (6, "f1_macro"),
        (8, "r2"),
        (11, "root_mean_squared_error"),
        (11, "mean_absolute_error"),
        (11, "median_absolute_error"),
    ],
)
def test_a_drop_of_twice_the_margin_is_caught(position: int, name: str) -> None:
    shape = SHAPES[position]
    true = true_comparisons(shape, (4,), rows=200_000)[name]
    margin = -true.change / 2
    rows = adequate_rows(true, margin)
    assert rows is not None
    tally = drops_caught(shape, name, margin, rows, 200, (5,))[name]
    assert not exceeds(tally.runs - tally.failed, tally.runs, 0.05), tally


def test_the_bounds_can_be_broken() -> None:
    """A gate that fails one equal model in twenty, intervals that are half as long as they should be, and endless ones."""
    assert exceeds(RUNS // 20, RUNS, 0.025)
    assert covers_badly(Tally(runs=RUNS, covered=round(0.67 * RUNS), effective_rows=100 * RUNS))
    assert covers_badly(Tally(runs=RUNS, covered=RUNS, effective_rows=100 * RUNS))
    assert not covers_badly(Tally(runs=RUNS, covered=RUNS, effective_rows=10 * RUNS))
