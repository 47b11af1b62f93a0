"""Whose limits judge."""

from __future__ import annotations

import msgspec

from modelship.core.config import LoadedConfig, load_config, parse_config
from modelship.core.errors import BadInput
from modelship.gate.foresight import foresee
from modelship.gate.request import Request


class Policy(msgspec.Struct, frozen=True):
    """The configuration that judges, where it came from, and what a reader should know about that."""

    loaded: LoadedConfig
    source: str
    notices: tuple[str, ...] = ()
    commit: str | None = None
    """The base commit that it was read at; None where it is the work tree's own."""
    is_own: bool = False
    """Whether a pull request sets the limits that it is judged by, for want of any at its base."""


def find_policy(request: Request, base: str | None) -> Policy:
    """The configuration that judges: in a pull request the base commit's, which its author cannot have changed."""
    name = request.config_path.as_posix()

    def own() -> LoadedConfig:
        return load_config(request.config_path, request.overrides, name=name)

    if not request.event.is_pull_request or base is None:
        loaded = own()
        return Policy(loaded, name, foresee(request, base, loaded))
    commit = request.git.resolve(base)
    raw = request.git.read(commit.sha, request.config_path.name)
    if raw is None:
        notice = f"`{name}` is new in this pull request: it is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    try:
        loaded = parse_config(raw, name, request.directory, request.overrides)
    except BadInput as error:
        notice = f"`{name}` at base {commit.sha[:7]} is not valid ({error}): this pull request is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    return Policy(loaded, f"{name} at base {commit.sha[:7]}", commit=commit.sha)
