"""Request bodies on their way out."""

from twisted.internet.defer import CancelledError
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.bodies import WatchedBody
from tests.upstream.network import Upload


class WatchedBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.moves: list[None] = []
        self.upload = Upload(5)
        self.body = WatchedBody(self.upload, lambda: self.moves.append(None))
        self.wire = StringTransport()

    def test_writes(self) -> None:
        """Each write moves the clock; an empty one, which would end a chunked body, is dropped."""
        done = self.body.startProducing(self.wire)
        for data in (b"ab", b"", b"c"):
            self.upload.write(data)
        self.assertEqual((self.wire.value(), len(self.moves)), (b"abc", 3))
        self.upload.done.callback(None)
        self.successResultOf(done)

    def test_failure(self) -> None:
        """A body that fails fails the request."""
        done = self.body.startProducing(self.wire)
        self.upload.done.errback(ValueError())
        self.failureResultOf(done, ValueError)

    def test_cancel(self) -> None:
        """Cancelling stops the body, once, and what it says afterwards is not heard."""
        done = self.body.startProducing(self.wire)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.body.stopProducing()
        self.assertEqual(self.upload.calls, ["stop"])
        self.upload.done.errback(ValueError())

    def test_back_pressure(self) -> None:
        """Pauses reach the body."""
        self.body.pauseProducing()
        self.body.resumeProducing()
        self.assertEqual(self.upload.calls, ["pause", "resume"])
