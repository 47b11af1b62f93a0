"""A Great Expectations project: which suites are checked, and what is refused with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelship.core.errors import BadInput
from modelship.data.expectations import read_expectations

BACKEND = "{class_name: TupleFilesystemStoreBackend, base_directory: %s}"
SETTINGS = f"""config_version: 4.0
stores:
  expectations_store: {{class_name: ExpectationsStore, store_backend: {BACKEND % "suites/"}}}
  checkpoint_store: {{class_name: CheckpointStore, store_backend: {BACKEND % "checkpoints/"}}}
expectations_store_name: expectations_store
checkpoint_store_name: checkpoint_store
"""


def suite(column: str) -> dict[str, Any]:
    return {"name": column, "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": column}, "severity": "warning"}]}


def definition(suite: str, asset: str = "flights") -> dict[str, Any]:
    return {"data": {"datasource": {"name": "s3"}, "asset": {"name": asset}}, "suite": {"name": suite, "id": "1"}}


def checkpoint(*definitions: str) -> dict[str, Any]:
    return {"validation_definitions": [{"name": name, "id": "1"} for name in definitions], "actions": [{"type": "slack"}]}


PROJECT: Mapping[str, Any] = {
    "suites/base.json": suite("a"),
    "suites/more/labels.json": suite("b"),
    "suites/unused.json": suite("c"),
    "validation_definitions/base.json": definition("base"),
    "validation_definitions/labels.late.json": definition("more.labels"),
    "validation_definitions/planes.json": definition("base", "planes"),
    "checkpoints/before training.json": checkpoint("base", "labels.late", "base"),
}


def write(folder: Path, files: Mapping[str, Any] = PROJECT, settings: str = SETTINGS) -> None:
    (folder / "gx").mkdir()
    (folder / "gx" / "great_expectations.yml").write_text(settings)
    for name, content in files.items():
        path = folder / "gx" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1))


def checked(folder: Path, checkpoint: str | None = None) -> list[tuple[str, str]]:
    return [(str(spec.arguments["column"]), spec.path) for spec in read_expectations(folder, "project", checkpoint)]


@pytest.mark.parametrize("named", ["", "gx"])
def test_a_checkpoint_says_which_suites(tmp_path: Path, named: str) -> None:
    write(tmp_path)
    below = "project" if named else "project/gx"
    assert checked(tmp_path / named) == [("a", f"{below}/suites/base.json"), ("b", f"{below}/suites/more/labels.json")]
    assert checked(tmp_path / named, "before training") == checked(tmp_path / named)
    assert read_expectations(tmp_path / named, "project")[0].arguments["severity"] == "warning"


def test_without_a_checkpoint_the_only_suite_is_checked(tmp_path: Path) -> None:
    write(tmp_path, {"expectations/base.json": suite("a")}, "config_version: 4.0\n")
    assert checked(tmp_path) == [("a", "project/gx/expectations/base.json")]


PLANES = {**PROJECT, "checkpoints/planes.json": checkpoint("planes")}


def test_of_several_checkpoints_one_must_be_named(tmp_path: Path) -> None:
    write(tmp_path, PLANES)
    with pytest.raises(BadInput, match=r"2 checkpoints.*data.checkpoint.*`before training`, `planes`"):
        checked(tmp_path)
    assert checked(tmp_path, "planes") == [("a", "project/gx/suites/base.json")]


@pytest.mark.parametrize(
    ("files", "named", "path", "said"),
    [
        (PLANES, "plane", "great_expectations.yml", "no checkpoint `plane`. Did you mean `planes`?"),
        ({**PROJECT, "checkpoints/before training.json": checkpoint()}, None, "checkpoints/before training.json", "checks nothing"),
        ({**PROJECT, "checkpoints/before training.json": []}, None, "checkpoints/before training.json", "not a mapping"),
        (
            {**PROJECT, "checkpoints/before training.json": {"validation_definitions": [1]}},
            None,
            "checkpoints/before",
            "without a name",
        ),
        ({**PROJECT, "validation_definitions/base.json": {}}, None, "validation_definitions/base.json", "`data.asset.name`"),
        ({**PROJECT, "validation_definitions/base.json": definition("bsae")}, None, "great_expectations.yml", "Did you mean `base`?"),
        ({**PROJECT, "validation_definitions/base.json": definition("../x")}, None, "great_expectations.yml", "outside of its folder"),
        ({**PROJECT, "checkpoints/before training.json": checkpoint("base", "planes")}, None, "checkpoints/before", "2 data assets"),
        ({**PROJECT, "suites/base.json": {"expectations": []}}, None, "suites/base.json", "holds no expectation"),
        ({"suites/base.json": suite("a"), "suites/b.json": suite("b")}, None, "great_expectations.yml", "no checkpoint and 2 suites"),
        ({}, None, "great_expectations.yml", "no checkpoint and no suites"),
    ],
)
def test_what_does_not_say_what_to_check_is_refused(
    tmp_path: Path, files: Mapping[str, Any], named: str | None, path: str, said: str
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(suite("a")))
    write(tmp_path, files)
    with pytest.raises(BadInput) as error:
        checked(tmp_path, named)
    [problem] = error.value.problems
    assert said in str(problem)
    assert str(problem.path).startswith(f"project/gx/{path}")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SETTINGS.replace("TupleFilesystemStoreBackend", "TupleS3StoreBackend"), "`TupleS3StoreBackend`, which is not read"),
        (SETTINGS.replace("suites/", "../shared/"), "outside of its folder"),
        ("- a\n", "not a mapping"),
    ],
)
def test_a_project_that_is_not_kept_in_its_folder_is_refused(tmp_path: Path, settings: str, said: str) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.json").write_text(json.dumps(suite("a")))
    write(tmp_path, settings=settings)
    with pytest.raises(BadInput, match=said):
        checked(tmp_path)


def test_a_link_out_of_the_project_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, content in PROJECT.items() if name != "suites/base.json"})
    (tmp_path / "x.json").write_text(json.dumps(suite("a")))
    (tmp_path / "gx" / "suites" / "base.json").symlink_to(tmp_path / "x.json")
    with pytest.raises(BadInput, match="outside of its folder"):
        checked(tmp_path)


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="without a Great Expectations project"):
        checked(tmp_path)


def test_a_file_has_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text(json.dumps(suite("a")))
    with pytest.raises(BadInput, match="has no checkpoint `nightly`"):
        read_expectations(tmp_path / "suite.json", "suite.json", "nightly")
