"""Flips: rows on which one model is right and the other is wrong, who they are, and where they concentrate."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.records import Cohort, Example, Flips
from modelship.gate.rows.columns import cut, is_text, texts, value_text
from modelship.gate.rows.paired import Model, Paired
from modelship.gate.rows.slices import Partition, Piece

FEWEST_NEWLY_WRONG = 5
MOST_COHORTS = 5
MOST_EXAMPLES = 10
_DIGITS = 6
"""Of the values beside an example: they say what kind of row it is, and the key says which."""

Mask = NDArray[np.bool_]
"""(n,) a property of each row."""


def find_flips(
    paired: Paired,
    partitions: Iterable[Partition],
    *,
    confidence: float,
    values: Sequence[str] = (),
    show: Collection[str] = (),
) -> Flips | None:
    """What turned between right and wrong, with the slices of `partitions` where rows newly wrong are more frequent than elsewhere.

    A cohort is named where so many newly wrong rows in it would come by chance with a probability of at most (1 - `confidence`) / s,
    s the number of slices looked at. Examples show the columns `values`. Text columns that are not in `show` give away nothing: no
    cohort, no value, no key. None in regression, and where either model predicts no class.
    """
    if paired.task == "regression" or any(model.answers.prediction is None for model in paired.models):
        return None
    is_right, was_right = (_right(model) for model in paired.models)
    newly_wrong, newly_right = was_right & ~is_right, is_right & ~was_right
    may_show = [part for part in partitions if not any(_is_hidden(paired, column, show) for column in part.columns)]
    keys_hidden = is_text(paired.keys) and paired.key not in show
    return Flips(
        newly_right=int(np.count_nonzero(newly_right)),
        newly_wrong=int(np.count_nonzero(newly_wrong)),
        cohorts=_cohorts(paired, may_show, newly_wrong, newly_right, 1 - confidence),
        examples=_examples(
            paired, newly_wrong, [column for column in values if not _is_hidden(paired, column, show)], keys_hidden=keys_hidden
        ),
        keys_hidden=keys_hidden,
    )


def _right(model: Model) -> Mask:
    assert model.answers.prediction is not None
    right: Mask = model.answers.prediction == model.truth
    return right


def _is_hidden(paired: Paired, column: str, show: Collection[str]) -> bool:
    return column not in show and is_text((paired.columns or {})[column])


# Where they concentrate.


def _cohorts(
    paired: Paired, partitions: Sequence[Partition], newly_wrong: Mask, newly_right: Mask, chance: float
) -> tuple[Cohort, ...]:
    total, n = int(np.count_nonzero(newly_wrong)), len(paired)
    if total < FEWEST_NEWLY_WRONG:
        return ()
    level = math.log(chance / max(_number_of_slices(partitions, n), 1))
    found: list[tuple[float, int, Cohort]] = []
    for part in partitions:
        for piece, wrong in _with_newly_wrong(part, newly_wrong):
            rows = len(piece.rows)
            if rows == n or wrong * n <= rows * total:  # No more frequent than elsewhere.
                continue
            effect = _design_effect(paired, piece, newly_wrong)
            log_chance = log_upper_tail(wrong / effect, rows / effect, total / effect, n / effect)
            if log_chance <= level:
                elsewhere = max(total - wrong, 1) / (n - rows)  # Where none is wrong elsewhere, at least this many times.
                cohort = Cohort(
                    slice=piece.slice,
                    rows=rows,
                    newly_right=int(np.count_nonzero(newly_right[piece.rows])),
                    newly_wrong=wrong,
                    lift=wrong / rows / elsewhere,
                )
                found.append((log_chance, -wrong, cohort))
    found.sort(key=lambda one: (*one[:2], list(one[2].slice.items())))
    return tuple(cohort for _, _, cohort in found[:MOST_COHORTS])


def _number_of_slices(partitions: Sequence[Partition], n: int) -> int:
    """How many slices could have been named: those with rows, but not all of them."""
    sizes = [np.bincount(part.codes) for part in partitions]
    return sum(int(np.count_nonzero((size > 0) & (size < n))) for size in sizes)


def _with_newly_wrong(part: Partition, newly_wrong: Mask) -> Iterator[tuple[Piece, int]]:
    wrong = np.bincount(part.codes[newly_wrong], minlength=len(part.slices))
    if wrong.max(initial=0) < FEWEST_NEWLY_WRONG:
        return
    for piece in part.pieces():
        count = int(wrong[part.codes[piece.rows[0]]])
        if count >= FEWEST_NEWLY_WRONG:
            yield piece, count


def _design_effect(paired: Paired, piece: Piece, newly_wrong: Mask) -> float:
    """By what factor groups raise the variance of the difference of two rates, inside the piece and outside; at least 1.

    Counts divided by it are tested as if rows were independent (Rao & Scott 1992, "A simple method for the analysis of clustered
    binary data", Biometrics 48).
    """
    if paired.groups is None:
        return 1.0
    n, inside = len(paired), np.zeros(len(paired), dtype=bool)
    inside[piece.rows] = True
    rate = float(newly_wrong.mean())
    each = np.where(inside, 1 / len(piece.rows), -1 / (n - len(piece.rows))) * (newly_wrong - rate)
    of_groups = np.bincount(paired.groups, weights=each)
    return max(float(of_groups @ of_groups) / float(each @ each), 1.0)


def log_upper_tail(marked_drawn: float, drawn: float, marked: float, population: float) -> float:
    """log P(X >= marked_drawn), X hypergeometric: of a population in which some are marked, some are drawn at random.

    Fisher's exact test, one-sided (Fisher 1935, "The logic of inductive inference", J. R. Stat. Soc. 98). Numbers that are not whole
    are taken through the gamma function. Summed upwards from the first term until further terms no longer count.
    """
    most = min(drawn, marked)
    if marked_drawn <= max(0.0, drawn + marked - population):
        return 0.0
    first = _log_choose(marked, marked_drawn) + _log_choose(population - marked, drawn - marked_drawn) - _log_choose(population, drawn)
    total = term = 1.0
    at = marked_drawn
    while at + 1 <= most and term > 1e-17 * total:
        term *= (marked - at) * (drawn - at) / ((at + 1) * (population - marked - drawn + at + 1))
        total += term
        at += 1
    return min(first + math.log(total), 0.0)


def _log_choose(n: float, k: float) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


# Who they are.


def _examples(paired: Paired, newly_wrong: Mask, columns: Sequence[str], *, keys_hidden: bool) -> tuple[Example, ...]:
    """Up to ten rows: those whose true class lost the most score; without scores, taken evenly over the keys."""
    rows = np.flatnonzero(newly_wrong)
    rows = rows[np.array(pc.sort_indices(paired.keys.take(pa.array(rows))), dtype=np.intp)]
    candidate, baseline = paired.models
    if all(model.answers.score is not None for model in paired.models):
        lost = _score_of_truth(baseline, rows) - _score_of_truth(candidate, rows)
        rows = rows[np.argsort(-lost, kind="stable")[:MOST_EXAMPLES]]
    elif len(rows) > MOST_EXAMPLES:
        rows = rows[np.arange(MOST_EXAMPLES) * len(rows) // MOST_EXAMPLES]
    keys = [""] * len(rows) if keys_hidden else texts(paired.keys, rows)
    shown = {column: texts((paired.columns or {})[column], rows, digits=_DIGITS) for column in columns}
    return tuple(
        Example(
            key=key,
            truth=value_text(paired.classes[paired.truth[row]]),
            baseline=_answer(baseline, int(row)),
            candidate=_answer(candidate, int(row)),
            values={column: column_texts[place] for column, column_texts in shown.items()},
        )
        for place, (key, row) in enumerate(zip(keys, rows, strict=True))
    )


def _score_of_truth(model: Model, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return _score_of(model, rows, model.truth[rows])


def _score_of(model: Model, rows: NDArray[np.intp], codes: NDArray[Any]) -> NDArray[np.float64]:
    """The score that `model` gave to the class `codes` of each of `rows`."""
    score = model.answers.score
    assert score is not None
    if score.ndim == 2:
        of_class: NDArray[np.float64] = score[rows, codes]
        return of_class
    return np.where(codes == model.positive, score[rows], 1 - score[rows])


def _answer(model: Model, row: int) -> str:
    """The class that was predicted, with its score in brackets where there are scores: `1 (0.83)`."""
    assert model.answers.prediction is not None
    code = model.answers.prediction[row]
    name = value_text(model.classes[code])
    if model.answers.score is None:
        return name
    score = float(_score_of(model, np.array([row]), np.array([code]))[0])
    return cut(f"{name} ({score:.2f})") if 0 <= score <= 1 else name
