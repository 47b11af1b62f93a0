"""Target `mlflow-serve`: MLflow's own server, `mlflow models serve`, in the team's interpreter on this machine.

The server is a process of its own session, which outlives the command. Without a `port` each version gets a free one, and
`current.json` names the address: it is switched when the new server answers, and only then the old one ends. With a `port` the
address stays, and since a port has one server at a time, nothing answers there while the new one starts a second time: it has shown
on another port before that it does.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from modelship.core import workflow
from modelship.core.config import Duration, seconds_of
from modelship.core.credentials import without_secrets
from modelship.core.errors import bad_input, infrastructure
from modelship.core.words import clean
from modelship.deployment.targets import versions
from modelship.deployment.targets.settings import Settings, read_settings
from modelship.deployment.targets.target import NOTHING, Place, Release, Serving
from modelship.deployment.targets.versions import MODEL, locked, put_file, take_lock, version_name, writing
from modelship.training.process import training_environment

POINTER = "current.json"
SERVERS = "servers"

_ENDING_SECONDS = 10.0
_LOG_LINES = 15

# Writes its own process id before it becomes the server, and until then holds the lock: whoever gets the lock finds the id.
_BECOME_SERVER = 'echo $$ >"$1.new" && mv "$1.new" "$1" && eval "exec $2>&-" && shift 2 && exec "$@"'

_WHERE = "import sysconfig; print(sysconfig.get_path('scripts'))"

_STARTED: list[subprocess.Popen[bytes]] = []
"""Servers that this process started; they are meant to outlive it."""


class ServeSettings(Settings, frozen=True, kw_only=True):
    """What `mlflow-serve` takes."""

    folder: Annotated[
        str, Meta(min_length=1, max_length=1000, description="Where versions and `current.json` stand, as `/srv/models/staging`.")
    ]
    port: Annotated[int, Meta(ge=1, le=65535, description="The port that stays; each version gets a free one without it.")] | None = (
        None
    )
    host: Annotated[str, Meta(min_length=1, max_length=253, description="The address to listen on.")] = "127.0.0.1"
    timeout: Annotated[Duration, Meta(description="How long the server may take to start, as `60s`.")] = "60s"


class ServerPointer(versions.Pointer, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version serves, and where."""

    url: Annotated[str, Meta(max_length=300)]
    """Answers `POST /invocations` and `GET /ping`."""
    server: Annotated[str, Meta(pattern="^[A-Za-z0-9-]+$")]
    """The name of its files in `servers`."""


def open_mlflow_serve(settings: Any, place: Place) -> MlflowServe:
    """The server that the settings describe. Raises BadInput for settings that it does not know."""
    given = read_settings(settings, ServeSettings, f"deploy.environments.{place.environment}.target.mlflow-serve")
    return MlflowServe(place, given)


