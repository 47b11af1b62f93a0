"""The verdict on each metric: pure arithmetic on numbers that were read before.

The difference d is signed so that positive is better, whatever the metric's direction; the margin m is how much worse than the
baseline a metric may be. Without paired predictions a difference carries no interval: d >= -m passes, d < -m fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from modelship.core.config import Limit
from modelship.core.errors import Problem, did_you_mean
from modelship.core.metrics import Metrics
from modelship.core.records import MetricVerdict, State
from modelship.gate.directions import Direction, direction

ROUNDING = 1e-12
"""The share of a value by which decimal fractions miss it (0.744 - 0.739 is not quite 0.005): not a change of the model."""


class Judgement(msgspec.Struct, frozen=True):
    """All verdicts, and the problems that keep the gate from having one."""

    verdicts: tuple[MetricVerdict, ...]
    problems: tuple[Problem, ...]

    @property
    def fails(self) -> list[MetricVerdict]:
        """The metrics that block."""
        return [verdict for verdict in self.verdicts if verdict.state == "fail"]

    @property
    def without_baseline(self) -> list[MetricVerdict]:
        """The metrics that could only be held against absolute limits."""
        return [verdict for verdict in self.verdicts if verdict.state == "no-baseline"]


def judge(limits: Mapping[str, Limit], candidate: Metrics, baseline: Metrics | None, *, compare: bool = True) -> Judgement:
    """Hold `candidate` against `limits` and `baseline`.

    `baseline` None means that there is none yet; `compare` False that the team wants none, so that absolute limits are all.
    A gated metric that is absent or no finite number, in the candidate or in the baseline, is a problem, never a pass.
    """
    verdicts: list[MetricVerdict] = []
    problems: list[Problem] = []
    for name, limit in limits.items():
        better = limit.better or direction(name)
        if better is None:
            known = name in candidate.values or name in candidate.invalid
            problems.append(_no_direction(name) if known else _absent(name, candidate, "the candidate's metrics"))
            continue
        verdict, problem = _verdict(name, limit, better, candidate, baseline, compare)
        verdicts.append(verdict)
        if problem:
            problems.append(problem)
    return Judgement(tuple(verdicts), tuple(problems))


def margin(limit: Limit, baseline: float) -> float | None:
    """How much worse than `baseline` the metric may be, in its own unit, or None when the team set no `max-regression`."""
    if limit.max_regression is None:
        return None
    if isinstance(limit.max_regression, str):
        return float(limit.max_regression.rstrip("%")) / 100 * abs(baseline)
    return limit.max_regression


def _verdict(
    name: str, limit: Limit, better: Direction, candidate: Metrics, baseline: Metrics | None, compare: bool
) -> tuple[MetricVerdict, Problem | None]:
    def verdict(state: State, reason: str, **numbers: float | None) -> MetricVerdict:
        allowed = _allowed(limit, numbers.get("margin"))
        return MetricVerdict(metric=name, state=state, reason=reason, better=better, allowed=allowed, **numbers)

    if name not in candidate.values:
        return _unusable(name, verdict, candidate, "the candidate's metrics")
    value = candidate.values[name]
    before = margin_ = change = None
    if compare and baseline is not None:
        if name in baseline.invalid:
            return _unusable(name, verdict, baseline, "the baseline's metrics", candidate=value)
        before = baseline.values.get(name)
    if before is not None:
        margin_ = margin(limit, before)
        change = value - before if better == "higher" else before - value
    numbers = {"candidate": value, "baseline": before, "change": change, "margin": margin_}
    broken = _broken_limit(limit, value)
    if broken:
        return verdict("fail", broken, **numbers), None
    if change is not None and margin_ is not None and change < -margin_ - ROUNDING * max(abs(value), abs(before or 0.0)):
        return verdict("fail", "worse", **numbers), None
    if compare and before is None and limit.max_regression is not None:
        return verdict("no-baseline", "no baseline", **numbers), None
    return verdict("pass", _passing_reason(limit, change), **numbers), None


def _unusable(name: str, verdict: object, metrics: Metrics, where: str, **numbers: float) -> tuple[MetricVerdict, Problem]:
    assert callable(verdict)
    if name in metrics.invalid:
        reason = metrics.invalid[name]
        return verdict("invalid", reason, **numbers), Problem(
            f"`{name}` in {where} is no number: {reason}.", "Training must write a finite one."
        )
    return verdict("missing", "missing", **numbers), _absent(name, metrics, where)


def _absent(name: str, metrics: Metrics, where: str) -> Problem:
    return Problem(f"`{name}` is not in {where}.", did_you_mean(name, [*metrics.values, *metrics.invalid]))


def _no_direction(name: str) -> Problem:
    message = f"`gate.metrics.{name}`: it is not known whether higher or lower is better."
    return Problem(message, "Add `better: higher` or `better: lower`.")


def _broken_limit(limit: Limit, value: float) -> str:
    if limit.min is not None and value < limit.min:
        return f"below {limit.min:g}"
    if limit.max is not None and value > limit.max:
        return f"above {limit.max:g}"
    return ""


def _passing_reason(limit: Limit, change: float | None) -> str:
    if change is None or (limit.max_regression is None and change < 0):
        return "within the limits"
    if change > 0:
        return "better"
    return "same" if change == 0 else "within the margin"


def _allowed(limit: Limit, margin_: float | None) -> str:
    parts = []
    if limit.max_regression is not None:
        shown = limit.max_regression if margin_ is None else margin_
        parts.append(f"−{shown}" if isinstance(shown, str) else f"−{shown:.4g}")
    if limit.min is not None:
        parts.append(f"≥ {limit.min:g}")
    if limit.max is not None:
        parts.append(f"≤ {limit.max:g}")
    return ", ".join(parts)


def worst_first(verdicts: Sequence[MetricVerdict]) -> list[MetricVerdict]:
    """Verdicts in the order in which a reader needs them: no verdict, failures, the closest to their margin, the rest."""
    order: dict[State, int] = {"missing": 0, "invalid": 0, "fail": 1, "inconclusive": 2, "no-baseline": 3, "pass": 4}

    def slack(verdict: MetricVerdict) -> float:
        if verdict.change is None or not verdict.margin:
            return float("inf")
        return verdict.change / verdict.margin

    return sorted(verdicts, key=lambda verdict: (order[verdict.state], slack(verdict)))
