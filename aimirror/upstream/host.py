"""One upstream host in the ledger: its connections at work, its idle ones, and who waits."""

from __future__ import annotations

from collections.abc import Callable

from attrs import Factory, define
from twisted.internet.defer import Deferred

from aimirror.upstream.line import Line

#: Requests that may wait for a connection to one host.
MOST_WAITING = 10_000


def somebody() -> tuple[str, ...]:
    """Who waits for what the mirror asks of its own accord."""
    return ("",)


@define(eq=False)
class Host:
    """What goes on at one host."""

    streams: int = 0
    pieces: int = 0
    #: Of these, those that have brought something; refusals since the last one did.
    working: int = 0
    #: Those that are not opened yet since too many others still are, and their owners.
    unopened: int = 0
    opening: list[Deferred[None]] = Factory(list)
    unaccepted: int = 0
    #: Whether one of them has ended since those in ``watching`` were told.
    ended: bool = False
    #: Downloads that want at least one connection.
    downloads: int = 0
    #: Connections that those lack that somebody waits for.
    lacking: int = 0
    spares: dict[Spare, None] = Factory(dict)
    waiting: Line = Factory(lambda: Line(MOST_WAITING))
    watching: list[Deferred[None]] = Factory(list)
    #: Connections that it has shown to bear, None while it refused none; since when.
    borne: int | None = None
    refused_at: float = 0.0
    raised_at: float = 0.0

    @property
    def busy(self) -> int:
        """Connections at work."""
        return self.streams + self.pieces

    @property
    def idle(self) -> bool:
        """Whether nothing goes on there."""
        return not (self.busy or self.downloads or self.spares or self.waiting)


@define(eq=False)
class Permit:
    """One connection at work; ``release`` it once, when its answer has come to its end."""

    _host: Host
    _released: Callable[[], None]
    _stream: bool
    _works: bool = False
    _held: bool = True

    def works(self) -> None:
        """It brings what was asked for; idempotent."""
        if self._held and not self._works:
            self._works = True
            self._host.working += 1
            self._host.unaccepted = 0

    def release(self) -> None:
        """The connection is idle or closed; idempotent."""
        if self._held:
            self._held = False
            self._host.working -= self._works
            self._host.ended = self._host.ended or self._works
            if self._stream:
                self._host.streams -= 1
            else:
                self._host.pieces -= 1
            self._released()


@define(eq=False)
class Spare:
    """An idle connection; ``close`` has its process close it and fires when it is gone."""

    close: Callable[[], Deferred[None]]
    _drop: Callable[[Spare], None]

    def drop(self) -> None:
        """It is used again, or closed; idempotent."""
        self._drop(self)
