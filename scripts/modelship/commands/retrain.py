"""`modelship retrain`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import click
import msgspec

from modelship.commands import frame
from modelship.commands.deployment import registered_name_option, tracking_option
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import ExitCode, Problem, bad_input, infrastructure
from modelship.core.records import RetrainRecord

if TYPE_CHECKING:
    from modelship.core.config import LoadedConfig
    from modelship.github.client import GitHub
    from modelship.monitoring.history import Asked, History
    from modelship.monitoring.questions import Begin, Begun
    from modelship.reporting.report import Report

_TITLE = "modelship retrain"
_PAUSE = 5.0
"""Seconds between two questions whether it is our turn."""
_LOOKS = 720
"""An hour: twice as long as a turn can last whose owner has died."""


@click.command("retrain")
@frame.config_option
@frame.model_option
@click.option("--history", help="A folder with records of `monitor`, in place of an MLflow server.")
@click.option("--now", help="Decide as if it were that time (ISO 8601, UTC), with the records that there are.")
@click.option("--dry-run", type=bool, default=False, show_default=True, help="Whether to say only what would be decided.")
@click.option("--github-token", help="Dispatches the workflow (`actions` write) and keeps the issue (`issues` write).")
@click.option("--author", help="The login that the token writes under, such as `my-app[bot]`; found out without it.")
@click.option("--report-url", help="Where the report page of `monitor` can be read, for the link in the issue.")
@registered_name_option
@tracking_option
def command(config: Path, model: str | None, registered_name: str | None, **given: Any) -> NoReturn:
    """Decide whether the live version is trained again, from what `monitor` has seen of it, and start that.

    Dispatches `retrain.workflow`, once for each version and newest batch, and keeps one issue that tells of trouble while it lasts.
    Exits with 0 whatever the decision; the output `retrain` says it. That a retrain was asked for is kept on the MLflow server, where
    cooldown and budget count it.
    """
    overrides = {"model": model, "registry.name": registered_name}
    token, uri = given.pop("github_token") or "", given.pop("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI") or ""
    options = Options(token=token, uri=uri, **given)
    frame.run("retrain", config, overrides, lambda space: _decide(space, options))


@dataclass(frozen=True)
class Options:
    """What the command was asked beside the configuration. The token stays out of the representation, and so out of logs."""

    history: str | None
    now: str | None
    dry_run: bool
    author: str | None
    report_url: str | None
    uri: str
    token: str = field(repr=False)


def _decide(space: frame.Workspace, options: Options) -> frame.Result:
    loaded = space.load()
    settings = loaded.config.retrain
    keeps = not options.dry_run and not options.history
    acts = keeps and bool(options.token and space.event.repository and (settings.workflow or settings.issue))
    if acts:
        need("github")
    from modelship.monitoring import questions
    from modelship.monitoring.retrain import asking, history_of, read_folder, retrain
    from modelship.monitoring.windows import parse_time

    moment = parse_time("--now", options.now) if options.now else datetime.now(UTC)
    if options.history:
        known = history_of(read_folder(Path(options.history)))
    elif options.uri:
        recalled: questions.Recalled = questions.ask(questions.Recall(tracking_uri=options.uri, name=loaded.config.registered_name))
        known = history_of(recalled.records, recalled.asked)
    else:
        raise bad_input(
            "nothing says what was seen of production.",
            "Set MLFLOW_TRACKING_URI, or give `--history` a folder with records of `monitor`.",
        )
    record = retrain(loaded, known, moment)
    for trigger in record.triggers:
        workflow.say(f"{'●' if trigger.fires else '○'} {trigger.trigger}: {trigger.told}")
    workflow.say(record.summary)
    page = ""
    if acts:
        record, page = _Acting(space, loaded, options, known, moment).act(record)
    elif keeps and record.retrain and settings.workflow:
        told = f"`{settings.workflow}` was not dispatched: there is no `github-token`."
        record = msgspec.structs.replace(record, notices=(*record.notices, told))
        workflow.annotate("warning", Problem(told), _TITLE)
    elif keeps and record.retrain:
        page = questions.ask(
            questions.Ask(
                tracking_uri=options.uri,
                name=loaded.config.registered_name,
                version=known.version,
                newest=_newest(record),
                asked=asking(record, moment),
            )
        )
    if record.retrain and workflow.in_workflow():
        workflow.annotate("warning", Problem(record.summary), _TITLE)
    _summarise(space, loaded, options, known, record)
    return frame.Result(record, ExitCode.BAD_INPUT if record.status == "error" else ExitCode.PASS, _outputs(record, page))


def _outputs(record: RetrainRecord, page: str) -> dict[str, str]:
    return {
        "retrain": str(record.retrain).lower(),
        "in-trouble": str(record.in_trouble).lower(),
        "version": str(record.version or ""),
        "dispatched": str(record.dispatched).lower(),
        "run-url": record.run_url,
        "issue-url": record.issue_url,
        "mlflow-url": page,
    }


def _newest(record: RetrainRecord) -> str:
    return record.newest.isoformat() if record.newest else ""


@dataclass(frozen=True)
class _Acting:
    """One run that acts on GitHub, in its turn."""

    space: frame.Workspace
    loaded: LoadedConfig
    options: Options
    known: History
    moment: datetime

    def act(self, record: RetrainRecord) -> tuple[RetrainRecord, str]:
        """Dispatch what was decided, and have the issue tell of it; returns the record that says so, and the page of what was kept.

        Raises InfrastructureError when GitHub or the MLflow server did not answer.
        """
        from modelship.github.client import Connection, GitHub
        from modelship.monitoring import questions
        from modelship.monitoring.turns import Who
        from modelship.reporting.retraining import is_trouble

        event, config = self.space.event, self.loaded.config
        github = GitHub(Connection(event.api_url, event.repository, self.options.token))
        if not record.retrain and not is_trouble(record) and not self._has_open_issue(github):
            return record, ""
        attempt = int(event.run_attempt) if event.run_attempt.isdecimal() else 1
        turn: dict[str, Any] = {
            "tracking_uri": self.options.uri,
            "name": config.registered_name,
            "version": self.known.version,
            "newest": _newest(record),
            "who": Who(mark=uuid4().hex, run=event.run_id or "", attempt=attempt),
        }
        started: Asked | None = None
        try:
            acting, record, begun = self._begin(record, turn)
            if record.retrain and config.retrain.workflow:
                record, started = acting._dispatch(github, record, begun)
            if config.retrain.issue:
                record = acting._keep_issue(github, record, started)
        finally:
            if started and not begun.is_dispatched:
                turn |= {"dispatched_at": started.at, "run_url": started.run_url}
            questions.ask(questions.End(**turn))
        return record, begun.page

    def _begin(self, record: RetrainRecord, turn: dict[str, Any]) -> tuple[_Acting, RetrainRecord, Begun]:
        """Wait for our turn. Where others have asked for a retrain meanwhile, it is decided again with what is known then."""
        from modelship.monitoring import questions
        from modelship.monitoring.retrain import retrain

        asked = self._asking(record) if record.retrain else None
        begun = _our_turn(questions.Begin(**turn, asked=asked, known=len(self.known.asked)))
        if len(begun.asked) <= len(self.known.asked):
            return self, record, begun
        moment = max(self.moment, begun.asked[-1].at)
        acting = replace(self, known=msgspec.structs.replace(self.known, asked=begun.asked), moment=moment)
        return acting._begin(retrain(self.loaded, acting.known, moment), turn)

    def _asking(self, record: RetrainRecord) -> Asked:
        from modelship.monitoring.retrain import asking

        return asking(record, self.moment, self.loaded.config.retrain.workflow or "")

    def _dispatch(self, github: GitHub, record: RetrainRecord, begun: Begun) -> tuple[RetrainRecord, Asked | None]:
        """Start the workflow unless it was; returns what was started, None where GitHub refused."""
        from modelship.github.retraining import Dispatched, Order, dispatch
        from modelship.monitoring.retrain import inputs

        asked = self._asking(record)
        if begun.is_dispatched:
            done = Dispatched(begun.run_url)
        else:
            order = Order(
                workflow=asked.workflow,
                inputs=inputs(self.loaded.config.retrain, record),
                since=datetime.fromtimestamp(begun.since, UTC),
                known=frozenset(one.run_url for one in self.known.asked),
            )
            done = dispatch(github, order, self.options.author)
        if done.refusal:
            told = f"{record.summary} `{asked.workflow}` was not dispatched."
            return msgspec.structs.replace(
                record, status="error", summary=told, problems=(done.refusal,), workflow=asked.workflow
            ), None
        when = "now" if done.is_new else "before"
        workflow.say(f"{asked.workflow}: dispatched {when}{f', {done.run_url}' if done.run_url else ''}")
        told = f"{record.summary} `{asked.workflow}` was dispatched{'' if done.is_new else ' before'}."
        record = msgspec.structs.replace(record, summary=told, workflow=asked.workflow, dispatched=done.is_new, run_url=done.run_url)
        return record, msgspec.structs.replace(asked, run_url=done.run_url)

    def _keep_issue(self, github: GitHub, record: RetrainRecord, started: Asked | None) -> RetrainRecord:
        from modelship.github.retraining import keep_issue
        from modelship.reporting.retraining import is_trouble

        report = _report(self.space, self.loaded, self.options, self.known, record, started)
        kept = keep_issue(github, report, is_open=is_trouble(record), author=self.options.author)
        if kept.warning:
            workflow.annotate("warning", kept.warning, _TITLE)
        if kept.url:
            workflow.say(kept.url)
        return msgspec.structs.replace(record, issue_url=kept.url)

    def _has_open_issue(self, github: GitHub) -> bool:
        from modelship.github.client import RefusedError
        from modelship.github.retraining import find_issue, issue_refused

        if not self.loaded.config.retrain.issue:
            return False
        try:
            found = find_issue(github, self.loaded.config.model, self.options.author)
        except RefusedError as error:
            workflow.annotate("warning", issue_refused(error), _TITLE)
            return False
        return found is not None and found.is_open


def _our_turn(question: Begin) -> Begun:
    """Wait for our turn. Raises InfrastructureError when it does not come."""
    from modelship.monitoring import questions

    for look in range(_LOOKS):
        begun: Begun = questions.ask(question)
        if begun.is_our_turn:
            return begun
        if not look:
            workflow.say("Another run acts for this model: waiting until it has ended.")
        time.sleep(_PAUSE)
    raise infrastructure(f"others act for `{question.name}` all the time.", "Run this job again, and fewer of them at once.")


def _report(
    space: frame.Workspace,
    loaded: LoadedConfig,
    options: Options,
    known: History,
    record: RetrainRecord,
    started: Asked | None = None,
) -> Report:
    from modelship.monitoring.losses import of_version
    from modelship.reporting.inline import site_of
    from modelship.reporting.report import Facts
    from modelship.reporting.retraining import Seen, Started, build_retrain_report

    event = space.event
    run = event.run_number or event.run_id
    asked = known.asked if started is None else (*known.asked, started)
    return build_retrain_report(
        loaded.config.model,
        record,
        Seen(of_version(known), known.promises, [Started(one.at, one.version, one.why, one.run_url) for one in asked]),
        Facts(
            run=f"run {run}" if run and event.run_url else "",
            run_url=event.run_url,
            report_url=options.report_url,
            sites=frozenset(map(site_of, (event.server_url, event.api_url, options.uri))) - {""},
        ),
    )


def _summarise(space: frame.Workspace, loaded: LoadedConfig, options: Options, known: History, record: RetrainRecord) -> None:
    """The job summary says what the issue says."""
    if workflow.in_workflow():
        from modelship.reporting.markdown import render

        workflow.add_summary(render(_report(space, loaded, options, known, record)))
