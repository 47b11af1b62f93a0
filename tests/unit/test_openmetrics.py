"""What records become as metrics."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as read_plain

from modelship.core.errors import BadInput
from modelship.core.records import (
    AnyRecord,
    ColumnDrift,
    DeployRecord,
    DriftReportRecord,
    MetricVerdict,
    MonitorRecord,
    Promise,
    RetrainRecord,
    RetrainTrigger,
    RollbackRecord,
    Slices,
    SliceVerdict,
    TrainRecord,
)
from modelship.reporting.openmetrics import FAMILIES, MOST_COLUMNS, MOST_SLICES, Exposition, groups_of
from tests.unit.test_reporting_monitor import seen

ROOT = Path(__file__).resolve().parents[2]
AT = "2026-11-27T10:00:00+00:00"

read_openmetrics: Callable[[str], Iterable[Metric]] = text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def promise(metric: str = "roc_auc", better: Any = "higher") -> Promise:
    return Promise(metric=metric, value=0.744, standard_error=0.004, better=better, max_loss=0.02)


def decided(**more: Any) -> RetrainRecord:
    triggers = (
        RetrainTrigger(trigger="performance", fires=True, told="lost"),
        RetrainTrigger(trigger="drift", fires=False, told="none"),
    )
    fields = {"model": "churn", "status": "warn", "summary": "", "version": 7, "started_at": AT, "triggers": triggers, "batches": 4}
    return RetrainRecord(**{**fields, **more})


def deployed(**more: Any) -> DeployRecord:
    return DeployRecord(**{"model": "churn", "status": "pass", "summary": "", "environment": "staging", "started_at": AT, **more})


def text(records: Mapping[str, AnyRecord], **named: str) -> str:
    return Exposition(groups_of(records, **named)).text()


def series(records: Mapping[str, AnyRecord], **named: str) -> Series:
    """Values by name and labels, as an independent reader of OpenMetrics finds them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_openmetrics(text(records, **named))
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    """The one value of that name whose labels include these."""
    (only,) = (value for (known, has), value in found.items() if known == name and labels.items() <= dict(has).items())
    return only


def test_a_batch_is_told_as_its_record_tells_it() -> None:
    found = series({"monitor": seen(state="fail", status="fail", drift=True, broken=True, promises=(promise(),))})
    about = {"model": "churn", "environment": "production", "version": "7", "record": "monitor"}
    metric = {**about, "metric": "roc_auc"}
    assert value(found, "modelship_batch_rows", **about) == 10_000
    assert value(found, "modelship_batch_labelled_rows", **about) == 9_500
    assert value(found, "modelship_batch_other_rows", **about) == 50
    assert value(found, "modelship_batch_complete", **about) == 1
    assert value(found, "modelship_batch_start_timestamp_seconds", **about) == datetime(2026, 11, 2, tzinfo=UTC).timestamp()
    assert value(found, "modelship_label_delay_median_seconds", **about) == 3 * 86_400
    assert value(found, "modelship_performance_value", **metric) == pytest.approx(0.696)
    assert value(found, "modelship_performance_value_lower", **metric) == pytest.approx(0.681)
    assert value(found, "modelship_performance_value_upper", **metric) == pytest.approx(0.711)
    assert value(found, "modelship_performance_promised_value", **metric) == 0.744
    assert value(found, "modelship_performance_allowed_loss", **metric) == 0.02
    assert value(found, "modelship_performance_limit", **metric) == pytest.approx(0.724)
    assert value(found, "modelship_performance_state", **metric, state="fail") == 1
    assert value(found, "modelship_performance_state", **metric, state="pass") == 0
    assert value(found, "modelship_drift", **about) == 1
    assert value(found, "modelship_drifted_columns", **about) == 1
    assert value(found, "modelship_broken_expectations", **about, severity="critical") == 1
    assert value(found, "modelship_broken_expectations", **about, severity="info") == 0
    assert value(found, "modelship_status", model="churn", record="monitor", status="fail") == 1
    assert value(found, "modelship_last_run_timestamp_seconds") == datetime.fromisoformat(AT).timestamp()


