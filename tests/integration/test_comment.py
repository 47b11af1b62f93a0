"""The report on a GitHub that keeps state: one comment, one check, whatever happens between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelship.core.errors import InfrastructureError
from modelship.core.records import AnyRecord, encode
from modelship.github.client import Connection, GitHub
from modelship.github.publish import Destination, publish
from modelship.reporting.checks import Found
from modelship.reporting.markdown import marker
from tests.commenting import GRANTED, REPOSITORY, Team, report_on
from tests.project import CONFIG, Project, Ran
from tests.unit.test_reporting_release import deployed, registered
from tests.unit.test_reporting_scenarios import bad, good

MARK = marker("flight-delay")
ISSUE_COMMENTS = r"/issues/\d+/comments$"
CHECK_RUNS = r"/check-runs$"


def test_a_second_report_edits_the_comment_and_the_check(team: Team) -> None:
    first, _ = team.publish(bad())
    comment, check = team.ours()[0], team.our_checks()[0]
    assert "🔴 flight-delay: roc_auc fell" in comment.body
    assert check.conclusion == "failure"
    assert check.title == "flight-delay: roc_auc fell 0.021 below base 3f2a91c"
    assert check.details_url == "https://github.com/run/42"

    second, _ = team.publish(good())

    assert [one.id for one in team.ours()] == [comment.id]
    assert [one.id for one in team.our_checks()] == [check.id]
    assert "🟢 flight-delay" in team.ours()[0].body
    assert team.our_checks()[0].conclusion == "success"
    assert second.comment_url == first.comment_url != ""
    assert second.check_run_url == first.check_run_url != ""
    assert (second.notice, second.warning) == (None, None)


def test_a_new_commit_keeps_the_comment_and_gets_a_check_of_its_own(team: Team) -> None:
    old = team.head
    team.publish(bad())
    comment = team.ours()[0]

    new = team.push()
    team.publish(good())

    assert [one.id for one in team.ours()] == [comment.id]
    assert new[:7] in team.ours()[0].body
    assert [run.conclusion for run in team.our_checks(old)] == ["failure"]
    assert [run.conclusion for run in team.our_checks(new)] == ["success"]


def test_our_comment_is_found_behind_a_hundred_others(team: Team) -> None:
    for number in range(101):
        team.server.comment(team.pull.number, f"comment {number}")
    team.publish(bad())
    team.publish(good())
    assert len(team.comments()) == 102
    assert "🟢" in team.ours()[0].body


def test_a_forged_marker_is_not_touched(team: Team) -> None:
    team.server.comment(team.pull.number, f"## 🟢 flight-delay: fine\n\n{MARK}")
    [forged] = team.comments()
    team.publish(bad())
    assert forged in team.comments()
    assert len(team.ours()) == 1


def test_a_marker_that_somebody_quotes_in_our_name_is_not_ours(team: Team) -> None:
    """Another tool that writes as the same bot may quote a log; only a last line counts."""
    team.write_as_bot(f"log:\n\n{MARK}\n\nend")
    team.publish(good())
    assert len(team.ours()) == 2
    assert team.ours()[0].body.startswith("log:")


def test_of_two_comments_the_oldest_stays(team: Team) -> None:
    team.write_as_bot(f"old\n\n{MARK}")
    team.write_as_bot(f"newer\n\n{MARK}\n")
    oldest = team.ours()[0]
    team.publish(good())
    assert [one.id for one in team.ours()] == [oldest.id]
    assert "🟢" in team.ours()[0].body


@pytest.mark.parametrize("path", [ISSUE_COMMENTS, CHECK_RUNS])
def test_a_lost_answer_creates_nothing_twice(team: Team, path: str) -> None:
    """GitHub did the work and the answer got lost: a blind second POST would double it."""
    team.server.door.break_next("POST", path, 502, after_the_work=True)
    published, pauses = team.publish(good())
    assert len(pauses) == 1
    assert len(team.ours()) == 1
    assert len(team.our_checks()) == 1
    assert published.comment_url
    assert published.check_run_url


def test_a_short_outage_is_waited_for(team: Team) -> None:
    team.server.door.break_next("GET", r"/pulls/\d+$", 503, times=2)
    published, pauses = team.publish(good())
    assert pauses == [2.0, 6.0]
    assert published.comment_url


def test_a_long_outage_is_an_infrastructure_error(team: Team) -> None:
    team.server.door.break_next("GET", r"/pulls/\d+$", 502, times=99)
    with pytest.raises(InfrastructureError, match="GitHub did not answer"):
        team.publish(good())
    assert [run.conclusion for run in team.our_checks()] == ["success"], "the check does not depend on the comment"


def test_nobody_listening_is_an_infrastructure_error() -> None:
    github = GitHub(Connection("http://127.0.0.1:9", REPOSITORY, "token"))
    with pytest.raises(InfrastructureError, match="no answer"):
        publish(report_on(good(), "a" * 40), github, Destination("a" * 40, 1), lambda _: None)


def test_an_older_commit_does_not_speak_over_a_newer_one(team: Team) -> None:
    old = team.head
    team.push()
    published, _ = team.publish(bad(), head=old)
    assert team.comments() == []
    assert published.notice is not None
    assert "has moved on" in published.notice.message
    assert [run.conclusion for run in team.our_checks(old)] == ["failure"]
    assert team.our_checks() == []


def test_without_a_pull_request_there_is_only_a_check(team: Team) -> None:
    published, _ = team.publish(good(), in_pull_request=False)
    assert team.comments() == []
    assert published.comment_url == ""
    assert [run.conclusion for run in team.our_checks()] == ["success"]
    assert published.notice is None


def test_a_read_only_token_is_a_warning_with_the_remedy(team: Team) -> None:
    published, pauses = team.publish(bad(), permissions={"contents": "read", "pull-requests": "read", "checks": "read"})
    assert team.comments() == []
    assert team.our_checks() == []
    assert pauses == []
    assert published.warning is not None
    assert "403" in published.warning.message
    assert "pull-requests: write, checks: write" in published.warning.remedy


@pytest.mark.parametrize("status", [404, 410, 422])
def test_a_refused_comment_still_leaves_a_check(team: Team, status: int) -> None:
    team.server.door.break_next("POST", ISSUE_COMMENTS, status)
    published, _ = team.publish(good())
    assert published.warning is not None
    assert str(status) in published.warning.message
    assert len(team.our_checks()) == 1


def test_a_person_s_token_writes_in_their_name(team: Team) -> None:
    token = next(token for token in team.server.door.user_tokens if "dana" in token)
    team.publish(bad(), token=token)
    team.publish(good(), token=token)
    assert [one.author for one in team.comments()] == ["dana"]


def test_an_app_whose_name_is_not_known_finds_its_earlier_comment(team: Team) -> None:
    """The token does not tell, and the guess is wrong: the created comment shows who we are."""
    team.publish(bad(), author="somebody-else[bot]")
    first = team.ours()[0]
    team.publish(good(), author="somebody-else[bot]")
    assert [one.id for one in team.ours()] == [first.id]
    assert "🟢" in team.ours()[0].body


# The command


@pytest.fixture
def checkout(team: Team, tmp_path: Path) -> Project:
    """The pull request's checkout in a workflow run, with no record yet."""
    project = Project(tmp_path / "checkout")
    project.directory.mkdir()
    project.git("init", "--quiet")
    project.write("modelship.yaml", CONFIG)
    project.commit("first")
    project.pull_request_event(team.repository.tip("main"), team.head, team.pull.number)
    project.environment |= {"GITHUB_API_URL": team.server.url, "GITHUB_RUN_NUMBER": "42", "GITHUB_REPOSITORY": REPOSITORY}
    return project


