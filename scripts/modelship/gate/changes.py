"""What differs between base and head, read from git: parameters, data, source files, policy."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelship.core.config import CONFIG_NAME
from modelship.core.documents import flatten, parse_document
from modelship.core.errors import BadInput
from modelship.core.git import Git
from modelship.core.records import Changes, DataFile, ValueChange
from modelship.data.dvc_files import data_files_at, data_sources_at, is_within

MOST = 100
"""Rows of each kind that a record keeps."""

_BOOKKEEPING = re.compile(r".*(dvc\.lock|\.dvc|\.gitignore|(^|/)files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?)", re.DOTALL)
"""What git and DVC keep for themselves, a DVC remote inside the repository included: no source files."""


def changes(git: Git, base: str, head: str, *, params: str | None, config: str = CONFIG_NAME) -> Changes:
    """What a reader should know of `head` against `base`; paths are relative to the folder of modelship.yaml."""
    files = git.changes(base, head)
    data_before = {file.path: file.hash for file in data_sources_at(git, base)}
    data_after = {file.path: file.hash for file in data_sources_at(git, head)}
    return Changes(
        params=_differences_within(git, base, head, params) if params else (),
        data=_differences(
            {path: _short(hash_) for path, hash_ in data_before.items()},
            {path: _short(hash_) for path, hash_ in data_after.items()},
        ),
        files=tuple(
            ValueChange(
                name=change.path[:300], before=None if change.status == "A" else "", after=None if change.status == "D" else ""
            )
            for change in files
            if not _BOOKKEEPING.fullmatch(change.path)
        )[:MOST],
        policy=_differences_within(git, base, head, config),
    )


def changed_among(git: Git, base: str, head: str, paths: Iterable[str]) -> list[str]:
    """Which of `paths` (files or folders, relative to the folder of modelship.yaml) are others in `head`, for git or for DVC.

    Links on the way to a path and in a folder are followed; a folder in a submodule is another one when the submodule is.
    """
    before = {file.path: file.hash for file in data_files_at(git, base)}
    after = {file.path: file.hash for file in data_files_at(git, head)}
    tracked = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    return _touched(git, (base, head), paths, files={change.path for change in git.changes(base, head)}, tracked=tracked)


def edited_among(git: Git, base: str, paths: Sequence[str]) -> list[str]:
    """As `changed_among`, of what stands in the work tree, committed or not. What DVC tracks and nobody has pulled is not edited."""
    if not paths:
        return []
    from modelship.data.dvc_remotes import find_dvc_root

    root = find_dvc_root(git.directory)
    near = [file for file in data_files_at(git, base) if any(_overlap(path, file.path) for path in paths)] if root else []
    tracked = [file.path for file in near if root and _is_edited(git.directory, file, root)]
    return _touched(git, (base,), paths, files=git.edited_since(base), tracked=tracked)


def _is_edited(directory: Path, file: DataFile, root: Path) -> bool:
    from modelship.data.dvc_pull import state_of

    return state_of(directory / file.path, file, root) == "wrong"


def _touched(git: Git, shas: Sequence[str], paths: Iterable[str], *, files: Iterable[str], tracked: Iterable[str]) -> list[str]:
    """Which of `paths` are, hold or lie in one of `files` (from git's top folder) or `tracked` (by DVC, from git's directory).

    Where they stand is asked of the commits `shas`; a path that stands elsewhere in one of them than in another is touched, too.
    """
    changed = {*files, *(posixpath.normpath(git.prefix + name) for name in tracked)}

    def is_touched(path: str) -> bool:
        path = posixpath.normpath(git.prefix + path)
        places = {git.places(sha, path) for sha in shas}
        if len(places) > 1:
            return True
        # What is above a place and changed is a link, a submodule, or a folder that DVC tracks as a whole.
        return any(is_within(name, place) or is_within(place, name) for name in changed for place in {path}.union(*places))

    return [path for path in paths if is_touched(path)]


def _overlap(path: str, other: str) -> bool:
    path = posixpath.normpath(path)
    return is_within(path, other) or is_within(other, path)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    changed = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            # What came and what went; a list of features would fill the row twice otherwise.
            old, new = [item for item in old if item not in new], [item for item in new if item not in old]
            if not old and not new:
                old, new = "in this order", "in another order"
        changed.append(ValueChange(name=name[:300], before=_text(old), after=_text(new)))
    return tuple(changed[:MOST])


def _differences_within(git: Git, base: str, head: str, path: str) -> tuple[ValueChange, ...]:
    before, after = git.read(base, path), git.read(head, path)
    return () if before == after else _differences(_values(before, path), _values(after, path))


def _values(raw: bytes | None, path: str) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        return flatten(parse_document(raw, path).data, lists=False)
    except BadInput:
        # A broken file is an error where it is used; here it is only compared.
        return {"": "not readable"}


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))[:300] or None
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)[:300]


def _short(hash_: str) -> str:
    return hash_.partition(":")[2][:12]
