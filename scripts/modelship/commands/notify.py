"""`modelship notify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelship.commands.frame import Workspace, config_option, guarded, model_option, workspace
from modelship.core import workflow
from modelship.core.errors import ExitCode, InfrastructureError
from modelship.core.jobs import Job, read_jobs
from modelship.core.records import RECORDS

if TYPE_CHECKING:
    from modelship.reporting.blocks import Light
    from modelship.reporting.slack import Told

_TITLE = "modelship notify"


@click.command("notify")
@config_option
@model_option
@click.option("--webhook", help="The address of an incoming webhook, as Slack gives it; without one nobody is told.")
@click.option("--jobs", help="The context `needs` as JSON: tells of jobs instead of the records in the run directory.")
@click.option("--strict", is_flag=True, help="Exit with 3 when nobody could be told; else that is a warning.")
def command(config: Path, model: str | None, webhook: str | None, jobs: str | None, strict: bool) -> None:
    """Tell people in a chat what came of a run: verdict, version, environments, who, and where to look."""
    sys.exit(guarded("notify", lambda: _notify(workspace(config, {"model": model}), webhook or "", jobs or "", strict)))


def _notify(space: Workspace, webhook: str, jobs: str, strict: bool) -> ExitCode:
    from modelship.core.webhook import post
    from modelship.reporting.slack import message

    model, event = space.load().config.model, space.event
    workflow.set_outputs({"told": "false"})
    if not webhook:
        workflow.say("No webhook is given: nobody is told.")
        return ExitCode.PASS
    told = _jobs(jobs) if jobs else _records(space)
    number = event.run_number or event.run_id
    body = message(model, told, actor=event.actor, run_url=event.run_url or "", run=f"run {number}" if number else "")
    try:
        post(webhook, body)
    except InfrastructureError as error:
        if strict:
            raise
        workflow.annotate("warning", error.problems[0], _TITLE)
        return ExitCode.PASS
    workflow.set_outputs({"told": "true"})
    workflow.say(f"Told: {body['text']}")
    return ExitCode.PASS


def _records(space: Workspace) -> list[Told]:
    from modelship.reporting.slack import Told

    found = [(name, record) for name in RECORDS if (record := space.run_directory.read(name)) is not None]
    return [Told("fail" if record.status == "error" else record.status, name, record.summary) for name, record in found]


def _jobs(text: str) -> list[Told]:
    """What the jobs before this one say of themselves: their results, and their outputs `status` and `summary`."""
    from modelship.reporting.slack import Told

    return [
        Told(_light(job), name, job.outputs.get("summary") or job.outputs.get("status") or job.result)
        for name, job in read_jobs(text).items()
        if job.result != "skipped"
    ]


def _light(job: Job) -> Light:
    if job.result != "success":
        return "fail"
    return "warn" if job.outputs.get("status") == "warn" else "pass"
