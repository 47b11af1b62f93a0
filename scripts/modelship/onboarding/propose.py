"""From facts to two texts: `modelship.yaml` and the workflow that follows it, and what is left for the team to decide. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from modelship.core.documents import scalar
from modelship.onboarding.facts import Choice, Facts, KnownMetric, MetricsFile
from modelship.onboarding.pythons import DEFAULT

WORKFLOW = ".github/workflows/modelship.yml"

CALLED = "modelship/modelship/.github/workflows/model-pull-request.yml@v1"

MOST_METRICS = 3

_FAMILIES = (
    ("roc_auc", "auc", "average_precision", "pr_auc", "ndcg"),
    ("log_loss", "logloss", "cross_entropy", "brier_score_loss", "brier_score", "brier"),
    ("f1", "balanced_accuracy", "matthews_corrcoef", "mcc", "accuracy", "recall", "precision"),
    ("rmse", "root_mean_squared_error", "mse", "mean_squared_error"),
    ("mae", "mean_absolute_error", "mape", "mean_absolute_percentage_error"),
    ("r2", "explained_variance"),
)
"""Metrics that say much the same, best known first: one of each is gated before a second one."""

_COMMENT_COLUMN = 36


@dataclass(frozen=True)
class Proposal:
    """The two files, and what to tell the person who asked."""

    config: str
    workflow: str
    found: tuple[str, ...]
    undecided: tuple[str, ...]


def propose(facts: Facts) -> Proposal:
    """What `modelship init` writes for `facts`."""
    gated = choose_metrics(facts.metrics.known) if facts.metrics else ()
    return Proposal(
        config=_config(facts, gated),
        workflow=_workflow(facts),
        found=tuple(_found(facts, gated)),
        undecided=tuple(_undecided(facts, gated)),
    )


def choose_metrics(known: tuple[KnownMetric, ...]) -> tuple[KnownMetric, ...]:
    """At most three metrics to gate: of different kinds first, measured on unseen data first, shallow names first."""

    def rank(metric: KnownMetric) -> tuple[bool, int, int, str]:
        parts = re.split(r"[./_]", metric.name.lower())
        return bool({"train", "training"} & set(parts)), metric.name.count("."), _family(metric.name)[1], metric.name

    by_family: dict[int, list[KnownMetric]] = {}
    # YAML reads no key of more than 1,024 characters.
    for metric in sorted((metric for metric in known if len(scalar(metric.name)) <= 1000), key=rank):
        by_family.setdefault(_family(metric.name)[0], []).append(metric)
    rounds = max((len(members) for members in by_family.values()), default=0)
    ordered = [by_family[family][turn] for turn in range(rounds) for family in sorted(by_family) if turn < len(by_family[family])]
    judged = [metric for metric in ordered if not rank(metric)[0]]
    return tuple((judged or ordered)[:MOST_METRICS])


def _family(name: str) -> tuple[int, int]:
    """The family of a metric and its place in it."""
    last = re.split(r"[./]", name.lower().replace("-", "_"))[-1]
    for family, members in enumerate(_FAMILIES):
        for place, member in enumerate(members):
            if re.search(rf"(^|_){member}(_|$)", last):
                return family, place
    return len(_FAMILIES), 0


# --- modelship.yaml ------------------------------------------------------------------------------------------------------


@dataclass
class _Block:
    """Lines of YAML, with their comments in one column."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, line: str, comment: str = "") -> None:
        self.lines.append((line, comment))

    def set(self, key: str, value: str, comment: str = "") -> None:
        self.add(f"{key}: {scalar(value)}", comment)

    def __str__(self) -> str:
        width = max((len(line) for line, comment in self.lines if comment and len(line) <= _COMMENT_COLUMN), default=0)
        return "".join(f"{line:<{width}} # {comment}\n" if comment else f"{line}\n" for line, comment in self.lines)


