"""What is wrong with tables whatever a team expects of them: checks by the names of the keys in `data.checks`.

Pure: from what tables hold to what was found. Great Expectations knows none of these, or lets them pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelship.core.words import brief, counted
from modelship.data.tables.profile import ColumnFacts, Profile
from modelship.data.tables.reader import MixedColumn

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MAX_VALUES = 1000
"""Of how many different values of a column the checks want to know how often they are there."""

_MAX_CATEGORIES = 50
"""A column of text with more different values in the reference is not one of categories: there are always new places and products."""

_ROWS_A_CATEGORY = 5
"""Rows that a category of the reference has at least on average: what is different in nearly every row is a name."""

MAX_CLASSES = 100
"""A target of more different values is not one of classes."""

FEW_ROWS = 10
"""A class of fewer rows is rare: it leaves little to learn from, and its metrics are chance."""

_ENOUGH_ROWS = 100
"""In a table of fewer rows every class is rare, which its reader knows."""

_MAX_SHOWN = 5

_COMPARABLE = ("whole number", "number", "text", "bool", "time", "time in a zone")
"""Kinds of a target's values that can be told apart; lists and objects cannot."""

_SAME = 0.999
"""From this correlation on, a number is the target in other words."""


@dataclass(frozen=True)
class Side:
    """One of the two tables, summed up."""

    profile: Profile
    mixed: Mapping[str, MixedColumn]


@dataclass(frozen=True)
class Asked:
    """What a table is checked by."""

    reference: Side | None = None
    """None when the table is the reference itself, or there is none to compare with."""
    target: str | None = None
    key: str | None = None
    floor: float | None = None
    """The least share of the rows that every class must have."""


@dataclass(frozen=True)
class Found:
    """One thing that a check found."""

    observed: str
    column: str | None = None
    rows: int | None = None
    """How many rows it is about."""
    numbers: tuple[int, ...] = ()
    """Some of them, counted from 0."""
    values: tuple[Any, ...] = ()
    """What the column holds in such rows; they are looked up by these where their numbers are not known."""


def _missing_column(side: Side, asked: Asked) -> Iterator[Found]:
    for name in _only(asked.reference, side, asked):
        yield Found("the reference has this column", name)
    for name in _emptied(side, asked):
        yield Found("no row has a value, and the reference has values", name, side.profile.rows)


def _unexpected_column(side: Side, asked: Asked) -> Iterator[Found]:
    for name in _only(side, asked.reference, asked):
        yield Found("the reference has no such column", name)


def _only(one: Side | None, other: Side | None, asked: Asked) -> Iterator[str]:
    """Columns of one table alone; target and key have checks of their own."""
    if one is not None and other is not None:
        for name in one.profile.columns:
            if name not in other.profile.columns and name not in (asked.target, asked.key):
                yield name


def _emptied(side: Side, asked: Asked) -> Iterator[str]:
    """Columns that have values in the reference alone; target and key have checks of their own."""
    if asked.reference is not None:
        for name, before in asked.reference.profile.columns.items():
            after = side.profile.columns.get(name)
            gone = after is not None and _has_values(before, asked.reference) and not _has_values(after, side)
            if gone and name not in (asked.target, asked.key):
                yield name


def _changed_type(side: Side, asked: Asked) -> Iterator[Found]:
    for name, before, after in _shared(side, asked):
        if _kind(before.type) != _kind(after.type) and not _is_fitting(name, before, after, side):
            yield Found(f"{after.type}, where the reference has {before.type}", name)


def _shared(side: Side, asked: Asked) -> Iterator[tuple[str, ColumnFacts, ColumnFacts]]:
    """Columns that have values in both tables, as they are in the reference and here."""
    if asked.reference is None:
        return
    for name, before in asked.reference.profile.columns.items():
        after = side.profile.columns.get(name)
        if after is not None and _has_values(before, asked.reference) and _has_values(after, side):
            yield name, before, after


def _has_values(facts: ColumnFacts, side: Side) -> bool:
    return facts.nulls + facts.nan < side.profile.rows


def _kind(type_: str) -> str:
    """What values are, whatever their width, unit or zone."""
    for pattern, kind in (
        (r"u?int\d+", "whole number"),
        (r"float\d+|decimal.*", "number"),
        (r"timestamp \(.*", "time in a zone"),
        (r"timestamp|date", "time"),
    ):
        if re.fullmatch(pattern, type_):
            return kind
    return type_


def _is_fitting(name: str, before: ColumnFacts, after: ColumnFacts, side: Side) -> bool:
    """Whether values of the one type are values of the other. A missing value turns whole numbers into floats on their way."""
    kinds = _kind(before.type), _kind(after.type)
    if kinds == ("number", "whole number"):
        return True
    return kinds == ("whole number", "number") and not _has_fractions(_column(side, name))


