"""`modelship monitor` as a user runs it: with Great Expectations, Evidently and a real MLflow server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

import modelship
from modelship.core.records import MonitorRecord
from modelship.core.run_directory import digest_folder
from modelship.core.workflow import read_outputs
from modelship.deployment.ledger import Action, Entry
from modelship.deployment.log import Log
from modelship.monitoring.kept import recall
from modelship.monitoring.questions import Recall
from modelship.registry.runs import ARTIFACTS, TAG_COMMIT, TAG_KEY, TAG_PREDICTIONS
from modelship.registry.version import TAG_DIGEST
from tests.production import NOW, Production, logged, people

EXPECTATIONS = [
    {"expect_column_values_to_be_between": {"column": "age", "min_value": 0, "max_value": 120, "mostly": 0.99}},
    {"expect_column_values_to_be_in_set": {"column": "plan", "value_set": ["basic", "plus"]}},
    {"expect_column_values_to_be_in_set": {"column": "left", "value_set": [0, 1]}},
    {"expect_table_row_count_to_be_between": {"min_value": 1_000_000}},
]


def run(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, dict[str, str]]:
    """Exit code, output, and outputs of the command; GitHub's summary is beside."""
    outputs = folder / "outputs.txt"
    outputs.write_text("")
    package = str(Path(modelship.__file__).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MLFLOW_"))}
    found = subprocess.run(
        [sys.executable, "-I", package, *arguments],
        cwd=folder,
        env={**kept, "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode, found.stdout + found.stderr, read_outputs(outputs)


def record(folder: Path) -> MonitorRecord:
    return msgspec.json.decode((folder / ".modelship/monitor.json").read_bytes(), type=MonitorRecord)


def seen(uri: str, name: str) -> tuple[MonitorRecord, ...]:
    """What the server holds of a model's batches."""
    return recall(Recall(tracking_uri=uri, name=name)).records


ALONE = ("monitor", "--since", "2026-11-02", "--now", NOW.isoformat(), "--version", "7", "--baseline", "release")


def test_a_bad_batch_is_told_everywhere(tmp_path: Path) -> None:
    production = Production(tmp_path, noise=4.0, shift=0.8)
    (tmp_path / "expectations.yaml").write_text(json.dumps(EXPECTATIONS))
    production.config["data"]["expectations"] = "expectations.yaml"
    production.write()
    code, said, outputs = run(tmp_path, *ALONE)
    assert code == 1, said
    found = record(tmp_path)
    assert found.quality
    # What speaks of the target, or of how large a table is, is not asked of a log.
    assert [(one.column, one.holds) for table in found.quality.tables for one in table.expectations] == [("age", True), ("plan", True)]
    assert found.drift
    assert {column.column: column.drifted for column in found.drift.columns} == {"score": True, "age": True, "plan": False}
    assert found.batch
    assert (found.batch.drift, set(found.batch.drifted)) == (True, {"score", "age"})
    assert (outputs["status"], outputs["drift"], outputs["labelled"], outputs["version"]) == ("fail", "true", "4000", "7")
    code, said, outputs = run(tmp_path, "comment")
    assert (code, outputs["conclusion"]) == (0, "failure"), said
    summary = (tmp_path / "summary.md").read_text()
    assert "v7 at release" in summary
    assert "this batch" in summary
    page = (tmp_path / ".modelship/report-churn.html").read_text()
    assert "4,000 predictions by v7" in page
    assert "Evidently" in page


def test_a_schema_that_changed_is_named_and_performance_is_told_all_the_same(tmp_path: Path) -> None:
    production = Production(tmp_path)
    production.log = production.log.assign(age=production.log["age"].astype(str) + " years")
    production.write()
    code, said, _ = run(tmp_path, *ALONE)
    found = record(tmp_path)
    assert (code, found.status) == (1, "fail"), said
    assert found.quality
    assert found.quality.status == "fail"
    assert "age" in found.quality.summary
    assert found.drift
    assert (found.drift.status, found.drift.drift) == ("error", None)
    assert found.batch
    assert found.batch.drift is None
    assert found.performance
    assert found.performance.status == "pass"


class Server:
    """An MLflow server on which versions of `churn` are registered and deployed."""

    def __init__(self, uri: str, name: str) -> None:
        self.uri, self.name = uri, name
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.client.create_registered_model(name)

    def register(self, predictions: Path) -> int:
        experiment = self.client.get_experiment_by_name(self.name)
        run = self.client.create_run(experiment.experiment_id if experiment else self.client.create_experiment(self.name))
        self.client.log_artifact(run.info.run_id, str(predictions), ARTIFACTS)
        self.client.set_tag(run.info.run_id, TAG_PREDICTIONS, f"sha256:{digest_folder(predictions)}")
        tags = {TAG_KEY: run.info.run_id, TAG_DIGEST: f"sha256:{'0' * 64}", TAG_COMMIT: "0" * 40}
        version = self.client.create_model_version(self.name, f"runs:/{run.info.run_id}/model", run.info.run_id, tags=tags)
        return int(version.version)

    def log_dataset(self, table: Path) -> str:
        """A run that logged the table as a dataset."""
        experiment = self.client.get_experiment_by_name(self.name)
        run = self.client.create_run(str(experiment and experiment.experiment_id))
        dataset = Dataset(name=table.stem, digest="0", source_type="local", source=json.dumps({"uri": str(table)}))
        self.client.log_inputs(run.info.run_id, [DatasetInput(dataset)])
        return str(run.info.run_id)

    def deploy(self, version: int) -> None:
        ledger = Log(self.uri, self.name)
        begins = Entry(environment="production", action=Action.DEPLOY, version=version, key="first", expects=0, lease=60)
        begun = ledger.append(begins).entry
        assert begun
        assert ledger.append(begun.ended(Action.GOOD)).entry


def test_the_live_version_is_found_and_each_batch_kept_once_however_often_it_is_looked_at(tmp_path: Path, mlflow: str) -> None:
    production = Production(tmp_path)
    server = Server(mlflow, "churn-live")
    for _ in range(2):
        server.register(tmp_path / "release/predictions.parquet")
    server.deploy(2)
    strangers = logged(people(20, 9), version=9)
    production.log = pd.concat([production.log.assign(version="v2"), strangers.assign(version="9")]).assign(model="churn-live")
    production.config["data"].pop("reference")
    production.config["registry"] = {"name": "churn-live"}
    production.config["deploy"] = {"environments": {"production": {"target": {"directory": "served"}}}}
    production.write()
    looks = [
        subprocess.Popen(
            [sys.executable, "-I", str(Path(modelship.__file__).parent), "monitor", "--since", "2026-11-02", "--now", NOW.isoformat()],
            cwd=folder,
            env={**os.environ, "MLFLOW_TRACKING_URI": mlflow},
        )
        for folder in (tmp_path, _copy(tmp_path))
    ]
    assert [look.wait(300) for look in looks] == [0, 0]
    found = record(tmp_path)
    assert (found.version, found.environment, found.status) == (2, "production", "warn")
    assert any("does not know: 9 (20 rows)" in notice for notice in found.notices)
    (kept,) = seen(mlflow, "churn-live")
    assert kept.batch == found.batch
    # Without environments it is the alias that says which version is live.
    del production.config["deploy"]
    server.client.set_registered_model_alias("churn-live", "champion", "2")
    production.config["data"]["reference"] = {"mlflow-run": server.log_dataset(tmp_path / "train.parquet")}
    production.write()
    code, said, outputs = run(tmp_path, "monitor", "--since", "2026-11-02", "--now", NOW.isoformat(), "--tracking-uri", mlflow)
    assert code == 0, said
    assert outputs["mlflow-url"].startswith(mlflow)
    drift = record(tmp_path).drift
    assert drift
    assert {column.column for column in drift.columns} >= {"age", "plan"}
    assert len(seen(mlflow, "churn-live")) == 1
    code, said, _ = run(
        tmp_path, "monitor", "--since", "2026-11-02", "--now", NOW.isoformat(), "--version", "3", MLFLOW_TRACKING_URI=mlflow
    )
    assert (code, "has no version 3" in said) == (2, True)


def _copy(folder: Path) -> Path:
    other = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, other)
    return other


def test_predictions_that_somebody_changed_on_the_server_are_refused(tmp_path: Path, mlflow: str) -> None:
    production = Production(tmp_path)
    server = Server(mlflow, "churn-forged")
    version = server.register(tmp_path / "release/predictions.parquet")
    run_id = server.client.get_model_version("churn-forged", str(version)).run_id
    server.client.set_tag(run_id, TAG_PREDICTIONS, f"sha256:{'1' * 64}")
    production.config["registry"] = {"name": "churn-forged"}
    production.write()
    code, said, _ = run(tmp_path, "monitor", "--since", "2026-11-02", "--version", "1", MLFLOW_TRACKING_URI=mlflow)
    assert (code, "are not what was registered" in said) == (2, True)


def test_without_a_deployment_there_is_no_live_version(tmp_path: Path, mlflow: str) -> None:
    production = Production(tmp_path)
    server = Server(mlflow, "churn-idle")
    server.register(tmp_path / "release/predictions.parquet")
    production.config |= {
        "registry": {"name": "churn-idle"},
        "deploy": {"environments": {"production": {"target": {"directory": "served"}}}},
    }
    production.write()
    code, said, _ = run(tmp_path, "monitor", "--since", "2026-11-02", MLFLOW_TRACKING_URI=mlflow)
    assert (code, "nothing of `churn-idle` is live in production" in said) == (2, True)


def test_a_loss_asks_for_one_retrain_however_often_somebody_asks(tmp_path: Path, mlflow: str) -> None:
    production = Production(tmp_path, noise=4.0)
    server = Server(mlflow, "churn-lost")
    server.register(tmp_path / "release/predictions.parquet")
    production.log = production.log.assign(version=1, model="churn-lost")
    production.config["data"].pop("reference")
    production.config["registry"] = {"name": "churn-lost"}
    production.config["retrain"] = {"cooldown": "14d"}
    production.write()
    on_server = {"MLFLOW_TRACKING_URI": mlflow}
    code, said, _ = run(tmp_path, "retrain", **on_server)
    assert (code, "nobody has looked" in said) == (2, True)
    code, said, _ = run(tmp_path, "monitor", "--since", "2026-11-02", "--now", NOW.isoformat(), "--version", "1", **on_server)
    assert code == 1, said
    tried = run(tmp_path, "retrain", "--now", NOW.isoformat(), "--dry-run", "true", **on_server)
    assert (tried[0], tried[2]["retrain"], tried[2]["mlflow-url"]) == (0, "true", "")
    first = run(tmp_path, "retrain", "--now", NOW.isoformat(), **on_server)
    assert (first[0], first[2]["retrain"], first[2]["in-trouble"], first[2]["version"]) == (0, "true", "true", "1"), first[1]
    again = run(tmp_path, "retrain", "--now", NOW.isoformat(), **on_server)
    assert (again[0], again[2]["retrain"], again[2]["in-trouble"]) == (0, "false", "true"), again[1]
    assert "a retrain was asked for 0 days ago, until 2026-12-23" in again[1]
    (asked,) = recall(Recall(tracking_uri=mlflow, name="churn-lost")).asked
    assert asked.at == NOW
    assert asked.why.startswith("performance: roc_auc ")
