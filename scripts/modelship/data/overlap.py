"""Rows that stand in two tables: what a model has learnt from says little of how good it is on rows that it has not seen.

Two rows are the same when they agree in all columns that both tables have, the target among them and the key aside. Tables with few
distinct values hold equal rows by chance, so that equal rows alone are suspicious only where there are more than chance explains. A
key that stands in both tables needs no such allowance: it names the same thing twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelship.data.hashing import alike, row_hashes
from modelship.data.tables.reader import TableReader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from modelship.data.hashing import Hashes

OVERLAP = "no_overlap_with_reference"
"""What the check is called among expectations."""

_CHANCE = 3.0
"""Standard deviations of a Poisson count that chance is allowed; about 1 of 700 honest tables lies beyond."""


@dataclass(frozen=True)
class Shared:
    """How many rows two tables share."""

    rows: int
    """Rows of the current table."""
    by_key: int
    by_content: int
    either: int
    expected: float
    """How many of those by content chance explains."""
    samples: tuple[str, ...] = ()
    """What some of them are called."""

    @property
    def holds(self) -> bool:
        """Whether the tables are apart."""
        return not self.by_key and not self.more_than_chance

    @property
    def more_than_chance(self) -> bool:
        """Whether more rows are equal than chance explains.

        The count of rare coincidences is nearly Poisson, with variance equal to its mean (Poisson 1837, Recherches sur la
        probabilité des jugements, sec. 81).
        """
        return self.by_content > self.expected + _CHANCE * math.sqrt(self.expected)


@dataclass(frozen=True)
class Overlap:
    """What the current table shares with the reference."""

    rows: int
    """Rows of the current table."""
    by_key: NDArray[np.intp]
    """Positions of rows whose key is in the reference, too; ascending."""
    by_content: NDArray[np.intp]
    """Positions of rows that are in the reference as they are, but for the key; ascending."""
    expected: float
    """How many of the latter chance explains: the share of rows of the reference that another row of it equals, times `rows`."""

    @property
    def holds(self) -> bool:
        """Whether the tables are apart."""
        return self.shared.holds

    @property
    def more_than_chance(self) -> bool:
        """Whether more rows are equal than chance explains."""
        return self.shared.more_than_chance

    @property
    def positions(self) -> list[int]:
        """Of the rows that are too much alike; ascending."""
        suspicious = {*self.by_key.tolist(), *(self.by_content.tolist() if self.more_than_chance else ())}
        return sorted(suspicious)

    @property
    def shared(self) -> Shared:
        """The counts."""
        either = len({*self.by_key.tolist(), *self.by_content.tolist()})
        return Shared(self.rows, len(self.by_key), len(self.by_content), either, self.expected)


def find_overlap(reference: TableReader, current: TableReader, key: str | None) -> Overlap:
    """Compare two tables, of which no more than one column at a time is in memory where the format allows it.

    Contents are compared by hashes of 64 bits: among n and m rows a false match has a chance of nm / 2^64, less than one in a million
    for ten million and one million rows. Keys are compared as they are. Raises BadInput for a table that cannot be read.
    """
    import numpy as np

    names = set(current.columns())
    shared = [name for name in reference.columns() if name in names]
    nothing = np.empty(0, dtype=np.intp)
    by_key = nothing
    if key is not None and key in shared:
        known = reference.read([key])[key].dropna()
        by_key = np.flatnonzero(_is_among(current.read([key])[key], known))
    contents = [name for name in shared if name != key]
    rows = current.rows()
    if not contents or not reference.rows():
        return Overlap(rows, by_key, nothing, 0.0)
    known_rows = np.sort(row_hashes(reference, contents))
    by_content = np.flatnonzero(_is_in(row_hashes(current, contents), known_rows))
    return Overlap(rows, by_key, by_content, _twins(known_rows) * rows)


def _is_among(keys: pd.Series[Any], known: pd.Series[Any]) -> NDArray[np.bool_]:
    """Which keys are among the known ones."""
    keys, known = alike(keys, known)
    found: NDArray[np.bool_] = (keys.isin(known) & keys.notna()).to_numpy(dtype=bool)
    return found


def _is_in(values: Hashes, ordered: Hashes) -> NDArray[np.bool_]:
    """(n,) Which values are among the ordered ones, of which there is at least one."""
    import numpy as np

    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == values
    return found


def _twins(ordered: Hashes) -> float:
    """The share of values that occur more than once."""
    import numpy as np

    same_as_next = ordered[1:] == ordered[:-1]
    return float(np.mean(np.append(same_as_next, False) | np.append(False, same_as_next)))
