"""Where a baseline comes from: git, DVC, a file, or an MLflow server.

Its metrics are read at once, its predictions and its model only when they are asked for.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from modelship.core.documents import parse_document, read_document
from modelship.core.errors import bad_input, infrastructure
from modelship.core.git import Commit, Git
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.prediction_files import suffix_of
from modelship.core.records import Baseline
from modelship.core.scratch import scratch_folder
from modelship.data.dvc_files import outdated_at
from modelship.gate.folder import choose, plain_file, read_folder, refuse_predictions

if TYPE_CHECKING:
    from modelship.data.snapshot import Snapshot
    from modelship.registry.lookup import Lookup
    from modelship.registry.runs import Run

SCORED = "what `evaluate` scored"
"""The source of a baseline that is nothing but a model."""

Kind = Literal["champion", "base", "git", "run", "file", "none"]


class Located(msgspec.Struct, frozen=True):
    """A file or folder of the baseline's, brought to this machine and verified; without a path, why it is not to be had."""

    path: Path | None
    name: str = ""
    """What messages call it, as `predictions.parquet at 3f2a91c`."""
    why_absent: str = ""
    """The second half of a sentence: `the baseline has no predictions: …`."""


class Found(msgspec.Struct, frozen=True):
    """A baseline, with its metrics; None for those when there is none yet."""

    baseline: Baseline
    metrics: Metrics | None
    from_mlflow: bool = False
    notice: str = ""
    """What a reader should know about it."""
    predictions: Callable[[], Located] | None = None
    """Fetches its predictions; None when there is no baseline. Raises as `find_baseline` does."""


class Places(msgspec.Struct, frozen=True):
    """Where to look: the repository, the metrics file in it, the base commit, and the tracking server if there is one."""

    git: Git
    directory: Path
    metrics_path: str | None
    base: str | None
    registered_name: str
    model: str
    runs: Callable[[], Lookup] | None
    """The MLflow server; None without a tracking URI."""
    policy_commit: str | None = None
    """The base commit, where its limits judge a pull request: a baseline that git or DVC holds is then read there, too."""
    predictions_path: str | None = None
    model_path: str | None = None
    remote: str | None = None
    """The DVC remote by name; the default one without."""
    credentials: Mapping[str, str] = {}
    """Variables for that remote's storage library."""
    is_scored: bool = False
    """Whether `evaluate` has scored the baseline's model: a commit then needs no results beside it."""

    def __repr__(self) -> str:
        # Credentials stay out of tracebacks.
        return f"Places({self.directory})"


def find_baseline(spec: str, places: Places) -> Found:
    """The baseline that `spec` (`gate.baseline`) names.

    A baseline that the team names and that does not exist (`git:`, `run:`, `file:`) is an error; `champion` and `base` may not
    exist yet, which is a first run. Raises BadInput and InfrastructureError.
    """
    kind, _, argument = spec.partition(":")
    match kind:
        case "none":
            return Found(Baseline(kind="none", label="no baseline"), None)
        case "file":
            return _from_file(argument.rstrip("/") or argument, places)
        case "git":
            return _from_git("git", places, argument, argument, required=True)
        case "base":
            return _from_base(places)
        case "run" | "champion":
            return _from_mlflow(cast(Kind, kind), argument, places)
    raise bad_input(f"`{spec}` names no baseline.")


def fetch_model(spec: str, places: Places, into: Path) -> Located:
    """Bring the model folder of the baseline that `spec` names to `into`, which must not be there yet.

    A registered version's model comes from the registry. A commit's comes from the MLflow run that logged one there, else from git
    or DVC at that commit. Raises BadInput and InfrastructureError.
    """
    if into.exists():
        raise bad_input("is there already.", "Name a new folder for the baseline's model.", path=str(into))
    kind, _, argument = spec.partition(":")
    if kind in ("champion", "run"):
        return _model_from_mlflow(kind, argument, places, into)
    ref = argument if kind == "git" else places.base if kind == "base" else None
    if ref is None:
        why = "this run has no base commit" if kind == "base" else f"`{spec}` names no model"
        return Located(None, why_absent=why)
    if kind == "base" and places.runs:
        runs = places.runs()
        run = runs.at_commit(ref, places.model)
        logged = _moved(runs.fetch_model_of_run(run.id, _model_name(places), scratch_folder()), into) if run else None
        if run and logged:
            return Located(logged, f"the model of MLflow run {run.id[:12]}")
    commit = places.git.resolve(ref)
    if places.model_path is None:
        return Located(None, why_absent="`train.model` is not set")
    return _fetched(_snapshot(places, commit.sha), places.model_path, into, f"{places.model_path} at {commit.sha[:7]}")


# A file or folder -------------------------------------------------------------------------------------------------------------------


