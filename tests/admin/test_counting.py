"""What is counted as it happens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.counting import CountedUpstream, counted, ended
from aimirror.download.tasks import Reason
from aimirror.exchanges.environment import Finished, Progress
from aimirror.http.egress import Egress, Outgoing, Timeouts
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.server.access_log import AccessRecord
from aimirror.server.tally import Tally
from tests.server.support import clock_at_now

KEY = "https://h.test/k"
EXCHANGE = AccessRecord("GET", "/a", "HTTP/1.1", 200, "HIT", "", "", "files", first=0.002)


class HookTests(SynchronousTestCase):
    def test_answers(self) -> None:
        """Each answer is counted and logged, repeats included."""
        tally, logged = Tally(), []
        hook = counted(tally, lambda *told: logged.append(told))
        hook(EXCHANGE, "peer", 10, 0.1)
        hook(EXCHANGE.repeated(), "peer", 10, 0.0)
        row = tally.answers.known["files", "HIT", 200]
        self.assertEqual((row.count, row.bytes, len(logged)), (2, 20, 2))

    def test_downloads(self) -> None:
        """A download is counted by how it ended; wrong bytes have a word of their own."""
        tally = Tally()
        end = ended(tally, lambda: 12.0)
        end(Progress(KEY, "files", 10.0, 100, 100), Finished())
        end(Progress(KEY, "files", 10.0, 100, 50), Finished(None, Reason.CHANGED, mismatch=True))
        self.assertEqual(set(tally.ended.known), {("files", "done"), ("files", "mismatch")})
        self.assertEqual((tally.mismatches, tally.durations.sum), (1, 4.0))

    def test_upstreams(self) -> None:
        """Answers and failures of an upstream are counted by host, and passed on as they are."""
        tally, clock, replies = Tally(), clock_at_now(), []

        class Fake:
            def request(self, *_: Any) -> Deferred[Any]:
                replies.append(Deferred())
                return replies[-1]

        upstream = CountedUpstream(Fake(), tally, clock)  # type: ignore[arg-type]
        outgoing = Outgoing("GET", "https://H.test/x", Headers(), Egress(), Timeouts())
        first, second = upstream.request(outgoing), upstream.request(outgoing)
        clock.advance(0.25)
        response = SimpleNamespace(status=200)
        replies[0].callback(response)
        replies[1].errback(UpstreamError(Reason.CONNECT))
        self.assertIs(self.successResultOf(first), response)
        self.failureResultOf(second, UpstreamError)
        row = tally.upstreams.known["h.test"]
        self.assertEqual((row.answered, row.failed, row.header.sum), (1, 1, 0.25))

    def test_troubles(self) -> None:
        """What says that an upstream is ill is kept with its reason; who leaves says nothing."""
        tally, clock, replies = Tally(), clock_at_now(), []

        class Fake:
            def request(self, *_: Any) -> Deferred[Any]:
                replies.append(Deferred())
                return replies[-1]

        upstream = CountedUpstream(Fake(), tally, clock)  # type: ignore[arg-type]
        outgoing = Outgoing("GET", KEY, Headers(), Egress(), Timeouts())
        row = tally.upstreams.at("h.test")
        asked = upstream.request(outgoing)
        asked.addErrback(lambda _: None)
        asked.cancel()
        self.assertEqual((row.failed, row.ill), (0, False))
        for status, ill in ((503, True), (404, False), (429, True), (200, False)):
            upstream.request(outgoing)
            clock.advance(1)
            replies[-1].callback(SimpleNamespace(status=status))
            self.assertEqual(row.ill, ill, status)
        self.assertEqual(row.why, "it answers with status 429")
        failing = upstream.request(outgoing)
        clock.advance(1)
        replies[-1].errback(UpstreamError(Reason.TLS, "h.test: expired"))
        self.failureResultOf(failing, UpstreamError)
        self.assertEqual((row.why, row.failed, row.ill), ("TLS failure: h.test: expired", 1, True))

    def test_ends_of_downloads(self) -> None:
        """A download that its upstream broke makes it ill; one that the disk ended does not."""
        for finished, why in (
            (Finished(None, Reason.SILENT, "for 30 s"), "upstream fell silent: for 30 s"),
            (Finished(None, Reason.DISK_FULL), ""),
            (Finished(None, Reason.CANCELLED), ""),
            (Finished(None, Reason.DONE, mismatch=True), "mismatch"),
            (Finished(), ""),
        ):
            tally = Tally()
            ended(tally, lambda: 12.0)(Progress(KEY, "files", 10.0, 100, 50), finished)
            row = tally.upstreams.at("h.test")
            self.assertEqual((row.why, row.ill), (why, bool(why)), finished)
