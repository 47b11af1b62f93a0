"""The tasks that a process is started for."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .answers import Answers, like_truth
from .checks import (
    Check,
    check_classes,
    check_direction,
    check_finite,
    check_invariance,
    check_probabilities,
    check_same,
    check_signature,
    latency,
)
from .folds import check_folds
from .models import MlflowModel, Model, OwnModel, load_pyfunc
from .own_metrics import OwnMetric, labelled, own_metric
from .problems import RefusedError, blamed, find_function, say
from .serving import examples, served_over_and_over
from .tables import Columns, Rows, distinct, need_columns, plain, read_rows, read_table


def load(task: Mapping[str, Any]) -> tuple[Model, Rows]:
    """The model and the rows of a task."""
    columns = Columns(**task["columns"])
    rows = read_rows(task["table"], task["table-name"], columns)
    began = time.perf_counter()
    model: Model
    if task["predict"]:
        model = OwnModel(task["model"], find_function(task["predict"], "evaluate.predict"), rows.labels, task["positive"])
    else:
        model = MlflowModel(task["model"], rows, task["positive"])
        model.prepare(rows.features.head(1), rows.name)
    say(f"loaded: {time.perf_counter() - began:.1f} s")
    return model, rows


def answer_all(model: Model, rows: Rows) -> tuple[Answers, float]:
    """The answers to every row, and the seconds that they took."""
    began = time.perf_counter()
    answers = model.answer(rows.features)
    seconds = time.perf_counter() - began
    say(f"scored {len(rows.truth):,} rows: {seconds:.1f} s")
    return Answers(like_truth(answers.prediction, rows.truth), answers.scores), seconds


def score(task: Mapping[str, Any]) -> dict[str, Any]:
    """Task `score`: write the answers to every row, and what `task["checks"]` asks for."""
    model, rows = load(task)
    answers, seconds = answer_all(model, rows)
    result: dict[str, Any] = {"rows": len(rows.truth), "seconds": round(seconds, 4)}
    if task["checks"]:
        result |= examine(model, rows, answers, task)
        result["why-no-examples"] = write_examples(model, rows, Path(task["folder"]) / "examples.json")
    result["file"] = write_predictions(rows, answers, task)
    return result


def write_examples(model: Model, rows: Rows, path: Path) -> str:
    """Write what a smoke test asks a server for and expects of it. Returns why there is nothing to write; empty where there is."""
    try:
        found = examples(model, rows)
    except RefusedError as error:
        say(f"no examples: {error.message}")
        return error.message.rstrip(".")[:300]
    path.write_text(json.dumps(found, allow_nan=False), encoding="utf-8")
    return ""


def write_predictions(rows: Rows, answers: Answers, task: Mapping[str, Any]) -> str:
    """Key, truth, answers and the columns to slice by. Returns the file's name."""
    columns = rows.columns
    table: dict[str, Any] = {columns.key: rows.table[columns.key], columns.truth: rows.truth, columns.prediction: answers.prediction}
    for name, values in answers.scores.items():
        table[columns.score + name[len("score") :]] = values
    if len(table) != 3 + len(answers.scores):
        raise RefusedError(f"`data.key` is `{columns.key}`, which is what a column of answers is called.", "Set `train.columns`.")
    for name in kept(rows, task["keep"]):
        if name in table:
            raise RefusedError(f"the column `{name}` to slice by is called as a column of answers is.", "Set `train.columns`.")
        table[name] = rows.table[name]
    frame = pd.DataFrame(table)
    if answers.prediction.dtype == object and not all(isinstance(value, str) for value in frame[columns.prediction].dropna()):
        kinds = ", ".join(sorted({type(value).__name__ for value in frame[columns.prediction]}))
        raise RefusedError(f"the model's predictions are of mixed types: {kinds[:200]}.")
    folder = Path(task["folder"])
    try:
        frame.to_parquet(folder / f"{task['name']}.parquet", index=False)
    except ImportError:
        frame.to_csv(folder / f"{task['name']}.csv", index=False)
        return f"{task['name']}.csv"
    return f"{task['name']}.parquet"


def kept(rows: Rows, wanted: Sequence[str] | None) -> list[str]:
    """The columns to slice by that the table has; None asks for all that hold plain values and whose names are free."""
    columns = rows.columns
    own = {columns.key, columns.target}
    if wanted is not None:
        return [name for name in dict.fromkeys(wanted) if name in rows.table.columns and name not in own]
    taken = {*own, columns.truth, columns.prediction, columns.score}
    free = [name for name in rows.table.columns if name not in taken and not str(name).startswith(f"{columns.score}_")]
    return [name for name in free if is_plain(rows.table[name])][:50]


def is_plain(column: pd.Series) -> bool:
    """Whether a column holds numbers, text, dates or truth values, and no lists or mappings."""
    return column.dtype != object or all(isinstance(value, str) for value in column.dropna())


