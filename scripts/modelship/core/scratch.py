"""Folders for what a command fetches and needs no longer than it runs."""

from __future__ import annotations

from pathlib import Path


def scratch_folder(within: Path | None = None) -> Path:
    """A new, empty folder that only this user can read, and that goes with the process; among temporary files without `within`."""
    import atexit
    import shutil
    import tempfile

    if within:
        within.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="modelship-", dir=within))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
