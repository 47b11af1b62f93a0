"""Judging again after a word, on a GitHub that keeps state: who may start it, and that each word starts it once."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.event import Word
from modelship.github.client import Connection, GitHub
from modelship.github.rerun import LOOKS, Judging, Outcome, judge_again
from tests.e2e.git import Repository
from tests.e2e.github import BOT, DEVELOPER, STRANGER, PullRequest
from tests.e2e.github import GitHub as GitHubServer
from tests.e2e.workflow_runs import WorkflowRun, now
from tests.project import Project, Ran

REPOSITORY = "acme/flights"
GRANTED = {"actions": "write", "checks": "read", "pull-requests": "read"}
LABEL = "modelship-approved"
ACCEPT = "/accept-regression known, and fixed next week"
RERUN = r"/rerun-failed-jobs$"

_run_ids = itertools.count(1)
_branches = itertools.count(1)


class Beaten(GitHub):
    """A client that somebody else is always a moment ahead of."""

    def __init__(self, connection: Connection, ahead: Callable[[], None]) -> None:
        super().__init__(connection)
        self._ahead = ahead

    def rerun_failed_jobs(self, run_id: int) -> None:
        self._ahead()
        super().rerun_failed_jobs(run_id)


@dataclass
class Team:
    """A team's repository on GitHub, and one pull request in it."""

    server: GitHubServer
    repository: Repository
    pull: PullRequest
    pauses: list[float] = field(default_factory=list)

    @property
    def head(self) -> str:
        return self.repository.tip(self.pull.branch)

    def judged(
        self, conclusion: str = "failure", *, file: str = "model.yml", event: str = "pull_request", pull: int | None = None
    ) -> WorkflowRun:
        """A finished run on the head."""
        run = self.running(file=file, event=event, pull=pull)
        run.finish(conclusion)
        _let_time_pass()
        return run

    def running(self, *, file: str = "model.yml", event: str = "pull_request", pull: int | None = None) -> WorkflowRun:
        numbers = (self.pull.number if pull is None else pull,)
        return self.server.door.workflow_runs.begin(next(_run_ids), file, event, self.head, numbers)

    def comments(self, body: str = ACCEPT, author: str = DEVELOPER) -> Word:
        comment = self.server.comment(self.pull.number, body, author)
        _let_time_pass()
        return Word(self.pull.number, author, comment.author_type == "Bot", comment.created_at, comment=body)

    def labels(self, name: str = LABEL, author: str = DEVELOPER) -> Word:
        word = Word(self.pull.number, author, author.endswith("[bot]"), now(), label=name)
        _let_time_pass()
        return word

    def connection(self, permissions: Mapping[str, str] = GRANTED) -> Connection:
        return Connection(self.server.url, REPOSITORY, self.server.token(permissions))

    def hear(
        self,
        word: Word,
        *,
        workflow: str = "model.yml",
        permissions: Mapping[str, str] = GRANTED,
        meanwhile: Callable[[], None] = lambda: None,
        github: GitHub | None = None,
    ) -> Outcome:
        """Answer a word; `meanwhile` is what happens in each pause."""

        def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            meanwhile()

        return judge_again(github or GitHub(self.connection(permissions)), word, Judging(workflow, LABEL), sleep)


def _let_time_pass() -> None:
    time.sleep(0.005)  # The server's clock has milliseconds, GitHub's has seconds.


@pytest.fixture
def team(hosted: tuple[GitHubServer, Repository]) -> Team:
    """A pull request of the developer, who is an administrator, that no run has judged."""
    server, repository = hosted
    branch = f"accept-{next(_branches)}"
    repository.commit(branch, {f"{branch}.txt": "changed\n"}, "change")
    server.door.faults.clear()
    server.grant(STRANGER, "pull")
    return Team(server, repository, server.open_pull_request(branch, "Change"))


