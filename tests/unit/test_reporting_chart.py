"""Intervals drawn in characters: a reader sees the side of a mark on which a value is, and nothing that is not so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.reporting.chart import ALLOWED, POINT, WIDTH, ZERO, Interval, axis_for, draw
from modelship.reporting.columns import fitted, width

finite = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: 0.0 if abs(value) < 1e-100 else value)
margins = st.none() | st.just(0.0) | st.floats(1e-9, 1e6)


@st.composite
def intervals(draw_: st.DrawFn) -> Interval:
    low, change, high = sorted(draw_(st.tuples(finite, finite, finite)))
    return Interval(change, low, high, draw_(margins))


@pytest.mark.parametrize(
    ("interval", "drawn"),
    [
        (Interval(-0.010, -0.013, -0.007, 0.005), "  ├───●───┤ ¦     │    "),
        (Interval(-0.006, -0.014, 0.002, 0.005), " ├─────────●¦─────┼─┤  "),
        (Interval(-0.002, -0.004, 0.000, 0.005), "       ¦ ├──●──┤       "),
        (Interval(0.002, -0.001, 0.005, 0.005), "    ¦     ├─┼──●────┤  "),
        (Interval(-0.050, -0.060, -0.040, 0.005), "◄               ¦  │   "),
        (Interval(0.050, 0.040, 0.060, 0.005), "           ¦  │       ►"),
        (Interval(-0.002, -0.004, 0.001, None), "├────●─────┼──┤        "),
        (Interval(0.0, 0.0, 0.0, 0.0), "           ●           "),
    ],
)
def test_drawings(interval: Interval, drawn: str) -> None:
    assert draw(interval, axis_for([interval])) == drawn


@given(st.lists(intervals(), min_size=1, max_size=6))
def test_every_row_has_its_marks_in_the_same_columns(rows: list[Interval]) -> None:
    axis = axis_for(rows)
    for row in rows:
        drawn = draw(row, axis)
        assert len(drawn) == WIDTH
        assert drawn[axis.zero] != " "
        if row.has_margin:
            assert axis.allowed is not None
            assert 3 <= axis.allowed <= axis.zero - 3
            assert drawn[axis.allowed] != " "


@given(st.lists(intervals(), min_size=1, max_size=6))
def test_no_value_is_drawn_on_the_other_side_of_a_mark(rows: list[Interval]) -> None:
    axis = axis_for(rows)
    for row in rows:
        drawn = draw(row, axis)
        covered = [column for column, sign in enumerate(drawn) if sign not in (" ", ZERO, ALLOWED)]
        marks = [(axis.zero, 0.0)]
        if row.has_margin and row.margin is not None and axis.allowed is not None:
            marks.append((axis.allowed, -row.margin))
        for column, value in marks:
            assert (covered[-1] < column) == (row.high < value)
            assert (covered[0] > column) == (row.low > value)
        if POINT in drawn:
            for column, value in marks:
                assert (drawn.index(POINT) < column) == (row.change < value)


@given(st.lists(intervals(), min_size=1, max_size=6), st.sampled_from([0.25, 2.0, 1024.0]))
def test_a_chart_looks_the_same_in_any_unit(rows: list[Interval], unit: float) -> None:
    def scaled(row: Interval) -> Interval:
        return Interval(row.change * unit, row.low * unit, row.high * unit, None if row.margin is None else row.margin * unit)

    others = list(map(scaled, rows))
    assert [draw(row, axis_for(rows)) for row in rows] == [draw(row, axis_for(others)) for row in others]


@pytest.mark.parametrize("text", ["roc_auc", "a name that is too long for it", "精度精度精度精度精度", "e\u0301" * 20, ""])
@pytest.mark.parametrize("right", [True, False])
def test_text_fills_its_columns_exactly(text: str, right: bool) -> None:
    assert width(fitted(text, 11, right=right)) == 11
