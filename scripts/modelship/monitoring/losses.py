"""How much worse a live version has become than was promised, and how sure that is, on batches looked at one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

from modelship.monitoring.history import Batch, History, Measured, Promise

LOOKS = 26
"""Over so many batches all false alarms together are as rare as the confidence says: half a year of weeks."""

WINDOWS = (1, 2, 4, 8, 16)
"""How many of the newest batches are put together: few show a large loss at once, many a small one in time."""


class Loss(msgspec.Struct, frozen=True):
    """How much worse a metric is on the newest batches than at release; plus is worse."""

    promise: Promise
    batches: int
    rows: int
    """Whose truth is known."""
    value: float
    """The metric on these batches."""
    loss: float
    standard_error: float
    """Of the loss: that of these batches and that of the promise."""

    def interval(self, quantile: float) -> tuple[float, float]:
        """The loss, less and more that many standard errors."""
        return self.loss - quantile * self.standard_error, self.loss + quantile * self.standard_error

    @property
    def evidence(self) -> float:
        """How many standard errors the loss is beyond what was allowed."""
        beyond = self.loss - self.promise.max_loss
        if not self.standard_error:
            return math.copysign(math.inf, beyond) if beyond else 0.0
        return beyond / self.standard_error


def losses(history: History, promise: Promise) -> tuple[Loss, ...]:
    """The loss in one metric over the newest batches of the live version, for each of `WINDOWS` that there are batches for."""
    known = [batch for batch in of_version(history) if _measured(batch, promise)]
    return tuple(loss for window in WINDOWS if window <= len(known) and (loss := loss_over(promise, known[-window:])))


def loss_over(promise: Promise, batches: Sequence[Batch]) -> Loss | None:
    """The loss in one metric over these batches, each weighing as many rows as it has; None where one of them does not tell it.

    Batches are independent of each other and of the holdout, so that squares of standard errors add up.
    """
    measured = [one for batch in batches if (one := _measured(batch, promise))]
    if not measured or len(measured) < len(batches):
        return None
    rows = sum(one.rows for one in measured)
    value = math.fsum(one.rows * one.value for one in measured) / rows
    error = math.hypot(*(one.rows * one.standard_error for one in measured)) / rows
    loss = promise.value - value if promise.better == "higher" else value - promise.value
    return Loss(promise, len(measured), rows, value, loss, math.hypot(error, promise.standard_error))


def of_version(history: History) -> tuple[Batch, ...]:
    """The batches that the live version answered."""
    return tuple(batch for batch in history.batches if batch.version == history.version)


def _measured(batch: Batch, promise: Promise) -> Measured | None:
    """What a batch tells of a metric: nothing while its truth is still coming, because what comes early may be of other rows."""
    if not batch.is_complete:
        return None
    return next((one for one in batch.measured if one.metric == promise.metric and one.rows), None)


def quantile(confidence: float, comparisons: int) -> float:
    """How many standard errors a loss must be beyond what is allowed, so that chance alone shows that in `LOOKS` batches at most with
    1 - `confidence`: one-sided, Bonferroni over batches, metrics and windows."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / (LOOKS * len(WINDOWS) * max(comparisons, 1)))
