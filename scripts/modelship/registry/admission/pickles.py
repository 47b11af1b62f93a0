"""Find pickles by their content, without running any of it."""

from __future__ import annotations

import bz2
import io
import lzma
import pickletools
import re
import warnings
import zlib
from typing import Any, Protocol

PEEK_BYTES = 64 * 1024
"""How much of a compressed file is looked at."""

_IMPORTS = {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
_CALLS = {"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
_NEWEST_PROTOCOL = max(opcode.proto for opcode in pickletools.opcodes)
_IMPORTABLE = re.compile(r"[^\W\d][\w.]* [^\W\d][\w.]*")

COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x5d\x00\x00": "LZMA",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
}
"""By the bytes that a compressed file starts with; zlib's two are checked by their sum."""


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def is_pickle(content: bytes) -> bool:
    """Whether `pickle.load` would run something from the start of `content`, even if it then broke off.

    A pickle of protocol 2 or newer says so itself, and is one even where it holds only data. Older ones look like text:
    they count where something importable is named and then called. The opcodes are those of Python's `pickletools`.
    """
    says_so = len(content) > 2 and content[0] == 0x80 and 2 <= content[1] <= _NEWEST_PROTOCOL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of escapes in what only looks like text of protocol 0.
        return _runs(content, says_so)


def _runs(content: bytes, says_so: bool) -> bool:
    imported = False
    try:
        # pickletools would copy the whole rest into each argument that lies about its length: a stream gives what is there.
        for number, (opcode, argument, _position) in enumerate(pickletools.genops(io.BytesIO(content))):
            if says_so and number:
                return True
            if opcode.name in ("GLOBAL", "INST"):
                importable = _IMPORTABLE.fullmatch(str(argument)) is not None
                if importable and opcode.name == "INST":
                    return True
                imported = imported or importable
            elif imported and opcode.name in _CALLS:
                return True
            elif opcode.name in _IMPORTS:
                imported = True
    except (ValueError, UnicodeError, OverflowError, MemoryError, IndexError):
        return False
    return False


def compression(content: bytes) -> str | None:
    """The name of the compression that `content` starts with, or None."""
    for start, name in COMPRESSIONS.items():
        if content.startswith(start):
            return name
    # RFC 1950: method 8, and the first two bytes are a multiple of 31.
    is_zlib = len(content) > 2 and content[0] == 0x78 and int.from_bytes(content[:2], "big") % 31 == 0
    return "zlib" if is_zlib and _peek(content, zlib.decompressobj()) else None


def is_compressed_pickle(content: bytes) -> bool:
    """Whether what was compressed is a pickle, as `joblib.dump(…, compress=…)` writes it. Looks at the first 64 KiB."""
    name = compression(content)
    makers: dict[str, Any] = {
        "gzip": lambda: zlib.decompressobj(31),
        "zlib": zlib.decompressobj,
        "bzip2": bz2.BZ2Decompressor,
        "xz": lzma.LZMADecompressor,
        "LZMA": lzma.LZMADecompressor,
    }
    return name in makers and is_pickle(_peek(content, makers[name]()))


def _peek(content: bytes, decompressor: _Decompressor) -> bytes:
    try:
        return decompressor.decompress(content, PEEK_BYTES)
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return b""
