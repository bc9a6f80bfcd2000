"""Answers on the wire: bytes and growing files, ranges, failures, clients that leave."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from http import HTTPStatus

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.http.headers import Headers
from aimirror.http.origin_wide import CONFINED
from aimirror.interfaces import BodyFailed
from aimirror.server.access import Limits
from aimirror.server.answers import Answer
from aimirror.server.head import BadRequest
from aimirror.server.request import MirrorRequest
from aimirror.server.streaming import PIECE
from tests.server.support import GET, Connection, GrowingBody, answer, connect

DATA = bytes(range(1, 251)) * 40  # 10,000 bytes, none of them zero


def get(*fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} / HTTP/{version}", "Host: a.test", *fields, "", ""]).encode()


class BodyCase(SynchronousTestCase):
    def serving(self, body: GrowingBody | Answer, **options: object) -> Connection:
        if isinstance(body, GrowingBody):
            self.addCleanup(body.close)
        given_answer = body if isinstance(body, Answer) else answer(body)

        async def handler(_: MirrorRequest) -> Answer:
            return given_answer

        return connect(handler, **options)

    def serving_each(self, bodies: list[GrowingBody]) -> Connection:
        """One body after the other."""
        given = iter(bodies)
        for body in bodies:
            self.addCleanup(body.close)

        async def handler(_: MirrorRequest) -> Answer:
            return answer(next(given))

        return connect(handler)


class BytesTests(BodyCase):
    def test_get(self) -> None:
        """Length, Date and Accept-Ranges are set; other fields are the answer's, in order."""
        client = self.serving(answer(headers=Headers([("B", "1"), ("A", "2"), ("Age", "3")])))
        client.send(GET)
        self.assertEqual(
            client.received,
            b"HTTP/1.1 200 OK\r\nB: 1\r\nA: 2\r\nAccept-Ranges: bytes\r\n"
            b"Content-Security-Policy: sandbox allow-downloads\r\n"
            b"X-Content-Type-Options: nosniff\r\nContent-Length: 5\r\n"
            b"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nAge: 3\r\n\r\nhello",
        )

    def test_fields_of_its_own(self) -> None:
        """Framing fields of the origin are not passed on; its Date is."""
        fields = [
            ("Content-Length", "999"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "x"),
            ("Accept-Ranges", "none"),
            ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ]
        client = self.serving(answer(headers=Headers(fields), ranges=False))
        client.send(GET)
        self.assertEqual(
            client.answer()[1],
            Headers(
                [("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), *CONFINED, ("Content-Length", "5")]
            ),
        )

    def test_head(self) -> None:
        """HEAD gets GET's head and nothing else."""
        client = self.serving(answer())
        client.send(GET)
        whole = client.received
        client.wire.taken.clear()
        client.send(get(method="HEAD"))
        self.assertEqual(client.received, whole[: -len(b"hello")])

    def test_errors(self) -> None:
        """416 and 412 are one line of JSON; 416 tells the size."""
        client = self.serving(answer())
        client.send(get("Range: bytes=9-"))
        client.send(get('If-Match: "v2"'))
        (status, headers, body), (failed, _, _) = client.answers()
        self.assertEqual((status, failed), (416, 412))
        self.assertEqual(headers.get("content-range"), "bytes */5")
        self.assertEqual(headers.get("etag"), '"v1"')
        words = HTTPStatus(416).phrase  # which newer Pythons have shortened
        self.assertTrue(body.startswith(f'{{"error": "{words}"'.encode()))

    def test_broken_fields(self) -> None:
        """A field that would split the answer is a 500 without a trace of it."""
        client = self.serving(answer(headers=Headers([("X", "a\r\nEvil: b")])))
        client.send(GET)
        self.assertEqual(client.answer()[0], 500)
        self.assertNotIn(b"Evil", client.received)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class HandlerTests(SynchronousTestCase):
    def test_failure(self) -> None:
        """What a handler raises is logged and a 500 in JSON; nothing of it is told."""

        async def handler(_: MirrorRequest) -> Answer:
            raise RuntimeError("secret")

        client = connect(handler)
        client.send(GET)
        status, headers, body = client.answer()
        self.assertEqual((status, headers.get("content-type")), (500, "application/json"))
        self.assertNotIn(b"secret", body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failure_midway(self) -> None:
        """A handler that fails after it began to answer cuts the connection."""

        async def handler(request: MirrorRequest) -> Answer:
            request.start(200, Headers(), 100)
            request.write(b"x")
            raise RuntimeError

        client = connect(handler)
        client.send(GET)
        self.assertTrue(client.wire.aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_bad_request(self) -> None:
        """A handler may refuse with BadRequest."""

        async def handler(_: MirrorRequest) -> Answer:
            raise BadRequest(422, "not so")

        client = connect(handler)
        client.send(GET)
        self.assertEqual(client.answer()[0], 422)
        self.assertIn(b"not so", client.answer()[2])


class FileTests(BodyCase):
    def test_whole(self) -> None:
        """A file goes out whole, its reader is closed, the connection goes on."""
        body = GrowingBody(DATA, size=len(DATA), readable=True)
        client = self.serving(body)
        client.send(GET + GET)
        self.assertEqual([got for _, _, got in client.answers()], [DATA, DATA])
        self.assertTrue(body.all_closed)

    def test_head_opens_nothing(self) -> None:
        """HEAD tells the length without a reader, though nothing is readable."""
        body = GrowingBody(DATA, size=len(DATA))
        client = self.serving(body)
        client.send(get(method="HEAD"))
        self.assertIn(b"Content-Length: 10000\r\n", client.received)
        self.assertEqual(body.readers, [])

    def test_conditional_opens_nothing(self) -> None:
        """A 304 has no reader either."""
        body = GrowingBody(DATA, size=len(DATA))
        client = self.serving(body)
        client.send(get('If-None-Match: "v1"'))
        self.assertEqual((client.answer()[0], body.readers), (304, []))

    def test_range(self) -> None:
        """A range of a growing file waits for its own bytes alone."""
        body = GrowingBody(DATA, size=len(DATA))
        client = self.serving(body)
        client.send(get("Range: bytes=5000-5999"))
        body.grow(0, 4000)
        self.assertEqual(client.received, b"")
        body.grow(5000, 6000)
        status, headers, got = client.answer()
        self.assertEqual((status, got), (206, DATA[5000:6000]))
        self.assertEqual(headers.get("content-range"), "bytes 5000-5999/10000")

    def test_multipart(self) -> None:
        """Several ranges arrive as parts that a MIME parser understands."""
        body = GrowingBody(DATA, size=len(DATA))
        client = self.serving(body)
        client.send(get("Range: bytes=9000-9099,0-9,-1"))
        for start, stop in ((0, 10), (9999, 10000), (9000, 9100)):
            self.assertEqual(client.answers(), [])
            body.grow(start, stop)
        status, headers, got = client.answer()
        self.assertEqual(status, 206)
        kind = headers.get("content-type").encode()
        parts = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + got, policy=HTTP)
        self.assertEqual(
            [(p["Content-Range"], p.get_payload(decode=True)) for p in parts.iter_parts()],
            [
                ("bytes 9000-9099/10000", DATA[9000:9100]),
                ("bytes 0-9/10000", DATA[:10]),
                ("bytes 9999-9999/10000", DATA[-1:]),
            ],
        )
        self.assertTrue(body.all_closed)

    @given(
        st.lists(st.integers(0, len(DATA)), min_size=2, max_size=8).flatmap(
            lambda cuts: st.permutations(
                list(zip([0, *sorted(cuts)], [*sorted(cuts), len(DATA)], strict=True))
            )
        ),
        st.booleans(),
    )
    @settings(max_examples=50, deadline=None)
    def test_any_order(self, spans: list[tuple[int, int]], sized: bool) -> None:
        """In whatever order spans get readable, only written bytes go out, and all of them."""
        body = GrowingBody(DATA, size=len(DATA) if sized else None)
        client = self.serving(body)
        client.send(GET)
        for start, stop in spans:
            body.grow(start, stop)
            self.assertNotIn(0, client.received)
        body.finish()
        status, headers, got = client.answer()
        self.assertEqual((status, got), (200, DATA))
        self.assertEqual("content-length" in headers, sized)
        self.assertTrue(body.all_closed)

    def test_unknown_size(self) -> None:
        """Without a size 1.1 gets chunks, a range being ignored; 1.0 gets bytes until close."""
        for version in ("1.1", "1.0"):
            body = GrowingBody(DATA)
            client = self.serving(body)
            client.send(get("Range: bytes=0-1", "Connection: keep-alive", version=version))
            body.grow(0, 3)
            body.grow(3, len(DATA))
            self.assertFalse(client.closed)
            body.finish()
            self.assertTrue(client.received.startswith(b"HTTP/1.1 200 "))
            self.assertNotIn(b"Accept-Ranges", client.received)
            if version == "1.1":
                self.assertEqual(client.answer()[2], DATA)
            else:
                self.assertEqual(client.received.partition(b"\r\n\r\n")[2], DATA)
                self.assertIn(b"\r\nConnection: close\r\n", client.received)
                self.assertTrue(client.closed)
                self.assertFalse(client.wire.aborted)

    def test_empty(self) -> None:
        """An empty file is an empty answer, of known and of unknown size."""
        for size in (0, None):
            body = GrowingBody(b"", size=size)
            client = self.serving(body)
            client.send(GET)
            body.finish()
            self.assertEqual(client.answer()[2], b"")
            self.assertTrue(body.all_closed)


class FailureTests(BodyCase):
    def test_before_the_first_byte(self) -> None:
        """A body that fails before its first byte ends in one line, and the connection goes on."""
        for reason, expected in (
            (Reason.CONNECT, 502),
            (Reason.SILENT, 504),
            (Reason.CANCELLED, 503),
        ):
            body = GrowingBody(DATA, size=len(DATA))
            client = self.serving(body)
            client.send(GET)
            body.fail("it did not come", reason)
            status, _, told = client.answer()
            self.assertEqual((status, told.count(b"\n")), (expected, 1))
            self.assertIn(b"it did not come", told)
            self.assertFalse(client.closed)
            self.assertTrue(body.all_closed)

    def test_another_try(self) -> None:
        """A client that has seen no byte of a body that turned out bad gets the next one."""
        bodies = [GrowingBody(DATA, size=len(DATA)) for _ in range(2)]
        client = self.serving_each(bodies)
        client.send(GET)
        bodies[0].fail("not what it should hash to", Reason.CHANGED)
        bodies[1].grow(0, len(DATA))
        status, _, told = client.answer()
        self.assertEqual((status, told), (200, DATA))
        self.assertTrue(all(body.all_closed for body in bodies))

    def test_only_one_more_try(self) -> None:
        """When the next body fails, too, that is the answer."""
        bodies = [GrowingBody(DATA, size=len(DATA)) for _ in range(2)]
        client = self.serving_each(bodies)
        client.send(GET)
        for body in bodies:
            body.fail("not what it should hash to", Reason.CHANGED)
        self.assertEqual(client.answer()[0], 502)

    def test_midway(self) -> None:
        """A body that fails midway is cut: no final chunk, a reset, the reader closed."""
        for size in (len(DATA), None):
            body = GrowingBody(DATA, size=size)
            client = self.serving(body)
            client.send(GET + GET)
            body.grow(0, 100)
            body.fail()
            self.assertEqual(client.answers(), [])
            self.assertNotIn(b"\r\n0\r\n\r\n", client.received)
            self.assertTrue(client.wire.aborted)
            self.assertTrue(client.closed)
            self.assertTrue(body.all_closed)

    def test_truncated_file(self) -> None:
        """A file shorter than it claims cuts the transfer instead of sending something else."""
        body = GrowingBody(DATA, size=len(DATA), readable=True)
        body._file.truncate(5000)
        client = self.serving(body)
        client.send(GET)
        self.assertTrue(client.wire.aborted)
        self.assertTrue(body.all_closed)

    def test_reader_that_ends_early(self) -> None:
        """Fewer bytes than announced are never a clean end."""
        body = GrowingBody(DATA, size=len(DATA), readable=True)
        real = body.reader
        body.reader = lambda start, stop: real(start, stop - 1)
        client = self.serving(body)
        client.send(GET)
        self.assertTrue(client.wire.aborted)

    def test_no_traceback(self) -> None:
        """A cut transfer is one line in the log, not a traceback."""
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        body = GrowingBody(DATA, size=len(DATA))
        self.serving(body).send(GET)
        body.grow(0, 1)
        body.fail()
        self.assertEqual(
            ["log_failure" in each for each in events if each["log_namespace"].startswith("aim")],
            [False],
        )
        self.assertEqual(self.flushLoggedErrors(BodyFailed), [])


class LeavingTests(BodyCase):
    def test_while_waiting(self) -> None:
        """A client that leaves while its bytes are fetched closes its reader."""
        for grown in (0, 100):
            body = GrowingBody(DATA, size=len(DATA))
            client = self.serving(body)
            client.send(GET)
            body.grow(0, grown)
            client.wire.lose()
            self.assertTrue(body.all_closed)
            body.grow(0, len(DATA))
            self.assertEqual(self.flushLoggedErrors(), [])

    def test_while_taking(self) -> None:
        """A client that leaves with bytes on their way closes its reader."""
        body = GrowingBody(b"x" * 3 * PIECE, size=3 * PIECE, readable=True)
        client = self.serving(body, greedy=False)
        client.send(GET)
        self.assertFalse(body.all_closed)
        client.wire.lose()
        self.assertTrue(body.all_closed)

    def test_one_fails_the_other_goes_on(self) -> None:
        """Clients of one body do not disturb each other."""
        body = GrowingBody(DATA, size=len(DATA))
        first = self.serving(body)
        second = connect(site=first.site)
        first.send(GET)
        second.send(GET)
        body.grow(0, 10)
        first.wire.lose()
        body.grow(10, len(DATA))
        self.assertEqual(second.answer()[2], DATA)


class BackPressureTests(BodyCase):
    def test_slow_client(self) -> None:
        """A client that takes little at a time never has more than a piece waiting."""
        body = GrowingBody(b"x" * 5 * PIECE, size=5 * PIECE, readable=True)
        client = self.serving(body, greedy=False)
        client.send(GET)
        while not body.all_closed or client.wire.waiting:
            client.wire.take(100_000)
        self.assertEqual(client.answer()[2], body.data)
        self.assertLess(client.wire.most_waiting, PIECE + 1000)

    def test_silence(self) -> None:
        """A client that takes nothing is dropped after the limit and its reader closed."""
        body = GrowingBody(b"x" * 5 * PIECE, size=5 * PIECE, readable=True)
        client = self.serving(body, greedy=False, limits=Limits(silence=20))
        client.send(GET)
        client.wait(19)
        client.wire.take()
        client.wait(19)
        self.assertFalse(client.wire.aborted)
        client.wait(2)
        self.assertTrue(client.wire.aborted)
        self.assertTrue(body.all_closed)

    def test_slow_body(self) -> None:
        """The silence of the body is not the client's."""
        body = GrowingBody(DATA, size=len(DATA))
        client = self.serving(body, limits=Limits(silence=20))
        client.send(GET)
        body.grow(0, 10)
        client.wait(1000)
        body.grow(10, len(DATA))
        self.assertEqual(client.answer()[2], DATA)


class NotDoneTests(SynchronousTestCase):
    def test_own_answer(self) -> None:
        """A handler may write itself, now or later, as any Twisted resource does."""
        later: Deferred[None] = Deferred()

        async def handler(request: MirrorRequest) -> None:
            request.setResponseCode(201)
            request.setHeader(b"X", b"y")
            request.write(b"one ")
            await later
            request.write(b"two")
            request.finish()

        client = connect(handler)
        client.send(GET)
        later.callback(None)
        status, headers, body = client.answer()
        self.assertEqual((status, headers.get("x"), body), (201, "y", b"one two"))
        self.assertEqual(headers.get("transfer-encoding"), "chunked")
