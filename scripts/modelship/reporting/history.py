"""The history of a model: what was live when, how it did, and who decided what.

A pure function of what registry, ledger and monitoring hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import NormalDist

from modelship.core.records import Batch, MetricVerdict, MonitorRecord, Promise
from modelship.core.words import counted
from modelship.deployment.ledger import State as Ledger
from modelship.deployment.ledger import fold
from modelship.history.health import Health
from modelship.history.past import Past, Version
from modelship.reporting.blocks import Block, Light, Notice, Paragraph, Plot, Row, Section, Table
from modelship.reporting.deployments import Deployed, history, history_table, live_table
from modelship.reporting.inline import Code, Line, Link, line, prose
from modelship.reporting.numbers import NOTHING, decimals_for, number
from modelship.reporting.report import Facts, Report
from modelship.reporting.time_chart import Bar, Lane, Lanes, Level, LineChart, Mark, Point, Series, Sign, Tone
from modelship.reporting.verdicts import LIGHTS, interval_text, value_text, verdict_words

MOST_DEPLOYMENTS = 200
MOST_METRICS = 6
"""Drawn, of those that were promised or gated."""
MOST_COLUMNS = 12
"""Drawn, of those that drifted."""

_LIGHTS: dict[str, Light] = {
    "healthy": "pass", "degraded": "warn", "in trouble": "fail", "rolled back": "warn", "unknown": "none",
}  # fmt: skip
_TONES: dict[str, Tone] = {"pass": "pass", "warn": "warn", "fail": "fail", "error": "fail"}
_SIGNS: dict[str, Sign] = {"live": "deployed", "rolled back to": "rolled-back"}
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
_BEFORE = timedelta(days=1)
_HOW_TO_READ = (
    "Each point is a batch with its {confidence} interval: ● within what is allowed, ■ beyond it, maybe by chance, ◆ proven beyond "
    "it; hollow while labels are still coming. The line is what was promised at release, the dashed one how far from it the metric "
    "may go. ▲ deployed, ▼ rolled back, ✕ failed, ↻ a retrain was asked for."
)


@dataclass(frozen=True)
class Telling:
    """What a page on the past is made for."""

    model: str
    now: datetime
    """With a time zone."""
    facts: Facts
    confidence: float = 0.95
    """Of the intervals of batches."""
    repository_url: str = ""
    """Where commits can be read; empty where that is not known."""


def build_history(past: Past, health: Health, telling: Telling) -> Report:
    """The page on a model's past. Raises BadInput for a ledger that cannot be read."""
    ledger = fold(past.entries)
    deployed = history(past.entries, ledger)
    drawn = _Drawn(past, health, deployed, telling)
    sections = (
        drawn.timeline(),
        drawn.metrics(),
        drawn.drift(),
        _triggers(health),
        _deployments(deployed, telling),
        _versions(past, ledger, telling),
        drawn.at_release(),
        _accepted(past.versions, telling),
        _batches(past.records, telling),
    )
    return Report(
        model=telling.model,
        light=_LIGHTS[health.state],
        headline=_headline(health),
        cause=line(*prose(health.told), f" As of {_moment(telling.now)} UTC."),
        checks=(),
        notices=_cut(past),
        metrics=None,
        basis=(),
        sections=tuple(section for section in sections if section),
        facts=telling.facts,
        table=live_table(ledger) if ledger.environments else None,
        topic="history",
    )


def _headline(health: Health) -> str:
    who = f"v{health.version}"
    if health.version is None:
        return "nothing is live yet"
    if health.state == "rolled back":
        return f"{who} is live again, a later version was rolled back"
    if health.state == "unknown":
        return f"{who} is live, how it does is not known"
    return f"{who} is live and {health.state}"


def _cut(past: Past) -> tuple[Notice, ...]:
    """What is not shown."""
    cut = []
    if past.older_batches:
        told = f"{len(past.records):,} of {counted(len(past.records) + past.older_batches, 'batch', 'batches')}"
        cut.append(f"Shown are the newest {told}.")
    if past.older_versions:
        told = f"{len(past.versions):,} of {counted(len(past.versions) + past.older_versions, 'version')}"
        cut.append(f"Shown are the newest {told}; MLflow's page has all.")
    return tuple(Notice(line(told)) for told in cut)


