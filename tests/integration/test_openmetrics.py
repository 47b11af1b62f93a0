"""`modelship openmetrics` with a real Prometheus, a real Pushgateway and promtool."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from click.testing import CliRunner

from modelship.cli import modelship
from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.records import (
    RECORDS,
    AnyRecord,
    ColumnDrift,
    DeployRecord,
    MonitorRecord,
    Slices,
    SliceVerdict,
)
from modelship.core.run_directory import RunDirectory
from modelship.core.workflow import read_outputs
from modelship.reporting.openmetrics import groups_of
from modelship.reporting.pushgateway import push
from tests import servers
from tests.programs import program
from tests.unit.test_openmetrics import decided, promise
from tests.unit.test_reporting_monitor import seen

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "docs" / "monitoring"

PASSWORD, PASSWORD_HASH = "s3cret-word", "$2b$04$bD0wVQ5FhbjWbCs4I2BMBuvmrW63g11rOe2G/EzIc1aF.MfisxiHu"
"""A Pushgateway wants the bcrypt of a password."""
HOSTILE = ('say "hi"\\', "one\ntwo", "x" * 10_000, "x" * 9_999, "\u202egnp.exe", "a\\nb", "café ☕", '",evil="1')


def records(model: str) -> dict[str, AnyRecord]:
    """What a bad week leaves behind, in which something of everything happened."""
    record = seen(state="fail", status="fail", drift=True, broken=True, model=model, promises=(promise(),))
    assert record.performance
    assert record.drift
    (verdict,) = record.performance.metrics
    slices = Slices(verdicts=(SliceVerdict(slice={"plan": 'plus "\\'}, rows=900, verdict=verdict),))
    columns = tuple(
        ColumnDrift(column=name, kind="numerical", drifted=True, method="x", distance=number + 1, threshold=0.5, p_value=0)
        for number, name in enumerate(HOSTILE)
    )
    monitored = msgspec.structs.replace(
        record,
        performance=msgspec.structs.replace(record.performance, slices=slices),
        drift=msgspec.structs.replace(record.drift, columns=columns),
    )
    deployed = DeployRecord(
        model=model, status="pass", summary="", environment="production", live=7, started_at="2026-11-01T10:00:00+00:00"
    )
    return {"monitor": monitored, "retrain": decided(model=model, retrain=True, in_trouble=True), "deploy": deployed}


def write(folder: Path, found: Mapping[str, AnyRecord]) -> Path:
    run_directory = RunDirectory(folder / ".modelship")
    for name in RECORDS:
        run_directory.remove(name)
    for name, record in found.items():
        run_directory.write(name, record)
    return folder


def openmetrics(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, dict[str, str]]:
    """Exit code, output, and outputs of the command."""
    outputs = folder / "outputs"
    outputs.write_text("")
    given = ["openmetrics", "--config", str(folder / "modelship.yaml"), *arguments]
    nobody = {"PUSHGATEWAY_USERNAME": "", "PUSHGATEWAY_PASSWORD": "", "PUSHGATEWAY_TOKEN": ""}
    done = CliRunner().invoke(modelship, given, env={**nobody, "GITHUB_OUTPUT": str(outputs), **variables})
    return done.exit_code, done.output, read_outputs(outputs)


def promtool(*arguments: str | Path, stdin: bytes | None = None) -> None:
    done = subprocess.run([program("promtool", "prometheus"), *arguments], input=stdin, capture_output=True, check=False)
    assert (done.returncode, done.stderr.replace(b"\n", b"")) == (0, b""), done.stdout.decode() + done.stderr.decode()


def query(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """What the expression is now: series and their values."""
    with urllib.request.urlopen(f"{prometheus}/api/v1/query?query={quote(expression)}") as answer:
        found = json.load(answer)
    assert found["status"] == "success", found
    result: list[dict[str, Any]] = found["data"]["result"]
    return result


def eventually(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """The same, as soon as it is anything."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := query(prometheus, expression):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{expression} has no value")


