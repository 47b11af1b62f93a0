"""The renderers: the same report for a comment, a page and a terminal, safe whatever the records say."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html import unescape as html_text
from html.parser import HTMLParser
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings

from modelship.core.records import (
    PRODUCTION,
    RECORDS,
    Acceptance,
    Approval,
    Changes,
    Cohort,
    ColumnChange,
    ColumnDrift,
    DriftReportRecord,
    Example,
    Finding,
    Flips,
    MetricGateRecord,
    ModelCheck,
    SkippedColumn,
    Slices,
    SliceVerdict,
    TableChange,
    TrainRecord,
    ValidateRecord,
    ValueChange,
)
from modelship.core.words import counted
from modelship.reporting import html, markdown, numbers, terminal
from modelship.reporting.blocks import Table
from modelship.reporting.checks import Found
from modelship.reporting.inline import Code, Link, line, plain, prose, shorten
from modelship.reporting.report import build_report
from tests.unit.test_escape import MARKDOWN, REFERENCE, flat, shown, texts
from tests.unit.test_reporting_gate import GATE_SCENARIOS, paired, scored, weighed
from tests.unit.test_reporting_scenarios import (
    BASE,
    FACTS,
    HEAD,
    SCENARIOS,
    Records,
    bad,
    broken_data,
    expectation,
    failed_training,
    good,
    judged,
    metric,
    pulled,
    report_on,
    trained,
    validated,
)


def table_change(text: str, count: int = 1) -> TableChange:
    """A changed table in which every string is `text`."""
    return TableChange(
        role="reference",
        path=text,
        path_before=text,
        base=HEAD,
        rows_before=60_000,
        rows_after=65_000,
        added=5_000,
        removed=0,
        changed=12,
        sample_keys=(text, text),
        columns=(ColumnChange(column=text, change="shifted", before=text[:4000], after=text[:4000]),) * count,
        column_counts={"shifted": count},
    )


def drift_report(text: str, count: int = 1) -> DriftReportRecord:
    """Columns of either kind, drifted and not, in which every string is `text`."""

    def column(kind: Literal["numerical", "categorical"], drifted: bool) -> ColumnDrift:
        return ColumnDrift(
            column=text,
            kind=kind,
            purpose="target",
            drifted=drifted,
            method=text,
            distance=0.3,
            threshold=0.1,
            p_value=0.001,
            new_values=(text,),
            labels=(text, text),
            shares=((0.5, 0.5), (0.1, 0.9)),
            findings=(text, text),
        )

    columns = (column("numerical", True), column("categorical", True), column("categorical", False)) * count
    skipped = (SkippedColumn(column=text, reason=text),) * count
    return DriftReportRecord(
        status="warn", summary=text, drift=True, columns=columns, skipped=skipped, sampling=text, page=text, commit=HEAD
    )


def hostile(text: str, count: int = 1) -> Records:
    """A run in which every string that a record can hold is `text`."""
    verdict = paired(text, 0.7437, 0.7226, 0.005, 0.004, reason=text, allowed=text, method=text)
    sliced = tuple(SliceVerdict(slice={text: text, "b": text}, rows=700, verdict=verdict) for _ in range(count))
    example = Example(key=text, truth=text, baseline=text, candidate=text, values={text: text})
    cohort = Cohort(slice={text: text}, rows=700, newly_right=9, newly_wrong=88, lift=4.36)
    finding = Finding(kind="policy", text=text)
    grave = Finding(kind="labels", text=text, needs_approval=True)
    check = ModelCheck(name=text, holds=False, observed=text, limit=text)
    change = ValueChange(name=text, before=text, after=text)
    many = (change,) * count
    problem_text = text[:1500]
    return {
        "dvc-pull": pulled(remotes=(text,), summary=text, notices=(text,) * 3),
        "validate": validated(
            *(expectation(text, text, holds=False, arguments={text: text}, observed=text, sample_keys=(text,)),) * count,
            status="warn",
            summary=text,
            changes=(table_change(text, count),) * 2,
        ),
        "drift-report": drift_report(text, count),
        "train": trained(
            status="fail",
            summary=problem_text,
            command=text,
            params={text: text},
            packages={text: text},
            invalid_metrics={text: text},
            python=text,
            mlflow_url=text,
            mlflow_run=text,
            log_tail=(text,) * count,
        ),
        "evaluate": scored(status="warn", summary=text, checks=(check,) * count, log_tail=(text,) * count),
        "metric-gate": weighed(
            *(verdict,) * count,
            summary=text,
            baseline=msgspec.structs.replace(BASE, label=text, source=text, date=text),
            policy=text,
            notices=(text,),
            other_metrics=many,
            changes=Changes(params=many, data=many, files=many, policy=many),
            slices=Slices(verdicts=sliced, comparisons=count, too_few=(text,) * count, min_rows=100),
            flips=Flips(newly_right=9, newly_wrong=88, cohorts=(cohort,) * count, examples=(example,) * count, keys_hidden=True),
            findings=(finding, *(grave,) * count),
            approval=Approval(label=text, given=False),
            acceptance=Acceptance(by=text, reason=text, url=text, commit=HEAD),
        ),
    }


def skeleton(source: str) -> list[tuple[str, list[str]]]:
    """Markdown's structure: token types, and of HTML the tags; the `<code>` that escaping adds aside."""
    found = []
    for token in flat(MARKDOWN.parse(source)):
        tags = re.findall(r"<[^>]*>", token.content) if token.type.startswith("html") else []
        tags = [tag for tag in tags if tag not in ("<code>", "</code>")]
        if token.type in ("text", "inline", "text_special") or (token.type == "html_inline" and not tags):
            continue
        found.append((token.type, tags))
    return found


