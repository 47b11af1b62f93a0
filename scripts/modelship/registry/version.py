"""A registered version: what `register` writes on an MLflow server, and how it is found and fetched again.

A version is a model version of MLflow's. Its model and what was registered beside it are artifacts of the version's run. Its tags say
what the files must hash to: whoever changed a file on the way from there to here has not changed them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.config import Registry, bytes_of
from modelship.core.errors import bad_input, did_you_mean
from modelship.core.examples import EXAMPLES_NAME, MAX_EXAMPLES_BYTES
from modelship.core.run_directory import digest_folder
from modelship.core.words import clean, counted
from modelship.registry.admission.admit import MAX_FILES
from modelship.registry.runs import ARTIFACTS, TAG_COMMIT, TAG_KEY
from modelship.registry.server import patiently
from modelship.registry.signing.signatures import verify

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG_DIGEST = "modelship.digest"
"""`sha256:…` of the model folder, as `digest_folder` finds it."""
TAG_EXAMPLES = "modelship.examples"
"""`sha256:…` of `examples.json`; absent where a version has none."""
TAG_VERDICT = "modelship.verdict"
"""What the metric gate said: `pass` or `warn`."""
TAG_ACCEPTED = "modelship.accepted"
"""Who accepted a regression and why; absent where nobody had to."""
TAG_REPLACES = "modelship.replaces"
"""The version of the champion that this one was judged against, 0 for none; absent where it was judged against something else."""
TAG_RUN_URL = "modelship.run-url"
"""The page of the workflow run that registered it."""
TAG_DATA = "modelship.data."
"""Before the path of a data file; the value is its hash."""

CHALLENGER = "challenger"
"""The alias of the newest registered version."""

MODEL = "model"
EXAMPLES = EXAMPLES_NAME
SIGNATURE = "model.sig"
CARD = "model-card.md"
BILL_OF_MATERIALS = "bom.cdx.json"
CHECKSUMS = "model.sha256"
"""The model's files with their SHA-256, as `sha256sum --check` takes them in the folder that holds `model/`."""
GATE = "metric-gate.json"
METRICS = "metrics.json"
"""The files and the folder in the folder `modelship` of a run's artifacts; `predictions.parquet`, or another suffix, is there, too."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_NUMBER = re.compile(r"[vV]?([1-9][0-9]{0,9})\Z")
_MOST_SIGNATURE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model that `register` wrote."""

    name: str
    version: int
    key: str
    """SHA-256 of model digest, commit and configuration: there is one version of each."""
    digest: str
    """`sha256:…` of the model folder."""
    run_id: str
    """The MLflow run whose artifacts hold it."""
    commit: str = ""
    verdict: str = ""
    accepted: str = ""
    run_url: str = ""
    examples: str = ""
    """`sha256:…` of its examples; empty where it has none."""
    created_at: int = 0
    """Milliseconds since 1970, UTC, by the server's clock."""
    tags: Mapping[str, str] | None = None
    """All of its tags."""


@dataclass(frozen=True)
class Fetched:
    """A version's files, in a folder here, each hashed again and found as registered."""

    model: Path
    """The MLflow model folder."""
    examples: Path | None
    """Rows of the holdout and what the model answered; None where the version has none."""
    is_signed: bool
    """Whether its signature was verified with the team's public key."""


def find_version(client: MlflowClient, name: str, wanted: str) -> RegisteredVersion:
    """The version `7` (or `v7`) of the model `name`, or the one that the alias `wanted` names.

    Raises BadInput for a model, version or alias that is not there, and for a version that Modelship did not register;
    InfrastructureError when the server does not answer.
    """
    number = _NUMBER.match(wanted)

    def ask() -> Any:
        if number:
            return client.get_model_version(name, number[1])
        return client.get_model_version_by_alias(name, wanted)

    found = present(client, ask) if number or _ALIAS.match(wanted) else None
    if found is None:
        raise bad_input(*_absent(client, name, wanted, is_number=bool(number)))
    return as_registered(found)


def as_registered(version: Any) -> RegisteredVersion:
    """A model version of MLflow's as `register` writes them. Raises BadInput for any other."""
    tags = {str(name): str(value) for name, value in version.tags.items()}
    key, digest, examples = (tags.get(name, "") for name in (TAG_KEY, TAG_DIGEST, TAG_EXAMPLES))
    if not key or not _SHA256.match(digest) or (examples and not _SHA256.match(examples)) or not version.run_id:
        raise bad_input(
            f"v{version.version} of `{version.name}` was not registered by Modelship, so nothing says what its files must hash to.",
            "Register the model with `modelship register`.",
        )
    return RegisteredVersion(
        name=version.name,
        version=int(version.version),
        key=key,
        digest=digest,
        run_id=version.run_id,
        commit=tags.get(TAG_COMMIT, ""),
        verdict=tags.get(TAG_VERDICT, ""),
        accepted=tags.get(TAG_ACCEPTED, ""),
        run_url=tags.get(TAG_RUN_URL, ""),
        examples=examples,
        created_at=int(version.creation_timestamp or 0),
        tags=tags,
    )


