"""Pair two models' predictions files row by row, and refuse what would make the comparison speak of something else.

A row is what the key names. Rows come out in the order of keys, so that no verdict depends on the order of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.words import counted
from modelship.gate.rows.paired import Answers, Paired, Task
from modelship.gate.rows.prediction_classes import Labels, answers, find_classes, truth_differs
from modelship.gate.rows.prediction_rows import EXAMPLES, Layout, Rows, read_rows, require_column
from modelship.gate.rows.prediction_tables import PredictionsFile, is_moment, is_number, is_text, kind_name

__all__ = ["Differences", "Layout", "PredictionsFile", "common_rows", "read_pair", "read_single", "row_differences", "same_rows"]


@dataclass(frozen=True)
class Differences:
    """How the rows of two files differ."""

    only_candidate: int
    """Rows whose key the baseline's file lacks."""
    only_baseline: int
    """Rows whose key the candidate's file lacks."""
    other_truth: int
    """Rows in both files whose truth is not the same."""
    examples: tuple[str, ...] = ()
    """Up to three keys of such rows, those with another truth first; none where keys are text that may not be shown."""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.only_candidate or self.only_baseline or self.other_truth)


def read_pair(candidate: PredictionsFile, baseline: PredictionsFile, layout: Layout, task: Task) -> Paired:
    """Both files' answers to the same rows, in the order of keys. Truth, groups and further columns are the baseline's.

    Classes are all labels of truth and of both predictions, and what scores speak of. With two classes, scores are read from the
    column `score`, else from that of the positive class; with more, from one column for each. A file without them has no scores.

    Raises BadInput, naming file and column, for a file that cannot be read, an absent column, fewer than two rows, keys that are
    missing, repeated or not the same in both files, labels that differ, values that are missing, not finite or of the wrong kind, and
    scores that do not fit the classes.
    """
    matched = _match(candidate, baseline, layout, task)
    matched.refuse_differences()
    return _paired(matched.candidate, matched.baseline, task)


def read_single(file: PredictionsFile, layout: Layout, task: Task) -> Paired:
    """One file's answers, which are their own baseline: for the metrics of a first run. Raises BadInput as `read_pair` does."""
    rows = read_rows(file, layout, task, _further_columns(layout, file, None))
    rows = _by_key(rows, rows.keys)
    return _paired(rows, rows, task)


def common_rows(
    candidate: PredictionsFile, baseline: PredictionsFile, layout: Layout, task: Task
) -> tuple[Paired | None, Differences]:
    """The rows that both files have with the same truth, and how the others differ: for a holdout that a pull request changes.

    The first is None where fewer than two rows are left. Raises BadInput as `read_pair` does, save for keys and labels that differ.
    """
    matched = _match(candidate, baseline, layout, task)
    differences = matched.differences()
    same = np.flatnonzero(~matched.other_truth)
    if len(same) < 2:
        return None, differences
    ours, theirs = matched.candidate, matched.baseline
    if differences.other_truth:
        ours, theirs = ours.take(same), theirs.take(same)
    return _paired(ours, theirs, task), differences


def row_differences(candidate: PredictionsFile, baseline: PredictionsFile, layout: Layout, task: Task) -> Differences:
    """How the rows of two files differ, and nothing else of them. Raises BadInput as `common_rows` does."""
    return _match(candidate, baseline, layout, task, further=()).differences()


def same_rows(first: PredictionsFile, second: PredictionsFile, layout: Layout, task: Task) -> tuple[Paired, Rows] | None:
    """Both files' answers, the first as the candidate's, and the rows of the second in that order; neither groups nor further columns.

    None unless both hold the very same rows with the same truth. Raises BadInput as `common_rows` does.
    """
    matched = _match(first, second, layout, task, further=())
    return None if matched.differences() else (_paired(matched.candidate, matched.baseline, task), matched.baseline)


