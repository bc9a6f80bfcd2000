"""The flow of one body from its socket: few wakes, large reads, no copies on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aimirror.upstream.gathering import SILENT_AFTER, Gathering, Pace

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Flow:
    """Has the kernel gather the bytes of a body of ``length`` bytes before it wakes us.

    ``gather(count)`` tells the kernel.  It ends by itself before the body does; ``stop`` ends it
    sooner.  A connection that has become slow or silent is read byte by byte again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        gather: Callable[[int], None],
        length: int,
        pace: Pace | None = None,
    ) -> None:
        self._clock = clock
        self._gather = gather
        self._left = length
        self._gathering = Gathering(clock.seconds(), pace)
        self._gathered = 1
        self._moved_at = 0.0
        self._watch: IDelayedCall | None = None

    def moved(self, count: int) -> None:
        """So many bytes came."""
        now = self._moved_at = self._clock.seconds()
        self._left -= count
        self._ask(self._gathering.took(count, self._left, now))

    def shorten(self, left: int) -> None:
        """Only so many more bytes are wanted."""
        self._left = min(self._left, left)
        self._ask(self._gathering.within(self._left))

    def stop(self) -> None:
        """Watch no more; whoever calls has no more use for the socket, or all bytes."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _ask(self, count: int) -> None:
        if count == self._gathered:
            return
        self._gathered = count
        self._gather(count)
        if count > 1 and self._watch is None:
            self._watch = self._clock.callLater(SILENT_AFTER, self._look)

    def _look(self) -> None:
        self._watch = None
        if self._gathered == 1:
            return
        silence = self._clock.seconds() - self._moved_at
        if silence >= SILENT_AFTER:
            self._ask(self._gathering.silent())
        else:
            self._watch = self._clock.callLater(SILENT_AFTER - silence, self._look)
