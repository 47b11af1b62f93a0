"""`modelship.yaml`: one typed schema, read strictly, published as JSON Schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from modelship.core.documents import MAX_BYTES_BY_HAND, Document, Path_, parse_document, read_document
from modelship.core.errors import BadInput, Problem, bad_input, did_you_mean

CONFIG_NAME = "modelship.yaml"


_HINTS: dict[str, str] = {}


def _text(pattern: str, hint: str) -> Meta:
    """Text that matches `pattern` as a whole; `hint` says to a person what that is."""
    # Python's `$` also matches before a line break at the end; JSON Schema's does not. Both agree on this.
    whole = f"^(?:{pattern})$(?!\\n)"
    _HINTS[whole] = hint
    return Meta(pattern=whole, description=hint)


Name = Annotated[str, _text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "Letters, digits, dot, dash, underscore.")]
FilePath = Annotated[str, Meta(min_length=1, max_length=1000)]
Percent = Annotated[str, _text(r"[0-9]+([.][0-9]+)?%", "A number (`0.005`) or a share of the baseline's absolute value (`1%`).")]
Margin = Annotated[float, Meta(ge=0)] | Percent
Duration = Annotated[str, _text(r"[1-9][0-9]{0,8}[smhdw]", "Seconds, minutes, hours, days or weeks: `90s`, `60m`, `2h`, `7d`, `2w`.")]
BatchLength = Annotated[
    str,
    _text(r"[1-9][0-9]{0,8}[smhdw]|month", "Seconds, minutes, hours, days or weeks, or the months of the calendar: `7d`, `month`."),
]
Milliseconds = Annotated[str, _text(r"[0-9]+([.][0-9]+)?(ms|s)", "Milliseconds or seconds: `50ms`, `2s`.")]
Size = Annotated[str, _text(r"[0-9]+([.][0-9]+)?(B|kB|MB|GB|KiB|MiB|GiB)", "Bytes with a unit: `500kB`, `50MB`, `1.5GiB`.")]
Share = Annotated[float, Meta(ge=0, le=1)] | Annotated[str, _text(r"(100|[0-9]{1,2}([.][0-9]+)?)%", "A share: `0.01` or `1%`.")]
Engine = Literal["pandas", "spark", "sql"]
"""What computes on tables: this machine's memory, Spark, or for queries their database."""
Effect = Literal["critical", "warning", "ignore"]
"""What a check does where it does not hold: it blocks, it warns, or it is not made at all."""
Function = Annotated[
    str,
    _text(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*", "A module and a function in it: `package.module:function`."),
]
EnvironmentVariable = Annotated[str, _text(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "The name of an environment variable.")]
WorkflowFile = Annotated[
    str, _text(r"[A-Za-z0-9._-]{1,200}[.]ya?ml", "The name of a file in `.github/workflows`, without the folder: `release.yml`.")
]
InputName = Annotated[str, _text(r"[A-Za-z_][A-Za-z0-9_-]{0,99}", "The name of an input of a workflow.")]
Baseline = Annotated[
    str,
    _text(r"champion|base|none|git:.+|run:.+|file:.+", "`champion`, `base`, `git:<ref>`, `run:<id>`, `file:<path>` or `none`."),
]


def share_of(value: float | str) -> float:
    """A `Share` as a number from 0 to 1."""
    return float(value.rstrip("%")) / 100 if isinstance(value, str) else value


_TIME_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def bytes_of(size: str) -> int:
    """A `Size` in bytes."""
    number = size.rstrip("BkKMGi")
    return round(float(number) * SIZE_UNITS[size[len(number) :]])


def seconds_of(duration: str) -> float:
    """A `Duration` or `Milliseconds` in seconds."""
    number = duration.rstrip("smhdw")
    return float(number) * _TIME_UNITS[duration[len(number) :]]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    pass


Answer = Annotated[str, _text(r"prediction|score|score_.+", "`prediction`, `score`, or `score_<class>` with more than two classes.")]


class TableSource(_Section, frozen=True, kw_only=True):
    """A table that is no file of the repository: what a database answers, or a dataset of an MLflow run."""

    query: Annotated[str, Meta(min_length=1, max_length=10_000, description="A SQL query that only reads.")] | None = None
    connection: Annotated[EnvironmentVariable, Meta(description="The environment variable that holds the SQLAlchemy URL.")] | None = (
        None
    )
    mlflow_run: Annotated[Name, Meta(description="The MLflow run that a dataset was logged to.")] | None = None
    dataset: Annotated[str, Meta(description="The dataset's name, where the run has several.")] | None = None

    def __post_init__(self) -> None:
        if (self.query is None) == (self.mlflow_run is None):
            raise ValueError("it needs either `query` with `connection`, or `mlflow-run`")
        if (self.query is None) != (self.connection is None):
            raise ValueError("`query` and `connection` belong together")
        if self.dataset is not None and self.mlflow_run is None:
            raise ValueError("`dataset` needs `mlflow-run`")

    @property
    def name(self) -> str:
        """What messages and records call the table; nothing in it is secret."""
        if self.query is not None:
            return f"query on {self.connection}"
        return (
            f"dataset {self.dataset} of MLflow run {self.mlflow_run}" if self.dataset else f"dataset of MLflow run {self.mlflow_run}"
        )


class Checks(_Section, frozen=True, kw_only=True):
    """What checks beside the expectations do where they find something: `critical` blocks, `warning` tells, `ignore` does not look."""

    missing_column: Annotated[
        Effect, Meta(description="A column of the reference that the current table lacks, or has without a value.")
    ] = "critical"
    unexpected_column: Annotated[Effect, Meta(description="A column that the reference lacks.")] = "warning"
    changed_type: Annotated[Effect, Meta(description="A column of another type than in the reference.")] = "critical"
    mixed_types: Annotated[Effect, Meta(description="A column in which most values are numbers or times, and some are not.")] = (
        "critical"
    )
    infinite_value: Annotated[Effect, Meta(description="A number that is infinite.")] = "critical"
    new_category: Annotated[
        Effect, Meta(description="A value that the reference lacks, in a column of text with at most 50 different ones.")
    ] = "warning"
    class_below_floor: Annotated[Effect, Meta(description="A class of the target with less than `data.class-floor` of the rows.")] = (
        "critical"
    )
    rare_class: Annotated[Effect, Meta(description="A class of the target with fewer than 10 rows, in a table of 100 or more.")] = (
        "warning"
    )
    leaking_feature: Annotated[Effect, Meta(description="A column that gives the target away.")] = "warning"
    overlap_with_reference: Annotated[
        Effect, Meta(description="Rows or keys of the current table that are in the reference, too.")
    ] = "warning"


class Data(_Section, frozen=True, kw_only=True):
    """The tables that the model learns from and is judged on."""

    reference: Annotated[FilePath | TableSource, Meta(description="What the model learns from.")] | None = None
    current: Annotated[FilePath | TableSource, Meta(description="What the model is judged on.")] | None = None
    target: Annotated[str, Meta(description="The column that the model predicts.")] | None = None
    key: Annotated[str, Meta(description="The column that names a row, once each, and pairs the rows of two models.")] | None = None
    positive: (
        Annotated[str | int | bool, Meta(description="Of two classes the one that scores speak of; the greater without it.")] | None
    ) = None
    expectations: (
        Annotated[
            FilePath, Meta(description="A YAML list of expectations, a Great Expectations suite as JSON, or a project's folder.")
        ]
        | None
    ) = None
    checkpoint: (
        Annotated[str, Meta(min_length=1, description="The checkpoint of the project to follow, where it has several.")] | None
    ) = None
    class_floor: Annotated[Share, Meta(description="The least share of the rows that every class of the target must have.")] | None = (
        None
    )
    checks: Annotated[Checks, Meta(description="What checks beside the expectations do where they find something.")] = Checks()
    engine: Annotated[
        Engine,
        Meta(description="What checks and samples the tables: `pandas` in memory, `spark`, or `sql` where a query's database is."),
    ] = "pandas"
    remote: Annotated[Name, Meta(description="The DVC remote to pull from; DVC's default without it.")] | None = None

    @property
    def reference_path(self) -> str | None:
        """The reference's file; None where it is no file."""
        return self.reference if isinstance(self.reference, str) else None

    @property
    def current_path(self) -> str | None:
        """The current table's file; None where it is no file."""
        return self.current if isinstance(self.current, str) else None


class DriftMethod(_Section, frozen=True, kw_only=True):
    """How two columns are compared."""

    method: Annotated[Name, Meta(description="The statistic, as Evidently names it.")] | None = None
    threshold: (
        Annotated[
            float,
            Meta(ge=0, description="From which distance on a column has drifted; up to which p-value, where the method gives one."),
        ]
        | None
    ) = None


class ColumnDrift(DriftMethod, frozen=True, kw_only=True):
    """How one column is compared."""

    kind: Annotated[Literal["numerical", "categorical"], Meta(description="What the values are; found out without it.")] | None = None


class Drift(_Section, frozen=True, kw_only=True):
    """How `data.current` is compared with `data.reference`."""

    max_share: Annotated[Share, Meta(description="The share of the features that may drift.")] = "30%"
    target: Annotated[Literal["verdict", "show"], Meta(description="Whether a drifted target or prediction is drift by itself.")] = (
        "verdict"
    )
    prediction: Annotated[str, Meta(description="The column with a model's predictions, where both tables have one.")] | None = None
    numerical: Annotated[DriftMethod, Meta(description="How numbers are compared.")] = DriftMethod(method="wasserstein", threshold=0.1)
    categorical: Annotated[DriftMethod, Meta(description="How categories are compared.")] = DriftMethod(
        method="jensenshannon", threshold=0.1
    )
    columns: Annotated[
        dict[str, Literal["ignore"] | ColumnDrift], Meta(description="Columns to leave out (`ignore`) or to compare in their own way.")
    ] = {}
    max_categories: Annotated[
        int, Meta(ge=2, le=100_000, description="Text with more different values than this is not compared.")
    ] = 1000
    confidence: Annotated[float, Meta(ge=0.5, lt=1, description="The confidence of the verdict over all columns.")] = 0.95
    sample: Annotated[
        Annotated[int, Meta(ge=100)] | Literal["full"], Meta(description="How many rows of each table are compared; `full` for all.")
    ] = 20_000
    seed: Annotated[int, Meta(ge=0, description="Which rows are drawn.")] = 0
    severity: Annotated[Literal["critical", "warning"], Meta(description="Whether drift blocks.")] = "warning"


class Columns(_Section, frozen=True, kw_only=True):
    """What the columns of the predictions file are called; beside these it holds `data.key` and the columns to slice by."""

    truth: Annotated[str, Meta(description="What is true of the row.")] = "truth"
    prediction: Annotated[str, Meta(description="What the model says.")] = "prediction"
    score: Annotated[str, Meta(description="A probability; with more than two classes one column each, as `score_<class>`.")] = "score"


class Train(_Section, frozen=True, kw_only=True):
    """How the team trains, and what training writes."""

    run: Annotated[str, Meta(min_length=1, description="The command, run by `bash` beside modelship.yaml.")] | None = None
    metrics: Annotated[FilePath, Meta(description="The metrics file that training writes: JSON, YAML or TOML.")] | None = None
    params: Annotated[FilePath, Meta(description="The parameters file; `params.yaml` is found by itself.")] | None = None
    predictions: (
        Annotated[FilePath, Meta(description="The predictions file that training writes, Parquet or CSV: intervals need it.")] | None
    ) = None
    columns: Annotated[Columns, Meta(description="What the columns of the predictions file are called.")] = Columns()
    model: Annotated[FilePath, Meta(description="The MLflow model folder that training writes.")] | None = None
    timeout: Annotated[Duration, Meta(description="When training is stopped, as `60m`.")] = "6h"
    python: Annotated[str, Meta(min_length=1, description="The team's Python interpreter.")] = "python"


class Latency(_Section, frozen=True, kw_only=True):
    """How long the candidate may take to answer. What is not named here is measured all the same."""

    single_row_p50: Annotated[Milliseconds, Meta(description="The median for one row.")] | None = None
    single_row_p99: Annotated[Milliseconds, Meta(description="What 99 of 100 single rows may take.")] | None = None
    batch_p50: Annotated[Milliseconds, Meta(description="The median for 1,000 rows.")] | None = None
    batch_p99: Annotated[Milliseconds, Meta(description="What 99 of 100 batches of 1,000 rows may take.")] | None = None


class Invariance(_Section, frozen=True, kw_only=True):
    """A column that must not matter to the answer."""

    column: Annotated[str, Meta(description="The column whose values are exchanged.")]
    values: (
        Annotated[
            tuple[str | int | float | bool, ...],
            Meta(min_length=1, max_length=20, description="What every row is given in turn; other values of the column without it."),
        ]
        | None
    ) = None
    of: Annotated[Answer, Meta(description="The answer that must stay.")] = "prediction"
    tolerance: Annotated[float, Meta(ge=0, description="How far a number may move; `evaluate.tolerance` without it.")] | None = None
    allow: Annotated[Share, Meta(description="The share of rows that may change all the same.")] = "1%"
    severity: Annotated[Literal["critical", "warning"], Meta(description="Whether it blocks.")] = "critical"


class Directional(_Section, frozen=True, kw_only=True):
    """A column that must move the answer one way."""

    column: Annotated[str, Meta(description="The column of numbers that is raised or lowered.")]
    change: Annotated[
        float | Annotated[str, _text(r"[+-]?[0-9]+([.][0-9]+)?%", "A number to add (`100`), or a share of the value (`+10%`).")],
        Meta(description="By how much."),
    ]
    expect: Annotated[
        Literal["increase", "decrease", "not-increase", "not-decrease"], Meta(description="What the answer must do on every row.")
    ]
    of: Annotated[Answer, Meta(description="Which answer; the score without it where there is one, else the prediction.")] | None = (
        None
    )
    allow: Annotated[Share, Meta(description="The share of rows that may do otherwise.")] = "5%"
    severity: Annotated[Literal["critical", "warning"], Meta(description="Whether it blocks.")] = "critical"


class CrossValidation(_Section, frozen=True, kw_only=True):
    """A scikit-learn estimator fitted anew on parts of `data.reference`."""

    metric: Annotated[str, Meta(description="A scorer of scikit-learn, as `roc_auc` or `log_loss`.")]
    folds: Annotated[int, Meta(ge=2, le=20, description="How many parts.")] = 5
    min: Annotated[float, Meta(description="The lowest allowed mean over the folds.")] | None = None
    max: Annotated[float, Meta(description="The highest allowed mean over the folds.")] | None = None
    severity: Annotated[Literal["critical", "warning"], Meta(description="Whether it blocks.")] = "critical"


class Evaluate(_Section, frozen=True, kw_only=True):
    """How models are scored on `data.current`, and what the candidate must hold."""

    predict: (
        Annotated[
            Function,
            Meta(
                description="A function `f(model_path, rows)` that answers with an array or with columns `prediction` and `score`; "
                "MLflow loads the model without it."
            ),
        ]
        | None
    ) = None
    timeout: Annotated[Duration, Meta(description="When evaluation is stopped, as `10m`.")] = "10m"
    tolerance: Annotated[float, Meta(ge=0, description="How far two answers to the same row may be apart.")] = 1e-9
    latency: Annotated[Latency, Meta(description="How long answers may take.")] = Latency()
    max_model_size: Annotated[Size, Meta(description="How large the model folder may be.")] | None = None
    invariance: Annotated[tuple[Invariance, ...], Meta(max_length=20, description="Columns that must not matter.")] = ()
    directional: Annotated[tuple[Directional, ...], Meta(max_length=20, description="Columns that must matter in one way.")] = ()
    cross_validation: Annotated[CrossValidation, Meta(description="Fit anew on parts of the reference data.")] | None = None


class Limit(_Section, frozen=True, kw_only=True):
    """What one metric may be, and how much worse than the baseline."""

    min: Annotated[float, Meta(description="The lowest allowed value.")] | None = None
    max: Annotated[float, Meta(description="The highest allowed value.")] | None = None
    max_regression: (
        Annotated[Margin, Meta(description="How much worse than the baseline it may be: absolute (`0.005`) or relative (`1%`).")]
        | None
    ) = None
    better: (
        Annotated[
            Literal["higher", "lower"],
            Meta(description="Which direction is better, for a metric that scikit-learn does not know."),
        ]
        | None
    ) = None
    function: (
        Annotated[
            Function,
            Meta(
                description="A metric of your own, run by `evaluate`: `f(truth, prediction, score=None)` gives one number, or one "
                "a row, whose mean is taken."
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None and self.max_regression is None:
            raise ValueError("it needs at least one of `min`, `max`, `max-regression`")
        if not all(math.isfinite(value) for value in (self.min, self.max) if value is not None):
            raise ValueError("`min` and `max` must be finite")
        if isinstance(self.max_regression, float) and not math.isfinite(self.max_regression):
            raise ValueError("`max-regression` must be finite")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is above `max`")


class Gate(_Section, frozen=True, kw_only=True):
    """What a candidate must hold to pass."""

    baseline: Annotated[Baseline, Meta(description="What the candidate is compared with.")] = "base"
    metrics: (
        Annotated[dict[str, Limit], Meta(min_length=1, description="Limits by metric; a nested metric's keys are joined by dots.")]
        | None
    ) = None
    first_run: Annotated[
        Literal["allow", "refuse"],
        Meta(description="Whether a candidate may pass on its absolute limits while there is no baseline."),
    ] = "refuse"
    confidence: Annotated[float, Meta(ge=0.5, lt=1, description="The confidence of every interval.")] = 0.95
    inconclusive: Annotated[
        Literal["warn", "block"], Meta(description="What happens where the data cannot tell whether the candidate is worse.")
    ] = "warn"
    group: (
        Annotated[str, Meta(description="The column whose equal values are no independent rows: one customer, one machine.")] | None
    ) = None
    slices: Annotated[
        tuple[str | Annotated[tuple[str, ...], Meta(min_length=1, max_length=3)], ...] | Literal["auto"],
        Meta(description="Columns whose every value is judged by itself, `[a, b]` for each pair, `auto` to look for the worst."),
    ] = ()
    slice_rows: Annotated[int, Meta(ge=10, description="The fewest rows that a slice is judged on.")] = 100
    failing_slice: Annotated[Literal["block", "warn"], Meta(description="What a slice that is proven worse does.")] = "block"
    show: Annotated[tuple[str, ...], Meta(description="Text columns whose values may be shown in a comment.")] = ()
    approval_label: Annotated[
        str, Meta(min_length=1, max_length=50, description="The label that lets a pull request change what it is judged by.")
    ] = "modelship-approved"
    accept_regression: Annotated[
        Literal["write", "maintain", "admin", "never"],
        Meta(description="Who may let a failing candidate pass with the comment `/accept-regression <reason>`."),
    ] = "maintain"


ModelFormat = Literal["skops", "onnx", "safetensors", "xgboost", "lightgbm", "catboost", "numpy"]
"""Formats that hold data alone: reading them runs nothing that the file brings."""


class Signing(_Section, frozen=True, kw_only=True):
    """Signatures of model folders (OpenSSF model signing), made with a private key of the team's."""

    public_key: Annotated[FilePath, Meta(description="The public key, a PEM file, that signatures are verified with.")] | None = None
    required: Annotated[bool, Meta(description="Whether a model without a signature may be neither registered nor deployed.")] = False

    def __post_init__(self) -> None:
        if self.required and self.public_key is None:
            raise ValueError("`required` needs `public-key`")


class Registry(_Section, frozen=True, kw_only=True):
    """The model in MLflow's registry, and what it may be made of."""

    name: Annotated[Name, Meta(description="The registered model's name; `model` without it.")] | None = None
    formats: Annotated[
        tuple[ModelFormat, ...], Meta(min_length=1, description="The formats that a model's files may have beside plain text.")
    ] = ("skops", "onnx", "safetensors", "xgboost", "lightgbm", "catboost", "numpy")
    trusted_types: Annotated[
        tuple[str, ...], Meta(description="Further types that a skops file may hold, once somebody has looked them up.")
    ] = ()
    allow_pickle: Annotated[
        bool, Meta(description="Whether pickles may be registered (cloudpickle, joblib, PyTorch): loading one runs what it says.")
    ] = False
    allow_code: Annotated[bool, Meta(description="Whether a model may bring code of its own, or be loaded by code of the team.")] = (
        False
    )
    max_model_size: Annotated[Size, Meta(description="How large the model folder may be.")] = "500MB"
    signing: Annotated[Signing, Meta(description="How models are signed.")] = Signing()


EnvironmentName = Annotated[str, _text(r"[a-z0-9][a-z0-9-]{0,62}", "Small letters, digits and dashes, at most 63.")]
_ALIASES_OF_OUR_OWN = re.compile(r"champion|challenger|latest|v[0-9]+")


class Smoke(_Section, frozen=True, kw_only=True):
    """What a version must hold right after it was deployed; else the one before comes back."""

    tolerance: Annotated[float, Meta(ge=0, description="How far an answer may be from the one that was registered.")] = 1e-6
    latency_p99: Annotated[Milliseconds, Meta(description="How long the slowest 1 % of the answers to one row may take.")] | None = (
        None
    )
    max_error_rate: Annotated[Share, Meta(description="The share of the requests that may fail.")] = 0.0


class Environment(_Section, frozen=True, kw_only=True):
    """A place where versions serve."""

    target: Annotated[
        dict[str, Any],
        Meta(
            min_length=1,
            max_length=1,
            description="Where versions go: `{directory: models}`, `{mlflow-serve: {port: 5001}}` or `{command: {run: ./deploy.sh}}`.",
        ),
    ]
    after: (
        Annotated[EnvironmentName, Meta(description="The environment in which a version must have been found good first.")] | None
    ) = None
    smoke: Annotated[Smoke, Meta(description="What a version must hold right after it was deployed.")] = Smoke()
    lease: Annotated[Duration, Meta(description="How long a deployment has the environment to itself.")] = "30m"


class Deploy(_Section, frozen=True, kw_only=True):
    """Where registered versions serve."""

    environments: Annotated[dict[EnvironmentName, Environment], Meta(description="The environments by name.")] = {}
    champion: (
        Annotated[
            EnvironmentName,
            Meta(description="The environment whose live version is the champion; the one that no other comes after without it."),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        for name, environment in self.environments.items():
            if _ALIASES_OF_OUR_OWN.fullmatch(name):
                raise ValueError(f"an environment cannot be called `{name}`, which is an alias of its own in the registry")
            seen, before = {name}, environment.after
            while before is not None:
                if before not in self.environments:
                    raise ValueError(f"`{name}` comes after `{before}`, which is no environment")
                if before in seen:
                    raise ValueError(f"`{name}` comes after itself")
                seen.add(before)
                before = self.environments[before].after
        if self.champion is not None and self.champion not in self.environments:
            raise ValueError(f"`champion` names `{self.champion}`, which is no environment")
        if self.champion is None and len(self._ends) > 1:
            raise ValueError(f"of {' and '.join(f'`{name}`' for name in self._ends)} one must be `champion`")

    @property
    def _ends(self) -> list[str]:
        befores = {environment.after for environment in self.environments.values()}
        return [name for name in self.environments if name not in befores]

    @property
    def champion_environment(self) -> str | None:
        """The environment whose live version candidates are judged against; None without environments."""
        return self.champion or next(iter(self._ends), None)


class LogColumns(_Section, frozen=True, kw_only=True):
    """What the columns of the prediction log and of the truth are called; beside these the log holds `data.key` and the features."""

    time: Annotated[str, Meta(description="When the answer was given.")] = "predicted-at"
    model: Annotated[str, Meta(description="The registered model's name, where the log holds several models.")] = "model"
    version: Annotated[str, Meta(description="The version that answered, as the registry numbers it.")] = "version"
    prediction: Annotated[str, Meta(description="What the model said.")] = "prediction"
    score: Annotated[str, Meta(description="A probability; with more than two classes one column each, as `score_<class>`.")] = "score"
    known_at: Annotated[str, Meta(description="In the truth: when it became known.")] = "known-at"


class Loss(_Section, frozen=True, kw_only=True):
    """How much worse a metric may become in production."""

    max_loss: Annotated[
        Margin, Meta(description="How far below what it was at release: absolute (`0.02`) or relative to that (`5%`).")
    ]

    def __post_init__(self) -> None:
        if isinstance(self.max_loss, float) and not math.isfinite(self.max_loss):
            raise ValueError("`max-loss` must be finite")


class Monitor(_Section, frozen=True, kw_only=True):
    """Production, batch by batch, beside what the live version learned from and what it promised."""

    predictions: Annotated[FilePath | TableSource, Meta(description="The prediction log.")] | None = None
    truth: (
        Annotated[FilePath | TableSource, Meta(description="What became true: `data.key`, `data.target`, and when it was known.")]
        | None
    ) = None
    columns: Annotated[LogColumns, Meta(description="What the columns of these two are called.")] = LogColumns()
    batch: Annotated[
        BatchLength,
        Meta(
            description="How long one batch is. Batches begin at midnight UTC, those of whole weeks on Mondays, months on the first."
        ),
    ] = "7d"
    label_delay: (
        Annotated[Duration, Meta(description="How long after a prediction its truth is usually known; without it, at once.")] | None
    ) = None
    metrics: (
        Annotated[
            dict[str, Loss],
            Meta(min_length=1, description="Losses by metric; without it those in `gate.metrics` with their `max-regression`."),
        ]
        | None
    ) = None


class Budget(_Section, frozen=True, kw_only=True):
    """How often a retrain may be asked for."""

    retrains: Annotated[int, Meta(ge=1, description="How many.")] = 4
    per: Annotated[Duration, Meta(description="In how long.")] = "90d"


class Retrain(_Section, frozen=True, kw_only=True):
    """When the live version is trained again. What is not named here never asks for it, `performance` and `drift` aside."""

    performance: Annotated[bool, Meta(description="Whether a proven loss beyond `monitor.metrics` asks for it.")] = True
    drift: Annotated[int, Meta(ge=0, description="In how many batches in a row drift asks for it; 0 for never.")] = 2
    max_age: Annotated[Duration, Meta(description="How long after training it is asked for, whatever production says.")] | None = None
    new_rows: (
        Annotated[
            Annotated[int, Meta(ge=1)]
            | Annotated[
                str, _text(r"[1-9][0-9]*([.][0-9]+)?%", "A number of rows, or a share of those that the version learned from (`50%`).")
            ],
            Meta(description="How many new rows with truth ask for it."),
        ]
        | None
    ) = None
    confidence: Annotated[
        float, Meta(ge=0.5, lt=1, description="How sure it is that half a year of batches without a loss asks for nothing.")
    ] = 0.95
    min_rows: Annotated[int, Meta(ge=2, description="With fewer rows whose truth is known a loss is not judged.")] = 500
    cooldown: Annotated[Duration, Meta(description="How long nothing is asked for after a retrain was.")] = "14d"
    budget: Annotated[Budget, Meta(description="How often a retrain may be asked for.")] = Budget()
    workflow: (
        Annotated[WorkflowFile, Meta(description="The workflow that trains and releases, which is dispatched on the default branch.")]
        | None
    ) = None
    inputs: Annotated[
        dict[InputName, Annotated[str, Meta(max_length=1000)]],
        Meta(
            max_length=25,
            description="What its inputs are given; `{reason}` and `{version}` stand for why, and for the version that is live.",
        ),
    ] = {}
    issue: Annotated[bool, Meta(description="Whether an issue tells of trouble, as long as it lasts.")] = True


class Backtest(_Section, frozen=True, kw_only=True):
    """What `backtest` walks through, and how it trains at each moment."""

    history: (
        Annotated[
            FilePath | TableSource,
            Meta(
                description="All rows whose truth is known, with `data.key`, `data.target`, the features, and when each was predicted."
            ),
        ]
        | None
    ) = None
    time: Annotated[str, Meta(description="The column that says when a row was to be predicted.")] | None = None
    run: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Trains from `data.reference` as it finds it, and writes `train.model`; `train.run` without it.",
            ),
        ]
        | None
    ) = None
    holdout: Annotated[
        int, Meta(ge=1, description="How many of the newest batches are held out of training, to tell what a version promises.")
    ] = 1
    files: Annotated[tuple[FilePath, ...], Meta(max_length=100, description="Files that training needs and git does not track.")] = ()
    every_batch: Annotated[
        bool, Meta(description="Whether to look as well at what training again after every batch would have done.")
    ] = False


class Config(_Section, frozen=True, kw_only=True):
    """A team's `modelship.yaml`. Paths are relative to the file."""

    model: Annotated[Name, Meta(description="The model's name.")]
    data: Data = Data()
    drift: Drift = Drift()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    gate: Gate = Gate()
    registry: Registry = Registry()
    deploy: Deploy = Deploy()
    monitor: Monitor = Monitor()
    retrain: Retrain = Retrain()
    backtest: Backtest = Backtest()

    @property
    def registered_name(self) -> str:
        """The name under which MLflow's registry knows the model."""
        return self.registry.name or self.model


class LoadedConfig(msgspec.Struct, frozen=True):
    """A configuration with the place it came from, for errors that point into it."""

    config: Config
    document: Document
    directory: Path

    def problem(self, message: str, remedy: str = "", *, at: str) -> Problem:
        """A problem that points at the dotted key `at`."""
        return Problem(message, remedy, self.document.name, self.document.line(tuple(at.split("."))))

    def require(self, key: str, remedy: str = "Add it, or give it as an option or an input.") -> Any:
        """The value at the dotted kebab-case `key`. Raises BadInput, with the remedy, when the team did not set it."""
        value: Any = self.config
        for part in key.split("."):
            value = getattr(value, part.replace("-", "_"))
        if value is None:
            # What options alone describe has no file to set it in.
            said = f"`{key}` is not set." if self.document.data else f"does not exist, and no option sets `{key}`."
            raise BadInput(self.problem(said, remedy, at=key))
        return value


def load_config(path: Path, overrides: Mapping[str, Any] | None = None, *, name: str | None = None) -> LoadedConfig:
    """Read the configuration at `path`; `overrides` (dotted key to value, from inputs) win over the file.

    The file may be absent when the overrides alone make a configuration: when they name the model. Raises BadInput with one problem
    that names file, line, key and the nearest valid name.
    """
    name = name or str(path)
    overrides = overrides or {}
    if path.exists():
        return _build(read_document(path, name, most_bytes=MAX_BYTES_BY_HAND), overrides, path.parent)
    if overrides.get("model") is None:
        raise bad_input("does not exist.", "Run `modelship init` to write one.", path=name)
    return _build(Document(name, {}), overrides, path.parent)


def parse_config(raw: bytes, name: str, directory: Path, overrides: Mapping[str, Any] | None = None) -> LoadedConfig:
    """The configuration in `raw`, as `load_config` reads it from a file."""
    return _build(parse_document(raw, name, most_bytes=MAX_BYTES_BY_HAND), overrides or {}, directory)


def _build(document: Document, overrides: Mapping[str, Any], directory: Path) -> LoadedConfig:
    if not isinstance(document.data, dict):
        raise bad_input("is not a mapping of keys.", "Run `modelship init` to see one.", path=document.name, line=1)
    data = document.data
    for key, value in overrides.items():
        if value is None:
            continue
        data = _with(data, key.split("."), value)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise BadInput(_explain(document, data, error)) from None
    return LoadedConfig(config, document, directory)


def _with(data: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    data = dict(data) if isinstance(data, dict) else {}
    return {**data, keys[0]: _with(data.get(keys[0]), keys[1:], value)}


_TRAIL = re.compile(r"(.*) - at `(key` in `)?\$([^`]*)`", re.DOTALL)
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*?)`?", re.DOTALL)
_PATTERN = re.compile(r"Expected `[^`]*` matching regex (['\"].*)", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")
_TYPES = {"str": "text", "object": "a mapping", "array": "a list", "float": "a number", "int": "a number", "bool": "true or false"}
_TYPE_NAMES = re.compile(r"`((?:{0})(?: \| (?:{0}))*)`".format("|".join([*_TYPES, "null"])))


def _explain(document: Document, data: Any, error: msgspec.ValidationError) -> Problem:
    """msgspec's message as a problem with the line, the full key and the nearest valid name."""
    # At the top there is no trail, and a key that is told may hold anything.
    found = _TRAIL.fullmatch(str(error))
    reason, of_key, trail = found.groups() if found else (str(error), None, "")
    # Of a key that is not allowed, the mapping is named: `[...]` is the key.
    at = _locate(data, f"{trail}[...]" if of_key else trail, str(error))
    unknown, missing = _UNKNOWN_FIELD.fullmatch(reason), _MISSING_FIELD.fullmatch(reason)
    dotted = _dotted(at)
    if unknown:
        key = (*at, unknown.group(1))
        known = _keys_at(at)
        return Problem(f"unknown key `{_dotted(key)}`.", did_you_mean(unknown.group(1), known), document.name, document.line(key))
    if missing:
        return Problem(
            f"the key `{_dotted((*at, missing.group(1)))}` is missing.",
            "Add it, or give it as an option or an input.",
            document.name,
            document.line(at) or (1 if document.data else None),  # Without a file there is no line.
        )
    value: Any = data
    for part in at:
        value = value[part]
    shown = "" if value is None or isinstance(value, dict | list) else f" It is `{_one_line(value)}`."
    pattern = _PATTERN.fullmatch(reason)
    if pattern:
        import ast

        hint = _HINTS[ast.literal_eval(pattern.group(1))]
        said = f"`{_dotted(at[:-1])}` has the key `{_one_line(at[-1])}`." if of_key and at else f"`{dotted}` is `{_one_line(value)}`."
        return Problem(said, f"Allowed: {hint[0].lower()}{hint[1:]}", document.name, document.line(at))
    if reason.startswith("Invalid enum value"):
        return Problem(f"`{dotted}` is `{_one_line(value)}`.", f"Allowed: {_choices(at)}.", document.name, document.line(at))
    reason = reason[0].lower() + _TYPE_NAMES.sub(_type_names, reason[1:]).replace(">= 0.0", "of at least 0")
    return Problem(f"`{dotted}`: {reason}.{shown}", _describe(at), document.name, document.line(at))


def _dotted(at: Path_) -> str:
    """A path as a reader would write it: `evaluate.invariance[0].column`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).removeprefix(".")


def _type_names(match: re.Match[str]) -> str:
    """msgspec's "`float | null`" as "a number"."""
    names = dict.fromkeys(_TYPES.get(name, name) for name in match[1].split(" | ") if name != "null")
    return " or ".join(names) or "nothing"


def _one_line(value: Any) -> str:
    return (
        str(value).encode("unicode_escape").decode()[:200] if isinstance(value, str) and not value.isprintable() else str(value)[:200]
    )


def _locate(data: Any, trail: str, message: str) -> Path_:
    """The key path behind msgspec's `.gate.metrics[...]`: it does not say which key of a mapping `[...]` is.

    Ends early where the data does not hold what the trail names.
    """
    at: Path_ = ()
    value: Any = data
    for key, index, _ in re.findall(r"\.([^.\[\]]+)|\[([0-9]+)\]|\[(\.\.\.)\]", trail):
        part = key or (int(index) if index else _guilty(data, at, value, message))
        if part is None or not _holds(value, part):
            break
        at, value = (*at, part), value[part]
    return at


def _holds(value: Any, part: str | int) -> bool:
    return part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int) and part < len(value)


def _guilty(data: Any, at: Path_, value: Any, message: str) -> str | None:
    """The first key of the mapping `value` at `at` that brings `message` about, found by halving: there may be many."""

    def is_among(keys: list[str]) -> bool:
        try:
            msgspec.convert(_replaced(data, at, {key: value[key] for key in keys}), Config)
        except msgspec.ValidationError as error:
            return str(error) == message
        return False

    keys = list(value) if isinstance(value, dict) else []
    while len(keys) > 1:
        half = keys[: len(keys) // 2]
        keys = half if is_among(half) else keys[len(half) :]
    return keys[0] if keys and is_among(keys) else None


def _replaced(data: Any, at: Path_, value: Any) -> Any:
    """A copy of `data` with `value` at `at`."""
    if not at:
        return value
    copy = data.copy()
    copy[at[0]] = _replaced(data[at[0]], at[1:], value)
    return copy


def _schema_at(at: Path_) -> dict[str, Any]:
    schema = json_schema()
    node: dict[str, Any] = schema
    for part in at:
        node = _object(node, schema)
        if isinstance(part, int):
            node = next((option["items"] for option in (node, *node.get("anyOf", [])) if "items" in option), {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
    return _object(node, schema)


def _object(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """`node` with references followed, and of alternatives the one that is an object."""
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    for option in node.get("anyOf", []):
        resolved = _object(option, schema)
        if resolved.get("type") == "object":
            return resolved
    return node


def _keys_at(at: Path_) -> list[str]:
    return list(_schema_at(at).get("properties", {}))


def _describe(at: Path_) -> str:
    node = _schema_at(at)
    for option in (node, *node.get("anyOf", [])):
        if "description" in option and option.get("type") != "null":
            return str(option["description"])
    return ""


def _choices(at: Path_) -> str:
    node = _schema_at(at)
    options = (node, *node.get("anyOf", []))
    numbers = [f"a whole number from {option['minimum']:,} on" for option in options if option.get("type") == "integer"]
    values: list[str] = next((option["enum"] for option in options if "enum" in option), [])
    return " or ".join([*numbers, *(f"`{value}`" for value in values)])


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `modelship.yaml`, for editors."""
    (reference,), definitions = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": CONFIG_NAME,
        **reference,
        "$defs": dict(sorted(definitions.items())),
    }
