"""Settings that tell a package client to use a mirror: a file, its text, and how both are merged.

Which settings there are is written in the file of each world.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from attrs import frozen


@frozen
class Setting:
    """One client's configuration; ``path`` is the file that holds it, "" for a command to run.

    A ``~`` stands for the user's home.  ``merges`` turns the file's text of before (None: there is
    none) into the new one; it raises ValueError where the file is not understood.
    """

    path: str
    text: str
    merges: Callable[[str | None], str]
    note: str = ""


def whole(text: str) -> Callable[[str | None], str]:
    """For a file of its own."""
    return lambda before: text


def lines(text: str, replaced: tuple[str, ...]) -> Callable[[str | None], str]:
    """Lines with the same key give way to the new ones."""

    def merge(before: str | None) -> str:
        kept = [x for x in (before or "").splitlines() if not x.lstrip().startswith(replaced)]
        return "\n".join([*kept, *text.splitlines()]) + "\n"

    return merge


def section(name: str, text: str, replaced: tuple[str, ...]) -> Callable[[str | None], str]:
    """The keys go into a section of an INI file or TOML file, in place of those of before."""

    def merge(before: str | None) -> str:
        lines = (before or "").splitlines()
        header = f"[{name}]"
        if header not in (line.strip() for line in lines):
            lines += ["", header] if lines else [header]
        start = next(i for i, line in enumerate(lines) if line.strip() == header) + 1
        stop = next(
            (i for i in range(start, len(lines)) if lines[i].lstrip().startswith("[")), len(lines)
        )
        kept = [line for line in lines[start:stop] if not line.lstrip().startswith(replaced)]
        return "\n".join([*lines[:start], *text.splitlines(), *kept, *lines[stop:]]) + "\n"

    return merge


def json_object(values: Mapping[str, object]) -> Callable[[str | None], str]:
    """The members go into the object that a file holds."""

    def merge(before: str | None) -> str:
        found = json.loads(before) if before and before.strip() else {}
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        return json.dumps({**found, **values}, indent=2) + "\n"

    return merge


def absent(text: str) -> Callable[[str | None], str]:
    """For formats in which only a new file can be written safely."""

    def merge(before: str | None) -> str:
        if before is not None and before.strip() and before != text:
            raise ValueError("it holds something already; add the text above by hand")
        return text

    return merge


def host(url: str) -> str:
    """The host and port of a mirror's URL."""
    return url.partition("://")[2]


def plain(url: str) -> bool:
    """Whether clients must be told to do without TLS; with it, they must go on verifying it."""
    return not url.startswith("https:")


def exported(**values: str) -> Setting:
    """Variables of the environment."""
    text = "".join(f"export {name}={value}\n" for name, value in values.items())
    replaced = tuple(f"export {name}=" for name in values)
    return Setting("~/.profile", text, lines(text, replaced), "then log in again")


def appended(before: str | None, text: str) -> str:
    """A file of before with a text behind it, if it is not there."""
    before = before or ""
    return before if text in before else before + ("\n" if before else "") + text
