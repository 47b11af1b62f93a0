"""The parts of a report, each made of one or two records. A part without content is None."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from modelship.core.records import (
    Changes,
    DataFile,
    DvcPullRecord,
    EvaluateRecord,
    Expectation,
    LatencyMeasured,
    MetricGateRecord,
    ModelCheck,
    Record,
    ScoredModel,
    TableValidation,
    TrainRecord,
    ValidateRecord,
    ValueChange,
)
from modelship.core.words import counted, rule
from modelship.reporting import data_changes
from modelship.reporting.blocks import Block, Light, Log, MetricTable, Paragraph, Row, Section, Table, key_values
from modelship.reporting.checks import Check, Found, first_blocking, problem_line
from modelship.reporting.inline import Code, Line, Link, line, prose
from modelship.reporting.numbers import NOTHING, decimals_for, duration, number, size


def problems(records: Mapping[str, Found], checks: Sequence[Check]) -> Section | None:
    """What the cause leaves out: all problems of a check that has several, and why checks after the first have no verdict."""
    first = first_blocking(checks)
    blocks: list[Block] = []
    for check in checks:
        record = records.get(check.name)
        told = [problem_line(problem) for problem in record.problems] if isinstance(record, Record) else []
        if check.has_no_verdict and (len(told) > 1 or check is not first):
            rows = tuple(Row((line(check.name), sentence), "fail") for sentence in told or [check.sentence])
            blocks.append(Table(("check", "problem"), rows))
    count = sum(len(block.rows) for block in blocks if isinstance(block, Table))
    return Section(line(counted(count, "problem")), tuple(blocks), explains=True) if blocks else None


def log(name: str, record: TrainRecord | EvaluateRecord | None, *, explains: bool) -> Section | None:
    """The end of what the team's own program wrote; only one that failed leaves it."""
    if record is None or not record.log_tail:
        return None
    return Section(line(f"{name}: the last {counted(len(record.log_tail), 'line')}"), (Log(record.log_tail),), explains=explains)


def broken_model_checks(record: EvaluateRecord | None, *, explains: bool) -> Section | None:
    """What the model does not hold."""
    broken = [check for check in record.checks if not check.holds] if record else []
    if not broken:
        return None
    verb = "does" if len(broken) == 1 else "do"
    return Section(line(f"{counted(len(broken), 'model check')} {verb} not hold"), (_model_checks(broken),), explains=explains)


def model(record: EvaluateRecord | None) -> Section | None:
    """The model itself: how large and how fast it is, and what it holds."""
    if record is None or not (record.checks or record.candidate):
        return None
    holding = [check for check in record.checks if check.holds]
    scored, single = record.candidate, record.latency.get("single-row")
    titles = [
        f"{len(holding)} of {counted(len(record.checks), 'check')} hold{'s' if len(holding) == 1 else ''}" if record.checks else "",
        size(scored.bytes) if scored else "",
        f"{_milliseconds(single.p99)} a row (p99)" if single else "",
    ]
    facts = key_values(
        (
            ("size", line(_model_size(record))),
            *((f"latency, {name.replace('-', ' ')}", line(_latency(found))) for name, found in record.latency.items()),
            ("scored", line(_scored(record))),
            ("model", line(Code(scored.digest[:19])) if scored else ()),
            ("baseline", line(Code(record.baseline.digest[:19])) if record.baseline else ()),
        )
    )
    blocks = ((facts,) if facts.rows else ()) + ((_model_checks(holding),) if holding else ())
    return Section(line(f"Model: {'; '.join(filter(None, titles))}"), blocks) if blocks else None


def _model_checks(checks: Iterable[ModelCheck]) -> Table:
    broken: dict[str, Light] = {"critical": "fail", "warning": "warn", "info": "none"}
    rows = tuple(
        Row(
            (line(check.name), prose(check.observed) or line(NOTHING), prose(check.limit) or line(NOTHING)),
            ("none" if check.severity == "info" else "pass") if check.holds else broken[check.severity],
        )
        for check in checks
    )
    return Table(("check", "found", "asked for"), rows)


def _model_size(record: EvaluateRecord) -> str:
    def of(scored: ScoredModel) -> str:
        return size(scored.bytes)

    if record.candidate is None:
        return ""
    return of(record.candidate) + (f" (baseline {of(record.baseline)})" if record.baseline else "")


def _latency(found: LatencyMeasured) -> str:
    calls = f"{counted(found.calls, 'call')} of {counted(found.rows, 'row')}"
    return f"p50 {_milliseconds(found.p50)}, p99 {_milliseconds(found.p99)} ({calls})"


def _milliseconds(value: float) -> str:
    if value >= 10_000:
        return duration(value / 1000)
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 0.1 else f"{value:.2g} ms"


