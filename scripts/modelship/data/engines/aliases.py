"""Other names for columns: Great Expectations writes names into Spark's SQL as they are, where a dot or a space means something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from modelship.data.expectations import COLUMN_ARGUMENTS

_PREFIX = "modelship_column_"
_ALIAS = re.compile(rf"\b{_PREFIX}\d+\b")
_PLAIN = re.compile(rf"(?!{_PREFIX})[A-Za-z_][A-Za-z0-9_]*")


class Aliases:
    """An alias for each column whose name is no plain word."""

    def __init__(self, columns: Iterable[str] = ()) -> None:
        self._aliases = {name: f"{_PREFIX}{place}" for place, name in enumerate(columns) if not _PLAIN.fullmatch(name)}
        self._names = {alias: name for name, alias in self._aliases.items()}

    def of(self, column: str) -> str:
        """What Great Expectations calls a column."""
        return self._aliases.get(column, column)

    def within(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """An expectation's arguments, with columns called so."""
        return {name: self._within(name, value) for name, value in arguments.items()} if self._aliases else dict(arguments)

    def undone(self, found: Any) -> Any:
        """What Great Expectations says, with columns called as in the table."""
        if not self._aliases:
            return found
        if isinstance(found, str):
            return _ALIAS.sub(lambda alias: self._names.get(alias[0], alias[0]), found)
        if isinstance(found, Mapping):
            return {self.undone(name): self.undone(value) for name, value in found.items()}
        several = next((kind for kind in (list, tuple, set, frozenset) if isinstance(found, kind)), None)
        return several(map(self.undone, found)) if several else found

    def _within(self, argument: str, value: Any) -> Any:
        if argument in COLUMN_ARGUMENTS:
            return [self.of(name) for name in value] if isinstance(value, list) else self.of(value)
        return self._condition(value) if argument == "row_condition" else value

    def _condition(self, value: Any) -> Any:
        """A row condition, whose columns are `{name: …}` in a structure, and in backticks or as `col("…")` in a text."""
        if isinstance(value, Mapping):
            return {key: self._part_of_condition(key, item) for key, item in value.items()}
        if isinstance(value, list):
            return list(map(self._condition, value))
        if isinstance(value, str):
            for name, alias in self._aliases.items():
                value = value.replace(f"`{name.replace('`', '``')}`", f"`{alias}`")
                for quote in "'\"":
                    value = value.replace(f"col({quote}{name}{quote})", f"col({quote}{alias}{quote})")
        return value

    def _part_of_condition(self, key: str, item: Any) -> Any:
        if key == "column" and isinstance(item, Mapping):
            return {**item, "name": self.of(str(item.get("name")))}
        return item if key == "parameter" else self._condition(item)
