"""What predictions say of the gated metrics: values computed anew, intervals, slices, flips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from decimal import Decimal

import msgspec

from modelship.core.config import Limit, LoadedConfig
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.metrics import Metrics
from modelship.core.records import Flips, Slices
from modelship.core.words import counted, general
from modelship.gate.comparison import Comparison
from modelship.gate.rows.cohorts import judge_worst_cohort
from modelship.gate.rows.flips import find_flips
from modelship.gate.rows.intervals import compare
from modelship.gate.rows.measures import Measure, UndefinedError, find_measure, look_alike, measure_names
from modelship.gate.rows.paired import Paired, Task
from modelship.gate.rows.prediction_rows import require_column
from modelship.gate.rows.predictions import (
    Differences,
    Layout,
    PredictionsFile,
    common_rows,
    read_pair,
    read_single,
    row_differences,
)
from modelship.gate.rows.rescored import Rescored, find_rescored
from modelship.gate.rows.slices import Partition, judge_slices, partition

FEWEST_DECIMALS = 2
"""A reported number is held to as many decimals as it has, and to two at least."""

RELATIVE_ROUNDING = 1e-6
"""How far apart single and double precision come."""


class Sources(msgspec.Struct, frozen=True):
    """Which files to read."""

    candidate: PredictionsFile
    baseline: PredictionsFile | None
    is_scored: bool = False
    """Whether the candidate's file is what `evaluate` scored, for want of any that training recorded."""
    evaluated: tuple[PredictionsFile, PredictionsFile] | None = None
    """Candidate and baseline, as `evaluate` scored both on the current rows."""
    same_holdout: bool = False
    """Whether what the baseline once predicted is, as far as anybody can tell, of the rows that `evaluate` scored."""
    reported_by_baseline: Metrics | None = None
    """The baseline's metrics as its training reported them."""
    holdout_changed: bool = False
    """Whether this commit changes the rows that both are judged on: those that only one of them has are then left out."""
    is_behind: bool = False
    """Whether the base branch has changed them since this commit left it."""


class Recomputed(msgspec.Struct, frozen=True):
    """What the gate judges in place of reported numbers."""

    metrics: Metrics
    """The candidate's: reported ones, with the gated ones computed anew."""
    comparisons: Mapping[str, Comparison] = {}
    """By gated metric; none where the baseline has no predictions."""
    computable: tuple[str, ...] = ()
    """The names under which predictions give a metric."""
    problems: tuple[Problem, ...] = ()
    notices: tuple[str, ...] = ()
    rows: int | None = None
    """How many were paired."""
    groups: int | None = None
    differences: Differences | None = None
    """How the candidate's rows differ from the baseline's, where both are there."""
    rescored: Rescored | None = None
    """How the baseline's answers as `evaluate` scored them differ from what it once predicted, where they count."""
    slices: Slices | None = None
    flips: Flips | None = None


def recompute(loaded: LoadedConfig, limits: Mapping[str, Limit], reported: Metrics, sources: Sources) -> Recomputed:
    """Compute the gated metrics from predictions. Raises BadInput for predictions that are not what they should be.

    A metric under scikit-learn's name must agree with what training reported of it. One under a name of the team's own, as
    `holdout.roc_auc`, must too where it does for the baseline: that tells what the name means. Else it is taken for scikit-learn's
    where it agrees, and stays as reported where it does not, which a notice tells. The same holds of predictions that training
    recorded and of those that `evaluate` scored with the saved model.
    """
    layout = Layout.of(loaded)
    named = _named(limits)
    has_functions = any(limit.function for limit in limits.values())
    if not named:
        return Recomputed(reported, computable=measure_names(), rescored=_rescored(sources, layout, None) if has_functions else None)
    task = _task(named)
    _refuse_unknown_shown(layout, sources)
    pairing = _pair(sources, layout, task)
    own = pairing.rows if pairing.rows and pairing.is_whole else read_single(sources.candidate, layout, task)
    checked = _check(named, own, reported, _meant(named, pairing, sources.reported_by_baseline), is_scored=sources.is_scored)
    comparisons, undefined = _comparisons(checked.measures, pairing.rows)
    partitions = _partitions(loaded, pairing.rows) if pairing.rows else []
    paired = {name: checked.measures[name] for name in comparisons}
    return Recomputed(
        metrics=Metrics({**reported.values, **checked.values}, reported.invalid),
        comparisons=comparisons,
        computable=measure_names(task),
        problems=(*_lacking_columns(named, own, pairing.rows, reported, layout), *checked.problems, *undefined),
        notices=(*_scored_notice(sources, checked), *pairing.notices, *_without_columns(named, own), *checked.notices),
        rows=len(pairing.rows) if pairing.rows else None,
        groups=_groups(pairing.rows),
        differences=pairing.differences,
        rescored=_rescored(sources, layout, task) if pairing.is_scored or has_functions else None,
        slices=_slices(loaded, pairing.rows, partitions, paired, limits) if pairing.rows and paired else None,
        flips=_flips(loaded, pairing.rows, partitions) if pairing.rows else None,
    )


