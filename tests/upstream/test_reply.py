"""The body protocol's view of a response."""

import gc
import weakref

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface.verify import verifyObject

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.reply import Reply
from tests.upstream.network import Network, get


class _Body(Protocol):
    ended: Failure | None = None

    def connectionLost(self, reason: Failure) -> None:
        self.ended = reason


class ReplyTests(SynchronousTestCase):
    def reply(self, data: bytes) -> Reply:
        self.network = Network()
        sending = self.network.agents.send(get())
        self.wire = self.network.accept()
        self.wire.receive(data)
        return self.successResultOf(sending)

    def body(self, data: bytes) -> _Body:
        body = _Body()
        self.reply(data).deliverBody(body)
        return body

    def test_interfaces(self) -> None:
        """It is a response for treq and a transport for the body protocol."""
        reply = self.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        verifyObject(IResponse, reply)
        verifyObject(IPushProducer, reply)
        self.assertEqual((reply.code, reply.length, reply.phrase), (200, 9, b"OK"))

    def test_cut(self) -> None:
        """A body protocol can close the socket at once, by any of the names it knows."""
        for name in ("abortConnection", "loseConnection", "stopProducing"):
            body = self.body(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
            getattr(body.transport, name)()
            self.assertTrue(self.wire.aborted)
            self.network.settle()
            assert body.ended is not None
            self.assertIs(
                body.ended.trap(UpstreamError) and body.ended.value.reason, Reason.CANCELLED
            )

    def test_flow(self) -> None:
        """A body protocol can pause and resume the socket."""
        body = self.body(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        body.transport.pauseProducing()
        self.assertEqual(self.wire.producerState, "paused")
        body.transport.resumeProducing()
        self.assertEqual(self.wire.producerState, "producing")

    def test_ends(self) -> None:
        """Complete bodies end as Twisted's do, all others with an UpstreamError."""
        body = self.body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")
        self.assertTrue(body.ended and body.ended.check(ResponseDone))
        body = self.body(b"HTTP/1.1 200 OK\r\n\r\nab")
        self.wire.end()
        self.assertTrue(body.ended and body.ended.check(PotentialDataLoss))
        body = self.body(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        self.wire.end()
        self.assertTrue(body.ended and body.ended.check(UpstreamError))

    def test_garbage(self) -> None:
        """Once its body is over, it goes with its last user: nothing is left for the collector."""
        for data in (b"ab", b"a"):
            body = self.body(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + data)
            if body.ended is None:
                self.wire.receive(b"b")
            gc.disable()
            try:
                reply = weakref.ref(body.transport)
                del body.transport
                self.assertIsNone(reply())
            finally:
                gc.enable()
