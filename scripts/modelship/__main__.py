"""Run the CLI: `python -m modelship`, or `python path/to/scripts/modelship` without installing anything."""

import sys
from pathlib import Path

if not __package__:
    # Started as a folder: Python then puts this folder itself first on the path, where our `github/` would hide PyGithub's.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from modelship.cli import main

main()
