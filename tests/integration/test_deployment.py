"""Deployments and rollbacks against a real MLflow server and a folder: how they end, wherever a process dies on the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelship.core.run_directory import digest_folder
from modelship.deployment.ledger import Action
from modelship.deployment.log import Log
from modelship.registry.publish import Publication, publish
from modelship.registry.runs import TAG_KEY
from modelship.registry.server import connect
from modelship.registry.version import TAG_DIGEST
from tests.warm import warm_python

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = int(os.environ.get("MODELSHIP_TEST_SCHEDULES", "36"))
DEPLOYER = ROOT / "tests" / "deployer.py"
MODULES = (
    "mlflow.store.model_registry.sqlalchemy_store", "mlflow.store.tracking.sqlalchemy_store", "mlflow.store.db.utils",
    "mlflow.store.artifact.local_artifact_repo", "mlflow.store.artifact.artifact_repository_registry", "alembic.script",
    "modelship.deployment.deploy", "modelship.deployment.log", "modelship.deployment.targets.directory",
)  # fmt: skip


@dataclass(frozen=True)
class Shop:
    """A registered model with three versions, and a folder where one of them serves."""

    uri: str
    model: str
    root: Path

    @property
    def log(self) -> Log:
        return Log(self.uri, self.model)

    def order(
        self, action: Action, version: int, key: str, *, ill: tuple[int, ...] = (), dies_at: int | None = None, breaks: bool = False
    ) -> dict[str, Any]:
        """Carry an order out in a process of its own; returns what came of it, `{"died": True}` where it was killed."""
        file = self.root / f"{uuid.uuid4().hex}.json"
        champion = self.log.state().champion_version()
        began = self.log.state().last.get(("live", key))
        told = {
            "uri": self.uri, "model": self.model, "root": str(self.root), "environment": "live", "action": action, "version": version,
            "key": key, "ill": [f"v{number}" for number in ill], "dies-at": dies_at,
            "breaks": breaks, "replaces": began.replaces if began else champion,
        }  # fmt: skip
        file.write_text(json.dumps(told), encoding="utf-8")
        python = warm_python(DEPLOYER, *MODULES, path=ROOT / "scripts")
        status = python.run([str(file)], self.root, {"PYTHONPATH": ""}, self.root / "log")
        if status == -9:
            return {"died": True}
        assert status == 0, (self.root / "log").read_text(errors="replace")
        found: dict[str, Any] = json.loads(file.with_suffix(".told").read_text())
        return {"died": False, **found}

    @property
    def facts(self) -> dict[str, Any]:
        """What ledger, registry and folder say, which must be one thing."""
        state = self.log.state()
        live = state.environment("live").live
        aliases = {name: int(number) for name, number in connect(self.uri).get_registered_model(self.model).aliases.items()}
        current = self.root / "live" / "current"
        return {
            "ledger": live.version if live else None,
            "champion": state.champion_version(),
            "good": [entry.version for entry in state.environment("live").good],
            "in progress": state.environment("live").in_progress is not None,
            "aliases": {name: number for name, number in aliases.items() if name != "challenger"},
            "folder": (current / "model" / "weights.json").read_text() if current.exists() else None,
        }


@pytest.fixture
def shop(mlflow: str, tmp_path: Path) -> Shop:
    return make_shop(mlflow, tmp_path)


def make_shop(uri: str, folder: Path) -> Shop:
    """A shop of a name that no other test uses."""
    name, client = f"model-{uuid.uuid4().hex[:8]}", connect(uri)
    if uri.startswith("sqlite:"):
        # A store without a server before it puts artifacts into the current folder.
        client.create_experiment(name, (folder / "artifacts").as_uri())
    for number in (1, 2, 3):
        model = folder / f"trained-{number}"
        model.mkdir()
        (model / "weights.json").write_text(f"v{number}")
        digest = f"sha256:{digest_folder(model)}"
        tags = {TAG_KEY: f"{number}" * 64, TAG_DIGEST: digest}
        publish(client, Publication(name, tags[TAG_KEY], digest, model, {}, tags, "", name))
    return Shop(uri, name, folder)


def serving(*good: int) -> dict[str, Any]:
    """The facts where the last of these versions serves."""
    live = good[-1] if good else None
    return {
        "ledger": live,
        "champion": live or 0,
        "good": list(good),
        "in progress": False,
        "aliases": {"champion": live, "live": live} if live else {},
        "folder": f"v{live}" if live else None,
    }


# How they end --------------------------------------------------------------------------------------------------------------------


def test_a_version_that_holds_is_live_and_the_champion(shop: Shop) -> None:
    assert shop.order(Action.DEPLOY, 1, "first")["done"]
    assert shop.facts == serving(1)
    assert shop.order(Action.DEPLOY, 2, "second")["done"]
    assert shop.facts == serving(1, 2)


def test_what_is_live_already_is_left_alone(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    entries = shop.log.read()
    again = shop.order(Action.DEPLOY, 1, "again")
    assert (again["done"], again["told"]) == (True, "v1 is live in live already")
    assert shop.log.read() == entries


def test_what_the_target_has_lost_is_deployed_again(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    (shop.root / "live" / "current").unlink()
    assert shop.order(Action.DEPLOY, 1, "again")["done"]
    assert shop.facts == serving(1)


def test_a_version_that_does_not_hold_goes_and_the_one_before_comes_back(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    ill = shop.order(Action.DEPLOY, 2, "second", ill=(2,))
    assert (ill["done"], ill["told"]) == (False, "v2 did not hold: it holds v2; v1 serves live again")
    assert shop.facts == serving(1)


def test_a_first_version_that_does_not_hold_leaves_nothing(shop: Shop) -> None:
    ill = shop.order(Action.DEPLOY, 1, "first", ill=(1,))
    assert (ill["done"], ill["told"]) == (False, "v1 did not hold: it holds v1; live serves nothing, as before")
    assert shop.facts == serving()


def test_a_rollback_brings_the_version_before_back(shop: Shop) -> None:
    for number in (1, 2, 3):
        shop.order(Action.DEPLOY, number, f"deploy {number}")
    assert shop.order(Action.ROLLBACK, 2, "back")["done"]
    assert shop.facts == serving(1, 2)


def test_a_run_that_is_started_again_does_not_deploy_what_was_rolled_back(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    shop.order(Action.DEPLOY, 2, "second")
    shop.order(Action.ROLLBACK, 1, "back")
    again = shop.order(Action.DEPLOY, 2, "second")
    assert (again["done"], again["told"]) == (True, "v2 was deployed by this run before; now v1 serves live")
    assert shop.facts == serving(1)


def test_a_defect_in_the_middle_leaves_what_was_there(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    with pytest.raises(AssertionError, match="a defect in a smoke test"):
        shop.order(Action.DEPLOY, 2, "second", breaks=True)
    assert shop.facts == serving(1)


def test_a_version_whose_files_were_changed_is_not_deployed(shop: Shop) -> None:
    shop.order(Action.DEPLOY, 1, "first")
    client = connect(shop.uri)
    run = client.get_model_version(shop.model, "2").run_id
    (forged := shop.root / "weights.json").write_text("v2 with a back door")
    client.log_artifact(run, str(forged), "modelship/model")
    with pytest.raises(AssertionError, match="is not what was registered"):
        shop.order(Action.DEPLOY, 2, "second")
    assert shop.facts == serving(1)


def test_a_second_deployment_waits_for_the_first(shop: Shop) -> None:
    assert shop.order(Action.DEPLOY, 1, "first", dies_at=3)["died"]
    assert shop.log.state().environment("live").in_progress is not None
    with pytest.raises(AssertionError, match="is being deployed to live by dana"):
        shop.order(Action.DEPLOY, 2, "second")
    assert shop.order(Action.DEPLOY, 1, "first")["done"]
    assert shop.facts == serving(1)


# Killed --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_deployed(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop in which v2 serves after v1, without a server between it and its database: a hundred copies of it die below."""
    folder = tmp_path_factory.mktemp("shop")
    shop = make_shop(f"sqlite:///{folder / 'mlflow.db'}", folder)
    shop.order(Action.DEPLOY, 1, "first")
    shop.order(Action.DEPLOY, 2, "second")
    return shop


