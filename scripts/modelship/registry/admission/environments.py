"""What a model asks to be installed: names and versions of packages, and nothing that a server would fetch or build from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from modelship.registry.admission.yaml_files import read_yaml

_YAML = {
    "conda.yaml": {"name", "channels", "dependencies"},
    "python_env.yaml": {"python", "build_dependencies", "dependencies"},
}
_LISTS = ("requirements.txt", "constraints.txt")
NAMES = frozenset((*_YAML, *_LISTS))
"""The files in which MLflow keeps a model's environment."""

REMEDY = "Name packages by name and version only; `registry.allow-code: true` lets others in."

_HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(rf"-[rc]\s+({'|'.join(map(re.escape, _LISTS))})")
_CONDA = re.compile(r"[A-Za-z0-9][\w.-]*(\s*[<>=!~]=?=?\s*[\w.*+!]+,?)*")
_CHANNEL = re.compile(r"[A-Za-z0-9][\w-]*")


def why_not(name: str, content: bytes) -> str:
    """What in the environment file `name` runs code when it is installed, as the rest of a sentence; empty if nothing."""
    try:
        found = next(_strange(name, content), "")
    except ValueError as error:
        return str(error)
    return f"asks for `{found[:100]}`, which is no package by name and version" if found else ""


def _strange(name: str, content: bytes) -> Iterator[str]:
    if name in _LISTS:
        yield from _strange_requirements(re.sub(r"\\\r?\n", " ", content.decode("utf-8")).splitlines())
        return
    document = read_yaml(content)
    if not isinstance(document, dict):
        raise ValueError("is no environment")
    yield from (str(key) for key in document if key not in _YAML[name])
    yield from (str(one) for one in _items(document.get("channels")) if not _CHANNEL.fullmatch(str(one)))
    is_conda = name == "conda.yaml"
    for one in _items(document.get("dependencies")):
        if isinstance(one, dict) and is_conda:
            yield from (str(key) for key in one if key != "pip")
            yield from _strange_requirements(map(str, _items(one.get("pip"))))
        elif is_conda:
            yield from () if _CONDA.fullmatch(str(one)) else (str(one),)
        else:
            yield from _strange_requirements([str(one)])
    yield from _strange_requirements(map(str, _items(document.get("build_dependencies"))))


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _strange_requirements(lines: Any) -> Iterator[str]:
    for line in lines:
        wanted = _HASH.sub("", re.sub(r"(^|\s)#.*", "", line)).strip()
        if wanted and not _REFERENCE.fullmatch(wanted) and not _is_requirement(wanted):
            yield wanted


def _is_requirement(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text).url is None
    except InvalidRequirement:
        return False