def _config(facts: Facts, gated: tuple[KnownMetric, ...]) -> str:
    head = (
        "# What Modelship checks on every pull request. Paths are relative to this file.\n"
        "# Written by `modelship init` from what it found here. It is yours now: edit it.\n"
    )
    name = _Block()
    name.set("model", facts.model, "its name in comments, checks and the model registry")
    return "\n".join([head + str(name), _data(facts), _train(facts), _gate(facts, gated)])


def _data(facts: Facts) -> str:
    block, rows = _Block(), _Block()
    dvc_remote = facts.dvc.remote if facts.dvc else None
    for key, choice, says, example in (
        ("reference", facts.reference, "what the model learns from", "data/train.parquet"),
        ("current", facts.current, "what it is judged on", "data/holdout.parquet"),
    ):
        if choice:
            rows.set(f"  {key}", choice.value, says + _because(choice))
        else:
            block.add(f"  # {key}: {example}", f"{says}; no such table was found")
    for key, column, example, says in (
        ("target", facts.target, "late", "the column that the model predicts"),
        ("key", facts.key, "flight_id", "the column that names a row, once each"),
    ):
        block.add(f"  # {key}: {scalar(column or example)}", says + ("; there is a column of that name" if column else ""))
    if facts.expectations:
        rows.set("  expectations", facts.expectations.value, "what both must hold" + _because(facts.expectations))
    else:
        block.add("  # expectations: expectations.yaml", "a YAML list, as `- expect_column_values_to_not_be_null: {column: id}`")
    if dvc_remote:
        rows.set("  remote", dvc_remote, "the DVC remote to pull from: there is one, but no default")
    block.lines = [*rows.lines, *block.lines]
    return _section("data", block, bool(rows.lines))


def _train(facts: Facts) -> str:
    block = _Block()
    if facts.run:
        block.set("  run", facts.run.value, shown_in_comment(facts.run.why) + _or_else(facts.run.others))
    else:
        block.add("  # run: python train.py", "TO DECIDE: the command that trains; none was found")
    metrics = facts.metrics
    if metrics:
        block.set("  metrics", metrics.path, _about_metrics(metrics))
    else:
        block.add("  # metrics: metrics.json", 'TO DECIDE: the file that training writes its metrics to, as {"roc_auc": 0.81}')
    if facts.params:
        block.set("  params", facts.params.value, "what the comment compares" + _because(facts.params))
    else:
        block.add("  # params: params.yaml", "optional: parameters, to see in the comment what changed")
    for key, choice, says, example in (
        ("predictions", facts.predictions, "the predictions that training writes", "predictions.parquet"),
        ("model", facts.model_folder, "the MLflow model folder that it writes", "model"),
    ):
        if choice:
            block.set(f"  {key}", choice.value, says + _because(choice))
        else:
            block.add(f"  # {key}: {example}", f"optional: {says}")
    known = [facts.run, metrics, facts.params, facts.predictions, facts.model_folder]
    return _section("train", block, any(known))


def _gate(facts: Facts, gated: tuple[KnownMetric, ...]) -> str:
    block, metrics = _Block(), facts.metrics
    block.set("  baseline", "base", "the commit that a pull request starts from; with an MLflow server also: champion")
    if metrics is None or metrics.keeping in ("tracked", "new", "unversioned"):
        block.set("  first-run", "allow", "while there is no baseline yet, absolute limits alone decide")
    else:
        block.set(
            "  first-run", "refuse", f"TO DECIDE: `allow` once {shown_in_comment(metrics.path)} is in git; what is not, is no baseline"
        )
    text = f"gate:\n{block}"
    if not gated:
        reason = "no metric of known direction was found" if metrics and metrics.unknown else "no metric was found yet"
        names = metrics.unknown[:4] if metrics else ()
        text += f"  # TO DECIDE: what must hold; {reason}. Until then nothing passes: `modelship metric-gate` ends with an error.\n"
        if names:
            text += f"  # In the metrics file: {', '.join(shown_in_comment(name) for name in names)}. Say which direction is better:\n"
        better = "better: higher, " if names else ""
        example = names[0] if names and re.fullmatch(r"[A-Za-z]\w{0,60}", names[0]) else "my_metric" if names else "roc_auc"
        return f"{text}  # metrics:\n  #   {example}: {{{better}max-regression: 1%}}\n"
    text += (
        "  metrics:\n"
        "    # max-regression is how much worse than the baseline a metric may become: 1% of its value, or a number as 0.005.\n"
        "    # To add an absolute limit, as {min: 0.70, max-regression: 1%}: take the value below which you would not ship.\n"
        "    # It blocks every pull request below it, so keep it under what you have now (for losses and errors: max, above it).\n"
    )
    rows = _Block()
    for metric in gated:
        rows.add(f"    {scalar(metric.name)}: {{max-regression: 1%}}", f"now {metric.value:.4g}; {metric.better} is better")
    return text + str(rows)


