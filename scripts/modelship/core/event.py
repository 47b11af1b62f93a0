"""What GitHub says of this run: repository, commits, pull request."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from modelship.core.errors import bad_input

_SERVER_URL = "https://github.com"
_API_URL = "https://api.github.com"
_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_QUEUED = re.compile(r"refs/heads/gh-readonly-queue/.+/pr-([1-9][0-9]{0,9})-[0-9a-f]{40,64}", re.DOTALL)
"""The branch on which a merge queue tries to merge one pull request after those before it."""


class Event(msgspec.Struct, frozen=True):
    """One workflow run as GitHub describes it; every field is empty outside of a workflow."""

    name: str = ""
    repository: str = ""
    head: str | None = None
    """The commit that is judged: the pull request's head, else the pushed commit."""
    base: str | None = None
    """The commit that it is judged against: the pull request's base, else what was there before the push."""
    checked_out: str | None = None
    """GITHUB_SHA: for a pull request, GitHub's merge of head into base."""
    pull_request: int | None = None
    """The one that is answered."""
    queued: int | None = None
    """The one whose merge a merge queue tries. It has its answer; what people let pass there counts here, too."""
    run_id: str | None = None
    run_attempt: str = "1"
    actor: str = ""
    """Who started the run."""
    run_number: str | None = None
    """What people call the run: `run 42`."""
    server_url: str = _SERVER_URL
    api_url: str = _API_URL

    @property
    def run_url(self) -> str | None:
        """The page of this workflow run."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}" if self.run_id else None

    @property
    def is_pull_request(self) -> bool:
        """Whether a pull request is answered."""
        return self.pull_request is not None

    @property
    def is_proposal(self) -> bool:
        """Whether policy must come from the base: somebody asks for a change that is not merged yet."""
        return self.is_pull_request or self.name == "merge_group"

    @property
    def is_elsewhere(self) -> bool:
        """Whether another commit is checked out than the one that is judged, of which there are git objects alone."""
        return self.head is not None and self.checked_out is None


class ToldPullRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pull request as GitHub's API told of it, where the event does not: `fork-evidence` hands it to the steps after it."""

    number: Annotated[int, Meta(ge=1)]
    head: Annotated[str, Meta(pattern=rf"\A{_SHA.pattern}\Z")]
    base: Annotated[str, Meta(pattern=rf"\A{_SHA.pattern}\Z")]


class FinishedRun(msgspec.Struct, frozen=True):
    """The workflow run whose end started this one. Branch and repository are names that their owner has chosen."""

    id: int
    event: str
    head: str
    branch: str
    owner: str
    """Of the repository that the branch is in; empty, like the next, where that is gone."""
    repository: str
    started_at: str
    """ISO 8601, UTC, to the second: when its latest attempt began."""


class Word(msgspec.Struct, frozen=True):
    """What somebody has just said on a pull request: a comment that was written, or a label that was set."""

    pull_request: int
    author: str
    is_bot: bool
    said_at: str
    """ISO 8601, UTC, to the second."""
    comment: str | None = None
    label: str | None = None


def read_event(environ: Mapping[str, str] = os.environ, told: str = "") -> Event:
    """The event of this run from the variables and the event file that GitHub sets, and the pull request that `told` (JSON) holds.

    Raises BadInput on a broken event file, and where `told` is no `ToldPullRequest`.
    """
    event = _read_event(environ)
    if not told:
        return event
    try:
        pull = msgspec.json.decode(told, type=ToldPullRequest)
    except msgspec.DecodeError as error:
        raise bad_input(f"`pull-request` is not what `fork-evidence` writes: {error}.") from None
    return msgspec.structs.replace(event, pull_request=pull.number, head=pull.head, base=pull.base, checked_out=None, queued=None)


