"""`modelship validate`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from modelship.commands import frame
from modelship.core import workflow
from modelship.core.config import Data, LoadedConfig, TableSource
from modelship.core.environments import need
from modelship.core.errors import BadInput, ExitCode, ModelshipError, Problem, bad_input
from modelship.core.records import Expectation, TableChange, ValidateRecord
from modelship.core.words import counted, shown_path

if TYPE_CHECKING:
    from modelship.data.expectations import Place
    from modelship.data.validation import Expectations, Finding, Table, TableResult

MAX_ANNOTATIONS = 10

_TURN_OFF = "turn data checks off: `validate: false` in the workflow, `modelship pull-request --validate false` at a terminal"


@click.command("validate")
@frame.config_option
@frame.model_option
@click.option("--reference", help="The table that the model learns from (key `data.reference`).")
@click.option("--current", help="The table that the model is judged on (key `data.current`).")
@click.option("--target", help="The column that the model predicts (key `data.target`).")
@click.option("--key", help="The column that names a row, once each (key `data.key`).")
@click.option(
    "--expectations", help="A YAML list, a suite's JSON, or a Great Expectations project's folder (key `data.expectations`)."
)
@click.option("--checkpoint", help="The project's checkpoint to follow, where it has several (key `data.checkpoint`).")
@click.option(
    "--engine",
    type=click.Choice(["pandas", "spark", "sql"]),
    help="What checks the tables: memory, Spark, or a query's database (key `data.engine`).",
)
@click.option(
    "--data-docs",
    type=click.Choice(["failing", "always", "never"]),
    default="failing",
    show_default=True,
    help="When to write Great Expectations' Data Docs to .modelship/files/data-docs.html.",
)
@click.option(
    "--suggest",
    metavar="FILE",
    help="Check nothing: write a first list of expectations, made from the reference, to FILE (`-` for standard output).",
)
@click.option("--base", help="The base commit; the pull request's, or where this branch left the default one, without it.")
def command(config: Path, model: str | None, data_docs: str, suggest: str | None, base: str | None, **data: Any) -> NoReturn:
    """Check the data against its expectations, and tell what has changed in it.

    Reads Parquet, CSV, JSON lines, Arrow, SQL queries and datasets of MLflow runs. A critical expectation that does not hold exits
    with 1; warnings are shown and exit with 0.
    """
    overrides = {"model": model, **{f"data.{name}": value for name, value in data.items()}}
    if suggest is not None:
        sys.exit(frame.guarded("validate", lambda: _suggest(frame.workspace(config, overrides), suggest)))
    frame.run("validate", config, overrides, lambda space: validate(space, data_docs, base))


def _suggest(space: frame.Workspace, name: str) -> ExitCode:
    """Write a first list of expectations. Raises BadInput for a table that cannot be read and a file that is there."""
    loaded = _load(space)
    from modelship.data.suggest import MAX_VALUES, suggest
    from modelship.data.validation import SAMPLE_ROWS

    path = Path(name)
    if name != "-" and os.path.lexists(path):
        raise bad_input("exists already.", "It is left as it is. Name another file.", path=name)
    table, *others = _tables(loaded)
    if not table.reader.rows():
        raise bad_input("has no rows to learn from.", path=table.reader.name)
    seen = table.reader.profile(sample=SAMPLE_ROWS, seed=0, max_values=MAX_VALUES)
    text = suggest(
        seen,
        table=table.path,
        rows=[other.reader.rows() for other in others],
        target=table.target,
        key=table.key,
        with_types=table.engine == "pandas",
    )
    if name == "-":
        click.echo(text, nl=False)
        return ExitCode.PASS
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise bad_input(f"cannot be written: {error.strerror}.", path=name) from None
    workflow.say(f"✓ {name}: {counted(text.count(chr(10) + '- '), 'expectation')} from {table.path}")
    workflow.say("Next: read every line, edit it, set `data.expectations` to it, and run `modelship validate`.")
    return ExitCode.PASS


def validate(space: frame.Workspace, when: str, base: str | None) -> frame.Result:
    """Check every configured table; `when` is when to write Data Docs. Raises BadInput for what cannot be read or understood."""
    loaded = _load(space)
    from modelship.data import data_docs, validation
    from modelship.data.expectations import read_expectations

    space.run_directory.drop(data_docs.NAME)
    path = loaded.require(
        "data.expectations",
        f"Name a file with expectations (`modelship validate --suggest expectations.yaml` proposes some), or {_TURN_OFF}.",
    )
    specs = read_expectations(loaded.directory / path, shown_path(loaded.directory / path), loaded.config.data.checkpoint)
    tables = _tables(loaded)
    started = time.monotonic()
    workflow.say("Loading Great Expectations")
    expectations = validation.Expectations(specs, {table.engine for table in tables})
    workflow.say(
        f"Great Expectations {expectations.version}, {counted(len(specs), 'expectation')}: {time.monotonic() - started:.1f} s"
    )
    results = [_check(expectations, table) for table in tables]
    results = _with_checks(tables, results, loaded.config.data)
    problems = [one.problem for result in results for one in result.raised]
    if problems:
        raise BadInput(*problems)
    _annotate(results)
    page = ""
    if when == "always" or (when == "failing" and any(result.failing for result in results)):
        written = space.run_directory.keep(data_docs.build(results), data_docs.NAME)
        workflow.say(f"Data Docs: {written}")
        page = written.relative_to(space.run_directory.path).as_posix()
    changes, not_told = _changes(space, loaded, base)
    record = ValidateRecord(
        model=loaded.config.model,
        status=validation.status(results),
        summary=validation.summary(results, len(specs)),
        notices=(*validation.notices(results, len(specs)), *not_told),
        tables=tuple(result.validation for result in results),
        data_docs=page,
        changes=changes,
    )
    return frame.Result(record, ExitCode.VERDICT_NO if record.status == "fail" else ExitCode.PASS)


def _load(space: frame.Workspace) -> LoadedConfig:
    """The configuration, in an environment that has what its engine needs."""
    from modelship.data.engines.opening import CAPABILITIES

    loaded = space.load()
    need(CAPABILITIES[loaded.config.data.engine])
    return loaded


def _tables(loaded: LoadedConfig) -> list[Table]:
    from modelship.data.engines.opening import open_with
    from modelship.data.validation import Table

    data = loaded.config.data
    roles: tuple[tuple[Literal["reference", "current"], str | TableSource | None], ...] = (
        ("reference", data.reference),
        ("current", data.current),
    )
    if data.class_floor is not None and data.target is None:
        message = "`data.class-floor` is about the classes of the target, and `data.target` names none."
        raise BadInput(loaded.problem(message, "Name the target, or drop it.", at="data.class-floor"))
    named = [(role, source) for role, source in roles if source is not None]
    if not named:
        message = "neither `data.reference` nor `data.current` is set."
        raise BadInput(loaded.problem(message, f"Name at least one table, or {_TURN_OFF}.", at="data"))
    return [
        Table(
            role=role,
            path=source if isinstance(source, str) else source.name,
            reader=open_with(data.engine, source, loaded.directory, data.key),
            place=_place(loaded, f"data.{role}"),
            target=data.target,
            target_place=_place(loaded, "data.target"),
            key=data.key,
            key_place=_place(loaded, "data.key"),
        )
        for role, source in named
    ]


def _place(loaded: LoadedConfig, key: str) -> Place:
    from modelship.data.expectations import Place

    problem = loaded.problem("", at=key)
    return Place(problem.path, problem.line)


def _check(expectations: Expectations, table: Table) -> TableResult:
    with workflow.group(f"{table.role}: {table.path}"):
        result = expectations.check(table)
        validation = result.validation
        with workflow.commands_stopped():
            workflow.say(f"{validation.rows:,} rows, {validation.columns} columns")
            # A workflow's log folds them away; at a terminal what holds would push the verdict off the screen.
            for finding in result.findings:
                if workflow.in_workflow() or not finding.entry.holds:
                    workflow.say(_line(finding))
            if not workflow.in_workflow():
                workflow.say(f"{sum(entry.holds for entry in validation.expectations)} of {len(validation.expectations)} hold")
            if result.unchecked:
                workflow.say(f"not checked, because a check before them failed: {result.unchecked} of {len(expectations.specs)}")
            for one in result.raised:
                workflow.say(f"✗ {one.problem}")
    return result


def _with_checks(tables: Sequence[Table], results: Sequence[TableResult], data: Data) -> list[TableResult]:
    """The results, with what checks beside the expectations found."""
    from modelship.data.validation import with_checks

    with workflow.group("Checks beside the expectations"):
        more = with_checks(tables, results, data)
        found = [finding for before, after in zip(results, more, strict=True) for finding in _added(before, after)]
        if found:
            with workflow.commands_stopped():
                for finding in found:
                    workflow.say(_line(finding))
        workflow.say(counted(len(found), "finding"))
    return more


def _added(before: TableResult, after: TableResult) -> list[Finding]:
    known = set(map(id, before.findings))
    return [finding for finding in after.findings if id(finding) not in known]


def _changes(space: frame.Workspace, loaded: LoadedConfig, base: str | None) -> tuple[tuple[TableChange, ...], tuple[str, ...]]:
    """What has changed in the tables since the base commit, and why that cannot be told where it cannot."""
    from modelship.data.changes.base_tables import find_base_tables
    from modelship.reporting.data_changes import WORDS

    try:
        tables = find_base_tables(space.git, space.event, space.config_path, loaded, space.overrides, base)
    except ModelshipError as error:
        if base:
            raise
        return (), (f"What changes in the data is not told: {error}",)
    if tables is None:
        return (), ()
    with workflow.group(f"changes since base {tables.fork.point[:7]}"):
        changes, notices = tables.changes()
        with workflow.commands_stopped():
            for change in changes:
                rows = f"{change.rows_before:,} → {change.rows_after:,} rows"
                by_key = f", +{change.added:,} −{change.removed:,}, {change.changed:,} changed" if change.added is not None else ""
                workflow.say(f"{change.path}: {rows}{by_key}")
                for column in change.columns:
                    told = f": {column.before} → {column.after}" if column.before else ""
                    workflow.say(f"  {column.column} {WORDS[column.change]}{told}")
            for notice in notices:
                workflow.say(notice)
    return changes, notices


def _line(finding: Finding) -> str:
    """One check as a line of the log; at a terminal, which has no annotations, with the place where it is written."""
    from modelship.data.validation import name_of

    entry, place = finding.entry, finding.place
    mark = "✓" if entry.holds else "✗"
    severity = "" if entry.holds or entry.severity == "critical" else f"[{entry.severity}]"
    rows = f"see {', '.join(entry.sample_keys)}" if entry.sample_keys else ""
    written = f"{place.path}:{place.line}" if place.path and place.line else place.path
    details = " · ".join(part for part in (*_details(entry), rows, "" if workflow.in_workflow() else written) if part)
    return " ".join(part for part in (mark, severity, name_of(entry), f"· {details}" if details else "") if part)


def _details(entry: Expectation) -> tuple[str, str]:
    """What is asked for, and what was found."""
    return ", ".join(f"{name} {value}" for name, value in entry.arguments.items()), entry.observed


def _annotate(results: Sequence[TableResult]) -> None:
    """Show in a workflow what does not hold beside the lines that ask for it; at a terminal the tables' own lines name these."""
    from modelship.data.validation import name_of

    if not workflow.in_workflow():
        return

    critical = [
        (result.validation, finding) for result in results for finding in result.failing if finding.entry.severity == "critical"
    ]
    for validation, finding in critical[:MAX_ANNOTATIONS]:
        details = " · ".join(filter(None, _details(finding.entry)))
        message = f"{name_of(finding.entry)} does not hold on {validation.path}{f': {details}' if details else ''}"
        workflow.annotate("error", Problem(message, "", finding.place.path, finding.place.line), "modelship validate")
