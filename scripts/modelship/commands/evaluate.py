"""`modelship evaluate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from modelship.commands.frame import Result, Workspace, config_option, guarded, model_option, run, workspace, yaml_value
from modelship.core.errors import ExitCode, Problem, bad_input


@click.command("evaluate")
@config_option
@model_option
@click.option("--current", help="The table that both models are scored on (key `data.current`).")
@click.option("--reference", help="The table that the model learns from (key `data.reference`).")
@click.option("--target", help="The column that the model predicts (key `data.target`).")
@click.option("--key", help="The column that names a row, once each (key `data.key`).")
@click.option("--model-path", help="The candidate: an MLflow model folder (key `train.model`).")
@click.option("--baseline-model", type=click.Path(path_type=Path), help="The baseline's model folder; only the candidate without it.")
@click.option("--baseline-digest", help="What the step that fetched `--baseline-model` said of it: its output `baseline-digest`.")
@click.option(
    "--fetch-baseline",
    type=bool,
    default=False,
    show_default=True,
    help="Only bring the baseline's model to `--baseline-model`: before training, where credentials may be seen.",
)
@click.option("--baseline", help="champion, base, git:<ref> or run:<id>, to fetch the model of (key `gate.baseline`).")
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
@click.option("--registered-name", help="The model's name in MLflow's registry (key `registry.name`).")
@click.option("--tracking-uri", help="The MLflow server to fetch from; MLFLOW_TRACKING_URI without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the DVC remote to fetch from (AWS_…, AZURE_…, GOOGLE_…).")
@click.option("--python", help="The team's interpreter (key `train.python`).")
@click.option("--predict", help="A function `package.module:function` that answers instead of MLflow (key `evaluate.predict`).")
@click.option("--timeout", help="When evaluation is stopped, as `10m` (key `evaluate.timeout`).")
@click.option("--max-model-size", help="How large the model folder may be, as `50MB` (key `evaluate.max-model-size`).")
@click.option("--tolerance", callback=yaml_value, help="How far two answers to one row may be apart (key `evaluate.tolerance`).")
@click.option("--latency", callback=yaml_value, help="Budgets, as `{single-row-p99: 50ms}` (key `evaluate.latency`).")
@click.option("--invariance", callback=yaml_value, help="Columns that must not matter, as YAML (key `evaluate.invariance`).")
@click.option("--directional", callback=yaml_value, help="Columns that must matter in one way, as YAML (key `evaluate.directional`).")
@click.option("--cross-validation", callback=yaml_value, help="Fit anew on parts, as YAML (key `evaluate.cross-validation`).")
def command(
    config: Path,
    model: str | None,
    model_path: str | None,
    baseline_model: Path | None,
    baseline_digest: str | None,
    fetch_baseline: bool,
    base: str | None,
    tracking_uri: str | None,
    credentials: str | None,
    python: str | None,
    **given: Any,
) -> None:
    """Score candidate and baseline on the same rows, and check the candidate.

    Models are loaded by the team's interpreter, each in a process of its own. A critical check that does not hold exits with 1.
    """
    data = {f"data.{name}": given.pop(name) for name in ("current", "reference", "target", "key")}
    overrides = {
        "model": model,
        **data,
        "train.model": model_path,
        "train.python": python,
        "gate.baseline": given.pop("baseline"),
        "registry.name": given.pop("registered_name"),
        **{f"evaluate.{name.replace('_', '-')}": value for name, value in given.items()},
    }
    if fetch_baseline:
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        sys.exit(guarded("evaluate", lambda: fetch(workspace(config, overrides), baseline_model, base, uri, credentials or "")))
    run("evaluate", config, overrides, lambda space: work(space, baseline_model, baseline_digest or ""))


def fetch(space: Workspace, into: Path | None, base: str | None, tracking_uri: str | None, credentials: str) -> ExitCode:
    """Bring the baseline's model to `into`. That there is none yet is no error: only the candidate is scored then."""
    from modelship.core import workflow
    from modelship.core.credentials import read_credentials
    from modelship.core.run_directory import digest_folder
    from modelship.gate.gate import fetch_baseline_model
    from modelship.gate.request import Request

    if into is None:
        raise bad_input("`--fetch-baseline` needs `--baseline-model`.", "Name the folder to fetch it to.")
    workflow.set_outputs({"baseline-model": "", "baseline-digest": ""})
    located = fetch_baseline_model(
        Request(
            git=space.git,
            directory=space.directory,
            event=space.event,
            run_directory=space.run_directory,
            config_path=space.config_path,
            overrides=space.overrides,
            base=base,
            tracking_uri=tracking_uri,
            credentials=read_credentials(credentials),
        ),
        into.absolute(),
    )
    if located.path is None:
        workflow.say(f"modelship evaluate: there is no baseline model to fetch: {located.why_absent}.")
        return ExitCode.PASS
    workflow.say(f"modelship evaluate: fetched {located.name}")
    workflow.set_outputs({"baseline-model": str(located.path), "baseline-digest": digest_folder(located.path)})
    return ExitCode.PASS


def work(space: Workspace, baseline_model: Path | None, baseline_digest: str) -> Result:
    """Score, and annotate what does not hold."""
    from modelship.core import workflow
    from modelship.training.evaluate import Evaluation, evaluate

    record = evaluate(Evaluation(space.load(), space.run_directory, dict(os.environ), baseline_model, baseline_digest))
    if record.status == "error":
        return Result(record, ExitCode.BAD_INPUT)
    for check in record.checks:
        if not check.holds:
            level = "error" if check.severity == "critical" else "warning"
            wanted = f" Wanted: {check.limit}." if check.limit else ""
            workflow.annotate(level, Problem(f"`{check.name}` does not hold: {check.observed}.{wanted}"), "modelship evaluate")
    return Result(record, ExitCode.VERDICT_NO if record.status == "fail" else ExitCode.PASS)
