"""Which direction of a metric is better: scikit-learn's own signs are the authority."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import get_scorer, get_scorer_names

from modelship.gate.directions import HIGHER, LOWER, direction

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")

SCORERS = sorted(get_scorer_names())


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_of_scikit_learn_is_known(name: str) -> None:
    """A scorer's value is greater for a better model, always; a negative sign turned a loss around."""
    assert direction(name) == "higher"
    turned_around = get_scorer(name)._sign < 0
    bare = name.removeprefix("neg_")
    assert direction(bare) == ("lower" if turned_around else "higher"), "the bare name is that of the metric function"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ROC-AUC", "higher"),
        ("test/roc_auc", "higher"),
        ("holdout.log_loss", "lower"),
        ("val_accuracy_score", "higher"),
        ("validation.neg_log_loss", "higher"),
        ("f1_macro", "higher"),
        ("roc_auc_ovr_weighted", "higher"),
        ("rmse", "lower"),
        ("cv_mean_absolute_error", "lower"),
        ("uplift", None),
        ("roc_auc.std", None),
        ("", None),
    ],
)
def test_names_in_the_wild(name: str, expected: str | None) -> None:
    assert direction(name) == expected


def test_no_metric_has_two_directions() -> None:
    assert frozenset() == HIGHER & LOWER


def test_every_listed_name_is_found() -> None:
    assert {name for name in HIGHER if direction(name) != "higher"} == set()
    assert {name for name in LOWER if direction(name) != "lower"} == set()


@pytest.mark.parametrize("around", ["val_{}", "test_{}", "mean_{}", "holdout.{}", "fold/3/{}", "{}_macro", "{}_ovr_weighted"])
def test_where_a_metric_was_measured_does_not_turn_it_around(around: str) -> None:
    wrong = {name for name in HIGHER | LOWER if direction(around.format(name)) != ("higher" if name in HIGHER else "lower")}
    assert wrong == set()


@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "uplift"])
def test_a_negated_score_is_not_taken_for_a_negated_loss(name: str) -> None:
    assert direction(f"neg_{name}") != "higher"


@given(st.text())
def test_any_text_has_an_answer(name: str) -> None:
    assert direction(name) in ("higher", "lower", None)
