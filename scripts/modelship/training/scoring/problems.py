"""What ends a task, said in one line."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any


class RefusedError(Exception):
    """Why there are no answers: what is wrong, and what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


def say(text: str) -> None:
    """A line of the log."""
    print(text, flush=True)


@contextlib.contextmanager
def blamed(what: str) -> Iterator[None]:
    """An error of the team's code is shown with its trace, and ends the task with one line."""
    try:
        yield
    except RefusedError:
        raise
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        reason = " ".join(str(error).split())[:500].rstrip(".")
        raise RefusedError(
            f"{what} raised {type(error).__name__}{': ' + reason if reason else ''}.", "The log has the trace."
        ) from error


def find_function(name: str, key: str) -> Callable[..., Any]:
    """The function `package.module:function`, found as the team's own scripts beside modelship.yaml would find it."""
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            with blamed(f"importing `{module_name}`"):
                raise
        raise RefusedError(
            f"`{key}` is `{name}`: there is no module `{error.name}`.", "It is looked for beside modelship.yaml."
        ) from None
    except Exception:
        with blamed(f"importing `{module_name}`"):
            raise
    function = getattr(module, attribute, None)
    if not callable(function):
        raise RefusedError(f"`{key}` is `{name}`: `{module_name}` has no function `{attribute}`.")
    return function  # type: ignore[no-any-return]
