"""Stage `train`: fit the model and save it as an MLflow model folder."""

import shutil
from importlib.metadata import version
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from flight_delay.settings import KEY, MODEL, TARGET, TIME, TRAIN, load_params

# MLflow saves scikit-learn models with skops: data that is read, not a pickle that is executed. skops
# restores only types that it knows or that are named here. These three are parts of
# HistGradientBoostingClassifier, and reading them runs nothing. If another estimator brings further
# types, the error names them: look each one up before you add it.
TRUSTED_TYPES = [
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
]

# What a server needs to load the model: the versions that it was trained with.
MODEL_REQUIREMENTS = ["mlflow-skinny", "pandas", "scikit-learn", "skops"]


def check_features(features: list[str], columns: list[str]) -> None:
    """Raise ValueError for a feature that the data lacks or that gives the answer away."""
    for feature in features:
        if feature in (KEY, TIME, TARGET):
            raise ValueError(
                f"params.yaml: remove the feature {feature!r}: it identifies or answers the row."
            )
        if feature not in columns:
            raise ValueError(
                f"params.yaml: there is no column {feature!r} in {TRAIN}. It has {', '.join(columns)}."
            )


def build_model(categorical: list[str], params: dict[str, Any]) -> Pipeline:
    """An unfitted pipeline for a data frame with the given text columns; all other columns are numbers.

    Missing numbers, and categories never seen in training, are "missing" to the trees, which is a
    case that they handle; nothing is imputed.
    """
    numbered = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    encode = ColumnTransformer(
        [("categorical", numbered, categorical)],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    boosting = HistGradientBoostingClassifier(categorical_features=categorical, **params)
    return Pipeline([("encode", encode), ("boosting", boosting)])


def fit(flights: pd.DataFrame, features: list[str], params: dict[str, Any]) -> Pipeline:
    """Fit the model on the rows of `flights`, looking at `features` only."""
    check_features(features, list(flights.columns))
    categorical = [name for name in features if not pd.api.types.is_numeric_dtype(flights[name])]
    return build_model(categorical, params).fit(flights[features], flights[TARGET])


def save(model: Pipeline, flights: pd.DataFrame) -> None:
    """Write the MLflow model folder, with a signature and an input example taken from `flights`."""
    example = flights[list(model.feature_names_in_)].head(5)
    # A whole number that may be missing in production arrives as a float: declare floats.
    numbers = example.select_dtypes("number").columns
    example = example.astype(dict.fromkeys(numbers, "float64"))

    shutil.rmtree(MODEL, ignore_errors=True)
    mlflow.sklearn.save_model(
        model,
        MODEL,
        signature=infer_signature(example, model.predict(example)),
        input_example=example,
        pip_requirements=[f"{package}=={version(package)}" for package in MODEL_REQUIREMENTS],
        serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS,
        skops_trusted_types=TRUSTED_TYPES,
    )


def main() -> None:
    """Train on data/train.parquet and write model/."""
    params = load_params()
    flights = pd.read_parquet(TRAIN)
    model = fit(flights, params.features, params.model)
    save(model, flights)
    print(f"trained on {len(flights):,} flights with {len(params.features)} features")


if __name__ == "__main__":
    main()
