"""Performance of one batch beside what the version promised: the same metrics, intervals and slices as the gate's, on other rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from modelship.core.config import Limit, LoadedConfig
from modelship.core.errors import BadInput, did_you_mean
from modelship.core.records import Baseline, Measured, MetricGateRecord, MetricVerdict, Promise, Slices, SliceVerdict, Status
from modelship.core.scratch import scratch_folder
from modelship.core.words import counted, general, slice_name
from modelship.gate.comparison import MOST_ROWS, POWER, student_quantile
from modelship.gate.judge import judge_paired, margin, worst_first
from modelship.gate.rows.intervals import Comparison, Estimate, compare_apart, estimate
from modelship.gate.rows.measures import Measure, UndefinedError, find_measure, look_alike, measure_names
from modelship.gate.rows.paired import Paired
from modelship.gate.rows.prediction_rows import Layout
from modelship.gate.rows.prediction_tables import PredictionsFile
from modelship.gate.rows.predictions import read_single
from modelship.gate.rows.slices import FEWEST, FEWEST_SUPPORT, MOST_SLICES, MOST_TOO_FEW, MOST_VERDICTS, Piece, partition
from modelship.monitoring.truth import Labelled

MOST_COLUMNS = 20
"""Columns that `auto` slices by."""


@dataclass(frozen=True)
class Losses:
    """What may get worse by how much, and what cannot be watched."""

    measures: Mapping[str, Measure]
    """By the name that the team gave the metric."""
    limits: Mapping[str, Limit]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Performance:
    """What a batch with labels shows."""

    record: MetricGateRecord
    promises: tuple[Promise, ...]
    measured: tuple[Measured, ...]


def losses(loaded: LoadedConfig) -> Losses:
    """The losses that the team allows, those of the gate where it says nothing else. Raises BadInput for metrics that nobody knows."""
    config = loaded.config
    if config.monitor.metrics is not None:
        limits = {name: Limit(max_regression=loss.max_loss) for name, loss in config.monitor.metrics.items()}
        for name in limits:
            if find_measure(name) is None:
                message = f"`monitor.metrics.{name}` is no metric that predictions and truth give."
                raise BadInput(loaded.problem(message, did_you_mean(name, measure_names()), at=f"monitor.metrics.{name}"))
        measures = {name: measure for name in limits if (measure := find_measure(name))}
        _require_one_task(loaded, measures, "monitor.metrics")
        return Losses(measures, limits)
    of_gate = config.gate.metrics or {}
    limits = {name: Limit(max_regression=one.max_regression) for name, one in of_gate.items() if one.max_regression is not None}
    known = {
        name: measure
        for name in limits
        if not of_gate[name].function
        and (measure := find_measure(name) or look_alike(name))
        and of_gate[name].better in (None, measure.better)
    }
    unknown = [name for name in limits if name not in known]
    if not known:
        message = "no metric says how much may be lost."
        raise BadInput(loaded.problem(message, "Write `monitor: {metrics: {roc_auc: {max-loss: 0.02}}}`.", at="monitor"))
    _require_one_task(loaded, known, "gate.metrics")
    told = (
        f"Not watched, because predictions and truth alone do not give {'it' if len(unknown) == 1 else 'them'}: {', '.join(unknown)}.",
    )
    return Losses(known, {name: limits[name] for name in known}, told if unknown else ())


def _require_one_task(loaded: LoadedConfig, measures: Mapping[str, Measure], key: str) -> None:
    if len({measure.task for measure in measures.values()}) > 1:
        message = f"`{key}` has metrics of classes and of numbers; predictions are one or the other."
        raise BadInput(loaded.problem(message, "Keep metrics of one kind.", at=key))


def slice_columns(loaded: LoadedConfig, holdout: PredictionsFile, logged: Sequence[str]) -> tuple[str, ...]:
    """The columns to slice and to group by that both the holdout's predictions and the log have."""
    layout = Layout.of(loaded)
    known = holdout.columns()
    if layout.slices == "all":
        plain = [name for name in layout.other_columns(known) if known[name] and name in logged][:MOST_COLUMNS]
    else:
        plain = [name for name in layout.slices if name in known and name in logged]
    grouped = [layout.group] if layout.group and layout.group in known and layout.group in logged else []
    return tuple(dict.fromkeys([*plain, *grouped]))


