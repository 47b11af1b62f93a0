"""`modelship deploy`."""

from __future__ import annotations

from pathlib import Path

import click

from modelship.commands.deployment import (
    DeploymentOptions,
    carry_out,
    credentials_option,
    environment_option,
    python_option,
    reason_option,
    registered_name_option,
    tracking_option,
)
from modelship.commands.frame import config_option, model_option, run


@click.command("deploy")
@config_option
@model_option
@environment_option
@click.option("--version", help="The registered version, a number or an alias; what the environment before serves, else `challenger`.")
@registered_name_option
@tracking_option
@python_option
@credentials_option
@reason_option
def command(
    config: Path,
    model: str | None,
    environment: str | None,
    version: str | None,
    registered_name: str | None,
    tracking_uri: str | None,
    python: str | None,
    credentials: str | None,
    reason: str | None,
) -> None:
    """Let an environment serve a registered version; go back by itself where the version does not hold what it must.

    Exits with 1 where it did not hold, or where the order of environments, or a newer champion, forbids it.
    """
    overrides = {"model": model, "registry.name": registered_name, "train.python": python}
    options = DeploymentOptions(environment, version, tracking_uri, credentials, reason)
    run("deploy", config, overrides, lambda space: carry_out(space, "deploy", options))
