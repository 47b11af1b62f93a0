"""Which columns of two tables are compared, as what, and by which method; and which are not, and why.

What cannot be compared honestly is no column to leave out in silence: it is bad input, unless the team says `ignore`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from modelship.core.config import ColumnDrift, LoadedConfig
from modelship.core.errors import BadInput, Problem, did_you_mean
from modelship.core.records import SkippedColumn
from modelship.core.words import counted
from modelship.data.drift.methods import METHODS, Choice, Kind, choose
from modelship.data.drift.values import Categories, Family, Numbers, Values, categories, family, numbers
from modelship.data.drift.verdict import Purpose

if TYPE_CHECKING:
    from modelship.data.tables.profile import ColumnFacts, Profile

FEW_NUMBERS = 5
"""Up to so many different numbers are compared as categories, as Evidently's preset does."""

_CHANCE_OF_NO_REPEAT = 14.0
"""Minus the logarithm of how unlikely it must be that random numbers never repeat before they are taken for names of rows."""

_MOST_NAMED = 100


@dataclass(frozen=True)
class Header:
    """What a table is called, and its columns."""

    name: str
    """What messages call the table."""
    columns: tuple[str, ...]
    is_file: bool = True


@dataclass(frozen=True)
class Common:
    """The columns that both tables have and that the team wants compared, and those that are left out by their name alone."""

    columns: tuple[str, ...]
    skipped: tuple[SkippedColumn, ...]


@dataclass(frozen=True)
class Side:
    """One of the two tables, read."""

    name: str
    """What messages call it."""
    profile: Profile
    is_file: bool = True

    def facts(self, column: str) -> ColumnFacts:
        """What is exactly known of a column."""
        return self.profile.columns[column]

    def missing(self, column: str) -> int:
        """How many rows have no value."""
        return self.facts(column).nulls + self.facts(column).nan

    def values(self, column: str) -> pa.ChunkedArray:
        """The sampled values."""
        return self.profile.sample.column(column)

    def family(self, column: str) -> Family:
        """What the column's type is to a person."""
        return family(self.values(column).type)

    @property
    def is_sampled(self) -> bool:
        """Whether some of the rows were not looked at."""
        return bool(self.profile.sample.num_rows < self.profile.rows)


@dataclass(frozen=True)
class Column:
    """One column that is compared."""

    name: str
    kind: Kind
    purpose: Purpose
    choice: Choice
    values: Values


@dataclass(frozen=True)
class Plan:
    """Every column of the two tables, compared or not."""

    columns: tuple[Column, ...]
    skipped: tuple[SkippedColumn, ...]


class _Unfit(Exception):  # noqa: N818 - it is no error, only a way out
    """Says why a column is not compared; with a problem, why nothing is."""

    def __init__(self, reason: str, problem: Problem | None = None) -> None:
        self.reason = reason
        self.problem = problem


def match(reference: Header, current: Header, loaded: LoadedConfig) -> Common:
    """Choose columns by name. Raises BadInput with every problem: no columns, a name that stands twice, nothing in common, a column
    that the current table or the target's or prediction's table lacks, and configured names that no table has."""
    problems = [*_repeated(reference), *_repeated(current)]
    problems = problems or [*_unknown(reference, current, loaded), *_gone(reference, current, loaded)]
    if problems:
        raise BadInput(*problems)
    reasons = {name: _left_out(name, reference, loaded) for name in dict.fromkeys((*reference.columns, *current.columns))}
    return Common(
        tuple(name for name, reason in reasons.items() if not reason),
        tuple(SkippedColumn(column=name[:_MOST_NAMED], reason=reason) for name, reason in reasons.items() if reason),
    )


def plan(common: Common, reference: Side, current: Side, loaded: LoadedConfig) -> Plan:
    """Choose how each column is compared. Raises BadInput with every problem: no rows, a column that has no values, has become another
    type or holds infinite values, and nothing left to compare."""
    problems = [_problem(side, "has no rows.", "Was it written completely?") for side in (reference, current) if not side.profile.rows]
    if problems:
        raise BadInput(*problems)
    compared: list[Column] = []
    skipped = list(common.skipped)
    for name in common.columns:
        try:
            compared.append(_column(name, reference, current, loaded))
        except _Unfit as unfit:
            if unfit.problem:
                problems.append(unfit.problem)
            skipped.append(SkippedColumn(column=name[:_MOST_NAMED], reason=unfit.reason))
    if problems:
        raise BadInput(*problems)
    if not compared:
        told = "; ".join(f"`{entry.column}`: {entry.reason}" for entry in skipped[:5])
        remedy = "Say in `drift.columns` how to compare one of them."
        raise BadInput(_problem(current, f"has no column that could be compared with {reference.name} ({told}).", remedy))
    return Plan(tuple(compared), tuple(skipped))


