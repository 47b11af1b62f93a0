"""Zip archives in a model: their files by name."""

from __future__ import annotations

import io
from collections.abc import Mapping

from modelship.core.archives import Limits, NotPlainError, plain_archive

MAX_ENTRIES = 20_000


def entries(content: bytes, max_bytes: int) -> Mapping[str, bytes] | str:
    """The files in a zip archive by name; where it is not a plain one, why not, as the rest of a sentence about it."""
    try:
        with plain_archive(io.BytesIO(content), Limits(MAX_ENTRIES, max_bytes, "`registry.max-model-size`")) as (archive, files):
            return {info.filename: archive.read(info) for info in files}
    except NotPlainError as error:
        return str(error)
