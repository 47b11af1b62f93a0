"""Admission: every file of a model folder must be explained by something, and nothing in it may run unless the team lets it.

A scanner looks for what is known to be bad, and misses what it does not know. This allows what is known to be data instead. It reads
bytes, and the text of `MLmodel`; no model, module or archive member is loaded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelship.core.config import Registry, bytes_of
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.words import brief, counted
from modelship.registry.admission import mlmodel
from modelship.registry.admission.formats import Recognised, recognise

MAX_FILES = 1_000
_MOST_PROBLEMS = 20
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class ModelFile:
    """A file that was let in: its path in the folder, its format (`skops`, `JSON`, `pickle`), its size in bytes."""

    path: str
    format: str
    bytes: int


def admit(folder: Path, rules: Registry) -> tuple[ModelFile, ...]:
    """The files of an MLflow model folder, by path, if all of it may be registered.

    Raises BadInput with one problem for each file that may not be: what it is, and what to do. The folder must not change between
    this and what is registered: compare digests.
    """
    allowed = bytes_of(rules.max_model_size)
    paths = _listed(folder, allowed)
    if mlmodel.NAME not in paths:
        raise bad_input(f"has no `{mlmodel.NAME}` file.", "Save the model with MLflow.", path=str(folder))
    admitted: list[ModelFile] = []
    problems: list[Problem] = []
    for name in sorted(paths):
        content = _read(folder / name, allowed)
        recognised = recognise(name, content, rules.trusted_types, allowed)
        if not _is_let_in(recognised, rules):
            problems.append(_problem(folder, name, recognised, rules))
        elif name == mlmodel.NAME:
            problems += _mlmodel_problems(folder, content, paths, rules)
        admitted.append(ModelFile(name, _format(recognised), len(content)))
    if problems:
        rest = len(problems) - _MOST_PROBLEMS
        more = [Problem(f"{counted(rest, 'other reason')} not shown.", path=str(folder))] if rest > 0 else []
        raise BadInput(*problems[:_MOST_PROBLEMS], *more)
    if not any(file.format in rules.formats or file.format in ("pickle", "code") for file in admitted):
        raise bad_input("holds no model.", f"Save it in one of the formats {', '.join(rules.formats)}.", path=str(folder))
    return tuple(admitted)


def _is_let_in(recognised: Recognised, rules: Registry) -> bool:
    match recognised.nature:
        case "text":
            return True
        case "model":
            return recognised.is_what in rules.formats
        case "pickle":
            return rules.allow_pickle
        case "code":
            return rules.allow_code
        case "refused":
            return False


def _format(recognised: Recognised) -> str:
    return recognised.is_what if recognised.nature in ("model", "text") else recognised.nature


def _problem(folder: Path, name: str, recognised: Recognised, rules: Registry) -> Problem:
    where = str(folder / brief(name))
    if recognised.nature == "model":
        listed = ", ".join(rules.formats)
        return Problem(
            f"is in the format {recognised.is_what}, which `registry.formats` does not list.", f"It lists: {listed}.", where
        )
    return Problem(f"{brief(recognised.is_what)}.", recognised.remedy, where)


def _mlmodel_problems(folder: Path, content: bytes, paths: set[str], rules: Registry) -> Iterator[Problem]:
    for finding in mlmodel.examine(content, paths):
        if finding.is_code and rules.allow_code:
            continue
        opening = " `registry.allow-code: true` lets it in." if finding.is_code else ""
        yield Problem(f"{brief(finding.is_what)}.", finding.remedy + opening, str(folder / mlmodel.NAME))


def _listed(folder: Path, allowed: int) -> set[str]:
    """The paths of all files, relative to `folder`. Raises BadInput for links, special files, too many, or too much."""
    if folder.is_symlink() or not folder.is_dir():
        raise bad_input("is no folder.", "Name the MLflow model folder that training writes.", path=str(folder))
    found: set[str] = set()
    total = 0
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            path = Path(entry.path)
            name = path.relative_to(folder).as_posix()
            information = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(information.st_mode):
                waiting.append(path)
            elif stat.S_ISREG(information.st_mode):
                found.add(name)
                total += information.st_size
            else:
                kind = "a link" if entry.is_symlink() else "a special file"
                raise bad_input(f"is {kind}.", "A model is made of plain files.", path=str(folder / brief(name)))
            if not name.isprintable() or len(name) > 500:
                raise bad_input("has a name with characters that cannot be shown.", "Rename it.", path=str(folder / brief(name)))
            if len(found) + len(waiting) > MAX_FILES:
                raise bad_input(f"has more than {MAX_FILES:,} files.", "Leave out what the model does not need.", path=str(folder))
            if total > allowed:
                message = f"is larger than `registry.max-model-size` ({allowed:,} bytes)."
                raise bad_input(message, "Make the model smaller, or raise the limit.", path=str(folder))
    return found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError as error:
        raise bad_input(f"cannot be read: {error.strerror}.", path=str(folder)) from None


def _read(path: Path, allowed: int) -> bytes:
    """The content of a plain file. Raises BadInput where it is none any more, or has grown."""
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise bad_input("is no plain file.", path=str(path))
            content = file.read(allowed + 1)
    except OSError as error:
        raise bad_input(f"cannot be read: {error.strerror}.", path=str(path)) from None
    if len(content) > allowed:
        raise bad_input("is larger than `registry.max-model-size`.", path=str(path))
    return content
