"""The worst cohort: where a candidate got worse, when nobody said where to look.

Rows are split into halves by a hash of their key. On the first half a shallow tree (Breiman, Friedman, Olshen & Stone 1984,
Classification and Regression Trees, chapter 8) is grown on how much each row's loss rose over the baseline's, and the leaf where it
rose most certainly is taken. The second half has had no part in the choice, so that an interval on it means what it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelship.core.config import Limit
from modelship.core.records import Slices
from modelship.gate.rows.columns import Coded, Names, is_text, split_column
from modelship.gate.rows.measures import Measure
from modelship.gate.rows.paired import Model, Paired
from modelship.gate.rows.slices import FEWEST, Piece, judge_pieces

Loss = NDArray[np.float64]
"""(n,) how much more the candidate loses on each row than the baseline."""

DEPTH = 3
LEAF_SHARE = 0.01
"""The smallest node's share of the rows that are searched."""
THRESHOLDS = 32
MOST_TEXTS = 200
CHANCE = 0.05
"""How often a part of the tree in which all rows are alike may be split further."""
SURE = 1e-3
"""Probabilities nearer to 0 and 1 are taken as this near, in the search alone: one absurd row shall not make a cohort."""


def judge_worst_cohort(
    paired: Paired,
    measures: Mapping[str, Measure],
    limits: Mapping[str, Limit],
    *,
    confidence: float,
    min_rows: int,
    seed: int = 0,
    show: Collection[str] = (),
) -> Slices:
    """Find the cohort that got worse and judge it, as a slice, on rows that the search has not seen.

    Empty where among the searched rows no cohort got worse, and worse than the others. The rest is as in `judge_slices` and
    `find_worst_cohort`.
    """
    found = find_worst_cohort(paired, min_rows=min_rows, seed=seed, show=show)
    return judge_pieces(paired, [found] if found else [], measures, limits, confidence=confidence, min_rows=min_rows)


def find_worst_cohort(paired: Paired, *, min_rows: int, seed: int = 0, show: Collection[str] = ()) -> Piece | None:
    """The cohort whose loss rose most certainly, and more than that of others, with those of its rows that were held back.

    All of `paired.columns` are searched but texts of more than 200 values. The loss is the logarithmic one where there are
    probabilities, else 0 for right and 1 for wrong; in regression the absolute error. Values of text columns that are not in
    `show` are counted instead of named. None where no cohort of at least `min_rows` rows in each half got worse.
    """
    searched = _first_half(paired, seed)
    rise = _rise(paired)
    coded = [column for column in _split_columns(paired) if not np.all(column.codes[searched] == column.codes[searched][:1])]
    fewest = max(min_rows, FEWEST, math.ceil(LEAF_SHARE * np.count_nonzero(searched)))
    held_back = np.flatnonzero(~searched)
    root = _Node(np.flatnonzero(searched), {})
    leaves = [
        (_certainty(rise[leaf.rows], rise[searched]), leaf)
        for leaf in _leaves(root, coded, rise, fewest)
        if leaf.splits and len(_among(held_back, leaf, coded)) >= max(min_rows, FEWEST)
    ]
    most, worst = max(leaves, key=lambda pair: pair[0], default=(0.0, root))
    if most <= 0:
        return None
    hidden = {column.name for column in coded if column.name not in show and is_text((paired.columns or {})[column.name])}
    return Piece(_described(worst, coded, hidden), _among(held_back, worst, coded))


@dataclass(frozen=True)
class _Node:
    rows: NDArray[np.intp]
    """Those of the searched rows that are in it."""
    conditions: Mapping[int, NDArray[np.bool_]]
    """By the number of the column, the mask of codes that are in."""
    splits: int = 0
    """How many lie above it."""


@dataclass(frozen=True)
class _Split:
    evidence: float
    """Minus the logarithm of how likely so good a split is by chance, at most."""
    column: int
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]
    """Masks of the codes that go to either side. Names, and missing values, that the node has no row of go to none."""


def _split_columns(paired: Paired) -> list[Coded]:
    columns = sorted((paired.columns or {}).items())
    coded = (split_column(name, column, most=MOST_TEXTS, thresholds=THRESHOLDS) for name, column in columns)
    return [column for column in coded if column is not None]


def _leaves(node: _Node, coded: Sequence[Coded], rise: Loss, fewest: int) -> Iterator[_Node]:
    """The ends of the tree below `node`. The first split is always made; further ones where they are no chance."""
    split = _best_split(node, coded, rise, fewest) if node.splits < DEPTH else None
    if split is None or (node.splits and split.evidence < -math.log(CHANCE / len(coded))):
        yield node
        return
    goes_left = split.left[coded[split.column].codes[node.rows]]
    before = node.conditions.get(split.column, split.left | split.right)
    for codes, rows in ((split.left, node.rows[goes_left]), (split.right, node.rows[~goes_left])):
        child = _Node(rows, {**node.conditions, split.column: before & codes}, node.splits + 1)
        yield from _leaves(child, coded, rise, fewest)


