"""Links that work once, or for one range only: the first request brings all of the file."""

from __future__ import annotations

from typing import Any

from aimirror.download.tasks import Reason
from aimirror.exchanges.failures import ONCE_FOR
from aimirror.exchanges.ranged import LINGER_FOR
from aimirror.interfaces import Arriving, Wanted
from tests.exchanges.support import (
    MB,
    URL,
    DownloadCase,
    FakeFetch,
    FakeResponse,
    Reading,
    partial,
    pattern,
    whole,
)

CONTENT = pattern(6 * MB)
TICKET = f"{URL}?ticket=1"
OTHER = "http://files.test/two.bin?ticket=2"


class OnceCase(DownloadCase):
    """A host of which nothing is known."""

    def setUp(self) -> None:
        super().setUp()
        self.first = partial(0, len(CONTENT), len(CONTENT))

    def wanted(self, *fields: tuple[str, str], url: str = TICKET, **rest: Any) -> Wanted:
        return super().wanted(*fields, url=url, **rest)

    def start(self, **wanted: Any) -> Reading:
        """Its first answer has come, and brings some bytes."""
        self.reading = Reading(self.begin(self.first, self.wanted(**wanted)))
        self.first.flow(CONTENT[: 64 << 10])
        return self.reading

    def second(self) -> FakeFetch:
        """The one request beside the first."""
        [fetch] = self.pool.flying
        return fetch

    def finish_first(self) -> None:
        self.first.flow(CONTENT[len(self.reading.data) :])
        self.first.end()

    def ranges(self) -> list[str | None]:
        return [each.headers.get("Range") for each in self.upstream.requests]


class UnknownTests(OnceCase):
    def test_one_beside_the_first(self) -> None:
        """The first request has no end; until a second one is accepted there is no third."""
        self.start()
        self.assertEqual(self.ranges(), ["bytes=0-"])
        for _ in range(5):
            self.clock.advance(0.25)
            self.second()

    def test_proven(self) -> None:
        """Once it is accepted the first one ends where it begins, and all share the rest."""
        self.start()
        second = self.second()
        self.assertEqual(second.task.start, MB)
        second.write(CONTENT, 1000)
        self.assertEqual(len(self.pool.flying), 3)
        self.first.flow(CONTENT[64 << 10 : MB + 1000])
        self.assertTrue(self.first.aborted)
        self.pool.bring_all(CONTENT)
        self.assertTrue(self.reading.data == CONTENT)
        self.assertEqual(len(self.upstream.requests), 1)

    def test_known_afterwards(self) -> None:
        """The next file of that host is asked for in pieces at once, each connection kept."""
        self.test_proven()
        self.downloads.fetch(self.wanted(url=OTHER))
        self.assertEqual(self.ranges()[-1], f"bytes=0-{MB - 1}")

    def test_ordinary(self) -> None:
        """A URL that was not made for one use is asked for in pieces at once: nothing is cut."""
        self.downloads.fetch(self.wanted(url=URL))
        self.assertEqual(self.ranges(), [f"bytes=0-{MB - 1}"])

    def test_lingers(self) -> None:
        """Little of the first one is read before a second one is accepted, or did not come."""
        self.start()
        self.first.flow(CONTENT[64 << 10 : 300 << 10])
        self.assertTrue(self.first.paused)
        self.clock.advance(LINGER_FOR)
        self.assertFalse(self.first.paused)

    def test_worlds(self) -> None:
        """The hosts of package worlds are known to answer as often as they are asked."""
        self.downloads.fetch(self.wanted(rule=self.rule(ecosystem="npm")))
        self.assertEqual(self.ranges(), [f"bytes=0-{MB - 1}"])

    def test_one_connection(self) -> None:
        """Where there may be one connection alone, the first one brings all."""
        self.start(rule=self.rule(concurrency=1))
        self.clock.advance(2)
        self.finish_first()
        self.assertEqual((self.reading.data == CONTENT, self.pool.fetches), (True, []))

    def test_private(self) -> None:
        """What may not be stored comes by many connections, too, once a second one is accepted."""
        private = ("Cache-Control", "private, no-store")
        self.first = partial(0, len(CONTENT), len(CONTENT), private)
        fetching = self.downloads.fetch(self.wanted())
        self.upstream.answer(self.first)
        self.successResultOf(fetching)
        self.first.flow(CONTENT[: 64 << 10])
        self.second().write(CONTENT, 1000)
        self.assertEqual(len(self.pool.flying), 3)

    def test_not_stored(self) -> None:
        """What is too large to be stored comes by that one request, too."""
        fetching = self.downloads.fetch(self.wanted(rule=self.rule(max_size=MB)))
        self.upstream.answer(self.first)
        self.assertPasses(self.successResultOf(fetching), self.first)
        self.assertEqual(len(self.upstream.requests), 1)


