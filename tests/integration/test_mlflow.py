"""Training logged to, and baselines read from, a real MLflow server."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import mlflow as client_library
import pytest
from mlflow import MlflowClient

from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.git import Git
from modelship.gate.baseline import Located, Places, fetch_model, find_baseline
from modelship.registry import runs as runs_module
from modelship.registry.lookup import Lookup
from modelship.registry.runs import Runs
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


# Predictions and models ------------------------------------------------------------------------------------------------------------

ROWS = "id,truth,prediction,score\n1,1,1,0.75\n2,0,1,0.5\n"


@pytest.fixture
def predicting(named: tuple[Project, str]) -> tuple[Project, str]:
    """The project with a training that writes predictions, too."""
    project, model = named
    project.write("modelship.yaml", CONFIG.replace("flight-delay", model).replace("train: {", "train: {predictions: out/rows.csv, "))
    project.trains(
        f"import json, pathlib\njson.dump({METRICS}, open('metrics.json', 'w'))\n"
        f"pathlib.Path('out').mkdir(exist_ok=True)\npathlib.Path('out/rows.csv').write_text({ROWS!r})\n"
    )
    project.write(".gitignore", "out/\n")
    project.commit("predict")
    return project, model


def places(project: Project, model: str, uri: str) -> Places:
    base = project.git("rev-parse", "HEAD")
    return Places(
        Git(project.directory), project.directory, "metrics.json", base, model, model, lambda: Lookup(uri), model_path="model"
    )


def located(spec: str, where: Places) -> Located:
    found = find_baseline(spec, where)
    assert found.metrics
    assert found.predictions
    return found.predictions()


def promote(client: MlflowClient, model: str, source: str, run: str) -> None:
    client.create_registered_model(model)
    model_id = source.removeprefix("models:/") if source.startswith("models:/") else None
    version = client.create_model_version(model, source, run_id=run, model_id=model_id).version
    client.set_registered_model_alias(model, "champion", version)


def test_predictions_are_logged_and_found_again(predicting: tuple[Project, str], mlflow: str) -> None:
    project, model = predicting
    ran = project.run("train", "--tracking-uri", mlflow)
    assert ran.exit_code == 0, ran.log
    run, client = ran.outputs["mlflow-run"], MlflowClient(mlflow)
    assert {file.path for file in client.list_artifacts(run, "modelship")} == {"modelship/predictions.csv", "modelship/train.json"}
    digest = hashlib.sha256(ROWS.encode()).hexdigest()
    assert client.get_run(run).data.tags["modelship.predictions"] == f"sha256:{digest}"
    promote(client, model, f"runs:/{run}/model", run)
    for spec in ("base", "champion", f"run:{run}"):
        there = located(spec, places(project, model, mlflow))
        assert there.path, there.why_absent
        assert (there.path.read_text(), there.name) == (ROWS, f"predictions.csv of MLflow run {run[:12]}")


def test_a_repeated_step_replaces_its_predictions(predicting: tuple[Project, str], mlflow: str) -> None:
    project, model = predicting
    project.push_event("0" * 40, project.git("rev-parse", "HEAD"))
    project.run("train", "--tracking-uri", mlflow)
    project.trains((project.directory / "train.py").read_text().replace("0.75", "0.25"))
    assert project.run("train", "--tracking-uri", mlflow).exit_code == 0
    there = located("base", places(project, model, mlflow))
    assert there.path, there.why_absent
    assert there.path.read_text() == ROWS.replace("0.75", "0.25")


def test_a_run_without_predictions_says_so(named: tuple[Project, str], mlflow: str) -> None:
    project, model = named
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    there = located("base", places(project, model, mlflow))
    assert (there.path, there.why_absent) == (None, f"MLflow run {run[:12]} was logged without any")


def test_predictions_that_are_not_those_that_were_logged_are_refused(
    predicting: tuple[Project, str], mlflow: str, tmp_path: Path
) -> None:
    project, model = predicting
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    (tmp_path / "predictions.csv").write_text(ROWS + "3,0,0,0.1\n")
    MlflowClient(mlflow).log_artifact(run, str(tmp_path / "predictions.csv"), "modelship")
    with pytest.raises(InfrastructureError, match="is not what training logged"):
        located("base", places(project, model, mlflow))
    (tmp_path / "predictions.parquet").write_text("x")
    MlflowClient(mlflow).log_artifact(run, str(tmp_path / "predictions.parquet"), "modelship")
    with pytest.raises(BadInput, match=r"holds predictions\.parquet and predictions\.csv"):
        located("base", places(project, model, mlflow))


def test_a_file_that_is_too_large_is_not_fetched(
    predicting: tuple[Project, str], mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = predicting
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    monkeypatch.setattr(runs_module, "MAX_BYTES", len(ROWS) - 1)
    with pytest.raises(BadInput, match="At most"):
        Runs(mlflow).fetch_predictions(run, str(tmp_path))
    assert list(tmp_path.glob("modelship*")) == []


def model_folder(path: Path) -> Path:
    path.mkdir()
    (path / "MLmodel").write_text("flavors: {python_function: {loader_module: nothing}}\n")
    (path / "weights").write_text("1")
    return path


def as_artifacts(client: MlflowClient, experiment: str, folder: Path) -> tuple[str, str]:
    """A run with the model as a folder of artifacts, and the model's URI."""
    run = client.create_run(experiment).info.run_id
    client.log_artifacts(run, str(folder), "model")
    return run, f"runs:/{run}/model"


