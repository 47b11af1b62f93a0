"""A folder that holds one model's results: `metrics.json`, predictions, or both."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from modelship.core.documents import read_document
from modelship.core.errors import bad_input
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.prediction_files import MAX_BYTES, SUFFIXES, suffix_of

METRICS = "metrics.json"
_PREDICTIONS = tuple(f"predictions{suffix}" for suffix in SUFFIXES)


class Folder(msgspec.Struct, frozen=True):
    """What a folder holds."""

    metrics: Metrics
    """None at all where there are only predictions."""
    predictions: Path | None
    predictions_name: str
    """What messages call that file; empty without one."""


class Names(msgspec.Struct, frozen=True):
    """The names of the two files in a folder, as far as they are there."""

    metrics: str | None
    predictions: str | None


def read_folder(path: Path, name: str) -> Folder:
    """The results in the folder at `path`, which messages call `name`.

    Raises BadInput when it holds neither file, or more than one of predictions, or a link in the place of one, or one of more than
    512 MiB.
    """
    names = choose(sorted(child.name for child in path.iterdir()), name)
    metrics = Metrics({}, {})
    if names.metrics:
        plain_file(path / names.metrics, f"{name}/{names.metrics}")
        metrics = read_metrics(read_document(path / names.metrics, f"{name}/{names.metrics}"))
    if names.predictions is None:
        return Folder(metrics, None, "")
    shown = f"{name}/{names.predictions}"
    return Folder(metrics, plain_file(path / names.predictions, shown), shown)


def choose(names: Iterable[str], folder: str) -> Names:
    """Which of the files `names` in `folder` are its metrics and its predictions. Raises BadInput as `read_folder` does."""
    known = set(names)
    predictions = [name for name in _PREDICTIONS if name in known]
    if len(predictions) > 1:
        raise bad_input(f"holds {' and '.join(f'`{name}`' for name in predictions)}.", "Keep one of them.", path=folder)
    metrics = METRICS if METRICS in known else None
    if metrics is None and not predictions:
        raise bad_input(f"holds neither `{METRICS}` nor `{_PREDICTIONS[0]}` (or .csv).", "Put at least one there.", path=folder)
    return Names(metrics, predictions[0] if predictions else None)


def refuse_predictions(name: str) -> None:
    """Raise BadInput where `name`, which stands for a metrics file, is that of a predictions file."""
    if suffix_of(name):
        raise bad_input(
            "is a predictions file, where a metrics file or a folder is wanted.",
            f"Call it `{_PREDICTIONS[0]}` (or .csv) and name its folder.",
            path=name,
        )


def plain_file(path: Path, name: str) -> Path:
    """`path`, where it is a file of at most 512 MiB and no link. Raises BadInput."""
    if path.is_symlink() or not path.is_file():
        raise bad_input("is not a plain file.", "Put the file itself there, not a link to it.", path=name)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise bad_input(f"is larger than {MAX_BYTES // 1024 // 1024} MiB.", "Keep only the columns that are needed.", path=name)
    return path
