"""What an MLflow server knows: which version is live, and what was seen of each batch.

A batch of a version is one run of the experiment `<registered name>.monitoring`, found by its key. Of two that came into being at once
the first one stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.errors import bad_input
from modelship.core.records import MonitorRecord
from modelship.core.scratch import scratch_folder
from modelship.deployment.ledger import CHAMPION
from modelship.deployment.log import Log
from modelship.monitoring.history import Asked
from modelship.monitoring.questions import Ask, Begin, Begun, End, Live, Recall, Recalled, Released, Remember
from modelship.monitoring.turns import Turns
from modelship.registry.runs import ARTIFACTS, TAG_KEY, called, experiment_id, find_experiment, finish, tag
from modelship.registry.server import connect, page, patiently
from modelship.registry.version import TAG_DATA, find_version

RECORD = "monitor.json"
TAG_VERSION = "modelship.version"
TAG_BATCH = "modelship.batch"
TAG_STATUS = "modelship.status"
TAG_ASKED = "modelship.retrain-asked"
"""When a retrain was asked for, ISO 8601."""
TAG_WHY = "modelship.retrain-why"
TAG_WORKFLOW = "modelship.retrain-workflow"
"""What is dispatched. A retrain with one counts once it was."""
TAG_DISPATCHED = "modelship.retrain-dispatched"
"""When it was dispatched, ISO 8601."""
TAG_RUN_URL = "modelship.retrain-run"

_MOST_WHY = 1_000


def find_live(question: Live) -> Released:
    """The version. Raises BadInput where there is none, InfrastructureError when the server does not answer."""
    client = connect(question.tracking_uri)
    wanted = question.wanted or CHAMPION
    if question.environment and not question.wanted:
        live = Log(question.tracking_uri, question.name).state().environment(question.environment).live
        if live is None:
            raise bad_input(
                f"nothing of `{question.name}` is live in {question.environment}.", "Deploy a version, or name one: `--version`."
            )
        wanted = str(live.version)
    found = find_version(client, question.name, wanted)
    listed = patiently(lambda: client.search_model_versions(f"name = '{question.name}'", max_results=1000), question.tracking_uri)
    tags = found.tags or {}
    return Released(
        version=found.version,
        run_id=found.run_id,
        commit=found.commit,
        created_at=found.created_at,
        data={name.removeprefix(TAG_DATA): value for name, value in tags.items() if name.startswith(TAG_DATA)},
        registered=tuple(sorted(int(one.version) for one in listed)),
    )


def remember(question: Remember) -> str:
    """Keep the record; a later look at the same batch takes its place. Returns the address of the run's page, empty for a store."""
    path = Path(question.record)
    record = msgspec.json.decode(path.read_bytes(), type=MonitorRecord)
    tags = {TAG_VERSION: str(question.version), TAG_BATCH: question.start, TAG_STATUS: record.status}
    return _keep(question.tracking_uri, question.name, f"monitor/1\n{question.name}\n{question.version}\n{question.start}", tags, path)


def keep_asked(question: Ask) -> str:
    """Keep that a retrain was asked for; asked again with the same batches known, it was asked for once, when it first was."""
    return _keep(question.tracking_uri, question.name, _what(question), _asked_tags(question.version, question.asked))


def begin(question: Begin) -> Begun:
    """Take the turn, and keep in it that a retrain was asked for."""
    if not Turns(question.tracking_uri, question.name).is_mine(question.who, question.version):
        return Begun()
    client = connect(question.tracking_uri)
    before = patiently(lambda: _all_asked(_all_finished(client, question.name)), question.tracking_uri)
    if question.asked is None or len(before) > question.known:
        return Begun(is_our_turn=True, asked=before)
    page = _keep(question.tracking_uri, question.name, _what(question), _asked_tags(question.version, question.asked))
    run = _asked_run(question)
    return Begun(
        is_our_turn=True,
        asked=before,
        since=run.info.start_time / 1000,
        is_dispatched=TAG_DISPATCHED in run.data.tags,
        run_url=run.data.tags.get(TAG_RUN_URL, ""),
        page=page,
    )


def end(question: End) -> None:
    """Keep what was dispatched, then give the turn back."""
    if question.dispatched_at is not None:
        tags = {TAG_DISPATCHED: question.dispatched_at.isoformat(), TAG_RUN_URL: question.run_url}
        client = connect(question.tracking_uri)
        patiently(lambda: tag(client, _asked_run(question).info.run_id, tags), question.tracking_uri)
    Turns(question.tracking_uri, question.name).give_back(question.who)


def _what(question: Ask | Begin | End) -> str:
    """What names a retrain: whoever asks for it of the same version with the same batches known asks for the same one."""
    return f"retrain/1\n{question.name}\n{question.version}\n{question.newest}"


