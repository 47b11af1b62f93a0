"""`modelship retrain` acts: on a GitHub that keeps state and a real MLflow server, however often, at once, and whatever is refused."""

from __future__ import annotations

import html
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

import modelship
from modelship.commands.retrain import command
from modelship.core.errors import InfrastructureError
from modelship.core.records import Batch, Measured, MonitorRecord, Promise, RetrainRecord, encode
from modelship.core.workflow import read_outputs
from modelship.github.client import Connection, GitHub
from modelship.github.retraining import Dispatched, Order, dispatch, find_issue, keep_issue
from modelship.monitoring import questions
from modelship.monitoring.__main__ import reply
from modelship.monitoring.history import Asked
from modelship.monitoring.kept import recall, remember
from modelship.monitoring.turns import LEASE, Turns, Who
from modelship.reporting.markdown import marker
from modelship.reporting.report import Facts
from modelship.reporting.retraining import Seen, build_retrain_report
from tests.e2e.front_door import Request
from tests.e2e.git import Repository
from tests.e2e.github import BOT, STRANGER, Issue
from tests.e2e.github import GitHub as GitHubServer
from tests.e2e.workflow_runs import WorkflowRun
from tests.integration.test_comment_faults import FAULTS
from tests.proxy import proxy

REPOSITORY = "acme/flights"
GRANTED = {"actions": "write", "contents": "read", "issues": "write"}
RELEASED = datetime(2026, 8, 3, tzinfo=UTC)
WEEK = timedelta(days=7)
TRAINS = "on: {workflow_dispatch: {inputs: {reason: {}, version: {}}}}\njobs: {}\n"

_names = (f"churn-{number}" for number in itertools.count(1))


@dataclass
class Production:
    """A team whose model is watched: its repository on GitHub, its MLflow server, and its work tree."""

    server: GitHubServer
    repository: Repository
    uri: str
    folder: Path
    name: str = field(default_factory=lambda: next(_names))

    def __post_init__(self) -> None:
        client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        client.create_registered_model(self.name)
        for _ in range(2):
            run = client.create_run(client.create_experiment(f"{self.name} {uuid4()}")).info.run_id
            client.create_model_version(self.name, f"runs:/{run}/model", run)

    @property
    def file(self) -> str:
        """The training workflow of this model alone: the tests share a repository."""
        return f"{self.name}.yml"

    def configure(self, **section: object) -> None:
        section = {"workflow": self.file, "inputs": {"reason": "{reason}", "version": "of v{version}"}, **section}
        (self.folder / "modelship.yaml").write_text(json.dumps({"model": self.name, "retrain": section}))

    def has_workflow(self, text: str = TRAINS) -> None:
        self.repository.commit("main", {f".github/workflows/{self.file}": text}, "train")

    def sees(self, week: int, value: float, version: int = 1, drifted: tuple[str, ...] = ()) -> None:
        """A week after release, as `monitor` keeps it."""
        start = RELEASED + week * WEEK
        promise = Promise(metric="roc_auc", value=0.744, standard_error=0.004, better="higher", max_loss=0.02)
        record = MonitorRecord(
            status="pass",
            summary="x",
            started_at=(start + WEEK).isoformat(),
            name=self.name,
            version=version,
            trained_at=RELEASED,
            promises=(promise,),
            batch=Batch(
                start=start,
                end=start + WEEK,
                version=version,
                rows=1_200,
                labelled=1_000,
                is_complete=True,
                measured=(Measured(metric="roc_auc", value=value, standard_error=0.01, rows=1_000),),
                drift=bool(drifted),
                drifted=drifted,
            ),
        )
        path = self.folder / "seen.json"
        path.write_bytes(encode(record))
        remember(questions.Remember(tracking_uri=self.uri, name=self.name, version=version, start=start.isoformat(), record=str(path)))

    def environment(self, permissions: Mapping[str, str] = GRANTED, *, run: int = 42, attempt: int = 1) -> dict[str, str]:
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.server.url,
            "GITHUB_EVENT_NAME": "schedule",
            "GITHUB_OUTPUT": str(self.folder / "outputs.txt"),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ATTEMPT": str(attempt),
            "GITHUB_RUN_ID": str(run),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "MODELSHIP_RETRAIN_GITHUB_TOKEN": self.server.token(permissions),
        }

    def decides(
        self, weeks: int, *arguments: str, permissions: Mapping[str, str] = GRANTED, run: int = 42, attempt: int = 1
    ) -> tuple[int, str, dict[str, str]]:
        """Run the command so many weeks after release: exit code, what it said, and its outputs."""
        variables = self.environment(permissions, run=run, attempt=attempt)
        Path(variables["GITHUB_OUTPUT"]).write_text("")
        done = CliRunner().invoke(
            command,
            ["--config", str(self.folder / "modelship.yaml"), "--now", (RELEASED + weeks * WEEK).isoformat(), *arguments],
            env=variables,
            auto_envvar_prefix="MODELSHIP_RETRAIN",
        )
        return done.exit_code, done.output, read_outputs(Path(variables["GITHUB_OUTPUT"]))

    def record(self) -> RetrainRecord:
        return msgspec.json.decode((self.folder / ".modelship/retrain.json").read_bytes(), type=RetrainRecord)

    def runs(self) -> list[WorkflowRun]:
        return self.server.door.workflow_runs.dispatched(self.file)

    def issues(self) -> list[Issue]:
        return [issue for issue in self.server.issues() if issue.body.rstrip().endswith(marker(self.name, "retrain"))]

    def asked(self) -> tuple[Asked, ...]:
        return recall(questions.Recall(tracking_uri=self.uri, name=self.name)).asked

    def requests(self) -> list[Request]:
        """What was asked of GitHub, but for tokens."""
        return [request for request in self.server.door.requests if not request.path.startswith("/app/")]

    def github(self, url: str = "") -> GitHub:
        return GitHub(Connection(url or self.server.url, REPOSITORY, self.server.token(GRANTED)))


