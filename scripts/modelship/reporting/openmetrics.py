"""What was found of production as metrics: text that is OpenMetrics 1.0 and Prometheus' own format at once.

Both readers take the text because every family is a gauge: types that only one of them knows (state sets, info) are written as the
gauges that Prometheus makes of them anyway. How many series a model has is bounded: at most MOST_COLUMNS columns and MOST_SLICES
slices are told of, those that a reader would want first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from prometheus_client import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from modelship.core.errors import bad_input
from modelship.core.records import (
    AnyRecord,
    DeploymentRecord,
    DriftReportRecord,
    MetricVerdict,
    MonitorRecord,
    Promise,
    RetrainRecord,
    Status,
    ValidateRecord,
)
from modelship.core.words import clean, slice_name

MOST_COLUMNS = 100
MOST_SLICES = 50
_LONGEST_LABEL = 100
_STATES = ("pass", "fail", "inconclusive")
"""Those that a look at a batch can come to."""

FAMILIES = {
    # Every record.
    "modelship_status": "Whether the last look has this status; one of its values is 1.",
    "modelship_last_run_timestamp_seconds": "When the last look began, in seconds since 1970.",
    "modelship_last_run_duration_seconds": "How long the last look took.",
    # What `monitor` found in a batch.
    "modelship_version_released_timestamp_seconds": "When the version that was looked at was released.",
    "modelship_batch_start_timestamp_seconds": "When the batch begins.",
    "modelship_batch_end_timestamp_seconds": "When the batch ends, itself not part of it.",
    "modelship_batch_rows": "Predictions of the version in the batch.",
    "modelship_batch_labelled_rows": "Predictions of the batch whose truth is known.",
    "modelship_batch_other_rows": "Predictions in the batch by other versions.",
    "modelship_batch_complete": "Whether all truth that is to be expected has come.",
    "modelship_labels_expected_timestamp_seconds": "When the truth of the last row of the batch should be known.",
    "modelship_label_delay_median_seconds": "From the prediction until its truth was known, of half of the rows at most.",
    "modelship_label_delay_slow_seconds": "From the prediction until its truth was known, of nine rows in ten.",
    "modelship_performance_value": "A metric on the batch, in its own unit.",
    "modelship_performance_value_lower": "What the metric may truly be beside the promise, the lower end of its interval.",
    "modelship_performance_value_upper": "What the metric may truly be beside the promise, the upper end of its interval.",
    "modelship_performance_promised_value": "The metric at release.",
    "modelship_performance_allowed_loss": "How much worse than promised the metric may become.",
    "modelship_performance_limit": "The promised value less what may be lost: beyond it the version is to be replaced.",
    "modelship_performance_state": "Whether the verdict on the metric is this one; one of its values is 1.",
    "modelship_drift": "Whether the batch looks unlike what the version learned from, as configured.",
    "modelship_compared_columns": "Columns that were compared.",
    "modelship_drifted_columns": "Columns that drifted.",
    "modelship_drifted_features_ratio": "Of the compared features, those that drifted.",
    "modelship_drifted_features_max_ratio": "The share of features above which the whole counts as drift.",
    "modelship_column_drifted": "Whether the column drifted.",
    "modelship_column_drift_distance": "How far the column is from the reference.",
    "modelship_column_drift_threshold": "The distance from which on a column can have drifted.",
    "modelship_column_missing_ratio": "Of the rows of the batch, those without a value.",
    "modelship_expectations": "Expectations that were checked.",
    "modelship_broken_expectations": "Expectations that do not hold.",
    "modelship_left_out": "How many are not told of one by one, so that the number of series stays bounded.",
    # What `retrain` decided.
    "modelship_retrain_wanted": "Whether the version is to be trained again now.",
    "modelship_retrain_in_trouble": "Whether performance or drift is a reason to train again.",
    "modelship_retrain_held_back": "Whether nothing is asked for although a trigger fires.",
    "modelship_retrain_not_before_timestamp_seconds": "When that ends.",
    "modelship_retrain_trigger": "Whether the trigger fires.",
    "modelship_retrain_batches": "Batches of the version that the decision rests on.",
    # What `deploy` and `rollback` did.
    "modelship_live_version_info": "1 for the version that serves now.",
    "modelship_smoke_checks": "What was checked right after the deployment.",
    "modelship_failed_smoke_checks": "Checks that did not hold.",
}
"""What every family tells, by its name, in the order in which they are written."""


@dataclass(frozen=True)
class Group:
    """What one record tells; what is told of the same model, record and environment later stands in its place."""

    model: str
    record: str
    """`monitor`, `retrain` or `deployment`."""
    found: AnyRecord
    environment: str = ""
    """The environment that the caller has named; without it, series have the one that the record names."""

    @property
    def key(self) -> dict[str, str]:
        """The labels that tell it from other groups."""
        named = {"environment": self.environment} if self.environment else {}
        return {"model": self.model, "record": self.record, **named}


class Exposition(Collector):
    """The metrics of groups, as the client library reads them."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    def collect(self) -> Iterable[Metric]:
        """The families that have a value, in the order of FAMILIES. Of two values of one series, the first counts."""
        values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {name: {} for name in FAMILIES}
        for group in self._groups:
            common = {"environment": getattr(group.found, "environment", ""), **group.key}
            for sample in _samples(group.found):
                labels = {name: _label(value) for name, value in (common | sample.labels).items() if value}
                values[sample.family].setdefault(tuple(labels.items()), float(sample.value))
        for name, series in values.items():
            if series:
                metric = Metric(name, FAMILIES[name], "gauge")
                for pairs, value in series.items():
                    metric.add_sample(name, dict(pairs), value)
                yield metric

    def text(self) -> str:
        """All of it as text that ends with `# EOF`."""
        raw: bytes = generate_latest(self)  # type: ignore[no-untyped-call]
        return raw.decode()