# Who may -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "starts"), [("pull", False), ("triage", False), ("push", True), ("maintain", True), ("admin", True)])
def test_the_role_in_the_repository_decides_whose_comment_starts_the_run(team: Team, role: str, starts: bool) -> None:
    team.server.grant(STRANGER, role)
    run = team.judged()
    outcome = team.hear(team.comments(author=STRANGER))
    assert (run.attempt, run.status) == ((2, "queued") if starts else (1, "completed"))
    assert bool(outcome.run_url) is starts


def test_somebody_without_a_role_starts_nothing(team: Team) -> None:
    team.server.revoke(STRANGER)
    run = team.judged()
    assert "has `none` here" in team.hear(team.comments(author=STRANGER)).sentence
    assert run.attempt == 1


@pytest.mark.parametrize(
    "body", ["Nice!", "Please /accept-regression now", "/accept-regressions", "\n/accept-regression first line", ""]
)
def test_another_comment_starts_nothing(team: Team, body: str) -> None:
    run = team.judged()
    word = Word(team.pull.number, DEVELOPER, False, now(), comment=body)
    assert team.hear(word).run_url == ""
    assert run.attempt == 1


def test_a_comment_without_a_reason_is_for_the_gate_to_refuse(team: Team) -> None:
    run = team.judged()
    team.hear(team.comments("/accept-regression"))
    assert run.attempt == 2


def test_a_bot_starts_nothing(team: Team) -> None:
    run = team.judged()
    assert team.hear(Word(team.pull.number, BOT, True, now(), comment=ACCEPT)).run_url == ""
    assert team.hear(team.labels(author=BOT)).run_url == ""
    assert run.attempt == 1


@pytest.mark.parametrize(("name", "attempt"), [(LABEL, 2), ("Modelship-Approved", 2), ("bug", 1), ("", 1)])
def test_the_label_that_approves_starts_the_run(team: Team, name: str, attempt: int) -> None:
    run = team.judged()
    team.hear(team.labels(name))
    assert run.attempt == attempt


# Once ----------------------------------------------------------------------------------------------------------------------------


def test_one_word_starts_the_run_once_however_often_it_is_answered(team: Team) -> None:
    run, word = team.judged(), team.comments()
    url = team.hear(word).run_url
    assert team.hear(word).run_url == url
    run.finish("failure")
    assert team.hear(word).run_url == url
    assert (run.attempt, run.status) == (2, "completed")

    _let_time_pass()
    team.hear(team.comments())
    assert run.attempt == 3


def test_two_words_before_one_attempt_share_it(team: Team) -> None:
    run, comment, label = team.judged(), team.comments(), team.labels()
    assert team.hear(comment).run_url == team.hear(label).run_url != ""
    assert run.attempt == 2


@pytest.mark.parametrize("status", [500, 502])
def test_an_answer_that_was_lost_does_not_start_the_run_twice(team: Team, status: int) -> None:
    run = team.judged()
    team.server.door.break_next("POST", RERUN, status, after_the_work=True)
    assert team.hear(team.comments()).run_url
    assert run.attempt == 2


def test_a_short_outage_is_waited_for(team: Team) -> None:
    run = team.judged()
    team.server.door.break_next("POST", RERUN, 503, times=2)
    team.hear(team.comments())
    assert run.attempt == 2


def test_a_word_while_the_run_goes_on_is_heard_after_it(team: Team) -> None:
    run = team.running()
    _let_time_pass()
    team.hear(team.comments(), meanwhile=lambda: run.finish("failure"))
    assert (run.attempt, run.status) == (2, "queued")
    assert len(team.pauses) == 1


def test_a_word_while_the_run_goes_on_needs_nothing_if_that_passes(team: Team) -> None:
    run = team.running()
    _let_time_pass()
    assert team.hear(team.comments(), meanwhile=lambda: run.finish("success")).run_url == ""
    assert run.attempt == 1


def test_who_is_a_moment_late_lets_the_other_attempt_hear_it(team: Team) -> None:
    run, word = team.judged(), team.comments()
    assert team.hear(word, github=Beaten(team.connection(), run.start_again)).run_url
    assert run.attempt == 2


def test_a_run_without_end_is_waited_for_with_an_end(team: Team) -> None:
    run = team.running()
    _let_time_pass()
    with pytest.raises(BadInput, match="was still running"):
        team.hear(team.comments())
    assert (len(team.pauses), run.attempt) == (LOOKS - 1, 1)


