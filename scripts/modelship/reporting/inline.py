"""A line of text with the little markup that every renderer can show."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Code:
    """A name or value as a machine knows it."""

    text: str


@dataclass(frozen=True)
class Strong:
    """What should be seen first."""

    text: str


@dataclass(frozen=True)
class Link:
    """Text that leads somewhere. A target that is no plain web address is shown as text only."""

    text: str
    url: str

    @property
    def is_safe(self) -> bool:
        """Whether the target is an http(s) address without credentials or anything that could end a link early."""
        return _WEB_ADDRESS.fullmatch(self.url) is not None

    def within(self, sites: Collection[str]) -> Line:
        """This link where it leads to one of the `sites` (as `site_of` names them), else its text: an address from a record may
        lead anywhere.
        """
        return (self,) if self.is_safe and site_of(self.url) in sites else line(self.text)

    def only_within(self, sites: Collection[str]) -> Line:
        """This link where it leads to one of the `sites`, else nothing: for one whose text says nothing without its target."""
        shown = self.within(sites)
        return shown if shown == (self,) else ()


_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#][A-Za-z0-9._~%/?#&=+,;:-]*)?")

_LEAST_COST = 10
"""What a part counts for in `shorten`, be it ever so short: its markup takes room, too."""

_MOST_PARTS = 401
"""Of a sentence, so that one of nothing but marks costs no more time than another."""

Inline = str | Code | Strong | Link
Line = tuple[Inline, ...]


def site_of(url: str) -> str:
    """Scheme, host and port of a web address, as `https://github.com`; empty for what is none. Credentials are left out."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}" if parts.scheme in ("http", "https") and parts.netloc else ""


def line(*parts: Inline) -> Line:
    """A line from its parts; empty strings are left out."""
    return tuple(part for part in parts if part != "")


def prose(text: str) -> Line:
    """A sentence as commands write them, in which `backticks` mark code. One with more of them than anybody writes is text."""
    parts = text.split("`")
    if len(parts) % 2 == 0 or len(parts) > _MOST_PARTS:
        return line(text)
    return line(*(Code(part) if index % 2 else part for index, part in enumerate(parts)))


def shorten(content: Line, limit: int) -> Line:
    """At most about `limit` characters of a line, however many parts it has; an ellipsis stands for the rest."""
    kept: list[Inline] = []
    for part in content:
        length = len(part) if isinstance(part, str) else len(part.text)
        if limit <= 0:
            return (*kept, "…")
        if isinstance(part, Code | Strong) and length > limit:
            kept.append(replace(part, text=f"{part.text[:limit]}…"))
        elif isinstance(part, str) and length > limit:
            kept.append(f"{part[:limit]}…")
        else:
            kept.append(part)
        limit -= max(length, _LEAST_COST)
    return tuple(kept)


def plain(content: Line) -> str:
    """The text of a line without its markup."""
    return "".join(part if isinstance(part, str) else part.text for part in content)
