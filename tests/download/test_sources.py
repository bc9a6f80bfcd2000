"""What a source bears."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.sources import MOST_ROUNDS, MOST_STRIKES, Source


class SourceTests(SynchronousTestCase):
    def test_refused_beside_others(self) -> None:
        """Refusals of one moment are one round, and no failure while others work."""
        source = Source()
        for beside in (5, 4, 3):
            source.refused(beside, False, None, 0.5, 10.0)
        self.assertEqual((source.rounds, source.strikes, source.borne), (1, 0, 3.0))
        self.assertFalse(source.takes(1, 10.0))
        self.assertTrue(source.takes(2, 12.0))
        self.assertFalse(source.takes(3, 12.0))

    def test_not_for_ever(self) -> None:
        """Without a byte of progress it is given up, although others work at the host."""
        source, now = Source(), 0.0
        for _ in range(MOST_ROUNDS + MOST_STRIKES):
            self.assertFalse(source.hopeless(True, 3, None))
            now = source.paused_until
            source.refused(3, False, None, 0.5, now)
        self.assertTrue(source.hopeless(True, 3, None))

    def test_granted(self) -> None:
        """It takes no more than its host leaves to this download."""
        source = Source(granted=2)
        self.assertEqual([source.takes(busy, 0.0) for busy in (1, 2)], [True, False])
