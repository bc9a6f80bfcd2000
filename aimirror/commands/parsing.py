"""The parser of command lines, which guesses what was meant when it does not know a word."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """Tells the likeliest word for one that there is not."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            words = [str(each) for each in action.choices]
            guess = guessed(str(value), words)
            hint = f"did you mean {guess}? " if guess else ""
            message = f"invalid choice: {value!r} ({hint}choose from {', '.join(words)})"
            raise argparse.ArgumentError(action, message)

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        if message.startswith(_UNKNOWN):
            word = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            guess = guessed(word, options(self))
            message += f" (did you mean {guess}?)" if guess else ""
        super().error(message)


def guessed(word: str, words: Iterable[str]) -> str:
    """The likeliest of some words, "" when none is like it."""
    return next(iter(difflib.get_close_matches(word, [*words], n=1)), "")


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, or the actions of a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def helps(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each command is for."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return {each.dest: each.help or "" for each in action._choices_actions}
    return {}


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options and operands of a parser, its commands left out."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            yield action


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The options of a parser and of its commands."""
    for action in arguments(parser):
        yield from action.option_strings
    for other in subparsers(parser).values():
        yield from options(other)
