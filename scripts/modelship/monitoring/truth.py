"""Truth beside answers: joined by key, one label for each, and how it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.config import seconds_of
from modelship.core.errors import bad_input, did_you_mean
from modelship.core.records import LabelArrival
from modelship.core.words import brief
from modelship.data.tables.reader import TableReader
from modelship.monitoring.answers import Answers, Wanted, microseconds
from modelship.monitoring.keys import draw, in_form


@dataclass(frozen=True)
class Labelled:
    """The answers whose truth is known."""

    answers: pa.Table
    truth: Any
    """(n,) pyarrow array beside `answers`."""
    arrival: LabelArrival
    is_complete: bool


def read_truth(table: TableReader, answers: Answers, wanted: Wanted, target: str, label_delay: str | None) -> Labelled:
    """The truth of the rows in `answers`. Raises BadInput for a table that cannot be read or lacks the key or the target.

    Of several labels for one key the last one known counts; without a column that says when, labels that differ count as none. What
    becomes known after now is not known yet.
    """
    header = table.columns()
    known_at = wanted.columns.known_at if wanted.columns.known_at in header else None
    for name, key in ((wanted.key, "data.key"), (target, "data.target")):
        if name not in header:
            raise bad_input(f"has no column `{brief(name, 80)}` (`{key}`).", did_you_mean(name, header), path=table.name)
    keys = answers.narrow.column(wanted.key).combine_chunks()
    places, labels, moments = _matching(table, keys, wanted, target, known_at)
    kept = np.ones(len(places), dtype=bool)
    if known_at:
        kept = moments <= _microsecond(wanted.now)
    places, moments = places[kept], moments[kept]
    labels = labels.filter(pa.array(kept))
    chosen, repeated, conflicting = _one_each(places, labels, moments, has_times=known_at is not None)
    row = places[chosen]
    order = np.argsort(row)
    row, chosen = row[order], chosen[order]
    rows = answers.narrow.take(pa.array(row))
    predicted = microseconds(rows.column(wanted.columns.time).combine_chunks(), wanted.columns.time, "the log").to_numpy()
    arrival, is_complete = _arrival(
        len(keys), predicted, moments[chosen] if known_at else None, wanted, label_delay, repeated, conflicting
    )
    return Labelled(rows, labels.take(pa.array(chosen)), arrival, is_complete)


def _matching(
    table: TableReader, keys: Any, wanted: Wanted, target: str, known_at: str | None
) -> tuple[NDArray[np.intp], Any, NDArray[np.int64]]:
    """Of all labels of the answers: the row that each is of, the label itself, and when it was known (0 where nobody says)."""
    drawn = np.sort(draw(keys))
    names, parts, moments = [wanted.key, target, *([known_at] if known_at else [])], [], []
    found: list[Any] = []
    for batch in table.batches(names):
        theirs = in_form(batch.column(0), wanted.form, table.name)
        numbers = draw(theirs)
        place = np.searchsorted(drawn, numbers)
        # Most labels are of other batches: they are gone before any key is compared.
        near = np.flatnonzero(drawn[np.minimum(place, len(drawn) - 1)] == numbers) if len(drawn) else np.empty(0, np.intp)
        if not len(near):
            continue
        picked = batch.take(pa.array(near))
        is_there = pc.is_valid(picked.column(1))
        found.append(theirs.take(pa.array(near)).filter(is_there))
        label = picked.column(1).filter(is_there)
        parts.append(label.dictionary_decode() if pa.types.is_dictionary(label.type) else label)
        if known_at:
            at = microseconds(picked.column(2).filter(is_there), known_at, table.name)
            moments.append(pc.fill_null(at, np.iinfo(np.int64).min).to_numpy(zero_copy_only=False))
    if not found:
        return np.empty(0, np.intp), pa.array([], table.schema().field(target).type), np.empty(0, np.int64)
    theirs = pa.concat_arrays(found)
    row = pc.index_in(theirs, value_set=keys)
    is_ours = pc.is_valid(row)
    labels = pa.concat_arrays(parts).filter(is_ours)
    places = row.filter(is_ours).to_numpy(zero_copy_only=False).astype(np.intp)
    at = np.concatenate(moments)[is_ours.to_numpy(zero_copy_only=False)] if known_at else np.zeros(len(places), np.int64)
    return places, labels, at


def _one_each(
    places: NDArray[np.intp], labels: Any, moments: NDArray[np.int64], *, has_times: bool
) -> tuple[NDArray[np.intp], int, int]:
    """One label for each row, by index; how many rows have several, and how many differ where nothing says which is the last."""
    if not len(places):
        return np.empty(0, np.intp), 0, 0
    order = np.lexsort((np.arange(len(places)), moments, places))
    ordered = places[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(starts[1:], len(ordered))
    codes = labels.dictionary_encode().indices.to_numpy(zero_copy_only=False)[order]
    differ = np.minimum.reduceat(codes, starts) != np.maximum.reduceat(codes, starts)
    if has_times:
        # Of the last moment there may be two labels as well.
        last = moments[order][ends - 1]
        at_last = moments[order] == np.repeat(last, ends - starts)
        low = np.minimum.reduceat(np.where(at_last, codes, np.iinfo(np.int32).max), starts)
        high = np.maximum.reduceat(np.where(at_last, codes, -1), starts)
        differ = low != high
    return order[ends - 1][~differ], int(np.count_nonzero(ends - starts > 1)), int(np.count_nonzero(differ))


def _arrival(
    rows: int,
    predicted: NDArray[np.int64],
    moments: NDArray[np.int64] | None,
    wanted: Wanted,
    label_delay: str | None,
    repeated: int,
    conflicting: int,
) -> tuple[LabelArrival, bool]:
    expected_by = wanted.window.end + timedelta(seconds=seconds_of(label_delay)) if label_delay else None
    labelled = len(predicted)
    is_complete = labelled == rows or (labelled > 0 if expected_by is None else wanted.now >= expected_by)
    arrival = LabelArrival(rows=rows, labelled=labelled, expected_by=expected_by, repeated=repeated, conflicting=conflicting)
    if moments is None or not labelled:
        return arrival, is_complete
    dated = moments > np.iinfo(np.int64).min
    if not dated.any():
        return arrival, is_complete
    delays = (moments - predicted)[dated] / 1_000_000
    return (
        LabelArrival(
            rows=rows,
            labelled=labelled,
            expected_by=expected_by,
            repeated=repeated,
            conflicting=conflicting,
            first_known=datetime.fromtimestamp(int(moments[dated].min()) // 1_000_000, UTC),
            last_known=datetime.fromtimestamp(int(moments[dated].max()) // 1_000_000, UTC),
            median_delay=float(np.median(delays)),
            slow_delay=float(np.quantile(delays, 0.9)),
            late=int(np.count_nonzero(delays > seconds_of(label_delay))) if label_delay else 0,
        ),
        is_complete,
    )


def _microsecond(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
