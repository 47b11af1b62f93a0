"""Deploy a version, or bring the previous one back: announce it in the ledger, let the target serve it, ask it, and say how it ended.

Each step may be repeated by a process that comes after one that was killed, and none is done twice in effect: the ledger knows the
deployment by its key, the target knows what it serves. A deployment has ended when its last entry is in the ledger, not before; until
then the same command goes on with it, and nobody else begins another one while its lease lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from modelship.core import workflow
from modelship.core.config import Registry
from modelship.core.errors import InfrastructureError, ModelshipError, bad_input, infrastructure
from modelship.core.scratch import scratch_folder
from modelship.deployment.ledger import Action, Entry, Environment, Refusal, State
from modelship.deployment.targets.target import Release, Serving, Target
from modelship.registry.version import RegisteredVersion, fetch, find_version

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from modelship.deployment.log import Appended, Log
    from modelship.deployment.smoke import SmokeResult

_ATTEMPTS = 20
"""At appending an entry, each after somebody else has appended another one first."""


@dataclass(frozen=True)
class Order:
    """Who wants which version where, and why."""

    action: Action
    """DEPLOY or ROLLBACK."""
    environment: str
    version: RegisteredVersion
    key: str
    """The same for every repetition of this order, and of no other."""
    lease: int
    """Seconds."""
    after: str = ""
    """The environment in which the version must have been found good."""
    replaces: int | None = None
    """The champion that it is to replace, 0 for none; None leaves the champion alone."""
    actor: str = ""
    reason: str = ""
    url: str = ""
    """The page of the workflow run."""

    @property
    def who(self) -> str:
        """The version as a reader would call it."""
        return f"v{self.version.version}"


@dataclass(frozen=True)
class Means:
    """What an order is carried out with."""

    log: Log
    client: MlflowClient
    target: Target
    smoke: Callable[[Serving, Path | None], SmokeResult]
    """Asks what serves, with the examples that were registered."""
    rules: Registry
    directory: Path
    """Of modelship.yaml."""


@dataclass(frozen=True)
class Outcome:
    """How an order ended."""

    state: State
    """The ledger afterwards."""
    told: str
    """One sentence."""
    is_done: bool
    """Whether the version serves."""
    changed: bool = False
    """Whether this made it serve."""
    entry: int | None = None
    url: str = ""
    smoke: SmokeResult | None = None


class _RefusedError(Exception):
    """The ledger does not let the order begin, which is a verdict of no."""

    def __init__(self, told: str, state: State) -> None:
        super().__init__(told)
        self.told = told
        self.state = state


def carry_out(order: Order, means: Means) -> Outcome:
    """Let the environment serve the order's version, unless the ledger says no or the version does not hold what it must.

    Raises BadInput where what was fetched is not what was registered, InfrastructureError where a server or the target fails, and
    where another deployment to the environment is under way. Unless it says otherwise the environment serves then what it served.
    """
    state = means.log.reconcile()
    here = state.environment(order.environment)
    if _serves(order, means, here):
        return Outcome(state, f"{order.who} is live in {order.environment} already", is_done=True)
    try:
        began = _begin(order, means)
    except _RefusedError as refused:
        return Outcome(refused.state, refused.told, is_done=False)
    if began.entry is None:
        state = means.log.reconcile()
        live = state.environment(order.environment).live
        now = f"v{live.version} serves" if live else "nothing serves"
        return Outcome(state, f"{order.who} was deployed by this run before; now {now} {order.environment}", is_done=True)
    return _serve(order, means, began.entry, began.state)


def _serves(order: Order, means: Means, here: Environment) -> bool:
    """Whether there is nothing to do: ledger and target agree that the version serves, and nobody is changing that."""
    if here.in_progress is not None or here.live is None or here.live.version != order.version.version:
        return False
    told = means.target.serving()
    return told is None or told == (order.version.version, order.version.digest)


def _begin(order: Order, means: Means) -> Appended:
    """The entry that begins the deployment, or none when a deployment of this key has ended well."""
    state = means.log.state()
    for _ in range(_ATTEMPTS):
        entry = Entry(
            environment=order.environment,
            action=order.action,
            version=order.version.version,
            key=order.key,
            expects=state.environment(order.environment).newest,
            digest=order.version.digest,
            lease=order.lease,
            after=order.after,
            replaces=order.replaces,
            actor=order.actor,
            reason=order.reason,
            url=order.url,
        )
        appended = means.log.append(entry)
        state = appended.state
        if appended.refusal is None or appended.refusal is Refusal.DONE:
            return appended
        if appended.refusal is Refusal.BUSY:
            _busy(order, state)
        if appended.refusal is not Refusal.STALE:
            raise _RefusedError(_why(order, appended.refusal, state), state)
    raise infrastructure(
        f"the ledger of deployments to {order.environment} changes faster than this can read it.", "Run this again later."
    )


def _busy(order: Order, state: State) -> NoReturn:
    running = state.environment(order.environment).in_progress
    if running is None:
        raise infrastructure(f"another deployment to {order.environment} has just ended.", "Run this again.")
    by = f" by {running.actor}" if running.actor else ""
    until = _clock(running.lease_over_at)
    raise infrastructure(
        f"v{running.version} is being deployed to {order.environment}{by}, since {_clock(running.at)}.",
        f"Wait for it. If nothing works on it any more, run this again after {until}, when its lease is over."
        + (f" Its run: {running.url}" if running.url else ""),
    )


def _why(order: Order, refusal: Refusal, state: State) -> str:
    if refusal is Refusal.NOT_GOOD_BEFORE:
        return f"{order.who} has not been found good in {order.after}, which comes before {order.environment}"
    if refusal is Refusal.CHAMPION_MOVED:
        against = f"champion v{order.replaces}" if order.replaces else "no champion"
        return f"{order.who} was judged against {against}, and the champion is v{state.champion_version()} now: judge it again"
    return f"the ledger does not take the deployment: {refusal.value}"


def _serve(order: Order, means: Means, began: Entry, state: State) -> Outcome:
    """Serve and ask the version; go back where it does not hold."""
    before = state.environment(order.environment).live
    result: SmokeResult | None = None
    try:
        with workflow.group(f"Fetch {order.version.name} {order.who}"):
            folder = scratch_folder()
            fetched = fetch(means.client, order.version, folder, means.rules, directory=means.directory)
        with workflow.group(f"Let {order.environment} serve {order.who}"):
            serving = means.target.serve(_release(order.version, fetched.model))
        with workflow.group(f"Ask {order.who}"):
            result = means.smoke(serving, fetched.examples)
    except Exception as error:  # Whatever went wrong, a defect of ours too: the environment must not be left half-way.
        told = error.problems[0].message if isinstance(error, ModelshipError) else f"unexpected {type(error).__name__}"
        _go_back(order, means, began, before, f"it could not be deployed: {told}")
        raise
    if not result.passed:
        why = next(check.told for check in result.checks if not check.holds)
        now = _go_back(order, means, began, before, why)
        return Outcome(
            now.state,
            f"{order.who} did not hold: {why}; {_serves_again(before, order)}",
            is_done=False,
            entry=_number(now),
            smoke=result,
        )
    ended = means.log.append(began.ended(Action.GOOD, order.reason))
    if ended.refusal is Refusal.CHAMPION_MOVED:
        why = _why(order, ended.refusal, ended.state)
        now = _go_back(order, means, began, before, why)
        return Outcome(now.state, f"{why}; {_serves_again(before, order)}", is_done=False, entry=_number(now), smoke=result)
    if ended.refusal is not None:
        _taken_over(order)
    return Outcome(
        means.log.reconcile(),
        f"{order.who} is live in {order.environment}",
        is_done=True,
        changed=True,
        entry=_number(ended),
        url=serving.url,
        smoke=result,
    )


def _go_back(order: Order, means: Means, began: Entry, before: Entry | None, why: str) -> Appended:
    """Let the environment serve what it served, and say so in the ledger; only then is the deployment over."""
    with workflow.group(f"Bring back {f'v{before.version}' if before else 'what was there before'}"):
        try:
            if before is None:
                means.target.clear()
            else:
                _serve_again(means, before)
        except ModelshipError as error:
            raise InfrastructureError(
                *infrastructure(
                    f"{order.who} failed in {order.environment} ({why}), and "
                    f"{f'v{before.version}' if before else 'what was there before'} could not be brought back: "
                    f"{error.problems[0].message}",
                    "The environment is in an unknown state: mend it, and run this again.",
                ).problems
            ) from None
    ended = means.log.append(began.ended(Action.FAILED, why))
    if ended.refusal is not None:
        _taken_over(order)
    means.log.reconcile()
    return ended


def _serve_again(means: Means, before: Entry) -> None:
    version = find_version(means.client, means.log.model, str(before.version))
    if before.digest and version.digest != before.digest:
        raise bad_input(f"v{before.version} of `{version.name}` is not what was deployed before: its digest has changed.")
    if means.target.serving() == (version.version, version.digest):
        return
    fetched = fetch(means.client, version, scratch_folder(), means.rules, directory=means.directory)
    means.target.serve(_release(version, fetched.model))


def _taken_over(order: Order) -> NoReturn:
    raise infrastructure(
        f"the lease of this deployment to {order.environment} was over, and another one has begun.",
        "See `modelship deployments`. Give `lease` more time if this took so long.",
    )


def _serves_again(before: Entry | None, order: Order) -> str:
    return f"v{before.version} serves {order.environment} again" if before else f"{order.environment} serves nothing, as before"


def _release(version: RegisteredVersion, folder: Path) -> Release:
    return Release(version.name, version.version, version.digest, folder)


def _number(appended: Appended) -> int | None:
    return appended.entry.number if appended.entry else None


def _clock(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M UTC")