def _best_split(node: _Node, coded: Sequence[Coded], rise: Loss, fewest: int) -> _Split | None:
    """The split with the most evidence for a difference of the means of its two sides.

    A column of many values can be cut in many ways, one of which always looks good. So columns are not compared by how well they
    split, but by how unlikely that is (Hothorn, Hornik & Zeileis 2006, "Unbiased recursive partitioning", J. Comput. Graph. Stat. 15),
    with P(|Z| > z) <= 2 exp(-z^2 / 2) for one way and the sum of it over all ways.
    """
    here = rise[node.rows]
    variance = float(here.var())
    if variance <= 1e-24 * float(here @ here) / max(len(here), 1):
        return None
    best: _Split | None = None
    for number, column in enumerate(coded):
        codes = column.codes[node.rows]
        counts = np.bincount(codes, minlength=column.missing + 1)
        sums = np.bincount(codes, weights=here, minlength=column.missing + 1).astype(np.float64)
        log_ways = _log_ways(column, counts)
        for order in _orders(column, counts, sums):
            gain, cut_at = _best_cut(counts[order], sums[order], fewest)
            evidence = gain / (2 * variance) - log_ways - math.log(2)
            if cut_at and (best is None or evidence > best.evidence):
                left = np.zeros(column.missing + 1, dtype=bool)
                left[order[:cut_at]] = True
                best = _Split(evidence, number, left, _seen(column, counts) & ~left)
    return best


def _log_ways(column: Coded, counts: NDArray[Any]) -> float:
    """The logarithm of the number of ways to split in two: by any set of names; by any threshold, missing values on either side."""
    seen = int(np.count_nonzero(counts))
    if isinstance(column, Names):
        return max(seen - 1, 0) * math.log(2)
    return math.log(max(seen - 1, 1) * (2 if counts[column.missing] else 1))


def _orders(column: Coded, counts: NDArray[Any], sums: Loss) -> Iterator[NDArray[np.intp]]:
    """Orders of the codes in which a cut may lie between any two.

    Names go by their mean: the best of all 2^(k-1) splits into two is among the k-1 cuts of that order (Fisher 1958, "On grouping for
    maximum homogeneity", J. Am. Stat. Assoc. 53; Breiman et al. 1984, section 4.2). Missing values may go to either side.
    """
    values = np.arange(column.missing)
    if isinstance(column, Names):
        seen = np.flatnonzero(counts)
        yield seen[np.argsort(sums[seen] / counts[seen], kind="stable")]
    elif counts[column.missing]:
        yield np.append(values, column.missing)
        yield np.append(column.missing, values)
    else:
        yield values


def _seen(column: Coded, counts: NDArray[Any]) -> NDArray[np.bool_]:
    """(k + 1,) the codes that a split speaks of: of ordered values all, as a range has no holes."""
    seen = counts > 0
    if not isinstance(column, Names):
        seen[: column.missing] = True
    return seen


def _best_cut(counts: NDArray[Any], sums: Loss, fewest: int) -> tuple[float, int]:
    """The gain of the best cut and how many codes are before it; 0 codes where either side would have fewer than `fewest` rows."""
    rows, total_rows = np.cumsum(counts)[:-1], int(counts.sum())
    loss, total_loss = np.cumsum(sums)[:-1], float(sums.sum())
    allowed = (rows >= fewest) & (total_rows - rows >= fewest)
    if not allowed.any():
        return 0.0, 0
    left, right = rows[allowed], total_rows - rows[allowed]
    gains = loss[allowed] ** 2 / left + (total_loss - loss[allowed]) ** 2 / right - total_loss**2 / total_rows
    best = int(np.argmax(gains))
    return float(gains[best]), int(np.flatnonzero(allowed)[best]) + 1


def _certainty(inside: Loss, everywhere: Loss) -> float:
    """By how many standard errors the loss of some rows rose, and rose more than that of the others."""
    mean, spread = float(inside.mean()), float(inside.std())
    others = (float(everywhere.sum()) - float(inside.sum())) / (len(everywhere) - len(inside))
    rose = mean - max(others, 0.0)
    if spread <= 1e-12 * abs(mean):
        return math.copysign(math.inf, rose) if rose else 0.0
    return rose / spread * math.sqrt(len(inside))


def _among(rows: NDArray[np.intp], node: _Node, coded: Sequence[Coded]) -> NDArray[np.intp]:
    for number, codes in node.conditions.items():
        rows = rows[codes[coded[number].codes[rows]]]
    return rows


