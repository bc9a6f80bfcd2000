from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.workers.worker.throttle import BURST_SECONDS, Throttle


class ThrottleTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 5)), min_size=1))
    def test_rate_is_kept(self, arrivals):
        """Who pauses as told never exceeds the rate by more than the burst and the last read."""
        throttle, now, total = Throttle(1000), 0.0, 0
        for count, lull in arrivals:
            self.assertLessEqual(total, 1000 * (now + BURST_SECONDS) * 1.0001)
            total += count
            now += throttle.pause_after(count, now) + lull

    def test_slow_is_left_alone(self):
        """Below the rate there is no pause."""
        throttle = Throttle(1000)
        for second in range(10):
            self.assertEqual(throttle.pause_after(900, float(second)) < 1.0, True)
        self.assertEqual(throttle.pause_after(100, 100.0), 0.0)
