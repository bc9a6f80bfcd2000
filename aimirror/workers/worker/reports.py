"""What pieces have written, told to the parent: several pieces in one message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes written after which the parent is told, and seconds after which it is told in any case:
#: a message costs both processes some 50 microseconds, a reader notices a twentieth of a second.
REPORT_BYTES = 4 << 20
REPORT_EVERY = 0.1

#: A piece's number, and ``[start, stop)``.
Span = tuple[int, int, int]


class Reports:
    """Collects what is written, and calls ``tell`` with the spans of all pieces now and then."""

    def __init__(self, clock: IReactorTime, tell: Callable[[Sequence[Span]], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._spans: dict[int, tuple[int, int]] = {}
        self._timer: IDelayedCall | None = None

    def wrote(self, piece: int, start: int, stop: int, *, at_once: bool = False) -> None:
        """A piece has written one more span, behind those before."""
        start, _ = self._spans.get(piece, (start, start))
        self._spans[piece] = start, stop
        if at_once or stop - start >= REPORT_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(REPORT_EVERY, self._due)

    def flush(self) -> None:
        """Tell all that is not told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        spans, self._spans = self._spans, {}
        if spans:
            self._tell([(piece, start, stop) for piece, (start, stop) in spans.items()])

    def _due(self) -> None:
        self._timer = None
        self.flush()