def _section(key: str, block: _Block, has_keys: bool) -> str:
    """A mapping; one whose every key is a comment is a comment itself, because an empty one would not load."""
    if has_keys:
        return f"{key}:\n{block}"
    lines = str(block).splitlines()
    return f"# {key}:\n" + "".join(f"#{'' if line.startswith('  #') else ' '}{_uncommented(line)}\n" for line in lines)


def _uncommented(line: str) -> str:
    return line.replace("  # ", "   ", 1) if line.startswith("  # ") else line


def _about_metrics(metrics: MetricsFile) -> str:
    said = shown_in_comment(metrics.why) if metrics.why else "what training writes, and the gate reads"
    return said + _or_else(metrics.others)


def _because(choice: Choice) -> str:
    return (f" ({shown_in_comment(choice.why)})" if choice.why else "") + _or_else(choice.others)


def _or_else(others: tuple[str, ...]) -> str:
    return f"; or: {', '.join(shown_in_comment(other) for other in others)}" if others else ""


# --- The workflow --------------------------------------------------------------------------------------------------------


def _workflow(facts: Facts) -> str:
    inputs = _Block()
    inputs.add(f"      config: {scalar(expression_safe(facts.config_path))}")
    python = facts.python or Choice(DEFAULT, "a guess: no .python-version and no requires-python was found")
    inputs.add(f'      python-version: "{python.value}"', shown_in_comment(python.why))
    if facts.setup:
        inputs.add(f"      setup: {scalar(expression_safe(facts.setup.value))}", f"found: {shown_in_comment(facts.setup.why)}")
    else:
        inputs.add("      # setup: pip install -r requirements.txt", "TO DECIDE: what installs the packages that training needs")
    if not facts.can_validate:
        inputs.add("      validate: false", "remove this line once `data` in modelship.yaml names a table and its expectations")
    lines = [str(inputs)]
    if facts.mlflow:
        lines.append("      # Optional, under Settings > Secrets and variables > Actions. Unset, everything still works.\n")
        lines.append("      mlflow-tracking-uri: ${{ vars.MLFLOW_TRACKING_URI }}\n")
    else:
        lines.append("      # mlflow-tracking-uri: ${{ vars.MLFLOW_TRACKING_URI }} # to log what is merged, and for champions\n")
    secrets = _secrets(facts)
    branch = scalar(expression_safe(glob_safe(facts.branch.value)))
    return (
        "# Trains and judges the model on every pull request, and answers with one comment. Written by `modelship init`.\n"
        "# Where strangers open pull requests from forks, a second file answers those:\n"
        "# https://github.com/modelship/modelship/blob/main/docs/forks.md\n"
        "name: modelship\n"
        "\n"
        "on:\n"
        "  pull_request:\n"
        "  push:\n"
        f"    branches: [{branch}] # {_about_branch(facts.branch)}: a push to it makes the baseline\n"
        "\n"
        "permissions: {}\n"
        "\n"
        "jobs:\n"
        "  model:\n"
        "    permissions:\n"
        "      contents: read\n"
        "      pull-requests: write # the comment\n"
        f'      checks: write # the check "modelship: {facts.model}"\n'
        f"    uses: {CALLED}\n"
        "    with:\n"
        f"{''.join(lines)}"
        f"{secrets}"
    )


