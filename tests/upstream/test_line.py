from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.upstream.line import Line, Place


def of(*names: str) -> Callable[[], set[str]]:
    """Those clients."""
    return lambda: set(names)


class LineTests(SynchronousTestCase):
    """Whose turn it is."""

    def setUp(self) -> None:
        self.line = Line(5)

    def join(self, *names: str) -> Place:
        place, refused = self.line.join(of(*names))
        self.assertIsNone(refused)
        return place

    def test_awaited_before_abandoned(self) -> None:
        """What nobody waits for comes last, also when it was left while it waited."""
        clients = {"a"}
        left, _ = self.line.join(lambda: clients)
        never = self.join()
        awaited = self.join("b")
        self.assertEqual(self.line.awaited, 2)
        clients.clear()
        self.assertEqual(self.line.awaited, 1)
        self.assertEqual([self.line.next() for _ in range(3)], [awaited, left, never])

    def test_awaited_again(self) -> None:
        """What somebody wants again has its old place."""
        clients: set[str] = set()
        again, _ = self.line.join(lambda: clients)
        other = self.join("b")
        clients.add("c")
        self.assertEqual([self.line.next() for _ in range(2)], [again, other])

    def test_clients_take_turns(self) -> None:
        """Who has fewest connections at work is next, then who came first."""
        many = [self.join("a") for _ in range(3)]
        one = self.join("b")
        ends = []
        order = []
        while len(self.line):
            place = self.line.next()
            ends.append(self.line.begins(place.clients))
            order.append(place)
        self.assertEqual(order, [many[0], one, many[1], many[2]])
        ends[0]()
        ends[2]()
        late, early = self.join("a"), self.join("b")
        self.assertEqual([self.line.next() for _ in range(2)], [late, early])

    def test_shared_by_the_poorest(self) -> None:
        """What several want comes as early as the poorest of them."""
        self.line.begins(of("a"))
        first = self.join("a")
        shared = self.join("a", "b")
        self.assertEqual([self.line.next() for _ in range(2)], [shared, first])

    def test_too_many(self) -> None:
        """Where all places are taken, what nobody waits for goes, else the greediest's newest."""
        left = self.join()
        many = [self.join("a") for _ in range(3)]
        self.join("b")
        _, refused = self.line.join(of("c"))
        self.assertIs(refused, left)
        place, refused = self.line.join(of("c"))
        self.assertIs(refused, many[-1])
        place, refused = self.line.join(of("a"))
        self.assertIn(refused, [place, many[1]])
        self.assertEqual(len(self.line), 5)

    def test_leave(self) -> None:
        """Who leaves is not called."""
        first, second = self.join("a"), self.join("a")
        self.assertEqual((self.line.leave(first), self.line.leave(first)), (True, False))
        self.assertIs(self.line.next(), second)

    @given(st.lists(st.sampled_from("aaab-"), max_size=12))
    def test_nobody_is_forgotten(self, names: list[str]) -> None:
        """Everybody's turn comes, and each client's in the order in which it came."""
        line = Line(20)
        places = [line.join(of(*name.strip("-")))[0] for name in names]
        order = [line.next() for _ in names]
        self.assertEqual(len(line), 0)
        for name in "ab-":
            its = [place for place, whose in zip(places, names, strict=True) if whose == name]
            self.assertEqual([place for place in order if place in its], its)
