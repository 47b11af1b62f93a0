"""A column's values in two tables, as statistics want them: numbers, or categories by code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Family = Literal["number", "truth value", "text", "time", "nothing", "nested"]
"""What a column's type is to a person; a duration is a number."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Numbers:
    """Finite numbers of both tables, missing ones left out."""

    reference: NDArray[np.float64]
    current: NDArray[np.float64]

    def sides(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Reference first, current second."""
        return self.reference, self.current


@dataclass(frozen=True)
class Categories:
    """Categories of both tables as positions in `labels`, missing ones left out."""

    labels: tuple[str, ...]
    reference: NDArray[np.intp]
    current: NDArray[np.intp]

    def sides(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Reference first, current second."""
        return self.reference, self.current

    def counts(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows by category."""
        return np.bincount(self.reference, minlength=len(self.labels)), np.bincount(self.current, minlength=len(self.labels))


Values = Numbers | Categories


def family(type_: pa.DataType) -> Family:
    """What the type is to a person."""
    if pa.types.is_boolean(type_):
        return "truth value"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_) or pa.types.is_duration(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    if pa.types.is_temporal(type_):
        return "time"
    return "nothing" if pa.types.is_null(type_) else "nested"


def numbers(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Numbers:
    """Columns of numbers, truth values (0 and 1) or times (seconds, from 1970 on)."""
    return Numbers(_numbers(reference), _numbers(current))


def categories(reference: pa.ChunkedArray, current: pa.ChunkedArray) -> Categories:
    """Columns of any one family as categories: `1` and `1.0` are the same, and so is a time in whatever unit or zone it is stored."""
    kind = _common_type(reference.type, current.type)
    sides = [_texts(column, kind) for column in (reference, current)]
    chunks = [chunk for side in sides for chunk in side.chunks]
    encoded = pa.chunked_array(chunks, type=pa.large_string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.intp)
    return Categories(tuple(encoded.dictionary.to_pylist()), codes[: len(sides[0])], codes[len(sides[0]) :])


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    type_, scale = column.type, 1.0
    if pa.types.is_date(type_):
        column = column.cast(pa.timestamp("s")).cast(pa.int64())
    elif pa.types.is_temporal(type_):
        column = column.cast(pa.int64() if type_.bit_width == 64 else pa.int32())
        scale = 1.0 / _PER_SECOND[type_.unit]
    values = column.drop_null().cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(values[~np.isnan(values)] * scale, dtype=np.float64)


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """The type in which equal values of both are written alike; None where they already are."""
    whole = pa.types.is_integer(first) and pa.types.is_integer(second)
    if pa.types.is_floating(first) or (family(first) == "number" and not first.equals(second) and not whole):
        is_span = pa.types.is_duration(first) and pa.types.is_duration(second)
        return pa.duration("us") if is_span else pa.float64()
    if family(first) != "time" or first.equals(second):
        return None
    if pa.types.is_time(first):
        return pa.time64("us")
    return pa.timestamp("us", "UTC" if getattr(first, "tz", None) else None)


def _texts(column: pa.ChunkedArray, kind: pa.DataType | None) -> pa.ChunkedArray:
    if kind is not None:
        column = column.cast(kind, safe=False)
    if kind == pa.float64():
        column = column.filter(pc.invert(pc.is_nan(column)))
        column = pc.add(column, 0.0)  # -0.0 equals 0.0.
    return column.drop_null().cast(pa.large_string())
