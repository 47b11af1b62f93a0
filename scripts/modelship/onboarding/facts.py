"""What was found in a repository. Plain values: what they mean for configuration and workflow is said in `propose`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelship.gate.directions import Direction

Keeping = Literal["tracked", "new", "ignored", "dvc", "unversioned"]
"""How a file is kept: in git; untracked, but not ignored; ignored by git; only by DVC; there is no git repository."""


@dataclass(frozen=True)
class Choice:
    """Something found (a path relative to modelship.yaml, a command, a version), where it shows, and what else it might have been."""

    value: str
    why: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownMetric:
    """A finite number in the metrics file whose name says which direction is better."""

    name: str
    value: float
    better: Direction


@dataclass(frozen=True)
class MetricsFile:
    """The file that training writes its metrics to. Without `known` and `unknown` nobody has written it yet."""

    path: str
    why: str
    keeping: Keeping
    known: tuple[KnownMetric, ...] = ()
    unknown: tuple[str, ...] = ()
    """Numbers whose names do not say which direction is better."""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dvc:
    """What DVC does here."""

    tracks: int
    """How many `.dvc` files and pipeline stages there are."""
    kind: str | None
    """The kind of the remote that is read: `s3`, `local`, …; None without a remote."""
    remote: str | None = None
    """The remote to name in `data.remote`, where there is one but no default."""
    problem: str = ""
    """Why a runner could not pull, as a sentence."""

    @property
    def needs_credentials(self) -> bool:
        """Whether the remote usually asks who is there."""
        return self.kind not in (None, "local", "http", "https")


@dataclass(frozen=True)
class Facts:
    """All that `modelship init` found."""

    model: str
    """A valid name."""
    prefix: str
    """From the repository's top to the folder of modelship.yaml: empty, or a path that ends with a slash."""
    config_name: str
    in_git: bool
    branch: Choice
    dvc: Dvc | None = None
    mlflow: str | None = None
    """Where MLflow shows."""
    run: Choice | None = None
    metrics: MetricsFile | None = None
    params: Choice | None = None
    predictions: Choice | None = None
    model_folder: Choice | None = None
    reference: Choice | None = None
    current: Choice | None = None
    target: str | None = None
    """A column of the tables that may be the target."""
    key: str | None = None
    """A column of the tables that may be the key."""
    expectations: Choice | None = None
    setup: Choice | None = None
    python: Choice | None = None
    unread: tuple[str, ...] = ()
    """Files that should say something and cannot be read: a sentence each."""

    @property
    def config_path(self) -> str:
        """modelship.yaml, from the repository's top."""
        return self.prefix + self.config_name

    @property
    def can_validate(self) -> bool:
        """Whether there is a table and something that it must hold."""
        return self.expectations is not None and (self.reference is not None or self.current is not None)
