"""What a pull request would be told of its judge, before there is one.

At a terminal a branch is judged by its own configuration and on the rows that stand in the work tree, edited or not: a verdict there
says nothing of what a pull request needs before it can pass.
"""

from __future__ import annotations

from modelship.core.config import Config, LoadedConfig, parse_config
from modelship.core.errors import BadInput
from modelship.gate.changes import edited_among
from modelship.gate.guard import guard, watched
from modelship.gate.request import Request


def foresee(request: Request, base: str | None, own: LoadedConfig) -> tuple[str, ...]:
    """A sentence on what the work tree, with all that is not committed, changes of what judges it since it left `base`.

    Nothing in a workflow, where what counts is committed, and nothing where no commit tells what judged before.
    """
    if base is None or request.event.name:
        return ()
    try:
        # Where nobody named a base it is where this branch began.
        fork = request.git.fork_point(request.git.resolve(base).sha, "HEAD") if request.base else base
        before = _config_at(request, fork, own)
    except BadInput:
        return ()
    if before is None:
        return ()
    found = guard(before, own.config, changed=edited_among(request.git, fork, watched(before)), name=request.config_path.name)
    told = "; ".join(finding.text for finding in found if finding.needs_approval)
    return (f"In a pull request this needs the label `{before.gate.approval_label}`: it {told}.",) if told else ()


def _config_at(request: Request, sha: str, own: LoadedConfig) -> Config | None:
    """The configuration as of a commit, None where it has none. Raises BadInput for one that is not valid."""
    name = request.config_path.name
    raw = request.git.read(sha, name)
    if raw is None or not request.config_path.exists():
        return None
    if raw == request.config_path.read_bytes():
        return own.config
    return parse_config(raw, name, request.directory, request.overrides).config
