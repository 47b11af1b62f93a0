"""What is told to people in a chat: one message for an incoming webhook as Slack, Mattermost and others take it.

Text that comes from data, code or a ledger stands in blocks of plain text, in which nothing is a link, a mention or bold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelship.core.words import clean
from modelship.reporting.blocks import Light

_SIGNS: dict[Light, str] = {"pass": "🟢", "warn": "🟡", "fail": "🔴", "none": "⚪"}
_BY_SEVERITY: tuple[Light, ...] = ("none", "pass", "warn", "fail")
_LONGEST_TITLE = 150
"""https://docs.slack.dev/reference/block-kit/blocks/header-block: the limit for a header."""
_LONGEST_LINE = 300
_MOST_LINES = 8


@dataclass(frozen=True)
class Told:
    """One thing that happened: in which step, and one sentence."""

    light: Light
    step: str
    sentence: str


def message(model: str, told: Sequence[Told], *, actor: str = "", run_url: str = "", run: str = "") -> dict[str, Any]:
    """The message: the worst of what happened, else the last, as its title; all of it below; who did it, and where to look."""
    worst: Light = max((known.light for known in told), key=_BY_SEVERITY.index, default="none")
    bad = [known for known in told if known.light == worst]
    title_of = bad[0] if worst in ("fail", "warn") and bad else told[-1] if told else None
    title = f"{_SIGNS[worst]} {model}: {title_of.sentence if title_of else 'nothing happened'}"
    lines = [f"{_SIGNS[known.light]} {known.step}: {clean(known.sentence, _LONGEST_LINE)}" for known in told[-_MOST_LINES:]]
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(clean(title, _LONGEST_TITLE))}]
    if len(told) > 1:
        blocks.append({"type": "section", "text": _plain("\n".join(lines))})
    facts = [_plain(f"by {clean(actor, 100)}")] if actor else []
    if _is_address(run_url):
        facts.append({"type": "mrkdwn", "text": f"<{run_url}|{_escaped(clean(run, 60)) or 'the run'}>"})
    if facts:
        blocks.append({"type": "context", "elements": facts})
    # What a phone's notification shows; here, too, `<`, `>` and `&` would begin what is not text.
    return {"text": _escaped(clean(title, _LONGEST_TITLE)), "blocks": blocks}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}


def _escaped(text: str) -> str:
    """Source: https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_address(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https") and not set(url) & set("<>|\"' \n")
