"""Questions to an MLflow server that a process without MLflow may ask: another one, which has it, answers each of them.

So the gate needs one environment for what it computes, whichever server its baseline comes from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from modelship.core.elsewhere import ask
from modelship.registry.runs import Run

_TIMEOUT_MINUTES = 15
"""For all of one answer; MLflow's own limits, per request, are far shorter."""


class Question(msgspec.Struct, frozen=True):
    """A method of `Runs` and its arguments."""

    tracking_uri: str
    method: str
    arguments: tuple[str, ...]


class Lookup:
    """`Runs` from afar: the same methods with the same meaning, as far as they read.

    Each raises InfrastructureError when the server does not answer. Credentials come from the variables that MLflow reads.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri

    def get(self, run_id: str) -> Run | None:
        """The run of that id, or None."""
        return self._run("get", run_id)

    def at_commit(self, sha: str, model: str) -> Run | None:
        """The newest finished run of `model` that Modelship trained at commit `sha`, or None."""
        return self._run("at_commit", sha, model)

    def champion(self, name: str) -> tuple[str, Run] | None:
        """Version and run behind the alias `champion` of a registered model, or None."""
        found: tuple[str, Run] | None = self._ask(tuple[str, Run] | None, "champion", name)
        return found

    def fetch_predictions(self, run_id: str, folder: Path) -> Path | None:
        """Download a run's predictions into `folder`. Raises BadInput as `Runs.fetch_predictions` does."""
        return self._path("fetch_predictions", run_id, str(folder))

    def fetch_model_of_version(self, name: str, version: str, folder: Path) -> Path | None:
        """Download a registered version's model into `folder`. Raises BadInput for more than 512 MiB."""
        return self._path("fetch_model_of_version", name, version, str(folder))

    def fetch_model_of_run(self, run_id: str, name: str, folder: Path) -> Path | None:
        """Download a run's model into `folder`. Raises BadInput as `Runs.fetch_model_of_run` does."""
        return self._path("fetch_model_of_run", run_id, name, str(folder))

    def fetch_dataset(self, run_id: str, name: str, folder: Path) -> Path:
        """Download a dataset that a run logged into `folder`. Raises BadInput as `Runs.fetch_dataset` does."""
        return Path(self._ask(str, "fetch_dataset", run_id, name, str(folder)))

    def _run(self, method: str, *arguments: str) -> Run | None:
        found: Run | None = self._ask(Run | None, method, *arguments)
        return found

    def _path(self, method: str, *arguments: str) -> Path | None:
        found: str | None = self._ask(str | None, method, *arguments)
        return Path(found) if found else None

    def _ask(self, kind: Any, method: str, *arguments: str) -> Any:
        return ask(
            "registry",
            Path(__file__).resolve().parent,
            Question(self._tracking_uri, method, arguments),
            kind,
            who="the MLflow client",
            minutes=_TIMEOUT_MINUTES,
            variables={"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
        )
