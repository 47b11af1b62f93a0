"""Runs on an MLflow tracking server: read as baselines, written by training."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.errors import bad_input, did_you_mean
from modelship.core.metrics import Metrics, why_not_a_metric
from modelship.core.prediction_files import MAX_BYTES, SUFFIXES
from modelship.core.records import Scalar
from modelship.core.scratch import scratch_folder
from modelship.registry.names import mlflow_name
from modelship.registry.server import answering, page

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG_COMMIT = "modelship.commit"
TAG_MODEL = "modelship.model"
TAG_KEY = "modelship.key"
TAG_PREDICTIONS = "modelship.predictions"

ARTIFACTS = "modelship"
"""The folder of a run's artifacts that is ours."""

_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000
_MAX_FILES = 10_000


@dataclass(frozen=True)
class Run:
    """A finished run: metrics as they were last logged, the commit it was tagged with, its day (ISO 8601)."""

    id: str
    metrics: Metrics
    commit: str
    date: str
    predictions_hash: str = ""
    """`sha256:…` of the predictions that training logged with it; empty for a run that others logged."""


class Runs:
    """The runs on one tracking server. Every method raises InfrastructureError when the server does not answer."""

    def __init__(self, tracking_uri: str) -> None:
        # MLflow repeats a request 7 times by default, creates too, and waits minutes doing so.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self.tracking_uri = tracking_uri
        self._client: MlflowClient = MlflowClient(tracking_uri=tracking_uri)

    def check(self) -> None:
        """Ask the server something small, so that a wrong address shows before hours of training."""
        with answering(self.tracking_uri):
            self._client.search_experiments(max_results=1)

    def get(self, run_id: str) -> Run | None:
        """The run of that id, or None."""
        with answering(self.tracking_uri, absent_is_none=True):
            return _run(self._client.get_run(run_id))
        return None

    def at_commit(self, sha: str, model: str) -> Run | None:
        """The newest finished run of `model` that Modelship trained at commit `sha`, or None."""
        wanted = f"tags.`{TAG_COMMIT}` = '{sha}' and tags.`{TAG_MODEL}` = '{model}' and attributes.status = 'FINISHED'"
        found = self._search(wanted)
        return _run(found[0]) if found else None

    def champion(self, name: str) -> tuple[str, Run] | None:
        """Version and run behind the alias `champion` of a registered model, or None."""
        with answering(self.tracking_uri, absent_is_none=True):
            version = self._client.get_model_version_by_alias(name, "champion")
            return str(version.version), _run(self._client.get_run(version.run_id))
        return None

    def fetch_predictions(self, run_id: str, folder: str) -> str | None:
        """Download the predictions file that `train` logged with a run into `folder`. Its path, or None for a run that has none.

        Raises BadInput for a run with more than one, and for more than 512 MiB.
        """
        with answering(self.tracking_uri):
            listed = {
                posixpath.basename(file.path): file for file in self._client.list_artifacts(run_id, ARTIFACTS) if not file.is_dir
            }
            names = [name for suffix in SUFFIXES if (name := f"predictions{suffix}") in listed]
            if len(names) > 1:
                raise bad_input(f"MLflow run {run_id[:12]} holds {' and '.join(names)}.", "Delete one of them.")
            if not names:
                return None
            _check_size(listed[names[0]].file_size or 0, 1, f"{names[0]} of MLflow run {run_id[:12]}")
            return str(self._client.download_artifacts(run_id, f"{ARTIFACTS}/{names[0]}", folder))
        return None

    def fetch_model_of_version(self, name: str, version: str, folder: str) -> str | None:
        """Download the model of a registered version into `folder`. Its path, or None when the version has no files."""
        with answering(self.tracking_uri, absent_is_none=True):
            return self._download(self._client.get_model_version_download_uri(name, version), folder, f"{name} v{version}")
        return None

    def fetch_model_of_run(self, run_id: str, name: str, folder: str) -> str | None:
        """Download the model that a run logged into `folder`: its only one, else the one called `name`. Its path, or None.

        Raises BadInput for a run with several models of other names.
        """
        with answering(self.tracking_uri, absent_is_none=True):
            found = self._models(run_id)
            if name not in found and len(found) > 1:
                names = ", ".join(f"`{known}`" for known in sorted(found)[:8])
                raise bad_input(f"MLflow run {run_id[:12]} logged several models: {names}.", f"Call one of them `{name}`.")
            uri = found.get(name) or next(iter(found.values()), None)
            return self._download(uri, folder, f"MLflow run {run_id[:12]}") if uri else None
        return None

    def fetch_dataset(self, run_id: str, name: str, folder: str) -> str:
        """Download the file or folder that a dataset of a run was made from into `folder`: the one called `name`, or its only one.

        Its path; a path of this machine stays where it is. Raises BadInput for a run or a dataset that is not there, for several of
        them without a name, and for a source that is no file.
        """
        run = None
        with answering(self.tracking_uri, absent_is_none=True):
            run = self._client.get_run(run_id)
        if run is None:
            raise bad_input(f"MLflow knows no run `{run_id}`.", "Is the tracking URI right?")
        with answering(self.tracking_uri):
            return _download_source(_dataset(run, run_id, name), folder)
        raise AssertionError("`answering` passes every error on")

    def record(
        self,
        *,
        key: str,
        experiment: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Scalar],
        tags: Mapping[str, str],
        files: Mapping[str, Path],
    ) -> str:
        """Log one training, once for each `key`, and return the run's id.

        The run that the team's own code started during training (it carries the key, see `run_context`) is completed; without
        one a run is created. What the team logged itself stays. `files` become artifacts of these names, in our own folder.
        """
        with answering(self.tracking_uri):
            found = self._search(f"tags.`{TAG_KEY}` = '{key}'")
            run = found[0] if found else self._create(experiment, key)
            run_id: str = run.info.run_id
            log_values(self._client, run, metrics, params)
            for name, path in files.items():
                self._client.log_artifact(run_id, str(called(name, path)), ARTIFACTS)
            # The tags that make a run a baseline come last: a run that lacks some of its metrics is never found as one.
            finish(self._client, run_id, {**tags, TAG_KEY: key})
        return run_id

    def url(self, run_id: str) -> str:
        """The page of a run for a person, without credentials; empty for a store that is no server."""
        if not page(self.tracking_uri, "/"):
            return ""
        experiment = self._client.get_run(run_id).info.experiment_id
        return page(self.tracking_uri, f"/experiments/{experiment}/runs/{run_id}")

    def _models(self, run_id: str) -> dict[str, str]:
        """The models that a run logged: MLflow 3's own entities, else folders of artifacts with an `MLmodel` file. Name to URI."""
        run = self._client.get_run(run_id)
        ids = [output.model_id for output in (run.outputs.model_outputs if run.outputs else [])]
        logged = {str(self._client.get_logged_model(model_id).name): f"models:/{model_id}" for model_id in ids}
        if logged:
            return logged
        folders = [file.path for file in self._client.list_artifacts(run_id) if file.is_dir]
        return {
            folder: f"runs:/{run_id}/{folder}"
            for folder in folders
            if any(file.path == f"{folder}/MLmodel" for file in self._client.list_artifacts(run_id, folder))
        }

    def _download(self, uri: str, folder: str, name: str) -> str | None:
        import mlflow
        from mlflow.artifacts import download_artifacts

        # A URI of the registry or of a run says nothing of the server that knows it.
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        sizes = list(_sizes(uri, name))
        if not sizes:
            return None
        _check_size(sum(sizes), len(sizes), f"the model of {name}")
        path = Path(download_artifacts(artifact_uri=uri, dst_path=folder))
        if any(child.is_symlink() for child in path.rglob("*")):
            raise bad_input(f"the model of {name} holds a link.", "Log the files themselves.")
        return str(path)

    def _create(self, experiment: str, key: str) -> Any:
        return self._client.create_run(experiment_id(self._client, experiment), tags={TAG_KEY: key})

    def _search(self, filter_string: str) -> list[Any]:
        with answering(self.tracking_uri):
            experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
            return list(self._client.search_runs(experiments, filter_string, max_results=1, order_by=["attributes.start_time DESC"]))
        return []


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of that name, created where there is none."""
    found = find_experiment(client, name)
    if found is None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_experiment(name)
        except MlflowException as error:
            # Another process may have created it in between.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = find_experiment(client, name)
        if found is None:
            raise MlflowException(f"the experiment {name} that was made does not show yet")
    return found


def find_experiment(client: MlflowClient, name: str) -> str | None:
    """The id of the experiment of that name, or None."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found and found.name != name:
        raise MlflowException(f"the answer speaks of no experiment {name}")
    return str(found.experiment_id) if found else None