def _named(limits: Mapping[str, Limit]) -> dict[str, Measure]:
    """The metrics in `limits` that predictions may give.

    Those under scikit-learn's names say of what kind predictions are. A name that only looks like a metric of the other kind, as
    `calibration.mae` beside `accuracy`, is none; nor is one of which the team says that it is better the other way.
    """
    named = {
        name: measure
        for name, limit in limits.items()
        if not limit.function and (measure := find_measure(name) or look_alike(name)) and limit.better in (None, measure.better)
    }
    kinds = {measure.task for name, measure in named.items() if find_measure(name)}
    return {name: measure for name, measure in named.items() if not kinds or measure.task in kinds}


def _task(measures: Mapping[str, Measure]) -> Task:
    tasks: dict[Task, str] = {}
    for name, measure in measures.items():
        tasks.setdefault(measure.task, name)
    if len(tasks) > 1:
        message = f"`{tasks['classification']}` is for classes and `{tasks['regression']}` for numbers."
        raise bad_input(message, "Predictions are one or the other: gate metrics of one kind.")
    return next(iter(tasks))


def _refuse_unknown_shown(layout: Layout, sources: Sources) -> None:
    """Raise BadInput where `gate.show` names a column that no file has: what it should show would stay hidden, unnoticed."""
    files = (sources.candidate, *filter(None, (sources.baseline, *(sources.evaluated or ()))))
    known = [column for file in files for column in file.columns()] if layout.shown else []
    for name in layout.shown:
        require_column(name, "gate.show", known, sources.candidate)


# Pairing.


class _Pairing(msgspec.Struct, frozen=True):
    rows: Paired | None
    is_whole: bool = True
    """Whether these are all rows of the candidate's file."""
    is_scored: bool = False
    """Whether the baseline's answers are what `evaluate` scored."""
    differences: Differences | None = None
    notices: tuple[str, ...] = ()


def _pair(sources: Sources, layout: Layout, task: Task) -> _Pairing:
    """The rows to compare.

    Where `evaluate` has scored both models, what it scored stands for predictions that either of them lacks. Else those of the
    baseline are compared where they are of the candidate's rows, else what `evaluate` scored, else common rows.
    """
    if sources.evaluated and (sources.is_scored or sources.baseline is None):
        # With what the baseline once predicted a reader learns which rows a changed holdout adds and drops.
        told = (
            row_differences(sources.candidate, sources.baseline, layout, task)
            if sources.baseline and sources.holdout_changed
            else None
        )
        pair = read_pair(*sources.evaluated, layout, task)
        return _Pairing(pair, is_whole=sources.is_scored, is_scored=True, differences=told)
    if sources.baseline is None:
        return _Pairing(None)
    if not (sources.holdout_changed or sources.is_behind or sources.evaluated):
        return _Pairing(read_pair(sources.candidate, sources.baseline, layout, task))
    common, differences = common_rows(sources.candidate, sources.baseline, layout, task)
    if not differences:
        return _Pairing(common)
    if sources.evaluated:
        notice = f"The baseline was scored anew: its recorded predictions are of other rows ({_described(differences)})."
        if not sources.holdout_changed:
            # The holdout has moved on without this commit: all that training may not do is to leave rows of it out, or make some up.
            differences = row_differences(sources.candidate, sources.evaluated[0], layout, task)
        pair = read_pair(*sources.evaluated, layout, task)
        return _Pairing(pair, is_whole=False, is_scored=True, differences=differences, notices=(notice,))
    if not sources.holdout_changed:
        raise bad_input(
            f"is of another holdout than {sources.baseline.name} ({_described(differences)}): the base branch has changed it since.",
            "Merge the base branch into this one.",
            path=sources.candidate.name,
        )
    if common is None:
        raise bad_input(
            f"has no two rows in common with {sources.baseline.name} ({_described(differences)}).",
            "Score both models on the same rows with `modelship evaluate`.",
            path=sources.candidate.name,
        )
    notice = f"Compared on the {len(common):,} rows that both models predicted with the same label ({_described(differences)})."
    return _Pairing(common, is_whole=False, differences=differences, notices=(notice,))


