"""The commit that another one is held against, and where the two parted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.config import Config, parse_config
from modelship.core.errors import BadInput
from modelship.core.event import Event
from modelship.core.git import Git


def find_base(git: Git, event: Event, asked: str | None) -> str | None:
    """The commit to compare with: the one that was asked for, the event's, or where this branch left the default one.

    In a workflow a commit is never its own base: its run may just have been logged. At a terminal it is: the work tree is compared
    with the last commit. After a forced push what was there before may be gone; there is no base then.
    """
    if asked or (event.base and event.is_proposal):
        return asked or event.base
    if event.base:
        try:
            return git.resolve(event.base).sha
        except BadInput:
            return None
    base = git.merge_base()
    return None if event.name and base == event.head else base


class Span(msgspec.Struct, frozen=True):
    """Where this commit left the base branch, and this commit. What the base branch has got since is not this commit's doing."""

    before: str
    after: str


def find_span(git: Git, event: Event, base: str | None) -> Span | None:
    """What this commit itself changes, or None where nothing can be said of it."""
    head = event.head or git.head()
    if base is None or head is None or base == head:
        return None
    try:
        before, after = git.resolve(base), git.resolve(head)
    except BadInput:
        return None  # For information only; a shallow clone shows it where the verdict needs the commit.
    return Span(git.fork_point(before.sha, after.sha), after.sha)


class Fork(msgspec.Struct, frozen=True):
    """What the work tree is held against: the base commit, and the last commit that both have."""

    base: str
    point: str


def find_fork(git: Git, event: Event, asked: str | None) -> Fork | None:
    """The base of the work tree, or None where there is none. Raises BadInput for one that cannot be had.

    What is checked out may be GitHub's merge of a pull request: it parted from the base at the base itself.
    """
    base = find_base(git, event, asked)
    if base is None:
        return None
    commit, head = git.resolve(base), git.head()
    return Fork(commit.sha, git.fork_point(commit.sha, head) if head else commit.sha)


def config_at(git: Git, sha: str, path: Path, overrides: Mapping[str, Any]) -> Config | None:
    """The configuration at `path`, in the folder of `git`, as of a commit: code that ran before may have changed the work tree.

    None where the commit has none, or one that is not valid.
    """
    raw = git.read(sha, path.name)
    try:
        return parse_config(raw, path.name, path.parent, overrides).config if raw is not None else None
    except BadInput:
        return None
