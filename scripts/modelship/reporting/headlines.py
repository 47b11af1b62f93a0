"""What happened, in a few words, and why, in a sentence or two."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelship.core.records import (
    BacktestRecord,
    DriftReportRecord,
    EvaluateRecord,
    MetricGateRecord,
    MetricVerdict,
    SliceVerdict,
    TrainRecord,
    ValidateRecord,
)
from modelship.core.words import counted
from modelship.reporting import backtest, drift
from modelship.reporting.checks import Check, Found, first_blocking
from modelship.reporting.inline import Code, Line, Strong, line, prose
from modelship.reporting.numbers import number, rough, signed
from modelship.reporting.verdicts import (
    baseline_name,
    decimals,
    failing,
    failing_slices,
    is_accepted,
    is_regression,
    is_within_for_certain,
    share,
    slice_name,
    slices_seen,
    unapproved,
    undecided,
    value_text,
    worst_of,
)

_NEEDS_APPROVAL = "needs approval to change what judges it"
_LOPSIDED = 0.1
"""By what share of its width the middle of an interval may be off the change, for `±` to be said."""


def headline(checks: tuple[Check, ...], records: Mapping[str, Found]) -> str:
    """What happened, in a few words: the first check that blocks, else what the gate says."""
    blocking = first_blocking(checks)
    if blocking is None:
        gate, compared = records.get("metric-gate"), records.get("drift-report")
        told = _passing_headline(gate) if isinstance(gate, MetricGateRecord) else _headline_without_gate(records)
        has_drifted = isinstance(compared, DriftReportRecord) and compared.status == "warn"
        # What the gate doubts itself comes first.
        is_clear = not isinstance(gate, MetricGateRecord) or gate.status == "pass"
        return f"{told}, but the data has drifted" if has_drifted and is_clear else told
    return _blocked_headline(blocking, records.get(blocking.name))


def _headline_without_gate(records: Mapping[str, Found]) -> str:
    walked = records.get("backtest")
    return backtest.headline(walked) if isinstance(walked, BacktestRecord) else "every check passes"


def cause(checks: tuple[Check, ...], records: Mapping[str, Found]) -> Line:
    """Why, in one sentence or two."""
    blocking = first_blocking(checks)
    if blocking is None:
        return _passing_cause(checks, records)
    count = sum(check.blocks for check in checks)
    record = records.get(blocking.name)
    told: Line = ()
    if isinstance(record, MetricGateRecord) and record.status == "fail":
        told = _gate_cause(record)
    elif isinstance(record, DriftReportRecord):
        told = drift.cause(record)
    why = told or blocking.sentence
    return line(Strong(f"Blocked by {count} of {counted(len(checks), 'check')}."), " ", *begun(why, record))


def begun(sentence: Line, record: Found) -> Line:
    """The sentence with a capital, unless it begins with a name: what stands in code, or a metric of the record."""
    if not sentence or not isinstance(sentence[0], str):
        return sentence
    names = [verdict.metric for verdict in record.metrics] if isinstance(record, MetricGateRecord) else []
    if any(re.match(rf"{re.escape(name)}(?!\w)", sentence[0]) for name in names):
        return sentence
    return (sentence[0][:1].upper() + sentence[0][1:], *sentence[1:])


def _blocked_headline(check: Check, record: Found) -> str:
    if check.ending == "distrusted":
        return f"the record of {check.name} cannot be trusted"
    match record:
        case ValidateRecord(status="fail"):
            expectations = [one for table in record.tables for one in table.expectations]
            broken = sum(not one.holds and one.severity == "critical" for one in expectations)
            return f"data breaks {counted(broken, 'expectation')}" if broken else "data is not what it should be"
        case DriftReportRecord(status="fail"):
            return drift.headline(record)
        case TrainRecord(exit_status=int(status)) if status != 0:
            return f"training was ended by signal {-status}" if status < 0 else "training failed"
        case EvaluateRecord(status="fail"):
            wrong = [one.name for one in record.checks if not one.holds and one.severity == "critical"]
            return f"the model breaks {counted(len(wrong), 'check')}: {wrong[0]}" if wrong else "the model is not what it should be"
        case MetricGateRecord(status="fail") if is_accepted(record):
            return _NEEDS_APPROVAL
        case MetricGateRecord() if failing(record):
            return _failing_headline(record)
        case MetricGateRecord(status="fail"):
            return _doubtful_headline(record) or "the model does not pass the gate"
    return _WITHOUT_VERDICT[check.name]


_WITHOUT_VERDICT = {
    "dvc-pull": "the data could not be pulled",
    "validate": "the data could not be validated",
    "drift-report": "drift could not be measured",
    "train": "the model could not be trained",
    "evaluate": "the model could not be scored",
    "metric-gate": "the model was not judged",
    "register": "the model was not registered",
    "deploy": "the model was not deployed",
    "rollback": "the version before was not brought back",
    "monitor": "production could not be looked at",
    "retrain": "whether to train again was not decided",
    "backtest": "the past could not be walked through",
}


def _failing_headline(record: MetricGateRecord) -> str:
    verdicts = failing(record)
    worst = worst_of(verdicts)
    if worst is None:
        return _doubtful_headline(record)
    rest = f", and {counted(len(verdicts) - 1, 'more metric')} fail{'s' if len(verdicts) == 2 else ''}" if len(verdicts) > 1 else ""
    return _failure(worst, record) + rest


def _failure(verdict: MetricVerdict, record: MetricGateRecord) -> str:
    if verdict.state in ("missing", "invalid"):
        return f"{verdict.metric} is {'missing' if verdict.state == 'missing' else 'not a number'}"
    if is_regression(verdict) and verdict.change is not None:
        way = "fell {} below" if verdict.better == "higher" else "rose {} above"
        return f"{verdict.metric} {way.format(rough(verdict.change))} {baseline_name(record.baseline)}"
    return f"{verdict.metric} is {value_text(verdict.candidate, verdict)}, {verdict.reason}"


def _doubtful_headline(record: MetricGateRecord) -> str:
    """What there is to say against a model whose metrics do not fail over all rows; empty where there is nothing."""
    slices = failing_slices(record)
    if slices:
        more = f" and {counted(len(slices) - 1, 'more slice')}" if len(slices) > 1 else ""
        return f"worse for {slice_name(slices[0].slice)}{more}"
    if unapproved(record):
        return _NEEDS_APPROVAL
    unsure = undecided(record)
    if unsure:
        more = f" and {counted(len(unsure) - 1, 'more metric')}" if len(unsure) > 1 else ""
        return f"cannot tell whether {unsure[0].metric}{more} got worse"
    return ""


def _passing_headline(record: MetricGateRecord) -> str:
    if failing(record):  # A maintainer let it pass, or not all labels have come.
        return _failing_headline(record)
    doubtful = _doubtful_headline(record)
    if doubtful:
        return doubtful
    compared = [verdict for verdict in record.metrics if verdict.change is not None]
    if not compared:
        return "there is no baseline to compare with yet"
    if all((verdict.change or 0) >= 0 for verdict in compared):
        return f"no metric is worse than {baseline_name(record.baseline)}"
    held = [verdict for verdict in compared if verdict.margin is not None]
    proven = "proven to be " if held and all(map(is_within_for_certain, held)) else ""
    return f"every metric is {proven}within its margin of {baseline_name(record.baseline)}"


def _passing_cause(checks: tuple[Check, ...], records: Mapping[str, Found]) -> Line:
    gate = records.get("metric-gate")
    # In the order in which the headline speaks of them.
    told_first = ("metric-gate", "drift-report")
    warned = sorted(
        (check for check in checks if check.ending == "warn"), key=lambda check: (*told_first, check.name).index(check.name)
    )
    if warned:
        first = warned[0]
        record = records.get(first.name)
        told: Line = ()
        if isinstance(record, MetricGateRecord):
            told = _gate_warning(record)
        elif isinstance(record, DriftReportRecord):
            told = drift.cause(record)
        why = told or first.sentence
        return line(Strong(f"Passes, with {counted(len(warned), 'warning')}."), " ", *begun(why, record))
    walked = records.get("backtest")
    if isinstance(walked, BacktestRecord) and len(checks) == 1:
        return begun(prose(f"{walked.summary}."), walked)
    proven = _proven_sentence(gate) if isinstance(gate, MetricGateRecord) else ""
    return line(Strong(f"All {len(checks)} checks pass." if len(checks) > 1 else f"The check passes: {checks[0].name}."), proven)


def _proven_sentence(record: MetricGateRecord) -> str:
    """How much of a pass is proven; empty where no metric carries an interval."""
    held = [verdict for verdict in record.metrics if verdict.interval and verdict.margin is not None]
    if not held:
        return ""
    certain = sum(map(is_within_for_certain, held))
    if certain == len(held):
        return f" On {_rows(record)} that is proven."
    rest = len(held) - certain
    proven = f"{certain} of {counted(len(held), 'metric')} {'is' if certain == 1 else 'are'} proven to be within the margin"
    return f" On {_rows(record)} {proven}; {rest} only seem{'s' if rest == 1 else ''} so."


def _gate_cause(record: MetricGateRecord) -> Line:
    """Why the gate says no."""
    waiting = unapproved(record)
    asks = _approval_sentence(record) if waiting else ()
    if is_accepted(record):
        return asks
    worst, slices = worst_of(failing(record)), failing_slices(record)
    if worst is None and not slices:
        doubt = undecided(record)
        told = begun(line(_undecided_sentence(doubt[0], record)), record) if doubt else ()
        return line(*asks, " " if asks and told else "", *told) or prose(record.summary)
    told = _regression_cause(record, worst, slices)
    return line(*told, " ", *asks) if asks else told


def _gate_warning(record: MetricGateRecord) -> Line:
    """What to look at in a model that passes; empty where only the record's own sentence tells."""
    worst, slices = worst_of(failing(record)), failing_slices(record)
    if worst is not None or slices:
        return _regression_cause(record, worst, slices)
    doubt = undecided(record)
    if doubt:
        return line(_undecided_sentence(doubt[0], record))
    unheld = [verdict.metric for verdict in record.metrics if verdict.state == "no-baseline"]
    if unheld:
        which = unheld[0] if len(unheld) == 1 else f"{len(unheld)} of {counted(len(record.metrics), 'metric')}"
        return line(f"{which} could only be held against absolute limits.")
    if any(finding.needs_approval for finding in record.findings):
        return line("It changes what judges it, with approval.")
    return ()


