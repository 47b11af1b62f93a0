"""How often the gate is wrong: on simulated rows, on retrained models of the flights data, and over slices.

`python benchmarks/calibration.py` takes some minutes and prints Markdown tables; docs/calibration.md explains them. `--part` does one
of the four parts, `--runs` says how many comparisons are simulated for each figure. The same seeds give the same figures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, TypeVar

os.environ["OMP_NUM_THREADS"] = "1"  # each process has one core

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmarks import flights, simulated, slices  # noqa: E402
from benchmarks.simulated import SHAPES, Tallies, Tally  # noqa: E402

SEED = 20130701
CHUNK = 250
"""Runs that share a random source; the figures do not depend on how many processes there are."""
T = TypeVar("T", Tally, flights.Verdicts)
K = TypeVar("K")

CATCHES = 1_000
MODELS = 46
"""Retrains of each kind; 46 of them make 1,035 pairs."""
PIECES = 12
SLICE_RUNS = 1_000


def main() -> int:
    """Simulate and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--part", choices=["simulated", "widths", "flights", "slices"], help="only this part (default: all)")
    parser.add_argument("--runs", type=int, default=20_000, help="simulated comparisons for each figure (default: 20000)")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Executor], str]] = {
        "simulated": lambda executor: on_simulated_rows(executor, arguments.runs),
        "widths": lambda executor: by_width(executor, arguments.runs),
        "flights": on_flights,
        "slices": over_slices,
    }
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as executor:
        for name, part in parts.items():
            if arguments.part in (None, name):
                print(part(executor), end="\n\n", flush=True)
    return 0


# Simulated rows.


def on_simulated_rows(executor: Executor, runs: int) -> str:
    """Every shape of rows, with equal models and with a worse candidate; then the power at twice the margin."""
    truths = list(executor.map(simulated.true_comparisons, SHAPES, [(SEED, 0, index) for index in range(len(SHAPES))]))
    equal = [_in_chunks(executor, runs, (1, index), simulated.equal_models, shape) for index, shape in enumerate(SHAPES)]
    worse = [
        _in_chunks(executor, runs, (2, index), simulated.worse_candidates, shape, {name: one.change for name, one in true.items()})
        for index, (shape, true) in enumerate(zip(SHAPES, truths, strict=True))
    ]
    blocks = []
    for family, members in itertools.groupby(range(len(SHAPES)), key=lambda index: SHAPES[index].family):
        chosen = list(members)
        rows = [
            [f"`{name}`", *(_simulated_cell(equal[index][name], worse[index][name]) for index in chosen)]
            for name in SHAPES[chosen[0]].measures
        ]
        blocks.append(f"### {family.capitalize()}\n\n{_markdown([family, *(SHAPES[index].name for index in chosen)], rows)}")
    blocks.append(f"### Each metric, over all rows that it was simulated on\n\n{_by_metric(equal, worse)}")
    blocks.append(f"### All of them\n\n{_extremes(equal, worse)}")
    blocks.append(f"### A drop of twice the margin\n\n{_power(executor, truths)}")
    return "\n\n".join(blocks)


def _simulated_cell(equal: Tally, worse: Tally) -> str:
    undefined = f" ({equal.undefined:,} undefined)" if equal.undefined else ""
    shares = (_percent(equal.failed, equal.runs), _percent(equal.covered, equal.runs), _percent(worse.covered, worse.runs))
    return " / ".join(shares) + undefined


def _by_metric(equal: Sequence[Tallies], worse: Sequence[Tallies]) -> str:
    rows = []
    for name in dict.fromkeys(itertools.chain.from_iterable(equal)):
        alike, apart = (reduce(add, (one[name] for one in found if name in one)) for found in (equal, worse))
        shares = (alike.failed / alike.runs, alike.covered / alike.runs, apart.covered / apart.runs)
        rows.append([f"`{name}`", f"{alike.runs:,}", *(f"{100 * share:.2f}" for share in shares)])
    head = ["metric", "comparisons", "wrong `fail` of equal models", "coverage, equal models", "coverage, worse candidate"]
    return _markdown(head, rows)


