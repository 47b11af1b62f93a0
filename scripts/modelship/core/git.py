"""Read commits with git, without running anything that a repository could bring along."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from modelship.core.errors import InfrastructureError, bad_input, infrastructure

_DEFAULT_BRANCHES = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
)
_LONGEST_LINK = 4096
_MOST_LINKS_ON_A_WAY = 40
_BLOB = re.compile(rb"[0-9a-f]+ blob [0-9]+\n")
_LED_ASTRAY = re.compile(rb"(symlink|dangling|loop|notdir) [0-9]+\n")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@^~{}+-]*")


class Commit(msgspec.Struct, frozen=True):
    """A commit: full id and date (ISO 8601, day)."""

    sha: str
    date: str


class Change(msgspec.Struct, frozen=True):
    """One file that differs between two commits. `status` is git's letter: A, M, D, R, T."""

    status: str
    path: str


class Git:
    """The repository around `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._commits: dict[str, Commit] = {}
        self._links_at: dict[str, dict[str, str]] = {}

    def root(self) -> Path | None:
        """The top folder of the work tree, or None outside of a repository."""
        result = self._run("rev-parse", "--show-toplevel")
        return Path(os.fsdecode(result.stdout.removesuffix(b"\n"))) if result.returncode == 0 else None

    @property
    def prefix(self) -> str:
        """`directory` relative to the top folder: empty, or a path that ends with a slash."""
        return self._position[0]

    def head(self) -> str | None:
        """The commit that was checked out when it was first asked for, or None before the first one."""
        return self._position[1]

    @cached_property
    def _position(self) -> tuple[str, str | None]:
        result = self._run("rev-parse", "--show-prefix", "HEAD")
        prefix, _, head = os.fsdecode(result.stdout).partition("\n")
        return prefix, head.strip() if result.returncode == 0 else None

    def resolve(self, ref: str) -> Commit:
        """The commit that `ref` names, here or on `origin`; what this clone lacks is fetched.

        Raises BadInput when there is no such commit.
        """
        if not _REF.fullmatch(ref):
            raise bad_input(f"`{ref}` is not a git ref.")
        # A runner checks out a commit: the other branches are there, but only as branches of `origin`.
        commit = self._commit(ref) or self._commit(f"refs/remotes/origin/{ref}")
        if commit is None:
            shallow = self._text("rev-parse", "--is-shallow-repository") == "true"
            # With `--depth` git would cut the history of a clone that has all of it.
            if self._run("fetch", "--quiet", "--no-tags", *(["--depth=1"] if shallow else []), "origin", ref).returncode == 0:
                commit = self._commit(ref) or self._commit("FETCH_HEAD")
        if commit is None:
            remedy = "This clone is shallow: check out with `fetch-depth: 0`." if shallow else "Is it fetched, or pushed?"
            raise bad_input(f"git knows no commit `{ref}`.", remedy)
        return commit

    def fetch_pull_request(self, number: int, server_url: str, token: str) -> str:
        """Bring the commits of a pull request here from `origin`, as git objects alone, and return the id of its head.

        The token is sent to that server and to no other. Raises InfrastructureError where they cannot be had.
        """
        kept = f"refs/modelship/pull/{number}"
        options = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-gc", "--refmap=")
        header = f"AUTHORIZATION: basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}"
        settings = {f"http.{server_url}/.extraheader": header, "http.followRedirects": "false"} if token else {}
        result = self._run("fetch", *options, "origin", f"+refs/pull/{number}/head:{kept}", settings=settings)
        head = self._text("rev-parse", "--verify", "--quiet", f"{kept}^{{commit}}") if result.returncode == 0 else None
        if head is None:
            raise infrastructure(f"git cannot fetch pull request #{number}: {result.stderr.decode(errors='replace').strip()[:500]}")
        return head

    def merge_base(self) -> str | None:
        """Where this branch left the default branch; HEAD itself on the default branch; None before the first commit."""
        listed = self._text("for-each-ref", "--format=%(refname) %(objectname)", *_DEFAULT_BRANCHES) or ""
        tips = dict(line.split(" ") for line in listed.splitlines())
        tip = next((tips[name] for name in _DEFAULT_BRANCHES if name in tips), None)
        head = self.head()
        return head if tip in (None, head) else self._text("merge-base", "HEAD", str(tip)) or head

    def fork_point(self, base: str, head: str) -> str:
        """The last commit that both have; `base` where a shallow clone cannot tell."""
        return self._text("merge-base", base, head) or base

    def read(self, sha: str, path: str) -> bytes | None:
        """The file at `path` (relative to `directory`) as of commit `sha`, or None when the commit has none.

        A link is followed to where it leads inside of that commit; one that leads out of it gives its own text.
        """
        inside = _normal(self.prefix + path)
        asked = f"{sha}:{inside}\n".encode(errors="surrogateescape")
        told = self._run("cat-file", "--batch", "--follow-symlinks", given=asked).stdout
        if found := _BLOB.match(told):
            return told[found.end() : -1]
        if _LED_ASTRAY.match(told) or "\n" in inside:  # A batch asks for one object a line.
            itself = self._run("cat-file", "blob", f"{sha}:{inside}")
            return itself.stdout if itself.returncode == 0 else None
        return None

    def files(self, sha: str) -> list[str]:
        """All files of commit `sha` below `directory`, relative to it."""
        listed = self._must("ls-tree", "-r", "-z", "--name-only", sha).decode(errors="surrogateescape")
        return [name for name in listed.split("\0") if name]

    def changes(self, base: str, head: str) -> list[Change]:
        """The files, links and submodules that differ between two commits (whole repository)."""
        # A `.gitmodules` may ask to have changes of a submodule ignored.
        options = ("--name-status", "--no-renames", "--ignore-submodules=none", "-z")
        fields = self._must("diff", *options, base, head).decode(errors="replace").split("\0")
        return [Change(status[:1], path) for status, path in zip(fields[::2], fields[1::2], strict=False) if status]

    def edited_since(self, base: str) -> list[str]:
        """The files that differ between a commit and the work tree (whole repository). Files that git does not track are not seen."""
        fields = self._must("diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", base, "--")
        return [path for path in fields.decode(errors="replace").split("\0") if path]

    def follow(self, sha: str, path: str) -> str:
        """Where `path` (from the top folder) leads in commit `sha`, links on the way to it followed.

        `path` itself where a link leads out of the commit or in a circle.
        """
        links = self._links(sha)
        place, left = "", path.split("/")
        followed = 0
        while left:
            part = left.pop(0)
            step = _normal(f"{place}/{part}" if place else part or ".")
            if step == ".." or step.startswith("../"):
                return path
            if step not in links:
                place = "" if step == "." else step
                continue
            followed += 1
            if followed > _MOST_LINKS_ON_A_WAY or not links[step] or links[step].startswith("/"):
                return path
            left = [*links[step].split("/"), *left]
        return place

    def places(self, sha: str, path: str) -> frozenset[str]:
        """Where the file or folder at `path` (from the top folder) stands in commit `sha`, and where links in it lead."""
        found: set[str] = set()
        waiting = [path]
        while waiting:
            place = self.follow(sha, waiting.pop())
            if place not in found:
                found.add(place)
                waiting += [link for link in self._links(sha) if link.startswith(f"{place}/")]
        return frozenset(found)

    def _links(self, sha: str) -> dict[str, str]:
        """Where each link of commit `sha` leads, by its path from the top folder."""
        if sha not in self._links_at:
            listed = self._must("ls-tree", "-r", "-z", "--full-tree", sha).decode(errors="replace").split("\0")
            blobs = {entry.partition("\t")[2]: entry.split()[2] for entry in listed if entry.startswith("120000 ")}
            texts = self._short_blobs(blobs.values())
            self._links_at[sha] = {path: texts.get(blob, "") for path, blob in blobs.items()}
        return self._links_at[sha]

    def _short_blobs(self, blobs: Iterable[str]) -> dict[str, str]:
        """The text of those blobs that are no longer than a link may be."""
        asked = "".join(f"{blob}\n" for blob in sorted(set(blobs)))
        sizes = [line.split() for line in self._must("cat-file", "--batch-check", given=asked.encode()).decode().splitlines()]
        short = [(blob, int(size)) for blob, _, size in sizes if int(size) < _LONGEST_LINK]
        content = self._must("cat-file", "--batch", given="".join(f"{blob}\n" for blob, _ in short).encode()) if short else b""
        texts, at = {}, 0
        for blob, size in short:
            at = content.index(b"\n", at) + 1
            texts[blob] = content[at : at + size].decode(errors="replace")
            at += size + 1
        return texts

    def digest(self, sha: str, without: str) -> str:
        """SHA-256 over all files of a commit but the one at `without` (relative to `directory`)."""
        import hashlib

        left_out = f"\t{_normal(self.prefix + without)}".encode(errors="surrogateescape")
        entries = self._must("ls-tree", "-r", "-z", "--full-tree", sha).split(b"\0")
        return hashlib.sha256(b"\0".join(entry for entry in entries if not entry.endswith(left_out))).hexdigest()

    def copy(self, sha: str, folder: Path) -> Path:
        """The files of a commit in a new folder, a clone that borrows this repository's objects. Returns `directory` in it."""
        root = self.root()
        assert root is not None
        self._must("clone", "--quiet", "--shared", "--no-checkout", "--", str(root), str(folder))
        Git(folder)._must("checkout", "--quiet", "--detach", sha)
        return folder / self.prefix

    def is_dirty(self) -> bool:
        """Whether tracked files differ from HEAD."""
        return bool(self._text("status", "--porcelain", "--untracked-files=no"))

    def differs_from_head(self, path: str) -> bool:
        """Whether the tracked file at `path` differs from what HEAD holds."""
        return self._run("diff", "--quiet", "HEAD", "--", path).returncode == 1

    def _commit(self, ref: str) -> Commit | None:
        if ref not in self._commits:
            described = self._text("log", "-1", "--format=%H %cs", f"{ref}^{{commit}}", "--")
            if described is None:
                return None
            self._commits[ref] = Commit(*described.split())
        return self._commits[ref]

    def _text(self, *arguments: str) -> str | None:
        result = self._run(*arguments)
        return result.stdout.decode(errors="replace").strip() or None if result.returncode == 0 else None

    def _must(self, *arguments: str, given: bytes = b"") -> bytes:
        result = self._run(*arguments, given=given)
        if result.returncode != 0:
            raise infrastructure(f"git {arguments[0]} failed: {result.stderr.decode(errors='replace').strip()}")
        return result.stdout

    def _run(
        self, *arguments: str, given: bytes = b"", settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git; `settings` are given as variables, which no other user of the machine can read."""
        # A repository's own configuration may name programs to run; none of these reads needs one. Nor is a folder of the work
        # tree a repository of its own because a pull request put a `HEAD`, a `config` and the rest of one there.
        # In a container the checkout often belongs to another user, whom git would not trust.
        hooks = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "diff.external=")
        always = (*hooks, "safe.directory=*", "safe.bareRepository=explicit")
        quiet = [part for setting in always for part in ("-c", setting)]
        environment = {
            **os.environ,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
            **_variables(settings or {}),
        }
        try:
            return subprocess.run(
                ["git", *quiet, *arguments], cwd=self.directory, env=environment, input=given, capture_output=True, check=False
            )
        except FileNotFoundError:
            raise InfrastructureError(*infrastructure("`git` is not installed.").problems) from None


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables in which git takes configuration, after those that are set already."""
    if not settings:
        return {}
    before = os.environ.get("GIT_CONFIG_COUNT", "")
    first = int(before) if before.isdigit() else 0
    pairs = enumerate(settings.items(), first)
    numbered = {f"GIT_CONFIG_{part}_{at}": text for at, pair in pairs for part, text in zip(("KEY", "VALUE"), pair, strict=True)}
    return {**numbered, "GIT_CONFIG_COUNT": str(first + len(settings))}


def _normal(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")
