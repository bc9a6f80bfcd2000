from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Many calls that wait equally long."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, 10)
        self.called: list[tuple[str, float]] = []

    def later(self, name: str) -> object:
        return self.deadlines.callLater(
            10, lambda: self.called.append((name, self.clock.seconds()))
        )

    def test_each_in_time(self) -> None:
        """Each is called when it is due, by no more than one delayed call at a time."""
        for name in "abc":
            self.later(name)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(3)
        self.clock.pump([1] * 10)
        self.assertEqual(self.called, [("a", 10), ("b", 13), ("c", 16)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """What is cancelled is not called, and the last one takes the delayed call along."""
        first, second = self.later("a"), self.later("b")
        for deadline in (first, first):
            deadline.cancel()  # type: ignore[attr-defined]
        self.clock.advance(10)
        self.assertEqual(self.called, [("b", 10)])
        second.cancel()  # type: ignore[attr-defined]
        self.later("c").cancel()  # type: ignore[attr-defined]
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing(self) -> None:
        """One that raises does not take the others along."""
        self.deadlines.callLater(10, lambda: 1 / 0)
        self.later("a")
        self.assertRaises(ZeroDivisionError, self.clock.advance, 10)
        self.clock.advance(0)
        self.assertEqual([name for name, _ in self.called], ["a"])

    def test_begun_by_another(self) -> None:
        """One may begin the next."""
        self.deadlines.callLater(10, lambda: self.later("b"))
        self.clock.advance(10)
        self.clock.advance(10)
        self.assertEqual(self.called, [("b", 20)])

    def test_another_wait(self) -> None:
        """They can't be of different lengths."""
        self.assertRaises(ValueError, self.deadlines.callLater, 5, lambda: None)
