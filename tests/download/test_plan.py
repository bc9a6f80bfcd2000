"""Sizes of pieces."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.flight import UNHEARD, Flight
from aimirror.download.plan import (
    LEAST_PIECE,
    SMALLEST_PIECE,
    SMALLEST_SPLIT,
    Pace,
    piece_size,
    smallest_piece,
    takeover,
)

MB = 1_000_000


class SmallestTests(SynchronousTestCase):
    def test_worth_its_request(self) -> None:
        """It takes two round trips at the rate of its connection, within bounds."""
        self.assertEqual(smallest_piece(Pace()), SMALLEST_PIECE)
        self.assertEqual(smallest_piece(Pace(MB, 0.05)), 100_000)
        self.assertEqual(smallest_piece(Pace(MB, 0.001)), LEAST_PIECE)
        self.assertEqual(smallest_piece(Pace(50 * MB, 0.05)), SMALLEST_PIECE)

    def test_the_rest_employs_all(self) -> None:
        """On a slow line the last two megabytes are cut for twenty connections, not for eight."""
        self.assertEqual(piece_size(2 * MB, 20, Pace(MB, 0.05), 0), 100_000)
        self.assertEqual(piece_size(2 * MB, 20, Pace(), 0), SMALLEST_PIECE)


class TakeoverTests(SynchronousTestCase):
    """What idle connections take from busy ones; all lines bring a megabyte each second."""

    PACE = Pace(MB, 0.03)

    def flight(self, brought: int, left: int, number: int = 1) -> Flight:
        """One that has brought so much in two seconds, and was heard of just now."""
        flight = Flight(number, 0, 0, brought + left, 0.0)
        flight.moved(brought // 2, 1.0)
        flight.moved(brought, 2.0)
        return flight

    def test_all_who_are_idle_help(self) -> None:
        """What one keeps, and what each of nine others gets, end together."""
        taken = takeover([self.flight(2 * MB, 3 * MB)], self.PACE, 2.0, idle=9)
        assert taken is not None
        kept = taken.start - 2 * MB
        part = (taken.stop - taken.start) / 9
        self.assertEqual(taken.trimmed, (1,))
        self.assertLess(abs(kept / MB - self.PACE.latency - part / MB), 0.01)

    def test_no_crumbs(self) -> None:
        """However many are idle, none gets less than is worth a request."""
        taken = takeover([self.flight(2 * MB, 800_000)], self.PACE, 2.0, idle=50)
        assert taken is not None
        kept = taken.start - 2 * MB
        self.assertGreaterEqual(kept, SMALLEST_SPLIT)
        self.assertGreater(taken.stop - taken.start, 3 * SMALLEST_SPLIT)

    def test_what_has_come_is_left_alone(self) -> None:
        """Bytes that are gathered and not told of yet are not asked for once more."""
        now = 2.0 + UNHEARD
        taken = takeover([self.flight(2 * MB, MB)], self.PACE, now, idle=1)
        assert taken is not None
        self.assertGreater(taken.start, (2 + UNHEARD) * MB + 300_000)

    def test_late_news(self) -> None:
        """What is heard of late is not slow, and what is told of late is not cut too soon."""
        young = Flight(1, 0, 0, 200_000, 1.7)
        young.moved(16_000, 1.8)
        self.assertIsNotNone(takeover([young], self.PACE, 2.1, idle=9))
        late = Pace(MB, 0.03, lag=0.3)
        self.assertIsNone(takeover([young], late, 2.1, idle=9))
        steady = self.flight(2 * MB, 3 * MB)
        cut = [takeover([steady], pace, 2.0, idle=9) for pace in (self.PACE, late)]
        assert cut[0] is not None and cut[1] is not None
        self.assertGreater(cut[1].start, cut[0].start + 300_000)

    def test_two_race_for_a_small_rest(self) -> None:
        """At the end, where most are idle, two race for what one brings too slowly."""
        crawling = self.flight(20_000, 100_000)
        for idle, racers in ((9, 2), (1, 1)):
            taken = takeover([crawling], self.PACE, 2.0, idle=idle)
            assert taken is not None
            self.assertEqual((taken.start, taken.stop, taken.trimmed), (20_000, 120_000, ()))
            self.assertEqual(taken.racers, racers)
        large = takeover([self.flight(20_000, MB)], self.PACE, 2.0, idle=9)
        assert large is not None
        self.assertEqual(large.racers, 1)
        self.assertIsNone(takeover([self.flight(2 * MB, 100_000)], self.PACE, 2.0, idle=9))
