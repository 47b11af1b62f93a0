"""The gate on predictions, through the real command line: folders without git, intervals, bad input, changed holdouts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sklearn_metrics

from tests.project import Project

ROWS = 4_000
CONFIG = """\
model: flight-delay
data: {key: flight_id, target: late, current: holdout.csv}
train: {run: python train.py, metrics: metrics.json, predictions: predictions.parquet}
gate:
  baseline: base
  metrics:
    roc_auc: {min: 0.5, max-regression: 0.005}
    log_loss: {max-regression: 1%}
    accuracy: {max-regression: 0.01}
  slices: [carrier]
"""

Columns = dict[str, Any]


def predictions(*, noise: float = 0.3, worse_for: str = "", harm: float = 2.0, seed: int = 1, rows: int = ROWS) -> Columns:
    """A model's answers to flights that are the same whatever the model."""
    world = np.random.default_rng(0)
    truth = world.integers(0, 2, rows)
    evidence = (truth - 0.5) * 1.5 + world.normal(0, 1, rows)
    carrier = world.choice(["AA", "DL", "EV", "UA"], rows)
    model = np.random.default_rng(seed)
    logit = evidence + noise * model.normal(0, 1, rows) + harm * (carrier == worse_for) * model.normal(0, 1, rows)
    score = 1 / (1 + np.exp(-logit))
    return {
        "flight_id": np.arange(rows),
        "truth": truth,
        "prediction": (score >= 0.5).astype(int),
        "score": score,
        "carrier": carrier,
    }


def reported(columns: Columns) -> dict[str, float]:
    truth, score = columns["truth"], columns["score"]
    return {
        "roc_auc": float(sklearn_metrics.roc_auc_score(truth, score)),
        "log_loss": float(sklearn_metrics.log_loss(truth, score)),
        "accuracy": float(sklearn_metrics.accuracy_score(truth, columns["prediction"])),
    }


