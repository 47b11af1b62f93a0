"""Labels as codes of classes, and scores in the order of classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelship.core.words import counted
from modelship.gate.rows.paired import Answers, Class
from modelship.gate.rows.prediction_rows import MAX_CLASSES, Rows, are
from modelship.gate.rows.prediction_tables import is_text, plain

MAX_SCORES = 200_000_000
"""Rows times classes. A file of 512 MiB holds no more in single precision, unless most of them are the same."""

SUM_TOLERANCE = 1e-3
"""How far from one the probabilities of all classes may add up."""

CLASS_LIMIT = 60
"""Characters of a class that a message shows."""

Kind = Literal["text", "whole numbers", "true and false"]


@dataclass(frozen=True)
class Labels:
    """A column of n labels by code."""

    rows: Rows
    column: str
    kind: Kind
    values: tuple[Class, ...]
    """What codes stand for, in no order."""
    codes: NDArray[np.intp]
    """(n,)"""

    @classmethod
    def of(cls, rows: Rows, column: str, array: Any) -> Labels:
        """The labels in `array`, which the file calls `column`. Raises BadInput for fractions and for too many classes."""
        encoded = array.dictionary_encode()
        if len(encoded.dictionary) > MAX_CLASSES:
            raise rows.problem(
                f"`{plain(column)}` holds {len(encoded.dictionary):,} different labels; at most {MAX_CLASSES:,} classes are compared.",
                "Is it a number to predict, or a score?",
            )
        values = encoded.dictionary.to_pylist()
        kind: Kind = "text" if is_text(array.type) else "true and false" if pa.types.is_boolean(array.type) else "whole numbers"
        codes = encoded.indices.to_numpy().astype(np.intp)
        if kind == "whole numbers":
            broken = np.array([not _is_whole(value) for value in values])
            wrong = np.flatnonzero(broken[codes])
            if len(wrong):
                raise rows.problem(
                    f"{counted(len(wrong), 'label')} in `{plain(column)}` {are(wrong)} no whole number, {rows.such_as(wrong)}.",
                    "Write classes as text, whole numbers or true and false.",
                )
            values = [int(value) for value in values]
        return cls(rows, column, kind, tuple(values), codes)

    def by_index(self, index: dict[Class, int]) -> NDArray[np.intp]:
        """(n,) codes by the place of each class in `index`; True and 1 are one class."""
        return np.array([index[value] for value in self.values], dtype=np.intp)[self.codes]


@dataclass(frozen=True)
class Classes:
    """k classes in ascending order."""

    kind: Kind
    names: tuple[Class, ...]
    positive: int | None
    """The code of the positive class where there are two classes."""
    true: frozenset[Class]
    """Those that truth has."""

    @property
    def index(self) -> dict[Class, int]:
        """The code of each class."""
        return {name: code for code, name in enumerate(self.names)}


def truth_differs(candidate: Rows, baseline: Rows) -> NDArray[np.bool_]:
    """(n,) which rows of two files have different labels. Raises BadInput where they are of different kinds."""
    column = baseline.layout.truth
    if candidate.truth.equals(baseline.truth):
        return np.zeros(len(baseline), dtype=bool)
    labels = [Labels.of(rows, column, rows.truth) for rows in (candidate, baseline)]
    _common_kind(labels)
    index = {value: code for code, value in enumerate(dict.fromkeys(value for each in labels for value in each.values))}
    ours, theirs = (each.by_index(index) for each in labels)
    differs: NDArray[np.bool_] = ours != theirs
    return differs


def find_classes(truth: Labels, predictions: Sequence[Labels], sides: Sequence[Rows]) -> Classes:
    """The classes that labels and scores speak of, and of two the positive one.

    scikit-learn averages over the union of the labels of truth and predictions, and so do these. Raises BadInput for labels of
    different kinds, too many classes or scores, and a positive class that is none.
    """
    layout = truth.rows.layout
    kind = _common_kind([truth, *predictions])
    names: set[Class] = {_of_kind(value, kind) for labels in (truth, *predictions) for value in labels.values}
    labelled = len(names)
    for side in sides:
        if not (layout.score in side.scores and labelled <= 2):
            names.update(_scores_by_class(side, kind))
    requested = None if layout.positive is None else _requested(layout.positive, kind, names)
    if requested is not None and len(names) == 1:
        names.add(requested)
    if len(names) == 1 and names <= {0, 1} and any(layout.score in side.scores for side in sides):
        names = {_of_kind(0, kind), _of_kind(1, kind)}
    if layout.positive is not None and requested not in names:
        raise truth.rows.problem(
            f"`data.positive` is {_quoted(layout.positive)}, and the classes in `{layout.truth}` are {_listed(names)}.",
            "Name one of them.",
        )
    if len(names) > MAX_CLASSES:
        raise truth.rows.problem(f"has {len(names):,} classes with those of scores; at most {MAX_CLASSES:,} are compared.")
    for side in sides:
        if len(names) > 2 and len(side) * len(names) > MAX_SCORES and _scores_by_class(side, kind):
            raise side.problem(
                f"has scores for {len(names):,} classes in {len(side):,} rows; at most {MAX_SCORES:,} scores are compared.",
                "Judge on fewer rows.",
            )
    ordered = tuple(sorted(names))  # All are of one kind.
    positive = None if len(ordered) != 2 else 1 if requested is None else ordered.index(requested)
    return Classes(kind, ordered, positive, frozenset(_of_kind(value, kind) for value in truth.values))


def answers(rows: Rows, prediction: Labels | None, classes: Classes) -> Answers:
    """What one model says, in codes and in the order of classes. Raises BadInput for scores that do not fit the classes."""
    codes = None if prediction is None else prediction.by_index(classes.index)
    columns = _score_columns(rows, classes)
    if not columns:
        return Answers(codes)
    scores = {code: rows.finite(column, rows.scores[column]) for code, column in columns.items()}
    resolution = max(_resolution(rows.scores[column]) for column in columns.values())
    if len(scores) > 1:
        _refuse_other_sums(rows, list(columns.values()), list(scores.values()), resolution)
    if classes.positive is not None:
        return Answers(codes, scores[classes.positive].astype(np.float64, copy=False), resolution)
    score = np.zeros((len(rows), len(classes.names)))
    for code, values in scores.items():
        score[:, code] = values
    return Answers(codes, score, resolution)


def _score_columns(rows: Rows, classes: Classes) -> dict[int, str]:
    """The columns with the scores of classes, by code; none where the file has no scores that can be understood.

    A single column of scores says nothing of one class, nor of one among more than two in truth. Classes that truth lacks need no
    column. Raises BadInput for columns that fit the classes only in part.
    """
    plain_score = rows.layout.score
    has_plain = plain_score in rows.scores
    if classes.positive is not None and has_plain:
        return {classes.positive: plain_score}
    columns = {classes.index[name]: column for name, column in _scores_by_class(rows, classes.kind).items() if name in classes.index}
    if len(classes.names) == 1:
        return {}
    if not columns:
        if has_plain and len(classes.true) <= 2:
            raise rows.problem(
                f"has the one column `{plain_score}` for {len(classes.names)} classes: {_listed(classes.names)}.",
                f"Write a column for each class, as `{plain_score}_{_shown(classes.names[0])}`, or predict no class that truth lacks.",
            )
        others = [name for name in rows.scores if name != plain_score]
        if others and not has_plain:
            raise rows.problem(
                f"`{plain(others[0])}` is the score of no class: they are {_listed(classes.names)}.",
                f"Name score columns as `{plain_score}_{_shown(classes.names[0])}`.",
            )
        return {}
    needed = [classes.positive] if classes.positive is not None else sorted(classes.index[name] for name in classes.true)
    for code in needed:
        if code not in columns:
            name = _shown(classes.names[code])
            which = "positive class" if classes.positive is not None else "class"
            raise rows.problem(
                f"has no column `{plain_score}_{name}` for the {which} `{name}`, but `{plain(next(iter(columns.values())))}`.",
                "Write a score for each class.",
            )
    return columns


def _refuse_other_sums(rows: Rows, columns: Sequence[str], scores: Sequence[NDArray[Any]], resolution: float) -> None:
    total = np.zeros(len(rows))
    for values in scores:
        total += values
    wrong = np.flatnonzero(np.abs(total - 1) > max(SUM_TOLERANCE, len(scores) * resolution))
    if len(wrong):
        named = " and ".join(f"`{plain(column)}`" for column in columns) if len(columns) == 2 else f"`{rows.layout.score}_…`"
        raise rows.problem(
            f"the scores in {named} do not add up to 1 in {counted(len(wrong), 'row')}, {rows.such_as(wrong)}.",
            "Write the probabilities of all classes.",
        )


def _resolution(array: Any) -> float:
    """Machine epsilon of the type that scores were stored with."""
    if pa.types.is_float16(array.type):
        return float(np.finfo(np.float16).eps)
    return float(np.finfo(np.float32 if pa.types.is_float32(array.type) else np.float64).eps)


def _scores_by_class(rows: Rows, kind: Kind) -> dict[Class, str]:
    """The columns `score_<class>` by class. Raises BadInput where two name one class."""
    prefix = f"{rows.layout.score}_"
    columns: dict[Class, str] = {}
    for column in rows.scores:
        name = _class_in(column.removeprefix(prefix), kind) if column.startswith(prefix) else None
        if name is None:
            continue
        if name in columns:
            raise rows.problem(
                f"`{plain(columns[name])}` and `{plain(column)}` are scores of one class, {_quoted(name)}.", "Keep one of them."
            )
        columns[name] = column
    return columns


def _class_in(text: str, kind: Kind) -> Class | None:
    """The class that `text` writes down: `1`, `1.0` and `True` are one class of numbers. None for what is no such class."""
    if kind == "text":
        return text
    number = re.fullmatch(r"(-?[0-9]{1,30})(\.0+)?", text)
    value = int(number[1]) if number else {"true": 1, "false": 0}.get(text.lower())
    if kind == "whole numbers" or value is None:
        return value
    return bool(value) if value in (0, 1) else None


def _requested(positive: Class, kind: Kind, names: set[Class]) -> Class | None:
    """The class that the configuration calls positive; YAML's `true` may mean the text `true` or `True`."""
    if kind == "text" and isinstance(positive, bool):
        return next((text for text in (str(positive), str(positive).lower()) if text in names), str(positive))
    return _class_in(str(positive), kind)


def _of_kind(value: Class, kind: Kind) -> Class:
    if kind == "text":
        return value
    return bool(value) if kind == "true and false" else int(value)


def _common_kind(labels: Sequence[Labels]) -> Kind:
    """The kind that holds all labels. Raises BadInput where some are text and some are not."""
    first = labels[0]
    for other in labels[1:]:
        if (other.kind == "text") != (first.kind == "text"):
            where = f"`{other.column}`" if other.rows.file == first.rows.file else f"`{other.column}` of {other.rows.file.name}"
            raise first.rows.problem(
                f"labels in `{first.column}` are {first.kind}, and {other.kind} in {where}.", "Write classes the same way everywhere."
            )
    kinds = {each.kind for each in labels}
    return first.kind if len(kinds) == 1 else "whole numbers"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (float(value).is_integer() if isinstance(value, float) else value == value.to_integral_value())


def _shown(name: Class) -> str:
    return plain(str(name), CLASS_LIMIT)


def _quoted(name: Class) -> str:
    return f"`{_shown(name)}`"


def _listed(names: Iterable[Class]) -> str:
    shown = sorted(_quoted(name) for name in names)
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5:,} more" if len(shown) > 5 else "")
