"""Monitoring one batch: what is looked at, what follows from it, and what becomes of input that is not what it should be."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.config import Limit, load_config, seconds_of
from modelship.core.errors import BadInput, ExitCode
from modelship.core.records import DataFile, MonitorRecord, TrainRecord, encode, read_record
from modelship.core.run_directory import RunDirectory
from modelship.gate.judge import judge_paired
from modelship.gate.rows.intervals import Estimate, compare_apart, estimate
from modelship.gate.rows.measures import find_measure
from modelship.gate.rows.paired import Answers, Paired
from modelship.monitoring import answers
from modelship.monitoring.keys import draw
from modelship.monitoring.monitor import Asked, find_version, monitor, reference_notices
from modelship.monitoring.performance import _rows_to_decide
from modelship.monitoring.windows import choose_window
from tests.production import END, NOW, START, Production, became, logged, people

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def look(production: Production, **asked: str) -> tuple[MonitorRecord, ExitCode]:
    """The record of the batch, without quality and drift, which take seconds."""
    production.config["data"].pop("reference", None)
    path = production.write()
    loaded = load_config(path)
    given = {"since": "2026-11-02", "now": NOW.isoformat(), "version": "7", "baseline": str(production.folder / "release"), **asked}
    record, code = monitor(loaded, RunDirectory(production.folder / ".modelship"), Asked(**given), path, {})
    # What is written must be readable again, by whoever decides from it.
    (production.folder / "record.json").write_bytes(encode(record))
    assert read_record(production.folder / "record.json", "monitor") == record
    return record, code


def refusal(production: Production, **asked: str) -> str:
    with pytest.raises(BadInput) as caught:
        look(production, **asked)
    return str(caught.value)


# Which batch.


@pytest.mark.parametrize(
    ("batch", "now", "start", "end"),
    [
        ("7d", "2026-11-27T12:00+00:00", "2026-11-16", "2026-11-23"),
        ("1w", "2026-11-23T00:00+00:00", "2026-11-16", "2026-11-23"),
        ("1d", "2026-11-27T12:00+00:00", "2026-11-26", "2026-11-27"),
        ("6h", "2026-11-27T13:30+02:00", "2026-11-27T00:00", "2026-11-27T06:00"),
    ],
)
def test_the_newest_complete_batch_is_taken(batch: str, now: str, start: str, end: str) -> None:
    window = choose_window(batch, None, None, datetime.fromisoformat(now))
    assert (window.start, window.end) == tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))


@given(st.sampled_from(["30m", "6h", "1d", "3d", "2w"]), st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1)))
@settings(deadline=None)
def test_batches_follow_each_other_without_a_gap(batch: str, moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    window = choose_window(batch, None, None, now)
    length = timedelta(seconds=seconds_of(batch))
    assert window.end <= now < window.end + length
    assert window.end - window.start == length
    assert choose_window(batch, None, None, window.start + length / 2).end == window.start


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("yesterday", None, "which is no time"),
        ("2026-11-09", "2026-11-02", "is not after"),
        (None, "2027-01-01", "more predictions are to come"),
    ],
)
def test_a_batch_that_is_none_is_refused(since: str | None, until: str | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        choose_window("7d", since, until, NOW)


# Keys.


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=30))
@settings(deadline=None)
def test_equal_keys_draw_equal_numbers_wherever_they_stand(texts: list[str | None]) -> None:
    whole = draw(pa.array(texts, pa.string()))
    assert len(whole) == len(texts)
    sliced = draw(pa.array(["x", *texts], pa.string()).slice(1))
    assert (whole == sliced).all()
    by_text: dict[str, set[int]] = {}
    for text, number in zip(texts, whole.tolist(), strict=True):
        by_text.setdefault(text or "", set()).add(number)
    assert all(len(numbers) == 1 for numbers in by_text.values())
    assert len({next(iter(numbers)) for numbers in by_text.values()}) == len(by_text)


def test_numbers_are_spread_evenly_whatever_the_keys() -> None:
    for keys in (pa.array(range(100_000)), pa.array([f"user-{number}" for number in range(100_000)])):
        share = draw(keys) / 2.0**64
        counts, _ = np.histogram(share, bins=20, range=(0, 1))
        assert abs(counts - 5000).max() < 5 * np.sqrt(5000)


# Performance.


def test_a_calm_batch_passes_and_says_what_was_promised(folder: Path) -> None:
    record, code = look(Production(folder))
    assert (record.status, code) == ("pass", ExitCode.PASS)
    assert record.batch
    assert record.performance
    (promise,), (measured,), (verdict,) = record.promises, record.batch.measured, record.performance.metrics
    assert (promise.metric, promise.better, promise.max_loss) == ("roc_auc", "higher", 0.03)
    assert (verdict.baseline, verdict.candidate) == (promise.value, measured.value)
    assert (record.batch.rows, record.batch.labelled, record.batch.is_complete) == (4000, 4000, True)
    assert record.labels
    assert record.labels.median_delay == pytest.approx(3 * 86_400)
    assert record.labels.late == 0
    assert record.performance.slices
    assert {one.slice["plan"] for one in record.performance.slices.verdicts} == {"basic", "plus"}


def test_a_proven_loss_fails_overall_and_by_slice(folder: Path) -> None:
    record, code = look(Production(folder, noise=4.0))
    assert (record.status, code) == ("fail", ExitCode.VERDICT_NO)
    assert "limit 0.03" in record.summary
    assert record.performance
    assert record.performance.slices
    assert all(one.verdict.state == "fail" for one in record.performance.slices.verdicts)


def test_a_loss_that_is_not_proven_warns_and_says_how_many_rows_would_tell(folder: Path) -> None:
    production = Production(folder, rows=400, noise=1.6)
    production.config["gate"]["slices"] = []
    record, code = look(production)
    assert record.performance
    (verdict,) = record.performance.metrics
    assert (record.status, code, verdict.state) == ("warn", ExitCode.PASS, "inconclusive")
    assert (verdict.rows_to_decide or 0) > 400


def test_a_loss_beyond_the_limit_of_one_slice_alone_is_found(folder: Path) -> None:
    production = Production(folder, rows=8000)
    broken = production.rows["plan"] == "plus"
    scores = np.where(broken, 1 - production.rows["score"], production.rows["score"])
    production.log = production.log.assign(score=scores)
    production.config["monitor"]["metrics"] = {"brier_score_loss": {"max-loss": 0.2}}
    record, code = look(production)
    assert record.performance
    assert record.performance.slices
    states = {one.slice["plan"]: one.verdict.state for one in record.performance.slices.verdicts}
    assert states["basic"] == "pass"
    production.config["monitor"]["metrics"] = {"brier_score_loss": {"max-loss": 0.05}}
    record, code = look(production)
    assert record.performance
    assert record.performance.slices
    states = {one.slice["plan"]: one.verdict.state for one in record.performance.slices.verdicts}
    assert (states, code) == ({"basic": "pass", "plus": "fail"}, ExitCode.VERDICT_NO)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Two samples of one world: the interval of the difference holds zero in about 95 of 100 draws."""
    measure = find_measure("roc_auc")
    assert measure

    def sample(seed: int, rows: int) -> Paired:
        found = people(rows, seed)
        answers = Answers(None, found["score"].to_numpy())
        return Paired("classification", "id", None, found["left"].to_numpy(), (0, 1), 1, answers, answers)

    inside = 0
    for seed in range(200):
        low, high = compare_apart(
            measure, estimate(measure, sample(2 * seed, 300)), estimate(measure, sample(2 * seed + 1, 900))
        ).interval(0.95)
        inside += low <= 0 <= high
    assert inside >= 182  # Of 200 at 95 %: fewer has a chance of less than 1 in 100.


