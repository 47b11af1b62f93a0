"""A model in production, made up: what it learned from, what it promised, what it was asked, and what became true."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelship.monitoring.prediction_log import PredictionLog

START = datetime(2026, 11, 2, tzinfo=UTC)
"""A Monday. The batch is the week from here on."""
END = START + timedelta(days=7)
NOW = END + timedelta(days=30)

CONFIG: dict[str, Any] = {
    "model": "churn",
    "data": {"reference": "train.parquet", "target": "left", "key": "id"},
    "train": {"predictions": "release/predictions.parquet"},
    "gate": {"slices": ["plan"], "metrics": {"roc_auc": {"max-regression": 0.03}}},
    "monitor": {"predictions": "log.parquet", "truth": "truth.parquet", "batch": "7d", "label-delay": "14d"},
}


def people(rows: int, seed: int, *, shift: float = 0.0, noise: float = 1.0) -> pd.DataFrame:
    """Customers: what a model knows of them, whether they left, and what a model says that learned when `noise` was 1."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40 + 10 * shift, 10, rows)
    plan = rng.choice(["basic", "plus"], rows)
    risk = (age - 40) / 10 + (plan == "plus") * 0.5
    left = (risk + noise * rng.logistic(size=rows) > 0).astype(int)
    score = 1 / (1 + np.exp(-risk))
    return pd.DataFrame({"id": np.arange(rows) + seed * 10_000_000, "age": age, "plan": plan, "left": left, "score": score})


def logged(rows: pd.DataFrame, version: int = 7, start: datetime = START, end: datetime = END) -> pd.DataFrame:
    """What a service writes of them, evenly over the time."""
    step = (end - start) / max(len(rows), 1)
    at = pd.Series([start + step * number for number in range(len(rows))], dtype="datetime64[us, UTC]")
    own = pd.DataFrame({"predicted-at": at, "model": "churn", "version": version})
    return pd.concat([own, rows.drop(columns="left").reset_index(drop=True)], axis=1).assign(
        prediction=(rows["score"] > 0.5).astype(int).to_numpy()
    )


def became(log: pd.DataFrame, rows: pd.DataFrame, days: float = 3) -> pd.DataFrame:
    """What became true of them, so many days after they were predicted."""
    return pd.DataFrame({"id": log["id"], "left": rows["left"].to_numpy(), "known-at": log["predicted-at"] + pd.Timedelta(days=days)})


class Production:
    """The files of a team in `folder`."""

    def __init__(self, folder: Path, rows: int = 4000, **world: float) -> None:
        self.folder = folder
        self.config = json.loads(json.dumps(CONFIG))
        self.rows = people(rows, 3, **world)
        self.log = logged(self.rows)
        self.truth = became(self.log, self.rows)
        (folder / "release").mkdir()
        people(4000, 1).drop(columns="score").to_parquet(folder / "train.parquet", index=False)
        holdout = people(4000, 2).rename(columns={"left": "truth"})
        holdout.assign(prediction=(holdout["score"] > 0.5).astype(int)).to_parquet(folder / "release/predictions.parquet", index=False)

    def write(self) -> Path:
        """Write the log, the truth and the configuration; returns the latter's path."""
        self.log.to_parquet(self.folder / "log.parquet", index=False)
        self.truth.to_parquet(self.folder / "truth.parquet", index=False)
        path = self.folder / "modelship.yaml"
        path.write_text(json.dumps(self.config))
        return path

    def write_as_lines(self) -> None:
        """Write the log as a service does."""
        with PredictionLog(self.folder / "log", model="churn", version=7, key="id") as log:
            log.write(self.rows.drop(columns=["left", "score"]), scores=self.rows["score"].to_numpy())
        self.config["monitor"]["predictions"] = "log"
