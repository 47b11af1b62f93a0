"""A table as every check reads it, whatever it is stored in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from modelship.core.errors import BadInput, ModelshipError, bad_input

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from modelship.data.tables.profile import Profile

BATCH_ROWS = 65_536
"""The most rows that a batch has: enough for vectorised work, few enough for memory."""

UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name where it writes one."""


@dataclass(frozen=True)
class MixedColumn:
    """A column with values of several kinds, which therefore is text."""

    kind: str
    """What most values are: `number`, `time`, `truth value` or `text`."""
    values: int
    """How many values are of that kind."""
    others: int
    """How many are of another."""
    sample: Mapping[int, str]
    """Some of the others, by row (counted from 0)."""


class Storage(Protocol):
    """How one kind of table is stored. `batches` is asked only for unique names; any method may raise what its library does."""

    kind: str
    """What messages call it."""

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""

    def schema(self) -> pa.Schema:
        """Columns and types, in the order of `columns`."""

    def rows(self) -> int:
        """How many rows there are."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The given columns in that order, with the types of `schema`; at most `BATCH_ROWS` rows each."""

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns with values of several kinds."""

    @property
    def is_columnar(self) -> bool:
        """Whether one column is cheap to read by itself."""


class Without:
    """A storage without some of its columns."""

    def __init__(self, storage: Storage, hidden: Collection[str]) -> None:
        self._storage, self._hidden = storage, frozenset(hidden)
        self.kind = storage.kind
        self.is_columnar = storage.is_columnar

    def columns(self) -> list[str]:
        """Those that are left."""
        return [name for name in self._storage.columns() if name not in self._hidden]

    def schema(self) -> pa.Schema:
        """Of the columns that are left."""
        import pyarrow as pa

        schema = self._storage.schema()
        return pa.schema([field for field in schema if field.name not in self._hidden])

    def rows(self) -> int:
        """As many as before."""
        return self._storage.rows()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The given columns, none of them hidden."""
        return self._storage.batches(columns)

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Of the columns that are left."""
        return {name: found for name, found in self._storage.mixed().items() if name not in self._hidden}


@dataclass(frozen=True)
class TableReader:
    """A table that can be read. Every method raises BadInput where it cannot. `name` is what messages call it."""

    name: str
    storage: Storage
    is_file: bool = True
    """Whether `name` is a path."""

    @property
    def kind(self) -> str:
        """What it is stored in: `Parquet`, `CSV` and so on."""
        return self.storage.kind

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""
        with self._explained():
            return self.storage.columns()

    def schema(self) -> pa.Schema:
        """Columns and types, in the order of `columns`. A column without a value may have the type `null`."""
        with self._explained():
            return _without_views(self.storage.schema())

    def rows(self) -> int:
        """How many rows there are."""
        with self._explained():
            return self.storage.rows()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The given columns, or all, in the table's order of rows; memory is bounded. None without columns."""
        import pyarrow as pa

        names = self._checked(columns)
        if not names:
            return
        with self._explained():
            kinds = {field.name: field.type for field in _without_views(self.storage.schema())}
            for batch in self.storage.batches(names):
                schema = pa.schema([pa.field(field.name, kinds[field.name]) for field in batch.schema])
                yield batch if batch.schema.equals(schema) else batch.cast(schema)

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The given columns, or all, as a whole; rows numbered from 0, and a named pandas index is a column like any other."""
        import pyarrow as pa

        names = self._checked(columns)
        with self._explained():
            schema = self.schema()
            table = pa.Table.from_batches(self.batches(names), pa.schema([schema.field(name) for name in names], schema.metadata))
            frame = _with_types(table).unify_dictionaries().to_pandas(date_as_object=False)
        named = any(name is not None for name in frame.index.names)
        return frame.reset_index(drop=not named)[names]

    def pieces(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The given columns with all rows, in as many tables as keep memory low without reading everything for each."""
        for group in [[name] for name in columns] if self.storage.is_columnar else [columns]:
            yield self.read(group)

    def profile(self, columns: Sequence[str] | None = None, *, sample: int | None, seed: int, max_values: int) -> Profile:
        """As the function `profile` does."""
        from modelship.data.tables.profile import profile

        with self._explained():  # A time may be one that Python does not know.
            return profile(self, columns, sample=sample, seed=seed, max_values=max_values)

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns with values of several kinds: the other kinds are few in text that is read, and any in values that have types."""
        self._checked(None)
        with self._explained():
            return self.storage.mixed()

    def _checked(self, columns: Sequence[str] | None) -> list[str]:
        header = self.columns()
        names = header if columns is None else list(columns)
        twice = [name for name, count in Counter(header).items() if count > 1 and name in names]
        if twice:
            raise self._problem(f"has the column `{twice[0][:80]}` more than once.", "Rename one of them.")
        absent = [name for name in names if name not in header]
        if absent:
            raise self._problem(f"has no column `{absent[0][:80]}`.")
        return names

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # Readers raise errors of many kinds for a broken file. Whatever it is, the file was not read.
        try:
            yield
        except ModelshipError:
            raise
        except Exception as error:
            if is_other_encoding(error):
                raise self._problem("is no UTF-8.", SAVE_AS_UTF8) from error
            reason = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")[:300] or type(error).__name__
            raise self._problem(f"cannot be read as {self.kind}: {reason}.", "Was it written completely?") from error

    def _problem(self, message: str, remedy: str = "") -> BadInput:
        return bad_input(message, remedy, path=self.name) if self.is_file else bad_input(f"{self.name} {message}", remedy)


SAVE_AS_UTF8 = "Save it in that encoding."


def is_other_encoding(error: Exception) -> bool:
    """Whether bytes are no text in UTF-8: so Python says, or Arrow, whose error has no type of its own."""
    return isinstance(error, UnicodeDecodeError) or "invalid UTF8 data" in str(error)


def type_name(kind: pa.DataType) -> str:
    """What a type is called whatever it is stored in: text is text in a dictionary, too, and the unit of a time is no type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if is_text(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return f"timestamp ({kind.tz})" if kind.tz else "timestamp"
    if pa.types.is_date(kind):
        return "date"
    names = {pa.float64(): "float64", pa.float32(): "float32", pa.float16(): "float16"}
    return names.get(kind, str(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text, stored as they are."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def could_be(value: object, kind: pa.DataType) -> bool:
    """Whether a column of this type could hold a value that a YAML or JSON file names; of types that these lack anything could be."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return could_be(value, kind.value_type)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if is_text(kind):
        return isinstance(value, str)
    if is_number:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, bool) if pa.types.is_boolean(kind) else True


def _without_views(schema: pa.Schema) -> pa.Schema:
    """Text as it is stored everywhere else: Arrow cannot compute with views."""
    import pyarrow as pa

    fields = [field.with_type(pa.string()) if pa.types.is_string_view(field.type) else field for field in schema]
    return pa.schema(fields, schema.metadata)


def _with_types(table: pa.Table) -> pa.Table:
    """Columns without a value and without a type as pandas itself stores nothing but missing values."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            table = table.set_column(place, field.with_type(pa.float64()), table.column(place).cast(pa.float64()))
    return table
