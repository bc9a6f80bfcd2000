from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.store.eviction import Candidate, choose

candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.integers(0, 100),
        st.floats(0, 10, allow_nan=False),
        st.booleans(),
    ),
    max_size=20,
)


class ChooseTests(SynchronousTestCase):
    """What goes when room is needed."""

    @settings(max_examples=100, deadline=None)
    @given(candidates, st.integers(0, 500))
    def test_least_used_first_and_never_held(self, found: list[Candidate], needed: int) -> None:
        """No held blob goes, and none goes before one that was used longer ago."""
        victims = choose(found, needed)
        self.assertFalse([v for v in victims if v.held])
        kept = [c for c in found if not c.held and c not in victims]
        latest = max((v.used for v in victims), default=0.0)
        self.assertTrue(all(c.used >= latest for c in kept))

    @settings(max_examples=100, deadline=None)
    @given(candidates, st.integers(1, 500))
    def test_enough_and_no_more(self, found: list[Candidate], needed: int) -> None:
        """The need is met if it can be, and the last victim was necessary."""
        sizes = [v.size for v in choose(found, needed)]
        if sum(sizes) < needed:
            self.assertEqual(sum(sizes), sum(c.size for c in found if not c.held))
        self.assertTrue(not sizes or sum(sizes[:-1]) < needed)

    def test_nothing_for_nothing(self) -> None:
        """Nothing goes when nothing is needed."""
        self.assertEqual(choose([Candidate("a", 1, 0.0)], 0), ())
