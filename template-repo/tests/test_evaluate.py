"""What the gate reads: predictions and metrics."""

from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from flight_delay import evaluate, train
from flight_delay.settings import load_params


@pytest.fixture(scope="module")
def predictions(flights: pd.DataFrame) -> pd.DataFrame:
    model = train.fit(flights.head(1600), ["hour", "carrier"], {"max_iter": 20})
    return evaluate.predict(model, flights.tail(800))


def test_predictions_have_a_row_for_each_flight_and_the_columns_of_the_gate(
    predictions: pd.DataFrame, flights: pd.DataFrame
) -> None:
    assert list(predictions.columns) == ["flight_id", "truth", "prediction", "score", "carrier", "origin"]
    assert list(predictions["flight_id"]) == list(flights.tail(800)["flight_id"])
    assert predictions["score"].between(0, 1).all()
    assert (predictions["prediction"] == (predictions["score"] >= 0.5)).all()


def test_every_gated_metric_is_measured(predictions: pd.DataFrame) -> None:
    gate = YAML(typ="safe", pure=True).load(Path("modelship.yaml"))["gate"]
    assert set(gate["metrics"]) <= set(evaluate.measure(predictions))


def test_metrics_of_a_perfect_model(predictions: pd.DataFrame) -> None:
    truth = predictions["truth"]
    metrics = evaluate.measure(predictions.assign(prediction=truth, score=truth.astype(float)))
    assert metrics == {
        "accuracy": 1.0,
        "average_precision": 1.0,
        "brier_score_loss": 0.0,
        "f1": 1.0,
        "log_loss": 0.0,
        "roc_auc": 1.0,
    }


def test_rows_of_one_kind_are_refused(predictions: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="every flight has late = 1"):
        evaluate.measure(predictions[predictions["truth"] == 1])


def test_tracking_without_a_server_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    evaluate.track(params, {"roc_auc": 0.7})
    assert not list(tmp_path.iterdir())
