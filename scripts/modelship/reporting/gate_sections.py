"""The parts of a report that the gate's record makes: metrics, slices, flips, and how to read them. Without content a part is None."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from modelship.core.records import Acceptance, Cohort, Example, Flips, MetricGateRecord, MetricVerdict, Slices, SliceVerdict
from modelship.core.words import counted
from modelship.reporting.blocks import Block, Listing, MetricRow, MetricTable, Notice, Paragraph, Row, Section, Table
from modelship.reporting.chart import Interval
from modelship.reporting.inline import Code, Line, Link, Strong, line, prose
from modelship.reporting.numbers import NOTHING, number, signed
from modelship.reporting.verdicts import (
    allowed,
    confidence_label,
    decimals,
    failing,
    failing_slices,
    interval_text,
    is_accepted,
    light,
    one_for_each,
    share,
    slice_name,
    slices_seen,
    verdict_words,
)

_MOST_SLICE_ROWS = 15


def metric_table(record: MetricGateRecord, candidate_label: str) -> MetricTable:
    """The gated metrics, in the record's order: worst first and unchanged ones last."""
    rows = tuple(_metric_row(verdict, record) for verdict in record.metrics)
    baseline_label = record.baseline.label if record.baseline and record.baseline.kind != "none" else "baseline"
    return MetricTable(baseline_label, candidate_label, rows, confidence_label(record))


def _metric_row(verdict: MetricVerdict, record: MetricGateRecord) -> MetricRow:
    shown = decimals(verdict)
    drawn = None
    if verdict.change is not None and verdict.interval is not None:
        drawn = Interval(verdict.change, *verdict.interval, verdict.margin)
    accepted = is_accepted(record) and verdict.state == "fail"
    return MetricRow(
        light=light(verdict, record),
        metric=verdict.metric,
        baseline=number(verdict.baseline, shown),
        candidate=number(verdict.candidate, shown),
        difference=signed(verdict.change, shown),
        interval=interval_text(verdict),
        allowed=allowed(verdict),
        verdict=f"{verdict_words(verdict)}, accepted" if accepted else verdict_words(verdict),
        change=verdict.change,
        margin=verdict.margin,
        drawn=drawn,
    )


def basis(record: MetricGateRecord) -> Line:
    """The small print under the metrics: what they were compared with, by whose rules, and how sure that is."""
    baseline = record.baseline
    parts: list[str] = []
    if any(verdict.change is not None for verdict in record.metrics):
        parts.append("In the change, + is better and − is worse.")
    if baseline and baseline.kind != "none":
        dated = f", {baseline.date}" if baseline.date else ""
        parts.append(f"Baseline: {baseline.source or baseline.label}{dated}.")
    if record.policy:
        parts.append(f"Limits: {record.policy}.")
    parts += _origins(record)
    return prose(" ".join(parts))


def _origins(record: MetricGateRecord) -> list[str]:
    """Where the numbers come from."""
    compared = [verdict for verdict in record.metrics if verdict.change is not None]
    reported = [verdict.metric for verdict in compared if not verdict.recomputed]
    if not record.paired:
        told = "Metrics are as training reported them, without an interval: how much of a change is chance is not known."
        return [told] if compared else []
    groups = f" in {counted(record.groups, 'group')}" if record.groups is not None else ""
    kind = "labelled" if record.are_apart else "paired"
    rows = f"{kind} rows" if record.rows is None else f"{record.rows:,} {kind} rows"
    found = [f"Recomputed from {rows}{groups}."] if len(reported) < len(compared) else []
    if reported:
        which = reported[0] if len(reported) == 1 else counted(len(reported), "metric")
        found.append(f"{which} {'is' if len(reported) == 1 else 'are'} as training reported, without an interval.")
    return found


def judge_notices(record: MetricGateRecord | None, sites: Collection[str] = ()) -> tuple[Notice, ...]:
    """What touches the judging itself, the gravest first, and who let a regression pass, with a link if it leads to the `sites`."""
    if record is None:
        return ()
    grave = tuple(prose(finding.text) for finding in record.findings if finding.needs_approval)
    told = [Notice(line("This change ", *prose(finding.text), ".")) for finding in record.findings if not finding.needs_approval]
    notices = [_approval_notice(record, grave)] if grave else []
    if record.acceptance:
        notices.append(Notice(_acceptance_line(record.acceptance, sites), "warn"))
    return (*notices, *told)


def _approval_notice(record: MetricGateRecord, findings: tuple[Line, ...]) -> Notice:
    approval = record.approval
    label: Line = (" an approval",) if approval is None else (" the label ", Code(approval.label))
    if approval is None or not approval.given:
        return Notice(line(Strong("Needs"), *label, " by a maintainer. This change:"), "fail", findings)
    return Notice(
        line(Strong("Approved"), f" by {approval.by} with" if approval.by else " by", *label, ". This change:"), "warn", findings
    )


