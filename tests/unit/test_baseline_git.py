"""The baseline as git holds it: real repositories, whole and shallow."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelship.core.errors import BadInput, ExitCode
from modelship.core.event import Event
from modelship.core.git import Git
from modelship.core.metrics import Metrics
from modelship.core.records import Approval, TrainRecord
from modelship.core.run_directory import RunDirectory
from modelship.gate.baseline import Found, Places, fetch_model, find_baseline
from modelship.gate.conclude import Decision
from modelship.gate.gate import decide
from modelship.gate.request import Request

CONFIG = """\
model: m
train: {run: python train.py, metrics: metrics.json}
gate:
  metrics:
    roc_auc: {min: 0.5, max-regression: 0.01}
"""


class Repository:
    """A git repository with one commit after the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        isolated = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_COMMITTER_DATE": "2026-03-04T12:00:00Z",
        }
        identity = (
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.com",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "protocol.file.allow=always",
        )
        result = subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, env=isolated, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Commit `files` (name with `__` for `.` and `_in_` for a folder); None removes one. Returns the commit."""
        for key, text in files.items():
            path = self.root / key.replace("_in_", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if text is not None else path.unlink()
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=x")
        return self.git("rev-parse", "HEAD")

    def metrics(self, roc_auc: float, **files: str | None) -> str:
        return self.commit(metrics__json=json.dumps({"roc_auc": roc_auc}), **files)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "work")


def find(
    spec: str, root: Path, *, base: str | None = None, metrics: str | None = "metrics.json", policy_commit: str | None = None
) -> Found:
    places = Places(Git(root), root, metrics, base, "m", "m", None, policy_commit, predictions_path="predictions.csv")
    return find_baseline(spec, places)


def predictions(found: Found) -> str:
    """What the baseline's predictions file holds, or why there is none."""
    assert found.predictions
    located = found.predictions()
    return located.path.read_text() if located.path else located.why_absent


# Where metrics are found ---------------------------------------------------------------------------------------------------------


def test_base(repository: Repository) -> None:
    base = repository.metrics(0.7)
    repository.metrics(0.8)
    found = find("base", repository.root, base=base)
    assert found.metrics
    assert found.metrics.values == {"roc_auc": 0.7}
    baseline = found.baseline
    assert (baseline.kind, baseline.label, baseline.commit, baseline.date) == ("base", f"base {base[:7]}", base, "2026-03-04")
    assert baseline.source == f"metrics.json at {base[:7]}"


@pytest.mark.parametrize(
    "name",
    [lambda sha: "v1", lambda sha: "release/1.x", lambda sha: sha, lambda sha: sha[:8], lambda sha: "HEAD~1", lambda sha: "main~1"],
)
def test_any_ref(repository: Repository, name: Callable[[str], str]) -> None:
    wanted = repository.metrics(0.7)
    repository.git("tag", "--annotate", "--message=x", "v1")
    repository.git("branch", "release/1.x")
    repository.metrics(0.8)
    ref = name(wanted)
    found = find(f"git:{ref}", repository.root)
    assert found.metrics
    assert found.metrics.values == {"roc_auc": 0.7}
    assert found.baseline.commit == wanted


def test_a_detached_head(repository: Repository) -> None:
    base = repository.metrics(0.7)
    head = repository.metrics(0.8)
    repository.git("checkout", "--quiet", "--detach", head)
    assert Git(repository.root).head() == head
    found = find("git:HEAD~1", repository.root)
    assert found.baseline.commit == base


def test_a_folder_of_a_monorepo(repository: Repository) -> None:
    base = repository.commit(models_in_a_in_metrics__json='{"roc_auc": 0.7}', metrics__json='{"roc_auc": 0.1}')
    repository.commit(models_in_a_in_metrics__json='{"roc_auc": 0.8}')
    found = find("base", repository.root / "models" / "a", base=base)
    assert found.metrics
    assert found.metrics.values == {"roc_auc": 0.7}


