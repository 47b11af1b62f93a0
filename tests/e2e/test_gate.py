"""What the gate asks of people, and what it asks of the model itself: labels, accepted regressions, edited holdouts, evaluation.

The team's repository is `small-team`, which trains in no time.
"""

import json
import re
from typing import Any

import pytest

from .act import Run
from .demo import BLOCKED, PASSED
from .github import DEVELOPER, MAINTAINER, STRANGER
from .markdown import plain
from .moment import Moment
from .team import EVALUATED, IS_BLOCKED, ONE_STEP, PASSES, SECRETS, UNSURE, Team, conclusions, record

pytestmark = pytest.mark.xdist_group("small team")

LABEL = "modelship-approved"

#: Where the team's code looks around.
WHERE = ("train", "evaluate")

#: An edit of params.yaml that makes every answer the same.
WORSE = ("slope: 0.5", "slope: 0.0")


def easier(table: str) -> str:
    """The holdout without a hundred flights that the model gets wrong, and with one label turned."""
    title, first, *rows = table.splitlines()

    def is_hard(row: str) -> bool:
        _, hour, _, late = row.split(",")
        return (int(hour) >= 14) != (late == "1")

    gone = list(filter(is_hard, rows))[:100]
    turned = first[:-1] + str(1 - int(first[-1]))
    return "\n".join([title, turned, *(row for row in rows if row not in gone), ""])


def opening(moment: Moment) -> list[str]:
    """The comment before the names of the checks: its lines as they are read, without empty ones."""
    lines = plain(re.sub(r"</?[a-z]+>", "", moment.ours.body)).splitlines()
    end = next(index for index, line in enumerate(lines) if " · " in line)
    return [line.lstrip("> ") for line in lines[1:end] if line.strip("> ")]


def cells(moment: Moment, metric: str) -> list[str]:
    """The row of a metric in the comment's table."""
    lines = plain(moment.ours.body).replace("\u00a0", " ").splitlines()
    (row,) = (line for line in lines if re.match(rf"\| \S+ \| {metric} \|", line))
    return [cell.strip() for cell in row.strip("|").split("|")]


def verdict(run: Run) -> Any:
    """The gate's record, as the judge keeps it for later workflows."""
    return json.loads(run.artifacts[f"modelship-verdict-flight-delay-{run.head_sha}"].file.read_text(encoding="utf-8"))


# A label -------------------------------------------------------------------------------------------------------------------------


def test_a_loosened_limit_needs_a_label_on_each_commit(team: Team) -> None:
    pull, loosened = team.propose("loosen", {"modelship.yaml": lambda text: text.replace("regression: 0.01", "regression: 0.2")})
    assert conclusions(loosened) == IS_BLOCKED, loosened.run.log
    assert loosened.headline.startswith(BLOCKED)
    assert opening(loosened)[:2] == [
        f"{BLOCKED} Needs the label {LABEL} by a maintainer. This change:",
        "- loosens accuracy: max-regression 0.01 → 0.2",
    ]
    assert cells(loosened, "accuracy")[5].startswith("−0.0100"), "the base's limit judges"

    team.world.github.set_label(pull.number, LABEL, MAINTAINER)
    approved = team.run(pull)
    assert conclusions(approved) == PASSES, approved.run.log
    assert approved.headline.startswith(UNSURE)
    assert opening(approved)[:2] == [
        f"{UNSURE} Approved by {MAINTAINER} with the label {LABEL}. This change:",
        "- loosens accuracy: max-regression 0.01 → 0.2",
    ]
    assert approved.ours.id == loosened.ours.id

    pushed = team.push(pull, {"README.md": "More to read.\n"})
    assert conclusions(pushed) == IS_BLOCKED, pushed.run.log
    assert opening(pushed)[0].startswith(f"{BLOCKED} Needs the label {LABEL}")
    assert f"The label {LABEL} does not count: it was set before there was a verdict on this commit" in "\n".join(opening(pushed))


# A regression --------------------------------------------------------------------------------------------------------------------


