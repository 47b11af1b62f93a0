"""`modelship monitor`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import click

from modelship.commands import frame
from modelship.commands.deployment import registered_name_option, tracking_option
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import ExitCode, Problem


@click.command("monitor")
@frame.config_option
@frame.model_option
@click.option("--predictions", help="The prediction log (key `monitor.predictions`).")
@click.option("--truth", help="What became true, by key (key `monitor.truth`).")
@click.option("--reference", help="The table that the version learned from (key `data.reference`).")
@click.option("--batch", help="How long one batch is, as `7d` (key `monitor.batch`).")
@click.option("--label-delay", help="How long truth usually takes, as `14d` (key `monitor.label-delay`).")
@click.option("--since", help="When the batch begins (ISO 8601, UTC); one batch before its end without it.")
@click.option("--until", help="When the batch ends, itself not part of it; the newest complete batch without both.")
@click.option("--now", help="Look as if it were that time, and know only what was known then.")
@click.option("--version", help="The version to look at; without it the one that is live.")
@click.option("--environment", help="Whose live version; the champion's environment without it.")
@click.option("--baseline", help="A folder with the release's predictions, in place of an MLflow server; with `--version`.")
@registered_name_option
@tracking_option
@click.option(
    "--keep", type=bool, default=True, show_default=True, help="Whether to keep the record on the MLflow server, where there is one."
)
def command(config: Path, model: str | None, registered_name: str | None, keep: bool, **given: Any) -> NoReturn:
    """Look at one batch of production: data, drift, and performance where labels have come.

    Compares what the live version answered with what it learned from and with what it promised at release. A proven loss, or data that
    breaks a critical expectation, exits with 1.
    """
    of_file = {"predictions": "monitor.predictions", "truth": "monitor.truth", "reference": "data.reference"}
    of_file |= {"batch": "monitor.batch", "label_delay": "monitor.label-delay"}
    overrides = {key: given.pop(name) for name, key in of_file.items()}
    overrides |= {"model": model, "registry.name": registered_name}
    frame.run("monitor", config, overrides, lambda space: look(space, given, keep))


def look(space: frame.Workspace, given: dict[str, Any], keep: bool) -> frame.Result:
    """Look at the batch, show what there is to see, and keep it. Raises BadInput for what cannot be read or understood."""
    loaded = space.load()
    need("gate")
    from modelship.monitoring.monitor import Asked, monitor

    asked = Asked(**given)
    if asked.tracking_uri:
        os.environ["MLFLOW_TRACKING_URI"] = asked.tracking_uri  # where a table is a dataset of a run, here or in another process
    record, code = monitor(loaded, space.run_directory, asked, space.config_path, space.overrides)
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    url = ""
    if keep and uri and not asked.baseline and record.batch:
        from modelship.core.records import encode
        from modelship.core.scratch import scratch_folder
        from modelship.monitoring import questions

        path = scratch_folder() / "monitor.json"
        path.write_bytes(encode(record))
        url = questions.ask(
            questions.Remember(
                tracking_uri=uri,
                name=loaded.config.registered_name,
                version=record.batch.version,
                start=record.batch.start.isoformat(),
                record=str(path),
            )
        )
    if record.status in ("fail", "warn") and workflow.in_workflow():
        kind = "error" if code is ExitCode.VERDICT_NO else "warning"
        workflow.annotate(kind, Problem(record.summary), "modelship monitor")
    if not workflow.in_workflow():
        from modelship.reporting.terminal import render_record

        workflow.say(render_record(record))
    drift = record.batch.drift if record.batch else None
    outputs = {
        "version": str(record.version or ""),
        "drift": "" if drift is None else str(drift).lower(),
        "labelled": str(record.batch.labelled) if record.batch else "",
        "mlflow-url": url,
    }
    return frame.Result(record, code, outputs)
