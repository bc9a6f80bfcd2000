"""Part of a file on its way to a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason, SendResult, SendTask
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.workers.worker import sending
from aimirror.workers.worker.sending import FileBody, send
from tests.store.support import descriptors
from tests.workers.worker.fakes import FakeAgents, FakeReply

DATA = bytes(range(250)) * 20


class Consumer:
    """Takes so many writes, then says that it is full."""

    def __init__(self, body: FileBody, room: int = 1000) -> None:
        self.body, self.room, self.data = body, room, b""

    def write(self, data: bytes) -> None:
        self.data += data
        self.room -= 1
        if self.room == 0:
            self.body.pauseProducing()


class SendingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.agents = Clock(), FakeAgents()
        self.patch(sending, "STEP", 1000)
        self.path = Path(self.mktemp())
        self.path.write_bytes(DATA)

    def task(self, **fields: Any) -> SendTask:
        given = {"start": 500, "stop": 4700, "path": str(self.path), "headers": Headers()}
        return SendTask(url="http://s3/x", **{**given, **fields})

    def body(self, **fields: Any) -> FileBody:
        body = FileBody(self.task(**fields), self.clock)
        self.addCleanup(body.close)
        return body

    def turn(self) -> None:
        for _ in range(20):
            self.clock.advance(0)

    def test_span(self) -> None:
        """Its part of the file, no more and no less."""
        body = self.body()
        consumer = Consumer(body)
        done = body.startProducing(consumer)  # type: ignore[arg-type]
        self.turn()
        self.successResultOf(done)
        self.assertEqual(consumer.data, DATA[500:4700])
        self.assertEqual(body.length, 4200)

    def test_pressure(self) -> None:
        """Nothing more is read while the server is slow."""
        body = self.body()
        consumer = Consumer(body, room=2)
        done = body.startProducing(consumer)  # type: ignore[arg-type]
        self.turn()
        self.assertEqual(len(consumer.data), 2000)
        body.resumeProducing()
        self.turn()
        self.successResultOf(done)

    def test_rate(self) -> None:
        """No faster than so many bytes a second."""
        body = self.body(rate_limit=500)
        consumer = Consumer(body)
        body.startProducing(consumer)  # type: ignore[arg-type]
        self.clock.advance(1)
        self.assertEqual(len(consumer.data), 1000)
        self.clock.advance(1)
        self.assertEqual(len(consumer.data), 2000)

    def test_short(self) -> None:
        """A file that is shorter than it was is a failure, not a short body."""
        body = self.body(stop=9000)
        done = body.startProducing(Consumer(body))  # type: ignore[arg-type]
        self.turn()
        self.failureResultOf(done, OSError)
        self.assertIn("shorter", body.failed)

    def sent(self, **fields: Any) -> Deferred[SendResult]:
        return Deferred.fromCoroutine(send(self.task(**fields), self.agents, self.clock))

    def test_result(self) -> None:
        """The status and the ETag are told, and no descriptor stays open."""
        before = descriptors()
        sent = self.sent()
        self.agents.answers[0].callback(FakeReply(200, [("ETag", '"e"')], 0))
        self.assertEqual(self.successResultOf(sent), SendResult(200, '"e"'))
        self.assertEqual(descriptors(), before)

    def test_failures(self) -> None:
        """A server that does not answer, and a file that is gone, are results, too."""
        sent = self.sent()
        self.agents.answers[0].errback(UpstreamError(Reason.CONNECT, "refused"))
        self.assertEqual(self.successResultOf(sent).status, 0)
        self.assertIn("No such file", self.successResultOf(self.sent(path="/none")).detail)
