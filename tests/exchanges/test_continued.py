from __future__ import annotations

from aimirror.download.tasks import Reason
from aimirror.exchanges.continued import LOOK_EVERY
from aimirror.exchanges.versions import MOST_IDLE
from aimirror.interfaces import Passing, UpstreamError, Wanted
from aimirror.routing.choices import Strategy
from tests.exchanges.support import KB, DownloadCase, FakeResponse, Reading, partial, pattern, whole

CONTENT = pattern(600 * KB)
SIZE = len(CONTENT)
HALF = 300 * KB
TAG = ("ETag", '"v1"')
RESET = UpstreamError(Reason.RESET)


class Sink:
    """Takes a body that is passed on."""

    def __init__(self) -> None:
        self.taken = b""
        self.ends: list[UpstreamError | None] = []

    def data(self, chunk: bytes) -> None:
        self.taken += chunk

    def finished(self, error: UpstreamError | None) -> None:
        self.ends.append(error)


class ContinuedCase(DownloadCase):
    """A plain body on its way."""

    def setUp(self) -> None:
        super().setUp()
        self.response = whole(CONTENT)
        self.reading = Reading(self.begin(self.response, self.plain()))

    def plain(self) -> Wanted:
        return self.wanted(rule=self.rule(strategy=Strategy.PROXY))

    def break_off(self, response: FakeResponse | None = None, upto: int = HALF) -> None:
        (response or self.response).flow(CONTENT[:upto])
        (response or self.response).end(RESET)
        self.clock.advance(1)

    def rest(self, start: int = HALF) -> FakeResponse:
        return self.upstream.answer(partial(start, SIZE, SIZE))

    def assertCut(self) -> None:
        assert self.reading.failed is not None
        self.assertIs(self.reading.failed.reason, Reason.RESET)
        self.assertEqual((self.reading.data, self.stored()), (CONTENT[:HALF], []))
        self.assertEqual((self.running(), self.upstream.waiting), (0, 0))

    def passing(self) -> Passing:
        self.first = FakeResponse(200, TAG, ("Cache-Control", "no-store"), length=SIZE)
        fetching = self.downloads.fetch(
            self.wanted(rule=self.rule(strategy=Strategy.PROXY), url="http://files.test/no.bin")
        )
        self.upstream.answer(self.first)
        outcome = self.successResultOf(fetching)
        assert isinstance(outcome, Passing)
        return outcome


class ContinuedTests(ContinuedCase):
    """A plain body that breaks off at its half."""

    def test_ranged(self) -> None:
        """The rest of the same version is asked for; readers and the cache get the whole."""
        self.break_off()
        asked = self.upstream.requests[-1].headers
        self.assertEqual(asked.get("range"), f"bytes={HALF}-{SIZE - 1}")
        self.assertEqual(asked.get("if-range"), '"v1"')
        rest = self.rest()
        rest.flow(CONTENT[HALF:])
        rest.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_again_and_again(self) -> None:
        """It goes on as long as each answer brings something."""
        self.break_off()
        for start in range(HALF, SIZE, 30 * KB):
            rest = self.rest(start)
            rest.flow(CONTENT[start : start + 30 * KB])
            rest.end(RESET if start + 30 * KB < SIZE else None)
            self.clock.advance(1)
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_without_ranges(self) -> None:
        """A whole answer of the same version is read over to where it broke off."""
        self.break_off()
        again = self.upstream.answer(whole(CONTENT))
        again.flow(CONTENT)
        again.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_another_version(self) -> None:
        """Bytes of two versions are never joined."""
        self.break_off()
        other = self.upstream.answer(FakeResponse(200, ("ETag", '"v2"'), length=SIZE))
        self.assertTrue(other.aborted)
        self.assertCut()

    def test_shorter_than_asked(self) -> None:
        """An honest 206 of less than was asked for is followed by a further request."""
        self.break_off()
        less = self.upstream.answer(partial(HALF, HALF + 100 * KB, SIZE))
        less.flow(CONTENT[HALF : HALF + 100 * KB])
        less.end()
        self.clock.advance(1)
        rest = self.rest(HALF + 100 * KB)
        rest.flow(CONTENT[HALF + 100 * KB :])
        rest.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_given_up(self) -> None:
        """An upstream that brings no more is not asked for ever."""
        self.break_off()
        for _ in range(MOST_IDLE):
            self.upstream.refuse(Reason.CONNECT)
            self.clock.advance(30)
        self.assertCut()

    def test_busy(self) -> None:
        """A 503 is no answer about the file: it is asked again."""
        self.break_off()
        self.assertTrue(self.upstream.answer(FakeResponse(503)).aborted)
        self.clock.advance(30)
        rest = self.rest()
        rest.flow(CONTENT[HALF:])
        rest.end()
        self.assertEqual(self.stored(), [CONTENT])

    def test_stopped_while_asking(self) -> None:
        """Stopping closes what asks for the rest, and does not wait for it."""
        self.break_off()
        stopped = self.downloads.stop()
        self.assertTrue(stopped.called)
        self.assertEqual((self.upstream.cancelled, self.running()), (1, 0))

    def test_stopped_while_waiting(self) -> None:
        """The pause before a further request ends with the download."""
        self.response.flow(CONTENT[:HALF])
        self.response.end(RESET)
        self.assertTrue(self.downloads.stop().called)
        self.clock.advance(30)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_paused(self) -> None:
        """Who wants no bytes now gets none of the next answer either."""
        self.response.flow(CONTENT[:HALF])
        self.response.pause()
        passing = self.passing()
        sink = Sink()
        passing.response.deliver(sink)
        self.first.flow(CONTENT[:HALF])
        passing.response.pause()
        self.first.end(RESET)
        self.clock.advance(1)
        self.assertTrue(self.rest().paused)
        passing.response.resume()

    def test_passed_on(self) -> None:
        """What may not be stored is gone on with as well."""
        passing = self.passing()
        sink = Sink()
        passing.response.deliver(sink)
        self.break_off(self.first)
        rest = self.rest()
        rest.flow(CONTENT[HALF:])
        rest.end()
        self.assertTrue(sink.taken == CONTENT)
        self.assertEqual(sink.ends, [None])


