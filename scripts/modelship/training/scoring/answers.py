"""What a model gave, understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from .problems import RefusedError
from .tables import Array, plain


@dataclass(frozen=True)
class Answers:
    """What a model says of n rows: (n,) predictions, and (n,) scores called `score` or `score_<class>`."""

    prediction: Array
    scores: dict[str, Array] = field(default_factory=dict)

    def named(self, of: str, key: str) -> Array:
        """The prediction or a score by its name."""
        if of == "prediction":
            return self.prediction
        if of not in self.scores:
            has = ", ".join(f"`{name}`" for name in self.scores) or "no scores"
            raise RefusedError(f"`{key}` asks for `{of}`; the model gives {has}.", "Set `of`.")
        return self.scores[of]

    @property
    def arrays(self) -> dict[str, Array]:
        """All answers by name."""
        return {"prediction": self.prediction, **self.scores}


def positive_of(classes: Sequence[Any], configured: Any) -> int:
    """Which of two classes scores speak of: the configured one, else the greater."""
    if configured is None:
        return 1
    for index, value in enumerate(classes):
        if value == configured or str(value).lower() == str(configured).lower():
            return index
    raise RefusedError(f"`data.positive` is `{configured}`; the classes are {listed(classes)}.")


def listed(values: Sequence[Any]) -> str:
    """Some values as a reader would write them."""
    shown = ", ".join(f"`{str(value)[:40]}`" for value in values[:8])
    return f"{shown}, …" if len(values) > 8 else shown


def scores_of(probabilities: Array, classes: Sequence[Any], positive: Any) -> dict[str, Array]:
    """Columns of an (n, k) array: one of two classes is told by the other."""
    values = np.asarray(probabilities, dtype=float)
    if len(classes) == 2:
        return {"score": values[:, positive_of(classes, positive)]}
    return {f"score_{label}": values[:, index] for index, label in enumerate(classes)}


def as_answers(output: Any, n: int, labels: Sequence[Any] | None, positive: Any) -> Answers:
    """What a model gave for n rows, understood.

    Named columns are taken by their names. Of arrays, two dimensions are probabilities of the classes in ascending order; numbers
    that are none of two classes are the probability of the positive one, which is predicted from one half on; anything else is the
    prediction. Raises RefusedError.
    """
    if isinstance(output, Mapping):
        output = pd.DataFrame(dict(output))
    if isinstance(output, pd.DataFrame) and "prediction" in output.columns:
        check_rows(len(output), n)
        names = [str(name) for name in output.columns if str(name) == "score" or str(name).startswith("score_")]
        return Answers(plain(output["prediction"]), {name: numbers(output[name], name) for name in names})
    values = output.to_numpy() if isinstance(output, pd.DataFrame) else output if isinstance(output, pd.Series) else np.asarray(output)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2):
        raise RefusedError(
            f"the model answers with an array of shape {np.shape(values)}.", "One value a row, or one a class, is understood."
        )
    check_rows(len(values), n)
    if values.ndim == 2:
        if labels is None or values.shape[1] != len(labels):
            count = "unknown" if labels is None else str(len(labels))
            remedy = "Answer with columns `prediction` and `score_<class>`, by `evaluate.predict` if need be."
            raise RefusedError(f"the model answers with {values.shape[1]} numbers a row; the number of classes is {count}.", remedy)
        probabilities = np.asarray(values, dtype=float)
        predicted = np.asarray(labels)[np.nan_to_num(probabilities, nan=-np.inf).argmax(axis=1)]
        return Answers(predicted, scores_of(probabilities, labels, positive))
    prediction = plain(values)
    if labels is not None and len(labels) == 2 and prediction.dtype.kind == "f":
        known = np.isin(prediction[np.isfinite(prediction)], np.asarray([x for x in labels if not isinstance(x, str)], dtype=float))
        if not known.all():
            index = positive_of(labels, positive)
            predicted = np.asarray(labels)[np.where(prediction >= 0.5, index, 1 - index)]
            return Answers(predicted, {"score": prediction})
    return Answers(prediction)


def check_rows(found: int, n: int) -> None:
    """Raise RefusedError unless there is one answer a row."""
    if found != n:
        raise RefusedError(f"the model gives {found:,} answers to {n:,} rows.", "It has to give one a row, in their order.")


def numbers(values: Any, name: str) -> Array:
    """(n,) float64."""
    try:
        return np.asarray(pd.to_numeric(pd.Series(values)), dtype=float)
    except (TypeError, ValueError):
        raise RefusedError(f"the model's `{name}` is not a number in every row.") from None


def like_truth(prediction: Array, truth: Array) -> Array:
    """Predictions in the truth's type where that changes no value: a model may say 1.0 or True for 1."""
    if prediction.dtype == truth.dtype or prediction.dtype.kind not in "biuf" or truth.dtype.kind not in "biu":
        return prediction
    if prediction.dtype.kind == "f" and not np.isfinite(prediction).all():
        return prediction
    converted = prediction.astype(truth.dtype)
    return converted if bool((converted == prediction).all()) else prediction
