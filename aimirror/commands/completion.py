"""``aimirror completion SHELL``: what a shell needs to complete command lines."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator

from attrs import frozen

from aimirror.commands.common import Commands
from aimirror.commands.parsing import arguments, helps, subparsers


@frozen
class Place:
    """What may stand behind some words of a command line, with what each is for."""

    path: tuple[str, ...]
    words: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]


def add(commands: Commands) -> None:
    """The parser of this command."""
    own = commands.add_parser("completion")
    own.add_argument("shell", choices=[*SHELLS], metavar="SHELL", help=", ".join(SHELLS))
    own.set_defaults(run=lambda given: run(given, commands.line))


def run(given: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print a script; its first lines say where it goes."""
    print(SHELLS[given.shell](list(walked(parser))), end="")
    return 0


def walked(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Every place of a command line."""
    commands = subparsers(parser)
    purposes = helps(parser)
    words = [(name, purposes.get(name, "")) for name in commands]
    options = []
    for action in arguments(parser):
        if action.option_strings:
            options += [(name, action.help or "") for name in action.option_strings]
        elif action.choices is not None:
            words += [(str(each), "") for each in action.choices]
    yield Place(path, tuple(words), tuple(options))
    for name, other in commands.items():
        yield from walked(other, (*path, name))


def _bash(places: list[Place]) -> str:
    cases = "".join(
        f"    {_key(place)}) words='{_names(place.words)}'; options='{_names(place.options)}' ;;\n"
        for place in places
    )
    commands = " ".join("/".join(place.path) for place in places if place.path)
    return f"""\
# aimirror completion bash > ~/.local/share/bash-completion/completions/aimirror
_aimirror() {{
  local word at="" words options current="${{COMP_WORDS[COMP_CWORD]}}"
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case " {commands} " in *" ${{at:+$at/}}$word "*) at="${{at:+$at/}}$word" ;; esac
  done
  case "$at" in
{cases}  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}}
complete -o default -o bashdefault -F _aimirror aimirror
"""


def _zsh(places: list[Place]) -> str:
    cases = "".join(
        f"    {_key(place)}) offered=({_described(place.words)}); "
        f"options=({_described(place.options)}) ;;\n"
        for place in places
    )
    commands = " ".join("/".join(place.path) for place in places if place.path)
    return f"""\
#compdef aimirror
# aimirror completion zsh > "${{fpath[1]}}/_aimirror"
_aimirror() {{
  local word at=""
  local -a offered options
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case " {commands} " in *" ${{at:+$at/}}$word "*) at="${{at:+$at/}}$word" ;; esac
  done
  case "$at" in
{cases}  esac
  if [[ "${{words[CURRENT]}}" == -* ]]; then
    _describe option options
  else
    _describe command offered || _files
  fi
}}
_aimirror "$@"
"""


def _fish(places: list[Place]) -> str:
    lines = ["# aimirror completion fish > ~/.config/fish/completions/aimirror.fish"]
    top = next(place for place in places if not place.path)
    names = " ".join(name for name, _ in top.words)
    for place in places:
        seen = [f"__fish_seen_subcommand_from {name}" for name in place.path]
        if not seen:
            seen = [f"not __fish_seen_subcommand_from {names}"]
        inner = [
            name for other in places if other.path[:-1] == place.path for name in other.path[-1:]
        ]
        if place.path and inner:
            seen.append(f"not __fish_seen_subcommand_from {' '.join(inner)}")
        when = "; and ".join(seen)
        for name, purpose in place.words:
            lines.append(f"complete -c aimirror -f -n '{when}' -a {name} -d '{_plain(purpose)}'")
        for name, purpose in place.options:
            kind = "-l" if name.startswith("--") else "-s"
            flag = f"{kind} {name.lstrip('-')}"
            lines.append(f"complete -c aimirror -n '{when}' {flag} -d '{_plain(purpose)}'")
    return "\n".join(lines) + "\n"


SHELLS: dict[str, Callable[[list[Place]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _key(place: Place) -> str:
    return "/".join(place.path) or "''"


def _names(pairs: tuple[tuple[str, str], ...]) -> str:
    return " ".join(name for name, _ in pairs)


def _described(pairs: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"'{name}:{_plain(purpose)}'" for name, purpose in pairs)


def _plain(text: str) -> str:
    """A help text without what shells read; ``%%`` of argparse is one."""
    return re.sub(r"['\"\\`$\[\]:]", "", text.replace("%%", "%"))
