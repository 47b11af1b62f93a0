"""Rows, values and keys as numbers of 64 bits, by which tables are compared that would not fit into memory side by side.

Among n and m values a false match has a chance of nm / 2^64: less than one in a million for ten million and one million rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from modelship.data.tables.reader import TableReader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

_MISSING = 0x9E3779B97F4A7C15
"""The hash of what is missing; that of the number 0 is 0."""

_EXACT = 2.0**53
"""From here on floats leave out whole numbers."""

_WIDEST = 2.0**63


def row_hashes(table: TableReader, columns: list[str]) -> Hashes:
    """(n,) One number for each row, of all columns in this order. Raises BadInput for a table that cannot be read."""
    mixed = no_hashes(table.rows())
    for piece in table.pieces(columns):
        for name in columns:
            if name in piece:
                mixed = mix(mixed, value_hashes(piece[name]))
    return mixed


def no_hashes(rows: int) -> Hashes:
    """(n,) The hashes of rows of which no column is known yet."""
    import numpy as np

    return np.zeros(rows, dtype=np.uint64)


def mix(rows: Hashes, column: Hashes) -> Hashes:
    """(n,) The hashes of rows with one more column; the order of columns counts.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators, OOPSLA, fig. 17).
    """
    import numpy as np

    values = rows * np.uint64(31) + column
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def value_hashes(column: pd.Series[Any]) -> Hashes:
    """(n,) Hashes of values as they read, not as they are stored: whole numbers equal floats, and all that is missing is one value."""
    import numpy as np
    import pandas as pd

    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        column = column.astype("boolean")  # With a missing value pandas keeps objects.
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    hashes: Hashes
    if column.dtype.kind in "biufM":
        is_time = column.dtype.kind == "M"
        hashes = pd.util.hash_array(column.to_numpy(dtype="datetime64[us]").view(np.int64)) if is_time else _number_hashes(column)
        if column.hasnans:
            hashes[column.isna().to_numpy(dtype=bool)] = _MISSING
        return hashes
    try:
        codes, values = pd.factorize(column)
    except TypeError:  # Lists
        codes, values = pd.factorize(column.map(_listed, na_action="ignore"))
    are_decimals = len(values) and all(isinstance(value, Decimal) for value in values)
    different = _decimal_hashes(values) if are_decimals else _text_hashes([str(value) for value in values])
    # What is missing has the code -1.
    hashes = np.append(different, np.uint64(_MISSING))[codes]
    return hashes


def _text_hashes(texts: Sequence[str]) -> Hashes:
    import numpy as np
    import pandas as pd

    hashes: Hashes = pd.util.hash_array(np.array(texts, dtype=object), categorize=False)
    return hashes


def _number_hashes(column: pd.Series[Any]) -> Hashes:
    """(n,) Hashes of numbers by their value as floats, and of whole ones beyond those that floats tell apart by the value itself."""
    import numpy as np
    import pandas as pd

    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 equals 0.0.
    hashes: Hashes = pd.util.hash_array(numbers)
    large = (np.abs(numbers) >= _EXACT) & (np.abs(numbers) < _WIDEST)
    if large.any():
        values = column.to_numpy()[large] if column.dtype.kind in "iu" else numbers[large]
        hashes[large] = pd.util.hash_array(values.astype(np.int64)) ^ np.uint64(_MISSING)
    return hashes


def _decimal_hashes(values: Sequence[Decimal]) -> Hashes:
    """(n,) Hashes of the floats that read the same, whatever a decimal's scale is; of the digits where no float does."""
    import numpy as np
    import pandas as pd

    numbers = [float(value) for value in values]
    reads_the_same = [Decimal(repr(number)) == value for number, value in zip(numbers, values, strict=True)]
    written = [f"{value:f}" for value in values]
    digits = _text_hashes([text.rstrip("0").rstrip(".") if "." in text else text for text in written])
    hashes: Hashes = np.where(reads_the_same, _number_hashes(pd.Series(numbers)), digits)
    return hashes


def key_hashes(first: pd.Series[Any], second: pd.Series[Any]) -> tuple[Hashes, Hashes]:
    """(n,), (m,) Hashes of keys of two tables, of which none is missing; large whole numbers are told apart, which floats are not."""
    first, second = map(whole, alike(first, second))
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":
        return _whole_hashes(first), _whole_hashes(second)
    return value_hashes(first), value_hashes(second)


def alike(first: pd.Series[Any], second: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Keys so that they can be compared. A number and the text that reads the same are the same key: formats differ in that."""
    if (first.dtype.kind in "iuf") == (second.dtype.kind in "iuf"):
        return first, second
    return _as_text(first), _as_text(second)


def _as_text(keys: pd.Series[Any]) -> pd.Series[Any]:
    keys = whole(keys)
    return keys.astype(object).where(keys.isna(), keys.astype(str))


def whole(keys: pd.Series[Any]) -> pd.Series[Any]:
    """Keys as whole numbers, if they are some."""
    # One missing key turns a column of whole numbers into floats.
    is_whole = keys.dtype.kind == "f" and ((keys.dropna() % 1 == 0) & (keys.dropna().abs() < _WIDEST)).all()
    return keys.astype("Int64") if is_whole else keys


def _whole_hashes(keys: pd.Series[Any]) -> Hashes:
    import numpy as np
    import pandas as pd

    if keys.dtype.kind == "i":
        signed: Hashes = pd.util.hash_array(keys.to_numpy(dtype=np.int64))
        return signed
    plain = keys.to_numpy(dtype=np.uint64)
    unsigned: Hashes = pd.util.hash_array(plain)
    unsigned[plain >= np.uint64(2**63)] ^= np.uint64(_MISSING)  # Their bits are those of negative numbers.
    return unsigned


def _listed(value: Any) -> str:
    # An array's own text leaves out what is in the middle.
    return str(value.tolist() if hasattr(value, "tolist") else value)
