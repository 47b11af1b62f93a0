"""How often slices raise a false alarm: equal models, 50 slices, and runs in which any slice fails in any metric.

`python benchmarks/slices.py` prints a table for 1,000 runs of each scenario, `--runs` says how many. At most 5 % of runs may fail.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / folder) for folder in (".", "scripts")]

# ruff: noqa: E402
from benchmarks.simulated import Draw, grouped_classes, grouped_numbers, measure_named, skewed_numbers, two_classes

from modelship.core.config import Limit
from modelship.gate.rows.slices import FEWEST, Partition, judge_slices

CLASSES = ("accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision", "log_loss")
NUMBERS = ("mean_absolute_error", "root_mean_squared_error", "median_absolute_error")


@dataclass(frozen=True)
class Scenario:
    """Equal models on rows in slices."""

    name: str
    sizes: tuple[int, ...]
    measures: tuple[str, ...]
    draw: Draw

    def partition(self) -> Partition:
        """The slices, each a run of rows."""
        codes = np.repeat(np.arange(len(self.sizes)), self.sizes).astype(np.int16)
        return Partition(("part",), codes, tuple({"part": str(number)} for number in range(len(self.sizes))))


EQUAL = (100,) * 50
UNEQUAL = tuple(round(100 * 50 ** (number / 49)) for number in range(50))

SCENARIOS = (
    Scenario("100 rows each, half positive", EQUAL, CLASSES, partial(two_classes, prevalence=0.5, noise=0.3)),
    Scenario("100 to 5,000 rows, 20 % positive", UNEQUAL, CLASSES, partial(two_classes, prevalence=0.2, noise=0.5)),
    Scenario("300 rows each, 3 % positive", (300,) * 50, CLASSES, partial(two_classes, prevalence=0.03, noise=0.5)),
    Scenario(f"{FEWEST} rows each, half positive", (FEWEST,) * 50, CLASSES, partial(two_classes, prevalence=0.5, noise=1.0)),
    Scenario("300 rows in about 60 groups each", (300,) * 50, CLASSES, grouped_classes),
    Scenario("numbers, 100 rows each, much alike", EQUAL, NUMBERS, partial(skewed_numbers, noise=0.1)),
    Scenario("numbers, 100 to 5,000 rows, little alike", UNEQUAL, NUMBERS, partial(skewed_numbers, noise=1.0)),
    Scenario("numbers, 300 rows in about 60 groups each", (300,) * 50, NUMBERS, grouped_numbers),
)


def false_alarms(scenario: Scenario, runs: int, *, seed: int = 0) -> int:
    """In how many of `runs` comparisons of two equal models, margin 0 and 95 % confidence, any slice fails in any metric."""
    rng = np.random.default_rng(seed)
    measures = {name: measure_named(name) for name in scenario.measures}
    limits = {name: Limit(max_regression=0.0) for name in scenario.measures}
    partition, failed = scenario.partition(), 0
    for _ in range(runs):
        paired = scenario.draw(rng, len(partition.codes), 0.0)
        slices = judge_slices(paired, [partition], measures, limits, confidence=0.95, min_rows=FEWEST)
        if not slices.comparisons:
            raise AssertionError(f"{scenario.name}: nothing was compared")
        failed += any(verdict.verdict.state == "fail" for verdict in slices.verdicts)
    return failed


def main() -> int:
    """Simulate and print. Returns 1 where a scenario fails in more than 5 % of its runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=1000, help="how many runs of each scenario (default: 1000)")
    runs = parser.parse_args().runs
    width = max(len(scenario.name) for scenario in SCENARIOS)
    worst = 0.0
    print(f"{'50 slices of':<{width}}  runs with a false alarm")
    for scenario in SCENARIOS:
        share = false_alarms(scenario, runs) / runs
        worst = max(worst, share)
        print(f"{scenario.name:<{width}}  {share:.1%}", flush=True)
    return int(worst > 0.05)


if __name__ == "__main__":
    sys.exit(main())
