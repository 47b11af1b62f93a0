"""Records: what each command leaves behind, typed and versioned. Everything that is shown or decided later comes from them.

A record that crossed a job boundary is hostile input: it is read strictly, and its size is capped.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from modelship.core.errors import BadInput, Problem, bad_input

MAX_RECORD_BYTES = 4 * 1024 * 1024

Status = Literal["pass", "warn", "fail", "error"]
"""`pass` and `warn` exit 0, `fail` is a verdict of no (exit 1), `error` means that there is no verdict (exit 2 or 3)."""

MAX_TEXT = 4000

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Sha = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Moment = Annotated[datetime, Meta(tz=True)]
"""With its zone, so that any two can be compared."""
Scalar = str | int | float | bool | None


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    pass


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", tag_field="record"):
    """What every record says."""

    model: str = ""
    status: Status
    summary: Text
    """One sentence."""
    problems: tuple[Problem, ...] = ()
    """Why there is no verdict, when `status` is `error`."""
    notices: tuple[Text, ...] = ()
    """Sentences that a reader should see before the details."""
    commit: Sha | None = None
    """The commit that was checked out."""
    started_at: str = ""
    """ISO 8601, UTC."""
    seconds: float = 0.0
    modelship: str = ""
    """The version that wrote this record."""


class DataFile(_Part, frozen=True, kw_only=True):
    """Something that DVC tracks: a file or a folder."""

    path: str
    hash: str
    """`md5` or another name, a colon, the digest."""
    bytes: int | None = None
    files: int | None = None
    """How many files, for a folder."""


class DvcPullRecord(Record, frozen=True, kw_only=True, tag="dvc-pull/1"):
    """What was fetched."""

    remotes: tuple[str, ...] = ()
    """Name and kind of each remote that was read, as `storage (s3)`."""
    outputs: tuple[DataFile, ...] = ()
    """What stands in the work tree now, verified."""
    recomputed: tuple[str, ...] = ()
    """Stage outputs that no remote holds; training makes them again."""


class Expectation(_Part, frozen=True, kw_only=True):
    """One expectation on one table."""

    expectation: str
    """Great Expectations' snake_case name, or the name of one of our pre-checks."""
    column: str | None = None
    arguments: dict[str, str] = {}
    holds: bool
    severity: Literal["critical", "warning", "info"] = "critical"
    observed: Text = ""
    """What was found, in a few words."""
    failed_rows: int | None = None
    sample_keys: tuple[str, ...] = ()


class TableValidation(_Part, frozen=True, kw_only=True):
    """One table against all its expectations."""

    role: Literal["reference", "current"]
    path: str
    rows: int
    columns: int
    expectations: tuple[Expectation, ...]


ColumnChangeKind = Literal["added", "removed", "retyped", "shifted"]


class ColumnChange(_Part, frozen=True, kw_only=True):
    """What became of one column between two commits."""

    column: str
    change: ColumnChangeKind
    before: Text = ""
    """What its values are, or for `shifted` a summary of them, in a few words."""
    after: Text = ""


class TableChange(_Part, frozen=True, kw_only=True):
    """One table at the base commit and now."""

    role: Literal["reference", "current"]
    path: str
    path_before: str = ""
    """Where it was at the base commit, if elsewhere."""
    base: Sha
    rows_before: int
    rows_after: int
    added: int | None = None
    """Rows by key; None without a key that names each row of both."""
    removed: int | None = None
    changed: int | None = None
    """Rows of the same key with another content in the columns that both have with the same kind of values."""
    sample_keys: tuple[str, ...] = ()
    """Of changed rows."""
    why_no_rows: Text = ""
    """Why rows could not be compared, as the second half of a sentence."""
    columns: tuple[ColumnChange, ...] = ()
    """At most 20: first those that came, went or hold something else, then what has moved furthest."""
    column_counts: dict[ColumnChangeKind, int] = {}
    """How many columns changed in each way, told or not."""


