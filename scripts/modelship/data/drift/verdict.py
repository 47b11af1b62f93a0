"""The verdict on measured columns: which of them drifted, and whether the table did. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelship.data.drift.chance import corrected, same_share
from modelship.data.drift.methods import Choice, Kind

Purpose = Literal["feature", "target", "prediction"]

LARGE = 0.10
"""A share of rows with new categories or numbers out of range, or by which missing values grew or shrank: drift by itself."""


@dataclass(frozen=True)
class Measured:
    """How far apart one column is in two tables. Pairs are reference first, current second."""

    column: str
    kind: Kind
    purpose: Purpose
    choice: Choice
    value: float
    """What the chosen method gives: a distance, or a p-value."""
    p_value: float
    """Of a test that the values come from one distribution; where the method gives a p-value, that one."""
    missing: tuple[int, int]
    """How many rows have no value."""
    rows: tuple[int, int]
    """Of the whole tables."""
    new: float = 0.0
    """The share of the current values that are categories unknown to the reference."""
    outside: float = 0.0
    """The share of the current values that are outside the reference's range."""

    @property
    def missing_shares(self) -> tuple[float, float]:
        """The shares of rows without a value."""
        return self.missing[0] / self.rows[0], self.missing[1] / self.rows[1]

    @property
    def missing_shift(self) -> float:
        """By how much the share of rows without a value differs, whichever way."""
        before, after = self.missing_shares
        return round(abs(after - before), 12)  # From 20 % to 30 % it is a tenth.


@dataclass(frozen=True)
class Judged:
    """One column's verdict."""

    measured: Measured
    p_value: float
    """Of `Measured.p_value`, corrected over all columns."""
    proven: bool
    """Whether the values differ beyond chance."""
    missing_proven: bool
    """Whether the shares of missing values differ beyond chance."""

    @property
    def far(self) -> bool:
        """Whether the distance reaches its threshold. A p-value says nothing of distance; it has only to be beyond chance."""
        return not self.measured.choice.distance or self.measured.value >= self.measured.choice.threshold

    @property
    def drifted(self) -> bool:
        """Whether the values are far apart, or are where the reference has none, or are missing, for many rows and beyond chance."""
        measured = self.measured
        elsewhere = max(measured.new, measured.outside) >= LARGE
        return (self.proven and (self.far or elsewhere)) or (self.missing_proven and measured.missing_shift >= LARGE)


@dataclass(frozen=True)
class Verdict:
    """What became of all columns."""

    columns: tuple[Judged, ...]
    """What drifted first, then what is nearest to its threshold."""
    share: float | None
    """Of the features, those that drifted; None without features."""
    drift: bool


def judge(measured: Sequence[Measured], *, confidence: float, max_share: float, purposes_decide: bool) -> Verdict:
    """Judge columns of two tables.

    A column has drifted where the distance reaches its threshold *and* the difference is beyond chance: large tables make every
    difference certain, small ones make large distances by chance. All tests are corrected together (Holm), so that among tables of
    one distribution at most 1 - `confidence` has any column called drifted. The table has drifted where more than `max_share` of
    its features have or, with `purposes_decide`, its target or its prediction.
    """
    chance = 1 - confidence
    values = corrected(
        {("values", entry.column): entry.p_value for entry in measured}
        | {("missing", entry.column): _missing_p_value(entry) for entry in measured if any(entry.missing)}
    )
    judged = []
    for entry in measured:
        p_value = values["values", entry.column]
        limit = chance if entry.choice.distance else entry.choice.threshold
        judged.append(Judged(entry, p_value, p_value <= limit, values.get(("missing", entry.column), 1.0) <= chance))
    features = [column for column in judged if column.measured.purpose == "feature"]
    share = sum(column.drifted for column in features) / len(features) if features else None
    decided = purposes_decide and any(column.drifted for column in judged if column.measured.purpose != "feature")
    return Verdict(tuple(sorted(judged, key=_gravity)), share, decided or (share is not None and share > max_share))


def _missing_p_value(entry: Measured) -> float:
    return same_share((entry.missing[0], entry.rows[0]), (entry.missing[1], entry.rows[1]))


def _gravity(column: Judged) -> tuple[bool, float, str]:
    measured = column.measured
    nearness = measured.value / max(measured.choice.threshold, 1e-12) if measured.choice.distance else 1 - column.p_value
    return not column.drifted, -nearness, measured.column
