"""Bounded memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.bounded import LRU


class LRUTests(SynchronousTestCase):
    def test_least_recently_used_goes(self) -> None:
        """A use makes a value stay; looking at it does not."""
        lru: LRU[str, int] = LRU(2)
        lru.put("a", 1)
        lru.put("b", 2)
        self.assertEqual(lru.get("a"), 1)
        self.assertEqual(lru.peek("b"), 2)
        lru.put("c", 3)
        self.assertEqual(list(lru), ["a", "c"])
        self.assertEqual(lru.oldest(), "a")
        self.assertNotIn("b", lru)
        self.assertIsNone(lru.get("b"))

    def test_weight(self) -> None:
        """Values go until the rest is light enough; one that is too heavy alone stays."""
        lru: LRU[str, str] = LRU(weigh=len, heaviest=5)
        lru.put("a", "xxx")
        lru.put("b", "xx")
        lru.put("c", "xxx")
        self.assertEqual(list(lru), ["b", "c"])
        self.assertEqual(lru.weight, 5)
        lru.put("d", "xxxxxxxxx")
        self.assertEqual(dict(lru.items()), {"d": "xxxxxxxxx"})

    def test_replaced(self) -> None:
        """A new value of a key takes the place and the weight of the old one."""
        lru: LRU[str, str] = LRU(2, weigh=len)
        lru.put("a", "xxx")
        lru.put("a", "x")
        self.assertEqual((lru.get("a"), lru.weight, len(lru)), ("x", 1, 1))

    def test_dropped(self) -> None:
        """Who owns something is told when it makes room, and not when it takes it back."""
        gone: list[int] = []
        lru: LRU[str, int] = LRU(1, dropped=gone.append)
        lru.put("a", 1)
        lru.put("b", 2)
        lru.pop("b")
        self.assertEqual(gone, [1])

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9))), st.integers(1, 4))
    @settings(max_examples=100, deadline=None)
    def test_bounds_hold(self, puts: list[tuple[int, int]], most: int) -> None:
        """Whatever is put, number and weight are kept, and the weight is that of what is there."""
        lru: LRU[int, int] = LRU(most, weigh=int, heaviest=12)
        for key, value in puts:
            lru.put(key, value)
            self.assertEqual(lru.peek(key), value)
            self.assertLessEqual(len(lru), most)
            self.assertLessEqual(lru.weight, 12)
            self.assertEqual(lru.weight, sum(held for _, held in lru.items()))
        lru.clear()
        self.assertEqual((len(lru), lru.weight), (0, 0))
