"""dvc-pull with real DVC on a folder and on a real S3-compatible server."""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path

import dvc as dvc_library
import pytest

from modelship.core.credentials import read_credentials
from modelship.core.errors import BadInput
from modelship.data.dvc_remotes import read_remotes
from tests.project import Project
from tests.servers import S3_KEY, S3_SECRET, free_port
from tests.warm import warm_python

CREDENTIALS = f"AWS_ACCESS_KEY_ID={S3_KEY}\nAWS_SECRET_ACCESS_KEY={S3_SECRET}\n"
PIPELINE = """\
stages:
  prepare:
    cmd: cp data/raw.csv data/table.csv
    deps: [data/raw.csv]
    outs: [data/table.csv]
"""


def dvc(project: Project, *arguments: str, **environment: str) -> None:
    variables = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(project.directory.parent),
        "DVC_NO_ANALYTICS": "1",
        **environment,
    }
    log = project.directory.parent / "dvc.log"
    program = Path(dvc_library.__file__).with_name("__main__.py")
    exit_code = warm_python(program, "dvc.cli", "dvc.repo").run(arguments, project.directory, variables, log)
    assert exit_code == 0, log.read_text()


@pytest.fixture(scope="module")
def pushed(first_commit: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What every test's `tracked` is a copy of."""
    project = first_commit.copy(tmp_path_factory.mktemp("tracked"))
    dvc(project, "init", "--quiet")
    project.write("data/raw.csv", "a,b\n1,2\n")
    project.write("data/days/one.csv", "1\n")
    project.write("data/days/two.csv", "2\n")
    dvc(project, "add", "data/raw.csv", "data/days")
    project.write("dvc.yaml", PIPELINE)
    dvc(project, "repro", "--quiet")
    dvc(project, "remote", "add", "-d", "storage", "../storage")
    dvc(project, "push", "--quiet")
    project.commit("data")
    forget(project)
    return project


@pytest.fixture
def tracked(pushed: Project, tmp_path: Path) -> Project:
    """A file, a folder and a stage's output under DVC, with a folder as remote, everything pushed and nothing left here."""
    return pushed.copy(tmp_path)


def forget(project: Project) -> None:
    shutil.rmtree(project.directory / ".dvc" / "cache", ignore_errors=True)
    shutil.rmtree(project.directory / "data" / "days", ignore_errors=True)
    for name in ("raw.csv", "table.csv"):
        (project.directory / "data" / name).unlink(missing_ok=True)


def stored(project: Project, content: bytes) -> Path:
    """The remote's object that holds `content`."""
    files = (project.directory.parent / "storage").rglob("*")
    return next(path for path in files if path.is_file() and path.read_bytes() == content)


def test_everything_that_the_commit_names_is_there_and_verified(tracked: Project) -> None:
    ran = tracked.run("dvc-pull")

    assert ran.exit_code == 0, ran.log
    assert (tracked.directory / "data" / "raw.csv").read_text() == "a,b\n1,2\n"
    assert (tracked.directory / "data" / "days" / "two.csv").read_text() == "2\n"
    record = tracked.record("dvc-pull")
    assert [output["path"] for output in record["outputs"]] == ["data/days", "data/raw.csv", "data/table.csv"]
    assert record["remotes"] == ["storage (local)"]
    assert record["recomputed"] == []


def test_a_folder_with_the_cache_elsewhere(tracked: Project) -> None:
    dvc(tracked, "cache", "dir", "../other-cache")
    ran = tracked.run("dvc-pull")
    assert ran.exit_code == 0, ran.log
    assert "data/days" in [output["path"] for output in tracked.record("dvc-pull")["outputs"]]


def test_a_folder_that_dvc_2_tracked(tracked: Project) -> None:
    storage = tracked.directory.parent / "storage"
    for part in (storage / "files" / "md5").iterdir():
        shutil.copytree(part, storage / part.name)
    for name in ("data/days.dvc", "data/raw.csv.dvc"):
        tracked.write(name, (tracked.directory / name).read_text().replace("  hash: md5\n", ""))
    tracked.commit("as DVC 2 wrote it")
    ran = tracked.run("dvc-pull")
    assert ran.exit_code == 0, ran.log


def test_data_that_the_remote_lacks_is_named(tracked: Project) -> None:
    stored(tracked, b"a,b\n1,2\n").unlink()

    ran = tracked.run("dvc-pull")

    assert ran.exit_code == 2
    (problem,) = tracked.record("dvc-pull")["problems"]
    assert "lacks `data/raw.csv`" in problem["message"]
    assert problem["path"] == "data/raw.csv.dvc"


def test_data_that_the_remote_has_damaged_does_not_pass(tracked: Project) -> None:
    for content in (b"a,b\n1,2\n", b"2\n"):
        damaged = stored(tracked, content)
        damaged.chmod(0o644)
        damaged.write_bytes(b"x" * len(content))

    assert tracked.run("dvc-pull").exit_code == 2
    said = " ".join(problem["message"] for problem in tracked.record("dvc-pull")["problems"])
    assert "`data/raw.csv`" in said
    assert "`data/days`" in said


def test_a_stage_output_that_the_remote_lacks_is_left_to_training(tracked: Project) -> None:
    tracked.write("dvc.yaml", PIPELINE.replace("cp data/raw.csv", "echo more; tac data/raw.csv >"))
    stored(tracked, b"a,b\n1,2\n").unlink()
    tracked.write("data/raw.csv", "a,b\n3,4\n")
    dvc(tracked, "add", "data/raw.csv")
    dvc(tracked, "push", "--quiet", "data/raw.csv.dvc")
    tracked.commit()
    forget(tracked)

    ran = tracked.run("dvc-pull")

    assert ran.exit_code == 0, ran.log
    assert tracked.record("dvc-pull")["recomputed"] == ["data/table.csv"]


@pytest.mark.parametrize(
    ("arrange", "says"),
    [
        (("remote", "remove", "storage"), "no default DVC remote"),
        (("remote", "modify", "storage", "url", "hdfs://cluster/data"), "of the kind `hdfs`"),
    ],
)
def test_a_remote_that_cannot_be_used_is_bad_input(tracked: Project, arrange: tuple[str, ...], says: str) -> None:
    dvc(tracked, *arrange)
    ran = tracked.run("dvc-pull")
    assert ran.exit_code == 2
    assert says in tracked.record("dvc-pull")["summary"]


def test_a_pipeline_without_data_and_without_a_remote_makes_everything_anew(project: Project) -> None:
    dvc(project, "init", "--quiet")
    project.write("dvc.yaml", "stages:\n  make:\n    cmd: echo 1 > table.csv\n    outs: [table.csv]\n")
    dvc(project, "repro", "--quiet")
    (project.directory / "table.csv").unlink()
    assert project.run("dvc-pull").exit_code == 0
    assert project.record("dvc-pull")["recomputed"] == ["table.csv"]


def test_an_unknown_remote_names_the_nearest(tracked: Project) -> None:
    ran = tracked.run("dvc-pull", "--remote", "storag")
    assert ran.exit_code == 2
    assert "Did you mean `storage`?" in ran.log


def test_without_dvc_or_without_data_there_is_nothing_to_pull(project: Project) -> None:
    assert project.run("dvc-pull").exit_code == 2
    dvc(project, "init", "--quiet")
    assert project.run("dvc-pull").exit_code == 2


@pytest.fixture(scope="module")
def pushed_to_s3(pushed: Project, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What every test's `on_s3` is a copy of; all have one bucket, which they leave as it is."""
    tracked = pushed.copy(tmp_path_factory.mktemp("on-s3"))
    tracked.run("dvc-pull")
    folder = uuid.uuid4().hex
    dvc(tracked, "remote", "modify", "storage", "url", f"s3://{folder}/data")
    dvc(tracked, "remote", "modify", "storage", "endpointurl", s3)
    secrets = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_REGION": "us-east-1"}
    from botocore.session import get_session

    get_session().create_client(
        "s3", endpoint_url=s3, aws_access_key_id=S3_KEY, aws_secret_access_key=S3_SECRET, region_name="us-east-1"
    ).create_bucket(Bucket=folder)
    dvc(tracked, "push", "--quiet", **secrets)
    tracked.commit("move to S3")
    forget(tracked)
    return tracked


@pytest.fixture
def on_s3(pushed_to_s3: Project, tmp_path: Path) -> Project:
    return pushed_to_s3.copy(tmp_path)


def test_s3(on_s3: Project) -> None:
    ran = on_s3.run("dvc-pull", MODELSHIP_DVC_PULL_CREDENTIALS=CREDENTIALS)

    assert ran.exit_code == 0, ran.log
    assert (on_s3.directory / "data" / "days" / "one.csv").read_text() == "1\n"
    assert on_s3.record("dvc-pull")["remotes"] == ["storage (s3)"]
    assert S3_SECRET not in ran.log
    assert S3_SECRET not in (on_s3.directory / ".modelship" / "dvc-pull.json").read_text()


def test_s3_with_wrong_credentials_is_infrastructure(on_s3: Project) -> None:
    ran = on_s3.run("dvc-pull", MODELSHIP_DVC_PULL_CREDENTIALS=CREDENTIALS.replace(S3_SECRET, "wrong"))
    assert ran.exit_code == 3, ran.log


def test_s3_that_does_not_answer_is_infrastructure(on_s3: Project) -> None:
    dvc(on_s3, "remote", "modify", "storage", "endpointurl", f"http://127.0.0.1:{free_port()}")
    ran = on_s3.run("dvc-pull", MODELSHIP_DVC_PULL_CREDENTIALS=CREDENTIALS, AWS_MAX_ATTEMPTS="1")
    assert ran.exit_code == 3, ran.log
    assert "storage" in on_s3.record("dvc-pull")["summary"]


@pytest.mark.parametrize(
    ("url", "kind", "capability"),
    [
        ("../storage", "local", "dvc"),
        ("/mnt/data", "local", "dvc"),
        ("file:///mnt/data", "local", "dvc"),
        ("s3://bucket/path", "s3", "dvc-s3"),
        ("gs://bucket/path", "gs", "dvc-gs"),
        ("azure://container/path", "azure", "dvc-azure"),
        ("ssh://user:secret@host/path", "ssh", "dvc-ssh"),
        ("https://user:secret@host/path?token=secret", "https", "dvc"),
        ("remote://other/path", "gs", "dvc-gs"),
    ],
)
def test_each_kind_of_remote_is_recognised(tmp_path: Path, url: str, kind: str, capability: str) -> None:
    (tmp_path / ".dvc").mkdir()
    sections = f"[core]\n    remote = it\n['remote \"it\"']\n    url = {url}\n['remote \"other\"']\n    url = gs://other/base\n"
    (tmp_path / ".dvc" / "config").write_text(sections)

    (remote,) = read_remotes(tmp_path).needed(None, set())

    assert (remote.kind, remote.capability) == (kind, capability)
    assert "secret" not in remote.url


def test_credentials_are_only_what_storage_libraries_read() -> None:
    assert read_credentials("AWS_ACCESS_KEY_ID=a\n\n AZURE_STORAGE_KEY=b=c \n") == {
        "AWS_ACCESS_KEY_ID": "a",
        "AZURE_STORAGE_KEY": "b=c",
    }
    for text in ("PATH=/tmp", "LD_PRELOAD=x.so", "AWS_ACCESS_KEY_ID"):
        with pytest.raises(BadInput):
            read_credentials(text)