class ValidateRecord(Record, frozen=True, kw_only=True, tag="validate/1"):
    """Whether the data is what the team says it is."""

    tables: tuple[TableValidation, ...] = ()
    changes: tuple[TableChange, ...] = ()
    """What a pull request changes in the tables; a table that is as it was has no entry."""
    data_docs: str = ""
    """Great Expectations' Data Docs, as a path in the run directory."""


class TableRead(_Part, frozen=True, kw_only=True):
    """A table that was compared, and how much of it was looked at."""

    role: Literal["reference", "current"]
    source: Text
    """Its path, or what it was queried from."""
    rows: int
    sampled: int
    """How many of the rows were drawn; all of them where it equals `rows`."""


class ColumnDrift(_Part, frozen=True, kw_only=True):
    """One column in two tables. Pairs and rows of numbers are reference first, current second."""

    column: str
    kind: Literal["numerical", "categorical"]
    purpose: Literal["feature", "target", "prediction"] = "feature"
    drifted: bool
    method: str
    """As Evidently names it."""
    distance: float | None = None
    """How far apart the rows looked at are; None where the method gives a p-value alone."""
    distance_error: float | None = None
    """The standard error that sampling brings to `distance`; None where every row was looked at, or too few values."""
    threshold: float
    """Of `distance`, else of `p_value`."""
    p_value: float
    """Of no change at all, corrected over the columns."""
    missing: tuple[float, float] = (0.0, 0.0)
    """Shares of rows without a value, of all rows."""
    new_values: tuple[Text, ...] = ()
    """Some of the categories that the reference does not have, the most frequent first."""
    new_value_count: int = 0
    new_value_rows: int = 0
    """How many rows of the current table hold one."""
    outside: int = 0
    """How many numbers of the current table lie outside the reference's range; estimated where it was sampled."""
    reference_range: tuple[float, float] | None = None
    labels: tuple[Text, ...] = ()
    """What `shares` speak of: categories, or the lower ends of equal bins."""
    shares: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    findings: tuple[Text, ...] = ()
    """What a reader should know besides the distance: `4 new categories in 1.2% of the rows`."""


class SkippedColumn(_Part, frozen=True, kw_only=True):
    """A column that was not compared."""

    column: str
    reason: Text
    """`ignored`, `text: 48,112 different values`."""


class DriftReportRecord(Record, frozen=True, kw_only=True, tag="drift-report/1"):
    """Whether the current table looks like the reference."""

    tables: tuple[TableRead, ...] = ()
    drift: bool | None = None
    """Whether the tables differ, as configured: too many features, or the target or a prediction."""
    columns: tuple[ColumnDrift, ...] = ()
    """What drifted comes first."""
    skipped: tuple[SkippedColumn, ...] = ()
    share: float | None = None
    """Of the compared features, those that drifted."""
    max_share: float | None = None
    confidence: float | None = None
    sampling: Text = ""
    """What was sampled, and the error that brings."""
    page: str = ""
    """Evidently's page, as a path in the run directory."""


class TrainRecord(Record, frozen=True, kw_only=True, tag="train/1"):
    """What training was given and what it produced."""

    command: Text = ""
    exit_status: int | None = None
    """The command's own; negative is the signal that ended it."""
    training_seconds: float | None = None
    peak_memory_bytes: int | None = None
    """Of the largest process."""
    metrics_path: str = ""
    metrics_uncommitted: bool = False
    """Whether the commit holds another metrics file than the one that training wrote."""
    metrics: dict[str, float] = {}
    """Finite numbers by flattened name."""
    invalid_metrics: dict[str, Text] = {}
    """What else the metrics file holds, and why it is no metric."""
    params: dict[str, Scalar] = {}
    data: tuple[DataFile, ...] = ()
    packages: dict[str, str] = {}
    python: str = ""
    """Version of the team's interpreter."""
    dirty: bool = False
    """Whether tracked files differed from the commit before training began."""
    tables_changed: bool = False
    """Whether training wrote the reference or the current table anew, so that an earlier validation does not speak of it."""
    model_digest: str = ""
    predictions: DataFile | None = None
    mlflow_run: str = ""
    mlflow_url: str = ""
    log_tail: tuple[Text, ...] = ()
    """The last lines, when training failed."""


