"""How many connections one download may open."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.connections import Allowance
from aimirror.download.economy import Economy
from aimirror.download.sources import Source


class AllowanceTests(SynchronousTestCase):
    """Three have a say, and the lowest word counts."""

    def test_share(self) -> None:
        """Without anything learned it is the share."""
        self.assertEqual(Allowance(7).most, 7)

    def test_economy(self) -> None:
        """Fewer where more have brought nothing, but one at least."""
        self.assertEqual(Allowance(7, Economy(cap=5)).most, 5)
        self.assertEqual(Allowance(3, Economy(cap=5)).most, 3)

    def test_sources(self) -> None:
        """Living sources bear what they have shown; one that has refused none bears all."""
        allowance = Allowance(8)
        self.assertEqual(allowance.usable([Source(borne=2.0), Source(borne=3.9)]), 5)
        self.assertEqual(allowance.usable([Source(borne=2.0), Source()]), 8)
        self.assertEqual(allowance.usable([Source(borne=2.0), Source(alive=False)]), 2)
        self.assertEqual(allowance.usable([Source(alive=False)]), 1)
