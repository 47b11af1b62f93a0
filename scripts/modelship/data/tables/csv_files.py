"""Comma-separated values in UTF-8 with a header line, as they are or gzipped."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from modelship.core.errors import bad_input
from modelship.data.tables.reader import BATCH_ROWS, MixedColumn
from modelship.data.tables.text import NULLS, TextColumn, all_types, parse

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 4 << 20
"""What is parsed at once; no record may be longer."""

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True)
class _Header:
    names: list[str]
    blank_lines: int
    """How many stand before it."""
    is_all: bool
    """Whether nothing comes after it."""


@dataclass(frozen=True)
class _Facts:
    """What one reading of everything tells."""

    rows: int
    columns: Sequence[TextColumn]


class CsvFile:
    """A CSV file. What type a column has is known when all of it was read once; every later reading parses the file again."""

    kind = "CSV"
    is_columnar = False

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def columns(self) -> list[str]:
        """The fields of the header. Raises BadInput when other characters than commas separate them."""
        return self._header.names

    def schema(self) -> pa.Schema:
        """Types that every value of a column fits."""
        import pyarrow as pa

        return pa.schema([pa.field(name, column.type) for name, column in zip(self.columns(), self._facts.columns, strict=True)])

    def rows(self) -> int:
        """The number of records after the header."""
        return self._facts.rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The file, parsed once more."""
        import pyarrow as pa

        header, schema = self.columns(), self.schema()
        chosen = pa.schema([schema.field(name) for name in columns])
        for batch in self._blocks([header.index(name) for name in columns]):
            arrays = [parse(values, field.type) for values, field in zip(batch.columns, chosen, strict=True)]
            if any(array is None for array in arrays):
                raise ValueError("it was changed while it was read")
            typed = pa.RecordBatch.from_arrays(arrays, schema=chosen)
            yield from (typed.slice(start, BATCH_ROWS) for start in range(0, typed.num_rows, BATCH_ROWS))

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns of text in which most values are numbers or times."""
        found = zip(self.columns(), self._facts.columns, strict=True)
        return {name: mixed for name, column in found if (mixed := column.mixed)}

    @cached_property
    def _header(self) -> _Header:
        with self._open_text() as file:
            blank = 0
            for line in file:
                if line.strip("\r\n"):
                    break
                blank += 1
            else:
                return _Header([], blank, True)
            names = next(csv.reader(itertools.chain([line], file)))
            is_all = not any(line.strip("\r\n") for line in file)
        for character, name in _OTHER_SEPARATORS.items():
            if len(names) == 1 and character in names[0]:
                raise bad_input(f"has fields separated by {name}.", "Write it with commas.", path=self._name, line=blank + 1)
        return _Header(names, blank, is_all)

    @cached_property
    def _facts(self) -> _Facts:
        columns = [TextColumn(all_types()) for _ in self._header.names]
        rows = 0
        for batch in self._blocks(range(len(columns))):
            rows += batch.num_rows
            for column, values in zip(columns, batch.columns, strict=True):
                column.add(values)
        self._check_end()
        return _Facts(rows, columns)

    def _blocks(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The columns at these places as text, missing where nothing is written. Raises ArrowInvalid for a record of other length."""
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        header = self._header
        if header.is_all:
            return
        names = [str(place) for place in range(len(header.names))]
        with self._open() as file:
            yield from arrow_csv.open_csv(
                file,
                # Arrow counts blank lines before the header as rows.
                arrow_csv.ReadOptions(column_names=names, skip_rows_after_names=header.blank_lines + 1, block_size=_BLOCK_BYTES),
                arrow_csv.ParseOptions(newlines_in_values=True),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=[names[place] for place in places],
                    null_values=NULLS,
                    strings_can_be_null=True,
                ),
            )

    def _check_end(self) -> None:
        """Raise csv.Error for a file that ends within quotes, which Arrow takes for their end."""
        with self._open() as file:
            quotes = sum(block.count(b'"') for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
        # An even number closes all that it opens. An odd one may also come from a quote in a field without quotes around it.
        if quotes % 2:
            with self._open_text() as text:
                for _ in csv.reader(text, strict=True):
                    pass

    def _open(self) -> Any:
        import pyarrow as pa

        file = pa.OSFile(str(self._path))
        return pa.CompressedInputStream(file, "gzip") if self._is_gzipped else file

    def _open_text(self) -> IO[str]:
        if self._is_gzipped:
            return gzip.open(self._path, "rt", encoding="utf-8-sig", newline="")
        return self._path.open(encoding="utf-8-sig", newline="")

    @property
    def _is_gzipped(self) -> bool:
        return self._path.suffix.lower() == ".gz"
