"""The page on a model's past and its badge: what is said of which past, whatever names say, in a size that can be read."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from docs.history_pictures import ROOT, pictures
from hypothesis import given
from hypothesis import strategies as st

from modelship.deployment.ledger import Action
from modelship.history.health import Health, State
from modelship.history.past import Past
from modelship.monitoring.history import Asked
from modelship.reporting import markdown, terminal
from modelship.reporting.badge import badge
from modelship.reporting.html import render_page
from tests.histories import END, NOW, WEEK, batch, ledger, looked, past, report, state, version
from tests.hostile import ATTACKS

replace = msgspec.structs.replace
LIVE = ledger([(Action.DEPLOY, 7, END - 20 * WEEK, "")])


def after(*looks: Any, entries: Any = LIVE, **more: Any) -> Past:
    """v7 is live, and these are the looks at it."""
    return Past(entries=entries, records=looks, **more)


def weeks_ago(count: int, value: float = 0.74, number: int = 7, **more: Any) -> Any:
    return batch(END - count * WEEK, number, value, **more)


# State ---------------------------------------------------------------------------------------------------------------------------


def test_nothing_live_is_unknown() -> None:
    assert state(Past()) == Health("unknown", "Nothing is live in production yet.", environment="production")
    assert state(Past(entries=LIVE), environment="staging").version is None


def test_a_version_that_nobody_has_looked_at_is_unknown() -> None:
    assert (state(after()).state, state(after()).version) == ("unknown", 7)
    of_another = after(looked(weeks_ago(1, number=6)))
    assert state(of_another).told == "Nobody has looked at a batch of v7 yet."


def test_what_holds_is_healthy_until_nobody_looks_any_more() -> None:
    known = after(looked(weeks_ago(2)), looked(weeks_ago(1)))
    assert state(known).state == "healthy"
    assert state(known, END + 3 * WEEK).state == "healthy"
    late = state(known, END + 3 * WEEK + timedelta(days=1))
    assert (late.state, late.told) == ("unknown", "The newest batch that was looked at ended 22 days ago.")


def test_a_warning_is_degraded() -> None:
    assert state(after(looked(weeks_ago(2)), looked(weeks_ago(1), "warn", summary="v7: 1 of 2 drifted"))).state == "degraded"


def test_labels_that_are_all_in_count_beside_the_newest_batch() -> None:
    """The newest batch has no labels yet, and says nothing of a loss that the one before shows."""
    newest = looked(weeks_ago(1, measured=(), is_complete=False))
    assert state(after(looked(weeks_ago(2), "warn", summary="worse"), newest)).state == "degraded"
    assert state(after(looked(weeks_ago(2), "fail", summary="worse"), newest)).told == "worse."
    assert state(after(looked(weeks_ago(3), "fail"), looked(weeks_ago(2)), newest)).state == "healthy"


def test_a_failed_look_and_a_proven_loss_are_trouble() -> None:
    assert state(after(looked(weeks_ago(1), "fail"))).state == "in trouble"
    lost = state(after(looked(weeks_ago(1, 0.60), "warn")))
    assert (lost.state, lost.told.startswith("performance: roc_auc 0.744 → 0.6, a loss of")) == ("in trouble", True)


def test_a_version_that_came_back_is_rolled_back_until_another_one_is_deployed() -> None:
    steps = [(Action.DEPLOY, 7, END - 9 * WEEK, ""), (Action.DEPLOY, 8, END - 3 * WEEK, ""), (Action.ROLLBACK, 7, END - 2 * WEEK, "")]
    found = state(after(looked(weeks_ago(1)), entries=ledger(steps)))
    assert (found.version, found.state) == (7, "rolled back")
    assert state(after(looked(weeks_ago(1), "fail"), entries=ledger(steps))).state == "in trouble"
    on = [*steps, (Action.DEPLOY, 9, END - WEEK, "")]
    assert state(after(looked(weeks_ago(1, number=9)), entries=ledger(on))).state == "healthy"


def test_without_environments_the_champion_is_live() -> None:
    assert (state(Past(champion=3), environment="").version, state(Past(), environment="").version) == (3, None)


# Page ----------------------------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Collects what a page is made of, and sees that every element is closed."""

    VOID = {"meta", "br", "img", "link", "input"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "srcdoc", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def sections(known: Past) -> list[str]:
    return ["".join(map(str, section.title)) for section in report(known).sections]


def test_a_past_is_told_from_what_is_live_to_each_batch() -> None:
    assert report(past()).title == "flight-delay: v7 is live and in trouble"
    assert sections(past()) == [
        "Timeline", "Metrics in production", "Drift: in 3 of 26 batches", "Retrain: asked for by drift",
        "Deployments: 4, and 1 rollback",
        "Versions: 4", "Metrics at release", "Accepted exceptions: 1", "Batches: 26 looks in numbers",
    ]  # fmt: skip
    page = _Page(render_page(report(past())))
    assert page.tags.count("svg") == 4
    shown = "".join(page.texts)
    for told in (
        "dana",
        "Support hears of late flights that were on time",
        "mira: the holdout of May is odd",
        "▼v7",
        "0.7440 promised",
    ):
        assert told in shown


def test_who_sees_no_picture_reads_the_same_in_tables() -> None:
    rendered = render_page(report(past()))
    tables = "".join(re.findall(r"<table.*?</table>", rendered, re.DOTALL))
    for record in past().records:
        assert record.batch
        assert f"{record.batch.measured[0].value:.4f}" in tables
        assert f"{record.batch.start:%Y-%m-%d}" in tables
    assert rendered.count('role="img" aria-label="') >= rendered.count("<svg")


def test_without_a_past_it_says_what_there_is_not() -> None:
    assert report(Past()).headline == "nothing is live yet"
    assert sections(Past()) == ["Deployments: none yet", "Versions: none yet", "Batches: none yet"]
    _Page(render_page(report(Past())))
    assert "svg" not in _Page(render_page(report(Past(versions=(version(1, END),))))).tags


@pytest.mark.parametrize("missing", ["versions", "entries", "records", "asked"])
def test_it_can_be_read_whatever_is_missing(missing: str) -> None:
    known = replace(past(), **{missing: ()})
    _Page(render_page(report(known)))
    markdown.render(report(known))
    terminal.render(report(known))


def test_hundreds_of_batches_are_a_page_of_bounded_size_that_says_what_was_cut() -> None:
    known = replace(past(400), older_batches=1432, older_versions=7)
    rendered = render_page(report(known))
    assert len(rendered.encode()) < 1_000_000
    assert "Shown are the newest 400 of 1,832 batches." in rendered
    assert "Shown are the newest 4 of 11 versions" in rendered


def test_it_is_the_same_each_time() -> None:
    assert render_page(report(past())) == render_page(report(past()))
    assert badge("m", state(past())) == badge("m", state(past()))


def test_it_runs_and_loads_nothing() -> None:
    rendered = render_page(report(past()))
    page = _Page(rendered)
    assert not {"script", "iframe", "link", "img", "object", "use", "image", "foreignobject"} & set(page.tags)
    assert "default-src 'none'; style-src 'sha256-" in rendered
    assert not page.attributes & {"style", "src", "srcdoc"}


def test_links_lead_to_known_sites_only() -> None:
    stranger = "https://evil.example/runs/1"
    known = past()
    known = replace(
        known,
        entries=tuple(replace(entry, url=stranger) for entry in known.entries),
        versions=tuple(replace(one, run_url=stranger, accepted_url=stranger, commit='"><script>') for one in known.versions),
    )
    links = _Page(render_page(report(known))).links
    assert links == ["https://github.com/acme/flights/actions/runs/42"]
    told = _Page(render_page(report(past()))).links
    assert "https://github.com/acme/flights/actions/runs/8" in told
    assert f"https://github.com/acme/flights/commit/{9:040x}" in told


def hostile(attack: str) -> Past:
    """A past in which everything that anybody can write says the same."""
    known = past(8)
    metric = attack or "m"
    records = tuple(
        replace(
            record,
            summary=attack,
            batch=replace(
                record.batch,
                drifted=(attack,),
                measured=tuple(replace(one, metric=metric) for one in record.batch.measured),
            ),
            promises=tuple(replace(one, metric=metric) for one in record.promises),
        )
        for record in known.records
        if record.batch
    )
    versions = tuple(
        replace(
            one,
            accepted=attack,
            accepted_url=attack,
            run_url=attack,
            commit=attack,
            verdict=attack,
            metrics=tuple(replace(verdict, metric=metric, reason=attack) for verdict in one.metrics),
            baseline=one.baseline and replace(one.baseline, label=attack),
        )
        for one in known.versions
    )
    entries = tuple(replace(entry, actor=attack, reason=attack, url=attack) for entry in known.entries)
    return Past(versions=versions, entries=entries, records=records, asked=(Asked(at=NOW, why=attack),))


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text(attack: str) -> None:
    rendered = render_page(report(hostile(attack)))
    page, harmless = _Page(rendered), _Page(render_page(report(hostile("accepted"))))
    # Where nobody accepted anything, a version that failed is a diamond.
    assert set(page.tags) <= {*harmless.tags, "polygon"}
    assert page.attributes <= harmless.attributes
    assert set(page.links) <= set(harmless.links)
    markdown.render(report(hostile(attack)))
    terminal.render(report(hostile(attack)))


def test_the_guide_shows_what_is_drawn() -> None:
    for name, content in pictures().items():
        assert (ROOT / "docs" / "images" / name).read_text(encoding="utf-8") == content, "run `python docs/history_pictures.py`"


# Badge ---------------------------------------------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"
STATES: tuple[State, ...] = ("healthy", "degraded", "in trouble", "rolled back", "unknown")


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("shown", STATES)
def test_a_badge_tells_version_and_state_in_a_colour_on_which_it_can_be_read(shown: State) -> None:
    root = ElementTree.fromstring(badge("flight-delay", Health(shown, "Why.", 7, "production")))
    assert [text.text for text in root.iter(f"{SVG}text")] == ["flight-delay", f"v7 live · {shown}"]
    assert root.findtext(f"{SVG}title") == f"flight-delay: v7 live · {shown}. Why."
    for rect in root.findall(f"{SVG}g/{SVG}rect"):
        assert 1.05 / (luminance(rect.get("fill", "")) + 0.05) >= 4.5


def test_states_have_colours_of_their_own() -> None:
    drawn = [ElementTree.fromstring(badge("m", Health(shown, "", 7))) for shown in STATES]
    assert len({root.findall(f"{SVG}g/{SVG}rect")[1].get("fill") for root in drawn}) == len(STATES)


def test_nothing_live_is_said() -> None:
    assert "not live · unknown" in badge("m", Health("unknown", "Nothing is live yet."))


@given(st.sampled_from(ATTACKS) | st.text(max_size=300), st.sampled_from(ATTACKS))
def test_a_badge_of_any_name_is_well_formed_and_its_text_fits(name: str, told: str) -> None:
    root = ElementTree.fromstring(badge(name, Health("healthy", told, 7)))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "title", "clipPath", "rect", "g", "text"}
    left, right = root.findall(f"{SVG}g/{SVG}rect")
    for plate, text in zip((left, right), root.iter(f"{SVG}text"), strict=True):
        start, end = float(plate.get("x", "")), float(plate.get("x", "")) + float(plate.get("width", ""))
        assert start < float(text.get("x", ""))
        assert float(text.get("x", "")) + float(text.get("textLength", "")) < end
    assert float(root.get("width", "")) == pytest.approx(float(right.get("x", "")) + float(right.get("width", "")), abs=0.2)
