"""What became of a merge: the report on a release, a pure function of the records that its jobs left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelship.core.records import DeployRecord, Record, RegisterRecord
from modelship.core.words import general
from modelship.reporting.blocks import Light, Notice, Row, Section, Table, key_values
from modelship.reporting.checks import Distrusted, Found, check_of
from modelship.reporting.headlines import begun
from modelship.reporting.inline import Code, Line, Link, Strong, line, prose
from modelship.reporting.numbers import NOTHING, size
from modelship.reporting.report import Facts, Report

_SEVERITY: tuple[Light, ...] = ("none", "pass", "warn", "fail")
_UNTOUCHED = "Every environment serves what it served."


@dataclass(frozen=True)
class Step:
    """A step of the release: GitHub's word for how its job ended, and the record that it left."""

    result: str
    found: Found = None


@dataclass(frozen=True)
class Release:
    """The steps of a release."""

    model: str
    """GitHub's word for how training and judging the merge commit ended."""
    register: Step
    environments: Mapping[str, Step]
    """By name, in order."""


@dataclass(frozen=True)
class _Outcome:
    """What became of one environment."""

    environment: str
    light: Light
    headline: str
    why: Line
    what: str
    serves: str
    record: DeployRecord | None = None

    @property
    def is_untouched(self) -> bool:
        return self.light == "none"


def build_release_report(model: str, release: Release, facts: Facts) -> Report:
    """The report on the release of `model`. A release of which nobody can tell how it ended is a failure."""
    facts = replace(facts, head_is="merge commit")
    register = release.register.found
    registered = register if isinstance(register, RegisterRecord) and register.version else None
    if registered is None:
        headline, cause = _unregistered(release)
        return _report(model, "fail", headline, cause, facts=facts)
    who = f"v{registered.version}"
    outcomes = [_outcome(who, name, step) for name, step in release.environments.items()]
    worst: Light = max((outcome.light for outcome in outcomes), key=_SEVERITY.index, default="pass")
    decisive = next((outcome for outcome in outcomes if outcome.light == worst), None)
    if worst == "pass":
        deployed = [outcome for outcome in outcomes if not outcome.is_untouched]
        headline = deployed[-1].headline if deployed else f"{who} is registered"
        cause = _released(registered, outcomes)
    else:
        assert decisive is not None
        headline, cause = decisive.headline, line(*decisive.why, *_the_others(outcomes))
    return _report(
        model,
        worst,
        headline,
        cause,
        facts=facts,
        notices=_notices([registered, *(outcome.record for outcome in outcomes)]),
        table=_table(outcomes),
        sections=(*(section for outcome in outcomes for section in _asked(outcome)), _registration(registered)),
    )


def _report(
    model: str,
    light: Light,
    headline: str,
    cause: Line,
    *,
    facts: Facts,
    notices: tuple[Notice, ...] = (),
    table: Table | None = None,
    sections: tuple[Section, ...] = (),
) -> Report:
    return Report(
        model=model,
        light=light,
        headline=headline,
        cause=cause,
        checks=(),
        notices=notices,
        metrics=None,
        basis=(),
        sections=sections,
        facts=facts,
        table=table,
        topic="release",
    )


def _unregistered(release: Release) -> tuple[str, Line]:
    found = release.register.found
    if release.model != "success":
        headline = "not released, because the merge commit does not pass"
        why = line("Training or judging the merge commit ended as ", Code(release.model), "; its check and the run tell why.")
    elif found is None:
        headline = "the model was not registered"
        why = line("The job that registers ended as ", Code(release.register.result), " and left no record. Its log tells more.")
    else:
        headline, why = "the model was not registered", begun(check_of("register", found).sentence, found)
    return headline, line(*why, " ", _UNTOUCHED)


