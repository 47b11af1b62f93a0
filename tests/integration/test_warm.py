"""A command that is forked from a warm Python does what one does that is started for itself."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.project import Project, Ran
from tests.warm import WarmPython


def timeless(ran: Ran) -> Ran:
    """The same without the seconds that it took, and the digests of the record that holds them."""
    outputs = {name: value for name, value in ran.outputs.items() if not name.endswith("-digest")}
    return replace(ran, log=re.sub(r"\d+\.\d s", "", ran.log), outputs=outputs)


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("--version",), 0),
        (("metric-gate", "--candidate", "metrics.json"), 0),
        (("metric-gate", "--candidate", "worse.json"), 1),
        (("metric-gate", "--candidate", "absent.json"), 2),
        (("comment", "--json"), 2),
        (("dvc-pull",), 2),
        (("evaluate",), 2),
        (("validate",), 2),
        (("schema",), 0),
        (("init", "--dry-run"), 2),
        (("no-such-command",), 2),
    ],
    ids=lambda value: "-".join(value).replace("--", "") if isinstance(value, tuple) else "",
)
def test_forked_and_started_commands_end_alike(project: Project, arguments: tuple[str, ...], exit_code: int) -> None:
    project.write("worse.json", '{"roc_auc": 0.6, "log_loss": 0.6}')
    forked, started = project.run(*arguments), project.start(*arguments)
    assert timeless(forked) == timeless(started)
    assert forked.exit_code == exit_code


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit('why')",
        "raise SystemExit(7)",
        "raise SystemExit",
        "import os; os.kill(os.getpid(), 15)",
        "import sys; print(sys.argv[1:], end=''); print('more', file=sys.stderr)",
        "import atexit, threading; atexit.register(print, 'last'); threading.Timer(0.1, print, ['later']).start()",
        "import os; print(dict(os.environ), os.getcwd(), os.isatty(0))",
    ],
)
def test_a_program_ends_as_it_would_if_it_were_started(tmp_path: Path, code: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(code)
    log, variables = tmp_path / "log", {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    started = subprocess.run(
        [sys.executable, "-I", program, "a", "b"], cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip

    exit_code = WarmPython(program, (), None).run(("a", "b"), tmp_path, variables, log)

    assert (exit_code, log.read_text()) == (started.returncode, started.stdout)


def test_what_takes_too_long_fails_alone(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys, time; time.sleep(float(sys.argv[1]))")
    python = WarmPython(program, (), None)
    with pytest.raises(TimeoutError, match="took more than 1 s"):
        python.run(("600",), tmp_path, {}, tmp_path / "log", timeout=1)
    assert python.run(("0",), tmp_path, {}, tmp_path / "log") == 0
