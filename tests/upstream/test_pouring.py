"""Bodies read straight from a socket."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection as Stream
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from aimirror.upstream.connection import Connection
from aimirror.upstream.incoming import Bare
from aimirror.upstream.pouring import ROOM

FILE = bytes(range(256)) * 64


def bare() -> Bare:
    """A request."""
    return Bare(b"GET", Headers(), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True)


class Taker:
    """Keeps what it is lent; ``then`` is called after each time."""

    def __init__(self) -> None:
        self.data, self.times = bytearray(), 0
        self.then: Any = lambda: None

    def __call__(self, view: memoryview) -> None:
        self.data += view
        self.times += 1
        self.then()


class LocalStream(Stream):
    """A stream over a socket pair."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to say to such a socket."""


class PouringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server, ours = socket.socketpair()
        self.server.setblocking(False)
        self.idle: list[Connection] = []
        self.connection = Connection(self.idle.append)
        self.stream = LocalStream(ours, self.connection, MemoryReactorClock())
        self.stream.connected = 1
        self.stream.bufferSize = 1 << 16
        self.connection.makeConnection(self.stream)
        self.addCleanup(self.server.close)
        self.addCleanup(ours.close)
        self.usual = bytearray()

    def answer(self, length: int, sent: bytes = b"", head: bytes = b"") -> Taker:
        """Ask, get a header and ``sent``, and pour the rest."""
        replies: list[Any] = []
        self.connection.exchange(bare()).addCallback(replies.append)
        self.server.send(head or b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        self.stream.doRead()
        self.connection.claimed = True
        [reply] = replies
        usual = self.usual

        class Body:
            ended: Failure | None = None

            def makeConnection(self, transport: object) -> None:
                pass

            def dataReceived(self, data: bytes) -> None:
                usual.extend(data)

            def connectionLost(self, reason: Failure) -> None:
                self.ended = reason

        self.body = Body()
        reply.deliverBody(self.body)
        if sent:
            self.bring(sent)
        taker = Taker()
        self.connection.pour(taker)
        return taker

    def bring(self, data: bytes) -> object:
        self.server.send(data)
        return self.stream.doRead()

    def test_all_but_the_last_byte(self) -> None:
        """The middle goes past the parser, and the parser sees the end: it serves on."""
        for _ in range(3):
            self.usual.clear()
            taker = self.answer(len(FILE), FILE[:10])
            self.bring(FILE[10:5000])
            self.bring(FILE[5000:])
            self.assertEqual(taker.data, FILE[10:-1])
            self.assertEqual(self.usual, FILE[:10] + FILE[-1:])
            self.assertIsNotNone(self.body.ended)
            self.assertEqual(self.connection.state, "QUIESCENT")
        self.assertEqual(len(self.idle), 3)

    def test_one_read_takes_what_is_there(self) -> None:
        """Many small packets that wait are one read, and one call."""
        taker = self.answer(len(FILE))
        for start in range(0, 10_000, 100):
            self.server.send(FILE[start : start + 100])
        self.stream.doRead()
        self.assertEqual((taker.times, taker.data), (1, FILE[:10_000]))
        self.assertGreater(ROOM, 10_000)

    def test_too_many_bytes(self) -> None:
        """Bytes beyond the body are never taken for it, and the connection serves no more."""
        taker = self.answer(100)
        self.bring(FILE[:120])
        self.assertEqual(taker.data + self.usual, FILE[:100])
        self.assertEqual(self.idle, [])
        self.assertTrue(self.stream.disconnecting)

    def test_closed(self) -> None:
        """The end of the stream, and a failure of it, are told as Twisted tells them."""
        self.answer(100)
        self.bring(FILE[:50])
        self.assertIsNone(self.stream.doRead())
        self.server.close()
        self.assertIs(self.stream.doRead(), CONNECTION_DONE)
        self.patch(self.stream, "socket", Broken())
        self.assertIs(self.stream.doRead(), CONNECTION_LOST)
        self.connection.connectionLost(Failure(ConnectionLost()))
        self.assertNotIn("doRead", vars(self.stream))

    def test_dropped_in_between(self) -> None:
        """Whoever has enough drops the connection from within; nothing more reaches anybody."""
        taker = self.answer(100)
        taker.then = self.connection.drop
        self.bring(FILE[:120])
        self.assertEqual((len(taker.data), self.usual), (99, b""))
        self.assertIsNone(self.stream.doRead())
        self.assertEqual(self.idle, [])

    def test_without_a_length(self) -> None:
        """A body whose end its length does not tell, goes the usual way."""
        self.answer(0, head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertNotIn("doRead", vars(self.stream))
        self.bring(b"3\r\nabc\r\n")
        self.assertEqual(self.usual, b"abc")

    def test_without_a_socket(self) -> None:
        """Where something else carries the connection, nothing changes."""
        connection = Connection(lambda _: None)
        connection.makeConnection(StringTransport())
        connection.exchange(bare())
        connection.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        connection.pour(Taker())
        self.assertIsNone(connection._pouring)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.integers(0, 12))
    def test_every_byte_once(self, sizes: list[int], begin: int) -> None:
        """However it is cut into packets, each byte comes once and in order."""
        self.setUp()
        total = sum(sizes)
        body = (FILE * 3)[:total]
        taker = self.answer(total, body[: min(begin, total - 1)])
        place = min(begin, total - 1)
        for size in sizes:
            if body[place : place + size]:
                self.bring(body[place : place + size])
            place += size
        begun = bytes(self.usual[: min(begin, total - 1)])
        self.assertEqual(begun + taker.data + self.usual[len(begun) :], body)
        self.assertEqual(self.connection.state, "QUIESCENT")


class Broken:
    """A socket that has failed."""

    def recv_into(self, _: object) -> int:
        raise ConnectionResetError

    def close(self) -> None:
        pass
