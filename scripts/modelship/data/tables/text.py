"""Types for text: the narrowest type that every value of a column fits, found block by block and never guessed from the first ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelship.data.tables.reader import MixedColumn

if TYPE_CHECKING:
    import pyarrow as pa

MAX_SAMPLE = 5
_LONGEST_SAMPLE = 100

NULLS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""How a missing value is written; the list of `pandas.read_csv`."""

_TRUE = ("True", "TRUE", "true")
_FALSE = ("False", "FALSE", "false")

NUMBER = r"^\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)\s*$"
_WHOLE = r"^\s*[+-]?[0-9]+\s*$"
TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}(?::?[0-9]{2}){0,2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$"


def all_types() -> list[pa.DataType]:
    """The types that text may be read as, narrow ones first; `time_types` are the last of them."""
    import pyarrow as pa

    return [pa.bool_(), pa.int64(), pa.uint64(), pa.float64(), *time_types()]


def time_types() -> list[pa.DataType]:
    """Times with microseconds, without and with a time zone. A day is its midnight."""
    import pyarrow as pa

    return [pa.timestamp("us"), pa.timestamp("us", "UTC")]


def parse(values: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    """The values as that type; None unless every one of them fits."""
    import pyarrow as pa

    if is_plain_text(kind):
        return values
    if pa.types.is_null(kind):
        return pa.nulls(len(values)) if values.null_count == len(values) else None
    if pa.types.is_boolean(kind):
        return _truth_values(values)
    try:
        parsed = values.cast(kind)
    except pa.ArrowInvalid:
        return None if pa.types.is_timestamp(kind) else _cleaned_numbers(values, kind)
    return None if pa.types.is_integer(kind) and _may_be_hexadecimal(values) else parsed


def is_plain_text(kind: pa.DataType) -> bool:
    """Whether the type is the one that text has when nothing narrower fits."""
    import pyarrow as pa

    return bool(kind.equals(pa.string()))


class TextColumn:
    """What the values of one column of text are, over all blocks."""

    def __init__(self, candidates: Sequence[pa.DataType]) -> None:
        self._candidates = list(candidates)
        self._only_whole = True
        self._rows = 0
        self._values = 0
        self._counts: Counter[str] = Counter()
        self._samples: dict[str, dict[int, str]] = {}

    def add(self, values: pa.StringArray) -> None:
        """Take the next block into account."""
        valid = len(values) - values.null_count
        if valid:
            fitting = self._fitting(values)
            self._count(values, valid, fitting)
            self._candidates = fitting
        self._rows += len(values)
        self._values += valid

    def skip(self, rows: int) -> None:
        """Rows without a value."""
        self._rows += rows

    @property
    def type(self) -> pa.DataType:
        """The narrowest type that all values fit; `null` when there is no value."""
        import pyarrow as pa

        if not self._values:
            return pa.null()
        kind = next(iter(self._candidates), pa.string())
        # Whole numbers that 64 bits do not hold are names: as floats, two of them may be the same.
        return pa.string() if pa.types.is_floating(kind) and self._only_whole and not self._fits_int else kind

    @property
    def mixed(self) -> MixedColumn | None:
        """What it is a mixture of: most values are numbers or times, and some are not; None where all are alike."""
        if not is_plain_text(self.type):
            return None
        kind, count = max(((kind, self._counts[kind]) for kind in ("number", "time")), key=lambda item: item[1])
        others = self._values - count
        if not others or others >= count:
            return None
        sample = {row: text for name, rows in self._samples.items() if name != kind for row, text in rows.items()}
        return MixedColumn(kind, count, others, dict(sorted(sample.items())[:MAX_SAMPLE]))

    @property
    def _fits_int(self) -> bool:
        import pyarrow as pa

        return any(pa.types.is_integer(kind) for kind in self._candidates)

    def _fitting(self, values: pa.StringArray) -> list[pa.DataType]:
        import pyarrow as pa
        import pyarrow.compute as pc

        fitting: list[pa.DataType] = []
        whole = None
        for kind in self._candidates:
            # What fits the narrower of two types fits the wider one.
            if whole is not None and (pa.types.is_floating(kind) or pa.types.is_unsigned_integer(kind)):
                if pa.types.is_floating(kind) or pc.min(whole).as_py() >= 0:
                    fitting.append(kind)
            elif (parsed := parse(values, kind)) is not None:
                fitting.append(kind)
                whole = parsed if pa.types.is_integer(kind) else whole
                if pa.types.is_floating(kind) and self._only_whole:
                    self._only_whole = bool(pc.all(pc.match_substring_regex(values, _WHOLE)).as_py())
        return fitting

    def _count(self, values: pa.StringArray, valid: int, fitting: Sequence[pa.DataType]) -> None:
        """Count what the values of a block are; looked at one by one only where they are not all alike."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if fitting and not pa.types.is_boolean(fitting[0]):
            kind = "time" if pa.types.is_timestamp(fitting[0]) else "number"
            self._counts[kind] += valid
            self._keep(kind, values, pc.is_valid(values))
            return
        numbers = pc.fill_null(pc.match_substring_regex(values, NUMBER), False)
        times = pc.fill_null(pc.match_substring_regex(values, TIME), False)
        others = pc.and_(pc.is_valid(values), pc.invert(pc.or_(numbers, times)))
        for kind, mask in (("number", numbers), ("time", times), ("text", others)):
            self._counts[kind] += pc.sum(mask).as_py() or 0
            self._keep(kind, values, mask)

    def _keep(self, kind: str, values: pa.StringArray, mask: pa.BooleanArray) -> None:
        import pyarrow.compute as pc

        kept = self._samples.setdefault(kind, {})
        if len(kept) < MAX_SAMPLE:
            for place in pc.indices_nonzero(mask)[: MAX_SAMPLE - len(kept)].to_pylist():
                kept[self._rows + place] = values[place].as_py()[:_LONGEST_SAMPLE]


def _truth_values(values: pa.StringArray) -> pa.BooleanArray | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(values, value_set=pa.array([*_TRUE, *_FALSE]))
    return pc.less(places, len(_TRUE)) if places.null_count == values.null_count else None


def _may_be_hexadecimal(values: pa.StringArray) -> bool:
    """Whether one of whole numbers is written as `0x1f`, which Arrow reads as a number and nobody else does."""
    import pyarrow.compute as pc

    # One look at all the bytes settles nearly every block.
    data = values.buffers()[2]
    return data is not None and b"x" in data.to_pybytes().lower() and pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py()


def _cleaned_numbers(values: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    """Numbers with blanks around them or a plus before them, which pandas reads and Arrow does not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(values, NUMBER)).as_py():
        return None
    try:
        return pc.replace_substring_regex(pc.utf8_trim_whitespace(values), r"^\+", "").cast(kind)
    except pa.ArrowInvalid:
        return None
