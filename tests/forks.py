"""A stranger's pull request, and the commands of `model-comment.yml` as its steps call them, on a GitHub that keeps state."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelship.core.run_directory import RunDirectory
from tests.e2e.git import Repository
from tests.e2e.git import git as run_git
from tests.e2e.github import BOT, CheckRun, Comment, GitHub, PullRequest, emulate_script
from tests.e2e.team import make_template
from tests.e2e.workflow_runs import WorkflowRun
from tests.project import ROOT, Project, Ran

REPOSITORY = "acme/flights"
GRANTED = {"contents": "read", "actions": "read", "pull-requests": "write", "checks": "write"}
CHECK = "modelship: flight-delay"
WORSE: Mapping[str, str] = {"params.yaml": "slope: 0.0\nballast: 0\n"}
"""What makes every answer the same: an honest verdict on it is no."""

CANARIES = {
    "MODELSHIP_METRIC_GATE_CREDENTIALS": "AWS_SECRET_ACCESS_KEY=canary-of-the-storage-4711",
    "MLFLOW_TRACKING_USERNAME": "canary-of-the-name-4711",
    "MLFLOW_TRACKING_PASSWORD": "canary-of-the-password-4711",
}
"""Secrets that the judge has, as the workflow gives them to it."""
_MASK = f"::add-mask::{CANARIES['MODELSHIP_METRIC_GATE_CREDENTIALS'].rpartition('=')[2]}\n"
"""What the runner is told of the first of them. It shows no such line."""

_run_ids = itertools.count(5001)
_branches = itertools.count(1)


@dataclass
class Answered:
    """What the steps did, and what is on GitHub after them."""

    steps: dict[str, Ran]
    comments: list[Comment]
    checks: list[CheckRun]
    written: str
    """Everything that the steps wrote and printed: logs, outputs, summaries, records, pages, requests."""
    evidence: Path
    """Where it was to be put."""

    @property
    def pull_request(self) -> Any:
        """What was found out; None where there was nothing to answer."""
        told = self.steps["fork-evidence"].outputs.get("pull-request")
        return json.loads(told) if told else None

    @property
    def status(self) -> str:
        """The gate's."""
        return self.steps["metric-gate"].outputs["status"]

    @property
    def ours(self) -> list[Comment]:
        """The workflow's comments."""
        return [comment for comment in self.comments if comment.author == BOT]

    @property
    def conclusion(self) -> str | None:
        """Of the one check on the head."""
        (check,) = (check for check in self.checks if check.name == CHECK)
        return check.conclusion

    @property
    def log(self) -> str:
        """What the steps printed."""
        return "\n".join(f"## {name}: exit code {ran.exit_code}\n{ran.log}" for name, ran in self.steps.items())


@dataclass
class Upstream:
    """The small team's repository on GitHub, a bystander's pull request in it, and a runner's checkout of its default branch."""

    folder: Path
    server: GitHub
    repository: Repository
    bystander: PullRequest
    evidence_of: dict[str, Path] = field(default_factory=dict)
    """What honest training left, by head commit."""

    @classmethod
    def start(cls, folder: Path) -> Upstream:
        """Start the server. End it with `stop`."""
        template = folder / "template"
        make_template(template)
        (folder / "store").mkdir()
        server = GitHub(folder / "server", REPOSITORY, emulate_script(ROOT), dict(os.environ), folder / "origins")
        server.wait()
        server.door.workflow_runs.store = folder / "store"
        repository = Repository(REPOSITORY, folder / "origins", folder / "work", template, server.pushed)
        server.attach(repository)
        repository.commit("main", {}, "first")
        repository.commit("bystander", {"README.md": "More to read.\n"}, "docs")
        return cls(folder, server, repository, server.open_pull_request("bystander", "Somebody else's"))

    def stop(self) -> None:
        """End the server."""
        self.server.stop()

    def propose(self, files: Mapping[str, Any] = WORSE, *, branch: str = "", title: str = "Better", base: str = "main") -> Proposed:
        """A pull request from the stranger's fork."""
        branch = branch or f"fork-{next(_branches)}"
        pull = self.server.open_fork_pull_request(branch, title, base)
        self.repository.propose(pull.number, pull.fork, branch, files, title)
        return Proposed(self, pull)

    def checkout(self) -> Project:
        """What `actions/checkout` makes of the default branch: all history, and no credentials."""
        folder = self.folder / f"runner-{next(_run_ids)}"
        run_git(self.folder, "clone", "--quiet", self.repository.bare.as_uri(), str(folder / "work"))
        run_git(folder / "work", "remote", "set-url", "origin", f"{self.server.url}/{REPOSITORY}")
        return Project(folder / "work")


