"""`modelship accept`."""

from __future__ import annotations

import sys
from typing import Any

import click

from modelship.commands.frame import guarded
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import ExitCode, Problem, bad_input
from modelship.core.event import read_event, read_word

_TITLE = "modelship accept"


@click.command("accept")
@click.option("--workflow", default="model.yml", show_default=True, help="The file name of the workflow that judges pull requests.")
@click.option(
    "--approval-label",
    default="modelship-approved",
    show_default=True,
    help="The label that approves (key `gate.approval-label`).",
)
@click.option("--github-token", help="Starts the failed jobs again.")
def command(**given: Any) -> None:
    """Judge a pull request again after the approval label, or a comment `/accept-regression` or `/judge-again`.

    For workflows on the events `issue_comment` and `pull_request: [labeled]`. Starts the failed jobs of the newest run on the head
    commit again, or what has judged a fork's pull request; whether what was said counts, the gate says there. The exit code is 0
    also where nothing was started.
    """
    sys.exit(guarded("accept", lambda: _accept(given["workflow"], given["approval_label"], given["github_token"] or "")))


def _accept(judge: str, label: str, token: str) -> ExitCode:
    word, event = read_word(), read_event()
    if word is None:
        raise bad_input(
            "this run's event is neither a comment on a pull request nor a label.",
            "Call this on `issue_comment: [created]` and `pull_request: [labeled]`.",
        )
    if not token:
        raise bad_input("there is no `github-token`.", "Give one with `actions: write`, `checks: read` and `pull-requests: read`.")
    need("github")
    from modelship.github.client import Connection, GitHub
    from modelship.github.rerun import Judging, judge_again

    github = GitHub(Connection(event.api_url, event.repository, token))
    outcome = judge_again(github, word, Judging(judge, label))
    workflow.annotate("notice", Problem(outcome.sentence), _TITLE)
    if outcome.run_url:
        workflow.say(outcome.run_url)
    workflow.set_outputs({"run-url": outcome.run_url})
    return ExitCode.PASS
