"""Whether the live version is trained again, and what production looked like lately: the issue, and the job summary of `retrain`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelship.core.records import Batch, Promise, RetrainRecord
from modelship.core.words import counted, general
from modelship.reporting.blocks import Light, Notice, Row, Section, Table
from modelship.reporting.checks import problem_line
from modelship.reporting.inline import Line, Link, Strong, line, prose
from modelship.reporting.numbers import NOTHING, SCORE_DECIMALS, number
from modelship.reporting.report import Facts, Report

MOST_BATCHES = 8
"""How many of the last batches are shown."""

_MOST_METRICS = 3
_MOST_COLUMNS = 3


@dataclass(frozen=True)
class Started:
    """A retrain that was asked for before."""

    at: datetime
    version: int
    why: str
    run_url: str = ""


@dataclass(frozen=True)
class Seen:
    """What the decision was made from."""

    batches: Sequence[Batch] = ()
    """Of the version, oldest first."""
    promises: Sequence[Promise] = ()
    started: Sequence[Started] = ()
    """Oldest first."""


def is_trouble(record: RetrainRecord) -> bool:
    """Whether people should know: production is not what it should be, or what should be done about it is not."""
    return record.in_trouble or bool(record.held_back) or record.status == "error"


def build_retrain_report(model: str, record: RetrainRecord, seen: Seen, facts: Facts) -> Report:
    """The report on a decision."""
    light: Light = "fail" if record.status == "error" else "warn" if record.status == "warn" else "pass"
    return Report(
        model=model,
        light=light,
        headline=_headline(record),
        cause=_cause(record),
        checks=(),
        notices=tuple(Notice(problem_line(problem), "fail") for problem in record.problems),
        metrics=None,
        basis=_promised(record, seen.promises),
        sections=tuple(filter(None, (_triggers(record), _started(seen.started, facts)))),
        facts=facts,
        table=_batches(seen),
        topic="retrain",
    )


def _headline(record: RetrainRecord) -> str:
    who = f"v{record.version}"
    firing = {trigger.trigger for trigger in record.triggers if trigger.fires}
    if record.status == "error":
        return f"{who} could not be trained again"
    if not firing:
        return f"{who} does what it should"
    trouble = {"performance": f"{who} does worse than it promised", "drift": f"the data has moved away from what {who} learned from"}
    why = next((told for name, told in trouble.items() if name in firing), f"{who} is due to be trained again")
    return why if record.in_trouble or not record.dispatched else f"{who} is being trained again"


def _cause(record: RetrainRecord) -> Line:
    started = (Strong(f"{record.workflow} was started."), " ") if record.dispatched else ()
    return line(*started, *prose(record.summary))


def _promised(record: RetrainRecord, promises: Sequence[Promise]) -> Line:
    told = [
        f"{one.metric} {number(one.value, SCORE_DECIMALS)}, of which {general(one.max_loss, 2)} may be lost"
        for one in promises[:_MOST_METRICS]
    ]
    return line(f"v{record.version} at release: {'; '.join(told)}") if told else ()


def _batches(seen: Seen) -> Table | None:
    """The last batches, the newest first."""
    shown = list(reversed(seen.batches))[:MOST_BATCHES]
    if not shown:
        return None
    promises = list(seen.promises)[:_MOST_METRICS]
    rows = tuple(
        Row(
            (
                line(_span(batch)),
                line(f"{batch.rows:,}"),
                line(f"{batch.labelled:,}"),
                *(line(_value(batch, promise)) for promise in promises),
                line(_drift(batch)),
            ),
            _light(batch, promises),
        )
        for batch in shown
    )
    columns = ("batch", ">predictions", ">labelled", *(f">{promise.metric}" for promise in promises), "drift")
    return Table(columns, rows)


def _span(batch: Batch) -> str:
    return f"{batch.start.astimezone(UTC):%Y-%m-%d} to {batch.end.astimezone(UTC):%Y-%m-%d}"


def _value(batch: Batch, promise: Promise) -> str:
    value = next((one.value for one in batch.measured if one.metric == promise.metric), None)
    return number(value, SCORE_DECIMALS) if value is not None else NOTHING


def _drift(batch: Batch) -> str:
    if batch.drift is None:
        return "not measured"
    if not batch.drift:
        return "none"
    names = ", ".join(batch.drifted[:_MOST_COLUMNS])
    more = len(batch.drifted) - _MOST_COLUMNS
    return f"{names or 'yes'}{f', and {more} more' if more > 0 else ''}"


def _light(batch: Batch, promises: Sequence[Promise]) -> Light:
    """Yellow for a batch that drifted, or that is below what was promised: one batch alone may prove nothing."""
    for promise in promises:
        value = next((one.value for one in batch.measured if one.metric == promise.metric), None)
        if value is not None:
            loss = promise.value - value if promise.better == "higher" else value - promise.value
            if loss > promise.max_loss:
                return "warn"
    return "warn" if batch.drift else "pass"


def _triggers(record: RetrainRecord) -> Section | None:
    if not record.triggers:
        return None
    firing = sum(trigger.fires for trigger in record.triggers)
    rows = tuple(Row((line(trigger.trigger), prose(trigger.told)), "warn" if trigger.fires else "pass") for trigger in record.triggers)
    return Section(line(f"Reasons: {firing} of {len(rows)} hold"), (Table(("reason", "found"), rows),), explains=True)


def _started(started: Sequence[Started], facts: Facts) -> Section | None:
    """The retrains before, the newest first."""
    if not started:
        return None
    rows = tuple(
        Row(
            (
                line(f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M}"),
                line(f"v{one.version}" if one.version else ""),
                _run(one, facts),
                prose(one.why),
            )
        )
        for one in reversed(started[-MOST_BATCHES:])
    )
    table = Table(("when (UTC)", "version", "run", "why"), rows)
    return Section(line(f"Asked for: {counted(len(started), 'retrain')}"), (table,), explains=True)


def _run(one: Started, facts: Facts) -> Line:
    if not one.run_url:
        return line(NOTHING)
    return Link(one.run_url.rpartition("/")[2] or "run", one.run_url).within(facts.sites)
