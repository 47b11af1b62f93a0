"""`modelship validate` with the real Great Expectations, from the command line to the record."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from modelship.cli import modelship
from modelship.core.records import Expectation, ValidateRecord, read_record
from modelship.data.validation import load_great_expectations

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CONFIG = "model: flights\ndata:\n  current: holdout.parquet\n  target: late\n  key: id\n  expectations: expectations.yaml\n"
HOLDS = "- expect_column_values_to_be_between: {column: distance, min_value: 0}\n"


@dataclass(frozen=True)
class Run:
    exit_code: int
    output: str
    record: ValidateRecord

    def failing(self, table: int = 0) -> dict[str, Expectation]:
        return {entry.expectation: entry for entry in self.record.tables[table].expectations if not entry.holds}


Validate = Callable[..., Run]


def flights(**changes: Any) -> pd.DataFrame:
    columns = {"id": [11, 12, 13, 14], "distance": [200, 300, 400, 500], "carrier": ["UA", "AA", "UA", "DL"], "late": [0, 1, 0, 0]}
    return pd.DataFrame({**columns, **changes})


@pytest.fixture
def validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Validate:
    """Run the command in a folder with these expectations and this holdout table."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "MODELSHIP_"))]:
        monkeypatch.delenv(name)

    def run(
        expectations: str = HOLDS,
        table: pd.DataFrame | None = None,
        *options: str,
        config: str = CONFIG,
        env: Mapping[str, str] | None = None,
    ) -> Run:
        Path("modelship.yaml").write_text(config, encoding="utf-8")
        Path("expectations.yaml").write_text(expectations, encoding="utf-8")
        if not Path("holdout.parquet").exists():
            (flights() if table is None else table).to_parquet("holdout.parquet", index=False)
        result = CliRunner().invoke(modelship, ["validate", *options], env=dict(env or {}))
        record = read_record(Path(".modelship/validate.json"), "validate")
        assert isinstance(record, ValidateRecord)
        return Run(result.exit_code, result.output, record)

    return run


def test_expectations_that_hold_pass(validate: Validate) -> None:
    flights(id=[1, 2, 3, 4], distance=[201, 301, 401, 501]).to_parquet("train.parquet")
    run = validate(
        HOLDS + "- expect_column_values_to_be_in_set: {column: carrier, value_set: [UA, AA, DL]}\n",
        None,
        "--reference",
        "train.parquet",
    )
    assert (run.exit_code, run.record.status) == (0, "pass")
    assert run.record.summary == "4 of 4 expectations hold on 2 tables"
    assert [(table.role, table.rows, table.columns) for table in run.record.tables] == [("reference", 4, 4), ("current", 4, 4)]
    assert run.record.model == "flights"
    between = run.record.tables[1].expectations[0]
    assert (between.column, between.arguments, between.observed) == ("distance", {"min_value": "0"}, "all 4 hold")


def test_a_critical_failure_says_which_rows(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_in_set: {column: carrier, value_set: [UA]}\n" + HOLDS)
    assert (run.exit_code, run.record.status) == (1, "fail")
    assert run.record.summary == "1 of 2 expectations fails on holdout.parquet: values to be in set (carrier)"
    failed = run.record.tables[0].expectations[0]
    assert (failed.holds, failed.failed_rows, failed.sample_keys) == (False, 2, ("12", "14"))
    assert failed.observed == "2 of 4 (50%) do not: AA, DL"
    assert run.output.count("expect_column_values_to_be_in_set") == 1
    said = "(carrier) · value_set UA · 2 of 4 (50%) do not: AA, DL · see 12, 14 · expectations.yaml:1\n"
    assert f"✗ expect_column_values_to_be_in_set {said}" in run.output


def test_failing_rows_that_lack_their_key_are_numbered(validate: Validate) -> None:
    run = validate("- expect_column_values_to_not_be_null: {column: id}\n" + HOLDS, flights(id=[11, None, 13, None]))
    assert run.failing()["expect_column_values_to_not_be_null"].sample_keys == ("row 1", "row 3")


def test_without_a_key_failing_rows_are_numbered(validate: Validate) -> None:
    config = CONFIG.replace("  key: id\n", "")
    run = validate("- expect_column_values_to_be_between: {column: distance, max_value: 400}\n", config=config)
    assert run.failing()["expect_column_values_to_be_between"].sample_keys == ("row 3",)


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_a_mild_failure_warns_and_passes(validate: Validate, severity: str) -> None:
    run = validate(f"- expect_column_values_to_be_between: {{column: distance, min_value: 450, severity: {severity}}}\n")
    assert (run.exit_code, run.record.status) == (0, "warn")
    assert run.failing()["expect_column_values_to_be_between"].severity == severity
    assert "1 of 1 expectation fails on holdout.parquet (none is critical)" in run.record.summary


def test_mostly_allows_some_rows(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_between: {column: distance, min_value: 250, mostly: 0.7}\n")
    assert run.exit_code == 0
    assert run.record.tables[0].expectations[0].observed == "1 of 4 (25%) do not: 200"


def test_a_suite_as_json(validate: Validate, tmp_path: Path) -> None:
    item = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "distance", "max_value": 100}, "severity": "warning"}
    (tmp_path / "suite.json").write_text(json.dumps({"name": "flights", "expectations": [item], "meta": {}}))
    run = validate(HOLDS, None, "--expectations", "suite.json")
    assert (run.exit_code, run.failing()["expect_column_mean_to_be_between"].observed) == (0, "350")


