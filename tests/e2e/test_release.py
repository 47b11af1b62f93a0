"""From the merge to production and back, through the template's own workflows, judged by what registry, ledger and bucket hold."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from modelship.core.run_directory import digest_folder
from modelship.deployment.log import Log

from .act import Run
from .demo import HARMLESS, MODEL, TOLD
from .github import BOT
from .markdown import headline, plain
from .world import ROLLBACK, World

pytestmark = [pytest.mark.usefixtures("baseline"), pytest.mark.xdist_group("template")]


def aliases(world: World) -> dict[str, int]:
    """The aliases of the registered model."""
    return {name: int(version) for name, version in MlflowClient(world.mlflow_uri).get_registered_model(MODEL).aliases.items()}


def served(world: World) -> dict[str, int]:
    """The version that each environment's pointer in the bucket names."""
    return {path.parent.name: json.loads(path.read_bytes())["version"] for path in world.bucket.glob("*/current.json")}


def test_a_push_to_main_is_live(world: World, baseline: Run, tmp_path: Path) -> None:
    assert {name: job.conclusion for name, job in baseline.jobs.items()} == dict.fromkeys(
        ("train", "judge", "register", "staging", "production", "tell", "attest"), "success"
    )
    version = MlflowClient(world.mlflow_uri).get_model_version(MODEL, "1")
    assert version.tags["modelship.commit"] == baseline.head_sha
    assert version.tags["modelship.verdict"] == "warn", "a first version has no baseline"
    provenance, bill = world.attestations(baseline)
    held = Path(download_artifacts(run_id=version.run_id, artifact_path="modelship", tracking_uri=world.mlflow_uri, dst_path=tmp_path))
    for statement in (provenance, bill):
        digest = hashlib.sha256((held / "model.sha256").read_bytes()).hexdigest()
        assert statement["subject"] == [{"name": "model.sha256", "digest": {"sha256": digest}}]
    assert (provenance["predicateType"], provenance["predicate"]["commit"]) == ("https://slsa.dev/provenance/v1", baseline.head_sha)
    assert bill["predicate"] == json.loads((held / "bom.cdx.json").read_bytes())
    assert version.tags["modelship.digest"] == f"sha256:{digest_folder(held / 'model')}"
    files = subprocess.run(["sha256sum", "--check", "--strict", "model.sha256"], cwd=held, capture_output=True, text=True, check=True)
    listed = {line.removesuffix(": OK") for line in files.stdout.splitlines()}
    assert listed == {path.relative_to(held).as_posix() for path in (held / "model").rglob("*") if path.is_file()}


def test_a_merge_is_released_and_rolled_back(world: World) -> None:
    pull = world.open_pull_request("release", {"params.yaml": lambda text: text.replace(*HARMLESS)}, "Tune the model")
    merge = world.merge(pull)
    released = world.run_release()
    assert released.succeeded, released.log
    newest = MlflowClient(world.mlflow_uri).get_model_version_by_alias(MODEL, "challenger")
    assert newest.tags["modelship.commit"] == merge
    assert aliases(world) == {"challenger": 2, "staging": 2, "production": 2, "champion": 2}
    assert served(world) == {"staging": 2, "production": 2}
    (told,) = [comment for comment in world.comments(pull) if comment.body.rstrip().endswith(TOLD)]
    assert (told.author, headline(told.body)) == (BOT, f"🟢 {MODEL}: v2 serves production")
    assert merge[:7] in told.body
    assert "v2 in place of v1, the new champion" in plain(told.body)

    reason = "Support hears of late flights that were on time; `$(touch hacked)`"
    inputs = {"environment": "production", "version": "", "reason": reason}
    back = world.run_dispatch(ROLLBACK, inputs, secrets=world.deploy_secrets, permissions={"contents": "read"})
    assert back.succeeded, back.log
    assert aliases(world) == {"challenger": 2, "staging": 2, "production": 1, "champion": 1}
    assert served(world) == {"staging": 2, "production": 1}
    ended = Log(world.mlflow_uri, MODEL).state().environment("production").live
    assert ended is not None
    assert (ended.version, ended.reason, ended.url) == (1, reason, f"https://github.com/{world.full_name}/actions/runs/{back.id}")
