"""A connection: order, limits, deadlines, bodies that come, and what breaks its framing."""

from __future__ import annotations

from math import inf

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from aimirror.http.headers import Headers
from aimirror.server.access import Limits
from aimirror.server.access_log import AccessRecord
from aimirror.server.answers import Answer
from aimirror.server.channel import LINGER
from aimirror.server.connection import MAX_DRAINED, MAX_PIPELINED
from aimirror.server.head import MAX_HEAD
from aimirror.server.request import MirrorRequest
from tests.server.support import BUFFER, GET, Connection, answer, connect

POST = b"POST / HTTP/1.1\r\nHost: mirror.test\r\n"


@implementer(IConsumer)
class Sink:
    """Takes a request's body; full while told so."""

    def __init__(self) -> None:
        self.data = b""
        self.full = False
        self.producer = None

    def registerProducer(self, producer: object, streaming: bool) -> None:
        raise AssertionError("a body producer is not registered")

    def unregisterProducer(self) -> None:
        raise AssertionError("a body producer is not registered")

    def write(self, data: bytes) -> None:
        self.data += data
        if self.full and self.producer is not None:
            self.producer.pauseProducing()


class Upload:
    """A handler that reads bodies into sinks, beginning when it is told to."""

    def __init__(self, begin: bool = True) -> None:
        self.sink = Sink()
        self.requests: list[MirrorRequest] = []
        self.begin: Deferred[None] = Deferred()
        if begin:
            self.begin.callback(None)

    async def __call__(self, request: MirrorRequest) -> Answer:
        self.requests.append(request)
        await self.begin
        if request.body is not None:
            self.sink.producer = request.body
            await request.body.startProducing(self.sink)
        return answer(self.sink.data)