@dataclass(frozen=True)
class _Matched:
    """The rows of two files that share a key, in the order of keys, and those that do not."""

    candidate: Rows
    baseline: Rows
    only_candidate: Rows
    only_baseline: Rows
    other_truth: NDArray[np.bool_]
    """(n,) which of the shared rows differ in truth."""

    def differences(self) -> Differences:
        """How many rows differ, and a few of them."""
        other_truth = np.flatnonzero(self.other_truth)
        examples = (
            *self.baseline.examples(other_truth),
            *self.only_candidate.examples(_all(self.only_candidate)),
            *self.only_baseline.examples(_all(self.only_baseline)),
        )
        return Differences(len(self.only_candidate), len(self.only_baseline), len(other_truth), examples[:EXAMPLES])

    def refuse_differences(self) -> None:
        """Raise BadInput unless both files have the same rows with the same truth."""
        ours, theirs = self.candidate, self.baseline
        alone = [
            f"{counted(len(rows), 'row')} only {where}, {rows.such_as(_all(rows))}"
            for rows, where in ((self.only_candidate, "here"), (self.only_baseline, "there"))
            if len(rows)
        ]
        if alone:
            raise ours.problem(
                f"keys in `{ours.layout.key}` are not those of {theirs.file.name}: {'; '.join(alone)}.",
                "Score both models on the same rows.",
            )
        other_truth = np.flatnonzero(self.other_truth)
        if len(other_truth):
            raise ours.problem(
                f"labels in `{ours.layout.truth}` differ from {theirs.file.name} in {counted(len(other_truth), 'row')}, "
                f"{ours.such_as(other_truth)}.",
                "Score both models on the same rows.",
            )


def _all(rows: Rows) -> NDArray[np.intp]:
    return np.arange(len(rows))


def _match(
    candidate: PredictionsFile, baseline: PredictionsFile, layout: Layout, task: Task, *, further: Sequence[str] | None = None
) -> _Matched:
    """The rows of both files, with the columns `further` beside answers; without it with those that `layout` asks for."""
    further = _further_columns(layout, candidate, baseline) if further is None else further
    trusted = baseline.columns()
    ours = read_rows(candidate, layout, task, [name for name in further if name not in trusted])
    theirs = read_rows(baseline, layout, task, [name for name in further if name in trusted])
    our_keys, their_keys = _comparable_keys(ours, theirs)
    ours, theirs = _by_key(ours, our_keys), _by_key(theirs, their_keys)
    our_own, their_own = _alone(ours, theirs), _alone(theirs, ours)
    only_ours, only_theirs = ours.take(np.flatnonzero(our_own)), theirs.take(np.flatnonzero(their_own))
    # Both are in the order of keys, and no key repeats: what is left of each is the same keys in the same places.
    if len(only_ours):
        ours = ours.take(np.flatnonzero(~our_own))
    if len(only_theirs):
        theirs = theirs.take(np.flatnonzero(~their_own))
    differs = _numbers_differ(ours.truth, theirs.truth) if task == "regression" else truth_differs(ours, theirs)
    return _Matched(ours, theirs, only_ours, only_theirs, differs)


def _further_columns(layout: Layout, candidate: PredictionsFile, baseline: PredictionsFile | None) -> list[str]:
    """The columns to slice and to group by. Raises BadInput where one is in neither file.

    A column that the baseline's file has is read there: the author of a pull request cannot have changed that one.
    """
    known = candidate.columns()
    trusted = known if baseline is None else baseline.columns()
    known = {**known, **trusted}
    if layout.slices == "all":
        names = layout.other_columns(name for name, is_plain in trusted.items() if is_plain)
    else:
        names = list(layout.slices)
    for name in names:
        require_column(name, "gate.slices", known, candidate, baseline)
    if layout.group is not None:
        # Whoever chooses which rows belong together chooses how wide intervals are: never the candidate.
        require_column(layout.group, "gate.group", trusted, baseline or candidate)
        names.append(layout.group)
    return list(dict.fromkeys(names))


def _comparable_keys(candidate: Rows, baseline: Rows) -> tuple[Any, Any]:
    """The keys of both files in one type. Raises BadInput where none makes equal keys equal."""
    ours, theirs = candidate.keys, baseline.keys
    common = _common_type(ours.type, theirs.type)
    if common is not None:
        try:
            return ours.cast(common), theirs.cast(common)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    raise candidate.problem(
        f"keys in `{candidate.layout.key}` are {kind_name(ours.type)}, and {kind_name(theirs.type)} in {baseline.file.name}.",
        "Write keys of one type.",
    )


