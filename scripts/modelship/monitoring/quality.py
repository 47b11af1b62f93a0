"""The rows of a batch against the team's expectations, as `validate` checks tables: without the target, which is not known yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from modelship.core.records import TableValidation, ValidateRecord
from modelship.core.words import counted, shown_path
from modelship.data import validation
from modelship.data.expectations import ExpectationSpec, read_expectations
from modelship.data.tables.opening import open_table
from modelship.data.tables.reader import TableReader, Without
from modelship.gate.rows.prediction_tables import plain
from modelship.monitoring.questions import Quality

_ABOUT_SIZE = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})
"""Of a table that somebody prepared, not of what happened to be asked in a week."""


def check(question: Quality) -> ValidateRecord:
    """The record. Raises BadInput for expectations that cannot be understood and a reference that cannot be read."""
    loaded = question.load()
    data = loaded.config.data
    known = loaded.config.monitor.columns
    found = open_table(question.rows, Path())
    answers = [name for name in found.columns() if name in (known.prediction, known.score) or name.startswith(f"{known.score}_")]
    logged = dataclasses.replace(found, name=question.log, is_file=False, storage=Without(found.storage, answers))
    reference = hidden_reference(loaded.require("data.reference"), loaded.directory, hidden_columns(question, logged))
    specs = _fitting(question, logged) if data.expectations else []
    expectations = validation.Expectations(specs)
    current = validation.Table("current", question.log, logged, key=data.key)
    result = expectations.check(current)
    learnt = validation.TableResult(TableValidation(role="reference", path=reference.name, rows=1, columns=1, expectations=()))
    checks = msgspec.structs.replace(data.checks, overlap_with_reference="ignore", unexpected_column="ignore")
    asked = msgspec.structs.replace(data, target=None, class_floor=None, checks=checks)
    tables = [validation.Table("reference", reference.name, reference, key=data.key), current]
    results = validation.with_checks(tables, [learnt, result], asked)[1:]
    status = "fail" if results[0].raised else validation.status(results)
    unchecked = [str(one.problem) for one in results[0].raised]
    summary = validation.summary(results, len(specs)) if specs or results[0].failing else "nothing odd in the data"
    return ValidateRecord(
        model=loaded.config.model,
        status=status,
        summary=f"{counted(len(unchecked), 'expectation')} could not be checked; {summary}" if unchecked else summary,
        notices=(*validation.notices(results, len(specs)), *unchecked[:20]),
        tables=tuple(one.validation for one in results),
    )


def hidden_columns(question: Quality, logged: TableReader) -> set[str]:
    """Columns of the reference that nobody expects in a log: the target, and what the team ignores and the log lacks."""
    config = question.load().config
    ignored = {name for name, asked in config.drift.columns.items() if asked == "ignore"} - set(logged.columns())
    return ignored | ({config.data.target} if config.data.target else set())


def hidden_reference(source: object, directory: Path, hidden: set[str]) -> TableReader:
    """The table that the model learns from, without some columns."""
    table = open_table(source, directory)  # type: ignore[arg-type]
    return dataclasses.replace(table, storage=Without(table.storage, hidden))


def _fitting(question: Quality, logged: TableReader) -> list[ExpectationSpec]:
    """The expectations that speak of what a log can hold."""
    loaded = question.load()
    path = loaded.directory / str(loaded.config.data.expectations)
    specs = read_expectations(path, shown_path(path), loaded.config.data.checkpoint)
    hidden = hidden_columns(question, logged)
    return [
        spec
        for spec in specs
        if hidden.isdisjoint(spec.columns)
        and not any(plain(name) in str(spec.row_condition or "") for name in hidden)
        and spec.type not in _ABOUT_SIZE
        and not spec.type.startswith("expect_table_column")
    ]
