"""The team's interpreter: its version and packages, asked of itself so that it needs nothing of ours."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_QUESTION = """
import json, platform
from importlib.metadata import distributions
read = (distribution.metadata for distribution in distributions())
packages = {metadata["Name"]: metadata["Version"] for metadata in read if metadata["Name"]}
print(json.dumps({"python": platform.python_version(), "packages": packages}))
"""
_MOST_PACKAGES = 2000


@dataclass(frozen=True)
class Interpreter:
    """Version (empty when it could not be asked) and packages by name."""

    version: str = ""
    packages: dict[str, str] = field(default_factory=dict)


def ask_interpreter(python: str, directory: Path, environment: Mapping[str, str]) -> Interpreter:
    """What `python` says of itself. A team that trains without Python has none: an empty answer, not an error."""
    try:
        answer = subprocess.run(
            [python, "-c", _QUESTION], cwd=directory, env=dict(environment), capture_output=True, timeout=60, check=True
        )
        said = json.loads(answer.stdout)
        packages = {str(name): str(version) for name, version in sorted(said["packages"].items())[:_MOST_PACKAGES]}
        return Interpreter(str(said["python"]), packages)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, AttributeError):
        return Interpreter()
