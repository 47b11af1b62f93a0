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

Inputs = Mapping[str, str | None]
"""Values of a command's options by the last part of their variable's name."""


@click.command("pull-request")
@config_option
@click.option("--dvc-pull", type=bool, default=True, show_default=True, help="Whether to fetch data, where the repository uses DVC.")
@click.option("--validate", type=bool, default=True, show_default=True, help="Whether to check the data.")
@click.option(
    "--drift",
    type=bool,
    default=False,
    show_default=True,
    help="Whether to compare the current table with the reference, column by column.",
)
@click.option(
    "--evaluate",
    type=bool,
    default=False,
    show_default=True,
    help="Whether to score the saved model and the baseline's on the same rows, and to check the model.",
)
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
@click.option("--tracking-uri", help="The MLflow server for baselines and datasets of runs; MLFLOW_TRACKING_URI without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the DVC remote's storage library (AWS_…, AZURE_…, GOOGLE_…).")
@click.option("--github-token", help="Writes the comment and the check; without it the report is only rendered.")
@click.option("--report-url", help="Where the report page can be read, for the link in the comment.")
def command(
    config: Path,
    dvc_pull: bool,
    validate: bool,
    drift: bool,
    evaluate: bool,
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
    for name in RECORDS:
        _forget(config, name)
    if tracking_uri:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri  # which every step reads that may see it
    found_by: Inputs = {"BASE": base, "CREDENTIALS": credentials}
    steps = _Steps(config)
    with tempfile.TemporaryDirectory(prefix="modelship-") as folder:
        baseline: Mapping[str, str] = {}
        if dvc_pull and find_dvc_root(config.parent):
            steps.take("dvc-pull", {"CREDENTIALS": credentials, "BASE": base, "BASE_TABLES": str(validate).lower()})
        about_data: dict[str, Inputs] = {
            **({"validate": {"BASE": base}} if validate else {}),
            **({"drift-report": {}} if drift else {}),
        }
        for name, inputs in about_data.items():
            steps.take(name, inputs)
        if evaluate:
            # Before training: credentials and code that nobody has reviewed never meet.
            baseline = steps.take("evaluate", {"FETCH_BASELINE": "true", "BASELINE_MODEL": f"{folder}/model", **found_by})
        # Training gets no tracking server: what is not merged yet is not logged.
        trained = steps.take("train", may_see_tracking=False)
        if trained.get("tables-changed") == "true":
            for name in about_data:
                _forget(config, name)
            for name, inputs in about_data.items():
                steps.take(name, inputs)
        if evaluate:
            fetched = {"BASELINE_MODEL": baseline.get("baseline-model"), "BASELINE_DIGEST": baseline.get("baseline-digest")}
            steps.take("evaluate", fetched, may_see_tracking=False)
        # The report has its tables.
        steps.take("metric-gate", {**found_by, "GITHUB_TOKEN": github_token, "QUIET": "true"})
    published, outputs = _run("comment", config, {"GITHUB_TOKEN": github_token, "REPORT_URL": report_url})
    workflow.set_outputs(outputs)
    sys.exit(steps.verdict or published)


class _Steps:
    """Commands one after another until one fails. A model that fails its checks is judged all the same: the comment tells both."""

    def __init__(self, config: Path) -> None:
        self.verdict = ExitCode.PASS
        self._config = config
        self._is_over = False

    def take(self, name: str, inputs: Inputs | None = None, *, may_see_tracking: bool = True) -> Mapping[str, str]:
        """Run a command, and return its outputs; none once a step has failed."""
        if self._is_over:
            return {}
        code, outputs = _run(name, self._config, inputs or {}, may_see_tracking=may_see_tracking)
        self.verdict = self.verdict or code
        self._is_over = code != ExitCode.PASS and not (name == "evaluate" and code == ExitCode.VERDICT_NO)
        return outputs


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


def _run(name: str, config: Path, inputs: Inputs, *, may_see_tracking: bool = True) -> tuple[ExitCode, dict[str, str]]:
    """Run one command as a process of its own, so that each has its own environment and sees only its own secrets."""
    variables = {f"MODELSHIP_{name.upper().replace('-', '_')}_{key}": value for key, value in inputs.items() if value}
    hidden = (_PREFIX,) if may_see_tracking else (_PREFIX, "MLFLOW_TRACKING_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    with tempfile.NamedTemporaryFile(prefix="modelship-outputs-") as file:
        environment |= {**variables, "GITHUB_OUTPUT": file.name}
        workflow.say(f"▶ {name}")
        package = str(Path(modelship.__file__).parent)
        result = subprocess.run([sys.executable, "-I", package, name, "--config", str(config)], env=environment, check=False)
        outputs = workflow.read_outputs(Path(file.name))
    return ExitCode(result.returncode) if result.returncode in list(ExitCode) else ExitCode.INFRASTRUCTURE, outputs
