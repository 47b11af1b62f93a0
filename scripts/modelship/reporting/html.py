"""The report as one self-contained HTML page: no scripts of its own, no external resources, readable on a phone."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from modelship.core.words import clean
from modelship.reporting.blocks import ICONS, WORDS, Chart, Distributions, Listing, Log, MetricRow, Paragraph, Plot, Table
from modelship.reporting.embedded import EmbeddedPage
from modelship.reporting.escape import clean_log_line
from modelship.reporting.histogram import Distribution, percent
from modelship.reporting.inline import Code, Link, Strong, plain
from modelship.reporting.report import Report
from modelship.reporting.time_chart import LineChart, Tone, draw

_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = ("colours.css", "report.css", "chart.css")
_HALF_WIDTH = 45
"""Of a bar's box of 100, less some room for what is drawn at its ends."""
_CHART_NAME_LIMIT = 40
_TONES: dict[Tone, str] = {
    "a": "blue dots", "b": "amber squares", "none": "grey dots", "pass": "green dots", "warn": "amber squares", "fail": "red diamonds",
}  # fmt: skip
"""What lines over time are drawn as."""
_BAR, _PAIR = 9, 20
_MOST_DRAWN = 40


@dataclass(frozen=True)
class Bar:
    """A change drawn to the left (worse) or right (better) of zero, and where the margin ends; in a box from -50 to 50."""

    start: float
    length: float
    limit: float | None
    kind: str
    whisker: tuple[float, float] | None = None
    """What the change may truly be."""


def render_page(report: Report) -> str:
    """The whole page, those of other programs folded away in it."""
    style = "".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in _STYLES)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            style=style,
            policy=_policy(style, report.pages),
            words=WORDS,
            icons=ICONS,
        )
    )


def _policy(style: str, pages: Sequence[EmbeddedPage]) -> str:
    """What the browser may do. The frames inherit it: what an embedded page needs has to be allowed here, and nothing else is."""
    if not pages:
        allowed = f"style-src 'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
    else:
        allowed = "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
    scripts = [digest for page in pages for digest in page.script_digests]
    scripted = f"script-src {' '.join(scripts)}; " if scripts else ""
    return f"default-src 'none'; {scripted}{allowed}; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Column:
    """One bar of a drawing, in a box that is 100 high with its origin at the top left."""

    side: str
    x: float
    y: float
    height: float
    told: str
    """What the bar says in words."""


def columns(drawn: Distribution) -> list[Column]:
    """The bars of both sides, in pairs of 2 x 9 columns with a gap of 2."""
    bars = []
    for index, (label, heights) in enumerate(zip(drawn.labels, zip(*drawn.heights(), strict=True), strict=True)):
        shares = (drawn.reference[index], drawn.current[index])
        told = f"{clean(label, 60)}: {percent(shares[0])} → {percent(shares[1])}"
        for place, (side, height) in enumerate(zip(("before", "after"), heights, strict=True)):
            # A share that is not nothing can be seen.
            high = round(max(100 * height, 1.5), 1) if height else 0.0
            bars.append(Column(side, index * _PAIR + place * _BAR, round(100 - high, 1), high, told))
    return bars


def bar(row: MetricRow) -> Bar | None:
    """The drawing of a metric's change, or None where nothing was compared."""
    if row.change is None:
        return None
    ends = (row.drawn.low, row.drawn.high) if row.drawn else ()
    extent = max(abs(row.change), row.margin or 0.0, *map(abs, ends)) or 1.0

    def at(value: float) -> float:
        return round(value / extent * _HALF_WIDTH, 2)

    return Bar(
        start=min(at(row.change), 0.0),
        length=abs(at(row.change)),
        limit=None if row.margin is None else at(-row.margin),
        kind=row.light,
        whisker=(at(ends[0]), at(ends[1])) if ends else None,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        clean=clean,
        log_line=clean_log_line,
        bar=bar,
        chart_lines=_chart_lines,
        plain=plain,
        columns=columns,
        plotted=_plotted,
        key=_key,
    )
    environment.globals.update(bar_width=_BAR, pair_width=_PAIR, most_drawn=_MOST_DRAWN)
    environment.tests.update(
        code=_is(Code),
        strong=_is(Strong),
        link=_is(Link),
        text=_is(str),
        paragraph=_is(Paragraph),
        listing=_is(Listing),
        table=_is(Table),
        chart=_is(Chart),
        distributions=_is(Distributions),
        plot=_is(Plot),
        log=_is(Log),
    )
    return environment


def _chart_lines(chart: Chart) -> list[str]:
    return chart.lines(_CHART_NAME_LIMIT, with_numbers=True)


def _plotted(plot: Plot) -> Markup:
    """The picture, which is made of elements and not of text."""
    return Markup(draw(plot.drawn))


def _key(plot: Plot) -> list[str]:
    """Which of several series is which."""
    if not isinstance(plot.drawn, LineChart) or len(plot.drawn.series) < 2:
        return []
    asked = ["↻: asked for"] if plot.drawn.marks else []
    return [f"{_TONES[series.tone]}: {series.name}" for series in plot.drawn.series] + asked


def _is(kind: type) -> Any:
    return lambda value: isinstance(value, kind)
