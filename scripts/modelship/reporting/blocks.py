"""What a report is made of: every renderer knows these few pieces, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelship.core.words import clean
from modelship.reporting.chart import ALLOWED, ZERO, Interval, axis_for, draw
from modelship.reporting.columns import fitted, width
from modelship.reporting.histogram import Distribution
from modelship.reporting.inline import Line, line, plain
from modelship.reporting.time_chart import TimeChart

Light = Literal["pass", "warn", "fail", "none"]

ICONS: dict[Light, str] = {"pass": "🟢", "warn": "🟡", "fail": "🔴", "none": "⚪"}
WORDS: dict[Light, str] = {"pass": "pass", "warn": "warning", "fail": "fail", "none": "not run"}


_WIDE = 4
"""Columns that a phone has no room for, where they hold text."""


@dataclass(frozen=True)
class Paragraph:
    """One line of text."""

    content: Line


@dataclass(frozen=True)
class Listing:
    """A sentence that ends with a list."""

    start: Line
    items: tuple[str, ...]
    more: int = 0
    """How many others there are that nobody can name."""

    def within(self, limit: int) -> Line:
        """The sentence with as many items as fit into `limit` characters, one at least, and the number of those left out."""
        room = limit - len(plain(self.start)) - len(f"; and {self.count:,} more.")
        shown: list[str] = []
        for item in (clean(item, limit // 2) for item in self.items):
            room -= len(item) + len("; ")
            if shown and room < 0:
                break
            shown.append(item)
        left_out = self.count - len(shown)
        return line(*self.start, "; ".join(shown), f"; and {left_out:,} more." if left_out else ".")

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.items) + self.more


@dataclass(frozen=True)
class Row:
    """A row of a table: a light, if the table has them, and its cells."""

    cells: tuple[Line, ...]
    light: Light | None = None


@dataclass(frozen=True)
class Table:
    """Rows under column titles. A column title that starts with `>` is of numbers, aligned to the right."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    most_rows: int | None = None
    """How many rows a comment shows at most; the page shows all."""
    spare: tuple[str, ...] = ()
    """Titles of columns that a terminal leaves out where they would not fit."""

    @property
    def has_lights(self) -> bool:
        """Whether a first column shows a light for each row."""
        return any(row.light for row in self.rows)

    @property
    def is_text(self) -> bool:
        """Whether it is wide and has no numbers to compare from row to row: on a phone its cells stand under each other."""
        return len(self.columns) >= _WIDE and not any(title.startswith(">") for title in self.columns)


@dataclass(frozen=True)
class Log:
    """The end of a program's output."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class ChartRow:
    """A name, an interval drawn in characters of a fixed pitch, and what it says in numbers."""

    name: str
    drawing: str
    numbers: str
    light: Light


@dataclass(frozen=True)
class Chart:
    """Drawings under each other, and one line on how to read them."""

    rows: tuple[ChartRow, ...]
    legend: str

    def lines(self, name_limit: int, *, with_numbers: bool = False) -> list[str]:
        """The chart with names cut to `name_limit` columns, the legend last."""
        names = [clean(row.name) for row in self.rows]
        longest = min(max(map(width, names), default=0), name_limit)
        drawn = [f"{fitted(name, longest)}  {row.drawing}" for name, row in zip(names, self.rows, strict=True)]
        if with_numbers:
            drawn = [f"{one}  {row.numbers}" for one, row in zip(drawn, self.rows, strict=True)]
        return [*(one.rstrip() for one in drawn), self.legend]


@dataclass(frozen=True)
class Distributions:
    """Small drawings of columns before and after."""

    drawn: tuple[Distribution, ...]


@dataclass(frozen=True)
class Plot:
    """A picture over time, for the page."""

    drawn: TimeChart
    instead: Chart | None = None
    """What stands for it where no picture can be shown; without it its sentence does."""


Block = Paragraph | Listing | Table | Log | Chart | Distributions | Plot


@dataclass(frozen=True)
class Notice:
    """What must be read before everything else: a sentence, or one with a list under it."""

    content: Line
    light: Light | None = None
    """None where nothing follows from it but that it should be known."""
    items: tuple[Line, ...] = ()

    @property
    def icon(self) -> str:
        """The sign before it."""
        return ICONS[self.light] if self.light else "⚠️"


@dataclass(frozen=True)
class Section:
    """A part of the report that is folded away, unless it explains the verdict."""

    title: Line
    blocks: tuple[Block, ...]
    explains: bool = False
    """Whether the verdict cannot be understood without it: shown unfolded."""
    page_only: bool = False
    """Whether only the report page shows it."""
    is_help: bool = False
    """Whether it explains the report itself: a terminal leaves it out."""


@dataclass(frozen=True)
class MetricRow:
    """One gated metric, formatted. `drawn` repeats its numbers for drawing."""

    light: Light
    metric: str
    baseline: str
    candidate: str
    difference: str
    interval: str
    """What the change may truly be, as `[−0.0263, −0.0158]`; empty where that is not known."""
    allowed: str
    verdict: str
    change: float | None
    margin: float | None
    drawn: Interval | None
    """None without an interval."""

    @property
    def change_and_interval(self) -> str:
        """The change with all that is known of it."""
        return f"{self.difference} {self.interval}".rstrip()


@dataclass(frozen=True)
class MetricTable:
    """The gated metrics, worst first."""

    baseline_label: str
    candidate_label: str
    rows: tuple[MetricRow, ...]
    interval_label: str = ""
    """What the brackets hold, as `95% CI`; empty without intervals."""

    @property
    def change_title(self) -> str:
        """The title of the column of changes with their intervals."""
        return f"change ({self.interval_label})" if self.interval_label else "change"

    def as_table(self, start: int = 0, stop: int | None = None, *, with_intervals: bool = True) -> Table:
        """Rows `start` to `stop` as a plain table."""
        change = self.change_title if with_intervals else "change"
        columns = ("metric", f">{self.baseline_label}", f">{self.candidate_label}", f">{change}", ">allowed", "verdict")
        return Table(columns, tuple(_plain_row(row, with_intervals) for row in self.rows[start:stop]))

    def as_chart(self, start: int = 0, stop: int | None = None) -> Chart | None:
        """The intervals of rows `start` to `stop` as drawings, or None where there are none."""
        rows = [(row, row.drawn) for row in self.rows[start:stop] if row.drawn]
        if not rows:
            return None
        axis = axis_for([drawn for _, drawn in rows])
        allowed = f"{ALLOWED} allowed  " if axis.allowed is not None else ""
        legend = f"← worse  {allowed}{ZERO} zero  better →"
        return Chart(tuple(ChartRow(row.metric, draw(drawn, axis), row.change_and_interval, row.light) for row, drawn in rows), legend)


def _plain_row(row: MetricRow, with_intervals: bool) -> Row:
    change = row.change_and_interval if with_intervals else row.difference
    cells = (row.metric, row.baseline, row.candidate, change, row.allowed, row.verdict)
    return Row(tuple(line(cell) for cell in cells), row.light)


def key_values(pairs: Sequence[tuple[str, Line]]) -> Table:
    """Names and values, without those that are empty."""
    return Table(("", ""), tuple(Row((line(name), value)) for name, value in pairs if value))
