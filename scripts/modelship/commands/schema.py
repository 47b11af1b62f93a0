"""`modelship schema`."""

from __future__ import annotations

import json

import click

from modelship.core.config import json_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of modelship.yaml."""
    click.echo(json.dumps(json_schema(), indent=2))