def _read_event(environ: Mapping[str, str]) -> Event:
    if not environ.get("GITHUB_REPOSITORY") or not environ.get("GITHUB_EVENT_NAME"):
        return Event()
    payload = _payload(environ.get("GITHUB_EVENT_PATH"))
    pull = payload.get("pull_request") if isinstance(payload.get("pull_request"), dict) else None
    merge_group = payload.get("merge_group") if isinstance(payload.get("merge_group"), dict) else {}
    checked_out = _sha(environ.get("GITHUB_SHA"))
    if pull:
        number = pull.get("number")
        head, base = _sha(_at(pull, "head", "sha")), _sha(_at(pull, "base", "sha"))
    else:
        number = None
        head = checked_out
        base = _sha(payload.get("before")) or _sha(_at(merge_group, "base_sha"))
    return Event(
        name=environ["GITHUB_EVENT_NAME"],
        repository=environ["GITHUB_REPOSITORY"],
        head=head,
        base=base,
        checked_out=checked_out,
        pull_request=number if isinstance(number, int) and not isinstance(number, bool) else None,
        queued=_queued(_at(merge_group, "head_ref")),
        run_id=environ.get("GITHUB_RUN_ID") or None,
        actor=environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR") or "",
        run_number=environ.get("GITHUB_RUN_NUMBER") or None,
        run_attempt=environ.get("GITHUB_RUN_ATTEMPT") or "1",
        server_url=environ.get("GITHUB_SERVER_URL") or _SERVER_URL,
        api_url=environ.get("GITHUB_API_URL") or _API_URL,
    )


def read_word(environ: Mapping[str, str] = os.environ) -> Word | None:
    """The word that started this run; None where another event did. Raises BadInput on a broken event file."""
    payload = _payload(environ.get("GITHUB_EVENT_PATH"))
    match environ.get("GITHUB_EVENT_NAME"), payload.get("action"):
        case "issue_comment", "created" if _at(payload, "issue", "pull_request"):
            number, author = _at(payload, "issue", "number"), _at(payload, "comment", "user")
            said_at, comment, label = _at(payload, "comment", "created_at"), _at(payload, "comment", "body") or "", None
        case "pull_request", "labeled":
            number, author = _at(payload, "pull_request", "number"), payload.get("sender")
            # The event does not date the label, and setting it is the last thing that happened to the pull request.
            said_at, comment, label = _at(payload, "pull_request", "updated_at"), None, _at(payload, "label", "name") or ""
        case _:
            return None
    login = str(_at(author, "login") or "")
    is_bot = _at(author, "type") == "Bot" or login.endswith("[bot]")
    told = {"pull_request": number, "author": login, "is_bot": is_bot, "said_at": said_at, "comment": comment, "label": label}
    return _converted(told, Word)


T = TypeVar("T")


def _converted(told: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise bad_input(f"GITHUB_EVENT_PATH is not what GitHub writes for this event: {error}.") from None


def read_finished_run(environ: Mapping[str, str] = os.environ) -> FinishedRun | None:
    """The run whose end started this one; None where another event did. Raises BadInput on a broken event file."""
    payload = _payload(environ.get("GITHUB_EVENT_PATH"))
    run = payload.get("workflow_run")
    if environ.get("GITHUB_EVENT_NAME") != "workflow_run" or payload.get("action") != "completed" or not isinstance(run, dict):
        return None
    told = {
        "id": run.get("id"),
        "event": run.get("event"),
        "head": _sha(run.get("head_sha")),
        "branch": run.get("head_branch") or "",
        "owner": _at(run, "head_repository", "owner", "login") or "",
        "repository": _at(run, "head_repository", "full_name") or "",
        "started_at": run.get("run_started_at") or "",
    }
    return _converted(told, FinishedRun)


def _payload(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        payload = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise bad_input(f"GITHUB_EVENT_PATH cannot be read: {error}.", path=path) from None
    return payload if isinstance(payload, dict) else {}


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _queued(ref: Any) -> int | None:
    found = _QUEUED.fullmatch(ref) if isinstance(ref, str) else None
    return int(found[1]) if found else None


def _sha(value: Any) -> str | None:
    """A commit id, or None; all zeros is how a push says that there was nothing before."""
    return value if isinstance(value, str) and _SHA.fullmatch(value) and set(value) != {"0"} else None
