"""What the gate's record says, in the words and figures that headlines, sentences and tables share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelship.core import words
from modelship.core.metrics import ROUNDING
from modelship.core.records import Baseline, Finding, MetricGateRecord, MetricVerdict, SliceVerdict, State
from modelship.reporting.blocks import Light
from modelship.reporting.numbers import MAX_DECIMALS, NOTHING, decimals_for, number, signed

LIGHTS: dict[State, Light] = {
    "missing": "fail",
    "invalid": "fail",
    "fail": "fail",
    "inconclusive": "warn",
    "no-baseline": "warn",
    "pass": "pass",
}
"""Worst first."""

_VALUE_LIMIT = 40


def light(verdict: MetricVerdict, record: MetricGateRecord) -> Light:
    """The light of a verdict: what does not keep the record from passing is yellow at most."""
    shown = LIGHTS[verdict.state]
    return "warn" if shown == "fail" and (record.status in ("pass", "warn") or is_accepted(record)) else shown


def verdict_words(verdict: MetricVerdict) -> str:
    """The verdict in a few words: what is proven is told from what merely seems so."""
    says_it = verdict.state != "pass" or not verdict.proven or verdict.reason in ("", "same") or "proven" in verdict.reason
    return verdict.reason if says_it else f"{verdict.reason}, proven"


def is_regression(verdict: MetricVerdict) -> bool:
    """Whether the metric is further below the baseline than its margin allows, as the gate sees it."""
    if verdict.change is None or verdict.margin is None:
        return False
    return verdict.change < -verdict.margin - ROUNDING * max(abs(verdict.candidate or 0), abs(verdict.baseline or 0))


def is_within_for_certain(verdict: MetricVerdict) -> bool:
    """Whether the whole interval is within the margin."""
    return verdict.interval is not None and verdict.margin is not None and verdict.interval[0] >= -verdict.margin


def failing(record: MetricGateRecord) -> list[MetricVerdict]:
    """The metrics that do not hold, in the gate's order."""
    return [verdict for verdict in record.metrics if verdict.state in ("fail", "missing", "invalid")]


def undecided(record: MetricGateRecord) -> list[MetricVerdict]:
    """The metrics on which the data cannot tell."""
    return [verdict for verdict in record.metrics if verdict.state == "inconclusive"]


def failing_slices(record: MetricGateRecord) -> list[SliceVerdict]:
    """The worst metric of each slice that is proven worse, the worst slice first."""
    return one_for_each(one for one in (record.slices.verdicts if record.slices else ()) if one.verdict.state == "fail")


def slices_seen(verdicts: Iterable[SliceVerdict]) -> int:
    """How many slices there are among `verdicts`, of which each may have several metrics."""
    return len(one_for_each(verdicts))


def is_accepted(record: MetricGateRecord) -> bool:
    """Whether what does not hold passes all the same, by a maintainer's word; a label may still be missing."""
    return record.acceptance is not None and (record.status in ("pass", "warn") or bool(unapproved(record)))


def unapproved(record: MetricGateRecord) -> list[Finding]:
    """The findings that wait for a label."""
    if record.approval and record.approval.given:
        return []
    return [finding for finding in record.findings if finding.needs_approval]


def worst_of(verdicts: Iterable[MetricVerdict]) -> MetricVerdict | None:
    """The verdict to tell first: a number that is not there, else the furthest below its margin in units of the baseline."""
    return max(verdicts, key=_severity, default=None)


def slice_name(slice_: Mapping[str, str]) -> str:
    """A slice as a reader would call it: `carrier=EV`, `distance 500 to 1,020 & carrier=EV`."""
    return words.slice_name(slice_, _VALUE_LIMIT)


def share(rows: int, record: MetricGateRecord) -> str:
    """`14%` of the record's rows, or empty where their number is not known."""
    if not record.rows:
        return ""
    percent = 100 * rows / record.rows
    if percent >= 1 or not percent:
        return f"{percent:.0f}%"
    return f"{percent:.1f}%" if percent >= 0.1 else "<0.1%"


def baseline_name(baseline: Baseline | None) -> str:
    """The baseline as a sentence calls it."""
    return baseline.label if baseline else "the baseline"


def confidence_label(record: MetricGateRecord) -> str:
    """`95% CI`, or empty where the record has no intervals."""
    verdicts = (*record.metrics, *(one.verdict for one in (record.slices.verdicts if record.slices else ())))
    if record.confidence is None or not any(verdict.interval for verdict in verdicts):
        return ""
    return f"{100 * record.confidence:g}% CI"


def decimals(verdict: MetricVerdict) -> int:
    """As many as are worth reading, and as it takes to see that a change, or a whole interval, is beyond its margin."""
    shown = decimals_for((verdict.baseline, verdict.candidate), verdict.change)
    if is_regression(verdict) and verdict.margin is not None:
        edge = -verdict.margin
        beyond = [value for value in (verdict.change, *(verdict.interval or ())[1:]) if value is not None and value < edge]
        while any(number(value, shown) == number(edge, shown) for value in beyond) and shown < MAX_DECIMALS:
            shown += 1
    return shown


def interval_text(verdict: MetricVerdict) -> str:
    """`[−0.0263, −0.0158]`, or empty."""
    if verdict.interval is None:
        return ""
    low, high = (signed(end, decimals(verdict)) for end in verdict.interval)
    return f"[{low}, {high}]"


def allowed(verdict: MetricVerdict) -> str:
    """The limits as the gate writes them, but the margin, which comes first, with the decimals of its row."""
    margin, separator, limits = verdict.allowed.partition(", ")
    if verdict.margin is None or not margin.startswith(words.MINUS):
        return verdict.allowed or NOTHING
    return f"{number(-verdict.margin, decimals(verdict))}{separator}{limits}"


def value_text(value: float | None, verdict: MetricVerdict) -> str:
    """A value of the metric with the decimals of its row."""
    return number(value, decimals_for((verdict.baseline, verdict.candidate), verdict.change))


def one_for_each(verdicts: Iterable[SliceVerdict]) -> list[SliceVerdict]:
    """The worst metric of each slice, in the order of `verdicts`."""
    first: dict[tuple[tuple[str, str], ...], SliceVerdict] = {}
    for one in verdicts:
        first.setdefault(tuple(one.slice.items()), one)
    return list(first.values())


def _severity(verdict: MetricVerdict) -> tuple[int, float]:
    if verdict.state in ("missing", "invalid"):
        return 2, 0.0
    if not is_regression(verdict) or verdict.change is None or verdict.margin is None:
        return 0, 0.0
    return 1, (-verdict.change - verdict.margin) / (abs(verdict.baseline or 0) or 1.0)
