"""The template as somebody who forks it finds it: a fresh clone, its own locked environment, its own tests and commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Fork:
    """A clone of the template with its laptop environment."""

    def __init__(self, directory: Path, environment: Path) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MLFLOW_", "PYTHON"))}
        self._environ = {**kept, "PATH": f"{environment / 'bin'}{os.pathsep}{kept['PATH']}", "VIRTUAL_ENV": str(environment)}

    def run(self, *command: str) -> str:
        result = subprocess.run(
            command, cwd=self.directory, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Fork:
    folder = tmp_path_factory.mktemp("template")
    uv = subprocess.run([ROOT / "scripts" / "run", "--uv"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    environment = folder / "venv"
    subprocess.run([uv, "venv", "--quiet", "--no-project", "--python", ">=3.11,<3.14", environment], check=True)
    requirements = ROOT / "template-repo" / "requirements-dev.txt"
    subprocess.run(
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", environment / "bin" / "python", requirements], check=True
    )
    directory = folder / "repository"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=ROOT / "template-repo", check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / "template-repo" / name, directory / name)
    fork = Fork(directory, environment)
    fork.run("git", "init", "--quiet", "--initial-branch=main")
    fork.run("git", "add", "--all")
    fork.run("git", "-c", "user.name=dev", "-c", "user.email=dev@example.com", "commit", "--quiet", "--message", "first")
    return fork


def test_its_own_tests_pass(fork: Fork) -> None:
    assert " passed" in fork.run("python", "-m", "pytest", "-q")


def test_a_fresh_clone_is_complete_and_up_to_date(fork: Fork) -> None:
    fork.run("dvc", "pull")
    assert "up to date" in fork.run("dvc", "repro")
    assert fork.run("git", "status", "--porcelain") == ""


def test_training_anew_gives_the_metrics_that_are_committed(fork: Fork) -> None:
    committed = (fork.directory / "metrics.json").read_text()
    fork.run("dvc", "pull")
    fork.run("dvc", "repro", "--force", "--single-item", "train")
    fork.run("dvc", "repro", "--force", "--single-item", "evaluate")
    assert (fork.directory / "metrics.json").read_text() == committed
