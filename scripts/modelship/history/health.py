"""How a live version does, in one word: what a badge shows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from modelship.core.errors import BadInput
from modelship.core.records import MonitorRecord
from modelship.core.words import counted
from modelship.deployment.ledger import Action, Entry, fold
from modelship.history.past import Past
from modelship.monitoring.decide import Decision, Rules, decide
from modelship.monitoring.retrain import history_of

State = Literal["healthy", "degraded", "in trouble", "rolled back", "unknown"]

PATIENCE = 3
"""After so many lengths of a batch without a look at a newer one nobody knows how the version does."""


@dataclass(frozen=True)
class Health:
    """The live version and its state."""

    state: State
    told: str
    """Why, in a sentence."""
    version: int | None = None
    """None where nothing is live."""
    environment: str = ""
    """Empty for teams that deploy to none."""
    decision: Decision | None = None
    """What `retrain` finds; None before a batch of the version was looked at."""


def health(past: Past, environment: str, rules: Rules, now: datetime) -> Health:
    """The state of the version that is live in `environment`; where that is empty, of the one that the alias `champion` names.

    The first of these that holds: *in trouble* (`retrain` finds a loss or drift that stays, or a look failed), *rolled back* (a later
    version was taken back, and this one is live again), *unknown* (nobody has looked, or not for long), *degraded* (a look warns),
    *healthy*.
    The looks that count are the newest, and the newest at a batch on which all labels are in. Raises BadInput for a ledger that cannot
    be read.
    """
    entry = _live_entry(past, environment)
    version = entry.version if entry else None if environment else past.champion
    if version is None:
        return Health("unknown", f"Nothing is live{f' in {environment}' if environment else ''} yet.", environment=environment)
    looks = [record for record in past.records if record.batch and record.batch.version == version]
    decision = _decision(past, looks, rules, now)
    state, told = _state(version, looks, decision, _is_back(past, entry), now)
    return Health(state, told, version, environment, decision)


def _live_entry(past: Past, environment: str) -> Entry | None:
    return fold(past.entries).environment(environment).live if environment else None


def _is_back(past: Past, entry: Entry | None) -> bool:
    """Whether a rollback brought the version."""
    return entry is not None and any(known.action is Action.ROLLBACK and known.is_of(entry) for known in past.entries)


def _decision(past: Past, looks: list[MonitorRecord], rules: Rules, now: datetime) -> Decision | None:
    try:
        return decide(history_of(looks, past.asked), rules, now)
    except BadInput:
        return None


def _state(version: int, looks: list[MonitorRecord], decision: Decision | None, is_back: bool, now: datetime) -> tuple[State, str]:
    telling = _telling(looks)
    failed = next((record for record in telling if record.status in ("fail", "error")), None)
    if decision and decision.in_trouble:
        return "in trouble", "; ".join(f"{one.name}: {one.told}" for one in decision.triggers if one.fires) + "."
    if failed:
        return "in trouble", _sentence(failed)
    if is_back:
        return "rolled back", f"A later version was taken back. {_sentence(telling[0]) if telling else ''}".strip()
    if not telling:
        return "unknown", f"Nobody has looked at a batch of v{version} yet."
    age = _days_without_a_look(telling[0], now)
    if age is not None:
        return "unknown", f"The newest batch that was looked at ended {counted(age, 'day')} ago."
    warned = next((record for record in telling if record.status == "warn"), None)
    return ("degraded", _sentence(warned)) if warned else ("healthy", _sentence(telling[0]))


def _telling(looks: list[MonitorRecord]) -> list[MonitorRecord]:
    """The newest look, and the newest at a batch on which all labels are in, where that is another one."""
    newest = looks[-1:]
    labelled = [record for record in looks if record.batch and record.batch.is_complete and record.batch.measured][-1:]
    return [*newest, *(record for record in labelled if record not in newest)]


def _days_without_a_look(record: MonitorRecord, now: datetime) -> int | None:
    """How long ago the batch ended, where that is too long."""
    assert record.batch is not None
    length = record.batch.end - record.batch.start
    age = now.astimezone(UTC) - record.batch.end
    return age.days if age > PATIENCE * length else None


def _sentence(record: MonitorRecord) -> str:
    return f"{record.summary.rstrip('.')}."
