"""Models, loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from .answers import Answers, as_answers, check_rows, scores_of
from .problems import RefusedError, blamed
from .tables import Rows, need_columns, plain


class Model(Protocol):
    """A loaded model."""

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The classes that it says it knows."""

    def answer(self, rows: pd.DataFrame) -> Answers:
        """Its answers to n rows without truth."""

    def serve(self, rows: pd.DataFrame) -> object:
        """One call as a server would make it: what is timed."""


@dataclass(frozen=True)
class OwnModel:
    """A model behind a function of the team's, `f(model_path, rows)`."""

    path: str
    function: Callable[[str, pd.DataFrame], Any]
    labels: tuple[Any, ...] | None
    positive: Any
    classes: tuple[Any, ...] | None = None

    def serve(self, rows: pd.DataFrame) -> object:
        """One call of the function."""
        return self.function(self.path, rows)

    def answer(self, rows: pd.DataFrame) -> Answers:
        """What the function gives, understood."""
        with blamed("`evaluate.predict`"):
            output = self.serve(rows.copy())
        return as_answers(output, len(rows), self.labels, self.positive)


class MlflowModel:
    """A model folder of MLflow's. Probabilities come from the model inside it where that has `predict_proba` and `classes_`."""

    def __init__(self, path: str, rows: Rows, positive: Any) -> None:
        self.pyfunc = load_pyfunc(path)
        with blamed("loading the model"):
            schema = self.pyfunc.metadata.get_input_schema()
        self._columns = rows.columns
        self._labels, self._positive = rows.labels, positive
        self.estimator = self._raw()
        self._inputs = self._expected(schema)

    def _raw(self) -> Any:
        try:
            return self.pyfunc.get_raw_model()
        except Exception:  # The flavor has none, or this MLflow does not know the question.
            return None

    def _expected(self, schema: Any) -> list[tuple[str, str, bool]] | None:
        """Name, type and whether it must be there of each input; None where nothing names them."""
        if schema is not None and schema.has_input_names() and not schema.is_tensor_spec():
            return [(spec.name, getattr(spec.type, "name", ""), getattr(spec, "required", True)) for spec in schema.inputs]
        names = getattr(self.estimator, "feature_names_in_", None)
        return None if names is None else [(str(name), "", True) for name in names]

    @property
    def classes(self) -> tuple[Any, ...] | None:
        """The estimator's `classes_`, where it is a classifier with one target."""
        classes = getattr(self.estimator, "classes_", None)
        return tuple(plain(classes).tolist()) if classes is not None and np.ndim(classes) == 1 else None

    @property
    def inputs(self) -> list[str] | None:
        """The columns that the model looks at; None where nothing names them."""
        return None if self._inputs is None else [name for name, _, _ in self._inputs]

    def prepare(self, rows: pd.DataFrame, name: str) -> pd.DataFrame:
        """The model's inputs, in its order and of the types that its signature names."""
        if self._inputs is None:
            return rows.drop(columns=[self._columns.key, self._columns.target], errors="ignore")
        if self._columns.target in (column for column, _, _ in self._inputs):
            raise RefusedError(
                f"the model asks for `{self._columns.target}`, which it should predict.", "Leave it out of its signature."
            )
        required = [column for column, _, is_required in self._inputs if is_required]
        need_columns(rows, required, "the model needs", name, "Keep the columns that a model needs until it has been replaced.")
        present = [(column, type_) for column, type_, _ in self._inputs if column in rows.columns]
        return pd.DataFrame({column: cast(rows[column], type_) for column, type_ in present}, index=rows.index)

    def serve(self, rows: pd.DataFrame) -> object:
        """One call of MLflow's `predict`, signature and all."""
        return self.pyfunc.predict(rows)

    def answer(self, rows: pd.DataFrame, name: str = "") -> Answers:
        """Predictions, and probabilities where the model gives any."""
        prepared = self.prepare(rows, name)
        classes = self.classes
        with blamed("the model"):
            if hasattr(self.estimator, "predict_proba") and classes is not None and len(classes) > 1:
                prediction, probabilities = self.estimator.predict(prepared), self.estimator.predict_proba(prepared)
                check_rows(len(prediction), len(rows))
                return Answers(plain(np.ravel(prediction)), scores_of(probabilities, classes, self._positive))
            output = self._predict(prepared)
        return as_answers(output, len(rows), self._labels, self._positive)

    def _predict(self, prepared: pd.DataFrame) -> Any:
        try:
            return self.pyfunc.predict(prepared)
        except Exception as error:
            # The signature refuses what the model itself may take; a check of its own tells of that.
            if "schema" not in str(error) or not hasattr(self.estimator, "predict"):
                raise
            return self.estimator.predict(prepared)

    def refusal(self, prepared: pd.DataFrame) -> str:
        """Why a server that follows the signature would refuse these rows; empty where it would not."""
        try:
            self.pyfunc.predict(prepared)
        except Exception as error:
            return " ".join(str(error).split())[:300]
        return ""


def load_pyfunc(path: str) -> Any:
    """The model in a folder, as MLflow's `pyfunc`."""
    with blamed("loading the model"):
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(path, suppress_warnings=True)


def cast(values: pd.Series, type_: str) -> pd.Series:
    """A column in the type that MLflow's signature names, where that loses nothing.

    A whole number that is missing somewhere arrives as a float and stays one; categories stay what they are.
    """
    kind = getattr(values.dtype, "kind", "O")
    if type_ in ("double", "float") and kind in "biuf":
        return values.astype("float64" if type_ == "double" else "float32")
    if type_ in ("long", "integer") and kind in "biuf":
        whole = kind != "f" or bool((np.isfinite(values) & (np.floor(values) == values)).all())
        return values.astype("int64" if type_ == "long" else "int32") if whole and not values.isna().any() else values
    if type_ == "boolean" and kind in "iuf" and bool(values.isin([0, 1]).all()):
        return values.astype(bool)
    if type_ == "string" and kind in "biuf":
        return values.astype(str).where(values.notna(), None)
    if type_ == "datetime" and not isinstance(values.dtype, pd.CategoricalDtype) and kind == "O":
        return pd.to_datetime(values)
    return values
