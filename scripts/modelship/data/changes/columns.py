"""How the values of one column look at two commits, in a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MOVED = 0.1
"""By how many standard deviations a mean has moved noticeably (Austin 2009, Balance diagnostics ..., Statistics in Medicine 28)."""

SPREAD = 1.1
"""By which factor a standard deviation has changed noticeably."""

SHARE = 0.05
"""By how much the share of a category has changed noticeably, of the rows with a value."""

MISSING = 0.01
"""By how much the share of rows without a value has changed noticeably."""

MAX_CATEGORIES = 1000
"""Text with more different values is no category."""

_NAMED = 3
"""How many categories are named."""

_LONGEST = 40
"""How much of a category is told."""

_OF_NORMAL = 2.5
"""Standard deviations that a normal distribution moves for each unit of total variation: 1 / (2 phi(0)), for small moves."""

_CONSTANT = 10.0
"""What the move of something that was constant counts for, in standard deviations."""

_NUMBERS = ("whole numbers", "numbers")
_OBJECTS = {"string": "text", "boolean": "truth values", "date": "dates", "datetime": "times", "decimal": "decimals", "bytes": "bytes"}


@dataclass(frozen=True)
class Shift:
    """A column whose values have moved noticeably: how they looked, how they look, and how far that is in standard deviations."""

    before: str
    after: str
    distance: float


def kind_of(column: pd.Series[Any]) -> str:
    """What the values are, whatever they are stored as; empty where there is none."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return kind_of(pd.Series(column.cat.categories)) if column.notna().any() else ""
    kind = column.dtype.kind
    if kind == "b":
        return "truth values"
    if kind == "M":
        return "times"
    if not column.notna().any():
        return ""
    if kind in "iu" or (kind == "f" and bool((column.dropna() % 1 == 0).all())):
        return "whole numbers"  # With a missing value pandas keeps floats.
    if kind == "f":
        return "numbers"
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    return _OBJECTS.get(inferred, "other values")


def are_alike(before: str, after: str) -> bool:
    """Whether values of two kinds can be compared with each other."""
    return before == after or not before or not after or (before in _NUMBERS and after in _NUMBERS)


def find_shift(before: pd.Series[Any], after: pd.Series[Any], kind: str) -> Shift | None:
    """How the values of a column have moved, or None where they have not noticeably; `kind` is that of both."""
    found = _missing(before, after)
    if kind in _NUMBERS:
        found += _numbers(_finite(before), _finite(after))
    elif kind in ("text", "truth values"):
        found += _categories(before.value_counts(), after.value_counts())
    elif kind in ("times", "dates"):
        found += _range(before.dropna(), after.dropna())
    if not found:
        return None
    told_before = ", ".join(one.before for one in found if one.before)
    told_after = ", ".join(one.after for one in found if one.after)
    return Shift(told_before, told_after, max(one.distance for one in found))


def _missing(before: pd.Series[Any], after: pd.Series[Any]) -> list[Shift]:
    shares = [float(column.isna().mean()) if len(column) else 0.0 for column in (before, after)]
    change = abs(shares[1] - shares[0])
    if change < MISSING:
        return []
    return [Shift(f"{percent(shares[0])} missing", f"{percent(shares[1])} missing", change * _OF_NORMAL)]


def _finite(column: pd.Series[Any]) -> NDArray[np.float64]:
    import numpy as np

    values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values[np.isfinite(values)]


def _numbers(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[Shift]:
    if not len(before) or not len(after):
        return []
    (mean, spread), (new_mean, new_spread) = _moments(before), _moments(after)
    moved = abs(new_mean - mean)
    distance = moved / spread if spread else (_CONSTANT if moved else 0.0)
    widened = abs(math.log(new_spread / spread)) if spread and new_spread else (_CONSTANT if spread != new_spread else 0.0)
    if distance < MOVED and widened < math.log(SPREAD):
        return []
    told = [f"mean {one}" for one in _apart(mean, new_mean)]
    spreads = [f"sd {one}" for one in _apart(spread, new_spread)]
    return [Shift(f"{told[0]}, {spreads[0]}", f"{told[1]}, {spreads[1]}", min(max(distance, widened), _CONSTANT))]


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, scaled so that the largest finite numbers do not overflow."""
    import numpy as np

    scale = float(np.abs(values).max()) or 1.0
    scaled = values / scale
    return float(scaled.mean() * scale), float(scaled.std() * scale)


def _categories(before: pd.Series[Any], after: pd.Series[Any]) -> list[Shift]:
    """Of counts by category."""
    if len(before) > MAX_CATEGORIES or len(after) > MAX_CATEGORIES or not len(before) or not len(after):
        return []
    shares, new_shares = ({str(name): int(n) / int(one.sum()) for name, n in one.items() if n} for one in (before, after))
    changes = {name: new_shares.get(name, 0.0) - shares.get(name, 0.0) for name in {**shares, **new_shares}}
    new, gone = [name for name in new_shares if name not in shares], [name for name in shares if name not in new_shares]
    if max(map(abs, changes.values())) < SHARE and not new and not gone:
        return []
    moved = sorted((name for name in changes if name in shares and name in new_shares), key=lambda name: -abs(changes[name]))[:_NAMED]
    told = [", ".join(f"{_cut(name)} {percent(side[name])}" for name in moved) for side in (shares, new_shares)]
    distance = sum(map(abs, changes.values())) / 2 * _OF_NORMAL
    added, lost = _listed("new", new, new_shares), _listed("gone", gone, shares)
    return [Shift(", ".join(filter(None, (told[0], lost))), ", ".join(filter(None, (told[1], added))), distance)]


def _listed(word: str, names: Sequence[str], shares: dict[str, float]) -> str:
    """`3 new: EV 4%, UA 1%, …`."""
    if not names:
        return ""
    shown = ", ".join(f"{_cut(name)} {percent(shares[name])}" for name in names[:_NAMED])
    return f"{len(names):,} {word}: {shown}{', …' if len(names) > _NAMED else ''}"


def _range(before: pd.Series[Any], after: pd.Series[Any]) -> list[Shift]:
    if before.empty or after.empty:
        return []
    told = [f"{column.min()} to {column.max()}" for column in (before, after)]
    return [Shift(told[0], told[1], MOVED)] if told[0] != told[1] else []


def percent(share: float) -> str:
    """A share as `14%`, `0.5%`; one that is not zero never reads as zero."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return f"{100 * share:.3g}%" if share >= 0.1 else f"{100 * share:.2g}%"


def _apart(first: float, second: float) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart, if any do."""
    for digits in (3, 5, 9):
        told = _number(first, digits), _number(second, digits)
        if told[0] != told[1]:
            return told
    return _number(first, 3), _number(second, 3)


def _number(value: float, digits: int) -> str:
    large = 10**digits <= abs(value) < 1e15
    return (f"{value:,.0f}" if large else f"{value:,.{digits}g}").replace("-", "\N{MINUS SIGN}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
