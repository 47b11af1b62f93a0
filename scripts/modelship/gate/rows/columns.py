"""Columns of any type as a few codes with names: what slices, cohorts and flips are made of.

Text in them comes from data. It is cut here and escaped where it is shown.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.words import with_minus

LONGEST = 100
"""Characters that are kept of a value."""

MISSING = "missing"

LISTED = 10
"""Names that are written out where a set of them is described."""


@dataclass(frozen=True)
class Coded(ABC):
    """A column's rows by code. Codes 0 … k-1 stand for values, k for a missing one."""

    name: str
    codes: NDArray[np.int16]
    """(n,) codes."""

    @property
    @abstractmethod
    def missing(self) -> int:
        """k, the code of missing values, whether there are any or none."""

    @abstractmethod
    def text(self, codes: NDArray[np.bool_]) -> str:
        """What the rows whose code is in the mask `codes`, shape (k + 1,), have in common."""


@dataclass(frozen=True)
class Names(Coded):
    """Values without an order, one code each."""

    names: tuple[str, ...]
    """The k names, no two alike."""

    @property
    def missing(self) -> int:
        """k."""
        return len(self.names)

    def text(self, codes: NDArray[np.bool_]) -> str:
        """The names, or those that are left out where they are fewer: `AA, EV`, `all but EV`."""
        names = (*self.names, MISSING) if self._has_missing else self.names
        codes = codes[: len(names)]
        inside = [name for name, is_in in zip(names, codes, strict=True) if is_in]
        outside = [name for name, is_in in zip(names, codes, strict=True) if not is_in]
        return _listed(inside) if len(inside) <= max(len(outside), 1) else f"all but {_listed(outside)}" if outside else "all"

    @cached_property
    def _has_missing(self) -> bool:
        return bool(np.any(self.codes == self.missing))


@dataclass(frozen=True)
class Bins(Coded):
    """Values with an order, by where they lie between edges: code i holds edges[i - 1] <= value < edges[i]."""

    edges: NDArray[Any]
    """(k - 1,) ascending, of the values' own type."""
    shown: Callable[[Any], str]
    """An edge as a reader would write it."""

    @property
    def missing(self) -> int:
        """k."""
        return len(self.edges) + 1

    def text(self, codes: NDArray[np.bool_]) -> str:
        """The range from the first to the last code of the mask: `below 500`, `500 to 1,020`, `1,020 and more`."""
        inside = np.flatnonzero(codes[: self.missing])
        if not len(inside):
            return MISSING
        or_missing = f" or {MISSING}" if codes[self.missing] else ""
        first, last = int(inside[0]), int(inside[-1])
        low = self.edges[first - 1] if first else None
        high = self.edges[last] if last < len(self.edges) else None
        return self._range(low, high) + or_missing

    def _range(self, low: Any, high: Any) -> str:
        if low is None:
            return f"not {MISSING}" if high is None else f"below {self.shown(high)}"
        if high is None:
            return f"{self.shown(low)} and more"
        if np.issubdtype(self.edges.dtype, np.integer) and int(high) - int(low) == 1:
            return self.shown(low)
        return f"{self.shown(low)} to {self.shown(high)}"


