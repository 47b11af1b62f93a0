"""What a report is made of: every renderer knows these few pieces, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelship.reporting.inline import Line, line

Light = Literal["pass", "warn", "fail", "none"]

ICONS: dict[Light, str] = {"pass": "🟢", "warn": "🟡", "fail": "🔴", "none": "⚪"}
WORDS: dict[Light, str] = {"pass": "pass", "warn": "warning", "fail": "fail", "none": "not run"}


@dataclass(frozen=True)
class Paragraph:
    """One line of text."""

    content: Line


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

    @property
    def has_lights(self) -> bool:
        """Whether a first column shows a light for each row."""
        return any(row.light for row in self.rows)


@dataclass(frozen=True)
class Log:
    """The end of a program's output."""

    lines: tuple[str, ...]


Block = Paragraph | Table | Log


@dataclass(frozen=True)
class Section:
    """A part of the report that is folded away, unless it explains the verdict."""

    title: Line
    blocks: tuple[Block, ...]
    explains: bool = False
    """Whether the verdict cannot be understood without it: shown unfolded."""
    page_only: bool = False
    """Whether only the report page shows it."""


@dataclass(frozen=True)
class MetricRow:
    """One gated metric, formatted. `change` and `margin` repeat two of its numbers for drawing."""

    light: Light
    metric: str
    baseline: str
    candidate: str
    difference: str
    allowed: str
    verdict: str
    change: float | None
    margin: float | None


@dataclass(frozen=True)
class MetricTable:
    """The gated metrics, worst first."""

    baseline_label: str
    candidate_label: str
    rows: tuple[MetricRow, ...]

    def as_table(self, start: int = 0, stop: int | None = None) -> Table:
        """Rows `start` to `stop` as a plain table."""
        columns = ("metric", f">{self.baseline_label}", f">{self.candidate_label}", ">change", ">allowed", "verdict")
        return Table(columns, tuple(_plain_row(row) for row in self.rows[start:stop]))


def _plain_row(row: MetricRow) -> Row:
    cells = (row.metric, row.baseline, row.candidate, row.difference, row.allowed, row.verdict)
    return Row(tuple(line(cell) for cell in cells), row.light)


def key_values(pairs: Sequence[tuple[str, Line]]) -> Table:
    """Names and values, without those that are empty."""
    return Table(("", ""), tuple(Row((line(name), value)) for name, value in pairs if value))
