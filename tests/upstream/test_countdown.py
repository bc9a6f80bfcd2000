"""The silence time-out."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.countdown import Countdown


class CountdownTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fired: list[float] = []
        self.countdown = Countdown(self.clock, 10, lambda: self.fired.append(self.clock.seconds()))

    def test_restart_puts_off(self) -> None:
        """It fires ``seconds`` after the last restart, once."""
        self.countdown.restart()
        self.clock.advance(9)
        self.countdown.restart()
        self.clock.pump([9, 1, 100])
        self.assertEqual(self.fired, [19])

    def test_stop(self) -> None:
        """Stopped it never fires and leaves no call behind; a restart counts afresh."""
        self.countdown.restart()
        self.countdown.stop()
        self.countdown.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.countdown.restart()
        self.clock.advance(10)
        self.assertEqual(self.fired, [10])
