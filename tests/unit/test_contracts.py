"""What users lean on: one name everywhere, inputs that reach their options, pinned actions, least rights, locks without addresses."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.core import ParameterSource
from ruamel.yaml import YAML

from modelship import __version__
from modelship.cli import COMMANDS, modelship
from modelship.core.records import RECORDS
from modelship.core.workflow import read_outputs

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "scripts" / "modelship"

ACTIONS = {path.parent.name: path for path in sorted(ROOT.glob("actions/*/action.yml"))} | {"pull-request": ROOT / "action.yml"}
"""Every action by the command that it runs."""
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml")) + sorted(ROOT.glob("template-repo/.github/workflows/*.yml"))
REUSABLE = [path for path in WORKFLOWS if path.parent.parent.parent == ROOT and not path.name.startswith("_")]
CALLERS = [path for path in WORKFLOWS if path.is_relative_to(ROOT / "template-repo")]
GUIDES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("actions/*/*.md"), *ROOT.glob("template-repo/*.md")]
LOCKS = sorted(ROOT.glob("requirements/*.txt"))

FRAME_OUTPUTS = {"status", "summary", "record", "record-digest", "run-directory", "evidence-digest"}
HEAVY = {"pandas", "numpy", "pyarrow", "mlflow", "evidently", "great_expectations", "dvc", "github", "jinja2"}

each_action = pytest.mark.parametrize("command", ACTIONS)
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.relative_to(ROOT).as_posix())
each_lock = pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)


TERMINAL_ONLY = {"json", "quiet", "suggest"}
"""Options for a person at a terminal; an action's results are its outputs and its record."""


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def click_command(name: str) -> click.Command:
    command = modelship.get_command(click.Context(modelship), name)
    assert command is not None
    return command


def options(name: str) -> dict[str, click.Option]:
    """The command's options by their long name without dashes, but for what only a terminal wants."""
    found: dict[str, click.Option] = {}
    for parameter in click_command(name).params:
        assert isinstance(parameter, click.Option), f"{name} takes a positional argument, which no action can give"
        (long,) = (option for option in parameter.opts if option.startswith("--"))
        found[long.removeprefix("--")] = parameter
    return {long: option for long, option in found.items() if long not in TERMINAL_ONLY}


def variable(command: str, name: str) -> str:
    return f"MODELSHIP_{command}_{name}".upper().replace("-", "_")


def only_step(command: str) -> dict[str, Any]:
    (step,) = read(ACTIONS[command])["runs"]["steps"]
    assert isinstance(step, dict)
    return step


# Actions and commands ------------------------------------------------------------------------------------------------------------


def test_one_name_everywhere() -> None:
    folders = {path.name for path in (ROOT / "actions").iterdir() if path.is_dir()}
    assert folders == set(ACTIONS) - {"pull-request"}, "a folder without an action.yml"
    assert set(ACTIONS) <= set(COMMANDS)
    assert set(COMMANDS) - set(ACTIONS) == {"init", "schema", "deployments"}, (
        "a command that is neither an action nor for a terminal alone"
    )
    assert set(RECORDS) <= set(ACTIONS)
    for name in COMMANDS:
        assert click_command(name).name == name
        assert (PACKAGE / "commands" / f"{name.replace('-', '_')}.py").is_file()
    for name, record in RECORDS.items():
        assert re.fullmatch(rf"{name}/[1-9][0-9]*", str(record.__struct_config__.tag))


@each_action
def test_the_action_is_one_step_that_calls_the_launcher(command: str) -> None:
    action = read(ACTIONS[command])
    assert action["name"] == ("Modelship" if command == "pull-request" else f"Modelship {command}")
    assert action["runs"]["using"] == "composite"
    step = only_step(command)
    assert set(step) == {"id", "name", "shell", "env", "run"}
    assert step["shell"] == "bash"
    up = "" if command == "pull-request" else "/../.."
    assert step["run"] == f'"$GITHUB_ACTION_PATH{up}/scripts/run" {command}'
    assert "INPUT_" not in ACTIONS[command].read_text(encoding="utf-8")


