"""`make year`: the template's year, month by month, through its own workflows; with and without retraining, as a figure for the docs.

A first version learns from January to June, is judged on July and released. From August on the version that is live answers each
month; when that is over, the workflow `monitor` looks at it and decides. Where it dispatches the workflow `release`, that trains on
all months but the last one, which judges; what the gate lets through answers the next month. The same year by `modelship backtest` is
printed beside it.

Versions are registered now, and the flights are of 2013: the service answers as many years later, and is asked what was asked then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from modelship.core.config import LoadedConfig, load_config
from modelship.core.records import BacktestBatch, BacktestRecord, BacktestStep, BacktestWay, MonitorRecord, RetrainRecord, read_record
from modelship.gate.rows.prediction_rows import Layout
from modelship.gate.rows.prediction_tables import PredictionsFile
from modelship.gate.rows.predictions import read_pair, read_single
from modelship.monitoring.backtest import Answered, compared, concluded, told_way
from modelship.monitoring.performance import losses
from modelship.monitoring.windows import MONTH, Window, moved
from modelship.reporting.backtest import picture
from modelship.reporting.time_chart import standalone

from .act import ActError, Run
from .console import Console
from .git import GitError, git
from .github import ToolMissingError
from .processes import NotReadyError
from .world import CHECKOUT, MONITOR, MONITOR_PERMISSIONS, RELEASE, World, stored

MODEL = BUCKET = "flight-delay"
CHECK = f"modelship: {MODEL}"

IMAGE = CHECKOUT / "docs" / "images" / "flights-year.svg"
METRIC = "roc_auc"
"""What is drawn."""
START = datetime(2013, 8, 1, tzinfo=UTC)
END = datetime(2014, 1, 1, tzinfo=UTC)

OUTPUT = CHECKOUT / "build" / "year"
"""What stays to look at: the log of each run. What the backtest has trained stays there, too, so that it need not train it again."""

WATCHED: dict[str, Any] = {"batch": "month", "metrics": {"roc_auc": {"max-loss": 0.02}, "log_loss": {"max-loss": 0.02}}}
"""The template watches weeks, and ROC AUC alone."""
PATIENCE = 3600.0
"""Seconds for one run."""

ANSWER = """
import sys
import mlflow.sklearn
import pandas as pd
from flight_delay.evaluate import predict

model, flights, answers = sys.argv[1:]
predict(mlflow.sklearn.load_model(model), pd.read_parquet(flights)).to_parquet(answers, index=False)
"""
"""The service: the team's code, in the team's interpreter."""


class YearError(AssertionError):
    """Something is not as it should be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay, draw, print. Returns the exit code: 0, 1 where something is not as it should be, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make year", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder with all logs behind")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        _show(console, keep=options.keep)
    except KeyboardInterrupt:
        console.line("\nStopped. Servers and runs have ended.")
        return 130
    except (YearError, ActError, NotReadyError, GitError, ToolMissingError, ValueError, subprocess.CalledProcessError) as error:
        console.line(f"\nThe year failed after {console.elapsed():.0f} s: {error}")
        return 1
    return 0


def _show(console: Console, *, keep: bool) -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    console.title("Starting: a GitHub API, a git server, an MLflow server, a bucket, a runner")
    with World(mlflow=True, storage=BUCKET, progress=console.progress, keep=keep) as world:
        year = Year(world, console, world.folder / "year")
        record = year.replay()
        IMAGE.write_text(standalone(picture(record, METRIC)), encoding="utf-8")
        console.title(f"The year through the workflows: {IMAGE.relative_to(CHECKOUT)}")
        for line in table(record, year.last):
            console.line(line)
        console.line(f"\n{record.summary[:1].upper()}{record.summary[1:]}.")
        console.title("The same year by modelship backtest")
        walked = by_backtest(world, year.flights)
        for line in table(walked):
            console.line(line)
        console.line(f"\n{walked.summary[:1].upper()}{walked.summary[1:]}.")
    console.title(f"Done in {console.elapsed():.0f} s; the servers have stopped")


# The months -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Month:
    """What was live in a month, what it answered, and what was decided when the month was over."""

    window: Window
    trained_at: datetime
    """When the version that answered came; that of the first month is the version without retraining."""
    answers: Path
    once: Path
    """The answers of the first version to the same flights."""
    decision: RetrainRecord
    """As the workflow `monitor` has kept it."""
    came: str = ""
    """What came of a retrain that was dispatched: which version is live."""
    blocked: str = ""
    """Why none came of it."""

    @property
    def told(self) -> str:
        """What was decided, why, and what came of it."""
        return "; ".join(filter(None, (reasons(self.decision), self.came)))