def performance(
    loaded: LoadedConfig, allowed: Losses, holdout: PredictionsFile, labelled: Labelled, source: str, baseline: Baseline
) -> Performance:
    """The batch's labelled answers beside the holdout's. `source` is what messages call them.

    Raises BadInput for predictions that are not what they should be.
    """
    layout, left_out = _layout(loaded, holdout, labelled)
    task = next(iter(allowed.measures.values())).task
    then = read_single(holdout, layout, task)
    now = read_single(_as_file(labelled, layout, loaded, source), layout, task)
    confidence = loaded.config.gate.confidence
    verdicts: list[MetricVerdict] = []
    promises: list[Promise] = []
    measured: list[Measured] = []
    notices = [*allowed.notices, *left_out]
    for name, measure in allowed.measures.items():
        before = _estimate(measure, then, f"{name} of the holdout", notices)
        if before is None:
            continue
        limit = allowed.limits[name]
        most = margin(limit, before.value) or 0.0
        promises.append(
            Promise(metric=name, value=before.value, standard_error=before.standard_error, better=measure.better, max_loss=most)
        )
        here = _estimate(measure, now, f"{name} of the batch", notices)
        if here is None:
            continue
        measured.append(Measured(metric=name, value=here.value, standard_error=here.standard_error, rows=here.rows))
        compared = compare_apart(measure, here, before)
        verdict = judge_paired(name, limit, measure.better, compared, confidence)
        verdicts.append(msgspec.structs.replace(verdict, rows_to_decide=_rows_to_decide(verdict, compared, before, confidence)))
    names = [verdict.metric for verdict in verdicts]
    slices = _slices(loaded, allowed, names, layout, now, then) if verdicts else None
    status, summary = _verdict(loaded, verdicts, slices, baseline)
    record = MetricGateRecord(
        model=loaded.config.model,
        status=status,
        summary=summary,
        notices=tuple(notices),
        baseline=baseline,
        metrics=tuple(worst_first(verdicts)),
        policy="`monitor.metrics`" if loaded.config.monitor.metrics is not None else "`gate.metrics`",
        paired=bool(verdicts),
        are_apart=True,
        rows=len(now),
        groups=None if now.groups is None else int(now.groups.max()) + 1,
        confidence=confidence if verdicts else None,
        slices=slices,
    )
    return Performance(record, tuple(promises), tuple(measured))


def promised(loaded: LoadedConfig, allowed: Losses, holdout: PredictionsFile) -> tuple[Promise, ...]:
    """What the version promised, for a batch that has no labels yet. Raises BadInput as `performance` does."""
    task = next(iter(allowed.measures.values())).task
    then = read_single(holdout, replace(Layout.of(loaded), slices=(), group=None), task)
    found = []
    for name, measure in allowed.measures.items():
        before = _estimate(measure, then, name, [])
        if before:
            most = margin(allowed.limits[name], before.value) or 0.0
            found.append(
                Promise(metric=name, value=before.value, standard_error=before.standard_error, better=measure.better, max_loss=most)
            )
    return tuple(found)


def _layout(loaded: LoadedConfig, holdout: PredictionsFile, labelled: Labelled) -> tuple[Layout, list[str]]:
    """The holdout's layout with the slices and groups that both tables have, and a notice of those that only one has."""
    layout = Layout.of(loaded)
    common = slice_columns(loaded, holdout, labelled.answers.column_names)
    asked = [] if layout.slices == "all" else list(layout.slices)
    asked += [layout.group] if layout.group else []
    lacking = [name for name in dict.fromkeys(asked) if name not in common]
    notices = [f"Not sliced or grouped by {', '.join(lacking)}: the log or the release's predictions lack it."] if lacking else []
    slices = tuple(name for name in common if layout.slices == "all" or name in layout.slices)
    return replace(layout, slices=slices, group=layout.group if layout.group in common else None), notices