@given(texts.filter(lambda text: text.strip("` \u200b\x00") != "" and plain(line(text)).isprintable()))
@settings(max_examples=80, deadline=None)
def test_text_from_records_changes_no_structure(text: str) -> None:
    """Whatever the records say, the comment has the same headings, tables, rows, cells and links."""
    source = markdown.render_comment(report_on(hostile(text)))
    assert skeleton(source) == skeleton(markdown.render_comment(report_on(hostile("x"))))
    assert source.endswith("\n<!-- modelship:flight-delay -->\n")
    assert source.count("<!--") == 1
    links = [token.attrs["href"] for token in flat(MARKDOWN.parse(source)) if token.type == "link_open"]
    assert links == [FACTS.head_url, FACTS.run_url, FACTS.report_url]
    assert not REFERENCE.search(re.sub(r"https://github\.com\S*", "", shown(source)))


@pytest.mark.parametrize("count", [1, 7, 300])
@pytest.mark.parametrize("text", ["|" * 3000, "``" * 1500, "`@`" * 1000, "é" * 3000, "a1b2c3d " * 300, "x" * 10_000])
def test_a_comment_is_never_too_long(text: str, count: int) -> None:
    assert len(markdown.render_comment(report_on(hostile(text, count))).encode()) <= markdown.MAX_BYTES


def test_what_was_cut_is_said() -> None:
    changes = tuple(ValueChange(name=f"key-{number}-{'|' * 100}", before="|" * 150, after="|" * 150) for number in range(100))
    everything = Changes(params=changes, data=changes, files=changes, policy=changes)
    records = good() | {"metric-gate": judged(changes=everything)}
    whole = markdown.render(report_on(records), limit=1_000_000)
    assert "more on the report page" in whole
    short = markdown.render(report_on(records), limit=6_000)
    assert len(short) <= 6_000
    assert "Left out, to keep this short enough for GitHub: " in short
    assert "How to read this" in short.rpartition("Left out")[2]
    assert "roc_auc" in short


@pytest.mark.parametrize("name", [*SCENARIOS, *GATE_SCENARIOS])
def test_every_renderer_says_the_same(name: str) -> None:
    report = report_on((SCENARIOS | GATE_SCENARIOS)[name]())
    comment, page, text = markdown.render_comment(report), html.render_page(report), terminal.render(report)
    for words in (report.headline, *(check.name for check in report.checks)):
        assert words in re.sub(r"</?code>", "", comment)
        assert words in page
        assert words in text
    for row in report.metrics.rows if report.metrics else ():
        for words in (row.metric, row.candidate, row.change_and_interval):
            assert words in html_text(comment).replace("\xa0", " ")
            assert words in page
            assert words in text


def test_only_what_explains_the_verdict_is_unfolded() -> None:
    assert "<details open>" not in markdown.render_comment(report_on(bad()))
    assert markdown.render_comment(report_on(failed_training())).count("<details open><summary>Training log") == 1
    assert markdown.render_comment(report_on(broken_data())).count("<details open><summary>2 expectations do not hold") == 1


