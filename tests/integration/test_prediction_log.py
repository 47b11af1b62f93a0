"""MLflow's scoring server with a prediction log, killed in the middle of traffic."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from modelship.data.tables.opening import open_table
from modelship.monitoring import prediction_log
from tests.servers import free_port


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two features, which answers with one number for each row."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    estimator = LinearRegression().fit(rows, rows["a"] + 2 * rows["b"])
    path = tmp_path_factory.mktemp("model") / "model"
    mlflow.sklearn.save_model(
        estimator, path, signature=infer_signature(rows, estimator.predict(rows)), serialization_format="cloudpickle"
    )
    return path


@contextmanager
def serving(folder: Path, model: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a server with a log in `folder`/predictions, and its process, which leads a group that is killed at the end."""
    shutil.copy(prediction_log.__file__, folder / "prediction_log.py")
    port = free_port()
    settings = {
        "MLFLOW_MODEL_URI": str(model),
        "PREDICTION_LOG": "predictions",
        "PREDICTION_LOG_MODEL": "sums",
        "PREDICTION_LOG_VERSION": "3",
        "PREDICTION_LOG_KEY": "id",
    }
    arguments = ["--factory", "prediction_log:mlflow_app", "--port", str(port), "--workers", str(workers), "--app-dir", "."]
    with (folder / "server.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *arguments],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not _is_up(url):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.1)
        yield url, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/ping", timeout=5).ok
    except requests.ConnectionError:
        return False


def ask(url: str, keys: list[str]) -> requests.Response:
    data: list[Any] = [[key, float(place), 0.5] for place, key in enumerate(keys)]
    return requests.post(f"{url}/invocations", json={"dataframe_split": {"columns": ["id", "a", "b"], "data": data}}, timeout=30)


def test_every_answered_request_is_in_the_log_when_the_server_is_killed(tmp_path: Path, model: Path) -> None:
    answered: list[dict[str, float]] = []
    with serving(tmp_path, model, workers=2) as (url, process):

        def call(caller: int) -> None:
            for number in range(10_000):
                keys = [f"{caller}-{number}-{row}" for row in range(3)]
                try:
                    response = ask(url, keys)
                except requests.RequestException:
                    return
                assert response.status_code == 200
                answered.append(dict(zip(keys, response.json()["predictions"], strict=True)))

        callers = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for caller in callers:
            caller.start()
        while len(answered) < 60:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        for caller in callers:
            caller.join()
    told = {key: value for request in answered for key, value in request.items()}
    frame = open_table("predictions", tmp_path).read().set_index("id")
    assert frame.index.is_unique
    assert frame.loc[list(told), "prediction"].to_dict() == told
    assert set(frame["version"]) == {3}
    assert set(frame.columns) == {"predicted-at", "model", "version", "prediction", "a", "b"}
    # The next server closes what the dead one left, and goes on beside it.
    with serving(tmp_path, model, workers=1) as (url, _):
        assert ask(url, ["next"]).status_code == 200
        files = list((tmp_path / "predictions").iterdir())
        assert [path for path in files if path.suffix == ".open"] == [path for path in files if b'"next"' in path.read_bytes()]
    assert set(open_table("predictions", tmp_path).read()["id"]) >= {*told, "next"}


def test_what_is_no_answer_is_not_logged_and_what_cannot_be_logged_is_not_answered(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path, model, workers=1) as (url, process):
        assert (
            requests.post(f"{url}/invocations", data="{", headers={"content-type": "application/json"}, timeout=30).status_code == 400
        )
        records: dict[str, Any] = {"dataframe_records": [{"id": "r", "a": 1.0, "b": 2.0}]}
        assert requests.post(f"{url}/invocations", json=records, timeout=30).status_code == 200
        assert requests.post(f"{url}/invocations", data="id,a,b\nc,1,2\n", headers={"content-type": "text/csv"}, timeout=30).ok
        os.killpg(process.pid, signal.SIGTERM)  # A server that ends as it should closes its file.
        process.wait(60)
    (file,) = (tmp_path / "predictions").iterdir()
    assert file.suffix == ".jsonl"
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == ["r", "c"]
    with serving(tmp_path, model, workers=1) as (url, _):
        shutil.rmtree(tmp_path / "predictions")
        refused = ask(url, ["lost"])
        assert (refused.status_code, "could not be logged" in refused.text) == (503, True)
        (tmp_path / "predictions").mkdir()
        assert ask(url, ["kept"]).status_code == 200
    assert list(open_table("predictions", tmp_path).read()["id"]) == ["kept"]
