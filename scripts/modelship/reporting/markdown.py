"""The report as GitHub Markdown: the comment, the check run's summary and the job summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelship.reporting import escape, histogram
from modelship.reporting.blocks import (
    ICONS,
    Block,
    Chart,
    Distributions,
    Listing,
    Log,
    MetricTable,
    Notice,
    Paragraph,
    Plot,
    Section,
    Table,
)
from modelship.reporting.checks import Check
from modelship.reporting.histogram import Distribution
from modelship.reporting.inline import Code, Inline, Line, Link, Strong, plain, shorten
from modelship.reporting.numbers import NOTHING
from modelship.reporting.report import MAX_OPEN_METRICS, Report, Topic

MAX_BYTES = 60_000
"""GitHub accepts 65,536 characters, and in a check run one less. In UTF-8 no text has more characters than bytes, however they are
counted."""

_TITLE_LIMIT = 250
_CHART_NAME_LIMIT = 17
_CODE_LIMIT = 160
_SHORT_NUMBERS, _SHORT_TEXT = 40, 20


@dataclass(frozen=True)
class _Limits:
    """How much is shown of what may be long; characters are counted before escaping makes up to six of one."""

    rows: int
    notices: int = 5
    line: int = 400
    cell: int = 160
    drawings: int = 6


_LIMITS = (_Limits(60), _Limits(25), _Limits(8, drawings=3))
_TIGHT = _Limits(8, notices=3, line=120, cell=40)
"""What always fits, whatever the records say."""


def marker(model: str, topic: Topic = "verdict") -> str:
    """The hidden last line by which a comment on `model` is found again."""
    return f"<!-- modelship:{model}{'' if topic == 'verdict' else f':{topic}'} -->"


def render_comment(report: Report) -> str:
    """The comment: a verdict for ten seconds, everything else folded, the marker as the last line."""
    ending = f"\n{marker(report.model, report.topic)}\n"
    return render(report, MAX_BYTES - len(ending)) + ending


def render(report: Report, limit: int = MAX_BYTES) -> str:
    """The report in at most `limit` bytes of UTF-8: long tables get shorter first, then sections go, the last ones first."""
    sections = [section for section in report.sections if not section.page_only]
    for limits in _LIMITS:
        opening, folded = _opening(report, limits), [_section(section, limits) for section in sections]
        rendered = _assembled(report, opening, folded, ())
        if len(rendered.encode()) <= limit:
            return rendered
    for kept in range(len(sections) - 1, -1, -1):
        rendered = _assembled(report, opening, folded[:kept], sections[kept:])
        if len(rendered.encode()) <= limit:
            return rendered
    return _assembled(report, _opening(report, _TIGHT), (), sections)


def render_document(title: str, sections: Sequence[Section]) -> str:
    """A document of its own: a title, and every section under a heading, nothing folded."""
    parts = [f"# {escape.text(title, _TITLE_LIMIT)}"]
    for section in sections:
        parts.append(f"## {escape.text(plain(section.title))}")
        parts += [_block(block, _LIMITS[0]) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _opening(report: Report, limits: _Limits) -> list[str]:
    """What is always seen."""
    parts = [f"## {report.icon} {escape.text(report.title, _TITLE_LIMIT)}"]
    parts += [_notice(notice, limits) for notice in report.notices[: limits.notices]]
    if len(report.notices) > limits.notices:
        parts.append(f"> … and {len(report.notices) - limits.notices} more on the report page.")
    parts.append(_inlines(report.cause, limits.line))
    if len(report.checks) > 1:
        parts.append(" · ".join(map(_check, report.checks)))
    if report.metrics and report.metrics.rows:
        parts += _metrics(report.metrics, limits)
    if report.table:
        parts.append(_table(report.table, limits))
    if report.basis:
        parts.append(f"<sub>{_inlines(report.basis, limits.line)}</sub>")
    return parts


def _assembled(report: Report, opening: Sequence[str], folded: Sequence[str], left_out: Sequence[Section]) -> str:
    parts = [*opening, *folded]
    if left_out:
        titles = "; ".join(escape.text(plain(section.title), _CODE_LIMIT) for section in left_out)
        page = _link("report page", report.facts.report_url)
        parts.append(f"*Left out, to keep this short enough for GitHub: {titles}. The {page} has it all.*")
    parts.append(f"<sub>{_footer(report)}</sub>")
    return "\n\n".join(parts) + "\n"


def _notice(notice: Notice, limits: _Limits) -> str:
    lines = [f"{notice.icon} {_inlines(notice.content, limits.line)}"]
    # An item of nothing would make a heading of the line above it.
    lines += [f"- {_inlines(item, limits.line).strip() or NOTHING}" for item in notice.items[: limits.notices]]
    if len(notice.items) > limits.notices:
        lines.append(f"- … and {len(notice.items) - limits.notices} more on the report page.")
    return "\n".join(f"> {one}" for one in lines)


def _metrics(metrics: MetricTable, limits: _Limits) -> list[str]:
    """The table of the metrics that are always seen, and their intervals."""
    chart = metrics.as_chart(0, MAX_OPEN_METRICS)
    return [_table(metrics.as_table(0, MAX_OPEN_METRICS), limits), *([_block(chart, limits)] if chart else [])]


def _check(check: Check) -> str:
    """The light and the name on one line: on a telephone the one would stand without the other."""
    name = escape.text(check.name)
    return f"{ICONS[check.light]}&nbsp;{f'**{name}**' if check.blocks else name}"


def _section(section: Section, limits: _Limits) -> str:
    opened = " open" if section.explains else ""
    content = "\n\n".join(_block(block, limits) for block in section.blocks)
    return f"<details{opened}><summary>{escape.text(plain(section.title))}</summary>\n\n{content}\n\n</details>"


def _block(block: Block, limits: _Limits) -> str:
    match block:
        case Paragraph(content):
            return _inlines(content, limits.line)
        case Listing():
            return "".join(map(_inline, block.within(limits.line)))
        case Table():
            return _table(block, limits)
        case Chart():
            return escape.fenced(block.lines(_CHART_NAME_LIMIT))
        case Distributions(drawn):
            return _drawings(drawn, limits)
        case Plot(drawn, instead):
            return escape.fenced(instead.lines(_CHART_NAME_LIMIT)) if instead else _inlines((drawn.told,), limits.line)
        case Log(lines):
            return escape.fenced(lines)


def _drawings(drawn: Sequence[Distribution], limits: _Limits) -> str:
    hidden = len(drawn) - limits.drawings
    more = f"\n\n… and {hidden:,} more drawn on the report page." if hidden > 0 else ""
    return escape.fenced(histogram.lines(drawn, limits.drawings)) + more


def _table(table: Table, limits: _Limits) -> str:
    lights = table.has_lights
    most = min(limits.rows, table.most_rows or limits.rows)
    titles = [escape.text(title.removeprefix(">"), escape.NAME_LIMIT) for title in table.columns]
    rules = ["--:" if title.startswith(">") else "--" for title in table.columns]
    lines = [_table_line(["", *titles] if lights else titles), _table_line(["--", *rules] if lights else rules)]
    for row in table.rows[:most]:
        cells = [_cell(cell, limits.cell, title) for title, cell in zip(table.columns, row.cells, strict=True)]
        lines.append(_table_line([ICONS[row.light] if row.light else "", *cells] if lights else cells))
    hidden = len(table.rows) - most
    return "\n".join(lines) + (f"\n\n… and {hidden:,} more on the report page." if hidden > 0 else "")


def _cell(cell: Line, limit: int, title: str) -> str:
    """A cell, in one line if it is short: a telephone shows tall rows otherwise, and numbers in pieces."""
    shown = _inlines(cell, limit)
    is_short = len(plain(cell)) <= (_SHORT_NUMBERS if title.startswith(">") else _SHORT_TEXT)
    return shown.replace(" ", "&nbsp;") if is_short else shown


def _table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _footer(report: Report) -> str:
    facts, parts = report.facts, []
    if facts.head:
        parts.append(f"{facts.head_is} {_link(facts.head[:7], facts.head_url)}")
    if facts.run:
        parts.append(_link(facts.run, facts.run_url))
    if facts.report_url:
        holding = " and ".join(page.title for page in report.pages)
        parts.append(_link("full report", facts.report_url) + (f", with {escape.text(holding)}" if holding else ""))
    return " · ".join([*parts, f"modelship {facts.version}"])


def _link(label: str, url: str | None) -> str:
    return _inline(Link(label, url)) if url else escape.text(label)


def _inlines(content: Line, limit: int) -> str:
    return "".join(map(_inline, shorten(content, limit)))


def _inline(part: Inline) -> str:
    match part:
        case Code(value):
            return escape.code(value, _CODE_LIMIT)
        case Strong(value):
            return f"<b>{escape.text(value)}</b>"
        case Link(value, url):
            return f"[{escape.text(value)}]({url})" if part.is_safe else escape.text(value)
        case str():
            return _with_outer_spaces(part)


def _with_outer_spaces(part: str) -> str:
    """Escaped text; the space that parts it from its neighbours stays."""
    before = " " if part[:1].isspace() else ""
    after = " " if part[-1:].isspace() and part.strip() else ""
    return f"{before}{escape.text(part)}{after}"
