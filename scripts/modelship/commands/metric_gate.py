"""`modelship metric-gate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from modelship.commands.frame import Result, Workspace, config_option, model_option, pull_request_option, run, yaml_value
from modelship.core import workflow
from modelship.core.errors import bad_input
from modelship.core.prediction_files import suffix_of
from modelship.core.records import MetricGateRecord


@click.command("metric-gate")
@config_option
@model_option
@click.option("--candidate", help="The candidate's metrics file, or a folder with predictions, too; what `train` recorded without it.")
@click.option("--baseline", help="champion, base, git:<ref>, run:<id>, file:<path or folder> or none (key `gate.baseline`).")
@click.option("--metrics", callback=yaml_value, help="Limits as YAML: `{roc_auc: {min: 0.7}}` (key `gate.metrics`).")
@click.option("--first-run", help="allow or refuse while there is no baseline (key `gate.first-run`).")
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
@pull_request_option
@click.option("--registered-name", help="The model's name in MLflow's registry (key `registry.name`).")
@click.option("--tracking-uri", help="The MLflow server for baselines; MLFLOW_TRACKING_URI without it.")
@click.option("--credentials", help="Lines `NAME=VALUE` for the DVC remote that holds a baseline's predictions.")
@click.option("--github-token", help="Reads labels and comments of the pull request: who approved what.")
@click.option("--evidence", type=click.Path(path_type=Path), help="The run directory that another job handed over.")
@click.option("--evidence-digest", help="What that job said of it: its output `evidence-digest`.")
@click.option("--quiet", is_flag=True, help="Print no tables, only what it came to.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of tables.")
def command(config: Path, **given: Any) -> None:
    """Judge the candidate's metrics against limits and baseline. Exit code 1 is a verdict of no."""
    overrides = {
        "model": given["model"],
        "gate.baseline": given["baseline"],
        "gate.metrics": given["metrics"],
        "gate.first-run": given["first_run"],
        "registry.name": given["registered_name"],
    }
    options = Options(
        candidate=given["candidate"],
        base=given["base"],
        tracking_uri=given["tracking_uri"] or os.environ.get("MLFLOW_TRACKING_URI"),
        credentials=given["credentials"] or "",
        github_token=given["github_token"] or "",
        evidence=given["evidence"],
        evidence_digest=given["evidence_digest"] or "",
        as_json=given["as_json"],
        quiet=given["quiet"],
    )
    run(
        "metric-gate",
        config,
        overrides,
        lambda space: work(space, options),
        pull_request=given["pull_request"],
        as_json=options.as_json,
    )


class Options(msgspec.Struct, frozen=True):
    """What the command was asked beside the configuration."""

    candidate: str | None
    base: str | None
    tracking_uri: str | None
    credentials: str
    github_token: str
    evidence: Path | None
    evidence_digest: str
    as_json: bool
    quiet: bool

    def __repr__(self) -> str:
        # Credentials stay out of tracebacks.
        return f"Options({self.candidate})"


def work(space: Workspace, options: Options) -> Result:
    """Take over evidence, find policy, candidate and baseline, and judge."""
    from modelship.core.run_directory import RunDirectory
    from modelship.gate.gate import decide
    from modelship.gate.request import Request

    # A predictions file in the place of its folder is told as that, be it there or not.
    if options.candidate and not suffix_of(options.candidate) and not (space.directory / options.candidate).exists():
        raise bad_input(
            f"the candidate `{options.candidate}` does not exist.",
            "Give `--candidate` a metrics file, or a folder with one or predictions; without it the last training is judged.",
        )
    if options.evidence:
        space.run_directory.take_evidence(RunDirectory(options.evidence), options.evidence_digest)
    decision = decide(
        Request(
            git=space.git,
            directory=space.directory,
            event=space.event,
            run_directory=space.run_directory,
            config_path=space.config_path,
            overrides=space.overrides,
            candidate=options.candidate,
            base=options.base,
            tracking_uri=options.tracking_uri,
            credentials=_credentials(options.credentials),
            github_token=options.github_token,
        )
    )
    if not (options.as_json or options.quiet):
        _show(decision.record)
    return Result(
        decision.record, decision.exit_code, {"baseline": decision.record.baseline.label if decision.record.baseline else ""}
    )


def _credentials(text: str) -> dict[str, str]:
    if not text:
        return {}
    from modelship.core.credentials import read_credentials

    return read_credentials(text)


def _show(record: MetricGateRecord) -> None:
    """Print the verdict: with tables and drawings, but in a log of two numbers a metric, where loading what draws takes longest."""
    if not record.paired and not sys.stdout.isatty():
        from modelship.gate.brief import brief

        for line in brief(record):
            workflow.say(line)
        return
    from modelship.reporting.terminal import render_record

    workflow.say(render_record(record))
