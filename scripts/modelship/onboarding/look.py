"""Look at a repository: what in it trains, measures, holds data and says which environment training needs. Runs nothing of it."""

from __future__ import annotations

import configparser
import csv
import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelship.core.documents import Document, parse_document
from modelship.core.errors import BadInput, bad_input
from modelship.core.metrics import read_metrics
from modelship.core.prediction_files import SUFFIXES, suffix_of
from modelship.data.dvc_remotes import CAPABILITIES, find_dvc_root, read_remotes
from modelship.data.expectations import read_expectations
from modelship.data.gx_project import SETTINGS
from modelship.data.tables.opening import FORMATS
from modelship.gate.directions import direction
from modelship.onboarding.facts import Choice, Dvc, Facts, KnownMetric, MetricsFile
from modelship.onboarding.pythons import choose_python
from modelship.onboarding.tree import Repository, Tree, first_line, read_bytes, read_text

DOCUMENTS = (".json", ".yaml", ".yml", ".toml")
MOST_CANDIDATES = 60
"""How many files of one kind are opened at most."""

_TRAINING = ("train", "train_model", "training", "model_train", "run_training", "fit")
_ASIDE = frozenset({"test", "tests", "doc", "docs", "example", "examples", "notebooks", "third_party", "vendor", "build", "dist"})
"""Folders whose files are about something else than the model."""

_METRICS_WORDS = frozenset({"metric", "metrics", "score", "scores", "result", "results", "eval", "evaluation"})
_REFERENCE_WORDS = ("train", "training", "reference")
_CURRENT_WORDS = ("holdout", "test", "testing", "valid", "validation", "val", "current", "eval")


def look(directory: Path, config_name: str, git: Repository) -> Facts:
    """The facts about the repository around `directory`, where modelship.yaml will stand."""
    tree = Tree(directory, git)
    top = git.root() or directory
    # Not from git's own answer, which loses a blank at its start.
    prefix = "".join(f"{part}/" for part in directory.resolve().relative_to(top.resolve()).parts)
    if not _is_encodable(f"{prefix}{config_name}"):
        raise bad_input("the folder's name is not UTF-8.", "A workflow cannot name it; rename the folder.")
    pipeline = _read_pipelines(tree)
    run = _training(tree, pipeline)
    mlflow = _mlflow(tree, top)
    reference, current = _tables(tree, pipeline)
    target, key = _columns(directory, [table.value for table in (current, reference) if table])
    return Facts(
        model=_model_name(tree, prefix, git),
        prefix=prefix,
        config_name=config_name,
        in_git=tree.in_git,
        branch=git.default_branch(),
        dvc=_dvc(tree, directory, top, pipeline),
        mlflow=mlflow,
        run=run,
        metrics=_metrics(tree, pipeline),
        params=_params(tree, pipeline),
        predictions=_predictions(tree, pipeline),
        model_folder=_model_folder(tree, pipeline, mlflow),
        reference=reference,
        current=current,
        target=target,
        key=key,
        expectations=_expectations(tree, directory),
        setup=_setup(directory, top, prefix),
        python=_python(directory, top),
        unread=tuple(tree.unread),
    )


# --- DVC -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Output:
    """What a stage of dvc.yaml writes: path, whether DVC caches it, and where it is declared."""

    path: str
    cached: bool
    why: str


@dataclass
class _Pipeline:
    """The dvc.yaml files, and what the `.dvc` files track."""

    files: list[str] = field(default_factory=list)
    stages: int = 0
    metrics: list[_Output] = field(default_factory=list)
    params: list[_Output] = field(default_factory=list)
    outs: list[_Output] = field(default_factory=list)
    plots: list[_Output] = field(default_factory=list)
    tracked: list[_Output] = field(default_factory=list)


def _read_pipelines(tree: Tree) -> _Pipeline:
    found = _Pipeline()
    for name in _named(tree, "dvc.yaml")[:MOST_CANDIDATES]:
        data = tree.data(name, expected=True)
        if isinstance(data, dict):
            _read_pipeline(found, name, data)
    for name in [name for name in tree.names if name.endswith(".dvc")][:500]:
        data = tree.data(name)
        outs = _dig(data, "outs")
        for out in outs if isinstance(outs, list) else ():
            path = _inside(posixpath.dirname(name), _dig(out, "path"))
            if path:
                found.tracked.append(_Output(path, True, name))
    return found


