"""Where pieces begin and end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.cutting import Sizes, in_line, next_piece
from aimirror.download.plan import Demand
from aimirror.download.spans import Spans


class InLineTests(SynchronousTestCase):
    """What several readers side by side want, at the end of a file."""

    SIZES = Sizes(30, 60, 10)

    def test_whole_pieces(self) -> None:
        """What is free in a row is cut from its head, whichever byte of it is wanted first."""
        free = Spans([(100, 220), (300, 410), (500, 510)])
        pieces = [in_line(free, wanted, self.SIZES) for wanted in (100, 129, 130, 219, 359, 500)]
        self.assertEqual(
            pieces, [(100, 130), (100, 130), (130, 160), (190, 220), (330, 360), (500, 510)]
        )

    def test_small_rest(self) -> None:
        """A small rest goes with the last piece, unless the rule wants shorter ones."""
        free = Spans([(0, 65)])
        pieces = [in_line(free, wanted, self.SIZES) for wanted in (29, 30, 64)]
        self.assertEqual(pieces, [(0, 30), (30, 65), (30, 65)])
        self.assertEqual(in_line(free, 64, Sizes(30, 30, 10)), (60, 65))

    def test_few_readers(self) -> None:
        """Two begin where they are, and so do more of them while much is left."""
        free = Spans([(0, 300)])
        readers = [Demand(0, 100), Demand(100, 200), Demand(200, 300)]

        def piece(readers: list[Demand], idle: int) -> tuple[int, int]:
            return next_piece((100, 300), free, readers, idle, self.SIZES)

        self.assertEqual(piece(readers, 10), (90, 120))
        self.assertEqual(piece(readers[:2], 10), (100, 130))
        self.assertEqual(piece(readers, 2), (100, 130))
