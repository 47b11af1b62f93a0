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
from modelship.core.errors import BadInput
from modelship.core.records import Batch, Measured, MonitorRecord, Promise, RetrainRecord, encode, read_record
from modelship.monitoring.decide import Rules
from modelship.monitoring.history import Asked
from modelship.monitoring.retrain import asking, history_of, read_folder, retrain, rules

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
    assert asking(lost, now) == Asked(at=now, why=f"performance: {lost.triggers[0].told}")


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
