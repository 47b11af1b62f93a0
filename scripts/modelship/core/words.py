"""Small words for people."""

from __future__ import annotations

from collections.abc import Mapping


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 file`, `2 files`, `1,000 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def slice_name(slice_: Mapping[str, str], limit: int = 100) -> str:
    """Rows that share values as a reader would call them: `carrier=EV`, `distance 500 to 1,020 & carrier=EV`.

    Column names and values are cut to `limit` characters each.
    """
    return " & ".join(_condition(_cut(column, limit), _cut(value, limit)) for column, value in slice_.items())


def _condition(column: str, value: str) -> str:
    return f"{column} {value}" if any(character.isspace() for character in value) else f"{column}={value}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
