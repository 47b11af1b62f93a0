"""Keys of rows in one form, and numbers drawn from them: rows of one key are in a sample together, in whatever table they are."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.errors import bad_input
from modelship.gate.rows.prediction_tables import is_moment, is_number, is_text, kind_name

Form = Literal["number", "text", "time"]
"""How keys are held: 64-bit integers, text, or microseconds since 1970."""

_TYPES = {"number": pa.int64(), "text": pa.string(), "time": pa.timestamp("us")}


def common_form(name: str, kinds: dict[str, Any]) -> Form:
    """The form in which the keys of all tables (by name: their type) are equal where they mean the same. Raises BadInput."""
    forms: set[Form] = set()
    for table, kind in kinds.items():
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        if is_text(value) or pa.types.is_null(value):
            forms.add("text")
        elif is_number(value) or pa.types.is_boolean(value):
            forms.add("number")
        elif is_moment(value):
            forms.add("time")
        else:
            raise bad_input(f"`{name}` in {table} holds {kind_name(value)}, which cannot name rows.", "Name rows by integers or text.")
    if "time" in forms and len(forms) > 1:
        told = " and ".join(f"{kind_name(kind)} in {table}" for table, kind in kinds.items())
        raise bad_input(f"the keys in `{name}` are {told}.", "Write keys of one type.")
    # As numbers, `007` and `7` would be one key.
    return "text" if "text" in forms else next(iter(forms))


def in_form(keys: Any, form: Form, where: str) -> Any:
    """A pyarrow array of keys in that form. Raises BadInput for numbers that are not whole."""
    plain = keys.dictionary_decode() if pa.types.is_dictionary(keys.type) else keys
    try:
        if form == "text" and pa.types.is_floating(plain.type):
            plain = plain.cast(pa.int64())
        if form == "time" and getattr(plain.type, "tz", None):
            plain = plain.cast(pa.timestamp("us", plain.type.tz)).cast(pa.int64()).cast(pa.timestamp("us"))
        return plain.cast(_TYPES[form])
    except pa.ArrowInvalid:
        raise bad_input(f"keys in {where} are not whole numbers.", "Name rows by integers or text.") from None


def draw(keys: Any) -> NDArray[np.uint64]:
    """(n,) a number for each key of one form, the same for equal keys; missing keys get one, too.

    The smallest of them are a sample of the keys that does not depend on the order or the number of tables (bottom-k sketches: Cohen
    and Kaplan 2007, PODC). Integers are mixed by the finalizer of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA); text is a
    polynomial in its bytes modulo 2^64 first.
    """
    if not is_text(keys.type):
        numbers = pc.fill_null(keys.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return _mixed(numbers.view(np.uint64))
    text = pc.fill_null(keys, "").cast(pa.string())
    _, offsets_buffer, data_buffer = text.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    size = int(offsets[-1] - offsets[0])
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]] if size else np.empty(0, np.uint8)
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, 0x9E3779B97F4A7C15, np.uint64))
    terms = (data.astype(np.uint64) + np.uint64(1)) * powers[np.arange(size) - np.repeat(starts, lengths)]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])  # Modulo 2^64, as all of this.
    return _mixed(sums[starts + lengths] - sums[starts])


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
