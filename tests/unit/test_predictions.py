"""Two predictions files become rows with two answers, or one clear line that says why not."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelship.core.config import parse_config
from modelship.core.errors import BadInput
from modelship.gate.rows import prediction_classes, prediction_rows, prediction_tables
from modelship.gate.rows.paired import Paired, Task
from modelship.gate.rows.predictions import Differences, Layout, PredictionsFile, common_rows, read_pair, read_single

LAYOUT = Layout("id")
OURS = "the candidate's predictions.parquet"
THEIRS = "the baseline's predictions.parquet"

Columns = Mapping[str, Any]

BINARY: Columns = {"id": [1, 2, 3, 4], "truth": [0, 1, 1, 0], "prediction": [0, 1, 0, 0], "score": [0.1, 0.9, 0.4, 0.2]}
NUMBERS: Columns = {"id": [1, 2, 3], "truth": [1.0, 2.0, 3.0], "prediction": [1.5, 2.0, 2.5]}
THREE: Columns = {
    "id": [1, 2, 3],
    "truth": ["a", "b", "c"],
    "prediction": ["a", "b", "b"],
    "score_c": [0.1, 0.2, 0.3],
    "score_a": [0.8, 0.1, 0.2],
    "score_b": [0.1, 0.7, 0.5],
}


class Pair:
    """Two predictions files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def candidate(self, columns: Columns | bytes, suffix: str = "parquet") -> PredictionsFile:
        return self._write(f"candidate.{suffix}", columns, OURS)

    def baseline(self, columns: Columns | bytes, suffix: str = "parquet") -> PredictionsFile:
        return self._write(f"baseline.{suffix}", columns, THEIRS)

    def read(
        self,
        candidate: Columns | bytes,
        baseline: Columns | bytes | None = None,
        layout: Layout = LAYOUT,
        task: Task = "classification",
        suffix: str = "parquet",
    ) -> Paired:
        ours = self.candidate(candidate, suffix)
        return read_pair(ours, self.baseline(candidate if baseline is None else baseline, suffix), layout, task)

    def refusal(self, *arguments: Any, **options: Any) -> str:
        """The one line that the files are refused with."""
        return refusal(lambda: self.read(*arguments, **options))

    def _write(self, name: str, columns: Columns | bytes, called: str) -> PredictionsFile:
        path = self.folder / name
        if isinstance(columns, bytes):
            path.write_bytes(columns)
        elif name.endswith(".csv"):
            pa_csv.write_csv(pa.table(dict(columns)), path)
        else:
            pq.write_table(pa.table(dict(columns)), path)
        return PredictionsFile(path, called)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as caught:
        act()
    (problem,) = caught.value.problems
    line = str(problem)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 1000
    return line


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def with_(columns: Columns, **changes: Any) -> dict[str, Any]:
    changed = {**columns, **changes}
    return {name: values for name, values in changed.items() if values is not None}


def listed(array: Any) -> list[Any]:
    values: list[Any] = array.to_pylist() if isinstance(array, pa.Array) else array.tolist()
    return values


# What comes out.


def test_rows_are_paired_by_key_and_come_in_its_order(pair: Pair) -> None:
    ours = {"id": [3, 1, 2], "truth": [1, 0, 1], "prediction": [0, 0, 1], "score": [0.3, 0.1, 0.2]}
    theirs = {"id": [2, 3, 1], "truth": [1, 1, 0], "prediction": [1, 1, 1], "score": [0.8, 0.9, 0.7]}
    paired = pair.read(ours, theirs)
    assert (paired.task, paired.key, paired.classes, paired.positive, len(paired)) == ("classification", "id", (0, 1), 1, 3)
    assert listed(paired.keys) == [1, 2, 3]
    assert listed(paired.truth) == [0, 1, 1]
    assert paired.candidate.prediction is not None
    assert paired.candidate.score is not None
    assert paired.baseline.prediction is not None
    assert paired.baseline.score is not None
    assert listed(paired.candidate.prediction) == [0, 1, 0]
    assert listed(paired.candidate.score) == [0.1, 0.2, 0.3]
    assert listed(paired.baseline.prediction) == [1, 1, 1]
    assert listed(paired.baseline.score) == [0.7, 0.8, 0.9]
    assert paired.truth.dtype == np.intp
    assert paired.groups is None
    assert paired.columns == {}


def test_numbers_are_paired_too(pair: Pair) -> None:
    theirs = {"id": [3, 2, 1], "truth": [3, 2, 1], "prediction": [Decimal("2.25"), Decimal("1.50"), Decimal("0.50")]}
    paired = pair.read(NUMBERS, theirs, task="regression")
    assert (paired.classes, paired.positive) == ((), None)
    for values, expected in (
        (paired.truth, [1.0, 2.0, 3.0]),
        (paired.candidate.prediction, [1.5, 2.0, 2.5]),
        (paired.baseline.prediction, [0.5, 1.5, 2.25]),
    ):
        assert values is not None
        assert values.dtype == np.float64
        assert listed(values) == expected


def test_one_file_is_its_own_baseline(pair: Pair) -> None:
    paired = read_single(pair.candidate(with_(BINARY, id=[4, 3, 2, 1])), LAYOUT, "classification")
    assert listed(paired.keys) == [1, 2, 3, 4]
    assert paired.candidate.score is not None
    assert paired.baseline.score is not None
    assert listed(paired.candidate.score) == listed(paired.baseline.score) == [0.2, 0.4, 0.9, 0.1]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
@given(
    data=st.data(),
    keys=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=12, unique=True)
    | st.lists(st.text(alphabet="abé ,\"\n07'", min_size=1, max_size=4), min_size=2, max_size=12, unique=True)
    | st.lists(st.dates(date(1800, 1, 1), date(2200, 1, 1)), min_size=2, max_size=12, unique=True),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_neither_files_order_changes_anything_and_nothing_is_lost(
    pair: Pair, suffix: str, data: st.DataObject, keys: list[int] | list[str] | list[date]
) -> None:
    n = len(keys)
    truth = data.draw(st.lists(st.sampled_from(["no", 'yes, "so"', "5%"]), min_size=n, max_size=n))
    answers = [data.draw(st.lists(st.sampled_from(["no", 'yes, "so"']), min_size=n, max_size=n)) for _ in range(2)]
    orders = [data.draw(st.permutations(range(n))) for _ in range(2)]

    def write(order: Sequence[int], prediction: Sequence[str], role: Callable[..., PredictionsFile]) -> PredictionsFile:
        table = {"id": [keys[i] for i in order], "truth": [truth[i] for i in order], "prediction": [prediction[i] for i in order]}
        if suffix != "csv.gz":
            return role(table, suffix)
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(pa.table(table), sink)
        return role(gzip.compress(sink.getvalue().to_pybytes()), suffix)

    paired = read_pair(
        write(orders[0], answers[0], pair.candidate), write(orders[1], answers[1], pair.baseline), LAYOUT, "classification"
    )
    found = [str(key) for key in listed(paired.keys)]
    assert sorted(found) == sorted(str(key) for key in keys)
    assert listed(paired.keys) == sorted(listed(paired.keys))
    place = {str(key): i for i, key in enumerate(keys)}
    for codes, expected in (
        (paired.truth, truth),
        (paired.candidate.prediction, answers[0]),
        (paired.baseline.prediction, answers[1]),
    ):
        assert codes is not None
        assert [paired.classes[code] for code in codes] == [expected[place[key]] for key in found]


