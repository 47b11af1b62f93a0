"""Two tables compared, from opening them to what the record says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from modelship.core.config import Drift, LoadedConfig, share_of
from modelship.core.records import MAX_TEXT, ColumnDrift, SkippedColumn, TableRead
from modelship.core.words import counted
from modelship.data.drift import evidently_edge as evidently
from modelship.data.drift.chance import largest_gap, same_categories, same_numbers
from modelship.data.drift.columns import Column, Common, Header, Side, match, plan
from modelship.data.drift.picture import cut, picture
from modelship.data.drift.values import Categories, Numbers
from modelship.data.drift.verdict import Judged, Measured, Verdict, judge

if TYPE_CHECKING:
    from modelship.data.tables.profile import Profiled

MOST_COLUMNS = 2_000
"""In the record, which has a bounded size."""
MOST_PICTURES = 200
LONGEST_NAME = 100
MOST_NEW_VALUES = 5
MOST_NAMED = 3
SHOWN = 0.01
"""From which share of the rows on a finding about missing values or numbers out of range is told."""

WIDE_GAP = 0.2
"""Of distribution functions: as wide as where a normal distribution moves by half a standard deviation."""

_TWO_SIDED = 1.96
"""Standard errors on each side that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Comparison:
    """What became of two tables."""

    tables: tuple[TableRead, TableRead]
    columns: tuple[ColumnDrift, ...]
    skipped: tuple[SkippedColumn, ...]
    verdict: Verdict
    compared: tuple[Column, ...]
    """In the order of `columns`."""
    sampling: str


def compare(reference: Profiled, current: Profiled, loaded: LoadedConfig) -> Comparison:
    """Compare two tables column by column. Raises BadInput for what cannot be read or compared."""
    drift = loaded.config.drift
    common = match(_header(reference), _header(current), loaded)
    sides = _read(reference, common, loaded), _read(current, common, loaded)
    planned = plan(common, *sides, loaded)
    verdict = judge(
        [_measured(column, *sides) for column in planned.columns],
        confidence=drift.confidence,
        max_share=share_of(drift.max_share),
        purposes_decide=drift.target == "verdict",
    )
    by_name = {column.name: column for column in planned.columns}
    ordered = tuple(by_name[judged.measured.column] for judged in verdict.columns)
    return Comparison(
        tables=(_table("reference", sides[0]), _table("current", sides[1])),
        columns=tuple(_described(column, judged, *sides, drift.seed) for column, judged in zip(ordered, verdict.columns, strict=True)),
        skipped=planned.skipped,
        verdict=verdict,
        compared=ordered,
        sampling=_sampling(*sides, drift.seed),
    )


def fitting(columns: Sequence[ColumnDrift]) -> tuple[tuple[ColumnDrift, ...], tuple[str, ...]]:
    """As many columns, and as many of them with shares, as a record holds, the first ones first; and a notice of what is left out."""
    bare = (msgspec.structs.replace(column, labels=(), shares=((), ())) for column in columns[MOST_PICTURES:MOST_COLUMNS])
    rest = columns[MOST_COLUMNS:]
    if not rest:
        return (*columns[:MOST_PICTURES], *bare), ()
    drifted = sum(column.drifted for column in rest)
    notice = f"{counted(len(rest), 'compared column')} more than the record lists, of which {drifted:,} drifted"
    return (*columns[:MOST_PICTURES], *bare), (notice,)


def summary(found: Comparison) -> str:
    """One sentence: what drifted, of how many columns, and whether that is too much."""
    drifted = [column for column in found.columns if column.drifted]
    features = [column for column in found.columns if column.purpose == "feature"]
    names = ", ".join(cut(column.column) for column in drifted[:MOST_NAMED])
    more = f" and {len(drifted) - MOST_NAMED} more" if len(drifted) > MOST_NAMED else ""
    of = f"{sum(column.drifted for column in features)} of {counted(len(features), 'feature')} drifted"
    others = "".join(f", the {column.purpose} drifted" for column in drifted if column.purpose != "feature")
    word = "drift" if found.verdict.drift else "drift within limits" if drifted else "no drift"
    return f"{word}: {of}{others}{f' ({names}{more})' if drifted else ''}"


