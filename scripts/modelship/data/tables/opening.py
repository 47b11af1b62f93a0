"""Find out what a table is stored in, and open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelship.core.config import TableSource
from modelship.core.errors import bad_input
from modelship.data.tables.csv_files import CsvFile
from modelship.data.tables.parquet_files import ParquetTable
from modelship.data.tables.reader import Storage, TableReader

FORMATS: dict[str, Callable[[Path, str], Storage]] = {
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
    ".csv": CsvFile,
    ".csv.gz": CsvFile,
}
"""Formats by the suffix of the file's name."""


def open_table(source: str | TableSource, directory: Path) -> TableReader:
    """The table that the configuration names; a file's path is relative to `directory`.

    Raises BadInput when a file is missing, empty or of a format that is not read.
    """
    if isinstance(source, TableSource):
        raise bad_input("is no file.")
    return _open_file(directory / source, (directory / source).as_posix())


def _open_file(path: Path, name: str) -> TableReader:
    if path.is_dir():
        return TableReader(name, ParquetTable(path, name))
    suffix = next((suffix for suffix in sorted(FORMATS, key=len, reverse=True) if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        known = ", ".join(FORMATS)
        raise bad_input(f"has the suffix `{path.suffix}`, which is no table that can be read.", f"Use one of {known}.", path=name)
    if not path.exists():
        raise bad_input("does not exist.", "Is it fetched before this step, with `modelship dvc-pull`?", path=name)
    if path.stat().st_size == 0:
        raise bad_input("is empty: not even a header.", "Was it written completely?", path=name)
    return TableReader(name, FORMATS[suffix](path, name))
