"""The way in: one process does one task."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .tasks import main


def run(path: str) -> None:
    """Do the task at `path`, and end the process."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        # PYTHONSAFEPATH leaves the current folder out, and with it the team's own modules.
        sys.path.insert(0, str(Path.cwd()))
    main(Path(path))
    sys.stdout.flush()
    # Threads that a model's library left running must not keep the process.
    os._exit(0)
