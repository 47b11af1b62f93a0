"""The small team, which trains in no time, and how to look at what came of its pull requests."""

import json
import math
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .act import Artifact, Run
from .github import PullRequest
from .moment import Moment, after
from .world import ACCEPT, CHECKOUT, COMMENT, Edit, World

UNSURE = "🟡"

MODEL, DATA, EVALUATED, ONE_STEP = (f".github/workflows/{name}.yml" for name in ("model", "data", "evaluated", "one-step"))

#: What must not reach code that nobody has reviewed.
SECRETS = {
    "DVC_CREDENTIALS": "AWS_SECRET_ACCESS_KEY=canary-of-the-storage",
    "MLFLOW_USERNAME": "canary-of-the-name",
    "MLFLOW_PASSWORD": "canary-of-the-password",
}


@dataclass(frozen=True)
class Team:
    """The small team's repository on GitHub."""

    world: World

    def propose(self, branch: str, files: dict[str, Edit], workflow: str = MODEL) -> tuple[PullRequest, Moment]:
        """Open a pull request and run the workflow for it."""
        pull = self.world.open_pull_request(branch, files, branch)
        return pull, self.run(pull, workflow, action="opened")

    def push(self, pull: PullRequest, files: dict[str, Edit], workflow: str = MODEL) -> Moment:
        """Push one more commit to a pull request and run the workflow for it."""
        self.world.push(files, "One more", branch=pull.branch)
        return self.run(pull, workflow)

    def run(self, pull: PullRequest, workflow: str = MODEL, **options: Any) -> Moment:
        """Run the workflow for the pull request's head: again, if it has been run before."""
        return after(self.world, pull, self.world.run_pull_request(pull, workflow=workflow, secrets=SECRETS, **options))

    def propose_from_fork(self, branch: str, files: dict[str, Edit], title: str = "") -> tuple[PullRequest, Run]:
        """Open a pull request from the stranger's fork, and run the workflow for it as GitHub does: it can answer nothing."""
        pull = self.world.open_fork_pull_request(branch, files, title or branch)
        return pull, self.world.run_fork(pull, action="opened")

    def answer(self, pull: PullRequest, run: Run) -> tuple[Run, Moment]:
        """Run what the end of a fork's run starts, with the secrets that it has; what came of that, and what is on GitHub then."""
        answered = self.world.run_completed(pull, run, secrets=SECRETS)
        assert answered is not None
        moment = Moment(run, self.world.comments(pull), self.world.check_runs(run.head_sha))
        return answered, moment

    def seen(self, run: Run, where: str) -> str:
        """All that the team's code could see of environments in a run; it must have looked."""
        found = sorted((self.world.folder / "home" / "seen").glob(f"{run.id}-{where}-*.json"))
        assert found, run.log
        return "\n".join(path.read_text(encoding="utf-8") for path in found)


def make_template(folder: Path) -> None:
    """Write the repository that the team starts from: tables, and what the first training left."""
    shutil.copytree(Path(__file__).parent / "small-team", folder)
    for workflow in (ACCEPT, COMMENT):
        shutil.copy(CHECKOUT / "template-repo" / workflow, folder / workflow)
    # The same files as the template's, so that the packages are downloaded once for all tests.
    for requirements in (CHECKOUT / "template-repo").glob("requirements*.txt"):
        shutil.copyfile(requirements, folder / requirements.name)
    (folder / "holdout.csv").write_text(flights(), encoding="utf-8")
    (folder / "train.csv").write_text(flights(seed=1, first=1000), encoding="utf-8")
    subprocess.run([sys.executable, "-I", "flights.py"], cwd=folder, env={"HOME": str(folder.parent)}, check=True)


def flights(seed: int = 0, first: int = 0) -> str:
    """A thousand flights as CSV, the evening's late more often."""
    chance = random.Random(seed)
    rows = []
    for flight in range(first, first + 1000):
        hour, carrier = chance.randrange(5, 24), chance.choice(["AA", "DL", "EV"])
        is_late = chance.random() < 1 / (1 + math.exp(-0.5 * (hour - 14)))
        rows.append(f"{flight},{hour},{carrier},{int(is_late)}")
    return "\n".join(["flight_id,hour,carrier,late", *rows, ""])


def evidence(run: Run) -> Artifact:
    """What training, or the only job, handed over in a run."""
    (artifact,) = (artifact for artifact in run.artifacts.values() if artifact.name.startswith(("modelship-evidence-", "records")))
    return artifact


def record(run: Run, name: str) -> Any:
    """A record of the evidence."""
    return json.loads((evidence(run).folder / f"{name}.json").read_text(encoding="utf-8"))


def conclusions(moment: Moment) -> dict[str, str | None]:
    """How the jobs ended, and the check on the head."""
    return {**{job.id: job.conclusion for job in moment.run.jobs.values()}, "check": moment.check.conclusion}


PASSES = {"train": "success", "judge": "success", "check": "success"}
IS_BLOCKED = {"train": "success", "judge": "failure", "check": "failure"}
