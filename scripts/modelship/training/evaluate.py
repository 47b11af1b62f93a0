"""Score candidate and baseline on the same rows, each in a process of the team's interpreter, and check the candidate."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from modelship.core import workflow
from modelship.core.config import SIZE_UNITS, LoadedConfig, bytes_of, seconds_of, share_of
from modelship.core.errors import BadInput, Problem, bad_input
from modelship.core.examples import EXAMPLES_NAME, MAX_EXAMPLES_BYTES, read_examples
from modelship.core.records import DataFile, EvaluateRecord, FunctionMetric, LatencyMeasured, ModelCheck, ScoredModel, TrainRecord
from modelship.core.run_directory import RunDirectory, digest_folder
from modelship.core.words import clean, counted
from modelship.training.interpreter import Interpreter, ask_interpreter
from modelship.training.process import Finished
from modelship.training.scorer import Scorer, crash, model_environment, read_answer

_FILES = (*(f"evaluate-{role}.{suffix}" for role in ("baseline", "candidate") for suffix in ("parquet", "csv")), EXAMPLES_NAME)
_TIMED = ("single-row", "batch")
_ALWAYS_CHECKED = {"finite", "same answers twice"}
_MOST_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation needs to know.

    `baseline` is a model folder that an earlier step fetched, or None; `baseline_digest` what that step said of it, or empty.
    """

    loaded: LoadedConfig
    run_directory: RunDirectory
    environ: Mapping[str, str]
    baseline: Path | None = None
    baseline_digest: str = ""


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What a process says. The team's code ran in it: it is read as strictly as any other foreign file."""

    problem: Problem | None = None
    rows: int = 0
    seconds: float = 0.0
    file: Literal["", "evaluate-candidate.parquet", "evaluate-candidate.csv", "evaluate-baseline.parquet", "evaluate-baseline.csv"] = (
        ""
    )
    checks: tuple[ModelCheck, ...] = ()
    latency: dict[str, LatencyMeasured] = {}
    functions: dict[str, FunctionMetric] = {}
    why_no_examples: str = ""


class _ScoringFailed(Exception):  # noqa: N818 - it is caught, not shown
    """A process ended without answers."""

    def __init__(self, problem: Problem, log_tail: tuple[str, ...] = ()) -> None:
        super().__init__(str(problem))
        self.problem, self.log_tail = problem, log_tail


def evaluate(evaluation: Evaluation) -> EvaluateRecord:
    """Score the baseline, then the candidate, then the candidate again in another process; run the team's own metrics.

    A model that cannot be scored gives a record of status `error` with the end of its log. Raises BadInput for what is wrong before
    any model is loaded, and when a model's code writes into the run directory.
    """
    plan = _plan(evaluation)
    _forget(plan.run_directory)
    with tempfile.TemporaryDirectory(prefix="modelship-") as folder:
        scorer = _Scorer(plan, Path(folder), time.monotonic() + seconds_of(plan.loaded.config.evaluate.timeout))
        try:
            return _score_all(plan, scorer)
        except _ScoringFailed as failed:
            return EvaluateRecord(
                model=plan.loaded.config.model,
                status="error",
                summary=str(failed.problem)[:2000],
                problems=(failed.problem,),
                python=plan.team.version,
                table=plan.table,
                log_tail=failed.log_tail,
            )


def check_configured(loaded: LoadedConfig, baseline: Path | None) -> None:
    """Raise BadInput for what is missing, before anything runs."""
    for key in ("data.current", "data.key", "data.target", "train.model"):
        if not isinstance(loaded.require(key), str):
            raise BadInput(
                loaded.problem(f"`{key}` is no file, and evaluation reads files only.", "Export it in a DVC stage.", at=key)
            )
    for key, is_folder in (("train.model", not loaded.config.evaluate.predict), ("data.current", False)):
        path = loaded.directory / str(loaded.require(key))
        if not path.exists():
            remedy = "Does training write it?" if is_folder else "Is it fetched before this step, with `modelship dvc-pull`?"
            raise BadInput(loaded.problem(f"`{key}` is `{loaded.require(key)}`, which does not exist.", remedy, at=key))
    if baseline is not None and not baseline.exists():
        raise bad_input("the baseline model does not exist.", "Is it fetched before this step?", path=str(baseline))
    if not loaded.config.evaluate.predict:
        folders = [loaded.directory / str(loaded.config.train.model), *([baseline] if baseline else [])]
        for path in folders:
            if not (path / "MLmodel").is_file():
                remedy = "Save the model with MLflow, or set `evaluate.predict` to a function that loads it."
                raise bad_input("is no MLflow model folder: it holds no file `MLmodel`.", remedy, path=path.as_posix())
    if loaded.config.evaluate.cross_validation and not loaded.config.data.reference_path:
        loaded.require("data.reference", "Cross-validation fits on it.")


