"""The gate in front of Twisted's parser, and what goes back into the pool."""

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import Request
from twisted.web.http_headers import Headers

from aimirror.download.tasks import Reason
from aimirror.interfaces import UpstreamError
from aimirror.upstream.connection import EARLY_BODY, MAX_INTERIM, Connection
from aimirror.upstream.errors import HTTP2_ONLY, explain
from aimirror.upstream.incoming import Bare
from tests.upstream.network import Upload, Wire

#: An empty SETTINGS frame.
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.pooled: list[Connection] = []
        self.wire = Wire(self.reactor)
        self.connection = self.wire.protocol = Connection(self.pooled.append)
        self.connection.makeConnection(self.wire)

    def ask(self, method: bytes = b"GET", body: Upload | None = None) -> Deferred[object]:
        headers = Headers({"Host": ["h"]})
        if body is None:
            wire = method + b" / HTTP/1.1\r\nHost: h\r\n\r\n"
            return self.connection.exchange(Bare(method, headers, wire, persistent=True))
        return self.connection.exchange(Request(method, b"/", headers, body, persistent=True))

    def settle(self) -> None:
        self.reactor.pump([0, 0, 0])

    def reason(self, asked: Deferred[object]) -> Reason:
        self.settle()
        return explain(self.failureResultOf(asked).value).reason

    def test_kept(self) -> None:
        """After a whole response the connection is idle again and takes the next request."""
        for _ in range(2):
            asked = self.ask()
            self.wire.receive(EMPTY)
            self.successResultOf(asked)
        self.assertEqual(self.pooled, [self.connection] * 2)
        self.assertFalse(self.wire.closed)

    def test_header_in_pieces(self) -> None:
        """A header is read once it is whole, however it is cut."""
        asked = self.ask()
        for byte in EMPTY:
            self.assertNoResult(asked)
            self.wire.receive(bytes([byte]))
        self.successResultOf(asked)
        assert self.connection.head is not None
        self.assertEqual(self.connection.head.length, 0)

    def test_interim(self) -> None:
        """1xx responses are skipped, alone or together with the final one."""
        asked = self.ask()
        self.wire.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wire.receive(b"HTTP/1.1 103 Hints\r\nLink: </x>\r\n\r\n" + EMPTY)
        self.assertEqual(self.successResultOf(asked).code, 200)

    def test_too_many_interim(self) -> None:
        """Endless 1xx responses, and a 101 nobody asked for, are PROTOCOL."""
        for data in (b"HTTP/1.1 102 P\r\n\r\n" * (MAX_INTERIM + 1), b"HTTP/1.1 101 S\r\n\r\n"):
            self.setUp()
            asked = self.ask()
            self.wire.receive(data)
            self.assertIs(self.reason(asked), Reason.PROTOCOL)

    def test_malformed(self) -> None:
        """What is no proper header closes the socket at once, with PROTOCOL."""
        asked = self.ask()
        self.wire.receive(b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n")
        self.assertTrue(self.wire.aborted)
        self.assertIs(self.reason(asked), Reason.PROTOCOL)

    def test_other_protocol(self) -> None:
        """A server that begins with frames of HTTP/2 is told of as that, however they come."""
        for pieces in ([SETTINGS], [SETTINGS[:4], SETTINGS[4:]]):
            self.setUp()
            asked = self.ask()
            for piece in pieces:
                self.wire.receive(piece)
            self.assertTrue(self.wire.aborted)
            self.settle()
            error = explain(self.failureResultOf(asked).value)
            self.assertEqual((error.reason, error.detail), (Reason.PROTOCOL, HTTP2_ONLY))

    def test_not_kept(self) -> None:
        """Close in any spelling, HTTP/1.0 and bytes beyond the response end the connection."""
        for answer in (
            b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            EMPTY + b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
        ):
            self.setUp()
            asked = self.ask()
            self.wire.receive(answer)
            self.successResultOf(asked)
            self.settle()
            self.assertEqual((self.pooled, self.wire.closed), ([], True), answer)

    def test_aborted_while_it_ends(self) -> None:
        """Who aborts on the last byte of a body does not leave a dying connection in the pool."""

        class Aborting(Protocol):
            def dataReceived(_, data: bytes) -> None:
                self.connection.fail(UpstreamError(Reason.CANCELLED))

        asked = self.ask()
        self.wire.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        self.successResultOf(asked).deliverBody(Aborting())
        self.wire.receive(b"ab")
        self.settle()
        self.assertEqual(self.pooled, [])

    def test_unasked(self) -> None:
        """Bytes on an idle connection close it: they must not answer the next request."""
        self.wire.receive(EMPTY)
        self.assertTrue(self.wire.aborted)

    def test_lost_before_answer(self) -> None:
        """A connection that ends without a byte of an answer is RESET and ``answered`` is False."""
        for how in (ConnectionDone(), ConnectionLost()):
            self.setUp()
            asked = self.ask()
            self.wire.end(how)
            self.assertIs(self.reason(asked), Reason.RESET)
            self.assertFalse(self.connection.answered)

    def test_fault_wins(self) -> None:
        """The fault that we found is what the exchange fails with, not the close it causes."""
        asked = self.ask()
        self.connection.fail(UpstreamError(Reason.SILENT))
        self.assertIs(self.reason(asked), Reason.SILENT)

    def test_unclaimed_body(self) -> None:
        """Of a body that nobody takes no more is read than it takes to notice."""
        asked = self.ask()
        self.wire.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        self.successResultOf(asked)
        for _ in range(20):
            self.wire.receive(bytes(10_000))
        self.settle()
        self.assertGreater(self.wire.unread, 200_000 - EARLY_BODY)

    def test_early_answer(self) -> None:
        """An answer that is complete before the upload is delivered although the peer hangs up."""
        upload = Upload(100)
        asked = self.ask(b"PUT", upload)
        upload.write(bytes(10))
        self.wire.receive(b"HTTP/1.1 401 No\r\nContent-Length: 6\r\n\r\n")
        self.settle()
        self.wire.receive(b"sorry\n")
        self.assertEqual(self.successResultOf(asked).code, 401)
        self.assertTrue(self.connection.sending)

    def test_secured(self) -> None:
        """``secured`` waits for the handshake and fails with what ended it."""
        waiting = self.connection.secured()
        self.assertNoResult(waiting)
        self.connection.handshakeCompleted()
        self.successResultOf(waiting)
        self.successResultOf(self.connection.secured())
        self.setUp()
        waiting = self.connection.secured()
        self.connection.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(waiting, ConnectionLost)
        self.failureResultOf(self.connection.secured(), ConnectionLost)

    def test_secured_cancelled(self) -> None:
        """Cancelling the wait closes the socket."""
        waiting = self.connection.secured()
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertTrue(self.wire.aborted)