class Pending:
    """A handler whose answers the test gives."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.asked: list[tuple[MirrorRequest, Deferred[Answer]]] = []

    async def __call__(self, request: MirrorRequest) -> Answer:
        waiting: Deferred[Answer] = Deferred()
        self.asked.append((request, waiting))
        try:
            return await waiting
        except CancelledError:
            self.cancelled += 1
            raise


def get(path: str, *fields: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: mirror.test", *fields, "", ""]
    return "\r\n".join(lines).encode()


class OrderTests(SynchronousTestCase):
    def test_pipelining(self) -> None:
        """Answers come in the order of requests, one request being worked on at a time."""
        pending = Pending()
        client = connect(pending)
        client.send(get("/1") + get("/2") + get("/3"))
        for number in (1, 2, 3):
            self.assertEqual([r.raw_path for r, _ in pending.asked[number - 1 :]], [f"/{number}"])
            pending.asked[-1][1].callback(answer(str(number).encode()))
        self.assertEqual([body for _, _, body in client.answers()], [b"1", b"2", b"3"])

    def test_many_at_once(self) -> None:
        """Thousands of pipelined requests are answered without recursion."""
        client = connect()
        client.send(GET * 3000)
        self.assertEqual(len(client.answers()), 3000)

    def test_any_cut(self) -> None:
        """However the bytes are cut into segments, the answers are the same."""
        whole = POST + b"Content-Length: 4\r\n\r\nbody" + get("/2") + b"\r\n" + get("/3")
        for size in (1, 2, 3, 7, 31, len(whole)):
            client = connect(Upload())
            client._held += whole
            client.deliver(size)
            self.assertEqual([s for s, _, _ in client.answers()], [200] * 3, size)

    def test_pipelined_requests_are_bounded(self) -> None:
        """While one request is worked on, further ones are held up to a bound, then not read."""
        pending = Pending()
        client = connect(pending)
        client.send(GET * (10 * MAX_PIPELINED // len(GET)))
        held = 10 * MAX_PIPELINED - client.unread
        self.assertLess(held, MAX_PIPELINED + 2 * BUFFER)
        pending.asked[0][1].callback(answer())
        client.deliver()
        self.assertEqual(len(pending.asked), 2)

    def test_client_that_takes_nothing(self) -> None:
        """A client that pipelines without reading answers is not read, and holds little."""
        client = connect(Upload(), greedy=False)
        for _ in range(3000):
            client.send(get("/" + "x" * 1000))
        self.assertGreater(client.unread, 1_000_000)
        self.assertLess(client.wire.most_waiting, 3 * BUFFER)
        while client.unread:
            client.wire.take()
            client.deliver()
        client.wire.take()
        self.assertEqual(len(client.answers()), 3000)

    def test_leaving(self) -> None:
        """A client that leaves while its answer is worked on cancels that."""
        pending = Pending()
        client = connect(pending)
        client.send(GET)
        client.wire.lose()
        self.assertEqual(pending.cancelled, 1)
        self.assertEqual(client.site.channels, set())
        self.assertEqual(client.received, b"")


class PersistenceTests(SynchronousTestCase):
    def test_close(self) -> None:
        """Connection: close is granted, said, and requests after it are not answered."""
        client = connect()
        client.send(get("/", "Connection: close") + GET)
        self.assertEqual(client.answer()[1].get("connection"), "close")
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_http_10(self) -> None:
        """1.0 is closed after the answer unless it asked to be kept."""
        client = connect()
        client.send(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(client.answer()[1].get("connection"), "keep-alive")
        self.assertFalse(client.closed)
        client.send(b"GET /2 HTTP/1.0\r\n\r\n")
        self.assertEqual(client.answers()[1][1].get("connection"), "close")
        self.assertTrue(client.closed)

    def test_number_of_requests(self) -> None:
        """The last request that a connection may carry is answered with close."""
        client = connect(limits=Limits(requests=3))
        client.send(GET * 5)
        told = [headers.get("connection") for _, headers, _ in client.answers()]
        self.assertEqual(told, [None, None, "close"])

    def test_number_of_connections(self) -> None:
        """Connections beyond the limit are refused, and there is room when one leaves."""
        first = connect(limits=Limits(connections=1))
        self.assertIsNone(first.site.buildProtocol(None))
        first.wire.lose()
        connect(site=first.site).send(GET)


class DeadlineTests(SynchronousTestCase):
    LIMITS = Limits(keep_alive=30, head_time=10, body_silence=20, silence=40)

    def connect(self, handler: object = None, **options: object) -> Connection:
        return connect(handler, limits=self.LIMITS, **options)

    def test_no_request(self) -> None:
        """A connection without a request is closed silently after the time for a head."""
        client = self.connect()
        client.wait(9)
        self.assertFalse(client.closed)
        client.wait(2)
        self.assertTrue(client.closed)
        self.assertEqual(client.received, b"")

    def test_slow_head(self) -> None:
        """A head that drips in is cut off with 408 when its time is over, however it drips."""
        client = self.connect()
        for byte in GET[:20]:
            client.send(bytes([byte]))
            client.wait(1)
        self.assertEqual(client.answer()[0], 408)
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_keep_alive(self) -> None:
        """An idle connection is kept for its time, counted from the last answer."""
        client = self.connect()
        client.send(GET)
        client.wait(29)
        client.send(GET)
        client.wait(29)
        self.assertFalse(client.closed)
        client.wait(2)
        self.assertTrue(client.closed)

    def test_slow_upstream(self) -> None:
        """No deadline runs while an answer is being worked on."""
        pending = Pending()
        client = self.connect(pending)
        client.send(GET)
        client.wait(1000)
        pending.asked[0][1].callback(answer())
        self.assertEqual(client.answer()[0], 200)

    def test_silent_upload(self) -> None:
        """A client that stops sending its body is dropped, and the handler is told."""
        upload = Upload()
        client = self.connect(upload)
        client.send(POST + b"Content-Length: 10\r\n\r\nabc")
        client.wait(19)
        client.send(b"d")
        client.wait(19)
        self.assertFalse(client.closed)
        client.wait(2)
        self.assertTrue(client.closed)
        self.assertTrue(client.wire.aborted)
        self.assertTrue(upload.requests[0].gone)

    def test_silent_reader(self) -> None:
        """A client that takes nothing of what is written to it is dropped."""

        async def handler(request: MirrorRequest) -> None:
            request.start(200, Headers(), None)
            request.write(b"x" * BUFFER * 2)

        client = self.connect(handler, greedy=False)
        client.send(GET)
        client.wait(39)
        self.assertFalse(client.closed)
        client.wait(2)
        self.assertTrue(client.wire.aborted)

    def test_stopping(self) -> None:
        """A site that is stopped leaves no call behind."""
        client = self.connect()
        client.site.stopFactory()
        self.assertEqual(client.clock.getDelayedCalls(), [])


class BodyTests(SynchronousTestCase):
    def test_streams_at_once(self) -> None:
        """A request is worked on when its head is complete; its body arrives as it is sent."""
        for framing, parts in (
            (b"Content-Length: 6\r\n\r\n", (b"abc", b"def")),
            (
                b"Transfer-Encoding: chunked\r\n\r\n",
                (b"3\r\nabc\r\n", b"3;x=y\r\ndef\r\n0\r\n\r\n"),
            ),
        ):
            upload = Upload()
            client = connect(upload)
            client.send(POST + framing)
            self.assertEqual(len(upload.requests), 1)
            client.send(parts[0])
            self.assertEqual(upload.sink.data, b"abc")
            client.send(parts[1] + GET)
            self.assertEqual([b for _, _, b in client.answers()], [b"abcdef", b"abcdef"])

    def test_not_read_before_wanted(self) -> None:
        """Until the body is wanted no more of it is read than had come with the head."""
        upload = Upload(begin=False)
        client = connect(upload)
        client.send(POST + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        self.assertGreater(client.unread, 4_800_000)
        upload.begin.callback(None)
        client.deliver()
        self.assertEqual(len(client.answer()[2]), 5_000_000)

    def test_back_pressure(self) -> None:
        """While the consumer is full the socket is not read."""
        upload = Upload()
        upload.sink.full = True
        client = connect(upload)
        client.send(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        for _ in range(100):
            before = len(upload.sink.data)
            if client.answers():
                break
            upload.requests[0].body.resumeProducing()
            client.deliver()
            self.assertLessEqual(len(upload.sink.data) - before, 2 * BUFFER)
        self.assertEqual(client.answer()[2], b"x" * 1_000_000)

    def test_continue(self) -> None:
        """100 is sent when the body is wanted first, once, and not before."""
        upload = Upload(begin=False)
        client = connect(upload)
        client.send(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.received, b"")
        upload.begin.callback(None)
        self.assertEqual(client.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        client.send(b"abc")
        self.assertEqual(client.answers()[1][2], b"abc")

    def test_no_continue(self) -> None:
        """A final answer instead of 100 closes: nobody knows whether the body will come."""
        client = connect()
        client.send(POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        status, headers, _ = client.answer()
        self.assertEqual((status, headers.get("connection")), (200, "close"))
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_unread_body(self) -> None:
        """A body nobody wanted is drained when it is short, and the next request answered."""
        for framing, body in (
            (b"Content-Length: 6\r\n\r\n", b"abcdef"),
            (b"Transfer-Encoding: chunked\r\n\r\n", b"6\r\nabcdef\r\n0\r\nTrailer: x\r\n\r\n"),
        ):
            client = connect()
            client.send(POST + framing)
            self.assertEqual(len(client.answers()), 1)
            client.send(body + get("/next"))
            self.assertEqual([b for _, _, b in client.answers()], [b"/", b"/next"])

    def test_long_unread_body(self) -> None:
        """A long body that nobody wanted closes the connection."""
        client = connect()
        client.send(POST + b"Content-Length: %d\r\n\r\n" % (MAX_DRAINED + 1))
        self.assertEqual(client.answer()[1].get("connection"), "close")

    def test_endless_unread_body(self) -> None:
        """A chunked body that nobody wanted is drained up to the bound."""
        client = connect()
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(b"1000\r\n%b\r\n" % (b"x" * 4096) * 200)
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_leaving(self) -> None:
        """A client that leaves midway fails the body's Deferred."""
        upload = Upload()
        client = connect(upload)
        client.send(POST + b"Content-Length: 10\r\n\r\nabc")
        client.wire.lose()
        self.assertTrue(upload.requests[0].gone)
        self.assertFalse(upload.requests[0].body.complete)