@given(st.integers(2, 40), st.integers(2, 400), st.floats(0, 1), st.floats(0, 1))
def test_where_rows_cannot_tell_more_of_them_would(now: int, before: int, wrong_now: float, wrong_before: float) -> None:
    measure = find_measure("accuracy")
    assert measure

    def alone(n: int, wrong: int) -> Estimate:
        answers = Answers((np.arange(n) < wrong).astype(np.intp))
        return estimate(measure, Paired("classification", "id", None, np.zeros(n, np.intp), (0, 1), 1, answers, answers))

    sides = alone(now, round(now * wrong_now)), alone(before, round(before * wrong_before))
    compared = compare_apart(measure, *sides)
    verdict = judge_paired("accuracy", Limit(max_regression=0.01), "higher", compared, 0.95)
    rows = _rows_to_decide(verdict, compared, sides[1], 0.95)
    assert rows is None or (verdict.state == "inconclusive" and rows > now)


# Labels.


def test_without_labels_there_is_no_verdict_on_performance_but_what_was_promised(folder: Path) -> None:
    production = Production(folder)
    production.truth = production.truth.iloc[:0]
    before, code = look(production, now=(END + DAY).isoformat())
    assert (before.status, code, before.performance) == ("pass", ExitCode.PASS, None)
    assert before.promises
    assert before.batch
    assert (before.batch.labelled, before.batch.is_complete) == (0, False)
    assert any("is expected by 2026-11-23" in notice for notice in before.notices)
    late, code = look(production)
    assert (late.status, code) == ("warn", ExitCode.PASS)


