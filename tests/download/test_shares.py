"""Where connections go: the properties that hold for all, and single cases."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.shares import PART_KEPT, Need, kept, shares, targets

NEEDS = st.lists(
    st.builds(
        Need,
        left=st.integers(0, 1 << 40),
        most=st.integers(0, 20),
        busy=st.integers(0, 6),
        clients=st.sampled_from([(), ("a",), ("b",), ("a", "b"), ("c",)]),
    ),
    max_size=20,
)
LIMITS = st.integers(0, 80)


class Properties(SynchronousTestCase):
    """What holds whatever runs."""

    @given(NEEDS, LIMITS)
    def test_work_conserving(self, needs: list[Need], limit: int) -> None:
        """No connection is idle while a file could use it, and none is given twice."""
        able = sum(need.most for need in needs)
        self.assertEqual(sum(targets(needs, limit)), min(limit, able))
        granted = shares(needs, limit)
        held = sum(max(n.busy, g) for n, g in zip(needs, granted, strict=True))
        if held < limit:
            self.assertEqual(granted, tuple(need.most for need in needs))
        self.assertLessEqual(held, max(limit, sum(need.busy for need in needs)))

    @given(NEEDS, LIMITS)
    def test_nobody_starved(self, needs: list[Need], limit: int) -> None:
        """Each awaited file has one, the first where few are there; none has more than it uses."""
        goal = targets(needs, limit)
        hungry = [n for n, need in enumerate(needs) if need.most and need.clients]
        self.assertTrue(all(goal[n] > 0 for n in hungry[:limit]))
        self.assertTrue(all(g <= need.most for g, need in zip(goal, needs, strict=True)))

    @given(NEEDS, LIMITS)
    def test_monotone(self, needs: list[Need], limit: int) -> None:
        """With one connection more nobody has fewer."""
        less, more = targets(needs, limit), targets(needs, limit + 1)
        self.assertTrue(all(a <= b for a, b in zip(less, more, strict=True)))

    @given(NEEDS, LIMITS)
    def test_larger_rest_has_no_fewer(self, needs: list[Need], limit: int) -> None:
        """Of one client's files, the one with more left has no fewer, as far as it can use them."""
        same = [evolve(need, clients=()) for need in needs if need.most]
        goal = targets(same, max(limit, len(same)))
        for i, one in enumerate(same):
            for j, other in enumerate(same):
                if one.left > other.left:
                    self.assertGreaterEqual(goal[i], min(one.most, goal[j]))

    @given(NEEDS, LIMITS)
    def test_no_thrash(self, needs: list[Need], limit: int) -> None:
        """Once the shares are in use, asking again changes nothing."""
        settled = [evolve(n, busy=g) for n, g in zip(needs, targets(needs, limit), strict=True)]
        self.assertEqual(shares(settled, limit), tuple(n.busy for n in settled))

    @given(NEEDS, LIMITS, st.integers(1, 1 << 40), st.integers(1, 20))
    def test_newcomer_takes_from_others_only(
        self, needs: list[Need], limit: int, left: int, most: int
    ) -> None:
        """One file more gives nobody among files of one client more than before."""
        same = [evolve(need, clients=()) for need in needs]
        before = targets(same, limit)
        after = targets([*same, Need(left, most)], limit)
        self.assertTrue(all(b <= a for a, b in zip(before, after, strict=False)))

    @given(NEEDS, LIMITS)
    def test_clients_are_equal(self, needs: list[Need], limit: int) -> None:
        """A client who could use more has as many, but for one, as any who has two for a file."""
        alone = [evolve(n, clients=n.clients[:1] or ("d",)) for n in needs if n.most]
        goal = targets(alone, limit)
        if limit < len(alone):
            return
        has = {c: 0 for n in alone for c in n.clients}
        wants, spare = set(), set()
        for need, got in zip(alone, goal, strict=True):
            (client,) = need.clients
            has[client] += got
            if got < need.most:
                wants.add(client)
            if got > 1:
                spare.add(client)
        for poor in wants:
            for rich in spare:
                self.assertLessEqual(has[rich], max(has[poor] + 1, 1))


class Cases(SynchronousTestCase):
    """What it means."""

    def test_remainder_is_used(self) -> None:
        """64 connections for 50 files: the largest has the 14 that are left over."""
        needs = [Need(4_000_000, 20) for _ in range(49)] + [Need(105_000_000, 20)]
        self.assertEqual(targets(needs, 64), (1,) * 49 + (15,))

    def test_small_files_pass_on(self) -> None:
        """What small files can't use goes to the large one."""
        needs = [Need(200_000, 1), Need(200_000, 1), Need(100_000_000, 20)]
        self.assertEqual(targets(needs, 12), (1, 1, 10))

    def test_a_lone_rest(self) -> None:
        """Where nobody else wants them, the end of a file keeps all of its connections."""
        rest = Need(1_000_000, 4, 4, bound=20)
        self.assertEqual(targets([rest], 64), (20,))
        self.assertEqual(targets([rest, Need(100_000_000, 20, bound=20)], 30), (4, 20))

    def test_a_small_file_beside_a_huge_one_of_another_client(self) -> None:
        """Two clients have equal shares, whatever the sizes."""
        needs = [Need(100_000_000_000, 20, clients=("a",)), Need(8_000_000, 20, clients=("b",))]
        self.assertEqual(targets(needs, 16), (8, 8))

    def test_many_files_do_not_crowd_out_the_one_of_another(self) -> None:
        """A client with one file has as many connections for it as the other for fifty."""
        needs = [Need(10_000_000, 20, clients=("a",)) for _ in range(20)]
        goal = targets([*needs, Need(10_000_000, 20, clients=("b",))], 60)
        self.assertEqual((sum(goal[:-1]), goal[-1]), (40, 20))

    def test_a_running_piece_is_not_cut(self) -> None:
        """Who has too many keeps them until they end; the newcomer gets what is free."""
        needs = [Need(60_000_000, 20, 20), Need(50_000_000, 20, 0)]
        self.assertEqual(shares(needs, 24), (14, 4))
        self.assertEqual(shares([evolve(needs[0], busy=17), evolve(needs[1], busy=4)], 24), (14, 7))

    def test_kept(self) -> None:
        """First requests leave one to each file that has none, and a third for what is of use."""
        one = Need(20_000_000, 20, 1, ("a",))
        self.assertEqual(kept([one], [1], [19_000_000], 60), 60 // PART_KEPT - 1)
        self.assertEqual(kept([one], [1], [0], 60), 1)
        self.assertEqual(kept([one] * 3, [1] * 3, [19_000_000] * 3, 60), 60 // PART_KEPT)
        self.assertEqual(kept([evolve(one, busy=0)] * 30, [0] * 30, [0] * 30, 60), 30)
        many = [evolve(one, busy=0)] * 30
        self.assertEqual(kept(many, [0] * 30, [19_000_000] * 30, 60), 30 + 60 // PART_KEPT)
        self.assertEqual(kept([evolve(one, clients=())], [1], [19_000_000], 60), 1)
        self.assertEqual(kept([], [], [], 60), 0)

    def test_the_longest_first(self) -> None:
        """What ends last whatever comes later has all that it can use before others have more."""
        needs = [Need(105_000_000, 20), *(Need(18_000_000, 20) for _ in range(3))]
        self.assertEqual(targets(needs, 23), (20, 1, 1, 1))

    def test_equals_share(self) -> None:
        """Files with as much left have as many."""
        self.assertEqual(targets([Need(18_000_000, 20) for _ in range(3)], 39), (13, 13, 13))