def test_a_project_that_great_expectations_wrote(validate: Validate, tmp_path: Path) -> None:
    gx, _ = load_great_expectations()
    context = gx.get_context(mode="file", project_root_dir=tmp_path)
    asset = context.data_sources.add_pandas("elsewhere").add_dataframe_asset("flights")
    data = asset.add_batch_definition_whole_dataframe("all")
    known = gx.expectations
    long = known.row_conditions.Column("distance") > 250
    suites = {
        "base": [known.ExpectColumnValuesToBeInSet(column="carrier", value_set=["UA", "AA"], severity="warning", row_condition=long)],
        "labels.late": [known.ExpectColumnValuesToBeInSet(column="late", value_set=[0, 1])],
    }
    definitions = [
        context.validation_definitions.add(
            gx.ValidationDefinition(
                name=f"{name} flights", data=data, suite=context.suites.add(gx.ExpectationSuite(name, expectations=of))
            )
        )
        for name, of in suites.items()
    ]
    for name, chosen in {"nightly": definitions, "labels only": definitions[1:]}.items():
        context.checkpoints.add(gx.Checkpoint(name=name, validation_definitions=chosen))

    run = validate(HOLDS, None, "--expectations", "gx", "--checkpoint", "nightly")
    assert (run.exit_code, len(run.record.tables[0].expectations)) == (0, 2)
    failed = run.failing()["expect_column_values_to_be_in_set"]
    assert (failed.severity, failed.column, failed.sample_keys) == ("warning", "carrier", ("14",))
    assert validate(HOLDS, None, "--expectations", "gx", "--checkpoint", "labels only").record.status == "pass"
    run = validate(HOLDS, None, "--expectations", "gx")
    assert (run.exit_code, run.record.problems[0].path) == (2, "gx/great_expectations.yml")


# What Great Expectations lets pass, and we do not.


def test_no_rows_fail(validate: Validate) -> None:
    run = validate(table=flights().head(0))
    assert (run.exit_code, list(run.failing())) == (1, ["table_has_rows"])
    assert run.record.tables[0].rows == 0
    assert run.record.notices


def test_an_empty_suite_is_an_error(validate: Validate) -> None:
    for text in ("[]\n", "expectations: []\n"):
        run = validate(text)
        assert (run.exit_code, run.record.status) == (2, "error")
        assert run.record.problems[0].path == "expectations.yaml"


@pytest.mark.parametrize(
    "entry",
    [
        "expect_column_values_to_be_between: {column: wind, min_value: 0}",
        "expect_column_values_to_be_in_set: {column: wind, value_set: [1]}",
        "expect_column_values_to_match_regex: {column: wind, regex: x}",
        "expect_column_values_to_be_unique: {column: wind}",
        "expect_column_distinct_values_to_be_in_set: {column: wind, value_set: [1]}",
        "expect_column_sum_to_be_between: {column: wind, min_value: 0}",
        "expect_column_values_to_be_of_type: {column: wind, type_: int}",
        "expect_column_pair_values_to_be_equal: {column_A: wind, column_B: late, ignore_row_if: either_value_is_missing}",
        "expect_compound_columns_to_be_unique: {column_list: [wind, id], ignore_row_if: any_value_is_missing}",
    ],
)
@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_an_all_null_column_fails(validate: Validate, entry: str, nothing: float | None) -> None:
    run = validate(f"- {entry}\n", flights(wind=[nothing] * 4))
    assert (run.exit_code, list(run.failing())) == (1, ["column_is_not_all_null"])
    assert run.failing()["column_is_not_all_null"].column == "wind"


