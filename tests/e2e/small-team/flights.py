"""A team's whole code: flights are late more often in the evening. Nothing is learnt here, the model is its parameters."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

MODEL = Path("model", "weights.json")


def train() -> None:
    """Write the model, what it answers to the holdout, and how good that is."""
    look_around("train")
    params = dict(line.split(": ") for line in Path("params.yaml").read_text(encoding="utf-8").splitlines())
    MODEL.parent.mkdir(exist_ok=True)
    MODEL.write_text(json.dumps({"slope": float(params["slope"]), "ballast": "x" * int(params["ballast"])}), encoding="utf-8")
    right, loss, answers = 0, 0.0, []
    with Path("holdout.csv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            truth, score = int(row["late"]), probability(float(params["slope"]), float(row["hour"]))
            right += truth == (score >= 0.5)
            loss -= math.log(score if truth else 1 - score)
            answers.append([row["flight_id"], truth, int(score >= 0.5), score, row["carrier"]])
    with Path("predictions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["flight_id", "truth", "prediction", "score", "carrier"], *answers])
    metrics = {"accuracy": right / len(answers), "log_loss": loss / len(answers)}
    Path("metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def probability(slope: float, hour: float) -> float:
    """How likely a flight at this hour is late."""
    return 1 / (1 + math.exp(-slope * (hour - 14)))


def predict(path: str, rows: Any) -> Any:
    """Answer rows of a data frame: the function that `evaluate.predict` names."""
    import pandas as pd

    look_around("evaluate")
    slope = json.loads(Path(path, MODEL.name).read_text(encoding="utf-8"))["slope"]
    score = rows["hour"].map(lambda hour: probability(slope, float(hour)))
    return pd.DataFrame({"prediction": (score >= 0.5).astype(int), "score": score})


def look_around(where: str) -> None:
    """Do what hostile code would: take what the environments of this process and of those above it hold.

    It is left in `~/seen`, where the tests look.
    """
    found, process = ["\0".join(f"{name}={value}" for name, value in os.environ.items())], os.getppid()
    while process > 1:
        try:
            found.append(Path(f"/proc/{process}/environ").read_text(errors="replace"))
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    folder = Path.home() / "seen"
    folder.mkdir(exist_ok=True)
    name = f"{os.environ.get('GITHUB_RUN_ID', 'local')}-{where}-{os.getpid()}.json"
    Path(folder, name).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    train()