def test_six_metrics_are_open_and_the_rest_folded() -> None:
    metrics = tuple(metric(f"metric_{number}", 0.5, 0.5 + number / 1000, 0.01) for number in range(9))
    source = markdown.render_comment(report_on(good() | {"metric-gate": judged(metrics)}))
    before, _, after = source.partition("<details>")
    assert re.findall(r"\| (metric_\d) \|", before) == [f"metric_{number}" for number in (1, 2, 3, 4, 5, 6)]
    assert re.findall(r"\| (metric_\d) \|", after) == ["metric_7", "metric_8", "metric_0"], "unchanged ones come last"
    assert "3 more metrics with a limit" in after


class Page(HTMLParser):
    """What is in a page: tags with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@given(texts)
@settings(max_examples=50, deadline=None)
def test_the_page_holds_nothing_that_runs_or_loads(text: str) -> None:
    page = Page(html.render_page(report_on(hostile(text))))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "srcset") for name in attributes)
        assert tag == "a" or "href" not in attributes
    targets = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert targets <= {FACTS.head_url, FACTS.run_url, text}
    assert all(str(target).startswith(("https://", "http://")) for target in targets)


def test_the_page_s_policy_allows_its_own_style_only() -> None:
    page = html.render_page(report_on(bad()))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_page_has_what_the_comment_folds_away_or_leaves_out() -> None:
    page = html.render_page(report_on(good()))
    for words in ("scikit-learn", "1.9.1", "learning_rate", "md5:0a1b2c3d4e5f60718293a4b5c6d7e8f9", "Packages: 3"):
        assert words in page
    assert "scikit-learn" not in markdown.render_comment(report_on(good()))


def test_wide_tables_of_text_name_their_cells_for_a_phone_and_tables_of_numbers_do_not() -> None:
    broken = html.render_page(report_on(SCENARIOS["broken-data"]()))
    assert '<table class="told">' in broken
    assert '<td data-title="found">' in broken
    distances = Table(("column", ">distance", ">threshold", "also"), ())
    assert not distances.is_text
    assert not Table(("check", "problem"), ()).is_text


@pytest.mark.parametrize(
    ("change", "margin", "expected"),
    [
        (-0.02, 0.01, html.Bar(start=-45, length=45, limit=-22.5, kind="fail")),
        (0.005, 0.01, html.Bar(start=0, length=22.5, limit=-45, kind="pass")),
        (0.0, 0.0, html.Bar(start=0, length=0, limit=0, kind="pass")),
    ],
)
def test_bars_are_drawn_to_scale(change: float, margin: float, expected: html.Bar) -> None:
    report = report_on(good() | {"metric-gate": judged((metric("m", 0.5, 0.5 + change, margin, change=change),))})
    assert report.metrics
    assert html.bar(report.metrics.rows[0]) == expected


@given(texts)
@settings(max_examples=30, deadline=None)
def test_the_terminal_gets_no_control_characters(text: str) -> None:
    for written in (terminal.render(report_on(hostile(text))), *(terminal.render_record(one) for one in _structs(hostile(text)))):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)


def _structs(records: Records) -> list[Any]:
    return [record for record in records.values() if isinstance(record, msgspec.Struct)]


def test_the_terminal_table_is_aligned() -> None:
    lines = terminal.render(report_on(bad())).splitlines()
    start = next(index for index, text in enumerate(lines) if text.startswith("  metric"))
    header, *rows = lines[start : start + 4]
    for column in ("base 3f2a91c", "this PR", "change", "allowed"):
        end = header.index(column) + len(column)
        assert all(row[end - 1] != " " and row[end] == " " for row in rows)
    assert max(map(len, lines)) <= 100


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_on(bad())
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" not in terminal.render(report)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[1;31m" in terminal.render(report)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in terminal.render(report)


def test_single_records_are_told_after_their_command() -> None:
    gate, train = bad()["metric-gate"], failed_training()["train"]
    assert isinstance(gate, MetricGateRecord)
    assert isinstance(train, TrainRecord)
    assert "✗ roc_auc" in terminal.render_record(gate)
    assert "│ KeyError: \"['carrier'] not in index\"" in terminal.render_record(train)
    assert terminal.render_record(pulled()).startswith("Data: 2 DVC outputs pulled")
    broken = broken_data()["validate"]
    assert isinstance(broken, ValidateRecord)
    assert "✗ current" in terminal.render_record(broken)


@pytest.mark.parametrize(
    ("values", "change", "expected"),
    [
        ((0.7437, 0.7226), -0.0211, 4),
        ((1.2, 3.4), None, 4),
        ((12.3456, 12.5), None, 3),
        ((1234.5, 1200.0), None, 1),
        ((250_000.0, 1.0), None, 0),
        ((0.00123, 0.0011), None, 6),
        ((0.5, 0.50000123), 1.23e-6, 6),
        ((0.5, 0.5), 1e-17, 4),
        ((None, None), None, 4),
    ],
)
def test_as_many_decimals_as_carry_meaning(values: tuple[float | None, ...], change: float | None, expected: int) -> None:
    assert numbers.decimals_for(values, change) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (numbers.number(-0.0211, 4), "−0.0211"),
        (numbers.number(-0.00001, 4), "0.0000"),
        (numbers.number(1_234_567.8, 0), "1,234,568"),
        (numbers.number(3.2e-12, 10), "3.200e−12"),
        (numbers.number(1.5e18, 0), "1.500e+18"),
        (numbers.number(None, 4), "—"),
        (numbers.signed(0.0014, 4), "+0.0014"),
        (numbers.signed(0.00001, 4), "0.0000"),
        (numbers.signed(-0.5, 1), "−0.5"),
        (numbers.rough(-0.02114), "0.021"),
        (numbers.rough(123.4), "123"),
        (numbers.rough(0.0), "0.0"),
        (numbers.duration(0.42), "0.4 s"),
        (numbers.duration(41.3), "41 s"),
        (numbers.duration(200), "3 min 20 s"),
        (numbers.duration(7_500), "2 h 05 min"),
        (numbers.size(812), "812 B"),
        (numbers.size(4_100_000), "4.1 MB"),
        (numbers.size(3 * 10**13), "30.0 TB"),
        (counted(1, "row"), "1 row"),
        (counted(12_000, "row"), "12,000 rows"),
    ],
)
def test_numbers_read_as_people_write_them(written: str, expected: str) -> None:
    assert written == expected


def test_backticks_mark_code_in_sentences() -> None:
    assert prose("`a.json` is empty.") == (Code("a.json"), " is empty.")
    assert prose("an odd ` one") == ("an odd ` one",)
    assert shorten(prose("`abcdef` and more"), 3) == (Code("abc…"), "…")


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://mlflow.example.com:5000/#/experiments/1/runs/2", True),
        ("http://127.0.0.1:5000/x", True),
        ("javascript:alert(1)", False),
        ("https://github.com@evil.example/", False),
        ("https://a.example/)[x](https://b.example", False),
        ("https://a.example/ x", False),
        ("", False),
    ],
)
def test_only_plain_web_addresses_become_links(url: str, is_safe: bool) -> None:
    assert Link("x", url).is_safe == is_safe


def test_a_report_of_nothing_is_a_failure() -> None:
    nothing: dict[str, Found] = dict.fromkeys(good())
    report = build_report("flight-delay", nothing, FACTS)
    assert report.conclusion == "failure"
    assert report.title == "flight-delay: nothing was checked"
    assert HEAD[:7] in markdown.render_comment(report)
    assert "nothing was checked" in html.render_page(report)
    assert "✗ flight-delay: nothing was checked" in terminal.render(report)


def test_every_command_that_ends_without_a_verdict_has_a_headline_of_its_own() -> None:
    names, headlines = list(RECORDS), set()
    for place, name in enumerate(names):
        records: Records = {earlier: RECORDS[earlier](status="pass", summary="all is well") for earlier in names[:place]}
        records[name] = RECORDS[name](status="error", summary="the disk is full", started_at="2026-11-27T10:00:00Z")
        report = build_report("flight-delay", records, dataclasses.replace(FACTS, in_pull_request=False))
        assert report.conclusion == "failure"
        headlines.add(report.headline)
    assert len(headlines) == len(names)


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_no_record_about_production_stands_in_for_the_gate(name: str) -> None:
    records: Records = {"train": trained(), name: RECORDS[name](status="pass", summary="all is well")}
    report = report_on(records)
    assert report.conclusion == "failure"
    assert [check.name for check in report.checks] == ["train", "metric-gate"]


def test_drift_that_blocks_is_the_headline() -> None:
    record = DriftReportRecord(status="fail", drift=True, summary="drift: 1 of 1 feature drifted (hour)")
    report = report_on({"drift-report": record})
    assert (report.conclusion, report.headline) == ("failure", "the data has drifted")
    assert "Drift: 1 of 1 feature drifted (hour)." in plain(report.cause)
