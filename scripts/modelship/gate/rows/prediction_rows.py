"""The rows of one predictions file, each of them fit to be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.core.config import LoadedConfig
from modelship.core.errors import BadInput, bad_input, did_you_mean
from modelship.core.words import counted
from modelship.gate.rows.paired import Class, Task
from modelship.gate.rows.prediction_tables import PredictionsFile, is_moment, is_number, is_text, kind_name, plain

EXAMPLES = 3
"""How many rows a message names."""

MAX_CLASSES = 1_000

KEY_LIMIT = 60
"""Characters of a key that a message shows."""


@dataclass(frozen=True)
class Layout:
    """What the columns of a predictions file are called."""

    key: str
    truth: str = "truth"
    prediction: str = "prediction"
    score: str = "score"
    """A probability of the positive class; `<score>_<class>` is that of any class."""
    positive: Class | None = None
    """Of two classes the one that scores speak of; None for the greater."""
    group: str | None = None
    """The column whose equal values are no independent rows."""
    slices: tuple[str, ...] | Literal["all"] = ()
    """Columns to carry along; `all` for every one that has no other meaning here."""
    shown: tuple[str, ...] = ()
    """Text columns whose values may be shown. Text keys that are not among them appear in no message."""

    @classmethod
    def of(cls, loaded: LoadedConfig) -> Layout:
        """The layout that a configuration describes. Raises BadInput when it names no key."""
        key = loaded.require("data.key", "Name the column that pairs the rows of two models.")
        columns, gate = loaded.config.train.columns, loaded.config.gate
        slices = gate.slices
        names = [name for entry in slices for name in ([entry] if isinstance(entry, str) else entry)]
        return cls(
            key=key,
            truth=columns.truth,
            prediction=columns.prediction,
            score=columns.score,
            positive=loaded.config.data.positive,
            group=gate.group,
            slices="all" if slices == "auto" else tuple(dict.fromkeys(names)),
            shown=gate.show,
        )

    def score_columns(self, known: Iterable[str]) -> list[str]:
        """Those of the columns that are named as scores are, and of which nothing else was asked."""
        asked = {*self._named(), self.group, *(() if self.slices == "all" else self.slices)}
        return [name for name in known if name == self.score or (name.startswith(f"{self.score}_") and name not in asked)]

    def other_columns(self, known: Iterable[str]) -> list[str]:
        """Those of the columns that have no meaning of their own here."""
        return [name for name in known if name not in {*self._named(), self.score} and not name.startswith(f"{self.score}_")]

    def _named(self) -> tuple[str, str, str]:
        return self.key, self.truth, self.prediction


@dataclass(frozen=True)
class Rows:
    """n rows of one file. Columns are pyarrow arrays of shape (n,); in regression, truth and prediction are numpy floats."""

    file: PredictionsFile
    layout: Layout
    keys: Any
    keys_hidden: bool
    """Whether keys are text that may not be shown."""
    places: NDArray[np.intp]
    """(n,) where each row stands in the file, from 0."""
    truth: Any
    prediction: Any | None
    scores: Mapping[str, Any]
    """By the column's name."""
    further: Mapping[str, Any]
    """By the column's name."""

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Some of the rows, by index."""
        return replace(
            self,
            keys=_take(self.keys, rows),
            places=self.places[rows],
            truth=_take(self.truth, rows),
            prediction=None if self.prediction is None else _take(self.prediction, rows),
            scores={name: _take(values, rows) for name, values in self.scores.items()},
            further={name: _take(values, rows) for name, values in self.further.items()},
        )

    def examples(self, rows: NDArray[np.intp]) -> tuple[str, ...]:
        """The keys of the first few of `rows`; none where they may not be shown."""
        if self.keys_hidden:
            return ()
        keys = self.keys.take(pa.array(rows[:EXAMPLES])).cast(pa.string()).to_pylist()
        return tuple("(missing)" if key is None else plain(key, KEY_LIMIT) for key in keys)

    def such_as(self, rows: NDArray[np.intp]) -> str:
        """`such as 17, 18`; where keys may not be shown, `such as row 3`, counted from 1 after the header."""
        examples = self.examples(rows)
        if examples:
            return f"such as {', '.join(examples)}"
        return f"such as {self._rows(rows)}"

    def _rows(self, rows: NDArray[np.intp]) -> str:
        places = [f"{place + 1:,}" for place in self.places[rows[:EXAMPLES]]]
        return f"row {places[0]}" if len(places) == 1 else f"rows {', '.join(places[:-1])} and {places[-1]}"

    def problem(self, message: str, remedy: str = "") -> BadInput:
        """An error that names the file."""
        return bad_input(message, remedy, path=self.file.name)

    def refuse_missing(self, column: str, array: Any) -> None:
        """Raise BadInput when a value of `array`, which the file calls `column`, is missing."""
        missing = np.flatnonzero(_is_missing(array))
        if len(missing):
            raise self.problem(
                f"{counted(len(missing), 'value')} in `{plain(column)}` {are(missing)} missing, {self.such_as(missing)}.",
                "Every row needs one.",
            )

    def finite(self, column: str, array: Any) -> NDArray[Any]:
        """(n,) floats, as wide as they were stored where they were floats. Raises BadInput for anything but finite numbers."""
        if pa.types.is_null(array.type):
            self.refuse_missing(column, array)
        if not is_number(array.type):
            raise self.problem(
                f"`{plain(column)}` holds {kind_name(array.type)}, where numbers are needed.", "Is one of its values no number?"
            )
        values = (array.cast(pa.float64()) if pa.types.is_decimal(array.type) else array).to_numpy(zero_copy_only=False)
        values = values if values.dtype.kind == "f" else values.astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            raise self.problem(
                f"{counted(len(wrong), 'value')} in `{plain(column)}` {are(wrong)} missing, NaN or infinite, {self.such_as(wrong)}.",
                "Every row needs a number.",
            )
        finite: NDArray[Any] = values
        return finite

    def _checked_keys(self) -> Any:
        """Keys, none of them missing, as text, dates, times, booleans or integers of 64 bits. Raises BadInput."""
        keys, column = _without_half(self.keys), self.layout.key
        missing = np.flatnonzero(_is_missing(keys))
        if len(missing):
            have = "has" if len(missing) == 1 else "have"
            raise self.problem(
                f"{counted(len(missing), 'row')} {have} no key in `{plain(column)}`, such as {self._rows(missing)}.",
                "Every row needs one.",
            )
        if is_number(keys.type):
            try:
                return keys.cast(pa.int64())
            except pa.ArrowInvalid:
                if pa.types.is_integer(keys.type):
                    return keys
                raise self.problem(f"keys in `{plain(column)}` are not whole numbers.", "Name rows by integers or text.") from None
        if not (is_text(keys.type) or is_moment(keys.type) or pa.types.is_boolean(keys.type)):
            raise self.problem(
                f"`{plain(column)}` holds {kind_name(keys.type)}, which cannot name rows.", "Name rows by integers or text."
            )
        return keys

    def _checked_labels(self, column: str, array: Any) -> Any:
        """Labels, none of them missing, as text, booleans or numbers. Raises BadInput."""
        self.refuse_missing(column, array)
        if not (is_text(array.type) or is_number(array.type) or pa.types.is_boolean(array.type)):
            raise self.problem(
                f"`{plain(column)}` holds {kind_name(array.type)}, which cannot name classes.",
                "Write text, whole numbers or true and false.",
            )
        return _without_half(array)


def read_rows(file: PredictionsFile, layout: Layout, task: Task, further: Sequence[str]) -> Rows:
    """The rows of one file with the columns that `layout` names and those in `further`, which must be there.

    Raises BadInput for a file that cannot be read, absent columns, fewer than two rows, keys that are missing or of a type that names
    no rows, and truth or predictions that are missing, not finite or of the wrong kind. Scores are not looked at.
    """
    known = file.columns()
    require_column(layout.key, "data.key", known, file)
    require_column(layout.truth, "train.columns.truth", known, file)
    scores = layout.score_columns(known) if task == "classification" else []
    if len(scores) > MAX_CLASSES + 1:
        message = f"has {len(scores):,} columns of scores; at most {MAX_CLASSES:,} classes are compared."
        raise bad_input(
            message, f"Is `train.columns.score` right? Columns named `{plain(layout.score)}_…` are scores.", path=file.name
        )
    if not scores:
        require_column(layout.prediction, "train.columns.prediction", known, file)
    predicted = [layout.prediction] if layout.prediction in known else []
    columns = file.read(list(dict.fromkeys([layout.key, layout.truth, *predicted, *scores, *further])), layout.key)
    keys, n = columns[layout.key], len(columns[layout.key])
    if n < 2:
        raise bad_input(
            f"holds {'one row' if n else 'no rows'}, and at least two are needed to compare.", "Is it complete?", path=file.name
        )
    rows = Rows(
        file=file,
        layout=layout,
        keys=keys,
        keys_hidden=is_text(keys.type) and layout.key not in layout.shown,
        places=np.arange(n),
        truth=columns[layout.truth],
        prediction=columns[layout.prediction] if predicted else None,
        scores={name: columns[name] for name in scores if name == layout.score or _may_be_score(columns[name])},
        further={name: _without_half(columns[name]) for name in further},
    )
    rows = replace(rows, keys=rows._checked_keys())
    check = rows.finite if task == "regression" else rows._checked_labels
    return replace(
        rows,
        truth=check(layout.truth, rows.truth),
        prediction=None if rows.prediction is None else check(layout.prediction, rows.prediction),
    )


def require_column(name: str, setting: str, known: Iterable[str], file: PredictionsFile, other: PredictionsFile | None = None) -> None:
    """Raise BadInput unless the column `name`, which a `setting` names, is known in `file` or in `other`."""
    names = list(known)
    if name not in names:
        neither = f", and neither has {other.name}" if other else ""
        raise bad_input(
            f"has no column `{plain(name)}`, which `{setting}` names{neither}.", did_you_mean(name, map(plain, names)), path=file.name
        )


def are(rows: NDArray[Any]) -> str:
    """`is` for one row, `are` for more."""
    return "is" if len(rows) == 1 else "are"


def _take(values: Any, rows: NDArray[np.intp]) -> Any:
    return values[rows] if isinstance(values, np.ndarray) else values.take(pa.array(rows))


def _without_half(array: Any) -> Any:
    """Half floats as floats: pyarrow computes little with them."""
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def _is_missing(array: Any) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = pc.is_null(_without_half(array), nan_is_null=True).to_numpy(zero_copy_only=False)
    return missing


def _may_be_score(array: Any) -> bool:
    """Whether a column whose name begins as a score's does holds numbers, or nothing at all."""
    return is_number(array.type) or bool(pa.types.is_null(array.type))
