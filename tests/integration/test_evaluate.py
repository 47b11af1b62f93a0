"""Evaluation through the real command line: real models in real processes, and how it ends when they misbehave."""

from __future__ import annotations

import json
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.training.scoring.folds import check_folds
from modelship.training.scoring.models import MlflowModel
from modelship.training.scoring.problems import RefusedError
from modelship.training.scoring.tables import Columns, Rows, read_rows
from tests.project import Project

CONFIG = """\
model: flight-delay
data: {reference: train.parquet, current: holdout.parquet, target: late, key: id}
train: {run: python train.py, metrics: metrics.json, model: model}
gate:
  slices: [carrier]
  metrics:
    roc_auc: {min: 0.5}
"""

OWN = """\
import numpy as np
import pandas as pd

def predict(path, rows):
    assert "late" not in rows.columns
    score = 1 / (1 + np.exp(2 - rows["distance"] / 500))
    return pd.DataFrame({"prediction": (score >= 0.5).astype(int), "score": score})
"""


def table(rows: int, seed: int) -> pd.DataFrame:
    """Flights of which the longer ones are late more often; every twentieth has no wind."""
    random = np.random.default_rng(seed)
    distance = random.integers(100, 2500, rows)
    late = (random.random(rows) < 1 / (1 + np.exp(2 - distance / 500))).astype(int)
    wind = np.where(random.random(rows) < 0.05, np.nan, random.integers(0, 30, rows))
    carrier = random.choice(["AA", "DL", "EV"], rows)
    return pd.DataFrame({"id": np.arange(rows), "distance": distance, "wind": wind, "carrier": carrier, "late": late})


def save_model(folder: Path, features: list[str], seed: int = 0) -> None:
    """A scikit-learn classifier as MLflow saves it, with a signature."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    rows = table(400, seed)
    text = [name for name in features if name == "carrier"]
    encode = make_column_transformer((OrdinalEncoder(), text), remainder="passthrough")
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=10, random_state=0)).fit(rows[features], rows["late"])
    # As if no wind had been missing: whole numbers, which a server then insists on.
    example = rows.dropna().astype({"wind": "int64"})[features]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of just that.
        signature = infer_signature(example, model.predict(example))
    mlflow.sklearn.save_model(
        model, folder, signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `candidate` and `baseline`, which look at different columns."""
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "candidate", ["distance", "wind", "carrier"])
    save_model(folder / "baseline", ["distance"], seed=7)
    return folder


@pytest.fixture
def flights(project: Project) -> Project:
    """A project with a reference and a current table, and no model yet."""
    project.write("modelship.yaml", CONFIG)
    table(400, 0).to_parquet(project.directory / "train.parquet")
    table(300, 1).to_parquet(project.directory / "holdout.parquet")
    return project


@pytest.fixture
def own(flights: Project) -> Project:
    """A project whose model is a file that a function of the team's understands: quick, without MLflow."""
    flights.write("modelship.yaml", CONFIG + "evaluate: {predict: 'team:predict'}\n")
    flights.write("model", "weights")
    flights.write("team.py", OWN)
    return flights


def configure(project: Project, evaluate: dict[str, Any], **gate: Any) -> None:
    settings = {"predict": "team:predict", **evaluate}
    metrics = {"roc_auc": {"min": 0.5}, **gate.pop("metrics", {})}
    text = CONFIG.partition("gate:")[0]
    project.write("modelship.yaml", f"{text}evaluate: {json.dumps(settings)}\ngate: {json.dumps({'metrics': metrics, **gate})}\n")


def checks(project: Project) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in project.record("evaluate")["checks"]}


def problem(project: Project) -> str:
    """The one line that says why there are no answers."""
    record = project.record("evaluate")
    assert record["status"] == "error"
    (found,) = record["problems"]
    said = f"{found['message']} {found['remedy']}"
    assert "\n" not in said
    return said


def broken(project: Project) -> set[str]:
    return {name for name, check in checks(project).items() if not check["holds"]}


# MLflow models -------------------------------------------------------------------------------------------------------------------