def test_an_all_null_column_may_be_expected(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_null: {column: wind}\n", flights(wind=[None] * 4))
    assert run.exit_code == 0


@pytest.mark.parametrize(
    "entry",
    [
        "expect_column_values_to_be_between: {column: distance, min_value: 0, row_condition: 'carrier == \"HA\"'}",
        "expect_column_sum_to_be_between: {column: distance, min_value: 0, row_condition: 'carrier == \"HA\"'}",
        "expect_column_sum_to_be_between: {column: wind, min_value: 0, row_condition: 'carrier == \"UA\"', condition_parser: pandas}",
        "expect_column_values_to_not_be_null: {column: distance, row_condition: 'carrier == \"HA\"'}",
        "expect_column_pair_values_to_be_equal: {column_A: id, column_B: wind, ignore_row_if: either_value_is_missing,"
        " row_condition: 'carrier == \"UA\"'}",
    ],
)
def test_a_row_condition_that_leaves_nothing_fails(validate: Validate, entry: str) -> None:
    run = validate(f"- {entry}\n", flights(wind=[None, 2.0, None, 4.0]))
    [failed] = run.failing().values()
    assert (run.exit_code, failed.observed.split(":")[0]) == (1, "nothing was checked")


def test_a_row_condition_that_leaves_rows_counts_those(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_between: {column: distance, max_value: 300, row_condition: 'carrier == \"UA\"'}\n")
    failed = run.failing()["expect_column_values_to_be_between"]
    assert (failed.observed, failed.sample_keys) == ("1 of 2 (50%) do not: 400", ("13",))
    none = validate("- expect_table_row_count_to_equal: {value: 0, row_condition: 'carrier == \"HA\"'}\n")
    assert none.exit_code == 0


def test_text_is_not_an_object_and_is_told_so(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_of_type: {column: carrier, type_: object}\n")
    assert run.exit_code == 1
    assert run.failing()["expect_column_values_to_be_of_type"].observed.startswith("str (pandas 3 keeps text as `str`")
    assert validate("- expect_column_values_to_be_of_type: {column: carrier, type_: str}\n").exit_code == 0


def test_what_does_not_fit_a_column_says_what_the_column_is(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_between: {column: carrier, min_value: 0}\n")
    [problem] = run.record.problems
    assert (run.exit_code, problem.path, problem.line) == (2, "expectations.yaml", 1)
    assert problem.remedy == "There `carrier` is text: does the expectation fit?"


@pytest.mark.parametrize(("column", "kind", "forbidden"), [("distance", "int64", "'400'"), ("carrier", "text", "7")])
def test_what_a_column_cannot_hold_is_no_use_forbidding(validate: Validate, column: str, kind: str, forbidden: str) -> None:
    run = validate(f"{HOLDS}- expect_column_values_to_not_be_in_set: {{column: {column}, value_set: [{forbidden}]}}\n")
    [problem] = run.record.problems
    assert (run.exit_code, problem.line) == (2, 2)
    assert problem.message.endswith(f"the column is {kind}.")
    right = {"distance": "401", "carrier": "'7'"}[column]
    assert validate(f"- expect_column_values_to_not_be_in_set: {{column: {column}, value_set: [{right}]}}\n").exit_code == 0


def test_expectations_that_are_not_there_can_be_proposed(validate: Validate) -> None:
    run = validate(HOLDS, None, "--expectations", "absent.yaml")
    [problem] = run.record.problems
    assert (run.exit_code, problem.path) == (2, "absent.yaml")
    assert "modelship validate --suggest absent.yaml" in problem.remedy


def test_paths_beside_the_configuration_are_told_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("expectations.yaml").write_text(HOLDS, encoding="utf-8")
    Path("sub/modelship.yaml").write_text(
        "model: m\ndata: {current: ../absent.parquet, expectations: ../expectations.yaml}\n", encoding="utf-8"
    )
    result = CliRunner().invoke(modelship, ["validate", "--config", "sub/modelship.yaml"])
    assert result.exit_code == 2
    assert "error: modelship validate: absent.parquet: does not exist." in result.output


# Identity of the table.


def test_duplicate_keys_and_missing_keys_fail(validate: Validate) -> None:
    run = validate(table=flights(id=[11, 11, None, 14]))
    assert run.exit_code == 1
    assert run.failing()["key_is_unique"].sample_keys == ("11",)
    assert run.failing()["key_is_unique"].failed_rows == 2
    assert run.failing()["key_is_not_null"].sample_keys == ("row 2",)
    assert "✗ key_is_unique (id) · 2 rows share 1 key · see 11 · modelship.yaml:5" in run.output


def test_absent_target_and_key_fail(validate: Validate) -> None:
    run = validate(table=flights().rename(columns={"late": "lates", "id": "idx"}))
    assert (run.exit_code, sorted(run.failing())) == (1, ["key_is_present", "target_is_present"])
    assert "Did you mean `lates`?" in run.failing()["target_is_present"].observed


def test_a_target_without_values_fails(validate: Validate) -> None:
    assert list(validate(table=flights(late=[None] * 4)).failing()) == ["target_is_not_all_null"]


def test_an_absent_column_fails_and_the_rest_is_checked(validate: Validate) -> None:
    run = validate("- expect_column_values_to_be_between: {column: distnace, min_value: 0, severity: info}\n" + HOLDS)
    assert (run.exit_code, list(run.failing())) == (1, ["column_is_present"])
    assert "Did you mean `distance`?" in run.failing()["column_is_present"].observed
    assert len(run.record.tables[0].expectations) == 2


def test_expect_column_to_exist_is_left_to_great_expectations(validate: Validate) -> None:
    run = validate("- expect_column_to_exist: {column: wind, severity: warning}\n")
    assert (run.exit_code, list(run.failing())) == (0, ["expect_column_to_exist"])


def test_duplicate_column_names_fail(validate: Validate, tmp_path: Path) -> None:
    columns = [pa.array([1, 2])] * 3
    pq.write_table(pa.Table.from_arrays(columns, names=["id", "late", "late"]), tmp_path / "holdout.parquet")
    run = validate()
    assert (run.exit_code, list(run.failing())) == (1, ["column_names_are_unique"])
    Path("twice.csv").write_text("id,distance,late,late\n1,2,0,1\n")
    run = validate(HOLDS, None, "--current", "twice.csv")
    assert (run.exit_code, list(run.failing())) == (1, ["column_names_are_unique"])


# Input that cannot be judged.


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        ("expect_column_values_to_be_betwen: {column: id}", 2, "Did you mean `expect_column_values_to_be_between`?"),
        ("expect_column_values_to_be_between: {column: id, min_valu: 0}", 2, "Did you mean `min_value`?"),
        ("expect_column_values_to_be_between: {column: id, min_value: low}", 2, "valid float"),
        ("expect_column_values_to_be_between: {column: id, min_value: 1, mostly: 3}", 2, "less than or equal to 1"),
        ("expect_column_values_to_be_between: {column: id, min_value: 1, severity: bad}", 2, "'critical', 'warning', 'info'"),
        ("expect_column_values_to_be_between: {column: id}", 2, "cannot both be None"),
        ("expect_column_mean_to_be_between: {column: id}", 2, "checks nothing"),
        ("expect_column_values_to_match_regex: {column: id}", 2, "checks nothing"),
        ("expect_column_values_to_be_in_set: {column: id}", 2, "needs `value_set`"),
        ("expect_multicolumn_values_to_be_unique: {column_list: [id]}", 2, "unknown expectation"),
    ],
)
def test_a_wrong_expectation_is_named_with_its_line(validate: Validate, entry: str, line: int, said: str) -> None:
    run = validate(f"{HOLDS}- {entry}\n")
    assert (run.exit_code, run.record.status) == (2, "error")
    [problem] = run.record.problems
    assert said in str(problem)
    assert (problem.path, problem.line) == ("expectations.yaml", line)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("expect_column_mean_to_be_between: {column: carrier, min_value: 0}", "mean"),
        ("expect_column_values_to_be_between: {column: carrier, min_value: 0}", "same type"),
        ("expect_column_values_to_be_between: {column: id, min_value: 0, row_condition: nope == 3}", "nope"),
        ("expect_column_values_to_match_regex: {column: carrier, regex: '['}", "missing ]"),
    ],
)
def test_an_expectation_that_raises_is_an_error(validate: Validate, entry: str, said: str) -> None:
    run = validate(f"{HOLDS}- {entry}\n")
    assert (run.exit_code, run.record.status) == (2, "error")
    assert said in run.record.problems[0].message
    assert run.record.problems[0].line == 2


