"""The gate where `evaluate` has scored both models on the current rows, and what the baseline once predicted is of others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.project import Project

CONFIG = """\
model: flight-delay
data: {current: holdout.csv, target: late, key: flight_id}
train: {run: python train.py, metrics: metrics.json, predictions: predictions.csv, model: model.json}
evaluate: {predict: "team:predict"}
gate:
  baseline: base
  metrics:
    accuracy: {min: 0.6, max-regression: 0.01}
    log_loss: {max-regression: 1%}
"""

TEAM = """\
import json
from pathlib import Path

import numpy as np
import pandas as pd

def predict(path, rows):
    model = json.loads(Path(path).read_text())
    score = 1 / (1 + np.exp(-rows["wind"] - model["distracted"] * rows["noise"]))
    return pd.DataFrame({"prediction": (score >= 0.5).astype(int), "score": score})
"""

TRAIN = """\
import json
from pathlib import Path

import numpy as np
import pandas as pd

from team import predict

rows = pd.read_csv("holdout.csv")
answers = predict("model.json", rows).assign(flight_id=rows["flight_id"], truth=rows["late"])
answers.to_csv("predictions.csv", index=False)
likelihood = np.where(answers["truth"] == 1, answers["score"], 1 - answers["score"])
accuracy = (answers["truth"] == answers["prediction"]).mean()
Path("metrics.json").write_text(json.dumps({"accuracy": accuracy, "log_loss": -np.log(likelihood).mean()}))
"""

TABLE = 4000


def flights(first: int, last: int = TABLE) -> pd.DataFrame:
    """Those of the flights from `first` to before `last`. Wind makes them late, noise does not."""
    random = np.random.default_rng(0)
    wind = random.normal(0, 2, TABLE)
    late = (random.random(TABLE) < 1 / (1 + np.exp(-wind))).astype(int)
    table = pd.DataFrame({"flight_id": np.arange(TABLE), "wind": wind, "noise": random.normal(0, 1, TABLE), "late": late})
    return table[first:last]


def is_easy(table: pd.DataFrame) -> pd.Series[bool]:
    """Whether anybody gets a flight right."""
    return (table["wind"].abs() > 1) & ((table["wind"] > 0) == (table["late"] == 1))


def accuracy(table: pd.DataFrame, distracted: float = 0) -> float:
    """Of a model on these rows."""
    predicted = table["wind"] + distracted * table["noise"] >= 0
    return float((predicted == (table["late"] == 1)).mean())


def learn(project: Project, distracted: float) -> None:
    """Change the model: the more it is distracted by noise, the worse it is."""
    project.write("model.json", json.dumps({"distracted": distracted}))


def hold_out(project: Project, table: pd.DataFrame) -> None:
    project.write("holdout.csv", table.to_csv(index=False))


@pytest.fixture
def team(project: Project) -> Project:
    """A repository whose base commit, tagged `live`, holds a model and what it predicted of the first flights."""
    for name, text in {"modelship.yaml": CONFIG, "team.py": TEAM, "train.py": TRAIN, ".gitignore": "__pycache__\n"}.items():
        project.write(name, text)
    learn(project, 0)
    hold_out(project, flights(0, 2000))
    subprocess.run([sys.executable, "train.py"], cwd=project.directory, check=True)
    project.commit("A model")
    project.git("tag", "live")
    return project


def judged(project: Project, *, evaluates: bool = True) -> dict[str, Any]:
    """Commit a pull request, take the workflow's steps for it, and return the gate's record."""
    project.pull_request_event(project.git("rev-parse", "HEAD"), project.commit("An idea"))
    fetched = fetch(project) if evaluates else ()
    for arguments in (("train",), ("evaluate", *fetched)) if evaluates else (("train",),):
        ran = project.run(*arguments)
        assert ran.exit_code == 0, ran.log
    return gate(project)


def fetch(project: Project) -> tuple[str, ...]:
    """Fetch the baseline's model, and return what the evaluation is told of it."""
    ran = project.run("evaluate", "--fetch-baseline", "true", "--baseline-model", str(project.directory.parent / "baseline"))
    assert ran.exit_code == 0, ran.log
    return ("--baseline-model", ran.outputs["baseline-model"], "--baseline-digest", ran.outputs["baseline-digest"])


