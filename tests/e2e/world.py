"""A GitHub with one team's repository on it, a runner, and (if wanted) an MLflow server: everything that a delivery needs.

with World(template=Path("template-repo"), mlflow=True) as world:
    world.run_push()
    pull = world.open_pull_request("try-it", {"params.yaml": lambda text: text.replace("0.1", "0.2")}, "Learn faster")
    run = world.run_pull_request(pull)
    assert [comment.author for comment in world.comments(pull)] == ["github-actions[bot]"]
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, Self, TypeAlias

from tests.servers import S3_KEY, S3_SECRET, s3_server

from .act import NothingToDoError, Progress, Run, Runner, copy_toolkit
from .git import Repository, git
from .github import DEVELOPER, ORGANISATION, STRANGER, CheckRun, Comment, GitHub, PullRequest, emulate_script
from .mlflow_server import MlflowServer
from .processes import MARKER, runner_environment, stop_marked

#: The checkout that these tests are part of.
CHECKOUT = Path(__file__).resolve().parents[2]

#: What the workflow of the template grants, and so what its token may do.
PERMISSIONS = {"contents": "read", "pull-requests": "write", "checks": "write"}

#: What starts failed jobs again after a comment or a label, and what that may do.
ACCEPT = ".github/workflows/model-accept.yml"
ACCEPT_PERMISSIONS = {"actions": "write", "checks": "read", "pull-requests": "read"}

#: What answers pull requests from forks, and what that may do.
COMMENT = ".github/workflows/model-comment.yml"
COMMENT_PERMISSIONS = {"contents": "read", "actions": "read", "pull-requests": "write", "checks": "write"}

#: What a merge starts, and what brings the version before back.
RELEASE = ".github/workflows/release.yml"
ROLLBACK = ".github/workflows/rollback.yml"

#: What looks at production, and what that may do.
MONITOR = ".github/workflows/monitor.yml"
MONITOR_PERMISSIONS = {"contents": "read", "actions": "write", "issues": "write"}

#: New content of a file, how to get it from the old one, where a link leads that takes its place, or None to delete the file.
Edit: TypeAlias = str | bytes | Path | Callable[[str], str] | None


def stored(checkout: Path, md5: str) -> Path:
    """A file as DVC's storage holds it, in a checkout of the template."""
    return checkout / "dvc-storage" / "files" / "md5" / md5[:2] / md5[2:]