def _read_pipeline(found: _Pipeline, name: str, data: dict[str, Any]) -> None:
    folder = posixpath.dirname(name)
    stages = data.get("stages")
    bodies: list[tuple[str, str, Any]] = [(name, folder, data)]
    for stage, body in (stages or {}).items() if isinstance(stages, dict) else ():
        body = body.get("do", body) if isinstance(body, dict) else None
        if isinstance(body, dict):
            found.stages += 1
            bodies.append((f"stage `{stage}` of {name}", posixpath.join(folder, str(body.get("wdir") or "")), body))
    if len(bodies) > 1:
        found.files.append(name)
    for why, base, body in bodies:
        for kind, into in (("metrics", found.metrics), ("outs", found.outs), ("plots", found.plots)):
            for item, options in _entries(body.get(kind)):
                path = _inside(base, item)
                if path:
                    cached = not (isinstance(options, dict) and options.get("cache") is False)
                    into.append(_Output(path, cached and body is not data, why))
        for item, keys in _entries(body.get("params")):
            # A bare text is a key of params.yaml; a mapping names the file.
            path = _inside(base, item if isinstance(item, str) and (keys is not _BARE or item.endswith(DOCUMENTS)) else "params.yaml")
            if path:
                found.params.append(_Output(path, False, why))


