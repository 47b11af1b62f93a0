"""Make a version of this repository: what `_release.yml` decides and does.

    python tools/release.py prepare minor       name the next version in __init__.py and CHANGELOG.md, for a pull request
    python tools/release.py check v1.2.3        whether HEAD can be released as that
    python tools/release.py pack v1.2.3 FOLDER  its sources as an archive, and the archive's digest
    python tools/release.py publish v1.2.3 FOLDER

`publish` may be killed anywhere and run again: it looks before each step whether that is done. Exit codes are those of every command:
2 where something has to be changed first, 3 where GitHub did not answer and running it again is all that is needed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import click  # noqa: E402 - the package is found only now

from modelship.core import workflow  # noqa: E402
from modelship.core.errors import BadInput, ModelshipError, Problem, bad_input, infrastructure  # noqa: E402

if TYPE_CHECKING:
    from github.Repository import Repository

CI = "_ci.yml"
"""The workflow that must have passed on a commit before it is released."""

INIT, CHANGELOG = Path("scripts/modelship/__init__.py"), Path("CHANGELOG.md")
UNRELEASED = "Unreleased"
TITLE = "release"

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_ASSIGNED = re.compile(r'^__version__ = "([^"]*)"$', re.MULTILINE)
_HEADING = re.compile(r"^## (.+?)\s*$", re.MULTILINE)

P = ParamSpec("P")


# Versions ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Version:
    """`major.minor.patch`, as https://semver.org orders them; pre-releases are not made."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def tag(self) -> str:
        """The tag that never moves."""
        return f"v{self}"

    @property
    def moving_tag(self) -> str:
        """The tag that follows the newest version of this major one."""
        return f"v{self.major}"

    def next(self, part: str) -> Version:
        """The version that raises `major`, `minor` or `patch` by one."""
        raised = {
            "major": Version(self.major + 1, 0, 0),
            "minor": Version(self.major, self.minor + 1, 0),
            "patch": Version(self.major, self.minor, self.patch + 1),
        }
        return raised[part]


def read_version(text: str) -> Version | None:
    """The version in `1.2.3`; None for anything else."""
    found = _VERSION.fullmatch(text)
    return Version(*map(int, found.groups())) if found else None


def read_tag(text: str) -> Version | None:
    """The version in `v1.2.3`; None for anything else, the moving tags too."""
    return read_version(text[1:]) if text.startswith("v") else None


def version_of(init: str) -> Version:
    """The version that `__init__.py` names. Raises BadInput when it names none."""
    found = _ASSIGNED.search(init)
    version = read_version(found[1]) if found else None
    if version is None:
        raise bad_input('does not say `__version__ = "1.2.3"`.', path=INIT.as_posix())
    return version


def released(tags: Iterable[str]) -> set[Version]:
    """The versions among the tags of a repository."""
    return {version for version in map(read_tag, tags) if version}


# The changelog -------------------------------------------------------------------------------------------------------------------


def sections(changelog: str) -> dict[str, str]:
    """The text below each heading of the second level, by heading, newest first."""
    found = list(_HEADING.finditer(changelog))
    ends = [*(match.start() for match in found[1:]), len(changelog)]
    return {match[1]: changelog[match.end() : end].strip() for match, end in zip(found, ends, strict=True)}


def notes(changelog: str, version: Version) -> str:
    """What the changelog says of a version, for people. Raises BadInput when it says nothing, or speaks of a newer one first."""
    found = sections(changelog)
    text = found.get(str(version), "")
    if not text:
        raise bad_input(f"says nothing below `## {version}`.", "Write what users notice.", path=CHANGELOG.as_posix())
    newest = next(iter(found))
    if newest == UNRELEASED and not found[newest]:
        newest = list(found)[1]
    if newest != str(version):
        raise bad_input(f"begins with `{newest}`, not with `{version}`.", "Name what is to be released.", path=CHANGELOG.as_posix())
    return text


def prepared(init: str, changelog: str, part: str) -> tuple[Version, str, str]:
    """The next version, and the two files that name it. Raises BadInput when there is nothing to release, or `part` is too small."""
    version = version_of(init)
    news = sections(changelog).get(UNRELEASED, "")
    if not news:
        raise bad_input(f"says nothing below `## {UNRELEASED}`.", "Write what users notice.", path=CHANGELOG.as_posix())
    breaks = [line for line in news.splitlines() if line.startswith("- **Breaking**")]
    smallest = "major" if version.major else "minor"
    if breaks and part not in ("major", smallest):
        raise bad_input(
            f"says `{breaks[0][:80]}`, which is no {part} release.", f"Prepare a {smallest} one.", path=CHANGELOG.as_posix()
        )
    new = version.next(part)
    renamed = re.sub(rf"^## {UNRELEASED}\s*$", f"## {new}\n", changelog, count=1, flags=re.MULTILINE)
    return new, _ASSIGNED.sub(f'__version__ = "{new}"', init), renamed


