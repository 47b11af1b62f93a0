"""Great Expectations' Data Docs as one page that is safe to open.

Great Expectations renders names and values as they are, so that a column called `<script>` is one, and its pages load scripts and
styles of seven other hosts. Here its renderer sees text in which nothing means anything to HTML or to its templates, its page frame
is left out, and what remains may run no script and load nothing.
"""

from __future__ import annotations

import importlib
import logging
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from modelship.core.records import Expectation
from modelship.data.validation import Outcome, TableResult

NAME = "data-docs.html"

_MAX_TEXT = 200
_MAX_ITEMS = 100
_LOOKALIKES = str.maketrans("<>&\"'`${}\\", "‹›＆″′ʹ＄｛｝＼")

_WITH_EVERY_ROW = frozenset({"unexpected_list", "unexpected_index_list", "unexpected_index_query", "partial_unexpected_index_list"})
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs</title>
<style>
body { max-width: 1100px; margin: 2em auto; padding: 0 1em; font: 15px/1.5 system-ui, sans-serif; color: #1f2328; }
table { width: 100%; border-collapse: collapse; margin: .5em 0 1em; }
th, td { padding: .4em .6em; border: 1px solid #d1d9e0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #f6f8fa; }
h1 { margin-top: 1.5em; border-bottom: 1px solid #d1d9e0; overflow-wrap: anywhere; }
h5, h6, .h6 { margin: 1em 0 .3em; font-size: 1.1em; font-weight: 600; overflow-wrap: anywhere; }
.badge { padding: 0 .4em; border-radius: 4px; background: #eaeef2; font-family: ui-monospace, monospace; font-size: .9em; }
.text-danger { color: #b3261e; }
.text-success { color: #1a7f37; }
.fa-times::before { content: "✗"; }
.fa-check-circle::before { content: "✓"; }
.fa-exclamation-triangle::before { content: "!"; }
[hidden] { display: none; }
</style>
</head>
<body>
{% for table in tables %}
<h1>{{ table.title }}</h1>
<p>{{ table.told }}</p>
{% if table.beside %}
<h5>Checks beside the expectations</h5>
<table><tr><th>Check</th><th>Column</th><th>Severity</th><th>Found</th></tr>
{% for entry in table.beside %}<tr>{% for cell in entry %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endif %}
{% for section in table.sections %}{% set section_loop = loop %}{% include 'section.j2' %}{% endfor %}
{% endfor %}
</body>
</html>
"""


def build(results: Sequence[TableResult]) -> bytes:
    """The page on all tables."""
    jinja2 = importlib.import_module("jinja2")
    view = importlib.import_module("great_expectations.render.view").DefaultJinjaPageView()
    # A graph is drawn by a script, from the internet.
    view.env.loader = jinja2.ChoiceLoader([jinja2.DictLoader({"graph.j2": ""}), view.env.loader])
    # What its renderer has to complain of it logs, with text from data in it that a workflow's runner would take for commands.
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            page: str = view.env.from_string(_PAGE).render(tables=[_table(result) for result in results])
    finally:
        logger.setLevel(level)
    return page.encode()


def _table(result: TableResult) -> dict[str, Any]:
    validation = result.validation
    checked = {id(outcome.finding) for outcome in result.outcomes}
    beside = [finding.entry for finding in result.findings if id(finding) not in checked]
    holding = sum(entry.holds for entry in validation.expectations)
    return {
        "title": harmless(f"{validation.role}: {validation.path}"),
        "told": f"{validation.rows:,} rows, {validation.columns:,} columns. {holding:,} of {len(validation.expectations):,} hold.",
        "beside": [_row(entry) for entry in beside],
        "sections": _sections(result.outcomes) if result.outcomes else [],
    }


def _row(entry: Expectation) -> tuple[str, ...]:
    return tuple(harmless(text or "") for text in (entry.expectation, entry.column, entry.severity, entry.observed))


def _sections(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What Great Expectations says of each column; first comes an overview of its own run, which is left out."""
    core = importlib.import_module("great_expectations.core")
    renderer = importlib.import_module("great_expectations.render.renderer").ValidationResultsPageRenderer()
    held = [outcome.finding.entry.holds for outcome in outcomes]
    document = renderer.render(
        core.ExpectationSuiteValidationResult(
            success=all(held),
            results=[_result(outcome) for outcome in outcomes],
            suite_name="expectations",
            statistics={
                "evaluated_expectations": len(held),
                "successful_expectations": sum(held),
                "unsuccessful_expectations": len(held) - sum(held),
                "success_percent": 100 * sum(held) / len(held),
            },
            meta={"run_id": {"run_name": "", "run_time": "1970-01-01T00:00:00+00:00"}},
        )
    )
    sections: list[dict[str, Any]] = document.to_json_dict()["sections"]
    return sections[1:]


def _result(outcome: Outcome) -> Any:
    """An outcome as Great Expectations keeps it, with our verdict, and without what is not shown or might do harm."""
    core = importlib.import_module("great_expectations.core")
    configuration = importlib.import_module("great_expectations.expectations.expectation_configuration").ExpectationConfiguration
    config = outcome.result.expectation_config
    shown = {name: value for name, value in outcome.result.result.items() if name not in _WITH_EVERY_ROW}
    if "element_count" not in shown:
        shown["unexpected_count"] = 0  # It counts values, and the renderer takes it for rows.
    arguments = _plain(config.kwargs)
    if config.kwargs.get("row_condition") is not None:
        # Harmless text is no condition any more, and Great Expectations would take it apart.
        arguments["row_condition"] = harmless(_condition(config.kwargs["row_condition"]))
        arguments.pop("condition_parser", None)
    return core.ExpectationValidationResult(
        success=outcome.finding.entry.holds,
        expectation_config=configuration(type=config.type, kwargs=arguments, severity=config.severity.value),
        result=_plain(shown),
        exception_info={"raised_exception": False, "exception_message": None, "exception_traceback": None},
    )


def _condition(value: Any) -> str:
    """A row condition as a person would write it."""
    known = importlib.import_module("great_expectations.expectations.row_conditions")
    condition = known.deserialize_row_condition(value)
    return condition if isinstance(condition, str) else str(getattr(condition, "pass_through_filter", None) or repr(condition))


def _plain(value: Any) -> Any:
    """Data of few items and harmless text, of Python's own types."""
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        # The names of arguments are Great Expectations' own, those of results may be columns.
        return {harmless(str(name)): _plain(item) for name, item in list(value.items())[:_MAX_ITEMS]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in list(value)[:_MAX_ITEMS]]
    return harmless(str(value))


def harmless(text: str) -> str:
    """Text that means nothing to HTML, to Markdown's code or to a template, in at most 200 characters that look alike."""
    cut = text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
    # Control, format (which turns text around), surrogate and private characters, and other separators of lines.
    kept = (" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else char for char in cut)
    return "".join(kept).translate(_LOOKALIKES)
