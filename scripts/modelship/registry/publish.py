"""Publication: exactly one run and one version for each key on an MLflow server, however often requests or processes die on the way.

MLflow has no idempotent create. So each step looks before it creates and looks again afterwards, whatever the answer was; a version
is created last, in one request with all that it says, when all of its files are there; and what came into being twice all the same
is taken away at the end: the lowest number stays, and its run. Every step may be repeated, by this process or by another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelship.core import workflow
from modelship.core.errors import infrastructure
from modelship.core.records import Scalar
from modelship.core.run_directory import digest_folder
from modelship.core.scratch import scratch_folder
from modelship.registry.names import mlflow_name
from modelship.registry.runs import ARTIFACTS, TAG_KEY, called, experiment_id, find_experiment, finish, log_values, tag
from modelship.registry.server import patiently
from modelship.registry.version import CHALLENGER, MODEL, TAG_DIGEST, Artifacts, RegisteredVersion, as_registered, seen

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

TAG_REGISTERED = "modelship.register-key"
"""On a run: the key of the version whose files it holds. A run that `train` logged is taken where there is one."""

_PAGE = 1000
_ATTEMPTS = 50

T = TypeVar("T")


@dataclass(frozen=True)
class Publication:
    """What shall be registered."""

    name: str
    """Of the registered model; letters, digits, dot, dash and underscore."""
    key: str
    digest: str
    """`sha256:…` of the model folder."""
    model: Path
    files: Mapping[str, Path]
    """What stands beside the model, by name."""
    tags: Mapping[str, str]
    """Of the version."""
    description: str
    experiment: str
    """Where a run is made if there is none."""
    training_run: str = ""
    """The run that `train` logged; empty for none."""
    run_tags: Mapping[str, str] = field(default_factory=dict)
    """Of the run."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of a run that is made; `params`, too."""
    params: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """The version of the key."""

    version: RegisteredVersion
    created: bool
    """Whether this process made it."""


def publish(client: MlflowClient, publication: Publication) -> Published:
    """Register what `publication` says, once for each key, and let `challenger` name the newest version.

    Raises InfrastructureError when the server does not answer, or does not keep what it is given.
    """
    return _Publisher(client, publication).publish()


