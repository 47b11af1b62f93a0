"""The verdict on measured columns, and the tests that it rests on."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from modelship.core.config import ColumnDrift, Drift, DriftMethod
from modelship.data.drift.chance import corrected, largest_gap, same_categories, same_numbers, same_share
from modelship.data.drift.methods import METHODS, Choice, choose
from modelship.data.drift.verdict import LARGE, Judged, Measured, Verdict, judge

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

FAR = Choice("wasserstein", 0.1)
TEST = Choice("ks", 0.05)


def column(name: str = "temp", value: float = 0.0, p_value: float = 1.0, **changes: Any) -> Measured:
    given_: dict[str, Any] = {"kind": "numerical", "purpose": "feature", "choice": FAR, "missing": (0, 0), "rows": (1000, 1000)}
    return Measured(column=name, value=value, p_value=p_value, **{**given_, **changes})


def verdict(*measured: Measured, confidence: float = 0.95, max_share: float = 0.3, purposes_decide: bool = True) -> Verdict:
    return judge(measured, confidence=confidence, max_share=max_share, purposes_decide=purposes_decide)


def only(measured: Measured) -> Judged:
    return verdict(measured).columns[0]


probabilities = st.floats(0, 1)
shares = st.floats(0, 0.5)
measurements = st.builds(
    column,
    value=st.floats(0, 1),
    p_value=probabilities,
    missing=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
    new=shares,
    outside=shares,
    choice=st.sampled_from([FAR, Choice("psi", 0.4)]),
    purpose=st.sampled_from(["feature", "feature", "target", "prediction"]),
)
tables = st.lists(measurements, min_size=1, max_size=8).map(lambda found: [replace(m, column=f"c{n}") for n, m in enumerate(found)])


# Columns -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", range(10))
def test_a_tenth_more_missing_values_are_drift_wherever_they_start(before: int) -> None:
    assert only(column(missing=(100 * before, 100 * before + 100))).drifted


@pytest.mark.parametrize(
    ("value", "p_value", "drifted"), [(0.1, 0.05, True), (0.0999, 0.0, False), (5.0, 0.051, False), (0.0999, 1.0, False)]
)
def test_a_column_has_drifted_when_it_is_far_apart_and_beyond_chance(value: float, p_value: float, drifted: bool) -> None:
    assert only(column(value=value, p_value=p_value)).drifted is drifted


@pytest.mark.parametrize(("p_value", "drifted"), [(0.05, True), (0.0501, False)])
def test_a_p_value_has_its_own_threshold(p_value: float, drifted: bool) -> None:
    assert only(column(value=p_value, p_value=p_value, choice=TEST)).drifted is drifted


@pytest.mark.parametrize("which", ["new", "outside"])
def test_many_rows_where_the_reference_has_none_are_drift_whatever_the_distance(which: str) -> None:
    def drifted(p_value: float, share: float) -> bool:
        shares_: dict[str, Any] = {which: share}
        return only(column(p_value=p_value, **shares_)).drifted

    assert drifted(0.001, LARGE)
    assert not drifted(0.001, LARGE - 0.001)
    assert not drifted(0.2, 1.0)


def test_missing_values_are_drift_when_their_share_moves_far_and_beyond_chance() -> None:
    assert only(column(missing=(0, 100))).drifted
    assert only(column(missing=(100, 0))).drifted
    assert not only(column(missing=(0, 99))).drifted
    assert not only(column(missing=(1, 2), rows=(10, 10))).drifted


@given(tables, st.data())
def test_a_greater_distance_never_makes_a_drifted_column_one_that_has_not(measured: list[Measured], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(measured) - 1))
    farther = [replace(m, value=m.value + data.draw(st.floats(0, 1))) if n == place else m for n, m in enumerate(measured)]
    before, after = verdict(*measured), verdict(*farther)
    was = {entry.measured.column for entry in before.columns if entry.drifted}
    assert was <= {entry.measured.column for entry in after.columns if entry.drifted}
    assert after.drift >= before.drift


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_columns_does_not_matter(measured: list[Measured], shuffler: random.Random) -> None:
    shuffled = list(measured)
    shuffler.shuffle(shuffled)
    assert verdict(*measured) == verdict(*shuffled)


@given(tables)
def test_drifted_columns_come_first(measured: list[Measured]) -> None:
    drifted = [entry.drifted for entry in verdict(*measured).columns]
    assert drifted == sorted(drifted, reverse=True)


@given(tables)
def test_more_columns_never_make_chance_less_likely(measured: list[Measured]) -> None:
    alone = {entry.column: only(entry).p_value for entry in measured}
    assert all(entry.p_value >= alone[entry.measured.column] for entry in verdict(*measured).columns)


# The table -----------------------------------------------------------------------------------------------------------------------

DRIFTED = {"value": 1.0, "p_value": 0.0}


def test_the_table_has_drifted_when_more_features_have_than_may() -> None:
    features = [column(f"c{n}", **(DRIFTED if n < 3 else {})) for n in range(10)]
    assert (verdict(*features).share, verdict(*features).drift) == (0.3, False)
    assert verdict(*features, max_share=0.29).drift


@pytest.mark.parametrize("purpose", ["target", "prediction"])
def test_a_drifted_target_decides_where_it_may(purpose: Any) -> None:
    measured = [column("y", purpose=purpose, **DRIFTED), column("x")]
    assert verdict(*measured).share == 0.0
    assert verdict(*measured).drift
    assert not verdict(*measured, purposes_decide=False).drift


def test_a_target_alone_is_no_share_of_features() -> None:
    found = verdict(column("y", purpose="target"))
    assert (found.share, found.drift) == (None, False)


# Chance --------------------------------------------------------------------------------------------------------------------------


def test_holm_is_as_published() -> None:
    assert corrected({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


@given(st.lists(probabilities, max_size=20))
def test_corrected_p_values_keep_their_order_and_lie_between_themselves_and_bonferroni(p_values: list[float]) -> None:
    named = dict(enumerate(p_values))
    found = corrected(named)
    assert set(found) == set(named)
    for name, p_value in named.items():
        assert p_value <= found[name] <= min(1.0, p_value * len(p_values) + 1e-12)
    for first, second in zip(sorted(named, key=named.__getitem__), sorted(named, key=named.__getitem__)[1:], strict=False):
        assert found[first] <= found[second]


numbers = st.lists(st.integers(-5, 5), min_size=2, max_size=60).map(lambda found: np.array(found, dtype=np.float64))


@given(numbers, numbers)
def test_the_kolmogorov_smirnov_test_is_scipys(reference: Any, current: Any) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        expected = stats.ks_2samp(reference, current, method="exact")
    assume(not told)  # It may fail to count, and say so.
    gap = largest_gap(reference, current)
    assert gap == pytest.approx(expected.statistic)
    assert same_numbers(gap, len(reference), len(current)) == pytest.approx(expected.pvalue, abs=1e-12)
    many = stats.ks_2samp(np.tile(reference, 100), np.tile(current, 100), method="asymp")
    assert same_numbers(gap, 100 * len(reference), 100 * len(current)) == pytest.approx(many.pvalue)


def test_three_numbers_against_three_prove_nothing() -> None:
    # Of the 20 orders of three and three, two have all of one side first.
    assert same_numbers(1.0, 3, 3) == pytest.approx(0.1)


@given(st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500)), min_size=2, max_size=9))
def test_the_chi_square_test_of_frequent_categories_is_scipys(counts: list[tuple[int, int]]) -> None:
    table = np.array(counts).T
    # Each cell is expected to hold enough rows.
    table[:, 0] += 3000
    table = table + 300
    assert same_categories(*table) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, abs=1e-12)


def test_rare_categories_are_pooled() -> None:
    frequent, rare = [500, 500], [1] * 40
    pooled = stats.chi2_contingency([[500, 500, 40], [500, 500, 0]], correction=False).pvalue
    assert same_categories(np.array([*frequent, *rare]), np.array([*frequent, *[0] * 40])) == pytest.approx(pooled)


def test_what_is_rare_all_over_tells_nothing() -> None:
    assert same_categories(np.array([1, 0, 1]), np.array([0, 2, 0])) == 1.0


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.lists(st.integers(0, 30), min_size=12, max_size=12))
def test_the_order_of_categories_does_not_matter(before: list[int], after: list[int]) -> None:
    reference, current = np.array(before), np.array(after[: len(before)])
    reference[0] += 1
    current[0] += 1
    assert same_categories(reference, current) == pytest.approx(same_categories(reference[::-1], current[::-1]))
    assert 0 <= same_categories(reference, current) <= 1


@given(st.integers(1, 400), st.integers(1, 400), st.data())
def test_the_test_of_two_shares_is_scipys(rows: int, others: int, data: st.DataObject) -> None:
    count, other = data.draw(st.integers(0, rows)), data.draw(st.integers(0, others))
    found = same_share((count, rows), (other, others))
    if 0 < count + other < rows + others:
        table = [[count, rows - count], [other, others - other]]
        expected = stats.chi2_contingency(table, correction=False).pvalue
        assert found >= expected - 1e-12  # Yates errs on the safe side.
    else:
        assert found == 1.0


def test_chance_alone_is_beyond_chance_no_more_often_than_it_may() -> None:
    draw = np.random.default_rng(0)
    wrong = [0, 0, 0]
    for _ in range(1000):
        first, second = draw.normal(size=400), draw.normal(size=300)
        wrong[0] += same_numbers(largest_gap(first, second), 400, 300) <= 0.05
        weights = [0.5, 0.3, 0.15, 0.04, 0.01]
        wrong[1] += same_categories(draw.multinomial(400, weights), draw.multinomial(300, weights)) <= 0.05
        wrong[2] += same_share((int(draw.binomial(400, 0.1)), 400), (int(draw.binomial(300, 0.1)), 300)) <= 0.05
    assert max(wrong) <= 70  # Three standard deviations above 50.


# Methods -------------------------------------------------------------------------------------------------------------------------


def test_a_method_never_depends_on_the_table() -> None:
    assert choose(Drift(), "numerical", None) == Choice("wasserstein", 0.1)
    assert choose(Drift(), "categorical", None) == Choice("jensenshannon", 0.1)


@pytest.mark.parametrize(
    ("of_kind", "own", "expected"),
    [
        (DriftMethod(threshold=0.3), None, Choice("wasserstein", 0.3)),
        (DriftMethod(method="psi"), None, Choice("psi", 0.1)),
        (DriftMethod(method="ks"), None, Choice("ks", pytest.approx(0.05))),  # type: ignore[arg-type]
        (DriftMethod(method="psi", threshold=0.2), ColumnDrift(threshold=0.5), Choice("psi", 0.5)),
        (DriftMethod(method="psi", threshold=0.2), ColumnDrift(method="psi"), Choice("psi", 0.2)),
        (DriftMethod(method="psi", threshold=0.2), ColumnDrift(method="hellinger"), Choice("hellinger", 0.1)),
        (DriftMethod(method="psi", threshold=0.2), ColumnDrift(kind="numerical"), Choice("psi", 0.2)),
    ],
)
def test_a_threshold_belongs_to_its_method(of_kind: DriftMethod, own: ColumnDrift | None, expected: Choice) -> None:
    assert choose(Drift(numerical=of_kind), "numerical", own) == expected


def test_every_kind_has_a_method() -> None:
    assert {kind for method in METHODS.values() for kind in method.kinds} == {"numerical", "categorical"}