def test_what_is_not_committed_does_not_count(repository: Repository) -> None:
    base = repository.metrics(0.7)
    (repository.root / "metrics.json").write_text('{"roc_auc": 0.1}')
    found = find("base", repository.root, base=base)
    assert found.metrics
    assert found.metrics.values == {"roc_auc": 0.7}


def test_a_base_without_metrics_is_a_first_run(repository: Repository) -> None:
    base = repository.commit(readme="x")
    repository.metrics(0.8)
    found = find("base", repository.root, base=base)
    assert found.metrics is None
    assert found.baseline.commit == base


def test_no_base_commit_is_a_first_run(repository: Repository) -> None:
    repository.metrics(0.8)
    found = find("base", repository.root, base=None)
    assert (found.metrics, found.baseline.source) == (None, "this run has no base commit")


def test_a_named_commit_without_metrics_is_an_error(repository: Repository) -> None:
    repository.commit(readme="x")
    with pytest.raises(BadInput, match=r"`metrics.json` is not in git at HEAD.*cache: false"):
        find("git:HEAD", repository.root)


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"roc_auc": 1, "roc_auc": 2}'])
def test_broken_metrics_in_the_base_are_an_error_not_a_first_run(repository: Repository, text: str) -> None:
    base = repository.commit(metrics__json=text)
    with pytest.raises(BadInput, match=r"metrics\.json"):
        find("base", repository.root, base=base)


def test_a_metrics_file_that_was_a_link(repository: Repository) -> None:
    (repository.root / "metrics.json").symlink_to("/etc/hostname")
    base = repository.commit()
    with pytest.raises(BadInput):
        find("base", repository.root, base=base)


def test_limits_behind_a_link_are_those_of_the_base(repository: Repository) -> None:
    (repository.root / "policy").mkdir()
    (repository.root / "modelship.yaml").symlink_to("policy/strict.yaml")
    base = repository.metrics(0.70, policy_in_strict__yaml=CONFIG)
    head = repository.metrics(0.60, policy_in_strict__yaml=CONFIG.replace("0.01", "0.5"))
    decision = gate(repository, 0.60, pull(base, head))
    assert decision.record.status == "fail"
    assert decision.record.policy.endswith(f"at base {base[:7]}")
    assert [finding.text for finding in decision.record.findings] == ["loosens `roc_auc`: max-regression 0.01 → 0.5"]


@pytest.mark.parametrize("ref", ["nowhere", "v9", "0" * 40, "f" * 40])
def test_an_unknown_ref(repository: Repository, ref: str) -> None:
    repository.metrics(0.7)
    with pytest.raises(BadInput, match="git knows no commit"):
        find(f"git:{ref}", repository.root)


@pytest.mark.parametrize(
    "ref", ["--upload-pack=touch x", "-h", "--output=x", "a b", "x;y", "$(touch x)", "main:metrics.json", "", "\n"]
)
def test_a_ref_is_never_an_option(repository: Repository, ref: str) -> None:
    repository.metrics(0.7)
    with pytest.raises(BadInput, match=r"is not a git ref|knows no commit"):
        find(f"git:{ref}", repository.root)
    assert not (repository.root / "x").exists()


def test_none_and_file(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"roc_auc": 0.6}')
    assert find("none", tmp_path).metrics is None
    found = find("file:old.json", tmp_path)
    assert found.metrics
    assert (found.metrics.values, found.baseline.label) == ({"roc_auc": 0.6}, "old.json")
    with pytest.raises(BadInput, match="does not exist"):
        find("file:none.json", tmp_path)


@pytest.mark.parametrize("spec", ["champion", "run:1234"])
def test_an_mlflow_baseline_needs_a_server(tmp_path: Path, spec: str) -> None:
    with pytest.raises(BadInput, match="needs an MLflow server"):
        find(spec, tmp_path)


# Where predictions are found -----------------------------------------------------------------------------------------------------


def test_predictions_that_git_holds_are_those_of_the_base(repository: Repository) -> None:
    base = repository.metrics(0.7, predictions__csv="id\n1\n")
    repository.metrics(0.8, predictions__csv="id\n2\n")
    found = find("base", repository.root, base=base)
    assert predictions(found) == "id\n1\n"
    assert found.predictions
    assert found.predictions().name == f"predictions.csv at {base[:7]}"