def leave(project: Project, records: Mapping[str, Found], commit: str) -> None:
    for name, record in records.items():
        assert isinstance(record, msgspec.Struct)
        project.write(f".modelship/{name}.json", encode(msgspec.structs.replace(record, commit=commit)))


def comment(project: Project, team: Team, **environment: str) -> Ran:
    token = team.server.token(GRANTED)
    return project.run("comment", **{"MODELSHIP_COMMENT_GITHUB_TOKEN": token, **environment})


def test_the_command_answers_the_pull_request(team: Team, checkout: Project) -> None:
    leave(checkout, bad(), team.head)

    ran = comment(checkout, team, MODELSHIP_COMMENT_REPORT_URL="https://github.com/acme/flights/actions/runs/42/artifacts/1")

    assert ran.exit_code == 0, ran.log
    body = team.ours()[0].body
    assert "full report" in body
    assert "run 42" in body
    assert body.rstrip().endswith(MARK)
    assert ran.outputs["conclusion"] == "failure"
    assert ran.outputs["report"].endswith("report-flight-delay.html")
    assert ran.outputs["comment-url"] == _url(team)
    assert ran.outputs["check-run-url"]
    assert body.replace(MARK, "").strip() == ran.summary.strip()
    assert (checkout.directory / ".modelship/comment.md").read_text().strip() == body.strip()
    assert "<title>🔴 flight-delay" in (checkout.directory / ".modelship/report-flight-delay.html").read_text()
    assert "✗ flight-delay: roc_auc fell" in ran.log


