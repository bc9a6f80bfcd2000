from pathlib import Path

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import FetchTask, Reason
from aimirror.http.egress import Egress, Timeouts
from aimirror.http.headers import Headers
from aimirror.http.validator import Validator
from aimirror.interfaces import UpstreamError
from aimirror.workers.worker.files import PartFiles
from aimirror.workers.worker.piece import Piece
from aimirror.workers.worker.reports import Reports
from tests.workers.worker.fakes import FakeAgents, FakeReply, partial

FILE = bytes(range(100))


class PieceTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.agents, self.files = Clock(), FakeAgents(), PartFiles()
        self.reports = []
        path = self.mktemp()
        with open(path, "wb") as file:
            file.truncate(100)
        self.task = FetchTask(
            7,
            "http://h/[f]|%7e?sig=a+b%2f&&x",
            Headers([("Authorization", "Bearer x")]),
            10,
            20,
            100,
            path,
            Validator('"v"'),
            Egress(proxy="http://p:1"),
            Timeouts(1, 2, 3),
        )

    def start(self, task=None):
        reports = Reports(self.clock, lambda spans: self.reports.extend(s[1:] for s in spans))
        piece = Piece(self.clock, self.agents, self.files, task or self.task, reports)
        return piece, Deferred.fromCoroutine(piece.run())

    def test_request_to_the_letter(self):
        """The request is the task's URL, fields and way out, untouched by the HTTP client."""
        self.start()
        (outgoing,) = self.agents.requests
        self.assertEqual((outgoing.method, outgoing.url), ("GET", self.task.url))
        self.assertEqual(outgoing.headers.get_all("Accept-Encoding"), ("identity",))
        self.assertEqual(outgoing.headers.get_all("Range"), ("bytes=10-19",))
        self.assertEqual(outgoing.headers.get_all("If-Range"), ('"v"',))
        self.assertEqual(outgoing.headers.get_all("Authorization"), ("Bearer x",))
        self.assertEqual(outgoing.egress, self.task.egress)
        self.assertEqual(outgoing.timeouts, self.task.timeouts)

    def test_odd_names(self):
        """Hosts whose names IDNA does not have are asked like all others."""
        for host in ("my_repo.lan", "[::1]:8080", "r3---sn.example", "a--b.example"):
            self.start(evolve(self.task, url=f"http://{host}/f"))
            self.assertEqual(self.agents.requests[-1].url, f"http://{host}/f")

    def test_done(self):
        """A good answer ends in the file, with its latency; the file is closed behind it."""
        _, result = self.start()
        self.clock.advance(0.5)
        reply = self.agents.answer(partial(10, 20, 100, ETag='"v"'))
        reply.flow(FILE[10:20])
        self.assertNoResult(result)
        reply.end()
        ended = self.successResultOf(result)
        self.assertEqual((ended.reason, ended.stop, ended.latency), (Reason.DONE, 20, 0.5))
        self.assertEqual(self.reports, [(10, 20)])
        with open(self.task.path, "rb") as file:
            self.assertEqual(file.read()[10:20], FILE[10:20])
        self.assertEqual(len(self.files), 0)

    def test_refused(self):
        """A wrong answer is dropped before a byte of it is taken."""
        for reply, reason in [
            (FakeReply(200, [], 100), Reason.WHOLE),
            (partial(11, 20, 100), Reason.BAD_RANGE),
            (partial(10, 20, 100, ETag='"w"'), Reason.CHANGED),
            (FakeReply(302, [("Location", "/x")], 0), Reason.STATUS),
        ]:
            _, result = self.start()
            self.agents.answer(reply)
            ended = self.successResultOf(result)
            self.assertEqual((ended.reason, ended.stop), (reason, 10))
            self.assertTrue(reply.aborted)
            self.assertIsNone(reply.protocol)
        self.assertEqual((ended.status, self.reports), (302, []))

    def test_encoded(self):
        """A coding that the HTTP client would undo is seen before it does."""
        _, result = self.start()
        self.agents.answer(partial(10, 20, 100, Content_Encoding="gzip"))
        self.assertIs(self.successResultOf(result).reason, Reason.ENCODED)

    def test_retry_after(self):
        """A busy upstream's wish is handed on."""
        _, result = self.start()
        self.agents.answer(FakeReply(429, [("Retry-After", "3")], 0))
        ended = self.successResultOf(result)
        self.assertEqual((ended.status, ended.retry_after), (429, 3.0))

    def test_unreachable(self):
        """The upstream layer's reason is the piece's."""
        for reason in (Reason.RESOLVE, Reason.FORBIDDEN, Reason.TLS, Reason.SILENT):
            _, result = self.start()
            self.agents.answers[-1].errback(UpstreamError(reason, "why"))
            ended = self.successResultOf(result)
            self.assertEqual((ended.reason, ended.stop, ended.detail), (reason, 10, "why"))

    def test_unsendable(self):
        """A URL that can't be sent is a result, not an exception."""
        _, result = self.start(evolve(self.task, url="http://h:port/"))
        self.assertIs(self.successResultOf(result).reason, Reason.PROTOCOL)

    def test_cancelled_while_asking(self):
        """Cancelling before the header closes the connection."""
        piece, result = self.start()
        piece.cancel()
        self.assertEqual(self.agents.cancelled, 1)
        self.assertIs(self.successResultOf(result).reason, Reason.CANCELLED)

    def test_cancelled_in_the_body(self):
        """Cancelling in the body keeps what came."""
        piece, result = self.start()
        reply = self.agents.answer(partial(10, 20, 100))
        reply.flow(FILE[10:13])
        piece.cancel()
        ended = self.successResultOf(result)
        self.assertEqual((ended.reason, ended.stop), (Reason.CANCELLED, 13))
        self.assertTrue(reply.aborted)

    def test_trimmed_to_nothing_while_asking(self):
        """A piece of which nothing is left is DONE without its answer."""
        piece, result = self.start()
        piece.trim(10)
        ended = self.successResultOf(result)
        self.assertEqual((ended.reason, ended.stop), (Reason.DONE, 10))
        self.assertEqual(self.agents.cancelled, 1)

    def test_trimmed_while_asking(self):
        """A trim before the header holds for the body."""
        piece, result = self.start()
        piece.trim(14)
        reply = self.agents.answer(partial(10, 20, 100))
        reply.flow(FILE[10:20])
        ended = self.successResultOf(result)
        self.assertEqual((ended.reason, ended.stop), (Reason.DONE, 14))
        self.assertTrue(reply.aborted)

    def test_part_file_is_gone(self):
        """Without its part file a piece asks nobody."""
        Path(self.task.path).unlink()
        _, result = self.start()
        self.assertIs(self.successResultOf(result).reason, Reason.DISK)
        self.assertEqual(self.agents.requests, [])
        self.assertFalse(Path(self.task.path).exists())

    def test_cancellation_from_elsewhere(self):
        """A request that somebody else cancelled is CANCELLED, too."""
        _, result = self.start()
        self.agents.answers[-1].errback(CancelledError())
        self.assertIs(self.successResultOf(result).reason, Reason.CANCELLED)
