"""`modelship drift-report` with the real Evidently, from the command line to the record and the page."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from docs.picture import browse

from modelship.cli import modelship
from modelship.core.records import ColumnDrift, DriftReportRecord, read_record
from modelship.data.drift.evidently_edge import harmless
from modelship.data.drift.methods import METHODS

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CONFIG = "model: flights\ndata: {reference: train.parquet, current: holdout.parquet, target: late, key: id}\n"
ROWS = 2000


@dataclass(frozen=True)
class Run:
    exit_code: int
    output: str
    record: DriftReportRecord

    def column(self, name: str) -> ColumnDrift:
        (found,) = (column for column in self.record.columns if column.column == name)
        return found

    @property
    def drifted(self) -> list[str]:
        return sorted(column.column for column in self.record.columns if column.drifted)


Report = Callable[..., Run]


def flights(seed: int = 0, rows: int = ROWS, **changes: Any) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    columns = {
        "id": np.arange(rows) + seed * rows,
        "temp": draw.normal(50, 10, rows),
        "wind": draw.lognormal(size=rows),
        "carrier": draw.choice(["UA", "AA", "DL", "EV"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        "origin": draw.choice(["JFK", "LGA"], rows),
        "late": draw.random(rows) < 0.2,
    }
    return pd.DataFrame({**columns, **{name: change(draw) if callable(change) else change for name, change in changes.items()}})


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run the command in a folder with this reference and this current table."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "MODELSHIP_"))]:
        monkeypatch.delenv(name)

    def run(
        current: pd.DataFrame | None = None,
        *options: str,
        reference: pd.DataFrame | None = None,
        drift: str = "{}",
        config: str = CONFIG,
        env: Mapping[str, str] | None = None,
    ) -> Run:
        Path("modelship.yaml").write_text(f"{config}drift: {drift}\n", encoding="utf-8")
        for name, table in (
            ("train", flights() if reference is None else reference),
            ("holdout", flights(1) if current is None else current),
        ):
            table.to_parquet(f"{name}.parquet", index=False)
        result = CliRunner().invoke(modelship, ["drift-report", *options], env=dict(env or {}))
        record = read_record(Path(".modelship/drift-report.json"), "drift-report")
        assert isinstance(record, DriftReportRecord)
        return Run(result.exit_code, result.output, record)

    return run


# Verdicts ------------------------------------------------------------------------------------------------------------------------


def test_tables_of_one_distribution_pass(report: Report) -> None:
    run = report()
    assert (run.exit_code, run.record.status, run.record.drift, run.record.share) == (0, "pass", False, 0.0)
    assert run.record.summary == "no drift: 0 of 4 features drifted"
    assert [(table.role, table.rows, table.sampled) for table in run.record.tables] == [
        ("reference", ROWS, ROWS),
        ("current", ROWS, ROWS),
    ]
    assert run.record.sampling == "every row was looked at"
    found = {column.column: (column.kind, column.purpose, column.method) for column in run.record.columns}
    assert found == {
        "temp": ("numerical", "feature", "wasserstein"),
        "wind": ("numerical", "feature", "wasserstein"),
        "carrier": ("categorical", "feature", "jensenshannon"),
        "origin": ("categorical", "feature", "jensenshannon"),
        "late": ("categorical", "target", "jensenshannon"),
    }
    assert [(entry.column, entry.reason) for entry in run.record.skipped] == [("id", "names the rows")]
    assert (run.record.max_share, run.record.confidence) == (0.3, 0.95)


def test_drift_is_shown_and_blocks_only_where_it_is_critical(report: Report) -> None:
    moved = flights(1, temp=lambda draw: draw.normal(60, 10, ROWS), wind=lambda draw: draw.lognormal(1, size=ROWS))
    run = report(moved)
    assert (run.exit_code, run.record.status, run.record.drift, run.drifted) == (0, "warn", True, ["temp", "wind"])
    assert run.record.summary == "drift: 2 of 4 features drifted (wind, temp)"
    assert run.column("temp").distance == pytest.approx(1.0, abs=0.1)
    assert "warning: modelship drift-report: modelship.yaml:3: drift" in run.output
    run = report(moved, "--severity", "critical")
    assert (run.exit_code, run.record.status) == (1, "fail")
    assert report(moved, "--max-share", "50%").record.drift is False


def test_a_drifted_target_is_drift_by_itself(report: Report) -> None:
    moved = flights(1, late=lambda draw: draw.random(ROWS) < 0.5)
    run = report(moved)
    assert (run.record.drift, run.record.share, run.drifted) == (True, 0.0, ["late"])
    assert run.record.summary == "drift: 0 of 4 features drifted, the target drifted (late)"
    assert report(moved, drift="{target: show}").record.drift is False


def test_a_drifted_prediction_is_drift_by_itself(report: Report) -> None:
    run = report(
        flights(1, score=lambda draw: draw.random(ROWS) ** 3),
        reference=flights(score=lambda draw: draw.random(ROWS)),
        drift="{prediction: score}",
    )
    assert (run.record.drift, run.column("score").purpose, run.drifted) == (True, "prediction", ["score"])


def test_the_distances_are_evidentlys(report: Report) -> None:
    from evidently import Report as EvidentlyReport
    from evidently.metrics import ValueDrift

    moved = flights(1, temp=lambda draw: draw.normal(52, 12, ROWS))
    run = report(moved)
    metrics = [ValueDrift(column=column.column, method=column.method, threshold=0.1) for column in run.record.columns]
    # The target is true or false, which Evidently does not take for categories by itself.
    tables = [table.astype({"late": str}) for table in (moved, flights())]
    theirs = EvidentlyReport(metrics).run(*tables).dict()["metrics"]
    assert [column.distance for column in run.record.columns] == pytest.approx([float(metric["value"]) for metric in theirs])


@pytest.mark.parametrize("name", METHODS)
def test_every_method_measures(report: Report, name: str) -> None:
    method = METHODS[name]
    reference, current = flights(rows=300), flights(1, rows=300, temp=np.random.default_rng(5).normal(70, 10, 300))
    if method.kinds == ("categorical",):
        # Some tests are of two categories only.
        current["origin"] = np.random.default_rng(5).choice(["JFK", "LGA"], 300, p=[0.95, 0.05])
    column = "temp" if "numerical" in method.kinds else "origin"
    ignored = ", ".join(f"{other}: ignore" for other in reference.columns if other != column)
    run = report(current, reference=reference, drift=f"{{sample: 1000, columns: {{{ignored}, {column}: {{method: {name}}}}}}}")
    found = run.column(column)
    assert (found.method, found.drifted) == (name, True)
    assert (found.distance is not None) is method.distance
    assert found.p_value <= 0.05


def test_the_known_methods_are_all_that_evidently_has() -> None:
    from evidently.legacy.calculations.stattests import registry

    theirs = {
        name: {{"num": "numerical", "cat": "categorical"}[str(kind.value)] for kind in kinds if kind.value != "text"}
        for name, kinds in registry._registered_stat_tests.items()
    }
    assert {name: kinds for name, kinds in theirs.items() if kinds} == {name: set(method.kinds) for name, method in METHODS.items()}


# What Evidently leaves open ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [500, 3000])
def test_the_method_does_not_depend_on_the_row_count(report: Report, rows: int) -> None:
    run = report(flights(1, rows=rows), reference=flights(rows=rows))
    assert {column.column: column.method for column in run.record.columns} == {
        "temp": "wasserstein",
        "wind": "wasserstein",
        "carrier": "jensenshannon",
        "origin": "jensenshannon",
        "late": "jensenshannon",
    }


def test_few_rows_that_are_far_apart_by_chance_are_no_drift(report: Report) -> None:
    run = report(flights(3, rows=12), reference=flights(2, rows=12))
    apart = [column for column in run.record.columns if column.distance is not None and column.distance >= column.threshold]
    assert apart
    assert run.drifted == []
    assert all("chance alone could make the distance" in column.findings[-1] for column in apart)


def test_many_rows_that_are_certainly_a_little_apart_are_no_drift(report: Report) -> None:
    rows = 15_000
    run = report(
        flights(1, rows=rows, temp=np.random.default_rng(7).normal(50.6, 10, rows)),
        reference=flights(rows=rows),
        drift="{sample: full}",
    )
    temp = run.column("temp")
    assert (temp.drifted, temp.p_value < 0.05) == (False, True)


@pytest.mark.parametrize("unit", [1e-250, 1e-6, 1e-4, 1e160, 1e300])
def test_the_unit_of_a_column_decides_nothing(report: Report, unit: float) -> None:
    def tables(moved: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        draw = np.random.default_rng(5)
        return tuple(flights(seed).assign(temp=unit * draw.normal(mean, 1, ROWS)) for seed, mean in ((0, 0), (1, moved)))

    for moved in (0.0, 0.5):
        reference, current = tables(moved)
        temp = report(current, reference=reference).column("temp")
        plain = report(current.assign(temp=current.temp / unit), reference=reference.assign(temp=reference.temp / unit)).column("temp")
        assert temp.distance == pytest.approx(plain.distance)
        assert temp.drifted == plain.drifted == (moved > 0)
    reference, current = tables(0.5)
    report(current, reference=reference)
    assert re.search(r"temp \(in 1e[-+]\d+\)", Path(".modelship/files/drift-report.html").read_text(encoding="utf-8"))


def test_a_number_far_out_hides_no_move(report: Report) -> None:
    reference = flights()
    reference.loc[0, "temp"] = 1e9
    temp = report(flights(1, temp=lambda draw: draw.normal(70, 10, ROWS)), reference=reference).column("temp")
    assert temp.distance is not None
    assert temp.distance < 0.1
    assert any("68% apart" in finding and "stretch" in finding for finding in temp.findings), temp.findings


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.drop(columns="temp"), "lacks 1 column of train.parquet: `temp`"),
        (lambda table: table.assign(temp=np.nan), "`temp` has no values at all"),
        (lambda table: table.assign(temp=table.temp.where(table.temp < 75, np.inf)), "`temp` holds"),
        (lambda table: table.assign(temp=table.temp.astype(str)), "`temp` is text here and a number in train.parquet"),
        (lambda table: table.iloc[:0], "has no rows"),
        (lambda table: table.drop(columns="late"), "holdout.parquet has no column `late`"),
        (lambda table: table[["id"]].rename(columns={"id": "other"}), "has no column in common with train.parquet"),
    ],
)
def test_what_cannot_be_compared_is_bad_input(report: Report, change: Callable[[pd.DataFrame], pd.DataFrame], told: str) -> None:
    run = report(change(flights(1)))
    assert (run.exit_code, run.record.status, run.record.columns) == (2, "error", ())
    assert any(told in str(problem) for problem in run.record.problems)


def test_a_name_that_stands_twice_is_bad_input(report: Report) -> None:
    Path("twice.csv").write_text("temp,late,temp\n1,0,2\n")
    run = report(None, "--current", "twice.csv")
    assert (run.exit_code, run.record.summary) == (
        2,
        "twice.csv: has more than one column `temp`. Give each column a name of its own.",
    )


def test_a_statistic_that_fails_is_bad_input(report: Report) -> None:
    run = report(flights(1, rows=100), reference=flights(rows=90), drift="{columns: {origin: {method: fisher_exact}}}")
    assert run.exit_code == 2
    assert "`origin` cannot be compared by `fisher_exact`" in run.record.summary


def test_an_unknown_method_is_bad_input_before_anything_is_read(report: Report) -> None:
    run = report(pd.DataFrame({"id": []}), drift="{numerical: {method: waserstein}}")
    assert run.exit_code == 2
    assert run.record.summary == (
        "modelship.yaml:3: `drift.numerical.method`: `waserstein` is no method of Evidently. Did you mean `wasserstein`?"
    )


def test_new_categories_are_counted(report: Report) -> None:
    codes = [f"N{number:03}" for number in range(500)]
    run = report(flights(1, carrier=["UA"] * (ROWS - 500) + codes))
    carrier = run.column("carrier")
    assert (carrier.drifted, carrier.new_value_count, carrier.new_value_rows) == (True, 500, 500)
    assert carrier.new_values == ("N000", "N001", "N002", "N003", "N004")
    assert carrier.findings == ("500 new categories in 25% of the values",)


def test_new_categories_are_counted_in_every_row_though_few_are_drawn(report: Report) -> None:
    run = report(flights(1, carrier=["ZZ", *["UA"] * (ROWS - 1)]), drift="{sample: 200}")
    assert (run.column("carrier").new_values, run.column("carrier").new_value_rows) == (("ZZ",), 1)


def test_missing_values_are_a_finding_and_many_are_drift(report: Report) -> None:
    few, many = (flights(1).assign(temp=lambda table, n=n: table.temp.where(np.arange(ROWS) >= n)) for n in (100, 300))
    run = report(few)
    assert (run.column("temp").missing, run.column("temp").drifted) == ((0.0, 0.05), False)
    assert run.column("temp").findings == ("missing values: 0% → 5.0% of the rows",)
    run = report(many)
    assert (run.column("temp").missing, run.drifted) == ((0.0, 0.15), ["temp"])


def test_numbers_out_of_range_are_counted(report: Report) -> None:
    run = report(flights(1, temp=lambda draw: np.where(draw.random(ROWS) < 0.05, 500.0, draw.normal(50, 10, ROWS))))
    temp = run.column("temp")
    assert temp.reference_range is not None
    assert temp.reference_range[1] == pytest.approx(flights().temp.max())
    assert temp.outside == pytest.approx(0.05 * ROWS, rel=0.3)
    assert any("of the numbers lie outside the reference's range" in finding for finding in temp.findings)


def test_text_is_left_out_and_said(report: Report) -> None:
    notes = [f"note {number}" for number in range(ROWS)]
    run = report(flights(1, note=notes), reference=flights(note=notes))
    assert ("note", "text: more than 1,000 different values") in [(entry.column, entry.reason) for entry in run.record.skipped]


# Sampling ------------------------------------------------------------------------------------------------------------------------


def test_the_record_says_what_was_drawn_and_the_error_that_brings(report: Report) -> None:
    moved = flights(1, rows=9000, temp=np.random.default_rng(3).normal(55, 10, 9000))
    run = report(moved, reference=flights(rows=8000), drift="{sample: 1000}")
    assert [(table.rows, table.sampled) for table in run.record.tables] == [(8000, 1000), (9000, 1000)]
    assert run.record.sampling.startswith(
        "1,000 of 8,000 rows of train.parquet and 1,000 of 9,000 rows of holdout.parquet drawn uniformly (seed 0); "
        "with 95% confidence no share of the rows below a value is off by more than 4.3%"
    )
    sampled = run.column("temp")
    whole = report(moved, reference=flights(rows=8000), drift="{sample: full}").column("temp")
    assert (whole.distance_error, whole.distance is not None, sampled.distance is not None) == (None, True, True)
    assert sampled.distance_error is not None
    assert abs((sampled.distance or 0) - (whole.distance or 0)) < 4 * sampled.distance_error


def test_a_few_values_among_many_rows_have_no_stated_error(report: Report) -> None:
    rare = flights(1).assign(temp=lambda table: table.temp.where(np.arange(ROWS) % 200 == 0))
    run = report(rare, drift="{sample: 1500}")
    assert (run.exit_code, run.column("temp").distance_error, run.column("temp").drifted) == (0, None, True)


def test_the_stated_error_is_that_of_other_draws(report: Report) -> None:
    moved, before = flights(1, rows=9000, temp=np.random.default_rng(3).normal(55, 10, 9000)), flights(rows=8000)
    columns = "{wind: ignore, carrier: ignore, origin: ignore, late: ignore}"
    runs = [
        report(moved, reference=before, drift=f"{{sample: 500, seed: {seed}, columns: {columns}}}").column("temp")
        for seed in range(25)
    ]
    spread = float(np.std([run.distance or 0.0 for run in runs], ddof=1))
    stated = float(np.mean([run.distance_error or 0.0 for run in runs]))
    assert 0.6 < stated / spread < 1.7


def test_the_same_seed_gives_the_same_record(report: Report) -> None:
    first, second = (report(drift="{sample: 300, seed: 5}").record.columns for _ in range(2))
    assert first == second
    assert report(drift="{sample: 300, seed: 6}").record.columns != first


# The page ------------------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "</script><img src=x onerror=document.title='owned'>",
    "<svg onload=document.title='owned'>",
    "\u202etxt.exe\u2066 right to left",
    "`${document.title='owned'}`",
    "a|b\n::error::c @octocat <!-- \\u003cscript>",
    "'\";document.title='owned';//",
    "{{constructor.constructor('document.title=1')()}}",
    "x" * 10_000,
    "x" * 10_000 + "y",
    "&lt;img src=x onerror=document.title='owned'&gt;",
]


def hostile(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: draw.normal(seed, 1, 200) for name in HOSTILE}
    return pd.DataFrame({**columns, "category": draw.choice(HOSTILE, 200, p=None if seed else [0.91, *[0.01] * 9])})


def test_names_and_values_stay_text_in_a_browser(report: Report) -> None:
    run = report(
        hostile(1), reference=hostile(0), config="model: flights\ndata: {reference: train.parquet, current: holdout.parquet}\n"
    )
    assert (run.exit_code, len(run.record.columns)) == (0, len(HOSTILE) + 1)
    page = Path(".modelship", run.record.page)
    assert page.stat().st_size < 7_000_000
    source = page.read_text(encoding="utf-8")
    for raw in ("<img src=x", "<svg onload", "</script><img", "{{constructor", "\u202etxt", "\u2066 right", "x" * 61):
        assert raw not in source
    shown = browse("--virtual-time-budget=10000", "--dump-dom", page.absolute().as_uri())
    assert re.findall(r"<title>(.*?)</title>", shown)[0] == "Drift"
    assert html.escape("Drift in column 'category'", quote=False) in shown  # Evidently has drawn.


def test_a_column_with_too_many_categories_for_the_page_is_compared_all_the_same(report: Report) -> None:
    codes = {"code": [f"code {number // 2}" for number in range(12_000)]}
    run = report(
        pd.DataFrame(codes),
        reference=pd.DataFrame(codes),
        config="model: flights\ndata: {reference: train.parquet, current: holdout.parquet}\n",
        drift="{sample: full, max-categories: 10000}",
    )
    assert (run.exit_code, run.column("code").distance) == (0, 0.0)
    assert "The page shows 0 of 1 columns." in Path(".modelship", run.record.page).read_text(encoding="utf-8")


def test_a_script_in_the_page_does_not_run(report: Report, tmp_path: Path) -> None:
    """Should a text ever get through, the browser still refuses it."""
    page = Path(".modelship", report().record.page).read_text(encoding="utf-8")
    for number, attack in enumerate(("<script>document.title='owned'</script>", "<img src=x onerror=\"document.title='owned'\">")):
        forged = tmp_path / f"forged-{number}.html"
        forged.write_text(page.replace("</body>", f"{attack}</body>"), encoding="utf-8")
        assert "<title>Drift</title>" in browse("--virtual-time-budget=5000", "--dump-dom", forged.as_uri())


def test_the_report_page_holds_the_page_and_draws_it(report: Report, tmp_path: Path) -> None:
    """In a frame without an origin, under the report's own policy."""
    report(hostile(1), reference=hostile(0), config="model: flights\ndata: {reference: train.parquet, current: holdout.parquet}\n")
    assert CliRunner().invoke(modelship, ["comment"]).exit_code == 0
    written = Path(".modelship/report-flights.html").read_text(encoding="utf-8")
    shown = browse("--virtual-time-budget=5000", "--dump-dom", Path(".modelship/report-flights.html").absolute().as_uri())
    assert "flights" in re.findall(r"<title>(.*?)</title>", shown)[0]
    assert "owned" not in re.findall(r"<title>(.*?)</title>", shown)[0]
    # A browser shows nothing of the frame to us, so that it stands alone here, under both policies.
    source = html.unescape(re.findall(r'<iframe [^>]*sandbox="allow-scripts"[^>]* srcdoc="([^"]*)"', written)[0])
    assert source == Path(".modelship/files/drift-report.html").read_text(encoding="utf-8")
    policy = re.findall(r'<meta http-equiv="Content-Security-Policy"[^>]*>', written)[0]
    alone = tmp_path / "alone.html"
    alone.write_text(source.replace("<head>", f"<head>{policy}", 1), encoding="utf-8")
    drawn = browse("--virtual-time-budget=10000", "--dump-dom", alone.as_uri())
    assert html.escape("Drift in column 'category'", quote=False) in drawn


