"""Zip archives that somebody else has made: what is inside, without unpacking more than was promised, or anywhere else."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from modelship.core.errors import bad_input

_END_RECORD = struct.Struct("<4s4H2LH")
"""Signature, four counts, length and place of the directory, length of the comment: PKWARE's APPNOTE, 4.3.16."""

_DIRECTORY_BYTES_A_FILE = 1024
"""Of the directory at the archive's end, which is read whole before anything in it can be counted."""

_CHUNK = 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """How much an archive may hold."""

    files: int
    """Folders included."""
    bytes: int
    """Of all files when unpacked."""
    name: str
    """What messages call `bytes`."""


class NotPlainError(Exception):
    """The archive is not read. The message is the rest of a sentence about it."""


@contextmanager
def plain_archive(file: IO[bytes], limits: Limits) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """A zip archive, open as long as the block runs, and what it tells of its files. Raises NotPlainError, also for what is damaged.

    Plain: it begins with its first file and ends with its directory, so that nothing else can be read from the same bytes;
    names are relative, different and not encrypted; it holds files and folders alone; sizes are as promised and within `limits`.
    """
    try:
        _check_end(file, limits)
        with zipfile.ZipFile(file) as archive:
            told = archive.infolist()
            _check(file, told, limits)
            yield archive, [info for info in told if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, LookupError):
        raise NotPlainError("is a damaged zip archive") from None
    except Exception as error:  # zlib.error and its like have no common base.
        if type(error).__module__ in ("zlib", "lzma", "_lzma"):
            raise NotPlainError("is a damaged zip archive") from None
        raise


def unpack(path: Path, into: Path, limits: Limits) -> None:
    """Write the files of the zip archive at `path` below the new folder `into`. Raises BadInput for one that is not plain."""
    into.mkdir(parents=True)
    try:
        with path.open("rb") as file, plain_archive(file, limits) as (archive, files):
            for info in files:
                target = into / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as copy:
                    while chunk := source.read(_CHUNK):
                        copy.write(chunk)
    except NotPlainError as error:
        raise bad_input(f"{error}.", path=path.name) from None


def _check_end(file: IO[bytes], limits: Limits) -> None:
    length = file.seek(0, 2)
    file.seek(max(0, length - _END_RECORD.size))
    end = file.read()
    file.seek(0)
    if len(end) < _END_RECORD.size:
        raise NotPlainError("is a damaged zip archive")
    signature, *_, directory, _, comment = _END_RECORD.unpack(end)
    if signature != b"PK\x05\x06" or comment:
        raise NotPlainError("is a zip archive with something after its end")
    if directory > limits.files * _DIRECTORY_BYTES_A_FILE:
        raise _too_many(limits)


def _check(file: IO[bytes], told: list[zipfile.ZipInfo], limits: Limits) -> None:
    names = [info.filename for info in told]
    file.seek(0)
    if not told or min(info.header_offset for info in told) != 0 or file.read(4) != b"PK\x03\x04":
        raise NotPlainError("is a zip archive with something before its first file")
    if len(names) > limits.files:
        raise _too_many(limits)
    if len(set(names)) < len(names):
        raise NotPlainError("is a zip archive that holds a name twice")
    if any(_leads_out(name) for name in names):
        raise NotPlainError("is a zip archive with a path that leads out of it")
    if not all(_is_file_or_folder(info) for info in told):
        raise NotPlainError("is a zip archive with something that is neither a file nor a folder")
    if any(info.flag_bits & 0x1 for info in told):
        raise NotPlainError("is an encrypted zip archive")
    if sum(info.file_size for info in told) > limits.bytes:
        raise NotPlainError(f"is a zip archive that unpacks to more than {limits.name}")


def _too_many(limits: Limits) -> NotPlainError:
    return NotPlainError(f"is a zip archive of more than {limits.files:,} files")


def _leads_out(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _is_file_or_folder(info: zipfile.ZipInfo) -> bool:
    """What Unix says of it, where the archive was made there."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG)
