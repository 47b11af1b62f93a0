"""What the benchmarks of drift measure, on fewer rows and pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from benchmarks.drift import PLANTED, run_ours, run_preset, write_pair
from benchmarks.drift_alarms import CONFIG, by_modelship, flights

from modelship.core.config import parse_config


@pytest.mark.parametrize("planted", [True, False])
def test_both_say_the_same_of_every_column(tmp_path: Path, planted: bool) -> None:
    write_pair(tmp_path / "tables", 30_000, planted)
    ours = run_ours(tmp_path / "tables").drifted
    assert {name for name, drifted in ours.items() if drifted} == (set(PLANTED) if planted else set())
    assert run_preset(tmp_path / "tables").drifted == ours


@pytest.mark.parametrize("rows", [500, 2_500])
def test_tables_out_of_one_month_have_not_drifted(rows: int) -> None:
    table, loaded, draw = flights(), parse_config(CONFIG, "modelship.yaml", Path()), np.random.default_rng(1)
    months = table["month"].to_numpy()
    called = 0
    for _ in range(20):
        order = draw.permutation(np.flatnonzero(months == draw.integers(1, 13)))
        _, drift = by_modelship(table.take(order[:rows]), table.take(order[rows : 2 * rows]), loaded)
        called += drift
    assert called == 0  # Of 500 pairs none was.


def test_october_is_not_like_the_first_half_of_the_year() -> None:
    table, loaded = flights(), parse_config(CONFIG, "modelship.yaml", Path())
    drifted, drift = by_modelship(table.filter(pc.field("month") <= 6), table.filter(pc.field("month") == 10), loaded)
    assert (sum(drifted), drift) == (6, True)
