"""Byte ranges of RFC 9110 section 14: Range and Content-Range as half-open intervals.

Inside the program an interval is ``[start, stop)``; on the wire it is inclusive.  Here is the one
place where the one becomes the other.
"""

from __future__ import annotations

import enum
import re

from attrs import frozen

#: More members than this in one Range are not answered in parts but with the whole (RFC 9110
#: section 17.15): viewers of archives and documents ask for a handful.
MAX_RANGES = 16

#: Decimal digits of a position: as many as 2**64 - 1 has, which some say for the end of a file;
#: longer numbers are abuse.
_POSITION = r"[0-9]{1,20}"
_UNIT = re.compile(r"bytes=(.*)", re.IGNORECASE | re.DOTALL)
_SPEC = re.compile(rf"({_POSITION})-({_POSITION})?|-({_POSITION})")
_CONTENT_RANGE = re.compile(
    rf"bytes (?:({_POSITION})-({_POSITION})/({_POSITION}|\*)|\*/({_POSITION}))", re.IGNORECASE
)

#: First and last position of a member, both inclusive; ``(None, n)`` are the last n bytes.
_Spec = tuple[int | None, int | None]


class Verdict(enum.Enum):
    """What a Range field asks of a representation whose size is known."""

    #: There is no range to heed: answer 200 with everything.
    WHOLE = "whole"
    #: Answer 206 with the spans.
    PARTIAL = "partial"
    #: Answer 416.
    UNSATISFIABLE = "unsatisfiable"


@frozen
class RangeSet:
    """The answer to a Range field; ``spans`` are half-open and filled for PARTIAL only."""

    verdict: Verdict
    spans: tuple[tuple[int, int], ...] = ()
    #: Whether it is one span without an end, as of somebody who has what is before it.
    rest: bool = False


@frozen
class ContentRange:
    """Which bytes ``[start, stop)`` a 206 carries, of ``total`` bytes (None: not told)."""

    start: int
    stop: int
    total: int | None


@frozen
class Unsatisfied:
    """What a 416 tells: the file has ``total`` bytes."""

    total: int


_WHOLE = RangeSet(Verdict.WHOLE)
_UNSATISFIABLE = RangeSet(Verdict.UNSATISFIABLE)


def parse_range(value: str | None, size: int) -> RangeSet:
    """Judge a Range field against a representation of ``size`` bytes (RFC 9110 section 14.2).

    Ranges are clamped to the size, unsatisfiable members dropped, overlapping and adjacent ones
    coalesced at the place of the first of them.  An absent or malformed field, another unit,
    more than MAX_RANGES members, and members that together ask for more bytes than there are,
    mean the whole.
    """
    specs = _specs(value)
    if specs is None:
        return _WHOLE
    if size == 0 and any(first is None and last for first, last in specs):
        return _WHOLE  # "the last n bytes" of nothing exist, but no Content-Range can say so
    spans = [span for spec in specs if (span := _within(spec, size)) is not None]
    if not spans:
        return _UNSATISFIABLE
    if sum(stop - start for start, stop in spans) > size:
        return _WHOLE
    first, last = specs[0]
    rest = len(specs) == 1 and first is not None and last is None
    return RangeSet(Verdict.PARTIAL, tuple(_coalesce(spans)), rest)


def parse_content_range(value: str | None) -> ContentRange | Unsatisfied | None:
    """Read a Content-Range field (RFC 9110 section 14.4), None when it is not a valid one."""
    match = _CONTENT_RANGE.fullmatch(value.strip(" \t")) if value else None
    if match is None:
        return None
    first, last, total, unsatisfied = match.groups()
    if unsatisfied is not None:
        return Unsatisfied(int(unsatisfied))
    start, stop = int(first), int(last) + 1
    size = None if total == "*" else int(total)
    if start >= stop or (size is not None and stop > size):
        return None
    return ContentRange(start, stop, size)


def format_content_range(start: int, stop: int, total: int | None) -> str:
    """The Content-Range of a 206 that carries ``[start, stop)``, which is not empty."""
    return f"bytes {start}-{stop - 1}/{'*' if total is None else total}"


def format_unsatisfied(total: int) -> str:
    """The Content-Range of a 416 (RFC 9110 section 15.5.17)."""
    return f"bytes */{total}"


def format_range(start: int, stop: int | None) -> str:
    """The Range of a request for ``[start, stop)``, to the end with None."""
    return f"bytes={start}-{'' if stop is None else stop - 1}"


def _specs(value: str | None) -> list[_Spec] | None:
    """The members of a Range field in order; None when it is to be ignored."""
    match = _UNIT.fullmatch(value.strip(" \t")) if value else None
    if match is None:
        return None
    members = [member for part in match[1].split(",") if (member := part.strip(" \t"))]
    if not 0 < len(members) <= MAX_RANGES:
        return None
    specs: list[_Spec] = []
    for member in members:
        spec = _spec(member)
        if spec is None:
            return None
        specs.append(spec)
    return specs


def _spec(member: str) -> _Spec | None:
    match = _SPEC.fullmatch(member)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return None, int(suffix)
    if last is not None and int(last) < int(first):
        return None
    return int(first), None if last is None else int(last)


def _within(spec: _Spec, size: int) -> tuple[int, int] | None:
    """The half-open span of a member within the size, None when it is unsatisfiable."""
    first, last = spec
    if first is None:
        start, stop = max(0, size - (last or 0)), size
    else:
        start, stop = first, size if last is None else min(last + 1, size)
    return (start, stop) if start < stop else None


def _coalesce(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join what overlaps or touches, else keep the order (RFC 9110 section 15.3.7.2)."""
    joined: list[tuple[int, int]] = []
    for start, stop in spans:
        touching = [i for i, (a, b) in enumerate(joined) if a <= stop and start <= b]
        if not touching:
            joined.append((start, stop))
            continue
        place, *rest = touching
        members = [(start, stop), *(joined[i] for i in touching)]
        joined[place] = (min(a for a, _ in members), max(b for _, b in members))
        for i in reversed(rest):
            del joined[i]
    return joined
