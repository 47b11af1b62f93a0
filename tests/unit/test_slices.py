"""Slices: what they are called, that they part the rows, and that fifty of them raise no false alarm."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.simulated import measure_named
from benchmarks.slices import NUMBERS, SCENARIOS, Scenario, false_alarms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelship.core.config import Limit
from modelship.core.errors import BadInput
from modelship.core.records import Slices
from modelship.gate.rows.columns import LONGEST, is_text, slice_column, texts
from modelship.gate.rows.paired import Answers, Paired
from modelship.gate.rows.slices import FEWEST, MOST_SLICES, Partition, Piece, judge_pieces, judge_slices, partition

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")


def rows(n: int, **columns: Any) -> Paired:
    """n rows that both models get right."""
    truth = np.arange(n) % 2
    answers = Answers(truth, truth.astype(np.float64))
    return Paired("classification", "id", pa.array(range(n)), truth, (0, 1), 1, answers, answers, None, columns)


def named(column: Any) -> list[tuple[str, int]]:
    """The slices of a column that have rows, with their number of rows."""
    parted = partition(rows(len(column), x=column), "x")
    return [(piece.slice["x"], len(piece.rows)) for piece in parted.pieces()]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["b", "a", None, "b"]), [("a", 1), ("b", 2), ("missing", 1)]),
        (pa.array(["b", "a", "b"], pa.large_string()), [("a", 1), ("b", 2)]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), [("a", 1), ("b", 2)]),
        (pa.chunked_array([["b"], ["a", "b"]]), [("a", 1), ("b", 2)]),
        (pa.array([True, None, False, True]), [("false", 1), ("true", 2), ("missing", 1)]),
        (pa.array([2013, 12, None, 2013], pa.int16()), [("12", 1), ("2013", 2), ("missing", 1)]),
        (pa.array([0.5, float("nan"), -0.0, 0.0, None]), [("0", 2), ("0.5", 1), ("missing", 2)]),
        (pa.array([0.1, 0.1], pa.float32()), [("0.1", 2)]),
        (pa.array([float("inf"), 1.0]), [("1", 1), ("inf", 1)]),
        (pa.array([Decimal("1.50"), None]), [("1.5", 1), ("missing", 1)]),
        (pa.array([datetime.date(2013, 1, 5), None]), [("2013-01-05", 1), ("missing", 1)]),
        (pa.array([datetime.datetime(2013, 1, 5, 6, 30)] * 2), [("2013-01-05 06:30", 2)]),
        (pa.array([datetime.datetime(2013, 1, 5, 6, 30, 7, 250000)]), [("2013-01-05 06:30:07.25", 1)]),
        (pa.array([datetime.datetime(2013, 1, 5)], pa.timestamp("ns", "Europe/Rome")), [("2013-01-05 UTC", 1)]),
        (pa.array([None, None]), [("missing", 2)]),
        (
            pa.array(["missing", None, "", "other (2 values)"]),
            [('""', 1), ('"missing"', 1), ('"other (2 values)"', 1), ("missing", 1)],
        ),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_few_values_are_a_slice_each(column: Any, expected: list[tuple[str, int]]) -> None:
    assert named(column) == expected


def test_more_numbers_than_thirty_are_binned_at_round_edges() -> None:
    assert named(pa.array([None, *range(1, 2501)])) == [
        ("below 500", 499),
        ("500 to 1,000", 500),
        ("1,000 to 1,500", 500),
        ("1,500 to 2,000", 500),
        ("2,000 and more", 501),
        ("missing", 1),
    ]


def test_a_value_that_most_rows_have_makes_fewer_bins() -> None:
    column = pa.array([0.0] * 700 + [number / 10 for number in range(1, 301)])
    assert named(column) == [("below 10", 799), ("10 and more", 201)]


def test_days_are_binned_by_day() -> None:
    start = np.datetime64("2013-01-01T03:20:00", "us")
    assert named(pa.array(start + np.arange(100) * np.timedelta64(1, "D"))) == [
        ("below 2013-01-21", 20),
        ("2013-01-21 to 2013-02-10", 20),
        ("2013-02-10 to 2013-03-02", 20),
        ("2013-03-02 to 2013-03-22", 20),
        ("2013-03-22 and more", 20),
    ]


def test_more_texts_than_thirty_keep_the_most_frequent() -> None:
    column = [f"v{number:02}" for number in range(40) for _ in range(number + 1)]
    slices = named(pa.array(column))
    assert slices[0] == ("v11", 12)
    assert slices[-2:] == [("v39", 40), ("other (11 values)", sum(range(1, 12)))]
    assert len(slices) == 30


def test_long_values_are_cut_and_kept_apart() -> None:
    first, second = (piece for piece, _ in named(pa.array(["x" * 500 + "a", "x" * 500 + "b"])))
    assert first != second
    assert max(len(first), len(second)) <= LONGEST + len(" (2)")


def test_text_that_is_not_valid_utf8_is_a_slice_like_any_other() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a\xff", b"b"], pa.binary()).buffers())
    assert [count for _, count in named(broken)] == [1, 1]


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("carier", pa.array(["a", "b"]), "`gate.slices`: the predictions have no column `carier`. Did you mean `carrier`?"),
        ("carrier", pa.array([[1], [2]]), "column `carrier` is of type list<"),
        ("carrier", pa.array([b"a", b"b"]), "column `carrier` is of type binary"),
    ],
)
def test_a_column_that_cannot_be_sliced_is_named(name: str, column: Any, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        partition(rows(2, carrier=column), name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pairs_are_the_combinations_that_there_are() -> None:
    paired = rows(5, a=pa.array(["x", "x", "y", "y", "y"]), b=pa.array([1, 2, 1, 1, None]))
    found = [(piece.slice, piece.rows.tolist()) for piece in partition(paired, ("a", "b")).pieces()]
    assert found == [
        ({"a": "x", "b": "1"}, [0]),
        ({"a": "x", "b": "2"}, [1]),
        ({"a": "y", "b": "1"}, [2, 3]),
        ({"a": "y", "b": "missing"}, [4]),
    ]


def test_only_text_needs_leave_to_be_shown() -> None:
    shown = [pa.array([1]), pa.array([0.5]), pa.array([True]), pa.array([datetime.date(2013, 1, 5)]), pa.array([None])]
    hidden = [
        pa.array(["a"]),
        pa.array(["a"], pa.large_string()),
        pa.array(["a"]).dictionary_encode(),
        pa.array([b"a"]),
        pa.array([["a"]]),
    ]
    assert [is_text(column) for column in [*shown, *hidden]] == [False] * 5 + [True] * 5


columns = st.one_of(
    st.lists(st.none() | st.text(max_size=3), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.string())),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.int64())),
    st.lists(st.none() | st.integers(0, 2**64 - 1), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.uint64())),
    st.lists(st.none() | st.floats(), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.float64())),
    st.lists(st.none() | st.floats(width=16), min_size=2, max_size=200).map(
        lambda values: pa.array([None if value is None else np.float16(value) for value in values], pa.float16())
    ),
    st.lists(st.none() | st.booleans(), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.bool_())),
    st.lists(st.none() | st.dates(), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.date32())),
    st.lists(st.none() | st.datetimes(), min_size=2, max_size=200).map(lambda values: pa.array(values, pa.timestamp("us"))),
)


@given(columns)
def test_every_row_is_in_exactly_one_slice(column: Any) -> None:
    pieces = list(partition(rows(len(column), x=column), "x").pieces())
    assert sorted(row for piece in pieces for row in piece.rows) == list(range(len(column)))
    assert len({str(piece) for piece in pieces}) == len(pieces) <= 31
    missing = [row for piece in pieces if piece.slice["x"] == "missing" for row in piece.rows]
    values = column.to_pylist()
    assert missing == [row for row, value in enumerate(values) if value is None or value != value]
    assert len(texts(column, np.arange(len(column)))) == len(column)


@given(columns, st.randoms(use_true_random=False))
def test_slices_do_not_depend_on_the_order_of_rows(column: Any, random: Any) -> None:
    order = list(range(len(column)))
    random.shuffle(order)
    assert named(column.take(pa.array(order))) == named(column)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=40, max_size=300, unique=True))
def test_bins_hold_what_their_names_say(values: list[int]) -> None:
    coded = slice_column("x", pa.array(values), most=30, bins=5)
    assert coded is not None
    for code, value in zip(coded.codes, values, strict=True):
        name = coded.text(np.arange(coded.missing + 1) == code).replace(",", "").replace("−", "-")
        low, high = (
            (-np.inf, float(name.removeprefix("below ")))
            if name.startswith("below ")
            else (float(name.removesuffix(" and more")), np.inf)
            if name.endswith(" and more")
            else tuple(map(float, name.split(" to ")))
            if " to " in name
            else (float(name), float(name) + 1)
        )
        assert low <= value < high


# Verdicts.

ACCURACY = {"accuracy": measure_named("accuracy")}
NO_MARGIN = {"accuracy": Limit(max_regression=0.0)}


def classifiers(n: int, wrong_before: Sequence[int], wrong_now: Sequence[int], **columns: Any) -> Paired:
    """n rows, every second one positive; the models are wrong on the given rows."""
    truth = np.arange(n) % 2
    before, now = truth.copy(), truth.copy()
    before[list(wrong_before)] ^= 1
    now[list(wrong_now)] ^= 1
    return Paired("classification", "id", pa.array(range(n)), truth, (0, 1), 1, Answers(now), Answers(before), None, columns)


def judged(paired: Paired, limit: float | str = 0.0, *, min_rows: int = 100, by: str = "part") -> Slices:
    limits = {"accuracy": Limit(max_regression=limit)}
    return judge_slices(paired, [partition(paired, by)], ACCURACY, limits, confidence=0.95, min_rows=min_rows)


def test_each_state_with_its_reason_and_an_interval_that_agrees() -> None:
    part = pa.array(np.repeat(["worse", "better", "same", "unclear", "few"], [400, 400, 400, 400, 99]))
    wrong_before = [*range(400, 500), *range(1200, 1210)]
    wrong_now = [*range(100), *range(1210, 1225)]
    slices = judged(classifiers(1699, wrong_before, wrong_now, part=part))
    found = {one.slice["part"]: one for one in slices.verdicts}
    assert [one.slice["part"] for one in slices.verdicts] == ["worse", "unclear", "same", "better"]
    assert {name: one.verdict.state for name, one in found.items()} == {
        "worse": "fail",
        "unclear": "inconclusive",
        "same": "pass",
        "better": "pass",
    }
    assert [found[name].verdict.reason for name in ("worse", "same", "better")] == ["worse", "same", "better"]
    worse = found["worse"]
    assert (worse.rows, worse.verdict.baseline, worse.verdict.candidate, worse.verdict.change) == (400, 1.0, 0.75, -0.25)
    assert worse.verdict.interval is not None
    assert worse.verdict.interval[1] < 0
    assert worse.verdict.proven
    assert worse.verdict.recomputed
    assert found["unclear"].verdict.rows_to_decide is not None
    assert slices.comparisons == 4
    assert slices.too_few == ("part=few (99 rows)",)
    assert slices.min_rows == 100


def test_intervals_hold_for_all_comparisons_at_once() -> None:
    part = pa.array(np.repeat([f"{number:02}" for number in range(20)], 100))
    paired = classifiers(2000, [], range(0, 2000, 10), part=part)
    alone = judge_pieces(paired, [Piece({"part": "00"}, np.arange(100))], ACCURACY, NO_MARGIN, confidence=0.95, min_rows=100)
    among = judged(paired)
    narrow, wide = alone.verdicts[0].verdict.interval, among.verdicts[0].verdict.interval
    assert narrow is not None
    assert wide is not None
    assert (alone.comparisons, among.comparisons) == (1, 20)
    ratio = stats.t.ppf(1 - 0.05 / 20 / 2, 99) / stats.t.ppf(1 - 0.05 / 2, 99)
    assert wide[1] - wide[0] == pytest.approx((narrow[1] - narrow[0]) * ratio)


def test_a_relative_margin_is_taken_within_the_slice() -> None:
    part = pa.array(np.repeat(["a", "b"], 100))
    slices = judged(classifiers(200, range(50), range(50), part=part), "10%")
    assert {one.slice["part"]: one.verdict.margin for one in slices.verdicts} == {"a": pytest.approx(0.05), "b": pytest.approx(0.1)}


def test_absolute_limits_are_not_held_against_parts() -> None:
    part = pa.array(np.repeat(["a", "b"], 100))
    paired = classifiers(200, range(50), range(50), part=part)
    for limit in (Limit(min=0.9), Limit(min=0.9, max_regression=0.0)):
        slices = judge_slices(paired, [partition(paired, "part")], ACCURACY, {"accuracy": limit}, confidence=0.95, min_rows=100)
        assert {one.verdict.state for one in slices.verdicts} <= {"pass"}
        assert slices.comparisons == (2 if limit.max_regression is not None else 0)


def test_what_cannot_be_judged_is_listed_and_not_counted() -> None:
    truth = np.repeat([0, 0, 1, 0, 1, 0], [200, 190, 10, 100, 100, 49])
    score = np.linspace(0.1, 0.9, len(truth))
    part = pa.array(np.repeat(["one class", "rare", "both", "tiny"], [200, 200, 200, 49]))
    paired = Paired(
        "classification", "id", None, truth, (0, 1), 1, Answers(None, score), Answers(None, score[::-1].copy()), None, {"part": part}
    )
    slices = judge_slices(
        paired,
        [partition(paired, "part")],
        {"roc_auc": measure_named("roc_auc")},
        {"roc_auc": Limit(max_regression=0.01)},
        confidence=0.95,
        min_rows=10,
    )
    assert [one.slice for one in slices.verdicts] == [{"part": "both"}]
    assert slices.comparisons == 1
    assert sorted(slices.too_few) == [
        "part one class (roc_auc: all rows are of one class in truth)",
        "part=rare (roc_auc: rests on 10 rows)",
        "part=tiny (49 rows)",
    ]
    assert slices.min_rows == FEWEST


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("recall", "rests on 25 rows"),
        ("precision", "rests on 12 rows"),
        ("f1", "rests on 27 rows"),
        ("f1_macro", ""),
        ("matthews_corrcoef", "rests on 24 rows"),
        ("precision_macro", "rests on 23 rows"),
        ("balanced_accuracy", ""),
        ("accuracy", ""),
    ],
)
def test_a_ratio_needs_rows_below_its_line(metric: str, reason: str) -> None:
    truth = np.repeat([0, 1], [75, 25])
    before, now = np.repeat([0, 1], [70, 30]), np.repeat([0, 1], [88, 12])
    paired = Paired("classification", "id", None, truth, (0, 1), 1, Answers(now), Answers(before))
    slices = judge_pieces(
        paired,
        [Piece({"part": "a"}, np.arange(100))],
        {metric: measure_named(metric)},
        {metric: Limit(max_regression=0.0)},
        confidence=0.95,
        min_rows=100,
    )
    assert slices.too_few == ((f"part=a ({metric}: {reason})",) if reason else ())
    assert slices.comparisons == (0 if reason else 1)


def test_a_median_that_hardly_a_row_crosses_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 200)
    before = truth + rng.normal(0, 1, 200)
    paired = Paired("regression", "id", None, truth, (), None, Answers(before + 1e-6 * rng.normal(0, 1, 200)), Answers(before))
    pieces = [Piece({"part": "a"}, np.arange(200))]
    metric = {"median_absolute_error": measure_named("median_absolute_error")}
    limits = {"median_absolute_error": Limit(max_regression=0.0)}
    slices = judge_pieces(paired, pieces, metric, limits, confidence=0.95, min_rows=100)
    assert slices.too_few == ("part=a (median_absolute_error: 0 rows crossing the median)",)
    same = judge_pieces(replace(paired, candidate=paired.baseline), pieces, metric, limits, confidence=0.95, min_rows=100)
    assert [one.verdict.reason for one in same.verdicts] == ["same"]


def test_rows_of_few_groups_are_not_judged() -> None:
    paired = classifiers(400, [], range(100), part=pa.array(["a", "b"] * 200))
    grouped = replace(paired, groups=np.arange(400) // 2 % 40)
    assert judged(grouped).too_few == ("part=a (200 rows of 40 groups)", "part=b (200 rows of 40 groups)")
    assert len(judged(replace(paired, groups=np.arange(400) // 2)).verdicts) == 2


def test_of_very_many_slices_the_largest_are_judged_and_the_lists_stay_short() -> None:
    sizes = np.arange(FEWEST, FEWEST + MOST_SLICES + 200)
    codes = np.repeat(np.arange(len(sizes)), sizes).astype(np.int16)
    n = len(codes)
    part = Partition(("part",), codes, tuple({"part": str(number)} for number in range(len(sizes))))
    slices = judge_slices(classifiers(n, [], []), [part], ACCURACY, NO_MARGIN, confidence=0.95, min_rows=FEWEST)
    assert slices.comparisons == MOST_SLICES
    assert len(slices.verdicts) == 300
    assert min(one.rows for one in slices.verdicts) == FEWEST + MOST_SLICES - 100
    assert len(slices.too_few) == 100
    assert slices.too_few[0] == "part=199 (not among the 1,000 largest slices)"
    assert slices.more_too_few == 100


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_verdicts_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    part, wrong = pa.array(rng.choice(["a", "b", "c"], 600)), rng.choice(600, (2, 60))
    paired = classifiers(600, wrong[0], wrong[1], part=part)
    order = rng.permutation(600)
    shuffled = replace(paired.take(order), columns={"part": part.take(pa.array(order))})
    here, there = judged(paired), judged(shuffled)
    assert [(one.slice, one.rows, one.verdict.state) for one in here.verdicts] == [
        (one.slice, one.rows, one.verdict.state) for one in there.verdicts
    ]


# Calibration.

RUNS = 40


def most_alarms(runs: int, share: float = 0.05) -> int:
    """More false alarms than this would come of a true share of `share` once in a hundred times."""
    return int(stats.binom.ppf(0.99, runs, share))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_fifty_slices_of_equal_models_hardly_ever_fail(scenario: Scenario) -> None:
    smaller = replace(scenario, sizes=tuple(min(size, 1000) for size in scenario.sizes))
    assert false_alarms(smaller, RUNS, seed=1) <= most_alarms(RUNS)


def test_without_correction_they_would() -> None:
    """The simulation above can fail: slices and metrics that each count as the only one raise a false alarm nearly always."""
    scenario = SCENARIOS[1]
    measures = {name: measure_named(name) for name in scenario.measures}
    rng, alarms = np.random.default_rng(1), 0
    for _ in range(10):
        paired = scenario.draw(rng, len(scenario.partition().codes), 0.0)
        alarms += any(
            one.verdict.state == "fail"
            for piece in scenario.partition().pieces()
            for name in measures
            for one in judge_pieces(
                paired, [piece], measures, {name: Limit(max_regression=0.0)}, confidence=0.95, min_rows=FEWEST
            ).verdicts
        )
    assert alarms > most_alarms(10)


def test_a_slice_that_got_worse_is_found_among_fifty() -> None:
    scenario = next(one for one in SCENARIOS if one.measures == NUMBERS)
    measures = {name: measure_named(name) for name in NUMBERS}
    limits = {name: Limit(max_regression=0.0) for name in NUMBERS}
    rng = np.random.default_rng(2)
    paired = scenario.draw(rng, len(scenario.partition().codes), 0.0)
    assert paired.candidate.prediction is not None
    worse = paired.candidate.prediction.copy()
    worse[:100] += rng.normal(0, 6, 100)
    slices = judge_slices(
        replace(paired, candidate=Answers(worse)), [scenario.partition()], measures, limits, confidence=0.95, min_rows=100
    )
    assert {one.slice["part"] for one in slices.verdicts if one.verdict.state == "fail"} == {"0"}