def test_predictions_of_a_folder_of_a_monorepo(repository: Repository) -> None:
    base = repository.commit(**{"models/a/metrics.json": '{"roc_auc": 0.7}', "models/a/predictions.csv": "a", "predictions.csv": "b"})
    assert predictions(find("base", repository.root / "models" / "a", base=base)) == "a"


def test_predictions_alone_are_a_baseline(repository: Repository) -> None:
    base = repository.commit(predictions__csv="id\n1\n")
    for spec, metrics in (("base", "metrics.json"), (f"git:{base}", "metrics.json"), ("base", None)):
        found = find(spec, repository.root, base=base, metrics=metrics)
        assert found.metrics == Metrics({}, {})
        assert found.baseline.source == f"predictions.csv at {base[:7]}"
        assert predictions(found) == "id\n1\n"


def test_a_first_run_has_no_predictions_to_ask_for(repository: Repository) -> None:
    base = repository.commit(readme="x")
    assert find("base", repository.root, base=base).predictions is None
    assert find("none", repository.root).predictions is None


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, r"`predictions.csv` is neither in git nor under DVC at \w{7}"),
        ({"predictions.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}, "kept by Git LFS, which is not read"),
        ({"predictions.csv/part-0.csv": "id\n"}, r"is a folder at \w{7}"),
        (
            {"predictions.csv.dvc": "outs: [{path: predictions.csv, md5: 0123456789abcdef0123456789abcdef, hash: md5}]"},
            "is under DVC, and there is no `.dvc/config`",
        ),
        ({"predictions.csv.dvc": "outs: [{path: predictions.csv, etag: ../../x, hash: etag}]"}, "by no MD5 of its content"),
        ({"predictions.csv.dvc": "outs: [{path: predictions.csv, md5: ../../x, hash: md5}]"}, "by no MD5 of its content"),
        ({"dvc.lock": "stages: [1, {outs: x}]", "dvc.yaml": "stages: x"}, "neither in git nor under DVC"),
    ],
)
def test_why_a_commit_has_no_predictions(repository: Repository, files: dict[str, str], why: str) -> None:
    base = repository.metrics(0.7, **files)
    assert re.search(why, predictions(find("base", repository.root, base=base)))


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


@pytest.mark.parametrize("name", ["predictions.parquet", "predictions.pq", "predictions.csv", "predictions.csv.gz"])
def test_a_folder_of_results(tmp_path: Path, name: str) -> None:
    folder(tmp_path / "old", metrics__json='{"roc_auc": 0.6}', other__csv="x", **{name: "rows"})
    found = find("file:old", tmp_path)
    assert found.metrics == Metrics({"roc_auc": 0.6}, {})
    assert predictions(found) == "rows"
    assert found.predictions
    assert found.predictions().name == f"old/{name}"


def test_a_folder_with_one_of_the_two(tmp_path: Path) -> None:
    folder(tmp_path / "rows", predictions__csv="rows")
    found = find("file:rows", tmp_path)
    assert (found.metrics, predictions(found)) == (Metrics({}, {}), "rows")
    folder(tmp_path / "numbers", metrics__json='{"roc_auc": 0.6}')
    assert predictions(find("file:numbers", tmp_path)) == "`numbers` holds none"
    assert "is a metrics file" in predictions(find("file:numbers/metrics.json", tmp_path))


