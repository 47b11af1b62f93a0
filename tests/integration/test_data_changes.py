"""What a pull request changes in its tables, from real DVC remotes to the record of `validate`, which sees no credentials."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.integration.test_dvc_pull import CREDENTIALS, dvc
from tests.project import CONFIG, Project
from tests.servers import S3_KEY, S3_SECRET

# A changed table may well differ from the other one, and that is not what these tests are about.
CHECKS = "{missing-column: ignore, unexpected-column: ignore, changed-type: ignore, mixed-types: ignore}"
DATA = f"data: {{reference: data/train.csv, current: data/holdout.csv, key: id, expectations: expectations.yaml, checks: {CHECKS}}}\n"
HOLDS = "- expect_column_values_to_be_between: {column: temp, min_value: -100}\n"


class Team:
    """A team whose two tables DVC tracks, on a branch that left `main` at `base`."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.root = project.directory
        dvc(project, "init", "--quiet")
        dvc(project, "remote", "add", "-d", "storage", "../storage")
        project.write("modelship.yaml", CONFIG + DATA)
        project.write("expectations.yaml", HOLDS)
        self.table("holdout", flights(900))
        self.base = self.table("train", flights())
        project.git("checkout", "--quiet", "-b", "change")

    @property
    def storage(self) -> Path:
        return self.root.parent / "storage"

    def table(self, name: str, table: pd.DataFrame) -> str:
        self.project.write(f"data/{name}.csv", table.to_csv(index=False))
        dvc(self.project, "add", f"data/{name}.csv")
        dvc(self.project, "push", "--quiet")
        return self.project.commit(name)

    def forget(self) -> None:
        """What a fresh checkout lacks."""
        shutil.rmtree(self.root / ".dvc" / "cache", ignore_errors=True)
        for table in (self.root / "data").glob("*.csv"):
            table.unlink()

    def proposes(self, head: str) -> None:
        self.project.pull_request_event(self.base, head)
        self.forget()

    def runs(self, **environment: str) -> dict[str, Any]:
        """Pull with what the remote needs, validate without."""
        pulled = self.project.run("dvc-pull", **environment)
        assert pulled.exit_code == 0, pulled.log
        shutil.move(self.storage, self.root.parent / "out-of-reach") if self.storage.exists() else None
        validated = self.project.run("validate")
        assert validated.exit_code == 0, validated.log
        return self.project.record("validate")


def flights(first: int = 0, rows: int = 40) -> pd.DataFrame:
    ids = range(first, first + rows)
    return pd.DataFrame({"id": ids, "temp": [number % 7 + 0.5 for number in ids], "late": [number % 2 for number in ids]})


@pytest.fixture
def team(project: Project) -> Team:
    return Team(project)


def grown() -> pd.DataFrame:
    table = pd.concat([flights().iloc[1:], flights(500, 3)])
    table.loc[table["id"] == 7, "temp"] = 99.5
    return table.assign(humid=0.5)


def test_a_pull_request_is_told_what_it_changes_in_a_table(team: Team) -> None:
    team.proposes(team.table("train", grown()))
    record = team.runs()
    (change,) = record["changes"]
    assert (change["role"], change["path"], change["base"]) == ("reference", "data/train.csv", team.base)
    assert (change["rows-before"], change["rows-after"]) == (40, 42)
    assert (change["added"], change["removed"], change["changed"], change["sample-keys"]) == (3, 1, 1, ["7"])
    assert [(column["column"], column["change"]) for column in change["columns"]] == [("humid", "added"), ("temp", "shifted")]
    assert change["column-counts"] == {"added": 1, "shifted": 1}
    assert record["notices"] == []
    assert (team.root / "data" / "train.csv").read_text() == grown().to_csv(index=False), "the work tree stays as it was"


def test_tables_as_they_were_are_neither_fetched_nor_told_of(team: Team) -> None:
    team.project.write("params.yaml", "learning_rate: 0.2\n")
    team.proposes(team.project.commit("params"))
    before = {path.name for path in team.storage.rglob("*") if path.is_file()}
    record = team.runs()
    assert (record["changes"], record["notices"]) == ([], [])
    cached = {path.name for path in (team.root / ".dvc" / "cache").rglob("*") if path.is_file()}
    assert cached == before


