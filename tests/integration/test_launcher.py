"""The launcher `scripts/run` as a runner calls it: an empty cache, a small PATH, and a team's variables that must not leak in."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelship import __version__

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "scripts" / "run"

_NOT_THE_RUNNERS = (
    "GITHUB_",
    "RUNNER_",
    "MODELSHIP_",
    "MLFLOW_",
    "DVC_",
    "VIRTUAL_ENV",
    "CONDA_",
    "PYTHON",
    "PYTEST_",
    "XDG_",
    "UV_PROJECT",
)
TOOLS = ("bash", "cat", "cut", "dirname", "env", "git", "mkdir", "mktemp", "mv", "rm", "sh", "sha256sum", "shasum", "touch", "uname")


@dataclass(frozen=True)
class Runner:
    """A place to start the launcher in: a cache, a folder for downloads that all tests share, the programs on PATH."""

    cache: Path
    downloads: Path
    programs: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_THE_RUNNERS)}
        own = {"MODELSHIP_CACHE": str(self.cache), "UV_CACHE_DIR": str(self.downloads), "PATH": str(self.programs)}
        return {**kept, **own, **self.variables, **more}

    def start(self, *arguments: str, cwd: Path, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [RUN, *arguments], cwd=cwd, env=self.environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, cwd=cwd, **more)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def environments(self) -> list[str]:
        """The environments in the cache, half-made ones too."""
        folder = self.cache / "environments"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def programs(folder: Path, *more: Path) -> Path:
    """A folder with links to the few programs that every runner has, and to `more`."""
    folder.mkdir(parents=True)
    for found in (shutil.which(name) for name in TOOLS):
        if found:
            (folder / Path(found).name).symlink_to(found)
    for path in more:
        (folder / path.name).symlink_to(path)
    return folder


def team_python() -> Path:
    """An interpreter with pip, outside of our own virtual environment, as actions/setup-python installs one."""
    return Path(sys.base_prefix, "bin", "python3").resolve().with_name("python3")


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, subprocess.CompletedProcess[str]]:
    """The first run on a machine without uv, and what it said. Its cache serves the tests that need a finished one."""
    folder = tmp_path_factory.mktemp("launcher")
    bin_ = programs(folder / "bin", team_python())
    (bin_ / "python").symlink_to(team_python())
    runner = Runner(folder / "cache", folder / "downloads", bin_)
    return runner, runner.run("--version", cwd=folder)


@pytest.fixture(scope="session")
def runner(first: tuple[Runner, subprocess.CompletedProcess[str]]) -> Runner:
    """The machine after its first run."""
    return first[0]


@pytest.fixture(scope="session")
def uv(runner: Runner) -> Path:
    """The uv that the first run installed."""
    (path,) = runner.cache.glob("uv-*/bin/uv")
    return path


@pytest.fixture
def fresh(runner: Runner, uv: Path, tmp_path: Path) -> Runner:
    """Another machine, which has uv and an empty cache."""
    return Runner(tmp_path / "cache", runner.downloads, programs(tmp_path / "bin", team_python(), uv))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def write_config(folder: Path, command: str) -> None:
    (folder / "modelship.yaml").write_text(f"model: m\ntrain:\n  run: {json.dumps(command)}\n  metrics: metrics.json\n")


# What it makes -------------------------------------------------------------------------------------------------------------------


def test_without_uv_it_installs_its_own(first: tuple[Runner, subprocess.CompletedProcess[str]]) -> None:
    runner, result = first
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"modelship, version {__version__}\n"
    assert re.search(r"^modelship: installing uv$", result.stderr, re.MULTILINE)
    assert re.search(r"^modelship: environment for core ready after \d+ s$", result.stderr, re.MULTILINE)
    (environment,) = runner.environments()
    assert environment.startswith("core-")
    assert {path.name.partition("-")[0] for path in runner.cache.iterdir()} == {"environments", "uv"}


def test_a_second_run_needs_no_network_no_python_and_says_nothing(runner: Runner, work: Path, tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9/"
    again = Runner(runner.cache, tmp_path / "none", programs(tmp_path / "bin"), {"UV_DEFAULT_INDEX": dead, "PIP_INDEX_URL": dead})
    result = again.run("--version", cwd=work)
    assert (result.returncode, result.stderr) == (0, "")
    assert not (tmp_path / "none").exists()


def test_the_tool_cache_of_the_runner_is_used(runner: Runner, work: Path, tmp_path: Path) -> None:
    tool_cache = tmp_path / "tools"
    tool_cache.mkdir()
    (tool_cache / "modelship").symlink_to(runner.cache)
    result = runner.run("--version", cwd=work, MODELSHIP_CACHE="", RUNNER_TOOL_CACHE=str(tool_cache))
    assert (result.returncode, result.stderr) == (0, "")


def test_a_uv_on_path_is_used(fresh: Runner, work: Path) -> None:
    result = fresh.run("--version", cwd=work)
    assert result.returncode == 0, result.stderr
    assert "installing uv" not in result.stderr
    assert [path.name for path in fresh.cache.iterdir()] == ["environments"]
    assert len(fresh.environments()) == 1


def test_it_runs_through_a_link_and_from_a_folder_with_spaces(runner: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    result = runner.run("metric-gate", cwd=folder)
    assert result.returncode == 2
    assert "modelship.yaml: does not exist." in result.stderr


# Two at once, broken ones --------------------------------------------------------------------------------------------------------


def test_two_at_once_end_with_one_good_environment(fresh: Runner, work: Path) -> None:
    started = [fresh.start("--version", cwd=work) for _ in range(2)]
    for process in started:
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out) == (0, f"modelship, version {__version__}\n"), err
    (name,) = fresh.environments()
    assert name.startswith("core-")
    again = fresh.run("--version", cwd=work)
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize("broken", ["no python", "its Python is gone", "half deleted", "empty"])
def test_a_broken_environment_is_made_again(fresh: Runner, work: Path, broken: str) -> None:
    assert fresh.run("--version", cwd=work).returncode == 0
    (name,) = fresh.environments()
    home = fresh.cache / "environments" / name
    python = home / "bin" / "python"
    match broken:
        case "no python":
            python.unlink()
        case "its Python is gone":
            python.unlink()
            python.symlink_to("/nowhere/bin/python3")
        case "half deleted":
            (home / ".complete").unlink()
            shutil.rmtree(home / "bin")
        case _:
            shutil.rmtree(home)
            home.mkdir()
    result = fresh.run("--version", cwd=work)
    assert (result.returncode, result.stdout) == (0, f"modelship, version {__version__}\n"), result.stderr
    assert fresh.environments() == [name]


# What cannot work says so --------------------------------------------------------------------------------------------------------


def test_without_uv_and_python_it_says_what_to_add(runner: Runner, work: Path, tmp_path: Path) -> None:
    bare = Runner(tmp_path / "cache", runner.downloads, programs(tmp_path / "bin"))
    result = bare.run("--version", cwd=work)
    assert result.returncode == 3
    assert "Add actions/setup-python or astral-sh/setup-uv before this step." in result.stderr
    in_workflow = bare.run("--version", cwd=work, GITHUB_ACTIONS="true")
    assert in_workflow.returncode == 3
    assert (
        "::error title=modelship::modelship could not set itself up: neither uv nor python3" in in_workflow.stdout + in_workflow.stderr
    )


def test_an_index_that_does_not_answer_is_infrastructure(fresh: Runner, work: Path, tmp_path: Path) -> None:
    (tmp_path / "uv.toml").touch()
    unreachable = {
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
    }
    nowhere = Runner(fresh.cache, tmp_path / "downloads", fresh.programs, unreachable)
    result = nowhere.run("--version", cwd=work, UV_FIND_LINKS="", UV_INDEX="")
    assert result.returncode == 3
    assert "could not be installed. Is the package index reachable?" in result.stderr
    assert nowhere.environments() == [], "nothing half-made is left"


def test_an_unknown_capability(runner: Runner, work: Path) -> None:
    result = runner.run("--prepare", "nonsense", cwd=work)
    assert result.returncode == 3
    assert "there is no requirements/nonsense.txt" in result.stderr


# The team's own world ------------------------------------------------------------------------------------------------------------


def poison(folder: Path) -> dict[str, str]:
    """Variables of a team, each of which would break our environment if it got in."""
    modules = folder / "poison"
    modules.mkdir(parents=True)
    for name in ("click", "msgspec", "sitecustomize", "modelship"):
        (modules / f"{name}.py").write_text(f"raise SystemExit('the team has its own {name}')\n")
    return {
        "VIRTUAL_ENV": str(folder / "team-venv"),
        "CONDA_PREFIX": str(folder / "team-conda"),
        "UV_PROJECT_ENVIRONMENT": str(folder / "team-project"),
        "UV_SYSTEM_PYTHON": "1",
        "UV_PYTHON": "3.8",
        "UV_CONSTRAINT": str(folder / "no-such-constraints.txt"),
        "UV_NO_BINARY": ":all:",
        "PYTHONPATH": str(modules),
        "PYTHONHOME": str(folder / "nowhere"),
        "PYTHONSTARTUP": str(modules / "click.py"),
        "PIP_TARGET": str(folder / "team-target"),
        "PIP_USER": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_NO_BINARY": ":all:",
    }


def leave_project_settings(folder: Path) -> None:
    """What uv and pip would find in the team's folder."""
    (folder / "uv.toml").write_text('index-url = "http://127.0.0.1:9/simple"\n')
    (folder / "pyproject.toml").write_text('[project]\nname = "team"\nversion = "0"\nrequires-python = ">=3.99"\n')
    (folder / ".python-version").write_text("3.8\n")
    (folder / "click.py").write_text("raise SystemExit('the team has its own click')\n")


