"""Streams to a host: what is dialled, what is asked of a proxy, what is judged."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.internet.protocol import Factory
from twisted.internet.testing import AccumulatingProtocol
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress, Reach
from aimirror.interfaces import UpstreamError
from tests.upstream.network import Network, Wire

REPLY = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


def factory() -> Factory:
    made = Factory.forProtocol(AccumulatingProtocol)
    made.protocolConnectionMade = None
    return made


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network({"proxy": ["10.9.9.9"], "inner": ["10.0.0.1"]})

    def open(self, egress: Egress, host: str = "host.example", port: int = 443):
        self.stream = self.network.agents.stream(host, port, egress, 10, factory())
        return self.stream

    def refusal(self) -> UpstreamError:
        return self.failureResultOf(self.stream, UpstreamError).value

    def accept(self) -> Wire:
        wire = self.network.accept()
        self.network.settle()
        return wire

    def test_direct(self) -> None:
        """Without a proxy the host itself is dialled."""
        self.open(Egress())
        self.assertEqual(self.network.dialled, [("93.184.216.34", 443)])
        wire = self.accept()
        wire.receive(b"hello")
        self.assertEqual(self.successResultOf(self.stream).data, b"hello")

    def test_judged(self) -> None:
        """Inner addresses are refused before anything is dialled."""
        for host in ("inner", "127.0.0.1", "localhost", "::1"):
            self.open(Egress(), host)
            self.assertIs(self.refusal().reason, Reason.FORBIDDEN)
        self.open(Egress(reach=Reach(refused=(ip_network("93.184.0.0/16"),))))
        self.assertIs(self.refusal().reason, Reason.FORBIDDEN)
        self.assertEqual(self.network.dialled, [])

    def test_socks_by_address(self) -> None:
        """With socks5:// the address that was judged is what the proxy is asked for."""
        self.open(Egress("socks5://proxy"))
        self.assertEqual(self.network.dialled, [("10.9.9.9", 1080)])
        wire = self.accept()
        wire.receive(b"\x05\x00")
        self.assertEqual(wire.taken()[3:], b"\x05\x01\x00\x01\x5d\xb8\xd8\x22\x01\xbb")
        wire.receive(REPLY + b"early")
        self.assertEqual(self.successResultOf(self.stream).data, b"early")
        self.open(Egress("socks5://proxy"), "inner")
        self.assertIs(self.refusal().reason, Reason.FORBIDDEN)

    def test_socks_next_address(self) -> None:
        """With socks5:// the next address is asked for where the proxy can't reach the first."""
        self.network.names["two.example"] = ["93.184.216.34", "93.184.216.35"]
        for status, further in ((4, True), (2, False)):
            stream = self.open(Egress("socks5://proxy"), "two.example")
            dead, before = self.accept(), len(self.network.dialled)
            dead.receive(b"\x05\x00\x05" + bytes([status]) + REPLY[2:])
            self.network.settle()
            self.assertTrue(dead.closed)
            self.assertEqual(len(self.network.dialled) - before, int(further))
            if not further:
                self.assertIn("not allowed", self.refusal().detail)
                continue
            wire = self.accept()
            wire.receive(b"\x05\x00")
            self.assertEqual(wire.taken()[3:], b"\x05\x01\x00\x01\x5d\xb8\xd8\x23\x01\xbb")
            wire.receive(REPLY)
            self.successResultOf(stream)

    def test_socks_by_name(self) -> None:
        """With socks5h:// the name is for the proxy to resolve; literal addresses are judged."""
        self.open(Egress("socks5h://proxy"), "inner")
        wire = self.accept()
        wire.receive(b"\x05\x00")
        self.assertEqual(wire.taken()[3:], b"\x05\x01\x00\x03\x05inner\x01\xbb")
        self.assertEqual(self.network.asked, ["proxy"])
        self.open(Egress("socks5h://proxy"), "10.0.0.1")
        self.assertIs(self.refusal().reason, Reason.FORBIDDEN)

    def test_proxy_refuses(self) -> None:
        """What a proxy says is told as the proxy's word, and its socket is closed."""
        self.open(Egress("socks5://u:geheim@proxy"))
        wire = self.accept()
        wire.receive(b"\x05\xff")
        error = self.refusal()
        self.assertIs(error.reason, Reason.CONNECT)
        self.assertIn("the upstream proxy", error.detail)
        self.assertNotIn("geheim", error.detail)
        self.network.settle()
        self.assertTrue(wire.closed)

    def test_proxy_away(self) -> None:
        """A proxy that can't be reached is named."""
        self.open(Egress("http://u:geheim@proxy:3128"))
        self.network.refuse()
        self.assertIn("the upstream proxy proxy", self.refusal().detail)

    def test_round_the_proxy(self) -> None:
        """Hosts of no_proxy are dialled and judged themselves."""
        self.open(Egress("http://proxy:1", ANYWHERE, ("inner:443",)), "inner")
        self.assertEqual(self.network.dialled, [("10.0.0.1", 443)])

    def test_tunnels_take_the_secure_proxy(self) -> None:
        """Of two proxies a stream crosses the one for https."""
        self.open(Egress("http://proxy:1", plain_proxy="http://other:2"))
        self.assertEqual(self.network.asked, ["proxy"])

    def test_time_out(self) -> None:
        """A proxy that says nothing is given up."""
        self.open(Egress("socks5://proxy"))
        wire = self.accept()
        self.network.reactor.advance(10)
        self.assertIn("timed out", self.refusal().detail)
        self.network.settle()
        self.assertTrue(wire.closed)

    def test_cancelled(self) -> None:
        """Cancelling closes the socket, whatever step it is in."""
        self.open(Egress("http://proxy:1"))
        wire = self.accept()
        self.stream.cancel()
        self.failureResultOf(self.stream)
        self.network.settle()
        self.assertTrue(wire.closed)
