"""Tables in real databases and on a real MLflow server, and how much memory a large table takes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import mlflow as client_library
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from mlflow.entities import Dataset, DatasetInput

from modelship.core.config import TableSource
from modelship.core.errors import BadInput, InfrastructureError
from modelship.data.tables.opening import open_table
from modelship.data.tables.reader import TableReader, type_name
from tests.project import Project

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlalchemy.Engine]:
    """A connection to the PostgreSQL server, of which WAREHOUSE_URL is the address."""
    monkeypatch.setenv("WAREHOUSE_URL", postgres)
    engine = sqlalchemy.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """A SQLite file, of which WAREHOUSE_URL is the address."""
    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:///warehouse.db")
    return sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None)


def query(text: str, folder: Path = Path()) -> TableReader:
    return open_table(TableSource(query=text, connection="WAREHOUSE_URL"), folder)


def types(reader: TableReader) -> dict[str, str]:
    return {field.name: type_name(field.type) for field in reader.schema()}


# PostgreSQL.


def test_postgres_gives_the_types_that_a_reader_of_the_table_expects(database: sqlalchemy.Engine) -> None:
    reader = query(
        "SELECT * FROM (VALUES"
        " (1::bigint, 1.5::float8, 12.50::numeric(8,2), 3::numeric, true, 'a%', DATE '2026-01-02', TIMESTAMP '2026-01-02 03:04:05',"
        " TIMESTAMPTZ '2026-01-02 03:04:05+02', '{\"a\": [1]}'::jsonb, ARRAY[1, 2], TIME '03:04', '\\x00ff'::bytea, NULL::integer),"
        " (NULL, NULL, NULL, 4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL))"
        " AS t(id, f, price, total, flag, name, day, at, zoned, doc, list, hour, raw, nothing)"
    )
    assert (reader.kind, reader.name, reader.rows()) == ("SQL query", "query on WAREHOUSE_URL", 2)
    assert types(reader) == {
        **{"id": "int64", "f": "float64", "price": "float64", "total": "int64", "flag": "bool", "name": "text", "day": "timestamp"},
        **{"at": "timestamp", "zoned": "timestamp (UTC)", "doc": "text", "list": "text", "hour": "text", "raw": "binary"},
        "nothing": "null",
    }
    frame = reader.read()
    assert frame.iloc[0].to_dict() == {
        **{"id": 1.0, "f": 1.5, "price": 12.5, "total": 3, "flag": True, "name": "a%", "day": pd.Timestamp(2026, 1, 2)},
        **{"at": pd.Timestamp(2026, 1, 2, 3, 4, 5), "zoned": pd.Timestamp(2026, 1, 2, 1, 4, 5, tz="UTC"), "doc": '{"a": [1]}'},
        **{"list": "[1, 2]", "hour": "03:04:00", "raw": b"\x00\xff", "nothing": pytest.approx(float("nan"), nan_ok=True)},
    }
    assert frame.iloc[1].drop("total").isna().all()
    assert reader.mixed() == {}


def test_a_query_runs_once_however_often_it_is_read(database: sqlalchemy.Engine) -> None:
    reader = query("SELECT random() AS x FROM generate_series(1, 40000)")
    first, second = (pa.Table.from_batches(reader.batches()) for _ in range(2))
    assert first.num_rows == 40_000
    assert first.equals(second)


def test_a_query_may_only_read(database: sqlalchemy.Engine) -> None:
    name = f"t{uuid4().hex}"
    with database.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} AS SELECT 1 AS x")
    for text in (
        f"DELETE FROM {name} RETURNING x",
        f"WITH gone AS (DELETE FROM {name} RETURNING x) SELECT * FROM gone",
        f"DROP TABLE {name}",
    ):
        with pytest.raises(BadInput):
            query(text).rows()
    assert query(f"SELECT * FROM {name}").read()["x"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELEC 1", "syntax error"),
        ("SELECT 1 AS x, 2 AS x", "gives the column `x` more than once"),
        ("SELECT 1/0 AS x", "division by zero"),
    ],
)
def test_a_query_that_is_wrong_is_bad_input(database: sqlalchemy.Engine, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        query(text).read()


def test_an_answer_without_rows_has_its_columns(database: sqlalchemy.Engine) -> None:
    reader = query("SELECT 1 AS x, 'a' AS y WHERE false")
    assert (reader.columns(), reader.rows(), len(reader.read())) == (["x", "y"], 0, 0)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (("W%C3%B6rd@", "wrong-word@"), InfrastructureError),
        (("@127.0.0.1:", "@127.0.0.1:1"), InfrastructureError),
        (("postgresql://", "nothing://"), BadInput),
        (("postgresql://", "postgresql:"), BadInput),
        (("/postgres", "/postgres?options=s3cret-option"), InfrastructureError),
    ],
)
def test_no_message_tells_a_secret(
    postgres: str, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], kind: type[Exception]
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", postgres.replace(*change, 1))
    with pytest.raises(kind) as caught:
        query("SELECT 1").rows()
    said = str(caught.value)
    assert "WAREHOUSE_URL" in said
    assert not any(secret in said for secret in ("s3cret", "Wörd", "W%C3%B6rd", "wrong-word"))


def test_without_its_variable_a_query_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    with pytest.raises(BadInput, match="`WAREHOUSE_URL` is not set"):
        query("SELECT 1").rows()


def test_a_query_is_validated_and_its_url_is_nowhere(database: sqlalchemy.Engine, project: Project, postgres: str) -> None:
    project.write(
        "modelship.yaml",
        "model: flights\ndata:\n  key: id\n  expectations: expectations.yaml\n"
        "  current: {query: 'SELECT 7 AS id, 200.5::numeric AS distance', connection: WAREHOUSE_URL}\n",
    )
    project.write("expectations.yaml", "- expect_column_values_to_be_between: {column: distance, min_value: 300}\n")
    ran = project.run("validate", WAREHOUSE_URL=postgres)
    [table] = project.record("validate")["tables"]
    assert (ran.exit_code, table["path"], table["rows"]) == (1, "query on WAREHOUSE_URL", 1)
    assert table["expectations"][0]["sample-keys"] == ["7"]
    told = ran.log + "".join(path.read_text() for path in (project.directory / ".modelship").rglob("*") if path.is_file())
    assert "s3cret" not in told


# SQLite.


def test_sqlite_keeps_what_it_is_given(tmp_path: Path, warehouse: sqlite3.Connection) -> None:
    warehouse.execute("CREATE TABLE t (id INTEGER, at TEXT, mixed)")
    warehouse.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, "2026-01-01", 5), (2, "2026-01-02 03:04", "x"), (3, None, 2.5)])
    reader = query("SELECT * FROM t", tmp_path)
    assert types(reader) == {"id": "int64", "at": "timestamp", "mixed": "text"}
    assert reader.read()["mixed"].tolist() == ["5", "x", "2.5"]
    mixed = reader.mixed()["mixed"]
    assert (mixed.kind, mixed.values, mixed.others, dict(mixed.sample)) == ("number", 2, 1, {1: "x"})


def test_sqlite_is_neither_written_nor_made(tmp_path: Path, warehouse: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.execute("CREATE TABLE t AS SELECT 1 AS x")
    for text in ("INSERT INTO t VALUES (2) RETURNING x", "DELETE FROM t"):
        with pytest.raises(BadInput):
            query(text, tmp_path).rows()
    assert warehouse.execute("SELECT count(*) FROM t").fetchone() == (1,)
    monkeypatch.setenv("WAREHOUSE_URL", "sqlite:///other.db")
    with pytest.raises(BadInput, match="does not exist"):
        query("SELECT 1", tmp_path).rows()
    assert not (tmp_path / "other.db").exists()


# MLflow.


def logged(mlflow: str, *datasets: tuple[str, str]) -> str:
    """A run on the server that logged datasets of these names and sources."""
    client_library.set_tracking_uri(mlflow)
    client_library.set_experiment("tables")
    with client_library.start_run() as run:
        for name, source in datasets:
            frame = pd.DataFrame({"x": [len(name)]})
            client_library.log_input(client_library.data.from_pandas(frame, source=source, name=name))
    return str(run.info.run_id)


def dataset(run: str, name: str | None = None) -> TableReader:
    return open_table(TableSource(mlflow_run=run, dataset=name), Path())


def test_a_dataset_of_a_run_is_read_from_its_source(tmp_path: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    pd.DataFrame({"x": [1, 2]}).to_parquet(tmp_path / "train.parquet")
    pd.DataFrame({"x": [3]}).to_csv(tmp_path / "test.csv", index=False)
    run = logged(mlflow, ("train", str(tmp_path / "train.parquet")), ("test", str(tmp_path / "test.csv")))
    reader = dataset(run, "train")
    assert (reader.kind, reader.name) == ("Parquet", f"dataset train of MLflow run {run}")
    assert reader.read()["x"].tolist() == [1, 2]
    assert dataset(run, "test").read()["x"].tolist() == [3]
    for name, said in ((None, "several datasets: `test`, `train`"), ("trian", "Did you mean `train`?")):
        with pytest.raises(BadInput, match=said):
            dataset(run, name)


def test_a_dataset_may_lie_at_a_url(tmp_path: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    pd.DataFrame({"x": [4, 5]}).to_parquet(tmp_path / "train.parquet")
    client_library.set_tracking_uri(mlflow)
    client_library.set_experiment("tables")
    with client_library.start_run() as run:
        client_library.log_artifact(str(tmp_path / "train.parquet"), "data")
        path = str(run.info.artifact_uri).removeprefix("mlflow-artifacts:/")
        source = f"{mlflow}/api/2.0/mlflow-artifacts/artifacts/{path}/data/train.parquet"
        client_library.log_input(client_library.data.from_pandas(pd.DataFrame({"x": [1]}), source=source, name="train"))
    (tmp_path / "train.parquet").unlink()
    assert dataset(run.info.run_id).read()["x"].tolist() == [4, 5]


def test_a_dataset_that_is_nowhere_is_bad_input(tmp_path: Path, mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
    client_library.set_tracking_uri(mlflow)
    client_library.set_experiment("tables")
    with client_library.start_run() as unsourced:
        client_library.log_input(client_library.data.from_pandas(pd.DataFrame({"x": [1]}), name="unsourced"))
    client = client_library.MlflowClient(mlflow)
    strange = client.create_run(unsourced.info.experiment_id).info.run_id
    client.log_inputs(strange, [DatasetInput(Dataset(name="strange", digest="0", source_type="carrier-pigeon", source="{}"))])
    asked = {logged(mlflow): "logged no dataset", "0" * 32: "knows no run"}
    asked |= {unsourced.info.run_id: "which is no file", strange: "comes from `carrier-pigeon`, which is no file"}
    for run, said in asked.items():
        with pytest.raises(BadInput, match=said):
            dataset(run)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(BadInput, match="no MLflow server is named"):
        dataset("0" * 32)


# Memory.

MEASURE = """
import resource, sys
from pathlib import Path
from modelship.data.tables.opening import open_table
from modelship.data.tables.profile import profile
found = profile(open_table(sys.argv[1], Path()), sample=1000, seed=0, max_values=100)
assert found.sample.num_rows == 1000
print(found.rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measured(path: Path) -> tuple[int, int]:
    """Rows, and the most memory that profiling them took (bytes)."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "TMPDIR": str(path.parent)}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path.name], cwd=path.parent, env=environment, capture_output=True, check=True
    )
    rows, kilobytes = done.stdout.split()
    return int(rows), int(kilobytes) * 1024


def large(path: Path, rows: int) -> Path:
    """A table whose values are 100 bytes a row and hardly compress, in one row group or block of lines."""
    texts = [f"{number * 2654435761 % 2**32:08x}" * 10 for number in range(20_000)]
    if path.suffix == ".parquet":
        table = pa.table({"text": texts * (rows // 20_000), "number": range(rows)})
        pq.write_table(table, path, row_group_size=rows, use_dictionary=False, compression="none")
    elif path.suffix == ".csv":
        block = "".join(f"{text},{number},2026-01-01\n" for number, text in enumerate(texts))
        path.write_text("text,number,at\n" + block * (rows // 20_000))
    else:
        block = "".join(f'{{"text":"{text}","number":{number}}}\n' for number, text in enumerate(texts))
        path.write_text(block * (rows // 20_000))
    return path


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_memory_does_not_grow_with_the_table(tmp_path: Path, suffix: str) -> None:
    small, big = large(tmp_path / f"small.{suffix}", 200_000), large(tmp_path / f"big.{suffix}", 2_000_000)
    (rows, little), (many, much) = measured(small), measured(big)
    assert (rows, many) == (200_000, 2_000_000)
    grown = big.stat().st_size - small.stat().st_size
    assert grown > 150e6
    assert much - little < grown / 3
