"""What a version answered in one batch: one pass over the prediction log, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.config import LogColumns
from modelship.core.errors import bad_input, did_you_mean
from modelship.core.words import brief, counted
from modelship.data.tables.reader import TableReader
from modelship.monitoring.keys import Form, draw, in_form
from modelship.monitoring.windows import Window, written

MOST_ROWS = 500_000
"""How many rows performance is measured on."""

MOST_WIDE_ROWS = 100_000
"""How many rows, with all of their columns, quality and drift are looked at in."""

TOLERANCE = timedelta(minutes=5)
"""How far clocks of two machines may be apart."""


@dataclass(frozen=True)
class Answers:
    """The rows of one version in one batch."""

    rows: int
    """How many there are, sampled or not."""
    others: dict[str, int]
    """Rows in the batch by other versions."""
    ahead: int
    """Rows in the log from after now."""
    undated: int
    """Rows in the log without a time."""
    nameless: int
    """Rows of the batch without a key: they never get a label."""
    repeated: int
    """Rows looked at whose key was answered again later: they do not count."""
    narrow: pa.Table
    """(n,) what performance needs, one row for each key: the key, in its form, the time, answers and further columns."""
    wide: pa.Table
    """(m,) rows, one for each key, with the key, answers and features."""

    @property
    def is_sampled(self) -> bool:
        """Whether there are rows that performance does not look at."""
        return len(self.narrow) + self.repeated + self.nameless < self.rows


@dataclass(frozen=True)
class Wanted:
    """Which rows, and what of them."""

    key: str
    form: Form
    columns: LogColumns
    model: str
    """The registered name."""
    version: int
    window: Window
    now: datetime
    further: tuple[str, ...] = ()
    """Columns beside answers that performance needs."""


def read_answers(log: TableReader, wanted: Wanted, counted_before: Reading | None = None) -> Answers:
    """The rows of the version in the window. `counted_before` knows more of the log, where `log` is a part of it.

    Raises BadInput for a log that cannot be read, lacks a column or holds no such row.
    """
    header = log.columns()
    _require_columns(log, header, wanted)
    known = wanted.columns
    answers = [name for name in header if name in (known.prediction, known.score) or name.startswith(f"{known.score}_")]
    if not answers:
        raise bad_input(f"has neither `{known.prediction}` nor `{known.score}`.", "Name them in `monitor.columns`.", path=log.name)
    others = [name for name in header if name not in {known.model, known.version, wanted.key, known.time}]
    narrow = _Smallest(MOST_ROWS, list(dict.fromkeys([wanted.key, known.time, *answers, *wanted.further])))
    wide = _Smallest(MOST_WIDE_ROWS, [wanted.key, known.time, *others])
    reading = Reading(wanted, log.name, known.model in header)
    for batch in log.batches(header):
        chosen = reading.choose(batch)
        if chosen is not None and chosen.num_rows:
            keys = in_form(chosen.column(wanted.key), wanted.form, log.name)
            drawn = draw(keys)
            chosen = chosen.set_column(chosen.schema.get_field_index(wanted.key), wanted.key, keys)
            narrow.add(chosen, drawn)
            wide.add(chosen, drawn)
    if not reading.rows:
        raise reading.empty()
    table, nameless, repeated = _last_answers(narrow.table(), wanted.key, known.time)
    reading = counted_before or reading
    whole = _last_answers(wide.table(), wanted.key, known.time)[0].drop_columns([known.time])
    return Answers(
        reading.rows, dict(reading.others.most_common(50)), reading.ahead, reading.undated, nameless, repeated, table, whole
    )


def _require_columns(log: TableReader, header: Sequence[str], wanted: Wanted) -> None:
    known = wanted.columns
    for name, key in ((wanted.key, "data.key"), (known.time, "monitor.columns.time"), (known.version, "monitor.columns.version")):
        if name not in header:
            raise bad_input(f"has no column `{brief(name, 80)}` (`{key}`).", did_you_mean(name, header), path=log.name)


class Reading:
    """Counts what goes by, and chooses the rows of the version and the window."""

    def __init__(self, wanted: Wanted, name: str, has_models: bool) -> None:
        self.rows = self.ahead = self.undated = 0
        self.others: Counter[str] = Counter()
        self._wanted, self._name, self._has_models = wanted, name, has_models
        self._other_models: Counter[str] = Counter()
        self._newest = 0

    def choose(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """The rows of a batch that are wanted."""
        wanted, columns = self._wanted, self._wanted.columns
        times = microseconds(batch.column(columns.time), columns.time, self._name)
        missing = times.null_count
        self.undated += missing
        at = pc.fill_null(times, np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
        latest = _microsecond(wanted.now + TOLERANCE)
        self.ahead += int(np.count_nonzero(at > latest))
        dated = at[at <= latest]
        if len(dated):
            self._newest = max(self._newest, int(dated.max()))
        inside = np.flatnonzero((at >= _microsecond(wanted.window.start)) & (at < _microsecond(wanted.window.end)))
        if not len(inside):
            return None
        chosen = batch if len(inside) == batch.num_rows else batch.take(pa.array(inside))
        if self._has_models:
            models = _names(chosen, columns.model, absent=wanted.model)
            chosen = self._of_name(chosen, models, wanted.model, self._other_models)
        # Tags of services say `v7` where the registry says 7.
        versions = pc.utf8_ltrim(_names(chosen, columns.version), "vV")
        chosen = self._of_name(chosen, versions, str(wanted.version), self.others)
        self.rows += chosen.num_rows
        return chosen

    @staticmethod
    def _of_name(batch: pa.RecordBatch, said: Any, name: str, others: Counter[str]) -> pa.RecordBatch:
        """The rows whose name in `said` is `name`; the others are counted."""
        found = pc.value_counts(said)
        counts = dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
        ours = counts.pop(name, 0)
        others.update({brief(other, 40): count for other, count in counts.items()})
        return batch if ours == batch.num_rows else batch.filter(pc.equal(said, name))

    def empty(self) -> Exception:
        """Why there is nothing to look at."""
        wanted = self._wanted
        whose = f"v{wanted.version} of `{wanted.model}`"
        if self.others:
            told = ", ".join(f"v{name} ({counted(count, 'row')})" for name, count in self.others.most_common(5))
            message = f"holds no prediction of {whose} from {wanted.window}; there are {told}."
            remedy = "Is that version live, and does the service log the version that it serves?"
        elif self._other_models:
            told = ", ".join(f"`{name}`" for name, _ in self._other_models.most_common(5))
            message = f"holds no prediction of `{wanted.model}` from {wanted.window}; there are those of {told}."
            remedy = "Does the service log the registered name (`registry.name`)?"
        else:
            newest = written(datetime.fromtimestamp(self._newest / 1_000_000, UTC)) if self._newest else ""
            message = f"holds no prediction from {wanted.window}" + (f"; the newest is of {newest}." if newest else ".")
            remedy = "Does the service still write it? Another batch can be named: `--since`, `--until`."
        if self.ahead:
            message = f"{message} {counted(self.ahead, 'row')} {'is' if self.ahead == 1 else 'are'} from the future: is a clock wrong?"
        return bad_input(message, remedy, path=self._name)


class _Smallest:
    """The rows with the smallest numbers drawn from their keys; of equal numbers all."""

    def __init__(self, size: int, columns: Sequence[str]) -> None:
        self._size, self._columns = size, list(columns)
        self._batches: list[pa.RecordBatch] = []
        self._drawn: list[NDArray[np.uint64]] = []
        self._held = 0
        self._largest: np.uint64 | None = None

    def add(self, batch: pa.RecordBatch, drawn: NDArray[np.uint64]) -> None:
        """Take the next rows into account."""
        batch = batch.select(self._columns)
        if self._largest is not None:
            chosen = np.flatnonzero(drawn <= self._largest)
            batch, drawn = batch.take(pa.array(chosen)), drawn[chosen]
        batch = pa.RecordBatch.from_arrays([_plain(values) for values in batch.columns], names=batch.schema.names)
        self._batches.append(batch)
        self._drawn.append(drawn)
        self._held += len(drawn)
        if self._held > 1.5 * self._size + len(drawn):
            self._cut()

    def table(self) -> pa.Table:
        """The rows."""
        if self._held > self._size:
            self._cut()
        return pa.Table.from_batches(self._batches)

    def _cut(self) -> None:
        drawn = np.concatenate(self._drawn)
        largest = np.partition(drawn, self._size - 1)[self._size - 1]
        kept = np.flatnonzero(drawn <= largest)
        self._batches = pa.Table.from_batches(self._batches).take(pa.array(kept)).combine_chunks().to_batches()
        self._drawn, self._held, self._largest = [drawn[kept]], len(kept), largest


def _names(batch: pa.RecordBatch, column: str, absent: str = "?") -> Any:
    """A column as text, `absent` where it has no value; 7.0, as a column with gaps stores it, is 7."""
    values = _plain(batch.column(column))
    if pa.types.is_floating(values.type):
        values = values.cast(pa.int64(), safe=False)
    return pc.fill_null(values.cast(pa.string()), absent)


def _last_answers(table: pa.Table, key: str, time: str) -> tuple[pa.Table, int, int]:
    """The rows with a key, of each key the last one; how many have none, and how many were answered again."""
    nameless = table.column(key).null_count
    if nameless:
        table = table.filter(pc.is_valid(table.column(key)))
    if not len(table):
        return table, nameless, 0
    codes = table.column(key).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    at = microseconds(table.column(time).combine_chunks(), time, "the log").to_numpy(zero_copy_only=False)
    order = np.lexsort((np.arange(len(codes)), at, codes))
    is_last = np.append(codes[order][1:] != codes[order][:-1], True)
    kept = np.sort(order[is_last])
    return (table if len(kept) == len(table) else table.take(pa.array(kept))), nameless, len(table) - len(kept)


def microseconds(values: Any, column: str, where: str) -> Any:
    """Times as microseconds since 1970, those without a zone in UTC. Raises BadInput for what holds no times."""
    plain = _plain(values)
    try:
        if pa.types.is_string(plain.type) or pa.types.is_large_string(plain.type):
            plain = _parsed(plain)
        if pa.types.is_date(plain.type) or pa.types.is_null(plain.type):
            plain = plain.cast(pa.timestamp("us"))
        if pa.types.is_timestamp(plain.type):
            return plain.cast(pa.timestamp("us", plain.type.tz), safe=False).cast(pa.int64())
        reason = f"holds {plain.type}"
    except pa.ArrowInvalid:
        reason = "holds text that is no time"
    raise bad_input(f"`{brief(column, 80)}` {reason}.", "Write ISO 8601 in UTC, as `2026-11-27T21:24:35Z`.", path=where)


def _parsed(text: Any) -> Any:
    """Text as times; what has no zone is in UTC. Raises ArrowInvalid for what is no time."""
    try:
        return text.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return text.cast(pa.timestamp("us"))


def _plain(values: Any) -> Any:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _microsecond(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
