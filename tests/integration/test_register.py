"""Registering: what may be, what is written where, and what is refused before anything is written."""

from __future__ import annotations

import json
import pickle
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mlflow import MlflowClient

from modelship.core.config import Registry, Signing
from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.examples import read_examples
from modelship.core.run_directory import digest_folder
from modelship.registry.server import connect
from modelship.registry.signing.signatures import verify
from modelship.registry.version import Artifacts, fetch, find_version
from tests.candidate import judge, prepare
from tests.project import Project, Ran
from tests.servers import free_port


@pytest.fixture(scope="module")
def judged(first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What every test's candidate is a copy of."""
    return judge(prepare(first_commit.copy(tmp_path_factory.mktemp("judged") / "project")))


@pytest.fixture
def candidate(judged: Project, tmp_path: Path) -> Project:
    return judged.copy(tmp_path / "project")


@pytest.fixture
def name() -> str:
    return f"model-{uuid.uuid4().hex[:8]}"


def register(project: Project, url: str, name: str, *more: str, **environment: str) -> Ran:
    return project.run("register", "--tracking-uri", url, "--registered-name", name, *more, **environment)


def problem(project: Project) -> str:
    record = project.record("register")
    assert record["status"] == "error"
    return " ".join(f"{found['path'] or ''} {found['message']} {found['remedy']}" for found in record["problems"])


def registered(url: str, name: str) -> list[Any]:
    return list(MlflowClient(url).search_model_versions(f"name = '{name}'"))


# What is registered --------------------------------------------------------------------------------------------------------------


def test_a_version_says_what_it_is_and_has_all_that_belongs_to_it(candidate: Project, mlflow: str, name: str, tmp_path: Path) -> None:
    sha = candidate.git("rev-parse", "HEAD")
    candidate.push_event(sha, sha)
    ran = register(candidate, mlflow, name)
    assert ran.exit_code == 0, ran.log

    client = MlflowClient(mlflow)
    (version,) = registered(mlflow, name)
    digest = f"sha256:{digest_folder(candidate.directory / 'model')}"
    tags = version.tags
    assert (tags["modelship.digest"], tags["modelship.commit"], tags["modelship.verdict"]) == (digest, sha, "pass")
    assert tags["modelship.run-url"] == "https://github.com/acme/flights/actions/runs/42"
    assert tags["modelship.param.learning_rate"] == "0.1"
    assert tags["modelship.data.holdout.parquet"] == f"sha256:{digest_folder(candidate.directory / 'holdout.parquet')}"
    assert "scikit-learn==" in tags["modelship.packages"]
    assert client.get_registered_model(name).aliases == {"challenger": "1"}
    assert version.description.startswith("# model-")

    run = client.get_run(version.run_id)
    assert run.data.metrics == json.loads((candidate.directory / "metrics.json").read_text())
    assert {name: run.data.tags[f"modelship.{name}"] for name in ("commit", "model")} == {"commit": sha, "model": "flight-delay"}
    assert Artifacts(client, version.run_id).sizes().keys() == {
        "bom.cdx.json",
        "model.sha256",
        "examples.json",
        "metric-gate.json",
        "metrics.json",
        "model-card.md",
        "predictions.parquet",
    }

    found = find_version(client, name, "challenger")
    assert found == find_version(client, name, "1") == find_version(client, name, "v1")
    assert (found.digest, found.commit, found.verdict, found.run_url) == (digest, sha, "pass", tags["modelship.run-url"])
    fetched = fetch(client, found, tmp_path / "fetched", Registry(), directory=tmp_path)
    assert digest_folder(fetched.model) == digest_folder(candidate.directory / "model")
    assert fetched.examples
    assert len(read_examples(fetched.examples.read_bytes(), "examples.json").predictions) == 50

    record = candidate.record("register")
    assert (record["version"], record["created"], record["examples"], record["formats"]) == (1, True, 50, ["skops"])
    assert ran.outputs["version"] == "1"
    assert ran.outputs["digest"] == digest
    assert ran.outputs["mlflow-url"] == record["mlflow-url"] == f"{mlflow}/#/models/{name}/versions/1"


def test_the_same_again_is_the_same_version_and_another_commit_is_another(candidate: Project, mlflow: str, name: str) -> None:
    assert register(candidate, mlflow, name).outputs["created"] == "true"
    again = register(candidate, mlflow, name)
    assert (again.exit_code, again.outputs["created"], again.outputs["version"]) == (0, "false", "1")
    assert len(registered(mlflow, name)) == 1

    candidate.write("notes.md", "something else\n")
    candidate.commit("another commit")
    assert register(candidate, mlflow, name).exit_code == 2, "nobody has judged this commit"
    judge(candidate)
    other = register(candidate, mlflow, name)
    assert (other.outputs["created"], other.outputs["version"]) == ("true", "2")
    assert MlflowClient(mlflow).get_registered_model(name).aliases == {"challenger": "2"}


def test_it_goes_into_the_run_that_training_logged_and_is_the_next_baseline(candidate: Project, mlflow: str, name: str) -> None:
    judge(candidate, MLFLOW_TRACKING_URI=mlflow, MLFLOW_EXPERIMENT_NAME=name)
    assert register(candidate, mlflow, name, MLFLOW_EXPERIMENT_NAME=name).exit_code == 0
    client = MlflowClient(mlflow)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    (version,) = registered(mlflow, name)
    assert version.run_id == run.info.run_id == candidate.record("train")["mlflow-run"]
    answers = candidate.directory / ".modelship" / "files" / "evaluate-candidate.parquet"
    assert run.data.tags["modelship.predictions"] == f"sha256:{digest_folder(answers)}"

    client.set_registered_model_alias(name, "champion", version.version)
    candidate.write("modelship.yaml", (candidate.directory / "modelship.yaml").read_text().replace("none", "champion"))
    candidate.commit("judge against the champion")
    judge(candidate, MLFLOW_TRACKING_URI=mlflow, MODELSHIP_METRIC_GATE_REGISTERED_NAME=name)
    assert candidate.record("metric-gate")["baseline"]["label"] == "champion v1"


# What is refused -----------------------------------------------------------------------------------------------------------------


def change_record(project: Project, command: str, **fields: Any) -> None:
    path = project.directory / ".modelship" / f"{command}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def remove_record(command: str) -> Callable[[Project], None]:
    return lambda project: (project.directory / ".modelship" / f"{command}.json").unlink()


def put_pickle(project: Project) -> None:
    (project.directory / "model" / "extra.pkl").write_bytes(pickle.dumps({"a": 1}))
    digest = digest_folder(project.directory / "model")
    change_record(project, "train", **{"model-digest": digest})
    change_record(project, "metric-gate", **{"model-digest": digest})
    remove_record("evaluate")(project)


BROKEN: dict[str, tuple[Callable[[Project], object], int, str]] = {
    "the gate said no": (lambda project: change_record(project, "metric-gate", status="fail", summary="roc_auc is worse"), 1, ""),
    "evaluation said no": (lambda project: change_record(project, "evaluate", status="fail"), 1, ""),
    "nobody judged": (remove_record("metric-gate"), 2, "there is no record of `metric-gate`"),
    "nobody trained": (remove_record("train"), 2, "there is no record of `train`"),
    "no verdict": (lambda project: change_record(project, "metric-gate", status="error"), 2, "came to no verdict"),
    "another commit": (lambda project: change_record(project, "metric-gate", commit="0" * 40), 2, "judged commit 0000000"),
    "another model judged": (
        lambda project: change_record(project, "metric-gate", **{"model-digest": "0" * 64}),
        2,
        "is not the model that the gate has judged",
    ),
    "metrics alone judged": (lambda project: change_record(project, "metric-gate", **{"model-digest": ""}), 2, "names no model"),
    "a changed model": (lambda project: project.write("model/MLmodel", "{}"), 2, "is not the model that training wrote"),
    "no model": (lambda project: shutil.rmtree(project.directory / "model"), 2, "does not exist"),
    "changed examples": (lambda project: project.write(".modelship/files/examples.json", "{}"), 2, "is not what its record says"),
    "no predictions": (
        lambda project: (project.directory / ".modelship/files/evaluate-candidate.parquet").unlink(), 2, "is gone",
    ),
    "a pickle": (put_pickle, 2, "extra.pkl"),
    "no key to sign with": (
        lambda project: project.write(
            "modelship.yaml",
            (project.directory / "modelship.yaml").read_text() + "registry: {signing: {required: true, public-key: key.pub}}\n",
        ),
        2,
        "no key was given to sign with",
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_what_may_not_be_registered_leaves_no_trace(candidate: Project, mlflow: str, name: str, broken: str) -> None:
    breaks, exit_code, says = BROKEN[broken]
    breaks(candidate)
    ran = register(candidate, mlflow, name, MLFLOW_EXPERIMENT_NAME=name)
    assert ran.exit_code == exit_code, ran.log
    if exit_code == 1:
        assert candidate.record("register")["status"] == "fail"
        assert "says no" in candidate.record("register")["summary"]
    else:
        assert says in problem(candidate)
    assert registered(mlflow, name) == []
    assert MlflowClient(mlflow).get_experiment_by_name(name) is None


def test_a_server_must_be_named(candidate: Project, name: str) -> None:
    assert register(candidate, "", name).exit_code == 2
    assert "MLFLOW_TRACKING_URI" in problem(candidate)


@contextmanager
def refusing(status: int) -> Iterator[str]:
    """A server that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the name that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://bot:pa55word@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_token_is_told_as_one(candidate: Project, name: str, status: int) -> None:
    with refusing(status) as url:
        ran = register(candidate, url, name)
    assert ran.exit_code == 3, ran.log
    assert "refuses the credentials" in problem(candidate)
    assert "still valid" in problem(candidate)
    assert "pa55word" not in ran.log


def test_a_server_that_is_not_there_is_an_error_of_infrastructure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelship.registry.server.PAUSES", (0.0, 0.0))
    with pytest.raises(InfrastructureError, match=r"127\.0\.0\.1 did not answer"):
        find_version(connect(f"http://127.0.0.1:{free_port()}"), name, "1")


# What is fetched -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def version(judged: Project, mlflow: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowClient, str]:
    project = judged.copy(tmp_path_factory.mktemp("version") / "project")
    name = f"model-{uuid.uuid4().hex[:8]}"
    assert register(project, mlflow, name).exit_code == 0
    return connect(mlflow), name


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("7", "has no version 7"),
        ("v99", "has no version v99"),
        ("champoin", "has no alias `champoin`"),
        ("chalenger", "Did you mean `challenger`"),
        ("../1", "has no alias"),
        ("", "has no alias"),
    ],
)
def test_a_version_that_is_not_there_is_bad_input(version: tuple[MlflowClient, str], wanted: str, says: str) -> None:
    client, name = version
    with pytest.raises(BadInput, match=says):
        find_version(client, name, wanted)


def test_a_model_that_nobody_registered_is_bad_input(version: tuple[MlflowClient, str]) -> None:
    with pytest.raises(BadInput, match="no model is registered as `nobody`"):
        find_version(version[0], "nobody", "1")


def test_a_version_that_somebody_else_made_is_refused(version: tuple[MlflowClient, str], name: str) -> None:
    client, other = version
    client.create_registered_model(name)
    client.create_model_version(name, f"models:/{other}/1", await_creation_for=0)
    with pytest.raises(BadInput, match="was not registered by Modelship"):
        find_version(client, name, "1")


@pytest.mark.parametrize(
    ("path", "says"),
    [("model/MLmodel", "the model of v1"), ("model/more.txt", "the model of v1"), ("examples.json", r"`examples\.json` of v1")],
)
def test_files_that_were_changed_on_the_server_are_not_taken(
    candidate: Project, mlflow: str, name: str, tmp_path: Path, path: str, says: str
) -> None:
    assert register(candidate, mlflow, name).exit_code == 0
    client = connect(mlflow)
    found = find_version(client, name, "1")
    changed = tmp_path / "changed" / Path(path).name
    changed.parent.mkdir()
    changed.write_text("{}")
    client.log_artifact(found.run_id, str(changed), str(Path("modelship") / Path(path).parent))
    with pytest.raises(BadInput, match=f"{says}.* is not what was registered"):
        fetch(client, found, tmp_path / "fetched", Registry(), directory=tmp_path)


def test_more_than_is_allowed_is_not_fetched(version: tuple[MlflowClient, str], tmp_path: Path) -> None:
    client, name = version
    with pytest.raises(BadInput, match=r"`registry\.max-model-size` allows fewer"):
        fetch(client, find_version(client, name, "1"), tmp_path / "fetched", Registry(max_model_size="1kB"), directory=tmp_path)
    assert not (tmp_path / "fetched").exists()


def test_an_unsigned_version_is_refused_where_a_signature_is_required(version: tuple[MlflowClient, str], tmp_path: Path) -> None:
    client, name = version
    rules = Registry(signing=Signing(public_key="key.pub", required=True))
    with pytest.raises(BadInput, match=r"v1 of .* is not signed"):
        fetch(client, find_version(client, name, "1"), tmp_path / "fetched", rules, directory=tmp_path)


# Signatures ----------------------------------------------------------------------------------------------------------------------


def keys(folder: Path) -> tuple[str, Path]:
    """A private key as PEM text, and the file of its public key."""
    private = ec.generate_private_key(ec.SECP256R1())
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    path = folder / f"{uuid.uuid4().hex[:8]}.pub"
    path.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return text, path


def test_a_signed_model_is_verified_with_the_teams_key_and_with_no_other(
    candidate: Project, mlflow: str, name: str, tmp_path: Path
) -> None:
    private, public = keys(candidate.directory)
    other_private, other = keys(candidate.directory)
    with (candidate.directory / "modelship.yaml").open("a") as config:
        config.write(f"registry: {{signing: {{public-key: {public.name}, required: true}}}}\n")
    candidate.commit("sign models")
    judge(candidate)

    assert register(candidate, mlflow, name, MODELSHIP_REGISTER_SIGNING_KEY=other_private).exit_code == 2
    assert "signature does not hold" in problem(candidate)
    assert register(candidate, mlflow, name, MODELSHIP_REGISTER_SIGNING_KEY="no key").exit_code == 2
    assert "the signing key cannot be used" in problem(candidate)
    assert registered(mlflow, name) == []

    ran = register(candidate, mlflow, name, MODELSHIP_REGISTER_SIGNING_KEY=private)
    assert ran.exit_code == 0, ran.log
    assert candidate.record("register")["signed"] is True
    assert private.splitlines()[1] not in ran.log

    client = connect(mlflow)
    found = find_version(client, name, "1")
    rules = Registry(signing=Signing(public_key=public.name, required=True))
    fetched = fetch(client, found, tmp_path / "fetched", rules, directory=candidate.directory)
    assert fetched.is_signed
    (fetched.model / ".gitignore").write_text("*")
    with pytest.raises(BadInput, match="signature does not hold"):
        verify(fetched.model, tmp_path / "fetched" / "modelship" / "model.sig", public)
    for wrong, says in ((other.name, "signature does not hold"), ("nowhere.pub", "cannot be read"), ("train.py", "is no such key")):
        with pytest.raises(BadInput, match=says):
            fetch(
                client,
                found,
                tmp_path / wrong,
                Registry(signing=Signing(public_key=wrong)),
                directory=candidate.directory,
            )