# What is to be released ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What a decision needs: the files of a commit, and what GitHub says of it."""

    commit: str
    init: str
    changelog: str
    tags: Mapping[str, str]
    """Commits by tag."""
    releases: frozenset[str]
    """Tags that have a release, drafts left out."""
    default_branch: str
    branch: str
    """Where the run was started."""
    ci_passed: bool


def decide(tag: str, facts: Facts) -> tuple[Version, str]:
    """The version and its notes. Raises BadInput with everything that speaks against releasing the commit as `tag`."""
    version = read_tag(tag)
    if version is None:
        raise bad_input(f"`{tag[:80]}` is no version.", "Give a tag as v1.2.3.")
    problems: list[Problem] = []
    text = ""
    try:
        named = version_of(facts.init)
        text = notes(facts.changelog, version)
        if named != version:
            problems.append(Problem(f"names {named}, not {version}.", "Merge a pull request that does.", INIT.as_posix()))
    except BadInput as error:
        problems += error.problems
    if facts.branch != facts.default_branch:
        problems.append(Problem(f"versions are made of `{facts.default_branch}`, not of `{facts.branch}`."))
    if not facts.ci_passed:
        problems.append(Problem(f"{CI} has not passed on {facts.commit[:7]}.", "Wait for it, or mend what it found."))
    there = facts.tags.get(tag)
    if there not in (None, facts.commit):
        problems.append(
            Problem(
                f"{tag} is {there[:7] if there else ''} already, this commit is {facts.commit[:7]}.",
                f"Run the failed jobs of the run that began {tag} again, or prepare the next version.",
            )
        )
    newer = max((other for other in released(facts.tags) if other > version), default=None)
    if newer and there is None:
        problems.append(Problem(f"{newer.tag} is newer than {tag} and released already."))
    if version.moving_tag in facts.releases:
        problems.append(
            Problem(f"{version.moving_tag} has a release, and may not be moved then.", "Delete that release; the tag may stay.")
        )
    if problems:
        raise BadInput(*problems)
    return version, text


def may_move(version: Version, tags: Iterable[str]) -> bool:
    """Whether the moving tag should follow this version: not where a newer one has been made meanwhile."""
    return version == max((other for other in released(tags) if other.major == version.major), default=version)


# Effects -------------------------------------------------------------------------------------------------------------------------


def git(*arguments: str) -> bytes:
    """What git prints in this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def pack(version: Version, folder: Path) -> list[Path]:
    """Write the sources of HEAD as an archive, and its SHA-256 beside it; the same commit gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"modelship-{version}"
    archive, sums = folder / f"{name}.tar.gz", folder / "SHA256SUMS"
    content = gzip.compress(git("archive", "--format=tar", f"--prefix={name}/", "HEAD"), mtime=0)
    archive.write_bytes(content)
    sums.write_text(f"{hashlib.sha256(content).hexdigest()}  {archive.name}\n", encoding="utf-8")
    return [archive, sums]


def gather(repository: Repository, branch: str) -> Facts:
    """The facts about HEAD."""
    commit = git("rev-parse", "HEAD").decode().strip()
    runs = f"{repository.url}/actions/workflows/{CI}/runs"
    asked = {"head_sha": commit, "event": "push", "branch": repository.default_branch, "per_page": 100}
    _, answer = repository.requester.requestJsonAndCheck("GET", runs, asked)
    return Facts(
        commit=commit,
        init=(ROOT / INIT).read_text(encoding="utf-8"),
        changelog=(ROOT / CHANGELOG).read_text(encoding="utf-8"),
        tags=tags_of(repository),
        releases=frozenset(release.tag_name for release in repository.get_releases() if not release.draft),
        default_branch=repository.default_branch,
        branch=branch,
        ci_passed=any(run["conclusion"] == "success" for run in answer["workflow_runs"]),
    )


def tags_of(repository: Repository) -> dict[str, str]:
    """The commit of each tag that begins with `v`."""
    found: dict[str, str] = {}
    for reference in repository.get_git_matching_refs("tags/v"):
        target = reference.object
        # A tag with a message, as people make them, is an object of its own.
        sha = repository.get_git_tag(target.sha).object.sha if target.type == "tag" else target.sha
        found[reference.ref.removeprefix("refs/tags/")] = sha
    return found