# Keys.


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (pa.array([1, 2, 3], pa.int8()), pa.array([3, 2, 1], pa.int64())),
        (pa.array([1, 2, 3], pa.uint64()), pa.array([3, 2, 1], pa.int32())),
        (pa.array([1.0, 2.0, 3.0]), pa.array([3, 2, 1])),
        (pa.array([1.0, 2.0, 3.0], pa.float16()), pa.array([3, 2, 1])),
        (pa.array([Decimal("1.0"), Decimal("2.0"), Decimal("3.0")]), pa.array([3, 2, 1])),
        (pa.array([2**64 - 1, 2**64 - 2, 1], pa.uint64()), pa.array([1, 2**64 - 2, 2**64 - 1], pa.uint64())),
        (pa.array(["a", "b", "c"]), pa.array(["c", "b", "a"], pa.large_string())),
        (pa.array(["a", "b", "c"]), pa.array(["c", "b", "a"], pa.string_view())),
        (pa.array(["a", "b", "c"]), pa.array(["c", "b", "a"]).dictionary_encode()),
        (pa.array([1, 2, 3]).dictionary_encode(), pa.array([3, 2, 1])),
        (pa.array(["1", "2", "3"]), pa.array([3, 2, 1])),
        (pa.array([1, 2, 3], pa.date32()), pa.array([3, 2, 1], pa.date32()).cast(pa.date64())),
        (pa.array([1, 2, 3], pa.date32()), pa.array([3, 2, 1], pa.date32()).cast(pa.timestamp("ns"))),
        (pa.array([1, 2, 3], pa.timestamp("s")), pa.array([3000, 2000, 1000], pa.timestamp("ms"))),
        (pa.array([1, 2, 3], pa.timestamp("s", tz="UTC")), pa.array([3, 2, 1], pa.timestamp("s", tz="Europe/Paris"))),
        (pa.array(["2024-01-01", "2024-01-02", "2024-01-03"]), pa.array([19725, 19724, 19723], pa.date32())),
    ],
    ids=lambda array: str(array.type),
)
def test_equal_keys_of_different_types_are_one_row(pair: Pair, ours: Any, theirs: Any) -> None:
    columns = {"truth": [1.0, 2.0, 3.0], "prediction": [10.0, 20.0, 30.0]}
    backwards = {"truth": [3.0, 2.0, 1.0], "prediction": [30.0, 20.0, 10.0]}
    paired = pair.read({"id": ours, **columns}, {"id": theirs, **backwards}, task="regression")
    assert sorted(listed(paired.truth)) == [1.0, 2.0, 3.0]
    assert paired.candidate.prediction is not None
    assert paired.baseline.prediction is not None
    assert listed(paired.candidate.prediction) == listed(paired.baseline.prediction) == [10 * value for value in listed(paired.truth)]


def test_booleans_name_rows(pair: Pair) -> None:
    paired = pair.read({"id": [True, False], "truth": [1, 2], "prediction": [1, 2]}, task="regression")
    assert listed(paired.truth) == [2, 1]


@pytest.mark.parametrize("theirs", [["007", "7", "8"], ["7", "007", "8"]])
def test_a_leading_zero_in_csv_is_part_of_the_key(pair: Pair, theirs: list[str]) -> None:
    ours = pair.candidate(b"id,truth,prediction\n007,1,1\n7,2,2\n8,3,3\n", "csv")
    truth = [{"007": 1, "7": 2, "8": 3}[key] for key in theirs]
    paired = read_pair(ours, pair.baseline({"id": theirs, "truth": truth, "prediction": truth}), LAYOUT, "regression")
    assert dict(zip(listed(paired.keys), listed(paired.truth), strict=True)) == {"007": 1, "7": 2, "8": 3}


def test_a_leading_zero_is_not_dropped_to_match_numbers(pair: Pair) -> None:
    ours = pair.candidate(b"id,truth,prediction\n007,1,1\n8,2,2\n", "csv")
    theirs = pair.baseline({"id": [7, 8], "truth": [1, 2], "prediction": [1, 2]})
    line = refusal(lambda: read_pair(ours, theirs, replace(LAYOUT, shown=("id",)), "regression"))
    assert line == (
        f"{OURS}: keys in `id` are not those of {THEIRS}: 1 row only here, such as 007; 1 row only there, such as 7. "
        "Score both models on the same rows."
    )


def test_keys_of_a_csv_file_have_the_type_that_they_are_written_in(pair: Pair) -> None:
    rest = ",1,1\n"
    for first, second, expected in (("10", "9", [9, 10]), ("2024-01-02", "2024-01-01", [date(2024, 1, 1), date(2024, 1, 2)])):
        columns = f"id,truth,prediction\n{first}{rest}{second}{rest}".encode()
        assert listed(pair.read(columns, suffix="csv", task="regression").keys) == expected


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([1, 2, 2, 1], "2 keys in `id` repeat, such as 1, 2."),
        ([1, 2, 2, 2], "1 key in `id` repeats, such as 2."),
        (["a", "b", "b", "c"], "1 key in `id` repeats, such as row 2."),
        ([1, None, 2, None], "2 rows have no key in `id`, such as rows 2 and 4."),
        ([1.0, 2.0, float("nan"), 3.0], "1 row has no key in `id`, such as row 3."),
        (["", "a", "b", "c"], "1 row has no key in `id`, such as row 1."),
        ([None] * 4, "4 rows have no key in `id`, such as rows 1, 2 and 3."),
        ([1.0, 1.5, 2.0, 3.0], "keys in `id` are not whole numbers."),
        ([b"a", b"b", b"c", b"d"], "`id` holds binary, which is no plain value."),
        ([[1], [2], [3], [4]], "`id` holds list<element: int64>, which is no plain value."),
    ],
)
def test_keys_that_name_no_row(pair: Pair, keys: list[Any], message: str) -> None:
    broken = with_(BINARY, id=keys)
    assert pair.refusal(broken, BINARY).startswith(f"{OURS}: {message}")
    assert pair.refusal(BINARY, broken).startswith(f"{THEIRS}: {message}")
    assert refusal(lambda: read_single(pair.candidate(broken), LAYOUT, "classification")).startswith(f"{OURS}: {message}")


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (["1", "2", "x", "4"], [datetime(2024, 1, day) for day in range(1, 5)], "text, and times without a zone"),
        ([1, 2, 3, 4], [date(2024, 1, day) for day in range(1, 5)], "whole numbers, and dates"),
        (
            pa.array([1, 2, 3, 4], pa.timestamp("s", tz="UTC")),
            pa.array([1, 2, 3, 4], pa.timestamp("s")),
            "times with a zone, and times",
        ),
    ],
)
def test_keys_that_cannot_be_compared(pair: Pair, ours: Any, theirs: Any, message: str) -> None:
    line = pair.refusal(with_(BINARY, id=ours), with_(BINARY, id=theirs))
    assert line.startswith(f"{OURS}: keys in `id` are {message}")
    assert THEIRS in line


