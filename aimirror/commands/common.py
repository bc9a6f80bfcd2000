"""What the sub-commands share."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


class Complaint(Exception):
    """Something the user should know and can act on, in one line."""


def complain(message: str) -> int:
    """Tell what is wrong; the exit status."""
    print(f"aimirror: {message}", file=sys.stderr)
    return 1


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that say which service is meant."""
    parser.add_argument("--config", "-c", metavar="FILE", help="configuration file")
    parser.add_argument("--cache-dir", metavar="DIR", help="cache folder")
