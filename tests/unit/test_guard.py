"""What a pull request changes of what judges it, and who may let that pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert, to_builtins

from modelship.core.config import Config, Limit
from modelship.core.records import Expectation, Finding, MetricVerdict, State, TableValidation, ValidateRecord
from modelship.gate.guard import MOST, can_be_accepted, find_approval, guard, objection, overlap, watched

BASE: dict[str, Any] = {
    "model": "flights",
    "data": {
        "reference": "train.parquet",
        "current": "holdout.parquet",
        "target": "late",
        "key": "id",
        "expectations": "e.yaml",
        "class-floor": "5%",
        "checks": {"new-category": "critical"},
    },
    "train": {"run": "make", "metrics": "metrics.json", "predictions": "predictions.parquet"},
    "evaluate": {"max-model-size": "50MB", "latency": {"batch-p99": "2s"}, "invariance": [{"column": "carrier", "allow": "1%"}]},
    "gate": {
        "baseline": "champion",
        "metrics": {"roc_auc": {"min": 0.7, "max-regression": 0.005}, "log_loss": {"max": 0.6, "max-regression": "1%"}},
        "first-run": "refuse",
        "inconclusive": "block",
        "slices": ["carrier", ["carrier", "origin"]],
        "slice-rows": 200,
        "show": ["carrier"],
        "accept-regression": "admin",
    },
}
ABSENT = object()


def changed_config(key: str, value: Any) -> Config:
    """The base's configuration with one key changed; names of metrics here have no dots."""
    data: dict[str, Any] = to_builtins(BASE)
    *path, last = key.split(".")
    section = data
    for name in path:
        section = section.setdefault(name, {})
    if value is ABSENT:
        del section[last]
    else:
        section[last] = value
    return convert(data, Config)


def texts(key: str, value: Any) -> list[str]:
    return [finding.text for finding in guard(convert(BASE, Config), changed_config(key, value))]


