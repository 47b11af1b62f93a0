"""What is expected: a short YAML list, a Great Expectations suite or project. Great Expectations itself is not needed to read it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from modelship.core.config import Engine
from modelship.core.documents import Document, read_document
from modelship.core.errors import BadInput, Problem, bad_input, did_you_mean
from modelship.data import gx_project

MAX_EXPECTATIONS = 1000
"""More would not fit into a record."""

_EXAMPLE = "Write `- expect_column_values_to_not_be_null: {column: name}`."
_SUITE_FIELDS = ("type", "kwargs", "severity", "meta", "notes", "description", "id", "rendered_content")
_IGNORED_ARGUMENTS = frozenset({"id", "rendered_content", "result_format", "catch_exceptions", "batch_id"})
"""What Great Expectations writes into its suites about running and showing, not about the data."""

COLUMN_ARGUMENTS = frozenset({"column", "column_A", "column_B", "column_list", "column_set"})
"""Arguments that name columns."""

_SAYS_WHAT = ("value_set", "column_set", "column_list", "type_list", "type_", "regex", "regex_list", "partition_object", "threshold")
"""Arguments without which an expectation that has them holds for any data."""

_HOLDS_FOR_NULLS = frozenset(
    {
        "expect_column_to_exist",
        "expect_column_type_to_be",
        "expect_column_values_to_be_null",
        "expect_column_values_to_not_be_null",
        "expect_column_proportion_of_non_null_values_to_be_between",
    }
)
"""Expectations that say something about a column without a single value."""

_IN_SQL = {
    "expect_column_values_to_match_like_pattern": "Use `expect_column_values_to_match_regex`.",
    "expect_column_values_to_match_like_pattern_list": "Use `expect_column_values_to_match_regex_list`.",
    "expect_column_values_to_not_match_like_pattern": "Use `expect_column_values_to_not_match_regex`.",
    "expect_column_values_to_not_match_like_pattern_list": "Use `expect_column_values_to_not_match_regex_list`.",
    "unexpected_rows_expectation": "Say it with an expectation on columns.",
}
"""Expectations that are checked in a database only, with what to do elsewhere."""

_OF_SEVERAL_TABLES = dict.fromkeys(
    ("expect_query_results_to_match_comparison", "expect_table_row_count_to_equal_other_table"),
    "Say it with an expectation on columns.",
)

_ELSEWHERE = "Say it in another way, or drop `data.engine`."
_NO_ORDER = "Rows have no order there: drop it, or drop `data.engine`."
_NO_TYPES = "Say it of the values, or drop `data.engine`; `changed-type` in `data.checks` compares with the reference."

UNSUPPORTED: dict[Engine, dict[str, str]] = {
    "pandas": {**_IN_SQL, **_OF_SEVERAL_TABLES},
    "spark": {
        **_IN_SQL,
        **_OF_SEVERAL_TABLES,
        "expect_column_values_to_be_dateutil_parseable": _ELSEWHERE,
        "expect_column_values_to_be_decreasing": _NO_ORDER,
        "expect_column_values_to_be_increasing": _NO_ORDER,
    },
    "sql": {
        **_OF_SEVERAL_TABLES,
        "expect_column_type_to_be": _NO_TYPES,
        "expect_column_values_to_be_dateutil_parseable": _ELSEWHERE,
        "expect_column_values_to_be_decreasing": _NO_ORDER,
        "expect_column_values_to_be_in_type_list": _NO_TYPES,
        "expect_column_values_to_be_increasing": _NO_ORDER,
        "expect_column_values_to_be_json_parseable": _ELSEWHERE,
        "expect_column_values_to_be_of_type": _NO_TYPES,
        "expect_column_values_to_match_json_schema": _ELSEWHERE,
        "expect_column_values_to_match_strftime_format": _ELSEWHERE,
    },
}
"""Expectations that an engine of Great Expectations does not check of one table, with what to do instead."""


class Place(NamedTuple):
    """Where something is written: a file and a 1-based line."""

    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class ExpectationSpec:
    """One expectation as the team wrote it, and where."""

    type: str
    """Great Expectations' snake_case name."""
    arguments: Mapping[str, Any]
    path: str
    line: int | None = None
    argument_lines: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where it is written."""
        return Place(self.path, self.line)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose values are checked; none for an expectation about the table as a whole."""
        if self.type.startswith("expect_table_"):
            return ()
        names = [self.arguments.get(name) for name in ("column", "column_A", "column_B")]
        listed = self.arguments.get("column_list")
        names += listed if isinstance(listed, list) else []
        return tuple(name for name in names if isinstance(name, str))

    @property
    def needs_values(self) -> bool:
        """Whether a column that is null throughout leaves nothing to check."""
        return self.type not in _HOLDS_FOR_NULLS

    @property
    def row_condition(self) -> Any:
        """Which rows are checked, as Great Expectations takes it; None for all."""
        return self.arguments.get("row_condition")

    def problem(self, message: str, remedy: str = "", *, argument: str | None = None) -> Problem:
        """A problem that points at this expectation, or at one of its arguments."""
        line = self.argument_lines.get(argument, self.line) if argument else self.line
        return Problem(message, remedy, self.path, line)


