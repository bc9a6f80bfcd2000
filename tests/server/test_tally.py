"""Counts of answers, downloads and upstreams."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.server.tally import (
    FIRST_BYTE,
    MOST_ROWS,
    Histogram,
    Rows,
    Series,
    Tally,
    Totals,
    UpstreamCount,
)


class HistogramTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.floats(0, 100)))
    def test_every_value_is_in_one_class(self, values: list[float]) -> None:
        """Each value is counted once, in the first class whose end is not below it."""
        counted = Histogram(FIRST_BYTE)
        for value in values:
            counted.add(value)
        self.assertEqual(sum(counted.counts), len(values))
        for index, bound in enumerate(FIRST_BYTE):
            self.assertEqual(sum(counted.counts[: index + 1]), sum(v <= bound for v in values))


class RowsTests(SynchronousTestCase):
    def test_bound(self) -> None:
        """However many names there are, rows are not; what comes late is counted together."""
        rows = Rows("other", list)
        for number in range(MOST_ROWS + 10):
            rows.at(str(number)).append(number)
        self.assertEqual(len(rows.known), MOST_ROWS + 1)
        self.assertEqual(len(rows.known["other"]), 10)


class TallyTests(SynchronousTestCase):
    def test_totals(self) -> None:
        """Hits and saved bytes are what the cache answered; other words than ours are neither."""
        tally = Tally()
        for outcome in ("HIT", "HIT", "STALE", "MISS", "", "HIT from elsewhere"):
            tally.answered("r", outcome, 200, 10, 0.0)
        tally.answered("", "", 200, 1000, 0.0)  # a page of the mirror's own
        tally.downloaded("r", "done", 100, 1.0, False)
        self.assertEqual(tally.totals(7), Totals(3, 1, 60, 30, 107))

    def test_errors(self) -> None:
        """Answers of status 500 and above are errors, refusals are not."""
        tally = Tally()
        for status in (200, 404, 500, 502, 502):
            tally.answered("r", "", status, 0, 0.1)
        before = tally.totals(0)
        tally.answered("r", "", 504, 0, 0.1)
        self.assertEqual((before.errors, tally.totals(0).since(before).errors), (3, 1))

    def test_trouble(self) -> None:
        """An upstream is ill from its last trouble until it answers well."""
        row = UpstreamCount()
        self.assertFalse(row.ill)
        row.trouble("status 503", 5.0)
        self.assertTrue(row.ill)
        row.well_at = 6.0
        self.assertEqual((row.ill, row.why), (False, "status 503"))

    def test_joined(self) -> None:
        """Five clients of one file of 11 bytes have saved four times that."""
        tally = Tally()
        for outcome in ("MISS", "JOIN", "JOIN", "JOIN", "JOIN"):
            tally.answered("r", outcome, 200, 11, 0.1)
        tally.downloaded("r", "done", 11, 1.0, False)
        self.assertEqual(tally.totals(0), Totals(0, 5, 55, 44, 11))

    def test_first_byte(self) -> None:
        """Times to the first byte are kept apart for what the cache had."""
        tally = Tally()
        tally.answered("r", "HIT", 200, 1, 0.0)
        tally.answered("r", "MISS", 200, 1, 0.2)
        self.assertEqual(tally.first_byte[True].counts[0], 1)
        self.assertEqual(tally.first_byte[False].counts[6], 1)

    def test_wrong_bytes(self) -> None:
        """A download that was proved wrong is counted as such."""
        tally = Tally()
        tally.downloaded("r", "changed", 5, 1.0, True)
        self.assertEqual((tally.mismatches, tally.ended.known[("r", "changed")].bytes), (1, 5))


class SeriesTests(SynchronousTestCase):
    def test_steps(self) -> None:
        """A step holds what was added in it, and only the last steps are kept."""
        series = Series(10.0, 2)
        for number in range(4):
            series.sample(10.0 * number, Totals(hits=number * number))
        self.assertEqual([(at, t.hits) for at, t in series.steps()], [(20.0, 3), (30.0, 5)])
