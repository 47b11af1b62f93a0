"""The worst cohort: a planted one is found and confirmed, and where there is none, none is made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.simulated import measure_named
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modelship.core.config import Limit
from modelship.core.records import Slices
from modelship.gate.rows.cohorts import _best_cut, _first_half, _rise, find_worst_cohort, judge_worst_cohort
from modelship.gate.rows.paired import Answers, Paired

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

CARRIERS = ("AA", "DL", "EV", "MQ", "UA")


def flights(seed: int, n: int = 6000, *, harm: float = 0.0) -> Paired:
    """Two equal models, but for `harm` among long flights of EV and MQ: about one row in six."""
    rng = np.random.default_rng(seed)
    carrier, distance = rng.choice(CARRIERS, n), rng.gamma(4, 250, n)
    logit = rng.normal(0, 1.5, n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.intp)
    harmed = np.isin(carrier, ("EV", "MQ")) & (distance >= 1000)

    def answers(noise: Any) -> Answers:
        score = 1 / (1 + np.exp(-(logit + noise * rng.normal(0, 1, n))))
        return Answers((score >= 0.5).astype(np.intp), score)

    columns = {
        "carrier": pa.array(carrier),
        "distance": pa.array(np.where(rng.random(n) < 0.05, np.nan, distance), from_pandas=True),
        "month": pa.array(rng.integers(1, 13, n)),
        "is_weekend": pa.array(rng.random(n) < 2 / 7),
        "tail": pa.array([f"N{number}" for number in rng.integers(0, 1000, n)]),
    }
    keys = pa.array([f"flight-{number}" for number in range(n)])
    candidate, baseline = answers(np.where(harmed, 0.3 + harm, 0.3)), answers(0.3)
    return Paired("classification", "flight", keys, truth, (0, 1), 1, candidate, baseline, None, columns)


def planted(paired: Paired) -> NDArray[np.bool_]:
    assert paired.columns is not None
    columns = {name: np.array(paired.columns[name].to_pylist()) for name in ("carrier", "distance")}
    long = np.array([distance is not None and distance >= 1000 for distance in columns["distance"]])
    return np.asarray(np.isin(columns["carrier"], ("EV", "MQ")) & long, dtype=bool)


def judged(paired: Paired, *names: str, seed: int = 0) -> Slices:
    measures = {name: measure_named(name) for name in names or ("log_loss", "roc_auc")}
    limits = {name: Limit(max_regression=0.0) for name in measures}
    return judge_worst_cohort(paired, measures, limits, confidence=0.95, min_rows=100, seed=seed, show=("carrier",))


def numbers(seed: int, n: int = 4000, *, harm: float = 0.0) -> Paired:
    rng = np.random.default_rng(seed)
    size, truth = rng.gamma(2, 10, n), rng.normal(0, 5, n)
    noise = np.where(size >= 30, 1 + harm, 1.0)
    candidate, baseline = Answers(truth + noise * rng.normal(0, 1, n)), Answers(truth + rng.normal(0, 1, n))
    return Paired("regression", "id", pa.array(range(n)), truth, (), None, candidate, baseline, None, {"size": pa.array(size)})


def test_a_planted_cohort_is_found_and_confirmed() -> None:
    slices = judged(flights(1, harm=3.0))
    assert {one.verdict.metric: one.verdict.state for one in slices.verdicts} == {"log_loss": "fail", "roc_auc": "fail"}
    assert slices.comparisons == 2
    (conditions,) = {tuple(one.slice.items()) for one in slices.verdicts}
    found = dict(conditions)
    assert found["carrier"] == "EV, MQ"
    assert found["distance"].endswith("and more")
    assert 900 <= float(found["distance"].removesuffix(" and more").replace(",", "")) <= 1100


def test_rows_are_those_held_back_that_the_conditions_name() -> None:
    paired = flights(1, harm=3.0)
    found = find_worst_cohort(paired, min_rows=100, show=("carrier",))
    assert found is not None
    assert paired.columns is not None
    edge = float(found.slice["distance"].removesuffix(" and more").replace(",", ""))
    carrier, distance = paired.columns["carrier"].to_pylist(), paired.columns["distance"].to_pylist()
    held_back = ~_first_half(paired, 0)
    expected = [
        row
        for row in range(len(paired))
        if held_back[row] and carrier[row] in ("EV", "MQ") and distance[row] is not None and distance[row] >= edge
    ]
    assert found.rows.tolist() == expected


def test_text_that_may_not_be_shown_is_counted() -> None:
    found = find_worst_cohort(flights(1, harm=3.0), min_rows=100)
    assert found is not None
    assert found.slice["carrier"] == "2 of 5 values (not shown)"


def test_missing_values_can_be_what_is_worse() -> None:
    paired = flights(3)
    assert paired.columns is not None
    missing = paired.columns["distance"].is_null().to_numpy(zero_copy_only=False)
    score = np.asarray(paired.candidate.score).copy()
    score[missing] = 0.5
    slices = judged(replace(paired, candidate=replace(paired.candidate, score=score)), "log_loss")
    assert [(one.slice, one.verdict.state) for one in slices.verdicts] == [({"distance": "missing"}, "fail")]


def test_a_column_of_many_values_does_not_hide_the_one_that_matters() -> None:
    paired = flights(1, harm=1.0)
    noise = pa.array([f"v{number}" for number in np.random.default_rng(0).integers(0, 150, len(paired))])
    found = find_worst_cohort(replace(paired, columns={**(paired.columns or {}), "airport": noise}), min_rows=100, show=("carrier",))
    assert found is not None
    assert found.slice["carrier"] == "EV, MQ"
    assert "airport" not in found.slice


@pytest.mark.parametrize("kind", ["classes only", "scores that are no probabilities", "three classes"])
def test_every_kind_of_answer_can_be_searched(kind: str) -> None:
    paired, name = flights(5, harm=4.0), "accuracy"
    candidate, baseline = paired.candidate, paired.baseline
    scores = [np.asarray(answers.score) for answers in (candidate, baseline)]
    if kind == "classes only":
        changed = replace(paired, candidate=Answers(candidate.prediction), baseline=Answers(baseline.prediction))
    elif kind == "three classes":
        wide = [np.column_stack([(1 - score) / 2, score, (1 - score) / 2]) for score in scores]
        answers = Answers(candidate.prediction, wide[0]), Answers(baseline.prediction, wide[1])
        changed = replace(paired, classes=(0, 1, 2), positive=None, candidate=answers[0], baseline=answers[1])
    else:
        margins, name = [np.log(score / (1 - score)) for score in scores], "roc_auc"
        changed = replace(paired, candidate=Answers(None, margins[0]), baseline=Answers(None, margins[1]))
    assert [one.verdict.state for one in judged(changed, name).verdicts] == ["fail"]
    found = find_worst_cohort(changed, min_rows=100)
    assert found is not None
    assert planted(paired)[found.rows].mean() > 2 * planted(paired).mean()


def test_numbers_are_searched_by_their_absolute_error() -> None:
    (one,) = judged(numbers(5, harm=2.0), "mean_absolute_error").verdicts
    assert one.verdict.state == "fail"
    assert 27 <= float(one.slice["size"].removesuffix(" and more")) <= 33


def test_equal_models_have_no_worst_cohort() -> None:
    paired = flights(1)
    assert judged(replace(paired, candidate=paired.baseline)) == Slices(min_rows=100)


@pytest.mark.parametrize(
    "columns", [None, {}, {"text": pa.array([f"{number}" for number in range(6000)])}, {"one": pa.array([1] * 6000)}]
)
def test_without_a_column_to_split_by_there_is_none(columns: Any) -> None:
    assert find_worst_cohort(replace(flights(1, harm=3.0), columns=columns), min_rows=100) is None


def test_too_few_rows_to_split_have_none() -> None:
    assert find_worst_cohort(flights(1, n=300, harm=3.0), min_rows=100) is None


def test_where_there_is_no_cohort_one_is_confirmed_at_most_one_time_in_twenty() -> None:
    runs = 200
    failed = sum(any(one.verdict.state == "fail" for one in judged(flights(seed, 2000), seed=seed).verdicts) for seed in range(runs))
    assert failed <= stats.binom.ppf(0.99, runs, 0.05)


def test_the_choice_does_not_lean_on_the_rows_held_back() -> None:
    """Of equal models, the rise of loss among rows held back is zero on the mean, though the cohort was chosen for it."""
    gaps = []
    for seed in range(60):
        paired = flights(seed, 2000)
        found = find_worst_cohort(paired, min_rows=100, seed=seed, show=("carrier",))
        if found is not None:
            gaps.append(float(_rise(paired)[found.rows].mean()))
    assert len(gaps) >= 40
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    paired = flights(seed, 1500, harm=2.0)
    order = np.random.default_rng(seed).permutation(1500)
    take = pa.array(order)
    shuffled = replace(
        paired.take(order),
        keys=paired.keys.take(take),
        columns={name: column.take(take) for name, column in (paired.columns or {}).items()},
    )
    here, there = (find_worst_cohort(one, min_rows=50) for one in (paired, shuffled))
    assert (here is None) == (there is None)
    if here and there:
        assert here.slice == there.slice
        assert sorted(order[there.rows]) == here.rows.tolist()


# Halves.

keys = st.one_of(
    st.lists(st.text(max_size=8), min_size=2, max_size=100, unique=True).map(lambda values: pa.array(values, pa.string())),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=100, unique=True).map(lambda values: pa.array(values, pa.int64())),
    st.lists(st.dates(), min_size=2, max_size=100, unique=True).map(lambda values: pa.array(values, pa.date32())),
)


def with_keys(column: Any, groups: Any = None) -> Paired:
    n = len(column)
    answers = Answers(np.zeros(n))
    return Paired("regression", "id", column, np.zeros(n), (), None, answers, answers, groups)


@given(keys, st.integers(0, 2**64 - 1), st.randoms(use_true_random=False))
def test_a_rows_half_is_its_own(column: Any, seed: int, random: Any) -> None:
    order = list(range(len(column)))
    random.shuffle(order)
    half = _first_half(with_keys(column), seed)
    assert _first_half(with_keys(column.take(pa.array(order[: len(order) // 2 + 1]))), seed).tolist() == [
        half[row] for row in order[: len(order) // 2 + 1]
    ]
    assert _first_half(with_keys(column.slice(1)), seed).tolist() == half[1:].tolist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array(range(40_000)),
        pa.array([f"flight-{number}" for number in range(40_000)]),
        pa.array([f"{number}" for number in range(40_000)], pa.large_string()),
        pa.array([f"{number % 7}-{number}" for number in range(40_000)]).dictionary_encode(),
        pa.array(np.datetime64("2013-01-01T00:00", "s") + np.arange(40_000) * 60),
    ],
    ids=lambda column: str(column.type),
)
def test_halves_are_about_equal_and_other_seeds_make_others(column: Any) -> None:
    first, second = (_first_half(with_keys(column), seed) for seed in (0, 1))
    # Five standard deviations of a fair coin.
    assert abs(int(first.sum()) - 20_000) < 5 * 100
    assert abs(int((first == second).sum()) - 20_000) < 5 * 100
    assert abs(int((first[1:] == first[:-1]).sum()) - 20_000) < 5 * 100


def test_groups_are_not_torn_apart_whatever_their_numbers_are() -> None:
    groups = np.random.default_rng(0).integers(0, 500, 5000)
    half = _first_half(with_keys(pa.array(range(5000)), groups), 0)
    shares = np.bincount(groups, weights=half) / np.bincount(groups)
    assert set(shares) == {0.0, 1.0}
    assert 200 < int(shares.sum()) < 300
    assert _first_half(with_keys(pa.array(range(5000)), 499 - groups), 0).tolist() == half.tolist()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-50, 50)), min_size=2, max_size=12), st.integers(1, 20))
def test_the_best_cut_is_the_best_of_all(codes: list[tuple[int, int]], fewest: int) -> None:
    counts = np.array([count for count, _ in codes])
    sums = np.array([float(loss) if count else 0.0 for count, loss in codes])
    gain, cut_at = _best_cut(counts, sums, fewest)
    gains = {
        at: sums[:at].sum() ** 2 / counts[:at].sum() + sums[at:].sum() ** 2 / counts[at:].sum() - sums.sum() ** 2 / counts.sum()
        for at in range(1, len(codes))
        if counts[:at].sum() >= fewest and counts[at:].sum() >= fewest
    }
    assert (cut_at in gains) == bool(gains)
    assert gain == pytest.approx(max(gains.values(), default=0.0), abs=1e-6)
