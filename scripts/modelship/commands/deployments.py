"""`modelship deployments`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from modelship.commands.deployment import registered_name_option, server, tracking_option
from modelship.commands.frame import config_option, guarded, model_option, workspace
from modelship.core.environments import need
from modelship.core.errors import ExitCode


@click.command("deployments")
@config_option
@model_option
@click.option("--environment", help="One of `deploy.environments`; all without it.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many are shown, newest first.")
@registered_name_option
@tracking_option
@click.option("--json", "as_json", is_flag=True, help="Print all of them as JSON.")
def command(
    config: Path,
    model: str | None,
    environment: str | None,
    limit: int,
    registered_name: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Print what is live where, and who deployed what, when and why."""
    overrides = {"model": model, "registry.name": registered_name}
    sys.exit(guarded("deployments", lambda: _show(config, overrides, environment, limit, tracking_uri, as_json)))


def _show(
    config: Path, overrides: dict[str, str | None], environment: str | None, limit: int, tracking_uri: str | None, as_json: bool
) -> ExitCode:
    loaded = workspace(config, overrides).load()
    uri = server(tracking_uri)
    need("registry")
    from dataclasses import asdict

    from modelship.deployment.ledger import fold
    from modelship.deployment.log import Log
    from modelship.reporting.deployments import history, history_table, live_table
    from modelship.reporting.terminal import render_table

    entries = Log(uri, loaded.config.registered_name).read()
    state = fold(entries)
    deployed = history(entries, state, environment)
    if as_json:
        click.echo(json.dumps([asdict(known) for known in deployed], indent=2))
    elif not deployed:
        click.echo(f"Nothing of {loaded.config.registered_name} was deployed{f' to {environment}' if environment else ''} yet.")
    else:
        click.echo(render_table(live_table(state, environment)))
        click.echo()
        click.echo(render_table(history_table(deployed), limit))
    return ExitCode.PASS
