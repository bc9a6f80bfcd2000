from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.exchanges.recent import Recent


class RecentTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """Events are counted by name until the last one is long ago."""
        recent = Recent(10, 30.0)
        self.assertEqual([recent.note("a", 0.0), recent.note("a", 20.0)], [1, 2])
        self.assertEqual((recent.count("a", 49.0), recent.count("b", 49.0)), (2, 0))
        self.assertEqual((recent.count("a", 50.0), recent.note("a", 51.0)), (0, 1))

    def test_forgets(self) -> None:
        """What is over is forgotten; so is the oldest of too many."""
        recent = Recent(2, 30.0)
        for moment, name in enumerate("aabca"):
            recent.note(name, float(moment))
        self.assertEqual([recent.count(name, 5.0) for name in "abc"], [1, 0, 1])
        recent.forget("a")
        recent.forget("never")
        self.assertEqual(recent.count("a", 5.0), 0)