def gate(project: Project) -> dict[str, Any]:
    """The gate's record of what stands in the run directory."""
    ran = project.run("metric-gate")
    return {**project.record("metric-gate"), "exit-code": ran.exit_code}


def verdict(record: dict[str, Any], metric: str = "accuracy") -> dict[str, Any]:
    (found,) = (verdict for verdict in record["metrics"] if verdict["metric"] == metric)
    return dict(found)


@pytest.mark.parametrize("baseline", ["base", "git:live"])
def test_a_baseline_of_an_older_holdout_is_held_against_the_current_rows(team: Project, baseline: str) -> None:
    current = flights(1500, 3500)
    hold_out(team, current)
    team.write("modelship.yaml", CONFIG.replace("baseline: base", f"baseline: {baseline}"))
    team.commit("The holdout moves on")
    learn(team, 1)

    record = judged(team)

    found = verdict(record)
    assert record["rows"] == 2000
    told = "The baseline was scored anew: its recorded predictions are of other rows (1,500 rows new, 1,500 rows gone)."
    assert told in record["notices"]
    assert found["baseline"] == pytest.approx(accuracy(current), abs=1e-12)
    assert found["candidate"] == pytest.approx(accuracy(current, distracted=1), abs=1e-12)
    assert (found["state"], found["reason"], found["proven"]) == ("fail", "worse", True)


def test_without_evaluation_other_rows_are_bad_input_that_says_what_to_do(team: Project) -> None:
    hold_out(team, flights(1500, 3500))
    team.commit("The holdout moves on")
    learn(team, 1)
    record = judged(team, evaluates=False)
    assert (record["exit-code"], record["status"]) == (2, "error")
    (problem,) = record["problems"]
    assert "1,500 rows only here" in problem["message"]
    assert problem["remedy"] == "Score both models on the same rows."


def test_a_worse_model_gains_nothing_by_an_easier_holdout(team: Project) -> None:
    easier = flights(0, 2000)[is_easy]
    hold_out(team, easier)
    learn(team, 1)
    assert accuracy(easier, distracted=1) > accuracy(flights(0, 2000)), "two numbers alone would call it better"

    record = judged(team)

    found = verdict(record)
    assert record["exit-code"] == 1
    assert record["findings"][0]["text"] == f"edits the holdout `holdout.csv`: {2000 - len(easier)} rows gone"
    assert found["baseline"] == 1
    assert found["candidate"] == pytest.approx(accuracy(easier, distracted=1), abs=1e-12)
    assert (found["state"], found["reason"]) == ("fail", "worse")


def test_training_that_leaves_out_hard_rows_is_judged_on_all_of_them(team: Project) -> None:
    choose = 'rows = rows[(rows["wind"].abs() > 1) & ((rows["wind"] > 0) == (rows["late"] == 1))]\n'
    team.write("train.py", TRAIN.replace("answers =", f"{choose}answers =", 1))
    team.write("modelship.yaml", CONFIG.replace("min: 0.6", "min: 0.9"))
    team.commit("A stricter limit")
    learn(team, 0.01)

    record = judged(team)

    everything = flights(0, 2000)
    found = verdict(record)
    assert record["rows"] == 2000
    gone = 2000 - int(is_easy(everything).sum())
    assert record["findings"][0]["text"] == f"predicts other rows than the baseline: {gone} rows gone"
    assert found["candidate"] == pytest.approx(accuracy(everything, distracted=0.01), abs=1e-12)
    assert (found["state"], found["reason"]) == ("fail", "below 0.9")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("baseline.write_text('{\"distracted\": 9}')", "is not the baseline model that was fetched"),
        ("baseline.unlink()", "the baseline model does not exist."),
    ],
)
def test_training_that_changes_the_fetched_baseline_is_refused(team: Project, code: str, says: str) -> None:
    baseline = team.directory.parent / "baseline"
    team.write("train.py", f"{TRAIN}\nbaseline = Path({str(baseline)!r})\n{code}\n")
    team.pull_request_event(team.git("rev-parse", "HEAD"), team.commit("An idea"))
    fetched = fetch(team)
    assert fetched[1] == str(baseline)
    assert team.run("train").exit_code == 0
    assert team.run("evaluate", *fetched).exit_code == 2
    record = team.record("evaluate")
    assert record["status"] == "error"
    assert says in record["summary"]


