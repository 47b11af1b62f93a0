"""A baseline's predictions and model from real DVC remotes: whose configuration is followed, and what happens without the object."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.git import Git
from modelship.core.metrics import Metrics
from modelship.gate.baseline import Found, Located, Places, fetch_model, find_baseline
from tests.integration.test_dvc_pull import dvc
from tests.project import Project
from tests.servers import S3_KEY, S3_SECRET, free_port

BASE, HEAD = "id,score\n1,0.25\n", "id,score\n1,0.75\n"
KEYS = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_REGION": "us-east-1"}
PIPELINE = """\
stages:
  train:
    cmd: mkdir -p model && cp rate.txt model/MLmodel && cp rate.txt predictions.csv
    deps: [rate.txt]
    outs: [model, predictions.csv]
"""


class Repository:
    """A project whose predictions and model DVC tracks at two commits, `base` and the one checked out."""

    def __init__(self, project: Project, base: str) -> None:
        self.project, self.base = project, base

    @property
    def root(self) -> Path:
        return self.project.directory

    def copy(self, directory: Path) -> Repository:
        return Repository(self.project.copy(directory), self.base)

    @property
    def storage(self) -> Path:
        return self.root.parent / "storage"

    def train(self, rate: str) -> str:
        self.project.write("rate.txt", rate)
        dvc(self.project, "repro", "--quiet", "--all-pipelines")
        dvc(self.project, "push", "--quiet")
        return self.project.commit("train")

    def forget(self) -> None:
        """What a fresh checkout lacks."""
        for name in (".dvc/cache", ".dvc/tmp", "model"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        (self.root / "predictions.csv").unlink(missing_ok=True)

    def places(self, *, credentials: Mapping[str, str] | None = None, pull_request: bool = False, **changes: str | None) -> Places:
        paths: dict[str, Any] = {"predictions_path": "predictions.csv", "model_path": "model", "remote": None, **changes}
        return Places(
            git=Git(self.root),
            directory=self.root,
            metrics_path="metrics.json",
            base=self.base,
            registered_name="m",
            model="m",
            runs=None,
            policy_commit=self.base if pull_request else None,
            credentials=credentials or {},
            **paths,
        )


@pytest.fixture(scope="module")
def trained(first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What every test's `repository` is a copy of."""
    project = first_commit.copy(tmp_path_factory.mktemp("trained"))
    dvc(project, "init", "--quiet")
    dvc(project, "remote", "add", "-d", "storage", "../storage")
    project.write("dvc.yaml", PIPELINE)
    repository = Repository(project, "")
    repository.base = repository.train(BASE)
    repository.train(HEAD)
    repository.forget()
    return repository


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without anybody's credentials."""
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def repository(trained: Repository, home: Path) -> Repository:
    return trained.copy(home)


def located(found: Found) -> Located:
    assert found.predictions
    return found.predictions()


def content(located: Located) -> str:
    assert located.path, located.why_absent
    assert not located.path.is_symlink()
    return located.path.read_text()


# From the remote -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pull_request", [False, True])
def test_predictions_of_the_base_come_from_the_remote(repository: Repository, pull_request: bool) -> None:
    for spec in ("base", f"git:{repository.base}"):
        found = find_baseline(spec, repository.places(pull_request=pull_request))
        assert content(located(found)) == BASE
        assert located(found).name == f"predictions.csv at {repository.base[:7]}"
    assert not (repository.root / ".dvc" / "cache").exists(), "the work tree stays as it was"
    assert not (repository.root / "predictions.csv").exists()


def test_the_model_of_the_base_comes_from_the_remote(repository: Repository, tmp_path: Path) -> None:
    found = fetch_model("base", repository.places(pull_request=True), tmp_path / "fetched")
    assert found.path == tmp_path / "fetched"
    assert [path.name for path in found.path.iterdir()] == ["MLmodel"]
    assert (found.path / "MLmodel").read_text() == BASE


def test_nothing_is_fetched_before_it_is_asked_for(repository: Repository) -> None:
    shutil.rmtree(repository.storage)
    found = find_baseline("base", repository.places())
    assert found.metrics
    assert found.metrics.values["roc_auc"] == 0.744
    assert located(found).path is None


def test_what_the_remote_lacks_is_said(repository: Repository, tmp_path: Path) -> None:
    shutil.rmtree(repository.storage)
    why = located(find_baseline("base", repository.places())).why_absent
    assert why.startswith("the DVC remote `storage` lacks `predictions.csv` (md5:")
    why = fetch_model("base", repository.places(), tmp_path / "fetched").why_absent
    assert why.startswith("the DVC remote `storage` lacks the listing of `model`")


def test_what_the_remote_has_damaged_is_not_taken(repository: Repository) -> None:
    for path in repository.storage.rglob("*"):
        if path.is_file() and path.read_text() == BASE:
            path.chmod(0o644)
            path.write_text(HEAD)
    assert "or holds it damaged" in located(find_baseline("base", repository.places())).why_absent


