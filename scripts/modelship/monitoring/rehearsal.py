"""Training and scoring of the past: the team's command in a fresh copy of the commit, and every result kept by what it came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from modelship.core import workflow
from modelship.core.config import LoadedConfig, seconds_of
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.git import Git
from modelship.core.prediction_files import suffix_of
from modelship.core.run_directory import digest_folder
from modelship.core.scratch import scratch_folder
from modelship.gate.rows.prediction_tables import PredictionsFile
from modelship.training.interpreter import Interpreter, ask_interpreter
from modelship.training.process import Finished, run_command, training_environment
from modelship.training.scorer import Scorer, crash, model_environment, read_answer
from modelship.training.train import dvc_for

_FORMAT = 1
"""Of what is kept. Another number, and nothing that was kept before is found."""

_MOST_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Trained:
    """A model of the past."""

    path: Path
    digest: str


class _Answer(msgspec.Struct, frozen=True, rename="kebab"):
    """What the scoring process says; the team's code ran in it."""

    file: str = ""
    problem: Problem | None = None


class Kept:
    """Results in a folder, each under the hash of all that it came from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, kind: str, came_from: Any) -> Path | None:
        """What was kept, if it was."""
        path = self._path(kind, came_from)
        return path if path.exists() else None

    def keep(self, kind: str, came_from: Any, found: Path) -> Path:
        """Keep a file or a folder, whole or not at all."""
        path = self._path(kind, came_from)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=path.parent))
        copy = unfinished / "kept"
        if found.is_dir():
            shutil.copytree(found, copy, symlinks=True)
        else:
            shutil.copyfile(found, copy)
        with contextlib.suppress(OSError):  # Another run was here first, with the same.
            os.replace(copy, path)
        shutil.rmtree(unfinished, ignore_errors=True)
        return path

    def _path(self, kind: str, came_from: Any) -> Path:
        text = msgspec.json.encode([_FORMAT, came_from], order="sorted")
        return self.folder / kind / hashlib.sha256(text).hexdigest()


class Rehearsal:
    """Trains and scores as the commit `head` does."""

    def __init__(self, loaded: LoadedConfig, git: Git, head: str, environ: Mapping[str, str], kept: Kept) -> None:
        self._loaded, self._git, self._head, self._environ, self.kept = loaded, git, head, environ, kept
        settings = loaded.config
        self.command = settings.backtest.run or str(loaded.require("train.run", "Or set `backtest.run`."))
        self._model = str(loaded.require("train.model", "It is the folder that training writes, and what is scored."))
        self._files = {name: _digest_of(loaded, name) for name in settings.backtest.files}
        self._environment = model_environment(environ)
        # What the configuration says of training is named beside: a change of the rules is no reason to train again.
        self._commit = git.digest(head, Path(loaded.document.name).name)
        if not self._team.version:
            message = f"the interpreter `{settings.train.python}` did not answer."
            raise BadInput(loaded.problem(message, "Set `train.python`.", at="train.python"))

    @cached_property
    def _team(self) -> Interpreter:
        return ask_interpreter(self._loaded.config.train.python, self._loaded.directory, self._environment)

    @cached_property
    def _place(self) -> Path:
        """Where models are scored: the files of the commit."""
        return self._copy(scratch_folder() / "commit")

    @property
    def _code(self) -> list[Any]:
        """What decides what a model is and answers, the data aside."""
        return [self._commit, self._git.prefix, self._loaded.config.train.python, self._team.version, self._team.packages, self._files]

    def train(self, title: str, write: Callable[[Path, Path], None]) -> Trained | Problem:
        """The model that training makes of the tables that `write` writes (reference, current); why there is none where it fails."""
        config = self._loaded.config
        folder = scratch_folder()
        place = self._copy(folder / "commit")
        reference = self._inside(place, config.data.reference_path or "reference.parquet", "data.reference")
        current = self._inside(place, config.data.current_path or "current.parquet", "data.current")
        model = self._inside(place, self._model, "train.model")
        for path in (reference, current, model):
            _remove(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        write(reference, current)
        tables = [digest_folder(path) for path in (reference, current)]
        came_from = {"code": self._code, "command": self.command, "tables": tables, "model": self._model}
        try:
            kept = self.kept.find("models", came_from)
            if kept is None:
                problem = self._run(title, place)
                if problem is None and [_digest(path) for path in (reference, current)] != tables:
                    problem = Problem(
                        "training wrote the tables that it was given, so that it may have learnt from other rows.",
                        "Set `backtest.run` to a command that only trains, such as the one of the DVC stage.",
                    )
                if problem is None and not model.exists():
                    problem = Problem(f"training did not write `{self._model}`.", "Is `train.model` right?")
                if problem is not None:
                    return problem
                kept = self.kept.keep("models", came_from, model)
            else:
                workflow.say(f"{title}: trained before")
            return Trained(kept, digest_folder(kept))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def score(self, trained: Trained, table: Path, name: str) -> PredictionsFile:
        """What a model says of the rows of a table. Raises BadInput where it says nothing that can be read."""
        config = self._loaded.config
        columns = config.train.columns
        task = {
            "task": "score",
            "name": "backtest",
            "predict": config.evaluate.predict,
            "reference": None,
            "reference-name": None,
            "columns": {
                "key": config.data.key,
                "target": config.data.target,
                "truth": columns.truth,
                "prediction": columns.prediction,
                "score": columns.score,
            },
            "positive": config.data.positive,
            "group": config.gate.group,
            "keep": [config.gate.group] if config.gate.group else [],
            "checks": None,
        }
        came_from = {"code": self._code, "model": trained.digest, "table": digest_folder(table), "task": task}
        for suffix in ("parquet", "csv"):
            found = self.kept.find(suffix, came_from)
            if found is not None:
                return PredictionsFile(_named(found, suffix), name)
        folder = scratch_folder()
        scorer = Scorer(config.train.python, self._place, self._environment, folder)
        with workflow.commands_stopped():
            finished = scorer.run(
                {**task, "model": str(trained.path), "table": str(table), "table-name": name}, seconds_of(config.evaluate.timeout)
            )
        answer = self._answered(scorer, finished, name)
        file = folder / answer.file
        if suffix_of(answer.file) is None or file.parent != folder or file.is_symlink() or not file.is_file():
            raise bad_input(f"{name}: the model's process ended without predictions.", "Its last lines are in the log.")
        suffix = file.suffix.removeprefix(".")
        kept = self.kept.keep(suffix, came_from, file)
        shutil.rmtree(folder, ignore_errors=True)
        return PredictionsFile(_named(kept, suffix), name)

    def _answered(self, scorer: Scorer, finished: Finished, name: str) -> _Answer:
        if finished.timed_out:
            raise bad_input(f"{name}: scoring was stopped.", "Make it faster or raise `evaluate.timeout`.")
        try:
            raw = read_answer(scorer.result, finished, _MOST_ANSWER_BYTES)
            if raw is None:
                raise BadInput(crash(name, finished.exit_status))
            answer = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.DecodeError, ValueError) as error:
            raise bad_input(f"{name}: what the model's process answered cannot be read: {str(error)[:200]}.") from None
        if answer.problem:
            raise bad_input(f"{name}: {answer.problem.message[:1500]}", answer.problem.remedy[:500])
        return answer

    def _run(self, title: str, place: Path) -> Problem | None:
        """Run the command; why it failed, or None."""
        config = self._loaded.config
        shown = self.command if len(self.command) <= 60 else f"{self.command[:57]}…"
        with dvc_for(self.command, place) as tools:
            # What is tried here is no run of the team's, on whose server it would stand beside real ones.
            environ = {name: value for name, value in self._environ.items() if not name.startswith("MLFLOW_")}
            environment = training_environment(environ, {"MLFLOW_DISABLE_TELEMETRY": "true"}, tools)
            with workflow.group(f"{title}: {self.command}"), workflow.commands_stopped():
                finished = run_command(self.command, place, environment, seconds_of(config.train.timeout))
        if finished.timed_out:
            return Problem(
                f"training was stopped after {config.train.timeout}: `{shown}`.", "Make it faster or raise `train.timeout`."
            )
        if finished.exit_status != 0:
            said = f" It said: {finished.log_tail[-1][:200]}" if finished.log_tail else ""
            return Problem(f"training failed: `{shown}` ended with exit status {finished.exit_status}.{said}", "The log has more.")
        return None

    def _copy(self, folder: Path) -> Path:
        """The files of the commit in a new folder, without the history, and with what else training needs."""
        place = self._git.copy(self._head, folder)
        for name in self._files:
            source, target = self._loaded.directory / name, self._inside(place, name, "backtest.files")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
        history = self._loaded.config.backtest.history
        if isinstance(history, str):
            # Whoever trains must not find there what was not known yet. One that lies elsewhere is in no copy.
            with contextlib.suppress(BadInput):
                _remove(self._inside(place, history, "backtest.history"))
        return place

    def _inside(self, place: Path, name: str, key: str) -> Path:
        """A path of the configuration in the copy. Raises BadInput for one that leads out of it: there lie the team's own files."""
        root = Path(os.path.normpath(place / os.path.relpath(".", self._git.prefix or "."))).resolve()
        path = Path(os.path.normpath(place / name))
        real = path.parent.resolve() / path.name
        if real == root or not real.is_relative_to(root):
            raise BadInput(
                self._loaded.problem(f"`{key}` is `{name}`, which lies outside of the repository.", "Name a path in it.", at=key)
            )
        return path


def _named(path: Path, suffix: str) -> Path:
    """A kept file under a name that says what it is."""
    link = scratch_folder() / f"predictions.{suffix}"
    link.symlink_to(path.absolute())
    return link


def _digest_of(loaded: LoadedConfig, name: str) -> str:
    path = loaded.directory / name
    if not path.exists():
        raise BadInput(
            loaded.problem(f"`{name}` does not exist.", "Is it fetched before, with `modelship dvc-pull`?", at="backtest.files")
        )
    return digest_folder(path)


def _digest(path: Path) -> str:
    return digest_folder(path) if path.exists() else ""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
