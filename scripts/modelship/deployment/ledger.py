"""The ledger of deployments: what counts of an append-only, totally ordered list of entries, and what follows from it.

Everything here is pure. Whether an entry counts depends on the entries before it alone, so nothing that is appended later, by
whomever, changes what has counted; two readers that have read equally far agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from modelship.core.errors import bad_input

CHAMPION = "champion"
"""The alias of the version that candidates are judged against."""

_ENVIRONMENT = r"^[a-z0-9][a-z0-9-]{0,62}\Z"

Number = Annotated[int, Meta(ge=1)]
NumberOrNone = Annotated[int, Meta(ge=0)]
"""0 stands for none."""


class Action(StrEnum):
    """What an entry says of a deployment: that it begins (`deploy`, `rollback`) or how it ended (`good`, `failed`)."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    GOOD = "good"
    """The version serves, and has been found well."""
    FAILED = "failed"
    """The environment serves what it served before. A deployment of which that is not known has not ended."""


BEGINNINGS = frozenset({Action.DEPLOY, Action.ROLLBACK})


class Refusal(StrEnum):
    """Why an entry does not count."""

    DONE = "done"
    """The deployment of this key has ended well already."""
    STALE = "stale"
    """The environment has moved on since the author looked."""
    BUSY = "busy"
    """Another deployment to this environment runs, and its lease is not over."""
    NOT_BEGUN = "not-begun"
    """It ends a deployment that is not in progress."""
    CHAMPION_MOVED = "champion-moved"
    """The champion is not the one that this version was judged against."""
    NOT_GOOD_BEFORE = "not-good-before"
    """The environment that comes first has not had this version, or rolled it back."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    """One fact about one deployment of one version to one environment."""

    environment: Annotated[str, Meta(pattern=_ENVIRONMENT)]
    action: Action
    version: Number
    """Of the registered model."""
    key: Annotated[str, Meta(min_length=1, max_length=250)]
    """Names the deployment, the same however often its workflow step is repeated; all its entries carry it."""
    expects: NumberOrNone
    """The newest entry of this environment that counted when the author looked; 0 when there was none."""
    digest: Annotated[str, Meta(max_length=200)] = ""
    """Of the model's files, as `sha256:…`."""
    lease: NumberOrNone = 0
    """Seconds from a beginning on in which no other deployment to this environment may begin."""
    after: Annotated[str, Meta(max_length=63)] = ""
    """The environment in which this version must have been found good, and not rolled back since; empty for none."""
    replaces: NumberOrNone | None = None
    """The version of the champion that this one was judged against and is to replace, 0 for none; None leaves the champion alone."""
    actor: Annotated[str, Meta(max_length=200)] = ""
    reason: Annotated[str, Meta(max_length=600)] = ""
    url: Annotated[str, Meta(max_length=600)] = ""
    """The page of the workflow run."""
    number: NumberOrNone = 0
    """Its place in the ledger, from 1; 0 until it is appended."""
    at: NumberOrNone = 0
    """When the server appended it: milliseconds since 1970, UTC."""

    def __post_init__(self) -> None:
        if (self.action in BEGINNINGS) != (self.lease > 0):
            raise ValueError("a beginning has a lease, and nothing else has one")

    @property
    def lease_over_at(self) -> int:
        """Milliseconds since 1970, by the clock that set `at`."""
        return self.at + 1000 * self.lease

    def ended(self, action: Action, reason: str = "") -> Entry:
        """The entry to append when the deployment that this one began has ended."""
        return msgspec.structs.replace(self, action=action, expects=self.number, reason=reason, lease=0, number=0, at=0)

    def is_of(self, other: Entry) -> bool:
        """Whether both are of one deployment."""
        return (self.environment, self.key, self.version, self.replaces) == (
            other.environment,
            other.key,
            other.version,
            other.replaces,
        )

    def repeats(self, other: Entry) -> bool:
        """Whether both were written for the same step of one deployment: a request that was sent twice, as one."""
        return self.is_of(other) and (self.action, self.expects) == (other.action, other.expects)


