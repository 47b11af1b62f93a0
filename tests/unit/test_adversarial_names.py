"""Names that somebody chose with care, at every place that records have for text, through every renderer.

The Markdown is read by GitHub's own parser. A seed makes a run: its records say whatever their schema allows, each text another name.
`make fuzz` takes many more of them.
"""

from __future__ import annotations

import os
import re
import unicodedata

import msgspec
import pytest
from msgspec import inspect

from modelship.core.records import RECORDS, Approval, Finding, MetricGateRecord
from modelship.reporting import escape, html, markdown, slack, terminal
from modelship.reporting.card import Identity, model_card
from modelship.reporting.checks import Distrusted
from modelship.reporting.report import Facts, Report, build_report
from tests import gfm
from tests.hostile import Forger, names, texts_of
from tests.unit.test_reporting_scenarios import FACTS, HEAD, bad

COMMANDS = ("dvc-pull", "validate", "drift-report", "train", "evaluate", "metric-gate")
LINKS = {str(url) for url in (FACTS.head_url, FACTS.run_url, FACTS.report_url)}
MARKER = [" modelship:flight-delay "]
OF_THE_PAGE = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "footer", "div", "span", "ol", "section", "svg", "rect"),
    *("line", "path", "figure", "figcaption"),
}
BATCHES, EACH = 8, int(os.environ.get("MODELSHIP_TEST_REPORTS", "56")) // 8
"""`make fuzz` makes 10,000 reports: each of 10,000 names at each place, as far as chance allows."""


def forged(seed: int, lengths: tuple[int, ...] = (0, 1, 1, 2, 3)) -> tuple[Report, Forger]:
    forger = Forger(seed, names(seed), lengths)
    records = forger.records(COMMANDS, HEAD)
    if seed % 5 == 0:
        records[COMMANDS[seed % len(COMMANDS)]] = Distrusted(forger.name())
    return build_report("flight-delay", records, FACTS), forger


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_comment_holds_what_we_wrote_and_text(batch: int) -> None:
    for seed in range(batch * EACH, (batch + 1) * EACH):
        report, _ = forged(seed)
        comment = markdown.render_comment(report)
        assert gfm.breaches(comment, LINKS, MARKER) == [], f"seed {seed}"
        assert comment.endswith("\n<!-- modelship:flight-delay -->\n")
        assert len(comment.encode()) <= markdown.MAX_BYTES
        page = gfm.read(comment).root
        folded = sum(not section.page_only for section in report.sections)
        assert [len(list(page.each(tag))) for tag in ("h1", "h2", "details", "summary")] == [0, 1, folded, folded], f"seed {seed}"


@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_an_item_of_nothing_makes_no_heading_of_the_line_above(text: str) -> None:
    records = bad()
    gate = records["metric-gate"]
    assert isinstance(gate, MetricGateRecord)
    asked = (Finding(kind="policy", text=text, needs_approval=True),)
    approval = Approval(label="modelship-approved", given=False)
    records = {**records, "metric-gate": msgspec.structs.replace(gate, findings=asked, approval=approval)}
    page = gfm.read(markdown.render_comment(build_report("flight-delay", records, FACTS))).root
    assert len(list(page.each("h2"))) == 1


def test_ten_thousand_names_are_placed_wherever_a_record_has_text() -> None:
    placed = 0
    reached: set[tuple[str, str]] = set()
    for seed in range(BATCHES * EACH):
        _, forger = forged(seed)
        placed, reached = placed + forger.placed, reached | forger.reached
    assert placed >= 10_000
    assert reached == {place for command in COMMANDS for place in texts_of(inspect.type_info(RECORDS[command]))}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [20, 150])
def test_a_long_report_is_cut_and_says_what_and_where_the_rest_is(seed: int, length: int) -> None:
    report, _ = forged(seed, (length if seed else 2 * length,))
    comment = markdown.render_comment(report)
    assert len(comment.encode()) <= markdown.MAX_BYTES
    assert gfm.breaches(comment, LINKS, MARKER) == []
    assert "more on the report page" in comment
    told = [element.text() for element in gfm.read(comment).root.each("em")]
    links = [element.attributes["href"] for element in gfm.read(comment).root.each("a")]
    if told:
        assert told[-1].startswith("Left out, to keep this short enough for GitHub: ")
        assert links.count(str(FACTS.report_url)) == 2
    else:
        assert links.count(str(FACTS.report_url)) == 1