def test_a_digest_of_no_baseline_is_refused(team: Project) -> None:
    assert team.run("evaluate", "--baseline-digest", "0" * 64).exit_code == 2
    assert "there is a digest of a baseline model, and no baseline model." in team.record("evaluate")["summary"]


def tampered(team: Project, config: str, *, learns: float = 0.1) -> dict[str, Any]:
    """The gate's record of a pull request whose baseline answers otherwise than what git holds of it."""
    learn(team, learns)
    team.write("modelship.yaml", config)
    team.pull_request_event(team.git("rev-parse", "HEAD"), team.commit("An idea"))
    model = fetch(team)[1]
    Path(model).write_text('{"distracted": 5}')
    for arguments in (("train",), ("evaluate", "--baseline-model", model)):
        ran = team.run(*arguments)
        assert ran.exit_code == 0, ran.log
    return gate(team)


def others(distracted: float = 5) -> pd.Series[bool]:
    """Which of the first flights the tampered baseline answers otherwise."""
    table = flights(0, 2000)
    before, after = (1 / (1 + np.exp(-table["wind"] - by * table["noise"])) for by in (0, distracted))
    return (before - after).abs() > 1e-3


def finding() -> str:
    first = ", ".join(map(str, np.flatnonzero(others())[:3]))
    return f"scores a baseline that answers {others().sum():,} of 2,000 rows otherwise than it once did, such as {first}"


def test_a_baseline_that_answers_otherwise_than_git_holds_needs_approval(team: Project) -> None:
    record = tampered(team, WITHOUT_PREDICTIONS)
    assert verdict(record)["reason"] == "better", "which it is not"
    assert record["findings"][0] == {"kind": "baseline", "text": finding(), "needs-approval": True}
    assert (record["exit-code"], record["approval"]["given"]) == (1, False)


def test_a_metric_of_the_teams_own_counts_on_the_baselines_answers_too(team: Project) -> None:
    team.write("cost.py", "def cost(truth, prediction):\n    return (truth != prediction) * 2.0\n")
    own = CONFIG.partition("  metrics:")[0] + "  metrics:\n    cost: {function: 'cost:cost', better: lower, max-regression: 0.1}\n"
    team.write("modelship.yaml", own)
    team.commit("A metric of our own")
    assert [each["text"] for each in tampered(team, own)["findings"]] == [finding()]


def test_where_the_recorded_predictions_are_compared_the_scored_baseline_does_not_count(team: Project) -> None:
    record = tampered(team, CONFIG)
    assert record["findings"] == []
    assert verdict(record)["baseline"] == pytest.approx(accuracy(flights(0, 2000)), abs=1e-12)


def test_a_baseline_that_was_recorded_on_an_older_holdout_is_not_held_to_it(team: Project) -> None:
    hold_out(team, flights(0, 2000).assign(wind=lambda table: table["wind"] * 2))
    team.write("modelship.yaml", CONFIG.replace("baseline: base", "baseline: git:live"))
    team.commit("The wind is measured anew")
    team.write("modelship.yaml", WITHOUT_PREDICTIONS)
    assert [each["kind"] for each in judged(team)["findings"]] == ["baseline", "policy"]


# Training that records no predictions --------------------------------------------------------------------------------------------

