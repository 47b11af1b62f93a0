"""The gate from end to end: policy, candidate, baseline, verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelship.core.config import LoadedConfig, load_config, parse_config
from modelship.core.documents import read_document
from modelship.core.environments import need
from modelship.core.errors import BadInput, ExitCode, Problem, bad_input
from modelship.core.event import Event
from modelship.core.git import Git
from modelship.core.metrics import Metrics, read_metrics
from modelship.core.records import Changes, MetricGateRecord, MetricVerdict, Status, TrainRecord, ValueChange
from modelship.core.run_directory import RunDirectory
from modelship.core.words import counted
from modelship.gate.baseline import Found, Places, find_baseline
from modelship.gate.changes import changed_among, changes
from modelship.gate.judge import Judgement, judge, worst_first

if TYPE_CHECKING:
    from modelship.registry.runs import Runs


class Request(msgspec.Struct, frozen=True):
    """Everything that a verdict may depend on."""

    git: Git
    directory: Path
    event: Event
    run_directory: RunDirectory
    config_path: Path
    overrides: Mapping[str, Any]
    candidate: str | None
    base: str | None
    tracking_uri: str | None


class Decision(msgspec.Struct, frozen=True):
    """The record and the exit code that goes with it."""

    record: MetricGateRecord
    exit_code: ExitCode


class Policy(msgspec.Struct, frozen=True):
    """The configuration that judges, where it came from, and what a reader should know about that."""

    loaded: LoadedConfig
    source: str
    notices: tuple[str, ...] = ()
    commit: str | None = None
    """The base commit that it was read at; None where it is the work tree's own."""
    is_own: bool = False
    """Whether a pull request sets the limits that it is judged by, for want of any at its base."""


def decide(request: Request) -> Decision:
    """Judge. Raises BadInput and InfrastructureError when there can be no verdict at all."""
    base = find_base(request)
    policy = find_policy(request, base)
    limits = policy.loaded.require("gate.metrics", "Say what must hold, as `roc_auc: {max-regression: 1%}`.")
    candidate, uncommitted = _candidate(request, policy.loaded)
    found = find_baseline(policy.loaded.config.gate.baseline, _places(request, policy, base))
    if found.metrics and (found.from_mlflow or found.baseline.kind in ("champion", "run")):
        from modelship.registry.names import with_names

        found = msgspec.structs.replace(found, metrics=with_names(found.metrics, {**limits, **candidate.values}))
    judgement = judge(limits, candidate, found.metrics, compare=found.baseline.kind != "none")
    notices = [found.notice] if found.notice else []
    if uncommitted and found.baseline.kind == "base" and not found.from_mlflow:
        notices.append(
            f"`{uncommitted}` in this commit is of another model. Run training and commit what it writes before merging: "
            "the next pull request is compared with it."
        )
    return _conclude(request, base, policy, candidate, tuple(notices), found, judgement)


def find_base(request: Request) -> str | None:
    """The commit to compare with: the one that was asked for, the event's, or where this branch left the default one.

    In a workflow a commit is never its own base: its run may just have been logged. At a terminal it is: the work tree is compared
    with the last commit. After a forced push what was there before may be gone; there is no base then.
    """
    event = request.event
    if request.base or (event.base and event.is_pull_request):
        return request.base or event.base
    if event.base:
        try:
            return request.git.resolve(event.base).sha
        except BadInput:
            return None
    base = request.git.merge_base()
    return None if event.name and base == event.head else base