# What is to be done --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    loaded: LoadedConfig
    run_directory: RunDirectory
    environment: Mapping[str, str]
    team: Interpreter
    table: DataFile
    candidate: Path
    baseline: Path | None


def _plan(evaluation: Evaluation) -> _Plan:
    loaded = evaluation.loaded
    check_configured(loaded, evaluation.baseline)
    _check_fetched(evaluation)
    environment = model_environment(evaluation.environ)
    team = ask_interpreter(loaded.config.train.python, loaded.directory, environment)
    _check_packages(loaded, team)
    candidate = loaded.directory / str(loaded.config.train.model)
    _check_trained(evaluation.run_directory, candidate)
    current = str(loaded.config.data.current_path)
    return _Plan(
        loaded=loaded,
        run_directory=evaluation.run_directory,
        environment=environment,
        team=team,
        table=_data_file(loaded.directory / current, current),
        candidate=candidate,
        baseline=evaluation.baseline,
    )


def _check_packages(loaded: LoadedConfig, team: Interpreter) -> None:
    python = loaded.config.train.python
    if not team.version:
        raise BadInput(loaded.problem(f"the interpreter `{python}` did not answer.", "Set `train.python`.", at="train.python"))
    names = {name.lower().replace("_", "-") for name in team.packages}
    if "pandas" not in names:
        raise BadInput(
            loaded.problem(f"the interpreter `{python}` has no pandas, which reads the rows.", "Install it.", at="train.python")
        )
    if not loaded.config.evaluate.predict and not names & {"mlflow", "mlflow-skinny"}:
        message = f"the interpreter `{python}` has no MLflow, which loads the model."
        raise BadInput(loaded.problem(message, "Install it, or set `evaluate.predict`.", at="train.python"))


def _check_fetched(evaluation: Evaluation) -> None:
    """Training ran since the baseline's model was fetched, and could have written there."""
    digest, baseline = evaluation.baseline_digest, evaluation.baseline
    if not digest:
        return
    if baseline is None:
        raise bad_input("there is a digest of a baseline model, and no baseline model.", "Give `--baseline-model`, too.")
    if digest_folder(baseline) != digest:
        raise bad_input(
            "is not the baseline model that was fetched: its digest is another one.",
            "Something has written there since. Let training leave it alone, and run the workflow again.",
            path=baseline.as_posix(),
        )


def _check_trained(run_directory: RunDirectory, candidate: Path) -> None:
    """The records of one run speak of one model."""
    record = run_directory.read("train")
    if isinstance(record, TrainRecord) and record.model_digest and record.model_digest != digest_folder(candidate):
        raise bad_input("is not the model that `modelship train` recorded.", "Train again, then evaluate.", path=candidate.as_posix())


def _data_file(path: Path, name: str) -> DataFile:
    return DataFile(path=name, hash=f"sha256:{digest_folder(path)}", bytes=path.stat().st_size)


def _forget(run_directory: RunDirectory) -> None:
    """Remove an earlier run's predictions, so that a failed one leaves none."""
    folder = run_directory.path / "files"
    if run_directory.path.is_symlink() or folder.is_symlink():
        return  # What is attached later refuses it.
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


# Processes -----------------------------------------------------------------------------------------------------------------------