def _scored(record: EvaluateRecord) -> str:
    rows = counted(record.rows, "row") if record.rows is not None else ""
    seconds = duration(record.candidate.scored_seconds) if record.candidate else ""
    return " in ".join(filter(None, (rows, seconds)))


def other_metrics(metrics: MetricTable | None, record: MetricGateRecord | None, already_shown: int) -> Section | None:
    """Gated metrics beyond those that are always seen, and those that nobody gated."""
    if metrics is None or record is None:
        return None
    blocks: list[Block] = []
    gated = max(len(metrics.rows) - already_shown, 0)
    if gated:
        blocks.append(metrics.as_table(already_shown))
    if record.other_metrics:
        ordered = sorted(record.other_metrics, key=lambda change: (change.before == change.after, change.before is None, change.name))
        rows = tuple(Row((line(change.name), *_both_sides(change))) for change in ordered)
        blocks.append(Table(("without a limit", f">{metrics.baseline_label}", f">{metrics.candidate_label}"), rows))
    if not blocks:
        return None
    without = counted(len(record.other_metrics), "metric") + " without a limit" if record.other_metrics else ""
    with_limit = counted(gated, "more metric") + " with a limit" if gated else ""
    return Section(line(", ".join(filter(None, (with_limit, without)))), tuple(blocks))


def _both_sides(change: ValueChange) -> tuple[Line, Line]:
    before, after = _as_number(change.before), _as_number(change.after)
    are_counts = all(text is None or text.lstrip("-").isdigit() for text in (change.before, change.after))
    decimals = 0 if are_counts else decimals_for((before, after))

    def side(text: str | None, value: float | None) -> Line:
        return line(number(value, decimals) if value is not None else _shown(text))

    return side(change.before, before), side(change.after, after)


def _as_number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def broken_expectations(record: ValidateRecord | None, *, explains: bool) -> Section | None:
    """The expectations that do not hold, critical ones first."""
    broken = [pair for pair in _expectations(record) if not pair[1].holds]
    if not broken:
        return None
    broken.sort(key=lambda pair: ("critical", "warning", "info").index(pair[1].severity))
    verb = "does" if len(broken) == 1 else "do"
    return Section(line(f"{counted(len(broken), 'expectation')} {verb} not hold"), (_expectation_table(broken),), explains=explains)


def data(record: ValidateRecord | None, pulled: DvcPullRecord | None) -> Section | None:
    """The tables, how many expectations hold, what has changed in them, and what was pulled."""
    expectations = _expectations(record)
    holding = [pair for pair in expectations if pair[1].holds]
    blocks: list[Block] = []
    titles: list[str] = []
    if record and record.tables:
        titles.append(f"{len(holding)} of {counted(len(expectations), 'expectation')} hold" if expectations else "nothing odd")
        blocks += [Paragraph(_table_line(table)) for table in record.tables]
    if record and record.changes:
        titles += data_changes.titles(record.changes)
        blocks += data_changes.blocks(record.changes)
    if pulled and pulled.outputs:
        total = sum(output.bytes or 0 for output in pulled.outputs)
        titles.append(f"{counted(len(pulled.outputs), 'DVC output')} pulled")
        blocks.append(Paragraph(_pulled_line(pulled, total)))
    return Section(line("Data: " + "; ".join(titles)), tuple(blocks)) if blocks else None


def holding_expectations(record: ValidateRecord | None) -> Section | None:
    """The expectations that hold."""
    holding = [pair for pair in _expectations(record) if pair[1].holds]
    if not holding:
        return None
    return Section(line(f"Expectations that hold: {len(holding)}"), (_expectation_table(holding),), page_only=True)


def _expectations(record: ValidateRecord | None) -> list[tuple[TableValidation, Expectation]]:
    return [(table, one) for table in record.tables for one in table.expectations] if record else []


def _expectation_table(expectations: Iterable[tuple[TableValidation, Expectation]]) -> Table:
    rows = tuple(_expectation_row(table, one) for table, one in expectations)
    return Table(("table", "column", "expectation", "found"), rows)


def _table_line(table: TableValidation) -> Line:
    return line(f"{table.role.capitalize()}: ", Code(table.path), f", {table.rows:,} rows of {counted(table.columns, 'column')}.")


def _pulled_line(record: DvcPullRecord, total: int) -> Line:
    remotes = f" from {', '.join(record.remotes)}" if record.remotes else ""
    again = f" {counted(len(record.recomputed), 'output')} no remote holds; training makes them again." if record.recomputed else ""
    return line(f"Pulled {counted(len(record.outputs), 'output')} ({size(total)}){remotes}, verified.{again}")


