"""Every secret that a command is given is a canary: none is found in anything that others can read, however the command ends."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests import servers
from tests.candidate import prepare
from tests.e2e.git import Repository
from tests.e2e.github import GitHub, emulate_script
from tests.integration.test_dvc_pull import dvc, forget
from tests.integration.test_notify import answering
from tests.project import ROOT, Project, Ran

REPOSITORY = "acme/flights"
GRANTED = {"actions": "read", "contents": "read", "pull-requests": "write", "checks": "write"}


def canary() -> str:
    """A secret that is like no other text, and that an address quotes differently."""
    return f"canary/{secrets.token_hex(12)}+"


@dataclass
class World:
    """Servers that let nobody in without a canary, what they keep, and a project that they serve."""

    folder: Path
    s3: str
    mlflow: str
    github: GitHub
    repository: Repository
    planted: dict[str, str]
    exposed: set[str] = field(default_factory=set)

    @property
    def storage(self) -> str:
        lines = {name: self.planted[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        return "".join(f"{name}={value}\n" for name, value in {**lines, "AWS_ENDPOINT_URL": self.s3}.items())

    @property
    def environment(self) -> dict[str, str]:
        """What a job has, and what a careless team adds."""
        names = ("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "MLFLOW_TRACKING_PASSWORD", "TEAM_API_KEY")
        return {
            **{name: self.planted[name] for name in names},
            "MLFLOW_TRACKING_USERNAME": "team",
            "DATA_CONNECTION": f"postgresql://team:{quote(self.planted['DATA_CONNECTION'], safe='')}@127.0.0.1:1/flights",
            "GITHUB_API_URL": self.github.url,
        }

    def run(self, project: Project, *arguments: str, **environment: str) -> Ran:
        """Run a command while somebody looks at the list of processes."""
        with self._watched():
            return project.run(*arguments, **{**self.environment, **environment})

    @contextmanager
    def _watched(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    except OSError:
                        continue
                    # The servers have to be told whom to let in.
                    if " serve s3 " not in line and any(value in line for value in self.planted.values()):
                        self.exposed.add(line)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def leaks(self, *places: Path, said: str = "") -> list[str]:
        """Where a canary is, in any of the ways in which it may be written."""
        contents = {"what was said": said.encode()}
        for place in places:
            contents |= {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink()}
        found = [f"{name} is in {where}" for name, written in self._written() for where, held in contents.items() if written in held]
        return [*found, *self.exposed]

    def _written(self) -> Iterator[tuple[str, bytes]]:
        for name, value in self.planted.items():
            for way in {value, quote(value, safe=""), quote(value), repr(value)[1:-1]}:
                yield name, way.encode()
            yield f"{name} in base64", base64.b64encode(value.encode()).rstrip(b"=")
        team = f"team:{self.planted['MLFLOW_TRACKING_PASSWORD']}"
        yield "the header for MLflow", base64.b64encode(team.encode()).rstrip(b"=")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("canaries")
    names = (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "DATA_CONNECTION", "TEAM_API_KEY"),
        *("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "webhook", "wrong"),
    )
    planted = {name: canary() for name in names}
    # An id of a key goes into a header between slashes and commas.
    planted["AWS_ACCESS_KEY_ID"] = f"CANARY{secrets.token_hex(12)}"
    template = folder / "template"
    template.mkdir()
    (template / "modelship.yaml").write_text("model: flight-delay\n")
    github = GitHub(folder / "github", REPOSITORY, emulate_script(ROOT), dict(os.environ))
    try:
        github.wait()
        repository = Repository(REPOSITORY, folder / "origins", folder / "work", template, github.pushed)
        github.attach(repository)
        repository.commit("main", {}, "first")
        planted["github-token"] = github.token(GRANTED)
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        planted["signing-key"] = key.decode().splitlines()[1]
        (folder / "key.pem").write_bytes(key)
        said = {
            "action": "created",
            "issue": {"number": 1, "pull_request": {"url": ""}},
            "comment": {"user": {"login": "dana", "type": "User"}, "created_at": "2026-11-01T00:00:00Z", "body": "/judge-again"},
        }
        (folder / "comment.json").write_text(json.dumps(said))
        with (
            servers.s3_server(folder / "s3", planted["AWS_ACCESS_KEY_ID"], planted["AWS_SECRET_ACCESS_KEY"]) as s3,
            servers.mlflow_server(folder / "mlflow") as mlflow,
        ):
            (folder / "s3" / "store" / "team").mkdir()
            yield World(folder, s3, mlflow, github, repository, planted)
    finally:
        github.stop()


TARGETS = """\
registry: {signing: {public-key: key.pub, required: true}}
deploy:
  champion: staging
  environments:
    staging: {target: {directory: "s3://team/staging"}}
    script: {target: {command: {run: "env; false"}}}