def test_two_mlflow_models_that_look_at_different_columns_are_scored_on_the_same_rows(flights: Project, models: Path) -> None:
    (flights.directory / "model").symlink_to(models / "candidate")
    flights.write("own_metrics.py", "def cost(truth, prediction):\n    return (truth != prediction) * 2.0\n")
    flights.write(
        "modelship.yaml",
        CONFIG
        + "    cost: {max-regression: 0.1, better: lower, function: 'own_metrics:cost'}\n"
        + "evaluate:\n"
        + "  max-model-size: 50MB\n"
        + "  latency: {single-row-p99: 600s, batch-p99: 600s}\n"
        + "  invariance: [{column: carrier, allow: 100%}]\n"
        + "  directional: [{column: distance, change: +50%, expect: not-decrease, allow: 100%}]\n"
        + "  cross-validation: {folds: 3, metric: roc_auc, min: 0.5}\n",
    )

    ran = flights.run("evaluate", "--baseline-model", str(models / "baseline"))

    assert ran.exit_code == 0, ran.log
    record = flights.record("evaluate")
    assert broken(flights) == {"signature"}, "a whole number that is missing somewhere is refused by a server"
    assert record["status"] == "warn"
    assert {"finite", "probabilities", "classes", "same answers twice", "same answers in another process"} <= set(checks(flights))
    assert {"single-row p99", "batch p99", "model size", "invariant to carrier", "cross-validated roc_auc"} <= set(checks(flights))
    assert record["latency"]["single-row"]["calls"] >= 10
    batch = record["latency"]["batch"]
    assert batch["rows"] == 1000
    # Fewer than 20 calls only where these took the five seconds that there are for them.
    assert batch["calls"] == 20 or (10 <= batch["calls"] < 20 and batch["calls"] * batch["p99"] > 0.9 * 5000)

    truth = table(300, 1)
    answers = {}
    for role in ("candidate", "baseline"):
        scored = record[role]
        file = flights.directory / ".modelship" / scored["predictions"]["path"]
        assert scored["predictions"]["hash"] == f"sha256:{digest_folder(file)}"
        assert scored["digest"] == digest_folder(models / role)
        frame = answers[role] = pd.read_parquet(file)
        assert list(frame.columns) == ["id", "truth", "prediction", "score", "carrier"]
        assert frame["id"].tolist() == truth["id"].tolist()
        assert frame["truth"].tolist() == truth["late"].tolist()
        assert ((frame["score"] >= 0.5).astype(int) == frame["prediction"]).all()
    assert (answers["candidate"]["score"] != answers["baseline"]["score"]).any()
    costs = {role: 2 * float((frame["truth"] != frame["prediction"]).mean()) for role, frame in answers.items()}
    found = record["functions"]["cost"]
    assert {role: found[role] for role in costs} == pytest.approx(costs)
    assert found["low"] <= costs["candidate"] - costs["baseline"] <= found["high"]
    assert ran.outputs["evidence-digest"] == RunDirectory(flights.directory / ".modelship").digest()


def test_a_column_that_the_baseline_needs_and_that_is_gone_is_named(flights: Project, models: Path) -> None:
    (flights.directory / "model").symlink_to(models / "baseline")
    table(300, 1).drop(columns=["wind", "carrier"]).to_parquet(flights.directory / "holdout.parquet")

    ran = flights.run("evaluate", "--baseline-model", str(models / "candidate"))

    assert ran.exit_code == 2, ran.log
    assert problem(flights).startswith("the baseline: the model needs `wind`, `carrier`, which `holdout.parquet` lacks.")


def test_a_model_that_is_not_the_one_that_was_trained_is_refused(own: Project) -> None:
    own.write("train.py", "import pathlib\npathlib.Path('metrics.json').write_text('{\"roc_auc\": 0.7}')\n")
    assert own.run("train").exit_code == 0
    assert own.run("evaluate").exit_code == 0
    own.write("model", "other weights")

    assert own.run("evaluate").exit_code == 2
    assert "is not the model that `modelship train` recorded" in problem(own)


# Checks --------------------------------------------------------------------------------------------------------------------------


def test_a_sound_model_of_the_teams_own_passes(own: Project) -> None:
    ran = own.run("evaluate")
    assert ran.exit_code == 0, ran.log
    record = own.record("evaluate")
    assert record["status"] == "pass"
    assert record["baseline"] is None
    assert record["rows"] == 300
    assert record["python"].startswith("3.")
    assert "only the candidate" in record["notices"][0]
    assert ran.outputs["summary"].startswith("candidate scored on 300 rows")
    assert "✓ finite" in ran.log


@pytest.mark.parametrize(
    ("code", "fails"),
    [
        (
            "score = score + np.random.default_rng().random(len(rows)) * 1e-6",
            {"same answers twice", "same answers in another process"},
        ),
        ("import os; score = score * 0 + (os.getpid() % 1000) / 1000", {"same answers in another process"}),
        ("score[7] = np.nan", {"finite"}),
        ("score[7] = np.inf", {"finite", "probabilities"}),
        ("score = score + 1", {"probabilities"}),
        ("return pd.DataFrame({'prediction': [2] * len(rows), 'score': score})", {"classes"}),
        ("return pd.DataFrame({'prediction': ['late'] * len(rows), 'score': score})", {"classes"}),
    ],
)
def test_what_a_model_does_not_hold_blocks(own: Project, code: str, fails: set[str]) -> None:
    own.write("team.py", OWN.replace("    return", f"    {code}\n    return", 1))

    ran = own.run("evaluate")

    assert ran.exit_code == 1, ran.log
    assert broken(own) == fails
    record = own.record("evaluate")
    assert record["status"] == "fail"
    assert not record["checks"][0]["holds"], "what does not hold comes first"
    assert record["checks"][0]["name"] in record["summary"]


