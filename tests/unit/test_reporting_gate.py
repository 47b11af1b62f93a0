"""Verdicts with intervals, slices, flips and findings: what a reader is told of them, and how it looks."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.records import (
    Acceptance,
    Approval,
    Baseline,
    Cohort,
    DataFile,
    EvaluateRecord,
    Example,
    Finding,
    Flips,
    LatencyMeasured,
    MetricGateRecord,
    MetricVerdict,
    ModelCheck,
    ScoredModel,
    Slices,
    SliceVerdict,
    State,
)
from modelship.reporting import html, terminal
from modelship.reporting.columns import width
from modelship.reporting.inline import plain
from modelship.reporting.markdown import render_comment
from tests.unit.test_reporting_scenarios import HEAD, Records, good, judged, metric, report_on

CHAMPION = Baseline(
    kind="champion", label="champion v7", source="flight-delay v7, run 9f8e7d6c", commit="3f2a91c" + "0" * 33, date="2026-11-18"
)
DELONG = "DeLong et al. 1988"


def paired(name: str, baseline: float, candidate: float, margin: float | None, half: float, **changes: Any) -> MetricVerdict:
    """A verdict as the gate gives it on paired rows, with an interval of `half` on each side."""
    better = changes.get("better", "higher")
    change = candidate - baseline if better == "higher" else baseline - candidate
    low, high = change - half, change + half
    facts: dict[str, Any] = {"state": "pass", "reason": "within the margin", "proven": False}
    if margin is not None and high < -margin:
        facts = {"state": "fail", "reason": "worse", "proven": True}
    elif low > 0:
        facts = {"state": "pass", "reason": "better", "proven": True}
    elif margin is not None and low >= -margin:
        facts = {"state": "pass", "reason": "no worse", "proven": True}
    elif margin is not None and change < -margin:
        facts = {"state": "inconclusive", "reason": "cannot tell", "rows_to_decide": 21_340}
    facts |= {"interval": (low, high), "method": DELONG, "recomputed": True}
    return metric(name, baseline, candidate, margin, **facts | changes)


WORSE = paired("roc_auc", 0.7437, 0.7226, 0.005, 0.00525)
UNSURE = paired("roc_auc", 0.7437, 0.7376, 0.005, 0.0079)
WITHIN = paired("roc_auc", 0.7437, 0.7411, 0.005, 0.0052)
SURE = paired("roc_auc", 0.7437, 0.7449, 0.005, 0.0041)
LOSS = paired("log_loss", 0.5391, 0.5377, 0.0054, 0.00345, better="lower")
BRIER = paired("brier_score", 0.1512, 0.1519, 0.002, 0.0016, better="lower")
ACCURACY = paired("accuracy", 0.8012, 0.8124, 0.01, 0.0061)


def in_slice(rows: int, verdict: MetricVerdict, **slice_: str) -> SliceVerdict:
    return SliceVerdict(slice=slice_, rows=rows, verdict=verdict)


SLICED = Slices(
    verdicts=(
        in_slice(700, paired("roc_auc", 0.7391, 0.6804, 0.005, 0.0311), carrier="EV"),
        in_slice(612, paired("roc_auc", 0.7512, 0.7402, 0.005, 0.0302), carrier="MQ"),
        in_slice(1_204, paired("roc_auc", 0.7401, 0.7402, 0.005, 0.0222), distance="500 to 1,020"),
        in_slice(388, paired("roc_auc", 0.7288, 0.7391, 0.005, 0.0401), carrier="B6", origin="JFK"),
    ),
    comparisons=4,
    too_few=("carrier=HA (12 rows)", "carrier=YV (31 rows)", "carrier=OO (roc_auc: only one class)"),
    min_rows=100,
)
NO_SLICE_WORSE = Slices(verdicts=SLICED.verdicts[1:], comparisons=3, min_rows=100)
FLIPPED = Flips(
    newly_right=96,
    newly_wrong=212,
    cohorts=(
        Cohort(slice={"carrier": "EV"}, rows=700, newly_right=9, newly_wrong=88, lift=4.36),
        Cohort(slice={"distance": "1,020 and more"}, rows=1_012, newly_right=21, newly_wrong=61, lift=1.59),
    ),
    examples=(
        Example(key="4410", truth="late", baseline="late (0.81)", candidate="on time (0.12)", values={"carrier": "EV"}),
        Example(key="19923", truth="on time", baseline="on time (0.33)", candidate="late (0.94)", values={"carrier": "EV"}),
        Example(key="1282", truth="late", baseline="late (0.71)", candidate="on time (0.22)", values={"carrier": "MQ"}),
    ),
)
LOOSER = Finding(kind="policy", text="loosens `roc_auc`: max-regression 0.005 → 0.05", needs_approval=True)
EDITED = Finding(kind="holdout", text="edits the holdout: 120 rows new, 30 gone, 4 labels changed", needs_approval=True)
OVERLAP = Finding(kind="overlap", text="judges on 12 rows that the model also learns from")


def weighed(*metrics: MetricVerdict, **changes: Any) -> MetricGateRecord:
    facts: dict[str, Any] = {"baseline": CHAMPION, "paired": True, "rows": 5_000, "confidence": 0.95}
    return judged(metrics or (SURE, LOSS, BRIER), **facts | changes)


def with_gate(record: MetricGateRecord) -> Records:
    return good() | {"metric-gate": record}


def worse() -> Records:
    return with_gate(weighed(WORSE, LOSS, BRIER, ACCURACY, slices=SLICED, flips=FLIPPED))


def worse_without_slices() -> Records:
    return with_gate(weighed(WORSE, LOSS, BRIER, slices=NO_SLICE_WORSE, flips=FLIPPED))


def worse_slice_alone() -> Records:
    return with_gate(weighed(WITHIN, LOSS, status="fail", summary="worse for carrier=EV", slices=SLICED, flips=FLIPPED))


def undecidable(**changes: Any) -> Records:
    return with_gate(weighed(UNSURE, LOSS, BRIER, **{"status": "warn", "summary": "cannot tell"} | changes))


def within() -> Records:
    return with_gate(weighed(WITHIN, LOSS, BRIER, slices=NO_SLICE_WORSE))


def proven() -> Records:
    return with_gate(weighed(paired("roc_auc", 0.7437, 0.7433, 0.005, 0.0031), LOSS, groups=812))


ACCEPTED = Acceptance(
    by="alice", reason="The new fares need it, see @bob.", url="https://github.com/acme/flights/pull/3#c1", commit=HEAD
)


def accepted() -> Records:
    return with_gate(weighed(WORSE, LOSS, status="warn", summary="accepted", acceptance=ACCEPTED))


def unapproved(given: bool = False) -> Records:
    approval = Approval(label="modelship-approved", given=given, by="alice" if given else "")
    status = "warn" if given else "fail"
    return with_gate(weighed(findings=(LOOSER, EDITED, OVERLAP), approval=approval, status=status, summary="touches what judges it"))


def scored(**changes: Any) -> EvaluateRecord:
    model = ScoredModel(
        path="model",
        digest="sha256:4a3f553507a31410aa",
        bytes=4_100_000,
        predictions=DataFile(path="files/evaluate-candidate.parquet", hash="sha256:0a1b2c"),
        scored_seconds=0.42,
    )
    facts: dict[str, Any] = {
        "status": "pass",
        "summary": "7 checks hold",
        "rows": 5_000,
        "candidate": model,
        "checks": (
            ModelCheck(name="finite", holds=True, observed="5,000 rows"),
            ModelCheck(name="single-row p99", holds=True, observed="3.2 ms", limit="50 ms"),
            ModelCheck(name="batch p99", holds=True, severity="info", observed="12 ms"),
        ),
        "latency": {
            "single-row": LatencyMeasured(rows=1, calls=200, p50=1.21, p99=3.2),
            "batch": LatencyMeasured(rows=1_000, calls=20, p50=10.4, p99=12.1),
        },
    }
    return EvaluateRecord(**facts | changes)


def broken_model() -> Records:
    checks = (
        ModelCheck(name="invariant to carrier", holds=False, observed="41 of 500 rows change", limit="at most 1%"),
        ModelCheck(name="model size", holds=False, severity="warning", observed="61 MB", limit="50 MB"),
        ModelCheck(name="finite", holds=True, observed="5,000 rows"),
    )
    return with_gate(weighed()) | {"evaluate": scored(status="fail", summary="1 check does not hold", checks=checks)}


GATE_SCENARIOS = {
    "worse": worse,
    "worse-without-slices": worse_without_slices,
    "worse-slice-alone": worse_slice_alone,
    "undecidable": undecidable,
    "within": within,
    "proven": proven,
    "accepted": accepted,
    "unapproved": unapproved,
    "broken-model": broken_model,
}


def comment_on(records: Records) -> str:
    return render_comment(report_on(records))


@pytest.mark.parametrize(
    ("name", "icon", "headline", "cause"),
    [
        (
            "worse",
            "🔴",
            "roc_auc fell 0.021 below champion v7",
            "Blocked by 1 of 4 checks. Worse for carrier=EV (14% of rows); 212 predictions newly wrong, 96 newly right.",
        ),
        (
            "worse-without-slices",
            "🔴",
            "roc_auc fell 0.021 below champion v7",
            "Blocked by 1 of 4 checks. roc_auc may fall by 0.0050 at most, and went from 0.7437 to 0.7226; "
            "212 predictions newly wrong, 96 newly right.",
        ),
        (
            "worse-slice-alone",
            "🔴",
            "worse for carrier=EV",
            "Blocked by 1 of 4 checks. roc_auc went from 0.7391 to 0.6804 there (14% of rows); "
            "212 predictions newly wrong, 96 newly right.",
        ),
        (
            "undecidable",
            "🟡",
            "cannot tell whether roc_auc got worse",
            "Passes, with 1 warning. 5,000 rows show a change of −0.0061 ± 0.0079 where −0.0050 is allowed; "
            "about 21,000 rows would tell.",
        ),
        (
            "within",
            "🟢",
            "every metric is within its margin of champion v7",
            "All 4 checks pass. On 5,000 rows 1 of 3 metrics is proven to be within the margin; 2 only seem so.",
        ),
        (
            "proven",
            "🟢",
            "every metric is proven to be within its margin of champion v7",
            "All 4 checks pass. On 5,000 rows that is proven.",
        ),
        (
            "accepted",
            "🟡",
            "roc_auc fell 0.021 below champion v7",
            "Passes, with 1 warning. roc_auc may fall by 0.0050 at most, and went from 0.7437 to 0.7226. 1 of 2 metrics passes.",
        ),
        (
            "unapproved",
            "🔴",
            "needs approval to change what judges it",
            "Blocked by 1 of 4 checks. Every metric passes, but it needs the label modelship-approved.",
        ),
        (
            "broken-model",
            "🔴",
            "the model breaks 1 check: invariant to carrier",
            "Blocked by 1 of 5 checks. 1 check does not hold.",
        ),
    ],
)
def test_what_a_reader_of_uncertain_numbers_sees_first(name: str, icon: str, headline: str, cause: str) -> None:
    report = report_on(GATE_SCENARIOS[name]())
    assert (report.icon, report.headline, plain(report.cause)) == (icon, headline, cause)


def test_a_comment_opens_with_intervals_in_numbers_and_drawn() -> None:
    assert comment_on(worse()).split("\n\n<sub>")[0] == (
        "## 🔴 flight-delay: roc_auc fell 0.021 below champion v7\n\n"
        "<b>Blocked by 1 of 4 checks.</b> Worse for carrier=EV (14% of rows); 212 predictions newly wrong, 96 newly right.\n\n"
        "🟢&nbsp;dvc-pull · 🟢&nbsp;validate · 🟢&nbsp;train · 🔴&nbsp;**metric-gate**\n\n"
        "|  | metric | champion v7 | this PR | change (95% CI) | allowed | verdict |\n"
        "| -- | -- | --: | --: | --: | --: | -- |\n"
        "| 🔴 | roc_auc | 0.7437 | 0.7226 | −0.0211&nbsp;&#91;−0.0264,&nbsp;−0.0159&#93; | −0.0050 | worse |\n"
        "| 🟢 | brier_score | 0.1512 | 0.1519 | −0.0007&nbsp;&#91;−0.0023,&nbsp;+0.0009&#93; | −0.0020 "
        "| within&nbsp;the&nbsp;margin |\n"
        "| 🟢 | log_loss | 0.5391 | 0.5377 | +0.0014&nbsp;&#91;−0.0020,&nbsp;+0.0049&#93; | −0.0054 | no&nbsp;worse,&nbsp;proven |\n"
        "| 🟢 | accuracy | 0.8012 | 0.8124 | +0.0112&nbsp;&#91;+0.0051,&nbsp;+0.0173&#93; | −0.0100 | better,&nbsp;proven |\n\n"
        "```text\n"
        "roc_auc      ◄─●──┤      ¦  │\n"
        "brier_score             ├¦─●┼┤\n"
        "log_loss                 ¦ ├┼●─┤\n"
        "accuracy                 ¦  │ ├●─┤\n"
        "← worse  ¦ allowed  │ zero  better →\n"
        "```"
    )


def test_slices_that_are_worse_are_open_and_the_rest_is_folded() -> None:
    comment = comment_on(worse())
    opened = comment.partition("<details open><summary>Slices: 1 of 4 worse</summary>\n\n")[2].partition("\n\n</details>")[0]
    assert opened.splitlines() == [
        "|  | slice | rows | metric | champion v7 | this PR | change (joint 95% CI) | verdict |",
        "| -- | -- | --: | -- | --: | --: | --: | -- |",
        "| 🔴 | carrier=EV | 700&nbsp;(14%) | roc_auc | 0.7391 | 0.6804 | −0.0587&nbsp;&#91;−0.0898,&nbsp;−0.0276&#93; | worse |",
    ]
    folded = comment.partition("<details><summary>Slices not proven worse: 3</summary>")[2].partition("</details>")[0]
    assert "| ⚪ | carrier=MQ | 612&nbsp;(12%) |" in folded
    assert "distance 500 to 1,020" in folded
    assert "carrier=B6 &#38; origin=JFK" in folded
    assert "The intervals hold for all 4 comparisons at once, at 95% confidence" in folded
    assert (
        "<b>Too few rows</b> (the least is 100): "
        "carrier=HA (12 rows); carrier=YV (31 rows); carrier=OO (roc_auc: only one class)." in folded
    )
    assert "<details><summary>Slices: none of 3 worse</summary>" in comment_on(within())


def test_slices_without_enough_rows_are_said_to_be_that() -> None:
    slices = Slices(too_few=("carrier=HA", "carrier=YV"), min_rows=100)
    assert "<details><summary>Slices: none has enough rows</summary>" in comment_on(with_gate(weighed(slices=slices)))


def test_a_list_of_slices_is_cut_between_names() -> None:
    names = tuple(f"carrier=N{n:03} ({n} rows)" for n in range(100))
    report = report_on(with_gate(weighed(slices=Slices(too_few=names, more_too_few=1_200, min_rows=100))))
    (told,) = (line for line in render_comment(report).splitlines() if line.startswith("<b>Too few rows</b>"))
    shown = re.findall(r"carrier=N\d{3} \(\d+ rows\)", told)
    assert 5 < len(shown) < 100
    assert told == f"<b>Too few rows</b> (the least is 100): {'; '.join(shown)}; and {1_300 - len(shown):,} more."
    page = html.render_page(report)
    assert "carrier=N098 (98 rows); carrier=N099 (99 rows); and 1,200 more.</p>" in page
    assert "Slices: none has enough rows" in page


def test_of_a_list_of_one_long_name_that_name_is_shown() -> None:
    report = report_on(with_gate(weighed(slices=Slices(too_few=("x" * 2_000, "y" * 2_000, "z"), min_rows=100))))
    assert "xxx…; and 2 more." in render_comment(report)


def test_a_comment_shows_fifteen_slices_and_the_page_all() -> None:
    verdicts = tuple(in_slice(100 + n, paired("roc_auc", 0.74, 0.75, 0.005, 0.05), tail=f"N{n:03}") for n in range(300))
    report = report_on(with_gate(weighed(slices=Slices(verdicts=verdicts, comparisons=640, min_rows=100))))
    comment = render_comment(report)
    assert len(re.findall(r"tail=N\d{3}", comment)) == 15
    assert "… and 285 more on the report page." in comment
    assert "<summary>Slices: none worse</summary>" in comment, "of how many is not known: the record holds the worst 300"
    assert len(re.findall(r"tail=N\d{3}", html.render_page(report))) == 300


def test_several_metrics_of_a_slice_are_one_slice() -> None:
    verdicts = tuple(
        in_slice(700, paired(name, 0.74, 0.64, 0.005, 0.02), carrier=carrier) for carrier in ("EV", "MQ") for name in ("roc_auc", "f1")
    )
    record = weighed(WITHIN, status="fail", summary="worse", slices=Slices(verdicts=verdicts, comparisons=4))
    report = report_on(with_gate(record))
    assert report.headline == "worse for carrier=EV and 1 more slice"
    assert plain(report.sections[0].title) == "Slices: 2 of 2 worse"


def test_the_number_behind_an_answer_is_explained_where_there_are_examples() -> None:
    told = "<b>(0.81)</b> behind a model&#39;s answer: how probable the model holds it"
    assert told in comment_on(worse())
    assert told not in comment_on(with_gate(weighed(WORSE, flips=msgspec.structs.replace(FLIPPED, examples=()))))


def test_a_terminal_says_how_many_rows_would_tell() -> None:
    shown = terminal.render_record(weighed(UNSURE, SURE, status="warn"))
    assert "of −0.0061 ± 0.0079 where −0.0050 is allowed; about 21,000 rows would tell." in " ".join(shown.split())
    assert "would tell" not in terminal.render_record(weighed(WITHIN))


@pytest.mark.parametrize("metrics", [(WORSE, LOSS), (SURE, LOSS), (UNSURE,)], ids=["fails", "passes", "undecided"])
def test_a_terminal_leaves_one_empty_line_between_parts(metrics: tuple[MetricVerdict, ...]) -> None:
    record = weighed(*metrics, slices=NO_SLICE_WORSE, flips=FLIPPED)
    for shown in (terminal.render_record(record), terminal.render(report_on(with_gate(record)))):
        assert "\n\n" in shown
        assert "\n\n\n" not in shown


def test_the_one_slice_that_is_worse_is_named_at_once() -> None:
    """Where the worst cohort was looked for it is the only one, and its name is the finding."""
    found = Slices(verdicts=SLICED.verdicts[:1], comparisons=1, min_rows=100)
    shown = terminal.render_record(weighed(WORSE, status="fail", slices=found))
    assert "Slices: 1 of 1 worse" in shown
    assert "✗ carrier=EV" in shown


def test_where_every_slice_is_worse_nothing_is_said_of_others() -> None:
    every = Slices(verdicts=SLICED.verdicts[:1], comparisons=1, min_rows=100)
    assert "too few rows" not in comment_on(with_gate(weighed(WORSE, status="fail", slices=every)))
    some = msgspec.structs.replace(every, too_few=("carrier=HA (12 rows)",))
    assert "<summary>Slices with too few rows: 1</summary>" in comment_on(with_gate(weighed(WORSE, status="fail", slices=some)))


def test_a_change_of_just_the_margin_needs_no_more_decimals() -> None:
    """0.760 - 0.755 is not quite 0.005 in binary, and the gate lets it pass: there is nothing beyond the margin to see."""
    on_the_edge = metric("roc_auc", 0.760, 0.755, 0.005, state="pass", reason="within the margin")
    shown = terminal.render_record(weighed(on_the_edge, paired=False, confidence=None))
    assert shown.splitlines()[1].split() == ["✓", "roc_auc", "0.7600", "0.7550", "−0.0050", "−0.0050", "within", "the", "margin"]


def test_a_slice_that_only_warns_is_yellow() -> None:
    record = weighed(SURE, status="warn", summary="worse for carrier=EV", slices=SLICED)
    report = report_on(with_gate(record))
    assert (report.icon, report.headline) == ("🟡", "worse for carrier=EV")
    assert plain(report.cause) == "Passes, with 1 warning. roc_auc went from 0.7391 to 0.6804 there (14% of rows)."
    assert "| 🟡 | carrier=EV |" in render_comment(report)


def test_flips_say_who_they_are() -> None:
    comment = comment_on(worse())
    flips = comment.partition("<details><summary>Flips: 212 newly wrong, 96 newly right (net −116)</summary>\n\n")[2]
    assert flips.partition("\n\n</details>")[0] == (
        "<b>Where newly wrong rows are frequent</b>\n\n"
        "| among | rows | newly wrong | newly right | as often as elsewhere |\n"
        "| -- | --: | --: | --: | --: |\n"
        "| carrier=EV | 700&nbsp;(14%) | 88 | 9 | 4.4× |\n"
        "| distance 1,020 and more | 1,012&nbsp;(20%) | 61 | 21 | 1.6× |\n\n"
        "<b>Newly wrong, for example</b>\n\n"
        "| key | truth | champion v7 | this PR | where |\n"
        "| -- | -- | -- | -- | -- |\n"
        "| <code>4410</code> | late | late&nbsp;(0.81) | on&nbsp;time&nbsp;(0.12) | carrier=EV |\n"
        "| <code>19923</code> | on&nbsp;time | on&nbsp;time&nbsp;(0.33) | late&nbsp;(0.94) | carrier=EV |\n"
        "| <code>1282</code> | late | late&nbsp;(0.71) | on&nbsp;time&nbsp;(0.22) | carrier=MQ |"
    )


def test_hidden_keys_have_no_column_but_a_way_to_see_them() -> None:
    hidden = Flips(newly_right=1, newly_wrong=2, examples=(Example(key="", truth="1", baseline="1", candidate="0"),), keys_hidden=True)
    comment = comment_on(with_gate(weighed(flips=hidden)))
    assert "| truth | champion v7 | this PR |\n| -- | -- | -- |\n| 1 | 1 | 0 |" in comment
    assert "name their column under <code>gate.show</code>" in comment


@pytest.mark.parametrize(
    ("flips", "says"),
    [
        (Flips(newly_right=0, newly_wrong=0), None),
        (Flips(newly_right=7, newly_wrong=7), "Flips: 7 newly wrong, 7 newly right (net 0)"),
        (Flips(newly_right=12, newly_wrong=0), "Flips: 0 newly wrong, 12 newly right (net +12)"),
    ],
)
def test_flips_are_counted(flips: Flips, says: str | None) -> None:
    titles = [plain(section.title) for section in report_on(with_gate(weighed(flips=flips))).sections]
    assert [title for title in titles if title.startswith("Flips")] == ([says] if says else [])


def test_findings_come_first_with_what_to_do() -> None:
    opening = comment_on(unapproved()).partition("\n\n<b>Blocked")[0]
    assert opening == (
        "## 🔴 flight-delay: needs approval to change what judges it\n\n"
        "> 🔴 <b>Needs</b> the label <code>modelship-approved</code> by a maintainer. This change:\n"
        "> - loosens <code>roc_auc</code>: max-regression 0.005 → 0.05\n"
        "> - edits the holdout: 120 rows new, 30 gone, 4 labels changed\n\n"
        "> ⚠️ This change judges on 12 rows that the model also learns from."
    )


def test_approved_findings_say_so_and_block_nothing() -> None:
    report = report_on(unapproved(given=True))
    assert (report.icon, report.headline) == ("🟡", "every metric is within its margin of champion v7")
    first = report.notices[0]
    assert plain(first.content) == "Approved by alice with the label modelship-approved. This change:"
    assert len(first.items) == 2
    assert plain(report.cause) == "Passes, with 1 warning. It changes what judges it, with approval."


def test_a_regression_that_waits_for_a_label_as_well_says_both() -> None:
    approval = Approval(label="modelship-approved", given=False)
    report = report_on(with_gate(weighed(WORSE, LOSS, findings=(LOOSER,), approval=approval)))
    assert report.headline == "roc_auc fell 0.021 below champion v7"
    assert plain(report.cause).endswith("1 of 2 metrics passes. It needs the label modelship-approved.")


def test_more_findings_than_fit_are_counted() -> None:
    comment = comment_on(with_gate(weighed(findings=(LOOSER,) * 3 + (EDITED,) * 5, status="fail")))
    assert comment.count("> - ") == 6
    assert "> - … and 3 more on the report page." in comment
    assert "> 🔴 <b>Needs</b> an approval by a maintainer." in comment


def test_an_accepted_regression_may_still_wait_for_a_label() -> None:
    approval = Approval(label="modelship-approved", given=False)
    gate = weighed(WORSE, LOSS, status="fail", findings=(LOOSER,), approval=approval, acceptance=ACCEPTED, slices=SLICED)
    report = report_on(with_gate(gate))
    assert (report.icon, report.headline) == ("🔴", "needs approval to change what judges it")
    assert plain(report.cause) == "Blocked by 1 of 4 checks. It needs the label modelship-approved."
    assert [plain(notice.content)[:19] for notice in report.notices] == ["Needs the label mod", "Regression accepted"]
    assert "| 🟡 | roc_auc |" in render_comment(report)


def test_an_accepted_regression_is_yellow_and_mentions_nobody() -> None:
    comment = comment_on(accepted())
    assert comment.splitlines()[2] == (
        "> 🟡 [Regression accepted](https://github.com/acme/flights/pull/3#c1) by alice: The new fares need it, see @\u2060bob."
    )
    assert "| 🟡 | roc_auc |" in comment
    assert "worse, accepted" in terminal.render(report_on(accepted()))
    assert report_on(accepted()).conclusion == "success"


def test_an_acceptance_does_not_hide_what_it_does_not_cover() -> None:
    broken = paired("roc_auc", 0.7437, 0.6926, 0.005, 0.004, reason="below 0.7")
    report = report_on(with_gate(weighed(broken, LOSS, status="fail", acceptance=ACCEPTED)))
    assert report.icon == "🔴"
    assert "| 🔴 | roc_auc |" in render_comment(report)


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (paired("m", 0.5, 0.51, 0.02, 0.005), "better, proven"),
        (paired("m", 0.5, 0.505, 0.02, 0.01), "no worse, proven"),
        (paired("m", 0.5, 0.49, 0.02, 0.05), "within the margin"),
        (paired("m", 0.5, 0.45, 0.02, 0.05), "cannot tell"),
        (paired("m", 0.5, 0.4, 0.02, 0.05), "worse"),
        (paired("m", 0.5, 0.5, 0.02, 0.0, reason="same", proven=True), "same"),
        (metric("m", 0.5, 0.51, 0.02), "better"),
    ],
)
def test_what_is_proven_is_told_from_what_merely_seems_so(verdict: MetricVerdict, says: str) -> None:
    table = report_on(with_gate(weighed(verdict))).metrics
    assert table
    assert table.rows[0].verdict == says


def test_without_a_number_of_rows_that_would_tell_none_is_made_up() -> None:
    def sentence(**changes: Any) -> str:
        unsure = paired("roc_auc", 0.7437, 0.7376, 0.005, 0.0079, **changes)
        return plain(report_on(with_gate(weighed(unsure, LOSS, status="fail", summary="x"))).cause)

    assert sentence(rows_to_decide=None).endswith("where −0.0050 is allowed; only far more rows would tell.")
    assert "a change between −0.0240 and +0.0018 where" in sentence(interval=(-0.024, 0.0018))
    assert sentence(rows_to_decide=1_274_900).endswith("about 1,300,000 rows would tell.")


def test_several_undecided_metrics_are_counted_and_named() -> None:
    other = paired("f1", 0.61, 0.60, 0.005, 0.02)
    report = report_on(with_gate(weighed(UNSURE, other, status="warn")))
    assert report.headline == "cannot tell whether f1 and 1 more metric got worse"
    assert "show a change in f1 of −0.0100" in plain(report.cause)


def test_a_whole_interval_beyond_the_margin_can_be_seen_to_be_beyond() -> None:
    close = paired("roc_auc", 0.7437, 0.7337, 0.005, 0.00499)
    table = report_on(with_gate(weighed(close))).metrics
    assert table
    assert table.rows[0].interval == "[−0.01499, −0.00501]"
    assert table.rows[0].allowed == "−0.00500"


def test_where_the_numbers_come_from_is_said() -> None:
    reported = metric("revenue", 10.0, 11.0, 1.0)
    assert "Recomputed from 5,000 paired rows in 812 groups." in plain(report_on(proven()).basis)
    basis = plain(report_on(with_gate(weighed(SURE, reported))).basis)
    assert basis.endswith("Recomputed from 5,000 paired rows. revenue is as training reported, without an interval.")
    assert "how much of a change is chance is not known" in plain(report_on(good()).basis)


def test_the_page_tells_how_intervals_were_found_and_draws_them() -> None:
    page = html.render_page(report_on(undecidable()))
    assert "How the intervals were found" in page
    assert "DeLong et al. 1988" in page
    assert "about 21,340" in page
    assert page.count('class="whisker"') == 3
    assert "DeLong" not in comment_on(undecidable())


def test_a_whisker_is_drawn_to_the_scale_of_its_bar() -> None:
    table = report_on(with_gate(weighed(paired("m", 0.5, 0.49, 0.02, 0.03)))).metrics
    assert table
    assert html.bar(table.rows[0]) == html.Bar(start=-11.25, length=11.25, limit=-22.5, kind="pass", whisker=(-45.0, 22.5))


def test_reading_help_explains_only_what_is_there() -> None:
    assert "<b>proven</b>" in comment_on(proven())
    assert "<b>joint</b>" in comment_on(worse())
    assert "<b>joint</b>" not in comment_on(proven())
    assert "<b>proven</b>" not in comment_on(good())
    assert "In 90 of 100 such comparisons" in comment_on(with_gate(weighed(confidence=0.9)))


def test_model_checks_are_open_where_they_block() -> None:
    comment = comment_on(broken_model())
    assert "<details open><summary>2 model checks do not hold</summary>" in comment
    assert "| 🔴 | invariant&nbsp;to&nbsp;carrier | 41 of 500 rows change | at&nbsp;most&nbsp;1% |" in comment
    assert "| 🟡 | model&nbsp;size | 61&nbsp;MB | 50&nbsp;MB |" in comment
    assert "<summary>Model: 1 of 3 checks holds; 4.1 MB; 3.2 ms a row (p99)</summary>" in comment
    assert "p50 1.2 ms, p99 3.2 ms (200 calls of 1 row)" in comment


def test_a_model_that_could_not_be_scored_shows_the_end_of_its_log() -> None:
    failed = scored(status="error", summary="it crashed.", candidate=None, checks=(), latency={}, log_tail=("MemoryError",))
    comment = comment_on(with_gate(weighed()) | {"evaluate": failed})
    assert comment.startswith("## 🔴 flight-delay: the model could not be scored\n")
    assert "<details open><summary>Scoring log: the last 1 line</summary>\n\n```text\nMemoryError\n```" in comment


@pytest.mark.parametrize("name", GATE_SCENARIOS)
def test_a_terminal_of_80_columns_has_room_for_it_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = report_on(GATE_SCENARIOS[name]())
    lines = terminal.render(report).splitlines()
    assert max(map(width, lines)) <= 80
    assert report.metrics
    for row in report.metrics.rows:
        assert any(line.endswith(row.change_and_interval) for line in lines), "no number is cut"


def test_a_terminal_shows_a_failing_slice_with_its_interval_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "  ✗ carrier=EV  700 (14%)  roc_auc  −0.0587 [−0.0898, −0.0276]  worse" in terminal.render(report_on(worse())).splitlines()


def test_a_terminal_shows_findings_of_the_gate_alone() -> None:
    record = unapproved()["metric-gate"]
    assert isinstance(record, MetricGateRecord)
    assert terminal.render_record(record).splitlines()[:3] == [
        "✗ Needs the label modelship-approved by a maintainer. This change:",
        "  - loosens roc_auc: max-regression 0.005 → 0.05",
        "  - edits the holdout: 120 rows new, 30 gone, 4 labels changed",
    ]


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.tuples(numbers, numbers, numbers, numbers, numbers), st.none() | numbers.map(abs), st.sampled_from(list(get_args(State))))
@settings(max_examples=150, deadline=None)
def test_any_numbers_can_be_rendered(values: tuple[float, ...], margin: float | None, state: State) -> None:
    """A record is foreign: its interval may be anywhere, and of any size."""
    baseline, candidate, change, low, high = values
    verdict = MetricVerdict(
        metric="m",
        state=state,
        reason="worse",
        better="higher",
        baseline=baseline,
        candidate=candidate,
        change=change,
        margin=margin,
        allowed="−1",
        interval=(low, high),
    )
    report = report_on(with_gate(weighed(verdict, status="fail", slices=Slices(verdicts=(in_slice(7, verdict, a="b"),)))))
    assert "flight-delay" in render_comment(report)
    assert "flight-delay" in html.render_page(report)
    assert "flight-delay" in terminal.render(report)
