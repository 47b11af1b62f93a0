"""What GitHub tells us of a run, and what we tell its runner."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelship.core import workflow
from modelship.core.errors import BadInput, Problem
from modelship.core.event import Event, FinishedRun, Word, read_event, read_finished_run, read_word

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

HEAD, BASE, MERGE = "a" * 40, "b" * 40, "c" * 40
ZERO = "0" * 40


def environ(tmp_path: Path, name: str, payload: Any, **more: str) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(payload if isinstance(payload, str) else json.dumps(payload), encoding="utf-8")
    return {
        "GITHUB_REPOSITORY": "team/model", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path), "GITHUB_SHA": MERGE,
        "GITHUB_RUN_ID": "42", **more,
    }  # fmt: skip


# The event -----------------------------------------------------------------------------------------------------------------------


def test_a_pull_request(tmp_path: Path) -> None:
    event = read_event(
        environ(tmp_path, "pull_request", {"pull_request": {"number": 7, "head": {"sha": HEAD}, "base": {"sha": BASE}}})
    )
    assert (event.head, event.base, event.checked_out, event.pull_request) == (HEAD, BASE, MERGE, 7)
    assert event.is_pull_request
    assert event.run_url == "https://github.com/team/model/actions/runs/42"


def test_a_push(tmp_path: Path) -> None:
    event = read_event(environ(tmp_path, "push", {"before": BASE, "after": MERGE}))
    assert (event.head, event.base, event.pull_request, event.is_pull_request) == (MERGE, BASE, None, False)


def test_the_first_push_has_nothing_before(tmp_path: Path) -> None:
    assert read_event(environ(tmp_path, "push", {"before": ZERO})).base is None


def test_a_merge_group(tmp_path: Path) -> None:
    event = read_event(environ(tmp_path, "merge_group", {"merge_group": {"head_sha": MERGE, "base_sha": BASE}}))
    assert (event.head, event.base, event.is_pull_request) == (MERGE, BASE, False)


@pytest.mark.parametrize(
    ("ref", "queued"),
    [
        (f"refs/heads/gh-readonly-queue/main/pr-7-{BASE}", 7),
        (f"refs/heads/gh-readonly-queue/release/1.0/pr-12-{BASE}", 12),
        (f"refs/heads/main/pr-7-{BASE}", None),
        (f"refs/heads/gh-readonly-queue/main/pr-0-{BASE}", None),
        ("refs/heads/gh-readonly-queue/main/pr-7-", None),
        (f"refs/heads/gh-readonly-queue/main/pr-7-{BASE}\n", None),
        (7, None),
        (None, None),
    ],
)
def test_a_merge_queue_s_branch_names_its_pull_request(tmp_path: Path, ref: Any, queued: int | None) -> None:
    event = read_event(environ(tmp_path, "merge_group", {"merge_group": {"base_sha": BASE, "head_ref": ref}}))
    assert (event.queued, event.pull_request, event.is_proposal, event.is_pull_request) == (queued, None, True, False)


def test_what_is_pushed_is_no_proposal(tmp_path: Path) -> None:
    assert not read_event(environ(tmp_path, "push", {"before": BASE})).is_proposal


TOLD = json.dumps({"number": 7, "head": HEAD, "base": BASE})


@pytest.mark.parametrize(("name", "payload"), [("workflow_run", {}), ("pull_request", {"pull_request": {"number": 8}}), ("push", {})])
def test_a_pull_request_that_is_told_takes_the_event_s_place(tmp_path: Path, name: str, payload: Any) -> None:
    event = read_event(environ(tmp_path, name, payload), TOLD)
    assert (event.pull_request, event.head, event.base, event.checked_out) == (7, HEAD, BASE, None)
    assert event.is_proposal
    assert event.is_elsewhere
    assert event.run_url == "https://github.com/team/model/actions/runs/42"
    assert not read_event(environ(tmp_path, name, payload)).is_elsewhere


FINISHED: dict[str, Any] = {
    "action": "completed",
    "workflow_run": {
        "id": 42, "event": "pull_request", "head_sha": HEAD, "head_branch": "x", "run_started_at": "2026-01-02T03:04:05Z",
        "head_repository": {"full_name": "mallory/model", "owner": {"login": "mallory"}}, "pull_requests": [],
    },
}  # fmt: skip


def test_a_finished_run(tmp_path: Path) -> None:
    run = read_finished_run(environ(tmp_path, "workflow_run", FINISHED))
    assert run == FinishedRun(42, "pull_request", HEAD, "x", "mallory", "mallory/model", "2026-01-02T03:04:05Z")


def test_a_finished_run_of_a_fork_that_is_gone(tmp_path: Path) -> None:
    gone = {**FINISHED, "workflow_run": {**FINISHED["workflow_run"], "head_repository": None, "head_branch": None}}
    run = read_finished_run(environ(tmp_path, "workflow_run", gone))
    assert run is not None
    assert (run.owner, run.repository, run.branch) == ("", "", "")


@pytest.mark.parametrize(
    ("name", "payload"), [("push", FINISHED), ("workflow_run", {**FINISHED, "action": "requested"}), ("workflow_run", {})]
)
def test_other_events_are_no_finished_run(tmp_path: Path, name: str, payload: Any) -> None:
    assert read_finished_run(environ(tmp_path, name, payload)) is None


@pytest.mark.parametrize(("key", "value"), [("id", "42"), ("head_sha", "main"), ("event", None), ("head_branch", 7)])
def test_a_run_that_github_would_not_describe_so_is_bad_input(tmp_path: Path, key: str, value: Any) -> None:
    payload = {**FINISHED, "workflow_run": {**FINISHED["workflow_run"], key: value}}
    with pytest.raises(BadInput, match="not what GitHub writes"):
        read_finished_run(environ(tmp_path, "workflow_run", payload))


COMMENTED: dict[str, Any] = {
    "action": "created",
    "issue": {"number": 7, "pull_request": {"url": "https://api.github.com/repos/team/model/pulls/7"}},
    "comment": {"body": "/accept-regression why", "created_at": "2026-01-02T03:04:05Z", "user": {"login": "mona", "type": "User"}},
}
LABELLED: dict[str, Any] = {
    "action": "labeled",
    "label": {"name": "approved"},
    "pull_request": {"number": 7, "updated_at": "2026-01-02T03:04:05Z", "head": {"sha": HEAD}, "base": {"sha": BASE}},
    "sender": {"login": "mona", "type": "User"},
}


def test_a_comment_on_a_pull_request_is_a_word(tmp_path: Path) -> None:
    word = read_word(environ(tmp_path, "issue_comment", COMMENTED))
    assert word == Word(7, "mona", False, "2026-01-02T03:04:05Z", comment="/accept-regression why")


def test_a_label_on_a_pull_request_is_a_word(tmp_path: Path) -> None:
    word = read_word(environ(tmp_path, "pull_request", LABELLED))
    assert word == Word(7, "mona", False, "2026-01-02T03:04:05Z", label="approved")


@pytest.mark.parametrize("user", [{"login": "helper", "type": "Bot"}, {"login": "github-actions[bot]"}])
def test_a_bot_is_known_as_one(tmp_path: Path, user: dict[str, str]) -> None:
    said = read_word(environ(tmp_path, "issue_comment", {**COMMENTED, "comment": {**COMMENTED["comment"], "user": user}}))
    set_ = read_word(environ(tmp_path, "pull_request", {**LABELLED, "sender": user}))
    assert said is not None
    assert said.is_bot
    assert set_ is not None
    assert set_.is_bot


def test_a_deleted_user_has_no_name(tmp_path: Path) -> None:
    word = read_word(environ(tmp_path, "issue_comment", {**COMMENTED, "comment": {**COMMENTED["comment"], "user": None}}))
    assert word is not None
    assert word.author == ""


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("issue_comment", {**COMMENTED, "issue": {"number": 7}}),
        ("issue_comment", {**COMMENTED, "action": "edited"}),
        ("pull_request", {**LABELLED, "action": "unlabeled"}),
        ("pull_request_target", LABELLED),
        ("push", {}),
    ],
)
def test_other_events_are_no_word(tmp_path: Path, name: str, payload: Any) -> None:
    assert read_word(environ(tmp_path, name, payload)) is None


@pytest.mark.parametrize("number", ["7", None, 7.5])
def test_a_word_on_no_pull_request_is_bad_input(tmp_path: Path, number: Any) -> None:
    payload = {**COMMENTED, "issue": {**COMMENTED["issue"], "number": number}}
    with pytest.raises(BadInput, match="not what GitHub writes"):
        read_word(environ(tmp_path, "issue_comment", payload))


@pytest.mark.parametrize("name", ["workflow_dispatch", "schedule", "workflow_run"])
def test_an_event_without_commits(tmp_path: Path, name: str) -> None:
    event = read_event(environ(tmp_path, name, {"inputs": {}}))
    assert (event.head, event.base, event.pull_request) == (MERGE, None, None)


def test_sha_256_repositories(tmp_path: Path) -> None:
    assert read_event(environ(tmp_path, "push", {"before": "d" * 64}, GITHUB_SHA="e" * 64)).base == "d" * 64


def test_an_enterprise_server(tmp_path: Path) -> None:
    given_ = environ(
        tmp_path, "push", {}, GITHUB_SERVER_URL="https://git.corp", GITHUB_API_URL="https://git.corp/api/v3", GITHUB_RUN_ATTEMPT="3"
    )
    event = read_event(given_)
    assert (event.run_url, event.api_url, event.run_attempt) == (
        "https://git.corp/team/model/actions/runs/42", "https://git.corp/api/v3", "3",
    )  # fmt: skip


@pytest.mark.parametrize("given_", [{}, {"GITHUB_REPOSITORY": "team/model"}, {"GITHUB_EVENT_NAME": "push"}, {"GITHUB_SHA": HEAD}])
def test_outside_of_a_workflow(given_: dict[str, str]) -> None:
    assert read_event(given_) == Event()
    assert Event().run_url is None


@pytest.mark.parametrize("payload", ["", "{", "\x00", '{"a": '])
def test_a_broken_event_file(tmp_path: Path, payload: str) -> None:
    with pytest.raises(BadInput, match="GITHUB_EVENT_PATH cannot be read"):
        read_event(environ(tmp_path, "push", payload))


def test_a_missing_event_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_event({**environ(tmp_path, "push", {}), "GITHUB_EVENT_PATH": str(tmp_path / "none.json")})


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([HEAD, ZERO, "A" * 40, f"{HEAD}\n", "HEAD", "-x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["pull_request", "head", "base", "sha", "number", "before", "merge_group", "base_sha"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=anything, name=st.sampled_from(["push", "pull_request", "merge_group"]))
def test_a_commit_is_a_commit_whatever_the_payload_holds(tmp_path: Path, payload: Any, name: str) -> None:
    event = read_event(environ(tmp_path, name, json.dumps(payload)))
    for sha in (event.head, event.base, event.checked_out):
        assert sha is None or (re.fullmatch(r"[0-9a-f]{40}", sha) and sha != ZERO)
    assert event.pull_request is None or type(event.pull_request) is int


# Outputs -------------------------------------------------------------------------------------------------------------------------


def runner_outputs(path: Path) -> dict[str, str]:
    """Read an outputs file as GitHub's runner does: lines end with `\\n` or `\\r\\n`, `name=value` or a heredoc."""
    outputs: dict[str, str] = {}
    lines = re.split(r"\r?\n", path.read_bytes().decode("utf-8"))
    while lines:
        line = lines.pop(0)
        equals, heredoc = line.find("="), line.find("<<")
        if not line:
            continue
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            outputs[line[:equals]] = line[equals + 1 :]
            continue
        assert heredoc >= 0, f"invalid line {line!r}"
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        value: list[str] = []
        while lines[0] != delimiter:
            value.append(lines.pop(0))
        lines.pop(0)
        outputs[name] = "\n".join(value)
    return outputs