def log_values(client: MlflowClient, run: Any, metrics: Mapping[str, float], params: Mapping[str, Scalar]) -> None:
    """Log what `run` does not say already; what others logged stays."""
    from mlflow.entities import Metric, Param

    run_id = run.info.run_id
    now = int(datetime.now(UTC).timestamp() * 1000)
    named_metrics = {mlflow_name(name): value for name, value in metrics.items()}
    named_params = {mlflow_name(name): value for name, value in params.items()}
    new_metrics = [Metric(name, value, now, 0) for name, value in named_metrics.items() if run.data.metrics.get(name) != value]
    new_params = [Param(name, str(value)[:6000]) for name, value in named_params.items() if name not in run.data.params]
    for start in range(0, len(new_params), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=new_params[start : start + _PARAMS_AT_ONCE])
    for start in range(0, len(new_metrics), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=new_metrics[start : start + _METRICS_AT_ONCE])


def tag(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Tag a run, all at once."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value[:5000]) for name, value in tags.items()])


def finish(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Tag a run, and say that it has ended well."""
    tag(client, run_id, tags)
    client.set_terminated(run_id, "FINISHED")


def run_context(key: str) -> dict[str, str]:
    """Variables that make MLflow tag every run that the team's code starts, so that `Runs.record` finds it."""
    return {"MLFLOW_RUN_CONTEXT": json.dumps({TAG_KEY: key})}


def _run(run: Any) -> Run:
    values = {name: value for name, value in run.data.metrics.items() if not why_not_a_metric(value)}
    invalid = {name: why_not_a_metric(value) for name, value in run.data.metrics.items() if name not in values}
    started = datetime.fromtimestamp(run.info.start_time / 1000, UTC)
    commit = run.data.tags.get(TAG_COMMIT) or run.data.tags.get("mlflow.source.git.commit") or ""
    return Run(run.info.run_id, Metrics(values, invalid), commit, started.date().isoformat(), run.data.tags.get(TAG_PREDICTIONS) or "")


def _dataset(run: Any, run_id: str, name: str) -> Any:
    """The dataset of that name among those that a run logged, or its only one."""
    logged = {(item.dataset.name, item.dataset.digest): item.dataset for item in (run.inputs.dataset_inputs if run.inputs else [])}
    found = [dataset for dataset in logged.values() if not name or dataset.name == name]
    if len(found) == 1:
        return found[0]
    names = sorted({dataset.name for dataset in logged.values()})
    if not logged:
        raise bad_input(f"MLflow run {run_id[:12]} logged no dataset.", "Log it with `mlflow.log_input`.")
    if not found:
        raise bad_input(f"MLflow run {run_id[:12]} logged no dataset `{name[:80]}`.", did_you_mean(name, names))
    if len(names) == 1:
        raise bad_input(f"MLflow run {run_id[:12]} logged {len(found)} datasets called `{names[0][:80]}`.", "Give them names.")
    shown = ", ".join(f"`{known[:80]}`" for known in names[:8])
    raise bad_input(f"MLflow run {run_id[:12]} logged several datasets: {shown}.", "Name one: `dataset`.")


def _download_source(dataset: Any, folder: str) -> str:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        source = mlflow.data.get_source(dataset)
    except MlflowException:  # a type of source that this MLflow does not know
        source = None
    try:
        path = source and source.load(folder)
    except (NotImplementedError, TypeError):
        path = None
    if not isinstance(path, str | Path):
        remedy = "Log it with a file, a folder or a URL as its source."
        raise bad_input(f"the dataset `{dataset.name[:80]}` comes from `{dataset.source_type[:80]}`, which is no file.", remedy)
    return str(path)


def called(name: str, path: Path) -> Path:
    """`path` under the name that an artifact of it shall have."""
    if path.name == name:
        return path
    link = scratch_folder() / name
    link.symlink_to(path.resolve())
    return link


def _sizes(uri: str, name: str) -> Iterator[int]:
    """The sizes in bytes of all files at or below an artifact URI."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(uri)
    folders: list[str | None] = [None]
    while folders:
        for file in repository.list_artifacts(folders.pop()):
            if file.is_dir:
                folders.append(file.path)
            else:
                yield file.file_size or 0
        _check_size(0, len(folders), f"the model of {name}")


def _check_size(size: int, files: int, name: str) -> None:
    if size > MAX_BYTES or files > _MAX_FILES:
        raise bad_input(
            f"{name} has {files:,} files of {size / 1e6:,.0f} MB.", f"At most {MAX_BYTES // 1024 // 1024} MiB are fetched."
        )
