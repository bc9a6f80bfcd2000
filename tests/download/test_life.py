"""The table of a download's phases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.life import TABLE, Life, Phase, Turn

ENDS = {Phase.DONE, Phase.RESTARTED, Phase.FAILED}


class LifeTests(SynchronousTestCase):
    """A phase changes by the table alone."""

    @given(st.lists(st.sampled_from(Turn)))
    def test_only_ways_of_the_table(self, turns: list[Turn]) -> None:
        """A turn that the table does not name changes nothing, and an end is for ever."""
        life = Life()
        for turn in turns:
            before = life.phase
            moved = life.take(turn)
            self.assertEqual(moved, (before, turn) in TABLE)
            self.assertEqual(life.phase, TABLE.get((before, turn), before))
            self.assertEqual(life.over, life.phase in ENDS)
            if before in ENDS:
                self.assertIs(life.phase, before)

    def test_nothing_is_done_unproved(self) -> None:
        """Only a right digest leads to the good end."""
        self.assertEqual(
            [way for way, then in TABLE.items() if then is Phase.DONE],
            [(Phase.PROVING, Turn.PROVED)],
        )
