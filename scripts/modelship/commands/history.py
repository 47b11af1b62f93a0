"""`modelship history`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from modelship.commands import frame
from modelship.commands.deployment import registered_name_option, server, tracking_option
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import BadInput, ExitCode, bad_input

PAGE, BADGE = "index.html", "badge.svg"


@click.command("history")
@frame.config_option
@frame.model_option
@click.option("--environment", help="Whose live version has a state; the champion's environment without it.")
@click.option("--output", default="history", show_default=True, help=f"The folder that gets `{PAGE}` and `{BADGE}`.")
@click.option("--now", help="Judge as if it were that time (ISO 8601, UTC), with all that is known.")
@registered_name_option
@tracking_option
def command(config: Path, model: str | None, registered_name: str | None, **given: str | None) -> None:
    """Draw what became of the model: a page with its versions, metrics, drift and deployments over time, and a badge with its state.

    Both are files that load nothing: publish the folder as it is. The exit code says whether they could be written; the output `state`
    says how the live version does.
    """
    overrides = {"model": model, "registry.name": registered_name}
    sys.exit(frame.guarded("history", lambda: _draw(frame.workspace(config, overrides), **given)))


def _draw(space: frame.Workspace, environment: str | None, output: str | None, now: str | None, tracking_uri: str | None) -> ExitCode:
    loaded = space.load()
    uri = server(tracking_uri)
    need("github")
    from modelship.history.health import health
    from modelship.history.past import read_past
    from modelship.monitoring.retrain import rules
    from modelship.monitoring.windows import parse_time
    from modelship.reporting import html, markdown, terminal
    from modelship.reporting.badge import badge
    from modelship.reporting.history import Telling, build_history
    from modelship.reporting.inline import site_of
    from modelship.reporting.report import Facts

    settings, event = loaded.config, space.event
    if environment and environment not in settings.deploy.environments:
        raise BadInput(loaded.problem(f"`deploy.environments` has no `{environment}`.", at="deploy.environments"))
    moment = parse_time("--now", now) if now else datetime.now(UTC)
    past = read_past(uri, settings.registered_name)
    state = health(past, environment or settings.deploy.champion_environment or "", rules(settings.retrain), moment)
    facts = Facts(
        run=f"run {event.run_number or event.run_id}" if event.run_url else "",
        run_url=event.run_url,
        sites=frozenset(map(site_of, (event.server_url, event.api_url, uri))) - {""},
    )
    repository = f"{event.server_url}/{event.repository}" if event.repository else ""
    report = build_history(past, state, Telling(settings.model, moment, facts, settings.gate.confidence, repository))
    folder = Path(output or "history")
    page = _write(folder / PAGE, html.render_page(report))
    drawn = _write(folder / BADGE, badge(settings.model, state))
    workflow.say(terminal.render(report))
    workflow.say(f"\nPage: {page}\nBadge: {drawn}")
    workflow.add_summary(markdown.render(report))
    workflow.set_outputs(
        {"state": state.state, "version": str(state.version or ""), "folder": str(folder), "page": str(page), "badge": str(drawn)}
    )
    return ExitCode.PASS


def _write(path: Path, content: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise bad_input(f"cannot be written: {error.strerror}.", "Name another folder: `--output`.", path=str(path)) from None
    return path
