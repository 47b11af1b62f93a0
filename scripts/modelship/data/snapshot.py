"""What a commit holds, in git itself or tracked by DVC, brought to a folder of ours and verified.

Content is taken by its hash from the commit, so it does not matter who could write to the cache or the remote. What matters is
whose `.dvc/config` is followed, because credentials go where it points: in a pull request the base commit's.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from modelship.core.errors import BadInput, bad_input
from modelship.core.git import Git
from modelship.core.prediction_files import MAX_BYTES
from modelship.core.scratch import scratch_folder
from modelship.data.dvc_files import Output, is_within, outputs_near
from modelship.data.dvc_pull import Pull, listing_hash, md5_of, run_dvc_pull
from modelship.data.dvc_remotes import find_dvc_root, read_remotes

MAX_FILES = 10_000
_LFS = b"version https://git-lfs.github.com/spec/"
_OF_LFS = re.compile(rb"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_OF_AN_ENTRY = ("md5", "hash", "size", "nfiles", "isexec", "cloud", "files", "version_id", "etag", "checksum")
_FILES_IN_CONFIG = (
    "gdrive_user_credentials_file",
    "gdrive_service_account_json_file_path",
    "credentialpath",
    "configpath",
    "keyfile",
    "cert_path",
    "key_path",
)
"""Options of a remote that name files, as DVC's own `Config._map_dirs` lists them."""


class AbsentError(Exception):
    """The commit names nothing there, or nobody holds it. The text is the reason, as the second half of a sentence."""


@dataclass(frozen=True)
class Storage:
    """How DVC's objects are reached: a remote by name (else the default one), and variables with credentials for it."""

    remote: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    config_at: str | None = None
    """The commit whose `.dvc/config` is followed; without one it is the work tree's, with `config.local`."""
    is_offline: bool = False
    """Whether no remote is asked: only what caches and the work tree hold is there."""
    max_bytes: int = MAX_BYTES
    """More is refused."""


@dataclass(frozen=True)
class _DvcConfig:
    """A DVC configuration, and where it would stand: relative to the repository's top and in the work tree."""

    parser: configparser.ConfigParser
    root: str
    dvc_folder: Path


