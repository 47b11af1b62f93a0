"""A labelled history cut into batches: read once, in bounded memory, and handed out as it was known at any moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from modelship.core.errors import bad_input, did_you_mean
from modelship.core.words import brief, counted
from modelship.data.tables.reader import BATCH_ROWS, TableReader
from modelship.monitoring.answers import microseconds
from modelship.monitoring.windows import Window, moved, start_of

MOST_BATCHES = 500
"""Each is a file, and all are open while a history is cut."""

WRITTEN = (".parquet", ".pq", ".csv")
"""What tables are written as."""

_KNOWN = "modelship:known"
"""In the files of batches: when the truth of a row became known, in microseconds since 1970."""
_INSTANT = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Columns:
    """What the columns of a history are called."""

    key: str
    target: str
    time: str
    known_at: str
    """When the truth of a row became known; where the history has no such column, that is `delay` after its time."""


@dataclass(frozen=True)
class Past:
    """The rows of a history whose truth is known at some time, by batch."""

    folder: Path
    windows: tuple[Window, ...]
    rows: tuple[int, ...]
    """Of each batch."""
    columns: Columns
    notices: tuple[str, ...]

    def write(self, path: Path, batches: Iterable[int], known_by: datetime | None = None) -> int:
        """Write the rows of these batches whose truth was known by then (all without it) as a table; returns how many."""
        written = 0
        with _Sink(path) as sink:
            for table in self._pieces(batches):
                if known_by is not None:
                    table = table.filter(pc.less_equal(table.column(_KNOWN), microsecond(known_by)))
                written += len(table)
                sink.write(table.drop_columns([_KNOWN]))
        return written

    def known(self, batch: int, moment: datetime) -> tuple[int, Any]:
        """How many rows of a batch had their truth at a moment, and their keys as text where that was not all of them, else None."""
        if not self.rows[batch]:
            return 0, None
        table = pq.read_table(self._file(batch), columns=[self.columns.key, _KNOWN])
        chosen = table.filter(pc.less_equal(table.column(_KNOWN), microsecond(moment)))
        keys = None if len(chosen) == len(table) else chosen.column(self.columns.key).combine_chunks()
        return len(chosen), None if keys is None else as_text(keys)

    def _pieces(self, batches: Iterable[int]) -> Iterator[pa.Table]:
        for batch in batches:
            if self.rows[batch]:
                with pq.ParquetFile(self._file(batch)) as file:
                    yield from (pa.Table.from_batches([piece]) for piece in file.iter_batches(BATCH_ROWS))

    def _file(self, batch: int) -> Path:
        return self.folder / f"{batch}.parquet"


def cut(
    table: TableReader,
    columns: Columns,
    batch: str,
    delay: timedelta,
    now: datetime,
    folder: Path,
    until: datetime | None = None,
) -> Past:
    """Cut a history, up to `until`, into batches, files in `folder`. Rows without a time or truth, or from after `now`, are left out.

    Raises BadInput for a table that cannot be read, lacks a column, or has more than MOST_BATCHES batches.
    """
    header = table.columns()
    for name, key in ((columns.time, "backtest.time"), (columns.key, "data.key"), (columns.target, "data.target")):
        if name not in header:
            raise bad_input(f"has no column `{brief(name, 80)}` (`{key}`).", did_you_mean(name, header), path=table.name)
    latest = min(now, until - _INSTANT) if until else now
    first, last = _ends(table, columns.time, latest)
    windows = _windows(batch, first, last, table.name)
    edges = np.array([microsecond(window.start) for window in windows] + [microsecond(windows[-1].end)])
    known_at = columns.known_at if columns.known_at in header else None
    rows = np.zeros(len(windows), dtype=np.int64)
    undated = unlabelled = ahead = 0
    writers: dict[int, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        for piece in table.batches():
            times = _times(piece, columns.time, table.name)
            at = pc.fill_null(times, np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
            undated += times.null_count
            ahead += int(np.count_nonzero(at > microsecond(now)))
            has_truth = _has_truth(piece.column(columns.target))
            inside = (at >= edges[0]) & (at <= microsecond(latest))
            unlabelled += int(np.count_nonzero(inside & ~has_truth))
            kept = np.flatnonzero(inside & has_truth)
            if not len(kept):
                continue
            whole = pa.table(piece.take(pa.array(kept)))
            known = _known(whole, known_at, at[kept], delay, table.name)
            whole = whole.drop_columns([known_at] if known_at else []).append_column(_KNOWN, pa.array(known))
            place = np.searchsorted(edges, at[kept], side="right") - 1
            for number in np.unique(place).tolist():
                part = whole.filter(pa.array(place == number))
                if number not in writers:
                    writers[number] = stack.enter_context(pq.ParquetWriter(folder / f"{number}.parquet", part.schema))
                writers[number].write_table(part)
                rows[number] += len(part)
    told = [
        f"{counted(count, 'row')} of the history {what}: left out."
        for count, what in ((undated, "without a time"), (unlabelled, "without truth"), (ahead, "from the future"))
        if count
    ]
    return Past(folder, windows, tuple(int(count) for count in rows), columns, tuple(told))


def suffix_for(path: str | None) -> str | None:
    """The suffix of the table that training reads, if such are written; that of Parquet for what is no file."""
    if path is None:
        return WRITTEN[0]
    return next((suffix for suffix in WRITTEN if path.lower().endswith(suffix)), None)


def as_text(keys: Any) -> Any:
    """Keys in the one form in which those of two files can be compared."""
    plain = keys.dictionary_decode() if pa.types.is_dictionary(keys.type) else keys
    return plain.cast(pa.string())


def microsecond(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _ends(table: TableReader, time: str, latest: datetime) -> tuple[datetime, datetime]:
    """The first and the last time up to `latest`."""
    ends: list[int] = []
    for piece in table.batches([time]):
        times = _times(piece, time, table.name)
        known = times.filter(pc.less_equal(times, microsecond(latest)))
        if len(known) > known.null_count:
            found = pc.min_max(known).as_py()
            ends = [min([*ends, found["min"]]), max([*ends, found["max"]])]
    if not ends:
        raise bad_input(f"has no row with a time in `{brief(time, 80)}` that has come.", "Is it the right column?", path=table.name)
    first, last = (_EPOCH + timedelta(microseconds=end) for end in ends)
    return first, last


def _windows(batch: str, first: datetime, last: datetime, name: str) -> tuple[Window, ...]:
    windows: list[Window] = []
    start = start_of(batch, first)
    while start <= last:
        if len(windows) == MOST_BATCHES:
            raise bad_input(
                f"has more than {MOST_BATCHES:,} batches of {batch} from {first:%Y-%m-%d} to {last:%Y-%m-%d}.",
                "Make `monitor.batch` longer. Is a clock wrong?",
                path=name,
            )
        end = moved(batch, start, 1)
        windows.append(Window(start, end))
        start = end
    return tuple(windows)


def _times(piece: pa.RecordBatch, time: str, name: str) -> Any:
    return microseconds(piece.column(time), time, name)


def _known(whole: pa.Table, known_at: str | None, at: NDArray[np.int64], delay: timedelta, name: str) -> NDArray[np.int64]:
    """When the truth of each row became known: never before the row itself."""
    later = at + delay // timedelta(microseconds=1)
    if known_at is None:
        return later
    said = microseconds(whole.column(known_at).combine_chunks(), known_at, name)
    known = np.where(said.is_valid().to_numpy(zero_copy_only=False), said.fill_null(0).to_numpy(zero_copy_only=False), later)
    return np.maximum(known, at)


def _has_truth(values: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(values.type):
        found = found & ~np.isnan(values.fill_null(0).to_numpy(zero_copy_only=False))
    return found


class _Sink:
    """A table that is written piece by piece, in the format that its suffix names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        is_text = self._path.suffix.lower() == ".csv"
        if is_text:
            table = _plain(table)
        if self._writer is None:
            open_: Callable[..., Any] = pacsv.CSVWriter if is_text else pq.ParquetWriter
            self._writer = open_(self._path, table.schema)
        self._writer.write_table(table)


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which CSV does not have."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table
