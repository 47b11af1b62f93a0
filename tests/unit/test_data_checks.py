"""What is wrong with tables whatever a team expects of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.config import Checks
from modelship.data.checks import CHECKS, Asked, Found, Side
from modelship.data.tables.opening import open_table
from modelship.data.tables.profile import profile

N = 200
MakeSide = Callable[..., Side]


@pytest.fixture
def side(tmp_path: Path) -> MakeSide:
    def make(rows: int | None = None, /, **columns: Any) -> Side:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        pq.write_table(pa.table(columns), path)
        reader = open_table(path.name, path.parent)
        return Side(profile(reader, sample=rows, seed=0, max_values=1000), reader.mixed())

    return make


def found(check: str, side: Side, reference: Side | None = None, **asked: Any) -> list[Found]:
    return list(CHECKS[check](side, Asked(reference, **asked)))


def told(check: str, side: Side, reference: Side | None = None, **asked: Any) -> dict[str | None, str]:
    return {one.column: one.observed for one in found(check, side, reference, **asked)}


def test_every_check_has_a_key_and_every_key_a_check() -> None:
    keys = {field.encode_name for field in msgspec.structs.fields(Checks)}
    assert keys == {*CHECKS, "overlap-with-reference"}


# Against the reference


def test_columns_gone_and_come(side: MakeSide) -> None:
    reference, current = side(a=[1], b=[1], late=[1]), side(a=[1], c=[1], id=[1])
    assert told("missing-column", current, reference, target="late") == {"b": "the reference has this column"}
    assert told("unexpected-column", current, reference, key="id") == {"c": "the reference has no such column"}
    for check in ("missing-column", "unexpected-column", "changed-type", "new-category"):
        assert found(check, current) == []


def test_a_column_that_lost_all_its_values_is_missing(side: MakeSide) -> None:
    reference = side(a=[1, 2], b=["x", None], late=[0, 1], gone=pa.nulls(2))
    current = side(a=pa.array([None, None], pa.int64()), b=["x", None], late=pa.nulls(2), gone=pa.nulls(2))
    assert told("missing-column", current, reference, target="late") == {"a": "no row has a value, and the reference has values"}
    nan = side(a=[float("nan")] * 2, b=["x", None], late=[0, 1], gone=[1, 2])
    assert set(told("missing-column", nan, reference, target="late")) == {"a"}


NOON = datetime(2013, 1, 1, 12)
TYPES: dict[str, tuple[Any, Any, str | None]] = {
    "text for a number": ([1, 2], ["1", "x"], "text, where the reference has int64"),
    "number for text": (["a", "b"], [1.0, 2.0], "float64, where the reference has text"),
    "fractions": ([1, 2], [1.5, 2.0], "float64, where the reference has int64"),
    "whole numbers with a hole": ([1, 2], pa.array([1.0, None]), None),
    "whole numbers with not a number": ([1, 2], pa.array([1.0, float("nan")]), None),
    "whole numbers for numbers": ([1.5, 2], [1, 2], None),
    "another width": (pa.array([1], pa.int64()), pa.array([1], pa.int8()), None),
    "less precise": (pa.array([1.5], pa.float64()), pa.array([1.5], pa.float32()), None),
    "truth for numbers": ([0, 1], [False, True], "bool, where the reference has int64"),
    "text in a dictionary": (["a", "b"], pa.array(["a", "b"]).dictionary_encode(), None),
    "another unit": (pa.array([NOON], pa.timestamp("us")), pa.array([NOON], pa.timestamp("ms")), None),
    "a zone gone": (
        pa.array([NOON.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
        pa.array([NOON], pa.timestamp("us")),
        "timestamp, where the reference has timestamp (UTC)",
    ),
    "another zone": (pa.array([NOON], pa.timestamp("us", "UTC")), pa.array([NOON], pa.timestamp("us", "America/New_York")), None),
    "a day for a time": (pa.array([NOON], pa.timestamp("us")), pa.array([date(2013, 1, 1)]), None),
    "nothing before": (pa.array([None, None], pa.float64()), ["a", "b"], None),
    "nothing now": (["a", "b"], pa.array([float("nan"), None]), None),
}


@pytest.mark.parametrize(("before", "after", "said"), TYPES.values(), ids=TYPES)
def test_a_changed_type(side: MakeSide, before: Any, after: Any, said: str | None) -> None:
    assert told("changed-type", side(x=after), side(x=before)) == ({"x": said} if said else {})


def test_categories_that_the_reference_lacks(side: MakeSide) -> None:
    reference = side(carrier=["UA", "AA"] * 100, late=["yes", "no"] * 100, id=["a", "b"] * 100)
    current = side(carrier=["UA", "HA", "HA", "OO"], late=["yes", "no", "no", None], id=list("cdef"))
    [one] = found("new-category", current, reference, target="late", key="id")
    assert (one.column, one.rows) == ("carrier", 3)
    assert one.observed == "2 values that the reference lacks: HA (2 rows), OO (1 row)"
    assert set(one.values) == {"HA", "OO"}


def test_many_new_categories_are_counted(side: MakeSide) -> None:
    reference = side(dest=["JFK", "LGA"] * 100)
    assert told("new-category", side(dest=[f"x{n}" for n in range(9)]), reference)["dest"].endswith("x4 (1 row) and 4 more")
    assert told("new-category", side(dest=[f"x{n}" for n in range(1001)]), reference) == {
        "dest": "more than 1,000 different values, where the reference has 2"
    }


def test_names_and_places_are_no_categories(side: MakeSide) -> None:
    reference = side(name=[f"n{row // 4}" for row in range(N)], whole=[0, 1] * 100)
    assert found("new-category", side(name=["other"], whole=[2]), reference) == []
    places = side(place=[f"p{row % 51}" for row in range(51 * 10)])
    assert found("new-category", side(place=["other"]), places) == []


# Alone


def test_mixed_types_name_the_others(side: MakeSide) -> None:
    values = [*map(str, range(N)), "n/a", "?"]
    [one] = found("mixed-types", side(price=values, id=values), key="id")
    assert (one.column, one.rows, one.numbers) == ("price", 2, (N, N + 1))
    assert one.observed == "2 of 202 values are no number, as the others are: n/a, ?"


def test_infinite_values(side: MakeSide) -> None:
    [one] = found("infinite-value", side(x=[1.0, float("inf"), None, float("-inf"), float("nan")], y=[1.0] * 5))
    assert (one.column, one.rows, one.observed) == ("x", 2, "2 of 5 values are infinite")
    assert set(one.values) == {float("inf"), float("-inf")}


def labels(**rows: int) -> list[str]:
    return [name for name, count in rows.items() for _ in range(count)]


def test_a_rare_class_is_told(side: MakeSide) -> None:
    assert told("rare-class", side(y=labels(a=150, b=9, c=10)), target="y") == {"y": "only 9 of 169 rows are `b`"}
    assert found("rare-class", side(y=labels(a=80, b=9)), target="y") == [], "in a small table every class is rare"
    assert told("rare-class", side(y=[0] * N + [1]), target="y") == {"y": "only 1 of 201 rows is `1`"}
    assert found("rare-class", side(y=[0] * N + [1, 2]), target="y") == [], "they may be counts"
    assert found("rare-class", side(y=[0.5] * N + [1.5]), target="y") == []
    assert found("rare-class", side(y=[f"n{row}" for row in range(N)]), target="y") == [], "no classes"
    assert found("rare-class", side(x=labels(a=150, b=9)), target="y") == []


FEW_NO = [1] * 195 + [0] * 5
TARGETS: dict[str, Any] = {
    "whole numbers": pa.array(FEW_NO),
    "fractions": pa.array(FEW_NO, pa.float64()),
    "fractions and missing": pa.array([*FEW_NO, None, None], pa.float32()),
    "decimals": pa.array([Decimal(value) for value in FEW_NO], pa.decimal128(5, 2)),
    "text": labels(**{"1": 195, "0": 5}),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_floor_holds_however_the_target_is_stored(side: MakeSide, target: Any) -> None:
    assert told("class-below-floor", side(y=target), target="y", floor=0.05) == {"y": "5 of 200 rows (2.5%) are `0`"}
    assert found("class-below-floor", side(y=target), target="y", floor=0.02) == []
    assert told("rare-class", side(y=target), target="y") == {"y": "only 5 of 200 rows are `0`"}
    assert (
        "0 of 200 rows (0%) are `0`"
        in told("class-below-floor", side(y=[1] * N), side(y=pa.array(FEW_NO)), target="y", floor=0.01)["y"]
    )


def test_a_sample_is_said_where_a_floor_is_measured_in_it(side: MakeSide) -> None:
    [told_] = told("class-below-floor", side(100, y=[1.0] * 150 + [0.0] * 50), target="y", floor=0.4).values()
    assert told_.endswith("are `0` (in a sample of 100 rows)")
    assert found("rare-class", side(100, y=[1.0] * 195 + [0.0] * 5), target="y") == []


NO_CLASSES = {
    "numbers": ([row + 0.5 for row in range(N)], "float64: no classes that could be counted"),
    "times": (pa.array(range(N), pa.timestamp("us")), "timestamp: no classes that could be counted"),
    "names": ([f"n{row}" for row in range(1001)], "more than 1,000 different values: no classes that could be counted"),
    "lists": ([[row] for row in range(N)], "list<element: int64>: no classes that could be counted"),
}


@pytest.mark.parametrize(("target", "wanted"), NO_CLASSES.values(), ids=NO_CLASSES)
def test_a_floor_is_no_pass_where_there_are_no_classes(side: MakeSide, target: Any, wanted: str) -> None:
    assert told("class-below-floor", side(y=target), target="y", floor=0.01) == {"y": wanted}
    assert found("rare-class", side(y=target), target="y") == []


def test_a_floor_is_held_against_many_classes(side: MakeSide) -> None:
    names = [f"n{row}" for row in range(150)]
    assert len(found("class-below-floor", side(y=names), target="y", floor=0.01)) == 150
    assert found("class-below-floor", side(y=names), target="y", floor=0.001) == []


def test_a_target_of_lists_has_no_leak(side: MakeSide) -> None:
    assert found("leaking-feature", side(x=[0, 1] * 100, y=[[0], [1]] * 100), target="y") == []


def test_a_class_that_only_the_reference_has_is_rare(side: MakeSide) -> None:
    reference = side(y=labels(a=100, b=100, c=100))
    assert told("rare-class", side(y=labels(a=100, b=100)), reference, target="y") == {"y": "only 0 of 200 rows are `c`"}


def test_a_class_below_the_floor(side: MakeSide) -> None:
    table = side(y=[0] * 150 + [1] * 40 + [2] * 10)
    assert told("class-below-floor", table, target="y", floor=0.1) == {"y": "10 of 200 rows (5%) are `2`"}
    assert found("class-below-floor", table, target="y", floor=0.05) == []
    assert found("class-below-floor", table, target="y") == []


# Leaks


rng = np.random.default_rng(7)
LATE = [0, 1, 1, 0, 1] * 40
LEAKS: dict[str, tuple[Any, str]] = {
    "the target itself": (LATE, "each of its values comes with only one value of `late`"),
    "the target in words": (["yes" if late else "no" for late in LATE], "each of its values comes with only one value of `late`"),
    "categories": (["weather" if row % 2 else "crew" for row in range(N)], ""),
    "a reason only where it is late": (
        [f"r{row}" if late else None for row, late in enumerate(LATE)],
        "whether it is missing tells `late`",
    ),
    "minutes of delay": (
        [20 + row / 7 if late else row / 70 - 5 for row, late in enumerate(LATE)],
        "thresholds on it tell `late`",
    ),
    "honest": (rng.normal(size=N) + np.array(LATE), ""),
    "almost": ([*[1 - LATE[0]], *LATE[1:]], ""),
    "a key": ([f"k{row}" for row in range(N)], ""),
    "a list": ([[late] for late in LATE], ""),
}


@pytest.mark.parametrize(("feature", "said"), LEAKS.values(), ids=LEAKS)
def test_a_feature_that_gives_a_class_away(side: MakeSide, feature: Any, said: str) -> None:
    assert told("leaking-feature", side(x=feature, late=LATE, row=list(range(N))), target="late", key="row") == (
        {"x": said} if said else {}
    )


def test_three_classes_in_order(side: MakeSide) -> None:
    classes = labels(low=70, middle=70, high=60)
    assert told("leaking-feature", side(x=np.arange(N) * 1.5, y=classes), target="y") == {"x": "thresholds on it tell `y`"}
    assert found("leaking-feature", side(x=np.arange(N) * 1.5, y=labels(low=70, high=60, middle=70)[::-1]), target="y") != []
    assert found("leaking-feature", side(x=np.arange(N) // 40 * 1.5 + np.arange(N) % 7 / 100, y=classes), target="y") == []


def test_a_number_that_is_the_target_in_other_words(side: MakeSide) -> None:
    price = rng.lognormal(size=500)
    table = side(euro=np.round(price * 0.9, 2), noise=price + rng.normal(size=500), price=price, few=[None] * 480 + [1.0] * 20)
    assert list(told("leaking-feature", table, target="price")) == ["euro"]


def test_a_class_of_few_rows_proves_no_leak(side: MakeSide) -> None:
    late = [1] * 9 + [0] * 191
    assert found("leaking-feature", side(x=late, late=late), target="late") == []


def test_leaks_are_looked_for_in_the_reference_and_a_sample_is_said(side: MakeSide) -> None:
    reference = side(100, x=LATE, late=LATE)
    assert found("leaking-feature", reference, reference, target="late") == []
    assert told("leaking-feature", reference, target="late")["x"].endswith(" (in a sample of 100 rows)")
    assert found("leaking-feature", reference, target="absent") == []
    assert found("leaking-feature", reference) == []


@settings(deadline=None, max_examples=30)  # a busy machine is not a failure
@given(st.lists(st.sampled_from(["a", "b", "<i>", "\n"]), min_size=1), st.lists(st.sampled_from(["a", "c", "\u202e"]), min_size=1))
def test_a_table_has_nothing_against_itself(tmp_path_factory: pytest.TempPathFactory, texts: list[str], others: list[str]) -> None:
    """Whatever it holds, a table is as the reference when it is the reference; and no check stops on what it reads."""
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    rows = min(len(texts), len(others))
    pq.write_table(pa.table({"x": texts[:rows], "y": others[:rows], "late": [row % 2 for row in range(rows)]}), path)
    reader = open_table(path.name, path.parent)
    one = Side(profile(reader, sample=None, seed=0, max_values=1000), reader.mixed())
    for check in ("missing-column", "unexpected-column", "changed-type", "new-category"):
        assert found(check, one, one, target="late") == []
    for check in CHECKS:
        assert isinstance(found(check, one, target="late", floor=0.5), list)
