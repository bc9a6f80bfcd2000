"""One request: which fields its answer has, whoever made them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.http.origin_wide import CONFINED, ORIGIN_WIDE
from aimirror.server.answers import Answer
from aimirror.server.request import MirrorRequest
from tests.server.support import GET, connect

#: One of each field, and some that only sound like them.
KEPT = ("X-Frame-Options", "Link", "ETag", "X-Linked-Etag")
GIVEN = Headers(
    [
        *((name.title(), "evil") for name in ORIGIN_WIDE),
        *((name, "kept") for name in KEPT),
        ("X-Content-Type-Options", "sniff"),
        ("Content-Type", "text/html"),
    ]
)


class FieldsTests(SynchronousTestCase):
    def fields(self, start: bool, **attributes: object) -> Headers:
        """What a client gets of an answer with all these fields."""

        async def handler(request: MirrorRequest) -> Answer | None:
            for name, value in attributes.items():
                setattr(request, name, value)
            if start:
                request.start(200, GIVEN, 0)
                request.finish()
                return None
            return Answer(status=200, headers=GIVEN, body=b"x", memo_until=2e9)

        client = connect(handler)
        client.send(GET + GET)
        first, second = client.answers()
        self.assertEqual(first[1], second[1])  # the memo's, too
        return first[1]

    def test_mirrored(self) -> None:
        """What an upstream says of its whole origin is not passed on, by whatever way it goes."""
        for start in (False, True):
            headers = self.fields(start)
            for name in ORIGIN_WIDE.keys() - {"content-security-policy"}:
                self.assertNotIn(name, headers)
            for name, value in CONFINED:
                self.assertEqual(headers.get_all(name), (value,))
            for name in KEPT:
                self.assertEqual(headers.get(name), "kept")

    def test_open(self) -> None:
        """Where a rule allows it pages of any site may read an answer, by the mirror's own word."""
        for start in (False, True):
            for open in (False, True):
                headers = self.fields(start, open=open)
                told = headers.get_all("access-control-allow-origin")
                self.assertEqual(told, ("*",) if open else ())
                self.assertNotIn("access-control-allow-credentials", headers)

    def test_proxied(self) -> None:
        """A client that has us for a proxy sees the upstream's own origin, with all its words."""
        headers = self.fields(False, proxied="http://upstream.test")
        for name in ORIGIN_WIDE.keys() - {"alt-svc"}:
            self.assertEqual(headers.get_all(name), ("evil",), name)

    def test_own(self) -> None:
        """What the mirror says itself is not confined."""
        headers = self.fields(False, mirrored=False)
        self.assertEqual(headers.get("content-security-policy"), "evil")