def read_expectations(path: Path, name: str, checkpoint: str | None = None) -> tuple[ExpectationSpec, ...]:
    """The expectations at `path`, which messages call `name`: a list, a suite, or a project's folder with the checkpoint to follow.

    Raises BadInput for what is missing, empty or none of these; names and arguments are checked later.
    """
    if path.is_dir():
        files = gx_project.suites(path, name, checkpoint)
    elif checkpoint is not None:
        remedy = "Name the folder of a Great Expectations project, or drop `data.checkpoint`."
        raise bad_input(f"is one file, and has no checkpoint `{checkpoint}`.", remedy, path=name)
    elif not path.exists():
        raise bad_input("does not exist.", f"`modelship validate --suggest {name}` proposes a first list.", path=name)
    else:
        files = [(path, name)]
    specs = tuple(spec for file in files for spec in _read_file(*file))
    if len(specs) > MAX_EXPECTATIONS:
        raise bad_input(f"holds {len(specs):,} expectations; up to {MAX_EXPECTATIONS:,} are checked.", "Split the model.", path=name)
    return specs


def _read_file(path: Path, name: str) -> tuple[ExpectationSpec, ...]:
    document = read_document(path, name)
    if isinstance(document.data, list):
        specs = _from_list(document)
    elif isinstance(document.data, dict) and isinstance(document.data.get("expectations"), list):
        specs = _from_suite(document, path)
    else:
        raise bad_input("is neither a list of expectations nor a Great Expectations suite.", _EXAMPLE, path=name, line=1)
    if not specs:
        raise bad_input("holds no expectation, so it checks nothing.", _EXAMPLE, path=name, line=1)
    return specs


def _from_list(document: Document) -> tuple[ExpectationSpec, ...]:
    found = [_from_entry(document, index, item) for index, item in enumerate(document.data)]
    _raise_if([item for item in found if isinstance(item, Problem)])
    return tuple(item for item in found if isinstance(item, ExpectationSpec))


def _from_entry(document: Document, index: int, item: Any) -> ExpectationSpec | Problem:
    """An entry `- name: {argument: value}` of a short list; `- name` alone where there is nothing to say."""
    entry = {item: None} if isinstance(item, str) else item
    if not isinstance(entry, dict) or len(entry) != 1:
        keys = list(entry) if isinstance(entry, dict) else []
        line = document.line((index, *keys[:1]))
        shown = f"has {', '.join(f'`{key}`' for key in keys)}" if keys else f"is `{str(item)[:80]}`"
        return Problem(f"entry {index + 1} {shown}; it must be one expectation with its arguments.", _EXAMPLE, document.name, line)
    [(type_, arguments)] = entry.items()
    line = document.line((index, type_))
    if arguments is not None and not isinstance(arguments, dict):
        return Problem(f"the arguments of `{type_}` are not `name: value` pairs.", _EXAMPLE, document.name, line)
    lines = {name: document.line((index, type_, name)) for name in arguments or {}}
    return _spec(type_, arguments or {}, document.name, line, lines)


