"""Read tables from files. One class for each format; `FORMATS` says which suffix means which."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from modelship.core.errors import BadInput, bad_input

if TYPE_CHECKING:
    import pandas as pd


class Format(Protocol):
    """How one kind of file is read. The methods may raise whatever their library raises."""

    name: str

    def columns(self, path: Path) -> list[str]:
        """The column names in order, duplicates and all."""

    def rows(self, path: Path) -> int:
        """How many rows there are, without loading them."""

    def table(self, path: Path, columns: Sequence[str]) -> pd.DataFrame:
        """The given columns, rows numbered from 0."""

    def groups(self, columns: Sequence[str]) -> list[Sequence[str]]:
        """The columns in groups, each of which is cheap to read by itself."""


class Parquet:
    """Apache Parquet, read with the types that `pandas.read_parquet` gives."""

    name = "Parquet"

    def columns(self, path: Path) -> list[str]:
        """The column names; an unnamed pandas index is none."""
        import pyarrow.parquet as pq

        return [name for name in pq.read_schema(path).names if not re.fullmatch(r"__index_level_\d+__", name)]

    def rows(self, path: Path) -> int:
        """The number of rows that the file's footer states."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)

    def table(self, path: Path, columns: Sequence[str]) -> pd.DataFrame:
        """The columns; a named pandas index is a column like any other."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            frame = file.read(columns=list(columns)).to_pandas()
        named = any(name is not None for name in frame.index.names)
        return frame.reset_index(drop=not named)[list(columns)]

    def groups(self, columns: Sequence[str]) -> list[Sequence[str]]:
        """One column each: the file is stored by columns."""
        return [[name] for name in columns]


class Csv:
    """Comma-separated values in UTF-8 with a header line, as they are or gzipped."""

    name = "CSV"

    def columns(self, path: Path) -> list[str]:
        """The fields of the header, which pandas would rename where they repeat."""
        return next(self._lines(path), [])

    def rows(self, path: Path) -> int:
        """The number of records after the header."""
        return max(sum(1 for _ in self._lines(path)) - 1, 0)

    def table(self, path: Path, columns: Sequence[str]) -> pd.DataFrame:
        """The columns. Everything is parsed first: with a selection, pandas overlooks a row that has too many fields."""
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Without `index_col=False` a header that is one field short turns the first column into an index in silence.
            frame = pd.read_csv(path, index_col=False, low_memory=False, encoding="utf-8-sig")
        frame.columns = pd.Index(self.columns(path))  # pandas gives names to columns that have none
        return frame[list(columns)]

    def groups(self, columns: Sequence[str]) -> list[Sequence[str]]:
        """All at once: every reading parses the whole file."""
        return [columns]

    def _lines(self, path: Path) -> Iterator[list[str]]:
        with self._open(path) as file:
            yield from (fields for fields in csv.reader(file) if fields)

    def _open(self, path: Path) -> IO[str]:
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        return path.open(encoding="utf-8-sig", newline="")


FORMATS: dict[str, Format] = {".parquet": Parquet(), ".pq": Parquet(), ".csv": Csv(), ".csv.gz": Csv()}
"""Formats by the suffix of the file's name."""


@dataclass(frozen=True)
class TableFile:
    """A table on disk. `name` is what messages call it."""

    path: Path
    name: str
    format: Format

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all. Raises BadInput for a file that cannot be read."""
        with self._explained():
            return self.format.columns(self.path)

    def rows(self) -> int:
        """How many rows there are. Raises BadInput for a file that cannot be read."""
        with self._explained():
            return self.format.rows(self.path)

    def read(self, columns: Sequence[str]) -> pd.DataFrame:
        """The given columns, rows numbered from 0. Raises BadInput for a file that cannot be read."""
        with self._explained():
            return self.format.table(self.path, columns)

    def pieces(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """The given columns, in as many tables as keep memory low. Raises BadInput for a file that cannot be read."""
        for group in self.format.groups(columns):
            yield self.read(group)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        # Readers raise errors of many kinds for a broken file. Whatever it is, the file was not read.
        try:
            yield
        except BadInput:
            raise
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
            message = f"cannot be read as {self.format.name}: {reason}."
            raise bad_input(message, "Was it written completely?", path=self.name) from error


def open_table(path: Path, name: str) -> TableFile:
    """The table at `path`. Raises BadInput when it is missing, a folder, empty or of a format that is not read."""
    suffix = next((suffix for suffix in sorted(FORMATS, key=len, reverse=True) if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        known = ", ".join(FORMATS)
        raise bad_input(f"has the suffix `{path.suffix}`, which is no table that can be read.", f"Use one of {known}.", path=name)
    if path.is_dir():
        raise bad_input("is a folder.", "Name one file.", path=name)
    if not path.exists():
        raise bad_input("does not exist.", "Is it fetched before this step, with `modelship dvc-pull`?", path=name)
    if path.stat().st_size == 0:
        raise bad_input("is empty: not even a header.", "Was it written completely?", path=name)
    return TableFile(path, name, FORMATS[suffix])
