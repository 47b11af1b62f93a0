"""The guard: does a pull request touch what judges it?

A verdict is worth what its judge is worth. Whoever loosens a limit, edits the rows that the model is judged on, or moves the
baseline may have good reasons, but somebody else should say so: such a change needs a label on the pull request. Pure functions on
two configurations and the paths that changed; reading labels and comments is `modelship.github.consent`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from modelship.core.config import CONFIG_NAME, Checks, Config, Limit, share_of
from modelship.core.records import Approval, Finding, MetricVerdict, ValidateRecord
from modelship.core.words import counted, general
from modelship.data.drift.methods import METHODS
from modelship.gate.directions import direction

MOST = 20
"""How many findings are told one by one."""

_LONGEST = 100
"""Characters of a value that a finding shows."""

Kind = Literal["policy", "labels", "holdout", "baseline", "overlap"]
_GRAVITY: dict[Kind, int] = {"holdout": 0, "labels": 1, "baseline": 2, "policy": 3, "overlap": 4}


class RowDifferences(Protocol):
    """How the rows of the candidate's predictions differ from those of the baseline's, by key."""

    @property
    def only_candidate(self) -> int:
        """Rows that the baseline's file lacks."""

    @property
    def only_baseline(self) -> int:
        """Rows that the candidate's file lacks."""

    @property
    def other_truth(self) -> int:
        """Rows of both whose truth is another."""


class OtherAnswers(Protocol):
    """How the baseline's model answers today, held against what it once predicted of the same rows."""

    @property
    def rows(self) -> int:
        """How many were compared."""

    @property
    def others(self) -> int:
        """How many have another answer."""

    @property
    def examples(self) -> str:
        """`such as` and the names of a few."""


def guard(
    before: Config,
    after: Config | None,
    *,
    changed: Collection[str] = (),
    rows: RowDifferences | None = None,
    rescored: OtherAnswers | None = None,
    name: str = CONFIG_NAME,
) -> tuple[Finding, ...]:
    """What a pull request changes of what judges it, the gravest first.

    `before` is the configuration where the pull request left the base branch: what the base has got since is not its doing. `after`
    is the head's, None where the file `name` is gone or broken. `changed` are those of `watched(before)` that differ between the two
    commits. `rows` tells the same of the predictions, where both sides have some, and `rescored` of the answers of a baseline that was
    scored anew.

    What tightens the policy is no finding.
    """
    found = [*_data(before, changed, rows), *_baseline(before, changed, rescored)]
    if after is None:
        found.append(_finding("policy", f"leaves no valid `{_cut(name)}`: nothing could be judged after a merge"))
    else:
        found += _metrics(before.gate.metrics or {}, after.gate.metrics or {})
        found += [*_keys(before, after), *_drift(before, after), *_names(before, after)]
    found.sort(key=lambda finding: _GRAVITY[finding.kind])
    if len(found) > MOST:
        rest = f"changes {counted(len(found) - MOST + 1, 'more thing')} of what it is judged by"
        found = [*found[: MOST - 1], _finding("policy", rest)]
    return tuple(found)


def watched(config: Config) -> tuple[str, ...]:
    """The files and folders that `guard` wants to know about, relative to the configuration's folder."""
    files = tuple(filter(None, (config.data.current_path, config.data.expectations, _file_of(config.gate.baseline))))
    return (*files, *(path for function in _functions(config) for path in _module_files(function)))


def _functions(config: Config) -> tuple[str, ...]:
    """The metrics of the team's own, as `package.module:function`."""
    return tuple(dict.fromkeys(limit.function for limit in (config.gate.metrics or {}).values() if limit.function))


def _module_files(function: str) -> tuple[str, ...]:
    """Where the module of a function may stand, beside the configuration or below `src`. What it imports in turn is not followed."""
    module = function.partition(":")[0].replace(".", "/")
    return tuple(f"{folder}{module}{end}" for folder in ("", "src/") for end in (".py", "/__init__.py"))


