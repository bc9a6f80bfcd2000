"""The ``aimirror`` command line: the service, and what goes with it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from aimirror import __version__
from aimirror.commands.common import Commands, Complaint, add_common, complain
from aimirror.commands.parsing import Parser

#: Each command: its module in ``aimirror.commands`` and what it is for, in the order of the help.
#: A module has ``add(commands)``, and is imported for a line alone on which its command stands.
COMMANDS = {
    "check": ("check", "say whether a configuration file is right"),
    "setup": ("setup", "configure a package client for this mirror; without a name, list them"),
    "doctor": ("doctor", "find out what is wrong, and say what helps"),
    "status": ("watch", "say how the service is"),
    "top": ("watch", "watch downloads as they run (q ends it)"),
    "ls": ("stored", "list what is stored"),
    "purge": ("stored", "drop what is stored"),
    "pin": ("stored", "keep from eviction"),
    "verify": ("stored", "hash every stored file again and drop what is damaged"),
    "prefetch": ("prefetch", "fetch files before somebody asks"),
    "reload": ("prefetch", "have the service read its configuration anew"),
    "drain": ("drain", "have balancers leave this node out, and wait until it answers nothing"),
    "jobs": ("jobs", "list what the service works on, or cancel it"),
    "ca": ("ca", "the local authority for intercepting HTTPS"),
    "balance": ("balance", "print a load balancer's configuration, made from the rules"),
    "tier": ("tier", "the store behind the caches of all nodes"),
    "clean-old": ("clean_old", "remove what version 0.3 left in the cache folder"),
    "config": ("shipped", "print the built-in configuration, with remarks"),
    "systemd": ("shipped", "print the systemd units, or install them"),
    "completion": ("completion", "print what a shell needs to complete commands"),
    "manual": ("manual", "print the manual page: aimirror manual | man -l -"),
}
#: Those that tell of all others.
_OF_ALL = {"completion", "manual"}

#: Exit statuses as shells tell them of SIGINT and SIGPIPE.
_INTERRUPTED = 130
_UNREAD = 141


def main(arguments: Sequence[str] | None = None, config: Path | None = None) -> int:
    """Run a command line; the exit status.

    ``config`` is the file to read when the command line names none, and it is there.
    """
    words = sys.argv[1:] if arguments is None else [*arguments]
    parser = _parser(words)
    if config is not None and config.is_file():
        parser.set_defaults(config=str(config))
    given = parser.parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # names of files may be anything
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # noqa: T201  # behind the ^C
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough; nor will it take what is buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD
    except _mistakes() as error:
        return complain(str(error))
    return status


def _mistakes() -> tuple[type[Exception], ...]:
    """What is said in one line; asked for once something went wrong, for it takes long to load."""
    from aimirror.config import ConfigError

    return ConfigError, Complaint


def _serve(given: argparse.Namespace) -> int:
    from aimirror.commands import serve

    return serve.run(given)


def _parser(words: Iterable[str]) -> argparse.ArgumentParser:
    """The parser of a command line: of its commands whole, of all others the names."""
    parser: argparse.ArgumentParser = Parser(
        prog="aimirror",
        description="A download mirror for package indexes, registries and any HTTP source.",
    )
    parser.add_argument("--version", action="version", version=f"aimirror {__version__}")
    add_common(parser, first=True)
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", "-p", type=int, help="port to listen on (0: any free one)")
    parser.set_defaults(run=_serve)
    commands = Commands(parser, {name: what for name, (_, what) in COMMANDS.items()})
    needed = {COMMANDS[word][0] for word in words if word in COMMANDS}
    for module in dict.fromkeys(module for module, _ in COMMANDS.values()):
        if module in needed or needed & _OF_ALL:
            import_module(f"aimirror.commands.{module}").add(commands)
        else:
            for name in (name for name, (owner, _) in COMMANDS.items() if owner == module):
                commands.add_parser(name)
    return parser
