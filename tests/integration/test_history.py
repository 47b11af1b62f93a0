"""`modelship history` as a user runs it: on a real MLflow server with a ledger, and opened in a browser."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from docs.picture import browse
from mlflow import MlflowClient

from modelship.core.records import Acceptance, Baseline, MetricGateRecord, MetricVerdict, encode
from modelship.deployment.ledger import Action, Entry
from modelship.deployment.log import Log
from modelship.history.past import Past, Question
from modelship.history.read import read
from modelship.monitoring.history import Asked
from modelship.monitoring.kept import keep_asked, remember
from modelship.monitoring.questions import Ask, Remember
from modelship.registry.runs import ARTIFACTS, TAG_COMMIT, TAG_KEY
from modelship.registry.version import GATE, TAG_ACCEPTED, TAG_DIGEST, TAG_RUN_URL, TAG_VERDICT
from modelship.reporting.html import render_page
from tests.histories import WEEK, batch, looked, past, report
from tests.integration.test_monitor import run
from tests.integration.test_report_page import ATTACKS, listening, opened, title
from tests.unit.test_history import hostile

MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
RUN = "https://github.com/acme/flights/actions/runs/7"


def draw(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, dict[str, str]]:
    """Exit code, output, and outputs of the command."""
    return run(folder, "history", *arguments, **variables)


class Server:
    """An MLflow server on which a model has a past."""

    def __init__(self, uri: str, name: str, folder: Path) -> None:
        self.uri, self.name, self.folder = uri, name, folder
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.client.create_registered_model(name)
        self.experiment = self.client.create_experiment(name)
        config = {"model": name, "deploy": {"environments": {"production": {"target": {"directory": "served"}}}}}
        (folder / "modelship.yaml").write_text(json.dumps(config))

    def register(self, change: float, accepted: str = "", gate: bytes | None = None) -> int:
        """A version, with the record of its gate."""
        run_id = self.client.create_run(self.experiment).info.run_id
        verdict = MetricVerdict(
            metric="roc_auc", state="pass", reason="within the margin", better="higher", baseline=0.74, candidate=0.74 + change,
            change=change, margin=0.005, interval=(change - 0.004, change + 0.004),
        )  # fmt: skip
        acceptance = Acceptance(by="mira", reason="the holdout is odd", url=f"{RUN}#c", commit="0" * 40)
        record = MetricGateRecord(
            status="pass", summary="", baseline=Baseline(kind="champion", label="champion v1"), metrics=(verdict,), confidence=0.95,
            acceptance=acceptance if accepted else None,
        )  # fmt: skip
        path = self.folder / GATE
        path.write_bytes(encode(record) if gate is None else gate)
        self.client.log_artifact(run_id, str(path), ARTIFACTS)
        ours = {TAG_KEY: run_id, TAG_DIGEST: f"sha256:{'0' * 64}", TAG_COMMIT: "0" * 40, TAG_VERDICT: "pass", TAG_RUN_URL: RUN}
        return int(
            self.client.create_model_version(
                self.name, f"runs:/{run_id}/model", run_id, tags=ours | ({TAG_ACCEPTED: accepted} if accepted else {})
            ).version
        )

    def bring(self, version: int, action: Action = Action.DEPLOY, reason: str = "") -> None:
        """Deploy a version, or roll back to it."""
        ledger = Log(self.uri, self.name)
        begins = Entry(
            environment="production", action=action, version=version, key=f"{action} {version}", lease=60, actor="dana", reason=reason,
            expects=ledger.state().environment("production").newest, url=RUN,
        )  # fmt: skip
        begun = ledger.append(begins).entry
        assert begun
        assert ledger.append(begun.ended(Action.GOOD, reason)).entry

    def look(self, weeks_ago: int, version: int, value: float = 0.74, status: str = "pass") -> None:
        """Keep what `monitor` would have kept."""
        seen = looked(batch(MIDNIGHT - weeks_ago * WEEK, version, value, drift=True, drifted=("temp",)), status)
        path = self.folder / "look.json"
        path.write_bytes(encode(seen))
        assert seen.batch
        start = seen.batch.start.isoformat()
        remember(Remember(tracking_uri=self.uri, name=self.name, version=version, start=start, record=str(path)))

    def past(self, **bounds: int) -> Past:
        return read(Question(tracking_uri=self.uri, name=self.name, **bounds))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mlflow: str) -> Server:
    """v1 was deployed, then v2, of which a regression had been accepted; that was rolled back."""
    found = Server(mlflow, "late-flights", tmp_path_factory.mktemp("history"))
    found.register(0.001)
    found.register(-0.02, accepted="mira: the holdout is odd")
    found.register(0.003, gate=b"{}")
    found.bring(1)
    found.bring(2)
    for weeks_ago, version in ((4, 1), (3, 2), (2, 2), (1, 1)):
        found.look(weeks_ago, version)
    found.look(2, 2, 0.70, "fail")
    found.bring(1, Action.ROLLBACK, "late flights that were on time")
    asked = Asked(at=datetime.now(UTC) - timedelta(hours=1), why="drift: in 2 batches in a row")
    keep_asked(Ask(tracking_uri=mlflow, name=found.name, version=2, newest="x", asked=asked))
    return found


def test_a_past_is_read_whole(server: Server) -> None:
    known = server.past()
    assert [(one.version, len(one.metrics), one.accepted) for one in known.versions] == [
        (3, 0, ""),
        (2, 1, "mira: the holdout is odd"),
        (1, 1, ""),
    ]
    assert known.versions[1].accepted_url == f"{RUN}#c"
    assert [(entry.action, entry.version) for entry in known.entries[-2:]] == [(Action.ROLLBACK, 1), (Action.GOOD, 1)]
    assert [(one.version, one.status) for one in known.records] == [(1, "pass"), (2, "pass"), (2, "fail"), (1, "pass")]
    assert [one.why for one in known.asked] == ["drift: in 2 batches in a row"]


def test_the_newest_are_read_where_there_are_too_many(server: Server) -> None:
    known = server.past(most_versions=1, most_batches=2)
    assert [one.version for one in known.versions] == [3]
    assert [record.batch.start for record in known.records if record.batch] == [MIDNIGHT - 2 * WEEK, MIDNIGHT - WEEK]
    assert (known.older_versions, known.older_batches) == (2, 2)
    assert server.past(most_batches=0).records == ()


def test_a_page_and_a_badge_are_made_and_told(server: Server) -> None:
    code, said, outputs = draw(server.folder, MLFLOW_TRACKING_URI=server.uri)
    assert code == 0, said
    assert (outputs["state"], outputs["version"], outputs["folder"]) == ("rolled back", "1", "history")
    page = (server.folder / outputs["page"]).read_text()
    for told in ("v1 is live again", "late flights that were on time", "mira: the holdout is odd", "dana", f'<a href="{RUN}"'):
        assert told in page
    drawn = ElementTree.parse(server.folder / outputs["badge"]).getroot()
    assert [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")] == ["late-flights", "v1 live · rolled back"]
    assert "v1 is live again" in (server.folder / "summary.md").read_text()
    later = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    code, said, outputs = draw(server.folder, "--now", later, "--output", "site/flights", MLFLOW_TRACKING_URI=server.uri)
    assert (code, outputs["page"]) == (0, "site/flights/index.html"), said


def test_a_model_that_is_registered_and_nothing_more_has_a_page(tmp_path: Path, mlflow: str) -> None:
    server = Server(mlflow, "flight-new", tmp_path)
    code, said, outputs = draw(tmp_path, MLFLOW_TRACKING_URI=mlflow)
    assert (code, outputs["state"], outputs["version"]) == (0, "unknown", ""), said
    assert "nothing is live yet" in (tmp_path / outputs["page"]).read_text()
    assert server.past() == Past()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--registered-name", "nobody"), "no model is registered as `nobody`"),
        (("--environment", "nowhere"), "has no `nowhere`"),
        (("--now", "soon"), "--now"),
        (("--output", "modelship.yaml"), "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_bad_input(server: Server, arguments: tuple[str, str], told: str) -> None:
    code, said, outputs = draw(server.folder, *arguments, MLFLOW_TRACKING_URI=server.uri)
    assert (code, told in said, outputs) == (2, True, {}), said


def test_a_server_that_does_not_answer_is_infrastructure(server: Server) -> None:
    code, said, _ = draw(server.folder, "--tracking-uri", "http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert code == 3, said


def test_in_a_browser_nothing_of_anybody_runs(tmp_path: Path) -> None:
    with listening() as (url, asked):
        for attack in (*ATTACKS, f"</svg></title><img src='{url}/x'><image href='{url}/y'/><style>@import '{url}/z'</style>"):
            assert title(opened(tmp_path, render_page(report(hostile(attack))))).endswith("in trouble")
    assert asked == []


def test_a_browser_draws_the_pictures(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_page(report(past())), encoding="utf-8")
    shown = browse("--dump-dom", path.as_uri())
    assert shown.count("<svg") == render_page(report(past())).count("<svg") == 4
    # What an HTML parser moves out of a drawing is no longer in it.
    assert len(re.findall(r"<circle [^>]*>", shown)) == render_page(report(past())).count("<circle")


def test_a_record_is_read_without_what_it_says_of_columns(server: Server) -> None:
    assert all((one.quality, one.drift, one.performance) == (None, None, None) for one in server.past().records)
    assert len(msgspec.json.encode(server.past())) < 20_000
