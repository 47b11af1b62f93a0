"""Errors that end a command, and the exit codes that they end it with."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import msgspec


class ExitCode(IntEnum):
    """The exit codes of every command."""

    PASS = 0
    VERDICT_NO = 1
    BAD_INPUT = 2
    INFRASTRUCTURE = 3


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One thing that is wrong: what, where (a path relative to the working folder, a 1-based line), and what to do."""

    message: str
    remedy: str = ""
    path: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}:{self.line}: " if self.line else f"{self.path}: "
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{where}{self.message}{remedy}"


class ModelshipError(Exception):
    """Ends a command with `exit_code` after showing every problem."""

    exit_code: ExitCode = ExitCode.INFRASTRUCTURE

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class BadInput(ModelshipError):  # noqa: N818 - named for what it says of the input
    """The team's input or configuration is wrong: exit 2."""

    exit_code = ExitCode.BAD_INPUT


class InfrastructureError(ModelshipError):
    """Something outside the team's repository did not answer: exit 3."""

    exit_code = ExitCode.INFRASTRUCTURE


def bad_input(message: str, remedy: str = "", *, path: str | None = None, line: int | None = None) -> BadInput:
    """A `BadInput` of one problem."""
    return BadInput(Problem(message, remedy, path, line))


def infrastructure(message: str, remedy: str = "") -> InfrastructureError:
    """An `InfrastructureError` of one problem."""
    return InfrastructureError(Problem(message, remedy))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, or lists up to eight of them; empty when nothing is known."""
    import difflib

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not names:
        return ""
    shown = ", ".join(f"`{known_name}`" for known_name in names[:8])
    return f"Known: {shown}{', …' if len(names) > 8 else ''}."
