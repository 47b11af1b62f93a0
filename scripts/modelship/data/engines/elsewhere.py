"""Tables summed up by an engine that this process does not have: asked once for everything, and kept on disk meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelship.core.config import Engine, TableSource
from modelship.core.elsewhere import ask
from modelship.core.scratch import scratch_folder

if TYPE_CHECKING:
    from modelship.data.tables.profile import ColumnFacts, Profile

_MINUTES = 60


class Question(msgspec.Struct, frozen=True):
    """Which tables to sum up, and how; the arguments of `profile`."""

    engine: Engine
    sources: tuple[str | TableSource, ...]
    directory: str
    key: str | None
    sample: int | None
    seed: int
    max_values: int
    folder: str
    """Where a folder for each table goes."""


class Facts(msgspec.Struct, frozen=True):
    """`ColumnFacts` without what only Arrow can write."""

    type: str
    nulls: int
    nan: int
    infinite: int
    values: dict[str, int] | None


class Summary(msgspec.Struct, frozen=True):
    """A `Profile` without its sample, and what the table is called."""

    name: str
    is_file: bool
    header: tuple[str, ...]
    rows: int
    columns: dict[str, Facts]


class SummedUp:
    """A table of which there is a profile."""

    def __init__(self, summary: Summary, folder: Path) -> None:
        self.name = summary.name
        self.is_file = summary.is_file
        self._summary = summary
        self._folder = folder

    def columns(self) -> list[str]:
        """The column names in order, duplicates and all."""
        return list(self._summary.header)

    def profile(self, columns: Sequence[str] | None = None, *, sample: int | None, seed: int, max_values: int) -> Profile:
        """What was found out of these columns; the other arguments are those of the question."""
        from modelship.data.tables.profile import Profile

        names = self.columns() if columns is None else list(columns)
        limits = _read(self._folder / _LIMITS)
        facts = {name: self._facts(name, *limits.column(name).to_pylist()) for name in names}
        return Profile(self._summary.rows, _read(self._folder / _SAMPLE).select(names), facts)

    def _facts(self, name: str, minimum: Any, maximum: Any) -> ColumnFacts:
        from modelship.data.tables.profile import ColumnFacts

        found = self._summary.columns[name]
        return ColumnFacts(found.type, found.nulls, found.nan, found.infinite, minimum, maximum, found.values)


_SAMPLE, _LIMITS = "sample.arrow", "limits.arrow"


def sum_up(
    engine: Engine,
    sources: Sequence[str | TableSource],
    directory: Path,
    key: str | None,
    *,
    sample: int | None,
    seed: int,
    max_values: int,
) -> list[SummedUp]:
    """Profiles of tables, made by the engine in a process that has it. Raises what it raised there."""
    from modelship.data.engines.opening import CAPABILITIES

    folder = scratch_folder()
    question = Question(engine, tuple(sources), str(directory), key, sample, seed, max_values, str(folder))
    package, who = Path(__file__).resolve().parent, f"the engine `{engine}`"
    found = ask(CAPABILITIES[engine], package, question, list[Summary], who=who, minutes=_MINUTES)
    return [SummedUp(summary, folder / str(place)) for place, summary in enumerate(found)]


def reply(question: Question) -> list[Summary]:
    """Write samples and limits of the tables into their folders; what else there is to know of them."""
    from modelship.data.engines.opening import open_with

    found = []
    for place, source in enumerate(question.sources):
        table = open_with(question.engine, source, Path(question.directory), question.key)
        header = table.columns()
        summary = Summary(table.name, table.is_file, tuple(header), 0, {})
        # Whoever asked refuses a table in which a name stands twice.
        if len(set(header)) == len(header):
            profile = table.profile(sample=question.sample, seed=question.seed, max_values=question.max_values)
            _write(profile, Path(question.folder) / str(place))
            facts = {
                name: Facts(column.type, column.nulls, column.nan, column.infinite, column.values)
                for name, column in profile.columns.items()
            }
            summary = msgspec.structs.replace(summary, rows=profile.rows, columns=facts)
        found.append(summary)
    return found


def _write(profile: Profile, folder: Path) -> None:
    import pyarrow as pa

    folder.mkdir()
    schema = profile.sample.schema
    limits = pa.table(
        {
            field.name: pa.array([profile.columns[field.name].minimum, profile.columns[field.name].maximum], field.type)
            for field in schema
        },
        schema,
    )
    for name, table in ((_SAMPLE, profile.sample), (_LIMITS, limits)):
        with pa.ipc.new_file(str(folder / name), schema) as writer:
            writer.write_table(table)


def _read(path: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()
