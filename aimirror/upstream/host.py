"""One upstream host in the ledger: its connections at work, its idle ones, and who waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import Factory, define
from twisted.internet.defer import Deferred

from aimirror.upstream.bearing import Bearing
from aimirror.upstream.line import Line
from aimirror.upstream.silence import Pending, Silence

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

#: Requests that may wait for a connection to one host.
MOST_WAITING = 10_000


def somebody() -> tuple[str, ...]:
    """Who waits for what the mirror asks of its own accord."""
    return ("",)


@define(eq=False)
class Host:
    """What goes on at one host."""

    #: Connections at work whose answer has not begun; when that is looked at next.
    silence: Silence
    looking: IDelayedCall | None = None
    streams: int = 0
    pieces: int = 0
    #: Of the streams, those whose answer has begun.
    answered: int = 0
    #: Of all, those that have brought something.
    working: int = 0
    #: Those that are not opened yet since too many others still are, and their owners.
    unopened: int = 0
    opening: list[Deferred[None]] = Factory(list)
    #: Idle ones that are being closed.
    closing: int = 0
    #: Whether one of them has ended since those in ``watching`` were told.
    ended: bool = False
    #: Downloads that want at least one connection.
    downloads: int = 0
    #: Connections that those lack that somebody waits for.
    lacking: int = 0
    spares: dict[Spare, None] = Factory(dict)
    waiting: Line = Factory(lambda: Line(MOST_WAITING))
    watching: list[Deferred[None]] = Factory(list)
    bearing: Bearing = Factory(Bearing)

    @property
    def busy(self) -> int:
        """Connections at work."""
        return self.streams + self.pieces

    @property
    def open(self) -> int:
        """Connections that there are at this moment."""
        return self.busy - self.unopened + len(self.spares) + self.closing

    @property
    def accepted(self) -> int:
        """Connections that have brought an answer, idle ones included."""
        return self.busy - len(self.silence) + len(self.spares)

    @property
    def idle(self) -> bool:
        """Whether nothing goes on there."""
        return not (self.busy or self.downloads or self.spares or self.closing or self.waiting)


@define(eq=False)
class Permit:
    """One connection at work; ``release`` it once, when its answer has come to its end."""

    _host: Host
    _released: Callable[[], None]
    _stream: bool
    #: What is known of it until its answer begins.
    pending: Pending
    _answered: bool = False
    _works: bool = False
    _held: bool = True

    def reuses(self) -> None:
        """Its connection was accepted before: its silence tells nothing."""
        self._host.silence.leave(self.pending)

    def answered(self) -> None:
        """Its answer begins, whatever that says; idempotent."""
        self._host.silence.answered(self.pending)
        if self._held and self._stream and not self._answered:
            self._answered = True
            self._host.answered += 1

    def works(self) -> None:
        """It brings what was asked for; idempotent."""
        self.answered()
        if self._held and not self._works:
            self._works = True
            self._host.working += 1
            self._host.bearing.unaccepted = 0

    def release(self) -> None:
        """The connection is idle or closed; idempotent."""
        if self._held:
            self._held = False
            self._host.silence.leave(self.pending)
            self._host.working -= self._works
            self._host.answered -= self._answered
            self._host.ended = self._host.ended or self._works
            if self._stream:
                self._host.streams -= 1
            else:
                self._host.pieces -= 1
            if self._works:
                self._host.silence.ended()
            self._released()


@define(eq=False)
class Spare:
    """An idle connection; ``close`` has its process close it and fires when it is gone."""

    close: Callable[[], Deferred[None]]
    _drop: Callable[[Spare], None]

    def drop(self) -> None:
        """It is used again, or closed; idempotent."""
        self._drop(self)
