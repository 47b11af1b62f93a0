"""The prediction log: what is written is there, whole, whoever dies and however many write."""

from __future__ import annotations

import ast
import errno
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.tables.opening import open_table
from modelship.monitoring import prediction_log
from modelship.monitoring.prediction_log import PredictionLog, answers_in, close_orphans, rows_in
from tests.killing import KILLS_APART, every_moment, killed_after

MODULE = Path(prediction_log.__file__)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def open_log(folder: Path, **options: Any) -> PredictionLog:
    return PredictionLog(folder, model="flight-delay", version=7, key="id", **options)


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Every row in the folder; each line is whole."""
    for path in sorted(folder.iterdir()):
        for line in path.read_text().splitlines():
            yield json.loads(line)


def names(folder: Path) -> Sequence[str]:
    return sorted("".join(path.suffixes[-2:]) if path.name.endswith(".open") else path.suffix for path in folder.iterdir())


def test_a_row_holds_what_the_service_saw_and_said(folder: Path) -> None:
    before = datetime.now(UTC)
    with open_log(folder) as log:
        log.write([{"id": 1, "temp": 41.5, "carrier": "EV"}], [True], [0.75])
    (row,) = lines(folder)
    assert before <= datetime.fromisoformat(row.pop("predicted-at")) <= datetime.now(UTC)
    assert row == {
        **{"model": "flight-delay", "version": 7, "id": 1},
        **{"prediction": True, "score": 0.75, "temp": 41.5, "carrier": "EV"},
    }


def test_values_of_numpy_and_pandas_are_written_as_what_they_are(folder: Path) -> None:
    rows = pd.DataFrame(
        {
            "id": ["a", "b"],
            "count": np.array([1, 2], dtype=np.int32),
            "share": np.array([0.5, np.nan], dtype=np.float32),
            "at": pd.to_datetime(["2026-01-02T03:04", None]),
            "kind": pd.array(["x", None], dtype="string"),
            "far": [math.inf, -math.inf],
            "said": ['":Infinity,"', "Infinity"],
        }
    )
    with open_log(folder) as log:
        log.write(rows, np.array([1, 0]), [{"no": 0.1, "yes": 0.9}, {"no": 0.8, "yes": 0.2}])
        log.write([{"id": "c", "day": date(2026, 1, 2), "list": [1, math.nan]}], ["x"])
    first, second, third = lines(folder)
    assert (first["count"], first["share"], first["at"], first["kind"]) == (1, 0.5, "2026-01-02T03:04:00", "x")
    assert (second["share"], second["at"], second["kind"]) == (None, None, None)
    assert (first["far"], second["far"]) == (math.inf, -math.inf)
    assert (first["said"], second["said"]) == ('":Infinity,"', "Infinity")
    assert (first["prediction"], first["score_no"], first["score_yes"]) == (1, 0.1, 0.9)
    assert (third["day"], third["list"]) == ("2026-01-02", [1, None])


@given(st.dictionaries(st.text(min_size=1), st.none() | st.booleans() | st.floats() | st.integers(-(2**60), 2**60) | st.text()))
@settings(max_examples=100, deadline=None)
def test_whatever_a_feature_holds_a_line_is_one_line_that_json_reads(features: dict[str, Any]) -> None:
    written = prediction_log._line(features)
    assert written.count("\n") == 1
    expected = {name: None if value != value else value for name, value in features.items()}
    assert json.loads(written) == expected


def test_a_feature_does_not_take_the_place_of_a_column_of_the_log(folder: Path) -> None:
    with open_log(folder) as log:
        log.write([{"id": 1, "version": "2024-edition", "score_no": 3, "predicted-at": "never", "feature": 1}], [0], [0.5])
    (row,) = lines(folder)
    assert (row["version"], row["score"], row["feature"]) == (7, 0.5, 1)
    assert (row["feature_version"], row["feature_score_no"], row["feature_predicted-at"]) == ("2024-edition", 3, "never")
    assert "score_no" not in row


def test_rows_and_answers_that_do_not_match_are_refused(folder: Path) -> None:
    log = open_log(folder)
    with pytest.raises(ValueError, match="2 rows, and 1 predictions"):
        log.write([{"id": 1}, {"id": 2}], [0])
    with pytest.raises(ValueError, match="neither"):
        log.write([{"id": 1}])
    assert not list(folder.iterdir())


def test_a_file_that_is_full_or_old_is_closed_under_its_final_name(folder: Path) -> None:
    log = open_log(folder, max_bytes=200)
    for number in range(6):
        log.write([{"id": number}], [0])
    assert names(folder) == [".jsonl"] * 2 + [".jsonl.open"]
    log.close()
    old = open_log(folder, max_seconds=0)
    old.write([{"id": 6}], [0])
    old.write([{"id": 7}], [0])
    assert names(folder) == [".jsonl"] * 4 + [".jsonl.open"]
    assert sorted(row["id"] for row in lines(folder)) == list(range(8))


def test_threads_and_forked_processes_lose_nothing(folder: Path) -> None:
    log = open_log(folder, max_bytes=3000)
    log.write([{"id": -1}], [0])

    def write(start: int) -> None:
        for number in range(50):
            log.write([{"id": start + 2 * number}, {"id": start + 2 * number + 1}], [0, 1])

    threads = [threading.Thread(target=write, args=(100 * place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    children = []
    for place in range(4, 6):
        child = os.fork()
        if child == 0:
            write(100 * place)
            log.close()
            os._exit(0)
        children.append(child)
    for thread in threads:
        thread.join()
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    log.close()
    assert sorted(row["id"] for row in lines(folder)) == list(range(-1, 600))
    assert set(names(folder)) == {".jsonl"}


def test_what_write_returned_from_is_there_whenever_the_process_is_killed(tmp_path: Path) -> None:
    for moment in every_moment(KILLS_APART):
        folder, told = tmp_path / str(moment), tmp_path / f"{moment}.told"

        def serve(folder: Path = folder, told: Path = told) -> None:
            log = open_log(folder, max_bytes=250, fsync=True)
            for number in range(4):
                log.write([{"id": 2 * number}, {"id": 2 * number + 1}], [0, 1])
                with told.open("a") as file:
                    file.write(f"{number}\n")
            log.close()

        was_killed = killed_after(moment, serve)
        answered = len(told.read_text().split()) if told.exists() else 0
        folder.mkdir(exist_ok=True)
        close_orphans(folder)
        assert set(names(folder)) <= {".jsonl"}
        found = sorted(row["id"] for row in lines(folder))
        assert found[: 2 * answered] == list(range(2 * answered))
        assert len(found) == len(set(found))
        if not was_killed:
            assert found == list(range(8))
            break


def test_an_orphan_is_closed_without_its_torn_line_and_a_file_in_use_is_left_alone(folder: Path) -> None:
    living = open_log(folder)
    living.write([{"id": 1}], [0])
    (folder / "20260101T000000Z-h-1-a.jsonl.open").write_bytes(b'{"id": 2}\n' + b'{"id": "' + b"x" * 70_000)
    (folder / "20260101T000000Z-h-2-b.jsonl.open").write_bytes(b'{"id": 3')
    (folder / "20260101T000000Z-h-3-c.jsonl.open").write_bytes(b"")
    second = open_log(folder)
    assert (folder / "20260101T000000Z-h-1-a.jsonl").read_bytes() == b'{"id": 2}\n'
    assert names(folder) == [".jsonl", ".jsonl.open"]
    living.write([{"id": 4}], [0])
    second.write([{"id": 5}], [0])
    assert sorted(row["id"] for row in lines(folder)) == [1, 2, 4, 5]


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_full_disk_leaves_no_half_line_before_others(folder: Path, monkeypatch: pytest.MonkeyPatch, can_cut: bool) -> None:
    log = open_log(folder)
    log.write([{"id": 1}], [0])
    write, cut = os.write, os.ftruncate
    calls: list[int] = []

    def full(handle: int, raw: Any) -> int:
        calls.append(handle)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, bytes(raw)[:10])

    def broken(_: int, __: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", full)
    if not can_cut:
        monkeypatch.setattr(os, "ftruncate", broken)
    with pytest.raises(OSError, match="No space"):
        log.write([{"id": 2}], [0])
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "ftruncate", cut)
    log.write([{"id": 3}], [0])
    log.close()
    assert sorted(open_table("log", folder.parent).read(["id"])["id"]) == [1, 3]


def test_a_log_is_read_as_one_table(folder: Path) -> None:
    with open_log(folder, max_bytes=1) as log:
        log.write([{"id": 1, "temp": 1.5}], [0])
        log.write([{"id": 2, "wind": 3}], [1])
    (folder / "x.jsonl.open").write_bytes(b'{"id": 3, "temp": 2}\n{"id": 4')
    frame = open_table("log", folder.parent).read()
    assert sorted(frame["id"]) == [1, 2, 3]
    assert set(frame.columns) == {"predicted-at", "model", "version", "id", "prediction", "temp", "wind"}
    assert str(frame["predicted-at"].dtype).startswith("datetime64")


def test_a_file_that_was_cut_later_is_refused_by_name_and_line(folder: Path) -> None:
    with open_log(folder) as log:
        log.write([{"id": 1}, {"id": 2}], [0, 1])
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BadInput, match=rf"log/{path.name}:2: is no JSON"):
        open_table("log", folder.parent).rows()


def test_what_is_no_log_beside_it_is_refused(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"id": 1}\n')
    (folder / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match=r"holds `notes\.txt`"):
        open_table("log", folder.parent).rows()


@pytest.mark.parametrize(
    ("media", "body", "rows"),
    [
        (
            "application/json",
            {"dataframe_split": {"columns": ["id", "x"], "data": [[1, 2], [3, 4]]}},
            [{"id": 1, "x": 2}, {"id": 3, "x": 4}],
        ),
        ("application/json; charset=utf-8", {"dataframe_records": [{"id": 1, "x": 2}]}, [{"id": 1, "x": 2}]),
        ("application/json", {"instances": [{"id": 1}, {"id": 2}]}, [{"id": 1}, {"id": 2}]),
        ("application/json", {"inputs": {"id": [1, 2], "x": [3, 4]}}, [{"id": 1, "x": 3}, {"id": 2, "x": 4}]),
        ("application/json", {"inputs": {"id": [1, 2], "x": [3]}}, []),
        ("application/json", {"inputs": [[1, 2], [3, 4]]}, []),
        ("application/json", [1], []),
        ("application/json", "{", []),
        ("text/csv", "id,x\n1,2\n3,4\n", [{"id": "1", "x": "2"}, {"id": "3", "x": "4"}]),
    ],
)
def test_the_rows_of_a_request_are_found_in_every_form(media: str, body: Any, rows: list[dict[str, Any]]) -> None:
    assert rows_in(media, (body if isinstance(body, str) else json.dumps(body)).encode()) == rows


@pytest.mark.parametrize(
    ("predictions", "answers"),
    [
        ([0.5, 1], [{"score": 0.5}, {"score": 1}]),
        ([[0.5], [1]], [{"score": 0.5}, {"score": 1}]),
        ([[0.25, 0.75]], [{"score_0": 0.25, "score_1": 0.75}]),
        ([{"prediction": "x", "score": 0.5, "id": 3}], [{"prediction": "x", "score": 0.5}]),
        ([{"late": 0.5}], [{"score": 0.5}]),
        ({"prediction": [1, 2], "score_a": [0.1, 0.2]}, [{"prediction": 1, "score_a": 0.1}, {"prediction": 2, "score_a": 0.2}]),
        ([{"a": 1, "b": 2}], [{"prediction": '{"a": 1, "b": 2}'}]),
    ],
)
def test_the_answers_are_found_in_every_form(predictions: Any, answers: list[dict[str, Any]]) -> None:
    assert answers_in(json.dumps({"predictions": predictions}).encode(), "score") == answers


def test_the_module_stands_alone_in_old_interpreters(tmp_path: Path) -> None:
    copy = tmp_path / "prediction_log.py"
    copy.write_bytes(MODULE.read_bytes())
    ast.parse(copy.read_text(), feature_version=(3, 9))
    code = f"import sys; sys.path[:] = [{str(tmp_path)!r}, *[p for p in sys.path if 'site-packages' not in p]]; import prediction_log"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
