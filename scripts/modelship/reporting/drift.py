"""What `drift-report` found, in words, tables and drawings. A part without content is None."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from modelship.core.records import ColumnDrift, DriftReportRecord
from modelship.core.words import counted
from modelship.reporting.blocks import Block, Distributions, Light, Listing, Paragraph, Row, Section, Table
from modelship.reporting.histogram import Distribution
from modelship.reporting.inline import Code, Inline, Line, line, prose
from modelship.reporting.numbers import NOTHING, number, rough

_MOST_NAMED = 3
_MOST_ROWS = 15
_DECIMALS = 3
_TWO_SIDED = 1.96
"""Standard errors on each side that hold 95 % of a normal distribution."""
_SMALLEST_P = 1e-4


def headline(record: DriftReportRecord) -> str:
    """What happened, in a few words."""
    drifted, features = _features(record)
    return f"the data has drifted: {drifted:,} of {counted(features, 'feature')}" if drifted else "the data has drifted"


def cause(record: DriftReportRecord) -> Line:
    """How much drifted, and what, with distances: `6 of 12 features drifted where 30% may: temp (0.69), …`; empty without drift."""
    drifted = _drifted(record)
    if not record.drift or not drifted:
        return ()
    count, features = _features(record)
    others = [column for column in drifted if column.purpose != "feature"]
    too_many = record.share is not None and record.max_share is not None and record.share > record.max_share
    told = [f"{count:,} of {counted(features, 'feature')} drifted" + (f" where {record.max_share:.0%} may" if too_many else "")]
    told += [f"the {column.purpose} drifted" for column in others]
    named: list[Inline] = []
    # What decided comes first.
    for column in (drifted if too_many else [*others, *(column for column in drifted if column.purpose == "feature")])[:_MOST_NAMED]:
        named += [", " if named else "", Code(column.column), f" ({rough(column.distance)})" if column.distance is not None else ""]
    more = f" and {len(drifted) - _MOST_NAMED:,} more" if len(drifted) > _MOST_NAMED else ""
    return line(" and ".join(told), ": ", *named, f"{more}.")


def drifted(record: DriftReportRecord | None, *, explains: bool) -> Section | None:
    """The columns that drifted: by how much, how they looked before and after, and what was looked at."""
    if record is None or not record.columns:
        return None
    found = _drifted(record)
    blocks: list[Block] = []
    if found:
        light: Light = "fail" if record.status == "fail" else "warn"
        blocks.append(_columns(found, light))
        drawn = tuple(filter(lambda one: one.is_drawable, map(_distribution, found)))
        if drawn:
            blocks.append(Distributions(drawn))
    noticed = tuple(
        f"{column.column} ({'; '.join(column.findings)})" for column in record.columns if column.findings and not column.drifted
    )
    if noticed:
        blocks.append(Listing(line("Found in columns that did not drift: "), noticed))
    blocks.append(Paragraph(_measured(record)))
    if record.sampling:
        blocks.append(Paragraph(line(f"{_capital(record.sampling)}.")))
    return Section(line(_capital(record.summary)), tuple(blocks), explains=explains)


def not_drifted(record: DriftReportRecord | None) -> Section | None:
    """The columns that are as they were, and those that were not compared."""
    if record is None:
        return None
    same = [column for column in record.columns if not column.drifted]
    titles: list[str] = []
    blocks: list[Block] = []
    if same:
        titles.append(f"Not drifted: {counted(len(same), 'column')}")
        blocks.append(_columns(same, "pass"))
    if record.skipped:
        titles.append(f"{'not' if same else 'Not'} compared: {len(record.skipped):,}")
        items = tuple(f"{skipped.column} ({skipped.reason})" for skipped in record.skipped)
        blocks.append(Listing(line("Not compared: "), items))
    return Section(line("; ".join(titles)), tuple(blocks)) if blocks else None


def _drifted(record: DriftReportRecord) -> list[ColumnDrift]:
    return [column for column in record.columns if column.drifted]


def _features(record: DriftReportRecord) -> tuple[int, int]:
    """How many features drifted, and of how many."""
    features = [column for column in record.columns if column.purpose == "feature"]
    return sum(column.drifted for column in features), len(features)


def _columns(columns: Sequence[ColumnDrift], light: Light) -> Table:
    titles = ("column", ">distance", ">threshold", ">p, corrected", "also")
    has_findings = any(column.findings for column in columns)
    shown = titles if has_findings else titles[:-1]
    rows = tuple(Row(_cells(column)[: len(shown)], light) for column in columns)
    return Table(shown, rows, most_rows=_MOST_ROWS)


def _cells(column: ColumnDrift) -> tuple[Line, ...]:
    name = line(Code(column.column), "" if column.purpose == "feature" else f" ({column.purpose})")
    findings = line(*_joined(map(prose, column.findings), "; ")) or line(NOTHING)
    if column.distance is None:
        return name, line(NOTHING), line(f"p ≤ {column.threshold:g}"), line(_p_value(column)), findings
    return name, line(_distance(column)), line(f"{column.threshold:g}"), line(_p_value(column)), findings


def _joined(parts: Iterable[Line], separator: str) -> Iterable[Inline]:
    for index, part in enumerate(parts):
        if index:
            yield separator
        yield from part


def _distance(column: ColumnDrift) -> str:
    """`0.228`, with what sampling may have done to it: `0.228 ± 0.010`."""
    error = f" ± {number(_TWO_SIDED * column.distance_error, _DECIMALS)}" if column.distance_error is not None else ""
    return f"{number(column.distance, _DECIMALS)}{error}"


def _p_value(column: ColumnDrift) -> str:
    return f"< {_SMALLEST_P:.4f}" if column.p_value < _SMALLEST_P else rough(column.p_value)


def _distribution(column: ColumnDrift) -> Distribution:
    return Distribution(column.column, column.kind, column.labels, *column.shares)


def _measured(record: DriftReportRecord) -> Line:
    """How distances were measured, and when one is drift."""
    methods = Counter(column.method for column in record.columns).most_common(_MOST_NAMED)
    how = _joined((line(Code(name), f" ({counted(count, 'column')})") for name, count in methods), ", ")
    has_errors = any(column.distance_error is not None for column in record.columns)
    precision = " ± is what sampling leaves open, at 95% confidence." if has_errors else ""
    return line("Measured by ", *how, f". Drifted is what is far apart and beyond chance.{precision}")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
