"""A bill of materials of a model, in CycloneDX: its files, the data that it learned from, and the packages that trained it.

CycloneDX 1.6 (ECMA-424), JSON. It has no time and no random number in it: the same model at the same commit has the same bill.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modelship import __version__
from modelship.core.records import DataFile, Scalar
from modelship.core.words import clean

_ALGORITHMS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
_HEX = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{8}|[0-9a-f]{32}|[0-9a-f]{96})?\Z")
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;#]+)", re.MULTILINE)
_NAMESPACE = uuid.UUID("4f1f0c5e-0d0b-5d0e-9d5f-6d6f64656c73")


@dataclass(frozen=True)
class PlainFile:
    """A file of the model: its path in the folder, what it is, SHA-256 of its content, size in bytes."""

    path: str
    format: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Materials:
    """What a model is made of."""

    name: str
    key: str
    digest: str
    """SHA-256 over all of the model's files, without a prefix."""
    commit: str
    files: Sequence[PlainFile]
    data: Sequence[DataFile]
    packages: Mapping[str, str]
    """Versions by name."""
    python: str
    metrics: Mapping[str, float]
    params: Mapping[str, Scalar]


def bill_of_materials(materials: Materials) -> bytes:
    """The bill as indented JSON."""
    datasets, libraries = list(_datasets(materials.data)), list(_libraries(materials))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, materials.key)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "modelship", "version": __version__}]},
            "component": _model(materials, [one["bom-ref"] for one in datasets]),
        },
        "components": [*datasets, *libraries],
        "dependencies": [{"ref": "model", "dependsOn": [one["bom-ref"] for one in (*datasets, *libraries)]}],
    }
    return json.dumps(bill, indent=2, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n"


def pinned(requirements: str) -> dict[str, str]:
    """The versions that a requirements file pins with `==`, by name."""
    return dict(_PIN.findall(requirements))


def _model(materials: Materials, datasets: Sequence[str]) -> dict[str, Any]:
    metrics = [{"type": clean(name, 200), "value": repr(value)} for name, value in sorted(materials.metrics.items())]
    facts = {
        "commit": materials.commit,
        "digest": f"sha256:{materials.digest}",
        "key": materials.key,
        **{f"param:{name}": "" if value is None else str(value) for name, value in sorted(materials.params.items())},
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": materials.name,
        **({"version": materials.commit} if materials.commit else {}),
        # Over all files, as `modelship` computes it; each file's own is below.
        "hashes": [{"alg": "SHA-256", "content": materials.digest}],
        "components": [_file(number, file) for number, file in enumerate(materials.files, start=1)],
        "modelCard": {
            **({"modelParameters": {"datasets": [{"ref": ref} for ref in datasets]}} if datasets else {}),
            **({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {}),
        },
        "properties": [_property(name, value) for name, value in facts.items() if value],
    }


def _file(number: int, file: PlainFile) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": f"file:{number}",
        "name": file.path,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "properties": [_property("format", file.format), _property("bytes", str(file.bytes))],
    }


def _datasets(data: Sequence[DataFile]) -> Iterator[dict[str, Any]]:
    for number, file in enumerate({file.path: file for file in data}.values(), start=1):
        name = clean(file.path, 500) or "unnamed"
        algorithm, _, digest = file.hash.partition(":")
        # DVC marks the hash of a folder, which is that of a list of its files.
        hexadecimal = digest.removesuffix(".dir")
        is_known = algorithm in _ALGORITHMS and _HEX.match(hexadecimal) and hexadecimal == digest
        yield {
            "type": "data",
            "bom-ref": f"data:{number}",
            "name": name,
            **({"hashes": [{"alg": _ALGORITHMS[algorithm], "content": digest}]} if is_known else {}),
            "data": [{"type": "dataset", "name": name}],
            "properties": [
                _property("hash", clean(file.hash, 300)),
                *([_property("bytes", str(file.bytes))] if file.bytes is not None else []),
            ],
        }


def _libraries(materials: Materials) -> Iterator[dict[str, Any]]:
    if materials.python:
        yield {"type": "platform", "bom-ref": "platform:python", "name": "python", "version": materials.python}
    for number, (name, version) in enumerate(sorted(materials.packages.items()), start=1):
        normal = re.sub(r"[-_.]+", "-", name).lower()
        yield {
            "type": "library",
            "bom-ref": f"package:{number}",
            "name": clean(name, 200),
            "version": clean(version, 200),
            "purl": f"pkg:pypi/{quote(normal, safe='')}@{quote(version, safe='')}",
        }


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"modelship:{clean(name, 250)}", "value": clean(value, 1000)}
