"""Fetch what a database answers. For Modelship itself only: `sql.py` starts it where the drivers are."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path.
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from modelship.core.elsewhere import answer
from modelship.data.tables.sql import Query, fetch

if __name__ == "__main__":
    answer(Query, fetch)
