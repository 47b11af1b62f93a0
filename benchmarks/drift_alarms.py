"""How often drift is called where there is none, and whether real drift is found, on the template's flights.

`python benchmarks/drift_alarms.py` draws 500 pairs of tables out of one month each, compares them with the configuration's defaults
and by what Evidently's preset would choose, and prints a Markdown table; docs/drift.md explains it. `--pairs` says how many.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "scripts"):
    sys.path.insert(0, str(folder))

from modelship.core.config import LoadedConfig, parse_config  # noqa: E402
from modelship.data.drift.columns import Header, Side, match, plan  # noqa: E402
from modelship.data.drift.report import compare  # noqa: E402
from modelship.data.drift.values import Numbers  # noqa: E402
from modelship.data.tables.profile import profile  # noqa: E402
from modelship.data.tables.reader import MixedColumn, TableReader  # noqa: E402

SIZES = (500, 2_500)
"""Rows of each table of a pair: below and above the 1,000 where Evidently's preset changes its methods."""
EVIDENTLY_SHARE = 0.5
"""From which share of drifted columns on Evidently's preset calls a table drifted."""
CONFIG = b"model: flights\ndata: {target: late, key: flight_id}\ndrift: {columns: {month: ignore, scheduled_at: ignore}}\n"


@dataclass
class Held:
    """A table in memory."""

    table: pa.Table
    kind: str = "memory"
    is_columnar: bool = True

    def columns(self) -> list[str]:
        """The column names."""
        return list(self.table.column_names)

    def schema(self) -> pa.Schema:
        """Columns and types."""
        return self.table.schema

    def rows(self) -> int:
        """How many rows there are."""
        return int(self.table.num_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The columns."""
        yield from self.table.select(list(columns)).combine_chunks().to_batches()

    def mixed(self) -> Mapping[str, MixedColumn]:
        """None."""
        return {}


@dataclass
class Tally:
    """Of pairs of tables, those of which drift was called."""

    pairs: int = 0
    tables: int = 0
    """Of which the table was called drifted."""
    columns: int = 0
    """Of which at least one column was."""

    def add(self, drifted: Sequence[bool], table: bool) -> None:
        """Count one pair."""
        self.pairs += 1
        self.tables += table
        self.columns += any(drifted)

    def __str__(self) -> str:
        return f"{self.tables / self.pairs:.1%} | {self.columns / self.pairs:.1%}"


def main() -> int:
    """Compare and print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=500, help="pairs of each size (default: 500)")
    pairs = parser.parse_args().pairs
    table, loaded = flights(), parse_config(CONFIG, "modelship.yaml", Path())
    months = table["month"].to_numpy()
    print(f"Pairs of tables out of one month, {pairs} of each size: share of pairs with drift of the table | of any column\n")
    print("| rows | Modelship: table | any column | Evidently: table | any column |\n|--:|--:|--:|--:|--:|")
    draw = np.random.default_rng(0)
    for size in SIZES:
        ours, theirs = Tally(), Tally()
        for _ in range(pairs):
            rows = draw.permutation(np.flatnonzero(months == draw.integers(1, 13)))
            one, other = (table.take(rows[start : start + size]) for start in (0, size))
            ours.add(*by_modelship(one, other, loaded))
            theirs.add(*by_evidently(one, other, loaded))
        print(f"| {size:,} | {ours} | {theirs} |", flush=True)
    before = table.filter(pc.field("month") <= 6)
    after = table.filter(pc.field("month") == 10)
    print("\nJanuary to June against October, drifted columns:\n")
    for name, judge in (("Modelship", by_modelship), ("Evidently", by_evidently)):
        drifted, called = judge(before, after, loaded)
        print(f"- {name}: {sum(drifted)} of {len(drifted)}, the table {'drifted' if called else 'did not drift'}")
    return 0


def flights() -> pa.Table:
    """The flights that the template's DVC storage holds."""
    template = ROOT / "template-repo"
    digest = YAML(typ="safe", pure=True).load(template / "data" / "flights.parquet.dvc")["outs"][0]["md5"]
    return pq.read_table(template / "dvc-storage" / "files" / "md5" / digest[:2] / digest[2:])


def by_modelship(reference: pa.Table, current: pa.Table, loaded: LoadedConfig) -> tuple[list[bool], bool]:
    """Of each column whether it drifted, and of the table."""
    found = compare(TableReader("reference", Held(reference)), TableReader("current", Held(current)), loaded)
    return [column.drifted for column in found.columns], found.verdict.drift


def by_evidently(reference: pa.Table, current: pa.Table, loaded: LoadedConfig) -> tuple[list[bool], bool]:
    """The same by the statistics that Evidently's preset chooses for so many rows."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest

    common = match(Header("reference", tuple(reference.column_names)), Header("current", tuple(current.column_names)), loaded)
    sides = []
    for table in (reference, current):
        found = profile(TableReader("table", Held(table)), common.columns, sample=None, seed=0, max_values=1000)
        sides.append(Side("table", found))
    drifted = []
    for column in plan(common, sides[0], sides[1], loaded).columns:
        before, after = map(pd.Series, column.values.sides())
        kind = "num" if isinstance(column.values, Numbers) else "cat"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drifted.append(bool(get_stattest(before, after, kind, None)(before, after, kind, None).drifted))
    return drifted, sum(drifted) / len(drifted) >= EVIDENTLY_SHARE


if __name__ == "__main__":
    sys.exit(main())
