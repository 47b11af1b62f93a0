"""The few calls to GitHub's API that Modelship needs, on PyGithub's transport.

PyGithub repeats a POST by itself after a 502, although GitHub may have done the work. Its retries are turned off here: each method
asks once, and `retry.patiently` repeats what is safe to repeat as a whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import github
import requests

TIMEOUT = 20
"""Seconds that GitHub has for one answer."""

_CHUNK = 1024 * 1024
_PAGE = 100
_SECONDS = len("2026-11-27T10:00:00")
_MAX_PAGES = 100
T = TypeVar("T")

_ROLES = frozenset({"read", "triage", "write", "maintain", "admin"})


def check_name(model: str) -> str:
    """The name of a model's check run."""
    return f"modelship: {model}"


@dataclass(frozen=True)
class Connection:
    """Where and as whom to speak to GitHub. The token stays out of the representation, and so out of logs."""

    api_url: str
    repository: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Comment:
    """A comment of a pull request."""

    id: int
    author: str
    body: str
    url: str
    is_bot: bool = False
    created_at: str = ""
    """ISO 8601, UTC, to the second; as is `updated_at`, which is the same until somebody edits the comment."""
    updated_at: str = ""


@dataclass(frozen=True)
class PullRequest:
    """A pull request as it stands now."""

    number: int
    head: str
    author: str
    labels: frozenset[str]
    repository: str = ""
    """`owner/name` that the branch is in; empty where that is gone."""


@dataclass(frozen=True)
class Proposal:
    """An open pull request: where it comes from, and where it is to go."""

    number: int
    head: str
    repository: str
    """`owner/name` that the branch is in; empty where that is gone."""
    base_ref: str
    """The branch that it is to be merged into."""
    base: str
    """A commit of that branch, as GitHub last looked."""


@dataclass(frozen=True)
class Artifact:
    """Something that a workflow run has kept. The name is whatever the run gave it."""

    id: int
    name: str
    bytes: int
    """Of the zip archive that it is in."""
    created_at: str
    """ISO 8601, UTC, to the second."""
    is_expired: bool


@dataclass(frozen=True)
class Issue:
    """An issue. GitHub takes pull requests for issues, too."""

    number: int
    author: str
    title: str
    body: str
    is_open: bool
    url: str
    is_pull_request: bool = False


@dataclass(frozen=True)
class TimelineEvent:
    """Something that happened to a pull request, as `labeled` or `head_ref_force_pushed`."""

    event: str
    actor: str
    is_bot: bool
    created_at: str
    """ISO 8601, UTC, to the second; empty for events that GitHub does not date."""
    label: str
    """Of the events `labeled` and `unlabeled`."""


@dataclass(frozen=True)
class CheckRun:
    """A check run of a commit."""

    id: int
    external_id: str
    url: str
    started_at: str = ""
    """ISO 8601, UTC; empty where GitHub does not say, as is `completed_at`."""
    completed_at: str = ""
    summary: str = ""
    """Markdown."""
    name: str = ""
    conclusion: str = ""
    details_url: str = ""


@dataclass(frozen=True)
class WorkflowRun:
    """A run of a workflow, as its latest attempt stands."""

    id: int
    number: int
    """What people call it: `run 42`."""
    attempt: int
    started_at: str
    """ISO 8601, UTC, to the second: when the latest attempt began."""
    status: str
    conclusion: str
    """GitHub's word; empty until the run is completed."""
    url: str
    pull_requests: frozenset[int]
    """Numbers; none where the head is in a fork, which GitHub does not tell."""
    event: str = ""
    """What started it, as `pull_request`."""
    actor: str = ""
    """Who started its first attempt."""
    created_at: str = ""
    """ISO 8601, UTC, to the second: when that was."""


@dataclass(frozen=True)
class CheckResult:
    """What a completed check run says. `conclusion` is GitHub's word, `summary` is Markdown of at most 65,535 characters."""

    name: str
    external_id: str
    conclusion: str
    title: str
    summary: str
    details_url: str | None

    def as_json(self) -> dict[str, Any]:
        """The body of a request that creates or updates the check run."""
        body: dict[str, Any] = {
            "name": self.name,
            "external_id": self.external_id,
            "status": "completed",
            "conclusion": self.conclusion,
            "output": {"title": self.title, "summary": self.summary},
        }
        return body | ({"details_url": self.details_url} if self.details_url else {})


