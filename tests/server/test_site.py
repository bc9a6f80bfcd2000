"""The site's tree, the hook for forward proxying, and its connections."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IRequest
from zope.interface.verify import verifyObject

from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from tests.server.support import answer, connect


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
