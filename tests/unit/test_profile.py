"""One pass over a table: exact facts, and a sample in which every row is as likely as another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.tables.profile import ColumnFacts, Profile, profile
from modelship.data.tables.reader import MixedColumn, TableReader


class Chunks:
    """A table in memory, cut into batches of these sizes, over and over."""

    kind = "chunks"
    is_columnar = True

    def __init__(self, table: pa.Table, sizes: Sequence[int]) -> None:
        self._table, self._sizes = table, sizes

    def columns(self) -> list[str]:
        return list(self._table.column_names)

    def schema(self) -> pa.Schema:
        return self._table.schema

    def rows(self) -> int:
        return int(self._table.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        table, start, turn = self._table.select(columns), 0, 0
        while start < table.num_rows:
            size = self._sizes[turn % len(self._sizes)]
            yield from table.slice(start, size).combine_chunks().to_batches()
            start, turn = start + size, turn + 1

    def mixed(self) -> Mapping[str, MixedColumn]:
        return {}


def profiled(table: pa.Table, sizes: Sequence[int] = (7,), sample: int | None = 10, seed: int = 0, max_values: int = 5) -> Profile:
    return profile(TableReader("table", Chunks(table, sizes)), sample=sample, seed=seed, max_values=max_values)


def facts(values: Any, kind: pa.DataType | None = None, sizes: Sequence[int] = (2,), max_values: int = 5) -> ColumnFacts:
    return profiled(pa.table({"x": pa.array(values, type=kind)}), sizes, max_values=max_values).columns["x"]


# The sample.


def numbered(rows: int) -> pa.Table:
    return pa.table({"row": np.arange(rows), "name": [f"row {row}" for row in range(rows)]})


@given(
    rows=st.integers(0, 300),
    sample=st.none() | st.integers(1, 40),
    seed=st.integers(0, 2**32),
    sizes=st.tuples(*[st.lists(st.integers(1, 120), min_size=1, max_size=3)] * 2),
)
@settings(deadline=None)
def test_the_same_seed_draws_the_same_rows_however_the_table_is_cut(
    rows: int, sample: int | None, seed: int, sizes: tuple[list[int], list[int]]
) -> None:
    first, second = (profiled(numbered(rows), cut, sample, seed) for cut in sizes)
    assert first.sample.equals(second.sample)
    assert first.columns == second.columns
    drawn = first.sample["row"].to_pylist()
    assert drawn == sorted(set(drawn))
    assert len(drawn) == (rows if sample is None else min(rows, sample))
    assert first.sample["name"].to_pylist() == [f"row {row}" for row in drawn]
    assert first.rows == rows


def test_every_row_is_as_likely_as_another() -> None:
    draws, rows, sample = 1000, 40, 10
    counts = np.zeros(rows)
    together = 0
    for seed in range(draws):
        drawn = profiled(pa.table({"row": np.arange(rows)}), (3,), sample, seed).sample["row"].to_numpy()
        counts[drawn] += 1
        together += {0, rows - 1} <= set(drawn.tolist())
    share = sample / rows
    assert np.abs(counts - draws * share).max() < 4.5 * math.sqrt(draws * share * (1 - share))
    both = share * (sample - 1) / (rows - 1)
    assert abs(together - draws * both) < 4.5 * math.sqrt(draws * both * (1 - both))


def test_another_seed_draws_other_rows() -> None:
    first, second = (profiled(numbered(1000), (100,), 20, seed).sample["row"].to_pylist() for seed in (1, 2))
    assert first != second


def test_a_dictionary_of_text_is_plain_in_the_sample() -> None:
    table = pa.table({"x": pa.array(["a", "b", None, "a"]).dictionary_encode()})
    found = profiled(table, (2,), None)
    assert found.sample.equals(pa.table({"x": ["a", "b", None, "a"]}))
    assert found.columns["x"] == ColumnFacts("text", 1, 0, 0, None, None, {"a": 2, "b": 1})


def test_an_empty_table_has_an_empty_sample_of_the_same_columns() -> None:
    table = numbered(0)
    found = profiled(table, (5,), 3)
    assert found.sample.schema.equals(table.schema)
    assert (found.rows, found.columns["row"].minimum, found.columns["row"].values) == (0, None, {})


def test_only_the_columns_that_are_asked_for_are_read() -> None:
    reader = TableReader("table", Chunks(numbered(3), (2,)))
    found = profile(reader, ["name"], sample=2, seed=0, max_values=10)
    assert (found.sample.column_names, list(found.columns)) == (["name"], ["name"])


def test_columns_of_one_name_are_bad_input() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(BadInput, match="more than once"):
        profiled(table)


# The facts.


@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
@settings(deadline=None)
def test_floats_are_summed_up_as_pandas_would(values: list[float | None], sizes: list[int]) -> None:
    found = facts(values, pa.float64(), sizes)
    known = pd.Series([value for value in values if value is not None], dtype="float64")
    finite = known[np.isfinite(known)]
    assert found == ColumnFacts(
        "float64",
        nulls=len(values) - len(known),
        nan=int(known.isna().sum()),
        infinite=int(np.isinf(known).sum()),
        minimum=finite.min() if len(finite) else None,
        maximum=finite.max() if len(finite) else None,
        values=None,
    )


@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 6), max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
@settings(deadline=None)
def test_whole_numbers_are_exact_and_counted_while_few(values: list[int | None], sizes: list[int]) -> None:
    found = facts(values, pa.int64(), sizes)
    known = [value for value in values if value is not None]
    assert (found.nulls, found.nan, found.infinite) == (len(values) - len(known), 0, 0)
    assert (found.minimum, found.maximum) == ((min(known), max(known)) if known else (None, None))
    counts = pd.Series([str(value) for value in known], dtype=object).value_counts().to_dict()
    assert found.values == (counts if len(counts) <= 5 else None)


@given(st.lists(st.none() | st.text(max_size=2) | st.sampled_from("abc"), max_size=40), st.lists(st.integers(1, 9), min_size=1))
@settings(deadline=None)
def test_categories_are_counted_as_pandas_would(values: list[str | None], sizes: list[int]) -> None:
    counts = pd.Series([value for value in values if value is not None], dtype=object).value_counts().to_dict()
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        found = facts(values, kind, sizes)
        assert (found.type, found.nulls, found.minimum) == ("text", values.count(None), None)
        assert found.values == (counts if len(counts) <= 5 else None)


def test_truth_values_are_counted_by_their_usual_names() -> None:
    assert facts([True, None, False, True]) == ColumnFacts("bool", 1, 0, 0, None, None, {"true": 2, "false": 1})


@pytest.mark.parametrize(
    ("values", "kind", "name", "minimum", "maximum"),
    [
        (
            [datetime(2026, 1, 2), None, datetime(2026, 1, 1)],
            pa.timestamp("ms"),
            "timestamp",
            datetime(2026, 1, 1),
            datetime(2026, 1, 2),
        ),
        (
            [datetime(2026, 1, 1, tzinfo=UTC)],
            pa.timestamp("us", "UTC"),
            "timestamp (UTC)",
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 1, tzinfo=UTC),
        ),
        ([Decimal("1.50"), Decimal("-2.25")], None, "decimal128(3, 2)", Decimal("-2.25"), Decimal("1.50")),
        ([1.5, 2.5], pa.float32(), "float32", 1.5, 2.5),
        (
            [timedelta(minutes=3), None, timedelta(minutes=-1)],
            pa.duration("s"),
            "duration[s]",
            timedelta(minutes=-1),
            timedelta(minutes=3),
        ),
        ([[1], None], None, "list<item: int64>", None, None),
        ([None, None], pa.null(), "null", None, None),
        ([None, None], pa.timestamp("us"), "timestamp", None, None),
    ],
)
def test_other_types_have_the_limits_that_they_can_have(values: Any, kind: Any, name: str, minimum: Any, maximum: Any) -> None:
    found = facts(values, kind)
    assert (found.type, found.minimum, found.maximum, found.nulls) == (name, minimum, maximum, list(values).count(None))
    assert found.values is None


@pytest.mark.parametrize(
    "values",
    [
        pa.array([568_971_820_800], pa.timestamp("s")),
        pa.array([2**62], pa.timestamp("us", "UTC")),
        pa.array([10**8], pa.date32()),
        pa.array([10**18], pa.duration("s")),
    ],
    ids=["year", "zone", "date", "duration"],
)
def test_a_time_that_python_does_not_know_is_bad_input(values: pa.Array) -> None:
    reader = TableReader("train.parquet", Chunks(pa.table({"x": values}), (7,)))
    with pytest.raises(BadInput, match="cannot be read as chunks"):
        reader.profile(sample=None, seed=0, max_values=5)
