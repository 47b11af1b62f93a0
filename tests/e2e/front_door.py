"""A thin HTTP layer between the workflows and the emulated GitHub API.

`emulate` keeps the state; this layer adds what it gets wrong or cannot know, each in one function below, counts the requests,
and can break them on purpose.
"""

import base64
import gzip
import http.client
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .workflow_runs import WorkflowRuns

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "date", "server"}


#: Characters in a comment; check runs take one less.
LONGEST = 65_536


@dataclass(frozen=True)
class Request:
    """One request that reached the API."""

    method: str
    path: str
    token: str
    status: int
    body: str = field(repr=False)
    answer: bytes = field(repr=False)

    @property
    def writes(self) -> bool:
        """Whether the request asked for a change."""
        return self.method not in ("GET", "HEAD")


@dataclass
class Fault:
    """Break the next `times` requests that match, either before they reach GitHub or after GitHub has done the work."""

    method: str
    path: str
    status: int
    after_the_work: bool = False
    times: int = 1

    def matches(self, method: str, path: str) -> bool:
        """Tell whether this fault is due for the request. `path` is searched as a regular expression."""
        return self.times > 0 and method == self.method and re.search(self.path, path) is not None


@dataclass(frozen=True)
class PullRequestFacts:
    """What git knows about a pull request and the emulator does not."""

    head_sha: str
    files: list[dict[str, Any]]
    #: Who opened it, if not the developer.
    author: str = ""


