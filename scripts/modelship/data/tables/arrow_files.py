"""Arrow's own files: IPC (Feather version 2) and streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.data.tables.parquet_files import mixed_text
from modelship.data.tables.reader import BATCH_ROWS, UNNAMED_INDEX, MixedColumn

if TYPE_CHECKING:
    import pyarrow as pa


class ArrowFile:
    """An Arrow file, mapped into memory: a compressed batch of the file is in memory as a whole, whatever its writer made of it."""

    kind = "Arrow"
    is_columnar = True

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def columns(self) -> list[str]:
        """The columns; an unnamed pandas index is none."""
        return list(self._schema.names)

    def schema(self) -> pa.Schema:
        """The types that the file states."""
        return self._schema

    def rows(self) -> int:
        """The rows of all batches."""
        return sum(int(batch.num_rows) for batch in self._stored([self._all_names[0]] if self._all_names else []))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The file's own batches, cut where they are large."""
        for batch in self._stored(columns):
            chosen = batch.select(list(columns))
            yield from (chosen.slice(start, BATCH_ROWS) for start in range(0, chosen.num_rows, BATCH_ROWS))

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns of text in which most values are numbers or times: a file of Arrow's has one type for each column."""
        return mixed_text(self)

    @cached_property
    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        with self._open([]) as reader:
            stored = reader.schema
        return pa.schema([field for field in stored if not UNNAMED_INDEX.fullmatch(field.name)], stored.metadata)

    @cached_property
    def _all_names(self) -> list[str]:
        with self._open([]) as reader:
            return list(reader.schema.names)

    def _stored(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with self._open([self._all_names.index(name) for name in columns]) as reader:
            if hasattr(reader, "get_batch"):
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)
            else:
                yield from reader

    def _open(self, fields: Sequence[int]) -> Any:
        """A reader of the fields at these places; of all of them without any."""
        import pyarrow as pa

        options = pa.ipc.IpcReadOptions(included_fields=list(fields))
        source = pa.memory_map(str(self._path))
        try:
            return pa.ipc.open_file(source, options=options)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source, options=options)
