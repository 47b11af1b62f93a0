"""One pass over a table: exact facts on every column, and a uniform sample of its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from modelship.data.tables.reader import TableReader, is_text, type_name

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ColumnFacts:
    """What one column holds; exact."""

    type: str
    """As `type_name` calls it."""
    nulls: int
    """Rows without a value; not those with NaN."""
    nan: int
    infinite: int
    minimum: Any
    """The smallest finite number, or the earliest time; None where there is none."""
    maximum: Any
    values: dict[str, int] | None
    """How often each value is there, of text, truth values and whole numbers; None for other types and too many different values."""


@dataclass(frozen=True)
class Profile:
    """A table, summed up."""

    rows: int
    sample: pa.Table
    """Rows in the table's order; text that the table keeps in a dictionary is plain text."""
    columns: dict[str, ColumnFacts]


class Profiled(Protocol):
    """A table that can be summed up, wherever it is."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def is_file(self) -> bool:
        """Whether `name` is a path."""

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""

    def profile(self, columns: Sequence[str] | None = None, *, sample: int | None, seed: int, max_values: int) -> Profile:
        """As the function `profile` does."""


def profile(reader: TableReader, columns: Sequence[str] | None = None, *, sample: int | None, seed: int, max_values: int) -> Profile:
    """Read the given columns, or all, once, in bounded memory.

    `sample` rows are drawn uniformly without replacement (all without it); the same table, seed and number give the same rows
    whatever the size of batches. Values are counted up to `max_values` different ones in a column. Raises BadInput for a table
    that cannot be read.
    """
    import pyarrow as pa

    names = reader.columns() if columns is None else list(columns)
    schema = reader.schema()
    known = {name: _Column(schema.field(name).type, max_values) for name in names if schema.get_field_index(name) >= 0}
    drawn = _Sample(sample, seed)
    for batch in reader.batches(names):
        for name, values in zip(names, batch.columns, strict=True):
            known[name].add(values)
        drawn.add(batch)
    plain = pa.schema([pa.field(name, _plain_type(schema.field(name).type)) for name in names])
    return Profile(reader.rows(), drawn.table(plain), {name: column.facts() for name, column in known.items()})


class _Sample:
    """The rows with the smallest of random numbers, one number for each row in the table's order.

    Whichever numbers are the smallest, every set of rows is as likely as another (bottom-k sampling: Cohen and Kaplan 2007,
    Summarizing data using bottom-k sketches, PODC; with equal weights it is Efraimidis and Spirakis 2006, Weighted random sampling
    with a reservoir, Information Processing Letters 97).
    """

    def __init__(self, size: int | None, seed: int) -> None:
        import numpy as np

        self._size = size
        self._numbers = np.random.PCG64(seed)
        self._batches: list[pa.RecordBatch] = []
        self._keys: list[NDArray[np.uint64]] = []
        self._largest: np.uint64 | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Draw from the next rows."""
        import numpy as np
        import pyarrow as pa

        if self._size is not None:
            keys = self._numbers.random_raw(batch.num_rows)
            # Until the sample is full every row is in it.
            chosen = np.arange(len(keys)) if self._largest is None else np.flatnonzero(keys <= self._largest)
            if not len(chosen):
                return
            self._keys.append(keys[chosen])
            batch = batch.take(pa.array(chosen))
        self._batches.append(_decoded(batch))
        if self._size is not None and sum(map(len, self._keys)) > 2 * self._size + batch.num_rows:
            self._keep_smallest(self._size)

    def table(self, schema: pa.Schema) -> pa.Table:
        """The sample, with these columns."""
        import pyarrow as pa

        if self._size is not None and sum(map(len, self._keys)) > self._size:
            self._keep_smallest(self._size)
        return pa.Table.from_batches(self._batches, schema)

    def _keep_smallest(self, size: int) -> None:
        import numpy as np
        import pyarrow as pa

        keys = np.concatenate(self._keys)
        # Of equal keys the earlier row's is the smaller one.
        kept = np.sort(np.argsort(keys, kind="stable")[:size])
        self._keys = [keys[kept]]
        self._largest = self._keys[0].max()
        self._batches = pa.Table.from_batches(self._batches).take(pa.array(kept)).combine_chunks().to_batches()


class _Column:
    """The facts on one column, batch by batch."""

    def __init__(self, kind: pa.DataType, max_values: int) -> None:
        import pyarrow as pa

        self._type = kind
        self._plain = _plain_type(kind)
        self._max_values = max_values
        self._nulls = self._nan = self._infinite = 0
        self._minimum: Any = None
        self._maximum: Any = None
        is_whole = bool(pa.types.is_integer(self._plain))
        is_counted = is_whole or is_text(self._plain) or pa.types.is_boolean(self._plain)
        self._values: Counter[str] | None = Counter() if is_counted else None
        self._is_number = is_whole or bool(pa.types.is_floating(self._plain))
        self._is_ordered = self._is_number or pa.types.is_temporal(self._plain) or pa.types.is_decimal(self._plain)

    def add(self, values: pa.Array) -> None:
        """Take the next values into account."""
        self._nulls += values.null_count
        if self._values is not None:
            self._count(values)
        if self._is_ordered:
            self._measure(values)

    def facts(self) -> ColumnFacts:
        """What was found."""
        values = None if self._values is None else dict(self._values)
        return ColumnFacts(type_name(self._type), self._nulls, self._nan, self._infinite, self._minimum, self._maximum, values)

    def _count(self, values: pa.Array) -> None:
        import pyarrow.compute as pc

        found = pc.value_counts(values)
        assert self._values is not None
        # One entry may be for nulls.
        if len(found) > self._max_values + 1:
            self._values = None
            return
        for value, count in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
            if value is not None:
                self._values[str(value).lower() if isinstance(value, bool) else str(value)] += count
        if len(self._values) > self._max_values:
            self._values = None

    def _measure(self, values: pa.Array) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._is_number:
            plain = _decode(values)
            # Arrow orders no durations, but the numbers that they are.
            found = pc.min_max(plain.cast(pa.int64()) if pa.types.is_duration(plain.type) else plain)
            self._widen(*(found[end].cast(plain.type).as_py() for end in ("min", "max")))
            return
        # NumPy takes a tenth of Arrow's time.
        numbers = _decode(values).drop_null().to_numpy()
        if not len(numbers):
            return
        low, high = numbers.min(), numbers.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            self._nan += int(np.isnan(numbers).sum())
            self._infinite += int(np.isinf(numbers).sum())
            numbers = numbers[np.isfinite(numbers)]
            if not len(numbers):
                return
            low, high = numbers.min(), numbers.max()
        self._widen(low.item(), high.item())

    def _widen(self, low: Any, high: Any) -> None:
        if low is not None:
            self._minimum = low if self._minimum is None else min(self._minimum, low)
            self._maximum = high if self._maximum is None else max(self._maximum, high)


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([_decode(values) for values in batch.columns], names=batch.schema.names)


def _decode(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _plain_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
