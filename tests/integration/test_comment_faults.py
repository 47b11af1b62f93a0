"""Whatever breaks between us and GitHub, and whoever else writes: one comment, one check run, the right verdict, the newest commit."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelship.core.errors import InfrastructureError
from modelship.github.client import Connection, GitHub
from modelship.github.publish import Destination, publish
from modelship.github.retry import PATIENCE
from modelship.reporting.markdown import marker
from tests import proxy as network
from tests.commenting import GRANTED, REPOSITORY, Team, report_on
from tests.proxy import Call, Fault, Place, proxy
from tests.unit.test_reporting_scenarios import bad, good

_models = (f"model-{number}" for number in itertools.count(1))


def refusal(status: int, message: str, **headers: str) -> Fault:
    """GitHub does nothing, and says when it would."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    return lambda call: call.answer(status, f'{{"message": "{message}"}}'.encode(), sent)


def used_up(call: Call) -> None:
    """Nothing remains of the hour's requests. The date that comes with it is the proxy's."""
    reset = str(int(time.time()) + 40)
    refusal(403, "API rate limit exceeded for installation.", x_ratelimit_remaining="0", x_ratelimit_reset=reset)(call)


SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
FAULTS: dict[str, tuple[Fault, Callable[[float], bool]]] = {
    "502 before the work": (network.lost_request, lambda pause: pause == 2),
    "502 after the work": (network.lost_answer, lambda pause: pause == 2),
    "connection reset": (network.reset, lambda pause: pause == 2),
    "truncated": (network.truncated, lambda pause: pause == 2),
    "half of the answer": (network.garbled, lambda pause: pause == 2),
    "an empty answer": (network.empty, lambda pause: pause == 2),
    "429 with Retry-After": (refusal(429, "Too many requests", retry_after="7"), lambda pause: pause == 7),
    "429 without Retry-After": (refusal(429, "Too many requests"), lambda pause: pause == 60),
    "secondary limit": (refusal(403, SECONDARY), lambda pause: pause == 60),
    "secondary limit with Retry-After": (refusal(403, SECONDARY, retry_after="90"), lambda pause: pause == 90),
    "rate limit": (used_up, lambda pause: 35 <= pause <= 45),
}


@pytest.fixture
def calls(team: Team) -> dict[str, list[Place]]:
    """What a publication asks of GitHub, the first time and when comment and check are there."""
    found = {}
    for name in ("first", "again"):
        with proxy(team.server.url) as net:
            team.publish(good(), model="clean", through=net.url)
        found[name] = net.calls
    assert {asked.partition(" ")[0] for asked, _ in found["first"]} == {"GET", "POST"}
    assert {asked.partition(" ")[0] for asked, _ in found["again"]} == {"GET", "PATCH"}
    return found


def marked(team: Team, model: str) -> list[str]:
    return [comment.body for comment in team.comments() if marker(model) in comment.body]


def checks(team: Team, model: str, sha: str | None = None) -> list[str | None]:
    return [run.conclusion for run in team.server.check_runs(sha or team.head) if run.name == f"modelship: {model}"]