class SilenceTests(ContinuedCase):
    """A plain body that falls silent at its half."""

    def setUp(self) -> None:
        super().setUp()
        self.response.flow(CONTENT[:HALF])

    def test_hedged(self) -> None:
        """The rest is asked for beside it within seconds, and it is left for who brings that."""
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.upstream.requests), 1)
        self.clock.advance(LOOK_EVERY)
        asked = self.upstream.requests[-1].headers
        self.assertEqual(asked.get("range"), f"bytes={HALF}-{SIZE - 1}")
        self.assertEqual(asked.get("if-range"), '"v1"')
        rest = self.rest()
        self.assertTrue(self.response.aborted)
        rest.flow(CONTENT[HALF:])
        rest.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))
        self.assertEqual(self.upstream.waiting, 0)

    def test_goes_on_after_all(self) -> None:
        """If it goes on meanwhile, the other answer is dropped."""
        self.clock.advance(LOOK_EVERY)
        self.clock.advance(LOOK_EVERY)
        self.response.flow(CONTENT[HALF : HALF + KB])
        self.assertTrue(self.rest().aborted)
        self.response.flow(CONTENT[HALF + KB :])
        self.response.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_both_end(self) -> None:
        """If it ends while the other is asked, the rest is asked for as ever."""
        self.clock.advance(LOOK_EVERY)
        self.clock.advance(LOOK_EVERY)
        self.response.end(RESET)
        self.upstream.refuse(Reason.CONNECT)
        self.clock.advance(1)
        rest = self.rest()
        rest.flow(CONTENT[HALF:])
        rest.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_whole_again(self) -> None:
        """An upstream without ranges is read over to the place where the other is silent."""
        self.clock.advance(LOOK_EVERY)
        self.clock.advance(LOOK_EVERY)
        again = self.upstream.answer(whole(CONTENT))
        again.flow(CONTENT)
        again.end()
        self.assertEqual((self.reading.data, self.stored()), (CONTENT, [CONTENT]))

    def test_stopped(self) -> None:
        """Stopping leaves neither a request nor a timer."""
        self.clock.advance(LOOK_EVERY)
        self.clock.advance(LOOK_EVERY)
        self.successResultOf(self.downloads.stop())
        self.assertEqual((self.upstream.cancelled, self.running()), (1, 0))
        soon = self.clock.seconds() + LOOK_EVERY
        self.assertEqual([c for c in self.clock.getDelayedCalls() if c.getTime() <= soon], [])

    def test_slow_client(self) -> None:
        """Who takes nothing is not brought more by a second request."""
        passing = self.passing()
        passing.response.deliver(Sink())
        passing.response.pause()
        before = len(self.upstream.requests)
        self.response.flow(CONTENT[HALF:])
        self.response.end()
        for _ in range(9):
            self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.upstream.requests), before)
        passing.response.abort()
