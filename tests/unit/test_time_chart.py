"""Pictures over time: round numbers on the axes, everything inside, the same each time, and no name is ever more than text."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.reporting.time_chart import (
    WIDTH,
    Bar,
    Lane,
    Lanes,
    Level,
    LineChart,
    Mark,
    Point,
    Scale,
    Series,
    dates,
    draw,
    standalone,
    ticks,
)
from tests.hostile import ATTACKS

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
WEEK = timedelta(days=7)
SVG = "{http://www.w3.org/2000/svg}"

numbers = st.floats(allow_nan=True, allow_infinity=True)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))
names = st.sampled_from(ATTACKS) | st.text(max_size=40)
tones = st.sampled_from(["pass", "warn", "fail", "none", "a", "b"])
kinds = st.sampled_from(["deployed", "rolled-back", "failed", "asked"])
points = st.builds(Point, moments, numbers, st.none() | numbers, st.none() | numbers, tones, st.booleans(), names, names)
marks = st.builds(Mark, moments, kinds, names, names)
spans = st.none() | st.tuples(moments, moments).map(lambda both: (min(both), max(both)))
line_charts = st.builds(
    LineChart,
    names,
    st.lists(st.builds(Series, names, st.lists(points, max_size=5).map(tuple), tones), max_size=3).map(tuple),
    st.lists(st.builds(Level, moments, moments, numbers, st.none() | numbers, names, names), max_size=3).map(tuple),
    st.lists(marks, max_size=3).map(tuple),
    spans,
)
bars = st.builds(Bar, moments, moments, tones, names, names)
lanes = st.builds(Lane, names, st.lists(bars, max_size=3).map(tuple), st.lists(marks, max_size=3).map(tuple))
charts = line_charts | st.builds(Lanes, names, st.lists(lanes, max_size=4).map(tuple), spans)


def weeks(count: int, **more: object) -> LineChart:
    """A metric that falls, looked at each week."""
    found = tuple(
        Point(START + WEEK * index, 0.74 - 0.001 * index, 0.73 - 0.001 * index, 0.75 - 0.001 * index, told=f"week {index}")
        for index in range(count)
    )
    return LineChart("roc_auc falls", (Series("roc_auc", found),), **more)  # type: ignore[arg-type]


def parsed(chart: LineChart | Lanes) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart))


def found(drawn: ElementTree.Element, tag: str, kind: str) -> list[ElementTree.Element]:
    return [element for element in drawn.iter(tag) if kind in element.get("class", "").split()]


def texts(drawn: ElementTree.Element, kind: str) -> list[str]:
    return [
        "".join(part for part in element.itertext() if part != element.findtext("title")) for element in found(drawn, "text", kind)
    ]


# Axes ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0.701, 0.7437, (0.7, 0.71, 0.72, 0.73, 0.74, 0.75)),
        (-3.0, 42.0, (-10.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0)),
        (5.0, 5.0, (4.7, 4.8, 4.9, 5.0, 5.1, 5.2, 5.3)),
        (0.0, 0.0, (-1.0, -0.5, 0.0, 0.5, 1.0)),
    ],
)
def test_an_axis_has_round_numbers(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100), st.integers(2, 12))
def test_every_value_lies_between_the_ends_of_its_axis(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    marked = ticks(low, high, most)
    unseen = 1e-6 * max(high - low, abs(low))
    assert marked[0] <= low + unseen
    assert marked[-1] >= high - unseen
    assert all(after > before for before, after in pairwise(marked))
    assert 2 <= len(marked) <= most + 3


@pytest.mark.parametrize(
    ("length", "most", "expected"),
    [
        (timedelta(hours=5), 8, ["00:00", "01:00", "02:00", "03:00", "04:00", "05:00"]),
        (timedelta(days=4), 8, ["01-05", "01-06", "01-07", "01-08", "01-09"]),
        (timedelta(days=30), 8, ["01-05", "01-12", "01-19", "01-26", "02-02"]),
        (timedelta(days=170), 8, ["02-01", "03-01", "04-01", "05-01", "06-01"]),
        (timedelta(days=1200), 4, ["01-01", "01-01", "01-01"]),
        (timedelta(seconds=5), 8, ["00:00"]),
        (timedelta(days=4), 0, []),
    ],
)
def test_dates_are_where_hours_days_weeks_months_and_years_begin(length: timedelta, most: int, expected: list[str]) -> None:
    pattern = "%H:%M" if length < timedelta(days=1) else "%m-%d"
    assert [at.strftime(pattern) for at in dates(START, START + length, most)] == expected


def test_weeks_begin_on_mondays() -> None:
    assert {at.weekday() for at in dates(START + timedelta(days=3), START + 8 * WEEK, 9)} == {0}


@given(moments, moments, st.integers(0, 15))
def test_dates_lie_within_in_order_and_are_no_more_than_fit(one: datetime, other: datetime, most: int) -> None:
    start, end = min(one, other), max(one, other)
    found = dates(start, end, most)
    assert len(found) <= most
    assert all(start <= at <= end for at in found)
    assert all(after > before for before, after in pairwise(found))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_scale_keeps_the_order_and_its_ends(low: float, high: float, value: float) -> None:
    scale = Scale(min(low, high), max(low, high), 10.0, 20.0)
    assert 10.0 <= scale(value) <= 20.0
    assert scale(min(low, high)) <= scale(value) <= scale(max(low, high)) or not scale.low <= value <= scale.high


# Drawings ------------------------------------------------------------------------------------------------------------------------


@given(charts)
def test_whatever_it_is_told_it_draws_one_element_of_numbers_and_text(chart: LineChart | Lanes) -> None:
    drawn = draw(chart)
    assert drawn == draw(chart)
    if not drawn:
        return
    root = ElementTree.fromstring(drawn)
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "g",
        "line",
        "text",
        "title",
        "rect",
        "circle",
        "polygon",
        "polyline",
        "path",
    }
    for element in root.iter():
        names = {name for name in element.attrib if name not in ("class", "viewBox", "role", "aria-label", "d", "points", "rx")}
        assert names <= {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"}
        assert all(math.isfinite(float(element.get(name, ""))) for name in names)
        across = [float(element.get(name, "")) for name in names & {"x", "x1", "x2", "cx"}]
        assert all(-20 <= x <= WIDTH for x in across)
        assert all(float(element.get(name, "")) >= 0 for name in names & {"width", "height"})


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_names_stay_text(attack: str) -> None:
    lane = Lane(attack, (Bar(START, START + WEEK, "pass", attack, attack),), (Mark(START, "asked", attack, attack),))
    lines = weeks(3, levels=(Level(START, START + WEEK, 0.7, 0.6, attack),), marks=lane.marks)
    points = tuple(replace(point, told=attack) for point in lines.series[0].points)
    for chart in (Lanes(attack, (lane,)), replace(lines, told=attack, series=(Series(attack, points),))):
        harmless = replace(chart, told="a")
        assert len(list(ElementTree.fromstring(standalone(chart)).iter())) == len(
            list(ElementTree.fromstring(standalone(harmless)).iter())
        )
        assert "<script" not in draw(chart)
        assert not [element for element in parsed(chart).iter() if set(element.keys()) & {"href", "onload", "style", "src"}]


def test_a_point_stands_where_its_time_and_value_are_and_says_what_it_is() -> None:
    drawn = parsed(weeks(5))
    circles = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in drawn.iter("circle")]
    assert len(circles) == 5
    assert [x for x, _ in circles] == sorted(x for x, _ in circles)
    assert [y for _, y in circles] == sorted(y for _, y in circles), "falling values go down"
    gaps = [after - before for (before, _), (after, _) in pairwise(circles)]
    assert gaps == pytest.approx([gaps[0]] * 4, abs=0.2)
    assert [group.findtext("title") for group in found(drawn, "g", "point")] == [f"week {index}" for index in range(5)]


def test_few_points_have_error_bars_and_many_a_band() -> None:
    few, many = parsed(weeks(26)), parsed(weeks(300))
    assert (len(found(few, "path", "whisker")), len(found(few, "polygon", "band"))) == (26, 0)
    assert (len(found(many, "path", "whisker")), len(found(many, "polygon", "band"))) == (0, 1)
    assert len(list(many.iter("circle"))) == 300


def test_a_band_is_open_where_an_interval_is_not_known() -> None:
    chart = weeks(300)
    points = [replace(point, low=None) if index == 150 else point for index, point in enumerate(chart.series[0].points)]
    assert len(found(parsed(replace(chart, series=(Series("a", tuple(points)),))), "polygon", "band")) == 2


def test_tones_differ_in_shape_and_what_is_not_final_is_hollow() -> None:
    points = [Point(START + WEEK * index, 0.7, tone=tone) for index, tone in enumerate(("pass", "warn", "fail"))]  # type: ignore[arg-type]
    points.append(Point(START + 3 * WEEK, 0.7, is_open=True))
    groups = found(parsed(LineChart("", (Series("a", tuple(points)),))), "g", "point")
    assert [group[-1].tag for group in groups] == ["circle", "rect", "polygon", "circle"]
    assert ["open" in group.get("class", "").split() for group in groups] == [False, False, False, True]


def test_a_promise_and_its_limit_are_lines_over_their_time() -> None:
    drawn = parsed(weeks(10, levels=(Level(START, START + 4 * WEEK, 0.75, 0.73), Level(START + 4 * WEEK, START + 9 * WEEK, 0.74))))
    first, second = found(drawn, "line", "promise")
    (limit,) = found(drawn, "line", "limit")
    assert first.get("x2") == second.get("x1") == limit.get("x2")
    assert float(first.get("y1", "")) < float(second.get("y1", "")) < float(limit.get("y1", ""))


def test_what_happened_outside_the_time_that_is_shown_is_not_drawn() -> None:
    marks = (Mark(START - WEEK, "deployed", "v1"), Mark(START, "deployed", "v2"), Mark(START + 50 * WEEK, "failed", "v3"))
    drawn = parsed(weeks(10, marks=marks))
    assert (texts(drawn, "sign"), texts(drawn, "label")) == (["▲"], ["v2"])


def test_signs_that_stand_close_are_not_written_over() -> None:
    marks = tuple(Mark(START + timedelta(hours=hour), "deployed", f"v{hour}", f"v{hour} went live") for hour in (0, 1, 2, 500))
    drawn = parsed(weeks(10, marks=marks))
    assert texts(drawn, "sign") == ["▲"] * 4
    assert texts(drawn, "label") == ["v2", "v500"]
    assert [sign.findtext("title") for sign in found(drawn, "text", "sign")] == [mark.told for mark in marks]


def test_points_and_levels_are_labelled_where_there_is_room() -> None:
    chart = weeks(
        40, levels=(Level(START, START + WEEK / 2, 0.75, label="v1"), Level(START + WEEK, START + 30 * WEEK, 0.75, label="v2"))
    )
    labelled = tuple(replace(point, label=f"v{index}") for index, point in enumerate(chart.series[0].points))
    drawn = parsed(replace(chart, series=(Series("a", labelled),)))
    assert texts(drawn, "holds") == ["v2"]
    assert texts(drawn, "named") == [f"v{index}" for index in range(0, 40, 2)]


def test_where_there_is_nothing_nothing_is_drawn() -> None:
    assert draw(LineChart("none", ())) == ""
    assert draw(LineChart("none", (Series("a", (Point(START, math.nan),)),))) == ""
    assert draw(Lanes("none", ())) == ""
    assert standalone(Lanes("none", (Lane("a"),))) == ""


def test_a_file_of_its_own_has_its_style_and_loads_nothing() -> None:
    drawn = standalone(weeks(3))
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    style = root.findtext(f"{SVG}style") or ""
    assert "prefers-color-scheme: dark" in style
    assert not {"url(", "@import", "http"} & {word for word in ("url(", "@import", "http") if word in style}
