"""What monitoring asks processes that have heavy libraries, one question each: `__main__.py` replies where they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.config import LoadedConfig, load_config
from modelship.core.elsewhere import ask as ask_elsewhere
from modelship.core.records import DriftReportRecord, MonitorRecord, ValidateRecord
from modelship.monitoring.history import Asked
from modelship.monitoring.turns import Who


class _Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class _OfTables(_Question, frozen=True, kw_only=True):
    """About the rows of a batch, which were written to a file."""

    config: str
    name: str
    """What messages call the configuration."""
    overrides: dict[str, Any]
    rows: str
    """A Parquet file with the key, answers and features of the rows that are looked at."""
    log: str
    """What messages call the prediction log."""
    of: int
    """How many rows the batch has."""

    def load(self) -> LoadedConfig:
        """The configuration."""
        return load_config(Path(self.config), self.overrides, name=self.name)


class Quality(_OfTables, frozen=True, kw_only=True):
    """Are the rows what the team says rows are? Answered with a ValidateRecord."""


class Shift(_OfTables, frozen=True, kw_only=True):
    """Do the rows look like those that the version learned from? Answered with a DriftReportRecord."""

    holdout: str
    """The predictions file of the release."""
    page: str
    """Where Evidently's page is written."""


class Live(_Question, frozen=True, kw_only=True):
    """Which version is meant? Answered with a Released."""

    tracking_uri: str
    name: str
    wanted: str
    """A version's number or alias; empty for the one that is live in `environment`."""
    environment: str
    """Empty where the team deploys to none: then the alias `champion` tells."""


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version, and the others that there are."""

    version: int
    run_id: str
    commit: str
    created_at: int
    """Milliseconds since 1970, UTC."""
    data: dict[str, str]
    """Hashes of the data that it was made from, by path as MLflow's tags can hold them."""
    registered: tuple[int, ...]
    """The numbers of all versions of the model, the newest thousand."""


class Remember(_Question, frozen=True, kw_only=True):
    """Keep a record on the server, once for each version and batch. Answered with the address of its page."""

    tracking_uri: str
    name: str
    version: int
    start: str
    """When the batch begins, ISO 8601."""
    record: str
    """Path of the record."""


class Recall(_Question, frozen=True, kw_only=True):
    """What was seen of the model's batches, and when was a retrain asked for? Answered with what is Recalled."""

    tracking_uri: str
    name: str
    newest: int | None = None
    """Of so many batches, the newest; of all without it."""


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """What the server holds, oldest first."""

    records: tuple[MonitorRecord, ...]
    asked: tuple[Asked, ...]
    older: int = 0
    """How many batches there are before those."""


class Ask(_Question, frozen=True, kw_only=True):
    """Keep that a retrain was asked for, once for each version and newest batch. Answered with the address of its page."""

    tracking_uri: str
    name: str
    version: int
    newest: str
    """When the newest batch ended that the decision knew, ISO 8601."""
    asked: Asked


class Begin(_Question, frozen=True, kw_only=True):
    """Is it our turn to act for the model? And if so, keep that a retrain was asked for, as `Ask` does, unless others have asked
    meanwhile. Answered with what is Begun.

    Whoever is told that it is their turn says `End`.
    """

    tracking_uri: str
    name: str
    version: int
    newest: str
    asked: Asked | None
    """None where no retrain is asked for."""
    known: int
    """How many retrains had been asked for when this was decided."""
    who: Who


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Whose turn it is, and what became of the retrain before."""

    is_our_turn: bool = False
    asked: tuple[Asked, ...] = ()
    """All retrains that were asked for before, oldest first. With more of them than were known, it is to be decided again."""
    since: float = 0
    """When it was first kept that the retrain was asked for: seconds since 1970, by the clock of who asked."""
    is_dispatched: bool = False
    run_url: str = ""
    """What was started then."""
    page: str = ""
    """The address of what was kept."""


class End(_Question, frozen=True, kw_only=True):
    """End our turn, and keep what was dispatched in it, if anything was. Answered with nothing."""

    tracking_uri: str
    name: str
    version: int
    newest: str
    who: Who
    dispatched_at: datetime | None = None
    run_url: str = ""


Question = Quality | Shift | Live | Remember | Recall | Ask | Begin | End

_CAPABILITIES: dict[type[Question], str] = {
    Quality: "data",
    Shift: "drift",
    Live: "registry",
    Remember: "registry",
    Recall: "registry",
    Ask: "registry",
    Begin: "registry",
    End: "registry",
}
_KINDS: dict[type[Question], Any] = {
    Quality: ValidateRecord,
    Shift: DriftReportRecord,
    Live: Released,
    Remember: str,
    Recall: Recalled,
    Ask: str,
    Begin: Begun,
    End: None,
}
_WHO: dict[type[Question], str] = {
    Quality: "Great Expectations",
    Shift: "Evidently",
    Live: "the MLflow client",
    Remember: "the MLflow client",
    Recall: "the MLflow client",
    Ask: "the MLflow client",
    Begin: "the MLflow client",
    End: "the MLflow client",
}


def ask(question: Question) -> Any:
    """The answer, from a process that has what it takes. Raises what that raised."""
    kind = type(question)
    return ask_elsewhere(_CAPABILITIES[kind], Path(__file__).resolve().parent, question, _KINDS[kind], who=_WHO[kind], minutes=60)
