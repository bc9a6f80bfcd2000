"""How many connections one host bears."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.bearing import REGAIN_EVERY, REMEMBERED, Bearing

LIMIT = 20


class BearingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bearing = Bearing()

    def test_refusals(self) -> None:
        """The second one in a row beside connections that work says how many it bears."""
        self.assertFalse(self.bearing.refused(4, 3, LIMIT, 0.0))
        self.assertEqual(self.bearing.most(LIMIT, 0.0), LIMIT)
        self.assertTrue(self.bearing.refused(4, 3, LIMIT, 0.0))
        self.assertEqual(self.bearing.most(LIMIT, 0.0), 4)

    def test_regained(self) -> None:
        """One more is tried after a while, and all is forgotten later."""
        self.bearing.silent(2, 0.0)
        self.assertEqual(self.bearing.most(LIMIT, REGAIN_EVERY), 3)
        self.assertEqual(self.bearing.most(LIMIT, REMEMBERED), LIMIT)

    def test_answers_nobody(self) -> None:
        """As many as are idle may be tried, one at the least."""
        for idle, borne in ((0, 1), (3, 3)):
            self.bearing.answers_nobody(idle, 0.0)
            self.assertEqual(self.bearing.most(LIMIT, 0.0), borne)

    def test_slow(self) -> None:
        """What only its silence has said is taken back; what a refusal has said is not."""
        self.bearing.silent(2, 0.0)
        self.assertTrue(self.bearing.slow())
        self.assertEqual(self.bearing.most(LIMIT, 0.0), LIMIT)
        self.bearing.answers_nobody(2, 0.0)
        self.assertFalse(self.bearing.slow())
        self.assertEqual(self.bearing.most(LIMIT, 0.0), 2)
