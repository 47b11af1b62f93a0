"""The scripts of an HTML page, for a policy that lets exactly these run."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass(frozen=True)
class Scripts:
    """What a page runs."""

    digests: tuple[str, ...]
    """Of the scripts that stand in the page, in their order, as a Content-Security-Policy names them: `'sha256-…'`."""
    has_foreign: bool
    """Whether any script element has attributes: it may load from elsewhere, or be no script at all."""


def scripts_of(page: str) -> Scripts:
    """The scripts of `page`. Where a browser reads the page in another way, its digests differ and it runs nothing."""
    parser = _Parser()
    parser.feed(page)
    digests = (base64.b64encode(hashlib.sha256(script.encode(errors="replace")).digest()).decode() for script in parser.found)
    return Scripts(tuple(f"'sha256-{digest}'" for digest in digests), parser.has_foreign)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.has_foreign = False
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        if self._inside:
            self.has_foreign = self.has_foreign or bool(attrs)
            self.found.append("")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = False