class BrokenTests(SynchronousTestCase):
    def refused(self, data: bytes, status: int = 400) -> None:
        told: list[AccessRecord] = []
        client = connect(Upload(), access=lambda exchange, *_: told.append(exchange))
        client.send(data)
        client.send(get("/smuggled"))
        got, headers, body = client.answer()
        self.assertEqual((got, headers.get("connection")), (status, "close"), data[:80])
        self.assertEqual(headers.get("content-type"), "application/json")
        self.assertTrue(body.startswith(b'{"error": ') and body.endswith(b"}\n"), body)
        self.assertEqual([each.status for each in told], [status])
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_ends_the_connection(self) -> None:
        """What follows a request that was refused is never taken for another request."""
        self.refused(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        self.refused(POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        self.refused(b"GET / HTTP/1.1\r\n\r\n")
        self.refused(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n")

    def test_bare_line_feeds(self) -> None:
        """Lines that end in LF alone are refused at once, not waited for."""
        self.refused(b"GET / HTTP/1.1\nHost: a\n\n")
        self.refused(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.refused(b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n")

    def test_bad_chunks(self) -> None:
        """A malformed chunk is a 400, whether it comes with the head or later."""
        head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        for body in (
            b"z\r\nabc\r\n",
            b"100000000000000000\r\nabc\r\n",
            b"-1\r\nabc\r\n",
            b"0x3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\nabc\r\n0\r\n\r\n\r\n",
            b"3;\x00\r\nabc\r\n",
            b"\r\n",
            b"1" * 2000,
        ):
            self.refused(head + body)

    def test_bad_chunk_later(self) -> None:
        """A chunk that turns out malformed while the body is read fails the body with a 400."""
        client = connect(Upload())
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n")
        client.send(b"zz\r\n" + get("/smuggled"))
        status, headers, _ = client.answer()
        self.assertEqual((status, headers.get("connection")), (400, "close"))
        client.wait(LINGER + 1)
        self.assertTrue(client.closed)

    def test_endless_head(self) -> None:
        """A head that grows beyond the limit is a 431, whether it ends or not."""
        self.refused(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEAD // 6 + 1), 431)
        self.refused(b"GET /" + b"a" * 2 * MAX_HEAD, 431)

    def test_other_versions(self) -> None:
        """The preface of HTTP/2 is refused as a version that is not spoken."""
        self.refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)

    def test_deadline_is_off_while_serving(self) -> None:
        """A request under way has no deadline of its own."""
        client = connect(Pending())
        client.send(GET)
        self.assertEqual(client.wire.protocol.deadline, inf)
