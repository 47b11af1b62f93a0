"""Which checks a run had and how each ended; the headline and the sentence of cause that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelship.core.errors import Problem
from modelship.core.records import RECORDS, AnyRecord, Baseline, MetricGateRecord, MetricVerdict, TrainRecord, ValidateRecord
from modelship.core.words import counted
from modelship.reporting.blocks import Light
from modelship.reporting.inline import Code, Line, Strong, line, prose
from modelship.reporting.numbers import decimals_for, number, rough


@dataclass(frozen=True)
class Distrusted:
    """A record that is there, but is not what it should be."""

    reason: str


Found = AnyRecord | Distrusted | None
Ending = Literal["pass", "warn", "fail", "error", "not-run", "missing", "distrusted"]

LIGHTS: dict[Ending, Light] = {
    "pass": "pass",
    "warn": "warn",
    "fail": "fail",
    "error": "fail",
    "not-run": "none",
    "missing": "fail",
    "distrusted": "fail",
}
_BLOCKING: frozenset[Ending] = frozenset({"fail", "error", "missing", "distrusted"})


@dataclass(frozen=True)
class Check:
    """How one command ended."""

    name: str
    ending: Ending
    sentence: Line

    @property
    def light(self) -> Light:
        """The light that stands for the ending."""
        return LIGHTS[self.ending]

    @property
    def blocks(self) -> bool:
        """Whether nothing may pass after it."""
        return self.ending in _BLOCKING


def run_checks(records: Mapping[str, Found]) -> tuple[Check, ...]:
    """The checks of a run in their order: one for each record, and those that should have left one.

    A model that nobody judged is no pass, so the gate's record is always asked for; training's is asked for when there
    is no verdict either. A command that is only missing before others that did their work was not part of this run.
    """
    checks: list[Check] = []
    blocked: Check | None = None
    gate = records.get("metric-gate")
    for name in RECORDS:
        record = records.get(name)
        if record is not None and not (blocked and _had_nothing_to_judge(record)):
            check = _check(name, record)
        elif name == "metric-gate" or (name == "train" and _lacks_training(gate, blocked)):
            check = _absent(name, blocked)
        else:
            continue
        checks.append(check)
        if check.blocks and blocked is None:
            blocked = check
    return tuple(checks)


def headline(checks: tuple[Check, ...], records: Mapping[str, Found]) -> str:
    """What happened, in a few words: the first check that blocks, else what the gate says."""
    blocking = first_blocking(checks)
    if blocking is None:
        gate = records.get("metric-gate")
        return _passing_headline(gate) if isinstance(gate, MetricGateRecord) else "every check passes"
    return _blocked_headline(blocking, records.get(blocking.name))


def cause(checks: tuple[Check, ...], records: Mapping[str, Found]) -> Line:
    """Why, in one sentence or two."""
    blocking = first_blocking(checks)
    if blocking is None:
        warned = [check for check in checks if check.ending == "warn"]
        if not warned:
            return line(Strong(f"All {len(checks)} checks pass." if len(checks) > 1 else f"The check passes: {checks[0].name}."))
        return line(Strong(f"Passes, with {counted(len(warned), 'warning')}."), " ", *_warning(warned[0], records.get(warned[0].name)))
    count = sum(check.blocks for check in checks)
    record = records.get(blocking.name)
    why = _metric_cause(record) if isinstance(record, MetricGateRecord) and record.status == "fail" else blocking.sentence
    if blocking.ending == "error" and why and isinstance(why[0], str):
        why = (why[0][:1].upper() + why[0][1:], *why[1:])
    return line(Strong(f"Blocked by {count} of {counted(len(checks), 'check')}."), " ", *why)


def first_blocking(checks: tuple[Check, ...]) -> Check | None:
    """The check without which the later ones need no explanation."""
    return next((check for check in checks if check.blocks), None)


def problem_line(problem: Problem) -> Line:
    """A problem with the place it points at."""
    where = f"{problem.path}:{problem.line}" if problem.path and problem.line else problem.path
    place: Line = (Code(where), ": ") if where else ()
    return line(*place, *prose(problem.message), *prose(f" {problem.remedy}" if problem.remedy else ""))


def is_regression(verdict: MetricVerdict) -> bool:
    """Whether the metric is further below the baseline than its margin allows."""
    return verdict.change is not None and verdict.margin is not None and verdict.change < -verdict.margin


def failing(record: MetricGateRecord) -> list[MetricVerdict]:
    """The metrics that block, in the gate's order."""
    return [verdict for verdict in record.metrics if verdict.state in ("fail", "missing", "invalid")]


def _check(name: str, record: AnyRecord | Distrusted) -> Check:
    if isinstance(record, Distrusted):
        return Check(name, "distrusted", line("The record of ", Code(name), " cannot be trusted: ", *prose(record.reason)))
    sentence = prose(record.summary if record.summary.endswith((".", "!", "?")) else f"{record.summary}.")
    if record.status == "error" and record.problems:
        sentence = problem_line(record.problems[0])
        if len(record.problems) > 1:
            sentence = line(*sentence, f" And {counted(len(record.problems) - 1, 'more problem')}.")
    return Check(name, record.status, sentence)


def _lacks_training(gate: Found, blocked: Check | None) -> bool:
    judged = isinstance(gate, MetricGateRecord) and gate.status != "error"
    return not judged and (gate is None or blocked is not None)