@dataclass(frozen=True)
class Environment:
    """What the ledger says of one environment."""

    newest: int = 0
    """The newest entry that counted."""
    good: tuple[Entry, ...] = ()
    """How the versions came that were found good and not rolled back since, oldest first; the last is live."""
    in_progress: Entry | None = None
    """How the deployment began that has not ended."""

    @property
    def live(self) -> Entry | None:
        """How the version came that serves; while a deployment is in progress it may be that one instead."""
        return self.good[-1] if self.good else None

    @property
    def previous_good(self) -> Entry | None:
        """How the version came that a rollback brings back."""
        return self.good[-2] if len(self.good) > 1 else None

    def had(self, version: int) -> bool:
        """Whether that version was found good here and not rolled back since."""
        return any(entry.version == version for entry in self.good)


_UNTOUCHED = Environment()


@dataclass(frozen=True)
class State:
    """What a ledger says as a whole."""

    environments: Mapping[str, Environment] = field(default_factory=dict)
    champion: Entry | None = None
    """How the version came that candidates are judged against."""
    last: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    """The last entry that counted of each deployment, by environment and key."""
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    """The entries that do not count, by number."""

    def environment(self, name: str) -> Environment:
        """That environment; an empty one where nothing was deployed yet."""
        return self.environments.get(name, _UNTOUCHED)

    def champion_version(self) -> int:
        """The champion's version, 0 for none."""
        return self.champion.version if self.champion else 0

    def aliases(self) -> dict[str, int]:
        """The version that each alias must name: `champion`, and each environment's own."""
        found = {name: environment.live.version for name, environment in self.environments.items() if environment.live}
        return {**found, CHAMPION: self.champion.version} if self.champion else found


def why_not(state: State, entry: Entry) -> Refusal | None:
    """Why `entry` does not count after `state`, or None when it does. `entry.at` decides whether a lease is over."""
    here = state.environment(entry.environment)
    begins = entry.action in BEGINNINGS
    last = state.last.get((entry.environment, entry.key))
    if begins and last and last.action is Action.GOOD:
        return Refusal.DONE
    if entry.expects != here.newest:
        return Refusal.STALE
    running = here.in_progress
    if not begins and not (running and running.is_of(entry)):
        return Refusal.NOT_BEGUN
    goes_on = running is not None and running.is_of(entry) and running.action is entry.action
    if begins and running and not goes_on and entry.at < running.lease_over_at:
        return Refusal.BUSY
    if entry.action is not Action.FAILED and entry.replaces is not None and entry.replaces != state.champion_version():
        return Refusal.CHAMPION_MOVED
    if begins and entry.after and not state.environment(entry.after).had(entry.version):
        return Refusal.NOT_GOOD_BEFORE
    return None


def fold(entries: Iterable[Entry]) -> State:
    """The state after `entries`, which come in the order of their numbers. Raises BadInput when one is gone that others build on."""
    environments: dict[str, Environment] = {}
    last: dict[tuple[str, str], Entry] = {}
    refused: dict[int, Refusal] = {}
    seen = {0}
    state = State(environments, None, last, refused)
    for entry in entries:
        if entry.expects not in seen:
            raise bad_input(
                f"entry {entry.number} of the ledger of deployments builds on entry {entry.expects}, which is gone.",
                "Entries must not be deleted: rename the registered model that holds them, and deploy again.",
            )
        seen.add(entry.number)
        refusal = why_not(state, entry)
        if refusal:
            refused[entry.number] = refusal
            continue
        environments[entry.environment] = _moved(state.environment(entry.environment), entry)
        last[entry.environment, entry.key] = entry
        if entry.action is Action.GOOD and entry.replaces is not None:
            state = State(environments, entry, last, refused)
    return state


def _moved(here: Environment, entry: Entry) -> Environment:
    """The environment after an entry that counts."""
    if entry.action in BEGINNINGS:
        return Environment(entry.number, here.good, entry)
    if entry.action is Action.FAILED:
        return Environment(entry.number, here.good)
    rolled_back = here.in_progress is not None and here.in_progress.action is Action.ROLLBACK
    return Environment(entry.number, (*_below(here.good, entry.version, rolled_back), entry))


def _below(good: Sequence[Entry], version: int, rolled_back: bool) -> Sequence[Entry]:
    """What stays below a version that is live from now on; a rollback takes away all that came since it was live before."""
    if not rolled_back:
        return good[:-1] if good and good[-1].version == version else good
    before = good[:-1]
    place = max((place for place, entry in enumerate(before) if entry.version == version), default=len(before))
    return before[:place]