def examine(model: Model, rows: Rows, answers: Answers, task: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that one process can tell of the candidate."""
    wanted = task["checks"]
    reference = read_table(task["reference"], task["reference-name"]) if task["reference"] else None
    checks: list[Check | None] = [
        check_finite(answers),
        check_probabilities(answers),
        check_classes(answers, rows.truth, known_classes(rows, reference), model.classes is not None),
        check_same("same answers twice", answers.arrays, answer_all(model, rows)[0].arrays, wanted["tolerance"]),
    ]
    signature = check_signature(model, rows)
    checks.append(signature)
    invariance = [(check_invariance, asked) for asked in wanted["invariance"]]
    directional = [(check_direction, asked) for asked in wanted["directional"]]
    for judge, asked in [*invariance, *directional]:
        found = judge(model, rows, asked, wanted["tolerance"])
        say(f"tried: {found['name']}")
        checks.append(found)
    if wanted["cross-validation"]:
        if not isinstance(model, MlflowModel) or reference is None:
            raise RefusedError("`evaluate.cross-validation` needs `data.reference` and an estimator that MLflow loads.")
        checks.append(check_folds(model, reference, rows.columns, task["group"], wanted["cross-validation"]))
    save_arrays(Path(task["folder"]) / "first.npz", answers)
    served, serve = rows.features, model.serve
    if isinstance(model, MlflowModel):
        served = model.prepare(served, rows.name)
        if signature and not signature["holds"]:
            serve = model.estimator.predict
    with blamed("the model, timed,"):
        times = latency(serve, served)
    for name, taken in times.items():
        say(f"{name}: p50 {taken['p50']:.1f} ms, p99 {taken['p99']:.1f} ms")
    return {"checks": [found for found in checks if found], "latency": times}


def known_classes(rows: Rows, reference: pd.DataFrame | None) -> tuple[Any, ...] | None:
    """The classes that the truth has, here or in the reference table; None where they are too many to be classes."""
    if rows.labels is None or reference is None or rows.columns.target not in reference.columns:
        return rows.labels
    learned = distinct(plain(reference[rows.columns.target].dropna()))
    return None if learned is None else tuple(dict.fromkeys([*rows.labels, *learned]))


def save_arrays(path: Path, answers: Answers) -> None:
    """Keep answers exactly, for another process to compare with; text as fixed-width text, so that nothing is pickled."""
    arrays: dict[str, Any] = {
        name: values if values.dtype.kind in "biuf" else values.astype(str) for name, values in answers.arrays.items()
    }
    np.savez(path, **arrays)


def repeat(task: Mapping[str, Any]) -> dict[str, Any]:
    """Task `repeat`: answer every row again, in this new process, and compare."""
    model, rows = load(task)
    answers, _ = answer_all(model, rows)
    with np.load(Path(task["folder"]) / "first.npz", allow_pickle=False) as saved:
        first = {name: saved[name] for name in saved.files}
    found = check_same("same answers in another process", first, answers.arrays, task["tolerance"])
    return {"rows": len(rows.truth), "checks": [found]}


def measure(task: Mapping[str, Any]) -> dict[str, Any]:
    """Task `measure`: a team's own metrics of the predictions files."""
    columns = Columns(**task["columns"])
    candidate = read_predictions(task["candidate"])
    baseline = read_predictions(task["baseline"]) if task["baseline"] else None
    if baseline is not None and not (candidate[columns.key] == baseline[columns.key]).all():
        raise RefusedError("the two models were not scored on the same rows.")
    groups = None
    if task["group"]:
        need_columns(candidate, [task["group"]], "`gate.group` is", task["table-name"])
        groups = pd.factorize(candidate[task["group"]], use_na_sentinel=False)[0]
    functions = {}
    for name, function in task["functions"].items():
        began = time.perf_counter()
        metric = OwnMetric(f"gate.metrics.{name}.function", find_function(function, f"gate.metrics.{name}.function"))
        new, old = labelled(candidate, columns), None if baseline is None else labelled(baseline, columns)
        functions[name] = {"function": function, **own_metric(metric, new, old, groups, task["confidence"])}
        say(f"{name}: {functions[name]['candidate']:.6g}, {time.perf_counter() - began:.1f} s")
    return {"functions": functions}


def answer(task: Mapping[str, Any]) -> dict[str, Any]:
    """Task `answer`: load a model, and say what a server would answer with it to the examples in a file, where there is one."""
    began = time.perf_counter()
    pyfunc = load_pyfunc(task["model"])
    say(f"loaded: {time.perf_counter() - began:.1f} s")
    if not task["examples"]:
        return {}
    request = json.loads(Path(task["examples"]).read_text(encoding="utf-8"))["dataframe_split"]
    return served_over_and_over(pyfunc, request, task["calls"], task["patience"])


def read_predictions(path: str) -> pd.DataFrame:
    """A predictions file that `score` wrote. Labels such as `NA` are text, not missing."""
    return pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path, keep_default_na=False, na_values=[""])


TASKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "score": score,
    "repeat": repeat,
    "measure": measure,
    "answer": answer,
}


def main(path: Path) -> None:
    """Do the task at `path`, and write its answer whole or not at all."""
    task = json.loads(path.read_text(encoding="utf-8"))
    try:
        result = TASKS[task["task"]](task)
    except RefusedError as error:
        result = {"problem": {"message": error.message[:1500], "remedy": error.remedy[:500]}}
    except MemoryError:
        result = {"problem": {"message": "there was not enough memory.", "remedy": "Score fewer rows, or use a larger runner."}}
    unfinished = Path(f"{task['result']}.unfinished")
    unfinished.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    os.replace(unfinished, task["result"])
