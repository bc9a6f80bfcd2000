"""What the sub-commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping


class Commands:
    """The commands of a ``line``, and what each is for."""

    def __init__(self, line: argparse.ArgumentParser, purposes: Mapping[str, str]) -> None:
        self.line = line
        self._parsers = line.add_subparsers(title="commands", metavar="COMMAND")
        self._purposes = purposes

    def add_parser(self, name: str) -> argparse.ArgumentParser:
        """The parser of a command's own arguments."""
        parser: argparse.ArgumentParser = self._parsers.add_parser(name, help=self._purposes[name])
        return parser


class Complaint(Exception):
    """Something the user should know and can act on, in one line."""


def complain(message: str) -> int:
    """Tell what is wrong; the exit status."""
    print(f"aimirror: {message}", file=sys.stderr)
    return 1


def add_common(parser: argparse.ArgumentParser, *, first: bool = False) -> None:
    """The options that say which service is meant.

    They may stand before the name of a command (``first``) or after it.
    """
    add_config(parser, first=first)
    unset = None if first else argparse.SUPPRESS
    parser.add_argument("--cache-dir", metavar="DIR", default=unset, help="cache folder")


def add_config(parser: argparse.ArgumentParser, *, first: bool = False) -> None:
    """The option that names the configuration file."""
    unset = None if first else argparse.SUPPRESS
    words = ("--config", "-c")
    parser.add_argument(*words, metavar="FILE", default=unset, help="configuration file")
