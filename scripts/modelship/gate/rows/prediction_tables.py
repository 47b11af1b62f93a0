"""Read columns of predictions files, within bounds: what a pull request wrote must not exhaust the machine that judges it.

Whatever the format, values come as plain pyarrow arrays: text as `string`, categories decoded, empty text missing.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from modelship.core.errors import BadInput, bad_input
from modelship.core.prediction_files import MAX_BYTES, SUFFIXES, suffix_of

MAX_CSV_BYTES = 1024**3
"""Of a CSV file when unpacked."""
MAX_MEMORY_BYTES = 8 * 1024**3
MAX_ROWS = 50_000_000
MAX_COLUMNS = 10_000
MAX_TEXT_BYTES = 2**31 - 1
"""Of one text column: pyarrow's `string` counts bytes in 32 bits."""
MAX_HEADER_BYTES = 1024**2

NAME_LIMIT = 100


_FEWER = "Judge on fewer rows, or write fewer columns."


class _RefusedError(Exception):
    """What the file holds is not read. The message says what, `remedy` what to do."""

    def __init__(self, message: str, remedy: str = _FEWER) -> None:
        super().__init__(message)
        self.remedy = remedy


class _Format(Protocol):
    """How one kind of file is read. The methods may raise whatever their library raises."""

    name: str

    def columns(self, path: Path) -> list[tuple[str, bool]]:
        """The column names in order, duplicates and all, and whether each holds plain values."""

    def read(self, path: Path, columns: Sequence[str], key: str) -> Any:
        """The given columns as a pyarrow.Table. Values of `key` must not lose anything, as leading zeros."""


class _Parquet:
    name = "Parquet"

    def columns(self, path: Path) -> list[tuple[str, bool]]:
        """The columns; an unnamed pandas index is none."""
        fields = pq.read_schema(path)
        return [(field.name, is_plain(field.type)) for field in fields if not re.fullmatch(r"__index_level_\d+__", field.name)]

    def read(self, path: Path, columns: Sequence[str], key: str) -> Any:
        """The columns. Text stays encoded until its size is known: a small page can stand for the same long text in every row."""
        with pq.ParquetFile(path) as file:
            footer, schema = file.metadata, file.schema_arrow
        for name in columns:
            if not is_plain(schema.field(name).type):
                kind = plain(str(schema.field(name).type))
                raise _RefusedError(f"`{plain(name)}` holds {kind}, which is no plain value.", "Use numbers, text, dates or booleans.")
        _refuse_large_footer(footer, len(columns))
        encoded = [name for name in columns if is_text(schema.field(name).type)]
        held = 0
        with pq.ParquetFile(path, metadata=footer, read_dictionary=encoded) as file:
            parts = [file.schema_arrow.empty_table().select(columns)]
            for group in range(footer.num_row_groups):
                parts.append(file.read_row_group(group, columns=list(columns)).select(columns))
                held += parts[-1].nbytes
                if held > MAX_MEMORY_BYTES:
                    raise _RefusedError(_memory_needed())
        table = pa.concat_tables(parts).unify_dictionaries()
        if len(table) != footer.num_rows:
            raise ValueError(f"it has {len(table):,} rows where its footer says {footer.num_rows:,}")
        table.validate(full=True)
        return table


class _Csv:
    name = "CSV"

    def columns(self, path: Path) -> list[tuple[str, bool]]:
        """The fields of the header, each of which is plain."""
        with _open_csv(path) as file:
            return [(name, True) for name in next(csv.reader(_header_lines(file)), [])]

    def read(self, path: Path, columns: Sequence[str], key: str) -> Any:
        """The columns with types by inference; the key is read as text, and becomes a number or a date where that loses nothing."""
        with _open_csv(path) as file:
            # Nothing of Python's goes to pyarrow's threads: they may outlive the reading, and abort a process that ends meanwhile.
            content = pa.BufferOutputStream()
            shutil.copyfileobj(file, content)
            table = pa_csv.read_csv(
                pa.BufferReader(content.getvalue()),
                read_options=pa_csv.ReadOptions(use_threads=False),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(include_columns=list(columns), column_types={key: pa.string()}),
            )
        for field in table.schema:
            if pa.types.is_binary(field.type):
                raise _RefusedError(f"`{plain(field.name)}` is not UTF-8 text.", "Write the file in UTF-8.")
        index = table.schema.get_field_index(key)
        return table.set_column(index, key, [_typed_where_lossless(_without_empty(_combined(table.column(index))))])