def _about_branch(branch: Choice) -> str:
    return branch.why or "taken to be the default branch"


def _secrets(facts: Facts) -> str:
    """Only those that something here asks for; the others stay comments."""
    lines = []
    if facts.dvc and facts.dvc.needs_credentials:
        lines.append("      # Lines NAME=VALUE for the DVC remote, as AWS_ACCESS_KEY_ID=…; only the step that pulls sees them.\n")
        lines.append("      dvc-credentials: ${{ secrets.DVC_CREDENTIALS }}\n")
    if facts.mlflow:
        lines.append("      mlflow-username: ${{ secrets.MLFLOW_USERNAME }}\n")
        lines.append("      mlflow-password: ${{ secrets.MLFLOW_PASSWORD }}\n")
    return "    secrets:\n" + "".join(lines) if lines else ""


# --- What is said at the end ---------------------------------------------------------------------------------------------


def _found(facts: Facts, gated: tuple[KnownMetric, ...]) -> list[str]:
    said: list[str] = []

    def say(label: str, choice: Choice | None) -> None:
        if choice:
            said.append(f"{label}: {shown(choice.value)}{f' ({shown(choice.why)})' if choice.why else ''}")

    if facts.dvc:
        things = f"{facts.dvc.tracks} {'file or stage' if facts.dvc.tracks == 1 else 'files and stages'}"
        said.append(f"DVC: {things}, {f'remote: {facts.dvc.kind}' if facts.dvc.kind else 'no remote that a runner can use'}")
    if facts.mlflow:
        said.append(f"MLflow: {shown(facts.mlflow)}")
    say("training", facts.run)
    if facts.metrics:
        said.append(f"metrics: {shown(facts.metrics.path)} ({_numbers(facts.metrics, gated)})")
    say("parameters", facts.params)
    say("predictions", facts.predictions)
    say("model folder", facts.model_folder)
    say("reference table", facts.reference)
    say("current table", facts.current)
    say("expectations", facts.expectations)
    if facts.setup:
        said.append(f"packages: {shown(facts.setup.why)}")
    say("Python", facts.python)
    if facts.branch.why:
        said.append(f"default branch: {shown(facts.branch.value)} ({facts.branch.why})")
    return said


def _numbers(metrics: MetricsFile, gated: tuple[KnownMetric, ...]) -> str:
    """What the metrics file holds, in a few words."""
    if not metrics.known and not metrics.unknown:
        return f"{shown(metrics.why)}; no metric in it yet" if metrics.why else "no metric in it yet"
    known = f"{len(metrics.known)} known metrics" if len(metrics.known) != 1 else "1 known metric"
    return f"{known}, gated: {', '.join(shown(metric.name) for metric in gated)}" if gated else known


def _undecided(facts: Facts, gated: tuple[KnownMetric, ...]) -> list[str]:
    metrics = facts.metrics
    said = [shown(problem, 300) for problem in facts.unread]
    if facts.run is None:
        said.append("Training: no pipeline, `train` target or train.py was found. Set `train.run` to the command that trains.")
    elif facts.run.others:
        said.append(f"Training: `{shown(facts.run.value)}` was chosen; there is also {_listed(facts.run.others)}.")
    if metrics is None:
        said.append(
            'Metrics: no metrics file was found. Let training write one, as metrics.json with {"roc_auc": 0.81}; '
            "set `train.metrics` to it, set `gate.metrics`, and commit it."
        )
    else:
        said += _undecided_metrics(facts, metrics, gated)
    if not facts.setup:
        said.append("Packages: no lock or requirements file was found. Set `setup` in the workflow to what installs them.")
    elif "conda" in facts.setup.value:
        said.append("Packages: `setup` in the workflow makes a conda environment; see whether it does on your runner.")
    if facts.python is None:
        said.append(f"Python: no version is stated, {DEFAULT} is taken. Change `python-version` in the workflow if that is wrong.")
    said += _undecided_data(facts)
    if gated:
        said.append("Limits: 1% worse than the baseline is allowed. Choose that, and a `min` for what you would never ship.")
    if not facts.in_git:
        said.append("Git: this folder is in no git repository. Baselines and pull requests need one: `git init`, and commit.")
    if not facts.branch.why:
        said.append(f"Default branch: `{shown(facts.branch.value)}` is a guess. Change `branches` in the workflow if that is wrong.")
    return said


