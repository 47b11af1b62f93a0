"""Run the package `scoring` in the team's interpreter, which has the team's libraries and nothing of ours: one process for a task."""

from __future__ import annotations

import shlex
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.errors import Problem
from modelship.training.process import Finished, run_command, training_environment

SCORING = Path(__file__).with_name("scoring")
"""The package that runs in the team's interpreter, where it is called `modelship_scoring`."""

_RUN = "import sys; sys.path.append(sys.argv[1]); from modelship_scoring.run import run; run(sys.argv[2])"
"""The team's own modules come first, as for any command that it runs in its folder."""

_MOST_LOG_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Scorer:
    """Runs tasks in the interpreter `python`, started in `directory`."""

    python: str
    directory: Path
    environment: Mapping[str, str]
    folder: Path
    """What passes between the processes."""

    @property
    def result(self) -> Path:
        """Where a task leaves its answer."""
        return self.folder / "result.json"

    def run(self, task: Mapping[str, Any], seconds: float) -> Finished:
        """Do one task, and return how its process ended; `read_answer` reads what it says."""
        package, spec = self.folder / "package", self.folder / "task.json"
        if not package.exists():
            shutil.copytree(SCORING, package / "modelship_scoring", ignore=shutil.ignore_patterns("__pycache__"))
        self.result.unlink(missing_ok=True)
        spec.write_bytes(msgspec.json.encode({**task, "folder": str(self.folder), "result": str(self.result)}))
        words = [self.python, "-c", _RUN, str(package), str(spec)]
        command = "exec " + " ".join(map(shlex.quote, words))
        return run_command(command, self.directory, self.environment, seconds, _MOST_LOG_BYTES)


def read_answer(path: Path, finished: Finished, most_bytes: int) -> bytes | None:
    """What a process left at `path`; None where it ended without an answer. Raises ValueError for more than `most_bytes`."""
    if finished.timed_out or finished.exit_status != 0 or not path.is_file() or path.is_symlink():
        return None
    with path.open("rb") as opened:
        answer = opened.read(most_bytes + 1)
    if len(answer) > most_bytes:
        raise ValueError("it is too large")
    return answer


def model_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The team's own variables for a process that loads a model."""
    environment = training_environment(environ, {}, None)
    # Loading a model must not change its folder, of which a record keeps a digest; and it is we who call MLflow.
    return {"MLFLOW_DISABLE_TELEMETRY": "true", **environment, "PYTHONDONTWRITEBYTECODE": "1"}


def crash(who: str, status: int) -> Problem:
    """Why there is no answer of a process that ended with that exit status (negative: the signal)."""
    if status == 0:
        return Problem(
            f"{who}: its process ended without answers.", "Does the model's code leave the process? The log has its last lines."
        )
    ended = f"ended with exit status {status}" if status > 0 else f"was ended by signal {-status}"
    killed = status in (-signal.SIGKILL, 128 + signal.SIGKILL)
    return Problem(
        f"{who}: its process {ended}.", "Most likely there was not enough memory." if killed else "Its last lines are in the log."
    )