def test_a_folder_that_is_no_folder_of_results(tmp_path: Path) -> None:
    folder(tmp_path / "empty", readme="x")
    folder(tmp_path / "two", predictions__csv="x", predictions__parquet="x")
    folder(tmp_path / "link").joinpath("predictions.csv").symlink_to("/etc/hostname")
    folder(tmp_path / "linked").joinpath("metrics.json").symlink_to("/etc/hostname")
    (folder(tmp_path / "nested") / "predictions.csv").mkdir()
    with (folder(tmp_path / "large") / "predictions.csv").open("wb") as file:
        file.truncate(512 * 1024**2 + 1)
    for name, says in {
        "empty": "empty: holds neither `metrics.json` nor `predictions.parquet`",
        "two": "two: holds `predictions.parquet` and `predictions.csv`",
        "link": "link/predictions.csv: is not a plain file",
        "linked": "linked/metrics.json: is not a plain file",
        "nested": "nested/predictions.csv: is not a plain file",
        "large": "large/predictions.csv: is larger than 512 MiB",
    }.items():
        with pytest.raises(BadInput) as caught:
            find(f"file:{name}", tmp_path)
        assert says in str(caught.value)


@pytest.mark.parametrize("name", ["old", "./old", "ROOT/old"])
def test_in_a_pull_request_a_folder_is_the_bases(repository: Repository, name: str) -> None:
    base = repository.commit(**{"old/metrics.json": '{"roc_auc": 0.7}', "old/predictions.csv": "base"})
    repository.commit(**{"old/metrics.json": '{"roc_auc": 0.1}', "old/predictions.csv": "head", "old/predictions.parquet": "more"})
    found = find(f"file:{name.replace('ROOT', str(repository.root))}", repository.root, policy_commit=base)
    assert found.metrics == Metrics({"roc_auc": 0.7}, {})
    assert found.baseline.commit == base
    assert predictions(found) == "base"


def test_in_a_pull_request_what_the_folder_lacks_at_the_base_is_not_taken_from_the_head(repository: Repository) -> None:
    base = repository.commit(**{"old/metrics.json": '{"roc_auc": 0.7}'})
    repository.commit(**{"old/predictions.csv": "head"})
    assert predictions(find("file:old", repository.root, policy_commit=base)) == "`old` holds none"


def test_a_folder_that_a_pull_request_brings_is_refused(repository: Repository) -> None:
    base = repository.commit(readme="x")
    repository.commit(**{"old/predictions.csv": "head"})
    with pytest.raises(BadInput, match="new in this pull request"):
        find("file:old", repository.root, policy_commit=base)
    repository.git("rm", "--quiet", "--cached", "-r", "old")
    repository.git("commit", "--quiet", "--message=x")
    made = Places(Git(repository.root), repository.root, None, None, "m", "m", None, base)
    assert predictions(find_baseline("file:old", made)) == "head", "an earlier step may make it"


def test_a_model_folder_that_git_holds(repository: Repository, tmp_path: Path) -> None:
    base = repository.commit(**{"model/MLmodel": "base", "model/data/weights": "1"})
    repository.commit(**{"model/MLmodel": "head", "model/more": "x"})
    places = Places(Git(repository.root), repository.root, None, base, "m", "m", None, model_path="model")

    located = fetch_model("base", places, tmp_path / "fetched")

    assert (located.path, located.name) == (tmp_path / "fetched", f"model at {base[:7]}")
    assert {path.name for path in (tmp_path / "fetched").iterdir()} == {"MLmodel", "data"}
    assert (tmp_path / "fetched" / "MLmodel").read_text() == "base"
    assert (tmp_path / "fetched" / "data" / "weights").read_text() == "1"
    with pytest.raises(BadInput, match="is there already"):
        fetch_model("base", places, tmp_path / "fetched")


@pytest.mark.parametrize(
    ("spec", "model", "why"),
    [
        ("none", "model", "names no model"),
        ("file:old", "model", "names no model"),
        ("base", None, "`train.model` is not set"),
        ("base", "elsewhere", "neither in git nor under DVC"),
    ],
)
def test_why_there_is_no_model(repository: Repository, tmp_path: Path, spec: str, model: str | None, why: str) -> None:
    base = repository.commit(**{"model/MLmodel": "base"})
    places = Places(Git(repository.root), repository.root, None, base, "m", "m", None, model_path=model)
    located = fetch_model(spec, places, tmp_path / "fetched")
    assert located.path is None
    assert why in located.why_absent
    assert not (tmp_path / "fetched").exists()