@dataclass
class Year:
    """The team, its service, and the moments at which it is looked at."""

    world: World
    console: Console
    folder: Path
    months: list[Month] = field(default_factory=list)
    _models: dict[int, Path] = field(default_factory=dict)
    """The model of each version that was live, as the bucket held it."""

    def replay(self) -> BacktestRecord:
        """The year; of each month what the workflows decided, and what came of it."""
        for name in ("log", "truth", "answers"):
            (self.folder / name).mkdir(parents=True)
        self.world.push({"modelship.yaml": watched}, "Watch months")
        self.console.title("A push to main: v1 learns from January to June, and is judged on July")
        run = self._kept(self.world.run_release(timeout=PATIENCE))
        if not run.succeeded:
            raise YearError(f"the first release failed; see {OUTPUT / f'run-{run.id}.log'}")
        trained_at, start = START, START
        while start < END:
            window = Window(start, moved(MONTH, start, 1))
            month = self._month(window, trained_at)
            self.months.append(month)
            trained_at, start = window.end if month.came else trained_at, window.end
        return summarised(load_config(self.world.repository.work / "modelship.yaml"), self.months)

    @property
    def last(self) -> str:
        """What was decided when the last month was over; what would come of it no month tells."""
        return f"{_decided(self.months[-1].decision.retrain, self.months[-1].told)}; here the data ends"

    @cached_property
    def flights(self) -> pd.DataFrame:
        """All flights of the year, as DVC's storage holds them."""
        named = YAML(typ="safe", pure=True).load(self.world.repository.read("data/flights.parquet.dvc"))
        (md5,) = (out["md5"] for out in named["outs"])
        return pd.read_parquet(stored(self.world.repository.work, md5))

    def _month(self, window: Window, trained_at: datetime) -> Month:
        """The live version answers; the month is looked at two days after its end; what is dispatched is run."""
        version = self._live()
        self.console.title(f"{window.start:%B}: v{version} answers")
        answers = self._serve(window, version)
        once = self._answers(window, 1)
        is_last = window.end >= END
        if not is_last:
            # Nothing is trained by it: what starts a training is the decision.
            moves = {"params.yaml": lambda text: moved_ahead(text, window.start)}
            self.world.push(moves, f"Learn from what was known before {window.start:%B} [skip ci]")
        fetch = f"cp -r '{self.folder}/log' '{self.folder}/truth' ."
        now = (self._ahead(window.end) + timedelta(days=2)).isoformat()
        watched_run = self.world.run_dispatch(
            MONITOR, {"now": now}, permissions=MONITOR_PERMISSIONS, configuration={"FETCH_LOG": fetch}, timeout=PATIENCE
        )
        seen, decision = _kept_records(self._kept(watched_run))
        self.console.line(f"      monitor: {seen.status}, {seen.summary}")
        self.console.line(f"      retrain: {decision.summary}")
        for issue in self.world.github.issues():
            self.console.line(f"      issue #{issue.number}, {issue.state}: {issue.title}")
        came = blocked = ""
        if decision.dispatched and not is_last:
            came, blocked = self._released()
            self.console.line(f"      {came or blocked}")
        return Month(window, trained_at, answers, once, decision, came, blocked)

    def _released(self) -> tuple[str, str]:
        """Run the release that was dispatched: what came of it, or why nothing did."""
        self.console.title("The release that was dispatched")
        before = self._live()
        run = self._kept(self.world.run_dispatched(RELEASE, secrets=self.world.deploy_secrets, timeout=PATIENCE))
        after = self._live()
        if run.succeeded and after > before:
            self._keep_tables(after)
            return f"v{after} is live", ""
        (check,) = (check for check in self.world.check_runs(run.head_sha) if check.name == CHECK)
        if run.succeeded or check.conclusion != "failure" or run.jobs["train"].conclusion != "success":
            raise YearError(f"the release neither went live nor was blocked; see {OUTPUT / f'run-{run.id}.log'}")
        return "", f"blocked: {(check.title or CHECK).removeprefix(f'{MODEL}: ')}"

    def _keep_tables(self, version: int) -> None:
        """Commit the tables that the live version has learnt from, as a team does: what drifts is told against these."""
        work, environment = self.world.repository.work, _environment(self.world)
        for words in (["pull", "data/flights.parquet.dvc"], ["repro", "prepare"], ["push", "prepare"]):
            command = [sys.executable, "-m", "dvc", *words, "--quiet"]
            subprocess.run(command, cwd=work, env=environment, stdout=sys.stderr, check=True)
        self.world.push({}, f"Name the tables of v{version} [skip ci]")

    def _kept(self, run: Run) -> Run:
        """Keep the run's log."""
        (OUTPUT / f"run-{run.id}.log").write_text(run.log, encoding="utf-8")
        return run

    def _live(self) -> int:
        """The version that the bucket says serves production; its model is kept."""
        root = self.world.bucket / "production"
        pointer = json.loads((root / "current.json").read_bytes())
        version = int(pointer["version"])
        if version not in self._models:
            self._models[version] = self.folder / f"model-{version}"
            shutil.copytree(root / pointer["path"], self._models[version])
        return version

    def _serve(self, window: Window, version: int) -> Path:
        """Answer a month's flights, and log what a service knows of them; the truth follows six hours later."""
        answers = self._answers(window, version)
        flights = self._flights(window).merge(pd.read_parquet(answers)[["flight_id", "prediction", "score"]], on="flight_id")
        at = flights["scheduled_at"].map(self._ahead)
        logged = flights.drop(columns=["scheduled_at", "late"]).assign(**{"predicted-at": at, "model": MODEL, "version": version})
        became = flights[["flight_id", "late"]].assign(**{"known-at": at + timedelta(hours=6)})
        for name, rows in (("log", logged), ("truth", became)):
            rows.to_parquet(self.folder / name / f"{window.start:%Y-%m}.parquet", index=False)
        return answers

    def _answers(self, window: Window, version: int) -> Path:
        """What a version says of a month's flights, beside the truth."""
        flights, answers = (self.folder / "answers" / f"{window.start:%Y-%m}-{what}.parquet" for what in ("flights", f"v{version}"))
        if not answers.exists():
            self._flights(window).to_parquet(flights, index=False)
            command = ["python", "-c", ANSWER, self._models[version], flights, answers]
            environment = _environment(self.world)
            subprocess.run(list(map(str, command)), cwd=self.world.repository.work, env=environment, check=True)
        return answers

    def _flights(self, window: Window) -> pd.DataFrame:
        at = self.flights["scheduled_at"].dt.tz_localize(UTC)
        found = self.flights[(at >= window.start) & (at < window.end)].drop(columns="month")
        return found.assign(scheduled_at=at[found.index])

    def _ahead(self, at: datetime) -> datetime:
        """A moment of that year, years later. These months have no leap day."""
        return at.replace(year=at.year + self._years)

    @cached_property
    def _years(self) -> int:
        """From the flights' year to the next one, which begins after everything is registered."""
        return datetime.now(UTC).year + 1 - START.year


