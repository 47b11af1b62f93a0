"""Target `command`: scripts of the team's own. What they are given and what is expected of them is a contract: docs/targets.md."""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from modelship.core import workflow
from modelship.core.config import Duration, seconds_of
from modelship.core.errors import bad_input, infrastructure
from modelship.core.scratch import scratch_folder
from modelship.core.words import clean
from modelship.deployment.targets.settings import Settings, read_settings
from modelship.deployment.targets.target import NOTHING, Place, Release, Serving
from modelship.training.process import Finished, run_command

_MOST_OUTPUT = 64 * 1024
_MOST_LOG = 4 * 1024 * 1024
_LOG_LINES = 5
_SCRIPTS = {"serve": "run"}

# The files with which a step sets outputs, variables or paths for later steps are this command's own.
_WITHHELD = frozenset({"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"})

Script = Annotated[str, Meta(min_length=1, max_length=4000)]


class CommandSettings(Settings, frozen=True, kw_only=True):
    """What `command` takes; text by itself is `run`. Each is run by `bash` beside modelship.yaml."""

    run: Annotated[Script, Meta(description="Lets the environment serve a version, as `./deploy.sh`.")]
    serving: Annotated[Script, Meta(description="Says which version serves; without it the ledger is believed.")] | None = None
    clear: Annotated[Script, Meta(description="Lets the environment serve nothing; a failed first deployment needs it.")] | None = None
    timeout: Annotated[Duration, Meta(description="When a script is stopped, as `10m`.")] = "10m"


class _Served(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `run` may write."""

    url: Annotated[str, Meta(max_length=1000)] = ""


class _Says(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `serving` writes; null for nothing."""

    version: Annotated[int, Meta(ge=1)]
    digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]


def open_command(settings: Any, place: Place) -> Command:
    """The scripts that the settings name. Raises BadInput for settings that it does not know."""
    key = f"deploy.environments.{place.environment}.target.command"
    return Command(place, read_settings(settings, CommandSettings, key, alone="run"), key)


class Command:
    """Scripts of the team's own."""

    def __init__(self, place: Place, settings: CommandSettings, key: str) -> None:
        self._place = place
        self._settings = settings
        self._key = key

    def serve(self, release: Release) -> Serving:
        """Run `run`."""
        asked = {
            "MODELSHIP_VERSION": str(release.version),
            "MODELSHIP_DIGEST": release.digest,
            "MODELSHIP_FOLDER": str(release.folder.resolve()),
        }
        raw = self._run("serve", self._settings.run, asked)
        try:
            url = msgspec.json.decode(raw, type=_Served).url if raw else ""
        except msgspec.DecodeError as error:
            raise self._not_understood("run", error) from None
        if url and not _is_address(url):
            raise bad_input(
                f"`{self._key}.run` names `{clean(url, 100)}`, which is no address.", "Write one such as `https://host/path`."
            )
        # Without an address the model that was handed over is asked, so that a version that does not load is found all the same.
        return Serving(url=url.rstrip("/")) if url else Serving(folder=release.folder)

    def serving(self) -> tuple[int, str] | None:
        """What `serving` says."""
        if self._settings.serving is None:
            return None
        raw = self._run("serving", self._settings.serving, {})
        if not raw:
            return None
        try:
            says = msgspec.json.decode(raw, type=_Says | None)
        except msgspec.DecodeError as error:
            raise self._not_understood("serving", error) from None
        return (says.version, says.digest) if says else NOTHING

    def clear(self) -> None:
        """Run `clear`."""
        if self._settings.clear is None:
            raise infrastructure(f"there is no `{self._key}.clear`, which would let it serve nothing.", "Add it, or clear it by hand.")
        self._run("clear", self._settings.clear, {})

    def _run(self, action: str, script: str, asked: dict[str, str]) -> bytes:
        """Run a script; returns what it wrote to the file that it was given."""
        output = scratch_folder() / "output.json"
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MODELSHIP_") and name not in _WITHHELD
        }
        environment |= {
            "MODELSHIP_ACTION": action,
            "MODELSHIP_MODEL": self._place.model,
            "MODELSHIP_ENVIRONMENT": self._place.environment,
            "MODELSHIP_OUTPUT": str(output),
            **asked,
        }
        with workflow.commands_stopped():
            finished = run_command(script, self._place.directory, environment, seconds_of(self._settings.timeout), _MOST_LOG)
        self._check(action, finished)
        if not output.exists():
            return b""
        if output.is_symlink() or not output.is_file() or output.stat().st_size > _MOST_OUTPUT:
            raise bad_input(
                f"what `{self._key}.{_SCRIPTS.get(action, action)}` left at MODELSHIP_OUTPUT is no file of at most "
                f"{_MOST_OUTPUT // 1024} KiB."
            )
        return output.read_bytes().strip()

    def _check(self, action: str, finished: Finished) -> None:
        which = f"`{self._key}.{_SCRIPTS.get(action, action)}`"
        said = " / ".join(clean(line, 200) for line in finished.log_tail[-_LOG_LINES:])
        last = f" Its last lines: {said}" if said else ""
        if finished.timed_out:
            raise infrastructure(
                f"{which} was stopped after {self._settings.timeout}.{last}", "Make it faster, or give it more `timeout`."
            )
        if finished.exit_status != 0:
            raise infrastructure(f"{which} ended with exit status {finished.exit_status}.{last}")

    def _not_understood(self, script: str, error: Exception) -> Exception:
        return bad_input(f"what `{self._key}.{script}` wrote to MODELSHIP_OUTPUT is not understood: {clean(str(error), 200)}.")


def _is_address(url: str) -> bool:
    """Whether that is an address over HTTP that holds no password, which would be shown."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and not parts.query
            and url.isprintable()
        )
    except ValueError:
        return False
