"""Retrained models of the template's flights, and their scores on months that none of them has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from benchmarks.simulated import BINARY, CONFIDENCE, adequate_rows, measure_named
from numpy.typing import NDArray
from ruamel.yaml import YAML
from sklearn.ensemble import HistGradientBoostingClassifier

from modelship.gate.rows.intervals import Comparison, compare
from modelship.gate.rows.paired import Answers, Paired

TEMPLATE = Path(__file__).resolve().parent.parent / "template-repo"
TEXT = ("carrier", "origin", "dest")
LAST_MONTH_OF_TRAINING = 6
JULY = 7
HOLDOUT = 5_000
"""Rows of a holdout: as many as the template's."""
FIXED = 0.005
"""The tolerance of a plain threshold."""
MOST_ROWS = 60_000


@dataclass(frozen=True)
class Flights:
    """All flights. Texts are numbered."""

    features: tuple[str, ...]
    rows: NDArray[np.float64]
    """(n, len(features))."""
    late: NDArray[np.intp]
    """(n,) 1 where the flight arrived late."""
    month: NDArray[np.int8]

    @property
    def seen(self) -> NDArray[np.intp]:
        """The rows that models are trained on: January to June."""
        return np.flatnonzero(self.month <= LAST_MONTH_OF_TRAINING)

    @property
    def unseen(self) -> NDArray[np.intp]:
        """The rows that models are judged on: July to December."""
        return np.flatnonzero(self.month > LAST_MONTH_OF_TRAINING)


@dataclass(frozen=True)
class Retrain:
    """How one model is made."""

    seed: int
    resampled: bool = False
    """Trained on rows drawn with replacement from those of January to June, as if other flights had been collected."""
    without: tuple[str, ...] = ()
    """Columns that this model does not see."""


def read_flights() -> Flights:
    """The flights that the template's DVC storage holds, and the features that its params.yaml names."""
    yaml = YAML(typ="safe", pure=True)
    digest = yaml.load(TEMPLATE / "data" / "flights.parquet.dvc")["outs"][0]["md5"]
    features = tuple(yaml.load(TEMPLATE / "params.yaml")["features"])
    table = pq.read_table(TEMPLATE / "dvc-storage" / "files" / "md5" / digest[:2] / digest[2:])

    def numbers(name: str) -> NDArray[np.float64]:
        if name in TEXT:
            return np.unique(table[name].to_numpy().astype(str), return_inverse=True)[1].astype(np.float64)
        return np.asarray(table[name].to_numpy(), dtype=np.float64)

    rows = np.stack([numbers(name) for name in features], axis=1)
    return Flights(features, rows, table["late"].to_numpy().astype(np.intp), table["month"].to_numpy())


def scores(flights: Flights, retrains: list[Retrain], executor: Executor) -> list[NDArray[np.float64]]:
    """The probability of a late arrival of each unseen flight, by each model."""
    return list(executor.map(_score, [flights] * len(retrains), retrains))


def _score(flights: Flights, retrain: Retrain) -> NDArray[np.float64]:
    """The template's model, but with half of the columns drawn at random for each split, so that a seed makes a difference."""
    kept = [position for position, name in enumerate(flights.features) if name not in retrain.without]
    rows = flights.seen
    if retrain.resampled:
        rows = np.random.default_rng(retrain.seed).choice(rows, len(rows))
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=100,
        max_features=0.5,
        early_stopping=False,
        categorical_features=[flights.features[position] in TEXT for position in kept],
        random_state=retrain.seed,
    )
    model.fit(flights.rows[rows][:, kept], flights.late[rows])
    return np.asarray(model.predict_proba(flights.rows[flights.unseen][:, kept])[:, 1], dtype=np.float64)


def pair(truth: NDArray[np.intp], candidate: NDArray[np.float64], baseline: NDArray[np.float64]) -> Paired:
    """Two models' scores on the same flights; a flight is called late at one half."""

    def answers(score: NDArray[np.float64]) -> Answers:
        return Answers((score >= 0.5).astype(np.intp), score)

    return Paired("classification", "flight_id", None, truth, (0, 1), 1, answers(candidate), answers(baseline))