def test_keys_that_the_other_file_lacks(pair: Pair) -> None:
    assert pair.refusal(with_(BINARY, id=[1, 20, 30, 4]), BINARY) == (
        f"{OURS}: keys in `id` are not those of {THEIRS}: 2 rows only here, such as 20, 30; 2 rows only there, such as 2, 3. "
        "Score both models on the same rows."
    )
    fewer = {name: values[:3] for name, values in BINARY.items()}
    assert "1 row only there, such as 4." in pair.refusal(fewer, BINARY)
    assert "1 row only here, such as 4." in pair.refusal(BINARY, fewer)


def test_text_keys_are_shown_only_where_the_team_allows_it(pair: Pair) -> None:
    ours, theirs = with_(BINARY, id=["Ann", "Bob\n::error::x", "C" * 200, "D"]), with_(BINARY, id=["x", "y", "z", "D"])
    hidden = pair.refusal(ours, theirs)
    assert "3 rows only here, such as rows 1, 2 and 3; 3 rows only there, such as rows 1, 2 and 3." in hidden
    assert "Ann" not in hidden
    shown = pair.refusal(ours, theirs, layout=replace(LAYOUT, shown=("id",)))
    assert f"such as Ann, Bob\\n::error::x, {'C' * 59}…; " in shown


def test_rows_are_counted_as_they_stand_in_the_file(pair: Pair) -> None:
    ours = {"id": ["d", "c", "b", "a"], "truth": [1, 1, 0, 0], "prediction": [1, 1, 1, 1]}
    theirs = with_(ours, truth=[0, 1, 0, 0])
    assert "in 1 row, such as row 1." in pair.refusal(ours, theirs)


# Labels.


@pytest.mark.parametrize(
    ("ours", "theirs", "classes"),
    [
        ([True, False, True], [1, 0, 1], (0, 1)),
        ([1.0, 0.0, 1.0], [True, False, True], (0, 1)),
        ([1.0, -0.0, 1.0], [1, 0, 1], (0, 1)),
        ([True, False, True], [True, False, True], (False, True)),
        ([Decimal("2"), Decimal("10"), Decimal("2")], [2, 10, 2], (2, 10)),
        (["b", "a", "b"], pa.array(["b", "a", "b"]).dictionary_encode(), ("a", "b")),
        (pa.array([1, 0, 1], pa.float16()), pa.array([1, 0, 1], pa.uint8()), (0, 1)),
    ],
)
def test_equal_labels_of_different_types_are_one_class(pair: Pair, ours: Any, theirs: Any, classes: tuple[Any, ...]) -> None:
    keys = [1, 2, 3]
    paired = pair.read({"id": keys, "truth": ours, "prediction": ours}, {"id": keys, "truth": theirs, "prediction": theirs})
    assert paired.classes == classes
    assert [type(name) for name in paired.classes] == [type(name) for name in classes]
    assert paired.candidate.prediction is not None
    assert paired.baseline.prediction is not None
    assert listed(paired.truth) == listed(paired.candidate.prediction) == listed(paired.baseline.prediction)


def test_classes_are_those_of_truth_and_of_both_predictions(pair: Pair) -> None:
    ours = with_(BINARY, prediction=[0, 1, 2, 0], score=None)
    theirs = with_(BINARY, prediction=[0, 1, 0, -3], score=None)
    paired = pair.read(ours, theirs)
    assert (paired.classes, paired.positive) == ((-3, 0, 1, 2), None)
    assert listed(paired.truth) == [1, 2, 2, 1]
    assert paired.candidate.prediction is not None
    assert listed(paired.candidate.prediction) == [1, 2, 3, 1]


@pytest.mark.parametrize(("positive", "expected"), [(None, 1), ("no", 0), ("yes", 1)])
def test_the_positive_class_is_the_teams_or_the_greater(pair: Pair, positive: str | None, expected: int) -> None:
    columns = {"id": [1, 2], "truth": ["yes", "no"], "prediction": ["yes", "yes"], "score_no": [0.25, 0.5], "score_yes": [0.75, 0.5]}
    paired = pair.read(columns, layout=replace(LAYOUT, positive=positive))
    assert (paired.classes, paired.positive) == (("no", "yes"), expected)
    assert paired.candidate.score is not None
    assert listed(paired.candidate.score) == [[0.25, 0.5], [0.75, 0.5]][expected]


@pytest.mark.parametrize(
    ("truth", "positive", "expected"),
    [
        ([0, 1], True, 1),
        ([0, 1], False, 0),
        ([True, False], 1, 1),
        ([True, False], "false", 0),
        (["1", "2"], 1, 0),
        (["false", "true"], True, 1),
    ],
)
def test_yaml_may_write_the_positive_class_another_way(pair: Pair, truth: list[Any], positive: Any, expected: int) -> None:
    paired = pair.read({"id": [1, 2], "truth": truth, "prediction": truth}, layout=replace(LAYOUT, positive=positive))
    assert paired.positive == expected


def test_a_positive_class_that_is_none(pair: Pair) -> None:
    line = pair.refusal(BINARY, layout=replace(LAYOUT, positive="late"))
    assert line == f"{THEIRS}: `data.positive` is `late`, and the classes in `truth` are `0`, `1`. Name one of them."


