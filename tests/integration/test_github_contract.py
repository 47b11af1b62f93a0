"""What we ask of GitHub, and what we take for an answer, beside GitHub's own description of its API."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from modelship.core.event import Word
from modelship.github.client import CheckResult, Connection, GitHub
from modelship.github.consent import Matter, find_consent
from modelship.github.rerun import Judging, judge_again
from tests.commenting import REPOSITORY, Team
from tests.e2e.github import BOT
from tests.openapi import Description
from tests.project import ROOT
from tests.unit.test_reporting_scenarios import bad, good

SHA = "a" * 40
RESULT = CheckResult("modelship: m", "m", "failure", "m: worse", "# worse", "https://github.com/acme/flights/actions/runs/1")
CALLS: Mapping[str, Callable[[GitHub], object]] = {
    "login": lambda github: github.login(),
    "pull_request_head": lambda github: github.pull_request_head(7),
    "pull_request": lambda github: github.pull_request(7),
    "timeline": lambda github: list(github.timeline(7)),
    "permission": lambda github: github.permission("dana"),
    "comments": lambda github: list(github.comments(7)),
    "create_comment": lambda github: github.create_comment(7, "x"),
    "edit_comment": lambda github: github.edit_comment(8, "x"),
    "delete_comment": lambda github: github.delete_comment(8),
    "check_runs": lambda github: list(github.check_runs(SHA, "modelship: m")),
    "create_check_run": lambda github: github.create_check_run(SHA, RESULT),
    "update_check_run": lambda github: github.update_check_run(9, RESULT),
    "workflow_runs": lambda github: list(github.workflow_runs("model.yml", SHA)),
    "rerun_failed_jobs": lambda github: github.rerun_failed_jobs(10),
    "merged_pull_request": lambda github: github.merged_pull_request(SHA),
    "proposals": lambda github: list(github.proposals("stranger", "feature")),
    "artifacts": lambda github: list(github.artifacts(10)),
    "all_check_runs": lambda github: list(github.all_check_runs(SHA)),
    "workflow_run": lambda github: github.workflow_run(10),
    "rerun": lambda github: github.rerun(10),
    "default_branch": lambda github: github.default_branch(),
    "dispatch": lambda github: github.dispatch("release.yml", "main", {"reason": "drift"}),
    "dispatched_runs": lambda github: list(github.dispatched_runs("release.yml", "2000-01-01T00:00:00Z")),
    "issues": lambda github: list(github.issues("github-actions[bot]")),
    "create_issue": lambda github: github.create_issue("t", "x"),
    "edit_issue": lambda github: github.edit_issue(7, "t", "x", is_open=False),
}
DOWNLOAD = "download_artifact"
"""Its answer is an address elsewhere, and what that answers is no JSON: test_fork_evidence.py follows it."""


@pytest.fixture(scope="module", params=["api.github.com", "ghes-3.17", "ghes-3.19"])
def description(request: pytest.FixtureRequest) -> Description:
    return Description(ROOT, request.param)


@contextmanager
def answering(answer: Callable[[str, str], tuple[int, Any]]) -> Iterator[tuple[GitHub, list[tuple[str, str, str]]]]:
    """A client of a server that answers what it is told to, and the requests that came: method, target, body."""
    asked: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked.append((self.command, self.path, body))
            status, content = answer(self.command, self.path)
            raw = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield GitHub(Connection(f"http://127.0.0.1:{server.server_port}", REPOSITORY, "token")), asked
    finally:
        server.shutdown()
        server.server_close()


def test_every_call_of_the_client_is_among_these() -> None:
    assert {*CALLS, DOWNLOAD} == {name for name, one in vars(GitHub).items() if callable(one) and not name.startswith("_")}


@pytest.mark.parametrize("call", CALLS)
def test_the_client_asks_what_github_knows_and_takes_what_it_answers(description: Description, call: str) -> None:
    found: list[str] = []
    with answering(lambda method, target: (404, {"message": "Not Found"})) as (github, asked):
        try:
            CALLS[call](github)
        except Exception:
            found.append("refused")
    method, target, body = asked[0]
    assert found == ["refused"] or call == "permission"
    assert description.problems_of_request(method, target, body) == []
    answers = list(description.answers(method, target))
    assert answers
    for name, status, content in answers:
        if content is not None:
            # The description itself is at odds with its values that may be null, and with its alternatives.
            problems = description.problems_of_answer(method, target, status, content)
            assert name != "the least" or not [one for one in problems if "required property" in one or "is not of type" in one]
        with answering(lambda *_, status=status, content=content: (status, content)) as (github, asked):
            told = CALLS[call](github)
        assert len(asked) == 1, name
        listed = content if isinstance(content, list) else next((v for v in (content or {}).values() if isinstance(v, list)), None)
        assert not isinstance(told, list) or listed is None or len(told) == len(listed), name


COMMENT = {"id", "body", "html_url", "user.login", "user.type", "created_at"}
CHECK_RUN = {"id", "external_id", "html_url", "started_at", "completed_at"}
RUN = {"id", "run_number", "run_attempt", "run_started_at", "status", "conclusion", "html_url", "created_at", "actor.login"}
ISSUE = {"number", "user.login", "title", "body", "state", "html_url"}
LEANED_ON = {
    "/user": {"login"},
    "/repos/{owner}/{repo}/pulls/{pull_number}": {"number", "head.sha", "user.login", "labels"},
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": COMMENT | {"updated_at"},
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": COMMENT,
    "/repos/{owner}/{repo}/commits/{ref}/check-runs": CHECK_RUN | {"output.summary"},
    "/repos/{owner}/{repo}/check-runs": CHECK_RUN,
    "/repos/{owner}/{repo}/check-runs/{check_run_id}": CHECK_RUN,
    "/repos/{owner}/{repo}/collaborators/{username}/permission": {"permission", "role_name"},
    "/repos/{owner}/{repo}/issues/{issue_number}/timeline": {"event", "actor.login", "actor.type", "created_at", "label.name"},
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs": RUN,
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches": set(),
    "/repos/{owner}/{repo}": {"default_branch"},
    "/repos/{owner}/{repo}/issues": ISSUE,
    "/repos/{owner}/{repo}/issues/{issue_number}": ISSUE,
}


def test_what_the_tests_hold_for_github_answers_as_github_does(team: Team) -> None:
    """The emulated API, where we lean on it, and everything that publishing, consent, running again and retraining ask of it."""
    description = Description(ROOT)
    team.publish(bad())
    team.publish(good())
    team.server.set_label(team.pull.number, "modelship-approved")
    said = team.server.comment(team.pull.number, "/accept-regression known, and fixed next week", "dana")
    team.write_as_bot("x\n\n<!-- modelship:flight-delay -->")
    team.publish(bad())
    rights = {"actions": "write", "checks": "read", "contents": "read", "issues": "write"}
    github = GitHub(Connection(team.server.url, REPOSITORY, team.server.token(rights)))
    find_consent(github, Matter(team.pull.number, team.head, "flight-delay"), label="modelship-approved", accept="write")
    run = team.server.door.workflow_runs.begin(1, "model.yml", "pull_request", team.head, (team.pull.number,))
    run.finish("failure")
    word = Word(team.pull.number, "dana", False, said.created_at[:-5] + "Z", comment="/accept-regression known, and fixed next week")
    judge_again(github, word, Judging("model.yml", "modelship-approved"), lambda _: None)
    team.repository.commit("main", {".github/workflows/train.yml": "on: {workflow_dispatch: {inputs: {reason: {}}}}\n"}, "train")
    github.dispatch("train.yml", github.default_branch(), {"reason": "drift"})
    assert [one.actor for one in github.dispatched_runs("train.yml", "2026-01-01T00:00:00Z")] == [BOT]
    issue = github.create_issue("worse", "x")
    assert github.edit_issue(issue.number, "fine", "y", is_open=False).is_open is False
    assert issue.number in [one.number for one in github.issues(BOT)]

    requests = [request for request in team.server.door.requests if not request.path.startswith("/app/")]
    seen = set()
    for request in requests:
        template = description.template(request.method, request.path)
        seen.add((request.method, template))
        assert description.problems_of_request(request.method, request.path, request.body) == [], request
        if request.status >= 300 or not request.answer:
            continue
        told = description.problems_of_answer(request.method, request.path, request.status, json.loads(request.answer))
        assert [problem for problem in told if _leaned_on(problem, LEANED_ON[template])] == [], request
    assert {template for _, template in seen} >= set(LEANED_ON)
    assert {method for method, _ in seen} == {"GET", "POST", "PATCH", "DELETE"}


def _leaned_on(problem: str, names: set[str]) -> bool:
    at, _, message = problem.partition(": ")
    path = ".".join(part for part in at.split(".") if not part.isdigit()).removeprefix("check_runs.").removeprefix("workflow_runs.")
    missing = message.partition("'")[2].partition("'")[0] if "is a required property" in message else ""
    return ".".join(filter(None, (path, missing))) in names