WITHOUT_PREDICTIONS = CONFIG.replace(", predictions: predictions.csv", "")
BOTH = "Both models are judged by what `evaluate` scored: training recorded no predictions."
CANDIDATE = "The candidate is judged by what `evaluate` scored: training recorded no predictions."


@pytest.fixture
def laconic(team: Project) -> Project:
    """A team whose training reports metrics alone."""
    team.write("modelship.yaml", WITHOUT_PREDICTIONS + "  slices: [band]\n")
    hold_out(team, flights(0, 2000).assign(band=lambda table: np.where(table["wind"] > 0, "strong", "weak")))
    team.commit("Slices")
    return team


def test_what_was_scored_stands_for_predictions(laconic: Project) -> None:
    learn(laconic, 1)

    record = judged(laconic)

    found = verdict(record)
    assert (record["exit-code"], record["paired"], record["rows"], record["notices"][0]) == (1, True, 2000, BOTH)
    assert found["baseline"] == pytest.approx(accuracy(flights(0, 2000)), abs=1e-12)
    assert found["candidate"] == pytest.approx(accuracy(flights(0, 2000), distracted=1), abs=1e-12)
    assert (found["state"], found["reason"], found["proven"], found["recomputed"]) == ("fail", "worse", True, True)
    assert {each["slice"]["band"] for each in record["slices"]["verdicts"]} == {"strong", "weak"}
    assert record["flips"]["newly-wrong"] > record["flips"]["newly-right"] > 0
    assert record["findings"] == []


def test_a_reported_metric_that_the_saved_model_contradicts_is_an_error_that_shows_both(laconic: Project) -> None:
    laconic.write("train.py", TRAIN.replace('"accuracy": accuracy', '"accuracy": 0.99'))
    record = judged(laconic)
    (problem,) = record["problems"]
    assert record["exit-code"] == 2
    true = accuracy(flights(0, 2000))
    assert (
        problem["message"]
        == f"`accuracy` is 0.99 as training reported it, and {true:.8g} by what `evaluate` scored with the saved model."
    )


def test_metrics_that_nothing_scored_gives_stay_as_reported(laconic: Project) -> None:
    laconic.write("train.py", TRAIN.replace('"accuracy": accuracy', '"validation.accuracy": 0.99'))
    laconic.write(
        "modelship.yaml", WITHOUT_PREDICTIONS.partition("  metrics:")[0] + "  metrics:\n    validation.accuracy: {min: 0.6}\n"
    )
    laconic.write("metrics.json", '{"validation.accuracy": 0.99}')
    laconic.commit("Another metric")
    record = judged(laconic)
    found = verdict(record, "validation.accuracy")
    assert (record["exit-code"], found["candidate"], found["recomputed"]) == (0, 0.99, False)
    assert BOTH not in record["notices"]


def test_the_candidate_alone_is_held_against_what_the_baseline_predicted(team: Project) -> None:
    base = team.git("rev-parse", "HEAD")
    learn(team, 1)
    team.write("modelship.yaml", WITHOUT_PREDICTIONS)
    team.pull_request_event(base, team.commit("An idea"))
    for command in ("train", "evaluate"):
        ran = team.run(command)
        assert ran.exit_code == 0, ran.log
    record = gate(team)
    found = verdict(record)
    assert CANDIDATE in record["notices"]
    assert [finding["text"] for finding in record["findings"]] == ["changes `train.predictions`: predictions.csv → none"]
    assert found["baseline"] == pytest.approx(accuracy(flights(0, 2000)), abs=1e-12)
    assert (found["state"], found["reason"], found["proven"]) == ("fail", "worse", True)


def test_a_changed_holdout_is_told_in_rows_where_the_baseline_has_predictions(team: Project) -> None:
    hold_out(team, flights(500, 2500))
    team.write("modelship.yaml", WITHOUT_PREDICTIONS)
    record = judged(team)
    assert [finding["text"] for finding in record["findings"]] == [
        "edits the holdout `holdout.csv`: 500 rows new, 500 rows gone",
        "changes `train.predictions`: predictions.csv → none",
    ]
    assert verdict(record)["baseline"] == pytest.approx(accuracy(flights(500, 2500)), abs=1e-12)