def test_a_file_within_a_folder_that_dvc_tracks(repository: Repository) -> None:
    places = repository.places(predictions_path="model/predictions.csv")
    why = located(find_baseline("base", places)).why_absent
    assert why == f"`model` holds no `predictions.csv` at {repository.base[:7]}"
    repository.project.write(
        "dvc.yaml", PIPELINE.replace("rate.txt predictions", "rate.txt model/predictions").replace(", predictions.csv", "")
    )
    repository.base = repository.train(BASE)
    repository.forget()
    assert content(located(find_baseline("base", repository.places(predictions_path="model/predictions.csv")))) == BASE


def test_a_stage_that_works_in_another_folder_and_names_a_remote(repository: Repository) -> None:
    dvc(repository.project, "remote", "add", "other", "../other")
    stage = "stages:\n  it:\n    wdir: ../sub\n    cmd: cp ../rate.txt p.csv\n    outs:\n    - p.csv: {remote: other}\n"
    repository.project.write("pipelines/dvc.yaml", stage)
    (repository.root / "sub").mkdir()
    repository.base = repository.train(BASE)
    repository.forget()
    (repository.root / "sub" / "p.csv").unlink()
    shutil.rmtree(repository.storage)
    assert content(located(find_baseline("base", repository.places(predictions_path="sub/p.csv")))) == BASE


def test_a_dvc_repository_in_a_folder_of_a_monorepo(project: Project) -> None:
    inner = Project(project.directory / "models" / "a")
    inner.directory.mkdir(parents=True)
    dvc(inner, "init", "--quiet", "--subdir")
    dvc(inner, "remote", "add", "-d", "storage", str(project.directory.parent / "storage"))
    inner.write("out/p.csv", BASE)
    dvc(inner, "add", "--quiet", "out/p.csv")
    dvc(inner, "push", "--quiet")
    base = project.commit("inner")
    shutil.rmtree(inner.directory / ".dvc" / "cache")
    (inner.directory / "out" / "p.csv").unlink()
    for commit in (None, base):
        places = Places(Git(inner.directory), inner.directory, None, base, "m", "m", None, commit, predictions_path="out/p.csv")
        assert content(located(find_baseline("base", places))) == BASE


def test_without_a_remote_that_is_said(repository: Repository) -> None:
    dvc(repository.project, "remote", "remove", "storage")
    assert "no default DVC remote" in located(find_baseline("base", repository.places())).why_absent
    with pytest.raises(BadInput, match="there is no DVC remote `nowhere`"):
        located(find_baseline("base", repository.places(remote="nowhere")))


# From where it lies already --------------------------------------------------------------------------------------------------------


def test_a_cache_spares_the_remote(repository: Repository, tmp_path: Path) -> None:
    repository.storage.rename(repository.root / ".dvc" / "cache")
    assert content(located(find_baseline("base", repository.places()))) == BASE
    assert fetch_model("base", repository.places(), tmp_path / "fetched").path


def test_a_damaged_cache_does_not(repository: Repository, tmp_path: Path) -> None:
    shutil.copytree(repository.storage, repository.root / ".dvc" / "cache")
    for path in (repository.root / ".dvc" / "cache").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("damaged")
    assert content(located(find_baseline("base", repository.places()))) == BASE
    assert fetch_model("base", repository.places(), tmp_path / "fetched").path


def test_a_cache_elsewhere(repository: Repository) -> None:
    dvc(repository.project, "cache", "dir", "../shared cache")
    repository.storage.rename(repository.root.parent / "shared cache")
    assert content(located(find_baseline("base", repository.places()))) == BASE


def test_the_work_tree_spares_the_remote_where_it_has_the_very_file(repository: Repository) -> None:
    shutil.rmtree(repository.storage)
    repository.project.write("predictions.csv", BASE)
    assert content(located(find_baseline("base", repository.places()))) == BASE
    repository.project.write("predictions.csv", HEAD)
    assert located(find_baseline("base", repository.places())).path is None


def test_a_repository_that_dvc_2_wrote(repository: Repository, tmp_path: Path) -> None:
    for part in (repository.storage / "files" / "md5").iterdir():
        shutil.copytree(part, repository.storage / part.name)
    shutil.rmtree(repository.storage / "files")
    lock = repository.root / "dvc.lock"
    repository.project.write("dvc.lock", lock.read_text().replace("      hash: md5\n", ""))
    repository.base = repository.project.commit("as DVC 2 wrote it")
    assert content(located(find_baseline("base", repository.places()))) == HEAD
    assert fetch_model("base", repository.places(), tmp_path / "fetched").path


# `file:` under DVC -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tracked", ["old", "old/predictions.csv"])
def test_a_folder_of_results_under_dvc_is_the_bases(repository: Repository, tracked: str) -> None:
    project = repository.project
    for rate in (BASE, HEAD):
        project.write("old/metrics.json", json.dumps({"roc_auc": 0.7 if rate == BASE else 0.1}))
        project.write("old/predictions.csv", rate)
        dvc(project, "add", "--quiet", tracked)
        dvc(project, "push", "--quiet")
        commit = project.commit("results")
        repository.base = commit if rate == BASE else repository.base
    repository.forget()
    shutil.rmtree(repository.root / "old")

    found = find_baseline("file:old", repository.places(pull_request=True))

    assert found.metrics == Metrics({"roc_auc": 0.7}, {})
    assert found.baseline.commit == repository.base
    assert content(located(found)) == BASE


