"""The report: a pure function of what the commands left behind. Every renderer shows this and adds nothing of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from modelship import __version__
from modelship.core.records import (
    PRODUCTION,
    RECORDS,
    AnyRecord,
    BacktestRecord,
    DriftReportRecord,
    DvcPullRecord,
    EvaluateRecord,
    MetricGateRecord,
    MonitorRecord,
    Record,
    TrainRecord,
    ValidateRecord,
)
from modelship.reporting import backtest, drift, gate_sections, monitoring, sections
from modelship.reporting.blocks import ICONS, Light, MetricTable, Notice, Section, Table
from modelship.reporting.checks import Check, Found, first_blocking, record_of, run_checks
from modelship.reporting.embedded import EmbeddedPage
from modelship.reporting.headlines import cause, doubts, headline
from modelship.reporting.inline import Code, Line, line, prose

MAX_OPEN_METRICS = 6
"""How many metrics stand outside of the folded parts."""

Topic = Literal["verdict", "release", "production", "retrain", "history"]
"""What is told: whether a model may replace another, what became of a merge (there is one comment on each), what production looks
like, whether the version there is trained again (of which an issue tells), or what became of a model over time."""

Conclusion = Literal["success", "failure"]


@dataclass(frozen=True)
class Facts:
    """Where the run took place, and where more is to be found; all of it may be unknown."""

    head: str | None = None
    head_url: str | None = None
    run: str = ""
    run_url: str | None = None
    report_url: str | None = None
    in_pull_request: bool = False
    head_is: str = "head"
    """What a reader would call the commit."""
    sites: frozenset[str] = frozenset()
    """Where links from records may lead: GitHub and the team's MLflow server, as `site_of` names them."""
    version: str = __version__


@dataclass(frozen=True)
class Report:
    """Everything that a reader is told."""

    model: str
    light: Light
    headline: str
    cause: Line
    checks: tuple[Check, ...]
    notices: tuple[Notice, ...]
    """What comes before everything else."""
    metrics: MetricTable | None
    basis: Line
    """What the metrics were compared with, and by which rules."""
    sections: tuple[Section, ...]
    """From the most to the least important."""
    facts: Facts
    pages: tuple[EmbeddedPage, ...] = ()
    """Of other programs; only the report page can show them."""
    table: Table | None = None
    """What stands open under the cause, where that is no metrics."""
    topic: Topic = "verdict"

    @property
    def title(self) -> str:
        """The verdict as one line of text."""
        return f"{self.model}: {self.headline}"

    @property
    def is_empty(self) -> bool:
        """Whether no command left anything to tell of."""
        return self.topic == "verdict" and not self.checks

    @property
    def icon(self) -> str:
        """The verdict as one sign."""
        return ICONS[self.light]

    @property
    def conclusion(self) -> Conclusion:
        """GitHub's word for the verdict."""
        return "failure" if self.light == "fail" else "success"


def build_report(model: str, records: Mapping[str, Found], facts: Facts, pages: tuple[EmbeddedPage, ...] = ()) -> Report:
    """The report on `model`. Without any record there is nothing that could pass: that is a failure, too."""
    if not any(records.values()):
        return _nothing_checked(model, facts)
    # What a pull request's training may have left under such a name must not stand in for the gate.
    known = {name: record for name, record in records.items() if not (facts.in_pull_request and name in PRODUCTION)}
    records = monitoring.with_parts(known)
    monitored = record_of(records, "monitor", MonitorRecord)
    checks = run_checks(records)
    blocking = first_blocking(checks)
    gate = records.get("metric-gate")
    judged = gate if isinstance(gate, MetricGateRecord) else None
    candidate = "this batch" if monitored else "this PR" if facts.in_pull_request else "this commit"
    metrics = gate_sections.metric_table(judged, candidate) if judged else None
    has_warned = any(check.ending == "warn" for check in checks) or (monitored is not None and monitored.status == "warn")
    light: Light = "fail" if blocking else "warn" if has_warned else "pass"
    return Report(
        model=model,
        light=light,
        headline=headline(checks, records),
        cause=cause(checks, records),
        checks=checks,
        notices=_notices(records, facts.sites),
        metrics=metrics,
        basis=gate_sections.basis(judged) if judged else (),
        sections=_sections(records, metrics, checks, blocking, facts.sites),
        facts=facts,
        pages=pages,
        topic="production" if any(name in PRODUCTION for name, found in records.items() if found) else "verdict",
    )


