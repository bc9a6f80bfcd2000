"""Sets of half-open intervals against a set of integers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.spans import Spans

INTERVAL = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p)))
INTERVALS = st.lists(INTERVAL, max_size=12)


def integers(pairs: object) -> set[int]:
    return {n for start, stop in pairs for n in range(start, stop)}  # type: ignore[attr-defined]


class SpansTests(SynchronousTestCase):
    def canonical(self, spans: Spans) -> None:
        """Sorted, disjoint, non-touching, never empty."""
        flat = [edge for pair in spans.pairs for edge in pair]
        self.assertEqual(flat, sorted(set(flat)))

    @settings(max_examples=200, deadline=None)
    @given(INTERVALS, INTERVAL)
    def test_add(self, pairs: list[tuple[int, int]], new: tuple[int, int]) -> None:
        """Adding is the union."""
        spans = Spans(pairs).add(*new)
        self.assertEqual(integers(spans), integers([*pairs, new]))
        self.canonical(spans)

    @settings(max_examples=200, deadline=None)
    @given(INTERVALS, INTERVAL)
    def test_remove(self, pairs: list[tuple[int, int]], gone: tuple[int, int]) -> None:
        """Removing is the difference."""
        spans = Spans(pairs).remove(*gone)
        self.assertEqual(integers(spans), integers(pairs) - integers([gone]))
        self.canonical(spans)

    @settings(max_examples=200, deadline=None)
    @given(INTERVALS, INTERVALS)
    def test_minus(self, pairs: list[tuple[int, int]], gone: list[tuple[int, int]]) -> None:
        """Subtracting is the difference, of whole sets."""
        spans = Spans(pairs).minus(Spans(gone))
        self.assertEqual(integers(spans), integers(pairs) - integers(gone))
        self.canonical(spans)

    @settings(max_examples=200, deadline=None)
    @given(INTERVALS, INTERVAL)
    def test_gaps(self, pairs: list[tuple[int, int]], window: tuple[int, int]) -> None:
        """Gaps are what a window lacks."""
        gaps = Spans(pairs).gaps(*window)
        self.assertEqual(integers(gaps), integers([window]) - integers(pairs))

    @settings(max_examples=200, deadline=None)
    @given(INTERVALS, st.integers(0, 60))
    def test_run_from(self, pairs: list[tuple[int, int]], position: int) -> None:
        """A run ends at the first missing integer."""
        end = position
        while end in integers(pairs):
            end += 1
        self.assertEqual(Spans(pairs).run_from(position), end)

    def test_values(self) -> None:
        """Equal sets are equal values; totals count bytes; covering is running to the stop."""
        self.assertEqual(Spans([(0, 2), (2, 4)]), Spans([(0, 4)]))
        self.assertEqual(Spans([(0, 4), (6, 7)]).total(), 5)
        self.assertTrue(Spans([(0, 4)]).covers(1, 4))
        self.assertFalse(Spans([(0, 4)]).covers(1, 5))
        self.assertRaises(ValueError, Spans, [(2, 1)])
