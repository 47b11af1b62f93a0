"""Puts a virtual environment first on PATH, from `$E2E_PYTHONS`, with what the workspace's requirements.txt names."""

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


def version_of(interpreter: str | Path) -> str:
    """Return the version, such as 3.12.1, or "" if it does not run: a version manager's shims are on PATH for others too."""
    code = "import sys; print(sys.version.split()[0])"
    try:
        done = subprocess.run([interpreter, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def candidates(wanted: str, base: Path) -> Iterator[Path]:
    """Yield interpreters that could be the wanted one: the tests' own, its sisters in a version manager, those on PATH."""
    yield base
    yield from sorted(base.parents[2].glob(f"*/bin/python{wanted}"))
    for folder in os.environ["PATH"].split(os.pathsep):
        yield Path(folder) / f"python{wanted}"


def install(python: Path, requirements: Path) -> None:
    """Install what the workspace wants, as a runner that has run before would have it: the workflow's own pip then finds it all.

    uv takes the files from its cache, so that this costs seconds. Requirements that cannot be met are left to the workflow's own step.
    """
    if requirements.is_file():
        options = ["--quiet", "--compile-bytecode", "--require-hashes", "--python", str(python), "-r", str(requirements)]
        subprocess.run([os.environ["E2E_UV"], "pip", "install", *options], cwd=python.parent, check=False)


def main() -> None:
    """Find an interpreter, make the environment unless it is there, and announce it."""
    wanted = os.environ["WANTED"]
    base = Path(os.environ["E2E_PYTHON"])
    version = version_of(base)
    for candidate in candidates(wanted, base):
        found = version_of(candidate)
        if found and (not wanted or f"{found}.".startswith(f"{wanted}.")):
            base, version = candidate, found
            break
    else:
        print(f"This machine has no Python {wanted}; going on with {version}.")
    requirements = hashlib.sha256()
    for path in sorted(Path(os.environ["GITHUB_WORKSPACE"]).glob("requirements*.txt")):
        requirements.update(path.read_bytes())
    folder = Path(os.environ["E2E_PYTHONS"]) / f"{version}-{requirements.hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Runs at the same time may want the same environment.
        if not (folder / "complete").exists():
            subprocess.run([base, "-I", "-m", "venv", "--clear", str(folder)], check=True)
            install(folder / "bin" / "python", Path(os.environ["GITHUB_WORKSPACE"]) / "requirements.txt")
            (folder / "complete").touch()
    with Path(os.environ["GITHUB_PATH"]).open("a", encoding="utf-8") as path_file:
        path_file.write(f"{folder / 'bin'}\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"python-version={version}\n")
    print(f"Python {version} at {folder}")


main()
