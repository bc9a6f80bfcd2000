"""Whether a regular expression takes exponential time: Python's re tries every way to match."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

try:  # how a pattern is built is nobody's public business: without it none is looked at
    from re import _constants as c  # type: ignore[attr-defined]
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover
    c = _parser = None

#: Repetitions that are tried, each with twice or more the time of the last if it is exponential;
#: and the seconds of CPU time that tell that it is.
_TRIED = range(8, 30, 2)
_TELLING = 0.02
#: What follows the repetitions, so that there is no match and every way is tried.
_ENDS = ("!", "\x00", "/!")


def explodes(pattern: re.Pattern[str]) -> bool:
    """Whether some short text that repeats what the pattern repeats takes it unduly long."""
    if _parser is None:
        return False
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    return any(_slow(pattern, before, body) for before, body in _loops(list(tree), ""))


def _slow(pattern: re.Pattern[str], before: str, body: str) -> bool:
    for end in _ENDS:
        for count in _TRIED:
            text = before + body * count + end
            began = time.thread_time()
            pattern.search(text)
            if time.thread_time() - began > _TELLING:
                return True
    return False


def _loops(items: list[tuple[Any, Any]], before: str) -> Iterator[tuple[str, str]]:
    """What comes before each unbounded repetition that holds choices, and one round of it."""
    for operation, operands in items:
        for inner in _parts(operation, operands):
            if operation in (c.MAX_REPEAT, c.MIN_REPEAT) and operands[1] is c.MAXREPEAT:
                yield before, _example(inner)
            yield from _loops(inner, before)
        before += _example([(operation, operands)])


def _parts(operation: Any, operands: Any) -> list[list[tuple[Any, Any]]]:
    if operation in (c.MAX_REPEAT, c.MIN_REPEAT):
        return [list(operands[2])]
    if operation is c.SUBPATTERN:
        return [list(operands[3])]
    if operation is c.BRANCH:
        return [list(branch) for branch in operands[1]]
    return []


def _example(items: list[tuple[Any, Any]]) -> str:
    """A short text that these items match, by and large."""
    return "".join(_one(operation, operands) for operation, operands in items)


def _one(operation: Any, operands: Any) -> str:
    if operation is c.LITERAL:
        return chr(operands)
    if operation in (c.MAX_REPEAT, c.MIN_REPEAT):
        rounds: int = max(1, min(operands[0], 8))
        return _example(list(operands[2])) * rounds
    if operation is c.IN:
        return _member(operands)
    if operation in (c.ANY, c.NOT_LITERAL):
        return "a"
    parts = _parts(operation, operands)
    return _example(parts[0]) if parts else ""


def _member(members: list[tuple[Any, Any]]) -> str:
    kind, value = members[0]
    if kind is c.LITERAL:
        return chr(value)
    if kind is c.RANGE:
        return chr(value[0])
    return "0" if value is c.CATEGORY_DIGIT else "a"
