"""The report as one self-contained HTML page: no scripts, no external resources, readable on a phone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modelship.reporting.blocks import ICONS, WORDS, Log, MetricRow, Paragraph, Table
from modelship.reporting.escape import clean, clean_log_line
from modelship.reporting.inline import Code, Link, Strong, plain
from modelship.reporting.report import Report

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Bar:
    """A change drawn to the left (worse) or right (better) of zero, and where the margin ends; in a box from -50 to 50."""

    start: float
    length: float
    limit: float | None
    kind: str


def render_page(report: Report) -> str:
    """The whole page."""
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            style=style,
            style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            words=WORDS,
            icons=ICONS,
        )
    )


def bar(row: MetricRow) -> Bar | None:
    """The drawing of a metric's change, or None where nothing was compared."""
    if row.change is None:
        return None
    extent = max(abs(row.change), row.margin or 0.0) or 1.0
    scale = 45 / extent
    length = abs(row.change) * scale
    return Bar(
        start=round(-length if row.change < 0 else 0.0, 2),
        length=round(length, 2),
        limit=None if row.margin is None else round(-row.margin * scale, 2),
        kind=row.light,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(clean=clean, log_line=clean_log_line, bar=bar, plain=plain)
    environment.tests.update(
        code=_is(Code), strong=_is(Strong), link=_is(Link), text=_is(str), paragraph=_is(Paragraph), table=_is(Table), log=_is(Log)
    )
    return environment


def _is(kind: type) -> Any:
    return lambda value: isinstance(value, kind)