def _asked_tags(version: int, asked: Asked) -> dict[str, str]:
    tags = {TAG_VERSION: str(version), TAG_ASKED: asked.at.isoformat(), TAG_WHY: asked.why[:_MOST_WHY]}
    return {**tags, TAG_WORKFLOW: asked.workflow} if asked.workflow else tags


def _asked_run(question: Begin | End) -> Any:
    client = connect(question.tracking_uri)

    def find() -> Any:
        from mlflow.exceptions import MlflowException

        found = _runs(client, experiment_id(client, f"{question.name}.monitoring"), _key(_what(question)))
        if not found:
            raise MlflowException(f"the retrain of v{question.version} that was asked for does not show yet")
        return found[0]

    return patiently(find, question.tracking_uri)


def _key(what: str) -> str:
    return hashlib.sha256(what.encode()).hexdigest()


def _keep(tracking_uri: str, name: str, what: str, tags: Mapping[str, str], record: Path | None = None) -> str:
    """One run of the experiment for `what`, with these tags and the record, whoever else keeps it; returns the address of its page."""
    client = connect(tracking_uri)
    key = _key(what)

    def keep() -> str:
        experiment = experiment_id(client, f"{name}.monitoring")
        if not _runs(client, experiment, key):
            client.create_run(experiment, tags={TAG_KEY: key})
        first, *others = _runs(client, experiment, key)
        for run in others:
            client.delete_run(run.info.run_id)
        run_id = str(first.info.run_id)
        if record is not None:
            client.log_artifact(run_id, str(called(RECORD, record)), ARTIFACTS)
        if record is not None or first.info.status != "FINISHED":
            finish(client, run_id, {TAG_KEY: key, **tags})
        return page(tracking_uri, f"/experiments/{experiment}/runs/{run_id}")

    return patiently(keep, tracking_uri)


def _runs(client: Any, experiment: str, key: str) -> list[Any]:
    """The runs of a key, the oldest first."""
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    return list(client.search_runs([experiment], f"tags.`{TAG_KEY}` = '{key}'", max_results=100, order_by=order))


def recall(question: Recall) -> Recalled:
    """What was seen of the model's batches and what was asked for. Raises InfrastructureError when the server does not answer."""
    client = connect(question.tracking_uri)

    def read() -> Recalled:
        runs = _all_finished(client, question.name)
        looks = sorted((run for run in runs if TAG_BATCH in run.data.tags), key=lambda run: str(run.data.tags[TAG_BATCH]))
        newest = looks if question.newest is None else looks[max(len(looks) - question.newest, 0) :]
        records = [_record(client, run) for run in newest]
        return Recalled(
            records=tuple(sorted(records, key=lambda record: (str(record.batch.start) if record.batch else "", record.version or 0))),
            asked=_all_asked(runs),
            older=len(looks) - len(newest),
        )

    return patiently(read, question.tracking_uri)


def _all_asked(runs: Iterable[Any]) -> tuple[Asked, ...]:
    """The retrains that count, oldest first."""
    return tuple(sorted((one for one in (_asked(run.data.tags) for run in runs) if one), key=lambda one: one.at))


def _asked(tags: Mapping[str, str]) -> Asked | None:
    """The retrain that a run tells of; None for another run, and for a retrain that was to be dispatched and was not."""
    workflow = tags.get(TAG_WORKFLOW, "")
    at = tags.get(TAG_DISPATCHED if workflow else TAG_ASKED)
    if at is None:
        return None
    return Asked(
        at=datetime.fromisoformat(at),
        why=tags.get(TAG_WHY, ""),
        workflow=workflow,
        version=int(tags.get(TAG_VERSION) or 0),
        run_url=tags.get(TAG_RUN_URL, ""),
    )


def _all_finished(client: Any, name: str) -> list[Any]:
    """The finished runs of a model's monitoring, of each key the oldest."""
    experiment = find_experiment(client, f"{name}.monitoring")
    found: dict[str, Any] = {}
    token = None
    while experiment:
        runs = client.search_runs([experiment], max_results=1000, order_by=["attributes.start_time ASC"], page_token=token)
        for run in runs:
            key = run.data.tags.get(TAG_KEY, "")
            if key and run.info.status == "FINISHED":
                found.setdefault(key, run)
        token = runs.token
        if not token:
            break
    return list(found.values())


def _record(client: Any, run: Any) -> MonitorRecord:
    path = client.download_artifacts(run.info.run_id, f"{ARTIFACTS}/{RECORD}", str(scratch_folder()))
    return msgspec.json.decode(Path(path).read_bytes(), type=MonitorRecord)
