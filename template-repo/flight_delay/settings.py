"""Where things stand and what params.yaml says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

RAW = Path("data/flights.parquet")
TRAIN = Path("data/train.parquet")
HOLDOUT = Path("data/holdout.parquet")
PRODUCTION = Path("data/production")
MODEL = Path("model")
PREDICTIONS = Path("predictions.parquet")
METRICS = Path("metrics.json")

KEY = "flight_id"
TIME = "scheduled_at"
TARGET = "late"
SLICES = ["carrier", "origin"]


@dataclass(frozen=True)
class Params:
    """The contents of params.yaml, one field for each section."""

    split: dict[str, list[str]]
    """Part -> its first and last month as `YYYY-MM`, both included."""
    features: list[str]
    """Columns that the model sees."""
    model: dict[str, Any]
    """Keyword arguments of HistGradientBoostingClassifier."""


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read the parameters. Raises TypeError for a missing or unknown section."""
    # YAML 1.2, as DVC reads it: PyYAML would take 1e-3 for text.
    return Params(**YAML(typ="safe", pure=True).load(path))
