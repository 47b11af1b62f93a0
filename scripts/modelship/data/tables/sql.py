"""What a database answers to a query, fetched once through SQLAlchemy, in a process that has the drivers."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.elsewhere import ask
from modelship.core.errors import BadInput, InfrastructureError, bad_input, infrastructure
from modelship.core.scratch import scratch_folder
from modelship.data.tables.spool import CHUNK_ROWS, Spool, Spooled, SpooledTable

_TIMEOUT_MINUTES = 60

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
"""What an address without a driver means."""


class Query(msgspec.Struct, frozen=True):
    """What is to be fetched: `connection` names the variable that `url` comes from, and messages say no more of it than that."""

    query: str
    url: str
    connection: str
    directory: str
    """What a relative path of a SQLite file is relative to."""
    folder: str
    """Where the rows go."""


class SqlQuery(Spooled):
    """A query, run once, when its answer is first needed. The answer is kept on disk as long as the process runs."""

    kind = "SQL query"

    def __init__(self, query: str, connection: str, directory: Path) -> None:
        self._query = query
        self._connection = connection
        self._directory = directory
        # Said before anything is computed.
        self._url = url_in(connection)

    def _spool(self) -> SpooledTable:
        folder = scratch_folder()
        question = Query(self._query, self._url, self._connection, str(self._directory.resolve()), str(folder))
        ask("sql", Path(__file__).resolve().parent, question, int, who="the database client", minutes=_TIMEOUT_MINUTES)
        return SpooledTable(folder, self.kind)


def url_in(connection: str) -> str:
    """The URL that the variable `connection` holds. Raises BadInput where it is not set."""
    url = os.environ.get(connection)
    if not url:
        remedy = "Set it to a SQLAlchemy URL, in a workflow from a secret: postgresql://user:password@host/database."
        raise bad_input(f"the environment variable `{connection}` is not set, and a query needs it.", remedy)
    return url


def fetch(query: Query) -> int:
    """Run the query and write the rows of its answer into `query.folder`; how many there are.

    The answer comes piece by piece where the database can do that, and the query may only read where the database can be told so.
    """
    import sqlalchemy
    from sqlalchemy import exc

    engine, connection = connect(query)
    with connection:
        options: dict[str, Any] = {"stream_results": True, "max_row_buffer": CHUNK_ROWS, "no_parameters": True}
        if engine.dialect.name == "postgresql":
            options["postgresql_readonly"] = True
        connection = connection.execution_options(**options)
        try:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            return _spool(connection.exec_driver_sql(query.query), query, is_typed=engine.dialect.name != "sqlite")
        except exc.DBAPIError as error:
            raise _failed(error, query, isinstance(error, exc.OperationalError) and engine.dialect.name != "sqlite") from None
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise _failed(error, query, False) from None


def connect(query: Query) -> tuple[Any, Any]:
    """SQLAlchemy's engine for the query's URL, and a connection. Raises BadInput for a wrong URL, InfrastructureError without an
    answer."""
    from sqlalchemy import exc

    engine = _engine(query)
    try:
        return engine, engine.connect()
    except (exc.SQLAlchemyError, OSError) as error:
        remedy = f"Is it reachable, and is `{query.connection}` its URL?"
        raise infrastructure(f"the database behind `{query.connection}` did not answer: {reason(error, query)}.", remedy) from None


def _engine(query: Query) -> Any:
    import sqlalchemy
    from sqlalchemy import exc

    try:
        url = sqlalchemy.make_url(query.url)
    except (exc.ArgumentError, ValueError):
        remedy = "Write it as postgresql://user:password@host/database, with special characters as %XX."
        raise bad_input(f"`{query.connection}` holds no URL.", remedy) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite" and not str(url.database or ":memory:").startswith((":memory:", "file:")):
        path = Path(query.directory) / str(url.database)
        # SQLite would make an empty database.
        if not path.is_file():
            raise bad_input(f"`{query.connection}` names a SQLite file that does not exist.", "Is it fetched before this step?")
        url = url.set(database=str(path))
    try:
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, hide_parameters=True)
    except (exc.NoSuchModuleError, ImportError):
        kind = re.sub(r"[^\w+]", "", url.drivername)[:40]
        remedy = "Modelship brings drivers for PostgreSQL and SQLite; export the table in a DVC stage instead."
        raise bad_input(f"there is no driver for `{kind}`, which `{query.connection}` names.", remedy) from None
    except exc.ArgumentError:
        raise bad_input(f"`{query.connection}` holds an URL that its driver refuses.") from None


def _spool(result: Any, query: Query, *, is_typed: bool) -> int:
    if not result.returns_rows:
        raise bad_input(f"the query on `{query.connection}` gives no table.", "Write one SELECT.")
    names = [str(name) for name in result.keys()]  # noqa: SIM118 - a result is no dictionary
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        remedy = "Give one of them another name with AS."
        raise bad_input(f"the query on `{query.connection}` gives the column `{twice[0][:80]}` more than once.", remedy)
    # SQLite has no type for times.
    spool = Spool(Path(query.folder), times_in_text=not is_typed)
    spool.add({name: [] for name in names}, 0)
    rows = 0
    for part in result.partitions(CHUNK_ROWS):
        spool.add(dict(zip(names, zip(*part, strict=True), strict=True)), len(part))
        rows += len(part)
    spool.finish()
    return rows


def _failed(error: Any, query: Query, is_database: bool) -> BadInput | InfrastructureError:
    message = f"the query on `{query.connection}` failed: {reason(error, query)}."
    return infrastructure(message) if is_database or getattr(error, "connection_invalidated", False) else bad_input(message)


def reason(error: Exception, query: Query) -> str:
    """What the driver says, on one line, without anything that the URL keeps secret."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in sorted(_secrets(query.url), key=len, reverse=True):
        said = said.replace(secret, "…")
    return said[:300].rstrip(".?")


def _secrets(url: str) -> set[str]:
    """The URL, its password as it is and as it is written, and all values of its query string, whole and in their parts."""
    import sqlalchemy

    parts = sqlalchemy.make_url(url)
    found = {url, url.partition("://")[2], str(parts.password or "")}
    written = re.match(r"[^:/]+://[^:@/]*:([^@/]*)@", url)
    found.add(written.group(1) if written else "")
    for value in parts.query.values():
        for text in [value] if isinstance(value, str) else value:
            # ODBC's own connection strings come as one value.
            found |= {part for part in (text, *re.split(r"[;=]", text)) if len(part) > 2}
    return found - {""}