def test_tolerance_forgives_small_differences(own: Project) -> None:
    own.write(
        "team.py", OWN.replace("    return", "    score = score * (1 - np.random.default_rng().random(len(rows)) * 1e-7)\n    return")
    )
    configure(own, {"tolerance": 1e-6})
    assert own.run("evaluate").exit_code == 0


def test_expectations_and_budgets(own: Project) -> None:
    own.write(
        "team.py",
        OWN.replace("score = 1", "import time; time.sleep(0.003)\n    score = (rows['carrier'] == 'EV') * 0.1 + 0.9").replace(
            "2 - rows", "2 - 0 * rows"
        ),
    )
    configure(
        own,
        {
            "latency": {"single-row-p50": "1ms", "batch-p99": "600s"},
            "max-model-size": "2B",
            "invariance": [{"column": "carrier", "of": "score"}, {"column": "wind", "values": [0, 30]}],
            "directional": [
                {"column": "distance", "change": 100, "expect": "increase", "severity": "warning"},
                {"column": "distance", "change": "+10%", "expect": "not-increase"},
            ],
        },
    )

    ran = own.run("evaluate")

    assert ran.exit_code == 1, ran.log
    assert {name for name in broken(own) if name != "probabilities"} == {
        "single-row p50",
        "model size",
        "invariant to carrier",
        "distance +100 must increase score",
    }
    assert checks(own)["distance +100 must increase score"]["severity"] == "warning"
    assert checks(own)["model size"]["observed"] == "7 B"


# Without answers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "raise ValueError('no such\\ncolumn')",
            "the candidate: `evaluate.predict` raised ValueError: no such column. The log has the trace.",
        ),
        ("import os; print('last words', flush=True); os._exit(7)", "the candidate: its process ended with exit status 7."),
        ("import os; os._exit(0)", "the candidate: its process ended without answers."),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "Most likely there was not enough memory."),
        ("return score[:5]", "the model gives 5 answers to 300 rows."),
        ("return np.zeros((len(rows), 3))", "the model answers with 3 numbers a row; the number of classes is 2."),
        ("open('.modelship/train.json', 'w').write('{}')", "the candidate wrote into the run directory."),
    ],
)
def test_a_model_that_gives_no_answers_exits_2_and_says_why(own: Project, code: str, says: str) -> None:
    (own.directory / ".modelship").mkdir()
    own.write("team.py", OWN.replace("    score =", f"    score = rows['distance']\n    {code}\n    score =", 1))

    ran = own.run("evaluate")

    assert ran.exit_code == 2, ran.log
    assert says in problem(own)
    assert ("last words" in own.record("evaluate")["log-tail"]) == ("last words" in code)


def test_a_failed_evaluation_leaves_no_older_predictions(own: Project) -> None:
    assert own.run("evaluate").exit_code == 0
    predictions = own.directory / ".modelship" / own.record("evaluate")["candidate"]["predictions"]["path"]
    assert predictions.is_file()
    own.write("team.py", "raise SystemExit(1)")
    assert own.run("evaluate").exit_code == 2
    assert not predictions.exists()


@pytest.mark.parametrize(
    ("answer", "says"),
    [({}, "ended without predictions"), ({"file": "evaluate-candidate.csv"}, "left checks out")],
)
def test_a_model_whose_code_answers_in_its_own_name_is_refused(own: Project, answer: dict[str, str], says: str) -> None:
    own.write(
        "team.py",
        "import json, os, sys\n"
        "task = json.load(open(sys.argv[2]))\n"
        "open(task['folder'] + '/evaluate-candidate.csv', 'w').write('id,truth,prediction')\n"
        f"open(task['result'], 'w').write({json.dumps(answer)!r})\n"
        "os._exit(0)\n",
    )
    assert own.run("evaluate").exit_code == 2
    assert says in problem(own)


def test_a_model_that_hangs_is_stopped(own: Project) -> None:
    own.write("team.py", OWN.replace("    score =", "    import time; time.sleep(300)\n    score =", 1))

    ran = own.run("evaluate", "--timeout", "6s")

    assert ran.exit_code == 2, ran.log
    assert problem(own).startswith("the candidate: stopped after 6s")


