"""Fetch what this commit names with DVC, and check that it is what arrived."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelship.core import workflow
from modelship.core.environments import interpreter
from modelship.core.errors import BadInput, Problem, bad_input, infrastructure
from modelship.core.records import DataFile, DvcPullRecord
from modelship.core.words import counted
from modelship.data.dvc_files import data_files, output_remotes, source_paths
from modelship.data.dvc_remotes import Remote, find_dvc_root, read_remotes

_FOREIGN = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "UV_", "PIP_")
_MOST_NAMED = 5


@dataclass(frozen=True)
class Pull:
    """A pull: the folder of modelship.yaml, the remote to use (the default one without), variables with credentials."""

    directory: Path
    remote: str | None
    credentials: Mapping[str, str]


def pull(request: Pull) -> DvcPullRecord:
    """Fetch and verify everything that `*.dvc` and `dvc.lock` name.

    Data that a `.dvc` file names must arrive. Outputs of stages that no remote holds are left for training to make again.
    Raises BadInput when the remote lacks or corrupts data, InfrastructureError when it does not answer.
    """
    root = find_dvc_root(request.directory)
    if root is None:
        raise bad_input("this repository does not use DVC.", "There is no `.dvc` folder: leave this step out, or run `dvc init`.")
    tracked = data_files(request.directory)
    if not tracked:
        raise bad_input("DVC tracks nothing here.", "Track data with `dvc add`, or leave this step out.")
    sources = source_paths(request.directory)
    configured = read_remotes(root)
    # Without data of its own, and without a remote, a pipeline makes everything anew.
    is_needed = bool(sources or configured.by_name or request.remote)
    remotes = configured.needed(request.remote, output_remotes(request.directory)) if is_needed else []
    if remotes:
        run_dvc_pull(request, remotes)
    outputs, recomputed = _verify(request.directory, root, tracked, sources, remotes)
    amount = sum(file.bytes or 0 for file in outputs)
    left = f"; {counted(len(recomputed), 'stage output')} left to training" if recomputed else ""
    return DvcPullRecord(
        status="pass",
        summary=f"{counted(len(outputs), 'output')}, {amount / 1e6:.1f} MB, verified{left}",
        remotes=tuple(f"{remote.name} ({remote.kind})" for remote in remotes),
        outputs=tuple(outputs),
        recomputed=tuple(recomputed),
    )


def run_dvc_pull(
    request: Pull, remotes: list[Remote], targets: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> None:
    """Run `dvc pull` for `targets`, or for everything, in the environment that `remotes` need.

    What no remote holds is left out. Raises BadInput when DVC refuses its configuration, InfrastructureError when a remote does
    not answer.
    """
    capabilities = {remote.capability for remote in remotes} - {"dvc"} or {"dvc"}
    if len(capabilities) > 1:
        kinds = ", ".join(f"{remote.name} ({remote.kind})" for remote in remotes)
        raise bad_input(f"the data lies on remotes of several kinds: {kinds}.", "Keep what one commit names on one kind.")
    python = interpreter(capabilities.pop())
    options = ["--remote", request.remote] if request.remote else []
    command = [python, "-I", "-m", "dvc", "pull", "--allow-missing", *options, "--", *targets]
    environment = {name: value for name, value in os.environ.items() if not name.startswith((*_FOREIGN, "MODELSHIP_"))}
    environment |= {"DVC_NO_ANALYTICS": "1", **request.credentials, **(variables or {})}
    title = f"DVC: pull from {', '.join(f'{remote.name} ({remote.kind}, {remote.url})' for remote in remotes)}"
    with workflow.group(title), workflow.commands_stopped():
        result = subprocess.run(
            command, cwd=request.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        sys.stdout.write(result.stdout)
    if result.returncode != 0:
        reasons = [line.removeprefix("ERROR: ") for line in result.stdout.splitlines() if line.startswith("ERROR")]
        reason = "; ".join(reasons or result.stdout.splitlines()[-3:])[:600]
        if any(word in reason for word in ("config file error", "YAML", "is invalid", "is not a DVC repository", "overlaps")):
            raise bad_input(f"DVC refused: {reason}.")
        raise infrastructure(
            f"DVC could not pull from {remotes[0].name}: {reason}.", "Is the remote reachable, and are its credentials given?"
        )


def _verify(
    directory: Path, root: Path, tracked: list[DataFile], sources: set[str], remotes: list[Remote]
) -> tuple[list[DataFile], list[str]]:
    """What stands in the work tree with the right content, and which stage outputs do not. Every byte is hashed again."""
    present: list[DataFile] = []
    recomputed: list[str] = []
    problems: list[Problem] = []
    where = " or ".join(f"`{remote.name}`" for remote in remotes)
    for file in tracked:
        path = directory / file.path
        state = state_of(path, file, root)
        if state == "right":
            present.append(file)
        elif file.path not in sources:
            recomputed.append(file.path)
        elif state == "absent":
            problems.append(
                Problem(
                    f"the remote {where} lacks `{file.path}` ({file.hash}), or holds it damaged.",
                    "Run `dvc push` where the data is.",
                    f"{file.path}.dvc",
                )
            )
        else:
            problems.append(
                Problem(
                    f"`{file.path}` is not what the commit names ({file.hash}).",
                    "Is the remote damaged? Push it again: `dvc push -f`.",
                )
            )
    if problems:
        rest = len(problems) - _MOST_NAMED
        raise BadInput(*problems[:_MOST_NAMED], *([Problem(f"and {rest} more.")] if rest > 0 else []))
    return present, recomputed


def state_of(path: Path, file: DataFile, root: Path) -> str:
    """Whether what stands at `path` is what DVC's entry `file` names: `right`, `wrong` or `absent`. `root` holds `.dvc/`."""
    algorithm, _, digest = file.hash.partition(":")
    if not path.exists():
        return "absent"
    if algorithm != "md5":
        return "right"  # A cloud's own version mark: nothing that could be computed here.
    if path.is_dir():
        return _folder_state(path, digest, root)
    return "right" if md5_of(path) == digest else "wrong"


def _folder_state(path: Path, digest: str, root: Path) -> str:
    """A folder's hash is that of its listing, which DVC keeps in its cache."""
    plain = digest.removesuffix(".dir")
    if listing_hash(path) == plain:
        return "right"
    # Something else may lie in the folder, too. DVC 2 had its cache one folder higher.
    cache = root / ".dvc" / "cache"
    candidates = (folder / plain[:2] / f"{plain[2:]}.dir" for folder in (cache / "files" / "md5", cache))
    listing = next((candidate for candidate in candidates if candidate.is_file()), None)
    if listing is None:
        return "absent"
    raw = listing.read_bytes()
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != plain:
        return "wrong"
    for entry in json.loads(raw):
        child = path / entry["relpath"]
        if not child.is_file():
            return "absent"
        if md5_of(child) != entry["md5"]:
            return "wrong"
    return "right"


def listing_hash(path: Path) -> str:
    """The MD5 of a folder's listing as DVC writes it (`Tree.as_bytes` of dvc-data), wherever its cache may be."""
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    listing = json.dumps([{"md5": md5_of(file), "relpath": name} for name, file in files])
    return hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()


def md5_of(path: Path) -> str:
    """The MD5 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