@dataclass
class Proposed:
    """A pull request from the stranger's fork."""

    upstream: Upstream
    pull: PullRequest

    @property
    def head(self) -> str:
        """The commit that it stands at."""
        return self.upstream.repository.head(self.pull.number, self.pull.branch)

    def push(self, files: Mapping[str, Any]) -> str:
        """One more commit."""
        return self.upstream.repository.propose(self.pull.number, self.pull.fork, self.pull.branch, files, "One more")

    def evidence(self) -> Path:
        """A copy of what training the head left, as the fork's own run would have handed it over."""
        upstream, head = self.upstream, self.head
        if head not in upstream.evidence_of:
            folder = upstream.folder / f"trained-{head[:12]}"
            run_git(upstream.folder, "clone", "--quiet", "--no-checkout", upstream.repository.bare.as_uri(), str(folder / "work"))
            run_git(folder / "work", "fetch", "--quiet", "origin", head)
            run_git(folder / "work", "checkout", "--quiet", head)
            project = Project(folder / "work", {"HOME": str(folder)})
            project.pull_request_event(upstream.repository.tip("main"), head, self.pull.number)
            ran = project.run("train")
            assert ran.exit_code == 0, ran.log
            upstream.evidence_of[head] = project.directory / ".modelship"
        copy = upstream.folder / f"evidence-{next(_run_ids)}"
        shutil.copytree(upstream.evidence_of[head], copy)
        return copy

    def finished(self, *archives: Artifact, conclusion: str = "success", started_at: str = "") -> WorkflowRun:
        """A run on the head that is over, and that has kept these artifacts."""
        runs = self.upstream.server.door.workflow_runs
        run = runs.begin(next(_run_ids), "model.yml", "pull_request", self.head)
        run.started_at = started_at or run.started_at
        for artifact in archives:
            runs.keep(run.id, artifact.name, artifact.archive, created_at=artifact.created_at, size=artifact.size)
        run.finish(conclusion)
        return run

    def find(self, run: WorkflowRun) -> Answered:
        """The first of the steps alone."""
        return self.answer(run, only_find=True)

    def answer(
        self,
        run: WorkflowRun,
        *,
        event: Mapping[str, Any] | None = None,
        config: str = "modelship.yaml",
        only_find: bool = False,
    ) -> Answered:
        """The steps of `model-comment.yml` for a finished run; `event` is what its description has besides."""
        upstream, server = self.upstream, self.upstream.server
        project = upstream.checkout()
        token = server.token(GRANTED)
        started = len(server.door.requests)
        told = {
            "id": run.id, "event": run.event, "head_sha": run.head_sha, "head_branch": self.pull.branch,
            "head_repository": {"full_name": self.pull.fork, "owner": {"login": self.pull.fork.partition("/")[0]}},
            "run_started_at": run.started_at, "conclusion": run.conclusion, "pull_requests": [],
            **(event or {}),
        }  # fmt: skip
        project.environment |= {
            "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "workflow_run", "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_PATH": str(project.directory.parent / "event.json"),
            "GITHUB_SHA": upstream.repository.tip("main"), "GITHUB_RUN_ID": "9000", "GITHUB_RUN_NUMBER": "90",
            "GITHUB_API_URL": server.url, "GITHUB_SERVER_URL": server.url, "RUNNER_TEMP": str(project.directory.parent),
            **CANARIES,
        }  # fmt: skip
        (project.directory.parent / "event.json").write_text(json.dumps({"action": "completed", "workflow_run": told}))
        evidence = project.directory.parent / "evidence"
        found = project.run(
            "fork-evidence", "--config", config, "--evidence", str(evidence), MODELSHIP_FORK_EVIDENCE_GITHUB_TOKEN=token
        )
        steps = {"fork-evidence": found}
        pull = found.outputs.get("pull-request")
        if pull and not only_find:
            common = ("--config", config, "--pull-request", pull)
            digest = found.outputs.get("evidence-digest", "")
            judged = ("--evidence", str(evidence), "--evidence-digest", digest)
            steps["metric-gate"] = project.run("metric-gate", *common, *judged, MODELSHIP_METRIC_GATE_GITHUB_TOKEN=token)
            steps["comment"] = project.run("comment", *common, MODELSHIP_COMMENT_GITHUB_TOKEN=token)
        steps = {name: replace(ran, log=ran.log.replace(_MASK, "")) for name, ran in steps.items()}
        written = [f"{ran.log}{ran.outputs}{ran.summary}" for ran in steps.values()]
        written += [
            path.read_text(errors="replace") for path in sorted((project.directory / ".modelship").rglob("*")) if path.is_file()
        ]
        written += [f"{request.path}{request.body}" for request in server.door.requests[started:]]
        return Answered(steps, server.comments(self.pull.number), server.check_runs(run.head_sha), "\n".join(written), evidence)


@dataclass(frozen=True)
class Artifact:
    """What a run keeps: a name, and the bytes of a zip archive."""

    name: str
    archive: bytes
    created_at: str = ""
    size: int | None = None
    """What the API says of it; the truth without it."""


def zipped(folder: Path, change: Callable[[zipfile.ZipFile], None] = lambda _: None) -> bytes:
    """The files below a folder as `actions/upload-artifact` packs them; `change` adds what that never would."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder))
        change(archive)
    return packed.getvalue()


def named(folder: Path, archive: bytes | None = None, **options: Any) -> Artifact:
    """The artifact of a run directory under the name that its content has, be it honest or not."""
    return Artifact(f"modelship-evidence-{RunDirectory(folder).digest()}", zipped(folder) if archive is None else archive, **options)


def edit_record(folder: Path, command: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record in place."""
    path = folder / f"{command}.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
