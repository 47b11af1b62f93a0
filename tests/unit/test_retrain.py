"""From the records of `monitor` to a decision: what is read, what is said, and what follows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from modelship.commands.retrain import command
from modelship.core.config import load_config
from modelship.core.errors import BadInput, Problem
from modelship.core.records import Batch, Measured, MonitorRecord, Promise, RetrainRecord, RetrainTrigger, encode, read_record
from modelship.monitoring.decide import Rules
from modelship.monitoring.history import Asked
from modelship.monitoring.retrain import asking, history_of, inputs, read_folder, retrain, rules
from modelship.reporting import html, markdown, terminal
from modelship.reporting.report import Facts, build_report
from modelship.reporting.retraining import Seen, Started, build_retrain_report, is_trouble

RELEASED = datetime(2026, 8, 3, tzinfo=UTC)
WEEK = timedelta(days=7)


def look(number: int, value: float | None = 0.74, **changed: Any) -> MonitorRecord:
    """What `monitor` said of a week after release."""
    start = RELEASED + number * WEEK
    measured = () if value is None else (Measured(metric="roc_auc", value=value, standard_error=0.01, rows=1_000),)
    batch = Batch(
        start=start, end=start + WEEK, version=7, rows=1_200, labelled=1_000, is_complete=True, measured=measured, drift=False
    )
    record = MonitorRecord(
        status="pass",
        summary="x",
        started_at=(start + 2 * WEEK).isoformat(),
        name="churn",
        version=7,
        trained_at=RELEASED,
        training_rows=30_000,
        promises=(Promise(metric="roc_auc", value=0.744, standard_error=0.004, better="higher", max_loss=0.02),),
        batch=batch,
    )
    return msgspec.structs.replace(record, **changed)


def keep(folder: Path, *records: MonitorRecord) -> Path:
    for number, record in enumerate(records):
        path = folder / f"week-{number}" / "monitor.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(encode(record))
    return folder


def team(folder: Path, **section: Any) -> Path:
    path = folder / "modelship.yaml"
    path.write_text(json.dumps({"model": "churn", "retrain": section}))
    return path


# What is known.


def test_the_version_that_was_looked_at_last_is_the_live_one() -> None:
    old = [look(number) for number in range(3)]
    batch = old[0].batch
    assert batch
    later = RELEASED + 10 * WEEK
    new = look(10, batch=msgspec.structs.replace(batch, start=later, end=later + WEEK, version=8), version=8, trained_at=later)
    known = history_of([*old, new])
    assert (known.version, known.trained_at, len(known.batches)) == (8, later, 4)


def test_of_two_looks_at_a_batch_the_last_one_counts() -> None:
    early = look(0, None)
    late = look(0, 0.6, started_at=(RELEASED + 9 * WEEK).isoformat())
    for records in ([early, late], [late, early]):
        [batch] = history_of(records).batches
        assert [one.value for one in batch.measured] == [0.6]


def test_nothing_seen_is_nothing_to_decide_from() -> None:
    with pytest.raises(BadInput, match="nobody has looked"):
        history_of([look(0, batch=None)])
    with pytest.raises(BadInput, match="when v7 was released is not known"):
        history_of([look(0, trained_at=None)])


def test_a_folder_of_records_is_read_whole(tmp_path: Path) -> None:
    assert len(read_folder(keep(tmp_path, look(0), look(1)))) == 2
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(BadInput, match=r"other\.json"):
        read_folder(tmp_path)
    with pytest.raises(BadInput, match="holds no record"):
        read_folder(tmp_path / "nowhere")


# What the team asks for.


def test_the_section_says_what_counts(tmp_path: Path) -> None:
    assert rules(load_config(team(tmp_path)).config.retrain) == Rules()
    asked = {
        "performance": False,
        "drift": 0,
        "max-age": "90d",
        "new-rows": "50%",
        "cooldown": "1w",
        "budget": {"retrains": 2, "per": "30d"},
    }
    found = rules(load_config(team(tmp_path, **asked)).config.retrain)
    assert (found.performance, found.drift, found.new_rows, found.new_share) == (False, None, None, 0.5)
    assert (found.max_age, found.cooldown) == (timedelta(days=90), WEEK)
    assert (found.most, found.per) == (2, timedelta(days=30))
    assert rules(load_config(team(tmp_path, **{"new-rows": 10_000})).config.retrain).new_rows == 10_000


def test_inputs_are_given_as_the_team_wrote_them(tmp_path: Path) -> None:
    given = {"why": "{reason}", "text": "v{version}: {reason} {other} {}", "fixed": "full"}
    loaded = load_config(team(tmp_path, workflow="train.yml", inputs=given))
    record = retrain(loaded, history_of([look(0), look(1, 0.6)]), RELEASED + 4 * WEEK)
    odd = msgspec.structs.replace(record.triggers[0], told="{version}\n\x1b[31m" + "x" * 5_000)
    found = inputs(loaded.config.retrain, msgspec.structs.replace(record, triggers=(odd,)))
    assert found["fixed"] == "full"
    assert found["why"].startswith("performance: {version} ")
    assert (len(found["why"]), found["why"].isprintable()) == (1_000, True)
    assert found["text"] == f"v7: {found['why']} {{other}} {{}}"
    assert inputs(load_config(team(tmp_path, workflow="train.yml")).config.retrain, record) == {}


@pytest.mark.parametrize(
    "section",
    [
        {"workflow": ".github/workflows/train.yml"},
        {"workflow": "train"},
        {"workflow": "../train.yml"},
        {"inputs": {"a b": "x"}},
        {"inputs": {f"i{number}": "x" for number in range(26)}},
    ],
)
def test_what_no_workflow_is_called_is_refused(tmp_path: Path, section: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="retrain"):
        load_config(team(tmp_path, **section))


@pytest.mark.parametrize("section", [{"new-rows": 0}, {"new-rows": "half"}, {"drift": -1}, {"cooldown": "soon"}, {"max-agee": "90d"}])
def test_what_makes_no_sense_is_refused(tmp_path: Path, section: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="retrain"):
        load_config(team(tmp_path, **section))


# The record and the command.


def test_the_record_says_why(tmp_path: Path) -> None:
    loaded = load_config(team(tmp_path))
    now = RELEASED + 4 * WEEK
    calm = retrain(loaded, history_of([look(0), look(1)]), now)
    assert (calm.status, calm.retrain, calm.summary) == ("pass", False, "v7 stays: nothing asks for a retrain.")
    known = history_of([look(0), look(1, 0.6)])
    lost = retrain(loaded, known, now)
    assert (lost.status, lost.retrain, lost.in_trouble, lost.batches, lost.newest) == ("warn", True, True, 2, RELEASED + 2 * WEEK)
    assert lost.summary.startswith("v7 is to be trained again (performance: roc_auc 0.744 → 0.6, a loss of 0.14 [")
    held = retrain(loaded, msgspec.structs.replace(known, asked=(asking(lost, now - WEEK),)), now)
    assert (held.status, held.retrain, held.held_back) == ("warn", False, "a retrain was asked for 7 days ago")
    assert held.summary.endswith(", but a retrain was asked for 7 days ago, until 2026-09-07.")
    assert asking(lost, now) == Asked(at=now, why=f"performance: {lost.triggers[0].told}", version=7)


def decide(folder: Path, *arguments: str) -> tuple[int, str, RetrainRecord | None]:
    found = CliRunner().invoke(command, ["--config", str(folder / "modelship.yaml"), *arguments])
    record = read_record(folder / ".modelship/retrain.json", "retrain")
    assert record is None or isinstance(record, RetrainRecord)
    return found.exit_code, found.output, record


def test_the_command_decides_from_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    team(tmp_path)
    history = keep(tmp_path / "seen", look(0), look(1, 0.6))
    code, said, record = decide(tmp_path, "--history", str(history), "--now", "2026-08-31")
    assert code == 0, said
    assert record
    assert record.retrain
    assert "● performance: roc_auc 0.744 → 0.6" in said
    code, said, record = decide(tmp_path)
    assert (code, record and record.status) == (2, "error")
    assert "MLFLOW_TRACKING_URI" in said


# What people are told.


def decided(**changed: Any) -> RetrainRecord:
    """A loss, as it was decided on."""
    trigger = RetrainTrigger(trigger="performance", fires=True, told="roc_auc 0.744 → 0.6")
    record = RetrainRecord(
        status="warn", summary="v7 is to be trained again.", version=7, retrain=True, in_trouble=True, triggers=(trigger,)
    )
    return msgspec.structs.replace(record, **changed)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"retrain": False, "held_back": "a retrain was asked for 2 days ago"}, True),
        ({"in_trouble": False, "retrain": False, "held_back": "4 retrains in 90 days"}, True),
        ({"in_trouble": False, "status": "error"}, True),
        ({"in_trouble": False, "triggers": (RetrainTrigger(trigger="age", fires=True, told="90 days"),)}, False),
        ({"in_trouble": False, "retrain": False, "status": "pass", "triggers": ()}, False),
    ],
)
def test_people_are_told_of_trouble_alone(changed: dict[str, Any], expected: bool) -> None:
    assert is_trouble(decided(**changed)) is expected


@pytest.mark.parametrize(
    ("changed", "light", "headline"),
    [
        ({"dispatched": True}, "warn", "v7 does worse than it promised"),
        (
            {"triggers": (RetrainTrigger(trigger="drift", fires=True, told="x"),)},
            "warn",
            "the data has moved away from what v7 learned from",
        ),
        (
            {"triggers": (RetrainTrigger(trigger="age", fires=True, told="x"),), "in_trouble": False},
            "warn",
            "v7 is due to be trained again",
        ),
        (
            {"triggers": (RetrainTrigger(trigger="age", fires=True, told="x"),), "in_trouble": False, "dispatched": True},
            "warn",
            "v7 is being trained again",
        ),
        ({"status": "error", "problems": (Problem("GitHub did not dispatch."),)}, "fail", "v7 could not be trained again"),
        ({"status": "pass", "triggers": (), "in_trouble": False, "retrain": False}, "pass", "v7 does what it should"),
    ],
)
def test_the_headline_says_what_is_wrong(changed: dict[str, Any], light: str, headline: str) -> None:
    report = build_retrain_report("churn", decided(**changed), Seen(), Facts())
    assert (report.light, report.headline) == (light, headline)


def test_the_issue_shows_the_last_batches_and_what_was_started() -> None:
    batches = []
    for number in range(10):
        record = look(number, None if number == 9 else 0.75 - number / 100)
        assert record.batch
        batches.append(msgspec.structs.replace(record.batch, drift=None if number == 9 else number == 8, drifted=tuple("abcde")))
    started = [Started(RELEASED, 7, "drift: in 2 batches in a row", "https://github.com/acme/x/actions/runs/42")]
    facts = Facts(run="run 7", run_url="https://github.com/acme/x/actions/runs/7", sites=frozenset({"https://github.com"}))
    report = build_retrain_report(
        "churn", decided(dispatched=True, workflow="train.yml"), Seen(batches, look(0).promises, started), facts
    )
    assert report.table
    assert [row.light for row in report.table.rows] == ["pass", *["warn"] * 6, "pass"], "newest first, eight of them"
    text = markdown.render_comment(report).replace("&nbsp;", " ")
    assert "| 🟡 | 2026-09-28 to 2026-10-05 | 1,200 | 1,000 | 0.6700 | a, b, c, and 2 more |" in text
    assert "| 🟢 | 2026-10-05 to 2026-10-12 | 1,200 | 1,000 | — | not measured |" in text
    assert "2026-08-10" not in text
    assert "[42](https://github.com/acme/x/actions/runs/42)" in text
    assert text.rstrip().endswith("<!-- modelship:churn:retrain -->")
    elsewhere = build_retrain_report("churn", decided(), Seen(started=started), Facts())
    assert "](https://github.com/acme" not in markdown.render_comment(elsewhere)
    for shown in (html.render_page(report), terminal.render(report)):
        assert "train.yml was started." in shown


def test_however_much_there_is_to_tell_github_takes_it() -> None:
    told = RetrainTrigger(trigger="drift", fires=True, told="| <b> @mona " * 150)
    started = [Started(RELEASED, 7, "drift " * 300) for _ in range(500)]
    record = decided(triggers=(told,) * 40, problems=(Problem("x" * 1500),) * 20, status="error", summary="y" * 2000)
    text = markdown.render_comment(build_retrain_report("churn", record, Seen(started=started), Facts()))
    assert len(text.encode()) <= markdown.MAX_BYTES
    assert text.rstrip().endswith("<!-- modelship:churn:retrain -->")
    assert "@mona" not in text


def test_a_look_at_production_is_no_verdict_on_the_commit() -> None:
    assert build_report("churn", {"monitor": look(0), "retrain": decided()}, Facts()).topic == "production"
