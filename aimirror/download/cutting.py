"""Where a piece begins and ends, for one reader and for several that read side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from aimirror.download.plan import Demand
from aimirror.download.spans import Spans

#: Readers at different places up to which each has a connection where it is at once.
FEW_READERS = 2


@frozen
class Sizes:
    """Bytes of a usual piece, of the longest, and of the smallest that is worth its request."""

    usual: int
    longest: int
    smallest: int

    def stop(self, gap: tuple[int, int]) -> int:
        """Where a piece at the head of a gap ends; a small rest of the gap goes with it."""
        stop = min(gap[1], gap[0] + self.usual)
        small = gap[1] - stop < min(self.usual // 4, self.smallest)
        return gap[1] if small and (stop - gap[0]) * 5 // 4 <= self.longest else stop


def next_piece(
    gap: tuple[int, int], free: Spans, demands: Collection[Demand], idle: int, sizes: Sizes
) -> tuple[int, int]:
    """The piece to ask for where a reader wants the head of ``gap``, by one of ``idle`` slots.

    Where all that is left flies at once, pieces that begin where several readers are would leave
    holes between them, and each hole would be one more request, which follows all others.
    """
    last_wave = free.total() * 4 <= idle * sizes.usual * 5
    if last_wave and side_by_side(demands):
        return in_line(free, gap[0], sizes)
    return gap[0], sizes.stop(gap)


def side_by_side(demands: Iterable[Demand]) -> bool:
    """Whether more than a few read at different places."""
    return len({demand.position for demand in demands}) > FEW_READERS


def in_line(free: Spans, wanted: int, sizes: Sizes) -> tuple[int, int]:
    """The piece in which a wanted byte is, where what is free in a row is cut from its head.

    A small rest goes with the last piece.
    """
    begin, end = next(span for span in free if span[0] <= wanted < span[1])
    whole, rest = divmod(end - begin, sizes.usual)
    joined = whole > 0 and rest < sizes.usual // 3 and sizes.usual + rest <= sizes.longest
    last = whole - 1 if joined else whole
    number = min(last, (wanted - begin) // sizes.usual)
    start = begin + number * sizes.usual
    return start, end if number == last else start + sizes.usual
