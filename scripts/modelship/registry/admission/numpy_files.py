"""NumPy's `.npy`: an array of objects is a pickle, every other one is data."""

from __future__ import annotations

import ast
import re
from typing import Any

MAGIC = b"\x93NUMPY"
_MAX_HEADER = 64 * 1024
_PLAIN = re.compile(r"[<>|=]?(?:[biufcSUV?][0-9]*|[mM]8(?:\[[0-9A-Za-z/]+\])?)")


def holds_only_numbers(content: bytes) -> bool:
    """Whether an `.npy` file has plain elements only. False for objects, and for a header that cannot be read.

    The format: NumPy Enhancement Proposal 1.
    """
    header = _header(content)
    return isinstance(header, dict) and _is_plain(header.get("descr"))


def _header(content: bytes) -> Any:
    if len(content) < 12 or content[6] not in (1, 2, 3):
        return None
    width = 2 if content[6] == 1 else 4
    start = 8 + width
    length = int.from_bytes(content[8:start], "little")
    if length > _MAX_HEADER:
        return None
    try:
        return ast.literal_eval(content[start : start + length].decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _is_plain(described: Any) -> bool:
    if isinstance(described, str):
        return _PLAIN.fullmatch(described) is not None
    if isinstance(described, list):
        return all(isinstance(field, tuple) and len(field) in (2, 3) and _is_plain(field[1]) for field in described)
    if isinstance(described, tuple):
        return len(described) == 2 and _is_plain(described[0])
    return False
