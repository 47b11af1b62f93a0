"""Sum up tables. For Modelship itself only: `elsewhere.py` starts it where the engine is."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from modelship.core.elsewhere import answer
from modelship.data.engines.elsewhere import Question, reply

if __name__ == "__main__":
    answer(Question, reply)
