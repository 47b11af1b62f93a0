"""Metrics of the team's own, and intervals of their differences."""

from __future__ import annotations

import contextlib
import inspect
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .checks import SEED
from .problems import RefusedError, blamed, say
from .tables import Array, Columns, plain

RESAMPLES = 999
"""So that the 2.5 % and 97.5 % points are whole ranks (Davison & Hinkley 1997, Bootstrap Methods and their Application, 2.4)."""
UNDEFINED_SHARE = 0.05
"""How many resamples may have no value before an interval from the others would mislead."""


@dataclass(frozen=True)
class Labelled:
    """Rows of a predictions file: (n,) truth and prediction; scores (n,), or (n, k) with more than two classes, or none."""

    truth: Array
    prediction: Array
    score: Array | None

    def take(self, rows: Array) -> Labelled:
        """Some of the rows."""
        return Labelled(self.truth[rows], self.prediction[rows], None if self.score is None else self.score[rows])


def labelled(frame: pd.DataFrame, columns: Columns) -> Labelled:
    """The rows of a predictions file."""
    many = [name for name in frame.columns if str(name).startswith(f"{columns.score}_")]
    score = frame[columns.score].to_numpy() if columns.score in frame.columns else frame[many].to_numpy() if many else None
    return Labelled(plain(frame[columns.truth]), plain(frame[columns.prediction]), score)


@dataclass(frozen=True)
class OwnMetric:
    """A team's function; whether it takes scores is asked of its signature."""

    key: str
    function: Callable[..., Any]

    def __call__(self, rows: Labelled) -> float | Array:
        """One number, or (n,) one a row. Raises RefusedError, after showing the trace of an error in the function."""
        with blamed(f"`{self.key}`"):
            return self.value(rows)

    def value(self, rows: Labelled) -> float | Array:
        """The same, raising whatever the function raises."""
        arguments = (rows.truth, rows.prediction, rows.score) if self._takes_score else (rows.truth, rows.prediction)
        value = self.function(*arguments)
        found = np.asarray(value)
        if found.dtype.kind not in "biuf" or found.shape not in ((), (len(rows.truth),)):
            kind = type(value).__name__
            raise RefusedError(f"`{self.key}` gives {kind} of shape {found.shape}.", "One number, or one a row, is understood.")
        if not np.isfinite(found).all():
            given = "NaN or infinity" if found.ndim else float(found)
            raise RefusedError(f"`{self.key}` gives {given}.", "It has to give finite numbers.")
        return found.astype(float) if found.ndim else float(found)

    @property
    def _takes_score(self) -> bool:
        try:
            parameters = inspect.signature(self.function).parameters
        except (TypeError, ValueError):
            return True
        places = [p for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return len(places) > 2 or any(p.kind == p.VAR_POSITIONAL for p in parameters.values())


def own_metric(
    metric: OwnMetric, candidate: Labelled, baseline: Labelled | None, groups: Array | None, confidence: float
) -> dict[str, Any]:
    """The metric of both models, and what their difference (candidate less baseline) may truly be."""
    new = metric(candidate)
    result: dict[str, Any] = {"candidate": float(np.mean(new))}
    if baseline is None:
        return result
    old = metric(baseline)
    if np.ndim(new) != np.ndim(old):
        raise RefusedError(f"`{metric.key}` gives one number for one model, and one a row for the other.")
    result["baseline"] = float(np.mean(old))
    if isinstance(new, np.ndarray) and isinstance(old, np.ndarray):
        found = interval_of_mean(new - old, groups, confidence)
    else:
        found = bootstrap(metric, candidate, baseline, groups, confidence)
    return {**result, **found, **({"groups": int(groups.max()) + 1} if found and groups is not None else {})}


def interval_of_mean(difference: Array, groups: Array | None, confidence: float) -> dict[str, Any]:
    """A normal interval of the mean of (n,) paired differences.

    Groups add their deviations up first (Liang & Zeger 1986, Biometrika 73). Effective rows: Kish 1965, Survey Sampling, 11.7.
    """
    n = len(difference)
    mean = float(difference.mean())
    deviations: Array = difference - mean
    if groups is not None:
        deviations = np.bincount(groups, weights=deviations)
    units = len(deviations)
    if units < 2:
        return {}
    squares = deviations**2
    total = float(squares.sum())
    error = math.sqrt(total * units / (units - 1)) / n
    half = statistics.NormalDist().inv_cdf((1 + confidence) / 2) * error
    return {
        "standard-error": error,
        "low": mean - half,
        "high": mean + half,
        "effective-rows": total**2 / float(squares @ squares) if total else 0.0,
        "method": "mean of paired differences" + ("" if groups is None else ", by group"),
    }


def bootstrap(metric: OwnMetric, candidate: Labelled, baseline: Labelled, groups: Array | None, confidence: float) -> dict[str, Any]:
    """A percentile interval from resampled pairs of rows, groups as a whole (Davison & Hinkley 1997, sections 3.8 and 5.3)."""
    changed = differing(candidate, baseline)
    units = len(changed) if groups is None else int(groups.max()) + 1
    effective = int(changed.sum()) if groups is None else len(np.unique(groups[changed]))
    method = "paired bootstrap" + ("" if groups is None else ", by group")
    if units < 2:
        return {}
    if not effective:
        return {"standard-error": 0.0, "low": 0.0, "high": 0.0, "effective-rows": 0.0, "method": method}
    generator = np.random.default_rng(SEED)
    members = None if groups is None else np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    differences: list[float] = []
    shown = time.perf_counter()
    for number in range(1, RESAMPLES + 1):
        drawn = generator.integers(0, units, units)
        rows: Array = drawn if members is None else np.concatenate([members[unit] for unit in drawn])
        # A resample may lack a class, say, on which the metric is not defined.
        with contextlib.suppress(Exception):
            new, old = metric.value(candidate.take(rows)), metric.value(baseline.take(rows))
            differences.append(float(np.mean(new)) - float(np.mean(old)))
        if time.perf_counter() - shown > 2:
            say(f"{metric.key}: resample {number} of {RESAMPLES}")
            shown = time.perf_counter()
    if len(differences) < (1 - UNDEFINED_SHARE) * RESAMPLES:
        raise RefusedError(f"`{metric.key}` is not defined on {RESAMPLES - len(differences)} of {RESAMPLES} resamples of the rows.")
    ordered: Array = np.sort(differences)
    rank = max(int((len(ordered) + 1) * (1 - confidence) / 2), 1)
    return {
        "standard-error": float(ordered.std(ddof=1)),
        "low": float(ordered[rank - 1]),
        "high": float(ordered[-rank]),
        "effective-rows": float(effective),
        "method": method,
    }


def differing(candidate: Labelled, baseline: Labelled) -> Array:
    """(n,) whether the two models' answers differ."""
    changed = np.asarray(candidate.prediction != baseline.prediction)
    if candidate.score is None or baseline.score is None:
        return changed
    if candidate.score.shape != baseline.score.shape:
        return np.ones(len(changed), dtype=bool)
    different = np.asarray(candidate.score != baseline.score)
    return changed | (different if different.ndim == 1 else different.any(axis=1))
