"""Training through the real command line: what it records, what it withholds, and how it ends when the team's command does not."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time

import pytest

from modelship.core.run_directory import RunDirectory
from tests.integration.test_dvc_pull import dvc
from tests.project import Project


def is_running(pid: int) -> bool:
    """Whether the process is there; one that has ended and that nobody has waited for is not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_records_metrics_params_packages_and_commit(project: Project) -> None:
    ran = project.run("train")

    assert ran.exit_code == 0, ran.log
    record = project.record("train")
    assert record["metrics"] == {"roc_auc": 0.744, "log_loss": 0.5391}
    assert record["params"] == {"learning_rate": 0.1}
    assert record["commit"] == project.git("rev-parse", "HEAD")
    assert record["dirty"] is False
    assert "pytest" in record["packages"]
    assert record["python"].startswith("3.")
    assert record["peak-memory-bytes"] > 1_000_000
    assert record["training-seconds"] > 0
    assert ran.outputs["evidence-digest"] == RunDirectory(project.directory / ".modelship").digest()


def test_records_what_dvc_tracks(project: Project) -> None:
    project.write("data/raw.csv.dvc", "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  size: 12\n  hash: md5\n  path: raw.csv\n")
    project.commit()

    project.run("train")

    assert project.record("train")["data"] == [
        {"path": "data/raw.csv", "hash": "md5:0123456789abcdef0123456789abcdef", "bytes": 12, "files": None}
    ]


def test_nested_toml_and_yaml_metrics_are_flattened(project: Project) -> None:
    project.trains("open('m.toml', 'w').write('[test]\\nroc_auc = 0.7\\n')")
    assert project.run("train", "--metrics", "m.toml").exit_code == 0
    assert project.record("train")["metrics"] == {"test.roc_auc": 0.7}
    project.trains("open('m.yaml', 'w').write('test:\\n  loss: 1e-3\\n')")
    assert project.run("train", "--metrics", "m.yaml").exit_code == 0
    assert project.record("train")["metrics"] == {"test.loss": 0.001}


def test_training_sees_the_teams_variables_and_none_of_ours(project: Project) -> None:
    project.trains(
        "import json, os\n"
        "json.dump({'roc_auc': 0.7}, open('metrics.json', 'w'))\n"
        "json.dump(dict(os.environ), open('seen.json', 'w'))\n"
    )
    canary = "canary-4711"
    secrets = {
        "GITHUB_TOKEN": canary,
        "GH_TOKEN": canary,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": canary,
        "ACTIONS_RUNTIME_TOKEN": canary,
        "MODELSHIP_COMMENT_GITHUB_TOKEN": canary,
        "GITHUB_ENV": "/nowhere",
        "GITHUB_PATH": "/nowhere",
    }

    project.run("train", VIRTUAL_ENV="/team/venv", UV_PYTHON="3.9", PYTHONHASHSEED="7", **secrets)

    seen = json.loads((project.directory / "seen.json").read_text())
    assert canary not in seen.values()
    assert not {"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} & set(seen)
    assert {name: seen[name] for name in ("VIRTUAL_ENV", "UV_PYTHON", "PYTHONHASHSEED")} == {
        "VIRTUAL_ENV": "/team/venv",
        "UV_PYTHON": "3.9",
        "PYTHONHASHSEED": "7",
    }


def test_workflow_commands_in_the_log_are_stopped_while_training_prints(project: Project) -> None:
    project.trains("print('::set-env name=X::y'); open('metrics.json', 'w').write('{\"roc_auc\": 0.7}')")
    project.push_event("0" * 40, project.git("rev-parse", "HEAD"))

    lines = project.run("train").log.splitlines()

    stop = next(index for index, line in enumerate(lines) if line.startswith("::stop-commands::"))
    token = lines[stop].removeprefix("::stop-commands::")
    assert stop < lines.index("::set-env name=X::y") < lines.index(f"::{token}::")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; print('no such column: hour'); sys.exit(7)", "exit status 7"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9. Most likely there was not enough memory"),
        ("pass", "left `metrics.json` as it was"),
        ("import os; os.remove('metrics.json')", "did not write `metrics.json`"),
        ("open('metrics.json', 'w').write('{\"roc_auc\": 0.7')", "ends too early"),
        ("open('metrics.json', 'w').write('')", "is empty"),
        ("open('metrics.json', 'w').write('{\"roc_auc\": 0.7, \"roc_auc\": 0.9}')", "`roc_auc` twice"),
        ("open('metrics.json', 'wb').write(b'\\xef\\xbb\\xbf{}')", "byte order mark"),
        ("open('metrics.json', 'w').write('{}')", "holds no metrics"),
        ("open('metrics.json', 'w').write('[0.7]')", "not a mapping"),
        ("open('.modelship/validate.json', 'w').write('{}')", "wrote into the run directory"),
    ],
)
def test_a_training_that_gives_nothing_to_judge_exits_2_and_says_why(project: Project, code: str, says: str) -> None:
    (project.directory / ".modelship").mkdir()
    project.trains(code)
    project.commit()

    ran = project.run("train")

    assert ran.exit_code == 2, ran.log
    record = project.record("train")
    assert record["status"] == "error"
    assert says in record["summary"]
    assert project.run("metric-gate").exit_code == 2