# Shallow clones ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shallow(repository: Repository, tmp_path: Path) -> tuple[Path, str]:
    """A clone of depth one of a repository with two commits, and the older commit, which the clone lacks."""
    base = repository.metrics(0.7)
    repository.metrics(0.8)
    # As GitHub does: any commit that a ref reaches may be asked for by its id.
    repository.git("config", "uploadpack.allowReachableSHA1InWant", "true")
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.root}", str(tmp_path / "clone"))
    return tmp_path / "clone", base


def test_a_shallow_clone_fetches_the_base(shallow: tuple[Path, str]) -> None:
    clone, base = shallow
    found = find("base", clone, base=base)
    assert found.metrics
    assert found.metrics.values == {"roc_auc": 0.7}
    assert found.baseline.date == "2026-03-04"


def test_a_shallow_clone_fetches_a_tag(repository: Repository, shallow: tuple[Path, str]) -> None:
    clone, base = shallow
    repository.git("tag", "v1", base)
    found = find("git:v1", clone)
    assert found.baseline.commit == base


def test_a_shallow_clone_that_cannot_fetch_says_what_to_do(repository: Repository, shallow: tuple[Path, str]) -> None:
    clone, base = shallow
    repository.root.rename(repository.root.with_name("gone"))
    with pytest.raises(BadInput, match="This clone is shallow: check out with `fetch-depth: 0`") as caught:
        find("base", clone, base=base)
    assert caught.value.exit_code == ExitCode.BAD_INPUT


def test_a_branch_of_origin_is_found_without_asking_origin(repository: Repository, tmp_path: Path) -> None:
    wanted = repository.metrics(0.7)
    repository.git("branch", "release")
    repository.metrics(0.8)
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.root), str(clone))
    subprocess.run(["git", "remote", "set-url", "origin", "file:///nowhere"], cwd=clone, check=True)

    assert find("git:release", clone).baseline.commit == wanted


def test_a_fetch_leaves_a_whole_clone_whole(repository: Repository, tmp_path: Path) -> None:
    repository.metrics(0.6)
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", f"file://{repository.root}", str(clone))
    wanted = repository.metrics(0.7)
    repository.git("branch", "release")

    assert find("git:release", clone).baseline.commit == wanted

    assert not (clone / ".git/shallow").exists()


def test_no_repository_at_all(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="git knows no commit"):
        find("git:main", tmp_path)


# The whole gate ------------------------------------------------------------------------------------------------------------------


def gate(repository: Repository, candidate: float, event: Event, *, base: str | None = None) -> Decision:
    """The decision on a candidate that a training of the checked-out commit left."""
    run_directory = RunDirectory(repository.root / ".modelship")
    record = TrainRecord(status="pass", summary="", metrics={"roc_auc": candidate}, commit=repository.git("rev-parse", "HEAD"))
    run_directory.write("train", record)
    config = repository.root / "modelship.yaml"
    return decide(Request(Git(repository.root), repository.root, event, run_directory, config, {}, None, base, None))


def pull(base: str, head: str) -> Event:
    return Event(name="pull_request", repository="team/m", head=head, base=base, checked_out=head, pull_request=7)


def test_a_pull_request_is_judged_by_the_limits_of_its_base(repository: Repository) -> None:
    base = repository.metrics(0.70, modelship__yaml=CONFIG)
    head = repository.metrics(0.60, modelship__yaml=CONFIG.replace("0.01", "0.5"))
    decision = gate(repository, 0.60, pull(base, head))
    assert (decision.exit_code, decision.record.status) == (ExitCode.VERDICT_NO, "fail")
    assert decision.record.metrics[0].baseline == 0.7
    (finding,) = decision.record.findings
    assert (finding.text, finding.needs_approval) == ("loosens `roc_auc`: max-regression 0.01 → 0.5", True)
    assert decision.record.approval == Approval(label="modelship-approved", given=False)
    assert decision.record.policy.endswith(f"at base {base[:7]}")


def test_a_pull_request_that_brings_the_first_limits_is_told(repository: Repository) -> None:
    base = repository.metrics(0.70)
    head = repository.metrics(0.71, modelship__yaml=CONFIG)
    decision = gate(repository, 0.71, pull(base, head))
    assert decision.record.status == "warn"
    assert "is new in this pull request: it is judged by its own limits" in decision.record.notices[0]


