"""Names as MLflow takes them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from modelship.core.metrics import Metrics

_REFUSED = re.compile(r"[^\w.\- :/]")
_LONGEST = 250


def mlflow_name(name: str) -> str:
    """`name` where MLflow takes it for a metric or a parameter, else one made of it that no other name gives.

    MLflow (`validation.py`) wants at most 250 letters, digits and `_-. :/`, and no path but a plain relative one:
    `precision@10` becomes `precision_10-` and six digits.
    """
    normal = posixpath.normpath(name)
    if not _REFUSED.search(name) and len(name) <= _LONGEST and normal == name and normal != "." and not normal.startswith(("..", "/")):
        return name
    import hashlib

    digits = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{_REFUSED.sub('_', name).replace('/', '_').lstrip('.')[:200]}-{digits}"


def with_names(metrics: Metrics, names: Iterable[str]) -> Metrics:
    """`metrics` as MLflow holds them, known under `names`, too."""
    renamed = {name: held for name in names if (held := mlflow_name(name)) != name}
    return Metrics(
        {**metrics.values, **{name: metrics.values[held] for name, held in renamed.items() if held in metrics.values}},
        {**metrics.invalid, **{name: metrics.invalid[held] for name, held in renamed.items() if held in metrics.invalid}},
    )
