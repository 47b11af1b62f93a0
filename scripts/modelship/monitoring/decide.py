"""Whether a live version is trained again: four triggers, what holds back, and a sentence for each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Literal

import msgspec

from modelship.core.words import counted, general
from modelship.monitoring.history import Batch, History
from modelship.monitoring.losses import Loss, loss_over, losses, of_version, quantile

Name = Literal["performance", "drift", "age", "new-rows"]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to train again. A trigger that is None never fires."""

    performance: bool = True
    drift: int | None = 2
    """In so many batches in a row."""
    max_age: timedelta | None = None
    new_rows: int | None = None
    """With truth, since training."""
    new_share: float | None = None
    """The same as a share of the rows that the version was trained on."""
    confidence: float = 0.95
    min_rows: int = 500
    """With fewer rows whose truth is known a loss is not judged."""
    cooldown: timedelta = timedelta(days=14)
    """After a retrain was asked for."""
    most: int = 4
    """Retrains within `per`."""
    per: timedelta = timedelta(days=90)


class Trigger(msgspec.Struct, frozen=True):
    """One reason to train again, and whether it holds."""

    name: Name
    fires: bool
    told: str
    """What was found, in a few words."""


class Decision(msgspec.Struct, frozen=True):
    """What to do now."""

    triggers: tuple[Trigger, ...]
    """Those that fire come first."""
    held_back: str = ""
    """Why nothing is done although a trigger fires; empty where nothing holds back."""
    not_before: datetime | None = None
    """When that ends."""

    @property
    def fires(self) -> bool:
        """Whether there is a reason to train again."""
        return any(trigger.fires for trigger in self.triggers)

    @property
    def retrain(self) -> bool:
        """Whether to train again now."""
        return self.fires and not self.held_back

    @property
    def in_trouble(self) -> bool:
        """Whether production is not what it should be; age and new rows alone are no trouble."""
        return any(trigger.fires for trigger in self.triggers if trigger.name in ("performance", "drift"))


def decide(history: History, rules: Rules, now: datetime) -> Decision:
    """The decision at `now`, a moment with a time zone; a pure function of what is known."""
    triggers = sorted(_triggers(history, rules, now), key=lambda trigger: not trigger.fires)
    held_back, not_before = _held_back(history, rules, now) if any(trigger.fires for trigger in triggers) else ("", None)
    return Decision(tuple(triggers), held_back, not_before)


def _triggers(history: History, rules: Rules, now: datetime) -> Iterator[Trigger]:
    if rules.performance:
        yield _performance(history, rules)
    if rules.drift is not None:
        yield _drift(history, rules, rules.drift)
    if rules.max_age is not None:
        age = now - history.trained_at
        told = f"trained {_days(age)} ago, of {_days(rules.max_age)} allowed"
        yield Trigger("age", age >= rules.max_age, told)
    if rules.new_rows is not None or rules.new_share is not None:
        yield _new_rows(history, rules)


def _performance(history: History, rules: Rules) -> Trigger:
    """Fires when a loss beyond what is allowed is proven in any metric. Tells of the metric and the batches that show most."""
    found = [loss for promise in history.promises for loss in losses(history, promise)]
    if not history.promises:
        return Trigger("performance", fires=False, told="nothing was promised at release")
    if not found:
        return Trigger("performance", fires=False, told="no batch has all its truth yet")
    enough = [loss for loss in found if loss.rows >= rules.min_rows]
    if not enough:
        most = max(loss.rows for loss in found)
        return Trigger("performance", fires=False, told=f"{counted(most, 'row')} with truth, of {rules.min_rows:,} that are needed")
    beyond = quantile(rules.confidence, len(history.promises))
    worst = max(enough, key=lambda loss: loss.evidence)
    return Trigger("performance", worst.evidence > beyond, _loss_told(worst, beyond))


def _loss_told(loss: Loss, beyond: float) -> str:
    promise = loss.promise
    low, high = loss.interval(beyond)
    return (
        f"{promise.metric} {general(promise.value, 3)} → {general(loss.value, 3)}, a loss of {general(loss.loss, 2)} "
        f"[{general(low, 2)}, {general(high, 2)}] of {general(promise.max_loss, 2)} allowed, "
        f"on {counted(loss.rows, 'row')} of {counted(loss.batches, 'batch', 'batches')}"
    )


def _drift(history: History, rules: Rules, needed: int) -> Trigger:
    """Fires when the newest batches all drifted, unless their own truth shows that the version still keeps what it promised."""
    known = [batch for batch in of_version(history) if batch.drift is not None]
    row = next((index for index, batch in enumerate(reversed(known)) if not batch.drift), len(known))
    if not row:
        return Trigger("drift", fires=False, told="none in the newest batch" if known else "not measured yet")
    columns = ", ".join(known[-1].drifted[:5])
    told = f"in {counted(row, 'batch', 'batches')} in a row, of {needed} that count" + (f": {columns}" if columns else "")
    if row < needed:
        return Trigger("drift", fires=False, told=told)
    if _keeps_its_promise(history, known[-row:], rules):
        return Trigger("drift", fires=False, told=f"{told}; performance on them is within its limits")
    return Trigger("drift", fires=True, told=told)


def _keeps_its_promise(history: History, batches: list[Batch], rules: Rules) -> bool:
    """Whether each metric is shown, by the truth of these very batches, to have lost no more than is allowed: one look, one-sided."""
    if not history.promises:
        return False
    found = [loss_over(promise, batches) for promise in history.promises]
    within = NormalDist().inv_cdf(rules.confidence)
    return all(loss and loss.rows >= rules.min_rows and loss.interval(within)[1] <= loss.promise.max_loss for loss in found)


def _new_rows(history: History, rules: Rules) -> Trigger:
    new = sum(batch.labelled for batch in history.batches if batch.start >= history.trained_at)
    if rules.new_share is not None and history.training_rows is None:
        return Trigger("new-rows", fires=False, told="how many rows the version was trained on is not known")
    needed = rules.new_rows if rules.new_share is None else round(rules.new_share * (history.training_rows or 0))
    assert needed is not None
    return Trigger("new-rows", new >= needed, f"{counted(new, 'row')} with truth since training, of {needed:,} that count")


def _held_back(history: History, rules: Rules, now: datetime) -> tuple[str, datetime | None]:
    asked = sorted(one.at for one in history.asked if one.at <= now)
    if asked and now < asked[-1] + rules.cooldown:
        return f"a retrain was asked for {_days(now - asked[-1])} ago", asked[-1] + rules.cooldown
    within = [at for at in asked if at + rules.per > now]
    if len(within) >= rules.most:
        ends = within[-rules.most] + rules.per
        return f"{counted(len(within), 'retrain')} in {_days(rules.per)}, of {rules.most} that the budget has", ends
    return "", None


def _days(span: timedelta) -> str:
    return counted(max(span.days, 0), "day")