def is_text(column: Any) -> bool:
    """Whether the values of the pyarrow array `column` are text, which may name people; numbers, dates and booleans are not."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return not (pa.types.is_boolean(kind) or _is_number(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind))


def slice_column(name: str, column: Any, *, most: int, bins: int) -> Coded | None:
    """One code for each value where there are at most `most`; of more, numbers and dates in `bins` bins with about equally many rows.

    Of more texts the `most` - 1 most frequent stay and the rest becomes `other (n values)`. `column` is a pyarrow array of shape (n,).
    None where the type has no values to slice by, as lists or bytes.
    """
    column = _plain(column)
    values = _ordered(column)
    if values is None:
        return _names(name, column, most)
    distinct = np.unique(values.values[~values.missing])
    if len(distinct) > most:
        return _bins(name, values, bins)
    codes = np.searchsorted(distinct, values.values).astype(np.int16)
    codes[values.missing] = len(distinct)
    return Names(name, codes, _apart([values.shown(value) for value in distinct]))


def split_column(name: str, column: Any, *, most: int, thresholds: int) -> Coded | None:
    """Numbers and dates in up to `thresholds` + 1 bins, texts and booleans by value.

    None where there is nothing to split by: one value, more than `most` texts, a type without values to compare.
    """
    column = _plain(column)
    values = _ordered(column)
    coded = _names(name, column, most + 1) if values is None else _bins(name, values, thresholds + 1)
    if coded is None or np.all(coded.codes == coded.codes[:1]):
        return None
    return None if isinstance(coded, Names) and len(coded.names) > most else coded


def texts(column: Any, rows: NDArray[np.intp], *, digits: int | None = None) -> list[str]:
    """The values of the pyarrow array `column` at `rows`, as they would be looked up.

    With `digits`, as a reader would write them: numbers that are not whole have so many significant ones, and none before the point is
    left out.
    """
    taken = _plain(column.take(pa.array(rows)))
    values = _ordered(taken)
    if values is not None:
        written = values.shown if digits else values.plain
        return [MISSING if gone else written(value, digits) for value, gone in zip(values.values, values.missing, strict=True)]
    if _is_string(taken.type):
        return [MISSING if raw is None else _name(raw) for raw in taken.cast(pa.large_binary()).to_pylist()]
    return [MISSING if value is None else value_text(value) for value in taken.to_pylist()]


def value_text(value: object) -> str:
    """One Python value as a reader would write it."""
    if isinstance(value, bool):
        return _boolean(value)
    return cut(_whole(str(value)) if isinstance(value, float) else str(value))


def cut(text: str) -> str:
    """At most `LONGEST` characters of `text`."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


@dataclass(frozen=True)
class _Ordered:
    """Numbers or dates."""

    values: NDArray[Any]
    """(n,) integers, floats or datetime64; anything where `missing` is set."""
    missing: NDArray[np.bool_]
    zone: str
    """What follows a time: ` UTC` where the column has a time zone."""

    def plain(self, value: Any, digits: int | None = None) -> str:
        """One of the values, ungrouped: a year stays 2013."""
        if isinstance(value, np.datetime64):
            return _date(value) + self.zone
        if digits and isinstance(value, np.floating) and np.isfinite(value) and value % 1:
            value = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
        return cut(_whole(str(value)))

    def shown(self, value: Any, digits: int | None = None) -> str:
        """The same to be read, and not to be looked up: with the sign that all numbers have in a report."""
        written = self.plain(value, digits)
        return written if isinstance(value, np.datetime64) else with_minus(written)

    def edge(self, value: Any) -> str:
        """An edge between values; thousands are grouped."""
        if isinstance(value, np.datetime64):
            return _date(value) + self.zone
        return cut(with_minus(f"{int(value):,}" if isinstance(value, np.integer) else _whole(f"{float(str(value)):,}")))