class _Publisher:
    def __init__(self, client: MlflowClient, wanted: Publication) -> None:
        self.client, self.wanted = client, wanted
        self._experiment: str | None = None

    def publish(self) -> Published:
        run_id = ""
        if not self._patiently(self._versions):
            run_id = self._patiently(self._run)
            self._upload(run_id)
        version = as_registered(self._patiently(partial(self._settle, run_id)))
        self._patiently(self._name_challenger)
        return Published(version, created=version.run_id == run_id)

    # Runs --------------------------------------------------------------------------------------------------------------------------

    def _run(self) -> str:
        """The id of the run that takes the files: training's, else the one of this key, made and filled where it is missing."""
        training = self._training_run()
        if training is not None:
            # Training knows nothing of what evaluation has left; what it said itself stays.
            missing = {name: value for name, value in self._tags_of_run().items() if name not in training.data.tags}
            if missing:
                tag(self.client, training.info.run_id, missing)
            return str(training.info.run_id)
        if not self._runs():
            self._experiment = self._experiment or experiment_id(self.client, self.wanted.experiment)
            self.client.create_run(self._experiment, tags={TAG_REGISTERED: self.wanted.key})
        runs = self._runs()
        if not runs:
            raise _unseen("run")
        run_id = str(runs[0].info.run_id)
        log_values(self.client, runs[0], self.wanted.metrics, self.wanted.params)
        finish(self.client, run_id, self._tags_of_run())
        kept = seen(self.client.get_run(run_id), run_id)
        is_whole = (
            kept.data.metrics.keys() >= set(map(mlflow_name, self.wanted.metrics))
            and kept.data.params.keys() >= set(map(mlflow_name, self.wanted.params))
            and kept.data.tags.keys() >= self._tags_of_run().keys()
            and kept.info.status == "FINISHED"
        )
        if not is_whole:
            raise _unseen("log of the run")
        return run_id

    def _tags_of_run(self) -> dict[str, str]:
        return {**self.wanted.run_tags, TAG_REGISTERED: self.wanted.key}

    def _training_run(self) -> Any:
        """The run that `train` logged, unless this server does not know it, or it holds another version's files."""
        from mlflow.exceptions import MlflowException

        if not self.wanted.training_run:
            return None
        try:
            run = seen(self.client.get_run(self.wanted.training_run), self.wanted.training_run)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        is_free = run.data.tags.get(TAG_REGISTERED, self.wanted.key) == self.wanted.key
        return run if is_free and run.info.lifecycle_stage == "active" else None

    def _runs(self) -> list[Any]:
        """The runs that were made for this key, the first one first."""
        self._experiment = self._experiment or find_experiment(self.client, self.wanted.experiment)
        if self._experiment is None:
            return []
        found = self.client.search_runs([self._experiment], f"tags.`{TAG_REGISTERED}` = '{self.wanted.key}'", max_results=_PAGE)
        return sorted((run for run in found if TAG_KEY not in run.data.tags), key=lambda run: (run.info.start_time, run.info.run_id))

    # Files -------------------------------------------------------------------------------------------------------------------------

    def _upload(self, run_id: str) -> None:
        """Put everything into the run's artifacts, and read the model back: a version names nothing that is not there."""
        kept = Artifacts(self.client, run_id)
        for _ in range(2):
            for path, folder in self._uploads():
                kept.put(path, folder)
            if self._is_whole(kept):
                return
            workflow.say("MLflow: what was uploaded came back otherwise; uploading again")
        raise infrastructure(
            "the MLflow server does not keep files as they were uploaded.", "Look at its artifact store, and register again."
        )

    def _is_whole(self, kept: Artifacts) -> bool:
        """Whether the server has every file in full length, and gives the model back as it is."""
        sizes = kept.sizes()
        if any(sizes.get(name, -1) not in (path.stat().st_size, None) for name, path in self.wanted.files.items()):
            return False
        return f"sha256:{digest_folder(kept.download(MODEL, scratch_folder()))}" == self.wanted.digest

    def _uploads(self) -> Iterator[tuple[Path, str]]:
        """Each file, and the folder of ours that it belongs in."""
        for path in sorted(self.wanted.model.rglob("*")):
            if path.is_file():
                yield path, (Path(MODEL) / path.parent.relative_to(self.wanted.model)).as_posix()
        for name, path in self.wanted.files.items():
            yield called(name, path), ""

    # Versions ----------------------------------------------------------------------------------------------------------------------

    def _versions(self) -> list[Any]:
        """The versions of this key, the lowest number first."""
        filters = f"name = '{self.wanted.name}' and tags.`{TAG_KEY}` = '{self.wanted.key}'"
        found = self.client.search_model_versions(filters, max_results=_PAGE)
        ours = [one for one in found if one.name == self.wanted.name and one.tags.get(TAG_KEY) == self.wanted.key]
        return sorted(ours, key=lambda one: int(one.version))

    def _settle(self, run_id: str) -> Any:
        """The version that stays, made where there is none. What else came into being for the key goes, unless it is used."""
        for _ in range(_ATTEMPTS):
            versions = self._versions()
            if not versions:
                self._create_version(run_id)
                versions = self._versions()
            if not versions:
                raise _unseen("version")
            aliases = self.client.get_registered_model(self.wanted.name).aliases if versions[1:] else {}
            used = {str(number) for alias, number in aliases.items() if alias != CHALLENGER}
            stay = [version for version in versions if version is versions[0] or str(version.version) in used]
            held = {version.run_id for version in stay}
            runs = [run.info.run_id for run in self._runs() if run.info.run_id not in held]
            if len(stay) == len(versions) and not runs:
                return versions[0]
            for version in versions:
                if version not in stay:
                    _unless_gone(partial(self.client.delete_model_version, version.name, version.version))
            for other in runs:
                _unless_gone(partial(self.client.delete_run, other))
        raise infrastructure(
            f"`{self.wanted.name}` does not come to have exactly one version of this model.",
            "Does somebody delete versions, or may this account not?",
        )

    def _create_version(self, run_id: str) -> None:
        """All at once: whoever sees the version sees all that it says."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            raise _unseen("version")
        source = f"runs:/{run_id}/{ARTIFACTS}/{MODEL}"
        tags, description = dict(self.wanted.tags), self.wanted.description
        try:
            self.client.create_registered_model(self.wanted.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        try:
            self.client.create_model_version(
                self.wanted.name, source, run_id=run_id, tags=tags, description=description, await_creation_for=0
            )
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise _unseen("registered model") from error
            raise

    def _name_challenger(self) -> None:
        """Let the alias name the newest version. Who reads again after writing leaves what is true, however many do so at once."""
        for _ in range(_ATTEMPTS):
            newest = self._newest()
            # A database that is asked without a server gives numbers.
            if str(self.client.get_registered_model(self.wanted.name).aliases.get(CHALLENGER)) == newest:
                return
            self.client.set_registered_model_alias(self.wanted.name, CHALLENGER, newest)
        raise infrastructure(
            f"the alias `{CHALLENGER}` of `{self.wanted.name}` does not stay at the newest version.", "What else sets it?"
        )

    def _newest(self) -> str:
        token: str | None = None
        while token is None or token:
            page = self.client.search_model_versions(
                f"name = '{self.wanted.name}'", max_results=_PAGE, order_by=["version_number DESC"], page_token=token
            )
            for version in page:
                if version.name == self.wanted.name and TAG_DIGEST in version.tags:
                    return str(version.version)
            token = page.token or ""
        raise _unseen("version")

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self.client.tracking_uri)


def _unseen(what: str) -> MlflowException:
    """What was made does not show: an answer was empty, or the server is behind. To be asked again."""
    from mlflow.exceptions import MlflowException

    return MlflowException(f"the {what} that was made does not show yet")


def _unless_gone(delete: Callable[[], object]) -> None:
    from mlflow.exceptions import MlflowException

    try:
        delete()
    except MlflowException as error:
        # A run that another process has deleted in between is there, but no longer active.
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