def _expectation_row(table: TableValidation, expectation: Expectation) -> Row:
    broken: dict[str, Light] = {"critical": "fail", "warning": "warn", "info": "none"}
    arguments = ", ".join(f"{name}={value}" for name, value in expectation.arguments.items())
    said = rule(expectation.expectation)
    found = expectation.observed or (counted(expectation.failed_rows, "row") if expectation.failed_rows else "")
    keys = ", ".join(expectation.sample_keys[:5])
    cells = (
        line(table.role),
        line(Code(expectation.column)) if expectation.column else line(NOTHING),
        line(f"{said} ({arguments})" if arguments else said),
        line(*prose(found), *((" at ", Code(keys)) if keys and not expectation.holds else ())),
    )
    return Row(cells, "pass" if expectation.holds else broken[expectation.severity])


def changes(record: MetricGateRecord | None) -> Section | None:
    """What differs between base and head."""
    changed = record.changes if record else None
    if changed is None:
        return None
    rows = [
        *_change_rows("rule", changed.policy),
        *_change_rows("param", changed.params),
        *_change_rows("data", changed.data),
        *(Row((line("file"), line(Code(one.name)), line(), line(_file_change(one)))) for one in changed.files),
    ]
    blocks = (Table(("", "name", "before", "after"), tuple(rows)),) if rows else ()
    return Section(line(f"What changed: {_changes_title(changed)}"), blocks) if blocks else None


def _changes_title(changed: Changes) -> str:
    kinds = ((changed.policy, "rule"), (changed.params, "param"), (changed.data, "data file"), (changed.files, "source file"))
    return ", ".join(counted(len(found), name) for found, name in kinds if found)


def _change_rows(kind: str, changed: Sequence[ValueChange]) -> Iterable[Row]:
    for one in changed:
        yield Row((line(kind), line(Code(one.name)), _value(one.before), _value(one.after)))


def _file_change(change: ValueChange) -> str:
    if change.before is None:
        return "added"
    return "deleted" if change.after is None else "modified"


def training(record: TrainRecord | None, sites: Collection[str] = ()) -> Section | None:
    """How the model was trained, with a link to the MLflow run where that is on one of the `sites`."""
    if record is None or not record.command:
        return None
    seconds = duration(record.training_seconds) if record.training_seconds is not None else ""
    memory = size(record.peak_memory_bytes) if record.peak_memory_bytes is not None else ""
    pairs = (
        ("command", line(Code(record.command))),
        ("exit status", line(str(record.exit_status)) if record.exit_status else ()),
        ("duration", line(seconds)),
        ("peak memory", line(memory)),
        ("Python", line(record.python)),
        ("packages", line(str(len(record.packages)) if record.packages else "")),
        ("MLflow", Link(f"run {record.mlflow_run[:12]}", record.mlflow_url).within(sites) if record.mlflow_run else ()),
        ("model", line(Code(record.model_digest[:19])) if record.model_digest else ()),
    )
    facts = ", ".join(filter(None, (seconds, memory)))
    return Section(line(f"Training: {facts}" if facts else "Training"), (key_values(pairs),))


def invalid_metrics(record: TrainRecord | None) -> Section | None:
    """What the metrics file holds that is no metric."""
    if record is None or not record.invalid_metrics:
        return None
    rows = tuple(Row((line(Code(name)), prose(why))) for name, why in record.invalid_metrics.items())
    title = line(f"In the metrics file, but no metric: {counted(len(rows), 'value')}")
    return Section(title, (Table(("name", "why"), rows),), page_only=True)


def parameters(record: TrainRecord | None) -> Section | None:
    """All parameters."""
    if record is None or not record.params:
        return None
    rows = tuple(Row((line(Code(name)), _value(str(value)))) for name, value in record.params.items())
    return Section(line(f"Parameters: {len(rows)}"), (Table(("name", "value"), rows),), page_only=True)


def files(pulled: DvcPullRecord | None, record: TrainRecord | None) -> Section | None:
    """Every data file with its hash."""
    found = {file.path: file for file in (*(pulled.outputs if pulled else ()), *(record.data if record else ()))}
    if not found:
        return None
    rows = tuple(Row((line(Code(file.path)), line(Code(file.hash)), line(_extent(file)))) for file in found.values())
    return Section(line(f"Data files: {len(rows)}"), (Table(("path", "hash", ">size"), rows),), page_only=True)


def _extent(file: DataFile) -> str:
    return ", ".join(
        filter(None, ("" if file.bytes is None else size(file.bytes), "" if file.files is None else counted(file.files, "file")))
    )


def packages(record: TrainRecord | None) -> Section | None:
    """The packages that training had at hand."""
    if record is None or not record.packages:
        return None
    rows = tuple(Row((line(name), line(version))) for name, version in sorted(record.packages.items()))
    return Section(line(f"Packages: {len(rows)}"), (Table(("name", "version"), rows),), page_only=True)


def _value(text: str | None) -> Line:
    return line(Code(text)) if text else line(NOTHING)


def _shown(text: str | None) -> str:
    return NOTHING if text is None else text
