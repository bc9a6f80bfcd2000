"""One client connection, as an answer needs it: what may be written, when, and what is known of it.

The other half, which reads requests, is ``channel``.  The response half's producers and writing
are Twisted's.

A connection has one deadline, whose meaning follows from what it is doing; the site looks at all
deadlines once a second, which is cheaper than a delayed call for each request.
"""

from __future__ import annotations

from math import inf
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.web import http
from zope.interface import directlyProvides

from aimirror.server.access import plain
from aimirror.server.head_buffer import HeadBuffer
from aimirror.server.sendfile import FileServer
from aimirror.server.site_base import SiteBase
from aimirror.server.upload import RequestBody

#: Bytes of further requests held while one is being answered; then the socket is not read.
MAX_PIPELINED = 64 * 1024
#: Bytes of a body nobody wanted that are read to keep the connection; else it is closed.
MAX_DRAINED = 256 * 1024


class Connection(http.HTTPChannel):
    """The server's side of an HTTP/1 connection.

    ``origin`` is the one for which we answer here (https://host), "" for the mirror itself.
    """

    transport: FileServer

    def __init__(self, site: SiteBase, origin: str = "") -> None:
        super().__init__()
        self.site = self.factory = site
        self.origin = origin
        #: Seconds of the site's clock at which ``expire`` is called.
        self.deadline = site.seconds() + site.limits.head_time
        #: The transport, when it can send files.
        self.files: FileServer | None = None
        self.peer = ""
        #: Requests so far, and whether the next one's head has begun.
        self._served = 0
        self._partial = False
        self._input = HeadBuffer(site.limits.head_size)
        self._body: RequestBody | None = None
        self._reading = True
        self._blocked = False
        self._closing = False
        self._continue = False
        self._room: Deferred[None] | None = None
        #: To whom the connection was handed over.
        self._heir: Protocol | None = None
        self._meter: FileServer | None = None
        self._taken = 0
        self._secure = False

    def connectionMade(self) -> None:
        """A client has connected."""
        super().connectionMade()
        self._addresses = (self.transport.getPeer(), self.transport.getHost())
        self.peer = plain(getattr(self._addresses[0], "host", "unix"))
        socket = getattr(self.transport, "transport", self.transport)  # TLS wraps the socket
        self._meter = socket if isinstance(socket, FileServer) else None
        self._secure = super().isSecure()
        self.files = None if self._secure else self._meter
        self.site.joined(self)

    def isSecure(self) -> bool:
        """Whether it is encrypted (asked for each request, so kept)."""
        return self._secure

    def getPeer(self) -> object:
        """The client's address (asked for each request, so kept)."""
        return self._addresses[0]

    def getHost(self) -> object:
        """The address that the client connected to."""
        return self._addresses[1]

    def write_now(self, head: bytes, body: bytes) -> None:
        """Write a complete answer, at once where the transport can."""
        if self.files is not None:
            self.files.write_now(head, body)
        else:
            self.transport.write(head + body)

    def room(self) -> Deferred[None] | None:
        """None when more may be written, else what fires when the client has taken it.

        Fails with ClientGone when the client leaves.
        """
        if not self._blocked:
            return None
        self._room = Deferred()
        return self._room

    def sending(self, active: bool) -> None:
        """The client's silence counts while it is to take bytes, not while upstream is slow."""
        if active:
            self._taken = self._meter.taken if self._meter is not None else 0
            self.deadline = self.site.seconds() + self.site.limits.silence
        else:
            self.deadline = inf

    def settle(self) -> bool:
        """Whether the connection lives on after the answer that is being started."""
        body = self._body
        if body is not None and not body.started:
            # Nobody will ask for it any more: whether the client sends it is anybody's guess
            # when it waits for a 100; and a long one is not worth reading.
            if self._continue or (body.size is not None and body.size > MAX_DRAINED):
                self.persistent = 0
            self._continue = False
        return bool(self.persistent)

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._blocked = True
        if self.requests:
            self.sending(True)
        if self._requestProducer is not None:
            self._requestProducer.pauseProducing()
        self._set_reading()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._blocked = False
        if self.requests:
            self.sending(False)
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)
        if self._requestProducer is not None:
            self._requestProducer.resumeProducing()

    def _set_reading(self) -> None:
        if self._closing:
            wanted = True
        elif self._body is not None:
            wanted = self._body.reading
        elif self.requests:
            wanted = len(self._input) <= MAX_PIPELINED  # read on, to notice when the client leaves
        else:
            wanted = not self._blocked
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._networkProducer.resumeProducing()
            else:
                self._networkProducer.pauseProducing()

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered, nor handed over to another protocol."""
        return not self.requests and self._heir is None

    @property
    def idle_since(self) -> float:
        """Seconds of the site's clock at which its last answer ended, or a head began."""
        limits = self.site.limits
        waits = limits.keep_alive if self._served and not self._partial else limits.head_time
        return self.deadline - waits

    def expire(self) -> None:
        """The deadline has passed."""
        self.transport.abortConnection()

    def drain(self, late: bool) -> None:
        """End, with the running answer unless it is ``late``."""
        self.persistent = 0
        if late:
            self.transport.abortConnection()
        elif not self.requests:
            self.loseConnection()

    # Another protocol

    def hand_over(self, heir: Protocol) -> None:
        """HTTP ends here: another protocol gets the connection, and what was read of it already.

        The request that led to it stays until the connection ends.  ``deadline`` is the heir's
        to set.
        """
        self._heir = heir
        self.deadline = inf
        self.transport.unregisterProducer()
        if IHalfCloseableProtocol.providedBy(heir):
            directlyProvides(self, IHalfCloseableProtocol)
        rest = self._input.take_rest()
        heir.makeConnection(self.transport)
        if not self._reading:
            self._networkProducer.resumeProducing()
        if rest:
            heir.dataReceived(rest)

    def readConnectionLost(self) -> None:
        """The client sends no more (IHalfCloseableProtocol, on behalf of the heir)."""
        cast(IHalfCloseableProtocol, self._heir).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Our own end was sent (IHalfCloseableProtocol, on behalf of the heir)."""
        cast(IHalfCloseableProtocol, self._heir).writeConnectionLost()
