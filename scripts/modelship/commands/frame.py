"""What every command does around its own work: configuration, record, annotations, outputs, exit code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from modelship import __version__
from modelship.core import workflow
from modelship.core.config import CONFIG_NAME, LoadedConfig, Name, load_config, parse_config
from modelship.core.documents import parse_document, read_document
from modelship.core.errors import BadInput, ExitCode, ModelshipError, Problem, bad_input
from modelship.core.event import Event, read_event
from modelship.core.git import Git
from modelship.core.records import MAX_TEXT, RECORDS, AnyRecord, encode
from modelship.core.run_directory import RunDirectory


class Workspace(msgspec.Struct, frozen=True):
    """Where a command works: the folder of modelship.yaml, its repository, its run directory, and what GitHub says of the run."""

    config_path: Path
    overrides: Mapping[str, Any]
    directory: Path
    git: Git
    run_directory: RunDirectory
    event: Event

    def load(self) -> LoadedConfig:
        """The configuration as it stands in the work tree; of a pull request that is not checked out, its base's. Raises BadInput."""
        if self.event.is_elsewhere and self.event.base:
            raw = self.git.read(self.event.base, self.config_path.name)
            if raw is None:
                raise bad_input(f"does not exist at base {self.event.base[:7]}.", path=self.config_path.as_posix())
            return parse_config(raw, self.config_path.as_posix(), self.directory, self.overrides)
        return load_config(self.config_path, self.overrides, name=self.config_path.as_posix())


class Result(msgspec.Struct, frozen=True):
    """What a command's work ends with."""

    record: AnyRecord
    exit_code: ExitCode
    outputs: Mapping[str, str] = {}


config_option = click.option(
    "--config", type=click.Path(path_type=Path), default=CONFIG_NAME, show_default=True, help="The modelship.yaml to follow."
)
model_option = click.option("--model", help="The model's name (key `model`).")
pull_request_option = click.option("--pull-request", help="The pull request, as `fork-evidence` found it; the event's without it.")


