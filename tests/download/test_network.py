"""All downloads of a host together: how long clients wait, in virtual time."""

from __future__ import annotations

import random
from collections import deque

from twisted.trial.unittest import SynchronousTestCase

from aimirror.download.plan import PIECE_SECONDS
from tests.download.network import File, Host, bound

MB = 1_000_000


def mix(number: int) -> list[File]:
    """Sizes as package managers ask for them: many small ones, and some that are large."""
    chance = random.Random(number)
    count = (30, 60, 120, 200)[number % 4]
    sizes = [min(int(chance.lognormvariate(14.0, 1.2)), 20 * MB) for _ in range(count)]
    sizes += [(105, 60, 30)[k] * MB for k in range(number % 3 + 1)]
    match number // 4:
        case 0:
            chance.shuffle(sizes)
        case 1:
            sizes.sort()
        case 2:
            sizes.sort(reverse=True)
        case 3:
            sizes.reverse()
        case 4:
            sizes = sizes[count // 2 :] + sizes[: count // 2]
    return [File(size) for size in sizes]


class Makespan(SynchronousTestCase):
    """Until all is there."""

    def test_twenty_mixes(self) -> None:
        """Within 15 % of what no mirror could beat, each byte once, and never over the limit."""
        for number in range(20):
            files = mix(number)
            host = Host({"": deque(files)}, at_once=32)
            seconds = host.run()
            self.assertLessEqual(seconds / bound(files, host), 1.15, number)
            self.assertEqual(host.fetched, sum(file.size for file in files))
            self.assertLessEqual(host.busiest, host.limit)

    def test_no_idle_connections(self) -> None:
        """With more files open than a half of the connections the large one still has the rest."""
        files = [File(4 * MB) for _ in range(49)] + [File(40 * MB)]
        host = Host({"": deque(files)}, at_once=50)
        self.assertLessEqual(host.run() / bound(files, host), 1.2)


class Fairness(SynchronousTestCase):
    """Between clients."""

    def test_small_file_beside_a_huge_one(self) -> None:
        """A small file takes no longer beside another's huge one than half the host alone would."""
        small = File(20 * MB)
        host = Host({"a": deque([File(600 * MB)])}, limit=16)
        while host.now < 5.0:
            host.turn()
        host.queues["b"] = deque([small])
        while small.done_at is None:
            host.turn()
        alone = File(20 * MB)
        half = Host({"b": deque([alone])}, limit=8)
        half.run()
        assert alone.done_at is not None
        waited = small.done_at - 5.0
        self.assertLessEqual(waited, 1.15 * alone.done_at + PIECE_SECONDS)  # no piece is cut

    def test_one_file_beside_many(self) -> None:
        """A client with forty files takes nothing from the half of another with one."""
        one = File(10 * MB)
        host = Host({"a": deque(File(20 * MB) for _ in range(40)), "b": deque([one])}, limit=48)
        while one.done_at is None:
            host.turn()
        self.assertLessEqual(one.done_at, 10 / (20 * 0.9) + PIECE_SECONDS)
