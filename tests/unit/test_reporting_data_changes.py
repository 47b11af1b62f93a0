"""What a pull request changes in its tables, as a reader is told."""

from __future__ import annotations

from typing import Any

import pytest

from modelship.core.records import ColumnChange, TableChange
from modelship.reporting import html, markdown, terminal
from modelship.reporting.blocks import Paragraph, Section, Table
from modelship.reporting.inline import Code, plain
from modelship.reporting.sections import data
from tests.unit.test_reporting_scenarios import HEAD, good, report_on, validated

HUMID = ColumnChange(column="humid", change="added")
TEMP = ColumnChange(column="temp", change="shifted", before="mean 11.2, sd 9.8", after="mean 14.9, sd 9.7")


def change(**facts: Any) -> TableChange:
    same: dict[str, Any] = {
        "role": "reference",
        "path": "data/train.parquet",
        "base": HEAD,
        "rows_before": 60_000,
        "rows_after": 60_000,
    }
    return TableChange(**same | facts)


GROWN = change(
    rows_after=65_000,
    added=5_000,
    removed=0,
    changed=12,
    sample_keys=("11", "20"),
    columns=(HUMID, TEMP),
    column_counts={"added": 1, "shifted": 3},
)


def section(*changes: TableChange) -> Section:
    found = data(validated(changes=changes), None)
    assert found
    return found


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (GROWN, "train.parquet +5,000 −0 rows, 12 changed, columns: 1 added, 3 moved"),
        (change(added=0, removed=7, changed=0), "train.parquet +0 −7 rows"),
        (change(added=0, removed=0, changed=1), "train.parquet 1 row changed"),
        (change(added=0, removed=0, changed=0), "train.parquet written anew, no row changed"),
        (
            change(added=0, removed=0, changed=0, columns=(HUMID,), column_counts={"removed": 1, "retyped": 1}),
            "train.parquet columns: 1 removed, 1 of another kind",
        ),
        (change(rows_after=9, why_no_rows="`id` is repeated in 2 rows now"), "train.parquet 60,000 → 9 rows"),
    ],
)
def test_the_title_says_the_gist(changed: TableChange, says: str) -> None:
    assert plain(section(changed).title).endswith(f"; {says}")


def test_a_table_as_it_was_is_not_mentioned() -> None:
    assert "rows changed" not in plain(section().title)


def test_each_table_has_a_sentence_and_the_columns_are_a_table() -> None:
    moved = change(role="current", path="new.csv", path_before="old.csv", rows_after=9, why_no_rows="`id` is repeated in 2 rows now")
    found = section(GROWN, moved)
    sentences = [block.content for block in found.blocks if isinstance(block, Paragraph)][-2:]
    assert [plain(sentence) for sentence in sentences] == [
        f"Reference since base {HEAD[:7]}: 60,000 → 65,000 rows; 5,000 added, 0 removed, 12 changed (11, 20, …). "
        "2 more columns changed.",
        f"Current since base {HEAD[:7]}, where it was old.csv: 60,000 → 9 rows. Rows were not compared: id is repeated in 2 rows now.",
    ]
    assert Code("id") in sentences[1]
    (table,) = (block for block in found.blocks if isinstance(block, Table))
    assert [[plain(cell) for cell in row.cells] for row in table.rows] == [
        ["reference", "humid", "added", "—", "—"],
        ["reference", "temp", "moved", "mean 11.2, sd 9.8", "mean 14.9, sd 9.7"],
    ]


def test_every_renderer_tells() -> None:
    report = report_on({**good(), "validate": validated(changes=(GROWN,))})
    for rendered in (markdown.render(report), html.render_page(report), terminal.render(report)):
        assert "5,000 −0 rows" in rendered
    for rendered in (markdown.render(report), html.render_page(report)):
        assert "14.9" in rendered
