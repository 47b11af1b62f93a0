"""What people let pass: the approval label on a pull request, and the comment `/accept-regression <reason>`.

Both speak of what their author could see, so both count only if they are younger than the first verdict on this head commit, as the
check run tells, and than the last forced push or change of the base, which can bring an old commit before another judge. The next
push ends them. Both must come from a
person: what a bot does, anybody may have asked it to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelship.core.records import Acceptance
from modelship.github.client import (
    CheckRun,
    Comment,
    GitHub,
    PullRequest,
    RefusedError,
    TimelineEvent,
    UnansweredError,
    check_name,
)
from modelship.github.retry import patiently

COMMAND = "/accept-regression"
SHORTEST_REASON = 10
LONGEST_REASON = 500
"""Characters of a reason; the rest is cut off."""

_MOST_PEOPLE = 20
"""Whose permissions are looked up, the latest to write first: a crowd cannot make us ask GitHub without end."""

_MOST_TOLD = 3
_TURNS = frozenset({"head_ref_force_pushed", "base_ref_changed", "automatic_base_change_succeeded"})
"""Events after which an old commit may stand here again, or be judged by another base."""

_LADDER = ("none", "read", "triage", "write", "maintain", "admin")
LEAST_ROLE = "write"
"""The lowest role that `gate.accept-regression` can name."""

_ATTEMPT = re.compile(rf"{COMMAND}(?:[ \t]+(?P<reason>[^\r\n]*))?(?:[\r\n]|$)")


@dataclass(frozen=True)
class Matter:
    """What consent is asked for: a verdict on one commit."""

    pull_request: int
    head: str
    """Empty for the commit at which the pull request stands: a merge queue lets go of it when that changes."""
    model: str


@dataclass(frozen=True)
class Consent:
    """What was found, and what a reader should know of it."""

    labelled_by: str | None = None
    """Who set the approval label; None where it does not count."""
    acceptance: Acceptance | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """A comment that asks to let a regression pass."""

    comment: Comment
    reason: str


def find_consent(
    github: GitHub, matter: Matter, *, label: str | None, accept: str = "never", sleep: Callable[[float], None] = time.sleep
) -> Consent:
    """Ask GitHub for what people let pass: `label` where approval is needed, `accept` (`gate.accept-regression`) where the gate fails.

    Takes a token with `pull-requests: read` and `checks: read`. What cannot be looked up is not given, and a notice says so: the
    verdict itself is never held up.
    """
    if label is None and accept == "never":
        return Consent()
    try:
        return patiently(lambda: _find(github, matter, label, accept), sleep)
    except RefusedError as error:
        remedy = "Give the job `permissions: {pull-requests: read, checks: read}`." if error.status in (401, 403, 404) else ""
        return Consent(notices=(f"{_subject(label)} could not be looked up: GitHub refused ({error}). {remedy}".strip(),))
    except UnansweredError as error:
        return Consent(notices=(f"{_subject(label)} could not be looked up: GitHub did not answer ({error}). Run this job again.",))


def without_token(label: str | None) -> Consent:
    """What to say where there is no token to ask GitHub with. What the event knows of labels is as old as the event."""
    return Consent(notices=(f"{_subject(label)} could not be looked up: there is no `github-token`.",))


def _find(github: GitHub, matter: Matter, label: str | None, accept: str) -> Consent:
    pull = github.pull_request(matter.pull_request)
    if not matter.head:
        matter = replace(matter, head=pull.head)
    if pull.head != matter.head:
        return Consent(
            notices=(f"Pull request #{pull.number} has moved on from {_short(matter)}: nobody's word counts for it any more.",)
        )
    events = list(github.timeline(pull.number))
    runs = [run for run in github.check_runs(matter.head, check_name(matter.model)) if run.external_id == matter.model]
    since = speaks_since(runs, events)
    notices: list[str] = []
    by = None
    if label is not None:
        by, notice = find_label(label, pull, events, since)
        notices += [notice] if notice else []
    acceptance = None
    if accept != "never":
        attempts = find_attempts(github.comments(pull.number))
        acceptance, told = find_acceptance(attempts, matter, pull, since, accept, github.permission)
        notices += told
    return Consent(by, acceptance, tuple(notices))


def speaks_since(runs: Iterable[CheckRun], events: Iterable[TimelineEvent]) -> datetime | None:
    """From when on people can have spoken of the verdict on this head: None while there is none.

    A later run updates the check run, and what it said first stays the earlier of its two times.
    """
    published = [moment for run in runs for moment in (moment_of(run.started_at), moment_of(run.completed_at)) if moment]
    turns = [moment_of(event.created_at) for event in events if event.event in _TURNS]
    if not published or None in turns:
        return None
    return max([min(published), *(moment for moment in turns if moment)])


def find_label(label: str, pull: PullRequest, events: Iterable[TimelineEvent], since: datetime | None) -> tuple[str | None, str]:
    """Who set the label that the pull request has now, and else, where it has one that does not count, why not.

    GitHub lets only those set labels who have the role triage or a higher one. Names of labels do not differ by case alone.
    """
    wanted = label.casefold()
    if wanted not in {name.casefold() for name in pull.labels}:
        return None, ""
    set_ = [event for event in events if event.event == "labeled" and event.label.casefold() == wanted]
    latest = max(set_, key=lambda event: event.created_at, default=None)
    again = "Take it off and set it again."
    if latest is None:
        return None, f"The label `{label}` does not count: GitHub does not tell who set it. {again}"
    if latest.is_bot or not latest.actor:
        return None, f"The label `{label}` does not count: `{latest.actor or 'a deleted user'}` set it, and a person must."
    moment = moment_of(latest.created_at)
    if since is None or moment is None or moment <= since:
        return None, f"The label `{label}` does not count: it was set before there was a verdict on this commit. {again}"
    return latest.actor, ""


def is_attempt(text: str) -> bool:
    """Whether a comment's first line is the command, with or without a reason."""
    return _ATTEMPT.match(text) is not None


