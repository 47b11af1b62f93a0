"""Registering, killed before or after any of its HTTP calls, and run again: it ends where a run that nobody killed ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from modelship.core.config import Registry
from modelship.core.run_directory import digest_folder
from modelship.registry.server import connect
from modelship.registry.version import Artifacts, fetch, find_version
from tests import publishing
from tests.candidate import judge, prepare
from tests.project import LIBRARIES, OURS, PACKAGE, ROOT, Project
from tests.proxy import Call, Fault, Place, Proxy, proxy
from tests.warm import WarmPython, warm_python

SCHEDULES = int(os.environ.get("MODELSHIP_TEST_SCHEDULES", "64"))
OURS_ALONE = {"modelship.key", "modelship.register-key"}


class Killed:
    """A program that is run through a proxy, which kills it at the calls it is told to."""

    def __init__(self, net: Proxy, program: WarmPython, folder: Path) -> None:
        self.net, self.program, self.folder = net, program, folder
        self.log = folder / f"log-{id(self)}"

    def run(self, arguments: Sequence[str], faults: Mapping[Place, Fault], **variables: str) -> int:
        self.net.begin(faults)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_"))}
        return self.program.run(arguments, self.folder, {**kept, **variables}, self.log)

    def at(self, place: Place, *, after: bool) -> dict[Place, Fault]:
        """Kill it when it makes that call, before or after the server has heard of it."""

        def kill(call: Call) -> None:
            if after:
                call.forward()
            self.program.kill()

        return {place: kill}


def fresh() -> str:
    """A name that no other test uses. A card shows digits as code, so it has none."""
    return "model-" + "".join(random.SystemRandom().choices("ghijklmnop", k=12))


def end_state(url: str, name: str) -> dict[str, Any]:
    """Everything that the server holds of a registered model, but for what is random in it."""
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    versions = client.search_model_versions(f"name = '{name}'")
    return {
        "runs": [(run.info.status, run.data.metrics, run.data.params, stable(run.data.tags)) for run in runs],
        "versions": [
            (one.version, one.run_id == runs[0].info.run_id, stable(one.tags), one.description.replace(name, "")) for one in versions
        ],
        "aliases": dict(client.get_registered_model(name).aliases),
        "files": set(Artifacts(connect(url), runs[0].info.run_id).sizes()),
    }


def stable(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if name not in OURS_ALONE and not name.startswith("mlflow.")}


def changes(place: Place) -> bool:
    """Whether a call changes what the server holds: before one that does not, it holds what it held after the last that did."""
    asked, _ = place
    return not asked.startswith("GET ") and not asked.endswith("/search")


def kills(calls: Sequence[Place]) -> list[tuple[Place, bool]]:
    """Every moment at which a kill leaves the server in another state: before the first call, and after each that changes it.

    `make chaos` takes every moment.
    """
    if SCHEDULES > 100:
        return [(call, after) for call in calls for after in (False, True)]
    return [(calls[0], False), *((call, True) for call in calls if changes(call))]


def test_killed_at_any_call_and_run_again_it_ends_as_if_nobody_had(mlflow: str, tmp_path: Path) -> None:
    files = publishing.write_files(tmp_path / "files")
    modules = ("mlflow", "mlflow.store.artifact.mlflow_artifacts_repo", "modelship.registry.publish")
    program = partial(WarmPython, ROOT / "tests" / "publishing.py", modules, PACKAGE.parent)

    def arguments(net: Proxy, name: str) -> list[str]:
        return [net.url, str(files), name, name]

    def work(number: int, of: int) -> int:
        """Every second kill: one process can work while another waits for the server."""
        with proxy(mlflow) as net:
            killed = Killed(net, program(), tmp_path)
            name = fresh()
            assert killed.run(arguments(net, name), {}) == 0, killed.log.read_text()
            wanted, calls = end_state(mlflow, name), list(net.calls)
            mine = kills(calls)[number::of]
            for place, after in mine:
                name = fresh()
                assert killed.run(arguments(net, name), killed.at(place, after=after)) == -signal.SIGKILL, place
                assert killed.run(arguments(net, name), {}) == 0, (place, killed.log.read_text())
                assert end_state(mlflow, name) == wanted, (place, after)
            return len(mine)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, range(2), [2, 2])) > 10


STORE = (
    "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.db.utils",
    "mlflow.store.artifact.local_artifact_repo", "mlflow.store.artifact.artifact_repository_registry", "alembic.script",
    "modelship.registry.publish",
)  # fmt: skip


def test_killed_again_and_again_it_ends_as_if_nobody_had(tmp_path: Path) -> None:
    """One to three processes in a row die at a moment before or after one of their writes: a schedule for each seed.

    There is no server between them and their database: each schedule begins with a copy of it.
    """
    files = publishing.write_files(tmp_path / "files")
    program = warm_python(ROOT / "tests" / "publishing.py", *STORE, path=PACKAGE.parent)
    name, log = fresh(), tmp_path / "log"
    empty = f"sqlite:///{tmp_path / 'empty.db'}"
    MlflowClient(empty).create_experiment(name, (tmp_path / "artifacts").as_uri())

    def begun(folder: Path) -> str:
        folder.mkdir()
        shutil.copyfile(tmp_path / "empty.db", folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"

    def run(url: str, *dies_at: str) -> int:
        return program.run([url, str(files), name, name, *dies_at], tmp_path, {"PYTHONPATH": ""}, log)

    clean = begun(tmp_path / "clean")
    assert run(clean) == 0, log.read_text()
    moments, wanted = int(log.read_text().split()[-1]), end_state(clean, name)
    assert moments >= 20
    deaths = 0
    for seed in range(SCHEDULES):
        chance = random.Random(seed)
        url = begun(tmp_path / f"{seed}")
        for _ in range(chance.randint(1, 3)):
            deaths += run(url, str(chance.randrange(moments))) == -signal.SIGKILL
        assert run(url) == 0, (seed, log.read_text())
        assert end_state(url, name) == wanted, seed
    assert deaths >= SCHEDULES


def test_the_command_killed_and_run_again_leaves_the_record_of_a_clean_run(first_commit: Project, mlflow: str, tmp_path: Path) -> None:
    """Its own files, too: everything that the command does outside of publication."""
    project = judge(prepare(first_commit.copy(tmp_path / "project")))
    modelship = WarmPython(PACKAGE, (*LIBRARIES, *OURS, "skops.io"), PACKAGE.parent)
    with proxy(mlflow) as net:
        killed = Killed(net, modelship, project.directory)

        def arguments(name: str) -> list[str]:
            return ["register", "--tracking-uri", net.url, "--registered-name", name]

        name = fresh()
        assert killed.run(arguments(name), {}, MLFLOW_EXPERIMENT_NAME=name) == 0, killed.log.read_text()
        wanted, calls = end_state(mlflow, name), list(net.calls)
        for place, after in kills(calls)[:: 4 if SCHEDULES <= 100 else 1]:
            name = fresh()
            assert killed.run(arguments(name), killed.at(place, after=after), MLFLOW_EXPERIMENT_NAME=name) == -signal.SIGKILL
            assert not (project.directory / ".modelship" / "register.json").exists()
            assert killed.run(arguments(name), {}, MLFLOW_EXPERIMENT_NAME=name) == 0, killed.log.read_text()
            assert end_state(mlflow, name) == wanted, (place, after)
            assert project.record("register")["version"] == 1
    found = find_version(connect(mlflow), name, "challenger")
    fetched = fetch(connect(mlflow), found, tmp_path / "fetched", Registry(), directory=tmp_path)
    assert digest_folder(fetched.model) == digest_folder(project.directory / "model")