def _kept_records(run: Run) -> tuple[MonitorRecord, RetrainRecord]:
    """What a run of the workflow `monitor` has seen and decided, as it has kept it."""
    found = [
        read_record(artifact.file, name)
        for name in ("monitor", "retrain")
        for artifact in run.artifacts.values()
        if artifact.name.startswith(f"modelship-{name}-")
    ]
    if run.jobs["retrain"].conclusion != "success" or len(found) != 2:
        raise YearError(f"nothing was decided; see {OUTPUT / f'run-{run.id}.log'}")
    seen, decision = found
    assert isinstance(seen, MonitorRecord)
    assert isinstance(decision, RetrainRecord)
    if seen.status == "error":
        raise YearError(f"the month could not be looked at: {seen.summary}")
    return seen, decision


def watched(text: str) -> str:
    """The template's modelship.yaml for months: a dispatched release is judged against the champion, and no version is too old."""
    config = YAML(typ="safe", pure=True).load(text)
    config["drift"]["columns"] = {"scheduled_at": "ignore"}  # Gone through, and so no feature.
    config["gate"]["baseline"] = "champion"
    config["monitor"] |= WATCHED
    del config["retrain"]["max-age"]
    return json.dumps(config, indent=2)


def moved_ahead(text: str, month: datetime) -> str:
    """params.yaml when `month` is over: it is held out, what came before it is learnt from, the rest is production's."""
    ends = {
        "train": ("2013-01", f"{moved(MONTH, month, -1):%Y-%m}"),
        "holdout": (f"{month:%Y-%m}", f"{month:%Y-%m}"),
        "production": (f"{moved(MONTH, month, 1):%Y-%m}", "2013-12"),
    }
    for part, (first, last) in ends.items():
        text, found = re.subn(rf"(?m)^  {part}: .*$", f'  {part}: ["{first}", "{last}"]', text)
        if found != 1:
            raise ValueError(f"params.yaml names {part} {found} times")
    return text


