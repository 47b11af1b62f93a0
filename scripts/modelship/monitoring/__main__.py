"""Answer one of `questions.py`: read it from standard input, write the answer to standard output. For Modelship itself only."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from typing import Any

from modelship.core.elsewhere import answer
from modelship.monitoring.questions import Ask, Begin, End, Live, Quality, Question, Recall, Remember, Shift


def reply(question: Question) -> Any:
    """What is asked for; libraries are imported as they are needed."""
    match question:
        case Quality():
            from modelship.monitoring.quality import check

            return check(question)
        case Shift():
            from modelship.monitoring.shift import compare

            return compare(question)
        case Live():
            from modelship.monitoring.kept import find_live

            return find_live(question)
        case Remember():
            from modelship.monitoring.kept import remember

            return remember(question)
        case Recall():
            from modelship.monitoring.kept import recall

            return recall(question)
        case Ask():
            from modelship.monitoring.kept import keep_asked

            return keep_asked(question)
        case Begin():
            from modelship.monitoring.kept import begin

            return begin(question)
        case End():
            from modelship.monitoring.kept import end

            return end(question)


if __name__ == "__main__":
    answer(Question, reply)
