"""Two versions of a table against each other, of which no more than one column at a time is in memory where the format allows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from modelship.core.records import ColumnChange, ColumnChangeKind
from modelship.core.words import brief
from modelship.data.changes.columns import are_alike, find_shift, kind_of
from modelship.data.hashing import key_hashes, mix, no_hashes, value_hashes, whole
from modelship.data.tables.reader import TableReader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from modelship.data.hashing import Hashes

MAX_COLUMNS = 20
"""Columns that a record tells of; the others it counts."""

MAX_KEYS = 5
"""Changed rows that a record names."""

_MAX_NAME = 200
_KINDS: tuple[ColumnChangeKind, ...] = get_args(ColumnChangeKind)


@dataclass(frozen=True)
class RowChanges:
    """What became of rows by their key."""

    added: int
    removed: int
    changed: int
    sample_keys: tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """What differs between two versions of a table."""

    rows_before: int
    rows_after: int
    rows: RowChanges | str
    """Or why rows could not be compared."""
    columns: tuple[ColumnChange, ...]
    """At most `MAX_COLUMNS`: first those that came, went or hold something else, then what has moved furthest."""
    counts: dict[ColumnChangeKind, int]
    """How many columns there are of each kind of change."""


def compare(before: TableReader, after: TableReader, key: str | None) -> Differences:
    """What differs. Contents are compared in the columns that both have with the same kind of values.

    Takes 24 bytes a row of each table beside the column that is being read. Raises BadInput for a table that cannot be read.
    """
    headers = before.columns(), after.columns()
    shared = _shared(*headers)
    keys = _keys(before, after, key, shared)
    is_paired = not isinstance(keys, str)
    changed, contents = _walk(before, after, [name for name in shared if name != key], with_contents=is_paired)
    found = [
        *(ColumnChange(column=brief(name, _MAX_NAME), change="added") for name in _only(headers[1], headers[0])),
        *(ColumnChange(column=brief(name, _MAX_NAME), change="removed") for name in _only(headers[0], headers[1])),
        *changed,
    ]
    counts = Counter(change.change for change in found)
    return Differences(
        rows_before=before.rows(),
        rows_after=after.rows(),
        rows=keys if isinstance(keys, str) else _row_changes(keys, contents, after, key or ""),
        columns=tuple(found[:MAX_COLUMNS]),
        counts={kind: counts[kind] for kind in _KINDS if counts[kind]},
    )


def _shared(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The columns that stand once in both."""
    counts = Counter(before), Counter(after)
    return [name for name in before if counts[0][name] == 1 and counts[1][name] == 1]


def _only(names: Sequence[str], others: Sequence[str]) -> list[str]:
    known = set(others)
    return [name for name in dict.fromkeys(names) if name not in known]


def _keys(before: TableReader, after: TableReader, key: str | None, shared: Sequence[str]) -> tuple[Hashes, Hashes] | str:
    """The hashes of both tables' keys, or why rows cannot be told by them."""
    if key is None:
        return "`data.key` names no column that tells rows apart"
    if key not in shared:
        return f"not both have one column `{brief(key, 80)}`"
    columns = before.read([key])[key], after.read([key])[key]
    for column, when in zip(columns, ("before", "now"), strict=True):
        missing = int(column.isna().sum())
        if missing:
            return f"`{brief(key, 80)}` is missing in {missing:,} rows {when}"
    hashes = key_hashes(*columns)
    for found, when in zip(hashes, ("before", "now"), strict=True):
        repeated = len(found) - _distinct(found)
        if repeated:
            return f"`{brief(key, 80)}` is repeated in {repeated:,} rows {when}"
    return hashes


def _distinct(hashes: Hashes) -> int:
    import numpy as np

    ordered = np.sort(hashes)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(len(ordered))


def _walk(
    before: TableReader, after: TableReader, names: Sequence[str], *, with_contents: bool
) -> tuple[list[ColumnChange], tuple[Hashes, Hashes]]:
    """The columns that hold something else now, and those whose values have moved, the furthest first; and hashes of all rows."""
    retyped: list[ColumnChange] = []
    shifted: list[tuple[float, ColumnChange]] = []
    contents = (no_hashes(before.rows()), no_hashes(after.rows())) if with_contents else (no_hashes(0), no_hashes(0))
    for (name, old), (_, new) in zip(_columns(before, names), _columns(after, names), strict=True):
        told = brief(name, _MAX_NAME)
        kinds = kind_of(old), kind_of(new)
        if kinds[0] != kinds[1] and all(kinds):
            retyped.append(ColumnChange(column=told, change="retyped", before=kinds[0], after=kinds[1]))
        if not are_alike(*kinds):
            continue
        if with_contents:
            contents = mix(contents[0], value_hashes(old)), mix(contents[1], value_hashes(new))
        shift = find_shift(old, new, kinds[1] or kinds[0])
        if shift:
            change = ColumnChange(column=told, change="shifted", before=brief(shift.before), after=brief(shift.after))
            shifted.append((shift.distance, change))
    shifted.sort(key=lambda one: -one[0])
    return [*retyped, *(change for _, change in shifted)], contents


def _row_changes(keys: tuple[Hashes, Hashes], contents: tuple[Hashes, Hashes], after: TableReader, key: str) -> RowChanges:
    import numpy as np

    order = np.argsort(keys[0])
    ordered = keys[0][order]
    places = np.searchsorted(ordered, keys[1])
    places[places == len(ordered)] = 0
    stayed = np.flatnonzero(ordered[places] == keys[1]) if len(ordered) else np.empty(0, dtype=np.intp)
    changed = stayed[contents[0][order[places[stayed]]] != contents[1][stayed]]
    return RowChanges(
        added=len(keys[1]) - len(stayed),
        removed=len(keys[0]) - len(stayed),
        changed=len(changed),
        sample_keys=_named(after, key, changed[:MAX_KEYS]),
    )


def _named(table: TableReader, key: str, rows: NDArray[np.intp]) -> tuple[str, ...]:
    if not len(rows):
        return ()
    keys = whole(table.read([key])[key])
    return tuple(brief(keys.iat[row], 100) for row in rows.tolist())


def _columns(table: TableReader, names: Sequence[str]) -> Iterator[tuple[str, pd.Series[Any]]]:
    for piece in table.pieces(names):
        for name in names:
            if name in piece:
                yield name, piece[name]
