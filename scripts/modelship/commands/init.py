"""`modelship init`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from modelship.core import workflow
from modelship.core.config import CONFIG_NAME
from modelship.core.errors import ExitCode, ModelshipError, bad_input
from modelship.onboarding.facts import Facts
from modelship.onboarding.look import look, workflows_that_call
from modelship.onboarding.propose import WORKFLOW, Proposal, propose, shown
from modelship.onboarding.tree import Repository


@click.command("init")
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG_NAME, show_default=True, help="The modelship.yaml to write.")
@click.option("--print", "print_", is_flag=True, help="Show both files on standard output and write nothing.")
def command(config: Path, print_: bool) -> NoReturn:
    """Look at a repository and write modelship.yaml and one workflow.

    Runs nothing of the repository, and never overwrites a file.
    """
    try:
        _init(config, print_)
    except ModelshipError as error:
        for problem in error.problems:
            workflow.annotate("error", problem, "modelship init")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.PASS)


def _init(config: Path, print_: bool) -> None:
    directory = config.parent
    if not directory.is_dir():
        raise bad_input("is no folder.", "Name the modelship.yaml to write in one that exists.", path=str(directory))
    if config.suffix not in (".yaml", ".yml"):
        raise bad_input("is no name for a YAML file.", "End it with .yaml.", path=str(config))
    git = Repository(directory)
    top = git.root() or directory
    if not print_:
        _check_absent(config, top)
    facts = look(directory, config.name, git)
    proposal = propose(facts)
    if print_:
        _tell(facts, proposal, lambda line: click.echo(line, err=True))
        click.echo(f"# --- {shown(facts.config_path)} ---\n{proposal.config}---\n# --- {WORKFLOW} ---\n{proposal.workflow}", nl=False)
        return
    called = workflows_that_call(top / ".github" / "workflows", facts.config_path)
    if called:
        raise bad_input(
            f"has Modelship check {config} already.",
            "See what `modelship init --print` would write.",
            path=f".github/workflows/{called[0]}",
        )
    _write(((config, proposal.config), (top / WORKFLOW, proposal.workflow)))
    _tell(facts, proposal, workflow.say, (str(config), os.path.relpath(top / WORKFLOW)))


def _check_absent(config: Path, top: Path) -> None:
    """Raise BadInput for anything that stands where the files would, under either spelling of the suffix."""
    remedy = "It is left as it is. `modelship init --print` shows what would be written."
    for path in (
        config,
        config.with_suffix(".yml" if config.suffix == ".yaml" else ".yaml"),
        top / WORKFLOW,
        (top / WORKFLOW).with_suffix(".yaml"),
    ):
        if os.path.lexists(path):
            raise bad_input("exists already.", remedy, path=os.path.relpath(path))
    for folder in (top / ".github", top / ".github" / "workflows"):
        if folder.is_symlink() or (os.path.lexists(folder) and not folder.is_dir()):
            raise bad_input("is no plain folder.", "The workflow must stand in one.", path=os.path.relpath(folder))


def _write(files: tuple[tuple[Path, str], ...]) -> None:
    """Write all of the files or none, each only where there is none."""
    made: list[Path] = []
    try:
        for path, text in files:
            for folder in [parent for parent in reversed(path.parents) if not parent.exists()]:
                folder.mkdir()
                made.append(folder)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for leftover in reversed(made):
            leftover.rmdir() if leftover.is_dir() else leftover.unlink()
        raise bad_input(f"cannot be written: {error.strerror}.", "Nothing was written.", path=os.path.relpath(path)) from None


def _tell(facts: Facts, proposal: Proposal, say: Callable[[str], None], written: tuple[str, ...] = ()) -> None:
    if proposal.found:
        say("Found")
    for line in proposal.found:
        say(f"  ✓ {line}")
    if written:
        say("\nWritten")
        for name in written:
            say(f"  ✓ {shown(name)}")
    if proposal.undecided:
        say("\nLeft to decide:")
        for number, line in enumerate(proposal.undecided, 1):
            say(f"  {number}. {line}")
    if written:
        say(f"\nNext: read both files, try them with `{_preview(facts, written[0])}`, commit them, and open a pull request.")


def _preview(facts: Facts, config: str) -> str:
    """The command that shows the comment."""
    command = ["modelship", "pull-request"]
    if config != CONFIG_NAME:
        command += ["--config", config]
    if not facts.can_validate:
        command += ["--validate", "false"]
    return shlex.join(command)
