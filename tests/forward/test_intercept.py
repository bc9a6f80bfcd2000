"""TLS that ends here, over real sockets of the loopback."""

from __future__ import annotations

from attrs import evolve
from OpenSSL import SSL
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS

from aimirror.forward.authority import make, now
from aimirror.forward.contexts import LeafContexts
from aimirror.forward.intercept import Interceptor
from aimirror.forward.policy import HostPattern, parse_pattern, secure_origins
from aimirror.routing.rules import Rule
from aimirror.server.access import Limits
from tests.forward.support import Peer, ProxyCase

PYPI = Rule(name="pypi", upstreams=("https://pypi.example",), path_prefix="/simple")
AUTHORITY = make(["pypi.example"], now())
ROOT = Certificate.loadPEM(AUTHORITY.pem)


class InterceptCase(ProxyCase):
    def intercept(
        self, *rules: Rule, pinned: tuple[HostPattern, ...] = (), allow: tuple[str, ...] = ()
    ) -> None:
        rules = rules or (PYPI,)
        contexts = LeafContexts(AUTHORITY, now)
        interceptor = Interceptor(contexts, secure_origins(rules), pinned)
        self.start(rules=rules, allow=allow, interceptor=interceptor)

    async def inside(
        self, host: str = "pypi.example", port: int = 443, protocols: tuple[bytes, ...] = ()
    ) -> Peer:
        """A client that begins TLS with what it takes for the host."""
        peer = await self.client(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.sees(b"200 Connection established\r\n\r\n")
        peer.received = b""
        peer.transport.startTLS(
            optionsForClientTLS(host, trustRoot=ROOT, acceptableProtocols=list(protocols) or None)
        )
        return peer


class RequestTests(InterceptCase):
    async def test_rule(self) -> None:
        """A request inside goes to the rule, under the mirror's own key; so does the next one."""
        self.intercept()
        peer = await self.inside(protocols=(b"h2", b"http/1.1"))
        for name in ("a", "b"):
            peer.send(b"GET /simple/%s/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n" % name.encode())
            await peer.sees(b"rule")
            peer.received = b""
        self.assertEqual(peer.transport.protocol.negotiatedProtocol, b"http/1.1")
        self.assertEqual(
            self.routed,
            [
                ("https://pypi.example", f"/simple/{name}/", f"https://pypi.example/simple/{name}/")
                for name in ("a", "b")
            ],
        )

    async def test_hosts(self) -> None:
        """All that is said inside must be for the host that the tunnel is for."""
        self.intercept()
        for said, status in (
            ("GET /simple/ HTTP/1.1\r\nHost: PyPI.example:443\r\n\r\n", 200),
            ("GET https://pypi.example/simple/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 200),
            ("GET /simple/ HTTP/1.0\r\n\r\n", 200),
            ("GET /simple/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
            ("GET /simple/ HTTP/1.1\r\nHost: pypi.example:8443\r\n\r\n", 421),
            ("GET http://pypi.example/simple/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 421),
            ("GET https://evil.example/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 421),
            ("CONNECT pypi.example:443 HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 400),
            ("OPTIONS * HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 400),
            ("GET /simple/../health HTTP/1.1\r\nHost: pypi.example\r\n\r\n", 400),
        ):
            peer = await self.inside()
            peer.send(said.encode())
            await peer.sees(b"\r\n\r\n")
            self.assertTrue(
                peer.received.startswith(b"HTTP/1.1 %d " % status), (said, peer.received)
            )
            peer.transport.abortConnection()

    async def test_not_the_mirror(self) -> None:
        """The mirror's own pages are not the host's."""
        self.intercept()
        peer = await self.inside()
        peer.send(b"GET /simple/health HTTP/1.1\r\nHost: pypi.example\r\n\r\n")
        await peer.sees(b"rule")

    async def test_client_of_another_trust(self) -> None:
        """A client that does not trust the authority gets no byte of an answer."""
        self.intercept()
        peer = await self.client("CONNECT pypi.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.sees(b"\r\n\r\n")
        peer.transport.startTLS(optionsForClientTLS("pypi.example"))
        peer.send(b"GET /simple/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n")
        await peer.closed()
        self.assertTrue(peer.lost.check(SSL.Error))
        self.assertEqual(self.routed, [])


class TunnelledTests(InterceptCase):
    async def test_others(self) -> None:
        """What is pinned, beyond the authority or no rule's is tunnelled, though allowed."""
        here = f"https://127.0.0.1:{self.port}"
        for rules, pinned, allow in (
            ((PYPI, evolve(PYPI, name="b", upstreams=(here,))), (), ()),
            ((PYPI,), (), (f"127.0.0.1:{self.port}",)),
            (
                (evolve(PYPI, upstreams=(here,)),),
                (parse_pattern(f"127.0.0.1:{self.port}"),),
                (),
            ),
        ):
            self.intercept(*rules, pinned=pinned, allow=allow)
            near, far = await self.tunnel()
            near.send(b"\x16\x03\x01")
            await far.sees(b"\x16\x03\x01")

    async def test_pinned(self) -> None:
        """Pinning goes before the authority."""
        self.intercept(pinned=(HostPattern("pypi.example"),))
        answer = await self.ask("CONNECT pypi.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)  # it does not resolve
        self.assertEqual(self.asked, ["pypi.example"])


class HandshakeTests(InterceptCase):
    async def test_never_ends(self) -> None:
        """A handshake that stops in the middle is cut, and leaves nothing behind."""
        self.intercept()
        self.site.limits = Limits(head_time=1.0)
        for began in (b"", b"\x16\x03\x01\x02\x00\x01"):
            peer = await self.client("CONNECT pypi.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.sees(b"\r\n\r\n")
            peer.send(began)
            await peer.closed()
        while self.site.channels:
            await self.pause()

    async def test_no_tls(self) -> None:
        """Whoever speaks no TLS inside is cut off without an answer."""
        self.intercept()
        peer = await self.client("CONNECT pypi.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.sees(b"\r\n\r\n")
        peer.received = b""
        peer.send(b"GET /simple/ HTTP/1.1\r\nHost: pypi.example\r\n\r\n")
        await peer.until(lambda: peer.ended or peer.lost is not None)
        self.assertNotIn(b"HTTP", peer.received)
        self.assertEqual(self.routed, [])

    async def test_old_tls(self) -> None:
        """TLS 1.1 is not spoken."""
        self.intercept()
        peer = await self.client("CONNECT pypi.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        await peer.sees(b"\r\n\r\n")
        options = CertificateOptions()
        options.getContext().set_options(SSL.OP_NO_TLSv1_3 | SSL.OP_NO_TLSv1_2)
        peer.transport.startTLS(options)
        await peer.closed()
        self.assertTrue(peer.lost.check(SSL.Error))