@dataclass
class _Scorer:
    """Runs tasks in the team's interpreter until the deadline (of the monotonic clock)."""

    plan: _Plan
    folder: Path
    deadline: float

    def run(self, who: str, title: str, task: Mapping[str, Any]) -> tuple[_Answer, Finished]:
        """Do one task. Raises _ScoringFailed when it ends without answers, BadInput when it touched the run directory."""
        promised = self.plan.run_directory.digest()
        loaded = self.plan.loaded
        scorer = Scorer(loaded.config.train.python, loaded.directory, self.plan.environment, self.folder)
        with workflow.group(title), workflow.commands_stopped():
            finished = scorer.run(task, max(self.deadline - time.monotonic(), 0.0))
        if self.plan.run_directory.digest() != promised:
            # The baseline's answers and earlier records stand there: what a model rewrote is no evidence any more.
            raise bad_input(f"{who} wrote into the run directory.", "Write elsewhere.", path=str(self.plan.run_directory.path))
        return self._answer(scorer.result, who, finished), finished

    def _answer(self, path: Path, who: str, finished: Finished) -> _Answer:
        if finished.timed_out:
            timeout = self.plan.loaded.config.evaluate.timeout
            problem = Problem(
                f"{who}: stopped after {timeout}, the time for all of evaluation.", "Make it faster or raise `evaluate.timeout`."
            )
            raise _ScoringFailed(problem, finished.log_tail)
        try:
            raw = read_answer(path, finished, _MOST_ANSWER_BYTES)
            if raw is None:
                raise _ScoringFailed(crash(who, finished.exit_status), finished.log_tail)
            answer = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.DecodeError, ValueError) as error:
            raise _ScoringFailed(Problem(f"{who}: what it answered cannot be read: {str(error)[:200]}."), finished.log_tail) from None
        if answer.problem:
            problem = Problem(f"{who}: {answer.problem.message[:1500]}", answer.problem.remedy[:500])
            raise _ScoringFailed(problem, finished.log_tail)
        return answer


# Scoring -------------------------------------------------------------------------------------------------------------------------


def _score_all(plan: _Plan, scorer: _Scorer) -> EvaluateRecord:
    config = plan.loaded.config
    baseline = None
    # First, so that nothing of the candidate's has run when its answers are put away.
    if plan.baseline is not None:
        baseline, _ = _score(plan, scorer, "baseline", plan.baseline)
    candidate, first = _score(plan, scorer, "candidate", plan.candidate)
    if set(first.latency) != set(_TIMED) or not {check.name for check in first.checks} >= _ALWAYS_CHECKED:
        raise _ScoringFailed(Problem("the candidate: its process left checks out.", "Does the model's code write the answer itself?"))
    examples = _examples(plan, scorer, first)
    again, _ = scorer.run(
        "the candidate, scored again",
        "Evaluate: candidate, in another process",
        {"task": "repeat", **_model(plan, plan.candidate), "tolerance": config.evaluate.tolerance},
    )
    _say_checks(again.checks)
    checks = [*first.checks, *again.checks, *_latency_checks(plan, first.latency), _size_check(plan, candidate.bytes)]
    _say_checks(checks[len(first.checks) + len(again.checks) :])
    is_finite = all(check.holds for check in first.checks if check.name == "finite")
    functions = _functions(plan, scorer, candidate, baseline) if is_finite else {}
    checks.sort(key=lambda check: (check.holds, ("critical", "warning", "info").index(check.severity)))
    status = _status(checks)
    return EvaluateRecord(
        model=config.model,
        status=status,
        summary=_summary(checks, first.rows, with_baseline=baseline is not None),
        notices=_notices(baseline, is_finite=is_finite, has_functions=bool(_own_metrics(plan))),
        python=plan.team.version,
        table=plan.table,
        rows=first.rows,
        candidate=candidate,
        examples=examples,
        why_no_examples=clean(first.why_no_examples, 300),
        baseline=baseline,
        checks=tuple(checks),
        latency=first.latency,
        functions=functions,
        confidence=config.gate.confidence,
    )