def test_a_single_class_is_no_error_here(pair: Pair) -> None:
    columns = {"id": [1, 2], "truth": [0, 0], "prediction": [0, 0], "score": [0.1, 0.2]}
    for truth, classes in (([0, 0], (0, 1)), ([1, 1], (0, 1)), ([True, True], (False, True))):
        paired = pair.read(with_(columns, truth=truth, prediction=truth))
        assert (paired.classes, paired.positive) == (classes, 1)
        assert paired.candidate.score is not None
    words = pair.read(with_(columns, truth=["no", "no"], prediction=["no", "no"]), layout=replace(LAYOUT, positive="yes"))
    assert (words.classes, words.positive) == (("no", "yes"), 1)
    nobody_knows = pair.read(with_(columns, truth=["no", "no"], prediction=["no", "no"]))
    assert (nobody_knows.classes, nobody_knows.positive, nobody_knows.candidate.score) == (("no",), None, None)
    without_scores = pair.read(with_(columns, score=None))
    assert (without_scores.classes, without_scores.positive) == ((0,), None)


def test_labels_that_differ(pair: Pair) -> None:
    line = pair.refusal(with_(BINARY, truth=[0, 1, 0, 1]), BINARY)
    assert line == f"{OURS}: labels in `truth` differ from {THEIRS} in 2 rows, such as 3, 4. Score both models on the same rows."
    line = pair.refusal(with_(NUMBERS, truth=[1.0, 2.0, 3.0000001]), NUMBERS, task="regression")
    assert line.startswith(f"{OURS}: labels in `truth` differ from {THEIRS} in 1 row, such as 3.")


def test_numbers_that_one_file_holds_in_fewer_digits_are_the_same_labels(pair: Pair) -> None:
    truth = [0.1, 1 / 3, 2e7 / 7]
    paired = pair.read(
        with_(NUMBERS, truth=pa.array(truth, pa.float32())), with_(NUMBERS, truth=pa.array(truth, pa.float64())), task="regression"
    )
    assert listed(paired.truth) == truth
    too_large = with_(NUMBERS, truth=[0.1, 1 / 3, 1e300])
    line = pair.refusal(with_(NUMBERS, truth=pa.array(truth, pa.float32())), too_large, task="regression")
    assert "differ from" in line
    assert "in 1 row, such as 3." in line


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("truth", [0, None, 1, 0], "1 value in `truth` is missing, such as 2."),
        ("truth", ["a", "", "", "b"], "2 values in `truth` are missing, such as 2, 3."),
        ("prediction", [0.0, float("nan"), 1.0, 0.0], "1 value in `prediction` is missing, such as 2."),
        ("prediction", [None] * 4, "4 values in `prediction` are missing, such as 1, 2, 3."),
        ("prediction", [0.2, 1.0, 0.9, 0.0], "2 labels in `prediction` are no whole number, such as 1, 3."),
        ("prediction", [0.0, float("inf"), 1.0, 0.0], "1 label in `prediction` is no whole number, such as 2."),
        ("prediction", [date(2024, 1, 1)] * 4, "`prediction` holds dates, which cannot name classes."),
        ("prediction", [[0]] * 4, "`prediction` holds list<element: int64>, which is no plain value."),
        ("score", [0.1, float("nan"), 0.2, float("inf")], "2 values in `score` are missing, NaN or infinite, such as 2, 4."),
        ("score", [0.1, None, 0.2, 0.3], "1 value in `score` is missing, NaN or infinite, such as 2."),
        ("score", pa.array([0.1, None, 0.2, 0.3], pa.float16()), "1 value in `score` is missing, NaN or infinite, such as 2."),
        ("score", [None] * 4, "4 values in `score` are missing, such as 1, 2, 3."),
        ("score", ["0.1", "x", "0.3", "0.4"], "`score` holds text, where numbers are needed."),
    ],
)
def test_answers_of_the_wrong_kind(pair: Pair, column: str, values: Any, message: str) -> None:
    broken = with_(BINARY, **{column: values})
    assert pair.refusal(broken, BINARY).startswith(f"{OURS}: {message}")
    assert pair.refusal(BINARY, broken).startswith(f"{THEIRS}: {message}")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("truth", [1.0, float("inf"), 2.0], "1 value in `truth` is missing, NaN or infinite, such as 2."),
        ("prediction", [float("nan")] * 3, "3 values in `prediction` are missing, NaN or infinite, such as 1, 2, 3."),
        ("prediction", [1, None, 2], "1 value in `prediction` is missing, NaN or infinite, such as 2."),
        ("prediction", [None] * 3, "3 values in `prediction` are missing, such as 1, 2, 3."),
        ("prediction", ["1", "2", "x"], "`prediction` holds text, where numbers are needed."),
        ("prediction", [True, False, True], "`prediction` holds true and false, where numbers are needed."),
    ],
)
def test_numbers_of_the_wrong_kind(pair: Pair, column: str, values: Any, message: str) -> None:
    broken = with_(NUMBERS, **{column: values})
    assert pair.refusal(broken, NUMBERS, task="regression").startswith(f"{OURS}: {message}")
    assert pair.refusal(NUMBERS, broken, task="regression").startswith(f"{THEIRS}: {message}")


def test_one_word_in_a_csv_column_makes_all_of_it_text(pair: Pair) -> None:
    mixed = b"id,truth,prediction\n1,0,0\n2,1,1\n3,1,x\n"
    line = refusal(lambda: read_single(pair.candidate(mixed, "csv"), LAYOUT, "classification"))
    assert line == (f"{OURS}: labels in `truth` are whole numbers, and text in `prediction`. Write classes the same way everywhere.")
    line = refusal(lambda: read_single(pair.candidate(mixed, "csv"), LAYOUT, "regression"))
    assert line.startswith(f"{OURS}: `prediction` holds text, where numbers are needed.")


def test_labels_of_another_kind_in_the_other_file(pair: Pair) -> None:
    words = with_(BINARY, truth=["0", "1", "1", "0"], prediction=["0", "1", "1", "0"])
    assert pair.refusal(words, BINARY) == (
        f"{OURS}: labels in `truth` are text, and whole numbers in `truth` of {THEIRS}. Write classes the same way everywhere."
    )
    only_predictions = with_(BINARY, prediction=["0", "1", "1", "0"])
    assert f"{THEIRS}: labels in `truth` are whole numbers, and text in `prediction` of {OURS}." in pair.refusal(
        only_predictions, BINARY
    )


