"""Large logs of JSON lines, made small before they are read as a whole: most of their lines are of other batches, or in no sample.

Of each line only four values are decoded at first, which takes a tenth of the time. The lines that are wanted, of at most `MOST_ROWS`
keys, are copied into a file of their own; counts are those of the whole log.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
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


def thinned(log: TableReader, wanted: Wanted) -> tuple[TableReader, Reading | None]:
    """The lines that are wanted as a table by themselves, and what was counted in all of them.

    A log that is stored in another way is returned as it is. Raises BadInput as `read_answers` does.
    """
    if not isinstance(log.storage, JsonLines):
        return log, None
    storage, largest = log.storage, None
    reading = Reading(wanted, log.name, has_models=True)
    columns = _Columns(wanted.key, wanted.columns)
    drawn: list[NDArray[np.uint64]] = []
    held = 0
    for _, batch in columns.read(storage):
        chosen = reading.choose(batch)
        if chosen is None or not chosen.num_rows:
            continue
        numbers = draw(chosen.column(wanted.key))
        drawn.append(np.unique(numbers if largest is None else numbers[numbers <= largest]))
        held += len(drawn[-1])
        if held > 2 * answers.MOST_ROWS:
            drawn = [np.unique(np.concatenate(drawn))[: answers.MOST_ROWS]]
            held, largest = len(drawn[0]), drawn[0][-1]
    columns.require(log.name)
    if not reading.rows:
        raise reading.empty()
    smallest = np.unique(np.concatenate(drawn))[: answers.MOST_ROWS]
    path = scratch_folder() / "thinned.jsonl"
    again = Reading(wanted, log.name, has_models=True)
    with path.open("wb") as file:
        for lines, batch in columns.read(storage):
            chosen = again.choose(batch)
            if chosen is not None and chosen.num_rows:
                kept = draw(chosen.column(wanted.key)) <= smallest[-1]
                rows = chosen.column(_ROW).to_numpy()[kept]
                file.writelines(lines[row] + b"\n" for row in rows.tolist())
    return dataclasses.replace(log, storage=JsonLines(path, log.name)), reading


class _Columns:
    """The four values of each line that say whether it is wanted."""

    def __init__(self, key: str, columns: LogColumns) -> None:
        self._names = {"key": key, "time": columns.time, "model": columns.model, "version": columns.version}
        self._seen: set[str] = set()
        fields = [(field, Any, None) for field in self._names]
        row = msgspec.defstruct("Row", fields, rename=self._names)
        self._values = attrgetter(*self._names)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)

    def read(self, storage: JsonLines) -> Iterator[tuple[list[bytes], pa.RecordBatch]]:
        """Block by block the lines, and a batch of their values as text with the number of each line. Raises BadInput for no JSON."""
        for part in storage.parts():
            number = 1
            for block in part.blocks():
                lines = [line for line in block.split(b"\n") if line.strip()]
                try:
                    rows = list(map(self._values, self._decoder.decode_lines(block)))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    rows = [tuple(item.get(name) for name in self._names.values()) for item in part.one_by_one(block, number)]
                number += block.count(b"\n")
                if rows:
                    yield lines, self._batch(rows)

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        arrays = {}
        for (field, name), values in zip(self._names.items(), zip(*rows, strict=True), strict=True):
            array = _as_text(values)
            if array.null_count < len(array):
                self._seen.add(field)
            elif field == "model":  # A log without models is of this one.
                continue
            arrays[name] = array
        if self._names["model"] not in arrays:
            arrays[self._names["model"]] = pa.nulls(len(rows), pa.string())
        return pa.RecordBatch.from_pydict({**arrays, _ROW: pa.array(range(len(rows)))})

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
