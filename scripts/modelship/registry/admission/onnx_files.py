"""Read the structure of an ONNX file, a protocol buffer, far enough to tell it from anything else and to see where it points."""

from __future__ import annotations

from collections.abc import Iterator

_OPERATOR_SETS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
"""Domains whose operators ONNX Runtime brings; others need a library that is loaded for them."""

_MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
"""The fields of a ModelProto and their wire types: onnx.proto of ONNX 1.20."""

# The messages that may hold a tensor, and the fields that lead to it (onnx.proto of ONNX 1.20).
_CHILDREN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_DATA_LOCATION, _EXTERNAL_DATA = 14, 13
_MAX_DEPTH = 64


class _NotAProtocolBufferError(ValueError):
    pass


def is_onnx(content: bytes) -> bool:
    """Whether `content` is a ModelProto: nothing but its fields, with a version, operator sets and a graph."""
    try:
        fields = [(field, wire) for field, wire, _ in _fields(content)]
    except _NotAProtocolBufferError:
        return False
    return {1, 7, 8} <= {field for field, _ in fields} and all(_MODEL_FIELDS.get(field) == wire for field, wire in fields)


def why_not(content: bytes) -> str:
    """What keeps an ONNX model from being data that stands by itself, as the rest of a sentence about it; empty if nothing."""
    try:
        domains = {_domain(value) for field, _, value in _fields(content) if field == 8}
        if _has_external_data(content, "model", 0):
            return "keeps weights in other files"
    except _NotAProtocolBufferError:
        return "is damaged"
    unknown = sorted(domains - _OPERATOR_SETS)
    return f"needs the operators of `{unknown[0][:80]}`, which ONNX Runtime does not bring" if unknown else ""


def _domain(operator_set: bytes) -> str:
    return next((value.decode("utf-8", "replace") for field, wire, value in _fields(operator_set) if (field, wire) == (1, 2)), "")


def _has_external_data(message: bytes, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise _NotAProtocolBufferError
    for field, wire, value in _fields(message):
        if kind == "tensor" and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and wire == 0 and value != b"\x00")):
            return True
        child = _CHILDREN.get(kind, {}).get(field)
        if child and wire == 2 and _has_external_data(value, child, depth + 1):
            return True
    return False


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, wire type and raw value of each field. Raises unless the whole message is made of fields."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        start = at
        if wire == 0:
            _, at = _varint(message, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, start = _varint(message, at)
            at = start + length
        else:
            raise _NotAProtocolBufferError
        if not field or at > len(message):
            raise _NotAProtocolBufferError
        yield field, wire, message[start:at]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _NotAProtocolBufferError
