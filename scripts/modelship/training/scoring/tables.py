"""The current table, checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .problems import RefusedError

Array = np.ndarray[Any, Any]

MOST_CLASSES = 1000


@dataclass(frozen=True)
class Columns:
    """What columns are called: `key` and `target` in tables, the others in predictions files."""

    key: str
    target: str
    truth: str = "truth"
    prediction: str = "prediction"
    score: str = "score"


def read_table(path: str, name: str) -> pd.DataFrame:
    """The table with rows numbered from 0; `name` is what messages call it."""
    lower = path.lower()
    try:
        if lower.endswith((".parquet", ".pq")) or Path(path).is_dir():
            frame = pd.read_parquet(path)
            frame = frame.reset_index(drop=all(level is None for level in frame.index.names))
        elif lower.endswith((".arrow", ".feather")):
            frame = pd.read_feather(path)
        elif lower.endswith((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")):
            # Otherwise text that looks like numbers becomes numbers.
            frame = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        else:
            # Without `index_col=False` a header that is one field short turns the first column into an index in silence.
            frame = pd.read_csv(path, index_col=False, low_memory=False, encoding="utf-8-sig")
    except Exception as error:
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise RefusedError(f"`{name}` cannot be read: {reason}.", "Was it written completely?") from error
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise RefusedError(f"`{name}` has the column `{repeated[0]}` more than once.")
    if frame.empty:
        raise RefusedError(f"`{name}` has no rows.")
    return frame


def need_columns(frame: pd.DataFrame, names: Sequence[str], who: str, name: str, remedy: str = "") -> None:
    """Raise RefusedError unless the table has the columns that `who` needs. Without a remedy the nearest column is named."""
    missing = [column for column in names if column not in frame.columns]
    if missing:
        shown = ", ".join(f"`{column}`" for column in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise RefusedError(f"{who} {shown}{more}, which `{name}` lacks.", remedy or nearest(missing[0], frame.columns))


def nearest(name: str, columns: Iterable[Any]) -> str:
    """A sentence that names the column most like `name`, or some of them where none is."""
    known = [str(column) for column in columns]
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"Did you mean `{close[0][:100]}`?"
    shown = ", ".join(f"`{column[:40]}`" for column in known[:8])
    return f"It has {shown}{', …' if len(known) > 8 else ''}."


def plain(values: Any) -> Array:
    """(n,) values of a NumPy type: neither categories nor nullable, and no objects where a type of numbers fits."""
    series = pd.Series(values).reset_index(drop=True)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    elif not isinstance(series.dtype, np.dtype) and not series.isna().any():
        series = pd.Series(series.tolist())
    return np.asarray(series.astype(object).infer_objects() if series.dtype == object else series)


@dataclass(frozen=True)
class Rows:
    """The current table, checked: keys named once, truth known."""

    name: str
    table: pd.DataFrame
    columns: Columns
    truth: Array
    labels: tuple[Any, ...] | None
    """Distinct values of the truth, ascending; None where they are too many to be classes."""

    @property
    def features(self) -> pd.DataFrame:
        """Everything but the truth."""
        return self.table.drop(columns=self.columns.target)


def read_rows(path: str, name: str, columns: Columns) -> Rows:
    """The current table. Raises RefusedError where it cannot be judged on."""
    table = read_table(path, name)
    need_columns(table, [columns.key], "`data.key` is", name)
    need_columns(table, [columns.target], "`data.target` is", name)
    keys = table[columns.key]
    if keys.isna().any():
        raise RefusedError(f"`{name}`: {int(keys.isna().sum()):,} rows have no `{columns.key}`.", "A key names a row.")
    if keys.duplicated().any():
        count = int(keys.duplicated().sum())
        raise RefusedError(f"`{name}`: {count:,} rows repeat a `{columns.key}`.", "A key names a row, once.")
    if table[columns.target].isna().any():
        count = int(table[columns.target].isna().sum())
        raise RefusedError(f"`{name}`: {count:,} rows have no `{columns.target}`.", "Leave out rows whose truth is not known.")
    truth = plain(table[columns.target])
    return Rows(name, table, columns, truth, distinct(truth))


def distinct(values: Array) -> tuple[Any, ...] | None:
    """Up to 1,000 distinct values, ascending; None where there are more."""
    found = pd.unique(pd.Series(values))
    if len(found) > MOST_CLASSES:
        return None
    return tuple(sorted(pd.Series(found).tolist(), key=lambda value: (isinstance(value, str), value)))
