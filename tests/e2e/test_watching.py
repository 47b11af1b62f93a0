"""From a week in which performance falls to a better version in production, through the template's own workflows.

This moves `main` on for good, and so comes after all other tests of the template.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from modelship.registry.lookup import Lookup

from .act import Run
from .demo import MODEL
from .github import BOT
from .test_release import aliases, served
from .world import CHECKOUT, MONITOR, MONITOR_PERMISSIONS, RELEASE, World, stored

pytestmark = [pytest.mark.usefixtures("baseline"), pytest.mark.xdist_group("template")]

WEEK = timedelta(days=7)
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


@dataclass
class Service:
    """What serves flights: the predictions that it has logged, and what became true."""

    world: World
    folder: Path

    def serves(self, monday: datetime, *, is_wrong: bool = False) -> None:
        """Log a week of the live version's answers, which are those to July's flights. Where it is wrong, truth has nothing to do with
        them.
        """
        version = MlflowClient(self.world.mlflow_uri).get_model_version_by_alias(MODEL, "champion")
        found = Lookup(self.world.mlflow_uri).fetch_predictions(version.run_id, self.folder)
        assert found is not None
        answers = pd.read_parquet(found)[["flight_id", "truth", "prediction", "score"]]
        flights = answers.merge(july(), on="flight_id")
        at = pd.Series(pd.date_range(monday, monday + WEEK, len(flights) + 1, inclusive="left"))
        own = {"predicted-at": at, "model": MODEL, "version": int(version.version)}
        truth = flights["truth"].to_numpy()
        late = np.random.default_rng(7).permutation(truth) if is_wrong else truth
        self._write("log", monday, flights.drop(columns=["truth", "late"]).assign(**own))
        became = {"flight_id": flights["flight_id"], "late": late, "known-at": at + timedelta(hours=6)}
        self._write("truth", monday, pd.DataFrame(became))

    def is_watched(self, monday: datetime) -> Run:
        """Run the workflow as if that week had been over for two days."""
        fetch = f"cp -r '{self.folder}/log' '{self.folder}/truth' ."
        inputs = {"now": (monday + WEEK + timedelta(days=2)).isoformat()}
        return self.world.run_dispatch(MONITOR, inputs, permissions=MONITOR_PERMISSIONS, configuration={"FETCH_LOG": fetch})

    def _write(self, name: str, monday: datetime, rows: pd.DataFrame) -> None:
        # A key that was answered several times counts once.
        path = self.folder / name / f"{monday:%Y-%m-%d}.parquet"
        path.parent.mkdir(exist_ok=True)
        rows.assign(flight_id=rows["flight_id"] + monday.timetuple().tm_yday * 1_000_000).to_parquet(path, index=False)


def july() -> pd.DataFrame:
    """The flights that the versions were judged on."""
    template = CHECKOUT / "template-repo"
    lock = YAML(typ="safe", pure=True).load(template / "dvc.lock")
    (md5,) = (one["md5"] for one in lock["stages"]["prepare"]["outs"] if one["path"] == "data/holdout.parquet")
    return pd.read_parquet(stored(template, md5))


def conclusions(run: Run) -> dict[str, str | None]:
    return {name: job.conclusion for name, job in run.jobs.items()}


def test_a_loss_is_told_and_trained_away(world: World, tmp_path: Path) -> None:
    service = Service(world, tmp_path)
    before = aliases(world)["champion"]

    service.serves(MONDAY, is_wrong=True)
    fell = service.is_watched(MONDAY)
    assert conclusions(fell) == {"watch": "failure", "retrain": "success", "tell": "success"}, fell.log
    (seen,) = (artifact for artifact in fell.artifacts.values() if artifact.name == f"modelship-monitor-{MODEL}-record")
    record = json.loads(seen.file.read_text(encoding="utf-8"))
    assert (record["status"], record["version"], record["labels"]["labelled"]) == ("fail", before, 5000)
    (kept,) = (artifact for name, artifact in fell.artifacts.items() if name.startswith("modelship-retrain-"))
    decided = json.loads(kept.file.read_text(encoding="utf-8"))
    assert (decided["version"], decided["retrain"], decided["dispatched"]) == (before, True, True)
    (issue,) = world.github.issues()
    assert (issue.state, issue.author, issue.title) == ("open", BOT, f"🟡 {MODEL}: v{before} does worse than it promised")
    (dispatched,) = world.github.door.workflow_runs.dispatched("release.yml")
    assert dispatched.inputs["reason"].startswith("performance: roc_auc ")
    assert f"/runs/{dispatched.id}" in issue.body
    assert aliases(world)["champion"] == before, "what was started is still to be judged"

    # What the team has learnt meanwhile; on GitHub the retrain finds it as the newest commit.
    better = world.push({"params.yaml": lambda text: text.replace("min_samples_leaf: 20", "min_samples_leaf: 40")}, "Larger leaves")
    released = world.run_dispatched(RELEASE, secrets=world.deploy_secrets)
    assert released.succeeded, released.log
    version = MlflowClient(world.mlflow_uri).get_model_version_by_alias(MODEL, "champion")
    assert (version.tags["modelship.commit"], version.tags["modelship.verdict"] in ("pass", "warn")) == (better, True)
    after = int(version.version)
    assert after > before
    assert served(world) == {"staging": after, "production": after}

    service.serves(MONDAY + WEEK)
    fine = service.is_watched(MONDAY + WEEK)
    assert {conclusions(fine)[name] for name in ("watch", "retrain")} == {"success"}, fine.log
    (closed,) = world.github.issues()
    assert (closed.number, closed.state, closed.title) == (issue.number, "closed", f"🟢 {MODEL}: v{after} does what it should")
    assert len(world.github.door.workflow_runs.dispatched("release.yml")) == 1
