"""Stage `evaluate`: judge the saved model on flights that it has never seen."""

import json
import os

import mlflow
import mlflow.sklearn
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)
from sklearn.pipeline import Pipeline

from flight_delay.settings import (
    HOLDOUT,
    KEY,
    METRICS,
    MODEL,
    PREDICTIONS,
    SLICES,
    TARGET,
    Params,
    load_params,
)

# Finer digits differ between processors; with these, the same commit gives the same file everywhere.
DECIMALS = 6


def predict(model: Pipeline, flights: pd.DataFrame) -> pd.DataFrame:
    """One row for each flight: its key, the truth, the model's answer, and the columns to slice by.

    `score` is the probability of a late arrival, `prediction` is 1 where it is at least one half.
    """
    score = model.predict_proba(flights[list(model.feature_names_in_)])[:, 1].round(DECIMALS)
    return pd.DataFrame(
        {
            KEY: flights[KEY],
            "truth": flights[TARGET],
            "prediction": (score >= 0.5).astype("int8"),
            "score": score,
            **{name: flights[name] for name in SLICES},
        }
    )


def measure(predictions: pd.DataFrame) -> dict[str, float]:
    """Metrics under their scikit-learn names. Raises ValueError when all flights share one truth."""
    truth, prediction, score = predictions["truth"], predictions["prediction"], predictions["score"]
    if truth.nunique() < 2:
        raise ValueError(f"{HOLDOUT}: every flight has {TARGET} = {truth.iloc[0]}; both kinds are needed.")
    metrics = {
        "accuracy": accuracy_score(truth, prediction),
        "average_precision": average_precision_score(truth, score),
        "brier_score_loss": brier_score_loss(truth, score),
        "f1": f1_score(truth, prediction),
        "log_loss": log_loss(truth, score),
        "roc_auc": roc_auc_score(truth, score),
    }
    return {name: round(float(value), DECIMALS) for name, value in metrics.items()}


def track(params: Params, metrics: dict[str, float]) -> None:
    """Log to MLflow if the environment names a server (`MLFLOW_TRACKING_URI`); otherwise do nothing.

    Modelship finds the run that is started here, and adds commit, data hashes and packages to it.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    with mlflow.start_run():
        mlflow.log_params({**params.model, "feature_columns": ", ".join(params.features)})
        mlflow.log_metrics(metrics)


def main() -> None:
    """Write predictions.parquet and metrics.json."""
    predictions = predict(mlflow.sklearn.load_model(MODEL), pd.read_parquet(HOLDOUT))
    metrics = measure(predictions)

    predictions.to_parquet(PREDICTIONS, index=False)
    METRICS.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    track(load_params(), metrics)
    for name, value in metrics.items():
        print(f"{name:<18} {value:.4f}")


if __name__ == "__main__":
    main()
