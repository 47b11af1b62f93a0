"""YAML read as MLflow reads it, with the same parser: what it means to another one does not count."""

from __future__ import annotations

from typing import Any


def read_yaml(content: bytes) -> Any:
    """The one document in `content`, without any object that a tag could ask for. Raises ValueError, which says why not."""
    import yaml

    try:
        return yaml.safe_load(content)
    except yaml.constructor.ConstructorError as error:
        raise ValueError(f"asks for a Python object: {_reason(error)}") from None
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"is not valid YAML: {_reason(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ValueError(f"is not valid YAML ({type(error).__name__})") from None


def why_not_yaml(content: bytes) -> str:
    """What keeps `content` from being plain YAML, as the rest of a sentence about it; empty if nothing."""
    try:
        read_yaml(content)
    except ValueError as error:
        return str(error)
    return ""


def _reason(error: Any) -> str:
    return str(error.problem or "")[:200]