def test_nothing_configured_is_an_error(validate: Validate) -> None:
    for config in (
        "model: flights\n",
        CONFIG.replace("  current: holdout.parquet\n", ""),
        "model: flights\ndata: {current: holdout.parquet}\n",
    ):
        run = validate(config=config)
        assert (run.exit_code, run.record.problems[0].path) == (2, "modelship.yaml")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.parquet", None, "does not exist"),
        ("holdout.xlsx", b"x", "suffix"),
        ("torn.parquet", b"PAR1xxxxxxxxxxxx", "cannot be read as Parquet"),
        ("empty.csv", b"", "is empty"),
        ("wide.csv", b"id,distance,late\n1,2,0\n1,2,3,4\n", "cannot be read as CSV"),
        ("shifted.csv", b"id,distance,late\n1,2,3,4\n1,2,3,4\n", "cannot be read as CSV"),
        ("torn.csv.gz", gzip.compress(b"id,distance,late\n1,2,0\n" * 1000, mtime=0)[:-20], "cannot be read as CSV"),
        ("latin.csv", "id,distance,late,é\n".encode("latin-1"), "is no UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_an_error(validate: Validate, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    run = validate(HOLDS, None, "--current", name)
    assert (run.exit_code, run.record.problems[0].path) == (2, name)
    assert said in run.record.problems[0].message


def test_csv_is_read_gzipped_or_not(validate: Validate) -> None:
    flights().to_csv("plain.csv", index=False)
    flights().to_csv("packed.csv.gz", index=True)
    for name, columns in (("plain.csv", 4), ("packed.csv.gz", 5)):
        run = validate(HOLDS, None, "--current", name)
        assert (run.exit_code, run.record.tables[0].rows, run.record.tables[0].columns) == (0, 4, columns)


def test_a_slice_of_a_table_keeps_its_keys(validate: Validate) -> None:
    flights().iloc[2:].to_parquet("slice.parquet")
    run = validate("- expect_column_values_to_be_between: {column: distance, max_value: 450}\n", None, "--current", "slice.parquet")
    assert run.failing()["expect_column_values_to_be_between"].sample_keys == ("14",)


def test_a_dot_in_a_column_name_is_only_a_dot(validate: Validate) -> None:
    table = flights(**{"wind.speed": [1, 2, 3, 4], "wind": [0, 0, 0, 0]})
    run = validate("- expect_column_values_to_be_between: {column: wind.speed, min_value: 1}\n", table)
    assert (run.exit_code, run.record.tables[0].columns) == (0, 6)


def test_columns_in_order(validate: Validate) -> None:
    run = validate("- expect_table_columns_to_match_ordered_list: {column_list: [id, distance, late, carrier]}\n")
    failed = run.failing()["expect_table_columns_to_match_ordered_list"]
    assert failed.arguments == {"column_list": "id, distance, late, carrier"}
    assert failed.observed == "id, distance, carrier, late"


def test_a_pandas_index_is_a_column(validate: Validate) -> None:
    flights().set_index(["id", "carrier"]).to_parquet("indexed.parquet")
    assert validate(HOLDS, None, "--current", "indexed.parquet").exit_code == 0


def test_a_date_is_a_limit_for_times(validate: Validate) -> None:
    table = flights(at=pd.to_datetime(["2013-01-01 05:00", "2013-03-01 07:30", "2013-05-01 00:00", "2013-07-01 12:00"]))
    run = validate("- expect_column_values_to_be_between: {column: at, min_value: 2013-01-01, max_value: 2013-06-30}\n", table)
    assert run.failing()["expect_column_values_to_be_between"].sample_keys == ("14",)


# Rows that the model learns from and is judged on.


def test_a_key_in_both_tables_is_a_warning_with_the_rows(validate: Validate) -> None:
    flights(id=[1, 2, 13, 11], distance=[1, 2, 3, 4]).to_csv("train.csv", index=False)
    run = validate(HOLDS, None, "--reference", "train.csv")
    assert (run.exit_code, run.record.status) == (0, "warn")
    assert run.failing(0) == {}
    found = run.failing(1)["no_overlap_with_reference"]
    assert (found.severity, found.column, found.failed_rows, found.sample_keys) == ("warning", "id", 2, ("11", "13"))
    assert found.observed == "2 of 4 rows with a key of the reference"
    assert "✗ [warning] no_overlap_with_reference (id) · 2 of 4 rows with a key of the reference · see 11, 13" in run.output
    assert run.record.summary.endswith(
        "1 of 2 expectations fails on holdout.parquet (none is critical): no overlap with reference (id)"
    )


def test_copied_rows_are_a_warning_whatever_their_key(validate: Validate) -> None:
    flights(id=[1, 2, 3, 4], distance=[200, 300, 1, 2]).to_parquet("train.parquet")
    run = validate(HOLDS, None, "--reference", "train.parquet")
    found = run.failing(1)["no_overlap_with_reference"]
    assert (found.column, found.failed_rows, found.sample_keys) == (None, 2, ("11", "12"))
    assert found.observed == "2 of 4 rows equal to one of the reference"


def test_keys_and_rows_are_told_together_and_rows_counted_once(validate: Validate) -> None:
    flights(id=[11, 2, 3, 4], distance=[200, 300, 1, 2]).to_parquet("train.parquet")
    found = validate(HOLDS, None, "--reference", "train.parquet").failing(1)["no_overlap_with_reference"]
    assert (found.failed_rows, found.sample_keys) == (2, ("11", "12"))
    assert found.observed == "1 of 4 rows with a key of the reference; 2 of 4 rows equal to one of the reference"


def test_without_a_key_copied_rows_are_numbered(validate: Validate) -> None:
    flights(distance=[1, 300, 2, 3]).to_csv("train.csv", index=False)
    run = validate(HOLDS, None, "--reference", "train.csv", config=CONFIG.replace("  key: id\n", ""))
    found = run.failing(1)["no_overlap_with_reference"]
    assert (found.failed_rows, found.sample_keys) == (1, ("row 1",))


def test_a_key_that_one_table_lacks_is_no_reason_to_stop(validate: Validate) -> None:
    flights(distance=[1, 300, 2, 3]).drop(columns="id").to_parquet("train.parquet")
    run = validate(HOLDS, None, "--reference", "train.parquet")
    assert list(run.failing(0)) == ["key_is_present"]
    assert run.failing(1)["no_overlap_with_reference"].sample_keys == ("12",)


@pytest.mark.parametrize("broken", [flights().head(0), pd.concat([flights(), flights()[["late"]]], axis=1)])
def test_a_table_that_is_not_read_is_not_compared(validate: Validate, broken: pd.DataFrame) -> None:
    broken.to_csv("train.csv", index=False)
    run = validate(HOLDS, None, "--reference", "train.csv")
    assert run.exit_code == 1
    assert len(run.failing(0)) == 1
    assert run.failing(1) == {}


# Checks beside the expectations.


def many(**changes: Any) -> pd.DataFrame:
    rows = range(200)
    columns = {"id": rows, "distance": [200 + row for row in rows], "carrier": ["UA", "AA"] * 100, "late": [0, 0, 0, 1] * 50}
    return pd.DataFrame({**columns, **changes})


def later(**changes: Any) -> pd.DataFrame:
    return many(id=range(1000, 1200), distance=[900 + row for row in range(200)], **changes)


CHECKED = CONFIG.replace("  current:", "  reference: train.parquet\n  current:")


def test_two_tables_alike_pass(validate: Validate) -> None:
    many().to_parquet("train.parquet")
    run = validate(HOLDS, later(), config=CHECKED)
    assert (run.exit_code, run.record.status, run.failing(0), run.failing(1)) == (0, "pass", {}, {})


def test_what_differs_from_the_reference_is_told_with_its_rows(validate: Validate) -> None:
    many(weather=1.0).to_parquet("train.parquet")
    run = validate(
        HOLDS, later(carrier=["UA", "HA"] * 100, tail="N1").assign(distance=[str(row) for row in range(200)]), config=CHECKED
    )
    assert (run.exit_code, run.record.status) == (1, "fail")
    failing = run.failing(1)
    assert {name: (entry.column, entry.severity) for name, entry in failing.items()} == {
        "no_changed_type": ("distance", "critical"),
        "no_missing_column": ("weather", "critical"),
        "no_new_category": ("carrier", "warning"),
        "no_unexpected_column": ("tail", "warning"),
    }
    new = failing["no_new_category"]
    assert (new.failed_rows, new.sample_keys) == (100, ("1001", "1003", "1005", "1007", "1009"))
    assert run.failing(0) == {}
    assert run.record.summary.endswith("4 of 4 expectations fail on holdout.parquet: weather, distance, tail and 1 more")


def test_what_cannot_be_checked_for_a_reason_that_blocks_is_no_error(validate: Validate) -> None:
    many().to_parquet("train.parquet")
    text = later().assign(distance=["far"] * 200)
    run = validate(HOLDS, text, config=CHECKED)
    assert (run.exit_code, list(run.failing(1))) == (1, ["no_changed_type"])
    assert run.record.notices == ("holdout.parquet: 1 of 1 expectations were not checked: a pre-check failed.",)
    run = validate(HOLDS, text, config=f"{CHECKED}  checks: {{changed-type: warning}}\n")
    assert (run.exit_code, run.record.problems[0].path) == (2, "expectations.yaml")


@pytest.mark.parametrize(("effect", "status", "severity"), [("critical", "fail", "critical"), ("warning", "warn", "warning")])
def test_the_team_says_what_a_check_does(validate: Validate, effect: str, status: str, severity: str) -> None:
    many().to_parquet("train.parquet")
    config = f"{CHECKED}  checks: {{unexpected-column: {effect}, overlap-with-reference: ignore}}\n"
    run = validate(HOLDS, many(tail="N1"), config=config)
    assert (run.record.status, {name: entry.severity for name, entry in run.failing(1).items()}) == (
        status,
        {"no_unexpected_column": severity},
    )


def test_an_ignored_check_is_not_made(validate: Validate) -> None:
    many().to_parquet("train.parquet")
    run = validate(HOLDS, later(tail="N1"), config=f"{CHECKED}  checks: {{unexpected-column: ignore}}\n")
    assert (run.record.status, run.failing(1)) == ("pass", {})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("checks: {unexpected-columns: ignore}", "Did you mean `unexpected-column`?"),
        ("checks: {unexpected-column: info}", "Allowed: `critical` or `ignore` or `warning`."),
        ("class-floor: 120%", "class-floor"),
    ],
)
def test_a_wrong_check_is_named(validate: Validate, line: str, said: str) -> None:
    run = validate(HOLDS, config=f"{CONFIG}  {line}\n")
    [problem] = run.record.problems
    assert (run.exit_code, problem.path, problem.line) == (2, "modelship.yaml", 7)
    assert said in str(problem)


