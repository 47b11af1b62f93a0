"""Find out what a table is stored in, and open it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from modelship.core.config import TableSource
from modelship.core.errors import bad_input
from modelship.core.scratch import scratch_folder
from modelship.core.words import shown_path
from modelship.data.tables.arrow_files import ArrowFile
from modelship.data.tables.csv_files import CsvFile
from modelship.data.tables.json_files import JsonLines, holds_json_lines
from modelship.data.tables.parquet_files import ParquetTable
from modelship.data.tables.reader import Storage, TableReader
from modelship.data.tables.sql import SqlQuery

FORMATS: dict[str, Callable[[Path, str], Storage]] = {
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
    ".csv": CsvFile,
    ".csv.gz": CsvFile,
    ".jsonl": JsonLines,
    ".jsonl.gz": JsonLines,
    ".ndjson": JsonLines,
    ".ndjson.gz": JsonLines,
    ".arrow": ArrowFile,
    ".feather": ArrowFile,
}
"""Formats by the suffix of the file's name."""


def open_table(source: str | TableSource, directory: Path) -> TableReader:
    """The table that the configuration names; a file's path is relative to `directory`.

    What a query answers is fetched when it is first read, a dataset of an MLflow run now, from the server that MLFLOW_TRACKING_URI
    names. Raises BadInput when a file is missing, empty or of a format that is not read, and InfrastructureError when a server does
    not answer.
    """
    if isinstance(source, str):
        return _open_file(directory / source, shown_path(directory / source))
    if source.query is not None:
        return TableReader(source.name, SqlQuery(source.query, str(source.connection), directory), is_file=False)
    return _open_dataset(source)


def _open_dataset(source: TableSource) -> TableReader:
    from modelship.registry.lookup import Lookup

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise bad_input(f"the {source.name} cannot be fetched: no MLflow server is named.", "Set MLFLOW_TRACKING_URI.")
    path = Lookup(uri).fetch_dataset(str(source.mlflow_run), source.dataset or "", scratch_folder())
    return dataclasses.replace(_open_file(path, path.as_posix()), name=source.name, is_file=False)


def _open_file(path: Path, name: str) -> TableReader:
    if path.is_dir():
        return TableReader(name, JsonLines(path, name) if holds_json_lines(path) else ParquetTable(path, name))
    suffix = next((suffix for suffix in sorted(FORMATS, key=len, reverse=True) if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        known = ", ".join(FORMATS)
        raise bad_input(f"has the suffix `{path.suffix}`, which is no table that can be read.", f"Use one of {known}.", path=name)
    if not path.exists():
        raise bad_input("does not exist.", "Is it fetched before this step, with `modelship dvc-pull`?", path=name)
    if path.stat().st_size == 0:
        raise bad_input("is empty: not even a header.", "Was it written completely?", path=name)
    return TableReader(name, FORMATS[suffix](path, name))
