"""INI files as Python's configparser reads them, pip's among them; edited line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from configparser import Error, RawConfigParser

from attrs import frozen

from aimirror.settings.merging import Merge

_HEADER = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<key>.*?)\s*(?:[=:]\s*(?P<value>.*))?$")


def same(key: str) -> str:
    """A key as most programs compare it."""
    return key.strip().lower()


@frozen
class Option:
    """An option: its section and key, and its lines, continued ones included, as [start, stop)."""

    section: str
    key: str
    start: int
    stop: int


def section(
    name: str,
    values: Mapping[str, str],
    *,
    lists: Mapping[str, str] | None = None,
    key: Callable[[str], str] = same,
) -> Merge:
    """Set ``values`` in a section, and have each of ``lists`` among the words of its option.

    ``key`` says how option names are compared.
    """
    wanted, members = dict(values), dict(lists or {})

    def merge(before: str | None) -> str:
        old = _values(before or "", key)
        lines = (before or "").splitlines()
        for option, value in wanted.items():
            if old.get(name, {}).get(key(option)) != value:
                _set(lines, name, option, [f"{option} = {value}"], key)
        for option, member in members.items():
            has = old.get(name, {}).get(key(option), "").split()
            if member not in has:
                _add(lines, name, option, member, key)
        after = "".join(f"{line}\n" for line in lines)
        _prove(old, _values(after, key), name, wanted, members, key)
        return before if before is not None and lines == before.splitlines() else after

    return merge


def options(lines: list[str], key: Callable[[str], str] = same) -> Iterator[Option]:
    """The options of a file, in order."""
    name, option, indent = "", None, 0
    for number, line in enumerate(lines):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        depth = len(line) - len(line.lstrip())
        if option is not None and depth > indent:
            option = Option(option.section, option.key, option.start, number + 1)
            continue
        if option is not None:
            yield option
            option = None
        header = _HEADER.match(text)
        if header is not None:
            name = header["name"]
            continue
        match = _OPTION.match(text)
        assert match is not None  # it takes any text
        option, indent = Option(name, key(match["key"]), number, number + 1), depth
    if option is not None:
        yield option


def headers(lines: list[str]) -> dict[str, int]:
    """The line of each section's header."""
    inside = {n for each in options(lines) for n in range(each.start, each.stop)}
    numbers: dict[str, int] = {}
    for number, line in enumerate(lines):
        match = _HEADER.match(line.strip())
        if match is not None and number not in inside:
            numbers.setdefault(match["name"], number)
    return numbers


def _set(
    lines: list[str], name: str, option: str, new: list[str], key: Callable[[str], str]
) -> None:
    """Put an option's lines in place of those of before, else at the head of the section."""
    for each in options(lines, key):
        if (each.section, each.key) == (name, key(option)):
            lines[each.start : each.stop] = new
            return
    if name not in headers(lines):
        lines += ["", f"[{name}]"] if lines else [f"[{name}]"]
    at = headers(lines)[name] + 1
    own = [each for each in options(lines, key) if each.section == name]
    at = own[-1].stop if own else at
    lines[at:at] = new


def _add(lines: list[str], name: str, option: str, member: str, key: Callable[[str], str]) -> None:
    for each in options(lines, key):
        if (each.section, each.key) == (name, key(option)):
            first = lines[each.start]
            depth = len(first) - len(first.lstrip()) + 4
            lines[each.stop : each.stop] = [f"{' ' * depth}{member}"]
            return
    _set(lines, name, option, [f"{option} = {member}"], key)


def _values(text: str, key: Callable[[str], str]) -> dict[str, dict[str, str]]:
    parser = RawConfigParser()
    parser.optionxform = key  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except Error as error:
        raise ValueError(f"it is no INI file: {str(error).splitlines()[0]}") from None
    sections = {name: dict(parser.items(name)) for name in parser.sections()}
    return sections | ({"DEFAULT": dict(parser.defaults())} if parser.defaults() else {})


def _prove(
    old: dict[str, dict[str, str]],
    new: dict[str, dict[str, str]],
    name: str,
    values: dict[str, str],
    lists: dict[str, str],
    key: Callable[[str], str],
) -> None:
    """Nothing but what was meant has changed; else ValueError."""
    ours = {key(each): value for each, value in values.items()}
    members = {key(each): member for each, member in lists.items()}
    wanted = {**old, name: {**old.get(name, {}), **ours}}
    rest = {**new, name: {k: v for k, v in new.get(name, {}).items() if k not in members}}
    meant = {**wanted, name: {k: v for k, v in wanted[name].items() if k not in members}}
    grown = all(
        new[name].get(k, "").split() == [*_without(old, name, k, m), m] for k, m in members.items()
    ) or all(m in new[name].get(k, "").split() for k, m in members.items())
    if rest != meant or not grown:
        raise ValueError("it is written in a way that is not understood")


def _without(old: dict[str, dict[str, str]], name: str, key: str, member: str) -> list[str]:
    return [word for word in old.get(name, {}).get(key, "").split() if word != member]