def _scored_notice(sources: Sources, checked: _Checked) -> Iterator[str]:
    if sources.is_scored and checked.values:
        who = "Both models are" if sources.evaluated else "The candidate is"
        yield f"{who} judged by what `evaluate` scored: training recorded no predictions."


def _rescored(sources: Sources, layout: Layout, task: Task | None) -> Rescored | None:
    if sources.evaluated is None or sources.baseline is None or not sources.same_holdout:
        return None
    return find_rescored(sources.evaluated[1], sources.baseline, layout, task)


def _described(differences: Differences) -> str:
    parts = (
        f"{counted(differences.only_candidate, 'row')} new" if differences.only_candidate else "",
        f"{counted(differences.only_baseline, 'row')} gone" if differences.only_baseline else "",
        f"{counted(differences.other_truth, 'label')} changed" if differences.other_truth else "",
    )
    return ", ".join(filter(None, parts))


def _groups(rows: Paired | None) -> int | None:
    return int(rows.groups.max()) + 1 if rows and rows.groups is not None else None


# Values.


class _Checked(msgspec.Struct, frozen=True):
    values: dict[str, float]
    """The candidate's, computed, by gated metric."""
    measures: dict[str, Measure]
    """Of these."""
    problems: tuple[Problem, ...]
    notices: tuple[str, ...]


def _meant(named: Mapping[str, Measure], pairing: _Pairing, reported: Metrics | None) -> frozenset[str]:
    """The names that are known to mean their measure: scikit-learn's, and those under which the baseline reported its value."""
    meant = {name for name in named if find_measure(name)}
    if pairing.rows is None or not pairing.is_whole or reported is None:
        return frozenset(meant)
    for name, measure in named.items():
        if name in reported.values and _has_columns(measure, pairing.rows):
            with suppress(UndefinedError):
                if agrees(reported.values[name], measure.value(pairing.rows.models[1])):
                    meant.add(name)
    return frozenset(meant)


def _check(named: Mapping[str, Measure], own: Paired, reported: Metrics, meant: Set[str], *, is_scored: bool) -> _Checked:
    """Compute what can be computed, and hold it against what training reported."""
    values: dict[str, float] = {}
    problems: list[Problem] = []
    notices: list[str] = []
    for name, measure in named.items():
        # A reported number that is none is a problem of its own, which no computed one may hide.
        if not _has_columns(measure, own) or name in reported.invalid:
            continue
        try:
            value = measure.value(own.models[0])
        except UndefinedError as error:
            if name in meant:
                problems.append(_undefined(name, "the candidate's predictions", error))
            continue
        said = reported.values.get(name)
        if said is not None and not agrees(said, value):
            if name in meant:
                problems.append(_disagreement(name, said, value, is_scored=is_scored))
            else:
                notices.append(_taken_as_reported(name, measure, value))
            continue
        if said is not None or find_measure(name):
            values[name] = value
    return _Checked(values, {name: named[name] for name in values}, tuple(problems), tuple(notices))


def agrees(reported: float, computed: float) -> bool:
    """Whether a reported number is the computed one, rounded to as many decimals as it has."""
    decimals = max(-int(Decimal(repr(reported)).normalize().as_tuple().exponent), 0)
    if abs(reported) < 100:
        decimals = max(decimals, FEWEST_DECIMALS)
    return abs(reported - computed) <= 0.5 * 10.0**-decimals * (1 + 1e-9) + RELATIVE_ROUNDING * abs(computed)