@each_action
def test_every_input_is_an_option_and_every_option_an_input(command: str) -> None:
    inputs = read(ACTIONS[command])["inputs"]
    assert set(inputs) == set(options(command))
    assert only_step(command)["env"] == {variable(command, name): f"${{{{ inputs.{name} }}}}" for name in inputs}
    for name, settings in inputs.items():
        assert settings.get("description"), f"`{name}` has no description"
        assert set(settings) <= {"description", "default"}, "`required` is not enforced in a composite action"
        assert isinstance(settings.get("default", ""), str), "inputs are strings"


@each_action
def test_defaults_of_action_and_command_agree(command: str) -> None:
    known = options(command)
    for name, settings in read(ACTIONS[command])["inputs"].items():
        default = settings.get("default", "")
        if "${{" in default:
            continue
        option = known[name].default
        shown = str(option).lower() if isinstance(option, bool) else option if isinstance(option, str) else ""
        assert default in (shown, ""), f"`{name}`: {default!r} in action.yml, {shown!r} in the command"


def _sample(option: click.Option) -> str:
    if isinstance(option.type, click.types.BoolParamType):
        return "false" if option.default is True else "true"
    if isinstance(option.type, click.Choice):
        return str(option.type.choices[-1])
    if isinstance(option.type, click.types.IntParamType):
        return "7"
    return "{roc_auc: {min: 0.5}}" if option.callback else f"value-of-{option.name}"


def _parse(command: str) -> click.Context:
    """The command's parameters as click finds them with no arguments: from the environment, or by default."""
    parent = modelship.make_context("modelship", [command])
    return click_command(command).make_context(command, [], parent=parent)


