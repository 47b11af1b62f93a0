"""What intervals cost: six metrics on a million paired rows beside `scipy.stats.bootstrap`, and whether both agree.

`python benchmarks/intervals.py` prints a table. Each step is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "scripts" / "run"
METRICS = ("accuracy", "f1", "roc_auc", "average_precision", "log_loss", "brier_score_loss")
ROWS = 1_000_000
RESAMPLES = 999
"""What a bootstrap interval usually takes."""
TIMED_RESAMPLES = 3
"""How many are timed; the time of RESAMPLES is in proportion."""
AGREEMENT_ROWS = 10_000
AGREEMENT_RESAMPLES = 2_000
SEED = 7


@dataclass(frozen=True)
class Finished:
    """A process that has ended well."""

    output: str
    seconds: float
    """Wall time."""
    megabytes: float
    """Peak resident memory."""


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        sys.path.insert(0, str(ROOT / "scripts"))
        print(json.dumps(STEPS[arguments.step](arguments.folder)))
        return 0
    with tempfile.TemporaryDirectory(prefix="modelship-bench-") as name:
        folder = Path(name)
        _step("write", folder)
        intervals, bootstrap, agreement = (_step(step, folder) for step in ("intervals", "bootstrap", "agreement"))
        print(show(intervals, json.loads(bootstrap.output), json.loads(agreement.output), _whole_gate(folder)))
    return 0


def _step(step: str, folder: Path) -> Finished:
    return _finished([sys.executable, __file__, "--step", step, "--folder", folder], folder)


def _finished(command: Sequence[str | Path], folder: Path, allowed: tuple[int, ...] = (0,)) -> Finished:
    """Run a command; its own figures, and those of its children, are the kernel's. Ends the program where the command fails."""
    began = time.monotonic()
    with (folder / "output").open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        output.seek(0)
        text = output.read()
    if process.returncode not in allowed:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{text}")
    return Finished(text, seconds, usage.ru_maxrss / 1024)


# The steps.


def write(folder: Path) -> None:
    """Two models' answers to a million rows, as two folders with predictions and as arrays."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(SEED)
    truth = (rng.random(ROWS) < 0.25).astype(np.int8)
    shared = 1.2 * (truth - 0.5) + rng.normal(0, 1, ROWS) - 1.1
    arrays: dict[str, Any] = {"truth": truth}
    for name in ("candidate", "baseline"):
        score = 1 / (1 + np.exp(-(shared + 0.3 * rng.normal(0, 1, ROWS))))
        prediction = (score >= 0.5).astype(np.int8)
        arrays |= {f"{name}_prediction": prediction, f"{name}_score": score}
        (folder / name).mkdir()
        columns = {"id": np.arange(ROWS), "truth": truth, "prediction": prediction, "score": score}
        pq.write_table(pa.table(columns), folder / name / "predictions.parquet")
    np.savez(folder / "rows.npz", **arrays)
    limits = ", ".join(f"{name}: {{max-regression: 0.005}}" for name in METRICS)
    (folder / "modelship.yaml").write_text(
        f"model: bench\ndata: {{key: id}}\ntrain: {{predictions: predictions.parquet}}\ngate: {{metrics: {{{limits}}}}}\n"
    )


def intervals(folder: Path) -> dict[str, Any]:
    """The six intervals: seconds after reading, and the figures."""
    paired = _read(folder)
    from modelship.gate.rows.intervals import compare
    from modelship.gate.rows.measures import find_measure

    began = time.monotonic()
    found = {}
    for name in METRICS:
        measure = find_measure(name)
        assert measure is not None
        comparison = compare(measure, paired)
        found[name] = (comparison.change, *comparison.interval(0.95))
    return {"seconds": time.monotonic() - began, "intervals": found}


def bootstrap(folder: Path) -> dict[str, float]:
    """Seconds that `scipy.stats.bootstrap` takes for each metric on the same rows, in proportion for RESAMPLES."""
    from scipy import stats

    seconds = {}
    for name, (statistic, columns) in _statistics(_read(folder)).items():
        began = time.monotonic()
        stats.bootstrap(
            columns, statistic, n_resamples=TIMED_RESAMPLES, batch=1, paired=True, vectorized=True, method="percentile", rng=SEED
        )
        # The statistic of the rows themselves is calculated once more.
        seconds[name] = (time.monotonic() - began) / (TIMED_RESAMPLES + 1) * RESAMPLES
    return seconds


def agreement(folder: Path) -> dict[str, float]:
    """Our standard error less that of a bootstrap, as a multiple of the latter's own standard error, on the first rows."""
    import numpy as np
    from scipy import stats

    from modelship.gate.rows.intervals import compare
    from modelship.gate.rows.measures import find_measure

    paired = _read(folder).take(np.arange(AGREEMENT_ROWS))
    apart = {}
    for name, (statistic, columns) in _statistics(paired).items():
        measure = find_measure(name)
        assert measure is not None
        drawn = stats.bootstrap(
            columns, statistic, n_resamples=AGREEMENT_RESAMPLES, batch=50, paired=True, vectorized=True, method="percentile", rng=SEED
        )
        ratio = compare(measure, paired).standard_error / float(drawn.standard_error)
        apart[name] = (ratio - 1) * math.sqrt(2 * AGREEMENT_RESAMPLES)
    return apart


