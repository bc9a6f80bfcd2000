"""Upstream proxies."""

from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import AccumulatingProtocol
from twisted.trial.unittest import SynchronousTestCase

from aimirror.core.fetching import Reason
from aimirror.core.targets import parse_target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.tunnel import Proxy, Tunnel, bypassed, connect_request, parse_proxy
from tests.upstream.network import Network, Wire


class ParseProxyTests(SynchronousTestCase):
    def test_address(self) -> None:
        """Host and port, with credentials decoded into Basic ones."""
        self.assertEqual(parse_proxy("http://p:3128"), Proxy("p", 3128))
        self.assertEqual(parse_proxy("http://[::1]:3128/"), Proxy("::1", 3128))
        # base64 of "us@r:p:w"
        self.assertEqual(
            parse_proxy("http://us%40r:p:w@p:3128"), Proxy("p", 3128, "Basic dXNAcjpwOnc=")
        )
        self.assertEqual(parse_proxy("http://u@p").authorization, "Basic dTo=")

    def test_secrets(self) -> None:
        """Neither errors nor the repr show credentials."""
        for url in ("http://u:secret@h:99999", "https://u:secret@h", "http://u:secret@a b"):
            with self.assertRaises(UpstreamError) as caught:
                parse_proxy(url)
            self.assertNotIn("secret", str(caught.exception))
        self.assertNotIn("Basic", repr(parse_proxy("http://u:secret@h")))


class BypassedTests(SynchronousTestCase):
    def test_suffixes(self) -> None:
        """A name matches itself and what lies below it."""
        for host, entries, wanted in (
            ("a.example", ("example",), True),
            ("example", (".example",), True),
            ("badexample", ("example",), False),
            ("a.example", ("A.Example ",), True),
            ("anything", ("*",), True),
            ("anything", ("", "."), False),
            ("10.0.0.1", ("10.0.0.1",), True),
        ):
            self.assertEqual(bypassed(host, entries), wanted, (host, entries))


class ConnectRequestTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """Always with the port, credentials only where there are any."""
        target = parse_target("https://[::1]/x")
        self.assertEqual(
            connect_request(target, Proxy("p", 1)),
            b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
        )
        self.assertIn(
            b"\r\nProxy-Authorization: Basic eA==\r\n",
            connect_request(target, Proxy("p", 1, "Basic eA==")),
        )


class TunnelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.wire = Wire(self.network.reactor)
        self.tunnel = self.wire.protocol = Tunnel(b"CONNECT\r\n\r\n")
        self.tunnel.makeConnection(self.wire)
        self.opened = self.tunnel.opened()

    def refusal(self) -> UpstreamError:
        self.network.settle()
        self.assertTrue(self.wire.closed)
        return self.failureResultOf(self.opened, UpstreamError).value

    def test_through(self) -> None:
        """After a 2xx, in pieces and behind a 1xx, the inner protocol has the socket."""
        self.assertEqual(self.wire.value(), b"CONNECT\r\n\r\n")
        self.wire.receive(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 Conn")
        self.assertNoResult(self.opened)
        self.wire.receive(b"ected\r\nContent-Length: 5\r\n\r\n")
        self.successResultOf(self.opened)
        inside = Factory.forProtocol(AccumulatingProtocol)
        inside.protocolConnectionMade = None
        inner = self.tunnel.enter(inside)
        self.wire.receive(b"abc")
        self.wire.end()
        self.assertEqual((inner.data, inner.closed), (b"abc", 1))

    def test_refused(self) -> None:
        """A refusal names its status."""
        self.wire.receive(b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n")
        refusal = self.refusal()
        self.assertIs(refusal.reason, Reason.CONNECT)
        self.assertIn("407", refusal.detail)

    def test_strange_answers(self) -> None:
        """No HTTP, and bytes before we spoke, are refused."""
        for answer in (b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"):
            self.setUp()
            self.wire.receive(answer)
            self.assertIs(self.refusal().reason, Reason.CONNECT)

    def test_closed(self) -> None:
        """A proxy that hangs up fails the tunnel."""
        self.wire.end(ConnectionLost())
        self.failureResultOf(self.opened, ConnectionLost)
        self.assertRaises(UpstreamError, self.tunnel.enter, Factory.forProtocol(Protocol))

    def test_cancel(self) -> None:
        """Cancelling closes the socket."""
        self.opened.cancel()
        self.failureResultOf(self.opened)
        self.assertTrue(self.wire.aborted)
