"""What a file is, told by its content; its name only says what a text is for."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from modelship.registry.admission import environments, numpy_files, onnx_files, pickles, skops_files
from modelship.registry.admission.archives import entries
from modelship.registry.admission.yaml_files import why_not_yaml

Nature = Literal["model", "text", "pickle", "code", "refused"]
"""`model` is data in a known format; `pickle` and `code` run something; what is `refused` no option lets in."""


@dataclass(frozen=True)
class Recognised:
    """What a file is: its nature, its format or what it is as the rest of a sentence (`is a pickle`), and what to do about it."""

    nature: Nature
    is_what: str
    remedy: str = ""


_NATIVE = {
    b"\x7fELF": "a native library or program (ELF)",
    b"MZ": "a native library or program (Windows)",
    b"\xfe\xed\xfa\xce": "a native library or program (Mach-O)",
    b"\xfe\xed\xfa\xcf": "a native library or program (Mach-O)",
    b"\xce\xfa\xed\xfe": "a native library or program (Mach-O)",
    b"\xcf\xfa\xed\xfe": "a native library or program (Mach-O)",
    b"\xca\xfe\xba\xbe": "a native library or Java class",
    b"\x00asm": "a WebAssembly program",
    b"!<arch>\n": "a native library (ar)",
}
_SOURCE = frozenset(
    (".py", ".pyw", ".pyx", ".pth", ".ipynb", ".sh", ".bash", ".bat", ".cmd", ".ps1", ".r", ".jl", ".js", ".lua", ".pl")
)
_PLAIN_TEXT = frozenset((".txt", ".md", ".csv", ".tsv", ".rst"))
_PLAIN_NAMES = frozenset(("LICENSE", "NOTICE", "README", "registered_model_meta"))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# A UBJSON object whose first key is one of XGBoost's, its length written as any integer type.
_XGBOOST_UBJ = re.compile(rb"\{(?:L\x00{7}|l\x00{3}|I\x00|[iU])\x07(?:learner\{|version\[)")

_REMEDY = {
    "pickle": "Save the model with skops, ONNX or its library's own format; `registry.allow-pickle: true` lets a pickle in.",
    "code": "Leave it out of the model; `registry.allow-code: true` lets code in.",
    "compressed": "Store it uncompressed, or leave it out.",
    "unknown": "Leave it out of the model, or save the model in a format of `registry.formats`.",
    "keras": "Convert the model to ONNX.",
    "damaged": "Save the model anew.",
}


def recognise(name: str, content: bytes, trusted_types: Collection[str], max_bytes: int) -> Recognised:
    """What the file `name` (a path in the model's folder) with this content is.

    A content that two readers would take for different things is refused, or counts as the worse of them.
    """
    if pickles.is_pickle(content):
        return Recognised("pickle", "is a pickle, which runs code when it is loaded", _REMEDY["pickle"])
    if content.startswith(b"PK") or zipfile.is_zipfile(io.BytesIO(content)):
        return _archive(content, trusted_types, max_bytes)
    return _program(content) or _compressed(content) or _model(content) or _text(name, content) or _unknown(content)


def _archive(content: bytes, trusted_types: Collection[str], max_bytes: int) -> Recognised:
    files = entries(content, max_bytes)
    if isinstance(files, str):
        return Recognised("refused", files, _REMEDY["damaged"])
    if skops_files.is_skops(files):
        reason = skops_files.why_not(content, files, trusted_types, max_bytes)
        remedy = "Look each type up, then list it under `registry.trusted-types`." if "types" in reason else _REMEDY["damaged"]
        return Recognised("refused", reason, remedy) if reason else Recognised("model", "skops")
    if any(pickles.is_pickle(inside) or pickles.is_compressed_pickle(inside) for inside in files.values()):
        return Recognised("pickle", "is a zip archive that holds a pickle, as PyTorch writes it", _REMEDY["pickle"])
    if files and all(name.endswith(".npy") and inside.startswith(numpy_files.MAGIC) for name, inside in files.items()):
        natures = {_array(inside).nature for inside in files.values()}
        return _OBJECTS if natures != {"model"} else Recognised("model", "numpy")
    what = "a Keras model" if "config.json" in files and any(name.endswith(".h5") for name in files) else "a zip archive"
    return Recognised("refused", f"is {what}", _REMEDY["keras" if "Keras" in what else "compressed"])


def _program(content: bytes) -> Recognised | None:
    for start, what in _NATIVE.items():
        if content.startswith(start):
            return Recognised("refused", f"is {what}", "Leave it out of the model.")
    # The magic number of CPython's bytecode files: two bytes for the version, then a line break (importlib's `MAGIC_NUMBER`).
    if len(content) >= 16 and content[2:4] == b"\r\n" and 0x0C00 <= int.from_bytes(content[:2], "little") <= 0x0FFF:
        return Recognised("refused", "is compiled Python code", "Leave it out of the model.")
    return None


def _compressed(content: bytes) -> Recognised | None:
    name = pickles.compression(content)
    if name is None:
        return Recognised("refused", "is a tar archive", _REMEDY["compressed"]) if content[257:262] == b"ustar" else None
    if pickles.is_compressed_pickle(content):
        return Recognised("pickle", f"is a pickle, compressed with {name} as joblib writes it", _REMEDY["pickle"])
    return Recognised("refused", f"is compressed with {name}, so that nobody sees what it is", _REMEDY["compressed"])


def _model(content: bytes) -> Recognised | None:
    if content.startswith(numpy_files.MAGIC):
        return _array(content)
    if content.startswith(b"CBM1"):
        return Recognised("model", "catboost")
    if _XGBOOST_UBJ.match(content):
        return Recognised("model", "xgboost")
    if _is_safetensors(content):
        return Recognised("model", "safetensors")
    if onnx_files.is_onnx(content):
        reason = onnx_files.why_not(content)
        remedy = "Save it as one file, with standard operators only."
        return Recognised("refused", f"is an ONNX model that {reason}", remedy) if reason else Recognised("model", "onnx")
    return None


_OBJECTS = Recognised("pickle", "holds an array of Python objects, which NumPy stores as a pickle", _REMEDY["pickle"])


def _array(content: bytes) -> Recognised:
    return Recognised("model", "numpy") if numpy_files.holds_only_numbers(content) else _OBJECTS


def _is_safetensors(content: bytes) -> bool:
    """Whether a header of JSON describes all of what follows it, without a gap.

    The format: https://github.com/huggingface/safetensors#format
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 10 or not 2 <= length <= len(content) - 8 or content[8:9] != b"{":
        return False
    header = _json(content[8 : 8 + length])
    if not isinstance(header, dict):
        return False
    tensors = [one for name, one in header.items() if name != "__metadata__"]
    if not all(isinstance(one, dict) and isinstance(one.get("data_offsets"), list) for one in tensors):
        return False
    end = 0
    for offsets in sorted(one["data_offsets"] for one in tensors if all(isinstance(at, int) for at in one["data_offsets"])):
        if len(offsets) != 2 or offsets[0] != end or offsets[1] < end:
            return False
        end = offsets[1]
    return end == len(content) - 8 - length


def _text(name: str, content: bytes) -> Recognised | None:
    path = PurePosixPath(name)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if _CONTROL.search(text):
        return None
    if path.suffix.lower() in _SOURCE or text.startswith("#!"):
        return Recognised("code", "is source code", _REMEDY["code"])
    if name in environments.NAMES:
        reason = environments.why_not(name, content)
        return Recognised("code", reason, environments.REMEDY) if reason else Recognised("text", "environment")
    if text.startswith("tree\nversion=v"):
        return Recognised("model", "lightgbm")
    if path.suffix.lower() == ".json":
        return _json_text(content)
    if name == "MLmodel" or path.suffix.lower() in (".yaml", ".yml") or name == "registered_model_meta":
        reason = why_not_yaml(content)
        return Recognised("refused", reason, "Write plain YAML.") if reason else Recognised("text", "YAML")
    if path.suffix.lower() in _PLAIN_TEXT or path.name in _PLAIN_NAMES:
        return Recognised("text", "text")
    return None


def _json_text(content: bytes) -> Recognised:
    data = _json(content)
    if data is None:
        return Recognised("refused", "is not valid JSON", _REMEDY["damaged"])
    if isinstance(data, dict) and "class_name" in data and "config" in data:
        return Recognised("refused", "describes a Keras model, whose layers may hold code", _REMEDY["keras"])
    if isinstance(data, dict) and {"learner", "version"} <= set(data):
        return Recognised("model", "xgboost")
    return Recognised("text", "JSON")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _unknown(content: bytes) -> Recognised:
    if content.startswith(b"\x89HDF\r\n\x1a\n"):
        return Recognised("refused", "is an HDF5 file: Keras models in it may hold code", _REMEDY["keras"])
    return Recognised("refused", "is nothing that a model is known to need", _REMEDY["unknown"])
