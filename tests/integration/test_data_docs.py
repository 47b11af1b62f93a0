"""Data Docs: a page that says what was checked, and that is safe to open whatever names and values hold."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from modelship.cli import modelship
from modelship.core.records import ValidateRecord, read_record
from modelship.data.data_docs import build, harmless
from modelship.data.expectations import ExpectationSpec
from modelship.data.tables.opening import open_table
from modelship.data.validation import Expectations, Table, TableResult
from tests.integration.test_expectation_catalog import CASES, COLUMNS

PAGE = Path(".modelship", "files", "data-docs.html")

BUILT_OF = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h5",
    "h6",
    "p",
    "div",
    "span",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
BUILT_OF |= {"i", "br", "strong", "ul", "li", "pre"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "id", "class", "style", "hidden", "data-toggle"}


class Parsed(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.icons: Counter[str] = Counter()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag == "i":
            self.icons.update((dict(attrs).get("class") or "").split())
        self.attributes |= {name for name, _ in attrs if not name.startswith("data-")}

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(folder: Path, columns: dict[str, object], *entries: tuple[str, dict[str, object]], role: str = "current") -> TableResult:
    path = folder / "table.parquet"
    pq.write_table(pa.table(columns), path)
    specs = [ExpectationSpec(name, arguments, "e.yaml", 1) for name, arguments in entries]
    return Expectations(specs).check(Table(role="current", path=role, reader=open_table(path.name, folder)))


def test_every_expectation_is_shown(tmp_path: Path) -> None:
    more = {"id_less": COLUMNS["id"][::-1], "date_less": pa.array(range(6, 0, -1), pa.timestamp("s")), "low_again": COLUMNS["low"]}
    entries = [(name, dict(arguments)) for name, case in CASES.items() for arguments in (case.holds, case.fails)]
    result = checked(tmp_path, {**COLUMNS, **more}, *entries)
    page = Parsed(build([result]).decode())
    assert page.text.count("Expectation") > 10
    assert "1 unexpected values found. ≈16.67% of 6 total rows." in " ".join(page.text.split())
    assert set(page.tags) <= BUILT_OF
    held = sum(entry.holds for entry in result.validation.expectations)
    assert (page.icons["text-success"], page.icons["text-danger"]) == (held, len(entries) - held)


HOSTILE = (
    '</script><img src=x onerror="document.title=1">',
    "<script>document.title=1</script>",
    "<svg/onload=document.title=1>",
    "{{ section_id }} ${column} $column {% raw %}",
    "'\"><a href=javascript:alert(1)>x</a>",
    "\u202egnp.exe\u202c",
    "x" * 10_000,
    "a\n::error::b",
)


def hostile_page(folder: Path) -> str:
    columns = {**{name: [*HOSTILE, "a"] for name in HOSTILE}, "n": list(map(float, range(9)))}
    notes = {"notes": HOSTILE[1], "meta": {"notes": {"format": "markdown", "content": [HOSTILE[0]]}}, "severity": "warning"}
    entries: list[tuple[str, dict[str, object]]] = [
        ("expect_table_columns_to_match_set", {"column_set": [f"{name}2" for name in HOSTILE]})
    ]
    for name in HOSTILE:
        entries += [
            ("expect_column_values_to_be_in_set", {"column": name, "value_set": ["a", HOSTILE[0]], **notes}),
            ("expect_column_distinct_values_to_be_in_set", {"column": name, "value_set": [HOSTILE[2]]}),
            ("expect_column_values_to_match_regex", {"column": name, "regex": "^<b>"}),
            ("expect_column_most_common_value_to_be_in_set", {"column": name, "value_set": ["b"]}),
            ("expect_compound_columns_to_be_unique", {"column_list": [name, "n"], **notes}),
            ("expect_column_to_exist", {"column": f"{name}3"}),
            (
                "expect_column_kl_divergence_to_be_less_than",
                {"column": name, "partition_object": {"values": [HOSTILE[0], "a"], "weights": [0.5, 0.5]}, "threshold": 0.1},
            ),
            (
                "expect_column_values_to_not_be_null",
                {
                    "column": "n",
                    "row_condition": {"type": "comparison", "column": {"name": name}, "operator": "==", "parameter": HOSTILE[0]},
                },
            ),
        ]
    return build([checked(folder, columns, *entries, role=HOSTILE[0])]).decode()


def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "this test opens a page in Chromium"
    return found


def test_hostile_names_and_values_do_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(hostile_page(tmp_path), encoding="utf-8")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    shown = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, check=True, timeout=300)
    page = Parsed(shown.stdout)
    assert "<title>Data Docs</title>" in shown.stdout
    assert set(page.tags) <= BUILT_OF
    assert page.attributes <= ATTRIBUTES
    assert "img src=x onerror=" in page.text, "it is shown, as text"
    assert "\u202e" not in page.text
    assert max(map(len, page.text.split())) < 300


@given(st.text())
def test_harmless_text_is_text_everywhere(text: str) -> None:
    made = harmless(text)
    assert len(made) <= 200
    assert not set(made) & set("<>&\"'`${}\\\n\r\u202e\x00")


# When it is written


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"id": [1, 2], "x": [1, 2]}), tmp_path / "t.parquet")
    (tmp_path / "modelship.yaml").write_text("model: m\ndata: {current: t.parquet, key: id, expectations: e.yaml}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "options", "written"),
    [
        (2, (), False),
        (1, (), True),
        (2, ("--data-docs", "always"), True),
        (1, ("--data-docs", "never"), False),
    ],
)
def test_it_is_written_where_something_fails_or_when_asked(folder: Path, limit: int, options: tuple[str, ...], written: bool) -> None:
    page = folder / PAGE
    page.parent.mkdir(parents=True)
    page.write_text("an earlier run's")
    (folder / "e.yaml").write_text(f"- expect_column_values_to_be_between: {{column: x, max_value: {limit}}}\n")
    CliRunner().invoke(modelship, ["validate", *options])
    record = read_record(folder / ".modelship" / "validate.json", "validate")
    assert isinstance(record, ValidateRecord)
    assert (record.data_docs, page.exists()) == (("files/data-docs.html", True) if written else ("", False))
    assert not written or "values must be less than or equal to" in page.read_text(encoding="utf-8")


def test_what_great_expectations_does_not_know_is_on_it(folder: Path) -> None:
    pq.write_table(pa.table({"id": [1, 1], "x": [1, 2]}), folder / "t.parquet")
    (folder / "e.yaml").write_text("- expect_column_values_to_be_between: {column: x, max_value: 5}\n")
    CliRunner().invoke(modelship, ["validate"])
    page = Parsed((folder / PAGE).read_text(encoding="utf-8"))
    assert "key_is_unique" in page.text
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), folder / "t.parquet")
    CliRunner().invoke(modelship, ["validate"])
    assert "table_has_rows" in (folder / PAGE).read_text(encoding="utf-8")
