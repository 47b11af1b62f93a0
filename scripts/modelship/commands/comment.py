"""`modelship comment`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelship.commands.frame import Workspace, config_option, guarded, model_option, pull_request_option, workspace
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import BadInput, ExitCode, bad_input
from modelship.core.event import Event
from modelship.core.records import RECORDS, AnyRecord

if TYPE_CHECKING:
    from modelship.reporting.checks import Found
    from modelship.reporting.report import Facts, Report

_TITLE = "modelship comment"
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@click.command("comment")
@config_option
@model_option
@pull_request_option
@click.option("--github-token", help="Writes the comment and the check; without it the report is only rendered.")
@click.option("--publish", type=bool, default=True, show_default=True, help="Whether to publish, or only to write the files.")
@click.option("--report-url", help="Where the report page can be read, for the link in the comment.")
@click.option("--author", help="The login that the token writes comments under, such as `my-app[bot]`; found out without it.")
@click.option("--release", help="The jobs of a release as JSON: tells what became of it, on the pull request that was merged.")
@click.option("--records", help="The folder with the records of those jobs, which are found by the digests that the jobs promised.")
@click.option("--tracking-uri", help="The MLflow server that the report may link to; MLFLOW_TRACKING_URI without it.")
def command(config: Path, **given: Any) -> None:
    """Answer with what the other commands found: comment, check run, job summary, report page.

    The exit code says whether the report could be written, not what it says: the verdict is the gate's.
    """
    options = Options(
        model=given["model"],
        pull_request=given["pull_request"],
        publish=given["publish"],
        report_url=given["report_url"],
        author=given["author"],
        tracking_uri=given["tracking_uri"] or os.environ.get("MLFLOW_TRACKING_URI", ""),
        token=given["github_token"] or "",
        release=given["release"] or "",
        records=Path(given["records"]) if given["records"] else None,
    )
    sys.exit(guarded("comment", lambda: _answer(config, options)))


@dataclass(frozen=True)
class Options:
    """What the command was asked beside the configuration. The token stays out of the representation, and so out of logs."""

    model: str | None
    pull_request: str | None
    publish: bool
    report_url: str | None
    author: str | None
    tracking_uri: str
    token: str = field(repr=False)
    release: str = ""
    records: Path | None = None


def _answer(config: Path, options: Options) -> ExitCode:
    need("github")
    workflow.set_outputs({"conclusion": "failure"})  # Until the report is there to say otherwise.
    return work(workspace(config, {"model": options.model}, options.pull_request), options)


def work(space: Workspace, options: Options) -> ExitCode:
    """Read the records, render and publish the report. Raises BadInput without a model name, InfrastructureError without GitHub."""
    from modelship.reporting import terminal

    space.run_directory.create()
    report = _release_report(space, options) if options.release else _report(space, options)
    page = _write_files(space, report)
    workflow.say(terminal.render(report))
    workflow.say(f"\nReport page: {page}")
    workflow.set_outputs({"conclusion": report.conclusion, "report": str(page), "model": report.model})
    if options.publish:
        _publish(report, space.event, options)
    if report.is_empty:
        raise bad_input("there is nothing to report: no command left a record.", "Run them before this one, in the same folder.")
    return ExitCode.PASS


def _report(space: Workspace, options: Options) -> Report:
    """On what the commands before this one left in the run directory."""
    from modelship.reporting.embedded import read_pages
    from modelship.reporting.report import build_report

    records = read_records(space)
    facts, pages = _facts(space.event, records, options), read_pages(space.run_directory.path, records)
    return build_report(_model_name(space, options, records), records, facts, pages)


def _release_report(space: Workspace, options: Options) -> Report:
    """On what other jobs say of themselves, and the records that they handed over."""
    from modelship.core.jobs import Job, read_release
    from modelship.core.run_directory import RunDirectory
    from modelship.reporting.release import Release, Step, build_release_report

    jobs = read_release(options.release)
    held = RunDirectory(options.records) if options.records else space.run_directory

    def step(command: str, job: Job) -> Step:
        digest = job.outputs.get("record-digest")
        if not digest or job.result == "skipped":  # What did not run has promised nothing.
            return Step(job.result)
        return Step(job.result, _believed(space, lambda: held.promised(command, digest)))

    register = step("register", jobs.register)
    environments = {name: step("deploy", job) for name, job in jobs.environments.items() if name}
    facts = _facts(space.event, {"register": register.found}, options)
    return build_release_report(
        _model_name(space, options, {"register": register.found}), Release(jobs.model.result, register, environments), facts
    )


def read_records(space: Workspace) -> dict[str, Found]:
    """Every command's record, as far as it can be trusted."""
    return {name: _believed(space, partial(space.run_directory.read, name)) for name in RECORDS}


