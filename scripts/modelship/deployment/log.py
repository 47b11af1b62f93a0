"""The ledger of deployments on an MLflow server: appended to, read, and followed by the aliases.

The ledger of the registered model `x` is the registered model `x.deployments`. The server numbers versions of a name one after the
other, each with its tags at once, so versions are entries: appended atomically, in one order for everybody. (MLflow 3.17,
`store/model_registry/sqlalchemy_store.py`: the number is the highest one plus one, and the primary key settles a race. So a reader
that sees entry n sees all before it.) Aliases can be overwritten by anybody at any time; they follow the ledger and decide nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from modelship.core import workflow
from modelship.core.errors import bad_input, infrastructure
from modelship.core.words import clean
from modelship.deployment.ledger import Action, Entry, Refusal, State, fold, why_not
from modelship.registry.server import connect, patiently

TAG_FORMAT = "modelship.ledger"
"""Marks a version as an entry, and says how the entry is written."""

_FORMAT = "1"
_TAG = "modelship."
_DESCRIPTION = "Written by Modelship: what was deployed where, one version for each step. Delete none: what is live follows from all."
_PAGE = 1000
_LONGEST = {"actor": 200, "reason": 600, "url": 600}
_RECONCILIATIONS = 50
_SENTENCES = {
    Action.DEPLOY: "The deployment of v{} to {} began.",
    Action.ROLLBACK: "The rollback of {1} to v{0} began.",
    Action.GOOD: "v{} is live in {}.",
    Action.FAILED: "v{} did not get into {}.",
}


T = TypeVar("T")


@dataclass(frozen=True)
class Appended:
    """What became of an entry."""

    state: State
    """The ledger as it was read afterwards."""
    entry: Entry | None
    """The entry as it counts."""
    refusal: Refusal | None
    """Why it does not count."""


class Log:
    """The ledger of one registered model. Every method raises InfrastructureError when the server does not answer."""

    def __init__(
        self,
        tracking_uri: str,
        model: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self.name = f"{model}.deployments"
        self._uri = tracking_uri
        self._client = connect(tracking_uri)
        self._sleep = sleep
        self._clock = clock

    def read(self) -> tuple[Entry, ...]:
        """All entries in order; none when nothing was ever deployed. Raises BadInput for an entry that cannot be read."""
        return self._patiently(self._read)

    def state(self) -> State:
        """What the ledger says. Raises BadInput for one that cannot be read, or that entries were deleted from."""
        return fold(self.read())

    def append(self, entry: Entry) -> Appended:
        """Append `entry` unless it is there or could not count, and say whether it counts.

        However often the answer is lost, and however often this is called with the same entry, it counts once. Raises BadInput
        when the model has no such version.
        """
        tags = _tags(entry)
        return self._patiently(lambda: self._append(entry, tags))

    def reconcile(self) -> State:
        """Let every alias name the version that the ledger says, and return that state.

        Who changes the ledger calls this afterwards, and every command calls it first. Of several at once each reads again after it
        wrote, so the last one to write leaves what the ledger says; one that is killed in between leaves a stale alias to the next.
        Raises BadInput as `state` does.
        """
        unregistered: set[int] = set()
        for _ in range(_RECONCILIATIONS):
            state, wrong = self._patiently(self._compare)
            wrong = {alias: version for alias, version in wrong.items() if version not in unregistered}
            if not wrong:
                return state
            for alias, version in wrong.items():
                if not self._patiently(partial(self._set_alias, alias, version)):
                    unregistered.add(version)
        raise infrastructure(
            f"the aliases of `{self.model}` do not stay as the ledger of its deployments says.",
            "Something else sets them: let it deploy with Modelship instead.",
        )

    def _append(self, entry: Entry, tags: Mapping[str, str]) -> Appended:
        from mlflow.exceptions import MlflowException

        entries = self._read()
        state = fold(entries)
        counted = _counted(entry, entries, state)
        refusal = why_not(state, msgspec.structs.replace(entry, at=int(1000 * self._clock())))
        if counted or refusal:
            return Appended(state, counted, None if counted else refusal)
        if not entries:
            self._create_ledger()
        self._create(entry, tags)
        entries = self._read()
        state = fold(entries)
        written = [known for known in entries if known.repeats(entry)]
        if not written:
            raise MlflowException(f"the entry that was appended to {self.name} does not show yet")
        counted = _counted(entry, entries, state)
        return Appended(state, counted, None if counted else state.refused[written[-1].number])

    def _create_ledger(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name, description=_DESCRIPTION)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _create(self, entry: Entry, tags: Mapping[str, str]) -> None:
        from mlflow.exceptions import MlflowException

        source = f"models:/{self.model}/{entry.version}"
        sentence = _SENTENCES[entry.action].format(entry.version, entry.environment)
        try:
            self._client.create_model_version(self.name, source, tags=dict(tags), description=sentence, await_creation_for=0)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise bad_input(f"the model `{self.model}` has no version {entry.version}.", "Register it first.") from None

    def _read(self) -> tuple[Entry, ...]:
        # MLflow's filters know no escapes.
        quote = '"' if "'" in self.name else "'"
        versions: list[Any] = []
        token: str | None = None
        while token is None or token:
            page = self._client.search_model_versions(
                f"name = {quote}{self.name}{quote}", max_results=_PAGE, order_by=["version_number ASC"], page_token=token
            )
            versions += page
            token = page.token or ""
        # A database may compare names without regard to case.
        entries = [_entry(version) for version in versions if version.name == self.name and TAG_FORMAT in version.tags]
        return tuple(sorted(entries, key=lambda entry: entry.number))

    def _compare(self) -> tuple[State, dict[str, int]]:
        """The state, and the aliases that do not name what it says, with what it says."""
        state = fold(self._read())
        wanted = state.aliases()
        held = self._client.get_registered_model(self.model).aliases if wanted else {}
        return state, {alias: version for alias, version in wanted.items() if str(held.get(alias)) != str(version)}

    def _set_alias(self, alias: str, version: int) -> bool:
        """Whether the alias names that version now; it cannot when somebody deleted the version."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.set_registered_model_alias(self.model, alias, str(version))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            workflow.say(f"v{version} of {self.model} was deleted: the alias {alias} cannot name it")
            return False
        return True

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._uri, self._sleep)


