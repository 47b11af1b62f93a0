"""The ledger of deployments on a real MLflow server: at once, in order, through lost answers, followed by the aliases."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
import requests
from mlflow import MlflowClient

from modelship.core.errors import BadInput, InfrastructureError
from modelship.deployment import log as log_module
from modelship.deployment.ledger import Action, Entry, Refusal
from modelship.deployment.log import Appended, Log
from tests.servers import free_port

CREATE = "/api/2.0/mlflow/model-versions/create"
SEARCH = "/api/2.0/mlflow/model-versions/search"


class Model:
    """A registered model of a name that no other test uses."""

    def __init__(self, url: str, versions: int) -> None:
        self.client = MlflowClient(url)
        self.name = f"model-{uuid.uuid4().hex[:8]}"
        run = self.client.create_run(self.client.create_experiment(self.name)).info.run_id
        self.client.create_registered_model(self.name)
        for _ in range(versions):
            self.client.create_model_version(self.name, f"runs:/{run}/model", run_id=run, await_creation_for=0)

    @property
    def aliases(self) -> dict[str, str]:
        return dict(self.client.get_registered_model(self.name).aliases)

    @property
    def entries(self) -> list[str]:
        """The numbers of all versions of the ledger."""
        return [version.version for version in self.client.search_model_versions(f"name = '{self.name}.deployments'")]


@pytest.fixture
def model(mlflow: str) -> Model:
    return Model(mlflow, versions=3)


@pytest.fixture
def log(mlflow: str, model: Model) -> Log:
    return Log(mlflow, model.name)


def beginning(version: int, key: str, **more: object) -> Entry:
    fields = {"environment": "staging", "action": Action.DEPLOY, "version": version, "key": key, "expects": 0, "lease": 600, **more}
    return Entry(**fields)  # type: ignore[arg-type]


def begin(log: Log, version: int, key: str, **more: object) -> Appended:
    return log.append(beginning(version, key, expects=log.state().environment("staging").newest, **more))


def deploy(log: Log, version: int) -> None:
    begun = begin(log, version, f"run {uuid.uuid4().hex}").entry
    assert begun is not None
    assert log.append(begun.ended(Action.GOOD)).entry is not None


# Entries -----------------------------------------------------------------------------------------------------------------------------


def test_reading_writes_nothing(log: Log, model: Model) -> None:
    assert log.read() == ()
    assert log.reconcile().environments == {}
    assert model.client.search_registered_models(f"name = '{model.name}.deployments'") == []


def test_an_entry_comes_back_as_it_was_written(log: Log, model: Model) -> None:
    written = beginning(
        2, "o/r run 7 deploy", digest="sha256:ab", after="", replaces=0, actor="ann", reason="a new one", url="https://ci/7"
    )
    appended = log.append(written)
    (read,) = log.read()
    assert appended.entry == read
    assert msgspec.structs.replace(read, number=0, at=0) == written
    assert (read.number, abs(read.at / 1000 - time.time()) < 3600) == (1, True)
    version = model.client.get_model_version(f"{model.name}.deployments", "1")
    assert version.source == f"models:/{model.name}/2"
    assert version.description == "The deployment of v2 to staging began."


def test_text_of_strangers_is_one_short_line(log: Log) -> None:
    begin(log, 1, "a", actor="x" * 5000, reason="a\n\n# b\u202e\x00" + "y" * 90_000)
    (entry,) = log.read()
    assert (len(entry.actor), len(entry.reason)) == (200, 600)
    assert entry.reason.startswith("a # b")


def test_many_entries_are_read_in_order(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (1, 2, 3):
        deploy(log, version)
    monkeypatch.setattr(log_module, "_PAGE", 2)
    assert [entry.number for entry in log.read()] == [1, 2, 3, 4, 5, 6]


def test_what_could_not_count_is_not_written(log: Log, model: Model) -> None:
    begin(log, 1, "a")
    assert begin(log, 2, "b").refusal is Refusal.BUSY
    assert log.append(beginning(2, "b")).refusal is Refusal.STALE
    assert model.entries == ["1"]


def test_the_server_settles_what_an_author_could_not_see(log: Log, model: Model, mlflow: str) -> None:
    """By the clock of this author the lease is over, by the server's it is not."""
    begin(log, 1, "a")
    hasty = Log(mlflow, model.name, clock=lambda: time.time() + 10_000)
    assert begin(hasty, 2, "b") == Appended(log.state(), None, Refusal.BUSY)
    assert log.state().refused == {2: Refusal.BUSY}
    in_progress = log.state().environment("staging").in_progress
    assert in_progress is not None
    assert in_progress.key == "a"


