"""The decision to train again: what fires, what holds back, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.gate.directions import Direction
from modelship.monitoring.decide import Decision, Name, Rules, Trigger, decide
from modelship.monitoring.history import Asked, Batch, History, Measured, Promise
from modelship.monitoring.losses import LOOKS, WINDOWS, loss_over, losses, quantile

RELEASED = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def promise(value: float = 0.744, error: float = 0.004, *, max_loss: float = 0.02, better: Direction = "higher") -> Promise:
    return Promise(metric="roc_auc", value=value, standard_error=error, better=better, max_loss=max_loss)


def week(number: int, value: float | None = None, **changed: Any) -> Batch:
    """The batch of a week after release, with 1,000 rows of known truth where `value` says how good they are."""
    measured = () if value is None else (Measured(metric="roc_auc", value=value, standard_error=0.01, rows=1_000),)
    start = RELEASED + number * WEEK
    batch = Batch(
        start=start, end=start + WEEK, version=7, rows=1_000, labelled=1_000, is_complete=True, measured=measured, drift=False
    )
    return msgspec.structs.replace(batch, **changed)


def history(batches: Sequence[Batch] = (), **changed: Any) -> History:
    known = History(version=7, trained_at=RELEASED, training_rows=30_000, promises=(promise(),), batches=tuple(batches))
    return msgspec.structs.replace(known, **changed)


def decided(known: History, rules: Rules | None = None, weeks: int = 10) -> Decision:
    return decide(known, rules or Rules(), RELEASED + weeks * WEEK)


def trigger(decision: Decision, name: Name) -> Trigger:
    return next(one for one in decision.triggers if one.name == name)


# Performance.


def test_a_proven_loss_fires_and_says_by_how_much() -> None:
    decision = decided(history([week(0, 0.74), week(1, 0.66)]))
    assert decision.retrain
    assert decision.triggers[0].name == "performance"
    low, high = (0.084 + sign * quantile(0.95, 1) * math.hypot(0.01, 0.004) for sign in (-1, 1))
    assert decision.triggers[0].told == (
        f"roc_auc 0.744 → 0.66, a loss of 0.084 [{low:.2g}, {high:.2g}] of 0.02 allowed, on 1,000 rows of 1 batch"
    )


def test_a_loss_that_chance_explains_does_not_fire() -> None:
    assert not decided(history([week(0, 0.715)])).fires


def test_a_small_loss_is_proven_by_many_batches_together() -> None:
    values = [0.70] * 8
    assert not decided(history([week(0, 0.70)])).fires
    decision = decided(history([week(number, value) for number, value in enumerate(values)]))
    assert decision.fires
    assert "8,000 rows of 8 batches" in decision.triggers[0].told


def test_old_batches_do_not_hide_a_new_loss() -> None:
    calm = [week(number, 0.75) for number in range(20)]
    assert decided(history([*calm, week(20, 0.66)])).fires


def test_what_has_recovered_does_not_fire() -> None:
    assert not decided(history([week(0, 0.66), *(week(number, 0.75) for number in range(1, 16))])).fires


def test_lower_is_better_the_other_way_round() -> None:
    known = history([week(0, 0.84)], promises=(promise(better="lower"),))
    assert decided(known).fires
    assert not decided(msgspec.structs.replace(known, batches=(week(0, 0.66),))).fires


def test_truth_that_is_still_coming_decides_nothing() -> None:
    decision = decided(history([week(0, 0.5, is_complete=False)]))
    assert not decision.fires
    assert trigger(decision, "performance").told == "no batch has all its truth yet"


def test_few_rows_decide_nothing() -> None:
    few = Measured(metric="roc_auc", value=0.2, standard_error=0.01, rows=499)
    decision = decided(history([week(0, labelled=499, measured=(few,))]))
    assert not decision.fires
    assert trigger(decision, "performance").told == "499 rows with truth, of 500 that are needed"


def test_another_version_s_batches_are_not_the_live_version_s() -> None:
    assert not decided(history([week(0, 0.5, version=6)])).fires


def test_without_a_promise_there_is_no_loss() -> None:
    assert not decided(history([week(0, 0.1)], promises=())).fires


def test_a_batch_that_lacks_the_metric_is_passed_over() -> None:
    known = history([week(0, 0.66), week(1)])
    assert [loss.batches for loss in losses(known, known.promises[0])] == [1]
    assert loss_over(known.promises[0], known.batches) is None


@given(values=st.lists(st.floats(0.5, 1), min_size=1, max_size=20), drop=st.floats(0, 0.4), at=st.integers(0, 19))
def test_a_worse_batch_never_makes_the_loss_less_evident(values: list[float], drop: float, at: int) -> None:
    known = history([week(number, value) for number, value in enumerate(values)])
    worse = [value - (drop if number == at else 0) for number, value in enumerate(values)]
    after = history([week(number, value) for number, value in enumerate(worse)])
    for one, other in zip(losses(known, known.promises[0]), losses(after, after.promises[0]), strict=True):
        assert other.evidence >= one.evidence - 1e-9
    if decided(known).fires:
        assert decided(after).fires


def test_false_alarms_over_half_a_year_are_as_rare_as_promised() -> None:
    """At the very limit of what is allowed, which is the worst case: normal values, 2,000 half years, at most 5 % fire."""
    rng = np.random.default_rng(7)
    fired = 0
    for _ in range(2_000):
        promised = promise(0.744 + rng.normal(0, 0.004))
        batches = [week(number, 0.724 + rng.normal(0, 0.01)) for number in range(LOOKS)]
        known = history(promises=(promised,))
        fired += any(
            loss.evidence > quantile(0.95, 1)
            for looked in range(1, LOOKS + 1)
            for loss in losses(msgspec.structs.replace(known, batches=tuple(batches[:looked])), promised)
        )
    assert fired <= 0.05 * 2_000


def test_more_metrics_ask_for_more_evidence() -> None:
    assert quantile(0.95, 3) > quantile(0.95, 1) > quantile(0.9, 1)
    assert math.isclose(quantile(0.95, 0), quantile(0.95, 1))
    assert len(WINDOWS) == 5


# Drift.


def test_drift_fires_when_it_stays() -> None:
    drifted: dict[str, Any] = {"drift": True, "drifted": ("pressure", "temp")}
    once = decided(history([week(0), week(1, **drifted)]))
    assert not once.fires
    assert trigger(once, "drift").told == "in 1 batch in a row, of 2 that count: pressure, temp"
    twice = decided(history([week(0), week(1, **drifted), week(2, **drifted)]))
    assert twice.retrain
    assert trigger(twice, "drift").told == "in 2 batches in a row, of 2 that count: pressure, temp"


def test_drift_that_ended_does_not_fire() -> None:
    assert not decided(history([week(0, drift=True), week(1, drift=True), week(2)])).fires


def test_a_batch_without_a_measure_of_drift_neither_ends_nor_adds() -> None:
    assert decided(history([week(0, drift=True), week(1, drift=None), week(2, drift=True)])).fires
    assert trigger(decided(history([week(0, drift=None)])), "drift").told == "not measured yet"


def test_drift_without_a_loss_is_told_and_does_not_fire() -> None:
    drifted = [week(number, 0.78, drift=True) for number in range(2)]
    decision = decided(history(drifted))
    assert not decision.fires
    assert trigger(decision, "drift").told.endswith("performance on them is within its limits")
    unknown = [week(0, 0.78, drift=True), week(1, 0.78, drift=True, is_complete=False)]
    assert decided(history(unknown)).fires
    assert decided(history([week(0, 0.725, drift=True), week(1, 0.725, drift=True)])).fires


# Age and new rows.


def test_age_fires_to_the_moment() -> None:
    rules = Rules(max_age=timedelta(days=70))
    assert trigger(decided(history(), rules), "age").fires
    early = decide(history(), rules, RELEASED + 10 * WEEK - timedelta(seconds=1))
    assert not trigger(early, "age").fires
    assert trigger(early, "age").told == "trained 69 days ago, of 70 days allowed"


def test_new_rows_are_those_since_training_of_any_version() -> None:
    batches = [week(-1, labelled=9_000), week(0, labelled=10_000, version=6), week(0, labelled=5_000)]
    assert trigger(decided(history(batches), Rules(new_rows=15_000)), "new-rows").fires
    assert not trigger(decided(history(batches), Rules(new_rows=15_001)), "new-rows").fires
    assert trigger(decided(history(batches), Rules(new_share=0.5)), "new-rows").fires
    unknown = decided(history(batches, training_rows=None), Rules(new_share=0.5))
    assert not unknown.fires


def test_age_and_new_rows_are_no_trouble() -> None:
    decision = decided(history(), Rules(max_age=WEEK))
    assert decision.retrain
    assert not decision.in_trouble
    assert decided(history([week(0, 0.5)])).in_trouble


# What holds back.


def test_a_retrain_is_asked_for_once_and_again_after_the_cooldown() -> None:
    known = history([week(0, 0.6)], asked=(Asked(at=RELEASED + 9 * WEEK, why="performance"),))
    decision = decided(known)
    assert decision.fires
    assert not decision.retrain
    assert decision.held_back == "a retrain was asked for 7 days ago"
    assert decision.not_before == RELEASED + 11 * WEEK
    assert decided(known, weeks=11).retrain


def test_the_budget_bounds_retrains() -> None:
    asked = tuple(Asked(at=RELEASED + number * 3 * WEEK, why="drift") for number in range(4))
    known = history([week(0, 0.6)], asked=asked)
    decision = decided(known, weeks=12)
    assert decision.held_back == "4 retrains in 90 days, of 4 that the budget has"
    assert decision.not_before == RELEASED + timedelta(days=90)
    assert decide(known, Rules(), RELEASED + timedelta(days=90)).retrain


def test_nothing_is_held_back_where_nothing_fires() -> None:
    decision = decided(history([week(0, 0.75)], asked=(Asked(at=RELEASED + 10 * WEEK, why="age"),)))
    assert (decision.held_back, decision.not_before) == ("", None)


@pytest.mark.parametrize("rules", [Rules(performance=False, drift=None), Rules(performance=False, drift=None, max_age=None)])
def test_what_nobody_asked_for_never_fires(rules: Rules) -> None:
    assert decided(history([week(0, 0.1, drift=True), week(1, 0.1, drift=True)]), rules).triggers == ()
