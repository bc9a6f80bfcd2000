"""What is remembered of hosts and files that gave trouble."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.exchanges.failures import ONCE_FOR, Troubles

HOST = "http://files.test"


class OnceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.troubles = Troubles()

    def test_for_a_while(self) -> None:
        """Links that work once are believed to for a while."""
        self.troubles.repeats(HOST, False, 0.0)
        self.assertTrue(self.troubles.once(HOST, ONCE_FOR - 1))
        self.assertFalse(self.troubles.once(HOST, ONCE_FOR))

    def test_doubted(self) -> None:
        """A host that has answered twice is doubted after one failure, believed after the next."""
        self.troubles.repeats(HOST, True, 0.0)
        self.troubles.repeats(HOST, False, 1.0)
        self.assertEqual(
            (self.troubles.once(HOST, 1.0), self.troubles.repeating(HOST)), (False,) * 2
        )
        self.troubles.repeats(HOST, False, 2.0)
        self.assertTrue(self.troubles.once(HOST, 2.0))
        self.troubles.repeats(HOST, True, 3.0)
        self.assertFalse(self.troubles.once(HOST, 3.0))
