"""What is known of a live version since it was released: what decisions are made from."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelship.core.records import Batch, Measured, Promise

__all__ = ["Asked", "Batch", "History", "Measured", "Promise"]


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """A retrain that was asked for."""

    at: datetime
    """When; of one that Modelship dispatches, when it did."""
    why: str
    workflow: str = ""
    """What is dispatched for it; empty where the team starts that itself."""
    version: int = 0
    """Of which version; 0 where that is not known."""
    run_url: str = ""
    """What was started; empty until that is known."""


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
