"""The gate through the real command line: exit codes, records, policy of the base commit, evidence of another job."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from modelship.core.records import MetricGateRecord
from modelship.core.run_directory import RunDirectory
from tests.project import CONFIG, Project

BAD_METRICS = {
    "missing file": (None, "does not exist"),
    "empty": ("", "is empty"),
    "truncated": ('{"roc_auc": 0.7', "ends too early"),
    "not JSON": ("roc_auc: 0.7", "is not valid JSON"),
    "byte order mark": ("\ufeff{}", "byte order mark"),
    "duplicate keys": ('{"roc_auc": 0.7, "log_loss": 1, "roc_auc": 0.8}', "`roc_auc` twice"),
    "NaN": ('{"roc_auc": NaN, "log_loss": 0.5}', "it is NaN"),
    "Infinity": ('{"roc_auc": Infinity, "log_loss": 0.5}', "it is infinite"),
    "string": ('{"roc_auc": "0.9", "log_loss": 0.5}', "it is the text `0.9`"),
    "boolean": ('{"roc_auc": true, "log_loss": 0.5}', "it is the boolean `true`"),
    "null": ('{"roc_auc": null, "log_loss": 0.5}', "it is empty"),
    "other name": ('{"roc_auv": 0.7, "log_loss": 0.5}', "Did you mean `roc_auv`?"),
    "a list": ("[0.7]", "not a mapping"),
    "huge number": ('{"roc_auc": 1e400, "log_loss": 0.5}', "it is infinite"),
}


@pytest.mark.parametrize(("content", "says"), BAD_METRICS.values(), ids=BAD_METRICS.keys())
def test_bad_metrics_never_pass(project: Project, content: str | None, says: str) -> None:
    if content is not None:
        project.write("candidate.json", content)

    ran = project.run("metric-gate", "--candidate", "candidate.json")

    assert ran.exit_code == 2, ran.log
    record = project.record("metric-gate")
    assert record["status"] == "error"
    assert says in " ".join(problem["message"] + problem["remedy"] for problem in record["problems"])
    assert "Traceback" not in ran.log


BAD_CONFIGURATION = {
    "missing": (None, "does not exist", None),
    "empty": ("", "is empty", None),
    "broken": ("a: b: c\n", "is not valid YAML", 1),
    "unknown key": (CONFIG.replace("baseline:", "basline:"), "Did you mean `baseline`?", 4),
    "typo in a limit": (CONFIG.replace("max-regression: 0.005", "max-regresion: 0.005"), "Did you mean `max-regression`?", 6),
    "no limits": ("model: m\n", "`gate.metrics` is not set", None),
    "typo in a metric": (CONFIG.replace("roc_auc", "roc_aucc"), "Did you mean `roc_auc`?", 6),
    "turned around": (CONFIG.replace("max-regression: 0.005", "max-regression: 0.005, better: lower"), "Leave `better` out", 6),
    "not a limit": (CONFIG.replace("{max-regression: 1%}", "{max-regression: 1 %}"), "gate.metrics.log_loss.max-regression", 7),
}


@pytest.mark.parametrize(("content", "says", "line"), BAD_CONFIGURATION.values(), ids=BAD_CONFIGURATION.keys())
def test_bad_configuration_names_file_line_and_key(project: Project, content: str | None, says: str, line: int | None) -> None:
    (project.directory / "modelship.yaml").unlink()
    if content is not None:
        project.write("modelship.yaml", content)

    ran = project.run("metric-gate", "--candidate", "metrics.json")

    assert ran.exit_code == 2, ran.log
    (problem, *_) = project.record("metric-gate")["problems"]
    assert says in problem["message"] + problem["remedy"]
    assert problem["path"] == "modelship.yaml"
    assert problem["line"] == line or line is None


def test_candidate_against_base_passes_fails_and_says_by_how_much(project: Project) -> None:
    project.git("checkout", "-q", "-b", "idea")
    project.metrics(roc_auc=0.739, log_loss=0.5)
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 0
    project.metrics(roc_auc=0.7389)

    ran = project.run("metric-gate", "--candidate", "metrics.json")

    assert ran.exit_code == 1
    worst = project.record("metric-gate")["metrics"][0]
    assert (worst["metric"], worst["state"], worst["baseline"], worst["candidate"]) == ("roc_auc", "fail", 0.744, 0.7389)
    assert worst["change"] == pytest.approx(-0.0051)
    assert ran.outputs["status"] == "fail"


def test_a_first_run_must_be_allowed(project: Project) -> None:
    project.write(".gitignore", "metrics.json\n")
    project.git("rm", "-q", "--cached", "metrics.json")
    project.commit()
    ran = project.run("metric-gate", "--candidate", "metrics.json")
    assert ran.exit_code == 2
    assert "no baseline" in project.record("metric-gate")["summary"]

    ran = project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow")

    assert ran.exit_code == 0
    record = project.record("metric-gate")
    assert record["status"] == "warn"
    assert {verdict["state"] for verdict in record["metrics"]} == {"no-baseline"}
    assert any("only absolute limits" in notice for notice in record["notices"])


def test_a_baseline_without_the_metric_is_a_first_run_of_that_metric(project: Project) -> None:
    project.write("metrics.json", '{"roc_auc": 0.744}')
    project.commit()
    project.metrics()
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 2
    assert project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow").exit_code == 0
    states = {verdict["metric"]: verdict["state"] for verdict in project.record("metric-gate")["metrics"]}
    assert states == {"roc_auc": "pass", "log_loss": "no-baseline"}


def test_baselines_from_git_and_file(project: Project) -> None:
    project.git("tag", "good")
    project.metrics(roc_auc=0.72)
    project.commit()
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "git:good").exit_code == 1
    project.write("known.json", '{"roc_auc": 0.72, "log_loss": 0.55}')
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "file:known.json").exit_code == 0
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "none").exit_code == 0
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "git:nothing").exit_code == 2
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "file:absent.json").exit_code == 2
    assert project.run("metric-gate", "--candidate", "metrics.json", "--baseline", "champion").exit_code == 2


def test_a_pull_request_is_judged_by_the_limits_of_its_base(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "loosen")
    project.write("modelship.yaml", CONFIG.replace("max-regression: 0.005", "max-regression: 0.5").replace("min: 0.70", "min: 0.1"))
    project.trains("open('metrics.json', 'w').write('{\"roc_auc\": 0.6, \"log_loss\": 0.5}')")
    head = project.commit()
    project.pull_request_event(base, head)
    assert project.run("train").exit_code == 0

    ran = project.run("metric-gate")

    assert ran.exit_code == 1, ran.log
    record = project.record("metric-gate")
    assert record["policy"] == f"modelship.yaml at base {base[:7]}"
    assert [finding["text"] for finding in record["findings"]] == [
        "loosens `roc_auc`: min 0.7 → 0.1",
        "loosens `roc_auc`: max-regression 0.005 → 0.5",
    ]
    assert {change["name"] for change in record["changes"]["policy"]} == {
        "gate.metrics.roc_auc.min",
        "gate.metrics.roc_auc.max-regression",
    }


def test_what_changed_is_read_from_git(project: Project) -> None:
    project.write("params.yaml", "learning_rate: 0.1\nfeatures: [hour, temp]\n")
    project.commit()
    base = project.git("rev-parse", "HEAD")
    project.write("params.yaml", "learning_rate: 0.2\ndepth: 3\nfeatures: [temp]\n")
    project.write("data/raw.csv.dvc", "outs:\n- md5: 0123456789abcdef0123456789abcdef\n  path: raw.csv\n")
    project.write("storage/files/md5/01/23456789abcdef0123456789abcdef", "a row\n")
    project.write("src/features.py", "x = 1\n")
    head = project.commit()
    project.pull_request_event(base, head)
    project.run("train")
    project.run("metric-gate")
    changes = project.record("metric-gate")["changes"]
    assert changes["params"] == [
        {"name": "depth", "before": None, "after": "3"},
        {"name": "features", "before": "hour", "after": None},
        {"name": "learning_rate", "before": "0.1", "after": "0.2"},
    ]
    assert [change["name"] for change in changes["data"]] == ["data/raw.csv"]
    assert [change["name"] for change in changes["files"]] == ["params.yaml", "src/features.py"]


def test_training_of_another_commit_is_not_judged(project: Project) -> None:
    project.run("train")
    project.write("note.txt", "later")
    project.commit()
    ran = project.run("metric-gate")
    assert ran.exit_code == 2
    assert "speaks of commit" in project.record("metric-gate")["summary"]


def test_evidence_is_taken_only_as_it_was_promised(project: Project) -> None:
    digest = project.run("train").outputs["evidence-digest"]
    handed = project.directory.parent / "evidence"
    shutil.copytree(project.directory / ".modelship", handed)
    shutil.rmtree(project.directory / ".modelship")
    options = ("metric-gate", "--evidence", str(handed), "--evidence-digest", digest)
    assert project.run(*options).exit_code == 0
    shutil.rmtree(project.directory / ".modelship")

    forged = json.loads((handed / "train.json").read_text())
    forged["metrics"]["roc_auc"] = 0.99
    (handed / "train.json").write_text(json.dumps(forged))

    assert project.run(*options).exit_code == 2
    assert "digests differ" in project.record("metric-gate")["summary"]
    assert not (project.directory / ".modelship" / "train.json").exists()
    assert project.run("metric-gate", "--evidence", str(handed / "nothing"), "--evidence-digest", "").exit_code == 2


def test_a_shallow_clone_that_cannot_reach_the_base_says_what_to_do(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    head = project.commit("second")
    clone = Project(project.directory.parent / "shallow")
    project.git("clone", "--quiet", "--depth=1", f"file://{project.directory}", str(clone.directory))
    clone.git("remote", "remove", "origin")
    clone.pull_request_event(base, head)

    ran = clone.run("metric-gate", "--candidate", "metrics.json")

    assert ran.exit_code == 2
    assert "fetch-depth: 0" in clone.record("metric-gate")["summary"]


def test_a_shallow_clone_fetches_the_one_commit_that_it_needs(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    head = project.commit("second")
    project.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = Project(project.directory.parent / "shallow")
    project.git("clone", "--quiet", "--depth=1", f"file://{project.directory}", str(clone.directory))
    clone.pull_request_event(base, head)
    assert clone.run("metric-gate", "--candidate", "metrics.json").exit_code == 0


def test_a_detached_head_and_an_event_without_a_pull_request(project: Project) -> None:
    before = project.git("rev-parse", "HEAD")
    after = project.commit("second")
    project.git("checkout", "-q", "--detach")
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 0
    project.push_event(before, after)
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 0
    assert project.record("metric-gate")["baseline"]["commit"] == before


def test_in_a_merge_queue_the_base_judges(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    project.write("modelship.yaml", CONFIG.replace("min: 0.70", "min: 0.10").replace("0.005", "0.9"))
    project.metrics(roc_auc=0.5)
    project.merge_group_event(base, project.commit("loosen and worsen"))
    ran = project.run("metric-gate", "--candidate", "metrics.json")
    assert ran.exit_code == 1, ran.log
    record = project.record("metric-gate")
    assert record["policy"] == f"modelship.yaml at base {base[:7]}"
    assert record["approval"]["given"] is False


def test_a_baseline_that_the_base_commit_has_outgrown_is_said(project: Project) -> None:
    lock = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    params:\n      params.yaml:\n        learning_rate: 0.1\n"
    project.write("dvc.lock", lock)
    project.commit()
    project.run("metric-gate", "--candidate", "metrics.json")
    assert project.record("metric-gate")["notices"] == []
    project.write("params.yaml", "learning_rate: 0.3\n")
    project.commit()

    project.run("metric-gate", "--candidate", "metrics.json")

    (notice,) = project.record("metric-gate")["notices"]
    assert "`params.yaml: learning_rate` has changed" in notice


def test_the_first_push_is_not_compared_with_itself(project: Project) -> None:
    project.push_event("0" * 40, project.git("rev-parse", "HEAD"))
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 2
    assert project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow").exit_code == 0
    assert {verdict["state"] for verdict in project.record("metric-gate")["metrics"]} == {"no-baseline"}


def test_a_forced_push_over_what_was_there_is_a_first_run(project: Project) -> None:
    project.push_event("1" * 40, project.git("rev-parse", "HEAD"))
    assert project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow").exit_code == 0
    assert project.record("metric-gate")["status"] == "warn"


def test_a_dispatched_run_on_a_branch_is_compared_with_where_it_began(project: Project) -> None:
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "idea")
    head = project.commit("idea")
    project.push_event("", head)
    project.environment["GITHUB_EVENT_NAME"] = "workflow_dispatch"
    assert project.run("metric-gate", "--candidate", "metrics.json").exit_code == 0
    assert project.record("metric-gate")["baseline"]["commit"] == base


def test_without_git_there_is_a_record_and_no_verdict(project: Project) -> None:
    ran = project.run("metric-gate", "--candidate", "metrics.json", PATH="/nowhere")

    assert ran.exit_code == 3, ran.log
    assert project.record("metric-gate")["summary"] == "`git` is not installed."
    assert "Traceback" not in ran.log


def test_what_is_said_of_very_many_metrics_still_fits_into_the_record(project: Project) -> None:
    names = [f"segment_{number:03}_roc_auc" for number in range(300)]
    limits = {name: {"max-regression": 0.1, "better": "higher"} for name in names}
    project.write("candidate.json", json.dumps(dict.fromkeys(names, 0.7)))

    ran = project.run("metric-gate", "--candidate", "candidate.json", "--metrics", json.dumps(limits), "--first-run", "allow")

    assert ran.exit_code == 0, ran.log
    assert isinstance(RunDirectory(project.directory / ".modelship").read("metric-gate"), MetricGateRecord)


@pytest.mark.parametrize("at_base", [None, "gaet: {}\n"], ids=["none at base", "a broken one at base"])
def test_a_pull_request_that_sets_its_own_limits_is_never_quietly_green(project: Project, at_base: str | None) -> None:
    (project.directory / "modelship.yaml").unlink()
    if at_base:
        project.write("modelship.yaml", at_base)
    base = project.commit("before")
    project.write("modelship.yaml", CONFIG)
    head = project.commit("limits")
    project.pull_request_event(base, head)

    ran = project.run("metric-gate", "--candidate", "metrics.json")

    assert (ran.exit_code, ran.outputs["status"]) == (0, "warn")
    assert "its own limits" in project.record("metric-gate")["notices"][0]


def test_a_log_says_each_metric_and_each_notice_without_intervals(project: Project) -> None:
    project.write("modelship.yaml", CONFIG.replace("min: 0.70", "min: -0.5"))
    project.commit()
    project.metrics(roc_auc=0.70, log_loss=-0.25, **{"\x1b[31mother": 1})

    ran = project.run("metric-gate", "--candidate", "metrics.json")

    assert ran.exit_code == 1, ran.log
    assert "✗ roc_auc: 0.744 → 0.7, worse (allowed −0.005, ≥ −0.5)" in ran.log
    assert "✓ log_loss: 0.5391 → −0.25, better (allowed −0.005391)" in ran.log

    (project.directory / "metrics.json").unlink()
    project.commit("no baseline")
    project.metrics()
    first = project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow")
    assert "! No baseline for roc_auc, log_loss (metrics.json" in first.log
    assert "! roc_auc: 0.744, no baseline (allowed −0.005, ≥ −0.5)" in first.log

    quiet = project.run("metric-gate", "--candidate", "metrics.json", "--first-run", "allow", "--quiet")
    assert len(quiet.log.splitlines()) == 1
    assert quiet.log.startswith("modelship metric-gate: warn")


def test_what_does_not_exist_is_named_with_its_option(project: Project) -> None:
    for arguments, says in (
        (("--config", "none.yaml"), "none.yaml: does not exist."),
        (("--config", "none.yaml", "--metrics", "{f1: {min: 0.1}}"), "none.yaml: does not exist."),
        (("--config", "none.yaml", "--model", "m"), "none.yaml: does not exist, and no option sets `gate.metrics`."),
        (("--candidate", "notthere"), "the candidate `notthere` does not exist. Give `--candidate` a metrics file"),
        (("--candidate", "metrics.json", "--baseline", "file:notthere"), "the baseline `file:notthere` does not exist."),
    ):
        ran = project.run("metric-gate", *arguments)
        assert (ran.exit_code, says in ran.log) == (2, True), ran.log


def test_without_a_file_options_are_a_configuration(project: Project) -> None:
    (project.directory / "modelship.yaml").unlink()
    options = ("--model", "m", "--candidate", "metrics.json", "--baseline", "none", "--metrics", "{roc_auc: {min: 0.1}}")
    assert project.run("metric-gate", *options).exit_code == 0


# At a terminal -------------------------------------------------------------------------------------------------------------------

GUARDED = CONFIG.replace("gate:\n", "data: {current: data/holdout.csv}\ngate:\n  approval-label: judge-changed\n")
LABEL = "In a pull request this needs the label `judge-changed`: it "


def foreseen(project: Project, *arguments: str) -> list[str]:
    ran = project.run("metric-gate", "--candidate", "metrics.json", *arguments)
    assert ran.exit_code == 0, ran.log
    return [notice.removeprefix(LABEL) for notice in project.record("metric-gate").get("notices", [])]


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("folder", ["", "model/"])
def test_a_branch_is_told_what_its_pull_request_would_need(project: Project, folder: str, is_committed: bool) -> None:
    team = Project(project.directory / folder)
    team.write("modelship.yaml", GUARDED)
    team.write("data/holdout.csv", "id,late\n1,0\n")
    team.metrics()
    project.commit("the rules")
    project.git("checkout", "-q", "-b", "looser")
    assert foreseen(team) == []
    team.write("modelship.yaml", GUARDED.replace("min: 0.70", "min: 0.60"))
    team.write("data/holdout.csv", "id,late\n1,1\n")
    if is_committed:
        project.commit("looser")

    edits, loosens = "edits the holdout `data/holdout.csv`", "loosens `roc_auc`: min 0.7 → 0.6"
    assert foreseen(team) == [f"{edits}; {loosens}."]
    assert foreseen(team, "--base", "main") == [f"{edits}; {loosens}."]
    assert foreseen(team, "--base", "HEAD") == ([] if is_committed else [f"{edits}; {loosens}."])

    team.write("modelship.yaml", GUARDED.replace("min: 0.70", "min: 0.72"))
    assert foreseen(team) == [f"{edits}."], "what is stricter needs nobody"


def test_an_edited_holdout_counts_where_dvc_tracks_it(project: Project) -> None:
    project.write("modelship.yaml", GUARDED)
    project.write(".dvc/config", "")
    project.write(".gitignore", "/data/holdout.csv\n/.modelship\n")
    content = "id,late\n1,0\n"
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    project.write("data/holdout.csv.dvc", f"outs:\n- md5: {digest}\n  size: {len(content)}\n  hash: md5\n  path: holdout.csv\n")
    project.metrics()
    project.commit("the rules")
    assert foreseen(project) == [], "not pulled"
    project.write("data/holdout.csv", content)
    assert foreseen(project) == []
    project.write("data/holdout.csv", content + "2,1\n")
    assert foreseen(project) == ["edits the holdout `data/holdout.csv`."]


def test_a_push_is_told_nothing_of_labels(project: Project) -> None:
    before = project.commit("the rules")
    project.write("modelship.yaml", CONFIG.replace("min: 0.70", "min: 0.60"))
    after = project.commit("looser")
    project.push_event(before, after)
    project.run("metric-gate", "--candidate", "metrics.json")
    assert "label" not in " ".join(project.record("metric-gate").get("notices", []))


def test_one_run_of_everything_prints_its_tables_once(project: Project) -> None:
    project.write(
        "answer.py", "import json, pathlib; pathlib.Path('metrics.json').write_text(json.dumps({'roc_auc': 0.6, 'log_loss': 0.5}))"
    )
    project.write("modelship.yaml", CONFIG.replace("python train.py", "python answer.py"))
    project.commit()
    ran = project.run("pull-request", "--validate", "false")
    assert ran.exit_code == 1, ran.log
    lines = [line.split() for line in ran.log.splitlines()]
    assert [line[1:4] for line in lines if line[:2] in (["✗", "roc_auc"], ["✗", "roc_auc:"])] == [["roc_auc", "0.7440", "0.6000"]]
