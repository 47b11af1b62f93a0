"""Where a baseline's metrics come from: git, a file, or an MLflow server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from modelship.core.documents import parse_document, read_document
from modelship.core.errors import bad_input
from modelship.core.git import Git
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.records import Baseline
from modelship.data.dvc_files import outdated_at

if TYPE_CHECKING:
    from modelship.registry.runs import Runs

Kind = Literal["champion", "base", "git", "run", "file", "none"]


class Found(msgspec.Struct, frozen=True):
    """A baseline, with its metrics; None for those when there is none yet."""

    baseline: Baseline
    metrics: Metrics | None
    from_mlflow: bool = False
    notice: str = ""
    """What a reader should know about it."""


class Places(msgspec.Struct, frozen=True):
    """Where to look: the repository, the metrics file in it, the base commit, and the tracking server if there is one."""

    git: Git
    directory: Path
    metrics_path: str | None
    base: str | None
    registered_name: str
    model: str
    runs: Callable[[], Runs] | None
    """Opens the MLflow server; None without a tracking URI."""
    policy_commit: str | None = None
    """The base commit, where its limits judge a pull request: a baseline that git holds is then read there, too."""


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
            return _from_file(argument, places)
        case "git":
            return _from_git("git", places, argument, argument, required=True)
        case "base":
            return _from_base(places)
        case "run" | "champion":
            return _from_mlflow(cast(Kind, kind), argument, places)
    raise bad_input(f"`{spec}` names no baseline.")


def _from_file(name: str, places: Places) -> Found:
    if places.policy_commit:
        # The work tree is the pull request's: its author must not choose what it is compared with.
        commit = places.git.resolve(places.policy_commit)
        path = os.path.relpath(places.directory / name, places.directory)
        raw = places.git.read(commit.sha, path)
        if raw is not None:
            source = f"{name} at base {commit.sha[:7]}"
            baseline = Baseline(kind="file", label=name, source=source, commit=commit.sha, date=commit.date)
            return Found(baseline, read_metrics(parse_document(raw, name)))
        if places.git.read(places.git.head() or commit.sha, path) is not None:
            raise bad_input(f"the baseline `{name}` is new in this pull request.", "Merge it first, or choose another baseline.")
    metrics = read_metrics(read_document(places.directory / name, name))
    return Found(Baseline(kind="file", label=name, source=name), metrics)


def _from_base(places: Places) -> Found:
    base = places.base
    if base is None:
        return Found(Baseline(kind="base", label="base", source="this run has no base commit"), None)
    run = places.runs().at_commit(base, places.model) if places.runs else None
    if run is None:
        return _from_git("base", places, base, "base", required=False)
    label = f"base {base[:7]}"
    return Found(
        Baseline(kind="base", label=label, source=f"MLflow run {run.id[:12]}", commit=base, date=run.date),
        run.metrics,
        from_mlflow=True,
    )


def _from_git(kind: Kind, places: Places, ref: str, name: str, *, required: bool) -> Found:
    commit = places.git.resolve(ref)
    label = f"{name} {commit.sha[:7]}" if name != commit.sha else commit.sha[:7]
    if places.metrics_path is None:
        raise bad_input("`train.metrics` is not set.", f"The baseline `{kind}` reads that file from git.")
    raw = places.git.read(commit.sha, places.metrics_path)
    source = f"{places.metrics_path} at {commit.sha[:7]}"
    baseline = Baseline(kind=kind, label=label, source=source, commit=commit.sha, date=commit.date)
    if raw is None:
        if required:
            raise bad_input(
                f"`{places.metrics_path}` is not in git at {ref}.",
                "Keep metrics in git: `cache: false` in dvc.yaml, or choose another baseline.",
            )
        return Found(baseline, None)
    outdated = outdated_at(places.git, commit.sha)
    notice = f"The baseline may be of another model: `{outdated}` has changed since {source} was made." if outdated else ""
    return Found(baseline, read_metrics(parse_document(raw, places.metrics_path)), notice=notice)


def _from_mlflow(kind: Kind, argument: str, places: Places) -> Found:
    if places.runs is None:
        raise bad_input(
            f"the baseline `{kind}` needs an MLflow server.",
            "Set `tracking-uri` or MLFLOW_TRACKING_URI, or choose `baseline: base`.",
        )
    runs = places.runs()
    if kind == "run":
        run = runs.get(argument)
        if run is None:
            raise bad_input(f"MLflow knows no run `{argument}`.", "Is the tracking URI right?")
        return Found(
            Baseline(kind="run", label=f"run {run.id[:8]}", source=f"MLflow run {run.id[:12]}", commit=run.commit, date=run.date),
            run.metrics,
        )
    champion = runs.champion(places.registered_name)
    if champion is None:
        source = f"MLflow has no {places.registered_name}@champion"
        return Found(Baseline(kind="champion", label="champion", source=source), None)
    version, run = champion
    label = f"champion v{version}"
    return Found(
        Baseline(kind="champion", label=label, source=f"MLflow run {run.id[:12]}", commit=run.commit, date=run.date), run.metrics
    )
