"""The model card: what a registered model is, what it was judged on, where it is weak, and what it was made from.

The parts follow Mitchell et al. 2019, Model Cards for Model Reporting (FAT*), as far as records know them: what a model is for, and
whom it may harm, its team has to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelship.core.records import (
    DriftReportRecord,
    EvaluateRecord,
    Expectation,
    MetricGateRecord,
    Record,
    TrainRecord,
    ValidateRecord,
)
from modelship.core.words import counted
from modelship.reporting import gate_sections, sections
from modelship.reporting.blocks import Block, Paragraph, Row, Section, Table, key_values
from modelship.reporting.checks import Found, record_of
from modelship.reporting.headlines import doubts
from modelship.reporting.inline import Code, Line, Link, line, prose
from modelship.reporting.markdown import render_document
from modelship.reporting.numbers import NOTHING, decimals_for, duration, number, size
from modelship.reporting.verdicts import failing, failing_slices, slice_name, undecided

_MOST_NAMED = 10


@dataclass(frozen=True)
class Identity:
    """Which model the card is about. What is empty is left out."""

    name: str
    version: str = ""
    """In the registry."""
    digest: str = ""
    """SHA-256 over the model's files."""
    formats: tuple[str, ...] = ()
    """Of the files that hold the model."""
    run: str = ""
    """The workflow run that registered it, as a reader would call it."""
    run_url: str = ""
    sites: frozenset[str] = frozenset()
    """Where links from records may lead, as `site_of` names them."""


def model_card(identity: Identity, records: Mapping[str, Found]) -> str:
    """The card as Markdown, from what the commands left behind; text from data stays text."""
    title = f"{identity.name} v{identity.version}" if identity.version else identity.name
    parts = (
        _model(identity, records),
        _data(records),
        _metrics(records),
        _slices(records),
        _limits(records),
        _lineage(identity, records),
        sections.parameters(record_of(records, "train", TrainRecord)),
    )
    return render_document(title, [part for part in parts if part])


def _model(identity: Identity, records: Mapping[str, Found]) -> Section:
    trained, scored = record_of(records, "train", TrainRecord), record_of(records, "evaluate", EvaluateRecord)
    candidate = scored.candidate if scored else None
    facts = key_values(
        (
            ("name", line(Code(identity.name))),
            ("version", line(identity.version)),
            ("SHA-256", line(Code(identity.digest)) if identity.digest else ()),
            ("formats", line(", ".join(identity.formats))),
            ("size", line(size(candidate.bytes)) if candidate else ()),
            *(
                (f"{kind.replace('-', ' ')} p99", line(f"{found.p99:.1f} ms"))
                for kind, found in (scored.latency if scored else {}).items()
            ),
            ("trained by", line(Code(trained.command)) if trained and trained.command else ()),
            ("trained in", line(duration(trained.training_seconds)) if trained and trained.training_seconds is not None else ()),
            ("Python", line(trained.python) if trained else ()),
        )
    )
    return Section(line("Model"), (facts,))


def _data(records: Mapping[str, Found]) -> Section | None:
    validated = record_of(records, "validate", ValidateRecord)
    drift = record_of(records, "drift-report", DriftReportRecord)
    blocks: list[Block] = []
    if validated:
        tables = tuple(
            Row(
                (
                    line(table.role),
                    line(Code(table.path)),
                    line(f"{table.rows:,}"),
                    line(f"{table.columns:,}"),
                    line(_holding(table.expectations)),
                )
            )
            for table in validated.tables
        )
        blocks += (
            [Table(("table", "path", ">rows", ">columns", "expectations"), tables)]
            if tables
            else [Paragraph(prose(validated.summary))]
        )
    if drift:
        blocks.append(Paragraph(line("Drift from the reference to the current table: ", *prose(drift.summary))))
    return Section(line("Data"), tuple(blocks)) if blocks else None


def _holding(expectations: tuple[Expectation, ...]) -> str:
    held = sum(one.holds for one in expectations)
    return f"{held} of {len(expectations)} hold"


def _metrics(records: Mapping[str, Found]) -> Section | None:
    judged, trained = record_of(records, "metric-gate", MetricGateRecord), record_of(records, "train", TrainRecord)
    if judged and judged.metrics:
        table = gate_sections.metric_table(judged, "this model").as_table()
        return Section(line("Metrics"), (table, Paragraph(gate_sections.basis(judged))))
    if trained and trained.metrics:
        rows = tuple(Row((line(name), line(number(value, decimals_for([value]))))) for name, value in sorted(trained.metrics.items()))
        told = "As training reported them; nobody has judged them."
        return Section(line("Metrics"), (Table(("metric", ">value"), rows), Paragraph(line(told))))
    return None


