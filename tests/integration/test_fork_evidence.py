"""The second stage: which pull request a run was for, which evidence counts, and that the answer is about that alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.git import git
from tests.e2e.github import MAINTAINER, STRANGER
from tests.forks import REPOSITORY, Proposed, Upstream, edit_record, named


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    upstream = Upstream.start(tmp_path_factory.mktemp("upstream"))
    try:
        yield upstream
    finally:
        upstream.stop()


@pytest.fixture(scope="module")
def worse(upstream: Upstream) -> Proposed:
    """A pull request whose honest verdict is no."""
    return upstream.propose()


def earlier(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# The pull request ----------------------------------------------------------------------------------------------------------------


def test_a_fork_s_run_is_judged_by_the_base_and_answered(upstream: Upstream) -> None:
    proposed = upstream.propose()
    answered = proposed.answer(proposed.finished(named(proposed.evidence())))
    codes = {name: ran.exit_code for name, ran in answered.steps.items()}
    assert codes == {"fork-evidence": 0, "metric-gate": 1, "comment": 0}, answered.log
    base = upstream.repository.tip("main")
    assert answered.pull_request == {"number": proposed.pull.number, "head": proposed.head, "base": base}
    (comment,) = answered.ours
    assert comment.body.startswith("## 🔴 flight-delay: log_loss rose")
    assert answered.conclusion == "failure"
    assert answered.checks[0].details_url == f"{upstream.server.url}/{REPOSITORY}/actions/runs/9000"

    proposed.push({"params.yaml": "slope: 0.499\nballast: 0\n"})
    better = proposed.answer(proposed.finished(named(proposed.evidence())))
    assert better.steps["metric-gate"].exit_code == 0, better.log
    assert [one.id for one in better.ours] == [comment.id]
    assert better.ours[0].body.startswith("## 🟢")
    assert better.conclusion == "success"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"head_repository": {"full_name": REPOSITORY, "owner": {"login": "acme"}}}, "has answered by itself"),
        ({"head_repository": {"full_name": REPOSITORY.upper(), "owner": {"login": "acme"}}}, "has answered by itself"),
        ({"head_repository": None}, "is gone"),
        ({"event": "push"}, "`push`"),
        ({"event": "workflow_dispatch"}, "`workflow_dispatch`"),
        ({"head_sha": "1" * 40}, "has moved on"),
        ({"head_branch": "another"}, "No open pull request"),
        ({"head_repository": {"full_name": f"{STRANGER}/another", "owner": {"login": STRANGER}}}, "No open pull request"),
    ],
)
def test_what_is_no_fork_s_newest_run_is_left_alone(worse: Proposed, event: dict[str, Any], says: str) -> None:
    before = worse.upstream.server.comments(worse.pull.number)
    answered = worse.answer(worse.finished(named(worse.evidence())), event=event)
    assert answered.steps["fork-evidence"].exit_code == 0, answered.log
    assert says in answered.log
    assert answered.pull_request is None
    assert answered.comments == before


@pytest.mark.parametrize("event", [{"id": "7"}, {"head_sha": "main"}, {"head_sha": None}])
def test_an_event_that_github_would_not_write_is_bad_input(worse: Proposed, event: dict[str, Any]) -> None:
    answered = worse.answer(worse.finished(), event=event)
    assert answered.steps["fork-evidence"].exit_code == 2
    assert answered.pull_request is None


def test_a_run_for_an_older_head_is_left_to_the_newer_one(upstream: Upstream) -> None:
    proposed = upstream.propose()
    old = proposed.finished(named(proposed.evidence()))
    proposed.push({"README.md": "More to read.\n"})
    answered = proposed.answer(old)
    assert answered.pull_request is None
    assert answered.comments == []
    assert answered.checks == []


def test_a_closed_pull_request_is_not_answered(upstream: Upstream) -> None:
    proposed = upstream.propose()
    run = proposed.finished(named(proposed.evidence()))
    upstream.server.close(proposed.pull.number)
    assert proposed.answer(run).comments == []


def test_two_pull_requests_with_one_head_are_not_told_apart(upstream: Upstream) -> None:
    proposed = upstream.propose()
    upstream.repository.commit("release", {}, "release", start="main")
    twin = upstream.server.open_fork_pull_request(proposed.pull.branch, "The same", "release")
    git(upstream.repository.bare, "update-ref", f"refs/pull/{twin.number}/head", proposed.head)

    answered = proposed.answer(proposed.finished(named(proposed.evidence())))

    assert answered.steps["fork-evidence"].exit_code == 2
    assert f"#{proposed.pull.number}" in answered.log
    assert f"#{twin.number}" in answered.log
    assert answered.comments == upstream.server.comments(twin.number) == []

    upstream.server.close(twin.number)
    assert proposed.answer(proposed.finished(named(proposed.evidence()))).conclusion == "failure"


def test_the_branch_that_it_is_to_be_merged_into_judges(upstream: Upstream) -> None:
    """Limits as they stand there now, whatever the default branch says, and whatever they were when the pull request was opened."""
    upstream.repository.commit("strict", {}, "another base", start="main")
    proposed = upstream.propose({"params.yaml": "slope: 0.499\nballast: 0\n"}, base="strict")
    evidence = named(proposed.evidence())
    assert proposed.answer(proposed.finished(evidence)).conclusion == "success"

    upstream.repository.commit("strict", {"modelship.yaml": lambda text: text.replace("min: 0.3", "min: 0.99")}, "Tighten")
    answered = proposed.answer(proposed.finished(evidence))
    assert answered.conclusion == "failure"
    assert answered.pull_request["base"] == upstream.repository.tip("strict")


def test_the_base_says_what_the_model_is_called(upstream: Upstream) -> None:
    upstream.repository.commit(
        "renamed", {"modelship.yaml": lambda text: text.replace("flight", "arrival", 1)}, "Rename", start="main"
    )
    proposed = upstream.propose(base="renamed")
    answered = proposed.answer(proposed.finished(named(proposed.evidence())))
    assert answered.status == "error", "what the fork trained is called otherwise"
    assert [check.name for check in answered.checks] == ["modelship: arrival-delay"]
    assert answered.ours[0].body.startswith("## 🔴 arrival-delay")


@pytest.mark.parametrize("there", [None, "gate: ["])
def test_a_base_without_limits_judges_nobody(upstream: Upstream, there: str | None) -> None:
    base = f"without-{'limits' if there is None else 'valid-ones'}"
    upstream.repository.commit(base, {"modelship.yaml": there}, "Take the limits away", start="main")
    proposed = upstream.propose(base=base)
    answered = proposed.answer(proposed.finished(named(proposed.evidence())))
    assert answered.steps["fork-evidence"].exit_code == 2
    assert "is judged by what is merged" in answered.log
    assert answered.comments == []


# The evidence --------------------------------------------------------------------------------------------------------------------


def test_another_model_of_the_same_run_is_told_by_its_records(worse: Proposed) -> None:
    other = worse.evidence()
    edit_record(other, "train", lambda record: record.update(model="other", summary="another one"))
    answered = worse.answer(worse.finished(named(other), named(worse.evidence())))
    assert answered.steps["metric-gate"].exit_code == 1, answered.log
    assert "another one" not in answered.ours[0].body


def test_of_several_attempts_the_latest_that_trained_counts(worse: Proposed) -> None:
    old, new = worse.evidence(), worse.evidence()
    edit_record(old, "train", lambda record: record.update(notices=["from the first attempt"]))
    kept = [named(old, created_at=earlier(60)), named(new, created_at=earlier(1))]

    trained_again = worse.answer(worse.finished(*kept, started_at=earlier(5)))
    assert trained_again.steps["metric-gate"].exit_code == 1, trained_again.log
    assert "from the first attempt" not in trained_again.written

    judged_again = worse.answer(worse.finished(kept[0], started_at=earlier(0)))
    assert judged_again.steps["metric-gate"].exit_code == 1, judged_again.log
    assert "from the first attempt" in judged_again.written


def test_a_run_that_left_nothing_is_answered_all_the_same(worse: Proposed) -> None:
    answered = worse.answer(worse.finished(conclusion="failure"))
    assert answered.steps["fork-evidence"].exit_code == 0
    assert answered.status == "error"
    assert "has left no evidence" in answered.log
    assert len(answered.ours) == 1
    assert answered.conclusion == "failure"


@pytest.mark.parametrize(("path", "method"), [(r"/artifacts$", "GET"), (r"/zip$", "GET"), (r"/pulls$", "GET")])
def test_a_short_outage_is_waited_for(worse: Proposed, path: str, method: str) -> None:
    run = worse.finished(named(worse.evidence()))
    worse.upstream.server.door.break_next(method, path, 502)
    answered = worse.answer(run)
    assert answered.steps["metric-gate"].exit_code == 1, answered.log


def test_the_token_goes_to_github_alone(worse: Proposed) -> None:
    """The storage refuses whoever shows one, and the log shows none."""
    answered = worse.answer(worse.finished(named(worse.evidence())))
    assert answered.steps["metric-gate"].exit_code == 1
    tokens = worse.upstream.server.door.installation_tokens
    assert not [token for token in tokens if token in answered.log]


# What people let pass ------------------------------------------------------------------------------------------------------------


def test_a_maintainer_s_word_counts_on_a_fork_s_commit(upstream: Upstream) -> None:
    upstream.server.grant(MAINTAINER, "maintain")
    proposed = upstream.propose()
    run = proposed.finished(named(proposed.evidence()))
    assert proposed.answer(run).conclusion == "failure"
    upstream.server.comment(proposed.pull.number, "/accept-regression The old model saw the arrival time.", MAINTAINER)
    accepted = proposed.answer(run)
    assert accepted.status == "warn", accepted.log
    assert accepted.conclusion == "success"

    proposed.push({"README.md": "More to read.\n"})
    again = proposed.answer(proposed.finished(named(proposed.evidence())))
    assert again.conclusion == "failure"
