"""What is to be deployed where: from what somebody asked for, the configuration, and what the ledger says."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import dataclass

from modelship.core.config import Config, LoadedConfig, seconds_of
from modelship.core.errors import BadInput, bad_input, did_you_mean
from modelship.core.event import Event
from modelship.deployment.deploy import Order
from modelship.deployment.ledger import Action, Entry, State
from modelship.registry.version import CHALLENGER, TAG_REPLACES, RegisteredVersion

Find = Callable[[str], RegisteredVersion]
"""Finds a version of the model by number or alias."""


@dataclass(frozen=True)
class Asked:
    """What somebody asked for."""

    environment: str
    version: str | None = None
    """A number or an alias; None leaves it to the environment."""
    reason: str = ""


def chosen_environment(loaded: LoadedConfig, name: str | None) -> str:
    """The environment of that name, else the only one. Raises BadInput where `modelship.yaml` has none, or none of that name."""
    environments = loaded.config.deploy.environments
    if not environments:
        raise BadInput(
            loaded.problem("no environment is described.", "Add one under `deploy.environments`.", at="deploy.environments")
        )
    if name is None and len(environments) > 1:
        listed = ", ".join(f"`{known}`" for known in environments)
        raise bad_input("which environment is meant is not said.", f"Give `--environment`, one of {listed}.")
    if name is None or name in environments:
        return name or next(iter(environments))
    raise BadInput(
        loaded.problem(f"there is no environment `{name}`.", did_you_mean(name, list(environments)), at="deploy.environments")
    )


def deployment(asked: Asked, loaded: LoadedConfig, state: State, event: Event, find: Find) -> Order:
    """The order to deploy: the version that was asked for, else what is live in the environment before, else the challenger."""
    settings = loaded.config.deploy.environments[asked.environment]
    before = state.environment(settings.after).live if settings.after else None
    if settings.after and asked.version is None and before is None:
        raise bad_input(f"nothing has been found good in {settings.after} yet, and {asked.environment} comes after it.")
    version = find(asked.version or (str(before.version) if before else CHALLENGER))
    return Order(
        action=Action.DEPLOY,
        environment=asked.environment,
        version=version,
        key=_key(Action.DEPLOY, asked.environment, f"v{version.version}", state, event),
        lease=round(seconds_of(settings.lease)),
        after=settings.after or "",
        replaces=_replaces(version, loaded.config, asked.environment, state),
        actor=actor_of(event),
        reason=asked.reason,
        url=event.run_url or "",
    )


def rollback(asked: Asked, loaded: LoadedConfig, state: State, event: Event, find: Find) -> Order:
    """The order to bring back the version that was asked for, else the one that was found good before the live one.

    Raises BadInput when there is none, and for one that was never found good there or was rolled back itself.
    """
    settings = loaded.config.deploy.environments[asked.environment]
    here = state.environment(asked.environment)
    key = _key(Action.ROLLBACK, asked.environment, asked.version or "previous", state, event)
    begun = state.last.get((asked.environment, key))
    if begun:
        version = find(str(begun.version))  # What this run wanted when it began: what is previous now is another one.
    elif asked.version is not None:
        version = find(asked.version)
    elif here.previous_good:
        version = find(str(here.previous_good.version))
    else:
        raise bad_input(f"{asked.environment} has no good version before {_live(here.live)}.", "Deploy another version instead.")
    if not begun and not here.had(version.version):
        raise bad_input(
            f"v{version.version} was not found good in {asked.environment}, or was rolled back.", "`modelship deploy` deploys it anew."
        )
    is_champions = asked.environment == loaded.config.deploy.champion_environment
    return Order(
        action=Action.ROLLBACK,
        environment=asked.environment,
        version=version,
        key=key,
        lease=round(seconds_of(settings.lease)),
        replaces=begun.replaces if begun else state.champion_version() if is_champions else None,
        actor=actor_of(event),
        reason=asked.reason,
        url=event.run_url or "",
    )


def actor_of(event: Event) -> str:
    """Who asks: GitHub's login in a workflow, the system's at a terminal."""
    if event.actor:
        return event.actor
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container may have no name for its user.
        return ""


def _replaces(version: RegisteredVersion, config: Config, environment: str, state: State) -> int | None:
    """The champion that the version was judged against; today's, where it was judged against something else."""
    if environment != config.deploy.champion_environment:
        return None
    judged = (version.tags or {}).get(TAG_REPLACES, "")
    return int(judged) if judged.isdecimal() else state.champion_version()


def _key(action: Action, environment: str, version: str, state: State, event: Event) -> str:
    """The same for every repetition of one order: of one workflow run; at a terminal, of what would change the same state."""
    if event.run_id:
        return f"run {event.run_id} {action.value} {version}"
    live = state.environment(environment).live
    return f"{actor_of(event)} {action.value} {version} instead of entry {live.number if live else 0}"


def _live(entry: Entry | None) -> str:
    return f"v{entry.version}" if entry else "the first one"
