"""Whose word counts, and for which commit: labels and `/accept-regression`, as GitHub tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.records import Acceptance
from modelship.github.client import CheckRun, Comment, PullRequest, TimelineEvent
from modelship.github.consent import (
    LONGEST_REASON,
    Matter,
    find_acceptance,
    find_attempts,
    find_label,
    speaks_since,
    without_token,
)

HEAD = "a1b2c3d" + "0" * 33
MATTER = Matter(7, HEAD, "flights")
VERDICT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BEFORE, AT, AFTER, LATER = (f"2026-03-04T{time}Z" for time in ("11:59:59", "12:00:00", "12:00:01", "12:00:02"))
REASON = "known, fixed next week"
PULL = PullRequest(7, HEAD, "dana", frozenset({"bug", "modelship-approved"}))
PERMISSIONS = {"alice": "maintain", "root": "admin", "dana": "write", "tom": "triage", "rita": "read", "mallory": "none"}


def comment(body: str = f"/accept-regression {REASON}", author: str = "alice", created: str = AFTER, edited: str = "") -> Comment:
    return Comment(1, author, body, "https://github.com/x#1", author.endswith("[bot]"), created, edited or created)


def ask(*comments: Comment, since: datetime | None = VERDICT, least: str = "maintain") -> tuple[Acceptance | None, list[str]]:
    return find_acceptance(find_attempts(comments), MATTER, PULL, since, least, PERMISSIONS.__getitem__)


def test_a_maintainer_s_comment_after_the_verdict_is_an_acceptance() -> None:
    accepted = Acceptance(by="alice", reason=REASON, url="https://github.com/x#1", commit=HEAD)
    assert ask(comment()) == (accepted, [])


@pytest.mark.parametrize(
    "body",
    [
        f"/accept-regression {REASON}",
        f"/accept-regression \t {REASON}  ",
        f"/accept-regression {REASON}\r\nand more that nobody asked for",
        f"/accept-regression {REASON}\n> quoted",
    ],
)
def test_the_reason_is_the_rest_of_the_first_line(body: str) -> None:
    accepted, _ = ask(comment(body))
    assert accepted is not None
    assert accepted.reason == REASON


@pytest.mark.parametrize(
    "body",
    [
        "",
        f" /accept-regression {REASON}",
        f"> /accept-regression {REASON}",
        f"please\n/accept-regression {REASON}",
        f"`/accept-regression {REASON}`",
        f"/accept-regressions {REASON}",
        f"/accept-regression-of {REASON}",
        f"/Accept-Regression {REASON}",
    ],
)
def test_another_comment_is_no_attempt(body: str) -> None:
    assert ask(comment(body)) == (None, [])


@pytest.mark.parametrize(
    "body", ["/accept-regression", "/accept-regression fine", "/accept-regression   fine     ", "/accept-regression\n" + REASON]
)
def test_without_a_reason_nothing_is_accepted(body: str) -> None:
    told = "`alice` asked to accept the regression: a reason of at least 10 characters is needed on the same line."
    assert ask(comment(body)) == (None, [told])


def test_a_long_reason_is_cut() -> None:
    accepted, _ = ask(comment("/accept-regression " + "x" * 60_000))
    assert accepted is not None
    assert len(accepted.reason) == LONGEST_REASON
    assert accepted.reason.endswith("x…")


@pytest.mark.parametrize("created", [BEFORE, AT, "", "yesterday", "2026-03-04T12:00:01"])
def test_a_comment_that_is_not_younger_than_the_verdict_does_not_count(created: str) -> None:
    told = "`alice` asked to accept the regression: the comment is older than the verdict on a1b2c3d, and cannot speak of it."
    assert ask(comment(created=created)) == (None, [told])


def test_before_there_is_a_verdict_nothing_counts() -> None:
    accepted, told = ask(comment(), since=None)
    assert accepted is None
    assert len(told) == 1


def test_an_edited_comment_does_not_count() -> None:
    told = "`alice` asked to accept the regression: the comment was edited, so a new one is needed."
    assert ask(comment(edited=LATER)) == (None, [told])


@pytest.mark.parametrize("least", ["write", "maintain", "admin"])
@pytest.mark.parametrize("author", PERMISSIONS)
def test_the_role_must_reach_what_the_team_asks_for(author: str, least: str) -> None:
    ladder = ["none", "read", "triage", "write", "maintain", "admin"]
    accepted, told = ask(comment(author=author), least=least)
    if ladder.index(PERMISSIONS[author]) >= ladder.index(least):
        assert accepted is not None
        assert accepted.by == author
    else:
        refusal = f"they have `{PERMISSIONS[author]}` here, and `{least}` is needed"
        assert (accepted, told) == (None, [f"`{author}` asked to accept the regression: {refusal}."])


def test_the_author_may_accept_and_it_is_said() -> None:
    accepted, told = ask(comment(author="dana"), least="write")
    assert accepted is not None
    assert told == ["`dana` accepted the regression of their own pull request."]


@pytest.mark.parametrize("author", ["helper[bot]", ""])
def test_neither_a_bot_nor_a_deleted_user_is_asked_about(author: str) -> None:
    assert ask(comment(author=author)) == (None, [])


def test_of_several_the_latest_that_counts_is_taken() -> None:
    accepted, told = ask(
        comment(f"/accept-regression {REASON} 1"),
        comment(f"/accept-regression {REASON} 2", created=LATER),
        comment(author="mallory", created=LATER),
    )
    assert accepted is not None
    assert accepted.reason == f"{REASON} 2"
    assert told == []


def test_a_crowd_is_neither_told_nor_looked_up_one_by_one() -> None:
    asked: list[str] = []

    def permission(login: str) -> str:
        asked.append(login)
        return "read"

    crowd = [comment(author=f"user{number}") for number in range(500)]
    accepted, told = find_acceptance(find_attempts([*crowd, *crowd]), MATTER, PULL, VERDICT, "maintain", permission)
    assert accepted is None
    assert len(told) == 3
    assert asked == [f"user{number}" for number in range(499, 479, -1)]


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(sorted(PERMISSIONS)), st.sampled_from([BEFORE, AT, AFTER]), st.booleans())
def test_no_text_makes_up_for_what_is_missing(text: str, author: str, created: str, edited: bool) -> None:
    """Whatever is written, an acceptance comes from somebody who may, after the verdict, unedited, with a reason on one line."""
    accepted, _ = ask(comment(f"/accept-regression {text}", author, created, LATER if edited else ""))
    if accepted is not None:
        assert PERMISSIONS[author] in ("maintain", "admin")
        assert created == AFTER
        assert not edited
        assert len(accepted.reason) >= 10
        assert not {"\n", "\r"} & set(accepted.reason)


# Since when


def run(started: str = "", completed: str = "") -> CheckRun:
    return CheckRun(1, "flights", "", started, completed)


def event(kind: str, created: str = AFTER, actor: str = "alice", label: str = "") -> TimelineEvent:
    return TimelineEvent(kind, actor, actor.endswith("[bot]"), created, label)


@pytest.mark.parametrize(
    ("runs", "events", "since"),
    [
        ([], [], None),
        ([run()], [], None),
        ([run(completed=AT)], [], AT),
        ([run(started=AT, completed=LATER)], [], AT),  # A later run of the job completes it anew.
        ([run(started=LATER), run(started=AT)], [], AT),
        ([run(started=AT)], [event("head_ref_force_pushed", BEFORE)], AT),
        ([run(started=AT)], [event("head_ref_force_pushed", AFTER)], AFTER),
        ([run(started=AT)], [event("base_ref_changed", AFTER)], AFTER),
        ([run(started=AT)], [event("labeled", LATER)], AT),
        ([run(started=AT)], [event("head_ref_force_pushed", "")], None),
    ],
)
def test_people_can_speak_from_the_first_verdict_on(runs: list[CheckRun], events: list[TimelineEvent], since: str | None) -> None:
    assert speaks_since(runs, events) == (datetime.fromisoformat(since) if since else None)


# The label

LABEL = "modelship-approved"


def label_of(events: Iterable[TimelineEvent], pull: PullRequest = PULL, since: datetime | None = VERDICT) -> tuple[str | None, str]:
    return find_label(LABEL, pull, events, since)


def test_a_label_that_was_set_after_the_verdict_counts() -> None:
    assert label_of([event("labeled", BEFORE, "bob", LABEL), event("unlabeled", AT), event("labeled", AFTER, "alice", LABEL)]) == (
        "alice",
        "",
    )


def test_a_label_that_is_not_there_any_more_does_not_count() -> None:
    """A label that was deleted in the repository leaves no event behind."""
    assert label_of([event("labeled", AFTER, "alice", LABEL)], replace(PULL, labels=frozenset({"bug"}))) == (None, "")


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([event("labeled", BEFORE, "alice", LABEL)], "before there was a verdict on this commit"),
        ([event("labeled", AT, "alice", LABEL)], "before there was a verdict on this commit"),
        ([event("labeled", "", "alice", LABEL)], "before there was a verdict on this commit"),
        ([event("labeled", AFTER, "labeler[bot]", LABEL)], "`labeler[bot]` set it"),
        ([event("labeled", AFTER, "", LABEL)], "`a deleted user` set it"),
        ([event("labeled", AFTER, "alice", "bug")], "GitHub does not tell who set it"),
        ([], "GitHub does not tell who set it"),
    ],
)
def test_a_label_that_does_not_count_says_why(events: list[TimelineEvent], says: str) -> None:
    by, notice = label_of(events)
    assert by is None
    assert says in notice


def test_before_there_is_a_verdict_no_label_counts() -> None:
    by, notice = label_of([event("labeled", AFTER, "alice", LABEL)], since=None)
    assert by is None
    assert notice


def test_names_of_labels_do_not_differ_by_case() -> None:
    pull = replace(PULL, labels=frozenset({"Modelship-Approved"}))
    assert label_of([event("labeled", AFTER, "alice", "Modelship-Approved")], pull) == ("alice", "")


@pytest.mark.parametrize(("label", "says"), [(LABEL, f"label `{LABEL}`"), (None, "`/accept-regression`")])
def test_without_a_token_nothing_counts_and_it_is_said(label: str | None, says: str) -> None:
    consent = without_token(label)
    assert (consent.labelled_by, consent.acceptance) == (None, None)
    assert says in consent.notices[0]