def test_a_loss_among_the_first_labels_warns_until_the_others_are_there(folder: Path) -> None:
    production = Production(folder, noise=4.0)
    record, code = look(production, now=(END + DAY).isoformat())
    assert record.batch
    assert not record.batch.is_complete
    assert 0 < record.batch.labelled < record.batch.rows
    assert (record.status, code) == ("warn", ExitCode.PASS)
    assert "so far" in record.summary
    assert look(production)[1] is ExitCode.VERDICT_NO


def test_what_became_known_after_now_is_not_known(folder: Path) -> None:
    production = Production(folder)
    now = START + timedelta(days=8)
    record, _ = look(production, now=now.isoformat())
    known = int((production.truth["known-at"] <= pd.Timestamp(now)).sum())
    assert record.batch
    assert record.batch.labelled == known


def test_of_repeated_labels_the_last_one_known_counts_and_late_ones_are_told(folder: Path) -> None:
    production = Production(folder)
    corrected = production.truth.iloc[:1000].assign(left=1 - production.truth["left"].iloc[:1000])
    production.truth = pd.concat([production.truth, corrected.assign(**{"known-at": corrected["known-at"] + 15 * DAY})])
    again, _ = look(production)
    assert again.labels
    assert (again.labels.labelled, again.labels.repeated, again.labels.conflicting, again.labels.late) == (4000, 1000, 0, 1000)
    flipped = Production.__new__(Production)
    flipped.__dict__.update(production.__dict__)
    flipped.truth = pd.concat([corrected, production.truth.iloc[1000:4000]])
    once, _ = look(flipped)
    assert again.batch
    assert once.batch
    assert again.batch.measured == once.batch.measured


def test_labels_that_contradict_each_other_count_as_none_where_nothing_says_which_is_the_last(folder: Path) -> None:
    production = Production(folder)
    first = production.truth.drop(columns="known-at")
    production.truth = pd.concat([first, first.iloc[:10].assign(left=1 - first["left"].iloc[:10]), first.iloc[10:30]])
    record, code = look(production)
    assert record.labels
    assert (record.labels.labelled, record.labels.repeated, record.labels.conflicting) == (3990, 30, 10)
    assert (record.status, code) == ("warn", ExitCode.PASS)


def test_a_key_that_was_answered_again_counts_once_by_its_last_answer(folder: Path) -> None:
    production = Production(folder)
    first, _ = look(production)
    early = production.log.iloc[-500:].assign(score=0.5)
    early["predicted-at"] -= pd.Timedelta(hours=1)
    production.log = pd.concat([production.log, early])
    second, _ = look(production)
    assert first.batch
    assert second.batch
    assert (second.batch.rows, second.batch.measured) == (4500, first.batch.measured)


def test_keys_that_are_text_in_one_table_and_numbers_in_the_other_meet(folder: Path) -> None:
    production = Production(folder)
    whole, _ = look(production)
    production.truth = production.truth.assign(id=production.truth["id"].astype(str))
    record, _ = look(production)
    assert record.batch == whole.batch


# Logs that are not what they should be.


def test_rows_of_other_versions_and_models_do_not_count(folder: Path) -> None:
    production = Production(folder)
    other = people(50, 9)
    production.log = pd.concat([production.log, logged(other, version=6), logged(other).assign(model="else")])
    record, _ = look(production)
    assert record.batch
    assert (record.batch.rows, record.other_versions) == (4000, {"6": 50})


def test_a_version_that_answered_nothing_is_refused_with_those_that_did(folder: Path) -> None:
    assert "there are v7 (4,000 rows)" in refusal(Production(folder), version="8")


def test_an_empty_batch_is_refused_with_the_newest_row(folder: Path) -> None:
    said = refusal(Production(folder), since="2026-11-09")
    assert "holds no prediction from 2026-11-09 to 2026-11-16; the newest is of 2026-11-08" in said
    (folder / "x").mkdir()
    empty = Production(folder / "x")
    empty.log = empty.log.iloc[:0]
    assert "holds no prediction" in refusal(empty)


