"""The site's tree, the hook for forward proxying, and its connections."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from zope.interface.verify import verifyObject

from aimirror.server.access import Limits
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from aimirror.server.site import MirrorSite
from tests.server.support import Connection, Wire, answer, connect


async def health(_: MirrorRequest) -> Answer:
    return answer(b"healthy")


def ask(target: str, method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} {target} HTTP/{version}\r\nHost: mirror.test\r\n\r\n".encode()


class TreeTests(SynchronousTestCase):
    def test_routing(self) -> None:
        """Named handlers have their first segment; the rest sees the path to the letter."""
        client = connect(named={"health": health})
        for target in ("/health", "/health?x", "/", "/healthy", "/a%2Fhealth/../b", "//health"):
            client.send(ask(target))
        self.assertEqual(
            [body for _, _, body in client.answers()],
            [b"healthy", b"healthy", b"/", b"/healthy", b"/a%2Fhealth/../b", b"//health"],
        )

    def test_methods(self) -> None:
        """Every method reaches the handler; OPTIONS * too."""
        client = connect()
        for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND", "OPTIONS"):
            client.send(ask("/x", method))
        client.send(ask("*", "OPTIONS"))
        self.assertEqual([b for _, _, b in client.answers()], [b"/x"] * 6 + [b"*"])


class ForwardTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """Without a forward proxy its requests are refused in JSON, not taken for paths here."""
        for request, status in (
            (ask("a.test:443", "CONNECT", "1.0"), 501),
            (b"CONNECT a.test:443 HTTP/1.0\r\n\r\n", 501),
            (ask("http://a.test/x"), 400),
            (b"GET http://a.test/x HTTP/1.0\r\n\r\n", 400),
        ):
            client = connect()
            client.send(request)
            got, headers, _ = client.answer()
            self.assertEqual((got, headers.get("content-type")), (status, "application/json"))

    def test_hook(self) -> None:
        """A hook gets them, with the target as it was sent."""

        async def forward(request: MirrorRequest) -> Answer:
            return answer(request.head.target.encode())

        client = connect(forward=forward)
        client.send(ask("http://a.test/x?y"))
        client.send(ask("a.test:443", "CONNECT"))
        self.assertEqual([b for _, _, b in client.answers()], [b"http://a.test/x?y", b"a.test:443"])


class RequestTests(SynchronousTestCase):
    def seen(self, raw: bytes) -> MirrorRequest:
        seen: list[MirrorRequest] = []

        async def handler(request: MirrorRequest) -> Answer:
            verifyObject(IRequest, request)
            seen.append(request)
            return answer()

        connect(handler).send(raw)
        return seen[0]

    def test_parts(self) -> None:
        """Path, query, fields and peer are there, as text and as Twisted has them."""
        request = self.seen(ask("/a%20b?c=d&c=%zz"))
        self.assertEqual((request.raw_path, request.raw_query), ("/a%20b", "c=d&c=%zz"))
        self.assertEqual((request.uri, request.path), (b"/a%20b?c=d&c=%zz", b"/a%20b"))
        self.assertEqual(request.requestHeaders.getRawHeaders(b"host"), [b"mirror.test"])
        self.assertEqual((request.peer, request.headers.get("host")), ("192.0.2.7", "mirror.test"))
        self.assertIsNone(self.seen(ask("/a")).raw_query)
        self.assertEqual(self.seen(ask("/a?")).raw_query, "")

    def test_nothing_is_parsed_unasked(self) -> None:
        """Neither cookies nor form fields are read, and no body is stored."""
        request = self.seen(
            b"POST /?a=b HTTP/1.1\r\nHost: a\r\nCookie: c=d\r\nContent-Length: 3\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\ne=f"
        )
        self.assertEqual((request.received_cookies, request.args), ({}, None))
        self.assertIsNone(request.content)


class RoomTests(SynchronousTestCase):
    def peer(self, site: MirrorSite, host: str) -> Connection | None:
        """A connection from an address; None where there is no room."""
        channel = site.buildProtocol(IPv4Address("TCP", host, 5000))
        if channel is None:
            return None
        wire = Wire(site.reactor, True)
        wire.peerAddr = IPv4Address("TCP", host, 5000)
        wire.protocol = channel
        channel.makeConnection(wire)
        return Connection(site, site.reactor, wire)

    def test_idle_ones_make_room(self) -> None:
        """A client that opens all there are keeps nobody out; what works is not cut."""
        held: Deferred[Answer] = Deferred()

        async def handler(_: MirrorRequest) -> Answer:
            return await held

        site = connect(handler, limits=Limits(connections=4)).site
        greedy = [self.peer(site, "192.0.2.1") for _ in range(3)]
        greedy[0].send(ask("/x"))
        self.assertIsNotNone(self.peer(site, "192.0.2.2"))
        self.assertEqual([each.closed for each in greedy], [False, True, False])
        self.assertEqual(len(site.channels), 4)
        greedy.append(self.peer(site, "192.0.2.1"))  # for one of its own
        self.assertEqual([each.closed for each in greedy], [False, True, True, False])
        self.assertEqual(len(site.channels), 4)

    def test_all_at_work(self) -> None:
        """Where nothing is idle, nobody else gets in."""

        async def handler(_: MirrorRequest) -> Answer:
            return await Deferred()

        first = connect(handler, limits=Limits(connections=1))
        first.send(ask("/x"))
        self.assertIsNone(self.peer(first.site, "192.0.2.2"))

    def test_one_client(self) -> None:
        """One client has its own limit by default, a proxy of ours none."""
        self.assertGreater(Limits().client_connections, 0)

        async def handler(_: MirrorRequest) -> Answer:
            return await Deferred()

        site = connect(handler, limits=Limits(client_connections=2)).site
        for host, room in (("192.0.2.1", False), ("198.51.100.1", True)):
            site.proxies = (ip_network("198.51.100.0/24"),)
            for _ in range(2):
                self.peer(site, host).send(ask("/x"))
            self.assertEqual(self.peer(site, host) is not None, room)

    def test_one_client_with_idle_ones(self) -> None:
        """A client that keeps connections open for later is not kept out by them.

        The one that was used least lately gives way.
        """
        site = connect(limits=Limits(client_connections=3)).site
        its = [self.peer(site, "192.0.2.1") for _ in range(3)]
        for each in its:
            each.send(ask("/x"))
            site.reactor.advance(1)
        its[0].send(ask("/y"))
        for closed in ([], [1], [1, 2], [0, 1, 2]):
            self.assertEqual([n for n, each in enumerate(its[:3]) if each.closed], closed)
            its.append(self.peer(site, "192.0.2.1"))
            its[-1].send(ask("/z"))
            site.reactor.advance(1)
        self.assertEqual(len(site.clients["192.0.2.1"]), 3)
