"""The team's repository on the local "GitHub": a bare repository, a working clone, and what git knows about both."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

#: When the first commit was written, in seconds since 1970.
_FIRST_COMMIT = 1_767_225_600

_DEVELOPER = {
    "GIT_AUTHOR_NAME": "Dana Dev", "GIT_AUTHOR_EMAIL": "dana@example.com",
    "GIT_COMMITTER_NAME": "Dana Dev", "GIT_COMMITTER_EMAIL": "dana@example.com",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0",
}  # fmt: skip


class GitError(RuntimeError):
    """A git command failed. The message carries what it printed."""


def git(folder: Path, *arguments: str, stdin: str | None = None, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Run git in `folder` without the machine's own configuration and return what it printed, without the last newline.

    Raises:
        GitError: git exited with another code than 0.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder, env={**os.environ, **_DEVELOPER, **environment}, input=stdin, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise GitError(f"git {' '.join(arguments)} exited with {done.returncode} in {folder}:\n{done.stderr}{done.stdout}")
    return done.stdout.rstrip("\n")


class Repository:
    """A repository `owner/name`: `bare` is what GitHub holds, `work` is the developer's clone.

    Args:
        full_name: such as `acme/flight-delay`.
        root: folder that holds all bare repositories, as `<root>/<owner>/<name>.git`.
        work: folder to clone into; it must not exist.
        template: folder whose files the first commit takes up. Of a folder under git, only what git would commit is taken.
        on_push: called with a branch and its new commit after every push.
    """

    def __init__(self, full_name: str, root: Path, work: Path, template: Path, on_push: Callable[[str, str], None]) -> None:
        self.full_name = full_name
        self.bare = root / f"{full_name}.git"
        self.work = work
        self._on_push = on_push
        self._commits = 0
        #: Called with each new commit of a fork's pull request.
        self.on_propose: Callable[[str], None] = lambda _: None
        self.bare.mkdir(parents=True)
        git(self.bare, "init", "--quiet", "--bare", "--initial-branch=main")
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")  # as GitHub allows
        copy_committable(template, work)
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "remote", "add", "origin", self.bare.as_uri())

    def commit(
        self,
        branch: str,
        files: Mapping[str, str | bytes | Path | Callable[[str], str] | None],
        message: str,
        *,
        start: str = "main",
    ) -> str:
        """Commit changes to `branch` (made from `start` if it is new), push it, and return the commit's SHA.

        `files` maps a path to its new content, to a function from its old to its new content, to where a link leads (a `Path`), or to
        None to delete it.

        Raises:
            ValueError: a function changed nothing, so that the edit missed its target.
        """
        if self._knows(f"refs/heads/{branch}"):
            git(self.work, "switch", "--quiet", branch)
        elif self._knows(f"refs/heads/{start}"):
            git(self.work, "switch", "--quiet", "--create", branch, start)
        self._write(files)
        git(self.work, "add", "--all")
        sha = self._record(message)
        git(self.work, "push", "--quiet", "origin", branch)
        self._on_push(branch, sha)
        return sha

    def propose(
        self, number: int, fork: str, branch: str, files: Mapping[str, str | bytes | Path | Callable[[str], str] | None], message: str
    ) -> str:
        """Commit to `branch` of the fork `owner/name`, as the head of pull request `number`, and return the commit's SHA.

        The branch is made from `main` if it is new. As on GitHub, its commits reach the repository that was forked only as
        `refs/pull/<number>/head`, and its branches are none of that.
        """
        bare = self.bare.parents[1] / f"{fork}.git"
        if not bare.exists():
            git(self.bare.parent, "clone", "--quiet", "--bare", str(self.bare), str(bare))
        local = f"{fork}/{branch}"
        start = local if self._knows(f"refs/heads/{local}") else "main"
        git(
            self.work,
            "switch",
            "--quiet",
            "--create" if start == "main" else "--no-guess",
            local,
            *([start] if start == "main" else []),
        )
        self._write(files)
        git(self.work, "add", "--all", "--force")
        sha = self._record(message)
        git(self.work, "push", "--quiet", "--force", bare.as_uri(), f"HEAD:refs/heads/{branch}")
        git(self.work, "push", "--quiet", "--force", self.bare.as_uri(), f"HEAD:refs/pull/{number}/head")
        git(self.work, "switch", "--quiet", "main")
        self.on_propose(sha)
        return sha

    def head(self, number: int, branch: str) -> str:
        """Return the SHA at which a pull request stands: of a fork's, or of the branch here."""
        forked = git(self.bare, "for-each-ref", "--format=%(objectname)", f"refs/pull/{number}/head")
        return forked or self.tip(branch)

    def tip(self, branch: str) -> str:
        """Return the SHA of the last commit of `branch` on GitHub."""
        return git(self.bare, "rev-parse", f"refs/heads/{branch}")

    def has_commit(self, sha: str) -> bool:
        """Tell whether GitHub holds this commit."""
        try:
            git(self.bare, "cat-file", "-e", f"{sha}^{{commit}}")
        except GitError:
            return False
        return True

    def read(self, path: str, branch: str = "main") -> str:
        """Return the text of a file in the last commit of `branch` on GitHub."""
        return git(self.bare, "show", f"refs/heads/{branch}:{path}") + "\n"

    def test_merge(self, number: int, base: str, head: str) -> str:
        """Point `refs/pull/<number>/merge` to a merge of the two commits, as GitHub does, and return its SHA.

        Raises:
            GitError: the two conflict; GitHub starts no run for such a pull request.
        """
        tree = git(self.bare, "merge-tree", "--write-tree", base, head).splitlines()[0]
        merge = git(self.bare, "commit-tree", tree, "-p", base, "-p", head, "-m", f"Merge {head} into {base}")
        git(self.bare, "update-ref", f"refs/pull/{number}/merge", merge)
        return merge

    def merge(self, number: int, base: str, branch: str) -> str:
        """Merge `branch` into `base` with a merge commit, and return that.

        Raises:
            GitError: the two conflict.
        """
        merge = self.test_merge(number, self.tip(base), self.tip(branch))
        git(self.bare, "update-ref", f"refs/heads/{base}", merge)
        git(self.work, "fetch", "--quiet", "origin")
        git(self.work, "switch", "--quiet", base)
        git(self.work, "merge", "--quiet", "--ff-only", merge)
        self._on_push(base, merge)
        return merge

    def changed_files(self, base: str, head: str) -> list[tuple[str, str]]:
        """Return `(status, path)` for what `head` changes since it left `base`; the status is git's letter."""
        lines = git(self.bare, "diff", "--no-renames", "--name-status", f"{base}...{head}").splitlines()
        return [(line.split("\t")[0], line.split("\t")[1]) for line in lines]

    def _write(self, files: Mapping[str, str | bytes | Path | Callable[[str], str] | None]) -> None:
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
                continue
            if callable(content):
                before = path.read_text(encoding="utf-8")
                content = content(before)
                if content == before:
                    raise ValueError(f"the edit of {name} changes nothing; the file is:\n{before}")
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                path.unlink(missing_ok=True)
                path.symlink_to(content)
                continue
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def _record(self, message: str) -> str:
        """Commit what was added. No two commits are one, even if they change the same within a second: each has a date of its own."""
        self._commits += 1
        written = {"GIT_AUTHOR_DATE": f"@{_FIRST_COMMIT + self._commits} +0000"}
        git(self.work, "commit", "--quiet", "--allow-empty", "--message", message, environment=written)
        return git(self.work, "rev-parse", "HEAD")

    def _knows(self, ref: str) -> bool:
        return bool(git(self.work, "for-each-ref", ref))


def copy_committable(source: Path, target: Path) -> None:
    """Copy what git would commit of the folder `source` (tracked or new, not ignored) to the new folder `target`.

    A folder outside of any repository is copied whole.
    """
    target.mkdir(parents=True)
    try:
        listed = git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    except GitError:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        return
    for name in filter(None, sorted(set(listed.split("\0")))):
        origin = source / name
        if origin.is_symlink() or origin.is_file():  # else: deleted, yet still tracked
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, target / name, follow_symlinks=False)
