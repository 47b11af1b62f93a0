"""Starting background processes so that none of them outlives the tests."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Every process of a world inherits this variable, so that the ones that left their process group are found too.
MARKER = "E2E_WORLD"

#: Prefixes of variables that a hosted runner would not have, or would have with other values.
_NOT_ON_A_RUNNER = (
    "ACTIONS_", "AWS_", "AZURE_", "DVC_", "GH_", "GIT_", "GITHUB_", "INPUT_", "MLFLOW_", "MODELSHIP_",
    "PYENV_VERSION", "PYTEST_", "PYTHON", "RUNNER_", "UV_PROJECT", "VIRTUAL_ENV", "XDG_",
)  # fmt: skip


class NotReadyError(RuntimeError):
    """A server stopped, or did not answer in time. The message carries the end of its log."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def runner_environment(home: Path, cache: Path, python: Path) -> dict[str, str]:
    """Return this process's environment as a fresh runner would see it.

    Variables of the caller's own CI, virtual environment and credentials are left out, and `home` takes the place of the
    home folder. How packages are reached (proxies, certificates, `PIP_*`, `UV_*`, `NPM_*`, the user's pip, uv and npm
    configuration) stays. Downloads are kept in `cache`. `python` is the interpreter that `python3` means.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_ON_A_RUNNER)}
    user = Path.home()
    for variable, candidates in {
        "PIP_CONFIG_FILE": (user / ".config/pip/pip.conf", user / ".pip/pip.conf"),
        "UV_CONFIG_FILE": (user / ".config/uv/uv.toml",),
        "NPM_CONFIG_USERCONFIG": (user / ".npmrc",),
    }.items():
        found = next((path for path in candidates if path.is_file()), None)
        if found is not None:
            environment.setdefault(variable, str(found))
    own = {Path(sys.executable).parent, Path(os.environ.get("VIRTUAL_ENV", "/nowhere")) / "bin"}
    path = [entry for entry in environment.get("PATH", os.defpath).split(os.pathsep) if Path(entry).absolute() not in own]
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        **environment,
        "PATH": os.pathsep.join([str(python.parent), *path]),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(cache),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site-cache"),  # DVC would use a folder of /var/tmp
        "LANG": "C.UTF-8",
        # act gives every command a terminal, a hosted runner does not.
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PIP_PROGRESS_BAR": "off",
    }


class Server:
    """A background process in a process group of its own, with its output in a file."""

    def __init__(self, name: str, command: Sequence[str | Path], *, log: Path, env: Mapping[str, str], cwd: Path) -> None:
        self.name = name
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=dict(env), cwd=cwd, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process's id, which is its group's id too."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Return as soon as `ready()` is true.

        Raises:
            NotReadyError: the process ended, or `timeout` seconds have passed since the call.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            code = self._process.poll()
            if code is not None:
                raise NotReadyError(f"{self.name} ended with exit code {code} before it was ready:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise NotReadyError(f"{self.name} was not ready after {timeout:.0f} s:\n{self._tail()}")
            time.sleep(0.05)

    def stop(self, *, grace: float = 5.0) -> None:
        """End the whole process group: politely first, after `grace` seconds by force. Safe to call twice."""
        stop_group(self._process, grace=grace)

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def stop_group(process: subprocess.Popen[bytes], *, grace: float = 5.0, first: signal.Signals = signal.SIGTERM) -> None:
    """End the process group that `process` leads: with `first`, and with SIGKILL after `grace` seconds."""
    for number, patience in ((first, grace), (signal.SIGKILL, grace)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        # The leader has gone; whatever it left in its group goes with the next signal.
    process.poll()


def stop_marked(world: str) -> int:
    """Kill the processes that carry this world's marker and return how many there were.

    For what leaves its process group: act gives every step a group of its own. Needs `/proc`; elsewhere nothing is done.
    """
    wanted = f"{MARKER}={world}".encode()
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
                found += 1
        except (OSError, ProcessLookupError):
            continue  # it ended by itself, or it belongs to somebody else
    return found


def answers(url: str) -> bool:
    """Tell whether a GET of `url` is answered with a status below 500."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