def test_where_lower_is_better_the_limit_lies_above_and_the_interval_turns() -> None:
    record = seen(promises=(promise("log_loss", "lower"),))
    assert record.performance
    worse = MetricVerdict(
        metric="log_loss",
        state="fail",
        reason="worse",
        better="lower",
        baseline=0.5,
        candidate=0.6,
        change=-0.1,
        interval=(-0.15, -0.05),
    )
    found = series(
        {"monitor": msgspec.structs.replace(record, performance=msgspec.structs.replace(record.performance, metrics=(worse,)))}
    )
    assert value(found, "modelship_performance_limit") == pytest.approx(0.764)
    assert value(found, "modelship_performance_value_lower") == pytest.approx(0.55)
    assert value(found, "modelship_performance_value_upper") == pytest.approx(0.65)


def test_what_is_not_known_has_no_value() -> None:
    found = series({"monitor": seen(performance=None, labels=None, drift=False, quality=None, promises=(promise(),))})
    names = {name for name, _ in found}
    assert "modelship_performance_promised_value" in names
    absent = {
        "modelship_performance_value",
        "modelship_label_delay_median_seconds",
        "modelship_expectations",
        "modelship_retrain_wanted",
    }
    assert not absent & names
    record = seen()
    assert record.drift
    unmeasured = msgspec.structs.replace(record, drift=DriftReportRecord(status="error", summary="broken"))
    assert "modelship_drift" not in {name for name, _ in series({"monitor": unmeasured})}


def test_an_error_leaves_only_that_it_is_one() -> None:
    found = series({"monitor": MonitorRecord(model="churn", status="error", summary="no log", started_at=AT)})
    assert {name for name, _ in found} == {
        "modelship_status", "modelship_last_run_timestamp_seconds", "modelship_last_run_duration_seconds",
    }  # fmt: skip
    assert value(found, "modelship_status", status="error") == 1


def test_a_decision_is_told() -> None:
    held = decided(in_trouble=True, held_back="cooldown", not_before=datetime(2026, 12, 1, tzinfo=UTC))
    found = series({"retrain": held})
    assert value(found, "modelship_retrain_wanted", model="churn", version="7") == 0
    assert value(found, "modelship_retrain_in_trouble") == 1
    assert value(found, "modelship_retrain_held_back") == 1
    assert value(found, "modelship_retrain_not_before_timestamp_seconds") == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert value(found, "modelship_retrain_trigger", trigger="performance") == 1
    assert value(found, "modelship_retrain_trigger", trigger="drift") == 0
    assert value(found, "modelship_retrain_batches") == 4


def test_of_deployment_and_rollback_the_later_one_says_what_is_live() -> None:
    back = RollbackRecord(
        model="churn", status="pass", summary="", environment="staging", live=7, started_at="2026-11-27T11:00:00+00:00"
    )
    found = series({"deploy": deployed(status="fail", live=8), "rollback": back})
    assert value(found, "modelship_live_version_info", record="deployment", environment="staging", version="7") == 1
    assert value(found, "modelship_status", record="deployment", status="pass") == 1
    found = series({"deploy": deployed(live=None)})
    assert "modelship_live_version_info" not in {name for name, _ in found}


def test_a_named_environment_is_part_of_every_series_and_of_what_tells_groups_apart() -> None:
    records: dict[str, AnyRecord] = {"monitor": seen(), "retrain": decided()}
    assert [group.key for group in groups_of(records)] == [
        {"model": "churn", "record": "monitor"}, {"model": "churn", "record": "retrain"},
    ]  # fmt: skip
    assert [group.key["environment"] for group in groups_of(records, environment="blue")] == ["blue", "blue"]
    assert {dict(labels)["environment"] for _, labels in series(records, environment="blue")} == {"blue"}


def test_nothing_to_tell_is_an_error() -> None:
    with pytest.raises(BadInput, match="no record of `monitor`"):
        groups_of({"train": TrainRecord(model="churn", status="pass", summary="")})
    with pytest.raises(BadInput, match="names no model"):
        groups_of({"retrain": decided(model="")})
    assert groups_of({"retrain": decided(model="")}, model="churn")[0].model == "churn"


