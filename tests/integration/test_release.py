"""A version of this repository on a GitHub that keeps state: one release, whatever happens between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import github
import pytest
from github.Repository import Repository as Client
from tools.release import Version, publish, tags_of

from tests.e2e.git import Repository
from tests.e2e.github import GitHub, emulate_script
from tests.project import CONFIG, ROOT

NAME = "acme/modelship"
GRANTED = {"contents": "write"}
NOTES = "- `deploy` knows `canary`.\n- What @mona asked for."


@dataclass
class Origin:
    """This repository's GitHub."""

    server: GitHub
    repository: Repository
    client: Client
    files: list[Path]

    def commit(self) -> str:
        return self.repository.commit("main", {}, "change")

    def publish(self, version: Version, commit: str) -> None:
        publish(self.client, version, NOTES, commit, self.files)

    def tags(self) -> dict[str, str]:
        found = self.server.call("GET", f"/repos/{NAME}/git/matching-refs/tags/")
        return {reference["ref"].removeprefix("refs/tags/"): reference["object"]["sha"] for reference in found}

    def releases(self, tag: str) -> list[dict[str, Any]]:
        return [found for found in self.server.call("GET", f"/repos/{NAME}/releases?per_page=100") if found["tag_name"] == tag]

    def assets(self, release: dict[str, Any]) -> list[str]:
        found = self.server.call("GET", f"/repos/{NAME}/releases/{release['id']}/assets")
        return sorted(asset["name"] for asset in found)

    def is_released(self, version: Version, commit: str) -> bool:
        """Whether there is exactly what there should be."""
        (release,) = self.releases(version.tag)
        said = {key: release[key] for key in ("draft", "prerelease", "name", "body")}
        assert said == {"draft": False, "prerelease": False, "name": version.tag, "body": NOTES}
        assert self.assets(release) == ["SHA256SUMS", "modelship.tar.gz"]
        return self.tags()[version.tag] == commit


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    folder = tmp_path_factory.mktemp("github")
    template = folder / "template"
    template.mkdir()
    (template / "modelship.yaml").write_text(CONFIG)
    files = [folder / "modelship.tar.gz", folder / "SHA256SUMS"]
    for file in files:
        file.write_bytes(b"content")
    server = GitHub(folder / "server", NAME, emulate_script(ROOT), dict(os.environ))
    try:
        server.wait()
        repository = Repository(NAME, folder / "origins", folder / "work", template, server.pushed)
        server.attach(repository)
        repository.commit("main", {}, "first")
        hub = github.Github(
            auth=github.Auth.Token(server.token(GRANTED)), base_url=server.url, retry=None, seconds_between_writes=None
        )
        yield Origin(server, repository, hub.get_repo(NAME), files)
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def unbroken(origin: Origin) -> None:
    origin.server.door.faults.clear()
    origin.server.door.requests.clear()


_numbers = iter(range(1, 1000))


@pytest.fixture
def major() -> int:
    """A major version of the test's own, so that nothing has been released as it."""
    return next(_numbers)


def test_the_first_version(origin: Origin, major: int) -> None:
    version, commit = Version(major, 0, 0), origin.commit()
    origin.publish(version, commit)
    assert origin.is_released(version, commit)
    assert origin.tags()[f"v{major}"] == commit
    assert origin.releases(f"v{major}") == []


def test_the_moving_tag_follows_and_the_old_one_stays(origin: Origin, major: int) -> None:
    first, second = origin.commit(), origin.commit()
    origin.publish(Version(major, 0, 0), first)
    origin.publish(Version(major, 1, 0), second)
    assert origin.is_released(Version(major, 0, 0), first)
    assert origin.is_released(Version(major, 1, 0), second)
    assert origin.tags()[f"v{major}"] == second