def test_a_lease_that_is_over_is_taken_over(log: Log) -> None:
    begin(log, 1, "a", lease=1)
    time.sleep(1.1)
    assert begin(log, 2, "b").entry is not None


def test_a_version_that_is_not_registered_is_not_deployed(log: Log, model: Model) -> None:
    with pytest.raises(BadInput, match="has no version 99"):
        begin(log, 99, "a")
    assert log.read() == ()


def test_versions_that_others_register_under_the_name_are_no_entries(log: Log, model: Model) -> None:
    deploy(log, 1)
    model.client.create_model_version(log.name, f"models:/{model.name}/1", tags={"team": "ours"}, await_creation_for=0)
    deploy(log, 2)
    assert [entry.number for entry in log.read()] == [1, 2, 4, 5]
    model.client.delete_model_version(log.name, "3")
    assert log.reconcile().aliases() == {"staging": 2}


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("modelship.ledger", "2", "another version of Modelship"),
        ("modelship.action", "explode", "is no entry"),
        ("modelship.version", "-1", "is no entry"),
        ("modelship.lease", "0", "is no entry"),
        ("modelship.color", "blue", "is no entry"),
    ],
)
def test_an_entry_that_somebody_edited_stops_everything(log: Log, model: Model, tag: str, value: str, said: str) -> None:
    begin(log, 1, "a")
    model.client.set_model_version_tag(log.name, "1", tag, value)
    for ask in (log.read, log.reconcile, lambda: log.append(beginning(2, "b"))):
        with pytest.raises(BadInput, match=said):
            ask()


def test_an_entry_that_somebody_deleted_stops_everything(log: Log, model: Model) -> None:
    deploy(log, 1)
    model.client.delete_model_version(log.name, "1")
    with pytest.raises(BadInput, match="builds on entry 1, which is gone"):
        log.reconcile()


# Aliases -----------------------------------------------------------------------------------------------------------------------------


def test_aliases_follow_the_ledger(log: Log, model: Model) -> None:
    deploy(log, 1)
    begun = log.append(beginning(2, "p", environment="production", replaces=0)).entry
    assert begun is not None
    log.append(begun.ended(Action.GOOD))
    model.client.set_registered_model_alias(model.name, "champion", "3")
    model.client.set_registered_model_alias(model.name, "favourite", "3")

    state = log.reconcile()

    assert model.aliases == {"staging": "1", "production": "2", "champion": "2", "favourite": "3"}
    assert state == log.state()


def test_a_champion_from_before_the_ledger_stays(log: Log, model: Model) -> None:
    model.client.set_registered_model_alias(model.name, "champion", "3")
    deploy(log, 1)
    log.reconcile()
    assert model.aliases == {"staging": "1", "champion": "3"}


def test_an_alias_of_a_deleted_version_hinders_nobody(log: Log, model: Model) -> None:
    deploy(log, 1)
    log.reconcile()
    model.client.delete_model_version(model.name, "1")
    log.reconcile()
    assert model.aliases == {}
    deploy(log, 2)
    log.reconcile()
    assert model.aliases == {"staging": "2"}


# A bad network -----------------------------------------------------------------------------------------------------------------------

Fault = Callable[[Callable[[], requests.Response]], requests.Response | int]
"""Given how to pass a request on, what to answer: the server's answer, or a status."""


@contextmanager
def network(url: str, path: str, *faults: Fault) -> Iterator[str]:
    """A proxy before `url` that meets the first requests for `path` with `faults`, one each."""
    left = list(faults)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def forward() -> requests.Response:
                return requests.request(
                    self.command, url + self.path, data=body, headers={"Content-Type": "application/json"}, timeout=60
                )

            with lock:
                fault = left.pop(0) if left and self.path.startswith(path) else None
            answer = fault(forward) if fault else forward()
            status, content = (answer, b"") if isinstance(answer, int) else (answer.status_code, answer.content)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        assert left == [], "a fault that was not met"


def lost_request(_: Callable[[], requests.Response]) -> int:
    return 502


def lost_answer(forward: Callable[[], requests.Response]) -> int:
    forward()
    return 502


def sent_twice(forward: Callable[[], requests.Response]) -> requests.Response:
    forward()
    return forward()


@pytest.mark.parametrize(
    ("path", "fault", "refused"),
    [(CREATE, lost_request, 0), (CREATE, lost_answer, 0), (CREATE, sent_twice, 2), (SEARCH, lost_request, 0)],
    ids=["request lost", "answer lost", "sent twice", "not read"],
)
def test_an_entry_counts_once(model: Model, mlflow: str, path: str, fault: Fault, refused: int) -> None:
    with network(mlflow, path, fault) as url:
        begun = Log(url, model.name, sleep=lambda _: None).append(beginning(1, "a")).entry
    assert begun is not None
    with network(mlflow, path, fault) as url:
        log = Log(url, model.name, sleep=lambda _: None)
        ended = log.append(begun.ended(Action.GOOD)).entry
        assert log.append(begun.ended(Action.GOOD)).entry == ended, "asked again, it says the same"
        entries, state = log.read(), log.state()
    counted = [entry for entry in entries if entry.number not in state.refused]
    assert counted == [begun, ended]
    assert [entry.action for entry in counted] == [Action.DEPLOY, Action.GOOD]
    assert len(state.refused) == refused


