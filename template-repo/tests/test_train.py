"""The model, before and after it was saved."""

from pathlib import Path

import mlflow.pyfunc
import mlflow.sklearn
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from flight_delay import train
from flight_delay.settings import TARGET, load_params

FEATURES = ["hour", "carrier", "temp", "pressure"]
SETTINGS = {"max_iter": 50, "random_state": 7}


@pytest.fixture(scope="module")
def learned(flights: pd.DataFrame) -> Pipeline:
    return train.fit(flights.head(1600), FEATURES, SETTINGS)


def test_the_model_learns_what_there_is_to_learn(learned: Pipeline, flights: pd.DataFrame) -> None:
    unseen = flights.tail(800)
    score = learned.predict_proba(unseen[FEATURES])[:, 1]
    assert roc_auc_score(unseen[TARGET], score) > 0.7


def test_the_model_sees_the_features_that_it_is_given_and_nothing_else(learned: Pipeline) -> None:
    assert list(learned.feature_names_in_) == FEATURES


def test_params_yaml_names_features_and_settings_that_exist(flights: pd.DataFrame) -> None:
    params = load_params()
    train.fit(flights, params.features, {**params.model, "max_iter": 1})


def test_training_twice_gives_the_same_model(learned: Pipeline, flights: pd.DataFrame) -> None:
    again = train.fit(flights.head(1600), FEATURES, SETTINGS)
    rows = flights.tail(800)[FEATURES]
    assert (again.predict_proba(rows) == learned.predict_proba(rows)).all()


@pytest.mark.parametrize("feature", ["late", "flight_id", "scheduled_at", "no_such_column"])
def test_a_feature_that_leaks_or_is_absent_is_refused(flights: pd.DataFrame, feature: str) -> None:
    with pytest.raises(ValueError, match=feature):
        train.fit(flights, ["hour", feature], {})


def test_the_saved_model_answers_as_before_also_for_rows_unlike_any_in_training(
    learned: Pipeline, flights: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train.save(learned, flights)
    rows = flights.tail(100)[FEATURES].copy()
    rows.iloc[0, rows.columns.get_loc("carrier")] = "new airline"
    rows["temp"] = float("nan")

    loaded = mlflow.sklearn.load_model("model")
    assert (loaded.predict_proba(rows) == learned.predict_proba(rows)).all()
    assert (mlflow.pyfunc.load_model("model").predict(rows) == learned.predict(rows)).all()
    assert not list(Path("model").glob("*.pkl"))
    assert not Path("mlflow.db").exists()
