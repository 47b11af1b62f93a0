"""What is registered beside a model: its bill of materials, its description, its key, and what the evidence must say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from modelship.core.config import load_config, parse_config
from modelship.core.errors import BadInput
from modelship.core.records import (
    AnyRecord,
    Baseline,
    DataFile,
    DvcPullRecord,
    EvaluateRecord,
    MetricGateRecord,
    MetricVerdict,
    RegisterRecord,
    ScoredModel,
    TrainRecord,
    ValidateRecord,
)
from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.registry.bill_of_materials import Materials, PlainFile, bill_of_materials, pinned
from modelship.registry.evidence import read_evidence
from modelship.registry.register import description, version_key

COMMIT = "3f2a91c" + "0" * 33
MATERIALS = Materials(
    name="flight-delay",
    key="k" * 64,
    digest="ab" * 32,
    commit=COMMIT,
    files=(PlainFile("MLmodel", "YAML", "cd" * 32, 812), PlainFile("model.skops", "skops", "ef" * 32, 4096)),
    data=(
        DataFile(path="data/train.parquet", hash="md5:" + "0f" * 16, bytes=10),
        DataFile(path="data/images", hash="md5:" + "0f" * 16 + ".dir", files=3),
        DataFile(path="data/holdout.parquet", hash="sha256:" + "1e" * 32),
    ),
    packages={"scikit-learn": "1.9.1", "Torch_Vision": "0.1+cpu"},
    python="3.12.1",
    metrics={"roc_auc": 0.744},
    params={"rate": 0.1, "nothing": None},
)


def valid(bill: bytes) -> dict[str, Any]:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.decode())
    assert error is None, error
    found: dict[str, Any] = json.loads(bill)
    return found


# The bill of materials -----------------------------------------------------------------------------------------------------------


def test_a_bill_names_the_model_its_data_and_its_packages_by_their_hashes() -> None:
    bill = valid(bill_of_materials(MATERIALS))
    model = bill["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "flight-delay", COMMIT)
    assert model["hashes"] == [{"alg": "SHA-256", "content": MATERIALS.digest}]
    assert {file["name"]: file["hashes"][0]["content"] for file in model["components"]} == {
        "MLmodel": "cd" * 32,
        "model.skops": "ef" * 32,
    }
    assert model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == [{"type": "roc_auc", "value": "0.744"}]
    data = {one["name"]: one.get("hashes") for one in bill["components"] if one["type"] == "data"}
    assert data == {
        "data/train.parquet": [{"alg": "MD5", "content": "0f" * 16}],
        "data/images": None,
        "data/holdout.parquet": [{"alg": "SHA-256", "content": "1e" * 32}],
    }
    purls = {one["name"]: one["purl"] for one in bill["components"] if one["type"] == "library"}
    assert purls == {"scikit-learn": "pkg:pypi/scikit-learn@1.9.1", "Torch_Vision": "pkg:pypi/torch-vision@0.1%2Bcpu"}
    (relation,) = bill["dependencies"]
    assert set(relation["dependsOn"]) == {one["bom-ref"] for one in bill["components"]}


def test_the_same_model_has_the_same_bill_and_another_one_another_number() -> None:
    assert bill_of_materials(MATERIALS) == bill_of_materials(MATERIALS)
    other = bill_of_materials(replace(MATERIALS, key="l" * 64))
    assert json.loads(other)["serialNumber"] != json.loads(bill_of_materials(MATERIALS))["serialNumber"]


anything = st.text(max_size=30)
names = st.text(min_size=1, max_size=30)


@given(
    data=st.lists(st.builds(DataFile, path=names, hash=anything, bytes=st.none() | st.integers(0, 10**12)), max_size=4),
    packages=st.dictionaries(names, names, max_size=4),
    params=st.dictionaries(names, st.none() | st.text(max_size=30) | st.floats() | st.booleans(), max_size=4),
    metrics=st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=4),
)
def test_whatever_things_are_called_the_bill_is_valid(
    data: list[DataFile], packages: dict[str, str], params: dict[str, Any], metrics: dict[str, float]
) -> None:
    valid(bill_of_materials(replace(MATERIALS, data=data, packages=packages, params=params, metrics=metrics)))


def test_nothing_known_is_a_valid_bill_too() -> None:
    bare = replace(MATERIALS, commit="", files=(), data=(), packages={}, python="", metrics={}, params={})
    assert valid(bill_of_materials(bare))["components"] == []


def test_pins_of_a_requirements_file_are_packages() -> None:
    text = "# by hand\nmlflow==3.17.2\nnumpy>=2\nscikit-learn[all]==1.9.1 ; python_version > '3'\n-r more.txt\npandas == 2\n"
    assert pinned(text) == {"mlflow": "3.17.2", "scikit-learn": "1.9.1"}


# Description and key -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=3000), max_size=6))
def test_a_description_is_never_longer_than_mlflow_takes(paragraphs: list[str]) -> None:
    card = "\n\n".join(paragraphs)
    said = description(card)
    assert len(said) <= 5000
    if len(card) <= 5000:
        assert said == card
    else:
        assert "`model-card.md`" in said
        assert card.startswith(said.partition("\n\n…\n\n")[0])


def test_model_commit_and_configuration_make_the_key(tmp_path: Path) -> None:
    text = b"model: m\ntrain: {model: model}\n"
    same = parse_config(text, "modelship.yaml", tmp_path)
    moved = parse_config(b"# a remark\n" + text, "elsewhere.yaml", tmp_path / "elsewhere")
    other = parse_config(text, "modelship.yaml", tmp_path, {"registry.name": "other"})
    key = version_key("a", COMMIT, same)
    assert key == version_key("a", COMMIT, moved)
    assert len({key, version_key("b", COMMIT, same), version_key("a", None, same), version_key("a", COMMIT, other)}) == 4


@pytest.mark.parametrize(
    ("signing", "says"),
    [("{required: true}", "needs `public-key`"), ("{key: k.pub}", "unknown key `registry.signing.key`")],
)
def test_a_signature_that_nobody_could_verify_cannot_be_required(tmp_path: Path, signing: str, says: str) -> None:
    (tmp_path / "modelship.yaml").write_text(f"model: m\nregistry: {{signing: {signing}}}\n")
    with pytest.raises(BadInput, match=says):
        load_config(tmp_path / "modelship.yaml")


# Evidence ------------------------------------------------------------------------------------------------------------------------


class Bench:
    """A model folder, and records that speak for it."""

    def __init__(self, folder: Path) -> None:
        self.model = folder / "model"
        self.model.mkdir()
        (self.model / "MLmodel").write_text("flavors: {}\n")
        self.digest = digest_folder(self.model)
        self.run_directory = RunDirectory(folder / ".modelship")
        self.answers = self.attach("evaluate-candidate.csv", "id,prediction\n")
        self.reported = self.attach("predictions.csv", "id,truth,prediction\n")
        self.examples = self.attach("examples.json", "{}")
        scored = ScoredModel(path="model", digest=self.digest, bytes=1, predictions=self.answers, scored_seconds=1)
        self.records: dict[str, AnyRecord] = {
            "train": TrainRecord(
                status="pass",
                summary="",
                commit=COMMIT,
                model_digest=self.digest,
                metrics={"a": 1.0, "b": 2.0},
                predictions=self.reported,
            ),
            "evaluate": EvaluateRecord(status="pass", summary="", commit=COMMIT, candidate=scored, examples=self.examples),
            "metric-gate": MetricGateRecord(
                status="warn",
                summary="",
                commit=COMMIT,
                model_digest=self.digest,
                baseline=Baseline(kind="none", label="nothing"),
                metrics=(MetricVerdict(metric="a", state="pass", reason="", better="higher", candidate=1.5),),
            ),
        }

    def attach(self, name: str, content: str) -> DataFile:
        path = self.run_directory.keep(content.encode(), name)
        return DataFile(path=f"files/{name}", hash=f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")

    def change(self, name: str, **fields: Any) -> None:
        self.records[name] = msgspec.structs.replace(self.records[name], **fields)

    def read(self) -> Any:
        for name, record in self.records.items():
            self.run_directory.write(name, record)
        return read_evidence(self.run_directory, self.model, COMMIT)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_evidence_is_what_the_commands_said_of_this_model(bench: Bench) -> None:
    found = bench.read()
    assert (found.digest, found.refusal) == (bench.digest, "")
    assert found.predictions.name == "predictions.csv", "as the gate has looked at them"
    assert found.examples.name == "examples.json"
    assert found.metrics == {"a": 1.5, "b": 2.0}


def test_without_predictions_of_training_those_of_evaluation_are_kept(bench: Bench) -> None:
    bench.change("train", predictions=None)
    assert bench.read().predictions.name == "evaluate-candidate.csv"
    del bench.records["evaluate"]
    (bench.run_directory.path / "evaluate.json").unlink()
    found = bench.read()
    assert (found.predictions, found.examples) == (None, None)


@pytest.mark.parametrize("name", ["metric-gate", "evaluate", "validate"])
def test_a_no_of_any_command_is_a_no(bench: Bench, name: str) -> None:
    bench.records.setdefault("validate", ValidateRecord(status="pass", summary=""))
    bench.change(name, status="fail", summary="it is worse")
    assert bench.read().refusal == f"`{name}` says no: it is worse"


def test_an_earlier_registration_does_not_matter(bench: Bench) -> None:
    bench.records["register"] = RegisterRecord(status="error", summary="the server was away")
    bench.records["dvc-pull"] = DvcPullRecord(status="pass", summary="")
    assert bench.read().refusal == ""


@pytest.mark.parametrize(
    ("name", "fields", "says"),
    [
        ("metric-gate", {"commit": "0" * 40}, "has judged commit 0000000, and 3f2a91c is checked out"),
        ("metric-gate", {"commit": None}, "has judged commit None"),
        ("metric-gate", {"model_digest": "0" * 64}, "is not the model that the gate has judged"),
        ("metric-gate", {"model_digest": ""}, "names no model"),
        ("train", {"model_digest": "0" * 64}, "is not the model that training wrote"),
        ("train", {"model_digest": ""}, "names no model"),
        ("train", {"status": "error", "summary": "out of memory"}, "`train` came to no verdict: out of memory"),
        ("evaluate", {"status": "error"}, "`evaluate` came to no verdict"),
    ],
)
def test_evidence_of_something_else_is_none(bench: Bench, name: str, fields: dict[str, Any], says: str) -> None:
    bench.change(name, **fields)
    with pytest.raises(BadInput, match=says):
        bench.read()


@pytest.mark.parametrize("name", ["train", "metric-gate"])
def test_a_record_that_is_not_there_says_nothing(bench: Bench, name: str) -> None:
    del bench.records[name]
    with pytest.raises(BadInput, match=f"there is no record of `{name}`"):
        bench.read()


@pytest.mark.parametrize("name", ["predictions.csv", "examples.json"])
def test_a_file_that_a_record_speaks_of_must_be_there_as_it_was(bench: Bench, name: str) -> None:
    path = bench.run_directory.file(name)
    path.write_text("changed")
    with pytest.raises(BadInput, match="is not what its record says"):
        bench.read()
    path.unlink()
    with pytest.raises(BadInput, match="is gone"):
        bench.read()
    path.symlink_to(bench.model / "MLmodel")
    with pytest.raises(BadInput, match="is gone"):
        bench.read()


def test_a_record_of_another_job_cannot_name_a_file_elsewhere(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret")
    digest = f"sha256:{hashlib.sha256(b'secret').hexdigest()}"
    bench.change("train", predictions=DataFile(path="../../secret.csv", hash=digest))
    with pytest.raises(BadInput, match="is gone"):
        bench.read()
