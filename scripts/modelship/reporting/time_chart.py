"""Pictures over time as SVG: what was measured with its intervals, and what happened meanwhile. Pure, and the same for the same input.

Two kinds share one time axis, so that they can stand under each other: a `LineChart` shows numbers (points with error bars, or a band
where they are many; promises and limits as lines), and `Lanes` show states (bars on a row each, and signs). A drawing is made of XML
elements and never of text, so that whatever a name says it stays text; colours come from classes and `templates/colours.css`,
so that a page shows it light or dark. `standalone` makes a file of it, for an `<img>`.

What is drawn is told as text, too: `told` of each point is shown where somebody points at it, and whoever uses a chart puts a table
beside it for those who see none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from modelship.core.words import clean, general
from modelship.reporting.columns import fitted, width
from modelship.reporting.numbers import number

WIDTH = 860
"""Units of the drawing; a page shows one as one CSS pixel or less."""

Tone = Literal["pass", "warn", "fail", "none", "a", "b"]
"""A colour by what it means: the lights of a report, or one of two series that are compared."""
Shape = Literal["dot", "square", "diamond"]
Sign = Literal["deployed", "rolled-back", "failed", "asked"]
"""What happened."""

_TEMPLATES = Path(__file__).parent / "templates"
_LEFT, _RIGHT = 140, 16
"""The same for both kinds: a moment has one place on a page."""
_MARKS, _AXIS = 22, 34
_PLOT = 190
_LANE = 22
_MOST_BARS = 80
"""Points with an error bar each; of more the bars would be one grey area, so that a band is drawn."""
_SIGN_ROOM = 7
"""From the middle of a sign to its label."""
_LABEL_ROOM = 34
"""Between two labels of points."""
_DATE_ROOM = 62
"""Between two dates on the axis."""
_SAME, _NOTHING = 1e-9, 1e-100
"""Values that differ by a smaller share than the one, or by less than the other, are drawn as equal."""
_LARGEST = 1e100
"""A value that is further from zero is not drawn."""
_LONG_NUMBER = 1e7
_NAME_LIMIT, _LABEL_LIMIT, _TOLD_LIMIT = 60, 12, 300
_LANE_NAME_WIDTH = 20
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIGNS: dict[Sign, str] = {"deployed": "▲", "rolled-back": "▼", "failed": "✕", "asked": "↻"}
_BAR_HEIGHTS: dict[str, float] = {"pass": 6, "none": 6, "warn": 11}
_SHAPES: dict[str, Shape] = {"pass": "dot", "warn": "square", "fail": "diamond", "none": "dot", "a": "dot", "b": "square"}
"""Shapes and heights differ as the colours do, so that no colour has to be seen."""


@dataclass(frozen=True)
class Point:
    """A value at a moment, and what it may truly be."""

    at: datetime
    value: float
    low: float | None = None
    high: float | None = None
    tone: Tone = "none"
    is_open: bool = False
    """Whether it is not final: drawn hollow."""
    told: str = ""
    label: str = ""
    """Written above it where there is room."""


@dataclass(frozen=True)
class Series:
    """Points that belong together, oldest first. A line joins them."""

    name: str
    points: tuple[Point, ...]
    tone: Tone = "none"
    """Of the line and its band."""


@dataclass(frozen=True)
class Level:
    """A value that holds from one moment to another, and how far below or above it values may go."""

    start: datetime
    end: datetime
    value: float
    limit: float | None = None
    told: str = ""
    label: str = ""
    """Written at its start."""


@dataclass(frozen=True)
class Mark:
    """Something that happened: a sign at its moment."""

    at: datetime
    kind: Sign
    label: str = ""
    told: str = ""


@dataclass(frozen=True)
class Bar:
    """A state from one moment to another."""

    start: datetime
    end: datetime
    tone: Tone
    label: str = ""
    told: str = ""


@dataclass(frozen=True)
class Lane:
    """A row of states and of what happened."""

    name: str
    bars: tuple[Bar, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class LineChart:
    """Numbers over time."""

    told: str
    """What it shows, in a sentence: for who cannot see it, and where nothing can be drawn."""
    series: tuple[Series, ...]
    levels: tuple[Level, ...] = ()
    marks: tuple[Mark, ...] = ()
    span: tuple[datetime, datetime] | None = None
    """The time that is shown; that of the points without it."""


@dataclass(frozen=True)
class Lanes:
    """States over time."""

    told: str
    lanes: tuple[Lane, ...]
    span: tuple[datetime, datetime] | None = None


TimeChart = LineChart | Lanes


@dataclass(frozen=True)
class Scale:
    """From what is measured to where it is drawn, linear: `low` at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where `value` is; what lies outside is put on the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most about `most` round numbers (1, 2 or 5 times a power of ten apart) from the last below `low` to the first above `high`.

    `low` must not be above `high`; where they are as good as equal there is some room around them.
    """
    if high - low <= max(_SAME * max(abs(low), abs(high)), _NOTHING):
        room = max(abs(low) * 0.05, _NOTHING) if low else 1.0
        low, high = low - room, high + room
    rough = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9)), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, 12) if step > 1e-9 else index * step for index in range(first, last + 1))


def dates(start: datetime, end: datetime, most: int) -> tuple[datetime, ...]:
    """At most `most` moments in UTC at which hours, days, weeks (on Mondays), months or years begin: the finest that fit."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    for step in _STEPS:
        found = _until(step(start), start, end, most)
        if found is not None:
            return found or (start,)[:most]
    return ()


