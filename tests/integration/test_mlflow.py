"""Training logged to, and baselines read from, a real MLflow server."""

from __future__ import annotations

import json
import uuid

import pytest
from mlflow import MlflowClient

from tests.project import CONFIG, METRICS, Project
from tests.servers import free_port


@pytest.fixture
def named(project: Project) -> tuple[Project, str]:
    """The project under a model name that no other test uses."""
    model = f"model-{uuid.uuid4().hex[:8]}"
    project.write("modelship.yaml", CONFIG.replace("flight-delay", model))
    project.commit("name")
    return project, model


def test_a_run_holds_metrics_params_and_lineage(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named

    ran = project.run("train", "--tracking-uri", mlflow)

    assert ran.exit_code == 0, ran.log
    run = MlflowClient(mlflow).get_run(ran.outputs["mlflow-run"])
    assert run.data.metrics == METRICS
    assert run.data.params == {"learning_rate": "0.1"}
    assert run.data.tags["modelship.commit"] == project.git("rev-parse", "HEAD")
    assert run.data.tags["modelship.model"] == model
    assert run.info.status == "FINISHED"
    assert project.record("train")["mlflow-url"].startswith(f"{mlflow}/")


def test_the_run_that_training_starts_itself_is_completed(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named
    project.trains(
        "import json, mlflow\n"
        f"mlflow.set_experiment('{model}-of-their-own')\n"
        "with mlflow.start_run():\n"
        "    mlflow.log_metric('epochs', 3)\n"
        "    mlflow.log_param('learning_rate', 0.1)\n"
        f"json.dump({METRICS}, open('metrics.json', 'w'))\n"
    )
    project.commit()

    ran = project.run("train", "--tracking-uri", mlflow)

    assert ran.exit_code == 0, ran.log
    client = MlflowClient(mlflow)
    experiment = client.get_experiment_by_name(f"{model}-of-their-own")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == ran.outputs["mlflow-run"]
    assert run.data.metrics == {**METRICS, "epochs": 3.0}


def test_training_sees_none_of_the_settings_that_we_give_our_own_client(named: tuple[Project, str], mlflow: str) -> None:
    project, _ = named
    project.trains(
        f"import json, os\njson.dump({METRICS}, open('metrics.json', 'w'))\n"
        "json.dump([name for name in os.environ if name.startswith('MLFLOW_')], open('seen.json', 'w'))\n"
    )
    project.run("train", "--tracking-uri", mlflow)
    seen = json.loads((project.directory / "seen.json").read_text())
    assert set(seen) == {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_CONTEXT"}


def test_a_repeated_step_of_one_workflow_run_logs_once(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named
    project.push_event("0" * 40, project.git("rev-parse", "HEAD"))
    first, second = project.run("train", "--tracking-uri", mlflow), project.run("train", "--tracking-uri", mlflow)
    assert first.outputs["mlflow-run"] == second.outputs["mlflow-run"] != ""
    client = MlflowClient(mlflow)
    assert len(client.search_runs([client.get_experiment_by_name(model).experiment_id])) == 1


def test_base_is_the_run_of_the_base_commit(named: tuple[Project, str], mlflow: str) -> None:
    project, _ = named
    base = project.git("rev-parse", "HEAD")
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    project.git("rm", "-q", "--cached", "metrics.json")
    head = project.commit("later")
    project.pull_request_event(base, head)

    ran = project.run("metric-gate", "--candidate", "metrics.json", "--tracking-uri", mlflow)

    assert ran.exit_code == 0, ran.log
    assert project.record("metric-gate")["baseline"]["source"] == f"MLflow run {run[:12]}"
    assert ran.outputs["baseline"] == f"base {base[:7]}"


def test_run_and_champion(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    project.write("worse.json", json.dumps({"roc_auc": 0.72, "log_loss": 0.5}))
    gate = ("metric-gate", "--candidate", "worse.json", "--tracking-uri", mlflow)
    assert project.run(*gate, "--baseline", f"run:{run}").exit_code == 1
    assert project.run(*gate, "--baseline", "run:0123456789abcdef0123456789abcdef").exit_code == 2
    assert project.run(*gate, "--baseline", "champion").exit_code == 2, "no champion yet, and a first run is not allowed"
    assert project.run(*gate, "--baseline", "champion", "--first-run", "allow").exit_code == 0
    client = MlflowClient(mlflow)
    client.create_registered_model(model)
    version = client.create_model_version(model, f"runs:/{run}/model", run_id=run).version
    client.set_registered_model_alias(model, "champion", version)

    ran = project.run(*gate, "--baseline", "champion")

    assert ran.exit_code == 1
    baseline = project.record("metric-gate")["baseline"]
    assert (baseline["label"], baseline["commit"]) == ("champion v1", project.git("rev-parse", "HEAD"))


def test_names_that_mlflow_refuses_are_logged_and_compared(named: tuple[Project, str], mlflow: str) -> None:
    project, _ = named
    metrics = {"precision@10": 0.8, "precision_10": 0.1, "a//b": 1, "../up": 2, "/top": 3, "": 4, "x" * 251: 5, "f1 (macro)": 0.6}
    project.trains(f"import json\njson.dump({metrics}, open('metrics.json', 'w'))\n")
    project.write("params.yaml", "'features[0]': hour\n'': nothing\n")
    limits = "{precision@10: &limit {max-regression: 0.05, better: higher}, f1 (macro): *limit}"
    base = project.commit()
    ran = project.run("train", "--tracking-uri", mlflow)
    assert ran.exit_code == 0, ran.log
    run = MlflowClient(mlflow).get_run(ran.outputs["mlflow-run"])
    assert len(run.data.metrics) == len(metrics)
    assert sorted(run.data.params.values()) == ["hour", "nothing"]
    project.write("worse.json", '{"precision@10": 0.7, "f1 (macro)": 0.6}')
    gate = ("metric-gate", "--candidate", "worse.json", "--tracking-uri", mlflow, "--metrics", limits)
    for baseline in (f"run:{run.info.run_id}", "base"):
        assert project.run(*gate, "--baseline", baseline, "--base", base).exit_code == 1
        verdicts = {verdict["metric"]: verdict["state"] for verdict in project.record("metric-gate")["metrics"]}
        assert verdicts == {"precision@10": "fail", "f1 (macro)": "pass"}


def test_an_infinite_baseline_is_no_baseline_to_pass_against(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named
    client = MlflowClient(mlflow)
    run = client.create_run(client.create_experiment(model))
    client.log_metric(run.info.run_id, "roc_auc", float("-inf"))
    client.log_metric(run.info.run_id, "log_loss", 0.5)
    gate = project.run("metric-gate", "--candidate", "metrics.json", "--tracking-uri", mlflow, "--baseline", f"run:{run.info.run_id}")
    assert gate.exit_code == 2
    assert project.record("metric-gate")["metrics"][0]["state"] == "invalid"


def test_a_server_that_does_not_answer_ends_training_before_it_begins(project: Project) -> None:
    project.trains("open('trained', 'w').close()")
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert project.run("train", "--tracking-uri", nowhere, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0").exit_code == 3
    assert not (project.directory / "trained").exists()
    assert project.run("metric-gate", "--candidate", "metrics.json", "--tracking-uri", nowhere).exit_code == 3


def test_a_password_in_the_address_is_not_shown(project: Project) -> None:
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    judged = project.run("metric-gate", "--candidate", "metrics.json", "--tracking-uri", uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert judged.exit_code == 3
    assert "did not answer" in judged.log
    assert "secret" not in judged.log + str(project.record("metric-gate"))
