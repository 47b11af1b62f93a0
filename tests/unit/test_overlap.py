"""Rows that stand in two tables, however the tables are stored."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.overlap import Overlap, find_overlap
from modelship.data.tables.opening import open_table

FORMATS = ("parquet", "csv", "csv.gz")


def overlap(
    folder: Path,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    key: str | None = "id",
    *,
    formats: tuple[str, str] = ("parquet", "parquet"),
) -> Overlap:
    files = []
    for name, table, suffix in zip(("train", "holdout"), (reference, current), formats, strict=True):
        path = folder / f"{name}.{suffix}"
        if suffix == "parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False)
        files.append(open_table(path.name, folder))
    return find_overlap(files[0], files[1], key)


def flights(first: int, rows: int = 50) -> pd.DataFrame:
    ids = np.arange(first, first + rows)
    return pd.DataFrame(
        {
            "id": ids,
            "carrier": [f"C{number % 7}" for number in ids],
            "distance": ids * 1.5,
            "seats": ids % 3,
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(ids, unit="min"),
            "late": ids % 2 == 0,
        }
    )


@pytest.mark.parametrize("first", FORMATS)
@pytest.mark.parametrize("second", FORMATS)
def test_tables_apart_are_apart_and_copied_rows_are_found(tmp_path: Path, first: str, second: str) -> None:
    reference, current = flights(0), flights(50)
    apart = overlap(tmp_path, reference, current, formats=(first, second))
    assert (apart.holds, apart.rows, len(apart.by_key), len(apart.by_content)) == (True, 50, 0, 0)
    # The columns of one file may come in another order, and under another key the rows are the same.
    copied = pd.concat([current, reference.iloc[[4, 9]].assign(id=[900, 901])])[["late", "id", "distance", "at", "carrier", "seats"]]
    if first == second:  # Times are text in a CSV file and times in a Parquet file.
        found = overlap(tmp_path, reference, copied, formats=(first, second))
        assert (found.holds, found.by_key.tolist(), found.by_content.tolist()) == (False, [], [50, 51])


@pytest.mark.parametrize("formats", [(first, second) for first in FORMATS for second in FORMATS])
def test_keys_that_stand_in_both_are_found(tmp_path: Path, formats: tuple[str, str]) -> None:
    current = flights(45)
    found = overlap(tmp_path, flights(0), current.assign(distance=-1.0), formats=formats)
    assert found.by_key.tolist() == [0, 1, 2, 3, 4]
    assert len(found.by_content) == 0
    assert not found.holds


def test_large_whole_numbers_are_not_mistaken_for_one_another(tmp_path: Path) -> None:
    """As floats these keys would be the same."""
    reference = pd.DataFrame({"id": [2**60], "x": [1]})
    current = pd.DataFrame({"id": [2**60 + 1], "x": [2]})
    assert overlap(tmp_path, reference, current).holds


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([1, 2], ["2", "x"]),
        (["1", "2"], [3, 2]),
        ([1.0, 2.0, None], ["2", None]),
        ([2, 3], [2.0, None]),
        (pd.Categorical(["2", "3"]), ["x", "2"]),
    ],
)
def test_a_key_is_the_same_as_a_number_and_as_text(tmp_path: Path, reference: Any, current: Any) -> None:
    first = pd.DataFrame({"id": reference, "x": range(len(reference))})
    second = pd.DataFrame({"id": current, "x": range(10, 10 + len(current))})
    found = overlap(tmp_path, first, second)
    assert [str(second["id"].iloc[row]).removesuffix(".0") for row in found.by_key] == ["2"]


def test_missing_keys_are_not_shared(tmp_path: Path) -> None:
    first = pd.DataFrame({"id": ["a", None], "x": [1, 2]})
    assert overlap(tmp_path, first, pd.DataFrame({"id": ["b", None], "x": [3, 4]})).holds


SAME = {
    "whole and float": ([1, 2, 3], [1.0, 2.0, 3.0]),
    "narrow and wide": (np.array([1, 2, 3], dtype=np.int8), np.array([1, 2, 3], dtype=np.uint64)),
    "zeros": ([0.0, 1.0, 2.0], [-0.0, 1.0, 2.0]),
    "missing numbers": ([1, None, 3], pd.array([1, None, 3], dtype="Int64")),
    "text and categories": (["a", "b", None], pd.Categorical(["a", "b", None], categories=["z", "b", "a"])),
    "truth values": ([True, False, None], pd.array([True, False, None], dtype="boolean")),
    "truth values and numbers": ([True, False, True], [1, 0, 1]),
    "times": (
        pd.to_datetime(["2026-01-01", None, "2026-01-03"]).astype("datetime64[ns]"),
        pd.to_datetime(["2026-01-01", None, "2026-01-03"]).astype("datetime64[ms]"),
    ),
    "zones": (
        pd.to_datetime(["2026-01-01 12:00", "2026-01-02 12:00", None], utc=True),
        pd.to_datetime(["2026-01-01 12:00", "2026-01-02 12:00", None], utc=True).tz_convert("Europe/Berlin"),
    ),
    "dates": ([date(2026, 1, 1), date(2026, 1, 2), None], [date(2026, 1, 1), date(2026, 1, 2), None]),
    "decimals": ([Decimal("1.50"), Decimal("2.25"), None], [Decimal("1.50"), Decimal("2.25"), None]),
    "decimals of other scales": ([Decimal("1.50"), Decimal("2.20"), None], [Decimal("1.500"), Decimal("2.200"), None]),
    "decimals and floats": ([Decimal("1.50"), Decimal("0.10"), None], [1.5, 0.1, None]),
    "decimals and whole numbers": ([Decimal("1.00"), Decimal("20.00"), Decimal("0.00")], [1, 20, 0]),
    "large whole numbers and floats": ([2**60, 2**62, 1], [2.0**60, 2.0**62, 1.0]),
    "lists": ([[1, 2], [], None], [[1, 2], [], None]),
    "bytes": ([b"a", b"", None], [b"a", b"", None]),
}


@pytest.mark.parametrize(("first", "second"), SAME.values(), ids=SAME.keys())
def test_values_are_compared_as_they_read(tmp_path: Path, first: Any, second: Any) -> None:
    found = overlap(tmp_path, pd.DataFrame({"x": first, "n": [7, 8, 9]}), pd.DataFrame({"x": second, "n": [7, 8, 9]}), None)
    assert found.by_content.tolist() == [0, 1, 2]


OTHERS = {
    "large whole numbers": ([2**60], [2**60 + 1]),
    "large negative ones": ([-(2**60)], [-(2**60) + 1]),
    "decimals of many digits": ([Decimal("12345678901234567.89")], [Decimal("12345678901234567.90")]),
    "decimals of more digits": ([Decimal("1234567890123456789012345678901")], [Decimal("1234567890123456789012345678902")]),
}


@pytest.mark.parametrize(("first", "second"), OTHERS.values(), ids=OTHERS)
def test_values_that_a_float_does_not_tell_apart_differ(tmp_path: Path, first: Any, second: Any) -> None:
    assert overlap(tmp_path, pd.DataFrame({"x": first}), pd.DataFrame({"x": second}), None).by_content.tolist() == []
    assert overlap(tmp_path, pd.DataFrame({"x": first}), pd.DataFrame({"x": first}), None).by_content.tolist() == [0]


def test_long_lists_that_differ_in_the_middle_differ(tmp_path: Path) -> None:
    first, second = np.zeros(3000), np.zeros(3000)
    second[1500] = 1
    found = overlap(tmp_path, pd.DataFrame({"x": [first, first]}), pd.DataFrame({"x": [second, first]}), None)
    assert found.by_content.tolist() == [1]


def test_the_target_is_compared_too(tmp_path: Path) -> None:
    """The same features with another outcome are another row: nothing was learnt by heart."""
    first = pd.DataFrame({"x": [1.5, 2.5], "late": [0, 1]})
    assert overlap(tmp_path, first, first.assign(late=1 - first["late"]), None).holds


def test_the_order_of_values_within_a_row_counts(tmp_path: Path) -> None:
    first = pd.DataFrame({"a": [1], "b": [2]})
    assert overlap(tmp_path, first, pd.DataFrame({"a": [2], "b": [1]}), None).holds


@pytest.mark.parametrize("columns", [["id"], ["id", "other"], ["other"]])
def test_without_a_column_in_common_there_is_nothing_to_compare(tmp_path: Path, columns: list[str]) -> None:
    current = pd.DataFrame({name: [1, 2] for name in columns})
    found = overlap(tmp_path, pd.DataFrame({"id": [8, 9], "x": [1, 2]}), current)
    assert found.holds


def test_no_rows_share_nothing(tmp_path: Path) -> None:
    assert overlap(tmp_path, flights(0).head(0), flights(0)).holds
    assert overlap(tmp_path, flights(0), flights(0).head(0)).holds


def coarse(seed: int, rows: int) -> pd.DataFrame:
    """A table of so few values that rows are equal by chance."""
    random = np.random.default_rng(seed)
    return pd.DataFrame({name: random.integers(0, 12, rows) for name in "abc"})


def test_what_chance_explains_is_let_pass_and_what_it_does_not_is_not(tmp_path: Path) -> None:
    reference, current = coarse(1, 400), coarse(2, 400)
    found = overlap(tmp_path, reference, current, None)
    assert found.expected > 50
    assert len(found.by_content) > 50
    assert found.holds
    leaked = pd.concat([current.head(300), reference.sample(100, random_state=3)])
    assert not overlap(tmp_path, reference, leaked, None).holds


def test_chance_rarely_raises_an_alarm(tmp_path: Path) -> None:
    """Tables that were drawn apart: beyond three standard deviations lie few, also where equal rows come in clusters."""
    alarms = sum(not overlap(tmp_path, coarse(seed, 300), coarse(10_000 + seed, 100), None).holds for seed in range(100))
    assert alarms <= 5


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_shuffled_rows_are_the_same_rows(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    tables = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.none() | st.booleans()), min_size=1, max_size=12)
    reference, current = (pd.DataFrame(data.draw(tables), columns=["a", "b", "c"]) for _ in range(2))
    order = data.draw(st.permutations(range(len(reference))))
    folder = tmp_path_factory.mktemp("tables")
    first, second = overlap(folder, reference, current, None), overlap(folder, reference.iloc[order], current, None)
    known = {tuple(map(repr, row)) for row in reference.astype(object).where(reference.notna(), None).itertuples(index=False)}
    plain = current.astype(object).where(current.notna(), None)
    expected = [row for row, values in enumerate(plain.itertuples(index=False)) if tuple(map(repr, values)) in known]
    assert first.by_content.tolist() == second.by_content.tolist() == expected
    assert first.expected == second.expected


def test_a_broken_table_is_bad_input(tmp_path: Path) -> None:
    flights(0).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(BadInput, match=r"b\.parquet"):
        find_overlap(open_table("a.parquet", tmp_path), open_table("b.parquet", tmp_path), "id")
