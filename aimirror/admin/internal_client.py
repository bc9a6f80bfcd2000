"""Asking the mirror from within, over a connection in memory: as a client would, at no port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.server.tally import FROM_CACHE

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from aimirror.server.channel import MirrorChannel
    from aimirror.server.site import MirrorSite

#: Bytes taken in one turn of the reactor, so that a file from the cache blocks nobody.
TURN = 4 << 20
#: Bytes of a head.
MAX_HEAD = 64 << 10
#: What stands for itself in a request line; percent signs do, too: paths are encoded by then.
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
#: Who asks, in the access log and to upstreams.
AGENT = "aimirror-prefetch"


class NotFetched(Exception):
    """No complete answer of status 200 came; the text says why."""


@frozen
class Fetched:
    """An answer from within; ``body`` has all of it, if it was to be kept."""

    headers: Headers
    body: bytes
    #: Bytes that passed; 0 when the cache had it and nobody wanted to see it.
    size: int
    cached: bool


class InternalClient:
    """Asks a site's handlers; ``host`` is the Host that they see."""

    def __init__(self, site: MirrorSite, clock: IReactorTime, host: str = "localhost") -> None:
        self._site = site
        self.clock = clock
        self._host = host

    def get(
        self,
        path: str,
        headers: Headers | None = None,
        *,
        keep: int = 0,
        got: Callable[[int], None] = lambda count: None,
        sized: Callable[[int], None] = lambda size: None,
    ) -> Deferred[Fetched]:
        """GET a path with its query, which may come from anybody's list of files.

        What can't stand in a request line is percent-encoded, so that a path is one request.
        Up to ``keep`` bytes of body are given back, more are a failure; with 0 the body is only
        brought into the cache, and ``got(count)`` told of its bytes as they come, ``sized(size)``
        of their number once it is known.  Fails with NotFetched.  Cancelling leaves; the download
        itself may go on.
        """
        asking = _Asking(self.clock, keep, got, sized)
        channel = self._site.buildProtocol(None)
        if channel is None:
            asking.fail("too many connections")
            return asking.done
        asking.channel = channel
        channel.makeConnection(asking)
        fields = [("Host", self._host), ("User-Agent", AGENT), *(headers or ())]
        target = quote(path, safe=_VISIBLE)
        lines = [f"GET {target} HTTP/1.0", *(f"{name}: {value}" for name, value in fields), "", ""]
        channel.dataReceived("\r\n".join(lines).encode("latin-1", "replace"))
        return asking.done


@implementer(ITransport, IPushProducer)
class _Asking:
    """The transport of a channel, and what becomes of the one answer it gets."""

    channel: MirrorChannel
    disconnecting = False

    def __init__(
        self,
        clock: IReactorTime,
        keep: int,
        got: Callable[[int], None],
        sized: Callable[[int], None],
    ) -> None:
        self.done: Deferred[Fetched] = Deferred(lambda _: self._leave())
        self._clock = clock
        self._keep = keep
        self._got = got
        self._sized = sized
        self._head = bytearray()
        self._headers: Headers | None = None
        self._body = bytearray()
        self._size = 0
        self._turn = 0
        self._lost = False
        self._producer: IPushProducer | None = None

    # The transport

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""
        if self._lost or self.done.called:
            return
        if self._headers is None:
            self._head += data
            head, mark, rest = bytes(self._head).partition(b"\r\n\r\n")
            if mark:
                self._head.clear()
                self._begin(head, rest)
            elif len(self._head) > MAX_HEAD:
                self.fail("a head without end")
        else:
            self._take(data)
        self._rest_a_while(len(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """As ``write``."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """The answer is complete."""
        if not self._lost:
            self._clock.callLater(0, self._lose)

    abortConnection = loseConnection
    loseWriteConnection = loseConnection

    def getPeer(self) -> IPv4Address:
        """This machine."""
        return IPv4Address("TCP", "127.0.0.1", 0)

    getHost = getPeer

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """The channel wants to know when to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """The channel wants to know no more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Nothing more is to be sent than the one request."""

    resumeProducing = pauseProducing
    stopProducing = loseConnection

    def setTcpNoDelay(self, enabled: bool) -> None:
        """There is no TCP."""

    # The answer

    def fail(self, why: str) -> None:
        """There is no good answer."""
        if not self.done.called:
            self.done.errback(NotFetched(why))
        self._leave()

    def _begin(self, head: bytes, rest: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in lines]
        self._headers = Headers((name, value) for name, _, value in pairs)
        status = first.split(" ")[1]
        if status != "200":
            self.fail(f"the answer is {status}")
        elif self._from_cache and not self._keep:
            self._finish()
            self._leave()
        else:
            length = self._headers.get("content-length") or ""
            if length.isdecimal():
                self._sized(int(length))
            if rest:
                self._take(rest)

    @property
    def _from_cache(self) -> bool:
        return self._headers is not None and self._headers.get("x-cache") in FROM_CACHE

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        self._got(len(data))
        if self._keep:
            self._body += data
            if len(self._body) > self._keep:
                self.fail(f"longer than {self._keep} bytes")

    def _finish(self) -> None:
        headers = self._headers or Headers()
        self.done.callback(Fetched(headers, bytes(self._body), self._size, self._from_cache))

    def _rest_a_while(self, count: int) -> None:
        self._turn += count
        if self._turn >= TURN and self._producer is not None:
            self._producer.pauseProducing()
            self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._turn = 0
        if self._producer is not None:
            self._producer.resumeProducing()

    def _leave(self) -> None:
        """Hang up; whoever works on the answer learns of it."""
        self.loseConnection()

    def _lose(self) -> None:
        if self._lost:
            return
        self._lost = True
        self.channel.connectionLost(Failure(ConnectionDone()))
        if self.done.called:
            return
        length = self._headers.get("content-length") if self._headers is not None else None
        if self._headers is None or (length is not None and length != str(self._size)):
            self.fail("the answer broke off")
        else:
            self._finish()