def test_endless_output_is_cut(own: Project) -> None:
    own.write("team.py", OWN.replace("    score =", "    print('x' * 3_000_000)\n    score =", 1))
    ran = own.run("evaluate")
    assert ran.exit_code == 0
    assert len(ran.log) < 3_500_000
    assert "(more output is not shown)" in ran.log


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--model-path", "nowhere", "`train.model` is `nowhere`, which does not exist."),
        ("--current", "nowhere.csv", "`data.current` is `nowhere.csv`, which does not exist."),
        ("--baseline-model", "nowhere", "the baseline model does not exist."),
        ("--key", "flight", "`data.key` is `flight`, which `holdout.parquet` lacks."),
        ("--target", "delay", "lacks. It has `id`, `distance`, `wind`, `carrier`, `late`."),
        ("--target", "lat", "`data.target` is `lat`, which `holdout.parquet` lacks. Did you mean `late`?"),
        ("--key", "carrier", "297 rows repeat a `carrier`."),
        ("--predict", "nothing:f", "there is no module `nothing`."),
        ("--predict", "team:f", "`team` has no function `f`."),
        ("--python", "/nowhere/python", "the interpreter `/nowhere/python` did not answer."),
        ("--invariance", "[{column: no}]", "`evaluate.invariance (no)` is `no`, which `holdout.parquet` lacks."),
        ("--invariance", "[{column: late}]", "it is the key or the target"),
        ("--directional", "[{column: carrier, change: 1, expect: increase}]", "it is not a column of numbers."),
        ("--cross-validation", "{metric: roc_auc}", "an estimator that MLflow loads."),
    ],
)
def test_bad_input_exits_2_with_one_line(own: Project, option: str, value: str, says: str) -> None:
    ran = own.run("evaluate", option, value)
    assert ran.exit_code == 2, ran.log
    assert says in problem(own)


def test_a_folder_that_mlflow_did_not_write_is_refused(flights: Project) -> None:
    flights.write("model/weights", "x")
    assert flights.run("evaluate").exit_code == 2
    assert "is no MLflow model folder" in problem(flights)


def test_the_models_process_sees_the_teams_variables_and_none_of_ours(own: Project) -> None:
    own.write(
        "team.py",
        OWN.replace("    score =", "    import json, os, sys; json.dump(dict(os.environ), open('seen.json', 'w'))\n    score =", 1),
    )
    ran = own.run("evaluate", VIRTUAL_ENV="/team/venv", GITHUB_TOKEN="canary", MODELSHIP_EVALUATE_TIMEOUT="9m")
    assert ran.exit_code == 0, ran.log
    seen = json.loads((own.directory / "seen.json").read_text())
    assert seen["VIRTUAL_ENV"] == "/team/venv"
    assert "canary" not in seen.values()
    assert not [name for name in seen if name.startswith("MODELSHIP_")]


# A team's own metrics ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise KeyError('x')", "raised KeyError"),
        ("return float('nan')", "gives nan."),
        ("return 'good'", "gives str of shape ()."),
        ("return truth[:3]", "of shape (3,)."),
    ],
)
def test_a_metric_of_the_teams_own_that_gives_no_number_is_bad_input(own: Project, code: str, says: str) -> None:
    own.write("team.py", OWN + f"\ndef metric(truth, prediction, score=None):\n    {code}\n")
    configure(own, {}, metrics={"own": {"min": 0, "better": "higher", "function": "team:metric"}})

    assert own.run("evaluate").exit_code == 2
    found = problem(own)
    assert found.startswith("a metric of your own: `gate.metrics.own.function`")
    assert says in found


def test_metrics_of_the_teams_own_are_resampled_by_group(own: Project) -> None:
    """The baseline is the candidate's own function on other weights."""
    own.write(
        "team.py",
        OWN.replace("score = 1", "weight = float(open(path).read())\n    score = 1").replace("2 - rows", "2 - weight * rows")
        + "\ndef mean_score(truth, prediction, score):\n    return float(score[truth == 1].mean())\n",
    )
    own.write("model", "1.0")
    baseline = own.write("../baseline", "0.5")
    configure(
        own, {}, group="carrier", metrics={"mean_score": {"max-regression": 1, "better": "higher", "function": "team:mean_score"}}
    )

    ran = own.run("evaluate", "--baseline-model", str(baseline))

    assert ran.exit_code == 0, ran.log
    found = own.record("evaluate")["functions"]["mean_score"]
    assert found["method"] == "paired bootstrap, by group"
    assert found["effective-rows"] == 3
    assert 0 < found["low"] <= found["candidate"] - found["baseline"] <= found["high"]
    assert found["standard-error"] > 0


