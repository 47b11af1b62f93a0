"""GitHub's Markdown, read by GitHub's own parser (cmark-gfm): a tree of elements, and what in it GitHub would act on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from cmarkgfm import markdown_to_html_with_extensions
from cmarkgfm.cmark import Options

_EXTENSIONS = ["table", "autolink", "strikethrough", "tasklist"]
_OPTIONS = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES
_VOID = frozenset({"br", "hr", "img", "input", "meta"})

#: Elements that Markdown of ours becomes, and the tags that the renderer writes itself. Anything else was written by somebody else.
OURS = {
    *(
        "h1",
        "h2",
        "p",
        "ul",
        "li",
        "blockquote",
        "pre",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "strong",
        "em",
        "a",
        "sub",
    ),
    *("b", "br", "details", "summary"),
}
_QUIET = frozenset({"code", "pre", "a"})
"""Where GitHub looks for nothing."""

# What GitHub looks for in text once Markdown has become HTML. `\B@` and the like: not within a word, as in a mail address.
_ACTED_ON = {
    "a mention": re.compile(r"(?<![\w`])@[A-Za-z0-9][A-Za-z0-9-]*(/[\w.-]+)?"),
    "an issue": re.compile(r"(?i)(?<![\w&])(?:#|GH-)\d+\b|\w#\d+\b"),
    "a commit": re.compile(r"(?<![\w#])(?<!\d[.,])[0-9a-f]{7,40}(?!\w|[.,]\d)"),
    "an address": re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://|\bwww\."),
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.\w"),
    "an emoji": re.compile(r":[A-Za-z0-9_+-]+:"),
}
_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass
class Element:
    """An element of HTML."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def each(self, *tags: str) -> Iterator[Element]:
        """The elements in it with one of these tags (all without any), in the order of the text."""
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.each(*tags)

    def text(self, *, without: Collection[str] = ()) -> str:
        """What a reader sees. An element in `without` becomes one character that is part of no word."""
        told = (
            child if isinstance(child, str) else "\ufffc" if child.tag in without else child.text(without=without)
            for child in self.children
        )
        return "".join(told)


class Page(HTMLParser):
    """A tree from HTML that closes what it opens; `comments` and `unbalanced` say what else there is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("")
        self.comments: list[str] = []
        self.unbalanced: list[str] = []
        self._open = [self.root]
        self.feed(html)
        self.close()
        self.unbalanced += [f"<{element.tag}>" for element in self._open[1:]]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self._open[-1].tag == tag:
            self._open.pop()
        elif tag not in _VOID:
            self.unbalanced.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_decl(self, decl: str) -> None:
        self.unbalanced.append(f"<!{decl}>")

    def unknown_decl(self, data: str) -> None:
        self.unbalanced.append(f"<![{data}]>")

    def handle_pi(self, data: str) -> None:
        self.unbalanced.append(f"<?{data}>")


def read(markdown: str) -> Page:
    """The Markdown as GitHub's parser reads it, raw HTML and all."""
    return Page(markdown_to_html_with_extensions(markdown, _OPTIONS, _EXTENSIONS))


def breaches(markdown: str, links: Collection[str], comments: Collection[str] = ()) -> list[str]:
    """What is in the Markdown that nobody but data can have put there: each a few words, with where it stands.

    Args:
        links: the targets that may be linked to.
        comments: the HTML comments that must be there, in this order, and no others.
    """
    page = read(markdown)
    found = [f"{tag} does not belong to another tag" for tag in page.unbalanced]
    found += [] if page.comments == list(comments) else [f"HTML comments: {page.comments}"]
    for element in page.root.each():
        allowed = {"a": {"href"}, "code": {"class"}, "pre": {"lang"}, "details": {"open"}, "th": {"align"}, "td": {"align"}}
        if element.tag not in OURS or set(element.attributes) - allowed.get(element.tag, set()):
            found.append(f"<{element.tag} {element.attributes}>")
        if element.tag == "a" and element.attributes.get("href") not in links:
            found.append(f"a link to {element.attributes.get('href')}")
        if element.tag == "code" and element.attributes.get("class", "language-text") != "language-text":
            found.append(f"code of {element.attributes}")
    seen = page.root.text(without=_QUIET)
    for what, pattern in _ACTED_ON.items():
        found += [f"{what}: …{seen[max(0, match.start() - 20) : match.end() + 20]!r}…" for match in pattern.finditer(seen)]
    return found + _unseen(page.root.text()) + _broken_tables(markdown, page.root)


def _unseen(text: str) -> list[str]:
    joiners = text.replace("\u2060", "")
    found = [f"a change of direction: {match!r}" for match in _DIRECTIONS.findall(joiners)]
    hidden = {character for character in joiners if character != "\n" and unicodedata.category(character).startswith("C")}
    found += [f"what nobody sees: {hidden!r}"] if hidden else []
    marks = 0
    for character in joiners:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if marks == 9:
            found.append("a heap of combining marks")
    return found


def _broken_tables(markdown: str, root: Element) -> list[str]:
    """The parser fills short rows and drops what is too much: the source tells whether each row has what its header has."""
    fence = ""
    blocks: list[list[str]] = []
    lines = iter([*markdown.splitlines(), ""])
    block: list[str] = []
    for one in lines:
        opened = re.match("`{3,}", one)
        if opened and not fence:
            fence = opened[0]
        elif fence:
            fence = "" if one == fence else fence
        elif one.startswith("|"):
            block.append(one)
            continue
        if block:
            blocks.append(block)
            block = []
    found = [f"a table row of another width: {one[:200]}" for block in blocks for one in block if _cells(one) != _cells(block[0])]
    tables = list(root.each("table"))
    if [len(list(table.each("tr"))) for table in tables] != [len(block) - 1 for block in blocks]:
        found.append(f"{len(tables)} tables where {len(blocks)} were written, or of another length")
    return found


def _cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1
