"""What the jobs of a workflow say of themselves: GitHub's context `needs`, which no other job can write to."""

from __future__ import annotations

from typing import Any

import msgspec

from modelship.core.errors import bad_input


class Job(msgspec.Struct, frozen=True):
    """One entry of the context."""

    result: str
    """GitHub's word: `success`, `failure`, `cancelled`, `skipped`."""
    outputs: dict[str, str] = {}


class ReleaseJobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The jobs of a release."""

    model: Job
    """Trained and judged the merge commit."""
    register: Job
    environments: dict[str, Job] = {}
    """By the environment that each was to deploy to, in order; one without a name was not asked for."""


def read_jobs(text: str) -> dict[str, Job]:
    """Jobs by name. Raises BadInput."""
    found: dict[str, Job] = _decoded("jobs", text, dict[str, Job], "Give `${{ toJSON(needs) }}`.")
    return found


def read_release(text: str) -> ReleaseJobs:
    """The jobs of a release. Raises BadInput."""
    remedy = 'Give `{"model": …, "register": …, "environments": {"staging": …}}`, each as `${{ toJSON(needs.JOB) }}`.'
    found: ReleaseJobs = _decoded("release", text, ReleaseJobs, remedy)
    return found


def _decoded(name: str, text: str, kind: Any, remedy: str) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise bad_input(f"`{name}` is not the context `needs` as JSON.", remedy) from None
