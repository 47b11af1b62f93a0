"""A table that stays where it is: facts, samples and failing rows are asked for in SQL, which Spark and PostgreSQL both speak.

Rows have no numbers there, so that what fails is shown by its key alone. NaN is a missing value, as it is to pandas.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from modelship.core.config import Engine
from modelship.core.errors import BadInput, ModelshipError, bad_input
from modelship.data.tables.profile import ColumnFacts, Profile
from modelship.data.tables.reader import MixedColumn, is_text, type_name
from modelship.data.tables.text import MAX_SAMPLE, NUMBER, TIME

if TYPE_CHECKING:
    import pyarrow as pa

    from modelship.data.engines.aliases import Aliases

_COLUMNS_A_QUERY = 100
"""PostgreSQL gives up to 1,664 columns."""

_LONGEST_SAMPLE = 100


class Backend(Protocol):
    """Where one table is, and how SQL is written there. Any method may raise what its library does."""

    engine: Engine
    kind: str
    """What messages call it."""
    text: str
    """The name of the type for text."""
    place: str
    """Tables of one place can be joined."""

    @property
    def aliases(self) -> Aliases:
        """What the batch calls the columns."""

    @property
    def relation(self) -> str:
        """The table as it stands after FROM, NaN being null."""

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""

    def schema(self) -> pa.Schema:
        """Columns and types, in the order of `columns`."""

    def select(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of the answer; a parameter stands as `:name` in the SQL."""

    def fetch(self, sql: str, schema: pa.Schema) -> pa.Table:
        """The rows of a large answer, whose columns are those of `schema`."""

    def quote(self, name: str) -> str:
        """A column's name as it is written in SQL."""

    def matches(self, text: str, pattern: str) -> str:
        """A condition: the expression `text` matches the parameter `pattern`, a regular expression."""

    def content(self, columns: Sequence[str]) -> str:
        """An expression that is equal for rows with equal values in the quoted columns, nulls being equal, and for no others."""

    def chance(self, seed: int, key: str | None) -> str:
        """An expression by which rows come in a random order; with a quoted key the same one whatever the order of the rows."""

    def batch(self, data_sources: Any) -> Any:
        """The table as Great Expectations takes it."""

    def explain(self, error: Exception) -> str:
        """What went wrong, on one line, without secrets."""


@dataclass(frozen=True)
class KeyFacts:
    """What is wrong with the column that should name each row once."""

    nulls: int = 0
    null_samples: tuple[str, ...] = ()
    repeated_rows: int = 0
    """Rows whose key another row has, too."""
    repeated_keys: int = 0
    samples: tuple[Any, ...] = ()
    """Some of the keys that repeat."""


@dataclass(frozen=True)
class SharedRows:
    """Rows of the current table that are in the reference, counted."""

    rows: int
    by_key: int
    by_content: int
    either: int
    twins: float
    """The share of the reference's rows that another row of it equals."""
    samples: tuple[Any, ...]
    """Keys of some of them."""


