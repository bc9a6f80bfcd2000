"""Sets of half-open byte intervals ``[start, stop)`` as a value."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator


class Spans:
    """An immutable, sorted set of disjoint, non-touching intervals of byte offsets."""

    __slots__ = ("pairs",)

    pairs: tuple[tuple[int, int], ...]

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(pairs):
            if start < 0 or stop < start:
                raise ValueError(f"not a half-open interval: [{start}, {stop})")
            if stop == start:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        self.pairs = tuple(merged)

    def add(self, start: int, stop: int) -> Spans:
        """With ``[start, stop)`` included."""
        if len(self.pairs) == 1 and start == self.pairs[0][1] and stop > start:
            return Spans._of(((self.pairs[0][0], stop),))
        return Spans([*self.pairs, (start, stop)])

    def remove(self, start: int, stop: int) -> Spans:
        """With ``[start, stop)`` left out."""
        kept: list[tuple[int, int]] = []
        for a, b in self.pairs:
            if a < min(b, start):
                kept.append((a, min(b, start)))
            if max(a, stop) < b:
                kept.append((max(a, stop), b))
        return Spans(kept)

    def gaps(self, start: int, stop: int) -> Spans:
        """What of ``[start, stop)`` is not in the set."""
        missing = Spans([(start, stop)])
        for a, b in self.pairs:
            if b > start and a < stop:
                missing = missing.remove(a, b)
        return missing

    def run_from(self, position: int) -> int:
        """The end of the contiguous run that holds ``position``; ``position`` itself when none."""
        i = bisect_right(self.pairs, (position, float("inf"))) - 1
        if i >= 0 and position < self.pairs[i][1]:
            return self.pairs[i][1]
        return position

    def covers(self, start: int, stop: int) -> bool:
        """Whether all of ``[start, stop)`` is in the set; an empty interval always is."""
        return start >= stop or self.run_from(start) >= stop

    def total(self) -> int:
        """The number of bytes in the set."""
        return sum(b - a for a, b in self.pairs)

    @classmethod
    def _of(cls, pairs: tuple[tuple[int, int], ...]) -> Spans:
        made = cls.__new__(cls)
        made.pairs = pairs
        return made

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __repr__(self) -> str:
        return f"Spans({list(self.pairs)!r})"
