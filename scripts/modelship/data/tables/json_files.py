"""JSON lines: one object in each line, as they are or gzipped; a file, or a folder of files."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.errors import bad_input
from modelship.core.scratch import scratch_folder
from modelship.data.tables.reader import SAVE_AS_UTF8
from modelship.data.tables.spool import CHUNK_ROWS, Spool, Spooled, SpooledTable

MAX_LINE_BYTES = 16 << 20
_BLOCK_BYTES = 4 << 20
_BOM = b"\xef\xbb\xbf"


SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
OPEN_SUFFIX = ".jsonl.open"
"""Of a file that a prediction log is being written to: its last line may be half there."""


def holds_json_lines(folder: Path) -> bool:
    """Whether any file in a folder is called as JSON lines are."""
    return any(path.name.lower().endswith((*SUFFIXES, OPEN_SUFFIX)) for path in folder.rglob("*"))


class JsonLines(Spooled):
    """JSON lines in a file, or in all files of a folder. The columns are all names that any line has; what is nested is kept as text.

    What is no whole line at the end of a file that is being written is not there yet.
    """

    kind = "JSON lines"

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def _spool(self) -> SpooledTable:
        folder = scratch_folder()
        spool = Spool(folder, times_in_text=True)
        for objects in self._chunks():
            names = dict.fromkeys(name for item in objects for name in item)
            spool.add({name: [item.get(name) for item in objects] for name in names}, len(objects))
        spool.finish()
        return SpooledTable(folder, self.kind)

    def _chunks(self) -> Iterator[list[dict[str, Any]]]:
        decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
        for part in self.parts():
            number = 1
            for block in part.blocks():
                if number == 1:
                    part.check_names(block)
                try:
                    objects = decoder.decode_lines(block)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    objects = part.one_by_one(block, number)
                yield from (objects[start : start + CHUNK_ROWS] for start in range(0, len(objects), CHUNK_ROWS))
                number += block.count(b"\n")

    def parts(self) -> list[Part]:
        """The files, in the order of their paths. Raises BadInput for a folder that holds others, too."""
        if not self._path.is_dir():
            return [Part(self._path, self._name)]
        found = sorted(path for path in self._path.rglob("*") if path.is_file())
        for path in found:
            if not path.name.lower().endswith((*SUFFIXES, OPEN_SUFFIX)):
                other = path.relative_to(self._path).as_posix()[:200]
                raise bad_input(f"holds `{other}`, which is no file of JSON lines.", "Keep a table's files alone.", path=self._name)
        return [Part(path, f"{self._name}/{path.relative_to(self._path).as_posix()}") for path in found]


class Part:
    """One file."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    def one_by_one(self, block: bytes, number: int) -> list[dict[str, Any]]:
        """The objects in a block of lines from the given number on, with the NaN and Infinity that Python writes and JSON lacks."""
        found = []
        for place, line in enumerate(block.splitlines(), start=number):
            if line.strip():
                try:
                    item = json.loads(line)
                except UnicodeDecodeError as error:
                    raise bad_input("is no UTF-8.", SAVE_AS_UTF8, path=self._name, line=place) from error
                except ValueError as error:
                    reason = getattr(error, "msg", "") or str(error)
                    raise bad_input(
                        f"is no JSON: {reason[:200]}.", "Was it written completely?", path=self._name, line=place
                    ) from error
                if not isinstance(item, dict):
                    raise bad_input("is no object.", "JSON lines have one object in each line.", path=self._name, line=place)
                found.append(item)
        return found

    def check_names(self, block: bytes) -> None:
        """Raise BadInput when the first line names a column twice: of the two, JSON's readers keep the last."""
        first = block.lstrip().partition(b"\n")[0]
        try:
            pairs = json.loads(first, object_pairs_hook=list)
        except ValueError:
            return  # What is wrong with it is said where it is read.
        names = Counter(pair[0] for pair in pairs if isinstance(pair, tuple)) if isinstance(pairs, list) else Counter[str]()
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise bad_input(f"has the column `{twice[0][:80]}` more than once.", "Rename one of them.", path=self._name, line=1)

    def blocks(self) -> Iterator[bytes]:
        """Whole lines, many at a time; what is no whole line at the end of a file that is being written is left out."""
        with self._open() as file:
            rest = file.read(len(_BOM)).removeprefix(_BOM)
            while block := file.read(_BLOCK_BYTES):
                lines, end, rest = (rest + block).rpartition(b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    raise bad_input(f"has a line of more than {MAX_LINE_BYTES >> 20} MiB.", "Is it JSON lines?", path=self._name)
                if end:
                    yield lines + end
            if rest.strip() and not self._path.name.endswith(OPEN_SUFFIX):
                yield rest

    def _open(self) -> Any:
        return gzip.open(self._path) if self._path.suffix.lower() == ".gz" else self._path.open("rb")
