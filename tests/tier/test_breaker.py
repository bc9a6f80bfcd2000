"""The breaker: when the store is left alone, and when it is tried again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.tier.breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MOST_FAILURES,
    MOST_LOST,
    WINDOW,
    Breaker,
    State,
)


class BreakerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.breaker = Breaker()

    def fail(self, now: float, times: int = MOST_FAILURES) -> None:  # type: ignore[override]
        for _ in range(times):
            self.breaker.failed(now)

    def test_opens(self) -> None:
        """It opens after so many failures in a while, not after one fewer."""
        self.fail(0.0, MOST_FAILURES - 1)
        self.assertTrue(self.breaker.allows(0.0))
        self.fail(WINDOW, 1)
        self.assertFalse(self.breaker.allows(WINDOW))

    def test_waited_in_vain(self) -> None:
        """It opens when too much was lost by waiting, and counts what was lost lately."""
        self.breaker.failed(0.0, MOST_LOST / 2)
        self.breaker.failed(WINDOW + 1, MOST_LOST / 2)
        self.assertTrue(self.breaker.allows(WINDOW + 1))
        self.breaker.failed(WINDOW + 2, MOST_LOST / 2)
        self.assertFalse(self.breaker.allows(WINDOW + 2))

    def test_old_failures(self) -> None:
        """Failures long ago do not count, and a success ends the count."""
        self.fail(0.0, MOST_FAILURES - 1)
        self.fail(WINDOW + 0.1, 1)
        self.assertTrue(self.breaker.allows(WINDOW + 0.1))
        self.fail(WINDOW + 0.2, MOST_FAILURES - 2)
        self.breaker.succeeded()
        self.fail(WINDOW + 0.3, MOST_FAILURES - 1)
        self.assertTrue(self.breaker.allows(WINDOW + 0.3))

    def test_one_trial(self) -> None:
        """After the pause one request tries; the others wait for what comes of it."""
        self.fail(0.0)
        self.assertFalse(self.breaker.allows(FIRST_PAUSE - 0.1))
        self.assertEqual([self.breaker.allows(FIRST_PAUSE) for _ in range(3)], [True, False, False])
        self.breaker.succeeded()
        self.assertIs(self.breaker.state, State.CLOSED)

    def test_longer_pauses(self) -> None:
        """Each failed trial doubles the pause, up to the longest."""
        now, pauses = 0.0, []
        self.fail(now)
        for _ in range(8):
            pauses.append(self.breaker.until - now)
            now = self.breaker.until
            self.assertTrue(self.breaker.allows(now))
            self.breaker.failed(now)
        self.assertEqual(pauses[:3], [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE])
        self.assertEqual(pauses[-1], LONGEST_PAUSE)

    def test_lost_trial(self) -> None:
        """A trial that never tells its end is followed by another one."""
        self.fail(0.0)
        self.assertTrue(self.breaker.allows(FIRST_PAUSE))
        self.assertFalse(self.breaker.allows(FIRST_PAUSE + 1))
        self.assertTrue(self.breaker.allows(2 * FIRST_PAUSE))