# Which run -----------------------------------------------------------------------------------------------------------------------


def test_the_newest_run_of_the_workflow_on_the_head_is_started(team: Team) -> None:
    stale = team.judged()
    team.repository.commit(team.pull.branch, {}, "one more")
    others = [stale, team.judged(), team.judged(file="tests.yml"), team.judged(event="push"), team.judged(pull=9999)]
    newest = team.judged()
    others += [team.judged(file="tests.yml"), team.judged(event="push"), team.judged(pull=9999)]
    team.hear(team.comments())
    assert newest.attempt == 2
    assert [run.attempt for run in others] == [1] * len(others)


def test_a_run_for_a_fork_does_not_name_its_pull_request(team: Team) -> None:
    run = team.server.door.workflow_runs.begin(next(_run_ids), "model.yml", "pull_request", team.head)
    run.finish("failure")
    _let_time_pass()
    team.hear(team.comments())
    assert run.attempt == 2


@pytest.mark.parametrize("conclusion", ["success", "cancelled", "skipped"])
def test_only_a_failure_is_judged_again(team: Team, conclusion: str) -> None:
    run = team.judged(conclusion)
    outcome = team.hear(team.comments())
    assert f"ended with `{conclusion}`" in outcome.sentence
    assert run.attempt == 1


def test_a_head_without_a_run_has_nothing_to_judge_again(team: Team) -> None:
    run = team.judged()
    team.repository.commit(team.pull.branch, {}, "one more")
    assert "There is no run" in team.hear(team.comments()).sentence
    assert run.attempt == 1


# Forks ---------------------------------------------------------------------------------------------------------------------------


@dataclass
class Fork:
    """A pull request from a fork. Its own run has ended well: it judges nothing."""

    team: Team
    pull: PullRequest
    trained: WorkflowRun

    @property
    def head(self) -> str:
        return self.team.repository.head(self.pull.number, self.pull.branch)

    def judged(
        self, conclusion: str = "failure", *, event: str = "workflow_run", name: str = "flight-delay", id: str = ""
    ) -> WorkflowRun:
        """A run that is over, and the check that leads to it."""
        runs = self.team.server.door.workflow_runs
        run = runs.begin(next(_run_ids), "model-comment.yml", event, self.team.repository.tip("main"))
        run.finish("success")
        body = {
            "name": f"modelship: {name}", "external_id": id or name, "head_sha": self.head, "status": "completed",
            "conclusion": conclusion, "details_url": f"https://github.com/{REPOSITORY}/actions/runs/{run.id}",
        }  # fmt: skip
        token = self.team.server.token({"checks": "write"})
        self.team.server.call("POST", f"/repos/{REPOSITORY}/check-runs", body, bearer=token)
        _let_time_pass()
        return run

    def hear(self, body: str = "/judge-again", author: str = DEVELOPER) -> Outcome:
        comment = self.team.server.comment(self.pull.number, body, author)
        _let_time_pass()
        return self.team.hear(Word(self.pull.number, author, False, comment.created_at, comment=body))


@pytest.fixture
def fork(team: Team) -> Fork:
    branch = f"fork-{next(_branches)}"
    pull = team.server.open_fork_pull_request(branch, "From afar")
    head = team.repository.propose(pull.number, pull.fork, branch, {"afar.txt": "x"}, "change")
    trained = team.server.door.workflow_runs.begin(next(_run_ids), "model.yml", "pull_request", head)
    trained.finish("success")
    return Fork(team, pull, trained)


@pytest.mark.parametrize("body", ["/judge-again", "/judge-again \r\nplease", ACCEPT])
def test_what_has_judged_a_fork_s_commit_is_started_again_once(fork: Fork, body: str) -> None:
    run = fork.judged()
    assert fork.hear(body).run_url
    assert (run.attempt, run.status) == (2, "queued")
    run.finish("success")
    assert fork.trained.attempt == 1


