"""`make demo`: from pull requests to production and back, with the real workflows, on this machine.

A first version is released from `main`; a pull request that drops a feature is blocked; its repair turns the same comment green; a
merge that asks too much of its smoke test ends in staging, where the version before stays; mended, it is released to production, and
rolled back. Each merged pull request is told what became of it. Every statement that is printed has been checked against the state
of API, registry, ledger and bucket.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mlflow import MlflowClient

from .act import ActError, Run
from .console import Console
from .git import GitError
from .github import BOT, CheckRun, Comment, PullRequest, ToolMissingError
from .markdown import headline, plain, rendered
from .processes import NotReadyError
from .world import CHECKOUT, ROLLBACK, World

MODEL = BUCKET = "flight-delay"
CHECK = "modelship: flight-delay"
MARKER = "<!-- modelship:flight-delay -->"
TOLD = "<!-- modelship:flight-delay:release -->"
PASSED, BLOCKED = "🟢", "🔴"

#: An edit of params.yaml that keeps the model as good as it was: (old text, new text).
HARMLESS = ("  max_iter: 100\n", "  max_iter: 120\n")
#: An edit of params.yaml that makes the model clearly worse.
HARMFUL = ("  - hour\n", "")

#: An edit of modelship.yaml that asks more of a version than any can give, and what takes it back.
TOO_MUCH = ("    staging:\n", "    staging:\n      smoke: {latency-p99: 0.001ms}\n")

#: What `make demo` leaves for people to look at.
OUTPUT = CHECKOUT / "build" / "demo"


class DemoError(AssertionError):
    """Something is not as it should be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit code: 0 if all is as it should be, 1 if not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder with all logs behind")
    parser.add_argument("--template", type=Path, default=CHECKOUT / "template-repo", help=argparse.SUPPRESS)
    parser.add_argument("--checkout", type=Path, default=CHECKOUT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    console = Console()
    try:
        _show(console, options.template, options.checkout, keep=options.keep)
    except KeyboardInterrupt:
        console.line("\nStopped. Servers and runs have ended.")
        return 130
    except (DemoError, ActError, NotReadyError, GitError, ToolMissingError, ValueError) as error:
        console.line(f"\nThe demo failed after {console.elapsed():.0f} s: {error}")
        return 1
    return 0


def _show(console: Console, template: Path, checkout: Path, *, keep: bool) -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    console.title("Starting: a GitHub API, a git server, an MLflow server, a bucket, a runner")
    with World(template=template, checkout=checkout, mlflow=True, storage=BUCKET, progress=console.progress, keep=keep) as world:
        console.line(f"      GitHub API {world.github.url}, repository {world.full_name}")
        console.line(f"      MLflow {world.mlflow_uri}")

        console.title("1. A push to main is trained, judged, registered, and deployed to staging and production")
        baseline = _checked(world.run_release(), "the first release", succeeds=True)
        _save(baseline, "baseline")
        _serves(console, world, staging=1, production=1)

        console.title(f"2. A pull request tunes the model: {_described(HARMLESS)}")
        good = world.open_pull_request("tune", {"params.yaml": _edit(HARMLESS)}, "Tune the model")
        run = _checked(world.run_pull_request(good, action="opened"), "the harmless pull request", succeeds=True)
        comment = _judged(world, good, run, PASSED, "success")
        _save(run, "good", comment)
        console.line(f"      {headline(comment.body)}")

        console.title(f"3. A pull request makes the model worse: {_described(HARMFUL)}")
        bad = world.open_pull_request("drop-a-feature", {"params.yaml": _edit(HARMFUL)}, "Drop a feature")
        run = _checked(world.run_pull_request(bad, action="opened"), "the harmful pull request", succeeds=False)
        blocked = _judged(world, bad, run, BLOCKED, "failure")
        _save(run, "bad", blocked)
        console.line(f"      {headline(blocked.body)}")

        console.title("4. A second push to it puts the feature back")
        mended = world.repository.read("params.yaml").replace(*HARMLESS)
        world.push({"params.yaml": mended}, "Put the feature back", branch=bad.branch)
        run = _checked(world.run_pull_request(bad), "the repaired pull request", succeeds=True)
        repaired = _judged(world, bad, run, PASSED, "success")
        _save(run, "repaired", repaired)
        _require(repaired.id == blocked.id, f"the repair made comment {repaired.id}; {blocked.id} should have been updated")
        console.line(f"      {headline(repaired.body)}")

        console.title(f"5. #{good.number} is merged, with a smoke test that nothing can pass")
        world.push({"modelship.yaml": _edit(TOO_MUCH)}, "Ask for answers in a microsecond", branch=good.branch)
        world.merge(good)
        _checked(world.run_release(), "the release that asks too much", succeeds=False)
        _serves(console, world, staging=1, production=1)
        _told(console, world, good, f"{BLOCKED} {MODEL}: v2 was rolled back in staging", "ill-release")
        failed = _ledger(world)[-1]
        _require(failed["action"] == "failed" and failed["version"] == "2", f"the ledger should end with v2's failure, not {failed}")
        console.line(f"      the ledger says of v2: {failed['reason']}")

        console.title("6. Another one mends the smoke test, and its merge goes to production")
        mend = world.open_pull_request("ask-for-less", {"modelship.yaml": _edit(TOO_MUCH[::-1])}, "Ask for what can be had")
        world.merge(mend)
        _checked(world.run_release(), "the mended release", succeeds=True)
        _serves(console, world, staging=3, production=3)
        _told(console, world, mend, f"{PASSED} {MODEL}: v3 serves production", "release")

        console.title("7. Somebody brings the version before back to production")
        inputs = {"environment": "production", "version": "", "reason": "Support hears of late flights that were on time"}
        back = world.run_dispatch(ROLLBACK, inputs, secrets=world.deploy_secrets, permissions={"contents": "read"})
        _checked(back, "the rollback", succeeds=True)
        _serves(console, world, staging=3, production=1)

        console.title(f"The comment that blocked #{bad.number}")
        console.line(rendered(blocked.body))
        console.title(f"The same comment (id {repaired.id}) after the repair")
        console.line(rendered(repaired.body))
        console.title("What is on GitHub now")
        for pull in (good, bad, mend):
            console.line(f"      #{pull.number} {pull.title}")
            for found in world.comments(pull):
                console.line(f"          comment {found.id} by {found.author}: {headline(found.body)}")
        for check in _all_checks(world, baseline, good, bad, mend):
            console.line(f"      check {check.id} on {check.head_sha[:7]}: {check.name}: {check.conclusion}")
    console.title(f"Done in {console.elapsed():.0f} s; the servers have stopped")
    for path in sorted(OUTPUT.iterdir()):
        console.line(f"      {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _serves(console: Console, world: World, **versions: int) -> None:
    """Require that ledger, aliases and bucket agree on what each environment serves, and say so."""
    good = {entry["environment"]: int(entry["version"]) for entry in _ledger(world) if entry["action"] == "good"}
    aliases = MlflowClient(world.mlflow_uri).get_registered_model(MODEL).aliases
    for name, version in versions.items():
        pointer = json.loads((world.bucket / name / "current.json").read_bytes())
        found = (good[name], int(aliases[name]), pointer["version"])
        _require(set(found) == {version}, f"{name} should serve v{version}; ledger, alias and bucket say {found}")
    _require(int(aliases["champion"]) == versions["production"], f"the champion should be v{versions['production']}: {aliases}")
    console.line(f"      {', '.join(f'{name} serves v{version}' for name, version in versions.items())}")


def _told(console: Console, world: World, pull: PullRequest, title: str, name: str) -> None:
    """Require that the merged pull request was told once what became of it, and say so."""
    comments = [comment for comment in world.comments(pull) if comment.body.rstrip().endswith(TOLD)]
    _require(len(comments) == 1, f"#{pull.number} has {len(comments)} comments on its release; there should be 1")
    found = headline(comments[0].body)
    _require(comments[0].author == BOT and found == title, f"#{pull.number} should be told {title!r} and is told {found!r}")
    (OUTPUT / f"{name}-comment.md").write_text(comments[0].body, encoding="utf-8")
    console.line(f"      #{pull.number} is told: {found}")


def _ledger(world: World) -> list[dict[str, str]]:
    """The entries of the ledger of deployments, oldest first, as the MLflow server holds them."""
    entries = MlflowClient(world.mlflow_uri).search_model_versions(f"name = '{MODEL}.deployments'")
    ordered = sorted(entries, key=lambda entry: int(entry.version))
    return [{name.removeprefix("modelship."): value for name, value in entry.tags.items()} for entry in ordered]


def _edit(change: tuple[str, str]) -> Callable[[str], str]:
    return lambda text: text.replace(*change)


def _described(change: tuple[str, str]) -> str:
    old, new = (part.strip() for part in change)
    return f"`{old}` becomes `{new}`" if new else f"without `{old.removeprefix('- ')}`"


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DemoError(otherwise)


def _checked(run: Run, what: str, *, succeeds: bool) -> Run:
    """Save the run's log; it must have ended as expected, and a blocked one must have been blocked by the judge alone."""
    log = OUTPUT / f"run-{run.id}.log"
    log.write_text(run.log, encoding="utf-8")
    _require(run.succeeded == succeeds, f"{what} {'passed' if run.succeeded else 'failed'} in run {run.id}; see {log}")
    trained = run.jobs.get("train")
    _require(trained is None or trained.conclusion == "success", f"the training of {what} failed; see {log}")
    return run


def _judged(world: World, pull: PullRequest, run: Run, sign: str, conclusion: str) -> Comment:
    """Return the pull request's only comment after checking it and the check run of the head commit."""
    comments = [comment for comment in world.comments(pull) if MARKER in comment.body]
    _require(len(comments) == 1, f"#{pull.number} has {len(comments)} Modelship comments; there should be 1")
    comment = comments[0]
    _require(comment.author == BOT, f"the comment is by {comment.author}, not by {BOT}")
    _require(headline(comment.body).startswith(sign), f"the comment should say {sign} and says: {headline(comment.body)}")
    _require(run.head_sha[:7] in plain(comment.body), f"the comment does not speak of the head {run.head_sha[:7]}")
    checks = [check for check in world.check_runs(run.head_sha) if check.name == CHECK]
    _require(
        [check.conclusion for check in checks] == [conclusion],
        f"{run.head_sha[:7]} should have one check {CHECK!r} with {conclusion}; there are {checks}",
    )
    return comment


def _save(run: Run, name: str, comment: Comment | None = None) -> None:
    if comment is not None:
        (OUTPUT / f"{name}-comment.md").write_text(comment.body, encoding="utf-8")
    for artifact in run.artifacts.values():
        if artifact.name.endswith(".html"):
            shutil.copyfile(artifact.file, OUTPUT / f"{name}-report.html")


def _all_checks(world: World, baseline: Run, *pulls: PullRequest) -> list[CheckRun]:
    shas = [baseline.head_sha]
    for pull in pulls:
        found = world.github.call("GET", f"/repos/{world.full_name}/pulls/{pull.number}/commits")
        shas += [commit["sha"] for commit in found] + [world.repository.tip(pull.branch)]
    return [check for sha in dict.fromkeys(shas) for check in reversed(world.check_runs(sha))]


if __name__ == "__main__":
    sys.exit(main())