def overlap(record: ValidateRecord | None) -> tuple[Finding, ...]:
    """What validation found of rows that the model learns from and is judged on. It is told, and needs nobody's approval."""
    if record is None:
        return ()
    from modelship.data.overlap import OVERLAP

    entries = [entry for table in record.tables for entry in table.expectations]
    shared = [entry.failed_rows or 0 for entry in entries if entry.expectation == OVERLAP and not entry.holds]
    if not shared:
        return ()
    text = f"judges on {counted(max(shared), 'row')} that the model also learns from: its metrics may be too good"
    return (Finding(kind="overlap", text=text),)


def find_approval(findings: Sequence[Finding], label: str, by: str | None) -> Approval | None:
    """Whether the findings were approved: None where none of them needs it.

    `by` is who set the label `gate.approval_label` of the base's configuration, None where nobody did; `find_consent` tells. GitHub
    lets only those label a pull request who have the role triage or a higher one, so the author of a fork cannot.
    """
    if not any(finding.needs_approval for finding in findings):
        return None
    return Approval(label=label, given=by is not None, by=_cut(by or ""))


def objection(findings: Sequence[Finding], approval: Approval | None) -> str:
    """One sentence on why the findings block, empty where they do not."""
    if approval is None or approval.given:
        return ""
    first, *others = [finding.text for finding in findings if finding.needs_approval]
    more = f", and {counted(len(others), 'more change')} like it" if others else ""
    return f"needs the label `{approval.label}`: this pull request {first}{more}"


def can_be_accepted(verdict: MetricVerdict, limit: Limit | None) -> bool:
    """Whether `/accept-regression` can let this verdict pass; `limit` is None for a slice, which has no `min` and `max` of its own.

    It speaks of a regression against the baseline, and of data that cannot tell whether there is one. Limits `min` and `max` hold
    for everybody: they change in the configuration, where a review sees them.
    """
    value = verdict.candidate
    if value is None or verdict.state not in ("fail", "inconclusive"):
        return False
    return limit is None or ((limit.min is None or value >= limit.min) and (limit.max is None or value <= limit.max))


def _data(before: Config, changed: Collection[str], rows: RowDifferences | None) -> Iterator[Finding]:
    edited = before.data.current_path is not None and before.data.current_path in changed
    counts = _row_counts(rows) if rows else ""
    only_labels = rows is not None and rows.other_truth and not (rows.only_candidate or rows.only_baseline)
    kind: Kind = "labels" if only_labels else "holdout"
    if edited:
        # Without predictions nobody has looked at the rows; with them only other columns can differ.
        told = f": {counts}" if counts else ": keys and labels stay" if rows else ""
        yield _finding(kind, f"edits the holdout `{_cut(before.data.current_path)}`{told}")
    elif counts:
        yield _finding(kind, f"predicts other rows than the baseline: {counts}")
    if before.data.expectations is not None and before.data.expectations in changed:
        yield _finding("policy", f"edits the expectations `{_cut(before.data.expectations)}`")
    for function in _functions(before):
        if not set(_module_files(function)).isdisjoint(changed):
            yield _finding("policy", f"edits the file of the metric `{_cut(function)}`")


def _row_counts(rows: RowDifferences) -> str:
    counts = (
        (rows.only_candidate, counted(rows.only_candidate, "row") + " new"),
        (rows.only_baseline, counted(rows.only_baseline, "row") + " gone"),
        (rows.other_truth, counted(rows.other_truth, "label") + " changed"),
    )
    return ", ".join(text for count, text in counts if count)


def _baseline(before: Config, changed: Collection[str], rescored: OtherAnswers | None) -> Iterator[Finding]:
    path = _file_of(before.gate.baseline)
    if path and path in changed:
        yield _finding("baseline", f"edits the baseline `{_cut(path)}`")
    if rescored and rescored.others:
        share = f"{rescored.others:,} of {counted(rescored.rows, 'row')}"
        yield _finding("baseline", f"scores a baseline that answers {share} otherwise than it once did, {rescored.examples}")


def _file_of(baseline: str) -> str | None:
    return baseline.removeprefix("file:") if baseline.startswith("file:") else None


