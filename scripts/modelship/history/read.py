"""Read a model's past from an MLflow server: its versions, the ledger of its deployments, and what was seen of it in production."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.errors import BadInput, bad_input
from modelship.core.records import MAX_RECORD_BYTES, MetricGateRecord, read_record
from modelship.core.scratch import scratch_folder
from modelship.deployment.ledger import CHAMPION
from modelship.deployment.log import Log
from modelship.history.past import Past, Question, Version
from modelship.monitoring.kept import recall
from modelship.monitoring.questions import Recall
from modelship.registry.runs import ARTIFACTS, TAG_COMMIT
from modelship.registry.server import connect, patiently
from modelship.registry.version import GATE, TAG_ACCEPTED, TAG_RUN_URL, TAG_VERDICT, present

_PAGE = 1000


def read(question: Question) -> Past:
    """The past of a registered model. Raises BadInput where there is no such model, InfrastructureError without an answer."""
    client = connect(question.tracking_uri)
    model = present(client, lambda: client.get_registered_model(question.name))
    if model is None:
        raise bad_input(
            f"no model is registered as `{question.name}`.", "Register it with `modelship register`, or mend `registry.name`."
        )
    listed = patiently(lambda: _listed(client, question.name), question.tracking_uri)
    recalled = recall(Recall(tracking_uri=question.tracking_uri, name=question.name, newest=question.most_batches))
    champion = model.aliases.get(CHAMPION)
    return Past(
        versions=tuple(_version(client, version) for version in listed[: question.most_versions]),
        entries=Log(question.tracking_uri, question.name).read(),
        records=tuple(msgspec.structs.replace(record, quality=None, drift=None, performance=None) for record in recalled.records),
        asked=recalled.asked,
        champion=int(champion) if champion else None,
        older_versions=max(len(listed) - question.most_versions, 0),
        older_batches=recalled.older,
    )


def _listed(client: Any, name: str) -> list[Any]:
    """All versions, the newest first."""
    found: list[Any] = []
    token: str | None = None
    while token is None or token:
        page = client.search_model_versions(f"name = '{name}'", max_results=_PAGE, page_token=token)
        # A database may compare names without regard to case.
        found += [version for version in page if version.name == name]
        token = page.token or ""
    return sorted(found, key=lambda version: -int(version.version))


def _version(client: Any, found: Any) -> Version:
    tags = {str(name): str(value) for name, value in (found.tags or {}).items()}
    known = Version(
        version=int(found.version),
        created_at=int(found.creation_timestamp or 0),
        commit=tags.get(TAG_COMMIT, ""),
        verdict=tags.get(TAG_VERDICT, ""),
        accepted=tags.get(TAG_ACCEPTED, ""),
        run_url=tags.get(TAG_RUN_URL, ""),
    )
    gate = _gate(client, found.run_id) if found.run_id else None
    if gate is None:
        return known
    return msgspec.structs.replace(
        known,
        accepted_url=gate.acceptance.url if gate.acceptance else "",
        baseline=gate.baseline,
        metrics=gate.metrics,
        confidence=gate.confidence,
    )


def _gate(client: Any, run_id: str) -> MetricGateRecord | None:
    """The gate's record that was registered with a version.

    None where it is gone or cannot be read: a page on the past passes nothing, and says of the version what its tags say.
    """
    listed = present(client, lambda: client.list_artifacts(run_id, ARTIFACTS)) or ()
    sizes = {posixpath.basename(file.path): file.file_size or 0 for file in listed if not file.is_dir}
    if GATE not in sizes or sizes[GATE] > MAX_RECORD_BYTES:
        return None
    path = patiently(lambda: client.download_artifacts(run_id, f"{ARTIFACTS}/{GATE}", str(scratch_folder())), client.tracking_uri)
    try:
        record = read_record(Path(path), "metric-gate")
    except BadInput:
        return None
    return record if isinstance(record, MetricGateRecord) else None
