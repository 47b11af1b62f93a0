"""Columns under other names, and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.data.engines.aliases import Aliases

NAMES = st.one_of(
    st.text(max_size=8), st.builds("modelship_column_{}".format, st.integers(0, 30)), st.from_regex(r"[a-z_]+", fullmatch=True)
)


@given(st.lists(NAMES, max_size=20, unique=True))
def test_every_column_has_one_plain_name_of_its_own(columns: list[str]) -> None:
    aliases = Aliases(columns)
    names = [aliases.of(column) for column in columns]
    assert len(set(names)) == len(columns)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names)
    assert [aliases.undone(name) for name in names] == columns


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True), st.text(max_size=8))
def test_arguments_name_columns_and_nothing_else_does(columns: list[str], value: str) -> None:
    aliases = Aliases(columns)
    condition = {"type": "comparison", "column": {"name": columns[0]}, "operator": "==", "parameter": value}
    arguments = {
        "column": columns[1],
        "column_list": columns,
        "value_set": columns,
        "row_condition": {"type": "and", "conditions": [condition]},
    }
    told = aliases.within(arguments)
    names = [aliases.of(column) for column in columns]
    assert (told["column"], told["column_list"], told["value_set"]) == (names[1], names, columns)
    assert told["row_condition"]["conditions"] == [{**condition, "column": {"name": names[0]}}]
    assert aliases.undone(told["column_list"]) == columns


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("`a.b` > 3 AND plain = 'a.b'", "`modelship_column_0` > 3 AND plain = 'a.b'"),
        ('col("a.b") > 3', 'col("modelship_column_0") > 3'),
        ("`c``d` IS NULL", "`modelship_column_1` IS NULL"),
    ],
)
def test_a_condition_that_is_text_names_columns_as_its_language_does(written: str, told: str) -> None:
    aliases = Aliases(["a.b", "c`d", "plain"])
    assert aliases.within({"row_condition": written}) == {"row_condition": told}
    assert aliases.undone("no column `modelship_column_0`, nor modelship_column_7") == "no column `a.b`, nor modelship_column_7"
