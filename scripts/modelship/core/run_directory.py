"""The run directory `.modelship/`: every command's record, and the files that belong to it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from modelship.core.errors import bad_input
from modelship.core.records import CONCLUSIONS, RECORDS, AnyRecord, encode, read_record

MAX_FILES = 200
MAX_EVIDENCE_BYTES = 512 * 1024 * 1024


class RunDirectory:
    """`.modelship/` beside a `modelship.yaml`. Git ignores it by a `.gitignore` of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder if it is not there. Raises BadInput where the repository has put something else in its place."""
        _make_folder(self.path)
        replace_file(self.path / ".gitignore", b"*\n")

    def record_path(self, command: str) -> Path:
        """Where the record of `command` stands."""
        return self.path / f"{command}.json"

    def write(self, command: str, record: AnyRecord) -> None:
        """Write a record whole or not at all."""
        self.put(self.record_path(command).name, encode(record))

    def put(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all; a link in its place is replaced, not followed."""
        self.create()
        return replace_file(self.path / name, content)

    def read(self, command: str) -> AnyRecord | None:
        """The record of `command`, or None. Raises BadInput for one that is not exactly a record."""
        return read_record(self.record_path(command), command)

    def remove(self, command: str) -> None:
        """Forget an earlier run's record, so that a killed command leaves none."""
        self.record_path(command).unlink(missing_ok=True)

    def attach(self, source: Path, name: str) -> Path:
        """Copy a file beside the records, as `files/<name>`."""
        self.create()
        target = self.file(name)
        _make_folder(self.path / "files")
        _make_folder(target.parent)
        target.unlink(missing_ok=True)
        import shutil

        shutil.copyfile(source, target)
        return target

    def keep(self, content: bytes, name: str) -> Path:
        """Write a file beside the records, as `files/<name>`, whole or not at all."""
        self.create()
        _make_folder(self.path / "files")
        return replace_file(self.file(name), content)

    def drop(self, name: str) -> None:
        """Forget an earlier run's attached file; behind a link it is none of ours."""
        if not (self.path / "files").is_symlink():
            self.file(name).unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        """Where the attached file `name` stands."""
        return self.path / "files" / name

    def record_digest(self, command: str) -> str:
        """SHA-256 of the record of `command`."""
        return _sha256(self.record_path(command))

    def promised(self, command: str, digest: str) -> AnyRecord | None:
        """The record of `command` of this SHA-256, wherever in here it is: another job said beforehand what it would be.

        Raises BadInput where there is none, and for what `digest` refuses.
        """
        name = self.record_path(command).name
        found = next((path for path in self._files() if path.name == name and _sha256(path) == digest), None)
        if found is None:
            raise bad_input(
                "is not among what was handed over.", "Another job has written over it. Run the workflow again.", path=name
            )
        return read_record(found, command)

    def digest(self) -> str:
        """SHA-256 over the relative path and content of everything in here: what one job promises and the next one checks.

        Raises BadInput for links, for more than 200 files and for more than 512 MiB.
        """
        return _digest_of(self._files(), self.path)

    def take_evidence(self, evidence: RunDirectory, digest: str) -> None:
        """Take another job's run directory over, if it is the one that the job promised.

        Raises BadInput, and takes nothing, when it is absent or differs or holds anything that is no evidence.
        """
        if not evidence.path.is_dir():
            raise bad_input(
                "holds no evidence.", "Did the training job end before it could hand anything over?", path=str(evidence.path)
            )
        if evidence.digest() != digest:
            raise bad_input(
                "is not the evidence that the training job promised: the digests differ.",
                "Another job has written over the artifact. Run the workflow again.",
                path=str(evidence.path),
            )
        commands = [command for command in RECORDS if command not in CONCLUSIONS and evidence.read(command)]
        import shutil

        self.create()
        _make_folder(self.path / "files")
        for command in RECORDS:
            self.remove(command)
        shutil.rmtree(self.path / "files", ignore_errors=True)
        for command in commands:
            shutil.copyfile(evidence.record_path(command), self.record_path(command))
        for path in evidence._files():
            relative = path.relative_to(evidence.path)
            if relative.parts[0] == "files":
                self.attach(path, Path(*relative.parts[1:]).as_posix())

    def _files(self) -> list[Path]:
        found: list[Path] = []
        total = 0
        for folder, folders, names in os.walk(self.path):
            folders.sort()
            for name in sorted([*names, *folders]):
                path = Path(folder) / name
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise bad_input("is neither a file nor a folder.", "Evidence holds plain files only.", path=str(path))
                if path.is_file() and name != ".gitignore":
                    found.append(path)
                    total += path.stat().st_size
        if len(found) > MAX_FILES or total > MAX_EVIDENCE_BYTES:
            raise bad_input(f"holds {len(found)} files of {total} bytes.", "That is more than evidence may be.", path=str(self.path))
        return sorted(found, key=lambda path: path.relative_to(self.path).as_posix())


def _make_folder(path: Path) -> None:
    # A pull request may hold a link of this name; what is written must not land where it points.
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise bad_input("is not a folder.", "Modelship writes there: remove it from the repository.", path=str(path))
    path.mkdir(parents=True, exist_ok=True)


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all; a link in its place is replaced, not followed."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    with temporary.open("xb") as file:
        file.write(content)
    os.replace(temporary, path)
    return path


def _content(path: Path) -> str:
    return f"-> {path.readlink()}" if path.is_symlink() else _sha256(path)


def _sha256(path: Path) -> str:
    import hashlib  # Loads OpenSSL: not for a command that needs no digest.

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_folder(path: Path) -> str:
    """SHA-256 over the relative path and content of every file below `path` (or of the file itself); of a link, where it leads."""
    if path.is_file():
        return _sha256(path)
    return _digest_of(sorted(child for child in path.rglob("*") if child.is_symlink() or child.is_file()), path)


def _digest_of(files: Iterable[Path], folder: Path) -> str:
    import hashlib

    # Parted by NUL, the one byte that no file name holds: a name cannot pose as another file's line.
    parts = (f"{path.relative_to(folder).as_posix()}\0{_content(path)}\0" for path in files)
    return hashlib.sha256("".join(parts).encode(errors="surrogateescape")).hexdigest()