# Pictures ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judged:
    """A batch beside the promise of its version in one metric."""

    batch: Batch
    promise: Promise
    value: float
    low: float
    high: float
    tone: Tone

    @property
    def told(self) -> str:
        shown = decimals_for((self.value, self.promise.value))
        words = {
            "pass": "within what is allowed",
            "warn": "beyond what is allowed, maybe by chance",
            "fail": "proven beyond what is allowed",
        }
        return (
            f"{_days(self.batch)}, v{self.batch.version}: {number(self.value, shown)} [{number(self.low, shown)}, "
            f"{number(self.high, shown)}], promised {number(self.promise.value, shown)}: {words[self.tone]}"
            f"{'' if self.batch.is_complete else ', labels are still coming'}"
        )


class _Drawn:
    """The sections with pictures."""

    def __init__(self, past: Past, health: Health, deployed: Sequence[Deployed], telling: Telling) -> None:
        self.past = past
        self.telling = telling
        self.deployed = tuple(reversed(deployed))
        self.environment = health.environment
        self.looks = [(record, record.batch) for record in past.records if record.batch]

    def timeline(self) -> Section | None:
        """What was live where, and what was seen of it."""
        environments = tuple(dict.fromkeys(known.environment for known in self.deployed))
        lanes = [self._live(name) for name in environments]
        failed = tuple(self._marks_of(environments, {"failed", "rollback failed"}))
        asked = tuple(_asked(self.past))
        if failed:
            lanes.append(Lane("failed", marks=failed))
        if self.looks:
            bars = tuple(Bar(b.start, b.end, _TONES[r.status], told=f"{_days(b)}: {r.summary}") for r, b in self.looks)
            lanes.append(Lane("looked at", bars))
        if asked:
            lanes.append(Lane("retrain asked for", marks=asked))
        if not any(lane.bars or lane.marks for lane in lanes):
            return None
        ends = [at for lane in lanes for bar in lane.bars for at in (bar.start, bar.end)]
        span = (min([*ends, *(mark.at for lane in lanes for mark in lane.marks)]), max([*ends, self.telling.now]))
        told = f"What was live in {_and(environments) or 'no environment'}, and what was seen: {self._seen()}."
        explained = Paragraph(
            line("A look at a batch is low and green where nothing was odd, higher and yellow with a warning, full and red with a no.")
        )
        return Section(line("Timeline"), (Plot(Lanes(told, tuple(lanes), span)), *((explained,) if self.looks else ())))

    def metrics(self) -> Section | None:
        """Each metric in production, with what was promised."""
        named = _metrics_of(record for record, _ in self.looks)
        drawn = [(metric, judged) for metric in named if (judged := tuple(self._judged(metric)))]
        if not drawn:
            return None
        blocks: list[Block] = [Paragraph(line(_HOW_TO_READ.format(confidence=_percent(self.telling.confidence))))]
        for metric, judged in drawn[:MOST_METRICS]:
            chart = self._metric_chart(metric, judged)
            blocks.append(Plot(chart))
        if len(drawn) > MOST_METRICS:
            blocks.append(Paragraph(line(f"{len(drawn) - MOST_METRICS} more are in the table of batches below.")))
        return Section(line("Metrics in production"), tuple(blocks))

    def drift(self) -> Section | None:
        """Which columns drifted in which batch."""
        measured = [batch for _, batch in self.looks if batch.drift is not None]
        if not measured:
            return None
        drifted = [batch for batch in measured if batch.drift]
        often: dict[str, int] = {}
        for batch in measured:
            for column in batch.drifted:
                often[column] = often.get(column, 0) + 1
        columns = sorted(often, key=lambda column: -often[column])
        named = ", ".join(f"{column} ({often[column]:,})" for column in columns[:5])
        where = f"in {len(drifted):,} of {counted(len(measured), 'batch', 'batches')}"
        told = f"The data as a whole drifted {where}{f'. Most often drifted: {named}' if named else ''}."
        lanes = [Lane("the batch", tuple(_drift_bar(batch, "the batch", bool(batch.drift)) for batch in measured))]
        for column in columns[:MOST_COLUMNS]:
            lanes.append(Lane(column, tuple(_drift_bar(batch, column, column in batch.drifted) for batch in measured)))
        more = len(columns) - MOST_COLUMNS
        if more > 0:
            told += f" {counted(more, 'more column')} drifted less often."
        return Section(line(f"Drift: {where}"), (Plot(Lanes(told, tuple(lanes), self._span())),))

    def at_release(self) -> Section | None:
        """The gated metrics of each version as they were when the gate saw them."""
        versions = [version for version in reversed(self.past.versions) if version.metrics]
        named = list(dict.fromkeys(verdict.metric for version in versions for verdict in version.metrics))
        blocks: list[Block] = []
        for metric in named[:MOST_METRICS]:
            points = tuple(_release_points(versions, metric))
            if len(points) > 1:
                told = f"{metric} at release, version by version, from {points[0].told} to {points[-1].told}"
                blocks.append(Plot(LineChart(told, (Series(metric, points),))))
        if not blocks:
            return None
        read = (
            "On the holdout, when the gate judged each version. The bars are what the change against the version's own baseline may "
            "truly be, drawn around its value."
        )
        return Section(line("Metrics at release"), (Paragraph(line(read)), *blocks))

    def _live(self, environment: str) -> Lane:
        """What served there, from each deployment to the next."""
        came = [known for known in self.deployed if known.environment == environment and known.outcome in ("live", "rolled back to")]
        bars = []
        for known, after in zip(came, [*came[1:], None], strict=True):
            start, end = _at(known), _at(after) if after else max(self.telling.now, _at(known))
            is_back = known.outcome == "rolled back to"
            told = f"v{known.version} in {environment} from {_moment(start)} to {_moment(end) if after else 'now'}"
            bars.append(Bar(start, end, "a", f"{'▼' if is_back else ''}v{known.version}", told))
        return Lane(environment, tuple(bars))

    def _marks_of(self, environments: Iterable[str], outcomes: Iterable[str]) -> Iterator[Mark]:
        for known in self.deployed:
            if known.environment in environments and known.outcome in outcomes:
                told = f"{_moment(_at(known))}: v{known.version} {known.outcome}, {known.environment}. {known.reason}"
                yield Mark(_at(known), _SIGNS.get(known.outcome, "failed"), f"v{known.version}", told)

    def _judged(self, metric: str) -> Iterator[_Judged]:
        beyond = NormalDist().inv_cdf((1 + self.telling.confidence) / 2)
        for record, batch in self.looks:
            promise = next((one for one in record.promises if one.metric == metric), None)
            measured = next((one for one in batch.measured if one.metric == metric), None)
            if promise and measured:
                room = beyond * measured.standard_error
                tone = _tone(promise, measured.value, beyond * math.hypot(measured.standard_error, promise.standard_error))
                yield _Judged(batch, promise, measured.value, measured.value - room, measured.value + room, tone)

    def _metric_chart(self, metric: str, judged: Sequence[_Judged]) -> LineChart:
        points = tuple(
            Point(_middle(one.batch), one.value, one.low, one.high, one.tone, not one.batch.is_complete, one.told) for one in judged
        )
        levels = []
        for (version, promise), group in groupby(judged, key=lambda one: (one.batch.version, one.promise)):
            batches = [one.batch for one in group]
            loss = -promise.max_loss if promise.better == "higher" else promise.max_loss
            shown = decimals_for((promise.value,), promise.max_loss)
            told = f"v{version} promised {number(promise.value, shown)}, {number(promise.value + loss, shown)} is allowed"
            levels.append(Level(batches[0].start, batches[-1].end, promise.value, promise.value + loss, told, f"v{version}"))
        marks = [*self._marks_of((self.environment,), ("live", "rolled back to", "failed")), *_asked(self.past)]
        told = f"{metric} over {counted(len(judged), 'batch', 'batches')}: {_newest(judged)}"
        return LineChart(told, (Series(metric, points),), tuple(levels), tuple(marks), self._span())

    def _span(self) -> tuple[datetime, datetime]:
        """Of the pictures of batches, which stand under each other."""
        start, end = min(batch.start for _, batch in self.looks), max(batch.end for _, batch in self.looks)
        return start - _BEFORE, end

    def _seen(self) -> str:
        if not self.looks:
            return "no batch was looked at"
        count = {status: sum(record.status == status for record, _ in self.looks) for status in ("pass", "warn", "fail")}
        return (
            f"{counted(len(self.looks), 'batch', 'batches')}, {count['pass']:,} without anything odd, "
            f"{count['warn']:,} with a warning, {count['fail']:,} with a no"
        )