def _undecided_metrics(facts: Facts, metrics: MetricsFile, gated: tuple[KnownMetric, ...]) -> list[str]:
    said = []
    path = shown(metrics.path)
    if metrics.others:
        said.append(f"Metrics: `{path}` was chosen; there is also {_listed(metrics.others)}.")
    if not gated and metrics.unknown:
        said.append(f"Gate: nobody knows whether higher is better for {_listed(metrics.unknown[:4])}. Say so in `gate.metrics`.")
    elif not gated:
        said.append(f"Gate: `{path}` holds no metric yet. Train once, then set `gate.metrics`.")
    if metrics.keeping == "new":
        said.append(f"Baseline: `{path}` is not in git yet. Commit it: pull requests are compared with it.")
    elif metrics.keeping == "dvc":
        said.append(
            f"Baseline: only DVC keeps `{path}`. Set `cache: false` for it in dvc.yaml and commit it, or use an MLflow server; "
            "then set `gate.first-run: allow`."
        )
    elif metrics.keeping == "ignored":
        said.append(
            f"Baseline: `{path}` is not in git, so there is nothing to compare with. Commit it, or use an MLflow server; "
            "then set `gate.first-run: allow`."
        )
    return said


def _undecided_data(facts: Facts) -> list[str]:
    said = []
    if facts.predictions:
        said.append(
            f"Predictions: set `data.key` to the column of `{shown(facts.predictions.value)}` that names a row, and `train.columns` "
            "where truth, prediction and score are called otherwise. With them every change has an interval."
        )
    if facts.dvc and facts.dvc.problem:
        said.append(shown(facts.dvc.problem, 300))
    if facts.dvc and facts.dvc.needs_credentials:
        said.append(f"Secrets: add DVC_CREDENTIALS to the repository, so that the workflow can read from {facts.dvc.kind}.")
    if not facts.can_validate:
        missing = "tables" if facts.expectations else "expectations" if facts.reference or facts.current else "tables and expectations"
        said.append(f"Data checks are off: no {missing} found. Complete `data`, then remove `validate: false` from the workflow.")
        if facts.expectations is None:
            said.append("Expectations: `modelship validate --suggest expectations.yaml` proposes some from the reference table.")
    elif facts.expectations and facts.expectations.others:
        said.append(
            f"Expectations: `{shown(facts.expectations.value)}` was chosen; there is also {_listed(facts.expectations.others)}."
        )
    return said


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{shown(name)}`" for name in names)


# --- Text that others wrote ----------------------------------------------------------------------------------------------


def shown(text: str, most: int = 120) -> str:
    """Foreign text for one line of a terminal or a comment: printable, and not too long."""
    printable = "".join(character if character.isprintable() else "·" for character in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def shown_in_comment(text: str) -> str:
    """Foreign text for a YAML comment, which ends with the line."""
    return shown(text, 70)


def expression_safe(text: str) -> str:
    """`text` for a place where GitHub would take `${{` for the start of an expression."""
    return text.replace("${{", "${{ '${{' }}")


def glob_safe(branch: str) -> str:
    """A branch's name as a filter pattern that matches only it."""
    return re.sub(r"([*+?!\[\]\\])", r"\\\1", branch)
