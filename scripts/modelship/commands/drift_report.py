"""`modelship drift-report`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from modelship.commands import frame
from modelship.core import workflow
from modelship.core.config import LoadedConfig, share_of
from modelship.core.environments import need
from modelship.core.errors import ExitCode
from modelship.core.records import ColumnDrift, DriftReportRecord, Status

if TYPE_CHECKING:
    from modelship.data.tables.profile import Profiled

PAGE = "drift-report.html"


@click.command("drift-report")
@frame.config_option
@frame.model_option
@click.option("--reference", help="The table that the model learns from (key `data.reference`).")
@click.option("--current", help="The table that is compared with it (key `data.current`).")
@click.option("--target", help="The column that the model predicts (key `data.target`).")
@click.option("--key", help="The column that names a row; it is not compared (key `data.key`).")
@click.option(
    "--engine",
    type=click.Choice(["pandas", "spark", "sql"]),
    help="What samples the tables: memory, Spark, or a query's database (key `data.engine`).",
)
@click.option("--prediction", help="The column with a model's predictions (key `drift.prediction`).")
@click.option("--max-share", callback=frame.yaml_value, help="The share of features that may drift, as `30%` (key `drift.max-share`).")
@click.option("--numerical", callback=frame.yaml_value, help="How numbers are compared, as `{method: psi}` (key `drift.numerical`).")
@click.option("--categorical", callback=frame.yaml_value, help="How categories are compared, as YAML (key `drift.categorical`).")
@click.option("--columns", callback=frame.yaml_value, help="Columns by themselves, as `{temp: ignore}` (key `drift.columns`).")
@click.option("--sample", callback=frame.yaml_value, help="How many rows are compared, or `full` (key `drift.sample`).")
@click.option("--severity", type=click.Choice(["warning", "critical"]), help="Whether drift blocks (key `drift.severity`).")
def command(config: Path, model: str | None, **given: Any) -> NoReturn:
    """Compare the current table with the reference, column by column.

    Evidently measures a uniform sample and draws a page of it. Drift is shown and exits with 0, or with 1 where `drift.severity` is
    critical.
    """
    of_data = ("reference", "current", "target", "key", "engine")
    overrides = {f"{'data' if name in of_data else 'drift'}.{name.replace('_', '-')}": value for name, value in given.items()}
    frame.run("drift-report", config, {"model": model, **overrides}, drift_report)


def drift_report(space: frame.Workspace) -> frame.Result:
    """Compare the two tables. Raises BadInput for what cannot be read or compared."""
    need("drift")
    from modelship.data.drift.methods import check_methods

    loaded = space.load()
    check_methods(loaded)
    reference, current = _tables(loaded)
    space.run_directory.drop(PAGE)
    started = time.monotonic()
    workflow.say("Loading Evidently")
    from modelship.data.drift import report

    workflow.say(f"Evidently {report.evidently_version()}: {time.monotonic() - started:.1f} s")
    with workflow.group(f"{current.name} against {reference.name}"):
        found = report.compare(reference, current, loaded)
        with workflow.commands_stopped():
            # A workflow's log folds them away; at a terminal what is as it was would push the verdict off the screen.
            if workflow.in_workflow():
                workflow.say(found.sampling)
                for column in found.columns:
                    workflow.say(_line(column))
                for skipped in found.skipped:
                    workflow.say(f"- {skipped.column}: not compared, {skipped.reason}")
    page = space.run_directory.keep(report.page(found, loaded.config.model), PAGE)
    status: Status = "pass" if not found.verdict.drift else "fail" if loaded.config.drift.severity == "critical" else "warn"
    columns, notices = report.fitting(found.columns)
    record = DriftReportRecord(
        model=loaded.config.model,
        status=status,
        summary=report.summary(found),
        tables=found.tables,
        drift=found.verdict.drift,
        notices=notices,
        columns=columns,
        skipped=found.skipped[: report.MOST_COLUMNS],
        share=found.verdict.share,
        max_share=share_of(loaded.config.drift.max_share),
        confidence=loaded.config.drift.confidence,
        sampling=found.sampling,
        page=page.relative_to(space.run_directory.path).as_posix(),
    )
    if found.verdict.drift:
        workflow.annotate(
            "error" if status == "fail" else "warning", loaded.problem(record.summary, at="drift"), "modelship drift-report"
        )
    if not workflow.in_workflow():
        from modelship.reporting.terminal import render_record

        workflow.say(render_record(record))
    outputs = {"drift": str(found.verdict.drift).lower()}
    return frame.Result(record, ExitCode.VERDICT_NO if status == "fail" else ExitCode.PASS, outputs)


def _tables(loaded: LoadedConfig) -> Sequence[Profiled]:
    from modelship.data.drift.report import sample_size
    from modelship.data.engines.elsewhere import sum_up
    from modelship.data.tables.opening import open_table

    data, drift = loaded.config.data, loaded.config.drift
    sources = [loaded.require(f"data.{role}") for role in ("reference", "current")]
    if data.engine == "pandas":
        return [open_table(source, loaded.directory) for source in sources]
    with workflow.group(f"Sampling with {data.engine}"):
        return sum_up(
            data.engine,
            sources,
            loaded.directory,
            data.key,
            sample=sample_size(drift),
            seed=drift.seed,
            max_values=drift.max_categories,
        )


def _line(column: ColumnDrift) -> str:
    """One column as a line of the log."""
    chance = f"p {column.p_value:.2g}" if column.p_value >= 1e-16 else "p < 1e-16"
    value = chance if column.distance is None else f"{column.distance:.3f}, {chance}"
    purpose = "" if column.purpose == "feature" else f" ({column.purpose})"
    told = "".join(f" · {finding}" for finding in column.findings)
    return f"{'✗' if column.drifted else '✓'} {column.column}{purpose} · {column.method} {value}, threshold {column.threshold:g}{told}"