class Snapshot:
    """The files of commit `sha`. Paths are relative to `directory`, the folder of `git`.

    Every method raises InfrastructureError when a remote does not answer.
    """

    def __init__(self, git: Git, sha: str, storage: Storage) -> None:
        top = git.root()
        if top is None:
            raise bad_input("this is no git repository.", path=str(git.directory))
        self._git = Git(top)
        self._top = top
        self._prefix = git.prefix
        self._directory = git.directory
        self._sha = sha
        self._storage = storage
        self._pulled: list[Path] = []

    def holds(self, path: str) -> bool:
        """Whether the commit has a file or folder at `path`, in git or under DVC. Nothing is fetched to find out."""
        inside = self._inside(path)
        return bool(self._in_git(inside) or outputs_near(self._git, self._sha, inside))

    def names(self, path: str) -> list[str]:
        """The names directly in the folder at `path`. Where DVC tracks the folder as a whole, its listing is fetched.

        Raises AbsentError when nobody holds that listing.
        """
        inside = self._inside(path)
        below = [PurePosixPath(name).relative_to(inside) for name in self._in_git(inside) if name != inside]
        for output in outputs_near(self._git, self._sha, inside):
            if _is_below(output.path, inside):
                below.append(PurePosixPath(output.path).relative_to(inside))
            elif output.md5 and output.md5.endswith(".dir"):
                within = _within(inside, output)
                names = (name for name, _ in self._listing(output, PurePosixPath()))
                below += [name.relative_to(within) for name in names if name.is_relative_to(within)]
        return sorted({name.parts[0] for name in below if name.parts})

    def fetch(self, path: str, target: Path) -> None:
        """Copy the file or folder at `path` to `target`, which must not be there yet.

        Raises AbsentError when the commit has none or nobody holds it, BadInput for more than the storage's `max_bytes`.
        """
        inside = self._inside(path)
        content = self._git.read(self._sha, inside)
        if content is not None:
            self._write(content, target, inside)
            return
        names = self._in_git(inside)
        budget = self._storage.max_bytes
        for name in names[: MAX_FILES + 1]:
            content = self._git.read(self._sha, name) or b""
            budget -= len(content)
            if budget < 0 or len(names) > MAX_FILES:
                raise self._too_large(inside)
            self._write(content, target / PurePosixPath(name).relative_to(inside), name)
        outputs = outputs_near(self._git, self._sha, inside)
        for output in outputs:
            if _is_below(output.path, inside):
                self._from_dvc(output, PurePosixPath(), target / PurePosixPath(output.path).relative_to(inside))
            else:
                self._from_dvc(output, _within(inside, output), target)
        if not names and not outputs:
            raise AbsentError(f"`{path}` is neither in git nor under DVC at {self._sha[:7]}")

    def is_same(self, path: str, here: Path) -> bool:
        """Whether the file or folder `here` is what the commit holds at `path`, by its content. Nothing is fetched to find out."""
        inside = self._inside(path)
        held: dict[Path, bool] = {}
        for name in self._in_git(inside):
            file = here / PurePosixPath(name).relative_to(inside)
            held[file] = _is_content(file, self._git.read(self._sha, name) or b"")
        for output in outputs_near(self._git, self._sha, inside):
            if _is_below(output.path, inside):
                piece = here / PurePosixPath(output.path).relative_to(inside)
                held[piece] = self._is_output(output, PurePosixPath(), piece)
            else:
                held[here] = self._is_output(output, _within(inside, output), here)
        if not held or not all(held.values()):
            return False
        others = (file for file in here.rglob("*") if file.is_file() and not file.name.endswith((".dvc", ".gitignore")))
        return all(any(file.is_relative_to(piece) for piece in held) for file in others)

    def hashes(self, path: str) -> frozenset[tuple[str, str, str]]:
        """By what DVC knows the content at `path`: equal hashes, equal content. Empty where git holds it all."""
        inside = self._inside(path)
        return frozenset(
            (posixpath.relpath(output.path, inside), posixpath.relpath(inside, output.path), str(output.md5))
            for output in outputs_near(self._git, self._sha, inside)
        )

    def keep(self, path: str) -> None:
        """Bring what DVC knows at `path` to the work tree's cache, where an offline snapshot finds it.

        Raises AbsentError when nobody holds it.
        """
        inside = self._inside(path)
        for output in outputs_near(self._git, self._sha, inside):
            self._keep(output, PurePosixPath() if _is_below(output.path, inside) else _within(inside, output))

    def _inside(self, path: str) -> str:
        return self._git.follow(self._sha, posixpath.normpath(posixpath.join(self._prefix, path)))

    def _in_git(self, inside: str) -> list[str]:
        """The files in git at or below `inside`, less those that only serve DVC and git."""
        found = [name for name in self._files if is_within(name, inside)]
        return [name for name in found if name == inside or not name.endswith((".dvc", ".gitignore"))]

    @cached_property
    def _files(self) -> list[str]:
        return self._git.files(self._sha)

    # Objects of DVC ----------------------------------------------------------------------------------------------------------------

    def _from_dvc(self, output: Output, within: PurePosixPath, target: Path) -> None:
        if output.md5 is None:
            raise AbsentError(f"DVC knows `{output.path}` by no MD5 of its content")
        if output.md5.endswith(".dir"):
            entries = self._entries(output, within)
            wanted = {target / name.relative_to(within): (f"{output.path}/{name}", md5) for name, md5 in entries}
        else:
            wanted = {target: (output.path, output.md5)}
        missing = {copy: what for copy, what in wanted.items() if not self._copy(what[1], copy)}
        # The work tree may hold a file where no cache does: an earlier step pulled it, or training made the same again.
        if missing and not (target in missing and self._copied(self._top / output.path / within, missing[target][1], target)):
            remote = self._pull(output, within)
            for copy, (name, md5) in missing.items():
                if not self._copy(md5, copy):
                    raise AbsentError(f"{remote} lacks `{name}` (md5:{md5}), or holds it damaged")
        if sum(copy.stat().st_size for copy in wanted) > self._storage.max_bytes:
            raise self._too_large(output.path)

    def _entries(self, output: Output, within: PurePosixPath) -> list[tuple[PurePosixPath, str]]:
        """The files at or below `within` in a folder that DVC tracks, relative to that folder, with their MD5."""
        found = [(name, md5) for name, md5 in self._listing(output, within) if name.is_relative_to(within)]
        if not found:
            raise AbsentError(f"`{output.path}` holds no `{within}` at {self._sha[:7]}")
        if len(found) > MAX_FILES:
            raise self._too_large(output.path)
        return found

    def _listing(self, output: Output, within: PurePosixPath) -> list[tuple[PurePosixPath, str]]:
        """Relative path and MD5 of every file in a folder that DVC tracks. Where it must be fetched, what lies `within` is, too."""
        listing = self._held_listing(output)
        if listing is None:
            remote = self._pull(output, within)
            listing = self._held_listing(output)
            if listing is None:
                raise AbsentError(f"{remote} lacks the listing of `{output.path}` (md5:{output.md5}), or holds it damaged")
        return listing

    def _held_listing(self, output: Output) -> list[tuple[PurePosixPath, str]] | None:
        """The listing from the first cache that holds it."""
        assert output.md5 is not None
        listing = scratch_folder() / "listing.json"
        return list(_read_listing(listing, output.path)) if self._copy(output.md5, listing) else None

    def _is_output(self, output: Output, within: PurePosixPath, here: Path) -> bool:
        """Whether `here` is what lies `within` an output."""
        if output.md5 is None or not here.exists():
            return False
        if within == PurePosixPath():
            return _hash(here) == output.md5
        listing = self._held_listing(output)
        if listing is None:
            folder = self._top / output.path
            return here.resolve() == (folder / within).resolve() and _hash(folder) == output.md5
        entries = {here / name.relative_to(within): md5 for name, md5 in listing if name.is_relative_to(within)}
        files = [file for file in here.rglob("*") if file.is_file()] if here.is_dir() else [here]
        return set(files) == set(entries) and all(md5_of(file) == entries[file] for file in files)

    def _keep(self, output: Output, within: PurePosixPath) -> None:
        root = find_dvc_root(self._directory)
        if root is None or output.md5 is None:
            raise AbsentError(f"`{output.path}` is under DVC, and there is no `.dvc`, or no MD5 of it")
        names = {output.md5: output.path}
        if output.md5.endswith(".dir"):
            names |= {md5: f"{output.path}/{name}" for name, md5 in self._entries(output, within)}
        for md5, name in names.items():
            kept = root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
            if kept.is_file() and md5_of(kept) == md5.removesuffix(".dir"):
                continue
            # DVC trusts its cache: an object gets there in one piece.
            whole = scratch_folder(root / ".dvc" / "tmp") / kept.name
            if not self._copy(md5, whole):
                remote = self._pull(output, within)
                if not self._copy(md5, whole):
                    raise AbsentError(f"{remote} lacks `{name}` (md5:{md5}), or holds it damaged")
            whole.chmod(0o444)
            kept.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(kept)

    def _copy(self, md5: str, target: Path) -> bool:
        """Copy the object to `target` from the first cache that holds it undamaged."""
        return any(self._copied(path, md5.removesuffix(".dir"), target) for path in self._candidates(md5))

    def _copied(self, source: Path, md5: str, target: Path) -> bool:
        """Copy `source` to `target` if it has that MD5 and is not too large. What was copied is what was hashed."""
        if not source.is_file() or source.stat().st_size > self._storage.max_bytes:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with source.open("rb") as reader, target.open("xb") as writer:
            while chunk := reader.read(1024 * 1024):
                digest.update(chunk)
                writer.write(chunk)
        if digest.hexdigest() == md5:
            return True
        target.unlink()
        return False

    def _write(self, content: bytes, target: Path, name: str) -> None:
        if content.startswith(_LFS):
            raise AbsentError(f"`{name}` is kept by Git LFS, which is not read")
        if len(content) > self._storage.max_bytes:
            raise self._too_large(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def _too_large(self, name: str) -> BadInput:
        most = self._storage.max_bytes // 1024 // 1024
        return bad_input(f"is more than {most:,} MiB or {MAX_FILES:,} files.", "Keep only what is needed.", path=name)

    def _candidates(self, md5: str) -> Iterator[Path]:
        # DVC 2 had its objects one folder higher.
        return (folder / md5[:2] / md5[2:] for cache in self._caches() for folder in (cache / "files" / "md5", cache))

    def _caches(self) -> Iterator[Path]:
        yield from self._pulled
        root = find_dvc_root(self._directory)
        if root:
            yield root / ".dvc" / "cache"
        if self._config:
            yield self._config.dvc_folder / "cache"
            configured = _plain(self._config.parser.get("cache", "dir", fallback=""))
            if configured:
                yield self._config.dvc_folder / Path(configured).expanduser()

    @cached_property
    def _config(self) -> _DvcConfig | None:
        if self._storage.config_at is None:
            root = find_dvc_root(self._directory)
            if root is None:
                return None
            texts = [path.read_bytes() for name in ("config", "config.local") if (path := root / ".dvc" / name).is_file()]
            return _DvcConfig(_parse(texts), _relative(root, self._top), root / ".dvc")
        folder = self._prefix.rstrip("/")
        while True:
            raw = self._git.read(self._storage.config_at, posixpath.join(folder, ".dvc/config"))
            if raw is not None:
                return _DvcConfig(_parse([raw]), folder, self._top / folder / ".dvc")
            if not folder:
                return None
            folder = posixpath.dirname(folder)

    def _pull(self, output: Output, within: PurePosixPath) -> str:
        """Pull one output into a cache of our own, through a DVC repository that knows nothing else. Returns who was asked."""
        size = output.entry.get("size")
        if self._storage.is_offline:
            raise AbsentError(f"DVC's cache does not hold `{output.path}` ({output.md5})")
        if within == PurePosixPath() and isinstance(size, int) and size > self._storage.max_bytes:
            raise self._too_large(output.path)
        config = self._config
        if config is None:
            raise AbsentError(f"`{output.path}` is under DVC, and there is no `.dvc/config`")
        repository = scratch_folder()
        self._write_repository(repository, output, config)
        remotes = read_remotes(repository)
        named = output.remote or self._storage.remote
        if not named and not remotes.default:
            raise AbsentError(f"`{output.path}` is under DVC, and there is no default DVC remote")
        needed = remotes.needed(named, ())
        path = posixpath.relpath(output.path, config.root or ".")
        request = Pull(repository, None if output.remote else self._storage.remote, self._storage.credentials)
        run_dvc_pull(request, needed, [str(path / within)], {"DVC_SITE_CACHE_DIR": str(repository / "site")})
        self._pulled.append(repository / ".dvc" / "cache")
        return f"the DVC remote `{needed[0].name}`"

    def _write_repository(self, repository: Path, output: Output, config: _DvcConfig) -> None:
        (repository / ".dvc").mkdir()
        with (repository / ".dvc" / "config").open("w", encoding="utf-8") as file:
            _elsewhere(config, is_own=self._storage.config_at is None).write(file)
        # Where it stood: a remote with versions of its own keeps files by path.
        pointer = repository / f"{posixpath.relpath(output.path, config.root or '.')}.dvc"
        pointer.parent.mkdir(parents=True, exist_ok=True)
        entry = {name: output.entry[name] for name in _OF_AN_ENTRY if name in output.entry}
        remote = {"remote": output.remote} if output.remote else {}
        document = {"outs": [{**entry, **remote, "path": posixpath.basename(output.path)}]}
        pointer.write_text(json.dumps(document), encoding="utf-8")


def _elsewhere(config: _DvcConfig, *, is_own: bool) -> configparser.ConfigParser:
    """The configuration for a repository in another place: paths absolute, the cache its own, no git around it.

    Files with keys and settings that lie in the work tree are followed only where it `is_own`: those of a pull request could name
    a program to run.
    """
    parser = _parser()
    parser.read_dict(config.parser)
    followed = ("url", *_FILES_IN_CONFIG) if is_own else ("url",)
    for section in parser.sections():
        for option in followed:
            value = _plain(parser.get(section, option, fallback=""))
            if value and not re.match(r"\w+://", value) and not Path(value).expanduser().is_absolute():
                parser.set(section, option, _quoted(os.path.normpath(config.dvc_folder.absolute() / value)))
    parser.remove_section("cache")
    parser.read_dict({"core": {"no_scm": "true"}, "cache": {"dir": "cache", "type": '"hardlink,copy"'}})
    return parser


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))


