from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aimirror.store.upkeep import Upkeep


class UpkeepTests(SynchronousTestCase):
    """Work that waits a little."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.running: list[Deferred[None]] = []
        self.upkeep = Upkeep(self.clock, 5.0, self.act)

    async def act(self) -> None:
        self.running.append(Deferred())
        await self.running[-1]

    def test_once_for_many(self) -> None:
        """Many changes make one run, and none makes none."""
        self.upkeep.soon()
        self.upkeep.soon()
        self.clock.advance(5)
        self.assertEqual(len(self.running), 1)
        self.running[0].callback(None)
        self.clock.advance(60)
        self.assertEqual((len(self.running), self.clock.getDelayedCalls()), (1, []))

    def test_change_while_running(self) -> None:
        """A change during a run calls for another one, after the first."""
        self.upkeep.soon()
        self.clock.advance(5)
        self.upkeep.soon()
        self.clock.advance(60)
        self.assertEqual(len(self.running), 1)
        self.running[0].callback(None)
        self.clock.advance(5)
        self.assertEqual(len(self.running), 2)

    def test_finish(self) -> None:
        """The end does what waits, after what runs, and leaves no timer."""
        self.upkeep.soon()
        self.clock.advance(5)
        self.upkeep.soon()
        done = ensureDeferred(self.upkeep.finish())
        self.running[0].callback(None)
        self.assertNoResult(done)
        self.running[1].callback(None)
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failure(self) -> None:
        """A failure is logged, and the next change tries again."""
        self.upkeep.soon()
        self.clock.advance(5)
        self.running[0].errback(OSError("full"))
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.upkeep.soon()
        self.clock.advance(5)
        self.assertEqual(len(self.running), 2)