def test_too_many_classes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_classes, "MAX_CLASSES", 2)
    line = pair.refusal(with_(BINARY, prediction=[0, 1, 2, 3]), BINARY)
    assert line == (
        f"{OURS}: `prediction` holds 4 different labels; at most 2 classes are compared. Is it a number to predict, or a score?"
    )
    assert "has 3 classes with those of scores; at most 2" in pair.refusal(
        with_(BINARY, score=None, score_0=[1.0] * 4, score_7=[0.0] * 4)
    )


def test_too_many_columns_of_scores_are_refused_before_any_is_read(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_rows, "MAX_CLASSES", 2)
    assert pair.read({**BINARY, "score_0": [0.9, 0.1, 0.6, 0.8], "score_1": [0.1, 0.9, 0.4, 0.2]}).classes == (0, 1)
    line = pair.refusal(with_(THREE, score_d=["no number"] * 3))
    assert line.startswith(f"{OURS}: has 4 columns of scores; at most 2 classes are compared.")


def test_more_scores_than_memory_holds_are_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_classes, "MAX_SCORES", 9)
    assert pair.read(THREE).candidate.score is not None
    line = pair.refusal({**THREE, "score_d": [0.0] * 3}, THREE)
    assert line == f"{OURS}: has scores for 4 classes in 3 rows; at most 9 scores are compared. Judge on fewer rows."
    one_score = {"id": [1, 2, 3, 4], "truth": ["a", "b", "c", "a"], "prediction": ["a", "b", "c", "c"], "score": [0.5] * 4}
    assert pair.read(one_score).candidate.score is None, "one column is no score of three classes, however many rows there are"


# Scores.


def test_scores_by_class_come_in_the_order_of_classes(pair: Pair) -> None:
    paired = pair.read(THREE, {**THREE, "score_d": [0.0, 0.0, 0.0]})
    assert (paired.classes, paired.positive) == (("a", "b", "c", "d"), None)
    assert paired.candidate.score is not None
    assert paired.candidate.score == pytest.approx(np.array([[0.8, 0.1, 0.1, 0], [0.1, 0.7, 0.2, 0], [0.2, 0.5, 0.3, 0]]))


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        ([0, 1], ["score_0", "score_1"]),
        ([0, 1], ["score_1"]),
        ([0, 1], ["score_0.0", "score_1.0"]),
        ([0, 1], ["score_False", "score_True"]),
        ([0, 1], ["score_true"]),
        ([False, True], ["score_false", "score_true"]),
        ([False, True], ["score_0", "score_1"]),
        ([False, True], ["score_True"]),
        (["0", "1"], ["score_0", "score_1"]),
        ([-1, 1], ["score_-1", "score_1"]),
    ],
)
def test_the_score_of_the_positive_class_is_read_by_any_of_its_names(pair: Pair, labels: list[Any], columns: list[str]) -> None:
    scores = {columns[-1]: [0.25, 0.75], **({columns[0]: [0.75, 0.25]} if len(columns) == 2 else {})}
    paired = pair.read({"id": [1, 2], "truth": labels, "prediction": labels, **scores})
    assert paired.classes == tuple(labels)
    assert paired.candidate.score is not None
    assert listed(paired.candidate.score) == [0.25, 0.75]


def test_files_may_write_scores_in_different_ways(pair: Pair) -> None:
    theirs = with_(BINARY, score=None, score_0=[0.9, 0.1, 0.6, 0.8], score_1=[0.1, 0.9, 0.4, 0.2])
    paired = pair.read(BINARY, theirs)
    assert paired.candidate.score is not None
    assert paired.baseline.score is not None
    assert listed(paired.candidate.score) == listed(paired.baseline.score)


def test_the_one_score_counts_where_there_are_two_classes(pair: Pair) -> None:
    paired = pair.read({**BINARY, "score_threshold": [0.5] * 4, "score_note": ["x"] * 4, "score_7": [float("nan")] * 4})
    assert paired.classes == (0, 1)
    assert paired.candidate.score is not None
    assert listed(paired.candidate.score) == BINARY["score"]


def test_a_file_may_have_scores_alone_or_predictions_alone(pair: Pair) -> None:
    paired = pair.read(with_(BINARY, prediction=None), with_(BINARY, score=None))
    assert paired.candidate.prediction is None
    assert paired.candidate.score is not None
    assert paired.baseline.prediction is not None
    assert paired.baseline.score is None


def test_a_single_score_says_nothing_of_three_classes(pair: Pair) -> None:
    columns = {"id": [1, 2, 3], "truth": ["a", "b", "c"], "prediction": ["a", "b", "c"], "score": [0.9, 0.8, 0.7]}
    assert pair.read(columns).candidate.score is None


@pytest.mark.parametrize(
    ("kind", "resolution"), [(pa.float16(), 2**-10), (pa.float32(), 2**-23), (pa.float64(), 2**-52), (pa.int8(), 2**-52)]
)
def test_how_finely_scores_were_stored_is_remembered(pair: Pair, kind: Any, resolution: float) -> None:
    paired = pair.read(with_(BINARY, score=pa.array([0, 1, 1, 0]).cast(kind)))
    assert paired.candidate.score_resolution == resolution
    assert paired.candidate.score is not None
    assert paired.candidate.score.dtype == np.float64


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            with_(THREE, score_c=None),
            "has no column `score_c` for the class `c`, but `score_a`. Write a score for each class.",
        ),
        (
            with_(THREE, score_c=[0.1, 0.9, 0.4]),
            "the scores in `score_…` do not add up to 1 in 2 rows, such as 2, 3.",
        ),
        (
            with_(BINARY, score=None, score_0=[0.5] * 4),
            "has no column `score_1` for the positive class `1`, but `score_0`.",
        ),
        (
            with_(BINARY, score=None, score_0=[0.5] * 4, score_1=[0.5, 0.5, 0.6, 0.5]),
            "the scores in `score_0` and `score_1` do not add up to 1 in 1 row, such as 3.",
        ),
        (
            with_(BINARY, score=None, score_1=[0.5] * 4, score_True=[0.5] * 4),
            "`score_1` and `score_True` are scores of one class, `1`.",
        ),
        (
            with_(BINARY, score=None, score_yes=[0.5] * 4),
            "`score_yes` is the score of no class: they are `0`, `1`. Name score columns as `score_0`.",
        ),
        (
            with_(BINARY, prediction=[0, 1, 2, 0]),
            "has the one column `score` for 3 classes: `0`, `1`, `2`.",
        ),
        (
            with_(THREE, score_b=[0.1, float("nan"), 0.5]),
            "1 value in `score_b` is missing, NaN or infinite, such as 2.",
        ),
    ],
)  # fmt: skip
def test_scores_that_do_not_fit_the_classes(pair: Pair, columns: Columns, message: str) -> None:
    assert pair.refusal(columns).startswith(f"{OURS}: {message}")