def find_policy(request: Request, base: str | None) -> Policy:
    """The configuration that judges: in a pull request the base commit's, which its author cannot have changed."""
    name = request.config_path.as_posix()

    def own() -> LoadedConfig:
        return load_config(request.config_path, request.overrides, name=name)

    if not request.event.is_pull_request or base is None:
        return Policy(own(), name)
    commit = request.git.resolve(base)
    raw = request.git.read(commit.sha, request.config_path.name)
    if raw is None:
        notice = f"`{name}` is new in this pull request: it is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    try:
        loaded = parse_config(raw, name, request.directory, request.overrides)
    except BadInput as error:
        notice = f"`{name}` at base {commit.sha[:7]} is not valid ({error}): this pull request is judged by its own limits."
        return Policy(own(), f"{name} of this pull request", (notice,), is_own=True)
    return Policy(loaded, f"{name} at base {commit.sha[:7]}", commit=commit.sha)


def _candidate(request: Request, loaded: LoadedConfig) -> tuple[Metrics, str]:
    """The candidate's metrics, and the metrics file's path when the commit holds another one than training wrote."""
    if request.candidate:
        return read_metrics(read_document(request.directory / request.candidate, request.candidate)), ""
    record = request.run_directory.read("train")
    if not isinstance(record, TrainRecord):
        path = loaded.config.train.metrics
        hint = f"Run `modelship train` first, or give `--candidate {path or 'metrics.json'}`."
        raise bad_input("there is nothing to judge: training left no record.", hint)
    if record.status == "error":
        raise bad_input("there is nothing to judge: training failed.", record.summary[:1000])
    ours = {request.event.head, request.event.checked_out} - {None} or {request.git.head()}
    if record.commit not in ours:
        raise bad_input(f"the training record speaks of commit {str(record.commit)[:7]}, not of this one.", "Train again.")
    return Metrics(record.metrics, record.invalid_metrics), record.metrics_path if record.metrics_uncommitted else ""


def _places(request: Request, policy: Policy, base: str | None) -> Places:
    loaded = policy.loaded
    return Places(
        git=request.git,
        directory=request.directory,
        metrics_path=loaded.config.train.metrics or request.candidate,
        base=base,
        registered_name=loaded.config.registered_name,
        model=loaded.config.model,
        runs=_open_runs(request.tracking_uri),
        policy_commit=policy.commit,
    )


def _open_runs(tracking_uri: str | None) -> Callable[[], Runs] | None:
    if not tracking_uri:
        return None
    uri = tracking_uri

    def open_runs() -> Runs:
        need("registry")
        from modelship.registry.runs import Runs

        return Runs(uri)

    return open_runs


def _conclude(
    request: Request,
    base: str | None,
    policy: Policy,
    candidate: Metrics,
    notices: tuple[str, ...],
    found: Found,
    judgement: Judgement,
) -> Decision:
    first_run = policy.loaded.config.gate.first_run
    problems = [_placed(problem, policy.loaded) for problem in judgement.problems]
    unheld = judgement.without_baseline
    if unheld and first_run == "refuse":
        problems.append(_no_baseline(found, unheld, policy.loaded))
    status: Status
    if problems:
        status, code = "error", ExitCode.BAD_INPUT
    elif judgement.fails:
        status, code = "fail", ExitCode.VERDICT_NO
    else:
        status, code = ("warn" if unheld or policy.is_own else "pass"), ExitCode.PASS
    differences = _changes(request, base, policy.loaded)
    verdicts = tuple(worst_first(judgement.verdicts))
    record = MetricGateRecord(
        model=policy.loaded.config.model,
        status=status,
        summary=str(problems[0]) if problems else _summary(verdicts, found),
        problems=tuple(problems),
        notices=(
            *policy.notices,
            *_policy_changed(differences, policy, request),
            *_judge_changed(request, base, policy),
            *_unheld_notice(unheld, found),
            *notices,
        ),
        baseline=found.baseline,
        metrics=verdicts,
        other_metrics=_others(candidate, found.metrics, judgement),
        policy=policy.source,
        changes=differences,
    )
    return Decision(record, code)


def _placed(problem: Problem, loaded: LoadedConfig) -> Problem:
    """The problem with the line of the limit that it speaks of."""
    name = problem.message.split("`")[1].removeprefix("gate.metrics.")
    line = loaded.document.line(("gate", "metrics", name))
    return Problem(problem.message, problem.remedy, loaded.document.name, line) if line else problem