class ScoredModel(_Part, frozen=True, kw_only=True):
    """A model and its answers to the current rows."""

    path: Text
    digest: str
    """SHA-256 over the model's files."""
    bytes: int
    """Size of all its files."""
    predictions: DataFile
    """In the run directory."""
    scored_seconds: float
    """How long the answers to all rows took, loading not counted."""
    peak_memory_bytes: int | None = None
    """Of the largest process up to then."""


class ModelCheck(_Part, frozen=True, kw_only=True):
    """One thing that the candidate must hold."""

    name: Text
    """As a reader would call it: `finite`, `single-row p99`, `invariant to carrier`."""
    holds: bool
    severity: Literal["critical", "warning", "info"] = "critical"
    """Only what is critical blocks; `info` is measured and not judged."""
    observed: Text = ""
    """What was found, in a few words."""
    limit: Text = ""
    """What was asked for."""


class LatencyMeasured(_Part, frozen=True, kw_only=True):
    """How long a model took to answer, in milliseconds."""

    rows: int
    """In each call."""
    calls: int
    p50: float
    p99: float


class FunctionMetric(_Part, frozen=True, kw_only=True):
    """A metric of the team's own on the current rows. Differences are candidate less baseline, whichever is better."""

    function: Text
    candidate: float
    baseline: float | None = None
    standard_error: float | None = None
    """Of the difference."""
    low: float | None = None
    high: float | None = None
    """What the difference may truly be, at the record's confidence."""
    effective_rows: float | None = None
    """How many rows, or groups, the standard error rests on."""
    groups: Annotated[int, Meta(ge=2)] | None = None
    """How many groups of rows that belong together, where the team named a column for it."""
    method: Text = ""
    """How the interval was found."""


class EvaluateRecord(Record, frozen=True, kw_only=True, tag="evaluate/1"):
    """Both models on the same rows, and what the candidate holds by itself."""

    python: str = ""
    """Version of the team's interpreter."""
    table: DataFile | None = None
    """The current table, with its SHA-256."""
    rows: int | None = None
    candidate: ScoredModel | None = None
    examples: DataFile | None = None
    """Rows as a server gets them and the candidate's answers, in the run directory: what smoke tests ask."""
    why_no_examples: Text = ""
    baseline: ScoredModel | None = None
    """None where no baseline model was at hand."""
    checks: tuple[ModelCheck, ...] = ()
    """What does not hold comes first."""
    latency: dict[str, LatencyMeasured] = {}
    """`single-row` and `batch`, of the candidate."""
    functions: dict[str, FunctionMetric] = {}
    """By the metric's name."""
    confidence: float | None = None
    """The confidence of intervals."""
    log_tail: tuple[Text, ...] = ()
    """The last lines, when scoring failed."""


class Baseline(_Part, frozen=True, kw_only=True):
    """What the candidate is compared with."""

    kind: Literal["champion", "base", "git", "run", "file", "none"]
    label: Text
    """As a reader would call it: `champion v7`, `main 3f2a91c`."""
    source: Text = ""
    """Where its metrics were read, as `metrics.json at 3f2a91c`."""
    commit: str = ""
    date: str = ""
    version: int | None = None
    """The champion's, 0 where there was none; None for another baseline."""


State = Literal["pass", "fail", "inconclusive", "no-baseline", "missing", "invalid"]


