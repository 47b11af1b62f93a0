"""A walk through history: at each moment with what was known then, and with nothing that came later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from modelship.monitoring.decide import Decision, Rules, decide
from modelship.monitoring.history import Asked, Batch, History, Promise
from modelship.monitoring.windows import Window

Way = Literal["once", "rules", "every-batch"]
"""When to train: at the start alone, whenever the rules of `retrain` ask for it, after every batch."""


@dataclass(frozen=True)
class Timeline:
    """Batches one after the other, each beginning where the one before ends. A moment is the number of batches that are over."""

    windows: tuple[Window, ...]
    delay: timedelta
    """How long after a batch its truth is complete."""
    holdout: int
    """How many batches are held out of training."""

    def at(self, moment: int) -> datetime:
        """When a moment is."""
        return self.windows[moment].start if moment < len(self.windows) else self.windows[-1].end

    def complete(self, moment: int) -> int:
        """How many batches, counted from the first, have all the truth that is to be expected."""
        now = self.at(moment)
        return sum(window.end + self.delay <= now for window in self.windows[:moment])

    def learnt(self, moment: int) -> range:
        """The batches that are trained on at a moment."""
        return range(max(self.complete(moment) - self.holdout, 0))

    def held_out(self, moment: int) -> range:
        """The batches, all of them after those, on which it is told what the new version promises."""
        complete = self.complete(moment)
        return range(max(complete - self.holdout, 0), complete)

    @property
    def earliest(self) -> int | None:
        """The first moment at which there is something to train on; None where that never comes before the last batch."""
        return next((moment for moment in range(1, len(self.windows)) if self.learnt(moment)), None)


@dataclass(frozen=True)
class Version:
    """What was trained at a moment, and answers from then on."""

    moment: int
    training_rows: int
    promises: tuple[Promise, ...]


@dataclass(frozen=True)
class Failed:
    """Training that gave no model."""

    why: str


class World(Protocol):
    """What happens when somebody trains or looks."""

    def train(self, moment: int) -> Version | Failed:
        """What training gives with the rows whose truth is known at a moment."""

    def look(self, version: Version, batch: int, moment: int) -> Batch:
        """What `monitor` would have seen at a moment of a batch that a version answered."""


@dataclass(frozen=True)
class Step:
    """A moment at which training was thought of."""

    moment: int
    retrain: bool
    told: str
    """Why, or why not."""
    failed: str = ""
    """Why training gave no model, so that the version before stays."""


@dataclass(frozen=True)
class Walked:
    """One way through history."""

    way: Way
    versions: tuple[Version, ...]
    """Beside the batches from the first moment on: who answered each."""
    steps: tuple[Step, ...]

    @property
    def retrained(self) -> tuple[Step, ...]:
        """Where a new version was trained."""
        return tuple(step for step in self.steps if step.retrain and not step.failed)


def walk(way: Way, timeline: Timeline, first: Version, rules: Rules, world: World) -> Walked:
    """From the training of `first` to the last batch. What is trained at a moment answers the batch that begins then."""
    version = first
    versions: list[Version] = [first]
    steps: list[Step] = []
    asked: list[Asked] = []
    for moment in range(first.moment + 1, len(timeline.windows)):
        if way == "rules":
            decision = decide(_known(timeline, version, moment, asked, world), rules, timeline.at(moment))
            step = Step(moment, decision.retrain, _told(decision))
        else:
            step = Step(moment, way == "every-batch", "")
        if step.retrain:
            asked.append(Asked(at=timeline.at(moment), why=step.told))
            trained = world.train(moment)
            if isinstance(trained, Failed):
                step = Step(moment, retrain=True, told=step.told, failed=trained.why)
            else:
                version = trained
        steps.append(step)
        versions.append(version)
    return Walked(way, tuple(versions), tuple(steps))


def _known(timeline: Timeline, version: Version, moment: int, asked: Sequence[Asked], world: World) -> History:
    """What `retrain` would have known at a moment of the version that is live then."""
    return History(
        version=version.moment,
        trained_at=timeline.at(version.moment),
        training_rows=version.training_rows,
        promises=version.promises,
        batches=tuple(world.look(version, batch, moment) for batch in range(version.moment, moment)),
        asked=tuple(asked),
    )


def _told(decision: Decision) -> str:
    """The reasons that there are, and what holds back."""
    parts = [f"{trigger.name}: {trigger.told}" for trigger in decision.triggers if trigger.fires == decision.fires]
    if decision.fires and decision.held_back:
        parts.append(decision.held_back)
    return "; ".join(parts)