def page(found: Comparison, model: str) -> bytes:
    """Evidently's page with our verdict above: its own words speak of thresholds alone."""
    shown = evidently.on_page(found.compared)
    drifted = [cut(column.column) for column in found.columns if column.drifted]
    heading = [
        f"{model}: {summary(found)}",
        f"{found.tables[1].source} (current) against {found.tables[0].source} (reference); {found.sampling}.",
        f"Drifted, which is far apart and beyond chance: {', '.join(drifted[: evidently.MOST_ON_PAGE]) or 'nothing'}. "
        "Below Evidently says of each column whether its score passes the threshold, whatever chance explains.",
        f"The page shows {len(shown)} of {len(found.columns)} columns.",
    ]
    return evidently.page(shown, heading)


def evidently_version() -> str:
    """Of the library that measures."""
    return evidently.version()


def _header(reader: Profiled) -> Header:
    return Header(reader.name, tuple(reader.columns()), reader.is_file)


def _read(reader: Profiled, common: Common, loaded: LoadedConfig) -> Side:
    """One of the tables, read once: facts on all its columns, and the sample that is compared."""
    drift = loaded.config.drift
    found = reader.profile(common.columns, sample=sample_size(drift), seed=drift.seed, max_values=drift.max_categories)
    return Side(reader.name, found, reader.is_file)


def sample_size(drift: Drift) -> int | None:
    """How many rows of each table are compared; None for all."""
    return None if drift.sample == "full" else drift.sample


def _measured(column: Column, reference: Side, current: Side) -> Measured:
    value = evidently.measure(column)
    return Measured(
        column=column.name,
        kind=column.kind,
        purpose=column.purpose,
        choice=column.choice,
        value=value,
        p_value=_p_value(column) if column.choice.distance else min(max(value, 0.0), 1.0),
        missing=(reference.missing(column.name), current.missing(column.name)),
        rows=(reference.profile.rows, current.profile.rows),
        new=_new(column, reference, current).share,
        outside=_outside(column, reference),
    )


def _p_value(column: Column) -> float:
    """Of our own test that both columns come from one distribution."""
    if isinstance(column.values, Categories):
        return same_categories(*column.values.counts())
    before, after = column.values.sides()
    return same_numbers(largest_gap(before, after), len(before), len(after))


@dataclass(frozen=True)
class _New:
    """Categories that the reference does not have."""

    values: tuple[str, ...] = ()
    """Some of them, the most frequent first."""
    count: int = 0
    rows: int = 0
    share: float = 0.0
    """Of the current values."""


def _new(column: Column, reference: Side, current: Side) -> _New:
    """Counted in the whole tables where these have few enough categories to count, else among the sampled rows."""
    if not isinstance(column.values, Categories):
        return _New()
    before, after = (side.facts(column.name).values for side in (reference, current))
    if before is None or after is None:
        counts = column.values.counts()
        before, after = ({name: int(n) for name, n in zip(column.values.labels, side, strict=True) if n} for side in counts)
    new = sorted(((rows, name) for name, rows in after.items() if name not in before), key=lambda entry: (-entry[0], entry[1]))
    rows = sum(count for count, _ in new)
    scale = (current.profile.rows - current.missing(column.name)) / sum(after.values())
    return _New(tuple(cut(name) for _, name in new[:MOST_NEW_VALUES]), len(new), round(rows * scale), rows / sum(after.values()))


def _range(column: Column, reference: Side) -> tuple[float, float] | None:
    """The reference's least and greatest number: of the whole table where they are known, else of the sample."""
    if not isinstance(column.values, Numbers):
        return None
    facts, sampled = reference.facts(column.name), column.values.reference
    if reference.family(column.name) != "number" or facts.minimum is None or isinstance(facts.minimum, timedelta):
        return float(sampled.min()), float(sampled.max())
    return float(facts.minimum), float(facts.maximum)


def _outside(column: Column, reference: Side) -> float:
    """The share of the sampled current numbers that lie outside the reference's range."""
    limits = _range(column, reference)
    if limits is None:
        return 0.0
    current = column.values.current
    return float(np.mean((current < limits[0]) | (current > limits[1])))


