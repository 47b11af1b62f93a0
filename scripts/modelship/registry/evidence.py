"""What speaks for registering a model: the records of this commit, and that they speak of this very model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelship.core.errors import bad_input
from modelship.core.prediction_files import suffix_of
from modelship.core.records import CONCLUSIONS, RECORDS, AnyRecord, DataFile, EvaluateRecord, MetricGateRecord, Record, TrainRecord
from modelship.core.run_directory import RunDirectory, digest_folder

_BEFORE = tuple(RECORDS)[: list(RECORDS).index("register")]
"""The commands that come before registration."""

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Evidence:
    """The records of one model. Everything that they name is there, and is what they say it is."""

    digest: str
    """SHA-256 over the model's files."""
    trained: TrainRecord
    judged: MetricGateRecord
    evaluated: EvaluateRecord | None
    records: Mapping[str, AnyRecord]
    predictions: Path | None
    examples: Path | None

    @property
    def refusal(self) -> str:
        """Why the model may not be registered, as a command said it; empty when it may."""
        return next((f"`{name}` says no: {record.summary}" for name, record in self.records.items() if record.status == "fail"), "")

    @property
    def metrics(self) -> dict[str, float]:
        """What the gate found where it looked, else what training reported."""
        judged = {verdict.metric: verdict.candidate for verdict in self.judged.metrics if verdict.candidate is not None}
        return {**self.trained.metrics, **judged}


def read_evidence(run_directory: RunDirectory, model: Path, commit: str | None) -> Evidence:
    """The evidence for registering `model` at `commit`.

    Raises BadInput when a record that must be there is not, when one has no verdict, and when they speak of another model or commit.
    """
    found = {name: record for name in _BEFORE if (record := run_directory.read(name)) is not None}
    trained = _present(found, "train", TrainRecord)
    judged = _present(found, "metric-gate", MetricGateRecord)
    evaluated = found.get("evaluate")
    for name, record in found.items():
        if record.status == "error":
            raise bad_input(f"`{name}` came to no verdict: {record.summary[:1000]}", "Mend that, and run it again.")
    if judged.commit != commit:
        raise bad_input(
            f"the gate has judged commit {str(judged.commit)[:7]}, and {str(commit)[:7]} is checked out.",
            "Run `modelship metric-gate`.",
        )
    digest = digest_folder(model)
    _check_model(digest, model, "training wrote", trained.model_digest, "modelship train")
    _check_model(digest, model, "the gate has judged", judged.model_digest, "modelship metric-gate")
    if isinstance(evaluated, EvaluateRecord) and evaluated.candidate:
        _check_model(digest, model, "evaluation has scored", evaluated.candidate.digest, "modelship evaluate")
    scored = evaluated if isinstance(evaluated, EvaluateRecord) else None
    predictions = trained.predictions or (scored.candidate.predictions if scored and scored.candidate else None)
    return Evidence(
        digest=digest,
        trained=trained,
        judged=judged,
        evaluated=scored,
        records=found,
        predictions=_file(run_directory, predictions) if predictions and suffix_of(predictions.path) else None,
        examples=_file(run_directory, scored.examples) if scored and scored.examples else None,
    )


def _present(found: Mapping[str, AnyRecord], name: str, kind: type[R]) -> R:
    record = found.get(name)
    if isinstance(record, kind):
        return record
    where = "in this job" if name in CONCLUSIONS else "or hand its run directory over"
    raise bad_input(f"there is no record of `{name}`.", f"Run `modelship {name}` before this, {where}.")


def _check_model(digest: str, model: Path, who: str, recorded: str, command: str) -> None:
    if not recorded:
        raise bad_input(f"the record of `{command}` names no model.", "Set `train.model`, and train, evaluate and judge again.")
    if recorded != digest:
        raise bad_input(f"is not the model that {who}: the digests differ.", f"Run `{command}` again.", path=model.as_posix())


def _file(run_directory: RunDirectory, recorded: DataFile) -> Path:
    """An attached file. Raises BadInput unless it is what its record says."""
    # The record may come from another job: of the path that it names only the last part is believed.
    path = run_directory.file(Path(recorded.path).name)
    if path.is_symlink() or not path.is_file():
        raise bad_input("is gone, and a record speaks of it.", "Run the commands before this one again.", path=str(path))
    if f"sha256:{digest_folder(path)}" != recorded.hash:
        raise bad_input("is not what its record says: the digests differ.", "Train again.", path=str(path))
    return path
