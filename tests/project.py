"""A team's repository in a temporary folder, and the real command line run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scripts" / "modelship"

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

    def pull_request_event(self, base: str, head: str, number: int = 1) -> None:
        payload = {"number": number, "pull_request": {"number": number, "head": {"sha": head}, "base": {"sha": base}}}
        self._event("pull_request", payload, head)

    def push_event(self, before: str, after: str) -> None:
        self._event("push", {"before": before, "after": after}, after)

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
        outputs, summary = self.directory.parent / "outputs", self.directory.parent / "summary"
        outputs.write_text("")
        summary.write_text("")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_"))}
        result = subprocess.run(
            [sys.executable, "-I", str(PACKAGE), *arguments],
            cwd=self.directory,
            env={
                **kept,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(summary),
                **self.environment,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Ran(result.returncode, result.stdout, _outputs(outputs), summary.read_text())

    def record(self, command: str) -> dict[str, Any]:
        record = json.loads((self.directory / ".modelship" / f"{command}.json").read_text())
        assert isinstance(record, dict)
        return record


def _outputs(path: Path) -> dict[str, str]:
    from modelship.core.workflow import read_outputs

    return read_outputs(path)
