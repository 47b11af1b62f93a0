"""Small words for people."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

MINUS = "−"
TEXT_LIMIT = 600
MAX_OBSERVED = 300
MOST_MARKS = 4
"""Combining marks on one character. Vietnamese needs two and Thai three; a heap of them covers the lines around it."""

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that look like a space."""
_INVISIBLE = re.compile(r"[\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0d\U000e0100-\U000e01ef]")
"""Marks that nobody sees (Unicode's Default_Ignorable_Code_Point, as far as it is not in category C). The two of emoji stay."""


def shown_path(path: Path) -> str:
    """A path as messages show it and annotations need it: without steps back into a folder that was just named."""
    return Path(os.path.normpath(path)).as_posix()


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 file`, `2 files`, `1,000 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def with_minus(written: str) -> str:
    """A formatted number with the sign that is as wide as a plus: every number that is shown has this one."""
    return written.replace("-", MINUS)


def general(value: float, digits: int = 6) -> str:
    """A number with at most so many significant digits, and no zeros at its end."""
    return with_minus(f"{value:.{digits}g}")


def clip(text: str, limit: int) -> str:
    """At most `limit` characters; an ellipsis stands for the rest."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line without control, invisible or direction-changing characters, at most `limit` long."""
    return clip(" ".join(all_visible(text[: 4 * limit]).split()), limit)


def brief(value: object, limit: int = MAX_OBSERVED) -> str:
    """A value from data as `clean` text."""
    return clean(str(value)[: 4 * limit], limit)


def all_visible(text: str) -> str:
    """`text` with blanks for line breaks, without what cannot be seen, and with at most MOST_MARKS marks on each character."""
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for shown, is_mark in map(_visible, text):
        if shown:
            marks = marks + 1 if is_mark else 0
            if marks <= MOST_MARKS:
                kept.append(shown)
    return "".join(kept)


@lru_cache(maxsize=8192)
def _visible(character: str) -> tuple[str, bool]:
    """What is shown in its place, and whether that is a mark on the character before it."""
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or character in "\t\n\r\v\f\x85" or character in _BLANK:
        return " ", False
    is_hidden = category.startswith("C") or _INVISIBLE.match(character)
    return "" if is_hidden else character, category.startswith("M")


def rule(expectation: str) -> str:
    """An expectation's name as people say it: `values to be in set`."""
    return expectation.removeprefix("expect_").removeprefix("column_").replace("_", " ")


def slice_name(slice_: Mapping[str, str], limit: int = 100) -> str:
    """Rows that share values as a reader would call them: `carrier=EV`, `distance 500 to 1,020 & carrier=EV`.

    Column names and values are cut to `limit` characters each.
    """
    return " & ".join(_condition(clip(column, limit), clip(value, limit)) for column, value in slice_.items())


def _condition(column: str, value: str) -> str:
    return f"{column} {value}" if any(character.isspace() for character in value) else f"{column}={value}"
