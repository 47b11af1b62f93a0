"""Turns: of several that want to act for a model at once, one acts at a time.

A turn is a version of the registered model `<model>.turns` on the MLflow server, which numbers the versions of a name one after the
other (`deployment/log.py` says why that is so). Who has drawn a number waits until every number before it was given back. One whose
owner has died runs out after LEASE, or at once for a later attempt of the same workflow run, whose attempts never overlap.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from modelship.registry.server import connect, patiently

LEASE = 30 * 60
"""Seconds. Longer than anybody who acts is patient with GitHub."""

TAG_MARK = "modelship.turn"
TAG_RUN = "modelship.run"
TAG_ATTEMPT = "modelship.attempt"
TAG_OVER = "modelship.over"

_NEWEST = 100
_DESCRIPTION = "Written by Modelship: whose turn it was to act for the model. Delete it when you like, but not while somebody acts."


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants a turn."""

    mark: str
    """Nobody else's."""
    run: str = ""
    """The id of the workflow run; empty outside of one."""
    attempt: int = 1


class Turns:
    """The turns of one registered model. Every method raises InfrastructureError when the server does not answer."""

    def __init__(
        self,
        tracking_uri: str,
        model: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self.name = f"{model}.turns"
        self._uri = tracking_uri
        self._client = connect(tracking_uri)
        self._sleep = sleep
        self._clock = clock

    def is_mine(self, who: Who, version: int) -> bool:
        """Whether it is their turn, for whom a number is drawn where they have none. `version` is any version of the model."""
        return patiently(lambda: self._is_mine(who, version), self._uri, self._sleep)

    def give_back(self, who: Who) -> None:
        """End their turn."""
        patiently(lambda: self._give_back(who), self._uri, self._sleep)

    def _is_mine(self, who: Who, version: int) -> bool:
        from mlflow.exceptions import MlflowException

        if not any(_is_of(one, who) for one in self._drawn()):
            self._draw(who, version)
        drawn = self._drawn()
        mine = next((one for one in drawn if _is_of(one, who)), None)
        if mine is None:
            raise MlflowException(f"the number that was drawn of {self.name} does not show yet")
        return not any(int(one.version) < int(mine.version) and self._goes_on(one, who) for one in drawn)

    def _draw(self, who: Who, version: int) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name, description=_DESCRIPTION)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {TAG_MARK: who.mark, TAG_RUN: who.run, TAG_ATTEMPT: str(who.attempt)}
        self._client.create_model_version(self.name, f"models:/{self.model}/{version}", tags=tags, await_creation_for=0)

    def _give_back(self, who: Who) -> None:
        for one in self._drawn():
            if _is_of(one, who) and TAG_OVER not in one.tags:
                self._client.set_model_version_tag(self.name, str(one.version), TAG_OVER, "true")

    def _drawn(self) -> list[Any]:
        """The newest numbers: those before them have run out, or a hundred wait."""
        quote = '"' if "'" in self.name else "'"
        found = self._client.search_model_versions(
            f"name = {quote}{self.name}{quote}", max_results=_NEWEST, order_by=["version_number DESC"]
        )
        return [one for one in found if one.name == self.name and TAG_MARK in one.tags]

    def _goes_on(self, one: Any, who: Who) -> bool:
        if TAG_OVER in one.tags or self._clock() >= one.creation_timestamp / 1000 + LEASE:
            return False
        of_same_run = bool(who.run) and one.tags.get(TAG_RUN) == who.run
        return not (of_same_run and int(one.tags.get(TAG_ATTEMPT) or 1) < who.attempt)


def _is_of(one: Any, who: Who) -> bool:
    return bool(one.tags[TAG_MARK] == who.mark)
