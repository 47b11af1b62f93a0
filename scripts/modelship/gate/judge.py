"""The verdict on each metric: pure arithmetic on numbers that were read before.

The difference d is signed so that positive is better, whatever the metric's direction; the margin m is how much worse than the
baseline a metric may be. With paired predictions d carries an interval [lo, hi]:

    hi < -m             fail: worse, and proven
    lo >= -m            pass: no worse than allowed, and proven
    d >= -m             pass: within the margin, as far as these rows tell
    d < -m <= hi        inconclusive: these rows cannot tell

Without predictions a difference has no measure of chance: d >= -m passes, d < -m fails.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from modelship.core.config import Limit
from modelship.core.errors import Problem, did_you_mean
from modelship.core.metrics import ROUNDING, Metrics
from modelship.core.records import MetricVerdict, State
from modelship.core.words import MINUS, general
from modelship.gate.directions import Direction, contradicts, direction

if TYPE_CHECKING:
    from modelship.gate.comparison import Comparison


class Judgement(msgspec.Struct, frozen=True):
    """All verdicts, and the problems that keep the gate from having one."""

    verdicts: tuple[MetricVerdict, ...]
    problems: tuple[Problem, ...]

    @property
    def fails(self) -> list[MetricVerdict]:
        """The metrics that block."""
        return [verdict for verdict in self.verdicts if verdict.state == "fail"]

    @property
    def inconclusive(self) -> list[MetricVerdict]:
        """The metrics on which the data cannot tell."""
        return [verdict for verdict in self.verdicts if verdict.state == "inconclusive"]

    @property
    def without_baseline(self) -> list[MetricVerdict]:
        """The metrics that could only be held against absolute limits."""
        return [verdict for verdict in self.verdicts if verdict.state == "no-baseline"]


def judge(
    limits: Mapping[str, Limit],
    candidate: Metrics,
    baseline: Metrics | None,
    *,
    compare: bool = True,
    comparisons: Mapping[str, Comparison] | None = None,
    confidence: float = 0.95,
    computable: Collection[str] = (),
) -> Judgement:
    """Hold `candidate` against `limits` and `baseline`.

    `baseline` None means that there is none yet; `compare` False that the team wants none, so that absolute limits are all.
    `comparisons` are what paired predictions gave, by metric; their numbers stand in place of reported ones. `computable` are the
    names that predictions give a metric under. A gated metric that is
    absent or no finite number, in the candidate or in the baseline, is a problem, never a pass.
    """
    verdicts: list[MetricVerdict] = []
    problems: list[Problem] = []
    for name, limit in limits.items():
        better = limit.better or direction(name)
        if limit.better and contradicts(name, limit.better):
            problems.append(_wrong_direction(name, limit.better))
            continue
        if better is None:
            known = name in candidate.values or name in candidate.invalid
            problems.append(_no_direction(name) if known else _absent(name, candidate, "the candidate's metrics", computable))
            continue
        paired = (comparisons or {}).get(name)
        if paired:
            verdicts.append(judge_paired(name, limit, better, paired, confidence))
            continue
        verdict, problem = _judge_reported(name, limit, better, candidate, baseline, compare, computable)
        verdicts.append(verdict)
        if problem:
            problems.append(problem)
    if not compare and not any(_is_absolute(limit) for limit in limits.values()):
        problems.append(
            Problem("no metric in `gate.metrics` has `min` or `max`, and without a baseline nothing else is held.", _ADD_ONE)
        )
    return Judgement(tuple(verdicts), tuple(problems))


_ADD_ONE = "Add one, or choose another `gate.baseline` than `none`."


def judge_paired(name: str, limit: Limit, better: Direction, paired: Comparison, confidence: float) -> MetricVerdict:
    """The verdict on a metric whose change carries an interval at `confidence`."""
    verdict = _weighed(name, limit, better, paired.candidate, paired.baseline, paired.change, paired.interval(confidence))
    undecided = verdict.state == "inconclusive"
    return msgspec.structs.replace(
        verdict,
        rows_to_decide=paired.rows_to_decide(verdict.margin or 0.0, confidence) if undecided else None,
        method=paired.method,
        recomputed=True,
    )


def margin(limit: Limit, baseline: float) -> float | None:
    """How much worse than `baseline` the metric may be, in its own unit, or None when the team set no `max-regression`."""
    if limit.max_regression is None:
        return None
    if isinstance(limit.max_regression, str):
        return float(limit.max_regression.rstrip("%")) / 100 * abs(baseline)
    return limit.max_regression


def _judge_reported(
    name: str,
    limit: Limit,
    better: Direction,
    candidate: Metrics,
    baseline: Metrics | None,
    compare: bool,
    computable: Collection[str],
) -> tuple[MetricVerdict, Problem | None]:
    """The verdict on a metric of which only two numbers are known, and the problem where one of them is none."""
    value = candidate.values.get(name)
    allowed = _allowed(limit, limit.max_regression if compare else None)
    verdict = MetricVerdict(metric=name, state="missing", reason="missing", better=better, allowed=allowed, candidate=value)
    if value is None:
        return _unusable(verdict, candidate, "the candidate's metrics", computable)
    if compare and baseline is not None and name in baseline.invalid:
        return _unusable(verdict, baseline, "the baseline's metrics")
    before = baseline.values.get(name) if compare and baseline is not None else None
    if before is None:
        state: State = "no-baseline" if compare and limit.max_regression is not None else "pass"
        broken = _broken_limit(limit, value)
        unbroken = "no baseline" if state == "no-baseline" else "within the limits" if _is_absolute(limit) else "not compared"
        reason = broken or unbroken
        return msgspec.structs.replace(verdict, state="fail" if broken else state, reason=reason), None
    change = value - before if better == "higher" else before - value
    return _weighed(name, limit, better, value, before, change, None), None


def _weighed(
    name: str,
    limit: Limit,
    better: Direction,
    candidate: float,
    baseline: float,
    change: float,
    interval: tuple[float, float] | None,
) -> MetricVerdict:
    margin_ = margin(limit, baseline)
    rounding = ROUNDING * max(abs(candidate), abs(baseline))
    state, reason, proven = _weigh(change, interval, margin_, rounding)
    broken = _broken_limit(limit, candidate)
    return MetricVerdict(
        metric=name,
        state="fail" if broken else state,
        reason=broken or reason,
        better=better,
        baseline=baseline,
        candidate=candidate,
        change=change,
        margin=margin_,
        allowed=_allowed(limit, margin_),
        interval=interval,
        proven=proven and not broken,
    )


def _weigh(change: float, interval: tuple[float, float] | None, margin_: float | None, rounding: float) -> tuple[State, str, bool]:
    """State, reason, and whether the interval proves it."""
    low, high = interval or (change, change)
    is_proven = interval is not None
    if low == high == 0:
        return "pass", "same", is_proven
    if low > 0:
        return "pass", "better", is_proven
    if margin_ is None:
        return "pass", "within the limits", False
    edge = -margin_ - rounding
    if high < edge:
        return "fail", "worse", is_proven
    if low >= edge and is_proven:
        return "pass", "no worse", True
    if change >= edge:
        return "pass", "within the margin", False
    return "inconclusive", "cannot tell", False


def _unusable(verdict: MetricVerdict, metrics: Metrics, where: str, computable: Collection[str] = ()) -> tuple[MetricVerdict, Problem]:
    name = verdict.metric
    if name not in metrics.invalid:
        return verdict, _absent(name, metrics, where, computable)
    reason = metrics.invalid[name]
    problem = Problem(f"`{name}` in {where} is no number: {reason}.", "Training must write a finite one.")
    return msgspec.structs.replace(verdict, state="invalid", reason=reason), problem


def _absent(name: str, metrics: Metrics, where: str, computable: Collection[str]) -> Problem:
    known = [*metrics.values, *metrics.invalid]
    # A name that is computed from predictions is in the list of these; what is absent all the same is no nearest name.
    nearest = did_you_mean(name, {*known, *computable} - {name})
    return Problem(f"`{name}` is not in {where}.", nearest)


def _no_direction(name: str) -> Problem:
    message = f"`gate.metrics.{name}`: it is not known whether higher or lower is better."
    return Problem(message, "Add `better: higher` or `better: lower`.")


def _wrong_direction(name: str, better: Direction) -> Problem:
    message = f"`gate.metrics.{name}`: `better: {better}` turns it around, because {direction(name)} values of it are better."
    return Problem(message, "Leave `better` out, or call another metric by another name.")


def _is_absolute(limit: Limit) -> bool:
    return limit.min is not None or limit.max is not None


def _broken_limit(limit: Limit, value: float) -> str:
    if limit.min is not None and value < limit.min:
        return f"below {general(limit.min)}"
    if limit.max is not None and value > limit.max:
        return f"above {general(limit.max)}"
    return ""


def _allowed(limit: Limit, margin_: float | str | None) -> str:
    """The limits as a reader would write them. `margin_` is None where nothing is compared."""
    parts = []
    if margin_ is not None:
        parts.append(MINUS + (margin_ if isinstance(margin_, str) else general(margin_, 4)))
    if limit.min is not None:
        parts.append(f"≥ {general(limit.min)}")
    if limit.max is not None:
        parts.append(f"≤ {general(limit.max)}")
    return ", ".join(parts)


def worst_first(verdicts: Sequence[MetricVerdict]) -> list[MetricVerdict]:
    """Verdicts in the order in which a reader needs them: no verdict, failures, the furthest beyond their margin, unchanged ones."""
    order: dict[State, int] = {"missing": 0, "invalid": 0, "fail": 1, "inconclusive": 2, "no-baseline": 3, "pass": 4}

    def slack(verdict: MetricVerdict) -> float:
        """The change in margins: -1 is just allowed."""
        if not verdict.change:
            return float("inf")
        if verdict.margin is None:
            return 1e300
        return verdict.change / verdict.margin if verdict.margin else verdict.change * float("inf")

    return sorted(verdicts, key=lambda verdict: (order[verdict.state], slack(verdict)))
