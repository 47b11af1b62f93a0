"""Which lines of a log are left when it is made small."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.config import LogColumns
from modelship.data.tables import json_files
from modelship.data.tables.opening import open_table
from modelship.monitoring import answers
from modelship.monitoring.answers import Wanted
from modelship.monitoring.keys import draw
from modelship.monitoring.thinning import thinned
from modelship.monitoring.windows import Window

START = datetime(2026, 11, 2, tzinfo=UTC)
WANTED = Wanted(
    key="id",
    form="number",
    columns=LogColumns(),
    model="churn",
    version=7,
    window=Window(START, START + timedelta(days=7)),
    now=START + timedelta(days=30),
)

rows = st.fixed_dictionaries(
    {
        "id": st.integers(0, 40),
        "version": st.sampled_from([7, "v7", 6]),
        "predicted-at": st.sampled_from(["2026-11-03T00:00:00Z", "2026-11-20T00:00:00Z"]),
        "score": st.sampled_from([0.5, float("nan")]),
    }
)
separators = st.sampled_from(["\n", "\r\n", "\n\n", "\n \n", "\r"])


@settings(deadline=None, max_examples=100)
@given(
    parts=st.lists(st.tuples(rows, separators), min_size=1, max_size=60),
    most=st.integers(1, 50),
    block=st.sampled_from([150, 4 << 20]),
)
def test_every_line_of_the_smallest_keys_stays_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[dict[str, Any], str]], most: int, block: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_text("".join(json.dumps(row) + separator for row, separator in parts), newline="")
    wanted = [row for row, _ in parts if row["version"] != 6 and row["predicted-at"] < "2026-11-09"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "MOST_ROWS", most)
        patch.setattr(json_files, "_BLOCK_BYTES", block)
        if not wanted:
            with pytest.raises(Exception, match="holds no prediction"):
                thinned(open_table(path.name, path.parent), WANTED)
            return
        log, reading = thinned(open_table(path.name, path.parent), WANTED)
    assert reading
    assert reading.rows == len(wanted)
    smallest = np.sort(np.unique(draw(pa.array([str(row["id"]) for row in wanted]))))[:most][-1]
    expected = [row for row in wanted if draw(pa.array([str(row["id"])]))[0] <= smallest]
    assert isinstance(log.storage, json_files.JsonLines)
    kept = [json.loads(line) for part in log.storage.parts() for block_ in part.blocks() for line in block_.splitlines()]
    assert json.dumps(kept) == json.dumps(expected)
