"""The `modelship` command. Each subcommand is one module in `commands/`, imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from modelship import __version__

COMMANDS = {
    "init": "Look at a repository and write modelship.yaml and one workflow.",
    "dvc-pull": "Fetch the data that this commit names, verified.",
    "validate": "Check the data against its expectations.",
    "drift-report": "Compare the current table with the reference, column by column.",
    "train": "Run the team's training and record what it produced.",
    "evaluate": "Score candidate and baseline on the same rows, and check the candidate.",
    "metric-gate": "Judge the candidate against the baseline.",
    "register": "Register the model that the gate let pass, once.",
    "deploy": "Let an environment serve a registered version, or go back.",
    "rollback": "Bring the previous good version back.",
    "monitor": "Look at one batch of production: data, drift, performance.",
    "retrain": "Decide whether the live version is trained again.",
    "backtest": "Walk through the past: would retraining have helped?",
    "deployments": "Print what is live where, and who deployed what.",
    "history": "Draw what became of the model over time, and a badge with its state.",
    "notify": "Tell people in a chat what came of a run.",
    "openmetrics": "Hand what was found of production to Prometheus.",
    "comment": "Answer the pull request: comment, check run, summary, report page.",
    "pull-request": "All of this in a row, from dvc-pull to comment, in one job or at a terminal.",
    "fork-evidence": "Find the pull request of a fork's finished run, and take over what that left behind.",
    "accept": "Judge a pull request again after the approval label or a comment.",
    "schema": "Print the JSON Schema of modelship.yaml.",
}


class _Commands(click.Group):
    """Knows its commands by name and one line of help, without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"modelship.commands.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"auto_envvar_prefix": "MODELSHIP", "help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="modelship")
def modelship() -> None:
    """Continuous delivery for machine-learning models.

    Exit codes: 0 pass, 1 the verdict is no, 2 bad input or configuration, 3 infrastructure.
    """


def main(*arguments: Any) -> None:
    """Run the command line. Click's own usage errors exit with 2, as all bad input does."""
    modelship(*arguments)
