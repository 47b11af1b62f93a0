"""Target `directory`: versions side by side in a folder or a bucket, and a pointer to the one that serves, switched at once.

Whoever serves the model (a job that scores by night, a server that watches the pointer) reads it from there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from modelship.core.errors import bad_input
from modelship.deployment.targets import versions
from modelship.deployment.targets.settings import Settings, read_settings
from modelship.deployment.targets.target import NOTHING, Place, Release, Serving, Target
from modelship.deployment.targets.versions import MODEL, RELEASE, Pointer, locked, writing

CURRENT = "current"
POINTER = "current.json"

_SCHEME = "://"


class DirectorySettings(Settings, frozen=True, kw_only=True):
    """What `directory` takes; text by itself is the path."""

    path: Annotated[
        str, Meta(min_length=1, max_length=1000, description="A folder (`models/live`), or a bucket (`s3://bucket/models`).")
    ]


def open_directory(settings: Any, place: Place) -> Target:
    """The folder or bucket that the settings name. Raises BadInput for what is neither."""
    key = f"deploy.environments.{place.environment}.target.directory"
    path = read_settings(settings, DirectorySettings, key, alone="path").path
    if path.startswith("s3://"):
        from modelship.deployment.targets.bucket import open_bucket

        return open_bucket(path, key, place.environment)
    if _SCHEME in path:
        raise bad_input(f"`{key}` is `{path[:100]}`, which is no folder.", "A path or `s3://bucket/prefix` is understood.")
    return Directory(place.directory / path, place.environment)


class Directory:
    """A folder. `current` links to the version's folder, `current.json` to the pointer in it: one rename switches both."""

    def __init__(self, root: Path, environment: str) -> None:
        self.root = root
        self._environment = environment

    def serve(self, release: Release) -> Serving:
        """Copy the version beside the others, switch, and remove the oldest ones."""
        with locked(self.root):
            versions.check_owner(self._pointer(), release, self._environment, self.root)
            folder = versions.put(self.root, release, self._environment)
            self._switch(folder)
            versions.prune(self.root, folder)
        return Serving(folder=self._current() / MODEL)

    def serving(self) -> tuple[int, str] | None:
        """The version that `current` leads to, and the digest that its files have now."""
        pointer = self._pointer()
        try:
            return (pointer.version, versions.held_digest(self._current() / MODEL)) if pointer else NOTHING
        except OSError:
            return NOTHING

    def clear(self) -> None:
        """Remove both pointers; the versions stay."""
        with locked(self.root), writing(self.root):
            for name in (CURRENT, POINTER):
                self._link(name).unlink(missing_ok=True)

    def _pointer(self) -> Pointer | None:
        """What the folder says that `current` leads to; None where that cannot be read."""
        try:
            return msgspec.json.decode((self._current() / RELEASE).read_bytes(), type=Pointer)
        except (OSError, RuntimeError, msgspec.DecodeError, UnicodeDecodeError):  # RuntimeError: a link that leads to itself.
            return None

    def _current(self) -> Path:
        return (self.root / CURRENT).resolve(strict=True)

    def _switch(self, folder: Path) -> None:
        with writing(self.root):
            if not self._link(POINTER).is_symlink():
                # Before there is a `current` it leads nowhere, and nothing is served.
                self._replace(POINTER, Path(CURRENT, RELEASE))
            self._replace(CURRENT, folder.relative_to(self.root))

    def _replace(self, name: str, leads_to: Path) -> None:
        link = self._link(name)
        unfinished = link.with_name(f".{name}.new")
        versions.remove(unfinished)
        unfinished.symlink_to(leads_to)
        os.replace(unfinished, link)

    def _link(self, name: str) -> Path:
        """A pointer's path. Raises BadInput where the team keeps something of its own there."""
        path = self.root / name
        if path.exists() and not path.is_symlink():
            raise bad_input(
                "is no link: something else has put it there.", "Move it away, or give the target another folder.", path=str(path)
            )
        return path