LOOSENED = {
    "lower min": ("gate.metrics.roc_auc.min", 0.6, "loosens `roc_auc`: min 0.7 → 0.6"),
    "no min": ("gate.metrics.roc_auc.min", ABSENT, "loosens `roc_auc`: min 0.7 → none"),
    "higher max": ("gate.metrics.log_loss.max", 0.65, "loosens `log_loss`: max 0.6 → 0.65"),
    "wider margin": ("gate.metrics.roc_auc.max-regression", 0.05, "loosens `roc_auc`: max-regression 0.005 → 0.05"),
    "wider share": ("gate.metrics.log_loss.max-regression", "10%", "loosens `log_loss`: max-regression 1% → 10%"),
    "no margin": ("gate.metrics.roc_auc.max-regression", ABSENT, "loosens `roc_auc`: max-regression 0.005 → none"),
    "other unit": ("gate.metrics.roc_auc.max-regression", "0.1%", "changes the unit of `roc_auc`: max-regression 0.005 → 0.1%"),
    "dropped metric": ("gate.metrics.log_loss", ABSENT, "stops gating `log_loss`"),
    "direction": ("gate.metrics.roc_auc.better", "lower", "turns `roc_auc` around: better higher → lower"),
    "first run": ("gate.first-run", "allow", "loosens `gate.first-run`: refuse → allow"),
    "confidence": ("gate.confidence", 0.99, "loosens `gate.confidence`: 0.95 → 0.99"),
    "inconclusive": ("gate.inconclusive", "warn", "loosens `gate.inconclusive`: block → warn"),
    "failing slice": ("gate.failing-slice", "warn", "loosens `gate.failing-slice`: block → warn"),
    "fewer slices": ("gate.slices", ["carrier"], "drops from `gate.slices`: carrier+origin"),
    "no slices": ("gate.slices", ABSENT, "drops from `gate.slices`: carrier, carrier+origin"),
    "automatic slices": ("gate.slices", "auto", "changes `gate.slices`: carrier, carrier+origin → auto"),
    "slice rows": ("gate.slice-rows", 500, "loosens `gate.slice-rows`: 200 → 500"),
    "group": ("gate.group", "tailnum", "changes `gate.group`: none → tailnum"),
    "shown text": ("gate.show", ["carrier", "name"], "shows text of `name` in comments"),
    "who accepts": ("gate.accept-regression", "write", "loosens `gate.accept-regression`: admin → write"),
    "label": ("gate.approval-label", "lgtm", "changes `gate.approval-label`: modelship-approved → lgtm"),
    "predictions": ("train.predictions", "p.csv", "changes `train.predictions`: predictions.parquet → p.csv"),
    "columns": ("train.columns.score", "p", "changes `train.columns.score`: score → p"),
    "expectations": ("data.expectations", ABSENT, "changes `data.expectations`: e.yaml → none"),
    "checkpoint": ("data.checkpoint", "easy", "changes `data.checkpoint`: none → easy"),
    "lower floor": ("data.class-floor", 0.01, "loosens `data.class-floor`: 5% → 0.01"),
    "no floor": ("data.class-floor", ABSENT, "loosens `data.class-floor`: 5% → none"),
    "milder check of data": ("data.checks.new-category", "ignore", "loosens `data.checks.new-category`: critical → ignore"),
    "check of data by default": ("data.checks.new-category", ABSENT, "loosens `data.checks.new-category`: critical → warning"),
    "ignored check of data": ("data.checks.missing-column", "ignore", "loosens `data.checks.missing-column`: critical → ignore"),
    "metric's function": ("gate.metrics.roc_auc.function", "a.b:c", "changes `roc_auc`: function none → a.b:c"),
    "looser check": ("evaluate.tolerance", 0.5, "loosens `evaluate.tolerance`: 1e−09 → 0.5"),
    "dropped check": (
        "evaluate.invariance",
        ABSENT,
        "drops from `evaluate.invariance`: column carrier of prediction allow 1% severity critical",
    ),
    "dropped budget": ("evaluate.max-model-size", ABSENT, "changes `evaluate.max-model-size`: 50MB → none"),
    "who predicts": ("evaluate.predict", "team.predict:rows", "changes `evaluate.predict`: none → team.predict:rows"),
    "no budget": ("evaluate.latency.batch-p99", ABSENT, "changes `evaluate.latency.batch-p99`: 2s → none"),
}
OTHER_KINDS = {
    "holdout": ("data.current", "easy.parquet", "holdout", "changes `data.current`: holdout.parquet → easy.parquet"),
    "key": ("data.key", "row", "holdout", "changes `data.key`: id → row"),
    "target": ("data.target", "early", "labels", "changes `data.target`: late → early"),
    "positive": ("data.positive", 0, "labels", "changes `data.positive`: none → 0"),
    "truth": ("train.columns.truth", "y", "labels", "changes `train.columns.truth`: truth → y"),
    "baseline": ("gate.baseline", "none", "baseline", "changes `gate.baseline`: champion → none"),
    "registered name": ("registry.name", "toy", "baseline", "changes `registry.name`: flights → toy"),
    "model": ("model", "toy", "baseline", "renames `model`: flights → toy"),
}


