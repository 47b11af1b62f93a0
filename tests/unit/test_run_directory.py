"""The run directory: a digest that any change breaks, and evidence that is taken whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelship.core.errors import BadInput
from modelship.core.records import MAX_RECORD_BYTES, RECORDS, DvcPullRecord, MetricGateRecord, TrainRecord, encode, read_record
from modelship.core.run_directory import MAX_FILES, RunDirectory, digest_folder

settings.register_profile("patient", deadline=None)  # a busy machine is not a failure
settings.load_profile("patient")


@pytest.fixture
def evidence(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "evidence" / ".modelship")
    directory.write("dvc-pull", DvcPullRecord(status="pass", summary="2 files"))
    directory.write("train", TrainRecord(status="pass", summary="trained", metrics={"roc_auc": 0.74}))
    source = tmp_path / "metrics.json"
    source.write_text('{"roc_auc": 0.74}')
    directory.attach(source, "metrics.json")
    return directory


def content(directory: RunDirectory) -> dict[str, bytes]:
    root = directory.path
    return (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()} if root.exists() else {}
    )


# Records -------------------------------------------------------------------------------------------------------------------------


def test_a_record_comes_back_as_it_went(evidence: RunDirectory) -> None:
    record = evidence.read("train")
    assert isinstance(record, TrainRecord)
    assert record.metrics == {"roc_auc": 0.74}
    assert evidence.read("metric-gate") is None


def test_git_ignores_the_folder(evidence: RunDirectory) -> None:
    assert (evidence.path / ".gitignore").read_text() == "*\n"


def test_writing_leaves_no_half_file(evidence: RunDirectory) -> None:
    assert {path.name for path in evidence.path.iterdir()} == {".gitignore", "dvc-pull.json", "train.json", "files"}


def test_a_forgotten_record_is_gone(evidence: RunDirectory) -> None:
    evidence.remove("train")
    evidence.remove("train")
    assert evidence.read("train") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"null", b"[]", b"{}", b'{"record": "train/1"}', b"\xff", b'{"record": "train/2", "status": "pass", "summary": ""}',
        b'{"record": "dvc-pull/1", "status": "pass", "summary": ""}',
        b'{"record": "train/1", "status": "pass", "summary": "", "extra": 1}',
        b'{"record": "train/1", "status": "passed", "summary": ""}',
        b'{"record": "train/1", "status": "pass", "summary": "", "metrics": {"a": "1"}}',
        b'{"record": "train/1", "status": "pass", "summary": "", "metrics": {"a": true}}',
        b'{"record": "train/1", "status": "pass", "summary": "", "metrics": {"a": NaN}}',
        b'{"record": "train/1", "status": "pass", "summary": "", "metrics": {"a": 1e999}}',
        b'{"record": "train/1", "status": "pass", "summary": "", "commit": "main"}',
        b'{"record": "train/1", "status": "pass", "summary": "' + b"x" * 4001 + b'"}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_exactly_a_record_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="train"):
        read_record(path, "train")


def test_a_record_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(b'{"record": "train/1", "status": "pass", "summary": ""' + b" " * MAX_RECORD_BYTES + b"}")
    with pytest.raises(BadInput, match="larger than 4 MiB"):
        read_record(path, "train")


def test_a_linked_record(tmp_path: Path, evidence: RunDirectory) -> None:
    link = tmp_path / "train.json"
    link.symlink_to(evidence.record_path("train"))
    with pytest.raises(BadInput, match="is a link"):
        read_record(link, "train")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300))
def test_no_bytes_at_random_are_a_record(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(raw)
    with pytest.raises(BadInput):
        read_record(path, "train")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_never_written_as_another(value: float) -> None:
    """msgspec writes NaN as null; a record whose number was lost must not read as one that never had it."""
    with pytest.raises((msgspec.DecodeError, ValueError)):
        msgspec.json.decode(encode(TrainRecord(status="pass", summary="", metrics={"a": value})), type=TrainRecord)


# The digest ----------------------------------------------------------------------------------------------------------------------

names = st.text("abc._-", min_size=1, max_size=4).filter(lambda name: set(name) != {"."} and name != ".gitignore")
folders = st.dictionaries(names, st.binary(max_size=6), min_size=1, max_size=4)


def _lay(root: Path, files: dict[str, bytes]) -> RunDirectory:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, raw in files.items():
        (root / name).write_bytes(raw)
    return RunDirectory(root)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=folders, other=folders)
def test_the_digest_tells_any_two_folders_apart(tmp_path: Path, one: dict[str, bytes], other: dict[str, bytes]) -> None:
    same = _lay(tmp_path / "one", one).digest() == _lay(tmp_path / "other", other).digest()
    assert same == (one == other)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=folders, data=st.data())
def test_any_byte_changes_the_digest(tmp_path: Path, files: dict[str, bytes], data: st.DataObject) -> None:
    before = _lay(tmp_path / "x", files).digest()
    name = data.draw(st.sampled_from(sorted(files)))
    raw = files[name]
    assume(raw)
    place = data.draw(st.integers(0, len(raw) - 1))
    changed = bytes([*raw[:place], raw[place] ^ (1 << data.draw(st.integers(0, 7))), *raw[place + 1 :]])
    assert _lay(tmp_path / "x", {**files, name: changed}).digest() != before


def test_a_renamed_or_moved_file_changes_the_digest(evidence: RunDirectory) -> None:
    before = evidence.digest()
    (evidence.path / "files" / "metrics.json").rename(evidence.path / "files" / "metric.json")
    renamed = evidence.digest()
    (evidence.path / "files" / "metric.json").rename(evidence.path / "metrics.json")
    assert len({before, renamed, evidence.digest()}) == 3


def test_a_name_with_a_line_break_is_not_two_files(tmp_path: Path) -> None:
    """The listing that is hashed has one line a file: a name must not be able to write a line of its own."""
    one = _lay(tmp_path / "one", {"a": b"1", "b": b"2"})
    digests = [line for name in ("a", "b") for line in [f"{digest_folder(one.path / name)}  {name}"]]
    other = _lay(tmp_path / "other", {"a\n" + digests[1]: b"1"})
    try:
        assert other.digest() != one.digest()
    except BadInput:
        return


@pytest.mark.parametrize("where", ["train.json", "files/link", "link"])
def test_links_are_no_evidence(evidence: RunDirectory, where: str) -> None:
    path = evidence.path / where
    path.unlink(missing_ok=True)
    path.symlink_to("/etc/hostname")
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        evidence.digest()


def test_a_linked_folder_is_no_evidence(evidence: RunDirectory, tmp_path: Path) -> None:
    (evidence.path / "more").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="neither a file nor a folder"):
        evidence.digest()


def test_too_many_files(evidence: RunDirectory) -> None:
    for number in range(MAX_FILES):
        (evidence.path / str(number)).touch()
    with pytest.raises(BadInput, match="more than evidence may be"):
        evidence.digest()


# Taking evidence -----------------------------------------------------------------------------------------------------------------


def test_promised_evidence_is_taken(evidence: RunDirectory, tmp_path: Path) -> None:
    ours = RunDirectory(tmp_path / "judge" / ".modelship")
    ours.take_evidence(evidence, evidence.digest())
    assert content(ours) == content(evidence)


def test_a_verdict_of_the_training_job_is_not_taken(evidence: RunDirectory, tmp_path: Path) -> None:
    """Only the judge writes a verdict."""
    evidence.write("metric-gate", MetricGateRecord(status="pass", summary="all fine"))
    ours = RunDirectory(tmp_path / "judge" / ".modelship")
    ours.take_evidence(evidence, evidence.digest())
    assert ours.read("metric-gate") is None
    assert ours.read("train") is not None


@pytest.mark.parametrize("how", ["byte", "rename", "more", "less", "attachment", "empty digest"])
def test_changed_evidence_is_refused_and_nothing_is_taken(evidence: RunDirectory, tmp_path: Path, how: str) -> None:
    promised = evidence.digest()
    train = evidence.record_path("train")
    match how:
        case "byte":
            train.write_bytes(train.read_bytes().replace(b"0.74", b"0.94"))
        case "rename":
            train.rename(train.with_name("trains.json"))
        case "more":
            (evidence.path / "files" / "more").touch()
        case "less":
            evidence.remove("dvc-pull")
        case "attachment":
            (evidence.path / "files" / "metrics.json").write_text("{}")
        case _:
            promised = ""
    ours = RunDirectory(tmp_path / "judge" / ".modelship")
    ours.write("validate", RECORDS["validate"](status="pass", summary="ours"))
    before = content(ours)
    with pytest.raises(BadInput, match="the digests differ"):
        ours.take_evidence(evidence, promised)
    assert content(ours) == before


@pytest.mark.parametrize("wrong", ["a link", "a broken record", "another record"])
def test_wrong_evidence_is_refused_even_when_it_was_promised(evidence: RunDirectory, tmp_path: Path, wrong: str) -> None:
    train = evidence.record_path("train")
    if wrong == "a link":
        train.unlink()
        train.symlink_to("/etc/hostname")
    else:
        train.write_bytes(b"{}" if wrong == "a broken record" else evidence.record_path("dvc-pull").read_bytes())
    ours = RunDirectory(tmp_path / "judge" / ".modelship")
    with pytest.raises(BadInput):
        ours.take_evidence(evidence, "" if wrong == "a link" else evidence.digest())
    assert content(ours) == {}


@pytest.mark.parametrize("path", ["none", "file"])
def test_no_evidence_at_all(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="holds no evidence"):
        RunDirectory(tmp_path / "judge").take_evidence(RunDirectory(tmp_path / path), "")


def test_what_an_earlier_run_left_is_not_mixed_with_evidence(evidence: RunDirectory, tmp_path: Path) -> None:
    """The judge speaks of what was handed over, not of a record that happened to lie there."""
    ours = RunDirectory(tmp_path / "judge" / ".modelship")
    ours.write("train", TrainRecord(status="pass", summary="old", metrics={"roc_auc": 0.99}))
    evidence.remove("train")
    ours.take_evidence(evidence, evidence.digest())
    assert ours.read("train") is None


# A run directory that came with a checkout ----------------------------------------------------------------------------------------
#
# The job that judges may write to the pull request, and checks out what the pull request says: a `.modelship` that somebody
# committed, links in it included. Nothing may be written through a link.


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "settings").write_text("precious")
    return folder


def test_a_linked_run_directory_is_not_written_through(evidence: RunDirectory, tmp_path: Path, elsewhere: Path) -> None:
    ours = RunDirectory(tmp_path / ".modelship")
    ours.path.symlink_to(elsewhere)
    with contextlib.suppress(BadInput):
        ours.write("metric-gate", MetricGateRecord(status="pass", summary=""))
    with contextlib.suppress(BadInput):
        ours.take_evidence(evidence, evidence.digest())
    assert [path.name for path in elsewhere.iterdir()] == ["settings"]


def test_linked_attachments_are_not_written_through(evidence: RunDirectory, tmp_path: Path, elsewhere: Path) -> None:
    ours = RunDirectory(tmp_path / ".modelship")
    ours.path.mkdir()
    (ours.path / "files").symlink_to(elsewhere)
    with contextlib.suppress(BadInput):
        ours.take_evidence(evidence, evidence.digest())
    with contextlib.suppress(BadInput):
        ours.attach(tmp_path / "metrics.json", "settings")
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("settings", "precious")]


def test_an_attachment_is_kept_whole_and_dropped(evidence: RunDirectory) -> None:
    assert evidence.keep(b"first", "page.html") == evidence.file("page.html")
    evidence.keep(b"second", "page.html")
    assert content(evidence)["files/page.html"] == b"second"
    before = evidence.digest()
    evidence.drop("page.html")
    evidence.drop("page.html")
    assert "files/page.html" not in content(evidence)
    assert evidence.digest() != before


def test_attachments_behind_a_link_are_neither_written_nor_dropped(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "page.html").write_text("mine")
    directory = RunDirectory(tmp_path / ".modelship")
    directory.create()
    (directory.path / "files").symlink_to(outside)
    directory.drop("page.html")
    with pytest.raises(BadInput, match="is not a folder"):
        directory.keep(b"page", "page.html")
    assert (outside / "page.html").read_text() == "mine"


@pytest.mark.parametrize("name", ["train.json", "files/metrics.json", ".gitignore"])
def test_a_linked_file_is_not_written_through(evidence: RunDirectory, tmp_path: Path, elsewhere: Path, name: str) -> None:
    ours = RunDirectory(tmp_path / ".modelship")
    (ours.path / "files").mkdir(parents=True)
    target = elsewhere / ("settings" if name != ".gitignore" else "new")
    (ours.path / name).symlink_to(target)
    with contextlib.suppress(BadInput):
        ours.take_evidence(evidence, evidence.digest())
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("settings", "precious")]


def test_committed_records_and_attachments_do_not_outlive_the_evidence(evidence: RunDirectory, tmp_path: Path) -> None:
    """A record that no job handed over, `validate` of an earlier commit for example, must not be reported as this one's."""
    ours = RunDirectory(tmp_path / ".modelship")
    ours.write("validate", RECORDS["validate"](status="pass", summary="forged"))
    ours.attach(tmp_path / "metrics.json", "forged.json")
    ours.take_evidence(evidence, evidence.digest())
    assert content(ours) == content(evidence)


# Folders -------------------------------------------------------------------------------------------------------------------------


def test_the_digest_of_a_model_folder(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "data").mkdir(parents=True)
    (model / "MLmodel").write_text("x")
    (model / "data" / "model.pkl").write_bytes(b"\x80")
    before = digest_folder(model)
    assert digest_folder(shutil.copytree(model, tmp_path / "copy")) == before
    (model / "data" / "model.pkl").write_bytes(b"\x81")
    assert digest_folder(model) != before


def test_the_digest_of_a_folder_tells_what_its_links_lead_to(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("x")
    without = digest_folder(model)
    (model / "code").symlink_to("/first")
    first = digest_folder(model)
    (model / "code").unlink()
    (model / "code").symlink_to("/second")
    assert len({without, first, digest_folder(model)}) == 3