def yaml_value(_context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """A click callback: an option whose text is YAML, as `{roc_auc: {min: 0.7}}`."""
    if value is None:
        return None
    try:
        return parse_document(value.encode(), f"input-{parameter.name}.yaml").data
    except BadInput as error:
        raise click.BadParameter(error.problems[0].message) from None


def workspace(config_path: Path, overrides: Mapping[str, Any], pull_request: str | None = None) -> Workspace:
    """The workspace of a command; `pull_request` is what `fork-evidence` told of one. Raises BadInput for a broken event file."""
    directory = config_path.parent
    return Workspace(
        config_path=config_path,
        overrides=overrides,
        directory=directory,
        git=Git(directory if directory.is_dir() else Path()),
        run_directory=RunDirectory(directory / ".modelship"),
        event=read_event(told=pull_request or ""),
    )


def run(
    name: str,
    config_path: Path,
    overrides: Mapping[str, Any],
    work: Callable[[Workspace], Result],
    *,
    pull_request: str | None = None,
    as_json: bool = False,
) -> NoReturn:
    """Do `work` and leave the process with the command's exit code; `pull_request` as `workspace` takes it.

    Whatever happens, a record is written: an error becomes a record of status `error`, so that the comment can tell of it.
    With `as_json` the record is also all that standard output holds.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    space: Workspace | None = None
    try:
        space = workspace(config_path, overrides, pull_request)
        space.run_directory.remove(name)
        _head(space)  # Kept from now on: training may commit what it wrote.
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            result = work(space)
    except ModelshipError as error:
        result = _failed(name, error.problems, error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        import traceback

        # Fail closed: a defect of ours is never a pass. The log gets the trace, the record one line.
        with workflow.commands_stopped():
            traceback.print_exc(file=sys.stdout)
        result = _failed(name, (_defect(error),), ExitCode.INFRASTRUCTURE)
    _finish(name, space, result, started, time.monotonic() - clock, as_json)


def guarded(name: str, work: Callable[[], ExitCode]) -> ExitCode:
    """Do `work` that leaves no record: errors become annotations and the exit code."""
    title = f"modelship {name}"
    try:
        return work()
    except ModelshipError as error:
        for problem in error.problems:
            workflow.annotate("error", problem, title)
        return error.exit_code
    except Exception as error:
        import traceback

        with workflow.commands_stopped():
            traceback.print_exc(file=sys.stdout)
        workflow.annotate("error", _defect(error), title)
        return ExitCode.INFRASTRUCTURE


def _defect(error: Exception) -> Problem:
    return Problem(f"unexpected {type(error).__name__}: {str(error)[:500]}.", "This is a defect in Modelship; please report it.")


def _failed(name: str, problems: tuple[Problem, ...], exit_code: ExitCode) -> Result:
    clipped = tuple(Problem(p.message[:1500], p.remedy[:500], p.path, p.line) for p in problems[:20])
    record = RECORDS[name](status="error", summary=str(clipped[0])[:2000], problems=clipped)
    return Result(record, exit_code)


def _finish(name: str, space: Workspace | None, result: Result, started: datetime, seconds: float, as_json: bool) -> NoReturn:
    record = msgspec.structs.replace(
        result.record,
        model=result.record.model or _model_name(space),
        commit=result.record.commit or _head(space),
        summary=_fitting(result.record.summary),
        notices=tuple(map(_fitting, result.record.notices)),
        started_at=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 2),
        modelship=__version__,
    )
    outputs = {"status": record.status, "summary": record.summary, **result.outputs}
    exit_code = result.exit_code
    if space and not _write(space, name, record):
        # A verdict that nobody can read later is none.
        exit_code = max(exit_code, ExitCode.BAD_INPUT)
    elif space:
        outputs["record"] = str(space.run_directory.record_path(name))
        outputs["run-directory"] = str(space.run_directory.path)
        if workflow.takes_outputs():
            outputs["record-digest"] = space.run_directory.record_digest(name)
            outputs["evidence-digest"] = _digest(space)
    for problem in record.problems:
        workflow.annotate("error", problem, f"modelship {name}")
    if as_json:
        sys.stdout.write(encode(record).decode())
    else:
        # The problems were shown a line above.
        summary = "" if record.problems else f" · {record.summary}"
        workflow.say(f"modelship {name}: {record.status}{summary} · {seconds:.1f} s")
    workflow.set_outputs(outputs)
    sys.stdout.flush()
    sys.exit(exit_code)


def _write(space: Workspace, name: str, record: AnyRecord) -> bool:
    try:
        space.run_directory.write(name, record)
    except (ModelshipError, OSError, ValueError) as error:  # ValueError: a file name that is no text.
        problems = error.problems if isinstance(error, ModelshipError) else (Problem(f"the record cannot be written: {error}."),)
        for problem in problems:
            workflow.annotate("error", problem, f"modelship {name}")
        return False
    return True


def _digest(space: Workspace) -> str:
    try:
        return space.run_directory.digest()
    except BadInput:
        return ""


def _fitting(text: str) -> str:
    """As much of `text` as a record may hold: a longer one would not be believed by whoever reads it."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _head(space: Workspace | None) -> str | None:
    """The commit that this run is about, where git or GitHub can tell."""
    if space is None:
        return None
    try:
        return space.event.head if space.event.is_elsewhere else space.git.head()
    except ModelshipError:
        return None


def _model_name(space: Workspace | None) -> str:
    """The model that an error's record speaks of.

    Where this commit's configuration is broken it is what the base commit calls it, else what can be read of it all the same.
    """
    if space is None:
        return ""
    try:
        return space.load().config.model
    except ModelshipError:
        name = space.config_path.name
    try:
        raw = space.git.read(space.event.base, name) if space.event.base else None
        if raw:
            return parse_config(raw, name, space.directory).config.model
    except ModelshipError:
        pass
    return _model_in(space.config_path)


def _model_in(path: Path) -> str:
    """The key `model` of a configuration with an error elsewhere."""
    try:
        data = read_document(path, path.name).data
        return msgspec.convert(data.get("model") if isinstance(data, dict) else None, Name)
    except (ModelshipError, msgspec.ValidationError):
        return ""