def _counted(entry: Entry, entries: Iterable[Entry], state: State) -> Entry | None:
    """`entry` as it counts in the ledger already, however often it was sent."""
    return next((known for known in entries if known.repeats(entry) and known.number not in state.refused), None)


def _tags(entry: Entry) -> dict[str, str]:
    """`entry` as tags that `_entry` reads."""
    shortened = {name: clean(getattr(entry, name), limit) for name, limit in _LONGEST.items()}
    fields = msgspec.to_builtins(msgspec.structs.replace(entry, number=0, at=0, **shortened))
    msgspec.convert(fields, Entry)
    return {TAG_FORMAT: _FORMAT, **{f"{_TAG}{name}": str(value) for name, value in fields.items()}}


def _entry(version: Any) -> Entry:
    """A version of the ledger as an entry. Raises BadInput for one that is not as `_tags` writes it."""
    where = f"version {version.version} of `{version.name}`"
    if version.tags[TAG_FORMAT] != _FORMAT:
        raise bad_input(f"{where} was written by another version of Modelship.", "Use the newest one.")
    fields = {name.removeprefix(_TAG): value for name, value in version.tags.items() if name.startswith(_TAG) and name != TAG_FORMAT}
    try:
        return msgspec.convert({**fields, "number": int(version.version), "at": version.creation_timestamp}, Entry, strict=False)
    except msgspec.ValidationError as error:
        raise bad_input(f"{where} is no entry of a ledger: {clean(str(error), 200)}.", "Give it the tags back that it had.") from None
