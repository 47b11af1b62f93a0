"""The candidate: what training recorded, what `evaluate` scored, or a file or folder that was named."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modelship.core.config import LoadedConfig
from modelship.core.documents import read_document
from modelship.core.errors import bad_input
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.records import EvaluateRecord, ScoredModel, TrainRecord
from modelship.gate.folder import read_folder, refuse_predictions
from modelship.gate.request import Request


class Candidate(msgspec.Struct, frozen=True):
    """What there is to judge."""

    metrics: Metrics
    """As training reported them; none where only predictions were given."""
    predictions: Path | None = None
    predictions_name: str = ""
    """What messages call that file."""
    is_scored: bool = False
    """Whether these predictions are what `evaluate` scored, for want of any that training recorded."""
    uncommitted: str = ""
    """The metrics file's path, when the commit holds another one than training wrote."""
    evaluation: EvaluateRecord | None = None
    """What `evaluate` said of this very model."""
    model_digest: str = ""
    """SHA-256 over the model's files; empty where no model stands behind what was named."""
    notices: tuple[str, ...] = ()


def find_candidate(request: Request, loaded: LoadedConfig) -> Candidate:
    """What was named, else what training recorded for this commit, else what `evaluate` scored.

    Raises BadInput when there is nothing to judge.
    """
    if request.candidate:
        return _named(request.directory / request.candidate, request.candidate)
    record = request.run_directory.read("train")
    if not isinstance(record, TrainRecord):
        return _evaluated(request, loaded)
    if record.status == "error":
        raise bad_input("there is nothing to judge: training failed.", record.summary[:1000])
    if record.commit not in _ours(request):
        raise bad_input(f"the training record speaks of commit {str(record.commit)[:7]}, not of this one.", "Train again.")
    evaluation, notice = _evaluation(request, record)
    trained = Candidate(
        Metrics(record.metrics, record.invalid_metrics),
        predictions=request.run_directory.file(Path(record.predictions.path).name) if record.predictions else None,
        predictions_name=record.predictions.path if record.predictions else "",
        uncommitted=record.metrics_path if record.metrics_uncommitted else "",
        evaluation=evaluation,
        model_digest=record.model_digest or (evaluation.candidate.digest if evaluation and evaluation.candidate else ""),
        notices=(notice,) if notice else (),
    )
    return _scored(trained, request) if trained.predictions is None else trained


def scored_file(request: Request, model: ScoredModel) -> Path:
    """The answers of a model that `evaluate` scored."""
    # The record comes from the training job: of the path that it names only the last part is believed.
    return request.run_directory.file(Path(model.predictions.path).name)


def _scored(candidate: Candidate, request: Request) -> Candidate:
    """The candidate with the answers that `evaluate` scored, where it did."""
    model = candidate.evaluation.candidate if candidate.evaluation else None
    if model is None:
        return candidate
    path = scored_file(request, model)
    return msgspec.structs.replace(candidate, predictions=path, predictions_name=path.name, is_scored=True)


def _evaluated(request: Request, loaded: LoadedConfig) -> Candidate:
    """A model that nobody trained here, but that was scored. Raises BadInput where none was."""
    record = request.run_directory.read("evaluate")
    if not isinstance(record, EvaluateRecord):
        path = loaded.config.train.metrics
        hint = f"Run `modelship train` or `modelship evaluate` first, or give `--candidate {path or 'metrics.json'}`."
        raise bad_input("there is nothing to judge: neither training nor evaluation left a record.", hint)
    if record.status == "error" or record.candidate is None:
        raise bad_input("there is nothing to judge: evaluation failed.", record.summary[:1000])
    if record.commit not in _ours(request):
        raise bad_input(f"the evaluation record speaks of commit {str(record.commit)[:7]}, not of this one.", "Evaluate again.")
    return _scored(Candidate(Metrics({}, {}), evaluation=record, model_digest=record.candidate.digest), request)


def _ours(request: Request) -> set[str | None]:
    """The commits that records of this run may speak of."""
    return {request.event.head, request.event.checked_out} - {None} or {request.git.head()}


def _evaluation(request: Request, trained: TrainRecord) -> tuple[EvaluateRecord | None, str]:
    """What `evaluate` said, where it speaks of this commit's model, and a sentence where it does not."""
    record = request.run_directory.read("evaluate")
    if not isinstance(record, EvaluateRecord) or record.status == "error":
        return None, ""
    digest = record.candidate.digest if record.candidate else ""
    if record.commit not in _ours(request) or (trained.model_digest and digest != trained.model_digest):
        return None, "`evaluate` has scored another model than this commit's: what it said is left out. Run it again."
    return record, ""


def _named(path: Path, name: str) -> Candidate:
    if not path.is_dir():
        refuse_predictions(name)
        return Candidate(read_metrics(read_document(path, name)))
    folder = read_folder(path, name.rstrip("/") or name)
    return Candidate(folder.metrics, folder.predictions, folder.predictions_name)