def _believed(space: Workspace, read: Callable[[], AnyRecord | None]) -> Found:
    """What `read` returns; a record that is broken, or that speaks of another commit than this run's, is not trusted."""
    from modelship.reporting.checks import Distrusted

    try:
        record = read()
    except BadInput as error:
        return Distrusted(str(error))
    ours = {space.event.head, space.event.checked_out} - {None}
    if record is not None and ours and record.commit not in ours:
        commit = f"`{record.commit[:7]}`" if record.commit else "no commit"
        return Distrusted(f"it speaks of {commit}, and this run is about `{str(space.event.head)[:7]}`.")
    return record


def _model_name(space: Workspace, options: Options, records: Mapping[str, Found]) -> str:
    """The option's, else the configuration's, else the records'."""
    name = options.model
    if not name:
        try:
            name = space.load().config.model
        except BadInput:
            names = (getattr(record, "model", "") for record in records.values())
            name = next(filter(None, names), None)
    if not name:
        raise bad_input(f"the model's name is not known: {space.config_path} does not tell it.", "Mend the file, or give `--model`.")
    if not _MODEL.fullmatch(name):
        raise bad_input(f"`{name[:100]}` is no name for a model.", "Use letters, digits, dot, dash and underscore.")
    return name


def _facts(event: Event, records: Mapping[str, Found], options: Options) -> Facts:
    from modelship.reporting.inline import site_of
    from modelship.reporting.report import Facts

    head = event.head or next(filter(None, (getattr(record, "commit", None) for record in records.values())), None)
    in_repository = bool(event.repository and head)
    run = event.run_number or event.run_id
    return Facts(
        head=head,
        head_url=f"{event.server_url}/{event.repository}/commit/{head}" if in_repository else None,
        run=f"run {run}" if run and event.run_url else "",
        run_url=event.run_url,
        report_url=options.report_url,
        in_pull_request=event.is_pull_request,
        sites=frozenset(map(site_of, (event.server_url, event.api_url, options.tracking_uri))) - {""},
    )


def _write_files(space: Workspace, report: Report) -> Path:
    """Write `comment.md` and the page into the run directory; returns the path of the page.

    The page is named after the model: an artifact that is uploaded as it is takes its file's name, and a run may have several.
    """
    from modelship.reporting.html import render_page
    from modelship.reporting.markdown import render_comment

    space.run_directory.put("comment.md", render_comment(report).encode())
    name = "release" if report.topic == "release" else "report"
    return space.run_directory.put(f"{name}-{report.model}.html", render_page(report).encode(errors="replace"))


def _publish(report: Report, event: Event, options: Options) -> None:
    from modelship.github.client import Connection, GitHub
    from modelship.github.publish import Destination, publish
    from modelship.reporting.markdown import render

    workflow.add_summary(render(report))
    if report.topic == "production":
        return  # Nothing that was proposed: the commit that happens to be checked out has its own verdict.
    if not options.token or not event.repository or not event.head:
        if event.repository:
            workflow.say("Nothing was written to GitHub: there is no token.")
        return
    published = publish(
        report,
        GitHub(Connection(event.api_url, event.repository, options.token)),
        Destination(event.head, event.pull_request, event.run_url, options.author),
    )
    if published.notice:
        workflow.annotate("notice", published.notice, _TITLE)
    if published.warning:
        workflow.annotate("warning", published.warning, _TITLE)
    for url in filter(None, (published.comment_url, published.check_run_url)):
        workflow.say(url)
    workflow.set_outputs({"comment-url": published.comment_url, "check-run-url": published.check_run_url})
