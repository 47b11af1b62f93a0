"""Check tables against their expectations: first what Great Expectations would let pass, then Great Expectations itself."""

from __future__ import annotations

import dataclasses
import importlib
import os
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal

import msgspec

from modelship.core.config import Checks, Data, Engine, share_of
from modelship.core.errors import BadInput, ModelshipError, Problem, bad_input, did_you_mean
from modelship.core.records import Expectation, Status, TableValidation
from modelship.core.words import brief, rule
from modelship.data.checks import CHECKS, MAX_VALUES, Asked, Found, Side
from modelship.data.engines.examined import Examined, examine, key_text, row_names
from modelship.data.engines.pushed import PushedTable
from modelship.data.expectations import (
    COLUMN_ARGUMENTS,
    ExpectationSpec,
    Place,
    check_engine,
    check_names,
    check_substance,
    columns_to_read,
)
from modelship.data.overlap import OVERLAP, Shared, find_overlap
from modelship.data.tables.reader import TableReader, could_be, type_name

MAX_SAMPLES = 5
MAX_NAMES_IN_SUMMARY = 3
MAX_FOUND = 20
"""Findings of one check on one table that are told one by one."""
SAMPLE_ROWS = 50_000
"""Rows in which leaks are looked for."""

_SEVERITIES = ("critical", "warning", "info")

_POSITION = "modelship-position"
_SUBJECT_OF = "modelship-subject-of"
_ABOUT_THE_EXPECTATION = frozenset({"severity", "meta", "notes", "description"})

NOWHERE = Place()


@dataclass(frozen=True)
class Table:
    """One table to check, and where the team named it, its target and its key."""

    role: Literal["reference", "current"]
    path: str
    """As written in the configuration."""
    reader: TableReader | PushedTable
    place: Place = NOWHERE
    target: str | None = None
    target_place: Place = NOWHERE
    key: str | None = None
    key_place: Place = NOWHERE

    @property
    def engine(self) -> Engine:
        """What checks it."""
        return self.reader.backend.engine if isinstance(self.reader, PushedTable) else "pandas"


@dataclass(frozen=True)
class Finding:
    """What one check found, and where the check is written."""

    entry: Expectation
    place: Place


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations found of one expectation, in our words and in its own."""

    finding: Finding
    result: Any


@dataclass(frozen=True)
class Raised:
    """An expectation that Great Expectations could not check."""

    columns: tuple[str, ...]
    problem: Problem


@dataclass(frozen=True)
class TableResult:
    """One table against all its expectations, failing ones first."""

    validation: TableValidation
    findings: tuple[Finding, ...] = ()
    unchecked: int = 0
    """Expectations that could not be checked, because a pre-check failed."""
    outcomes: tuple[Outcome, ...] = ()
    """Of the findings those of Great Expectations, in the order of its suite."""
    raised: tuple[Raised, ...] = ()
    """Expectations on which there is no verdict."""
    notices: tuple[str, ...] = ()
    """What else a reader should know."""

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The checks that do not hold, critical ones first."""
        return tuple(finding for finding in self.findings if not finding.entry.holds)


