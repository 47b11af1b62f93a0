"""`modelship init`: small repositories in, two files out, nothing else touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click.testing
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from ruamel.yaml import YAML

from modelship.cli import modelship
from modelship.core.config import Config, load_config, parse_config
from modelship.core.documents import scalar
from modelship.onboarding.facts import Choice, Facts, KnownMetric, MetricsFile
from modelship.onboarding.look import look
from modelship.onboarding.propose import choose_metrics, expression_safe, glob_safe, propose, shown
from modelship.onboarding.pythons import choose_python
from modelship.onboarding.tree import Repository

TEMPLATE = Path(__file__).resolve().parents[2] / "template-repo"
CONFIG, WORKFLOW = "modelship.yaml", ".github/workflows/modelship.yml"
CALLED = "modelship/modelship/.github/workflows/model-pull-request.yml@v1"
PIPELINE = """
stages:
  prepare:
    cmd: python prepare.py
    params: [split]
    outs: [data/train.parquet, data/holdout.parquet]
  train:
    cmd: python train.py
    params: [{conf/model.yaml: [depth]}]
    outs: [model]
  evaluate:
    cmd: python evaluate.py
    outs: [predictions.parquet]
    metrics:
      - results/metrics.json:
          cache: false
"""


@pytest.fixture(autouse=True)
def _quiet_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "MODELSHIP_", "MLFLOW_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@dataclass
class Repo:
    """A repository in a temporary folder, and ways to ask what became of it."""

    path: Path
    monkeypatch: pytest.MonkeyPatch

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=self.path, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "All")

    def run(self, *arguments: str, folder: str = "") -> click.testing.Result:
        self.monkeypatch.chdir(self.path / folder)
        return click.testing.CliRunner().invoke(modelship, list(arguments))

    def init(self, *arguments: str, folder: str = "") -> click.testing.Result:
        """Run `modelship init`, see that it wrote its two files and changed nothing else, and that both hold their schema."""
        before = self.snapshot()
        result = self.run("init", *arguments, folder=folder)
        assert result.exit_code == 0, result.output
        after = self.snapshot()
        config = f"{folder}/{CONFIG}".lstrip("/")
        assert {name: digest for name, digest in after.items() if name in before} == before
        assert set(after) - set(before) == {config, WORKFLOW}
        assert "Written" in result.output
        check_workflow(self.path / WORKFLOW)
        return result

    def snapshot(self) -> dict[str, str]:
        files = (path for path in self.path.rglob("*") if path.is_file() or path.is_symlink())
        return {
            path.relative_to(self.path).as_posix(): hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest()
            for path in files
        }

    def config(self, folder: str = "") -> Config:
        return load_config(self.path / folder / CONFIG).config

    @property
    def job(self) -> dict[str, Any]:
        job = yaml((self.path / WORKFLOW).read_text(encoding="utf-8"))["jobs"]["model"]
        assert isinstance(job, dict)
        return job

    @property
    def inputs(self) -> dict[str, Any]:
        inputs = self.job["with"]
        assert isinstance(inputs, dict)
        return inputs


MakeRepo = Callable[..., Repo]


@pytest.fixture
def make_repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRepo:
    def make(files: Mapping[str, str], *, name: str = "churn", git: bool = True) -> Repo:
        repo = Repo(tmp_path / name, monkeypatch)
        for file, text in files.items():
            path = repo.path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        repo.path.mkdir(exist_ok=True)
        if git:
            repo.git("init", "--quiet", "--initial-branch", "main")
            repo.git("commit", "--quiet", "--allow-empty", "--message", "Nothing") if not files else repo.commit()
        return repo

    return make


def yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@cache
def github_s_schema() -> Draft7Validator:
    return Draft7Validator(get_builtin_schema("vendor.github-workflows"))


@cache
def our_workflow() -> Any:
    return yaml((TEMPLATE.parent / ".github/workflows/model-pull-request.yml").read_text(encoding="utf-8"))


def check_workflow(path: Path) -> None:
    """The workflow is one that GitHub's schema allows, asks for the least, and calls ours with inputs and secrets that it has."""
    workflow = yaml(path.read_text(encoding="utf-8"))
    assert [error.message for error in github_s_schema().iter_errors(workflow)] == []
    assert workflow["permissions"] == {}
    assert set(workflow["on"]) == {"pull_request", "push"}
    (job,) = workflow["jobs"].values()
    assert job["uses"] == CALLED
    assert job["permissions"] == {"contents": "read", "pull-requests": "write", "checks": "write"}
    ours = our_workflow()["on"]["workflow_call"]
    assert set(job["with"]) <= set(ours["inputs"])
    assert set(job.get("secrets", {})) <= set(ours["secrets"])


