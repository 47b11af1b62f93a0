"""One batch of production, from the prediction log to the record."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from modelship.core import workflow
from modelship.core.config import LoadedConfig
from modelship.core.errors import BadInput, ExitCode, bad_input, did_you_mean
from modelship.core.records import (
    Baseline,
    Batch,
    DriftReportRecord,
    LabelArrival,
    MonitorRecord,
    Promise,
    Status,
    TrainRecord,
    ValidateRecord,
)
from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.core.scratch import scratch_folder
from modelship.core.words import counted
from modelship.data.tables.opening import open_table
from modelship.data.tables.reader import TableReader
from modelship.gate.folder import read_folder
from modelship.gate.rows.prediction_tables import PredictionsFile
from modelship.monitoring import questions
from modelship.monitoring.answers import TOLERANCE, Answers, Wanted, read_answers
from modelship.monitoring.keys import common_form
from modelship.monitoring.performance import Losses, Performance, losses, performance, promised, slice_columns
from modelship.monitoring.thinning import thinned
from modelship.monitoring.truth import Labelled, read_truth
from modelship.monitoring.windows import choose_window, parse_time, written
from modelship.registry.lookup import Lookup

PAGE = "monitor-drift.html"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to know."""

    since: str | None = None
    until: str | None = None
    now: str | None = None
    """For a look at the past: what was known then."""
    version: str | None = None
    environment: str | None = None
    baseline: str | None = None
    """A folder with the release's predictions, in place of an MLflow server."""
    tracking_uri: str | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The version that is watched."""

    number: int
    environment: str
    holdout: PredictionsFile
    commit: str = ""
    released: datetime | None = None
    data: Mapping[str, str] = {}
    registered: tuple[int, ...] = ()
    """All versions that there are; empty where nobody knows."""

    @property
    def baseline(self) -> Baseline:
        """What its batches are compared with."""
        date = f"{self.released:%Y-%m-%d}" if self.released else ""
        return Baseline(
            kind="file",
            label=f"v{self.number} at release",
            source=f"the holdout predictions of v{self.number}",
            commit=self.commit,
            date=date,
            version=self.number,
        )


def monitor(
    loaded: LoadedConfig, run_directory: RunDirectory, asked: Asked, config: Path, overrides: Mapping[str, Any]
) -> tuple[MonitorRecord, ExitCode]:
    """Look at one batch. Raises BadInput for what cannot be read or understood, InfrastructureError where a server does not answer."""
    settings = loaded.config.monitor
    key = loaded.require("data.key", "Name the column that truth is joined by.")
    source = loaded.require("monitor.predictions")
    now = parse_time("--now", asked.now) if asked.now else datetime.now(UTC)
    window = choose_window(settings.batch, asked.since, asked.until, now)
    allowed = losses(loaded)
    version = find_version(loaded, asked)
    log = open_table(source, loaded.directory)
    truth = open_table(settings.truth, loaded.directory) if settings.truth is not None else None
    with workflow.group(f"{log.name}: v{version.number}, {window}"):
        wanted = Wanted(
            key=key,
            form="text",
            columns=settings.columns,
            model=loaded.config.registered_name,
            version=version.number,
            window=window,
            now=now,
        )
        log, whole = thinned(log, wanted)
        header = log.columns()
        if key not in header:
            raise bad_input(f"has no column `{key}` (`data.key`).", did_you_mean(key, header), path=log.name)
        form = common_form(key, _key_types(key, log, truth))
        wanted = dataclasses.replace(wanted, form=form, further=slice_columns(loaded, version.holdout, header))
        answers = read_answers(log, wanted, whole)
        workflow.say(f"{counted(answers.rows, 'prediction')}; performance on {len(answers.narrow):,}, data on {len(answers.wide):,}")
    labelled = _labels(loaded, truth, answers, wanted)
    found = _performance(loaded, allowed, version, labelled, log.name)
    quality, drift = _data(loaded, run_directory, answers, version, log.name, config, overrides)
    record = _conclude(loaded, version, wanted, answers, labelled, found, quality, drift)
    return record, {"fail": ExitCode.VERDICT_NO, "error": ExitCode.BAD_INPUT}.get(record.status, ExitCode.PASS)


def find_version(loaded: LoadedConfig, asked: Asked) -> Version:
    """The version and its holdout predictions: from a folder, or from the MLflow server. Raises BadInput where it has none."""
    if asked.baseline:
        return _from_folder(Path(asked.baseline), asked.version)
    uri = asked.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if not uri:
        raise bad_input(
            "nothing says what the live version promised.",
            "Set MLFLOW_TRACKING_URI, or give `--baseline` a folder with the release's predictions.",
        )
    environment = asked.environment or loaded.config.deploy.champion_environment or ""
    if asked.environment and asked.environment not in loaded.config.deploy.environments:
        raise BadInput(loaded.problem(f"`deploy.environments` has no `{asked.environment}`.", at="deploy.environments"))
    name = loaded.config.registered_name
    live: questions.Released = questions.ask(
        questions.Live(tracking_uri=uri, name=name, wanted=asked.version or "", environment=environment)
    )
    who = f"v{live.version} of `{name}`"
    lookup = Lookup(uri)
    path = lookup.fetch_predictions(live.run_id, scratch_folder())
    if path is None:
        raise bad_input(
            f"{who} was registered without predictions.", "Set `train.predictions`, or evaluate: what was promised follows from them."
        )
    run = lookup.get(live.run_id)
    if run and run.predictions_hash and run.predictions_hash != f"sha256:{digest_folder(path)}":
        raise bad_input(f"the predictions of {who} are not what was registered: the digests differ.", "Find out who changed them.")
    return Version(
        number=live.version,
        environment="" if asked.version else environment,
        holdout=PredictionsFile(path, f"{path.name} of v{live.version}"),
        commit=live.commit,
        released=datetime.fromtimestamp(live.created_at / 1000, UTC) if live.created_at else None,
        data=live.data,
        registered=live.registered,
    )


def _from_folder(folder: Path, version: str | None) -> Version:
    """The version as a folder tells: predictions, and the record of training where it is there."""
    number = (version or "").lstrip("vV")
    if not number.isdecimal():
        raise bad_input("`--baseline` needs `--version`: the number that the log calls the version by.", "Give it as `--version 7`.")
    if not folder.is_dir():
        raise bad_input("is no folder.", "Name the folder that holds the release's predictions.", path=folder.as_posix())
    run_directory = RunDirectory(folder)
    trained = run_directory.read("train")
    inside = folder / "files" if (folder / "files").is_dir() else folder
    found = read_folder(inside, inside.as_posix())
    if found.predictions is None:
        raise bad_input("holds no predictions.", "Put the release's `predictions.parquet` there.", path=folder.as_posix())
    known = trained if isinstance(trained, TrainRecord) else None
    return Version(
        number=int(number),
        environment="",
        holdout=PredictionsFile(found.predictions, found.predictions_name),
        commit=known.commit or "" if known else "",
        released=datetime.fromisoformat(known.started_at) if known and known.started_at else None,
        data={file.path: file.hash for file in known.data} if known else {},
    )


def _key_types(key: str, log: TableReader, truth: TableReader | None) -> dict[str, Any]:
    tables = {table.name: table.schema() for table in (log, truth) if table is not None}
    return {name: schema.field(key).type for name, schema in tables.items() if schema.get_field_index(key) >= 0}


def _labels(loaded: LoadedConfig, truth: TableReader | None, answers: Answers, wanted: Wanted) -> Labelled | None:
    if truth is None:
        return None
    target = loaded.require("data.target", "Name the column of the truth.")
    with workflow.group(f"truth: {truth.name}"):
        labelled = read_truth(truth, answers, wanted, target, loaded.config.monitor.label_delay)
        workflow.say(f"{labelled.arrival.labelled:,} of {counted(labelled.arrival.rows, 'row')} have their truth")
    return labelled


def _performance(
    loaded: LoadedConfig, allowed: Losses, version: Version, labelled: Labelled | None, log: str
) -> Performance | tuple[Promise, ...]:
    """What the labels show; only what was promised where there are not two of them."""
    if labelled is None or labelled.arrival.labelled < 2:
        return promised(loaded, allowed, version.holdout)
    with workflow.group("performance"):
        found = performance(loaded, allowed, version.holdout, labelled, f"the labelled rows of {log}", version.baseline)
        workflow.say(found.record.summary)
    return found


def _data(
    loaded: LoadedConfig,
    run_directory: RunDirectory,
    answers: Answers,
    version: Version,
    log: str,
    config: Path,
    overrides: Mapping[str, Any],
) -> tuple[ValidateRecord | None, DriftReportRecord | None]:
    """Quality and drift; None without a reference. What cannot be checked or compared is a record without a verdict."""
    run_directory.drop(PAGE)
    if loaded.config.data.reference is None:
        return None, None
    folder = scratch_folder()
    rows, page = folder / "batch.parquet", folder / PAGE
    pq.write_table(answers.wide, rows)
    of_tables: dict[str, Any] = {
        "config": str(config),
        "name": config.as_posix(),
        "overrides": {name: value for name, value in overrides.items() if value is not None},
        "rows": str(rows),
        "log": log,
        "of": answers.rows,
    }
    with workflow.group("data quality"):
        try:
            quality: ValidateRecord = questions.ask(questions.Quality(**of_tables))
        except BadInput as error:
            quality = ValidateRecord(status="error", summary=str(error.problems[0])[:2000], problems=error.problems[:20])
        workflow.say(quality.summary)
    with workflow.group("drift"):
        try:
            drift: DriftReportRecord = questions.ask(questions.Shift(**of_tables, holdout=str(version.holdout.path), page=str(page)))
            run_directory.keep(page.read_bytes(), PAGE)
            drift = msgspec.structs.replace(drift, page=f"files/{PAGE}")
        except BadInput as error:
            drift = DriftReportRecord(status="error", summary=str(error.problems[0])[:2000], problems=error.problems[:20])
        workflow.say(drift.summary)
    return quality, drift


def _conclude(
    loaded: LoadedConfig,
    version: Version,
    wanted: Wanted,
    answers: Answers,
    labelled: Labelled | None,
    found: Performance | tuple[Promise, ...],
    quality: ValidateRecord | None,
    drift: DriftReportRecord | None,
) -> MonitorRecord:
    arrival = labelled.arrival if labelled else None
    is_complete = labelled is not None and labelled.is_complete
    shown = found.record if isinstance(found, Performance) else None
    if shown and shown.status == "fail" and not is_complete:
        # Early labels may be of other rows than late ones.
        shown = msgspec.structs.replace(shown, status="warn", summary=f"{shown.summary}, so far")
    share = arrival.labelled / arrival.rows if arrival and arrival.rows else 0.0
    batch = Batch(
        start=wanted.window.start,
        end=wanted.window.end,
        version=version.number,
        rows=answers.rows,
        labelled=round(share * answers.rows),
        is_complete=is_complete,
        measured=found.measured if isinstance(found, Performance) else (),
        drift=drift.drift if drift else None,
        drifted=tuple(column.column for column in drift.columns if column.drifted)[:200] if drift else (),
    )
    parts = [one for one in (shown, drift, quality) if one]
    notices = (
        *_log_notices(answers, version),
        *_label_notices(arrival, is_complete, wanted.now),
        *reference_notices(loaded, version),
    )
    problems = tuple(problem for part in parts for problem in part.problems)
    statuses = {part.status for part in parts}
    status: Status = "fail" if "fail" in statuses else "error" if problems else "warn" if "warn" in statuses or notices else "pass"
    return MonitorRecord(
        model=loaded.config.model,
        status=status,
        summary=_summary(wanted, arrival, is_complete, shown, drift, quality),
        problems=problems if status == "error" else (),
        notices=(*notices, *_plain_notices(arrival, is_complete, wanted.now)),
        name=loaded.config.registered_name,
        environment=version.environment,
        version=version.number,
        trained_at=version.released,
        training_rows=drift.tables[0].rows if drift and drift.tables else None,
        promises=found.promises if isinstance(found, Performance) else found,
        batch=batch,
        labels=arrival,
        quality=quality,
        drift=drift,
        performance=shown,
        other_versions=answers.others,
        sampling=_sampling(answers),
    )


def _is_due(arrival: LabelArrival, now: datetime) -> bool:
    return arrival.expected_by is None or now >= arrival.expected_by


def _log_notices(answers: Answers, version: Version) -> list[str]:
    """What is odd about the log."""
    told = []
    unknown = {name: rows for name, rows in answers.others.items() if version.registered and not _is_registered(name, version)}
    if unknown:
        names = ", ".join(f"{name} ({counted(rows, 'row')})" for name, rows in list(unknown.items())[:5])
        told.append(f"The log names versions that the registry does not know: {names}. They were left out.")
    if answers.ahead:
        minutes = TOLERANCE // timedelta(minutes=1)
        told.append(
            f"{counted(answers.ahead, 'row')} of the log lie more than {minutes} minutes ahead: is a clock wrong? They were left out."
        )
    if answers.undated:
        told.append(f"{counted(answers.undated, 'row')} of the log have no time. They were left out.")
    if answers.nameless:
        told.append(f"{counted(answers.nameless, 'row')} have no key: their truth can never be joined.")
    return told


def _is_registered(name: str, version: Version) -> bool:
    return name.isdecimal() and int(name) in version.registered


def _label_notices(arrival: LabelArrival | None, is_complete: bool, now: datetime) -> list[str]:
    """What is odd about the labels."""
    if arrival is None:
        return []
    told = []
    if not arrival.labelled and _is_due(arrival, now):
        due = f" They were expected by {written(arrival.expected_by)}." if arrival.expected_by else ""
        told.append(f"No prediction of the batch has its truth yet.{due}")
    elif is_complete and arrival.expected_by and arrival.labelled < arrival.rows:
        told.append(f"{counted(arrival.rows - arrival.labelled, 'row')} of {arrival.rows:,} still lack their truth.")
    if arrival.conflicting:
        told.append(
            f"The truth of {counted(arrival.conflicting, 'row')} is there in several versions, and nothing says which came last."
        )
    if arrival.late:
        told.append(f"The truth of {counted(arrival.late, 'row')} came later than `monitor.label-delay` says.")
    return told


def _plain_notices(arrival: LabelArrival | None, is_complete: bool, now: datetime) -> list[str]:
    """What a reader should know, without anything being odd about it."""
    if arrival is None:
        return ["Performance is not watched: `monitor.truth` names no table."]
    if not arrival.labelled and not _is_due(arrival, now) and arrival.expected_by:
        return [f"No prediction of the batch has its truth yet; it is expected by {written(arrival.expected_by)}."]
    if arrival.labelled and not is_complete and arrival.expected_by:
        return [f"Labels are expected until {written(arrival.expected_by)}: what came first may be of other rows than the rest."]
    return []


def reference_notices(loaded: LoadedConfig, version: Version) -> list[str]:
    """Whether the reference here is the one that the version learned from, as far as a hash tells."""
    path = loaded.config.data.reference_path
    recorded = next((value for name, value in version.data.items() if path and name == path), "")
    kind, _, digest = recorded.partition(":")
    file = loaded.directory / path if path else None
    if not file or kind != "md5" or not file.is_file():
        return []
    with file.open("rb") as content:
        found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found == digest:
        return []
    where = f" Check {version.commit[:7]} out, and pull its data." if version.commit else ""
    return [f"`{path}` here is not what v{version.number} learned from: drift is told from another table.{where}"]


def _summary(
    wanted: Wanted,
    arrival: LabelArrival | None,
    is_complete: bool,
    shown: Any,
    drift: DriftReportRecord | None,
    quality: ValidateRecord | None,
) -> str:
    """One sentence, what matters most first."""
    said = []
    for part in sorted(
        (part for part in (shown, quality, drift) if part), key=lambda part: ("fail", "error", "warn", "pass").index(part.status)
    ):
        if part.status != "pass" or part is shown:
            said.append(part.summary.rstrip("."))
    if shown is None and arrival is not None:
        said.append("no labels yet")
    return f"v{wanted.version}, {wanted.window}: {'; '.join(said) or 'data as in training'}"


def _sampling(answers: Answers) -> str:
    if not answers.is_sampled and len(answers.wide) >= len(answers.narrow):
        return "every row was looked at"
    return (
        f"performance on {len(answers.narrow):,} of {answers.rows:,} rows, quality and drift on {len(answers.wide):,}: those whose "
        "keys hash to the smallest numbers, so that rows of one key come together; rows are counted in the whole log"
    )