def test_a_floor_needs_a_target(validate: Validate) -> None:
    run = validate(HOLDS, config=f"{CONFIG.replace('target: late', '')}  class-floor: 5%\n")
    assert run.exit_code == 2
    assert "`data.target` names none" in run.record.problems[0].message


def test_classes_have_a_floor(validate: Validate) -> None:
    run = validate(HOLDS, many(late=["no"] * 195 + ["yes"] * 5), config=f"{CONFIG}  class-floor: 5%\n")
    assert run.exit_code == 1
    failing = {name: (entry.severity, entry.observed) for name, entry in run.failing().items()}
    assert failing == {
        "no_class_below_floor": ("critical", "5 of 200 rows (2.5%) are `yes`"),
        "no_rare_class": ("warning", "only 5 of 200 rows are `yes`"),
    }


def test_infinite_and_mixed_values_are_told_with_their_rows(validate: Validate) -> None:
    table = many(distance=[*range(199), float("inf")], price=[*map(str, range(198)), "free", "?"])
    table.to_csv("holdout.csv", index=False)
    failing = validate(HOLDS, None, "--current", "holdout.csv").failing()
    assert failing["no_infinite_value"].sample_keys == ("199",)
    assert failing["no_mixed_types"].sample_keys == ("198", "199")
    assert failing["no_mixed_types"].observed == "2 of 200 values are no number, as the others are: free, ?"


