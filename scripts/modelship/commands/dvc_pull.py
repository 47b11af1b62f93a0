"""`modelship dvc-pull`."""

from __future__ import annotations

from pathlib import Path

import click

from modelship.commands.frame import Result, Workspace, config_option, model_option, run
from modelship.core.errors import ExitCode


@click.command("dvc-pull")
@config_option
@model_option
@click.option("--remote", help="The DVC remote to pull from (key `data.remote`); DVC's default without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the storage library (AWS_…, AZURE_…, GOOGLE_…), for this step only.")
def command(config: Path, model: str | None, remote: str | None, credentials: str | None) -> None:
    """Fetch exactly the data, and the cached stage outputs, that this commit names; every byte is verified."""
    run("dvc-pull", config, {"model": model, "data.remote": remote}, lambda space: work(space, remote, credentials or ""))


def work(space: Workspace, remote: str | None, credentials: str) -> Result:
    """Pull. DVC's own files say what to fetch, so there need be no modelship.yaml."""
    from modelship.data.dvc_pull import Pull, pull, read_credentials

    if space.config_path.exists():
        remote = space.load().config.data.remote
    record = pull(Pull(space.directory, remote, read_credentials(credentials)))
    return Result(record, ExitCode.PASS)
