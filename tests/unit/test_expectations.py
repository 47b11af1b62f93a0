"""The expectations file: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.core.errors import BadInput, Problem
from modelship.core.words import brief
from modelship.data.expectations import (
    ExpectationSpec,
    check_names,
    check_substance,
    columns_to_read,
    read_expectations,
)

CATALOG = {
    "expect_column_values_to_be_between": ("column", "min_value", "max_value", "mostly", "severity", "row_condition", "id"),
    "expect_column_values_to_not_be_null": ("column", "mostly", "severity"),
    "expect_column_values_to_be_in_set": ("column", "value_set", "mostly"),
    "expect_table_columns_to_match_set": ("column_set", "exact_match"),
    "expect_column_pair_values_to_be_equal": ("column_A", "column_B", "mostly"),
    "expect_column_quantile_values_to_be_between": ("column", "quantile_ranges", "allow_relative_error"),
    "expect_column_kl_divergence_to_be_less_than": ("column", "partition_object", "threshold", "min_value", "max_value"),
}


def read(folder: Path, text: str, name: str = "expectations.yaml") -> tuple[ExpectationSpec, ...]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_expectations(path, name)


def problems_of(error: pytest.ExceptionInfo[BadInput]) -> tuple[Problem, ...]:
    return error.value.problems


def test_a_short_list_keeps_types_arguments_and_lines(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        "# what must hold\n"
        "- expect_column_values_to_be_between: {column: distance, min_value: 1e-3}\n"
        "- expect_column_values_to_be_in_set:\n"
        "    column: carrier\n"
        "    value_set: [UA, no]\n",
    )
    assert (first.type, first.line) == ("expect_column_values_to_be_between", 2)
    assert first.arguments == {"column": "distance", "min_value": 0.001}
    assert second.arguments["value_set"] == ["UA", "no"]
    assert second.argument_lines == {"column": 4, "value_set": 5}


def test_a_suite_keeps_severity_and_lines_and_drops_what_is_not_about_data(tmp_path: Path) -> None:
    suite = {
        "name": "flights",
        "id": "8d1f",
        "expectations": [
            {
                "type": "expect_column_values_to_not_be_null",
                "kwargs": {"column": "late", "batch_id": "x"},
                "id": "1",
                "meta": {"[": "]"},
            },
            {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "hour"}, "severity": "warning"},
        ],
    }
    first, second = read(tmp_path, json.dumps(suite, indent=1), "suite.json")
    assert first.arguments == {"column": "late", "meta": {"[": "]"}}
    assert second.arguments == {"column": "hour", "severity": "warning"}
    lines = (tmp_path / "suite.json").read_text().splitlines()
    assert [lines[spec.line - 1].strip() for spec in (first, second) if spec.line] == ["{", "{"]
    assert '"late"' in "".join(lines[(first.line or 0) : (second.line or 0)])


@pytest.mark.parametrize("text", ["[]", "{expectations: []}", "", "# nothing\n"])
def test_nothing_to_check_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, text)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(BadInput):
            read_expectations(path, "expectations.yaml")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- expect_a: {}\n- expect_b: {}\n  severity: info\n", 2, "`expect_b`, `severity`"),
        ("- expect_a: {}\n- 5\n", None, "entry 2 is `5`"),
        ("- expect_a: [column]\n", 1, "not `name: value` pairs"),
        ("model: flights\n", 1, "neither a list"),
    ],
)
def test_a_malformed_entry_is_named(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    with pytest.raises(BadInput) as error:
        read(tmp_path, text)
    [problem] = problems_of(error)
    assert said in problem.message
    assert problem.line == line


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"expectation_type": "expect_a"}, "no `type`"),
        ({"type": "expect_a", "severty": "info"}, "unknown key `severty`"),
        ({"type": "expect_a", "kwargs": []}, "`kwargs`"),
        ("expect_a", "no `type`"),
    ],
)
def test_a_malformed_suite_is_named(tmp_path: Path, item: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read(tmp_path, json.dumps({"expectations": [item]}), "suite.json")


def test_every_unknown_name_is_reported_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    specs = read(
        tmp_path,
        "- expect_column_values_to_be_betwen: {column: a}\n- expect_column_values_to_be_between:\n    column: a\n    min_valu: 3\n",
    )
    with pytest.raises(BadInput) as error:
        check_names(specs, CATALOG)
    unknown_type, unknown_argument = problems_of(error)
    assert (unknown_type.line, unknown_type.remedy) == (1, "Did you mean `expect_column_values_to_be_between`?")
    assert (unknown_argument.line, unknown_argument.remedy) == (4, "Did you mean `min_value`?")


def test_a_suite_parameter_is_refused(tmp_path: Path) -> None:
    specs = read(tmp_path, "- expect_column_values_to_be_between: {column: a, min_value: {$PARAMETER: low}}\n")
    with pytest.raises(BadInput, match="suite parameter"):
        check_names(specs, CATALOG)


@pytest.mark.parametrize(
    "entry",
    [
        "expect_column_values_to_be_between: {column: a}",
        "expect_column_values_to_be_between: {column: a, min_value: null}",
        "expect_column_values_to_be_between: {column: a, min_value: 0, mostly: 0}",
        "expect_column_values_to_be_in_set: {column: a, value_set: []}",
        "expect_table_columns_to_match_set: {exact_match: true}",
        "expect_column_values_to_be_between: {column: a, min_value: -.inf}",
        "expect_column_values_to_be_between: {column: a, min_value: -.inf, max_value: .inf}",
        "expect_column_values_to_be_between: {column: a, min_value: .nan}",
        "expect_column_pair_values_to_be_equal: {column_A: a, column_B: a}",
        "expect_column_quantile_values_to_be_between: {column: a, quantile_ranges: {quantiles: [], value_ranges: []}}",
        "expect_column_quantile_values_to_be_between: {column: a, quantile_ranges: {quantiles: [0.5], value_ranges: [[null, null]]}}",
        "expect_column_quantile_values_to_be_between:"
        " {column: a, quantile_ranges: {quantiles: [0.1, 0.5], value_ranges: [[1, 2], [-.inf, .inf]]}}",
        "expect_column_kl_divergence_to_be_less_than: {column: a, partition_object: {values: [1], weights: [1]}, threshold: .inf}",
    ],
)
def test_an_expectation_without_a_limit_is_refused(tmp_path: Path, entry: str) -> None:
    with pytest.raises(BadInput, match="checks nothing"):
        check_substance(read(tmp_path, f"- {entry}\n"), CATALOG)


@pytest.mark.parametrize(
    "entry",
    [
        "expect_column_values_to_be_between: {column: a, min_value: 0}",
        "expect_column_values_to_be_between: {column: a, min_value: -.inf, max_value: 0}",
        "expect_column_values_to_be_between: {column: a, min_value: 2013-01-01}",
        "expect_column_pair_values_to_be_equal: {column_A: a, column_B: b}",
        "expect_column_quantile_values_to_be_between: {column: a, quantile_ranges: {quantiles: [0.5], value_ranges: [[0, null]]}}",
    ],
)
def test_a_limit_is_a_limit(tmp_path: Path, entry: str) -> None:
    check_substance(read(tmp_path, f"- {entry}\n"), CATALOG)


def test_only_the_columns_that_are_looked_at_are_read(tmp_path: Path) -> None:
    header = ["id", "a", "b", "c", "late"]
    specs = read(tmp_path, '- expect_column_values_to_be_between: {column: a, min_value: 0, row_condition: "c > 3"}\n')
    assert columns_to_read(specs, header, ("late", "id", None)) == ["id", "a", "c", "late"]
    assert columns_to_read(read(tmp_path, "- expect_table_row_count_to_equal: {value: 3}\n"), header, ()) == ["id"]
    assert columns_to_read(read(tmp_path, "- expect_table_column_count_to_equal: {value: 3}\n"), header, ()) == header


@given(st.text(), st.integers(min_value=2, max_value=400))
def test_clipped_text_is_one_printable_line(text: str, limit: int) -> None:
    clipped = brief(text, limit)
    assert len(clipped) <= limit
    assert clipped.isprintable()
