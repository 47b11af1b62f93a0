"""What a query on a PostgreSQL database answers, asked about in the database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.config import Engine
from modelship.core.errors import bad_input
from modelship.data.engines.aliases import Aliases
from modelship.data.tables.sql import Query, connect, reason, url_in

if TYPE_CHECKING:
    import pyarrow as pa

_FETCHED_AT_ONCE = 16_384

_PARAMETER = re.compile(r"(?<![:\w]):[\w$]+")
"""What SQLAlchemy takes for a parameter wherever it stands."""

_INTEGERS, _FLOATS, _TRUTH_VALUES, _TEXTS = (20, 21, 23), (700, 701, 1700), (16,), (18, 19, 25, 1042, 1043)
_DATES, _TIMES, _ZONED_TIMES = (1082,), (1114,), (1184,)
"""Numbers that PostgreSQL's catalog pg_type gives its types."""


class PostgresQuery:
    """A query, which the database runs again for each question about its answer."""

    engine: Engine = "sql"
    kind = "PostgreSQL"
    text = "TEXT"
    aliases = Aliases()

    def __init__(self, query: str, connection: str, directory: Path) -> None:
        """Raises BadInput without the variable `connection` or for another database, InfrastructureError when it does not answer."""
        self._query = Query(query, url_in(connection), connection, str(directory.resolve()), "")
        self._engine, self._connection = connect(self._query)
        if self._engine.dialect.name != "postgresql":
            raise bad_input(
                f"`data.engine: sql` is for PostgreSQL, and `{connection}` names `{self._engine.dialect.name}`.",
                "Drop `data.engine`: the query's rows are then read.",
            )
        self._connection = self._connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
        self.place = connection

    def columns(self) -> list[str]:
        """The columns of the answer."""
        return [name for name, _ in self._described]

    def schema(self) -> pa.Schema:
        """Decimals are numbers; what only databases have is text."""
        import pyarrow as pa

        return pa.schema([pa.field(name, _arrow_type(number)) for name, number in self._described])

    @cached_property
    def relation(self) -> str:
        """The query with NaN as null, and what only databases have as text."""
        return f"({_escaped(self._plain())}) AS modelship"

    def select(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        return [tuple(row) for row in self._execute(sql, parameters)]

    def fetch(self, sql: str, schema: pa.Schema) -> pa.Table:
        """The rows as Arrow, in parts."""
        import pyarrow as pa

        parts = [
            pa.RecordBatch.from_arrays(
                [pa.array(values, field.type) for values, field in zip(zip(*part, strict=True), schema, strict=True)], schema=schema
            )
            for part in self._execute(sql, {}).partitions(_FETCHED_AT_ONCE)
        ]
        return pa.Table.from_batches(parts, schema)

    def quote(self, name: str) -> str:
        """In double quotes; SQLAlchemy takes a colon for a parameter even there."""
        return _escaped(_quoted(name))

    def matches(self, text: str, pattern: str) -> str:
        """PostgreSQL's regular expressions."""
        return f"({text} ~ :{pattern})"

    def content(self, columns: Sequence[str]) -> str:
        """The text of a row tells nulls from values."""
        return f"md5(CAST(ROW({', '.join(columns)}) AS TEXT))"

    def chance(self, seed: int, key: str | None) -> str:
        """Without a key the order depends on that in which the database has the rows."""
        if key is not None:
            return f"md5('{seed}' || '-' || CAST({key} AS TEXT))"
        self._execute("SELECT setseed(:seed)", {"seed": seed % 1_000_003 / 1_000_003})
        return "random()"

    def batch(self, data_sources: Any) -> Any:
        """The query, which Great Expectations takes as one that begins with SELECT. Raises BadInput for a parameter."""
        query = self._plain()
        alike = {name.lower(): name for name in self.columns()}
        other = next((name for name in self.columns() if alike[name.lower()] != name), None)
        if other is not None:
            raise bad_input(
                f"`{other[:80]}` and `{alike[other.lower()][:80]}` in the query on `{self._query.connection}` are one column to Great "
                "Expectations, which checks either.",
                "Give one of them another name with AS.",
            )
        if "%" in self._query.query:
            raise bad_input(
                f"`%` in the query on `{self._query.connection}` is doubled by Great Expectations, which then checks other rows.",
                "Put the query into a view of the database.",
            )
        parameter = _PARAMETER.search(query)
        if parameter:
            raise bad_input(
                f"`{parameter[0][:80]}` in the query on `{self._query.connection}` is a parameter to Great Expectations.",
                "Put the query into a view of the database, and give the column another name.",
            )
        # What a dollar sign begins it would look up among its variables.
        url = self._engine.url.render_as_string(hide_password=False).replace("$", r"\$")
        own = self._engine.url.query.get("options", "")
        options = {"hide_parameters": True, "connect_args": {"options": f"{own} -c default_transaction_read_only=on".strip()}}
        asset = data_sources.add_sql("tables", connection_string=url, kwargs=options).add_query_asset("table", query=query)
        return asset.add_batch_definition_whole_table("all").get_batch()

    def explain(self, error: Exception) -> str:
        """What the driver says, without what the URL keeps secret."""
        return reason(error, self._query)

    @cached_property
    def _described(self) -> list[tuple[str, int]]:
        result = self._execute(f"SELECT * FROM ({_escaped(self._written())}) AS modelship LIMIT 0", {})
        return [(str(column[0]), int(column[1])) for column in result.cursor.description]

    def _written(self) -> str:
        """The team's query as a part of another; it may end in a comment."""
        return re.sub(r"[;\s]+$", "", self._query.query) + "\n"

    def _plain(self) -> str:
        columns = ", ".join(_plain(name, number) for name, number in self._described)
        return f"SELECT {columns} FROM ({self._written()}) AS written"

    def _execute(self, sql: str, parameters: Mapping[str, Any]) -> Any:
        return self._connection.execute(_text(sql), dict(parameters))


def _plain(name: str, number: int) -> str:
    column = _quoted(name)
    if number in _FLOATS:
        return f"NULLIF(CAST({column} AS DOUBLE PRECISION), 'NaN') AS {column}"
    known = (*_INTEGERS, *_TRUTH_VALUES, *_TEXTS, *_DATES, *_TIMES, *_ZONED_TIMES)
    return column if number in known else f"CAST({column} AS TEXT) AS {column}"


def _arrow_type(number: int) -> pa.DataType:
    import pyarrow as pa

    kinds = (
        (_INTEGERS, pa.int64()),
        (_FLOATS, pa.float64()),
        (_TRUTH_VALUES, pa.bool_()),
        (_DATES, pa.date32()),
        (_TIMES, pa.timestamp("us")),
        (_ZONED_TIMES, pa.timestamp("us", "UTC")),
    )
    return next((kind for numbers, kind in kinds if number in numbers), pa.string())


def _quoted(name: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    # Great Expectations doubles what the driver would take for a parameter.
    return "U&" + quoted.replace("\\", "\\\\").replace("%", "\\0025") if "%" in name else quoted


def _escaped(sql: str) -> str:
    """SQL in which SQLAlchemy finds no parameter."""
    return _PARAMETER.sub(r"\\\g<0>", sql)


def _text(sql: str) -> Any:
    import sqlalchemy

    return sqlalchemy.text(sql)
