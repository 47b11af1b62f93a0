"""What `deploy`, `rollback` and `deployments` have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NoReturn

import click
import msgspec

from modelship.commands.frame import Result, Workspace, config_option, model_option, run
from modelship.core.credentials import read_credentials
from modelship.core.environments import need
from modelship.core.errors import ExitCode, bad_input
from modelship.core.records import DeployRecord, RollbackRecord

registered_name_option = click.option("--registered-name", help="The model's name in MLflow's registry (key `registry.name`).")
tracking_option = click.option("--tracking-uri", help="The MLflow server; MLFLOW_TRACKING_URI without it.")


_KINDS: dict[str, type[DeployRecord] | type[RollbackRecord]] = {"deploy": DeployRecord, "rollback": RollbackRecord}


class DeploymentOptions(msgspec.Struct, frozen=True):
    """What was asked for."""

    environment: str | None
    version: str | None
    tracking_uri: str | None
    credentials: str | None
    reason: str | None


def deployment_command(name: Literal["deploy", "rollback"], version: str) -> Callable[[Callable[[], None]], click.Command]:
    """The command of that name, which carries out what its options ask for. Of the function under it only the docstring counts.

    `version` is the help of `--version`, in which the two differ.
    """
    options = (
        config_option,
        model_option,
        click.option("--environment", help="One of `deploy.environments`; the only one without it."),
        click.option("--version", help=version),
        registered_name_option,
        tracking_option,
        click.option("--python", help="The team's interpreter, which loads the model (key `train.python`)."),
        click.option("--credentials", help="Lines `NAME=VALUE` that the target gets as variables, as AWS_ACCESS_KEY_ID."),
        click.option("--reason", help="Why, for whoever reads the ledger later."),
    )

    def work(config: Path, model: str | None, registered_name: str | None, python: str | None, **asked: str | None) -> NoReturn:
        overrides = {"model": model, "registry.name": registered_name, "train.python": python}
        run(name, config, overrides, lambda space: carry_out(space, name, DeploymentOptions(**asked)))

    def made(documented: Callable[[], None]) -> click.Command:
        command: Callable[..., NoReturn] = work
        for option in reversed(options):
            command = option(command)
        return click.command(name, help=documented.__doc__)(command)

    return made


def server(tracking_uri: str | None) -> str:
    """The MLflow server. Raises BadInput when none is named."""
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri:
        raise bad_input("no MLflow server is named.", "Give `--tracking-uri`, or set MLFLOW_TRACKING_URI.")
    return uri


def carry_out(space: Workspace, name: Literal["deploy", "rollback"], options: DeploymentOptions) -> Result:
    """Deploy or roll back, and record what came of it."""
    loaded = space.load()
    uri = server(options.tracking_uri)
    os.environ.update(read_credentials(options.credentials or "", prefixes=("",)))
    need("register")
    from functools import partial

    from modelship.deployment import orders
    from modelship.deployment.deploy import Means, carry_out
    from modelship.deployment.log import Log
    from modelship.deployment.smoke import smoke
    from modelship.deployment.targets.target import Place, open_target
    from modelship.registry.server import connect
    from modelship.registry.version import find_version

    environment = orders.chosen_environment(loaded, options.environment)
    settings = loaded.config.deploy.environments[environment]
    model = loaded.config.registered_name
    ((kind, target_settings),) = settings.target.items()
    python = loaded.config.train.python
    place = Place(directory=space.directory, environment=environment, model=model, python=python)
    target = open_target(kind, target_settings, place)
    client, log = connect(uri), Log(uri, model)
    state = log.reconcile()
    asked = orders.Asked(environment, options.version, options.reason or "")
    ask = orders.deployment if name == "deploy" else orders.rollback
    order = ask(asked, loaded, state, space.event, partial(find_version, client, model))
    before = state.environment(environment).live
    ask_it = partial(smoke, limits=settings.smoke, python=python, directory=space.directory)
    outcome = carry_out(order, Means(log, client, target, ask_it, loaded.config.registry, space.directory))
    live = outcome.state.environment(environment).live
    result = outcome.smoke
    record = _KINDS[name](
        model=loaded.config.model,
        status="pass" if outcome.is_done else "fail",
        summary=outcome.told,
        notices=result.notices if result else (),
        name=model,
        environment=environment,
        version=order.version.version,
        digest=order.version.digest,
        before=before.version if before else None,
        live=live.version if live else None,
        champion=outcome.state.champion_version() or None,
        changed=outcome.changed,
        reason=order.reason,
        actor=order.actor,
        entry=outcome.entry,
        url=outcome.url,
        checks=result.checks if result else (),
        asked=result.asked if result else 0,
        latency_p50=result.latency_p50 if result else None,
        latency_p99=result.latency_p99 if result else None,
    )
    outputs = {
        "version": str(record.version),
        "live": str(record.live or ""),
        "before": str(record.before or ""),
        "changed": str(record.changed).lower(),
        "url": record.url,
    }
    return Result(record, ExitCode.PASS if outcome.is_done else ExitCode.VERDICT_NO, outputs)
