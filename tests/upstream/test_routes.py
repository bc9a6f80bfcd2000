"""Which way a request takes."""

from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.egress import ANYWHERE, Egress, Reach, Zone
from aimirror.http.targets import parse_target
from aimirror.interfaces import UpstreamError
from aimirror.upstream.connection import Connection
from aimirror.upstream.dialing import Dialer
from aimirror.upstream.routes import Route
from aimirror.upstream.trust import Policies
from tests.upstream.network import Network

PROXY = "http://u:secret@proxy:3128"


class _Connections(Factory):
    def buildProtocol(self, addr: object) -> Connection:
        return Connection(lambda _connection: None)


class RouteTests(SynchronousTestCase):
    def route(self, url: str, egress: Egress) -> Route:
        self.network = Network({"proxy": ["10.9.9.9"], "inside": ["127.0.0.1"]})
        reactor = self.network.reactor
        dialer = Dialer(reactor, self.network.resolve)
        return Route(reactor, dialer, Policies(), parse_target(url), egress, 10)

    def test_direct(self) -> None:
        """Without a proxy the target is dialled, and its zone known."""
        route = self.route("http://inside:81/", Egress(reach=ANYWHERE))
        connecting = route.connect(_Connections())
        self.assertEqual(self.network.dialled, [("127.0.0.1", 81)])
        self.network.accept()
        self.assertIs(route.zone(self.successResultOf(connecting)), Zone.LOOPBACK)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_proxy(self) -> None:
        """The proxy is dialled wherever it is, by the administrator's word."""
        route = self.route("http://one.example/", Egress(PROXY))
        connecting = route.connect(_Connections())
        self.assertEqual(self.network.dialled, [("10.9.9.9", 3128)])
        self.network.accept()
        self.assertIs(route.zone(self.successResultOf(connecting)), Zone.PUBLIC)

    def test_bypass(self) -> None:
        """A host of no_proxy is dialled directly and judged."""
        egress = Egress(PROXY, Reach(), no_proxy=("inside",))
        connecting = self.route("http://inside/", egress).connect(_Connections())
        failure = self.failureResultOf(connecting, UpstreamError)
        self.assertIs(failure.value.reason, Reason.FORBIDDEN)

    def test_judged_before_the_proxy(self) -> None:
        """Literal addresses and localhost are judged though the proxy would dial them."""
        for host in ("169.254.169.254", "127.0.0.1", "[::1]", "localhost", "x.localhost."):
            for scheme in ("http", "https"):
                route = self.route(f"{scheme}://{host}/", Egress(PROXY))
                failure = self.failureResultOf(route.connect(_Connections()), UpstreamError)
                self.assertIs(failure.value.reason, Reason.FORBIDDEN)
                self.assertEqual(self.network.dialled, [])

    def test_tunnel_refused(self) -> None:
        """A refused CONNECT is told by status and host, without the proxy's credentials."""
        connecting = self.route("https://one.example/", Egress(PROXY)).connect(_Connections())
        wire = self.network.accept()
        self.assertIn(b"CONNECT one.example:443 HTTP/1.1\r\n", wire.value())
        self.assertIn(b"Proxy-Authorization: Basic ", wire.value())
        wire.receive(b"HTTP/1.1 403 No\r\n\r\n")
        error = self.failureResultOf(connecting, UpstreamError).value
        self.assertIs(error.reason, Reason.CONNECT)
        self.assertEqual(error.detail, "one.example: the upstream proxy answered 403")

    def test_time_out(self) -> None:
        """Connect, tunnel and handshake together have the connect time-out."""
        for url, egress, steps in (
            ("http://one.example/", Egress(reach=ANYWHERE), 0),
            ("https://one.example/", Egress(reach=ANYWHERE), 1),
            ("https://one.example/", Egress(PROXY), 1),
        ):
            connecting = self.route(url, egress).connect(_Connections())
            wires = [self.network.accept() for _ in range(steps)]
            self.network.reactor.advance(9)
            self.assertNoResult(connecting)
            self.network.reactor.advance(1)
            error = self.failureResultOf(connecting, UpstreamError).value
            self.assertIs(error.reason, Reason.CONNECT)
            self.network.settle()
            self.assertTrue(all(wire.closed for wire in wires))

    def test_admits(self) -> None:
        """An idle connection is judged again: it may lead where this request must not go."""
        route = self.route("http://inside/", Egress(reach=ANYWHERE))
        connecting = route.connect(_Connections())
        self.network.accept()
        connection = self.successResultOf(connecting)
        self.assertTrue(route.admits(connection))
        self.assertFalse(self.route("http://inside/", Egress()).admits(connection))

    def test_keys(self) -> None:
        """Connections are shared by origin; through a proxy, by all its http targets."""
        direct, proxied = Egress(reach=ANYWHERE), Egress(PROXY)

        def key(url: str, egress: Egress) -> object:
            return self.route(url, egress).key

        self.assertEqual(key("http://a/x", direct), key("http://A:80/y", direct))
        self.assertNotEqual(key("http://a/", direct), key("http://b/", direct))
        self.assertEqual(key("http://a/", direct), key("http://a/", Egress()))
        self.assertNotEqual(key("http://a/", direct), key("http://a/", proxied))
        self.assertEqual(key("http://a/", proxied), key("http://b/", proxied))
        self.assertNotEqual(key("https://a/", proxied), key("https://b/", proxied))
