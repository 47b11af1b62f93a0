"""`modelship train`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from modelship.commands.frame import Result, Workspace, config_option, model_option, run
from modelship.core.environments import need
from modelship.core.errors import ExitCode
from modelship.core.records import TrainRecord


@click.command("train")
@config_option
@model_option
@click.option("--run", "run_", envvar="MODELSHIP_TRAIN_RUN", metavar="COMMAND", help="The training command (key `train.run`).")
@click.option("--metrics", help="The metrics file that training writes (key `train.metrics`).")
@click.option("--params", help="The parameters file (key `train.params`).")
@click.option("--predictions", help="The predictions file that training writes (key `train.predictions`).")
@click.option("--model-path", help="The MLflow model folder that training writes (key `train.model`).")
@click.option("--timeout", help="When training is stopped, as `60m` (key `train.timeout`).")
@click.option("--python", help="The team's interpreter (key `train.python`).")
@click.option("--tracking-uri", help="The MLflow server to log the run to; MLFLOW_TRACKING_URI without it.")
def command(config: Path, model: str | None, run_: str | None, tracking_uri: str | None, **given: str | None) -> None:
    """Run the team's training, in the team's environment, and record what it produced."""
    model_path = given.pop("model_path")
    overrides = {
        "model": model,
        "train.run": run_,
        "train.model": model_path,
        **{f"train.{name}": value for name, value in given.items()},
    }
    run("train", config, overrides, lambda space: work(space, tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")))


def work(space: Workspace, tracking_uri: str | None) -> Result:
    """Train, keep the evidence, and log it to MLflow where there is a server."""
    from modelship.training.train import Training, check_configured, keep_evidence, train, training_key

    loaded = space.load()
    check_configured(loaded)
    team = dict(os.environ)  # Before our own use of MLflow sets anything.
    key = training_key(space.event.repository, space.event.run_id, space.event.run_attempt, loaded.config.model)
    extra: dict[str, str] = {}
    runs: Any = None
    if tracking_uri:
        need("registry")
        from modelship.registry.runs import Runs, run_context

        runs = Runs(tracking_uri)
        runs.check()
        extra = {
            "MLFLOW_TRACKING_URI": tracking_uri,
            "MLFLOW_EXPERIMENT_NAME": _experiment(loaded.config.model),
            **run_context(key),
        }
    record = train(Training(loaded, space.git, space.run_directory, team, extra))
    if record.status == "error":
        return Result(record, ExitCode.BAD_INPUT)
    keep_evidence(record, loaded, space.run_directory)
    if runs:
        # Written before MLflow is asked to keep it: should the server fail now, the results are not lost.
        space.run_directory.write("train", record)
        record = _logged(record, runs, key, loaded.config.model, space)
    outputs = {
        "mlflow-run": record.mlflow_run,
        "model-folder": str(space.directory / str(loaded.config.train.model)) if record.model_digest else "",
        "tables-changed": str(record.tables_changed).lower(),
    }
    return Result(record, ExitCode.PASS, outputs)


def _logged(record: TrainRecord, runs: Any, key: str, model: str, space: Workspace) -> TrainRecord:
    from modelship.core.prediction_files import suffix_of
    from modelship.registry.runs import TAG_COMMIT, TAG_MODEL, TAG_PREDICTIONS

    files = {"train.json": space.run_directory.record_path("train")}
    if record.predictions:
        files[f"predictions{suffix_of(record.predictions.path)}"] = space.directory / record.predictions.path
    tags = {
        TAG_MODEL: model,
        "modelship.dirty": str(record.dirty).lower(),
        "modelship.command": record.command,
        "modelship.duration-seconds": str(record.training_seconds),
        "modelship.peak-memory-bytes": str(record.peak_memory_bytes),
        "modelship.python": record.python,
        "modelship.model-digest": record.model_digest,
        TAG_PREDICTIONS: record.predictions.hash if record.predictions else "",
        **{f"modelship.data.{_tag_name(file.path)}": file.hash for file in record.data[:50]},
    }
    commit = space.git.head()
    if commit:
        tags[TAG_COMMIT] = commit
    run_id = runs.record(
        key=key,
        experiment=_experiment(model),
        metrics=record.metrics,
        params=record.params,
        tags={name: value for name, value in tags.items() if value},
        files=files,
    )
    return msgspec.structs.replace(record, mlflow_run=run_id, mlflow_url=runs.url(run_id))


def _experiment(model: str) -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or model


def _tag_name(path: str) -> str:
    """MLflow allows letters, digits and `_-. /:` in the name of a tag."""
    return "".join(character if character.isalnum() or character in "_-./" else "_" for character in path)[:200]