def _no_baseline(found: Found, unheld: list[MetricVerdict], loaded: LoadedConfig) -> Problem:
    names = ", ".join(f"`{verdict.metric}`" for verdict in unheld)
    where = f" ({found.baseline.source})" if found.baseline.source else ""
    remedy = "Set `gate.first-run: allow` to let absolute limits decide until there is one."
    return loaded.problem(f"there is no baseline for {names}{where}.", remedy, at="gate.baseline")


def _unheld_notice(unheld: list[MetricVerdict], found: Found) -> tuple[str, ...]:
    if not unheld:
        return ()
    names = ", ".join(f"`{verdict.metric}`" for verdict in unheld)
    where = f" ({found.baseline.source})" if found.baseline.source else ""
    return (f"No baseline for {names}{where}: only absolute limits were checked.",)


def _policy_changed(differences: Changes | None, policy: Policy, request: Request) -> tuple[str, ...]:
    if not differences or not differences.policy or not request.event.is_pull_request:
        return ()
    shown = "; ".join(
        f"`{change.name}`: {change.before or 'absent'} → {change.after or 'absent'}" for change in differences.policy[:5]
    )
    more = f" and {len(differences.policy) - 5} more" if len(differences.policy) > 5 else ""
    return (f"This pull request changes {request.config_path.name}: {shown}{more}. It is judged by {policy.source}.",)


def _judge_changed(request: Request, base: str | None, policy: Policy) -> tuple[str, ...]:
    commits = _commits(request, base) if policy.commit else None
    data = policy.loaded.config.data
    changed = changed_among(request.git, *commits, filter(None, (data.current, data.expectations))) if commits else []
    if not changed:
        return ()
    names = " and ".join(f"`{name}`" for name in changed)
    return (f"This pull request changes what it is judged on: {names}. Its numbers may not compare with the baseline's.",)


def _commits(request: Request, base: str | None) -> tuple[str, str] | None:
    """Where this commit left the base branch, and this commit. What the base branch has got since is not this commit's doing."""
    head = request.event.head or request.git.head()
    if base is None or head is None or base == head:
        return None
    try:
        before, after = request.git.resolve(base), request.git.resolve(head)
    except BadInput:
        return None  # For information only; a shallow clone shows it where the verdict needs the commit.
    return request.git.fork_point(before.sha, after.sha), after.sha


def _changes(request: Request, base: str | None, loaded: LoadedConfig) -> Changes | None:
    if base is not None and base == (request.event.head or request.git.head()):
        return Changes()
    commits = _commits(request, base)
    params = loaded.config.train.params or "params.yaml"
    return changes(request.git, *commits, params=params, config=request.config_path.name) if commits else None


def _others(candidate: Metrics, baseline: Metrics | None, judgement: Judgement) -> tuple[ValueChange, ...]:
    gated = {verdict.metric for verdict in judgement.verdicts}
    before = baseline.values if baseline else {}
    return tuple(
        ValueChange(name=name, before=f"{before[name]:.6g}" if name in before else None, after=f"{value:.6g}")
        for name, value in sorted(candidate.values.items())
        if name not in gated
    )[:200]


def _summary(verdicts: tuple[MetricVerdict, ...], found: Found) -> str:
    failed = [verdict for verdict in verdicts if verdict.state == "fail"]
    if not failed:
        if all(verdict.state == "no-baseline" for verdict in verdicts):
            return f"{counted(len(verdicts), 'metric')} within absolute limits; there is no baseline yet"
        return f"{counted(len(verdicts), 'metric')} held against {found.baseline.label}"
    first = failed[0]
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    before = f"{first.baseline:.4g} → " if first.baseline is not None else ""
    return f"{first.metric} is {first.reason}: {before}{first.candidate:.4g} (allowed {first.allowed}){more}"