def _tone(promise: Promise, value: float, room: float) -> Tone:
    """Whether a value keeps a promise, as the gate would say it: proven where the whole interval of the loss is beyond the margin."""
    loss = promise.value - value if promise.better == "higher" else value - promise.value
    if loss <= promise.max_loss:
        return "pass"
    return "fail" if loss - room > promise.max_loss else "warn"


def _newest(judged: Sequence[_Judged]) -> str:
    newest = judged[-1]
    shown = decimals_for((newest.value, newest.promise.value))
    direction = f"{newest.promise.better} is better"
    return (
        f"{number(newest.value, shown)} [{number(newest.low, shown)}, {number(newest.high, shown)}] in the newest batch with labels "
        f"({_days(newest.batch)}), {number(newest.promise.value, shown)} promised; {direction}"
    )


def _drift_bar(batch: Batch, what: str, drifted: bool) -> Bar:
    return Bar(
        batch.start,
        batch.end,
        "warn" if drifted else "none",
        told=f"{_days(batch)}: {what} {'drifted' if drifted else 'did not drift'}",
    )


def _release_points(versions: Iterable[Version], metric: str) -> Iterator[Point]:
    for version in versions:
        verdict = next((one for one in version.metrics if one.metric == metric), None)
        if verdict is None or verdict.candidate is None:
            continue
        low = high = None
        if verdict.interval and verdict.change is not None:
            below, above = verdict.change - verdict.interval[0], verdict.interval[1] - verdict.change
            if verdict.better == "lower":
                below, above = above, below
            low, high = verdict.candidate - below, verdict.candidate + above
        tone: Tone = "warn" if version.accepted else LIGHTS[verdict.state]
        told = f"v{version.version} {value_text(verdict.candidate, verdict)}"
        yield Point(_from_milliseconds(version.created_at), verdict.candidate, low, high, tone, told=told, label=f"v{version.version}")


