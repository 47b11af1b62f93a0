"""Archives that somebody else has made."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelship.core.archives import Limits, NotPlainError, plain_archive, unpack
from modelship.core.errors import BadInput

LIMITS = Limits(5, 1000, "1 kB")


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def unpacked(archive: bytes, folder: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    (folder / "a.zip").write_bytes(archive)
    unpack(folder / "a.zip", folder / "out", limits)
    return {path.relative_to(folder / "out").as_posix(): path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    files = {"train.json": b"{}", "files/a.csv": b"1\n" * 200, "files/deep/er/b": b""}
    assert unpacked(zipped({**files, "empty/": b""}), tmp_path) == files
    assert (tmp_path / "a.zip").exists()


def test_as_much_as_the_limits_allow_and_no_more(tmp_path: Path) -> None:
    assert len(unpacked(zipped({str(number): b"x" * 200 for number in range(5)}), tmp_path)) == 5
    for number, (files, says) in enumerate(
        (
            ({str(number): b"" for number in range(6)}, "more than 5 files"),
            ({"a": b"x" * 1001}, "more than 1 kB"),
            ({"a": b"x" * 600, "b": b"x" * 600}, "more than 1 kB"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(BadInput, match=says):
            unpacked(zipped(files), folder)
        assert not list((folder / "out").iterdir()), "nothing is written of what is not taken"


def test_a_long_directory_is_not_read(tmp_path: Path) -> None:
    """It would be held in memory whole before anything in it could be counted."""
    with pytest.raises(BadInput, match="more than 5 files"):
        unpacked(zipped({"x" * 6000: b""}), tmp_path)


def test_a_folder_that_is_there_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        unpacked(zipped({"a": b""}), tmp_path)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 30))
def test_a_damaged_archive_is_read_as_it_was_or_not_at_all(position: int, byte: int, cut: int) -> None:
    files = {"train.json": b'{"a": 1}' * 9, "files/a": b"abc"}
    archive = bytearray(zipped(files))
    archive[position % len(archive)] = byte
    damaged = bytes(archive[: len(archive) - cut])
    try:
        with plain_archive(io.BytesIO(damaged), LIMITS) as (opened, found):
            assert sum(len(opened.read(info)) for info in found) <= LIMITS.bytes
    except NotPlainError:
        pass
