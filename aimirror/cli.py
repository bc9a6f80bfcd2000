"""The ``aimirror`` command line: the service, and what goes with it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aimirror import __version__
from aimirror.commands import (
    balance,
    ca,
    check,
    clean_old,
    doctor,
    prefetch,
    serve,
    setup,
    stored,
    tier,
    watch,
)
from aimirror.commands.common import Complaint, complain
from aimirror.config import ConfigError

#: Each with ``add(commands)``, in the order of the help text.
COMMANDS = (check, setup, doctor, watch, stored, prefetch, ca, balance, tier, clean_old)


def main(arguments: Sequence[str] | None = None, config: Path | None = None) -> int:
    """Run a command line; the exit status.

    ``config`` is the file to read when the command line names none, and it is there.
    """
    parser = _parser()
    if config is not None and config.is_file():
        parser.set_defaults(config=str(config))
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
    except (ConfigError, Complaint) as error:
        return complain(str(error))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aimirror",
        description="A download mirror for package indexes, registries and any HTTP source.",
    )
    parser.add_argument("--version", action="version", version=f"aimirror {__version__}")
    serve.add(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
