"""The report as text for a terminal or a log."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from modelship.core.records import AnyRecord
from modelship.core.words import TEXT_LIMIT, clean
from modelship.reporting import histogram
from modelship.reporting.blocks import (
    Block,
    Chart,
    Distributions,
    Light,
    Listing,
    Log,
    MetricTable,
    Notice,
    Paragraph,
    Plot,
    Section,
    Table,
)
from modelship.reporting.columns import fitted, width
from modelship.reporting.escape import clean_log_line
from modelship.reporting.inline import Line, plain
from modelship.reporting.report import MAX_OPEN_METRICS, Report, describe

_MIN_WIDTH, _MAX_WIDTH = 80, 100
_MAX_ROWS = 12
_MAX_DRAWINGS = 6
_CELL_LIMIT = 80
_MIN_COLUMN = 12
_CHART_NAME_LIMIT = 21
_GAP = 2
_SIGNS: dict[Light, str] = {"pass": "✓", "warn": "!", "fail": "✗", "none": "·"}
_COLOURS: dict[Light, str] = {"pass": "32", "warn": "33", "fail": "31", "none": "2"}


def render(report: Report) -> str:
    """The verdict, its cause, the metrics and what explains a failure; of the rest, the titles."""
    lines = [_paint(f"{_SIGNS[report.light]} {clean(report.title, 250)}", report.light, bold=True)]
    lines += [wrapped for notice in report.notices for wrapped in _notice(notice)]
    lines += _wrap(plain(report.cause))
    if len(report.checks) > 1:
        lines += ["  ".join(_paint(f"{_SIGNS[check.light]} {check.name}", check.light) for check in report.checks)]
    if report.metrics and report.metrics.rows:
        lines += ["", *_metrics(report.metrics, MAX_OPEN_METRICS), "", *_wrap(plain(report.basis))]
    if report.table:
        lines += ["", *_table(report.table)]
    return "\n".join([*lines, "", *_sections(report.sections)]).rstrip()


def render_record(record: AnyRecord) -> str:
    """What one record has to tell, after a single command."""
    described = describe(record)
    lines = [wrapped for notice in described.notices for wrapped in _notice(notice)]
    if described.metrics and described.metrics.rows:
        told = [wrapped for doubt in described.doubts for wrapped in _wrap(plain(doubt))]
        lines += [*_metrics(described.metrics), "", *told, *([""] if told else [])]
    return "\n".join([*lines, *_sections(described.sections)]).rstrip()


def _notice(notice: Notice) -> list[str]:
    lines = _wrap(f"{_SIGNS[notice.light or 'warn']} {plain(notice.content)}")
    return lines + [wrapped for item in notice.items for wrapped in _wrap(f"- {plain(item)}", "  ")]


def _metrics(metrics: MetricTable, stop: int | None = None) -> list[str]:
    """The table, and beside the drawings the intervals, for which the table has no room in 80 columns."""
    lines = _table(metrics.as_table(0, stop, with_intervals=False))
    chart = metrics.as_chart(0, stop)
    if chart is None:
        return lines
    title = f"{metrics.change_title}:"
    return [*lines, "", _paint(title, "none"), *_chart(chart)]


def _chart(chart: Chart) -> list[str]:
    *drawn, legend = chart.lines(_CHART_NAME_LIMIT, with_numbers=True)
    signs = [f"{_paint(_SIGNS[row.light], row.light)} " for row in chart.rows]
    return [*(sign + one for sign, one in zip(signs, drawn, strict=True)), f"  {_paint(legend, 'none')}"]


def _sections(sections: Sequence[Section]) -> list[str]:
    lines: list[str] = []
    for section in sections:
        if section.page_only or section.is_help:
            continue
        lines.append(clean(plain(section.title)))
        if section.explains:
            lines += [f"  {line}" for block in section.blocks for line in _block(block)]
    return lines


def _block(block: Block) -> list[str]:
    match block:
        case Paragraph(content):
            return _wrap(plain(content))
        case Listing():
            return _wrap(plain(block.within(TEXT_LIMIT)))
        case Table():
            return _table(block)
        case Chart():
            return _chart(block)
        case Distributions(drawn):
            return [clean_log_line(one) for one in histogram.lines(drawn, _MAX_DRAWINGS)]
        case Plot(drawn, instead):
            return _chart(instead) if instead else _wrap(drawn.told)
        case Log(lines):
            return [f"│ {clean_log_line(line)}" for line in lines]


def render_table(table: Table, most: int = _MAX_ROWS) -> str:
    """One table by itself, `most` rows of it."""
    return "\n".join(_table(table, most))


def _table(table: Table, most: int = _MAX_ROWS) -> list[str]:
    """Columns side by side, each as wide as its widest cell; where they would not fit, some fewer and some narrower."""
    kept = list(range(len(table.columns)))
    if sum(_widths(table, kept)) > _room(len(kept)):
        kept = [index for index in kept if table.columns[index] not in table.spare]
    to_right = [table.columns[index].startswith(">") for index in kept]
    widths = _fitting(_widths(table, kept), to_right)
    header = [_title(table, index) for index in kept]
    lights = table.has_lights
    lines = []
    if any(header):
        lines.append(("  " if lights else "") + _paint(_aligned(header, widths, to_right), "none"))
    for row in table.rows[:most]:
        sign = f"{_paint(_SIGNS[row.light], row.light)} " if row.light else "  " if lights else ""
        lines.append(sign + _aligned([_cell(row.cells[index]) for index in kept], widths, to_right))
    hidden = len(table.rows) - most
    return [*lines, f"… and {hidden:,} more"] if hidden > 0 else lines


def _widths(table: Table, kept: Sequence[int]) -> list[int]:
    """How wide each of the `kept` columns would like to be."""
    rows = table.rows[:_MAX_ROWS]
    return [max([width(_title(table, index)), *(width(_cell(row.cells[index])) for row in rows)]) for index in kept]


def _title(table: Table, index: int) -> str:
    return clean(table.columns[index].removeprefix(">"), _CELL_LIMIT)


def _aligned(cells: Sequence[str], widths: Sequence[int], to_right: Sequence[bool]) -> str:
    padded = [fitted(cell, columns, right=right) for cell, columns, right in zip(cells, widths, to_right, strict=True)]
    return (" " * _GAP).join(padded).rstrip()


def _fitting(widths: Sequence[int], to_right: Sequence[bool]) -> list[int]:
    """The widest columns made narrower until the table fits: text first, because half a number is a wrong one."""
    fitting = list(widths)
    for of_numbers in (False, True):
        chosen = [index for index, right in enumerate(to_right) if right == of_numbers]
        while chosen and sum(fitting) > _room(len(fitting)):
            widest = max(chosen, key=lambda index: fitting[index])
            if fitting[widest] <= _MIN_COLUMN:
                break
            fitting[widest] -= 1
    return fitting


def _room(columns: int) -> int:
    """The width that is left for `columns` columns beside their gaps, the lights and an indentation."""
    return _columns() - 4 - _GAP * (columns - 1)


def _cell(content: Line) -> str:
    return clean(plain(content), _CELL_LIMIT)


def _wrap(text: str, indentation: str = "") -> list[str]:
    return textwrap.wrap(clean(text), _columns(), initial_indent=indentation, subsequent_indent=indentation)


def _columns() -> int:
    return min(max(shutil.get_terminal_size((_MAX_WIDTH, 24)).columns, _MIN_WIDTH), _MAX_WIDTH)


def _paint(text: str, light: Light, *, bold: bool = False) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{'1;' if bold else ''}{_COLOURS[light]}m{text}\x1b[0m"
