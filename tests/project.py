"""A team's repository in a temporary folder, and the real command line run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.warm import WarmPython, warm_python

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scripts" / "modelship"

LIBRARIES = (
    *("click", "msgspec", "ruamel.yaml", "jinja2", "github", "mlflow", "numpy", "pandas"),
    *("pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet"),
)
OURS = tuple(
    f"modelship.{name.removesuffix('.py').replace('/', '.')}"
    for package in ("core", "commands", "gate", "github", "registry", "reporting", "training")
    for name in sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / package).rglob("*.py"))
    if "scoring" not in name and "__" not in name
)
"""What takes most of a short command's time to import."""
DATA_LIBRARIES = ("great_expectations", "evidently", "evidently.metrics", "sqlalchemy")
DATA_COMMANDS = ("validate", "drift-report")
"""Commands that look at tables, and what takes most of their time to import."""


METRICS = {"roc_auc": 0.744, "log_loss": 0.5391}
CONFIG = """\
model: flight-delay
train: {run: python train.py, metrics: metrics.json}
gate:
  baseline: base
  metrics:
    roc_auc: {min: 0.70, max-regression: 0.005}
    log_loss: {max-regression: 1%}
"""


def warm_modelship(command: str) -> WarmPython:
    """A Python that has imported what a command needs, and runs it with the command as its first argument."""
    libraries = (*LIBRARIES, *DATA_LIBRARIES) if command in DATA_COMMANDS else LIBRARIES
    return warm_python(PACKAGE, *libraries, *OURS, path=PACKAGE.parent)


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    exit_code: int
    log: str
    outputs: dict[str, str]
    summary: str


@dataclass
class Project:
    """A git repository with one commit on `main`. `event` makes commands believe that a workflow runs them."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def metrics(self, **values: Any) -> None:
        self.write("metrics.json", json.dumps({**METRICS, **values}))

    def trains(self, code: str) -> None:
        self.write("train.py", code)

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=dev", "-c", "user.email=dev@example.com", "-c", "init.defaultBranch=main")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.directory, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str = "change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def copy(self, directory: Path) -> Project:
        """The same repository elsewhere, with all that lies beside it."""
        shutil.copytree(self.directory.parent, directory, symlinks=True, dirs_exist_ok=True)
        return Project(directory / self.directory.name, dict(self.environment))

    def pull_request_event(self, base: str, head: str, number: int = 1) -> None:
        payload = {"number": number, "pull_request": {"number": number, "head": {"sha": head}, "base": {"sha": base}}}
        self._event("pull_request", payload, head)

    def push_event(self, before: str, after: str) -> None:
        self._event("push", {"before": before, "after": after}, after)

    def merge_group_event(self, base: str, head: str, number: int = 1) -> None:
        ref = f"refs/heads/gh-readonly-queue/main/pr-{number}-{base}"
        self._event("merge_group", {"merge_group": {"base_sha": base, "head_sha": head, "head_ref": ref}}, head)

    def _event(self, name: str, payload: dict[str, Any], sha: str) -> None:
        path = self.directory.parent / "event.json"
        path.write_text(json.dumps(payload))
        self.environment |= {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_REPOSITORY": "acme/flights",
            "GITHUB_SHA": sha,
            "GITHUB_RUN_ID": "42",
        }

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Run a command as a process of its own, forked from one that has imported what takes long to import."""
        modelship = warm_modelship(arguments[0])
        return self._ran(lambda variables, log: modelship.run(arguments, self.directory, variables, log), environment)

    def start(self, *arguments: str, **environment: str) -> Ran:
        """Run a command as `run` does, in a Python that is started for it: slower, and with nothing imported."""

        def program(variables: dict[str, str], log: Path) -> int:
            command = [sys.executable, "-I", str(PACKAGE), *arguments]
            with log.open("wb") as output:
                return subprocess.run(
                    command, cwd=self.directory, env=variables, stdout=output, stderr=output, check=False, timeout=300
                ).returncode

        return self._ran(program, environment)

    def _ran(self, program: Callable[[dict[str, str], Path], int], environment: Mapping[str, str]) -> Ran:
        outputs, summary, log = (self.directory.parent / name for name in ("outputs", "summary", "log"))
        outputs.write_text("")
        summary.write_text("")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_"))}
        variables = {
            **kept,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            **self.environment,
            **environment,
        }
        exit_code = program(variables, log)
        return Ran(exit_code, log.read_text(), _outputs(outputs), summary.read_text())

    def record(self, command: str) -> dict[str, Any]:
        record = json.loads((self.directory / ".modelship" / f"{command}.json").read_text())
        assert isinstance(record, dict)
        return record


def _outputs(path: Path) -> dict[str, str]:
    from modelship.core.workflow import read_outputs

    return read_outputs(path)
