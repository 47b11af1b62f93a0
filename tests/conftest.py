"""Fixtures that every layer of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import CONFIG, METRICS, Project

TRAIN = f"import json, pathlib\npathlib.Path('metrics.json').write_text(json.dumps({METRICS}))\n"


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
