"""A pull request through the real workflows, judged by what is on GitHub in the end."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from ruamel.yaml import YAML

from .act import Run
from .demo import BLOCKED, CHECK, HARMFUL, HARMLESS, MARKER, PASSED
from .github import Comment
from .markdown import headline, plain
from .moment import Moment, after
from .team import record
from .world import World, stored

pytestmark = [pytest.mark.usefixtures("baseline"), pytest.mark.xdist_group("template")]


@pytest.fixture(scope="module")
def good(world: World, baseline: Run) -> Moment:
    pull = world.open_pull_request("good", {"params.yaml": lambda text: text.replace(*HARMLESS)}, "Tune the model")
    return after(world, pull, world.run_pull_request(pull, action="opened"))


@pytest.fixture(scope="module")
def story(world: World, baseline: Run) -> tuple[Comment, Moment, Moment]:
    """A stranger's comment with a forged marker, then a bad head, then its repair, all on one pull request."""
    pull = world.open_pull_request("bad", {"params.yaml": lambda text: text.replace(*HARMFUL)}, "Drop a feature")
    forged = world.comment_as_stranger(pull, f"{MARKER}\n## {PASSED} all is well")
    bad = after(world, pull, world.run_pull_request(pull, action="opened"))
    world.push({"params.yaml": world.repository.read("params.yaml").replace(*HARMLESS)}, "Repair", branch=pull.branch)
    return forged, bad, after(world, pull, world.run_pull_request(pull))


def test_baseline_passes_and_reports_on_the_commit(world: World, baseline: Run) -> None:
    (check,) = (check for check in world.check_runs(baseline.head_sha) if check.name == CHECK)
    assert check.conclusion == "success"


def test_good_change_passes(good: Moment) -> None:
    assert good.run.succeeded, good.run.log
    assert good.headline.startswith(PASSED)
    assert good.ours.author_type == "Bot"
    assert good.run.head_sha[:7] in plain(good.ours.body)
    assert good.check.conclusion == "success"


def test_bad_change_is_blocked_by_the_judge(story: tuple[Comment, Moment, Moment]) -> None:
    _, bad, _ = story
    assert bad.run.jobs["train"].conclusion == "success", bad.run.log
    assert bad.run.jobs["judge"].conclusion == "failure", bad.run.log
    assert bad.run.exit_code == 1
    assert bad.headline.startswith(BLOCKED)
    assert "roc_auc" in plain(bad.ours.body)
    assert bad.check.conclusion == "failure"


def test_repair_updates_the_same_comment(story: tuple[Comment, Moment, Moment]) -> None:
    _, bad, repaired = story
    assert repaired.run.succeeded, repaired.run.log
    assert repaired.ours.id == bad.ours.id
    assert repaired.headline.startswith(PASSED)
    assert repaired.run.head_sha[:7] in plain(repaired.ours.body)
    assert repaired.check.conclusion == "success"


def test_comment_of_somebody_else_with_our_marker_is_left_alone(story: tuple[Comment, Moment, Moment]) -> None:
    forged, _, repaired = story
    (kept,) = (comment for comment in repaired.comments if comment.id == forged.id)
    assert (kept.author, kept.body, kept.updated_at) == (forged.author, forged.body, kept.created_at)
    assert len(repaired.comments) == 2


def test_report_page_is_an_artifact_that_the_comment_links_to(story: tuple[Comment, Moment, Moment]) -> None:
    _, bad, _ = story
    report = bad.run.artifacts["report-flight-delay.html"]
    assert report.url in bad.ours.body
    assert "roc_auc" in report.file.read_text(encoding="utf-8")


def test_job_summary_says_what_the_comment_says(story: tuple[Comment, Moment, Moment]) -> None:
    _, bad, _ = story
    assert headline(bad.run.jobs["judge"].summary) == bad.headline


def test_old_run_started_again_leaves_the_newer_comment_alone(world: World, baseline: Run) -> None:
    pull = world.open_pull_request("stale", {"params.yaml": lambda text: text.replace(*HARMFUL)}, "Drop a feature")
    old = world.repository.tip(pull.branch)
    world.push({"params.yaml": world.repository.read("params.yaml").replace(*HARMLESS)}, "Repair", branch=pull.branch)
    new = after(world, pull, world.run_pull_request(pull))
    again = after(world, pull, world.run_pull_request(pull, head=old))
    assert new.headline.startswith(PASSED)
    assert again.ours.body == new.ours.body
    assert again.check.conclusion == "failure", "the verdict on the old commit stands at the old commit"


def test_read_only_token_still_judges_and_fails(world: World, baseline: Run) -> None:
    """A fork's pull request: no comment can be made, and the verdict must not turn into a pass by that."""
    pull = world.open_pull_request("fork", {"params.yaml": lambda text: text.replace(*HARMFUL)}, "From a fork")
    run = world.run_pull_request(pull, action="opened", permissions={"contents": "read"})
    assert not run.succeeded
    assert world.comments(pull) == []
    assert f"## {BLOCKED}" in run.jobs["judge"].summary


def test_a_table_may_be_a_dataset_of_an_mlflow_run(world: World, baseline: Run, tmp_path: Path) -> None:
    lock = YAML(typ="safe", pure=True).load(world.repository.read("dvc.lock"))
    (md5,) = {out["md5"] for stage in lock["stages"].values() for out in stage["outs"] if out["path"] == "data/train.parquet"}
    table = tmp_path / "train.parquet"
    shutil.copyfile(stored(world.repository.work, md5), table)
    client = MlflowClient(world.mlflow_uri)
    logged = client.create_run(client.create_experiment("tables")).info
    client.log_artifact(logged.run_id, str(table), "data")
    path = f"{logged.artifact_uri.removeprefix('mlflow-artifacts:/')}/data/{table.name}"
    source = json.dumps({"url": f"{world.mlflow_uri}/api/2.0/mlflow-artifacts/artifacts/{path}"})
    client.log_inputs(logged.run_id, [DatasetInput(Dataset(name="flights", digest="0", source_type="http", source=source))])

    reads = f"reference: {{mlflow-run: {logged.run_id}, dataset: flights}}"
    pull = world.open_pull_request(
        "dataset", {"modelship.yaml": lambda text: re.sub("reference: .*", reads, text)}, "Read from MLflow"
    )
    moment = after(world, pull, world.run_pull_request(pull, action="opened"))

    assert moment.run.jobs["train"].conclusion == "success", moment.run.log
    name = f"dataset flights of MLflow run {logged.run_id}"
    rows = len(pd.read_parquet(table))
    validated, compared = (record(moment.run, command)["tables"][0] for command in ("validate", "drift-report"))
    assert (validated["path"], validated["rows"]) == (name, rows)
    assert (compared["source"], compared["rows"]) == (name, rows)
