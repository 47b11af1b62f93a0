"""`modelship openmetrics`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from modelship.commands.frame import Workspace, config_option, guarded, model_option, workspace
from modelship.core import workflow
from modelship.core.config import EnvironmentName, Name
from modelship.core.environments import need
from modelship.core.errors import ExitCode, InfrastructureError, bad_input
from modelship.core.run_directory import replace_file
from modelship.core.words import clean

if TYPE_CHECKING:
    from modelship.reporting.openmetrics import Group

_TOLD = ("monitor", "retrain", "deploy", "rollback")
"""Commands whose records are told of."""
_TITLE = "modelship openmetrics"


@click.command("openmetrics")
@config_option
@model_option
@click.option("--environment", help="Whose records these are, where several environments are told of.")
@click.option("--textfile", help="Where to write the metrics, as `/var/lib/node_exporter/churn.prom`.")
@click.option("--pushgateway", help="The address of a Pushgateway, as `https://host:9091`, that gets the metrics.")
@click.option("--strict", is_flag=True, help="Exit with 3 when the Pushgateway does not take them; else that is a warning.")
def command(
    config: Path, model: str | None, environment: str | None, textfile: str | None, pushgateway: str | None, strict: bool
) -> None:
    """Hand what was found of production to Prometheus: OpenMetrics text of the records in the run directory.

    Tells of `monitor`, `retrain`, `deploy` and `rollback`, whatever came of them. Without file and Pushgateway the text is printed.
    A Pushgateway gets its credentials from the variables PUSHGATEWAY_USERNAME and PUSHGATEWAY_PASSWORD, or PUSHGATEWAY_TOKEN.
    """
    named = (model or "", environment or "")
    sys.exit(guarded("openmetrics", lambda: _tell(workspace(config, {}), *named, textfile or "", pushgateway or "", strict)))


def _tell(space: Workspace, model: str, environment: str, textfile: str, pushgateway: str, strict: bool) -> ExitCode:
    workflow.set_outputs({"pushed": "false"})
    records = {name: record for name in _TOLD if (record := space.run_directory.read(name)) is not None}
    need("openmetrics")
    from modelship.reporting.openmetrics import Exposition, groups_of

    groups = groups_of(records, environment, model)
    for group in groups:
        # Both become part of the address that is pushed to.
        _require_name("model", group.model, Name)
        _require_name("environment", group.environment or "none", EnvironmentName)
    text = Exposition(groups).text()
    if textfile:
        _write(Path(textfile), text.encode())
        workflow.say(f"Metrics written to {textfile}.")
    if pushgateway:
        return _push(pushgateway, groups, strict)
    if not textfile:
        with workflow.commands_stopped():
            click.echo(text, nl=False)
    return ExitCode.PASS


def _require_name(what: str, name: str, kind: Any) -> None:
    try:
        msgspec.convert(name, kind)
    except msgspec.ValidationError:
        raise bad_input(f"the {what} cannot be called `{clean(name, 100)}`.", "Give the name that modelship.yaml has.") from None


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all: whoever collects it reads it at any moment."""
    if path.suffix != ".prom":
        raise bad_input("does not end with `.prom`: the textfile collector would pass it over.", path=str(path))
    try:
        replace_file(path, content)
    except OSError as error:
        raise bad_input(f"cannot be written: {error.strerror}.", "Its folder has to be there.", path=str(path)) from None


def _push(address: str, groups: Sequence[Group], strict: bool) -> ExitCode:
    from modelship.reporting.pushgateway import push

    try:
        push(address, groups, os.environ)
    except InfrastructureError as error:
        if strict:
            raise
        workflow.annotate("warning", error.problems[0], _TITLE)
        return ExitCode.PASS
    workflow.set_outputs({"pushed": "true"})
    workflow.say(f"Metrics pushed: {', '.join(f'{group.record} of {group.model}' for group in groups)}.")
    return ExitCode.PASS