def _asked(past: Past) -> Iterator[Mark]:
    for one in past.asked:
        yield Mark(one.at.astimezone(UTC), "asked", told=f"{_moment(one.at)}: a retrain was asked for. {one.why}")


def _metrics_of(records: Iterable[MonitorRecord]) -> list[str]:
    """The metrics that were promised, those of the newest record first."""
    newest_first = list(records)[::-1]
    return list(dict.fromkeys(promise.metric for record in newest_first for promise in record.promises))


# Tables --------------------------------------------------------------------------------------------------------------------------


def _triggers(health: Health) -> Section | None:
    """What `retrain` would decide, and why."""
    if health.decision is None:
        return None
    decision = health.decision
    reasons = _and([one.name for one in decision.triggers if one.fires])
    title = f"Retrain: {f'asked for by {reasons}' if reasons else 'nothing asks for it'}"
    rows = tuple(Row((line(Code(one.name)), line(one.told)), "warn" if one.fires else "pass") for one in decision.triggers)
    held = f"Held back: {decision.held_back}." if decision.held_back else ""
    return Section(line(title), (Table(("trigger", "found"), rows), *((Paragraph(line(held)),) if held else ())))


def _deployments(deployed: Sequence[Deployed], telling: Telling) -> Section:
    if not deployed:
        return Section(line("Deployments: none yet"), (Paragraph(line("Nothing was deployed yet: the ledger is empty.")),))
    back = sum(known.outcome == "rolled back to" for known in deployed)
    title = f"Deployments: {len(deployed) - back:,}, and {counted(back, 'rollback')}"
    blocks: list[Block] = [history_table(deployed[:MOST_DEPLOYMENTS], telling.facts.sites)]
    if len(deployed) > MOST_DEPLOYMENTS:
        blocks.append(
            Paragraph(line(f"… and {len(deployed) - MOST_DEPLOYMENTS:,} before them: ", Code("modelship deployments --json"), "."))
        )
    return Section(line(title), tuple(blocks))


def _versions(past: Past, ledger: Ledger, telling: Telling) -> Section:
    """Each version with what the gate said at release."""
    if not past.versions:
        return Section(line("Versions: none yet"), (Paragraph(line("No version is registered yet.")),))
    named = list(dict.fromkeys(verdict.metric for version in past.versions for verdict in version.metrics))[:MOST_METRICS]
    serves = {environment: known.live.version for environment, known in ledger.environments.items() if known.live}
    rows = tuple(_version_row(version, named, serves, telling) for version in past.versions)
    columns = ("version", "registered (UTC)", "commit", "verdict", *(f">{metric}" for metric in named), "serves", "run")
    read = "The value on the holdout, and in brackets what the change against the version's baseline may truly be."
    return Section(
        line(f"Versions: {len(past.versions) + past.older_versions:,}"),
        (Table(columns, rows), *((Paragraph(line(read)),) if named else ())),
    )