@dataclass(frozen=True)
class PushedTable:
    """A table of a backend. Every method raises BadInput where it cannot answer. `name` is what messages call it."""

    name: str
    backend: Backend
    key: str | None = None
    is_file: bool = True
    """Whether `name` is a path."""

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""
        with self._explained():
            return self.backend.columns()

    def schema(self) -> pa.Schema:
        """Columns and types, in the order of `columns`."""
        with self._explained():
            return self.backend.schema()

    def rows(self) -> int:
        """How many rows there are."""
        return self._rows

    @cached_property
    def _rows(self) -> int:
        return int(self._select(f"SELECT count(*) FROM {self._relation}")[0][0])

    def nulls(self, columns: Sequence[str]) -> dict[str, int]:
        """How many rows lack a value, by column."""
        counts = self._aggregate([(name, [f"count({self._quote(name)})"]) for name in columns])
        return {name: self.rows() - present for name, (present,) in counts.items()}

    def key_facts(self, key: str) -> KeyFacts:
        """Whether the column names each row once."""
        column, nulls = self._quote(key), self.nulls([key])[key]
        repeated = f"SELECT {column}, count(*) AS n FROM {self._relation} WHERE {column} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
        [(keys, rows)] = self._select(f"SELECT count(*), sum(n) FROM ({repeated}) AS repeated")
        samples = self._select(f"{repeated} ORDER BY 1 LIMIT {MAX_SAMPLE}") if keys else []
        return KeyFacts(nulls, (), int(rows or 0), int(keys), tuple(value for value, _ in samples))

    def profile(self, columns: Sequence[str] | None = None, *, sample: int | None, seed: int, max_values: int) -> Profile:
        """Exact facts on the given columns, or all, by aggregation, and a uniform sample of `sample` rows (all without it).

        The sample are the rows with the smallest of random numbers. These come from the key where there is one, so that the same
        rows are drawn again however the rows are laid out.
        """
        names = self.columns() if columns is None else list(columns)
        schema = self.schema()
        measures = [(name, list(self._measures(name, schema.field(name).type))) for name in names]
        found = self._aggregate(measures)
        facts = {name: self._facts(name, schema.field(name).type, found[name], max_values) for name in names}
        return Profile(self.rows(), self._sample(names, schema, sample, seed), facts)

    def mixed(self) -> Mapping[str, MixedColumn]:
        """Columns of text in which most values are numbers or times: all other columns have one type."""
        texts = [field.name for field in self.schema() if is_text(field.type)]
        patterns = {"number": NUMBER, "time": TIME}
        counts = self._aggregate(
            [
                (name, [f"count({self._quote(name)})", *(self._count(self._matches(name, kind)) for kind in patterns)])
                for name in texts
            ],
            patterns,
        )
        found = {}
        for name, (values, *counted) in counts.items():
            kind, count = max(zip(patterns, map(int, counted), strict=True), key=lambda item: item[1])
            if 0 < values - count < count:
                column = self._quote(name)
                others = self._select(
                    f"SELECT {column} FROM {self._relation} WHERE {column} IS NOT NULL AND NOT {self._matches(name, kind)} "
                    f"LIMIT {MAX_SAMPLE}",
                    {kind: patterns[kind]},
                )
                sample = {place: str(value)[:_LONGEST_SAMPLE] for place, (value,) in enumerate(others)}
                found[name] = MixedColumn(kind, count, values - count, sample)
        return found

    def keys_of(self, column: str, values: Sequence[Any]) -> tuple[Any, ...]:
        """Keys of some of the rows in which the column has one of the values; none where the table has no key."""
        if self.key is None or self.key not in self.columns():
            return ()
        names = {f"value{place}": value for place, value in enumerate(values)}
        key, listed = self._quote(self.key), ", ".join(f":{name}" for name in names)
        condition = f"{self._quote(column)} IN ({listed})"
        return tuple(
            value
            for (value,) in self._select(f"SELECT {key} FROM {self._relation} WHERE {condition} ORDER BY 1 LIMIT {MAX_SAMPLE}", names)
        )

    def shared_rows(self, reference: PushedTable) -> SharedRows:
        """The rows that are in the reference, too, by key and by all other columns of both. Both tables must have one place."""
        mine, theirs = self.schema(), reference.schema()
        shared = [field.name for field in mine if field.name in theirs.names and field.type == theirs.field(field.name).type]
        key = self._quote(self.key) if self.key in shared else "NULL"
        columns = [self._quote(name) for name in shared if name != self.key]
        content = self.backend.content(columns) if columns else f"CAST(NULL AS {self.backend.text})"
        known = f"(SELECT {content} AS h FROM {reference._relation})"
        joined = (
            f"(SELECT {key} AS k, {content} AS h FROM {self._relation}) AS mine "
            f"LEFT JOIN (SELECT DISTINCT {key} AS k FROM {reference._relation}) AS keys ON mine.k = keys.k "
            f"LEFT JOIN (SELECT DISTINCT h FROM {known} AS rows_) AS contents ON mine.h = contents.h"
        )
        conditions = ("keys.k IS NOT NULL", "contents.h IS NOT NULL", "keys.k IS NOT NULL OR contents.h IS NOT NULL")
        [(by_key, by_content, either)] = self._select(f"SELECT {', '.join(map(self._count, conditions))} FROM {joined}")
        twins = f"SELECT sum(n) FROM (SELECT count(*) AS n FROM {known} AS rows_ GROUP BY h HAVING count(*) > 1) AS twins"
        repeated = int(self._select(twins)[0][0] or 0) if columns else 0
        samples = self._select(f"SELECT mine.k FROM {joined} WHERE {conditions[2]} ORDER BY 1 LIMIT {MAX_SAMPLE}") if either else []
        return SharedRows(
            self.rows(),
            int(by_key or 0),
            int(by_content or 0),
            int(either or 0),
            repeated / max(reference.rows(), 1),
            tuple(value for (value,) in samples if value is not None),
        )

    @property
    def _relation(self) -> str:
        with self._explained():
            return self.backend.relation

    def _measures(self, name: str, kind: pa.DataType) -> Iterator[str]:
        """What is asked of a column: values, infinite ones, the least and the greatest finite one."""
        import pyarrow as pa

        column = self._quote(name)
        yield f"count({column})"
        if pa.types.is_floating(kind):
            infinite = f"{column} IN (:infinity, :minus_infinity)"
            yield self._count(infinite)
            yield f"min(CASE WHEN NOT {infinite} THEN {column} END)"
            yield f"max(CASE WHEN NOT {infinite} THEN {column} END)"
        elif pa.types.is_integer(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
            yield "0"
            yield f"min({column})"
            yield f"max({column})"

    def _facts(self, name: str, kind: pa.DataType, found: Sequence[Any], most: int) -> ColumnFacts:
        import pyarrow as pa

        present, infinite, low, high = (*found, 0, None, None)[:4] if len(found) == 1 else found
        is_counted = pa.types.is_integer(kind) or is_text(kind) or pa.types.is_boolean(kind)
        values = self._values(name, most) if is_counted else None
        return ColumnFacts(type_name(kind), self.rows() - int(present), 0, int(infinite or 0), low, high, values)

    def _values(self, name: str, most: int) -> dict[str, int] | None:
        column = self._quote(name)
        found = self._select(f"SELECT {column}, count(*) FROM {self._relation} WHERE {column} IS NOT NULL GROUP BY 1 LIMIT {most + 1}")
        if len(found) > most:
            return None
        return {str(value).lower() if isinstance(value, bool) else str(value): int(count) for value, count in found}

    def _sample(self, names: Sequence[str], schema: pa.Schema, size: int | None, seed: int) -> pa.Table:
        import pyarrow as pa

        chosen = pa.schema([schema.field(name) for name in names])
        if not names:
            return chosen.empty_table()
        key = self._quote(self.key) if self.key in schema.names else None
        drawn = "" if size is None else f" ORDER BY {self.backend.chance(seed, key)} LIMIT {size}"
        with self._explained():
            return self.backend.fetch(f"SELECT {', '.join(map(self._quote, names))} FROM {self._relation}{drawn}", chosen)

    def _matches(self, name: str, kind: str) -> str:
        return self.backend.matches(self._quote(name), kind)

    def _aggregate(
        self, wanted: Sequence[tuple[str, Sequence[str]]], parameters: Mapping[str, Any] | None = None
    ) -> dict[str, list[Any]]:
        """The values of expressions over all rows, by column."""
        found: dict[str, list[Any]] = {}
        for start in range(0, len(wanted), _COLUMNS_A_QUERY):
            part = wanted[start : start + _COLUMNS_A_QUERY]
            expressions = [expression for _, asked in part for expression in asked]
            values = iter(self._select(f"SELECT {', '.join(expressions)} FROM {self._relation}", parameters or {})[0])
            found.update({name: [next(values) for _ in asked] for name, asked in part})
        return found

    @staticmethod
    def _count(condition: str) -> str:
        return f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"

    def _quote(self, name: str | None) -> str:
        return self.backend.quote(str(name))

    def _select(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        given = {"infinity": math.inf, "minus_infinity": -math.inf, **(parameters or {})}
        with self._explained():
            return self.backend.select(sql, {name: value for name, value in given.items() if re.search(rf":{name}\b", sql)})

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ModelshipError:
            raise
        except Exception as error:
            raise self._problem(f"cannot be read by {self.backend.kind}: {self.backend.explain(error)}.") from None

    def _problem(self, message: str) -> BadInput:
        return bad_input(message, path=self.name) if self.is_file else bad_input(f"{self.name} {message}")
