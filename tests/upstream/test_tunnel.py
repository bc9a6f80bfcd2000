"""Crossing HTTP proxies."""

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import AccumulatingProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.proxies import parse_proxy
from aimirror.upstream.tunnel import ConnectCrossing, Tunnel
from tests.upstream.network import Network, Wire


class ConnectCrossingTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        """Host and port, credentials only where there are any."""
        self.assertEqual(
            ConnectCrossing("[::1]:443", parse_proxy("http://p:1")).begin(),
            b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
        )
        self.assertIn(
            b"\r\nProxy-Authorization: Basic dXNAcjpwOnc=\r\n",  # us@r:p:w
            ConnectCrossing("a:443", parse_proxy("http://us%40r:p:w@p:1")).begin(),
        )


@implementer(IHalfCloseableProtocol)
class HalfClosing(AccumulatingProtocol):
    def readConnectionLost(self) -> None:
        self.data += b"[end]"

    def writeConnectionLost(self) -> None:
        self.data += b"[ended]"


def factory(kind: type[Protocol] = AccumulatingProtocol) -> Factory:
    made = Factory.forProtocol(kind)
    made.protocolConnectionMade = None
    return made


class TunnelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.wire = Wire(self.network.reactor)
        self.tunnel = self.wire.protocol = Tunnel(ConnectCrossing("a:1", parse_proxy("http://p:1")))
        self.tunnel.makeConnection(self.wire)
        self.opened = self.tunnel.opened()

    def refusal(self) -> UpstreamError:
        self.network.settle()
        self.assertTrue(self.wire.closed)
        return self.failureResultOf(self.opened, UpstreamError).value

    def test_through(self) -> None:
        """After a 2xx, in pieces and behind a 1xx, the inner protocol has the socket."""
        self.assertTrue(self.wire.value().startswith(b"CONNECT a:1 "))
        self.wire.receive(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 Conn")
        self.assertNoResult(self.opened)
        self.wire.receive(b"ected\r\nContent-Length: 5\r\n\r\n")
        self.successResultOf(self.opened)
        inner = self.tunnel.enter(factory())
        self.wire.receive(b"abc")
        self.wire.end()
        self.assertEqual((inner.data, inner.closed), (b"abc", 1))

    def test_refused(self) -> None:
        """A refusal names its status."""
        self.wire.receive(b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n")
        refusal = self.refusal()
        self.assertIs(refusal.reason, Reason.CONNECT)
        self.assertIn("407: it wants a login", refusal.detail)

    def test_strange_answers(self) -> None:
        """What is not HTTP is refused."""
        self.wire.receive(b"SSH-2.0\r\n\r\n")
        self.assertIs(self.refusal().reason, Reason.CONNECT)

    def test_early(self) -> None:
        """Bytes of a host that speaks first reach the inner protocol."""
        self.wire.receive(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0")
        self.successResultOf(self.opened)
        self.assertEqual(self.tunnel.enter(factory()).data, b"SSH-2.0")

    def test_half_closed(self) -> None:
        """The end of one direction is told to an inner protocol that cares, and to no other."""
        self.wire.receive(b"HTTP/1.1 200 OK\r\n\r\n")
        self.tunnel.enter(factory())
        self.assertFalse(IHalfCloseableProtocol.providedBy(self.tunnel))
        self.setUp()
        self.wire.receive(b"HTTP/1.1 200 OK\r\n\r\n")
        inner = self.tunnel.enter(factory(HalfClosing))
        IHalfCloseableProtocol(self.tunnel).readConnectionLost()
        IHalfCloseableProtocol(self.tunnel).writeConnectionLost()
        self.assertEqual(inner.data, b"[end][ended]")

    def test_closed(self) -> None:
        """A proxy that hangs up fails the tunnel."""
        self.wire.end(ConnectionLost())
        self.failureResultOf(self.opened, ConnectionLost)
        self.assertRaises(UpstreamError, self.tunnel.enter, factory())

    def test_cancel(self) -> None:
        """Cancelling closes the socket."""
        self.opened.cancel()
        self.failureResultOf(self.opened)
        self.assertTrue(self.wire.aborted)