class MlflowServe:
    """A server on this machine, and the folder that says which."""

    def __init__(self, place: Place, settings: ServeSettings) -> None:
        self.root = (place.directory / settings.folder).absolute()
        self._place = place
        self._host = settings.host
        self._port = settings.port
        self._timeout = seconds_of(settings.timeout)

    def serve(self, release: Release) -> Serving:
        """Start a server for the version, and end the one before when it answers."""
        with locked(self.root, self._timeout) as lock:
            before = self._live()
            versions.check_owner(before, release, self._place.environment, self.root)
            self._end_all(but=before)
            if before and before.served == (release.version, release.digest) and self._is_well(before, release):
                return Serving(url=before.url)
            folder = versions.put(self.root, release, self._place.environment)
            server = _Server.new(self.root / SERVERS, version_name(release))
            if self._port is None:
                port = _free_port(self._host)
            elif before is None:
                port = self._port
            else:
                port = self._port
                trial = _Server.new(self.root / SERVERS, version_name(release))
                with workflow.group("Try it on another port first"):
                    self._start(trial, folder, _free_port(self._host), lock)
                trial.end()
                self._server(before).end()
            url = self._start(server, folder, port, lock)
            named = versions.pointer_to(release, self._place.environment, folder.name)
            pointer = ServerPointer(**msgspec.structs.asdict(named), url=url, server=server.name)
            with writing(self.root):
                put_file(self.root / POINTER, versions.encoded(pointer))
            self._end_all(but=pointer)
            versions.prune(self.root, folder)
        return Serving(url=url)

    def serving(self) -> tuple[int, str] | None:
        """The version of the server that runs where it should, and the digest that the model's files have now."""
        live = self._live()
        return (live.version, self._digest(live)) if live and self._is_here(live) else NOTHING

    def clear(self) -> None:
        """End the server; the versions stay."""
        with locked(self.root, self._timeout), writing(self.root):
            (self.root / POINTER).unlink(missing_ok=True)
            self._end_all(but=None)

    def _live(self) -> ServerPointer | None:
        """What the pointer says, if its server runs."""
        try:
            pointer = msgspec.json.decode((self.root / POINTER).read_bytes(), type=ServerPointer)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return pointer if self._server(pointer).is_alive() else None

    def _server(self, pointer: ServerPointer) -> _Server:
        return _Server(self.root / SERVERS, pointer.server)

    def _digest(self, pointer: ServerPointer) -> str:
        try:
            return versions.held_digest(self.root / pointer.path)
        except OSError:
            return ""

    def _is_here(self, pointer: ServerPointer) -> bool:
        """Whether the settings still name its address."""
        return self._port is None or pointer.url == _url(self._host, self._port)

    def _is_well(self, pointer: ServerPointer, release: Release) -> bool:
        """Whether the server needs no other one: it answers where it should, and its files are the release's."""
        return self._is_here(pointer) and _answers(pointer.url) and self._digest(pointer) == release.digest

    def _end_all(self, but: ServerPointer | None) -> None:
        """End every server that was started here, save one; killed runs leave some that nothing names."""
        with writing(self.root):
            for server in _Server.all(self.root / SERVERS):
                if but is None or server.name != but.server:
                    server.end()

    def _start(self, server: _Server, folder: Path, port: int, lock: int) -> str:
        """Start a server and wait until it answers; returns its address. Raises what `serve` does, and leaves none behind then."""
        url = _url(self._host, port)
        if not _is_free(self._host, port):
            raise infrastructure(
                f"port {port} on {self._host} is taken by something else.", "End it, or give the target another `port`."
            )
        command = [self._place.python, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / MODEL)]
        command += ["--host", self._host, "--port", str(port), "--env-manager", "local"]
        with writing(self.root):
            server.start(command, self._place.directory, self._environment(), lock)
        began = time.monotonic()
        try:
            while not _answers(url):
                if not server.is_alive():
                    raise infrastructure(f"`mlflow models serve` ended before it answered: {server.last_words()}", "The log has more.")
                if time.monotonic() - began > self._timeout:
                    raise infrastructure(
                        f"`mlflow models serve` did not answer within {self._timeout:.0f} s: {server.last_words()}",
                        "Give it more `timeout`.",
                    )
                time.sleep(0.1)
        except BaseException:
            server.show_log()
            server.end()
            raise
        workflow.say(f"{url} answers after {time.monotonic() - began:.1f} s")
        return url

    def _environment(self) -> dict[str, str]:
        """The team's variables, less secrets."""
        own = {
            "PATH": os.pathsep.join([self._scripts(), os.environ.get("PATH", os.defpath)]),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        # GitHub's runner ends what still carries its mark when the job is over.
        kept = {name: value for name, value in without_secrets(os.environ).items() if name != "RUNNER_TRACKING_ID"}
        return training_environment(kept, own, None)

    def _scripts(self) -> str:
        """Where the team's interpreter has its programs: MLflow starts `uvicorn` by its name."""
        try:
            asked = subprocess.run(
                [self._place.python, "-c", _WHERE], cwd=self._place.directory, capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            raise bad_input(f"the interpreter `{self._place.python}` did not answer.", "Set `train.python`.") from None
        return asked.stdout.strip()


class _Server:
    """A server process, by its files: `.pid`, `.log`, and `.alive`, which it keeps locked as long as it lives."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder

    @classmethod
    def new(cls, folder: Path, of: str) -> _Server:
        """One that was not started yet."""
        return cls(folder, f"{of}-{secrets.token_hex(4)}")

    @classmethod
    def all(cls, folder: Path) -> Iterator[_Server]:
        """Every one that was started here, whether or not it still runs."""
        yield from [cls(folder, path.stem) for path in sorted(folder.glob("*.alive"))]

    def start(self, command: list[str], directory: Path, environment: Mapping[str, str], lock: int) -> None:
        """Start it, in a session of its own. `lock` is the descriptor of the folder's lock."""
        self._folder.mkdir(parents=True, exist_ok=True)
        alive = os.open(self._file("alive"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            take_lock(alive)
            with self._file("log").open("wb") as log:
                become = ["bash", "-c", _BECOME_SERVER, "modelship", str(self._file("pid")), str(lock)]
                process = subprocess.Popen(
                    [*become, *command],
                    cwd=directory,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock, alive),
                    start_new_session=True,
                )
            _STARTED.append(process)
            _until(lambda: self._pid() is not None or process.poll() is not None)
        finally:
            os.close(alive)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        try:
            alive = os.open(self._file("alive"), os.O_RDWR)
        except OSError:
            return False
        try:
            return not take_lock(alive)
        finally:
            os.close(alive)

    def end(self) -> None:
        """End the process and what it started, and forget it. Requests that it has begun to answer get ten seconds."""
        # One that has just been started, by a command that was killed then, is about to write it.
        _until(lambda: self._pid() is not None or not self.is_alive())
        pid = self._pid()
        if pid is not None and self.is_alive():
            _signal(pid, signal.SIGTERM)
            _until(lambda: not _group_runs(pid))
            _signal(pid, signal.SIGKILL)
        if not _until(lambda: not self.is_alive()):
            raise infrastructure(
                f"the server {self.name}, with process id {pid or 'unknown'}, does not end.", "End it, and run this again."
            )
        for kind in ("pid", "log", "alive"):
            self._file(kind).unlink(missing_ok=True)

    def last_words(self) -> str:
        """The last line of its log."""
        lines = [line for line in self._log_lines() if line]
        return f"{lines[-1].rstrip('.')}." if lines else "it said nothing."

    def show_log(self) -> None:
        """Show the last lines of its log."""
        for line in self._log_lines()[-_LOG_LINES:]:
            workflow.say(f"  {line}")

    def _log_lines(self) -> list[str]:
        try:
            raw = self._file("log").read_bytes()[-100_000:]
        except OSError:
            return []
        return [clean(line, 300) for line in raw.decode(errors="replace").splitlines()]

    def _pid(self) -> int | None:
        try:
            return int(self._file("pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _file(self, kind: str) -> Path:
        return self._folder / f"{self.name}.{kind}"


def _until(is_so: Callable[[], bool], seconds: float = _ENDING_SECONDS) -> bool:
    """Wait for it; whether it came."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _group_runs(group: int) -> bool:
    """Whether a process of that group still runs, rather than waits for somebody to take note that it has ended.

    In a container, where nobody may do so, such a one stays for ever.
    """
    for process in _STARTED:
        process.poll()
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return not Path("/proc/self/stat").exists() or any(_states(group))


def _states(group: int) -> Iterator[bool]:
    """For each process of a group, whether it runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group:
            yield state not in "ZX"


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
        return True


def _free_port(host: str) -> int:
    with socket.socket(_family(host)) as listener:
        try:
            listener.bind((host, 0))
        except OSError as error:
            raise infrastructure(f"nothing can listen on {host}: {error.strerror}.", "Mend the target's `host`.") from None
        port: int = listener.getsockname()[1]
        return port


def _url(host: str, port: int) -> str:
    """The address for somebody on this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _answers(url: str) -> bool:
    """Whether the server says that it is ready."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