def _extremes(equal: Sequence[Tallies], worse: Sequence[Tallies]) -> str:
    def range_of(shares: list[float]) -> list[str]:
        return [f"{100 * value:.2f}" for value in (min(shares), float(np.mean(shares)), max(shares))]

    tallies = [tally for one in equal for tally in one.values()]
    rows = [
        ["wrong `fail` of equal models", *range_of([tally.failed / tally.runs for tally in tallies])],
        ["coverage, equal models", *range_of([tally.covered / tally.runs for tally in tallies])],
        ["coverage, worse candidate", *range_of([tally.covered / tally.runs for one in worse for tally in one.values()])],
    ]
    return _markdown([f"% of {tallies[0].runs:,} runs", "lowest", "mean", "highest"], rows)


def _power(executor: Executor, truths: Sequence[dict[str, Any]]) -> str:
    found, too_many = [], 0
    for index, (shape, true) in enumerate(zip(SHAPES, truths, strict=True)):
        for number, name in enumerate(shape.measures):
            margin = -true[name].change / 2
            rows = simulated.adequate_rows(true[name], margin)
            if rows is None or rows > flights.MOST_ROWS:
                too_many += 1
                continue
            tally = _in_chunks(executor, CATCHES, (3, index, number), simulated.drops_caught, shape, name, margin, rows)[name]
            found.append((tally.failed / tally.runs, f"{shape.family}, {shape.name}", name, true[name].change, rows))
    found.sort()
    caught = [100 * each[0] for each in found]
    table = [
        [f"`{name}`", shape, f"{change:+.4f}", f"{rows:,}", f"{100 * share:.1f}"] for share, shape, name, change, rows in found[:8]
    ]
    summary = (
        f"{len(found)} metrics and shapes, {CATCHES:,} runs each: {caught[0]:.1f} to {caught[-1]:.1f} % of the drops are caught, "
        f"{float(np.mean(caught)):.1f} % on average. Another {too_many} need over {flights.MOST_ROWS:,} rows. The lowest:"
    )
    return f"{summary}\n\n{_markdown(['metric', 'rows like', 'true change', 'rows', 'caught %'], table)}"


def by_width(executor: Executor, runs: int) -> str:
    """Equal models on the same rows as before, with intervals that are widened by other numbers of rows than the gate's."""
    found = [_in_chunks(executor, runs, (1, index), simulated.equal_models_by_width, shape) for index, shape in enumerate(SHAPES)]
    rows = []
    for width in simulated.WIDTHS:
        tallies = [tally for one in found for (_, each), tally in one.items() if each == width]
        failed, covered = ([100 * getattr(tally, name) / tally.runs for tally in tallies] for name in ("failed", "covered"))
        rows.append([f"{width:g}", *(f"{value:.2f}" for value in (max(failed), float(np.mean(failed)), min(covered), max(covered)))])
    head = ["rows added", "wrong `fail`, highest", "mean", "coverage, lowest", "highest"]
    return f"### Wider and narrower, {runs:,} runs\n\n{_markdown(head, rows)}"


# Flights.