def _had_nothing_to_judge(record: Found) -> bool:
    """Whether this is the gate saying that an earlier command left it nothing."""
    return isinstance(record, MetricGateRecord) and record.status == "error" and not record.metrics


def _absent(name: str, blocked: Check | None) -> Check:
    if blocked:
        return Check(name, "not-run", line(f"not run, because {_REASONS[blocked.ending].format(blocked.name)}."))
    return Check(name, "missing", line(Code(name), " left no record. Was it run, and did it end by itself? Its log tells more."))


_REASONS: dict[Ending, str] = {
    "fail": "{} failed",
    "error": "{} ended without a verdict",
    "missing": "{} left no record",
    "distrusted": "the record of {} cannot be trusted",
}


def _blocked_headline(check: Check, record: Found) -> str:
    if check.ending == "distrusted":
        return f"the record of {check.name} cannot be trusted"
    match record:
        case ValidateRecord(status="fail"):
            expectations = [one for table in record.tables for one in table.expectations]
            broken = sum(not one.holds and one.severity == "critical" for one in expectations)
            return f"data breaks {counted(broken, 'expectation')}" if broken else "data is not what it should be"
        case TrainRecord(exit_status=int(status)) if status != 0:
            return f"training was ended by signal {-status}" if status < 0 else "training failed"
        case MetricGateRecord() if failing(record):
            return _failing_headline(record)
        case MetricGateRecord(status="fail"):
            return "the model does not pass the gate"
    return _WITHOUT_VERDICT[check.name]


_WITHOUT_VERDICT = {
    "dvc-pull": "the data could not be pulled",
    "validate": "the data could not be validated",
    "train": "the model could not be trained",
    "metric-gate": "the model was not judged",
}


def _failing_headline(record: MetricGateRecord) -> str:
    verdicts = failing(record)
    worst = max(verdicts, key=_severity)
    rest = f", and {counted(len(verdicts) - 1, 'more metric')} fail{'s' if len(verdicts) == 2 else ''}" if len(verdicts) > 1 else ""
    return _failure(worst, record.baseline) + rest


def _failure(verdict: MetricVerdict, baseline: Baseline | None) -> str:
    if verdict.state in ("missing", "invalid"):
        return f"{verdict.metric} is {'missing' if verdict.state == 'missing' else 'not a number'}"
    if is_regression(verdict) and verdict.change is not None:
        way = "fell {} below" if verdict.better == "higher" else "rose {} above"
        return f"{verdict.metric} {way.format(rough(verdict.change))} {_label(baseline)}"
    return f"{verdict.metric} is {_value(verdict.candidate, verdict)}, {verdict.reason}"


def _passing_headline(record: MetricGateRecord) -> str:
    unsure = [verdict for verdict in record.metrics if verdict.state == "inconclusive"]
    if unsure:
        return f"the data cannot tell whether {unsure[0].metric} is worse than {_label(record.baseline)}"
    compared = [verdict.change for verdict in record.metrics if verdict.change is not None]
    if not compared:
        return "there is no baseline to compare with yet"
    if min(compared) < 0:
        return f"every metric is within its margin of {_label(record.baseline)}"
    return f"no metric is worse than {_label(record.baseline)}"


def _warning(check: Check, record: Found) -> Line:
    if isinstance(record, MetricGateRecord):
        unheld = [verdict.metric for verdict in record.metrics if verdict.state == "no-baseline"]
        if unheld:
            which = unheld[0] if len(unheld) == 1 else f"{len(unheld)} of {counted(len(record.metrics), 'metric')}"
            return line(f"{which} could only be held against absolute limits.")
    return check.sentence


def _metric_cause(record: MetricGateRecord) -> Line:
    verdict = max(failing(record), key=_severity, default=None)
    if verdict is None:
        return prose(record.summary)
    values = f"from {_value(verdict.baseline, verdict)} to {_value(verdict.candidate, verdict)}"
    passing = len(record.metrics) - len(failing(record))
    some = (
        f" {passing} of {counted(len(record.metrics), 'metric')} pass{'es' if passing == 1 else ''}."
        if passing
        else " No metric passes."
    )
    rest = some if len(record.metrics) > 1 else ""
    if is_regression(verdict) and verdict.change is not None and verdict.margin is not None:
        way = "fall" if verdict.better == "higher" else "rise"
        allowed = f"may {way} by {rough(verdict.margin)} at most" if verdict.margin else f"may not {way} at all"
        return line(f"{verdict.metric} {allowed}, and went {values}.{rest}")
    return line(f"{verdict.metric}: {verdict.reason}.{rest}")


def _severity(verdict: MetricVerdict) -> tuple[int, float]:
    """For ordering: numbers that are not there first, then how far below the margin in units of the baseline."""
    if verdict.state in ("missing", "invalid"):
        return 2, 0.0
    if not is_regression(verdict) or verdict.change is None or verdict.margin is None:
        return 0, 0.0
    return 1, (-verdict.change - verdict.margin) / (abs(verdict.baseline or 0) or 1.0)


def _value(value: float | None, verdict: MetricVerdict) -> str:
    return number(value, decimals_for((verdict.baseline, verdict.candidate), verdict.change))


def _label(baseline: Baseline | None) -> str:
    return baseline.label if baseline else "the baseline"
