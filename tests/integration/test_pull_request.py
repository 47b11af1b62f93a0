"""`modelship pull-request`: its steps in a row, each a process of its own, and what they leave together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project

CONFIG = """\
model: flight-delay
data: {reference: train.csv, current: holdout.csv, key: flight}
drift: {severity: critical}
train: {run: python train.py, metrics: metrics.json}
gate:
  baseline: none
  metrics:
    roc_auc: {min: 0.70}
"""

TRAINING = "import json, pathlib; pathlib.Path('metrics.json').write_text(json.dumps({'roc_auc': 0.75}))\n"


def flights(first: int, hours: range) -> str:
    """A thousand flights, as many in each hour."""
    rows = (f"{first + number},{hours[number % len(hours)]}" for number in range(1000))
    return "\n".join(["flight,hour", *rows, ""])


@pytest.fixture
def drifted(project: Project) -> Project:
    """A repository whose current table is not like its reference."""
    project.write("modelship.yaml", CONFIG)
    project.write("train.csv", flights(0, range(5, 15)))
    project.write("holdout.csv", flights(1000, range(12, 22)))
    project.trains(TRAINING)
    project.commit()
    return project


def left(project: Project) -> set[str]:
    """The commands that have left a record."""
    return {path.stem for path in Path(project.directory, ".modelship").glob("*.json")}


def test_drift_that_blocks_ends_it_before_training(drifted: Project) -> None:
    ran = drifted.run("pull-request", "--validate", "false", "--drift", "true")
    assert ran.exit_code == 1, ran.log
    assert left(drifted) == {"drift-report"}
    assert drifted.record("drift-report")["status"] == "fail"
    report = (drifted.directory / ran.outputs["report"]).read_text(encoding="utf-8")
    assert "flight-delay: the data has drifted" in report
    assert "1 of 1 feature drifted (hour)" in report


def test_drift_is_told_of_the_tables_that_training_made(drifted: Project) -> None:
    drifted.write("modelship.yaml", CONFIG.replace("critical", "warning"))
    drifted.trains(f"{TRAINING}pathlib.Path('holdout.csv').write_text({flights(1000, range(5, 15))!r})\n")
    drifted.commit()
    ran = drifted.run("pull-request", "--validate", "false", "--drift", "true")
    assert ran.exit_code == 0, ran.log
    assert drifted.record("drift-report")["drift"] is False


def test_what_was_found_of_earlier_tables_is_forgotten_where_the_new_ones_are_invalid(drifted: Project) -> None:
    drifted.write(
        "modelship.yaml", CONFIG.replace("critical", "warning").replace("key: flight", "key: flight, expectations: rules.yaml")
    )
    drifted.write("rules.yaml", "- expect_column_values_to_be_between: {column: hour, max_value: 21}\n")
    drifted.trains(f"{TRAINING}pathlib.Path('holdout.csv').write_text({flights(1000, range(13, 23))!r})\n")
    drifted.commit()
    ran = drifted.run("pull-request", "--drift", "true")
    assert ran.exit_code == 1, ran.log
    validated = drifted.record("validate")
    assert validated["status"] == "fail"
    assert (drifted.directory / ".modelship" / validated["data-docs"]).is_file()
    assert left(drifted) == {"validate", "train"}