def left(result: click.testing.Result) -> str:
    assert "Left to decide:" in result.output
    return result.output.partition("Left to decide:")[2]


def metrics(**values: float) -> str:
    return json.dumps(values)


def test_a_dvc_pipeline(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket/churn\n",
            "dvc.yaml": PIPELINE,
            "train.py": "import mlflow\n",
            "params.yaml": "split: 1\n",
            "conf/model.yaml": "depth: 3\n",
            "results/metrics.json": metrics(roc_auc=0.8, log_loss=0.4, rows=100),
            "expectations.yaml": "- expect_column_values_to_not_be_null: {column: id}\n",
            "requirements.txt": "mlflow==3.1 --hash=sha256:00\n",
            "pyproject.toml": '[project]\nname = "churn-model"\nrequires-python = ">=3.10,<3.12"\n',
        }
    )
    result = repo.init()
    config = repo.config()
    assert config.model == "churn-model"
    assert (config.train.run, config.train.metrics, config.train.params) == ("dvc repro", "results/metrics.json", "params.yaml")
    assert (config.train.predictions, config.train.model) == ("predictions.parquet", "model")
    assert (config.data.reference, config.data.current) == ("data/train.parquet", "data/holdout.parquet")
    assert config.data.expectations == "expectations.yaml"
    assert (config.gate.baseline, config.gate.first_run) == ("base", "allow")
    assert config.gate.metrics is not None
    assert {name: (limit.max_regression, limit.min, limit.max) for name, limit in config.gate.metrics.items()} == {
        "roc_auc": ("1%", None, None),
        "log_loss": ("1%", None, None),
    }
    assert repo.inputs == {
        "config": "modelship.yaml",
        "python-version": "3.11",
        "setup": "pip install --require-hashes -r requirements.txt",
        "mlflow-tracking-uri": "${{ vars.MLFLOW_TRACKING_URI }}",
    }
    assert set(repo.job["secrets"]) == {"dvc-credentials", "mlflow-username", "mlflow-password"}
    assert "✓ DVC: 3 files and stages, remote: s3" in result.output
    assert "DVC_CREDENTIALS" in left(result)
    assert "Limits:" in left(result)


def test_a_script_and_its_metrics(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            "train.py": "print()\n",
            "metrics.json": metrics(rmse=1.5, r2=0.8, epochs=3),
            "requirements.txt": "scikit-learn\n",
            ".python-version": "3.13\n",
        }
    )
    result = repo.init()
    config = repo.config()
    assert config.train.run == "python train.py"
    assert config.train.metrics == "metrics.json"
    assert list(config.gate.metrics or ()) == ["rmse", "r2"]
    assert repo.inputs["setup"] == "pip install -r requirements.txt"
    assert repo.inputs["python-version"] == "3.13"
    assert repo.inputs["validate"] is False
    assert "secrets" not in repo.job
    assert "Data checks are off" in left(result)

    repo.commit()
    judged = repo.run("metric-gate", "--candidate", "metrics.json")
    assert judged.exit_code == 0, judged.output
    (repo.path / "worse.json").write_text(metrics(rmse=1.6, r2=0.8))
    assert repo.run("metric-gate", "--candidate", "worse.json").exit_code == 1


def test_a_makefile_goes_before_a_script(make_repo: MakeRepo) -> None:
    repo = make_repo({"Makefile": "train_dir := x\ntrain := y\ndata train: deps\n\tpython src/train.py\n", "src/train.py": ""})
    repo.init()
    assert repo.config().train.run == "make train"


@pytest.mark.parametrize(
    "line",
    ["train := 1", "train = 1", "train ?= 1", "retrain:", "\ttrain: x", "trainer: a", "train ::= 1", "train = http://x", "#train: x"],
)
def test_what_is_no_makefile_target(make_repo: MakeRepo, line: str) -> None:
    repo = make_repo({"Makefile": f"{line}\n"})
    repo.init()
    assert repo.config().train.run is None


