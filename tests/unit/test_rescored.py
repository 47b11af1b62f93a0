"""What the baseline's model answers today, held against what it once predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelship.gate.rows.paired import Task
from modelship.gate.rows.predictions import Layout, PredictionsFile
from modelship.gate.rows.rescored import TOLERANCE, Rescored, find_rescored

LAYOUT = Layout("id")
N = 6
KEYS = [10, 11, 12, 13, 14, 15]
BINARY: dict[str, list[Any]] = {
    "id": KEYS,
    "truth": [0, 1, 0, 1, 0, 1],
    "prediction": [0, 1, 0, 1, 0, 1],
    "score": [0.1, 0.9, 0.2, 0.8, 0.3, 0.7],
}
NUMBERS: dict[str, list[Any]] = {
    "id": KEYS,
    "truth": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
    "prediction": [11.0, 19.0, 31.0, 39.0, 51.0, 61.0],
}
SPREAD = float(np.std(NUMBERS["truth"]))


def held(folder: Path, scored: dict[str, Any], recorded: dict[str, Any], layout: Layout = LAYOUT, task: Task | None = None) -> Any:
    files = []
    for name, columns in (("scored", scored), ("recorded", recorded)):
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        files.append(PredictionsFile(path, name))
    return find_rescored(files[0], files[1], layout, task)


def moved(columns: dict[str, Any], column: str, row: int, by: Any) -> dict[str, Any]:
    values = list(columns[column])
    values[row] = values[row] + by
    return {**columns, column: values}


@pytest.mark.parametrize(
    ("recorded", "column", "by", "is_other"),
    [
        (BINARY, "score", 0.9 * TOLERANCE, False),
        (BINARY, "score", -1.1 * TOLERANCE, True),
        (BINARY, "prediction", 1, True),
        (NUMBERS, "prediction", -0.9 * TOLERANCE * SPREAD, False),
        (NUMBERS, "prediction", 1.1 * TOLERANCE * SPREAD, True),
    ],
)
@pytest.mark.parametrize("names_the_task", [True, False])
def test_an_answer_may_be_a_little_off(
    recorded: dict[str, Any], column: str, by: float, is_other: bool, names_the_task: bool, tmp_path: Path
) -> None:
    task: Task = "regression" if recorded is NUMBERS else "classification"
    scored = moved(recorded, column, 2, by)
    found = held(tmp_path, scored, recorded, task=task if names_the_task else None)
    assert found == (Rescored(N, 1, "such as 12") if is_other else Rescored(N, 0, ""))


def test_numbers_without_spread_may_be_off_by_their_digits(tmp_path: Path) -> None:
    constant = {**NUMBERS, "truth": [1000.5] * N, "prediction": [1000.0] * N}
    assert held(tmp_path, moved(constant, "prediction", 0, 0.0009), constant).others == 0
    assert held(tmp_path, moved(constant, "prediction", 0, 0.0011), constant).others == 1


def test_files_of_other_rows_say_nothing_of_each_other(tmp_path: Path) -> None:
    wrong = {**BINARY, "score": [0.5] * N}
    assert held(tmp_path, {**wrong, "id": [*KEYS[1:], 16]}, BINARY) is None
    assert held(tmp_path, moved(wrong, "truth", 0, 1), BINARY) is None


def test_scores_that_are_written_another_way_are_the_same(tmp_path: Path) -> None:
    recorded = {name: values for name, values in BINARY.items() if name != "score"}
    recorded |= {"score_0": [1 - value for value in BINARY["score"]], "score_1": BINARY["score"]}
    assert held(tmp_path, BINARY, recorded) == Rescored(N, 0, "")
    assert held(tmp_path, moved(BINARY, "score", 4, 0.1), recorded) == Rescored(N, 1, "such as 14")
    without = {name: values for name, values in BINARY.items() if name != "score"}
    assert held(tmp_path, without, BINARY) == Rescored(N, 0, ""), "what only one file has cannot differ"


def test_any_class_counts(tmp_path: Path) -> None:
    shares = {"score_a": [0.5] * N, "score_b": [0.3] * N, "score_c": [0.2] * N}
    recorded = {"id": KEYS, "truth": list("abcabc"), "prediction": list("aaaaaa"), **shares}
    scored = moved(moved(recorded, "score_b", 1, 0.01), "score_c", 1, -0.01)
    assert held(tmp_path, scored, recorded) == Rescored(N, 1, "such as 11")


def test_columns_to_slice_by_are_no_answers(tmp_path: Path) -> None:
    layout = Layout("id", group="score_group", slices=("score_band",))
    recorded = {"id": KEYS, "truth": list("abcabc"), "prediction": list("abcabc"), "score_band": [1.0] * N}
    scored = {**recorded, "score_band": [2.0] * N, "score_group": [3.0] * N}
    assert held(tmp_path, scored, recorded, layout) == Rescored(N, 0, "")


def test_text_keys_that_may_not_be_shown_are_not(tmp_path: Path) -> None:
    named = {**BINARY, "id": ["f", "e", "d", "c", "b", "ann@example.com"]}
    assert held(tmp_path, moved(named, "prediction", 4, 1), named).examples == "such as row 5"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(N)), others=st.sets(st.integers(0, N - 1)))
def test_every_other_answer_is_counted_in_whatever_order(order: list[int], others: set[int], tmp_path: Path) -> None:
    scored = BINARY
    for row in others:
        scored = moved(scored, "score", row, -0.05)
    shuffled = {name: [values[row] for row in order] for name, values in scored.items()}
    found = held(tmp_path, shuffled, BINARY)
    assert (found.rows, found.others) == (N, len(others))