def test_harmless_texts_differ_and_are_short() -> None:
    found = harmless([*HOSTILE, "", " ", "<b>", "[b]", "Ångström 3 °C", "日本"])
    assert len(set(found)) == len(found)
    assert all(0 < len(text) <= 60 and not set(text) & set("<>&\"'`\\{}$@\n\u202e\u2066") for text in found)
    assert found[-2:] == ["Ångström 3 °C", "日本"]


# Around it -----------------------------------------------------------------------------------------------------------------------


def test_inputs_come_from_the_environment(report: Report, tmp_path: Path) -> None:
    names = (
        "CONFIG",
        "MODEL",
        "REFERENCE",
        "CURRENT",
        "TARGET",
        "KEY",
        "PREDICTION",
        "MAX_SHARE",
        "NUMERICAL",
        "CATEGORICAL",
        "COLUMNS",
    )
    given_ = {
        "MODELSHIP_DRIFT_REPORT_NUMERICAL": "{method: psi, threshold: 0.2}",
        "MODELSHIP_DRIFT_REPORT_COLUMNS": "{wind: ignore}",
        "MODELSHIP_DRIFT_REPORT_SAMPLE": "full",
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    run = report(env={**{f"MODELSHIP_DRIFT_REPORT_{name}": "" for name in names}, **given_})
    assert (run.exit_code, run.column("temp").method, run.column("temp").threshold) == (0, "psi", 0.2)
    assert "wind" in [entry.column for entry in run.record.skipped]
    assert re.search(r"drift<<(\S+)\nfalse\n\1\n", (tmp_path / "output").read_text())


def test_a_table_may_be_a_query(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect("warehouse.db")) as database:
        flights().to_sql("flights", database, index=False)
    monkeypatch.setenv("WAREHOUSE", "sqlite:///warehouse.db")
    query = "{query: 'select temp, carrier, late from flights', connection: WAREHOUSE}"
    run = report(
        config=f"model: flights\ndata: {{reference: {query}, current: holdout.parquet, key: id}}\n", drift="{columns: {late: ignore}}"
    )
    assert (run.exit_code, run.record.drift) == (0, False)
    assert sorted(column.column for column in run.record.columns) == ["carrier", "temp"]
    assert (run.record.tables[0].rows, "WAREHOUSE" in run.record.tables[0].source) == (ROWS, True)


def test_an_earlier_page_is_gone_when_there_is_no_verdict(report: Report) -> None:
    page = Path(".modelship", report().record.page)
    assert page.is_file()
    assert report(flights(1).iloc[:0]).exit_code == 2
    assert not page.exists()


def test_the_process_leaves_only_its_record_and_page(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    work = tmp_path / "work"
    work.mkdir()
    flights().to_parquet(work / "train.parquet")
    flights(1).to_parquet(work / "holdout.parquet")
    (work / "modelship.yaml").write_text(CONFIG)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "MODELSHIP_"))}
    result = subprocess.run(
        [sys.executable, str(SCRIPTS / "modelship"), "drift-report"],
        cwd=work,
        env={**kept, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    given_ = {"work/train.parquet", "work/holdout.parquet", "work/modelship.yaml"}
    ours = {"work/.modelship/.gitignore", "work/.modelship/drift-report.json", "work/.modelship/files/drift-report.html"}
    assert found - given_ == ours
    assert json.loads((work / ".modelship" / "drift-report.json").read_text())["page"] == "files/drift-report.html"