def test_nothing_at_all(make_repo: MakeRepo) -> None:
    repo = make_repo({})
    result = repo.init()
    assert repo.config() == Config(model="churn", gate=repo.config().gate)
    text = (repo.path / CONFIG).read_text()
    assert text.count("TO DECIDE") == 3
    assert "setup" not in repo.inputs
    assert "# setup: pip install -r requirements.txt" in (repo.path / WORKFLOW).read_text()
    for what in (
        "Training: no pipeline",
        "Metrics: no metrics file",
        "Packages: no lock",
        "Python: no version",
        "Data checks are off",
    ):
        assert what in left(result)
    for arguments in ((), ("--candidate", "metrics.json")):
        (repo.path / "metrics.json").write_text(metrics(roc_auc=0.9))
        judged = repo.run("metric-gate", *arguments)
        assert judged.exit_code == 2
        assert "`gate.metrics` is not set." in judged.output


def test_comments_become_a_configuration_when_they_are_uncommented(make_repo: MakeRepo) -> None:
    repo = make_repo({})
    repo.init()
    lines = (repo.path / CONFIG).read_text().splitlines()
    start = lines.index("# data:")
    (repo.path / CONFIG).write_text("\n".join([*lines[:2], lines[2], *(line.removeprefix("# ") for line in lines[start : start + 6])]))
    load_config(repo.path / CONFIG)
    config = (repo.path / CONFIG).read_text()
    assert "\n  reference: data/train.parquet" in config


def test_a_folder_of_a_monorepo(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            "requirements.txt": "pandas\n",
            "train.py": "the wrong one",
            "services/churn/train.py": "",
            "services/churn/metrics.json": metrics(accuracy=0.9),
            "services/other/metrics.json": metrics(accuracy=0.1),
        },
        name="mono",
    )
    repo.init(folder="services/churn")
    config = repo.config("services/churn")
    assert config.model == "churn"
    assert (config.train.run, config.train.metrics) == ("python train.py", "metrics.json")
    assert repo.inputs["config"] == "services/churn/modelship.yaml"
    assert repo.inputs["setup"] == "pip install -r requirements.txt"


def test_the_folder_s_own_requirements_go_before_those_of_the_top(make_repo: MakeRepo) -> None:
    repo = make_repo({"requirements.txt": "a", "my model/requirements.txt": "b"})
    repo.init(folder="my model")
    assert repo.inputs["setup"] == "pip install -r 'my model/requirements.txt'"


@pytest.mark.parametrize(
    ("file", "text", "command"),
    [
        ("uv.lock", "", "pip install uv && uv export --locked --quiet | uv pip install --system -r -"),
        ("poetry.lock", "", "pip install poetry && POETRY_VIRTUALENVS_CREATE=false poetry install --no-interaction"),
        ("Pipfile.lock", "{}", "pip install pipenv && pipenv install --system --deploy"),
        ("pyproject.toml", '[project]\nname = "x"\n', "pip install ."),
        (
            "environment.yml",
            "",
            '"$CONDA/bin/conda" env create --quiet --prefix "$RUNNER_TEMP/conda" --file environment.yml '
            '&& echo "$RUNNER_TEMP/conda/bin" >> "$GITHUB_PATH"',
        ),
    ],
)
def test_setup(make_repo: MakeRepo, file: str, text: str, command: str) -> None:
    repo = make_repo({file: text or "#"})
    repo.init()
    assert repo.inputs["setup"] == command


def test_a_package_is_run_as_a_module(make_repo: MakeRepo) -> None:
    repo = make_repo({"churn/__init__.py": "", "churn/train.py": "from churn import data\n", "tests/train.py": ""})
    repo.init()
    assert repo.config().train.run == "python -m churn.train"


def test_several_scripts_are_named(make_repo: MakeRepo) -> None:
    repo = make_repo({"a/train.py": "", "b/train.py": ""})
    result = repo.init()
    assert repo.config().train.run == "python a/train.py"
    assert "there is also `python b/train.py`" in left(result)


@pytest.mark.parametrize(
    ("command", "expected"), [("python t.py", "python t.py"), ("python t.py {a}", "mlflow run . --env-manager local -e main")]
)
def test_an_mlproject(make_repo: MakeRepo, command: str, expected: str) -> None:
    repo = make_repo({"MLproject": f"name: x\nentry_points:\n  main:\n    command: '{command}'\n"})
    repo.init()
    assert repo.config().train.run == expected
    assert "mlflow-tracking-uri" in repo.inputs


def test_metrics_that_only_dvc_keeps_are_no_baseline(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            ".dvc/config": "",
            ".gitignore": "/metrics.json\n",
            "dvc.yaml": "stages:\n  t:\n    cmd: x\n    metrics: [metrics.json]\n",
            "metrics.json": metrics(roc_auc=0.8),
        }
    )
    result = repo.init()
    assert repo.config().gate.first_run == "refuse"
    assert "only DVC keeps `metrics.json`" in left(result)
    assert "DVC has no remote" in left(result)
    assert repo.run("metric-gate", "--candidate", "metrics.json").exit_code == 2


