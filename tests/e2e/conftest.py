"""One world for all tests of the template, which are an xdist group, so that another worker runs those of other worlds meanwhile:
starting servers and installing the team's packages takes most of the time.
"""

import sys
from collections.abc import Iterator

import pytest

from .act import Progress, Run
from .github import MAINTAINER
from .team import Team, make_template
from .world import World


def report(step: Progress) -> None:
    """Say what is going on; pytest shows it with `-s`, or when a test fails."""
    print(f"{step.elapsed:7.1f} s  {step.job} · {step.step}: {step.outcome or '…'}", file=sys.stderr)


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """The template's repository on a GitHub of its own, with an MLflow server and a bucket."""
    with World(mlflow=True, storage="flight-delay", progress=report) as world:
        yield world


@pytest.fixture(scope="session")
def baseline(world: World) -> Run:
    """The finished run of the first push to `main`: it is released, and every pull request is judged against it."""
    run = world.run_release()
    assert run.succeeded, run.log
    return run


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The small team's repository on a GitHub of its own."""
    template = tmp_path_factory.mktemp("team") / "template"
    make_template(template)
    with World(template=template, name="small", progress=report) as world:
        world.github.grant(MAINTAINER, "maintain")
        yield Team(world)
