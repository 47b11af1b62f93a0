"""The second stage for pull requests from forks: which one a finished run was for, and what that run left behind.

The run had no secrets and a token that could only read, and its workflow file, its code, and the names and bytes of its artifacts are
the fork's. So whatever says where an answer goes comes from GitHub's API: the head commit and the branch of the run lead to the pull
request. An artifact is evidence if it is what its name promises, and of the model that the base configures; two such are none.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from modelship.core.archives import Limits, unpack
from modelship.core.errors import BadInput, bad_input, infrastructure
from modelship.core.event import FinishedRun
from modelship.core.records import RECORDS
from modelship.core.run_directory import MAX_EVIDENCE_BYTES, MAX_FILES, RunDirectory
from modelship.core.scratch import scratch_folder
from modelship.github.client import Artifact, GitHub, Proposal, RefusedError, UnansweredError
from modelship.github.consent import moment_of
from modelship.github.retry import patiently

MOST_ARTIFACTS = 50
MOST_BYTES = 4 * MAX_EVIDENCE_BYTES
"""Of all evidence of one run, one artifact for each model of the repository; where there is more, none is looked at."""

_EVIDENCE = re.compile(r"modelship-evidence-([0-9a-f]{64})")
_LIMITS = Limits(2 * MAX_FILES, MAX_EVIDENCE_BYTES, f"{MAX_EVIDENCE_BYTES // 1024**2} MiB")
_MOST_TOLD = 3
T = TypeVar("T")
_RIGHTS = "Give the job `permissions: {contents: read, actions: read, pull-requests: write, checks: write}`."


@dataclass(frozen=True)
class Evidence:
    """A run directory that another run has left, and the digest that its name promises, which it has."""

    path: Path
    digest: str


def why_nothing(run: FinishedRun, repository: str) -> str:
    """Why a run is not answered here, as a sentence; empty where it may be."""
    if run.event != "pull_request":
        return f"Run {run.id} was started by `{run.event}`, and not by a pull request."
    if run.repository.lower() == repository.lower():
        return f"Run {run.id} was for a branch of this repository, and has answered by itself."
    if not run.repository or not run.owner or not run.branch:
        return f"The fork that run {run.id} was for is gone."
    return ""


def find_proposal(github: GitHub, run: FinishedRun) -> Proposal | str:
    """The open pull request that stands at the head of a run, or a sentence on why there is none.

    Raises BadInput where there are several, because GitHub does not tell for which of them a run was, and as `asking` does.
    """
    found = asking(lambda: list(github.proposals(run.owner, run.branch)))
    ours = [proposal for proposal in found if proposal.repository.lower() == run.repository.lower()]
    here = [proposal for proposal in ours if proposal.head == run.head]
    if len(here) > 1:
        raise bad_input(
            f"{run.head[:7]} heads {', '.join(f'#{proposal.number}' for proposal in here)}, and GitHub does not tell which of them "
            f"run {run.id} was for.",
            "Close all but one, and run it again.",
        )
    if here:
        return here[0]
    if ours:
        return f"Pull request #{ours[0].number} has moved on from {run.head[:7]}: it is left to the newer run."
    return f"No open pull request stands at {run.head[:7]}."


def find_evidence(github: GitHub, run: FinishedRun, model: str) -> Evidence:
    """The evidence on `model` that a run's latest attempt has left, else that of the attempt before; checked and unpacked.

    Raises BadInput where there is none, or more than one, and as `asking` does.
    """
    listed = [artifact for artifact in asking(lambda: list(github.artifacts(run.id))) if _EVIDENCE.fullmatch(artifact.name)]
    if len(listed) > MOST_ARTIFACTS or sum(artifact.bytes for artifact in listed) > MOST_BYTES:
        raise bad_input(
            f"Run {run.id} has left {len(listed)} artifacts of evidence; at most {MOST_ARTIFACTS} of {MOST_BYTES // 1024**2} MiB "
            "in all are looked at."
        )
    reasons: list[str] = []
    for attempt in _attempts(listed, run):
        found = _of_model(github, attempt, model, reasons)
        first = next(found, None)
        if first and next(found, None):
            raise bad_input(f"Run {run.id} has left several artifacts of evidence on `{model}`.", "There must be one.")
        if first:
            return first
    told = f" Not taken: {'; '.join(reasons[:_MOST_TOLD])}{'; …' if len(reasons) > _MOST_TOLD else ''}." if reasons else ""
    raise bad_input(f"Run {run.id} has left no evidence on `{model}`.{told}", "Did training end before it could hand anything over?")


def _attempts(listed: Iterable[Artifact], run: FinishedRun) -> Iterator[list[Artifact]]:
    """What the latest attempt has kept; after it, one by one and the newest first, what those before have."""
    began = moment_of(run.started_at)
    by_age = sorted(listed, key=lambda artifact: artifact.id, reverse=True)
    latest = [artifact for artifact in by_age if _is_since(artifact, began)]
    yield latest
    yield from ([artifact] for artifact in by_age if artifact not in latest)


def _is_since(artifact: Artifact, began: datetime | None) -> bool:
    created = moment_of(artifact.created_at)
    return began is None or created is None or created >= began


def _of_model(github: GitHub, artifacts: Iterable[Artifact], model: str, reasons: list[str]) -> Iterator[Evidence]:
    """Those artifacts that are evidence on the model; `reasons` gets why the others are not."""
    for artifact in artifacts:
        folder = scratch_folder()
        try:
            evidence = _taken(github, artifact, folder)
            of = _model_of(evidence)
            why_not = "" if of == model else "is of another model"
        except BadInput as error:
            why_not = error.problems[0].message.rstrip(".")
        if why_not:
            reasons.append(f"{artifact.name[:30]}… {why_not}")
            shutil.rmtree(folder, ignore_errors=True)
        else:
            yield evidence


def _taken(github: GitHub, artifact: Artifact, folder: Path) -> Evidence:
    """One artifact, unpacked below `folder`; it must be what its name promises. Raises BadInput."""
    named = _EVIDENCE.fullmatch(artifact.name)
    assert named is not None
    if artifact.is_expired:
        raise bad_input("has expired.")
    if artifact.bytes > MAX_EVIDENCE_BYTES:
        raise bad_input(f"has {artifact.bytes:,} bytes, which is more than evidence may have.")
    archive = folder / "artifact.zip"
    asking(lambda: github.download_artifact(artifact.id, archive, MAX_EVIDENCE_BYTES))
    unpack(archive, folder / "evidence", _LIMITS)
    archive.unlink()
    evidence = RunDirectory(folder / "evidence")
    if evidence.digest() != named[1]:
        raise bad_input("is not what its name promises: the digests differ.")
    return Evidence(evidence.path, named[1])


def _model_of(evidence: Evidence) -> str:
    """The model that all of its records speak of. Raises BadInput where they are none, or do not agree."""
    directory = RunDirectory(evidence.path)
    records = [record for record in map(directory.read, RECORDS) if record is not None]
    models = {record.model for record in records} - {""}
    if len(models) != 1:
        raise bad_input("holds records of several models." if models else "holds no record.")
    return models.pop()


def asking(action: Callable[[], T]) -> T:
    """What `action` gets from GitHub. Raises BadInput where GitHub refuses, InfrastructureError where it does not answer."""
    try:
        return patiently(action)
    except RefusedError as error:
        raise bad_input(f"GitHub refused ({error}).", _RIGHTS if error.status in (401, 403, 404) else "") from error
    except UnansweredError as error:
        raise infrastructure(f"GitHub did not answer ({error}).", "Run this job again.") from error
