"""By which address a client came, and whom one believes about that."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.access import among
from aimirror.server.answers import Answer
from aimirror.server.base_url import base_url
from aimirror.server.request import MirrorRequest
from tests.server.support import answer, connect

PROXIES = (ip_network("192.0.2.0/24"), ip_network("::1/128"))


class BaseUrlTests(SynchronousTestCase):
    def told(self, *fields: str, public_host: str = "", proxies: tuple = (), host: str = "") -> str:
        async def handler(request: MirrorRequest) -> Answer:
            return answer(base_url(request, public_host, proxies).encode())

        client = connect(handler)
        lines = ["GET / HTTP/1.1", f"Host: {host or 'mirror.test:8081'}", *fields, "", ""]
        client.send("\r\n".join(lines).encode())
        return client.answer()[2].decode()

    def test_host(self) -> None:
        """It is Host; what strangers say of forwarding means nothing."""
        self.assertEqual(self.told(), "http://mirror.test:8081")
        self.assertEqual(self.told(host="[::1]:80"), "http://[::1]:80")
        for field in ("Forwarded: host=evil.test", "X-Forwarded-Host: evil.test"):
            self.assertEqual(self.told(field), "http://mirror.test:8081")

    def test_no_host(self) -> None:
        """Without Host it is the address that was connected to."""

        async def handler(request: MirrorRequest) -> Answer:
            return answer(base_url(request).encode())

        client = connect(handler)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answer()[2], b"http://10.0.0.1:12345")

    def test_trusted_proxy(self) -> None:
        """A trusted proxy's word counts, the nearest one's of several."""
        for fields, url in (
            (["Forwarded: for=a;proto=https;host=pub.test"], "https://pub.test"),
            (['Forwarded: host=x.test, Proto=HTTPS; Host="pub.test:444"'], "https://pub.test:444"),
            (["X-Forwarded-Proto: https"], "https://mirror.test:8081"),
            (["X-Forwarded-Proto: http, https", "X-Forwarded-Host: pub.test"], "https://pub.test"),
            (["X-Forwarded-Host: evil.test, pub.test"], "http://pub.test"),
            ([], "http://mirror.test:8081"),
        ):
            self.assertEqual(self.told(*fields, proxies=PROXIES), url, fields)

    def test_prefix(self) -> None:
        """A trusted proxy may have put the mirror below a path of its own."""
        for told in ("/a/mirror", "/a/mirror/", "/x, /a/mirror"):
            field = f"X-Forwarded-Prefix: {told}"
            self.assertEqual(self.told(field, proxies=PROXIES), "http://mirror.test:8081/a/mirror")
            self.assertEqual(self.told(field), "http://mirror.test:8081")
        for told in ("//evil.test", "/..", "/a/../b", "mirror", "/", '/"><script>', "/a b"):
            field = f"X-Forwarded-Prefix: {told}"
            self.assertEqual(self.told(field, proxies=PROXIES), "http://mirror.test:8081", told)

    def test_nonsense(self) -> None:
        """What can't stand in a URL is not taken even from a trusted proxy."""
        for field in (
            'X-Forwarded-Host: a"><script>',
            "X-Forwarded-Host: user@a.test",
            "X-Forwarded-Proto: javascript",
            "Forwarded: nonsense",
        ):
            self.assertEqual(self.told(field, proxies=PROXIES), "http://mirror.test:8081", field)

    def test_public_host(self) -> None:
        """The configured host has the first word; the scheme is the client's unless it is told."""
        self.assertEqual(self.told(public_host="pub.test"), "http://pub.test")
        self.assertEqual(self.told(public_host="https://pub.test/"), "https://pub.test")
        self.assertEqual(
            self.told("X-Forwarded-Proto: https", public_host="pub.test", proxies=PROXIES),
            "https://pub.test",
        )

    def test_networks(self) -> None:
        """An IPv4 client of an IPv6 socket is the same client; a UNIX socket is nobody."""
        for peer, verdict in (
            ("192.0.2.9", True),
            ("::ffff:192.0.2.9", True),
            ("::1", True),
            ("192.0.3.1", False),
            ("unix", False),
        ):
            self.assertIs(among(peer, PROXIES), verdict, peer)
