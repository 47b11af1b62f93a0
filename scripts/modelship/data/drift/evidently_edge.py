"""Evidently: its statistics, and its page made safe to open. Names and categories never reach it as they are."""

from __future__ import annotations

import html
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from modelship.core.errors import bad_input, infrastructure
from modelship.core.scripts import scripts_of
from modelship.data.drift.columns import Column
from modelship.data.drift.values import Categories, Values

MOST_ON_PAGE = 40
MOST_CATEGORIES_ON_PAGE = 4_000
"""Of all columns on the page together. It stays below 7 MB, of which Evidently's own program is 3.5."""

GROUPS = 10
"""Into how many parts a sample is split to see how much a distance depends on which rows were drawn."""

_NARROWEST, _WIDEST = 0.01, 1e100
"""Standard deviations between which a normed distance needs no other unit."""

_MOST_CHARACTERS = 60
_SCRIPTS = 4
"""Scripts of a page of Evidently's: the data, a name, the program, the call that draws."""


def version() -> str:
    """Of Evidently; loads it."""
    with _quiet():  # The first import compiles it, which warns of its regular expressions.
        import evidently

    return str(evidently.__version__)


def measure(column: Column) -> float:
    """What the column's method gives. Raises BadInput where it gives no finite number."""
    return _statistic(column, *column.values.sides())


def sampling_error(column: Column, sampled: tuple[bool, bool], seed: int) -> float | None:
    """The standard error of a distance that comes from drawing rows of those tables that were sampled; None for fewer than 20 values.

    Delete-a-group jackknife (Wolter 2007, Introduction to variance estimation, sec. 4.2): with each of G random tenths left out, the
    variance is (G - 1) / G times the sum of squared deviations.
    """
    if min(map(len, column.values.sides())) < 2 * GROUPS:
        return None
    draw = np.random.default_rng(seed)
    groups = [draw.permutation(len(side)) % GROUPS for side in column.values.sides()]
    without = []
    for left_out in range(GROUPS):
        kept = [
            side[group != left_out] if is_sampled else side
            for side, group, is_sampled in zip(column.values.sides(), groups, sampled, strict=True)
        ]
        without.append(_statistic(column, *kept))
    return float(np.std(without) * np.sqrt(GROUPS - 1))


def page(columns: Sequence[Column], heading: Sequence[str]) -> bytes:
    """Evidently's page of the columns that `on_page` chooses, in this order, as HTML with `heading` above.

    No text of it can be more than text: names and categories come without what HTML, scripts and templates are made of, and the
    browser is told to run exactly the scripts that Evidently wrote and to fetch nothing.
    """
    with _quiet():
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

    units = [_unit(column) for column in columns]
    names = harmless(
        column.name if unit == 1 else f"{column.name[:40]} (in {unit:g})" for column, unit in zip(columns, units, strict=True)
    )
    kinds: dict[str, list[str]] = {"numerical": [], "categorical": []}
    for name, column in zip(names, columns, strict=True):
        kinds[column.kind].append(name)
    definition = DataDefinition(numerical_columns=kinds["numerical"], categorical_columns=kinds["categorical"])
    # Columns differ in length once missing values are left out; pandas fills them up.
    tables = [
        pd.DataFrame({name: _readable(column.values, side, unit) for name, column, unit in zip(names, columns, units, strict=True)})
        for side in (0, 1)
    ]
    metrics = [
        ValueDrift(column=name, method=column.choice.method, threshold=column.choice.threshold)
        for name, column in zip(names, columns, strict=True)
    ]
    with _quiet():
        reference, current = (Dataset.from_pandas(table, definition) for table in tables)
        written = Report(metrics).run(current, reference).get_html_str(as_iframe=False)
    return _secured(written, heading).encode()


def on_page(columns: Sequence[Column]) -> list[Column]:
    """As many of the columns as the page holds, the first ones first."""
    shown: list[Column] = []
    room = MOST_CATEGORIES_ON_PAGE
    for column in columns:
        needed = len(column.values.labels) if isinstance(column.values, Categories) else 0
        if needed <= room and len(shown) < MOST_ON_PAGE:
            shown.append(column)
            room -= needed
    return shown


