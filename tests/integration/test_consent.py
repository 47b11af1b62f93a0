"""Labels and `/accept-regression` on a GitHub that keeps state: comments, checks, roles, pushes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from modelship.github.client import Connection, GitHub
from modelship.github.consent import Consent, Matter, find_consent
from modelship.github.publish import Destination, publish
from modelship.reporting.report import Facts, build_report
from tests.e2e.git import Repository
from tests.e2e.github import BOT, DEVELOPER, STRANGER, PullRequest
from tests.e2e.github import GitHub as GitHubServer
from tests.unit.test_reporting_scenarios import bad

REPOSITORY = "acme/flights"
READS = {"contents": "read", "pull-requests": "read", "checks": "read"}
LABEL = "modelship-approved"
ACCEPT = "/accept-regression known, and fixed next week"


@dataclass
class Team:
    """A team's repository on GitHub, and one pull request in it."""

    server: GitHubServer
    repository: Repository
    pull: PullRequest

    @property
    def head(self) -> str:
        return self.repository.tip(self.pull.branch)

    def judge(self) -> None:
        """Publish a failing verdict on the head, as every run of the workflow does."""
        github = GitHub(Connection(self.server.url, REPOSITORY, self.server.token({"checks": "write", "pull-requests": "write"})))
        report = build_report("flight-delay", bad(), Facts(head=self.head, in_pull_request=True))
        publish(report, github, Destination(self.head, self.pull.number), lambda _: None)
        time.sleep(0.005)  # The server's clock has milliseconds, GitHub's has seconds.

    def push(self) -> None:
        self.repository.commit(self.pull.branch, {}, "one more")

    def say(self, body: str = ACCEPT, author: str = DEVELOPER) -> int:
        return self.server.comment(self.pull.number, body, author).id

    def consent(
        self, *, label: str | None = None, accept: str = "maintain", head: str | None = None, permissions: Mapping[str, str] = READS
    ) -> Consent:
        github = GitHub(Connection(self.server.url, REPOSITORY, self.server.token(permissions)))
        matter = Matter(self.pull.number, head or self.head, "flight-delay")
        return find_consent(github, matter, label=label, accept=accept, sleep=lambda _: None)


_branches = itertools.count(1)


@pytest.fixture
def team(hosted: tuple[GitHubServer, Repository]) -> Team:
    """A pull request of the developer, who is an administrator, that nobody has judged or commented on."""
    server, repository = hosted
    branch = f"consent-{next(_branches)}"
    repository.commit(branch, {f"{branch}.txt": "changed\n"}, "change")
    server.door.faults.clear()
    server.door.requests.clear()
    server.grant(STRANGER, "pull")
    return Team(server, repository, server.open_pull_request(branch, "Change"))


def test_an_acceptance_counts_for_the_commit_that_was_judged_and_ends_with_the_next(team: Team) -> None:
    team.judge()
    team.say()

    found = team.consent()

    assert found.acceptance is not None
    assert (found.acceptance.by, found.acceptance.commit) == (DEVELOPER, team.head)
    assert found.acceptance.reason == "known, and fixed next week"
    assert found.acceptance.url.endswith(f"#issuecomment-{team.server.comments(team.pull.number)[-1].id}")
    assert found.notices == (f"`{DEVELOPER}` accepted the regression of their own pull request.",)

    team.judge()  # The job runs again: the verdict is published anew, on the same commit.
    assert team.consent().acceptance == found.acceptance

    team.push()
    team.judge()
    expired = team.consent()
    assert expired.acceptance is None
    assert f"older than the verdict on {team.head[:7]}" in expired.notices[0]


def test_in_a_merge_queue_the_word_on_the_pull_request_s_own_commit_counts(team: Team) -> None:
    """Nobody can speak of the queue's commit: the matter names none."""

    def queued() -> Consent:
        github = GitHub(Connection(team.server.url, REPOSITORY, team.server.token(READS)))
        return find_consent(github, Matter(team.pull.number, "", "flight-delay"), label=LABEL, accept="maintain", sleep=lambda _: None)

    team.judge()
    assert (queued().acceptance, queued().labelled_by) == (None, None)
    team.say()
    team.server.set_label(team.pull.number, LABEL)
    found = queued()
    assert found.acceptance is not None
    assert (found.acceptance.by, found.acceptance.commit, found.labelled_by) == (DEVELOPER, team.head, DEVELOPER)
    team.push()
    team.judge()
    assert (queued().acceptance, queued().labelled_by) == (None, None)


def test_a_comment_before_the_verdict_does_not_count(team: Team) -> None:
    team.say()
    assert team.consent().acceptance is None
    team.judge()
    assert team.consent().acceptance is None


