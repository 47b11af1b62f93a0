"""How often a retrain is asked for without need, and how soon after a real loss: simulated half years, week by week.

`python benchmarks/retrain.py` simulates 200 calm half years, and as many of each kind of trouble, and prints a Markdown table;
docs/retrain.md explains it. `--histories` says how many. `--performance` leaves drift and the rules on it out: minutes in place of an
hour. The same seeds give the same figures.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist

os.environ["OMP_NUM_THREADS"] = "1"  # each process has one core

import msgspec
import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmarks.drift_alarms import by_evidently, by_modelship  # noqa: E402
from benchmarks.simulated import measure_named, two_classes  # noqa: E402

from modelship.core.config import LoadedConfig, parse_config  # noqa: E402
from modelship.gate.rows.paired import Paired  # noqa: E402
from modelship.monitoring.decide import Rules, decide  # noqa: E402
from modelship.monitoring.history import Asked, Batch, History, Measured, Promise  # noqa: E402
from modelship.monitoring.losses import WINDOWS, quantile  # noqa: E402

WEEKS = 26
WEEK = timedelta(days=7)
RELEASED = datetime(2026, 1, 5, tzinfo=UTC)
HOLDOUT = 5_000
ROWS = 1_000
"""With truth, in a week."""
REFERENCE = 5_000
METRICS = {"roc_auc": 0.02, "log_loss": 0.02}
"""Metrics, and the loss that is allowed in each."""
GAPS = (1.0, 1.25, 1.5, 2.0)
"""How much error a model has of its own once it has lost."""
SHIFT = 0.5
"""By how many standard deviations columns move where the world moves, 6 of 10 of them."""
COLUMNS, MOVED = 10, 6
LATE = 2
"""Batches after a loss can be detected in which it has to be decided."""
RULES = Rules()
SHARES = (0.3, 0.5)
"""The plain rules beside ours: train again when so many of the columns drift, by what Evidently's preset chooses."""
CONFIG = b"model: simulated\ndata: {key: id}\n"
SEED = 20260105

draw_rows = partial(two_classes, prevalence=0.2, noise=0.5)


@dataclass(frozen=True)
class Trouble:
    """What happens to production."""

    name: str
    is_loss: bool
    """The model becomes worse."""
    is_shift: bool
    """Columns move."""


CALM = Trouble("nothing happens", is_loss=False, is_shift=False)
TROUBLES = (
    CALM,
    Trouble("the model becomes worse, its columns do not move", is_loss=True, is_shift=False),
    Trouble("the model becomes worse, and columns move", is_loss=True, is_shift=True),
    Trouble("columns move, the model does not become worse", is_loss=False, is_shift=True),
)


@dataclass
class Outcome:
    """What became of one half year, under our rules and each plain one."""

    asked: dict[str, int] = field(default_factory=dict)
    """How many retrains were asked for."""
    first: dict[str, int | None] = field(default_factory=dict)
    """In which week after the trouble began first."""
    detectable: int | None = None
    """In which week the loss could first be detected with 95 % power; None where it never could."""


