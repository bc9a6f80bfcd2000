"""The site: the resource tree, the connections and what bounds them, the memo, the access log."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web import server
from twisted.web.resource import IResource, Resource

from aimirror.http.dates import format_date
from aimirror.server.access import Limits, client
from aimirror.server.access_log import AccessHook, ignore
from aimirror.server.answers import Answer
from aimirror.server.channel import MirrorChannel
from aimirror.server.errors import error_answer
from aimirror.server.guard import Guard
from aimirror.server.memo import Memo
from aimirror.server.respond import Handler, HandlerResource, serve

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall

    from aimirror.server.request import MirrorRequest

#: Seconds between two looks at connections that are to end.
DRAIN_STEP = 0.05
#: Seconds between two looks at the connections' deadlines.
SWEEP = 1.0


class Front(Resource):
    """The root: some names of their own, all else for one resource, with the path left whole."""

    def __init__(self, rest: IResource, named: Mapping[str, IResource]) -> None:
        super().__init__()
        self._rest = rest
        for name, resource in named.items():
            self.putChild(name.encode("ascii"), resource)

    def getChild(self, path: bytes, request: MirrorRequest) -> IResource:
        """Whatever has no name here."""
        return self._rest

    def unnamed(self, path: bytes) -> IResource | None:
        """The resource of a path that can have no name here, None where that has to be looked up.

        Most paths are of this kind, and walking down a tree costs more than all the rest of it.
        """
        first = path[1:].partition(b"/")[0]
        return None if first in self.children or b"%" in first else self._rest


async def refuse_forward(request: MirrorRequest) -> Answer:
    """The answer to CONNECT and to absolute-form targets where nothing serves them."""
    if request.head.method == "CONNECT":
        return error_answer(501, "no tunnels", "this mirror does not serve CONNECT")
    return error_answer(400, "no forward proxy", "ask for a path, not for an absolute URL")


class MirrorSite(server.Site):
    """Answers HTTP/1 as ``handler`` says, and ``named`` handlers below their own first segment.

    ``forward`` answers CONNECT and absolute-form requests.  ``access`` is called once for each
    answer.  Listen on it with ``FilePort`` to have files sent by sendfile.
    """

    def __init__(
        self,
        handler: Handler,
        reactor: IReactorTime,
        *,
        named: Mapping[str, Handler] | None = None,
        forward: Handler = refuse_forward,
        limits: Limits | None = None,
        access: AccessHook = ignore,
        memo: Memo | None = None,
    ) -> None:
        children = {name: HandlerResource(each) for name, each in (named or {}).items()}
        front = Front(HandlerResource(handler), children)
        super().__init__(front, parsePOSTFormSubmission=False, reactor=reactor)
        self.unnamed = front.unnamed
        self.limits = limits or Limits()
        self.access = access
        self.memo = Memo() if memo is None else memo  # an empty one is false, yet shared
        self.channels: set[MirrorChannel] = set()
        #: Connections of each client.
        self.clients: Counter[str] = Counter()
        #: Says who may ask; None lets everybody.
        self.guard: Guard | None = None
        self.seconds = reactor.seconds
        self._forward = forward
        self._sweeping: IDelayedCall | None = None
        self._second = -1
        self._date = ""
        self._ids = itertools.count(1)
        self._boot = secrets.token_hex(3)

    def buildProtocol(self, addr: IAddress | None) -> MirrorChannel | None:  # type: ignore[override]
        """A channel for a new connection, None (close it) when there are too many."""
        limits = self.limits
        if len(self.channels) >= limits.connections:
            return None
        if limits.client_connections:
            name = client(getattr(addr, "host", "unix"))
            if self.clients[name] >= limits.client_connections:
                return None
        return MirrorChannel(self)

    def left(self, channel: MirrorChannel) -> None:
        """A connection has ended."""
        self.channels.discard(channel)
        name = client(channel.peer)
        self.clients[name] -= 1
        if self.clients[name] <= 0:
            del self.clients[name]

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
                channel.persistent = 0
                if late:
                    channel.transport.abortConnection()
                elif not channel.requests:
                    channel.loseConnection()
            pause: Deferred[None] = Deferred()
            self.reactor.callLater(DRAIN_STEP, pause.callback, None)
            await pause

    def forward(self, request: MirrorRequest) -> None:
        """Have a request answered whose target is not a path here."""
        serve(request, self._forward)

    def answer_broken(self, request: MirrorRequest) -> None:
        """A 500 for a request that something here failed to answer."""

        async def broken(_: MirrorRequest) -> Answer:
            return error_answer(500, "a fault in the mirror", "its log has the details")

        serve(request, broken)

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

    def log(self, request: MirrorRequest) -> None:  # type: ignore[override]
        """Tell the access hook of an answer."""
        self.access(request.exchange(), request.peer, request.sentLength, request.seconds())

    def _sweep(self) -> None:
        self._sweeping = self.reactor.callLater(SWEEP, self._sweep)
        now = self.seconds()
        for channel in [each for each in self.channels if each.deadline <= now]:
            channel.expire()
