"""The rows of a batch beside those that the version learned from, and its answers beside those on the holdout."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from modelship.core.config import Drift, LoadedConfig, share_of
from modelship.core.records import DriftReportRecord, TableRead
from modelship.core.scratch import scratch_folder
from modelship.data.drift import report
from modelship.data.drift.methods import check_methods
from modelship.data.tables.opening import open_table
from modelship.data.tables.reader import TableReader, Without
from modelship.monitoring.questions import Shift


def compare(question: Shift) -> DriftReportRecord:
    """The record; Evidently's page is written beside. Raises BadInput for tables that cannot be compared."""
    loaded = question.load()
    check_methods(loaded)
    config, known = loaded.config, loaded.config.monitor.columns
    found = open_table(question.rows, Path())
    answers = [name for name in found.columns() if name in (known.prediction, known.score) or name.startswith(f"{known.score}_")]
    current = dataclasses.replace(found, name=question.log, is_file=False, storage=Without(found.storage, answers))
    table = open_table(loaded.require("data.reference"), loaded.directory)
    hidden = {config.data.target, config.drift.prediction} - {None}
    reference = dataclasses.replace(table, storage=Without(table.storage, [str(name) for name in hidden]))
    features = report.compare(reference, current, _looking_for(loaded, None))
    of_answers = _answers(question, loaded)
    whole = features
    if of_answers is not None:
        drifts = features.verdict.drift or of_answers.verdict.drift
        verdict = dataclasses.replace(features.verdict, drift=drifts)
        whole = dataclasses.replace(features, columns=(*of_answers.columns, *features.columns), verdict=verdict)
    Path(question.page).write_bytes(report.page(features, config.model))
    columns, notices = report.fitting(sorted(whole.columns, key=lambda column: not column.drifted))
    sampled = features.tables[1]
    return DriftReportRecord(
        model=config.model,
        status="pass" if not whole.verdict.drift else "fail" if config.drift.severity == "critical" else "warn",
        summary=report.summary(whole),
        notices=notices,
        tables=(features.tables[0], TableRead(role="current", source=question.log, rows=question.of, sampled=sampled.sampled)),
        drift=whole.verdict.drift,
        columns=columns,
        skipped=features.skipped[: report.MOST_COLUMNS],
        share=features.verdict.share,
        max_share=share_of(config.drift.max_share),
        confidence=config.drift.confidence,
        sampling=features.sampling,
    )


def _answers(question: Shift, loaded: LoadedConfig) -> report.Comparison | None:
    """The scores, else the predictions, of the batch beside those on the holdout; None where the two files do not share either."""
    known, ours = loaded.config.monitor.columns, loaded.config.train.columns
    here = open_table(question.rows, Path())
    there = open_table(question.holdout, Path())
    for logged, held in ((known.score, ours.score), (known.prediction, ours.prediction)):
        if logged in here.columns() and held in there.columns():
            now, before = (_alone(table, {name: logged}) for table, name in ((here, logged), (there, held)))
            if now is not None and before is not None:
                now = dataclasses.replace(now, name=question.log, is_file=False)
                before = dataclasses.replace(before, name="the release's predictions", is_file=False)
                return report.compare(before, now, _looking_for(loaded, logged))
    return None


def _alone(table: TableReader, names: Mapping[str, str]) -> TableReader | None:
    """One column as a table by itself, under another name; None where it has no value."""
    column = table.read(list(names)).rename(columns=dict(names))
    if not int(column.notna().to_numpy().sum()):
        return None
    path = scratch_folder() / "answers.parquet"
    pq.write_table(pa.Table.from_pandas(column, preserve_index=False), path)
    return open_table(path.as_posix(), Path())


def _looking_for(loaded: LoadedConfig, prediction: str | None) -> LoadedConfig:
    """The configuration for tables without a target; of the column `prediction`, for one that has nothing else."""
    config = loaded.config
    drift = msgspec.structs.replace(config.drift, prediction=prediction)
    if prediction is not None:
        drift = Drift(
            target=drift.target,
            prediction=prediction,
            numerical=drift.numerical,
            categorical=drift.categorical,
            max_categories=drift.max_categories,
            confidence=drift.confidence,
            sample=drift.sample,
            seed=drift.seed,
        )
    data = msgspec.structs.replace(config.data, target=None, key=config.data.key if prediction is None else None)
    return LoadedConfig(msgspec.structs.replace(config, data=data, drift=drift), loaded.document, loaded.directory)
