"""Start the team's training on GitHub, and keep the one issue that tells of trouble with a model.

Nothing here knows of others that do the same: whoever calls this sees to it that it is done by one at a time (`monitoring/turns.py`).
What was cut off is not done again: before something is created, it is looked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from modelship.core.errors import ModelshipError, Problem, infrastructure
from modelship.core.words import clean
from modelship.github.client import GitHub, Issue, RefusedError, UnansweredError, WorkflowRun
from modelship.github.publish import ends_with, login_of
from modelship.github.retry import patiently
from modelship.reporting.markdown import marker, render_comment
from modelship.reporting.report import Report

LOOKS = 5
"""How often a run that was just dispatched is looked for: GitHub shows it some seconds later."""

PAUSE = 3.0
"""Seconds between two looks."""

_CLOCKS = timedelta(minutes=2)
"""How far this machine's clock may be ahead of GitHub's."""

_LONGEST_TITLE = 200
_RIGHTS = "Give the job `permissions: {actions: write}`."


@dataclass(frozen=True)
class Order:
    """A retrain that was asked for."""

    workflow: str
    """The file name."""
    inputs: Mapping[str, str]
    since: datetime
    """When it was first asked for: what was dispatched before is none of it."""
    known: Collection[str] = field(default_factory=frozenset)
    """Addresses of the runs that other retrains were given."""


@dataclass(frozen=True)
class Dispatched:
    """What came of an order."""

    run_url: str = ""
    is_new: bool = False
    """Whether it was dispatched now; else it had been, by somebody who did not live to tell."""
    refusal: Problem | None = None
    """Why GitHub would not. Nothing was dispatched then."""


def dispatch(github: GitHub, order: Order, author: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Dispatched:
    """Start the workflow on the default branch, unless it was started for this order. Raises InfrastructureError when it is not known
    whether it was.

    A run is taken for this order's that our own author has dispatched since it was asked for.
    """
    started = False
    perhaps = False

    def work() -> Dispatched:
        nonlocal started, perhaps
        who = author or login_of(github)
        run = _look(github, order, who, LOOKS if started or perhaps else 1, sleep)
        is_new = started or perhaps
        if run is None and not started:
            branch = github.default_branch()
            perhaps = True
            github.dispatch(order.workflow, branch, order.inputs)
            started = is_new = True
            run = _look(github, order, who, LOOKS, sleep)
        return Dispatched(run.url if run else "", is_new)

    try:
        return patiently(work, sleep)
    except RefusedError as error:
        if started:  # What was started cannot be found.
            return Dispatched(is_new=True)
        return Dispatched(refusal=_refused(error, order))
    except UnansweredError as error:
        if started:
            return Dispatched(is_new=True)
        raise _silent(f"`{order.workflow}` should be dispatched", error) from error


def _look(github: GitHub, order: Order, author: str, looks: int, sleep: Callable[[float], None]) -> WorkflowRun | None:
    """The first run that was dispatched for the order; None where none shows."""
    since = (order.since.astimezone(UTC) - _CLOCKS).strftime("%Y-%m-%dT%H:%M:%SZ")
    for look in range(looks):
        if look:
            sleep(PAUSE)
        runs = [
            run
            for run in github.dispatched_runs(order.workflow, since)
            if run.actor.lower() == author.lower() and run.url not in order.known
        ]
        if runs:
            return min(runs, key=lambda run: run.id)
    return None


def _refused(error: RefusedError, order: Order) -> Problem:
    said = clean(str(error), 300)
    if error.status == 422:
        given = f"inputs {', '.join(f'`{name}`' for name in order.inputs)}" if order.inputs else "no inputs"
        remedy = (
            f"It must have `workflow_dispatch:` among its triggers on the default branch, with the inputs that `retrain.inputs` gives "
            f"({given}) and no others that are required."
        )
    elif error.status == 404:
        # In a private repository this is also the answer to who may not see it.
        remedy = f"Is that the name of its file on the default branch (`retrain.workflow`)? If it is: {_RIGHTS}"
    elif error.status in (401, 403):
        remedy = f"{_RIGHTS} An organisation or a repository may forbid it, too."
    else:
        remedy = ""
    return Problem(f"GitHub did not dispatch `{order.workflow}` ({said}). The next run tries again.", remedy)


@dataclass(frozen=True)
class Kept:
    """What came of the issue."""

    url: str = ""
    """Empty where there is none."""
    warning: Problem | None = None
    """GitHub refused it."""


def find_issue(github: GitHub, model: str, author: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Issue | None:
    """The issue on trouble with a model, open or closed; the oldest of several. Raises RefusedError.

    It is ours by its author and by its last line, where no text from data can stand.
    """

    try:
        return patiently(lambda: _find_issue(github, model, author), sleep)
    except UnansweredError as error:
        raise _silent("the issue should be found", error) from error


def _find_issue(github: GitHub, model: str, author: str | None) -> Issue | None:
    who = author or login_of(github)
    ours = (
        issue
        for issue in github.issues(who)
        if issue.author.lower() == who.lower() and not issue.is_pull_request and ends_with(issue.body, marker(model, "retrain"))
    )
    return min(ours, key=lambda issue: issue.number, default=None)


def keep_issue(
    github: GitHub, report: Report, *, is_open: bool, author: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Kept:
    """Have the model's issue say what the report says, and be open or closed. There is none to close where nothing was ever wrong.

    A refusal becomes a warning. Raises InfrastructureError when GitHub did not answer.
    """
    title, body = clean(f"{report.icon} {report.title}", _LONGEST_TITLE), render_comment(report)

    def put() -> Kept:
        found = _find_issue(github, report.model, author)
        if found is None:
            return Kept(github.create_issue(title, body).url) if is_open else Kept()
        if (found.title, found.body.strip(), found.is_open) != (title, body.strip(), is_open):
            found = github.edit_issue(found.number, title, body, is_open=is_open)
        return Kept(found.url)

    try:
        return patiently(put, sleep)
    except RefusedError as error:
        return Kept(warning=issue_refused(error))
    except UnansweredError as error:
        raise _silent("the issue should be written", error) from error


def issue_refused(error: RefusedError) -> Problem:
    """A refusal as a warning: an issue is not what a decision depends on."""
    if error.status == 410:
        remedy = "Turn issues on in the repository's settings, or off in modelship.yaml: `retrain: {issue: false}`."
    elif error.status in (401, 403, 404):
        remedy = "Give the job `permissions: {issues: write}`, or leave it: `retrain: {issue: false}`."
    else:
        remedy = "The reason is GitHub's own."
    return Problem(f"GitHub did not accept the issue ({clean(str(error), 300)}). What was decided is the same.", remedy)


def _silent(what: str, error: UnansweredError) -> ModelshipError:
    return infrastructure(f"GitHub did not answer when {what} ({error}).", "Run this job again.")