class MetricVerdict(_Part, frozen=True, kw_only=True):
    """One gated metric. `change` is signed so that positive is better; `margin` is how far below zero it may be."""

    metric: str
    state: State
    reason: Text
    """In a few words: `worse`, `within the margin`, `below 0.7`."""
    better: Literal["higher", "lower"]
    baseline: float | None = None
    candidate: float | None = None
    change: float | None = None
    margin: float | None = None
    allowed: Text = ""
    """The limits as a reader would write them: `−0.0050`, `≥ 0.70`."""
    interval: tuple[float, float] | None = None
    """What the change may truly be, at the record's confidence; None without paired predictions."""
    proven: bool = False
    """Whether the interval alone shows what `reason` says."""
    rows_to_decide: int | None = None
    """About how many rows would tell, where these could not."""
    method: Text = ""
    """How the interval was found."""
    recomputed: bool = False
    """Whether the numbers come from predictions; else they are what training reported."""


class SliceVerdict(_Part, frozen=True, kw_only=True):
    """One metric within one slice; its interval holds for all slices at once."""

    slice: dict[str, Text]
    """Column to value, as a reader would write it: `{carrier: EV}`, `{distance: 500 to 1,020}`."""
    rows: int
    verdict: MetricVerdict


class Slices(_Part, frozen=True, kw_only=True):
    """What slices showed."""

    verdicts: tuple[SliceVerdict, ...] = ()
    """Worst first; at most 300."""
    comparisons: int = 0
    """How many intervals were looked at, and corrected for."""
    too_few: tuple[Text, ...] = ()
    """Slices with fewer than `min_rows` rows, or in which a metric is not defined; at most 100."""
    more_too_few: int = 0
    """How many others there are of them."""
    min_rows: int = 0


class Cohort(_Part, frozen=True, kw_only=True):
    """Rows that share values, among which something is more frequent than among all."""

    slice: dict[str, Text]
    rows: int
    newly_right: int
    newly_wrong: int
    lift: float
    """How many times more frequent rows newly wrong are here than elsewhere."""


class Example(_Part, frozen=True, kw_only=True):
    """A row that was right and is wrong now. Text that the team has not allowed to be shown is left out."""

    key: Text
    truth: Text
    baseline: Text
    candidate: Text
    values: dict[str, Text] = {}


class Flips(_Part, frozen=True, kw_only=True):
    """Rows on which the two models are right and wrong the other way round."""

    newly_right: int
    newly_wrong: int
    cohorts: tuple[Cohort, ...] = ()
    """Where rows newly wrong concentrate, the most striking first."""
    examples: tuple[Example, ...] = ()
    keys_hidden: bool = False
    """Whether keys are text that may not be shown."""


class Finding(_Part, frozen=True, kw_only=True):
    """Something in this pull request that touches what judges it."""

    kind: Literal["policy", "labels", "holdout", "baseline", "overlap"]
    text: Text
    needs_approval: bool = False


class Approval(_Part, frozen=True, kw_only=True):
    """Whether a person let the findings pass."""

    label: Text
    given: bool
    by: Text = ""
    """Who set the label."""


class Acceptance(_Part, frozen=True, kw_only=True):
    """A maintainer's word that this commit's regression may pass. It speaks of no other commit."""

    by: Text
    reason: Text
    url: Text = ""
    commit: Sha


class ValueChange(_Part, frozen=True, kw_only=True):
    """A named value that differs between base and head; an absent side is None."""

    name: str
    before: str | None
    after: str | None


class Changes(_Part, frozen=True, kw_only=True):
    """What differs between base and head."""

    params: tuple[ValueChange, ...] = ()
    data: tuple[ValueChange, ...] = ()
    """By path, the hashes' first twelve digits."""
    files: tuple[ValueChange, ...] = ()
    """Source files by path; a side is empty text where the file is there, None where it is not."""
    policy: tuple[ValueChange, ...] = ()
    """Keys of `modelship.yaml`."""


