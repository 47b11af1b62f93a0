"""`modelship pull-request`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

import modelship
from modelship.commands.frame import config_option
from modelship.core import workflow
from modelship.core.errors import ExitCode, ModelshipError
from modelship.core.git import Git
from modelship.core.records import RECORDS

_PREFIX = "MODELSHIP_PULL_REQUEST_"


@click.command("pull-request")
@config_option
@click.option("--dvc-pull", type=bool, default=True, show_default=True, help="Whether to fetch data, where the repository uses DVC.")
@click.option("--validate", type=bool, default=True, show_default=True, help="Whether to check the data.")
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
@click.option("--tracking-uri", help="The MLflow server for baselines; MLFLOW_TRACKING_URI without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the DVC remote's storage library (AWS_…, AZURE_…, GOOGLE_…).")
@click.option("--github-token", help="Writes the comment and the check; without it the report is only rendered.")
@click.option("--report-url", help="Where the report page can be read, for the link in the comment.")
def command(
    config: Path,
    dvc_pull: bool,
    validate: bool,
    base: str | None,
    tracking_uri: str | None,
    credentials: str | None,
    github_token: str | None,
    report_url: str | None,
) -> None:
    """Pull, validate, train, judge and answer, in one job. At a terminal: see the comment before you push."""
    from modelship.data.dvc_remotes import find_dvc_root

    if base:
        _check(base, config)
    steps: list[tuple[str, dict[str, str | None]]] = []
    if dvc_pull and find_dvc_root(config.parent):
        steps.append(("dvc-pull", {"CREDENTIALS": credentials}))
    if validate:
        steps.append(("validate", {}))
    # Training gets no tracking server: what is not merged yet is not logged.
    steps.append(("train", {}))
    steps.append(("metric-gate", {"BASE": base, "TRACKING_URI": tracking_uri}))

    for name in RECORDS:
        _forget(config, name)
    verdict = ExitCode.PASS
    while steps:
        name, inputs = steps.pop(0)
        verdict, outputs = _step(name, config, inputs)
        if outputs.get("tables-changed") == "true" and validate:
            steps.insert(0, ("validate", {}))
        if verdict != ExitCode.PASS:
            break
    published, outputs = _step("comment", config, {"GITHUB_TOKEN": github_token, "REPORT_URL": report_url})
    workflow.set_outputs(outputs)
    sys.exit(verdict or published)


def _check(base: str, config: Path) -> None:
    """A base that does not exist shows before training, not after it."""
    try:
        Git(config.parent).resolve(base)
    except ModelshipError as error:
        for problem in error.problems:
            workflow.annotate("error", problem, "modelship pull-request")
        sys.exit(error.exit_code)


def _forget(config: Path, name: str) -> None:
    from modelship.core.run_directory import RunDirectory

    try:
        RunDirectory(config.parent / ".modelship").remove(name)
    except (OSError, ModelshipError):
        return


def _step(name: str, config: Path, inputs: Mapping[str, str | None]) -> tuple[ExitCode, dict[str, str]]:
    """Run one command as a process of its own, so that each has its own environment and sees only its own secrets."""
    variables = {f"MODELSHIP_{name.upper().replace('-', '_')}_{key}": value for key, value in inputs.items() if value}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_PREFIX)}
    if name == "train":
        environment = {key: value for key, value in environment.items() if not key.startswith("MLFLOW_TRACKING_")}
    with tempfile.NamedTemporaryFile(prefix="modelship-outputs-") as file:
        environment |= {**variables, "GITHUB_OUTPUT": file.name}
        workflow.say(f"▶ {name}")
        package = str(Path(modelship.__file__).parent)
        result = subprocess.run([sys.executable, "-I", package, name, "--config", str(config)], env=environment, check=False)
        outputs = workflow.read_outputs(Path(file.name))
    return ExitCode(result.returncode) if result.returncode in list(ExitCode) else ExitCode.INFRASTRUCTURE, outputs
