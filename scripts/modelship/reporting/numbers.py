"""Numbers as people read them: true minus signs, as many digits as carry meaning."""

from __future__ import annotations

import math
from collections.abc import Iterable

from modelship.core.words import with_minus

NOTHING = "—"
"""Stands where there is no number."""

SCORE_DECIMALS = 4
MAX_DECIMALS = 10


def decimals_for(values: Iterable[float | None], change: float | None = None) -> int:
    """How many decimals to show: four for scores, five significant digits above ten, four below a hundredth.

    With `change`, enough of them that a change other than zero does not read as zero.
    """
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    magnitude = _magnitude(largest)
    decimals = SCORE_DECIMALS - max(magnitude, 0) if magnitude >= -2 else 3 - magnitude
    if change and abs(change) > 1e-9 * largest:
        decimals = max(decimals, -_magnitude(abs(change)))
    return min(max(decimals, 0), MAX_DECIMALS)


def number(value: float | None, decimals: int) -> str:
    """`value` with `decimals`; thousands are grouped, very large and very small numbers are in powers of ten."""
    if value is None:
        return NOTHING
    if value and (abs(value) >= 1e15 or abs(value) < 10 ** -(MAX_DECIMALS - 2)):
        written = f"{value:.3e}"
    else:
        written = f"{value:,.{decimals}f}"
    if float(written.replace(",", "")) == 0:
        written = written.removeprefix("-")
    return with_minus(written)


def signed(value: float | None, decimals: int) -> str:
    """As `number`, with a plus sign where it is positive."""
    written = number(value, decimals)
    is_positive = value is not None and value > 0 and any(digit in "123456789" for digit in written)
    return f"+{written}" if is_positive else written


def rough(value: float) -> str:
    """The size of `value` to two significant digits, for a sentence."""
    size = abs(value)
    if size and (size >= 1e15 or size < 1e-8):
        return with_minus(f"{size:.1e}")
    return f"{size:,.{max(0, 1 - _magnitude(size))}f}"


def duration(seconds: float) -> str:
    """Seconds as `0.4 s`, `41 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(bytes_: int) -> str:
    """Bytes as `812 B`, `4.1 MB` (powers of 1,000)."""
    amount = float(bytes_)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _magnitude(value: float) -> int:
    """The power of ten of the first digit; 0 for zero."""
    return math.floor(math.log10(value)) if value else 0