class RefusedTests(OnceCase):
    """Nothing but the first request is answered as it should be."""

    REFUSALS: tuple[tuple[Reason, int], ...] = (
        (Reason.STATUS, 401),
        (Reason.STATUS, 403),
        (Reason.STATUS, 404),
        (Reason.STATUS, 410),
        (Reason.WHOLE, 200),
        (Reason.CHANGED, 200),
        (Reason.BAD_RANGE, 416),
    )

    def test_first_goes_on(self) -> None:
        """The first one is read to its end, and no other is sent."""
        for reason, status in self.REFUSALS:
            self.setUp()
            self.start()
            self.second().end(reason, status=status)
            for _ in range(20):
                self.clock.advance(0.25)
            self.assertFalse(self.first.aborted)
            self.finish_first()
            self.assertTrue(self.reading.data == CONTENT, status)
            self.assertEqual(self.stored()[0] == CONTENT, True)
            self.assertEqual((len(self.pool.fetches), len(self.upstream.requests)), (1, 1))

    def test_remembered(self) -> None:
        """Other files of that host are plain streams, for a while."""
        self.start()
        self.second().end(Reason.STATUS, status=410)
        self.finish_first()
        self.downloads.fetch(self.wanted(url=OTHER))
        self.assertIsNone(self.ranges()[-1])
        response = self.upstream.answer(whole(CONTENT))
        response.end()
        self.clock.advance(ONCE_FOR)
        self.downloads.fetch(self.wanted(url="http://files.test/three.bin?ticket=3"))
        self.assertEqual(self.ranges()[-1], "bytes=0-")

    def test_may_pass(self) -> None:
        """What may pass is tried again, but not for ever, and says nothing of the host."""
        self.start()
        for attempt in range(1, 4):
            self.second().end(Reason.STATUS, status=503)
            self.assertEqual(len(self.pool.fetches), attempt)
            self.clock.pump([0.25] * 20)
        self.assertEqual(len(self.pool.fetches), 3)
        self.finish_first()
        self.assertTrue(self.reading.data == CONTENT)
        self.downloads.fetch(self.wanted(url=OTHER))
        self.assertEqual(self.ranges()[-1], "bytes=0-")

    def test_accepted_after_all(self) -> None:
        """A second try that is accepted is as good as a first."""
        self.start()
        self.second().end(Reason.RESET)
        self.clock.pump([0.25] * 4)
        self.second().write(CONTENT, 1000)
        self.assertEqual(len(self.pool.flying), 3)

    def test_limited(self) -> None:
        """Where others to the host are at work, a refusal may be for the number of connections."""
        permits = [self.ledger.count("files.test") for _ in range(3)]
        for permit in permits:
            permit.works()
        self.start()
        self.second().end(Reason.STATUS, status=403)
        self.finish_first()
        self.assertTrue(self.reading.data == CONTENT)
        self.downloads.fetch(self.wanted(url=OTHER))
        self.assertEqual(self.ranges()[-1], "bytes=0-")

    def test_breaks_off(self) -> None:
        """Where that one request breaks off there is an end, after few others."""
        self.start()
        self.second().end(Reason.STATUS, status=403)
        self.first.end(None)
        for _ in range(40):
            self.clock.advance(1)
            for fetch in self.pool.flying:
                fetch.end(Reason.STATUS, status=403)
            if self.upstream.waiting:
                self.upstream.answer(FakeResponse(403, length=0))
        self.assertIsNotNone(self.reading.failed)
        self.assertLess(len(self.pool.fetches) + len(self.upstream.requests), 12)

    def test_known_to_repeat_once(self) -> None:
        """A host that was known to repeat, and has a link that does not, is known by that."""
        self.downloads.fetch(self.wanted(rule=self.rule(ecosystem="npm")))
        self.upstream.answer(partial(0, MB, len(CONTENT)))
        while self.running():
            for fetch in self.pool.flying:
                fetch.end(Reason.STATUS, status=403)
            if self.upstream.waiting:
                self.upstream.answer(FakeResponse(403, length=0))
            self.clock.advance(1)
        self.downloads.fetch(self.wanted(url=OTHER))
        self.assertIsNone(self.ranges()[-1])


class RangesTests(OnceCase):
    def test_clients_range(self) -> None:
        """A client's Range of such a link is served by its one stream, once that gets there."""
        outcome = self.begin(self.first)
        assert isinstance(outcome, Arriving)
        reading = self.reading = Reading(outcome, 5 * MB, 5 * MB + 10)
        self.second().end(Reason.STATUS, status=403)
        self.first.flow(CONTENT)
        self.first.end()
        self.assertEqual(reading.data, CONTENT[5 * MB : 5 * MB + 10])
