"""Answer the question of `past.py`: read it from standard input, write the answer to standard output. For Modelship itself only."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from modelship.core.elsewhere import answer
from modelship.history.past import Question
from modelship.history.read import read

if __name__ == "__main__":
    answer(Question, read)
