"""The shares of a column's rows before and after, drawn in characters: who reads them needs neither images nor colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelship.core.words import clean
from modelship.reporting.columns import fitted, width

MOST_LABELS = 12
"""Bins or categories of one drawing; more is no small picture."""

_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS_EACH = 2
_SIDES = ("reference", "current")
_INDENTATION = 2
_NAME_LIMIT = 40
_LABEL_LIMIT = 12
_MOVED_WIDTH = 44
"""Columns for the categories that moved most."""


@dataclass(frozen=True)
class Distribution:
    """Shares of one column's rows by the same labels, each side up to 1 in all."""

    name: str
    kind: Literal["numerical", "categorical"]
    labels: tuple[str, ...]
    """Lower ends of bins, or categories."""
    reference: tuple[float, ...]
    current: tuple[float, ...]

    @property
    def is_drawable(self) -> bool:
        """Whether there is something to draw, for each label on both sides."""
        return 0 < len(self.labels) == len(self.reference) == len(self.current) <= MOST_LABELS

    @property
    def highest(self) -> float:
        """The share that the highest bar stands for; both sides have one scale."""
        return max(map(_share, (*self.reference, *self.current))) or 1.0

    def heights(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How high each bar is, of the highest one: reference first, current second."""
        before, after = (tuple(_share(share) / self.highest for share in side) for side in (self.reference, self.current))
        return before, after

    def lines(self) -> list[str]:
        """The name, with the bin that moved most, both sides under each other, and the ends; of categories those that moved most."""
        start = " " * _INDENTATION
        titles = max(map(len, _SIDES))
        drawn = [f"{start}{title:<{titles}} │{''.join(map(_bar, side))}│" for title, side in zip(_SIDES, self.heights(), strict=True)]
        name = clean(self.name, _NAME_LIMIT)
        if self.kind == "categorical":
            return [name, *drawn, f"{start}{' ' * titles}  {self.moved(_MOVED_WIDTH)}".rstrip()]
        return [f"{name}, at {self.moved(0)}", *drawn, f"{start}{' ' * titles}  {self._ends()}".rstrip()]

    def moved(self, limit: int) -> str:
        """The labels whose shares differ most, as `EV: 18% → 5%, UA: 20% → 26%`, in about `limit` columns; one at least."""
        order = sorted(range(len(self.labels)), key=lambda index: -abs(_share(self.current[index]) - _share(self.reference[index])))
        told: list[str] = []
        for index in order:
            label = clean(self.labels[index], _LABEL_LIMIT) or "(empty)"
            before, after = percent(self.reference[index]), percent(self.current[index])
            one = f"{label}: {before} → {after}"
            if told and (before == after or width(", ".join([*told, one])) > limit):
                break
            told.append(one)
        return ", ".join(told)

    def _ends(self) -> str:
        first, last = (clean(self.labels[index], _LABEL_LIMIT) for index in (0, -1))
        if len(self.labels) == 1:
            return first
        room = len(self.labels) * _COLUMNS_EACH - width(first)
        return f"{first}{fitted(last, room, right=True)}" if room > width(last) else f"{first} … {last}"


def lines(distributions: Sequence[Distribution], most: int) -> list[str]:
    """The first `most` drawings under each other."""
    return [drawn for distribution in distributions[:most] for drawn in distribution.lines()]


def percent(share: float) -> str:
    """`0%`, `<1%`, `12%`, `100%`; nothing that is there reads as nothing."""
    value = _share(share)
    return "<1%" if 0 < value <= 0.005 else f"{value:.0%}"


def _share(value: float) -> float:
    """Between 0 and 1, whatever a record says."""
    return min(max(value, 0.0), 1.0)


def _bar(height: float) -> str:
    """Nothing for no rows, and at least the lowest bar for any."""
    return (_BARS[max(round(height * len(_BARS)), 1) - 1] if height > 0 else " ") * _COLUMNS_EACH