def groups_of(records: Mapping[str, AnyRecord], environment: str = "", model: str = "") -> tuple[Group, ...]:
    """What the records of a run directory, by command, tell about production.

    Of `deploy` and `rollback` the later one counts. Raises BadInput where there is nothing to tell, or a record names no model.
    """
    deployments = sorted(
        (record for name in ("deploy", "rollback") if (record := records.get(name))), key=lambda record: record.started_at
    )
    found = {
        "monitor": records.get("monitor"),
        "retrain": records.get("retrain"),
        "deployment": deployments[-1] if deployments else None,
    }
    groups = tuple(Group(model or record.model, name, record, environment) for name, record in found.items() if record)
    if not groups:
        raise bad_input(
            "there is no record of `monitor`, `retrain`, `deploy` or `rollback` here.", "Run one of them first, in the same folder."
        )
    for group in groups:
        if not group.model:
            raise bad_input(f"the record of `{group.record}` names no model.", "Give `--model`.")
    return groups


@dataclass(frozen=True)
class _Sample:
    family: str
    value: float
    labels: dict[str, str] = field(default_factory=dict)


def _samples(record: AnyRecord) -> Iterator[_Sample]:
    for status in get_args(Status):
        yield _Sample("modelship_status", status == record.status, {"status": status})
    if record.started_at:
        yield _Sample("modelship_last_run_timestamp_seconds", datetime.fromisoformat(record.started_at).timestamp())
        yield _Sample("modelship_last_run_duration_seconds", record.seconds)
    if record.status == "error":
        return  # Nothing was found.
    if isinstance(record, DeploymentRecord):
        yield from _deployed(record)
    elif isinstance(record, MonitorRecord | RetrainRecord):
        about = {"version": str(record.version or "")}
        for sample in _monitored(record) if isinstance(record, MonitorRecord) else _decided(record):
            yield _Sample(sample.family, sample.value, about | sample.labels)


def _monitored(record: MonitorRecord) -> Iterator[_Sample]:
    yield from _moment("modelship_version_released_timestamp_seconds", record.trained_at)
    if batch := record.batch:
        yield from _moment("modelship_batch_start_timestamp_seconds", batch.start)
        yield from _moment("modelship_batch_end_timestamp_seconds", batch.end)
        yield _Sample("modelship_batch_rows", batch.rows)
        yield _Sample("modelship_batch_labelled_rows", batch.labelled)
        yield _Sample("modelship_batch_other_rows", sum(record.other_versions.values()))
        yield _Sample("modelship_batch_complete", batch.is_complete)
    if labels := record.labels:
        yield from _moment("modelship_labels_expected_timestamp_seconds", labels.expected_by)
        if labels.median_delay is not None:
            yield _Sample("modelship_label_delay_median_seconds", labels.median_delay)
        if labels.slow_delay is not None:
            yield _Sample("modelship_label_delay_slow_seconds", labels.slow_delay)
    for promise in record.promises:
        yield from _promised(promise)
    if record.performance:
        for verdict in record.performance.metrics:
            yield from _judged(verdict, {"metric": verdict.metric})
        if slices := record.performance.slices:
            # Worst first: what fails is told.
            told = list(dict.fromkeys(slice_name(one.slice, 4000) for one in slices.verdicts))
            for one in slices.verdicts:
                name = slice_name(one.slice, 4000)
                if name in told[:MOST_SLICES]:
                    yield from _judged(one.verdict, {"metric": one.verdict.metric, "slice": name})
            yield _Sample("modelship_left_out", max(len(told) - MOST_SLICES, 0), {"kind": "slice"})
    if record.drift:
        yield from _drifted(record.drift)
    if record.quality:
        yield from _checked(record.quality)