def test_metrics_that_git_ignores_are_no_baseline(make_repo: MakeRepo) -> None:
    repo = make_repo({".gitignore": "out/\n", "train.py": "open('out/metrics.json', 'w')\n"})
    result = repo.init()
    assert repo.config().train.metrics == "out/metrics.json"
    assert repo.config().gate.first_run == "refuse"
    assert "`out/metrics.json` is not in git" in left(result)
    assert repo.run("metric-gate").exit_code == 2


def test_metrics_of_unknown_direction_are_left_to_decide(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {
            "dvc.yaml": "stages:\n  t:\n    cmd: x\n    metrics: [{m.yaml: {cache: false}}]\n",
            "m.yaml": "profit: 3.5\nchurned: 7\n",
            ".dvc/config": "",
        }
    )
    result = repo.init()
    assert repo.config().train.metrics == "m.yaml"
    assert repo.config().gate.metrics is None
    assert "`profit`, `churned`" in left(result)
    assert "{better: higher, max-regression: 1%}" in (repo.path / CONFIG).read_text()
    assert repo.run("metric-gate", "--candidate", "m.yaml").exit_code == 2


@pytest.mark.parametrize(
    "text", ['{"roc_auc": 0.8', '{"roc_auc": NaN}', '{"roc_auc": "0.8"}', '{"roc_auc": true}', "[0.8]", "", "\ufeff{}", "[" * 10000]
)
def test_a_metrics_file_without_a_usable_number_is_none(make_repo: MakeRepo, text: str) -> None:
    repo = make_repo({"metrics.json": text})
    repo.init()
    assert repo.config().train.metrics is None
    assert repo.config().gate.metrics is None


def test_a_broken_pipeline_is_said(make_repo: MakeRepo) -> None:
    repo = make_repo({"dvc.yaml": "stages: [\n", ".dvc/config": ""})
    assert "dvc.yaml" in left(repo.init())


def test_a_dvc_remote_that_no_runner_sees(make_repo: MakeRepo) -> None:
    repo = make_repo(
        {".dvc/config": "[core]\nremote = a\n['remote \"a\"']\nurl = /mnt/store\n", "x.csv.dvc": "outs: [{path: x.csv}]\n"}
    )
    assert "a folder of this machine" in left(repo.init())
    assert "secrets" not in repo.job


def test_an_only_remote_that_is_no_default_is_named(make_repo: MakeRepo) -> None:
    repo = make_repo({".dvc/config": "['remote \"a\"']\nurl = gs://bucket\n", "x.csv.dvc": "outs: [{path: x.csv}]\n"})
    repo.init()
    assert repo.config().data.remote == "a"


def test_tables_and_a_suite(make_repo: MakeRepo) -> None:
    suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}]}
    repo = make_repo(
        {
            "data/X_train.csv": "a\n",
            "data/train.csv": "customer_id,age,label\n1,2,0\n",
            "data/test.csv": "customer_id,age,label\n3,4,1\n",
            "gx/expectations/churn.json": json.dumps(suite),
        }
    )
    repo.init()
    data = repo.config().data
    assert (data.reference, data.current, data.expectations) == ("data/train.csv", "data/test.csv", "gx/expectations/churn.json")
    assert "validate" not in repo.inputs
    text = (repo.path / CONFIG).read_text()
    assert "# target: label" in text
    assert "# key: customer_id" in text


def test_a_project_is_chosen_before_its_suites(make_repo: MakeRepo) -> None:
    suite = {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}]}
    files = {"gx/great_expectations.yml": "config_version: 4.0\n", "gx/expectations/churn.json": json.dumps(suite)}
    repo = make_repo({"train.py": "", "data/train.csv": "id\n1\n", **files})
    repo.init()
    assert repo.config().data.expectations == "gx"


@pytest.mark.parametrize("suffix", [".pq", ".csv.gz", ".jsonl", ".ndjson.gz", ".arrow", ".feather"])
def test_every_kind_of_file_that_is_read_may_be_a_table(make_repo: MakeRepo, suffix: str) -> None:
    repo = make_repo({f"data/train{suffix}": "a", f"data/predictions{suffix}": "a"})
    repo.init()
    config = repo.config()
    assert config.data.reference == f"data/train{suffix}"
    assert config.train.predictions == (f"data/predictions{suffix}" if suffix in (".pq", ".csv.gz") else None)


