"""Copies artifacts back from `$E2E_ARTIFACTS/<run>`."""

import json
import os
import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path


def main() -> None:
    """Copy one artifact, those that match, or all."""
    name = os.environ["NAME"]
    store = Path(os.environ["E2E_ARTIFACTS"]) / os.environ["FROM_RUN"]
    target = Path(os.environ["GITHUB_WORKSPACE"]) / os.environ["TARGET"]
    stored = {json.loads(path.read_text(encoding="utf-8"))["name"]: path.parent for path in sorted(store.glob("*/artifact.json"))}
    if name and name not in stored:
        sys.exit(f"::error::Unable to download artifact(s): Artifact not found for name: {name}")
    for found, folder in stored.items():
        if name == found or (not name and fnmatch(found, os.environ["PATTERN"] or "*")):
            shutil.copytree(folder / "files", target if name else target / found, dirs_exist_ok=True)
            print(f"Downloaded {found} to {target}")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"download-path={target}\n")


main()
