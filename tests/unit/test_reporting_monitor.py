"""What a look at production tells a reader, by every renderer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from modelship.core.records import (
    RECORDS,
    Baseline,
    Batch,
    ColumnDrift,
    DriftReportRecord,
    Expectation,
    LabelArrival,
    MetricGateRecord,
    MetricVerdict,
    MonitorRecord,
    TableValidation,
    ValidateRecord,
    encode,
)
from modelship.reporting import html, markdown, terminal
from modelship.reporting.report import Facts, build_report

START = datetime(2026, 11, 2, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)> @everyone |"


def seen(
    *, state: str = "pass", status: str = "pass", drift: bool = False, broken: bool = False, is_complete: bool = True, **more: Any
) -> MonitorRecord:
    """A record of a batch with labels."""
    low = {"pass": 0.001, "fail": -0.063, "inconclusive": -0.05}[state]
    verdict = MetricVerdict(
        metric="roc_auc",
        state=state,  # type: ignore[arg-type]
        reason={"pass": "no worse", "fail": "worse", "inconclusive": "cannot tell"}[state],
        better="higher",
        baseline=0.744,
        candidate=0.744 + low + 0.015,
        change=low + 0.015,
        margin=0.02,
        allowed="−0.0200",
        interval=(low, low + 0.03),
        proven=state != "inconclusive",
        recomputed=True,
    )
    performance = MetricGateRecord(
        model="churn",
        status=status,  # type: ignore[arg-type]
        summary="roc_auc 0.744 → 0.696 [0.681, 0.711], limit 0.02",
        baseline=Baseline(kind="file", label="v7 at release", source="the holdout predictions of v7", date="2026-10-01", version=7),
        metrics=(verdict,),
        policy="`monitor.metrics`",
        paired=True,
        are_apart=True,
        rows=9500,
        confidence=0.95,
    )
    column = ColumnDrift(
        column=HOSTILE, kind="numerical", drifted=drift, method="wasserstein", distance=0.4, threshold=0.1, p_value=0.0001
    )
    found = DriftReportRecord(
        status="warn" if drift else "pass",
        summary="drift: 1 of 1 feature drifted" if drift else "no drift: 0 of 1 feature drifted",
        drift=drift,
        columns=(column,),
        share=float(drift),
        max_share=0.3,
        confidence=0.95,
    )
    one = Expectation(expectation="expect_column_values_to_not_be_null", column="age", holds=not broken)
    quality = ValidateRecord(
        status="fail" if broken else "pass",
        summary="1 of 1 expectation holds on 1 table",
        tables=(TableValidation(role="current", path="log/", rows=1000, columns=3, expectations=(one,)),),
    )
    fields: dict[str, Any] = {
        "model": "churn",
        "status": "fail" if broken or status == "fail" else "warn" if drift or status == "warn" else "pass",
        "summary": "v7, 2026-11-02 to 2026-11-09",
        "name": "churn",
        "environment": "production",
        "version": 7,
        "trained_at": datetime(2026, 10, 1, tzinfo=UTC),
        "batch": Batch(start=START, end=START + timedelta(days=7), version=7, rows=10_000, labelled=9500, is_complete=is_complete),
        "labels": LabelArrival(
            rows=10_000,
            labelled=9500,
            expected_by=START + timedelta(days=21),
            first_known=START + timedelta(days=1),
            last_known=START + timedelta(days=20),
            median_delay=3 * 86_400.0,
            slow_delay=9 * 86_400.0,
            late=12,
        ),
        "quality": quality,
        "drift": found,
        "performance": performance,
        "other_versions": {"6": 50},
        "started_at": "2026-11-27T10:00:00+00:00",
    }
    return MonitorRecord(**{**fields, **more})


def report(record: MonitorRecord, **others: Any) -> Any:
    return build_report("churn", {"monitor": record, **others}, Facts())


@pytest.mark.parametrize(
    ("record", "light", "said"),
    [
        (seen(), "pass", "no metric is worse than v7 at release"),
        (seen(state="fail", status="fail"), "fail", "roc_auc fell 0.048 below v7 at release"),
        (seen(state="fail", status="warn", is_complete=False), "warn", "roc_auc fell 0.048 below v7 at release"),
        (seen(state="inconclusive", status="warn"), "warn", "cannot tell whether roc_auc got worse"),
        (seen(drift=True), "warn", "no metric is worse than v7 at release, but the data has drifted"),
        (seen(broken=True), "fail", "data breaks 1 expectation"),
        (seen(performance=None), "pass", "every check passes"),
        (MonitorRecord(status="error", summary="no log"), "fail", "production could not be looked at"),
    ],
)
def test_the_headline_says_what_matters_most(record: MonitorRecord, light: str, said: str) -> None:
    found = report(record)
    assert (found.light, found.headline) == (light, said)


def test_something_odd_alone_is_yellow() -> None:
    record = msgspec.structs.replace(seen(), status="warn", notices=("4 rows of the log have no time.",))
    assert report(record).light == "warn"


def test_every_renderer_tells_batch_labels_metrics_and_drift_and_lets_no_markup_through() -> None:
    record = seen(state="fail", status="fail", drift=True)
    assert msgspec.json.decode(encode(record), type=MonitorRecord) == record
    found = report(record)
    page = html.render_page(found)
    texts = [terminal.render(found), terminal.render_record(record), markdown.render(found), page]
    for text in texts:
        assert "v7 at release" in text
        assert "this batch" in text
        assert "2026-11-02" in text
        assert "95% labelled" in text
        assert "onerror=alert(1)>" not in text or text in texts[:2]
    for words in (
        "v7, live in production, released 2026-10-01",
        "9,500 of 10,000",
        "12 late",
        "half within 3.0 days",
        "9,500 labelled rows",
    ):
        assert words in page


def test_a_report_speaks_of_what_ran_last() -> None:
    performance = seen().performance
    assert performance
    gate = msgspec.structs.replace(performance, started_at="2026-11-27T09:00:00+00:00")
    assert "v7 at release" in report(seen(state="fail", status="fail"), **{"metric-gate": gate}).headline
    later = msgspec.structs.replace(gate, started_at="2026-11-27T11:00:00+00:00")
    assert report(seen(state="fail", status="fail"), **{"metric-gate": later}).light == "pass"


def test_a_model_that_nobody_judged_does_not_pass_because_somebody_looked_at_production() -> None:
    later = RECORDS["train"](status="pass", summary="trained", started_at="2026-11-27T11:00:00+00:00")
    found = report(seen(), train=later)
    assert (found.light, [check.name for check in found.checks]) == ("fail", ["train", "metric-gate"])


def test_a_look_at_production_that_a_pull_request_forges_does_not_stand_in_for_the_gate() -> None:
    forged = seen(started_at="2999-01-01T00:00:00+00:00")
    gate = RECORDS["metric-gate"](status="fail", summary="worse", started_at="2026-11-27T11:00:00+00:00")
    for records in ({"monitor": forged}, {"monitor": forged, "metric-gate": gate}):
        found = build_report("churn", records, Facts(in_pull_request=True))
        assert found.light == "fail"
        assert "monitor" not in {check.name for check in found.checks}
