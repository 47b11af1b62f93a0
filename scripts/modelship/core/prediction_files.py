"""Which files hold predictions: the suffix says the format, and there is a size beyond which none is taken."""

from __future__ import annotations

SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")
"""Parquet and CSV, the only formats that are read."""

MAX_BYTES = 512 * 1024 * 1024
"""A larger file is not kept, fetched or read."""


def suffix_of(name: str) -> str | None:
    """The suffix of `name` that says its format, in small letters; None for a file that is none of predictions."""
    return next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