def test_a_teams_variables_neither_leak_in_nor_change(runner: Runner, work: Path, tmp_path: Path) -> None:
    theirs = poison(tmp_path / "team")
    leave_project_settings(work)
    # No uv on PATH: pip, too, has to work under these variables.
    machine = Runner(tmp_path / "cache", runner.downloads, runner.programs, theirs)
    write_config(work, """env -0 > seen; echo '{"accuracy": 0.5}' > metrics.json""")
    before = {path.name for path in (tmp_path / "team").iterdir()}

    result = machine.run("train", cwd=work, GITHUB_TOKEN="secret", GITHUB_OUTPUT=str(tmp_path / "outputs"))

    assert result.returncode == 0, result.stdout + result.stderr
    assert "the team has its own" not in result.stdout + result.stderr
    seen = dict(item.partition("=")[::2] for item in (work / "seen").read_text().split("\0"))
    assert {name: seen.get(name) for name in theirs} == theirs
    assert seen["PATH"] == str(machine.programs)
    assert [name for name in seen if name.startswith("MODELSHIP_") or name in ("GITHUB_TOKEN", "GITHUB_OUTPUT")] == []
    assert {path.name for path in (tmp_path / "team").iterdir()} == before, "nothing was installed into the team's folders"
    assert len(machine.environments()) == 1


