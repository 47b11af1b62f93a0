"""Drift as a reader is told: what it is called, the tables and the drawings."""

from __future__ import annotations

from typing import Any

import pytest

from modelship.core.errors import Problem
from modelship.core.records import ColumnDrift, DriftReportRecord, SkippedColumn
from modelship.reporting import drift, html, markdown, terminal
from modelship.reporting.blocks import Distributions, Listing, Paragraph, Section, Table
from modelship.reporting.inline import plain
from modelship.reporting.report import Report
from tests.unit.test_reporting import Page
from tests.unit.test_reporting_scenarios import HEAD, Records, first_run, good, report_on, validated


def column(name: str, **changes: Any) -> ColumnDrift:
    facts: dict[str, Any] = {
        "column": name,
        "kind": "numerical",
        "drifted": False,
        "method": "wasserstein",
        "distance": 0.042,
        "threshold": 0.1,
        "p_value": 0.079,
        "labels": ("19", "49", "80"),
        "shares": ((0.3, 0.5, 0.2), (0.0, 0.4, 0.6)),
    }
    return ColumnDrift(**facts | changes)


TEMP = column("temp", drifted=True, distance=0.689, distance_error=0.0075, p_value=1e-20)
PRESSURE = column(
    "pressure", drifted=True, distance=0.228, p_value=1e-9, findings=("missing values: 11% → 26% of the rows", "`x` is odd")
)
TARGET = column("late", purpose="target", kind="categorical", method="jensenshannon", drifted=True, distance=0.3, p_value=1e-9)
FARE = column("fare", method="ks", distance=None, threshold=0.05, p_value=0.3)


def compared(*columns: ColumnDrift, **changes: Any) -> DriftReportRecord:
    found = columns or (TEMP, PRESSURE, column("hour"), FARE)
    facts: dict[str, Any] = {
        "status": "warn",
        "summary": "drift: 2 of 4 features drifted (temp, pressure)",
        "drift": True,
        "columns": found,
        "skipped": (SkippedColumn(column="flight_id", reason="names the rows"), SkippedColumn(column="month", reason="ignored")),
        "share": 0.5,
        "max_share": 0.3,
        "confidence": 0.95,
        "sampling": "every row was looked at",
        "page": "files/drift-report.html",
        "commit": HEAD,
    }
    return DriftReportRecord(**facts | changes)


def with_drift(record: DriftReportRecord, others: Records | None = None) -> Report:
    return report_on({**(others or good()), "drift-report": record})


def section(report: Report, start: str) -> Section:
    (found,) = (one for one in report.sections if plain(one.title).startswith(start))
    return found


def cells(table: Table) -> list[list[str]]:
    return [[plain(cell) for cell in row.cells] for row in table.rows]


# What a reader sees first --------------------------------------------------------------------------------------------------------


def test_drift_that_warns_is_in_the_headline_and_the_cause() -> None:
    report = with_drift(compared(), {**good(), "validate": validated(status="warn", summary="1 of 9 is odd")})
    assert (report.light, report.conclusion) == ("warn", "success")
    assert report.headline == "every metric is within its margin of base 3f2a91c, but the data has drifted"
    assert plain(report.cause) == ("Passes, with 2 warnings. 2 of 4 features drifted where 30% may: temp (0.69), pressure (0.23).")
    assert not any(one.explains for one in report.sections)


def test_drift_that_blocks_is_the_headline_and_unfolded() -> None:
    report = with_drift(compared(status="fail"))
    assert (report.light, report.headline) == ("fail", "the data has drifted: 2 of 4 features")
    assert plain(report.cause).startswith("Blocked by 1 of 5 checks. 2 of 4 features drifted where 30% may: ")
    assert [plain(one.title) for one in report.sections if one.explains] == ["Drift: 2 of 4 features drifted (temp, pressure)"]
    assert [check.light for check in report.checks if check.name == "drift-report"] == ["fail"]


def test_what_the_gate_doubts_comes_before_drift() -> None:
    report = with_drift(compared(), first_run())
    assert report.headline == "there is no baseline to compare with yet"
    assert "could only be held against absolute limits" in plain(report.cause)


def test_drift_without_a_verdict_is_named() -> None:
    problem = Problem("has no rows.", "", "holdout.parquet")
    report = with_drift(DriftReportRecord(status="error", summary=str(problem), problems=(problem,), commit=HEAD))
    assert report.headline == "drift could not be measured"
    assert not [one for one in report.sections if "rift" in plain(one.title)]


