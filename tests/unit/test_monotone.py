"""Making any prediction worse never turns a failing candidate into one that passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelship.core.config import Limit
from modelship.core.records import State
from modelship.gate.judge import judge_paired
from modelship.gate.rows.intervals import compare
from modelship.gate.rows.measures import UndefinedError, find_measure
from modelship.gate.rows.paired import Answers, Paired

LABELS = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted", "matthews_corrcoef")
SCORES = ("roc_auc", "average_precision", "log_loss", "brier_score_loss")
NUMBERS = (
    "r2", "root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
    "median_absolute_error",
)  # fmt: skip

EXAMPLES = 10_000
many = settings(max_examples=EXAMPLES // 3 + 1, deadline=None, suppress_health_check=list(HealthCheck))

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(2, 60)
margins = st.sampled_from([0.0, 0.005, 0.05, "1%", "10%"])
confidences = st.sampled_from([0.5, 0.8, 0.95])


def state(name: str, margin: float | str, paired: Paired, confidence: float) -> State | None:
    """The gate's word on the metric; None where it has no value, which is exit 2."""
    measure = find_measure(name)
    assert measure
    try:
        comparison = compare(measure, paired)
    except UndefinedError:
        return None
    return judge_paired(name, Limit(max_regression=margin), measure.better, comparison, confidence).state


def never_from_fail_to_pass(name: str, margin: float | str, confidence: float, before: Paired, after: Answers) -> None:
    was = state(name, margin, before, confidence)
    assume(was == "fail")
    assert state(name, margin, replace(before, candidate=after), confidence) != "pass"


@many
@given(st.sampled_from(LABELS), seeds, sizes, margins, confidences)
def test_labels(name: str, seed: int, n: int, margin: float | str, confidence: float) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, n)
    # A candidate that is often wrong, so that most examples fail before they are made worse.
    candidate = np.where(random.random(n) < random.uniform(0.2, 0.7), 1 - truth, truth)
    baseline = np.where(random.random(n) < random.uniform(0, 0.3), 1 - truth, truth)
    right = np.flatnonzero(candidate == truth)
    assume(len(right))
    worse = candidate.copy()
    row = random.choice(right)
    worse[row] = 1 - truth[row]
    paired = Paired("classification", "id", None, truth, (0, 1), 1, Answers(candidate), Answers(baseline))
    never_from_fail_to_pass(name, margin, confidence, paired, Answers(worse))


@many
@given(st.sampled_from(SCORES), seeds, sizes, margins, confidences)
def test_scores(name: str, seed: int, n: int, margin: float | str, confidence: float) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, n)
    helpful = np.where(truth == 1, 1.0, -1.0)
    candidate = 1 / (1 + np.exp(-(random.normal(0, 1, n) - random.uniform(0, 1) * helpful)))
    baseline = 1 / (1 + np.exp(-(random.normal(0, 1, n) + random.uniform(0, 2) * helpful)))
    worse = candidate.copy()
    row = random.integers(n)
    # Further from the truth, and past no score exactly: a tie between two positives can raise average precision.
    towards = 0.0 if truth[row] else 1.0
    worse[row] += (towards - worse[row]) * random.uniform(0.01, 1)
    paired = Paired("classification", "id", None, truth, (0, 1), 1, Answers(None, candidate), Answers(None, baseline))
    never_from_fail_to_pass(name, margin, confidence, paired, Answers(None, worse))


@many
@given(st.sampled_from(NUMBERS), seeds, sizes, margins, confidences)
def test_numbers(name: str, seed: int, n: int, margin: float | str, confidence: float) -> None:
    random = np.random.default_rng(seed)
    truth = random.gamma(2, 3, n) + 1
    candidate = truth + random.standard_t(3, n) * random.uniform(0.5, 4)
    baseline = truth + random.standard_t(3, n)
    worse = candidate.copy()
    row = random.integers(n)
    worse[row] += (worse[row] - truth[row]) * random.exponential(2)
    paired = Paired("regression", "id", None, truth, (), None, Answers(candidate), Answers(baseline))
    never_from_fail_to_pass(name, margin, confidence, paired, Answers(worse))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", [name for name in NUMBERS if name != "median_absolute_error"])
def test_a_few_absurd_rows_do_not_hide_that_all_others_are_worse(name: str, rows: int) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(10, 1, 1000)
    baseline, candidate = truth + random.normal(0, 1, 1000), truth + random.normal(0, 1.3, 1000)
    absurd = np.where(np.arange(1000) < rows, 1e6, candidate)
    for prediction in (candidate, absurd):
        paired = Paired("regression", "id", None, truth, (), None, Answers(prediction), Answers(baseline))
        assert state(name, 0.01, paired, 0.95) == "fail"


@pytest.mark.parametrize("classes", [2, 3])
def test_a_few_rows_that_are_surely_wrong_do_not_hide_that_all_others_are_worse(classes: int) -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, classes, 1000)

    def scores(noise: float) -> NDArray[np.float64]:
        logits = 3.0 * np.eye(classes)[truth] + noise * random.normal(0, 1, (1000, classes))
        odds: NDArray[np.float64] = np.exp(logits)
        shares: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return shares

    baseline, candidate = scores(1.0), scores(1.15)
    absurd = candidate.copy()
    absurd[:4] = np.eye(classes)[(truth[:4] + 1) % classes]
    for answer in (candidate, absurd):
        score, known = (answer, baseline) if classes > 2 else (answer[:, 1], baseline[:, 1])
        positive = 1 if classes == 2 else None
        names = tuple(range(classes))
        paired = Paired("classification", "id", None, truth, names, positive, Answers(None, score), Answers(None, known))
        assert state("log_loss", 0.0, paired, 0.95) == "fail"


@pytest.mark.parametrize("name", [*LABELS, *SCORES, *NUMBERS])
def test_the_name_is_a_built_in_metric(name: str) -> None:
    assert find_measure(name)