def publish(repository: Repository, version: Version, text: str, commit: str, files: Iterable[Path]) -> None:
    """Make tag and release, and let the moving tag follow; each step is left out where it is done.

    The tag comes before the release, through the API for references: the one for releases makes no tag of a commit that the default
    branch has left behind with other workflow files.
    """
    if version.tag not in tags_of(repository):
        repository.create_git_ref(f"refs/tags/{version.tag}", commit)
        workflow.say(f"{version.tag} is {commit[:7]}")
    found = [release for release in repository.get_releases() if release.tag_name == version.tag]
    if any(not release.draft for release in found):
        workflow.say(f"{version.tag} is published already")
    else:
        # Of a run that was cut off: nobody can tell whether its files are whole. What a person has drafted is theirs.
        for draft in found:
            if draft.author.type == "Bot":
                draft.delete_release()
        release = repository.create_git_release(version.tag, name=version.tag, message=text, draft=True)
        for path in files:
            release.upload_asset(str(path), name=path.name)
        release.update_release(version.tag, text, draft=False, make_latest="true")
        workflow.say(f"{version.tag} is published: {release.html_url}")
    follow(repository, version, commit)


def follow(repository: Repository, version: Version, commit: str) -> None:
    """Let the moving tag follow the version."""
    tags = tags_of(repository)
    name = version.moving_tag
    if not may_move(version, tags):
        workflow.say(f"{name} stays: it is at a newer version")
    elif name not in tags:
        repository.create_git_ref(f"refs/tags/{name}", commit)
        workflow.say(f"{name} is {commit[:7]}")
    elif tags[name] != commit:
        moved = {"sha": commit, "force": True}
        repository.requester.requestJsonAndCheck("PATCH", f"{repository.url}/git/refs/tags/{name}", input=moved)
        workflow.say(f"{name} was {tags[name][:7]}, and is {commit[:7]}")


# Commands ------------------------------------------------------------------------------------------------------------------------


def reported(command: Callable[P, None]) -> Callable[P, None]:
    """Errors become annotations and the exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ModelshipError as error:
            for problem in error.problems:
                workflow.annotate("error", problem, TITLE)
            sys.exit(error.exit_code)

    return run


def with_repository(command: Callable[Concatenate[Repository, P], None]) -> Callable[P, None]:
    """Give a command the repository that the run belongs to; what GitHub refuses or does not answer is an InfrastructureError."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        import github
        import requests

        try:
            hub = github.Github(
                auth=github.Auth.Token(os.environ["GITHUB_TOKEN"]), base_url=os.environ["GITHUB_API_URL"], retry=None, timeout=60
            )
            command(hub.get_repo(os.environ["GITHUB_REPOSITORY"]), *args, **kwargs)
        except github.GithubException as error:
            hint = "Has the branch moved on, with other workflow files? Then release its newest commit." if error.status == 403 else ""
            said = error.data.get("message") if isinstance(error.data, dict) else error.message
            raise infrastructure(f"GitHub answered {error.status}: {said}.", hint or _AGAIN) from error
        except requests.RequestException as error:
            raise infrastructure(f"GitHub did not answer ({type(error).__name__}).", _AGAIN) from error

    return run


_AGAIN = "Run the failed job again: it goes on where it was."


@click.group()
def main() -> None:
    """Make a version of this repository."""


@main.command("prepare")
@click.argument("part", type=click.Choice(["major", "minor", "patch"]))
@reported
def prepare_command(part: str) -> None:
    """Name the next version in __init__.py and CHANGELOG.md."""
    version, init, changelog = prepared((ROOT / INIT).read_text("utf-8"), (ROOT / CHANGELOG).read_text("utf-8"), part)
    (ROOT / INIT).write_text(init, "utf-8")
    (ROOT / CHANGELOG).write_text(changelog, "utf-8")
    workflow.say(f"This is {version}: open a pull request, and once it is merged run the workflow `release` with {version.tag}.")


@main.command("check")
@click.argument("tag")
@reported
@with_repository
def check_command(repository: Repository, tag: str) -> None:
    """Whether HEAD can be released as TAG."""
    version, text = decide(tag, gather(repository, os.environ["GITHUB_REF_NAME"]))
    workflow.say(f"{version.tag}\n\n{text}")


@main.command("pack")
@click.argument("tag")
@click.argument("folder", type=click.Path(path_type=Path))
@reported
def pack_command(tag: str, folder: Path) -> None:
    """Write the sources of HEAD to FOLDER."""
    for path in pack(_version(tag), folder):
        workflow.say(f"{path}: {path.stat().st_size:,} bytes")


@main.command("publish")
@click.argument("tag")
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@reported
@with_repository
def publish_command(repository: Repository, tag: str, folder: Path) -> None:
    """Publish HEAD as TAG, with the files in FOLDER."""
    facts = gather(repository, os.environ["GITHUB_REF_NAME"])
    version, text = decide(tag, facts)
    publish(repository, version, text, facts.commit, sorted(folder.iterdir()))


def _version(tag: str) -> Version:
    version = read_tag(tag)
    if version is None:
        raise bad_input(f"`{tag[:80]}` is no version.", "Give a tag as v1.2.3.")
    return version


if __name__ == "__main__":
    main()