# Models, loaded in this process --------------------------------------------------------------------------------------------------


def loaded(folder: Path, model: Any, rows: pd.DataFrame, target: str, example: pd.DataFrame | None = None) -> tuple[MlflowModel, Rows]:
    """The model as it comes back from MLflow, and the rows that it is to answer; its signature is that of `example`."""
    import mlflow.sklearn
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = None if example is None else infer_signature(example)
    requirements = ["scikit-learn"]
    mlflow.sklearn.save_model(
        model, folder / "model", signature=signature, serialization_format="cloudpickle", pip_requirements=requirements
    )
    rows.to_parquet(folder / "rows.parquet")
    read = read_rows(str(folder / "rows.parquet"), "rows.parquet", Columns("id", target))
    return MlflowModel(str(folder / "model"), read, None), read


def test_probabilities_of_three_classes_are_named_after_them(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = table(200, 3)
    estimator = LogisticRegression(max_iter=1000).fit(rows[["distance"]], rows["carrier"])
    model, read = loaded(tmp_path, estimator, rows, "carrier", rows[["distance"]])

    answers = model.answer(read.features)

    assert list(answers.scores) == ["score_AA", "score_DL", "score_EV"]
    assert np.column_stack(list(answers.scores.values())) == pytest.approx(estimator.predict_proba(rows[["distance"]]))
    assert answers.prediction.tolist() == estimator.predict(rows[["distance"]]).tolist()
    assert model.classes == ("AA", "DL", "EV")


def test_a_regressor_answers_with_numbers_even_where_its_signature_refuses_a_missing_value(tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = table(200, 3)
    features = ["distance", "wind"]
    estimator = HistGradientBoostingRegressor(max_iter=5).fit(rows[features], rows["distance"] * 1.5)
    example = rows[features].dropna().astype("int64")
    model, read = loaded(tmp_path, estimator, rows.assign(price=rows["distance"] * 1.5), "price", example)

    answers = model.answer(read.features)

    assert answers.scores == {}
    assert answers.prediction == pytest.approx(estimator.predict(rows[features]))
    assert "wind" in model.refusal(model.prepare(read.features, "rows"))
    assert model.refusal(model.prepare(read.features.dropna(), "rows")) == ""


def test_without_a_signature_the_estimators_own_columns_are_used(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    rows = table(200, 3)
    estimator = DecisionTreeClassifier(random_state=0).fit(rows[["distance"]], rows["late"])
    model, read = loaded(tmp_path, estimator, rows, "late")
    assert model.inputs == ["distance"]
    assert model.answer(read.features).scores["score"] == pytest.approx(estimator.predict_proba(rows[["distance"]])[:, 1])


def test_a_model_that_asks_for_the_truth_is_refused(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    rows = table(50, 3)
    columns = ["distance", "late"]
    model, read = loaded(tmp_path, DecisionTreeClassifier().fit(rows[columns], rows["late"]), rows, "late", rows[columns])
    with pytest.raises(RefusedError, match="asks for `late`, which it should predict"):
        model.answer(read.features)


@pytest.mark.parametrize(("metric", "is_grouped"), [("roc_auc", False), ("log_loss", False), ("accuracy", True)])
def test_cross_validation_fits_anew(tmp_path: Path, metric: str, is_grouped: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = table(300, 3)
    estimator = LogisticRegression(max_iter=1000).fit(rows[["distance"]], rows["late"])
    model, read = loaded(tmp_path, estimator, rows, "late", rows[["distance"]])
    wanted = {"metric": metric, "folds": 3, "min": 0.4, "max": 0.9, "severity": "warning"}

    found = check_folds(model, rows, read.columns, "carrier" if is_grouped else None, wanted)

    assert found["holds"], found
    assert found["name"] == f"cross-validated {metric}"
    assert found == check_folds(model, rows, read.columns, "carrier" if is_grouped else None, wanted), (
        "folds depend on nothing but the seed"
    )
    assert not check_folds(model, rows, read.columns, None, {**wanted, "min": 0.99, "max": None})["holds"]


def test_cross_validation_of_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = table(50, 3)
    model, read = loaded(tmp_path, LogisticRegression().fit(rows[["distance"]], rows["late"]), rows, "late", rows[["distance"]])
    with pytest.raises(RefusedError, match="`niceness`, which is no scorer"):
        check_folds(
            model, rows, read.columns, None, {"metric": "niceness", "folds": 3, "min": None, "max": None, "severity": "critical"}
        )
