"""What the checks of a table and Great Expectations need of it, from a data frame in memory or from where the table stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, Protocol

from modelship.core.words import brief
from modelship.data.engines.aliases import Aliases
from modelship.data.engines.pushed import KeyFacts, PushedTable
from modelship.data.tables.text import MAX_SAMPLE

if TYPE_CHECKING:
    import pandas as pd

    from modelship.data.tables.reader import TableReader


class Examined(Protocol):
    """A table with unique column names, ready to be checked."""

    rows: int
    aliases: Aliases
    """What Great Expectations calls the columns."""

    def nulls(self, columns: Sequence[str]) -> Mapping[str, int]:
        """How many rows lack a value, by column."""

    def key_facts(self, key: str) -> KeyFacts:
        """Whether the column names each row once."""

    def is_time(self, column: str) -> bool:
        """Whether the column holds times."""

    def zone(self, column: str) -> tzinfo | None:
        """The time zone of a column of times."""

    def batch(self, data_sources: Any) -> Any:
        """The table as Great Expectations takes it."""

    @property
    def result_format(self) -> Mapping[str, Any]:
        """How much Great Expectations shall tell of the rows that fail."""

    def failing(self, result: Mapping[str, Any]) -> tuple[str, ...]:
        """Up to `MAX_SAMPLE` rows that fail by Great Expectations' result: their keys, else their numbers where rows have numbers."""


def examine(table: TableReader | PushedTable, columns: Sequence[str], key: str | None) -> Examined:
    """The given columns of a table: read as a whole, or asked about where they are. Raises BadInput when it cannot be read."""
    if isinstance(table, PushedTable):
        return _There(table, key)
    return _InMemory(table.read(columns), key)


def key_text(value: Any) -> str:
    """A key as it is shown."""
    # One missing key turns a column of whole numbers into floats.
    return brief(int(value) if isinstance(value, float) and value.is_integer() else value, 100)


def row_names(frame: pd.DataFrame | None, key: str | None, rows: Sequence[int]) -> tuple[str, ...]:
    """The keys of rows; of rows without a key their numbers, counted from 0 as pandas does."""
    if frame is None or key is None or key not in frame:
        return tuple(f"row {row}" for row in rows)
    keys = frame[key].iloc[list(rows)]
    named = (f"row {row}" if missing else key_text(value) for row, value, missing in zip(rows, keys, keys.isna(), strict=True))
    return tuple(dict.fromkeys(named))


class _InMemory:
    """A data frame, whose rows are numbered from 0."""

    def __init__(self, frame: pd.DataFrame, key: str | None) -> None:
        self._frame = frame
        self._key = key
        self.rows = len(frame)
        self.aliases = Aliases()

    def nulls(self, columns: Sequence[str]) -> Mapping[str, int]:
        return {name: int(self._frame[name].isna().sum()) for name in columns}

    def key_facts(self, key: str) -> KeyFacts:
        keys = self._frame[key]
        nulls = keys.isna()
        repeated = keys[keys.duplicated(keep=False) & ~nulls]
        values = repeated.drop_duplicates()
        return KeyFacts(
            nulls=int(nulls.sum()),
            null_samples=tuple(f"row {row}" for row in keys.index[nulls][:MAX_SAMPLE]),
            repeated_rows=len(repeated),
            repeated_keys=len(values),
            samples=tuple(values[:MAX_SAMPLE]),
        )

    def is_time(self, column: str) -> bool:
        return bool(self._frame[column].dtype.kind == "M")

    def zone(self, column: str) -> tzinfo | None:
        return getattr(self._frame[column].dtype, "tz", None)

    def batch(self, data_sources: Any) -> Any:
        asset = data_sources.add_pandas("tables").add_dataframe_asset("table")
        return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": self._frame})

    @property
    def result_format(self) -> Mapping[str, Any]:
        return {"result_format": "COMPLETE"}

    def failing(self, result: Mapping[str, Any]) -> tuple[str, ...]:
        rows = list(result.get("partial_unexpected_index_list") or [])[:MAX_SAMPLE]
        return row_names(self._frame, self._key, rows)


class _There:
    """A table that Spark or a database holds. Its rows have keys and no numbers."""

    def __init__(self, table: PushedTable, key: str | None) -> None:
        self._table = table
        self._key = key if key in table.columns() else None
        self.rows = table.rows()
        self.aliases = table.backend.aliases

    def nulls(self, columns: Sequence[str]) -> Mapping[str, int]:
        return self._table.nulls(columns)

    def key_facts(self, key: str) -> KeyFacts:
        return self._table.key_facts(key)

    def is_time(self, column: str) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_timestamp(self._table.schema().field(column).type))

    def zone(self, column: str) -> tzinfo | None:
        return UTC if self._table.schema().field(column).type.tz else None

    def batch(self, data_sources: Any) -> Any:
        return self._table.backend.batch(data_sources)

    @property
    def result_format(self) -> Mapping[str, Any]:
        # COMPLETE would bring every failing row here.
        named = {"unexpected_index_column_names": [self.aliases.of(self._key)]} if self._key else {}
        return {"result_format": "SUMMARY", **named}

    def failing(self, result: Mapping[str, Any]) -> tuple[str, ...]:
        rows = list(result.get("partial_unexpected_index_list") or [])[:MAX_SAMPLE] if self._key else []
        # Of a row without a key there is nothing to show here.
        return tuple(dict.fromkeys(key_text(row[self._key]) for row in rows if row[self._key] is not None))