@pytest.mark.parametrize("turn", ["first", "again"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_at_any_call_leaves_one_comment_and_one_check(
    team: Team, calls: Mapping[str, list[Place]], turn: str, name: str
) -> None:
    fault, is_right_pause = FAULTS[name]
    for place in calls[turn]:
        model = next(_models)
        if turn == "again":
            team.publish(good(), model=model)
        with proxy(team.server.url, {place: fault}) as net:
            published, pauses = team.publish(bad(), model=model, through=net.url)
        assert len(marked(team, model)) == 1, place
        assert f"🔴 {model}: roc_auc fell" in marked(team, model)[0], place
        assert checks(team, model) == ["failure"], place
        assert published.comment_url, place
        assert published.check_run_url, place
        assert published.warning is None, place
        assert len(pauses) == 1, place
        assert is_right_pause(pauses[0]), (place, pauses)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_silence_is_an_answer_that_may_have_been_lost(team: Team, calls: Mapping[str, list[Place]], method: str) -> None:
    for place in calls["first"] if method == "POST" else calls["first"][:1]:
        if place[0].startswith(method):
            model = next(_models)
            with proxy(team.server.url, {place: network.silence}) as net:
                _, pauses = team.publish(good(), model=model, through=net.url, timeout=3)
            assert (len(marked(team, model)), checks(team, model), pauses[:1]) == (1, ["success"], [2.0])


@pytest.mark.parametrize("name", ["429 without Retry-After", "rate limit", "502 before the work"])
def test_waiting_has_an_end(team: Team, calls: Mapping[str, list[Place]], name: str) -> None:
    """What never ends is an infrastructure error after some minutes at most, and what can be written is."""
    asked = next(asked for asked, _ in calls["first"] if asked.endswith("/comments"))
    model = next(_models)
    pauses: list[float] = []
    with proxy(team.server.url, dict.fromkeys(((asked, number) for number in range(99)), FAULTS[name][0])) as net:
        github = GitHub(Connection(net.url, REPOSITORY, team.server.token(GRANTED)))
        with pytest.raises(InfrastructureError, match="GitHub did not answer when the comment"):
            publish(report_on(bad(), team.head, model), github, Destination(team.head, team.pull.number), pauses.append)
    assert 0 < sum(pauses) <= PATIENCE
    assert checks(team, model) == ["failure"]
    assert marked(team, model) == []


def test_a_limit_that_ends_too_late_is_not_waited_for(team: Team) -> None:
    hour = refusal(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset=str(int(time.time()) + 3600))
    path = f"GET /repos/{REPOSITORY}/pulls/{team.pull.number}"
    with proxy(team.server.url, {(path, 0): hour}) as net, pytest.raises(InfrastructureError, match="rate limit"):
        team.publish(bad(), through=net.url)


def test_a_403_that_is_no_limit_is_a_refusal(team: Team) -> None:
    path = f"POST /repos/{REPOSITORY}/issues/{team.pull.number}/comments"
    fault = refusal(403, "Resource not accessible by integration", x_ratelimit_remaining="4999")
    with proxy(team.server.url, {(path, 0): fault}) as net:
        published, pauses = team.publish(bad(), through=net.url)
    assert pauses == []
    assert published.warning is not None
    assert "403" in published.warning.message
    assert [run.conclusion for run in team.our_checks()] == ["failure"]


@pytest.mark.parametrize(("status", "message"), [(401, "Bad credentials"), (403, "x"), (404, "Not Found"), (410, "x"), (422, "x")])
@pytest.mark.parametrize("turn", ["first", "again"])
def test_a_refusal_of_any_call_stops_nothing_else(
    team: Team, calls: Mapping[str, list[Place]], turn: str, status: int, message: str
) -> None:
    """Each refusal is one warning; what does not depend on it is done, and no verdict changes."""
    for place in calls[turn]:
        model = next(_models)
        if turn == "again":
            team.publish(bad(), model=model)
        for_the_check = "check-runs" in place[0]
        with proxy(team.server.url, {place: refusal(status, message)}) as net:
            published, pauses = team.publish(bad(), model=model, through=net.url)
        assert pauses == []
        if (place[0], status) == ("GET /user", 403):
            assert published.warning is None, "a token of an app does not tell its name"
            continue
        assert published.warning is not None, place
        assert str(status) in published.warning.message
        assert len(checks(team, model)) == 1 or for_the_check, place
        assert len(marked(team, model)) == 1 or not for_the_check, place


def meanwhile(action: Callable[[], object], *, before: bool) -> Fault:
    """Somebody else does `action` right before or after the server does what was asked."""

    def fault(call: Call) -> None:
        if before:
            action()
        answer = call.forward()
        if not before:
            action()
        call.answer(answer.status_code, answer.content, answer.headers)

    return fault


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("turn", ["first", "again"])
def test_a_push_and_a_newer_run_at_any_moment(team: Team, calls: Mapping[str, list[Place]], turn: str, before: bool) -> None:
    """The older run is held at one call; the newer one starts and ends meanwhile."""
    for place in calls[turn]:
        model, old = next(_models), team.head
        if turn == "again":
            team.publish(bad(), model=model)

        def newer(model: str = model) -> None:
            team.push()
            team.publish(good(), model=model)

        with proxy(team.server.url, {_moved(place, old): meanwhile(newer, before=before)}) as net:
            team.publish(bad(), model=model, head=old, through=net.url)
        bodies = marked(team, model)
        assert len(bodies) == 1, place
        assert f"🟢 {model}" in bodies[0], place
        assert team.head[:7] in bodies[0], place
        assert checks(team, model) == ["success"]
        assert checks(team, model, old) in (["failure"], [])


def _moved(place: Place, head: str) -> Place:
    """The same call for another commit."""
    parts = place[0].split("/")
    return "/".join(head if len(part) == 40 else part for part in parts), place[1]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_twin_at_any_moment_leaves_one_comment(team: Team, calls: Mapping[str, list[Place]], before: bool) -> None:
    """Two runs on the same commit, neither of which finds a comment when it begins."""
    for place in calls["first"]:
        model = next(_models)

        def twin(model: str = model) -> None:
            team.publish(good(), model=model)

        with proxy(team.server.url, {place: meanwhile(twin, before=before)}) as net:
            team.publish(good(), model=model, through=net.url)
        assert len(marked(team, model)) == 1, place
        assert set(checks(team, model)) == {"success"}, place


def test_a_comment_that_somebody_deletes_is_written_again(team: Team, calls: Mapping[str, list[Place]]) -> None:
    model = next(_models)
    team.publish(good(), model=model)
    place = next(place for place in calls["again"] if place[0].startswith("PATCH") and "/comments/" in place[0])

    def delete() -> None:
        gone = next(comment.id for comment in team.comments() if marker(model) in comment.body)
        team.server.call("DELETE", f"/repos/{REPOSITORY}/issues/comments/{gone}")

    with proxy(team.server.url, {place: meanwhile(delete, before=True)}) as net:
        published, _ = team.publish(bad(), model=model, through=net.url)
    assert published.warning is None
    assert ["🔴" in body for body in marked(team, model)] == [True]


@pytest.mark.parametrize("attempt", range(3))
def test_twenty_at_once_leave_one_comment_on_the_newest_commit(team: Team, attempt: int) -> None:
    model, old = f"crowd-{attempt}", team.head
    start, pushed = threading.Barrier(20), threading.Event()
    new: list[str] = []

    def push() -> None:
        new.append(team.push())
        pushed.set()

    def write(number: int) -> None:
        start.wait()
        if number == 0:
            push()
        if number < 10:
            team.publish(bad(), model=model, head=old)
        else:
            pushed.wait()
            team.publish(good(), model=model, head=new[0])

    with ThreadPoolExecutor(20) as crowd:
        list(crowd.map(write, range(20)))
    bodies = marked(team, model)
    assert len(bodies) == 1
    assert f"🟢 {model}" in bodies[0]
    assert new[0][:7] in bodies[0]
    assert set(checks(team, model)) == {"success"}
    assert set(checks(team, model, old)) <= {"failure"}