def fetch(client: MlflowClient, version: RegisteredVersion, folder: Path, rules: Registry, *, directory: Path) -> Fetched:
    """Download a version's model and examples into `folder`, which is empty, and compare them with what was registered.

    `directory` is where the public key's path in `rules` starts from.

    Raises BadInput when they differ, when more is there than `rules` allow, and when `rules` require a signature that is not there
    or does not hold; InfrastructureError when the server does not answer.
    """
    who = f"v{version.version} of `{version.name}`"
    kept = Artifacts(client, version.run_id)
    model = kept.fetch_model(folder, bytes_of(rules.max_model_size), who)
    _compare(model, version.digest, f"the model of {who}")
    examples = None
    if version.examples:
        examples = kept.fetch_file(EXAMPLES, folder, MAX_EXAMPLES_BYTES, who)
        if examples is None:
            raise bad_input(f"the examples of {who} are gone.", "Register the model again from another commit, and deploy that.")
        _compare(examples, version.examples, f"`{EXAMPLES}` of {who}")
    signature = kept.fetch_file(SIGNATURE, folder, _MOST_SIGNATURE_BYTES, who) if rules.signing.public_key else None
    if signature is None and rules.signing.required:
        remedy = "Register a signed one: `modelship register --signing-key`."
        raise bad_input(f"{who} is not signed, and `registry.signing.required` is set.", remedy)
    if signature and rules.signing.public_key:
        verify(model.absolute(), signature.absolute(), directory / rules.signing.public_key)
    return Fetched(model, examples, is_signed=signature is not None)


class Artifacts:
    """The files that `register` puts beside a run. Every method raises InfrastructureError when the server does not answer."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._uri = client.tracking_uri
        # A client's own methods ask for the run, and for models logged to it, each time.
        run = patiently(lambda: seen(client.get_run(run_id), run_id), self._uri)
        self._repository: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=self._uri)

    def put(self, path: Path, folder: str = "") -> None:
        """Upload a file into a folder of ours, under its own name."""
        patiently(lambda: self._repository.log_artifact(str(path), _of_ours(folder)), self._uri)

    def sizes(self, folder: str = "") -> dict[str, int | None]:
        """The files in a folder of ours, by their paths in ours: bytes, where the store knows them."""
        return {posixpath.relpath(file.path, ARTIFACTS): file.file_size for file in self._list(folder) if not file.is_dir}

    def _all_sizes(self, folder: str) -> dict[str, int | None]:
        found: dict[str, int | None] = {}
        for file in self._list(folder):
            name = posixpath.relpath(file.path, ARTIFACTS)
            found |= self._all_sizes(name) if file.is_dir else {name: file.file_size}
            if len(found) > MAX_FILES:
                break
        return found

    def _list(self, folder: str) -> Any:
        return patiently(lambda: self._repository.list_artifacts(_of_ours(folder)), self._uri)

    def fetch_model(self, folder: Path, allowed: int, who: str) -> Path:
        """Download the model, at most `allowed` bytes. Raises BadInput where there is none, or more."""
        sizes = self._all_sizes(MODEL)
        total = sum(size or 0 for size in sizes.values())
        if not sizes:
            raise bad_input(f"the model of {who} is gone.", "Has somebody deleted the artifacts of its MLflow run?")
        if total > allowed or len(sizes) > MAX_FILES:
            raise bad_input(
                f"the model of {who} has {counted(len(sizes), 'file')} of {total:,} bytes.", "`registry.max-model-size` allows fewer."
            )
        return self.download(MODEL, folder)

    def fetch_file(self, name: str, folder: Path, allowed: int, who: str) -> Path | None:
        """Download a file of ours; None where there is none. Raises BadInput for more than `allowed` bytes."""
        sizes = self.sizes()
        if name not in sizes:
            return None
        size = sizes[name] or 0
        if size > allowed:
            raise bad_input(f"`{name}` of {who} has {size:,} bytes.", f"At most {allowed:,} are fetched.")
        return self.download(name, folder)

    def download(self, name: str, folder: Path) -> Path:
        """Download a file or folder of ours, whatever its size."""
        folder.mkdir(parents=True, exist_ok=True)
        return Path(patiently(lambda: self._repository.download_artifacts(_of_ours(name), str(folder)), self._uri))


def _of_ours(path: str) -> str:
    return posixpath.normpath(posixpath.join(ARTIFACTS, path))


def seen(run: Any, run_id: str) -> Any:
    """The run, if it is the one that was asked for: an answer without content makes one that is none."""
    from mlflow.exceptions import MlflowException

    if run.info is None or run.info.run_id != run_id:
        raise MlflowException(f"the answer speaks of no run {run_id[:12]}")
    return run


def _compare(path: Path, registered: str, what: str) -> None:
    found = f"sha256:{digest_folder(path)}"
    if found != registered:
        raise bad_input(
            f"{what} is not what was registered: its digest is {found[:19]}…, registered is {registered[:19]}….",
            "Somebody has changed it on the server. Do not deploy it: find out who, and register the model again.",
        )


def present(client: MlflowClient, ask: Any) -> Any:
    """What `ask` returns, or None where MLflow says that there is no such thing."""
    from mlflow.exceptions import MlflowException

    def look() -> Any:
        try:
            return ask()
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
                return None
            raise

    return patiently(look, client.tracking_uri)


def _absent(client: MlflowClient, name: str, wanted: str, *, is_number: bool) -> tuple[str, str]:
    """Message and remedy for a version that is not there."""
    model = present(client, lambda: client.get_registered_model(name))
    if model is None:
        return f"no model is registered as `{name}`.", "Register it with `modelship register`, or mend `registry.name`."
    if is_number:
        return f"the model `{name}` has no version {clean(wanted, 50)}.", "`modelship deployments` and MLflow's page list them."
    aliases = did_you_mean(wanted, model.aliases)
    return f"the model `{name}` has no alias `{clean(wanted, 100)}`.", aliases or "Give the number of a version."