def test_expectations_that_cannot_be_read_are_said(make_repo: MakeRepo) -> None:
    repo = make_repo({"expectations.yaml": "roc: 1\n", "data/train.csv": "a\n"})
    assert "expectations.yaml:1: is neither a list" in left(repo.init())
    assert repo.config().data.expectations is None
    assert repo.inputs["validate"] is False


def test_what_lies_in_environments_and_ignored_folders_is_not_seen(make_repo: MakeRepo) -> None:
    hidden = {f"{folder}/train.py": "" for folder in (".venv/lib", "node_modules/x", "venv", "ignored", "tests", "docs")}
    repo = make_repo({**hidden, ".gitignore": "ignored/\n"})
    repo.init()
    assert repo.config().train.run is None


def test_outside_of_git(make_repo: MakeRepo) -> None:
    repo = make_repo({"train.py": "", "metrics.json": metrics(f1=0.5), "venv/metrics.json": "{}"}, git=False)
    result = repo.init()
    assert repo.config().train.run == "python train.py"
    assert "Git: this folder is in no git repository" in left(result)
    assert "Default branch: `main` is a guess" in left(result)


def test_the_default_branch_is_origin_s(make_repo: MakeRepo) -> None:
    repo = make_repo({"train.py": ""})
    repo.git("update-ref", "refs/remotes/origin/release+1", "HEAD")
    repo.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release+1")
    repo.init()
    assert yaml((repo.path / WORKFLOW).read_text())["on"]["push"] == {"branches": ["release\\+1"]}


KEYS = st.sampled_from(
    [
        "stages",
        "outs",
        "metrics",
        "params",
        "do",
        "wdir",
        "path",
        "cache",
        "entry_points",
        "main",
        "command",
        "expectations",
        "roc_auc",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(["a.json", "../up", "/abs", "${x}", "\ud800", "train.csv"])
)
ODD = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25)

HOSTILE = "a b $(touch pwned) `touch pwned` \"q\" 'r' #x: {y} %\n- z: ${{ github.token }}\u2028\x1b[31m; touch pwned"


def test_a_hostile_file_name_stays_a_name(make_repo: MakeRepo, tmp_path: Path) -> None:
    names = {
        f"{HOSTILE}/train.py": "",
        f"{HOSTILE}/metrics.json": json.dumps({HOSTILE: {"roc_auc": 0.5}}),
        f"{HOSTILE}/train.csv": "a",
    }
    repo = make_repo(names)
    result = repo.init()
    config = repo.config()
    assert config.train.metrics == f"{HOSTILE}/metrics.json"
    assert config.data.reference == f"{HOSTILE}/train.csv"
    assert list(config.gate.metrics or ()) == [f"{HOSTILE}.roc_auc"]
    assert run_with_stand_ins(config.train.run or "", repo.path, tmp_path) == [["python", f"{HOSTILE}/train.py"]]
    assert not any("\x1b" in line or "\u2028" in line for line in result.output.split("\n"))
    assert not list(tmp_path.rglob("pwned"))


@settings(max_examples=40, deadline=None)
@given(ODD, ODD, ODD)
def test_files_of_any_shape_are_looked_at(tmp_path_factory: pytest.TempPathFactory, pipeline: Any, outputs: Any, project: Any) -> None:
    folder = tmp_path_factory.mktemp("odd")
    names = {"dvc.yaml": pipeline, "x.dvc": outputs, "MLproject": project, "metrics.json": outputs, "expectations.yaml": project}
    for name, data in {**names, "params.yaml": pipeline, "gx/expectations/s.json": project}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    (folder / ".dvc").mkdir()
    proposal = propose(look(folder, CONFIG, Repository(folder)))
    parse_config(proposal.config.encode(), CONFIG, folder)


def test_a_hostile_folder_name_stays_a_name(make_repo: MakeRepo, tmp_path: Path) -> None:
    repo = make_repo({f"{HOSTILE}/requirements.txt": "pandas"})
    repo.init(folder=HOSTILE)
    # GitHub evaluates `${{ '${{' }}` to the text `${{`.
    assert repo.inputs["config"].replace("${{ '${{' }}", "${{") == f"{HOSTILE}/modelship.yaml"
    assert repo.inputs["config"].count("${{") == 2
    setup = repo.inputs["setup"].replace("${{ '${{' }}", "${{")
    assert run_with_stand_ins(setup, repo.path, tmp_path) == [["pip", "install", "-r", f"{HOSTILE}/requirements.txt"]]
    assert not list(tmp_path.rglob("pwned"))