def _acceptance_line(acceptance: Acceptance, sites: Collection[str]) -> Line:
    accepted = Link("Regression accepted", acceptance.url)
    shown = accepted if accepted.within(sites) == (accepted,) else Strong(accepted.text)
    return line(shown, f" by {acceptance.by}: {acceptance.reason}")


def worse_slices(record: MetricGateRecord | None, metrics: MetricTable | None) -> Section | None:
    """The slices that are proven worse, each with its worst metric, or None where none is.

    Unfolded where they explain the verdict: nothing but slices fails, or it fails in some of them only, or there is just one to name.
    """
    failed = failing_slices(record) if record else []
    if record is None or record.slices is None or metrics is None or not failed:
        return None
    title = f"Slices: {len(failed):,}{_of_all(record.slices)} worse"
    explains = not failing(record) or len(failed) == 1 or 2 * len(failed) <= slices_seen(record.slices.verdicts)
    return Section(line(title), (_slice_table(failed, record, metrics),), explains=explains)


def every_slice(record: MetricGateRecord | None, metrics: MetricTable | None) -> Section | None:
    """All metrics of all slices, for the page."""
    slices = record.slices if record else None
    if record is None or slices is None or metrics is None or len(slices.verdicts) <= len(one_for_each(slices.verdicts)):
        return None
    table = _slice_table(slices.verdicts, record, metrics)
    return Section(line(f"Slices by metric: {counted(len(slices.verdicts), 'comparison')}"), (table,), page_only=True)


def other_slices(record: MetricGateRecord | None, metrics: MetricTable | None) -> Section | None:
    """The slices that are not proven worse, and those too small to be judged."""
    slices = record.slices if record else None
    if record is None or slices is None or metrics is None:
        return None
    failed = {tuple(one.slice.items()) for one in failing_slices(record)}
    rest = [one for one in one_for_each(slices.verdicts) if tuple(one.slice.items()) not in failed]
    if not (rest or slices.too_few):
        return None
    blocks: list[Block] = [_slice_table(rest, record, metrics)] if rest else []
    if slices.comparisons:
        blocks.append(Paragraph(line(_family_sentence(slices, record))))
    too_few = Listing(line(Strong("Too few rows"), _least(slices), ": "), slices.too_few, slices.more_too_few)
    if too_few.items:
        blocks.append(too_few)
    if failing_slices(record):
        title = f"Slices not proven worse: {len(rest):,}" if rest else f"Slices with too few rows: {too_few.count:,}"
    elif rest:
        title = f"Slices: none{_of_all(slices)} worse"
    else:
        title = "Slices: none has enough rows"
    return Section(line(title), tuple(blocks))


def _of_all(slices: Slices) -> str:
    """` of 14`, where the record holds every slice that was judged."""
    return f" of {slices_seen(slices.verdicts):,}" if slices.comparisons <= len(slices.verdicts) else ""


def _least(slices: Slices) -> str:
    return f" (the least is {slices.min_rows:,})" if slices.min_rows else ""


def _family_sentence(slices: Slices, record: MetricGateRecord) -> str:
    sure = f", at {100 * record.confidence:g}% confidence" if record.confidence is not None else ""
    if slices.comparisons == 1:
        return f"One interval was looked at{sure}."
    return f"The intervals hold for all {slices.comparisons:,} comparisons at once{sure}: that makes them wide."


def _slice_table(verdicts: Iterable[SliceVerdict], record: MetricGateRecord, metrics: MetricTable) -> Table:
    models = (f">{metrics.baseline_label}", f">{metrics.candidate_label}")
    change = f">change (joint {metrics.interval_label})" if metrics.interval_label else ">change"
    columns = ("slice", ">rows", "metric", *models, change, "verdict")
    return Table(columns, tuple(_slice_row(one, record) for one in verdicts), _MOST_SLICE_ROWS, models)


def _slice_row(one: SliceVerdict, record: MetricGateRecord) -> Row:
    verdict, shown = one.verdict, decimals(one.verdict)
    part = share(one.rows, record)
    cells = (
        slice_name(one.slice),
        f"{one.rows:,} ({part})" if part else f"{one.rows:,}",
        verdict.metric,
        number(verdict.baseline, shown),
        number(verdict.candidate, shown),
        f"{signed(verdict.change, shown)} {interval_text(verdict)}".rstrip(),
        verdict_words(verdict),
    )
    # Most slices are too small to tell anything: that is nothing to warn of.
    return Row(tuple(map(line, cells)), "none" if verdict.state == "inconclusive" else light(verdict, record))


