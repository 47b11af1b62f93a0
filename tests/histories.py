"""Models with a past, made up: versions, deployments, a rollback, batches of production, and what was asked for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelship.core.records import Baseline, Batch, Measured, MetricVerdict, MonitorRecord, Promise
from modelship.deployment.ledger import Action, Entry
from modelship.history.health import Health, health
from modelship.history.past import Past, Version
from modelship.monitoring.decide import Rules
from modelship.monitoring.history import Asked
from modelship.reporting.history import Telling, build_history
from modelship.reporting.report import Facts, Report

NOW = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)
"""When the newest batch ends: a Monday."""
WEEK = timedelta(days=7)
SITES = frozenset({"https://github.com"})
COLUMNS = ("pressure", "temp", "visib", "wind_speed", "humid")


def batch(start: datetime, version: int, value: float = 0.74, **more: Any) -> Batch:
    """A week of a version, with one metric."""
    measured = (Measured(metric="roc_auc", value=value, standard_error=0.006, rows=4000),)
    fields = {"rows": 4000, "labelled": 4000, "is_complete": True, "measured": measured, "drift": False, **more}
    return Batch(start=start, end=start + WEEK, version=version, **fields)


def looked(seen: Batch, status: Any = "pass", *, promised: float = 0.744, summary: str = "", metric: str = "roc_auc") -> MonitorRecord:
    """What `monitor` kept of a batch."""
    promises = (Promise(metric=metric, value=promised, standard_error=0.005, better="higher", max_loss=0.02),)
    told = summary or f"v{seen.version}, {seen.start:%Y-%m-%d} to {seen.end:%Y-%m-%d}: every metric is within its margin"
    trained = END - 60 * WEEK
    return MonitorRecord(
        status=status, summary=told, version=seen.version, batch=seen, promises=promises, trained_at=trained,
        started_at=(seen.end + timedelta(days=1)).isoformat(),
    )  # fmt: skip


def version(number: int, at: datetime, change: float = 0.002, **more: Any) -> Version:
    """A version as the gate let it pass."""
    holds = change >= -0.005
    verdict = MetricVerdict(
        metric="roc_auc", state="pass" if holds else "fail", reason="within the margin" if holds else "worse", better="higher",
        baseline=0.742, candidate=0.742 + change, change=change, margin=0.005, interval=(change - 0.004, change + 0.004),
    )  # fmt: skip
    fields = {
        "commit": f"{number:040x}",
        "verdict": "pass",
        "run_url": f"https://github.com/acme/flights/actions/runs/{number}",
        **more,
    }
    baseline = Baseline(kind="champion", label=f"champion v{number - 1}", version=number - 1)
    return Version(
        version=number, created_at=milliseconds(at), baseline=baseline, metrics=(verdict,), confidence=0.95, **fields
    )  # fmt: skip


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def ledger(steps: Sequence[tuple[Action, int, datetime, str]], environment: str = "production") -> tuple[Entry, ...]:
    """A beginning and an end for each step: an action, or `failed` for a deployment that failed."""
    entries: list[Entry] = []
    for action, number, at, reason in steps:
        begins = Action.ROLLBACK if action is Action.ROLLBACK else Action.DEPLOY
        begun = Entry(
            environment=environment, action=begins, version=number, key=f"run {len(entries)}", lease=600, actor="dana", reason=reason,
            expects=len(entries), number=len(entries) + 1, at=milliseconds(at), url=f"https://github.com/acme/flights/actions/runs/{number}",
        )  # fmt: skip
        entries.append(begun)
        ended = begun.ended(Action.FAILED if action is Action.FAILED else Action.GOOD, reason)
        entries.append(_numbered(ended, len(entries) + 1, at + timedelta(minutes=5)))
    return tuple(entries)


def _numbered(entry: Entry, number: int, at: datetime) -> Entry:
    import msgspec

    return msgspec.structs.replace(entry, number=number, at=milliseconds(at))


def past(weeks: int = 26, seed: int = 1) -> Past:
    """Half a year, or more: v7 lives through it, v8 comes and is taken back, v9 fails, and in the end v7 has lost something."""
    dice = random.Random(seed)
    start = END - weeks * WEEK
    taken_back = weeks // 2
    records = []
    for week in range(weeks):
        number = 8 if taken_back - 4 <= week < taken_back else 7
        value = 0.745 - 0.035 * max(week / weeks - 0.55, 0) * 2 + dice.gauss(0, 0.004) - 0.02 * (number == 8)
        far = 3 if week >= weeks - 3 else 1 if dice.random() < 0.2 else 0
        coming = week >= weeks - 2
        seen = batch(
            start + week * WEEK, number, value, drift=far == 3, drifted=tuple(COLUMNS[:far]), is_complete=not coming,
            labelled=1500 if coming else 4000,
        )  # fmt: skip
        status = "fail" if value + 0.02 < 0.724 else "warn" if value < 0.724 or far == 3 else "pass"
        summary = f"v{number}: {'1 of 14 features drifted' if far else 'every metric is within its margin'}"
        records.append(looked(seen, status, promised=0.744 if number == 7 else 0.747, summary=summary))
    steps = [
        (Action.DEPLOY, 6, start - 6 * WEEK, ""),
        (Action.DEPLOY, 7, start - WEEK, "Better on short flights"),
        (Action.DEPLOY, 8, start + (taken_back - 4) * WEEK, "Trained on July as well"),
        (Action.ROLLBACK, 7, start + taken_back * WEEK, "Support hears of late flights that were on time"),
        (Action.FAILED, 9, start + (weeks - 4) * WEEK, "v9 did not hold: p99 310 ms for one row; allowed are 200 ms"),
    ]
    versions = (
        version(9, steps[4][2] - timedelta(hours=1), 0.003),
        version(8, steps[2][2] - timedelta(hours=1), 0.003),
        version(7, steps[1][2] - timedelta(hours=1), -0.008, verdict="warn", accepted="mira: the holdout of May is odd, see #812"),
        version(6, steps[0][2] - timedelta(hours=1), 0.006),
    )
    asked = (Asked(at=END - WEEK, why="drift: in 2 batches in a row, of 2 that count: pressure, temp"),)
    return Past(versions=versions, entries=ledger(steps), records=tuple(records), asked=asked, champion=7)


def state(known: Past, now: datetime = NOW, environment: str = "production") -> Health:
    """How its live version does."""
    return health(known, environment, Rules(), now)


def report(known: Past, now: datetime = NOW, model: str = "flight-delay", environment: str = "production") -> Report:
    """Its page."""
    facts = Facts(sites=SITES, run="run 42", run_url="https://github.com/acme/flights/actions/runs/42")
    telling = Telling(model, now, facts, repository_url="https://github.com/acme/flights")
    return build_history(known, state(known, now, environment), telling)