_BARE = object()


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    """A list of `path` or `{path: options}`, as DVC writes it."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield from item.items()
        else:
            yield item, _BARE


def _dvc(tree: Tree, directory: Path, top: Path, pipeline: _Pipeline) -> Dvc | None:
    root = find_dvc_root(directory)
    tracks = len(pipeline.tracked) + pipeline.stages
    if root is None:
        if tracks:
            tree.unread.append("There are DVC files, but no folder .dvc: run `dvc init` and commit .dvc/config.")
        return None
    try:
        remotes = read_remotes(root)
    except (BadInput, configparser.Error, OSError) as error:
        return Dvc(tracks, None, problem=str(error))
    # `.dvc/config.local` is one person's: a runner has only what is in `.dvc/config`.
    names = sorted(remotes.by_name)
    chosen = remotes.by_name.get(remotes.default or "") or (remotes.by_name[names[0]] if len(names) == 1 else None)
    if chosen is None:
        what = f"one of {', '.join(names)}" if names else "a storage"
        problem = f"DVC has no default remote: choose {what} with `dvc remote default`." if names else ""
        return Dvc(tracks, None, problem=problem or "DVC has no remote: `dvc remote add -d storage s3://…`, then `dvc push`.")
    named = None if remotes.default else chosen.name
    if named and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", named):
        return Dvc(tracks, None, problem="DVC has no default remote: set one with `dvc remote default`.")
    problem = ""
    if chosen.kind not in CAPABILITIES:
        problem = (
            f"The DVC remote is of the kind `{chosen.kind}`, which Modelship cannot read: choose one of {', '.join(CAPABILITIES)}."
        )
    elif chosen.kind == "local":
        place = (root / ".dvc" / chosen.url.removeprefix("file://")).resolve()
        if not place.is_relative_to(top.resolve()):
            problem = "The DVC remote is a folder of this machine, which no runner sees: add one that it can reach, then `dvc push`."
    return Dvc(tracks, chosen.kind, named, problem)


# --- Training ------------------------------------------------------------------------------------------------------------


def _training(tree: Tree, pipeline: _Pipeline) -> Choice | None:
    """The command that trains: the pipeline, a Makefile's or MLproject's target, or a script."""
    for kind in (_dvc_commands(pipeline), _make_commands(tree), _project_commands(tree), _script_commands(tree)):
        # Of another kind there may be more, but a pipeline or a Makefile is how its scripts are meant to be called.
        found = list(kind)
        if found:
            others = tuple(dict.fromkeys(choice.value for choice in found[1:] if choice.value != found[0].value))
            return Choice(found[0].value, found[0].why, others[:4])
    return None


def _dvc_commands(pipeline: _Pipeline) -> Iterator[Choice]:
    for name in pipeline.files:
        command = "dvc repro" if name == "dvc.yaml" else f"dvc repro {_argument(name)}"
        stages = f"{pipeline.stages} stage{'s' if pipeline.stages != 1 else ''}" if len(pipeline.files) == 1 else "stages"
        yield Choice(command, f"{name} has {stages}")


def _make_commands(tree: Tree) -> Iterator[Choice]:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        if name in tree and any(map(_is_train_rule, (tree.text(name) or "").splitlines())):
            yield Choice("make train", f"{name} has the target `train`")
            return


def _is_train_rule(line: str) -> bool:
    targets, colon, rest = line.partition(":")
    is_rule = colon and not line.startswith(("\t", "#")) and "=" not in targets and not rest.startswith(("=", ":=", "::="))
    return bool(is_rule) and "train" in targets.split()


def _project_commands(tree: Tree) -> Iterator[Choice]:
    data = tree.data("MLproject") if "MLproject" in tree else None
    entries = data.get("entry_points") if isinstance(data, dict) else None
    for name in ("train", "main"):
        entry = entries.get(name) if isinstance(entries, dict) else None
        command = entry.get("command") if isinstance(entry, dict) else None
        if isinstance(command, str) and _is_encodable(command.strip()):
            own = "{" not in command and "\n" not in command.strip()
            yield Choice(
                command.strip() if own else f"mlflow run . --env-manager local -e {name}", f"entry point `{name}` of MLproject"
            )
            return


def _script_commands(tree: Tree) -> Iterator[Choice]:
    scripts = [
        name
        for name in tree.names
        if name.count("/") <= 4 and not _is_aside(name) and name.endswith((".py", ".sh")) and _stem(name) in _TRAINING
    ]
    for name in sorted(scripts, key=lambda name: (name.count("/"), name.endswith(".sh"), _TRAINING.index(_stem(name)), name)):
        if name.endswith(".sh"):
            yield Choice(f"bash {_argument(name)}", f"{name} is there")
        elif _is_module(tree, name):
            yield Choice(f"python -m {name.removesuffix('.py').replace('/', '.')}", f"{name} imports its package")
        else:
            yield Choice(f"python {_argument(name)}", f"{name} is there")


def _is_module(tree: Tree, name: str) -> bool:
    """Whether a script needs `python -m`: it lies in a package and imports from it by name or by dots."""
    parts = name.removesuffix(".py").split("/")
    folders = ["/".join(parts[: end + 1]) for end in range(len(parts) - 1)]
    if not folders or not all(part.isidentifier() for part in parts) or f"{folders[-1]}/__init__.py" not in tree:
        return False
    return (
        re.search(rf"^[ \t]*(?:from[ \t]+\.|(?:from|import)[ \t]+{re.escape(parts[0])}\b)", tree.text(name) or "", re.MULTILINE)
        is not None
    )


# --- What training writes ------------------------------------------------------------------------------------------------


def _metrics(tree: Tree, pipeline: _Pipeline) -> MetricsFile | None:
    declared = {output.path: output for output in pipeline.metrics if output.path.endswith(DOCUMENTS)}
    guessed = [
        name
        for name in tree.names
        if name.endswith(DOCUMENTS) and name not in declared and not _is_aside(name) and _METRICS_WORDS & set(_words(name))
    ]
    guessed.sort(key=lambda name: (name.count("/"), "metrics" not in _words(name), name))
    best: MetricsFile | None = None
    others: list[str] = []
    for name in [*declared, *guessed[:MOST_CANDIDATES]]:
        output = declared.get(name)
        found = _metrics_file(tree, name, output)
        if found is None:
            continue
        if best is None or (found.known and not best.known):
            others = [*others, best.path] if best else others
            best = found
        else:
            others.append(name)
    if best is not None:
        return MetricsFile(best.path, best.why, best.keeping, best.known, best.unknown, tuple(others[:4]))
    return _mentioned_metrics(tree)


def _metrics_file(tree: Tree, name: str, output: _Output | None) -> MetricsFile | None:
    """The metrics file of that name; one that nothing declares counts only if it holds a metric of known direction."""
    keeping = "dvc" if output and output.cached and name not in tree else tree.keeping(name)
    data = tree.data(name, expected=output is not None)
    known: list[KnownMetric] = []
    unknown: list[str] = []
    try:
        values = read_metrics(Document(name, data)).values if data is not None else {}
    except BadInput:
        values = {}
    for metric, value in values.items():
        better = direction(metric)
        if not _is_encodable(metric):
            continue
        if better:
            known.append(KnownMetric(metric, value, better))
        else:
            unknown.append(metric)
    if output is None and not known:
        return None
    return MetricsFile(name, output.why if output else "", keeping, tuple(known), tuple(unknown))


def _mentioned_metrics(tree: Tree) -> MetricsFile | None:
    """A metrics file that a training or evaluation script names, where none is there yet."""
    found = _mentioned(tree, r"""["']([\w./-]{0,200}metrics[\w-]{0,100}\.(?:json|ya?ml|toml))["']""")
    return MetricsFile(found.value, found.why, tree.keeping(found.value)) if found else None


def _mentioned(tree: Tree, pattern: str) -> Choice | None:
    """The path in the first group of `pattern` in a script that trains or evaluates."""
    words = {"train", "training", "evaluate", "evaluation", "eval", "predict", "scoring"}
    scripts = [name for name in tree.names if name.endswith(".py") and not _is_aside(name) and set(_words(name)) & words]
    for script in scripts[:MOST_CANDIDATES]:
        match = re.search(pattern, tree.text(script) or "")
        path = _inside("", match[1]) if match else None
        if path:
            return Choice(path, f"{script} names it")
    return None


def _params(tree: Tree, pipeline: _Pipeline) -> Choice | None:
    places = [posixpath.join(folder, f"params{suffix}") for folder in ("", "config", "configs", "conf") for suffix in DOCUMENTS]
    declared = [(output.path, output.why) for output in pipeline.params]
    for name, why in [*declared, *((name, "") for name in places)]:
        if name in tree and name.endswith(DOCUMENTS) and tree.data(name, expected=True) is not None:
            return Choice(name, why)
    return None


def _predictions(tree: Tree, pipeline: _Pipeline) -> Choice | None:
    outs = [(output.path, output.why) for output in (*pipeline.outs, *pipeline.plots)]
    # Often ignored by git, so looked for on disk as well.
    usual = [f"{folder}{stem}{suffix}" for folder in _OUTPUT_FOLDERS for stem in ("predictions", "preds") for suffix in SUFFIXES]
    there = [(name, "") for name in (*tree.names, *usual) if tree.is_there(name)]
    for name, why in [*outs, *there]:
        if suffix_of(name) and {"predictions", "preds", "prediction"} & set(_words(name)) and not _is_aside(name):
            return Choice(name, why)
    # As a whole path, and to be written: what stands behind a comma or a slash is in a folder that nobody knows.
    return _mentioned(tree, _WRITTEN_PREDICTIONS)


_OUTPUT_FOLDERS = ("", "output/", "outputs/", "artifacts/", "results/", "reports/", "data/")
_WRITTEN_PREDICTIONS = (
    r"""(?:=|(?<!read_csv)(?<!read_parquet)(?<!read_table)\()\s*["']"""
    rf"""((?:[\w.-]+/){{0,9}}(?:[\w-]{{0,100}}_)?(?:predictions|preds)(?:{"|".join(map(re.escape, SUFFIXES))}))["']"""
)


def _model_folder(tree: Tree, pipeline: _Pipeline, mlflow: str | None) -> Choice | None:
    outs = [(output.path, output.why) for output in pipeline.outs]
    usual = ["model", "models/model", "artifacts/model", "output/model", "outputs/model"]
    folders = [posixpath.dirname(name) for name in _named(tree, "MLmodel") if "/" in name]
    for name, why in [*outs, *((folder, "") for folder in (*folders, *usual))]:
        if tree.is_there(f"{name}/MLmodel"):
            return Choice(name, why or "it holds an MLmodel file")
        if why and mlflow and posixpath.basename(name) == "model":
            return Choice(name, why)
    return None


# --- Data ----------------------------------------------------------------------------------------------------------------


def _tables(tree: Tree, pipeline: _Pipeline) -> tuple[Choice | None, Choice | None]:
    """The table that the model learns from and the one that it is judged on, of the same folder where possible."""
    from_dvc = {output.path: output.why for output in [*pipeline.outs, *pipeline.tracked]}
    names = [
        name
        for name in dict.fromkeys([*from_dvc, *tree.names])
        if _is_table(name)
        and not {"predictions", "preds", "x", "y"} & set(_words(name))
        and not _in_folder(name, {"docs", "examples"})
    ]
    reference = _best(names, _REFERENCE_WORDS, None)
    current = _best(names, _CURRENT_WORDS, reference)
    return tuple(Choice(name, from_dvc.get(name, "")) if name else None for name in (reference, current))  # type: ignore[return-value]


def _best(names: Iterable[str], words: Sequence[str], beside: str | None) -> str | None:
    ranked = []
    for name in names:
        rank = next((index for index, word in enumerate(words) if word in _words(name)), None)
        if rank is not None and name != beside:
            elsewhere = beside is not None and posixpath.dirname(name) != posixpath.dirname(beside)
            ranked.append((elsewhere, rank, name.count("/"), name))
    return min(ranked)[3] if ranked else None


def _columns(directory: Path, tables: Sequence[str]) -> tuple[str | None, str | None]:
    """Columns that may be target and key, from the header of a CSV table on disk."""
    for name in tables:
        line = first_line(directory / name) if name.lower().endswith(".csv") else None
        columns = _fields(line) if line else []
        usable = [column for column in columns if 0 < len(column) <= 100 and column.isprintable()]
        targets = [column for column in usable if column.lower() in ("target", "label", "y", "class", "outcome")]
        keys = [column for column in usable if column.lower() in ("id", "key", "uuid")] or [
            column for column in usable if column.lower().endswith("_id")
        ]
        if targets or keys:
            return (targets[0] if len(targets) == 1 else None), (keys[0] if len(keys) == 1 else None)
    return None, None


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _expectations(tree: Tree, directory: Path) -> Choice | None:
    suites = [name for name in tree.names if re.search(r"(^|/)expectations/(.+/)?[^/]+\.json$", name) and not name.startswith(".")]
    projects = [posixpath.dirname(name) for name in tree.names if posixpath.basename(name) == SETTINGS and "/" in name]
    found: list[str] = []
    problems: list[str] = []
    for name in ["expectations.yaml", "expectations.yml", "expectations.json", *projects[:MOST_CANDIDATES], *suites[:MOST_CANDIDATES]]:
        if name not in projects and (name not in tree or read_bytes(directory / name) is None):
            continue
        try:
            read_expectations(directory / name, name)
            found.append(name)
        except BadInput as error:
            problems.append(str(error.problems[0]))
    if not found:
        tree.unread.extend(problems[:2])
        return None
    kind = "project" if found[0] in projects else "suite" if found[0].endswith(".json") else ""
    return Choice(found[0], kind and f"a Great Expectations {kind}", tuple(found[1:5]))


# --- The team's environment ----------------------------------------------------------------------------------------------


def _setup(directory: Path, top: Path, prefix: str) -> Choice | None:
    """The command that installs what training needs, run at the repository's top."""
    places = [(directory, prefix)] if directory.resolve() == top.resolve() else [(directory, prefix), (top, "")]
    for folder, path in places:
        found = _setup_in(folder, path)
        if found:
            return found
    return None


def _setup_in(folder: Path, path: str) -> Choice | None:
    def at(name: str) -> str:
        return _argument(path + name)

    def there(name: str) -> bool:
        return (folder / name).is_file() and not (folder / name).is_symlink()

    enter = f"cd {_argument(path.rstrip('/'))} && " if path else ""
    if there("uv.lock"):
        # Into the interpreter that setup-python put first on PATH, so that plain `python` and `dvc` are the team's.
        command = f"{enter}pip install uv && uv export --locked --quiet | uv pip install --system -r -"
        return Choice(command, f"{path}uv.lock")
    if there("poetry.lock"):
        command = f"{enter}pip install poetry && POETRY_VIRTUALENVS_CREATE=false poetry install --no-interaction"
        return Choice(command, f"{path}poetry.lock")
    if there("Pipfile.lock"):
        return Choice(f"{enter}pip install pipenv && pipenv install --system --deploy", f"{path}Pipfile.lock")
    for name in ("requirements.txt", "requirements/requirements.txt", "requirements/base.txt", "requirements-train.txt"):
        if there(name):
            hashed = "--hash=sha256:" in (read_text(folder / name) or "")
            # A file that names its own packages by relative path means its own folder.
            return Choice(f"pip install {'--require-hashes ' if hashed else ''}-r {at(name)}", path + name)
    for name in ("environment.yml", "environment.yaml", "conda.yaml"):
        if there(name):
            command = (
                f'"$CONDA/bin/conda" env create --quiet --prefix "$RUNNER_TEMP/conda" --file {at(name)} '
                '&& echo "$RUNNER_TEMP/conda/bin" >> "$GITHUB_PATH"'
            )
            return Choice(command, path + name)
    project = _toml(folder / "pyproject.toml")
    if "project" in project or there("setup.py"):
        return Choice(
            f"pip install {_argument(path.rstrip('/'), dot=True)}", path + ("pyproject.toml" if "project" in project else "setup.py")
        )
    return None


def _python(directory: Path, top: Path) -> Choice | None:
    """The version to set up, as `3.12`."""
    for folder in dict.fromkeys((directory, top)):
        lines = (read_text(folder / ".python-version") or "").split()
        if lines and re.fullmatch(r"3\.\d{1,2}(\.\d{1,3})?", lines[0]):
            return Choice(lines[0], ".python-version")
        project = _toml(folder / "pyproject.toml")
        stated = _dig(project, "project", "requires-python") or _dig(project, "tool", "poetry", "dependencies", "python")
        version = choose_python(stated) if isinstance(stated, str) else None
        if version:
            return Choice(version, f"pyproject.toml asks for {stated}")
    return None


def _mlflow(tree: Tree, top: Path) -> str | None:
    """Where MLflow shows: an MLproject, a requirement, or an import."""
    if "MLproject" in tree:
        return "MLproject"
    wanted = re.compile(r"""^[ \t"'-]*mlflow(?:-skinny)?\b(?!\w)""", re.MULTILINE)
    named = ("pyproject.toml", "setup.py", "environment.yml", "environment.yaml", "conda.yaml", "Pipfile")
    requirements = [name for name in tree.names if name in named or re.search(r"(^|/)requirements[^/]*\.(txt|in)$", name)]
    for name in requirements[:MOST_CANDIDATES]:
        if wanted.search(tree.text(name) or ""):
            return name
    for name in ("requirements.txt", "pyproject.toml"):
        if top.resolve() != tree.directory.resolve() and wanted.search(read_text(top / name) or ""):
            return name
    imports = re.compile(r"^[ \t]*(?:import|from)[ \t]+mlflow\b", re.MULTILINE)
    for name in [name for name in tree.names if name.endswith(".py")][: 3 * MOST_CANDIDATES]:
        if imports.search(tree.text(name) or ""):
            return name
    return None


def _model_name(tree: Tree, prefix: str, git: Repository) -> str:
    """The folder's name in a monorepo; else the project's, the repository's or the folder's."""
    project = _toml(tree.directory / "pyproject.toml")
    names = [
        posixpath.basename(prefix.rstrip("/")),
        _dig(project, "project", "name"),
        _dig(project, "tool", "poetry", "name"),
        git.remote_name() if tree.in_git else None,
        tree.directory.resolve().name,
    ]
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] if isinstance(name, str) else ""
        if slug:
            return slug
    return "model"


