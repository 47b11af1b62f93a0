"""Hold what `evaluate` scored with the baseline's model against what that model once predicted of the same rows.

`evaluate` runs where code of the pull request has run, and whoever makes the baseline look worse makes the candidate look better. The
recorded predictions come from git or an MLflow server, where that code cannot write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelship.gate.rows.paired import Paired, Task
from modelship.gate.rows.prediction_rows import MAX_CLASSES, Layout, require_column
from modelship.gate.rows.prediction_tables import PredictionsFile, is_number
from modelship.gate.rows.predictions import same_rows

TOLERANCE = 1e-3
"""How far apart two answers to a row may be: probabilities by themselves, numbers in standard deviations of the truth.

A newer library moves answers by some 1e-6, and recorded scores are often rounded to three or four decimals.
"""

RELATIVE_ROUNDING = 1e-6
"""How far apart single and double precision come."""


@dataclass(frozen=True)
class Rescored:
    """How the baseline's answers differ from what was recorded."""

    rows: int
    """How many were compared."""
    others: int
    """How many of them have another answer now."""
    examples: str
    """`such as 17, 18`"""


def find_rescored(scored: PredictionsFile, recorded: PredictionsFile, layout: Layout, task: Task | None = None) -> Rescored | None:
    """How many rows the baseline answers with another class, or with a score or a number that is further off than `TOLERANCE`.

    None unless both files hold the very same rows with the same truth: else they speak of different holdouts. Without `task` it is
    the one that their values look like. Raises BadInput for files that cannot be compared.
    """
    task = task or _task((scored, recorded), layout)
    same = same_rows(scored, recorded, layout, task)
    if same is None:
        return None
    paired, rows = same
    differs = np.flatnonzero(_differs(paired))
    return Rescored(rows=len(paired), others=len(differs), examples=rows.such_as(differs) if len(differs) else "")


def _task(files: Sequence[PredictionsFile], layout: Layout) -> Task:
    """What the values look like: numbers, where one of them is a fraction or there are more than there may be classes."""
    for file in files:
        known = file.columns()
        require_column(layout.key, "data.key", known, file)
        names = [name for name in (layout.truth, layout.prediction) if name in known]
        columns = file.read(list(dict.fromkeys([layout.key, *names])), layout.key)
        if not all(_may_be_classes(columns[name]) for name in names):
            return "regression"
    return "classification"


def _may_be_classes(array: Any) -> bool:
    if not is_number(array.type):
        return True
    values = pc.unique(array if pa.types.is_integer(array.type) else array.cast(pa.float64())).drop_null()
    return len(values) <= MAX_CLASSES and bool(pc.all(pc.equal(values, pc.round(values)), min_count=0).as_py())


def _differs(paired: Paired) -> NDArray[np.bool_]:
    """(n,) which rows have another answer."""
    ours, theirs = paired.candidate, paired.baseline
    differs = np.zeros(len(paired), dtype=bool)
    if ours.prediction is not None and theirs.prediction is not None:
        differs |= np.abs(ours.prediction - theirs.prediction) > _allowed(paired, theirs.prediction)
    if ours.score is not None and theirs.score is not None:
        apart = np.abs(ours.score - theirs.score) > TOLERANCE
        differs |= apart if apart.ndim == 1 else apart.any(axis=1)
    return differs


def _allowed(paired: Paired, recorded: NDArray[Any]) -> Any:
    """(n,) how far predictions may be apart; nothing for classes."""
    if paired.task == "classification":
        return 0
    return TOLERANCE * np.std(paired.truth) + RELATIVE_ROUNDING * np.abs(recorded)
