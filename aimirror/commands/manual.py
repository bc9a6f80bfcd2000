"""``aimirror manual``: the manual page, made of the parser.  The package has it as a file, too."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from aimirror.commands.common import Commands
from aimirror.commands.parsing import arguments, helps, subparsers


def add(commands: Commands) -> None:
    """The parser of this command."""
    own = commands.add_parser("manual")
    own.set_defaults(run=lambda given: run(commands.line))


def run(parser: argparse.ArgumentParser) -> int:
    """Print the page."""
    print(page(parser), end="")
    return 0


def page(parser: argparse.ArgumentParser) -> str:
    """The text of aimirror(1), as man(7) reads it."""
    return "\n".join(_lines(parser)) + "\n"


def _lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield '.TH AIMIRROR 1 "" "" "User Commands"'
    yield ".SH NAME"
    yield "aimirror \\- a download mirror for package indexes, registries and any HTTP source"
    yield ".SH SYNOPSIS"
    yield ".B aimirror"
    yield "[\\fIOPTION\\fR]...  [\\fICOMMAND\\fR ...]"
    yield ".SH DESCRIPTION"
    yield "Without a command, it serves in the foreground until a signal comes."
    yield ".SH OPTIONS"
    yield from _arguments(parser)
    yield ".SH COMMANDS"
    yield from _commands(parser, "aimirror")
    yield ".SH EXIT STATUS"
    yield "0 when all went well, 1 when something failed or nothing matched, 2 for a command line"
    yield "that is not understood, 3 from status when no service runs, 130 after ctrl\\-c."
    yield ".SH ENVIRONMENT"
    yield from _term("AIMIRROR_URL", "the service that commands speak to")
    yield from _term("AIMIRROR_ADMIN_TOKEN", "the administrators' token")
    yield from _term("AIMIRROR_ADMIN_HOSTS", "networks they come from, separated by commas")
    yield ".SH FILES"
    yield from _term("~/.cache/aimirror", "the cache, unless cache.dir says otherwise")
    yield from _term("/etc/aimirror/config.yaml", "the configuration of the systemd service")
    yield ".SH SIGNALS"
    yield "SIGHUP reads the configuration anew, SIGUSR1 opens the log files anew."


def _commands(parser: argparse.ArgumentParser, line: str) -> Iterator[str]:
    purposes = helps(parser)
    for name, other in subparsers(parser).items():
        operands = " ".join(
            f"\\fI{each.metavar or each.dest.upper()}\\fR"
            for each in arguments(other)
            if not each.option_strings
        )
        yield f".SS {line} {_escaped(name)} {operands}".rstrip()
        yield _escaped(purposes.get(name, "")) or name
        yield from _arguments(other)
        yield from _commands(other, f"{line} {_escaped(name)}")


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in arguments(parser):
        if "--help" in action.option_strings or not action.option_strings:
            continue
        names = ", ".join(f"\\fB{_escaped(each)}\\fR" for each in action.option_strings)
        value = f" \\fI{action.metavar or action.dest.upper()}\\fR" if action.nargs != 0 else ""
        yield ".TP"
        yield f"{names}{value}"
        yield _escaped((action.help or "").replace("%%", "%")) or "\\&"


def _term(name: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f"\\fB{_escaped(name)}\\fR"
    yield _escaped(text)


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
