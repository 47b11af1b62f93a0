"""Publish a report: one sticky comment on the pull request, one check run on the commit. However often, the end is the same.

A report on a release goes to the pull request whose merge it is about; the check on that commit is the verdict's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from modelship.core.errors import Problem, infrastructure
from modelship.core.words import clean
from modelship.github.client import CheckResult, CheckRun, Comment, GitHub, RefusedError, UnansweredError, check_name
from modelship.github.retry import patiently
from modelship.reporting.markdown import marker, render, render_comment
from modelship.reporting.report import Report

ACTIONS_BOT = "github-actions[bot]"
"""As whom GITHUB_TOKEN writes."""

_TITLE_LIMIT = 200

_MOST_MOVES = 5
"""How often within one publication we follow what others do meanwhile: push, or delete our comment."""


@dataclass(frozen=True)
class Destination:
    """What the report is about: a commit and, if there is one, the pull request that it heads."""

    head: str
    pull_request: int | None = None
    """Of a report on a release it is not asked for: it is found by the merge commit."""
    run_url: str | None = None
    author: str | None = None
    """The login that comments are written under, where the token does not tell and is not GITHUB_TOKEN."""


@dataclass(frozen=True)
class Published:
    """Where the report can be read now, and what a person should know about what is not there."""

    comment_url: str = ""
    check_run_url: str = ""
    notice: Problem | None = None
    """Nothing is wrong, but something was left undone on purpose."""
    warning: Problem | None = None
    """GitHub refused something."""


def publish(report: Report, github: GitHub, destination: Destination, sleep: Callable[[float], None] = time.sleep) -> Published:
    """Write check run and comment, in this order (`_give_way` says why). A refusal of one does not stop the other, and becomes a
    warning.

    Raises InfrastructureError when GitHub did not answer.
    """
    refusals: dict[str, RefusedError] = {}
    silences: dict[str, UnansweredError] = {}
    comment: Comment | None = None
    check_run: CheckRun | None = None
    is_release = report.topic == "release"
    is_answer = is_release or destination.pull_request is not None
    if not is_release:
        try:
            check_run = patiently(lambda: _put_check_run(report, github, destination), sleep)
        except RefusedError as error:
            refusals["check"] = error
        except UnansweredError as error:
            silences["check"] = error
    if is_answer:
        try:
            comment = patiently(lambda: _put_comment(report, github, destination), sleep)
        except RefusedError as error:
            refusals["comment"] = error
        except UnansweredError as error:
            silences["comment"] = error
    if silences:
        told = " and ".join(f"the {what} ({error})" for what, error in silences.items())
        raise infrastructure(f"GitHub did not answer when {told} should be written.", "Run this job again.")
    is_unanswered = is_answer and comment is None and "comment" not in refusals
    return Published(
        comment_url=comment.url if comment else "",
        check_run_url=check_run.url if check_run else "",
        notice=_unanswered(report, destination) if is_unanswered else None,
        warning=_refused(refusals) if refusals else None,
    )


def _put_comment(report: Report, github: GitHub, destination: Destination) -> Comment | None:
    """Edit our comment, or create it where there is none. None when there is no pull request that the report is about."""
    number = _pull_request(report, github, destination)
    if number is None:
        return None
    sticky = _Sticky(github, number, marker(report.model, report.topic), destination.author or login_of(github))
    comment = sticky.put(render_comment(report))
    # What was merged does not move on.
    newest = destination.head if report.topic == "release" else github.pull_request_head(number)
    if newest == destination.head:
        return comment
    _give_way(report.model, sticky, newest)
    return None


def _give_way(model: str, sticky: _Sticky, newest: str) -> None:
    """Have the comment speak of the commit `newest`, which was pushed while ours spoke of an older one.

    GitHub knows no edit that depends on what is there: ours may have replaced that of the newer run. Its check run says the same,
    and was written before its comment. So where there is no check run yet, its comment is still to come.
    """
    for _ in range(_MOST_MOVES):
        runs = [run for run in sticky.github.check_runs(newest, check_name(model)) if run.external_id == model and run.summary]
        if not runs:
            return
        sticky.put(f"{max(runs, key=lambda run: run.id).summary}\n{sticky.mark}\n")
        at, newest = newest, sticky.github.pull_request_head(sticky.number)
        if at == newest:
            return


@dataclass
class _Sticky:
    """The one comment of ours on a pull request: `mark` is its last line, `author` wrote it, as far as anybody knows."""

    github: GitHub
    number: int
    mark: str
    author: str

    def put(self, body: str) -> Comment:
        """Have the comment say `body`, whether or not it was there, and be the only one."""
        for _ in range(_MOST_MOVES):
            found = self._found()
            if not found:
                # Runs that cross both find none and create one, so we look again. An app of the team's own does not say its name
                # before it has written; it may have written before.
                created = self.github.create_comment(self.number, body)
                self.author = created.author or self.author
                found = self._found()
                if [comment.id for comment in found] in ([], [created.id]):
                    return created
            try:
                return _keep_first(self.github, found, body)
            except RefusedError as error:
                # Somebody may have deleted it meanwhile.
                if error.status != 404 or found[0].id in [comment.id for comment in self._found()]:
                    raise
        raise UnansweredError("a comment that is deleted whenever it is written")

    def _found(self) -> list[Comment]:
        comments = self.github.comments(self.number)
        return _by(self.author, [comment for comment in comments if ends_with(comment.body, self.mark)])


def _pull_request(report: Report, github: GitHub, destination: Destination) -> int | None:
    """The pull request that was merged as the commit, or that stands at it now: an older run does not answer for a newer one."""
    if report.topic == "release":
        return github.merged_pull_request(destination.head)
    number = destination.pull_request
    return number if number is not None and github.pull_request_head(number) == destination.head else None


def _keep_first(github: GitHub, comments: list[Comment], body: str) -> Comment:
    """Of several comments of ours, left by runs that crossed or were cut off, the oldest stays."""
    first, *others = comments
    kept = github.edit_comment(first.id, body)
    for other in others:
        try:
            github.delete_comment(other.id)
        except RefusedError as error:
            if error.status != 404:
                raise
    return kept


def _put_check_run(report: Report, github: GitHub, destination: Destination) -> CheckRun:
    result = CheckResult(
        name=check_name(report.model),
        external_id=report.model,
        conclusion=report.conclusion,
        title=clean(report.title, _TITLE_LIMIT),
        summary=render(report),
        details_url=destination.run_url,
    )
    runs = [run for run in github.check_runs(destination.head, result.name) if run.external_id == report.model]
    if runs:
        return github.update_check_run(max(run.id for run in runs), result)
    return github.create_check_run(destination.head, result)


def login_of(github: GitHub) -> str:
    """As whom the token writes, as far as it tells."""
    try:
        return github.login()
    except RefusedError as error:
        if error.status == 403:
            return ACTIONS_BOT
        raise


def _by(author: str, comments: list[Comment]) -> list[Comment]:
    return sorted((comment for comment in comments if comment.author.lower() == author.lower()), key=lambda comment: comment.id)


def ends_with(body: str, mark: str) -> bool:
    """Whether the marker is the last line, where no text from data can stand."""
    return body.rstrip().rpartition("\n")[2] == mark


def _unanswered(report: Report, destination: Destination) -> Problem:
    if report.topic == "release":
        return Problem(f"no pull request was merged as {destination.head[:7]}: what became of it is in the job summary alone.")
    message = (
        f"pull request #{destination.pull_request} has moved on from {destination.head[:7]}: its comment is left to the newer run."
    )
    return Problem(message)


_PERMISSIONS = {"comment": "pull-requests: write", "check": "checks: write"}


def _refused(refusals: dict[str, RefusedError]) -> Problem:
    told = " and ".join(f"the {what} ({refusals[what]})" for what in _PERMISSIONS if what in refusals)
    statuses = {error.status for error in refusals.values()}
    needed = ", ".join(right for what, right in _PERMISSIONS.items() if what in refusals)
    if statuses == {401}:
        remedy = "The token is not valid: leave `github-token` at its default, or renew it."
    elif statuses & {403, 404}:
        remedy = f"Give the job `permissions: {{{needed}}}`. For a pull request from a fork nothing helps but `model-comment.yml`."
    else:
        remedy = "The reason is GitHub's own."
    return Problem(f"GitHub did not accept {told}. The report is in the job summary, and the verdict is the same.", remedy)
