"""What differs between two versions of a table, however they are stored."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.changes.columns import Shift, find_shift, kind_of, percent
from modelship.data.changes.compare import MAX_COLUMNS, Differences, RowChanges, compare
from modelship.data.tables.opening import open_table


def differences(
    folder: Path,
    before: pd.DataFrame,
    after: pd.DataFrame,
    key: str | None = "id",
    *,
    formats: tuple[str, str] = ("parquet", "parquet"),
) -> Differences:
    tables = []
    for name, table, suffix in zip(("before", "after"), (before, after), formats, strict=True):
        path = folder / f"{name}.{suffix}"
        if suffix == "parquet":
            table.to_parquet(path, index=False)
        else:
            table.to_csv(path, index=False)
        tables.append(open_table(path.name, folder))
    return compare(tables[0], tables[1], key)


def flights(first: int = 0, rows: int = 50) -> pd.DataFrame:
    ids = np.arange(first, first + rows)
    carriers = [["UA", "B6", "EV"][number % 3] for number in ids]
    return pd.DataFrame({"id": ids, "carrier": carriers, "temp": ids % 7 + 0.5, "late": ids % 2 == 0})


def told(found: Differences) -> dict[str, tuple[str, str, str]]:
    return {change.column: (change.change, change.before, change.after) for change in found.columns}


# Rows -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formats", [(first, second) for first in ("parquet", "csv", "csv.gz") for second in ("parquet", "csv")])
def test_rows_that_came_went_and_changed(tmp_path: Path, formats: tuple[str, str]) -> None:
    before = flights()
    after = pd.concat([before.iloc[3:], flights(900, 5)]).sample(frac=1, random_state=1)
    after.loc[after["id"].isin([10, 20]), "temp"] += 0.25
    found = differences(tmp_path, before, after[["late", "temp", "id", "carrier"]], formats=formats)
    assert isinstance(found.rows, RowChanges)
    assert (found.rows_before, found.rows_after) == (50, 52)
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (5, 3, 2)
    assert set(found.rows.sample_keys) == {"10", "20"}


def test_the_same_rows_in_another_order_and_another_format_are_no_change(tmp_path: Path) -> None:
    found = differences(tmp_path, flights(), flights().iloc[::-1], formats=("parquet", "csv"))
    assert found.rows == RowChanges(0, 0, 0, ())
    assert found.columns == ()
    assert found.counts == {}


@pytest.mark.parametrize(
    ("before", "after", "key", "why"),
    [
        ({}, {}, None, "`data.key` names no column"),
        ({}, {}, "name", "not both have one column `name`"),
        ({}, {"id": [1.0, None]}, "id", "`id` is missing in 1 rows now"),
        ({"id": [4, 4]}, {}, "id", "`id` is repeated in 1 rows before"),
        ({}, {"id": [5, 5]}, "id", "`id` is repeated in 1 rows now"),
    ],
)
def test_why_rows_cannot_be_compared_is_said(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], key: str | None, why: str
) -> None:
    table = {"id": [1, 2], "x": [1.5, 2.5]}
    found = differences(tmp_path, pd.DataFrame({**table, **before}), pd.DataFrame({**table, **after, "x": [8.0, 9.0]}), key)
    assert isinstance(found.rows, str)
    assert why in found.rows
    assert (found.rows_before, found.rows_after) == (2, 2)
    assert "x" in told(found), "columns are compared all the same"


@pytest.mark.parametrize(
    ("before", "after", "stay"),
    [
        ([1, 2], ["1", "2"], 2),
        ([1, 2], [1.0, 2.0], 2),
        ([1.5, 1.0], [1, 2], 1),
        ([2**60, 2**60 + 1], [2**60, 2**60 + 2], 1),
        (["a", "b"], ["b", "c"], 1),
        ([-1, 2], [2**64 - 1, 2], 1),
        ([1e300, 2.0], [1e300, 3.0], 1),
        ([date(2026, 1, 1), date(2026, 1, 2)], [date(2026, 1, 2), date(2026, 1, 3)], 1),
    ],
)
def test_keys_are_compared_as_they_read(tmp_path: Path, before: Any, after: Any, stay: int) -> None:
    found = differences(tmp_path, pd.DataFrame({"id": before}), pd.DataFrame({"id": after}))
    assert found.rows == RowChanges(2 - stay, 2 - stay, 0, ())


def test_tables_without_rows(tmp_path: Path) -> None:
    empty = flights(0, 0)
    assert differences(tmp_path, empty, flights()).rows == RowChanges(50, 0, 0, ())
    assert differences(tmp_path, flights(), empty).rows == RowChanges(0, 50, 0, ())
    assert differences(tmp_path, empty, empty).rows == RowChanges(0, 0, 0, ())


tables = st.dictionaries(
    st.integers(-3, 12), st.tuples(st.none() | st.sampled_from(["a", "b"]), st.none() | st.integers(0, 2)), max_size=12
)


@settings(deadline=None, max_examples=40)
@given(st.data(), tables, tables)
def test_rows_are_counted_as_a_dictionary_counts_them(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, before: dict[int, Any], after: dict[int, Any]
) -> None:
    def frame(rows: dict[int, Any]) -> pd.DataFrame:
        keys = data.draw(st.permutations(sorted(rows)))
        text = pd.array([rows[key][0] for key in keys], dtype="str")
        number = pd.array([rows[key][1] for key in keys], dtype="Int64")
        return pd.DataFrame({"id": pd.array(keys, dtype="int64"), "text": text, "number": number})

    found = differences(tmp_path_factory.mktemp("tables"), frame(before), frame(after))
    both = before.keys() & after.keys()
    changed = {str(key) for key in both if before[key] != after[key]}
    assert isinstance(found.rows, RowChanges)
    assert (found.rows.added, found.rows.removed, found.rows.changed) == (
        len(after) - len(both),
        len(before) - len(both),
        len(changed),
    )
    assert set(found.rows.sample_keys) <= changed
    assert len(found.rows.sample_keys) == min(len(changed), 5)


def test_a_broken_table_is_bad_input(tmp_path: Path) -> None:
    flights().to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(BadInput, match=r"b\.parquet"):
        compare(open_table("a.parquet", tmp_path), open_table("b.parquet", tmp_path), "id")


# Columns ----------------------------------------------------------------------------------------------------------------------------


def test_columns_that_came_went_and_hold_something_else(tmp_path: Path) -> None:
    before = flights().assign(wind="calm")
    after = flights().assign(humid=0.5, temp=[f"{number} °F" for number in range(50)])
    found = differences(tmp_path, before, after)
    assert told(found) == {"humid": ("added", "", ""), "wind": ("removed", "", ""), "temp": ("retyped", "numbers", "text")}
    assert found.counts == {"added": 1, "removed": 1, "retyped": 1}
    assert found.rows == RowChanges(0, 0, 0, ()), "another kind of values is told once, not for each row"


def test_a_column_that_stands_twice_is_left_out(tmp_path: Path) -> None:
    for name, value in (("a.parquet", 2), ("b.parquet", 3)):
        pq.write_table(pa.table([[1], [value], [value]], names=["id", "x", "x"]), tmp_path / name)
    found = compare(open_table("a.parquet", tmp_path), open_table("b.parquet", tmp_path), "id")
    assert (found.rows, found.columns) == (RowChanges(0, 0, 0, ()), ())


def test_of_many_columns_the_first_are_told_and_all_are_counted(tmp_path: Path) -> None:
    before = flights()
    after = before.assign(**{f"new{number}": 1 for number in range(30)}, temp=before["temp"] + 9)
    found = differences(tmp_path, before, after)
    assert len(found.columns) == MAX_COLUMNS
    assert found.counts == {"added": 30, "shifted": 1}


def test_what_has_moved_furthest_comes_first(tmp_path: Path) -> None:
    before = flights(rows=70).assign(a=lambda table: table["temp"], b=lambda table: table["temp"])
    after = before.assign(a=before["a"] + 0.25, b=before["b"] + 5, temp=before["temp"] + 2)
    assert list(told(differences(tmp_path, before, after))) == ["b", "temp", "a"]


def shift(before: Any, after: Any) -> Shift | None:
    first, second = pd.Series(before), pd.Series(after)
    return find_shift(first, second, kind_of(second) or kind_of(first))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ([1.0, 3.0], [11.0, 13.0], ("mean 2, sd 1", "mean 12, sd 1")),
        ([10.0, 10.0], [10.0, 30.0], ("mean 10, sd 0", "mean 20, sd 10")),
        ([5, 5], [7, 7], ("mean 5, sd 0", "mean 7, sd 0")),
        ([-1e6, 1e6], [-3e6, 3e6], ("mean 0, sd 1,000,000", "mean 0, sd 3,000,000")),
        ([1.0, 3.0], [1.0, 3.0, None], ("0% missing", "33.3% missing")),
        ([1.0, None], [None, None], ("50% missing", "100% missing")),
        (["a", "a", "b", "b"], ["a", "b", "b", "b"], ("a 50%, b 50%", "a 25%, b 75%")),
        (["a", "b"], ["a", "c"], ("a 50%, 1 gone: b 50%", "a 50%, 1 new: c 50%")),
        ([True, False], [True, True], ("True 50%, 1 gone: False 50%", "True 100%")),
        (pd.Categorical(["a", "b"]), pd.Categorical(["b", "b"], categories=["a", "b"]), ("b 50%, 1 gone: a 50%", "b 100%")),
        (
            pd.to_datetime(["2026-01-01", "2026-02-01"]),
            pd.to_datetime(["2026-01-01", "2026-03-01"]),
            ("2026-01-01 00:00:00 to 2026-02-01 00:00:00", "2026-01-01 00:00:00 to 2026-03-01 00:00:00"),
        ),
        ([date(2026, 1, 1)], [date(2026, 1, 2)], ("2026-01-01 to 2026-01-01", "2026-01-02 to 2026-01-02")),
        ([1.0, float("inf")], [9.0, float("inf")], ("mean 1, sd 0", "mean 9, sd 0")),
        ([1e308, -1e308], [1e308, 1e308], ("mean 0, sd 1e+308", "mean 1e+308, sd 0")),
    ],
)
def test_what_has_moved_is_told_in_a_few_words(before: Any, after: Any, says: tuple[str, str]) -> None:
    found = shift(before, after)
    assert found
    assert (found.before, found.after) == says
    assert 0 < found.distance < 20


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.arange(1000.0), np.arange(1000.0) + 20),
        (["a"] * 52 + ["b"] * 48, ["a"] * 48 + ["b"] * 52),
        ([f"tail {number}" for number in range(2000)], [f"tail {number}" for number in range(2000, 4000)]),
        ([None] * 10, [None] * 10),
        ([], []),
        ([[1], [2]], [[3], [4]]),
        ([float("inf")], [float("inf")]),
    ],
)
def test_what_has_not_moved_noticeably_is_not_told(before: Any, after: Any) -> None:
    assert shift(before, after) is None


def test_many_new_categories_are_counted_and_long_ones_are_cut() -> None:
    found = shift(["a"], ["a", *(f"{'<' * 10_000}{number}" for number in range(50))])
    assert found
    assert found.after.startswith(f"a 2%, 50 new: {'<' * 39}… 2%")
    assert len(found.after) < 300


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "whole numbers"),
        ([1.0, None], "whole numbers"),
        (pd.array([1, None], dtype="Int64"), "whole numbers"),
        ([1.5, None], "numbers"),
        (["a", None], "text"),
        (pd.Categorical(["a", None]), "text"),
        (pd.Categorical([1, None]), "whole numbers"),
        ([True, None], "truth values"),
        ([True], "truth values"),
        (pd.to_datetime(["2026-01-01"], utc=True), "times"),
        ([date(2026, 1, 1)], "dates"),
        ([b"a"], "bytes"),
        ([[1]], "other values"),
        ([None, None], ""),
        ([float("nan")], ""),
    ],
)
def test_kinds_of_values(values: Any, kind: str) -> None:
    assert kind_of(pd.Series(values)) == kind


@pytest.mark.parametrize(
    ("share", "says"), [(0, "0%"), (1e-9, "<0.1%"), (0.001, "0.1%"), (0.0213, "2.1%"), (0.14159, "14.2%"), (1, "100%")]
)
def test_shares(share: float, says: str) -> None:
    assert percent(share) == says