def main() -> int:
    """Simulate and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--histories", type=int, default=200, help="half years of each kind (default: 200)")
    parser.add_argument("--performance", action="store_true", help="leave drift out")
    given = parser.parse_args()
    histories, with_drift = given.histories, not given.performance
    names = ["Modelship", *(_share_name(share) for share in SHARES)] if with_drift else ["performance alone"]
    print(f"| {histories} half years of each kind | {' | '.join(names)} |\n|---|{'--:|' * len(names)}")
    with ProcessPoolExecutor(os.cpu_count()) as executor:
        for kind, trouble in enumerate(TROUBLES):
            if trouble.is_shift and not with_drift:
                continue
            seeds = [(SEED, kind, number) for number in range(histories)]
            outcomes = list(executor.map(partial(live, with_drift=with_drift), [trouble] * histories, seeds, chunksize=5))
            for line in _lines(trouble, outcomes, names):
                print(line, flush=True)
    return 0


def _lines(trouble: Trouble, outcomes: Sequence[Outcome], names: Sequence[str]) -> Iterator[str]:
    if not trouble.is_loss:
        # Nobody trains again here, so that what moved stays moved: of one that does it takes one retrain.
        asked = [[min(outcome.asked[name], 1 if trouble.is_shift else WEEKS) for outcome in outcomes] for name in names]
        what = "half years with a retrain" if trouble.is_shift else "retrains in a half year"
        yield f"| {trouble.name}: {what} | {' | '.join(f'{sum(counts) / len(counts):.3f}' for counts in asked)} |"
        return
    told = [outcome for outcome in outcomes if outcome.detectable is not None]
    within = [_share(sum(_is_in_time(outcome, name) for outcome in told), len(told)) for name in names]
    yield f"| {trouble.name}: asked for within {LATE} batches of its being detectable, of {len(told)} | {' | '.join(within)} |"


def _is_in_time(outcome: Outcome, name: str) -> bool:
    first = outcome.first[name]
    return first is not None and outcome.detectable is not None and first <= outcome.detectable + LATE


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "–"


def _share_name(share: float) -> str:
    return f"drift share ≥ {share:.0%}"


# One half year.


def live(trouble: Trouble, seed: Sequence[int], *, with_drift: bool = True) -> Outcome:
    """Simulate half a year and decide after each week, with what was known then."""
    rng = np.random.default_rng(seed)
    began = int(rng.integers(4, 13))
    gap = float(rng.choice(GAPS)) if trouble.is_loss else 0.0
    reference = _columns(rng, REFERENCE, 0.0) if with_drift else None
    known = History(version=1, trained_at=RELEASED, promises=_promised(draw_rows(rng, HOLDOUT, 0.0)))
    outcome = Outcome(detectable=_detectable(gap, began) if trouble.is_loss else None)
    plain: dict[str, list[int]] = {_share_name(share): [] for share in SHARES}
    ours: list[int] = []
    for week in range(WEEKS):
        is_on = week >= began
        rows = draw_rows(rng, ROWS, gap if is_on else 0.0)
        drifted: Sequence[bool] = ()
        by_share: Sequence[bool] = ()
        verdict = None
        if reference is not None:
            current = _columns(rng, ROWS, SHIFT if is_on and trouble.is_shift else 0.0)
            drifted, verdict = by_modelship(reference, current, _loaded())
            by_share = by_evidently(reference, current, _loaded())[0]
        start = RELEASED + week * WEEK
        batch = Batch(
            start=start,
            end=start + WEEK,
            version=1,
            rows=ROWS,
            labelled=ROWS,
            is_complete=True,
            measured=_measured(rows),
            drift=verdict,
            drifted=tuple(str(number) for number in range(sum(drifted))),
        )
        known = msgspec.structs.replace(known, batches=(*known.batches, batch))
        if decide(known, RULES, batch.end).retrain:
            ours.append(week)
            known = msgspec.structs.replace(known, asked=(*known.asked, Asked(at=batch.end, why="simulated")))
        for share in SHARES if by_share else ():
            asked = plain[_share_name(share)]
            is_cool = not asked or (week - asked[-1]) * WEEK >= RULES.cooldown
            if is_cool and sum(by_share) / len(by_share) >= share:
                asked.append(week)
    for name, weeks in {"Modelship" if with_drift else "performance alone": ours, **plain}.items():
        outcome.asked[name] = len(weeks)
        outcome.first[name] = next((week - began for week in weeks if week >= began), None)
    return outcome


@cache
def _loaded() -> LoadedConfig:
    return parse_config(CONFIG, "modelship.yaml", Path())


def _columns(rng: np.random.Generator, rows: int, shift: float) -> pa.Table:
    """Normal columns, of which the first few have moved."""
    values = rng.normal(0, 1, (COLUMNS, rows))
    values[:MOVED] += shift
    return pa.table({"id": np.arange(rows), **{f"x{number}": column for number, column in enumerate(values)}})


def _measured(rows: Paired) -> tuple[Measured, ...]:
    """The metrics of the model that may have lost, with their standard errors."""
    return tuple(Measured(metric=name, value=value, standard_error=error, rows=len(rows)) for name, value, error in _values(rows, 0))


def _promised(rows: Paired) -> tuple[Promise, ...]:
    return tuple(
        Promise(metric=name, value=value, standard_error=error, better=measure_named(name).better, max_loss=METRICS[name])
        for name, value, error in _values(rows, 1)
    )


def _values(rows: Paired, model: int) -> Iterator[tuple[str, float, float]]:
    for name in METRICS:
        found = measure_named(name).finite(rows.models[model])
        yield name, found.value, math.sqrt(float(found.rows @ found.rows) / (len(rows) - 1) / len(rows))


@cache
def _truth(gap: float) -> dict[str, tuple[float, float]]:
    """By metric the true loss, and the standard error of one week, from 400,000 rows."""
    rows = draw_rows(np.random.default_rng((SEED, 99)), 400_000, gap)
    worse, as_before = (list(_values(rows, model)) for model in (0, 1))
    return {
        name: (before - after if measure_named(name).better == "higher" else after - before, error * math.sqrt(len(rows) / ROWS))
        for (name, after, error), (_, before, _) in zip(worse, as_before, strict=True)
    }


def _detectable(gap: float, began: int) -> int | None:
    """Weeks after the loss began until the test that decides finds it with 95 % power, in any metric."""
    needed = quantile(RULES.confidence, len(METRICS)) + NormalDist().inv_cdf(0.95)
    for weeks in range(WEEKS - began):
        for name, (loss, error) in _truth(gap).items():
            promised = error * math.sqrt(ROWS / HOLDOUT)
            for window in WINDOWS:
                if window > began + weeks + 1:
                    continue
                pooled = loss * min(window, weeks + 1) / window
                if pooled - METRICS[name] >= needed * math.hypot(error / math.sqrt(window), promised):
                    return weeks
    return None


if __name__ == "__main__":
    sys.exit(main())