class Expectations:
    """Expectations that Great Expectations knows and understands. Loads it, which takes seconds."""

    def __init__(self, specs: Sequence[ExpectationSpec], engines: Collection[Engine] = frozenset({"pandas"})) -> None:
        """`engines` will check them. Raises BadInput, naming file and line, for everything that is wrong with any of them."""
        self._gx, self._types = load_great_expectations()
        self.specs = tuple(specs)
        catalog = {name: tuple(type_.__fields__) for name, type_ in self._types.items()}
        check_names(specs, catalog)
        for engine in engines:
            check_engine(specs, engine)
        problems = [problem for spec in specs for problem in self._argument_problems(spec)]
        if problems:
            raise BadInput(*problems)
        check_substance(specs, catalog)

    @property
    def version(self) -> str:
        """Great Expectations' version."""
        return str(self._gx.__version__)

    def check(self, table: Table) -> TableResult:
        """The table against all expectations. Raises BadInput when it cannot be read."""
        header = table.reader.columns()
        findings = list(_check_header(table, header))
        if findings:
            return self._unreadable(table, header, table.reader.rows(), findings)
        examined = examine(table.reader, columns_to_read(self.specs, header, (table.target, table.key)), table.key)
        if not examined.rows:
            return self._unreadable(table, header, 0, [_failed("table_has_rows", table.place, "0 rows")])
        absent = _absent_columns(self.specs, header)
        null = _null_columns(self.specs, examined, header)
        runnable = [spec for spec in self.specs if not (_touches(spec, absent) or (spec.needs_values and _touches(spec, null)))]
        findings = [*_check_identity(table, examined, header), *_check_columns(absent, null, examined, header)]
        outcomes, raised = self._run(examined, runnable, table)
        ordered = tuple(sorted([*findings, *(outcome.finding for outcome in outcomes)], key=_worst_first))
        return TableResult(
            TableValidation(
                role=table.role,
                path=table.path,
                rows=examined.rows,
                columns=len(header),
                expectations=tuple(finding.entry for finding in ordered),
            ),
            ordered,
            unchecked=len(self.specs) - len(runnable),
            outcomes=tuple(outcomes),
            raised=tuple(raised),
        )

    def _unreadable(self, table: Table, header: Sequence[str], rows: int, findings: Sequence[Finding]) -> TableResult:
        entries = tuple(finding.entry for finding in findings)
        validation = TableValidation(role=table.role, path=table.path, rows=rows, columns=len(header), expectations=entries)
        return TableResult(validation, tuple(findings), unchecked=len(self.specs))

    def _argument_problems(self, spec: ExpectationSpec) -> Iterator[Problem]:
        try:
            self._build(spec)
        except Exception as error:
            # Pydantic's error lists what is wrong with each argument; a row condition raises errors of its own.
            details = error.errors() if callable(getattr(error, "errors", None)) else [{"loc": (), "msg": str(error)}]  # type: ignore[attr-defined]
            yield from _explain_arguments(spec, details)

    def _build(self, spec: ExpectationSpec, examined: Examined | None = None, meta: Mapping[str, int] | None = None) -> Any:
        arguments = {name: _for_column(name, value, spec, examined) for name, value in spec.arguments.items()}
        if examined is not None:
            arguments = examined.aliases.within(arguments)
        if meta is not None:
            arguments["meta"] = meta
        with warnings.catch_warnings():
            # Row conditions as text are what a YAML file can say; Great Expectations takes them until its version 2.
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._types[spec.type](**arguments)

    def _run(self, examined: Examined, specs: Sequence[ExpectationSpec], table: Table) -> tuple[list[Outcome], list[Raised]]:
        vacuous = [_forbids_nothing(spec, table) for spec in specs]
        raised = [Raised(spec.columns, problem) for spec, problem in zip(specs, vacuous, strict=True) if problem]
        specs = [spec for spec, problem in zip(specs, vacuous, strict=True) if not problem]
        results, subjects = self._evaluate(examined, specs)
        outcomes: list[Outcome] = []
        for position, spec in enumerate(specs):
            result = results.get(position)
            message = "it gave no result" if result is None else _raised(result.exception_info)
            if result is None or message:
                raised.append(Raised(spec.columns, _unchecked(spec, table, message or "")))
                continue
            finding = Finding(_entry(spec, result, examined, subjects.get(position)), spec.place)
            outcomes.append(Outcome(finding, result))
        return outcomes, raised

    def _evaluate(self, examined: Examined, specs: Sequence[ExpectationSpec]) -> tuple[dict[int, Any], dict[int, int]]:
        """Great Expectations' results by position, and for those with a row condition how many values or rows it left to check."""
        expectations = []
        for position, spec in enumerate(specs):
            expectations.append(self._build(spec, examined, {_POSITION: position}))
            if spec.row_condition is not None:
                expectations.append(self._build(_subject_of(spec), examined, {_SUBJECT_OF: position}))
        if not expectations:
            return {}, {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                batch = examined.batch(self._context().data_sources)
                result = batch.validate(
                    self._gx.ExpectationSuite("expectations", expectations=expectations),
                    result_format={
                        **examined.result_format,
                        "partial_unexpected_count": MAX_SAMPLES,
                        "return_unexpected_index_query": False,
                    },
                )
            except ModelshipError:
                raise
            except Exception as error:
                raise bad_input(f"Great Expectations stopped: {brief(f'{type(error).__name__}: {error}', 500)}") from error
        outcomes: dict[int, Any] = {}
        subjects: dict[int, int] = {}
        for outcome in result.results:
            outcome.result = examined.aliases.undone(outcome.result)
            outcome.exception_info = examined.aliases.undone(outcome.exception_info)
            outcome.expectation_config.kwargs = examined.aliases.undone(outcome.expectation_config.kwargs)
            meta = outcome.expectation_config.meta
            if _POSITION in meta:
                outcomes[meta[_POSITION]] = outcome
            elif "element_count" in outcome.result:
                # A database's sum of no rows is null.
                subjects[meta[_SUBJECT_OF]] = (outcome.result["element_count"] or 0) - (outcome.result["unexpected_count"] or 0)
            elif "observed_value" in outcome.result:
                subjects[meta[_SUBJECT_OF]] = int(outcome.result["observed_value"])
        return outcomes, subjects

    def _context(self) -> Any:
        """A context that keeps everything in memory; by default even an ephemeral one makes a temporary folder and leaves it."""
        types = importlib.import_module("great_expectations.data_context.types.base")
        config = types.DataContextConfig(
            store_backend_defaults=types.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=types.ProgressBarsConfig(globally=False, metric_calculations=False),
            analytics_enabled=False,
        )
        return self._gx.get_context(mode="ephemeral", project_config=config)


def load_great_expectations() -> tuple[Any, dict[str, Any]]:
    """The library, and its expectations by name; without its telemetry."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    gx = importlib.import_module("great_expectations")
    base = gx.expectations.Expectation
    candidates = [item for item in vars(gx.expectations).values() if isinstance(item, type) and issubclass(item, base)]
    named = {getattr(item, "expectation_type", ""): item for item in candidates}
    return gx, {name: item for name, item in named.items() if name}


def _explain_arguments(spec: ExpectationSpec, details: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """Pydantic's list of errors, the first one for each argument."""
    seen: set[str] = set()
    for detail in details:
        name = str(detail["loc"][0]) if detail["loc"] else ""
        whole = name in ("", "__root__")
        if name in seen or (whole and seen):
            continue
        seen.add(name)
        message = brief(detail["msg"], 300)
        if detail.get("type") == "value_error.missing":
            yield spec.problem(f"`{spec.type}` needs `{name}`.", "Add it.")
        elif whole:
            yield spec.problem(f"`{spec.type}`: {message}.")
        else:
            yield spec.problem(f"`{name}` of `{spec.type}` is `{brief(spec.arguments.get(name), 80)}`: {message}.", argument=name)


def _for_column(name: str, value: Any, spec: ExpectationSpec, examined: Examined | None) -> Any:
    """A date as a time where the column holds times: Great Expectations does not compare the two."""
    if examined is None or name not in ("min_value", "max_value") or not isinstance(value, str) or len(spec.columns) != 1:
        return value
    [column] = spec.columns
    try:
        return (
            datetime.combine(date.fromisoformat(value), time.min, tzinfo=examined.zone(column)) if examined.is_time(column) else value
        )
    except ValueError:
        return value


def _subject_of(spec: ExpectationSpec) -> ExpectationSpec:
    """An expectation that counts what the row condition of `spec` leaves to check: values of its column, else rows."""
    arguments = {name: spec.arguments[name] for name in ("row_condition", "condition_parser") if name in spec.arguments}
    if len(spec.columns) == 1 and spec.needs_values:
        return ExpectationSpec("expect_column_values_to_not_be_null", {"column": spec.columns[0], **arguments}, spec.path)
    return ExpectationSpec("expect_table_row_count_to_be_between", {"min_value": 1, **arguments}, spec.path)


def _touches(spec: ExpectationSpec, columns: Iterable[str]) -> bool:
    return spec.type != "expect_column_to_exist" and not set(columns).isdisjoint(spec.columns)


def _failed(name: str, place: Place, observed: str, column: str | None = None, **details: Any) -> Finding:
    return Finding(Expectation(expectation=name, column=column, holds=False, observed=brief(observed), **details), place)


def _check_header(table: Table, header: Sequence[str]) -> Iterator[Finding]:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        yield _failed("column_names_are_unique", table.place, f"more than once: {', '.join(twice)}")


def _check_identity(table: Table, examined: Examined, header: Sequence[str]) -> Iterator[Finding]:
    """The target is there and not all null; the key is there and names each row once."""
    if table.target is not None:
        if table.target not in header:
            yield _failed("target_is_present", table.target_place, _absent(table.target, header), table.target)
        elif examined.nulls([table.target])[table.target] == examined.rows:
            yield _failed("target_is_not_all_null", table.target_place, _all_null(examined), table.target, failed_rows=examined.rows)
    if table.key is not None:
        if table.key not in header:
            yield _failed("key_is_present", table.key_place, _absent(table.key, header), table.key)
        else:
            yield from _check_key(examined, table.key, table.key_place)


def _check_key(examined: Examined, name: str, place: Place) -> Iterator[Finding]:
    facts = examined.key_facts(name)
    if facts.nulls:
        observed = f"{facts.nulls:,} of {examined.rows:,} rows have no key"
        yield _failed("key_is_not_null", place, observed, name, failed_rows=facts.nulls, sample_keys=facts.null_samples)
    if facts.repeated_rows:
        observed = f"{facts.repeated_rows:,} rows share {facts.repeated_keys:,} {'key' if facts.repeated_keys == 1 else 'keys'}"
        samples = tuple(key_text(value) for value in facts.samples)
        yield _failed("key_is_unique", place, observed, name, failed_rows=facts.repeated_rows, sample_keys=samples)


def _absent_columns(specs: Iterable[ExpectationSpec], header: Sequence[str]) -> dict[str, ExpectationSpec]:
    """Columns that are not there, each with the first expectation that asks for it: Great Expectations would raise."""
    found: dict[str, ExpectationSpec] = {}
    for spec in specs:
        for column in spec.columns if spec.type != "expect_column_to_exist" else ():
            if column not in header:
                found.setdefault(column, spec)
    return found


def _null_columns(specs: Iterable[ExpectationSpec], examined: Examined, header: Sequence[str]) -> dict[str, ExpectationSpec]:
    """Columns without a single value, each with the first expectation that needs one: Great Expectations lets many of those pass."""
    asking: dict[str, ExpectationSpec] = {}
    for spec in specs:
        for column in spec.columns if spec.needs_values else ():
            asking.setdefault(column, spec)
    nulls = examined.nulls([column for column in asking if column in header])
    return {column: asking[column] for column, count in nulls.items() if count == examined.rows}


def _check_columns(
    absent: Mapping[str, ExpectationSpec], null: Mapping[str, ExpectationSpec], examined: Examined, header: Sequence[str]
) -> Iterator[Finding]:
    for column, spec in absent.items():
        yield _failed("column_is_present", spec.place, _absent(column, header), column)
    for column, spec in null.items():
        yield _failed("column_is_not_all_null", spec.place, _all_null(examined), column, failed_rows=examined.rows)


def _all_null(examined: Examined) -> str:
    return f"all {examined.rows:,} values are null"


def _absent(column: str, header: Sequence[str]) -> str:
    return f"there is no column `{brief(column, 80)}`. {did_you_mean(column, header)}".strip()


def _unchecked(spec: ExpectationSpec, table: Table, message: str) -> Problem:
    """Why there is no verdict. Great Expectations seldom says that it is the column's type that does not fit."""
    kinds = {field.name: type_name(field.type) for field in table.reader.schema()}
    told = ", ".join(f"`{brief(name, 60)}` is {kinds[name]}" for name in spec.columns if name in kinds)
    remedy = f"There {told}: does the expectation fit?" if told else ""
    return spec.problem(f"`{spec.type}` could not be checked on {table.path}: {brief(message, 500).rstrip('.')}.", remedy)


def _forbids_nothing(spec: ExpectationSpec, table: Table) -> Problem | None:
    """Why no row could break an expectation on what must not be there: it names a value of another type than the column's.

    In memory only: Spark and databases turn one type into the other before they compare.
    """
    if spec.type != "expect_column_values_to_not_be_in_set" or table.engine != "pandas":
        return None
    kinds = {field.name: field.type for field in table.reader.schema()}
    [column] = spec.columns
    stranger = next((value for value in spec.arguments["value_set"] if not could_be(value, kinds[column])), None)
    if stranger is None:
        return None
    message = (
        f"no value of `{brief(column, 60)}` on {table.path} can be `{brief(stranger, 60)}`: the column is {type_name(kinds[column])}."
    )
    return spec.problem(message, "Write the values as the column holds them, numbers without quotes.", argument="value_set")


def _raised(info: Any) -> str:
    """The message of an exception inside Great Expectations; empty when there was none."""
    if not info:
        return ""
    infos = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, Mapping)]
    messages = [str(item.get("exception_message") or "unknown error") for item in infos if item.get("raised_exception", True)]
    return "; ".join(dict.fromkeys(messages))


