"""A real MLflow tracking server and registry for the length of a test."""

import sys
from collections.abc import Mapping
from pathlib import Path

from .processes import Server, answers, free_port


class MlflowServer:
    """`mlflow server` on a SQLite file, with the artifacts in a folder beside it.

    Starting takes long (imports, database migrations), so the constructor returns at once and `uri` waits.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(parents=True)
        self._uri = f"http://127.0.0.1:{free_port()}"
        self._ready = False
        self._server = Server(
            "mlflow server",
            [
                sys.executable, "-m", "mlflow", "server",
                "--host", "127.0.0.1", "--port", self._uri.rpartition(":")[2], "--workers", "1",
                "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
                "--artifacts-destination", folder / "artifacts",
            ],
            log=folder / "server.log",
            cwd=folder,
            env={
                **environment,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a second process that nothing here uses
            },
        )  # fmt: skip

    @property
    def uri(self) -> str:
        """The tracking URI of the running server.

        Raises:
            NotReadyError: it did not start within three minutes.
        """
        if not self._ready:
            self._server.wait_until(lambda: answers(f"{self._uri}/health"), timeout=180)
            self._ready = True
        return self._uri

    def stop(self) -> None:
        """End the server and its workers."""
        self._server.stop()
