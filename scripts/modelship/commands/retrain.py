"""`modelship retrain`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from modelship.commands import frame
from modelship.commands.deployment import registered_name_option, tracking_option
from modelship.core import workflow
from modelship.core.errors import ExitCode, Problem, bad_input


@click.command("retrain")
@frame.config_option
@frame.model_option
@click.option("--history", help="A folder with records of `monitor`, in place of an MLflow server.")
@click.option("--now", help="Decide as if it were that time (ISO 8601, UTC), with the records that there are.")
@click.option("--dry-run", type=bool, default=False, show_default=True, help="Whether to say only what would be decided.")
@registered_name_option
@tracking_option
def command(config: Path, model: str | None, registered_name: str | None, **given: Any) -> NoReturn:
    """Decide whether the live version is trained again, from what `monitor` has seen of it.

    Exits with 0 whatever the decision; the output `retrain` says it. That a retrain was asked for is kept on the MLflow server, where
    cooldown and budget count it.
    """
    overrides = {"model": model, "registry.name": registered_name}
    frame.run("retrain", config, overrides, lambda space: _decide(space, **given))


def _decide(space: frame.Workspace, history: str | None, now: str | None, dry_run: bool, tracking_uri: str | None) -> frame.Result:
    from modelship.monitoring import questions
    from modelship.monitoring.retrain import asking, history_of, read_folder, retrain
    from modelship.monitoring.windows import parse_time

    loaded = space.load()
    name = loaded.config.registered_name
    moment = parse_time("--now", now) if now else datetime.now(UTC)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if history:
        known = history_of(read_folder(Path(history)))
    elif uri:
        recalled: questions.Recalled = questions.ask(questions.Recall(tracking_uri=uri, name=name))
        known = history_of(recalled.records, recalled.asked)
    else:
        raise bad_input(
            "nothing says what was seen of production.",
            "Set MLFLOW_TRACKING_URI, or give `--history` a folder with records of `monitor`.",
        )
    record = retrain(loaded, known, moment)
    url = ""
    if record.retrain and not dry_run and not history:
        newest = record.newest.isoformat() if record.newest else ""
        asked = asking(record, moment)
        url = questions.ask(questions.Ask(tracking_uri=uri, name=name, version=known.version, newest=newest, asked=asked))
    for trigger in record.triggers:
        workflow.say(f"{'●' if trigger.fires else '○'} {trigger.trigger}: {trigger.told}")
    workflow.say(record.summary)
    if record.retrain and workflow.in_workflow():
        workflow.annotate("warning", Problem(record.summary), "modelship retrain")
    outputs = {
        "retrain": str(record.retrain).lower(),
        "in-trouble": str(record.in_trouble).lower(),
        "version": str(record.version or ""),
        "mlflow-url": url,
    }
    return frame.Result(record, ExitCode.PASS, outputs)
