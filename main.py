"""``python main.py`` in a clone of the repository: the service, with the config.yaml beside it.

It is otherwise what ``aimirror`` from a package is.
"""

import sys
from pathlib import Path

from aimirror.cli import main

sys.exit(main(config=Path(__file__).resolve().parent / "config.yaml"))