def test_a_feature_that_knows_the_answer_is_told(validate: Validate) -> None:
    many(delay=[3, 5, 8, 40] * 50).to_parquet("train.parquet")
    run = validate(HOLDS, later(delay=[3, 5, 8, 40] * 50), config=CHECKED)
    leak = run.failing(0)["no_leaking_feature"]
    assert (run.exit_code, leak.column, run.failing(1)) == (0, "delay", {})


def test_many_findings_fit_the_record(validate: Validate) -> None:
    many().to_parquet("train.parquet")
    extra = pd.DataFrame(0, index=range(200), columns=[f"<b>{number}{'x' * 3000}" for number in range(300)])
    run = validate(HOLDS, pd.concat([later(), extra], axis=1), config=CHECKED)
    found = [entry for entry in run.record.tables[1].expectations if entry.expectation == "no_unexpected_column"]
    assert (len(found), found[-1].observed) == (21, "and 280 more like these")
    assert max(len(entry.column or "") for entry in found) == 200


def test_a_broken_reference_leaves_the_current_table_checked(validate: Validate) -> None:
    many().head(0).to_parquet("train.parquet")
    run = validate(HOLDS, later(late=["no"] * 195 + ["yes"] * 5), config=CHECKED)
    assert (list(run.failing(0)), list(run.failing(1))) == (["table_has_rows"], ["no_rare_class"])


