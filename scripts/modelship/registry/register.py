"""Register a model that the gate let pass: admitted, described, signed where the team signs, and published once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from modelship.core.config import LoadedConfig
from modelship.core.errors import BadInput, bad_input
from modelship.core.examples import read_examples
from modelship.core.prediction_files import suffix_of
from modelship.core.records import DataFile, RegisterRecord
from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.core.scratch import scratch_folder
from modelship.core.words import clean, clip
from modelship.registry.admission.admit import ModelFile, admit
from modelship.registry.bill_of_materials import Materials, PlainFile, bill_of_materials, pinned
from modelship.registry.evidence import Evidence, read_evidence
from modelship.registry.names import mlflow_name
from modelship.registry.publish import Publication, Published, publish
from modelship.registry.runs import TAG_COMMIT, TAG_KEY, TAG_MODEL, TAG_PREDICTIONS
from modelship.registry.server import connect, page
from modelship.registry.signing.signatures import sign, verify
from modelship.registry.version import (
    BILL_OF_MATERIALS,
    CARD,
    CHECKSUMS,
    EXAMPLES,
    GATE,
    METRICS,
    SIGNATURE,
    TAG_ACCEPTED,
    TAG_DATA,
    TAG_DIGEST,
    TAG_EXAMPLES,
    TAG_REPLACES,
    TAG_RUN_URL,
    TAG_VERDICT,
)

TAG_PACKAGES = "modelship.packages"
"""`name==version`, one a line, of what training had installed; cut, the bill of materials has all."""
TAG_PARAMETER = "modelship.param."

_LONGEST_DESCRIPTION = 5000
"""MLflow 3.17, `store/model_registry/dbmodels/models.py`: a database refuses a longer one, or cuts it."""
_LONGEST_PACKAGES = 20_000
_LONGEST_TAG = 1000
_MOST_TAGGED = 100
_CUT = f"\n\n…\n\nThe whole card is `{CARD}`, among the artifacts of the version's run.\n"

Card = Callable[[str, Sequence[str], Evidence], str]
"""Writes the model card: from the model's digest, the formats of its files, and the evidence."""


@dataclass(frozen=True)
class Registration:
    """What a registration needs to know."""

    loaded: LoadedConfig
    run_directory: RunDirectory
    commit: str | None
    """The commit that is checked out."""
    tracking_uri: str
    experiment: str
    """Of a run that is made, where training logged none."""
    card: Card
    model: str | None = None
    """The model's folder; `train.model` without it."""
    run_url: str = ""
    """The page of the workflow run."""
    signing_key: str = field(default="", repr=False)


def register(registration: Registration) -> RegisterRecord:
    """Register the model; a record of status `fail` when a command before this one said no.

    Raises BadInput when evidence is missing or speaks of another model, and for a model that is not admitted; InfrastructureError
    when the server does not answer.
    """
    config, rules = registration.loaded.config, registration.loaded.config.registry
    model = _model_folder(registration)
    evidence = read_evidence(registration.run_directory, model, registration.commit)
    if evidence.refusal:
        return RegisterRecord(model=config.model, status="fail", summary=evidence.refusal[:2000], name=config.registered_name)
    admitted = admit(model, rules)
    if rules.signing.required and not registration.signing_key:
        raise BadInput(
            registration.loaded.problem(
                "`registry.signing.required` is set, and no key was given to sign with.",
                "Give `--signing-key`, in a workflow from a secret.",
                at="registry.signing.required",
            )
        )
    formats = tuple(sorted({file.format for file in admitted} & {*rules.formats, "pickle", "code"}))
    key = version_key(evidence.digest, registration.commit, registration.loaded)
    card = registration.card(evidence.digest, formats, evidence)
    run_directory = registration.run_directory
    materials = _materials(registration, evidence, key, admitted)
    files = {
        GATE: run_directory.record_path("metric-gate"),
        METRICS: _written(METRICS, json.dumps(evidence.metrics, indent=2, sort_keys=True).encode() + b"\n"),
        CARD: run_directory.put(CARD, card.encode(errors="replace")),
        BILL_OF_MATERIALS: run_directory.put(BILL_OF_MATERIALS, bill_of_materials(materials)),
        CHECKSUMS: run_directory.put(CHECKSUMS, checksums(materials.files)),
    }
    if evidence.predictions:
        files[f"predictions{suffix_of(evidence.predictions.name)}"] = evidence.predictions
    examples = 0
    if evidence.examples:
        examples = len(read_examples(evidence.examples.read_bytes(), EXAMPLES).predictions)
        files[EXAMPLES] = evidence.examples
    if registration.signing_key:
        files[SIGNATURE] = _signed(registration, model)
    published = _publish(registration, evidence, key, card, files)
    record = _record(registration, evidence, published, admitted, formats, examples)
    return msgspec.structs.replace(
        record, checksums_digest=digest_folder(files[CHECKSUMS]), bom_digest=digest_folder(files[BILL_OF_MATERIALS])
    )