def test_a_name_that_looks_like_an_option(make_repo: MakeRepo) -> None:
    repo = make_repo({"--help/train.py": "", "--help/requirements.txt": ""})
    repo.init()
    assert repo.config().train.run == "python ./--help/train.py"


def run_with_stand_ins(command: str, folder: Path, tmp_path: Path) -> list[list[str]]:
    """What `command` calls, with stand-ins for python and pip that only note their arguments."""
    tools, log = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    for name in ("python", "pip"):
        (tools / name).write_text(f'#!/bin/sh\nprintf "%s\\0" {name} "$@" >> "{log}"\nprintf "\\1" >> "{log}"\n')
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=folder, env=environment, check=True)
    return [call.split("\0")[:-1] for call in log.read_text().split("\1")[:-1]]


@pytest.mark.parametrize("name", [CONFIG, "modelship.yml", WORKFLOW, ".github/workflows/modelship.yaml"])
def test_nothing_is_overwritten(make_repo: MakeRepo, name: str) -> None:
    repo = make_repo({name: "model: mine\n", "train.py": ""})
    before = repo.snapshot()
    result = repo.run("init")
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"error: modelship init: {name}: exists already. It is left as it is. `modelship init --print` shows what would be written."
    ]
    assert repo.snapshot() == before


def test_a_link_is_not_followed(make_repo: MakeRepo, tmp_path: Path) -> None:
    repo = make_repo({"train.py": ""})
    (repo.path / CONFIG).symlink_to(tmp_path / "elsewhere.yaml")
    assert repo.run("init").exit_code == 2
    (repo.path / CONFIG).unlink()
    (tmp_path / "outside").mkdir()
    (repo.path / ".github").symlink_to(tmp_path / "outside")
    assert repo.run("init").exit_code == 2
    assert not (tmp_path / "elsewhere.yaml").exists()
    assert not list((tmp_path / "outside").iterdir())
    assert not (repo.path / CONFIG).exists()