def _has_fractions(values: pd.Series[Any]) -> bool:
    import numpy as np

    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = numbers[np.isfinite(numbers)]
    return bool((numbers != np.floor(numbers)).any())


def _mixed_types(side: Side, asked: Asked) -> Iterator[Found]:
    for name, mixed in side.mixed.items():
        if name != asked.key:
            total = mixed.values + mixed.others
            shown = ", ".join(brief(value, 40) for value in list(mixed.sample.values())[:_MAX_SHOWN])
            observed = f"{mixed.others:,} of {total:,} values are no {mixed.kind}, as the others are: {shown}"
            yield Found(observed, name, mixed.others, tuple(mixed.sample)[:_MAX_SHOWN], tuple(mixed.sample.values()))


def _infinite_value(side: Side, _: Asked) -> Iterator[Found]:
    for name, facts in side.profile.columns.items():
        if facts.infinite:
            observed = f"{facts.infinite:,} of {side.profile.rows:,} values {'is' if facts.infinite == 1 else 'are'} infinite"
            yield Found(observed, name, facts.infinite, values=(math.inf, -math.inf))


def _new_category(side: Side, asked: Asked) -> Iterator[Found]:
    for name, before, after in _shared(side, asked):
        known = before.values
        if before.type != "text" or after.type != "text" or known is None or name == asked.key:
            continue
        if len(known) > _MAX_CATEGORIES or sum(known.values()) < _ROWS_A_CATEGORY * len(known):
            continue
        if after.values is None:
            yield Found(f"more than {MAX_VALUES:,} different values, where the reference has {len(known):,}", name)
            continue
        new = {value: rows for value, rows in after.values.items() if value not in known}
        if new:
            shown = sorted(new, key=lambda value: -new[value])[:_MAX_SHOWN]
            told = ", ".join(f"{brief(value, 40)} ({counted(new[value], 'row')})" for value in shown)
            more = f" and {len(new) - len(shown):,} more" if len(new) > len(shown) else ""
            observed = f"{counted(len(new), 'value')} that the reference lacks: {told}{more}"
            yield Found(observed, name, sum(new.values()), values=tuple(new))


def _class_below_floor(side: Side, asked: Asked) -> Iterator[Found]:
    facts = side.profile.columns.get(asked.target or "")
    if asked.floor is None or facts is None or not _has_values(facts, side):
        return
    counted_rows = _counts(side, asked.target)
    if counted_rows is None:
        why = f"more than {MAX_VALUES:,} different values" if facts.type in ("text", "bool") or _is_whole(facts) else facts.type
        yield Found(f"{why}: no classes that could be counted", asked.target)
        return
    classes = _with_known(counted_rows, side, asked)
    total = sum(classes.values())
    drawn = "" if facts.values is not None else _drawn(side)
    for name, rows in classes.items():
        if rows < asked.floor * total:
            yield Found(f"{rows:,} of {total:,} rows ({_share(rows, total)}) are `{brief(name, 40)}`{drawn}", asked.target, rows)


def _rare_class(side: Side, asked: Asked) -> Iterator[Found]:
    """Whole numbers may be counts, so that they are classes only where there are two, or where the team has set a floor."""
    facts = side.profile.columns.get(asked.target or "")
    counted_rows = _counts(side, asked.target)
    if facts is None or not counted_rows or (facts.values is None and _drawn(side)):
        return
    most = MAX_CLASSES if facts.type in ("text", "bool") or asked.floor is not None else 2
    if len(counted_rows) > most:
        return
    classes = _with_known(counted_rows, side, asked, most)
    total = sum(classes.values())
    for name, rows in classes.items():
        if rows < FEW_ROWS and total >= _ENOUGH_ROWS:
            yield Found(f"only {rows:,} of {total:,} rows {'is' if rows == 1 else 'are'} `{brief(name, 40)}`", asked.target, rows)


def _counts(side: Side, name: str | None) -> dict[str, int] | None:
    """Rows by value; of whole numbers that are kept as fractions those of the sample. None for other values, and for too many."""
    facts = side.profile.columns.get(name or "")
    if facts is None or facts.values is not None or _kind(facts.type) != "number":
        return facts.values if facts else None
    values = _column(side, str(name)).dropna().astype(float)
    if _has_fractions(values) or values.nunique() > MAX_VALUES:
        return None
    return {f"{value + 0.0:.0f}": int(rows) for value, rows in values.value_counts().items()}


def _with_known(rows: dict[str, int], side: Side, asked: Asked, most: int = MAX_VALUES) -> dict[str, int]:
    """Rows by class, the rarest first; a class that only the reference has is one of no rows."""
    name = str(asked.target)
    before = asked.reference.profile.columns.get(name) if asked.reference else None
    kinds = {_kind(before.type), _kind(side.profile.columns[name].type)} if before else set()
    is_alike = len(kinds) == 1 or kinds == {"whole number", "number"}
    known = _counts(asked.reference, name) if asked.reference and is_alike else None
    classes = {**dict.fromkeys(known if known and len(known) <= most else (), 0), **rows}
    return {name: classes[name] for name in sorted(classes, key=lambda name: (classes[name], name))}


