"""Folders for what a command fetches and needs no longer than it runs."""

from __future__ import annotations

from pathlib import Path


def scratch_folder() -> Path:
    """A new, empty folder that only this user can read, and that goes with the process."""
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="modelship-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
