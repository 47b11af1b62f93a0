"""`modelship backtest` as a user runs it: a small team whose training really trains, in a repository with one commit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from modelship.core.records import BacktestRecord, BacktestWay
from tests.project import Project, Ran

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEKS, TURN = 9, 4
"""In the week `TURN` the world turns: what made people leave keeps them from then on."""
ROWS = 800

TRAIN = """\
import json, os, pathlib
import numpy as np
import pandas as pd

rows = pd.read_csv("data/train.csv")
assert "known-at" not in rows and not pathlib.Path("data/history.csv").exists() and "MLFLOW_TRACKING_URI" not in os.environ
latest = rows["at"].max()
if str(latest) >= os.environ.get("FAIL_FROM", "9"):
    raise SystemExit("out of luck")
with open(os.environ["TRAININGS"], "a") as log:
    log.write(f"{len(rows)} {latest}\\n")
recent = rows.sort_values("at").tail(1600)
slope = np.polyfit(recent["x"], recent["left"], 1)[0]
pathlib.Path("model").mkdir()
pathlib.Path("model/slope.json").write_text(json.dumps(slope))
"""

SCORING = """\
import json, pathlib
import numpy as np
import pandas as pd

def predict(path, rows):
    slope = json.loads(pathlib.Path(path, "slope.json").read_text())
    score = 1 / (1 + np.exp(-4 * slope * rows["x"]))
    return pd.DataFrame({"prediction": (score > 0.5).astype(int), "score": score})