def _from_suite(document: Document, path: Path) -> tuple[ExpectationSpec, ...]:
    lines = _suite_lines(document, path)
    items = document.data["expectations"]
    found = [_from_suite_item(document.name, index, item, lines.get(index)) for index, item in enumerate(items)]
    _raise_if([item for item in found if isinstance(item, Problem)])
    return tuple(item for item in found if isinstance(item, ExpectationSpec))


def _from_suite_item(name: str, index: int, item: Any, line: int | None) -> ExpectationSpec | Problem:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        remedy = (
            "Before version 1.0 it was called `expectation_type`; rename it."
            if isinstance(item, dict) and "expectation_type" in item
            else ""
        )
        return Problem(f"expectation {index + 1} has no `type`.", remedy, name, line)
    for key in item:
        if key not in _SUITE_FIELDS:
            return Problem(f"unknown key `{key}` in `{item['type']}`.", did_you_mean(key, _SUITE_FIELDS), name, line)
    arguments = item.get("kwargs", {})
    if not isinstance(arguments, dict):
        return Problem(f"the `kwargs` of `{item['type']}` are not `name: value` pairs.", "", name, line)
    beside = {key: item[key] for key in ("severity", "meta", "notes", "description") if item.get(key) is not None}
    return _spec(item["type"], {**beside, **arguments}, name, line, {})


def _spec(type_: str, arguments: Mapping[str, Any], path: str, line: int | None, lines: Mapping[str, int | None]) -> ExpectationSpec:
    kept = {name: value for name, value in arguments.items() if name not in _IGNORED_ARGUMENTS}
    return ExpectationSpec(type_, kept, path, line, lines)


def _suite_lines(document: Document, path: Path) -> dict[int, int | None]:
    """The line on which each expectation of a suite begins; `read_document` knows lines of YAML only."""
    if document.lines:
        return {index: document.line(("expectations", index, "type")) for index in range(len(document.data["expectations"]))}
    text = path.read_text(encoding="utf-8")
    start = re.search(r'"expectations"\s*:\s*\[\s*', text)
    lines: dict[int, int | None] = {}
    position = start.end() if start else len(text)
    decoder = json.JSONDecoder()
    while position < len(text) and text[position] != "]":
        lines[len(lines)] = text.count("\n", 0, position) + 1
        try:
            _, position = decoder.raw_decode(text, position)
        except ValueError:
            break
        separator = re.compile(r"\s*,?\s*").match(text, position)
        position = separator.end() if separator else len(text)
    return lines


def check_names(specs: Iterable[ExpectationSpec], catalog: Mapping[str, Iterable[str]]) -> None:
    """Raise BadInput, with every problem, for names that `catalog` (arguments by expectation) does not have."""
    _raise_if([problem for spec in specs for problem in _name_problems(spec, catalog)])


def _name_problems(spec: ExpectationSpec, catalog: Mapping[str, Iterable[str]]) -> Iterator[Problem]:
    if spec.type not in catalog:
        yield spec.problem(f"unknown expectation `{spec.type}`.", did_you_mean(spec.type, catalog))
        return
    known = sorted(set(catalog[spec.type]) - _IGNORED_ARGUMENTS)
    for name, value in spec.arguments.items():
        if name not in known:
            yield spec.problem(f"`{spec.type}` has no argument `{name}`.", did_you_mean(name, known), argument=name)
        elif isinstance(value, dict) and "$PARAMETER" in value:
            yield spec.problem(f"`{name}` is a suite parameter, which nobody fills in here.", "Write the value.", argument=name)


def check_engine(specs: Iterable[ExpectationSpec], engine: Engine) -> None:
    """Raise BadInput for expectations that the engine does not check."""
    _raise_if([problem for spec in specs for problem in _engine_problems(spec, engine)])


