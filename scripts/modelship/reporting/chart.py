"""Intervals drawn in characters, each against its own margin: who reads it needs neither images nor colours.

Every row is scaled by its own margin, so that the end of what is allowed and zero stand in the same two columns throughout. An
interval wholly left of the first is worse, one that crosses it cannot tell, one wholly right of it is proven. A value is never drawn
on the other side of a mark than it is on. All characters are in WGL4, the set that the fonts of all systems have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 23
"""Columns. With a name of 17 before it, as `balanced_accuracy`, a line is 42 wide: a telephone shows it."""

ALLOWED, ZERO, POINT = "¦", "│", "●"
_CROSSED = {ALLOWED: ALLOWED, ZERO: "┼"}
_LEFT_END, _RIGHT_END, _BEYOND_LEFT, _BEYOND_RIGHT = "├", "┤", "◄", "►"

_FINEST, _COARSEST = 8, 3
"""Columns from the end of what is allowed to zero; three is the fewest in which something between can be seen to be there."""
_MOST_RIGHT = 8
"""Columns right of zero that are kept where not all fits: what is worse matters more."""
_BEFORE_ALLOWED = 3


@dataclass(frozen=True)
class Interval:
    """What is drawn in one row, positive is better: a change, what it may truly be, and how far below zero it may be."""

    change: float
    low: float
    high: float
    margin: float | None = None

    @property
    def has_margin(self) -> bool:
        """Whether the end of what is allowed is elsewhere than at zero."""
        return bool(self.margin) and self.margin is not None and math.isfinite(self.margin)


@dataclass(frozen=True)
class Axis:
    """The columns that all rows share."""

    zero: int
    allowed: int | None
    """None where no row has a margin."""


def axis_for(intervals: Sequence[Interval]) -> Axis:
    """The finest scale at which every interval can be seen whole, or the coarsest one."""
    scaled = [(one.low / one.margin, one.high / one.margin) for one in intervals if one.has_margin and one.margin]
    if not scaled:
        return Axis(WIDTH // 2, None)
    worst, best = min(low for low, _ in scaled), max(high for _, high in scaled)
    for step in range(_FINEST, _COARSEST - 1, -1):
        left = max(_columns(-worst, step), step + _BEFORE_ALLOWED)
        right = max(_columns(best, step), _BEFORE_ALLOWED)
        if left + 1 + right <= WIDTH:
            zero = left + (WIDTH - 1 - left - right) // 2
            return Axis(zero, zero - step)
    zero = WIDTH - 1 - min(max(_columns(best, _COARSEST), _BEFORE_ALLOWED), _MOST_RIGHT)
    return Axis(zero, zero - _COARSEST)


def draw(interval: Interval, axis: Axis) -> str:
    """One row of exactly WIDTH columns. An arrow stands where the interval goes on beyond them."""
    cells = [" "] * WIDTH
    cells[axis.zero] = ZERO
    if axis.allowed is not None and interval.has_margin:
        cells[axis.allowed] = ALLOWED
    low, point, high = (_column(value, interval, axis) for value in (interval.low, interval.change, interval.high))
    first, last = _on_paper(low), _on_paper(high)
    for column in range(first, last + 1):
        cells[column] = _CROSSED.get(cells[column], "─")
    cells[first] = _LEFT_END
    cells[last] = _RIGHT_END
    cells[_on_paper(point)] = POINT
    if low < 0:
        cells[0] = _BEYOND_LEFT
    if high >= WIDTH:
        cells[-1] = _BEYOND_RIGHT
    return "".join(cells)


def _columns(margins: float, step: int) -> int:
    """How many columns it takes to show `margins` margins on one side of zero."""
    return math.ceil(max(0.0, min(margins * step, 2.0 * WIDTH))) + 1


def _column(value: float, interval: Interval, axis: Axis) -> int:
    """The column of `value`, on the side of each mark that it is on; left of the paper it is -1, right of it WIDTH."""
    column = axis.zero + round(max(-2.0 * WIDTH, min(_shift(value, interval, axis), 2.0 * WIDTH)))
    if value < 0:
        column = min(column, axis.zero - 1)
    elif value > 0:
        column = max(column, axis.zero + 1)
    if axis.allowed is not None and interval.has_margin and interval.margin:
        if value < -interval.margin:
            column = min(column, axis.allowed - 1)
        elif value > -interval.margin:
            column = max(column, axis.allowed + 1)
    return max(-1, min(column, WIDTH))


def _shift(value: float, interval: Interval, axis: Axis) -> float:
    """How many columns right of zero; without a margin the interval is made to fit."""
    if axis.allowed is not None and interval.has_margin and interval.margin:
        return value / interval.margin * (axis.zero - axis.allowed)
    rooms = ((axis.zero, -interval.low), (WIDTH - 1 - axis.zero, interval.high))
    return min((value / extent * room for room, extent in rooms if extent > 0), key=abs, default=0.0)


def _on_paper(column: int) -> int:
    return max(0, min(column, WIDTH - 1))
