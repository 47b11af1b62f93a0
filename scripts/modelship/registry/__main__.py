"""Answer one question of `lookup.py`: read it from standard input, write the answer to standard output. For Modelship itself only."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from typing import Any

from modelship.core.elsewhere import answer
from modelship.registry.lookup import Lookup, Question
from modelship.registry.runs import Runs


def reply(question: Question) -> Any:
    """What the method returns."""
    if question.method.startswith("_") or not hasattr(Lookup, question.method):
        raise SystemExit(f"`{question.method}` is no question.")
    return getattr(Runs(question.tracking_uri), question.method)(*question.arguments)


if __name__ == "__main__":
    answer(Question, reply)