def version_key(digest: str, commit: str | None, loaded: LoadedConfig) -> str:
    """SHA-256 of what makes a version: the model's files, the commit, the configuration with what options changed of it."""
    configuration = hashlib.sha256(msgspec.json.encode(loaded.config, order="deterministic")).hexdigest()
    return hashlib.sha256("\n".join((digest, commit or "", configuration)).encode()).hexdigest()


def checksums(files: Sequence[PlainFile]) -> bytes:
    """The files as `sha256sum` lists them, by path. It says no more than the model's digest does, in a form that others can check."""
    return "".join(f"{file.sha256}  model/{file.path}\n" for file in sorted(files, key=lambda file: file.path)).encode()


def description(card: str) -> str:
    """As much of the card as MLflow takes, whole paragraphs."""
    if len(card) <= _LONGEST_DESCRIPTION:
        return card
    start = card[: _LONGEST_DESCRIPTION - len(_CUT)]
    return max(start.rpartition("\n\n")[0], start.rpartition("\n")[0][: len(start) // 2], key=len) + _CUT


def _model_folder(registration: Registration) -> Path:
    name = registration.model or str(registration.loaded.require("train.model"))
    path = registration.loaded.directory / name
    if path.is_symlink() or not path.is_dir():
        remedy = "Bring it here before this step, as training wrote it, or name it with `--model-path`."
        raise bad_input("the model's folder does not exist.", remedy, path=path.as_posix())
    return path


def _materials(registration: Registration, evidence: Evidence, key: str, admitted: Sequence[ModelFile]) -> Materials:
    trained, model = evidence.trained, _model_folder(registration)
    files = [PlainFile(file.path, file.format, digest_folder(model / file.path), file.bytes) for file in admitted]
    requirements = model / "requirements.txt"
    # Where the team's interpreter did not answer, MLflow's own list is what is known.
    packages = trained.packages or (
        pinned(requirements.read_text(encoding="utf-8", errors="replace")) if requirements.is_file() else {}
    )
    return Materials(
        name=registration.loaded.config.registered_name,
        key=key,
        digest=evidence.digest,
        commit=registration.commit or "",
        files=files,
        data=tuple(_data(evidence)),
        packages=packages,
        python=trained.python,
        metrics=evidence.metrics,
        params=trained.params,
    )


def _data(evidence: Evidence) -> Iterator[DataFile]:
    """What DVC tracks, and the table that the model was scored on where DVC does not know it."""
    yield from evidence.trained.data
    table = evidence.evaluated.table if evidence.evaluated else None
    if table and table.path not in {file.path for file in evidence.trained.data}:
        yield table


def _written(name: str, content: bytes) -> Path:
    path = scratch_folder() / name
    path.write_bytes(content)
    return path


def _signed(registration: Registration, model: Path) -> Path:
    signature = scratch_folder() / SIGNATURE
    sign(model.absolute(), signature, registration.signing_key)
    public_key = registration.loaded.config.registry.signing.public_key
    if public_key:
        # Two keys that do not belong together show now, and not when somebody wants to deploy.
        verify(model.absolute(), signature, registration.loaded.directory / public_key)
    return signature


def _publish(registration: Registration, evidence: Evidence, key: str, card: str, files: Mapping[str, Path]) -> Published:
    trained, config = evidence.trained, registration.loaded.config
    lineage = {TAG_MODEL: config.model, TAG_COMMIT: registration.commit or "", "modelship.dirty": str(trained.dirty).lower()}
    run_tags = {
        **lineage,
        "modelship.model-digest": evidence.digest,
        TAG_PREDICTIONS: f"sha256:{digest_folder(evidence.predictions)}" if evidence.predictions else "",
    }
    publication = Publication(
        name=config.registered_name,
        key=key,
        digest=f"sha256:{evidence.digest}",
        model=_model_folder(registration),
        files=files,
        tags={name: value for name, value in {**lineage, **_tags(registration, evidence, key)}.items() if value},
        description=description(card),
        experiment=registration.experiment,
        training_run=trained.mlflow_run,
        run_tags={name: value for name, value in run_tags.items() if value},
        metrics=trained.metrics,
        params=trained.params,
    )
    return publish(connect(registration.tracking_uri), publication)


def _tags(registration: Registration, evidence: Evidence, key: str) -> dict[str, str]:
    trained, judged = evidence.trained, evidence.judged
    accepted = judged.acceptance
    packages = "\n".join(f"{name}=={version}" for name, version in sorted(trained.packages.items()))
    data = {file.path: file.hash for file in _data(evidence)}
    return {
        TAG_KEY: key,
        TAG_DIGEST: f"sha256:{evidence.digest}",
        TAG_EXAMPLES: f"sha256:{digest_folder(evidence.examples)}" if evidence.examples else "",
        TAG_VERDICT: judged.status,
        TAG_ACCEPTED: clean(f"{accepted.by}: {accepted.reason}", _LONGEST_TAG) if accepted else "",
        TAG_RUN_URL: registration.run_url,
        TAG_REPLACES: "" if judged.baseline is None or judged.baseline.version is None else str(judged.baseline.version),
        "modelship.baseline": clean(judged.baseline.label, _LONGEST_TAG) if judged.baseline else "",
        "modelship.python": trained.python,
        TAG_PACKAGES: clip(packages, _LONGEST_PACKAGES),
        **_listed(TAG_DATA, data),
        **_listed(TAG_PARAMETER, trained.params),
    }


def _listed(prefix: str, values: Mapping[str, object]) -> dict[str, str]:
    """Tags of a common beginning, under names that MLflow takes; the first hundred."""
    return {
        mlflow_name(f"{prefix}{name}"): clean(str(value), _LONGEST_TAG)
        for name, value in list(values.items())[:_MOST_TAGGED]
        if value is not None
    }


def _record(
    registration: Registration,
    evidence: Evidence,
    published: Published,
    admitted: Sequence[ModelFile],
    formats: tuple[str, ...],
    examples: int,
) -> RegisterRecord:
    version = published.version
    notices = []
    if not evidence.examples:
        scored = evidence.evaluated
        why = scored.why_no_examples if scored else "the model was not evaluated"
        notices.append(f"Smoke tests have no example to ask for: {why or 'evaluation left none'}.")
    done = "registered as" if published.created else "was registered before, as"
    return RegisterRecord(
        model=registration.loaded.config.model,
        status="pass",
        summary=f"{done} {version.name} v{version.version}",
        notices=tuple(notices),
        name=version.name,
        version=version.version,
        key=version.key,
        digest=version.digest,
        created=published.created,
        formats=formats,
        bytes=sum(file.bytes for file in admitted),
        examples=examples,
        signed=bool(registration.signing_key),
        mlflow_run=version.run_id,
        mlflow_url=page(registration.tracking_uri, f"/models/{version.name}/versions/{version.version}"),
    )