@pytest.fixture
def production(
    hosted: tuple[GitHubServer, Repository], mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Production]:
    """A team that lost: its newest week is worse than was promised. MLflow is asked in this process, which has imported it."""
    monkeypatch.setattr(questions, "ask", reply)
    found = Production(*hosted, mlflow, tmp_path)
    found.configure()
    found.has_workflow()
    found.sees(0, 0.74)
    found.sees(1, 0.66)
    found.server.door.requests.clear()
    yield found
    found.server.door.faults.clear()


def test_trouble_is_told_acted_on_once_and_ends(production: Production) -> None:
    code, said, outputs = production.decides(4)
    assert code == 0, said
    (run,) = production.runs()
    assert (run.actor, run.head_sha) == (BOT, production.repository.tip("main"))
    assert (outputs["retrain"], outputs["dispatched"], outputs["run-url"]) == ("true", "true", f"https://github.com/runs/{run.id}")
    assert run.inputs["version"] == "of v1"
    assert run.inputs["reason"].startswith("performance: roc_auc 0.744 → 0.66")
    (asked,) = production.asked()
    assert (asked.at, asked.workflow, asked.version, asked.run_url) == (RELEASED + 4 * WEEK, production.file, 1, outputs["run-url"])
    (issue,) = production.issues()
    assert (issue.state, issue.author) == ("open", BOT)
    assert issue.title == f"🟡 {production.name}: v1 does worse than it promised"
    for told in (
        "0.6600",
        "2026-08-10 to 2026-08-17",
        f"[{run.id}](https://github.com/runs/{run.id})",
        "roc_auc 0.7440, of which 0.02",
    ):
        assert told in issue.body.replace("&nbsp;", " ")
    assert "v1 does worse" in (production.folder / "summary.md").read_text()

    # While the trouble lasts nothing is started again, and the same issue tells the newest.
    production.sees(2, 0.65)
    code, said, outputs = production.decides(5)
    assert (code, outputs["retrain"], outputs["dispatched"], len(production.runs())) == (0, "false", "false", 1), said
    (later,) = production.issues()
    assert (later.number, later.state) == (issue.number, "open")
    assert "a retrain was asked for 7 days ago" in later.body
    assert "0.6500" in later.body

    # The next version does well.
    production.sees(3, 0.745, version=2)
    code, said, outputs = production.decides(6)
    assert (code, outputs["in-trouble"]) == (0, "false"), said
    (closed,) = production.issues()
    assert (closed.number, closed.state, closed.title) == (issue.number, "closed", f"🟢 {production.name}: v2 does what it should")
    production.server.door.requests.clear()
    assert production.decides(6)[0] == 0
    assert {request.method for request in production.requests()} == {"GET"}, "a closed issue is left alone"

    # And does not for ever: the issue is opened again, not another one.
    production.sees(4, 0.66, version=2)
    assert production.decides(7)[0] == 0
    (again,) = production.issues()
    assert (again.number, again.state, len(production.runs())) == (issue.number, "open", 2)