def write(folder: Path, columns: Columns, *, metrics: Mapping[str, Any] | None = None, suffix: str = ".parquet") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if suffix == ".parquet":
        pq.write_table(table, folder / "predictions.parquet")
    else:
        pyarrow.csv.write_csv(table, folder / f"predictions{suffix}")
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A folder that is no repository."""
    project = Project(tmp_path / "work")
    project.write("modelship.yaml", CONFIG)
    return project


def judged(project: Project, *arguments: str, config: str | None = None) -> tuple[int, dict[str, Any]]:
    if config:
        project.write("modelship.yaml", config)
    ran = project.run("metric-gate", "--candidate", "candidate", "--baseline", "file:baseline", *arguments)
    assert "Traceback" not in ran.log, ran.log
    return ran.exit_code, project.record("metric-gate")


def verdicts(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {verdict["metric"]: verdict for verdict in record["metrics"]}


def test_a_column_to_show_that_is_in_no_file_is_refused(bare: Project) -> None:
    write(bare.directory / "baseline", predictions(seed=1))
    write(bare.directory / "candidate", predictions(seed=2))
    for shown, code in (("[carier]", 2), ("[carrier, flight_id]", 0)):
        exit_code, record = judged(bare, config=CONFIG + f"  show: {shown}\n")
        assert exit_code == code, record["summary"]
        if code:
            (problem,) = record["problems"]
            assert problem["message"] == "has no column `carier`, which `gate.show` names."
            assert problem["remedy"] == "Did you mean `carrier`?"


# Folders -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("with_metrics", [True, False])
def test_a_worse_candidate_fails_without_git_github_or_mlflow(bare: Project, suffix: str, with_metrics: bool) -> None:
    good, bad = predictions(seed=1), predictions(seed=2, worse_for="EV", harm=4)
    write(bare.directory / "baseline", good, metrics=reported(good) if with_metrics else None, suffix=suffix)
    write(bare.directory / "candidate", bad, metrics=reported(bad) if with_metrics else None, suffix=suffix)

    exit_code, record = judged(bare)

    assert (exit_code, record["status"], record["paired"], record["rows"]) == (1, "fail", True, ROWS)
    for name, value in reported(bad).items():
        verdict = verdicts(record)[name]
        assert verdict["candidate"] == pytest.approx(value, abs=1e-9)
        assert verdict["baseline"] == pytest.approx(reported(good)[name], abs=1e-9)
        low, high = verdict["interval"]
        assert low < verdict["change"] < high < 0
        assert (verdict["state"], verdict["proven"], verdict["recomputed"]) == ("fail", True, True)
    failing = [one for one in record["slices"]["verdicts"] if one["verdict"]["state"] == "fail"]
    assert {one["slice"]["carrier"] for one in failing} == {"EV"}
    assert record["flips"]["newly-wrong"] > record["flips"]["newly-right"]
    assert [cohort["slice"] for cohort in record["flips"]["cohorts"]] == [{"carrier": "EV"}]
    assert len(record["flips"]["examples"]) == 10


def test_a_model_that_is_as_good_passes(bare: Project) -> None:
    for name, seed in (("baseline", 1), ("candidate", 1)):
        write(bare.directory / name, predictions(seed=seed))
    exit_code, record = judged(bare)
    assert (exit_code, record["status"]) == (0, "pass")
    assert {verdict["reason"] for verdict in record["metrics"]} == {"same"}


def test_what_the_rows_cannot_tell_warns_or_blocks_as_the_team_wants(bare: Project) -> None:
    write(bare.directory / "baseline", predictions(seed=1, rows=300))
    write(bare.directory / "candidate", predictions(seed=2, rows=300, noise=0.55))
    config = CONFIG.replace("  slices: [carrier]\n", "")
    exit_code, record = judged(bare, config=config)
    undecided = [verdict for verdict in record["metrics"] if verdict["state"] == "inconclusive"]
    assert undecided, record["metrics"]
    assert (exit_code, record["status"]) == (0, "warn")
    assert all(verdict["rows-to-decide"] > 300 for verdict in undecided)

    exit_code, record = judged(bare, config=f"{config}  inconclusive: block\n")
    assert (exit_code, record["status"]) == (1, "fail")


def test_a_slice_that_got_worse_blocks_unless_the_team_only_wants_to_know(bare: Project) -> None:
    write(bare.directory / "baseline", predictions(seed=1))
    write(bare.directory / "candidate", predictions(seed=1, worse_for="EV", harm=2))
    config = CONFIG.replace("0.005", "0.2").replace("1%", "50%").replace("0.01}", "0.06}")
    exit_code, record = judged(bare, config=config)
    assert {verdict["state"] for verdict in record["metrics"]} == {"pass"}
    assert (exit_code, record["status"]) == (1, "fail")
    assert "carrier=EV" in record["summary"]

    exit_code, record = judged(bare, config=f"{config}  failing-slice: warn\n")
    assert (exit_code, record["status"]) == (0, "warn")


def test_rows_that_belong_together_widen_the_interval(bare: Project) -> None:
    for name, seed in (("baseline", 1), ("candidate", 2)):
        columns = predictions(seed=seed, rows=400)
        write(bare.directory / name, {key: np.tile(value, 10) for key, value in columns.items()} | {
            "flight_id": np.arange(4000), "tail": np.tile(np.arange(400), 10)
        })  # fmt: skip
    _, alone = judged(bare)
    _, grouped = judged(bare, config=f"{CONFIG}  group: tail\n")
    assert (alone["groups"], grouped["groups"]) == (None, 400)
    for name, verdict in verdicts(grouped).items():
        low, high = verdicts(alone)[name]["interval"]
        assert (verdict["interval"][1] - verdict["interval"][0]) / (high - low) == pytest.approx(10**0.5, rel=0.05)


def test_json_prints_the_record_and_nothing_else(bare: Project) -> None:
    write(bare.directory / "baseline", predictions())
    write(bare.directory / "candidate", predictions())
    ran = bare.run("metric-gate", "--candidate", "candidate", "--baseline", "file:baseline", "--json")
    assert json.loads(ran.log) == bare.record("metric-gate")


def test_the_worst_cohort_is_found_by_itself(bare: Project) -> None:
    write(bare.directory / "baseline", predictions(seed=1))
    write(bare.directory / "candidate", predictions(seed=1, worse_for="EV", harm=3))
    _, record = judged(bare, config=CONFIG.replace("[carrier]", "auto\n  show: [carrier]"))
    assert {one["slice"]["carrier"] for one in record["slices"]["verdicts"]} == {"EV"}
    assert record["slices"]["verdicts"][0]["verdict"]["state"] == "fail"


# Bad input -----------------------------------------------------------------------------------------------------------------------


def _without(columns: Columns, *rows: int) -> Columns:
    return {name: np.delete(values, rows) for name, values in columns.items()}


def _with(columns: Columns, name: str, values: Any) -> Columns:
    return {**columns, name: values}


def _set(columns: Columns, name: str, row: int, value: Any) -> Columns:
    values = np.array(columns[name], dtype=object if isinstance(value, str) else None)
    values[row] = value
    return {**columns, name: values.astype(str) if isinstance(value, str) else values}


PLAIN = predictions(rows=200)

BAD_PREDICTIONS: dict[str, tuple[Columns, str]] = {
    "a key is gone": (_without(PLAIN, 7), "flight_id"),
    "a key is new": (_set(PLAIN, "flight_id", 7, 10_007), "flight_id"),
    "a key repeats": (_set(PLAIN, "flight_id", 7, 8), "repeat"),
    "a label differs": (_set(PLAIN, "truth", 7, 1 - PLAIN["truth"][7]), "truth"),
    "one class": (_with(PLAIN, "truth", np.ones(200, int)), "truth"),
    "no probability": (_set(PLAIN, "score", 7, 1.5), "probabilities"),
    "NaN score": (_set(PLAIN, "score", 7, np.nan), "score"),
    "NaN prediction": (_with(PLAIN, "prediction", np.where(np.arange(200) == 7, np.nan, PLAIN["prediction"])), "prediction"),
    "no rows": ({name: values[:0] for name, values in PLAIN.items()}, "no rows"),
    "one row": ({name: values[:1] for name, values in PLAIN.items()}, "one row"),
    "mixed types": (_set(PLAIN, "prediction", 7, "late"), "prediction"),
    "another schema": ({"id": PLAIN["flight_id"], "y": PLAIN["truth"]}, "flight_id"),
    "another model's rows": (_with(PLAIN, "flight_id", PLAIN["flight_id"] + 1_000), "flight_id"),
}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(("columns", "says"), BAD_PREDICTIONS.values(), ids=BAD_PREDICTIONS.keys())
@pytest.mark.parametrize("side", ["candidate", "baseline"])
def test_bad_predictions_end_with_exit_2_and_one_line(bare: Project, columns: Columns, says: str, side: str, suffix: str) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, columns if name == side else PLAIN, suffix=suffix)
    exit_code, record = judged(bare)
    assert (exit_code, record["status"]) == (2, "error")
    (problem, *_) = record["problems"]
    assert says in problem["message"] + problem["remedy"]
    assert "\n" not in problem["message"] + problem["remedy"]


def test_a_single_class_where_auc_is_gated(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, _with(PLAIN, "truth", np.ones(200, int)))
    exit_code, record = judged(bare)
    assert exit_code == 2
    assert record["problems"][0]["message"] == (
        "`roc_auc` has no value on the candidate's predictions: all rows are of one class in truth."
    )


def test_a_metric_that_is_not_defined(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, _with(PLAIN, "prediction", np.zeros(200, int)))
    exit_code, record = judged(bare, config=CONFIG.replace("accuracy", "precision"))
    assert exit_code == 2
    assert "no row is predicted as `1`" in record["problems"][0]["message"]
    assert record["problems"][0]["line"] == 9


@pytest.mark.parametrize("value", [1e200, 1e120])
@pytest.mark.parametrize("metric", ["root_mean_squared_error", "mean_absolute_error", "r2"])
def test_a_metric_without_bounds_is_bad_input(bare: Project, metric: str, value: float) -> None:
    columns = {"flight_id": np.arange(200), "truth": PLAIN["score"], "prediction": PLAIN["score"] ** 2}
    write(bare.directory / "baseline", columns)
    write(bare.directory / "candidate", _set(columns, "prediction", 7, value), metrics={metric: 0.1})
    config = f"model: m\ndata: {{key: flight_id}}\ngate: {{metrics: {{{metric}: {{max-regression: 0.01}}}}}}\n"
    exit_code, record = judged(bare, "--json", config=config)
    assert exit_code == 2
    assert record["problems"][0]["message"] == (
        f"`{metric}` has no value on the candidate's predictions: it is too large to compare, or infinite."
    )


def test_a_reported_number_that_predictions_contradict_is_an_error_that_shows_both(bare: Project) -> None:
    write(bare.directory / "baseline", PLAIN)
    write(bare.directory / "candidate", PLAIN, metrics={**reported(PLAIN), "roc_auc": 0.99})
    exit_code, record = judged(bare)
    assert exit_code == 2
    message = record["problems"][0]["message"]
    assert "0.99 as training reported it" in message
    assert f"{reported(PLAIN)['roc_auc']:.8g} by its predictions" in message


def _nested(limits: str) -> str:
    return f"model: m\ndata: {{key: flight_id}}\ngate: {{metrics: {{{limits}}}}}\n"


def test_a_name_of_the_teams_own_means_what_it_meant_for_the_baseline(bare: Project) -> None:
    worse = predictions(rows=200, seed=2, worse_for="EV", harm=4)
    write(bare.directory / "baseline", PLAIN, metrics={"holdout": reported(PLAIN)})
    write(bare.directory / "candidate", worse, metrics={"holdout": {**reported(worse), "roc_auc": 0.99}})
    exit_code, record = judged(bare, config=_nested("holdout.roc_auc: {max-regression: 0.005}"))
    assert exit_code == 2
    assert "`holdout.roc_auc` is 0.99 as training reported it" in record["problems"][0]["message"]


def test_a_name_that_only_looks_like_a_metrics_stays_as_reported_and_is_told(bare: Project) -> None:
    for name, value in (("baseline", 0.61), ("candidate", 0.62)):
        write(bare.directory / name, PLAIN, metrics={"cv": {"roc_auc": value}})
    exit_code, record = judged(bare, config=_nested("cv.roc_auc: {max-regression: 0.005}"))
    verdict = verdicts(record)["cv.roc_auc"]
    assert (exit_code, verdict["candidate"], verdict["recomputed"]) == (0, 0.62, False)
    assert record["notices"][0].startswith("`cv.roc_auc` is judged as training reported it: the roc_auc of the predictions is another")


def test_rounded_numbers_are_no_contradiction(bare: Project) -> None:
    write(bare.directory / "baseline", PLAIN)
    write(bare.directory / "candidate", PLAIN, metrics={name: round(value, 3) for name, value in reported(PLAIN).items()})
    assert judged(bare)[0] == 0


def test_a_reported_nan_is_not_hidden_by_predictions(bare: Project) -> None:
    write(bare.directory / "baseline", PLAIN)
    write(bare.directory / "candidate", PLAIN, metrics={"roc_auc": float("nan")})
    exit_code, record = judged(bare)
    assert (exit_code, verdicts(record)["roc_auc"]["state"]) == (2, "invalid")


def test_a_candidate_cannot_leave_out_what_it_would_be_judged_by(bare: Project) -> None:
    without = {name: values for name, values in PLAIN.items() if name != "score"}
    write(bare.directory / "baseline", PLAIN)
    write(bare.directory / "candidate", without, metrics={**reported(PLAIN), "roc_auc": 0.99})
    exit_code, record = judged(bare)
    assert exit_code == 2
    assert "`roc_auc` needs the column `score`" in record["problems"][0]["message"]

    write(bare.directory / "baseline", without, metrics=reported(PLAIN))
    (bare.directory / "candidate" / "metrics.json").write_text(json.dumps(reported(PLAIN)))
    exit_code, record = judged(bare)
    assert exit_code == 0, "neither has it: reported numbers are compared, and it is said"
    assert "No interval for `roc_auc`, `log_loss`" in record["notices"][0]
    assert verdicts(record)["accuracy"]["interval"]


def test_metrics_of_two_kinds_are_refused(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN)
    exit_code, record = judged(bare, config=CONFIG.replace("accuracy", "r2"))
    assert exit_code == 2
    assert "`roc_auc` is for classes and `r2` for numbers" in record["problems"][0]["message"]


def test_a_name_that_looks_like_a_metric_of_another_kind_stays_as_reported(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN, metrics={"calibration": {"mae": 0.1}})
    limits = "accuracy: {max-regression: 0.01}, calibration.mae: {max-regression: 0.01}"
    exit_code, record = judged(bare, config=_nested(limits))
    assert exit_code == 0
    found = {name: verdict["recomputed"] for name, verdict in verdicts(record).items()}
    assert found == {"accuracy": True, "calibration.mae": False}


def test_a_folder_with_nothing_in_it_is_bad_input(bare: Project) -> None:
    (bare.directory / "candidate").mkdir()
    write(bare.directory / "baseline", PLAIN)
    assert judged(bare)[0] == 2


def test_without_a_key_the_gate_says_what_is_missing(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN, metrics=reported(PLAIN))
    exit_code, record = judged(bare, config=CONFIG.replace("key: flight_id, ", ""))
    assert (exit_code, record["paired"]) == (0, False)
    assert "data.key" in record["notices"][0]


def test_predictions_alone_cannot_be_judged_without_a_key(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN)
    exit_code, record = judged(bare, config=CONFIG.replace("key: flight_id, ", ""))
    assert exit_code == 2
    assert [problem["message"] for problem in record["problems"]] == ["`data.key` is not set."]


@pytest.mark.parametrize(
    "config", [CONFIG, CONFIG.replace("    log_loss: {max-regression: 1%}\n", "").replace("accuracy", "roc_auc_ovr")]
)
def test_a_typo_in_a_metrics_name_is_told_with_the_nearest_that_predictions_give(bare: Project, config: str) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN)
    exit_code, record = judged(bare, config=config.replace("roc_auc:", "roc_acu:"))
    assert exit_code == 2
    assert {
        "message": "`roc_acu` is not in the candidate's metrics.",
        "remedy": "Did you mean `roc_auc`?",
        "path": "modelship.yaml",
        "line": 7,
    } in record["problems"]


def test_a_typo_in_the_only_metric_is_told_with_the_nearest(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN)
    config = "model: m\ndata: {key: flight_id}\ngate: {metrics: {root_mean_sqared_error: {max: 1}}}\n"
    exit_code, record = judged(bare, config=config)
    assert exit_code == 2
    assert [problem["remedy"] for problem in record["problems"]] == ["Did you mean `root_mean_squared_error`?"]


def test_a_metric_without_a_value_is_told_once(bare: Project) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, _with(PLAIN, "prediction", np.zeros(200, int)))
    _, record = judged(bare, config=CONFIG.replace("accuracy", "precision"))
    assert len(record["problems"]) == 1


def test_a_folder_may_be_named_with_a_slash_at_its_end(bare: Project) -> None:
    write(bare.directory / "candidate", _with(PLAIN, "score", np.full(200, np.nan)))
    write(bare.directory / "baseline", PLAIN)
    bare.run("metric-gate", "--candidate", "candidate/", "--baseline", "file:baseline/")
    assert "the candidate's candidate/predictions.parquet" in bare.record("metric-gate")["problems"][0]["path"]
    write(bare.directory / "candidate", PLAIN)
    bare.run("metric-gate", "--candidate", "candidate/", "--baseline", "file:baseline/")
    assert bare.record("metric-gate")["baseline"]["label"] == "baseline"


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [("candidate/predictions.parquet", "baseline"), ("candidate", "baseline/predictions.parquet"), ("candidate/my.csv", "baseline")],
)
def test_a_predictions_file_in_the_place_of_its_folder_is_told(bare: Project, candidate: str, baseline: str) -> None:
    for name in ("candidate", "baseline"):
        write(bare.directory / name, PLAIN)
    ran = bare.run("metric-gate", "--candidate", candidate, "--baseline", f"file:{baseline}")
    (problem,) = bare.record("metric-gate")["problems"]
    assert ran.exit_code == 2
    assert problem["message"] == "is a predictions file, where a metrics file or a folder is wanted."
    assert problem["path"] in (candidate, baseline)


def test_slices_that_are_not_judged_are_told(bare: Project) -> None:
    columns = predictions(rows=1000)
    for name in ("candidate", "baseline"):
        write(bare.directory / name, columns, metrics=reported(columns))
    _, record = judged(bare, config=CONFIG.replace("max-regression", "min").replace("min: 1%", "max: 9").replace("min: 0.5, ", ""))
    assert record["notices"] == ["No slice was judged: no metric with `max-regression` is computed from predictions."]

    (bare.directory / "candidate" / "predictions.parquet").unlink()
    _, record = judged(bare, config=CONFIG)
    assert record["notices"] == [
        "Changes carry no interval: the candidate has no predictions (`predictions.parquet`).",
        "No slice was judged: that takes predictions of both models.",
    ]


# A repository --------------------------------------------------------------------------------------------------------------------

TRAIN = """
import json, shutil, sys
shutil.copyfile("made/predictions.parquet", "predictions.parquet")
shutil.copyfile("made/metrics.json", "metrics.json")
"""


@pytest.fixture
def repository(project: Project) -> Project:
    """A repository whose base commit holds a model's predictions, and the holdout that they are of."""
    project.write("modelship.yaml", CONFIG)
    project.trains(TRAIN)
    project.write("holdout.csv", "flight_id,late\n")
    columns = predictions(rows=1000)
    write(project.directory, columns, metrics=reported(columns))
    project.commit("base")
    return project