def test_a_target_that_decided_is_named_first() -> None:
    record = compared(TEMP, TARGET, column("hour"), share=0.25, max_share=0.3)
    assert plain(drift.cause(record)) == "1 of 2 features drifted and the target drifted: late (0.30), temp (0.69)."


def test_columns_that_drifted_within_what_may_are_no_cause() -> None:
    report = with_drift(
        compared(status="pass", drift=False, summary="drift within limits: 1 of 4 features drifted (temp)", max_share=0.6)
    )
    assert (report.light, report.headline) == ("pass", "every metric is within its margin of base 3f2a91c")
    assert cells(_table(section(report, "Drift within limits: 1 of 4")))[0][0] == "temp"


def _table(found: Section) -> Table:
    (table,) = (block for block in found.blocks if isinstance(block, Table))
    return table


# The sections --------------------------------------------------------------------------------------------------------------------


def test_what_drifted_is_told_with_distance_threshold_and_chance() -> None:
    found = section(with_drift(compared(TEMP, PRESSURE, TARGET, column("hour"))), "Drift")
    assert cells(_table(found)) == [
        ["temp", "0.689 ± 0.015", "0.1", "< 0.0001", "—"],
        ["pressure", "0.228", "0.1", "< 0.0001", "missing values: 11% → 26% of the rows; x is odd"],
        ["late (target)", "0.300", "0.1", "< 0.0001", "—"],
    ]
    assert {row.light for row in _table(found).rows} == {"warn"}
    (drawn,) = (block for block in found.blocks if isinstance(block, Distributions))
    assert [one.name for one in drawn.drawn] == ["temp", "pressure", "late"]
    assert [plain(block.content) for block in found.blocks if isinstance(block, Paragraph)] == [
        "Measured by wasserstein (3 columns), jensenshannon (1 column). Drifted is what is far apart and beyond chance. "
        "± is what sampling leaves open, at 95% confidence.",
        "Every row was looked at.",
    ]


def test_what_was_found_in_columns_that_did_not_drift_is_told_with_those_that_did() -> None:
    found = section(with_drift(compared(TEMP, column("carrier", findings=("1 new category in 0.8% of the values",)))), "Drift")
    (listing,) = (block for block in found.blocks if isinstance(block, Listing))
    assert plain(listing.within(400)) == ("Found in columns that did not drift: carrier (1 new category in 0.8% of the values).")


def test_what_has_not_drifted_is_counted_and_folded() -> None:
    report = with_drift(compared())
    found = section(report, "Not drifted: 2 columns; not compared: 2")
    assert cells(_table(found)) == [["hour", "0.042", "0.1", "0.079"], ["fare", "—", "p ≤ 0.05", "0.30"]]
    (listing,) = (block for block in found.blocks if isinstance(block, Listing))
    assert plain(listing.within(400)) == "Not compared: flight_id (names the rows); month (ignored)."
    assert not found.explains


def test_a_column_without_shares_is_told_and_not_drawn() -> None:
    found = section(with_drift(compared(column("temp", drifted=True, labels=(), shares=((), ())))), "Drift")
    assert not [block for block in found.blocks if isinstance(block, Distributions)]


def test_every_renderer_tells_and_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # A narrower terminal breaks the lines of a cell.
    report = with_drift(compared(status="fail"))
    comment, page, text = markdown.render_comment(report), html.render_page(report), terminal.render(report)
    for words in ("2 of 4 features drifted", "0.689 ± 0.015", "missing values: 11% → 26% of the rows"):
        for rendered in (comment, page, text):
            assert words in rendered.replace("&nbsp;", " ")
    for rendered in (comment, text):
        assert "temp, at 80: 20% → 60%" in rendered
        assert "reference │▄▄▇▇▃▃│" in rendered
        assert "current   │  ▅▅██│" in rendered
    bars = [attributes for tag, attributes in Page(page).tags if tag == "rect" and attributes.get("class") in ("before", "after")]
    assert len(bars) == 2 * 2 * 3
    assert [bar["height"] for bar in bars[:6]] == ["50.0", "0.0", "83.3", "66.7", "33.3", "100.0"]


def test_the_comment_draws_six_and_the_page_all() -> None:
    report = with_drift(compared(*(column(f"column-{number}", drifted=True) for number in range(9))))
    assert markdown.render_comment(report).count("reference │") == 6
    assert "… and 3 more drawn on the report page." in markdown.render_comment(report)
    assert html.render_page(report).count("<figure>") == 9


def test_the_command_alone_tells_at_a_terminal() -> None:
    told = terminal.render_record(compared())
    assert told.startswith("Drift: 2 of 4 features drifted (temp, pressure)\n")
    assert "! temp" in told
    assert "│▄▄▇▇▃▃│" in told
