"""Pages of other programs in the report page: which files they may be, and what they may do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from modelship.reporting import html, markdown
from modelship.reporting.embedded import MAX_BYTES, EmbeddedPage, read_pages
from modelship.reporting.report import Report, build_report
from tests.unit.test_reporting import Page
from tests.unit.test_reporting_drift import compared
from tests.unit.test_reporting_scenarios import FACTS, Records, good, report_on, validated

EVIDENTLY = EmbeddedPage("Evidently's page on drift", "<head></head><script>draw('\"&amp;')</script>", runs_scripts=True)
DOCS = EmbeddedPage("Data Docs of Great Expectations", '<p>"</iframe><script>x</script>')


def policy(report: Report) -> str:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html.render_page(report))
    assert found
    return found[1]


def test_a_page_stands_in_a_frame_of_its_own() -> None:
    report = build_report("flight-delay", good(), FACTS, (EVIDENTLY, DOCS))
    tags = Page(html.render_page(report)).tags
    frames = [attributes for tag, attributes in tags if tag == "iframe"]
    assert [frame["srcdoc"] for frame in frames] == [EVIDENTLY.content, DOCS.content]
    assert [frame["sandbox"] for frame in frames] == ["allow-scripts", ""]
    assert "script" not in {tag for tag, _ in tags}
    assert all("open" not in attributes for tag, attributes in tags[-12:] if tag == "details")
    assert "full report](" in markdown.render_comment(report)
    assert "with Evidently&#39;s page on drift and Data Docs of Great Expectations" in markdown.render_comment(report)


def test_only_scripts_of_the_page_that_has_some_may_run() -> None:
    assert len(EVIDENTLY.script_digests) == 1
    assert policy(build_report("flight-delay", good(), FACTS, (EVIDENTLY, DOCS))) == (
        f"default-src 'none'; script-src {EVIDENTLY.script_digests[0]}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "script-src" not in policy(build_report("flight-delay", good(), FACTS, (DOCS,)))
    assert "unsafe" not in policy(report_on(good()))
    many = EmbeddedPage("x", "".join(f"<script>{number}</script>" for number in range(1000)), runs_scripts=True)
    assert len(policy(build_report("flight-delay", good(), FACTS, (many,)))) < 1_000


def test_pages_are_read_from_the_run_directory(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "drift-report.html").write_bytes(b"<p>drift \xff")
    (tmp_path / "data-docs.html").write_text("<p>docs")
    records: Records = {"drift-report": compared(), "validate": validated(data_docs="data-docs.html")}
    assert [(page.content, page.runs_scripts) for page in read_pages(tmp_path, records)] == [("<p>drift �", True), ("<p>docs", False)]
    assert read_pages(tmp_path, good()) == ()


@pytest.mark.parametrize(
    "name",
    [
        "../secret.html",
        "/etc/passwd",
        "files/../../secret.html",
        "files/link.html",
        "linked/page.html",
        "files/absent.html",
        "files/large.html",
        "files",
        "drift-report.json",
        "files/x.html\n",
        "",
        "x" * 5000 + ".html",
    ],
)
def test_no_other_file_is_taken_for_a_page(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "run"
    (folder / "files").mkdir(parents=True)
    (tmp_path / "secret.html").write_text("secret")
    (folder / "drift-report.json").write_text("{}")
    (folder / "files" / "link.html").symlink_to(tmp_path / "secret.html")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "files" / "large.html").write_bytes(b"x" * (MAX_BYTES + 1))
    assert read_pages(folder, {"drift-report": compared(page=name)}) == ()


def test_a_folder_of_files_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "drift-report.html").write_text("secret")
    (tmp_path / "files").symlink_to(tmp_path / "elsewhere")
    assert read_pages(tmp_path, {"drift-report": compared()}) == ()
