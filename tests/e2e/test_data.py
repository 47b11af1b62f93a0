"""What a pull request is told of its data: what it changes in the tables, and how far one is from the other."""

import re

import pytest

from .demo import BLOCKED
from .markdown import plain
from .moment import Moment
from .team import DATA, PASSES, UNSURE, Team, conclusions, evidence, record

pytestmark = pytest.mark.xdist_group("small team")

NEW = ["9001,23,1", "9002,23,1"]


def afternoons(table: str) -> str:
    """The training data without mornings and without its carriers, with seven labels turned and two new flights."""
    rows = [row.split(",") for row in table.splitlines()[1:]]
    kept = [[flight, hour, late] for flight, hour, _, late in rows if int(hour) >= 12]
    for row in kept[:7]:
        row[2] = str(1 - int(row[2]))
    return "\n".join(["flight_id,hour,late", *map(",".join, kept), *NEW, ""])


def words(moment: Moment) -> str:
    """The comment as it is read, without its mark-up."""
    return plain(re.sub(r"</?[a-z]+>", "", moment.ours.body)).replace("\u00a0", " ")


def test_a_pull_request_is_told_what_it_does_to_its_data_and_may_have_drift_block(team: Team) -> None:
    before = team.world.repository.read("train.csv")
    gone = sum(int(row.split(",")[1]) < 12 for row in before.splitlines()[1:])

    pull, told = team.propose("afternoons", {"train.csv": afternoons}, DATA)

    assert conclusions(told) == PASSES, told.run.log
    assert told.headline.startswith(UNSURE)
    comment = words(told)
    assert f"train.csv +2 −{gone} rows, 7 changed, columns: 1 removed, " in comment
    assert "| reference | carrier | removed |" in comment
    assert "| reference | hour | moved | mean " in comment
    assert "1 of 1 feature drifted, the target drifted (hour, late)" in comment
    (change,) = record(told.run, "validate")["changes"]
    assert (change["path"], change["added"], change["removed"], change["changed"]) == ("train.csv", 2, gone, 7)
    assert change["base"] == team.world.repository.tip("main")
    drift = record(told.run, "drift-report")
    assert (drift["status"], [column["column"] for column in drift["columns"] if column["purpose"] == "feature"]) == ("warn", ["hour"])
    assert (evidence(told.run).folder / drift["page"]).is_file()

    blocked = team.push(pull, {"modelship.yaml": lambda text: f"{text}\ndrift: {{severity: critical}}\n"}, DATA)

    assert conclusions(blocked) == {"train": "failure", "judge": "failure", "check": "failure"}, blocked.run.log
    assert blocked.headline.startswith(BLOCKED)
    assert "the data has drifted" in blocked.headline
    assert f"train.csv +2 −{gone} rows" in words(blocked), "what was found before is told all the same"
    assert blocked.ours.id == told.ours.id
    left = {path.stem for path in evidence(blocked.run).folder.glob("*.json")}
    assert left == {"validate", "drift-report"}, "no time is spent on training"
