"""Make text from data, code or GitHub harmless: whatever a column, a metric or a log says, it stays text.

GitHub reads a comment twice: Markdown becomes HTML, and then mentions, issue numbers, commits, addresses and emoji codes are looked
up in the text of that HTML. Numeric character references stop the first reading, and work the same in Markdown, table cells, headings
and raw HTML such as `<summary>`. A word joiner (U+2060: no width, no line break) stops the second; commits are put in `<code>`
instead, where GitHub looks for nothing, so that they can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelship.core.words import TEXT_LIMIT, all_visible, clean, clip

NAME_LIMIT = 80
LOG_LINE_LIMIT = 300

_JOINER = "\u2060"

_STRUCTURE = str.maketrans({character: f"&#{ord(character)};" for character in "&<>\"'`*[]|~\\$^{}"})
_OUTER_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_BLOCK_START = re.compile(r"^(\d{1,9}(?=[.)](?:\s|$))|(?=[-+=#](?:[-=#\s]|$)))([-+=#.)])")
# A decimal fraction is none, and neither is a number with commas.
_COMMIT = re.compile(r"(?<![\w&#])(?<![0-9][.,])[0-9A-Fa-f]{7,64}(?!\w|[.,][0-9])")

_ADDRESS = re.compile(r"@(?=\S)|:(?=//)|(?i:www)(?=\.)")
_REFERENCE = re.compile(
    r"#(?=\w)"  # #123
    r"|(?i:\bGH-)(?=\d)"  # GH-123
    r"|:(?=[A-Za-z0-9_+-]+:)"  # :green_circle:
)
_TERMINAL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)")


def clean_log_line(text: str) -> str:
    """A line of a log with its indentation, without terminal sequences; of a progress bar, its last state."""
    last = _TERMINAL_SEQUENCE.sub("", text[: 20 * LOG_LINE_LIMIT]).rstrip().rpartition("\r")[2].expandtabs(4)
    visible = all_visible(last)
    # Neither a comment marker nor a command to the GitHub runner, which reads the log that this may be printed to.
    return re.sub(r"<(?=!--)|#(?=#\[)|:(?=:)", rf"\g<0>{_JOINER}", clip(visible.rstrip(), LOG_LINE_LIMIT))


def text(value: str, limit: int = TEXT_LIMIT) -> str:
    """`value` as Markdown text that is nothing but text: in a paragraph, a table cell, a heading or a `<summary>`."""
    joined = _REFERENCE.sub(rf"\g<0>{_JOINER}", _ADDRESS.sub(rf"\g<0>{_JOINER}", clean(value, limit)))
    return _COMMIT.sub(r"<code>\g<0></code>", _without_structure(joined))


def code(value: str, limit: int = NAME_LIMIT) -> str:
    """`value` as a `<code>` element."""
    joined = _ADDRESS.sub(rf"\g<0>{_JOINER}", clean(value, limit))
    return f"<code>{_without_structure(joined)}</code>"


def fenced(lines: Iterable[str]) -> str:
    """Lines of a log as a fenced block that nothing inside can close."""
    content = [clean_log_line(line) for line in lines]
    longest = max((len(run) for line in content for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *content, fence])


def _without_structure(cleaned: str) -> str:
    escaped = _OUTER_UNDERSCORE.sub("&#95;", cleaned.translate(_STRUCTURE))
    return _BLOCK_START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", escaped)
