"""An upstream's answer on its way to the one client that it belongs to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.answers import Answer
from aimirror.server.relay import relay
from aimirror.server.request import MirrorRequest
from tests.mirror.support import Played
from tests.server.support import GET, connect


class RelayTests(SynchronousTestCase):
    def test_changed_on_the_way(self) -> None:
        """``feed`` and ``end`` may change a body, whose length then is not told."""
        played = Played(200, "Content-Length: 6", body=None)

        async def handler(request: MirrorRequest) -> Answer | None:
            await relay(request, played, played.headers, bytes.upper, lambda: b"!")
            return None

        client = connect(handler)
        client.send(GET)
        for piece in (b"abc", b"", b"def"):
            played.data(piece)
        played.end()
        status, headers, body = client.answer()
        self.assertEqual((status, body), (200, b"ABCDEF!"))
        self.assertNotIn("content-length", headers)

    def test_client_gone_before(self) -> None:
        """For a client that has left meanwhile nothing is read."""
        played = Played(200, body=None)

        async def handler(request: MirrorRequest) -> Answer | None:
            client.wire.lose()
            await relay(request, played, played.headers)
            return None

        client = connect(handler)
        client.send(GET)
        self.assertTrue(played.aborted)
