"""Fetches a commit as actions/checkout does, from `$E2E_ORIGINS/<owner>/<name>.git`."""

import os
import re
import subprocess
import sys
from pathlib import Path


def git(*arguments: str) -> str:
    """Run git in the target folder; its failure is this step's."""
    print("$ git", *arguments, flush=True)
    done = subprocess.run(["git", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"::error::git {arguments[0]} exited with {done.returncode}")
    return done.stdout.strip()


def main() -> None:
    """Initialise, fetch and check out."""
    repository, depth = os.environ["REPOSITORY"], int(os.environ["DEPTH"])
    origin = (Path(os.environ["E2E_ORIGINS"]) / f"{repository}.git").as_uri()
    target = Path(os.environ["GITHUB_WORKSPACE"]) / os.environ["TARGET"]
    target.mkdir(parents=True, exist_ok=True)
    os.chdir(target)
    git("init", "--quiet", "--initial-branch=main", ".")
    url = f"{os.environ['GITHUB_SERVER_URL']}/{repository}"
    if not git("remote"):  # An earlier step may have checked out another commit here: its objects stay.
        git("remote", "add", "origin", url)
    git("config", "--local", "gc.auto", "0")
    if os.environ["PERSIST"] == "true":
        git("config", "--local", f"url.{origin}.insteadOf", url)
    ref = os.environ["REF"] or os.environ["GITHUB_REF"]
    if re.fullmatch(r"[0-9a-f]{40}", ref):
        wanted, commit = f"+{ref}:refs/remotes/origin/e2e-wanted", ref
    else:
        full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        local = re.sub(r"^refs/(heads|pull)/", "refs/remotes/origin/", full)
        wanted, commit = f"+{full}:{local}", local
    everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"] if depth == 0 else []
    limit = [f"--depth={depth}"] if depth else []
    git("fetch", "--quiet", "--no-tags", *limit, origin, *everything, wanted)
    git("checkout", "--quiet", "--force", "--detach", commit)
    if commit == ref:
        git("update-ref", "-d", "refs/remotes/origin/e2e-wanted")
    print("HEAD is", git("rev-parse", "HEAD"))
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"commit={git('rev-parse', 'HEAD')}\n")


main()
