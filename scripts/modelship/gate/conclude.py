"""From everything that is known to the record and the exit code: what blocks, what warns, what is said. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelship.core.config import LoadedConfig
from modelship.core.errors import ExitCode, Problem
from modelship.core.metrics import Metrics
from modelship.core.records import (
    Acceptance,
    Changes,
    Finding,
    MetricGateRecord,
    MetricVerdict,
    SliceVerdict,
    Status,
    ValueChange,
)
from modelship.core.words import counted, general, slice_name
from modelship.gate.baseline import Found
from modelship.gate.candidate import Candidate
from modelship.gate.guard import can_be_accepted, find_approval, objection
from modelship.gate.judge import Judgement, worst_first
from modelship.gate.policy import Policy

if TYPE_CHECKING:
    from modelship.gate.rows.recompute import Recomputed
    from modelship.github.consent import Consent

MOST_OTHERS = 200


class Case(msgspec.Struct, frozen=True):
    """All that the verdict follows from."""

    policy: Policy
    found: Found
    candidate: Candidate
    judgement: Judgement
    rows: Recomputed | None = None
    problems: tuple[Problem, ...] = ()
    """What else keeps the gate from a verdict."""
    changes: Changes | None = None
    findings: tuple[Finding, ...] = ()
    consent: Consent | None = None
    """None where nobody was asked yet."""
    notices: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """The record and the exit code that goes with it."""

    record: MetricGateRecord
    exit_code: ExitCode

    @property
    def awaits_consent(self) -> bool:
        """Whether somebody's word could change it."""
        return self.record.status == "fail"


def conclude(case: Case) -> Decision:
    """The decision. Nothing that people said lets a candidate pass without a verdict, or past an absolute limit."""
    config, judgement = case.policy.loaded.config, case.judgement
    consent = case.consent
    acceptance = consent.acceptance if consent else None
    problems = _problems(case)
    approval = find_approval(case.findings, config.gate.approval_label, consent.labelled_by if consent else None)
    objected = objection(case.findings, approval)
    blocking = _blocking(case)
    accepted = bool(blocking) and acceptance is not None and all(_can_be_accepted(one, case) for one in blocking)
    status: Status
    if problems:
        status, code = "error", ExitCode.BAD_INPUT
    elif objected or (blocking and not accepted):
        status, code = "fail", ExitCode.VERDICT_NO
    else:
        status, code = ("warn" if accepted or _is_worth_a_look(case) else "pass"), ExitCode.PASS
    rows = case.rows
    record = MetricGateRecord(
        model=config.model,
        status=status,
        summary=str(problems[0]) if problems else _summary(case, blocking, objected, acceptance if accepted else None),
        problems=problems,
        notices=(*case.policy.notices, *_unheld_notice(case), *case.notices, *(consent.notices if consent else ())),
        model_digest=case.candidate.model_digest,
        baseline=case.found.baseline,
        metrics=tuple(worst_first(judgement.verdicts)),
        other_metrics=_others(case),
        policy=case.policy.source,
        changes=case.changes,
        paired=any(verdict.interval for verdict in judgement.verdicts),
        rows=rows.rows if rows else None,
        groups=rows.groups if rows else None,
        confidence=config.gate.confidence if rows and rows.comparisons else None,
        slices=rows.slices if rows else None,
        flips=rows.flips if rows else None,
        findings=case.findings,
        approval=approval,
        acceptance=acceptance if accepted else None,
    )
    return Decision(record, code)


def _blocking(case: Case) -> list[MetricVerdict]:
    """The verdicts that block, the gravest first: of metrics, then of slices."""
    gate = case.policy.loaded.config.gate
    verdicts = worst_first(case.judgement.verdicts)
    states = ("fail", "inconclusive") if gate.inconclusive == "block" else ("fail",)
    return [
        *(verdict for verdict in verdicts if verdict.state in states),
        *(one.verdict for one in _failing_slices(case) if gate.failing_slice == "block"),
    ]


def _failing_slices(case: Case) -> list[SliceVerdict]:
    slices = case.rows.slices if case.rows else None
    return [one for one in slices.verdicts if one.verdict.state == "fail"] if slices else []


def _can_be_accepted(verdict: MetricVerdict, case: Case) -> bool:
    limits = case.policy.loaded.config.gate.metrics or {}
    of_all_rows = any(verdict is one for one in case.judgement.verdicts)
    return can_be_accepted(verdict, limits[verdict.metric] if of_all_rows else None)