def test_an_old_run_that_is_started_again_moves_nothing_back(origin: Origin, major: int) -> None:
    first, second = origin.commit(), origin.commit()
    origin.publish(Version(major, 9, 0), first)
    origin.publish(Version(major, 10, 0), second)
    before = origin.tags()
    origin.publish(Version(major, 9, 0), first)
    assert origin.tags() == before
    assert origin.is_released(Version(major, 9, 0), first)


def test_a_tag_with_a_message_counts_as_its_commit(origin: Origin, major: int) -> None:
    """As a person makes one who prepares a release by hand."""
    version, commit = Version(major, 0, 0), origin.commit()
    tag = {"tag": version.tag, "message": "by hand", "object": commit, "type": "commit"}
    made = origin.server.call("POST", f"/repos/{NAME}/git/tags", tag)
    origin.server.call("POST", f"/repos/{NAME}/git/refs", {"ref": f"refs/tags/{version.tag}", "sha": made["sha"]})
    assert tags_of(origin.client)[version.tag] == commit
    origin.publish(version, commit)
    assert origin.is_released(version, made["sha"])
    assert origin.tags()[f"v{major}"] == commit


def test_nothing_is_written_when_all_is_done(origin: Origin, major: int) -> None:
    version, commit = Version(major, 0, 0), origin.commit()
    origin.publish(version, commit)
    origin.server.door.requests.clear()
    origin.publish(version, commit)
    assert [request for request in origin.server.door.requests if request.writes] == []


def test_what_a_person_has_drafted_is_theirs(origin: Origin, major: int) -> None:
    """On GitHub two drafts may have one tag, here they may not: the draft is of the next version."""
    drafted = {"tag_name": f"v{major}.0.1", "draft": True, "name": "mine"}
    origin.server.call("POST", f"/repos/{NAME}/releases", drafted)
    origin.publish(Version(major, 0, 0), origin.commit())
    with pytest.raises(github.GithubException):
        origin.publish(Version(major, 0, 1), origin.commit())
    (draft,) = origin.releases(f"v{major}.0.1")
    assert (draft["name"], draft["draft"]) == ("mine", True)


WRITES = {
    "the tag": ("POST", r"/git/refs$"),
    "the draft": ("POST", r"/releases$"),
    "a file": ("POST", r"/releases/\d+/assets$"),
    "publishing": ("PATCH", r"/releases/\d+$"),
    "the moving tag": ("PATCH", r"/git/refs/tags/v\d+$"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_answer_is_lost_is_not_done_twice(origin: Origin, major: int, write: str) -> None:
    origin.publish(Version(major, 0, 0), origin.commit())
    version, commit = Version(major, 1, 0), origin.commit()
    origin.server.door.break_next(*WRITES[write], after_the_work=True)
    with pytest.raises(github.GithubException):
        origin.publish(version, commit)
    origin.publish(version, commit)
    assert origin.is_released(version, commit)
    assert origin.tags()[f"v{major}"] == commit


def test_a_run_that_is_killed_at_any_request_goes_on_where_it_was(origin: Origin, major: int) -> None:
    """Each time one request further, until none is left to be killed at."""
    origin.publish(Version(major, 0, 0), origin.commit())
    minor = 0
    for minor in range(1, 100):
        version, commit = Version(major, minor, 0), origin.commit()
        try:
            with _killed_at(origin.client, minor):
                origin.publish(version, commit)
        except KeyboardInterrupt:
            origin.publish(version, commit)
        else:
            break
        assert origin.is_released(version, commit)
        assert origin.tags()[f"v{major}"] == commit
    assert minor > len(WRITES)


class _killed_at:  # noqa: N801 - reads as a sentence
    """The process is gone when it comes to its request `number`."""

    def __init__(self, client: Client, number: int) -> None:
        self.requester, self.left = client.requester, number

    def __enter__(self) -> None:
        self.ask: Callable[..., Any] = self.requester.requestJsonAndCheck
        self.requester.requestJsonAndCheck = self._count  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self.requester.requestJsonAndCheck = self.ask  # type: ignore[method-assign]

    def _count(self, *arguments: Any, **options: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.ask(*arguments, **options)