class MetricGateRecord(Record, frozen=True, kw_only=True, tag="metric-gate/1"):
    """Candidate against baseline."""

    model_digest: str = ""
    """SHA-256 over the candidate's files, as training or evaluation recorded it; empty where metrics alone were judged."""
    baseline: Baseline | None = None
    metrics: tuple[MetricVerdict, ...] = ()
    other_metrics: tuple[ValueChange, ...] = ()
    """Metrics that nobody gated, for information."""
    policy: Text = ""
    """Where the limits came from, as `modelship.yaml at 3f2a91c`."""
    changes: Changes | None = None
    paired: bool = False
    """Whether predictions gave intervals; without them a difference has no measure of chance."""
    are_apart: bool = False
    """Whether the baseline was measured on rows of its own, as at release; then `rows` are the candidate's."""
    rows: int | None = None
    """How many rows were paired."""
    groups: int | None = None
    """How many groups of rows that belong together, where the team named a column for it."""
    confidence: float | None = None
    """The confidence of intervals."""
    slices: Slices | None = None
    flips: Flips | None = None
    findings: tuple[Finding, ...] = ()
    approval: Approval | None = None
    """Asked for where a finding needs it."""
    acceptance: Acceptance | None = None


class RegisterRecord(Record, frozen=True, kw_only=True, tag="register/1"):
    """Which version the model has become in the registry."""

    name: str = ""
    """Of the registered model."""
    version: int | None = None
    key: str = ""
    """SHA-256 of model digest, commit and configuration: there is one version of each."""
    digest: str = ""
    """`sha256:…` of the model folder."""
    created: bool = False
    """Whether this command made the version; else it was there."""
    formats: tuple[str, ...] = ()
    """Of the files that hold the model."""
    bytes: int | None = None
    """Size of the model's files."""
    examples: int = 0
    """How many rows a smoke test can ask for."""
    signed: bool = False
    checksums_digest: str = ""
    """SHA-256 of `model.sha256`, which lists the model's files with theirs."""
    bom_digest: str = ""
    """SHA-256 of the bill of materials, `bom.cdx.json`."""
    mlflow_run: str = ""
    """Whose artifacts hold the model and what was registered beside it."""
    mlflow_url: str = ""
    """The version's page."""


class SmokeCheck(_Part, frozen=True, kw_only=True):
    """One thing that a version must hold right after it was deployed."""

    check: str
    holds: bool
    told: Text
    """What was found, in a few words."""


class DeploymentRecord(Record, frozen=True, kw_only=True):
    """What became of an environment."""

    name: str = ""
    """Of the registered model."""
    environment: str = ""
    version: int | None = None
    """That was to serve."""
    digest: str = ""
    """`sha256:…` of its model folder."""
    before: int | None = None
    """The version that served before; None for none."""
    live: int | None = None
    """The version that serves now; None for none, or where that is not known."""
    champion: int | None = None
    """The version that candidates are judged against from now on; None for none."""
    changed: bool = False
    """Whether the environment serves something else than before."""
    reason: Text = ""
    actor: Text = ""
    entry: int | None = None
    """Where the ledger says how it ended."""
    url: str = ""
    """Where the version answers, for targets that serve over HTTP."""
    checks: tuple[SmokeCheck, ...] = ()
    asked: int = 0
    """How many requests, or rows, the smoke test sent."""
    latency_p50: float | None = None
    """Seconds for one row, as `latency_p99`."""
    latency_p99: float | None = None


class DeployRecord(DeploymentRecord, frozen=True, kw_only=True, tag="deploy/1"):
    """A version was deployed, or was not and the one before serves."""


class RollbackRecord(DeploymentRecord, frozen=True, kw_only=True, tag="rollback/1"):
    """The previous good version was brought back, or could not be."""


class Promise(_Part, frozen=True, kw_only=True):
    """A metric as it was when the version was released, on the holdout that it was judged on."""

    metric: str
    value: float
    standard_error: Annotated[float, Meta(ge=0)]
    better: Literal["higher", "lower"]
    max_loss: Annotated[float, Meta(ge=0)]
    """How much worse it may become before the version is replaced, in the metric's own unit."""


