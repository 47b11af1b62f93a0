"""Targets on real servers: an S3-compatible store, and MLflow's own model server; and asking what they serve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from modelship.core.config import Smoke
from modelship.core.errors import BadInput, InfrastructureError
from modelship.deployment.smoke import SmokeResult, smoke
from modelship.deployment.targets.bucket import Bucket
from modelship.deployment.targets.target import NOTHING, Place, Release, Serving, Target, open_target
from modelship.deployment.targets.versions import KEPT, held_digest
from tests.killing import KILLS_APART, killed_after
from tests.servers import S3_KEY, S3_SECRET, free_port


@dataclass(frozen=True)
class Model:
    """A release, and the file with its examples."""

    release: Release
    examples: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Model]:
    """Versions 1 and 2, which answer differently; version 3 needs a module that is not there."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("models")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    made = {}
    for version in (1, 2, 3):
        estimator = LinearRegression().fit(rows, rows["a"] * version + rows["b"])
        path = folder / f"v{version}"
        mlflow.sklearn.save_model(
            estimator,
            path,
            signature=infer_signature(rows, estimator.predict(rows)),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
        )
        if version == 3:
            (path / "MLmodel").write_text((path / "MLmodel").read_text().replace("mlflow.sklearn", "no_such_module"))
        split = {"columns": ["a", "b"], "data": rows.head(20).to_numpy().tolist()}
        examples = folder / f"v{version}.json"
        examples.write_text(json.dumps({"dataframe_split": split, "predictions": estimator.predict(rows.head(20)).tolist()}))
        made[version] = Model(Release("flights", version, held_digest(path), path), examples)
    return made


def ask(serving: Serving, model: Model, limits: Smoke | None = None) -> SmokeResult:
    return smoke(serving, model.examples, limits or Smoke(), sys.executable, model.examples.parent)


def broken(result: SmokeResult) -> list[str]:
    return [check.check for check in result.checks if not check.holds]


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# A bucket ------------------------------------------------------------------------------------------------------------------------