def test_what_cannot_be_written_leaves_nothing_behind(make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo({"train.py": ""})
    before = repo.snapshot()
    original = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "modelship.yml":
            raise OSError(28, "No space left on device")
        return original(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    result = repo.run("init")
    monkeypatch.undo()
    assert result.exit_code == 2
    assert "No space left on device" in result.output
    assert repo.snapshot() == before
    assert not (repo.path / ".github").exists()


def test_a_workflow_that_calls_modelship_under_another_name(make_repo: MakeRepo) -> None:
    caller = f"on: push\njobs:\n  m:\n    uses: {CALLED}\n"
    repo = make_repo({".github/workflows/ml.yml": caller, "churn/train.py": ""})
    before = repo.snapshot()
    result = repo.run("init")
    assert result.exit_code == 2
    assert ".github/workflows/ml.yml: has Modelship check modelship.yaml already." in result.output
    assert repo.snapshot() == before
    repo.init(folder="churn")


def test_the_next_step_is_a_preview_that_works(make_repo: MakeRepo) -> None:
    bare = make_repo({"train.py": ""}).run("init", "--config", "gate.yaml")
    assert "`modelship pull-request --config gate.yaml --validate false`" in bare.output
    expectations = "- expect_column_to_exist: {column: late}\n"
    checked = make_repo({"train.py": "", "train.csv": "late\n1\n", "expectations.yaml": expectations}, name="checked").run("init")
    assert "`modelship pull-request`" in checked.output


def test_a_metrics_file_that_is_not_written_yet_is_no_file_without_metrics(make_repo: MakeRepo) -> None:
    result = make_repo({"train.py": 'open("metrics.json", "w")\n'}).run("init")
    assert "metrics: metrics.json (train.py names it; no metric in it yet)" in result.output


def test_print_writes_nothing(make_repo: MakeRepo) -> None:
    repo = make_repo({"train.py": "", "metrics.json": metrics(f1=0.5), CONFIG: "model: mine\n"})
    before = repo.snapshot()
    result = repo.run("init", "--print")
    assert result.exit_code == 0
    assert repo.snapshot() == before
    config, workflow = YAML(typ="safe", pure=True).load_all(result.stdout)
    assert config["train"]["run"] == "python train.py"
    assert workflow["jobs"]["model"]["uses"] == CALLED
    assert "Left to decide:" in result.stderr


def test_a_configuration_of_another_name(make_repo: MakeRepo) -> None:
    repo = make_repo({"models/churn/train.py": ""})
    assert repo.run("init", "--config", "models/churn/gate.yaml").exit_code == 0
    assert repo.inputs["config"] == "models/churn/gate.yaml"
    assert load_config(repo.path / "models/churn/gate.yaml").config.train.run == "python train.py"
    assert repo.run("init", "--config", "nowhere/modelship.yaml").exit_code == 2
    assert repo.run("init", "--config", "modelship.json").exit_code == 2


def test_pipes_and_huge_files_are_not_read(make_repo: MakeRepo) -> None:
    repo = make_repo({"train.py": "", "results.json": json.dumps({"roc_auc": 0.5, "blob": "x" * 2_000_000})})
    os.mkfifo(repo.path / "metrics.json")
    os.mkfifo(repo.path / "requirements.txt")
    assert repo.run("init").exit_code == 0
    assert repo.config().train.metrics is None


def test_nothing_of_the_repository_is_run_and_nothing_heavy_is_imported(make_repo: MakeRepo) -> None:
    repo = make_repo({"train.py": "raise SystemExit('was run')", "click.py": "raise SystemExit('was imported')"})
    code = "import sys; from modelship.cli import main\ntry: main(['init'])\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(TEMPLATE.parent / "scripts"), "PYTHONSAFEPATH": "1"}
    result = subprocess.run([sys.executable, "-c", code], cwd=repo.path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for heavy in ("pandas", "numpy", "mlflow", "great_expectations", "pyarrow", "dvc", "evidently"):
        assert f"'{heavy}'" not in result.stderr


@pytest.mark.parametrize(
    ("files", "ignored", "path", "why"),
    [
        (
            {"dvc.yaml": "stages: {train: {cmd: x, plots: [{out/predictions.csv: {x: a}}]}}"},
            "",
            "out/predictions.csv",
            "stage `train`",
        ),
        ({"outputs/predictions.parquet": "PAR1"}, "outputs/\n", "outputs/predictions.parquet", ""),
        ({"test_predictions.csv": "id,truth,prediction\n"}, "", "test_predictions.csv", ""),
        ({"src/evaluate.py": "rows.to_csv('predictions.csv', index=False)\n"}, "", "predictions.csv", "src/evaluate.py names it"),
        ({"train.py": 'OUT = "out/val_preds.parquet"\n'}, "", "out/val_preds.parquet", "train.py names it"),
        ({"train.py": "rows.to_csv(folder / 'predictions.csv')\n"}, "", None, ""),
        ({"train.py": "rows.to_csv(os.path.join(folder, 'predictions.csv'))\n"}, "", None, ""),
        ({"train.py": "old = pd.read_csv('predictions.csv')\n"}, "", None, ""),
        ({"train.py": "rows.to_csv('/tmp/predictions.csv')\nrows.to_json('predictions.json')\n"}, "", None, ""),
    ],
)
def test_a_predictions_file_is_proposed(make_repo: MakeRepo, files: dict[str, str], ignored: str, path: str | None, why: str) -> None:
    repo = make_repo({"train.py": "", "metrics.json": metrics(roc_auc=0.8), **files, ".gitignore": ignored})
    result = repo.init()
    config = repo.config()
    assert config.train.predictions == path
    assert (config.data.reference, config.data.current) == (None, None)
    assert ("Predictions: set `data.key`" in left(result)) is (path is not None)
    if path:
        assert f"predictions: {path}" in result.output
        assert why in result.output.partition(f"predictions: {path}")[2].partition("\n")[0]


def test_the_template_without_its_two_files(make_repo: MakeRepo) -> None:
    wanted = ("dvc.yaml", "params.yaml", "metrics.json", "expectations.yaml", ".dvc/config", "requirements.txt", ".gitignore")
    files = {name: (TEMPLATE / name).read_text(encoding="utf-8") for name in (*wanted, "flight_delay/train.py", "data/.gitignore")}
    repo = make_repo(files, name="flight-delay")
    repo.init()
    ours, written = load_config(TEMPLATE / CONFIG).config, repo.config()
    assert written.model == ours.model
    assert written.train.run == ours.train.run
    assert written.train.metrics == ours.train.metrics
    assert (written.train.predictions, written.train.model) == (ours.train.predictions, ours.train.model)
    assert (written.data.reference, written.data.current) == (ours.data.reference, ours.data.current)
    assert written.data.expectations == ours.data.expectations
    assert list(written.gate.metrics or ()) == ["roc_auc", "log_loss", "f1"]


# --- The pure core -------------------------------------------------------------------------------------------------------


def known(*names: str) -> tuple[KnownMetric, ...]:
    return tuple(KnownMetric(name, 0.5, "higher") for name in names)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ((), []),
        (("accuracy", "average_precision", "brier_score_loss", "f1", "log_loss", "roc_auc"), ["roc_auc", "log_loss", "f1"]),
        (("accuracy", "f1"), ["f1", "accuracy"]),
        (("train.f1", "test.f1"), ["test.f1"]),
        (("train_accuracy",), ["train_accuracy"]),
        (("\U000e0001" * 110 + ".f1", "accuracy"), ["accuracy"]),
        (("rmse", "mae", "r2", "mape"), ["rmse", "mae", "r2"]),
        (("hinge_loss", "val_f1_macro"), ["val_f1_macro", "hinge_loss"]),
    ],
)
def test_choose_metrics(names: tuple[str, ...], chosen: list[str]) -> None:
    assert [metric.name for metric in choose_metrics(known(*names))] == chosen


@pytest.mark.parametrize(
    ("stated", "version"),
    [
        (">=3.9", "3.12"),
        (">=3.10,<3.12", "3.11"),
        (">=3.13", "3.13"),
        ("^3.11", "3.12"),
        ("~3.11", "3.11"),
        ("~=3.11.2", "3.11"),
        ("~=3.10", "3.12"),
        ("==3.11.*", "3.11"),
        ("==3.11.4", "3.11.4"),
        ("<3.12.5", "3.11"),
        (">=3.8,!=3.12.*", "3.13"),
        (">=3.8,!=3.12.1", "3.12"),
        ("<4", "3.12"),
        ("<3", None),
        (">=3.9 || 2.7", None),
        ("whatever", None),
    ],
)
def test_choose_python(stated: str, version: str | None) -> None:
    assert choose_python(stated) == version


# Lone surrogates cannot stand in a file; names that hold them are left out before.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(TEXT)
def test_any_text_survives_as_a_scalar(text: str) -> None:
    assert "\n" not in scalar(text)
    assert yaml(f"key: {scalar(text)} # comment\n") == {"key": text}
    assert yaml(f"{scalar(text)}: {{a: 1%}}\n") == {text: {"a": "1%"}}
    assert yaml(f"[{scalar(text)}]\n") == [text]


@pytest.mark.parametrize(
    "text",
    ["true", "No", "null", "~", "1e3", "0x10", "12:30", "3.12", ".5", "a: b", "a #b", "- a", "", " a", "a ", "*", "&a", "..", "-"],
)
def test_what_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    assert scalar(text) == f'"{text}"' or (text == ".." and scalar(text) == "..")


@given(TEXT)
def test_shown_text_stays_on_its_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text, 10)) <= 10


