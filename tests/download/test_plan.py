"""Sizes of pieces."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.plan import (
    LEAST_PIECE,
    SMALLEST_PIECE,
    Pace,
    piece_size,
    smallest_piece,
)

MB = 1_000_000


class SmallestTests(SynchronousTestCase):
    def test_worth_its_request(self) -> None:
        """It takes two round trips at the rate of its connection, within bounds."""
        self.assertEqual(smallest_piece(Pace()), SMALLEST_PIECE)
        self.assertEqual(smallest_piece(Pace(MB, 0.05)), 100_000)
        self.assertEqual(smallest_piece(Pace(MB, 0.001)), LEAST_PIECE)
        self.assertEqual(smallest_piece(Pace(50 * MB, 0.05)), SMALLEST_PIECE)

    def test_the_rest_employs_all(self) -> None:
        """On a slow line the last two megabytes are cut for twenty connections, not for eight."""
        self.assertEqual(piece_size(2 * MB, 20, Pace(MB, 0.05), 0), 100_000)
        self.assertEqual(piece_size(2 * MB, 20, Pace(), 0), SMALLEST_PIECE)
