"""The files of a repository, listed and read with care: names and contents are anybody's."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from modelship.core.documents import parse_document
from modelship.core.errors import BadInput
from modelship.core.git import Git
from modelship.onboarding.facts import Choice, Keeping

SKIPPED_FOLDERS = (
    ".git", ".venv", "venv", "node_modules", ".dvc", ".modelship", "__pycache__", ".tox", ".nox", "site-packages", "mlruns",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints",
)  # fmt: skip

MAX_NAMES = 200_000
MAX_BYTES = 1024 * 1024


class Repository(Git):
    """Git, with the questions that only `modelship init` asks."""

    def tracked(self) -> list[str]:
        """The files in git below the directory, relative to it."""
        return self._names("ls-files", "-z", "--cached")

    def untracked(self) -> list[str]:
        """The files below the directory that are neither in git nor ignored."""
        skipped = (argument for name in SKIPPED_FOLDERS for argument in ("--exclude", f"{name}/"))
        return self._names("ls-files", "-z", "--others", "--exclude-standard", *skipped)

    def ignores(self, name: str) -> bool:
        """Whether git would leave a file of that name out, there or not."""
        return self._run("check-ignore", "--quiet", "--", name).returncode == 0

    def default_branch(self) -> Choice:
        """The branch that pull requests go to, as far as a clone knows."""
        remote = self._text("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        if remote and remote.startswith("origin/"):
            return Choice(remote.removeprefix("origin/"), "origin's default branch")
        for name in ("main", "master"):
            for ref in (f"refs/remotes/origin/{name}", f"refs/heads/{name}"):
                if self._text("rev-parse", "--verify", "--quiet", ref):
                    return Choice(name, "there is a branch of that name")
        current = self._text("symbolic-ref", "--quiet", "--short", "HEAD")
        return Choice(current, "the branch that is checked out") if current else Choice("main", "")

    def remote_name(self) -> str | None:
        """The repository's name on its server, or None without a remote."""
        url = self._text("config", "--get", "remote.origin.url")
        return re.split(r"[/:\\]", url.rstrip("/"))[-1].removesuffix(".git") if url else None

    def _names(self, *arguments: str) -> list[str]:
        result = self._run(*arguments)
        names = result.stdout.decode("utf-8", errors="surrogateescape").split("\0") if result.returncode == 0 else []
        return [name for name in names[:MAX_NAMES] if name]


class Tree:
    """The files below `directory` that are not ignored, by path relative to it with forward slashes."""

    def __init__(self, directory: Path, git: Repository) -> None:
        self.directory = directory
        self._git = git
        self.in_git = git.root() is not None
        self._tracked = frozenset(git.tracked()) if self.in_git else frozenset[str]()
        listed = {*self._tracked, *git.untracked()} if self.in_git else set(_walk(directory))
        self.names = sorted(filter(_is_usable, listed), key=lambda name: (name.count("/"), name))
        """Shallow ones first."""
        self._listed = frozenset(self.names)
        self.unread: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._listed

    def keeping(self, name: str) -> Keeping:
        """How the file of that name is kept, or would be if it were there."""
        if not self.in_git:
            return "unversioned"
        if name in self._tracked:
            return "tracked"
        return "ignored" if name not in self._listed and self._git.ignores(name) else "new"

    def is_there(self, name: str) -> bool:
        """Whether there is a file, a folder or a link of that name on disk, ignored or not."""
        return os.path.lexists(self.directory / name)

    def text(self, name: str) -> str | None:
        """A small file's text, or None when it is absent, no plain file, larger than 1 MiB or not UTF-8."""
        return read_text(self.directory / name)

    def data(self, name: str, *, expected: bool = False) -> Any:
        """What a JSON, YAML or TOML file holds, or None; where it was `expected` to be readable, `unread` says why it is not."""
        raw = read_bytes(self.directory / name)
        if raw is None:
            return None
        try:
            # MLproject and *.dvc files are YAML by another name.
            known = PurePosixPath(name).suffix.lower() in (".json", ".yaml", ".yml", ".toml")
            return parse_document(raw, name if known else f"{name}.yaml").data
        except (BadInput, RecursionError) as error:
            if expected:
                self.unread.append(str(error) if isinstance(error, BadInput) else f"{name}: is nested too deeply.")
            return None


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """A plain file's content, or None when it is absent, a link, a pipe, or larger than `limit` bytes."""
    try:
        state = path.lstat()
        if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def read_text(path: Path) -> str | None:
    """A small plain file's text, or None."""
    try:
        raw = read_bytes(path)
        return None if raw is None else raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def first_line(path: Path) -> str | None:
    """The first line of a plain text file of any size, or None."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            return file.readline(65_536).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def _is_usable(name: str) -> bool:
    """Whether a file can be named in a configuration, and is not of a tool's own folder."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return len(name) <= 1000 and not any(part in SKIPPED_FOLDERS for part in name.split("/")[:-1])


def _walk(directory: Path) -> Iterator[str]:
    count = 0
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        relative = Path(folder).relative_to(directory)
        for name in files:
            yield (relative / name).as_posix()
            count += 1
            if count >= MAX_NAMES:
                return
