"""What an `MLmodel` file makes MLflow do when it loads the model: import, call, install."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from modelship.registry.admission.yaml_files import read_yaml

NAME = "MLmodel"

REVIEWED_FLAVORS = frozenset(("catboost", "lightgbm", "onnx", "sklearn", "xgboost"))
"""Flavors whose loaders, as MLflow 3.17 has them, run nothing that the model names but what is looked for here."""

_PYFUNC = "python_function"
_CODE_KEYS = ("code", "python_model", "model_code_path", "artifacts")
_PATH_KEYS = frozenset(("data", "model_path", "pickled_model", "model_data"))
_OWN_CLASS = {"xgboost": "model_class", "lightgbm": "lgb_class"}
"""The key by which a flavor names a class that MLflow imports and calls."""


@dataclass(frozen=True)
class Finding:
    """Something that runs code (as the rest of a sentence about the file), or that no option lets in."""

    is_what: str
    remedy: str
    is_code: bool = True


def examine(content: bytes, files: Collection[str]) -> list[Finding]:
    """Everything in an `MLmodel` file that is more than a pointer to data; `files` are the paths of the model's files."""
    try:
        document = read_yaml(content)
    except ValueError as error:
        return [Finding(str(error), "Write plain YAML.", is_code=False)]
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(one, dict) for one in flavors.values()):
        return [Finding("names no flavors", "Save the model with MLflow.", is_code=False)]
    found: list[Finding] = []
    for flavor, settings in flavors.items():
        found += _in_flavor(str(flavor), settings)
        found += (_outside(where, value) for where, value in _paths(settings) if not _is_inside(value, files))
    return found


def _in_flavor(flavor: str, settings: Mapping[str, Any]) -> Iterator[Finding]:
    if flavor == _PYFUNC:
        module = settings.get("loader_module")
        if module not in {f"mlflow.{known}" for known in REVIEWED_FLAVORS}:
            yield Finding(f"is loaded by `{_shown(module)}`", f"Save it with one of MLflow's {_flavors()}.")
    elif flavor not in REVIEWED_FLAVORS:
        yield Finding(
            f"has the flavor `{_shown(flavor)}`, whose loader nobody has reviewed", f"Save it with one of MLflow's {_flavors()}."
        )
    for key in _CODE_KEYS:
        if settings.get(key) is not None:
            yield Finding(f"brings code: `{key}: {_shown(settings[key])}`", "Save the model without it.")
    if not re.fullmatch(r"[a-z]\w*", str(settings.get("predict_fn", "predict"))):
        yield Finding(f"predicts with `{_shown(settings['predict_fn'])}`", "Name a public method.")
    key = _OWN_CLASS.get(flavor, "")
    if key in settings and not re.fullmatch(rf"{flavor}(\.\w+)+", str(settings[key])):
        yield Finding(f"makes MLflow call `{_shown(settings[key])}`", f"Name a class of {flavor}.")
    if not all(isinstance(one, str) for one in _items(settings.get("providers"))):
        yield Finding("gives options to ONNX Runtime's providers, which may name libraries", "Name the providers only.")


def _paths(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the settings say is a file, with the key that says so."""
    yield from ((key, settings[key]) for key in sorted(_PATH_KEYS & set(settings)) if settings[key] is not None)
    environment = settings.get("env")
    named = environment if isinstance(environment, dict) else {"env": environment}
    yield from ((str(key), value) for key, value in named.items() if value is not None)


def _is_inside(value: Any, files: Collection[str]) -> bool:
    path = PurePosixPath(str(value))
    if not isinstance(value, str) or path.is_absolute() or ".." in path.parts or "\\" in value:
        return False
    return str(path) in files or any(file.startswith(f"{path}/") for file in files)


def _outside(key: str, value: Any) -> Finding:
    return Finding(f"points at `{_shown(value)}` (`{key}`), which is no file of the model", "Save the model anew.", is_code=False)


def _flavors() -> str:
    return f"flavors {', '.join(sorted(REVIEWED_FLAVORS))}"


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _shown(value: Any) -> str:
    return str(value)[:100]
