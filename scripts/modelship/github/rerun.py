"""Judge a pull request again after somebody's word: the approval label, the comment `/accept-regression <reason>` or `/judge-again`.

What judges a fork's pull request is a run on the end of another run. GitHub lists it under the default branch: the check on the head
commit leads to it.

Whether the word counts, the gate says when it runs again (`consent`), and its comment tells. Here is decided who may start that.
An attempt of the run that began after the word has heard it. So however often this is asked, and whoever else starts the run
meanwhile, each word is heard, and starts the run once at most.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from modelship.core.errors import BadInput, bad_input, infrastructure
from modelship.core.event import Word
from modelship.github.client import GitHub, PullRequest, RefusedError, UnansweredError, WorkflowRun, check_name
from modelship.github.consent import COMMAND, LEAST_ROLE, is_attempt, moment_of, suffices
from modelship.github.retry import patiently

PAUSE = 10.0
"""Seconds between two looks at a run that is going on."""

LOOKS = 90
"""A quarter of an hour: judging takes minutes, training may take hours."""

AGAIN = "/judge-again"
"""A comment that asks for nothing else: a label on a fork's pull request cannot start anything, and whoever has set it says this."""

_AGAIN = re.compile(rf"{AGAIN}[ \t]*(?:[\r\n]|$)")
_RUN = re.compile(r"/actions/runs/([1-9][0-9]{0,17})")
_RIGHTS = "Give the job `permissions: {actions: write, checks: read, pull-requests: read}`."


@dataclass(frozen=True)
class Judging:
    """What judges a team's pull requests: the workflow's file name, and the label that approves."""

    workflow: str
    label: str


@dataclass(frozen=True)
class Outcome:
    """What became of a word."""

    sentence: str
    run_url: str = ""
    """The run that hears it; empty where none does."""


def judge_again(github: GitHub, word: Word, judging: Judging, sleep: Callable[[float], None] = time.sleep) -> Outcome:
    """Start again what judges the pull request's head, unless it has heard the word: the failed jobs of the newest run of a branch.

    Takes a token with `actions: write`, `checks: read` and `pull-requests: read`. Raises BadInput where GitHub refuses or the run does
    not end, InfrastructureError where GitHub does not answer.
    """
    try:
        refusal = patiently(lambda: find_refusal(word, judging.label, github.permission), sleep)
        if refusal:
            return Outcome(refusal)
        pull = patiently(lambda: github.pull_request(word.pull_request), sleep)
        for look in range(LOOKS):
            if look:
                sleep(PAUSE)
            outcome = patiently(lambda: _look(github, word, judging.workflow, pull), sleep)
            if outcome:
                return outcome
    except RefusedError as error:
        raise _refused(error, judging.workflow) from error
    except UnansweredError as error:
        raise infrastructure(f"GitHub did not answer ({error}).", "Run this job again.") from error
    raise bad_input(
        f"`{judging.workflow}` was still running on {pull.head[:7]} after {LOOKS * PAUSE / 60:.0f} minutes.",
        "Wait for its verdict, then comment or set the label again: a word that is older does not count.",
    )


def find_refusal(word: Word, label: str, permission_of: Callable[[str], str]) -> str:
    """Why a word starts nothing; empty where it may. Labels are set by people with the role triage or a higher one alone."""
    if word.is_bot or not word.author:
        return f"`{word.author or 'a deleted user'}` said this, and a person must."
    if word.comment is None:
        return "" if (word.label or "").casefold() == label.casefold() else f"The label `{word.label}` is not `{label}`."
    if not (is_attempt(word.comment) or _AGAIN.match(word.comment)):
        return f"The comment does not begin with `{COMMAND}` or `{AGAIN}`."
    role = permission_of(word.author)
    if suffices(role, LEAST_ROLE):
        return ""
    return f"`{word.author}` has `{role}` here, and `{LEAST_ROLE}` is needed to have a pull request judged again."


def _look(github: GitHub, word: Word, workflow: str, pull: PullRequest) -> Outcome | None:
    """One look at what judges the pull request, and a start where it is due; None while it is going on."""
    if pull.repository.lower() != github.repository.lower():
        found = [_start(github, word, run, github.rerun) for run in _second_stage(github, pull.head)]
        outcomes = [outcome for outcome in found if outcome]
        if found:
            sentence, url = " ".join(outcome.sentence for outcome in outcomes), outcomes[-1].run_url if outcomes else ""
            return Outcome(sentence, url) if len(outcomes) == len(found) else None
    run = _newest(github.workflow_runs(workflow, pull.head), word.pull_request)
    if run is None:
        return Outcome(f"There is no run of `{workflow}` on {pull.head[:7]}.")
    if run.status == "completed" and run.conclusion != "failure" and not _has_heard(run, word):
        return Outcome(f"Run {run.number} on {pull.head[:7]} ended with `{run.conclusion}`: there is nothing to judge again.")
    return _start(github, word, run, github.rerun_failed_jobs)


def _start(github: GitHub, word: Word, run: WorkflowRun, start: Callable[[int], None]) -> Outcome | None:
    """Start a run again once it has ended, unless it hears the word already; None while it is going on."""
    if _has_heard(run, word):
        return Outcome(f"Run {run.number} hears it: attempt {run.attempt} began after it was said.", run.url)
    if run.status != "completed":
        return None
    try:
        start(run.id)
    except RefusedError as error:
        if error.status == 403 and "already running" in error.message:
            return None  # Somebody else has just started it.
        raise
    return Outcome(f"Run {run.number} was started again.", run.url)


def _second_stage(github: GitHub, head: str) -> list[WorkflowRun]:
    """The runs whose verdicts on a fork's commit are no, oldest first.

    Jobs of the fork's own run leave checks on the commit, too, of whatever names: a run of that kind is none of these.
    """
    failed = [
        check
        for check in github.all_check_runs(head)
        if check.conclusion == "failure" and check.external_id and check.name == check_name(check.external_id)
    ]
    ids = {int(found[1]) for found in (_RUN.search(check.details_url) for check in failed) if found}
    return [run for run in (_run(github, number) for number in sorted(ids)) if run and run.event == "workflow_run"]


def _run(github: GitHub, number: int) -> WorkflowRun | None:
    """The run of that number; None where a check leads to none of this repository."""
    try:
        return github.workflow_run(number)
    except RefusedError as error:
        if error.status == 404:
            return None
        raise


def _newest(runs: Iterable[WorkflowRun], pull_request: int) -> WorkflowRun | None:
    """The latest run for this pull request: one commit may head several."""
    ours = (run for run in runs if not run.pull_requests or pull_request in run.pull_requests)
    return max(ours, key=lambda run: run.number, default=None)


def _has_heard(run: WorkflowRun, word: Word) -> bool:
    started, said = moment_of(run.started_at), moment_of(word.said_at)
    return started is not None and said is not None and started > said


def _refused(error: RefusedError, workflow: str) -> BadInput:
    if error.status == 404:
        # In a private repository this is also the answer to who may not see it.
        remedy = f"Name the file of yours with the input `workflow`. If that is right: {_RIGHTS}"
        return bad_input(f"GitHub shows no workflow `{workflow}` here ({error}).", remedy)
    return bad_input(f"GitHub refused ({error}).", _RIGHTS if error.status in (401, 403) else "")
