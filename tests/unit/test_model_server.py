"""The target `mlflow-serve`, killed at every step and met with what it does not expect.

The interpreter is a stand-in that answers as quickly as it starts; that MLflow's own server does, too, is for tests/integration.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelship.core.errors import BadInput, InfrastructureError
from modelship.deployment.targets.mlflow_serve import MlflowServe, ServeSettings
from modelship.deployment.targets.target import NOTHING, Place, Release
from modelship.deployment.targets.versions import held_digest
from tests.killing import KILLS_APART, every_moment, killed_after
from tests.servers import free_port

STAND_IN = """\
#!/bin/sh
if [ "$1" = -c ]; then echo /usr/bin; exit; fi
exec {python} -I -S {server} "$@"
"""
SERVER = """\
import socket, sys
said = dict(zip(sys.argv, sys.argv[1:]))
with open(said["--model-uri"] + "/MLmodel", "rb") as file:
    content = file.read()
if b"broken" in content:
    sys.exit("RuntimeError: this model does not load")
status = b"503 Service Unavailable" if b"silent" in content else b"200 OK"
listener = socket.create_server((said["--host"], int(said["--port"])))
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        head = b"HTTP/1.1 %b\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % (status, len(content))
        connection.sendall(head + content)
"""

STEPS = frozenset({"open", "write", "mkdir", "rename", "replace", "unlink", "utime", "fork_exec", "killpg"})


class Team:
    """A repository whose interpreter is the stand-in, and the servers that run from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "serving"
        python = folder / "bin" / "python"
        python.parent.mkdir()
        server = folder / "server.py"
        server.write_text(SERVER)
        python.write_text(STAND_IN.format(python=sys.executable, server=server))
        python.chmod(0o755)
        self.python = str(python)

    def target(self, port: int | None = None, environment: str = "staging", timeout: str = "30s") -> MlflowServe:
        place = Place(self.folder, environment, "flights", self.python)
        return MlflowServe(place, ServeSettings(folder="serving", port=port, timeout=timeout))

    def release(self, version: int, content: str = "") -> Release:
        model = self.folder / f"model-{version}"
        model.mkdir(exist_ok=True)
        (model / "MLmodel").write_text(content or f"version {version}")
        return Release("flights", version, held_digest(model), model)

    def running(self) -> list[int]:
        """Process ids, zombies left out."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                command, state = (path / "cmdline").read_bytes(), (path / "stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f"{self.root}/versions".encode() in command and state != "Z":
                found.append(int(path.name))
        return found


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = Team(tmp_path)
    yield made
    made.target().clear()
    assert made.running() == []


def answer(url: str) -> str:
    with urllib.request.urlopen(f"{url}/ping", timeout=20) as answered:
        return str(answered.read().decode())


@pytest.mark.parametrize("has_port", [False, True])
def test_killed_at_any_step_repeating_ends_with_one_server(team: Team, has_port: bool) -> None:
    target = team.target(free_port() if has_port else None)
    first, second = team.release(1), team.release(2)
    kills = 0
    for moment in every_moment(5 * KILLS_APART):
        target.serve(first)
        was_killed = killed_after(moment, lambda: target.serve(second), STEPS)
        assert target.serving() in (NOTHING, (1, first.digest), (2, second.digest)), moment
        if not has_port:
            url = json.loads((team.root / "current.json").read_text())["url"]
            assert answer(url) in ("version 1", "version 2"), "whoever asks the pointer is answered at any moment"
        assert answer(target.serve(second).url) == "version 2", moment
        assert target.serving() == (2, second.digest)
        assert len(team.running()) == 1, moment
        if not was_killed:
            break
        kills += 1
    assert kills * 5 * KILLS_APART > 60


@pytest.mark.parametrize("has_port", [False, True])
@pytest.mark.parametrize(("content", "told"), [("broken", "this model does not load"), ("silent", "did not answer within 2 s")])
def test_a_version_that_does_not_come_up_leaves_the_one_before(team: Team, has_port: bool, content: str, told: str) -> None:
    port = free_port() if has_port else None
    target, first = team.target(port), team.release(1)
    url = target.serve(first).url
    before = team.running()
    with pytest.raises(InfrastructureError, match=told):
        team.target(port, timeout="2s").serve(team.release(9, content))
    assert team.running() == before
    assert (target.serving(), answer(url)) == ((1, first.digest), "version 1")


def test_a_server_that_ended_is_not_believed_and_started_again(team: Team) -> None:
    target, first = team.target(), team.release(1)
    target.serve(first)
    (pid,) = team.running()
    os.kill(pid, signal.SIGKILL)
    while team.running():
        time.sleep(0.01)
    assert target.serving() == NOTHING
    assert answer(target.serve(first).url) == "version 1"


def test_a_process_that_has_the_id_of_a_server_is_left_alone(team: Team) -> None:
    target = team.target()
    target.serve(team.release(1))
    (team.root / "servers" / "v9-other.pid").write_text(str(os.getpid()))
    (team.root / "servers" / "v9-other.alive").write_text("")
    target.serve(team.release(2))
    assert sorted({path.stem[:2] for path in (team.root / "servers").iterdir()}) == ["v2"]


@pytest.mark.parametrize("content", ["", "{", "null", "[" * 100_000])
@pytest.mark.parametrize("name", ["current.json", "servers/v9-other.pid", "servers/v9-other.alive"])
def test_files_that_hold_nonsense_are_not_believed(team: Team, name: str, content: str) -> None:
    target, first = team.target(), team.release(1)
    target.serve(first)
    (team.root / name).write_text(content)
    assert answer(target.serve(first).url) == "version 1"
    assert target.serving() == (1, first.digest)
    assert len(team.running()) == 1


def test_another_port_moves_the_server(team: Team) -> None:
    old, first = team.target(free_port()).serve(team.release(1)).url, team.release(1)
    target = team.target(free_port())
    assert target.serving() == NOTHING
    url = target.serve(first).url
    assert (answer(url), len(team.running())) == ("version 1", 1)
    with pytest.raises(OSError, match="refused"):
        answer(old)


def test_what_somebody_changed_is_told_and_mended(team: Team) -> None:
    target, first = team.target(), team.release(1)
    target.serve(first)
    (held,) = (team.root / "versions").glob("v1-*/model/MLmodel")
    held.write_text("version 666")
    assert target.serving() != (1, first.digest)
    assert answer(target.serve(first).url) == "version 1"
    assert target.serving() == (1, first.digest)


def test_no_two_environments_share_a_folder(team: Team) -> None:
    target, first = team.target(), team.release(1)
    url = target.serve(first).url
    with pytest.raises(BadInput, match="serves `flights` in staging, not `flights` in production"):
        team.target(environment="production").serve(team.release(2))
    assert (target.serving(), answer(url)) == ((1, first.digest), "version 1")


def test_the_server_outlives_a_job_and_knows_no_secret(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    named: dict[str, Any] = {"RUNNER_TRACKING_ID": "github_42", "MLFLOW_TRACKING_TOKEN": "s3cret", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    team.target().serve(team.release(1))
    (pid,) = team.running()
    variables = Path(f"/proc/{pid}/environ").read_bytes()
    assert not [name for name in named if name.encode() in variables]
    assert os.getsid(pid) == pid


def test_an_interpreter_that_is_not_there_is_named(team: Team) -> None:
    place = Place(team.folder, "staging", "flights", ".venv/bin/python")
    with pytest.raises(BadInput, match=r"the interpreter `\.venv/bin/python` did not answer"):
        MlflowServe(place, ServeSettings(folder="serving")).serve(team.release(1))
