"""A trained, evaluated and judged model, ready to be registered: by the real commands, in a project of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.project import Project

CONFIG = """\
model: flight-delay
data: {current: holdout.parquet, target: late, key: id}
train: {run: python train.py, metrics: metrics.json, params: params.yaml, model: model}
gate:
  baseline: none
  first-run: allow
  metrics:
    roc_auc: {min: 0.5}
"""

TRAIN = """\
import json, shutil
shutil.rmtree("model", ignore_errors=True)
shutil.copytree("../trained", "model")
json.dump({"roc_auc": ROC_AUC}, open("metrics.json", "w"))
"""


def rows(count: int, seed: int) -> pd.DataFrame:
    """Flights of which the longer ones are late more often."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"id": np.arange(count), "distance": random.normal(size=count), "wind": random.normal(size=count)})
    return table.assign(late=table["distance"] + random.normal(size=count) > 0)


def save_model(folder: Path, holdout: pd.DataFrame) -> float:
    """A small classifier as MLflow saves it with skops, with a signature. Returns its ROC AUC on the holdout."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    table = rows(80, 0)
    features = table[["distance", "wind"]]
    model = LogisticRegression().fit(features, table["late"])
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=infer_signature(features, model.predict(features)),
        serialization_format="skops",
        pip_requirements=["scikit-learn"],
    )
    return float(roc_auc_score(holdout["late"], model.predict_proba(holdout[["distance", "wind"]])[:, 1]))


def prepare(project: Project) -> Project:
    """Write what the team writes, and commit it."""
    holdout = rows(60, 1)
    holdout.to_parquet(project.directory / "holdout.parquet")
    roc_auc = save_model(project.directory.parent / "trained", holdout)
    project.write("modelship.yaml", CONFIG)
    project.write(".gitignore", "model/\n.modelship/\n")
    project.write("train.py", TRAIN.replace("ROC_AUC", repr(roc_auc)))
    project.commit("a model")
    return project


def judge(project: Project, **environment: str) -> Project:
    """Train, evaluate and judge."""
    for command in ("train", "evaluate", "metric-gate"):
        ran = project.run(command, **environment)
        assert ran.exit_code == 0, ran.log
    return project
