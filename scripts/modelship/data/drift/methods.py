"""The statistics of Evidently by name, and which one a column is compared by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelship.core.config import ColumnDrift, Drift, LoadedConfig
from modelship.core.errors import BadInput, did_you_mean

Kind = Literal["numerical", "categorical"]

_BOTH: tuple[Kind, ...] = ("numerical", "categorical")
_NUMBERS: tuple[Kind, ...] = ("numerical",)
_CATEGORIES: tuple[Kind, ...] = ("categorical",)


@dataclass(frozen=True)
class Method:
    """A statistic of two columns."""

    kinds: tuple[Kind, ...]
    distance: bool = True
    """Whether it is a distance, which grows as columns part; else it is the p-value of a test."""
    most_rows: int | None = None
    """From how many rows on it takes more memory than a machine has: it compares every row with every other."""


METHODS: dict[str, Method] = {
    "wasserstein": Method(_NUMBERS),
    "jensenshannon": Method(_BOTH),
    "hellinger": Method(_BOTH),
    "kl_div": Method(_BOTH),
    "psi": Method(_BOTH),
    "ed": Method(_NUMBERS),
    "ks": Method(_NUMBERS, distance=False),
    "anderson": Method(_NUMBERS, distance=False),
    "cramer_von_mises": Method(_NUMBERS, distance=False),
    "es": Method(_NUMBERS, distance=False),
    "mannw": Method(_NUMBERS, distance=False),
    "t_test": Method(_NUMBERS, distance=False),
    "empirical_mmd": Method(_NUMBERS, distance=False, most_rows=2_000),
    "chisquare": Method(_CATEGORIES, distance=False),
    "g_test": Method(_CATEGORIES, distance=False),
    "z": Method(_CATEGORIES, distance=False),
    "fisher_exact": Method(_CATEGORIES, distance=False),
    "TVD": Method(_CATEGORIES, distance=False),
}
"""What Evidently 0.7 registers for numbers and categories. Its `TVD` and `empirical_mmd` give the p-value of a permutation test."""

DISTANCE = 0.1
"""The threshold of a distance that no configuration gives; Evidently's own for each of them."""


@dataclass(frozen=True)
class Choice:
    """How one column is compared."""

    method: str
    threshold: float

    @property
    def distance(self) -> bool:
        """Whether the method gives a distance; else it gives a p-value."""
        return METHODS[self.method].distance


def choose(drift: Drift, kind: Kind, column: ColumnDrift | None) -> Choice:
    """How a column of this kind is compared: as it says itself, else as its kind is. Never by how many rows there are.

    A threshold belongs to the method beside which it stands; where neither gives one it is 0.1 for a distance, and for a p-value
    what `drift.confidence` leaves to chance.
    """
    of_kind = getattr(drift, kind)
    own = of_kind.method or getattr(Drift(), kind).method
    method = (column and column.method) or own
    threshold = column.threshold if column else None
    if threshold is None and method == own:
        threshold = of_kind.threshold
    if threshold is None:
        threshold = DISTANCE if METHODS[method].distance else 1 - drift.confidence
    return Choice(method, threshold)


def check_methods(loaded: LoadedConfig) -> None:
    """Raise BadInput for a method that Evidently does not have, or not for this kind, or not for so many rows."""
    drift = loaded.config.drift
    given: list[tuple[str, str | None, tuple[Kind, ...]]] = [
        ("drift.numerical", drift.numerical.method, _NUMBERS),
        ("drift.categorical", drift.categorical.method, _CATEGORIES),
    ]
    for name, column in drift.columns.items():
        if isinstance(column, ColumnDrift):
            given.append((f"drift.columns.{name}", column.method, (column.kind,) if column.kind else _BOTH))
    problems = []
    for key, method, kinds in given:
        if method is None:
            continue
        fitting = {name for name, known in METHODS.items() if set(known.kinds) & set(kinds)}
        known = METHODS.get(method)
        if method not in fitting:
            wrong = f"is for {known.kinds[0]} columns" if known else "is no method of Evidently"
            problems.append(loaded.problem(f"`{key}.method`: `{method}` {wrong}.", did_you_mean(method, fitting), at=f"{key}.method"))
        elif known and known.most_rows and (drift.sample == "full" or drift.sample > known.most_rows):
            message = f"`{key}.method`: `{method}` compares every row with every other."
            problems.append(loaded.problem(message, f"Set `drift.sample` to {known.most_rows} or less.", at=f"{key}.method"))
    if problems:
        raise BadInput(*problems)
