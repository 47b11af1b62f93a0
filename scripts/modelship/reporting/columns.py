"""Text in columns of a fixed pitch: a terminal, a fenced block."""

from __future__ import annotations

import unicodedata

from modelship.core.words import clip


def width(text: str) -> int:
    """How many columns `text` takes."""
    shown = [character for character in text if not unicodedata.combining(character)]
    return len(shown) + sum(unicodedata.east_asian_width(character) in "WF" for character in shown)


def fitted(text: str, columns: int, *, right: bool = False) -> str:
    """`text` in exactly `columns` columns: cut with an ellipsis, or filled with spaces."""
    limit = columns
    while width(clipped := clip(text, limit)) > columns:
        limit -= 1
    space = " " * (columns - width(clipped))
    return space + clipped if right else clipped + space
