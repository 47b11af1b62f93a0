"""A process that publishes the files of a folder, for tests that kill it: the server's URL, the folder, the name, the key."""

from __future__ import annotations

import sys
from pathlib import Path

from modelship.core.run_directory import digest_folder
from modelship.registry.publish import Publication, publish
from modelship.registry.runs import TAG_KEY
from modelship.registry.server import connect
from modelship.registry.version import TAG_DIGEST, TAG_EXAMPLES

METRICS = {"roc_auc": 0.7, "precision@10": 0.5}


def publication(files: Path, name: str, key: str) -> Publication:
    """A small model, and what stands beside it."""
    digest = f"sha256:{digest_folder(files / 'model')}"
    examples = f"sha256:{digest_folder(files / 'examples.json')}"
    return Publication(
        name=name,
        key=key,
        digest=digest,
        model=files / "model",
        files={"examples.json": files / "examples.json", "model-card.md": files / "model-card.md"},
        tags={TAG_KEY: key, TAG_DIGEST: digest, TAG_EXAMPLES: examples, "a": "b"},
        description="# a card",
        experiment=name,
        run_tags={"modelship.model": "m"},
        metrics=METRICS,
        params={"rate": 0.1},
    )


def write_files(folder: Path) -> Path:
    """What is published."""
    (folder / "model" / "parts").mkdir(parents=True)
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    (folder / "model" / "parts" / "weights.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "examples.json").write_text("{}")
    (folder / "model-card.md").write_text("# a card\n")
    return folder


if __name__ == "__main__":
    url, files, name, key = sys.argv[1:]
    publish(connect(url), publication(Path(files), name, key))
