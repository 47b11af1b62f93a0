"""Pull requests that give nothing to judge: never a pass, and the comment says why, in its first lines."""

from dataclasses import dataclass

import pytest

from .act import Run
from .demo import BLOCKED, CHECK
from .github import BOT
from .markdown import headline, plain
from .world import Edit, World

pytestmark = [pytest.mark.usefixtures("baseline"), pytest.mark.xdist_group("template")]


@dataclass(frozen=True)
class Answer:
    """What a pull request got."""

    run: Run
    body: str
    conclusion: str | None


def _answer(world: World, branch: str, files: dict[str, Edit]) -> Answer:
    pull = world.open_pull_request(branch, files, branch)
    run = world.run_pull_request(pull, action="opened")
    (comment,) = (comment for comment in world.comments(pull) if comment.author == BOT)
    (check,) = (check for check in world.check_runs(run.head_sha) if check.name == CHECK)
    return Answer(run, plain(comment.body), check.conclusion)


@pytest.mark.parametrize(
    ("branch", "files", "says"),
    [
        ("training-fails", {"params.yaml": lambda text: text.replace("  - hour\n", "  - no_such_column\n")}, "training failed"),
        (
            "data-never-pushed",
            {"data/flights.parquet.dvc": lambda text: text.replace("md5: 3d7e", "md5: 0000")},
            "data/flights.parquet",
        ),
        (
            "data-breaks-expectations",
            {"expectations.yaml": lambda text: text.replace("max_value: 23", "max_value: 20")},
            "expectation",
        ),
        ("configuration-broken", {"modelship.yaml": lambda text: text.replace("gate:", "gaet:")}, "Did you mean"),
        (
            "metric-is-nan",
            {
                "flight_delay/evaluate.py": lambda text: text.replace(
                    "    METRICS.", '    metrics["roc_auc"] = float("nan")\n    METRICS.'
                )
            },
            "it is NaN",
        ),
    ],
)
def test_nothing_to_judge_is_never_a_pass(world: World, branch: str, files: dict[str, Edit], says: str) -> None:
    answer = _answer(world, branch, files)
    assert not answer.run.succeeded
    assert headline(answer.body).startswith(BLOCKED)
    assert answer.conclusion == "failure"
    assert says in answer.body
