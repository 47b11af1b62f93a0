"""Slices: the metrics of both models among rows that share a value, and a verdict that knows how often it was asked for.

Every slice and metric that is looked at is one more chance to find a difference where there is none. With T comparisons each interval
is therefore held at confidence 1 - (1 - c) / T, so that all of them cover at once with probability c at least (Bonferroni; Dunn 1961,
"Multiple comparisons among means", J. Am. Stat. Assoc. 56). A slice fails only where the whole of such an interval lies below -m.

So far out, an interval needs more rows than a single one does. The floors below were set by simulated A/A runs: with fewer rows, or
fewer rows of one class, standard errors can come out near zero, and equal models seem to differ for certain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from modelship.core.config import Limit
from modelship.core.errors import bad_input, did_you_mean
from modelship.core.records import MetricVerdict, Slices, SliceVerdict
from modelship.core.words import counted, slice_name
from modelship.gate.judge import judge_paired
from modelship.gate.rows.columns import Coded, cut, slice_column
from modelship.gate.rows.intervals import Comparison, compare
from modelship.gate.rows.measures import Measure, UndefinedError
from modelship.gate.rows.paired import Model, Paired

MOST_VALUES = 30
BINS = 5
MOST_SLICES = 1000
"""Slices that are judged; of more, those with the most rows."""
MOST_VERDICTS = 300
MOST_TOO_FEW = 100
FEWEST = 50
"""The fewest rows that a slice is judged on, whatever the team allows; where rows belong together, the fewest groups."""
FEWEST_SUPPORT = 40
"""The fewest rows, or groups, that a metric may rest on: those of the rarest class that it divides by."""
FEWEST_CROSSING = 5
"""The fewest rows that one model has above and the other below its median error."""


@dataclass(frozen=True)
class Partition:
    """All rows in slices that do not overlap."""

    columns: tuple[str, ...]
    codes: NDArray[np.int16]
    """(n,) the slice of each row, 0 … s-1."""
    slices: tuple[dict[str, str], ...]
    """What the rows of each of the s slices share: column to value, as a reader would write it."""

    def pieces(self) -> Iterator[Piece]:
        """The slices that have rows, each with its rows in their order."""
        order = np.argsort(self.codes, kind="stable")
        ends = np.cumsum(np.bincount(self.codes, minlength=len(self.slices)))
        for piece, start, end in zip(self.slices, [0, *ends], ends, strict=False):
            if end > start:
                yield Piece(piece, order[start:end])


@dataclass(frozen=True)
class Piece:
    """Some rows and what they share."""

    slice: dict[str, str]
    rows: NDArray[np.intp]
    """(m,) ascending row numbers."""

    def __str__(self) -> str:
        return slice_name(self.slice)


def partition(paired: Paired, columns: str | Sequence[str]) -> Partition:
    """The rows of `paired` by the values of a column, or by every combination of the values of up to three.

    A column with at most 30 values has a slice for each. Of more numbers or dates there are five bins with about equally many rows,
    of more texts the 29 most frequent ones and one slice for the others. Missing values are a slice. Raises BadInput for a column
    that is not there or whose type has no values to slice by.
    """
    names = tuple(dict.fromkeys([columns] if isinstance(columns, str) else columns))
    return reduce(_crossed, [_by_value(_coded(paired, name)) for name in names])


def judge_slices(
    paired: Paired,
    partitions: Iterable[Partition],
    measures: Mapping[str, Measure],
    limits: Mapping[str, Limit],
    *,
    confidence: float,
    min_rows: int,
) -> Slices:
    """Every metric in `measures` that has a `max-regression` in `limits`, by the same name, in every slice of `partitions`.

    A relative margin is taken of the baseline's value within the slice. Slices of fewer than `min_rows` rows (50 at least, and
    as many groups where rows belong together), and metrics that within a slice are not defined or rest on fewer than 40 rows of a
    class, are listed, not judged; so is a median that hardly a row crosses.
    """
    pieces = [piece for part in partitions for piece in part.pieces()]
    return judge_pieces(paired, pieces, measures, limits, confidence=confidence, min_rows=min_rows)


def judge_pieces(
    paired: Paired,
    pieces: Iterable[Piece],
    measures: Mapping[str, Measure],
    limits: Mapping[str, Limit],
    *,
    confidence: float,
    min_rows: int,
) -> Slices:
    """As `judge_slices`, of any pieces: they are one family, whose intervals hold at once."""
    # What is required of all rows together, `min` and `max`, is not required of every part of them.
    margins = {
        name: Limit(max_regression=limit.max_regression)
        for name, limit in limits.items()
        if name in measures and limit.max_regression is not None
    }
    family: list[tuple[Piece, str, Comparison]] = []
    too_few: list[str] = []
    min_rows = max(min_rows, FEWEST)
    judged = 0
    for piece in sorted(pieces, key=lambda piece: -len(piece.rows)):
        reason = _why_not(piece, paired, min_rows) or (judged == MOST_SLICES and f"not among the {MOST_SLICES:,} largest slices")
        if reason:
            too_few.append(f"{piece} ({reason})")
            continue
        judged += 1
        among = paired.take(piece.rows)
        for name in margins:
            try:
                comparison = compare(measures[name], among)
            except UndefinedError as error:
                too_few.append(f"{piece} ({name}: {error})")
                continue
            thin = _why_too_thin(measures[name], among, comparison)
            if thin:
                too_few.append(f"{piece} ({name}: {thin})")
            else:
                family.append((piece, name, comparison))
    each = 1 - (1 - confidence) / max(len(family), 1)
    verdicts = [
        (_urgency(comparison, verdict), SliceVerdict(slice=piece.slice, rows=len(piece.rows), verdict=verdict))
        for piece, name, comparison in family
        for verdict in [judge_paired(name, margins[name], measures[name].better, comparison, each)]
    ]
    verdicts.sort(key=lambda pair: (pair[0], -pair[1].rows, list(pair[1].slice.items()), pair[1].verdict.metric))
    return Slices(
        verdicts=tuple(verdict for _, verdict in verdicts[:MOST_VERDICTS]),
        comparisons=len(family),
        too_few=tuple(too_few[:MOST_TOO_FEW]),
        more_too_few=max(len(too_few) - MOST_TOO_FEW, 0),
        min_rows=min_rows,
    )


def _why_not(piece: Piece, paired: Paired, min_rows: int) -> str:
    if len(piece.rows) < min_rows:
        return counted(len(piece.rows), "row")
    if paired.groups is not None:
        groups = len(np.unique(paired.groups[piece.rows]))
        if groups < FEWEST:
            return f"{counted(len(piece.rows), 'row')} of {counted(groups, 'group')}"
    return ""


def _why_too_thin(measure: Measure, among: Paired, comparison: Comparison) -> str:
    """Why the standard error of `comparison` cannot be relied on far from its middle; nothing where it can."""
    if comparison.support < FEWEST_SUPPORT:
        return f"rests on {_about(comparison.support)}"
    if measure.name == "median_absolute_error" and comparison.change:
        # The variance of a median counts rows that cross it. Where none does, medians differ by what single rows happen to be.
        first, second = (_above_median(model) for model in among.models)
        crossing = int(np.count_nonzero(first != second))
        return f"{counted(crossing, 'row')} crossing the median" if crossing < FEWEST_CROSSING else ""
    return ""


def _above_median(model: Model) -> NDArray[np.bool_]:
    assert model.answers.prediction is not None
    error = np.abs(model.answers.prediction - model.truth)
    above: NDArray[np.bool_] = error > np.median(error)
    return above


def _about(rows: float) -> str:
    return counted(max(math.floor(rows), 1), "row")


def _urgency(comparison: Comparison, verdict: MetricVerdict) -> tuple[int, float]:
    """What a reader needs first: failures, then what cannot be told, each by how many standard errors it is beyond its margin."""
    assert verdict.margin is not None
    beyond = comparison.change + verdict.margin
    order = {"fail": 0, "inconclusive": 1}.get(verdict.state, 2)
    if comparison.standard_error:
        return order, beyond / comparison.widened_error
    return order, math.copysign(math.inf, beyond) if beyond else 0.0


def _coded(paired: Paired, name: str) -> Coded:
    columns = paired.columns or {}
    if name not in columns:
        raise bad_input(f"`gate.slices`: the predictions have no column `{cut(name)}`.", did_you_mean(name, columns))
    coded = slice_column(name, columns[name], most=MOST_VALUES, bins=BINS)
    if coded is None:
        kind = cut(str(columns[name].type))
        raise bad_input(
            f"`gate.slices`: column `{cut(name)}` is of type {kind}, which has no values to slice by.",
            "Name a column of numbers, dates, booleans or text.",
        )
    return coded


def _by_value(coded: Coded) -> Partition:
    every = np.eye(coded.missing + 1, dtype=bool)
    return Partition((coded.name,), coded.codes, tuple({coded.name: coded.text(one)} for one in every))


def _crossed(first: Partition, second: Partition) -> Partition:
    """Every combination that has rows. At most 31 x 31 x 31 of them fit into 16 bits."""
    width = len(second.slices)
    both = first.codes.astype(np.int32) * width + second.codes
    present = np.flatnonzero(np.bincount(both, minlength=len(first.slices) * width))
    place = np.zeros(len(first.slices) * width, dtype=np.int16)
    place[present] = np.arange(len(present))
    slices = tuple(first.slices[pair // width] | second.slices[pair % width] for pair in present)
    return Partition((*first.columns, *second.columns), place[both], slices)