def _is_whole(facts: ColumnFacts) -> bool:
    return _kind(facts.type) == "whole number"


def _share(rows: int, total: int) -> str:
    return f"{100 * rows / total:.2g}%"


def _leaking_feature(side: Side, asked: Asked) -> Iterator[Found]:
    """Looked for where a model learns, in a sample of the rows."""
    sample = side.profile.sample
    if asked.reference is not None or asked.target is None or asked.target not in sample.column_names:
        return
    if _kind(side.profile.columns[asked.target].type) not in _COMPARABLE:
        return
    known = ~_column(side, asked.target).isna().to_numpy(dtype=bool)
    target = _column(side, asked.target)[known]
    drawn = _drawn(side)
    for name, facts in side.profile.columns.items():
        if name in (asked.target, asked.key) or _kind(facts.type) not in ("whole number", "number", "text", "bool"):
            continue
        how = _leak(_column(side, name)[known], target, asked.target)
        if how:
            yield Found(how + drawn, name)


def _drawn(side: Side) -> str:
    """What a reader should know where only some of the rows were looked at."""
    drawn = side.profile.sample.num_rows
    return f" (in a sample of {drawn:,} rows)" if drawn < side.profile.rows else ""


def _leak(feature: pd.Series[Any], target: pd.Series[Any], name: str) -> str:
    """How a feature gives the target away, in words; empty where it does not."""
    import numpy as np
    import pandas as pd

    labels, classes = pd.factorize(target)
    if 2 <= len(classes) <= MAX_CLASSES:
        if not _is_balanced(labels):
            return ""
        values = pd.factorize(feature, use_na_sentinel=False)[0]
        if FEW_ROWS * (values.max() + 1) <= len(values) and _determines(values, labels):
            return f"each of its values comes with only one value of `{brief(name, 60)}`"
        if _determines(feature.isna().to_numpy().astype(np.intp), labels):
            return f"whether it is missing tells `{brief(name, 60)}`"
        present = feature.notna().to_numpy()
        if _is_number(feature) and _separates(feature[present].to_numpy(dtype=float), labels[present]):
            return f"thresholds on it tell `{brief(name, 60)}`"
        return ""
    if not (_is_number(feature) and _is_number(target)):
        return ""
    correlation = _correlation(feature.to_numpy(dtype=float, na_value=np.nan), target.to_numpy(dtype=float, na_value=np.nan))
    return f"its correlation with `{brief(name, 60)}` is {correlation:.4f}" if abs(correlation) >= _SAME else ""


def _is_number(values: pd.Series[Any]) -> bool:
    return values.dtype.kind in "iuf"


def _is_balanced(labels: NDArray[np.intp]) -> bool:
    """Whether there are enough rows of a second class to tell a leak from chance."""
    import numpy as np

    counts = np.sort(np.bincount(labels))
    return len(counts) > 1 and int(counts[-2]) >= FEW_ROWS


def _determines(values: NDArray[np.intp], labels: NDArray[np.intp]) -> bool:
    """Whether rows of one value are all of one class."""
    import numpy as np

    pairs = np.unique(values * (int(labels.max()) + 1) + labels)
    return len(pairs) == len(np.unique(values))


def _separates(values: NDArray[np.float64], labels: NDArray[np.intp]) -> bool:
    """Whether the classes lie one after the other on the number line."""
    import numpy as np

    if not len(labels) or not _is_balanced(labels):
        return False
    order = np.lexsort((labels, values))
    values, labels = values[order], labels[order]
    changes = np.flatnonzero(np.diff(labels))
    return len(changes) == len(np.unique(labels)) - 1 and not (values[changes] == values[changes + 1]).any()


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's; 0 where there are too few rows to tell."""
    import numpy as np

    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    if len(one) < _ENOUGH_ROWS or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _column(side: Side, name: str) -> pd.Series[Any]:
    """A column of the sample."""
    column: pd.Series[Any] = side.profile.sample.column(name).to_pandas()
    return column


CHECKS: dict[str, Callable[[Side, Asked], Iterator[Found]]] = {
    "missing-column": _missing_column,
    "unexpected-column": _unexpected_column,
    "changed-type": _changed_type,
    "mixed-types": _mixed_types,
    "infinite-value": _infinite_value,
    "new-category": _new_category,
    "class-below-floor": _class_below_floor,
    "rare-class": _rare_class,
    "leaking-feature": _leaking_feature,
}
"""The checks by their key in `data.checks`, in the order in which they are made. `overlap-with-reference` reads both tables itself."""
