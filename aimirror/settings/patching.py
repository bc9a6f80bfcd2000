"""Taking back a change of a text when the text has been changed further since."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from attrs import frozen


class Conflict(ValueError):
    """What was changed then has been changed again: only its owner can say what is right."""


@frozen
class _Change:
    """Lines [start, stop) of the base become ``lines``."""

    start: int
    stop: int
    lines: tuple[str, ...]


def merged(base: str, one: str, other: str) -> str:
    """The base with the changes of both texts; raises Conflict where they touch each other."""
    old = base.splitlines(keepends=True)
    changes = sorted(
        [*_changes(old, one), *_changes(old, other)], key=lambda c: (c.start, c.stop, c.lines)
    )
    lines: list[str] = []
    at, last = 0, None
    for change in changes:
        if change == last:
            continue
        if last is not None and change.start < last.stop:
            raise Conflict("it was changed at the same place since")
        lines += [*old[at : change.start], *change.lines]
        at, last = change.stop, change
    return "".join([*lines, *old[at:]])


def taken_back(before: str, after: str, now: str) -> str:
    """``now`` without what turned ``before`` into ``after``; raises Conflict."""
    return before if now == after else merged(after, before, now)


def _changes(old: list[str], text: str) -> Iterator[_Change]:
    new = text.splitlines(keepends=True)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, start, stop, begin, end in matcher.get_opcodes():
        if tag != "equal":
            yield _Change(start, stop, tuple(new[begin:end]))