def test_a_request_that_arrives_long_after_it_was_given_up_does_not_count(model: Model, mlflow: str) -> None:
    held: list[Callable[[], requests.Response]] = []

    def hold(forward: Callable[[], requests.Response]) -> int:
        held.append(forward)
        return 504

    with network(mlflow, CREATE, hold) as url:
        log = Log(url, model.name, sleep=lambda _: None)
        begun = begin(log, 1, "a").entry
        assert begun is not None
        log.append(begun.ended(Action.GOOD))
        before = log.state()
        assert held[0]().status_code == 200
        after = log.state()
    assert model.entries == ["3", "2", "1"]
    assert (after.environments, after.refused) == (before.environments, {3: Refusal.DONE})


def test_an_empty_answer_is_not_an_empty_ledger(model: Model, mlflow: str, log: Log) -> None:
    """A gateway that answers for the server makes an author blind; what it writes then does not count."""
    begin(log, 1, "a")
    with network(mlflow, SEARCH, lambda _: 200, lambda _: 200) as url:
        appended = begin(Log(url, model.name), 2, "b")
    assert appended.refusal is Refusal.STALE
    assert log.state().refused == {2: Refusal.STALE}


def test_a_server_that_is_down_is_asked_a_few_times_and_no_password_shows(capsys: pytest.CaptureFixture[str]) -> None:
    pauses: list[float] = []
    log = Log(f"http://user:pa55word@127.0.0.1:{free_port()}", "m", sleep=pauses.append)
    for ask in (log.read, log.reconcile, lambda: log.append(beginning(1, "a"))):
        pauses.clear()
        with pytest.raises(InfrastructureError, match=r"127\.0\.0\.1 did not answer") as raised:
            ask()
        assert len(pauses) == 5
        assert sum(pauses) < 16
        assert "pa55word" not in str(raised.value)
    shown = capsys.readouterr()
    assert "asking again" in shown.out
    assert "pa55word" not in shown.out + shown.err


# Many at once ------------------------------------------------------------------------------------------------------------------------

PROMOTERS = 20
ROUNDS = int(os.environ.get("MODELSHIP_TEST_ROUNDS", "2"))


def promote(log: Log, version: int, qualities: dict[int, int], killed_after: Action | None) -> None:
    """What a release does: judge against the champion, deploy, and begin again when another came between."""
    while True:
        state = log.reconcile()
        champion = state.champion_version()
        if champion and qualities[champion] >= qualities[version]:
            return
        expects = state.environment("production").newest
        draft = beginning(version, f"run {version}", environment="production", expects=expects, lease=2, replaces=champion)
        begun = log.append(draft).entry
        if begun is None:
            time.sleep(0.2)
            continue
        if killed_after is Action.DEPLOY:
            return
        ended = log.append(begun.ended(Action.GOOD)).entry
        if ended and killed_after is Action.GOOD:
            return
        log.reconcile()
        if ended:
            return


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_best_of_many_at_once_ends_up_champion(mlflow_on_postgres: str, seed: int) -> None:
    mlflow, chance = mlflow_on_postgres, random.Random(seed)
    model = Model(mlflow, versions=PROMOTERS)
    qualities = dict(enumerate(chance.sample(range(1000), PROMOTERS), start=1))
    killed = dict(zip(chance.sample(sorted(qualities), 4), [Action.DEPLOY, Action.DEPLOY, Action.GOOD, Action.GOOD], strict=True))
    with ThreadPoolExecutor(PROMOTERS) as pool:
        started = [
            pool.submit(promote, Log(mlflow, model.name), version, qualities, killed.get(version)) for version in sorted(qualities)
        ]
    for promoter in started:
        promoter.result()

    log = Log(mlflow, model.name)
    best = max((version for version in qualities if killed.get(version) is not Action.DEPLOY), key=qualities.__getitem__)
    entries, state = log.read(), log.reconcile() if best in killed else log.state()
    assert model.aliases == {"champion": str(best), "production": str(best)}
    good = [entry for entry in entries if entry.number not in state.refused and entry.action is Action.GOOD]
    champions = [qualities[entry.version] for entry in good]
    assert champions == sorted(set(champions)), "a worse one followed, or one came twice"
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
