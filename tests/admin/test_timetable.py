"""When something is due again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.admin.timetable import next_due

DAY = 86_400.0


class DueTests(SynchronousTestCase):
    def test_daily(self) -> None:
        """At its time of day by the local clock, today or tomorrow."""
        midnight = 1000 * DAY
        for hour, wanted in ((1, 3), (2.99, 3), (3, 27), (4, 27), (23.9, 27)):
            due = next_due(midnight + hour * 3600, DAY, 3 * 3600, 0.0)
            self.assertEqual((due - midnight) / 3600, wanted)
        east = next_due(midnight, DAY, 3 * 3600, 8 * 3600.0)  # it is 8 o'clock there
        self.assertEqual((east - midnight) / 3600, 19)

    def test_more_often(self) -> None:
        """Spans shorter than a day are counted from that time, too."""
        due = next_due(1000 * DAY + 5 * 3600, 6 * 3600, 3 * 3600, 0.0)
        self.assertEqual(due - 1000 * DAY, 9 * 3600)

    def test_without_time(self) -> None:
        """One span from now."""
        self.assertEqual(next_due(7.0, 60.0, None, 3600.0), 67.0)

    @given(st.floats(0, 4e9), st.floats(60, 30 * DAY), st.floats(0, DAY), st.floats(-12e3, 14e3))
    def test_later(self, now: float, every: float, at: float, offset: float) -> None:
        """It is always later, and by one span at most."""
        due = next_due(now, every, at, offset)
        self.assertGreaterEqual(due, now - 1e-3)
        self.assertLessEqual(due, now + every + 1e-3)
