"""The report as text for a terminal or a log."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence

from modelship.core.records import AnyRecord
from modelship.reporting.blocks import Block, Light, Log, Paragraph, Section, Table
from modelship.reporting.escape import clean, clean_log_line, clip
from modelship.reporting.inline import Line, plain
from modelship.reporting.report import MAX_OPEN_METRICS, Report, describe
from modelship.reporting.sections import HOW_TO_READ

_MIN_WIDTH, _MAX_WIDTH = 80, 100
_MAX_ROWS = 12
_CELL_LIMIT = 80
_MIN_COLUMN = 12
_GAP = 2
_SIGNS: dict[Light, str] = {"pass": "✓", "warn": "!", "fail": "✗", "none": "·"}
_COLOURS: dict[Light, str] = {"pass": "32", "warn": "33", "fail": "31", "none": "2"}


def render(report: Report) -> str:
    """The verdict, its cause, the metrics and what explains a failure; of the rest, the titles."""
    lines = [_paint(f"{_SIGNS[report.light]} {clean(report.title, 250)}", report.light, bold=True)]
    lines += [wrapped for notice in report.notices for wrapped in _wrap(f"! {plain(notice)}")]
    lines += _wrap(plain(report.cause))
    if len(report.checks) > 1:
        lines += ["  ".join(_paint(f"{_SIGNS[check.light]} {check.name}", check.light) for check in report.checks)]
    if report.metrics and report.metrics.rows:
        lines += ["", *_table(report.metrics.as_table(0, MAX_OPEN_METRICS)), *_wrap(plain(report.basis))]
    return "\n".join([*lines, "", *_sections(report.sections)]).rstrip()


def render_record(record: AnyRecord) -> str:
    """What one record has to tell, after a single command."""
    metrics, sections = describe(record)
    lines: list[str] = []
    if metrics and metrics.rows:
        lines += [*_table(metrics.as_table()), ""]
    return "\n".join([*lines, *_sections(sections)]).rstrip()


def _sections(sections: Sequence[Section]) -> list[str]:
    lines: list[str] = []
    for section in sections:
        if section.page_only or section is HOW_TO_READ:
            continue
        lines.append(clean(plain(section.title)))
        if section.explains:
            lines += [f"  {line}" for block in section.blocks for line in _block(block)]
    return lines


def _block(block: Block) -> list[str]:
    match block:
        case Paragraph(content):
            return _wrap(plain(content))
        case Table():
            return _table(block)
        case Log(lines):
            return [f"│ {clean_log_line(line)}" for line in lines]


def _table(table: Table) -> list[str]:
    """Columns side by side, each as wide as its widest cell, or narrower where they would not fit."""
    rows = [[_cell(cell) for cell in row.cells] for row in table.rows[:_MAX_ROWS]]
    header = [clean(title.removeprefix(">"), _CELL_LIMIT) for title in table.columns]
    widths = _fitting([max(map(_width, column)) for column in zip(header, *rows, strict=True)])
    to_right = [title.startswith(">") for title in table.columns]
    lights = table.has_lights
    lines = []
    if any(header):
        lines.append(("  " if lights else "") + _paint(_aligned(header, widths, to_right), "none"))
    for row, cells in zip(table.rows, rows, strict=False):
        sign = f"{_paint(_SIGNS[row.light], row.light)} " if row.light else "  " if lights else ""
        lines.append(sign + _aligned(cells, widths, to_right))
    hidden = len(table.rows) - _MAX_ROWS
    return [*lines, f"… and {hidden:,} more"] if hidden > 0 else lines


def _aligned(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> str:
    padded = []
    for cell, width, right in zip(cells, widths, to_right, strict=True):
        cell = clip(cell, width)
        space = " " * (width - _width(cell))
        padded.append(space + cell if right else cell + space)
    return (" " * _GAP).join(padded).rstrip()


def _fitting(widths: list[int]) -> list[int]:
    """The widest columns made narrower until the table, its lights and an indentation fit."""
    room = _columns() - 4 - _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _MIN_COLUMN:
        widths[widths.index(max(widths))] -= 1
    return widths


def _cell(content: Line) -> str:
    return clean(plain(content), _CELL_LIMIT)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(clean(text), _columns())


def _columns() -> int:
    return min(max(shutil.get_terminal_size((_MAX_WIDTH, 24)).columns, _MIN_WIDTH), _MAX_WIDTH)


def _width(text: str) -> int:
    """How many columns a terminal gives `text`."""
    shown = [character for character in text if not unicodedata.combining(character)]
    return len(shown) + sum(unicodedata.east_asian_width(character) in "WF" for character in shown)


def _paint(text: str, light: Light, *, bold: bool = False) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{'1;' if bold else ''}{_COLOURS[light]}m{text}\x1b[0m"