# A first list of expectations.


def test_what_is_suggested_holds_for_what_it_was_made_from(validate: Validate) -> None:
    strange = {f"<{'script' * n}>: `#\n": [f"a: {n}", None] * 100 for n in range(3)}
    table = many(
        **strange, delay=[None, -1.25] * 100, at=pd.date_range("2013-01-01", periods=200), short=[0.1, 0.30000000000000004] * 100
    )
    table.to_parquet("train.parquet")
    later(**strange).to_parquet("holdout.parquet")
    config = CHECKED.replace("  expectations: expectations.yaml\n", "")
    Path("modelship.yaml").write_text(config)
    result = CliRunner().invoke(modelship, ["validate", "--suggest", "suggested.yaml"])
    assert (result.exit_code, Path(".modelship").exists()) == (0, False)
    assert CliRunner().invoke(modelship, ["validate", "--suggest", "-"]).stdout == Path("suggested.yaml").read_text()
    run = validate(HOLDS, None, "--expectations", "suggested.yaml", config=CHECKED)
    assert run.failing(0) == {}
    assert len(run.record.tables[0].expectations) > 20


@pytest.mark.parametrize(
    ("config", "table", "said"),
    [
        (CONFIG, flights(), "exists already"),
        (CONFIG, flights().head(0), "no rows to learn from"),
        ("model: flights\n", flights(), "neither `data.reference` nor `data.current` is set"),
    ],
)
def test_a_suggestion_is_not_made_in_place_of_a_file_or_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, table: pd.DataFrame, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("modelship.yaml").write_text(config)
    table.to_parquet("holdout.parquet")
    if said == "exists already":
        Path("expectations.yaml").symlink_to("nowhere")
    result = CliRunner().invoke(modelship, ["validate", "--suggest", "expectations.yaml"])
    assert (result.exit_code, Path("expectations.yaml").exists()) == (2, False)
    assert said in result.output