@dataclass
class Store:
    """A prefix of a bucket, and another client that looks at it."""

    client: Any
    bucket: str
    target: Bucket

    def objects(self) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        return {key: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def pointer(self) -> dict[str, Any] | None:
        found = self.objects().get("models/staging/current.json")
        return json.loads(found) if found else None

    def versions(self) -> set[str]:
        return {key.split("/")[3] for key in self.objects() if key.startswith("models/staging/versions/")}


@pytest.fixture
def store(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    from botocore.session import get_session

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", S3_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S3_SECRET)
    client = get_session().create_client("s3", region_name="us-east-1")
    bucket = f"b{os.urandom(6).hex()}"
    client.create_bucket(Bucket=bucket)
    target = open_target("directory", f"s3://{bucket}/models/staging/", Place(tmp_path, "staging", "flights", sys.executable))
    assert isinstance(target, Bucket)
    return Store(client, bucket, target)


def test_a_bucket_s_pointer_moves_after_what_it_names_is_there(store: Store, models: dict[int, Model]) -> None:
    assert store.target.serving() == NOTHING
    for version in (1, 2, 1):
        release = models[version].release
        serving = store.target.serve(release)
        assert serving.folder is not None
        assert held_digest(serving.folder) == release.digest
        pointer = store.pointer()
        assert pointer is not None
        assert pointer == {
            "model": "flights",
            "environment": "staging",
            "version": version,
            "digest": release.digest,
            "path": pointer["path"],
        }
        start = f"models/staging/{pointer['path']}/"
        there = {key.removeprefix(start): body for key, body in store.objects().items() if key.startswith(start)}
        assert there == {
            path.relative_to(release.folder).as_posix(): path.read_bytes() for path in release.folder.rglob("*") if path.is_file()
        }
        assert store.target.serving() == (version, release.digest)
    assert len(store.versions()) == 2
    store.target.clear()
    store.target.clear()
    assert (store.target.serving(), store.pointer()) == (NOTHING, None)


def test_a_bucket_keeps_those_that_served_last(store: Store, models: dict[int, Model], tmp_path: Path) -> None:
    for version in range(1, KEPT + 3):
        folder = tmp_path / str(version)
        folder.mkdir()
        (folder / "MLmodel").write_text(str(version))
        store.target.serve(Release("flights", version, held_digest(folder), folder))
    assert len(store.versions()) == KEPT
    assert any(name.startswith(f"v{KEPT + 2}-") for name in store.versions())


def test_what_somebody_changed_in_a_bucket_is_not_served_again(store: Store, models: dict[int, Model]) -> None:
    release = models[1].release
    store.target.serve(release)
    (pointer,) = [store.pointer()]
    assert pointer is not None
    key = f"models/staging/{pointer['path']}/MLmodel"
    for body in (b"x" * len(store.objects()[key]), b"shorter"):
        store.put(key, body)
        serving = store.target.serve(release)
        assert serving.folder is not None
        assert held_digest(serving.folder) == release.digest
        assert store.pointer() != pointer
        assert store.target.serving() == (1, release.digest)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1}'])
def test_a_pointer_that_cannot_be_read_is_written_again(content: bytes, store: Store, models: dict[int, Model]) -> None:
    store.put("models/staging/current.json", content)
    assert store.target.serving() == NOTHING
    store.target.serve(models[1].release)
    assert store.target.serving() == (1, models[1].release.digest)


def test_what_is_uploaded_is_what_was_registered(store: Store, models: dict[int, Model]) -> None:
    store.target.serve(models[1].release)
    tampered = Release("flights", 2, models[1].release.digest, models[2].release.folder)
    with pytest.raises(InfrastructureError, match="is not what was uploaded"):
        store.target.serve(tampered)
    assert store.target.serving() == (1, models[1].release.digest)


@pytest.mark.parametrize("seed", range(1, 400, 24 * KILLS_APART))
def test_killed_while_it_uploads_it_is_whole_and_repeating_finishes(seed: int, store: Store, models: dict[int, Model]) -> None:
    first, second = models[1].release, models[2].release
    store.target.serve(first)
    killed_after(seed, lambda: store.target.serve(second))
    pointer = store.pointer()
    assert pointer is not None
    assert pointer["digest"] in (first.digest, second.digest)
    assert f"models/staging/{pointer['path']}/MLmodel" in store.objects()
    store.target.serve(second)
    assert store.target.serving() == (2, second.digest)
    assert len(store.versions()) == 2


Put = Callable[[Callable[[dict[str, str]], int]], tuple[int, str]]
"""Given how to pass a request on, with which headers beside its own, what to answer: a status and S3's code for it."""


@contextmanager
def conditional(url: str, put: Put) -> Iterator[str]:
    """A store before the one at `url` that meets a conditional request for the pointer so, and passes everything else on."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent: list[requests.Response] = []

            def forward(more: dict[str, str]) -> int:
                headers = {**dict(self.headers), **more}
                sent.append(requests.request(self.command, url + self.path, data=body, headers=headers, timeout=60))
                return sent[-1].status_code

            is_conditional = self.command == "PUT" and {"If-Match", "If-None-Match"} & set(self.headers)
            if is_conditional and self.path.endswith("/current.json"):
                status, code = put(forward)
                content = f"<Error><Code>{code}</Code><Message>told</Message></Error>".encode()
                kept: dict[str, str] = {}
            else:
                forward({})
                status, content = sent[-1].status_code, sent[-1].content
                kept = {name: value for name, value in sent[-1].headers.items() if name in ("ETag", "Last-Modified", "Content-Type")}
            self.send_response(status)
            for name, value in {**kept, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *_: object) -> None:
            pass

    with answering(Handler) as address:
        yield address


def unknown(_: Callable[[dict[str, str]], int]) -> tuple[int, str]:
    return 501, "NotImplemented"


def moved(_: Callable[[dict[str, str]], int]) -> tuple[int, str]:
    return 412, "PreconditionFailed"


def done_before(forward: Callable[[dict[str, str]], int]) -> tuple[int, str]:
    """The first answer was lost; the second request finds what the first one wrote."""
    forward({})
    return 412, "PreconditionFailed"


@pytest.mark.parametrize(("put", "serves"), [(unknown, True), (moved, False), (done_before, True)])
def test_the_pointer_is_written_unless_somebody_else_did(
    put: Put, serves: bool, s3: str, store: Store, models: dict[int, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with conditional(s3, put) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        target = open_target("directory", f"s3://{store.bucket}/models/staging", Place(tmp_path, "staging", "flights", sys.executable))
        for version in (1, 2):
            if serves:
                target.serve(models[version].release)
            else:
                with pytest.raises(InfrastructureError, match="somebody else has changed"):
                    target.serve(models[version].release)
    assert store.target.serving() == ((2, models[2].release.digest) if serves else NOTHING)


def test_a_bucket_that_is_not_there(store: Store, models: dict[int, Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, "staging", "flights", sys.executable)
    with pytest.raises(BadInput, match="there is no bucket"):
        open_target("directory", "s3://nobody-has-this/x", place).serve(models[1].release)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-0451")
    with pytest.raises(InfrastructureError, match="does not let this in") as raised:
        open_target("directory", f"s3://{store.bucket}/x", place).serving()
    assert "0451" not in str(raised.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InfrastructureError, match="did not answer"):
        open_target("directory", f"s3://{store.bucket}/x", place).serving()


# MLflow's server -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "staging", "flights", sys.executable)


@contextmanager
def served(place: Place, **settings: Any) -> Iterator[Target]:
    """The target, cleared afterwards; no server process is left then."""
    target = open_target("mlflow-serve", {"folder": "srv", "timeout": "90s", **settings}, place)
    try:
        yield target
    finally:
        target.clear()
        assert running(place) == []
        assert list((place.directory / "srv" / "servers").glob("*")) == []


def running(place: Place) -> list[str]:
    """Command lines of the processes that serve a model from this test's folder."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(place.directory) in line and "models serve" in line]


def pings(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_versions_replace_each_other_and_somebody_always_answers(place: Place, models: dict[int, Model]) -> None:
    with served(place) as target:
        assert target.serving() == NOTHING
        first = target.serve(models[1].release)
        assert ask(first, models[1], Smoke(latency_p99="20s")).passed
        assert broken(ask(first, models[2])) == ["predictions"]
        assert target.serve(models[1].release) == first
        assert len(running(place)) == 1

        silent: list[str] = []
        done = threading.Event()

        def visit() -> None:
            while not done.is_set():
                # Who is told an address that has just ended asks for the new one.
                if not any(pings(json.loads((place.directory / "srv" / "current.json").read_text())["url"]) for _ in range(2)):
                    silent.append("nobody answers")

        visitor = threading.Thread(target=visit)
        visitor.start()
        second = target.serve(models[2].release)
        done.set()
        visitor.join()
        assert silent == []
        assert second.url != first.url
        assert not pings(first.url)
        assert ask(second, models[2]).passed
        assert target.serving() == (2, models[2].release.digest)

        # A model that does not start leaves everything as it is.
        with pytest.raises(InfrastructureError, match="ended before it answered"):
            target.serve(models[3].release)
        assert target.serving() == (2, models[2].release.digest)
        assert pings(second.url)
        assert len(running(place)) == 1


def test_a_port_that_stays(place: Place, models: dict[int, Model]) -> None:
    port = free_port()
    with served(place, port=port) as target:
        assert target.serve(models[1].release) == Serving(url=f"http://127.0.0.1:{port}")
        # It is tried on another port first, and the one that serves goes on.
        with pytest.raises(InfrastructureError, match="ended before it answered"):
            target.serve(models[3].release)
        assert ask(Serving(url=f"http://127.0.0.1:{port}"), models[1]).passed
        assert ask(target.serve(models[2].release), models[2]).passed
        assert len(running(place)) == 1


def test_a_port_that_is_taken(place: Place, models: dict[int, Model]) -> None:
    with listening(lambda _: (200, b"")) as url, served(place, port=int(url.rpartition(":")[2])) as target:
        with pytest.raises(InfrastructureError, match="is taken by something else"):
            target.serve(models[1].release)
        assert target.serving() == NOTHING


@pytest.mark.parametrize(
    ("moment", "at"),
    [(4, "fork_exec"), (1, "replace"), (99, "replace")],
    ids=["the server has just started", "the pointer is not written", "the command has ended"],
)
def test_the_server_of_another_command_is_found_wherever_that_was_killed(
    moment: int, at: str, place: Place, models: dict[int, Model]
) -> None:
    with served(place) as target:
        killed_after(moment, lambda: target.serve(models[1].release), frozenset({at}))
        serving = target.serve(models[1].release)
        assert target.serving() == (1, models[1].release.digest)
        assert len(running(place)) == 1
        assert pings(serving.url)


def test_a_server_that_was_killed_is_started_again(place: Place, models: dict[int, Model]) -> None:
    with served(place) as target:
        target.serve(models[1].release)
        (pid,) = [int(path.read_text()) for path in (place.directory / "srv" / "servers").glob("*.pid")]
        os.killpg(pid, signal.SIGKILL)
        while target.serving() != NOTHING:
            time.sleep(0.05)
        assert pings(target.serve(models[1].release).url)


# What is asked -------------------------------------------------------------------------------------------------------------------

Answer = Callable[[bytes], tuple[int, bytes]]


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """A server that is ready, and answers requests for predictions so."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200 if self.path == "/base/ping" or self.path == "/ping" else 404, b"\n")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(*answer(body))

        def _send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with answering(Handler) as url:
        yield url


def well(body: bytes) -> tuple[int, bytes]:
    """As version 1 answers."""
    request = json.loads(body)
    if "dataframe_split" not in request:
        return 400, b'{"error_code": "BAD_REQUEST"}'
    return 200, json.dumps({"predictions": [a + b for a, b in request["dataframe_split"]["data"]]}).encode()


def test_any_server_that_answers_as_mlflow_does_can_be_asked(models: dict[int, Model]) -> None:
    with listening(well) as url:
        assert ask(Serving(url=f"{url}/base"), models[1]).passed
        assert broken(ask(Serving(url=url), models[2])) == ["predictions"]


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (lambda body: (200, b"null"), ["schema", "predictions", "errors"]),
        (lambda body: (200, b"<html>"), ["schema", "predictions", "errors"]),
        (lambda body: (200, b"[" * 100_000), ["schema", "predictions", "errors"]),
        (lambda body: (503, b"busy"), ["schema", "predictions", "errors"]),
        (lambda body: (302, b""), ["schema", "predictions", "errors"]),
        (lambda body: well(body) if b"split" in body else (500, b"Traceback"), ["schema"]),
        (lambda body: well(body) if b"split" in body else (200, b'{"predictions": []}'), ["schema"]),
        (lambda body: (200, b'{"predictions": [1]}'), ["schema", "predictions"]),
    ],
    ids=["null", "a page", "deep", "busy", "elsewhere", "falls over", "takes anything", "always one"],
)
def test_a_server_that_does_not_answer_so_does_not_pass(answer: Answer, wrong: list[str], models: dict[int, Model]) -> None:
    with listening(answer) as url:
        assert broken(ask(Serving(url=url), models[1])) == wrong


def test_a_server_that_falls_silent(models: dict[int, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelship.deployment.asking._GREETINGS", 1)
    assert broken(ask(Serving(url=f"http://127.0.0.1:{free_port()}"), models[1])) == ["answers"]


def test_a_folder_is_loaded_in_the_team_s_interpreter(models: dict[int, Model]) -> None:
    result = ask(Serving(folder=models[1].release.folder), models[1])
    assert result.passed
    assert result.latency_p99 is not None
    assert result.asked == 101
    assert broken(ask(Serving(folder=models[1].release.folder), models[2])) == ["predictions"]
    assert broken(ask(Serving(folder=models[3].release.folder), models[3])) == ["answers"]
    assert broken(ask(Serving(folder=models[1].examples.parent), models[1])) == ["answers"]


def test_without_examples_it_is_only_asked_whether_it_is_there(models: dict[int, Model]) -> None:
    folder = models[1].release.folder
    with listening(lambda _: (500, b"")) as url:
        for serving in (Serving(url=url), Serving(folder=folder)):
            result = smoke(serving, None, Smoke(), sys.executable, folder.parent)
            assert result.passed
            assert "has no examples" in result.notices[0]
    assert not smoke(Serving(folder=models[3].release.folder), None, Smoke(), sys.executable, folder.parent).passed
