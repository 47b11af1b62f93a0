"""What is known of a live version since it was released: what decisions are made from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from modelship.gate.directions import Direction

Error = Annotated[float, Meta(ge=0)]


class Promise(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A metric as it was when the version was released, on the holdout that it was judged on."""

    metric: str
    value: float
    standard_error: Error
    better: Direction
    max_loss: Error
    """How much worse it may become before the version is replaced, in the metric's own unit."""


class Measured(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A metric on the rows of one batch whose truth is known."""

    metric: str
    value: float
    standard_error: Error
    rows: int


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What a version answered between two moments."""

    start: datetime
    end: datetime
    """Exclusive. Both with a time zone."""
    version: int
    rows: int
    labelled: int
    """How many of the rows have their truth."""
    is_complete: bool
    """Whether all truth that is to be expected has come; before that the labelled rows may be others than the rest."""
    measured: tuple[Measured, ...] = ()
    drift: bool | None = None
    """None where it could not be measured."""
    drifted: tuple[str, ...] = ()
    """The columns that drifted, the furthest first."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A retrain that was asked for."""

    at: datetime
    why: str


class History(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A live version, and what became of it."""

    version: int
    trained_at: datetime
    training_rows: int | None = None
    promises: tuple[Promise, ...] = ()
    batches: tuple[Batch, ...] = ()
    """Oldest first, of any version; one for each start and version."""
    asked: tuple[Asked, ...] = ()
    """Oldest first."""