def _promised(promise: Promise) -> Iterator[_Sample]:
    labels = {"metric": promise.metric}
    worst = promise.value - promise.max_loss if promise.better == "higher" else promise.value + promise.max_loss
    yield _Sample("modelship_performance_promised_value", promise.value, labels)
    yield _Sample("modelship_performance_allowed_loss", promise.max_loss, labels)
    yield _Sample("modelship_performance_limit", worst, labels)


def _judged(verdict: MetricVerdict, labels: dict[str, str]) -> Iterator[_Sample]:
    if verdict.candidate is not None:
        yield _Sample("modelship_performance_value", verdict.candidate, labels)
    if verdict.interval and verdict.baseline is not None:
        # The interval is one of the change, signed so that positive is better.
        sign = 1 if verdict.better == "higher" else -1
        low, high = sorted(verdict.baseline + sign * end for end in verdict.interval)
        yield _Sample("modelship_performance_value_lower", low, labels)
        yield _Sample("modelship_performance_value_upper", high, labels)
    if "slice" in labels and verdict.baseline is not None:
        yield _Sample("modelship_performance_promised_value", verdict.baseline, labels)
    for state in dict.fromkeys((*_STATES, verdict.state)):
        yield _Sample("modelship_performance_state", state == verdict.state, {**labels, "state": state})


def _drifted(record: DriftReportRecord) -> Iterator[_Sample]:
    if record.drift is None:
        return
    yield _Sample("modelship_drift", record.drift)
    yield _Sample("modelship_compared_columns", len(record.columns))
    yield _Sample("modelship_drifted_columns", sum(column.drifted for column in record.columns))
    if record.share is not None:
        yield _Sample("modelship_drifted_features_ratio", record.share)
    if record.max_share is not None:
        yield _Sample("modelship_drifted_features_max_ratio", record.max_share)
    for column in record.columns[:MOST_COLUMNS]:
        labels = {"column": column.column, "purpose": column.purpose}
        yield _Sample("modelship_column_drifted", column.drifted, labels)
        if column.distance is not None:
            yield _Sample("modelship_column_drift_distance", column.distance, labels)
            yield _Sample("modelship_column_drift_threshold", column.threshold, labels)
        yield _Sample("modelship_column_missing_ratio", column.missing[1], labels)
    yield _Sample("modelship_left_out", max(len(record.columns) - MOST_COLUMNS, 0), {"kind": "column"})


def _checked(record: ValidateRecord) -> Iterator[_Sample]:
    checked = [one for table in record.tables for one in table.expectations]
    broken = Counter({"critical": 0, "warning": 0, "info": 0})
    broken.update(one.severity for one in checked if not one.holds)
    yield _Sample("modelship_expectations", len(checked))
    for severity, count in broken.items():
        yield _Sample("modelship_broken_expectations", count, {"severity": severity})


def _decided(record: RetrainRecord) -> Iterator[_Sample]:
    yield _Sample("modelship_retrain_wanted", record.retrain)
    yield _Sample("modelship_retrain_in_trouble", record.in_trouble)
    yield _Sample("modelship_retrain_held_back", bool(record.held_back))
    yield from _moment("modelship_retrain_not_before_timestamp_seconds", record.not_before)
    for trigger in record.triggers:
        yield _Sample("modelship_retrain_trigger", trigger.fires, {"trigger": trigger.trigger})
    yield _Sample("modelship_retrain_batches", record.batches)


def _deployed(record: DeploymentRecord) -> Iterator[_Sample]:
    if record.live is not None:
        yield _Sample("modelship_live_version_info", 1, {"version": str(record.live)})
    yield _Sample("modelship_smoke_checks", len(record.checks))
    yield _Sample("modelship_failed_smoke_checks", sum(not check.holds for check in record.checks))


def _moment(family: str, moment: datetime | None) -> Iterator[_Sample]:
    if moment is not None:
        yield _Sample(family, moment.timestamp())


def _label(text: str) -> str:
    """One line that can be seen whole, of at most 100 characters; of a text that is not, as much, and the beginning of its SHA-256."""
    shown = clean(text, _LONGEST_LABEL)
    if shown == text:
        return text
    return f"{shown} #{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"
