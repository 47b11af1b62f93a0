"""Large logs of JSON lines, made small before they are read as a whole: most of their lines are of other batches, or in no sample.

The log is read once, and of each line four values are decoded, which takes a tenth of the time. A line whose key is among the
`MOST_ROWS` smallest so far is copied into a file of its own, in which those stay that are still among them in the end: about
k (1 + ln(n / k)) lines are copied for k of n rows. Counts are those of the whole log.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelship.core.config import LogColumns
from modelship.core.errors import bad_input
from modelship.core.scratch import scratch_folder
from modelship.core.words import brief
from modelship.data.tables.json_files import JsonLines
from modelship.data.tables.reader import TableReader
from modelship.monitoring import answers
from modelship.monitoring.answers import Reading, Wanted
from modelship.monitoring.keys import draw

_ROW = "row"
_LINE_BREAK = ord("\n")


def thinned(log: TableReader, wanted: Wanted) -> tuple[TableReader, Reading | None]:
    """The lines that are wanted as a table by themselves, and what was counted in all of them.

    A log that is stored in another way is returned as it is. Raises BadInput as `read_answers` does.
    """
    if not isinstance(log.storage, JsonLines):
        return log, None
    reading = Reading(wanted, log.name, has_models=True)
    columns = _Columns(wanted.key, wanted.columns)
    smallest = _SmallestNumbers(answers.MOST_ROWS)
    candidates: list[NDArray[np.uint64]] = []
    folder = scratch_folder()
    path = folder / "candidates.jsonl"
    with path.open("wb") as file:
        for block, batch in columns.read(log.storage):
            chosen = reading.choose(batch)
            if chosen is None or not chosen.num_rows:
                continue
            numbers, rows = draw(chosen.column(wanted.key)), chosen.column(_ROW).to_numpy()
            near = numbers <= smallest.largest
            file.writelines(_lines(block, batch.num_rows, rows[near]))
            candidates.append(numbers[near])
            smallest.add(numbers[near])
    columns.require(log.name)
    if not reading.rows:
        raise reading.empty()
    stays = np.concatenate(candidates) <= smallest.cut()
    if not stays.all():
        whole, path = path, folder / "thinned.jsonl"
        with whole.open("rb") as source, path.open("wb") as file:
            file.writelines(compress(source, stays.tolist()))
        whole.unlink()
    return dataclasses.replace(log, storage=JsonLines(path, log.name)), reading


class _SmallestNumbers:
    """The smallest of many numbers, each once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[NDArray[np.uint64]] = []
        self._held = 0
        self.largest = np.uint64(np.iinfo(np.uint64).max)
        """No number above it is among the smallest."""

    def add(self, numbers: NDArray[np.uint64]) -> None:
        """Take further numbers into account."""
        self._parts.append(numbers)
        self._held += len(numbers)
        if self._held > 1.25 * self._size:
            self.cut()

    def cut(self) -> np.uint64:
        """Forget all others. Returns the largest that may stay: of all numbers, where none had to go."""
        # By sorting: numpy's `unique` takes many times longer.
        kept = np.sort(np.concatenate(self._parts))
        kept = kept[np.append(True, kept[1:] != kept[:-1])]
        if len(kept) > self._size:
            kept = kept[: self._size]
            self.largest = kept[-1]
        self._parts, self._held = [kept], len(kept)
        return self.largest


def _lines(block: bytes, count: int, rows: NDArray[np.int64]) -> Iterator[bytes]:
    """The lines of these numbers among the `count` of a block that hold anything, each with a line break at its end."""
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == _LINE_BREAK)
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    if len(starts) == count and b"\r" not in block:
        return (block[start:end] + b"\n" for start, end in zip(starts[rows].tolist(), ends[rows].tolist(), strict=True))
    # Some are blank, or end in another way, as `Part.one_by_one` takes them.
    lines = [line for line in block.splitlines() if line.strip()]
    return (lines[row] + b"\n" for row in rows.tolist())


class _Columns:
    """The four values of each line that say whether it is wanted."""

    def __init__(self, key: str, columns: LogColumns) -> None:
        self._names = {"key": key, "time": columns.time, "model": columns.model, "version": columns.version}
        self._seen: set[str] = set()
        fields = [(field, Any, None) for field in self._names]
        # Millions of them: none is part of a cycle that the garbage collector would have to find.
        row = msgspec.defstruct("Row", fields, rename=self._names, gc=False)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)

    def read(self, storage: JsonLines) -> Iterator[tuple[bytes, pa.RecordBatch]]:
        """Block by block its lines, and a batch of their values as text with the number of each line. Raises BadInput for no JSON."""
        for part in storage.parts():
            number = 1
            for block in part.blocks():
                try:
                    rows = self._decoder.decode_lines(block)
                    values = {field: list(map(attrgetter(field), rows)) for field in self._names}
                except (msgspec.DecodeError, UnicodeDecodeError):
                    objects = part.one_by_one(block, number)
                    values = {field: [item.get(name) for item in objects] for field, name in self._names.items()}
                number += block.count(b"\n")
                if values["key"]:
                    yield block, self._batch(values)

    def _batch(self, columns: dict[str, list[Any]]) -> pa.RecordBatch:
        count = len(columns["key"])
        arrays = {}
        for field, values in columns.items():
            array = _as_text(values)
            if array.null_count < count:
                self._seen.add(field)
            elif field == "model":  # A log without models is of this one.
                continue
            arrays[self._names[field]] = array
        if self._names["model"] not in arrays:
            arrays[self._names["model"]] = pa.nulls(count, pa.string())
        return pa.RecordBatch.from_pydict({**arrays, _ROW: pa.array(range(count))})

    def require(self, name: str) -> None:
        """Raise BadInput where no line had one of the values that every log needs."""
        for field, key in (("key", "data.key"), ("time", "monitor.columns.time"), ("version", "monitor.columns.version")):
            if field not in self._seen:
                raise bad_input(f"has no column `{brief(self._names[field], 80)}` (`{key}`).", path=name)


def _as_text(values: Sequence[Any]) -> Any:
    """Values of JSON as text; alike ones without a step through Python."""
    try:
        array = pa.array(values)
        if pa.types.is_string(array.type) or pa.types.is_int64(array.type):
            return array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())