class World:
    """Everything runs from entering the context until leaving it, in one temporary folder, on ports of 127.0.0.1.

    Args:
        template: folder that the team's repository starts from.
        checkout: the repository that is served as `modelship/modelship@v1`, with its uncommitted changes.
        mlflow: whether to start a tracking server; the workflows find it as `vars.MLFLOW_TRACKING_URI`.
        storage: name of a bucket on an S3-compatible server that versions are deployed to; none without it.
        cache: folder for downloads and environments, kept for the next time; by default `.cache/e2e` in this checkout, or
            `$MODELSHIP_E2E_CACHE`.
        progress: called when a step starts and when it ends.
        keep: leave the temporary folder behind (also with `MODELSHIP_E2E_KEEP=1`), to look into it.
    """

    def __init__(
        self,
        *,
        template: Path = CHECKOUT / "template-repo",
        checkout: Path = CHECKOUT,
        name: str = "flight-delay",
        mlflow: bool = False,
        storage: str = "",
        cache: Path | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        keep: bool = False,
    ) -> None:
        self.full_name = f"{ORGANISATION}/{name}"
        self.workflow = ".github/workflows/model.yml"
        self._template, self._checkout, self._with_mlflow, self._progress = template, checkout, mlflow, progress
        self._cache = (cache or Path(os.environ.get("MODELSHIP_E2E_CACHE") or CHECKOUT / ".cache" / "e2e")).absolute()
        self._bucket, self._storage_url = storage, ""
        self._keep = keep or os.environ.get("MODELSHIP_E2E_KEEP") == "1"
        self._exit = ExitStack()
        self._last_run = 1000
        self._mlflow: MlflowServer | None = None

    # Coming and going

    def __enter__(self) -> Self:
        self._exit.__enter__()
        try:
            self._start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.__exit__(kind, error, trace)

    def _start(self) -> None:
        self._turn_termination_into_exit()
        self.folder = Path(tempfile.mkdtemp(prefix="modelship-e2e-")).resolve()
        self._exit.callback(self._clean)
        self._exit.callback(stop_marked, self.folder.name)
        home = self.folder / "home"
        self._cache.mkdir(parents=True, exist_ok=True)
        python = Path(getattr(sys, "_base_executable", sys.executable))
        self._environment = {
            **runner_environment(home, self._cache, python),
            MARKER: self.folder.name,
            "E2E_PYTHON": str(python),
            "E2E_UV": subprocess.check_output([CHECKOUT / "scripts" / "run", "--uv"], text=True).strip(),
            "E2E_ORIGINS": str(self.folder / "origins"),
            "E2E_ARTIFACTS": str(self.folder / "artifacts"),
            "E2E_ATTESTATIONS": str(self.folder / "attestations"),
            # Teams whose runs may go on at the same time install into different ones.
            "E2E_PYTHONS": str(self._cache / "pythons" / self.full_name),
        }
        if self._with_mlflow:
            self._mlflow = MlflowServer(self.folder / "mlflow", self._environment)
            self._exit.callback(self._mlflow.stop)
        if self._bucket:
            self._storage_url = self._exit.enter_context(s3_server(self.folder / "s3"))
            self.bucket.mkdir()
        origins = self.folder / "origins"
        self.github = GitHub(self.folder / "github", self.full_name, emulate_script(CHECKOUT), self._environment, origins)
        self.github.door.workflow_runs.store = self.folder / "artifacts"
        self._exit.callback(self.github.stop)
        toolkit = self.folder / "modelship"
        copy_toolkit(self._checkout, toolkit)
        self._runner = Runner(self.folder, toolkit, self._environment, self._cache / "act")
        self.github.wait()
        self.repository = Repository(self.full_name, self.folder / "origins", self.folder / "work", self._template, self.github.pushed)
        self.github.attach(self.repository)
        self.repository.commit("main", {}, "Start from the template")

    def _turn_termination_into_exit(self) -> None:
        """Let SIGTERM unwind the stack as Ctrl-C does, so that the servers are stopped."""
        if threading.current_thread() is not threading.main_thread():
            return

        def leave(number: int, _: FrameType | None) -> None:
            raise SystemExit(128 + number)

        before = signal.signal(signal.SIGTERM, leave)
        self._exit.callback(signal.signal, signal.SIGTERM, before)

    def _clean(self) -> None:
        if self._keep:
            print(f"kept {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def mlflow_uri(self) -> str:
        """The tracking URI; waits until the server is ready.

        Raises:
            RuntimeError: this world has no MLflow server.
            NotReadyError: it did not start.
        """
        if self._mlflow is None:
            raise RuntimeError("this world has no MLflow server; make it with mlflow=True")
        return self._mlflow.uri

    @property
    def bucket(self) -> Path:
        """The folder that holds the objects of the bucket."""
        return self.folder / "s3" / "store" / self._bucket

    @property
    def deploy_secrets(self) -> dict[str, str]:
        """The secrets that a release needs to reach the bucket."""
        lines = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_ENDPOINT_URL": self._storage_url}
        return {"DEPLOY_CREDENTIALS": "\n".join(f"{name}={value}" for name, value in lines.items())}

    @property
    def team_python(self) -> Path:
        """The interpreter that has the team's packages, as the runner's last job with these requirements left it."""
        wanted = hashlib.sha256()
        for path in sorted(self.repository.work.glob("requirements*.txt")):
            wanted.update(path.read_bytes())
        found = Path(self._environment["E2E_PYTHONS"]).glob(f"*-{wanted.hexdigest()[:12]}/complete")
        return max(found, key=lambda path: path.stat().st_mtime).parent / "bin" / "python"

    # What a team does

    def push(self, files: Mapping[str, Edit], message: str, *, branch: str = "main") -> str:
        """Commit to a branch, push it, and return the commit's SHA. No run is started."""
        return self.repository.commit(branch, dict(files), message)

    def open_pull_request(self, branch: str, files: Mapping[str, Edit], title: str) -> PullRequest:
        """Push a new branch off `main` with one commit and open a pull request for it. No run is started."""
        self.repository.commit(branch, dict(files), title)
        return self.github.open_pull_request(branch, title)

    def open_fork_pull_request(self, branch: str, files: Mapping[str, Edit], title: str) -> PullRequest:
        """Open a pull request from the stranger's fork with one commit. No run is started."""
        pull = self.github.open_fork_pull_request(branch, title)
        self.push_to_fork(pull, files, title)
        return pull

    def push_to_fork(self, pull: PullRequest, files: Mapping[str, Edit], message: str = "One more") -> str:
        """Push one more commit to a pull request from a fork, and return its SHA. No run is started."""
        return self.repository.propose(pull.number, pull.fork, pull.branch, dict(files), message)

    def merge(self, pull: PullRequest) -> str:
        """Merge a pull request into its base, and return the merge commit. No run is started."""
        merge = self.repository.merge(pull.number, pull.base, pull.branch)
        self.github.merged(pull.number, merge)
        return merge

    def comment_as_stranger(self, pull: PullRequest, body: str) -> Comment:
        """Comment on a pull request as somebody else than the workflow."""
        return self.github.comment(pull.number, body, STRANGER)

    # What GitHub does then

    def run_push(self, branch: str = "main", *, before: str = "0" * 40, **options: Any) -> Run:
        """Run the workflow for a push of the branch's last commit; `before` is what the branch pointed to until then.

        Further arguments are those of `run_event`.
        """
        head = self.repository.tip(branch)
        event = {"ref": f"refs/heads/{branch}", "before": before, "after": head, "forced": False, "head_commit": {"id": head}}
        variables = {"GITHUB_REF": f"refs/heads/{branch}", "GITHUB_REF_NAME": branch}
        return self.run_event("push", event, commit=head, head_sha=head, variables=variables, **options)

    def run_pull_request(
        self,
        pull: PullRequest,
        *,
        action: str = "synchronize",
        head: str | None = None,
        payload: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        """Run the workflow for the pull request's present head, on its test merge with the base, as GitHub does.

        With `head`, run it for that earlier commit, as when an old run is started again. `payload` is what the event carries
        besides the pull request. Further arguments are those of `run_event`; a fork's pull request is one with
        `permissions={"contents": "read"}`.

        Raises:
            GitError: head and base conflict.
        """
        base, head = self.repository.tip(pull.base), head or self.repository.head(pull.number, pull.branch)
        merge = self.repository.test_merge(pull.number, base, head)
        described = self.github.pull_request_json(pull.number)
        described["base"]["sha"], described["head"]["sha"] = base, head
        described["merge_commit_sha"] = merge
        event = {"action": action, "number": pull.number, "pull_request": described, **(payload or {})}
        variables = {
            "GITHUB_REF": f"refs/pull/{pull.number}/merge", "GITHUB_REF_NAME": f"{pull.number}/merge",
            "GITHUB_BASE_REF": pull.base, "GITHUB_HEAD_REF": pull.branch,
        }  # fmt: skip
        return self.run_event("pull_request", event, commit=merge, head_sha=head, variables=variables, **options)

    def run_fork(self, pull: PullRequest, **options: Any) -> Run:
        """Run the workflow for a pull request from a fork: without secrets and variables, and with a token that can only read."""
        return self.run_pull_request(pull, permissions=dict.fromkeys(PERMISSIONS, "read"), configuration=None, **options)

    def run_completed(self, pull: PullRequest, run: Run, **options: Any) -> Run | None:
        """Run what the end of a pull request's run starts, on the default branch as GitHub does; None where no job was due.

        Further arguments are those of `run_event`.
        """
        known = self.github.door.workflow_runs.of(run.id)
        owner, _, _ = (pull.fork or self.full_name).partition("/")
        event = {
            "action": "completed",
            "workflow_run": {
                "id": run.id, "name": "model", "event": known.event, "status": "completed", "conclusion": known.conclusion,
                "head_sha": run.head_sha, "head_branch": pull.branch, "run_attempt": known.attempt, "run_started_at": known.started_at,
                "head_repository": {"full_name": pull.fork or self.full_name, "owner": {"login": owner}},
                # Of a fork GitHub does not tell; of a branch it would, and nobody reads it.
                "pull_requests": [],
            },
        }  # fmt: skip
        head = self.repository.tip("main")
        # git asks the same address as the API's.
        variables = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main", "GITHUB_SERVER_URL": self.github.url}
        given: dict[str, Any] = {"workflow": COMMENT, "permissions": COMMENT_PERMISSIONS, "variables": variables, **options}
        try:
            return self.run_event("workflow_run", event, commit=head, head_sha=head, **given)
        except NothingToDoError:
            return None

    def run_merge_group(self, pull: PullRequest, **options: Any) -> Run:
        """Run the workflow for the merge queue's attempt to merge a pull request. Further arguments are those of `run_event`."""
        base = self.repository.tip(pull.base)
        group = self.repository.test_merge(pull.number, base, self.repository.head(pull.number, pull.branch))
        ref = f"refs/heads/gh-readonly-queue/{pull.base}/pr-{pull.number}-{base}"
        git(self.repository.bare, "update-ref", ref, group)
        self.github.learn(group)
        event = {
            "action": "checks_requested",
            "merge_group": {"head_sha": group, "head_ref": ref, "base_sha": base, "base_ref": f"refs/heads/{pull.base}"},
        }
        variables = {"GITHUB_REF": ref, "GITHUB_REF_NAME": ref.removeprefix("refs/heads/")}
        return self.run_event("merge_group", event, commit=group, head_sha=group, variables=variables, **options)

    def run_release(self, **options: Any) -> Run:
        """Run what a push to the default branch starts: train, judge, register, deploy."""
        return self.run_push(workflow=RELEASE, secrets=self.deploy_secrets, **options)

    def run_dispatch(self, workflow: str, inputs: Mapping[str, str], **options: Any) -> Run:
        """Run a workflow that somebody starts by hand on the default branch, with these inputs."""
        head = self.repository.tip("main")
        event = {"ref": "refs/heads/main", "inputs": dict(inputs)}
        variables = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main"}
        return self.run_event(
            "workflow_dispatch", event, commit=head, head_sha=head, variables=variables, workflow=workflow, **options
        )

    def run_dispatched(self, workflow: str, **options: Any) -> Run:
        """Run a workflow that another one has dispatched through the API, and that waits for a runner; there must be exactly one."""
        waiting = [run for run in self.github.door.workflow_runs.dispatched(Path(workflow).name) if run.status == "queued"]
        (run,) = waiting
        return self.run_dispatch(workflow, run.inputs, run_id=run.id, **options)

    def run_comment(self, pull: PullRequest, comment: Comment) -> Run | None:
        """Run what a new comment on a pull request starts, on the default branch as GitHub does; None where no job was due."""
        head = self.repository.tip(pull.base)
        event = {
            "action": "created",
            "issue": {"number": pull.number, "pull_request": {"url": f"{self.github.url}/repos/{self.full_name}/pulls/{pull.number}"}},
            "comment": {
                "id": comment.id, "body": comment.body, "created_at": comment.created_at,
                "user": {"login": comment.author, "type": comment.author_type},
            },
        }  # fmt: skip
        variables = {"GITHUB_REF": f"refs/heads/{pull.base}", "GITHUB_REF_NAME": pull.base}
        options: dict[str, Any] = {"workflow": ACCEPT, "permissions": ACCEPT_PERMISSIONS, "variables": variables}
        try:
            return self.run_event("issue_comment", event, commit=head, head_sha=head, **options)
        except NothingToDoError:
            return None

    def run_label(self, pull: PullRequest, label: str, author: str, *, head_repository: str = "") -> Run | None:
        """Run what a label starts that was just set on a pull request; None where no job was due.

        `head_repository` is where the branch is, if it is a fork's.
        """
        described = self.github.pull_request_json(pull.number)
        described["head"]["repo"]["full_name"] = head_repository or self.full_name
        payload = {"pull_request": described, "label": {"name": label}, "sender": {"login": author, "type": "User"}}
        try:
            return self.run_pull_request(pull, action="labeled", payload=payload, workflow=ACCEPT, permissions=ACCEPT_PERMISSIONS)
        except NothingToDoError:
            return None

    def run_event(
        self,
        name: str,
        event: Mapping[str, Any],
        *,
        commit: str,
        head_sha: str,
        variables: Mapping[str, str],
        workflow: str | None = None,
        permissions: Mapping[str, str] = PERMISSIONS,
        secrets: Mapping[str, str] | None = None,
        configuration: Mapping[str, str] | None = MappingProxyType({}),
        timeout: float = 900,
        run_id: int | None = None,
    ) -> Run:
        """Run a workflow for an event and return when it has finished, whether it succeeded or not.

        Args:
            event: the payload; `repository` and `sender` are added.
            commit: that the workflow file is read from, and `github.sha`.
            head_sha: the commit that the run speaks of.
            variables: `GITHUB_*` that depend on the event.
            workflow: path of the workflow file, by default the template's.
            permissions: of the token. act gives all jobs the same one: what the calling job may do.
            secrets: besides `GITHUB_TOKEN`.
            configuration: the `vars` context, besides `MLFLOW_TRACKING_URI`; None for an empty one, as a fork's run has.
            timeout: in seconds.
            run_id: of a run that waits for a runner; a new one without it.

        Raises:
            NothingToDoError: no job was started.
            ActError: the time ran out.
        """
        known_variables = {"MLFLOW_TRACKING_URI": self.mlflow_uri} if self._with_mlflow and configuration is not None else {}
        if run_id is None:
            self._last_run += 1
            run_id = self._last_run
        source = self.folder / "sources" / str(run_id)
        git(self.folder, "clone", "--quiet", "--no-checkout", self.repository.bare.as_uri(), str(source))
        git(source, "fetch", "--quiet", "origin", commit)
        git(source, "checkout", "--quiet", "--detach", commit)
        repository = self.github.repository_json()
        # The id tells the workspaces of this run from those of other worlds.
        sender = {"login": DEVELOPER, "type": "User", **event.get("sender", {}), "node_id": f"{self.folder.name}-{run_id}"}
        file = Path(workflow or self.workflow).name
        pulls = (event["number"],) if "number" in event else ()
        known = self.github.door.workflow_runs.begin(run_id, file, name, head_sha, pulls)
        conclusion = "skipped"
        try:
            run = self._runner.run(
                run_id,
                source=source,
                event_name=name,
                event={**event, "repository": repository, "sender": sender},
                head_sha=head_sha,
                variables={
                    "CI": "true",
                    "GITHUB_API_URL": self.github.url,
                    "GITHUB_REPOSITORY": self.full_name,
                    "GITHUB_REPOSITORY_OWNER": ORGANISATION,
                    "GITHUB_REF_TYPE": "branch",
                    **variables,
                },
                configuration={**known_variables, **(configuration or {})},
                secrets={"GITHUB_TOKEN": self.github.token(permissions), **(secrets or {})},
                workflow=workflow or self.workflow,
                timeout=timeout,
                progress=self._progress,
            )
            conclusion = "success" if run.succeeded else "failure"
            return run
        finally:
            known.finish(conclusion)
            shutil.rmtree(source, ignore_errors=True)

    # What came of it

    def comments(self, pull: PullRequest) -> list[Comment]:
        """Return all comments of a pull request, oldest first."""
        return self.github.comments(pull.number)

    def attestations(self, run: Run) -> list[dict[str, Any]]:
        """Return the statements that a run had signed, in order."""
        log = self.folder / "attestations" / f"{run.id}.jsonl"
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []

    def check_runs(self, sha: str) -> list[CheckRun]:
        """Return all check runs of a commit, newest first."""
        return self.github.check_runs(sha)