_FORMATS: dict[str, _Format] = {".parquet": _Parquet(), ".pq": _Parquet(), ".csv": _Csv(), ".csv.gz": _Csv()}


@dataclass(frozen=True)
class PredictionsFile:
    """A predictions file on disk. `name` is what messages call it, as `the candidate's predictions.parquet`."""

    path: Path
    name: str

    def columns(self) -> dict[str, bool]:
        """The columns in order, and whether each holds plain values (numbers, text, dates, booleans) rather than lists or bytes.

        Raises BadInput for a file that cannot be read, is too large, or names a column twice.
        """
        format_ = self._checked_format()
        with self._explained(format_):
            columns = format_.columns(self.path)
        if len(columns) > MAX_COLUMNS:
            raise bad_input(f"has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read.", path=self.name)
        repeated = [name for name, times in Counter(name for name, _ in columns).items() if times > 1]
        if repeated:
            raise bad_input(
                f"names the column `{plain(repeated[0])}` more than once.", "Give each column a name of its own.", path=self.name
            )
        return dict(columns)

    def read(self, columns: Sequence[str], key: str) -> dict[str, Any]:
        """The given columns, which must be there, as one pyarrow array each; `key` is the one that names rows.

        Raises BadInput for a file that cannot be read, is too large, or holds no plain values in one of the columns.
        """
        format_ = self._checked_format()
        with self._explained(format_):
            table = format_.read(self.path, columns, key)
            if len(table) > MAX_ROWS:
                raise _RefusedError(_too_many_rows(len(table)))
            return {name: _plain_array(name, _combined(table.column(name))) for name in columns}

    def _checked_format(self) -> _Format:
        path = self.path
        suffix = suffix_of(path.name)
        if suffix is None:
            raise bad_input("is no predictions file by its suffix.", f"Use one of {', '.join(SUFFIXES)}.", path=self.name)
        if path.is_dir():
            raise bad_input("is a folder.", "Name one file.", path=self.name)
        if not path.exists():
            raise bad_input("does not exist.", "Did training write it?", path=self.name)
        size = path.stat().st_size
        if size == 0:
            raise bad_input("is empty: not even a header.", "Was it written completely?", path=self.name)
        if size > MAX_BYTES:
            raise bad_input(f"has {size / 1024**2:,.0f} MiB; at most {MAX_BYTES // 1024**2} MiB are read.", _FEWER, path=self.name)
        return _FORMATS[suffix]

    @contextmanager
    def _explained(self, format_: _Format) -> Iterator[None]:
        # Readers raise errors of many kinds for a broken file. Whatever it is, the file was not read.
        try:
            yield
        except BadInput:
            raise
        except _RefusedError as error:
            raise bad_input(str(error), error.remedy, path=self.name) from None
        except Exception as error:
            # pyarrow quotes the whole line of a CSV file, which may name people.
            reason = re.sub(r"(columns, got \d+):.*", r"\1", str(error), flags=re.DOTALL)
            reason = plain(" ".join(reason.split()).rstrip("."), 300) or type(error).__name__
            raise bad_input(f"cannot be read as {format_.name}: {reason}.", "Was it written completely?", path=self.name) from error


def plain(text: str, limit: int = NAME_LIMIT) -> str:
    """`text` in one line of at most `limit` characters, with what cannot be printed as escapes."""
    shown = text[:limit] if text.isprintable() else text[:limit].encode("unicode_escape").decode()
    return shown if len(shown) < limit or shown == text else shown[: limit - 1] + "…"


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is text of any layout."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: Any) -> bool:
    """Whether a pyarrow type is of numbers: integers, floats, decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_moment(kind: Any) -> bool:
    """Whether a pyarrow type is of dates or timestamps."""
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def kind_name(kind: Any) -> str:
    """A pyarrow type in words, as `whole numbers`."""
    if is_text(kind):
        return "text"
    if is_moment(kind):
        return "dates" if pa.types.is_date(kind) else "times with a zone" if kind.tz else "times without a zone"
    if pa.types.is_boolean(kind):
        return "true and false"
    if is_number(kind):
        return "whole numbers" if pa.types.is_integer(kind) else "numbers"
    return plain(str(kind))


def is_plain(kind: Any) -> bool:
    """Whether a pyarrow type holds one value a row that a reader could write down."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    simple = pa.types.is_boolean(kind) or pa.types.is_time(kind) or pa.types.is_null(kind)
    return bool(simple or is_text(kind) or is_number(kind) or is_moment(kind))