class FrontDoor:
    """Serves on a free port of 127.0.0.1 from the constructor until `stop`.

    Args:
        upstream_port: where the emulator listens.
        pull_request: returns git's facts on a pull request of `(owner/repo, number)`, or None if there is none.
        has_commit: tells whether `owner/repo` has a commit with this SHA.
        origins: the folder of bare repositories that `git` finds at this address; private, as a token must be shown.
    """

    def __init__(
        self,
        upstream_port: int,
        pull_request: Callable[[str, int], PullRequestFacts | None],
        has_commit: Callable[[str, str], bool],
        origins: Path | None = None,
    ) -> None:
        #: What the workflows asked, in order. Calls of people (and so of the tests) are neither listed nor broken.
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.user_tokens: set[str] = set()
        #: What each token of a workflow may do, as the API names it: `{"pull_requests": "read"}`.
        self.installation_tokens: dict[str, Mapping[str, str]] = {}
        self.workflow_runs = WorkflowRuns()
        #: The commits that pull requests were merged as: the merge is done in git, of which the emulator hears the push alone.
        self.merges: dict[int, str] = {}
        self._upstream_port = upstream_port
        self._pull_request = pull_request
        self._has_commit = has_commit
        self._origins = origins
        self._events: dict[int, list[dict[str, Any]]] = {}
        self._edited: set[str] = set()
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                elsewhere = door._storage(self.path, dict(self.headers.items())) or door._git(
                    self.command, self.path, dict(self.headers.items()), body
                )
                status, headers, answer = elsewhere or door._answer(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Stay silent: `requests` is the log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="github-api").start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def break_next(self, method: str, path: str, status: int = 502, *, after_the_work: bool = False, times: int = 1) -> None:
        """Answer the next `times` matching requests with `status`; `path` is a regular expression.

        With `after_the_work` the change is made all the same, as when a proxy drops GitHub's answer.
        """
        self.faults.append(Fault(method, path, status, after_the_work, times))

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        path = urlsplit(target).path
        token = re.sub(r"(?i)^(bearer|token)\s+", "", headers.get("Authorization", ""))
        human = token in self.user_tokens
        fault = next((fault for fault in self.faults if not human and fault.matches(method, path)), None)
        if fault is not None:
            fault.times -= 1
        if fault is not None and not fault.after_the_work:
            status, answered, answer = _refusal(fault.status, "Broken on purpose")
        elif token and token not in self.user_tokens | self.installation_tokens.keys() and not token.startswith("eyJ"):
            # The emulator takes an unknown token for its default user.
            status, answered, answer = _refusal(401, "Bad credentials")
        elif path == "/user" and token in self.installation_tokens:
            # GITHUB_TOKEN is nobody's: GitHub refuses to say whose it is.
            status, answered, answer = _refusal(403, "Resource not accessible by integration")
        elif self._may_not_write_issues(method, path, token):
            status, answered, answer = _refusal(403, "Resource not accessible by integration")
        elif refusal := self._too_much(method, path, body) or self._immutable(method, path, headers):
            status, answered, answer = _refusal(422, refusal)
        else:
            ours = self._workflow_runs(method, target, token, body) or self._pulls_of_commit(method, path, headers, token)
            status, answered, answer = ours or self._ask_upstream(method, target, headers, body)
            if status == 200:
                self._note_labels(method, path, headers if human else None, body)
                self._note_edit(method, path)
            if method == "GET" and (events := self._timeline(path)) is not None:
                status, answer = 200, events
            elif status == 200 and method == "GET":
                answer = self._correct(path, urlsplit(target).query, answer)
            if status in (200, 201):
                answer = self._correct_comments(path, answer)
            if fault is not None:
                status, answered, answer = _refusal(fault.status, "Broken on purpose, after the work")
        if not human:
            self.requests.append(Request(method, target, token, status, body.decode("utf-8", "replace"), answer))
        return status, answered, answer

    def _storage(self, target: str, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """The host that keeps artifacts: it knows the addresses that it was asked for, and no tokens. None for another path."""
        found = re.fullmatch(r"/_storage/(\d+)\.zip", target)
        if found is None:
            return None
        if "Authorization" in headers:
            return _refusal(400, "This token is for another host")
        content = self.workflow_runs.archive(int(found[1]))
        return (404, [], b"") if content is None else (200, [("Content-Type", "application/zip")], content)

    def _git(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Git's own server, for who shows a token of a workflow that may read. None for another path."""
        url = urlsplit(target)
        found = re.fullmatch(r"/([\w.-]+/[\w.-]+?)(?:\.git)?(/info/refs|/git-upload-pack)", url.path)
        if found is None or self._origins is None:
            return None
        shown = headers.get("Authorization", headers.get("AUTHORIZATION", ""))
        kind, _, encoded = shown.partition(" ")
        token = base64.b64decode(encoded).decode().partition(":")[2] if kind.lower() == "basic" else ""
        if self.installation_tokens.get(token, {}).get("contents") not in ("read", "write"):
            return 401, [("WWW-Authenticate", 'Basic realm="GitHub"')], b""
        if "gzip" in headers.get("Content-Encoding", ""):
            body = gzip.decompress(body)
        variables = {
            "GIT_PROJECT_ROOT": str(self._origins), "GIT_HTTP_EXPORT_ALL": "1", "REQUEST_METHOD": method, "QUERY_STRING": url.query,
            "PATH_INFO": f"/{found[1]}.git{found[2]}", "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)), "GIT_PROTOCOL": headers.get("Git-Protocol", ""), "PATH": os.environ["PATH"],
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }  # fmt: skip
        answer = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        pairs = [(key, value) for key, _, value in (line.partition(": ") for line in head.decode().split("\r\n"))]
        status = next((int(value.split()[0]) for key, value in pairs if key == "Status"), 200)
        return status, [pair for pair in pairs if pair[0] not in ("Status", "Content-Length")], content

    def _ask_upstream(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=30)
        try:
            kept = {key: value for key, value in headers.items() if key.lower() not in _HOP_BY_HOP}
            # The emulator builds the links to further pages from the Host header: they must lead back here.
            upstream.request(method, target, body or None, {**kept, "Host": f"127.0.0.1:{self.port}", "Accept-Encoding": "identity"})
            response = upstream.getresponse()
            answer = response.read()
            answered = [(key, value) for key, value in response.getheaders() if key.lower() not in _HOP_BY_HOP]
            return response.status, answered, answer
        finally:
            upstream.close()

    def _actor(self, token: str) -> str:
        """The login of who shows this token."""
        if token in self.installation_tokens:
            return "github-actions[bot]"
        return str(json.loads(self._ask_upstream("GET", "/user", {"Authorization": f"Bearer {token}"}, b"")[2])["login"])

    def _workflow_runs(self, method: str, target: str, token: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """The emulator keeps runs of its own, apart from those of act. None for a path that is not about runs."""
        url = urlsplit(target)
        found = re.fullmatch(r"/repos/[^/]+/[^/]+/actions/(.+)", url.path)
        if found is None:
            return None
        may = self.installation_tokens.get(token, {"actions": "write"}).get("actions", "none")
        if may == "none" or (may == "read" and method != "GET"):
            return _refusal(403, "Resource not accessible by integration")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        kept = re.fullmatch(r"artifacts/(\d+)/zip", found[1])
        if kept and method == "GET" and self.workflow_runs.archive(int(kept[1])) is not None:
            return 302, [("Location", f"{self.url}/_storage/{kept[1]}.zip")], b""
        asked = json.loads(body) if body else {}
        status, content = self.workflow_runs.answer(method, unquote(found[1]), query, asked, self._actor(token))
        return (status, [], b"") if status == 204 else _json(status, content)

    def _pulls_of_commit(
        self, method: str, path: str, headers: dict[str, str], token: str
    ) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """The pull requests that were merged as a commit, all on the first page; None for another path."""
        found = re.fullmatch(r"(/repos/[^/]+/[^/]+)/commits/([0-9a-f]{40})/pulls", path)
        if found is None or method != "GET":
            return None
        if self.installation_tokens.get(token, {"pull_requests": "read"}).get("pull_requests", "none") == "none":
            return _refusal(403, "Resource not accessible by integration")
        pulls = []
        for number, sha in self.merges.items():
            if sha == found[2]:
                one = f"{found[1]}/pulls/{number}"
                pulls.append(json.loads(self._correct(one, "", self._ask_upstream("GET", one, headers, b"")[2])))
        return _json(200, pulls)

    def _may_not_write_issues(self, method: str, path: str, token: str) -> bool:
        """Whether an app's token lacks the right to open or change an issue, which the emulator does not ask for."""
        if not re.fullmatch(r"/repos/[^/]+/[^/]+/issues(/\d+)?", path) or method not in ("POST", "PATCH"):
            return False
        return token in self.installation_tokens and self.installation_tokens[token].get("issues") != "write"

    def _note_labels(self, method: str, path: str, person: dict[str, str] | None, body: bytes) -> None:
        """Keep who set and took off labels: the emulator tells it of issues alone. `person` are the headers of a person's request."""
        found = re.fullmatch(r"/repos/[^/]+/[^/]+/issues/(\d+)/labels(?:/([^/]+))?", path)
        if found is None or method not in ("POST", "DELETE"):
            return
        names = [unquote(found[2])] if found[2] else json.loads(body)["labels"]
        actor = {"login": "github-actions[bot]", "type": "Bot"}
        if person is not None:
            actor = json.loads(self._ask_upstream("GET", "/user", person, b"")[2])
        for name in names:
            event = {
                "event": "labeled" if method == "POST" else "unlabeled",
                "actor": actor,
                "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "label": {"name": name},
            }
            self._events.setdefault(int(found[1]), []).append(event)

    def _immutable(self, method: str, path: str, headers: dict[str, str]) -> str | None:
        """Return why a release stays as it is: GitHub lets nobody change a published one, where releases are immutable."""
        found = re.fullmatch(r"(/repos/[^/]+/[^/]+/releases/\d+)(?:/assets)?", path)
        if found is None or method not in ("PATCH", "POST", "DELETE"):
            return None
        status, _, release = self._ask_upstream("GET", found[1], headers, b"")
        return None if status != 200 or json.loads(release)["draft"] else "Cannot change an immutable release"

    def _note_edit(self, method: str, path: str) -> None:
        found = re.fullmatch(r"/repos/[^/]+/[^/]+/issues/comments/(\d+)", path)
        if found is not None and method == "PATCH":
            self._edited.add(found[1])

    def _timeline(self, path: str) -> bytes | None:
        """The labels that were set and taken off, all on the first page; None for another path."""
        found = re.fullmatch(r"/repos/[^/]+/[^/]+/issues/(\d+)/timeline", path)
        return None if found is None else json.dumps(self._events.get(int(found[1]), [])).encode()

    def _too_much(self, method: str, path: str, body: bytes) -> str | None:
        """Return why GitHub would not accept a comment or check run that the emulator takes."""
        if method not in ("POST", "PATCH") or not re.search(r"/comments(/\d+)?$|/issues(/\d+)?$|/check-runs(/\d+)?$", path):
            return None
        content = json.loads(body)
        if "/check-runs" in path:
            long = [key for key in ("summary", "text") if len((content.get("output") or {}).get(key) or "") > LONGEST - 1]
            if long:
                return f"output.{long[0]}: only {LONGEST - 1} characters are allowed"
            sha = content.get("head_sha")
            repository = "/".join(path.split("/")[2:4])
            return None if sha is None or self._has_commit(repository, sha) else f"No commit found for SHA: {sha}"
        return f"Body is too long (maximum is {LONGEST} characters)" if len(content.get("body", "")) > LONGEST else None

    def _correct(self, path: str, query: str, answer: bytes) -> bytes:
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)/pulls(?:/(\d+))?(/files)?", path)
        if found is None:
            return answer
        repository, number, files = found.groups()
        content: Any = json.loads(answer)
        if files:
            facts = self._pull_request(repository, int(number))
            if facts is not None:
                # The emulator invents the names of the files. All real ones are on the first page.
                content = facts.files if parse_qs(query).get("page", ["1"]) == ["1"] else []
        else:
            for pull in content if isinstance(content, list) else [content]:
                if merged := self.merges.get(int(pull["number"])):
                    pull.update(state="closed", merged=True, merged_at=pull["updated_at"], merge_commit_sha=merged)
                facts = self._pull_request(repository, int(pull["number"]))
                if facts is not None:
                    # The emulator keeps the head of the moment at which the pull request was opened.
                    pull["head"]["sha"] = facts.head_sha
                    if facts.author:
                        pull["user"] = {"login": facts.author, "type": "User"}
                    pull["changed_files"] = len(facts.files)
        return json.dumps(content).encode()

    def _correct_comments(self, path: str, answer: bytes) -> bytes:
        """The emulator asks the clock twice: a comment may seem to have been edited in the millisecond after its creation."""
        if not re.fullmatch(r"/repos/[^/]+/[^/]+/issues/(\d+/comments|comments/\d+)", path):
            return answer
        content: Any = json.loads(answer)
        for comment in content if isinstance(content, list) else [content]:
            if str(comment["id"]) not in self._edited:
                comment["updated_at"] = comment["created_at"]
        return json.dumps(content).encode()


def _refusal(status: int, message: str) -> tuple[int, list[tuple[str, str]], bytes]:
    return _json(status, {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)})


def _json(status: int, content: object) -> tuple[int, list[tuple[str, str]], bytes]:
    return status, [("Content-Type", "application/json; charset=utf-8")], json.dumps(content).encode()
