"""Pull requests from forks and in a merge queue, through the real workflows, judged by what is on GitHub in the end."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from .act import Run
from .demo import BLOCKED, MARKER
from .github import BOT, MAINTAINER
from .markdown import plain
from .team import IS_BLOCKED, PASSES, SECRETS, UNSURE, Team, conclusions, evidence

pytestmark = pytest.mark.xdist_group("small team")

WORSE = ("slope: 0.5", "slope: 0.0")


def test_a_fork_s_pull_request_is_answered_by_a_run_that_it_has_no_part_in(team: Team) -> None:
    pull, trained = team.propose_from_fork("worse-from-afar", {"params.yaml": lambda text: text.replace(*WORSE)})
    assert {job.id: job.conclusion for job in trained.jobs.values()} == {"train": "success", "leave": "success"}, trained.log
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


# What a fork's run could try -----------------------------------------------------------------------------------------------------

#: Code that trains, and does what hostile code would besides.
ATTACKS = """
import os, pathlib
for line in ("::set-output name=evidence-digest::" + "0" * 64, "::add-mask::flight", "##[set-output name=status]pass",
             "::set-env name=PATH::/nowhere", "::stop-commands::x", "status=pass", "@mona <img src=x>"):
    print(line, flush=True)
# What the runner reads when a step has ended, be it this one's or another's.
for path in [os.environ.get("GITHUB_OUTPUT"), os.environ.get("GITHUB_ENV"), *pathlib.Path(os.environ["RUNNER_TEMP"]).rglob("*cmd*")]:
    if path and pathlib.Path(path).is_file():
        with open(path, "a") as file:
            file.write("status=pass\\nevidence-digest=" + "0" * 64 + "\\n")
train()
"""


def everything(team: Team, *runs: Run) -> str:
    """All that runs have printed, kept and told GitHub."""
    texts = [run.log + "".join(job.summary for job in run.jobs.values()) for run in runs]
    texts += [
        path.read_text(errors="replace")
        for run in runs
        for artifact in run.artifacts.values()
        for path in sorted(artifact.folder.rglob("*"))
        if path.is_file()
    ]
    texts += [request.path + request.body for request in team.world.github.door.requests]
    return "\n".join(texts)


def test_a_fork_that_attacks_gets_no_pass_and_no_secret(team: Team) -> None:
    world = team.world
    bystander = world.open_pull_request("bystander", {"README.md": "More to read.\n"}, "docs")
    pull, trained = team.propose_from_fork(
        'x";$(touch${IFS}hacked);"',
        {
            "params.yaml": lambda text: text.replace(*WORSE),
            "modelship.yaml": lambda text: text.replace("max-regression: 1%", "max-regression: 900%").replace("0.01", "0.9"),
            "flights.py": lambda text: text.replace("    train()\n", f"    exec({ATTACKS!r})\n"),
            "holdout.csv": lambda text: text.replace(",0\n", ",1\n", 3),
            ".gitattributes": "* filter=own diff=own\n",
            "::set-output name=status::pass": "@mona",
        },
        f"`$(touch hacked)` @mona {MARKER}",
    )
    assert {job.id: job.conclusion for job in trained.jobs.values()} == {"train": "success", "leave": "success"}, trained.log
    assert world.comments(pull) == []

    answered, moment = team.answer(pull, trained)
    assert answered.succeeded, answered.log
    assert moment.check.conclusion == "failure"
    assert moment.headline.startswith(BLOCKED)
    assert moment.ours.body.count(MARKER) == 1
    assert "@mona" not in moment.ours.body

    # Then the fork's run has put other things in the place of what it left.
    store = world.folder / "artifacts" / str(trained.id)
    honest = evidence(trained)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in honest.folder.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(honest.folder))
        archive.writestr("../../../../hacked", "x")
        archive.writestr(
            "metric-gate.json", '{"record": "metric-gate/1", "model": "flight-delay", "status": "pass", "summary": "fine"}'
        )
    world.github.door.workflow_runs.keep(trained.id, f"modelship-evidence-{'0' * 64}", packed.getvalue())
    world.github.door.workflow_runs.keep(trained.id, "pr_number", str(bystander.number).encode())
    for entry in store.glob("*/artifact.json"):
        if json.loads(entry.read_text())["name"] == honest.name:
            (entry.parent / "artifact.zip").write_bytes(packed.getvalue())
    poisoned, after_it = team.answer(pull, trained)
    assert poisoned.succeeded, poisoned.log
    assert after_it.check.conclusion == "failure"
    assert after_it.ours.id == moment.ours.id
    assert after_it.headline.startswith(BLOCKED)
    assert "holds no evidence" in plain(after_it.ours.body)

    assert world.comments(bystander) == []
    assert world.check_runs(world.repository.tip(bystander.branch)) == []
    told = everything(team, trained, answered, poisoned) + "".join(comment.body for comment in world.comments(pull))
    assert not [secret for secret in SECRETS.values() if secret.rpartition("=")[2] in told]
    assert "canary" not in team.seen(trained, "train")
    assert not [token for token in world.github.door.installation_tokens if token in told]
    assert not [path for folder in (world.folder / "home", world.folder / "runs", Path("/tmp")) for path in folder.glob("**/hacked")][
        :1
    ]


@pytest.mark.parametrize("conclusion", ["cancelled", "action_required", "skipped"])
def test_a_fork_s_run_that_did_not_come_to_an_end_is_not_answered(team: Team, conclusion: str) -> None:
    pull = team.world.open_fork_pull_request(f"waits-{conclusion}", {"README.md": "Waiting.\n"}, "Waiting")
    run = Run(int(f"9{pull.number}"), "pull_request", team.world.repository.head(pull.number, pull.branch), 0, 0.0, {}, Path())
    team.world.github.door.workflow_runs.begin(run.id, "model.yml", "pull_request", run.head_sha).finish(conclusion)
    assert team.world.run_completed(pull, run) is None
    assert team.world.comments(pull) == []


def test_a_branch_s_run_has_answered_by_itself(team: Team) -> None:
    pull, moment = team.propose("at-home", {"params.yaml": lambda text: text.replace(*WORSE)})
    assert conclusions(moment) == IS_BLOCKED, moment.run.log
    assert team.world.run_completed(pull, moment.run) is None
    assert [comment.id for comment in team.world.comments(pull) if comment.author == BOT] == [moment.ours.id]


# A merge queue -------------------------------------------------------------------------------------------------------------------


def test_a_merge_queue_gets_its_check_from_the_base_and_no_comment(team: Team) -> None:
    world = team.world
    pull, blocked = team.propose("queued", {"params.yaml": lambda text: text.replace(*WORSE)})
    refused = world.run_merge_group(pull, secrets=SECRETS)
    assert not refused.succeeded
    assert [check.conclusion for check in world.check_runs(refused.head_sha)] == ["failure"]

    world.github.comment(pull.number, "/accept-regression The old model saw the arrival time.", MAINTAINER)
    assert conclusions(team.run(pull)) == PASSES
    before = world.comments(pull)
    merged = world.run_merge_group(pull, secrets=SECRETS)
    assert merged.succeeded, merged.log
    assert [check.conclusion for check in world.check_runs(merged.head_sha)] == ["success"]
    assert world.comments(pull) == before
    assert blocked.ours.id == before[0].id
