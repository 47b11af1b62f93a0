"""What the candidate must hold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .answers import Answers, listed
from .models import MlflowModel, Model
from .problems import RefusedError
from .tables import Array, Rows, need_columns

SEED = 2013
SAMPLE_ROWS = 500
"""How many rows an expectation is tried on."""
SINGLE_CALLS, BATCH_CALLS, BATCH_ROWS = 200, 20, 1000
WARM_UP_CALLS = 10
PATIENCE_SECONDS, FEWEST_CALLS = 5.0, 10
"""A slow model is timed on fewer calls: none is begun after that time, but for the fewest that say something."""
SUM_TOLERANCE = 1e-3
"""How far the probabilities of a row may be from one together; single precision adds up to about 1e-6."""
FEW_CLASSES = 20
"""More distinct whole numbers than these are a quantity, unless the model says otherwise."""


Check = dict[str, Any]


def check(name: str, holds: bool, observed: str, limit: str = "", severity: str = "critical") -> Check:
    """One line of the record."""
    return {"name": name[:300], "holds": bool(holds), "observed": observed[:1000], "limit": limit[:300], "severity": severity}


def at_most(allowed: float) -> str:
    """The share of rows that may break an expectation, as a reader would write it."""
    return f"at most {100 * allowed:.3g}% of the rows" if allowed else "no row"


def share(count: int, n: int) -> str:
    """`3 of 500 rows`."""
    return f"{count:,} of {n:,} rows"


def portion(marked: Array) -> str:
    """`3 of 500 rows (0.6%)`, to be held beside the share that is allowed, of (n,) rows."""
    return f"{share(int(marked.sum()), len(marked))} ({100 * marked.mean():.3g}%)"


def signed(written: str) -> str:
    """A change, with the minus sign that numbers have in a report."""
    return written.replace("-", "−")


def check_finite(answers: Answers) -> Check:
    """No prediction and no score is missing, NaN or infinite."""
    bad = np.zeros(len(answers.prediction), dtype=bool)
    where = []
    for name, values in answers.arrays.items():
        wrong = ~np.isfinite(values) if values.dtype.kind == "f" else np.asarray(pd.isna(pd.Series(values)))
        if wrong.any():
            where.append(f"`{name}`")
            bad |= wrong
    observed = f"{share(int(bad.sum()), len(bad))} in {', '.join(where[:5])}" if where else share(0, len(bad))
    return check("finite", not where, observed, "no answer is missing, NaN or infinite")


def check_probabilities(answers: Answers) -> Check | None:
    """Scores lie in [0, 1], and those of all classes add up to one."""
    if not answers.scores:
        return None
    table = np.column_stack(list(answers.scores.values()))
    outside = int(((table < 0) | (table > 1)).any(axis=1).sum())
    limit = "in [0, 1]"
    if table.shape[1] == 1:
        low, high = (float(np.nanmin(table)), float(np.nanmax(table))) if np.isfinite(table).any() else (math.nan, math.nan)
        return check("probabilities", not outside, f"{low:.4g} to {high:.4g}, outside: {share(outside, len(table))}", limit)
    # A row with NaN is `finite`'s to tell.
    off = int((np.abs(table.sum(axis=1) - 1) > SUM_TOLERANCE).sum())
    observed = f"outside: {share(outside, len(table))}; sum is not one: {share(off, len(table))}"
    return check("probabilities", not outside and not off, observed, f"{limit}, and one together")


def check_classes(answers: Answers, truth: Array, known: Sequence[Any] | None, is_classifier: bool) -> Check | None:
    """Every predicted class is one that the truth has, here or in the reference table. None in regression.

    Nothing says of a table whether numbers are classes. They are where the model is a classifier or gives scores, and where they
    are few and the predictions are whole.
    """
    is_number = truth.dtype.kind in "iuf" and not is_classifier and not answers.scores
    if known is None or (is_number and (len(known) > FEW_CLASSES or answers.prediction.dtype.kind == "f")):
        return None
    predicted = plain_set(answers.prediction)
    unknown = [value for value in predicted if value not in known]
    observed = f"unknown: {listed(unknown)}" if unknown else listed(predicted)
    return check("classes", not unknown, observed, f"among {listed(known)}")


def plain_set(values: Array) -> list[Any]:
    """Distinct values that are not missing."""
    series = pd.Series(values).dropna()
    return list(dict.fromkeys(series[np.isfinite(series)].tolist() if values.dtype.kind == "f" else series.tolist()))


def apart(first: Array, second: Array, tolerance: float) -> tuple[Array, float]:
    """(n,) whether two answers to a row are further apart than `tolerance`, and the largest distance of numbers."""
    if first.dtype.kind in "biuf" and second.dtype.kind in "biuf":
        a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
        with np.errstate(invalid="ignore"):
            distance = np.abs(a - b)
        differs = ~((distance <= tolerance) | (a == b) | (np.isnan(a) & np.isnan(b)))
        finite = distance[np.isfinite(distance)]
        return differs, float(finite.max()) if len(finite) else 0.0
    return np.asarray(first, dtype=str) != np.asarray(second, dtype=str), 0.0


def check_same(name: str, first: Mapping[str, Array], second: Mapping[str, Array], tolerance: float) -> Check:
    """Two runs of one model gave the same answers."""
    if set(first) != set(second):
        return check(name, False, f"answers with {listed(sorted(first))}, then with {listed(sorted(second))}")
    n = len(first["prediction"])
    changed = np.zeros(n, dtype=bool)
    largest = 0.0
    for answer, values in first.items():
        if len(second[answer]) != n:
            return check(name, False, f"{n:,} answers, then {len(second[answer]):,}")
        differs, distance = apart(values, second[answer], tolerance)
        changed |= differs
        largest = max(largest, distance)
    observed = f"changed: {share(int(changed.sum()), n)}"
    if largest:
        observed += f", by up to {largest:.3g}"
    return check(name, not changed.any(), observed, f"apart by at most {tolerance:g}")


def check_signature(model: Model, rows: Rows) -> Check | None:
    """A server that follows the model's signature takes the current rows."""
    if not isinstance(model, MlflowModel) or model.inputs is None:
        return None
    reason = model.refusal(model.prepare(rows.features, rows.name))
    return check("signature", not reason, reason or "takes every row", "a server would take the rows", "warning")