@each_action
def test_the_variables_of_an_action_bind(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODELSHIP_")]:
        monkeypatch.delenv(name)
    bare = _parse(command)
    for name, option in options(command).items():
        monkeypatch.setenv(variable(command, name), _sample(option))
    context = _parse(command)
    for name, option in options(command).items():
        assert option.name is not None
        assert context.get_parameter_source(option.name) == ParameterSource.ENVIRONMENT, f"`{name}` is not read"
        value, sample = context.params[option.name], _sample(option)
        assert value == {"roc_auc": {"min": 0.5}} if option.callback else str(value).lower() == sample, name
        assert value != bare.params[option.name]


@each_action
def test_an_input_that_is_not_given_is_empty_and_means_the_default(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = _parse(command)
    for name in options(command):
        monkeypatch.setenv(variable(command, name), "")
    assert _parse(command).params == bare.params


def _strings(path: Path) -> set[str]:
    return {
        node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@each_action
def test_every_output_is_one_that_the_command_sets(command: str) -> None:
    outputs = read(ACTIONS[command])["outputs"]
    for name, settings in outputs.items():
        assert settings == {"description": settings["description"], "value": f"${{{{ steps.run.outputs.{name} }}}}"}
    assert only_step(command)["id"] == "run"
    # Commands that are much alike share a module.
    module = PACKAGE / "commands" / f"{command.replace('-', '_')}.py"
    shared = [
        path for path in (PACKAGE / "commands").glob("*.py") if f"from modelship.commands.{path.stem} import" in module.read_text()
    ]
    sources = set().union(*map(_strings, [module, *shared]))
    if command == "pull-request":
        assert set(outputs) <= set(read(ACTIONS["comment"])["outputs"]), "it passes on what `comment` sets"
        return
    own = set(outputs) - FRAME_OUTPUTS
    assert own <= sources, f"{module} never names {own - sources}"
    if command in RECORDS:
        assert set(outputs) >= FRAME_OUTPUTS


@each_action
def test_a_failed_command_still_sets_its_outputs(command: str, tmp_path: Path) -> None:
    """In an empty folder every command is bad input, says so, and leaves what the comment needs."""
    outputs = tmp_path / "outputs"
    outputs.touch()
    folder = tmp_path / "work"
    folder.mkdir()
    result = _modelship(command, cwd=folder, GITHUB_OUTPUT=str(outputs), GITHUB_ACTIONS="true")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "::error " in result.stdout
    assert "Traceback" not in result.stderr
    found = read_outputs(outputs)
    assert set(found) <= set(read(ACTIONS[command])["outputs"])
    if command in RECORDS:
        assert found["status"] == "error"
        assert (folder / found["record"]).is_file()
        assert set(found) >= FRAME_OUTPUTS


@pytest.mark.parametrize("command", [name for name in ACTIONS if name in RECORDS])
@pytest.mark.parametrize("obstacle", ["a file", "a link to nowhere"])
def test_exit_code_1_is_a_verdict_and_nothing_else(command: str, obstacle: str, tmp_path: Path) -> None:
    """Where no record can be written there is no verdict: a process that merely crashed must not look like one."""
    if obstacle == "a file":
        (tmp_path / ".modelship").touch()
    else:
        (tmp_path / ".modelship").symlink_to("nowhere")
    result = _modelship(command, cwd=tmp_path)
    assert result.returncode in (2, 3), result.stdout + result.stderr


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODELSHIP_", "GITHUB_", "MLFLOW_"))}
    return {**kept, **more}


def _modelship(*arguments: str, cwd: Path, python_options: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", *python_options, PACKAGE, *arguments],
        cwd=cwd, env=_environment(**variables), capture_output=True, text=True, check=False,
    )  # fmt: skip


# Workflows -----------------------------------------------------------------------------------------------------------------------

PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
OURS = re.compile(r"modelship/modelship(/[\w./-]+)?@v1")
USES = re.compile(r"^\s*(?:-\s+)?uses:\s*[\"']?([^\s\"']+)[\"']?\s*(#.*)?$", re.MULTILINE)


def _run_scripts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("run"), str):
            yield node["run"]
        for child in node.values():
            yield from _run_scripts(child)
    elif isinstance(node, list):
        for child in node:
            yield from _run_scripts(child)


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS.values()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_everything_used_is_pinned(path: Path) -> None:
    in_template = path.is_relative_to(ROOT / "template-repo")
    for used, comment in USES.findall(path.read_text(encoding="utf-8")):
        if used.startswith("$/"):
            assert not in_template
            assert (ROOT / used.removeprefix("$/")).exists(), used
        elif OURS.fullmatch(used):
            assert in_template, f"{used} is this repository: write `$/…`"
            _assert_ours(used)
        elif used.startswith("./.github/workflows/"):
            assert (ROOT / used).is_file(), used
        else:
            assert PINNED.fullmatch(used), f"{used} is not pinned by its full commit"
            assert re.fullmatch(r"# v\d+\.\d+\.\d+", comment), f"{used} does not say its version"


def _assert_ours(used: str) -> None:
    path = ROOT / used.removeprefix("modelship/modelship").removeprefix("/").partition("@")[0]
    assert path.is_file() or (path / "action.yml").is_file(), f"{used} is not in this repository"


def test_guides_use_what_is_there() -> None:
    for guide in GUIDES:
        for used, _ in USES.findall(guide.read_text(encoding="utf-8")):
            if OURS.fullmatch(used):
                _assert_ours(used)
            else:
                assert "modelship" not in used, f"{guide.name}: {used}"


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS.values()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_expression_reaches_a_shell(path: Path) -> None:
    for script in _run_scripts(read(path)):
        assert "${{" not in script
        assert "INPUT_" not in script


@each_workflow
def test_rights_are_given_job_by_job(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert isinstance(job.get("permissions"), dict), f"`{name}` inherits its rights"
        assert set(job["permissions"].values()) <= {"read", "write", "none"}


@each_workflow
def test_no_workflow_runs_foreign_code_with_secrets(path: Path) -> None:
    assert "pull_request_target" not in path.read_text(encoding="utf-8")


@each_workflow
def test_jobs_end_and_checkouts_forget_the_token(path: Path) -> None:
    for name, job in read(path)["jobs"].items():
        assert "uses" in job or "timeout-minutes" in job, f"`{name}` may run for six hours"
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def workflow(name: str) -> Any:
    return read(ROOT / ".github" / "workflows" / f"{name}.yml")


def test_ci_runs_make_test_on_every_python_that_is_supported() -> None:
    """And nothing else: what guards a merge is in the Makefile, where anybody can run it."""
    job = workflow("_ci")["jobs"]["test"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, after = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups())  # type: ignore[union-attr]
    assert job["strategy"]["matrix"] == {"python": [f"3.{minor}" for minor in range(oldest, after)]}
    assert f"pythons='{project['requires-python']}'" in (ROOT / "scripts" / "run").read_text(encoding="utf-8")
    assert [step["run"] for step in job["steps"] if step["name"] == "Test"] == ["make test"]
    assert "if" not in job
    assert "continue-on-error" not in str(job)


def test_the_last_job_of_ci_waits_for_every_other() -> None:
    jobs = workflow("_ci")["jobs"]
    last = jobs.pop("passed")
    assert set(last["needs"]) == set(jobs), "a job is forgotten"
    assert last["if"] == "always()"
    (step,) = last["steps"]
    assert "if" not in step
    assert step["env"] == {"RESULTS": "${{ join(needs.*.result, ' ') }}"}


@pytest.mark.parametrize(
    ("results", "passes"),
    [("success", True), ("success success", True)]
    + [(results, False) for results in ("", "failure", "cancelled", "skipped", "success failure success", "success skipped")],
)
def test_ci_passes_when_every_job_has_succeeded(results: str, passes: bool) -> None:
    (step,) = workflow("_ci")["jobs"]["passed"]["steps"]
    result = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env={**os.environ, "RESULTS": results}, capture_output=True, check=False
    )
    assert (result.returncode == 0) == passes


def test_a_release_is_approved_and_checked_before_anything_is_written() -> None:
    jobs = workflow("_release")["jobs"]
    assert list(workflow("_release")["on"]) == ["workflow_dispatch"], "nobody but a person starts one"
    writers = [name for name, job in jobs.items() if "write" in job["permissions"].values()]
    assert writers == ["release"]
    assert jobs["release"]["environment"] == "release"
    assert jobs["release"]["needs"] == "check"
    steps = [step["name"] for step in jobs["release"]["steps"]]
    check = jobs["check"]["steps"][-1]
    assert check in jobs["release"]["steps"]
    assert steps.index(check["name"]) < steps.index("Attest where they come from") < steps.index("Publish")


@pytest.mark.parametrize("name", ["_release", "model-release", "model-rollback"])
def test_what_releases_restores_no_cache(name: str) -> None:
    """Whoever can write a cache would decide what is released."""
    for job in workflow(name)["jobs"].values():
        for step in job.get("steps", []):
            assert not step.get("uses", "").startswith("actions/cache")
            assert not {"cache", "enable-cache"} & set(step.get("with", {}))


def test_dependabot_knows_every_place_that_pins_something() -> None:
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    places = {
        (update["package-ecosystem"], place) for update in updates for place in update.get("directories", [update.get("directory")])
    }
    assert places == {
        ("github-actions", "/"), ("github-actions", "/actions/*"), ("uv", "/requirements"), ("pip", "/template-repo"), ("npm", "/"),
    }  # fmt: skip
    for update in updates:
        assert update["cooldown"]["default-days"] >= 7
        assert [group["patterns"] for group in update["groups"].values()] == [["*"]]


def test_every_file_has_an_owner_and_what_is_owned_is_there() -> None:
    lines = [line.split() for line in (ROOT / ".github" / "CODEOWNERS").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0][0] == "*"
    for place, *owners in lines:
        assert owners
        assert place == "*" or (ROOT / place.lstrip("/")).exists(), place


def test_what_a_comment_starts_runs_nothing_but_our_command() -> None:
    """It runs with rights that the author of the comment need not have."""
    (job,) = read(ROOT / ".github/workflows/model-accept.yml")["jobs"].values()
    assert job["permissions"] == {"actions": "write", "checks": "read", "pull-requests": "read"}
    assert [step["uses"] for step in job["steps"]] == ["$/actions/accept"]
    assert not [value for step in job["steps"] for value in step["with"].values() if "github.event" in value]


def test_what_a_fork_s_run_starts_reads_and_runs_nothing_of_the_fork() -> None:
    """It runs with secrets and a token that writes: what is checked out is the default branch, and each step is an action of ours."""
    (job,) = read(ROOT / ".github/workflows/model-comment.yml")["jobs"].values()
    assert "workflow_run.head_repository.full_name != github.repository" in job["if"]
    checkout, *steps = job["steps"]
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}, "actions/checkout takes the default branch"
    assert not [step for step in job["steps"] if "run" in step or "github.event" in str({**step, "if": ""})]
    ours = [step["uses"] for step in steps if step["uses"].startswith("$/")]
    assert ours == ["$/actions/fork-evidence", "$/actions/metric-gate", "$/actions/comment", "$/actions/comment"]
    assert {step["uses"].partition("@")[0] for step in steps} - set(ours) == {"actions/upload-artifact"}
    answers = [step for step in steps if step["uses"] in ours[1:]]
    assert {step["with"]["pull-request"] for step in answers} == {"${{ steps.fork.outputs.pull-request }}"}
    secrets = [step["name"] for step in job["steps"] if "secrets." in str(step)]
    assert secrets == ["Judge the metrics"]


def test_a_fork_s_pull_request_is_judged_in_one_of_two_places() -> None:
    """A job that is skipped counts as passed where it is required: whoever turns the judge off has another one."""
    workflow = read(ROOT / ".github/workflows/model-pull-request.yml")
    assert workflow["on"]["workflow_call"]["inputs"]["judge-forks"]["default"] is True
    judge, leave = ("".join(workflow["jobs"][name]["if"].split()) for name in ("judge", "leave"))
    is_fork = "github.event.pull_request.head.repo.full_name!=github.repository"
    assert judge == f"${{{{!cancelled()&&(inputs.judge-forks||!github.event.pull_request||{is_fork.replace('!=', '==')})}}}}"
    assert leave == f"${{{{!cancelled()&&!inputs.judge-forks&&github.event.pull_request&&{is_fork}}}}}"
    assert workflow["jobs"]["leave"]["permissions"] == {}
    called = read(ROOT / "template-repo/.github/workflows/model.yml")["jobs"]["model"]["with"]
    assert called["judge-forks"] is False
    heard = read(ROOT / "template-repo/.github/workflows/model-comment.yml")["on"]["workflow_run"]
    assert heard == {"workflows": [read(ROOT / "template-repo/.github/workflows/model.yml")["name"]], "types": ["completed"]}


def test_the_baseline_that_is_scored_is_the_one_that_was_fetched() -> None:
    steps = read(ROOT / ".github/workflows/model-pull-request.yml")["jobs"]["train"]["steps"]
    (evaluates,) = (step for step in steps if step["name"] == "Evaluate the model")
    for name in ("baseline-model", "baseline-digest"):
        assert evaluates["with"][name] == f"${{{{ steps.baseline.outputs.{name} }}}}"


def test_only_training_of_the_default_branch_sees_the_tracking_server() -> None:
    steps = read(ROOT / ".github/workflows/model-pull-request.yml")["jobs"]["train"]["steps"]
    runs = [step["name"] for step in steps].index("Install what training needs")
    # Nothing of the pull request has run when these see credentials.
    before = {"$/actions/dvc-pull", "$/actions/validate", "$/actions/drift-report", "$/actions/evaluate", *_foreign(steps)}
    assert {step.get("uses") for step in steps[:runs]} <= before
    (evaluates,) = (step for step in steps[:runs] if step["uses"] == "$/actions/evaluate")
    assert evaluates["with"]["fetch-baseline"] == "true"
    given = [str(value) for step in steps[runs:] for value in {**step.get("with", {}), **step.get("env", {})}.values()]
    about_mlflow = [value for value in given if "mlflow" in value]
    assert len(about_mlflow) == 3
    for value in about_mlflow:
        assert value.startswith("${{ !github.event.pull_request && (")
        assert "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)) && " in value
    assert not any("secrets." in value for value in given if value not in about_mlflow)


def test_the_base_commit_is_at_hand_where_the_history_is_not() -> None:
    """Its tables are compared by steps that may not fetch: the next checkout takes over the folder, objects and all."""
    steps = read(ROOT / ".github/workflows/model-pull-request.yml")["jobs"]["train"]["steps"]
    base, head = steps[:2]
    assert base["with"]["ref"] == "${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha }}"
    assert base["continue-on-error"] is True
    assert "path" not in {**base["with"], **head["with"]}
    assert "!inputs.evaluate" in base["if"]
    assert head["with"]["fetch-depth"] == "${{ inputs.evaluate && '0' || '1' }}"


def test_the_evidence_is_that_of_the_last_step_that_wrote_any() -> None:
    """Whatever fails: the digest that is promised is that of the run directory as it is handed over."""
    train = read(ROOT / ".github/workflows/model-pull-request.yml")["jobs"]["train"]
    writes = [
        step["id"]
        for step in train["steps"]
        if step.get("uses", "").startswith("$/") and "fetch-baseline" not in step["with"]  # which hands on a model
    ]
    last_first = " || ".join(f"steps.{step}.outputs.evidence-digest" for step in reversed(writes))
    assert train["outputs"]["evidence-digest"] == f"${{{{ {last_first} }}}}"
    hands_over, keeps_model = (step for step in train["steps"] if "upload-artifact@" in step.get("uses", ""))
    assert hands_over["if"] == "always()"
    assert hands_over["with"]["name"] == f"modelship-evidence-${{{{ {last_first} }}}}"
    assert keeps_model["with"]["name"] == f"modelship-model-${{{{ {last_first} }}}}"


def _foreign(steps: list[dict[str, Any]]) -> set[str]:
    return {step["uses"] for step in steps if step.get("uses", "").startswith("actions/")}


def test_two_models_of_one_run_do_not_share_an_artifact() -> None:
    """Artifacts belong to the run, and a caller may call the workflow once for each of its models."""
    jobs = [
        job
        for name in ("model-pull-request", "model-comment", "model-release", "model-attest", "model-monitor")
        for job in read(ROOT / f".github/workflows/{name}.yml")["jobs"].values()
    ]
    kept = [step["with"] for job in jobs for step in job.get("steps", []) if "-artifact@" in step.get("uses", "")]
    assert len(kept) >= 10
    for settings in kept:
        # An artifact without an archive is called what its file is called.
        named_after_content = "-digest }}" in settings.get("name", settings.get("pattern", ""))
        is_named_file = settings.get("archive") is False and settings["path"] == "${{ steps.report.outputs.report }}"
        named_after_model = "-${{ steps.report.outputs.model }}-" in settings.get("name", "")
        assert named_after_content or is_named_file or named_after_model


def _outputs(job: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a job, or of the workflow of ours that it calls."""
    if "uses" in job:
        called = read(ROOT / job["uses"].removeprefix("$/"))["on"]["workflow_call"]
        assert set(job["with"]) <= set(called["inputs"])
        assert set(job.get("secrets", {})) <= set(called["secrets"])
        return dict(called["outputs"])
    return dict(job["outputs"])


@pytest.mark.parametrize("path", REUSABLE, ids=lambda path: path.name)
def test_the_workflow_uses_what_it_declares(path: Path) -> None:
    call = read(path)["on"]["workflow_call"]
    text = path.read_text(encoding="utf-8")
    for name, settings in call.get("inputs", {}).items():
        assert re.search(rf"\binputs\.{name}\b(?!-)", text), f"the input `{name}` does nothing"
        assert settings.get("description")
    for name, settings in call.get("secrets", {}).items():
        assert re.search(rf"\bsecrets\.{name}\b(?!-)", text), f"the secret `{name}` does nothing"
        assert settings.get("description")
    assert set(re.findall(r"\binputs\.([\w-]+)", text)) <= set(call.get("inputs", {}))
    assert {name.lower() for name in re.findall(r"\bsecrets\.([\w-]+)", text)} <= {*call.get("secrets", {}), "github_token"}
    for settings in call.get("outputs", {}).values():
        for job, output in re.findall(r"jobs\.([\w-]+)\.outputs\.([\w-]+)", settings["value"]):
            assert output in _outputs(read(path)["jobs"][job])


@pytest.mark.parametrize("path", REUSABLE, ids=lambda path: path.name)
def test_steps_give_inputs_and_read_outputs_that_actions_have(path: Path) -> None:
    for job in read(path)["jobs"].values():
        action_of: dict[str, Any] = {}
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("$/"):
                action = read(ROOT / step["uses"].removeprefix("$/") / "action.yml")
                assert set(step.get("with", {})) <= set(action["inputs"]), step["uses"]
                action_of[step.get("id", "")] = action
        for step, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", str(job)):
            assert step in {found.get("id") for found in job["steps"]}, f"no step `{step}`"
            if step in action_of:
                assert output in action_of[step]["outputs"], f"{step}.{output}"


def test_what_is_attested_is_what_registering_promised() -> None:
    """Artifacts belong to the run: nothing is signed of which the digests were not compared before."""
    (job,) = read(ROOT / ".github/workflows/model-attest.yml")["jobs"].values()
    taken, compared, *attests = job["steps"]
    folder = taken["with"]["path"]
    assert compared["env"] == {
        "CHECKSUMS_DIGEST": "${{ inputs.checksums-digest }}", "BOM_DIGEST": "${{ inputs.bom-digest }}", "FOLDER": folder
    }  # fmt: skip
    assert [step["with"] for step in attests] == [
        {"subject-path": f"{folder}/model.sha256"},
        {"subject-path": f"{folder}/model.sha256", "sbom-path": f"{folder}/bom.cdx.json"},
    ]
    assert "contents" not in job["permissions"], "nothing of the repository is run beside a right to sign"


RIGHTS = ("none", "read", "write")


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.name)
def test_the_template_gives_what_is_asked_and_no_more(path: Path) -> None:
    for job in read(path)["jobs"].values():
        used = job.get("uses", "")
        if not OURS.fullmatch(used):
            continue
        called = read(ROOT / used.removeprefix("modelship/modelship/").partition("@")[0])
        call = called["on"]["workflow_call"]
        assert set(job.get("with", {})) <= set(call.get("inputs", {})), "an input that the workflow does not have"
        assert set(job.get("secrets", {})) <= set(call.get("secrets", {})), "a secret that the workflow does not have"
        needed: dict[str, int] = {}
        for asked in called["jobs"].values():
            for scope, right in asked["permissions"].items():
                needed[scope] = max(needed.get(scope, 0), RIGHTS.index(right))
        assert {scope: RIGHTS.index(right) for scope, right in job["permissions"].items()} == needed


# Light and layered ---------------------------------------------------------------------------------------------------------------


def _imported(result: subprocess.CompletedProcess[str]) -> set[str]:
    names = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines() if line.startswith("import time:")
    }
    assert "click" in names
    return names


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["schema"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_is_light(arguments: list[str], tmp_path: Path) -> None:
    result = _modelship(*arguments, cwd=tmp_path, python_options=("-X", "importtime"))
    assert result.returncode == 0, result.stderr[-2000:]
    assert not _imported(result) & HEAVY


def test_a_gate_on_json_files_is_light(tmp_path: Path) -> None:
    (tmp_path / "modelship.yaml").write_text(
        "model: m\ngate: {baseline: 'file:base.json', metrics: {roc_auc: {max-regression: 0.01}}}\n"
    )
    (tmp_path / "base.json").write_text('{"roc_auc": 0.74}')
    (tmp_path / "metrics.json").write_text('{"roc_auc": 0.75}')
    result = _modelship("metric-gate", "--candidate", "metrics.json", cwd=tmp_path, python_options=("-X", "importtime"))
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    assert not _imported(result) & (HEAVY | {"statistics"})
    assert "modelship.reporting" not in result.stderr, "loading what draws takes longer than judging"


def _imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, at its top or inside a function."""
    package = ["modelship", *path.relative_to(PACKAGE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return {name for name in found if name.split(".")[0] == "modelship"}


def test_arrows_point_one_way() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        layer = path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else "edge"
        for name in _imports(path):
            target = name.split(".")[1] if "." in name else ""
            is_package = (PACKAGE / target).is_dir() and target
            if layer == "core" and is_package and target != "core":
                wrong.append(f"core/{path.name} -> {name}")
            if layer not in ("commands", "edge") and target in ("commands", "cli"):
                wrong.append(f"{layer}/{path.name} -> {name}")
    assert wrong == []


def test_core_needs_no_more_than_its_lock() -> None:
    """What `core` and the gate import at module level is in the core lock or in Python itself; `gate/rows` is apart."""
    allowed = {"click", "msgspec", "ruamel", "modelship", "__future__"} | sys.stdlib_module_names
    for folder in ("core", "gate", "commands"):
        for path in (PACKAGE / folder).glob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                assert {module.partition(".")[0] for module in modules} <= allowed, path.name


# Locks and versions --------------------------------------------------------------------------------------------------------------

PIN = re.compile(r"([a-z0-9][a-z0-9-]*)(?:\[[a-z0-9,-]+\])?==[0-9][\w.!+]*(?: ; [^\\@:/]+)? \\")
HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?")


def _locked(path: Path) -> set[str]:
    return {match.group(1) for match in map(PIN.fullmatch, path.read_text(encoding="utf-8").splitlines()) if match}


@each_lock
def test_a_lock_is_pins_and_hashes_and_nothing_else(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    hashes = 0
    for number, line in enumerate(lines, start=1):
        pin = PIN.fullmatch(line)
        assert pin or HASH.fullmatch(line), f"{path.name}:{number}: {line}"
        assert not pin or number == 1 or hashes, f"{path.name}:{number}: the package before has no hash"
        hashes = 0 if pin else hashes + 1
    assert hashes


@each_lock
def test_a_lock_can_run_the_command_itself(path: Path) -> None:
    if path.name == "uv.txt":
        assert _locked(path) == {"uv"}
    else:
        assert {"click", "msgspec", "ruamel-yaml"} <= _locked(path)


def test_every_capability_has_a_lock_that_holds_what_it_asks_for() -> None:
    from modelship.core.environments import MODULES

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {path.stem for path in LOCKS} == {*extras, "core", "dev", "uv"}
    assert set(MODULES) == set(extras)
    for extra in ("data-sql", "spark"):
        included = [name for item in extras[extra] for name in re.findall(r"modelship\[(.*)\]", item)]
        for name in included[0].split(","):
            assert set(MODULES[name]) <= set(MODULES[extra]), f"{extra} is not at hand without {name}"
    for extra, wanted in {**extras, "core": project["dependencies"]}.items():
        names = {re.split(r"[\[<>=]", name)[0].lower().replace(".", "-").replace("_", "-") for name in wanted}
        assert names - {"modelship"} <= _locked(ROOT / "requirements" / f"{extra}.txt"), extra


def test_locks_agree_on_versions() -> None:
    """One wheel in every environment: less to download, one behaviour."""
    versions: dict[str, set[str]] = {}
    for path in LOCKS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if PIN.fullmatch(line) and " ; " not in line:
                name, _, version = line.removesuffix(" \\").partition("==")
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if name in ("click", "msgspec", "ruamel-yaml") and len(found) > 1} == {}


def test_the_version_is_the_newest_of_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    changelog = ROOT / "CHANGELOG.md"
    if changelog.exists():
        headings = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)\b", changelog.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings[:1] == [__version__]


def test_the_generated_reference_is_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
