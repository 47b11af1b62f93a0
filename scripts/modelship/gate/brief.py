"""A verdict in a line for each metric: what a log is told where there is nothing to draw, and where drawing takes most of the time."""

from __future__ import annotations

from collections.abc import Iterator

from modelship.core.records import MetricGateRecord, MetricVerdict, State
from modelship.core.words import clean, general

_SIGNS: dict[State, str] = {"missing": "✗", "invalid": "✗", "fail": "✗", "inconclusive": "!", "no-baseline": "!", "pass": "✓"}


def brief(record: MetricGateRecord) -> Iterator[str]:
    """The lines: what must be read first, then the metrics in the record's order."""
    for finding in record.findings:
        yield f"! {clean(f'This change {finding.text}.')}"
    for notice in record.notices:
        yield f"! {clean(notice.replace('`', ''))}"
    for verdict in record.metrics:
        yield clean(_metric(verdict, passes=record.status in ("pass", "warn")))


def _metric(verdict: MetricVerdict, *, passes: bool) -> str:
    sign = "!" if passes and verdict.state == "fail" else _SIGNS[verdict.state]
    values = " → ".join(general(value, 4) for value in (verdict.baseline, verdict.candidate) if value is not None)
    allowed = f" (allowed {verdict.allowed})" if verdict.allowed else ""
    return f"{sign} {verdict.metric}: {f'{values}, ' if values else ''}{verdict.reason}{allowed}"