def test_two_at_once_dispatch_once_and_make_one_issue(production: Production) -> None:
    arguments = ("retrain", "--now", (RELEASED + 4 * WEEK).isoformat())
    program = str(Path(modelship.__file__).parent)
    started = []
    for number in (42, 43, 44):
        folder = production.folder / str(number)
        folder.mkdir()
        (folder / "modelship.yaml").write_bytes((production.folder / "modelship.yaml").read_bytes())
        own = {"GITHUB_OUTPUT": str(folder / "outputs.txt"), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        variables = {**os.environ, **production.environment(run=number), **own}
        started.append((folder, subprocess.Popen([sys.executable, "-I", program, *arguments], cwd=folder, env=variables)))
    assert [process.wait(300) for _, process in started] == [0, 0, 0]
    (run,) = production.runs()
    (issue,) = production.issues()
    assert issue.state == "open"
    (asked,) = production.asked()
    assert asked.run_url.endswith(f"/{run.id}")
    outputs = [read_outputs(folder / "outputs.txt") for folder, _ in started]
    assert sorted(found["dispatched"] for found in outputs) == ["false", "false", "true"]
    assert {found["issue-url"] for found in outputs} == {outputs[0]["issue-url"]}


def test_what_another_run_has_started_meanwhile_counts(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for other batches: while one run waits for its turn, another one sees a week more."""

    def overtaken(question: questions.Question) -> object:
        if isinstance(question, questions.Begin):
            monkeypatch.setattr(questions, "ask", reply)
            production.sees(2, 0.6)
            assert production.decides(4, run=43)[2]["dispatched"] == "true"
        return reply(question)

    monkeypatch.setattr(questions, "ask", overtaken)
    code, said, outputs = production.decides(4)
    assert (code, outputs["retrain"], outputs["dispatched"], len(production.runs())) == (0, "false", "false", 1), said
    assert (production.record().held_back, len(production.issues())) == ("a retrain was asked for 0 days ago", 1)


def killed(production: Production, *, dispatches: bool) -> None:
    """A run that has its turn, asks, and perhaps dispatches, and does not live to keep that it did."""
    newest = RELEASED + 2 * WEEK
    at = RELEASED + 4 * WEEK
    asked = Asked(at=at, why="performance", workflow=production.file, version=1)
    begun = reply(
        questions.Begin(
            tracking_uri=production.uri,
            name=production.name,
            version=1,
            newest=newest.isoformat(),
            asked=asked,
            known=0,
            who=Who(mark="killed", run="42"),
        )
    )
    assert begun.is_our_turn
    if dispatches:
        order = Order(production.file, {"reason": "x", "version": "1"}, datetime.fromtimestamp(begun.since, UTC))
        assert dispatch(production.github(), order).is_new


@pytest.mark.parametrize("dispatches", [True, False])
def test_a_run_that_was_killed_is_brought_to_its_end_by_its_next_attempt(production: Production, dispatches: bool) -> None:
    """Also one that has dispatched and not kept that: what GitHub shows is believed. Its turn is over at once."""
    killed(production, dispatches=dispatches)
    assert production.asked() == (), "what was not dispatched uses no cooldown up"
    code, said, outputs = production.decides(4, attempt=2)
    assert (code, outputs["dispatched"]) == (0, str(not dispatches).lower()), said
    (run,) = production.runs()
    (asked,) = production.asked()
    assert asked.run_url == outputs["run-url"] == f"https://github.com/runs/{run.id}"
    assert len(production.issues()) == 1


def test_what_others_started_before_or_for_other_reasons_is_not_taken_for_ours(production: Production) -> None:
    dispatches = f"/repos/{REPOSITORY}/actions/workflows/{production.file}/dispatches"
    production.server.call("POST", dispatches, {"ref": "main"})
    code, said, outputs = production.decides(4)
    assert (code, outputs["dispatched"], len(production.runs())) == (0, "true", 2), said
    # For the next batches: the run of before is known.
    production.sees(9, 0.6)
    code, said, outputs = production.decides(12)
    assert (code, outputs["dispatched"], len(production.runs())) == (0, "true", 3), said
    assert len({asked.run_url for asked in production.asked()}) == 2


def test_a_turn_of_somebody_who_died_runs_out(production: Production) -> None:
    def turns(later: float = 0) -> Turns:
        at = datetime.now(UTC).timestamp() + later
        return Turns(production.uri, production.name, clock=lambda: at)

    first, second = Who(mark="first", run="1"), Who(mark="second", run="2")
    assert turns().is_mine(first, 1)
    assert turns().is_mine(first, 1), "asked again"
    assert not turns().is_mine(second, 1)
    assert not turns(LEASE - 60).is_mine(second, 1)
    assert turns(LEASE + 1).is_mine(second, 1)
    assert not turns().is_mine(Who(mark="third", run="1"), 1), "the same attempt: another job of the run"
    turns().give_back(first)
    turns().give_back(first)
    assert turns().is_mine(second, 1)
    assert turns().is_mine(Who(mark="fourth", run="2", attempt=2), 1) is False, "the third still waits, of another run"
    turns().give_back(Who(mark="third", run="1"))
    assert turns().is_mine(Who(mark="fourth", run="2", attempt=2), 1), "an attempt of a run ends the one before"


# What breaks.


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_any_call_leaves_one_run_and_one_issue(production: Production, name: str) -> None:
    """Not known is whether GitHub did it: so it is looked for, and done again only where it does not show."""
    fault, is_right_pause = FAULTS[name]
    record = RetrainRecord(status="warn", summary="v1 is to be trained again.", version=1, retrain=True, in_trouble=True)

    def act(url: str, order: Order, pauses: list[float]) -> Dispatched:
        github = production.github(url)
        done = dispatch(github, order, None, pauses.append)
        kept = keep_issue(
            github, build_retrain_report(order.inputs["version"], record, Seen(), Facts()), is_open=True, sleep=pauses.append
        )
        assert kept.url
        return done

    def order(model: str) -> Order:
        known = frozenset(run.as_json()["html_url"] for run in production.runs())
        return Order(production.file, {"reason": "x", "version": model}, datetime.now(UTC), known)

    with proxy(production.server.url) as net:
        act(net.url, order(next(_names)), [])
    assert {asked.partition(" ")[0] for asked, _ in net.calls} == {"GET", "POST"}
    for place in net.calls:
        model, before, pauses = next(_names), len(production.runs()), list[float]()
        with proxy(production.server.url, {place: fault}) as net:
            assert act(net.url, order(model), pauses).is_new
        assert len(production.runs()) == before + 1, place
        ours = [issue for issue in production.server.issues() if issue.body.rstrip().endswith(marker(model, "retrain"))]
        assert [issue.state for issue in ours] == ["open"], place
        # An answer without content cannot be cut.
        may_be_whole = name in ("half of the answer", "truncated") and place[0].endswith("/dispatches")
        assert (may_be_whole and not pauses) or is_right_pause(pauses[0]), (place, pauses)


def test_silence_ends_as_an_error_and_the_turn_is_given_back(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    production.server.door.break_next("POST", r"/dispatches$", times=99)
    production.server.door.break_next("GET", r"/runs$", times=99)
    monkeypatch.setattr("modelship.github.retry.PAUSES", ())
    github = production.github()
    with pytest.raises(InfrastructureError, match="did not answer when"):
        dispatch(github, Order(production.file, {}, datetime.now(UTC)), None, lambda _: None)
    production.server.door.faults.clear()
    assert production.decides(4)[2]["dispatched"] == "true"


# What is refused.


def refused(production: Production, exit_code: int, said: tuple[str, ...], **given: Mapping[str, str]) -> None:
    """The decision cannot be acted on: that is said everywhere, and a later run tries again."""
    code, log, outputs = production.decides(4, **given)  # type: ignore[arg-type]
    assert (code, outputs["status"], outputs["retrain"], outputs["dispatched"]) == (exit_code, "error", "true", "false"), log
    (issue,) = production.issues()
    assert (issue.state, issue.title) == ("open", f"🔴 {production.name}: v1 could not be trained again")
    shown = html.unescape(issue.body).replace("<code>", "").replace("</code>", "")
    for text in said:
        assert text in log
        assert text.replace("`", "") in shown
    assert production.record().problems
    assert production.runs() == []
    assert production.asked() == (), "it does not eat the cooldown"


def test_a_dispatch_that_is_not_permitted(production: Production) -> None:
    refused(production, 2, ("403", "`permissions: {actions: write}`"), permissions={"contents": "read", "issues": "write"})
    code, said, outputs = production.decides(4)
    assert (code, outputs["dispatched"], len(production.runs())) == (0, "true", 1), said
    (issue,) = production.issues()
    assert issue.title.startswith("🟡")


def test_a_right_to_read_runs_is_none_to_start_one(production: Production) -> None:
    granted = {"actions": "read", "contents": "read", "issues": "write"}
    refused(production, 2, ("403", "`permissions: {actions: write}`"), permissions=granted)


def test_a_workflow_that_is_not_there(production: Production) -> None:
    production.repository.commit("main", {f".github/workflows/{production.file}": None}, "no training")
    refused(production, 2, ("404", "`retrain.workflow`"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on: push\njobs: {}\n", "Workflow does not have 'workflow_dispatch' trigger"),
        ("on: {workflow_dispatch: {inputs: {reason: {}}}}\njobs: {}\n", 'Unexpected inputs provided: ["version"]'),
        (
            "on: {workflow_dispatch: {inputs: {reason: {}, version: {}, size: {required: true}}}}\njobs: {}\n",
            "Required input 'size' not provided",
        ),
    ],
)
def test_a_workflow_that_cannot_be_dispatched_so(production: Production, text: str, said: str) -> None:
    production.has_workflow(text)
    refused(production, 2, ("422", said, "`workflow_dispatch:`"))
    production.has_workflow()
    assert production.decides(4)[2]["dispatched"] == "true"


def test_an_issue_that_is_refused_changes_nothing_else(production: Production) -> None:
    code, said, outputs = production.decides(4, permissions={"actions": "write", "contents": "read"})
    assert (code, outputs["dispatched"], outputs["issue-url"], production.issues()) == (0, "true", "", []), said
    assert "`permissions: {issues: write}`" in said


# What is not done.


def test_a_dry_run_does_nothing(production: Production) -> None:
    code, said, outputs = production.decides(4, "--dry-run", "true")
    assert (code, outputs["retrain"], outputs["dispatched"]) == (0, "true", "false"), said
    assert (production.runs(), production.issues(), production.asked()) == ([], [], ())
    assert production.requests() == []


def test_without_a_token_nothing_is_dispatched_and_nothing_used_up(production: Production) -> None:
    code, said, outputs = production.decides(4, "--github-token", "")
    assert (code, outputs["retrain"], production.runs(), production.asked()) == (0, "true", [], ()), said
    assert "there is no `github-token`" in said


def test_no_issue_where_none_is_wanted(production: Production) -> None:
    production.configure(issue=False)
    assert production.decides(4)[2]["dispatched"] == "true"
    assert production.issues() == []


def test_without_a_workflow_the_issue_tells_and_the_team_starts_it(production: Production) -> None:
    production.configure(workflow=None, inputs={})
    code, said, outputs = production.decides(4)
    assert (code, outputs["retrain"], outputs["dispatched"]) == (0, "true", "false"), said
    (issue,) = production.issues()
    assert issue.state == "open"
    (asked,) = production.asked()
    assert (asked.workflow, asked.at) == ("", RELEASED + 4 * WEEK)


def test_age_alone_opens_no_issue(production: Production) -> None:
    production.configure(performance=False, drift=0, **{"max-age": "7d"})
    code, said, outputs = production.decides(4)
    assert (code, outputs["dispatched"], outputs["in-trouble"], production.issues()) == (0, "true", "false", []), said


# What others write.


def test_text_from_data_stays_text_and_only_our_own_issue_is_ours(production: Production) -> None:
    mark = marker(production.name, "retrain")
    production.server.call("POST", f"/repos/{REPOSITORY}/issues", {"title": "mine", "body": f"x\n\n{mark}"}, STRANGER)
    evil = f"{mark}\n@mona ![x](https://evil.example/x) | </details>"
    production.sees(2, 0.6, drifted=(evil,))
    production.sees(3, 0.6, drifted=(evil,))
    code, said, _ = production.decides(5)
    assert code == 0, said
    strangers, ours = production.issues()
    assert (strangers.author, strangers.title, ours.author) == (STRANGER, "mine", BOT)
    assert ours.body.count(mark) == 1
    assert ours.body.rstrip().endswith(mark)
    for raw in ("@mona", "![x]", "https://evil"):
        assert raw not in ours.body
    (run,) = production.runs()
    assert "\n" not in run.inputs["reason"]


def test_a_pull_request_is_no_issue(production: Production, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub lists them as issues; the emulator does not."""
    github = production.github()
    one = {"number": 1, "user": {"login": BOT}, "title": "t", "body": f"x\n{marker('m', 'retrain')}", "state": "open"}

    def listed(*_: object) -> Any:
        return {}, [{**one, "pull_request": {}}, {**one, "number": 2}]

    monkeypatch.setattr(github, "_ask", listed)
    found = find_issue(github, "m", BOT)
    assert found
    assert found.number == 2
