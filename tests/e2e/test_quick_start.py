"""The one-step quick start: pull, validate, train, judge and answer in one job of the team's own workflow."""

import pytest

from .act import Run
from .demo import BLOCKED, CHECK, HARMFUL
from .github import BOT
from .markdown import headline, plain
from .world import Edit, World

pytestmark = pytest.mark.xdist_group("template")

PATH = ".github/workflows/quick.yml"
WORKFLOW = """\
name: quick
on: {pull_request: {}}
permissions: {}
jobs:
  model:
    runs-on: ubuntu-latest
    permissions: {contents: read, pull-requests: write, checks: write}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {fetch-depth: 0, persist-credentials: false}
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with: {python-version: "3.12"}
      - run: pip install --require-hashes -r requirements.txt
      - id: modelship
        uses: modelship/modelship@v1
      - if: always()
        env: {CONCLUSION: "${{ steps.modelship.outputs.conclusion }}"}
        run: echo "conclusion=$CONCLUSION"
"""


def test_one_step_blocks_and_answers(world: World, baseline: Run) -> None:
    files: dict[str, Edit] = {PATH: WORKFLOW, "params.yaml": lambda text: text.replace(*HARMFUL)}
    pull = world.open_pull_request("quick", files, "Drop a feature")

    run = world.run_pull_request(pull, action="opened", workflow=PATH)

    assert not run.succeeded
    (comment,) = (comment for comment in world.comments(pull) if comment.author == BOT)
    assert headline(comment.body).startswith(BLOCKED)
    assert "metrics.json at" in plain(comment.body), "without a server the baseline is the metrics file of the base commit"
    (check,) = (check for check in world.check_runs(run.head_sha) if check.name == CHECK)
    assert check.conclusion == "failure"
    assert "conclusion=failure" in run.log