@pytest.mark.parametrize("name", ["good.json", "./good.json", "ROOT/good.json"])
def test_a_pull_request_does_not_choose_the_file_that_it_is_compared_with(repository: Repository, name: str) -> None:
    policy = CONFIG + f"  baseline: 'file:{name.replace('ROOT', str(repository.root))}'\n"
    base = repository.commit(modelship__yaml=policy, good__json='{"roc_auc": 0.7}')
    head = repository.commit(good__json='{"roc_auc": 0.55}')
    decision = gate(repository, 0.56, pull(base, head))
    assert decision.record.status == "fail"
    assert decision.record.baseline
    assert decision.record.baseline.source.endswith(f"good.json at base {base[:7]}")


def test_a_baseline_file_that_a_pull_request_brings_is_refused(repository: Repository) -> None:
    base = repository.commit(modelship__yaml=CONFIG + "  baseline: 'file:good.json'\n")
    head = repository.commit(good__json='{"roc_auc": 0.55}')
    with pytest.raises(BadInput, match="new in this pull request"):
        gate(repository, 0.56, pull(base, head))
    repository.git("rm", "--quiet", "--cached", "good.json")
    head = repository.git("commit", "--quiet", "--message=x") or repository.git("rev-parse", "HEAD")
    assert gate(repository, 0.56, pull(base, head)).record.status == "pass", "an earlier step may make it"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("params.toml", "lr = 0.1", ""),
        ("params.toml", "lr = 0.2", "params.toml: lr"),
        ("params.json", '{"lr": 0.2}', "params.json: lr"),
        ("params.py", "lr = 0.2", ""),
        ("elsewhere.yaml", None, ""),
    ],
)
def test_an_outgrown_baseline_is_said_where_it_can_be_known(repository: Repository, name: str, content: str | None, says: str) -> None:
    lock = f"stages: {{train: {{cmd: x, params: {{{name}: {{lr: 0.1}}}}}}}}"
    base = repository.metrics(0.7, **{"dvc.lock": lock, **({name: content} if content else {})})
    assert (f"`{says}` has changed" in find("base", repository.root, base=base).notice) == bool(says)


LOCK = (
    "stages:\n  prepare:\n    outs:\n    - {path: data/test.csv, hash: md5, md5: A}\n    - {path: data/train.csv, hash: md5, md5: B}\n"
)
FOLDER = "outs:\n- {path: data, hash: md5, md5: A.dir}\n"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({"data/test.csv": "a"}, {"data/test.csv": "b"}, "`data/test.csv`"),
        ({"rules.yaml": "a"}, {"rules.yaml": "b"}, "`rules.yaml`"),
        ({"data/test.csv.dvc": FOLDER.replace("data", "test.csv")}, {"data/test.csv.dvc": None}, "`data/test.csv`"),
        ({"data.dvc": FOLDER}, {"data.dvc": FOLDER.replace("A.dir", "B.dir")}, "`data/test.csv`"),
        ({"dvc.lock": LOCK}, {"dvc.lock": LOCK.replace("A", "C")}, "`data/test.csv`"),
        ({"dvc.lock": LOCK}, {"dvc.lock": LOCK.replace("B", "C")}, ""),
        ({"data/test.csv": "a"}, {"data/test.csv.md": "b"}, ""),
    ],
)
def test_a_pull_request_that_changes_what_it_is_judged_on_is_told(
    repository: Repository, before: dict[str, str], after: dict[str, str | None], says: str
) -> None:
    base = repository.metrics(0.70, modelship__yaml=CONFIG + "data: {current: data/test.csv, expectations: rules.yaml}\n", **before)
    head = repository.metrics(0.71, **after)
    decision = gate(repository, 0.71, pull(base, head))
    assert [says in finding.text for finding in decision.record.findings] == ([True] if says else [])
    assert decision.exit_code == (ExitCode.VERDICT_NO if says else ExitCode.PASS), "who changes the judge's data needs approval"


