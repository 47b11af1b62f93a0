"""Small words for people."""

from __future__ import annotations


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 file`, `2 files`, `1,000 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
