"""The configured tables as the base commit has them: fetched by a step that sees credentials, compared by one that sees none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from modelship.core import workflow
from modelship.core.base_commit import Fork, config_at, find_fork
from modelship.core.config import Config, LoadedConfig
from modelship.core.errors import ModelshipError
from modelship.core.event import Event
from modelship.core.git import Git
from modelship.core.records import TableChange
from modelship.core.scratch import scratch_folder
from modelship.data.snapshot import AbsentError, Snapshot, Storage

MAX_TABLE_BYTES = 64 * 1024**3


@dataclass(frozen=True)
class Pair:
    """A table's path now, and at the base commit."""

    role: Literal["reference", "current"]
    path: str
    path_before: str


@dataclass(frozen=True)
class BaseTables:
    """The tables that the work tree and the base commit have, and how those of the base commit are reached."""

    git: Git
    fork: Fork
    pairs: tuple[Pair, ...]
    key: str | None
    remote: str | None
    config_at: str | None
    """The commit whose `.dvc/config` says where credentials go; without one it is the work tree's."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)

    def keep(self) -> None:
        """Bring those that DVC knows by another hash than now to DVC's cache. What cannot be had is said in the log."""
        snapshot, head = self._snapshot(), self.git.head()
        here = Snapshot(self.git, head, Storage()) if head else None
        for pair in self.pairs:
            wanted = snapshot.hashes(pair.path_before)
            if not wanted or (here and here.hashes(pair.path) == wanted):
                continue
            workflow.say(f"Base {self.fork.point[:7]} has another {pair.path_before}")
            try:
                snapshot.keep(pair.path_before)
            except (AbsentError, ModelshipError, OSError) as error:
                workflow.say(f"It is left out: {error}")

    def changes(self) -> tuple[tuple[TableChange, ...], tuple[str, ...]]:
        """What became of each table, less those that are as they were; and of those that cannot be compared, why."""
        changes: list[TableChange] = []
        notices: list[str] = []
        snapshot = self._snapshot(is_offline=True)
        for pair in self.pairs:
            try:
                change = self._compare(pair, snapshot)
            except AbsentError as error:
                told = f"What changes in `{pair.path}` is not told: {error} as of base {self.fork.point[:7]}."
                notices.append(f"{told} `modelship dvc-pull` fetches it from a remote that has it.")
            except ModelshipError as error:
                notices.append(f"What changes in `{pair.path}` is not told: {error}")
            else:
                changes += [change] if change else []
        return tuple(changes), tuple(notices)

    def _compare(self, pair: Pair, snapshot: Snapshot) -> TableChange | None:
        from modelship.data.changes.compare import compare
        from modelship.data.tables.opening import open_table

        here = self.git.directory / pair.path
        if not snapshot.holds(pair.path_before) or snapshot.is_same(pair.path_before, here):
            return None
        fetched = scratch_folder() / PurePosixPath(pair.path_before).name
        snapshot.fetch(pair.path_before, fetched)
        before = replace(open_table(fetched.name, fetched.parent), name=f"{pair.path_before} at {self.fork.point[:7]}")
        found = compare(before, open_table(pair.path, self.git.directory), self.key)
        told = None if isinstance(found.rows, str) else found.rows
        return TableChange(
            role=pair.role,
            path=pair.path,
            path_before=pair.path_before if pair.path_before != pair.path else "",
            base=self.fork.point,
            rows_before=found.rows_before,
            rows_after=found.rows_after,
            added=told.added if told else None,
            removed=told.removed if told else None,
            changed=told.changed if told else None,
            sample_keys=told.sample_keys if told else (),
            why_no_rows="" if told else str(found.rows),
            columns=found.columns,
            column_counts=found.counts,
        )

    def _snapshot(self, *, is_offline: bool = False) -> Snapshot:
        storage = Storage(self.remote, self.credentials, self.config_at, is_offline, MAX_TABLE_BYTES)
        return Snapshot(self.git, self.fork.point, storage)


def find_base_tables(
    git: Git, event: Event, config_path: Path, loaded: LoadedConfig, overrides: Mapping[str, Any], asked: str | None
) -> BaseTables | None:
    """The tables at the base commit, or None where there is no base. Raises BadInput for a base that cannot be had.

    For what is not merged yet the base commit decides where credentials go: its author has not changed that.
    """
    pairs_now = tuple(_pairs(loaded.config, None))
    fork = find_fork(git, event, asked) if pairs_now else None
    if fork is None:
        return None
    policy = config_at(git, fork.base, config_path, overrides) if event.is_proposal else loaded.config
    return BaseTables(
        git=git,
        fork=fork,
        pairs=tuple(_pairs(loaded.config, config_at(git, fork.point, config_path, overrides))),
        key=loaded.config.data.key,
        remote=policy.data.remote if policy else None,
        config_at=fork.base if event.is_proposal else None,
    )


def _pairs(now: Config, before: Config | None) -> Iterator[Pair]:
    if now.data.reference_path is not None:
        yield Pair("reference", now.data.reference_path, (before and before.data.reference_path) or now.data.reference_path)
    if now.data.current_path is not None:
        yield Pair("current", now.data.current_path, (before and before.data.current_path) or now.data.current_path)
