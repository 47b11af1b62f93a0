"""What `make year` makes of the months that the workflows went through."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from modelship.core.config import LoadedConfig, load_config
from modelship.core.records import BacktestValue, RetrainRecord, RetrainTrigger
from modelship.monitoring.windows import MONTH, Window, moved
from modelship.reporting.backtest import headline, picture
from tests.e2e.year import METRIC, START, Month, moved_ahead, reasons, summarised, table, watched

TEMPLATE = Path(__file__).resolve().parents[2] / "template-repo"
ROWS = 1_000


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedConfig:
    """The configuration that the template is watched by."""
    path = tmp_path / "modelship.yaml"
    path.write_text(watched((TEMPLATE / "modelship.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    return load_config(path)


def answers(folder: Path, name: str, noise: float) -> Path:
    """What a version says of a thousand flights; the less noise, the better it is."""
    random = np.random.default_rng(7)
    truth = random.integers(0, 2, ROWS)
    score = 1 / (1 + np.exp(-(truth - 0.5 + noise * random.normal(size=ROWS))))
    path = folder / f"{name}.parquet"
    columns = {"flight_id": range(ROWS), "truth": truth, "prediction": (score >= 0.5).astype(int), "score": score}
    pd.DataFrame(columns).to_parquet(path, index=False)
    return path


def decision(**fires: bool) -> RetrainRecord:
    triggers = tuple(RetrainTrigger(trigger=name, fires=one, told=f"what {name} found") for name, one in fires.items())  # type: ignore[arg-type]
    return RetrainRecord(model="flight-delay", status="pass", summary="", retrain=any(fires.values()), triggers=triggers)


def months(folder: Path, *, blocked: str = "") -> list[Month]:
    """August is answered by the first version; what is trained when it is over answers September, unless it is blocked."""
    worse, better = answers(folder, "worse", 2.0), answers(folder, "better", 1.0)
    august, september = (Window(start, moved(MONTH, start, 1)) for start in (START, moved(MONTH, START, 1)))
    asked = decision(performance=True, drift=False)
    came = "" if blocked else "v2 is live"
    return [
        Month(august, START, worse, worse, asked, came, blocked),
        Month(september, START if blocked else august.end, worse if blocked else better, worse, decision(performance=False)),
    ]


def of(values: tuple[BacktestValue, ...]) -> BacktestValue:
    return next(value for value in values if value.metric == METRIC)


def test_what_a_retrain_has_gained_is_told_of_the_same_flights(loaded: LoadedConfig, tmp_path: Path) -> None:
    record = summarised(loaded, months(tmp_path))
    once, rules = record.ways
    assert [way.way for way in record.ways] == ["once", "rules"]
    assert (once.steps, once.gained) == ((), ())
    assert [of(batch.measured) for batch in once.batches[:1]] == [of(batch.measured) for batch in rules.batches[:1]]
    august, september = rules.batches
    assert (august.rows, of(august.gained).value, of(august.gained).high) == (ROWS, 0.0, 0.0)
    assert of(september.gained).low > 0
    difference = of(september.measured).value - of(once.batches[1].measured).value
    assert of(september.gained).value == pytest.approx(difference)
    assert of(rules.gained).value == pytest.approx(difference / 2), "each month weighs as many flights as it has"
    (step,) = rules.steps
    assert (step.at, step.retrain, step.told, step.failed) == (august.end, True, "performance: what performance found; v2 is live", "")
    assert record.summary.startswith("retraining on 2013-09-01 would have gained")
    assert [mark.kind for mark in picture(record, METRIC).marks] == ["asked"]


def test_a_retrain_that_the_gate_blocked_has_gained_nothing(loaded: LoadedConfig, tmp_path: Path) -> None:
    record = summarised(loaded, months(tmp_path, blocked="blocked: roc_auc is too low"))
    assert [mark.kind for mark in picture(record, METRIC).marks] == ["failed"]
    assert record.summary == "no retrain gave a model in 2 batches from 2013-08-01 to 2013-10-01"
    assert headline(record) == "whether retraining would have helped cannot be told"
    row = list(table(record))[2]
    assert row.endswith("| **train again**: performance: what performance found; blocked: roc_auc is too low |")


def test_the_table_has_a_row_for_each_month(loaded: LoadedConfig, tmp_path: Path) -> None:
    rows = list(table(summarised(loaded, months(tmp_path)), "the last word"))
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {5}
    august, september = rows[2:]
    once, live = august.split(" | ")[1:3]
    assert august.startswith("| August | 0.")
    assert once == live
    once, live = september.split(" | ")[1:3]
    assert once < live
    assert september.endswith("| the last word |")


def test_the_reasons_are_those_that_decided() -> None:
    assert reasons(decision(performance=True, drift=False)) == "performance: what performance found"
    assert reasons(decision(performance=False, drift=False)) == "performance: what performance found; drift: what drift found"
    held = RetrainRecord(
        model="flight-delay",
        status="warn",
        summary="",
        triggers=decision(drift=True).triggers,
        held_back="it was asked for 3 days ago",
    )
    assert reasons(held) == "drift: what drift found; it was asked for 3 days ago"


def test_each_month_moves_on_what_is_learnt_and_what_judges() -> None:
    text = (TEMPLATE / "params.yaml").read_text(encoding="utf-8")
    moved_on = moved_ahead(moved_ahead(text, datetime(2013, 8, 1, tzinfo=UTC)), datetime(2013, 9, 1, tzinfo=UTC))
    before, after = (YAML(typ="safe", pure=True).load(one) for one in (text, moved_on))
    split = {"train": ["2013-01", "2013-08"], "holdout": ["2013-09", "2013-09"], "production": ["2013-10", "2013-12"]}
    assert after == before | {"split": split}
    with pytest.raises(ValueError, match="train 0 times"):
        moved_ahead("features: []", START)


def test_the_template_is_watched_by_the_month(loaded: LoadedConfig) -> None:
    config = loaded.config
    assert (config.monitor.batch, config.gate.baseline, config.retrain.max_age) == ("month", "champion", None)
    assert {name: loss.max_loss for name, loss in (config.monitor.metrics or {}).items()} == {"roc_auc": 0.02, "log_loss": 0.02}
    changed = json.loads(watched((TEMPLATE / "modelship.yaml").read_text(encoding="utf-8")))
    same = YAML(typ="safe", pure=True).load((TEMPLATE / "modelship.yaml").read_text(encoding="utf-8"))
    assert [name for name in same if same[name] != changed[name]] == ["drift", "gate", "monitor", "retrain"]