def _described(node: _Node, coded: Sequence[Coded], hidden: Collection[str]) -> dict[str, str]:
    return {
        coded[number].name: _counted(coded[number], codes) if coded[number].name in hidden else coded[number].text(codes)
        for number, codes in node.conditions.items()
    }


def _counted(column: Coded, codes: NDArray[np.bool_]) -> str:
    return f"{np.count_nonzero(codes[: column.missing]):,} of {column.missing:,} values (not shown)"


def _rise(paired: Paired) -> Loss:
    candidate, baseline = paired.models
    loss = _loss_for(paired)
    return loss(candidate) - loss(baseline)


def _loss_for(paired: Paired) -> Callable[[Model], Loss]:
    if paired.task == "regression":
        return _absolute_error
    if all(_is_probable(model.answers.score) for model in paired.models):
        return _log_loss
    return _error if all(model.answers.prediction is not None for model in paired.models) else _rank_loss


def _is_probable(score: NDArray[np.float64] | None) -> bool:
    return score is not None and (not score.size or bool(score.min() >= 0 and score.max() <= 1))


def _absolute_error(model: Model) -> Loss:
    assert model.answers.prediction is not None
    error: Loss = np.abs(model.answers.prediction - model.truth)
    return error


def _error(model: Model) -> Loss:
    assert model.answers.prediction is not None
    wrong: Loss = (model.answers.prediction != model.truth).astype(np.float64)
    return wrong


def _log_loss(model: Model) -> Loss:
    score = model.answers.score
    assert score is not None
    if score.ndim == 2:
        of_truth = score[np.arange(len(score)), model.truth]
    else:
        of_truth = np.where(model.truth == model.positive, score, 1 - score)
    loss: Loss = -np.log(np.clip(of_truth, SURE, 1 - SURE))
    return loss


def _rank_loss(model: Model) -> Loss:
    """How far a row's rank among all scores is from its class, 0 … 1, for scores that are no probabilities."""
    score = model.answers.score
    assert score is not None
    if score.ndim == 2:
        score = score[np.arange(len(score)), model.truth]
        return 1 - _ranks(score)
    distance: Loss = np.abs((model.truth == model.positive) - _ranks(score))
    return distance


def _ranks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    ascending = np.sort(score)
    return (np.searchsorted(ascending, score, side="left") + np.searchsorted(ascending, score, side="right")) / (2 * len(score))


# Halves. A row's half depends on its key and the seed alone, not on the rows beside it or their order.


def _first_half(paired: Paired, seed: int) -> NDArray[np.bool_]:
    """(n,) whether a row is searched. Rows of one group stay together: their half is that of their smallest hash, mixed anew."""
    hashes = _mixed(_key_hashes(paired.keys) ^ np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    if paired.groups is not None:
        smallest = np.full(int(paired.groups.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(smallest, paired.groups, hashes)
        hashes = _mixed(smallest)[paired.groups]
    return (hashes >> np.uint64(63)).astype(bool)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _key_hashes(keys: Any) -> NDArray[np.uint64]:
    """(n,) one number for each key: integers and times as they are, everything else by its text."""
    if pa.types.is_dictionary(keys.type):
        keys = keys.dictionary_decode()
    if pa.types.is_integer(keys.type):
        return _mixed(keys.to_numpy(zero_copy_only=False).astype(np.uint64))
    if pa.types.is_timestamp(keys.type) or pa.types.is_date(keys.type):
        return _mixed(keys.to_numpy(zero_copy_only=False).astype("datetime64[us]").view(np.uint64))
    texts = keys if pa.types.is_large_string(keys.type) else keys.cast(pa.large_string())
    return np.concatenate([_text_hashes(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)])


_CHUNK = 20_000
_FACTOR = 0x100000001B3


def _text_hashes(texts: Any) -> NDArray[np.uint64]:
    """A polynomial in `_FACTOR` with the bytes of each text as coefficients, modulo 2^64, mixed."""
    _, offsets_buffer, bytes_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    start, end = int(offsets[0]), int(offsets[-1])
    lengths = np.diff(offsets)
    hashes = lengths.astype(np.uint64)
    if end == start:
        return _mixed(hashes)
    letters = np.frombuffer(bytes_buffer, dtype=np.uint8)[start:end].astype(np.uint64) + np.uint64(1)
    powers = np.cumprod(np.full(int(lengths.max()), _FACTOR, dtype=np.uint64))
    letters *= powers[np.arange(end - start) - np.repeat(offsets[:-1] - start, lengths)]
    filled = lengths > 0
    hashes[filled] += np.add.reduceat(letters, (offsets[:-1] - start)[filled])
    return _mixed(hashes)
