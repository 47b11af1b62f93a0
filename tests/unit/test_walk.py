"""The walk through history: what is known when, who answers which batch, and that nothing comes from the future."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.data.tables.opening import open_table
from modelship.monitoring.decide import Rules
from modelship.monitoring.history import Batch, Measured, Promise
from modelship.monitoring.past import MOST_BATCHES, Columns, Past, as_text, cut
from modelship.monitoring.walk import Failed, Timeline, Version, walk
from modelship.monitoring.windows import Window, moved, start_of

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
NEVER = datetime(2100, 1, 1, tzinfo=UTC)
PROMISE = Promise(metric="roc_auc", value=0.75, standard_error=0.001, better="higher", max_loss=0.02)


def timeline(batches: int, *, delay: timedelta = timedelta(), holdout: int = 1) -> Timeline:
    windows = tuple(Window(START + number * WEEK, START + (number + 1) * WEEK) for number in range(batches))
    return Timeline(windows, delay, holdout)


class Scripted:
    """A world in which the version of each moment is as good in each batch as `values` says: 0.75 where it says nothing."""

    def __init__(self, known: Timeline, values: Mapping[tuple[int, int], float] | None = None, failing: tuple[int, ...] = ()) -> None:
        self.timeline, self.values, self.failing = known, dict(values or {}), failing
        self.trained: Counter[int] = Counter()
        self.looked: list[tuple[int, int, int]] = []

    def train(self, moment: int) -> Version | Failed:
        self.trained[moment] += 1
        return Failed("no memory") if moment in self.failing else Version(moment, 1_000, (PROMISE,))

    def look(self, version: Version, batch: int, moment: int) -> Batch:
        self.looked.append((version.moment, batch, moment))
        window = self.timeline.windows[batch]
        is_complete = batch < self.timeline.complete(moment)
        value = self.values.get((version.moment, batch), 0.75)
        measured = (Measured(metric="roc_auc", value=value, standard_error=0.002, rows=1_000),) if is_complete else ()
        return Batch(
            start=window.start,
            end=window.end,
            version=version.moment,
            rows=1_000,
            labelled=1_000 if is_complete else 0,
            is_complete=is_complete,
            measured=measured,
            drift=False,
        )


def began(world: Scripted, moment: int) -> Version:
    version = world.train(moment)
    assert isinstance(version, Version)
    world.trained.clear()
    return version


def moments(versions: tuple[Version, ...]) -> list[int]:
    return [version.moment for version in versions]


# Who answers what.


def test_a_version_that_was_trained_once_answers_everything() -> None:
    world = Scripted(timeline(8))
    walked = walk("once", world.timeline, began(world, 3), Rules(), world)
    assert moments(walked.versions) == [3] * 5
    assert not walked.retrained
    assert not world.trained


def test_after_every_batch_each_batch_has_its_own_version() -> None:
    world = Scripted(timeline(8))
    walked = walk("every-batch", world.timeline, began(world, 3), Rules(), world)
    assert moments(walked.versions) == [3, 4, 5, 6, 7]
    assert world.trained == Counter([4, 5, 6, 7])


def test_where_nothing_is_lost_the_rules_train_nothing() -> None:
    world = Scripted(timeline(12))
    walked = walk("rules", world.timeline, began(world, 3), Rules(), world)
    assert moments(walked.versions) == [3] * 9
    assert [step.moment for step in walked.steps] == list(range(4, 12))
    assert all("performance: roc_auc" in step.told for step in walked.steps)


def test_a_loss_is_answered_from_the_next_batch_on_and_the_new_version_starts_anew() -> None:
    lost = {(3, batch): 0.60 for batch in range(5, 12)}
    world = Scripted(timeline(12), lost)
    walked = walk("rules", world.timeline, began(world, 3), Rules(), world)
    assert moments(walked.versions) == [3, 3, 3, 6, 6, 6, 6, 6, 6], "lost in batch 5, seen at its end"
    (step,) = walked.retrained
    assert step.moment == 6
    assert "0.75 → 0.6" in step.told


def test_with_late_labels_a_loss_is_seen_late() -> None:
    lost = {(4, batch): 0.60 for batch in range(5, 14)}
    world = Scripted(timeline(14, delay=2 * WEEK), lost)
    walked = walk("rules", world.timeline, began(world, 4), Rules(), world)
    assert walked.retrained[0].moment == 8, "batch 5 ends at 6, and its labels are in at 8"


def test_a_training_that_fails_leaves_the_version_and_holds_back_as_one_that_succeeds() -> None:
    lost = {(3, batch): 0.60 for batch in range(4, 12)}
    world = Scripted(timeline(12), lost, failing=(5,))
    walked = walk("rules", world.timeline, began(world, 3), Rules(cooldown=2 * WEEK), world)
    failed = next(step for step in walked.steps if step.failed)
    assert (failed.moment, failed.retrain, failed.failed) == (5, True, "no memory")
    assert [step.moment for step in walked.retrained] == [7], "asked for again after the cooldown"
    assert moments(walked.versions) == [3, 3, 3, 3, 7, 7, 7, 7, 7]
    assert "a retrain was asked for 7 days ago" in walked.steps[2].told


@settings(deadline=None)
@given(st.integers(3, 20), st.integers(0, 30), st.integers(1, 3), st.sampled_from(["once", "rules", "every-batch"]), st.data())
def test_nobody_looks_at_or_learns_from_what_is_not_over(batches: int, days: int, holdout: int, way: str, data: st.DataObject) -> None:
    known = timeline(batches, delay=timedelta(days=days), holdout=holdout)
    if known.earliest is None:
        return
    first = data.draw(st.integers(known.earliest, batches - 1))
    values = {
        (version, batch): data.draw(st.sampled_from([0.75, 0.6]))
        for version in range(first, batches)
        for batch in range(version, batches)
        if way == "rules"
    }
    world = Scripted(known, values)
    walked = walk(way, known, began(world, first), Rules(), world)  # type: ignore[arg-type]
    assert len(walked.versions) == batches - first
    for batch, version in enumerate(walked.versions, start=first):
        assert version.moment <= batch, "who answers a batch was trained before it begins"
        learnt, held = known.learnt(version.moment), known.held_out(version.moment)
        assert len(learnt) > 0
        assert len(held) == holdout
        assert max(learnt) < min(held)
        assert known.windows[max(held)].end + known.delay <= known.at(version.moment)
    for version_at, batch, moment in world.looked:
        assert version_at <= batch < moment


# What is known when.


def rows(count: int, seed: int, weeks: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at = pd.to_datetime(START) + pd.to_timedelta(rng.uniform(0, weeks * 7 * 86_400, count), unit="s")
    return pd.DataFrame({"id": np.arange(count), "at": at.as_unit("us"), "x": rng.normal(size=count), "y": rng.integers(0, 2, count)})


def past(folder: Path, table: pd.DataFrame, *, delay: timedelta = timedelta(), now: datetime = NEVER, batch: str = "7d") -> Past:
    table.to_parquet(folder / "history.parquet", index=False)
    pieces = folder / "pieces"
    pieces.mkdir(exist_ok=True)
    for old in pieces.iterdir():
        old.unlink()
    columns = Columns(key="id", target="y", time="at", known_at="known-at")
    return cut(open_table("history.parquet", folder), columns, batch, delay, now, pieces)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(0, 2**20), st.integers(0, 20), st.integers(1, 5))
def test_no_label_of_the_future_is_ever_written(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, days: int, moment: int
) -> None:
    """Labels come at any time, also before their row (a wrong clock), or nobody says when."""
    folder = tmp_path_factory.mktemp("past")
    table = rows(count, seed)
    rng = np.random.default_rng(seed + 1)
    delays = pd.to_timedelta(rng.uniform(-5 * 86_400, 40 * 86_400, count), unit="s")
    table["known-at"] = (table["at"] + delays).where(rng.random(count) < 0.8)
    table.loc[rng.random(count) < 0.1, "y"] = None
    labelled = table[table["y"].notna()]
    if labelled.empty:
        return
    delay = timedelta(days=days)
    cut_up = past(folder, table, delay=delay)
    known = Timeline(cut_up.windows, delay, 1)
    moment = min(moment, len(cut_up.windows) - 1)
    now = known.at(moment)
    out = folder / "out.parquet"
    out.unlink(missing_ok=True)
    batches = range(known.complete(moment))
    written = cut_up.write(out, batches, now)
    inside = labelled[(labelled["at"] >= cut_up.windows[0].start) & (labelled["at"] < known.at(len(batches)))]
    known_at = inside["known-at"].fillna(inside["at"] + delay)
    expected = set(inside.loc[(known_at <= now) & (inside["at"] <= now), "id"])
    found = pq.read_table(out) if out.exists() else None
    assert set(found.column("id").to_pylist() if found else []) == expected
    assert written == len(expected)
    if found is not None:
        assert found.column_names == ["id", "at", "x", "y"], "when a label came is no feature"
    for batch in range(len(cut_up.windows)):
        count_known, keys = cut_up.known(batch, now)
        of_batch = labelled[(labelled["at"] >= cut_up.windows[batch].start) & (labelled["at"] < cut_up.windows[batch].end)]
        at = of_batch["known-at"].fillna(of_batch["at"] + delay)
        theirs = set(of_batch.loc[(at <= now) & (of_batch["at"] <= now), "id"])
        assert count_known == len(theirs)
        assert keys is None or set(keys.to_pylist()) == {str(key) for key in theirs}


def test_every_labelled_row_is_in_one_batch_and_the_others_are_told_of(tmp_path: Path) -> None:
    table = rows(500, 1)
    table.loc[:9, "y"] = None
    table.loc[10:12, "at"] = None
    now = START + 4 * WEEK
    cut_up = past(tmp_path, table, now=now)
    out = tmp_path / "out.parquet"
    cut_up.write(out, range(len(cut_up.windows)))
    found = pq.read_table(out)
    kept = table[table["y"].notna() & table["at"].notna() & (table["at"] <= now)]
    assert sorted(found.column("id").to_pylist()) == sorted(kept["id"])
    assert sum(cut_up.rows) == len(kept)
    assert cut_up.windows[-1].end <= now + WEEK
    told = " ".join(cut_up.notices)
    assert "3 rows of the history without a time" in told
    assert "without truth" in told
    assert "from the future" in told


def test_what_comes_after_the_end_that_was_asked_for_is_nothing_odd(tmp_path: Path) -> None:
    table = rows(200, 5)
    table.to_parquet(tmp_path / "history.parquet", index=False)
    columns = Columns(key="id", target="y", time="at", known_at="known-at")
    until = START + 2 * WEEK
    cut_up = cut(open_table("history.parquet", tmp_path), columns, "7d", timedelta(), NEVER, tmp_path, until)
    assert sum(cut_up.rows) == (table["at"] < until).sum()
    assert cut_up.windows[-1].end == until
    assert not cut_up.notices


def test_tables_are_written_as_csv_too(tmp_path: Path) -> None:
    table = rows(50, 2)
    table["kind"] = pd.Categorical(np.where(table["x"] > 0, "a", "b"))
    cut_up = past(tmp_path, table)
    cut_up.write(tmp_path / "out.csv", range(len(cut_up.windows)))
    read = pd.read_csv(tmp_path / "out.csv").set_index("id").sort_index()
    assert list(read["kind"]) == list(table["kind"])
    assert np.allclose(read["x"], table["x"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"at": None}, "has no column `at` (`backtest.time`)"),
        ({"y": None}, "has no column `y` (`data.target`)"),
        ({"id": None}, "has no column `id` (`data.key`)"),
        ({"at": "soon"}, "holds text that is no time"),
        ({"at": pd.Timestamp("2200-01-01")}, "has no row with a time in `at` that has come"),
    ],
)
def test_a_history_that_cannot_be_walked_through_is_refused(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    table = rows(20, 3)
    for name, value in change.items():
        table = table.drop(columns=name) if value is None else table.assign(**{name: value})
    with pytest.raises(BadInput, match=problem.replace("(", r"\(").replace(")", r"\)")):
        past(tmp_path, table)


def test_too_many_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"more than {MOST_BATCHES:,} batches of 1m"):
        past(tmp_path, rows(50, 4), batch="1m")


# Batches of a month.


@given(st.datetimes(datetime(1, 2, 1), datetime(9998, 12, 1)))
def test_a_moment_lies_in_its_month(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    start = start_of("month", at)
    assert (start.day, start.hour, start.minute, start.second, start.microsecond) == (1, 0, 0, 0, 0)
    assert start <= at < moved("month", start, 1)
    assert moved("month", moved("month", start, 1), -1) == start


def test_a_month_after_a_day_that_the_next_one_lacks() -> None:
    assert moved("month", datetime(2026, 1, 31, tzinfo=UTC), 1) == datetime(2026, 2, 28, tzinfo=UTC)
    assert moved("month", datetime(2026, 1, 1, tzinfo=UTC), -1) == datetime(2025, 12, 1, tzinfo=UTC)


def test_keys_of_any_type_are_compared_as_text() -> None:
    import pyarrow as pa

    assert as_text(pa.array([7, 8])).to_pylist() == ["7", "8"]
    assert as_text(pa.array(["a", "b"]).dictionary_encode()).to_pylist() == ["a", "b"]