def test_a_metrics_file_under_dvc_is_the_bases(repository: Repository) -> None:
    project = repository.project
    project.write("old.json", '{"roc_auc": 0.7}')
    dvc(project, "add", "--quiet", "old.json")
    dvc(project, "push", "--quiet")
    repository.base = project.commit("results")
    project.write("old.json", '{"roc_auc": 0.1}')
    dvc(project, "add", "--quiet", "old.json")
    project.commit("worse")
    repository.forget()
    assert find_baseline("file:old.json", repository.places(pull_request=True)).metrics == Metrics({"roc_auc": 0.7}, {})
    shutil.rmtree(repository.storage)
    with pytest.raises(BadInput, match=r"the baseline `old.json` is not to be had at base \w{7}: the DVC remote `storage` lacks"):
        find_baseline("file:old.json", repository.places(pull_request=True))


# Whose configuration is followed ---------------------------------------------------------------------------------------------------


def test_a_pull_request_does_not_say_where_credentials_go(repository: Repository) -> None:
    for name in ("config", "config.local"):
        repository.project.write(f".dvc/{name}", "[core]\n    remote = storage\n['remote \"storage\"']\n    url = ../elsewhere\n")
    repository.project.git("add", "--force", ".dvc/config.local")
    repository.project.commit("point elsewhere")

    assert content(located(find_baseline("base", repository.places(pull_request=True)))) == BASE
    assert located(find_baseline("base", repository.places())).path is None, "at a terminal the work tree's is followed"


@pytest.fixture(scope="module")
def moved_to_s3(trained: Repository, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What every test's `on_s3` is a copy of; all have one bucket, which they leave as it is."""
    from botocore.session import get_session

    name = uuid.uuid4().hex
    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET, "region_name": "us-east-1"}
    get_session().create_client("s3", endpoint_url=s3, **keys).create_bucket(Bucket=name)
    repository = trained.copy(tmp_path_factory.mktemp("on-s3"))
    dvc(repository.project, "pull", "--quiet")
    dvc(repository.project, "remote", "modify", "storage", "url", f"s3://{name}/data")
    dvc(repository.project, "remote", "modify", "storage", "endpointurl", s3)
    dvc(repository.project, "push", "--quiet", **KEYS)
    repository.base = repository.project.commit("move to S3")
    repository.forget()
    return repository


@pytest.fixture
def on_s3(moved_to_s3: Repository, home: Path) -> Repository:
    """The repository with its objects in a bucket, which the base commit's configuration names."""
    return moved_to_s3.copy(home)


@pytest.mark.parametrize("pull_request", [False, True])
def test_s3(on_s3: Repository, pull_request: bool, capsys: pytest.CaptureFixture[str]) -> None:
    places = on_s3.places(credentials=KEYS, pull_request=pull_request)
    assert content(located(find_baseline("base", places))) == HEAD
    assert S3_SECRET not in repr(places) + capsys.readouterr().out


def test_s3_with_wrong_credentials_is_infrastructure(on_s3: Repository) -> None:
    places = on_s3.places(credentials={**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"})
    with pytest.raises(InfrastructureError, match="could not pull from storage"):
        located(find_baseline("base", places))


def test_s3_that_does_not_answer_is_infrastructure(on_s3: Repository) -> None:
    dvc(on_s3.project, "remote", "modify", "storage", "endpointurl", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(InfrastructureError):
        located(find_baseline("base", on_s3.places(credentials={**KEYS, "AWS_MAX_ATTEMPTS": "1"})))


def test_settings_in_the_work_tree_are_followed_only_outside_of_pull_requests(on_s3: Repository) -> None:
    mark = on_s3.root.parent / "ran"
    dvc(on_s3.project, "remote", "modify", "storage", "configpath", "aws.ini")
    on_s3.base = on_s3.project.commit("name a file with settings")
    keys = f'{{"Version": 1, "AccessKeyId": "{S3_KEY}", "SecretAccessKey": "{S3_SECRET}"}}'
    on_s3.project.write("keys.sh", f"touch '{mark}'\necho '{keys}'\n")
    on_s3.project.write("aws.ini", f"[default]\nregion = us-east-1\ncredential_process = sh {on_s3.root}/keys.sh\n")
    on_s3.project.commit("bring a program")

    with pytest.raises(InfrastructureError):
        located(find_baseline("base", on_s3.places(pull_request=True, credentials={"AWS_EC2_METADATA_DISABLED": "true"})))
    assert not mark.exists()

    assert content(located(find_baseline("base", on_s3.places()))) == HEAD
    assert mark.exists()