def _as_file(labelled: Labelled, layout: Layout, loaded: LoadedConfig, source: str) -> PredictionsFile:
    """The labelled answers as a predictions file, under the holdout's names."""
    known = loaded.config.monitor.columns
    names = {known.prediction: layout.prediction, known.score: layout.score}
    columns: dict[str, Any] = {layout.truth: labelled.truth}
    wanted = {layout.key, layout.group, *layout.slices}
    for name in labelled.answers.column_names:
        said = names.get(name)
        if said is None and name.startswith(f"{known.score}_"):
            said = f"{layout.score}_{name.removeprefix(f'{known.score}_')}"
        if said is not None or name in wanted:
            columns[said or name] = labelled.answers.column(name)
    for name in [name for name, values in columns.items() if name != layout.truth and values.null_count == len(values)]:
        if name not in wanted:
            del columns[name]  # A log says of a model without scores that it has none.
    path = scratch_folder() / "labelled.parquet"
    pq.write_table(pa.table(columns), path)
    return PredictionsFile(path, source)


def _estimate(measure: Measure, paired: Paired, what: str, notices: list[str]) -> Estimate | None:
    answers = paired.candidate
    if (answers.score if measure.needs == "score" else answers.prediction) is None:
        notices.append(f"{what} is not known: there is no column of {measure.needs}s.")
        return None
    try:
        return estimate(measure, paired)
    except UndefinedError as error:
        notices.append(f"{what} is not defined: {error}.")
        return None


def _rows_to_decide(verdict: MetricVerdict, compared: Comparison, before: Estimate, confidence: float) -> int | None:
    """About how many labelled rows would tell, were the loss what it seems; the holdout's own error stays as it is."""
    if verdict.state != "inconclusive" or verdict.margin is None:
        return None
    needed = student_quantile(confidence, compared.freedom) + NormalDist().inv_cdf(POWER)
    fixed = before.standard_error**2
    left = ((compared.change + verdict.margin) / needed) ** 2 - fixed
    if left <= 0:
        return None
    rows = compared.rows * (compared.widened_error**2 - fixed) / left
    return int(np.ceil(rows)) if rows <= MOST_ROWS else None


def _slices(loaded: LoadedConfig, allowed: Losses, names: Sequence[str], layout: Layout, now: Paired, then: Paired) -> Slices | None:
    """Every metric in every slice that both tables have; intervals hold for all at once, as the gate's do."""
    gate = loaded.config.gate
    asked: Sequence[str | Sequence[str]] = (
        list(layout.slices)
        if gate.slices == "auto"
        else [entry for entry in gate.slices if set([entry] if isinstance(entry, str) else entry) <= set(layout.slices)]
    )
    if not asked:
        return None
    least = max(gate.slice_rows, FEWEST)
    family: list[tuple[Piece, int, str, Comparison]] = []
    too_few: list[str] = []
    pieces = [piece for columns in asked for piece in _common_pieces(now, then, columns)]
    pieces.sort(key=lambda pair: -len(pair[0].rows))
    for place, (here, there) in enumerate(pieces):
        reason = next((why for side, piece in ((now, here), (then, there)) if (why := _why_not(side, piece, least))), "")
        if reason or place >= MOST_SLICES:
            too_few.append(f"{here} ({reason or f'not among the {MOST_SLICES:,} largest slices'})")
            continue
        for name in names:
            measure = allowed.measures[name]
            try:
                found = estimate(measure, now.take(here.rows)), estimate(measure, then.take(there.rows))
            except UndefinedError as error:
                too_few.append(f"{here} ({name}: {error})")
                continue
            if min(one.support for one in found) < FEWEST_SUPPORT:
                too_few.append(f"{here} ({name}: rests on too few rows)")
            else:
                family.append((here, len(here.rows), name, compare_apart(measure, *found)))
    each = 1 - (1 - gate.confidence) / max(len(family), 1)
    verdicts = [
        SliceVerdict(
            slice=piece.slice,
            rows=rows,
            verdict=judge_paired(name, allowed.limits[name], allowed.measures[name].better, comparison, each),
        )
        for piece, rows, name, comparison in family
    ]
    order = {"fail": 0, "inconclusive": 1}
    verdicts.sort(key=lambda one: (order.get(one.verdict.state, 2), (one.verdict.change or 0) + (one.verdict.margin or 0)))
    return Slices(
        verdicts=tuple(verdicts[:MOST_VERDICTS]),
        comparisons=len(family),
        too_few=tuple(too_few[:MOST_TOO_FEW]),
        more_too_few=max(len(too_few) - MOST_TOO_FEW, 0),
        min_rows=least,
    )


