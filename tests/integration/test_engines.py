"""Spark and PostgreSQL answer as memory does: real flights with planted defects, from the command line to the record."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import sqlalchemy
from ruamel.yaml import YAML

from modelship.core.errors import BadInput
from modelship.data.expectations import UNSUPPORTED, ExpectationSpec
from modelship.data.validation import Expectations
from tests.project import warm_modelship

ROOT = Path(__file__).resolve().parents[2]
STORAGE = ROOT / "template-repo" / "dvc-storage" / "files" / "md5"

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For a Java that ends before its best code would have paid: half the time."""

JFK = {"type": "comparison", "column": {"name": "origin"}, "operator": "==", "parameter": "JFK"}

EXPECTATIONS: list[tuple[str, dict[str, Any]]] = [
    ("expect_column_values_to_be_between", {"column": "distance", "min_value": 100, "max_value": 2500}),
    ("expect_column_values_to_be_between", {"column": "scheduled_at", "min_value": "2013-01-01", "max_value": "2013-07-10"}),
    ("expect_column_values_to_be_between", {"column": "temp", "max_value": 70, "row_condition": JFK}),
    ("expect_column_values_to_be_between", {"column": "humid", "max_value": 90, "mostly": 0.8, "severity": "warning"}),
    ("expect_column_values_to_be_in_set", {"column": "origin", "value_set": ["EWR", "JFK"]}),
    ("expect_column_values_to_not_be_in_set", {"column": "carrier", "value_set": ["ZZ"]}),
    ("expect_column_values_to_not_be_null", {"column": "pressure"}),
    ("expect_column_values_to_be_null", {"column": "pressure"}),
    ("expect_column_values_to_be_unique", {"column": "flight_id"}),
    ("expect_column_values_to_match_regex", {"column": "dest", "regex": "^[A-M]"}),
    ("expect_column_value_lengths_to_equal", {"column": "carrier", "value": 2}),
    ("expect_column_mean_to_be_between", {"column": "wind_speed", "max_value": 5}),
    ("expect_column_stdev_to_be_between", {"column": "wind_speed", "max_value": 1}),
    ("expect_column_min_to_be_between", {"column": "hour", "min_value": 6}),
    ("expect_column_max_to_be_between", {"column": "hour", "max_value": 22}),
    ("expect_column_sum_to_be_between", {"column": "late", "max_value": 10}),
    ("expect_column_unique_value_count_to_be_between", {"column": "origin", "max_value": 2}),
    ("expect_column_distinct_values_to_be_in_set", {"column": "origin", "value_set": ["EWR", "JFK"]}),
    ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "pressure", "min_value": 0.99}),
    ("expect_column_most_common_value_to_be_in_set", {"column": "origin", "value_set": ["LGA"]}),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "temp", "column_B": "humid"}),
    ("expect_multicolumn_sum_to_equal", {"column_list": ["month", "hour"], "sum_total": 20}),
    ("expect_column_to_exist", {"column": "visib"}),
    ("expect_table_row_count_to_be_between", {"max_value": 10}),
    ("expect_table_column_count_to_equal", {"value": 16}),
    ("expect_column_values_to_be_between", {"column": "nowhere", "min_value": 1}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Flights of two months; in the second there are defects of every kind that the checks know."""
    digest = YAML(typ="safe", pure=True).load(ROOT / "template-repo" / "data" / "flights.parquet.dvc")["outs"][0]["md5"]
    flights = pd.read_parquet(STORAGE / digest[:2] / digest[2:])
    flights["updated_at"] = flights["scheduled_at"].dt.tz_localize("UTC")
    train = flights[flights["month"] == 6].head(2500)
    current = pd.concat([flights[flights["month"] == 7].head(1500), train.head(7)], ignore_index=True)
    current.loc[3, "carrier"] = "ZZ"
    current.loc[[5, 6], "humid"] = [float("inf"), float("-inf")]
    current.loc[[10, 11], "flight_id"] = current.loc[9, "flight_id"]
    current["dest"] = [f"{place}" if place % 5 else name for place, name in enumerate(current["dest"])]
    train.to_parquet(tmp_path / "train.parquet", index=False)
    # Pandas wrote nanoseconds before its version 3, and many tables are from then.
    current["scheduled_at"] = current["scheduled_at"].astype("datetime64[ns]")
    current["updated_at"] = current["updated_at"].astype("datetime64[ns, UTC]")
    current.to_parquet(tmp_path / "current.parquet", index=False)
    with (tmp_path / "expectations.yaml").open("w", encoding="utf-8") as file:
        YAML().dump([{name: arguments} for name, arguments in EXPECTATIONS], file)
    configure(tmp_path, "train.parquet", "current.parquet")
    return tmp_path


def configure(folder: Path, reference: Any, current: Any, called: Callable[[str], str] = str) -> None:
    data = {"reference": reference, "current": current, "target": called("late"), "key": called("flight_id")}
    data["expectations"] = "expectations.yaml"
    drift = {"sample": 1000, "columns": {called("humid"): "ignore"}}
    with (folder / "modelship.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"model": "flights", "data": data, "drift": drift}, file)


def run(folder: Path, command: str, engine: str, environment: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """The exit code and the record of a command."""
    code, said = start(folder, command, engine, environment)
    path = folder / ".modelship" / f"{command}.json"
    assert path.exists(), said
    return code, json.loads(path.read_text(encoding="utf-8"))


def start(folder: Path, command: str, engine: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of a command, and what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_"))}
    log = folder.parent / f"{folder.name}.log"
    variables = {**kept, "JAVA_TOOL_OPTIONS": SHORT_LIVED, **(environment or {})}
    code = warm_modelship(command).run([command, "--engine", engine], folder, variables, log)
    return code, log.read_text()


def found(record: Mapping[str, Any]) -> list[Any]:
    """What a record says of each table; of repeated keys and the like any five rows may be shown."""
    assert record["problems"] == []
    return [
        (table["role"], table["rows"], table["columns"], [shown(entry) for entry in table["expectations"]])
        for table in record["tables"]
    ]


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    values, _, examples = entry["observed"].partition(" do not: ")
    return {**entry, "observed": (values, set(examples.split(", "))), "sample-keys": set(entry["sample-keys"])}


@pytest.fixture
def database(folder: Path, postgres: str) -> dict[str, str]:
    """The environment in which the flights are answers of a database."""
    engine = sqlalchemy.create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    for name in ("train", "current"):
        pd.read_parquet(folder / f"{name}.parquet").to_sql(f"engines_{name}", engine, index=False, if_exists="replace")
    engine.dispose()
    queries = {name: {"query": f"SELECT * FROM engines_{name} -- 'all'", "connection": "FLIGHTS"} for name in ("train", "current")}
    configure(folder, queries["train"], queries["current"])
    return {"FLIGHTS": postgres}


def test_spark_finds_what_pandas_finds(folder: Path) -> None:
    status, expected = run(folder, "validate", "pandas")
    assert status == 1
    status, record = run(folder, "validate", "spark")
    assert (status, found(record)) == (1, found(expected))
    names = {entry["expectation"] for entry in record["tables"][1]["expectations"] if not entry["holds"]}
    checks = {
        "no_infinite_value",
        "no_new_category",
        "no_mixed_types",
        "no_overlap_with_reference",
        "key_is_unique",
        "column_is_present",
    }
    assert checks <= names
    left = {path.name for path in folder.iterdir()}
    assert left == {".modelship", "train.parquet", "current.parquet", "expectations.yaml", "modelship.yaml"}


def odd(name: str) -> str:
    """A name that means something else to most languages; pandas has no condition on one with a backtick."""
    return f"{name[0]}.{name}{'' if name == 'origin' else '`s'} 100% Größe"


def oddly(arguments: Any) -> Any:
    """An expectation's arguments, in which columns are called so."""
    if isinstance(arguments, str):
        return odd(arguments)
    if isinstance(arguments, list):
        return list(map(odd, arguments))
    about_columns = ("column", "column_A", "column_B", "column_list", "row_condition", "name")
    return {name: oddly(value) if name in about_columns else value for name, value in arguments.items()}


def test_spark_finds_what_pandas_finds_whatever_columns_are_called(folder: Path) -> None:
    for name in ("train", "current"):
        pd.read_parquet(folder / f"{name}.parquet").rename(columns=odd).to_parquet(folder / f"{name}.parquet", index=False)
    columns = list(pd.read_parquet(folder / "train.parquet").columns)
    wanted = [{name: oddly(arguments)} for name, arguments in EXPECTATIONS]
    wanted += [{"expect_table_columns_to_match_set": {"column_set": columns[1:]}}]
    wanted += [{"expect_table_columns_to_match_ordered_list": {"column_list": columns[::-1]}}]
    with (folder / "expectations.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(wanted, file)
    configure(folder, "train.parquet", "current.parquet", odd)
    status, expected = run(folder, "validate", "pandas")
    assert status == 1
    status, record = run(folder, "validate", "spark")
    assert (status, found(record)) == (1, found(expected))
    docs = (folder / ".modelship" / "files" / "data-docs.html").read_text(encoding="utf-8")
    assert "t.tempʹs 100% Größe" in docs
    assert "modelship_column" not in docs + json.dumps(record)


def test_times_that_spark_cannot_read_are_bad_input(folder: Path) -> None:
    configure(folder, "train.parquet", f"file://{folder}/current.parquet")
    status, record = run(folder, "validate", "spark")
    [problem] = record["problems"]
    assert (status, problem["path"]) == (2, f"file://{folder}/current.parquet")
    assert problem["message"].startswith("cannot be read by Spark: it has times in nanoseconds")


def test_postgresql_finds_what_pandas_finds(folder: Path, database: dict[str, str]) -> None:
    _, expected = run(folder, "validate", "pandas", database)
    status, record = run(folder, "validate", "sql", database)
    assert (status, found(record)) == (1, found(expected))


def test_spark_brings_its_own_java(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    programs = tmp_path_factory.mktemp("bin")
    for name in (
        "bash",
        "sh",
        "env",
        "dirname",
        "uname",
        "cat",
        "cut",
        "sha256sum",
        "ps",
        "rm",
        "mktemp",
        "mkdir",
        "mv",
        "touch",
        "git",
        "uv",
    ):
        path = shutil.which(name)
        if path:
            (programs / name).symlink_to(path)
    status, record = run(folder, "drift-report", "spark", {"PATH": str(programs), "JAVA_HOME": ""})
    assert (status, record["problems"]) == (0, [])
    assert {table["role"]: (table["rows"], table["sampled"]) for table in record["tables"]} == {
        "reference": (2500, 1000),
        "current": (1507, 1000),
    }


def test_postgresql_samples_for_drift(folder: Path, database: dict[str, str]) -> None:
    _, whole = run(folder, "drift-report", "pandas", database)
    _, record = run(folder, "drift-report", "sql", database)
    assert [(table["rows"], table["sampled"]) for table in record["tables"]] == [(2500, 1000), (1507, 1000)]
    facts = ("kind", "purpose", "missing")
    assert {column["column"]: [column[name] for name in facts] for column in record["columns"]} == {
        column["column"]: [column[name] for name in facts] for column in whole["columns"]
    }
    _, again = run(folder, "drift-report", "sql", database)
    assert again["columns"] == record["columns"]


NAMES = (
    "a b",
    "a'b",
    'a"b',
    "a:b",
    "a\\b",
    "100%",
    "select",
    "; DROP TABLE x; --",
    "<script>alert(1)</script>",
    "::error::",
)


@pytest.fixture
def hostile(folder: Path) -> Path:
    """Columns of hostile names, and no key."""
    return with_columns(folder, NAMES)


def with_columns(folder: Path, names: Sequence[str]) -> Path:
    """Tables of columns so named, without a key. Some values of each are below zero, in each column others."""
    values = [row % 20 if row % 3 else -(row % 20) - 1 for row in range(60)]
    table = pd.DataFrame({name: [value + place for value in values] for place, name in enumerate(names)})
    table.to_parquet(folder / "train.parquet", index=False)
    (table + 1).to_parquet(folder / "current.parquet", index=False)
    wanted = [{"expect_column_values_to_be_between": {"column": name, "min_value": 0}} for name in names]
    wanted += [{"expect_column_mean_to_be_between": {"column": name, "min_value": 0}} for name in names]
    with (folder / "expectations.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(wanted, file)
    without_key(folder, "train.parquet", "current.parquet")
    return folder


def without_key(folder: Path, reference: Any, current: Any) -> None:
    data = {"reference": reference, "current": current, "expectations": "expectations.yaml"}
    with (folder / "modelship.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"model": "flights", "data": data}, file)


def without_rows(record: Mapping[str, Any]) -> list[Any]:
    """What a record says, less the rows and values that it shows: without a key rows have numbers in memory alone, and any will do."""
    for table in record["tables"]:
        for entry in table["expectations"]:
            entry["sample-keys"], entry["observed"] = [], entry["observed"].partition(" do not: ")[0]
    return found(record)


def test_spark_takes_hostile_names_and_tables_without_a_key(folder: Path) -> None:
    names = (*NAMES, "Temp", "temp")
    with_columns(folder, names)
    _, expected = run(folder, "validate", "pandas")
    status, record = run(folder, "validate", "spark")
    assert (status, without_rows(record)) == (1, without_rows(expected))
    status, record = run(folder, "drift-report", "spark")
    assert (status, {column["column"] for column in record["columns"]}) == (0, set(names))


def test_postgresql_takes_hostile_names_and_tables_without_a_key(hostile: Path, postgres: str) -> None:
    _, expected = run(hostile, "validate", "pandas")
    columns = ", ".join('"' + name.replace('"', '""') + '" bigint' for name in NAMES)
    with psycopg.connect(postgres) as connection:
        for name in ("train", "current"):
            connection.execute(f"CREATE TABLE hostile_{name} ({columns})".encode())
            with connection.cursor().copy(f"COPY hostile_{name} FROM STDIN".encode()) as copy:
                for row in pd.read_parquet(hostile / f"{name}.parquet").itertuples(index=False):
                    copy.write_row([int(value) for value in row])
    queries = [{"query": f"SELECT * FROM hostile_{name}", "connection": "FLIGHTS"} for name in ("train", "current")]
    without_key(hostile, *queries)
    status, record = run(hostile, "validate", "sql", {"FLIGHTS": postgres})
    for table, query in zip(expected["tables"], record["tables"], strict=True):
        table["path"] = query["path"]
    assert (status, without_rows(record)) == (1, without_rows(expected))
    status, record = run(hostile, "drift-report", "sql", {"FLIGHTS": postgres})
    assert (status, {column["column"] for column in record["columns"]}) == (0, set(NAMES))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT 1 AS x WHERE '100%' <> 'b'", "`%` in the query on `FLIGHTS` is doubled"),
        (r"SELECT 1 AS x WHERE 'a\:b' <> 'b'", "`:b` in the query on `FLIGHTS` is a parameter"),
        ('SELECT 1 AS x, -1 AS "X"', "are one column to Great Expectations"),
        ('SELECT 1 AS x, 2 AS "a :$b"', "`:$b` in the query on `FLIGHTS` is a parameter"),
    ],
)
def test_a_query_that_would_be_another_one_is_bad_input(query: str, told: str, folder: Path, postgres: str) -> None:
    without_key(folder, {"query": query, "connection": "FLIGHTS"}, {"query": query, "connection": "FLIGHTS"})
    (folder / "expectations.yaml").write_text("- expect_column_values_to_be_between: {column: x, min_value: 0}\n", encoding="utf-8")
    status, record = run(folder, "validate", "sql", {"FLIGHTS": postgres})
    assert status == 2
    assert told in record["problems"][0]["message"]


def test_a_condition_that_leaves_no_row_checks_nothing_in_a_database(folder: Path, database: dict[str, str]) -> None:
    nowhere = {**JFK, "parameter": "XYZ"}
    with (folder / "expectations.yaml").open("w", encoding="utf-8") as file:
        YAML().dump([{"expect_column_values_to_be_between": {"column": "temp", "max_value": 70, "row_condition": nowhere}}], file)
    status, record = run(folder, "validate", "sql", database)
    assert (status, record["problems"]) == (1, [])
    told = {entry["observed"] for table in record["tables"] for entry in table["expectations"] if entry["column"] == "temp"}
    assert told == {"nothing was checked: the row condition leaves no value"}


@pytest.mark.parametrize("engine", ["spark", "sql"])
def test_what_an_engine_does_not_check_is_bad_input(engine: Any) -> None:
    for name in UNSUPPORTED[engine]:
        with pytest.raises(BadInput) as error:
            Expectations([ExpectationSpec(name, {}, "expectations.yaml", 1)], {engine})
        [problem] = error.value.problems
        assert f"does not check `{name}` with `data.engine: {engine}`" in problem.message
        assert problem.remedy


def test_types_in_the_words_of_pandas_are_bad_input_to_spark() -> None:
    named = {"column": "month", "type_list": ["LongType", "int64"]}
    with pytest.raises(BadInput, match="Spark has no type `int64`"):
        Expectations([ExpectationSpec("expect_column_values_to_be_in_type_list", named, "expectations.yaml", 1)], {"spark"})
    Expectations(
        [ExpectationSpec("expect_column_values_to_be_of_type", {"column": "month", "type_": "LongType"}, "e.yaml")], {"spark"}
    )


def test_a_condition_in_the_words_of_pandas_is_bad_input_in_a_database() -> None:
    arguments = {"column": "temp", "max_value": 70, "row_condition": 'origin == "JFK"'}
    with pytest.raises(BadInput, match="no text as the `row_condition`"):
        Expectations([ExpectationSpec("expect_column_values_to_be_between", arguments, "expectations.yaml", 1)], {"sql"})


@pytest.mark.parametrize(
    ("engine", "installed", "lacking"),
    [("sql", ["sqlalchemy", "psycopg", "pyarrow"], "great_expectations"), ("spark", ["pyspark"], "great_expectations and pyarrow")],
)
def test_a_part_of_what_an_engine_needs_is_not_enough(
    engine: str, installed: list[str], lacking: str, folder: Path, tmp_path: Path
) -> None:
    """As after `pip install modelship[sql]`: there is no launcher, and no library but these."""
    home = tmp_path / "site"
    shutil.copytree(ROOT / "scripts" / "modelship", home / "modelship", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("click", "msgspec", "ruamel"):
        [origin] = importlib.import_module(name).__path__[:1]
        (home / name).symlink_to(origin)
    for name in installed:
        (home / name).mkdir()
        (home / name / "__init__.py").touch()
    started = f"import sys; sys.path.insert(0, {str(home)!r}); from modelship.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", started, "validate", "--engine", engine],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    extra = {"sql": "data-sql", "spark": "spark"}[engine]
    assert f"this needs {lacking}. Install it: pip install 'modelship[{extra}]'" in ended.stderr


@pytest.mark.parametrize(
    ("query", "expectation"),
    [
        ("SELECT 1 / (2 - 2) AS flight_id", "- expect_column_values_to_not_be_null: {column: flight_id}"),
        ("SELECT 1 AS flight_id FROM nowhere", "- expect_column_values_to_not_be_null: {column: flight_id}"),
        ("SELECT 1 AS flight_id, 'a' AS name", "- expect_column_values_to_match_regex: {column: name, regex: '('}"),
    ],
)
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_no_failure_of_a_database_tells_its_password(
    query: str, expectation: str, password: str, tmp_path: Path, postgres: str
) -> None:
    (tmp_path / "expectations.yaml").write_text(expectation, encoding="utf-8")
    data = f'{{current: {{query: "{query}", connection: FLIGHTS}}, key: flight_id, expectations: expectations.yaml}}'
    (tmp_path / "modelship.yaml").write_text(f"model: flights\ndata: {data}\n", encoding="utf-8")
    address = postgres if password == "right" else postgres.replace("s3cret", "s3creT")
    code, said = start(tmp_path, "validate", "sql", {"FLIGHTS": address})
    assert code in ((2,) if password == "right" else (2, 3)), said
    told = said + "".join(path.read_text() for path in (tmp_path / ".modelship").rglob("*") if path.is_file())
    assert "s3cre" not in told.lower()
