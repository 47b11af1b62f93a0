"""Carries out one order on a real server and a folder, and dies where it is told to: before or after one of its writes.

`python tests/deployer.py ORDER.json`; prints how many writes there were and what came of it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WRITES_TO_DISK = ("mkdir", "rename", "replace", "symlink", "unlink")
WRITES_TO_MLFLOW = ("create_registered_model", "create_model_version", "set_registered_model_alias")


def main(path: str) -> None:
    """Do what the order says."""
    order = json.loads(Path(path).read_text(encoding="utf-8"))
    sys.path.insert(0, str(ROOT))
    from mlflow import MlflowClient

    from modelship.core.config import Registry
    from modelship.core.records import SmokeCheck
    from modelship.deployment.deploy import Means, Order, carry_out
    from modelship.deployment.ledger import Action
    from modelship.deployment.log import Log
    from modelship.deployment.smoke import SmokeResult
    from modelship.deployment.targets.target import Place, Serving, open_target
    from modelship.registry.server import connect
    from modelship.registry.version import find_version
    from tests.killing import Deaths

    def ask(serving: Serving, _examples: Path | None) -> SmokeResult:
        assert serving.folder is not None
        served = (serving.folder / "weights.json").read_text(encoding="utf-8")
        if order["breaks"]:
            raise RuntimeError("a defect in a smoke test")
        return SmokeResult((SmokeCheck(check="answers", holds=served not in order["ill"], told=f"it holds {served}"),))

    client, log = connect(order["uri"]), Log(order["uri"], order["model"])
    place = Place(directory=Path(order["root"]), environment=order["environment"], model=order["model"], python=sys.executable)
    target = open_target("directory", "live", place)
    deaths = Deaths(order["dies-at"])
    deaths.surround(os, WRITES_TO_DISK)
    deaths.surround(MlflowClient, WRITES_TO_MLFLOW)
    outcome = carry_out(
        Order(
            action=Action(order["action"]),
            environment=order["environment"],
            version=find_version(client, order["model"], str(order["version"])),
            key=order["key"],
            lease=600,
            replaces=order["replaces"],
            actor="dana",
        ),
        Means(log, client, target, ask, Registry(), Path(order["root"])),
    )
    Path(path).with_suffix(".told").write_text(json.dumps({"done": outcome.is_done, "told": outcome.told, "moments": deaths.moments}))


if __name__ == "__main__":
    main(sys.argv[1])
