"""A registered version: what `register` writes on an MLflow server, and how it is found and fetched again.

A version is a model version of MLflow's. Its model and what was registered beside it are artifacts of the version's run. Its tags say
what the files must hash to: whoever changed a file on the way from there to here has not changed them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelship.core.config import Registry, bytes_of
from modelship.core.errors import bad_input, did_you_mean
from modelship.core.run_directory import digest_folder
from modelship.core.words import clean, counted
from modelship.registry.runs import ARTIFACTS, TAG_COMMIT, TAG_KEY
from modelship.registry.server import patiently

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
TAG_RUN_URL = "modelship.run-url"
"""The page of the workflow run that registered it."""
TAG_DATA = "modelship.data."
"""Before the path of a data file; the value is its hash."""

CHALLENGER = "challenger"
"""The alias of the newest registered version."""

MODEL = "model"
EXAMPLES = "examples.json"
SIGNATURE = "model.sig"
CARD = "model-card.md"
BILL_OF_MATERIALS = "bom.cdx.json"
GATE = "metric-gate.json"
METRICS = "metrics.json"
"""The files and the folder in the folder `modelship` of a run's artifacts; `predictions.parquet`, or another suffix, is there, too."""

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")
_NUMBER = re.compile(r"[vV]?([1-9][0-9]{0,9})\Z")
_MOST_FILES = 1_000
_MOST_EXAMPLES_BYTES = 4 * 1024 * 1024
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

    found = _present(client, ask) if number or _ALIAS.match(wanted) else None
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


def fetch(client: MlflowClient, version: RegisteredVersion, folder: Path, rules: Registry) -> Fetched:
    """Download a version's model and examples into `folder`, which is empty, and compare them with what was registered.

    Raises BadInput when they differ, when more is there than `rules` allow, and when `rules` require a signature that is not there
    or does not hold; InfrastructureError when the server does not answer.
    """
    who = f"v{version.version} of `{version.name}`"
    model = fetch_model(client, version.run_id, folder, bytes_of(rules.max_model_size), who)
    _compare(model, version.digest, f"the model of {who}")
    examples = None
    if version.examples:
        examples = fetch_file(client, version.run_id, EXAMPLES, folder, _MOST_EXAMPLES_BYTES, who)
        if examples is None:
            raise bad_input(f"the examples of {who} are gone.", "Register the model again from another commit, and deploy that.")
        _compare(examples, version.examples, f"`{EXAMPLES}` of {who}")
    return Fetched(model, examples, is_signed=False)


def fetch_model(client: MlflowClient, run_id: str, folder: Path, allowed: int, who: str) -> Path:
    """Download the model that `register` put beside a run, at most `allowed` bytes. Raises BadInput where there is none, or more."""
    from mlflow.entities import FileInfo

    def listed(path: str) -> Iterator[FileInfo]:
        for file in client.list_artifacts(run_id, path):
            if file.is_dir:
                yield from listed(file.path)
            else:
                yield file

    uri = client.tracking_uri
    files = patiently(lambda: list(listed(f"{ARTIFACTS}/{MODEL}")), uri)
    total = sum(file.file_size or 0 for file in files)
    if not files:
        raise bad_input(f"the model of {who} is gone.", "Has somebody deleted the artifacts of its MLflow run?")
    if total > allowed or len(files) > _MOST_FILES:
        raise bad_input(
            f"the model of {who} has {counted(len(files), 'file')} of {total:,} bytes.", "`registry.max-model-size` allows fewer."
        )
    return Path(patiently(lambda: client.download_artifacts(run_id, f"{ARTIFACTS}/{MODEL}", str(_made(folder))), uri))


def fetch_file(client: MlflowClient, run_id: str, name: str, folder: Path, allowed: int, who: str) -> Path | None:
    """Download a file that `register` put beside a run; None where there is none. Raises BadInput for more than `allowed` bytes."""
    uri = client.tracking_uri
    listed = {file.path: file for file in patiently(lambda: client.list_artifacts(run_id, ARTIFACTS), uri)}
    file = listed.get(f"{ARTIFACTS}/{name}")
    if file is None or file.is_dir:
        return None
    if (file.file_size or 0) > allowed:
        raise bad_input(f"`{name}` of {who} has {file.file_size:,} bytes.", f"At most {allowed:,} are fetched.")
    return Path(patiently(lambda: client.download_artifacts(run_id, f"{ARTIFACTS}/{name}", str(_made(folder))), uri))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _compare(path: Path, registered: str, what: str) -> None:
    found = f"sha256:{digest_folder(path)}"
    if found != registered:
        raise bad_input(
            f"{what} is not what was registered: its digest is {found[:19]}…, registered is {registered[:19]}….",
            "Somebody has changed it on the server. Do not deploy it: find out who, and register the model again.",
        )


def _present(client: MlflowClient, ask: Any) -> Any:
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
    model = _present(client, lambda: client.get_registered_model(name))
    if model is None:
        return f"no model is registered as `{name}`.", "Register it with `modelship register`, or mend `registry.name`."
    if is_number:
        return f"the model `{name}` has no version {clean(wanted, 50)}.", "`modelship deployments` and MLflow's page list them."
    aliases = did_you_mean(wanted, model.aliases)
    return f"the model `{name}` has no alias `{clean(wanted, 100)}`.", aliases or "Give the number of a version."