class Measured(_Part, frozen=True, kw_only=True):
    """A metric on the rows of one batch whose truth is known."""

    metric: str
    value: float
    standard_error: Annotated[float, Meta(ge=0)]
    rows: int


class Batch(_Part, frozen=True, kw_only=True):
    """What a version answered between two moments."""

    start: Moment
    end: Moment
    """Exclusive. Both with a time zone."""
    version: int
    rows: int
    labelled: int
    """How many of the rows have their truth; estimated where rows were sampled."""
    is_complete: bool
    """Whether all truth that is to be expected has come; before that the labelled rows may be others than the rest."""
    measured: tuple[Measured, ...] = ()
    drift: bool | None = None
    """None where it could not be measured."""
    drifted: tuple[str, ...] = ()
    """The columns that drifted, the furthest first."""


class LabelArrival(_Part, frozen=True, kw_only=True):
    """How much of the truth is known, since when, and how late it came. Rows are those that were looked at."""

    rows: int
    labelled: int
    expected_by: Moment | None = None
    """When the truth of the batch's last row should be known; None where the team said nothing of a delay."""
    first_known: Moment | None = None
    last_known: Moment | None = None
    """None without a column that says when truth became known."""
    median_delay: float | None = None
    """Seconds from the prediction until its truth was known, of half of the rows at most."""
    slow_delay: float | None = None
    """The same, of nine rows in ten."""
    late: int = 0
    """Rows whose truth took longer than it usually does."""
    repeated: int = 0
    """Rows whose truth is there several times; the last one known counts."""
    conflicting: int = 0
    """Rows whose truth is there in several versions, of which nothing says which is the last: they have none."""


class MonitorRecord(Record, frozen=True, kw_only=True, tag="monitor/1"):
    """One batch of production beside what the version learned from and what it promised at release."""

    name: str = ""
    """Of the registered model."""
    environment: str = ""
    """Whose live version it is; empty where a version was named."""
    version: int | None = None
    trained_at: Moment | None = None
    training_rows: int | None = None
    """Of the table that the version learned from."""
    promises: tuple[Promise, ...] = ()
    batch: Batch | None = None
    labels: LabelArrival | None = None
    """None where no truth is configured."""
    quality: ValidateRecord | None = None
    """None without expectations."""
    drift: DriftReportRecord | None = None
    performance: MetricGateRecord | None = None
    """The batch as candidate, and the version at release as its baseline; None before there are labels."""
    other_versions: dict[str, int] = {}
    """Rows in the batch that other versions answered."""
    sampling: Text = ""
    """What was sampled."""


class RetrainTrigger(_Part, frozen=True, kw_only=True):
    """One reason to train again, and whether it holds."""

    trigger: Literal["performance", "drift", "age", "new-rows"]
    fires: bool
    told: Text
    """What was found, in a few words."""


class RetrainRecord(Record, frozen=True, kw_only=True, tag="retrain/1"):
    """Whether the live version is trained again."""

    name: str = ""
    """Of the registered model."""
    version: int | None = None
    retrain: bool = False
    """Whether to train again now."""
    in_trouble: bool = False
    """Whether performance or drift is a reason; age and new rows alone are no trouble."""
    triggers: tuple[RetrainTrigger, ...] = ()
    """Those that fire come first."""
    held_back: Text = ""
    """Why nothing is asked for although a trigger fires."""
    not_before: Moment | None = None
    """When that ends."""
    batches: int = 0
    """How many batches of the version were looked at."""
    newest: Moment | None = None
    """When the newest of them ended."""
    workflow: str = ""
    """What trains the version again; empty where the team starts that itself."""
    dispatched: bool = False
    """Whether it was dispatched now."""
    run_url: Text = ""
    """What was started for this decision, now or before."""
    issue_url: Text = ""
    """The issue that tells of it."""