@pytest.mark.parametrize(
    ("links", "before", "after", "says"),
    [
        ({"data": "store"}, {"store/test.csv": "a"}, {"store/test.csv": "b"}, True),
        ({"data": "store"}, {"store/test.csv": "a"}, {"store/train.csv": "b"}, False),
        ({"data/test.csv": "../store/a.csv"}, {"store/a.csv": "a"}, {"store/a.csv": "b"}, True),
        ({"data": "one", "one": "two/deep"}, {"two/deep/test.csv": "a"}, {"two/deep/test.csv": "b"}, True),
        ({"data/test.csv/part": "../../store"}, {"store/more/1.csv": "a"}, {"store/more/1.csv": "b"}, True),
        ({"data": "store"}, {"store/test.csv.dvc": FOLDER}, {"store/test.csv.dvc": FOLDER.replace("A.dir", "B.dir")}, True),
        ({"data": "data"}, {"other.csv": "a"}, {"other.csv": "b"}, False),
        ({"data": "../elsewhere"}, {"other.csv": "a"}, {"other.csv": "b"}, False),
        ({"data": "/elsewhere"}, {"other.csv": "a"}, {"other.csv": "b"}, False),
    ],
)
def test_a_holdout_behind_a_link_is_watched_where_it_stands(
    repository: Repository, links: dict[str, str], before: dict[str, str], after: dict[str, str], says: bool
) -> None:
    for name, target in links.items():
        (repository.root / name).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / name).symlink_to(target)
    before = {name: text.replace("path: data", "path: test.csv") for name, text in before.items()}
    after = {name: text.replace("path: data", "path: test.csv") for name, text in after.items()}
    base = repository.metrics(0.70, modelship__yaml=CONFIG + "data: {current: data/test.csv}\n", **before)
    head = repository.metrics(0.71, **after)
    found = [finding.text for finding in gate(repository, 0.71, pull(base, head)).record.findings]
    assert found == (["edits the holdout `data/test.csv`"] if says else [])


@pytest.mark.parametrize("moved", ["data", "one"])
def test_a_link_to_the_holdout_that_leads_elsewhere_is_told(repository: Repository, moved: str) -> None:
    (repository.root / "data").symlink_to("one")
    (repository.root / "one").symlink_to("two")
    files = {"two/test.csv": "hard", "three/test.csv": "easy"}
    base = repository.metrics(0.70, modelship__yaml=CONFIG + "data: {current: data/test.csv}\n", **files)
    (repository.root / moved).unlink()
    (repository.root / moved).symlink_to("three")
    decision = gate(repository, 0.71, pull(base, repository.metrics(0.71)))
    assert [finding.text for finding in decision.record.findings] == ["edits the holdout `data/test.csv`"]


@pytest.mark.parametrize("path", ["data", "data/test.csv"])
def test_a_holdout_in_a_submodule_is_another_one_when_the_submodule_is(repository: Repository, tmp_path: Path, path: str) -> None:
    tables = Repository(tmp_path / "tables")
    tables.commit(test__csv="hard")
    repository.git("submodule", "--quiet", "add", str(tables.root), "data")
    ignored = (repository.root / ".gitmodules").read_text() + "\tignore = all\n"
    base = repository.metrics(0.70, modelship__yaml=CONFIG + f"data: {{current: {path}}}\n", __gitmodules=ignored)
    tables.commit(test__csv="easy")
    repository.git("-C", "data", "pull", "--quiet")
    repository.git("add", "--force", "data")
    decision = gate(repository, 0.71, pull(base, repository.metrics(0.71)))
    assert [finding.text for finding in decision.record.findings] == [f"edits the holdout `{path}`"]


def test_predictions_in_a_folder_behind_a_link_are_those_of_the_base(repository: Repository) -> None:
    (repository.root / "results").symlink_to("store")
    base = repository.metrics(0.70, **{"store/predictions.csv": "old"})
    repository.metrics(0.71, **{"store/predictions.csv": "new"})
    places = Places(Git(repository.root), repository.root, "metrics.json", base, "m", "m", None, None, "results/predictions.csv")
    assert predictions(find_baseline("base", places)) == "old"