def _is_worth_a_look(case: Case) -> bool:
    """Whether a candidate that passes should be looked at all the same."""
    judgement = case.judgement
    needs_approval = any(finding.needs_approval for finding in case.findings)
    return bool(judgement.without_baseline or judgement.inconclusive or _failing_slices(case) or needs_approval or case.policy.is_own)


def _problems(case: Case) -> tuple[Problem, ...]:
    loaded = case.policy.loaded
    of_rows = [*case.problems, *(case.rows.problems if case.rows else ())]
    told = {_metric_in(problem) for problem in of_rows}
    # Why predictions give a metric no value is why it is missing.
    found = [*of_rows, *(problem for problem in case.judgement.problems if _metric_in(problem) not in told)]
    problems = [_placed(problem, loaded) for problem in dict.fromkeys(found)]
    unheld = case.judgement.without_baseline
    if unheld and loaded.config.gate.first_run == "refuse":
        problems.append(_no_baseline(case.found, unheld, loaded))
    return tuple(problems)


def _metric_in(problem: Problem) -> str:
    """The metric that a problem begins with."""
    return problem.message.split("`")[1].removeprefix("gate.metrics.")


def _placed(problem: Problem, loaded: LoadedConfig) -> Problem:
    """The problem with the line of the limit that it speaks of."""
    line = loaded.document.line(("gate", "metrics", _metric_in(problem)))
    return Problem(problem.message, problem.remedy, loaded.document.name, line) if line else problem


def _no_baseline(found: Found, unheld: list[MetricVerdict], loaded: LoadedConfig) -> Problem:
    names = ", ".join(f"`{verdict.metric}`" for verdict in unheld)
    where = f" ({found.baseline.source})" if found.baseline.source else ""
    remedy = "Set `gate.first-run: allow` to let absolute limits decide until there is one."
    return loaded.problem(f"there is no baseline for {names}{where}.", remedy, at="gate.baseline")


def _unheld_notice(case: Case) -> tuple[str, ...]:
    unheld, found = case.judgement.without_baseline, case.found
    if not unheld:
        return ()
    names = ", ".join(f"`{verdict.metric}`" for verdict in unheld)
    where = f" ({found.baseline.source})" if found.baseline.source else ""
    return (f"No baseline for {names}{where}: only absolute limits were checked.",)


def _others(case: Case) -> tuple[ValueChange, ...]:
    gated = {verdict.metric for verdict in case.judgement.verdicts}
    candidate: Metrics = case.candidate.metrics
    before = case.found.metrics.values if case.found.metrics else {}
    return tuple(
        ValueChange(name=name, before=f"{before[name]:.6g}" if name in before else None, after=f"{value:.6g}")
        for name, value in sorted(candidate.values.items())
        if name not in gated
    )[:MOST_OTHERS]


def _summary(case: Case, blocking: list[MetricVerdict], objected: str, acceptance: Acceptance | None) -> str:
    if objected:
        return objected
    verdicts, label = case.judgement.verdicts, case.found.baseline.label
    if acceptance:
        return f"regression of {_named(blocking)} accepted by {acceptance.by}: {acceptance.reason}"
    if blocking:
        return _blocking_summary(case, blocking)
    undecided = case.judgement.inconclusive
    if undecided:
        return f"cannot tell whether {_named(undecided)} got worse than {label}"
    slices = _failing_slices(case)
    if slices:
        return f"{slices[0].verdict.metric} is worse for {slice_name(slices[0].slice)}"
    if all(verdict.state == "no-baseline" for verdict in verdicts):
        return f"{counted(len(verdicts), 'metric')} within absolute limits; there is no baseline yet"
    return f"{counted(len(verdicts), 'metric')} held against {label}"


def _blocking_summary(case: Case, blocking: list[MetricVerdict]) -> str:
    first = blocking[0]
    more = f", and {len(blocking) - 1} more" if len(blocking) > 1 else ""
    where = ""
    if first not in case.judgement.verdicts:
        where = f" for {slice_name(next(one.slice for one in _failing_slices(case) if one.verdict is first))}"
    went = " → ".join(general(value, 4) for value in (first.baseline, first.candidate) if value is not None)
    said = "undecided" if first.state == "inconclusive" else first.reason
    return f"{first.metric}{where} is {said}: {went} (allowed {first.allowed}){more}"


def _named(verdicts: list[MetricVerdict]) -> str:
    return ", ".join(dict.fromkeys(verdict.metric for verdict in verdicts))
