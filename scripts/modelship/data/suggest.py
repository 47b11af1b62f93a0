"""A first list of expectations, from what a table holds. Pure: somebody who knows the data reads it, edits it and signs it.

Every line holds for the table that it was made from. Limits leave room, because the next table is another one: a tenth of what was
seen on both sides, and more where few values lie far out, rounded outward; but never beyond an end at which many rows stand, such as
0 or 100 percent.
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

    import numpy as np
    from numpy.typing import NDArray

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

_OF_A_TAIL, _ROWS_OF_A_TAIL = 20, 50
"""How many of the greatest values tell how long a tail is, and for how many rows there may be one of them."""

_CHANCES = 100
_FARTHER = 10
"""How many times as far from the median as the farthest value a limit is at most."""


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
    if not column.present or not column.name:  # Great Expectations knows no column without a name.
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
    # With a missing value whole numbers become floats and truth values objects; the next table may have none.
    is_known = column.facts.type.startswith("float") or ((column.is_whole or column.facts.type == "bool") and not column.missing)
    return column.facts.type if is_known else ""


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
    # Great Expectations compares larger numbers as floats.
    if column.is_number and facts.minimum is not None and not facts.infinite and not (column.is_whole and facts.maximum >= 2**63):
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
    tenth = (high - low) / 10
    if not 1e-300 < tenth < 1e300:  # Beyond that, floats have no room.
        return low, high
    values = _sorted(column)
    from_ = -_limit(-values[::-1], -low, tenth, column) if not _is_bound(values, low) else low
    to = _limit(values, high, tenth, column) if not _is_bound(values, high) else high
    return min(max(from_, 0) if low >= 0 else from_, low), max(min(to, 0) if high <= 0 else to, high)


def _sorted(column: _Column) -> NDArray[np.float64]:
    """The finite numbers of the sample, the least first."""
    import numpy as np

    values = column.profile.sample.column(column.name).drop_null().to_numpy().astype(np.float64)
    return np.sort(values[np.isfinite(values)])


def _limit(values: NDArray[np.float64], end: float, least: float, column: _Column) -> float:
    """Where to draw the line above the sorted values of which `end` is the greatest: rounded outward, with as much room as needed."""
    room = max(_beyond(values, end, column.present), least)
    return _outward(end + room, max(_step(room), 1.0) if column.is_whole else _step(room))


def _beyond(values: NDArray[np.float64], end: float, rows: int) -> float:
    """How much more than `end` another table's greatest value may be, with a chance of about one in a hundred to be greater still.

    Distances from the median are taken to have a tail of Pareto's kind, of which the greatest few in the sample tell how long it is
    (Hill 1975, A simple general approach to inference about the tail of a distribution, Annals of Statistics 3), and so how far its
    quantiles are (Weissman 1978, Estimation of parameters and large quantiles based on the k largest observations, Journal of the
    American Statistical Association 73). So little data knows no order of magnitude more.
    """
    import numpy as np

    count = min(_OF_A_TAIL, len(values) // _ROWS_OF_A_TAIL)
    if count < 2:
        return 0.0
    start, *tail = values[-count - 1 :] - np.median(values)
    farthest = end - float(np.median(values))
    if start <= 0:  # So few values are elsewhere at all.
        return (_FARTHER - 1) * farthest
    length = float(np.mean(np.log(np.array(tail) / start)))
    quantile = start * ((count + 1) * _CHANCES * rows / len(values)) ** length
    return max(min(float(quantile), _FARTHER * farthest) - farthest, 0.0)


def _outward(value: float, step: float) -> float:
    """The next multiple of the step, to twelve digits: fifteen times 0.05 reads 0.75."""
    return float(f"{math.ceil(value / step) * step:.12g}")


def _step(room: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is no larger than the room."""
    power = 10.0 ** math.floor(math.log10(room))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= room * (1 + 1e-9))


def _is_bound(values: NDArray[np.float64], end: float) -> bool:
    """Whether there is nothing beyond: a whole share or per cent, or where many rows stand."""
    import numpy as np

    return end in (0, 1, 100) or int(np.count_nonzero(values == end)) >= max(_AT_AN_END * len(values), 2)


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