def _parse(texts: list[bytes]) -> configparser.ConfigParser:
    parser = _parser()
    try:
        for text in texts:
            parser.read_string(text.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        raise bad_input("is not a DVC configuration.", path=".dvc/config", line=getattr(error, "lineno", None)) from None
    return parser


def _plain(value: str) -> str:
    """A value without the quotes and the comment that DVC allows around it."""
    return value.partition(" #")[0].strip().strip("\"'")


def _quoted(value: str) -> str:
    """A value as DVC's configuration takes it: a comma would make a list of it, a hash sign a comment."""
    return f'"{value}"' if set(value) & set(",#' ") else value


def _relative(folder: Path, top: Path) -> str:
    relative = folder.resolve().relative_to(top.resolve()).as_posix()
    return "" if relative == "." else relative


def _is_below(path: str, folder: str) -> bool:
    return path != folder and is_within(path, folder)


def _within(inside: str, output: Output) -> PurePosixPath:
    return PurePosixPath(inside).relative_to(output.path)


def _read_listing(path: Path, name: str) -> Iterator[tuple[PurePosixPath, str]]:
    """The entries of a folder's listing. Its hash was right; it is the base commit's author who must not lead us astray."""
    try:
        for entry in json.loads(path.read_bytes()):
            relative, md5 = PurePosixPath(entry["relpath"]), entry["md5"]
            if relative.is_absolute() or ".." in relative.parts or not re.fullmatch(r"[0-9a-f]{32}", md5):
                raise ValueError(entry)
            yield relative, md5
    except (ValueError, KeyError, TypeError, RecursionError):
        raise bad_input("DVC's listing of it is not valid.", "Track it anew: `dvc add`.", path=name) from None


def _is_content(file: Path, content: bytes) -> bool:
    """Whether a file holds what git does, or what Git LFS keeps for git."""
    if not file.is_file():
        return False
    kept_elsewhere = _OF_LFS.search(content) if content.startswith(_LFS) else None
    if not kept_elsewhere:
        return file.stat().st_size == len(content) and file.read_bytes() == content
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == kept_elsewhere[1].decode()


def _hash(path: Path) -> str:
    """The MD5 by which DVC would know the file or folder."""
    return f"{listing_hash(path)}.dir" if path.is_dir() else md5_of(path)