def test_names_that_mean_something_to_github() -> None:
    assert expression_safe("a ${{ b }}") == "a ${{ '${{' }} b }}"
    assert glob_safe("main") == "main"
    assert glob_safe("v[1]*+?!") == r"v\[1\]\*\+\?\!"


@settings(max_examples=50, deadline=None)
@given(TEXT, TEXT, TEXT, st.lists(TEXT, max_size=3))
def test_whatever_is_found_what_is_written_loads(path: str, command: str, why: str, others: list[str]) -> None:
    choice = Choice(path, why, tuple(others))
    facts = Facts(
        model="m",
        prefix="",
        config_name=CONFIG,
        in_git=True,
        branch=Choice(path, ""),
        run=Choice(command, why, tuple(others)),
        metrics=MetricsFile(path, why, "tracked", (KnownMetric(f"{path}.f1", 0.5, "higher"),), (), tuple(others)),
        reference=choice,
        current=choice,
        target=path,
        key=path,
        expectations=choice,
        setup=Choice(command, why),
        unread=(why,),
    )
    proposal = propose(facts)
    config = parse_config(proposal.config.encode(), CONFIG, Path()).config
    assert (config.train.run, config.train.metrics, config.data.reference) == (command, path, path)
    assert list(config.gate.metrics or ()) == [f"{path}.f1"]
    job = yaml(proposal.workflow)["jobs"]["model"]
    assert job["with"]["setup"] == expression_safe(command)
    assert job["permissions"] == {"contents": "read", "pull-requests": "write", "checks": "write"}
    assert set(job) == {"permissions", "uses", "with"}
    assert all(line.isprintable() for line in (*proposal.found, *proposal.undecided))
