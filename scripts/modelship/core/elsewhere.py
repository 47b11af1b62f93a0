"""Ask a process of another capability's environment, so that no environment needs everything.

The question goes by standard input: it may hold what is secret, and a command line is for everybody to see.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from modelship.core.environments import interpreter
from modelship.core.errors import BadInput, InfrastructureError, ModelshipError, Problem, infrastructure


class Answer(msgspec.Struct, frozen=True):
    """What was asked for, or the problems that it raised."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problems: tuple[Problem, ...] = ()
    is_bad_input: bool = False


def ask(
    capability: str, folder: Path, question: Any, kind: Any, *, who: str, minutes: int, variables: Mapping[str, str] | None = None
) -> Any:
    """The answer, of type `kind`, of the package in `folder` (its `__main__.py` calls `answer`); `who` is what messages call it.

    Raises what the other process raised, and InfrastructureError when it gives no answer in time.
    """
    command = [interpreter(capability), "-I", str(folder)]
    environment = {**os.environ, **(variables or {})}
    try:
        result = subprocess.run(
            command, input=msgspec.json.encode(question), env=environment, capture_output=True, timeout=60 * minutes, check=False
        )
        found = msgspec.json.decode(result.stdout, type=Answer)
    except subprocess.TimeoutExpired:
        raise infrastructure(f"{who} gave no answer within {minutes} minutes.") from None
    except msgspec.DecodeError:
        said = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
        raise infrastructure(f"{who} ended with status {result.returncode}: {said[0][:300]}.") from None
    if found.problems:
        raise (BadInput if found.is_bad_input else InfrastructureError)(*found.problems)
    return msgspec.json.decode(found.value, type=kind)


def answer(kind: Any, reply: Callable[[Any], Any]) -> None:
    """Reply to the question, of type `kind`, on standard input, whatever libraries print meanwhile."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    try:
        found = Answer(msgspec.Raw(msgspec.json.encode(reply(question))))
    except ModelshipError as error:
        found = Answer(problems=error.problems, is_bad_input=isinstance(error, BadInput))
    with answers:
        answers.write(msgspec.json.encode(found))
