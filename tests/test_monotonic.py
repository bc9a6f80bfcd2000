from __future__ import annotations

from twisted.internet.selectreactor import SelectReactor
from twisted.trial.unittest import SynchronousTestCase

from aimirror.monotonic import CATCH_UP, FAR, Steady, steady


class SteadyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wall, self.awake, self.slept = 1_700_000_000.0, 5.0, 0.0
        self.clock = Steady(lambda: self.wall, lambda: self.awake, lambda: self.awake + self.slept)

    def go(self, seconds: float) -> float:
        """Let time pass; how much of it the clock shows."""
        before = self.clock.seconds()
        for _ in range(100):
            self.wall += seconds / 100
            self.awake += seconds / 100
            self.clock.seconds()
        return self.clock.seconds() - before

    def test_follows(self) -> None:
        """It shows the system's time as long as nobody sets that."""
        self.assertEqual(self.clock.seconds(), self.wall)
        self.assertAlmostEqual(self.go(1000), 1000, 3)
        self.assertAlmostEqual(self.clock.seconds(), self.wall, 3)

    def test_set(self) -> None:
        """Set back or forward, it goes on nearly as before, and gets there in the end."""
        for step in (-3600, 3600):
            self.wall += step
            self.assertLess(abs(self.go(100) - 100), 100 * CATCH_UP + 0.1)
            self.go(3600 / CATCH_UP)
            self.assertAlmostEqual(self.clock.seconds(), self.wall, 3)

    def test_no_time_at_all(self) -> None:
        """A machine that learns the time after it booted does not say a wrong one for years."""
        self.wall += 2 * FAR
        self.go(2)
        self.assertAlmostEqual(self.clock.seconds(), self.wall, 3)

    def test_never_back(self) -> None:
        """It does not go back by the smallest step."""
        self.wall -= 10
        shown = []
        for _ in range(3000):
            self.awake += 0.01
            shown.append(self.clock.seconds())
        self.assertEqual(shown, sorted(shown))

    def test_suspended(self) -> None:
        """The time of a suspended machine has passed for files, too."""
        before = self.clock.seconds()
        self.wall += 30_001
        self.slept += 30_000
        self.awake += 1
        self.assertAlmostEqual(self.clock.seconds() - before, 30_001, 3)

    def test_reactor(self) -> None:
        """A reactor's timers follow it."""
        reactor = SelectReactor()
        steady(reactor)
        call = reactor.callLater(60, print)
        self.assertAlmostEqual(call.getTime() - reactor.seconds(), 60, 0)
        self.assertIsInstance(reactor.seconds.__self__, Steady)
