"""`modelship fork-evidence`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from modelship.commands.frame import Workspace, config_option, guarded, workspace
from modelship.core import workflow
from modelship.core.base_commit import config_at
from modelship.core.environments import need
from modelship.core.errors import BadInput, ExitCode, Problem, bad_input
from modelship.core.event import FinishedRun, ToldPullRequest, read_finished_run

if TYPE_CHECKING:
    from modelship.github.client import GitHub, Proposal

_TITLE = "modelship fork-evidence"


@click.command("fork-evidence")
@config_option
@click.option("--evidence", type=click.Path(path_type=Path), help="The folder to put the evidence in; it must not be there yet.")
@click.option("--github-token", help="Finds the pull request, and reads its commits and the run's artifacts.")
def command(config: Path, **given: Any) -> None:
    """Find the pull request of a fork's finished run, and take over what that run left behind.

    For workflows on the event `workflow_run`, where the default branch is checked out with its whole history. The pull request's
    commits are fetched as git objects; nothing of the fork is checked out. The exit code is 0 also where there is nothing to
    answer, and where no evidence can be taken over: `metric-gate` then says that there is none.
    """
    sys.exit(guarded("fork-evidence", lambda: _take_over(config, given["evidence"], given["github_token"] or "")))


def _take_over(config: Path, into: Path | None, token: str) -> ExitCode:
    run = read_finished_run()
    if run is None:
        raise bad_input("this run's event is not the end of another run.", "Call this on `workflow_run: {types: [completed]}`.")
    if not token or into is None:
        raise bad_input("`github-token` or `evidence` is missing.", "The token needs `actions: read` and `pull-requests: read`.")
    if into.exists():
        raise bad_input("is there already.", "Name a new folder for the evidence.", path=str(into))
    need("github")
    from modelship.github.client import Connection, GitHub
    from modelship.github.forks import find_proposal, why_nothing

    space = workspace(config, {})
    nothing = why_nothing(run, space.event.repository)
    if nothing:
        return _leave(nothing)
    github = GitHub(Connection(space.event.api_url, space.event.repository, token))
    proposal = find_proposal(github, run)
    if isinstance(proposal, str):
        return _leave(proposal)
    head = space.git.fetch_pull_request(proposal.number, space.event.server_url, token)
    if head != run.head:
        return _leave(f"Pull request #{proposal.number} has moved on from {run.head[:7]}: it is left to the newer run.")
    base = _base(space, proposal)
    model = _model(space, base)
    told = ToldPullRequest(number=proposal.number, head=head, base=base)
    workflow.set_outputs({"pull-request": msgspec.json.encode(told).decode(), "head": head})
    workflow.say(f"Run {run.id} was for pull request #{told.number} at {head[:7]}. Base {base[:7]} judges it.")
    _take(github, run, model, into)
    return ExitCode.PASS


def _leave(why: str) -> ExitCode:
    workflow.annotate("notice", Problem(why), _TITLE)
    return ExitCode.PASS


def _base(space: Workspace, proposal: Proposal) -> str:
    """The last commit of the branch that the pull request is to be merged into; without that branch the one that GitHub tells."""
    try:
        return space.git.resolve(f"refs/remotes/origin/{proposal.base_ref}").sha
    except BadInput:
        return space.git.resolve(proposal.base).sha


def _model(space: Workspace, base: str) -> str:
    """The model that the base configures. Raises BadInput where that has no valid configuration."""
    config = config_at(space.git, base, space.config_path, space.overrides)
    if config is None:
        raise bad_input(
            f"is not there, or not valid, at base {base[:7]}.",
            "A pull request from a fork is judged by what is merged.",
            path=space.config_path.as_posix(),
        )
    return config.model


def _take(github: GitHub, run: FinishedRun, model: str, into: Path) -> None:
    import shutil

    from modelship.github.forks import find_evidence

    try:
        evidence = find_evidence(github, run, model)
    except BadInput as error:
        for problem in error.problems:
            workflow.annotate("warning", problem, _TITLE)
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(evidence.path, into)
    workflow.set_outputs({"evidence-digest": evidence.digest})
    workflow.say(f"Evidence on {model}: sha256:{evidence.digest}")
