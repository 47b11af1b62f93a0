"""Fixtures that every layer of tests uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import CONFIG, METRICS, Project

TRAIN = f"import json, pathlib\npathlib.Path('metrics.json').write_text(json.dumps({METRICS}))\n"


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves anything in this checkout: what a library writes into the current folder goes with the session."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def first_commit(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What every test's project is a copy of."""
    project = Project(tmp_path_factory.mktemp("project") / "repository")
    project.directory.mkdir()
    project.git("init", "--quiet")
    project.write("modelship.yaml", CONFIG)
    project.write("params.yaml", "learning_rate: 0.1\n")
    project.trains(TRAIN)
    project.metrics()
    project.commit("first")
    return project


@pytest.fixture
def project(first_commit: Project, tmp_path: Path) -> Project:
    """A team's repository whose training writes good metrics, committed once."""
    return first_commit.copy(tmp_path)