def _repeated(header: Header) -> Iterator[Problem]:
    """It would be unclear which of two columns of one name is meant."""
    if not header.columns:
        yield _problem(header, "has no columns.", "Was it written completely?")
    twice = [name for name, count in Counter(header.columns).items() if count > 1]
    if twice:
        yield _problem(header, f"has more than one column {_names(twice)}.", "Give each column a name of its own.")


def _unknown(reference: Header, current: Header, loaded: LoadedConfig) -> Iterator[Problem]:
    """Names in the configuration that no table, or not each, has."""
    known = {*reference.columns, *current.columns}
    config = loaded.config
    for name in config.drift.columns:
        if name not in known:
            message = f"`drift.columns`: neither table has a column `{name}`."
            yield loaded.problem(message, did_you_mean(name, known), at=f"drift.columns.{name}")
    for key, column in (("data.target", config.data.target), ("drift.prediction", config.drift.prediction)):
        for header in (reference, current):
            if column is not None and column not in header.columns and not _is_ignored(column, loaded):
                message = f"`{key}`: {header.name} has no column `{column}`."
                without = _ignore(column) if column in known else f"drop `{key}`."
                remedy = f"{did_you_mean(column, header.columns)} To do without, {without}"
                yield loaded.problem(message, remedy, at=key)


def _gone(reference: Header, current: Header, loaded: LoadedConfig) -> Iterator[Problem]:
    """What the reference has and the current table lacks."""
    if not set(reference.columns) & set(current.columns):
        yield _problem(current, f"has no column in common with {reference.name}.", "Are these the right tables?")
        return
    told = {loaded.config.data.target, loaded.config.drift.prediction, loaded.config.data.key}
    gone = [name for name in reference.columns if name not in current.columns and name not in told and not _is_ignored(name, loaded)]
    if gone:
        message = f"lacks {counted(len(gone), 'column')} of {reference.name}: {_names(gone)}."
        yield _problem(current, message, f"Add what is missing, or {_ignore(gone[0])}")


def _left_out(name: str, reference: Header, loaded: LoadedConfig) -> str:
    """Why a column need not be read; empty for one that must."""
    if _is_ignored(name, loaded):
        return "ignored"
    if name == loaded.config.data.key:
        return "names the rows"
    return "" if name in reference.columns else "not in the reference"


def _column(name: str, reference: Side, current: Side, loaded: LoadedConfig) -> Column:
    """How one column is compared. Raises _Unfit."""
    config = loaded.config
    _check_values(name, reference, current)
    own = config.drift.columns.get(name)
    column = own if isinstance(own, ColumnDrift) else None
    kind, values = _kind(name, reference, current, _asked(column), config.drift.max_categories)
    choice = choose(config.drift, kind, column)
    if kind not in METHODS[choice.method].kinds:
        # Named for the column itself: that of a kind was checked with the configuration.
        message = f"`drift.columns.{name}`: the column is {kind}, and `{choice.method}` is for {METHODS[choice.method].kinds[0]} ones."
        fitting = ", ".join(f"`{method}`" for method, known in METHODS.items() if kind in known.kinds)
        raise _Unfit("", loaded.problem(message, f"Use one of {fitting}.", at=f"drift.columns.{name}"))
    return Column(name, kind, _purpose(name, loaded), choice, values)


def _asked(column: ColumnDrift | None) -> Kind | None:
    """As what the team wants a column compared: a method that is for numbers alone says so, too."""
    if column is None or column.kind or column.method is None:
        return column.kind if column else None
    return "numerical" if METHODS[column.method].kinds == ("numerical",) else None