def _entry(spec: ExpectationSpec, outcome: Any, examined: Examined, subjects: int | None) -> Expectation:
    result = outcome.result
    holds = bool(outcome.success)  # A boolean of numpy's for some.
    nothing = _nothing_checked(spec, result, subjects) if holds else ""
    hidden = _ABOUT_THE_EXPECTATION | (COLUMN_ARGUMENTS if spec.columns else frozenset())
    shown = {name: value for name, value in spec.arguments.items() if name not in hidden and value is not None}
    return Expectation(
        expectation=spec.type,
        column=brief(", ".join(spec.columns), 200) or None,
        arguments={name: brief(_show(value), 200) for name, value in shown.items()},
        holds=holds and not nothing,
        severity=outcome.expectation_config.severity.value,
        observed=brief(nothing or _observed(spec, result)),
        # Of an expectation on distinct values the count is one of values.
        failed_rows=result["unexpected_count"] if not holds and "element_count" in result else None,
        sample_keys=() if holds else examined.failing(result),
    )


def _nothing_checked(spec: ExpectationSpec, result: Mapping[str, Any], subjects: int | None) -> str:
    """Why an expectation that holds was in truth not checked; empty when it was."""
    if spec.type.startswith("expect_table_row_count"):
        return ""
    if subjects == 0:
        return "nothing was checked: the row condition leaves no value"
    if spec.needs_values and "element_count" in result and not _checked(result):
        return "nothing was checked: no row has all the values that it takes"
    return ""