def wide(columns: int, slices: int) -> MonitorRecord:
    """A batch with so many columns and slices, the worst of each first."""
    record = seen(promises=(promise(),))
    assert record.drift
    assert record.performance
    (verdict,) = record.performance.metrics
    drift = msgspec.structs.replace(
        record.drift,
        columns=tuple(
            ColumnDrift(column=f"c{number}", kind="numerical", drifted=False, method="x", distance=0.1, threshold=0.2, p_value=1)
            for number in range(columns)
        ),
    )
    told = tuple(SliceVerdict(slice={"carrier": str(number)}, rows=100, verdict=verdict) for number in range(slices))
    performance = msgspec.structs.replace(record.performance, slices=Slices(verdicts=told))
    return msgspec.structs.replace(record, drift=drift, performance=performance)


def test_the_number_of_series_is_bounded_and_what_is_left_out_is_counted() -> None:
    found = series({"monitor": wide(5_000, 300)})
    assert len(found) < 1_000
    assert value(found, "modelship_left_out", kind="column") == 5_000 - MOST_COLUMNS
    assert value(found, "modelship_left_out", kind="slice") == 300 - MOST_SLICES
    assert value(found, "modelship_compared_columns") == 5_000
    told = {dict(labels).get("slice") for name, labels in found if name == "modelship_performance_value"}
    assert told == {None, *(f"carrier={number}" for number in range(MOST_SLICES))}


@settings(deadline=None)
@given(names=st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True))
def test_whatever_a_column_is_called_the_text_can_be_read_and_a_name_is_one_short_line(names: list[str]) -> None:
    record = seen()
    assert record.drift
    columns = tuple(
        ColumnDrift(column=name, kind="numerical", drifted=False, method="x", distance=number, threshold=1, p_value=1)
        for number, name in enumerate(names)
    )
    found = series({"monitor": msgspec.structs.replace(record, drift=msgspec.structs.replace(record.drift, columns=columns))})
    distances = {dict(labels)["column"]: value for (name, labels), value in found.items() if name == "modelship_column_drift_distance"}
    assert sorted(distances.values()) == list(range(len(names)))
    for label in distances:
        assert len(label) <= 110
        assert not any(unicodedata.category(character).startswith(("C", "Zl", "Zp")) for character in label)


def test_what_can_be_shown_as_it_is_stays_and_what_cannot_keeps_apart() -> None:
    record = seen()
    assert record.drift
    names = ['say "hi"', "back\\slash", "a\nb", "a b", "x" * 10_000, "x" * 9_999, "\u202egnp.exe"]
    columns = tuple(
        ColumnDrift(column=name, kind="numerical", drifted=False, method="x", distance=number, threshold=1, p_value=1)
        for number, name in enumerate(names)
    )
    found = series({"monitor": msgspec.structs.replace(record, drift=msgspec.structs.replace(record.drift, columns=columns))})
    labels = {value: dict(has)["column"] for (name, has), value in found.items() if name == "modelship_column_drift_distance"}
    assert (labels[0], labels[1], labels[3]) == ('say "hi"', "back\\slash", "a b")
    assert re.fullmatch(r"a b #[0-9a-f]{8}", labels[2])
    assert re.fullmatch(r"x{99}… #[0-9a-f]{8}", labels[4])
    assert labels[4] != labels[5]
    assert re.fullmatch(r"gnp\.exe #[0-9a-f]{8}", labels[6])


def test_both_formats_say_the_same() -> None:
    """The text is read by a Pushgateway and a textfile collector, too, which know no OpenMetrics."""
    written = text({"monitor": seen(promises=(promise(),)), "retrain": decided(), "deploy": deployed(live=7)})
    assert written.endswith("\n# EOF\n")
    read = [
        {(sample.name, tuple(sorted(sample.labels.items())), sample.value) for family in parse(written) for sample in family.samples}
        for parse in (read_plain, read_openmetrics)
    ]
    assert read[0] == read[1]


def test_the_guide_lists_every_family() -> None:
    guide = (ROOT / "docs" / "openmetrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(modelship_[a-z0-9_]+)`", guide)) == set(FAMILIES)
