from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from aimirror.store.inuse import SLOW, STEP, InUse, Pace, hollow


class File:
    """A file whose readers are as slow as told."""

    def __init__(self, in_use: InUse, *, slow: bool = False) -> None:
        self.is_slow = slow
        self._in_use = in_use

    def slow(self) -> bool:
        return self.is_slow

    def cut(self) -> None:
        self._in_use.closed(self)


class PaceTests(SynchronousTestCase):
    """Who is slow."""

    def test_steps(self) -> None:
        """A reader is slow when it takes less than a step in the time for one."""
        pace = Pace(0, 100.0)
        pace.moved(100 * STEP, 101.0)
        self.assertFalse(pace.slow(101.0 + SLOW))
        for n in range(1, 4):  # bytes in between don't count, so that few of them don't help
            pace.moved(100 * STEP + n, 101.0 + n * SLOW / 4)
        self.assertTrue(pace.slow(101.5 + SLOW))
        pace.moved(101 * STEP, 102.0 + SLOW)
        self.assertFalse(pace.slow(102.0 + SLOW))


class InUseTests(SynchronousTestCase):
    """Which files have readers."""

    def setUp(self) -> None:
        self.unread: list[str] = []
        self.in_use = InUse()
        self.in_use.unread = self.unread.append

    def test_last_reader(self) -> None:
        """A blob is in use until the last of the files that are open for it is closed."""
        one, two = File(self.in_use), File(self.in_use)
        for file in (one, two):
            self.in_use.opened(file, 10, "a")
        self.in_use.closed(one)
        self.assertIn("a", self.in_use)
        self.in_use.closed(two)
        self.in_use.closed(two)
        self.assertNotIn("a", self.in_use)
        self.assertEqual(self.unread, ["a"])

    def test_unlinked(self) -> None:
        """A file without a name counts once, until it is closed; its successor is another."""
        old, also_old, new = (File(self.in_use) for _ in range(3))
        self.in_use.opened(old, 10, "a")
        self.in_use.opened(also_old, 10, "a")
        self.in_use.unlinked("a")
        self.in_use.opened(new, 10, "a")
        self.assertEqual(self.in_use.nameless, 10)
        self.in_use.closed(old)
        self.in_use.closed(also_old)
        self.assertEqual((self.in_use.nameless, self.in_use.blobs), (0, frozenset("a")))
        self.assertEqual(self.unread, [])

    def test_never_named(self) -> None:
        """What is stored nowhere counts from the start."""
        file = File(self.in_use)
        self.in_use.opened(file, 7)
        self.assertEqual((self.in_use.nameless, self.in_use.blobs), (7, frozenset()))
        self.in_use.closed(file)
        self.assertEqual(self.in_use.nameless, 0)

    def test_cut_slow(self) -> None:
        """Of files without a name those go that only slow readers have."""
        for size, slow in ((1, True), (2, False), (4, True)):
            self.in_use.opened(File(self.in_use, slow=slow), size, str(size))
            self.in_use.unlinked(str(size))
        shared = File(self.in_use, slow=True), File(self.in_use)
        for file in shared:
            self.in_use.opened(file, 8, "8")
        self.in_use.unlinked("8")
        self.assertEqual(self.in_use.slow_nameless, 5)
        self.in_use.cut_slow()
        self.assertEqual(self.in_use.nameless, 10)

    def test_guarded(self) -> None:
        """A guarded blob is in use without a reader, and can't be taken from those that it has."""
        file = File(self.in_use, slow=True)
        self.in_use.opened(file, 1, "a")
        self.in_use.guard("a")
        self.in_use.guard("a")
        self.assertIsNone(self.in_use.use("a"))
        self.in_use.closed(file)
        self.in_use.release("a")
        self.assertIn("a", self.in_use)
        self.in_use.release("a")
        self.assertNotIn("a", self.in_use)
        self.assertEqual(self.unread, ["a"])


class HollowTests(SynchronousTestCase):
    """A descriptor that gives its file up."""

    def test_empty(self) -> None:
        """It is at its end from then on, keeps its number, and isn't inherited."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"data")
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        hollow(fd)
        self.assertEqual((os.pread(fd, 4, 0), os.get_inheritable(fd)), (b"", False))
