"""Whose limits judge."""

from __future__ import annotations

import msgspec

from modelship.core.config import LoadedConfig, load_config, parse_config
from modelship.core.errors import BadInput, bad_input
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
    """The configuration that judges: of what is not merged yet the base commit's, which its author cannot have changed.

    Raises BadInput where that has none and the proposed commit is not checked out: what a fork brings along is never followed.
    """
    name = request.config_path.as_posix()

    def own() -> LoadedConfig:
        return load_config(request.config_path, request.overrides, name=name)

    if not request.event.is_proposal or base is None:
        loaded = own()
        return Policy(loaded, name, foresee(request, base, loaded))
    commit = request.git.resolve(base)
    raw = request.git.read(commit.sha, request.config_path.name)
    if request.event.is_elsewhere:
        remedy = "A pull request from a fork is judged by the limits of its base alone: merge a file that is valid first."
        if raw is None:
            raise bad_input(f"does not exist at base {commit.sha[:7]}.", remedy, path=name)
        try:
            loaded = parse_config(raw, name, request.directory, request.overrides)
        except BadInput as error:
            raise BadInput(
                *error.problems, *bad_input(f"is not valid at base {commit.sha[:7]}.", remedy, path=name).problems
            ) from None
        return Policy(loaded, f"{name} at base {commit.sha[:7]}", commit=commit.sha)
    if raw is None:
        notice = f"`{name}` is new in this pull request: it is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    try:
        loaded = parse_config(raw, name, request.directory, request.overrides)
    except BadInput as error:
        notice = f"`{name}` at base {commit.sha[:7]} is not valid ({error}): this pull request is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    return Policy(loaded, f"{name} at base {commit.sha[:7]}", commit=commit.sha)
