"""What is known of one connection while it works on its piece."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.flight import GLARING_AFTER, LATE, MEASURED_AFTER, UNHEARD, Flight

MB = 1_000_000


def flown(*words: tuple[float, int], start: int = 0) -> Flight:
    """A flight of 10 MB that was heard of at these times (seconds, bytes)."""
    flight = Flight(1, 0, start, start + 10 * MB, 0.0)
    for when, position in words:
        flight.moved(start + position, when)
    return flight


class UnheardTests(SynchronousTestCase):
    """Bytes come together and are told of together: what is on its way counts as come."""

    def test_between_two_words(self) -> None:
        """It goes on at its rate, for as long as no word is due."""
        flight = flown((0.5, 500_000), (1.0, MB))
        self.assertEqual(flight.unheard(1.0, MB), 0)
        self.assertEqual(flight.unheard(1.25, MB), 250_000)
        self.assertEqual(flight.unheard(9.0, MB), int(UNHEARD * MB))

    def test_bounds(self) -> None:
        """Nothing is taken for come before the first word, nor more than the piece."""
        self.assertEqual(flown().unheard(5.0, MB), 0)
        flight = flown((1.0, 10 * MB - 10))
        self.assertEqual(flight.unheard(1.2, MB), 10)
        self.assertEqual(flight.eta(1.2, MB, 0.0), 0.0)


class RateTests(SynchronousTestCase):
    """How fast it is, though bytes are told of late."""

    def test_up_to_the_last_word(self) -> None:
        """What has come since the last word is not known, and does not make it look slower."""
        flight = flown((0.1, 16_000), (0.5, 500_000))
        self.assertEqual(flight.measured(0.7, 0.0), MB)
        self.assertEqual(flight.measured(1.2, 0.0), 500_000 / 1.2)

    def test_young(self) -> None:
        """What looks a little slower than usual soon after its beginning is taken for usual."""
        young = flown((0.2, 100_000), (0.35, 150_000))
        self.assertLess(young.eta(0.4, MB, 0.0), 10.0)
        self.assertGreater(young.eta(0.7, MB, 0.0), 12.0)
        self.assertGreater(flown((0.2, 2000)).eta(0.4, MB, 0.0), 100.0)

    def test_late(self) -> None:
        """A small piece is late soon after it was due, and not before a rate can be told."""
        small, large = Flight(1, 0, 0, 50_000, 1.0), Flight(2, 0, 0, MB, 1.0)
        self.assertAlmostEqual(small.late_from(MB, 0.03), 1.0 + MEASURED_AFTER + 0.03)
        self.assertAlmostEqual(large.late_from(MB, 0.03), 1.0 + 0.06 + 1.0 + LATE)


class GlaringTests(SynchronousTestCase):
    """Next to nothing comes, where siblings bring a megabyte each second."""

    def test_crawling(self) -> None:
        """It is seen early in its flow, a connection that is merely slow is not."""
        crawling, slow = flown((0.1, 2000), (0.5, 6000)), flown((0.1, 2000), (0.5, 60_000))
        self.assertFalse(crawling.hopeless(0.1 + GLARING_AFTER - 0.01, MB, 0.03))
        self.assertTrue(crawling.hopeless(0.1 + GLARING_AFTER + 0.01, MB, 0.03))
        self.assertFalse(slow.hopeless(0.9, MB, 0.03))

    def test_round_trips(self) -> None:
        """Where an answer takes long, a beginning that is slow for some round trips is usual."""
        self.assertFalse(flown((0.4, 2000)).hopeless(0.9, MB, 0.2))

    def test_late_answer(self) -> None:
        """A late header is another thing than a slow flow: it counts from the first byte."""
        late = flown((0.8, 2000))
        self.assertFalse(late.hopeless(0.9, MB, 0.03))
        self.assertFalse(flown().hopeless(0.9, MB, 0.03))

    def test_thin_line(self) -> None:
        """Where little would have come, packets in bursts mean nothing yet."""
        self.assertFalse(flown((0.1, 1000)).hopeless(0.9, MB / 20, 0.03))