def _checked(result: Mapping[str, Any]) -> int:
    return int((result["element_count"] or 0) - (result.get("missing_count") or 0))


def _observed(spec: ExpectationSpec, result: Mapping[str, Any]) -> str:
    if "element_count" in result and "unexpected_count" in result:
        return _observed_rows(spec, result)
    mismatched = (result.get("details") or {}).get("mismatched")
    if isinstance(mismatched, Mapping):
        return "; ".join(f"{name}: {_show(values)}" for name, values in mismatched.items())
    lists = {"unexpected": result.get("partial_unexpected_list"), "missing": result.get("partial_missing_list")}
    if any(lists.values()):
        return "; ".join(f"{name}: {_show(values)}" for name, values in lists.items() if values)
    observed = result.get("observed_value")
    return "" if observed is None else _show(observed) + _type_hint(spec, observed)


def _type_hint(spec: ExpectationSpec, observed: Any) -> str:
    wanted = _show(spec.arguments.get("type_") or spec.arguments.get("type_list"))
    return " (pandas 3 keeps text as `str`, no longer as `object`)" if observed == "str" and "object" in wanted else ""


def _observed_rows(spec: ExpectationSpec, result: Mapping[str, Any]) -> str:
    checked, unexpected = _checked(result), result["unexpected_count"]
    if not unexpected:
        return f"all {checked:,} hold"
    share = f"{unexpected:,} of {checked:,} ({100 * unexpected / checked:.3g}%)"
    if spec.type == "expect_column_values_to_not_be_null":
        return f"{share} are null"
    values = dict.fromkeys(brief(_show(value), 80) for value in result.get("partial_unexpected_list") or [])
    return f"{share} do not: {', '.join(values)}"