# Groups and further columns.


def test_further_columns_are_read_where_the_author_cannot_have_changed_them(pair: Pair) -> None:
    ours = {**BINARY, "carrier": ["X"] * 4, "tail": [9, 9, 9, 9], "origin": ["a", "b", "", "d"]}
    theirs = {**BINARY, "id": [4, 3, 2, 1], "truth": [0, 1, 1, 0], "carrier": ["AA", "BB", "AA", "CC"], "tail": [7, 7, 5, 7]}
    layout = replace(LAYOUT, group="tail", slices=("carrier", "origin"))
    paired = pair.read(ours, theirs, layout)
    assert paired.columns is not None
    assert {name: listed(values) for name, values in paired.columns.items()} == {
        "carrier": ["CC", "AA", "BB", "AA"],
        "origin": ["a", "b", None, "d"],
    }
    assert paired.groups is not None
    assert listed(paired.groups) == [0, 1, 0, 0]


def test_all_columns_are_those_of_the_baseline_without_another_meaning(pair: Pair) -> None:
    theirs = {
        **BINARY,
        "score_1": [0.5] * 4,
        "tail": ["a", "a", "b", "b"],
        "hour": pa.array([1, 2, 3, 4], pa.time32("s")),
        "weight": pa.array([1, 2, 3, 4], pa.float16()),
        "tags": [["x"], [], ["y"], []],
        "raw": [b"1", b"2", b"3", b"4"],
    }
    paired = pair.read({**BINARY, "mine": [1, 2, 3, 4]}, theirs, replace(LAYOUT, slices="all", group="tail"))
    assert paired.columns is not None
    assert sorted(paired.columns) == ["hour", "tail", "weight"]
    assert listed(paired.columns["hour"])[0] == "00:00:01.000"
    assert listed(paired.columns["weight"]) == [1, 2, 3, 4]
    assert all(isinstance(values, pa.Array) and len(values) == 4 for values in paired.columns.values())


def test_a_group_may_be_a_slice_too(pair: Pair) -> None:
    columns = {**BINARY, "tail": ["a", "a", "b", "b"]}
    assert pair.read(columns, layout=replace(LAYOUT, group="tail")).columns == {}
    both = pair.read(columns, layout=replace(LAYOUT, group="tail", slices=("tail",)))
    assert both.columns is not None
    assert listed(both.columns["tail"]) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("values", [["a", None, "b", ""], [1.0, float("nan"), 2.0, None]])
def test_a_row_without_a_group(pair: Pair, values: list[Any]) -> None:
    line = pair.refusal({**BINARY, "tail": values}, layout=replace(LAYOUT, group="tail"))
    assert line.startswith(f"{THEIRS}: 2 values in `tail` are missing, such as 2, 4.")


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout("idd"), "has no column `idd`, which `data.key` names. Did you mean `id`?"),
        (Layout("id", truth="thruth"), "has no column `thruth`, which `train.columns.truth` names. Did you mean `truth`?"),
        (
            Layout("id", prediction="predicted", score="probability"),
            "has no column `predicted`, which `train.columns.prediction` names. Did you mean `prediction`?",
        ),
        (Layout("id", slices=("tail", "tali")), f"has no column `tali`, which `gate.slices` names, and neither has {THEIRS}."),
    ],
)
def test_a_column_that_is_absent(pair: Pair, layout: Layout, message: str) -> None:
    assert pair.refusal({**BINARY, "tail": [1, 2, 3, 4]}, layout=layout).startswith(f"{OURS}: {message}")


def test_the_column_of_groups_is_never_the_candidates(pair: Pair) -> None:
    line = pair.refusal({**BINARY, "tail": [1, 2, 3, 4]}, layout=Layout("id", group="tial"))
    assert line.startswith(f"{THEIRS}: has no column `tial`, which `gate.group` names. Did you mean `tail`?")


def test_numbers_need_predictions(pair: Pair) -> None:
    line = pair.refusal({"id": [1, 2], "truth": [1, 2], "score": [0.1, 0.2]}, task="regression")
    assert line.startswith(f"{OURS}: has no column `prediction`, which `train.columns.prediction` names.")


def test_a_slice_of_lists(pair: Pair) -> None:
    line = pair.refusal({**BINARY, "tags": [["x"], [], ["y"], []]}, layout=replace(LAYOUT, slices=("tags",)))
    assert line.startswith(f"{THEIRS}: `tags` holds list<element: string>, which is no plain value.")


def test_the_layout_is_the_configurations() -> None:
    text = b"""
model: m
data: {key: flight_id, positive: 1}
train: {columns: {truth: y, prediction: said, score: p}}
gate: {group: tail, slices: [carrier, [carrier, origin]], show: [carrier]}
"""
    assert Layout.of(parse_config(text, "modelship.yaml", Path())) == Layout(
        "flight_id", "y", "said", "p", positive=1, group="tail", slices=("carrier", "origin"), shown=("carrier",)
    )
    searching = parse_config(b"{model: m, data: {key: id}, gate: {slices: auto}}", "modelship.yaml", Path())
    assert Layout.of(searching).slices == "all"
    assert "modelship.yaml: `data.key` is not set." in refusal(lambda: Layout.of(parse_config(b"model: m", "modelship.yaml", Path())))


def test_other_names_of_columns(pair: Pair) -> None:
    names = {"id": "flight", "truth": "y", "prediction": "said", "score": "p"}
    paired = pair.read({names[name]: values for name, values in BINARY.items()}, layout=Layout("flight", "y", "said", "p"))
    assert paired.key == "flight"
    assert paired.candidate.score is not None


# A holdout that changed.


def test_what_two_holdouts_share_and_how_they_differ(pair: Pair) -> None:
    ours = pair.candidate({"id": [6, 5, 4, 2, 1], "truth": [1, 0, 1, 1, 0], "prediction": [1, 1, 1, 1, 1]})
    theirs = pair.baseline({"id": [1, 2, 3, 4, 5], "truth": [0, 1, 1, 0, 0], "prediction": [0, 0, 0, 0, 7]})
    paired, differences = common_rows(ours, theirs, LAYOUT, "classification")
    assert differences == Differences(only_candidate=1, only_baseline=1, other_truth=1, examples=("4", "6", "3"))
    assert bool(differences)
    assert paired is not None
    assert listed(paired.keys) == [1, 2, 5]
    assert paired.classes == (0, 1, 7)
    assert listed(paired.truth) == [0, 1, 0]
    assert paired.baseline.prediction is not None
    assert listed(paired.baseline.prediction) == [0, 0, 2]


