"""Every expectation of Great Expectations, from a YAML list to the record: once where it holds, and once where it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from ruamel.yaml import YAML

from modelship.core.errors import BadInput
from modelship.core.records import Expectation
from modelship.data.expectations import ExpectationSpec, read_expectations
from modelship.data.tables.opening import open_table
from modelship.data.validation import Expectations, Table, TableResult, load_great_expectations

COLUMNS: dict[str, list[Any]] = {
    "id": [1, 2, 3, 4, 5, 6],
    "low": [1.0, 2.0, 2.0, 3.0, 4.0, 5.0],
    "high": [1.0, 2.0, 2.0, 3.0, 4.0, 9.0],
    "letter": ["a", "b", "b", "c", "a", "b"],
    "pair": ["aa", "bb", "cc", "dd", "ee", "ff"],
    "json": ['{"a": 1}'] * 6,
    "date": ["2013-01-31"] * 6,
    "nothing": [float("nan")] * 6,
    "some": [1.0, None, 2.0, None, 3.0, 4.0],
}


class Case(NamedTuple):
    holds: Mapping[str, Any]
    fails: Mapping[str, Any]
    observed: str
    """What is said where it fails."""
    rows: int | None = None
    """How many rows fail; None for an expectation that is not about single rows."""


def column(name: str, **arguments: Any) -> dict[str, Any]:
    return {"column": name, **arguments}


def columns(*names: str, **arguments: Any) -> dict[str, Any]:
    return {"column_list": list(names), **arguments}


def two(first: str, second: str, **arguments: Any) -> dict[str, Any]:
    return {"column_A": first, "column_B": second, **arguments}


def weights(*shares: float) -> dict[str, Any]:
    return {"values": ["a", "b", "c"], "weights": list(shares)}


def quantile(low: float, high: float) -> dict[str, Any]:
    return {"quantiles": [0.5], "value_ranges": [[low, high]]}


CASES = {
    "expect_column_distinct_values_to_be_in_set": Case(
        column("letter", value_set=["a", "b", "c"]), column("letter", value_set=["a"]), "unexpected: b, c"
    ),
    "expect_column_distinct_values_to_contain_set": Case(
        column("letter", value_set=["a"]), column("letter", value_set=["a", "z"]), "missing: z"
    ),
    "expect_column_distinct_values_to_equal_set": Case(
        column("letter", value_set=["a", "b", "c"]), column("letter", value_set=["a", "b", "z"]), "unexpected: c; missing: z"
    ),
    "expect_column_kl_divergence_to_be_less_than": Case(
        column("letter", partition_object=weights(1 / 3, 1 / 2, 1 / 6), threshold=0.1),
        column("letter", partition_object=weights(0.01, 0.01, 0.98), threshold=0.1),
        "2.82",
    ),
    "expect_column_max_to_be_between": Case(column("low", max_value=5), column("low", max_value=4), "5"),
    "expect_column_mean_to_be_between": Case(column("low", max_value=3), column("low", max_value=2), "2.83333"),
    "expect_column_median_to_be_between": Case(column("low", min_value=2), column("low", min_value=3), "2.5"),
    "expect_column_min_to_be_between": Case(column("low", min_value=1), column("low", min_value=2), "1"),
    "expect_column_most_common_value_to_be_in_set": Case(column("letter", value_set=["b"]), column("letter", value_set=["a"]), "b"),
    "expect_column_pair_values_a_to_be_greater_than_b": Case(
        two("high", "low", or_equal=True), two("high", "low"), "5 of 6 (83.3%) do not", rows=5
    ),
    "expect_column_pair_values_to_be_equal": Case(two("low", "low_again"), two("low", "high"), "1 of 6 (16.7%) do not", rows=1),
    "expect_column_pair_values_to_be_in_set": Case(
        two("letter", "low", value_pairs_set=[["a", 1], ["b", 2], ["c", 3], ["a", 4], ["b", 5]]),
        two("letter", "low", value_pairs_set=[["a", 1], ["b", 2]]),
        "3 of 6 (50%) do not",
        rows=3,
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": Case(
        column("some", min_value=0.5), column("some", min_value=0.9), "0.666667"
    ),
    "expect_column_proportion_of_unique_values_to_be_between": Case(
        column("letter", max_value=0.5), column("letter", min_value=0.9), "0.5"
    ),
    "expect_column_quantile_values_to_be_between": Case(
        column("low", quantile_ranges=quantile(1, 3)), column("low", quantile_ranges=quantile(4, 5)), "quantiles: 0.5, values: 2"
    ),
    "expect_column_stdev_to_be_between": Case(column("low", max_value=2), column("low", max_value=1), "1.47196"),
    "expect_column_sum_to_be_between": Case(column("low", max_value=17), column("low", max_value=16), "17"),
    "expect_column_to_exist": Case(column("low"), column("absent"), ""),
    "expect_column_type_to_be": Case(column("low", type_="float64"), column("low", type_="int64"), "float64"),
    "expect_column_unique_value_count_to_be_between": Case(column("letter", max_value=3), column("letter", max_value=2), "3"),
    "expect_column_value_lengths_to_be_between": Case(
        column("pair", min_value=2), column("pair", max_value=1), "6 of 6 (100%) do not", rows=6
    ),
    "expect_column_value_lengths_to_equal": Case(column("pair", value=2), column("pair", value=1), "6 of 6", rows=6),
    "expect_column_value_z_scores_to_be_less_than": Case(
        column("low", threshold=3, double_sided=True), column("low", threshold=1.4, double_sided=True), "1 of 6", rows=1
    ),
    "expect_column_values_to_be_between": Case(column("low", min_value=1), column("low", min_value=2), "1 of 6 (16.7%)", rows=1),
    "expect_column_values_to_be_dateutil_parseable": Case(column("date"), column("json"), "6 of 6", rows=6),
    "expect_column_values_to_be_decreasing": Case(column("date_less"), column("low"), "4 of 6 (66.7%)", rows=4),
    "expect_column_values_to_be_in_set": Case(
        column("letter", value_set=["a", "b", "c"]), column("letter", value_set=["a", "b"]), "1 of 6 (16.7%) do not: c", rows=1
    ),
    "expect_column_values_to_be_in_type_list": Case(
        column("low", type_list=["float64"]), column("low", type_list=["int64", "str"]), "float64"
    ),
    "expect_column_values_to_be_increasing": Case(column("low"), column("id_less"), "5 of 6 (83.3%)", rows=5),
    "expect_column_values_to_be_json_parseable": Case(column("json"), column("letter"), "6 of 6", rows=6),
    "expect_column_values_to_be_null": Case(column("nothing"), column("some"), "4 of 6 (66.7%)", rows=4),
    "expect_column_values_to_be_of_type": Case(column("letter", type_="str"), column("letter", type_="object"), "str"),
    "expect_column_values_to_be_unique": Case(column("id"), column("low"), "2 of 6 (33.3%) do not: 2", rows=2),
    "expect_column_values_to_match_json_schema": Case(
        column("json", json_schema={"type": "object"}), column("json", json_schema={"type": "array"}), "6 of 6", rows=6
    ),
    "expect_column_values_to_match_regex": Case(
        column("letter", regex="^[abc]$"), column("letter", regex="^[ab]$"), "1 of 6 (16.7%) do not: c", rows=1
    ),
    "expect_column_values_to_match_regex_list": Case(
        column("letter", regex_list=["a", "[bc]"], match_on="any"), column("letter", regex_list=["a", "b"]), "1 of 6", rows=1
    ),
    "expect_column_values_to_match_strftime_format": Case(
        column("date", strftime_format="%Y-%m-%d"), column("date", strftime_format="%d.%m.%Y"), "6 of 6", rows=6
    ),
    "expect_column_values_to_not_be_in_set": Case(
        column("letter", value_set=["z"]), column("letter", value_set=["a"]), "2 of 6 (33.3%) do not: a", rows=2
    ),
    "expect_column_values_to_not_be_null": Case(column("low"), column("some"), "2 of 6 (33.3%) are null", rows=2),
    "expect_column_values_to_not_be_outliers": Case(
        column("low", method="iqr", multiplier=3), column("high", method="iqr", multiplier=1.5), "1 of 6", rows=1
    ),
    "expect_column_values_to_not_match_regex": Case(column("letter", regex="z"), column("letter", regex="c"), "1 of 6", rows=1),
    "expect_column_values_to_not_match_regex_list": Case(
        column("letter", regex_list=["y", "z"]), column("letter", regex_list=["c"]), "1 of 6", rows=1
    ),
    "expect_compound_columns_to_be_unique": Case(columns("id", "letter"), columns("low", "letter"), "2 of 6", rows=2),
    "expect_multicolumn_sum_to_equal": Case(
        columns("id", "id_less", sum_total=7), columns("low", "high", sum_total=2), "5 of 6", rows=5
    ),
    "expect_multicolumn_values_to_be_equal": Case(columns("low", "low_again"), columns("low", "high"), "1 of 6", rows=1),
    "expect_select_column_values_to_be_unique_within_record": Case(
        columns("letter", "pair"), columns("low", "high"), "5 of 6", rows=5
    ),
    "expect_table_column_count_to_be_between": Case({"max_value": 12}, {"max_value": 10}, "12"),
    "expect_table_column_count_to_equal": Case({"value": 12}, {"value": 1}, "12"),
    "expect_table_columns_to_match_ordered_list": Case(
        columns(*COLUMNS, "id_less", "date_less", "low_again"), columns("id"), "id, low, high, letter"
    ),
    "expect_table_columns_to_match_set": Case(
        {"column_set": [*COLUMNS, "id_less"], "exact_match": False}, {"column_set": ["id", "extra"]}, "missing: extra"
    ),
    "expect_table_row_count_to_be_between": Case({"max_value": 6}, {"max_value": 5}, "6"),
    "expect_table_row_count_to_equal": Case({"value": 6}, {"value": 5}, "6"),
}

IN_A_DATABASE = {
    "expect_column_values_to_match_like_pattern": column("letter", like_pattern="%"),
    "expect_column_values_to_match_like_pattern_list": column("letter", like_pattern_list=["%"]),
    "expect_column_values_to_not_match_like_pattern": column("letter", like_pattern="%"),
    "expect_column_values_to_not_match_like_pattern_list": column("letter", like_pattern_list=["%"]),
    "expect_query_results_to_match_comparison": {
        "base_query": "select 1",
        "comparison_data_source_name": "other",
        "comparison_query": "select 1",
    },
    "expect_table_row_count_to_equal_other_table": {"other_table_name": "other"},
    "unexpected_rows_expectation": {"unexpected_rows_query": "select * from {batch}"},
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    less = {"id_less": COLUMNS["id"][::-1], "date_less": pd.date_range("2013-01-01", periods=6)[::-1], "low_again": COLUMNS["low"]}
    pd.DataFrame({**COLUMNS, **less}).to_parquet(path)
    return Table(role="current", path=path.name, reader=open_table(path.name, path.parent), key="id")


def listed(folder: Path, *entries: tuple[str, Mapping[str, Any]]) -> tuple[ExpectationSpec, ...]:
    """Expectations as a team writes them."""
    path = folder / "expectations.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump([{name: dict(arguments)} for name, arguments in entries], file)
    return read_expectations(path, path.name)


def judged(result: TableResult) -> list[Expectation]:
    assert result.raised == ()
    return [finding.entry for finding in result.findings]


def test_every_expectation_is_tried() -> None:
    assert {*CASES, *IN_A_DATABASE} == set(load_great_expectations()[1])


def test_every_expectation_holds_where_it_should(table: Table, tmp_path: Path) -> None:
    entries = judged(Expectations(listed(tmp_path, *((name, case.holds) for name, case in CASES.items()))).check(table))
    assert [(entry.expectation, entry.observed) for entry in entries if not entry.holds] == []
    assert [entry.expectation for entry in entries] == list(CASES)


def test_every_expectation_fails_where_it_should(table: Table, tmp_path: Path) -> None:
    specs = listed(tmp_path, *((name, case.fails) for name, case in CASES.items()))
    found = {entry.expectation: entry for entry in judged(Expectations(specs).check(table))}
    for name, case in CASES.items():
        entry = found.pop(name)
        assert not entry.holds, name
        assert case.observed in entry.observed, name
        assert entry.failed_rows == case.rows, name
        assert len(entry.sample_keys) == min(case.rows or 0, 5), name
    assert not found


@pytest.mark.parametrize("severity", ["warning", "info"])
def test_severities_are_taken_by_every_expectation(table: Table, tmp_path: Path, severity: str) -> None:
    specs = listed(tmp_path, *((name, {**case.fails, "severity": severity}) for name, case in CASES.items()))
    assert {entry.severity for entry in judged(Expectations(specs).check(table)) if not entry.holds} == {severity}


def test_what_takes_mostly_lets_some_rows_fail(table: Table, tmp_path: Path) -> None:
    lenient = {name: case for name, case in CASES.items() if case.rows and case.rows < 6}
    specs = listed(
        tmp_path, *((name, {**case.fails, "mostly": 1 - case.rows / 6 - 0.01}) for name, case in lenient.items() if case.rows)
    )
    entries = judged(Expectations(specs).check(table))
    assert [entry.expectation for entry in entries if not entry.holds] == []
    assert all("do not" in entry.observed or "are null" in entry.observed for entry in entries)
    assert {entry.failed_rows for entry in entries} == {None}


CONDITIONS: dict[str, Any] = {
    "text": 'letter == "b"',
    "of a suite": {"type": "comparison", "column": {"name": "letter"}, "operator": "==", "parameter": "b"},
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_row_conditions_choose_rows(table: Table, tmp_path: Path, condition: Any) -> None:
    arguments = {"column": "low", "max_value": 4, "row_condition": condition}
    items = [{"type": "expect_column_values_to_be_between", "kwargs": arguments}]
    (tmp_path / "suite.json").write_text(json.dumps({"name": "flights", "expectations": items}))
    [entry] = judged(Expectations(read_expectations(tmp_path / "suite.json", "suite.json")).check(table))
    assert (entry.observed, entry.sample_keys) == ("1 of 3 (33.3%) do not: 5", ("6",))


@pytest.mark.parametrize(("name", "arguments"), IN_A_DATABASE.items())
def test_what_only_a_database_checks_is_refused(tmp_path: Path, name: str, arguments: Mapping[str, Any]) -> None:
    with pytest.raises(BadInput, match="in a database only") as error:
        Expectations(listed(tmp_path, (name, arguments)))
    assert error.value.problems[0].line == 1