def value(found: list[dict[str, Any]]) -> float:
    (series,) = found
    return float(series["value"][1])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Pushgateway."""
    with servers.pushgateway(tmp_path_factory.mktemp("pushgateway")) as address:
        yield address


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, gateway: str) -> Iterator[str]:
    """The address of a Prometheus that scrapes it, and has our rules."""
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(MONITORING / "alerts.yml")],
        "scrape_configs": [
            {"job_name": "pushgateway", "honor_labels": True, "static_configs": [{"targets": [gateway.removeprefix("http://")]}]}
        ],
    }
    with servers.prometheus(tmp_path_factory.mktemp("prometheus"), json.dumps(config)) as address:
        yield address


# From a look to Prometheus -------------------------------------------------------------------------------------------------------


def test_what_was_found_reaches_prometheus_through_a_pushgateway(tmp_path: Path, gateway: str, prometheus: str) -> None:
    write(tmp_path, records("pushed"))
    code, said, outputs = openmetrics(tmp_path, "--pushgateway", gateway)
    assert (code, outputs) == (0, {"pushed": "true"}), said
    about = 'job="modelship",model="pushed",environment="production",record="monitor",version="7"'
    found = eventually(prometheus, f'modelship_performance_value{{{about},metric="roc_auc",slice=""}}')
    assert value(found) == pytest.approx(0.696)
    assert value(query(prometheus, f"modelship_batch_labelled_rows{{{about}}}")) == 9_500
    assert value(query(prometheus, 'modelship_retrain_wanted{model="pushed",record="retrain",version="7"}')) == 1
    assert value(query(prometheus, 'modelship_live_version_info{model="pushed",record="deployment",version="7"}')) == 1
    (slice_,) = query(prometheus, 'modelship_performance_state{model="pushed",slice!="",state="fail"} == 1')
    assert slice_["metric"]["slice"] == 'plan plus "\\'
    columns = {
        float(series["value"][1]): series["metric"]["column"]
        for series in query(prometheus, 'modelship_column_drift_distance{model="pushed"}')
    }
    shown = ['say "hi"\\', "one two #", "x" * 99 + "… #", "x" * 99 + "… #", "gnp.exe #", "a\\nb", "café ☕", '",evil="1']
    for number, beginning in enumerate(shown, start=1):
        assert columns[number].startswith(beginning)
    assert len(set(columns.values())) == len(HOSTILE)
    assert query(prometheus, '{evil!=""}') == []
    raised = {series["metric"]["alertname"] for series in eventually(prometheus, 'ALERTS{model="pushed",alertname="ModelshipDrift"}')}
    raised |= {series["metric"]["alertname"] for series in query(prometheus, 'ALERTS{model="pushed"}')}
    assert raised >= {
        "ModelshipPerformanceLost", "ModelshipSliceLost", "ModelshipDataBroken", "ModelshipDrift", "ModelshipRetrainWanted",
    }  # fmt: skip


def test_a_later_look_leaves_nothing_of_the_one_before_and_touches_nothing_else(tmp_path: Path, gateway: str) -> None:
    def held(model: str) -> set[tuple[str, str]]:
        """Families and records that the gateway holds of a model, but for its own."""
        with urllib.request.urlopen(f"{gateway}/api/v1/metrics") as answer:
            groups = [group for group in json.load(answer)["data"] if group["labels"].get("model") == model]
        return {(name, group["labels"]["record"]) for group in groups for name in group if name.startswith("modelship_")}

    write(tmp_path, records("looked-twice"))
    assert openmetrics(tmp_path, "--pushgateway", gateway)[0] == 0
    before = held("looked-twice")
    assert ("modelship_performance_value", "monitor") in before
    failed = MonitorRecord(model="looked-twice", status="error", summary="no log", started_at="2026-12-04T10:00:00+00:00")
    write(tmp_path, {"monitor": failed})
    assert openmetrics(tmp_path, "--pushgateway", gateway)[0] == 0
    after = held("looked-twice")
    assert {name for name, record in after if record == "monitor"} == {
        "modelship_status", "modelship_last_run_timestamp_seconds", "modelship_last_run_duration_seconds",
    }  # fmt: skip
    assert {pair for pair in after if pair[1] != "monitor"} == {pair for pair in before if pair[1] != "monitor"}


def test_prometheus_reads_the_text_as_openmetrics(tmp_path: Path) -> None:
    code, text, _ = openmetrics(write(tmp_path, records("read")))
    assert code == 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        job = {"job_name": "file", "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]}
        config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}
        with servers.prometheus(tmp_path / "prometheus", json.dumps(config)) as address:
            assert value(eventually(address, 'modelship_batch_rows{model="read"}')) == 10_000
            series = [line for line in text.splitlines() if not line.startswith("#")]
            assert value(query(address, 'count({__name__=~"modelship_.+"})')) == len(series)
        server.shutdown()


def test_a_text_file_is_whole_and_passes_the_linter(tmp_path: Path) -> None:
    write(tmp_path, records("written"))
    path = tmp_path / "collected" / "written.prom"
    path.parent.mkdir()
    (tmp_path / "elsewhere").write_text("untouched")
    path.symlink_to(tmp_path / "elsewhere")
    code, said, outputs = openmetrics(tmp_path, "--textfile", str(path))
    assert (code, outputs) == (0, {"pushed": "false"}), said
    assert [file.name for file in path.parent.iterdir()] == ["written.prom"]
    assert (tmp_path / "elsewhere").read_text() == "untouched"
    assert path.stat().st_mode & 0o044, "the collector is somebody else"
    promtool("check", "metrics", stdin=path.read_bytes())
    assert path.read_text() == openmetrics(tmp_path)[1]


# What goes wrong -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strict", "code"), [((), 0), (("--strict",), 3)])
def test_a_lost_push_is_told_and_changes_nothing_unless_asked_to(
    tmp_path: Path, gateway: str, strict: tuple[str, ...], code: int
) -> None:
    write(tmp_path, records("refused"))
    status, said, outputs = openmetrics(tmp_path, "--pushgateway", f"{gateway}/nowhere", *strict)
    assert (status, outputs) == (code, {"pushed": "false"})
    assert "answered 404: metrics are not up to date there" in said


def test_metrics_that_the_gateway_cannot_take_are_a_lost_push(tmp_path: Path) -> None:
    """Somebody else's family of the same name and another type is in their way."""
    body = b"# TYPE modelship_batch_rows counter\nmodelship_batch_rows 1\n"
    with servers.pushgateway(tmp_path / "gateway") as address:
        urllib.request.urlopen(urllib.request.Request(f"{address}/metrics/job/stranger", body, method="PUT")).close()
        status, said, outputs = openmetrics(write(tmp_path, records("in-the-way")), "--pushgateway", address)
    assert (status, outputs) == (0, {"pushed": "false"})
    assert "answered 400" in said


