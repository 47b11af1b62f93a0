"""A lint of our own: nothing but `core/workflow.py` writes to the files and commands with which a step speaks to the runner.

There a value with line breaks cannot forge another output. The linters of others do not see such a write in Python, and let
`echo "name=$value" >> "$GITHUB_OUTPUT"` pass.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "scripts" / "modelship"
SPEAKS = PACKAGE / "core" / "workflow.py"
MAY_NAME = {
    SPEAKS: "writes them, escaped",
    PACKAGE / "training" / "process.py": "withholds them from training",
    PACKAGE / "deployment" / "targets" / "command.py": "withholds them from the team's scripts",
    PACKAGE / "commands" / "pull_request.py": "gives each command a file of its own",
    PACKAGE / "onboarding" / "look.py": "proposes a setup that puts a fixed folder on PATH",
}
"""Modules in which the names of these files may stand, and why."""

FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
_OF_THE_RUNNER = re.compile("|".join(rf"\b{name}\b" for name in FILES))
_COMMANDS = re.compile(
    r"::(?:set-output|save-state|set-env|add-path|add-mask|stop-commands|group|endgroup|debug|notice|warning|error)\b|##\["
)
_TRIGGER = "pull_request" + "_target"

YAML_FILES = sorted(
    [
        ROOT / "action.yml",
        *ROOT.glob("actions/*/action.yml"),
        *ROOT.glob(".github/**/*.yml"),
        *ROOT.glob("template-repo/.github/**/*.yml"),
    ]
)
PYTHON_FILES = sorted([*ROOT.glob("scripts/**/*.py"), *ROOT.glob("tools/**/*.py"), *ROOT.glob("template-repo/**/*.py")])
SHELL_FILES = [ROOT / "scripts" / "run"]


# The lint ------------------------------------------------------------------------------------------------------------------------


def in_shell(script: str) -> Iterator[str]:
    """Writes in a shell script. Even to name one of the files is too much: no script of ours has a use for them."""
    for line in script.splitlines():
        text = line.partition(" # ")[0] if not line.lstrip().startswith("#") else ""
        if _OF_THE_RUNNER.search(text):
            yield f"names a file of the runner: {line.strip()}"
        elif _COMMANDS.search(text) and "title=modelship::$message" not in text:
            yield f"gives the runner a command: {line.strip()}"


def in_python(code: str) -> Iterator[str]:
    """Names of the files and commands in Python, in code or in text, docstrings and comments left out."""
    tree = ast.parse(code)
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            if _OF_THE_RUNNER.search(node.value):
                yield f"line {node.lineno} names a file of the runner: {node.value[:80]!r}"
            elif _COMMANDS.search(node.value):
                yield f"line {node.lineno} gives the runner a command: {node.value[:80]!r}"


def in_workflow(text: str) -> Iterator[str]:
    """What is wrong in a workflow or an action."""
    # In a comment, too: whoever reads it should not get ideas.
    if _TRIGGER in text:
        yield f"speaks of {_TRIGGER}"

    def scripts(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("run"), str):
                yield node["run"]
            for child in node.values():
                yield from scripts(child)
        elif isinstance(node, list):
            for child in node:
                yield from scripts(child)

    for script in scripts(YAML(typ="safe", pure=True).load(text)):
        yield from in_shell(script)


# Its use -------------------------------------------------------------------------------------------------------------------------


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", YAML_FILES, ids=_name)
def test_workflows_and_actions(path: Path) -> None:
    assert list(in_workflow(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", SHELL_FILES, ids=_name)
def test_shell(path: Path) -> None:
    assert list(in_shell(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", [path for path in PYTHON_FILES if path not in MAY_NAME], ids=_name)
def test_python(path: Path) -> None:
    assert list(in_python(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", MAY_NAME, ids=_name)
def test_the_exceptions_are_needed(path: Path) -> None:
    assert list(in_python(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [path for path in MAY_NAME if path != SPEAKS], ids=_name)
def test_the_exceptions_write_nothing(path: Path) -> None:
    """They name the files, and open none."""
    code = path.read_text(encoding="utf-8")
    assert not re.search(r"\.open\(\s*[\"'][aw]|open\([^)]*[\"'][aw][bt]?[\"']", code)
    assert not [found for found in in_python(code) if "command" in found.partition(":")[0]]


# Whether it would find something -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "script", ['echo "a=$VALUE" >> "${}"', "echo a=1 >>$ {}", "tee -a ${{{}}}", "printf x | tee $({}=x)", "python3 x.py --to ${}"]
)
def test_a_write_in_a_script_is_found(name: str, script: str) -> None:
    assert list(in_shell(f"set -e\n{script.format(name)}\n"))
    text = f"jobs: {{one: {{steps: [{{name: x, run: {script.format(name)!r}}}]}}}}"
    assert list(in_workflow(text))


@pytest.mark.parametrize(
    "script", ['echo "::set-output name=a::$VALUE"', 'echo "::error::$VALUE"', 'echo "##[add-mask]$VALUE"', 'echo "::notice::x" >&2']
)
def test_a_command_in_a_script_is_found(script: str) -> None:
    assert list(in_shell(script))


@pytest.mark.parametrize(
    "code",
    [
        'open(os.environ["GITHUB_OUTPUT"], "a").write(f"a={value}")',
        'Path(os.getenv("GITHUB_ENV")).write_text(value)',
        'environ.get("GITHUB_STEP_SUMMARY")',
        'subprocess.run(f"echo a={value} >> $GITHUB_PATH", shell=True)',
        'print(f"::error::{value}")',
        'print("::set-output name=a::" + value)',
        'def f():\n    """Docs."""\n    x = "GITHUB_STATE"',
    ],
)
def test_a_write_in_python_is_found(code: str) -> None:
    assert list(in_python(code))


def test_prose_is_not_a_write() -> None:
    assert not list(in_python('"""Writes GITHUB_OUTPUT."""\n# GITHUB_ENV\ndef f():\n    """Of ::error:: and GITHUB_PATH."""\n'))
    assert not list(in_shell("# GITHUB_OUTPUT is not for us\n: nothing # nor is GITHUB_ENV\n"))


@pytest.mark.parametrize("text", [f"on: {_TRIGGER}", f"on: {{{_TRIGGER}: {{}}}}", f"on: push # or {_TRIGGER}"])
def test_the_dangerous_trigger_is_found(text: str) -> None:
    assert list(in_workflow(text))