def test_the_team_trains_with_its_own_interpreter(runner: Runner, work: Path) -> None:
    """Nothing of our environment is in the team's: not its packages, not its `bin` on PATH."""
    (work / "train.py").write_text(
        "import importlib.util, json, sys\n"
        "json.dump({'ours': int(importlib.util.find_spec('msgspec') is not None)}, open('metrics.json', 'w'))\n"
        "open('prefix', 'w').write(sys.prefix)\n"
    )
    write_config(work, "python3 train.py")
    result = runner.run("train", cwd=work)
    assert result.returncode == 0, result.stdout + result.stderr
    assert Path((work / "prefix").read_text()).resolve() == Path(sys.base_prefix).resolve()
    record = json.loads((work / ".modelship" / "train.json").read_text())
    assert record["metrics"] == {"ours": 0}
    assert record["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_team_without_dvc_gets_dvc_repro(runner: Runner, work: Path) -> None:
    assert not (runner.programs / "dvc").exists()
    (work / ".dvc").mkdir()
    (work / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (work / "train.py").write_text(
        "import importlib.util, json, sys\n"
        "assert importlib.util.find_spec('dvc') is None, 'a stage runs in the environment of our DVC'\n"
        "json.dump({'accuracy': 0.5}, open('metrics.json', 'w'))\n"
        "open('prefix', 'w').write(sys.prefix)\n"
    )
    (work / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: python3 train.py\n    deps: [train.py]\n    metrics:\n      - metrics.json: {cache: false}\n"
    )
    write_config(work, "dvc repro")
    for attempt in ("first", "up to date"):
        result = runner.run("train", cwd=work, DVC_SITE_CACHE_DIR=str(work.parent / "site"))
        assert result.returncode == 0, f"{attempt}: {result.stdout}{result.stderr}"
        assert json.loads((work / ".modelship" / "train.json").read_text())["metrics"] == {"accuracy": 0.5}
    assert Path((work / "prefix").read_text()).resolve() == Path(sys.base_prefix).resolve()
    assert sorted(name.partition("-")[0] for name in runner.environments()) == ["core", "dvc"]
