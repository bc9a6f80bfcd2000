"""Requests that are sent a second time since nothing answers them."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.tasks import Reason
from aimirror.exchanges.hedging import HEDGE_AFTER, MOST_HEDGED, Hedging
from aimirror.http.egress import Outgoing
from aimirror.http.headers import Headers
from aimirror.interfaces import UpstreamError
from aimirror.upstream.hosts import Hosts
from tests.exchanges.support import URL, FakeResponse, FakeUpstream

HOST = "files.test"


class HedgingTests(SynchronousTestCase):
    limit = 8

    def setUp(self) -> None:
        self.clock = Clock()
        self.hosts = Hosts(self.clock, self.limit)
        self.upstream = FakeUpstream(self.hosts, self.clock)
        self.hedging = Hedging(self.clock, self.hosts)

    def ask(self, method: str = "GET", body: object | None = None) -> Deferred:
        outgoing = Outgoing(method, URL, Headers())
        return self.hedging.request(self.upstream, outgoing, body, 3)

    @property
    def sent(self) -> int:
        return len(self.upstream.requests)

    def test_answered(self) -> None:
        """What is answered in time is sent once, and nothing is left behind."""
        asked = self.ask()
        response = self.upstream.answer(FakeResponse())
        self.assertIs(self.successResultOf(asked), response)
        self.clock.advance(100)
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), (1, []))

    def test_silent(self) -> None:
        """The second request leaves by a fresh connection, and either answer ends the other."""
        for number in (0, 1):
            self.setUp()
            asked = self.ask()
            self.clock.advance(HEDGE_AFTER)
            self.assertEqual([each.fresh for each in self.upstream.requests], [False, True])
            response = self.upstream.answer(FakeResponse(), number)
            self.assertIs(self.successResultOf(asked), response)
            self.assertEqual((self.upstream.cancelled, response.aborted), (1, False))
            self.clock.advance(100)
            self.assertEqual(self.sent, 2)

    def test_slow_work(self) -> None:
        """What the first request is answered, late, is not sent twice the next time."""
        for answered, sent in ((1, 2), (2, 4), (4, 5)):
            asked = self.ask()
            self.clock.advance(HEDGE_AFTER)
            self.assertEqual(self.sent, sent)
            self.upstream.answer(FakeResponse(), answered)
            self.successResultOf(asked)

    def test_one_fails(self) -> None:
        """Where one of the two fails the other is waited for; a lone one fails at once."""
        alone = self.ask()
        self.upstream.refuse(Reason.RESET)
        self.failureResultOf(alone, UpstreamError)
        asked = self.ask()
        self.clock.advance(HEDGE_AFTER)
        self.upstream.refuse(Reason.SILENT, 1)
        self.assertNoResult(asked)
        response = self.upstream.answer(FakeResponse())
        self.assertIs(self.successResultOf(asked), response)

    def test_both_fail(self) -> None:
        """The last failure is the failure."""
        asked = self.ask()
        self.clock.advance(HEDGE_AFTER)
        self.upstream.refuse(Reason.CONNECT)
        self.upstream.refuse(Reason.SILENT, 0)
        self.assertIs(self.failureResultOf(asked, UpstreamError).value.reason, Reason.SILENT)

    def test_cancelled(self) -> None:
        """Cancelling ends both."""
        asked = self.ask()
        self.clock.advance(HEDGE_AFTER)
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual((self.upstream.cancelled, self.clock.getDelayedCalls()), (2, []))

    def test_not_twice(self) -> None:
        """What changes something is sent once."""
        self.ask("POST")
        self.ask("GET", object())
        self.clock.advance(100)
        self.assertEqual(self.sent, 2)

    def test_bounded(self) -> None:
        """A slow host gets few second requests at a time, and gets others when they have ended."""
        asked = [self.ask() for _ in range(MOST_HEDGED + 2)]
        self.clock.advance(HEDGE_AFTER)
        self.assertEqual(self.sent, len(asked) + MOST_HEDGED)
        self.upstream.answer(FakeResponse(), 0)
        self.clock.advance(HEDGE_AFTER)
        self.assertEqual(self.sent, len(asked) + MOST_HEDGED + 1)

    def test_no_room(self) -> None:
        """A host that has all connections that it may have gets no second request."""
        permits = [self.hosts.count(HOST) for _ in range(self.limit)]
        self.ask()
        self.clock.advance(HEDGE_AFTER)
        self.assertEqual(self.sent, 1)
        permits[0].release()
        self.clock.advance(HEDGE_AFTER)
        self.assertEqual(self.sent, 2)
