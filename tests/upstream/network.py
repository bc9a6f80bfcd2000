"""A network in memory: the test answers each connection attempt and plays the server by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IConsumer, ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from aimirror.http.egress import ANYWHERE, Address, Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import IReceiver, IUpstreamResponse, UpstreamError
from aimirror.upstream.agent import Agents
from aimirror.upstream.hosts import Hosts

TIMEOUTS = Timeouts(connect=10, header=30, silence=20)


@implementer(ITCPTransport)
class Wire(StringTransport):
    """One end of a connection; holds bytes back while its protocol has paused it."""

    def __init__(self, reactor: MemoryReactorClock) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.1", 80), lenient=True)
        self._reactor = reactor
        self._held: list[bytes] = []
        self.protocol: Protocol | None = None
        self.aborted = False
        self.closed = False
        self.bufferSize = 0

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._held.append(data)
        while self._held and self.producerState == "producing" and not self.disconnecting:
            self.protocol.dataReceived(self._held.pop(0))

    @property
    def unread(self) -> int:
        return sum(map(len, self._held))

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._reactor.callLater(0, self.receive, b"") if self._held else None

    def end(self, reason: Exception | None = None) -> None:
        """The peer closes, or the connection breaks for ``reason``."""
        if not self.closed:
            self.closed = True
            if self.producer is not None:
                self.producer.stopProducing()
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def loseConnection(self) -> None:
        super().loseConnection()
        self._reactor.callLater(0, self.end)

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True
        self._reactor.callLater(0, self.end, ConnectionAborted())

    def taken(self) -> bytes:
        """What was written since the last call."""
        value = self.value()
        self.clear()
        return value


class Network:
    """The reactor of the code under test, and what it connected to."""

    def __init__(
        self, names: Mapping[str, Sequence[str]] | None = None, limit: int = 0, **options: object
    ) -> None:
        self.reactor = MemoryReactorClock()
        if limit:
            options["hosts"] = Hosts(self.reactor, limit)
        self.names = names or {}
        self.asked: list[str] = []
        self.agents = Agents(self.reactor, resolve=self.resolve, **options)

    def resolve(self, host: str) -> Deferred[list[Address]]:
        self.asked.append(host)
        return succeed([ip_address(text) for text in self.names.get(host, ["93.184.216.34"])])

    @property
    def dialled(self) -> list[tuple[str, int]]:
        """Addresses of all attempts so far."""
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def accept(self, place: int = -1) -> Wire:
        """Let an attempt succeed."""
        factory: ClientFactory = self.reactor.tcpClients[place][2]
        wire = Wire(self.reactor)
        wire.protocol = factory.buildProtocol(wire.getPeer())
        wire.protocol.makeConnection(wire)
        return wire

    def refuse(self, place: int = -1, error: Exception | None = None) -> None:
        """Let an attempt fail."""
        factory: ClientFactory = self.reactor.tcpClients[place][2]
        failure = Failure(error or ConnectionRefusedError())
        factory.clientConnectionFailed(self.reactor.connectors[place], failure)

    def settle(self) -> None:
        """Run what is due now."""
        for _ in range(4):
            self.reactor.advance(0)


@implementer(IReceiver)
class Receiver:
    """Keeps a body, and how often and how it ended."""

    def __init__(self, response: IUpstreamResponse | None = None) -> None:
        self.body = b""
        self.ends: list[UpstreamError | None] = []
        if response is not None:
            response.deliver(self)

    def data(self, chunk: bytes) -> None:
        self.body += chunk

    def finished(self, error: UpstreamError | None) -> None:
        self.ends.append(error)

    @property
    def reasons(self) -> list[object]:
        return [error and error.reason for error in self.ends]


@implementer(IBodyProducer)
class Upload:
    """A request body written by hand."""

    def __init__(self, length: int | None = None) -> None:
        self.length = UNKNOWN_LENGTH if length is None else length
        self.consumer: IConsumer | None = None
        self.done: Deferred[None] = Deferred()
        self.calls: list[str] = []

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self.consumer = consumer
        return self.done

    def write(self, data: bytes) -> None:
        self.consumer.write(data)

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


def get(url: str = "http://one.example/file", **changes: object) -> Outgoing:
    """A GET with patience as in TIMEOUTS."""
    outgoing = Outgoing("GET", url, Headers([("Accept", "*/*")]), Egress(reach=ANYWHERE), TIMEOUTS)
    return evolve(outgoing, **changes)
