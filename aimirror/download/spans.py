"""Sets of half-open byte intervals ``[start, stop)`` as a value."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

_INFINITY = float("inf")


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
        if start < 0 or stop < start:
            raise ValueError(f"not a half-open interval: [{start}, {stop})")
        pairs = self.pairs
        first = bisect_left(pairs, (start, 0))  # the first that begins there or later
        if first and pairs[first - 1][1] >= start:
            first -= 1  # and one that reaches up to there
        last = bisect_right(pairs, (stop, _INFINITY))  # behind the last that touches
        if first < last:
            start = min(start, pairs[first][0])
            stop = max(stop, pairs[last - 1][1])
        elif start == stop:
            return self
        return Spans._of((*pairs[:first], (start, stop), *pairs[last:]))

    def remove(self, start: int, stop: int) -> Spans:
        """With ``[start, stop)`` left out."""
        pairs = self.pairs
        first = bisect_left(pairs, (start, 0))  # the first that begins there or later
        if first and pairs[first - 1][1] > start:
            first -= 1  # and one that reaches beyond
        last = bisect_left(pairs, (stop, 0))  # behind the last that begins before stop
        if start >= stop or first >= last:
            return self
        kept = []
        if pairs[first][0] < start:
            kept.append((pairs[first][0], start))
        if stop < pairs[last - 1][1]:
            kept.append((stop, pairs[last - 1][1]))
        return Spans._of((*pairs[:first], *kept, *pairs[last:]))

    def minus(self, other: Spans) -> Spans:
        """What of this set is not in the other one."""
        kept: list[tuple[int, int]] = []
        taken = other.pairs
        n, end = 0, len(taken)
        for start, stop in self.pairs:
            while n < end and taken[n][1] <= start:
                n += 1
            while n < end and taken[n][0] < stop:
                first, last = taken[n]
                if first > start:
                    kept.append((start, first))
                start = last
                if last >= stop:  # it may reach into what follows
                    break
                n += 1
            if start < stop:
                kept.append((start, stop))
        return Spans._of(tuple(kept))

    def gaps(self, start: int, stop: int) -> Spans:
        """What of ``[start, stop)`` is not in the set."""
        return Spans([(start, stop)]).minus(self)

    def run_from(self, position: int) -> int:
        """The end of the contiguous run that holds ``position``; ``position`` itself when none."""
        i = bisect_right(self.pairs, (position, _INFINITY)) - 1
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