def test_a_regression_is_accepted_by_a_maintainer_for_one_commit(team: Team) -> None:
    github = team.world.github
    pull, worse = team.propose("worse", {"params.yaml": lambda text: text.replace(*WORSE)})
    assert conclusions(worse) == IS_BLOCKED, worse.run.log
    assert "log_loss rose" in worse.headline

    github.comment(pull.number, "/accept-regression because I say so", STRANGER)
    refused = team.run(pull)
    assert conclusions(refused) == IS_BLOCKED, refused.run.log
    assert any(f"{STRANGER} asked to accept the regression: they have " in line for line in opening(refused)), opening(refused)

    reason = f"The old model saw the arrival time, says @{DEVELOPER} in #1 <b>today</b>."
    comment = github.comment(pull.number, f"/accept-regression {reason}", MAINTAINER)
    accepted = team.run(pull)
    assert conclusions(accepted) == PASSES, accepted.run.log
    assert accepted.headline.startswith(UNSURE)
    assert "log_loss rose" in accepted.headline
    assert opening(accepted)[0].startswith(f"{UNSURE} [Regression accepted](")
    assert opening(accepted)[0].endswith(f"by {MAINTAINER}: {reason}")
    assert f"@{DEVELOPER}" not in accepted.ours.body, "nobody is called by quoting"
    assert "<b>today" not in accepted.ours.body

    again = team.run(pull, ONE_STEP)
    assert conclusions(again) == {"model": "success", "check": "success"}, again.run.log
    judged = record(again.run, "metric-gate")
    assert (judged["status"], judged["acceptance"]["by"], judged["acceptance"]["reason"]) == ("warn", MAINTAINER, reason)
    assert judged["acceptance"]["commit"] == again.run.head_sha
    assert judged["acceptance"]["url"].endswith(f"#issuecomment-{comment.id}")
    assert {verdict["state"] for verdict in judged["metrics"]} == {"fail"}, "what was accepted stays what it is"

    pushed = team.push(pull, {"README.md": "More to read.\n"}, ONE_STEP)
    assert conclusions(pushed) == {"model": "failure", "check": "failure"}, pushed.run.log
    assert pushed.headline.startswith(BLOCKED)
    assert record(pushed.run, "metric-gate")["acceptance"] is None
    assert f"older than the verdict on {pushed.run.head_sha[:7]}" in "\n".join(opening(pushed))


# Judged again --------------------------------------------------------------------------------------------------------------------


def test_the_judge_hears_a_maintainer_s_comment_once_and_a_stranger_s_never(team: Team) -> None:
    world, github = team.world, team.world.github
    pull, worse = team.propose("worse-again", {"params.yaml": lambda text: text.replace(*WORSE)})
    assert conclusions(worse) == IS_BLOCKED, worse.run.log
    run = github.door.workflow_runs.of(worse.run.id)

    assert world.run_comment(pull, github.comment(pull.number, "Have you tried /accept-regression?", MAINTAINER)) is None
    refused = world.run_comment(pull, github.comment(pull.number, "/accept-regression because I say so", STRANGER))
    assert refused is not None
    assert refused.succeeded, "a stranger paints nothing red"
    assert (run.attempt, run.status) == (1, "completed")

    reason = "The old model saw the arrival time; `$(touch hacked)` \"'; exit 1 #"
    comment = github.comment(pull.number, f"/accept-regression {reason}", MAINTAINER)
    for _ in range(2):  # Somebody runs the job that heard it again.
        heard = world.run_comment(pull, comment)
        assert heard is not None
        assert heard.succeeded, heard.log
        assert (run.attempt, run.status) == (2, "queued")

    accepted = team.run(pull)
    assert conclusions(accepted) == PASSES, accepted.run.log
    assert verdict(worse.run)["status"] == "fail"
    kept = verdict(accepted.run)
    assert (kept["status"], kept["commit"]) == ("warn", accepted.run.head_sha)
    assert (kept["acceptance"]["by"], kept["acceptance"]["reason"]) == (MAINTAINER, reason)