def _engine_problems(spec: ExpectationSpec, engine: Engine) -> Iterator[Problem]:
    if spec.type in UNSUPPORTED[engine]:
        checked = (
            f"checks `{spec.type}` in a database only"
            if engine == "pandas"
            else f"does not check `{spec.type}` with `data.engine: {engine}`"
        )
        yield spec.problem(f"Great Expectations {checked}.", UNSUPPORTED[engine][spec.type])
    elif engine == "spark" and (unknown := [name for name in _types_in(spec) if not name.endswith("Type")]):
        remedy = "Call it as Spark does, such as `LongType`, or drop it: `changed-type` in `data.checks` compares with the reference."
        yield spec.problem(f"Spark has no type `{unknown[0]}`, which `{spec.type}` names.", remedy)
    elif engine == "sql" and isinstance(spec.row_condition, str):
        example = "{type: comparison, column: {name: origin}, operator: ==, parameter: JFK}"
        message = f"Great Expectations takes no text as the `row_condition` of `{spec.type}` with `data.engine: sql`."
        yield spec.problem(message, f"Write `row_condition: {example}`.", argument="row_condition")


def _types_in(spec: ExpectationSpec) -> list[str]:
    """The types that an expectation asks for, as an engine calls them."""
    listed = spec.arguments.get("type_list")
    return [str(name) for name in (spec.arguments.get("type_"), *(listed if isinstance(listed, list) else ())) if name is not None]


def check_substance(specs: Iterable[ExpectationSpec], catalog: Mapping[str, Iterable[str]]) -> None:
    """Raise BadInput for expectations that would hold for any data, because they set no limit."""
    _raise_if([problem for spec in specs for problem in _substance_problems(spec, set(catalog[spec.type]))])


def _substance_problems(spec: ExpectationSpec, known: set[str]) -> Iterator[Problem]:
    given = {name for name, value in spec.arguments.items() if _says_something(name, value)}
    # The threshold of a divergence is its limit.
    if {"min_value", "max_value"} <= known and "threshold" not in known and not given & {"min_value", "max_value"}:
        yield spec.problem(f"`{spec.type}` sets neither `min_value` nor `max_value`, so it checks nothing.", "Set one of them.")
    if spec.arguments.get("column_A") is not None and spec.arguments.get("column_A") == spec.arguments.get("column_B"):
        yield spec.problem(f"`{spec.type}` compares a column with itself, so it checks nothing.", "Name two.", argument="column_B")
    ranges = spec.arguments.get("quantile_ranges")
    if isinstance(ranges, Mapping) and not _limits_every_quantile(ranges.get("value_ranges")):
        message = f"`{spec.type}` has a quantile without a limit in `value_ranges`, so it checks nothing there."
        yield spec.problem(message, "Write at least one number for each.", argument="quantile_ranges")
    if spec.arguments.get("mostly") == 0:
        yield spec.problem(f"`{spec.type}` has `mostly: 0`, so it checks nothing.", "Set a share above 0.", argument="mostly")
    for name in _SAYS_WHAT:
        if name in known and name not in given:
            yield spec.problem(f"`{spec.type}` has no `{name}`, so it checks nothing.", f"Set `{name}`.")


def _says_something(name: str, value: Any) -> bool:
    """Whether an argument sets a limit that data could break."""
    if isinstance(value, float) and not math.isfinite(value):
        return (name, value) in (("min_value", math.inf), ("max_value", -math.inf))
    return value is not None and value not in ("", [], {})


def _limits_every_quantile(ranges: Any) -> bool:
    if not isinstance(ranges, list) or not ranges:
        return False
    ends = ("min_value", "max_value")
    return all(
        any(_says_something(end, value) for end, value in zip(ends, pair, strict=False)) if isinstance(pair, list) else True
        for pair in ranges
    )


def columns_to_read(specs: Iterable[ExpectationSpec], columns: list[str], always: Iterable[str | None]) -> list[str]:
    """Those of the file's `columns` that the expectations look at, and those of `always`, in the file's order."""
    wanted = {name for name in always if name}
    for spec in specs:
        if spec.type.startswith("expect_table_column") or spec.type == "expect_column_to_exist":
            return columns
        wanted.update(spec.columns)
        # A condition is an expression: a column that it may mean is read, one too many costs nothing but time.
        condition = str(spec.row_condition or "")
        wanted.update(name for name in columns if name in condition)
    found = [name for name in columns if name in wanted]
    return found or columns[:1]


def _raise_if(problems: list[Problem]) -> None:
    if problems:
        raise BadInput(*problems)