def _version_row(version: Version, named: Sequence[str], serves: Mapping[str, int], telling: Telling) -> Row:
    lights: dict[str, Light] = {"pass": "pass", "warn": "warn"}
    said = {verdict.metric: verdict for verdict in version.metrics}
    verdict = "accepted" if version.accepted else version.verdict or NOTHING
    against = f" against {version.baseline.label}" if version.baseline and version.baseline.kind != "none" else ""
    commit: Line = line(version.commit[:7])
    if telling.repository_url and _COMMIT.match(version.commit):
        commit = line(Link(version.commit[:7], f"{telling.repository_url}/commit/{version.commit}"))
    return Row(
        (
            line(f"v{version.version}"),
            line(_moment(_from_milliseconds(version.created_at))),
            commit,
            line(f"{verdict}{against}"),
            *(line(_metric_cell(said.get(metric))) for metric in named),
            line(_and([name for name, number_ in serves.items() if number_ == version.version])),
            Link("run", version.run_url).only_within(telling.facts.sites),
        ),
        lights.get(version.verdict, "none"),
    )


def _metric_cell(verdict: MetricVerdict | None) -> str:
    if verdict is None:
        return NOTHING
    return f"{value_text(verdict.candidate, verdict)} {interval_text(verdict)}".rstrip()


def _accepted(versions: Iterable[Version], telling: Telling) -> Section | None:
    """What did not hold and was let pass by a person."""
    known = [version for version in versions if version.accepted]
    if not known:
        return None
    rows = tuple(
        Row(
            (
                line(f"v{version.version}"),
                line(version.accepted),
                line(_failed(version)),
                Link("comment", version.accepted_url).only_within(telling.facts.sites),
            ),
            "warn",
        )
        for version in known
    )
    return Section(
        line(f"Accepted exceptions: {len(known):,}"),
        (Table(("version", "accepted by, because", "what did not hold", "said in"), rows),),
    )


def _failed(version: Version) -> str:
    failed = [verdict for verdict in version.metrics if LIGHTS[verdict.state] == "fail"]
    return "; ".join(f"{verdict.metric} {verdict_words(verdict)}" for verdict in failed[:5]) or NOTHING


def _batches(records: Sequence[MonitorRecord], telling: Telling) -> Section:
    """Each batch in numbers, the newest first: what the pictures show."""
    looks = [(record, record.batch) for record in reversed(records) if record.batch]
    if not looks:
        told = line("Nobody has looked at a batch of production yet: ", Code("modelship monitor"), " does.")
        return Section(line("Batches: none yet"), (Paragraph(told),))
    named = _metrics_of(records)[:MOST_METRICS]
    beyond = NormalDist().inv_cdf((1 + telling.confidence) / 2)
    rows = tuple(
        Row(
            (
                line(_days(batch)),
                line(f"v{batch.version}"),
                line(f"{batch.rows:,}"),
                line(f"{batch.labelled:,}{'' if batch.is_complete else ' so far'}"),
                *(line(_measured_cell(batch, metric, beyond)) for metric in named),
                line(NOTHING if batch.drift is None else ", ".join(batch.drifted[:8]) or ("yes" if batch.drift else "none")),
                prose(record.summary),
            ),
            _status_light(record),
        )
        for record, batch in looks
    )
    columns = ("batch", "version", ">rows", ">labelled", *(f">{metric}" for metric in named), "drifted", "found")
    return Section(line(f"Batches: {counted(len(looks), 'look')} in numbers"), (Table(columns, rows),), page_only=True)


def _measured_cell(batch: Batch, metric: str, beyond: float) -> str:
    found = next((one for one in batch.measured if one.metric == metric), None)
    if found is None:
        return NOTHING
    shown, room = decimals_for((found.value,)), beyond * found.standard_error
    return f"{number(found.value, shown)} [{number(found.value - room, shown)}, {number(found.value + room, shown)}]"


def _status_light(record: MonitorRecord) -> Light:
    return "fail" if record.status == "error" else record.status


# Words ---------------------------------------------------------------------------------------------------------------------------


def _days(batch: Batch) -> str:
    start, end = batch.start.astimezone(UTC), batch.end.astimezone(UTC)
    return f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"


def _middle(batch: Batch) -> datetime:
    return batch.start + (batch.end - batch.start) / 2


def _at(known: Deployed) -> datetime:
    return datetime.fromisoformat(known.at)


def _from_milliseconds(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1] if names else ""
