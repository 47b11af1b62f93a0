"""Text from data stays text, wherever in a comment it stands: checked with a parser of GitHub's Markdown."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from modelship.core.words import TEXT_LIMIT, clean
from modelship.reporting import escape

ATTACKS = [
    "@octocat",
    "mail me@example.com",
    "fixes #1, GH-12",
    "acme/flights#3",
    "deadbee1, 0a1b2c3d4e5f60718293a4b5c6d7e8f900112233",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "<img src=x onerror=alert(1)>",
    "</summary></details><h1>passed</h1>",
    "<!-- modelship:flight-delay -->",
    "-->",
    "https://evil.example www.evil.example ftp://evil.example",
    "a | b \\| c",
    "| -- | -- |",
    "one\ntwo\r\n\nthree",
    "`code` ``` fence",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "1)",
    "---",
    "===",
    "> quote",
    "*a* **b** _c_ __d__ ~~e~~ $x$",
    "&lt;b&gt; &#64;octocat &amp;",
    ":green_circle: pass",
    "\\*",
    "[^1] [x]: https://evil.example",
    "\u202egnp.exe\u202c",
    "zero\u200bwidth \x1b[31mred\x1b[0m \x00",
    "::error::forged",
    "",
    " ",
]

texts = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(alphabet="ab1 \n\r\t|`*_~<>[]()!#@:/\\&;$^-=+.{}\"'", max_size=40),
    st.text(max_size=60),
    st.lists(st.sampled_from(ATTACKS), min_size=2, max_size=3).map("".join),
)


def parser() -> MarkdownIt:
    markdown = MarkdownIt("gfm-like", {"html": True, "linkify": True})
    # GitHub links neither a bare `example.com` nor an address with a word joiner in it. What it does link, REFERENCE finds.
    markdown.linkify.set({"fuzzy_link": False, "fuzzy_email": False})  # type: ignore[union-attr]
    return markdown


MARKDOWN = parser()


def flat(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in (token, *flat(token.children or []))]


def structure(source: str) -> list[tuple[str, str]]:
    """What the parser sees beside text and our own `<code>`."""
    kept = []
    for token in flat(MARKDOWN.parse(source)):
        if token.type in ("text", "inline", "text_special", "softbreak") or token.content in ("<code>", "</code>"):
            continue
        kept.append((token.type, token.content))
    return kept


def shown(source: str) -> str:
    """The text that a reader sees outside of code: where GitHub looks for references."""
    html = re.sub(r"<(code|pre)>.*?</\1>", "", MARKDOWN.render(source), flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", "", html))


REFERENCE = re.compile(
    r"@[\w-]|#\w|(?i:\bgh-)\d|://|(?i:www)\.|:[A-Za-z0-9_+-]+:|(?<![\w])(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,40}(?!\w)"
)


@given(texts)
def test_a_paragraph_stays_a_paragraph(text: str) -> None:
    escaped = escape.text(text)
    expected = [("paragraph_open", ""), ("paragraph_close", "")] if clean(text) else []
    assert structure(escaped) == expected
    assert not REFERENCE.search(shown(escaped))


@given(texts)
def test_a_heading_stays_a_heading(text: str) -> None:
    source = f"## 🔴 model: {escape.text(text)}\n\nafter\n"
    assert structure(source) == structure("## 🔴 model: x\n\nafter\n")


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=4))
def test_a_table_keeps_its_rows_and_cells(rows: list[tuple[str, str]]) -> None:
    def table(cells: list[tuple[str, str]]) -> str:
        return "\n".join(["| a | b |", "| -- | --: |", *(f"| {left} | {right} |" for left, right in cells)]) + "\n\nafter\n"

    escaped = table([(escape.text(left), escape.code(right)) for left, right in rows])
    assert structure(escaped) == structure(table([("x", "y")] * len(rows)))
    assert not REFERENCE.search(shown(escaped))


@given(texts)
def test_a_summary_stays_closed(text: str) -> None:
    source = f"<details><summary>{escape.text(text)}</summary>\n\ninside\n\n</details>\n"
    tokens = MARKDOWN.parse(source)
    assert [token.type for token in tokens] == ["html_block", "paragraph_open", "inline", "paragraph_close", "html_block"]
    inner = tokens[0].content.removeprefix("<details><summary>").removesuffix("</summary>\n")
    assert not re.search(r"[<>\"]", re.sub(r"</?code>", "", inner))


@given(st.lists(texts, max_size=6))
def test_a_log_stays_in_its_fence(lines: list[str]) -> None:
    source = f"before\n\n{escape.fenced(lines)}\n\nafter\n"
    kinds = [token.type for token in MARKDOWN.parse(source)]
    assert kinds == ["paragraph_open", "inline", "paragraph_close", "fence", "paragraph_open", "inline", "paragraph_close"]
    assert "<!--" not in source
    assert len(MARKDOWN.parse(source)[3].content.splitlines()) == len(lines)


@given(texts)
def test_no_marker_and_no_runner_command_gets_through(text: str) -> None:
    for written in (escape.text(text), escape.code(text), escape.clean_log_line(text)):
        assert "<!--" not in written
    printed = escape.clean_log_line(text)
    assert not printed.lstrip().startswith("::")
    assert "##[" not in printed


@given(st.text())
def test_what_is_shown_can_be_seen(text: str) -> None:
    cleaned = clean(text)
    assert not any(unicodedata.category(character).startswith("C") for character in cleaned)
    assert len(cleaned) <= TEXT_LIMIT
    assert "  " not in cleaned


@given(
    st.text(
        alphabet=st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u115f\u1160\u2800\u3164\uffa0"),
        min_size=1,
        max_size=50,
    )
)
def test_what_can_be_seen_is_shown(text: str) -> None:
    """Escaping changes how text is written, not what a reader sees."""
    html = MARKDOWN.render(f"x {escape.text(text)}").replace("\u2060", "")
    visible = re.sub(r"</?(code|p)>", "", html).strip()
    restored = visible.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert restored == f"x {text}"


@pytest.mark.parametrize(
    ("given_text", "limit", "expected"),
    [("short", 10, "short"), ("exactly ten", 11, "exactly ten"), ("this is too long", 8, "this is…")],
)
def test_long_text_ends_in_an_ellipsis(given_text: str, limit: int, expected: str) -> None:
    assert clean(given_text, limit) == expected


def test_ordinary_text_stays_readable_in_the_source() -> None:
    for ordinary in ("roc_auc", "0.7437", "+0.0014", "−0.0211", "data/train.parquet, 30,000 rows", "flight-delay: roc_auc fell 0.021"):
        assert escape.text(ordinary) == ordinary


def test_a_log_line_keeps_its_indentation_and_loses_its_colours() -> None:
    assert escape.clean_log_line("\x1b[31m    raise\tKeyError\x1b[0m  \n") == "    raise   KeyError"
    assert escape.clean_log_line(" 10%\r 50%\r100%\n") == "100%"
