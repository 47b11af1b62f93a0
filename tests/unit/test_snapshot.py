"""Whether the work tree holds what a commit does, by content: in git, kept by Git LFS, under DVC. No remote is asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from modelship.core.git import Git
from modelship.data.snapshot import AbsentError, Snapshot, Storage
from tests.project import Project

TABLE = "id,x\n1,2\n"


def md5(content: str) -> str:
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def listing(**files: str) -> str:
    """A folder's listing as DVC writes it."""
    return json.dumps([{"md5": md5(content), "relpath": f"{name}.csv"} for name, content in sorted(files.items())])


def tracked(path: str, digest: str) -> str:
    return f"outs:\n- md5: {digest}\n  hash: md5\n  path: {path}\n"


def pointer(content: str) -> str:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def snapshot(project: Project, *, is_offline: bool = False) -> Snapshot:
    return Snapshot(Git(project.directory), project.commit(), Storage(is_offline=is_offline))


def is_same(project: Project, held: Snapshot, path: str, **files: str | None) -> bool:
    """After these files of the folder `data` were written or removed."""
    for name, content in files.items():
        file = project.directory / "data" / f"{name}.csv"
        if content is None:
            file.unlink()
        else:
            project.write(f"data/{name}.csv", content)
    return held.is_same(path, project.directory / path)


@pytest.mark.parametrize(
    "held",
    [
        {"data/train.csv": TABLE},
        {"data/train.csv": pointer(TABLE)},
        {"data/train.csv.dvc": tracked("train.csv", md5(TABLE))},
        {"data.dvc": tracked("data", md5(listing(train=TABLE)) + ".dir")},
    ],
    ids=["git", "LFS", "DVC", "a folder under DVC"],
)
def test_a_file(project: Project, held: dict[str, str]) -> None:
    for name, content in held.items():
        project.write(name, content)
    before = snapshot(project)
    assert is_same(project, before, "data/train.csv", train=TABLE)
    assert not is_same(project, before, "data/train.csv", train=TABLE.replace("2", "3"))
    assert not is_same(project, before, "data/train.csv", train=TABLE + "2,3\n")
    assert not is_same(project, before, "data/train.csv", train=None)


@pytest.mark.parametrize(
    "held",
    [
        {"data/one.csv": "1", "data/two.csv": "2"},
        {"data.dvc": tracked("data", md5(listing(one="1", two="2")) + ".dir")},
        {"data/one.csv.dvc": tracked("one.csv", md5("1")), "data/two.csv": "2"},
    ],
    ids=["git", "DVC", "both"],
)
def test_a_folder(project: Project, held: dict[str, str]) -> None:
    for name, content in held.items():
        project.write(name, content)
    before = snapshot(project)
    assert is_same(project, before, "data", one="1", two="2")
    assert not is_same(project, before, "data", three="3")
    assert not is_same(project, before, "data", three=None, one="9")
    assert not is_same(project, before, "data", one=None)


def test_a_folder_beside_the_table_says_nothing_of_it_where_its_listing_is_at_hand(project: Project) -> None:
    project.write(".dvc/config", "")
    old = listing(other="1", train=TABLE)
    project.write("data.dvc", tracked("data", md5(old) + ".dir"))
    before = snapshot(project)
    assert not is_same(project, before, "data/train.csv", train=TABLE, other="2"), "nobody knows what the folder held"
    project.write(f".dvc/cache/files/md5/{md5(old)[:2]}/{md5(old)[2:]}.dir", old)
    assert is_same(project, before, "data/train.csv")
    assert not is_same(project, before, "data/train.csv", train="")


def test_what_the_commit_does_not_name_is_not_the_same(project: Project) -> None:
    assert not is_same(project, snapshot(project), "data/train.csv", train=TABLE)


def test_offline_there_is_what_a_cache_holds(project: Project, tmp_path: Path) -> None:
    project.write(".dvc/config", "[core]\nremote = storage\n['remote \"storage\"']\nurl = ../../storage\n")
    project.write("data/train.csv.dvc", tracked("train.csv", md5(TABLE)))
    held = snapshot(project, is_offline=True)
    with pytest.raises(AbsentError, match=r"DVC's cache does not hold `data/train\.csv`"):
        held.fetch("data/train.csv", tmp_path / "one")
    project.write(f".dvc/cache/files/md5/{md5(TABLE)[:2]}/{md5(TABLE)[2:]}", TABLE)
    held.fetch("data/train.csv", tmp_path / "two")
    assert (tmp_path / "two").read_text() == TABLE


def test_equal_hashes_name_equal_content(project: Project) -> None:
    project.write("data/a.csv.dvc", tracked("a.csv", md5("1")))
    project.write("data/b.csv.dvc", tracked("b.csv", md5("1")))
    project.write("data/c.csv.dvc", tracked("c.csv", md5("2")))
    project.write("data/d.csv", "1")
    held = snapshot(project)
    assert held.hashes("data/a.csv") == held.hashes("data/b.csv") != held.hashes("data/c.csv")
    assert held.hashes("data/d.csv") == frozenset()
