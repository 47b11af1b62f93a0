"""Which checks a run had, and how each ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from modelship.core.errors import Problem
from modelship.core.records import PRODUCTION, RECORDS, AnyRecord, MetricGateRecord, MonitorRecord, Record
from modelship.core.words import counted
from modelship.reporting.blocks import Light
from modelship.reporting.inline import Code, Line, line, prose


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

    @property
    def has_no_verdict(self) -> bool:
        """Whether it was to judge, and could not."""
        return self.blocks and self.ending != "fail"


def run_checks(records: Mapping[str, Found]) -> tuple[Check, ...]:
    """The checks of a run in their order: one for each record, and those that should have left one.

    A model that nobody judged is no pass, so the gate's record is always asked for; training's is asked for when there
    is no verdict either. A command that is only missing before others that did their work was not part of this run.
    """
    checks: list[Check] = []
    blocked: Check | None = None
    gate = records.get("metric-gate")
    monitored = records.get("monitor")
    is_of_a_model = not any(records.get(name) for name in PRODUCTION)
    # Its parts stand beside it.
    has_parts = isinstance(monitored, MonitorRecord) and any((monitored.quality, monitored.drift, monitored.performance))
    for name in RECORDS:
        record = None if name == "monitor" and has_parts else records.get(name)
        if record is not None and not (blocked and _had_nothing_to_judge(record)):
            check = check_of(name, record)
        elif is_of_a_model and (name == "metric-gate" or (name == "train" and _lacks_training(gate, blocked))):
            check = _absent(name, blocked)
        else:
            continue
        checks.append(check)
        if check.blocks and blocked is None:
            blocked = check
    return tuple(checks)


def first_blocking(checks: Sequence[Check]) -> Check | None:
    """The check without which the later ones need no explanation."""
    return next((check for check in checks if check.blocks), None)


def problem_line(problem: Problem) -> Line:
    """A problem with the place it points at."""
    where = f"{problem.path}:{problem.line}" if problem.path and problem.line else problem.path
    place: Line = (Code(where), ": ") if where else ()
    return line(*place, *prose(problem.message), *prose(f" {problem.remedy}" if problem.remedy else ""))


def check_of(name: str, record: AnyRecord | Distrusted) -> Check:
    """How the command ended that left this record."""
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


R = TypeVar("R", bound=Record)


def record_of(records: Mapping[str, Found], name: str, kind: type[R]) -> R | None:
    """The record of a command, or None where it left none that can be trusted."""
    record = records.get(name)
    return record if isinstance(record, kind) else None