def _url(team: Team) -> str:
    found = team.server.call("GET", f"/repos/{REPOSITORY}/issues/{team.pull.number}/comments")
    return str(found[-1]["html_url"])


def test_render_only_asks_github_nothing(team: Team, checkout: Project) -> None:
    leave(checkout, good(), team.head)
    ran = comment(checkout, team, MODELSHIP_COMMENT_PUBLISH="false")
    assert ran.exit_code == 0, ran.log
    assert ran.summary == ""
    assert ran.outputs["conclusion"] == "success"
    assert [request.path for request in team.server.door.requests if not request.path.startswith("/app/")] == []
    assert (checkout.directory / ".modelship/report-flight-delay.html").is_file()


def test_empty_inputs_are_not_given(team: Team, checkout: Project) -> None:
    """A composite action hands every input over, and an absent one as empty text."""
    leave(checkout, good(), team.head)
    empty = {f"MODELSHIP_COMMENT_{name}": "" for name in ("MODEL", "GITHUB_TOKEN", "PUBLISH", "REPORT_URL", "AUTHOR", "CONFIG")}
    ran = comment(checkout, team, **empty)
    assert ran.exit_code == 0, ran.log
    assert "there is no token" in ran.log
    assert "🟢 flight-delay" in ran.summary
    assert team.comments() == []


def test_a_refusal_is_one_warning_and_no_failure(team: Team, checkout: Project) -> None:
    leave(checkout, bad(), team.head)
    ran = comment(checkout, team, MODELSHIP_COMMENT_GITHUB_TOKEN=team.server.token({"contents": "read"}))
    assert ran.exit_code == 0, ran.log
    assert ran.log.count("::warning") == 1
    assert "🔴 flight-delay" in ran.summary


def test_no_record_is_an_error_that_is_shown(team: Team, checkout: Project) -> None:
    ran = comment(checkout, team)
    assert ran.exit_code == 2, ran.log
    assert "nothing was checked" in team.ours()[0].body
    assert team.our_checks()[0].conclusion == "failure"
    assert ran.log.count("::error") == 1


