"""``python -m aimirror`` is the ``aimirror`` command."""

import sys

from aimirror.cli import main

if __name__ == "__main__":
    sys.exit(main())