@dataclass(frozen=True)
class Description:
    """What one record alone has to tell."""

    notices: tuple[Notice, ...]
    metrics: MetricTable | None
    doubts: tuple[Line, ...]
    """Of each metric on which the rows cannot tell, how many would."""
    sections: tuple[Section, ...]


def describe(record: AnyRecord) -> Description:
    """A single command's part of a report."""
    name = next(name for name, kind in RECORDS.items() if isinstance(record, kind))
    records = monitoring.with_parts({name: record})
    judged = record_of(records, "metric-gate", MetricGateRecord)
    metrics = gate_sections.metric_table(judged, "this batch" if name == "monitor" else "candidate") if judged else None
    checks = run_checks(records)
    blocking = next((check for check in checks if check.blocks or check.name == "drift-report"), None)
    return Description(
        notices=_notices(records),
        metrics=metrics,
        doubts=doubts(judged)[:MAX_OPEN_METRICS] if judged else (),
        sections=_sections(records, metrics, checks, blocking),
    )


def _sections(
    records: Mapping[str, Found],
    metrics: MetricTable | None,
    checks: Sequence[Check],
    blocking: Check | None,
    sites: frozenset[str] = frozenset(),
) -> tuple[Section, ...]:
    pulled, validated = record_of(records, "dvc-pull", DvcPullRecord), record_of(records, "validate", ValidateRecord)
    trained, judged = record_of(records, "train", TrainRecord), record_of(records, "metric-gate", MetricGateRecord)
    evaluated = record_of(records, "evaluate", EvaluateRecord)
    compared = record_of(records, "drift-report", DriftReportRecord)
    guilty = blocking.name if blocking else ""
    candidates = (
        sections.problems(records, checks),
        monitoring.batch(record_of(records, "monitor", MonitorRecord)),
        sections.log("Training log", trained, explains=guilty == "train"),
        sections.log("Scoring log", evaluated, explains=guilty == "evaluate"),
        sections.broken_expectations(validated, explains=guilty == "validate"),
        sections.broken_model_checks(evaluated, explains=guilty == "evaluate"),
        gate_sections.worse_slices(judged, metrics),
        gate_sections.flips(judged, metrics),
        gate_sections.other_slices(judged, metrics),
        sections.other_metrics(metrics, judged, MAX_OPEN_METRICS),
        sections.changes(judged),
        sections.data(validated, pulled),
        drift.drifted(compared, explains=guilty == "drift-report"),
        drift.not_drifted(compared),
        sections.model(evaluated),
        sections.training(trained, sites),
        gate_sections.how_to_read(judged) if judged and judged.metrics else None,
        gate_sections.every_slice(judged, metrics),
        gate_sections.methods(judged),
        sections.holding_expectations(validated),
        sections.invalid_metrics(trained),
        sections.parameters(trained),
        sections.files(pulled, trained),
        sections.packages(trained),
        *backtest.sections(record_of(records, "backtest", BacktestRecord)),
    )
    return tuple(section for section in candidates if section)


def _notices(records: Mapping[str, Found], sites: frozenset[str] = frozenset()) -> tuple[Notice, ...]:
    """What a reader must know before the details; the gate's come first, because they touch the rules."""
    gate = record_of(records, "metric-gate", MetricGateRecord)
    train = record_of(records, "train", TrainRecord)
    notices = list(gate_sections.judge_notices(gate, sites))
    for record in (gate, train, *records.values()):
        if isinstance(record, Record):
            notices += (Notice(prose(notice)) for notice in record.notices)
    if train and train.dirty:
        told = "Tracked files differed from the commit before training: the commit alone does not give this model."
        notices.append(Notice(line(told)))
    return tuple(dict.fromkeys(notices))


def _nothing_checked(model: str, facts: Facts) -> Report:
    return Report(
        model=model,
        light="fail",
        headline="nothing was checked",
        cause=line("No command left a record in ", Code(".modelship"), ". Did the steps before this one run, in the same folder?"),
        checks=(),
        notices=(),
        metrics=None,
        basis=(),
        sections=(),
        facts=facts,
    )
