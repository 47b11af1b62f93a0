"""The remotes in `.dvc/config`, and which plugin of DVC each needs."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from modelship.core.errors import bad_input, did_you_mean

CAPABILITIES = {
    "local": "dvc",
    "http": "dvc",
    "https": "dvc",
    "s3": "dvc-s3",
    "gs": "dvc-gs",
    "azure": "dvc-azure",
    "ssh": "dvc-ssh",
}
"""The environment for each kind of remote; local folders and HTTP need no plugin."""

_SECTION = re.compile(r"""^'?remote "(.+)"'?$""")


@dataclass(frozen=True)
class Remote:
    """A remote: its name, its kind (the URL's scheme, or `local`), and its URL without credentials."""

    name: str
    kind: str
    url: str

    @property
    def capability(self) -> str:
        """The environment that can read it. Raises BadInput for a kind that Modelship does not install."""
        if self.kind not in CAPABILITIES:
            known = ", ".join(sorted(CAPABILITIES))
            raise bad_input(f"the DVC remote `{self.name}` is of the kind `{self.kind}`.", f"Known: {known}.", path=".dvc/config")
        return CAPABILITIES[self.kind]


@dataclass(frozen=True)
class Remotes:
    """All remotes of a repository by name, and the name of the default one."""

    by_name: dict[str, Remote]
    default: str | None

    def needed(self, named: str | None, by_outputs: Iterable[str]) -> list[Remote]:
        """The remotes that a pull reads: `named` or the default one, and those that single outputs name."""
        first = named or self.default
        if first is None and not by_outputs:
            raise bad_input("there is no default DVC remote.", "Set one: `dvc remote add -d storage s3://…`", path=".dvc/config")
        return [self._get(name) for name in sorted({*by_outputs, *([first] if first else [])})]

    def _get(self, name: str) -> Remote:
        if name not in self.by_name:
            raise bad_input(f"there is no DVC remote `{name}`.", did_you_mean(name, self.by_name), path=".dvc/config")
        return self.by_name[name]


def find_dvc_root(directory: Path) -> Path | None:
    """The nearest folder at or above `directory` that holds `.dvc/`, not above the git repository's top."""
    for folder in (directory.resolve(), *directory.resolve().parents):
        if (folder / ".dvc").is_dir():
            return folder
        if (folder / ".git").exists():
            return None
    return None


def read_remotes(root: Path) -> Remotes:
    """The remotes of `.dvc/config`, overlaid by `.dvc/config.local` as DVC does. Raises BadInput for a broken file."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    for name in ("config", "config.local"):
        try:
            parser.read(root / ".dvc" / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            line = getattr(error, "lineno", None)
            raise bad_input("is not a DVC configuration.", path=f".dvc/{name}", line=line) from None
    urls = {match[1]: parser[section].get("url", "") for section in parser.sections() if (match := _SECTION.match(section))}
    by_name = {name: _remote(name, url, urls) for name, url in urls.items()}
    return Remotes(by_name, parser.get("core", "remote", fallback=None))


def _remote(name: str, url: str, urls: dict[str, str]) -> Remote:
    parts = urlsplit(url)
    kind = parts.scheme.lower() or "local"
    if kind == "remote" and parts.netloc in urls and urls[parts.netloc] != url:
        # `remote://other/path`: a path on another remote.
        kind = _remote(parts.netloc, urls[parts.netloc], {}).kind
    host = parts.netloc.rpartition("@")[2]
    shown = f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url
    return Remote(name, "local" if kind == "file" else kind, shown)