def _from_file(name: str, places: Places) -> Found:
    refuse_predictions(name)
    if places.policy_commit:
        # The work tree is the pull request's: its author must not choose what it is compared with.
        commit = places.git.resolve(places.policy_commit)
        path = os.path.relpath(places.directory / name, places.directory)
        raw = places.git.read(commit.sha, path)
        if raw is not None:
            return Found(_file_baseline(name, commit), read_metrics(parse_document(raw, name)), predictions=_only_metrics(name))
        snapshot = _snapshot(places, commit.sha)
        if snapshot.holds(path):
            return _from_held(name, path, snapshot, commit)
        if _snapshot(places, places.git.head() or commit.sha).holds(path):
            raise bad_input(f"the baseline `{name}` is new in this pull request.", "Merge it first, or choose another baseline.")
    path_here = places.directory / name
    if not path_here.exists():
        raise bad_input(f"the baseline `file:{name}` does not exist.", "Name a metrics file, or a folder with one or predictions.")
    baseline = Baseline(kind="file", label=name, source=name)
    if not path_here.is_dir():
        return Found(baseline, read_metrics(read_document(path_here, name)), predictions=_only_metrics(name))
    folder = read_folder(path_here, name)
    located = Located(folder.predictions, folder.predictions_name, "" if folder.predictions else f"`{name}` holds none")
    return Found(baseline, folder.metrics, predictions=lambda: located)


def _from_held(name: str, path: str, snapshot: Snapshot, commit: Commit) -> Found:
    """The baseline `file:` at a commit that holds it as a folder, or under DVC."""
    from modelship.data.snapshot import AbsentError

    baseline = _file_baseline(name, commit)
    try:
        names = snapshot.names(path)
        if not names:
            return Found(baseline, _metrics_at(snapshot, path, name), predictions=_only_metrics(name))
        chosen = choose(names, name)
        metrics = Metrics({}, {})
        if chosen.metrics:
            metrics = _metrics_at(snapshot, posixpath.join(path, chosen.metrics), f"{name}/{chosen.metrics}")
    except AbsentError as error:
        raise bad_input(f"the baseline `{name}` is not to be had at base {commit.sha[:7]}: {error}.") from None
    wanted = posixpath.join(path, chosen.predictions) if chosen.predictions else None

    def predictions() -> Located:
        return _predictions_at(snapshot, wanted, commit) if wanted else Located(None, why_absent=f"`{name}` holds none")

    return Found(baseline, metrics, predictions=predictions)


def _file_baseline(name: str, commit: Commit) -> Baseline:
    return Baseline(kind="file", label=name, source=f"{name} at base {commit.sha[:7]}", commit=commit.sha, date=commit.date)


def _metrics_at(snapshot: Snapshot, path: str, name: str) -> Metrics:
    target = scratch_folder() / posixpath.basename(path)
    snapshot.fetch(path, target)
    return read_metrics(read_document(target, name))


def _only_metrics(name: str) -> Callable[[], Located]:
    return lambda: Located(None, why_absent=f"`{name}` is a metrics file, not a folder with predictions beside it")


# A commit ---------------------------------------------------------------------------------------------------------------------------


def _from_base(places: Places) -> Found:
    base = places.base
    if base is None:
        return Found(Baseline(kind="base", label="base", source="this run has no base commit"), None)
    runs = places.runs() if places.runs else None
    run = runs.at_commit(base, places.model) if runs else None
    if runs is None or run is None:
        return _from_git("base", places, base, "base", required=False)
    label = f"base {base[:7]}"
    return Found(
        Baseline(kind="base", label=label, source=f"MLflow run {run.id[:12]}", commit=base, date=run.date),
        run.metrics,
        from_mlflow=True,
        predictions=_logged_predictions(runs, run),
    )


def _from_git(kind: Kind, places: Places, ref: str, name: str, *, required: bool) -> Found:
    commit = places.git.resolve(ref)
    label = f"{name} {commit.sha[:7]}" if name != commit.sha else commit.sha[:7]
    if places.metrics_path is None and places.predictions_path is None and not places.is_scored:
        raise bad_input("`train.metrics` is not set.", f"The baseline `{kind}` reads that file from git.")
    raw = places.git.read(commit.sha, places.metrics_path) if places.metrics_path else None
    held = raw is None and places.predictions_path and _snapshot(places, commit.sha).holds(places.predictions_path)
    shown = places.predictions_path if held else places.metrics_path or places.predictions_path
    source = f"{shown} at {commit.sha[:7]}" if shown else SCORED
    baseline = Baseline(kind=kind, label=label, source=source, commit=commit.sha, date=commit.date)
    if raw is None and not held:
        if required and not places.is_scored:
            raise bad_input(
                f"`{shown}` is not in git at {ref}.",
                "Keep metrics in git: `cache: false` in dvc.yaml, or choose another baseline.",
            )
        return Found(baseline, None)

    def predictions() -> Located:
        if places.predictions_path is None:
            return Located(None, why_absent="`train.predictions` is not set")
        return _predictions_at(_snapshot(places, commit.sha), places.predictions_path, commit)

    metrics = read_metrics(parse_document(raw, str(shown))) if raw is not None else Metrics({}, {})
    outdated = outdated_at(places.git, commit.sha)
    notice = f"The baseline may be of another model: `{outdated}` has changed since {source} was made." if outdated else ""
    return Found(baseline, metrics, notice=notice, predictions=predictions)


