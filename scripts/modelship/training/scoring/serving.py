"""What MLflow's server would answer: its own function that reads a request and writes an answer, without the network."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .checks import sample
from .models import MlflowModel, Model
from .problems import RefusedError, blamed
from .tables import Rows

MOST_EXAMPLES = 50
_MOST_BYTES = 4 * 1024 * 1024


def examples(model: Model, rows: Rows) -> dict[str, Any]:
    """Up to 50 rows, drawn with a fixed seed, as `dataframe_split`, and the `predictions` that a server answers them with.

    Raises RefusedError where a server would not take the rows, or JSON cannot hold them.
    """
    if not isinstance(model, MlflowModel):
        raise RefusedError("MLflow does not load this model: `evaluate.predict` does")
    chosen = rows.features.iloc[sample(len(rows.truth), MOST_EXAMPLES)].reset_index(drop=True)
    request = split(model.prepare(chosen, rows.name))
    found = {"dataframe_split": request, "predictions": served(model.pyfunc, request)}
    try:
        size = len(json.dumps(found, allow_nan=False))
    except ValueError:
        raise RefusedError("an answer is NaN or infinite, which JSON cannot hold") from None
    if size > _MOST_BYTES:
        raise RefusedError(f"{len(chosen)} rows take more than {_MOST_BYTES // 1024 // 1024} MiB")
    return found


def served(pyfunc: Any, request: Mapping[str, Any]) -> list[Any]:
    """What MLflow's server answers to `dataframe_split`, one prediction for each row, from a loaded model. Raises RefusedError."""
    with blamed("MLflow's server"):
        from mlflow.pyfunc.scoring_server import invocations

        schema = pyfunc.metadata.get_input_schema()
        answer = invocations(json.dumps({"dataframe_split": request}, allow_nan=False), "application/json", pyfunc, schema)
    said = str(answer.response)
    if answer.status != 200:
        raise RefusedError(f"MLflow's server answers with status {answer.status}: {' '.join(said.split())[:300]}")
    found = json.loads(said)
    predictions = found.get("predictions") if isinstance(found, dict) else None
    if not isinstance(predictions, list) or len(predictions) != len(request["data"]):
        raise RefusedError("MLflow's server does not answer with one prediction for each row")
    return predictions


def served_over_and_over(pyfunc: Any, request: Mapping[str, Any], calls: int, patience: float) -> dict[str, Any]:
    """What a server would answer to `dataframe_split`: to all of its rows at once (`whole`), and to one row after the other, over and
    over, until there were `calls` or `patience` seconds have passed and every row had its turn (`single`).
    """
    rows = request["data"]
    whole = reply(pyfunc, request)
    single = []
    began = time.perf_counter()
    for call in range(max(calls, len(rows))):
        if call >= len(rows) and time.perf_counter() - began > patience:
            break
        single.append(reply(pyfunc, {**request, "data": [rows[call % len(rows)]]}))
    return {"whole": whole, "single": single}


def reply(pyfunc: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """The predictions for a request, or why there are none, and the seconds that it took."""
    began = time.perf_counter()
    try:
        found: dict[str, Any] = {"predictions": served(pyfunc, request)}
    except RefusedError as error:
        found = {"error": error.message[:300]}
    return {**found, "seconds": time.perf_counter() - began}


def split(rows: pd.DataFrame) -> dict[str, Any]:
    """A table as `dataframe_split`. Raises RefusedError for a value that JSON cannot hold."""
    values = rows.astype(object).to_numpy().tolist()
    return {"columns": [str(name) for name in rows.columns], "data": [[_plain(value) for value in row] for row in values]}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        if math.isinf(value):
            raise RefusedError("a row holds an infinite number, which JSON cannot hold")
        return None if math.isnan(value) else value
    if isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise RefusedError(f"a row holds a {type(value).__name__}, which JSON cannot hold")