class RefusedError(Exception):
    """GitHub answered that it will not do this. Asking again gives the same answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class UnansweredError(Exception):
    """GitHub did not answer, or said that it cannot now. Whether the work was done is not known."""

    def __init__(self, message: str, retry_after: float | None = None, *, is_limit: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which GitHub asks to be asked again; None where it does not say."""
        self.is_limit = is_limit
        """Whether GitHub was asked too much. It did nothing then."""


class GitHub:
    """One repository on GitHub. Every method raises RefusedError or UnansweredError."""

    def __init__(self, connection: Connection, timeout: float = TIMEOUT) -> None:
        self._requester = github.Github(
            auth=github.Auth.Token(connection.token),
            base_url=connection.api_url,
            timeout=timeout,  # type: ignore[arg-type]  # requests takes a fraction, too
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
            user_agent="modelship",
        ).requester
        self._connection = connection
        self._repository = f"/repos/{connection.repository}"

    @property
    def repository(self) -> str:
        """`owner/name`."""
        return self._connection.repository

    def login(self) -> str:
        """The login of the token's user. A GitHub App's token, such as GITHUB_TOKEN, has none: refused with 403."""
        return self._one("GET", "/user", lambda found: str(found["login"]))

    def pull_request_head(self, number: int) -> str:
        """The commit at which the pull request stands now."""
        return self._one("GET", f"{self._repository}/pulls/{number}", lambda found: str(found["head"]["sha"]))

    def merged_pull_request(self, sha: str) -> int | None:
        """The number of the pull request whose merge, squashed or rebased or not, ended in this commit; the newest of several."""
        found = self._all(f"{self._repository}/commits/{sha}/pulls", _merge)
        return max((number for number, commit in found if commit == sha), default=None)

    def pull_request(self, number: int) -> PullRequest:
        """The pull request."""
        return self._one("GET", f"{self._repository}/pulls/{number}", _pull_request)

    def proposals(self, owner: str, branch: str) -> Iterator[Proposal]:
        """The open pull requests of that owner's branch of this name, in whichever of their repositories it is."""
        return self._all(f"{self._repository}/pulls", _proposal, parameters={"state": "open", "head": f"{owner}:{branch}"})

    def artifacts(self, run_id: int) -> Iterator[Artifact]:
        """What a run has kept, in all its attempts."""
        return self._all(f"{self._repository}/actions/runs/{run_id}/artifacts", _artifact, "artifacts")

    def download_artifact(self, artifact_id: int, target: Path, most: int) -> None:
        """Write an artifact's zip archive to `target`. One of more than `most` bytes is refused with 413."""
        url = f"{self._connection.api_url}{self._repository}/actions/artifacts/{artifact_id}/zip"
        try:
            with _get(url, {"Authorization": f"Bearer {self._connection.token}"}) as told:
                if told.status_code != 302:
                    raise _refusal(told)
                address = told.headers["location"]
            # Another host keeps it. The address itself says who may read it, so the token stays here.
            with _get(address, {}) as answer, target.open("wb") as file:
                if answer.status_code != 200:
                    raise _refusal(answer)
                left = most
                for chunk in answer.iter_content(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise RefusedError(413, f"the artifact is larger than {most:,} bytes")
                    file.write(chunk)
        except requests.RequestException as error:
            raise UnansweredError(f"no answer ({type(error).__name__})") from error

    def timeline(self, number: int) -> Iterator[TimelineEvent]:
        """What happened to the pull request, oldest first."""
        return self._all(f"{self._repository}/issues/{number}/timeline", _timeline_event)

    def permission(self, login: str) -> str:
        """What a user may do here: `read`, `triage`, `write`, `maintain`, `admin`, or `none`.

        A role of the organisation's own counts as the one that it is built on, as far as GitHub tells.
        """
        try:
            return self._one("GET", f"{self._repository}/collaborators/{quote(login, safe='')}/permission", _role)
        except RefusedError as error:
            if error.status == 404:
                return "none"
            raise

    def comments(self, number: int) -> Iterator[Comment]:
        """All comments of the pull request, oldest first."""
        return self._all(f"{self._repository}/issues/{number}/comments", _comment)

    def create_comment(self, number: int, body: str) -> Comment:
        """Write a comment."""
        return self._one("POST", f"{self._repository}/issues/{number}/comments", _comment, {"body": body})

    def edit_comment(self, comment_id: int, body: str) -> Comment:
        """Replace a comment's text."""
        return self._one("PATCH", f"{self._repository}/issues/comments/{comment_id}", _comment, {"body": body})

    def delete_comment(self, comment_id: int) -> None:
        """Take a comment away."""
        self._ask("DELETE", f"{self._repository}/issues/comments/{comment_id}")

    def check_runs(self, sha: str, name: str) -> Iterator[CheckRun]:
        """All check runs of that name on a commit."""
        parameters = {"check_name": name, "filter": "all"}
        return self._all(f"{self._repository}/commits/{sha}/check-runs", _check_run, "check_runs", parameters)

    def all_check_runs(self, sha: str) -> Iterator[CheckRun]:
        """All check runs on a commit."""
        return self._all(f"{self._repository}/commits/{sha}/check-runs", _check_run, "check_runs", {"filter": "all"})

    def create_check_run(self, sha: str, result: CheckResult) -> CheckRun:
        """Add a completed check run to a commit."""
        return self._one("POST", f"{self._repository}/check-runs", _check_run, {**result.as_json(), "head_sha": sha})

    def update_check_run(self, check_run_id: int, result: CheckResult) -> CheckRun:
        """Replace what a check run says."""
        return self._one("PATCH", f"{self._repository}/check-runs/{check_run_id}", _check_run, result.as_json())

    def workflow_runs(self, workflow: str, head: str) -> Iterator[WorkflowRun]:
        """The runs of a workflow, by its file name, for pull requests that stand at `head`."""
        parameters = {"head_sha": head, "event": "pull_request"}
        return self._all(f"{self._workflow(workflow)}/runs", _workflow_run, "workflow_runs", parameters)

    def default_branch(self) -> str:
        """The name of the default branch."""
        return self._one("GET", self._repository, lambda found: str(found["default_branch"]))

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow, by its file name, on a branch. Takes `actions: write`.

        Refused with 404 where there is none, and with 422 where it lacks `workflow_dispatch` or one of the inputs. A run of it shows
        some seconds later.
        """
        body = {"ref": ref, **({"inputs": dict(inputs)} if inputs else {})}
        status, answer = self._tell(f"{self._workflow(workflow)}/dispatches", body)
        # With 200, which newer versions of the API have, comes the run.
        if status != 204 and not (isinstance(answer, dict) and "workflow_run_id" in answer):
            raise UnansweredError("an answer that is not GitHub's")

    def dispatched_runs(self, workflow: str, since: str) -> Iterator[WorkflowRun]:
        """The runs of a workflow that were dispatched since then (ISO 8601, UTC, to the second), newest first."""
        # GitHub lists the newest first, and takes a range of dates in a form that its own description does not know.
        runs = self._all(f"{self._workflow(workflow)}/runs", _workflow_run, "workflow_runs", {"event": "workflow_dispatch"})
        return takewhile(lambda run: run.created_at[:_SECONDS] >= since[:_SECONDS], runs)

    def issues(self, author: str) -> Iterator[Issue]:
        """The issues and pull requests of an author, open and closed, oldest first."""
        parameters = {"state": "all", "creator": author, "sort": "created", "direction": "asc"}
        return self._all(f"{self._repository}/issues", _issue, parameters=parameters)

    def create_issue(self, title: str, body: str) -> Issue:
        """Open an issue. Takes `issues: write`."""
        return self._one("POST", f"{self._repository}/issues", _issue, {"title": title, "body": body})

    def edit_issue(self, number: int, title: str, body: str, *, is_open: bool) -> Issue:
        """Replace an issue's title and text, and have it open or closed."""
        changed = {"title": title, "body": body, "state": "open" if is_open else "closed"}
        return self._one("PATCH", f"{self._repository}/issues/{number}", _issue, changed)

    def workflow_run(self, run_id: int) -> WorkflowRun:
        """A run of this repository."""
        return self._one("GET", f"{self._repository}/actions/runs/{run_id}", _workflow_run)

    def rerun(self, run_id: int) -> None:
        """Start all jobs of a completed run again. Refused with 403 while the run is going on."""
        self._ask("POST", f"{self._repository}/actions/runs/{run_id}/rerun")

    def rerun_failed_jobs(self, run_id: int) -> None:
        """Start the failed jobs of a completed run again, and those that need them. Refused with 403 while the run is going on."""
        self._ask("POST", f"{self._repository}/actions/runs/{run_id}/rerun-failed-jobs")

    def _workflow(self, workflow: str) -> str:
        return f"{self._repository}/actions/workflows/{quote(workflow, safe='')}"

    def _all(
        self, path: str, read: Callable[[Any], T], key: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[T]:
        """What stands on all pages, the list under `key` on each of them."""
        for page in range(1, _MAX_PAGES + 1):
            headers, answer = self._ask("GET", path, {**(parameters or {}), "per_page": _PAGE, "page": page})
            yield from _understood(answer, lambda found: [read(one) for one in (found[key] if key else found)])
            if 'rel="next"' not in headers.get("link", ""):
                return
        raise UnansweredError(f"{_MAX_PAGES} pages, and no end")

    def _one(self, verb: str, path: str, read: Callable[[Any], T], body: dict[str, Any] | None = None) -> T:
        return _understood(self._ask(verb, path, body=body)[1], read)

    def _ask(
        self, verb: str, path: str, parameters: dict[str, Any] | None = None, body: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], Any]:
        with _translating():
            return self._requester.requestJsonAndCheck(verb, path, parameters, input=body)

    def _tell(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """POST what may be answered with a status alone; returns it, and the answer if there is one."""
        with _translating():
            status, headers, text = self._requester.requestJson("POST", path, input=body)
            if status >= 400 and not text.startswith("{"):
                text = ""  # A gateway's page.
            answer = json.loads(text) if text else None
            if status >= 400:
                raise self._requester.createException(status, headers, answer or {})
            return status, answer


@contextmanager
def _translating() -> Iterator[None]:
    """Raises RefusedError or UnansweredError for whatever PyGithub and its transport raise."""
    try:
        yield
    except github.GithubException as error:
        raise _translated(error) from error
    except requests.RequestException as error:
        raise UnansweredError(f"no answer ({type(error).__name__})") from error
    except ValueError as error:
        raise UnansweredError("an answer that is cut off") from error
    except RuntimeError as error:
        # PyGithub's word for a server that sends its clients to another one.
        raise RefusedError(301, str(error)) from error


def _understood(answer: Any, read: Callable[[Any], T]) -> T:
    """What `read` finds in an answer. A gateway's page, or half of an answer, says nothing of whether GitHub did its work."""
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnansweredError("an answer that is not GitHub's") from error


def _get(url: str, headers: Mapping[str, str]) -> requests.Response:
    # With an `auth` of our own, none is looked for in the home folder.
    return requests.get(
        url,
        headers={"User-Agent": "modelship", **headers},
        auth=lambda request: request,
        timeout=TIMEOUT,
        allow_redirects=False,
        stream=True,
    )


def _refusal(answer: requests.Response) -> RefusedError | UnansweredError:
    later = answer.headers.get("retry-after", "")
    if answer.status_code >= 500 or answer.status_code == 429:
        return UnansweredError(f"{answer.status_code}: {answer.reason}", float(later) if later.isdigit() else None)
    return RefusedError(answer.status_code, str(answer.reason))


def _translated(error: github.GithubException) -> RefusedError | UnansweredError:
    message = error.message or (error.data.get("message") if isinstance(error.data, dict) else None) or "no reason given"
    headers = error.headers or {}
    used_up = headers.get("x-ratelimit-remaining") == "0"
    is_limit = error.status == 429 or (
        error.status == 403 and (used_up or "retry-after" in headers or isinstance(error, github.RateLimitExceededException))
    )
    if is_limit or error.status >= 500:
        return UnansweredError(f"{error.status}: {message}", _wait(headers, used_up), is_limit=is_limit)
    return RefusedError(error.status, str(message))


def _wait(headers: Mapping[str, str], used_up: bool) -> float | None:
    """Seconds until GitHub wants to be asked again.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit: `retry-after`
    comes first, then `x-ratelimit-reset` (seconds of UTC) where nothing remains. It is held against the server's own clock.
    """
    later, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if later.isdigit():
        return float(later)
    if used_up and reset.isdigit():
        return max(float(reset) - _now(headers.get("date", "")), 0.0) + 1
    return None


def _now(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return time.time()


def _pull_request(found: dict[str, Any]) -> PullRequest:
    labels = frozenset(str(label["name"]) for label in found.get("labels") or ())
    return PullRequest(int(found["number"]), str(found["head"]["sha"]), _login(found.get("user")), labels, _repository(found))


def _merge(found: dict[str, Any]) -> tuple[int, str]:
    """The number of a pull request, and the commit that its merge ended in; empty where it was not merged."""
    return int(found["number"]), str(found.get("merge_commit_sha") or "") if found.get("merged_at") else ""


def _proposal(found: dict[str, Any]) -> Proposal:
    base = found["base"]
    return Proposal(int(found["number"]), str(found["head"]["sha"]), _repository(found), str(base["ref"]), str(base["sha"]))


def _artifact(found: dict[str, Any]) -> Artifact:
    return Artifact(
        int(found["id"]), str(found["name"]), int(found["size_in_bytes"]), found.get("created_at") or "", bool(found.get("expired"))
    )


def _role(found: dict[str, Any]) -> str:
    return next((role for role in (found.get("role_name"), found.get("permission")) if role in _ROLES), "none")


def _comment(found: dict[str, Any]) -> Comment:
    user = found.get("user")
    return Comment(
        int(found["id"]),
        _login(user),
        found.get("body") or "",
        found.get("html_url") or "",
        _is_bot(user),
        found.get("created_at") or "",
        found.get("updated_at") or "",
    )


def _issue(found: dict[str, Any]) -> Issue:
    return Issue(
        int(found["number"]),
        _login(found.get("user")),
        found.get("title") or "",
        found.get("body") or "",
        found.get("state") == "open",
        found.get("html_url") or "",
        "pull_request" in found,
    )


def _timeline_event(found: dict[str, Any]) -> TimelineEvent:
    actor = found.get("actor")
    label = (found.get("label") or {}).get("name") or ""
    return TimelineEvent(str(found.get("event") or ""), _login(actor), _is_bot(actor), found.get("created_at") or "", label)


def _repository(pull: dict[str, Any]) -> str:
    # The repository of a deleted fork is null.
    return str((pull["head"].get("repo") or {}).get("full_name") or "")


def _login(user: dict[str, Any] | None) -> str:
    # The account of a deleted user is null.
    return str((user or {}).get("login") or "")


def _is_bot(user: dict[str, Any] | None) -> bool:
    return (user or {}).get("type") == "Bot" or _login(user).endswith("[bot]")


def _check_run(found: dict[str, Any]) -> CheckRun:
    return CheckRun(
        int(found["id"]),
        found.get("external_id") or "",
        found.get("html_url") or "",
        found.get("started_at") or "",
        found.get("completed_at") or "",
        (found.get("output") or {}).get("summary") or "",
        found.get("name") or "",
        found.get("conclusion") or "",
        found.get("details_url") or "",
    )


def _workflow_run(found: dict[str, Any]) -> WorkflowRun:
    return WorkflowRun(
        int(found["id"]),
        int(found["run_number"]),
        int(found.get("run_attempt") or 1),
        found.get("run_started_at") or "",
        found.get("status") or "",
        found.get("conclusion") or "",
        found.get("html_url") or "",
        frozenset(int(pull["number"]) for pull in found.get("pull_requests") or ()),
        found.get("event") or "",
        _login(found.get("actor")),
        found.get("created_at") or "",
    )
