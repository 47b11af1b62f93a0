"""Cross-validation of a scikit-learn estimator."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

import pandas as pd

from .checks import SEED, Check, check
from .models import MlflowModel
from .problems import RefusedError, blamed, say
from .tables import Columns, need_columns

SCORERS = {
    "brier": "brier_score",
    "brier_score_loss": "brier_score",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
}
"""Common names of losses, which scikit-learn's scorers call otherwise."""


def check_folds(model: MlflowModel, reference: pd.DataFrame, columns: Columns, group: str | None, wanted: Mapping[str, Any]) -> Check:
    """The estimator fitted anew on all folds of the reference table but one, and scored on that one.

    Folds are shuffled with a seed, stratified for a classifier; rows of one group stay together.
    """
    from sklearn.base import clone, is_classifier
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    metric, folds = str(wanted["metric"]), int(wanted["folds"])
    estimator = model.estimator
    if not hasattr(estimator, "fit") or not hasattr(estimator, "get_params"):
        kind = "no model that MLflow unwraps" if estimator is None else f"a {type(estimator).__name__}"
        raise RefusedError(f"`evaluate.cross-validation` needs a scikit-learn estimator; this is {kind}.")
    name, sign = scorer_name(metric)
    scorer = get_scorer(name)
    need_columns(reference, [columns.target], "`data.target` is", "data.reference")
    known = reference[reference[columns.target].notna()].reset_index(drop=True)
    features, truth = model.prepare(known, "data.reference"), known[columns.target]
    if group is not None:
        need_columns(known, [group], "`gate.group` is", "data.reference")
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED) if is_classifier(estimator) else GroupKFold(folds)
    else:
        splitter = (StratifiedKFold if is_classifier(estimator) else KFold)(folds, shuffle=True, random_state=SEED)
    values = []
    with blamed("`evaluate.cross-validation`"):
        splits = splitter.split(features, truth, None if group is None else known[group])
        for number, (train, test) in enumerate(splits, start=1):
            fitted = clone(estimator).fit(features.iloc[train], truth.iloc[train])
            values.append(sign * float(scorer(fitted, features.iloc[test], truth.iloc[test])))
            say(f"fold {number} of {folds}: {metric} {values[-1]:.4f}")
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    low, high = wanted["min"], wanted["max"]
    limits = [*([f"at least {low:g}"] if low is not None else []), *([f"at most {high:g}"] if high is not None else [])]
    holds = math.isfinite(mean) and (low is None or mean >= low) and (high is None or mean <= high)
    severity = str(wanted["severity"]) if limits else "info"
    observed = f"{mean:.4f} ± {deviation:.4f} (mean and standard deviation of {folds} folds)"
    return check(f"cross-validated {metric}", holds, observed, " and ".join(limits), severity)


def scorer_name(metric: str) -> tuple[str, float]:
    """The name of scikit-learn's scorer for a metric, and the sign that turns its value back into the metric."""
    from sklearn.metrics import get_scorer_names

    names = set(get_scorer_names())
    for name, sign in ((metric, 1.0), (f"neg_{metric}", -1.0), (f"neg_{SCORERS.get(metric, '')}", -1.0)):
        if name in names:
            return name, sign
    raise RefusedError(
        f"`evaluate.cross-validation.metric` is `{metric}`, which is no scorer of scikit-learn.", "See its scoring names."
    )
