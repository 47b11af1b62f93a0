"""Rows of Python values, kept on disk by columns: what comes once, row by row, can then be read often, and by columns.

A column's type is known when the last row has come. Until then each chunk of rows is stored with the types of its own values.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelship.data.tables.reader import BATCH_ROWS, MixedColumn
from modelship.data.tables.text import MAX_SAMPLE, TextColumn, parse, time_types

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_ROWS = 16_384
"""How many rows of Python values are in memory at once."""

_LONGEST_SAMPLE = 100
_SUMMARY = "summary.json"
_SCHEMA = "schema.arrow"

_ROWS = "rows"
"""A stored column without values, which says how many rows a chunk without columns has."""

NUMBER, TRUTH_VALUE, TIME, ZONED_TIME, TEXT, BYTES = "number", "truth value", "time", "time with a zone", "text", "bytes"


class _Summary(msgspec.Struct, frozen=True):
    """What is written beside the chunks."""

    rows: int
    segments: int
    mixed: dict[str, MixedColumn]


class Spool:
    """Writes chunks into a folder. With `times_in_text`, text in which every value is an ISO 8601 time becomes times."""

    def __init__(self, folder: Path, *, times_in_text: bool) -> None:
        self._folder = folder
        self._columns: dict[str, _Column] = {}
        self._times_in_text = times_in_text
        self._rows = 0
        self._segments = 0
        self._writer: Any = None
        self._stored: pa.Schema | None = None

    def add(self, chunk: Mapping[str, Sequence[Any]], rows: int) -> None:
        """The next rows by columns, all of length `rows`. A column may be missing, and another may be new."""
        import pyarrow as pa

        for name in chunk:
            if name not in self._columns:
                self._columns[name] = _Column(self._rows, times_in_text=self._times_in_text)
        arrays = {_ROWS: pa.nulls(rows)}
        for place, (name, column) in enumerate(self._columns.items()):
            arrays[str(place)] = column.add(chunk.get(name, [None] * rows))
        batch = pa.RecordBatch.from_pydict(arrays)
        if self._writer is None or not batch.schema.equals(self._stored):
            self._close()
            self._stored = batch.schema
            path = self._folder / f"{self._segments}.arrow"
            self._writer = pa.ipc.new_file(str(path), batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
            self._segments += 1
        self._writer.write_batch(batch)
        self._rows += rows

    def finish(self) -> None:
        """Write what there is to know of the whole."""
        import pyarrow as pa

        self._close()
        schema = pa.schema([pa.field(name, column.type) for name, column in self._columns.items()])
        mixed = {name: found for name, column in self._columns.items() if (found := column.mixed)}
        (self._folder / _SCHEMA).write_bytes(schema.serialize().to_pybytes())
        (self._folder / _SUMMARY).write_bytes(msgspec.json.encode(_Summary(self._rows, self._segments, mixed)))

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class SpooledTable:
    """A table that a `Spool` has written into a folder."""

    is_columnar = True

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self.kind = kind

    def columns(self) -> list[str]:
        """The columns, in the order in which they came."""
        return list(self._schema.names)

    def schema(self) -> pa.Schema:
        """Types that every value of a column fits."""
        return self._schema

    def rows(self) -> int:
        """How many rows came."""
        return self._summary.rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The chunks with the types of the whole."""
        import pyarrow as pa

        schema = pa.schema([self._schema.field(name) for name in columns])
        places = [str(self._schema.get_field_index(name)) for name in columns]
        for segment in range(self._summary.segments):
            path = str(self._folder / f"{segment}.arrow")
            with pa.ipc.open_file(path) as reader:
                stored = reader.schema.names
            fields = [stored.index(place) for place in (_ROWS, *places) if place in stored]
            with pa.ipc.open_file(path, options=pa.ipc.IpcReadOptions(included_fields=sorted(fields))) as reader:
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    arrays = [
                        _as(batch.column(place), field.type) if place in stored else pa.nulls(batch.num_rows, field.type)
                        for place, field in zip(places, schema, strict=True)
                    ]
                    typed = pa.RecordBatch.from_arrays(arrays, schema=schema)
                    yield from (typed.slice(start, BATCH_ROWS) for start in range(0, typed.num_rows, BATCH_ROWS))

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns with values of several kinds, and text in which most values are numbers or times."""
        return self._summary.mixed

    @cached_property
    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.ipc.read_schema(pa.py_buffer((self._folder / _SCHEMA).read_bytes()))

    @cached_property
    def _summary(self) -> _Summary:
        return msgspec.json.decode((self._folder / _SUMMARY).read_bytes(), type=_Summary)


class Spooled(ABC):
    """A table of which everything is kept on disk at the first question, because it can be read only once or has no columns."""

    is_columnar = True

    def columns(self) -> list[str]:
        """The names in order. Raises BadInput for what cannot be read."""
        return self._spooled.columns()

    def schema(self) -> pa.Schema:
        """Types that every value of a column fits."""
        return self._spooled.schema()

    def rows(self) -> int:
        """The number of rows."""
        return self._spooled.rows()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows in their order, the same every time."""
        return self._spooled.batches(columns)

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns in which values have several types, and text in which most values are numbers."""
        return self._spooled.mixed()

    @cached_property
    def _spooled(self) -> SpooledTable:
        return self._spool()

    @abstractmethod
    def _spool(self) -> SpooledTable:
        """Read everything. Called once."""


class _Column:
    """What the values of one column are, over all chunks."""

    def __init__(self, rows: int, *, times_in_text: bool) -> None:
        """`rows` came before the column did."""
        import pyarrow as pa

        self._rows = rows
        self._counts: Counter[str] = Counter()
        self._samples: dict[str, dict[int, str]] = {}
        self._text = TextColumn(time_types() if times_in_text else [])
        self._text.skip(rows)
        self._has_fractions = self._has_large = False
        self._last = pa.null()

    def add(self, values: Sequence[Any]) -> pa.Array:
        """The next values as they are stored."""
        import pyarrow as pa

        families: dict[str, list[int]] = {}
        kinds = {kind: _family(kind) for kind in set(map(type, values)) if kind is not type(None)}
        if len(set(kinds.values())) > 1 or any(issubclass(kind, datetime) for kind in kinds):
            for place, value in enumerate(values):
                if value is not None:
                    families.setdefault(_family_of(value, kinds), []).append(place)
        elif kinds:
            families[next(iter(kinds.values()))] = [place for place, value in enumerate(values) if value is not None]
        if len(families) == 1:
            [family] = families
            array = self._array(values, family)
        elif families:
            array = pa.array(self._as_text(values, families), pa.string())
        else:
            array = pa.nulls(len(values), self._last)
        for family, places in families.items():
            self._counts[family] += len(places)
            kept = self._samples.setdefault(family, {})
            for place in places[: max(MAX_SAMPLE - len(kept), 0)]:
                kept[self._rows + place] = _shown(values[place])
        self._text.add(array if list(families) == [TEXT] else pa.nulls(len(values), pa.string()))
        self._rows += len(values)
        self._last = array.type
        return array

    @property
    def type(self) -> pa.DataType:
        """The type that all values fit."""
        import pyarrow as pa

        if len(self._counts) != 1:
            return pa.string() if self._counts else pa.null()
        [family] = self._counts
        if family == NUMBER:
            return pa.string() if self._has_large else pa.float64() if self._has_fractions else pa.int64()
        return self._text.type if family == TEXT else _STORED[family]()

    @property
    def mixed(self) -> MixedColumn | None:
        """What the column is a mixture of; None where all values are alike."""
        if len(self._counts) < 2:
            return self._text.mixed
        kind, count = self._counts.most_common(1)[0]
        others = {row: text for family, rows in self._samples.items() if family != kind for row, text in rows.items()}
        return MixedColumn(kind, count, self._counts.total() - count, dict(sorted(others.items())[:MAX_SAMPLE]))

    def _array(self, values: Sequence[Any], family: str) -> pa.Array:
        """Values of one family, and missing ones."""
        import pyarrow as pa

        if family == NUMBER:
            return self._numbers(values)
        if family == TEXT:
            return pa.array([None if value is None else _text(value) for value in values], pa.string())
        if family == TIME:
            values = [datetime.combine(value, time.min) if type(value) is date else value for value in values]
        if family == BYTES:
            values = [None if value is None else bytes(value) for value in values]
        return pa.array(values, _STORED[family]())

    def _numbers(self, values: Sequence[Any]) -> pa.Array:
        """Whole numbers as such, also where a database calls them decimals; those beyond 64 bits are names, and stay text."""
        import pyarrow as pa

        plain = [_plain_number(value) if isinstance(value, Decimal) else value for value in values]
        if any(isinstance(value, float) for value in plain):
            self._has_fractions = True
            return pa.array([None if value is None else float(value) for value in plain], pa.float64())
        try:
            return pa.array(plain, pa.int64())
        except OverflowError:
            self._has_large = True
            return pa.array([None if value is None else str(value) for value in plain], pa.string())

    def _as_text(self, values: Sequence[Any], families: Mapping[str, Sequence[int]]) -> list[str | None]:
        """Values of several families, each as it would be written if its family were alone."""
        texts: list[str | None] = [None] * len(values)
        for family, places in families.items():
            array = self._array([values[place] for place in places], family)
            for place, text in zip(places, _written(array).to_pylist(), strict=True):
                texts[place] = text
        return texts


def _timestamp() -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us")


def _zoned_timestamp() -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", "UTC")


def _boolean() -> pa.DataType:
    import pyarrow as pa

    return pa.bool_()


def _binary() -> pa.DataType:
    import pyarrow as pa

    return pa.binary()


_STORED = {TRUTH_VALUE: _boolean, TIME: _timestamp, ZONED_TIME: _zoned_timestamp, BYTES: _binary}


def _family(kind: type) -> str:
    if kind is bool:
        return TRUTH_VALUE
    if issubclass(kind, int | float | Decimal):
        return NUMBER
    if issubclass(kind, date):
        return TIME
    return BYTES if issubclass(kind, bytes | bytearray | memoryview) else TEXT


def _family_of(value: Any, kinds: Mapping[type, str]) -> str:
    return ZONED_TIME if isinstance(value, datetime) and value.tzinfo is not None else kinds[type(value)]


def _plain_number(value: Decimal) -> int | float:
    exponent = value.as_tuple().exponent
    return int(value) if isinstance(exponent, int) and exponent >= 0 else float(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else _text(value)[:_LONGEST_SAMPLE]


def _written(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_binary(values.type):
        return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """A chunk's values with the type of the whole column."""
    import pyarrow as pa

    if values.type.equals(kind):
        return values
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), kind)
    if pa.types.is_string(kind):
        return _written(values)
    return parse(values, kind) if pa.types.is_string(values.type) else values.cast(kind, safe=False)