def _common_type(first: Any, second: Any) -> Any | None:
    """The type in which keys of two types can be compared; None where there is none."""
    kinds = (first, second)
    if first == second:
        return first
    if all(is_moment(kind) for kind in kinds):
        zones = {getattr(kind, "tz", None) is not None for kind in kinds}
        unit = "ns" if any(getattr(kind, "unit", "") == "ns" for kind in kinds) else "us"
        return None if len(zones) == 2 else pa.timestamp(unit, tz="UTC" if zones == {True} else None)
    if any(is_text(kind) for kind in kinds):
        other = second if is_text(first) else first
        # As numbers, `007` and `7` would be one key. Dates and booleans have several spellings, and mean the same.
        return pa.string() if is_number(other) else other
    if all(is_number(kind) or pa.types.is_boolean(kind) for kind in kinds):
        # Integers are of 64 bits with a sign by now, but for those that do not fit.
        return pa.string() if pa.uint64() in kinds else pa.int64()
    return None


def _by_key(rows: Rows, keys: Any) -> Rows:
    """The rows in the order of `keys`, which replace their own. Raises BadInput where keys repeat."""
    rows = replace(rows, keys=keys)
    if not pc.all(pc.less(keys[:-1], keys[1:])).as_py():
        rows = rows.take(pc.sort_indices(keys).to_numpy().astype(np.intp))
    again = pc.equal(rows.keys[:-1], rows.keys[1:]).to_numpy(zero_copy_only=False)
    first = np.flatnonzero(again & ~np.concatenate([[False], again[:-1]]))
    if len(first):
        repeat = "repeats" if len(first) == 1 else "repeat"
        raise rows.problem(
            f"{counted(len(first), 'key')} in `{rows.layout.key}` {repeat}, {rows.such_as(first)}.", "Each key must name one row."
        )
    return rows


def _alone(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """(n,) which rows have a key that `others` lack."""
    if rows.keys.equals(others.keys):
        return np.zeros(len(rows), dtype=bool)
    shared: NDArray[np.bool_] = pc.is_in(rows.keys, value_set=others.keys).to_numpy(zero_copy_only=False)
    return ~shared


def _numbers_differ(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) which numbers differ, as floats of the narrower type: half of the digits of one file are no other label."""
    narrower = min(ours.dtype, theirs.dtype, key=lambda kind: kind.itemsize)
    with np.errstate(over="ignore"):  # What the narrower type cannot hold is infinite in it, and differs.
        differs: NDArray[np.bool_] = ours.astype(narrower) != theirs.astype(narrower)
    return differs


def _paired(candidate: Rows, baseline: Rows, task: Task) -> Paired:
    """Rows that stand in the same order as one structure."""
    layout = baseline.layout
    further = {**candidate.further, **baseline.further}
    common = {
        "task": task,
        "key": layout.key,
        "keys": baseline.keys,
        "groups": _groups(candidate if layout.group in candidate.further else baseline) if layout.group in further else None,
        "columns": {name: values for name, values in further.items() if layout.slices == "all" or name in layout.slices},
    }
    if task == "regression":
        truth = baseline.truth.astype(np.float64)
        ours, theirs = (Answers(np.asarray(rows.prediction, dtype=np.float64)) for rows in (candidate, baseline))
        return Paired(**common, truth=truth, classes=(), positive=None, candidate=ours, baseline=theirs)
    labels = Labels.of(baseline, layout.truth, baseline.truth)
    sides = (candidate, baseline)
    predictions = [None if side.prediction is None else Labels.of(side, layout.prediction, side.prediction) for side in sides]
    classes = find_classes(labels, [each for each in predictions if each is not None], sides)
    ours, theirs = (answers(side, prediction, classes) for side, prediction in zip(sides, predictions, strict=True))
    return Paired(
        **common,
        truth=labels.by_index(classes.index),
        classes=classes.names,
        positive=classes.positive,
        candidate=ours,
        baseline=theirs,
    )


def _groups(rows: Rows) -> NDArray[np.intp]:
    """(n,) codes 0 … g-1 of the groups. Raises BadInput where a row has none."""
    column = rows.layout.group
    assert column is not None
    values = rows.further[column]
    rows.refuse_missing(column, values)
    codes: NDArray[np.intp] = values.dictionary_encode().indices.to_numpy().astype(np.intp)
    return codes