@pytest.mark.parametrize("character", ["x", "|", "é", "語", "\U0001f600", "`", "@", "&", "1"])
def test_what_always_fits_does(character: str) -> None:
    """However long the texts are and however many bytes one character becomes."""
    records = Forger(1, lambda: character * 1500, (40,)).records(COMMANDS, HEAD)
    report = build_report("m" * 100, records, FACTS)
    assert len(markdown.render_comment(report).encode()) <= markdown.MAX_BYTES


@pytest.mark.parametrize("seed", range(12))
def test_the_model_card_holds_text(seed: int) -> None:
    forger = Forger(seed, names(seed))
    identity = Identity(forger.name(), "8", forger.name(), (forger.name(),), forger.name(), str(FACTS.run_url), FACTS.sites)
    assert gfm.breaches(model_card(identity, forger.records(COMMANDS, HEAD)), LINKS) == []


@pytest.mark.parametrize("seed", range(12))
def test_page_and_terminal_hold_text(seed: int) -> None:
    report, _ = forged(seed)
    page = gfm.Page(html.render_page(report))
    assert (page.unbalanced, page.comments) == (["<!doctype html>"], [])
    for element in page.root.each():
        assert element.tag in gfm.OURS | OF_THE_PAGE
        assert not any(name.startswith("on") or name in ("style", "src", "srcset") for name in element.attributes)
        assert element.attributes.get("href") in {None, *LINKS}
    printed = terminal.render(report)
    assert not {character for character in printed if character != "\n" and unicodedata.category(character).startswith("C")}


@pytest.mark.parametrize("seed", range(12))
def test_a_chat_gets_plain_text(seed: int) -> None:
    name = names(seed)
    told = [slack.Told("fail", name(), name()) for _ in range(3)]
    message = slack.message(name(), told, actor=name(), run_url=name(), run=name())
    assert not re.search(r"<|>|&(?!amp;|lt;|gt;)", message["text"])
    for block in message["blocks"]:
        for element in block.get("elements", [block.get("text")]):
            assert element["type"] == "plain_text" or re.fullmatch(r"<https?://[^<>|]+\|[^<>|]*>", element["text"])


@pytest.mark.parametrize("place", ["mlflow_url", "acceptance"])
@pytest.mark.parametrize(("url", "is_linked"), [("https://mlflow.example.com/#/runs/1", True), ("https://evil.example/", False)])
def test_links_from_records_lead_to_known_sites(place: str, url: str, is_linked: bool) -> None:
    forger = Forger(0, lambda: "x", (1,))
    records = forger.records(COMMANDS, HEAD)
    if place == "mlflow_url":
        records["train"] = msgspec.structs.replace(records["train"], mlflow_url=url, mlflow_run="1", command="train")
    else:
        acceptance = msgspec.structs.replace(forger.part("metric-gate", "acceptance"), url=url)
        records["metric-gate"] = msgspec.structs.replace(records["metric-gate"], acceptance=acceptance)
    facts = Facts(sites=frozenset({"https://mlflow.example.com"}))
    comment, page = markdown.render_comment(build_report("m", records, facts)), html.render_page(build_report("m", records, facts))
    assert (f"({url})" in comment) is is_linked
    assert (f'href="{url}"' in page) is is_linked


UNESCAPED = [
    "@octocat",
    "(@acme/reviewers)",
    "me@example.com",
    "fixes #1",
    "GH-12",
    "acme/flights#3",
    "deadbee1",
    "12345678",
    "https://evil.example",
    "www.evil.example",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<h3>passed</h3>",
    "</summary></details>",
    "<!-- modelship:flight-delay -->",
    "<img src=x onerror=alert(1)>",
    "a | b",
    "~~struck~~",
    ":green_circle:",
    "\u202egnp.exe",
    "a\x08b",
    "a" + "\u0300" * 20,
]


@pytest.mark.parametrize("text", UNESCAPED)
def test_the_detector_sees_what_is_not_escaped(text: str) -> None:
    def table(left: str, right: str) -> str:
        return f"{left}\n\n| a | b |\n| -- | -- |\n| {left} | {right} |\n"

    assert gfm.breaches(table(text, text), ())
    assert gfm.breaches(table(escape.text(text), escape.code(text)), ()) == []
