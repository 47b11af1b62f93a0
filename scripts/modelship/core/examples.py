"""Examples: some rows of the holdout as a server gets them, and what the model answered. A smoke test asks the same again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from modelship.core.errors import bad_input

EXAMPLES_NAME = "examples.json"
MOST_EXAMPLES = 50
MAX_EXAMPLES_BYTES = 4 * 1024 * 1024

Cell = str | int | float | bool | None


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table as MLflow's servers take it under `dataframe_split`."""

    columns: Annotated[tuple[str, ...], Meta(min_length=1)]
    data: Annotated[tuple[tuple[Cell, ...], ...], Meta(min_length=1, max_length=MOST_EXAMPLES)]
    """Rows; each has a value for each column."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.data):
            raise ValueError("a row has not one value for each column")


class Examples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows, and what MLflow's server answers to them with this model."""

    dataframe_split: Split
    predictions: tuple[Any, ...]
    """One for each row: a number, a text, or for several outputs a list or a mapping of them."""

    def __post_init__(self) -> None:
        if len(self.predictions) != len(self.dataframe_split.data):
            raise ValueError("there is not one prediction for each row")

    def request(self) -> bytes:
        """What to send to `/invocations`."""
        return msgspec.json.encode({"dataframe_split": self.dataframe_split})


def read_examples(raw: bytes, path: str) -> Examples:
    """The examples in a file that the team's process, or a server, gave. Raises BadInput unless they are exactly that."""
    if len(raw) > MAX_EXAMPLES_BYTES:
        raise bad_input(f"is larger than {MAX_EXAMPLES_BYTES // 1024 // 1024} MiB.", path=path)
    try:
        return msgspec.json.decode(raw, type=Examples)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"holds no examples: {str(error)[:200]}.", path=path) from None
