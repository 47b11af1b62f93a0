"""`modelship register`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelship.commands.frame import Result, Workspace, config_option, model_option, run
from modelship.core.environments import need
from modelship.core.errors import ExitCode, bad_input

if TYPE_CHECKING:
    from modelship.registry.evidence import Evidence


@click.command("register")
@config_option
@model_option
@click.option("--model-path", help="The MLflow model folder that training wrote (key `train.model`).")
@click.option("--registered-name", help="The model's name in MLflow's registry (key `registry.name`).")
@click.option("--tracking-uri", help="The MLflow server; MLFLOW_TRACKING_URI without it.")
@click.option("--signing-key", help="A private key as PEM text: the model is signed with it.")
def command(
    config: Path,
    model: str | None,
    model_path: str | None,
    registered_name: str | None,
    tracking_uri: str | None,
    signing_key: str | None,
) -> None:
    """Register the model that the gate let pass, once for each model, commit and configuration.

    A verdict of no, from the gate or a command before it, exits with 1 and registers nothing.
    """
    overrides = {"model": model, "registry.name": registered_name}
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    run("register", config, overrides, lambda space: work(space, model_path, uri, signing_key or ""))


def work(space: Workspace, model_path: str | None, tracking_uri: str, signing_key: str) -> Result:
    """Register what this run's records speak of."""
    loaded = space.load()
    if not tracking_uri:
        raise bad_input("no MLflow server is named.", "Give `--tracking-uri`, or set MLFLOW_TRACKING_URI.")
    need("register")
    from modelship.registry.register import Registration, register
    from modelship.reporting.card import Identity, model_card
    from modelship.reporting.inline import site_of

    run_url = space.event.run_url or ""
    number = space.event.run_number or space.event.run_id

    def card(digest: str, formats: Sequence[str], evidence: Evidence) -> str:
        identity = Identity(
            loaded.config.registered_name,
            digest=digest,
            formats=tuple(formats),
            run=f"run {number}" if run_url else "",
            run_url=run_url,
            sites=frozenset((site_of(tracking_uri),)) - {""},
        )
        return model_card(identity, evidence.records)

    record = register(
        Registration(
            loaded=loaded,
            run_directory=space.run_directory,
            commit=space.git.head(),
            tracking_uri=tracking_uri,
            experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME") or loaded.config.model,
            card=card,
            model=model_path,
            run_url=run_url,
            signing_key=signing_key,
        )
    )
    outputs = {
        "version": str(record.version or ""),
        "digest": record.digest,
        "checksums-digest": record.checksums_digest,
        "bom-digest": record.bom_digest,
        "created": str(record.created).lower(),
        "mlflow-url": record.mlflow_url,
    }
    return Result(record, ExitCode.VERDICT_NO if record.status == "fail" else ExitCode.PASS, outputs)