def test_what_the_base_branch_got_meanwhile_is_not_blamed_on_the_pull_request(repository: Repository) -> None:
    repository.metrics(0.70, modelship__yaml=CONFIG)
    repository.git("checkout", "--quiet", "-b", "idea")
    head = repository.metrics(0.71, train__py="x")
    repository.git("checkout", "--quiet", "main")
    base = repository.metrics(0.70, modelship__yaml=CONFIG.replace("min: 0.5", "min: 0.6"), other__py="x")
    repository.git("checkout", "--quiet", "idea")

    decision = gate(repository, 0.71, pull(base, head))

    assert decision.record.notices == ()
    assert decision.record.metrics[0].allowed.endswith("≥ 0.6"), "the base branch's limits hold nevertheless"
    assert decision.record.changes
    assert [change.name for change in decision.record.changes.files] == ["metrics.json", "train.py"]


def test_a_first_run_needs_leave(repository: Repository) -> None:
    base = repository.commit(modelship__yaml=CONFIG)
    head = repository.metrics(0.71)
    refused = gate(repository, 0.71, pull(base, head))
    assert (refused.exit_code, refused.record.status) == (ExitCode.BAD_INPUT, "error")
    assert "first-run: allow" in refused.record.problems[0].remedy

    base = repository.commit(modelship__yaml=CONFIG + "  first-run: allow\n", metrics__json=None)
    head = repository.metrics(0.71)
    allowed = gate(repository, 0.71, pull(base, head))
    assert (allowed.exit_code, allowed.record.status) == (ExitCode.PASS, "warn")
    assert any("only absolute limits were checked" in notice for notice in allowed.record.notices)


def test_a_push_is_judged_against_what_was_there_before(repository: Repository) -> None:
    before = repository.metrics(0.70, modelship__yaml=CONFIG)
    head = repository.metrics(0.60)
    event = Event(name="push", repository="team/m", head=head, base=before)
    assert gate(repository, 0.60, event).record.status == "fail"


def test_at_a_terminal_the_base_is_where_the_branch_began(repository: Repository) -> None:
    base = repository.metrics(0.70, modelship__yaml=CONFIG)
    repository.git("checkout", "--quiet", "-b", "idea")
    repository.metrics(0.60)
    decision = gate(repository, 0.60, Event())
    assert decision.record.status == "fail"
    assert decision.record.baseline
    assert decision.record.baseline.commit == base


def test_a_record_of_another_commit_is_refused(repository: Repository) -> None:
    base = repository.metrics(0.70, modelship__yaml=CONFIG)
    head = repository.metrics(0.71)
    with pytest.raises(BadInput, match="not of this one"):
        gate(repository, 0.71, replace(pull(base, head), head="d" * 40, checked_out="d" * 40))


@pytest.mark.parametrize("candidate", [0.70, 0.69, 0.6899])
def test_the_margin_holds_to_the_digit(repository: Repository, candidate: float) -> None:
    base = repository.metrics(0.70, modelship__yaml=CONFIG)
    head = repository.commit()
    assert gate(repository, candidate, pull(base, head)).record.status == ("pass" if candidate >= 0.69 else "fail")


def test_a_repository_hidden_in_the_work_tree_is_neither_read_nor_obeyed(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "project")
    base = repository.commit(**{"models/a/modelship.yaml": CONFIG})
    mark = tmp_path / "obeyed"
    hidden = {
        "HEAD": "ref: refs/heads/main\n",
        "config": f"""[core]
  bare = true
[protocol "ext"]
  allow = always
[remote "origin"]
  url = ext::sh -c "touch% {mark}"
""",
        "objects/kept": "",
        "refs/heads/kept": "",
    }
    repository.commit(**{f"models/a/{name}": content for name, content in hidden.items()})

    with pytest.raises(BadInput, match="git knows no commit"):
        Git(repository.root / "models/a").resolve(base)

    assert not mark.exists()
