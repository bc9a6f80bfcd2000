"""The ``aimirror`` command line: the service, and what goes with it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aimirror import __version__
from aimirror.commands import (
    balance,
    ca,
    check,
    clean_old,
    completion,
    doctor,
    jobs,
    manual,
    prefetch,
    serve,
    setup,
    shipped,
    stored,
    tier,
    watch,
)
from aimirror.commands.common import Complaint, complain
from aimirror.commands.parsing import Parser
from aimirror.config import ConfigError

if TYPE_CHECKING:
    from aimirror.commands.common import Commands

#: Each with ``add(commands)``, in the order of the help text.
COMMANDS = (
    check,
    setup,
    doctor,
    watch,
    stored,
    prefetch,
    jobs,
    ca,
    balance,
    tier,
    clean_old,
    shipped,
)

#: Exit statuses as shells tell them of SIGINT and SIGPIPE.
_INTERRUPTED = 130
_UNREAD = 141


def main(arguments: Sequence[str] | None = None, config: Path | None = None) -> int:
    """Run a command line; the exit status.

    ``config`` is the file to read when the command line names none, and it is there.
    """
    parser = _parser()
    if config is not None and config.is_file():
        parser.set_defaults(config=str(config))
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names of files may be anything
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except (ConfigError, Complaint) as error:
        return complain(str(error))
    except KeyboardInterrupt:
        print(file=sys.stderr)  # noqa: T201  # behind the ^C
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough; nor will it take what is buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD
    return status


def _parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser: argparse.ArgumentParser = Parser(
        prog="aimirror",
        description="A download mirror for package indexes, registries and any HTTP source.",
    )
    parser.add_argument("--version", action="version", version=f"aimirror {__version__}")
    serve.add(parser)
    commands: Commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    for told in (completion, manual):
        told.add(commands, parser)
    return parser
