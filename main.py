"""``python main.py`` in a clone of the repository: the service, as ``aimirror`` from a package."""

import sys

from aimirror.cli import main

sys.exit(main())