def copy_of(shop: Shop, folder: Path) -> Shop:
    """The same shop elsewhere; what is registered is read where it was."""
    shutil.copyfile(shop.root / "mlflow.db", folder / "mlflow.db")
    shutil.copytree(shop.root / "live", folder / "live", symlinks=True)
    return Shop(f"sqlite:///{folder / 'mlflow.db'}", shop.model, folder)


@pytest.mark.parametrize("seed", range(SCHEDULES // 3))
@pytest.mark.parametrize("story", ["deploy", "ill", "rollback"])
def test_killed_anywhere_and_started_again_it_ends_as_if_nothing_had_happened(
    two_deployed: Shop, tmp_path: Path, story: str, seed: int
) -> None:
    """The process dies at a moment before or after one of its writes, and so does the next one, until one gets through."""
    chance = random.Random(f"{story} {seed}")
    shop = copy_of(two_deployed, tmp_path)
    action, version, ill, wanted = {
        "deploy": (Action.DEPLOY, 3, (), serving(1, 2, 3)),
        "ill": (Action.DEPLOY, 3, (3,), serving(1, 2)),
        "rollback": (Action.ROLLBACK, 1, (), serving(1)),
    }[story]
    deaths = 0
    while shop.order(action, version, "third", ill=ill, dies_at=chance.randrange(40) if deaths < 2 else None)["died"]:
        deaths += 1
    assert shop.facts == wanted
    assert not shop.log.state().refused, "no entry was written that does not count"