DRIFT = {
    "max-share": "20%",
    "columns": {"temp": {"threshold": 0.2}, "wind": "ignore", "humid": {"method": "ks", "threshold": 0.05}},
    "sample": 10_000,
}
LOOSENED_DRIFT = {
    "share": ("max-share", 0.5, "loosens `drift.max-share`: 20% → 0.5"),
    "threshold": ("numerical.threshold", 0.3, "loosens `drift.numerical.threshold`: 0.1 → 0.3"),
    "method": ("numerical.method", "psi", "changes `drift.numerical.method`: wasserstein → psi"),
    "column's threshold": ("columns.temp.threshold", 0.3, "loosens `drift.columns.temp.threshold`: 0.2 → 0.3"),
    "p-value": ("columns.humid.threshold", 0.01, "loosens `drift.columns.humid.threshold`: 0.05 → 0.01"),
    "no column": ("columns.temp", ABSENT, "changes `drift.columns.temp.threshold`: 0.2 → none"),
    "ignored": ("columns.visib", "ignore", "loosens `drift.columns.visib`: none → ignore"),
    "own method": ("columns.visib", {"method": "psi"}, "changes `drift.columns.visib.method`: none → psi"),
    "target": ("target", "show", "loosens `drift.target`: verdict → show"),
    "categories": ("max-categories", 5, "loosens `drift.max-categories`: 1000 → 5"),
    "confidence": ("confidence", 0.99, "loosens `drift.confidence`: 0.95 → 0.99"),
    "rows": ("sample", 100, "loosens `drift.sample`: 10000 → 100"),
    "seed": ("seed", 7, "changes `drift.seed`: 0 → 7"),
}
TIGHTENED_DRIFT = {
    "max-share": 0.1,
    "numerical.threshold": 0.05,
    "columns.temp.threshold": 0.1,
    "columns.humid.threshold": 0.5,
    "columns.wind": {"method": "psi", "threshold": 0.9},
    "prediction": "p",
    "max-categories": 2000,
    "confidence": 0.9,
    "sample": "full",
    "severity": "critical",
}


def drift_findings(severity: str, key: str, value: Any) -> tuple[Finding, ...]:
    base: dict[str, Any] = {**BASE, "drift": {**DRIFT, "severity": severity, "numerical": {"method": "wasserstein", "threshold": 0.1}}}
    changed: dict[str, Any] = convert(to_builtins(base), dict)
    *path, last = key.split(".")
    section = changed["drift"]
    for name in path:
        section = section[name]
    if value is ABSENT:
        del section[last]
    else:
        section[last] = value
    return guard(convert(base, Config), convert(changed, Config))


@pytest.mark.parametrize(("key", "value", "text"), LOOSENED_DRIFT.values(), ids=LOOSENED_DRIFT.keys())
def test_looser_drift_needs_approval_only_where_drift_blocks(key: str, value: Any, text: str) -> None:
    assert drift_findings("critical", key, value) == (Finding(kind="policy", text=text, needs_approval=True),)
    assert drift_findings("warning", key, value) == (Finding(kind="policy", text=text, needs_approval=False),)


def test_drift_that_no_longer_blocks_needs_approval() -> None:
    text = "loosens `drift.severity`: critical → warning"
    assert drift_findings("critical", "severity", "warning") == (Finding(kind="policy", text=text, needs_approval=True),)


@pytest.mark.parametrize(("key", "value"), TIGHTENED_DRIFT.items())
def test_stricter_drift_is_no_finding(key: str, value: Any) -> None:
    assert drift_findings("warning", key, value) == ()


@pytest.mark.parametrize(("key", "value", "text"), LOOSENED.values(), ids=LOOSENED.keys())
def test_what_loosens_the_policy_needs_approval(key: str, value: Any, text: str) -> None:
    found = guard(convert(BASE, Config), changed_config(key, value))
    assert found == (Finding(kind="policy", text=text, needs_approval=True),)