def _environment(world: World) -> dict[str, str]:
    """The variables of a developer's shell: `python` is the team's, and nothing of this process's Python is known."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**inherited, "PATH": os.pathsep.join([str(world.team_python.parent), inherited.get("PATH", os.defpath)])}


# What came of it ------------------------------------------------------------------------------------------------------------------


def summarised(loaded: LoadedConfig, months: Sequence[Month]) -> BacktestRecord:
    """Both ways through the months as a backtest records them."""
    allowed, layout = losses(loaded), Layout(key=str(loaded.config.data.key))
    first = months[0].trained_at
    once, rules = [], []
    for month in months:
        ours, theirs = PredictionsFile(month.answers, "what was live"), PredictionsFile(month.once, "the first version")
        alone = read_single(theirs, layout, "classification")
        once.append(Answered(month.window, len(alone), first, alone, {}))
        both = read_pair(ours, theirs, layout, "classification")
        rules.append(Answered(month.window, len(both), month.trained_at, both, compared(both, allowed)))
    steps = [
        BacktestStep(at=month.window.end, retrain=month.decision.retrain, told=month.told, failed=month.blocked)
        for month in months[:-1]
    ]
    confidence = loaded.config.gate.confidence
    retrained = told_way("rules", rules, steps, allowed, confidence)
    return BacktestRecord(
        model=loaded.config.model,
        status="pass",
        summary=concluded(retrained, METRIC),
        batch=loaded.config.monitor.batch,
        command=f"the workflow {loaded.config.retrain.workflow}",
        confidence=confidence,
        better={name: measure.better for name, measure in allowed.measures.items()},
        ways=(told_way("once", once, (), allowed, confidence), retrained),
    )


def reasons(decision: RetrainRecord) -> str:
    """Why to train again, or why not, and what holds it back."""
    fires = any(trigger.fires for trigger in decision.triggers)
    told = [f"{one.trigger}: {one.told}" for one in decision.triggers if one.fires == fires]
    return "; ".join([*told, *filter(None, [decision.held_back])])


def by_backtest(world: World, flights: pd.DataFrame) -> BacktestRecord:
    """The year as `modelship backtest` walks through it, in a clone of what v1 was trained from."""
    folder = world.folder / "backtest"
    git(world.folder, "clone", "--quiet", world.repository.bare.as_uri(), str(folder))
    git(folder, "switch", "--quiet", "--detach", f"{git(folder, 'rev-list', '--max-parents=0', 'HEAD')}")
    path = folder / "modelship.yaml"
    config = json.loads(watched(path.read_text(encoding="utf-8")))
    # At the very end of a month, when it decides, a delay would make it one month late.
    del config["monitor"]["label-delay"]
    config["drift"]["columns"] = {"month": "ignore"}
    config["backtest"] = {"history": "data/flights.parquet", "time": "scheduled_at", "run": "python -m flight_delay.train"}
    path.write_text(json.dumps(config), encoding="utf-8")
    flights.to_parquet(folder / "data" / "flights.parquet", index=False)
    git(folder, "commit", "--quiet", "--all", "--message", "Walk through months")
    modelship = [sys.executable, "-I", str(CHECKOUT / "scripts" / "modelship"), "backtest"]
    options = ["--since", f"{START:%Y-%m-%d}", "--cache", str(OUTPUT / "backtest")]
    subprocess.run([*modelship, *options], cwd=folder, env=_environment(world), stdout=sys.stderr, check=True)
    record = read_record(folder / ".modelship" / "backtest.json", "backtest")
    assert isinstance(record, BacktestRecord)
    return record


def table(record: BacktestRecord, last: str = "here the data ends") -> Iterator[str]:
    """Each month as a row in Markdown: how good each way was in it, and what was decided when it was over; `last` of the last one."""
    ways = {way.way: way for way in record.ways}
    steps = {step.at: step for step in ways["rules"].steps}
    yield "| month | trained once | retrained when asked | decided at its end |"
    yield "|---|--:|--:|---|"
    for number, batch in enumerate(ways["once"].batches):
        values = [_value(way, number) for way in (ways["once"], ways["rules"])]
        yield f"| {batch.start:%B} | {' | '.join(values)} | {_step(batch, steps, last)} |"


def _value(way: BacktestWay, number: int) -> str:
    (found,) = (value for value in way.batches[number].measured if value.metric == METRIC)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _step(batch: BacktestBatch, steps: dict[datetime, BacktestStep], last: str) -> str:
    step = steps.get(batch.end)
    return _decided(step.retrain, "; ".join(filter(None, (step.told, step.failed)))) if step else last


def _decided(retrain: bool, told: str) -> str:
    return f"{'**train again**' if retrain else 'stay'}: {told}"


if __name__ == "__main__":
    sys.exit(main())
