"""Workflows that a guide shows can be copied: they are whole, and speak of what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
RIGHTS = ("none", "read", "write")
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def workflows() -> Iterator[tuple[str, str]]:
    """Every complete workflow in the guides, with the place where it stands."""
    for guide in [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]:
        text = guide.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            if re.search(r"^jobs:", block[1], re.MULTILINE):
                yield f"{guide.name}:{text[: block.start()].count(chr(10)) + 1}", block[1]


SHOWN = dict(workflows())
each = pytest.mark.parametrize("place", SHOWN)


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def ours(used: str) -> Any:
    """The action or the reusable workflow of ours that a guide uses; None for others."""
    found = re.fullmatch(r"modelship/modelship(?:/([\w./-]+))?@v1", used)
    if not found:
        return None
    path = ROOT / (found[1] or "")
    return load((path if path.suffix == ".yml" else path / "action.yml").read_text(encoding="utf-8"))


def test_guides_show_workflows() -> None:
    assert len([place for place in SHOWN if place.startswith("credentials.md")]) == 2


@each
def test_it_gives_what_is_asked(place: str) -> None:
    for job in load(SHOWN[place])["jobs"].values():
        called = ours(job.get("uses", ""))
        if called is None:
            continue
        call = called["on"]["workflow_call"]
        assert set(job.get("with", {})) <= set(call.get("inputs", {}))
        assert set(job.get("secrets", {})) <= set(call.get("secrets", {}))
        for asked in called["jobs"].values():
            for scope, right in asked["permissions"].items():
                assert RIGHTS.index(job["permissions"].get(scope, "none")) >= RIGHTS.index(right), scope


@each
def test_its_steps_know_their_actions(place: str) -> None:
    jobs = load(SHOWN[place])["jobs"]
    for name, job in jobs.items():
        made: dict[str, Any] = {}
        for step in job.get("steps", []):
            action = ours(step.get("uses", ""))
            if action:
                assert set(step.get("with", {})) <= set(action["inputs"]), step["uses"]
                made[step.get("id", "")] = action["outputs"]
            for read, output in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", str(step)):
                assert read in {other.get("id") for other in job["steps"]}, read
                assert output in made.get(read, [output])
        for needed, output in re.findall(r"needs\.([\w-]+)\.outputs\.([\w-]+)", str(job)):
            assert needed in ([job["needs"]] if isinstance(job["needs"], str) else job["needs"])
            called = ours(jobs[needed].get("uses", ""))
            assert output in (called["on"]["workflow_call"]["outputs"] if called else jobs[needed]["outputs"]), f"{name}: {output}"


@each
def test_what_can_log_in_runs_nothing_that_nobody_has_reviewed(place: str) -> None:
    workflow = load(SHOWN[place])
    if "id-token" not in SHOWN[place]:
        return
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        used = [step.get("uses", "") for step in job.get("steps", [])]
        if job["permissions"].get("id-token") == "write":
            assert not [name for name in used if re.search(r"actions/(train|evaluate)@|modelship@", name)]
            assert workflow["on"] != "pull_request" or not [step for step in job["steps"] if "run" in step]
            # Credentials of the cloud go to the step that needs them, not to all that come after it.
            logins = [step for step in job["steps"] if "configure-aws-credentials@" in step.get("uses", "")]
            assert [step["with"]["output-env-credentials"] for step in logins] == [False] * len(logins)
            assert logins or all(name.startswith("actions/deploy-pages@") for name in used)
