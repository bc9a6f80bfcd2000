"""Rate limits hold for all that comes from upstream, together."""

from __future__ import annotations

from time import mktime

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.hours import Hours
from aimirror.exchanges.rates import LimitedResponse, Rates
from aimirror.interfaces import Passing
from aimirror.routing.choices import Strategy
from aimirror.routing.rules import Rule
from tests.exchanges.support import MB, DownloadCase, FakeResponse, pattern

CONTENT = pattern(40 * MB)
LIMIT = 8_000_000


class TogetherTests(DownloadCase):
    """Several downloads and streams."""

    settings = {"rate_limit": LIMIT}
    limits = {"most": 10, "per_host": 64}

    def begin_file(self, name: str) -> FakeResponse:
        rule = self.rule(concurrency=8)
        response = self.probe(CONTENT)
        response.url = f"http://files.test/{name}"
        self.begin(response, self.wanted(rule=rule, url=response.url))
        return response

    def pieces(self) -> int:
        """Bytes per second of all pieces together."""
        return sum(fetch.task.rate_limit for fetch in self.pool.flying)

    def test_five_files(self) -> None:
        """Pieces that run already are slowed down when more files come, and speeded up after."""
        self.begin_file("0")
        alone = self.pieces()
        for number in range(1, 5):
            self.begin_file(str(number))
        self.assertLessEqual(self.pieces(), LIMIT)
        self.assertGreater(self.pieces(), LIMIT // 2)
        for fill in [running.fill for running in self.downloads._all()][1:]:
            fill.cancel()
        self.clock.advance(0)
        self.assertEqual(self.pieces(), alone)

    def test_what_is_passed_on(self) -> None:
        """A stream that may not be stored counts, too, and is held to its share."""
        self.begin_file("0")
        alone = self.pieces()
        rule = self.rule(strategy=Strategy.PROXY)
        url = "http://files.test/private"
        fetching = self.downloads.fetch(self.wanted(rule=rule, url=url))
        fields = ("Cache-Control", "no-store")
        response = self.upstream.answer(FakeResponse(200, fields, length=len(CONTENT), url=url))
        outcome = self.successResultOf(fetching)
        assert isinstance(outcome, Passing)
        self.assertLessEqual(self.pieces(), alone // 2 + 1)
        taken: list[bytes] = []

        class Receiver:
            def data(self, chunk: bytes) -> None:
                taken.append(chunk)

            def finished(self, error: object) -> None:
                taken.append(b"end")

        outcome.response.deliver(Receiver())
        response.flow(CONTENT[:MB])
        self.assertTrue(response.paused)
        self.clock.advance(MB / (LIMIT / 2) - 0.06)
        self.assertTrue(response.paused)
        self.clock.advance(0.06)
        self.assertFalse(response.paused)
        response.end()
        self.assertEqual(taken[-1], b"end")
        self.assertEqual(self.pieces(), alone)


class ScheduleTests(SynchronousTestCase):
    def test_local_time(self) -> None:
        """The limit follows the machine's local time, also from none to some."""
        now = mktime((2024, 5, 6, 7, 59, 59, 0, 0, -1))
        hours = (Hours(start=8 * 3600.0, stop=9 * 3600.0, rate_limit=100),)
        rule = Rule(name="r", upstreams=("http://files.test",))
        rates = Rates(0, hours, lambda: now)
        rates.enter("x", rule, lambda: None)
        self.assertEqual((rates.limits(rule), rates.rate(rule)), (True, 0))
        now += 1
        self.assertEqual(rates.rate(rule), 100)
        now += 3600
        self.assertEqual(rates.rate(rule), 0)


class LimitedResponseTests(DownloadCase):
    def test_both_must_agree(self) -> None:
        """It flows again when the limit allows it and the receiver wants it."""
        response = FakeResponse(200, length=MB)
        rates, rule = Rates(1_000_000), Rule(name="r", upstreams=("http://files.test",))
        limited = LimitedResponse(response, self.clock, rates, rule)
        limited.deliver(LimitedResponse(FakeResponse(), self.clock, rates, rule))
        limited.pause()
        response.flow(bytes(250_000))
        self.clock.advance(10)
        self.assertTrue(response.paused)
        limited.resume()
        self.assertFalse(response.paused)
        limited.abort()
        self.assertTrue(response.aborted)

    def test_free_without_a_limit(self) -> None:
        """Where there is no limit, nothing stands between."""
        response = FakeResponse(200, length=MB)
        self.assertIs(self.downloads.limited(self.rule(), response), response)
