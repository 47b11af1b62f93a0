"""Pull requests from forks and in a merge queue, through the real workflows, judged by what is on GitHub in the end."""

import pytest

from .demo import BLOCKED
from .github import MAINTAINER
from .team import SECRETS, UNSURE, Team

pytestmark = pytest.mark.xdist_group("small team")

WORSE = ("slope: 0.5", "slope: 0.0")


def test_a_fork_s_pull_request_is_answered_by_a_run_that_it_has_no_part_in(team: Team) -> None:
    pull, trained = team.propose_from_fork("worse-from-afar", {"params.yaml": lambda text: text.replace(*WORSE)})
    assert {job.id: job.conclusion for job in trained.jobs.values()} == {"train": "success", "leave": "success"}, trained.log
    assert "model-comment.yml" in trained.jobs["leave"].summary
    assert team.world.comments(pull) == []
    assert team.world.check_runs(trained.head_sha) == []

    answered, moment = team.answer(pull, trained)
    assert answered.succeeded, answered.log
    assert moment.check.conclusion == "failure", answered.log
    assert moment.headline.startswith(BLOCKED)
    assert "log_loss rose" in moment.headline
    assert trained.head_sha[:7] in moment.ours.body
    assert not any(secret in team.seen(trained, "train") for secret in SECRETS.values())

    comment = team.world.github.comment(pull.number, "/accept-regression The old model saw the arrival time.", MAINTAINER)
    heard = team.world.run_comment(pull, comment)
    assert heard is not None
    assert heard.succeeded, heard.log
    run = team.world.github.door.workflow_runs.of(answered.id)
    assert (run.attempt, run.status) == (2, "queued")

    again, accepted = team.answer(pull, trained)
    assert again.succeeded, again.log
    assert accepted.check.conclusion == "success"
    assert accepted.headline.startswith(UNSURE)
    assert accepted.ours.id == moment.ours.id
