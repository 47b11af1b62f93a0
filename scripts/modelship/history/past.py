"""What an MLflow server knows of a model's past, and the question for it: a process that has MLflow answers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelship.core.elsewhere import ask
from modelship.core.records import Baseline, MetricVerdict, MonitorRecord
from modelship.deployment.ledger import Entry
from modelship.monitoring.history import Asked

MOST_VERSIONS = 100
MOST_BATCHES = 400
"""The newest are read: more of them are no picture, and each is a request."""

_TIMEOUT_MINUTES = 30


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version, and what the gate said of it."""

    version: int
    created_at: int
    """Milliseconds since 1970, UTC."""
    commit: str = ""
    verdict: str = ""
    """`pass` or `warn`; empty for a version that Modelship did not register."""
    accepted: str = ""
    """Who accepted a regression and why; empty where nobody had to."""
    accepted_url: str = ""
    """Where that was said."""
    run_url: str = ""
    """The page of the workflow run that registered it."""
    baseline: Baseline | None = None
    metrics: tuple[MetricVerdict, ...] = ()
    """Empty where the gate's record is gone, or was written by a version of Modelship that this one cannot read."""
    confidence: float | None = None
    """Of the metrics' intervals."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a registered model."""

    versions: tuple[Version, ...] = ()
    """The newest first."""
    entries: tuple[Entry, ...] = ()
    """Of the ledger of deployments, in order."""
    records: tuple[MonitorRecord, ...] = ()
    """Of `monitor`, the oldest batch first, without what they say of columns, rows and slices."""
    asked: tuple[Asked, ...] = ()
    """Retrains that were asked for, the oldest first."""
    champion: int | None = None
    """The version behind the alias, for teams that deploy to no environment."""
    older_versions: int = 0
    """How many versions there are before those."""
    older_batches: int = 0
    """How many batches were looked at before those."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the registered model `name`?"""

    tracking_uri: str
    name: str
    most_versions: int = MOST_VERSIONS
    most_batches: int = MOST_BATCHES


def read_past(tracking_uri: str, name: str) -> Past:
    """The past of a registered model. Raises BadInput where there is no such model, InfrastructureError without an answer."""
    question = Question(tracking_uri=tracking_uri, name=name)
    found: Past = ask("registry", Path(__file__).resolve().parent, question, Past, who="the MLflow client", minutes=_TIMEOUT_MINUTES)
    return found
