"""The gate from end to end: policy, candidate, baseline, rows, verdict, consent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelship.core.base_commit import Span, config_at, find_base, find_span
from modelship.core.config import Config, LoadedConfig
from modelship.core.environments import need
from modelship.core.errors import BadInput
from modelship.core.metrics import Metrics
from modelship.core.records import Baseline, Changes, Finding, ValidateRecord
from modelship.gate.baseline import SCORED, Found, Located, Places, fetch_model, find_baseline
from modelship.gate.candidate import Candidate, find_candidate, scored_file
from modelship.gate.changes import changed_among, changes
from modelship.gate.conclude import Case, Decision, conclude
from modelship.gate.guard import guard, overlap, watched
from modelship.gate.judge import judge
from modelship.gate.own_metrics import own_metrics
from modelship.gate.policy import Policy, find_policy
from modelship.gate.request import Request

if TYPE_CHECKING:
    from modelship.gate.rows.recompute import Recomputed
    from modelship.github.consent import Consent
    from modelship.registry.lookup import Lookup


def decide(request: Request) -> Decision:
    """Judge. Raises BadInput and InfrastructureError when there can be no verdict at all."""
    base = find_base(request.git, request.event, request.base)
    policy = find_policy(request, base)
    limits = policy.loaded.require("gate.metrics", "Say what must hold, as `roc_auc: {max-regression: 1%}`.")
    candidate = find_candidate(request, policy.loaded)
    if _has_rows(candidate, policy.loaded.config):
        need("gate")  # Before anything is fetched: it may begin this command anew.
    found = _find_baseline(request, policy, base, candidate, limits)
    span = find_span(request.git, request.event, base)
    changed = _changed(request, policy, span)
    own = own_metrics(limits, candidate.evaluation, must_be_there=not request.candidate)
    rows, notices = _recompute(request, policy.loaded, candidate, found, changed, base, span)
    metrics = rows.metrics if rows else candidate.metrics
    case = Case(
        policy=policy,
        found=found,
        candidate=candidate,
        judgement=judge(
            limits,
            Metrics({**metrics.values, **own.candidate}, metrics.invalid),
            _with_values(found.metrics, own.baseline),
            compare=found.baseline.kind != "none",
            comparisons={**(rows.comparisons if rows else {}), **own.comparisons},
            confidence=policy.loaded.config.gate.confidence,
            computable=rows.computable if rows else (),
        ),
        rows=rows,
        problems=own.problems,
        changes=_changes(request, base, span, policy.loaded),
        findings=_findings(request, policy, span, changed, rows),
        notices=(
            *filter(None, (found.notice,)),
            *notices,
            *_unjudged_slices(policy.loaded.config, rows),
            *candidate.notices,
            *_stale_metrics(candidate, found),
        ),
    )
    decision = conclude(case)
    consent = _ask_for_consent(request, decision, policy.loaded.config) if decision.awaits_consent else None
    return conclude(msgspec.structs.replace(case, consent=consent)) if consent else decision


def _with_values(metrics: Metrics | None, values: Mapping[str, float]) -> Metrics | None:
    return Metrics({**metrics.values, **values}, metrics.invalid) if metrics else Metrics(dict(values), {}) if values else None


def _find_baseline(request: Request, policy: Policy, base: str | None, candidate: Candidate, limits: Mapping[str, object]) -> Found:
    scored = candidate.evaluation.baseline if candidate.evaluation else None
    places = msgspec.structs.replace(_places(request, policy, base), is_scored=scored is not None)
    found = find_baseline(policy.loaded.config.gate.baseline, places)
    if scored and found.baseline.kind == "none":
        # Who names a baseline to `evaluate` alone wants the two compared.
        return Found(Baseline(kind="file", label=Path(scored.path).name[:100], source=SCORED), None)
    if found.metrics and (found.from_mlflow or found.baseline.kind in ("champion", "run")):
        from modelship.registry.names import with_names

        return msgspec.structs.replace(found, metrics=with_names(found.metrics, {**limits, **candidate.metrics.values}))
    return found


def fetch_baseline_model(request: Request, into: Path) -> Located:
    """Bring the model of the baseline that judges this commit to `into`. Raises BadInput and InfrastructureError."""
    base = find_base(request.git, request.event, request.base)
    policy = find_policy(request, base)
    return fetch_model(policy.loaded.config.gate.baseline, _places(request, policy, base), into)


def _places(request: Request, policy: Policy, base: str | None) -> Places:
    config = policy.loaded.config
    return Places(
        git=request.git,
        directory=request.directory,
        metrics_path=config.train.metrics or request.candidate,
        base=base,
        registered_name=config.registered_name,
        model=config.model,
        runs=_lookup(request.tracking_uri),
        policy_commit=policy.commit,
        predictions_path=config.train.predictions,
        model_path=config.train.model,
        remote=config.data.remote,
        credentials=request.credentials,
    )


def _lookup(tracking_uri: str | None) -> Callable[[], Lookup] | None:
    if not tracking_uri:
        return None
    uri = tracking_uri

    def open_lookup() -> Lookup:
        from modelship.registry.lookup import Lookup

        return Lookup(uri)

    return open_lookup


def _has_rows(candidate: Candidate, config: Config) -> bool:
    return candidate.predictions is not None and config.data.key is not None


def _recompute(
    request: Request,
    loaded: LoadedConfig,
    candidate: Candidate,
    found: Found,
    changed: Set[str],
    base: str | None,
    span: Span | None,
) -> tuple[Recomputed | None, tuple[str, ...]]:
    """What predictions say, where the candidate has any, and what a reader should know where they say less than they could."""
    if candidate.predictions is None:
        promised = loaded.config.train.predictions
        return None, (f"Changes carry no interval: the candidate has no predictions (`{promised[:100]}`).",) if promised else ()
    if loaded.config.data.key is None:
        if not (candidate.metrics.values or candidate.metrics.invalid):
            loaded.require("data.key", "Metrics are computed from predictions, whose rows the column that it names pairs.")
        return None, ("Changes carry no interval: `data.key` does not name the column that pairs the rows of two models.",)
    from modelship.gate.rows.predictions import PredictionsFile
    from modelship.gate.rows.recompute import Sources, recompute

    located = found.predictions() if found.predictions else None
    evaluation = candidate.evaluation
    scored = [scored_file(request, model) for model in (evaluation.candidate, evaluation.baseline) if model] if evaluation else []
    files = [PredictionsFile(path, path.name) for path in scored]
    sources = Sources(
        candidate=PredictionsFile(candidate.predictions, f"the candidate's {candidate.predictions_name}"),
        is_scored=candidate.is_scored,
        baseline=PredictionsFile(located.path, f"the baseline's {located.name}") if located and located.path else None,
        evaluated=(files[0], files[1]) if len(files) == 2 else None,
        reported_by_baseline=found.metrics,
        holdout_changed=loaded.config.data.current_path in changed,
        is_behind=_is_behind(request, base, span, loaded.config.data.current_path),
        same_holdout=len(files) == 2 and _is_of_this_holdout(request, found, loaded.config.data.current_path),
    )
    rows = recompute(loaded, loaded.config.gate.metrics or {}, candidate.metrics, sources)
    if located and located.why_absent and not rows.comparisons:
        return rows, (*rows.notices, f"Changes carry no interval: the baseline has no predictions ({located.why_absent}).")
    return rows, rows.notices


def _is_behind(request: Request, base: str | None, span: Span | None, holdout: str | None) -> bool:
    """Whether the base branch has changed the holdout since this branch left it."""
    if base is None or span is None or holdout is None:
        return False
    at_base = request.git.resolve(base).sha
    return span.before != at_base and bool(changed_among(request.git, span.before, at_base, [holdout]))


def _is_of_this_holdout(request: Request, found: Found, holdout: str | None) -> bool:
    """Whether the baseline's predictions are of this commit's holdout, unless git says that it has changed since.

    Of a `file:` nobody knows when its predictions were made.
    """
    head = request.event.head or request.git.head()
    if holdout is None or head is None or found.baseline.kind == "file":
        return False
    try:
        before = request.git.resolve(found.baseline.commit).sha
    except BadInput:
        return True
    return not changed_among(request.git, before, head, [holdout])


def _changed(request: Request, policy: Policy, span: Span | None) -> frozenset[str]:
    """Which of the files that judge are others in this commit than where it left the base."""
    if span is None:
        return frozenset()
    return frozenset(changed_among(request.git, span.before, span.after, watched(policy.loaded.config)))


def _findings(request: Request, policy: Policy, span: Span | None, changed: Set[str], rows: Recomputed | None) -> tuple[Finding, ...]:
    """What this pull request does to what judges it, and what validation says of the rows."""
    validated = None if request.candidate else request.run_directory.read("validate")
    told = overlap(validated if isinstance(validated, ValidateRecord) else None)
    if span is None or not policy.commit:
        return told
    name = request.config_path.name
    # Where the fork point has no valid configuration, nothing may be looser than what judges.
    before = _config_at(request, span.before) or policy.loaded.config
    found = guard(
        before,
        _config_at(request, span.after),
        changed=changed,
        rows=rows.differences if rows else None,
        rescored=rows.rescored if rows else None,
        name=name,
    )
    return (*found, *told)


def _config_at(request: Request, sha: str) -> Config | None:
    return config_at(request.git, sha, request.config_path, request.overrides)


def _ask_for_consent(request: Request, decision: Decision, config: Config) -> Consent | None:
    """What people said of this commit, where it is a pull request's, or of the pull request that a merge queue tries to merge."""
    event = request.event
    number, head = (event.pull_request, event.head) if event.is_pull_request else (event.queued, "")
    if number is None or head is None:
        return None
    approval = decision.record.approval
    label = approval.label if approval else None
    if not request.github_token and label is None:
        return None
    need("gate" if decision.record.paired else "github")
    from modelship.github.client import Connection, GitHub
    from modelship.github.consent import Matter, find_consent, without_token

    if not request.github_token:
        return without_token(label)
    github = GitHub(Connection(event.api_url, event.repository, request.github_token))
    matter = Matter(pull_request=number, head=head, model=config.model)
    return find_consent(github, matter, label=label, accept=config.gate.accept_regression)


def _unjudged_slices(config: Config, rows: Recomputed | None) -> tuple[str, ...]:
    """A sentence where the team asks for slices, and none could be looked at."""
    found = rows.slices if rows else None
    looked_at = found is not None and (config.gate.slices == "auto" or found.comparisons or found.too_few)
    if not config.gate.slices or looked_at:
        return ()
    if rows is None or rows.rows is None:
        return ("No slice was judged: that takes predictions of both models.",)
    return ("No slice was judged: no metric with `max-regression` is computed from predictions.",)


def _stale_metrics(candidate: Candidate, found: Found) -> tuple[str, ...]:
    if not candidate.uncommitted or found.baseline.kind != "base" or found.from_mlflow:
        return ()
    return (
        f"`{candidate.uncommitted}` in this commit is of another model. Run training and commit what it writes before merging: "
        "the next pull request is compared with it.",
    )


def _changes(request: Request, base: str | None, span: Span | None, loaded: LoadedConfig) -> Changes | None:
    if base is not None and base == (request.event.head or request.git.head()):
        return Changes()
    params = loaded.config.train.params or "params.yaml"
    return changes(request.git, span.before, span.after, params=params, config=request.config_path.name) if span else None