def test_rows_from_the_future_are_left_out_and_told(folder: Path) -> None:
    production = Production(folder)
    production.log.loc[:9, "predicted-at"] = pd.Timestamp(NOW + DAY)
    record, code = look(production)
    assert record.batch
    assert (record.batch.rows, record.status, code) == (3990, "warn", ExitCode.PASS)
    assert any("is a clock wrong" in notice for notice in record.notices)
    production.log["predicted-at"] = pd.Timestamp(NOW + DAY)
    assert "4,000 rows are from the future" in refusal(production)


def test_rows_without_a_key_or_a_time_are_told(folder: Path) -> None:
    production = Production(folder)
    production.log["id"] = production.log["id"].astype("Int64")
    production.log.loc[:4, "id"] = pd.NA
    production.log.loc[5:7, "predicted-at"] = pd.NaT
    record, _ = look(production)
    assert record.batch
    assert record.batch.rows == 3997
    assert [notice.split(" ", 2)[:2] for notice in record.notices[:2]] == [["3", "rows"], ["5", "rows"]]


@pytest.mark.parametrize(
    ("column", "said"),
    [("id", "has no column `id`"), ("version", "`monitor.columns.version`"), ("predicted-at", "`monitor.columns.time`")],
)
def test_a_log_without_a_column_that_is_needed_is_refused(folder: Path, column: str, said: str) -> None:
    production = Production(folder)
    production.log = production.log.drop(columns=column)
    assert said in refusal(production)


def test_times_and_answers_of_the_wrong_kind_are_refused(folder: Path) -> None:
    production = Production(folder)
    good = production.log
    production.log = good.assign(**{"predicted-at": "soon"})
    assert "holds text that is no time" in refusal(production)
    production.log = good.assign(score=good["score"].astype(str) + "!")
    assert "score" in refusal(production)
    production.log = good.drop(columns=["score", "prediction"])
    assert "neither `prediction` nor `score`" in refusal(production)


def test_a_truncated_log_file_is_refused_by_its_name(folder: Path) -> None:
    production = Production(folder)
    look(production)
    path = folder / "log.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"log\.parquet.*cannot be read as Parquet"):
        monitor(
            load_config(folder / "modelship.yaml"),
            RunDirectory(folder / ".modelship"),
            Asked(since="2026-11-02", now=NOW.isoformat(), version="7", baseline=str(folder / "release")),
            folder / "modelship.yaml",
            {},
        )


def test_a_log_that_a_service_wrote_is_read_while_it_writes(folder: Path) -> None:
    production = Production(folder, rows=300)
    production.write_as_lines()
    production.truth = production.truth.drop(columns="known-at")
    with (folder / "log/x.jsonl.open").open("w") as file:
        file.write('{"predicted-at": "2026-')
    today = datetime.now(UTC)
    since, until = (today - DAY).isoformat(), (today + timedelta(seconds=1)).isoformat()
    record, _ = look(production, since=since, until=until, now=(today + DAY).isoformat())
    assert record.batch
    assert (record.batch.rows, record.batch.labelled) == (300, 300)
    assert record.batch.measured


# Configuration.


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"roc_acu": {"max-loss": 0.1}}, "roc_auc"),
        ({"roc_auc": {"max-loss": 0.1}, "r2": {"max-loss": 1}}, "metrics of classes and of numbers"),
    ],
)
def test_metrics_that_cannot_be_watched_are_refused(folder: Path, metrics: dict[str, Any], said: str) -> None:
    production = Production(folder)
    production.config["monitor"]["metrics"] = metrics
    assert said in refusal(production)


def test_without_a_release_to_hold_it_against_nothing_is_judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    production = Production(folder)
    path = production.write()
    with pytest.raises(BadInput, match="what the live version promised"):
        monitor(load_config(path), RunDirectory(folder / ".modelship"), Asked(since="2026-11-02", now=NOW.isoformat()), path, {})
    assert "needs `--version`" in refusal(production, version="")


def test_a_reference_that_is_not_what_the_version_learned_from_is_told(folder: Path) -> None:
    production = Production(folder)
    loaded = load_config(production.write())
    release, table = folder / "release", folder / "train.parquet"
    asked = Asked(version="v7", baseline=str(release))

    def notices(digest: str) -> tuple[datetime | None, list[str]]:
        data = (DataFile(path="train.parquet", hash=f"md5:{digest}"),)
        trained = TrainRecord(status="pass", summary="trained", data=data, commit="ab" * 20, started_at="2026-10-01T06:00:00+00:00")
        (release / "train.json").write_bytes(encode(trained))
        version = find_version(loaded, asked)
        return version.released, reference_notices(loaded, version)

    released = datetime(2026, 10, 1, 6, tzinfo=UTC)
    assert notices(hashlib.md5(table.read_bytes()).hexdigest()) == (released, [])
    (found,) = notices("0" * 32)[1]
    assert found.startswith("`train.parquet` here is not what v7 learned from")
    assert "Check abababa out" in found


