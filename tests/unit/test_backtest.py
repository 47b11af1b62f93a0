"""What a backtest concludes, how it is shown, and how its results are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelship.core.records import BacktestBatch, BacktestRecord, BacktestStep, BacktestValue, BacktestWay
from modelship.gate.comparison import Comparison
from modelship.monitoring.backtest import _pooled, cache_folder, concluded
from modelship.monitoring.rehearsal import Kept
from modelship.reporting.backtest import WIDTH, draw, headline
from modelship.reporting.html import render_page
from modelship.reporting.markdown import render
from modelship.reporting.report import Facts, build_report
from modelship.reporting.terminal import render_record

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
SPAN = "over 3 batches from 2026-01-05 to 2026-01-26"


def value(middle: float, half: float, metric: str = "roc_auc") -> BacktestValue:
    return BacktestValue(metric=metric, value=middle, low=middle - half, high=middle + half)


def way(
    name: str, values: Sequence[float], asked: Sequence[int] = (), failed: Sequence[int] = (), gained: BacktestValue | None = None
) -> BacktestWay:
    """One way through so many weeks; training was asked for before the weeks in `asked`."""
    trained = 0
    batches, steps = [], []
    for number, middle in enumerate(values):
        if number:
            is_asked = number in (*asked, *failed)
            why = "no memory" if number in failed else ""
            steps.append(BacktestStep(at=START + number * WEEK, retrain=is_asked, told="performance: it fell", failed=why))
            trained = number if number in asked else trained
        batches.append(
            BacktestBatch(
                start=START + number * WEEK,
                end=START + (number + 1) * WEEK,
                rows=1_000,
                trained_at=START + trained * WEEK,
                measured=(value(middle, 0.02),),
                gained=(value(0.05, 0.01),) if trained else (value(0.0, 0.0),),
            )
        )
    return BacktestWay(way=name, steps=tuple(steps), batches=tuple(batches), gained=(gained,) if gained else ())  # type: ignore[arg-type]


def record(rules: BacktestWay) -> BacktestRecord:
    return BacktestRecord(
        model="churn",
        status="pass",
        summary=concluded(rules, "roc_auc"),
        confidence=0.95,
        better={"roc_auc": "higher"},
        ways=(way("once", [0.75, 0.60, 0.61]), rules),
    )


# What is concluded.


@pytest.mark.parametrize(
    ("gained", "asked", "failed", "sentence", "title"),
    [
        (
            value(0.021, 0.009),
            [1, 2],
            [],
            f"retraining on 2026-01-12 and 2026-01-19 would have gained 0.021 [0.012, 0.030] roc_auc {SPAN}",
            "retraining would have helped",
        ),
        (
            value(-0.021, 0.009),
            [1],
            [],
            f"retraining on 2026-01-12 would have lost 0.021 [0.012, 0.030] roc_auc {SPAN}",
            "retraining would have done harm",
        ),
        (
            value(0.004, 0.007),
            [1],
            [],
            f"whether retraining on 2026-01-12 would have helped cannot be told: roc_auc +0.004 [−0.003, +0.011] {SPAN}",
            "whether retraining would have helped cannot be told",
        ),
        (
            value(0.0, 0.0),
            [],
            [],
            "nothing would have asked for a retrain in 3 batches from 2026-01-05 to 2026-01-26",
            "nothing would have asked for a retrain",
        ),
        (
            value(0.0, 0.0),
            [],
            [1],
            "no retrain gave a model in 3 batches from 2026-01-05 to 2026-01-26",
            "whether retraining would have helped cannot be told",
        ),
        (
            None,
            [1],
            [],
            "retraining on 2026-01-12: roc_auc is not defined in 3 batches from 2026-01-05 to 2026-01-26",
            "whether retraining would have helped cannot be told",
        ),
    ],
)
def test_the_summary_is_no_surer_than_the_data(
    gained: BacktestValue | None, asked: list[int], failed: list[int], sentence: str, title: str
) -> None:
    rules = way("rules", [0.75, 0.70, 0.71], asked, failed, gained)
    assert concluded(rules, "roc_auc") == sentence
    assert headline(record(rules)) == title


def test_many_retrains_are_not_all_listed() -> None:
    rules = way("rules", [0.7] * 12, range(1, 12), gained=value(0.02, 0.01))
    assert "2026-02-09 and 6 more moments would have gained" in concluded(rules, "roc_auc")


@given(st.lists(st.tuples(st.integers(2, 10_000), st.floats(-1, 1), st.floats(0.001, 1)), min_size=1, max_size=20))
def test_all_batches_together_are_their_mean_by_rows(found: list[tuple[int, float, float]]) -> None:
    compared = [Comparison("roc_auc", 0.5, 0.5 + change, change, error, rows, rows, 0.0, rows, "") for rows, change, error in found]
    pooled = _pooled("roc_auc", compared, 0.95)
    total = sum(rows for rows, _, _ in found)
    assert math.isclose(pooled.value, sum(rows * change for rows, change, _ in found) / total, abs_tol=1e-12)
    assert math.isclose(pooled.value - pooled.low, pooled.high - pooled.value, abs_tol=1e-12)
    least = 1.95 * math.sqrt(sum((rows * error) ** 2 for rows, _, error in found)) / total
    assert pooled.high - pooled.value >= least, "no narrower than the errors of the batches say"
    assert pooled.high - pooled.value <= 1.97 * max(one.widened_error for one in compared)


@given(st.integers(2, 50), st.floats(-1, 1), st.floats(0.001, 1))
def test_one_batch_alone_has_its_own_interval(rows: int, change: float, error: float) -> None:
    alone = Comparison("roc_auc", 0.5, 0.5 + change, change, error, rows, rows, 0.0, rows, "", freedom=rows - 1)
    pooled = _pooled("roc_auc", [alone], 0.95)
    assert (pooled.low, pooled.high) == pytest.approx(alone.interval(0.95), abs=1e-9)


# How it is shown.


def test_every_renderer_tells_the_same() -> None:
    told = record(way("rules", [0.75, 0.70, 0.71], [1], [2], value(0.021, 0.009)))
    report = build_report("churn", {"backtest": told}, Facts())
    assert report.headline == "retraining would have helped"
    page, comment, terminal = render_page(report), render(report), render_record(told)
    for shown in (page, comment, terminal):
        for part in ("0.7000", "0.6000", "2026-01-12", "train", "performance: it fell"):
            assert part in shown.replace("&nbsp;", " "), part
    assert page.count("<svg") == 1
    assert "○ trained once" in comment
    assert "○ trained once" in terminal
    assert "no memory" in page


def test_a_backtest_does_not_stand_in_for_the_gate_of_a_pull_request() -> None:
    told = record(way("rules", [0.75, 0.70, 0.71], [1], gained=value(0.021, 0.009)))
    report = build_report("churn", {"backtest": told}, Facts(in_pull_request=True))
    assert report.conclusion == "failure"


@given(*[st.floats(0, 1)] * 4)
def test_both_values_are_drawn_where_they_are(once: float, low: float, middle: float, high: float) -> None:
    low, middle, high = sorted((low, middle, high))
    drawn = draw(value(once, 0.0), BacktestValue(metric="roc_auc", value=middle, low=low, high=high), 0.0, 1.0)
    assert len(drawn) == WIDTH
    assert drawn.count("●") == 1
    assert drawn.index("●") == round(middle * (WIDTH - 1))
    assert drawn.count("○") == (round(once * (WIDTH - 1)) != round(middle * (WIDTH - 1)))


# How results are kept.


def test_what_was_kept_is_found_by_what_it_came_from_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "cache")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    assert kept.find("models", {"rows": "a", "code": 1}) is None
    path = kept.keep("models", {"rows": "a", "code": 1}, model)
    assert kept.find("models", {"code": 1, "rows": "a"}) == path
    assert kept.find("models", {"code": 2, "rows": "a"}) is None
    assert kept.find("parquet", {"code": 1, "rows": "a"}) is None
    (model / "weights").write_text("2")
    assert (kept.keep("models", {"rows": "a", "code": 1}, model) / "weights").read_text() == "1", "another run was here first"
    assert [child.name for child in path.parent.iterdir()] == [path.name], "nothing unfinished stays"


def test_where_results_are_kept(tmp_path: Path) -> None:
    assert cache_folder("here", {}) == Path("here")
    assert cache_folder(None, {"MODELSHIP_CACHE": "/a"}) == Path("/a/backtest")
    assert cache_folder(None, {"RUNNER_TOOL_CACHE": "/b", "XDG_CACHE_HOME": "/c"}) == Path("/b/modelship/backtest")
    assert cache_folder(None, {}) == Path.home() / ".cache" / "modelship" / "backtest"
