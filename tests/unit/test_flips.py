"""Flips: counted, found where they concentrate, and shown without giving away what may not be shown."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelship.core.records import Flips
from modelship.gate.rows.flips import find_flips, log_upper_tail
from modelship.gate.rows.paired import Answers, Paired
from modelship.gate.rows.slices import partition

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")


def paired(truth: Any, before: Any, now: Any, *, keys: Any = None, classes: Any = (0, 1), **columns: Any) -> Paired:
    n = len(truth)
    return Paired(
        "classification",
        "id",
        pa.array(range(n)) if keys is None else keys,
        np.asarray(truth, dtype=np.intp),
        classes,
        1 if len(classes) == 2 else None,
        now if isinstance(now, Answers) else Answers(np.asarray(now, dtype=np.intp)),
        before if isinstance(before, Answers) else Answers(np.asarray(before, dtype=np.intp)),
        None,
        columns,
    )


def flips(rows: Paired, *by: Any, **options: Any) -> Flips:
    found = find_flips(rows, [partition(rows, columns) for columns in by], confidence=0.95, **options)
    assert found is not None
    return found


def concentrated(n: int = 1000, inside: int = 100, wrong: int = 20, outside: int = 9) -> Paired:
    """`inside` rows of EV, of which `wrong` are newly wrong; `outside` elsewhere."""
    now = np.zeros(n, dtype=np.intp)
    now[:wrong] = 1
    now[inside : inside + outside] = 1
    before = np.zeros(n, dtype=np.intp)
    before[wrong : wrong + 3] = 1  # Newly right.
    return paired(np.zeros(n), before, now, carrier=pa.array(["EV"] * inside + ["AA", "DL"] * ((n - inside) // 2)))


def test_rows_are_counted_by_what_they_were_and_are() -> None:
    found = flips(paired([0, 0, 0, 0, 1, 2], [0, 1, 0, 1, 0, 2], [0, 0, 1, 2, 0, 1], classes=("a", "b", "c")))
    assert (found.newly_right, found.newly_wrong) == (1, 2)
    shown = [(one.key, one.truth, one.baseline, one.candidate) for one in found.examples]
    assert shown == [("2", "a", "a", "b"), ("5", "c", "c", "b")]


@pytest.mark.parametrize(
    "rows",
    [
        replace(concentrated(), task="regression"),
        replace(concentrated(), candidate=Answers(None, np.zeros(1000))),
        replace(concentrated(), baseline=Answers(None, np.zeros(1000))),
    ],
    ids=["regression", "candidate", "baseline"],
)
def test_without_classes_there_are_no_flips(rows: Paired) -> None:
    assert find_flips(rows, [], confidence=0.95) is None


def test_a_cohort_is_named_where_newly_wrong_rows_concentrate() -> None:
    (cohort,) = flips(concentrated(), "carrier", show=("carrier",)).cohorts
    assert (cohort.slice, cohort.rows, cohort.newly_wrong, cohort.newly_right) == ({"carrier": "EV"}, 100, 20, 3)
    assert cohort.lift == pytest.approx((20 / 100) / (9 / 900))


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (concentrated(wrong=4, outside=0), "four rows are too few"),
        (concentrated(wrong=2, outside=18), "no more frequent than elsewhere"),
        (concentrated(wrong=5, outside=20), "could be chance"),
        (concentrated(n=100, inside=100, outside=0), "all rows are no cohort"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_cohort_is_named_without_cause(rows: Paired, why: str) -> None:
    assert flips(rows, "carrier", show=("carrier",)).cohorts == (), why


def test_where_none_is_wrong_elsewhere_the_lift_is_a_number() -> None:
    found = flips(concentrated(outside=0), "carrier", show=("carrier",))
    assert found.cohorts[0].lift == pytest.approx((20 / 100) / (1 / 900))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Flips) == found


def test_the_most_striking_five_come_first() -> None:
    sizes, wrong = [200] * 6 + [8800], [100, 80, 70, 60, 50, 40, 0]
    now = np.concatenate([np.arange(size) < count for size, count in zip(sizes, wrong, strict=True)])
    rows = paired(np.zeros(10_000), np.zeros(10_000), now, part=pa.array(np.repeat(list("abcdefz"), sizes)))
    assert [cohort.slice["part"] for cohort in flips(rows, "part", show=("part",)).cohorts] == list("abcde")


def test_pairs_are_looked_at_where_they_are_named() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.choice(["x", "y"], 4000), rng.choice(["x", "y"], 4000)
    rows = paired(
        np.zeros(4000), np.zeros(4000), rng.random(4000) < np.where((a == "x") & (b == "y"), 0.1, 0.02), a=pa.array(a), b=pa.array(b)
    )
    assert flips(rows, "a", "b", ("a", "b"), show=("a", "b")).cohorts[0].slice == {"a": "x", "b": "y"}


def test_chance_names_a_cohort_at_most_one_time_in_twenty() -> None:
    rng, runs, named = np.random.default_rng(0), 300, 0
    part = pa.array(rng.choice([f"{number}" for number in range(20)], 2000))
    for _ in range(runs):
        named += bool(
            flips(paired(np.zeros(2000), np.zeros(2000), rng.random(2000) < 0.05, part=part), "part", show=("part",)).cohorts
        )
    assert named <= stats.binom.ppf(0.99, runs, 0.05)


def test_groups_that_flip_together_count_as_less() -> None:
    rng, runs = np.random.default_rng(0), 200
    groups = np.repeat(np.arange(400), 10)
    part = pa.array(np.repeat([f"{number}" for number in range(10)], 400))
    named = {"grouped": 0, "as if independent": 0}
    for _ in range(runs):
        rows = paired(np.zeros(4000), np.zeros(4000), (rng.random(400) < 0.1)[groups], part=part)
        named["as if independent"] += bool(flips(rows, "part", show=("part",)).cohorts)
        named["grouped"] += bool(flips(replace(rows, groups=groups), "part", show=("part",)).cohorts)
    assert named["grouped"] <= stats.binom.ppf(0.99, runs, 0.05) < named["as if independent"]


@given(st.data())
@settings(max_examples=300)
def test_the_tail_is_that_of_the_hypergeometric_distribution(data: st.DataObject) -> None:
    population = data.draw(st.integers(1, 2000))
    marked, drawn = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    seen = data.draw(st.integers(0, min(marked, drawn)))
    exact = math.fsum(stats.hypergeom.pmf(range(seen, min(marked, drawn) + 1), population, marked, drawn))
    assert math.exp(log_upper_tail(seen, drawn, marked, population)) == pytest.approx(min(exact, 1), rel=1e-8, abs=1e-290)


def test_a_tail_too_small_for_a_number_has_a_logarithm() -> None:
    assert log_upper_tail(5000, 5000, 5000, 1_000_000) == pytest.approx(
        -(math.lgamma(1e6 + 1) - math.lgamma(5001) - math.lgamma(1e6 - 5000 + 1))
    )


# Examples.


def test_the_most_confident_mistakes_are_shown_first_and_ties_go_by_key() -> None:
    score_before = np.array([0.2, 0.1, 0.4, 0.4, 0.9] + [0.0] * 15)
    score_now = np.array([0.6, 0.97, 0.7, 0.7, 0.2] + [0.0] * 15)
    rows = paired(
        [0, 0, 0, 0, 1] + [0] * 15,
        Answers((score_before >= 0.5).astype(np.intp), score_before),
        Answers((score_now >= 0.5).astype(np.intp), score_now),
        keys=pa.array([5, 1, 30, 4, *range(100, 116)]),
        classes=("in time", "late"),
    )
    assert [(one.key, one.truth, one.baseline, one.candidate) for one in flips(rows).examples] == [
        ("1", "in time", "in time (0.90)", "late (0.97)"),
        ("100", "late", "late (0.90)", "in time (0.80)"),
        ("5", "in time", "in time (0.80)", "late (0.60)"),
        ("4", "in time", "in time (0.60)", "late (0.70)"),
        ("30", "in time", "in time (0.60)", "late (0.70)"),
    ]


def test_scores_of_many_classes_and_scores_that_are_no_probabilities() -> None:
    before, now = np.array([[0.7, 0.2, 0.1]]), np.array([[0.1, 0.3, 0.6]])
    many = paired([0], Answers(np.array([0]), before), Answers(np.array([2]), now), classes=("a", "b", "c"))
    assert [(one.baseline, one.candidate) for one in flips(many).examples] == [("a (0.70)", "c (0.60)")]
    margins = paired([1], Answers(np.array([1]), np.array([3.5])), Answers(np.array([0]), np.array([-2.0])))
    assert [(one.baseline, one.candidate) for one in flips(margins).examples] == [("1", "0")]


def test_without_scores_ten_rows_are_taken_evenly() -> None:
    rows = paired(np.zeros(100), np.zeros(100), np.ones(100), keys=pa.array(range(99, -1, -1)))
    assert [one.key for one in flips(rows).examples] == ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"]


def test_values_that_may_be_shown_stand_beside_the_row() -> None:
    rows = paired(
        [0],
        [0],
        [1],
        distance=pa.array([1020.0]),
        day=pa.array([datetime.date(2013, 1, 5)]),
        gone=pa.array([None], pa.float64()),
        carrier=pa.array(["EV"]),
        name=pa.array(["Ann"]),
    )
    (example,) = flips(rows, values=("distance", "day", "gone", "carrier", "name"), show=("carrier",)).examples
    assert example.values == {"distance": "1020", "day": "2013-01-05", "gone": "missing", "carrier": "EV"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (57.19836535716084, "57.1984"),
        (-0.1706790777150932, "−0.170679"),
        (1234567.89, "1234568"),
        (2013.0, "2013"),
        (12345678.0, "12345678"),
    ],
)
def test_values_beside_a_row_are_as_long_as_is_worth_reading(value: float, shown: str) -> None:
    rows = paired([0], [0], [1], age=pa.array([value]))
    (example,) = flips(rows, values=("age",)).examples
    assert example.values == {"age": shown}


SECRET = "Ann Example"


@given(
    st.sets(st.sampled_from(["id", "person", "carrier"])),
    st.lists(st.sampled_from(["person", "carrier", "distance", ("person", "distance"), ("carrier", "person")]), unique=True),
)
def test_text_that_may_not_be_shown_is_nowhere(show: set[str], by: list[Any]) -> None:
    rows = concentrated()
    secrets = {"id": f"{SECRET} id", "person": f"{SECRET} person", "carrier": f"{SECRET} carrier"}
    rows = replace(
        rows,
        keys=pa.array([f"{secrets['id']} {number}" for number in range(1000)]),
        columns={
            "person": pa.array([secrets["person"]] * 100 + ["else"] * 900).dictionary_encode(),
            "carrier": pa.array([secrets["carrier"]] * 100 + ["else"] * 900, pa.large_string()),
            "distance": pa.array([1] * 100 + [2] * 900),
        },
    )
    found = flips(rows, *by, values=("person", "carrier", "distance"), show=show)
    written = msgspec.json.encode(found).decode()
    hidden = {"id", "person", "carrier"} - show
    assert not [name for name in hidden if secrets[name] in written]
    assert found.keys_hidden == ("id" in hidden)
    assert all(bool(one.key) == ("id" in show) for one in found.examples)
    assert len(found.examples) == 10
    assert all(one.values["distance"] in ("1", "2") for one in found.examples)


def test_long_texts_are_cut() -> None:
    rows = paired([0], [0], [1], keys=pa.array(["k" * 5000]), classes=("t" * 5000, "u" * 5000), part=pa.array(["v" * 5000]))
    (example,) = flips(rows, values=("part",), show=("id", "part")).examples
    assert max(map(len, (example.key, example.truth, example.baseline, example.candidate, example.values["part"]))) <= 100


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_counts_add_up_and_the_order_of_rows_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, before, now = rng.integers(0, 3, (3, 400))
    score = rng.random((400, 3)).round(1)
    part = pa.array(rng.choice(["x", "y"], 400))
    keys = pa.array(rng.permutation(400))
    rows = paired(truth, Answers(before, score), Answers(now, score[::-1].copy()), keys=keys, classes=(0, 1, 2), part=part)
    found = flips(rows, "part", values=("part",), show=("part",))
    right_before, right_now = int((before == truth).sum()), int((now == truth).sum())
    assert found.newly_right - found.newly_wrong == right_now - right_before
    order = rng.permutation(400)
    take = pa.array(order)
    shuffled = replace(rows.take(order), keys=keys.take(take), columns={"part": part.take(take)})
    assert flips(shuffled, "part", values=("part",), show=("part",)) == found
