"""The runs of the team's workflows as GitHub's API tells of them: `front_door` answers with it."""

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def now() -> str:
    """This moment, as the API writes it; GitHub leaves the milliseconds out."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class WorkflowRun:
    """One run with its latest attempt. `file` is the workflow's file name."""

    id: int
    file: str
    event: str
    head_sha: str
    number: int
    pull_requests: tuple[int, ...] = ()
    status: str = "in_progress"
    conclusion: str | None = None
    attempt: int = 1
    started_at: str = field(default_factory=now)
    created_at: str = field(default_factory=now)
    actor: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Of a run that was dispatched."""

    def finish(self, conclusion: str) -> None:
        """End the latest attempt."""
        self.status, self.conclusion = "completed", conclusion

    def start_again(self) -> None:
        """Begin another attempt, which waits for a runner."""
        self.status, self.conclusion = "queued", None
        self.attempt, self.started_at = self.attempt + 1, now()

    def as_json(self) -> dict[str, Any]:
        """What the API shows of it, as far as anybody asks for it."""
        return {
            "id": self.id, "run_number": self.number, "run_attempt": self.attempt, "run_started_at": self.started_at,
            "path": f".github/workflows/{self.file}", "event": self.event, "head_sha": self.head_sha,
            "status": self.status, "conclusion": self.conclusion, "created_at": self.created_at,
            "actor": {"login": self.actor} if self.actor else None,
            "pull_requests": [{"number": number} for number in self.pull_requests],
            "html_url": f"https://github.com/runs/{self.id}",
        }  # fmt: skip


class WorkflowRuns:
    """All runs of one repository, and what they have kept: `<store>/<run>/<number>/artifact.json` with `files/` or `artifact.zip`."""

    def __init__(self) -> None:
        self._runs: dict[int, WorkflowRun] = {}
        self._lock = threading.Lock()
        #: Where the artifacts are; none without it.
        self.store: Path | None = None
        #: Returns the text of a workflow's file on a branch, and the branch's last commit; None where there is none.
        self.find: Callable[[str, str], tuple[str, str] | None] = lambda file, branch: None

    def keep(self, run_id: int, name: str, archive: bytes, *, created_at: str = "", size: int | None = None) -> None:
        """Let a run have kept an artifact whose zip archive is `archive`, and that the API says has `size` bytes."""
        assert self.store is not None
        number = run_id * 100 + 1 + len(list(self.store.glob(f"{run_id}/*")))
        folder = self.store / str(run_id) / str(number)
        folder.mkdir(parents=True)
        (folder / "artifact.zip").write_bytes(archive)
        entry = {
            "id": number, "name": name, "digest": hashlib.sha256(archive).hexdigest(), "url": "", "created_at": created_at or now(),
            "size_in_bytes": len(archive) if size is None else size,
        }  # fmt: skip
        (folder / "artifact.json").write_text(json.dumps(entry), encoding="utf-8")

    def archive(self, artifact_id: int) -> bytes | None:
        """The zip archive of an artifact, as the storage hands it out."""
        folder = next(iter(self.store.glob(f"*/{artifact_id}")), None) if self.store else None
        if folder is None:
            return None
        ready = folder / "artifact.zip"
        if ready.exists():
            return ready.read_bytes()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in (folder / "files").rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(folder / "files"))
        return packed.getvalue()

    def _artifacts(self, run_id: int) -> dict[str, Any]:
        found = []
        for path in sorted(self.store.glob(f"{run_id}/*/artifact.json")) if self.store else ():
            entry = json.loads(path.read_text(encoding="utf-8"))
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            size = len(self.archive(entry["id"]) or b"")
            found.append({"size_in_bytes": size, "created_at": written, "expired": False, **entry})
        return {"total_count": len(found), "artifacts": found}

    def begin(self, run_id: int, file: str, event: str, head_sha: str, pull_requests: tuple[int, ...] = ()) -> WorkflowRun:
        """Note a run that begins now, or that a run which was dispatched begins."""
        if run_id in self._runs:
            self._runs[run_id].status = "in_progress"
            return self._runs[run_id]
        number = 1 + sum(run.file == file for run in self._runs.values())
        run = WorkflowRun(run_id, file, event, head_sha, number, pull_requests)
        self._runs[run_id] = run
        return run

    def of(self, run_id: int) -> WorkflowRun:
        """The run with this id."""
        return self._runs[run_id]

    def dispatched(self, file: str) -> list[WorkflowRun]:
        """The runs of a workflow that were dispatched through the API, oldest first."""
        return [run for run in self._runs.values() if run.file == file and run.event == "workflow_dispatch" and run.actor]

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, Any], actor: str = "") -> tuple[int, object]:
        """Status and content for a request below `/repos/{owner}/{repo}/actions/` by the user `actor`.

        Source: https://docs.github.com/en/rest/actions/workflow-runs, and https://github.com/cli/cli/issues/9221 for what GitHub
        says of a run that is going on.
        """
        if method == "GET" and (found := re.fullmatch(r"workflows/([^/]+)/runs", path)):
            if found[1] not in {run.file for run in self._runs.values()} and self.find(found[1], "main") is None:
                return 404, {"message": "Not Found"}
            return 200, self._page(found[1], query)
        if method == "POST" and (found := re.fullmatch(r"workflows/([^/]+)/dispatches", path)):
            return self._dispatch(found[1], body, actor)
        if method == "GET" and (found := re.fullmatch(r"runs/(\d+)/artifacts", path)):
            return 200, self._artifacts(int(found[1]))
        if method == "GET" and (found := re.fullmatch(r"runs/(\d+)", path)):
            run = self._runs.get(int(found[1]))
            return (200, run.as_json()) if run else (404, {"message": "Not Found"})
        if method == "POST" and (found := re.fullmatch(r"runs/(\d+)/(rerun|rerun-failed-jobs)", path)):
            return self._start_again(int(found[1]), only_failed=found[2] == "rerun-failed-jobs")
        return 404, {"message": "Not Found"}

    def _page(self, file: str, query: Mapping[str, str]) -> dict[str, Any]:
        def is_wanted(run: WorkflowRun) -> bool:
            asked = {"head_sha": run.head_sha, "event": run.event, "status": run.status}
            return run.file == file and all(query.get(key, value) == value for key, value in asked.items())

        wanted = sorted(filter(is_wanted, self._runs.values()), key=lambda run: run.number, reverse=True)
        return {"total_count": len(wanted), "workflow_runs": [run.as_json() for run in wanted]}

    def _dispatch(self, file: str, body: Mapping[str, Any], actor: str) -> tuple[int, object]:
        """Start a workflow where that is possible.

        Source: https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event
        """
        known = self.find(file, body["ref"])
        if known is None:
            return 404, {"message": "Not Found"}
        text, head = known
        triggers = YAML(typ="safe", pure=True).load(text)["on"]
        if "workflow_dispatch" not in triggers:
            return 422, {"message": "Workflow does not have 'workflow_dispatch' trigger"}
        declared = ((triggers["workflow_dispatch"] if isinstance(triggers, dict) else None) or {}).get("inputs") or {}
        given = body.get("inputs") or {}
        if odd := [name for name in given if name not in declared]:
            return 422, {"message": f"Unexpected inputs provided: {json.dumps(odd)}"}
        if lacking := [name for name, one in declared.items() if (one or {}).get("required") and name not in given]:
            return 422, {"message": f"Required input '{lacking[0]}' not provided"}
        with self._lock:
            run = self.begin(max([2000, *self._runs]) + 1, file, "workflow_dispatch", head)
        run.status, run.actor, run.inputs = "queued", actor, given
        return 204, None

    def _start_again(self, run_id: int, *, only_failed: bool) -> tuple[int, object]:
        with self._lock:
            run = self._runs.get(run_id)
            if run is None:
                return 404, {"message": "Not Found"}
            if run.status != "completed":
                return 403, {"message": "This workflow is already running"}
            if only_failed and run.conclusion == "success":
                return 403, {"message": "This workflow run cannot be retried"}
            run.start_again()
            return 201, {}
