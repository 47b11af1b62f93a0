"""Would retraining have helped? Walks through a labelled history, trains at each moment that asks for it, and compares."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelship.core import workflow
from modelship.core.config import LoadedConfig, seconds_of
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.git import Git
from modelship.core.records import (
    BacktestBatch,
    BacktestRecord,
    BacktestStep,
    BacktestValue,
    BacktestWay,
    Batch,
    DriftReportRecord,
    Measured,
)
from modelship.core.run_directory import digest_folder
from modelship.core.scratch import scratch_folder
from modelship.core.words import counted, with_minus
from modelship.data.tables.opening import open_table
from modelship.gate.comparison import Comparison, satterthwaite, student_quantile
from modelship.gate.rows.intervals import compare, estimate
from modelship.gate.rows.measures import UndefinedError
from modelship.gate.rows.paired import Paired
from modelship.gate.rows.prediction_rows import Layout
from modelship.gate.rows.prediction_tables import PredictionsFile
from modelship.gate.rows.predictions import read_pair, read_single
from modelship.monitoring import questions
from modelship.monitoring.past import Columns, Past, as_text, cut, suffix_for
from modelship.monitoring.performance import Losses, losses, promised
from modelship.monitoring.rehearsal import Kept, Rehearsal, Trained
from modelship.monitoring.retrain import rules
from modelship.monitoring.walk import Failed, Timeline, Version, Walked, Way, walk
from modelship.monitoring.windows import Window, parse_time, written

FEWEST_ROWS = 2
"""With fewer a batch is not looked at."""


@dataclass(frozen=True)
class Asked:
    """What somebody wants to know."""

    since: str | None
    until: str | None
    cache: Path


def backtest(
    loaded: LoadedConfig, git: Git, asked: Asked, config: Path, overrides: Mapping[str, Any], environ: Mapping[str, str], now: datetime
) -> BacktestRecord:
    """Walk through the past. Raises BadInput for what cannot be read or understood, and where not even the first training succeeds.

    Training that fails later leaves the version before, as in production; the record says where, and has no verdict.
    """
    settings = loaded.config
    head = _head(loaded, git)
    allowed = losses(loaded)
    suffix = _suffix(loaded)
    rehearsal = Rehearsal(loaded, git, head, environ, Kept(asked.cache / loaded.config.model))
    past = _past(loaded, asked, now)
    delay = timedelta(seconds=seconds_of(settings.monitor.label_delay)) if settings.monitor.label_delay else timedelta()
    timeline = Timeline(past.windows, delay, settings.backtest.holdout)
    first = _first(timeline, asked.since, str(settings.backtest.history))
    world = _World(loaded, allowed, past, timeline, rehearsal, suffix, config, overrides)
    workflow.say(
        f"{counted(sum(past.rows), 'row')} in {counted(len(past.windows), 'batch', 'batches')}; the first version is trained at "
        f"{written(timeline.at(first))}, for the {counted(len(past.windows) - first, 'batch', 'batches')} after"
    )
    began = world.train(first)
    if isinstance(began, Failed):
        raise BadInput(world.failures[first])
    ways: tuple[Way, ...] = ("once", "rules", "every-batch") if settings.backtest.every_batch else ("once", "rules")
    walked = [walk(way, timeline, began, rules(settings.retrain), world) for way in ways]
    told = [_told(world, one, walked[0], timeline) for one in walked]
    return _concluded(loaded, world, past, rehearsal, git, told, list(allowed.measures))


def _head(loaded: LoadedConfig, git: Git) -> str:
    head = git.head()
    if head is None:
        raise bad_input(
            "there is no commit to train from.", "A backtest trains what is committed: commit first.", path=loaded.document.name
        )
    return head


def _suffix(loaded: LoadedConfig) -> str:
    """What tables for the team are written as. Raises BadInput for what is not written."""
    found = []
    for key, path in (("data.reference", loaded.config.data.reference_path), ("data.current", loaded.config.data.current_path)):
        suffix = suffix_for(path)
        if suffix is None:
            message = f"`{key}` is `{path}`: a backtest writes that table anew, as Parquet or CSV."
            raise BadInput(loaded.problem(message, "Let training read one of these.", at=key))
        found.append(suffix)
    return found[-1]


def _past(loaded: LoadedConfig, asked: Asked, now: datetime) -> Past:
    settings = loaded.config
    source = loaded.require("backtest.history", "Name the table with the rows whose truth is known.")
    columns = Columns(
        key=loaded.require("data.key", "Name the column that names a row."),
        target=loaded.require("data.target", "Name the column of the truth."),
        time=settings.backtest.time or settings.monitor.columns.time,
        known_at=settings.monitor.columns.known_at,
    )
    table = open_table(source, loaded.directory)
    delay = timedelta(seconds=seconds_of(settings.monitor.label_delay)) if settings.monitor.label_delay else timedelta()
    until = parse_time("--until", asked.until) if asked.until else None
    with workflow.group(f"history: {table.name}"):
        return cut(table, columns, settings.monitor.batch, delay, now, scratch_folder(), until)


def _first(timeline: Timeline, since: str | None, name: str) -> int:
    """The moment of the first training: that of `--since`, else the half of the history. Raises BadInput where nothing is known."""
    earliest, batches = timeline.earliest, len(timeline.windows)
    if earliest is None:
        needed = timeline.holdout + 2
        late = f", and truth takes {timeline.delay.days} days" if timeline.delay else ""
        raise bad_input(
            f"has {counted(batches, 'batch', 'batches')}{late}: at least {needed} with truth are needed, one to learn from, "
            f"{timeline.holdout} to hold out, one to answer.",
            "Make `monitor.batch` shorter, or wait for more rows.",
            path=name,
        )
    if since is None:
        return max(earliest, batches // 2)
    wanted = parse_time("--since", since)
    moment = next((moment for moment in range(batches) if timeline.at(moment) >= wanted), None)
    if moment is None:
        raise bad_input(f"`--since` ({written(wanted)}) is after the last batch ({timeline.windows[-1]}).")
    if moment < earliest:
        raise bad_input(
            f"`--since` ({written(wanted)}) is too early: there is something to train on from {written(timeline.at(earliest))}."
        )
    return moment


# The world ------------------------------------------------------------------------------------------------------------------------


class _World:
    """Trains and looks for the walk. Whatever was found once is not looked for again."""

    def __init__(
        self,
        loaded: LoadedConfig,
        allowed: Losses,
        past: Past,
        timeline: Timeline,
        rehearsal: Rehearsal,
        suffix: str,
        config: Path,
        overrides: Mapping[str, Any],
    ) -> None:
        self.loaded, self.allowed, self.past, self.timeline = loaded, allowed, past, timeline
        self._rehearsal, self._suffix, self._config, self._overrides = rehearsal, suffix, config, overrides
        self._layout = replace(Layout.of(loaded), slices=())
        self._task = next(iter(allowed.measures.values())).task
        self._folder = scratch_folder()
        self._models: dict[int, Trained] = {}
        self._versions: dict[int, Version] = {}
        self._held: dict[int, PredictionsFile] = {}
        self._answers: dict[tuple[int, int], PredictionsFile | None] = {}
        self._measured: dict[tuple[int, int, int], tuple[Measured, ...]] = {}
        self._drifts: dict[tuple[int, int], DriftReportRecord | None] = {}
        self.failures: dict[int, Problem] = {}
        self.notices: dict[str, None] = {}

    def train(self, moment: int) -> Version | Failed:
        """What training gives at a moment, with what is held out told on."""
        if moment in self._versions:
            return self._versions[moment]
        if moment in self.failures:
            return Failed(str(self.failures[moment]))
        at = self.timeline.at(moment)
        training_rows = 0
        held = self._folder / f"held-{moment}{self._suffix}"

        def write(reference: Path, current: Path) -> None:
            nonlocal training_rows
            training_rows = self.past.write(reference, self.timeline.learnt(moment), at)
            self.past.write(current, self.timeline.held_out(moment), at)
            for role, path in (("train on", reference), ("hold out", current)):
                if not path.exists():
                    raise bad_input(f"at {written(at)} there is no row with known truth to {role}.", "Begin later: `--since`.")
            self.past.write(held, self.timeline.held_out(moment), at)

        try:
            found = self._rehearsal.train(f"train, {written(at)}", write)
            if isinstance(found, Problem):
                raise BadInput(found)
            who = f"the version of {written(at)}, on what was held out"
            with workflow.group(f"score: {who}"):
                predictions = self._rehearsal.score(found, held, who)
            promises = promised(self.loaded, self.allowed, predictions)
        except BadInput as error:
            problem = error.problems[0]
            self.failures[moment] = _told_of(problem, f"at {written(at)}: {problem.message}")
            return Failed(str(problem)[:1000])
        finally:
            held.unlink(missing_ok=True)
        self._models[moment], self._held[moment] = found, predictions
        self._versions[moment] = Version(moment, training_rows, promises)
        return self._versions[moment]

    def look(self, version: Version, batch: int, moment: int) -> Batch:
        """What `monitor` would have seen of a batch."""
        window, now = self.timeline.windows[batch], self.timeline.at(moment)
        labelled, keys = self.past.known(batch, now)
        is_complete = batch < self.timeline.complete(moment) and labelled > 0
        drift = self._drift(version, batch)
        return Batch(
            start=window.start,
            end=window.end,
            version=version.moment,
            rows=self.past.rows[batch],
            labelled=labelled,
            is_complete=is_complete,
            measured=self._measures(version, batch, keys, labelled) if is_complete else (),
            drift=drift.drift if drift else None,
            drifted=tuple(column.column for column in drift.columns if column.drifted)[:200] if drift else (),
        )

    def answers(self, version: Version, batch: int) -> PredictionsFile | None:
        """What a version says of a batch; None where that has too few rows."""
        if (version.moment, batch) not in self._answers:
            self._answers[version.moment, batch] = self._score(version, batch) if self.past.rows[batch] >= FEWEST_ROWS else None
        return self._answers[version.moment, batch]

    def read(self, version: Version, batch: int) -> Paired | None:
        """The answers of a version to a batch, beside the truth."""
        answers = self.answers(version, batch)
        return read_single(answers, self._layout, self._task) if answers else None

    def compared(self, version: Version, before: Version, batch: int) -> dict[str, Comparison]:
        """By metric two versions on one batch, where it is defined; the second is the baseline."""
        ours, theirs = self.answers(version, batch), self.answers(before, batch)
        if ours is None or theirs is None:
            return {}
        return compared(read_pair(ours, theirs, self._layout, self._task), self.allowed)

    def _score(self, version: Version, batch: int) -> PredictionsFile:
        window = self.timeline.windows[batch]
        name = f"the version of {written(self.timeline.at(version.moment))}, on the batch of {window}"
        table = self._folder / f"batch-{batch}{self._suffix}"
        self.past.write(table, [batch])
        try:
            with workflow.group(f"score: {name}"):
                return self._rehearsal.score(self._models[version.moment], table, name)
        finally:
            table.unlink(missing_ok=True)

    def _measures(self, version: Version, batch: int, keys: Any, labelled: int) -> tuple[Measured, ...]:
        """The metrics of the rows whose truth was known."""
        place = version.moment, batch, labelled
        if place not in self._measured:
            paired = self.read(version, batch)
            if paired is not None and keys is not None:
                paired = paired.take(pc.is_in(as_text(paired.keys), value_set=keys).to_numpy(zero_copy_only=False))
            found = []
            for name, measure in self.allowed.measures.items():
                if paired is None or len(paired) < FEWEST_ROWS:
                    break
                try:
                    one = estimate(measure, paired)
                except UndefinedError as error:
                    self.notices[f"{name} is not defined in the batch of {self.timeline.windows[batch]}: {error}."] = None
                    continue
                found.append(Measured(metric=name, value=one.value, standard_error=one.standard_error, rows=one.rows))
            self._measured[place] = tuple(found)
        return self._measured[place]

    def _drift(self, version: Version, batch: int) -> DriftReportRecord | None:
        """Whether a batch has drifted from what a version learnt; None where nobody asks, or it cannot be told."""
        if not self.loaded.config.retrain.drift or self.past.rows[batch] < FEWEST_ROWS:
            return None
        place = version.moment, batch
        if place not in self._drifts:
            try:
                self._drifts[place] = self._shift(version, batch)
            except BadInput as error:
                self.notices[
                    f"Drift in the batch of {self.timeline.windows[batch]} could not be told: {error.problems[0].message}"
                ] = None
                self._drifts[place] = None
        return self._drifts[place]

    def _shift(self, version: Version, batch: int) -> DriftReportRecord:
        answers = self.answers(version, batch)
        assert answers is not None
        folder = scratch_folder()
        reference, rows = folder / "reference.parquet", folder / "rows.parquet"
        self.past.write(reference, self.timeline.learnt(version.moment), self.timeline.at(version.moment))
        self.past.write(rows, [batch])
        _with_answers(rows, answers, self.loaded)
        ignored = msgspec.to_builtins(self.loaded.config.drift.columns) | {self.past.columns.time: "ignore"}
        overrides = {name: value for name, value in self._overrides.items() if value is not None}
        question = questions.Shift(
            config=str(self._config),
            name=self._config.as_posix(),
            overrides=overrides | {"data.reference": str(reference), "drift.columns": ignored},
            rows=str(rows),
            log=f"the batch of {self.timeline.windows[batch]}",
            of=self.past.rows[batch],
            holdout=str(self._held[version.moment].path),
            page=str(folder / "page.html"),
        )
        came_from = {
            "drift": self.loaded.config.drift,
            "columns": self.loaded.config.monitor.columns,
            "tables": [digest_folder(path) for path in (reference, rows, self._held[version.moment].path)],
        }
        kept = self._rehearsal.kept.find("drift", came_from)
        if kept is None:
            with workflow.group(f"drift: {question.log}"):
                found: DriftReportRecord = questions.ask(question)
                workflow.say(found.summary)
            path = folder / "drift.json"
            path.write_bytes(msgspec.json.encode(found))
            kept = self._rehearsal.kept.keep("drift", came_from, path)
        for path in (reference, rows):
            path.unlink()
        return msgspec.json.decode(kept.read_bytes(), type=DriftReportRecord)


def _told_of(problem: Problem, message: str) -> Problem:
    """A problem that says something else."""
    return Problem(message, problem.remedy, problem.path, problem.line)


def _with_answers(rows: Path, answers: PredictionsFile, loaded: LoadedConfig) -> None:
    """The rows of a batch as a prediction log holds them: with answers, and without truth."""
    columns, logged = loaded.config.train.columns, loaded.config.monitor.columns
    layout = Layout.of(loaded)
    table = pq.read_table(rows).drop_columns([str(loaded.config.data.target)])
    known = answers.columns()
    names = {layout.prediction: logged.prediction, layout.score: logged.score}
    wanted = [name for name in known if name in (layout.prediction, layout.score) or name.startswith(f"{columns.score}_")]
    found = answers.read([layout.key, *wanted], layout.key)
    place = pc.index_in(as_text(table.column(layout.key).combine_chunks()), value_set=as_text(found[layout.key]))
    for name in wanted:
        said = names.get(name) or f"{logged.score}_{name.removeprefix(f'{columns.score}_')}"
        if said not in table.column_names:
            table = table.append_column(said, found[name].take(place))
    pq.write_table(table, rows)


# What came of it ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answered:
    """A batch as one way of training answered it."""

    window: Window
    rows: int
    trained_at: datetime
    """When the version was trained that answered."""
    answers: Paired | None
    """Beside the truth; None where the batch has too few rows."""
    compared: Mapping[str, Comparison]
    """By metric with the version of the start, on the same rows."""


def told_way(way: Way, answered: Sequence[Answered], steps: Sequence[BacktestStep], allowed: Losses, confidence: float) -> BacktestWay:
    """One way as the record tells it: each batch, and what was gained over all of them."""
    batches = tuple(
        BacktestBatch(
            start=one.window.start,
            end=one.window.end,
            rows=one.rows,
            trained_at=one.trained_at,
            measured=_values(one.answers, allowed, confidence),
            gained=tuple(_value(name, found.change, found.interval(confidence)) for name, found in one.compared.items()),
        )
        for one in answered
    )
    differences = {name: [one.compared[name] for one in answered if name in one.compared] for name in allowed.measures}
    gained = tuple(_pooled(name, found, confidence) for name, found in differences.items() if found)
    return BacktestWay(way=way, steps=tuple(steps), batches=batches, gained=gained)


def compared(paired: Paired, allowed: Losses) -> dict[str, Comparison]:
    """By metric two versions on the same rows, where it is defined."""
    found = {}
    for name, measure in allowed.measures.items():
        with contextlib.suppress(UndefinedError):
            found[name] = compare(measure, paired)
    return found


def _told(world: _World, walked: Walked, once: Walked, timeline: Timeline) -> BacktestWay:
    """One way of the walk."""
    answered = [
        Answered(
            window=timeline.windows[number],
            rows=world.past.rows[number],
            trained_at=timeline.at(version.moment),
            answers=world.read(version, number),
            compared=world.compared(version, before, number) if walked is not once else {},
        )
        for number, (version, before) in enumerate(zip(walked.versions, once.versions, strict=True), start=once.versions[0].moment)
    ]
    steps = [
        BacktestStep(at=timeline.at(step.moment), retrain=step.retrain, told=step.told[:3000], failed=step.failed)
        for step in walked.steps
        if walked.way != "once"
    ]
    return told_way(walked.way, answered, steps, world.allowed, world.loaded.config.gate.confidence)


def _values(paired: Paired | None, allowed: Losses, confidence: float) -> tuple[BacktestValue, ...]:
    found = []
    half = NormalDist().inv_cdf((1 + confidence) / 2)
    for name, measure in allowed.measures.items():
        if paired is None:
            break
        try:
            one = estimate(measure, paired)
        except UndefinedError:
            continue
        found.append(_value(name, one.value, (one.value - half * one.standard_error, one.value + half * one.standard_error)))
    return tuple(found)


def _pooled(metric: str, found: Sequence[Comparison], confidence: float) -> BacktestValue:
    """The mean change, each batch weighing as many rows as it has. Batches are independent, so that squares of errors add up."""
    rows = sum(one.rows for one in found)
    change = math.fsum(one.rows * one.change for one in found) / rows
    errors = [one.rows * one.widened_error / rows for one in found]
    freedom = satterthwaite((error, one.freedom) for error, one in zip(errors, found, strict=True))
    half = student_quantile(confidence, freedom) * math.hypot(*errors)
    return _value(metric, change, (change - half, change + half))


def _value(metric: str, value: float, interval: tuple[float, float]) -> BacktestValue:
    return BacktestValue(metric=metric, value=value, low=interval[0], high=interval[1])


def _concluded(
    loaded: LoadedConfig,
    world: _World,
    past: Past,
    rehearsal: Rehearsal,
    git: Git,
    ways: Sequence[BacktestWay],
    metrics: Sequence[str],
) -> BacktestRecord:
    notices = [*world.allowed.notices, *past.notices, *list(world.notices)[:20]]
    if git.is_dirty():
        notices.append("Tracked files differ from the commit: what was trained is the commit.")
    problems = tuple(problem for _, problem in sorted(world.failures.items()))[:20]
    rules_ = next(way for way in ways if way.way == "rules")
    summary = concluded(rules_, metrics[0])
    return BacktestRecord(
        model=loaded.config.model,
        status="error" if problems else "pass",
        summary=f"{summary} ({counted(len(problems), 'training')} failed)" if problems else summary,
        problems=problems,
        notices=tuple(notices),
        batch=loaded.config.monitor.batch,
        command=rehearsal.command[:4000],
        confidence=loaded.config.gate.confidence,
        better={name: measure.better for name, measure in world.allowed.measures.items()},
        ways=tuple(ways),
    )


def concluded(way: BacktestWay, metric: str) -> str:
    """What retraining by the rules would have done to a metric, in one sentence that is no surer than the data."""
    start, end = way.batches[0].start, way.batches[-1].end
    span = f"{counted(len(way.batches), 'batch', 'batches')} from {written(start)} to {written(end)}"
    trained = [step.at for step in way.steps if step.retrain and not step.failed]
    if not trained:
        was_asked = any(step.retrain for step in way.steps)
        return f"no retrain gave a model in {span}" if was_asked else f"nothing would have asked for a retrain in {span}"
    when = _listed([written(at) for at in trained])
    gained = next((one for one in way.gained if one.metric == metric), None)
    if gained is None:
        return f"retraining on {when}: {metric} is not defined in {span}"
    ends = (gained.value, gained.low, gained.high)
    if gained.low <= 0 <= gained.high:
        value, low, high = _numbers(ends, signed=True)
        return f"whether retraining on {when} would have helped cannot be told: {metric} {value} [{low}, {high}] over {span}"
    if gained.low > 0:
        value, low, high = _numbers(ends)
        return f"retraining on {when} would have gained {value} [{low}, {high}] {metric} over {span}"
    value, high, low = _numbers([-end for end in ends])
    return f"retraining on {when} would have lost {value} [{low}, {high}] {metric} over {span}"


def _numbers(values: Sequence[float], *, signed: bool = False) -> list[str]:
    """A value and the ends of its interval with the decimals that the interval's width asks for: two digits of it."""
    width = max(values) - min(values)
    decimals = min(max(1 - math.floor(math.log10(width)), 0), 12) if width else 3
    return [with_minus(f"{value:{'+' if signed else ''},.{decimals}f}") for value in values]


def _listed(names: Sequence[str]) -> str:
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more moments"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def cache_folder(given: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where what was trained is kept: as given, else beside the environments that the launcher makes."""
    if given:
        return Path(given)
    root = environ.get("MODELSHIP_CACHE")
    if root:
        return Path(root) / "backtest"
    base = environ.get("RUNNER_TOOL_CACHE") or environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelship" / "backtest"