"""

QUERY = "{query: select 1 as id, connection: DATA_CONNECTION}"
WATCHED = ("--config", "watched.yaml")
WATCHED_CONFIG = f"""\
model: flight-delay
data: {{reference: {QUERY}, current: {QUERY}, key: id, target: late, expectations: expectations.yaml}}
monitor: {{predictions: log, metrics: {{roc_auc: {{max-loss: 0.02}}}}}}
"""


@pytest.fixture(scope="module")
def first(world: World, first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A model, its data on S3, and where it is deployed to; the last commit is the head of a pull request."""
    project = prepare(first_commit.copy(tmp_path_factory.mktemp("first") / "project"))
    key = serialization.load_pem_private_key((world.folder / "key.pem").read_bytes(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    project.write("key.pub", public)
    project.write("modelship.yaml", (project.directory / "modelship.yaml").read_text() + TARGETS)
    project.write("watched.yaml", WATCHED_CONFIG)
    project.write("expectations.yaml", "- expect_column_values_to_not_be_null: {column: id}\n")
    dvc(project, "init", "--quiet")
    project.write("data/raw.csv", "a,b\n1,2\n")
    dvc(project, "add", "data/raw.csv")
    dvc(project, "remote", "add", "-d", "storage", "s3://team/data")
    dvc(project, "remote", "modify", "storage", "endpointurl", world.s3)
    keys = {name: world.planted[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    dvc(project, "push", "--quiet", **keys)
    project.commit("data and targets")
    forget(project)
    return project


@pytest.fixture
def project(first: Project, tmp_path: Path) -> Project:
    """A workflow runs it, for a push to the default branch."""
    project = first.copy(tmp_path / "project")
    head = project.git("rev-parse", "HEAD")
    project.push_event(head, head)
    return project


def without_masks(log: str) -> str:
    """The log less the lines with which the runner is told what to mask: it shows none of them."""
    return "".join(line for line in log.splitlines(keepends=True) if not line.startswith("::add-mask::"))


def run_all(world: World, project: Project) -> str:
    """Everything from the data to production, and back; returns what was said."""
    key = (world.folder / "key.pem").read_text()
    at = {"MLFLOW_TRACKING_URI": world.mlflow}
    token = world.planted["github-token"]
    said = []
    with answering(200) as (address, heard):
        for command, environment in (
            ("dvc-pull", {"MODELSHIP_DVC_PULL_CREDENTIALS": world.storage}),
            ("train", at),
            ("evaluate", {}),
            ("metric-gate", {**at, "MODELSHIP_METRIC_GATE_CREDENTIALS": world.storage, "MODELSHIP_METRIC_GATE_GITHUB_TOKEN": token}),
            ("comment", {"MODELSHIP_COMMENT_GITHUB_TOKEN": token}),
            ("register", {**at, "MODELSHIP_REGISTER_SIGNING_KEY": key}),
            (
                "deploy",
                {
                    **at,
                    "MODELSHIP_DEPLOY_CREDENTIALS": world.storage,
                    "MODELSHIP_DEPLOY_ENVIRONMENT": "staging",
                    "MODELSHIP_DEPLOY_VERSION": "1",
                },
            ),
            ("notify", {"MODELSHIP_NOTIFY_WEBHOOK": f"{address}/{world.planted['webhook']}"}),
        ):
            ran = world.run(project, command, **environment)
            assert ran.exit_code == 0, f"{command}: {without_masks(ran.log)}"
            said += [without_masks(ran.log), ran.summary, *ran.outputs.values()]
        said += [body.decode() for body in heard]
    return "\n".join(said)


def test_nothing_that_went_well_tells_a_secret(world: World, project: Project) -> None:
    head = project.git("rev-parse", "HEAD")
    for commit, branch in (("HEAD~1", "main"), ("HEAD", "change")):
        project.git("push", "--quiet", "--force", str(world.repository.bare), f"{commit}:refs/heads/{branch}")
        world.github.pushed(branch, project.git("rev-parse", commit))
    pull = world.github.open_pull_request("change", "Change")
    said = run_all(world, project)
    project.pull_request_event(head, head, pull.number)
    ran = world.run(project, "comment", MODELSHIP_COMMENT_GITHUB_TOKEN=world.planted["github-token"])
    assert ran.exit_code == 0, ran.log
    said += without_masks(ran.log) + ran.summary
    (comment,) = world.github.comments(pull.number)
    checks = world.github.check_runs(head)
    assert checks
    said += f"{comment}{checks}"
    evidence = project.directory / ".modelship"
    assert (evidence / "deploy.json").is_file()
    assert world.leaks(project.directory, world.folder / "mlflow", world.folder / "s3" / "store", said=said) == []


def test_the_runner_is_told_what_to_mask(world: World, project: Project) -> None:
    ran = world.run(project, "dvc-pull", MODELSHIP_DVC_PULL_CREDENTIALS=world.storage)
    assert ran.exit_code == 0, ran.log
    masks = [line.removeprefix("::add-mask::") for line in ran.log.splitlines() if line.startswith("::add-mask::")]
    assert {world.planted["AWS_ACCESS_KEY_ID"], world.planted["AWS_SECRET_ACCESS_KEY"]} <= set(masks)
    # Before anything else could have said one.
    assert ran.log.startswith("::add-mask::")


def failing(world: World) -> dict[str, tuple[tuple[str, ...], dict[str, str], int]]:
    """Commands that do not end well: arguments, environment, exit code."""
    nowhere = f"http://team:{quote(world.planted['wrong'], safe='')}@127.0.0.1:{servers.free_port()}"
    wrong = world.storage.replace(world.planted["AWS_SECRET_ACCESS_KEY"], world.planted["wrong"])
    broken = f"{world.planted['AWS_SECRET_ACCESS_KEY']}\n"
    key = (world.folder / "key.pem").read_text()
    deploy = {"MLFLOW_TRACKING_URI": world.mlflow, "MODELSHIP_DEPLOY_VERSION": "1"}
    return {
        "a wrong key": (("dvc-pull",), {"MODELSHIP_DVC_PULL_CREDENTIALS": wrong}, 3),
        "credentials that are none": (("dvc-pull",), {"MODELSHIP_DVC_PULL_CREDENTIALS": broken}, 2),
        "a server that is gone": (
            ("register",), {"MODELSHIP_REGISTER_TRACKING_URI": nowhere, "MODELSHIP_REGISTER_SIGNING_KEY": key}, 3,
        ),
        "a baseline that is gone": (
            ("metric-gate", "--baseline", "champion"), {"MODELSHIP_METRIC_GATE_TRACKING_URI": nowhere}, 3,
        ),
        "a model that is gone": (
            ("evaluate", "--baseline", "champion", "--baseline-model", "../baseline", "--fetch-baseline", "true"),
            {"MODELSHIP_EVALUATE_TRACKING_URI": nowhere, "MODELSHIP_EVALUATE_CREDENTIALS": world.storage}, 3,
        ),
        "a key that signs nothing": (
            ("register",), {"MLFLOW_TRACKING_URI": world.mlflow, "MODELSHIP_REGISTER_SIGNING_KEY": world.planted["signing-key"]}, 2,
        ),
        "a target that tells its environment": (
            ("deploy", "--environment", "script"), {**deploy, "MODELSHIP_DEPLOY_CREDENTIALS": world.storage}, 3,
        ),
        "a target that lets nobody in": (
            ("deploy", "--environment", "staging"), {**deploy, "MODELSHIP_DEPLOY_CREDENTIALS": wrong}, 3,
        ),
        "nothing to go back to": (
            ("rollback", "--environment", "staging"),
            {"MLFLOW_TRACKING_URI": world.mlflow, "MODELSHIP_ROLLBACK_CREDENTIALS": world.storage}, 2,
        ),
        "a token that nobody knows": (("comment",), {"MODELSHIP_COMMENT_GITHUB_TOKEN": world.planted["wrong"]}, 0),
        "a webhook that is no address": (("notify",), {"MODELSHIP_NOTIFY_WEBHOOK": f"ftp://host/{world.planted['webhook']}"}, 2),
        "a webhook that does not answer": (
            ("notify", "--strict"), {"MODELSHIP_NOTIFY_WEBHOOK": f"http://127.0.0.1:1/{world.planted['webhook']}"}, 3,
        ),
        "a database that does not answer": (("validate", *WATCHED), {}, 3),
        "a database that drift is looked for in": (("drift-report", *WATCHED), {}, 3),
        "a comment that nobody may read": (
            ("accept",),
            {
                "MODELSHIP_ACCEPT_GITHUB_TOKEN": world.planted["wrong"], "GITHUB_EVENT_NAME": "issue_comment",
                "GITHUB_EVENT_PATH": str(world.folder / "comment.json"),
            },
            2,
        ),
        "a live version that nobody finds": (("monitor", *WATCHED), {"MODELSHIP_MONITOR_TRACKING_URI": nowhere}, 3),
        "batches that nobody finds": (
            ("retrain",),
            {"MODELSHIP_RETRAIN_TRACKING_URI": nowhere, "MODELSHIP_RETRAIN_GITHUB_TOKEN": world.planted["github-token"]}, 3,
        ),
        "a past that nobody finds": (("history",), {"MODELSHIP_HISTORY_TRACKING_URI": nowhere}, 3),
        "a gateway that does not answer": (
            ("openmetrics", "--strict"),
            {
                "MODELSHIP_OPENMETRICS_PUSHGATEWAY": "http://127.0.0.1:1", "PUSHGATEWAY_USERNAME": "team",
                "PUSHGATEWAY_PASSWORD": world.planted["wrong"],
            },
            3,
        ),
        "a gateway whose address tells": (("openmetrics", "--strict"), {"MODELSHIP_OPENMETRICS_PUSHGATEWAY": nowhere}, 2),
    }  # fmt: skip


FAILURES = (
    *("a wrong key", "credentials that are none", "a server that is gone", "a baseline that is gone", "a model that is gone"),
    *("a key that signs nothing", "a target that tells its environment", "a target that lets nobody in", "nothing to go back to"),
    *("a token that nobody knows", "a webhook that is no address", "a webhook that does not answer"),
    *("a database that does not answer", "a database that drift is looked for in", "a comment that nobody may read"),
    *("a live version that nobody finds", "batches that nobody finds", "a past that nobody finds"),
    *("a gateway that does not answer", "a gateway whose address tells"),
)


@pytest.fixture(scope="module")
def released(world: World, first: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with all its records, after a release."""
    project = first.copy(tmp_path_factory.mktemp("released") / "project")
    head = project.git("rev-parse", "HEAD")
    project.push_event(head, head)
    run_all(world, project)
    return project


@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_that_fails_tells_a_secret(world: World, released: Project, tmp_path: Path, failure: str) -> None:
    project = released.copy(tmp_path / "project")
    arguments, environment, exit_code = failing(world)[failure]
    ran = world.run(project, *arguments, **environment)
    assert ran.exit_code == exit_code, without_masks(ran.log)
    said = without_masks(ran.log) if failure != "a target that tells its environment" else ""  # GitHub masks a script's own words
    said += ran.summary + "".join(ran.outputs.values())
    # The report is written from every record that there is.
    report = world.run(project, "comment", MODELSHIP_COMMENT_PUBLISH="false")
    assert report.exit_code in (0, 1), report.log
    said += without_masks(report.log) + report.summary
    assert world.leaks(project.directory, world.folder / "mlflow", world.folder / "s3" / "store", said=said) == []


def test_training_that_tells_its_environment_tells_no_secret(world: World, project: Project) -> None:
    """The team's own secret, which training may see, is masked in a log, but in no record: the comment is public."""
    seen = project.directory.parent / "seen"
    tells = f"import os, sys\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\n"
    project.trains(f"{tells}print(dict(os.environ))\nsys.exit('no')\n")
    head = project.commit("tell")
    project.push_event(head, head)
    ran = world.run(project, "train", MLFLOW_TRACKING_URI=world.mlflow, MODELSHIP_TRAIN_ANYTHING=world.planted["wrong"])
    assert ran.exit_code == 2, ran.log
    known = seen.read_text()
    seen.unlink()
    for name in ("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "wrong"):
        assert world.planted[name] not in known, f"training sees {name}"
    assert world.planted["TEAM_API_KEY"] in known
    assert world.run(project, "comment", MODELSHIP_COMMENT_PUBLISH="false").outputs["conclusion"] == "failure"
    (comment,) = (project.directory / ".modelship").rglob("comment.md")
    assert "***" in comment.read_text()
    (project.directory.parent / "log").unlink()  # what training itself has printed, which GitHub masks
    assert world.leaks(project.directory.parent, said=ran.summary) == []


def test_a_canary_would_be_found(world: World, tmp_path: Path) -> None:
    """Wherever it is, and however it is written."""
    (tmp_path / "record.json").write_text(quote(world.planted["webhook"], safe=""))
    assert world.leaks(tmp_path)
    assert world.leaks(said=base64.b64encode(f"{world.planted['wrong']}".encode()).decode())
    with world._watched():
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", "import time; time.sleep(0.5)", world.planted["wrong"]])
    assert world.exposed
    world.exposed.clear()