def test_a_base_that_the_remote_has_lost_costs_the_diff_alone(team: Team) -> None:
    lost = next(path for path in team.storage.rglob("*") if path.is_file() and path.read_text() == flights().to_csv(index=False))
    head = team.table("train", grown())
    lost.unlink()
    team.proposes(head)
    record = team.runs()
    assert (record["status"], record["changes"]) == ("pass", [])
    (notice,) = record["notices"]
    assert "`data/train.csv` is not told" in notice
    assert team.base[:7] in notice


def test_without_the_base_tables_nothing_of_the_base_is_fetched(team: Team) -> None:
    team.proposes(team.table("train", grown()))
    assert team.project.run("dvc-pull", "--base-tables", "false").exit_code == 0
    cached = [path for path in (team.root / ".dvc" / "cache").rglob("*") if path.is_file()]
    assert len(cached) == 2
    assert team.project.run("validate").exit_code == 0
    assert len(team.project.record("validate")["notices"]) == 1


def test_a_base_table_that_cannot_be_read_is_a_notice(team: Team) -> None:
    team.project.git("checkout", "--quiet", "main")
    team.project.write("data/train.csv", b"id,temp\n1,2\n\xff\xfe,3\n")
    dvc(team.project, "add", "data/train.csv")
    dvc(team.project, "push", "--quiet")
    team.base = team.project.commit("broken")
    team.project.git("checkout", "--quiet", "-b", "repair")
    team.proposes(team.table("train", grown()))
    record = team.runs()
    assert (record["status"], record["changes"]) == ("pass", [])
    (notice,) = record["notices"]
    assert f"data/train.csv at {team.base[:7]}" in notice
    assert "is no UTF-8" in notice


def test_what_the_base_branch_got_meanwhile_is_not_the_pull_requests_doing(team: Team) -> None:
    head = team.table("holdout", flights(950))
    team.project.git("checkout", "--quiet", "main")
    newer = team.table("train", grown())
    team.project.git("checkout", "--quiet", "change")
    team.proposes(head)
    team.project.pull_request_event(newer, head)
    (change,) = team.runs()["changes"]
    assert (change["role"], change["base"]) == ("current", team.base)


@pytest.mark.parametrize("may_fetch", [True, False])
def test_a_shallow_clone_has_or_fetches_the_base_commit(team: Team, may_fetch: bool) -> None:
    """As a checkout leaves it, with a token to fetch more or, after one of the base commit, without."""
    head = team.table("train", grown())
    clone = Project(team.root.parent / "clone" / "repository")
    clone.directory.parent.mkdir()
    team.project.git("config", "uploadpack.allowAnySHA1InWant", "true")
    team.project.git("clone", "--quiet", "--depth=1", "--branch=change", team.root.as_uri(), str(clone.directory))
    if not may_fetch:
        clone.git("fetch", "--quiet", "--depth=1", "origin", team.base)
        clone.git("remote", "remove", "origin")
    shutil.copytree(team.storage, clone.directory.parent / "storage")
    clone.pull_request_event(team.base, head)
    assert clone.run("dvc-pull").exit_code == 0
    assert clone.run("validate").exit_code == 0
    (change,) = clone.record("validate")["changes"]
    assert (change["base"], change["added"]) == (team.base, 3)


def test_at_a_terminal_the_work_tree_is_compared_with_where_the_branch_began(team: Team) -> None:
    """Nothing needs to be committed, nor to be known to DVC."""
    team.project.write("data/train.csv", grown().to_csv(index=False))
    assert team.project.run("validate").exit_code == 0
    (change,) = team.project.record("validate")["changes"]
    assert (change["base"], change["added"]) == (team.base, 3)


def test_a_base_that_does_not_exist_is_bad_input_where_it_was_asked_for(team: Team) -> None:
    for command in ("dvc-pull", "validate"):
        assert team.project.run(command, "--base", "nowhere").exit_code == 2
        assert "git knows no commit `nowhere`" in team.project.record(command)["summary"]
    team.project.pull_request_event("0123456789" * 4, team.project.git("rev-parse", "HEAD"))
    (notice,) = team.runs()["notices"]
    assert "What changes in the data is not told" in notice