def _show(value: Any) -> str:
    """A value as a reader would write it."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_show(item)}" for name, item in list(value.items())[:10])
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        return ", ".join(_show(item) for item in items[:10]) + (f", … {len(items):,} in all" if len(items) > 10 else "")
    return str(value)


_WITHOUT_ROWS = frozenset({"column_names_are_unique", "table_has_rows"})
"""Pre-checks without which a table is not read."""


def with_checks(tables: Sequence[Table], results: Sequence[TableResult], data: Data) -> list[TableResult]:
    """The results, with what the checks of `data.checks` found in addition; a table without rows or with equal names is left out.

    Raises BadInput for a table that cannot be read.
    """
    readable = [
        result.validation.role
        for result in results
        if not any(finding.entry.expectation in _WITHOUT_ROWS for finding in result.findings)
    ]
    known = {table.role: table for table in tables if table.role in readable}
    sides = {role: _side(table) for role, table in known.items()}
    more: list[TableResult] = []
    for result in results:
        role = result.validation.role
        if role in known:
            reference = sides.get("reference") if role == "current" else None
            asked = Asked(reference, data.target, data.key, None if data.class_floor is None else share_of(data.class_floor))
            result = _without_explained(_with(result, list(_check_side(sides[role], asked, known[role], data.checks))))
        more.append(result)
    if len(known) == 2 and data.checks.overlap_with_reference != "ignore":
        learnt, judged = known["reference"], known["current"]
        if _are_apart(learnt, judged):
            told = (
                f"{brief(judged.path)}: rows that the reference holds, too, were not looked for: the tables are in different places."
            )
            more[-1] = dataclasses.replace(more[-1], notices=(*more[-1].notices, told))
        else:
            more[-1] = _with(more[-1], list(_check_overlap(learnt, judged, data.checks.overlap_with_reference)))
    return more


def _side(table: Table) -> Side:
    return Side(table.reader.profile(sample=SAMPLE_ROWS, seed=0, max_values=MAX_VALUES), table.reader.mixed())


def _check_side(side: Side, asked: Asked, table: Table, effects: Checks) -> Iterator[Finding]:
    for key, check in CHECKS.items():
        effect = getattr(effects, key.replace("-", "_"))
        if effect == "ignore":
            continue
        found = list(check(side, asked))
        for one in found[:MAX_FOUND]:
            yield _found(key, effect, table, one)
        if len(found) > MAX_FOUND:
            yield _found(key, effect, table, Found(f"and {len(found) - MAX_FOUND:,} more like these"))


def _found(key: str, severity: Literal["critical", "warning"], table: Table, found: Found) -> Finding:
    entry = Expectation(
        expectation=check_name(key),
        column=brief(found.column, 200) if found.column else None,
        holds=False,
        severity=severity,
        observed=brief(found.observed),
        failed_rows=found.rows,
        sample_keys=_keys_of(table, found),
    )
    place = table.target_place if found.column is not None and found.column == table.target else table.place
    return Finding(entry, place)


def check_name(key: str) -> str:
    """What the check of a key in `data.checks` is called among expectations: what does not hold is that there is no such thing."""
    return f"no_{key.replace('-', '_')}"


def _keys_of(table: Table, found: Found) -> tuple[str, ...]:
    """Keys or numbers of some of the rows that a check is about."""
    if isinstance(table.reader, PushedTable):
        looked_up = found.values and found.column is not None
        return _texts(table.reader.keys_of(str(found.column), found.values)) if looked_up else ()
    if found.numbers or found.column is None:
        return _read_keys(table.reader, table.key, found.numbers)
    return _read_keys(table.reader, table.key, list(_first_rows(table.reader, found.column, found.values)))


def _read_keys(reader: TableReader, key: str | None, rows: Sequence[int]) -> tuple[str, ...]:
    frame = reader.read([key]) if rows and key is not None and key in reader.columns() else None
    return row_names(frame, key, rows)


def _texts(keys: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key_text(key) for key in keys if key is not None))


def _first_rows(reader: TableReader, column: str, values: Sequence[Any]) -> Iterator[int]:
    """The numbers of the first rows in which the column has one of the values."""
    start, left = 0, MAX_SAMPLES
    for batch in reader.batches([column]) if values else ():
        chosen = batch.column(0).to_pandas().isin(values).to_numpy().nonzero()[0][:left]
        yield from (start + int(row) for row in chosen)
        start, left = start + batch.num_rows, left - len(chosen)
        if not left:
            return


def _with(result: TableResult, more: Sequence[Finding]) -> TableResult:
    findings = tuple(sorted((*result.findings, *more), key=_worst_first))
    validation = msgspec.structs.replace(result.validation, expectations=tuple(finding.entry for finding in findings))
    return dataclasses.replace(result, validation=validation, findings=findings)


_EXPLAINS = frozenset({"no_changed_type", "no_mixed_types"})
"""Checks that say why an expectation cannot be checked: a limit for numbers has no meaning for text."""


def _without_explained(result: TableResult) -> TableResult:
    """The result, in which what cannot be checked for a reason that blocks anyway is unchecked, and no error."""
    failing = [finding.entry for finding in result.failing if finding.entry.severity == "critical"]
    explained = {entry.column for entry in failing if entry.expectation in _EXPLAINS}
    left = tuple(one for one in result.raised if explained.isdisjoint(one.columns))
    return dataclasses.replace(result, raised=left, unchecked=result.unchecked + len(result.raised) - len(left))


def _check_overlap(reference: Table, current: Table, severity: Literal["critical", "warning"]) -> Iterator[Finding]:
    """Rows and keys of the current table that are in the reference, too.

    By default that is a warning: a verdict on such rows is too good, but it is the same for candidate and baseline.
    """
    found = _shared(reference, current)
    if not found.holds:
        yield Finding(_overlap_entry(found, current, severity), current.place)


def _are_apart(reference: Table, current: Table) -> bool:
    """Whether neither a database nor this machine has both tables."""
    places = [reader.backend.place if isinstance(reader, PushedTable) else "" for reader in (reference.reader, current.reader)]
    return places[0] != places[1]


def _shared(reference: Table, current: Table) -> Shared:
    before, after = reference.reader, current.reader
    if isinstance(before, PushedTable) and isinstance(after, PushedTable):
        pushed = after.shared_rows(before)
        expected = pushed.twins * pushed.rows
        return Shared(pushed.rows, pushed.by_key, pushed.by_content, pushed.either, expected, _texts(pushed.samples))
    assert not isinstance(before, PushedTable)
    assert not isinstance(after, PushedTable)
    overlap = find_overlap(before, after, current.key)
    return dataclasses.replace(overlap.shared, samples=_read_keys(after, current.key, overlap.positions[:MAX_SAMPLES]))


def _overlap_entry(found: Shared, table: Table, severity: Literal["critical", "warning"]) -> Expectation:
    told = []
    if found.by_key:
        told.append(f"{found.by_key:,} of {found.rows:,} rows with a key of the reference")
    if found.more_than_chance:
        chance = f", where chance explains about {found.expected:,.0f}" if found.expected else ""
        told.append(f"{found.by_content:,} of {found.rows:,} rows equal to one of the reference{chance}")
    return Expectation(
        expectation=OVERLAP,
        column=brief(table.key, 200) if found.by_key else None,
        holds=False,
        severity=severity,
        observed=brief("; ".join(told)),
        failed_rows=found.either if found.more_than_chance else found.by_key,
        sample_keys=found.samples,
    )


def _worst_first(finding: Finding) -> tuple[bool, int]:
    return finding.entry.holds, 0 if finding.entry.holds else _SEVERITIES.index(finding.entry.severity)


def status(results: Iterable[TableResult]) -> Status:
    """`fail` when anything critical does not hold, `warn` when only warnings and informations do not."""
    severities = {finding.entry.severity for result in results for finding in result.failing}
    return "fail" if "critical" in severities else "warn" if severities else "pass"


def summary(results: Sequence[TableResult], expectations: int) -> str:
    """One sentence on all tables."""
    failing = [result for result in results if result.failing]
    if not failing:
        where = "1 table" if len(results) == 1 else f"{len(results)} tables"
        checked = expectations * len(results)
        return f"{checked} of {checked} expectations hold on {where}"
    return "; ".join(_summarize(result) for result in failing)


def _summarize(result: TableResult) -> str:
    names = _subjects([finding.entry for finding in result.failing])
    shown = ", ".join(names[:MAX_NAMES_IN_SUMMARY])
    more = f" and {len(names) - MAX_NAMES_IN_SUMMARY} more" if len(names) > MAX_NAMES_IN_SUMMARY else ""
    failing, total = len(result.failing), len(result.validation.expectations)
    count = f"{failing} of {total} {'expectation' if total == 1 else 'expectations'} {'fails' if failing == 1 else 'fail'}"
    mild = "" if status([result]) == "fail" else " (none is critical)"
    return f"{count} on {brief(result.validation.path.rsplit('/', 1)[-1], 100)}{mild}: {shown}{more}"


def _subjects(entries: Sequence[Expectation]) -> list[str]:
    """What several expectations are about, each once: columns, else what is said of the table. One alone is told in full."""
    if len(entries) == 1:
        [entry] = entries
        return [f"{rule(entry.expectation)} ({brief(entry.column, 60)})" if entry.column else rule(entry.expectation)]
    return list(dict.fromkeys(brief(entry.column, 60) if entry.column else rule(entry.expectation) for entry in entries))


def name_of(entry: Expectation) -> str:
    """An expectation as a log or a sentence names it."""
    return f"{entry.expectation} ({brief(entry.column, 60)})" if entry.column else entry.expectation


def notices(results: Iterable[TableResult], expectations: int) -> tuple[str, ...]:
    """What a reader should know before the details."""
    told: list[str] = []
    for result in results:
        if result.unchecked:
            path = brief(result.validation.path)
            told.append(f"{path}: {result.unchecked} of {expectations} expectations were not checked: a pre-check failed.")
        told += result.notices
    return tuple(told)
