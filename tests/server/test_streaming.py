"""copy: sends what a reader reads, and closes the reader in any case."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.http.headers import Headers
from aimirror.interfaces import BodyFailed
from aimirror.server.request import MirrorRequest
from aimirror.server.streaming import copy
from tests.server.support import GET, GrowingBody, connect

DATA = b"abcdefghij"


class CopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.body = GrowingBody(DATA, size=len(DATA))
        self.addCleanup(self.body.close)
        self.sent: list[Deferred[None]] = []

        async def handler(request: MirrorRequest) -> None:
            request.start(200, Headers(), len(DATA))
            sending = Deferred.fromCoroutine(copy(request, self.body.reader(0, None)))
            request.notifyFinish().addErrback(lambda _: sending.cancel())
            self.sent.append(sending)

        self.client = connect(handler)
        self.client.send(GET)

    def test_whole(self) -> None:
        """It returns when all was handed over."""
        self.body.grow(0, 5)
        self.assertNoResult(self.sent[0])
        self.body.grow(5, 10)
        self.successResultOf(self.sent[0])
        self.assertEqual(self.client.answer()[2], DATA)
        self.assertTrue(self.body.all_closed)

    def test_failure(self) -> None:
        """A failed body is the caller's to explain."""
        self.body.grow(0, 5)
        self.body.fail()
        self.failureResultOf(self.sent[0], BodyFailed)
        self.assertTrue(self.body.all_closed)

    def test_leaving(self) -> None:
        """A client that leaves ends it."""
        self.client.wire.lose()
        self.failureResultOf(self.sent[0], CancelledError)
        self.assertTrue(self.body.all_closed)

    def test_cancel(self) -> None:
        """Cancelling stops it."""
        self.sent[0].cancel()
        self.failureResultOf(self.sent[0], CancelledError)
        self.assertTrue(self.body.all_closed)