def _refuse_large_footer(footer: Any, columns: int) -> None:
    """Raise for a footer that promises more rows or bytes than are read."""
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    rows = max(footer.num_rows, sum(group.num_rows for group in groups))
    if rows > MAX_ROWS:
        raise _RefusedError(_too_many_rows(rows))
    # Of all columns: where the footer of a single one is broken, asking for it ends the process.
    unpacked = sum(group.total_byte_size for group in groups)
    if max(unpacked, 8 * rows * columns) > MAX_MEMORY_BYTES:
        raise _RefusedError(_memory_needed())


def _too_many_rows(rows: int) -> str:
    return f"has {rows:,} rows; at most {MAX_ROWS:,} are read."


def _memory_needed() -> str:
    return f"would need more than {MAX_MEMORY_BYTES / 1024**3:g} GiB of memory."


@contextmanager
def _open_csv(path: Path) -> Iterator[_Counted]:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        yield _Counted(file)


class _Counted(io.RawIOBase):
    """A stream that ends with an error after `MAX_CSV_BYTES`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = MAX_CSV_BYTES

    def readable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        raw: bytes = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(raw)
        if self._left < 0:
            raise _RefusedError(f"unpacks to more than {MAX_CSV_BYTES / 1024**3:g} GiB.")
        return raw


def _header_lines(file: _Counted) -> Iterator[str]:
    """The first lines, which hold the header: as many as fit into `MAX_HEADER_BYTES`."""
    head = file.read(MAX_HEADER_BYTES)
    encoding = "utf-8-sig"
    for raw in iter(partial(io.BytesIO(head).readline), b""):
        if len(head) == MAX_HEADER_BYTES and not raw.endswith(b"\n"):
            raise _RefusedError(f"has a header of more than {MAX_HEADER_BYTES // 1024**2} MiB.")
        yield raw.decode(encoding)
        encoding = "utf-8"


def _combined(column: Any) -> Any:
    """A pyarrow.ChunkedArray as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _plain_array(name: str, array: Any) -> Any:
    if pa.types.is_dictionary(array.type):
        if is_text(array.type.value_type):
            _refuse_long_text(name, _text_bytes(array))
        array = array.dictionary.take(array.indices)
    if pa.types.is_time(array.type):
        return array.cast(pa.string())
    if is_text(array.type):
        return _without_empty(array.cast(pa.string()))
    return array


def _text_bytes(array: Any) -> int:
    """How many bytes the text of a dictionary array takes when every row has its own copy."""
    lengths = pc.fill_null(pc.binary_length(array.dictionary), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    used = array.indices.drop_null().to_numpy(zero_copy_only=False)
    return int(np.bincount(used, minlength=len(lengths)) @ lengths)


def _refuse_long_text(name: str, size: int) -> None:
    if size > MAX_TEXT_BYTES:
        raise _RefusedError(f"holds more than {MAX_TEXT_BYTES / 1024**3:.0f} GiB of text in `{plain(name)}`.")


def _without_empty(text: Any) -> Any:
    """Text with missing values where it is empty."""
    is_empty = pc.equal(text, "")
    return pc.if_else(is_empty, pa.scalar(None, pa.string()), text) if pc.any(is_empty).as_py() else text


def _typed_where_lossless(text: Any) -> Any:
    """Text as integers or dates, unless one of them is written another way: `007`, `+7`, `7.0`."""
    for kind in (pa.int64(), pa.date32()):
        try:
            typed = text.cast(kind)
        except pa.ArrowInvalid:
            continue
        if typed.cast(pa.string()).equals(text):
            return typed
    return text