def sample(n: int, size: int) -> Array:
    """Up to `size` of n row numbers, ascending."""
    return np.sort(np.random.default_rng(SEED).permutation(n)[:size])


def check_invariance(model: Model, rows: Rows, wanted: Mapping[str, Any], tolerance: float) -> Check:
    """Exchanging a column leaves the answer: the invariance test of Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of
    NLP Models with CheckList", ACL, section 2.
    """
    column, of = str(wanted["column"]), str(wanted["of"])
    key = f"evaluate.invariance ({column})"
    features = changeable(rows, column, key)
    chosen = features.iloc[sample(len(features), SAMPLE_ROWS)].reset_index(drop=True)
    before = model.answer(chosen).named(of, key)
    tolerance = tolerance if wanted["tolerance"] is None else float(wanted["tolerance"])
    changed = np.zeros(len(chosen), dtype=bool)
    for values in replacements(features[column], chosen[column], wanted["values"], key):
        after = model.answer(chosen.assign(**{column: values})).named(of, key)
        changed |= apart(before, after, tolerance)[0]
    allowed = float(wanted["allow"])
    observed = f"{of} changes on {portion(changed)}"
    if column not in (getattr(model, "inputs", None) or [column]):
        observed += "; the model does not look at it"
    limit = at_most(allowed)
    return check(f"invariant to {column}", bool(changed.mean() <= allowed), observed, limit, str(wanted["severity"]))


def changeable(rows: Rows, column: str, key: str) -> pd.DataFrame:
    """The features. Raises RefusedError unless `column` is one of them."""
    if column in (rows.columns.key, rows.columns.target):
        raise RefusedError(f"`{key}`: it is the key or the target, which no model looks at.")
    need_columns(rows.table, [column], f"`{key}` is", rows.name)
    return rows.features


def replacements(column: pd.Series, chosen: pd.Series, values: Sequence[Any] | None, key: str) -> Iterator[pd.Series]:
    """The chosen rows' column anew: each given value in turn, or once another of the column's own values for every row."""
    if values is not None:
        for value in values:
            yield of_type(pd.Series([value] * len(chosen), dtype=object), chosen, value, key)
        return
    own = pd.Series(column.dropna().unique())
    if len(own) < 2:
        raise RefusedError(f"`{key}`: the column has only one value.", "Name others as `values`.")
    codes = pd.Index(own).get_indexer(pd.Index(chosen))
    # A step of 1 … k - 1 along the k values never ends where it began; a missing value (-1) becomes any of them.
    steps = np.random.default_rng(SEED).integers(1, len(own), len(chosen))
    yield pd.Series(own.to_numpy()[(codes + steps) % len(own)]).astype(chosen.dtype)


