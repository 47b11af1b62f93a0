"""Zip archives: what is inside, without unpacking more than was promised."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

MAX_ENTRIES = 20_000
_END_RECORD_BYTES = 22


def entries(content: bytes, max_bytes: int) -> Mapping[str, bytes] | str:
    """The files in a zip archive by name; where it is not a plain one, why not, as the rest of a sentence about it.

    Plain: it begins with its first file and ends with its directory, so that nothing else can be read from the same bytes;
    names are relative, different and not encrypted; sizes are as promised and at most `max_bytes` together.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            told = archive.infolist()
            reason = _why_not_plain(content, archive, told, max_bytes)
            return reason or {info.filename: archive.read(info) for info in told if not info.is_dir()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError, LookupError):
        return "is a damaged zip archive"
    except Exception as error:  # zlib.error and its like have no common base.
        if type(error).__module__ in ("zlib", "lzma", "_lzma"):
            return "is a damaged zip archive"
        raise


def _why_not_plain(content: bytes, archive: zipfile.ZipFile, told: list[zipfile.ZipInfo], max_bytes: int) -> str:
    names = [info.filename for info in told]
    if not told or min(info.header_offset for info in told) != 0 or not content.startswith(b"PK\x03\x04"):
        return "is a zip archive with something before its first file"
    if archive.comment or content[-_END_RECORD_BYTES:][:4] != b"PK\x05\x06":
        return "is a zip archive with something after its end"
    if len(names) > MAX_ENTRIES:
        return f"is a zip archive of more than {MAX_ENTRIES:,} files"
    if len(set(names)) < len(names):
        return "is a zip archive that holds a name twice"
    if any(name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/") for name in names):
        return "is a zip archive with a path that leads out of it"
    if any(info.flag_bits & 0x1 for info in told):
        return "is an encrypted zip archive"
    if sum(info.file_size for info in told) > max_bytes:
        return "is a zip archive that unpacks to more than `registry.max-model-size`"
    return ""
