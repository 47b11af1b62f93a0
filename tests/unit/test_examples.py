"""Examples: what a server is sent and answers, written and read."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelship.core.errors import BadInput
from modelship.core.examples import MAX_EXAMPLES_BYTES, MOST_EXAMPLES, read_examples
from modelship.training.scoring import serving
from modelship.training.scoring.models import MlflowModel, OwnModel
from modelship.training.scoring.problems import RefusedError
from modelship.training.scoring.tables import Columns, read_rows


def written(data: Any, predictions: Any, columns: Any = ("a", "b")) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": data}, "predictions": predictions}).encode()


def test_examples_are_sent_as_a_server_takes_them() -> None:
    found = read_examples(written([[1, None], ["x", 0.1]], [1, {"p": [0.5]}]), "examples.json")
    assert json.loads(found.request()) == {"dataframe_split": {"columns": ["a", "b"], "data": [[1, None], ["x", 0.1]]}}
    assert found.predictions == (1, {"p": [0.5]})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "holds no examples"),
        (b"\xff", "holds no examples"),
        (b"[" * 100_000, "holds no examples"),
        (written([[1, 2]], [1, 2]), "not one prediction for each row"),
        (written([[1]], [1]), "not one value for each column"),
        (written([], []), "length"),
        (written([[]], [1], []), "length"),
        (written([[1, 2]] * (MOST_EXAMPLES + 1), [1] * (MOST_EXAMPLES + 1)), "length"),
        (written([[1, {"a": 1}]], [1]), "data"),
        (written([[1, 2]], [1])[:-1] + b', "more": 1}', "unknown field"),
        (b" " * (MAX_EXAMPLES_BYTES + 1), "is larger than 4 MiB"),
    ],
)
def test_what_is_no_examples_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says) as raised:
        read_examples(raw, "examples.json")
    assert raised.value.problems[0].path == "examples.json"


# What a server would answer ------------------------------------------------------------------------------------------------------


def table(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "x": random.normal(size=rows) / 3,
            "wind": np.where(np.arange(rows) % 5 == 0, np.nan, 7.0),
            "when": pd.Timestamp("2013-01-01 10:00") + pd.to_timedelta(np.arange(rows), "h"),
            "late": np.arange(rows) % 2,
        }
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = table(200)
    classifier = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2).fit(rows[["x", "wind"]], rows["late"])
    signature = infer_signature(rows[["x", "wind"]], classifier.predict(rows[["x", "wind"]]))
    mlflow.sklearn.save_model(
        classifier, tmp_path / "model", signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    return tmp_path / "model"


def loaded(model: Path, folder: Path, rows: pd.DataFrame) -> tuple[MlflowModel, Any]:
    rows.to_parquet(folder / "rows.parquet")
    read = read_rows(str(folder / "rows.parquet"), "rows.parquet", Columns("id", "late"))
    return MlflowModel(str(model), read, None), read


def test_examples_are_what_the_model_says_of_its_inputs(model: Path, tmp_path: Path) -> None:
    found, rows = loaded(model, tmp_path, table(200))
    first = serving.examples(found, rows)
    examples = read_examples(json.dumps(first).encode(), "examples.json")
    assert examples.dataframe_split.columns == ("x", "wind")
    assert len(examples.predictions) == MOST_EXAMPLES
    assert any(row[1] is None for row in examples.dataframe_split.data)
    frame = pd.DataFrame(first["dataframe_split"]["data"], columns=["x", "wind"], dtype=float)
    assert found.estimator.predict(frame).tolist() == first["predictions"]
    assert set(frame["x"]) <= set(rows.table["x"]), "to the last digit"
    assert serving.examples(found, rows) == first


def test_a_few_rows_are_all_taken_in_their_order(model: Path, tmp_path: Path) -> None:
    found, rows = loaded(model, tmp_path, table(3))
    assert [row[0] for row in serving.examples(found, rows)["dataframe_split"]["data"]] == rows.table["x"].tolist()


def test_a_model_that_mlflow_does_not_load_has_none(tmp_path: Path) -> None:
    table(3).to_parquet(tmp_path / "rows.parquet")
    rows = read_rows(str(tmp_path / "rows.parquet"), "rows.parquet", Columns("id", "late"))
    with pytest.raises(RefusedError, match=r"`evaluate\.predict` does"):
        serving.examples(OwnModel("model", lambda _, frame: frame["x"], None, None), rows)


def test_an_infinite_number_cannot_be_sent(model: Path, tmp_path: Path) -> None:
    found, rows = loaded(model, tmp_path, table(3).assign(x=np.inf))
    with pytest.raises(RefusedError, match="infinite"):
        serving.examples(found, rows)


def test_values_become_what_json_holds() -> None:
    frame = pd.DataFrame(
        {
            "n": np.array([1, 2], dtype="int64"),
            "f": np.array([0.1, np.nan], dtype="float32"),
            "b": [True, False],
            "s": pd.Series(["ö", None], dtype=object),
            "t": pd.to_datetime(["2013-01-01", None]),
            "c": pd.Categorical(["u", "v"]),
            "i": pd.array([1, None], dtype="Int64"),
        }
    )
    assert serving.split(frame) == {
        "columns": list("nfbstci"),
        "data": [
            [1, float(np.float32(0.1)), True, "ö", "2013-01-01T00:00:00", "u", 1],
            [2, None, False, None, None, "v", None],
        ],
    }
    with pytest.raises(RefusedError, match="a row holds a Decimal"):
        serving.split(pd.DataFrame({"d": [Decimal(1)]}))


class Answering:
    """A loaded model of MLflow's that answers as it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.metadata = self

    def get_input_schema(self) -> None:
        return None

    def get_params_schema(self) -> None:
        return None

    def predict(self, rows: pd.DataFrame) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(rows)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda rows: np.zeros(len(rows) + 1), "one prediction for each row"),
        (lambda rows: "all is well", "one prediction for each row"),
        (ValueError("no"), "server"),
    ],
)
def test_a_model_that_could_not_serve_has_none(answer: Any, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        serving.served(Answering(answer), {"columns": ["a"], "data": [[1], [2]]})


def test_what_a_server_would_answer_for_several_outputs() -> None:
    answering = Answering(lambda rows: pd.DataFrame({"low": rows["a"], "high": rows["a"] + 1}))
    assert serving.served(answering, {"columns": ["a"], "data": [[1], [2]]}) == [{"low": 1, "high": 2}, {"low": 2, "high": 3}]