def draw(chart: TimeChart) -> str:
    """The drawing as an `<svg>` element for an HTML page; empty where there is nothing to draw."""
    element = _element(chart)
    return "" if element is None else ElementTree.tostring(element, encoding="unicode")


def standalone(chart: TimeChart) -> str:
    """The drawing as a file of its own, which follows the light or dark of whoever looks at it; empty as `draw` is."""
    element = _element(chart)
    if element is None:
        return ""
    element.set("xmlns", "http://www.w3.org/2000/svg")
    style = ElementTree.Element("style")
    style.text = chart_style()
    element.insert(0, style)
    element.insert(1, ElementTree.Element("rect", {"width": "100%", "height": "100%", "rx": "6", "class": "paper"}))
    return ElementTree.tostring(element, encoding="unicode") + "\n"


def chart_style() -> str:
    """The colours and rules that drawings need."""
    return "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("colours.css", "chart.css"))


# Time ----------------------------------------------------------------------------------------------------------------------------

_Step = Callable[[datetime], Iterator[datetime]]


def _hours(hours: int) -> _Step:
    def every(start: datetime) -> Iterator[datetime]:
        return _every(start.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(hours=hours))

    return every


def _days(days: int) -> _Step:
    def every(start: datetime) -> Iterator[datetime]:
        # The first of January of the year 1 was a Monday, and ordinals count from it: weeks begin on Mondays.
        ordinal = start.toordinal() - 1
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        return _every(midnight - timedelta(days=min(ordinal % days, ordinal)), timedelta(days=days))

    return every


def _months(months: int) -> _Step:
    def every(start: datetime) -> Iterator[datetime]:
        number = (start.year * 12 + start.month - 1) // months * months
        while 12 <= number < 12 * 10_000:
            yield datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
            number += months

    return every


def _every(first: datetime, step: timedelta) -> Iterator[datetime]:
    while True:
        yield first
        if first > datetime.max.replace(tzinfo=UTC) - step:
            return
        first += step


_STEPS: tuple[_Step, ...] = (
    *map(_hours, (1, 3, 6, 12)),
    *map(_days, (1, 2, 7, 14)),
    *map(_months, (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 12_000)),
)


def _until(moments: Iterator[datetime], start: datetime, end: datetime, most: int) -> tuple[datetime, ...] | None:
    """Those from `start` to `end`; None where they are more than `most`."""
    found: list[datetime] = []
    for at in moments:
        if at > end:
            break
        if at >= start:
            found.append(at)
        if len(found) > most:
            return None
    return tuple(found)


def _date_lines(at: datetime, before: datetime | None) -> tuple[str, str]:
    """A date on the axis in two lines: the day or the month, and below it what has changed since the one before."""
    if (at.hour, at.minute) != (0, 0):
        return f"{at.hour:02d}:{at.minute:02d}", "" if before else f"{_MONTHS[at.month - 1]} {at.day}"
    year = str(at.year) if before is None or before.year != at.year else ""
    return f"{_MONTHS[at.month - 1]} {at.day}", year