def test_classes_of_rows_that_are_not_shared_do_not_count(pair: Pair) -> None:
    ours = pair.candidate({"id": [1, 2, 3], "truth": [0, 1, 5], "prediction": [0, 1, 5]})
    paired, _ = common_rows(ours, pair.baseline({"id": [1, 2], "truth": [0, 1], "prediction": [0, 1]}), LAYOUT, "classification")
    assert paired is not None
    assert paired.classes == (0, 1)


def test_the_same_holdout_has_no_differences(pair: Pair) -> None:
    paired, differences = common_rows(pair.candidate(NUMBERS), pair.baseline(NUMBERS), LAYOUT, "regression")
    assert differences == Differences(0, 0, 0)
    assert not differences
    assert paired is not None
    assert len(paired) == 3


@pytest.mark.parametrize("keys", [[10, 20, 30], [10, 20, 3]])
def test_holdouts_that_share_too_little_are_described_all_the_same(pair: Pair, keys: list[int]) -> None:
    paired, differences = common_rows(pair.candidate(with_(NUMBERS, id=keys)), pair.baseline(NUMBERS), LAYOUT, "regression")
    assert paired is None
    assert differences.only_candidate == differences.only_baseline == len(set(keys) - {3})


def test_differences_name_no_text_keys_that_are_not_allowed(pair: Pair) -> None:
    ours, theirs = with_(NUMBERS, id=["Ann", "Bob", "Cy"]), with_(NUMBERS, id=["Ann", "Bob", "Di"])
    for layout, expected in ((LAYOUT, ()), (replace(LAYOUT, shown=("id",)), ("Cy", "Di"))):
        _, differences = common_rows(pair.candidate(ours), pair.baseline(theirs), layout, "regression")
        assert differences == Differences(1, 1, 0, expected)


@given(
    ours=st.dictionaries(st.integers(0, 9), st.integers(0, 2), min_size=2),
    theirs=st.dictionaries(st.integers(0, 9), st.integers(0, 2), min_size=2),
)
@example(ours={0: 0, 1: 1}, theirs={0: 0, 1: 1})
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_shared_alone_or_has_another_truth(pair: Pair, ours: dict[int, int], theirs: dict[int, int]) -> None:
    files = [
        role({"id": list(rows), "truth": list(rows.values()), "prediction": [0] * len(rows)})
        for role, rows in ((pair.candidate, ours), (pair.baseline, theirs))
    ]
    paired, differences = common_rows(files[0], files[1], LAYOUT, "classification")
    same = sorted(key for key in ours if key in theirs and ours[key] == theirs[key])
    assert differences.only_candidate == len(ours.keys() - theirs.keys())
    assert differences.only_baseline == len(theirs.keys() - ours.keys())
    assert differences.other_truth == len(ours.keys() & theirs.keys()) - len(same)
    assert (paired is None) == (len(same) < 2)
    if paired is not None:
        assert listed(paired.keys) == same
        assert [paired.classes[code] for code in paired.truth] == [theirs[key] for key in same]
    if differences:
        assert "differ" in (line := refusal(lambda: read_pair(files[0], files[1], LAYOUT, "classification"))) or "not those" in line
    else:
        assert len(read_pair(files[0], files[1], LAYOUT, "classification")) == len(same)


# Files.


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(("rows", "message"), [(0, "holds no rows"), (1, "holds one row")])
def test_too_few_rows(pair: Pair, suffix: str, rows: int, message: str) -> None:
    few = {name: values[:rows] for name, values in BINARY.items()}
    line = pair.refusal(few, BINARY, suffix=suffix)
    assert line == f"{OURS}: {message}, and at least two are needed to compare. Is it complete?"
    assert pair.refusal(BINARY, few, suffix=suffix).startswith(f"{THEIRS}: {message}")


@pytest.mark.parametrize(
    ("raw", "suffix", "message"),
    [
        (b"PAR1 no such thing PAR1", "parquet", "cannot be read as Parquet: "),
        (b"", "parquet", "is empty: not even a header. Was it written completely?"),
        (b"", "csv", "is empty: not even a header."),
        (b"not gzip", "csv.gz", "cannot be read as CSV: Not a gzipped file"),
        (
            b"id,truth,prediction\n1,0,0\n2,1,Ann Smith,1\n",
            "csv",
            "cannot be read as CSV: CSV parse error: Row #3: Expected 3 columns, got 4.",
        ),
        (b"id,truth,prediction\n1,\xff,0\n2,1,1\n", "csv", "`truth` is not UTF-8 text. Write the file in UTF-8."),
        (b"id,tr\xffth,prediction\n1,2,0\n2,1,1\n", "csv", "cannot be read as CSV: 'utf-8' codec can't decode"),
        (b"id,truth,prediction,truth\n1,0,0,0\n2,1,1,1\n", "csv", "names the column `truth` more than once."),
        (b"{}", "json", "is no predictions file by its suffix. Use one of .parquet, .pq, .csv, .csv.gz."),
    ],
)
def test_files_that_cannot_be_read(pair: Pair, raw: bytes, suffix: str, message: str) -> None:
    line = refusal(lambda: read_single(pair.candidate(raw, suffix), LAYOUT, "classification"))
    assert line.startswith(f"{OURS}: {message}")
    assert "Ann" not in line


def test_files_that_are_none(pair: Pair) -> None:
    missing = PredictionsFile(pair.folder / "none.parquet", OURS)
    assert refusal(lambda: read_single(missing, LAYOUT, "regression")) == f"{OURS}: does not exist. Did training write it?"
    (pair.folder / "folder.csv").mkdir()
    folder = PredictionsFile(pair.folder / "folder.csv", OURS)
    assert refusal(lambda: read_single(folder, LAYOUT, "regression")) == f"{OURS}: is a folder. Name one file."


