"""What may be released, as what, and which tag follows: `tools/release.py` without GitHub."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools import release
from tools.release import Facts, Version

from modelship.core.errors import BadInput

COMMIT, OTHER = "a" * 40, "b" * 40
CHANGES = "# Changes\n\nWhat users notice.\n\n## 1.2.0\n\n- `deploy` knows `canary`.\n\n## 1.1.0\n\n- Less.\n"
INIT = '"""Modelship."""\n\n__version__ = "1.2.0"\n'
FACTS = Facts(
    commit=COMMIT,
    init=INIT,
    changelog=CHANGES,
    tags={"v1": OTHER, "v1.1.0": OTHER},
    releases=frozenset({"v1.1.0"}),
    default_branch="main",
    branch="main",
    ci_passed=True,
)

versions = st.builds(Version, *(st.integers(0, 99),) * 3)


def test_a_commit_that_says_what_it_is_can_be_released() -> None:
    version, notes = release.decide("v1.2.0", FACTS)
    assert version == Version(1, 2, 0)
    assert notes == "- `deploy` knows `canary`."


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"init": INIT.replace("1.2.0", "1.1.9")}, "names 1.1.9, not 1.2.0"),
        ({"init": '__version__ = "next"\n'}, "does not say"),
        ({"init": ""}, "does not say"),
        ({"changelog": CHANGES.replace("## 1.2.0", "## 1.2.1")}, "says nothing below `## 1.2.0`"),
        ({"changelog": CHANGES.replace("- `deploy` knows `canary`.", "")}, "says nothing below `## 1.2.0`"),
        ({"changelog": CHANGES.replace("## 1.2.0", "## Unreleased\n\n- More.\n\n## 1.2.0")}, "begins with `Unreleased`"),
        ({"branch": "topic"}, "not of `topic`"),
        ({"ci_passed": False}, "_ci.yml has not passed on aaaaaaa"),
        ({"tags": {"v1.2.0": OTHER}}, "v1.2.0 is bbbbbbb already"),
        ({"tags": {"v1.10.0": OTHER}}, "v1.10.0 is newer than v1.2.0"),
        ({"tags": {"v2.0.0": OTHER}}, "v2.0.0 is newer than v1.2.0"),
        ({"releases": frozenset({"v1"})}, "v1 has a release"),
    ],
)
def test_what_speaks_against_a_release(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        release.decide("v1.2.0", replace(FACTS, **change))


@pytest.mark.parametrize("tag", ["1.2.0", "v1", "v1.2", "v1.2.0-rc1", "v01.2.0", "v1.2.0\n", " v1.2.0", "", "main", "v1.2.0; id"])
def test_what_is_no_version(tag: str) -> None:
    with pytest.raises(BadInput, match="is no version"):
        release.decide(tag, FACTS)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(BadInput) as error:
        release.decide("v1.2.0", replace(FACTS, branch="topic", ci_passed=False))
    assert len(error.value.problems) == 2


def test_a_release_that_was_cut_off_can_go_on() -> None:
    """Its tag is there already, and perhaps its release; even a newer version may have been made meanwhile."""
    begun = {**FACTS.tags, "v1.2.0": COMMIT}
    for tags, releases in ((begun, {"v1.1.0"}), (begun, {"v1.1.0", "v1.2.0"}), ({**begun, "v1.3.0": OTHER}, {"v1.2.0", "v1.3.0"})):
        assert release.decide("v1.2.0", replace(FACTS, tags=tags, releases=frozenset(releases)))


def test_an_empty_place_for_what_comes_next_is_no_news() -> None:
    changes = CHANGES.replace("## 1.2.0", "## Unreleased\n\n## 1.2.0")
    assert release.notes(changes, Version(1, 2, 0)) == "- `deploy` knows `canary`."


@given(versions, st.lists(versions))
def test_the_moving_tag_never_goes_back(version: Version, others: list[Version]) -> None:
    tags = ["v1", "v0", "latest", version.tag, *(other.tag for other in others)]
    newer = [other for other in others if other.major == version.major and other > version]
    assert release.may_move(version, tags) == (not newer)


@given(versions)
def test_versions_and_tags_are_one_to_one(version: Version) -> None:
    assert release.read_tag(version.tag) == version
    assert release.read_tag(version.moving_tag) is None
    assert version < version.next("patch") < version.next("minor") < version.next("major")


# The next one --------------------------------------------------------------------------------------------------------------------

NEWS = CHANGES.replace("## 1.2.0", "## Unreleased\n\n- More.\n\n## 1.2.0")


@pytest.mark.parametrize(("part", "named"), [("patch", "1.2.1"), ("minor", "1.3.0"), ("major", "2.0.0")])
def test_the_next_version(part: str, named: str) -> None:
    version, init, changelog = release.prepared(INIT, NEWS, part)
    assert str(version) == named
    assert init == INIT.replace("1.2.0", named)
    assert list(release.sections(changelog)) == [named, "1.2.0", "1.1.0"]
    assert release.notes(changelog, version) == "- More."
    assert changelog.replace(f"## {named}", "## Unreleased") == NEWS


def test_nothing_new_is_no_version() -> None:
    with pytest.raises(BadInput, match="says nothing below `## Unreleased`"):
        release.prepared(INIT, CHANGES, "minor")


@pytest.mark.parametrize(
    ("now", "part", "may"),
    [
        ("1.2.0", "patch", False), ("1.2.0", "minor", False), ("1.2.0", "major", True),
        ("0.2.0", "patch", False), ("0.2.0", "minor", True), ("0.2.0", "major", True),
    ],
)  # fmt: skip
def test_what_breaks_is_no_small_version(now: str, part: str, may: bool) -> None:
    init = INIT.replace("1.2.0", now)
    news = NEWS.replace("- More.", "- **Breaking**: the output `url` is called `address`.")
    if may:
        assert release.prepared(init, news, part)
    else:
        with pytest.raises(BadInput, match="Breaking"):
            release.prepared(init, news, part)


def test_this_repository_can_be_released_as_what_it_says() -> None:
    init, changelog = ((release.ROOT / path).read_text("utf-8") for path in (release.INIT, release.CHANGELOG))
    version = release.version_of(init)
    assert str(version) in release.sections(changelog)


# What is packed ------------------------------------------------------------------------------------------------------------------


def test_the_archive_holds_what_users_run_and_is_the_same_each_time(tmp_path: Path) -> None:
    archive, sums = release.pack(Version(1, 2, 0), tmp_path / "first")
    again, _ = release.pack(Version(1, 2, 0), tmp_path / "second")
    assert archive.read_bytes() == again.read_bytes()
    digest, _, name = sums.read_text("utf-8").strip().partition("  ")
    assert (digest, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), "modelship-1.2.0.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.removeprefix("modelship-1.2.0/") for name in packed.getnames()}
    assert {"action.yml", "scripts/run", "requirements/core.txt", "actions/deploy/action.yml", "LICENSE"} <= names


def test_a_tag_that_is_no_version_changes_nothing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, release.ROOT / "tools" / "release.py", "pack", "v1; id", tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "is no version" in result.stderr
    assert not (tmp_path / "out").exists()
