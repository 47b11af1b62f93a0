"""Reading a comment without a browser."""

import html
import re
import textwrap
import unicodedata

_WORD_JOINER = "\u2060"


def plain(markdown: str) -> str:
    """Return the text as a browser shows it: character references resolved, invisible joiners and HTML comments gone."""
    return html.unescape(re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)).replace(_WORD_JOINER, "")


def headline(markdown: str) -> str:
    """Return the first line of a comment, without tags and the signs of a heading."""
    untagged = re.sub(r"</?[a-z]+\b[^>]*>", "", markdown)
    return next((line.lstrip("# ") for line in plain(untagged).splitlines() if line.strip()), "(empty)")


def rendered(markdown: str, width: int = 110) -> str:
    """Return a comment as it reads in a terminal: tables aligned, folded details closed, code as it is, tags left out."""
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)
    text = re.sub(r"<details>\s*<summary>(.*?)</summary>.*?</details>\s*", r"▸ \1\n", text, flags=re.DOTALL)
    text = re.sub(r"<details open>\s*<summary>(.*?)</summary>", r"▾ \1", text)
    text = re.sub(r"</details>\s*", "", text)
    lines: list[str] = []
    table: list[list[str]] = []
    fence = ""
    for line in [*text.splitlines(), ""]:
        opened = re.match(r"`{3,}", line)
        if fence:
            fence = "" if line.rstrip() == fence else fence
            lines += [line] if fence else []
        elif line.lstrip().startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", _untagged(line).strip().strip("|"))])
        else:
            lines += _aligned(table)
            table = []
            fence = opened[0] if opened else ""
            shown = _unmarked(re.sub(r"^#+\s*", "", _untagged(line).rstrip()))
            lines += [] if fence else textwrap.wrap(shown, width) or [""]
    joined = "\n".join(f"  │ {line}".rstrip() for line in lines)
    return re.sub(r"(\n  │){2,}(?=\n|$)", "\n  │", joined)


def _untagged(line: str) -> str:
    line = re.sub(r"<br\s*/?>", " ", line)
    line = re.sub(r"</?(sub|sup|b|strong|em|i|code|p|div|span)\b[^>]*>", "", line)
    return re.sub(r"!?\[([^\]]+)\]\(([^)\s]+)\)", r"\1", line)


def _unmarked(text: str) -> str:
    return plain(re.sub(r"\*\*|`|\\(?=[|*_~`<>\[\]])", "", text))


def _aligned(table: list[list[str]]) -> list[str]:
    rows = [row for row in table if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    if not rows:
        return []
    rules = next((row for row in table if row not in rows), [])
    columns = max(len(row) for row in rows)
    cells = [[_unmarked(cell) for cell in row] + [""] * (columns - len(row)) for row in rows]
    widths = [max(_columns(row[index]) for row in cells) for index in range(columns)]
    right = [index < len(rules) and rules[index].endswith(":") and not rules[index].startswith(":") for index in range(columns)]
    return ["  ".join(_padded(*part) for part in zip(row, widths, right, strict=True)).rstrip() for row in cells]


def _columns(text: str) -> int:
    """Return how many columns of a terminal the text takes; an emoji takes two."""
    visible = (letter for letter in text if unicodedata.category(letter) not in ("Mn", "Me", "Cf"))
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in visible)


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _columns(text))
    return space + text if right else text + space
