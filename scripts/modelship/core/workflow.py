"""Speak to the GitHub runner: outputs, annotations, groups and the job summary. At a terminal the same calls print plainly."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelship.core.errors import Problem

# `::name::` counts at the start of a line, `##[name]` anywhere in it.
_LOOKS_LIKE_A_COMMAND = re.compile(r"((?:^|[\r\n])\s*:|##)(:|\[)")


def in_workflow() -> bool:
    """Whether a GitHub runner (or act) reads what we print."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def say(text: str = "") -> None:
    """Print for the person who reads the log. Whatever stands in the text, the runner takes none of it for a command."""
    print(_LOOKS_LIKE_A_COMMAND.sub(lambda match: f"{match[1]}\N{ZERO WIDTH SPACE}{match[2]}", text), flush=True)


def _command(text: str) -> None:
    print(text, flush=True)


def mask(value: str) -> None:
    """Keep the runner from showing a value in the log from now on; not while commands are stopped, which would show it.

    On standard error, which the runner reads for commands too: what a command prints may be on its way to a file.
    """
    if in_workflow() and value:
        escaped = value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::add-mask::{escaped}", file=sys.stderr, flush=True)


def takes_outputs() -> bool:
    """Whether anybody asks for outputs."""
    return bool(os.environ.get("GITHUB_OUTPUT"))


def set_outputs(outputs: Mapping[str, str]) -> None:
    """Set step outputs. A random delimiter keeps a value with line breaks from forging another output."""
    path = os.environ.get("GITHUB_OUTPUT")
    if not path:
        return
    with Path(path).open("a", encoding="utf-8") as file:
        for name, value in outputs.items():
            delimiter = f"modelship-{os.urandom(16).hex()}"
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")


def read_outputs(path: Path) -> dict[str, str]:
    """The outputs that `set_outputs` wrote to a file."""
    outputs: dict[str, str] = {}
    lines = path.read_bytes().decode().split("\n")
    while lines[:-1]:
        name, _, delimiter = lines.pop(0).partition("<<")
        end = lines.index(delimiter)
        outputs[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return outputs


def add_summary(markdown: str) -> None:
    """Append to the job summary page."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")


def annotate(level: str, problem: Problem, title: str) -> None:
    """Show a problem: as an annotation (`error`, `warning` or `notice`) in a workflow, as a line at a terminal."""
    if in_workflow():
        properties = {"title": title}
        if problem.path:
            properties["file"] = problem.path
        if problem.line:
            properties["line"] = str(problem.line)
        listed = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
        _command(f"::{level} {listed}::{_escape(str(problem))}")
    else:
        print(f"{level}: {title}: {problem}", file=sys.stderr, flush=True)


@contextmanager
def group(title: str) -> Iterator[None]:
    """A collapsible part of the log, closed with the time that it took."""
    started = time.monotonic()
    if in_workflow():
        _command(f"::group::{_escape(title)}")
    else:
        say(f"── {title}")
    try:
        yield
    finally:
        if in_workflow():
            _command("::endgroup::")
        say(f"{title}: {time.monotonic() - started:.1f} s")


@contextmanager
def commands_stopped() -> Iterator[None]:
    """While foreign output is streamed, the runner obeys no `::command::` in it."""
    token = os.urandom(16).hex()
    if in_workflow():
        _command(f"::stop-commands::{token}")
    try:
        yield
    finally:
        if in_workflow():
            _command(f"::{token}::")


def _escape(text: str) -> str:
    return text.replace("##[", "#\N{ZERO WIDTH SPACE}#[").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
