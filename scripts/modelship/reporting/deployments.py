"""What the ledger of deployments says, for a person: what is live where, and how it came to be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelship.deployment.ledger import BEGINNINGS, Action, Entry, State
from modelship.reporting.blocks import Light, Row, Table
from modelship.reporting.inline import Link, line


@dataclass(frozen=True)
class Deployed:
    """One deployment or rollback: how it ended, or that it has not."""

    number: int
    """Of its last entry."""
    at: str
    """ISO 8601, UTC, to the second."""
    environment: str
    version: int
    outcome: str
    """`live`, `failed`, `rolled back to`, `rollback failed`, or `in progress`."""
    actor: str
    reason: str
    url: str


def history(entries: Sequence[Entry], state: State, environment: str | None = None) -> tuple[Deployed, ...]:
    """The deployments and rollbacks that count, newest first; of one environment, or of all."""
    began: dict[tuple[str, str], Entry] = {}
    found: list[Deployed] = []
    for entry in entries:
        if entry.number in state.refused or (environment and entry.environment != environment):
            continue
        if entry.action in BEGINNINGS:
            began[entry.environment, entry.key] = entry
        else:
            found.append(_deployed(entry, _ended(entry, began.get((entry.environment, entry.key)))))
    running = [known.in_progress for name, known in state.environments.items() if environment in (None, name)]
    found += [_deployed(entry, "in progress") for entry in running if entry]
    return tuple(sorted(found, key=lambda deployed: -deployed.number))


def live_table(state: State, environment: str | None = None) -> Table:
    """What serves where, since when."""
    champion = state.champion_version()
    is_busy = any(known.in_progress for known in state.environments.values())

    def rows() -> Iterator[Row]:
        for name, known in state.environments.items():
            if environment not in (None, name):
                continue
            live = known.live
            said = f"v{live.version}" + (", the champion" if live.version == champion else "") if live else "nothing"
            light: Light = "warn" if known.in_progress else "pass" if live else "none"
            since = _moment(live.at) if live else ""
            busy = f"v{known.in_progress.version} is being deployed" if known.in_progress else ""
            yield Row((line(name), line(said), line(since), *((line(busy),) if is_busy else ())), light)

    return Table(("environment", "serves", "since (UTC)", *(("",) if is_busy else ())), tuple(rows()))


def history_table(deployed: Sequence[Deployed], sites: Collection[str] | None = None) -> Table:
    """Who deployed what where, when and why; where links may lead to `sites`, with the run that did it."""
    lights: dict[str, Light] = {"live": "pass", "rolled back to": "warn", "in progress": "none"}
    rows = tuple(
        Row(
            tuple(
                line(cell)
                for cell in (
                    known.at.replace("T", " ").removesuffix("+00:00"),
                    known.environment,
                    f"{known.outcome} v{known.version}" if known.outcome == "rolled back to" else f"v{known.version} {known.outcome}",
                    known.actor,
                    known.reason,
                )
            )
            + (() if sites is None else (Link("run", known.url).only_within(sites),)),
            lights.get(known.outcome, "fail"),
        )
        for known in deployed
    )
    return Table(("when (UTC)", "environment", "what", "who", "why", *(() if sites is None else ("run",))), rows)


def _ended(entry: Entry, began: Entry | None) -> str:
    is_rollback = began is not None and began.action is Action.ROLLBACK
    if entry.action is Action.GOOD:
        return "rolled back to" if is_rollback else "live"
    return "rollback failed" if is_rollback else "failed"


def _deployed(entry: Entry, outcome: str) -> Deployed:
    at = datetime.fromtimestamp(entry.at / 1000, UTC).isoformat(timespec="seconds")
    return Deployed(entry.number, at, entry.environment, entry.version, outcome, entry.actor, entry.reason, entry.url)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
