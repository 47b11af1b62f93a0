"""From what was seen of production to a decision whether to train again, and its record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelship.core.config import LoadedConfig, seconds_of
from modelship.core.config import Retrain as Settings
from modelship.core.errors import bad_input
from modelship.core.records import AnyRecord, MonitorRecord, RetrainRecord, RetrainTrigger, read_record
from modelship.core.words import clean
from modelship.monitoring.decide import Decision, Rules, decide
from modelship.monitoring.history import Asked, Batch, History
from modelship.monitoring.losses import of_version

_MOST_FILES = 10_000
_MOST_REASON = 1_000
_PLACES = re.compile(r"\{reason\}|\{version\}")


def rules(settings: Settings) -> Rules:
    """What the team asks for, as `decide` takes it."""

    def span(duration: str) -> timedelta:
        return timedelta(seconds=seconds_of(duration))

    share = isinstance(settings.new_rows, str)
    return Rules(
        performance=settings.performance,
        drift=settings.drift or None,
        max_age=span(settings.max_age) if settings.max_age else None,
        new_rows=settings.new_rows if isinstance(settings.new_rows, int) else None,
        new_share=float(str(settings.new_rows).rstrip("%")) / 100 if share else None,
        confidence=settings.confidence,
        min_rows=settings.min_rows,
        cooldown=span(settings.cooldown),
        most=settings.budget.retrains,
        per=span(settings.budget.per),
    )


def read_folder(folder: Path) -> tuple[MonitorRecord, ...]:
    """The records of `monitor` in a folder and all folders in it, `*.json`. Raises BadInput for others, and for none."""
    paths = sorted(folder.rglob("*.json"))[: _MOST_FILES + 1]
    if not paths:
        raise bad_input("holds no record of `monitor`.", "Keep `monitor.json` of each batch there.", path=str(folder))
    if len(paths) > _MOST_FILES:
        raise bad_input(f"holds more than {_MOST_FILES:,} files.", path=str(folder))
    found: list[AnyRecord | None] = [read_record(path, "monitor") for path in paths]
    return tuple(record for record in found if isinstance(record, MonitorRecord))


def history_of(records: Iterable[MonitorRecord], asked: Iterable[Asked] = ()) -> History:
    """What is known of the version that was looked at last. Of several looks at a batch the last one counts.

    Raises BadInput where no batch was looked at.
    """
    seen = sorted((record for record in records if record.batch), key=lambda record: record.started_at)
    if not seen:
        raise bad_input("nobody has looked at a batch of production yet.", "Run `modelship monitor` first.")
    newest = seen[-1]
    assert newest.batch is not None
    batches: dict[tuple[datetime, int], Batch] = {}
    for record in seen:
        if record.batch:
            batches[record.batch.start, record.batch.version] = record.batch
    if newest.trained_at is None:
        raise bad_input(f"when v{newest.batch.version} was released is not known.", "Look at it again: `modelship monitor`.")
    return History(
        version=newest.batch.version,
        trained_at=newest.trained_at,
        training_rows=newest.training_rows,
        promises=newest.promises,
        batches=tuple(batches[key] for key in sorted(batches)),
        asked=tuple(sorted(asked, key=lambda one: one.at)),
    )


def retrain(loaded: LoadedConfig, known: History, now: datetime) -> RetrainRecord:
    """The decision at `now`, as a record."""
    decision = decide(known, rules(loaded.config.retrain), now)
    batches = of_version(known)
    return RetrainRecord(
        model=loaded.config.model,
        status="warn" if decision.fires else "pass",
        summary=_summary(known.version, decision),
        name=loaded.config.registered_name,
        version=known.version,
        retrain=decision.retrain,
        in_trouble=decision.in_trouble,
        triggers=tuple(RetrainTrigger(trigger=one.name, fires=one.fires, told=one.told) for one in decision.triggers),
        held_back=decision.held_back,
        not_before=decision.not_before,
        batches=len(batches),
        newest=max((batch.end for batch in batches), default=None),
    )


def asking(record: RetrainRecord, now: datetime, workflow: str = "") -> Asked:
    """What is kept of a retrain that is asked for, and that Modelship dispatches `workflow` for, if there is one."""
    return Asked(at=now.astimezone(UTC), why=_reasons(record), workflow=workflow, version=record.version or 0)


def inputs(settings: Settings, record: RetrainRecord) -> dict[str, str]:
    """What the workflow is given. The reason names columns of the data, and so may hold anything: the workflow must not run it."""
    meant = {"{reason}": clean(_reasons(record), _MOST_REASON), "{version}": str(record.version or "")}
    return {name: _PLACES.sub(lambda place: meant[place[0]], text) for name, text in settings.inputs.items()}


def _reasons(record: RetrainRecord) -> str:
    return "; ".join(f"{one.trigger}: {one.told}" for one in record.triggers if one.fires)


def _summary(version: int, decision: Decision) -> str:
    reasons = "; ".join(f"{trigger.name}: {trigger.told}" for trigger in decision.triggers if trigger.fires)
    if decision.retrain:
        return f"v{version} is to be trained again ({reasons})."
    if decision.fires:
        until = f", until {decision.not_before:%Y-%m-%d}" if decision.not_before else ""
        return f"v{version} would be trained again ({reasons}), but {decision.held_back}{until}."
    return f"v{version} stays: nothing asks for a retrain."
