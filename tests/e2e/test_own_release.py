"""This repository's own release workflow, on a GitHub that has what it is made of."""

import hashlib
import shutil
from collections.abc import Iterator

import pytest

from modelship import __version__

from .conftest import report
from .world import CHECKOUT, World

pytestmark = pytest.mark.xdist_group("own-release")

WORKFLOW = ".github/workflows/_release.yml"
GRANTED = {"contents": "write", "actions": "read"}
TAG = f"v{__version__}"
MOVING = TAG.partition(".")[0]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What a release reads and runs; the rest of this repository would take long to hand over, and changes nothing."""
    template = tmp_path_factory.mktemp("origin") / "template"
    for name in (WORKFLOW, "tools", "scripts", "requirements", "CHANGELOG.md", "action.yml"):
        source, target = CHECKOUT / name, template / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    with World(template=template, name="modelship", progress=report) as world:
        yield world


def test_a_commit_that_passed_becomes_a_release(origin: World) -> None:
    head = origin.repository.tip("main")
    root = f"/repos/{origin.full_name}"

    runs = origin.github.door.workflow_runs
    runs.begin(1, "_ci.yml", "push", head).finish("failure")
    refused = origin.run_dispatch(WORKFLOW, {"tag": TAG}, permissions=GRANTED)
    assert not refused.succeeded
    assert "_ci.yml has not passed" in refused.log
    assert list(refused.jobs) == ["check"], "nobody is asked to approve what cannot be released"
    assert origin.github.call("GET", f"{root}/releases") == []

    runs.begin(2, "_ci.yml", "push", head).finish("success")
    # GitHub does the work, and the answer is lost: the job fails, and is run again.
    origin.github.door.break_next("PATCH", r"/releases/\d+$", after_the_work=True)
    cut_off = origin.run_dispatch(WORKFLOW, {"tag": TAG}, permissions=GRANTED)
    assert cut_off.jobs["check"].conclusion == "success", cut_off.log
    assert cut_off.jobs["release"].conclusion == "failure"
    again = origin.run_dispatch(WORKFLOW, {"tag": TAG}, permissions=GRANTED)
    assert again.succeeded, again.log

    (release,) = origin.github.call("GET", f"{root}/releases")
    assert (release["tag_name"], release["draft"], release["prerelease"]) == (TAG, False, False)
    assert release["body"]
    assert release["body"] in (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    tags = {found["ref"]: found["object"]["sha"] for found in origin.github.call("GET", f"{root}/git/matching-refs/tags/v")}
    assert tags == {f"refs/tags/{TAG}": head, f"refs/tags/{MOVING}": head}
    assets = {asset["name"]: asset["size"] for asset in origin.github.call("GET", f"{root}/releases/{release['id']}/assets")}
    assert set(assets) == {f"modelship-{__version__}.tar.gz", "SHA256SUMS"}
    # Both runs have attested the same bytes: the sources, and the file of their digests.
    ((first,), (second,)) = (origin.attestations(run) for run in (cut_off, again))
    attested = {subject["name"]: subject["digest"]["sha256"] for subject in first["subject"]}
    assert first["subject"] == second["subject"]
    assert set(attested) == set(assets)
    sums = f"{attested[f'modelship-{__version__}.tar.gz']}  modelship-{__version__}.tar.gz\n".encode()
    assert hashlib.sha256(sums).hexdigest() == attested["SHA256SUMS"]