# Metrics


def _metrics(before: Mapping[str, Limit], after: Mapping[str, Limit]) -> Iterator[Finding]:
    for name in before:
        if name not in after:
            yield _finding("policy", f"stops gating `{_cut(name)}`")
    for name, limit in before.items():
        if name in after:
            yield from _limit(name, limit, after[name])


def _limit(name: str, before: Limit, after: Limit) -> Iterator[Finding]:
    known = direction(name)
    if (before.better or known) != (after.better or known):
        yield _changes("policy", "turns", f"{name}", "better ", before.better or known, after.better or known)
    for field in msgspec.structs.fields(Limit):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name == "better" or old == new or (old is None and field.name in _LIMIT_IS_LOOSER):
            continue
        verb = "changes"
        if field.name in _LIMIT_IS_LOOSER:
            verb = _limit_verb(field.name, old, new)
        if verb:
            yield _changes("policy", verb, name, f"{field.encode_name} ", old, new)


def _limit_verb(field: str, old: Any, new: Any) -> str:
    if new is not None and isinstance(old, str) != isinstance(new, str):
        return "changes the unit of"
    return "loosens" if new is None or _LIMIT_IS_LOOSER[field](_number(old), _number(new)) else ""


def _number(value: float | str) -> float:
    return float(value.rstrip("%")) if isinstance(value, str) else value


_LIMIT_IS_LOOSER: dict[str, Callable[[float, float], bool]] = {
    "min": lambda old, new: new < old,
    "max": lambda old, new: new > old,
    "max_regression": lambda old, new: new > old,
}
"""Limits by field of `Limit`; one that is new can only tighten."""


# Other keys

_GUARDED = ("data.", "gate.", "evaluate.", "train.columns.", "train.predictions")
_FREE = frozenset({"data.reference", "data.remote", "evaluate.timeout"})
"""What the model learns from, where files that are known by their hash come from, and how long an evaluation may take, is the author's
to say."""

_KINDS: dict[str, Kind] = {
    "data.current": "holdout",
    "data.key": "holdout",
    "data.target": "labels",
    "data.positive": "labels",
    "train.columns.truth": "labels",
    "gate.baseline": "baseline",
}
_WHO_ACCEPTS = ("write", "maintain", "admin", "never")
_EFFECTS = ("ignore", "warning", "critical")

_IS_LOOSER: dict[str, Callable[[Any, Any], bool]] = {
    "data.class-floor": lambda old, new: old is not None and (new is None or share_of(new) < share_of(old)),
    **{
        f"data.checks.{field.encode_name}": lambda old, new: _EFFECTS.index(new) < _EFFECTS.index(old)
        for field in msgspec.structs.fields(Checks)
    },
    "gate.first-run": lambda _, new: new == "allow",
    # A wider interval proves less: fewer candidates fail.
    "gate.confidence": lambda old, new: new > old,
    "gate.inconclusive": lambda _, new: new == "warn",
    "gate.slice-rows": lambda old, new: new > old,
    "gate.failing-slice": lambda _, new: new == "warn",
    "evaluate.tolerance": lambda old, new: new > old,
    "gate.accept-regression": lambda old, new: _WHO_ACCEPTS.index(new) < _WHO_ACCEPTS.index(old),
    "drift.max-share": lambda old, new: share_of(new) > share_of(old),
    "drift.target": lambda _, new: new == "show",
    "drift.max-categories": lambda old, new: new < old,
    "drift.confidence": lambda old, new: new > old,
    # Of fewer rows less is beyond chance.
    "drift.sample": lambda old, new: new != "full" and (old == "full" or new < old),
    "drift.severity": lambda _, new: new == "warning",
}
"""Keys that can be tightened. Of all others that are guarded, what is not an addition needs approval."""

_NEVER_AN_ADDITION = frozenset({"gate.group", "data.checkpoint", "data.positive", "evaluate.predict"})
"""Keys without which something else is meant."""

_TABLES = ("data.reference.", "data.current.")
"""Mappings that are one value: which table is meant."""