# --- Names ---------------------------------------------------------------------------------------------------------------


def _argument(path: str, *, dot: bool = False) -> str:
    """A path as one word of a shell command, never an option. With `dot`, one that pip takes for a folder."""
    if not path:
        return "."
    return shlex.quote(f"./{path}" if dot or path.startswith(("-", "~")) else path)


def _inside(folder: str, path: Any) -> str | None:
    """`path` from `folder`, or None when it is no path below the directory, or a template."""
    if not isinstance(path, str) or not path or "${" in path or "://" in path or not _is_encodable(path):
        return None
    joined = posixpath.normpath(posixpath.join(folder, path))
    return None if joined.startswith(("../", "/")) or joined in (".", "..") or len(joined) > 1000 else joined


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return 0 < len(text) <= 1000


def _stem(name: str) -> str:
    return posixpath.basename(name).partition(".")[0]


def _words(name: str) -> list[str]:
    """The lower-case words of a file's name: `data/Train_set-2.csv` has `train` and `set`."""
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _stem(name)).lower())


def _named(tree: Tree, basename: str) -> list[str]:
    return [name for name in tree.names if posixpath.basename(name) == basename]


def _is_table(name: str) -> bool:
    return name.lower().endswith(tuple(FORMATS))


def _in_folder(name: str, folders: Iterable[str]) -> bool:
    return bool({part.lower() for part in name.split("/")[:-1]} & set(folders))


def _is_aside(name: str) -> bool:
    return _in_folder(name, _ASIDE) or any(part.startswith(".") for part in name.split("/"))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path) or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def workflows_that_call(folder: Path, config_path: str) -> list[str]:
    """The workflow files in `folder` that already have Modelship check `config_path`."""
    found = []
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    for name in [name for name in names if name.endswith((".yml", ".yaml"))][:200]:
        raw = read_bytes(folder / name)
        if not raw or b"model-pull-request.yml" not in raw:
            continue
        try:
            jobs = _dig(parse_document(raw, name).data, "jobs")
        except BadInput:
            continue
        for job in jobs.values() if isinstance(jobs, dict) else ():
            uses = str(_dig(job, "uses") or "")
            if (
                "/.github/workflows/model-pull-request.yml" in uses
                and (_dig(job, "with", "config") or "modelship.yaml") == config_path
            ):
                found.append(name)
    return found
