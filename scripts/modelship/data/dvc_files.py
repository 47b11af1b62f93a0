"""What DVC tracks at a commit, read from `*.dvc` and `dvc.lock` without DVC."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelship.core.documents import MAX_BYTES_BY_MACHINE, MAX_VALUES_BY_MACHINE, flatten, parse_document
from modelship.core.errors import BadInput
from modelship.core.git import Git
from modelship.core.records import DataFile


@dataclass(frozen=True)
class Output:
    """What DVC tracks at one path: the entry of its `.dvc` file or `dvc.lock`, and the remote where the output names one."""

    path: str
    entry: Mapping[str, Any]
    remote: str | None

    @property
    def md5(self) -> str | None:
        """Its MD5, for a folder with `.dir` at the end; None where DVC knows it by another mark than its content."""
        digest = self.entry.get("md5")
        return digest if isinstance(digest, str) and _MD5.fullmatch(digest) else None


_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_IGNORED_FOLDERS = {".git", ".dvc", ".modelship", ".venv", "venv", "node_modules"}


def data_files(directory: Path) -> list[DataFile]:
    """What the work tree's `*.dvc` and `dvc.lock` files name, paths relative to `directory`."""
    return _collect(_names(directory), lambda name: (directory / name).read_bytes())


def source_paths(directory: Path) -> set[str]:
    """The paths that the work tree's `*.dvc` files name: data that nothing in the repository can make again."""
    names = [name for name in _names(directory) if _is_source(name)]
    return {file.path for file in _collect(names, lambda name: (directory / name).read_bytes())}


def output_remotes(directory: Path) -> set[str]:
    """The remotes that single outputs name (`remote:`) in `*.dvc` and `dvc.yaml` files."""
    remotes: set[str] = set()
    for name in _names(directory, extra=("dvc.yaml",)):
        for output in _outputs(_read_yaml(name, (directory / name).read_bytes())):
            options = output if "path" in output else next(iter(output.values()), None)
            remote = options.get("remote") if isinstance(options, dict) else None
            if isinstance(remote, str):
                remotes.add(remote)
    return remotes


def data_sources_at(git: Git, sha: str) -> list[DataFile]:
    """What the `*.dvc` files of commit `sha` name (no stage outputs), paths relative to git's directory."""
    names = [name for name in git.files(sha) if _is_source(name)]
    return _collect(names, lambda name: git.read(sha, name) or b"")


def data_files_at(git: Git, sha: str) -> list[DataFile]:
    """What the `*.dvc` and `dvc.lock` files of commit `sha` name, paths relative to git's directory."""
    names = [name for name in git.files(sha) if _is_source(name) or posixpath.basename(name) == "dvc.lock"]
    return _collect(names, lambda name: git.read(sha, name) or b"")


def outputs_near(git: Git, sha: str, path: str) -> list[Output]:
    """What DVC tracks at commit `sha` at `path`, above it or below it; paths relative to git's directory."""
    path = posixpath.normpath(path)
    found: list[Output] = []
    for name in git.files(sha):
        folder = posixpath.dirname(name)
        if posixpath.basename(name) == "dvc.lock":
            found.extend(_stage_outputs(git, sha, folder, _read_yaml(name, git.read(sha, name) or b"")))
        # What a `.dvc` file names lies beside it: of many, few need be read.
        elif _is_source(name) and (is_within(path, folder) or is_within(folder, path)):
            found.extend(_tracked(folder, _read_yaml(name, git.read(sha, name) or b"")))
    return [output for output in found if is_within(path, output.path) or is_within(output.path, path)]


def outdated_at(git: Git, sha: str) -> str | None:
    """Something that `dvc.lock` of commit `sha` was not made from although the commit holds it: a parameter or a file.

    None when all that git can tell agrees. Outputs that git holds, such as metrics, are then those of another state.
    """
    raw = git.read(sha, "dvc.lock")
    lock = _read_yaml("dvc.lock", raw) if raw else None
    stages = lock.get("stages") if isinstance(lock, dict) else None
    for stage in stages.values() if isinstance(stages, dict) else []:
        if not isinstance(stage, dict):
            continue
        for path, locked in (stage.get("params") or {}).items():
            try:
                present = flatten(parse_document(git.read(sha, path) or b"", path).data)
            except BadInput:
                continue  # Python, say, or beside another dvc.yaml: nothing that could be compared.
            changed = [name for name, value in flatten(locked).items() if present.get(name) != value]
            if changed:
                return f"{path}: {changed[0]}"
        for dependency in stage.get("deps") or []:
            blob = git.read(sha, str(dependency.get("path")))
            if blob is not None and "md5" in dependency and _md5(blob) != dependency["md5"]:
                return str(dependency["path"])
    return None