# Drawing -------------------------------------------------------------------------------------------------------------------------


@dataclass
class _Canvas:
    """A drawing that is being made."""

    root: ElementTree.Element
    time: Scale
    top: float
    bottom: float
    start: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        return self.time(_seconds(at))

    def is_shown(self, at: datetime) -> bool:
        return self.start <= at <= self.end

    def add(
        self, tag: str, told: str = "", parent: ElementTree.Element | None = None, **attributes: str | float
    ) -> ElementTree.Element:
        """An element; `told` is what a pointer over it shows. Underscores stand for dashes, and one at the end for none."""
        written = {name.rstrip("_").replace("_", "-"): _number(value) for name, value in attributes.items()}
        found = ElementTree.SubElement(self.root if parent is None else parent, tag, written)
        if told:
            ElementTree.SubElement(found, "title").text = clean(told, _TOLD_LIMIT)
        return found

    def text(self, content: str, x: float, y: float, kind: str, told: str = "") -> None:
        """Text, which is cleaned and cut."""
        element = self.add("text", told, x=x, y=y, class_=kind)
        shown = clean(content, _NAME_LIMIT)
        if told:
            element[0].tail = shown
        else:
            element.text = shown


def _number(value: str | float) -> str:
    """A coordinate to a tenth; text as it is."""
    return value if isinstance(value, str) else f"{round(value, 1) + 0.0:g}"


def _seconds(at: datetime) -> float:
    return at.timestamp()


def _element(chart: TimeChart) -> ElementTree.Element | None:
    return _lines(chart) if isinstance(chart, LineChart) else _lanes(chart)


def _canvas(chart: TimeChart, moments: Iterable[datetime], height: float, top: float) -> _Canvas | None:
    known = sorted(moments)
    if not known:
        return None
    start, end = chart.span or (known[0], known[-1])
    if not end > start:
        start, end = start - timedelta(hours=12), end + timedelta(hours=12)
    # A little room, so that nothing is drawn on the edge.
    room = 10.0
    scale = Scale(_seconds(start), _seconds(end), _LEFT + room, WIDTH - _RIGHT - room)
    whole = top + height + _AXIS
    label = clean(chart.told, 2 * _TOLD_LIMIT)
    root = ElementTree.Element(
        "svg", {"class": "plot", "viewBox": f"0 0 {WIDTH} {_number(whole)}", "role": "img", "aria-label": label}
    )
    return _Canvas(root, scale, top, top + height, start, end)


