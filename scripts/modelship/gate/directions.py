"""Which direction of a metric is better.

Names are those of scikit-learn's scorers (`sklearn.metrics.get_scorer_names`) and metric functions, plus the short names in
common use for its losses.
"""

from __future__ import annotations

import re
from typing import Literal

Direction = Literal["higher", "lower"]

HIGHER = frozenset(
    {
        "accuracy", "adjusted_mutual_info_score", "adjusted_rand_score", "auc", "average_precision", "balanced_accuracy",
        "cohen_kappa", "completeness_score", "d2_absolute_error_score", "d2_brier_score", "d2_log_loss_score", "d2_pinball_score",
        "d2_tweedie_score", "dcg", "explained_variance", "f1", "fbeta", "fowlkes_mallows_score", "homogeneity_score", "jaccard",
        "label_ranking_average_precision", "matthews_corrcoef", "mcc", "mutual_info_score", "ndcg", "normalized_mutual_info_score",
        "positive_likelihood_ratio", "pr_auc", "precision", "r2", "rand_score", "recall", "roc_auc", "sensitivity", "specificity",
        "top_k_accuracy", "v_measure_score",
    }
)  # fmt: skip

LOWER = frozenset(
    {
        "brier", "brier_loss", "brier_score", "brier_score_loss", "coverage_error", "cross_entropy", "error", "error_rate",
        "expected_calibration_error", "false_negative_rate", "false_positive_rate", "fnr", "fpr", "hamming_loss", "hinge_loss",
        "label_ranking_loss", "log_loss", "logloss", "loss", "mae", "mape", "max_error", "mean_absolute_error",
        "mean_absolute_percentage_error", "mean_gamma_deviance", "mean_pinball_loss", "mean_poisson_deviance", "mean_squared_error",
        "mean_squared_log_error", "median_absolute_error", "mse", "msle", "negative_likelihood_ratio", "perplexity", "rmse", "rmsle",
        "root_mean_squared_error", "root_mean_squared_log_error", "smape", "zero_one_loss",
    }
)  # fmt: skip

_AVERAGING = re.compile(r"(_(binary|macro|micro|weighted|samples|ovr|ovo))+$")
_MEASURED_ON = re.compile(r"^(train|training|test|val|valid|validation|eval|holdout|cv|mean|oof)_")


def direction(metric: str) -> Direction | None:
    """The better direction of a metric by its name, or None when the name does not say.

    Only the last part of a dotted name counts. `neg_` turns a loss around, as in scikit-learn; averaging suffixes, `_score` and
    prefixes such as `val_` do not matter.
    """
    name = re.split(r"[./]", metric.lower().replace("-", "_"))[-1]
    while True:
        found = _known(name)
        shorter = _MEASURED_ON.sub("", name)
        if found or shorter == name:
            return found
        name = shorter


def contradicts(metric: str, better: Direction) -> bool:
    """Whether the name says that the other direction is better.

    It says so alone, and after what it was measured on, as `holdout.roc_auc`. After other parts nobody knows: of `std.roc_auc` less
    is better.
    """
    *before, _ = re.split(r"[./]", metric.lower())
    return direction(metric) not in (None, better) and all(_MEASURED_ON.match(f"{part}_") for part in before)


def _known(name: str) -> Direction | None:
    if name.startswith("neg_"):
        return "higher" if _known(name.removeprefix("neg_")) == "lower" else None
    averaged = _AVERAGING.sub("", name)
    for candidate in (name, averaged, averaged.removesuffix("_score")):
        if candidate in HIGHER:
            return "higher"
        if candidate in LOWER:
            return "lower"
    return None