def _score(plan: _Plan, scorer: _Scorer, role: Literal["baseline", "candidate"], path: Path) -> tuple[ScoredModel, _Answer]:
    """Score one model, and put its answers into the run directory."""
    name = f"evaluate-{role}"
    task = {"task": "score", "name": name, **_model(plan, path), "checks": _checks(plan) if role == "candidate" else None}
    answer, finished = scorer.run(f"the {role}", f"Evaluate: {role}", task)
    _say_checks(answer.checks)
    file = scorer.folder / answer.file
    if not answer.file.startswith(f"{name}.") or file.is_symlink() or not file.is_file():
        raise _ScoringFailed(Problem(f"the {role}: its process ended without predictions."), finished.log_tail)
    attached = plan.run_directory.attach(file, answer.file)
    digest, size = digest_folder(path), _size(path)
    shown = path.relative_to(plan.loaded.directory) if path.is_relative_to(plan.loaded.directory) else path
    scored = ScoredModel(
        path=shown.as_posix()[:1000],
        digest=digest,
        bytes=size,
        predictions=_data_file(attached, f"files/{answer.file}"),
        scored_seconds=answer.seconds,
        peak_memory_bytes=finished.peak_memory_bytes,
    )
    return scored, answer


def _examples(plan: _Plan, scorer: _Scorer, answer: _Answer) -> DataFile | None:
    """Put what the candidate would answer as a server into the run directory; None where there is nothing."""
    if answer.why_no_examples:
        return None
    file = scorer.folder / EXAMPLES_NAME
    if file.is_symlink() or not file.is_file():
        raise _ScoringFailed(
            Problem("the candidate: its process left examples out.", "Does the model's code write the answer itself?")
        )
    with file.open("rb") as opened:
        raw = opened.read(MAX_EXAMPLES_BYTES + 1)
    read_examples(raw, EXAMPLES_NAME)
    return _data_file(plan.run_directory.keep(raw, EXAMPLES_NAME), f"files/{EXAMPLES_NAME}")


def _model(plan: _Plan, path: Path) -> dict[str, Any]:
    """What a process needs to score one model."""
    config, directory = plan.loaded.config, plan.loaded.directory.resolve()
    reference = config.data.reference_path
    keep = None if config.gate.slices == "auto" else [*_flat(config.gate.slices), *([config.gate.group] if config.gate.group else [])]
    return {
        "model": str(path.resolve()),
        "predict": config.evaluate.predict,
        "table": str(directory / str(config.data.current_path)),
        "table-name": config.data.current_path,
        "reference": str(directory / reference) if reference and (directory / reference).is_file() else None,
        "reference-name": reference,
        "columns": _columns(plan),
        "positive": config.data.positive,
        "group": config.gate.group,
        "keep": keep,
    }


def _columns(plan: _Plan) -> dict[str, Any]:
    data, columns = plan.loaded.config.data, plan.loaded.config.train.columns
    return {"key": data.key, "target": data.target, "truth": columns.truth, "prediction": columns.prediction, "score": columns.score}


def _flat(slices: Iterable[str | tuple[str, ...]]) -> Iterator[str]:
    for entry in slices:
        yield from [entry] if isinstance(entry, str) else entry


def _checks(plan: _Plan) -> dict[str, Any]:
    settings = plan.loaded.config.evaluate
    plain: dict[str, Any] = msgspec.to_builtins(
        {
            "tolerance": settings.tolerance,
            "invariance": settings.invariance,
            "directional": settings.directional,
            "cross-validation": settings.cross_validation,
        }
    )
    for expectation in [*plain["invariance"], *plain["directional"]]:
        expectation["allow"] = share_of(expectation["allow"])
    return plain


# What is judged here -------------------------------------------------------------------------------------------------------------


def _latency_checks(plan: _Plan, measured: Mapping[str, LatencyMeasured]) -> Iterator[ModelCheck]:
    """Measured times against the budgets that the team named."""
    budgets = plan.loaded.config.evaluate.latency
    for kind in _TIMED:
        found = measured[kind]
        for name, taken in (("p50", found.p50), ("p99", found.p99)):
            budget = getattr(budgets, f"{kind}-{name}".replace("-", "_"))
            if budget is not None:
                holds = taken <= 1000 * seconds_of(budget)
                observed = f"{taken:,.1f} ms over {counted(found.calls, 'call')} of {counted(found.rows, 'row')}"
                yield ModelCheck(name=f"{kind} {name}", holds=holds, observed=observed, limit=f"at most {budget}")