def test_the_label_that_approves_has_the_run_judged_again(team: Team) -> None:
    world, github = team.world, team.world.github
    pull, loosened = team.propose("loosen-again", {"modelship.yaml": lambda text: text.replace("regression: 0.01", "regression: 0.2")})
    assert conclusions(loosened) == IS_BLOCKED, loosened.run.log
    run = github.door.workflow_runs.of(loosened.run.id)

    github.set_label(pull.number, "help wanted", MAINTAINER)
    assert world.run_label(pull, "help wanted", MAINTAINER) is None
    github.set_label(pull.number, LABEL, MAINTAINER)
    assert world.run_label(pull, LABEL, MAINTAINER, head_repository=f"{STRANGER}/small") is None, "its token could not start anything"
    assert (run.attempt, run.status) == (1, "completed")

    heard = world.run_label(pull, LABEL, MAINTAINER)
    assert heard is not None
    assert heard.succeeded, heard.log
    assert (run.attempt, run.status) == (2, "queued")


# The holdout ---------------------------------------------------------------------------------------------------------------------


def test_an_easier_holdout_is_told_first_and_gives_no_gain(team: Team) -> None:
    pull, edited = team.propose("easier", {"holdout.csv": easier}, EVALUATED)
    assert conclusions(edited) == IS_BLOCKED, edited.run.log
    assert opening(edited)[:2] == [
        f"{BLOCKED} Needs the label {LABEL} by a maintainer. This change:",
        "- edits the holdout holdout.csv: 100 rows gone, 1 label changed",
    ]
    assert any("The baseline was scored anew" in line for line in opening(edited))
    _, _, baseline, candidate, *_ = cells(edited, "accuracy")
    assert candidate == baseline, "the same model on the same rows"
    assert float(candidate) > 0.9, "which base's model does not reach on the rows of its time"

    team.world.github.set_label(pull.number, LABEL, MAINTAINER)
    approved = team.run(pull, EVALUATED)
    assert conclusions(approved) == PASSES, approved.run.log
    assert opening(approved)[0].startswith(f"{UNSURE} Approved by {MAINTAINER}")


# The model itself ----------------------------------------------------------------------------------------------------------------


def test_both_models_are_scored_and_the_candidate_is_checked_without_secrets(team: Team) -> None:
    before = team.world.run_push(workflow=EVALUATED, secrets=SECRETS)
    assert before.succeeded, before.log
    logs = team.seen(before, "train")
    assert "canary-of-the-password" in logs, "training of the default branch logs to the server"
    assert "canary-of-the-storage" not in logs

    pull, sound = team.propose("tune", {"params.yaml": lambda text: text.replace("slope: 0.5", "slope: 0.499")}, EVALUATED)
    assert conclusions(sound) == PASSES, sound.run.log
    steps = [step.name for step in sound.run.jobs["train"].steps]
    assert steps.index("Fetch the baseline's model") < steps.index("Install what training needs") < steps.index("Train")
    evaluated = record(sound.run, "evaluate")
    assert evaluated["rows"] == 1000
    assert evaluated["baseline"]["digest"] not in ("", evaluated["candidate"]["digest"])
    assert "6 of 6 checks hold" in plain(sound.ours.body)

    large = team.push(pull, {"params.yaml": lambda text: text.replace("ballast: 0", "ballast: 20000")}, EVALUATED)
    assert conclusions(large) == {"train": "failure", "judge": "success", "check": "failure"}, large.run.log
    assert large.headline == f"{BLOCKED} flight-delay: the model breaks 1 check: model size"
    assert cells(large, "accuracy")[0] == PASSED, "the gate speaks all the same"
    assert "20.0 kB" in plain(large.ours.body)

    unreviewed = [team.seen(before, "evaluate"), *(team.seen(run, where) for run in (sound.run, large.run) for where in WHERE)]
    for seen in unreviewed:
        assert "canary" not in seen
        assert not any(token in seen for token in team.world.github.door.installation_tokens)