def as_logged_model(client: MlflowClient, experiment: str, folder: Path) -> tuple[str, str]:
    """A run with the model as MLflow 3 logs one, and the model's URI."""
    from mlflow.entities import LoggedModelOutput

    run = client.create_run(experiment).info.run_id
    logged = client.create_logged_model(experiment, name="anything", source_run_id=run)
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, 0)])
    return run, f"models:/{logged.model_id}"


@pytest.mark.parametrize("log", [as_artifacts, as_logged_model])
def test_models_of_a_run_and_of_the_champion(
    named: tuple[Project, str], mlflow: str, tmp_path: Path, log: Callable[[MlflowClient, str, Path], tuple[str, str]]
) -> None:
    project, model = named
    client = MlflowClient(mlflow)
    client_library.set_tracking_uri(mlflow)
    run, source = log(client, client.create_experiment(model), model_folder(tmp_path / "model"))
    where = places(project, model, mlflow)
    assert fetch_model("champion", where, tmp_path / "none").why_absent == f"MLflow has no {model}@champion"
    promote(client, model, source, run)
    for number, spec in enumerate(("champion", f"run:{run}")):
        found = fetch_model(spec, where, tmp_path / str(number))
        assert found.path == tmp_path / str(number), found.why_absent
        assert {"MLmodel", "weights"} <= {path.name for path in found.path.iterdir()}
        assert (found.path / "weights").read_text() == "1"


def test_a_run_without_a_model_and_one_with_several(named: tuple[Project, str], mlflow: str, tmp_path: Path) -> None:
    project, model = named
    client = MlflowClient(mlflow)
    where = places(project, model, mlflow)
    run = client.create_run(client.create_experiment(model)).info.run_id
    promote(client, model, f"runs:/{run}/model", run)
    assert "has no model files" in fetch_model(f"run:{run}", where, tmp_path / "fetched").why_absent
    assert f"{model} v1 has no model files" in fetch_model("champion", where, tmp_path / "fetched").why_absent
    for name in ("one", "other"):
        client.log_artifacts(run, str(model_folder(tmp_path / name)), name)
    with pytest.raises(BadInput, match="logged several models: `one`, `other`"):
        fetch_model(f"run:{run}", where, tmp_path / "fetched")
    client.log_artifacts(run, str(model_folder(tmp_path / "model")), "model")
    assert fetch_model(f"run:{run}", where, tmp_path / "fetched").path


def test_the_base_commits_run_gives_its_model_else_the_commit_does(named: tuple[Project, str], mlflow: str, tmp_path: Path) -> None:
    project, model = named
    project.write("model/MLmodel", "in git")
    project.commit("model")
    where = places(project, model, mlflow)
    run = project.run("train", "--tracking-uri", mlflow).outputs["mlflow-run"]
    found = fetch_model("base", where, tmp_path / "git")
    assert found.path
    assert (found.path / "MLmodel").read_text() == "in git"
    MlflowClient(mlflow).log_artifacts(run, str(model_folder(tmp_path / "model")), "model")
    assert fetch_model("base", where, tmp_path / "run").name == f"the model of MLflow run {run[:12]}"


def test_a_lookup_at_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lookup = Lookup(f"http://user:secret@127.0.0.1:{free_port()}")
    for ask in (lambda: lookup.get("1"), lambda: lookup.champion("m"), lambda: lookup.fetch_predictions("1", tmp_path)):
        with pytest.raises(InfrastructureError, match=r"the MLflow server at 127\.0\.0\.1 did not answer") as caught:
            ask()
        assert "secret" not in str(caught.value)


def test_a_lookup_whose_client_breaks_says_how() -> None:
    with pytest.raises(InfrastructureError, match="the MLflow client ended with status 1"):
        Lookup("no-such-scheme://x").get("1")
