"""A first list of expectations, from what a table holds. Pure: somebody who knows the data reads it, edits it and signs it.

Every line holds for the table that it was made from. Limits leave room, because the next table is another one: a tenth of what was
seen on both sides, rounded outward, but never beyond an end at which many rows stand, such as 0 or 100 percent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelship.core.documents import scalar
from modelship.core.words import brief, counted
from modelship.data.tables.profile import ColumnFacts, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_VALUES = 1000

_WIDTH = 100
"""Characters of a line."""

_MAX_CATEGORIES = 50
_MAX_CLASSES = 20
_MAX_STEPS = 50
"""Of whole numbers with at most as many different values it is told how many: hours, ratings, counts."""

_ROWS_A_CATEGORY = 5
_LONGEST_VALUE = 60
_AT_AN_END = 0.01
"""The share of rows that makes an end of the range a bound."""


@dataclass(frozen=True)
class _Column:
    name: str
    facts: ColumnFacts
    profile: Profile

    @property
    def missing(self) -> int:
        """Rows without a value, as Great Expectations counts them."""
        return self.facts.nulls + self.facts.nan

    @property
    def is_number(self) -> bool:
        return bool(re.fullmatch(r"u?int\d+|float\d+", self.facts.type))

    @property
    def is_whole(self) -> bool:
        return bool(re.fullmatch(r"u?int\d+", self.facts.type))

    @property
    def present(self) -> int:
        return self.profile.rows - self.missing


def suggest(
    profile: Profile,
    *,
    table: str,
    rows: Iterable[int] = (),
    target: str | None = None,
    key: str | None = None,
    with_types: bool = True,
) -> str:
    """YAML that `data.expectations` can name, with comments. `table` is what it was made from, `rows` how long other tables are.

    Types are called as pandas calls them, which no other engine understands: `with_types` says whether to propose them.

    `profile` must have counted at least `MAX_VALUES` values of a column.
    """
    columns = [_Column(name, facts, profile) for name, facts in profile.columns.items()]
    first = sorted(columns, key=lambda column: (column.name != key, column.name != target))
    parts = [_head(table, profile.rows), "\n".join(_table(profile, [*rows, profile.rows]))]
    parts += ["\n".join(_about(column, target, key, with_types=with_types)) for column in first]
    return "\n\n".join(parts) + "\n"


def _head(table: str, rows: int) -> str:
    return (
        "# What must be true of the tables before anything is trained on them or judged by them.\n"
        f"# Proposed by `modelship validate --suggest` from {brief(table, 60)} ({counted(rows, 'row')}).\n"
        "# It knows what was there, and not what may be: read every line, and write what you know.\n"
        "# `mostly` is the share of rows that must comply; without it all must. Missing values pass every\n"
        "# expectation but not_be_null. `severity: warning` tells and does not block."
    )


def _table(profile: Profile, rows: list[int]) -> Iterator[str]:
    yield "# The table: neither empty nor cut short, no column gone or come."
    low, high = _power(min(rows) / 10, math.floor), _power(max(rows) * 10, math.ceil)
    yield _entry("expect_table_row_count_to_be_between", {"min_value": max(low, 1), "max_value": high})
    yield _entry("expect_table_columns_to_match_set", {"column_set": list(profile.columns), "exact_match": True})


def _power(number: float, rounding: Callable[[float], int]) -> int:
    return int(10 ** rounding(math.log10(number))) if number >= 1 else 1


def _about(column: _Column, target: str | None, key: str | None, *, with_types: bool) -> Iterator[str]:
    """The lines on one column, under a comment that says what was there."""
    yield f"# {_seen(column, target, key)}"
    if not column.present:
        return
    yield _present(column)
    if column.name == key:
        yield _entry("expect_column_values_to_be_unique", {"column": column.name})
        return
    kind = _type(column)
    if kind and with_types:
        yield _entry("expect_column_values_to_be_of_type", {"column": column.name, "type_": kind})
    yield from _target(column) if column.name == target else _values(column)


def _seen(column: _Column, target: str | None, key: str | None) -> str:
    facts = column.facts
    role = {key: "the key: ", target: "the target: "}.get(column.name, "")
    found = [facts.type]
    if not column.present:
        return f"{_named(column.name)}: {role}no value at all. Drop it, or find out why."
    if facts.values is not None and (not column.is_whole or len(facts.values) <= _MAX_STEPS):
        found.append(counted(len(facts.values), "different value"))
    if facts.minimum is not None:
        found.append(f"{_short(facts.minimum)} to {_short(facts.maximum)}")
    if column.missing:
        found.append(f"{column.missing:,} of {column.profile.rows:,} missing")
    if facts.infinite:
        found.append(f"{facts.infinite:,} infinite, which no range allows")
    return f"{_named(column.name)}: {role}{', '.join(found)}"


def _named(name: str) -> str:
    return brief(name, 60) or '""'


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _present(column: _Column) -> str:
    arguments: dict[str, Any] = {"column": column.name}
    if column.missing:
        # As many again may be missing, and one in a hundred in any case.
        allowed = max(2 * column.missing / column.profile.rows, 0.01)
        share = math.floor((1 - allowed) * 100) / 100
        if share <= 0:
            arguments |= {"max_value": 1.0, "min_value": _below(column.present / column.profile.rows)}
            return _entry("expect_column_proportion_of_non_null_values_to_be_between", arguments)
        arguments["mostly"] = share
    return _entry("expect_column_values_to_not_be_null", arguments)


def _below(share: float) -> float:
    """Half of a share, on one digit."""
    digits = max(1 - math.floor(math.log10(share)), 1)
    return float(math.floor(share / 2 * 10**digits) / 10**digits)


def _type(column: _Column) -> str:
    """The type that Great Expectations sees; empty where that depends on who reads."""
    if column.is_whole:
        return "float64" if column.missing else column.facts.type
    if column.is_number:
        return column.facts.type
    return "bool" if column.facts.type == "bool" and not column.missing else ""


def _target(column: _Column) -> Iterator[str]:
    values = column.facts.values
    if not column.is_whole or values is None or len(values) > _MAX_CLASSES:
        yield from _values(column)
        return
    classes = sorted(int(value) for value in values)
    yield _entry("expect_column_values_to_be_in_set", {"column": column.name, "value_set": classes})
    if classes == [0, 1]:
        share = values["1"] / column.present
        low, high = math.floor(share / 2 * 20) / 20, math.ceil((1 + share) / 2 * 20) / 20
        yield _entry("expect_column_mean_to_be_between", {"column": column.name, "min_value": low, "max_value": high})


def _values(column: _Column) -> Iterator[str]:
    facts = column.facts
    if column.is_number and facts.minimum is not None and not facts.infinite:
        low, high = _range(column)
        yield _entry("expect_column_values_to_be_between", {"column": column.name, "min_value": low, "max_value": high})
    if facts.type == "text" and facts.values and all(_is_plain(value) for value in facts.values):
        if len(facts.values) <= _MAX_CATEGORIES and column.present >= _ROWS_A_CATEGORY * len(facts.values):
            yield _entry("expect_column_values_to_be_in_set", {"column": column.name, "value_set": sorted(facts.values)})
        elif pattern := _pattern(facts.values):
            yield _entry("expect_column_values_to_match_regex", {"column": column.name, "regex": pattern})


def _is_plain(value: str) -> bool:
    return len(value) <= _LONGEST_VALUE and value.isprintable()


def _pattern(values: Mapping[str, int]) -> str:
    """A regular expression that codes of one alphabet and few lengths match; empty for other text."""
    lengths = sorted({len(value) for value in values})
    for alphabet in ("[0-9]", "[A-Z]", "[a-z]", "[A-Z0-9]", "[a-z0-9]", "[A-Za-z0-9]"):
        if lengths[0] and lengths[-1] <= lengths[0] + 2 and all(re.fullmatch(f"{alphabet}+", value) for value in values):
            repeated = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]},{lengths[-1]}"
            return f"^{alphabet}{{{repeated}}}$"
    return ""


def _range(column: _Column) -> tuple[float, float]:
    low, high = column.facts.minimum, column.facts.maximum
    room = (high - low) / 10
    if not 1e-300 < room < 1e300:  # Beyond that, floats have no room.
        return low, high
    step = _step(room)
    from_, to = _outward(low - room, high + room, max(step, 1) if column.is_whole else step)
    from_, to = (max(from_, 0) if low >= 0 else from_), (min(to, 0) if high <= 0 else to)
    return low if _is_bound(column, low) else min(from_, low), high if _is_bound(column, high) else max(to, high)


def _outward(low: float, high: float, step: float) -> tuple[float, float]:
    """The multiples of the step around a range, to twelve digits: fifteen times 0.05 reads 0.75."""
    return float(f"{math.floor(low / step) * step:.12g}"), float(f"{math.ceil(high / step) * step:.12g}")


def _step(room: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is no larger than the room."""
    power = 10.0 ** math.floor(math.log10(room))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= room * (1 + 1e-9))