def _outcome(who: str, name: str, step: Step) -> _Outcome:
    record = step.found
    if isinstance(record, DeployRecord) and record.status != "error" and record.environment != name:
        record = Distrusted("it speaks of another environment.")
    if isinstance(record, Distrusted):
        headline = f"the record of {name} cannot be trusted"
        why = line(f"What became of {name} is not known: ", *prose(record.reason))
        return _Outcome(name, "fail", headline, why, "not known", "not known")
    if not isinstance(record, DeployRecord):
        return _undeployed(who, name, step.result)
    serves = f"v{record.live}" if record.live else "nothing"
    sentence = check_of("deploy", record).sentence
    if record.status == "error":
        why = begun(sentence, record)
        return _Outcome(name, "fail", f"{who} could not be deployed to {name}", why, "error", "not known", record)
    if record.status == "fail" and record.entry is None:
        return _Outcome(name, "fail", f"{who} was refused in {name}", sentence, f"{who} refused", serves, record)
    if record.status == "fail":
        return _Outcome(name, "fail", f"{who} was rolled back in {name}", sentence, f"{who} rolled back", serves, record)
    if record.live != record.version:
        headline = f"{serves} serves {name}, in place of {who}" if record.live else f"nothing serves {name}"
        return _Outcome(name, "warn", headline, sentence, f"{who} was there before", serves, record)
    if not record.changed:
        return _Outcome(name, "pass", f"{who} serves {name}", (), f"{who} was live already", serves, record)
    what = f"{who} in place of v{record.before}" if record.before else f"{who} is the first"
    champion = ", the new champion" if record.champion == record.version else ""
    return _Outcome(name, "pass", f"{who} serves {name}", (), f"{what}{champion}", serves, record)


def _undeployed(who: str, name: str, result: str) -> _Outcome:
    if result == "skipped":
        why = line(f"{who} was not deployed to {name}: its turn did not come.")
        return _Outcome(name, "none", f"{who} is registered, and not deployed", why, "not deployed", "as before")
    why = line(
        f"The job that deploys to {name} ended as ",
        Code(result),
        " and left no record: nobody approved it, or it broke before it began.",
    )
    return _Outcome(name, "fail", f"{who} was not deployed to {name}", why, "not deployed", "as before")


def _released(registered: RegisterRecord, outcomes: Sequence[_Outcome]) -> Line:
    """What can be said of a release that went well."""
    who = f"{registered.name} v{registered.version}"
    version = Link(who, registered.mlflow_url) if registered.mlflow_url else Code(who)
    asked = [outcome.environment for outcome in outcomes if outcome.record and outcome.record.checks]
    if not asked:
        return line(Strong("Released."), " ", version, " is in the registry.")
    return line(Strong("Released."), " ", version, f" holds its smoke test in {_listed(asked)}.")


def _the_others(outcomes: Sequence[_Outcome]) -> Line:
    """Where nothing has changed: what a reader fears for first."""
    untouched = [outcome.environment for outcome in outcomes if outcome.is_untouched]
    if not untouched:
        return ()
    return line(" ", Strong(f"{_listed(untouched)} {'was' if len(untouched) == 1 else 'were'} not touched."))


def _table(outcomes: Sequence[_Outcome]) -> Table | None:
    rows = tuple(
        Row((line(one.environment), line(one.what), line(one.serves), line(_smoke(one.record))), one.light) for one in outcomes
    )
    return Table(("environment", "what happened", "serves now", "smoke test"), rows) if rows else None


def _smoke(record: DeployRecord | None) -> str:
    if record is None or not record.checks:
        return NOTHING
    broken = next((check for check in record.checks if not check.holds), None)
    if broken:
        return f"{broken.check} does not hold"
    seconds = record.latency_p99
    latency = "" if not seconds else f", p99 {seconds:.1f} s" if seconds >= 1 else f", p99 {general(seconds * 1000, 2)} ms"
    return f"{len(record.checks)} of {len(record.checks)} checks hold{latency}"


def _asked(outcome: _Outcome) -> tuple[Section, ...]:
    """What the version was asked, and how it answered."""
    if outcome.record is None or not outcome.record.checks:
        return ()
    checks = outcome.record.checks
    broken = sum(not check.holds for check in checks)
    rows = tuple(
        Row((line(check.check), line(check.told)), "pass" if check.holds else "fail")
        for check in sorted(checks, key=lambda check: check.holds)
    )
    holding = f"{len(checks) - broken} of {len(checks)} checks hold"
    return (Section(line(f"Smoke test in {outcome.environment}: {holding}"), (Table(("check", "found"), rows),), explains=broken > 0),)


def _registration(record: RegisterRecord) -> Section:
    rows = (
        ("version", line(Link(f"{record.name} v{record.version}", record.mlflow_url))),
        ("model", line(Code(record.digest[: len("sha256:") + 12]))),
        ("formats", line(", ".join(record.formats))),
        ("size", line(size(record.bytes) if record.bytes is not None else "")),
        ("recorded examples", line(f"{record.examples:,}")),
        ("signed", line("yes" if record.signed else "no")),
    )
    title = f"Registered as v{record.version}" if record.created else f"Registered before as v{record.version}"
    return Section(line(title), (key_values(rows),))


def _notices(records: Sequence[Record | None]) -> tuple[Notice, ...]:
    told = [prose(notice) for record in records if record for notice in record.notices]
    return tuple(Notice(content) for content in dict.fromkeys(told))


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