def on_flights(executor: Executor) -> str:
    """Retrained models, and models without a column that matters, on holdouts drawn from months that none of them has seen."""
    data = flights.read_flights()
    retrains = [
        *(flights.Retrain(seed) for seed in range(MODELS)),
        *(flights.Retrain(1_000 + seed, resampled=True) for seed in range(MODELS)),
        *(flights.Retrain(2_000 + seed, without=("temp",)) for seed in range(MODELS // 2)),
    ]
    scores = np.stack(flights.scores(data, retrains, executor))
    late, month = data.late[data.unseen], data.month[data.unseen]
    pools = [
        flights.Pool("July to December", late, scores),
        flights.Pool("July", late[month == flights.JULY], scores[:, month == flights.JULY]),
    ]
    reseeded, resampled, planted = (range(*ends) for ends in itertools.pairwise([0, MODELS, 2 * MODELS, len(scores)]))
    blocks = []
    for number, pool in enumerate(pools):
        for kind, models in (("another seed", reseeded), ("another sample of rows", resampled)):
            pairs = list(itertools.combinations(range(MODELS), 2))
            alike = flights.Pool(pool.name, pool.late, pool.scores[models.start : models.stop])
            verdicts = _over_pairs(executor, pairs, (4, number, models.start), flights.innocents, alike)
            blocks.append(f"### Innocent: {kind}, {pool.name}, {len(pairs):,} pairs\n\n{_innocent_table(verdicts)}")
    for number, pool in enumerate(pools):
        pairs = list(itertools.product(planted, reseeded))
        floor = {name: float(values[: len(reseeded)].mean()) - flights.FIXED for name, values in pool.values().items()}
        verdicts = _over_pairs(executor, pairs, (5, number), flights.guilty, pool, floor, adequate=False)
        enough = _over_pairs(executor, pairs, (6, number), flights.guilty, pool, floor, adequate=True)
        blocks.append(f"### Guilty: trained without `temp`, {pool.name}, {len(pairs):,} pairs\n\n{_guilty_table(verdicts, enough)}")
    return "\n\n".join(blocks)


def _innocent_table(verdicts: dict[str, flights.Verdicts]) -> str:
    head = ["metric", "coverage", "gate fails", "gate fails, margin 0.005", "`d < 0`", "`d < -0.005`", "`min`"]
    rows = [
        [
            f"`{name}`",
            *(
                _percent(count, one.runs)
                for count in (one.covered, one.fails, one.fails_at_fixed, one.drops, one.drops_beyond_fixed, one.below_floor)
            ),
        ]
        for name, one in verdicts.items()
    ]
    return _markdown(head, rows)


def _guilty_table(verdicts: dict[str, flights.Verdicts], enough: dict[str, flights.Verdicts]) -> str:
    head = [
        *("metric", "mean true drop", "gate fails", "gate inconclusive", "gate passes", "`d < -margin` passes", "`min` passes"),
        "gate fails, adequate rows",
    ]
    rows = []
    for name, one in verdicts.items():
        if not one.runs:
            rows.append([f"`{name}`", "none is worse", *["–"] * (len(head) - 2)])
            continue
        passes = (one.runs - one.fails - one.inconclusive, one.runs - one.drops_beyond, one.runs - one.below_floor)
        cells = [_percent(count, one.runs) for count in (one.fails, one.inconclusive, *passes)]
        caught = f"{_percent(enough[name].fails, enough[name].runs)} ({enough[name].runs:,})" if enough[name].runs else "too many rows"
        rows.append([f"`{name}`", f"{one.drop / one.runs:.4f}", *cells, caught])
    return _markdown(head, rows)


def _over_pairs(
    executor: Executor,
    pairs: Sequence[tuple[int, int]],
    seed: tuple[int, ...],
    judge: Callable[..., dict[str, flights.Verdicts]],
    *arguments: Any,
    **options: Any,
) -> dict[str, flights.Verdicts]:
    """`judge(pool, pairs, ..., seed)` in pieces."""
    pool, *others = arguments
    futures = [executor.submit(judge, pool, pairs[piece::PIECES], *others, (SEED, *seed, piece), **options) for piece in range(PIECES)]
    return reduce(_merged, (future.result() for future in futures))


# Slices.


def over_slices(executor: Executor) -> str:
    """Runs with equal models over 50 slices, in scenarios of rows and gated metrics."""
    alarms = executor.map(slices.false_alarms, slices.SCENARIOS, itertools.repeat(SLICE_RUNS))
    rows = [
        [scenario.name, str(len(scenario.measures)), _percent(count, SLICE_RUNS)]
        for scenario, count in zip(slices.SCENARIOS, alarms, strict=True)
    ]
    return "### Slices\n\n" + _markdown(["50 slices of", "gated metrics", f"runs with a wrong `fail`, % of {SLICE_RUNS:,}"], rows)


# What the parts share.


def _in_chunks(
    executor: Executor, runs: int, seed: tuple[int, ...], simulate: Callable[..., dict[K, Tally]], *arguments: Any
) -> dict[K, Tally]:
    """`simulate(..., runs, seed)` in chunks with a random source each."""
    sizes = [min(CHUNK, runs - start) for start in range(0, runs, CHUNK)]
    futures = [executor.submit(simulate, *arguments, size, (SEED, *seed, chunk)) for chunk, size in enumerate(sizes)]
    return reduce(_merged, (future.result() for future in futures))


def _merged(one: dict[K, T], other: dict[K, T]) -> dict[K, T]:
    return {name: add(one[name], other[name]) for name in one}


def _percent(count: float, runs: int) -> str:
    return f"{100 * count / runs:.1f}" if runs else "–"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
