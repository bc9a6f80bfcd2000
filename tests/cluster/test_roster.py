"""Owners: the same for all, few changes when nodes come and go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.cluster.roster import FIRST_ABSENCE, LONGEST_ABSENCE, Roster, owner

NODES = [f"10.0.0.{n}:8081" for n in range(8)]
KEYS = [f"key-{n}" for n in range(4000)]


class OwnerTests(SynchronousTestCase):
    def test_even(self) -> None:
        """Each node owns about as much as the others."""
        owned = Counter(owner(key, NODES) for key in KEYS)
        self.assertEqual(len(owned), len(NODES))
        self.assertLess(max(owned.values()) / (len(KEYS) / len(NODES)), 1.3)

    @given(st.permutations(NODES))
    def test_order(self, nodes: list[str]) -> None:
        """The order in which a node learned of the others means nothing."""
        self.assertEqual([owner(k, nodes) for k in KEYS[:50]], [owner(k, NODES) for k in KEYS[:50]])

    def test_death(self) -> None:
        """When a node goes, its own keys alone move."""
        left = NODES[1:]
        moved = {key for key in KEYS if owner(key, NODES) != owner(key, left)}
        self.assertEqual(moved, {key for key in KEYS if owner(key, NODES) == NODES[0]})

    def test_nobody(self) -> None:
        """Without members there is no owner."""
        self.assertEqual(owner("k", []), "")


class RosterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.roster = Roster(NODES[0])
        self.roster.update(NODES)
        self.key = next(key for key in KEYS if owner(key, NODES) == NODES[1])

    def test_absence(self) -> None:
        """A node that failed is left out for a while, longer each time; an answer ends that."""
        spans, now = [], 0.0
        for _ in range(6):
            self.roster.failed(NODES[1], now)
            self.assertNotEqual(self.roster.owner(self.key, now), NODES[1])
            self.roster.failed(NODES[1], now)  # the same failure, seen by another request
            until = next(t for t in range(1000) if self.roster.owner(self.key, now + t) == NODES[1])
            spans.append(until)
            now += until
        self.assertEqual((spans[0], spans[1], spans[-1]), (FIRST_ABSENCE, 10, LONGEST_ABSENCE))
        self.roster.answered(NODES[1])
        self.roster.failed(NODES[1], now)
        self.assertEqual(self.roster.away(now), (NODES[1],))
        self.assertEqual(self.roster.owner(self.key, now + FIRST_ABSENCE), NODES[1])

    def test_alone(self) -> None:
        """A node that knows nobody owns everything, listed or not."""
        self.assertEqual(Roster(NODES[0]).owner("k", 0.0), NODES[0])
        for each in NODES[1:]:
            self.roster.failed(each, 0.0)
        self.assertEqual(self.roster.owner(self.key, 0.0), NODES[0])
