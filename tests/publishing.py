"""A process that publishes the files of a folder, for tests that kill it."""

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


WRITES_TO_MLFLOW = (
    *("create_run", "log_batch", "set_terminated", "delete_run"),
    *("create_registered_model", "create_model_version", "set_registered_model_alias", "delete_model_version"),
)


def main(url: str, files: str, name: str, key: str, dies_at: str = "") -> None:
    """Publish, and die at the moment before or after one of the writes that is told; prints how many moments there were."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import shutil

    from mlflow import MlflowClient

    from tests.killing import Deaths

    deaths = Deaths(int(dies_at) if dies_at else None)
    deaths.surround(MlflowClient, WRITES_TO_MLFLOW)
    deaths.surround(shutil, ("copyfile",))
    publish(connect(url), publication(Path(files), name, key))
    print(deaths.moments)


if __name__ == "__main__":
    main(*sys.argv[1:])
