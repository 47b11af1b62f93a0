"""The YAML files fit each other and the data."""

from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from flight_delay import settings

EXPECTATIONS = YAML(typ="safe", pure=True).load(Path("expectations.yaml"))


def test_an_expectation_is_one_name_with_arguments() -> None:
    for item in EXPECTATIONS:
        assert len(item) == 1
        [(name, arguments)] = item.items()
        assert name.startswith("expect_")
        assert isinstance(arguments, dict)


def test_expectations_speak_of_columns_that_exist(flights: pd.DataFrame) -> None:
    arguments = [value for item in EXPECTATIONS for value in item.values()]
    assert {value["column"] for value in arguments if "column" in value} <= set(flights.columns)
    assert [value["column_set"] for value in arguments if "column_set" in value] == [list(flights.columns)]


def test_what_modelship_starts_can_be_started_so() -> None:
    config = YAML(typ="safe", pure=True).load(Path("modelship.yaml"))
    workflow = YAML(typ="safe", pure=True).load(Path(".github/workflows") / config["retrain"]["workflow"])
    assert set(config["retrain"]["inputs"]) == set(workflow["on"]["workflow_dispatch"]["inputs"])


def test_modelship_checks_what_the_pipeline_writes() -> None:
    config = YAML(typ="safe", pure=True).load(Path("modelship.yaml"))
    assert config["data"]["reference"] == settings.TRAIN.as_posix()
    assert config["data"]["current"] == settings.HOLDOUT.as_posix()
    assert config["data"]["target"] == settings.TARGET
    assert config["data"]["key"] == settings.KEY
    assert config["train"]["metrics"] == settings.METRICS.as_posix()
    assert config["train"]["predictions"] == settings.PREDICTIONS.as_posix()
    assert config["train"]["model"] == settings.MODEL.as_posix()