def test_tables_in_git_and_a_path_that_moved(team: Team) -> None:
    team.project.write("modelship.yaml", CONFIG + DATA.replace("train.csv", "small.csv"))
    team.project.write("data/small.csv", grown().to_csv(index=False))
    team.project.git("add", "--force", "data/small.csv")
    moved = team.project.commit("in git, elsewhere")
    team.project.pull_request_event(team.base, moved)
    (change,) = team.runs()["changes"]
    assert (change["path"], change["path-before"], change["added"]) == ("data/small.csv", "data/train.csv", 3)

    team.base = moved
    team.project.write("data/small.csv", flights().to_csv(index=False))
    team.project.pull_request_event(moved, team.project.commit("in git, as at first"))
    assert team.project.run("validate").exit_code == 0
    (change,) = team.project.record("validate")["changes"]
    assert (change["added"], change["removed"], change["changed"]) == (1, 3, 1)


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_table_in_a_folder_that_dvc_tracks(project: Project, is_elsewhere: bool) -> None:
    """Only what concerns the table is fetched; another file of the folder is no change of the table."""
    dvc(project, "init", "--quiet")
    dvc(project, "remote", "add", "-d", "storage", "../storage")
    if is_elsewhere:
        dvc(project, "cache", "dir", "../other-cache")
    project.write("modelship.yaml", CONFIG + DATA.replace("current: data/holdout.csv, ", ""))
    project.write("expectations.yaml", HOLDS)

    def commit(**tables: str) -> str:
        for name, content in tables.items():
            project.write(f"data/{name}.csv", content)
        dvc(project, "add", "data")
        dvc(project, "push", "--quiet")
        return project.commit("data")

    old = "x,y\n" * 5
    base = commit(train=flights().to_csv(index=False), other=old)
    for tables, told in (({"other": "x,z\n" * 7}, 0), ({"train": grown().to_csv(index=False)}, 1)):
        project.pull_request_event(base, commit(**tables))
        for folder in (project.directory / ".dvc" / "cache", project.directory.parent / "other-cache", project.directory / "data"):
            shutil.rmtree(folder, ignore_errors=True)
        assert project.run("dvc-pull").exit_code == 0
        caches = (project.directory / ".dvc" / "cache", project.directory.parent / "other-cache")
        kept = [path.read_text() for cache in caches for path in cache.rglob("*") if path.is_file()]
        assert old not in kept
        assert project.run("validate").exit_code == 0
        record = project.record("validate")
        assert (len(record["changes"]), record["notices"]) == (told, [])


def test_credentials_go_where_the_base_says(team: Team, s3: str) -> None:
    """The base's remote needs them; that the pull request names another place changes nothing."""
    from botocore.session import get_session

    keys = {"aws_access_key_id": S3_KEY, "aws_secret_access_key": S3_SECRET, "region_name": "us-east-1"}
    get_session().create_client("s3", endpoint_url=s3, **keys).create_bucket(Bucket="diff")
    secrets = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_REGION": "us-east-1"}
    team.project.git("checkout", "--quiet", "main")
    dvc(team.project, "remote", "modify", "storage", "url", "s3://diff/data")
    dvc(team.project, "remote", "modify", "storage", "endpointurl", s3)
    dvc(team.project, "push", "--quiet", **secrets)
    team.base = team.project.commit("S3")
    shutil.rmtree(team.storage)
    team.project.git("checkout", "--quiet", "-b", "elsewhere")
    dvc(team.project, "remote", "remove", "storage")
    dvc(team.project, "remote", "add", "-d", "mine", "../storage")
    team.proposes(team.table("train", grown()))
    record = team.runs(MODELSHIP_DVC_PULL_CREDENTIALS=CREDENTIALS)
    assert [change["added"] for change in record["changes"]] == [3]
    assert team.project.record("dvc-pull")["remotes"] == ["mine (local)"]