def _size_check(plan: _Plan, size: int) -> ModelCheck:
    limit = plan.loaded.config.evaluate.max_model_size
    if limit is None:
        return ModelCheck(name="model size", holds=True, severity="info", observed=_shown_bytes(size))
    return ModelCheck(name="model size", holds=size <= bytes_of(limit), observed=_shown_bytes(size), limit=f"at most {limit}")


def _shown_bytes(size: int) -> str:
    """`812 B`, `4.2 kB`, `18.3 MB`."""
    for unit in ("GB", "MB", "kB"):
        if size >= SIZE_UNITS[unit]:
            return f"{size / SIZE_UNITS[unit]:.1f} {unit}"
    return f"{size} B"


def _size(path: Path) -> int:
    """Bytes of all files of a model, links not followed."""
    files = [path] if path.is_file() else [child for child in path.rglob("*") if child.is_file() and not child.is_symlink()]
    return sum(file.stat().st_size for file in files)


def _own_metrics(plan: _Plan) -> dict[str, str]:
    return {name: limit.function for name, limit in (plan.loaded.config.gate.metrics or {}).items() if limit.function}


def _functions(plan: _Plan, scorer: _Scorer, candidate: ScoredModel, baseline: ScoredModel | None) -> dict[str, FunctionMetric]:
    """The team's own metrics of the predictions that stand in the run directory."""
    functions = _own_metrics(plan)
    if not functions:
        return {}
    folder = plan.run_directory.path.resolve()
    answer, finished = scorer.run(
        "a metric of your own",
        f"Evaluate: {', '.join(functions)}",
        {
            "task": "measure",
            "functions": functions,
            "candidate": str(folder / candidate.predictions.path),
            "baseline": str(folder / baseline.predictions.path) if baseline else None,
            "table-name": plan.loaded.config.data.current_path,
            "columns": _columns(plan),
            "group": plan.loaded.config.gate.group,
            "confidence": plan.loaded.config.gate.confidence,
        },
    )
    values = [value for found in answer.functions.values() for value in (found.candidate, found.baseline) if value is not None]
    if set(answer.functions) != set(functions) or not all(map(math.isfinite, values)):
        raise _ScoringFailed(Problem("a metric of your own: its process ended without every value."), finished.log_tail)
    return answer.functions


def _status(checks: Sequence[ModelCheck]) -> Literal["pass", "warn", "fail"]:
    broken = {check.severity for check in checks if not check.holds}
    return "fail" if "critical" in broken else "warn" if "warning" in broken else "pass"


def _summary(checks: Sequence[ModelCheck], rows: int, *, with_baseline: bool) -> str:
    judged = [check for check in checks if check.severity != "info"]
    broken = [check for check in judged if not check.holds]
    who = "candidate and baseline" if with_baseline else "candidate"
    scored = f"{who} scored on {counted(rows, 'row')}"
    if not broken:
        return f"{scored}, {counted(len(judged), 'check')} {'holds' if len(judged) == 1 else 'hold'}"
    failing = f"{len(broken)} of {counted(len(judged), 'check')} {'does' if len(broken) == 1 else 'do'} not hold"
    return f"{scored}, {failing}: {broken[0].name} ({broken[0].observed})"


def _notices(baseline: ScoredModel | None, *, is_finite: bool, has_functions: bool) -> tuple[str, ...]:
    notices = []
    if baseline is None:
        notices.append("No baseline model was at hand: only the candidate was scored.")
    if has_functions and not is_finite:
        notices.append("Metrics of your own were not run: answers of the candidate are missing, NaN or infinite.")
    return tuple(notices)


def _say_checks(checks: Iterable[ModelCheck]) -> None:
    """One line of the log for each check."""
    for check in checks:
        mark = "✓" if check.holds else "✗"
        severity = "" if check.holds or check.severity == "critical" else f"[{check.severity}] "
        details = " · ".join(part for part in (check.observed, f"wanted: {check.limit}" if check.limit else "") if part)
        workflow.say(f"{mark} {severity}{check.name}{f' · {details}' if details else ''}")