def suffices(role: str, least: str) -> bool:
    """Whether who has `role` may do what takes `least`; both as `GitHub.permission` names them."""
    return _LADDER.index(role) >= _LADDER.index(least)


def find_attempts(comments: Iterable[Comment]) -> list[Attempt]:
    """The comments of people whose first line is the command, in their order."""
    found = []
    for comment in comments:
        match = _ATTEMPT.match(comment.body)
        if match and comment.author and not comment.is_bot:
            found.append(Attempt(comment, (match["reason"] or "").strip()))
    return found


def find_acceptance(
    attempts: Sequence[Attempt],
    matter: Matter,
    pull: PullRequest,
    since: datetime | None,
    least: str,
    permission_of: Callable[[str], str],
) -> tuple[Acceptance | None, list[str]]:
    """The latest attempt that counts, and what to tell of it; else why the latest ones do not.

    Who may accept has at least the role `least` now. The author of a pull request may accept its regression, as an owner may merge
    their own; it is said. An edited comment does not count: others can edit it.
    """
    permissions: dict[str, str] = {}
    refusals: list[str] = []
    for attempt in reversed(attempts):
        author = attempt.comment.author
        refusal = _refusal(attempt, matter, since)
        if not refusal:
            if author not in permissions and len(permissions) == _MOST_PEOPLE:
                break
            if author not in permissions:
                permissions[author] = permission_of(author)
            if suffices(permissions[author], least):
                own = [f"`{author}` accepted the regression of their own pull request."] if author == pull.author else []
                return _acceptance(attempt, matter), own
            refusal = f"they have `{permissions[author]}` here, and `{least}` is needed"
        refusals.append(f"`{author}` asked to accept the regression: {refusal}.")
    return None, list(dict.fromkeys(refusals))[:_MOST_TOLD]


def _acceptance(attempt: Attempt, matter: Matter) -> Acceptance:
    reason = attempt.reason if len(attempt.reason) <= LONGEST_REASON else f"{attempt.reason[: LONGEST_REASON - 1]}…"
    return Acceptance(by=attempt.comment.author, reason=reason, url=attempt.comment.url, commit=matter.head)


def _refusal(attempt: Attempt, matter: Matter, since: datetime | None) -> str:
    """Why an attempt does not count, whoever made it; empty when it may."""
    created = moment_of(attempt.comment.created_at)
    if since is None or created is None or created <= since:
        return f"the comment is older than the verdict on {_short(matter)}, and cannot speak of it"
    if attempt.comment.updated_at != attempt.comment.created_at:
        return "the comment was edited, so a new one is needed"
    if len(attempt.reason) < SHORTEST_REASON:
        return f"a reason of at least {SHORTEST_REASON} characters is needed on the same line"
    return ""


def _subject(label: str | None) -> str:
    return f"`{COMMAND}`" if label is None else f"The label `{label}`"


def _short(matter: Matter) -> str:
    return matter.head[:7]


def moment_of(text: str) -> datetime | None:
    """A moment that GitHub tells, or None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