def _slices(records: Mapping[str, Found]) -> Section | None:
    judged = record_of(records, "metric-gate", MetricGateRecord)
    metrics = gate_sections.metric_table(judged, "this model") if judged else None
    found = (gate_sections.worse_slices(judged, metrics), gate_sections.other_slices(judged, metrics))
    blocks = [block for part in found if part for block in (Paragraph(part.title), *part.blocks)]
    return Section(line("Slices"), tuple(blocks)) if blocks else None


def _limits(records: Mapping[str, Found]) -> Section:
    told = tuple(Paragraph(one) for one in _weaknesses(records))
    return Section(line("Limits"), told or (Paragraph(line("The records show none. That is no proof that there are none.")),))


def _weaknesses(records: Mapping[str, Found]) -> Iterator[Line]:
    """What a user of the model should know against it, one sentence each."""
    yield from _not_looked_at(records)
    judged = record_of(records, "metric-gate", MetricGateRecord)
    if judged:
        yield from _weak_metrics(judged)
    scored = record_of(records, "evaluate", EvaluateRecord)
    for check in scored.checks if scored else ():
        if not check.holds:
            yield line("The model check ", Code(check.name), " does not hold: ", *prose(check.observed or NOTHING), ".")
    validated = record_of(records, "validate", ValidateRecord)
    broken = [one for table in (validated.tables if validated else ()) for one in table.expectations if not one.holds]
    if broken:
        yield line(f"{counted(len(broken), 'expectation')} of the data {'does' if len(broken) == 1 else 'do'} not hold.")
    drift = record_of(records, "drift-report", DriftReportRecord)
    moved = [column.column for column in (drift.columns if drift else ()) if column.drifted]
    if moved:
        yield _named("These columns are distributed otherwise in the current table than in the reference: ", moved)


def _not_looked_at(records: Mapping[str, Found]) -> Iterator[Line]:
    told = {
        "validate": "Nobody has validated the data.",
        "drift-report": "Whether the data drifts was not looked at.",
        "evaluate": "The model was not loaded and tried.",
        "metric-gate": "Nobody has compared the model with another one.",
    }
    for name, sentence in told.items():
        record = records.get(name)
        if record is None:
            yield line(sentence)
        elif not isinstance(record, Record):
            yield line("What ", Code(name), " left behind cannot be trusted.")
        elif record.status == "error":
            yield line(Code(name), " came to no verdict: ", *prose(record.summary))


def _weak_metrics(record: MetricGateRecord) -> Iterator[Line]:
    for verdict in failing(record):
        yield line(Code(verdict.metric), f" does not hold its limits: {verdict.reason}.")
    for verdict, doubt in zip(undecided(record), doubts(record), strict=True):
        yield line("On ", Code(verdict.metric), " the data cannot tell: ", *doubt)
    if record.baseline is None or record.baseline.kind == "none":
        yield line("There was no other model to compare it with.")
    if record.acceptance:
        yield line(f"{record.acceptance.by} accepted a regression: {record.acceptance.reason}")
    if not record.paired:
        yield line("Metrics have no intervals: how much of them is chance is not known.")
    worse = [slice_name(one.slice) for one in failing_slices(record)]
    if worse:
        yield _named("It is worse than its baseline for ", worse)
    if record.slices and record.slices.too_few:
        too_few = len(record.slices.too_few) + record.slices.more_too_few
        yield line(f"{counted(too_few, 'slice')} {'has' if too_few == 1 else 'have'} too few rows to be judged.")


def _named(start: str, names: list[str]) -> Line:
    parts: list[str | Code] = [start]
    for index, name in enumerate(names[:_MOST_NAMED]):
        parts += [", ", Code(name)] if index else [Code(name)]
    rest = len(names) - _MOST_NAMED
    return line(*parts, f", and {rest:,} more." if rest > 0 else ".")


def _lineage(identity: Identity, records: Mapping[str, Found]) -> Section:
    trained, judged = record_of(records, "train", TrainRecord), record_of(records, "metric-gate", MetricGateRecord)
    baseline = judged.baseline if judged else None
    commit = next((record.commit for record in (trained, judged) if record and record.commit), None)
    facts = key_values(
        (
            ("commit", line(Code(commit)) if commit else ()),
            ("uncommitted changes", line("yes: the commit alone does not give this model") if trained and trained.dirty else ()),
            (
                "MLflow run",
                Link(trained.mlflow_run, trained.mlflow_url).within(identity.sites) if trained and trained.mlflow_run else (),
            ),
            ("registered by", line(Link(identity.run, identity.run_url)) if identity.run else ()),
            ("baseline", line(baseline.label) if baseline else ()),
            ("baseline's commit", line(Code(baseline.commit)) if baseline and baseline.commit else ()),
            ("rules", line(judged.policy) if judged else ()),
            ("packages", line(counted(len(trained.packages), "package")) if trained and trained.packages else ()),
        )
    )
    files = sections.files(None, trained)
    blocks: tuple[Block, ...] = (facts,) if facts.rows else (Paragraph(line("Nothing is known of it.")),)
    return Section(line("Lineage"), (*blocks, *(files.blocks if files else ())))