def propose(project: Project, columns: Columns, *, metrics: dict[str, float] | None = None, **files: str) -> dict[str, Any]:
    """A pull request whose training gives `columns`; returns the gate's record."""
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "idea")
    for name, text in files.items():
        project.write(name.replace("__", "."), text)
    write(project.directory / "made", columns, metrics=metrics or reported(columns))
    project.pull_request_event(base, project.commit("idea"))
    trained = project.run("train")
    assert trained.exit_code == 0, trained.log
    ran = project.run("metric-gate")
    record = project.record("metric-gate")
    return {**record, "exit-code": ran.exit_code}


def test_a_pull_request_is_paired_with_its_base(repository: Project) -> None:
    record = propose(repository, predictions(rows=1000, seed=2, noise=2.5))
    assert (record["exit-code"], record["rows"], record["paired"]) == (1, 1000, True)
    assert all(verdict["interval"] for verdict in record["metrics"])
    assert record["findings"] == []


def test_a_pull_request_that_edits_the_holdout_needs_approval(repository: Project) -> None:
    columns = predictions(rows=1000)
    edited = _set(_without(columns, 1, 2, 3), "truth", 50, 1 - columns["truth"][53])
    record = propose(repository, edited, holdout__csv="flight_id,late\n1,2\n")
    assert (record["exit-code"], record["rows"]) == (1, 996)
    assert record["findings"][0] == {
        "kind": "holdout",
        "text": "edits the holdout `holdout.csv`: 3 rows gone, 1 label changed",
        "needs-approval": True,
    }
    assert record["notices"][0].startswith("Compared on the 996 rows that both models predicted with the same label")
    assert record["approval"]["given"] is False
    assert "modelship-approved" in record["summary"]