def test_the_end_of_a_failed_log_is_kept(project: Project) -> None:
    project.trains("print('a\\x1b[31mred'); raise SystemExit(1)")
    project.run("train")
    assert project.record("train")["log-tail"] == ["a·[31mred"]


def test_a_hanging_training_is_stopped_with_all_its_children(project: Project) -> None:
    project.write("train.sh", "sleep 300 & echo $! > child; sleep 300")

    started = time.monotonic()
    ran = project.run("train", "--run", "bash train.sh", "--timeout", "2s")

    assert ran.exit_code == 2
    assert "stopped after 2s" in project.record("train")["summary"]
    assert time.monotonic() - started < 60
    child = int((project.directory / "child").read_text())
    assert not is_running(child)


def test_a_background_child_does_not_outlive_training(project: Project) -> None:
    project.write("train.sh", "sleep 300 & echo $! > child; echo '{\"roc_auc\": 0.7}' > metrics.json")
    assert project.run("train", "--run", "bash train.sh").exit_code == 0
    child = int((project.directory / "child").read_text())
    assert not is_running(child)


def test_metrics_that_the_commit_holds_but_training_did_not_write_are_named(project: Project) -> None:
    project.metrics(roc_auc=0.9)
    project.commit()
    project.run("train")
    assert project.record("train")["metrics-uncommitted"] is True
    project.run("metric-gate")
    assert any("`metrics.json` in this commit is of another model" in notice for notice in project.record("metric-gate")["notices"])


PREDICTING = "open('metrics.json', 'w').write('{\"roc_auc\": 0.7}'); "


def predicting(project: Project, code: str, name: str = "rows.csv") -> None:
    project.write("modelship.yaml", f"model: m\ntrain: {{run: python train.py, metrics: metrics.json, predictions: {name}}}\n")
    project.trains(PREDICTING + code)
    project.commit("predict")


def test_predictions_are_recorded_and_kept(project: Project) -> None:
    predicting(project, "open('rows.csv', 'w').write('id')")
    ran = project.run("train")
    assert ran.exit_code == 0, ran.log
    digest = hashlib.sha256(b"id").hexdigest()
    assert project.record("train")["predictions"] == {"path": "rows.csv", "hash": f"sha256:{digest}", "bytes": 2, "files": None}
    assert (project.directory / ".modelship" / "files" / "rows.csv").read_text() == "id"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("pass", "training left `rows.csv` as it was"),
        ("import os; os.remove('rows.csv')", "training did not write `rows.csv`. Is `train.predictions` right?"),
        ("open('rows.csv', 'w').truncate(512 * 1024**2 + 1)", "`rows.csv` is larger than 512 MiB"),
    ],
)
def test_predictions_that_are_no_evidence_end_training(project: Project, code: str, says: str) -> None:
    project.write("rows.csv", "of an older model")
    predicting(project, code)
    ran = project.run("train")
    assert ran.exit_code == 2, ran.log
    assert says in project.record("train")["summary"]
    assert project.record("train")["predictions"] is None
    assert not (project.directory / ".modelship" / "files" / "rows.csv").exists()