def of_type(values: pd.Series, like: pd.Series, value: Any, key: str) -> pd.Series:
    """`values` in the type of the column that they replace."""
    dtype = like.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        known = list(dtype.categories)
        dtype = pd.CategoricalDtype([*known, *([] if value in known else [value])], dtype.ordered)
    elif isinstance(value, str) and getattr(dtype, "kind", "O") in "biuf":
        raise RefusedError(f"`{key}`: the value `{value[:40]}` does not fit a column of numbers.")
    elif getattr(dtype, "kind", "O") in "iu" and isinstance(value, float) and value != int(value):
        return values.astype(float)
    return values.astype(str if getattr(dtype, "name", "") in ("str", "string") else dtype)


def check_direction(model: Model, rows: Rows, wanted: Mapping[str, Any], tolerance: float) -> Check:
    """Raising or lowering a column moves the answer one way: the directional expectation test of Ribeiro et al. 2020, section 2."""
    column, expect = str(wanted["column"]), str(wanted["expect"])
    key = f"evaluate.directional ({column})"
    features = changeable(rows, column, key)
    if features[column].dtype.kind not in "iuf" and not pd.api.types.is_numeric_dtype(features[column]):
        raise RefusedError(f"`{key}`: it is not a column of numbers.")
    present = features[features[column].notna()]
    chosen = present.iloc[sample(len(present), SAMPLE_ROWS)].reset_index(drop=True)
    moved = shifted(chosen[column], wanted["change"])
    truly = np.asarray(moved != chosen[column])
    chosen, moved = chosen[truly].reset_index(drop=True), moved[truly].reset_index(drop=True)
    if chosen.empty:
        raise RefusedError(f"`{key}`: a change of {wanted['change']} changes no row.")
    answers = model.answer(chosen)
    of = wanted["of"] or ("score" if "score" in answers.scores else "prediction")
    before, after = answers.named(of, key), model.answer(chosen.assign(**{column: moved})).named(of, key)
    if before.dtype.kind not in "biuf" or after.dtype.kind not in "biuf":
        raise RefusedError(f"`{key}`: the {of} is not a number.", "Set `of` to a score.")
    difference = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    against = ~{
        "increase": difference > tolerance,
        "decrease": difference < -tolerance,
        "not-increase": difference <= tolerance,
        "not-decrease": difference >= -tolerance,
    }[expect]
    allowed = float(wanted["allow"])
    return check(
        f"{column} {by(wanted['change'])} must {expect.replace('-', ' ')} {of}",
        against.mean() <= allowed,
        f"{of} {_AGAINST[expect]} on {portion(against)}, mean change {signed(f'{difference.mean():+.4g}')}",
        at_most(allowed),
        str(wanted["severity"]),
    )


_AGAINST = {
    "increase": "does not increase",
    "decrease": "does not decrease",
    "not-increase": "increases",
    "not-decrease": "decreases",
}
"""What rows do that break an expectation."""


def by(change: float | str) -> str:
    """`+100`, `−10%`: a change as a reader would write it."""
    if isinstance(change, str):
        return signed(change if change.startswith(("+", "-")) else f"+{change}")
    return signed(f"{change:+g}")


def shifted(column: pd.Series, change: float | str) -> pd.Series:
    """The column with `change` added, or with that share of itself; whole numbers stay whole."""
    moved = column * (1 + float(change.rstrip("%")) / 100) if isinstance(change, str) else column + change
    return moved.round().astype(column.dtype) if column.dtype.kind in "iu" else moved


def latency(serve: Callable[[pd.DataFrame], object], rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Milliseconds that single rows and batches of 1,000 rows take, after a warm-up."""
    generator = np.random.default_rng(SEED)

    def draw(size: int) -> pd.DataFrame:
        return rows.iloc[generator.integers(0, len(rows), size)].reset_index(drop=True)

    return {
        "single-row": timed(serve, [draw(1) for _ in range(SINGLE_CALLS)], WARM_UP_CALLS),
        "batch": timed(serve, [draw(BATCH_ROWS) for _ in range(BATCH_CALLS)], 1),
    }


def timed(serve: Callable[[pd.DataFrame], object], calls: Sequence[pd.DataFrame], warm_up: int) -> dict[str, Any]:
    """The 50th and 99th percentile of the calls' durations, each the duration of a call that was made."""
    for rows in calls[:warm_up]:
        serve(rows)
    taken: list[float] = []
    began = time.perf_counter()
    for rows in calls:
        if len(taken) >= FEWEST_CALLS and time.perf_counter() - began > PATIENCE_SECONDS:
            break
        start = time.perf_counter()
        serve(rows)
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    ranks = {name: taken[math.ceil(part * len(taken)) - 1] for name, part in (("p50", 0.5), ("p99", 0.99))}
    return {"rows": len(calls[0]), "calls": len(taken), **{name: round(value, 3) for name, value in ranks.items()}}
