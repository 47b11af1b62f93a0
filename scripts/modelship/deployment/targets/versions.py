"""Versions side by side in a folder, each whole and what was registered, or not there at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from modelship.core.errors import InfrastructureError, bad_input, infrastructure
from modelship.core.run_directory import digest_folder
from modelship.core.words import clean
from modelship.deployment.targets.target import Release

MODEL = "model"
RELEASE = "release.json"
VERSIONS = "versions"
KEPT = 5
"""How many versions stay, the ones that served last, so that who still reads an older one can end in peace."""

_INCOMING = ".incoming"
_LOCK = ".lock"


class Pointer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What serves, for whoever reads the model from there."""

    model: Annotated[str, Meta(min_length=1, max_length=250)]
    """The registered model's name."""
    environment: Annotated[str, Meta(min_length=1, max_length=100)]
    version: Annotated[int, Meta(ge=1)]
    digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    path: Annotated[str, Meta(pattern=r"^versions/[A-Za-z0-9-]+/model$")]
    """Of the MLflow model folder, relative to the target's folder."""

    @property
    def served(self) -> tuple[int, str]:
        """Version and digest."""
        return self.version, self.digest


def pointer_to(release: Release, environment: str, name: str) -> Pointer:
    """The pointer to a release that stands in `versions/<name>`."""
    path = f"{VERSIONS}/{name}/{MODEL}"
    return Pointer(model=release.model, environment=environment, version=release.version, digest=release.digest, path=path)


def check_owner(pointer: Pointer | None, release: Release, environment: str, where: object) -> None:
    """Raise BadInput where another model or environment serves from there: it would get this version, too."""
    if pointer and (pointer.model, pointer.environment) != (release.model, environment):
        raise bad_input(
            f"{where} serves `{clean(pointer.model, 100)}` in {clean(pointer.environment, 100)}, "
            f"not `{release.model}` in {environment}.",
            "Give each environment of each model a place of its own.",
        )


def encoded(pointer: msgspec.Struct) -> bytes:
    """A pointer as a file that people read, too."""
    return msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n"


def version_name(release: Release) -> str:
    """What the folder of a version is called: `v7-0123456789ab`."""
    return f"v{release.version}-{release.digest.removeprefix('sha256:')[:12]}"


@contextmanager
def writing(where: object) -> Iterator[None]:
    """Turns what the file system refuses into our error."""
    try:
        yield
    except OSError as error:
        raise infrastructure(
            f"{where} cannot be written: {error.strerror or error}.", "Is there room, and may this write there?"
        ) from None


@contextmanager
def locked(root: Path, patience: float = 30) -> Iterator[int]:
    """Nobody else changes `root` meanwhile; yields the descriptor that holds the lock until all copies of it are closed.

    A process that ends lets go of it, however it ends. Raises InfrastructureError after `patience` seconds.
    """
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + patience
    try:
        while not take_lock(descriptor):
            if time.monotonic() >= deadline:
                raise _busy(root)
            time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


def take_lock(descriptor: int) -> bool:
    """Whether the lock on an open file could be had at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy(root: Path) -> InfrastructureError:
    return infrastructure(f"another process is changing {root}.", "Is another deployment under way? Run this again when it has ended.")


def put(root: Path, release: Release, environment: str) -> Path:
    """Copy a release into `root/versions`, where it is not there already, and return the version's folder. `root` is locked.

    The folder appears by one rename, after what was copied has been hashed again. One of that name that holds something else, which
    somebody has changed since, stays where it is: it may serve.
    """
    folder = _place(root, release)
    mark = encoded(pointer_to(release, environment, folder.name))
    with writing(root):
        if not folder.exists():
            incoming = root / VERSIONS / _INCOMING
            remove(incoming)
            _copy(release.folder, incoming / MODEL)
            if not _holds(incoming, release):
                raise infrastructure(
                    f"the copy of v{release.version} in {root} is not what was copied.",
                    "Is the disk sound, and does nothing else write there?",
                )
            _write(incoming / RELEASE, mark)
            incoming.rename(folder)
            _sync(folder.parent)
        elif _read(folder / RELEASE) != mark:
            put_file(folder / RELEASE, mark)
        # When it served last. The file system's own clock ticks too seldom to tell two deployments apart.
        os.utime(folder, ns=(time.time_ns(), time.time_ns()))
    return folder


def prune(root: Path, live: Path) -> None:
    """Remove what was left half done, and all versions but `live` and those that served last. `root` is locked."""
    with writing(root):
        folders = [folder for folder in (root / VERSIONS).iterdir() if not folder.name.startswith(".")]
        folders.sort(key=lambda folder: (folder == live, folder.stat().st_mtime_ns), reverse=True)
        for folder in folders[KEPT:]:
            # First out of sight: what is half removed looks like one that has just changed.
            folder.rename(folder.with_name(f".{folder.name}"))
        for leftover in (root / VERSIONS).glob(".*"):
            remove(leftover)


def put_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Its folder is locked, or it has no other writer."""
    unfinished = path.with_name(f".{path.name}.new")
    _write(unfinished, content)
    os.replace(unfinished, path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder that may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def held_digest(folder: Path) -> str:
    """`sha256:…` of a model folder as it is now."""
    return f"sha256:{digest_folder(folder)}"


def _place(root: Path, release: Release) -> Path:
    """The version's folder: one that holds it, else one that is not there yet."""
    name = version_name(release)
    for attempt in range(1, 1000):
        folder = root / VERSIONS / (name if attempt == 1 else f"{name}-{attempt}")
        if not folder.exists() or _holds(folder, release):
            return folder
    raise infrastructure(f"{root / VERSIONS} holds a thousand broken copies of {name}.", "Remove them.")


def _holds(folder: Path, release: Release) -> bool:
    return (folder / MODEL).is_dir() and held_digest(folder / MODEL) == release.digest


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.is_dir() and not path.is_symlink():
            _copy(path, target / path.name)
        else:
            with path.open("rb") as opened, (target / path.name).open("wb") as written:
                shutil.copyfileobj(opened, written, 1024 * 1024)
                written.flush()
                os.fsync(written.fileno())
    _sync(target)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Let a rename outlive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