# How the action calls it.


def test_inputs_come_from_the_environment_and_empty_ones_are_not_given(validate: Validate, tmp_path: Path) -> None:
    output = tmp_path / "output"
    names = ("CONFIG", "MODEL", "REFERENCE", "TARGET", "KEY", "EXPECTATIONS")
    given = {"MODELSHIP_VALIDATE_CURRENT": "plain.csv", "GITHUB_OUTPUT": str(output), "GITHUB_ACTIONS": "true"}
    flights(distance=[-1, 0, 0, 0]).to_csv("plain.csv", index=False)
    run = validate(env={**{f"MODELSHIP_VALIDATE_{name}": "" for name in names}, **given})
    assert (run.exit_code, run.record.tables[0].path) == (1, "plain.csv")
    assert "::error title=modelship validate,file=expectations.yaml,line=1::" in run.output
    assert "(distance) does not hold on plain.csv: min_value 0 · 1 of 4 (25%25) do not: -1\n" in run.output
    assert "status<<" in output.read_text()


def test_text_from_data_gives_the_runner_no_command(validate: Validate) -> None:
    forged = "x\n::add-mask::y\n##[add-mask]z"
    run = validate(
        "- expect_column_values_to_be_in_set: {column: carrier, value_set: [UA]}\n",
        flights(carrier=["UA", forged, "UA", "UA"]),
        env={"GITHUB_ACTIONS": "true"},
    )
    lines = run.output.splitlines()
    assert not any(line.lstrip().startswith(("::add-mask", "##[")) for line in lines)
    [stopped] = [index for index, line in enumerate(lines) if line.startswith("::stop-commands::")]
    [shown] = [index for index, line in enumerate(lines) if line.startswith("✗")]
    [resumed] = [index for index, line in enumerate(lines) if line == f"::{lines[stopped].rpartition('::')[2]}::"]
    assert stopped < shown < resumed


def test_long_text_from_data_fits_the_record(validate: Validate) -> None:
    run = validate(
        "- expect_column_values_to_be_in_set: {column: carrier, value_set: [UA]}\n",
        flights(id=["a" * 5000, "b", "c", "d"], carrier=["z" * 100_000, "UA", "UA", "UA"]),
    )
    failed = run.failing()["expect_column_values_to_be_in_set"]
    assert len(failed.observed) <= 300
    assert [len(key) for key in failed.sample_keys] == [100]


def test_the_process_leaves_only_its_record_and_prints_no_progress_bar(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    flights().to_parquet(work / "holdout.parquet")
    (work / "modelship.yaml").write_text(CONFIG)
    (work / "expectations.yaml").write_text(HOLDS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_"))}
    result = subprocess.run(
        [sys.executable, str(SCRIPTS / "modelship"), "validate"],
        cwd=work,
        env={**kept, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "Calculating" not in result.stdout
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    given = {"home", "work", "work/holdout.parquet", "work/modelship.yaml", "work/expectations.yaml"}
    assert found - given == {"work/.modelship", "work/.modelship/.gitignore", "work/.modelship/validate.json"}