def test_every_model_s_run_that_said_no_is_started_again(fork: Fork) -> None:
    first, passed, second = fork.judged(), fork.judged("success", name="arrival"), fork.judged(name="departure")
    fork.hear()
    assert [run.attempt for run in (first, passed, second)] == [2, 1, 2]


def test_a_check_that_a_fork_s_own_job_left_starts_nothing(fork: Fork) -> None:
    """A job may be called like the check, and its run belongs to the fork; or another app's check leads to some run."""
    others = [fork.judged(event="pull_request"), fork.judged(event="push"), fork.judged(id="0b9d1f9e-job")]
    assert fork.hear().run_url == ""
    assert [run.attempt for run in (*others, fork.trained)] == [1, 1, 1, 1]


def test_a_fork_that_its_own_run_judges_has_the_failed_jobs_started(fork: Fork) -> None:
    fork.trained.finish("failure")
    fork.hear()
    assert fork.trained.attempt == 2


@pytest.mark.parametrize("body", ["/judge-againnow", "Please /judge-again", "/judge again"])
def test_only_the_command_asks_for_another_judgement(fork: Fork, body: str) -> None:
    run = fork.judged()
    assert fork.hear(body).run_url == ""
    assert run.attempt == 1


def test_a_stranger_has_nothing_judged_again(fork: Fork) -> None:
    run = fork.judged()
    assert fork.hear(author=STRANGER).run_url == ""
    assert run.attempt == 1


# What goes wrong -----------------------------------------------------------------------------------------------------------------


def test_a_workflow_that_does_not_exist_is_named(team: Team) -> None:
    team.judged()
    with pytest.raises(BadInput, match=r"no workflow `modle\.yml`"):
        team.hear(team.comments(), workflow="modle.yml")


@pytest.mark.parametrize("permissions", [{"pull-requests": "read"}, {"actions": "read", "pull-requests": "read"}])
def test_a_missing_right_is_named(team: Team, permissions: dict[str, str]) -> None:
    run = team.judged()
    with pytest.raises(BadInput, match="actions: write"):
        team.hear(team.comments(), permissions=permissions)
    assert run.attempt == 1


@pytest.mark.parametrize("path", [r"/permission$", r"/pulls/\d+$", r"/runs$", RERUN])
def test_without_an_answer_nothing_is_started_and_the_job_fails(team: Team, path: str) -> None:
    run = team.judged()
    for method in ("GET", "POST"):
        team.server.door.break_next(method, path, 502, times=99)
    with pytest.raises(InfrastructureError):
        team.hear(team.comments())
    assert run.attempt == 1


# The command ---------------------------------------------------------------------------------------------------------------------


def _run(team: Team, folder: Path, payload: object) -> Ran:
    """Run the command for an event `issue_comment`."""
    event, work = folder / "event.json", folder / "work"
    event.write_text(json.dumps(payload))
    work.mkdir()
    environment = {
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_EVENT_NAME": "issue_comment",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_API_URL": team.server.url,
        "MODELSHIP_ACCEPT_GITHUB_TOKEN": team.server.token(GRANTED),
    }
    return Project(work, environment).run("accept")


def test_the_command_hears_the_comment_of_its_event(team: Team, tmp_path: Path) -> None:
    run, word = team.judged(), team.comments()
    payload = {
        "action": "created",
        "issue": {"number": team.pull.number, "pull_request": {"url": "https://api.github.com"}},
        "comment": {"body": f"{ACCEPT}\r\n::set-output name=x::y", "created_at": word.said_at, "user": {"login": DEVELOPER}},
    }
    ran = _run(team, tmp_path, payload)
    assert ran.exit_code == 0, ran.log
    assert ran.outputs == {"run-url": f"https://github.com/runs/{run.id}"}
    assert run.attempt == 2


def test_the_command_refuses_another_event(team: Team, tmp_path: Path) -> None:
    payload = {"action": "created", "issue": {"number": 1}, "comment": {"body": ACCEPT, "user": {"login": DEVELOPER}}}
    ran = _run(team, tmp_path, payload)
    assert ran.exit_code == 2
    assert "neither a comment on a pull request nor a label" in ran.log
