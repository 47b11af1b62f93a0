"""What `monitor` saw, in words and tables. Its parts are records of other commands, and are told as these are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from modelship.core.records import LabelArrival, MonitorRecord, Record
from modelship.core.words import counted
from modelship.reporting.blocks import Section, key_values
from modelship.reporting.checks import Found
from modelship.reporting.inline import Line, line, prose
from modelship.reporting.numbers import duration

_DAY = 86_400


def with_parts(records: Mapping[str, Found]) -> Mapping[str, Found]:
    """What a report speaks of: where `monitor` ran last, its record, and its parts under the names of the commands that make such.

    Where another command ran after it, a record of `monitor` is left over from an earlier look.
    """
    monitored = records.get("monitor")
    if not isinstance(monitored, MonitorRecord):
        return records
    others = {name: record for name, record in records.items() if name != "monitor"}
    if any(isinstance(record, Record) and record.started_at > monitored.started_at for record in others.values()):
        return others
    parts: dict[str, Found] = {
        "validate": monitored.quality,
        "drift-report": monitored.drift,
        "metric-gate": monitored.performance,
    }
    return {"monitor": monitored, **{name: part for name, part in parts.items() if part}}


def batch(record: MonitorRecord | None) -> Section | None:
    """Which predictions were looked at, and how much of their truth is known."""
    if record is None or record.batch is None:
        return None
    seen, labels = record.batch, record.labels
    others = ", ".join(f"v{name}: {counted(rows, 'row')}" for name, rows in list(record.other_versions.items())[:5])
    where = f", live in {record.environment}" if record.environment else ""
    facts = key_values(
        (
            ("version", line(f"v{seen.version}{where}{_released(record)}")),
            ("predictions", line(f"{seen.rows:,}")),
            ("by other versions", prose(others)),
            ("labels", line(_labels(labels)) if labels else line("not watched")),
            ("labels came", _delays(labels) if labels else ()),
            ("looked at", prose(record.sampling)),
        )
    )
    known = f", {_share(labels)} labelled" if labels else ""
    title = f"Batch: {_moment(seen.start)} to {_moment(seen.end)}, {counted(seen.rows, 'prediction')} by v{seen.version}{known}"
    return Section(line(title), (facts,))


def _released(record: MonitorRecord) -> str:
    return f", released {record.trained_at.astimezone(UTC):%Y-%m-%d}" if record.trained_at else ""


def _labels(labels: LabelArrival) -> str:
    due = f"; expected by {_moment(labels.expected_by)}" if labels.expected_by else ""
    odd = [
        f"{count:,} {what}"
        for count, what in ((labels.late, "late"), (labels.repeated, "repeated"), (labels.conflicting, "contradictory"))
        if count
    ]
    return f"{labels.labelled:,} of {labels.rows:,} ({_share(labels)}){due}{'; ' if odd else ''}{', '.join(odd)}"


def _delays(labels: LabelArrival) -> Line:
    if labels.first_known is None or labels.last_known is None or labels.median_delay is None or labels.slow_delay is None:
        return ()
    return line(
        f"{_moment(labels.first_known)} to {_moment(labels.last_known)}: half within {_long(labels.median_delay)}, "
        f"nine in ten within {_long(labels.slow_delay)}"
    )


def _share(labels: LabelArrival) -> str:
    if not labels.rows or labels.labelled in (0, labels.rows):
        return "all" if labels.rows and labels.labelled else "none"
    return f"{min(max(labels.labelled / labels.rows, 0.01), 0.99):.0%}"


def _long(seconds: float) -> str:
    return f"{seconds / _DAY:.1f} days" if seconds >= 2 * _DAY else duration(max(seconds, 0))


def _moment(at: datetime) -> str:
    known = at.astimezone(UTC)
    return f"{known:%Y-%m-%d}" if (known.hour, known.minute, known.second) == (0, 0, 0) else f"{known:%Y-%m-%d %H:%M}"