@pytest.mark.parametrize(
    ("role", "least", "accepted"),
    [
        ("pull", "write", False),
        ("triage", "write", False),
        ("push", "write", True),
        ("push", "maintain", False),
        ("maintain", "maintain", True),
        ("maintain", "admin", False),
        ("admin", "admin", True),
    ],
)
def test_the_role_in_the_repository_decides(team: Team, role: str, least: str, accepted: bool) -> None:
    team.server.grant(STRANGER, role)
    team.judge()
    team.say(author=STRANGER)
    found = team.consent(accept=least)
    assert (found.acceptance is not None) is accepted
    if not accepted:
        assert f"`{least}` is needed" in found.notices[0]


def test_a_role_that_was_taken_away_counts_no_more(team: Team) -> None:
    team.server.grant(STRANGER, "maintain")
    team.judge()
    team.say(author=STRANGER)
    assert team.consent().acceptance is not None
    team.server.revoke(STRANGER)
    found = team.consent()
    assert found.acceptance is None
    assert "they have `none` here" in found.notices[0]


def test_an_edited_comment_does_not_count(team: Team) -> None:
    team.judge()
    number = team.say("/accept-regression not yet decided")
    time.sleep(0.005)
    team.server.call("PATCH", f"/repos/{REPOSITORY}/issues/comments/{number}", {"body": ACCEPT})
    found = team.consent()
    assert found.acceptance is None
    assert "was edited" in found.notices[0]


def test_a_bot_accepts_nothing(team: Team) -> None:
    team.judge()
    token = team.server.token({"pull-requests": "write"})
    team.server.call("POST", f"/repos/{REPOSITORY}/issues/{team.pull.number}/comments", {"body": ACCEPT}, bearer=token)
    assert team.server.comments(team.pull.number)[-1].author == BOT
    assert team.consent() == Consent()


def test_an_acceptance_is_found_behind_a_hundred_comments(team: Team) -> None:
    team.judge()
    team.say()
    for number in range(101):
        team.say(f"comment {number}", STRANGER)
    assert team.consent().acceptance is not None


def test_nothing_is_asked_where_nobody_may_accept(team: Team) -> None:
    team.judge()
    team.say()
    team.server.door.requests.clear()
    assert team.consent(accept="never") == Consent()
    assert [request.path for request in team.server.door.requests if request.path.startswith("/repos/")] == []


def test_a_label_counts_after_the_verdict_and_not_after_the_next_push(team: Team) -> None:
    team.judge()
    assert team.consent(label=LABEL, accept="never") == Consent()

    team.server.set_label(team.pull.number, LABEL)
    assert team.consent(label=LABEL, accept="never") == Consent(DEVELOPER)

    team.push()
    team.judge()
    stale = team.consent(label=LABEL, accept="never")
    assert stale.labelled_by is None
    assert "set it again" in stale.notices[0]

    team.server.take_label_off(team.pull.number, LABEL)
    assert team.consent(label=LABEL, accept="never") == Consent()
    team.server.set_label(team.pull.number, LABEL)
    assert team.consent(label=LABEL, accept="never") == Consent(DEVELOPER)


def test_label_and_acceptance_are_found_together(team: Team) -> None:
    team.judge()
    team.server.set_label(team.pull.number, LABEL)
    team.say()
    found = team.consent(label=LABEL)
    assert found.labelled_by == DEVELOPER
    assert found.acceptance is not None


def test_an_old_commit_gets_nobody_s_word(team: Team) -> None:
    old = team.head
    team.judge()
    team.say()
    team.push()
    found = team.consent(head=old)
    assert found.acceptance is None
    assert "has moved on" in found.notices[0]


@pytest.mark.parametrize("path", [r"/pulls/\d+$", r"/timeline$", r"/check-runs$", r"/comments$", r"/permission$"])
@pytest.mark.parametrize("status", [403, 502])
def test_what_cannot_be_looked_up_is_not_given_and_is_said(team: Team, path: str, status: int) -> None:
    team.judge()
    team.server.set_label(team.pull.number, LABEL)
    team.say()
    team.server.door.break_next("GET", path, status, times=99)
    found = team.consent(label=LABEL)
    assert (found.labelled_by, found.acceptance) == (None, None)
    assert "could not be looked up" in found.notices[0]
    assert str(status) in found.notices[0]


def test_a_short_outage_is_waited_for(team: Team) -> None:
    team.judge()
    team.say()
    team.server.door.break_next("GET", r"/permission$", 503, times=2)
    assert team.consent().acceptance is not None


def test_another_model_s_verdict_does_not_open_the_door(team: Team) -> None:
    """Two models are judged on one commit: a word on the one is none on the other before that has its verdict."""
    team.judge()
    team.say()
    github = GitHub(Connection(team.server.url, REPOSITORY, team.server.token(READS)))
    found = find_consent(github, Matter(team.pull.number, team.head, "arrival-delay"), label=None, accept="maintain")
    assert found.acceptance is None
