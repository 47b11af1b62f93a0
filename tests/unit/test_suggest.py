"""The first list of expectations, from what a table holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.documents import parse_document
from modelship.data.expectations import ExpectationSpec, read_expectations
from modelship.data.suggest import MAX_VALUES, suggest
from modelship.data.tables.opening import open_table
from modelship.data.tables.profile import profile

N = 200
TEMPLATE = Path(__file__).resolve().parents[2] / "template-repo"


def suggested(folder: Path, rows: tuple[int, ...] = (), target: str | None = None, key: str | None = None, **columns: Any) -> str:
    pq.write_table(pa.table(columns), folder / "train.parquet")
    seen = profile(open_table("train.parquet", folder), sample=None, seed=0, max_values=MAX_VALUES)
    return suggest(seen, table="data/train.parquet", rows=rows, target=target, key=key)


def test_only_pandas_understands_the_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2], "b": [True, False]}), tmp_path / "train.parquet")
    seen = profile(open_table("train.parquet", tmp_path), sample=None, seed=0, max_values=MAX_VALUES)
    assert "of_type" in suggest(seen, table="train.parquet")
    assert "of_type" not in suggest(seen, table="train.parquet", with_types=False)


def about(folder: Path, **arguments: Any) -> dict[str, dict[str, Any]]:
    """What is expected of the column `x`, by the expectation's name without what they all begin with."""
    (folder / "e.yaml").write_text(suggested(folder, **arguments), encoding="utf-8")
    specs = [spec for spec in read_expectations(folder / "e.yaml", "e.yaml") if spec.columns == ("x",)]
    return {spec.type.removeprefix("expect_column_"): _without_column(spec) for spec in specs}


def _without_column(spec: ExpectationSpec) -> dict[str, Any]:
    return {name: value for name, value in spec.arguments.items() if name != "column"}


def test_the_whole_reads_as_a_person_would_write_it(tmp_path: Path) -> None:
    text = suggested(
        tmp_path,
        (50,),
        "late",
        "id",
        price=[float(row) for row in range(N)],
        id=list(range(N)),
        carrier=["UA", "NO"] * 100,
        late=[0, 0, 0, 1] * 50,
    )
    assert text.split("\n\n", 1)[1] == (
        "# The table: neither empty nor cut short, no column gone or come.\n"
        "- expect_table_row_count_to_be_between: {min_value: 1, max_value: 10000}\n"
        "- expect_table_columns_to_match_set: {column_set: [price, id, carrier, late], exact_match: true}\n"
        "\n"
        "# id: the key: int64, 0 to 199\n"
        "- expect_column_values_to_not_be_null: {column: id}\n"
        "- expect_column_values_to_be_unique: {column: id}\n"
        "\n"
        "# late: the target: int64, 2 different values, 0 to 1\n"
        "- expect_column_values_to_not_be_null: {column: late}\n"
        "- expect_column_values_to_be_of_type: {column: late, type_: int64}\n"
        "- expect_column_values_to_be_in_set: {column: late, value_set: [0, 1]}\n"
        "- expect_column_mean_to_be_between: {column: late, min_value: 0.1, max_value: 0.65}\n"
        "\n"
        "# price: float64, 0 to 199\n"
        "- expect_column_values_to_not_be_null: {column: price}\n"
        "- expect_column_values_to_be_of_type: {column: price, type_: float64}\n"
        "- expect_column_values_to_be_between: {column: price, min_value: 0, max_value: 220}\n"
        "\n"
        "# carrier: text, 2 different values\n"
        "- expect_column_values_to_not_be_null: {column: carrier}\n"
        '- expect_column_values_to_be_in_set: {column: carrier, value_set: ["NO", UA]}\n'
    )


RANGES = {
    "room on both sides": ([985.0, 1038.4], (975, 1045)),
    "never below zero": ([3.0, 42.57], (0, 48)),
    "never above zero": ([-42.57, -3.0], (-48, 0)),
    "over zero": ([-5.0, 93.92], (-15, 105)),
    "per cent": ([12.7, 100.0], (0, 100)),
    "a share": ([0.03, 1.0], (0, 1)),
    "many at the end": ([7.5, 10.0, 10.0, 10.0], (7.2, 10)),
    "small": ([0.01, 0.64], (0, 0.75)),
    "steps": ([5, 5, 12, 23, 23], (5, 23)),
    "counts, of which the highest is rare": ([0] * 50 + [1] * 30 + [2] * 15 + [3, 6], (0, 7)),
    "few counts": ([0] * 50 + [1] * 30 + [3], (0, 4)),
    "one far out": ([80, *range(700, 900), 4983], (0, 40000)),
    "hours": ([hour for hour in range(24) for _ in range(hour + 2)], (0, 23)),
    "all the same": ([0.1 + 0.2, 0.1 + 0.2], (0.1 + 0.2, 0.1 + 0.2)),
    "as wide as can be": ([-1.7e308, 1.7e308], (-1.7e308, 1.7e308)),
}