@pytest.mark.parametrize(("key", "value", "kind", "text"), OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_another_judge_needs_approval(key: str, value: Any, kind: Any, text: str) -> None:
    found = guard(convert(BASE, Config), changed_config(key, value))
    assert found == (Finding(kind=kind, text=text, needs_approval=True),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gate.metrics.roc_auc.min", 0.75),
        ("gate.metrics.roc_auc.max", 0.9),
        ("gate.metrics.roc_auc.max-regression", 0),
        ("gate.metrics.roc_auc.better", "higher"),
        ("gate.metrics.log_loss.max", 0.5),
        ("gate.metrics.log_loss.max-regression", "0.5%"),
        ("gate.metrics.accuracy", {"min": 0.5}),
        ("gate.confidence", 0.9),
        ("gate.slices", ["carrier", "day", ["carrier", "origin"]]),
        ("gate.slice-rows", 50),
        ("evaluate.latency.single-row-p99", "50ms"),
        ("evaluate.tolerance", 0),
        ("evaluate.timeout", "1h"),
        ("evaluate.invariance", [{"column": "carrier", "allow": "1%"}, {"column": "origin"}]),
        ("gate.show", ABSENT),
        ("gate.accept-regression", "never"),
        ("data.reference", "more.parquet"),
        ("data.remote", "mirror"),
        ("data.class-floor", "10%"),
        ("data.checks.unexpected-column", "critical"),
        ("train.run", "make all"),
        ("train.timeout", "5m"),
        ("train.params", "params.yaml"),
        ("train.model", "model"),
        ("registry.name", "flights"),
    ],
)
def test_what_tightens_or_does_not_judge_is_no_finding(key: str, value: Any) -> None:
    assert texts(key, value) == []


def test_a_first_addition_is_no_finding() -> None:
    before = convert({"model": "m", "gate": {"metrics": {"f1": {"min": 0.1}}}}, Config)
    after = {
        "model": "m",
        "data": {"current": "h.csv", "key": "id", "target": "y", "expectations": "e.yaml", "class-floor": 0.1},
        "train": {"predictions": "p.csv"},
        "gate": {"metrics": {"f1": {"min": 0.1, "max-regression": 0}}, "slices": ["a"]},
    }
    assert guard(before, convert(after, Config)) == ()


limits = st.fixed_dictionaries(
    {"max-regression": st.floats(0, 1) | st.integers(0, 100).map(lambda share: f"{share}%")},
    optional={"min": st.floats(-1, 0), "max": st.floats(1, 2), "better": st.sampled_from(["higher", "lower"])},
)
gates = st.fixed_dictionaries(
    {"metrics": st.dictionaries(st.sampled_from(["f1", "rmse", "custom"]), limits, min_size=1)},
    optional={
        "baseline": st.sampled_from(["base", "champion", "none", "file:b.json"]),
        "first-run": st.sampled_from(["allow", "refuse"]),
        "confidence": st.floats(0.5, 0.99),
        "inconclusive": st.sampled_from(["warn", "block"]),
        "group": st.sampled_from(["a", "b"]),
        "slices": st.lists(st.sampled_from(["a", "b", ["a", "b"]])) | st.just("auto"),
        "slice-rows": st.integers(10, 500),
        "accept-regression": st.sampled_from(["write", "maintain", "admin", "never"]),
    },
)
configs = gates.map(lambda gate: convert({"model": "m", "gate": gate}, Config))


def meaning(config: Config) -> Any:
    """The gate without what makes no difference: a direction that the metric's name tells anyhow, the order of slices."""
    gate = to_builtins(config.gate)
    for name, limit in gate["metrics"].items():
        limit["better"] = limit["better"] or {"f1": "higher", "rmse": "lower"}.get(name)
    return gate | {"slices": gate["slices"] if gate["slices"] == "auto" else set(gate["slices"])}


@settings(deadline=None)  # a busy machine is not a failure
@given(configs, configs)
def test_whatever_differs_is_a_finding_one_way_or_the_other(before: Config, after: Config) -> None:
    """Nothing of the policy is overlooked: where one of two is not looser, it is tighter, and the way back loosens it."""
    assert bool(guard(before, after) or guard(after, before)) is (meaning(before) != meaning(after))


@settings(deadline=None)  # a busy machine is not a failure
@given(configs)
def test_the_same_configuration_has_no_findings(config: Config) -> None:
    assert guard(config, config) == ()


def test_a_configuration_that_is_gone_is_a_finding() -> None:
    found = guard(convert(BASE, Config), None)
    assert [finding.text for finding in found] == ["leaves no valid `modelship.yaml`: nothing could be judged after a merge"]
    assert found[0].needs_approval


@dataclass(frozen=True)
class Rows:
    only_candidate: int = 0
    only_baseline: int = 0
    other_truth: int = 0


