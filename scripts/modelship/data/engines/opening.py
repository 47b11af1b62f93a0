"""Open a table with the engine that the configuration asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from modelship.core.config import Engine, TableSource
from modelship.core.errors import bad_input
from modelship.data.tables.opening import open_table

if TYPE_CHECKING:
    from modelship.data.engines.pushed import PushedTable
    from modelship.data.tables.reader import TableReader

CAPABILITIES: dict[Engine, str] = {"pandas": "data", "spark": "spark", "sql": "data-sql"}
"""What the checks need, by engine."""

_IS_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*://")


def open_with(engine: Engine, source: str | TableSource, directory: Path, key: str | None) -> TableReader | PushedTable:
    """The table that the configuration names. With `sql` what is no query is read as without it.

    Raises BadInput for what the engine does not read, and InfrastructureError for a session or a database that is not there.
    """
    if engine == "spark":
        return _open_spark(source, directory, key)
    if engine == "sql" and isinstance(source, TableSource) and source.query is not None:
        from modelship.data.engines.postgresql import PostgresQuery
        from modelship.data.engines.pushed import PushedTable

        return PushedTable(source.name, PostgresQuery(source.query, str(source.connection), directory), key, is_file=False)
    return open_table(source, directory)


def _open_spark(source: str | TableSource, directory: Path, key: str | None) -> PushedTable:
    from modelship.data.engines.pushed import PushedTable
    from modelship.data.engines.spark import SparkParquet, local_path

    remedy = "Write Parquet, or drop `data.engine`."
    if isinstance(source, TableSource):
        raise bad_input(f"`data.engine: spark` reads Parquet files, and no {source.name}.", remedy)
    if _IS_ELSEWHERE.match(source):
        return PushedTable(source, SparkParquet(source), key)
    here = open_table(source, directory)
    if here.kind != "Parquet":
        raise bad_input(f"is {here.kind}, and `data.engine: spark` reads Parquet.", remedy, path=here.name)
    return PushedTable(here.name, SparkParquet(local_path(directory / source), here.schema()), key)