HOSTILE = [
    "a=1\nb=2",
    "x\nstatus=pass\nevidence-digest<<EOF\nforged\nEOF",
    "\nEOF\nstatus=pass",
    "modelship-\nstatus=pass",
    "modelship-00000000000000000000000000000000\nstatus=pass\n",
    "status<<modelship-\npass\nmodelship-",
    "a\r\nstatus=pass\r\n",
    "\n\n",
    "",
    "ümläut 🔴\n::set-output name=status::pass",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_forges_no_other_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    path = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    workflow.set_outputs({"status": "fail", "summary": value})
    workflow.set_outputs({"record": "r"})
    found = runner_outputs(path)
    assert set(found) == {"status", "summary", "record"}
    assert (found["status"], found["record"]) == ("fail", "r")
    assert found["summary"] == value.replace("\r\n", "\n")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(HOSTILE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.sampled_from(["status", "summary", "baseline"]), texts))
def test_outputs_come_back_as_they_went(tmp_path: Path, values: dict[str, str]) -> None:
    path = tmp_path / "outputs"
    path.write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_OUTPUT", str(path))
        workflow.set_outputs(values)
    assert set(runner_outputs(path)) == set(values)
    assert workflow.read_outputs(path) == values


def test_delimiters_are_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    workflow.set_outputs(dict.fromkeys("abcdef", "v"))
    workflow.set_outputs(dict.fromkeys("abcdef", "v"))
    assert len(set(re.findall(r"<<(.+)", path.read_text()))) == 12