@pytest.mark.parametrize(("values", "wanted"), RANGES.values(), ids=RANGES)
def test_ranges_are_rounded_outward(tmp_path: Path, values: list[float], wanted: tuple[float, float]) -> None:
    assert about(tmp_path, x=values)["values_to_be_between"] == {"min_value": wanted[0], "max_value": wanted[1]}


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        (0, {"values_to_not_be_null": {}}),
        (1, {"values_to_not_be_null": {"mostly": 0.99}}),
        (22, {"values_to_not_be_null": {"mostly": 0.78}}),
        (150, {"proportion_of_non_null_values_to_be_between": {"min_value": 0.12, "max_value": 1}}),
        (200, {}),
    ],
)
def test_missing_values_are_allowed_for(tmp_path: Path, missing: int, wanted: dict[str, Any]) -> None:
    found = about(tmp_path, x=pa.array([None] * missing + ["a", "b"] * ((N - missing) // 2) + ["a"] * (missing % 2), pa.string()))
    assert {name: value for name, value in found.items() if "null" in name} == wanted


CODES = [f"{chr(65 + row // 26)}{chr(65 + row % 26)}X" for row in range(N)]
TEXTS = {
    "categories": (["a", "b"] * 100, {"values_to_be_in_set": {"value_set": ["a", "b"]}}),
    "codes": (CODES, {"values_to_match_regex": {"regex": "^[A-Z]{3}$"}}),
    "codes of some lengths": ([str(row) for row in range(N)], {"values_to_match_regex": {"regex": "^[0-9]{1,3}$"}}),
    "prose": ([f"flight {row}" for row in range(N)], {}),
    "many codes": ([f"{row:05}" for row in range(1001)], {}),
    "unprintable": (["a\n", "b"] * 100, {}),
    "long": (["a" * 61, "b"] * 100, {}),
    "truth": ([True, False] * 100, {"values_to_be_of_type": {"type_": "bool"}}),
    "times": (pa.array([0, 1], pa.timestamp("us")), {}),
    "lists": ([[1], [2]], {}),
}


@pytest.mark.parametrize(("values", "wanted"), TEXTS.values(), ids=TEXTS)
def test_what_text_may_be(tmp_path: Path, values: Any, wanted: dict[str, Any]) -> None:
    assert about(tmp_path, x=values) == {"values_to_not_be_null": {}, **wanted}


def test_what_no_range_can_hold_is_said(tmp_path: Path) -> None:
    assert "# x: float64, 1 to 2, 1 infinite, which no range allows\n" in suggested(tmp_path, x=[1.0, 2.0, math.inf])
    assert "# x: null, no value at all" in suggested(tmp_path, x=pa.nulls(3)).replace("x: no value", "x: null, no value")


def test_a_target_of_classes_is_a_set_and_one_of_numbers_a_range(tmp_path: Path) -> None:
    assert about(tmp_path, target="x", x=[3, 1, 2] * 50)["values_to_be_in_set"] == {"value_set": [1, 2, 3]}
    assert "values_to_be_between" in about(tmp_path, target="x", x=list(range(N)))


names = st.text(min_size=1, max_size=20)
cells = st.none() | st.sampled_from(["", "no", "1e3", "a: b", "${{ x }}", "#", "\u202e", "<b>", "- ", "'", '"', "null", "~"])


@settings(deadline=None, max_examples=60)  # a busy machine is not a failure
@given(st.dictionaries(names, st.lists(cells, min_size=10, max_size=10), min_size=1, max_size=4), st.data())
def test_any_names_and_values_survive(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, list[Any]], data: st.DataObject
) -> None:
    """What is written is read back as the columns and values that there are, and nothing else."""
    target, key = data.draw(st.sampled_from([None, *table])), data.draw(st.sampled_from([None, *table]))
    folder = tmp_path_factory.mktemp("table")
    text = suggested(folder, (), target, key, **{name: pa.array(values, pa.string()) for name, values in table.items()})
    entries = parse_document(text.encode(), "e.yaml").data
    assert {name for entry in entries for name in entry} <= {
        "expect_table_row_count_to_be_between",
        "expect_table_columns_to_match_set",
        "expect_column_values_to_not_be_null",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_be_unique",
        "expect_column_values_to_match_regex",
    }
    assert entries[1]["expect_table_columns_to_match_set"]["column_set"] == list(table)
    for entry in entries[2:]:
        [arguments] = entry.values()
        assert set(arguments.get("value_set", [])) <= set(table[arguments["column"]])
    assert all(line.startswith(("#", "-", "    ")) or not line for line in text.splitlines())


@settings(deadline=None, max_examples=100)  # a busy machine is not a failure
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 1.0, 100.0]), min_size=1, max_size=30))
def test_a_range_holds_what_it_was_made_from(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    found = about(tmp_path_factory.mktemp("table"), x=values)["values_to_be_between"]
    assert found["min_value"] <= min(values)
    assert max(values) <= found["max_value"]


TAILS: dict[str, Callable[[np.random.Generator], Any]] = {
    "lognormal": lambda draw: draw.lognormal(0, 1.5, 3000),
    "mostly zero": lambda draw: draw.exponential(1, 3000) * (draw.random(3000) < 0.05),
    "below zero": lambda draw: -draw.lognormal(0, 1.5, 3000),
    "both sides": lambda draw: draw.standard_t(4, 3000),
    "counts": lambda draw: draw.poisson(3, 3000),
}


@pytest.mark.parametrize("values", TAILS.values(), ids=TAILS)
def test_a_tail_leaves_room_for_that_of_the_next_table(tmp_path: Path, values: Callable[[np.random.Generator], Any]) -> None:
    draw = np.random.default_rng(1)
    others = [values(draw) for _ in range(20)]
    held = 0
    for place, other in enumerate(others):
        found = about(tmp_path, x=other)["values_to_be_between"]
        following = others[place - 1]
        held += bool(found["min_value"] <= following.min() and following.max() <= found["max_value"])
    assert held >= 19


def test_what_is_suggested_of_the_template_holds_for_its_next_month(tmp_path: Path) -> None:
    digest = parse_document((TEMPLATE / "data" / "flights.parquet.dvc").read_bytes(), "flights.yaml").data["outs"][0]["md5"]
    flights = pq.read_table(TEMPLATE / "dvc-storage" / "files" / "md5" / digest[:2] / digest[2:])
    train, following = (flights.filter(pc.is_in(flights["month"], pa.array(months))) for months in ([1, 2, 3, 4, 5, 6], [7]))
    for name in ("distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib"):
        found = about(tmp_path, x=train[name])["values_to_be_between"]
        ends = pc.min_max(following[name])
        assert found["min_value"] <= ends["min"].as_py(), name
        assert ends["max"].as_py() <= found["max_value"], name


@pytest.mark.parametrize("kind", ["uint64", "float16", "int8", "float32"])
def test_numbers_of_any_width_have_a_range(tmp_path: Path, kind: str) -> None:
    found = about(tmp_path, x=pa.array((np.arange(N) % 100).astype(kind)))
    assert found["values_to_be_of_type"] == {"type_": kind}
    assert found["values_to_be_between"]["min_value"] == 0


def test_numbers_beyond_the_signed_ones_have_no_range(tmp_path: Path) -> None:
    assert "values_to_be_between" not in about(tmp_path, x=pa.array([2**63 + row for row in range(N)], pa.uint64()))


def test_a_type_is_told_only_where_every_reader_gives_it(tmp_path: Path) -> None:
    values = pa.array([1, None, 3] * 50)
    assert "values_to_be_of_type" not in about(tmp_path, x=values)  # A float with its missing values, and none without.
    pq.write_table(pa.table({"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}), tmp_path / "train.parquet")
    seen = profile(open_table("train.parquet", tmp_path), sample=None, seed=0, max_values=MAX_VALUES)
    assert "of_type" in suggest(seen, table="t")
    assert "of_type" not in suggest(seen, table="t", with_types=False)


def test_a_column_without_a_name_is_told_of_and_not_checked(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(suggested(tmp_path, (), None, None, **{"": [1, 2, 3], "x": [1, 2, 3]}), encoding="utf-8")
    assert {spec.columns for spec in read_expectations(tmp_path / "e.yaml", "e.yaml")} == {(), ("x",)}
