"""The report as GitHub Markdown: the comment, the check run's summary and the job summary."""

from __future__ import annotations

from collections.abc import Sequence

from modelship.reporting import escape
from modelship.reporting.blocks import ICONS, Block, Log, Paragraph, Section, Table
from modelship.reporting.checks import Check
from modelship.reporting.inline import Code, Inline, Line, Link, Strong, plain, shorten
from modelship.reporting.report import MAX_OPEN_METRICS, Facts, Report

MAX_CHARACTERS = 60_000
"""GitHub accepts 65,536; the rest is room for what counts otherwise there than here."""

_ROW_LIMITS = (60, 25, 8)
_TITLE_LIMIT = 250
_MAX_NOTICES = 5
_LINE_LIMIT = 400
_CELL_LIMIT = 160
"""Characters, before escaping makes up to six of one."""


def marker(model: str) -> str:
    """The hidden last line by which a comment on `model` is found again."""
    return f"<!-- modelship:{model} -->"


def render_comment(report: Report) -> str:
    """The comment: a verdict for ten seconds, everything else folded, the marker as the last line."""
    ending = f"\n{marker(report.model)}\n"
    return render(report, MAX_CHARACTERS - len(ending)) + ending


def render(report: Report, limit: int = MAX_CHARACTERS) -> str:
    """The report in at most `limit` characters: long tables get shorter first, then sections go, the last ones first."""
    sections = [section for section in report.sections if not section.page_only]
    left_out: list[Section] = []
    for rows in _ROW_LIMITS:
        rendered = _assemble(report, sections, rows, left_out)
        if len(rendered) <= limit:
            return rendered
    while len(rendered) > limit and sections:
        left_out.insert(0, sections.pop())
        rendered = _assemble(report, sections, _ROW_LIMITS[-1], left_out)
    return rendered


def _assemble(report: Report, sections: Sequence[Section], rows: int, left_out: Sequence[Section]) -> str:
    parts = [f"## {report.icon} {escape.text(report.title, _TITLE_LIMIT)}"]
    parts += [f"> ⚠️ {_inlines(notice)}" for notice in report.notices[:_MAX_NOTICES]]
    if len(report.notices) > _MAX_NOTICES:
        parts.append(f"> … and {len(report.notices) - _MAX_NOTICES} more on the report page.")
    parts.append(_inlines(report.cause))
    if len(report.checks) > 1:
        parts.append(" · ".join(map(_check, report.checks)))
    if report.metrics and report.metrics.rows:
        parts.append(_table(report.metrics.as_table(0, MAX_OPEN_METRICS), rows))
    if report.basis:
        parts.append(f"<sub>{_inlines(report.basis)}</sub>")
    parts += [_section(section, rows) for section in sections]
    if left_out:
        titles = "; ".join(escape.text(plain(section.title)) for section in left_out)
        parts.append(f"*Left out, to keep this short enough for GitHub: {titles}. The report page has it all.*")
    parts.append(f"<sub>{_footer(report.facts)}</sub>")
    return "\n\n".join(parts) + "\n"


def _check(check: Check) -> str:
    name = escape.text(check.name)
    return f"{ICONS[check.light]} **{name}**" if check.blocks else f"{ICONS[check.light]} {name}"


def _section(section: Section, rows: int) -> str:
    opened = " open" if section.explains else ""
    content = "\n\n".join(_block(block, rows) for block in section.blocks)
    return f"<details{opened}><summary>{escape.text(plain(section.title))}</summary>\n\n{content}\n\n</details>"


def _block(block: Block, rows: int) -> str:
    match block:
        case Paragraph(content):
            return _inlines(content)
        case Table():
            return _table(block, rows)
        case Log(lines):
            return escape.fenced(lines)


def _table(table: Table, limit: int) -> str:
    lights = table.has_lights
    titles = [escape.text(title.removeprefix(">"), escape.NAME_LIMIT) for title in table.columns]
    rules = ["--:" if title.startswith(">") else "--" for title in table.columns]
    lines = [_table_line(["", *titles] if lights else titles), _table_line(["--", *rules] if lights else rules)]
    for row in table.rows[:limit]:
        cells = [_inlines(cell, _CELL_LIMIT) for cell in row.cells]
        lines.append(_table_line([ICONS[row.light] if row.light else "", *cells] if lights else cells))
    hidden = len(table.rows) - limit
    return "\n".join(lines) + (f"\n\n… and {hidden:,} more on the report page." if hidden > 0 else "")


def _table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _footer(facts: Facts) -> str:
    parts = []
    if facts.head:
        parts.append(f"head {_link(facts.head[:7], facts.head_url)}")
    if facts.run:
        parts.append(_link(facts.run, facts.run_url))
    if facts.report_url:
        parts.append(_link("full report", facts.report_url))
    return " · ".join([*parts, f"modelship {facts.version}"])


def _link(label: str, url: str | None) -> str:
    return _inline(Link(label, url)) if url else escape.text(label)


def _inlines(content: Line, limit: int = _LINE_LIMIT) -> str:
    return "".join(map(_inline, shorten(content, limit)))


def _inline(part: Inline) -> str:
    match part:
        case Code(value):
            return escape.code(value, _CELL_LIMIT)
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
