"""What all connections of a site share: their number, limits, clock, memo and access log."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web import server
from twisted.web.http import Request
from twisted.web.resource import IResource

from aimirror.http.dates import format_date
from aimirror.http.egress import Network
from aimirror.server.access import Limits, among, client
from aimirror.server.access_log import AccessHook
from aimirror.server.guard import Guard
from aimirror.server.memo import Memo

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

#: Seconds between two looks at connections that are to end.
DRAIN_STEP = 0.05
#: Idle connections that are compared where one has to give way: a flood makes each new one look.
MOST_COMPARED = 64
#: Seconds between two looks at the connections' deadlines.
SWEEP = 1.0


class Connected(Protocol):
    """A connection, as the site watches over it."""

    #: Seconds of the site's clock at which ``expire`` is called.
    deadline: float
    #: The client's address as text.
    peer: str

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered."""

    @property
    def idle_since(self) -> float:
        """Seconds of the site's clock: since when, if it is idle."""

    def expire(self) -> None:
        """The deadline has passed."""

    def drain(self, late: bool) -> None:
        """End, with the running answer unless it is ``late``."""


class SiteBase(server.Site):
    """What connections and requests need of their site, whatever answers them."""

    def __init__(
        self,
        root: IResource,
        reactor: IReactorTime,
        limits: Limits,
        access: AccessHook,
        memo: Memo | None,
    ) -> None:
        super().__init__(root, parsePOSTFormSubmission=False, reactor=reactor)
        self.limits = limits
        self.access = access
        self.memo = Memo() if memo is None else memo  # an empty one is false, yet shared
        self.channels: set[Connected] = set()
        #: Connections of each client, the oldest first.
        self.clients: dict[str, dict[Connected, None]] = {}
        #: Their connections are those of many clients.
        self.proxies: tuple[Network, ...] = ()
        #: Says who may ask; None lets everybody.
        self.guard: Guard | None = None
        self.seconds = reactor.seconds
        self._sweeping: IDelayedCall | None = None
        self._second = -1
        self._date = ""
        self._ids = itertools.count(1)
        self._boot = secrets.token_hex(3)

    def joined(self, channel: Connected) -> None:
        """A connection was made."""
        self.channels.add(channel)
        self.clients.setdefault(client(channel.peer), {})[channel] = None

    def left(self, channel: Connected) -> None:
        """A connection has ended."""
        self.channels.discard(channel)
        name = client(channel.peer)
        its = self.clients.get(name, {})
        its.pop(channel, None)
        if not its:
            self.clients.pop(name, None)

    def has_room(self, peer: str) -> bool:
        """Whether a client may have one more connection.

        One that has all that it may have, or as many as any other where there are too many, gets
        it for an idle one of its own; else the client that has most gives an idle one: who opens
        all it can keeps nobody out, itself included.
        """
        limits, its = self.limits, self.clients.get(client(peer), {})
        bound = limits.client_connections
        if 0 < bound <= len(its) and not among(peer, self.proxies):
            return self._gives_way(its)
        if len(self.channels) < limits.connections:
            return True
        greedy = max(self.clients.values(), key=len)
        return self._gives_way(greedy if len(greedy) > len(its) + 1 else its)

    def _gives_way(self, channels: Iterable[Connected]) -> bool:
        """Close that of the first idle ones which is so for longest; whether there is one."""
        idle = itertools.islice((each for each in channels if each.idle), MOST_COMPARED)
        oldest = min(idle, key=lambda each: each.idle_since, default=None)
        if oldest is None:
            return False
        self.left(oldest)
        oldest.drain(late=True)
        return True

    def acceptableProtocols(self) -> list[bytes]:
        """What is offered by ALPN."""
        return [b"http/1.1"]

    def startFactory(self) -> None:
        """Begin to look at deadlines."""
        self._sweeping = self.reactor.callLater(SWEEP, self._sweep)

    def stopFactory(self) -> None:
        """No port uses the site any more."""
        if self._sweeping is not None and self._sweeping.active():
            self._sweeping.cancel()
        self._sweeping = None

    def drain(self, grace: float) -> Deferred[None]:
        """Close idle connections now, busy ones after their answer, all after ``grace`` seconds.

        Fires when none is left.
        """
        return Deferred.fromCoroutine(self._drain(self.seconds() + grace))

    async def _drain(self, until: float) -> None:
        while self.channels:
            late = self.seconds() >= until
            for channel in list(self.channels):
                channel.drain(late)
            pause: Deferred[None] = Deferred()
            self.reactor.callLater(DRAIN_STEP, pause.callback, None)
            await pause

    def new_id(self) -> str:
        """A name for a request that differs from those of other requests and other starts."""
        return f"{self._boot}-{next(self._ids):x}"

    def date(self) -> str:
        """The Date field of now, formatted once a second."""
        second = int(self.seconds())
        if second != self._second:
            self._second = second
            self._date = format_date(second)
        return self._date

    def log(self, request: Request) -> None:
        """Nothing: requests tell the access hook themselves, those that broke off included."""

    def _sweep(self) -> None:
        self._sweeping = self.reactor.callLater(SWEEP, self._sweep)
        now = self.seconds()
        for channel in [each for each in self.channels if each.deadline <= now]:
            channel.expire()
