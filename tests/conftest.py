"""Fixtures that every layer of tests uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import CONFIG, METRICS, Project

TRAIN = f"import json, pathlib\npathlib.Path('metrics.json').write_text(json.dumps({METRICS}))\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A team's repository whose training writes good metrics, committed once."""
    project = Project(tmp_path / "repository")
    project.directory.mkdir()
    project.git("init", "--quiet")
    project.write("modelship.yaml", CONFIG)
    project.write("params.yaml", "learning_rate: 0.1\n")
    project.trains(TRAIN)
    project.metrics()
    project.commit("first")
    return project
