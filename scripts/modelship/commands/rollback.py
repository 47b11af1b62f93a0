"""`modelship rollback`."""

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


@click.command("rollback")
@config_option
@model_option
@environment_option
@click.option(
    "--version", help="The version to bring back, a number or an alias; the one that was good before the live one without it."
)
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
    """Bring the previous good version back to an environment."""
    overrides = {"model": model, "registry.name": registered_name, "train.python": python}
    options = DeploymentOptions(environment, version, tracking_uri, credentials, reason)
    run("rollback", config, overrides, lambda space: carry_out(space, "rollback", options))