def _common_pieces(now: Paired, then: Paired, columns: str | Sequence[str]) -> Iterator[tuple[Piece, Piece]]:
    """The slices of both tables, cut at the same values: those that the holdout has."""
    both = replace(then, columns={name: _stacked(then, now, name) for name in ([columns] if isinstance(columns, str) else columns)})
    before = len(then)
    for piece in partition(both, columns).pieces():
        split = int(np.searchsorted(piece.rows, before))
        yield Piece(piece.slice, piece.rows[split:] - before), Piece(piece.slice, piece.rows[:split])


def _stacked(then: Paired, now: Paired, name: str) -> Any:
    """A column of both tables under each other, in one type: text where they differ."""
    first, second = ((side.columns or {})[name] for side in (then, now))
    if first.type != second.type:
        try:
            second = second.cast(first.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            first, second = first.cast(pa.string()), second.cast(pa.string())
    return pa.concat_arrays([first, second])


def _why_not(side: Paired, piece: Piece, least: int) -> str:
    if len(piece.rows) < least:
        return counted(len(piece.rows), "row")
    if side.groups is not None:
        groups = len(np.unique(side.groups[piece.rows]))
        if groups < FEWEST:
            return f"{counted(len(piece.rows), 'row')} of {counted(groups, 'group')}"
    return ""


def _verdict(loaded: LoadedConfig, verdicts: Sequence[MetricVerdict], slices: Slices | None, baseline: Baseline) -> tuple[Status, str]:
    """The status of the record, and one sentence."""
    worse = [verdict for verdict in worst_first(verdicts) if verdict.state == "fail"]
    worse_slices = [one for one in slices.verdicts if one.verdict.state == "fail"] if slices else []
    unsure = [verdict for verdict in verdicts if verdict.state == "inconclusive"]
    if not verdicts:
        return "warn", "no metric could be computed"
    if worse:
        return "fail", _worse(worse[0])
    if worse_slices:
        status: Status = "fail" if loaded.config.gate.failing_slice == "block" else "warn"
        return status, f"{_worse(worse_slices[0].verdict)} for {slice_name(worse_slices[0].slice)}"
    if unsure:
        return "warn", f"cannot tell whether {', '.join(verdict.metric for verdict in unsure)} got worse than {baseline.label}"
    return "pass", f"{counted(len(verdicts), 'metric')} as {baseline.label}, within what may be lost"


def _worse(verdict: MetricVerdict) -> str:
    assert verdict.interval is not None
    assert verdict.baseline is not None
    assert verdict.candidate is not None
    sign = 1 if verdict.better == "higher" else -1
    low, high = sorted(verdict.baseline + sign * end for end in verdict.interval)
    return (
        f"{verdict.metric} {general(verdict.baseline, 4)} → {general(verdict.candidate, 4)} "
        f"[{general(low, 4)}, {general(high, 4)}], limit {general(verdict.margin or 0.0, 4)}"
    )