@pytest.mark.parametrize(
    ("rows", "kind", "text"),
    [
        (None, "holdout", "edits the holdout `holdout.parquet`"),
        (Rows(), "holdout", "edits the holdout `holdout.parquet`: keys and labels stay"),
        (Rows(1200, 1, 4), "holdout", "edits the holdout `holdout.parquet`: 1,200 rows new, 1 row gone, 4 labels changed"),
        (Rows(other_truth=1), "labels", "edits the holdout `holdout.parquet`: 1 label changed"),
    ],
)
def test_an_edited_holdout_tells_how_many_rows(rows: Rows | None, kind: str, text: str) -> None:
    config = convert(BASE, Config)
    (found,) = guard(config, config, changed={"holdout.parquet"}, rows=rows)
    assert (found.kind, found.text, found.needs_approval) == (kind, text, True)


def test_a_table_that_is_no_file_is_one_value() -> None:
    first, second = ({"query": f"SELECT {number} AS id", "connection": "WAREHOUSE_URL"} for number in (1, 2))
    before = changed_config("data.current", first)
    (found,) = guard(before, changed_config("data.current", second))
    shown = "changes `data.current`: query SELECT 1 AS id connection WAREHOUSE_URL → query SELECT 2 AS id connection WAREHOUSE_URL"
    assert (found.kind, found.text) == ("holdout", shown)
    assert [finding.kind for finding in guard(before, convert(BASE, Config))] == ["holdout"]
    assert guard(convert(BASE, Config), changed_config("data.reference", first)) == ()


def test_predictions_of_other_rows_are_told_though_no_file_changed() -> None:
    config = convert(BASE, Config)
    (found,) = guard(config, config, rows=Rows(only_baseline=30))
    assert found.text == "predicts other rows than the baseline: 30 rows gone"
    assert guard(config, config, rows=Rows()) == ()


def test_edited_expectations_and_an_edited_baseline_need_approval() -> None:
    config = changed_config("gate.baseline", "file:golden/")
    assert watched(config) == ("holdout.parquet", "e.yaml", "golden/")
    found = guard(config, config, changed={"e.yaml", "golden/"})
    assert [finding.text for finding in found] == ["edits the baseline `golden/`", "edits the expectations `e.yaml`"]
    assert all(finding.needs_approval for finding in found)


@dataclass(frozen=True)
class Rescored:
    rows: int
    others: int
    examples: str


def test_a_baseline_that_answers_otherwise_than_it_did_needs_approval() -> None:
    config = convert(BASE, Config)
    (found,) = guard(config, config, rescored=Rescored(2000, 37, "such as 17"))
    assert (found.kind, found.needs_approval) == ("baseline", True)
    assert found.text == "scores a baseline that answers 37 of 2,000 rows otherwise than it once did, such as 17"
    assert guard(config, config, rescored=Rescored(2000, 0, "")) == ()


def test_an_edited_metric_of_the_teams_own_needs_approval() -> None:
    config = changed_config("gate.metrics.cost", {"function": "flights.cost:cost", "better": "lower", "max": 1})
    assert {"flights/cost.py", "flights/cost/__init__.py", "src/flights/cost.py"} <= set(watched(config))
    (found,) = guard(config, config, changed={"src/flights/cost.py"})
    assert (found.text, found.needs_approval) == ("edits the file of the metric `flights.cost:cost`", True)
    assert guard(config, config, changed={"flights/other.py"}) == ()


def test_the_gravest_comes_first() -> None:
    after = changed_config("gate.baseline", "base")
    after = convert(to_builtins(after) | {"gate": to_builtins(after.gate) | {"metrics": {"f1": {"min": 0}}}}, Config)
    found = guard(convert(BASE, Config), after, changed={"holdout.parquet"})
    assert [finding.kind for finding in found] == ["holdout", "baseline", "policy", "policy"]


