"""A metric of two models on the same rows: numbers only, so that whoever has them can judge."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import msgspec

POWER = 0.8
"""How likely the number of rows that is asked for should tell, were the difference truly what it seems."""

MOST_ROWS = 1_000_000_000

PSEUDO_ROWS = 0.5
"""How many rows on which the models differ, half of them in favour of each, intervals are widened by.

Of many rows that count as right or wrong, as few have then to turn at 95 % as in the mid-p test of McNemar, which keeps its level on
average over how many turn (Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13): four that all turn are no proof, five are.
Other numbers: docs/calibration.md.
"""


class Comparison(msgspec.Struct, frozen=True):
    """One metric of two models. `change` is signed so that plus is better."""

    metric: str
    baseline: float
    candidate: float
    change: float
    standard_error: float
    """Of the change."""
    effective_rows: float
    """How many rows, or groups, the standard error really comes from: those on which the models differ."""
    support: float
    """How many rows, or groups, the values rest on: of the rarest class that the metric divides by; else all."""
    least_error: float
    """What one more row could change that these do not show, where they are too few or too coarse to show it."""
    rows: int
    method: str
    tamed: Comparison | None = None
    """The same with a better candidate: no row is further off than the baseline's furthest. None where none is."""
    freedom: float = math.inf
    """Degrees of freedom of the standard error: one less than there are rows, or groups; of two samples `satterthwaite`."""

    def interval(self, confidence: float) -> tuple[float, float]:
        """What the change may truly be, both ends at `confidence` (0 … 1) together: Student's t, with the widened error.

        A few absurd rows have a spread that hides what all others show. So the upper end is that of the tamed candidate where it is
        lower: the candidate is no better than that one.
        """
        half = student_quantile(confidence, self.freedom) * self.widened_error
        high = self.change + half
        return self.change - half, high if self.tamed is None else min(high, self.tamed.interval(confidence)[1])

    @property
    def widened_error(self) -> float:
        """The standard error, raised for the few rows that it rests on.

        Half a row is added on which the models differ, as heavy as such rows are, as Bonett & Price 2012, J. Educ. Behav. Stat. 37,
        add two to a difference of paired proportions. And the squares are taken around no change, as in the test of McNemar 1947,
        Psychometrika 12: a few rows that all changed in one way have no spread around their own mean.
        """
        if not self.standard_error and not self.change:
            return 0.0
        a_row = self.standard_error**2 / self.effective_rows if self.effective_rows else 0.0
        return math.sqrt(self.standard_error**2 + PSEUDO_ROWS * max(a_row, self.least_error**2) + self.change**2 / self.support)

    def rows_to_decide(self, margin: float, confidence: float) -> int | None:
        """About how many rows would tell on which side of -`margin` the change is, at 80 % power, were it truly what it seems.

        Two-sided test of one mean: n (t_(1 - alpha/2) + z_power)^2 (se / distance)^2, with as many degrees of freedom as so many rows
        have. None beyond a thousand million.
        """
        distance = abs(self.change + margin)
        if not distance or not self.widened_error:
            return None

        def times(freedom: float) -> float:
            ratio = (student_quantile(confidence, freedom) + NormalDist().inv_cdf(POWER)) * self.widened_error / distance
            return ratio * ratio

        rows = self.rows * times(self.freedom * max(times(math.inf), 1.0))
        return math.ceil(rows) if rows <= MOST_ROWS else None


def satterthwaite(parts: Iterable[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent estimates, each given as its standard error and its own; infinite without any error.

    Welch 1947, Biometrika 34; Satterthwaite 1946, Biometrics Bulletin 2.
    """
    known = [(error, freedom) for error, freedom in parts if error]
    largest = max((error for error, _ in known), default=1.0)
    variances = [((error / largest) ** 2, freedom) for error, freedom in known]
    spread = sum(variance**2 / freedom for variance, freedom in variances)
    return sum(variance for variance, _ in variances) ** 2 / spread if spread else math.inf


def student_quantile(confidence: float, freedom: float) -> float:
    """The two-sided quantile of Student's t: Abramowitz & Stegun 1964, Handbook of Mathematical Functions, 26.7.5.

    At 95 % and 3, 2 and 1 degrees of freedom it is 0.1, 0.7 and 11 % too small, and further out more. So few prove no loss anyway: the
    widened error is at least the change divided by the root of the number of rows.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
