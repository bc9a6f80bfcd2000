"""Answers to requests that have no body, as the agent's callers see them."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface.verify import verifyObject

from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.interfaces import IUpstreamResponse
from aimirror.upstream.client import Upstream
from aimirror.upstream.incoming import Bare, Incoming
from tests.upstream.network import Network, Receiver, Wire, get

OK = b"HTTP/1.1 200 OK\r\nX-A: b\r\n"


class IncomingTests(SynchronousTestCase):
    """One request over a network in memory."""

    def setUp(self) -> None:
        self.network = Network()
        self.upstream = Upstream(self.network.agents)

    def ask(self, answer: bytes, method: str = "GET") -> tuple[IUpstreamResponse, Wire]:
        asking = self.upstream.request(get(method=method))
        wire = self.network.accept()
        wire.receive(answer)
        return self.successResultOf(asking), wire

    def test_interfaces(self) -> None:
        """It is a response like any other, and so is its request."""
        sending = self.network.agents.send(get(headers=Headers([("A", "b")])))
        wire = self.network.accept()
        wire.receive(OK + b"Content-Length: 4\r\n\r\n")
        reply = self.successResultOf(sending)
        assert isinstance(reply._response, Incoming)
        verifyObject(IResponse, reply._response)
        verifyObject(IClientRequest, reply.request)
        self.assertIsInstance(reply.request, Bare)
        self.assertEqual((reply.code, reply.phrase, reply.length), (200, b"OK", 4))
        self.assertEqual(reply.headers.getRawHeaders(b"x-a"), [b"b"])
        self.assertEqual(wire.taken().count(b"A: b\r\n"), 1)

    def test_whole_at_once(self) -> None:
        """What came in one read is whole at once, and its connection idle before it is told."""
        for framing in (
            b"Content-Length: 4\r\n\r\nbody",
            b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        ):
            self.setUp()
            response, wire = self.ask(OK + framing)
            calls = len(self.network.reactor.getDelayedCalls())
            again = self.upstream.request(get())
            self.assertEqual(len(self.network.dialled), 1)
            wire.receive(OK + b"Content-Length: 5\r\n\r\nother")
            receiver = Receiver(response)
            self.assertEqual((receiver.body, receiver.ends), (b"body", [None]))
            self.assertEqual(Receiver(self.successResultOf(again)).body, b"other")
            self.assertEqual(len(self.network.reactor.getDelayedCalls()), calls)

    def test_aborted_when_whole(self) -> None:
        """To let go of an answer that is whole costs no connection, nor the next request."""
        response, wire = self.ask(OK + b"Content-Length: 4\r\n\r\nbody")
        again = self.upstream.request(get())
        response.abort()
        wire.receive(OK + b"Content-Length: 5\r\n\r\nother")
        self.assertEqual(Receiver(self.successResultOf(again)).body, b"other")
        self.assertFalse(wire.aborted)

    def test_unclaimed(self) -> None:
        """Of a body that nobody takes no more is read than what came with its header."""
        response, wire = self.ask(OK + b"Content-Length: 8\r\n\r\nbo")
        wire.receive(b"dy")
        self.assertEqual(wire.unread, 2)
        receiver = Receiver(response)
        self.network.settle()
        wire.receive(b"more")
        self.assertEqual((receiver.body, receiver.ends), (b"bodymore", [None]))

    def test_ends(self) -> None:
        """A body that breaks off, or is framed badly, is never taken for whole."""
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody"
        for answer, more, reason in (
            (OK + b"Content-Length: 8\r\n\r\nbody", b"", Reason.RESET),
            (chunked, b"", Reason.RESET),
            (chunked, b"XX", Reason.PROTOCOL),
            (chunked + b"XX", b"", Reason.PROTOCOL),
            (OK + b"\r\nbody", b"", Reason.RESET),
        ):
            self.setUp()
            response, wire = self.ask(answer)
            receiver = Receiver(response)
            if more:
                wire.receive(more)
            self.network.settle()
            wire.end(ConnectionLost())
            self.assertEqual(receiver.body, b"body")
            self.assertEqual(receiver.reasons, [reason], answer)

    def test_bodiless(self) -> None:
        """HEAD, 204 and 304 have no body, whatever their fields say."""
        for method, answer in (
            ("HEAD", OK + b"Content-Length: 8\r\n\r\n"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n"),
        ):
            self.setUp()
            response, wire = self.ask(answer, method)
            self.assertEqual(Receiver(response).ends, [None])
            self.assertFalse(wire.disconnecting)

    def test_until_close(self) -> None:
        """A body without a length goes on to the end of the connection."""
        response, wire = self.ask(OK + b"\r\nbo")
        self.assertEqual((response.length, response.framed), (None, False))
        receiver = Receiver(response)
        self.network.settle()
        wire.receive(b"dy")
        wire.end()
        self.assertEqual((receiver.body, receiver.ends), (b"body", [None]))

    def test_unknown_length(self) -> None:
        """For whoever asks in Twisted's way, that is said in its words."""
        sending = self.network.agents.send(get())
        self.network.accept().receive(OK + b"\r\n")
        self.assertIs(self.successResultOf(sending).length, UNKNOWN_LENGTH)

    def test_delivered_once(self) -> None:
        """A body is had once."""
        for rest in (b"body", b"bo"):
            self.setUp()
            response, _ = self.ask(OK + b"Content-Length: 4\r\n\r\n" + rest)
            Receiver(response)
            self.assertRaises(RuntimeError, Receiver, response)

    def test_cancelled(self) -> None:
        """Who stops waiting for the header closes the connection."""
        asking = self.upstream.request(get())
        wire = self.network.accept()
        asking.cancel()
        self.assertTrue(wire.aborted)
        self.network.settle()
        self.failureResultOf(asking)