def _is_bound(column: _Column, end: float) -> bool:
    """Whether there is nothing beyond: a whole share or per cent, or where many rows stand."""
    import pyarrow.compute as pc

    if end in (0, 1, 100):
        return True
    values = column.profile.sample.column(column.name)
    at_the_end = pc.sum(pc.equal(values, end)).as_py() or 0
    return bool(at_the_end >= max(_AT_AN_END * len(values), 2))


# YAML


def _entry(name: str, arguments: Mapping[str, Any]) -> str:
    """An entry on one line, or on several where it is long."""
    line = f"- {name}: {{{', '.join(f'{key}: {_value(value)}' for key, value in arguments.items())}}}"
    if len(line) <= _WIDTH:
        return line
    lines = [f"- {name}:"]
    for key, value in arguments.items():
        lines += _wrapped(f"    {key}: [", value) if isinstance(value, list) else [f"    {key}: {_value(value)}"]
    return "\n".join(lines)


def _wrapped(start: str, values: list[Any]) -> list[str]:
    lines, line = [], start
    for position, value in enumerate(values):
        text = _value(value) + ("]" if position == len(values) - 1 else ",")
        if len(line) + len(text) + 1 > _WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * len(start)
        line += text + " "
    return [*lines, line.rstrip()]


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else scalar(str(value))