def test_at_a_terminal_there_are_no_outputs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    workflow.set_outputs({"status": "pass"})
    workflow.add_summary("# x")
    assert capsys.readouterr() == ("", "")


# Annotations ---------------------------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=texts, remedy=texts, path=st.none() | texts, title=texts, line=st.none() | st.integers(1, 9))
def test_an_annotation_is_one_line_with_its_own_properties(
    capsys: pytest.CaptureFixture[str], message: str, remedy: str, path: str | None, title: str, line: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        workflow.annotate("error", Problem(message, remedy, path, line), title)
    written = capsys.readouterr().out
    assert written.endswith("\n")
    assert "\n" not in written[:-1]
    assert "\r" not in written
    match = re.fullmatch(r"::error ([^:]*)::(.*)\n", written, re.DOTALL)
    assert match
    properties = dict(item.split("=", 1) for item in match.group(1).split(","))
    assert set(properties) == {"title", *(["file"] if path else []), *(["line"] if line else [])}
    assert _unescaped(properties["title"]) == title
    assert _unescaped(match.group(2)) == str(Problem(message, remedy, path, line))


def _unescaped(text: str) -> str:
    for escaped, plain in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def test_at_a_terminal_a_problem_is_a_line_that_editors_follow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    workflow.annotate("error", Problem("is wrong.", "Mend it.", "modelship.yaml", 3), "modelship train")
    assert capsys.readouterr().err == "error: modelship train: modelship.yaml:3: is wrong. Mend it.\n"


def test_foreign_output_gives_no_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with workflow.group("Train: x\n::error::y"), workflow.commands_stopped():
        print("::add-mask::x")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "::group::Train: x%0A::error::y"
    stop = lines[1].removeprefix("::stop-commands::")
    assert len(stop) == 32
    assert lines[2:4] == ["::add-mask::x", f"::{stop}::"]
    assert lines[4] == "::endgroup::"


def runner_commands(written: str) -> list[str]:
    """The lines that GitHub's runner would obey: `::name` at the start of a line, `##[name` anywhere in it."""
    lines = re.split(r"\r\n|\r|\n", written)
    return [line for line in lines if line.strip().startswith("::") or "##[" in line]


@pytest.mark.parametrize(
    "forged",
    [
        "::error::b",
        "a\n::error::b",
        "a\r::error::b",
        "a\r\n \t::error::b",
        "a\n\u00a0::error::b",
        "##[error]b",
        "a ##[error]b",
        "a\n##[error]b",
    ],
)
def test_a_said_line_cannot_be_a_command(forged: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What a command says at its end quotes names from files; the runner must not obey them."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    workflow.say(forged)
    assert runner_commands(capsys.readouterr().out) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="a:#[]\r\n \t\u00a0\u2028\x1e", max_size=12))
def test_no_said_text_is_a_command(capsys: pytest.CaptureFixture[str], text: str) -> None:
    capsys.readouterr()
    workflow.say(text)
    assert runner_commands(capsys.readouterr().out) == []
