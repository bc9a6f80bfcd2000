"""Which blobs go when room is needed: least recently used first, never one that is held."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen


@frozen
class Candidate:
    """A blob as eviction sees it."""

    blob: str
    #: Bytes that its removal frees.
    size: int
    #: Epoch seconds of the latest use of any entry that shares it.
    used: float
    #: Pinned by an entry, or being read.
    held: bool = False


def choose(candidates: Iterable[Candidate], needed: int) -> tuple[Candidate, ...]:
    """The fewest least recently used blobs that free ``needed`` bytes, or all that may go."""
    victims: list[Candidate] = []
    freed = 0
    for candidate in sorted(candidates, key=lambda c: (c.used, c.blob)):
        if freed >= needed:
            break
        if not candidate.held:
            victims.append(candidate)
            freed += candidate.size
    return tuple(victims)