def _comparisons(measures: Mapping[str, Measure], rows: Paired | None) -> tuple[dict[str, Comparison], list[Problem]]:
    comparisons: dict[str, Comparison] = {}
    problems: list[Problem] = []
    for name, measure in measures.items():
        if rows is None or not _has_columns(measure, rows):
            continue
        try:
            comparisons[name] = compare(measure, rows)
        except UndefinedError as error:
            problems.append(_undefined(name, "the predictions of both models", error))
    return comparisons, problems


def _has_columns(measure: Measure, rows: Paired) -> bool:
    answers = (rows.candidate, rows.baseline)
    return all(getattr(model, measure.needs) is not None for model in answers)


def _lacking_columns(
    named: Mapping[str, Measure], own: Paired, rows: Paired | None, reported: Metrics, layout: Layout
) -> Iterator[Problem]:
    """Columns without which a metric has no value, or which the baseline has: a way around the judge, whether meant or not."""
    columns = {"prediction": layout.prediction, "score": layout.score}
    for name, measure in named.items():
        needs = f"`{name}` needs the column `{columns[measure.needs]}`, which the candidate's predictions lack"
        if getattr((rows or own).candidate, measure.needs) is not None:
            continue
        if rows and getattr(rows.baseline, measure.needs) is not None:
            yield Problem(f"{needs} and the baseline's have.", "Write it as before.")
        elif name not in reported.values and name not in reported.invalid and find_measure(name):
            yield Problem(f"{needs}.", "Write it, or report the metric.")


def _without_columns(named: Mapping[str, Measure], own: Paired) -> list[str]:
    lacking = [name for name, measure in named.items() if not _has_columns(measure, own)]
    if not lacking:
        return []
    names = ", ".join(f"`{name}`" for name in lacking)
    column = named[lacking[0]].needs
    return [f"No interval for {names}: the predictions have no column `{column}`."]


def _undefined(name: str, where: str, error: UndefinedError) -> Problem:
    return Problem(f"`{name}` has no value on {where}: {error}.", "Gate a metric that is defined on these rows, or change the rows.")


def _taken_as_reported(name: str, measure: Measure, computed: float) -> str:
    return f"`{name}` is judged as training reported it: the {measure.name} of the predictions is another number, {general(computed)}."


def _disagreement(name: str, reported: float, computed: float, *, is_scored: bool) -> Problem:
    by = "what `evaluate` scored with the saved model" if is_scored else "its predictions"
    rows = "on `data.current` with the model that is saved" if is_scored else "from the rows that are predicted"
    message = f"`{name}` is {general(reported, 8)} as training reported it, and {general(computed, 8)} by {by}."
    return Problem(message, f"Compute it {rows}, or leave it out of the metrics file.")


# Slices and flips.


def _partitions(loaded: LoadedConfig, rows: Paired) -> list[Partition]:
    """The slices that the team named; where it asks to look for them, those of every column that has some."""
    slices = loaded.config.gate.slices
    if slices != "auto":
        return [partition(rows, columns) for columns in slices]
    found = []
    for column in rows.columns or {}:
        with suppress(BadInput):
            found.append(partition(rows, column))
    return found


def _slices(
    loaded: LoadedConfig,
    rows: Paired,
    partitions: Sequence[Partition],
    measures: Mapping[str, Measure],
    limits: Mapping[str, Limit],
) -> Slices | None:
    gate = loaded.config.gate
    if not gate.slices:
        return None
    if gate.slices == "auto":
        return judge_worst_cohort(rows, measures, limits, confidence=gate.confidence, min_rows=gate.slice_rows, show=gate.show)
    return judge_slices(rows, partitions, measures, limits, confidence=gate.confidence, min_rows=gate.slice_rows)


def _flips(loaded: LoadedConfig, rows: Paired, partitions: Sequence[Partition]) -> Flips | None:
    gate = loaded.config.gate
    # Who names a column to slice by wants to read its values.
    named = [] if gate.slices == "auto" else [column for part in partitions for column in part.columns]
    return find_flips(rows, partitions, confidence=gate.confidence, values=tuple(dict.fromkeys(named)), show={*gate.show, *named})
