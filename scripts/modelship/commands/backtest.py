"""`modelship backtest`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from modelship.commands import frame
from modelship.core import workflow
from modelship.core.environments import need
from modelship.core.errors import ExitCode

PAGE = "backtest.html"


@click.command("backtest")
@frame.config_option
@frame.model_option
@click.option("--history", help="The table of all rows whose truth is known (key `backtest.history`).")
@click.option("--time", help="Its column that says when a row was to be predicted (key `backtest.time`).")
@click.option("--run", "run_", envvar="MODELSHIP_BACKTEST_RUN", metavar="COMMAND", help="What trains (key `backtest.run`).")
@click.option("--batch", help="How long one batch is, as `7d` or `month` (key `monitor.batch`).")
@click.option("--label-delay", help="How long truth usually takes, as `14d` (key `monitor.label-delay`).")
@click.option("--every-batch", type=bool, help="Whether to train after every batch as well, to compare (key `backtest.every-batch`).")
@click.option("--since", help="When the first version is trained (ISO 8601, UTC); after the first half of the history without it.")
@click.option("--until", help="Where the history ends, itself not part of it.")
@click.option("--cache", help="Where trained models and answers are kept; beside Modelship's environments without it.")
def command(config: Path, model: str | None, run_: str | None, **given: Any) -> NoReturn:
    """Walk through the past: would retraining have helped?

    Trains with the team's own command, at each moment at which `retrain` would have asked for it, on what was known then, and compares
    what came of it with a version that was trained once. Exits with 2 where training failed on the way; what was done is kept, so that
    the next run goes on from there.
    """
    keys = {"history": "backtest.history", "time": "backtest.time", "batch": "monitor.batch", "label_delay": "monitor.label-delay"}
    keys |= {"every_batch": "backtest.every-batch"}
    overrides = {key: given.pop(name) for name, key in keys.items()}
    overrides |= {"model": model, "backtest.run": run_}
    frame.run("backtest", config, overrides, lambda space: _walk(space, **given))


def _walk(space: frame.Workspace, since: str | None, until: str | None, cache: str | None) -> frame.Result:
    loaded = space.load()
    need("gate")
    from modelship.monitoring.backtest import Asked, backtest, cache_folder
    from modelship.reporting.html import render_page
    from modelship.reporting.report import Facts, build_report
    from modelship.reporting.terminal import render_record

    asked = Asked(since, until, cache_folder(cache))
    record = backtest(loaded, space.git, asked, space.config_path, space.overrides, dict(os.environ), datetime.now(UTC))
    page = render_page(build_report(record.model, {"backtest": record}, Facts(head=space.git.head())))
    space.run_directory.keep(page.encode(), PAGE)
    record = msgspec.structs.replace(record, page=f"files/{PAGE}")
    if not workflow.in_workflow():
        workflow.say(render_record(record))
    trained = next((way for way in record.ways if way.way == "rules"), None)
    outputs = {
        "retrains": str(sum(step.retrain and not step.failed for step in trained.steps)) if trained else "",
        "page": str(space.run_directory.path / record.page),
    }
    return frame.Result(record, ExitCode.BAD_INPUT if record.problems else ExitCode.PASS, outputs)
