"""The body of a request as an IBodyProducer."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface.verify import verifyObject

from aimirror.server.gone import ClientGone
from aimirror.server.head import BadRequest
from aimirror.server.upload import BodyUnwanted, RequestBody


class Consumer:
    """Notes what it gets; pauses after each piece when told to."""

    def __init__(self, body: RequestBody, pausing: bool = False) -> None:
        self.pieces: list[bytes] = []
        self._body = body
        self._pausing = pausing

    def write(self, data: bytes) -> None:
        self.pieces.append(data)
        if self._pausing:
            self._body.pauseProducing()


class RequestBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reading: list[bool] = []
        self.body = self.make(6)

    def make(self, length: int | None) -> RequestBody:
        body = RequestBody(length, lambda: self.reading.append(body.reading))
        return body

    def start(self, pausing: bool = False) -> tuple[Consumer, Deferred[None]]:
        consumer = Consumer(self.body, pausing)
        return consumer, self.body.startProducing(consumer)

    def test_interface(self) -> None:
        """It is what an Agent takes, with the length that an Agent asks for."""
        verifyObject(IBodyProducer, self.body)
        self.assertEqual(self.body.length, 6)
        self.assertEqual(self.make(None).length, UNKNOWN_LENGTH)

    def test_early_bytes(self) -> None:
        """Bytes that came before anybody asked are given first; it fires at the end."""
        self.body.feed(b"abc")
        consumer, done = self.start()
        self.body.feed(b"def")
        self.assertNoResult(done)
        self.body.end()
        self.successResultOf(done)
        self.assertEqual(consumer.pieces, [b"abc", b"def"])
        self.assertFalse(self.body.reading)

    def test_all_early(self) -> None:
        """A body that was complete before anybody asked is given at once."""
        self.body.feed(b"abcdef")
        self.body.end()
        consumer, done = self.start()
        self.successResultOf(done)
        self.assertEqual(consumer.pieces, [b"abcdef"])

    def test_pausing(self) -> None:
        """A paused consumer gets nothing, and the end only after the rest."""
        consumer, done = self.start(pausing=True)
        self.body.feed(b"abc")
        self.assertFalse(self.body.reading)
        self.body.feed(b"def")
        self.body.end()
        self.assertEqual(consumer.pieces, [b"abc"])
        self.body.resumeProducing()
        self.assertEqual(consumer.pieces, [b"abc", b"def"])
        self.assertNoResult(done)
        self.body.resumeProducing()
        self.successResultOf(done)

    def test_reading(self) -> None:
        """Nothing is read from the client before it is started, nor while it is paused."""
        self.assertFalse(self.body.reading)
        self.start()
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.body.stopProducing()
        self.assertEqual(self.reading, [True, False, True, True])

    def test_once(self) -> None:
        """It can't be read twice."""
        self.start()
        self.assertRaises(RuntimeError, self.start)

    def test_stop(self) -> None:
        """Whoever stops hears no more; the rest is thrown away."""
        consumer, done = self.start()
        self.body.stopProducing()
        self.body.feed(b"abcdef")
        self.body.end()
        self.assertNoResult(done)
        self.assertEqual(consumer.pieces, [])

    def test_cancel(self) -> None:
        """Cancelling the Deferred stops."""
        consumer, done = self.start()
        done.addErrback(lambda _: None)
        done.cancel()
        self.body.feed(b"abc")
        self.assertEqual(consumer.pieces, [])

    def test_failures(self) -> None:
        """A lost client, a broken chunk, an answer that was quicker: each fails its own way."""
        for break_it, kind in (
            (lambda: self.body.lose(), ClientGone),
            (lambda: self.body.discard(), BodyUnwanted),
            (lambda: self.body.end(Failure(BadRequest(400, "chunk"))), BadRequest),
        ):
            self.body = self.make(6)
            _, done = self.start()
            self.body.feed(b"abc")
            break_it()
            self.failureResultOf(done, kind)

    def test_lost_before_start(self) -> None:
        """A body that broke before anybody asked fails when it is asked for."""
        self.body.feed(b"abc")
        self.body.lose()
        _, done = self.start()
        self.failureResultOf(done, ClientGone)

    def test_lost_after_end(self) -> None:
        """A complete body stays complete when the client leaves."""
        self.body.feed(b"abcdef")
        self.body.end()
        self.body.lose()
        _, done = self.start()
        self.successResultOf(done)