def harmless(texts: Iterable[str]) -> list[str]:
    """The texts with letters, digits, spaces and plain punctuation only, cut to 60 characters; no two are the same.

    A number is added where two would be, so that no category is drawn over another.
    """
    taken: dict[str, int] = {}
    result = []
    for text in texts:
        plain = " ".join("".join(map(_harmless, text[: 4 * _MOST_CHARACTERS])).split()) or "(empty)"
        cut = name = plain if len(plain) <= _MOST_CHARACTERS else f"{plain[: _MOST_CHARACTERS - 1]}…"
        while name in taken:
            taken[cut] += 1
            end = f" ({taken[cut]})"
            name = f"{cut[: _MOST_CHARACTERS - len(end)]}{end}"
        taken[name] = 1
        result.append(name)
    return result


_PLAIN = frozenset(" .,:;!?()[]_-–—…+*/=%#|°")


def _harmless(character: str) -> str:
    """The character, or a space or � in its place."""
    if character in _PLAIN or unicodedata.category(character)[0] in "LMN":
        return character
    return " " if character.isspace() else "�"


def _statistic(column: Column, reference: Any, current: Any) -> float:
    with _quiet():
        from evidently.legacy.calculations.stattests import get_stattest
        from evidently.legacy.core import ColumnType

    kind = ColumnType.Numerical if column.kind == "numerical" else ColumnType.Categorical
    unit = _unit(column)
    before, after = (pd.Series(side if unit == 1 else side / unit) for side in (reference, current))
    try:
        with _quiet():
            test = get_stattest(before, after, kind, column.choice.method)
            value = float(test(before, after, kind, column.choice.threshold).drift_score)
    except Exception as error:
        # Statistics fail in as many ways as there are: too few values, no spread, tables of unequal length.
        reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
        raise _cannot(column, reason) from error
    if not np.isfinite(value):
        raise _cannot(column, f"it gives {value}")
    return value


def _cannot(column: Column, reason: str) -> Exception:
    message = f"`{column.name[:100]}` cannot be compared by `{column.choice.method}`: {reason}."
    return bad_input(message, "Set another `method`, or `ignore`, for it in `drift.columns`.")


def _unit(column: Column) -> float:
    """A power of ten in which the reference's standard deviation is from 1 to 10, where its own unit does not suit the method; else 1.

    Evidently norms the Wasserstein distance by that deviation, but never by less than 0.001, and by infinity where the square of a
    number is no number any more: columns of very small or large numbers would never be far apart.
    """
    if column.choice.method != "wasserstein" or isinstance(column.values, Categories):
        return 1.0
    values = column.values.reference
    largest = float(np.abs(values).max())
    spread = float(np.std(values / largest)) if largest else 0.0
    # Multiplied, the largest numbers have no square, and the smallest none but zero.
    if not spread or _NARROWEST <= spread * largest <= _WIDEST:
        return 1.0
    return float(10.0 ** max(np.floor(np.log10(spread) + np.log10(largest)), -300))


def _readable(values: Values, side: int, unit: float) -> pd.Series[Any]:
    found = values.sides()[side]
    if not isinstance(values, Categories):
        return pd.Series(found if unit == 1 else found / unit)
    return pd.Series(np.array(harmless(values.labels), dtype=object)[found])


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _secured(page: str, heading: Sequence[str]) -> str:
    """Evidently's page with a policy that allows its scripts, as they stand, and nothing else."""
    scripts = scripts_of(page)
    if len(scripts.digests) != _SCRIPTS or scripts.has_foreign or page.count("<head>") != 1:
        raise infrastructure("Evidently's page is not built as this version of Modelship knows it.", "Please report it.")
    policy = (
        f"default-src 'none'; script-src {' '.join(scripts.digests)}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
    )
    head = f'<head><meta http-equiv="Content-Security-Policy" content="{policy}"><title>Drift</title>'
    told = "".join(f"<p>{html.escape(''.join(map(_harmless, line)))}</p>" for line in heading)
    note = f'<div style="margin: 24px; font: 16px/1.5 sans-serif">{told}</div>'
    return page.replace("<head>", head, 1).replace("<body>", f"<body>{note}", 1)