class BacktestValue(_Part, frozen=True, kw_only=True):
    """A metric on one batch, or by how much it is better than it would have been without retraining (plus is better)."""

    metric: str
    value: float
    low: float
    high: float
    """What it may truly be, at `confidence`."""


class BacktestStep(_Part, frozen=True, kw_only=True):
    """A moment at which training was thought of."""

    at: Moment
    retrain: bool
    """Whether it was asked for."""
    told: Text = ""
    """Why, or why not."""
    failed: Text = ""
    """Why no new version came of it, so that the version before stayed."""


class BacktestBatch(_Part, frozen=True, kw_only=True):
    """What one way of training would have given in one batch."""

    start: Moment
    end: Moment
    """Exclusive."""
    rows: int
    """Whose truth is known by now."""
    trained_at: Moment
    """When the version was trained that answered."""
    measured: tuple[BacktestValue, ...] = ()
    """None where the batch has too few rows for a metric."""
    gained: tuple[BacktestValue, ...] = ()
    """Against the version of the start, on the same rows."""


class BacktestWay(_Part, frozen=True, kw_only=True):
    """One way of training, and what would have come of it."""

    way: Literal["once", "rules", "every-batch"]
    """At the start alone; whenever the rules of `retrain` ask for it; after every batch."""
    steps: tuple[BacktestStep, ...] = ()
    batches: tuple[BacktestBatch, ...] = ()
    gained: tuple[BacktestValue, ...] = ()
    """Against the version of the start over all batches, each of which weighs as many rows as it has."""


class BacktestRecord(Record, frozen=True, kw_only=True, tag="backtest/1"):
    """What retraining would have done in the past."""

    batch: str = ""
    """How long a batch is."""
    command: Text = ""
    """What trained."""
    confidence: float | None = None
    better: dict[str, Literal["higher", "lower"]] = {}
    """The metrics, the first of which the summary speaks of."""
    ways: tuple[BacktestWay, ...] = ()
    page: str = ""
    """Path of the page in the run directory."""


AnyRecord = (
    DvcPullRecord
    | ValidateRecord
    | DriftReportRecord
    | TrainRecord
    | EvaluateRecord
    | MetricGateRecord
    | RegisterRecord
    | DeployRecord
    | RollbackRecord
    | MonitorRecord
    | RetrainRecord
    | BacktestRecord
)

RECORDS: dict[str, type[AnyRecord]] = {
    "dvc-pull": DvcPullRecord,
    "validate": ValidateRecord,
    "drift-report": DriftReportRecord,
    "train": TrainRecord,
    "evaluate": EvaluateRecord,
    "metric-gate": MetricGateRecord,
    "register": RegisterRecord,
    "deploy": DeployRecord,
    "rollback": RollbackRecord,
    "monitor": MonitorRecord,
    "retrain": RetrainRecord,
    "backtest": BacktestRecord,
}
"""Record types by command, in the order in which the commands run."""

CONCLUSIONS = frozenset({"metric-gate", "register", "deploy", "rollback", "monitor", "retrain", "backtest"})
"""Commands whose record a job believes only if it wrote it itself."""

PRODUCTION = frozenset({"monitor", "retrain", "backtest"})
"""Commands that look at production and its past, so that no pull request has a record of theirs."""


def encode(record: AnyRecord) -> bytes:
    """The record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def read_record(path: Path, command: str) -> AnyRecord | None:
    """The record of `command` at `path`, or None when there is none. Raises BadInput unless it is exactly what it should be."""
    if path.is_symlink():
        raise bad_input("is a link, not a record.", path=str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_RECORD_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise bad_input(f"cannot be read: {error.strerror}.", path=str(path)) from None
    if len(raw) > MAX_RECORD_BYTES:
        raise bad_input(f"is larger than {MAX_RECORD_BYTES // 1024 // 1024} MiB.", path=str(path))
    try:
        return msgspec.json.decode(raw, type=RECORDS[command])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(Problem(f"is not a `{command}` record: {error}.", "Written by another version?", str(path))) from None