def test_many_findings_are_counted_and_long_names_cut() -> None:
    names = ["x" * 5000, *(f"metric{number}" for number in range(1000))]
    before = convert({"model": "m", "gate": {"metrics": {name: {"min": 0} for name in names}}}, Config)
    found = guard(before, convert({"model": "m", "gate": {"metrics": {"new": {"min": 0}}}}, Config))
    assert len(found) == MOST
    assert found[-1].text == f"changes {1001 - MOST + 1} more things of what it is judged by"
    assert found[-1].needs_approval
    assert max(len(finding.text) for finding in found) < 200


def test_a_backtick_does_not_end_the_code() -> None:
    before = convert({"model": "m", "gate": {"metrics": {"a` @all `": {"min": 0}}}}, Config)
    (found,) = guard(before, convert({"model": "m", "gate": {"metrics": {"b": {"min": 0}}}}, Config))[:1]
    assert found.text == "stops gating `a' @all '`"


# Approval

LOOSE = Finding(kind="policy", text="loosens `roc_auc`: min 0.7 → 0.6", needs_approval=True)
TOLD = Finding(kind="overlap", text="judges on 3 rows that the model also learns from: its metrics may be too good")


def test_what_needs_no_approval_asks_for_none() -> None:
    assert find_approval([TOLD], "ok", None) is None
    assert objection([TOLD], None) == ""


def test_without_the_label_the_objection_names_it() -> None:
    approval = find_approval([LOOSE, TOLD, LOOSE], "ok", None)
    assert approval is not None
    assert not approval.given
    assert objection([LOOSE, TOLD, LOOSE], approval) == (
        "needs the label `ok`: this pull request loosens `roc_auc`: min 0.7 → 0.6, and 1 more change like it"
    )


def test_with_the_label_there_is_no_objection() -> None:
    approval = find_approval([LOOSE], "ok", "alice")
    assert approval is not None
    assert (approval.given, approval.by, objection([LOOSE], approval)) == (True, "alice", "")


# What an acceptance covers


def verdict(state: State, candidate: float | None) -> MetricVerdict:
    return MetricVerdict(metric="f1", state=state, reason="", better="higher", candidate=candidate)


@pytest.mark.parametrize(
    ("state", "candidate", "limit", "accepted"),
    [
        ("fail", 0.8, Limit(max_regression=0.0), True),
        ("inconclusive", 0.8, Limit(max_regression=0.0), True),
        ("fail", 0.8, Limit(min=0.7, max=0.9, max_regression=0.0), True),
        ("fail", 0.6, Limit(min=0.7, max_regression=0.0), False),
        ("fail", 0.95, Limit(max=0.9, max_regression=0.0), False),
        ("pass", 0.8, Limit(max_regression=0.0), False),
        ("no-baseline", 0.8, Limit(max_regression=0.0), False),
        ("missing", None, Limit(max_regression=0.0), False),
        ("fail", None, Limit(max_regression=0.0), False),
        ("fail", 0.8, None, True),
        ("pass", 0.8, None, False),
    ],
)
def test_an_acceptance_covers_regressions_alone(state: State, candidate: float | None, limit: Limit | None, accepted: bool) -> None:
    assert can_be_accepted(verdict(state, candidate), limit) is accepted


# Overlap


def validated(*expectations: Expectation) -> ValidateRecord:
    table = TableValidation(role="current", path="h.csv", rows=9, columns=2, expectations=expectations)
    return ValidateRecord(status="warn", summary="", tables=(table,))


def test_overlap_is_told_and_needs_no_approval() -> None:
    shared = Expectation(expectation="no_overlap_with_reference", holds=False, failed_rows=3)
    assert overlap(validated(shared)) == (TOLD,)


@pytest.mark.parametrize(
    "record",
    [
        None,
        validated(),
        validated(Expectation(expectation="no_overlap_with_reference", holds=True)),
        validated(Expectation(expectation="key_is_unique", holds=False, failed_rows=2)),
    ],
)
def test_without_overlap_nothing_is_told(record: ValidateRecord | None) -> None:
    assert overlap(record) == ()