@pytest.mark.parametrize("slices", ["auto", ["plan", "region"], [["plan", "region"]]])
def test_slices_that_only_the_release_knows_are_told(folder: Path, slices: Any) -> None:
    production = Production(folder)
    path = folder / "release/predictions.parquet"
    pd.read_parquet(path).assign(region="north").to_parquet(path, index=False)
    production.config["gate"]["slices"] = slices
    record, _ = look(production)
    assert record.performance
    names = {name for one in (record.performance.slices.verdicts if record.performance.slices else ()) for name in one.slice}
    assert "region" not in names
    assert any("region" in notice for notice in record.performance.notices) == (slices != "auto")


# Sampling.


def test_a_sample_of_keys_gives_about_what_all_rows_give_and_does_not_depend_on_their_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = Production(folder, rows=20_000)
    whole, _ = look(production)
    monkeypatch.setattr(answers, "MOST_ROWS", 5000)
    monkeypatch.setattr(answers, "MOST_WIDE_ROWS", 1000)
    sampled, _ = look(production)
    production.log = production.log.sample(frac=1, random_state=0)
    shuffled, _ = look(production)
    assert sampled.batch
    assert whole.batch
    assert sampled.batch == shuffled.batch
    assert (sampled.batch.rows, sampled.batch.measured[0].rows) == (20_000, 5000)
    assert abs(sampled.batch.measured[0].value - whole.batch.measured[0].value) < 4 * sampled.batch.measured[0].standard_error
    assert "performance on 5,000 of 20,000 rows, quality and drift on 1,000" in sampled.sampling
    assert json.loads(encode(sampled))["batch"]["labelled"] == 20_000


def as_lines(production: Production) -> None:
    """Write the log as JSON lines in several files, with an infinite number and a missing one."""
    (production.folder / "log").mkdir(exist_ok=True)
    frame = production.log.assign(**{"predicted-at": production.log["predicted-at"].astype(str).str.replace(" ", "T")})
    rows = json.loads(frame.to_json(orient="records"))
    for start in range(0, len(rows), 1500):
        text = "\n".join(json.dumps(row) for row in rows[start : start + 1500]).replace('"age": 40.5', '"age": 1e999')
        (production.folder / f"log/{start:06d}.jsonl").write_text(text + "\n")
    production.config["monitor"]["predictions"] = "log"


@pytest.mark.parametrize("most", [1000, 500_000])
def test_json_lines_give_what_parquet_gives(folder: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    production = Production(folder)
    production.log = pd.concat([production.log, production.log.iloc[:7].assign(score=0.5), logged(people(40, 9), version=6)])
    production.log["score"] = production.log["score"].round(6)
    monkeypatch.setattr(answers, "MOST_ROWS", most)
    parquet, _ = look(production)
    as_lines(production)
    lines, _ = look(production)
    assert lines.batch
    assert parquet.batch
    assert (lines.batch.rows, lines.other_versions) == (parquet.batch.rows, parquet.other_versions) == (4007, {"6": 40})
    assert abs(lines.batch.measured[0].rows - min(most, 4000)) <= 10  # Keys are counted there, rows here.
    if most > 4000:
        assert lines.batch.measured[0].value == pytest.approx(parquet.batch.measured[0].value)


def test_json_lines_without_a_column_that_is_needed_are_refused(folder: Path) -> None:
    production = Production(folder, rows=20)
    production.log = production.log.drop(columns="version")
    as_lines(production)
    assert "has no column `version` (`monitor.columns.version`)" in refusal(production)
    (folder / "log/000000.jsonl").write_text("{")
    assert "log/000000.jsonl:1: is no JSON" in refusal(production)


def test_labels_of_other_batches_are_left_out(folder: Path) -> None:
    production = Production(folder)
    alone, _ = look(production)
    strangers = people(30_000, 8)
    production.truth = pd.concat([became(logged(strangers), strangers), production.truth])
    among, _ = look(production)
    assert among.batch == alone.batch
