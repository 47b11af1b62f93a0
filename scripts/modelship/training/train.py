"""Train with the team's own command and record what went in and what came out."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelship.core import workflow
from modelship.core.config import LoadedConfig, seconds_of
from modelship.core.documents import flatten, read_document
from modelship.core.environments import interpreter
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.git import Git
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.prediction_files import MAX_BYTES, suffix_of
from modelship.core.records import DataFile, Scalar, TrainRecord
from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.core.words import counted
from modelship.data.dvc_files import data_files, is_within
from modelship.data.dvc_pull import state_of
from modelship.data.dvc_remotes import find_dvc_root
from modelship.training.interpreter import ask_interpreter
from modelship.training.process import Finished, run_command, training_environment

_CONVENTIONAL_PARAMS = "params.yaml"


@dataclass(frozen=True)
class Training:
    """What a training needs to know. `extra_environment` is given to the team's command beside its own variables."""

    loaded: LoadedConfig
    git: Git
    run_directory: RunDirectory
    environ: Mapping[str, str]
    extra_environment: Mapping[str, str]


def train(training: Training) -> TrainRecord:
    """Run the command and collect its results.

    A command that fails, hangs or leaves no fresh metrics gives a record of status `error` with the end of its log.
    Raises BadInput when configuration is missing.
    """
    loaded = training.loaded
    settings, directory = loaded.config.train, loaded.directory
    command = str(loaded.require("train.run"))
    metrics_path = str(loaded.require("train.metrics"))
    timeout = seconds_of(settings.timeout)

    with dvc_for(command, directory) as tools:
        environment = training_environment(training.environ, training.extra_environment, tools)
        team = ask_interpreter(settings.python, directory, environment)
        dirty = training.git.is_dirty()
        before = {name: _stamp(directory / name) for name in (metrics_path, settings.predictions) if name}
        promised = training.run_directory.digest()
        tables = _tables(loaded)
        with workflow.group(f"Train: {command}"), workflow.commands_stopped():
            finished = run_command(command, directory, environment, timeout)

    if training.run_directory.digest() != promised:
        # Records of earlier steps stand there: what training rewrote is no evidence any more.
        raise bad_input("training wrote into the run directory.", "Write results elsewhere.", path=str(training.run_directory.path))
    data = tuple(data_files(directory))
    found, problem = _results(finished, settings.timeout, command, directory, metrics_path, before, data)
    if settings.predictions and not problem:
        problem = _predictions_problem(directory, settings.predictions, before, data)
    notices = []
    if not team.version:
        notices.append(f"The interpreter `{settings.python}` did not answer: packages are not recorded.")
    return TrainRecord(
        model=loaded.config.model,
        status="error" if problem else "pass",
        summary=str(problem) if problem else f"trained in {finished.seconds:.0f} s, {counted(len(found.values), 'metric')}",
        problems=(problem,) if problem else (),
        notices=tuple(notices),
        command=command[:4000],
        exit_status=finished.exit_status,
        training_seconds=round(finished.seconds, 2),
        peak_memory_bytes=finished.peak_memory_bytes,
        metrics_path=metrics_path,
        metrics_uncommitted=not problem and training.git.differs_from_head(metrics_path),
        metrics=found.values,
        invalid_metrics=found.invalid,
        params=_params(loaded),
        data=data,
        packages=team.packages,
        python=team.version,
        dirty=dirty,
        tables_changed=_tables(loaded) != tables,
        model_digest=_digest(directory, settings.model),
        predictions=None if problem else _predictions(directory, settings.predictions),
        log_tail=finished.log_tail if problem else (),
    )


def keep_evidence(record: TrainRecord, loaded: LoadedConfig, run_directory: RunDirectory) -> None:
    """Put beside the record what a judge in another job needs: metrics, parameters, predictions, the configuration."""
    settings = loaded.config.train
    wanted = [record.metrics_path, params_path(loaded), settings.predictions, loaded.document.name]
    for name in wanted:
        path = loaded.directory / name if name and name != loaded.document.name else Path(name or "")
        if name and path.is_file():
            run_directory.attach(path, path.name)


def params_path(loaded: LoadedConfig) -> str | None:
    """The parameters file: the configured one, else `params.yaml` if there is one."""
    configured = loaded.config.train.params
    if configured or not (loaded.directory / _CONVENTIONAL_PARAMS).is_file():
        return configured
    return _CONVENTIONAL_PARAMS