def _axis(canvas: _Canvas) -> None:
    """Dates under the drawing, and a fine line up from each."""
    before = None
    room = int((WIDTH - _RIGHT - _LEFT) / _DATE_ROOM)
    for at in dates(canvas.start, canvas.end, room):
        x = canvas.x(at)
        canvas.add("line", x1=x, x2=x, y1=canvas.top, y2=canvas.bottom, class_="grid")
        first, second = _date_lines(at, before)
        canvas.text(first, x, canvas.bottom + 15, "date")
        if second:
            canvas.text(second, x, canvas.bottom + 28, "date year")
        before = at
    canvas.add("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=canvas.bottom, y2=canvas.bottom, class_="axis")


def _marks(canvas: _Canvas, marks: Sequence[Mark], y: float, *, with_lines: bool) -> None:
    """Signs, and right of each its label where the next sign leaves room; else it is left to the pointer."""
    shown = sorted((mark for mark in marks if canvas.is_shown(mark.at)), key=lambda mark: mark.at)
    ends = [canvas.x(mark.at) - _SIGN_ROOM for mark in shown[1:]] + [float(WIDTH)]
    for mark, end in zip(shown, ends, strict=False):
        x = canvas.x(mark.at)
        if with_lines:
            canvas.add("line", mark.told, x1=x, x2=x, y1=y + 5, y2=canvas.bottom, class_=f"mark {mark.kind}")
        canvas.text(_SIGNS[mark.kind], x, y, f"sign {mark.kind}", mark.told)
        label = clean(mark.label, _LABEL_LIMIT)
        if label and x + _SIGN_ROOM + _text_room(label) <= end:
            canvas.text(label, x + _SIGN_ROOM, y, f"label {mark.kind}", mark.told)


def _text_room(text: str) -> float:
    """About how wide a label is."""
    return 7.0 * width(text)


def _lines(chart: LineChart) -> ElementTree.Element | None:
    series = [Series(one.name, _drawable(one.points), one.tone) for one in chart.series]
    points = [point for one in series for point in one.points]
    levels = [_drawable_level(level) for level in chart.levels if abs(level.value) <= _LARGEST and level.end > level.start]
    if not points:
        return None
    moments = [*(point.at for point in points), *(at for level in levels for at in (level.start, level.end))]
    canvas = _canvas(chart, moments, _PLOT, _MARKS)
    assert canvas is not None
    shown = [point for point in points if canvas.is_shown(point.at)]
    values = [value for point in shown for value in (point.value, point.low, point.high) if value is not None]
    values += [value for level in levels for value in (level.value, level.limit) if value is not None]
    if not values:
        return None
    marked = ticks(min(values), max(values))
    height = Scale(marked[0], marked[-1], canvas.bottom, canvas.top)
    decimals = _decimals(marked)
    for value in marked:
        y = height(value)
        canvas.add("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
        canvas.text(_tick(value, decimals), _LEFT - 8, y + 4, "value")
    _axis(canvas)
    for level in levels:
        _level(canvas, level, height)
    _marks(canvas, chart.marks, _MARKS - 9, with_lines=True)
    many = len(shown) > _MOST_BARS
    for one in series:
        inside = [point for point in one.points if canvas.is_shown(point.at)]
        if many:
            _band(canvas, inside, height, one.tone)
        _joined(canvas, inside, height, one.tone)
        for point in inside:
            _point(canvas, point, height, with_bar=not many)
        _labels(canvas, inside, height)
    return canvas.root


def _drawable(points: Iterable[Point]) -> tuple[Point, ...]:
    """Without what is no number, the oldest first; an interval with an end that is none is left out."""

    def whole(point: Point) -> Point:
        ends = (point.low, point.high)
        if all(end is not None and abs(end) <= _LARGEST for end in ends):
            return point
        return replace(point, low=None, high=None)

    return tuple(sorted((whole(point) for point in points if abs(point.value) <= _LARGEST), key=lambda point: point.at))


def _drawable_level(level: Level) -> Level:
    limit = level.limit if level.limit is not None and abs(level.limit) <= _LARGEST else None
    return replace(level, limit=limit)


def _level(canvas: _Canvas, level: Level, height: Scale) -> None:
    x1, x2 = canvas.x(level.start), canvas.x(level.end)
    y = height(level.value)
    if level.limit is not None:
        limit = height(level.limit)
        canvas.add("rect", level.told, x=x1, y=min(y, limit), width=x2 - x1, height=abs(limit - y), class_="allowed")
        canvas.add("line", level.told, x1=x1, x2=x2, y1=limit, y2=limit, class_="limit")
    canvas.add("line", level.told, x1=x1, x2=x2, y1=y, y2=y, class_="promise")
    label = clean(level.label, _LABEL_LIMIT)
    if label and x2 - x1 > _text_room(label):
        # On the side where no value should be.
        edge = y if level.limit is None else height(level.limit)
        canvas.text(label, x1 + 3, edge + 12 if edge >= y else edge - 5, "holds")


def _band(canvas: _Canvas, points: Sequence[Point], height: Scale, tone: Tone) -> None:
    """The area between the ends of the intervals, wherever neighbours have some."""
    run: list[tuple[float, float, float]] = []
    for point in [*points, None]:
        if point is not None and point.low is not None and point.high is not None:
            run.append((canvas.x(point.at), height(point.low), height(point.high)))
            continue
        if len(run) > 1:
            outline = [(x, high) for x, _, high in run] + [(x, low) for x, low, _ in reversed(run)]
            canvas.add("polygon", points=_path(outline), class_=f"band {tone}")
        run = []


def _joined(canvas: _Canvas, points: Sequence[Point], height: Scale, tone: Tone) -> None:
    if len(points) > 1:
        canvas.add("polyline", points=_path([(canvas.x(point.at), height(point.value)) for point in points]), class_=f"line {tone}")


def _path(corners: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in corners)


def _point(canvas: _Canvas, point: Point, height: Scale, *, with_bar: bool) -> None:
    x, y = canvas.x(point.at), height(point.value)
    kind = f"point {point.tone}{' open' if point.is_open else ''}"
    group = canvas.add("g", point.told, class_=kind)
    if with_bar and point.low is not None and point.high is not None:
        low, high = height(point.low), height(point.high)
        left = _number(x - 3)
        path = f"M{_number(x)} {_number(low)}V{_number(high)}M{left} {_number(low)}h6M{left} {_number(high)}h6"
        canvas.add("path", parent=group, d=path, class_="whisker")
    size = 3.6 if with_bar else 2.2
    _shape(canvas, group, _SHAPES[point.tone], x, y, size)


def _labels(canvas: _Canvas, points: Sequence[Point], height: Scale) -> None:
    """What stands above points, each where the one before leaves room."""
    free_from = -math.inf
    for point in points:
        x = canvas.x(point.at)
        if point.label and x >= free_from:
            top = point.value if point.high is None else max(point.value, point.high)
            canvas.text(clean(point.label, _LABEL_LIMIT), x, height(top) - 6, "named", point.told)
            free_from = x + _LABEL_ROOM


def _shape(canvas: _Canvas, group: ElementTree.Element, shape: Shape, x: float, y: float, size: float) -> None:
    if shape == "dot":
        canvas.add("circle", parent=group, cx=x, cy=y, r=size, class_="shape")
    elif shape == "square":
        canvas.add("rect", parent=group, x=x - size, y=y - size, width=2 * size, height=2 * size, class_="shape")
    else:
        far = 1.5 * size
        canvas.add("polygon", parent=group, points=_path([(x, y - far), (x + far, y), (x, y + far), (x - far, y)]), class_="shape")


def _lanes(chart: Lanes) -> ElementTree.Element | None:
    bars = [bar for lane in chart.lanes for bar in lane.bars]
    moments = [at for bar in bars for at in (bar.start, bar.end)] + [mark.at for lane in chart.lanes for mark in lane.marks]
    canvas = _canvas(chart, moments, _LANE * len(chart.lanes), 4)
    if canvas is None:
        return None
    _axis(canvas)
    for index, lane in enumerate(chart.lanes):
        top = canvas.top + index * _LANE
        canvas.text(fitted(clean(lane.name, _NAME_LIMIT), _LANE_NAME_WIDTH).rstrip(), _LEFT - 10, top + 15, "lane")
        for bar in lane.bars:
            _bar(canvas, bar, top)
        _marks(canvas, lane.marks, top + 15, with_lines=False)
    return canvas.root


def _bar(canvas: _Canvas, bar: Bar, top: float) -> None:
    start, end = max(bar.start, canvas.start), min(bar.end, canvas.end)
    if end < start:
        return
    x1, x2 = canvas.x(start), canvas.x(end)
    # One that is short can be seen, and two neighbours can be told apart.
    wide = max(x2 - x1 - 1, 1.5)
    high = _BAR_HEIGHTS.get(bar.tone, _LANE - 8)
    canvas.add(
        "rect", bar.told, x=x1, y=top + (_LANE - high) / 2, width=wide, height=high, rx=2 if wide > 8 else 0, class_=f"bar-{bar.tone}"
    )
    label = clean(bar.label, _LABEL_LIMIT)
    if label and wide > _text_room(label) + 6:
        canvas.text(label, x1 + 6, top + 15.5, f"inside on-{bar.tone}", bar.told)


def _decimals(marked: Sequence[float]) -> int:
    step = min(abs(after - before) for before, after in pairwise(marked))
    return min(max(-math.floor(math.log10(step) + 1e-9), 0), 10) if step > 0 else 0


def _tick(value: float, decimals: int) -> str:
    return number(value, decimals) if abs(value) < _LONG_NUMBER else general(value, 3)
