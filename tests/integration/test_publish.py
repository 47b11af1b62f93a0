"""Publication through a network that breaks each of its requests in turn: one run and one version, as without a fault."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from modelship.core.config import Registry
from modelship.core.errors import InfrastructureError
from modelship.core.run_directory import digest_folder
from modelship.registry import server
from modelship.registry.names import mlflow_name
from modelship.registry.publish import TAG_REGISTERED, Publication, Published, publish
from modelship.registry.register import _LONGEST_DESCRIPTION, _LONGEST_PACKAGES, _LONGEST_TAG, TAG_PACKAGES
from modelship.registry.runs import TAG_KEY
from modelship.registry.server import connect
from modelship.registry.version import CHALLENGER, fetch, find_version
from tests import proxy as network
from tests import publishing
from tests.proxy import Fault, proxy
from tests.publishing import METRICS, write_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(params=["mlflow", "mlflow_on_postgres"])
def either(request: pytest.FixtureRequest) -> str:
    """A server on SQLite, and one on PostgreSQL, which holds many writers apart and texts to their length."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PAUSES", (0.0,) * 5)


def publication(files: Path, name: str = "", **more: Any) -> Publication:
    return replace(publishing.publication(files, name or f"model-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex), **more)


class Held:
    """What the server holds of a publication."""

    def __init__(self, url: str, wanted: Publication) -> None:
        self.client = MlflowClient(url)
        experiment = self.client.get_experiment_by_name(wanted.experiment)
        self.runs = self.client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY) if experiment else []
        self.versions = self.client.search_model_versions(f"name = '{wanted.name}'")
        self.aliases = dict(self.client.get_registered_model(wanted.name).aliases)

    @property
    def run(self) -> str:
        (run,) = self.runs
        return str(run.info.run_id)


def check(url: str, wanted: Publication, published: Published) -> Held:
    """Exactly one run and one version, whole."""
    held = Held(url, wanted)
    (version,) = held.versions
    assert (version.run_id, version.description) == (held.run, wanted.description)
    assert version.tags == wanted.tags
    assert held.aliases == {CHALLENGER: version.version}
    assert (published.version.version, published.version.run_id) == (int(version.version), held.run)
    run = held.runs[0]
    assert (run.info.status, run.data.params) == ("FINISHED", {"rate": "0.1"})
    assert run.data.metrics == {mlflow_name(name): value for name, value in METRICS.items()}
    assert run.data.tags[TAG_REGISTERED] == wanted.key
    return held


def check_files(url: str, wanted: Publication, folder: Path) -> None:
    """What is fetched is what was published."""
    found = find_version(connect(url), wanted.name, CHALLENGER)
    fetched = fetch(connect(url), found, folder, Registry(), directory=folder)
    assert digest_folder(fetched.model) == digest_folder(wanted.model)
    assert fetched.examples
    assert fetched.examples.read_bytes() == wanted.files["examples.json"].read_bytes()


def test_a_publication_is_there_once_and_whole(either: str, files: Path, tmp_path: Path) -> None:
    wanted = publication(files)
    first = publish(connect(either), wanted)
    assert first.created
    before = check(either, wanted, first)
    check_files(either, wanted, tmp_path / "first")
    again = publish(connect(either), wanted)
    assert (again.version, again.created) == (first.version, False)
    assert check(either, wanted, again).run == before.run


def test_many_at_once_make_one_run_and_one_version(either: str, files: Path) -> None:
    wanted = publication(files)
    with ThreadPoolExecutor(6) as pool:
        published = list(pool.map(lambda _: publish(connect(either), wanted), range(6)))
    held = check(either, wanted, published[0])
    assert [one.version.version for one in published] == [int(held.versions[0].version)] * 6
    assert any(one.created for one in published)


def test_what_came_into_being_twice_goes_unless_somebody_uses_it(either: str, files: Path) -> None:
    """A request that was given up long ago may arrive when all is done."""
    wanted = publication(files)
    first = publish(connect(either), wanted)
    client = MlflowClient(either)
    source = f"runs:/{first.version.run_id}/modelship/model"
    for _ in range(2):
        client.create_model_version(wanted.name, source, first.version.run_id, tags=dict(wanted.tags), await_creation_for=0)
    client.set_registered_model_alias(wanted.name, "production", "2")
    (experiment,) = {run.info.experiment_id for run in Held(either, wanted).runs}
    late = client.create_run(experiment, tags={TAG_REGISTERED: wanted.key}).info.run_id
    trained = client.create_run(experiment, tags={TAG_REGISTERED: wanted.key, TAG_KEY: "of training"}).info.run_id

    assert publish(connect(either), wanted) == Published(first.version, created=False)
    held = Held(either, wanted)
    assert sorted(version.version for version in held.versions) == ["1", "2"]
    assert {run.info.run_id for run in held.runs} == {first.version.run_id, trained}
    assert client.get_run(late).info.lifecycle_stage == "deleted"
    assert held.aliases == {"production": "2", CHALLENGER: "2"}


def test_the_longest_texts_are_kept_whole(either: str, files: Path) -> None:
    long = publication(files, description="é" * _LONGEST_DESCRIPTION)
    wanted = replace(long, tags={**long.tags, "modelship.accepted": "é" * _LONGEST_TAG, TAG_PACKAGES: "é" * _LONGEST_PACKAGES})
    check(either, wanted, publish(connect(either), wanted))


def test_the_run_of_training_is_taken_unless_it_holds_another_version(mlflow: str, files: Path) -> None:
    client = MlflowClient(mlflow)
    experiment = client.create_experiment(f"training-{uuid.uuid4().hex}")
    training = client.create_run(experiment, tags={TAG_KEY: "of training"}).info.run_id
    wanted = publication(files, training_run=training)
    first = publish(connect(mlflow), wanted)
    assert first.version.run_id == training
    other = publish(connect(mlflow), publication(files, wanted.name, training_run=training))
    assert other.version.run_id != training
    assert (other.version.version, Held(mlflow, wanted).aliases) == (2, {CHALLENGER: "2"})
    # Registering the older one again does not make it the newest.
    assert publish(connect(mlflow), wanted).version == first.version
    assert Held(mlflow, wanted).aliases == {CHALLENGER: "2"}

    for gone in ("0" * 32, training):
        if gone == training:
            client.delete_run(training)
        unknown = publish(connect(mlflow), publication(files, training_run=gone))
        assert unknown.version.run_id != gone


def test_a_server_that_keeps_something_else_registers_nothing(mlflow: str, files: Path) -> None:
    """Whatever the upload is answered with: what comes back counts."""
    wanted = publication(files)
    swallowed = {
        ("PUT /api/2.0/mlflow-artifacts/artifacts/RUN/artifacts/modelship/model/parts/weights.bin", n): network.empty for n in range(9)
    }
    with proxy(mlflow, swallowed) as net, pytest.raises(InfrastructureError, match="does not keep files as they were uploaded"):
        publish(connect(net.url), wanted)
    assert MlflowClient(mlflow).search_model_versions(f"name = '{wanted.name}'") == []


# A bad network ----------------------------------------------------------------------------------------------------------------------

FAULTS = (network.lost_request, network.lost_answer, network.reset, network.truncated, network.empty, network.silence)
APART = int(os.environ.get("MODELSHIP_TEST_FAULTS_APART", "16"))
"""Calls from one fault to the next. Fewer would break every attempt at a step that takes several calls."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_whatever_breaks_there_is_one_run_and_one_version(
    fault: Fault, mlflow: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault is network.silence:
        # As short as a busy machine allows: every answer that is not held back must come in this time.
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    break_each_call(fault, mlflow, files, tmp_path, at_once=16 if fault is network.silence else 2)


def test_a_lost_answer_makes_nothing_twice_on_postgres(mlflow_on_postgres: str, files: Path, tmp_path: Path) -> None:
    """Where a create that is repeated meets what the first one has committed."""
    break_each_call(network.lost_answer, mlflow_on_postgres, files, tmp_path, at_once=4)


def break_each_call(fault: Fault, mlflow: str, files: Path, tmp_path: Path, at_once: int) -> None:
    """Each HTTP call breaks in one of the publications, and others far from it in the same one."""
    with proxy(mlflow) as clean:
        publish(connect(clean.url), publication(files))
    assert len(clean.calls) > 30

    def broken(start: int) -> None:
        wanted = publication(files)
        faults = dict.fromkeys(clean.calls[start::APART], fault)
        with proxy(mlflow, faults) as net:
            published = publish(connect(net.url), wanted)
        assert set(net.calls) >= set(faults), "a fault that was not met"
        check(mlflow, wanted, published)
        check_files(mlflow, wanted, tmp_path / str(start))

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(broken, range(APART)))