def _plain(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _ordered(column: Any) -> _Ordered | None:
    kind = column.type
    gone = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _Ordered(column.to_numpy(zero_copy_only=False), gone, " UTC" if getattr(kind, "tz", None) else "")
    if not _is_number(kind):
        return None
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = values + values.dtype.type(0)  # Minus zero is zero.
        gone = gone | np.isnan(values)
    return _Ordered(values, gone, "")


def _bins(name: str, values: _Ordered, parts: int) -> Bins:
    present = values.values[~values.missing]
    edges = _quantiles(present, parts)
    if len(edges):
        edges = _readable(edges)
        edges = np.unique(edges[(edges > present.min()) & (edges <= present.max())])
    codes = np.searchsorted(edges, values.values, side="right").astype(np.int16)
    codes[values.missing] = len(edges) + 1
    return Bins(name, codes, edges, values.edge)


def _quantiles(present: NDArray[Any], parts: int) -> NDArray[Any]:
    """Up to `parts` - 1 values that leave about equally many rows between them; ascending, without infinities."""
    if not len(present):
        return present
    places = np.unique(np.arange(1, parts) * len(present) // parts)
    edges = np.unique(np.partition(present, places)[places])
    finite: NDArray[Any] = edges[np.isfinite(edges)]
    return finite


def _readable(edges: NDArray[Any]) -> NDArray[Any]:
    """Edges without digits that mean nothing: two are kept of the narrowest gap between edges; of times, whole days or minutes."""
    if edges.dtype.kind == "M":
        gap = np.diff(edges).min() if len(edges) > 1 else np.timedelta64(1, "D")
        for unit in ("D", "m", "s"):
            if gap >= np.timedelta64(1, unit):
                return edges.astype(f"datetime64[{unit}]").astype(edges.dtype)
        return edges
    written = [int(edge) if edges.dtype.kind in "iu" else float(str(edge)) for edge in edges]
    gaps = [high - low for low, high in pairwise(written)] or [abs(written[0])]
    gap = float(min(gaps))
    if not 0 < gap < math.inf:
        return edges
    decimals = 1 - math.floor(math.log10(gap))
    limits = np.iinfo(edges.dtype) if edges.dtype.kind in "iu" else np.finfo(edges.dtype)
    rounded = [round(edge, decimals) for edge in written]
    return np.array(
        [near if limits.min <= near <= limits.max else edge for near, edge in zip(rounded, written, strict=True)], edges.dtype
    )


def _names(name: str, column: Any, most: int) -> Names | None:
    kind = column.type
    if pa.types.is_null(kind):
        return Names(name, np.zeros(len(column), dtype=np.int16), ())
    if pa.types.is_boolean(kind):
        codes = column.cast(pa.int8()).fill_null(2).to_numpy(zero_copy_only=False)
        return Names(name, codes.astype(np.int16), (_boolean(False), _boolean(True)))
    if not _is_string(kind):
        return None
    encoded = column.cast(pa.large_binary()).dictionary_encode()  # As bytes: not every file's text is valid UTF-8.
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    kept = _most_frequent(encoded.dictionary, indices, most)
    names = _apart([_name(encoded.dictionary[int(index)].as_py()) for index in kept])
    rest = len(encoded.dictionary) - len(kept)
    if rest:
        names = _apart([*names, f"other ({rest:,} values)"])
    place = np.full(len(encoded.dictionary) + 1, len(kept), dtype=np.int16)
    place[kept] = np.arange(len(kept))
    place[-1] = len(names)
    return Names(name, place[indices], names)


def _most_frequent(dictionary: Any, indices: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Places of all values, or of the `most` - 1 that most rows have where there are more; in the order of the values."""
    if len(dictionary) <= most:
        return np.array(pc.sort_indices(dictionary), dtype=np.intp)
    counts = np.bincount(indices[indices >= 0], minlength=len(dictionary))
    table = pa.table({"rows": counts, "value": dictionary})
    keys = [("rows", "descending"), ("value", "ascending")]
    frequent = np.array(pc.select_k_unstable(table, k=most - 1, sort_keys=keys), dtype=np.intp)
    return frequent[np.array(pc.sort_indices(dictionary.take(pa.array(frequent))), dtype=np.intp)]


def _name(raw: bytes) -> str:
    """A text value; in quotes where it would read as one of our own words."""
    text = raw[: 8 * LONGEST].decode("utf-8", "replace")
    is_ours = text in ("", MISSING) or text.startswith(("other (", "all but "))
    return cut(f'"{text}"' if is_ours else text)


def _apart(names: Sequence[str]) -> tuple[str, ...]:
    """`names`, numbered where cutting has made two of them alike."""
    alike = {name for name, times in Counter(names).items() if times > 1}
    seen: Counter[str] = Counter()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(f"{name} ({seen[name]})" if name in alike else name)
    return tuple(apart)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _whole(text: str) -> str:
    return text.removesuffix(".0")


def _date(value: np.datetime64) -> str:
    """A date, with as much of the time as is not zero."""
    day, _, time = str(np.datetime_as_string(value)).partition("T")
    if not time.strip("0:."):
        return day
    return f"{day} {time[:5] if not time[5:].strip('0:.') else time.rstrip('0').rstrip('.') if '.' in time else time}"