def test_a_parquet_file_that_was_cut_or_damaged(pair: Pair) -> None:
    whole = pair.candidate({"id": list(range(1000)), "truth": [0.5] * 1000, "prediction": [0.25] * 1000})
    raw = whole.path.read_bytes()
    for broken in (raw[: len(raw) // 2], b"PAR1" + bytes(200) + raw[204:]):
        line = refusal(lambda broken=broken: read_single(pair.candidate(broken), LAYOUT, "regression"))  # type: ignore[misc]
        assert line.startswith(f"{OURS}: cannot be read as Parquet: ")
        assert line.endswith("Was it written completely?")


def test_a_footer_with_a_wrong_byte_is_refused_or_read(pair: Pair) -> None:
    """Some of pyarrow's accessors end the process where a footer is broken."""
    raw = pair.candidate({**BINARY, "carrier": ["a", "b", "a", "b"]}).path.read_bytes()
    lines = set()
    for place in range(len(raw) - 1200, len(raw), 5):
        file = pair.candidate(raw[:place] + bytes([raw[place] ^ 0x15]) + raw[place + 1 :])
        try:
            assert len(read_single(file, replace(LAYOUT, slices="all"), "classification")) == 4
        except BadInput as error:
            lines.add(str(error))
    assert len(lines) > 3
    assert all(line.isprintable() and line.startswith(OURS) for line in lines)


def test_text_in_a_parquet_file_must_be_utf_8(pair: Pair) -> None:
    array = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"\xffa"))
    line = pair.refusal({"id": [1, 2], "truth": array, "prediction": ["a", "a"]})
    assert line.startswith(f"{OURS}: cannot be read as Parquet: ")
    assert "UTF8" in line


def test_a_column_twice_in_parquet(pair: Pair) -> None:
    table = pa.table([[1, 2], [0, 1], [0, 1], [1, 1]], names=["id", "truth", "prediction", "truth"])
    pq.write_table(table, pair.folder / "candidate.parquet")
    line = refusal(lambda: read_single(PredictionsFile(pair.folder / "candidate.parquet", OURS), LAYOUT, "classification"))
    assert line == f"{OURS}: names the column `truth` more than once. Give each column a name of its own."


def test_only_the_columns_that_are_needed_are_read(pair: Pair) -> None:
    paired = pair.read(b'note,id,prediction,truth\n"a\nb",2,1,1\n\xff,1,1,0\n', suffix="csv")
    assert listed(paired.keys) == [1, 2]
    assert listed(paired.truth) == [0, 1]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_csv_with_a_byte_order_mark_quotes_and_missing_slices(pair: Pair, suffix: str) -> None:
    header = '\ufeff"id","truth","prediction","carrier, short","wind"\r\n'
    text = header + '2,False,True,"A, ""A""",1.5\r\n1,True,True,NA,NA\r\n3,True,True,,\r\n'
    raw = gzip.compress(text.encode()) if suffix == "csv.gz" else text.encode()
    paired = pair.read(raw, layout=replace(LAYOUT, slices=("carrier, short", "wind")), suffix=suffix)
    assert paired.classes == (False, True)
    assert paired.columns is not None
    assert listed(paired.columns["carrier, short"]) == ["NA", 'A, "A"', None]
    assert listed(paired.columns["wind"]) == [None, 1.5, None]


def test_columns_with_dots_and_row_groups(pair: Pair) -> None:
    columns = {
        "flight.id": [f"k{i}" for i in range(10)],
        "truth": [["no", "yes"][i // 5] for i in range(10)],
        "prediction": ["yes"] * 10,
        "flight": [{"id": i} for i in range(10)],
        "air.port": ["a", "b"] * 5,
    }
    for role in ("candidate", "baseline"):
        pq.write_table(pa.table(columns), pair.folder / f"{role}.parquet", row_group_size=3)
    files = [PredictionsFile(pair.folder / f"{role}.parquet", role) for role in ("candidate", "baseline")]
    line = refusal(lambda: read_pair(files[0], files[1], Layout("flight.id", slices=("flight",)), "classification"))
    assert line.startswith("baseline: `flight` holds struct<id: int64>, which is no plain value.")
    paired = read_pair(files[0], files[1], Layout("flight.id", slices=("air.port",)), "classification")
    assert listed(paired.truth) == [0] * 5 + [1] * 5
    assert paired.columns is not None
    assert listed(paired.columns["air.port"]) == ["a", "b"] * 5


def test_an_unnamed_pandas_index_is_no_column(pair: Pair) -> None:
    paired = pair.read({**BINARY, "__index_level_0__": [3, 2, 1, 0]}, layout=replace(LAYOUT, slices="all"))
    assert paired.columns == {}


# Bounds.


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ("MAX_BYTES", 10, "MiB are read."),
        ("MAX_ROWS", 3, "has 4 rows; at most 3 are read. Judge on fewer rows, or write fewer columns."),
        ("MAX_COLUMNS", 3, "has 4 columns; at most 3 are read."),
    ],
)
def test_files_that_are_too_large(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, suffix: str, bound: str, value: int, message: str
) -> None:
    monkeypatch.setattr(prediction_tables, bound, value)
    line = pair.refusal(BINARY, suffix=suffix)
    assert line.startswith(f"{OURS}: ")
    assert message in line


def test_a_parquet_file_that_unpacks_to_too_much(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_tables, "MAX_MEMORY_BYTES", 1024**2)
    n = 40_000
    columns = {"id": list(range(n)), "truth": [0] * n, "prediction": [0] * n, "note": ["x" * 100] * n}
    assert len(read_single(pair.candidate(columns), LAYOUT, "classification")) == n  # What is not needed is not counted.
    line = refusal(lambda: read_single(pair.candidate({**columns, "score": [0.0] * n}), LAYOUT, "classification"))
    assert line.startswith(f"{OURS}: would need more than 0.000976562 GiB of memory.")


def test_a_long_text_that_stands_in_every_row(pair: Pair) -> None:
    """A few kilobytes on disk and in the footer, ten gigabytes when every row has its own copy."""
    n = 10_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["x" * 1_000_000]))
    bomb = {"id": list(range(n)), "truth": [0] * n, "prediction": [0] * n, "carrier": text}
    layout = replace(LAYOUT, slices=("carrier",))
    file = pair.candidate(bomb)
    assert file.path.stat().st_size < 1_000_000
    line = refusal(lambda: read_single(file, layout, "classification"))
    assert line.startswith(f"{OURS}: holds more than 2 GiB of text in `carrier`.")


def test_a_csv_file_that_unpacks_to_too_much(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_tables, "MAX_CSV_BYTES", 100_000)
    bomb = gzip.compress(b"id,truth,prediction\n" + b"1,0,0\n" * 1_000_000)
    line = refusal(lambda: read_single(pair.candidate(bomb, "csv.gz"), LAYOUT, "classification"))
    assert line.startswith(f"{OURS}: unpacks to more than ")


def test_a_csv_header_without_an_end(pair: Pair) -> None:
    endless = gzip.compress(b"a," * 2_000_000)
    line = refusal(lambda: read_single(pair.candidate(endless, "csv.gz"), LAYOUT, "classification"))
    assert line.startswith(f"{OURS}: has a header of more than 1 MiB.")
