"""Apache Parquet: a file, or a folder of files, partitioned or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.errors import bad_input
from modelship.data.tables.reader import BATCH_ROWS, UNNAMED_INDEX, MixedColumn, is_text
from modelship.data.tables.text import TextColumn

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq")

_BUFFER_BYTES = 1 << 20
"""What is read ahead of a column. Without it Arrow holds whole column chunks, whose size is the writer's choice."""


@dataclass(frozen=True)
class _Part:
    path: Path
    partition: Mapping[str, Any]
    """The columns that the folders around it name (`year=2026`), and their values."""


class ParquetTable:
    """Parquet, with the types that `pandas.read_parquet` gives. An unnamed pandas index is no column."""

    kind = "Parquet"
    is_columnar = True

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def columns(self) -> list[str]:
        """The columns of the files, then those that folders name."""
        return list(self.schema().names)

    def schema(self) -> pa.Schema:
        """Types that hold the values of every file. Raises BadInput for files that do not have the same columns."""
        return self._schema

    def rows(self) -> int:
        """The number of rows that the files' footers state."""
        import pyarrow.parquet as pq

        return sum(int(pq.read_metadata(part.path).num_rows) for part in self._parts)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """File by file, in the order of their paths."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        whole = self.schema()
        schema = pa.schema([whole.field(name) for name in columns])
        for part in self._parts:
            stored = [name for name in columns if name not in part.partition]
            with pq.ParquetFile(part.path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=stored):
                    arrays = [
                        pa.repeat(pa.scalar(part.partition[field.name], field.type), batch.num_rows)
                        if field.name in part.partition
                        else _as(batch.column(field.name), field.type)
                        for field in schema
                    ]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns of text in which most values are numbers or times: a file in Parquet has one type for each column."""
        return mixed_text(self)

    @cached_property
    def _parts(self) -> list[_Part]:
        import pyarrow.dataset as ds

        if not self._path.is_dir():
            return [_Part(self._path, {})]
        partitioning = ds.HivePartitioning.discover(infer_dictionary=False)
        found = ds.dataset(self._path, format="parquet", partitioning=partitioning)
        fragments = list(found.get_fragments())
        keys = [ds.get_partition_keys(fragment.partition_expression) for fragment in fragments]
        folders = [name for name in found.schema.names if any(name in known for known in keys)]
        parts = [
            _Part(Path(fragment.path), {name: known.get(name) for name in folders})
            for fragment, known in zip(fragments, keys, strict=True)
        ]
        if not parts:
            raise bad_input("is a folder without a Parquet file.", "Is it fetched before this step?", path=self._name)
        for part in parts:
            if not part.path.name.lower().endswith(SUFFIXES):
                other = part.path.relative_to(self._path).as_posix()[:200]
                raise bad_input(f"holds `{other}`, which is no Parquet file.", "Keep a table's files alone.", path=self._name)
        return sorted(parts, key=lambda part: part.path.as_posix())

    @cached_property
    def _schema(self) -> pa.Schema:
        import pyarrow as pa
        import pyarrow.parquet as pq

        first, *others = self._parts
        whole = pq.read_schema(first.path)
        for part in others:
            schema = pq.read_schema(part.path)
            try:
                if sorted(schema.names) != sorted(whole.names):
                    raise pa.ArrowInvalid("other columns")
                whole = pa.unify_schemas([whole, schema], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                reason = "has other columns" if str(error) == "other columns" else f"has another type: {str(error)[:200].rstrip('.')}"
                name = part.path.relative_to(self._path).as_posix()[:200]
                raise bad_input(f"is no one table: `{name}` {reason}.", "Write all files alike.", path=self._name) from error
        fields = [field for field in whole if not UNNAMED_INDEX.fullmatch(field.name) and field.name not in first.partition]
        return pa.schema([*fields, *self._partition_fields()], whole.metadata)

    def _partition_fields(self) -> list[pa.Field]:
        """Whole numbers where all values of a folder's column are, else text."""
        import pyarrow as pa

        folders = self._parts[0].partition
        return [pa.field(name, pa.array([part.partition[name] for part in self._parts]).type) for name in folders]


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    # Arrow casts no type of an extension, not even to itself.
    return values if values.type.equals(kind) else values.cast(kind)


def mixed_text(storage: Any) -> dict[str, MixedColumn]:
    """The columns of text in a storage that has types, in which most values are numbers or times and some are not."""
    import pyarrow as pa

    names = [field.name for field in storage.schema() if is_text(_value_type(field.type))]
    if not names:
        return {}
    columns = {name: TextColumn([]) for name in names}
    for batch in storage.batches(names):
        for name, values in zip(names, batch.columns, strict=True):
            columns[name].add(values.cast(pa.string()))
    return {name: mixed for name, column in columns.items() if (mixed := column.mixed)}


def _value_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