BROKEN = {
    "truncated": '{"record": "metric-gate/1", "status": "pa',
    "not UTF-8": b'\xff\xfe{"record": "metric-gate/1"}',
    "unknown field": '{"record": "metric-gate/1", "status": "pass", "summary": "fine", "verdict": "pass"}',
    "another record": '{"record": "train/1", "status": "pass", "summary": "fine"}',
    "another version": '{"record": "metric-gate/9", "status": "pass", "summary": "fine"}',
    "of no commit": '{"record": "metric-gate/1", "status": "pass", "summary": "fine"}',
    "of another commit": json.dumps({"record": "metric-gate/1", "status": "pass", "summary": "fine", "commit": "b" * 40}),
    "too deep": "[" * 100_000,
    "too large": '{"record": "metric-gate/1", "summary": "' + "x" * (5 * 1024 * 1024) + '"}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_record_is_never_a_pass(team: Team, checkout: Project, content: str | bytes) -> None:
    leave(checkout, {name: record for name, record in good().items() if name != "metric-gate"}, team.head)
    checkout.write(".modelship/metric-gate.json", content)
    ran = comment(checkout, team)
    assert ran.exit_code == 0, ran.log
    assert ran.outputs["conclusion"] == "failure"
    assert "the record of metric-gate cannot be trusted" in team.ours()[0].body
    assert team.our_checks()[0].conclusion == "failure"


def test_links_in_the_run_directory_are_not_followed(team: Team, checkout: Project) -> None:
    leave(checkout, good(), team.head)
    precious = checkout.directory.parent / "precious"
    precious.write_text("precious")
    (checkout.directory / ".modelship/report-flight-delay.html").symlink_to(precious)
    (checkout.directory / ".modelship/comment.md").symlink_to(precious)
    ran = comment(checkout, team)
    assert ran.exit_code == 0, ran.log
    assert precious.read_text() == "precious"
    assert (checkout.directory / ".modelship/report-flight-delay.html").read_text().startswith("<!doctype html>")


def test_a_linked_run_directory_is_refused(team: Team, checkout: Project) -> None:
    elsewhere = checkout.directory.parent / "elsewhere"
    elsewhere.mkdir()
    (checkout.directory / ".modelship").symlink_to(elsewhere)
    ran = comment(checkout, team)
    assert ran.exit_code == 2, ran.log
    assert list(elsewhere.iterdir()) == []


def test_a_file_instead_of_the_run_directory_is_refused(team: Team, checkout: Project) -> None:
    checkout.write(".modelship", "")
    ran = comment(checkout, team)
    assert ran.exit_code == 2, ran.log
    assert "is not a folder" in ran.log


def test_the_model_s_name_comes_from_option_configuration_or_records(team: Team, checkout: Project) -> None:
    records = {name: msgspec.structs.replace(record, model="from-records") for name, record in _structs(good())}
    leave(checkout, records, team.head)
    assert "🟢 of-option:" in comment(checkout, team, MODELSHIP_COMMENT_MODEL="of-option").summary
    assert "🟢 flight-delay:" in comment(checkout, team).summary
    checkout.write("modelship.yaml", "broken: [")
    assert "🟢 from-records:" in comment(checkout, team).summary
    wrong = comment(checkout, team, MODELSHIP_COMMENT_MODEL="x --> forged")
    assert wrong.exit_code == 2
    assert "is no name for a model" in wrong.log
    assert wrong.outputs["conclusion"] == "failure"


def test_a_configuration_with_an_error_elsewhere_still_names_the_model(checkout: Project) -> None:
    checkout.write("modelship.yaml", CONFIG.replace("baseline:", "basline:"))
    checkout.run("train")
    assert checkout.record("train")["model"] == "flight-delay"


def _structs(records: Mapping[str, Found]) -> Iterator[tuple[str, AnyRecord]]:
    for name, record in records.items():
        assert isinstance(record, msgspec.Struct)
        yield name, record


def test_at_a_terminal_the_report_is_printed(team: Team, checkout: Project) -> None:
    leave(checkout, bad(), team.head)
    checkout.environment.clear()
    ran = checkout.run("comment", NO_COLOR="1")
    assert ran.exit_code == 0, ran.log
    assert "✗ flight-delay: roc_auc fell 0.021 below base 3f2a91c" in ran.log
    assert "::" not in ran.log


def test_the_token_is_never_printed(team: Team, checkout: Project) -> None:
    leave(checkout, good(), team.head)
    token = team.server.token(GRANTED)
    ran = comment(checkout, team, MODELSHIP_COMMENT_GITHUB_TOKEN=token)
    assert token not in ran.log + ran.summary + str(ran.outputs)
    assert token not in repr(Connection("https://api.github.com", REPOSITORY, token))


# A release -----------------------------------------------------------------------------------------------------------------------

RELEASE_MARK = marker("flight-delay", "release")
ANSWERING = {"contents": "read", "pull-requests": "write"}


@dataclass
class Merged:
    """A pull request that was merged, what the jobs of its release say of themselves, and the records that they handed over."""

    team: Team
    commit: str
    project: Project
    jobs: dict[str, dict[str, Any]]

    @property
    def handed_over(self) -> Path:
        return self.project.directory.parent / "handed-over"

    def hand_over(self, artifact: str, command: str, record: AnyRecord) -> dict[str, Any]:
        """What a job says of itself that leaves this record."""
        content = encode(msgspec.structs.replace(record, commit=self.commit))
        path = self.handed_over / artifact / f"{command}.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return {"result": "success", "outputs": {"record-digest": hashlib.sha256(content).hexdigest()}}

    def tell(self, **environment: str) -> Ran:
        environments = {name: self.jobs.get(name, {"result": "skipped"}) for name in ("staging", "production")}
        release = {
            "model": {"result": "success"},
            "register": self.jobs["register"],
            "environments": {**environments, "": {"result": "skipped"}},
        }
        token = self.team.server.token(ANSWERING)
        variables = {"RELEASE": json.dumps(release), "RECORDS": str(self.handed_over), "GITHUB_TOKEN": token}
        return self.project.run(
            "comment", **{**{f"MODELSHIP_COMMENT_{name}": value for name, value in variables.items()}, **environment}
        )

    def answers(self) -> list[str]:
        return [found.body for found in self.team.ours() if found.body.rstrip().endswith(RELEASE_MARK)]


@pytest.fixture
def merged(team: Team, checkout: Project) -> Merged:
    """A pull request that was answered with a verdict, merged, and whose model serves staging."""
    team.publish(good())
    commit = team.repository.merge(team.pull.number, "main", team.pull.branch)
    team.server.merged(team.pull.number, commit)
    checkout.push_event("0" * 40, commit)
    found = Merged(team, commit, checkout, {})
    found.jobs["register"] = found.hand_over("1-register", "register", registered())
    found.jobs["staging"] = found.hand_over("2-staging", "deploy", deployed("staging"))
    return found


def test_the_merged_pull_request_is_told_once(merged: Merged) -> None:
    merged.team.write_as_bot(f"a quotation of {RELEASE_MARK} in the middle")
    first = merged.tell()
    assert first.exit_code == 0, first.log
    assert first.outputs["conclusion"] == "success"
    (body,) = merged.answers()
    assert body.startswith("## 🟢 flight-delay: v8 serves staging")
    merged.jobs["production"] = merged.hand_over("2-production", "deploy", deployed("production"))
    second = merged.tell()
    (body,) = merged.answers()
    assert body.startswith("## 🟢 flight-delay: v8 serves production")
    assert merged.commit[:7] in body
    assert second.outputs["comment-url"] == first.outputs["comment-url"]
    assert second.outputs["report"].endswith("release-flight-delay.html")
    assert body.replace(RELEASE_MARK, "").strip() == second.summary.strip()
    verdicts = [found for found in merged.team.ours() if found.body.rstrip().endswith(MARK)]
    assert len(verdicts) == 1, "the verdict keeps a comment of its own"
    assert merged.team.server.check_runs(merged.commit) == [], "the check is the verdict's"


def test_what_was_pushed_directly_is_told_in_the_summary_alone(merged: Merged, team: Team) -> None:
    merged.team.server.door.merges.clear()
    ran = merged.tell()
    assert ran.exit_code == 0, ran.log
    assert "flight-delay: v8" in ran.summary
    assert f"::notice title=modelship comment::no pull request was merged as {merged.commit[:7]}" in ran.log
    assert merged.answers() == []


def test_a_record_that_another_job_wrote_over_is_not_believed(merged: Merged) -> None:
    path = merged.handed_over / "2-staging" / "deploy.json"
    path.write_bytes(path.read_bytes().replace(b'"version": 8', b'"version": 9'))
    ran = merged.tell()
    assert ran.outputs["conclusion"] == "failure"
    (body,) = merged.answers()
    assert "the record of staging cannot be trusted" in body
    assert "v9" not in body


@pytest.mark.parametrize("hostile", ["a link", "many files"])
def test_what_is_no_folder_of_records_is_not_believed(merged: Merged, hostile: str) -> None:
    if hostile == "a link":
        (merged.handed_over / "x").symlink_to("/etc")
    else:
        for number in range(201):
            (merged.handed_over / str(number)).write_text("")
    ran = merged.tell()
    assert ran.exit_code == 0, ran.log
    assert "cannot be trusted" in merged.answers()[0]


def test_a_job_whose_turn_did_not_come_has_promised_nothing(merged: Merged) -> None:
    merged.jobs["production"] = {"result": "skipped", "outputs": {"record-digest": "0" * 64}}
    told = merged.tell()
    assert told.outputs["conclusion"] == "success", told.log
    (body,) = merged.answers()
    assert "not known" not in body


def test_a_release_that_may_not_comment_warns(merged: Merged) -> None:
    token = merged.team.server.token({"contents": "read"})
    ran = merged.tell(MODELSHIP_COMMENT_GITHUB_TOKEN=token)
    assert (ran.exit_code, merged.answers()) == (0, [])
    assert "pull-requests: write" in ran.log
    assert "flight-delay: v8" in ran.summary


@pytest.mark.parametrize("release", ["[]", "{", '{"model": {"result": "success"}}', '{"model": 1, "register": 2}', "[" * 100_000])
def test_jobs_that_are_no_release_are_bad_input(checkout: Project, release: str) -> None:
    ran = checkout.run("comment", MODELSHIP_COMMENT_RELEASE=release)
    assert ran.exit_code == 2
    assert "`release` is not the context `needs` as JSON" in ran.log