def test_a_merged_change_of_the_holdout_is_compared_on_common_rows_too(repository: Project) -> None:
    before = repository.git("rev-parse", "HEAD")
    columns = _without(predictions(rows=1000), 1, 2, 3)
    write(repository.directory / "made", columns, metrics=reported(columns))
    repository.write("holdout.csv", "flight_id,late\n1,2\n")
    repository.push_event(before, repository.commit("merge"))
    assert repository.run("train").exit_code == 0
    ran = repository.run("metric-gate")
    record = repository.record("metric-gate")
    assert (ran.exit_code, record["status"], record["rows"]) == (0, "pass", 997), ran.log
    assert record["findings"] == []


def test_other_rows_than_the_baselines_without_a_changed_holdout_are_bad_input(repository: Project) -> None:
    record = propose(repository, _without(predictions(rows=1000), 1, 2, 3))
    assert record["exit-code"] == 2
    assert "flight_id" in record["problems"][0]["message"]


def test_other_labels_than_the_baselines_are_bad_input(repository: Project) -> None:
    columns = predictions(rows=1000)
    forged = _with(columns, "truth", columns["prediction"])
    record = propose(repository, forged, metrics=reported(forged | {"score": columns["score"]}))
    assert record["exit-code"] == 2
    assert "truth" in record["problems"][0]["message"]


def test_a_dropped_metric_needs_approval(repository: Project) -> None:
    record = propose(repository, predictions(rows=1000), modelship__yaml=CONFIG.replace("    log_loss: {max-regression: 1%}\n", ""))
    assert record["exit-code"] == 1
    assert record["findings"][0]["text"] == "stops gating `log_loss`"
    assert {verdict["metric"] for verdict in record["metrics"]} == {"roc_auc", "log_loss", "accuracy"}