def _check_values(name: str, reference: Side, current: Side) -> None:
    """Raise _Unfit, with a problem, for what the two tables do not both hold in a form that can be compared."""
    for side in (reference, current):
        infinite = side.facts(name).infinite
        if infinite:
            message = f"`{name}` holds {counted(infinite, 'infinite value')}."
            raise _Unfit("", _problem(side, message, f"Clean it, or {_ignore(name)}"))
        if side.missing(name) == side.profile.rows:
            raise _Unfit("", _problem(side, f"`{name}` has no values at all.", f"Fill it, or {_ignore(name)}"))
    before, after = reference.family(name), current.family(name)
    if before != after:
        message = f"`{name}` is {_article(after)} here and {_article(before)} in {reference.name}."
        raise _Unfit("", _problem(current, message, f"Give it one type, or {_ignore(name)}"))
    if before == "nested":
        raise _Unfit(f"values of type {str(reference.values(name).type)[:_MOST_NAMED]}")
    zones = [getattr(side.values(name).type, "tz", None) for side in (reference, current)]
    if (zones[0] is None) != (zones[1] is None):
        told = [f"the time zone {zone}" if zone else "no time zone" for zone in zones]
        message = f"`{name}` has {told[1]} here and {told[0]} in {reference.name}."
        raise _Unfit("", _problem(current, message, f"Write both in one, or {_ignore(name)}"))


def _kind(name: str, reference: Side, current: Side, asked: Kind | None, most: int) -> tuple[Kind, Values]:
    """What the column's values are. Raises _Unfit."""
    what = reference.family(name)
    sides = (reference, current)
    if what == "time" and asked is None:
        raise _Unfit("time moves on by nature")
    if what == "text" and asked == "numerical":
        message = f"`{name}` is text and cannot be compared as numbers."
        raise _Unfit("", _problem(reference, message, "Compare it by a method for categories, or write numbers."))
    kind: Kind = asked or "categorical" if what in ("text", "truth value") else asked or "numerical"
    values: Values
    if kind == "numerical":
        values = numbers(reference.values(name), current.values(name))
        if asked is None and len(np.unique(np.concatenate(values.sides()))) <= FEW_NUMBERS:
            kind = "categorical"
        elif asked is None and all(_names_rows(name, side) for side in sides):
            raise _Unfit("every value is another; set its `kind` to compare it")
    if kind == "categorical":
        if what == "text" and asked is None:
            _check_text(name, sides, most)
        values = categories(reference.values(name), current.values(name))
    for side, found in zip(sides, values.sides(), strict=True):
        if not len(found):
            raise _Unfit("", _problem(side, f"`{name}` has no values among the rows sampled.", f"Sample more, or {_ignore(name)}"))
    if _constant(values) and not any(side.missing(name) for side in sides):
        raise _Unfit("the same value in every row looked at")
    return kind, values


def _check_text(name: str, sides: tuple[Side, Side], most: int) -> None:
    """Raise _Unfit for text that has no categories: too many, or one for each row."""
    before, after = (side.facts(name).values for side in sides)
    if before is None:
        raise _Unfit(f"text: more than {most:,} different values")
    # Where the reference knows few categories, many in the current table are news.
    if after is not None and all(len(counts) > FEW_NUMBERS and set(counts.values()) == {1} for counts in (before, after)):
        raise _Unfit("text: every value is another")


def _names_rows(name: str, side: Side) -> bool:
    """Whether the column holds whole numbers that never repeat though there are few to choose from: numbers of rows.

    n numbers drawn at random out of s never repeat with probability exp(-n² / 2s), about (the birthday problem: von Mises 1939).
    """
    facts, values = side.facts(name), side.values(name).drop_null()
    if not pa.types.is_integer(values.type) or len(values) != len(values.unique()):
        return False
    return bool(len(values) ** 2 / (2 * (facts.maximum - facts.minimum + 1)) > _CHANCE_OF_NO_REPEAT)


def _constant(values: Values) -> bool:
    if isinstance(values, Categories):
        return len(values.labels) == 1
    assert isinstance(values, Numbers)
    low = min(side.min() for side in values.sides())
    return bool(low == max(side.max() for side in values.sides()))


def _problem(table: Header | Side, message: str, remedy: str) -> Problem:
    return Problem(message, remedy, table.name) if table.is_file else Problem(f"{table.name}: {message}", remedy)


def _is_ignored(name: str, loaded: LoadedConfig) -> bool:
    return loaded.config.drift.columns.get(name) == "ignore"


def _purpose(name: str, loaded: LoadedConfig) -> Purpose:
    if name == loaded.config.data.target:
        return "target"
    return "prediction" if name == loaded.config.drift.prediction else "feature"


def _ignore(name: str) -> str:
    return f"set `drift.columns: {{{name[:_MOST_NAMED]}: ignore}}`."


def _article(what: Family) -> str:
    return {"number": "a number", "truth value": "true or false", "text": "text", "time": "a time"}.get(what, what)


def _names(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(f"`{name[:_MOST_NAMED]}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