@dataclass
class Verdicts:
    """How often each way of judging says no to a candidate, and how often intervals are right."""

    runs: int = 0
    drop: float = 0.0
    """True drops, added up."""
    covered: int = 0
    """The interval held the truth."""
    fails: int = 0
    """The gate, at the margin."""
    inconclusive: int = 0
    """The gate, at the margin."""
    fails_at_fixed: int = 0
    """The gate, at FIXED."""
    drops: int = 0
    """`d < 0`."""
    drops_beyond: int = 0
    """`d < -margin`."""
    drops_beyond_fixed: int = 0
    """`d < -FIXED`."""
    below_floor: int = 0
    """The candidate's own value is worse than a limit."""

    def __add__(self, other: Verdicts) -> Verdicts:
        return Verdicts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    def add(self, comparison: Comparison, change: float, margin: float, *, below_floor: bool) -> None:
        """Count one more comparison whose true change is `change`."""
        low, high = comparison.interval(CONFIDENCE)
        self.runs += 1
        self.drop -= change
        self.covered += low <= change <= high
        self.fails += high < -margin
        self.inconclusive += comparison.change < -margin <= high
        self.fails_at_fixed += high < -FIXED
        self.drops += comparison.change < 0
        self.drops_beyond += comparison.change < -margin
        self.drops_beyond_fixed += comparison.change < -FIXED
        self.below_floor += below_floor


@dataclass(frozen=True)
class Pool:
    """Flights from which holdouts are drawn with replacement, so that what is true of the pool is the truth."""

    name: str
    late: NDArray[np.intp]
    """(n,)."""
    scores: NDArray[np.float64]
    """(models, n)."""

    def values(self) -> dict[str, NDArray[np.float64]]:
        """(models,) the true value of every metric, signed so that more is better."""
        models = [pair(self.late, score, score).models[0] for score in self.scores]
        return {name: np.array([_sign(name) * measure_named(name).value(model) for model in models]) for name in BINARY}

    def drawn(self, rng: np.random.Generator, rows: int, candidate: int, baseline: int) -> Paired:
        """Two models on rows drawn with replacement."""
        chosen = rng.integers(0, len(self.late), rows)
        return pair(self.late[chosen], self.scores[candidate, chosen], self.scores[baseline, chosen])


def innocents(pool: Pool, pairs: Sequence[tuple[int, int]], seed: Sequence[int]) -> dict[str, Verdicts]:
    """Each pair on one holdout, by metric. The candidate is the one that is better in truth; the margin is 0."""
    rng = np.random.default_rng(seed)
    values = pool.values()
    verdicts = {name: Verdicts() for name in BINARY}
    for pair_of_models in pairs:
        paired = pool.drawn(rng, HOLDOUT, *pair_of_models)
        swapped = replace(paired, candidate=paired.baseline, baseline=paired.candidate)
        for name in BINARY:
            first, second = values[name][list(pair_of_models)]
            comparison = compare(measure_named(name), paired if first >= second else swapped)
            below = bool(_sign(name) * comparison.candidate < values[name].mean() - FIXED)
            verdicts[name].add(comparison, abs(first - second), 0.0, below_floor=below)
    return verdicts


def guilty(
    pool: Pool, pairs: Sequence[tuple[int, int]], floor: Mapping[str, float], seed: Sequence[int], *, adequate: bool
) -> dict[str, Verdicts]:
    """Each pair on one holdout, by metric. The candidate is worse by twice the margin.

    `adequate` draws, for each metric, twice the rows that the gate asks for, and leaves out where these are over MOST_ROWS.
    """
    rng = np.random.default_rng(seed)
    values = pool.values()
    verdicts = {name: Verdicts() for name in BINARY}
    for candidate, baseline in pairs:
        paired = pool.drawn(rng, HOLDOUT, candidate, baseline)
        whole = pair(pool.late, pool.scores[candidate], pool.scores[baseline])
        for name in BINARY:
            change = float(values[name][candidate] - values[name][baseline])
            if change >= 0:
                continue
            if adequate:
                rows = adequate_rows(compare(measure_named(name), whole), -change / 2)
                if rows is None or rows > MOST_ROWS:
                    continue
                paired = pool.drawn(rng, rows, candidate, baseline)
            comparison = compare(measure_named(name), paired)
            verdicts[name].add(comparison, change, -change / 2, below_floor=_sign(name) * comparison.candidate < floor[name])
    return verdicts


def _sign(name: str) -> int:
    return 1 if measure_named(name).better == "higher" else -1