"""

CONFIG = {
    "model": "churn",
    "data": {"reference": "data/train.csv", "current": "data/holdout.csv", "target": "left", "key": "id"},
    "train": {"run": "python train.py", "metrics": "metrics.json", "model": "model"},
    "evaluate": {"predict": "scoring:predict"},
    "monitor": {"batch": "7d", "metrics": {"roc_auc": {"max-loss": 0.03}}},
    "retrain": {"drift": 0, "cooldown": "7d"},
    "backtest": {"history": "data/history.csv", "time": "at"},
}


def history(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    count = WEEKS * ROWS
    x = rng.normal(size=count)
    week = np.repeat(np.arange(WEEKS), ROWS)
    sign = np.where(week < TURN, 1, -1)
    left = (sign * x + rng.logistic(size=count) > 0).astype(int)
    at = [START + timedelta(minutes=10 * number) * (1008 / ROWS) for number in range(count)]
    return pd.DataFrame({"id": np.arange(count), "at": pd.to_datetime(at).tz_localize(None).as_unit("s"), "x": x, "left": left})


@pytest.fixture
def team(project: Project) -> Project:
    project.write(".gitignore", "data/\n.modelship/\n")
    project.trains(TRAIN)
    project.write("scoring.py", SCORING)
    configure(project)
    project.commit("churn")
    put(project, history())
    project.environment |= {"TRAININGS": str(project.directory.parent / "trainings"), "TZ": "UTC"}
    return project


def configure(project: Project, **changed: object) -> None:
    project.write("modelship.yaml", json.dumps({**CONFIG, **changed}))


def put(project: Project, table: pd.DataFrame) -> None:
    (project.directory / "data").mkdir(exist_ok=True)
    table.to_csv(project.directory / "data" / "history.csv", index=False)


def walked(project: Project, *arguments: str, **environment: str) -> Ran:
    return project.run("backtest", "--cache", str(project.directory.parent / "cache"), *arguments, **environment)


def record(project: Project) -> BacktestRecord:
    return msgspec.convert(project.record("backtest"), BacktestRecord)


def way(project: Project, name: str) -> BacktestWay:
    return next(one for one in record(project).ways if one.way == name)


def trainings(project: Project) -> list[str]:
    path = Path(project.environment["TRAININGS"])
    return path.read_text().splitlines() if path.exists() else []


def test_retraining_after_the_turn_is_shown_to_have_helped_and_nothing_is_done_twice(team: Project) -> None:
    configure(team, retrain={"drift": 0, "cooldown": "7d", "max-age": "14d"})
    before = {path: path.read_bytes() for path in sorted(team.directory.rglob("*")) if path.is_file() and ".git/" not in str(path)}
    ran = walked(team, "--since", "2026-01-19", "--every-batch", "true", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert ran.exit_code == 0, ran.log
    rules, once, every = way(team, "rules"), way(team, "once"), way(team, "every-batch")
    # Of weeks 0 and 1 one is learnt from and one held out. From week 4 on the old model is wrong; what is trained then has not seen
    # that week yet, which is held out.
    asked = {(step.at - START).days // 7: step.told for step in rules.steps if step.retrain}
    assert list(asked) == [4, 5, 7]
    assert [told.split(":")[0] for told in asked.values()] == ["age", "performance", "age"]
    assert [batch.trained_at for batch in once.batches] == [START + 2 * timedelta(days=7)] * 7
    assert [step.retrain for step in every.steps] == [True] * 6
    values = {(batch.start - START).days // 7: batch.measured[0].value for batch in once.batches}
    assert values[3] > 0.7 > 0.3 > values[4]
    (gained,) = rules.gained
    assert gained.low > 0.05
    assert "would have gained" in record(team).summary
    assert str(len(asked)) == ran.outputs["retrains"]
    assert "trained once" in (team.directory / ".modelship" / "files" / "backtest.html").read_text()
    assert "<svg" in (team.directory / ".modelship" / "files" / "backtest.html").read_text()
    after = {path: path.read_bytes() for path in before}
    assert after == before, "the team's own files are as they were"
    assert not team.git("worktree", "list").count("\n")
    # Every training saw only what was known then.
    seen = trainings(team)
    assert len(seen) == len(set(seen)) == 7, "one for each moment, whatever asks for it"
    assert seen[0].startswith(f"{ROWS} ")
    first = record(team)
    again = walked(team, "--since", "2026-01-19", "--every-batch", "true")
    assert again.exit_code == 0, again.log
    assert trainings(team) == seen
    assert record(team).ways == first.ways


def test_with_late_labels_nothing_is_learnt_before_they_come(team: Project) -> None:
    table = history()
    table["known-at"] = pd.to_datetime(table["at"]) + pd.Timedelta(days=14)
    put(team, table)
    ran = walked(team, "--since", "2026-02-02", "--label-delay", "14d")
    assert ran.exit_code == 0, ran.log
    # In week 4 begins the walk; the labels of weeks 0 and 1 are known, the latter is held out.
    assert trainings(team)[0].startswith(f"{ROWS} 2026-01-1")
    asked = [step.at for step in way(team, "rules").steps if step.retrain]
    assert asked[:1] == [START + 7 * timedelta(days=7)], "week 4 has its labels when week 6 is over"


def test_a_training_that_fails_on_the_way_leaves_the_version_and_loses_nothing(team: Project) -> None:
    ran = walked(team, "--since", "2026-01-19", "--every-batch", "true", FAIL_FROM="2026-02-06")
    assert ran.exit_code == 2, ran.log
    found = record(team)
    assert found.status == "error"
    assert "out of luck" in str(found.problems[0])
    failed = [step for step in way(team, "every-batch").steps if step.failed]
    assert failed
    batches = {batch.start: batch.trained_at for batch in way(team, "every-batch").batches}
    assert all(batches[step.at] < step.at for step in failed), "the version before answers"
    done = trainings(team)
    assert walked(team, "--since", "2026-01-19", "--every-batch", "true").exit_code == 0
    assert trainings(team)[: len(done)] == done
    assert len(trainings(team)) == len(set(trainings(team))) == 7, "only what had failed was trained"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise SystemExit('no')", "training failed: `python train.py` ended with exit status 1. It said: no"),
        ("pass", "training did not write `model`"),
        (
            "import pathlib; pathlib.Path('data/train.csv').write_text('id'); pathlib.Path('model').mkdir(); open('model/a', 'w')",
            "training wrote the tables that it was given",
        ),
    ],
)
def test_where_the_first_training_gives_nothing_there_is_no_answer(team: Project, code: str, problem: str) -> None:
    team.trains(code)
    team.commit()
    ran = walked(team)
    assert ran.exit_code == 2
    assert problem in record(team).summary
    assert not record(team).ways


def test_what_cannot_be_walked_through_is_told_before_anything_trains(team: Project) -> None:
    good = history()

    def refused(*arguments: str, table: pd.DataFrame | None = None, **changed: object) -> str:
        put(team, good if table is None else table)
        configure(team, **changed)
        ran = walked(team, *arguments)
        assert ran.exit_code == 2, ran.log
        return record(team).summary

    assert "`backtest.history` is not set" in refused(backtest={"time": "at"})
    assert "does not exist" in refused(backtest={"history": "data/nothing.csv", "time": "at"})
    assert "has no column `predicted-at`" in refused(backtest={"history": "data/history.csv"})
    assert "has 1 batch: at least 3 with truth are needed" in refused(table=good[good["at"] < "2026-01-12"])
    assert "and truth takes 70 days" in refused("--label-delay", "10w")
    assert "is too early" in refused("--since", "2026-01-05")
    assert "is after the last batch" in refused("--since", "2027-01-05")
    assert "which lies outside of the repository" in refused(data={**CONFIG["data"], "reference": "../train.csv"})  # type: ignore[dict-item]
    assert "which lies outside of the repository" in refused(train={**CONFIG["train"], "model": "/tmp/model"})  # type: ignore[dict-item]
    assert "a backtest writes that table anew" in refused(data={**CONFIG["data"], "current": "data/holdout.arrow"})  # type: ignore[dict-item]
    assert "`data/absent.csv` does not exist" in refused(backtest={**CONFIG["backtest"], "files": ["data/absent.csv"]})  # type: ignore[dict-item]
    assert "no metric says how much may be lost" in refused(monitor={"batch": "7d"}, gate={})
    assert not trainings(team)


def test_training_finds_the_files_that_it_needs_and_a_team_of_months_its_months(team: Project) -> None:
    team.trains(TRAIN.replace("import json", "open('data/lookup.txt').read()\nimport json"))
    team.commit()
    configure(team, backtest={**CONFIG["backtest"], "files": ["data/lookup.txt"]})  # type: ignore[dict-item]
    team.write("data/lookup.txt", "x")
    table = history()
    table["at"] = pd.to_datetime("2026-01-01") + (pd.to_datetime(table["at"]) - pd.to_datetime("2026-01-05")) * 4
    put(team, table)
    ran = walked(team, "--batch", "month", "--until", "2026-06-01")
    assert ran.exit_code == 0, ran.log
    starts = [batch.start for batch in way(team, "once").batches]
    assert starts == [datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5)]
