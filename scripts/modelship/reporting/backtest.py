"""What retraining would have done in the past, in words, tables and drawings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from modelship.core.records import BacktestBatch, BacktestRecord, BacktestStep, BacktestValue, BacktestWay
from modelship.core.words import counted
from modelship.reporting.blocks import Block, Chart, ChartRow, Light, Plot, Row, Section, Table
from modelship.reporting.inline import Line, line, prose
from modelship.reporting.numbers import NOTHING, decimals_for, number, signed
from modelship.reporting.time_chart import LineChart, Mark, Point, Series, Tone

WIDTH = 31
"""Columns of a drawing."""

_ONCE, _RULES, _REACH = "○", "●", "─"
_APART = 0.06
"""Of a batch: as far are the points of two ways from each other, so that their intervals can be told apart."""
_NAMES = {"once": "trained once", "rules": "retrained when asked", "every-batch": "retrained every batch"}


def sections(record: BacktestRecord | None) -> tuple[Section, ...]:
    """Each metric batch by batch, and what was decided when."""
    if record is None or not record.ways:
        return ()
    told = [section for metric in record.better for section in _metric(record, metric)]
    return (*told, *_decisions(record))


def headline(record: BacktestRecord) -> str:
    """Whether retraining would have helped, in a few words."""
    rules = next((way for way in record.ways if way.way == "rules"), None)
    if rules is None or not any(step.retrain for step in rules.steps):
        return "nothing would have asked for a retrain"
    gained = _of(rules.gained, next(iter(record.better), ""))
    if gained is None or gained.low <= 0 <= gained.high:
        return "whether retraining would have helped cannot be told"
    return "retraining would have helped" if gained.low > 0 else "retraining would have done harm"


def _metric(record: BacktestRecord, metric: str) -> Iterable[Section]:
    ways = {way.way: way for way in record.ways}
    once, rules = ways["once"], ways["rules"]
    values = [value.value for way in record.ways for batch in way.batches for value in batch.measured if value.metric == metric]
    if not values:
        return
    decimals = decimals_for(values)
    gains = [f"{_NAMES[way.way]} {_gain(found, decimals)}" for way in record.ways if (found := _of(way.gained, metric))]
    title = f"{metric}: {'; '.join(gains)} against the version of {_day(once.batches[0].trained_at)}"
    blocks: list[Block] = [_table(record, metric, decimals)]
    drawing = _chart(once, rules, metric, decimals)
    if drawing:
        blocks.append(Plot(picture(record, metric), drawing))
    yield Section(line(title), tuple(blocks), explains=metric == next(iter(record.better)))


def _table(record: BacktestRecord, metric: str, decimals: int) -> Table:
    others = [way for way in record.ways if way.way != "once"]
    once = next(way for way in record.ways if way.way == "once")
    confidence = f"{record.confidence:.0%} CI" if record.confidence else "CI"
    titles = [title for way in others for title in (f">{_NAMES[way.way]}", f">difference ({confidence})")]
    rows = []
    for number_, batch in enumerate(once.batches):
        cells = [line(_name(batch)), line(f"{batch.rows:,}"), line(_value(batch, metric, decimals))]
        light: Light | None = None
        for way in others:
            theirs = way.batches[number_]
            gained = _of(theirs.gained, metric)
            same = theirs.trained_at == batch.trained_at
            cells += [line(_value(theirs, metric, decimals)), line(NOTHING if gained is None or same else _gain(gained, decimals))]
            if way.way == "rules":
                light = _light(gained, same=same)
        rows.append(Row(tuple(cells), light))
    return Table(("batch", ">rows", f">{_NAMES['once']}", *titles), tuple(rows), spare=(">rows",))


def _chart(once: BacktestWay, rules: BacktestWay, metric: str, decimals: int) -> Chart | None:
    """Both ways in each batch, drawn between the lowest and the highest end of any interval."""
    found = [
        (_of(before.measured, metric), _of(after.measured, metric)) for before, after in zip(once.batches, rules.batches, strict=True)
    ]
    ends = [end for pair in found for value in pair if value for end in (value.low, value.high)]
    if not ends or min(ends) == max(ends):
        return None
    low, high = min(ends), max(ends)
    rows = []
    for batch, after, (ours, theirs) in zip(once.batches, rules.batches, found, strict=True):
        if ours is None or theirs is None:
            continue
        same = batch.trained_at == after.trained_at
        numbers = number(theirs.value, decimals) if same else f"{number(ours.value, decimals)} → {number(theirs.value, decimals)}"
        rows.append(ChartRow(_day(batch.start), draw(ours, theirs, low, high), numbers, _light(_of(after.gained, metric), same=same)))
    legend = f"{_ONCE} {_NAMES['once']}  {_RULES} {_NAMES['rules']}  {number(low, decimals)} to {number(high, decimals)}"
    return Chart(tuple(rows), legend)


def picture(record: BacktestRecord, metric: str) -> LineChart:
    """A metric in each batch by each way of training, and when training was asked for."""
    tones: dict[str, Tone] = {"once": "a", "rules": "b", "every-batch": "none"}
    series = tuple(
        Series(
            _NAMES[way.way],
            tuple(_points(way, metric, tones[way.way], 0.5 + _APART * (place - (len(record.ways) - 1) / 2))),
            tones[way.way],
        )
        for place, way in enumerate(record.ways)
    )
    steps = [step for way in record.ways if way.way == "rules" for step in way.steps if step.retrain]
    marks = tuple(
        Mark(step.at, "failed" if step.failed else "asked", told=f"{_decided(step)}: {step.failed or step.told}") for step in steps
    )
    batches = record.ways[0].batches
    told = f"{metric} in each batch, trained once and retrained when asked"
    return LineChart(told, series, marks=marks, span=(batches[0].start, batches[-1].end))


def _points(way: BacktestWay, metric: str, tone: Tone, share: float) -> Iterable[Point]:
    """Where the metric is known; each point at such a share of its batch."""
    for batch in way.batches:
        found = _of(batch.measured, metric)
        if found is not None:
            decimals = decimals_for([found.value])
            value, low, high = (number(one, decimals) for one in (found.value, found.low, found.high))
            told = f"{_NAMES[way.way]}, {_name(batch)}: {value} [{low}, {high}]"
            at = batch.start + (batch.end - batch.start) * share
            yield Point(at, found.value, found.low, found.high, tone=tone, told=told)


def draw(once: BacktestValue, rules: BacktestValue, low: float, high: float) -> str:
    """Both values and what the second may truly be, in exactly WIDTH columns between `low` and `high`."""

    def column(value: float) -> int:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(min(max(share, 0.0), 1.0) * (WIDTH - 1))

    cells = [" "] * WIDTH
    for place in range(column(rules.low), column(rules.high) + 1):
        cells[place] = _REACH
    cells[column(once.value)] = _ONCE
    cells[column(rules.value)] = _RULES
    return "".join(cells)


def _decisions(record: BacktestRecord) -> Iterable[Section]:
    for way in record.ways:
        if way.way != "rules" or not way.steps:
            continue
        asked = [step for step in way.steps if step.retrain]
        rows = tuple(Row((line(_day(step.at)), line(_decided(step)), _why(step)), _step_light(step)) for step in way.steps)
        title = f"Decisions: {counted(len(asked), 'retrain')} asked for at {counted(len(way.steps), 'moment')}"
        yield Section(line(title), (Table(("at", "decision", "why"), rows),), explains=True)


def _decided(step: BacktestStep) -> str:
    return "trained in vain" if step.failed else "train again" if step.retrain else "stay"


def _why(step: BacktestStep) -> Line:
    return prose(f"{step.told}; {step.failed}" if step.failed else step.told) or line(NOTHING)


def _step_light(step: BacktestStep) -> Light:
    return "fail" if step.failed else "warn" if step.retrain else "pass"


def _light(gained: BacktestValue | None, *, same: bool) -> Light:
    """Whether retraining is proven to have helped, or to have done harm."""
    if gained is None or same or gained.low <= 0 <= gained.high:
        return "none"
    return "pass" if gained.low > 0 else "fail"


def _of(values: Sequence[BacktestValue], metric: str) -> BacktestValue | None:
    return next((value for value in values if value.metric == metric), None)


def _value(batch: BacktestBatch, metric: str, decimals: int) -> str:
    found = _of(batch.measured, metric)
    return number(found.value, decimals) if found else NOTHING


def _gain(value: BacktestValue, decimals: int) -> str:
    return f"{signed(value.value, decimals)} [{signed(value.low, decimals)}, {signed(value.high, decimals)}]"


def _name(batch: BacktestBatch) -> str:
    return f"{_day(batch.start)} to {_day(batch.end)}"


def _day(at: datetime) -> str:
    known = at.astimezone(UTC)
    return f"{known:%Y-%m-%d}" if (known.hour, known.minute) == (0, 0) else f"{known:%Y-%m-%d %H:%M}"