def _tracked(folder: str, data: Any, options: Mapping[str, Any] | None = None) -> Iterator[Output]:
    """The outputs in one `.dvc` file or stage; `options` holds what dvc.yaml says of them, by path."""
    for entry in _outputs(data):
        path = entry.get("path")
        if isinstance(path, str):
            said = (options or {}).get(path) or entry
            remote = said.get("remote") if isinstance(said, dict) else None
            joined = posixpath.normpath(posixpath.join(folder, path))
            yield Output(joined, entry, remote if isinstance(remote, str) else None)


def _stage_outputs(git: Git, sha: str, folder: str, lock: Any) -> Iterator[Output]:
    """The outputs in a `dvc.lock`. Its paths are relative to the stage's `wdir`, which only `dvc.yaml` names."""
    stages = lock.get("stages") if isinstance(lock, dict) else None
    if not isinstance(stages, dict):
        return
    name = posixpath.join(folder, "dvc.yaml")
    pipeline = _read_yaml(name, git.read(sha, name) or b"")
    declared = pipeline.get("stages") if isinstance(pipeline, dict) else None
    for stage, locked in stages.items():
        # `train@small` is the entry `small` of the stage `train`.
        definition = declared.get(stage.partition("@")[0]) if isinstance(declared, dict) else None
        definition = definition.get("do", definition) if isinstance(definition, dict) else {}
        outs = definition.get("outs") if isinstance(definition, dict) else None
        options = {name: said for out in outs or [] if isinstance(out, dict) for name, said in out.items()}
        wdir = definition.get("wdir") if isinstance(definition, dict) else None
        yield from _tracked(posixpath.join(folder, wdir) if isinstance(wdir, str) else folder, locked, options)


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it; both relative to one place and without `..`."""
    return folder in ("", ".", path) or path.startswith(f"{folder}/")


def _is_source(name: str) -> bool:
    return posixpath.splitext(posixpath.basename(name))[1] == ".dvc"


def _names(directory: Path, extra: tuple[str, ...] = ("dvc.lock",)) -> list[str]:
    """The `*.dvc` files below `directory` and those named in `extra`."""
    found: list[str] = []
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name not in _IGNORED_FOLDERS]
        relative = Path(folder).relative_to(directory)
        found.extend((relative / name).as_posix() for name in files if _is_source(name) or name in extra)
    return sorted(found)


def _collect(names: Iterable[str], read: Callable[[str], bytes]) -> list[DataFile]:
    found: dict[str, DataFile] = {}
    for name in sorted(names):
        for output in _outputs(_read_yaml(name, read(name))):
            file = _data_file(posixpath.dirname(name), output)
            if file:
                found[file.path] = file
    return sorted(found.values(), key=lambda file: file.path)


def _read_yaml(name: str, raw: bytes) -> Any:
    try:
        return parse_document(raw, f"{name}.yaml", most_bytes=MAX_BYTES_BY_MACHINE, most_values=MAX_VALUES_BY_MACHINE).data
    except BadInput:
        return None  # DVC itself names what is wrong with it, in `dvc-pull`.


def _md5(content: bytes) -> str:
    import hashlib

    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _outputs(data: Any) -> Iterator[dict[str, Any]]:
    """The `outs` of a .dvc file, or of every stage in a dvc.lock."""
    if not isinstance(data, dict):
        return
    stages = data.get("stages")
    for owner in stages.values() if isinstance(stages, dict) else [data]:
        outs = owner.get("outs") if isinstance(owner, dict) else None
        yield from (out for out in outs or [] if isinstance(out, dict))


def _data_file(folder: str, output: dict[str, Any]) -> DataFile | None:
    algorithm = output.get("hash") if isinstance(output.get("hash"), str) else "md5"
    digest = output.get(str(algorithm)) or output.get("md5") or output.get("etag")
    path = output.get("path")
    if not isinstance(path, str) or not isinstance(digest, str):
        return None
    size, files = output.get("size"), output.get("nfiles")
    return DataFile(
        path=posixpath.normpath(posixpath.join(folder, path)),
        hash=f"{algorithm}:{digest}",
        bytes=size if isinstance(size, int) else None,
        files=files if isinstance(files, int) else None,
    )
