"""What a pull request changes in its tables, for the part of a report that speaks of data."""

from __future__ import annotations

from collections.abc import Sequence

from modelship.core.records import ColumnChange, ColumnChangeKind, TableChange
from modelship.core.words import MINUS, clip, counted
from modelship.reporting.blocks import Block, Paragraph, Row, Table
from modelship.reporting.inline import Code, Inline, Line, line, prose
from modelship.reporting.numbers import NOTHING

MAX_OPEN_COLUMNS = 20
"""Columns that a comment shows; the page shows all that are told."""

_NAME_LIMIT = 60

WORDS: dict[ColumnChangeKind, str] = {
    "added": "added",
    "removed": "removed",
    "retyped": "of another kind",
    "shifted": "moved",
}
"""What has become of a column, as a reader is told."""


def titles(changes: Sequence[TableChange]) -> list[str]:
    """Of each table the gist: `train.parquet +5,000 −0 rows, 12 changed, columns: 1 added, 2 moved`."""
    return [_title(change) for change in changes]


def blocks(changes: Sequence[TableChange]) -> list[Block]:
    """A sentence on each table, and the columns."""
    told: list[Block] = [Paragraph(_rows(change)) for change in changes]
    columns = tuple(_column(change, column) for change in changes for column in change.columns)
    if columns:
        told.append(Table(("table", "column", "change", "before", "after"), columns, most_rows=MAX_OPEN_COLUMNS))
    return told


def _title(change: TableChange) -> str:
    name = clip(change.path.rsplit("/", 1)[-1], _NAME_LIMIT)
    told = []
    if change.added is None or change.removed is None or change.changed is None:
        told.append(f"{change.rows_before:,} → {change.rows_after:,} rows")
    elif change.added or change.removed:
        told.append(f"+{change.added:,} {MINUS}{change.removed:,} rows")
    if change.changed:
        told.append(f"{change.changed:,} changed" if told else f"{counted(change.changed, 'row')} changed")
    columns = _counts(change.column_counts)
    if columns:
        told.append(f"columns: {columns}")
    return f"{name} {', '.join(told) or 'written anew, no row changed'}"


def _counts(counts: dict[ColumnChangeKind, int]) -> str:
    return ", ".join(f"{counts[kind]:,} {word}" for kind, word in WORDS.items() if counts.get(kind))


def _rows(change: TableChange) -> Line:
    where: list[Inline] = [f"{change.role.capitalize()} since base ", Code(change.base[:7])]
    if change.path_before:
        where += [", where it was ", Code(change.path_before)]
    size = f": {change.rows_before:,} → {change.rows_after:,} rows"
    if change.added is None or change.removed is None or change.changed is None:
        compared = line(f"{size}. Rows were not compared: ", *prose(change.why_no_rows), ".")
    else:
        counts = f"{change.added:,} added, {change.removed:,} removed, {change.changed:,} changed"
        keys = [part for key in change.sample_keys for part in (", ", Code(key))][1:]
        more = ", …" if len(change.sample_keys) < change.changed else ""
        compared = line(f"{size}; {counts}", *(" (", *keys, f"{more})") if keys else (), ".")
    untold = sum(change.column_counts.values()) - len(change.columns)
    return line(*where, *compared, f" {counted(untold, 'more column')} changed." if untold > 0 else "")


def _column(change: TableChange, column: ColumnChange) -> Row:
    before, after = (line(text or NOTHING) for text in (column.before, column.after))
    return Row((line(change.role), line(Code(column.column)), line(WORDS[column.change]), before, after))
