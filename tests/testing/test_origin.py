"""The scripted origin on real sockets of 127.0.0.1."""

import hashlib
from collections.abc import Iterable

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from aimirror.testing import client
from aimirror.testing.behaviour import pattern
from aimirror.testing.origin import Origin


class OriginTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.origin = Origin(reactor)
        self.addCleanup(self.origin.close)
        self.port = self.origin.listen()

    def ask(
        self,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        method: str = "GET",
        body: bytes = b"",
    ) -> Deferred[client.Reply]:
        return deferToThread(client.request, self.port, target, headers, method=method, body=body)

    async def test_large_body_and_counts(self) -> None:
        """A large body arrives whole; the counts say what really was sent."""
        content = pattern(5_000_001)
        self.origin.put("/big", content)
        reply = await self.ask("/big")
        await self.ask("/big", [("Range", "bytes=10-19")])
        await self.ask("/big", method="HEAD")
        count = self.origin.count("/big")
        self.assertEqual(reply.sha256, hashlib.sha256(content).hexdigest())
        self.assertEqual(
            (count.requests, count.ranged, count.heads, count.connections), (2, 1, 1, 3)
        )
        self.assertEqual(count.body_bytes, len(content) + 10)

    async def test_framings(self) -> None:
        """Chunks, an end by closing, and slowness change no byte."""
        content = pattern(300_000)
        self.origin.put("/chunked", content, framing="chunked")
        self.origin.put("/close", content, framing="close")
        self.origin.put("/slow", content, rate=1_000_000, delay=0.01)
        for path in ("/chunked", "/close", "/slow"):
            reply = await self.ask(path)
            self.assertEqual(reply.body, content, path)

    async def test_cut_body(self) -> None:
        """A short body ends in a broken connection after exactly the bytes that the script says."""
        content = pattern(3_000_000)
        for ending in ("reset", "close"):
            self.origin.put("/cut", content, short=1_000, ending=ending)
            broken = await self.assertFailure(self.ask("/cut"), client.Broken)
            self.assertTrue(content.startswith(broken.received))
            self.assertEqual(self.origin.count("/cut").body_bytes, len(content) - 1_000)

    async def test_signed_redirect(self) -> None:
        """A signed URL is valid for its number of uses, on another port, and not without."""
        other = self.origin.listen()
        url = f"http://127.0.0.1:{other}/blob"
        self.origin.put("/file", redirect=url, signs=True, signed_uses=1)
        self.origin.put("/blob", b"content", needs_signature=True)
        location = (await self.ask("/file")).headers.get("Location") or ""
        self.assertTrue(location.startswith(url + "?"))
        target = location.removeprefix(f"http://127.0.0.1:{other}")
        statuses = [
            (await self.ask(each)).status for each in (target, target, "/blob", target + "0")
        ]
        self.assertEqual(statuses, [200, 403, 403, 403])

    async def test_control(self) -> None:
        """A script over HTTP is served, and its counts are told."""
        script = b'{"/s": {"text": "hello"}}'
        await self.ask("/_origin/script", method="POST", body=script)
        self.assertEqual((await self.ask("/s")).body, b"hello")
        counts = (await self.ask("/_origin/counts")).json()
        self.assertEqual(counts["/s"]["requests"], 1)

    async def test_echo(self) -> None:
        """The echo names the raw target, the header and the digest of the body."""
        reply = await self.ask("/_origin/echo/a%2Fb?a=1&a=2", [("X-A", "b")], "PUT", b"abc")
        said = reply.json()
        self.assertEqual((said["method"], said["target"]), ("PUT", "/_origin/echo/a%2Fb?a=1&a=2"))
        self.assertEqual(said["sha256"], hashlib.sha256(b"abc").hexdigest())
        self.assertIn(["X-A", "b"], said["headers"])