def _keys(before: Config, after: Config) -> Iterator[Finding]:
    old, new = _flat(before), _flat(after)
    for key in dict.fromkeys((*old, *new)):
        if key in _FREE or not key.startswith(_GUARDED) or old.get(key) == new.get(key):
            continue
        found = _key(key, old.get(key), new.get(key))
        if found:
            yield found


def _key(key: str, old: Any, new: Any) -> Finding | None:
    kind = _KINDS.get(key, "policy")
    if key in _IS_LOOSER:
        return _changes(kind, "loosens", key, "", old, new) if _IS_LOOSER[key](old, new) else None
    if key == "gate.show":
        shown = [item for item in new or () if item not in (old or ())]
        return _finding(kind, f"shows text of `{_shown(shown)}` in comments") if shown else None
    if isinstance(old, list) and isinstance(new, list):
        gone = [item for item in old if item not in new]
        return _finding(kind, f"drops from `{key}`: {_shown(gone)}") if gone else None
    if old in (None, []) and key not in _NEVER_AN_ADDITION:
        return None
    return _changes(kind, "changes", key, "", old, new)


def _drift(before: Config, after: Config) -> Iterator[Finding]:
    """What drift is judged by. It is told, and needs approval where drift blocks."""
    old, new = _flat(before), _flat(after)
    for key in dict.fromkeys((*old, *new)):
        if key.startswith("drift.") and old.get(key) != new.get(key):
            found = _drift_key(key, old, new)
            if found:
                yield msgspec.structs.replace(found, needs_approval=before.drift.severity == "critical")


def _drift_key(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Finding | None:
    before, after = old.get(key), new.get(key)
    section, _, last = key.rpartition(".")
    if key.startswith("drift.columns.") and "ignore" in (before, after, old.get(section)):
        # What was ignored can only be looked at more closely.
        return _changes("policy", "loosens", key, "", before, after) if after == "ignore" else None
    if last == "threshold" and before is not None and after is not None:
        method = METHODS.get(str(new.get(f"{section}.method")))
        is_looser = after > before if method is None or method.distance else after < before
        return _changes("policy", "loosens", key, "", before, after) if is_looser else None
    if key.startswith("drift.columns.") and after is not None:
        return _changes("policy", "changes", key, "", before, after)
    return _key(key, before, after)


def _flat(config: Config) -> dict[str, Any]:
    """All keys but limits, by dotted name; mappings are gone into, unless they name a table, and lists are not."""
    values: dict[str, Any] = {}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and prefix not in _TABLES:
            for name, item in value.items():
                if f"{prefix}{name}" != "gate.metrics":
                    add(f"{prefix}{name}.", item)
        else:
            values[prefix.removesuffix(".")] = value

    add("", msgspec.json.decode(msgspec.json.encode(config)))
    return values


def _names(before: Config, after: Config) -> Iterator[Finding]:
    """The names under which a baseline is found."""
    if before.model != after.model:
        yield _changes("baseline", "renames", "model", "", before.model, after.model)
    elif before.registered_name != after.registered_name:
        yield _changes("baseline", "changes", "registry.name", "", before.registered_name, after.registered_name)


# Words


def _changes(kind: Kind, verb: str, what: str, detail: str, old: Any, new: Any) -> Finding:
    around = " around" if verb == "turns" else ""
    return _finding(kind, f"{verb} `{_cut(what)}`{around}: {detail}{_shown(old)} → {_shown(new)}")


def _finding(kind: Kind, text: str) -> Finding:
    return Finding(kind=kind, text=text, needs_approval=True)


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return general(value, 12)
    if isinstance(value, dict):
        return _cut(" ".join(f"{name} {_shown(item)}" for name, item in value.items() if item not in (None, [])))
    if isinstance(value, list):
        return _cut(", ".join("+".join(map(str, item)) if isinstance(item, list) else _shown(item) for item in value))
    return _cut(str(value))


def _cut(text: str | None) -> str:
    # A backtick would end the code that the text stands in.
    text = " ".join((text or "").replace("`", "'").split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