def _read(folder: Path) -> Any:
    import numpy as np

    from modelship.gate.rows.paired import Answers, Paired

    with np.load(folder / "rows.npz") as arrays:
        candidate, baseline = (
            Answers(arrays[f"{name}_prediction"].astype(np.intp), arrays[f"{name}_score"]) for name in ("candidate", "baseline")
        )
        return Paired("classification", "id", None, arrays["truth"].astype(np.intp), (0, 1), 1, candidate, baseline)


def _statistics(paired: Any) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Each metric's difference as a vectorized statistic and the columns that are drawn from, with as little work as there can be."""
    import numpy as np
    from scipy.stats import rankdata

    truth = paired.truth.astype(bool)
    models = (paired.candidate, paired.baseline)

    def mean(values: Any, axis: int = -1) -> Any:
        return values.mean(axis=axis)

    def difference(value: Callable[..., Any]) -> Callable[..., Any]:
        return lambda truth, new, old, axis=-1: value(truth, new) - value(truth, old)

    def f1(truth: Any, predicted: Any) -> Any:
        return 2 * (truth & predicted).sum(axis=-1) / (truth.sum(axis=-1) + predicted.sum(axis=-1))

    def roc_auc(truth: Any, score: Any) -> Any:
        positives = truth.sum(axis=-1)
        ranks = np.where(truth, rankdata(score, axis=-1), 0).sum(axis=-1)
        return (ranks - positives * (positives + 1) / 2) / (positives * (truth.shape[-1] - positives))

    def average_precision(truth: Any, score: Any) -> Any:
        order = np.argsort(-score, axis=-1)
        ordered, found = np.take_along_axis(score, order, -1), np.cumsum(np.take_along_axis(truth, order, -1), axis=-1)
        # Equal scores count together: what was found by the last of them, at its place.
        is_last = np.concatenate([ordered[..., 1:] != ordered[..., :-1], np.ones((*ordered.shape[:-1], 1), dtype=bool)], axis=-1)
        places = np.arange(1, truth.shape[-1] + 1)
        before = np.maximum.accumulate(np.where(is_last, found, 0), axis=-1)
        gained = np.diff(before, axis=-1, prepend=0)
        return (gained * found / places).sum(axis=-1) / found[..., -1]

    def losses(of: Callable[[Any], Any]) -> tuple[Any]:
        new, old = (of(np.where(truth, model.score, 1 - model.score)) for model in models)
        return (new - old,)

    right = [(model.prediction == paired.truth).astype(np.float64) for model in models]
    predicted = [model.prediction.astype(bool) for model in models]
    scores = [model.score for model in models]
    return {
        "accuracy": (mean, (right[0] - right[1],)),
        "f1": (difference(f1), (truth, *predicted)),
        "roc_auc": (difference(roc_auc), (truth, *scores)),
        "average_precision": (difference(average_precision), (truth, *scores)),
        "log_loss": (mean, losses(lambda chosen: -np.log(chosen))),
        "brier_score_loss": (mean, losses(lambda chosen: (1 - chosen) ** 2)),
    }


STEPS: dict[str, Callable[[Path], Any]] = {
    "write": write,
    "intervals": intervals,
    "bootstrap": bootstrap,
    "agreement": agreement,
}


def _whole_gate(folder: Path) -> Finished:
    """The command on the same rows, from Parquet files, through the launcher. A verdict of no is an answer, too."""
    command: list[str | Path] = [RUN, "metric-gate", "--candidate", "candidate", "--baseline", "file:baseline", "--json"]
    _finished(command, folder, allowed=(0, 1))  # makes the environment
    return _finished(command, folder, allowed=(0, 1))


def show(intervals: Finished, bootstrap: dict[str, float], agreement: dict[str, float], gate: Finished) -> str:
    """The figures as a small table."""
    seconds = json.loads(intervals.output)["seconds"]
    rows = [
        (f"6 intervals, {ROWS:,} rows", f"{seconds:.2f} s", f"after reading; peak memory {intervals.megabytes:.0f} MB"),
        (
            "scipy.stats.bootstrap, same rows",
            f"{sum(bootstrap.values()):,.0f} s",
            f"{RESAMPLES} resamples of each metric, in proportion to {TIMED_RESAMPLES}",
        ),
        ("ratio", f"{sum(bootstrap.values()) / seconds:,.0f}", "how many times faster"),
        ("modelship metric-gate, same rows", f"{gate.seconds:.2f} s", f"the whole command; peak memory {gate.megabytes:.0f} MB"),
    ]
    lines = [f"{name:<34}{value:>10}  {note}" for name, value, note in rows]
    lines.append(
        f"\nStandard errors beside those of {AGREEMENT_RESAMPLES:,} resamples of {AGREEMENT_ROWS:,} rows, "
        "as multiples of the latter's Monte Carlo error:"
    )
    lines += [f"  {name:<20}{apart:+.1f}" for name, apart in agreement.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