def _results(
    finished: Finished,
    timeout: str,
    command: str,
    directory: Path,
    metrics_path: str,
    before: Mapping[str, tuple[int, str] | None],
    data: tuple[DataFile, ...],
) -> tuple[Metrics, Problem | None]:
    nothing = Metrics({}, {})
    shown = command if len(command) <= 60 else f"{command[:57]}…"
    if finished.timed_out:
        return nothing, Problem(f"training was stopped after {timeout}: `{shown}`.", "Make it faster or raise `train.timeout`.")
    if finished.exit_status != 0:
        status = finished.exit_status
        ended = f"ended with exit status {status}" if status > 0 else f"was ended by signal {-status}"
        # A shell gives 128 and the signal for a child of its own.
        killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
        remedy = "Most likely there was not enough memory." if killed else "Its last lines are in the log."
        return nothing, Problem(f"training failed: `{shown}` {ended}.", remedy)
    stale = _not_written(directory, metrics_path, "train.metrics", before, data)
    if stale:
        return nothing, stale
    try:
        return read_metrics(read_document(directory / metrics_path, metrics_path)), None
    except BadInput as error:
        return nothing, error.problems[0]


def _predictions_problem(
    directory: Path, name: str, before: Mapping[str, tuple[int, str] | None], data: tuple[DataFile, ...]
) -> Problem | None:
    """Why the predictions file is none that a judge could use. A promised one that is missing would be judged without intervals."""
    stale = _not_written(directory, name, "train.predictions", before, data)
    if stale:
        return stale
    if (directory / name).stat().st_size > MAX_BYTES:
        return Problem(f"`{name}` is larger than {MAX_BYTES // 1024 // 1024} MiB.", "Write fewer columns, or write Parquet.")
    return None


def _not_written(
    directory: Path, name: str, key: str, before: Mapping[str, tuple[int, str] | None], data: tuple[DataFile, ...]
) -> Problem | None:
    after = _stamp(directory / name)
    if after is None:
        return Problem(f"training did not write `{name}`.", f"Is `{key}` right?")
    if after == before[name] and not _vouched_by_dvc(directory, name, data):
        remedy = "It may be of another model. Write it anew on every run, or make it an output of a DVC stage."
        return Problem(f"training left `{name}` as it was.", remedy)
    return None


def _vouched_by_dvc(directory: Path, name: str, data: tuple[DataFile, ...]) -> bool:
    """Whether dvc.lock names exactly this content: `dvc repro` found everything up to date."""
    root = find_dvc_root(directory) or directory
    outputs = [file for file in data if file.hash.startswith("md5:") and is_within(posixpath.normpath(name), file.path)]
    return any(state_of(directory / file.path, file, root) == "right" for file in outputs)


def _stamp(path: Path) -> tuple[int, str] | None:
    return (path.stat().st_mtime_ns, digest_folder(path)) if path.is_file() else None


def _tables(loaded: LoadedConfig) -> list[str]:
    """What the tables that `validate` looks at hold."""
    named = [loaded.config.data.reference_path, loaded.config.data.current_path]
    return [_digest(loaded.directory, name) for name in named]


def _params(loaded: LoadedConfig) -> dict[str, Scalar]:
    path = params_path(loaded)
    if path is None:
        return {}
    values = flatten(read_document(loaded.directory / path, path).data, lists=False)
    return {name: value if isinstance(value, Scalar) else str(value) for name, value in values.items()}


def _digest(directory: Path, name: str | None) -> str:
    return digest_folder(directory / name) if name and (directory / name).exists() else ""


def _predictions(directory: Path, name: str | None) -> DataFile | None:
    if not name or not (directory / name).is_file():
        return None
    path = directory / name
    return DataFile(path=name, hash=f"sha256:{digest_folder(path)}", bytes=path.stat().st_size)


@contextmanager
def dvc_for(command: str, directory: Path) -> Iterator[Path | None]:
    """A folder with a `dvc` command when training asks for DVC and the team has none installed."""
    asks = re.search(r"\bdvc\b", command) is not None or (directory / "dvc.yaml").exists()
    if not asks or shutil.which("dvc"):
        yield None
        return
    python = interpreter("dvc")
    with tempfile.TemporaryDirectory(prefix="modelship-") as folder:
        script = Path(folder) / "dvc"
        script.write_text(f'#!/bin/sh\nDVC_NO_ANALYTICS=1 exec {shlex.quote(python)} -I -m dvc "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        yield script.parent


def training_key(repository: str, run_id: str | None, attempt: str, model: str) -> str:
    """What makes one training one run on the tracking server: repeated steps of a workflow run find it again."""
    return f"{repository}/{run_id}/{attempt}/{model}" if run_id else f"local/{os.urandom(8).hex()}/{model}"


def check_configured(loaded: LoadedConfig) -> None:
    """Raise BadInput at once for what would only show after training."""
    predictions = loaded.config.train.predictions
    loaded.require("train.run")
    metrics = str(loaded.require("train.metrics"))
    if Path(metrics).suffix.lower() not in (".json", ".yaml", ".yml", ".toml"):
        raise bad_input(f"`train.metrics` is `{metrics}`.", "Metrics are read from JSON, YAML or TOML.", path=loaded.document.name)
    if predictions and suffix_of(predictions) is None:
        raise bad_input(
            f"`train.predictions` is `{predictions}`.", "Predictions are read from Parquet or CSV.", path=loaded.document.name
        )
