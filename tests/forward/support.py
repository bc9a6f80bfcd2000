"""A site with a forward proxy on 127.0.0.1, hosts behind it, and clients that speak by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from aimirror.forward.policy import ForwardPolicy, origins, parse_pattern
from aimirror.forward.proxy import Forward
from aimirror.http.egress import Address, Egress, Timeouts
from aimirror.http.headers import Headers
from aimirror.routing.rules import Route, Rule
from aimirror.server.access_log import AccessRecord
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from aimirror.server.sendfile import FilePort
from aimirror.server.site import MirrorSite
from aimirror.upstream.agent import Agents
from aimirror.upstream.client import Upstream

TIMEOUTS = Timeouts(5, 5, 5)


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """One end that a test plays: keeps what came, tells when something awaited is there."""

    def __init__(self) -> None:
        self.received = b""
        self.count = 0
        self.ended = False
        self.lost: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        if self.count < 1 << 20:
            self.received += data
        self._look()

    def readConnectionLost(self) -> None:
        self.ended = True
        self._look()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason
        self._look()

    def until(self, condition: Callable[[], bool]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._waiting.append((condition, done))
        self._look()
        return done

    def sees(self, text: bytes) -> Deferred[None]:
        return self.until(lambda: text in self.received)

    def closed(self) -> Deferred[None]:
        return self.until(lambda: self.lost is not None)

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def _look(self) -> None:
        for item in tuple(self._waiting):
            if item[0]():
                self._waiting.remove(item)
                item[1].callback(None)


class Host(Factory):
    """A host that speaks no protocol; the test speaks for it."""

    noisy = False

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self._waiting: Deferred[Peer] | None = None

    def buildProtocol(self, addr: object) -> Peer:
        peer = Peer()
        self.peers.append(peer)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            reactor.callLater(0, waiting.callback, peer)
        return peer

    def next(self) -> Deferred[Peer]:
        self._waiting = Deferred()
        return self._waiting


class ProxyCase(TestCase):
    """``self.host`` listens at ``self.port``; ``names`` resolve as the test says."""

    timeout = 20

    def setUp(self) -> None:
        self.host = Host()
        listening = reactor.listenTCP(0, self.host, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        self.port = listening.getHost().port
        self.names: dict[str, list[Address]] = {}
        self.asked: list[str] = []
        self.routed: list[tuple[str, str, str]] = []
        self.logged: list[tuple[AccessRecord, int]] = []
        self.peers: list[Peer] = []
        self.agents = Agents(reactor, resolve=self.resolve)
        self.addCleanup(self.agents.close)
        self.addCleanup(self.hang_up)

    def resolve(self, host: str) -> Deferred[list[Address]]:
        self.asked.append(host)
        found: Deferred[list[Address]] = Deferred()
        reactor.callLater(0, found.callback, self.names.get(host, []))
        return found

    def start(
        self, *, rules: tuple[Rule, ...] = (), allow: tuple[str, ...] = (), **more: object
    ) -> Forward:
        """The proxy; its own port is ``self.proxy``."""
        policy = ForwardPolicy(origins=origins(rules), allow=tuple(map(parse_pattern, allow)))

        async def handle_routed(request: MirrorRequest, found: Route) -> Answer:
            self.routed.append((request.proxied, request.raw_path, found.key))
            return Answer(status=200, headers=Headers([("X-Rule", found.rule.name)]), body=b"rule")

        mirror = SimpleNamespace(
            rules=rules,
            handle_routed=handle_routed,
        )
        given = {"policy": policy, "timeouts": TIMEOUTS, **more}
        forward = Forward(
            mirror=mirror,  # type: ignore[arg-type]
            upstream=Upstream(self.agents),
            agents=self.agents,
            egress=lambda reach: Egress("", reach),
            **given,
        )

        async def own(request: MirrorRequest) -> Answer:
            return Answer(status=200, body=b"own " + request.path)

        def access(exchange: AccessRecord, peer: str, sent: int, *_: object) -> None:
            self.logged.append((exchange, sent))

        self.site = MirrorSite(own, reactor, forward=forward.handle, access=access)
        self.site.noisy = False
        port = FilePort(0, self.site, interface="127.0.0.1", reactor=reactor)
        port.startListening()
        self.addCleanup(port.stopListening)
        self.proxy = port.getHost().port
        return forward

    async def hang_up(self) -> None:
        for peer in [*self.peers, *self.host.peers]:
            if peer.lost is None:
                peer.transport.abortConnection()
                await peer.closed()
        while self.site.channels:
            await self.pause()

    def pause(self, seconds: float = 0.01) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        reactor.callLater(seconds, done.callback, None)
        return done

    async def client(self, said: str | bytes = b"") -> Peer:
        """A connection to the proxy, and what it says first."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.proxy)
        peer: Peer = await connectProtocol(endpoint, Peer())
        self.peers.append(peer)
        peer.send(said.encode() if isinstance(said, str) else said)
        return peer

    async def ask(self, said: str | bytes) -> bytes:
        """The first answer to a request, as far as it came in one piece, its body included."""
        peer = await self.client(said)
        await peer.until(lambda: b"\r\n\r\n" in peer.received or peer.lost is not None)
        await self.pause()
        return peer.received

    async def tunnel(self, target: str = "") -> tuple[Peer, Peer]:
        """The client's end and the host's end of an open tunnel."""
        accepted = self.host.next()
        near = await self.client(f"CONNECT {target or f'127.0.0.1:{self.port}'} HTTP/1.0\r\n\r\n")
        await near.sees(b"\r\n\r\n")
        assert near.received.startswith(b"HTTP/1.1 200 "), near.received
        near.received, near.count = b"", 0
        return near, await accepted
