"""Choose a Python version for the workflow from what a project says that it needs."""

from __future__ import annotations

import re

OFFERED = ("3.12", "3.13", "3.11", "3.10", "3.14", "3.9")
"""What `actions/setup-python` offers, in the order in which a project is likely to have been tried with it."""

DEFAULT = OFFERED[0]

_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<|\^|~|)\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?(\.\*)?")


def choose_python(stated: str) -> str | None:
    """The version to set up for a specifier such as `>=3.10,<3.13` or Poetry's `^3.11`; None when it is not understood.

    A version stands for the newest patch release of it, as it does for setup-python: `<3.12.5` therefore excludes `3.12`.
    """
    clauses = []
    for text in filter(None, (part.strip() for part in stated.split(","))):
        match = _CLAUSE.fullmatch(text)
        if match is None:
            return None
        clauses.append((match[1], tuple(int(part) for part in match.groups()[1:4] if part is not None)))
    for operator, version in clauses:
        if operator in ("==", "") and len(version) == 3 and "*" not in stated:
            return ".".join(map(str, version))
    for offered in OFFERED:
        release = tuple(map(int, offered.split(".")))
        if all(_holds(release, operator, version) for operator, version in clauses):
            return offered
    return None


def _holds(release: tuple[int, ...], operator: str, version: tuple[int, ...]) -> bool:
    minor = (*version, 0)[:2]
    match operator:
        case ">=" | ">":
            return release >= minor
        case "<" | "<=":
            return release < minor
        case "!=":
            return release != minor or len(version) == 3
        case "^":
            return release >= minor and release[0] == version[0]
        case "~" | "==" | "":
            return release == minor if len(version) > 1 else release[0] == version[0]
        case _:  # `~=3.11` allows later minors, `~=3.11.2` does not.
            return release == minor if len(version) == 3 else release >= minor and release[0] == version[0]