# Models that nobody trained here -------------------------------------------------------------------------------------------------

MODELS = """\
model: flight-delay
data: {current: holdout.csv, target: late, key: flight_id}
train: {model: model.json}
evaluate: {predict: "team:predict"}
gate:
  metrics:
    accuracy: {max-regression: 0.01}
"""


def scored(project: Project, distracted: float, config: str = MODELS) -> None:
    """Two saved models, of which `evaluate` has scored both."""
    project.write("old.json", (project.directory / "model.json").read_bytes())
    project.write("modelship.yaml", config)
    learn(project, distracted)
    project.commit("Two models")
    ran = project.run("evaluate", "--baseline-model", "old.json")
    assert ran.exit_code == 0, ran.log


@pytest.mark.parametrize(("baseline", "label"), [("base", "base "), ("git:live", "live "), ("none", "old.json")])
def test_two_saved_models_are_judged_without_training(team: Project, baseline: str, label: str) -> None:
    scored(team, 1, MODELS.replace("gate:", f"gate:\n  baseline: {baseline}"))
    record = gate(team)
    found = verdict(record)
    assert record["exit-code"] == 1, record["summary"]
    assert record["baseline"]["label"].startswith(label)
    assert record["notices"] == [BOTH]
    assert found["baseline"] == pytest.approx(accuracy(flights(0, 2000)), abs=1e-12)
    assert found["candidate"] == pytest.approx(accuracy(flights(0, 2000), distracted=1), abs=1e-12)
    assert (found["state"], found["proven"]) == ("fail", True)


def test_a_model_that_is_as_good_passes_without_training(team: Project) -> None:
    scored(team, 0)
    record = gate(team)
    assert (record["exit-code"], record["status"], verdict(record)["reason"]) == (0, "pass", "same")


@pytest.mark.parametrize(
    ("limit", "answers", "says"),
    [
        ("cost: {max-regression: 0.1, better: lower}", "", "`cost` is not in the candidate's metrics."),
        ("acuracy: {min: 0.1, better: higher}", "", "`acuracy` is not in the candidate's metrics. Did you mean `accuracy`?"),
        ("roc_auc: {min: 0.5}", '[["prediction"]]', "`roc_auc` needs the column `score`, which the candidate's predictions lack."),
        ("rmse: {max: 9}", "", "`accuracy` is for classes and `rmse` for numbers."),
    ],
)
def test_a_metric_that_what_was_scored_does_not_give_is_no_pass(team: Project, limit: str, answers: str, says: str) -> None:
    team.write("team.py", TEAM.replace('"score": score})', f'"score": score}}){answers}'))
    scored(team, 0, f"{MODELS}    {limit}\n")
    record = gate(team)
    assert (record["exit-code"], record["status"]) == (2, "error")
    assert [f"{problem['message']} {problem['remedy']}".startswith(says) for problem in record["problems"]] == [True]


def test_an_evaluation_of_another_commit_is_refused(team: Project) -> None:
    scored(team, 0)
    team.commit("Another one")
    record = gate(team)
    assert record["exit-code"] == 2
    assert "the evaluation record speaks of commit" in record["summary"]


def test_an_evaluation_that_failed_leaves_nothing_to_judge(team: Project) -> None:
    team.write("team.py", "def predict(path, rows):\n    raise RuntimeError('no')\n")
    team.write("modelship.yaml", MODELS)
    assert team.run("evaluate").exit_code == 2
    record = gate(team)
    assert record["exit-code"] == 2
    assert record["summary"].startswith("there is nothing to judge: evaluation failed.")


def test_without_any_record_the_gate_says_what_to_run(team: Project) -> None:
    record = gate(team)
    assert record["exit-code"] == 2
    assert "Run `modelship train` or `modelship evaluate` first" in record["summary"]
