"""CONNECT tunnels: bytes of a client to a host and back, each side at the other's pace.

Each end of the tunnel is a protocol on its own socket; what one reads the other writes at once.
An end that can't write pauses the other, so at most one read and one buffer are held per
direction.  The end of one direction is passed on while the other goes on (RFC 9110 9.3.6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from aimirror.server.sendfile import FileServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aimirror.server.connection import Connection

#: What the client is told (RFC 9110 section 9.3.6: no framing, all that follows is the host's).
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
#: Bytes read at once, and held for the other end at most: larger reads cost less per byte.
READ_BYTES = 256 * 1024


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """One end of a tunnel; reads nothing before ``join``."""

    transport: Any

    def __init__(self) -> None:
        self._other: End | None = None
        self._moved: Callable[[int], None] | None = None
        self._early = b""
        #: Whether the peer has sent all, and whether the socket is gone.
        self.ended = False
        self.lost = False

    def connectionMade(self) -> None:
        """Wait for the other end."""
        self.transport.pauseProducing()

    def join(self, other: End, moved: Callable[[int], None]) -> None:
        """Begin to pass bytes on; ``moved`` is told how many."""
        self._other, self._moved = other, moved
        self.transport.bufferSize = READ_BYTES
        if self.lost or other.lost:
            self.transport.abortConnection()
            return
        other.transport.registerProducer(self.transport, True)
        early, self._early = self._early, b""
        if early:
            self.dataReceived(early)
        self.transport.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Bytes for the other end."""
        if self._other is None or self._moved is None:
            self._early += data  # of a single read, for reading is paused
            return
        self._moved(len(data))
        self._other.send(data)

    def send(self, data: bytes) -> None:
        """Write, at once where the transport can."""
        transport = self.transport
        if isinstance(transport, FileServer):
            transport.write_now(data)
        else:
            transport.write(data)

    def readConnectionLost(self) -> None:
        """The peer has sent all (IHalfCloseableProtocol)."""
        self.ended = True
        other = self._other
        if other is None:
            self.transport.abortConnection()
        elif other.ended:
            self.close()
            other.close()
        else:
            other.end()

    def writeConnectionLost(self) -> None:
        """Our end of sending has been sent (IHalfCloseableProtocol)."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone; an unclean end is passed on as such."""
        self.lost = self.ended = True
        other, self._other = self._other, None
        if other is None or other.lost:
            return
        if reason.check(ConnectionDone):
            other.close()
        else:
            other.abort()

    def end(self) -> None:
        """Send no more once what is buffered is out; the peer may send on."""
        self.transport.unregisterProducer()
        if ISSLTransport.providedBy(self.transport):  # TLS has no half here
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def close(self) -> None:
        """Close once what is buffered is out."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Reset the connection."""
        self.transport.abortConnection()


class EndFactory(Factory):
    """Builds far ends."""

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> End:
        """An end that waits."""
        return End()


def is_own_port(far: End, channel: Connection) -> bool:
    """Whether the far end is this very server, by whatever name it was reached.

    A connection to one of one's own addresses comes from that address.
    """
    here: Any = channel.getHost()
    there, near = far.transport.getPeer(), far.transport.getHost()
    return bool(there.port == getattr(here, "port", None) and there.host == near.host)


def open_tunnel(channel: Connection, far: End, idle: float, counted: Callable[[int], None]) -> None:
    """Tell the client that the tunnel is open, and give its connection over.

    ``counted`` is told of bytes to the client.  After ``idle`` seconds without a byte either way
    both sides are closed.
    """
    seconds = channel.site.seconds
    near = End()

    def moved(count: int) -> None:
        channel.deadline = seconds() + idle

    def arrived(count: int) -> None:
        counted(count)
        channel.deadline = seconds() + idle

    channel.transport.write(ESTABLISHED)
    channel.hand_over(near)
    channel.deadline = seconds() + idle
    far.join(near, arrived)
    near.join(far, moved)