def flips(record: MetricGateRecord | None, metrics: MetricTable | None) -> Section | None:
    """Rows that changed sides: how many, where newly wrong ones are frequent, and some of them."""
    found = record.flips if record else None
    if record is None or found is None or metrics is None or not found.newly_right + found.newly_wrong:
        return None
    net = signed(found.newly_right - found.newly_wrong, 0)
    title = f"Flips: {found.newly_wrong:,} newly wrong, {found.newly_right:,} newly right (net {net})"
    blocks: list[Block] = []
    if found.cohorts:
        blocks += [Paragraph(line(Strong("Where newly wrong rows are frequent"))), _cohort_table(found.cohorts, record)]
    if found.examples:
        blocks += [Paragraph(line(Strong("Newly wrong, for example"))), _example_table(found, metrics)]
    if found.keys_hidden:
        blocks.append(Paragraph(line("Keys are text, and not shown: name their column under ", Code("gate.show"), " to see them.")))
    if not blocks:
        blocks.append(Paragraph(line("Rows newly wrong are spread evenly: no slice has clearly more of them.")))
    return Section(line(title), tuple(blocks))


def _cohort_table(cohorts: Sequence[Cohort], record: MetricGateRecord) -> Table:
    def row(cohort: Cohort) -> Row:
        part = share(cohort.rows, record)
        cells = (
            slice_name(cohort.slice),
            f"{cohort.rows:,} ({part})" if part else f"{cohort.rows:,}",
            f"{cohort.newly_wrong:,}",
            f"{cohort.newly_right:,}",
            f"{cohort.lift:.1f}×",
        )
        return Row(tuple(map(line, cells)))

    columns = ("among", ">rows", ">newly wrong", ">newly right", ">as often as elsewhere")
    return Table(columns, tuple(map(row, cohorts)), _MOST_SLICE_ROWS)


def _example_table(found: Flips, metrics: MetricTable) -> Table:
    with_keys = any(example.key for example in found.examples)
    with_values = any(example.values for example in found.examples)

    def row(example: Example) -> Row:
        key: Line = (Code(example.key),) if example.key else (NOTHING,)
        values = line(_values(example.values))
        cells = (line(example.truth), line(example.baseline), line(example.candidate))
        return Row((*((key,) if with_keys else ()), *cells, *((values,) if with_values else ())))

    models = (metrics.baseline_label, metrics.candidate_label)
    titles = (*(("key",) if with_keys else ()), "truth", *models, *(("where",) if with_values else ()))
    return Table(titles, tuple(map(row, found.examples)), _MOST_SLICE_ROWS)


def _values(values: Mapping[str, str]) -> str:
    return ", ".join(f"{column}={value}" for column, value in values.items())


def methods(record: MetricGateRecord | None) -> Section | None:
    """How each interval was found, and how many rows would tell where these cannot."""
    found = [verdict for verdict in record.metrics if verdict.method or verdict.interval] if record else []
    if not found:
        return None
    rows = tuple(
        Row(
            (
                line(verdict.metric),
                line(interval_text(verdict) or NOTHING),
                line(verdict.method or NOTHING),
                line("predictions" if verdict.recomputed else "training's report"),
                line(f"about {verdict.rows_to_decide:,}" if verdict.rows_to_decide else NOTHING),
            )
        )
        for verdict in found
    )
    columns = ("metric", ">interval of the change", "found by", "numbers from", ">rows that would tell")
    return Section(line("How the intervals were found"), (Table(columns, rows),), page_only=True)


def how_to_read(record: MetricGateRecord) -> Section:
    """What the words and signs of this report mean; only those that it uses."""
    lines = [
        line(Strong("change"), " is signed so that plus is better, whether a high or a low value of the metric is good."),
        line(Strong("allowed"), " is how far below zero the change may be, and the limits that hold without a baseline."),
    ]
    if confidence_label(record):
        lines += _about_intervals(record)
    if record.flips and record.flips.examples:
        lines.append(
            line(Strong("(0.81)"), " behind a model's answer: how probable the model holds it, where predictions have scores.")
        )
    lines.append(line("🟢 passes · 🟡 passes, but look at it · 🔴 blocks · ⚪ was not run, or is too small to tell"))
    return Section(line("How to read this"), tuple(map(Paragraph, lines)), is_help=True)


def _about_intervals(record: MetricGateRecord) -> list[Line]:
    often = f"{100 * (record.confidence or 0):g} of 100"
    lines = [
        line(
            Strong("[from, to]"),
            f" is what the change may truly be: other rows of the same kind would give another change. In {often} such comparisons"
            " the true change is between the two.",
        ),
        line(
            Strong("worse"),
            ": all of [from, to] is below what is allowed. ",
            Strong("cannot tell"),
            ": the change is below it, but chance alone may have put it there. ",
            Strong("within the margin"),
            ": the change is not below it, though it may truly be. ",
            Strong("proven"),
            ": all of [from, to] is within what is allowed (no worse), or above zero (better).",
        ),
        line(Strong("rows that would tell"), ": about so many, were the true change the one that is seen (80% power)."),
    ]
    if record.slices and record.slices.comparisons > 1:
        lines.append(
            line(
                Strong("joint"),
                ": the intervals of slices are wider, so that all of them hold at once. Looking at many slices raises no false alarm.",
            )
        )
    return lines