def _regression_cause(record: MetricGateRecord, worst: MetricVerdict | None, slices: list[SliceVerdict]) -> Line:
    flips = _flips_phrase(record)
    if slices:
        return line(_slice_phrase(record, slices, names_it=worst is not None) + (f"; {flips}." if flips else "."))
    if worst is None:
        return prose(record.summary)
    if flips:
        return line(f"{_metric_phrase(worst)}; {flips}.")
    return line(f"{_metric_phrase(worst)}.{_others_sentence(record)}")


def _metric_phrase(verdict: MetricVerdict) -> str:
    if is_regression(verdict) and verdict.margin is not None:
        way = "fall" if verdict.better == "higher" else "rise"
        bound = f"may {way} by {rough(verdict.margin)} at most" if verdict.margin else f"may not {way} at all"
        return f"{verdict.metric} {bound}, and {_went(verdict)}"
    return f"{verdict.metric}: {verdict.reason}"


def _slice_phrase(record: MetricGateRecord, slices: list[SliceVerdict], *, names_it: bool) -> str:
    """Where it is worse. The headline has named the slice already, unless `names_it`; then its metric is what is new."""
    worst = slices[0]
    if names_it and record.slices and len(slices) > 1 and len(slices) == slices_seen(record.slices.verdicts):
        return f"Worse in all {len(slices):,} slices"
    of_rows = f"{part} of rows" if (part := share(worst.rows, record)) else counted(worst.rows, "row")
    more = f" and {counted(len(slices) - 1, 'more slice')}" if len(slices) > 1 else ""
    if names_it:
        return f"Worse for {slice_name(worst.slice)} ({of_rows}){more}"
    return f"{worst.verdict.metric} {_went(worst.verdict)} there ({of_rows})"


