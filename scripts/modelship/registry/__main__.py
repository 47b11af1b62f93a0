"""Answer one question of `lookup.py`: read it from standard input, write the answer to standard output. For Modelship itself only."""

import os
import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import msgspec

from modelship.core.errors import BadInput, ModelshipError
from modelship.registry.lookup import Answer, Lookup, Question
from modelship.registry.runs import Runs


def main() -> None:
    """Answer, whatever MLflow prints meanwhile."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    if question.method.startswith("_") or not hasattr(Lookup, question.method):
        raise SystemExit(f"`{question.method}` is no question.")
    try:
        value = getattr(Runs(question.tracking_uri), question.method)(*question.arguments)
        answer = Answer(msgspec.Raw(msgspec.json.encode(value)))
    except ModelshipError as error:
        answer = Answer(problems=error.problems, is_bad_input=isinstance(error, BadInput))
    with answers:
        answers.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
