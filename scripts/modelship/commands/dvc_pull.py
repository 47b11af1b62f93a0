"""`modelship dvc-pull`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from modelship.commands.frame import Result, Workspace, config_option, model_option, run
from modelship.core import workflow
from modelship.core.credentials import read_credentials
from modelship.core.errors import ExitCode, ModelshipError
from modelship.core.records import DvcPullRecord


@click.command("dvc-pull")
@config_option
@model_option
@click.option("--remote", help="The DVC remote to pull from (key `data.remote`); DVC's default without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the storage library (AWS_…, AZURE_…, GOOGLE_…), for this step only.")
@click.option(
    "--base-tables",
    type=bool,
    default=True,
    show_default=True,
    help="Whether to fetch the base commit's tables, too, where they are others: `validate` tells what has changed in them.",
)
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
def command(config: Path, model: str | None, remote: str | None, credentials: str | None, base_tables: bool, base: str | None) -> None:
    """Fetch exactly the data, and the cached stage outputs, that this commit names; every byte is verified."""

    def work(space: Workspace) -> Result:
        record = pull_data(space, remote, credentials or "")
        if base_tables and space.config_path.exists():
            keep_base_tables(space, credentials or "", base)
        return Result(record, ExitCode.PASS)

    run("dvc-pull", config, {"model": model, "data.remote": remote}, work)


def pull_data(space: Workspace, remote: str | None, credentials: str) -> DvcPullRecord:
    """Pull. DVC's own files say what to fetch, so there need be no modelship.yaml."""
    from modelship.data.dvc_pull import Pull, pull

    if space.config_path.exists():
        remote = space.load().config.data.remote
    return pull(Pull(space.directory, remote, read_credentials(credentials)))


def keep_base_tables(space: Workspace, credentials: str, base: str | None) -> None:
    """Bring the base commit's tables to DVC's cache. Without them this commit is as good as before: nothing fails for their sake."""
    from modelship.data.changes.base_tables import find_base_tables

    try:
        tables = find_base_tables(space.git, space.event, space.config_path, space.load(), space.overrides, base)
    except ModelshipError as error:
        if base:
            raise
        workflow.say(f"The base commit's tables are left out: {error}")
        return
    if tables:
        replace(tables, credentials=read_credentials(credentials)).keep()
