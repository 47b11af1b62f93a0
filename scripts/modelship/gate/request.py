"""What the gate is asked to judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.event import Event
from modelship.core.git import Git
from modelship.core.run_directory import RunDirectory


class Request(msgspec.Struct, frozen=True):
    """Everything that a verdict may depend on."""

    git: Git
    directory: Path
    event: Event
    run_directory: RunDirectory
    config_path: Path
    overrides: Mapping[str, Any]
    candidate: str | None = None
    base: str | None = None
    tracking_uri: str | None = None
    credentials: Mapping[str, str] = {}
    """Variables for the DVC remote that holds a baseline's predictions."""
    github_token: str = ""
    """With it labels and comments of the pull request are read; without it nobody's approval is known beyond the event's."""

    def __repr__(self) -> str:
        # Credentials stay out of tracebacks.
        return f"Request({self.config_path})"