@pytest.mark.parametrize(("out", "name"), [("rows.csv", "rows.csv"), ("out", "out/rows.csv")])
def test_predictions_that_dvc_found_up_to_date_are_those_of_this_commit(project: Project, out: str, name: str) -> None:
    dvc(project, "init", "--quiet")
    project.write("dvc.yaml", f"stages:\n  train:\n    cmd: mkdir -p out && echo id > {name}\n    outs: [{out}]\n")
    dvc(project, "repro", "--quiet")
    predicting(project, "pass", name)
    ran = project.run("train")
    assert ran.exit_code == 0, ran.log
    project.write(name, "other")
    assert project.run("train").exit_code == 2


def test_predictions_in_an_unknown_format_are_named_before_training(project: Project) -> None:
    predicting(project, "open('trained', 'w').close()", "rows.feather")
    ran = project.run("train")
    assert ran.exit_code == 2
    assert "Predictions are read from Parquet or CSV" in ran.log
    assert not (project.directory / "trained").exists()


@pytest.mark.parametrize("missing", ["train.run", "train.metrics"])
def test_what_is_not_configured_is_named(project: Project, missing: str) -> None:
    key = missing.partition(".")[2]
    project.write("modelship.yaml", "model: m\ntrain: {" + ("metrics: metrics.json" if key == "run" else "run: 'true'") + "}\n")
    ran = project.run("train")
    assert ran.exit_code == 2
    assert f"`{missing}` is not set" in ran.log


def test_inputs_do_without_a_file(project: Project) -> None:
    (project.directory / "modelship.yaml").unlink()
    ran = project.run("train", "--model", "m", "--run", "python train.py", "--metrics", "metrics.json")
    assert ran.exit_code == 0, ran.log
    assert project.record("train")["model"] == "m"


def test_tables_that_training_makes_anew_are_to_be_validated_again(project: Project) -> None:
    project.write("modelship.yaml", "model: m\ndata: {current: holdout.csv}\ntrain: {run: python train.py, metrics: metrics.json}\n")
    project.write("holdout.csv", "a\n1\n")
    assert project.run("train").outputs["tables-changed"] == "false"
    project.trains("open('metrics.json', 'w').write('{\"roc_auc\": 0.7}'); open('holdout.csv', 'w').write('a\\n2\\n')")
    assert project.run("train").outputs["tables-changed"] == "true"


def test_a_name_that_is_no_text_is_an_error_with_an_annotation(project: Project) -> None:
    name = os.fsdecode(b"data-\xff/raw.csv.dvc")
    project.write(name, "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  hash: md5\n  path: raw.csv\n")

    ran = project.run("train", GITHUB_ACTIONS="true")

    assert ran.exit_code == 2, ran.log
    assert "::error title=modelship train::the record cannot be written" in ran.log
    assert "Traceback" not in ran.log


def test_training_that_commits_speaks_of_the_commit_that_it_was_given(project: Project) -> None:
    head = project.git("rev-parse", "HEAD")
    command = 'echo \'{"roc_auc": 0.75, "log_loss": 0.5}\' > metrics.json; git -c user.name=a -c user.email=a@b commit -qam auto'

    assert project.run("train", "--run", command).exit_code == 0

    assert project.record("train")["commit"] == head != project.git("rev-parse", "HEAD")


@pytest.mark.parametrize("command", ["printf 'epoch 1/9'; sleep 60", "printf 'epoch 1/9\\r'; exit 1", "printf 'done \\n '; exit 1"])
def test_a_last_line_without_an_end_does_not_silence_what_follows(project: Project, command: str) -> None:
    ran = project.run("train", "--run", command, "--timeout", "1s", GITHUB_ACTIONS="true")

    assert ran.exit_code == 2
    lines = ran.log.split("\n")
    stopped = next(line for line in lines if line.startswith("::stop-commands::")).removeprefix("::stop-commands::")
    assert f"::{stopped}::" in lines
    assert any(line.startswith("::error") for line in lines)