def test_nobody_at_the_address_is_asked_three_times() -> None:
    slept: list[float] = []
    groups = groups_of({"retrain": decided()})
    with pytest.raises(InfrastructureError, match="did not answer"):
        push(f"http://127.0.0.1:{servers.free_port()}", groups, {}, slept.append)
    assert len(slept) == 2


def test_credentials_let_in_and_wrong_ones_do_not(tmp_path: Path) -> None:
    write(tmp_path, {"retrain": decided()})
    with servers.pushgateway(tmp_path / "gateway", json.dumps({"basic_auth_users": {"team": PASSWORD_HASH}})) as address:
        right = {"PUSHGATEWAY_USERNAME": "team", "PUSHGATEWAY_PASSWORD": PASSWORD}
        assert openmetrics(tmp_path, "--pushgateway", address, **right)[2] == {"pushed": "true"}
        status, said, outputs = openmetrics(tmp_path, "--pushgateway", address, **{**right, "PUSHGATEWAY_PASSWORD": "s3cret-guess"})
    assert (status, outputs) == (0, {"pushed": "false"})
    assert "answered 401" in said
    assert "s3cret" not in said


@contextmanager
def hearing(status: int, location: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that gives this answer; paths and credentials that it was asked with."""
    heard: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers.get("Authorization", "")))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def test_a_token_is_sent_and_never_to_where_a_redirect_leads(tmp_path: Path) -> None:
    write(tmp_path, {"retrain": decided()})
    with hearing(202) as (elsewhere, leaked), hearing(307, elsewhere) as (address, heard):
        assert openmetrics(tmp_path, "--pushgateway", f"{address}/behind/", PUSHGATEWAY_TOKEN="t0ken")[2] == {"pushed": "false"}
    assert heard == [("/behind/metrics/job/modelship/model/churn/record/retrain", "Bearer t0ken")]
    assert leaked == []


@pytest.mark.parametrize(
    ("address", "environ", "told"),
    [
        ("pushgateway:9091", {}, "no address"),
        ("file:///etc/passwd", {}, "no address"),
        ("http://[", {}, "no address"),
        ("http://host:port", {}, "no address"),
        ("https://host/?a=b", {}, "no address"),
        ("https://team:s3cret@host", {}, "holds credentials"),
        ("http://pushgateway:9091", {"PUSHGATEWAY_TOKEN": "s3cret"}, "for everybody to read"),
        ("https://host", {"PUSHGATEWAY_TOKEN": "s3cret", "PUSHGATEWAY_USERNAME": "team"}, "both set"),
    ],
)
def test_addresses_and_credentials_that_are_refused(address: str, environ: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        push(address, groups_of({"retrain": decided()}), environ)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--textfile", "churn.txt"), "does not end with `.prom`"),
        (("--textfile", "nowhere/churn.prom"), "cannot be written: No such file or directory"),
        (("--environment", "../production"), "the environment cannot be called"),
        (("--model", "a/b"), "the model cannot be called"),
    ],
)
def test_input_that_is_refused(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    code, said, _ = openmetrics(write(tmp_path, {"retrain": decided()}), *arguments)
    assert code == 2
    assert told in said


def test_a_record_that_is_none_and_a_model_that_is_a_path_are_refused(tmp_path: Path) -> None:
    assert openmetrics(write(tmp_path, {"retrain": decided(model="..")}))[0] == 2
    (tmp_path / ".modelship/retrain.json").write_text("{}")
    assert openmetrics(tmp_path)[0] == 2


# What comes with it --------------------------------------------------------------------------------------------------------------


def test_alert_rules_are_valid_and_do_what_their_tests_say() -> None:
    promtool("check", "rules", MONITORING / "alerts.yml")
    promtool("test", "rules", MONITORING / "alerts.test.yml")


def expressions(dashboard: Any) -> list[str]:
    """Every expression of the dashboard, for the model `drawn` and all else at "All"."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    for variable in dashboard["templating"]["list"]:
        chosen = "drawn" if variable["name"] == "model" else ".*"
        found = [expression.replace(f"${variable['name']}", chosen) for expression in found]
    return found


def test_every_expression_of_the_dashboard_returns_data(tmp_path: Path, gateway: str, prometheus: str) -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    write(tmp_path, records("drawn"))
    assert openmetrics(tmp_path, "--pushgateway", gateway)[0] == 0
    eventually(prometheus, 'modelship_live_version_info{model="drawn"}')
    asked = expressions(dashboard)
    assert len(asked) > 20
    for expression in asked:
        assert "$" not in expression
        assert query(prometheus, expression), expression


def test_the_choices_of_the_dashboard_are_there(tmp_path: Path, gateway: str, prometheus: str) -> None:
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    write(tmp_path, records("chosen"))
    assert openmetrics(tmp_path, "--pushgateway", gateway)[0] == 0
    eventually(prometheus, 'modelship_live_version_info{model="chosen"}')
    wanted = {"model": "chosen", "environment": "production", "metric": "roc_auc"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = variable["definition"].removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
            values = {series["metric"].get(label) for series in query(prometheus, selector.replace("$model", "chosen"))}
            assert wanted[variable["name"]] in values