def _snapshot(places: Places, sha: str) -> Snapshot:
    from modelship.data.snapshot import Snapshot, Storage

    return Snapshot(places.git, sha, Storage(places.remote, places.credentials, places.policy_commit))


def _predictions_at(snapshot: Snapshot, path: str, commit: Commit) -> Located:
    name = f"{path} at {commit.sha[:7]}"
    if suffix_of(path) is None:
        return Located(None, why_absent=f"`{path}` is neither Parquet nor CSV by its suffix")
    located = _fetched(snapshot, path, scratch_folder() / posixpath.basename(path), name)
    if located.path and not located.path.is_file():
        return Located(None, why_absent=f"`{path}` is a folder at {commit.sha[:7]}")
    return located


def _fetched(snapshot: Snapshot, path: str, target: Path, name: str) -> Located:
    from modelship.data.snapshot import AbsentError

    try:
        snapshot.fetch(path, target)
    except AbsentError as error:
        return Located(None, why_absent=str(error))
    return Located(target, name)


# MLflow -----------------------------------------------------------------------------------------------------------------------------


def _from_mlflow(kind: Kind, argument: str, places: Places) -> Found:
    runs = _runs(kind, places)
    if kind == "run":
        run = _known_run(runs, argument)
        return Found(
            Baseline(kind="run", label=f"run {run.id[:8]}", source=f"MLflow run {run.id[:12]}", commit=run.commit, date=run.date),
            run.metrics,
            predictions=_logged_predictions(runs, run),
        )
    champion = runs.champion(places.registered_name)
    if champion is None:
        source = f"MLflow has no {places.registered_name}@champion"
        return Found(Baseline(kind="champion", label="champion", source=source, version=0), None)
    version, run = champion
    label = f"champion v{version}"
    return Found(
        Baseline(
            kind="champion",
            label=label,
            source=f"MLflow run {run.id[:12]}",
            commit=run.commit,
            date=run.date,
            version=int(version),
        ),
        run.metrics,
        predictions=_logged_predictions(runs, run),
    )


def _model_from_mlflow(kind: str, argument: str, places: Places, into: Path) -> Located:
    runs = _runs(kind, places)
    if kind == "run":
        run = _known_run(runs, argument)
        path = _moved(runs.fetch_model_of_run(run.id, _model_name(places), scratch_folder()), into)
        name = f"MLflow run {run.id[:12]}"
    else:
        champion = runs.champion(places.registered_name)
        if champion is None:
            return Located(None, why_absent=f"MLflow has no {places.registered_name}@champion")
        version, _ = champion
        path = _moved(runs.fetch_model_of_version(places.registered_name, version, scratch_folder()), into)
        name = f"{places.registered_name} v{version}"
    return Located(path, f"the model of {name}") if path else Located(None, why_absent=f"{name} has no model files")


def _runs(kind: str, places: Places) -> Lookup:
    if places.runs is None:
        raise bad_input(
            f"the baseline `{kind}` needs an MLflow server.",
            "Set `tracking-uri` or MLFLOW_TRACKING_URI, or choose `baseline: base`.",
        )
    return places.runs()


def _known_run(runs: Lookup, run_id: str) -> Run:
    run = runs.get(run_id)
    if run is None:
        raise bad_input(f"MLflow knows no run `{run_id}`.", "Is the tracking URI right?")
    return run


def _logged_predictions(runs: Lookup, run: Run) -> Callable[[], Located]:
    def predictions() -> Located:
        path = runs.fetch_predictions(run.id, scratch_folder())
        if path is None:
            return Located(None, why_absent=f"MLflow run {run.id[:12]} was logged without any")
        name = f"{path.name} of MLflow run {run.id[:12]}"
        plain_file(path, name)
        if run.predictions_hash and run.predictions_hash != f"sha256:{_sha256(path)}":
            raise infrastructure(f"{name} is not what training logged ({run.predictions_hash}).", "Train that commit again.")
        return Located(path, name)

    return predictions


def _sha256(path: Path) -> str:
    from modelship.core.run_directory import digest_folder

    return digest_folder(path)


def _model_name(places: Places) -> str:
    """What the team calls its model where it logs one."""
    return posixpath.basename(places.model_path or "model")


def _moved(path: Path | None, into: Path) -> Path | None:
    import shutil

    if path is None:
        return None
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, into)
    return into