def _went(verdict: MetricVerdict) -> str:
    return f"went from {value_text(verdict.baseline, verdict)} to {value_text(verdict.candidate, verdict)}"


def _flips_phrase(record: MetricGateRecord) -> str:
    flips = record.flips
    if flips is None or not flips.newly_wrong + flips.newly_right:
        return ""
    return f"{counted(flips.newly_wrong, 'prediction')} newly wrong, {flips.newly_right:,} newly right"


def _others_sentence(record: MetricGateRecord) -> str:
    if len(record.metrics) < 2:
        return ""
    passing = len(record.metrics) - len(failing(record)) - len(undecided(record))
    if not passing:
        return " No metric passes."
    return f" {passing} of {counted(len(record.metrics), 'metric')} pass{'es' if passing == 1 else ''}."


def doubts(record: MetricGateRecord) -> tuple[Line, ...]:
    """For each metric on which the rows cannot tell: what they show, and how many would tell."""
    return tuple(begun(line(_undecided_sentence(verdict, record)), record) for verdict in undecided(record))


def _undecided_sentence(verdict: MetricVerdict, record: MetricGateRecord) -> str:
    if verdict.change is None or verdict.margin is None or verdict.interval is None:
        return f"{verdict.metric}: {verdict.reason}."
    shown = decimals(verdict)
    low, high = verdict.interval
    is_even = abs((low + high) / 2 - verdict.change) <= _LOPSIDED * (high - low)
    around = f"of {signed(verdict.change, shown)} ± {number((high - low) / 2, shown)}"
    change = around if is_even else f"between {signed(low, shown)} and {signed(high, shown)}"
    needed = f"about {_rounded(verdict.rows_to_decide)} rows" if verdict.rows_to_decide else "only far more rows"
    verb = "show" if record.rows != 1 else "shows"
    of_what = f" in {verdict.metric}" if len(undecided(record)) > 1 else ""
    return f"{_rows(record)} {verb} a change{of_what} {change} where {number(-verdict.margin, shown)} is allowed; {needed} would tell."


def _approval_sentence(record: MetricGateRecord) -> Line:
    passes = record.metrics and not failing(record) and not undecided(record) and not failing_slices(record)
    but = "Every metric passes, but it needs " if passes else "It needs "
    if record.approval is None:
        return line(but, "an approval.")
    return line(but, "the label ", Code(record.approval.label), ".")


def _rows(record: MetricGateRecord) -> str:
    return "these rows" if record.rows is None else counted(record.rows, "row")


def _rounded(rows: int) -> str:
    """A number of rows to two significant digits: it is an estimate."""
    return f"{float(f'{rows:.1e}'):,.0f}"
