"""Programs that no Python package brings: what the machine has, else what its distribution's package holds.

A package is unpacked into the cache folder and not installed: that needs no rights, and starts no service on anybody's machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def program(name: str, package: str) -> Path:
    """The path of the program `name`, which the Debian or Ubuntu package `package` has in /usr/bin."""
    installed = shutil.which(name)
    return Path(installed) if installed else unpacked(package) / "usr" / "bin" / name


def unpacked(package: str) -> Path:
    """A folder that holds the files of a package. Raises RuntimeError where it cannot be had."""
    cache = Path(os.environ.get("MODELSHIP_CACHE") or Path.home() / ".cache" / "modelship") / "packages"
    home = cache / package
    if not home.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{package}-", dir=cache) as staging:
            archive = _downloaded(package, Path(staging))
            files = Path(staging) / "files"
            subprocess.run(["dpkg-deb", "--extract", archive, files], check=True)
            try:
                files.rename(home)
            except OSError:
                # Another process was faster; what it has put there is whole.
                if not home.is_dir():
                    raise
    return home


def _downloaded(package: str, folder: Path) -> Path:
    """The package's archive in `folder`: by the lists that the machine has, else by new ones that only this call uses."""
    if not shutil.which("apt-get"):
        raise RuntimeError(f"{package} is not installed, and there is no apt-get to fetch it with.")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}", "-o", "Debug::NoLocking=true"]
    said = ""
    for commands in ([["download", package]], [[*own, "update"], [*own, "download", package]]):
        for arguments in commands:
            done = subprocess.run(["apt-get", "--quiet", *arguments], cwd=folder, capture_output=True, text=True, check=False)
            said += done.stdout + done.stderr
        if found := next(folder.glob(f"{package}_*.deb"), None):
            return found
    raise RuntimeError(f"neither {package} nor its package is at hand.\n{said[-3000:]}")