def _described(column: Column, judged: Judged, reference: Side, current: Side, seed: int) -> ColumnDrift:
    measured, distance = judged.measured, column.choice.distance
    sampled = reference.is_sampled, current.is_sampled
    drawn = picture(column.values, are_times=reference.family(column.name) == "time")
    new = _new(column, reference, current)
    error = evidently.sampling_error(column, sampled, seed) if distance and any(sampled) else None
    return ColumnDrift(
        column=column.name[:LONGEST_NAME],
        kind=column.kind,
        purpose=column.purpose,
        drifted=judged.drifted,
        method=column.choice.method,
        distance=measured.value if distance else None,
        distance_error=error,
        threshold=column.choice.threshold,
        p_value=judged.p_value,
        missing=measured.missing_shares,
        new_values=new.values,
        new_value_count=new.count,
        new_value_rows=new.rows,
        outside=round(measured.outside * (current.profile.rows - measured.missing[1])),
        reference_range=_range(column, reference),
        labels=drawn.labels,
        shares=drawn.shares,
        findings=tuple(_findings(column, judged, new, error)),
    )


def _findings(column: Column, judged: Judged, new: _New, error: float | None) -> Iterator[str]:
    measured = judged.measured
    before, after = measured.missing_shares
    if judged.missing_proven and measured.missing_shift >= SHOWN:
        yield f"missing values: {_percent(before)} → {_percent(after)} of the rows"
    if new.count:
        yield f"{counted(new.count, 'new category', 'new categories')} in {_percent(new.share)} of the values"
    if measured.outside >= SHOWN:
        yield f"{_percent(measured.outside)} of the numbers lie outside the reference's range"
    if not measured.choice.distance:
        yield f"{_gap(column)}: a p-value alone does not say how far apart the values are"
    elif judged.proven and not judged.far and _is_stretched(column):
        yield f"{_gap(column)}, though the distance is small: a few numbers far out may stretch its scale"
    elif judged.far and not judged.proven:
        yield f"chance alone could make the distance (p = {judged.p_value:.2g})"
    elif error is not None and judged.proven and abs(measured.value - measured.choice.threshold) < _TWO_SIDED * error:
        yield f"so near to the threshold that other rows could tell otherwise (± {_TWO_SIDED * error:.2g})"


def _is_stretched(column: Column) -> bool:
    """Whether numbers have moved so much that a small distance is odd."""
    return isinstance(column.values, Numbers) and largest_gap(*column.values.sides()) >= WIDE_GAP


def _gap(column: Column) -> str:
    if isinstance(column.values, Categories):
        before, after = (counts / counts.sum() for counts in column.values.counts())
        return f"{_percent(float(np.abs(before - after).sum() / 2))} of the values would have to change"
    return f"the distribution functions are at most {_percent(largest_gap(*column.values.sides()))} apart"


def _table(role: Literal["reference", "current"], side: Side) -> TableRead:
    return TableRead(role=role, source=side.name[:MAX_TEXT], rows=side.profile.rows, sampled=side.profile.sample.num_rows)


def _sampling(reference: Side, current: Side, seed: int) -> str:
    """What was looked at, and how far shares in it may be from those of the tables.

    With probability 95 % no share of rows below any value, and no share of a category, of n drawn rows is farther from the table's
    than sqrt(ln(2 / 0.05) / 2n) (Dvoretzky, Kiefer and Wolfowitz 1956; the constant is Massart's 1990; rows drawn without replacement
    are nearer still).
    """
    sampled = [side for side in (reference, current) if side.is_sampled]
    if not sampled:
        return "every row was looked at"
    told = " and ".join(f"{side.profile.sample.num_rows:,} of {side.profile.rows:,} rows of {side.name}" for side in sampled)
    fewest = min(side.profile.sample.num_rows for side in sampled)
    bound = math.sqrt(math.log(2 / 0.05) / (2 * fewest))
    return (
        f"{told} drawn uniformly (seed {seed}); with 95% confidence no share of the rows below a value is off by more than "
        f"{_percent(bound)}; each distance has a standard error of its own. Missing values and categories are "
        "counted in all rows"
    )[:MAX_TEXT]


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
